//! Exact decimal arithmetic that reports an overflow instead of panicking.

use rust_decimal::{Decimal, RoundingStrategy};

/// A result left the range of [`Decimal`]; with the instruments' limits this takes an absurd balance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an amount left the range of exact decimals")]
pub struct Overflow;

pub(crate) fn add(a: Decimal, b: Decimal) -> Result<Decimal, Overflow> {
    a.checked_add(b).ok_or(Overflow)
}

pub(crate) fn sub(a: Decimal, b: Decimal) -> Result<Decimal, Overflow> {
    a.checked_sub(b).ok_or(Overflow)
}

pub(crate) fn mul(a: Decimal, b: Decimal) -> Result<Decimal, Overflow> {
    a.checked_mul(b).ok_or(Overflow)
}

pub(crate) fn div(a: Decimal, b: Decimal) -> Result<Decimal, Overflow> {
    a.checked_div(b).ok_or(Overflow)
}

/// The same amount with the opposite sign.
pub(crate) fn negate(a: Decimal) -> Decimal {
    let mut opposite = a;
    opposite.set_sign_positive(!a.is_sign_positive());
    if opposite.is_zero() {
        Decimal::ZERO
    } else {
        opposite
    }
}

/// Whether `amount` is a whole number of `step`s.
pub(crate) fn is_multiple(amount: Decimal, step: Decimal) -> bool {
    amount.checked_rem(step).is_some_and(|rest| rest.is_zero())
}

/// `amount` cut towards zero to a whole number of `step`s.
pub(crate) fn floor_to(amount: Decimal, step: Decimal) -> Result<Decimal, Overflow> {
    mul(div(amount, step)?.trunc(), step)
}

/// Text of `amount` with exactly the decimals of `step`, as the venues print prices and quantities.
pub(crate) fn at_scale(amount: Decimal, step: Decimal) -> String {
    let mut text = amount;
    text.rescale(step.scale());
    text.to_string()
}

/// Text of `amount` with at most eight decimals and no trailing zeros, as the venues print money.
pub(crate) fn money(amount: Decimal) -> String {
    amount
        .round_dp_with_strategy(8, RoundingStrategy::MidpointNearestEven)
        .normalize()
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dec(text: &str) -> Decimal {
        text.parse().unwrap()
    }

    #[test]
    fn money_keeps_eight_decimals_and_no_tail() {
        assert_eq!(money(dec("1.500")), "1.5");
        assert_eq!(money(dec("0.123456785")), "0.12345678");
        assert_eq!(money(Decimal::ZERO), "0");
        assert_eq!(money(dec("-0.000000001")), "0");
    }

    #[test]
    fn steps_are_exact() {
        assert!(is_multiple(dec("0.003"), dec("0.001")));
        assert!(!is_multiple(dec("0.0015"), dec("0.001")));
        assert_eq!(floor_to(dec("0.0019"), dec("0.001")), Ok(dec("0.001")));
        assert_eq!(at_scale(dec("65000.5"), dec("0.10")), "65000.50");
    }

    #[test]
    fn negating_zero_is_zero() {
        assert_eq!(negate(Decimal::ZERO).to_string(), "0");
        assert_eq!(negate(dec("-1.5")), dec("1.5"));
    }
}
