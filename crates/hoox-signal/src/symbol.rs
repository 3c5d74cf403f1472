//! The ways alerts write a symbol.

use hoox_model::{Product, Symbol, Venue};
use serde::{Deserialize, Serialize};

/// What the alert's `symbol` and `market` say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SymbolRef {
    /// The symbol in Hoox's one spelling.
    pub symbol: Symbol,
    /// The product, where `.P`, `:USDT` or `market` says it; else the account's default holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product: Option<Product>,
    /// The exchange before the colon, where it is a venue Hoox knows. Only the last resort of
    /// routing: a chart of one exchange may trade on another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub venue_prefix: Option<Venue>,
}
