//! Every answer of the webhook's contract, with its exact status, code and body.

use hoox_e2e::{Desk, Reply, Stack, run, timenow};
use serde_json::{Value, json};

const TAKEN: [&str; 5] = ["account", "requestId", "signalId", "status", "success"];
const REFUSED: [&str; 4] = ["code", "error", "requestId", "success"];
const REFUSED_FIELD: [&str; 5] = ["code", "error", "field", "requestId", "success"];

fn long(quantity: &str) -> Value {
    json!({ "action": "LONG", "symbol": "BTCUSDT", "quantity": quantity })
}

/// A refusal of one field, in the contract's shape.
fn assert_field(reply: &Reply, status: u16, code: &str, field: &str) {
    assert_eq!(reply.verdict(), (status, code), "{}", reply.text);
    assert_eq!(reply.str("field"), field, "{}", reply.text);
    assert_eq!(reply.fields(), REFUSED_FIELD);
    assert_eq!(reply.json["success"], false);
}

/// What a refusal tells, but for the request's id.
fn told(reply: &Reply) -> (u16, Value, Vec<(String, String)>) {
    let mut body = reply.json.clone();
    body.as_object_mut().unwrap().remove("requestId");
    let mut headers: Vec<_> = reply
        .headers
        .iter()
        .filter(|(name, _)| !["x-request-id", "date"].contains(&name.as_str()))
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .collect();
    headers.sort();
    (reply.status, body, headers)
}

#[test]
fn an_alert_is_answered_once_it_is_journaled() {
    run(async {
        let desk = Stack::shared().await.desk();
        let reply = desk.post(&desk.alert(&long("0.01"))).await;
        assert_eq!(reply.status, 202, "{}", reply.text);
        assert_eq!(reply.fields(), TAKEN);
        assert_eq!(reply.json["success"], true);
        assert_eq!(
            (reply.str("status"), reply.str("account")),
            ("received", desk.account.as_str())
        );
        assert_eq!(reply.str("signalId").len(), 26);
        desk.recorded(reply.str("signalId"), "filled").await;
        assert_eq!(desk.orders(), ["Buy Market 0.01 BTCUSDT"]);
    });
}

#[test]
fn both_paths_take_an_alert_and_prefer_waits_for_the_fill() {
    run(async {
        let desk = Stack::shared().await.desk();
        for (path, quantity) in [("/webhook", "0.01"), ("/", "0.020")] {
            let request = desk
                .client()
                .request("POST", path)
                .header("prefer", "wait=2");
            let reply = desk
                .client()
                .send(request.body(desk.alert(&long(quantity)).to_string()))
                .await;
            assert_eq!(reply.status, 200, "{}", reply.text);
            assert_eq!(
                reply.fields(),
                [
                    "account",
                    "notes",
                    "orders",
                    "requestId",
                    "signalId",
                    "status",
                    "success"
                ]
            );
            assert_eq!(reply.json["success"], true);
            assert_eq!(reply.str("status"), "filled");
            let exchange = desk.exchange.orders().pop().unwrap();
            assert_eq!(
                reply.json["orders"],
                json!([{
                    "clientOrderId": exchange.client_order_id.unwrap(), "symbol": "BTCUSDT", "side": "buy",
                    "orderType": "market", "quantity": quantity.trim_end_matches('0'), "reduceOnly": false,
                    "status": "filled", "filledQuantity": quantity.trim_end_matches('0'), "averagePrice": "65000",
                }])
            );
        }
        assert_eq!(
            desk.orders(),
            ["Buy Market 0.01 BTCUSDT", "Buy Market 0.02 BTCUSDT"]
        );
    });
}

#[test]
fn what_the_venue_or_its_rules_refuse_is_told_with_its_code() {
    run(async {
        let desk = Stack::shared().await.desk();
        for (alert, status, code) in [
            // 100 BTC at 65,000 need more than 100,000 USDT of margin at any leverage the account has.
            (long("100"), "rejected", "REJECTED"),
            (long("0.0009"), "refused", "BELOW_MINIMUM"),
            (long("501"), "refused", "ABOVE_MAXIMUM"),
            (
                json!({ "action": "LONG", "symbol": "DOGEUSDT", "quantity": 1 }),
                "refused",
                "UNKNOWN_SYMBOL",
            ),
        ] {
            let reply = desk.trade(alert).await;
            assert_eq!(reply.verdict(), (200, code), "{}", reply.text);
            assert_eq!(reply.json["success"], false);
            assert_eq!(reply.str("status"), status);
            assert_eq!(reply.str("account"), desk.account);
            assert_ne!(reply.str("error"), "");
            let record = desk.recorded(reply.str("signalId"), status).await;
            assert_eq!(
                (&record["code"], &record["message"]),
                (&json!(code), &reply.json["error"])
            );
        }
        assert_eq!(desk.orders(), [""; 0]);
    });
}

#[test]
fn a_duplicate_gets_the_first_signal_and_its_present_outcome() {
    run(async {
        let desk = Stack::shared().await.desk();
        let alert = desk.alert(&long("0.01"));
        let first = desk.post_and_wait(&alert).await;
        assert_eq!(first.status, 200, "{}", first.text);
        let again = desk.post(&alert).await;
        assert_eq!(again.verdict(), (409, "DUPLICATE"), "{}", again.text);
        assert_eq!(
            again.fields(),
            [
                "account",
                "code",
                "error",
                "orders",
                "requestId",
                "signalId",
                "status",
                "success"
            ]
        );
        assert_eq!(again.json["success"], false);
        for field in ["signalId", "status", "account", "orders"] {
            assert_eq!(again.json[field], first.json[field], "{field}");
        }
        assert_ne!(again.str("requestId"), first.str("requestId"));
        assert_eq!(desk.orders(), ["Buy Market 0.01 BTCUSDT"]);
    });
}

#[test]
fn an_idempotency_key_decides_and_must_not_be_reused() {
    run(async {
        let desk = Stack::shared().await.desk();
        let keyed = |quantity: &str| {
            let alert = desk.alert(&long(quantity));
            desk.client()
                .alert(&alert)
                .header("idempotency-key", "entry 1")
                .header("prefer", "wait=2")
        };
        let alert = desk.alert(&json!({
            "action": "LONG", "symbol": "BTCUSDT", "quantity": "0.01", "idempotencyKey": "entry 1",
        }));
        let first = desk.post_and_wait(&alert).await;
        assert_eq!(
            (first.status, first.str("status")),
            (200, "filled"),
            "{}",
            first.text
        );
        let again = desk.post(&alert).await;
        assert_eq!(again.verdict(), (409, "DUPLICATE"), "{}", again.text);
        let reused = desk.client().send(keyed("0.02")).await;
        assert_eq!(reused.verdict(), (422, "KEY_REUSED"), "{}", reused.text);
        assert_eq!(reused.str("field"), "idempotencyKey");
        for reply in [&again, &reused] {
            assert_eq!(reply.str("signalId"), first.str("signalId"));
        }
        let differ = desk
            .client()
            .send(
                desk.client()
                    .alert(&alert)
                    .header("idempotency-key", "other"),
            )
            .await;
        assert_field(&differ, 400, "BAD_FIELD", "idempotencyKey");
        assert_eq!(desk.orders(), ["Buy Market 0.01 BTCUSDT"]);
    });
}

#[test]
fn entries_have_a_rate_and_closes_are_exempt() {
    run(async {
        let desk = Stack::shared().await.desk_of("metered");
        for _ in 0..2 {
            let reply = desk.trade(long("0.01")).await;
            assert_eq!(
                (reply.status, reply.str("status")),
                (200, "filled"),
                "{}",
                reply.text
            );
        }
        let reply = desk.trade(long("0.01")).await;
        assert_eq!(reply.verdict(), (429, "RATE_LIMITED"), "{}", reply.text);
        assert_eq!(reply.fields(), REFUSED);
        let wait: u32 = reply.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=3600).contains(&wait), "{wait}");
        assert!(
            reply
                .str("error")
                .ends_with(&format!("try again in {wait} s")),
            "{}",
            reply.text
        );
        let close = desk
            .trade(json!({ "action": "CLOSE_LONG", "symbol": "BTCUSDT" }))
            .await;
        assert_eq!(
            (close.status, close.str("status")),
            (200, "filled"),
            "{}",
            close.text
        );
        assert_eq!(
            desk.orders(),
            [
                "Buy Market 0.01 BTCUSDT",
                "Buy Market 0.01 BTCUSDT",
                "Sell Market 0.02 BTCUSDT reduce"
            ]
        );
    });
}

#[test]
fn bodies_that_are_no_json_object_are_explained() {
    run(async {
        let desk = Stack::shared().await.desk();
        for body in [
            "",
            "LONG BTCUSDT",
            "[1]",
            "\"x\"",
            "{",
            r#"{"apiKey":"a","apiKey":"a"}"#,
            r#"{"quantity":NaN}"#,
        ] {
            for content in ["application/json", "text/plain; charset=utf-8"] {
                let request = desk
                    .client()
                    .request("POST", "/webhook")
                    .header("content-type", content);
                let reply = desk.client().send(request.body(body)).await;
                assert_eq!(reply.verdict(), (400, "BAD_JSON"), "{body}: {}", reply.text);
                assert_eq!(reply.fields(), REFUSED);
            }
        }
    });
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn faults_of_an_alert_name_the_field() {
    run(async {
        let desk = Stack::shared().await.desk();
        let other = Stack::shared().await.desk();
        let with = |name: &str, value: Value| {
            let mut alert = long("0.01");
            alert[name] = value;
            alert
        };
        for (alert, status, code, field) in [
            (with("action", json!("UP")), 400, "BAD_FIELD", "action"),
            (with("quantity", json!(-1)), 400, "BAD_FIELD", "quantity"),
            (
                with("quantity", json!("a lot")),
                400,
                "BAD_FIELD",
                "quantity",
            ),
            (with("quantity", Value::Null), 400, "BAD_FIELD", "quantity"),
            (
                with("quantityType", json!("lots")),
                400,
                "BAD_FIELD",
                "quantityType",
            ),
            (with("orderType", json!("limit")), 400, "BAD_FIELD", "price"),
            (
                with("stopLoss", json!(64_000)),
                400,
                "BAD_FIELD",
                "stopLoss",
            ),
            (with("leverage", json!(500)), 400, "BAD_FIELD", "leverage"),
            (
                with("timestamp", json!("yesterday")),
                400,
                "BAD_FIELD",
                "timestamp",
            ),
            (
                with("quantity", json!("{{strategy.order.contracts}}")),
                400,
                "PLACEHOLDER",
                "quantity",
            ),
            (
                with("comment", json!("{{strategy.order.comment}}")),
                400,
                "PLACEHOLDER",
                "comment",
            ),
            (
                with("timestamp", json!(timenow(-120))),
                400,
                "STALE",
                "timestamp",
            ),
            (
                with("timestamp", json!(timenow(120))),
                400,
                "STALE",
                "timestamp",
            ),
            (
                with("symbol", json!("BTC USD")),
                400,
                "UNKNOWN_SYMBOL",
                "symbol",
            ),
            (
                with("exchange", json!("nasdaq")),
                400,
                "BAD_FIELD",
                "exchange",
            ),
            (with("market", json!("spot")), 400, "UNSUPPORTED", "symbol"),
            (
                with("quantityType", json!("percentEquity")),
                400,
                "UNSUPPORTED",
                "quantityType",
            ),
            (
                with("stopLoss", json!({ "percent": 1 })),
                400,
                "UNSUPPORTED",
                "stopLoss",
            ),
            (
                with("marginMode", json!("isolated")),
                400,
                "UNSUPPORTED",
                "marginMode",
            ),
            (
                with("account", json!(other.account)),
                403,
                "NOT_PERMITTED",
                "account",
            ),
            (
                with("account", json!("nobody")),
                403,
                "NOT_PERMITTED",
                "account",
            ),
            (
                with("exchange", json!("binance")),
                403,
                "NOT_PERMITTED",
                "exchange",
            ),
        ] {
            let reply = desk.post(&desk.alert(&alert)).await;
            assert_field(&reply, status, code, field);
        }
        let mismatch = json!({ "account": desk.account, "exchange": "mexc" });
        let mut alert = desk.alert(&long("0.01"));
        alert
            .as_object_mut()
            .unwrap()
            .extend(mismatch.as_object().unwrap().clone());
        assert_field(&desk.post(&alert).await, 400, "VENUE_MISMATCH", "exchange");
        assert_eq!(desk.orders(), [""; 0]);
        assert_eq!(desk.listed("signals").await, [Value::Null; 0]);
    });
}

#[test]
fn a_placeholder_that_breaks_the_json_is_named() {
    run(async {
        let desk = Stack::shared().await.desk();
        let body = r#"{"apiKey":"KEY","action":"LONG","symbol":"BTCUSDT","quantity":{{strategy.order.contracts}}}"#;
        let reply = desk.post(&body.replace("KEY", &desk.passkey)).await;
        assert_eq!(reply.verdict(), (400, "PLACEHOLDER"), "{}", reply.text);
        assert!(
            reply.str("error").contains("{{strategy.order.contracts}}"),
            "{}",
            reply.text
        );
    });
}

#[test]
fn strangers_learn_nothing() {
    run(async {
        let stack = Stack::shared().await;
        let desk = stack.desk();
        let from = |address: &str, alert: &Value| {
            desk.client()
                .alert(&alert)
                .header("cf-connecting-ip", address)
        };
        let valid = desk.alert(&long("0.01"));
        let keyed = |key: Value| {
            let mut alert = valid.clone();
            alert["apiKey"] = key;
            alert
        };
        let mut keyless = valid.clone();
        keyless.as_object_mut().unwrap().remove("apiKey");
        let mut wrong = desk.passkey.clone();
        wrong.replace_range(
            wrong.len() - 1..,
            if wrong.ends_with('A') { "B" } else { "A" },
        );

        let reference = desk.client().send(from("198.51.100.1", &valid)).await;
        assert_eq!(
            reference.verdict(),
            (403, "FORBIDDEN"),
            "{}",
            reference.text
        );
        assert_eq!(reference.fields(), REFUSED);
        let mut requests = vec![
            from("203.0.113.8", &valid),
            from("::ffff:198.51.100.1", &valid),
            from("2001:db8::1", &keyed(json!("x"))),
            from("no address", &valid),
            from("127.0.0.1, 198.51.100.1", &valid),
            // Before the key is known, the rest of the body does not matter either.
            desk.client()
                .request("POST", "/")
                .header("cf-connecting-ip", "198.51.100.1")
                .body("{"),
            desk.client().alert(&keyless),
            desk.client().alert(&"{}"),
        ];
        for key in [
            json!("x"),
            json!(""),
            json!(wrong),
            json!(7),
            json!("x".repeat(5_000)),
            Value::Null,
        ] {
            requests.push(desk.client().alert(&keyed(key)));
        }
        for sender in ["late", "early"] {
            requests.push(
                desk.client()
                    .alert(&stack.desk_of(sender).alert(&long("0.01"))),
            );
        }
        for request in requests {
            let shown = format!("{request:?}");
            let reply = desk.client().send(request).await;
            assert_eq!(told(&reply), told(&reference), "{shown}");
        }
        assert_eq!(desk.orders(), [""; 0]);
    });
}

#[test]
fn known_senders_learn_what_they_may_not_do() {
    run(async {
        let stack = Stack::shared().await;
        for (sender, word) in [("reader", "permission trade"), ("confined", "this address")] {
            let desk = stack.desk_of(sender);
            let reply = desk.post(&desk.alert(&long("0.01"))).await;
            assert_eq!(reply.verdict(), (403, "NOT_PERMITTED"), "{}", reply.text);
            assert_eq!(reply.fields(), REFUSED);
            assert!(reply.str("error").contains(word), "{}", reply.text);
        }
        // The sender's own range, then TradingView's, which hold for everybody.
        let desk = stack.desk();
        for (desk, address, status) in [
            (stack.desk_of("confined"), "203.0.113.7", 200),
            (desk.clone(), "203.0.113.7", 403),
            (desk, "52.89.214.238", 200),
        ] {
            let alert = desk.alert(&json!({ "action": "close", "symbol": "SOLUSDT" }));
            let request = desk
                .client()
                .alert(&alert)
                .header("cf-connecting-ip", address);
            let reply = desk.client().send(request.header("prefer", "wait=2")).await;
            assert_eq!(reply.status, status, "{address}: {}", reply.text);
        }
    });
}

#[test]
fn paths_and_methods_match_exactly() {
    run(async {
        let desk = Stack::shared().await.desk();
        for (method, path) in [
            ("GET", "/nothing"),
            ("POST", "/webhook//"),
            ("POST", "/WEBHOOK"),
            ("POST", "//webhook"),
            ("POST", "/webhook%2f"),
            ("POST", "/v1x"),
        ] {
            let reply = desk
                .client()
                .send(desk.client().request(method, path))
                .await;
            assert_eq!(
                reply.verdict(),
                (404, "NOT_FOUND"),
                "{path}: {}",
                reply.text
            );
            assert_eq!(reply.fields(), REFUSED);
        }
        for (method, path, allow) in [
            ("GET", "/webhook", "POST"),
            ("PUT", "/webhook", "POST"),
            ("DELETE", "/", "POST"),
            ("OPTIONS", "/", "POST"),
            ("POST", "/health", "GET"),
        ] {
            let reply = desk
                .client()
                .send(desk.client().request(method, path))
                .await;
            assert_eq!(
                reply.verdict(),
                (405, "METHOD_NOT_ALLOWED"),
                "{method} {path}: {}",
                reply.text
            );
            assert_eq!(reply.fields(), REFUSED);
            assert_eq!(reply.header("allow"), Some(allow));
        }
    });
}

#[test]
fn large_bodies_are_refused_by_header_and_by_stream() {
    run(async {
        let desk = Stack::shared().await.desk();
        let alert = desk.alert(&json!({
            "action": "close", "symbol": "BTCUSDT", "padding": "",
        }));
        let padded = |size: usize| {
            let mut alert = alert.clone();
            alert["padding"] = json!("x".repeat(size - alert.to_string().len()));
            alert.to_string()
        };
        let chunked = |desk: &Desk, body: &str| {
            let address = desk.client().gateway();
            let head = format!(
                "POST /webhook HTTP/1.1\r\nhost: {}\r\nconnection: close\r\nprefer: wait=2\r\ntransfer-encoding: chunked\r\n\r\n",
                address.trim_start_matches("http://")
            );
            let chunks = body.as_bytes().chunks(10_000).map(|chunk| {
                format!(
                    "{:x}\r\n{}\r\n",
                    chunk.len(),
                    core::str::from_utf8(chunk).unwrap()
                )
            });
            head + &chunks.collect::<String>() + "0\r\n\r\n"
        };
        let limit = 64 * 1024;
        let reply = desk.post(&padded(limit + 1)).await;
        assert_eq!(reply.verdict(), (413, "TOO_LARGE"), "{}", reply.text);
        assert_eq!(reply.fields(), REFUSED);
        let reply = desk
            .client()
            .raw(chunked(&desk, &padded(limit + 1)).as_bytes())
            .await;
        assert_eq!(reply.verdict(), (413, "TOO_LARGE"), "{}", reply.text);
        let reply = desk
            .client()
            .raw(chunked(&desk, &padded(limit)).as_bytes())
            .await;
        assert_eq!(
            (reply.status, reply.str("status")),
            (200, "nothing_to_do"),
            "{}",
            reply.text
        );
    });
}

#[test]
fn the_operator_api_needs_its_key() {
    run(async {
        let stack = Stack::shared().await;
        let client = stack.client();
        let paths = [
            "/v1",
            "/v1/signals",
            "/v1/orders",
            "/v1/positions",
            "/v1/manifest",
            "/v1/kill-switch",
            "/v1/keys",
            "/v1/nothing",
        ];
        for path in paths {
            let bare = client.request("GET", path);
            let wrong = client.request("GET", path).bearer_auth("x".repeat(43));
            let basic = client
                .request("GET", path)
                .basic_auth("operator", Some(stack.sandbox.secret("/operatorKey")));
            for request in [bare, wrong, basic] {
                let reply = client.send(request).await;
                assert_eq!(
                    reply.verdict(),
                    (401, "UNAUTHORIZED"),
                    "{path}: {}",
                    reply.text
                );
                assert_eq!(reply.fields(), REFUSED);
            }
        }
        let reply = stack.sandbox.operator("GET", "/v1/nothing", None).await;
        assert_eq!(reply.verdict(), (404, "NOT_FOUND"), "{}", reply.text);
        for (path, allow) in [("/v1/manifest", "GET, PUT"), ("/v1/signals", "GET")] {
            let reply = stack.sandbox.operator("DELETE", path, None).await;
            assert_eq!(
                reply.verdict(),
                (405, "METHOD_NOT_ALLOWED"),
                "{}",
                reply.text
            );
            assert_eq!(reply.header("allow"), Some(allow));
            // A stranger does not learn which paths there are.
            let reply = client.send(client.request("DELETE", path)).await;
            assert_eq!(reply.verdict(), (401, "UNAUTHORIZED"), "{}", reply.text);
        }
    });
}

#[test]
fn health_needs_no_key() {
    run(async {
        let client = Stack::shared().await.client();
        let request = client
            .request("GET", "/health")
            .header("cf-connecting-ip", "198.51.100.1");
        let reply = client.send(request).await;
        assert_eq!(reply.status, 200);
        assert_eq!(
            reply.json,
            json!({
                "success": true, "status": "ok",
                "bindings": {
                    "CONFIG_KV": true, "TRADE_WORKER": true, "D1_WORKER": true, "ATTEMPTS": true,
                    "OPERATOR_KEY": true, "SEALING_KEY": true,
                    "HOOX_TRADE_KEY": true, "HOOX_D1_KEY": true,
                },
            })
        );
    });
}
