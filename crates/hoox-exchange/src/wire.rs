//! Numbers as venues write them, kept as text until they become exact decimals. The one place where
//! a JSON number is read, so that none passes through binary floating point.

use core::str::FromStr;

use hoox_model::{Amount, Decimal, MoneyError, Timestamp, parse_decimal};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::VenueError;

/// A number in a JSON string or a JSON number, or nothing: missing, null or an empty string.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Number(String);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::of(<&RawValue>::deserialize(deserializer)?)
            .ok_or_else(|| D::Error::custom("not a number"))
    }
}

impl Number {
    /// Kept out of the readers of the many fields.
    #[inline(never)]
    fn of(raw: &RawValue) -> Option<Self> {
        let raw = raw.get();
        match raw.as_bytes().first()? {
            b'"' => serde_json::from_str(raw).ok().map(Self),
            b'-' | b'0'..=b'9' => Some(Self(raw.to_owned())),
            _ => (raw == "null").then(Self::default),
        }
    }

    /// Whether nothing was given.
    pub(crate) const fn is_blank(&self) -> bool {
        self.0.is_empty()
    }

    /// The exact value as a type of money.
    ///
    /// # Errors
    /// [`VenueError`] of class `Unknown` that names `field`.
    pub(crate) fn get<T>(&self, field: &str) -> Result<T, VenueError>
    where
        T: FromStr<Err = MoneyError>,
    {
        self.0
            .parse()
            .map_err(|error: MoneyError| unreadable(field, &error.to_string()))
    }

    /// The exact value, or `None` where nothing was given.
    ///
    /// # Errors
    /// [`VenueError`] of class `Unknown` that names `field`.
    pub(crate) fn decimal(&self, field: &str) -> Result<Option<Decimal>, VenueError> {
        if self.is_blank() {
            return Ok(None);
        }
        parse_decimal(&self.0)
            .map(Some)
            .map_err(|error| unreadable(field, &error.to_string()))
    }

    /// A value that only informs (a mean price, a profit): `None` also where it is zero-as-missing
    /// or has more digits than can be held exactly, because no decision may hang on it.
    pub(crate) fn informative<T>(&self) -> Option<T>
    where
        T: FromStr<Err = MoneyError>,
    {
        self.0.parse().ok()
    }

    /// The amount, or zero where nothing was given.
    ///
    /// # Errors
    /// [`VenueError`] of class `Unknown` that names `field`.
    pub(crate) fn amount_or_zero(&self, field: &str) -> Result<Amount, VenueError> {
        if self.is_blank() {
            Ok(Amount::ZERO)
        } else {
            self.get(field)
        }
    }

    /// Epoch milliseconds.
    ///
    /// # Errors
    /// [`VenueError`] of class `Unknown` that names `field`.
    pub(crate) fn millis(&self, field: &str) -> Result<Timestamp, VenueError> {
        self.integer(field).map(Timestamp::from_millis)
    }

    /// A whole number that is not negative.
    ///
    /// # Errors
    /// [`VenueError`] of class `Unknown` that names `field`.
    pub(crate) fn integer(&self, field: &str) -> Result<i64, VenueError> {
        match self.0.parse::<i64>() {
            Ok(number) if number >= 0 => Ok(number),
            _ => Err(unreadable(field, "it is not a whole number")),
        }
    }
}

fn unreadable(field: &str, why: &str) -> VenueError {
    VenueError::unreadable(&format!("the venue's '{field}' cannot be read: {why}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Deserialize)]
    struct Holder {
        #[serde(default)]
        n: Number,
    }

    fn read(json: &str) -> Result<Number, serde_json::Error> {
        serde_json::from_str::<Holder>(json).map(|holder| holder.n)
    }

    #[test]
    fn strings_numbers_and_nothing() {
        for (json, expected) in [
            (r#"{"n":"1.50"}"#, Some("1.5")),
            (r#"{"n":1.50}"#, Some("1.5")),
            (r#"{"n":0.1e-7}"#, Some("0.00000001")),
            (
                r#"{"n":123456789.123456789123}"#,
                Some("123456789.123456789123"),
            ),
            (r#"{"n":"\u0031"}"#, Some("1")),
            (r#"{"n":""}"#, None),
            (r#"{"n":null}"#, None),
            ("{}", None),
        ] {
            let value = read(json).unwrap().decimal("n").unwrap();
            assert_eq!(
                value,
                expected.map(|text| parse_decimal(text).unwrap()),
                "{json}"
            );
        }
        for json in [r#"{"n":true}"#, r#"{"n":[1]}"#, r#"{"n":{}}"#] {
            assert!(read(json).is_err(), "{json}");
        }
        for json in [
            r#"{"n":"abc"}"#,
            r#"{"n":1e999}"#,
            r#"{"n":"1.00000000000000000000000000000000001"}"#,
        ] {
            assert!(read(json).unwrap().decimal("n").is_err(), "{json}");
        }
    }

    #[test]
    fn whole_numbers() {
        for (json, expected) in [
            (r#"{"n":"1684738540559"}"#, Some(1_684_738_540_559)),
            (r#"{"n":0}"#, Some(0)),
            (r#"{"n":"-1"}"#, None),
            (r#"{"n":"1.0"}"#, None),
            (r#"{"n":"99999999999999999999"}"#, None),
            ("{}", None),
        ] {
            assert_eq!(read(json).unwrap().integer("n").ok(), expected, "{json}");
        }
    }

    proptest! {
        #[test]
        fn a_json_number_reads_as_its_text(digits in any::<i64>(), scale in 0u32..=18) {
            let value = Decimal::new(digits, scale);
            let number = read(&format!(r#"{{"n":{value}}}"#)).unwrap();
            prop_assert_eq!(number.decimal("n").unwrap(), Some(value));
        }
    }
}
