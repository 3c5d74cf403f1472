//! Bybit's return codes (docs/v5/error) and which of the engine's refusals each stands for.

use crate::engine::Refusal;
use crate::exact::Overflow;

/// A return code with its message, and the HTTP status it travels with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// HTTP status; 200 for nearly everything.
    pub(crate) status: u16,
    /// `retCode`.
    pub(crate) code: i64,
    /// `retMsg`.
    pub(crate) message: String,
}

impl Failure {
    pub(crate) fn new(code: i64, message: impl Into<String>) -> Self {
        Self {
            status: 200,
            code,
            message: message.into(),
        }
    }

    /// 10001 for one named parameter.
    pub(crate) fn parameter(name: &str) -> Self {
        Self::new(10001, format!("params error: {name} invalid"))
    }

    /// Route not found.
    pub(crate) fn no_route() -> Self {
        Self {
            status: 404,
            code: 10017,
            message: "Route not found.".to_owned(),
        }
    }
}

impl From<Overflow> for Failure {
    fn from(_: Overflow) -> Self {
        Self::new(10016, "Internal System Error.")
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        let (code, message) = match refusal {
            Refusal::UnknownSymbol => (10001, "params error: symbol invalid"),
            Refusal::NotTrading => (110_074, "This contract is not live"),
            Refusal::PositionMode => (10001, "position idx not match position mode"),
            Refusal::ModeUnchanged => (110_025, "Position mode is not modified"),
            Refusal::ModePosition => (
                110_024,
                "You have an existing position, so the position mode cannot be switched",
            ),
            Refusal::ModeOrders => (
                110_028,
                "You have existing open orders, so the position mode cannot be switched",
            ),
            Refusal::QuantityTooSmall => (
                10001,
                "The number of contracts exceeds minimum limit allowed",
            ),
            Refusal::QuantityTooLarge => (
                10001,
                "The number of contracts exceeds maximum limit allowed: too large",
            ),
            Refusal::QuantityStep => (10001, "Qty invalid"),
            Refusal::PriceMissing | Refusal::PriceTick => (10001, "Price invalid"),
            Refusal::PriceRange => (110_003, "Order price is out of permissible range"),
            Refusal::NotionalTooSmall { minimum } => {
                return Self::new(
                    110_094,
                    format!(
                        "Order does not meet minimum order value {}USDT",
                        minimum.normalize()
                    ),
                );
            }
            Refusal::InsufficientMargin => (110_007, "ab not enough for new order"),
            Refusal::NoPosition => (
                110_017,
                "current position is zero, cannot fix reduce-only order qty",
            ),
            Refusal::WouldIncrease => (110_017, "Reduce-only rule not satisfied"),
            Refusal::DuplicateClientId => (110_072, "OrderLinkedID is duplicate"),
            Refusal::TooManyOpen => (110_020, "Not allowed to have more than 500 active orders"),
            Refusal::OrderNotFound => (110_001, "order not exists or too late to cancel"),
            Refusal::LeverageUnchanged => (110_043, "leverage not modified"),
            Refusal::LeverageRange => (10001, "params error: leverage invalid"),
            Refusal::ProtectionSide => (
                10001,
                "TakeProfit or StopLoss is on the wrong side of the price",
            ),
            Refusal::Full | Refusal::Overflow(_) => (10016, "Internal System Error."),
        };
        Self::new(code, message)
    }
}
