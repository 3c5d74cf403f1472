//! The contract's order of checks: of two faults the earlier one is answered.
#![expect(
    clippy::unwrap_used,
    reason = "in a test a failed expectation is the assertion"
)]

use hoox_auth::{Manifest, PasskeyHash};
use hoox_gateway::{Inbound, MAX_BODY, admit, decide};
use hoox_mesh::{Accept, Problem};
use hoox_model::{Code, RequestId, Secret, Timestamp};
use serde_json::{Value, json};

const INSIDE: &str = "52.89.214.238";
const OWN: &str = "10.1.2.3";
const OUTSIDE: &str = "203.0.113.9";

fn now() -> Timestamp {
    Timestamp::from_millis(1_780_000_000_000)
}

fn sender(id: &str, passkey: &str, permission: &str, ranges: &[&str]) -> Value {
    json!({
        "id": id, "permission": permission, "accounts": ["main"], "ranges": ranges,
        "keys": [PasskeyHash::new([7; 16], &Secret::new(passkey))],
    })
}

fn manifest() -> Manifest {
    let text = json!({
        "version": 4,
        "senders": [
            sender("trader", "trader-passkey", "trade", &[]),
            sender("reader", "reader-passkey", "read", &[]),
            sender("desk", "desk-passkey", "trade", &["10.0.0.0/8"]),
        ],
        "accounts": [
            { "id": "a1", "name": "main", "venue": "bybit", "environment": "sim", "baseUrl": "http://127.0.0.1:9" },
            { "id": "a2", "name": "other", "venue": "bybit", "environment": "sim", "baseUrl": "http://127.0.0.1:9",
              "secretSuffix": "B" },
        ],
    });
    Manifest::parse_strict(&text.to_string()).unwrap()
}

fn send(address: &str, body: &[u8]) -> Result<Accept, Problem> {
    send_with(address, None, body)
}

fn send_with(address: &str, idempotency_key: Option<&str>, body: &[u8]) -> Result<Accept, Problem> {
    decide(
        &manifest().into(),
        &Inbound {
            request_id: "r1".parse::<RequestId>().unwrap(),
            received_at: now(),
            address: address.parse().ok(),
            signed: None,
            certified: false,
            idempotency_key,
            prefer: Some("wait=1"),
            body,
        },
    )
    .outcome
}

#[test]
fn the_passkey_goes_no_further_in_a_header_either() {
    let body = br#"{"apiKey":"trader-passkey","symbol":"BTCUSDT","action":"LONG","quantity":1}"#;
    for header in [
        "trader-passkey",
        "\"x-trader-passkey\"",
        "trader\\u002Dpasskey",
    ] {
        let problem = send_with(INSIDE, Some(header), body).unwrap_err();
        assert_eq!(
            (problem.code, problem.field.as_deref()),
            (Code::BadField, Some("idempotencyKey")),
            "{header}"
        );
    }
    let other = send_with(INSIDE, Some("order-77"), body).unwrap();
    assert_eq!(other.identity.key, "k:order-77");
}

fn refused(address: &str, body: &str) -> (Code, Option<String>) {
    let problem = send(address, body.as_bytes()).unwrap_err();
    (problem.code, problem.field)
}

#[test]
fn a_good_alert_becomes_a_message_without_its_key() {
    let body = br#"{"apiKey":"trader-passkey","symbol":"BYBIT:BTCUSDT.P","action":"LONG","quantity":0.5,"x":1}"#;
    let accept = send(INSIDE, body).unwrap();
    assert_eq!(accept.sender.as_str(), "trader");
    assert_eq!(accept.account.name.as_str(), "main");
    assert_eq!(accept.manifest_version, 4);
    assert_eq!(accept.wait_ms, 1000);
    assert_eq!(
        accept.body,
        r#"{"symbol":"BYBIT:BTCUSDT.P","action":"LONG","quantity":0.5,"x":1}"#
    );
}

#[test]
fn of_two_faults_the_earlier_one_is_answered() {
    let large = " ".repeat(MAX_BODY + 1);
    let none = None::<String>;
    // Too large before the address; the address before the JSON; the JSON before the key.
    assert_eq!(refused(OUTSIDE, &large), (Code::TooLarge, none.clone()));
    assert_eq!(refused(OUTSIDE, "{"), (Code::Forbidden, none.clone()));
    assert_eq!(
        refused("not an address", "{}"),
        (Code::Forbidden, none.clone())
    );
    assert_eq!(refused(INSIDE, "{"), (Code::BadJson, none.clone()));
    assert_eq!(
        refused(INSIDE, r#"{"apiKey":"wrong","action":"jump"}"#),
        (Code::Forbidden, none.clone())
    );
    assert_eq!(
        refused(INSIDE, r#"{"action":"jump"}"#),
        (Code::Forbidden, none.clone())
    );
    // The key before the sender's own rights: ranges, permission, account; those before the signal.
    assert_eq!(
        refused(OWN, r#"{"apiKey":"trader-passkey"}"#),
        (Code::NotPermitted, none.clone())
    );
    assert_eq!(
        refused(INSIDE, r#"{"apiKey":"reader-passkey","action":"jump"}"#).0,
        Code::NotPermitted
    );
    let other = r#"{"apiKey":"trader-passkey","account":"other","action":"jump"}"#;
    assert_eq!(
        refused(INSIDE, other),
        (Code::NotPermitted, Some("account".to_owned()))
    );
    let jump = r#"{"apiKey":"trader-passkey","account":"main","action":"jump"}"#;
    assert_eq!(
        refused(INSIDE, jump),
        (Code::BadField, Some("action".to_owned()))
    );
    let mismatch = r#"{"apiKey":"trader-passkey","account":"main","exchange":"mexc","symbol":"BTCUSDT","action":"close"}"#;
    assert_eq!(
        refused(INSIDE, mismatch),
        (Code::VenueMismatch, Some("exchange".to_owned()))
    );
    let spot = r#"{"apiKey":"trader-passkey","symbol":"BTCUSDT","market":"spot","action":"buy","quantity":1}"#;
    assert_eq!(refused(INSIDE, spot).0, Code::Unsupported);
}

#[test]
fn a_senders_own_range_lets_it_in() {
    let body = br#"{"apiKey":"desk-passkey","symbol":"BTCUSDT","action":"close"}"#;
    assert_eq!(send(OWN, body).unwrap().sender.as_str(), "desk");
    assert_eq!(send(INSIDE, body).unwrap().sender.as_str(), "desk");
}

#[test]
fn before_a_valid_key_every_refusal_is_the_same() {
    let wrong = send(INSIDE, br#"{"apiKey":"wrong"}"#).unwrap_err();
    let missing = send(INSIDE, b"{}").unwrap_err();
    let outside = send(OUTSIDE, br#"{"apiKey":"trader-passkey"}"#).unwrap_err();
    assert_eq!(wrong, missing);
    assert_eq!(wrong, outside);
}

#[test]
fn before_the_body_is_read_size_comes_first_and_the_encoding_last() {
    let by_header = |length: &str, encoding: Option<&str>, address: &str| {
        admit(
            &manifest().into(),
            Some(length),
            encoding,
            address.parse().ok(),
        )
        .map_err(|problem| problem.code)
    };
    let limit = MAX_BODY.to_string();
    let above = (MAX_BODY + 1).to_string();
    assert_eq!(by_header(&limit, Some("identity"), INSIDE), Ok(()));
    for length in [above.as_str(), "5000000000"] {
        assert_eq!(
            by_header(length, Some("gzip"), OUTSIDE),
            Err(Code::TooLarge)
        );
    }
    assert_eq!(
        by_header(&limit, Some("gzip"), OUTSIDE),
        Err(Code::Forbidden)
    );
    assert_eq!(by_header(&limit, Some("gzip"), INSIDE), Err(Code::BadJson));
}
