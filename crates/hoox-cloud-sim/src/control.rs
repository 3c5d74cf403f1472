//! The control routes: what a test sets and asks. No token; the server listens on loopback only.

use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Json, Router, routing};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::api::Api;
use crate::fault::Fault;

/// The routes below `/__control`.
pub(crate) fn routes() -> Router<Api> {
    Router::new()
        .route("/state", routing::get(state).put(set_state))
        .route("/calls", routing::get(calls).delete(clear_calls))
        .route(
            "/faults",
            routing::get(faults).post(add_faults).delete(clear_faults),
        )
}

async fn state(State(api): State<Api>) -> Response {
    Json(&api.lock().state).into_response()
}

async fn set_state(State(api): State<Api>, body: Bytes) -> Response {
    match parse(&body) {
        Ok(state) => {
            api.lock().replace(state);
            StatusCode::NO_CONTENT.into_response()
        }
        Err(refusal) => refusal.into_response(),
    }
}

async fn calls(State(api): State<Api>) -> Response {
    Json(&api.lock().calls).into_response()
}

async fn clear_calls(State(api): State<Api>) -> Response {
    api.lock().calls.clear();
    StatusCode::NO_CONTENT.into_response()
}

async fn faults(State(api): State<Api>) -> Response {
    Json(api.lock().faults.waiting()).into_response()
}

async fn add_faults(State(api): State<Api>, body: Bytes) -> Response {
    let faults: Vec<Fault> = match parse(&body) {
        Ok(OneOrMany::Many(faults)) => faults,
        Ok(OneOrMany::One(fault)) => vec![fault],
        Err(refusal) => return refusal.into_response(),
    };
    let mut inner = api.lock();
    inner.faults.push(faults);
    Json(inner.faults.waiting()).into_response()
}

async fn clear_faults(State(api): State<Api>) -> Response {
    api.lock().faults.clear();
    StatusCode::NO_CONTENT.into_response()
}

/// What answers a body that cannot be used.
type Refusal = (StatusCode, Json<Value>);

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    Many(Vec<Fault>),
    One(Fault),
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(|error| {
        let sentence = format!("not the JSON that this route takes: {error}");
        (StatusCode::BAD_REQUEST, Json(json!({ "error": sentence })))
    })
}
