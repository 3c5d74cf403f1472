//! Alerts before they are sent: the messages to paste into TradingView, and what a message would do.
//!
//! In scope: the templates ([`messages`]), what TradingView makes of a message when it fires ([`fill`]), what Hoox makes
//! of it then ([`examine`]), and whether a journaled alert would be read otherwise today ([`compare`]). What is said of
//! a message is what `hoox_signal` reads and `hoox_risk` plans, so it cannot differ from what the gateway does.
//! Out of scope: who may send, the account's limits and the venue's steps, and I/O.

mod check;
mod fill;
mod journal;
mod meaning;
mod outcome;
mod template;
mod veil;

pub use check::{
    Fault, FieldReport, Known, MAX_MESSAGE, Report, Sample, Verdict, Warning, examine,
};
pub use fill::{CHANGES, Change, fill, placeholders};
pub use journal::{Then, compare};
pub use outcome::Outcome;
pub use template::{Kind, Message, PASSKEY, Wish, messages, setup};
