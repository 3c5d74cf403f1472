//! What can be traded and by which rules.

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

/// Whether a symbol can be traded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Listing {
    /// Announced, or before its opening.
    PreLaunch,
    /// Open.
    #[default]
    Trading,
    /// About to be settled.
    Delivering,
    /// Ended, or halted.
    Closed,
}

/// Trading rules of one perpetual contract, margined and settled in its quote coin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Instrument {
    /// Symbol as the venue spells it.
    pub(crate) symbol: String,
    /// Coin that is bought and sold; quantities count it.
    pub(crate) base: String,
    /// Coin of prices, margin, profit and fees.
    pub(crate) quote: String,
    /// Smallest price step.
    pub(crate) tick: Decimal,
    /// Lowest order price.
    pub(crate) min_price: Decimal,
    /// Highest order price.
    pub(crate) max_price: Decimal,
    /// Smallest quantity step.
    pub(crate) step: Decimal,
    /// Smallest order quantity.
    pub(crate) min_quantity: Decimal,
    /// Largest quantity of a limit order.
    pub(crate) max_quantity: Decimal,
    /// Largest quantity of a market order.
    pub(crate) max_market_quantity: Decimal,
    /// Smallest price × quantity, except for orders that reduce.
    pub(crate) min_notional: Decimal,
    /// Highest leverage.
    pub(crate) max_leverage: Decimal,
    /// Smallest leverage step.
    pub(crate) leverage_step: Decimal,
    /// Price at which the walk begins.
    pub(crate) first_price: Decimal,
    /// Time of listing, ms since the Unix epoch.
    pub(crate) launched_ms: i64,
}
