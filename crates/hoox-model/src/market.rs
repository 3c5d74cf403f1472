//! Venues, products, symbols and the venue's rules for one instrument.

use core::fmt;
use core::str::FromStr;

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{Amount, Name, Quantity, Step};

/// Why a text names no market.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum MarketError {
    /// No venue of this name.
    #[error("'{0}' is not a venue Hoox knows: use bybit, binance or mexc")]
    UnknownVenue(String),
    /// Not in the form of a symbol.
    #[error("'{0}' is not a symbol: use letters and digits such as BTCUSDT")]
    BadSymbol(String),
}

/// An exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Venue {
    /// Bybit, API v5.
    Bybit,
    /// Binance.
    Binance,
    /// MEXC.
    Mexc,
}

words!(Venue {
    Bybit = "bybit",
    Binance = "binance",
    Mexc = "mexc",
});

impl Venue {
    /// Every venue.
    pub const ALL: [Self; 3] = [Self::Bybit, Self::Binance, Self::Mexc];
}

impl FromStr for Venue {
    type Err = MarketError;

    fn from_str(text: &str) -> Result<Self, MarketError> {
        Self::ALL
            .into_iter()
            .find(|venue| venue.as_str().eq_ignore_ascii_case(text))
            .ok_or_else(|| MarketError::UnknownVenue(text.chars().take(40).collect()))
    }
}

impl fmt::Display for Venue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What kind of market a symbol is traded on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Product {
    /// Perpetual futures settled in the quote currency (Bybit `linear`, Binance USD-M).
    Linear,
    /// Spot.
    Spot,
}

words!(Product {
    Linear = "linear",
    Spot = "spot",
});

impl fmt::Display for Product {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A market's name without separators, prefix or suffix, upper case: `BTCUSDT`. Venues spell it
/// their own way; this is the one spelling in Hoox.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Symbol(String);

impl Symbol {
    /// The symbol as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Symbol {
    type Err = MarketError;

    fn from_str(text: &str) -> Result<Self, MarketError> {
        let fits =
            (2..=30).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric());
        if fits {
            Ok(Self(text.to_ascii_uppercase()))
        } else {
            Err(MarketError::BadSymbol(text.chars().take(40).collect()))
        }
    }
}

impl TryFrom<String> for Symbol {
    type Error = MarketError;

    fn try_from(text: String) -> Result<Self, MarketError> {
        text.parse()
    }
}

impl From<Symbol> for String {
    fn from(symbol: Symbol) -> String {
        symbol.0
    }
}

impl fmt::Display for Symbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A venue's rules for one symbol.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instrument {
    /// The symbol.
    pub symbol: Symbol,
    /// The product it is traded as.
    pub product: Product,
    /// Currency of quantities.
    pub base: String,
    /// Currency of prices and notionals.
    pub quote: String,
    /// Prices are multiples of this.
    pub tick_size: Step,
    /// Quantities are multiples of this.
    pub quantity_step: Step,
    /// Smallest quantity of an order.
    pub min_quantity: Quantity,
    /// Largest quantity of a limit order.
    pub max_limit_quantity: Quantity,
    /// Largest quantity of a market order.
    pub max_market_quantity: Quantity,
    /// Smallest notional of an order that is not reduce-only.
    pub min_notional: Amount,
    /// Highest leverage; `None` where the product has none.
    pub max_leverage: Option<Decimal>,
    /// Whether the venue accepts orders for it now.
    pub trading: bool,
}

/// Where a signal wants to go; the sender's rights and the manifest decide where it goes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Destination {
    /// The account by its name.
    pub account: Option<Name>,
    /// The exchange.
    pub exchange: Option<Venue>,
    /// The exchange before the colon of the symbol: the last resort.
    pub venue_prefix: Option<Venue>,
    /// Whether it must not reach a live account.
    pub test: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn venues_are_known_in_any_case() {
        assert_eq!("BYBIT".parse::<Venue>().unwrap(), Venue::Bybit);
        assert_eq!("Mexc".parse::<Venue>().unwrap(), Venue::Mexc);
        assert!("ftx".parse::<Venue>().is_err());
    }

    #[test]
    fn symbols_are_upper_case_letters_and_digits() {
        assert_eq!("btcusdt".parse::<Symbol>().unwrap().as_str(), "BTCUSDT");
        for text in ["", "B", "BTC/USDT", "BTC USDT", "ÄTCUSDT", &"A".repeat(31)] {
            assert!(text.parse::<Symbol>().is_err(), "{text}");
        }
    }
}
