//! Alerts as people write them: other services' words, Pine's states, broken texts (C1 to C11 of what was tried).

use hoox_e2e::{Desk, Reply, Stack, run, timenow};
use rust_decimal::Decimal;
use serde_json::{Value, json};

fn dec(text: &str) -> Decimal {
    text.parse().unwrap()
}

/// An alert about SOLUSDT with more fields.
fn sol(action: &str, more: &Value) -> Value {
    let mut alert = json!({ "symbol": "SOLUSDT.P", "action": action });
    alert
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    alert
}

async fn desk() -> Desk {
    Stack::shared().await.desk()
}

/// What a refusal says: its code, its field, its sentence.
fn refusal(reply: &Reply) -> (u16, &str, &str, &str) {
    let (status, code) = reply.verdict();
    (status, code, reply.str("field"), reply.str("error"))
}

#[test]
fn an_order_that_may_only_reduce_opens_nothing() {
    run(async {
        let desk = desk().await;
        let reduce = sol("sell", &json!({ "quantity": 0.1, "reduceOnly": true }));
        let after =
            json!({ "quantity": "0.5", "marketPosition": "flat", "marketPositionSize": "0" });
        for alert in [
            reduce,
            sol("sell", &json!({ "quantity": 0.1, "reduce_only": "true" })),
            sol("sell", &after.clone()),
            sol(
                "buy",
                &json!({ "quantity": "0.5", "market_position": "short" }),
            ),
        ] {
            let reply = desk.trade(alert.clone()).await;
            assert_eq!(
                reply.str("status"),
                "nothing_to_do",
                "{alert}: {}",
                reply.text
            );
        }
        assert!(desk.orders().is_empty());
        // What is held is reduced by it, and where nothing is, it says that account and strategy differ.
        desk.trade(sol(
            "buy",
            &json!({ "quantity": "0.7", "marketPosition": "long" }),
        ))
        .await;
        let exit = desk.trade(sol("sell", &after.clone())).await;
        assert_eq!(exit.str("status"), "filled", "{}", exit.text);
        assert_eq!(desk.held("SOLUSDT"), dec("0.2"));
        desk.trade(sol("close", &json!({}))).await;
        let differs = desk.trade(sol("sell", &after)).await;
        assert!(
            differs.str("message").contains("an account each"),
            "{}",
            differs.text
        );
    });
}

#[test]
fn words_that_change_an_order_are_read_or_refused() {
    run(async {
        let desk = desk().await;
        for (more, field, write) in [
            (
                json!({ "quantity": 0.1, "sl": 140, "tp": 160 }),
                "sl",
                "stopLossPrice",
            ),
            (json!({ "quantity": 0.1, "mode": "paper" }), "mode", "test"),
            (json!({ "amount": 100 }), "amount", "quantity"),
            (
                json!({ "quantity": 0.1, "params": { "reduceOnly": true } }),
                "params",
                "reduceOnly",
            ),
            (
                json!({ "quantity": 0.1, "clientOrderId": "order-77" }),
                "clientOrderId",
                "idempotencyKey",
            ),
        ] {
            let reply = desk.trade(sol("LONG", &more.clone())).await;
            let (status, code, at, text) = refusal(&reply);
            assert_eq!((status, code, at), (400, "BAD_FIELD", field), "{more}");
            assert!(text.contains(write), "{text}");
        }
        assert!(desk.orders().is_empty());
        let limit = sol(
            "buy",
            &json!({ "quantity": "0.1", "type": "limit", "price": 90, "tif": "gtc", "mode": "live" }),
        );
        let reply = desk.trade(limit).await;
        assert_eq!(
            desk.orders(),
            ["Buy Limit 0.1@90 SOLUSDT"],
            "{}",
            reply.text
        );
        let notes = reply.json["notes"].to_string();
        assert!(notes.contains("type is read as orderType"), "{notes}");
        // What is not read is named.
        let unknown = json!({ "quantity": "0.1", "bot_id": 7, "type": "market" });
        let reply = desk.trade(sol("buy", &unknown)).await;
        assert_eq!(reply.str("status"), "filled", "{}", reply.text);
        assert!(reply.json["notes"].to_string().contains("not read: bot_id"));
        let record = desk.recorded(reply.str("signalId"), "filled").await;
        let told = record["notes"].as_array().unwrap();
        assert!(
            told.iter()
                .any(|note| note.as_str().unwrap().contains("not read: bot_id")),
            "{record}"
        );
        let reading: serde_json::Value =
            serde_json::from_str(record["reading"].as_str().unwrap()).unwrap();
        assert_eq!(reading["action"], "buy");
        assert_eq!(reading["order"]["type"], "market");
    });
}

#[test]
fn an_idempotency_key_counts_in_any_spelling() {
    run(async {
        let desk = desk().await;
        let body = json!({
            "apiKey": desk.passkey, "symbol": "SOLUSDT.P", "action": "buy", "quantity": "0.1",
            "idempotency_key": "order-77",
        });
        let first = desk.post_and_wait(&body).await;
        assert_eq!(first.str("status"), "filled", "{}", first.text);
        let again = desk.post(&body).await;
        assert_eq!(again.verdict(), (409, "DUPLICATE"));
        assert_eq!(desk.orders().len(), 1);
    });
}

#[test]
fn flat_with_no_quantity_closes_everything() {
    run(async {
        let desk = desk().await;
        let entry = sol("long", &json!({ "quantity": "0.5" }));
        assert_eq!(desk.trade(entry).await.str("status"), "filled");
        let part = desk.trade(sol("flat", &json!({ "quantity": "0.2" }))).await;
        assert_eq!(part.str("status"), "filled", "{}", part.text);
        assert_eq!(desk.held("SOLUSDT"), dec("0.3"));
        let all = desk.trade(sol("flat", &json!({ "quantity": "0" }))).await;
        assert_eq!(all.str("status"), "filled", "{}", all.text);
        assert_eq!(desk.held("SOLUSDT"), Decimal::ZERO);
    });
}

#[test]
fn a_full_exit_gets_out_whatever_else_its_alert_says() {
    run(async {
        let desk = desk().await;
        let entry = sol("LONG", &json!({ "quantity": "0.5" }));
        assert_eq!(desk.trade(entry).await.str("status"), "filled");
        let nonsense = json!({
            "leverage": "ten", "orderType": "stop", "sl": 5, "timestamp": "yesterday", "timeInForce": 7,
            "strategy": "{{strategy.order.comment}}", "comment": ["x"], "maxLag": -1, "stopLoss": {},
        });
        let exit = desk.trade(sol("close", &nonsense)).await;
        assert_eq!(exit.str("status"), "filled", "{}", exit.text);
        assert_eq!(desk.held("SOLUSDT"), Decimal::ZERO);
        assert!(
            exit.json["notes"].as_array().unwrap().len() >= 8,
            "{}",
            exit.text
        );
        for (more, field) in [
            (json!({ "mode": "paper" }), "mode"),
            (json!({ "size": "0.1" }), "size"),
            (json!({ "side": "sell" }), "side"),
            (json!({ "account": "no such" }), "account"),
        ] {
            let reply = desk.trade(sol("close", &more)).await;
            assert_eq!(
                (reply.verdict(), reply.str("field")),
                ((400, "BAD_FIELD"), field),
                "{}",
                reply.text
            );
        }
    });
}

#[test]
fn equal_fills_of_one_second_are_told_apart_by_their_order() {
    run(async {
        let desk = desk().await;
        let entry = sol("LONG", &json!({ "quantity": "0.5" }));
        assert_eq!(desk.trade(entry).await.str("status"), "filled");
        let fired = timenow(0);
        let fill = |order: Option<&str>| {
            let mut body = json!({
                "apiKey": desk.passkey, "symbol": "SOLUSDT.P", "action": "CLOSE_LONG", "quantity": "0.1",
                "timestamp": fired,
            });
            if let Some(order) = order {
                body["orderId"] = json!(order);
            }
            body
        };
        assert_eq!(
            desk.post_and_wait(&fill(None)).await.str("status"),
            "filled"
        );
        let second = desk.post(&fill(None)).await;
        assert_eq!(second.verdict(), (409, "DUPLICATE"));
        let text = second.str("error");
        assert!(text.contains("orderId"), "{text}");
        for order in ["TP 1", "TP 2"] {
            let reply = desk.post_and_wait(&fill(Some(order))).await;
            assert_eq!(reply.str("status"), "filled", "{}", reply.text);
        }
        assert_eq!(desk.held("SOLUSDT"), dec("0.2"));
    });
}

#[test]
fn broken_texts_say_what_stands_there() {
    run(async {
        let desk = desk().await;
        let key = &desk.passkey;
        let mut told = Vec::new();
        for body in [
            format!("{{\u{201c}apiKey\u{201d}: \u{201c}{key}\u{201d}}}"),
            format!("{{\"apiKey\": \"{key}\", // the key\n\"action\": \"close\"}}"),
            format!("{{&quot;apiKey&quot;: &quot;{key}&quot;}}"),
            format!("{{\u{a0}\"apiKey\": \"{key}\"}}"),
            format!("{{\"apiKey\": \"{key}\", \"action\": \"close\",}}"),
            format!("apiKey={key}&action=close"),
        ] {
            let reply = desk.post(&body).await;
            assert_eq!(reply.verdict(), (400, "BAD_JSON"), "{}", reply.text);
            let text = reply.str("error").to_owned();
            assert!(!text.contains(key.as_str()), "{text}");
            assert!(!told.contains(&text), "{text} is said of two kinds");
            told.push(text);
        }
        let slash = desk.client().request("POST", "/webhook/");
        let alert = desk.alert(&sol("close", &json!({})));
        let reply = desk.client().send(slash.body(alert.to_string())).await;
        assert_eq!(reply.status, 202, "{}", reply.text);
    });
}
