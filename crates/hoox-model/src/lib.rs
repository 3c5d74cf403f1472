//! The vocabulary of Hoox: money, symbols, ids, orders, positions, secrets and time.
//!
//! In scope: types that carry meaning, their parsing and their exact arithmetic.
//! Out of scope: I/O, ambient time and randomness, venue formats, policy.

#[macro_use]
mod words;

mod code;
mod id;
mod key;
mod limits;
mod market;
mod money;
mod order;
mod secret;
mod time;

pub use code::Code;
pub use id::{AccountId, ClientOrderId, IdError, Name, RequestId, SignalId};
pub use key::{KeyInfo, KeyRights, TradeRights};
pub use limits::{Limits, SymbolLimits};
pub use market::{Destination, Instrument, MarketError, Product, Symbol, Venue};
pub use money::{Amount, MoneyError, Price, Quantity, Step, parse_decimal};
pub use order::{
    Balance, Effect, Fill, MarginMode, OrderKind, OrderSnapshot, OrderSpec, OrderStatus, Position,
    PositionSide, Side, TimeInForce,
};
pub use rust_decimal::Decimal;
pub use secret::{Secret, hmac_sha256_hex, sha256_hex};
pub use time::{Timestamp, TimestampError};
