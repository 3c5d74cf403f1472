//! Moments, as milliseconds since the Unix epoch.

use core::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;

/// Why a text is not a moment.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "'{0}' is not a time: use {{{{timenow}}}}, an ISO 8601 UTC time, or seconds or milliseconds since 1970"
)]
pub struct TimestampError(String);

/// A moment in milliseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

/// Whole numbers below this are seconds (it is the year 5138), above it milliseconds (March 1973).
const SECONDS_LIMIT: i64 = 100_000_000_000;

impl Timestamp {
    /// From milliseconds since the epoch.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the epoch.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// This moment moved by `millis`, which may be negative; saturating.
    #[must_use]
    pub const fn plus_millis(self, millis: i64) -> Self {
        Self(self.0.saturating_add(millis))
    }

    /// Milliseconds from `earlier` to this moment; negative where `earlier` is later.
    pub const fn since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Parses TradingView's `yyyy-MM-ddTHH:mm:ssZ`, any RFC 3339 time, or whole epoch seconds or
    /// milliseconds.
    ///
    /// # Errors
    /// [`TimestampError`] with the start of the text.
    pub fn parse(text: &str) -> Result<Self, TimestampError> {
        let refuse = || TimestampError(text.chars().take(40).collect());
        if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
            let number: i64 = text.parse().map_err(|_| refuse())?;
            return match number {
                0 => Err(refuse()),
                n if n < SECONDS_LIMIT => Ok(Self(n.saturating_mul(1000))),
                n => Ok(Self(n)),
            };
        }
        let moment = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| refuse())?;
        i64::try_from(moment.unix_timestamp_nanos() / 1_000_000)
            .map(Self)
            .map_err(|_| refuse())
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC with milliseconds, or the bare number where the year has no four digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let format = format_description!(
            "[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z"
        );
        let nanos = i128::from(self.0).saturating_mul(1_000_000);
        match OffsetDateTime::from_unix_timestamp_nanos(nanos)
            .ok()
            .and_then(|m| m.format(&format).ok())
        {
            Some(text) => f.write_str(&text),
            None => write!(f, "{}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_what_tradingview_and_people_send() {
        let expected = Timestamp::from_millis(1_780_000_000_000);
        assert_eq!(expected.to_string(), "2026-05-28T20:26:40.000Z");
        for text in [
            "2026-05-28T20:26:40Z",
            "2026-05-28T22:26:40+02:00",
            "1780000000",
            "1780000000000",
        ] {
            assert_eq!(Timestamp::parse(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn refuses_what_is_no_time() {
        for text in [
            "",
            "now",
            "2026-05-28",
            "-5",
            "0",
            "1.5",
            "{{timenow}}",
            "99999999999999999999",
        ] {
            assert!(Timestamp::parse(text).is_err(), "{text}");
        }
    }
}
