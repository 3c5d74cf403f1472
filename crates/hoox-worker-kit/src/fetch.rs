//! HTTP of the platform as the venues' transport, and bounded reading of bodies.

use futures_util::StreamExt;
use hoox_exchange::{
    HttpRequest, HttpResponse, MAX_RESPONSE_BYTES, Method, Transport, TransportError,
};
use wasm_bindgen::JsValue;
use worker::{AbortSignal, ByteStream, Fetch, Request};

/// A venue call is ended after 8 s.
const TIMEOUT_MS: u32 = 8_000;

/// `fetch` as a transport. The request is handed to the platform on the first poll.
#[derive(Debug, Clone, Copy, Default)]
pub struct FetchTransport;

impl Transport for FetchTransport {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, TransportError> {
        let lost = |error: worker::Error| disconnected(&error);
        let outgoing = outgoing(&request).map_err(lost)?;
        let signal = AbortSignal::from(web_sys::AbortSignal::timeout_with_u32(TIMEOUT_MS));
        let mut response = Fetch::Request(outgoing)
            .send_with_signal(&signal)
            .await
            .map_err(lost)?;
        let header = |name: &str| response.headers().get(name).ok().flatten();
        let (retry_after, limit_reset) = (
            header("retry-after"),
            header("x-bapi-limit-reset-timestamp"),
        );
        let status = response.status_code();
        let body = match response.stream() {
            Ok(stream) => collect(stream, MAX_RESPONSE_BYTES).await.map_err(lost)?,
            // An answer without a body has no stream.
            Err(_) => Some(Vec::new()),
        };
        let body = body.ok_or(TransportError::TooLarge)?;
        Ok(HttpResponse {
            status,
            retry_after,
            limit_reset,
            body,
        })
    }
}

fn outgoing(request: &HttpRequest) -> worker::Result<Request> {
    let headers = web_sys::Headers::new()?;
    for (name, value) in &request.headers {
        headers.set(name, value)?;
    }
    let init = web_sys::RequestInit::new();
    init.set_method(match request.method {
        Method::Get => "GET",
        Method::Post => "POST",
        Method::Delete => "DELETE",
    });
    init.set_headers(&headers);
    // A venue does not redirect; keys do not follow one that does.
    init.set_redirect(web_sys::RequestRedirect::Manual);
    if let Some(body) = &request.body {
        init.set_body(&JsValue::from_str(body));
    }
    let request = web_sys::Request::new_with_str_and_init(&request.url, &init)?;
    Ok(Request::from(request))
}

fn disconnected(error: &worker::Error) -> TransportError {
    let text = error.to_string();
    if text.contains("TimeoutError") || text.contains("timeout") {
        TransportError::Timeout
    } else {
        TransportError::Disconnected(text)
    }
}

/// Reads a request's body; `None` where it is larger than `limit`, by its header or by its bytes.
///
/// # Errors
/// The platform's, where the client broke off.
pub async fn read_body(request: &mut Request, limit: usize) -> worker::Result<Option<Vec<u8>>> {
    let declared = request
        .headers()
        .get("content-length")?
        .and_then(|length| length.parse::<u64>().ok());
    if declared.is_some_and(|length| usize::try_from(length).map_or(true, |length| length > limit))
    {
        return Ok(None);
    }
    match request.stream() {
        Ok(stream) => collect(stream, limit).await,
        Err(_) => Ok(Some(Vec::new())),
    }
}

async fn collect(mut stream: ByteStream, limit: usize) -> worker::Result<Option<Vec<u8>>> {
    let mut body = Vec::new();
    while let Some(chunk) = stream.next().await {
        let chunk = chunk?;
        if body.len().saturating_add(chunk.len()) > limit {
            return Ok(None);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Some(body))
}
