//! Which journaled alerts would be judged otherwise today.

#![expect(
    clippy::unwrap_used,
    reason = "a test: what it does not expect must stop it"
)]

use hoox_alert::{Then, compare};
use hoox_model::{Product, Timestamp, Venue};
use hoox_signal::{Alert, Signal};
use serde_json::{Value, json};

/// A record of an alert that came at 2026-05-28T20:26:43Z and was read as `taken` is read today.
fn then(body: &Value, taken: &Value) -> Then {
    let alert = Alert::parse(taken.to_string().as_bytes()).unwrap();
    let fired = Timestamp::parse("2026-05-28T19:00:00Z").unwrap();
    let record = json!({
        "body": body.to_string(), "reading": Signal::from_alert(&alert, None, fired).unwrap().reading(),
        "state": "filled", "receivedAt": 1_780_000_003_000_i64,
    });
    serde_json::from_value(record).unwrap()
}

fn of(fields: &Value) -> Value {
    let mut body = json!({ "symbol": "BTCUSDT" });
    body.as_object_mut()
        .unwrap()
        .extend(fields.as_object().unwrap().clone());
    body
}

fn compared(then: &Then) -> Option<String> {
    compare(then, Venue::Bybit, Product::Linear)
}

#[test]
fn what_is_read_as_it_was_is_not_named() {
    for (body, taken) in [
        (
            json!({ "action": "buy", "quantity": "0.5" }),
            json!({ "action": "buy", "quantity": "0.5" }),
        ),
        // Labels change no order.
        (
            json!({ "action": "buy", "qty": 0.5, "comment": "a", "strategy": "b", "orderId": "c", "nobody": 1 }),
            json!({ "action": "buy", "quantity": "0.5" }),
        ),
        // Replayed by an operator, long after it fired.
        (
            json!({ "action": "close", "timestamp": "2026-05-28T19:00:00Z" }),
            json!({ "action": "close", "timestamp": "2026-05-28T19:00:00Z" }),
        ),
    ] {
        assert_eq!(compared(&then(&of(&body), &of(&taken))), None, "{body}");
    }
}

#[test]
fn what_is_read_otherwise_is_named_with_the_reason() {
    let buy = json!({ "action": "buy", "quantity": "0.5" });
    for (fields, taken, why) in [
        (
            json!({ "action": "up" }),
            buy.clone(),
            "it was taken, and is refused today: action: 'up' is not an action",
        ),
        (
            json!({ "action": "buy", "quantity": 1, "stopLoss": { "percent": 1 } }),
            buy.clone(),
            "it was taken, and is refused today: stopLoss is not available yet",
        ),
        (
            json!({ "action": "sell", "quantity": "0.5" }),
            buy.clone(),
            "action was buy, and is sell today",
        ),
        (
            json!({ "action": "buy", "quantity": "0.5", "dryRun": true }),
            buy.clone(),
            "dryRun was false, and is true today",
        ),
        (
            json!({ "action": "sell", "quantity": "0.5", "reduceOnly": true }),
            json!({ "action": "sell", "quantity": "0.5" }),
            "maxLagMs was 60000, and is 600000 today; reduceOnly was absent, and is true today",
        ),
        (
            json!({ "action": "buy", "quantity": "0.5", "orderType": "limit", "price": 1 }),
            buy.clone(),
            "order was {\"type\":\"market\"}, and is {\"price\":\"1\",",
        ),
        (
            json!({ "action": "close", "quantity": "0.4" }),
            json!({ "action": "close" }),
            "quantity was absent, and is {",
        ),
        (
            json!({ "action": "buy", "quantity": "0.5", "maxLag": 30 }),
            buy.clone(),
            "maxLagMs was 60000, and is 30000 today",
        ),
        (
            json!({ "action": "buy", "quantity": "0.5", "onOpposite": "refuse" }),
            buy,
            "onOpposite was ",
        ),
    ] {
        let mut record = then(&of(&fields), &of(&taken));
        let found = compared(&record).unwrap_or_default();
        assert!(found.starts_with(why), "{found}");
        // What was refused then traded nothing.
        record.state = "refused".to_owned();
        assert_eq!(compared(&record), None);
    }
}

#[test]
fn the_account_decides_what_can_be_traded() {
    let close = of(&json!({ "action": "close" }));
    let found = compare(&then(&close, &close), Venue::Bybit, Product::Spot).unwrap();
    assert!(found.contains("spot is not available"), "{found}");
}
