//! The contract, field by field.

use hoox_model::{Decimal, Timestamp};

use crate::alert::Fields;
use crate::{Signal, SignalError};

/// Longest name of a strategy or order, in characters.
pub(crate) const MAX_NAME_CHARS: usize = 255;
/// Longest comment or message, in characters: what a Telegram message holds.
pub(crate) const MAX_TEXT_CHARS: usize = 4096;
/// Longest chat id, in characters.
pub(crate) const MAX_CHAT_CHARS: usize = 64;

pub(crate) fn signal(
    _fields: &Fields,
    _header: Option<&str>,
    _now: Timestamp,
) -> Result<Signal, SignalError> {
    Err(SignalError::bad("action", "not yet"))
}

/// Leverage above 0 and at most 200.
pub(crate) fn leverage_in_range(leverage: Decimal) -> Result<(), SignalError> {
    if leverage > Decimal::ZERO && leverage <= Decimal::from(200u8) {
        Ok(())
    } else {
        Err(SignalError::bad(
            "leverage",
            "leverage must be above 0 and at most 200",
        ))
    }
}

/// 1 to 255 printable ASCII characters, no space at either end.
pub(crate) fn idempotency_key_fits(key: &str) -> Result<(), SignalError> {
    let fits = (1..=255).contains(&key.len())
        && key.bytes().all(|b| (0x20..=0x7e).contains(&b))
        && key.trim() == key;
    if fits {
        Ok(())
    } else {
        Err(SignalError::bad(
            "idempotencyKey",
            "idempotencyKey must be 1 to 255 printable ASCII characters",
        ))
    }
}

/// At most `limit` characters.
pub(crate) fn not_longer(field: &str, text: &str, limit: usize) -> Result<(), SignalError> {
    if text.chars().count() <= limit {
        Ok(())
    } else {
        Err(SignalError::bad(
            field,
            format!("{field} is longer than {limit} characters; shorten it"),
        ))
    }
}
