//! Signed messages at the gateway.
#![expect(
    clippy::unwrap_used,
    reason = "tests: a failed expectation is the assertion"
)]

use hoox_auth::{
    Manifest, Scheme, SealingKey, SenderKey, SignatureHeaders, key_bytes, new_signing_secret,
};
use hoox_gateway::{Inbound, Signed, decide};
use hoox_mesh::{Accept, Problem};
use hoox_model::{Code, RequestId, Secret, Timestamp, hmac_sha256_hex};
use serde_json::{Value, json};

const NOW_S: i64 = 1_780_000_000;
const ADDRESS: &str = "10.0.0.1";
const BODY: &str = r#"{"symbol":"BTCUSDT","action":"buy","quantity":1,"timestamp":1780000000}"#;

fn sealing() -> SealingKey {
    SealingKey::new(&Secret::new("s".repeat(32))).unwrap()
}

fn secret(scheme: Scheme, number: u8) -> Secret {
    new_signing_secret(scheme, [number; 32])
}

fn sealed(id: &str, scheme: Scheme, number: u8) -> SenderKey {
    SenderKey::signing(sealing().seal(id, scheme, &secret(scheme, number), [number; 24]))
}

fn manifest(change: impl FnOnce(&mut Value)) -> Manifest {
    let sender = |id: &str, scheme: Scheme| {
        json!({ "id": id, "scheme": scheme.as_str(), "permission": "trade", "accounts": ["*"],
                "ranges": ["10.0.0.0/8"], "keys": [sealed(id, scheme, 1)] })
    };
    let mut text = json!({
        "version": 1,
        "senders": [sender("std", Scheme::Standard), sender("stripe", Scheme::Stripe), sender("hub", Scheme::Github)],
        "accounts": [{ "id": "a1", "name": "main", "venue": "bybit", "environment": "sim",
                       "baseUrl": "http://127.0.0.1:9" }],
    });
    change(&mut text);
    Manifest::parse_strict(&text.to_string()).unwrap()
}

/// What a request says beside its body.
#[derive(Clone)]
struct Sent {
    sender: &'static str,
    headers: [(&'static str, String); 3],
    idempotency_key: Option<&'static str>,
    certified: bool,
    sealed: bool,
}

/// A message as a sender of a scheme would send it. GitHub's signature is that of `hmac_sha256_hex`, and
/// Stripe's too; Standard Webhooks' is computed from the same by its bytes.
fn signed(sender: &'static str, number: u8, body: &str) -> Sent {
    signed_at(NOW_S, sender, number, body)
}

fn signed_at(seconds: i64, sender: &'static str, number: u8, body: &str) -> Sent {
    let none = ("", String::new());
    let headers = match sender {
        "hub" => {
            let hex = hmac_sha256_hex(&secret(Scheme::Github, number), body.as_bytes());
            [("hub", format!("sha256={hex}")), none.clone(), none]
        }
        "stripe" => {
            let text = format!("{seconds}.{body}");
            let hex = hmac_sha256_hex(&secret(Scheme::Stripe, number), text.as_bytes());
            [
                ("stripe", format!("t={seconds},v1={hex}")),
                none.clone(),
                none,
            ]
        }
        _ => standard_at(seconds, number, "msg_1", body),
    };
    Sent {
        sender,
        headers,
        idempotency_key: None,
        certified: false,
        sealed: true,
    }
}

fn standard(number: u8, id: &str, body: &str) -> [(&'static str, String); 3] {
    standard_at(NOW_S, number, id, body)
}

fn standard_at(seconds: i64, number: u8, id: &str, body: &str) -> [(&'static str, String); 3] {
    use data_encoding::BASE64;
    use hmac::{Hmac, KeyInit, Mac};
    let key = key_bytes(Scheme::Standard, &secret(Scheme::Standard, number)).unwrap();
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(&key).unwrap();
    mac.update(format!("{id}.{seconds}.{body}").as_bytes());
    let signature = BASE64.encode(&mac.finalize().into_bytes());
    [
        ("id", id.to_owned()),
        ("timestamp", seconds.to_string()),
        ("signature", format!("v1,{signature}")),
    ]
}

fn send(manifest: &Manifest, sent: &Sent, body: &str) -> Result<Accept, Problem> {
    let find = |name| {
        let header = sent.headers.iter().find(|(known, _)| *known == name);
        header.map(|(_, value)| value.as_str())
    };
    let sealing = sealing();
    decide(
        &manifest.clone().into(),
        &Inbound {
            request_id: "r1".parse::<RequestId>().unwrap(),
            received_at: Timestamp::from_millis(NOW_S * 1000),
            address: ADDRESS.parse().ok(),
            signed: Some(Signed {
                sender: sent.sender,
                headers: SignatureHeaders {
                    webhook_id: find("id"),
                    webhook_timestamp: find("timestamp"),
                    webhook_signature: find("signature"),
                    stripe_signature: find("stripe"),
                    hub_signature_256: find("hub"),
                },
                sealing: sent.sealed.then_some(&sealing),
            }),
            certified: sent.certified,
            idempotency_key: sent.idempotency_key,
            prefer: None,
            body: body.as_bytes(),
        },
    )
    .outcome
}

fn code(manifest: &Manifest, sent: &Sent, body: &str) -> Code {
    send(manifest, sent, body).unwrap_err().code
}

#[test]
fn each_scheme_opens_for_its_sender_and_nobody_else() {
    let manifest = manifest(|_| {});
    for sender in ["std", "stripe", "hub"] {
        let good = signed(sender, 1, BODY);
        let accept = send(&manifest, &good, BODY).unwrap();
        assert_eq!(accept.sender.as_str(), sender);
        assert_eq!(
            code(&manifest, &good, &BODY.replace('1', "2")),
            Code::Forbidden
        );
        assert_eq!(
            code(&manifest, &signed(sender, 2, BODY), BODY),
            Code::Forbidden
        );
        for other in ["std", "stripe", "hub", "nobody"] {
            let stolen = Sent {
                sender: other,
                ..good.clone()
            };
            assert_eq!(send(&manifest, &stolen, BODY).is_ok(), other == sender);
        }
        let blind = Sent {
            sealed: false,
            ..good
        };
        assert_eq!(code(&manifest, &blind, BODY), Code::Forbidden);
    }
}

#[test]
fn a_replay_is_the_same_signal_whatever_its_unsigned_headers_say() {
    let manifest = manifest(|_| {});
    for sender in ["std", "stripe", "hub"] {
        let good = signed(sender, 1, BODY);
        let first = send(&manifest, &good, BODY).unwrap().identity;
        assert_eq!(first.key == "m:msg_1", sender == "std", "{}", first.key);
        assert_eq!(first.window_ms, hoox_signal::WINDOW_LONG_MS);
        let replayed = Sent {
            idempotency_key: Some("another"),
            ..good
        };
        assert_eq!(send(&manifest, &replayed, BODY).unwrap().identity, first);
    }
    // The sender's own key, which it has signed, names the signal across messages.
    let body = BODY.replace("{\"symbol", "{\"idempotencyKey\":\"own\",\"symbol");
    let one = send(&manifest, &signed("std", 1, &body), &body).unwrap();
    let two = Sent {
        headers: standard(1, "msg_2", &body),
        ..signed("std", 1, &body)
    };
    assert_eq!(one.identity.key, "k:own");
    assert_eq!(send(&manifest, &two, &body).unwrap().identity, one.identity);
}

/// A body as its sender signs it anew for each delivery, by the key of before and the one after, is one
/// signal for 7 days: longer than any of these services tries.
#[test]
fn a_delivery_signed_anew_is_the_same_signal() {
    let both = manifest(|text| {
        for (place, sender) in ["std", "stripe", "hub"].into_iter().enumerate() {
            let scheme = [Scheme::Standard, Scheme::Stripe, Scheme::Github][place];
            text["senders"][place]["keys"] =
                json!([sealed(sender, scheme, 1), sealed(sender, scheme, 2)]);
        }
    });
    let bare = r#"{"symbol":"BTCUSDT","action":"buy","quantity":1}"#;
    let event = r#"{"id":"evt_1","symbol":"BTCUSDT","action":"buy","quantity":1}"#;
    let timely =
        r#"{"id":"evt_1","symbol":"BTCUSDT","action":"buy","quantity":1,"timestamp":1780000000}"#;
    for (sender, body, key) in [
        ("std", bare, "m:msg_1"),
        ("std", event, "m:msg_1"),
        ("stripe", bare, "h:"),
        ("stripe", BODY, "h:"),
        ("stripe", event, "m:evt_1"),
        ("stripe", timely, "m:evt_1"),
        ("hub", BODY, "h:"),
        ("hub", timely, "h:"),
    ] {
        let first = send(&both, &signed(sender, 1, body), body)
            .unwrap()
            .identity;
        assert!(first.key.starts_with(key), "{sender} {body}: {}", first.key);
        assert_eq!(first.window_ms, hoox_signal::WINDOW_LONG_MS, "{sender}");
        for (offset, number) in [(-299, 1), (1, 1), (2, 2), (299, 2)] {
            let again = signed_at(NOW_S + offset, sender, number, body);
            let identity = send(&both, &again, body).unwrap().identity;
            assert_eq!(identity, first, "{sender} {offset} {body}");
        }
    }
}

#[test]
fn what_is_no_id_of_an_event_leaves_the_content_to_name_it() {
    let manifest = manifest(|_| {});
    let long = "x".repeat(256);
    for id in [
        "7",
        "null",
        "\"\"",
        "{}",
        "\"a\\n\"",
        &format!("\"{long}\""),
    ] {
        let body = |quantity: u8| {
            format!(r#"{{"id":{id},"symbol":"BTCUSDT","action":"buy","quantity":{quantity}}}"#)
        };
        let [one, two] = [1, 2].map(|quantity| {
            let body = body(quantity);
            let sent = signed("stripe", 1, &body);
            send(&manifest, &sent, &body).unwrap().identity.key
        });
        assert!(one.starts_with("h:") && one != two, "{id}: {one} {two}");
    }
    // Two events are two signals, whatever they have in common.
    let [one, two] = ["evt_1", "evt_2"].map(|id| {
        let body = BODY.replace("{\"symbol", &format!("{{\"id\":\"{id}\",\"symbol"));
        send(&manifest, &signed("stripe", 1, &body), &body)
            .unwrap()
            .identity
    });
    assert_ne!(one.key, two.key);
}

#[test]
fn github_signs_no_time_so_the_body_must_tell_it() {
    let manifest = manifest(|_| {});
    let timeless = r#"{"symbol":"BTCUSDT","action":"buy","quantity":1}"#;
    let problem = send(&manifest, &signed("hub", 1, timeless), timeless).unwrap_err();
    assert_eq!(
        (problem.code, problem.field.as_deref()),
        (Code::BadField, Some("timestamp"))
    );
    assert!(send(&manifest, &signed("std", 1, timeless), timeless).is_ok());
}

#[test]
fn two_keys_while_one_is_rotated_and_none_outside_its_window() {
    let at = |offset: i64| Timestamp::from_millis((NOW_S + offset) * 1000).to_string();
    let two = manifest(|text| {
        let mut old = serde_json::to_value(sealed("std", Scheme::Standard, 1)).unwrap();
        old["expires"] = json!(at(1));
        text["senders"][0]["keys"] = json!([old, sealed("std", Scheme::Standard, 2)]);
    });
    for number in [1, 2] {
        assert!(send(&two, &signed("std", number, BODY), BODY).is_ok());
    }
    for (field, when) in [("expires", at(0)), ("notBefore", at(1))] {
        for of_key in [true, false] {
            let closed = manifest(|text| {
                let sender = &mut text["senders"][0];
                let place = if of_key {
                    &mut sender["keys"][0]
                } else {
                    sender
                };
                place[field] = json!(when);
            });
            assert_eq!(
                code(&closed, &signed("std", 1, BODY), BODY),
                Code::Forbidden
            );
        }
    }
}

#[test]
fn a_signed_sender_is_judged_like_any_other_after_its_signature() {
    let certified = manifest(|text| text["senders"][0]["clientCertificate"] = json!(true));
    let without = signed("std", 1, BODY);
    assert_eq!(code(&certified, &without, BODY), Code::NotPermitted);
    let with = Sent {
        certified: true,
        ..without
    };
    assert!(send(&certified, &with, BODY).is_ok());
    // A certificate alone opens nothing.
    let forged = Sent {
        certified: true,
        ..signed("std", 2, BODY)
    };
    assert_eq!(code(&certified, &forged, BODY), Code::Forbidden);
    let reader = manifest(|text| text["senders"][0]["permission"] = json!("read"));
    assert_eq!(
        code(&reader, &signed("std", 1, BODY), BODY),
        Code::NotPermitted
    );
    // What is no JSON is told to nobody but its sender.
    let plain = manifest(|_| {});
    assert_eq!(code(&plain, &signed("std", 1, "{"), "{"), Code::BadJson);
    assert_eq!(code(&plain, &signed("std", 2, "{"), "{"), Code::Forbidden);
}
