//! Exits get out, whatever the venue, the alerts before them and the trader's own hand have done.

use hoox_e2e::{Desk, Reply, Stack, eventually, now, run, timenow};
use hoox_sim::{Fault, FaultKind, HandTrade, SymbolChange, TradeSide};
use rust_decimal::Decimal;
use serde_json::{Value, json};

const CREATE: &str = "/v5/order/create";
const POSITIONS: &str = "/v5/position/list";

fn dec(text: &str) -> Decimal {
    text.parse().unwrap()
}

fn signal(action: &str, quantity: &str) -> Value {
    json!({ "action": action, "symbol": "BTCUSDT", "quantity": quantity })
}

fn close(action: &str) -> Value {
    json!({ "action": action, "symbol": "BTCUSDT" })
}

/// Sends an alert and has it end with this status, as a success or not.
async fn ends(desk: &Desk, alert: Value, status: &str, success: bool) -> Reply {
    let reply = desk.trade(alert).await;
    assert_eq!(
        (
            reply.status,
            reply.str("status"),
            reply.json["success"].as_bool()
        ),
        (200, status, Some(success)),
        "{}",
        reply.text
    );
    reply
}

/// Sends an alert and only has it journaled; its id.
async fn taken(desk: &Desk, alert: &Value) -> String {
    let reply = desk.post(&desk.alert(alert)).await;
    assert_eq!(reply.status, 202, "{}", reply.text);
    reply.str("signalId").to_owned()
}

/// Waits until so much time has passed, by the clock that lives and deadlines go by.
async fn pass(seconds: i64) {
    let until = now().plus_millis(seconds.saturating_mul(1000));
    eventually("the time to pass", async || (now() >= until).then_some(())).await;
}

/// Waits until every fault has struck.
async fn struck(desk: &Desk) {
    eventually("every fault to strike", async || {
        desk.exchange.waiting_faults().is_empty().then_some(())
    })
    .await;
}

/// The states of a reply's orders.
fn states(reply: &Reply) -> Vec<&str> {
    let orders = reply.json["orders"].as_array().unwrap();
    orders
        .iter()
        .map(|order| order["status"].as_str().unwrap())
        .collect()
}

#[test]
fn a_close_goes_out_at_once_past_an_entry_in_doubt() {
    run(async {
        let desk = Stack::shared().await.desk();
        ends(&desk, signal("LONG", "0.1"), "filled", true).await;
        let away = Fault::new(FaultKind::Disconnect).at(CREATE).times(100);
        desk.exchange.faults(vec![away]).unwrap();
        let mut entry = signal("LONG", "0.01");
        entry["maxLag"] = json!(5);
        let entry = taken(&desk, &entry).await;
        // Its own life is over, and nobody knows whether it is at the venue.
        pass(7).await;
        desk.exchange.clear_faults();
        // What was held is closed; the exit stays open for what the entry may turn out to have bought.
        let reply = desk.trade(close("CLOSE_LONG")).await;
        assert_eq!(
            (reply.status, &reply.json["success"], states(&reply)),
            (202, &json!(true), vec!["filled"]),
            "{}",
            reply.text
        );
        assert_eq!(reply.json["orders"][0]["reduceOnly"], true);
        assert_eq!(desk.held("BTCUSDT"), Decimal::ZERO);
        let signals = desk.listed("signals").await;
        let found = signals.iter().find(|signal| signal["id"] == entry.as_str());
        assert_eq!(found.unwrap()["state"], "sending");
        assert_eq!(
            desk.orders(),
            ["Buy Market 0.1 BTCUSDT", "Sell Market 0.1 BTCUSDT reduce"]
        );
    });
}

#[test]
fn an_entry_in_doubt_is_not_sent_again_after_a_close() {
    run(async {
        let desk = Stack::shared().await.desk();
        ends(&desk, signal("LONG", "0.1"), "filled", true).await;
        // Without effect: a look-up finds nothing, and the entry would be sent again after 2, 4, 8 s.
        let lost = Fault::new(FaultKind::Disconnect).at(CREATE);
        desk.exchange.faults(vec![lost]).unwrap();
        taken(&desk, &signal("LONG", "0.01")).await;
        struck(&desk).await;
        let reply = desk.trade(close("CLOSE_LONG")).await;
        assert_eq!(
            (reply.status, states(&reply)),
            (202, vec!["filled"]),
            "{}",
            reply.text
        );
        pass(9).await;
        assert_eq!(
            desk.orders(),
            ["Buy Market 0.1 BTCUSDT", "Sell Market 0.1 BTCUSDT reduce"]
        );
        assert_eq!(desk.held("BTCUSDT"), Decimal::ZERO);
    });
}

#[test]
fn what_an_entry_in_doubt_had_bought_is_closed_by_the_close_that_came_after_it() {
    run(async {
        let desk = Stack::shared().await.desk();
        ends(&desk, signal("LONG", "0.1"), "filled", true).await;
        // It fills 3 s after the venue took it, and its answer was lost.
        desk.exchange
            .faults(vec![
                Fault::new(FaultKind::Disconnect).at(CREATE).with_effect(),
                Fault::new(FaultKind::LookupLag).millis(5_000),
                Fault::new(FaultKind::FillDelay).millis(3_000),
            ])
            .unwrap();
        let entry = taken(&desk, &signal("LONG", "0.01")).await;
        struck(&desk).await;
        let reply = desk.trade(close("CLOSE_LONG")).await;
        assert_eq!(reply.status, 202, "{}", reply.text);
        desk.recorded(&entry, "filled").await;
        desk.recorded(reply.str("signalId"), "filled").await;
        assert_eq!(
            desk.orders(),
            [
                "Buy Market 0.1 BTCUSDT",
                "Buy Market 0.01 BTCUSDT",
                "Sell Market 0.1 BTCUSDT reduce",
                "Sell Market 0.01 BTCUSDT reduce",
            ]
        );
        assert_eq!(desk.held("BTCUSDT"), Decimal::ZERO);
    });
}

#[test]
fn a_close_that_filled_in_part_goes_on_until_nothing_is_held() {
    run(async {
        let flat = json!({
            "action": "target", "symbol": "BTCUSDT", "marketPosition": "flat", "marketPositionSize": "0",
        });
        for exit in [close("CLOSE_LONG"), close("close"), flat] {
            let desk = Stack::shared().await.desk();
            ends(&desk, signal("LONG", "1"), "filled", true).await;
            let part = Fault::new(FaultKind::PartialFill).qty(dec("0.3"));
            desk.exchange.faults(vec![part]).unwrap();
            let reply = ends(&desk, exit, "filled", true).await;
            assert_eq!(states(&reply), ["cancelled", "filled"], "{}", reply.text);
            assert_eq!(desk.held("BTCUSDT"), Decimal::ZERO);
            assert_eq!(
                desk.orders(),
                [
                    "Buy Market 1 BTCUSDT",
                    "Sell Market 1 BTCUSDT reduce",
                    "Sell Market 0.7 BTCUSDT reduce",
                ]
            );
        }
    });
}

#[test]
fn a_close_with_a_quantity_never_closes_more_than_that() {
    run(async {
        let desk = Stack::shared().await.desk();
        ends(&desk, signal("LONG", "1"), "filled", true).await;
        let part = Fault::new(FaultKind::PartialFill).qty(dec("0.3"));
        desk.exchange.faults(vec![part]).unwrap();
        ends(&desk, signal("CLOSE_LONG", "0.5"), "filled", true).await;
        assert_eq!(desk.held("BTCUSDT"), dec("0.5"));
        assert_eq!(
            desk.orders(),
            [
                "Buy Market 1 BTCUSDT",
                "Sell Market 0.5 BTCUSDT reduce",
                "Sell Market 0.2 BTCUSDT reduce",
            ]
        );
    });
}

#[test]
fn a_page_of_somebody_else_at_the_position_list_ends_an_entry_and_no_exit() {
    run(async {
        let desk = Stack::shared().await.desk();
        ends(&desk, signal("LONG", "0.1"), "filled", true).await;
        let page = Fault::new(FaultKind::Page).at(POSITIONS);
        desk.exchange.faults(vec![page.clone()]).unwrap();
        ends(&desk, close("CLOSE_LONG"), "filled", true).await;
        struck(&desk).await;
        assert_eq!(desk.held("BTCUSDT"), Decimal::ZERO);

        assert_eq!(
            desk.orders(),
            ["Buy Market 0.1 BTCUSDT", "Sell Market 0.1 BTCUSDT reduce"]
        );

        let desk = Stack::shared().await.desk();
        desk.exchange.faults(vec![page]).unwrap();
        let refused = ends(&desk, signal("LONG", "0.1"), "refused", false).await;
        assert_eq!(refused.str("code"), "VENUE_LOCATION", "{}", refused.text);
        assert_eq!(desk.orders(), [""; 0]);
    });
}

#[test]
fn a_flip_whose_opening_cannot_be_closes_all_the_same() {
    run(async {
        for (quantity, leverage, code) in [
            ("0.0001", None, "BELOW_MINIMUM"),
            ("6", None, "ABOVE_MAXIMUM"),
            ("0.01", Some(150), "REJECTED"),
        ] {
            let desk = Stack::shared().await.desk();
            desk.exchange
                .change_symbol(&SymbolChange {
                    max_mkt_order_qty: Some(dec("5")),
                    ..SymbolChange::new("BTCUSDT")
                })
                .unwrap();
            ends(&desk, signal("LONG", "1"), "filled", true).await;
            let mut flip = signal("SHORT", quantity);
            if let Some(leverage) = leverage {
                flip["leverage"] = json!(leverage);
            }
            let reply = ends(&desk, flip, "partly_filled", false).await;
            assert_eq!(reply.str("code"), code, "{}", reply.text);
            let legs = &reply.json["legs"];
            assert_eq!(
                (
                    &legs["close"],
                    &legs["open"]["status"],
                    &legs["open"]["code"]
                ),
                (
                    &json!({ "status": "filled" }),
                    &json!("not_sent"),
                    &json!(code)
                ),
                "{}",
                reply.text
            );
            assert_eq!(legs["open"]["error"], reply.json["error"], "{}", reply.text);
            assert_eq!(desk.held("BTCUSDT"), Decimal::ZERO);
            assert_eq!(
                desk.orders(),
                ["Buy Market 1 BTCUSDT", "Sell Market 1 BTCUSDT reduce"]
            );
        }
    });
}

#[test]
fn a_close_takes_hooxs_own_resting_entries_along() {
    run(async {
        for held in [true, false] {
            let desk = Stack::shared().await.desk();
            if held {
                ends(&desk, signal("LONG", "0.1"), "filled", true).await;
            }
            let mut resting = signal("LONG", "0.2");
            resting["orderType"] = json!("limit");
            resting["price"] = json!("64000");
            let resting = ends(&desk, resting, "acknowledged", true).await;
            let status = if held { "filled" } else { "nothing_to_do" };
            ends(&desk, close("close"), status, true).await;
            let record = desk.recorded(resting.str("signalId"), "cancelled").await;
            assert_eq!(record["code"], "SUPERSEDED");
            desk.exchange
                .set_price("bybit", "BTCUSDT", dec("63000"))
                .unwrap();
            let orders = desk.exchange.orders();
            let limit = orders.iter().find(|order| order.order_type == "Limit");
            let limit = limit.unwrap();
            assert_eq!(
                (limit.status.as_str(), limit.filled_qty),
                ("Cancelled", Decimal::ZERO)
            );
            assert_eq!(desk.held("BTCUSDT"), Decimal::ZERO);
        }
    });
}

#[test]
fn cancel_takes_the_named_order_or_all_that_rest_on_the_symbol() {
    run(async {
        let desk = Stack::shared().await.desk();
        let mut ids = Vec::new();
        for (order, symbol) in [("a", "BTCUSDT"), ("b", "BTCUSDT"), ("a", "ETHUSDT")] {
            let limit = json!({
                "action": "buy", "symbol": symbol, "quantity": "0.1", "orderType": "limit", "price": "1000",
                "orderId": order,
            });
            let reply = ends(&desk, limit, "acknowledged", true).await;
            ids.push(reply.str("signalId").to_owned());
        }
        let statuses = || {
            let orders = desk.exchange.orders().into_iter();
            orders.map(|order| order.status).collect::<Vec<_>>()
        };
        let named = json!({ "action": "cancel", "symbol": "BTCUSDT", "orderId": "a" });
        ends(&desk, named, "nothing_to_do", true).await;
        let record = desk.recorded(&ids[0], "cancelled").await;
        assert_eq!(record["code"], "SUPERSEDED");
        assert_eq!(statuses(), ["Cancelled", "New", "New"]);
        let mut all = desk.alert(&json!({ "action": "cancel", "symbol": "BTCUSDT" }));
        all.as_object_mut().unwrap().remove("orderId");
        let reply = desk.post_and_wait(&all).await;
        assert_eq!(
            (reply.status, reply.str("status")),
            (200, "nothing_to_do"),
            "{}",
            reply.text
        );
        desk.recorded(&ids[1], "cancelled").await;
        assert_eq!(statuses(), ["Cancelled", "Cancelled", "New"]);
    });
}

#[test]
fn an_older_entry_is_refused_once_a_newer_close_was_taken() {
    run(async {
        let desk = Stack::shared().await.desk();
        let at = |mut alert: Value, seconds: i64| {
            alert["timestamp"] = json!(timenow(seconds));
            alert
        };
        ends(&desk, at(signal("LONG", "0.1"), -10), "filled", true).await;
        ends(&desk, at(close("close"), -1), "filled", true).await;
        let late = desk.alert(&at(signal("LONG", "0.2"), -3));
        let refused = desk.post(&late).await;
        assert_eq!(refused.verdict(), (409, "OUT_OF_ORDER"), "{}", refused.text);
        let id = refused.str("signalId");
        let record = desk.recorded(id, "refused").await;
        assert_eq!(
            (&record["code"], &record["action"]),
            (&json!("OUT_OF_ORDER"), &json!("LONG"))
        );
        // Another strategy's alert has no order to this one's; nor has one that says no time.
        let mut other = at(signal("LONG", "0.3"), -3);
        other["strategy"] = json!("another");
        ends(&desk, other, "filled", true).await;
        ends(&desk, signal("LONG", "0.4"), "filled", true).await;
        assert_eq!(
            desk.orders(),
            [
                "Buy Market 0.1 BTCUSDT",
                "Sell Market 0.1 BTCUSDT reduce",
                "Buy Market 0.3 BTCUSDT",
                "Buy Market 0.4 BTCUSDT",
            ]
        );
    });
}

/// A sender of the desk's account that can be revoked.
async fn bot(stack: &Stack, desk: &Desk) -> Desk {
    let sender = json!({
        "id": "bot", "permission": "trade", "accounts": [desk.account], "ranges": ["127.0.0.0/8", "::1/128"],
    });
    let created = stack
        .sandbox
        .operator("POST", "/v1/senders", Some(&sender))
        .await;
    assert_eq!(created.status, 201, "{}", created.text);
    desk.with_passkey(created.str("key"))
}

/// Revokes it, by its own call or by a manifest without it, and has so many of its waiting exits become dead letters.
async fn revoke(stack: &Stack, exits: u32, by_manifest: bool) {
    let call = async |method, path, body: Option<&Value>| {
        let answer = stack.sandbox.operator(method, path, body).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json
    };
    let revoked = if by_manifest {
        let mut manifest = call("GET", "/v1/manifest", None).await["manifest"].take();
        manifest["version"] = json!(manifest["version"].as_u64().unwrap().saturating_add(1));
        let senders = manifest["senders"].as_array_mut().unwrap();
        senders.retain(|sender| sender["id"] != "bot");
        call("PUT", "/v1/manifest", Some(&manifest)).await
    } else {
        call("DELETE", "/v1/senders/bot", None).await
    };
    assert_eq!(
        (&revoked["published"], &revoked["deadLetters"]),
        (&json!(true), &json!(exits)),
        "{revoked}"
    );
}

/// The ids of the account's dead letters.
async fn dead_letters(stack: &Stack, desk: &Desk) -> Vec<String> {
    let path = format!("/v1/dead-letters?account={}", desk.account);
    let letters = stack.sandbox.operator("GET", &path, None).await;
    let items = letters.json["items"].as_array().unwrap().iter();
    items
        .map(|letter| letter["signalId"].as_str().unwrap().to_owned())
        .collect()
}

/// Has an exit decided anew, as the operator's own.
async fn replay(stack: &Stack, desk: &Desk, id: &str) {
    let path = format!("/v1/dead-letters/{id}/replay");
    let replayed = stack.sandbox.operator("POST", &path, None).await;
    assert_eq!(replayed.status, 200, "{}", replayed.text);
    let new = replayed.json["deadLetter"]["replayedAs"].as_str().unwrap();
    let record = desk.recorded(new, "filled").await;
    assert_eq!(record["sender"], "operator");
}

#[test]
fn nothing_of_a_revoked_sender_that_only_waited_goes_out() {
    run(async {
        let stack = Stack::own("revoked", 2).await;
        for by_manifest in [false, true] {
            what_only_waited_is_not_sent(&stack, by_manifest).await;
        }
    });
}

async fn what_only_waited_is_not_sent(stack: &Stack, by_manifest: bool) {
    let desk = stack.desk();
    let bot = bot(stack, &desk).await;
    // The first one is slow at the venue, so that the bot's wait behind it.
    desk.exchange
        .faults(vec![Fault::new(FaultKind::FillDelay).millis(4_000)])
        .unwrap();
    // The same alert once more, for another account, would be a duplicate.
    let signal = |action, quantity| {
        let mut alert = signal(action, quantity);
        alert["comment"] = json!(desk.account);
        alert
    };
    let first = taken(&desk, &signal("LONG", "0.1")).await;
    let entry = taken(&bot, &signal("LONG", "0.02")).await;
    let exit = taken(&bot, &signal("CLOSE_LONG", "0.03")).await;
    revoke(stack, 1, by_manifest).await;
    assert_eq!(desk.held("BTCUSDT"), Decimal::ZERO);
    desk.recorded(&first, "filled").await;
    for id in [&entry, &exit] {
        let record = desk.recorded(id, "refused").await;
        assert_eq!(record["code"], "NOT_PERMITTED");
    }
    assert_eq!(desk.orders(), ["Buy Market 0.1 BTCUSDT"]);
    assert_eq!(desk.held("BTCUSDT"), dec("0.1"));
    // The exit can be carried out by the operator's own decision.
    assert_eq!(dead_letters(stack, &desk).await, [exit.as_str()]);
    replay(stack, &desk, &exit).await;
    assert_eq!(
        desk.orders(),
        ["Buy Market 0.1 BTCUSDT", "Sell Market 0.03 BTCUSDT reduce"]
    );
}

#[test]
fn a_revoked_senders_exit_that_the_venue_only_refused_is_a_dead_letter() {
    run(async {
        let stack = Stack::own("revoked-refused", 1).await;
        let desk = stack.desk();
        let bot = bot(&stack, &desk).await;
        ends(&desk, signal("LONG", "0.1"), "filled", true).await;
        let refuses = Fault::new(FaultKind::RetCode)
            .code(110_007, "not today")
            .at(CREATE)
            .times(200);
        desk.exchange.faults(vec![refuses]).unwrap();
        let exit = taken(&bot, &close("close")).await;
        eventually("a refusal", async || {
            let left = desk.exchange.waiting_faults().first()?.count;
            (left < 200).then_some(())
        })
        .await;
        revoke(&stack, 0, false).await;
        desk.exchange.clear_faults();
        let record = desk.recorded(&exit, "refused").await;
        assert_eq!(record["code"], "NOT_PERMITTED");
        assert_eq!(desk.orders(), ["Buy Market 0.1 BTCUSDT"]);
        assert_eq!(dead_letters(&stack, &desk).await, [exit.as_str()]);
        replay(&stack, &desk, &exit).await;
        assert_eq!(desk.held("BTCUSDT"), Decimal::ZERO);
    });
}

async fn kill_switch(stack: &Stack, change: Option<&Value>) -> Value {
    let method = if change.is_some() { "PUT" } else { "GET" };
    let reply = stack
        .sandbox
        .operator(method, "/v1/kill-switch", change)
        .await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    reply.json["killSwitch"].clone()
}

fn of_account(list: &Value, desk: &Desk) -> Value {
    let accounts = list.as_array().unwrap();
    let own = accounts.iter().find(|it| it["account"] == desk.account);
    own.unwrap().clone()
}

async fn health(stack: &Stack, desk: &Desk) -> Value {
    let reply = stack.sandbox.operator("GET", "/v1/health", None).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    of_account(&reply.json["accounts"], desk)
}

#[test]
fn flatten_goes_on_until_flat_and_says_why_it_is_not() {
    run(async {
        let stack = Stack::own("stubborn", 1).await;
        let desk = stack.desk();
        ends(&desk, signal("LONG", "0.1"), "filled", true).await;
        ends(
            &desk,
            json!({ "action": "SHORT", "symbol": "ETHUSDT", "quantity": "0.5" }),
            "filled",
            true,
        )
        .await;
        let refuses = Fault::new(FaultKind::RetCode)
            .code(110_007, "not today")
            .at(CREATE)
            .of("BTCUSDT")
            .times(6);
        desk.exchange.faults(vec![refuses]).unwrap();
        let flatten = json!({ "mode": "entries", "reason": "a test", "flatten": true });
        let put = kill_switch(&stack, Some(&flatten)).await;
        let told = of_account(&put["accounts"], &desk);
        assert_eq!(
            (&told["engaged"], &told["unreachable"]),
            (&json!(true), &json!(false)),
            "{told}"
        );

        // The other symbol does not wait for the one that is refused, whose state is shown wherever one looks.
        let part = |flatten: &Value, symbol: &str| {
            let parts = flatten["symbols"].as_array()?;
            parts.iter().find(|part| part["symbol"] == symbol).cloned()
        };
        let refused = eventually("the venue's words", async || {
            let told = of_account(&kill_switch(&stack, None).await["accounts"], &desk);
            let part = part(&told["flatten"], "BTCUSDT")?;
            (part["state"] == "refused").then_some((told, part))
        })
        .await;
        let (told, btc) = refused;
        assert_eq!(
            (&told["flattening"], &told["flatten"]["flat"], &btc["side"]),
            (&json!(true), &json!(false), &json!("long")),
            "{told}"
        );
        assert!(
            btc["reason"].as_str().unwrap().contains("not today"),
            "{btc}"
        );
        let [next, since] = [&btc["nextTry"], &put["since"]].map(Value::as_i64);
        assert!(next.unwrap() > since.unwrap(), "{btc}");
        let late = eventually("the close among the exits that are not done", async || {
            let shown = health(&stack, &desk).await;
            assert_eq!(shown["flatten"]["flat"], false, "{shown}");
            shown["exitsUndone"].as_array()?.first().cloned()
        })
        .await;
        assert_eq!(late["symbol"], "BTCUSDT", "{late}");
        assert!(
            late["reason"].as_str().unwrap().contains("not today"),
            "{late}"
        );

        // A second word of the same mode keeps the job.
        let again = json!({ "mode": "entries", "reason": "still" });
        kill_switch(&stack, Some(&again)).await;
        let flat = eventually("flat", async || {
            let told = of_account(&kill_switch(&stack, None).await["accounts"], &desk);
            (told["flatten"]["flat"] == true).then_some(told)
        })
        .await;
        assert_eq!(desk.exchange.waiting_faults(), []);
        assert_eq!(desk.exchange.positions(), []);
        let closed =
            |symbol: &str, side: &str| json!({ "symbol": symbol, "side": side, "state": "closed" });
        let mut symbols = flat["flatten"]["symbols"].as_array().unwrap().clone();
        symbols.sort_by_key(|part| part["symbol"].to_string());
        assert_eq!(
            symbols,
            [closed("BTCUSDT", "long"), closed("ETHUSDT", "short")]
        );
        assert_eq!(
            (&flat["flattening"], &flat["flatten"]["except"]),
            (&json!(false), &json!([])),
            "{flat}"
        );
        assert_eq!(health(&stack, &desk).await["flatten"], flat["flatten"]);
        let mut orders = desk.orders();
        orders.sort();
        assert_eq!(
            orders,
            [
                "Buy Market 0.1 BTCUSDT",
                "Buy Market 0.5 ETHUSDT reduce",
                "Sell Market 0.1 BTCUSDT reduce",
                "Sell Market 0.5 ETHUSDT",
            ]
        );
        kill_switch(&stack, Some(&json!({ "mode": "off" }))).await;
        let told = of_account(&kill_switch(&stack, None).await["accounts"], &desk);
        assert_eq!(told["flatten"], Value::Null, "{told}");
    });
}

#[test]
fn flatten_closes_the_other_symbols_and_the_legs_of_one_in_hedge_mode() {
    run(async {
        let stack = Stack::own("hedged", 1).await;
        let desk = stack.desk();
        ends(&desk, signal("LONG", "0.1"), "filled", true).await;
        desk.exchange
            .change_symbol(&SymbolChange {
                hedge: Some(true),
                ..SymbolChange::new("ETHUSDT")
            })
            .unwrap();
        for (side, quantity, leg) in [(TradeSide::Buy, "0.5", 1), (TradeSide::Sell, "0.2", 2)] {
            let trade = HandTrade {
                position_idx: leg,
                ..HandTrade::new("ETHUSDT", side, dec(quantity))
            };
            desk.exchange.trade(&trade).unwrap();
        }
        assert_eq!(desk.exchange.positions().len(), 3);
        let flatten = json!({ "mode": "entries", "reason": "a test", "flatten": true });
        kill_switch(&stack, Some(&flatten)).await;
        let flat = eventually("flat", async || {
            let told = of_account(&kill_switch(&stack, None).await["accounts"], &desk);
            (told["flatten"]["flat"] == true).then_some(told)
        })
        .await;
        assert_eq!(flat["flatten"]["except"], json!([]), "{flat}");
        assert_eq!(flat["flatten"]["symbols"].as_array().unwrap().len(), 3);
        assert_eq!(desk.exchange.positions(), []);
        let mut closes = desk.orders().split_off(3);
        closes.sort();
        assert_eq!(
            closes,
            [
                "Buy Market 0.2 ETHUSDT reduce",
                "Sell Market 0.1 BTCUSDT reduce",
                "Sell Market 0.5 ETHUSDT reduce",
            ]
        );
    });
}
