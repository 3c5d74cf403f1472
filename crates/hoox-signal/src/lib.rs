//! Alert bytes to a validated signal, and its identity.
//!
//! In scope: the JSON object of an alert ([`Alert`]), the webhook contract field by field
//! ([`Signal`]), which alerts are the same signal ([`Identity`]), and what a venue cannot do yet
//! ([`Signal::unsupported`]).
//! Out of scope: who may send ([`apiKey`](Alert::api_key) is only handed out), which account a
//! signal goes to, sizes in the venue's steps, and time other than the `now` passed in.
//!
//! Numbers are read from the JSON text into decimals; no binary floating point is involved.

mod action;
mod alert;
mod bare;
mod broken;
mod error;
mod hint;
mod identity;
mod read;
mod signal;
mod symbol;
mod terms;
#[cfg(test)]
mod tests;
mod words;

pub use action::{Action, Closing, Target};
pub use alert::{Alert, Fields, MAX_DEPTH, MAX_FIELDS, MAX_NAME};
pub use bare::without_body;
pub use broken::COMPRESSED;
pub use error::{AlertError, SignalError};
pub use identity::{Identity, WINDOW_LONG_MS, WINDOW_SHORT_MS};
pub use signal::{
    DEFAULT_ENTRY_LAG_MS, DEFAULT_EXIT_LAG_MS, MAX_FUTURE_MS, MAX_LAG_MS, Notify, Signal,
};
pub use symbol::SymbolRef;
pub use terms::{OnOpposite, Percent, Sizing, Trigger};
pub use words::{field_of, word_tables};
