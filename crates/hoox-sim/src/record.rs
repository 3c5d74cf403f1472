//! What the control routes and [`crate::Handle`] show: plain records, amounts as decimal strings.

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

/// One accepted order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderRecord {
    /// Name of the venue, lower case.
    pub venue: String,
    /// Symbol as the venue spells it.
    pub symbol: String,
    /// Which position it changes: 0 in one-way mode, 1 the long and 2 the short leg in hedge mode.
    pub position_idx: u8,
    /// The venue's id.
    pub order_id: String,
    /// The account holder's id; `null` for a trade by hand.
    pub client_order_id: Option<String>,
    /// Side as the venue spells it.
    pub side: String,
    /// Order type as the venue spells it.
    pub order_type: String,
    /// Time in force as the venue spells it.
    pub time_in_force: String,
    /// Ordered quantity in base coin, after the trim of a reduce-only order.
    pub qty: Decimal,
    /// Limit price; `null` for market orders.
    pub price: Option<Decimal>,
    /// Whether it may only make the position smaller.
    pub reduce_only: bool,
    /// Take-profit attached at entry.
    pub take_profit: Option<Decimal>,
    /// Stop-loss attached at entry.
    pub stop_loss: Option<Decimal>,
    /// Status as the venue spells it.
    pub status: String,
    /// Filled quantity in base coin.
    pub filled_qty: Decimal,
    /// Average price of the fills; `null` without any.
    pub avg_price: Option<Decimal>,
    /// Fees paid, in quote coin.
    pub fee: Decimal,
    /// Acceptance, ms since the Unix epoch.
    pub created_ms: i64,
    /// Last change, ms since the Unix epoch.
    pub updated_ms: i64,
}

/// One execution.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FillRecord {
    /// Name of the venue, lower case.
    pub venue: String,
    /// Symbol as the venue spells it.
    pub symbol: String,
    /// The venue's id of the execution.
    pub fill_id: String,
    /// The venue's id of the order.
    pub order_id: String,
    /// The account holder's id of the order.
    pub client_order_id: Option<String>,
    /// Side as the venue spells it.
    pub side: String,
    /// Executed quantity in base coin.
    pub qty: Decimal,
    /// Execution price.
    pub price: Decimal,
    /// Fee in quote coin.
    pub fee: Decimal,
    /// Profit realised, before the fee, in quote coin.
    pub realised: Decimal,
    /// Whether the order rested before.
    pub maker: bool,
    /// Execution time, ms since the Unix epoch.
    pub time_ms: i64,
}

/// One open position.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PositionRecord {
    /// Name of the venue, lower case.
    pub venue: String,
    /// Symbol as the venue spells it.
    pub symbol: String,
    /// 0 in one-way mode, 1 the long and 2 the short leg in hedge mode.
    pub position_idx: u8,
    /// Side as the venue spells it.
    pub side: String,
    /// Size in base coin, positive.
    pub size: Decimal,
    /// Average entry price.
    pub avg_price: Decimal,
    /// Present price.
    pub mark_price: Decimal,
    /// Leverage.
    pub leverage: Decimal,
    /// Take-profit of the position.
    pub take_profit: Option<Decimal>,
    /// Stop-loss of the position.
    pub stop_loss: Option<Decimal>,
}
