//! Request parameters with the types that docs/v5 gives them.

use rust_decimal::Decimal;
use serde_json::{Map, Value};

use super::error::Failure;

/// Most digits and signs of one number.
const MAX_NUMBER_LEN: usize = 32;

/// A JSON body: strings stay strings, numbers numbers. `null` counts as absent, as at the venue.
#[derive(Debug)]
pub(crate) struct Body(Map<String, Value>);

impl Body {
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Failure> {
        match serde_json::from_slice(bytes) {
            Ok(Value::Object(map)) => Ok(Self(map)),
            _ => Err(Failure::new(
                10001,
                "Request parameter error: the body is no JSON object",
            )),
        }
    }

    fn present(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    /// A string, or absent. An empty string counts as absent.
    pub(crate) fn text(&self, name: &str) -> Result<Option<&str>, Failure> {
        match self.present(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.as_str()).filter(|text| !text.is_empty())),
            Some(_) => Err(Failure::parameter(name)),
        }
    }

    /// A string that must be there.
    pub(crate) fn required(&self, name: &str) -> Result<&str, Failure> {
        self.text(name)?.ok_or_else(|| Failure::parameter(name))
    }

    /// A decimal in a JSON string, or absent.
    pub(crate) fn decimal(&self, name: &str) -> Result<Option<Decimal>, Failure> {
        self.text(name)?
            .map(|text| plain_decimal(text).ok_or_else(|| Failure::parameter(name)))
            .transpose()
    }

    /// A JSON boolean; absent is `false`.
    pub(crate) fn flag(&self, name: &str) -> Result<bool, Failure> {
        match self.present(name) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(_) => Err(Failure::parameter(name)),
        }
    }

    /// A JSON integer, or absent.
    pub(crate) fn integer(&self, name: &str) -> Result<Option<i64>, Failure> {
        match self.present(name) {
            None => Ok(None),
            Some(value) => value
                .as_i64()
                .map(Some)
                .ok_or_else(|| Failure::parameter(name)),
        }
    }
}

/// Digits with at most one point; no sign, no exponent.
pub(crate) fn plain_decimal(text: &str) -> Option<Decimal> {
    let plain = text.len() <= MAX_NUMBER_LEN
        && text
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'.')
        && text.bytes().any(|byte| byte.is_ascii_digit());
    if plain {
        Decimal::from_str_exact(text).ok()
    } else {
        None
    }
}

/// A query string, decoded.
#[derive(Debug)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    pub(crate) fn parse(uri: &axum::http::Uri) -> Result<Self, Failure> {
        axum::extract::Query::<Vec<(String, String)>>::try_from_uri(uri)
            .map(|query| Self(query.0))
            .map_err(|_| Failure::new(10001, "Request parameter error."))
    }

    /// A value, or absent. An empty value counts as absent.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }

    /// A whole number, or absent.
    pub(crate) fn integer(&self, name: &str) -> Result<Option<i64>, Failure> {
        self.text(name)
            .map(|text| text.parse().map_err(|_| Failure::parameter(name)))
            .transpose()
    }

    /// Page size between 1 and `most`.
    pub(crate) fn limit(&self, default: usize, most: usize) -> Result<usize, Failure> {
        match self.integer("limit")? {
            None => Ok(default),
            Some(limit) => usize::try_from(limit)
                .ok()
                .filter(|limit| (1..=most).contains(limit))
                .ok_or_else(|| Failure::parameter("limit")),
        }
    }

    /// Where the next page begins: the sequence of the last row of the page before.
    pub(crate) fn cursor(&self) -> Result<Option<u64>, Failure> {
        self.text("cursor")
            .map(|text| {
                text.strip_prefix("page-")
                    .and_then(|sequence| sequence.parse().ok())
                    .ok_or_else(|| Failure::parameter("cursor"))
            })
            .transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_plain_digits() {
        assert_eq!(
            plain_decimal("0.001")
                .map(|number| number.to_string())
                .as_deref(),
            Some("0.001")
        );
        for wrong in [
            "",
            ".",
            "-1",
            "+1",
            "1e3",
            "1_000",
            "1.2.3",
            " 1",
            "NaN",
            &"9".repeat(33),
        ] {
            assert_eq!(plain_decimal(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_quantity_must_be_a_string() {
        let body = Body::parse(br#"{"qty": 0.001, "price": "1", "side": null}"#).unwrap();
        assert_eq!(
            body.decimal("qty").map_err(|failure| failure.code),
            Err(10001)
        );
        assert_eq!(body.decimal("price"), Ok(Some(Decimal::ONE)));
        assert_eq!(body.text("side"), Ok(None));
        assert!(Body::parse(b"[1]").is_err());
    }
}
