//! The ports through which time and bytes enter: HTTP as plain data, a transport and a clock.

use core::fmt;
use core::future::Future;

use hoox_model::Timestamp;
use thiserror::Error;

/// Largest answer that is read. A transport stops there with [`TransportError::TooLarge`].
pub const MAX_RESPONSE_BYTES: usize = 1024 * 1024;

/// Headers whose values may be printed; every other value could be a key or a signature.
const PRINTABLE_HEADERS: [&str; 6] = [
    "content-type",
    "x-bapi-timestamp",
    "x-bapi-recv-window",
    "x-bapi-sign-type",
    "request-time",
    "recv-window",
];

/// HTTP method of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    /// Reads.
    Get,
    /// Writes.
    Post,
    /// Removes.
    Delete,
}

impl Method {
    /// Upper-case name, as on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Delete => "DELETE",
        }
    }
}

/// One request, complete and signed. `Debug` shows neither keys nor signatures.
#[derive(Clone, PartialEq, Eq)]
pub struct HttpRequest {
    /// The method.
    pub method: Method,
    /// The whole URL with its encoded query, to be sent byte for byte: the query is signed.
    pub url: String,
    /// Headers in the order the venue documents them.
    pub headers: Vec<(&'static str, String)>,
    /// The body, to be sent byte for byte: it is signed.
    pub body: Option<String>,
}

impl HttpRequest {
    /// Value of a header by name, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

impl fmt::Debug for HttpRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers: Vec<(&str, &str)> = self
            .headers
            .iter()
            .map(|(name, value)| {
                let printable = PRINTABLE_HEADERS
                    .iter()
                    .any(|known| known.eq_ignore_ascii_case(name));
                (*name, if printable { value.as_str() } else { "…" })
            })
            .collect();
        f.debug_struct("HttpRequest")
            .field("method", &self.method)
            .field("url", &redact_signature(&self.url))
            .field("headers", &headers)
            .field("body", &self.body.as_deref().map(redact_signature))
            .finish()
    }
}

/// `text` with the value of every `signature=` parameter replaced by `…`.
pub(crate) fn redact_signature(text: &str) -> String {
    const NAME: &str = "signature=";
    let mut parts = text.split(NAME);
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        out.push_str(NAME);
        out.push('…');
        let value_end = part
            .find(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '%' | '+' | '/' | '='))
            .unwrap_or(part.len());
        out.push_str(
            part.split_at_checked(value_end)
                .map_or("", |(_, rest)| rest),
        );
    }
    out
}

/// One answer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HttpResponse {
    /// HTTP status.
    pub status: u16,
    /// `Retry-After`, as sent.
    pub retry_after: Option<String>,
    /// `X-Bapi-Limit-Reset-Timestamp`, as sent: epoch milliseconds at which Bybit's limit resets.
    pub limit_reset: Option<String>,
    /// The body, at most [`MAX_RESPONSE_BYTES`].
    pub body: Vec<u8>,
}

/// Why there is no answer. Unless it was not sent, the venue may have acted on the request.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TransportError {
    /// No answer in time.
    #[error("the venue did not answer in time")]
    Timeout,
    /// The connection failed or broke, with the platform's words.
    #[error("the connection to the venue failed: {0}")]
    Disconnected(String),
    /// The request was certainly not handed over: a bound on calls was reached, or the platform refused
    /// it before it went out.
    #[error("the call to the venue was not made: {0}")]
    NotSent(String),
    /// The answer is longer than [`MAX_RESPONSE_BYTES`].
    #[error("the venue's answer is too long")]
    TooLarge,
}

/// Sends one request.
///
/// Contract: the request is handed to the platform on the first poll, before any await, so that
/// the caller's fence and the send are one turn. No redirect is followed, nothing is repeated, and
/// URL and body leave as they are.
pub trait Transport {
    /// Sends `request` and reads the whole answer.
    ///
    /// # Errors
    /// [`TransportError`] where no whole answer came; the outcome is then unknown.
    fn send(
        &self,
        request: HttpRequest,
    ) -> impl Future<Output = Result<HttpResponse, TransportError>>;
}

impl<T: Transport + ?Sized> Transport for &T {
    fn send(
        &self,
        request: HttpRequest,
    ) -> impl Future<Output = Result<HttpResponse, TransportError>> {
        (**self).send(request)
    }
}

/// The time of day.
pub trait Clock {
    /// Now.
    fn now(&self) -> Timestamp;
}

impl<C: Clock + ?Sized> Clock for &C {
    fn now(&self) -> Timestamp {
        (**self).now()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_in_a_query_are_not_printed() {
        for (text, expected) in [
            (
                "https://x/?a=1&signature=0aF9",
                "https://x/?a=1&signature=…",
            ),
            ("signature=ab%3D&b=2", "signature=…&b=2"),
            (
                "signature=ab== and signature=cd",
                "signature=… and signature=…",
            ),
            ("signature=", "signature=…"),
            ("no secret", "no secret"),
        ] {
            assert_eq!(redact_signature(text), expected);
        }
    }

    #[test]
    fn unknown_headers_are_not_printed() {
        let request = HttpRequest {
            method: Method::Delete,
            url: "https://x/".to_owned(),
            headers: vec![
                ("X-MBX-APIKEY", "key".to_owned()),
                ("Signature", "sig".to_owned()),
                ("Request-Time", "17".to_owned()),
            ],
            body: Some("a=1&signature=ff".to_owned()),
        };
        assert_eq!(
            format!("{request:?}"),
            r#"HttpRequest { method: Delete, url: "https://x/", headers: [("X-MBX-APIKEY", "…"), ("Signature", "…"), ("Request-Time", "17")], body: Some("a=1&signature=…") }"#
        );
    }
}
