//! Sizes, triggers and what to do with an opposite position.

use core::fmt;

use hoox_model::{Amount, Decimal, Price, Quantity, words};
use serde::{Deserialize, Serialize};

/// What entering does with an opposite position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum OnOpposite {
    /// Close it, wait for the fill, then open the signal's quantity.
    #[default]
    Reverse,
    /// Send one order of the signal's quantity, which nets with it.
    Net,
    /// Refuse the signal.
    Refuse,
}

words!(OnOpposite {
    Reverse = "reverse",
    Net = "net",
    Refuse = "refuse",
});

/// A percentage above 0 and at most 1000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Decimal", into = "Decimal")]
pub struct Percent(Decimal);

impl Percent {
    /// The percentage: 1 is one hundredth.
    pub const fn get(self) -> Decimal {
        self.0
    }
}

impl TryFrom<Decimal> for Percent {
    type Error = &'static str;

    fn try_from(value: Decimal) -> Result<Self, Self::Error> {
        if value > Decimal::ZERO && value <= Decimal::ONE_THOUSAND {
            Ok(Self(value.normalize()))
        } else {
            Err("a percentage must be above 0 and at most 1000")
        }
    }
}

impl From<Percent> for Decimal {
    fn from(value: Percent) -> Self {
        value.0
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// How large: `quantity` read by `quantityType`. Always above zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Sizing {
    /// In units of the base currency.
    Base(Quantity),
    /// As a notional in the quote currency.
    Quote(Amount),
    /// Percent of the account's equity, before leverage.
    PercentEquity(Percent),
    /// Percent of the present position.
    PercentPosition(Percent),
    /// So that the stop loses this percent of the account's equity.
    RiskPercent(Percent),
}

impl Sizing {
    /// The `quantityType` of the alert.
    pub const fn type_name(self) -> &'static str {
        match self {
            Self::Base(_) => "base",
            Self::Quote(_) => "quote",
            Self::PercentEquity(_) => "percentEquity",
            Self::PercentPosition(_) => "percentPosition",
            Self::RiskPercent(_) => "riskPercent",
        }
    }

    /// The number of the alert.
    pub const fn value(self) -> Decimal {
        match self {
            Self::Base(quantity) => quantity.get(),
            Self::Quote(amount) => amount.get(),
            Self::PercentEquity(percent)
            | Self::PercentPosition(percent)
            | Self::RiskPercent(percent) => percent.get(),
        }
    }
}

/// Where a stop, take-profit or trailing stop acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Trigger {
    /// At this price.
    Price(Price),
    /// This many percent away from the entry price (a trailing stop: from the best price).
    Percent(Percent),
    /// This far away from the entry price (a trailing stop: from the best price), in quote currency.
    Distance(Price),
}
