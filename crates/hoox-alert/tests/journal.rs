//! Which journaled alerts would be judged otherwise today.

#![expect(
    clippy::unwrap_used,
    reason = "a test: what it does not expect must stop it"
)]

use hoox_alert::{Then, compare};
use hoox_model::{Product, Venue};
use serde_json::{Value, json};

/// A record of an alert that came at 2026-05-28T20:26:43Z.
fn then(body: &Value, action: &str, orders: &[Value]) -> Then {
    let record = json!({
        "body": body.to_string(), "action": action, "symbol": "BTCUSDT", "dryRun": false, "state": "filled",
        "receivedAt": 1_780_000_003_000_i64, "orders": orders,
    });
    serde_json::from_value(record).unwrap()
}

fn order(quantity: &str, reduce_only: bool) -> Value {
    json!({ "orderType": "market", "quantity": quantity, "reduceOnly": reduce_only, "clientOrderId": "hx-1" })
}

fn compared(then: &Then) -> Option<String> {
    compare(then, Venue::Bybit, Product::Linear)
}

#[test]
fn what_is_read_as_it_was_is_not_named() {
    let entry = json!({ "symbol": "BTCUSDT", "action": "buy", "quantity": "0.5" });
    let flip = json!({ "symbol": "BTCUSDT", "action": "LONG", "quantity": "0.5", "orderType": "limit", "price": "1" });
    let stale =
        json!({ "symbol": "BTCUSDT", "action": "close", "timestamp": "2026-05-28T19:00:00Z" });
    let closing = order("9", true);
    for (body, action, orders) in [
        (&entry, "buy", vec![order("0.499", false)]),
        (&entry, "buy", vec![]),
        // The closing leg goes at the market and is as large as what it closes.
        (
            &flip,
            "LONG",
            vec![
                closing.clone(),
                json!({ "orderType": "limit", "quantity": "0.5", "reduceOnly": false }),
            ],
        ),
        // Replayed by an operator, long after it fired.
        (&stale, "close", vec![closing]),
    ] {
        assert_eq!(compared(&then(body, action, &orders)), None, "{body}");
    }
}

#[test]
fn what_is_read_otherwise_is_named_with_the_reason() {
    let of = |fields: Value| {
        let mut body = json!({ "symbol": "BTCUSDT" });
        body.as_object_mut()
            .unwrap()
            .extend(fields.as_object().unwrap().clone());
        body
    };
    let opened = order("0.5", false);
    for (fields, action, orders, why) in [
        (
            json!({ "action": "up" }),
            "buy",
            vec![],
            "it was taken, and is refused today: action: 'up' is not an action",
        ),
        (
            json!({ "action": "buy", "quantity": 1, "stopLoss": { "percent": 1 } }),
            "buy",
            vec![],
            "it was taken, and is refused today: stopLoss is not available yet",
        ),
        (
            json!({ "action": "flat" }),
            "sell",
            vec![],
            "it was taken as sell, and is close today",
        ),
        (
            json!({ "action": "buy", "quantity": 1, "dryRun": true }),
            "buy",
            vec![],
            "it traded, and is only planned today",
        ),
        (
            json!({ "action": "sell", "quantity": "0.5", "reduceOnly": true }),
            "sell",
            vec![opened.clone()],
            "it sent an order that may open, and only closes today",
        ),
        (
            json!({ "action": "buy", "quantity": "0.5", "orderType": "limit", "price": 1 }),
            "buy",
            vec![opened.clone()],
            "it sent a market order, and would send a limit order today",
        ),
        (
            json!({ "action": "buy", "quantity": "0.4" }),
            "buy",
            vec![opened],
            "it sent an order of 0.5, and would send 0.4 at most today",
        ),
        (
            json!({ "action": "close", "quantity": "0.4" }),
            "close",
            vec![order("0.5", true)],
            "it sent an order of 0.5, and would send 0.4 at most today",
        ),
    ] {
        let mut record = then(&of(fields), action, &orders);
        let found = compared(&record).unwrap_or_default();
        assert!(found.starts_with(why), "{found}");
        // What was refused then traded nothing.
        record.state = "refused".to_owned();
        assert_eq!(compared(&record), None);
    }
}

#[test]
fn the_account_decides_what_can_be_traded() {
    let record = then(
        &json!({ "symbol": "BTCUSDT", "action": "close" }),
        "close",
        &[],
    );
    let found = compare(&record, Venue::Bybit, Product::Spot).unwrap();
    assert!(found.contains("spot is not available"), "{found}");
}
