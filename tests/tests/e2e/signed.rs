//! Signed messages, signed by the schemes' own client libraries.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};

use hoox_e2e::{Desk, Reply, Stack, node, run, timenow};
use serde_json::{Value, json};

const SCHEMES: [&str; 3] = ["standard", "stripe", "github"];

type Headers = BTreeMap<String, String>;

fn sign(messages: &Value) -> Vec<Headers> {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let mut script = Command::new(node())
        .arg("tests/sign.mjs")
        .current_dir(root)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = script.stdin.take().unwrap();
    input.write_all(messages.to_string().as_bytes()).unwrap();
    drop(input);
    let output = script.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn one(scheme: &str, secret: &str, body: &str, id: &str) -> Headers {
    let message = json!([{ "scheme": scheme, "secret": secret, "body": body, "id": id }]);
    sign(&message).remove(0)
}

fn alert(number: u32) -> String {
    let now = timenow(0);
    format!(
        r#"{{"symbol":"BTCUSDT","action":"buy","quantity":"0.01","timestamp":"{now}","comment":"{number}"}}"#
    )
}

async fn post(desk: &Desk, sender: &str, headers: &Headers, body: &str) -> Reply {
    let client = desk.client();
    let mut request = client.request("POST", &format!("/webhook/{sender}"));
    for (name, value) in headers {
        request = request.header(name, value);
    }
    client.send(request.body(body.to_owned())).await
}

/// Makes a sender of a scheme; its signing secret.
async fn made(stack: &Stack, desk: &Desk, id: &str, scheme: &str) -> String {
    let body = json!({
        "id": id, "scheme": scheme, "permission": "trade", "accounts": [desk.account],
        "ranges": ["127.0.0.0/8", "::1/128"],
    });
    let made = stack
        .sandbox
        .operator("POST", "/v1/senders", Some(&body))
        .await;
    assert_eq!(made.status, 201, "{}", made.text);
    assert_eq!(made.json["sender"]["scheme"], scheme);
    made.str("key").to_owned()
}

#[test]
fn a_message_that_is_signed_anew_for_each_delivery_trades_once() {
    run(async {
        let stack = Stack::own("signed-anew", 1).await;
        let desk = stack.desk();
        let bare = r#"{"symbol":"BTCUSDT","action":"buy","quantity":"0.01"}"#;
        let event = r#"{"id":"evt_1","symbol":"BTCUSDT","action":"buy","quantity":"0.01"}"#;
        let mut trades = 0;
        for (sender, scheme, body) in [
            ("content", "stripe", bare),
            ("event", "stripe", event),
            ("message", "standard", bare),
        ] {
            let secret = made(&stack, &desk, sender, scheme).await;
            let messages = [0, 1, 2].map(|later| {
                json!({ "scheme": scheme, "secret": secret, "body": body, "id": "msg_1", "later": later })
            });
            let signed = sign(&json!(messages));
            let [first, again @ ..] = &signed[..] else {
                panic!()
            };
            let taken = post(&desk, sender, first, body).await;
            assert_eq!(taken.status, 202, "{sender} {}", taken.text);
            for headers in again {
                assert_ne!(headers, first, "{sender}");
                let reply = post(&desk, sender, headers, body).await;
                assert_eq!(
                    reply.verdict(),
                    (409, "DUPLICATE"),
                    "{sender} {}",
                    reply.text
                );
                assert_eq!(reply.str("signalId"), taken.str("signalId"));
            }
            desk.recorded(taken.str("signalId"), "filled").await;
            trades += 1;
        }
        assert_eq!(desk.orders().len(), trades);
    });
}

#[test]
fn what_the_schemes_own_libraries_sign_trades_once() {
    run(async {
        let stack = Stack::own("signed", 1).await;
        let desk = stack.desk();
        let mut secrets = Vec::new();
        for scheme in SCHEMES {
            let secret = made(&stack, &desk, scheme, scheme).await;
            let body = alert(1);
            let good = one(scheme, &secret, &body, "msg_1");
            assert_eq!(
                post(&desk, scheme, &good, &body).await.status,
                202,
                "{scheme}"
            );
            let replay = post(&desk, scheme, &good, &body).await;
            assert_eq!(replay.verdict(), (409, "DUPLICATE"), "{}", replay.text);
            let tampered = post(&desk, scheme, &good, &body.replace("0.01", "0.02")).await;
            assert_eq!(tampered.verdict(), (403, "FORBIDDEN"), "{}", tampered.text);
            let unsigned = post(&desk, scheme, &Headers::new(), &body).await;
            assert_eq!(unsigned.verdict(), (403, "FORBIDDEN"), "{}", unsigned.text);
            // The secret is no passkey, and the path of one sender is no other's.
            let posed = body.replacen('{', &format!("{{\"apiKey\":\"{secret}\","), 1);
            assert_eq!(desk.post(&posed).await.verdict(), (403, "FORBIDDEN"));
            let other = SCHEMES.into_iter().find(|other| *other != scheme).unwrap();
            assert_eq!(
                post(&desk, other, &good, &body).await.verdict(),
                (403, "FORBIDDEN")
            );
            secrets.push(secret);
        }
        assert_eq!(desk.orders().len(), SCHEMES.len());

        // Rotated with an overlap, then at once.
        let [first, ..] = &secrets[..] else { panic!() };
        let path = "/v1/senders/standard/rotate";
        let rotated = stack
            .sandbox
            .operator("POST", path, Some(&json!({ "overlapSeconds": 60 })))
            .await;
        let second = rotated.str("key").to_owned();
        let body = alert(2);
        for (secret, id) in [(first, "msg_2"), (&second, "msg_3")] {
            let headers = one("standard", secret, &body, id);
            assert_eq!(post(&desk, "standard", &headers, &body).await.status, 202);
        }
        let now = json!({ "overlapSeconds": 0 });
        let replaced = stack.sandbox.operator("POST", path, Some(&now)).await;
        assert_eq!(replaced.status, 200, "{}", replaced.text);
        let body = alert(3);
        for secret in [first, &second] {
            let headers = one("standard", secret, &body, "msg_4");
            let reply = post(&desk, "standard", &headers, &body).await;
            assert_eq!(reply.verdict(), (403, "FORBIDDEN"), "{}", reply.text);
        }

        // A secret stands nowhere but in its answer.
        let manifest = stack.manifest().await.to_string();
        let output = stack.sandbox.output();
        for secret in secrets.iter().chain([&second]) {
            assert!(!manifest.contains(secret) && !output.contains(secret));
        }
    });
}
