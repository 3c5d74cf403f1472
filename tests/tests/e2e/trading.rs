//! What a signal means for the position that is there.

use hoox_e2e::{Desk, Reply, Stack, run};
use hoox_sim::{Fault, FaultKind};
use rust_decimal::Decimal;
use serde_json::{Value, json};

fn dec(text: &str) -> Decimal {
    text.parse().unwrap()
}

fn signal(action: &str, quantity: &str) -> Value {
    json!({ "action": action, "symbol": "BTCUSDT", "quantity": quantity })
}

async fn filled(desk: &Desk, alert: Value) -> Reply {
    let reply = desk.trade(alert).await;
    assert_eq!(
        (reply.status, reply.str("status")),
        (200, "filled"),
        "{}",
        reply.text
    );
    assert_eq!(reply.json["success"], true);
    reply
}

async fn without_an_order(desk: &Desk, alert: Value, status: &str, success: bool) -> Reply {
    let before = desk.orders();
    let reply = desk.trade(alert).await;
    assert_eq!(
        (reply.status, reply.str("status")),
        (200, status),
        "{}",
        reply.text
    );
    assert_eq!(reply.json["success"], success);
    let sentence = if success { "message" } else { "error" };
    assert_ne!(reply.str(sentence), "", "{}", reply.text);
    assert_eq!(desk.orders(), before);
    reply
}

#[test]
fn a_flip_closes_first_and_then_opens() {
    run(async {
        let desk = Stack::shared().await.desk();
        filled(&desk, signal("LONG", "0.03")).await;
        let flip = filled(&desk, signal("SHORT", "0.01")).await;
        assert_eq!(flip.json["orders"].as_array().unwrap().len(), 2);
        assert_eq!(desk.held("BTCUSDT"), dec("-0.01"));
        filled(&desk, json!({ "action": "reverse", "symbol": "BTCUSDT" })).await;
        assert_eq!(desk.held("BTCUSDT"), dec("0.01"));
        assert_eq!(
            desk.orders(),
            [
                "Buy Market 0.03 BTCUSDT",
                "Sell Market 0.03 BTCUSDT reduce",
                "Sell Market 0.01 BTCUSDT",
                "Buy Market 0.01 BTCUSDT reduce",
                "Buy Market 0.01 BTCUSDT",
            ]
        );
    });
}

#[test]
fn signals_of_one_symbol_are_carried_out_in_order_of_arrival() {
    run(async {
        let desk = Stack::shared().await.desk();
        // The first one is slow at the venue, so that all of them are queued behind it.
        desk.exchange
            .faults(vec![Fault::new(FaultKind::FillDelay).millis(1_500)])
            .unwrap();
        let mut last = String::new();
        for (action, quantity) in [
            ("LONG", "0.01"),
            ("SHORT", "0.02"),
            ("LONG", "0.03"),
            ("CLOSE_LONG", "0.03"),
        ] {
            let reply = desk.post(&desk.alert(&signal(action, quantity))).await;
            assert_eq!(reply.status, 202, "{}", reply.text);
            reply.str("signalId").clone_into(&mut last);
        }
        desk.recorded(&last, "filled").await;
        assert_eq!(
            desk.orders(),
            [
                "Buy Market 0.01 BTCUSDT",
                "Sell Market 0.01 BTCUSDT reduce",
                "Sell Market 0.02 BTCUSDT",
                "Buy Market 0.02 BTCUSDT reduce",
                "Buy Market 0.03 BTCUSDT",
                "Sell Market 0.03 BTCUSDT reduce",
            ]
        );
        let mut ids: Vec<_> = desk
            .exchange
            .orders()
            .into_iter()
            .map(|order| order.client_order_id)
            .collect();
        ids.dedup();
        assert_eq!(ids.len(), 6);
        assert_eq!(desk.held("BTCUSDT"), Decimal::ZERO);
    });
}

#[test]
fn a_close_is_clamped_and_nothing_to_close_is_a_success() {
    run(async {
        let desk = Stack::shared().await.desk();
        for action in ["CLOSE_LONG", "CLOSE_SHORT", "close", "exit", "flat"] {
            without_an_order(
                &desk,
                json!({ "action": action, "symbol": "BTCUSDT" }),
                "nothing_to_do",
                true,
            )
            .await;
        }
        filled(&desk, signal("LONG", "0.03")).await;
        // The other side's close finds nothing either.
        without_an_order(&desk, signal("CLOSE_SHORT", "0.01"), "nothing_to_do", true).await;
        filled(&desk, signal("CLOSE_LONG", "0.01")).await;
        filled(&desk, signal("CLOSE_LONG", "5")).await;
        assert_eq!(
            desk.orders(),
            [
                "Buy Market 0.03 BTCUSDT",
                "Sell Market 0.01 BTCUSDT reduce",
                "Sell Market 0.02 BTCUSDT reduce"
            ]
        );
        assert_eq!(desk.held("BTCUSDT"), Decimal::ZERO);
    });
}

#[test]
fn a_resting_order_does_not_hold_up_later_signals_and_is_followed_to_its_fill() {
    run(async {
        let desk = Stack::shared().await.desk();
        let resting = desk
            .trade(json!({
                "action": "LONG", "symbol": "BTCUSDT", "quantity": "0.02", "orderType": "limit", "price": "64000.19",
            }))
            .await;
        assert_eq!(
            (resting.status, resting.str("status")),
            (200, "acknowledged"),
            "{}",
            resting.text
        );
        assert_eq!(resting.json["success"], true);
        assert_eq!(resting.json["orders"][0]["price"], "64000.1");
        filled(&desk, signal("LONG", "0.01")).await;
        assert_eq!(
            desk.orders(),
            ["Buy Limit 0.02@64000.1 BTCUSDT", "Buy Market 0.01 BTCUSDT"]
        );
        assert_eq!(desk.exchange.orders()[0].status, "New");
        desk.exchange
            .set_price("bybit", "BTCUSDT", dec("63000"))
            .unwrap();
        desk.recorded(resting.str("signalId"), "filled").await;
        assert_eq!(desk.held("BTCUSDT"), dec("0.03"));
    });
}

#[test]
fn leverage_is_set_before_an_entry_and_only_where_it_differs() {
    run(async {
        let desk = Stack::shared().await.desk();
        let with = |quantity: &str, leverage: &str| {
            let mut alert = signal("LONG", quantity);
            alert["leverage"] = json!(leverage);
            alert
        };
        filled(&desk, with("0.01", "5")).await;
        assert_eq!(desk.exchange.positions()[0].leverage, dec("5"));
        // A call to set it now would meet the fault, and the entry would be refused.
        let fault = Fault::new(FaultKind::RetCode)
            .code(10001, "not expected")
            .at("/v5/position/set-leverage");
        desk.exchange.faults(vec![fault]).unwrap();
        filled(&desk, with("0.01", "5.0")).await;
        assert_eq!(desk.exchange.waiting_faults().len(), 1);
        let refused = without_an_order(&desk, with("0.01", "7"), "refused", false).await;
        assert_eq!(refused.str("code"), "REJECTED", "{}", refused.text);
        filled(&desk, with("0.01", "7")).await;
        assert_eq!(desk.exchange.positions()[0].leverage, dec("7"));
        without_an_order(&desk, with("0.01", "101"), "refused", false).await;
        assert_eq!(desk.exchange.positions()[0].leverage, dec("7"));
    });
}

#[test]
fn a_quote_size_is_worth_no_more_than_it_says() {
    run(async {
        let desk = Stack::shared().await.desk();
        let mut alert = signal("LONG", "1000");
        alert["quantityType"] = json!("quote");
        filled(&desk, alert.clone()).await;
        alert["orderType"] = json!("limit");
        alert["price"] = json!(60_000);
        let resting = desk.trade(alert).await;
        assert_eq!(resting.str("status"), "acknowledged", "{}", resting.text);
        assert_eq!(
            desk.orders(),
            ["Buy Market 0.015 BTCUSDT", "Buy Limit 0.016@60000 BTCUSDT"]
        );
    });
}

#[test]
fn an_unknown_symbol_is_named_with_what_the_venue_lists_near_it() {
    run(async {
        let desk = Stack::shared().await.desk();
        let near = "write \"symbol\": \"BTCUSDT.P\"";
        for (symbol, sentence) in [
            (
                "BTCUSDTPERP",
                format!("bybit lists no linear perpetual BTCUSDTPERP (near it: BTCUSDT); {near}"),
            ),
            (
                "BTCUSDC.P",
                format!("bybit lists no linear perpetual BTCUSDC (near it: BTCUSDT); {near}"),
            ),
            (
                "TVC:DXY",
                "bybit lists no linear perpetual DXY, and none with a name near it; Hoox trades only what bybit lists, such as BTCUSDT.P".to_owned(),
            ),
        ] {
            for action in ["LONG", "close"] {
                let mut alert = signal(action, "0.01");
                alert["symbol"] = json!(symbol);
                let reply = without_an_order(&desk, alert, "refused", false).await;
                assert_eq!(
                    (reply.str("code"), reply.str("error")),
                    ("UNKNOWN_SYMBOL", sentence.as_str()),
                    "{action} {symbol}"
                );
            }
        }
    });
}

#[test]
fn a_price_or_size_off_the_venues_grid_is_refused_with_the_numbers() {
    run(async {
        let desk = Stack::shared().await.desk();
        let mut limit = signal("LONG", "1");
        limit["orderType"] = json!("limit");
        limit["price"] = json!(8.1e-7);
        for (alert, code, sentence) in [
            (
                limit,
                "BAD_FIELD",
                "price 0.00000081 is below one tick of BTCUSDT, 0.1: write a multiple of 0.1, the nearest one to what you mean, and 0.1 at least",
            ),
            (
                signal("LONG", "0.0004"),
                "BELOW_MINIMUM",
                "quantity 0.0004 is 0 BTC after rounding down to steps of 0.001, less than the venue's minimum of 0.001; it has to be 0.001 at least",
            ),
        ] {
            let reply = without_an_order(&desk, alert, "refused", false).await;
            assert_eq!((reply.str("code"), reply.str("error")), (code, sentence));
        }
    });
}

#[test]
fn a_dry_run_plans_everything_and_sends_nothing() {
    run(async {
        let desk = Stack::shared().await.desk();
        filled(&desk, signal("LONG", "0.03")).await;
        let mut alert = signal("SHORT", "0.0199");
        alert["dryRun"] = json!(true);
        alert["leverage"] = json!(7);
        let reply = without_an_order(&desk, alert.clone(), "dry_run", true).await;
        let planned: Vec<_> = reply.json["orders"]
            .as_array()
            .unwrap()
            .iter()
            .map(|order| {
                [
                    &order["side"],
                    &order["quantity"],
                    &order["reduceOnly"],
                    &order["status"],
                ]
                .map(Value::to_string)
                .join(" ")
            })
            .collect();
        assert_eq!(
            planned,
            [
                r#""sell" "0.03" true "not_sent""#,
                r#""sell" "0.019" false "not_sent""#
            ]
        );
        assert_ne!(desk.exchange.positions()[0].leverage, dec("7"));
        alert["quantity"] = json!("0.0009");
        // The close would go out all the same, so the plan shows it.
        let refused = without_an_order(&desk, alert, "dry_run", false).await;
        assert_eq!(refused.str("code"), "BELOW_MINIMUM", "{}", refused.text);
        assert_eq!(refused.json["orders"].as_array().unwrap().len(), 1);
        let record = desk.recorded(reply.str("signalId"), "dry_run").await;
        assert_eq!(record["dryRun"], true);
        assert_eq!(desk.listed("orders").await.len(), 1);
    });
}

#[test]
fn a_target_is_reached_from_wherever_the_position_is() {
    run(async {
        let desk = Stack::shared().await.desk();
        let target = |side: &str, size: &str| json!({ "action": "target", "symbol": "BTCUSDT", "marketPosition": side, "marketPositionSize": size });
        without_an_order(&desk, target("flat", "0"), "nothing_to_do", true).await;
        filled(&desk, target("long", "0.01")).await;
        filled(&desk, target("long", "0.03")).await;
        without_an_order(&desk, target("long", "0.03"), "nothing_to_do", true).await;
        filled(&desk, target("long", "0.02")).await;
        filled(&desk, target("short", "0.01")).await;
        filled(&desk, target("flat", "0")).await;
        assert_eq!(
            desk.orders(),
            [
                "Buy Market 0.01 BTCUSDT",
                "Buy Market 0.02 BTCUSDT",
                "Sell Market 0.01 BTCUSDT reduce",
                "Sell Market 0.02 BTCUSDT reduce",
                "Sell Market 0.01 BTCUSDT",
                "Buy Market 0.01 BTCUSDT reduce",
            ]
        );
    });
}

#[test]
fn an_opposite_position_is_netted_or_refused_where_the_alert_says_so() {
    run(async {
        let desk = Stack::shared().await.desk();
        let opposite = |word: &str, quantity: &str| {
            let mut alert = signal("SHORT", quantity);
            alert["onOpposite"] = json!(word);
            alert
        };
        filled(&desk, signal("LONG", "0.03")).await;
        let refused = without_an_order(&desk, opposite("refuse", "0.01"), "refused", false).await;
        assert_eq!(refused.str("code"), "NOT_PERMITTED", "{}", refused.text);
        filled(&desk, opposite("net", "0.01")).await;
        assert_eq!(desk.held("BTCUSDT"), dec("0.02"));
        // Plain orders always net.
        filled(&desk, signal("sell", "0.03")).await;
        assert_eq!(desk.held("BTCUSDT"), dec("-0.01"));
        assert_eq!(
            desk.orders(),
            [
                "Buy Market 0.03 BTCUSDT",
                "Sell Market 0.01 BTCUSDT",
                "Sell Market 0.03 BTCUSDT"
            ]
        );
        // In the same direction there is nothing to refuse.
        filled(&desk, opposite("refuse", "0.01")).await;
    });
}

#[test]
fn an_order_whose_answer_was_lost_is_found_and_not_sent_twice() {
    run(async {
        let desk = Stack::shared().await.desk();
        let create = "/v5/order/create";
        for fault in [
            Fault::new(FaultKind::Disconnect).at(create).with_effect(),
            Fault::new(FaultKind::Error5xx)
                .at(create)
                .status(502)
                .with_effect(),
            Fault::new(FaultKind::RetCode)
                .at(create)
                .code(10000, "Server Timeout")
                .with_effect(),
        ] {
            desk.exchange.faults(vec![fault]).unwrap();
            filled(&desk, signal("LONG", "0.01")).await;
        }
        // What the venue surely did not take is sent again under the same id.
        desk.exchange
            .faults(vec![
                Fault::new(FaultKind::RateLimit).at(create).millis(100),
            ])
            .unwrap();
        filled(&desk, signal("LONG", "0.01")).await;
        assert_eq!(desk.orders(), ["Buy Market 0.01 BTCUSDT"; 4]);
        assert_eq!(desk.exchange.waiting_faults(), []);
    });
}
