//! The contract by example and by law.

mod broken;
mod contract;
mod fixtures;
mod laws;
mod templates;

use hoox_model::Timestamp;

use crate::{Alert, Signal, SignalError};

/// 2026-05-28T20:26:45Z: the time of arrival in every test.
const NOW: Timestamp = Timestamp::from_millis(1_780_000_005_000);

fn alert(body: &str) -> Alert {
    Alert::parse(body.as_bytes()).unwrap()
}

fn read(body: &str) -> Result<Signal, SignalError> {
    Signal::from_alert(&alert(body), None, NOW)
}

/// A signal of a plain entry with these fields besides or instead.
fn entry(fields: &str) -> Result<Signal, SignalError> {
    let mut body: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(r#"{"action":"LONG","symbol":"BTCUSDT","quantity":"1"}"#).unwrap();
    let more: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(&format!("{{{fields}}}")).unwrap();
    body.extend(more);
    read(&serde_json::to_string(&body).unwrap())
}
