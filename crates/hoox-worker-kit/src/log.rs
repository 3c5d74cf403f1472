//! One JSON line a request. Never a body, a key, a signature or a header.

use hoox_model::{RequestId, Timestamp};
use serde::Serialize;

/// What one request came to.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LogLine<'a> {
    /// When it came.
    #[serde(serialize_with = "as_text")]
    pub time: Timestamp,
    /// Which worker speaks.
    pub worker: &'a str,
    /// The request.
    pub request_id: &'a RequestId,
    /// Its method.
    pub method: &'a str,
    /// Its endpoint; never an unknown path, which could hold anything.
    pub endpoint: &'a str,
    /// Status of the answer.
    pub status: u16,
    /// How long it took.
    pub millis: i64,
    /// Stable code of a refusal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<&'a str>,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde calls it with a reference"
)]
fn as_text<S: serde::Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(time)
}

/// Writes the line.
pub fn log(line: &LogLine<'_>) {
    if let Ok(text) = serde_json::to_string(line) {
        worker::console_log!("{text}");
    }
}
