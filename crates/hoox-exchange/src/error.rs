//! What an answer proves when it is not the wished one.

use core::fmt;

use thiserror::Error;

use crate::TransportError;
use crate::http::redact_signature;

/// Longest sentence of a venue that is kept.
const MAX_MESSAGE: usize = 300;
/// Longest code of a venue that is kept.
const MAX_CODE: usize = 40;

/// What is known about the request after an error. For calls that only read, every class means
/// that nothing was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorClass {
    /// Definite: the venue refused, finally.
    Rejected,
    /// Definite: the venue has no such symbol.
    UnknownSymbol,
    /// Definite: not done, because of too many calls.
    RateLimited,
    /// Definite: not done, because the venue shuts the address or the key out for a while. Calls before
    /// the end of it may prolong it.
    Banned,
    /// Definite: not done, because the clocks differ. Resync, then try again.
    ClockSkew,
    /// Definite: not done; it may be tried again.
    Unavailable,
    /// It may have been done: only a look-up can tell.
    Unknown,
    /// Definite: the venue refuses the address or region the call came from.
    Location,
    /// Definite: the venue refuses the API key, its permissions or its signature.
    Credentials,
    /// An order with this client order id exists already: look it up.
    Duplicate,
}

impl ErrorClass {
    /// Whether the request certainly had no effect. [`ErrorClass::Unknown`] and
    /// [`ErrorClass::Duplicate`] leave that open.
    pub const fn is_definite(self) -> bool {
        !matches!(self, Self::Unknown | Self::Duplicate)
    }

    /// Lower-case name, as in records.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rejected => "rejected",
            Self::UnknownSymbol => "unknown_symbol",
            Self::RateLimited => "rate_limited",
            Self::Banned => "banned",
            Self::ClockSkew => "clock_skew",
            Self::Unavailable => "unavailable",
            Self::Unknown => "unknown",
            Self::Location => "location",
            Self::Credentials => "credentials",
            Self::Duplicate => "duplicate",
        }
    }
}

impl fmt::Display for ErrorClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A call to a venue that did not succeed. Safe to log: it holds neither key nor signature.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{message} ({code})")]
pub struct VenueError {
    /// What is known about the request.
    pub class: ErrorClass,
    /// The venue's code, `HTTP 503` where it gave none, or a word in capitals of Hoox's own.
    pub code: String,
    /// The venue's sentence, shortened and without control characters.
    pub message: String,
    /// How long to wait before the next call, where the venue said so, in milliseconds.
    pub retry_after_ms: Option<i64>,
}

impl VenueError {
    /// Hedge mode is on, so that one position per symbol cannot be assumed.
    pub const HEDGE_MODE: &'static str = "HEDGE_MODE";
    /// The venue's adapter does not do this.
    pub const UNSUPPORTED: &'static str = "UNSUPPORTED";
    /// The answer is not in the documented form.
    pub const UNREADABLE: &'static str = "UNREADABLE";
    /// No answer in time.
    pub const TIMEOUT: &'static str = "TIMEOUT";
    /// The connection failed or broke.
    pub const DISCONNECTED: &'static str = "DISCONNECTED";
    /// The request never left.
    pub const NOT_SENT: &'static str = "NOT_SENT";
    /// The answer is longer than [`MAX_RESPONSE_BYTES`](crate::MAX_RESPONSE_BYTES).
    pub const RESPONSE_TOO_LARGE: &'static str = "RESPONSE_TOO_LARGE";
    /// The venue does not know the symbol.
    pub const UNKNOWN_SYMBOL: &'static str = "UNKNOWN_SYMBOL";

    /// An error of `class` with the venue's `code` and `message`, shortened and cleaned.
    pub fn new(class: ErrorClass, code: &str, message: &str) -> Self {
        Self {
            class,
            code: clean(code, MAX_CODE),
            message: clean(&redact_signature(message), MAX_MESSAGE),
            retry_after_ms: None,
        }
    }

    /// An answer that cannot be read: the outcome is unknown.
    pub fn unreadable(message: &str) -> Self {
        Self::new(ErrorClass::Unknown, Self::UNREADABLE, message)
    }

    /// A call this adapter does not make; nothing was sent.
    pub fn unsupported(message: &str) -> Self {
        Self::new(ErrorClass::Rejected, Self::UNSUPPORTED, message)
    }
}

impl From<TransportError> for VenueError {
    fn from(error: TransportError) -> Self {
        let code = match &error {
            TransportError::Timeout => Self::TIMEOUT,
            TransportError::Disconnected(_) => Self::DISCONNECTED,
            TransportError::NotSent(_) => Self::NOT_SENT,
            TransportError::TooLarge => Self::RESPONSE_TOO_LARGE,
        };
        let class = match &error {
            TransportError::NotSent(_) => ErrorClass::Unavailable,
            _ => ErrorClass::Unknown,
        };
        Self::new(class, code, &error.to_string())
    }
}

fn clean(text: &str, max: usize) -> String {
    text.chars().filter(|c| !c.is_control()).take(max).collect()
}
