//! Operators with keys and levels of their own, from being added to being revoked.

use hoox_e2e::{Reply, Stack, eventually, run};
use hoox_model::sha256_hex;
use serde_json::{Value, json};

const KINDS: [(&str, &str); 3] = [("ann", "read"), ("bob", "operate"), ("cid", "admin")];

fn key(name: &str) -> String {
    format!("hoox_op_of-{name}-{}", "x".repeat(30))
}

async fn call(stack: &Stack, who: &str, method: &str, path: &str, body: Option<&Value>) -> Reply {
    let client = &stack.sandbox.client;
    let mut request = client.request(method, path).bearer_auth(key(who));
    if let Some(body) = body {
        request = request.json(body);
    }
    client.send(request).await
}

async fn add(stack: &Stack, name: &str, level: &str) -> Reply {
    let digest = sha256_hex(key(name).as_bytes());
    let body = json!({ "name": name, "level": level, "keySha256": digest });
    let path = "/v1/operators";
    stack.sandbox.operator("POST", path, Some(&body)).await
}

/// Event, actor and detail of a request's line in the gateway's chain of the audit trail.
async fn line_of(stack: &Stack, request: &str) -> [Value; 3] {
    eventually("the request's line", async || {
        let reply = stack.sandbox.operator("GET", "/v1/audit.jsonl", None).await;
        let read = |line: &str| serde_json::from_str::<Value>(line).unwrap();
        let mut lines = reply.text.lines().map(read);
        let line = lines.find(|line| line["requestId"] == request && line["method"].is_string())?;
        Some(["event", "actor", "detail"].map(|field| line[field].clone()))
    })
    .await
}

#[test]
fn an_operator_does_what_their_level_opens_until_they_are_revoked() {
    run(async {
        let stack = Stack::own("operators", 1).await;
        let version = stack.manifest().await["version"].clone();
        // Nobody's key yet: the gateway asks Control, which knows nothing of it either.
        let unknown = call(&stack, "ann", "GET", "/v1/signals", None).await;
        assert_eq!(unknown.verdict(), (401, "UNAUTHORIZED"), "{}", unknown.text);
        for (name, level) in KINDS {
            let added = add(&stack, name, level).await;
            assert_eq!(added.status, 201, "{}", added.text);
            let shown = &added.json["operator"];
            assert_eq!(
                (&shown["name"], &shown["level"]),
                (&json!(name), &json!(level))
            );
            let line = line_of(&stack, added.str("requestId")).await;
            let detail = format!("{name}, level {level}");
            let expected = [json!("operator.added"), json!("owner"), json!(detail)];
            assert_eq!(line, expected);
        }
        let listed = call(&stack, "ann", "GET", "/v1/operators", None).await;
        let names = listed.json["operators"].as_array().unwrap();
        let names: Vec<_> = names
            .iter()
            .map(|it| it["name"].as_str().unwrap())
            .collect();
        assert_eq!(names, ["owner", "ann", "bob", "cid"]);
        for (name, _) in KINDS {
            assert!(!listed.text.contains(&sha256_hex(key(name).as_bytes())));
        }

        levels(&stack).await;
        refusals(&stack).await;
        // Operators are no part of the manifest, which has changed as often as it was put.
        assert_eq!(stack.manifest().await["version"], version);

        // Rotated, the old key has ended; revoked, so has the operator.
        let digest = sha256_hex(key("bob2").as_bytes());
        let body = json!({ "keySha256": digest });
        let rotated = call(
            &stack,
            "cid",
            "POST",
            "/v1/operators/bob/rotate",
            Some(&body),
        )
        .await;
        assert_eq!(rotated.status, 200, "{}", rotated.text);
        let old = call(&stack, "bob", "GET", "/v1/signals", None).await;
        assert_eq!(old.verdict(), (401, "UNAUTHORIZED"), "{}", old.text);
        let new = call(&stack, "bob2", "GET", "/v1/signals", None).await;
        assert_eq!(new.status, 200, "{}", new.text);
        let revoked = call(&stack, "cid", "DELETE", "/v1/operators/bob", None).await;
        assert_eq!(
            (revoked.status, &revoked.json["operator"]),
            (200, &Value::Null)
        );
        let line = line_of(&stack, revoked.str("requestId")).await;
        assert_eq!(line[..2], [json!("operator.revoked"), json!("cid")]);
        let off = json!({ "mode": "off" });
        for (method, path, body) in [
            ("GET", "/v1/signals", None),
            ("PUT", "/v1/kill-switch", Some(&off)),
        ] {
            let gone = call(&stack, "bob2", method, path, body).await;
            assert_eq!(gone.verdict(), (401, "UNAUTHORIZED"), "{}", gone.text);
        }
        let output = stack.sandbox.output();
        for name in ["ann", "bob", "bob2", "cid"] {
            assert!(!output.contains(&key(name)));
        }
    });
}

/// Each level opens its calls and those below, and the trail says who it was.
async fn levels(stack: &Stack) {
    let on = json!({ "mode": "entries", "reason": "a drill" });
    let off = json!({ "mode": "off" });
    for (method, path, body, needed, event) in [
        ("GET", "/v1/health", None, 0, None),
        (
            "PUT",
            "/v1/kill-switch",
            Some(&on),
            1,
            Some("kill-switch.changed"),
        ),
        ("GET", "/v1/manifest", None, 2, None),
    ] {
        for (place, (name, level)) in KINDS.iter().enumerate() {
            let reply = call(stack, name, method, path, body).await;
            if place >= needed {
                assert_eq!(reply.status, 200, "{name} {path}: {}", reply.text);
                if let Some(event) = event {
                    let line = line_of(stack, reply.str("requestId")).await;
                    assert_eq!(line[..2], [json!(event), json!(name)]);
                }
                continue;
            }
            assert_eq!(reply.verdict(), (403, "NOT_PERMITTED"), "{}", reply.text);
            let needs = KINDS[needed].1;
            let sentence = format!(
                "this needs an operator at level {needs}, and '{name}' is at level {level}"
            );
            assert_eq!(reply.str("error"), sentence);
            if method != "GET" {
                let line = line_of(stack, reply.str("requestId")).await;
                assert_eq!(line[..2], [json!("operator.refused"), json!(name)]);
            }
        }
    }
    // Who may engage the switch may not release it.
    let refused = call(stack, "bob", "PUT", "/v1/kill-switch", Some(&off)).await;
    assert_eq!(
        refused.verdict(),
        (403, "NOT_PERMITTED"),
        "{}",
        refused.text
    );
    assert_eq!(
        refused.str("error"),
        "switching the kill switch off needs an operator at level admin, and yours is operate, which may switch it on"
    );
    let line = line_of(stack, refused.str("requestId")).await;
    assert_eq!(line[..2], [json!("operator.refused"), json!("bob")]);
    let released = call(stack, "cid", "PUT", "/v1/kill-switch", Some(&off)).await;
    assert_eq!(released.status, 200, "{}", released.text);
    let line = line_of(stack, released.str("requestId")).await;
    assert_eq!(line[..2], [json!("kill-switch.changed"), json!("cid")]);
    // What is not there says so at any level.
    let nothing = call(stack, "ann", "GET", "/v1/nothing", None).await;
    assert_eq!(nothing.verdict(), (404, "NOT_FOUND"), "{}", nothing.text);
}

/// What cannot be done to operators is explained.
async fn refusals(stack: &Stack) {
    let digest = sha256_hex(b"another key");
    for (body, code) in [
        (
            json!({ "name": "ann", "level": "read", "keySha256": digest }),
            (409, "CONFLICT"),
        ),
        (
            json!({ "name": "owner", "level": "read", "keySha256": digest }),
            (400, "BAD_FIELD"),
        ),
        (
            json!({ "name": "a b", "level": "read", "keySha256": digest }),
            (400, "BAD_FIELD"),
        ),
        (
            json!({ "name": "dan", "level": "root", "keySha256": digest }),
            (400, "BAD_FIELD"),
        ),
        (
            json!({ "name": "dan", "level": "read", "keySha256": "ab" }),
            (400, "BAD_FIELD"),
        ),
        (
            json!({ "name": "dan", "level": "read", "key": "k" }),
            (400, "BAD_FIELD"),
        ),
    ] {
        let refused = call(stack, "cid", "POST", "/v1/operators", Some(&body)).await;
        assert_eq!(refused.verdict(), code, "{}", refused.text);
    }
    // The same once more is what there is.
    let again = add(stack, "ann", "read").await;
    assert_eq!(again.status, 201, "{}", again.text);
    for path in ["/v1/operators/nobody", "/v1/operators/a%20b"] {
        let refused = call(stack, "cid", "DELETE", path, None).await;
        assert_eq!(refused.verdict(), (404, "NOT_FOUND"), "{}", refused.text);
    }
}
