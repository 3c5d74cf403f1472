//! Moments, as milliseconds since the Unix epoch.

use core::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use time::{Date, Month, OffsetDateTime, PrimitiveDateTime, Time};

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
        rfc_3339(text).map(Self).ok_or_else(refuse)
    }
}

/// Milliseconds since 1970 of an RFC 3339 time (section 5.6), leap seconds left out and a blank
/// taken for the `T`. Only the text is
/// taken apart here; the calendar is the library's, whose own parser is ten times as large.
fn rfc_3339(text: &str) -> Option<i64> {
    let (date, rest) = text.split_at_checked(10)?;
    let (clock, rest) = rest.strip_prefix(['T', 't', ' '])?.split_at_checked(8)?;
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let [hour, minute, second] = numbers(clock, ':', [2, 2, 2])?;
    let (millis, zone) = match rest.strip_prefix('.') {
        Some(rest) => fraction(rest)?,
        None => (0, rest),
    };
    let offset_minutes = if zone.eq_ignore_ascii_case("z") {
        0
    } else {
        let (sign, zone) = zone.split_at_checked(1)?;
        let [hours, minutes] = numbers(zone, ':', [2, 2])?;
        if hours > 23 || minutes > 59 {
            return None;
        }
        let minutes = i64::from(hours.checked_mul(60)?.checked_add(minutes)?);
        match sign {
            "+" => minutes,
            "-" => minutes.checked_neg()?,
            _ => return None,
        }
    };
    let byte = |number: u16| u8::try_from(number).ok();
    let month = Month::try_from(byte(month)?).ok()?;
    let date = Date::from_calendar_date(i32::from(year), month, byte(day)?).ok()?;
    let clock = Time::from_hms_milli(byte(hour)?, byte(minute)?, byte(second)?, millis).ok()?;
    PrimitiveDateTime::new(date, clock)
        .assume_utc()
        .unix_timestamp()
        .checked_sub(offset_minutes.checked_mul(60)?)?
        .checked_mul(1_000)?
        .checked_add(i64::from(millis))
}

/// Numbers of so many digits each, between separators.
fn numbers<const N: usize>(text: &str, separator: char, digits: [usize; N]) -> Option<[u16; N]> {
    let mut numbers = [0; N];
    let mut parts = text.split(separator);
    for (number, digits) in numbers.iter_mut().zip(digits) {
        let part = parts.next()?;
        if part.len() != digits || !part.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        *number = part.parse().ok()?;
    }
    parts.next().is_none().then_some(numbers)
}

/// Milliseconds of a fraction of a second, cut off after them, and what follows its digits.
fn fraction(text: &str) -> Option<(u16, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit())?;
    let (digits, rest) = text.split_at_checked(end)?;
    if digits.is_empty() {
        return None;
    }
    let millis: String = digits.chars().chain("00".chars()).take(3).collect();
    Some((millis.parse().ok()?, rest))
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
    use proptest::prelude::*;
    use time::format_description::well_known::Rfc3339;

    use super::*;

    /// What the library's own parser says.
    fn library(text: &str) -> Option<i64> {
        let moment = OffsetDateTime::parse(text, &Rfc3339).ok()?;
        i64::try_from(moment.unix_timestamp_nanos().div_euclid(1_000_000)).ok()
    }

    proptest! {
        #[test]
        fn every_time_reads_as_the_library_reads_it(
            text in "[0-9]{4}-(0[0-9]|1[0-4])-([0-3][0-9])[Tt]([01][0-9]|2[0-5]):[0-6][0-9]:[0-5][0-9](\\.[0-9]{1,9})?(Z|z|[+-][0-2][0-9]:[0-6][0-9])"
        ) {
            prop_assert_eq!(rfc_3339(&text), library(&text), "{}", text);
        }

        #[test]
        fn what_is_almost_a_time_is_refused_as_the_library_refuses_it(
            text in "2026-05-28T20:26:40(\\.[0-9]{0,3})?Z?", at in 0usize..24, odd in "[ -~ä]"
        ) {
            let mut changed = text.clone();
            if changed.is_char_boundary(at) && at < changed.len() {
                changed.replace_range(at..=at, &odd);
            }
            // Other than the library, no leap second is taken, and no odd character between date and time.
            if !changed.contains(":60") && at != 10 {
                prop_assert_eq!(rfc_3339(&changed), library(&changed), "{}", changed);
            }
        }

        #[test]
        fn every_moment_reads_back_as_it_is_shown(millis in 100_000_000_000i64..253_402_300_800_000) {
            let moment = Timestamp::from_millis(millis);
            prop_assert_eq!(Timestamp::parse(&moment.to_string()).unwrap(), moment);
        }

        #[test]
        fn a_text_without_digits_is_no_time(text in "[^0-9]{0,40}") {
            prop_assert!(Timestamp::parse(&text).is_err());
        }
    }

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
