//! Who may send what, and who may operate: manifest, passkeys, signed webhooks, address ranges, permissions, operators.
//!
//! In scope: the [`Manifest`] that publishes senders and accounts, its validation, which addresses
//! and passkeys it lets in, which account a sender's signal goes to, the signatures of senders
//! that sign, and the [`Operators`] with their keys and levels.
//! Out of scope: where the manifest is kept, the alert's other fields, and time and randomness,
//! which are passed in.

mod account;
mod address;
mod change;
mod key;
mod manifest;
mod operator;
mod passkey;
mod published;
mod read;
mod route;
mod seal;
mod sender;
mod signed;
#[cfg(test)]
mod tests;
mod tree;
mod window;
mod wire;

pub use account::{Account, Environment, LocationHint};
pub use address::{Range, RangeError, TRADINGVIEW_RANGES, is_tradingviews, parse_client_ip};
pub use change::{MAX_OVERLAP_S, SenderChange};
pub use key::{SenderKey, SigningKey};
pub use manifest::{
    MAX_ACCOUNTS, MAX_BYTES, MAX_RANGES, MAX_SENDERS, Manifest, ManifestError, ROWS_A_DAY,
};
pub use operator::{
    KeyDigest, KeyDigestError, Level, MAX_OPERATORS, OWNER, Operator, OperatorChange, Operators,
    new_operator_key,
};
pub use passkey::{MAX_PASSKEY_BYTES, PasskeyHash, new_passkey};
pub use published::{MAX_PAST, MAX_PAST_BYTES, Past, PastSender, Published};
pub use route::Refusal;
pub use seal::{Sealed, SealedError, SealingKey};
pub use sender::{AccountPattern, EntryRate, OPERATOR, Permission, Sender, SenderView};
pub use signed::{
    MAX_SIGNING_SECRET_BYTES, Scheme, SignatureHeaders, Verified, key_bytes, new_signing_secret,
    verify,
};
pub use window::Window;
