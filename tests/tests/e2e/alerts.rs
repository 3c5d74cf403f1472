//! Alerts as TradingView sends them, resends and repetitions included.

use std::time::Duration;

use hoox_e2e::{Desk, Stack, eventually, run, timenow};
use rust_decimal::Decimal;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

/// How long a static alert's resends are duplicates, and a little more for the clocks of two processes.
const WINDOW: Duration = Duration::from_millis(45_500);

/// The whole body of a fixture, as if this desk's sender had its alert fire now. `chart` names what the
/// fixture's chart shows and what the exchange of the test lists instead.
fn fired(desk: &Desk, fixture: &str, chart: &[(&str, &str)]) -> String {
    let stamps = ["40", "41", "43", "44"].map(|second| format!("2026-05-28T20:26:{second}Z"));
    let mut body = fixture
        .replace("demo-passkey", &desk.passkey)
        .replace("\"demo\"", &format!("\"{}\"", desk.account))
        .replace("1780000003000", &hoox_e2e::now().as_millis().to_string());
    for stamp in stamps {
        body = body.replace(&stamp, &timenow(0));
    }
    for (theirs, ours) in chart {
        assert!(body.contains(theirs), "{theirs} is not in the fixture");
        body = body.replace(theirs, ours);
    }
    body
}

async fn fire(desk: &Desk, content_type: &str, body: String) -> hoox_e2e::Reply {
    let request = desk
        .client()
        .request("POST", "/webhook")
        .header("content-type", content_type);
    desk.client()
        .send(request.header("prefer", "wait=2").body(body))
        .await
}

macro_rules! fixture {
    ($name:literal) => {
        include_str!(concat!(
            "../../../crates/hoox-signal/fixtures/",
            $name,
            ".json"
        ))
    };
}

const JSON: &str = "application/json; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";

#[test]
fn a_strategy_order_becomes_one_market_order() {
    run(async {
        for content_type in [JSON, TEXT] {
            let desk = Stack::shared().await.desk();
            let reply = fire(
                &desk,
                content_type,
                fired(&desk, fixture!("strategy-order"), &[]),
            )
            .await;
            assert_eq!(
                (reply.status, reply.str("status")),
                (200, "filled"),
                "{}",
                reply.text
            );
            // The price of a strategy's order is a reference, not a limit.
            assert_eq!(desk.orders(), ["Buy Market 0.015 BTCUSDT"]);
            let record = desk.recorded(reply.str("signalId"), "filled").await;
            assert_eq!(
                (&record["orderId"], &record["action"]),
                (&json!("Long Entry"), &json!("buy"))
            );
            let body: Value = serde_json::from_str(record["body"].as_str().unwrap()).unwrap();
            assert_eq!(
                (&body["price"], &body["apiKey"]),
                (&json!(67123.5), &Value::Null)
            );
        }
    });
}

#[test]
fn a_strategys_position_is_reached_and_left() {
    run(async {
        let desk = Stack::shared().await.desk();
        let before = desk
            .trade(json!({ "action": "buy", "symbol": "ETHUSDT", "quantity": "1.85" }))
            .await;
        assert_eq!(before.str("status"), "filled", "{}", before.text);
        let reply = fire(&desk, TEXT, fired(&desk, fixture!("strategy-target"), &[])).await;
        assert_eq!(
            (reply.status, reply.str("status")),
            (200, "filled"),
            "{}",
            reply.text
        );
        let reply = fire(
            &desk,
            JSON,
            fired(&desk, fixture!("strategy-target-flat"), &[]),
        )
        .await;
        assert_eq!(
            (reply.status, reply.str("status")),
            (200, "filled"),
            "{}",
            reply.text
        );
        assert_eq!(
            desk.orders(),
            [
                "Buy Market 1.85 ETHUSDT",
                "Sell Market 1.85 ETHUSDT reduce",
                "Sell Market 1.85 ETHUSDT",
                "Buy Market 1.85 ETHUSDT reduce",
            ]
        );
        assert_eq!(desk.held("ETHUSDT"), Decimal::ZERO);
    });
}

#[test]
fn an_alert_message_written_by_pine_trades_by_quote_size_and_leverage() {
    run(async {
        let desk = Stack::shared().await.desk();
        let whole = fixture!("strategy-alert-message");
        let reply = fire(&desk, TEXT, fired(&desk, whole, &[])).await;
        // Better no trade than one without the stop that it asked for.
        assert_eq!(reply.verdict(), (400, "UNSUPPORTED"), "{}", reply.text);
        assert_eq!(reply.str("field"), "stopLoss");
        let without = [(
            r#""stopLoss":{"percent":1.5},"takeProfitPrice":"214.20","#,
            "",
        )];
        let reply = fire(&desk, TEXT, fired(&desk, whole, &without)).await;
        assert_eq!(
            (reply.status, reply.str("status")),
            (200, "filled"),
            "{}",
            reply.text
        );
        // 250 USDT at 150 are 1.666… SOL, in steps of 0.1 and never more than asked for.
        assert_eq!(desk.orders(), ["Buy Market 1.6 SOLUSDT"]);
        assert_eq!(desk.exchange.positions()[0].leverage, Decimal::from(3));
        let record = desk.recorded(reply.str("signalId"), "filled").await;
        assert_eq!(record["comment"], "RSI \"oversold\"\nbounce");
    });
}

#[test]
fn indicator_alerts_enter_rest_and_close() {
    run(async {
        let desk = Stack::shared().await.desk();
        let reply = fire(&desk, JSON, fired(&desk, fixture!("indicator-static"), &[])).await;
        assert_eq!(
            (reply.status, reply.str("status")),
            (200, "filled"),
            "{}",
            reply.text
        );
        // The simulated exchange lists neither DOGE nor XRP.
        let chart = [
            ("DOGEUSDT.P", "ETHUSDT.P"),
            ("0.21345", "3512.345"),
            ("1500", "1.509"),
        ];
        let reply = fire(
            &desk,
            JSON,
            fired(&desk, fixture!("indicator-limit"), &chart),
        )
        .await;
        assert_eq!(
            (reply.status, reply.str("status")),
            (200, "acknowledged"),
            "{}",
            reply.text
        );
        let chart = [("XRPUSDT.P", "BTCUSDT.P"), ("2.2871", "65000.5")];
        let reply = fire(
            &desk,
            TEXT,
            fired(&desk, fixture!("indicator-close"), &chart),
        )
        .await;
        assert_eq!(
            (reply.status, reply.str("status")),
            (200, "filled"),
            "{}",
            reply.text
        );
        assert_eq!(
            desk.orders(),
            [
                "Buy Market 0.001 BTCUSDT",
                // The price up to the tick, the size down to the step.
                "Sell Limit 1.5@3512.35 ETHUSDT",
                "Sell Market 0.001 BTCUSDT reduce",
            ]
        );
        assert_eq!(desk.exchange.orders()[1].time_in_force, "PostOnly");
    });
}

#[test]
fn fifty_identical_alerts_at_once_make_one_order() {
    run(async {
        let desk = Stack::shared().await.desk();
        let alert =
            desk.alert(&json!({ "action": "LONG", "symbol": "BTCUSDT", "quantity": "0.01" }));
        let mut sent = JoinSet::new();
        for _ in 0..50 {
            let (desk, alert) = (desk.clone(), alert.clone());
            sent.spawn(async move { desk.post(&alert).await });
        }
        let replies = sent.join_all().await;
        let (first, others): (Vec<_>, Vec<_>) =
            replies.iter().partition(|reply| reply.status == 202);
        assert_eq!((first.len(), others.len()), (1, 49));
        let id = first[0].str("signalId");
        for reply in others {
            assert_eq!(reply.verdict(), (409, "DUPLICATE"), "{}", reply.text);
            assert_eq!(reply.str("signalId"), id);
        }
        desk.recorded(id, "filled").await;
        assert_eq!(desk.orders(), ["Buy Market 0.01 BTCUSDT"]);
        let signals = desk.listed("signals").await;
        assert_eq!(signals.len(), 1);
    });
}

#[test]
fn a_static_alert_trades_again_after_its_window_and_not_before() {
    run(async {
        let desk = Stack::shared().await.desk();
        let body = fired(&desk, fixture!("indicator-static"), &[]);
        let first = fire(&desk, JSON, body.clone()).await;
        // The window runs from the arrival, which lies before the answer.
        let over = Instant::now() + WINDOW;
        assert_eq!(
            (first.status, first.str("status")),
            (200, "filled"),
            "{}",
            first.text
        );
        // Other white space and another place for the key are the same alert.
        let spaced = body.replace("\":", "\" : ").replace('{', "{\n ");
        let moved = body.replace(&format!("\"apiKey\":\"{}\",", desk.passkey), "");
        let moved = moved.replace('}', &format!(",\"apiKey\":\"{}\"}}", desk.passkey));
        for resent in [&body, &spaced, &moved] {
            let again = fire(&desk, JSON, resent.clone()).await;
            assert_eq!(again.verdict(), (409, "DUPLICATE"), "{}", again.text);
            assert_eq!(again.str("signalId"), first.str("signalId"));
        }
        // With a timestamp or a key the window is 7 days.
        let stamped = desk.alert(&json!({
            "action": "LONG", "symbol": "ETHUSDT", "quantity": "0.1", "timestamp": timenow(0), "maxLag": 600,
        }));
        let keyed = desk.alert(&json!({
            "action": "LONG", "symbol": "SOLUSDT", "quantity": "1", "idempotencyKey": "weekly",
        }));
        for alert in [&stamped, &keyed] {
            let reply = desk.post_and_wait(alert).await;
            assert_eq!(reply.str("status"), "filled", "{}", reply.text);
        }
        // The one wait of this suite that no condition can shorten: the window is the product's promise.
        sleep_until(over).await;
        let next = fire(&desk, JSON, body).await;
        assert_eq!(
            (next.status, next.str("status")),
            (200, "filled"),
            "{}",
            next.text
        );
        assert_ne!(next.str("signalId"), first.str("signalId"));
        for alert in [&stamped, &keyed] {
            assert_eq!(desk.post(alert).await.verdict(), (409, "DUPLICATE"));
        }
        let bought = desk
            .orders()
            .iter()
            .filter(|order| *order == "Buy Market 0.001 BTCUSDT")
            .count();
        assert_eq!((bought, desk.orders().len()), (2, 4));
        eventually("two recorded signals of the alert", async || {
            let signals = desk.listed("signals").await;
            let filled = signals.iter().filter(|signal| signal["state"] == "filled");
            (filled.count() == 4).then_some(())
        })
        .await;
    });
}
