//! HTTP of the platform as the venues' transport.

use hoox_exchange::{HttpRequest, HttpResponse, MAX_RESPONSE_BYTES, Transport, TransportError};
use wasm_bindgen::JsValue;

use crate::platform;

/// A venue call is ended after 8 s.
const TIMEOUT_MS: u32 = 8_000;

/// `fetch` as a transport. The request is handed to the platform on the first poll.
#[derive(Debug, Clone, Copy, Default)]
pub struct FetchTransport;

impl Transport for FetchTransport {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, TransportError> {
        let wanted = ["retry-after", "x-bapi-limit-reset-timestamp"];
        let (status, [retry_after, limit_reset], body) =
            platform::fetch(&request, MAX_RESPONSE_BYTES, TIMEOUT_MS, wanted)
                .await
                .map_err(|thrown| disconnected(&thrown))?;
        Ok(HttpResponse {
            status,
            retry_after,
            limit_reset,
            body: body.ok_or(TransportError::TooLarge)?,
        })
    }
}

fn disconnected(thrown: &JsValue) -> TransportError {
    let text = thrown.as_string().unwrap_or_default();
    if text.contains("TimeoutError") || text.contains("timeout") {
        TransportError::Timeout
    } else {
        TransportError::Disconnected(text)
    }
}
