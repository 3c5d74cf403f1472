//! The control routes: what a test asks and sets. No signature; the server listens on loopback only.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Json, Router, routing};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::RawValue;

use crate::bybit;
use crate::fault::Fault;
use crate::instrument::Listing;
use crate::server::Shared;

/// How the simulator treats what the venues leave open.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rules {
    /// Whether orders that close and are larger than one may be are split by the venue, the first part with
    /// the client's id; else they are refused, as all others are.
    pub split_exits: bool,
}

/// What can be traded and how, in the venue's words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SymbolTerms {
    /// Name of the venue, lower case.
    pub venue: String,
    /// Symbol as the venue spells it.
    pub symbol: String,
    /// Whether it can be traded.
    pub status: Listing,
    /// Whether it is in hedge mode.
    pub hedge: bool,
    /// Present price.
    pub price: Decimal,
    /// Smallest quantity of an order.
    pub min_order_qty: Decimal,
    /// Largest quantity of a limit order.
    pub max_order_qty: Decimal,
    /// Largest quantity of a market order.
    pub max_mkt_order_qty: Decimal,
}

/// A change of what can be traded and how; what is absent stays. It ends with the process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SymbolChange {
    /// Name of the venue, lower case.
    pub venue: String,
    /// Symbol as the venue spells it.
    pub symbol: String,
    /// Another status: only in `Trading` orders are taken.
    #[serde(default)]
    pub status: Option<Listing>,
    /// Hedge mode, or one-way mode. What is held becomes the leg of its side, and back.
    #[serde(default)]
    pub hedge: Option<bool>,
    /// Smallest quantity of an order.
    #[serde(default)]
    pub min_order_qty: Option<Decimal>,
    /// Largest quantity of a limit order.
    #[serde(default)]
    pub max_order_qty: Option<Decimal>,
    /// Largest quantity of a market order.
    #[serde(default)]
    pub max_mkt_order_qty: Option<Decimal>,
}

impl SymbolChange {
    /// No change of a symbol of Bybit yet.
    pub fn new(symbol: impl Into<String>) -> Self {
        Self {
            venue: bybit::VENUE.to_owned(),
            symbol: symbol.into(),
            status: None,
            hedge: None,
            min_order_qty: None,
            max_order_qty: None,
            max_mkt_order_qty: None,
        }
    }
}

/// Direction of a trade by hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum TradeSide {
    /// Buys.
    Buy,
    /// Sells.
    Sell,
}

/// A trade of the account holder past the API: filled at the present price, without filter or margin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HandTrade {
    /// Name of the venue, lower case.
    pub venue: String,
    /// Symbol as the venue spells it.
    pub symbol: String,
    /// Direction.
    pub side: TradeSide,
    /// Quantity in base coin: a multiple of the step, above zero.
    pub qty: Decimal,
    /// 0 in one-way mode, 1 the long and 2 the short leg in hedge mode.
    #[serde(default)]
    pub position_idx: u8,
}

impl HandTrade {
    /// A trade at Bybit in one-way mode.
    pub fn new(symbol: impl Into<String>, side: TradeSide, qty: Decimal) -> Self {
        Self {
            venue: bybit::VENUE.to_owned(),
            symbol: symbol.into(),
            side,
            qty,
            position_idx: 0,
        }
    }
}

/// The routes below `/sim`, `/health`, and what an edge would answer.
pub(crate) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/health", routing::get(health))
        .route("/cdn-cgi/trace", routing::get(trace))
        .route("/sim/orders", routing::get(orders))
        .route("/sim/positions", routing::get(positions))
        .route("/sim/fills", routing::get(fills))
        .route("/sim/price", routing::post(set_price))
        .route("/sim/trade", routing::post(trade))
        .route("/sim/symbols", routing::get(symbols).post(change_symbol))
        .route("/sim/rules", routing::get(rules).post(set_rules))
        .route("/sim/key", routing::get(key).post(set_key))
        .route(
            "/sim/faults",
            routing::get(faults).post(add_faults).delete(clear_faults),
        )
}

async fn health() -> Response {
    Json(json!({ "status": "ok", "venues": [bybit::VENUE] })).into_response()
}

/// Where the caller is, as Cloudflare's edge tells it at this path.
async fn trace() -> &'static str {
    "h=127.0.0.1\ncolo=SIM\n"
}

async fn orders(State(shared): State<Arc<Shared>>) -> Response {
    Json(shared.orders()).into_response()
}

async fn positions(State(shared): State<Arc<Shared>>) -> Response {
    Json(shared.positions()).into_response()
}

async fn fills(State(shared): State<Arc<Shared>>) -> Response {
    Json(shared.fills()).into_response()
}

#[derive(Deserialize)]
struct PriceBody<'a> {
    venue: String,
    symbol: String,
    #[serde(borrow)]
    price: &'a RawValue,
}

/// A price from a JSON string or number, taken from its text: no binary floating point.
fn exact_price(raw: &RawValue) -> Option<Decimal> {
    let text = raw.get();
    let digits = text
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
        .unwrap_or(text);
    bybit::plain_decimal(digits)
}

async fn set_price(State(shared): State<Arc<Shared>>, body: Bytes) -> Response {
    let Ok(body) = serde_json::from_slice::<PriceBody<'_>>(&body) else {
        return refuse(
            StatusCode::BAD_REQUEST,
            "send {\"venue\":\"bybit\",\"symbol\":\"BTCUSDT\",\"price\":\"65000.5\"}",
        );
    };
    let Some(price) = exact_price(body.price) else {
        return refuse(
            StatusCode::BAD_REQUEST,
            "price must be a decimal number without exponent",
        );
    };
    match shared.set_price(&body.venue, &body.symbol, price) {
        Ok(()) => Json(json!({ "venue": body.venue, "symbol": body.symbol, "price": price }))
            .into_response(),
        Err(error) => refuse(StatusCode::BAD_REQUEST, &error.to_string()),
    }
}

async fn trade(State(shared): State<Arc<Shared>>, body: Bytes) -> Response {
    let traded = serde_json::from_slice(&body)
        .map_err(|error| error.to_string())
        .and_then(|trade| shared.trade(&trade).map_err(|error| error.to_string()));
    match traded {
        Ok(order) => Json(order).into_response(),
        Err(sentence) => refuse(StatusCode::BAD_REQUEST, &sentence),
    }
}

async fn symbols(State(shared): State<Arc<Shared>>) -> Response {
    Json(shared.symbols()).into_response()
}

async fn change_symbol(State(shared): State<Arc<Shared>>, body: Bytes) -> Response {
    let changed = serde_json::from_slice(&body)
        .map_err(|error| error.to_string())
        .and_then(|change| {
            shared
                .change_symbol(&change)
                .map_err(|error| error.to_string())
        });
    match changed {
        Ok(()) => Json(shared.symbols()).into_response(),
        Err(sentence) => refuse(StatusCode::BAD_REQUEST, &sentence),
    }
}

async fn rules(State(shared): State<Arc<Shared>>) -> Response {
    Json(shared.rules()).into_response()
}

async fn set_rules(State(shared): State<Arc<Shared>>, body: Bytes) -> Response {
    match serde_json::from_slice(&body) {
        Ok(rules) => {
            shared.set_rules(rules);
            Json(shared.rules()).into_response()
        }
        Err(error) => refuse(StatusCode::BAD_REQUEST, &error.to_string()),
    }
}

async fn key(State(shared): State<Arc<Shared>>) -> Response {
    Json(shared.key()).into_response()
}

async fn set_key(State(shared): State<Arc<Shared>>, body: Bytes) -> Response {
    match serde_json::from_slice(&body) {
        Ok(terms) => {
            shared.set_key(terms);
            Json(shared.key()).into_response()
        }
        Err(error) => refuse(StatusCode::BAD_REQUEST, &error.to_string()),
    }
}

async fn faults(State(shared): State<Arc<Shared>>) -> Response {
    Json(shared.waiting_faults()).into_response()
}

async fn add_faults(State(shared): State<Arc<Shared>>, body: Bytes) -> Response {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum OneOrMany {
        Many(Vec<Fault>),
        One(Fault),
    }
    let faults = match serde_json::from_slice(&body) {
        Ok(OneOrMany::Many(faults)) => faults,
        Ok(OneOrMany::One(fault)) => vec![fault],
        Err(_) => {
            return refuse(
                StatusCode::BAD_REQUEST,
                "send a JSON list of faults, each with a known kind and its fields",
            );
        }
    };
    match shared.add_faults(faults) {
        Ok(()) => Json(shared.waiting_faults()).into_response(),
        Err(error) => refuse(StatusCode::BAD_REQUEST, &error.to_string()),
    }
}

async fn clear_faults(State(shared): State<Arc<Shared>>) -> Response {
    shared.clear_faults();
    StatusCode::NO_CONTENT.into_response()
}

fn refuse(status: StatusCode, sentence: &str) -> Response {
    (status, Json(json!({ "error": sentence }))).into_response()
}
