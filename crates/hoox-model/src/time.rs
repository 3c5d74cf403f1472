//! Moments, as milliseconds since the Unix epoch.

use core::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

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
        let (seconds, millis) = (self.0.div_euclid(1000), self.0.rem_euclid(1000));
        match OffsetDateTime::from_unix_timestamp(seconds) {
            Ok(at) if (0..=9999).contains(&at.year()) => {
                let (hour, minute, second) = at.to_hms();
                write!(
                    f,
                    "{:04}-{:02}-{:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z",
                    at.year(),
                    u8::from(at.month()),
                    at.day(),
                )
            }
            _ => write!(f, "{}", self.0),
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
    fn shows_moments_as_far_as_years_have_four_digits() {
        for (millis, expected) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (951_827_696_007, "2000-02-29T12:34:56.007Z"),
            (-62_167_219_200_000, "0000-01-01T00:00:00.000Z"),
            (-62_167_219_200_001, "-62167219200001"),
            (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
            (253_402_300_800_000, "253402300800000"),
            (i64::MAX, "9223372036854775807"),
        ] {
            assert_eq!(Timestamp::from_millis(millis).to_string(), expected);
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
