//! The audit trail as an operator reads it.

use hoox_e2e::{Part, Reply, Stack, eventually, run};
use hoox_model::sha256_hex;
use serde_json::{Value, json};

async fn lines(stack: &Stack, query: &str) -> (Vec<Value>, Reply) {
    let path = format!("/v1/audit.jsonl{query}");
    let reply = stack.sandbox.operator("GET", &path, None).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    let read = |line: &str| serde_json::from_str(line).unwrap();
    (reply.text.lines().map(read).collect(), reply)
}

/// Waits for a line of this request.
async fn line_of(stack: &Stack, request: &str) -> Value {
    eventually("the request's line", async || {
        let (lines, _) = lines(stack, "").await;
        lines.into_iter().find(|line| line["requestId"] == request)
    })
    .await
}

#[test]
fn what_the_operator_changes_and_who_is_refused_is_in_the_trail() {
    run(async {
        let stack = Stack::own("audit", 1).await;
        let desk = stack.desk();
        let body = json!({ "id": "bot", "permission": "read", "accounts": ["*"], "ranges": ["127.0.0.0/8", "::1/128"] });
        let made = stack
            .sandbox
            .operator("POST", "/v1/senders", Some(&body))
            .await;
        let key = made.str("key").to_owned();
        let line = line_of(&stack, made.str("requestId")).await;
        assert_eq!(
            (
                &line["event"],
                &line["actor"],
                &line["status"],
                &line["method"],
                &line["path"]
            ),
            (
                &json!("sender.created"),
                &json!("owner"),
                &json!(201),
                &json!("POST"),
                &json!("/v1/senders")
            )
        );

        // A reader that trades is refused, and the trail says who it was, not what was sent.
        let mut alert =
            desk.alert(&json!({ "action": "buy", "symbol": "BTCUSDT", "quantity": "0.01" }));
        alert["apiKey"] = json!(key);
        let refused = desk.post(&alert).await;
        assert_eq!(
            refused.verdict(),
            (403, "NOT_PERMITTED"),
            "{}",
            refused.text
        );
        let line = line_of(&stack, refused.str("requestId")).await;
        assert_eq!(
            (&line["event"], &line["actor"], &line["code"], &line["path"]),
            (
                &json!("signal.refused"),
                &json!("bot"),
                &json!("NOT_PERMITTED"),
                &json!("/webhook")
            )
        );

        // Strangers at the webhook leave nothing; one at the operator API does.
        alert["apiKey"] = json!("nobody");
        let stranger = desk.post(&alert).await;
        assert_eq!(stranger.verdict(), (403, "FORBIDDEN"));
        let burglar = stack.sandbox.with_key("GET", "/v1/manifest", &key).await;
        let line = line_of(&stack, burglar.str("requestId")).await;
        assert_eq!(
            (&line["event"], &line["actor"], &line["code"]),
            (
                &json!("operator.refused"),
                &json!("stranger"),
                &json!("UNAUTHORIZED")
            )
        );
        let (all, whole) = lines(&stack, "").await;
        assert!(
            all.iter()
                .all(|line| line["requestId"] != stranger.str("requestId"))
        );
        assert!(!whole.text.contains(&key));
    });
}

/// Event, actor and detail of the lines of a chain, once there are as many.
async fn told(stack: &Stack, chain: &str, count: usize) -> Vec<[String; 3]> {
    eventually("the chain's lines", async || {
        let (lines, _) = lines(stack, "").await;
        let lines = lines.iter().filter(|line| line["chain"] == chain);
        let text = |line: &Value, field: &str| line[field].as_str().unwrap().to_owned();
        let told = lines.map(|line| ["event", "actor", "detail"].map(|field| text(line, field)));
        let told: Vec<_> = told.collect();
        (told.len() >= count).then_some(told)
    })
    .await
}

#[test]
fn what_a_ledger_took_sent_and_made_of_it_is_in_the_trail() {
    run(async {
        let stack = Stack::own("audit-ledger", 1).await;
        let desk = stack.desk();
        let bought = desk
            .trade(json!({ "action": "buy", "symbol": "BTCUSDT", "quantity": "0.02" }))
            .await;
        assert_eq!(bought.str("status"), "filled", "{}", bought.text);
        let switch = json!({ "mode": "entries", "reason": "audit" });
        let stopped = stack
            .sandbox
            .operator("PUT", "/v1/kill-switch", Some(&switch))
            .await;
        assert_eq!(stopped.status, 200, "{}", stopped.text);
        let refused = desk
            .trade(json!({ "action": "buy", "symbol": "ETHUSDT", "quantity": "0.1" }))
            .await;
        assert_eq!(refused.verdict(), (423, "KILL_SWITCH"), "{}", refused.text);

        let (account, sender) = (format!("{}-id", desk.account), desk.sender.as_str());
        let told = told(&stack, &format!("ledger/{account}"), 5).await;
        let order = bought.json["orders"][0]["clientOrderId"].as_str().unwrap();
        let line =
            |event: &str, actor: &str, detail: &str| [event, actor, detail].map(str::to_owned);
        let expected = [
            line("signal.accepted", sender, "buy BTCUSDT"),
            line(
                "order.sent",
                "trade-worker",
                &format!("buy 0.02 BTCUSDT market as {order}"),
            ),
            line("signal.outcome", "trade-worker", "filled"),
            line("signal.accepted", sender, "buy ETHUSDT"),
        ];
        assert_eq!(told[..4], expected);
        let [event, _, detail] = &told[4];
        assert_eq!(event, "signal.outcome");
        assert!(detail.starts_with("refused: "), "{detail}");
        assert_eq!(told.len(), 5);

        let note = eventually("the account's word", async || {
            let (lines, _) = lines(&stack, "").await;
            lines
                .into_iter()
                .find(|line| line["chain"] == "trade-worker")
        })
        .await;
        assert_eq!(
            (&note["event"], &note["requestId"]),
            (&json!("kill-switch.applied"), &stopped.json["requestId"])
        );
        assert!(note["detail"].as_str().unwrap().starts_with("entries at "));
        for chain in [format!("ledger/{account}"), "trade-worker".to_owned()] {
            let path = format!("/v1/audit/verify?chain={chain}");
            let verified = stack.sandbox.operator("GET", &path, None).await;
            let audit = &verified.json["audit"];
            assert_eq!(
                (&audit["chain"], &audit["broken"]),
                (&json!(chain), &Value::Null)
            );
        }
    });
}

#[test]
fn a_private_worker_refuses_calls_without_its_edges_key_and_records_them() {
    run(async {
        let mut stack = Stack::own("audit-edge", 1).await;
        stack.sandbox.kill();
        let call = async |part: &Part, path: &str, key: &str| {
            let request = part
                .client
                .request("POST", path)
                .header("x-hoox-edge-key", key);
            let answer = request.body("null").send().await.unwrap();
            let status = answer.status().as_u16();
            let answer: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
            assert_eq!(
                (status, &answer["Err"]["code"]),
                (401, &json!("UNAUTHORIZED")),
                "{path}"
            );
        };
        let trade = Part::trade(&stack.sandbox).await;
        for number in 0..12 {
            call(&trade, "/manifest/get", &"x".repeat(number)).await;
        }
        trade.stop();
        let records = Part::records(&stack.sandbox).await;
        call(&records, "/audit/append", "x").await;
        records.stop();
        stack.sandbox.start_again().await;
        let told = eventually("the refusals", async || {
            let (lines, _) = lines(&stack, "").await;
            let refused = lines
                .iter()
                .filter(|line| line["event"] == "edge.refused" && line["path"] != "/health");
            let text = |field: &Value| field.as_str().unwrap().to_owned();
            let told = refused.map(|line| [&line["chain"], &line["path"], &line["code"]].map(text));
            let told: Vec<_> = told.collect();
            (told.len() >= 10).then_some(told)
        })
        .await;
        let of = |chain: &str, path: &str| [chain, path, "UNAUTHORIZED"].map(str::to_owned);
        let (last, flood) = told.split_last().unwrap();
        assert_eq!(*last, of("d1-worker", "/audit/append"));
        let expected = of("trade-worker", "/manifest/get");
        assert!(flood.iter().all(|line| *line == expected), "{flood:?}");
        // Of one minute ten are stored, one of which the start of the worker may have used up.
        assert!((9..=12).contains(&flood.len()), "{flood:?}");
    });
}

#[test]
fn the_trail_is_a_chain_that_anybody_can_verify() {
    run(async {
        let stack = Stack::own("audit-chain", 1).await;
        for number in 0..3 {
            let refused = stack
                .sandbox
                .operator("DELETE", &format!("/v1/senders/nobody{number}"), None)
                .await;
            line_of(&stack, refused.str("requestId")).await;
        }
        let (all, whole) = lines(&stack, "").await;
        // Each row carries the hash of the one before; anybody can compute it.
        for pair in all.windows(2) {
            assert_eq!(pair[1]["previous"], pair[0]["hash"]);
        }
        let first = &all[0];
        let raw = whole.text.lines().next().unwrap();
        let entry = raw.split_once(r#","time""#).unwrap().1;
        let hashed = format!(
            "{}\n{}\n{}\n{{\"time\"{entry}",
            first["chain"].as_str().unwrap(),
            first["sequence"],
            first["previous"].as_str().unwrap()
        );
        assert_eq!(first["hash"], sha256_hex(hashed.as_bytes()));

        // Page by page it is the same, and the trail holds together.
        let (page, reply) = lines(&stack, "?rows=1").await;
        assert_eq!((page.len(), reply.header("x-more")), (1, Some("true")));
        let cursor = reply.header("x-next-cursor").unwrap();
        let (next, _) = lines(&stack, &format!("?rows=1&cursor={cursor}")).await;
        assert_eq!([&page[..], &next[..]].concat(), all[..2]);
        let verified = stack
            .sandbox
            .operator("GET", "/v1/audit/verify", None)
            .await;
        let audit = &verified.json["audit"];
        assert_eq!(
            (&audit["chain"], &audit["broken"]),
            (&json!("gateway"), &Value::Null)
        );
        assert!(audit["checked"].as_u64().unwrap() >= 3);
        for wrong in ["?rows=0", "?cursor=x", "?line=1"] {
            for path in ["/v1/audit.jsonl", "/v1/audit/verify"] {
                let path = format!("{path}{wrong}");
                let reply = stack.sandbox.operator("GET", &path, None).await;
                assert_eq!(reply.verdict(), (400, "BAD_FIELD"), "{path} {}", reply.text);
            }
        }
        let dropped = stack
            .sandbox
            .operator("DELETE", "/v1/audit?before=200001", None)
            .await;
        assert_eq!(
            (dropped.status, &dropped.json["audit"]["more"]),
            (200, &json!(false))
        );
    });
}
