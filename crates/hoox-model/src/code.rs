//! The stable error codes of Hoox, each with its HTTP status, in the one place that knows both.

use core::fmt;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $status:literal $text:literal,)*) => {
        /// A stable error code. Its text never changes; the sentence beside it may.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Code {
            $($(#[$doc])* $name,)*
        }

        impl Code {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The code as it stands in answers and records.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// HTTP status of an answer that carries this code as a refusal.
            pub const fn status(self) -> u16 {
                match self { $(Self::$name => $status,)* }
            }
        }
    };
}

codes! {
    /// No such path.
    NotFound = 404 "NOT_FOUND",
    /// The path exists, the method does not.
    MethodNotAllowed = 405 "METHOD_NOT_ALLOWED",
    /// Body over the limit.
    TooLarge = 413 "TOO_LARGE",
    /// Before a valid key: says nothing more.
    Forbidden = 403 "FORBIDDEN",
    /// After a valid key: the sender may not do this.
    NotPermitted = 403 "NOT_PERMITTED",
    /// Operator API without a valid bearer key, or an internal call without its edge's key.
    Unauthorized = 401 "UNAUTHORIZED",
    /// Not a JSON object.
    BadJson = 400 "BAD_JSON",
    /// A field has no valid value.
    BadField = 400 "BAD_FIELD",
    /// A `{{placeholder}}` was not filled in.
    Placeholder = 400 "PLACEHOLDER",
    /// Older than its maximal lag, or from the future.
    Stale = 400 "STALE",
    /// No such symbol.
    UnknownSymbol = 400 "UNKNOWN_SYMBOL",
    /// Account, exchange and symbol prefix do not agree.
    VenueMismatch = 400 "VENUE_MISMATCH",
    /// Understood, but not available for this venue.
    Unsupported = 400 "UNSUPPORTED",
    /// The same signal came before.
    Duplicate = 409 "DUPLICATE",
    /// The configuration was changed by somebody else meanwhile.
    Conflict = 409 "CONFLICT",
    /// A newer alert of the same strategy was taken before it, so it would undo what is newer.
    OutOfOrder = 409 "OUT_OF_ORDER",
    /// An exit that was taken later closes the side it would open.
    Superseded = 409 "SUPERSEDED",
    /// An idempotency key came before with other content.
    KeyReused = 422 "KEY_REUSED",
    /// The kill switch is engaged.
    KillSwitch = 423 "KILL_SWITCH",
    /// Too many entries.
    RateLimited = 429 "RATE_LIMITED",
    /// A defect in Hoox.
    Internal = 500 "INTERNAL",
    /// The commit is not confirmed; a resend is safe.
    NotConfirmed = 503 "NOT_CONFIRMED",
    /// No usable configuration was found.
    NotConfigured = 503 "NOT_CONFIGURED",
    /// Smaller than the venue's minimum after rounding down.
    BelowMinimum = 400 "BELOW_MINIMUM",
    /// Larger than the venue's maximum.
    AboveMaximum = 400 "ABOVE_MAXIMUM",
    /// A limit of the account forbids the entry.
    Limit = 400 "LIMIT",
    /// The venue refused the order; its words are in the sentence.
    Rejected = 400 "REJECTED",
    /// Whether the venue has the order is not known; an operator must settle it.
    Unknown = 400 "UNKNOWN_OUTCOME",
    /// The exit ended before everything that it was to close was closed; what is left is said.
    ExitUndone = 400 "EXIT_UNDONE",
    /// An earlier order on the symbol is not settled, so entries are refused.
    Unsettled = 400 "UNSETTLED",
    /// The venue refuses the address or region the call came from.
    Location = 400 "VENUE_LOCATION",
    /// The venue refuses the API key.
    Credentials = 400 "VENUE_CREDENTIALS",
    /// The venue could not be reached or did not answer properly.
    Unavailable = 400 "VENUE_UNAVAILABLE",
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Code {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::ALL
            .iter()
            .copied()
            .find(|code| code.as_str() == text)
            .ok_or_else(|| D::Error::custom("not a code of this version"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_reads_back_as_itself() {
        for code in Code::ALL {
            let json = serde_json::to_string(code).unwrap();
            assert_eq!(json, format!("\"{}\"", code.as_str()));
            assert_eq!(serde_json::from_str::<Code>(&json).unwrap(), *code);
        }
    }
}
