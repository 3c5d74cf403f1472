//! HTTP of the platform as the venues' transport.

use hoox_exchange::{HttpRequest, HttpResponse, MAX_RESPONSE_BYTES, Transport, TransportError};

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
                .map_err(|thrown| failure(&thrown.as_string().unwrap_or_default()))?;
        Ok(HttpResponse {
            status,
            retry_after,
            limit_reset,
            body: body.ok_or(TransportError::TooLarge)?,
        })
    }
}

/// What `fetch` of workerd throws before anything is handed over, as `String(error)` writes it: past the
/// bound on subrequests ("… by single Worker invocation."), and for a URL it cannot call (`api/http.c++`).
const BEFORE_SENDING: [&str; 2] = [
    "Error: Too many subrequests",
    "TypeError: Fetch API cannot load: ",
];

/// What a failed call proves, by the step that threw and its words. Whatever is not known to have been
/// thrown before the request left may have reached the venue.
fn failure(thrown: &str) -> TransportError {
    let (step, text) = thrown.split_once(": ").unwrap_or(("", thrown));
    let not_sent = match step {
        "make" => true,
        "send" => BEFORE_SENDING.iter().any(|words| text.starts_with(words)),
        _ => false,
    };
    if not_sent {
        TransportError::NotSent(text.to_owned())
    } else if text.contains("TimeoutError") || text.contains("timeout") {
        TransportError::Timeout
    } else {
        TransportError::Disconnected(text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_known_to_be_thrown_before_the_send_was_not_sent() {
        let many = "Error: Too many subrequests by single Worker invocation. To configure this limit, refer to \
                    https://developers.cloudflare.com/workers/wrangler/configuration/#limits";
        let not_sent = |text: &str| TransportError::NotSent(text.to_owned());
        let broken = |text: &str| TransportError::Disconnected(text.to_owned());
        let url = "TypeError: Fetch API cannot load: ftp://venue.test/";
        let lost = "Error: Network connection lost.";
        let late = "TimeoutError: The operation was aborted due to timeout";
        for (step, text, expected) in [
            (
                "make",
                "TypeError: Invalid URL: /v5",
                not_sent("TypeError: Invalid URL: /v5"),
            ),
            ("make", lost, not_sent(lost)),
            ("send", many, not_sent(many)),
            ("send", url, not_sent(url)),
            (
                "send",
                "TypeError: anything else",
                broken("TypeError: anything else"),
            ),
            ("send", lost, broken(lost)),
            ("send", late, TransportError::Timeout),
            ("read", many, broken(many)),
            ("read", url, broken(url)),
            ("read", lost, broken(lost)),
            ("read", late, TransportError::Timeout),
        ] {
            assert_eq!(
                failure(&format!("{step}: {text}")),
                expected,
                "{step}: {text}"
            );
        }
        let quoted = "Error: the proxy said: Error: Too many subrequests";
        assert_eq!(failure(&format!("send: {quoted}")), broken(quoted));
        assert_eq!(failure(""), broken(""));
    }
}
