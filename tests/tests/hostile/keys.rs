//! Keys, and what a valid key does not open.

use crate::row::{FORBIDDEN, Row, UNAUTHORIZED, not_permitted};

const MANIFEST: &str = "GET /v1/manifest HTTP/1.1";

/// An alert with a key of this many bytes.
fn long(count: usize) -> Vec<u8> {
    let key = "k".repeat(count);
    format!(r#"{{"apiKey":"{key}","action":"close","symbol":"BTCUSDT"}}"#).into_bytes()
}

pub(crate) const ROWS: &[Row] = &[
    Row::post(
        "no key",
        r#"{"action":"close","symbol":"BTCUSDT"}"#,
        FORBIDDEN,
    ),
    Row::post(
        "a wrong key",
        r#"{"apiKey":"hoox_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}"#,
        FORBIDDEN,
    ),
    Row::post(
        "a wrong key in a broken alert",
        r#"{"apiKey":"x","action":7,"quantity":"NaN"}"#,
        FORBIDDEN,
    ),
    Row::post(
        "an empty key",
        r#"{"apiKey":"","action":"close","symbol":"BTCUSDT"}"#,
        FORBIDDEN,
    ),
    Row::post(
        "a key that is a number",
        r#"{"apiKey":1234567890}"#,
        FORBIDDEN,
    ),
    Row::post("a key that is null", r#"{"apiKey":null}"#, FORBIDDEN),
    Row::post("a key that is true", r#"{"apiKey":true}"#, FORBIDDEN),
    Row::post("a key in a list", r#"{"apiKey":["<key>"]}"#, FORBIDDEN),
    Row::post(
        "a key in an object",
        r#"{"apiKey":{"$ne":null}}"#,
        FORBIDDEN,
    ),
    Row::post("SQL as the key", r#"{"apiKey":"' OR '1'='1"}"#, FORBIDDEN),
    Row::post("a pattern as the key", r#"{"apiKey":"*"}"#, FORBIDDEN),
    Row::made("a key of 512 bytes", || long(512), FORBIDDEN),
    Row::made("a key of 513 bytes", || long(513), FORBIDDEN),
    Row::made("a key of 60,000 bytes", || long(60_000), FORBIDDEN),
    Row::post(
        "the key in upper case",
        r#"{"apiKey":"<KEY>","action":"close","symbol":"BTCUSDT"}"#,
        FORBIDDEN,
    ),
    Row::post(
        "a space before the key",
        r#"{"apiKey":" <key>","action":"close","symbol":"BTCUSDT"}"#,
        FORBIDDEN,
    ),
    Row::post(
        "a space after the key",
        r#"{"apiKey":"<key> ","action":"close","symbol":"BTCUSDT"}"#,
        FORBIDDEN,
    ),
    Row::post(
        "a line break after the key",
        r#"{"apiKey":"<key>\n","action":"close","symbol":"BTCUSDT"}"#,
        FORBIDDEN,
    ),
    Row::post(
        "NUL after the key",
        r#"{"apiKey":"<key>\u0000","action":"close","symbol":"BTCUSDT"}"#,
        FORBIDDEN,
    ),
    Row::post(
        "the key twice over",
        r#"{"apiKey":"<key><key>","action":"close","symbol":"BTCUSDT"}"#,
        FORBIDDEN,
    ),
    Row::post(
        "two keys in one",
        r#"{"apiKey":"<key>,<reader>","action":"close","symbol":"BTCUSDT"}"#,
        FORBIDDEN,
    ),
    Row::post(
        "the field in lower case",
        r#"{"apikey":"<key>","action":"close","symbol":"BTCUSDT"}"#,
        FORBIDDEN,
    ),
    Row::post(
        "the field in upper case",
        r#"{"APIKEY":"<key>","action":"close","symbol":"BTCUSDT"}"#,
        FORBIDDEN,
    ),
    Row::post(
        "the field with an underscore",
        r#"{"api_key":"<key>","action":"close","symbol":"BTCUSDT"}"#,
        FORBIDDEN,
    ),
    Row::post(
        "the field with a space",
        r#"{"apiKey ":"<key>","action":"close","symbol":"BTCUSDT"}"#,
        FORBIDDEN,
    ),
    Row::post(
        "the key in a nested object",
        r#"{"alert":{"apiKey":"<key>"},"action":"close","symbol":"BTCUSDT"}"#,
        FORBIDDEN,
    ),
    Row::post(
        "the key in the header",
        r#"{"action":"close","symbol":"BTCUSDT"}"#,
        FORBIDDEN,
    )
    .with(&[
        "authorization: Bearer <key>",
        "x-api-key: <key>",
        "apikey: <key>",
    ]),
    Row::post(
        "the operator key as a passkey",
        r#"{"apiKey":"<operator>","action":"close","symbol":"BTCUSDT"}"#,
        FORBIDDEN,
    ),
    Row::post(
        "the operator key in its header",
        r#"{"action":"close","symbol":"BTCUSDT"}"#,
        FORBIDDEN,
    )
    .with(&["authorization: Bearer <operator>"]),
    Row::post(
        "the private workers' key as a passkey",
        r#"{"apiKey":"<edge>","action":"close","symbol":"BTCUSDT"}"#,
        FORBIDDEN,
    ),
    Row::bodiless(
        "a passkey as the operator key",
        MANIFEST,
        &["authorization: Bearer <key>"],
        UNAUTHORIZED,
    ),
    Row::bodiless(
        "a reader's passkey as the operator key",
        MANIFEST,
        &["authorization: Bearer <reader>"],
        UNAUTHORIZED,
    ),
    Row::post(
        "an expired key",
        r#"{"apiKey":"<late>","action":"close","symbol":"BTCUSDT"}"#,
        FORBIDDEN,
    ),
    Row::post(
        "a key that is not valid yet",
        r#"{"apiKey":"<early>","action":"close","symbol":"BTCUSDT"}"#,
        FORBIDDEN,
    ),
    Row::post(
        "a sender that may only read",
        r#"{"apiKey":"<reader>","action":"close","symbol":"BTCUSDT"}"#,
        not_permitted(
            None,
            "sender 'reader' has permission read; sending signals needs permission trade",
        ),
    ),
    Row::post(
        "a reader's broken alert",
        r#"{"apiKey":"<reader>","action":7}"#,
        not_permitted(
            None,
            "sender 'reader' has permission read; sending signals needs permission trade",
        ),
    ),
    Row::post(
        "a sender from another address",
        r#"{"apiKey":"<confined>","action":"close","symbol":"BTCUSDT"}"#,
        not_permitted(
            None,
            "sender 'confined' may not send from this address; add it to the sender's ranges",
        ),
    ),
    Row::post(
        "an account outside",
        close!(r#""account":"desk0""#),
        not_permitted(
            Some("account"),
            "account 'desk0' is not one this sender may use",
        ),
    ),
    Row::post(
        "an account by its stable id",
        close!(r#""account":"desk0-id""#),
        not_permitted(
            Some("account"),
            "account 'desk0-id' is not one this sender may use",
        ),
    ),
    Row::post(
        "an account that does not exist",
        close!(r#""account":"nobody""#),
        not_permitted(
            Some("account"),
            "account 'nobody' is not one this sender may use",
        ),
    ),
    Row::post(
        "an account outside in a broken alert",
        r#"{"apiKey":"<key>","account":"desk0","action":7}"#,
        not_permitted(
            Some("account"),
            "account 'desk0' is not one this sender may use",
        ),
    ),
    Row::post(
        "an exchange outside",
        close!(r#""exchange":"binance""#),
        not_permitted(
            Some("exchange"),
            "this sender may use no account on binance; correct exchange or leave it out",
        ),
    ),
    Row::post(
        "a sender without an account",
        r#"{"apiKey":"<idle>","action":"close","symbol":"BTCUSDT"}"#,
        not_permitted(
            Some("account"),
            "this sender may use no account; add one to the sender in the manifest",
        ),
    ),
    Row::post(
        "an account in a namespace outside",
        r#"{"apiKey":"<fenced>","account":"desk0","action":"close","symbol":"BTCUSDT"}"#,
        not_permitted(
            Some("account"),
            "account 'desk0' is not one this sender may use",
        ),
    ),
    Row::post(
        "an exchange in a namespace outside",
        r#"{"apiKey":"<fenced>","exchange":"binance","action":"close","symbol":"BTCUSDT"}"#,
        not_permitted(
            Some("exchange"),
            "this sender may use no account on binance; correct exchange or leave it out",
        ),
    ),
    Row::line(
        "the path of a signed message, unsigned",
        "POST /webhook/sender1 HTTP/1.1",
        FORBIDDEN,
    ),
    Row::line(
        "the path of a signed message of nobody",
        "POST /webhook/nobody HTTP/1.1",
        FORBIDDEN,
    ),
    Row::line(
        "a signature of nobody",
        "POST /webhook/sender1 HTTP/1.1",
        FORBIDDEN,
    )
    .with(&[
        "webhook-id: 1",
        "webhook-timestamp: 1",
        "webhook-signature: v1,AAAA",
    ]),
    Row::post(
        "a signature instead of a key",
        r#"{"action":"close","symbol":"BTCUSDT"}"#,
        FORBIDDEN,
    )
    .with(&[
        "webhook-id: 1",
        "webhook-timestamp: 1",
        "webhook-signature: v1,AAAA",
    ]),
];
