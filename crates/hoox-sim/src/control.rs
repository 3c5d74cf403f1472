//! The control routes: what a test asks and sets. No signature; the server listens on loopback only.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Json, Router, routing};
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use crate::bybit;
use crate::fault::Fault;
use crate::server::{PriceError, Shared};

/// The routes below `/sim`, `/health`, and what an edge would answer.
pub(crate) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/health", routing::get(health))
        .route("/cdn-cgi/trace", routing::get(trace))
        .route("/sim/orders", routing::get(orders))
        .route("/sim/positions", routing::get(positions))
        .route("/sim/fills", routing::get(fills))
        .route("/sim/price", routing::post(set_price))
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
        Err(error @ (PriceError::Venue(_) | PriceError::Refused(_))) => {
            refuse(StatusCode::BAD_REQUEST, &error.to_string())
        }
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
