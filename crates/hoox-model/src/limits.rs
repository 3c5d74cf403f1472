//! The limits of an account.

use serde::{Serialize, Serializer};

use crate::{Amount, Symbol};

/// What entries may do on an account. Exits are never limited. What is missing is not limited.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Limits {
    /// Most symbols on which a position is held or an entry is on its way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_open_positions: Option<u32>,
    /// Most that may be lost in a day of UTC, realised and not, in the currency that positions are
    /// settled in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_daily_loss: Option<Amount>,
    /// For every symbol that has none of its own; the rate is also that of the account as a whole.
    #[serde(flatten)]
    pub account: SymbolLimits,
    /// By symbol, instead of those of the account.
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "as_map")]
    pub symbols: Vec<(Symbol, SymbolLimits)>,
}

fn as_map<S: Serializer>(
    symbols: &[(Symbol, SymbolLimits)],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(
        symbols
            .iter()
            .map(|(symbol, limits)| (symbol.as_str(), limits)),
    )
}

/// Limits of one symbol.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SymbolLimits {
    /// Most that a position may be worth, in quote currency, entries that rest included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_position_notional: Option<Amount>,
    /// Most orders within a minute. Exits are counted and never refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_orders_per_minute: Option<u32>,
}

impl Limits {
    /// Whether nothing is limited.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// The limits of a symbol itself.
    fn own(&self, symbol: &Symbol) -> Option<&SymbolLimits> {
        self.symbols
            .iter()
            .find_map(|(known, limits)| (known == symbol).then_some(limits))
    }

    /// The most that a position of a symbol may be worth.
    pub fn max_position_notional(&self, symbol: &Symbol) -> Option<Amount> {
        self.own(symbol)
            .and_then(|own| own.max_position_notional)
            .or(self.account.max_position_notional)
    }

    /// The most orders of a symbol within a minute, where it has a limit of its own.
    pub fn max_orders_per_minute(&self, symbol: &Symbol) -> Option<u32> {
        self.own(symbol).and_then(|own| own.max_orders_per_minute)
    }
}
