//! Who may call: Bybit's signed headers (docs/v5/guide).

use axum::http::HeaderMap;
use hoox_model::{Secret, hmac_sha256_hex};

use super::error::Failure;

/// `X-BAPI-RECV-WINDOW` where the header is missing, ms.
const DEFAULT_RECV_WINDOW_MS: i64 = 5_000;
/// How far a timestamp may be ahead of the server, ms (exclusive).
const AHEAD_MS: i64 = 1_000;

/// Key and secret of the account.
#[derive(Debug, Clone)]
pub(crate) struct Credential {
    pub(crate) key: String,
    pub(crate) secret: Secret,
}

impl Credential {
    /// Checks the headers over the signed payload: the raw query string of a GET, the raw body of a POST.
    ///
    /// Order: headers present (10001), API key (10003), time window (10002), signature (10004).
    pub(crate) fn check(
        &self,
        headers: &HeaderMap,
        payload: &[u8],
        server_ms: i64,
    ) -> Result<(), Failure> {
        let text = |name: &str| {
            headers
                .get(name)
                .and_then(|value| value.to_str().ok())
                .unwrap_or_default()
        };
        let timestamp = text("x-bapi-timestamp");
        let key = text("x-bapi-api-key");
        let signature = text("x-bapi-sign");
        if timestamp.is_empty() || key.is_empty() || signature.is_empty() {
            return Err(Failure::new(
                10001,
                format!(
                    "empty value: apiTimestamp[{timestamp}] apiKey[{key}] apiSignature[{signature}]: \
                     openapi sign params error!"
                ),
            ));
        }
        if key != self.key {
            return Err(Failure::new(10003, "API key is invalid."));
        }
        let window_text = text("x-bapi-recv-window");
        let window = if window_text.is_empty() {
            Some(DEFAULT_RECV_WINDOW_MS)
        } else {
            whole(window_text)
        };
        let (Some(sent_ms), Some(window)) = (whole(timestamp), window) else {
            return Err(Failure::new(
                10001,
                "params error: timestamp or recv_window invalid",
            ));
        };
        if sent_ms < server_ms.saturating_sub(window)
            || sent_ms >= server_ms.saturating_add(AHEAD_MS)
        {
            return Err(Failure::new(
                10002,
                format!(
                    "invalid request, please check your server timestamp or recv_window param. \
                     req_timestamp[{sent_ms}],server_timestamp[{server_ms}],recv_window[{window}]"
                ),
            ));
        }
        let mut message = format!("{timestamp}{key}{window_text}").into_bytes();
        message.extend_from_slice(payload);
        let expected = Secret::new(hmac_sha256_hex(&self.secret, &message));
        if expected.matches(signature) {
            Ok(())
        } else {
            Err(Failure::new(
                10004,
                format!(
                    "error sign! origin_string[{}]",
                    String::from_utf8_lossy(&message)
                ),
            ))
        }
    }
}

/// A non-negative whole number in plain digits.
fn whole(text: &str) -> Option<i64> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        text.parse().ok()
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_658_384_314_791;
    const QUERY: &str = "category=option&symbol=BTC-29JUL22-25000-C";

    fn credential() -> Credential {
        Credential {
            key: "XXXXXXXXXX".to_owned(),
            secret: Secret::new("SECRETSECRET"),
        }
    }

    fn headers(timestamp: &str, signature: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("x-bapi-api-key", "XXXXXXXXXX"),
            ("x-bapi-timestamp", timestamp),
            ("x-bapi-recv-window", "5000"),
            ("x-bapi-sign", signature),
        ] {
            headers.insert(name, value.parse().unwrap());
        }
        headers
    }

    fn code(result: Result<(), Failure>) -> i64 {
        result.err().map_or(0, |failure| failure.code)
    }

    /// The pre-hash string of docs/v5/guide under a key of our own, computed with an independent HMAC.
    const SIGNATURE: &str = "23e9d1bad7eb25d0b866520575ad284f1dcffbedb715a5f72b2d7e562e7e9e0d";

    #[test]
    fn the_documented_string_is_what_is_signed() {
        let headers = headers("1658384314791", SIGNATURE);
        assert_eq!(code(credential().check(&headers, QUERY.as_bytes(), NOW)), 0);
        assert_eq!(
            code(credential().check(&headers, b"category=option", NOW)),
            10004
        );
    }

    #[test]
    fn the_window_includes_its_old_end_and_excludes_its_new_one() {
        let headers = headers("1658384314791", SIGNATURE);
        let at = |server| code(credential().check(&headers, QUERY.as_bytes(), server));
        assert_eq!(at(NOW + 5_000), 0);
        assert_eq!(at(NOW + 5_001), 10002);
        assert_eq!(at(NOW - 999), 0);
        assert_eq!(at(NOW - 1_000), 10002);
    }

    #[test]
    fn every_header_is_needed() {
        for missing in ["x-bapi-api-key", "x-bapi-timestamp", "x-bapi-sign"] {
            let mut headers = headers("1658384314791", SIGNATURE);
            headers.remove(missing);
            assert_eq!(
                code(credential().check(&headers, QUERY.as_bytes(), NOW)),
                10001,
                "{missing}"
            );
        }
    }

    #[test]
    fn parts_of_a_signature_open_nothing() {
        for signature in ["23e9d1bad7", "0", &SIGNATURE.to_uppercase()] {
            let headers = headers("1658384314791", signature);
            assert_eq!(
                code(credential().check(&headers, QUERY.as_bytes(), NOW)),
                10004,
                "{signature}"
            );
        }
    }
}
