//! Senders made, rotated and revoked by the operator while alerts go on.

use hoox_e2e::{Desk, Reply, Stack, eventually, run};
use serde_json::{Value, json};

const BUY: &str = r#""symbol":"BTCUSDT","action":"buy","quantity":"0.01""#;

async fn trade(desk: &Desk, key: &str, number: u32) -> Reply {
    let alert = format!(r#"{{"apiKey":"{key}",{BUY},"comment":"{number}"}}"#);
    desk.post(&serde_json::from_str::<Value>(&alert).unwrap())
        .await
}

fn new_sender(id: &str, desk: &Desk) -> Value {
    json!({
        "id": id, "permission": "trade", "accounts": [desk.account], "ranges": ["127.0.0.0/8", "::1/128"],
        "ratePerMinute": 3,
    })
}

async fn create(stack: &Stack, body: &Value) -> Reply {
    stack
        .sandbox
        .operator("POST", "/v1/senders", Some(body))
        .await
}

#[test]
fn a_sender_lives_from_its_creation_to_its_revocation() {
    run(async {
        let stack = Stack::own("senders", 1).await;
        let desk = stack.desk();
        let created = create(&stack, &new_sender("bot", &desk)).await;
        assert_eq!(created.status, 201, "{}", created.text);
        assert_eq!(
            created.fields(),
            [
                "key",
                "published",
                "requestId",
                "sender",
                "success",
                "version"
            ]
        );
        let first = created.str("key").to_owned();
        assert!(first.starts_with("hoox_") && first.len() >= 32, "{first}");
        let expected = json!({
            "id": "bot", "scheme": "passkey", "permission": "trade", "accounts": [desk.account],
            "ranges": ["127.0.0.0/8", "::1/128"], "entryRate": { "count": 3, "seconds": 60 }, "keys": [{}],
        });
        assert_eq!(created.json["sender"], expected);
        assert_eq!(trade(&desk, &first, 1).await.status, 202);

        // Two keys for a minute, then only the newer of them for good.
        let path = "/v1/senders/bot/rotate";
        let overlap = json!({ "overlapSeconds": 60 });
        let rotated = stack.sandbox.operator("POST", path, Some(&overlap)).await;
        assert_eq!(rotated.status, 200, "{}", rotated.text);
        let second = rotated.str("key").to_owned();
        assert_eq!(rotated.json["sender"]["keys"].as_array().unwrap().len(), 2);
        assert_eq!(trade(&desk, &first, 2).await.status, 202);
        let at_once = json!({ "overlapSeconds": 0 });
        let replaced = stack.sandbox.operator("POST", path, Some(&at_once)).await;
        let third = replaced.str("key").to_owned();
        for gone in [&first, &second] {
            let reply = trade(&desk, gone, 3).await;
            assert_eq!(reply.verdict(), (403, "FORBIDDEN"), "{}", reply.text);
        }
        assert_eq!(trade(&desk, &third, 4).await.status, 202);
        let limited = trade(&desk, &third, 5).await;
        assert_eq!(limited.verdict(), (429, "RATE_LIMITED"), "{}", limited.text);

        // A sender's key opens nothing of the operator's.
        let reply = stack.sandbox.with_key("GET", "/v1/senders", &third).await;
        assert_eq!(reply.verdict(), (401, "UNAUTHORIZED"), "{}", reply.text);

        let listed = stack.sandbox.operator("GET", "/v1/senders", None).await;
        let shown = listed.json["senders"].as_array().unwrap();
        assert!(shown.iter().any(|sender| sender["id"] == "bot"));
        for secret in ["hash", "salt", &first, &second, &third] {
            assert!(!listed.text.contains(secret), "{}", listed.text);
        }
        let accounts = stack.sandbox.operator("GET", "/v1/accounts", None).await;
        let names = accounts.json["accounts"].as_array().unwrap().iter();
        assert!(names.clone().any(|account| account["name"] == desk.account));

        // What only waits when its sender is revoked is not sent.
        eventually("the orders", async || {
            (desk.orders().len() == 3).then_some(())
        })
        .await;
        let revoked = stack
            .sandbox
            .operator("DELETE", "/v1/senders/bot", None)
            .await;
        assert_eq!(
            (revoked.status, &revoked.json["sender"]),
            (200, &Value::Null)
        );
        let reply = trade(&desk, &third, 6).await;
        assert_eq!(reply.verdict(), (403, "FORBIDDEN"), "{}", reply.text);
        for (method, path) in [
            ("GET", "/v1/senders/bot"),
            ("DELETE", "/v1/senders/bot"),
            ("GET", "/v1/senders/b%20t"),
        ] {
            let reply = stack.sandbox.operator(method, path, None).await;
            assert_eq!(reply.verdict(), (404, "NOT_FOUND"), "{}", reply.text);
        }
        assert_eq!(desk.orders().len(), 3);
        let output = stack.sandbox.output();
        for secret in [&first, &second, &third] {
            assert!(!output.contains(secret.as_str()));
        }
    });
}

#[test]
fn what_cannot_be_done_to_senders_is_explained() {
    run(async {
        let stack = Stack::own("senders-refused", 1).await;
        let desk = stack.desk();
        let taken = create(&stack, &new_sender(&desk.sender, &desk)).await;
        assert_eq!(taken.verdict(), (409, "CONFLICT"), "{}", taken.text);
        for (field, value, sentence) in [
            (
                "permission",
                json!("admin"),
                "permission: must be one of read, trade",
            ),
            (
                "accounts",
                json!(["nowhere"]),
                "there is no account named 'nowhere'",
            ),
            ("keys", json!([]), "keys: is not a known field"),
            (
                "expires",
                json!("soon"),
                "expires: must be an RFC 3339 time",
            ),
        ] {
            let mut body = new_sender("bot", &desk);
            body[field] = value;
            let reply = create(&stack, &body).await;
            assert_eq!(reply.verdict(), (400, "BAD_FIELD"), "{}", reply.text);
            assert!(reply.str("error").contains(sentence), "{}", reply.text);
        }
        // What could never send, or would use nothing.
        for (field, fields) in [
            ("ranges", json!({ "scheme": "stripe", "ranges": [] })),
            ("namespaces[0]", json!({ "namespaces": ["crypto"] })),
        ] {
            let mut body = new_sender("bot", &desk);
            let more = fields.as_object().unwrap().clone();
            body.as_object_mut().unwrap().extend(more);
            let reply = create(&stack, &body).await;
            assert_eq!(reply.verdict(), (400, "BAD_FIELD"), "{}", reply.text);
            assert_eq!(reply.str("field"), field);
            assert!(reply.str("error").starts_with(field), "{}", reply.text);
        }
        for body in [json!({}), json!({ "overlapSeconds": 2_592_001 })] {
            let path = format!("/v1/senders/{}/rotate", desk.sender);
            let reply = stack.sandbox.operator("POST", &path, Some(&body)).await;
            assert_eq!(reply.verdict(), (400, "BAD_FIELD"), "{}", reply.text);
            assert_eq!(reply.str("field"), "overlapSeconds");
        }
        // Nothing of it has changed anything.
        assert_eq!(trade(&desk, &desk.passkey, 1).await.status, 202);
    });
}

/// Sends wrong keys until their address is slowed: the answers before, and the first after.
async fn wrong_keys(send: impl AsyncFn() -> Reply) -> (Vec<(u16, String)>, Reply) {
    let mut before = Vec::new();
    let mut reply = send().await;
    // A minute of the limiter may end in between, once.
    while reply.status != 429 && before.len() < 60 {
        before.push((reply.status, reply.str("code").to_owned()));
        reply = send().await;
    }
    (before, reply)
}

#[test]
fn wrong_keys_slow_the_wrong_keys_of_their_address_and_nothing_else() {
    run(async {
        let stack = Stack::own("attempts", 1).await;
        let desk = stack.desk();
        let mut sender = new_sender("bot", &desk);
        sender["ranges"] = json!(["203.0.113.0/24"]);
        let created = create(&stack, &sender).await;
        let key = created.str("key").to_owned();
        let post = async |address: &str, key: &str| {
            let alert =
                format!(r#"{{"apiKey":"{key}",{BUY},"dryRun":true,"comment":"{address}"}}"#);
            let request = desk.client().alert(&alert);
            let request = request.header("cf-connecting-ip", address);
            desk.client().send(request).await
        };
        let wrong = "hoox_wrong-key-of-a-burglar-0000000000";
        let (before, slowed) = wrong_keys(async || post("203.0.113.5", wrong).await).await;
        assert!(before.len() >= 20, "{before:?}");
        assert!(
            before
                .iter()
                .all(|found| *found == (403, "FORBIDDEN".to_owned()))
        );
        assert_eq!(slowed.verdict(), (429, "RATE_LIMITED"));
        let wait: u32 = slowed.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=60).contains(&wait), "{wait}");
        // The right key passes from there all the same, and from everywhere else.
        for address in ["203.0.113.5", "203.0.113.6"] {
            let reply = post(address, &key).await;
            assert_eq!(reply.status, 202, "{address} {}", reply.text);
        }
        assert_eq!(
            post("203.0.113.5", wrong).await.verdict(),
            (429, "RATE_LIMITED")
        );

        // The operator API: the burglar's address, by /64 of IPv6, and not the operator's.
        let ask = async |address: &str, key: &str| {
            let request = desk.client().request("GET", "/v1/accounts");
            let request = request
                .header("cf-connecting-ip", address)
                .header("authorization", format!("Bearer {key}"));
            desk.client().send(request).await
        };
        let (before, slowed) = wrong_keys(async || ask("2001:db8:7::1", wrong).await).await;
        assert!(before.len() >= 20, "{before:?}");
        assert!(
            before
                .iter()
                .all(|found| *found == (401, "UNAUTHORIZED".to_owned()))
        );
        assert_eq!(slowed.verdict(), (429, "RATE_LIMITED"));
        let operator = stack.sandbox.secret("/operatorKey");
        for address in ["2001:db8:7::1", "2001:db8:7::ffff", "2001:db8:8::1"] {
            let reply = ask(address, &operator).await;
            assert_eq!(reply.status, 200, "{address} {}", reply.text);
        }
        let reply = ask("2001:db8:7::ffff", wrong).await;
        assert_eq!(reply.verdict(), (429, "RATE_LIMITED"), "{}", reply.text);
        // The one call that must not wait.
        let change = json!({ "mode": "entries", "reason": "a test" });
        let request = desk
            .client()
            .request("PUT", "/v1/kill-switch")
            .json(&change);
        let request = request
            .header("cf-connecting-ip", "2001:db8:7::1")
            .header("authorization", format!("Bearer {operator}"));
        let reply = desk.client().send(request).await;
        assert_eq!(reply.status, 200, "{}", reply.text);

        // One line each, with the address.
        let slowed = eventually("both lines", async || {
            let reply = stack.sandbox.operator("GET", "/v1/audit.jsonl", None).await;
            let lines = reply
                .text
                .lines()
                .map(|line| serde_json::from_str::<Value>(line).unwrap());
            let lines: Vec<_> = lines
                .filter(|line| line["event"] == "address.slowed")
                .collect();
            (lines.len() >= 2).then_some(lines)
        })
        .await;
        let found: Vec<_> = slowed.iter().map(|line| line["detail"].clone()).collect();
        assert_eq!(found, [json!("203.0.113.5"), json!("2001:db8:7::")]);
    });
}
