//! Exact decimal money. No binary floating point enters or leaves these types.

use core::fmt;
use core::str::FromStr;

use rust_decimal::{Decimal, RoundingStrategy};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

/// Why a text is not an amount Hoox can hold exactly.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum MoneyError {
    /// The text is not a decimal number, or holds more digits than can be kept exactly (28).
    #[error("'{0}' is not a decimal number that can be held exactly")]
    NotDecimal(String),
    /// A price or a step must be above zero.
    #[error("{0} is not above zero")]
    NotPositive(Decimal),
    /// A quantity cannot be negative.
    #[error("{0} is negative")]
    Negative(Decimal),
    /// The exact result does not fit into 28 digits.
    #[error("the amount is too large to calculate with")]
    Overflow,
}

/// Longest text that is looked at: 28 digits, sign, point and exponent fit twice over.
const MAX_TEXT: usize = 64;

/// Parses a JSON number or a venue's decimal string exactly, exponents included.
///
/// # Errors
/// [`MoneyError::NotDecimal`] for anything that is not a number (`NaN`, `na`, empty text) or
/// would have to be rounded.
pub fn parse_decimal(text: &str) -> Result<Decimal, MoneyError> {
    let refuse = || MoneyError::NotDecimal(text.chars().take(MAX_TEXT).collect());
    let is_number_char =
        |c: u8| c.is_ascii_digit() || matches!(c, b'+' | b'-' | b'.' | b'e' | b'E');
    if text.is_empty() || text.len() > MAX_TEXT || !text.bytes().all(is_number_char) {
        return Err(refuse());
    }
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().map_err(|_| refuse())?),
        None => (text, 0),
    };
    let mantissa = Decimal::from_str_exact(mantissa).map_err(|_| refuse())?;
    shift(mantissa, exponent).ok_or_else(refuse)
}

/// `value` × 10^`exponent`, or `None` where that cannot be held exactly.
fn shift(mut value: Decimal, exponent: i32) -> Option<Decimal> {
    if value.is_zero() {
        return Some(Decimal::ZERO);
    }
    let places = exponent.unsigned_abs();
    if exponent < 0 {
        value = value.normalize();
        value.set_scale(value.scale().checked_add(places)?).ok()?;
        return Some(value);
    }
    let factor = 10i128.checked_pow(places)?;
    value.checked_mul(Decimal::try_from_i128_with_scale(factor, 0).ok()?)
}

/// An increment that prices (tick size) or quantities (quantity step) must be a multiple of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Step(Decimal);

impl Step {
    /// The largest multiple of the step that is not above `value` (towards zero for sizes).
    ///
    /// # Errors
    /// [`MoneyError::Overflow`] where the quotient has no exact form.
    pub fn floor(self, value: Decimal) -> Result<Decimal, MoneyError> {
        self.round(value, RoundingStrategy::ToNegativeInfinity)
    }

    /// The smallest multiple of the step that is not below `value`.
    ///
    /// # Errors
    /// [`MoneyError::Overflow`] where the quotient has no exact form.
    pub fn ceil(self, value: Decimal) -> Result<Decimal, MoneyError> {
        self.round(value, RoundingStrategy::ToPositiveInfinity)
    }

    /// Whether `value` is a whole multiple of the step.
    pub fn divides(self, value: Decimal) -> bool {
        value.checked_rem(self.0).is_some_and(|rest| rest.is_zero())
    }

    fn round(self, value: Decimal, strategy: RoundingStrategy) -> Result<Decimal, MoneyError> {
        if self.divides(value) {
            return Ok(value.normalize());
        }
        let steps = value.checked_div(self.0).ok_or(MoneyError::Overflow)?;
        let whole = steps.round_dp_with_strategy(0, strategy);
        whole
            .checked_mul(self.0)
            .map(|v| v.normalize())
            .ok_or(MoneyError::Overflow)
    }
}

macro_rules! decimal_type {
    ($(#[$doc:meta])* $name:ident, $check:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Decimal);

        decimal_impl!($name, $check);
    };
}

macro_rules! decimal_impl {
    ($name:ident, $check:expr) => {
        impl $name {
            /// The exact value.
            pub const fn get(self) -> Decimal {
                self.0
            }
        }

        impl TryFrom<Decimal> for $name {
            type Error = MoneyError;

            fn try_from(value: Decimal) -> Result<Self, MoneyError> {
                let check: fn(Decimal) -> Result<Decimal, MoneyError> = $check;
                check(value.normalize()).map(Self)
            }
        }

        impl From<$name> for Decimal {
            fn from(value: $name) -> Decimal {
                value.0
            }
        }

        impl FromStr for $name {
            type Err = MoneyError;

            fn from_str(text: &str) -> Result<Self, MoneyError> {
                Self::try_from(parse_decimal(text)?)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            /// From text alone: a JSON number may have been rounded on its way.
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(D::Error::custom)
            }
        }
    };
}

decimal_impl!(Step, positive);

decimal_type!(
    /// A price: quote currency for one unit of the base currency. Always above zero.
    Price,
    positive
);
decimal_type!(
    /// A size in units of the base currency. Never negative; the side says which way.
    Quantity,
    not_negative
);
decimal_type!(
    /// A signed sum of a currency: notional, balance, profit, fee.
    Amount,
    Ok
);

fn positive(value: Decimal) -> Result<Decimal, MoneyError> {
    if value > Decimal::ZERO {
        Ok(value)
    } else {
        Err(MoneyError::NotPositive(value))
    }
}

fn not_negative(value: Decimal) -> Result<Decimal, MoneyError> {
    if value >= Decimal::ZERO {
        Ok(value)
    } else {
        Err(MoneyError::Negative(value))
    }
}

impl Default for Quantity {
    fn default() -> Self {
        Self::ZERO
    }
}

impl Quantity {
    /// Nothing.
    pub const ZERO: Self = Self(Decimal::ZERO);

    /// Whether there is nothing.
    pub fn is_zero(self) -> bool {
        self.0.is_zero()
    }

    /// The sum.
    ///
    /// # Errors
    /// [`MoneyError::Overflow`] past 28 digits.
    pub fn plus(self, other: Self) -> Result<Self, MoneyError> {
        self.0
            .checked_add(other.0)
            .map(|v| Self(v.normalize()))
            .ok_or(MoneyError::Overflow)
    }

    /// What is left after taking `other` away, never below zero.
    #[must_use]
    pub fn minus_or_zero(self, other: Self) -> Self {
        match self.0.checked_sub(other.0) {
            Some(rest) if rest > Decimal::ZERO => Self(rest.normalize()),
            _ => Self::ZERO,
        }
    }

    /// Rounds down to a multiple of `step`: sizes round towards less risk.
    ///
    /// # Errors
    /// [`MoneyError::Overflow`] where the quotient has no exact form.
    pub fn floor_to(self, step: Step) -> Result<Self, MoneyError> {
        step.floor(self.0).map(Self)
    }

    /// Notional value of this size at `price`, in quote currency.
    ///
    /// # Errors
    /// [`MoneyError::Overflow`] past 28 digits.
    pub fn notional(self, price: Price) -> Result<Amount, MoneyError> {
        self.0
            .checked_mul(price.0)
            .map(|v| Amount(v.normalize()))
            .ok_or(MoneyError::Overflow)
    }
}

impl Amount {
    /// Nothing.
    pub const ZERO: Self = Self(Decimal::ZERO);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn d(text: &str) -> Decimal {
        parse_decimal(text).unwrap()
    }

    #[test]
    fn parses_what_json_and_venues_send() {
        assert_eq!(d("1e-7").to_string(), "0.0000001");
        assert_eq!(d("1.5E3").normalize().to_string(), "1500");
        assert_eq!(d("0.10").to_string(), "0.10");
        assert_eq!("0.10".parse::<Quantity>().unwrap().to_string(), "0.1");
    }

    #[test]
    fn refuses_what_is_not_an_exact_number() {
        for text in [
            "",
            "NaN",
            "na",
            "inf",
            "1,5",
            " 1",
            "1_000",
            "0x1",
            "1e",
            "--1",
            "1e400",
            "{{x}}",
            "0.123456789012345678901234567890123",
        ] {
            assert!(parse_decimal(text).is_err(), "{text}");
        }
    }

    #[test]
    fn types_keep_their_bounds() {
        assert_eq!(
            "0".parse::<Price>(),
            Err(MoneyError::NotPositive(Decimal::ZERO))
        );
        assert!("-1".parse::<Quantity>().is_err());
        assert!("-1".parse::<Amount>().is_ok());
        assert!(
            serde_json::from_str::<Price>("1.5").is_err(),
            "a float never becomes a price"
        );
        assert_eq!(
            serde_json::to_string(&"1.50".parse::<Price>().unwrap()).unwrap(),
            "\"1.5\""
        );
    }

    proptest! {
        #[test]
        fn floor_is_the_nearest_multiple_below(units in 0i64..1_000_000_000, step_units in 1i64..100_000, scale in 0u32..8) {
            let value = Decimal::new(units, 8);
            let step = Step::try_from(Decimal::new(step_units, scale)).unwrap();
            let floored = step.floor(value).unwrap();
            prop_assert!(floored <= value);
            prop_assert!(value.checked_sub(floored).unwrap() < step.get());
            prop_assert!(step.divides(floored));
            let ceiled = step.ceil(value).unwrap();
            prop_assert!(ceiled >= value && step.divides(ceiled));
            prop_assert!(ceiled.checked_sub(value).unwrap() < step.get());
        }
    }
}
