//! What an API key of a venue may do.

use serde::Serialize;

use crate::Timestamp;

/// What a venue says of an API key. Nothing of the key itself. The default may do nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KeyInfo {
    /// What it may do now, whatever else the venue lists for a key that only reads.
    pub rights: KeyRights,
    /// Whether the venue takes it for reading only.
    pub read_only: bool,
    /// The addresses it is bound to; empty where it works from everywhere.
    pub ips: Vec<String>,
    /// When it was made.
    pub created_at: Option<Timestamp>,
    /// When it ends by itself; `None` where it does not.
    pub expires_at: Option<Timestamp>,
}

/// The rights of an API key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KeyRights {
    /// Reads orders and positions.
    pub read: bool,
    /// Trades.
    pub trade: TradeRights,
    /// Takes money out of the venue, which Hoox never does.
    pub withdraw: bool,
    /// Moves money between accounts at the venue, which Hoox never does.
    pub transfer: bool,
}

/// What an API key may trade.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TradeRights {
    /// Linear perpetuals.
    pub linear: bool,
    /// The spot market.
    pub spot: bool,
}
