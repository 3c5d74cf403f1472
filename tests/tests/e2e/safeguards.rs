//! What the operator has against trouble: kill switch with its cancellations and closes, limits, dead
//! letters, health.

use hoox_e2e::{Desk, Part, Reply, Stack, eventually, run};
use hoox_sim::{Fault, FaultKind};
use serde_json::{Value, json};

fn signal(action: &str) -> Value {
    json!({ "action": action, "symbol": "BTCUSDT", "quantity": "0.01" })
}

async fn engage(stack: &Stack, flatten: bool) -> Reply {
    let change = json!({ "mode": "entries", "reason": "a test", "flatten": flatten });
    let reply = stack
        .sandbox
        .operator("PUT", "/v1/kill-switch", Some(&change))
        .await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    for account in reply.json["killSwitch"]["accounts"].as_array().unwrap() {
        assert_eq!(
            (&account["engaged"], &account["unreachable"]),
            (&json!(true), &json!(false)),
            "{}",
            reply.text
        );
    }
    reply
}

#[test]
fn engaging_the_switch_cancels_what_rests_and_flatten_closes_what_is_held() {
    run(async {
        let stack = Stack::own("flatten", 2).await;
        let [desk, other] = [(); 2].map(|()| stack.desk());
        let bought = desk.trade(signal("LONG")).await;
        assert_eq!(bought.str("status"), "filled", "{}", bought.text);
        let resting = desk
            .trade(json!({
                "action": "buy", "symbol": "BTCUSDT", "quantity": "0.01", "orderType": "limit",
                "price": "60000",
            }))
            .await;
        assert_eq!(resting.str("status"), "acknowledged", "{}", resting.text);
        let sold = other
            .trade(json!({ "action": "SHORT", "symbol": "ETHUSDT", "quantity": "0.5" }))
            .await;
        assert_eq!(sold.str("status"), "filled", "{}", sold.text);

        engage(&stack, false).await;
        let ended = desk.recorded(resting.str("signalId"), "cancelled").await;
        assert_eq!(ended["code"], "KILL_SWITCH");
        assert_eq!(desk.exchange.orders().last().unwrap().status, "Cancelled");
        assert_eq!(desk.held("BTCUSDT"), "0.01".parse().unwrap());

        // Without the mode that lets closes through there is no flattening.
        for mode in ["off", "all"] {
            let change = json!({ "mode": mode, "flatten": true });
            let reply = stack
                .sandbox
                .operator("PUT", "/v1/kill-switch", Some(&change))
                .await;
            assert_eq!(reply.verdict(), (400, "BAD_FIELD"), "{}", reply.text);
            assert_eq!(reply.str("field"), "flatten");
        }

        engage(&stack, true).await;
        eventually("every position closed", async || {
            (desk.held("BTCUSDT").is_zero() && other.held("ETHUSDT").is_zero()).then_some(())
        })
        .await;
        assert_eq!(
            other.orders(),
            ["Sell Market 0.5 ETHUSDT", "Buy Market 0.5 ETHUSDT reduce"]
        );
        eventually("the close in the records", async || {
            let signals = desk.listed("signals").await;
            signals
                .into_iter()
                .find(|signal| signal["sender"] == "operator" && signal["state"] == "filled")
        })
        .await;
        stack.assert_no_secret_got_out();
    });
}

async fn letters(stack: &Stack, desk: &Desk) -> Vec<Value> {
    let path = format!("/v1/dead-letters?account={}", desk.account);
    let reply = stack.sandbox.operator("GET", &path, None).await;
    assert_eq!(
        (reply.status, reply.fields()),
        (
            200,
            vec!["items", "requestId", "success", "total", "unreachable"]
        ),
        "{}",
        reply.text
    );
    let items = reply.json["items"].as_array().unwrap().clone();
    assert_eq!(reply.json["total"], items.len());
    assert_eq!(reply.json["unreachable"], json!([]));
    items
}

#[test]
fn a_signal_that_could_not_be_carried_out_is_replayed_once_or_discarded() {
    run(async {
        let stack = Stack::shared().await;
        let desk = stack.desk();
        let away = Fault::new(FaultKind::Error5xx)
            .at("/v5/position/list")
            .times(1_000);
        desk.exchange.faults(vec![away]).unwrap();
        let mut ids = Vec::new();
        for symbol in ["BTCUSDT", "ETHUSDT"] {
            let reply = desk
                .post(&desk.alert(&json!({
                    "action": "LONG", "symbol": symbol, "quantity": "0.1", "maxLag": 5,
                })))
                .await;
            assert_eq!(reply.status, 202, "{}", reply.text);
            let id = reply.str("signalId").to_owned();
            let record = desk.recorded(&id, "refused").await;
            assert_eq!(record["code"], "VENUE_UNAVAILABLE");
            ids.push(id);
        }
        desk.exchange.clear_faults();
        let waiting = letters(stack, &desk).await;
        let listed: Vec<_> = waiting.iter().map(|letter| &letter["signalId"]).collect();
        assert_eq!(listed, ids.iter().collect::<Vec<_>>());
        assert_eq!(
            (
                &waiting[0]["unsettled"],
                &waiting[0]["waiting"],
                &waiting[0]["symbol"]
            ),
            (&json!(false), &json!(true), &json!("BTCUSDT"))
        );
        assert!(!waiting[0]["body"].as_str().unwrap().contains(&desk.passkey));

        let call = async |method: &str, id: &str, verb: &str, body: Option<&Value>| {
            let path = format!("/v1/dead-letters/{id}{verb}");
            stack.sandbox.operator(method, &path, body).await
        };
        let shown = call("GET", &ids[0], "", None).await;
        assert_eq!(shown.json["deadLetter"], waiting[0], "{}", shown.text);
        for (body, verdict) in [
            (json!({}), (400, "BAD_FIELD")),
            (
                json!({ "clientOrderId": "hx-x-0", "filledQuantity": "1" }),
                (400, "BAD_FIELD"),
            ),
        ] {
            let reply = call("POST", &ids[0], "/settle", Some(&body)).await;
            assert_eq!(reply.verdict(), verdict, "{}", reply.text);
        }

        // The venue is left alone for a while after its failures; a replay has its alert's maxLag again.
        eventually("the end of the venue's pause", async || {
            let health = stack.sandbox.operator("GET", "/v1/health", None).await;
            let accounts = health.json["accounts"].as_array().unwrap();
            let own = accounts.iter().find(|it| it["account"] == desk.account);
            own.unwrap()["venuePausedUntil"].is_null().then_some(())
        })
        .await;
        let replayed = call("POST", &ids[0], "/replay", None).await;
        assert_eq!(replayed.status, 200, "{}", replayed.text);
        let new = replayed.json["deadLetter"]["replayedAs"].as_str().unwrap();
        desk.recorded(new, "filled").await;
        let again = call("POST", &ids[0], "/replay", None).await;
        assert_eq!(
            again.json["deadLetter"], replayed.json["deadLetter"],
            "{}",
            again.text
        );
        let discarded = call("DELETE", &ids[1], "", None).await;
        assert_eq!(
            discarded.json["deadLetter"]["waiting"], false,
            "{}",
            discarded.text
        );
        for verb in ["/replay", ""] {
            let method = if verb.is_empty() { "DELETE" } else { "POST" };
            let reply = call(method, &ids[1], verb, None).await;
            assert_eq!(reply.verdict(), (409, "CONFLICT"), "{}", reply.text);
        }
        assert_eq!(letters(stack, &desk).await, Vec::<Value>::new());
        assert_eq!(desk.orders(), ["Buy Market 0.1 BTCUSDT"]);

        for id in ["01K0000000000000000000000Z", "nonsense"] {
            let reply = call("GET", id, "", None).await;
            assert_eq!(reply.verdict(), (404, "NOT_FOUND"), "{}", reply.text);
        }
        let paged = stack
            .sandbox
            .operator("GET", "/v1/dead-letters?limit=5", None)
            .await;
        assert_eq!(paged.verdict(), (400, "BAD_FIELD"), "{}", paged.text);
    });
}

#[test]
fn an_accounts_limits_stop_entries_and_never_exits() {
    run(async {
        let stack = Stack::own("limits", 1).await;
        let desk = stack.desk();
        let mut manifest = stack.manifest().await;
        manifest["version"] = json!(manifest["version"].as_u64().unwrap() + 1);
        let account = manifest["accounts"]
            .as_array_mut()
            .unwrap()
            .iter_mut()
            .find(|account| account["name"] == desk.account.as_str())
            .unwrap();
        account["limits"] = json!({
            "maxOpenPositions": 2, "maxPositionNotional": "1000", "maxDailyLoss": "5",
            "symbols": { "ETHUSDT": { "maxPositionNotional": "10000" } },
        });
        let put = stack
            .sandbox
            .operator("PUT", "/v1/manifest", Some(&manifest))
            .await;
        assert_eq!(put.status, 200, "{}", put.text);
        assert_eq!(stack.manifest().await["accounts"], manifest["accounts"]);

        let trade = async |action: &str, symbol: &str, quantity: &str| {
            desk.trade(json!({ "action": action, "symbol": symbol, "quantity": quantity }))
                .await
        };
        let outcome = |reply: &Reply| {
            assert_eq!(reply.status, 200, "{}", reply.text);
            (reply.str("status").to_owned(), reply.str("code").to_owned())
        };
        let filled = ("filled".to_owned(), String::new());
        let limit = ("refused".to_owned(), "LIMIT".to_owned());
        // 0.02 BTC are worth 1,300 USDT.
        assert_eq!(outcome(&trade("LONG", "BTCUSDT", "0.02").await), limit);
        assert_eq!(outcome(&trade("LONG", "BTCUSDT", "0.01").await), filled);
        assert_eq!(outcome(&trade("LONG", "BTCUSDT", "0.01").await), limit);
        assert_eq!(outcome(&trade("LONG", "ETHUSDT", "0.5").await), filled);
        let third = trade("LONG", "SOLUSDT", "1").await;
        assert_eq!(outcome(&third), limit);
        assert!(
            third.str("error").contains("maxOpenPositions is 2"),
            "{}",
            third.text
        );
        // Half of an ether loses 100 USDT, more than a day may.
        desk.exchange
            .set_price("bybit", "ETHUSDT", 3_300.into())
            .unwrap();
        let lost = trade("buy", "ETHUSDT", "0.1").await;
        assert_eq!(outcome(&lost), limit);
        assert!(
            lost.str("error").contains("maxDailyLoss is 5"),
            "{}",
            lost.text
        );
        assert_eq!(
            outcome(&trade("CLOSE_LONG", "ETHUSDT", "0.5").await),
            filled
        );
        assert_eq!(outcome(&trade("close", "BTCUSDT", "0.01").await), filled);
        assert_eq!(
            desk.orders(),
            [
                "Buy Market 0.01 BTCUSDT",
                "Buy Market 0.5 ETHUSDT",
                "Sell Market 0.5 ETHUSDT reduce",
                "Sell Market 0.01 BTCUSDT reduce",
            ]
        );
    });
}

#[test]
fn health_tells_of_every_account_and_from_where_it_trades() {
    run(async {
        let stack = Stack::own("health", 1).await;
        let desk = stack.desk();
        let traded = desk.trade(signal("LONG")).await;
        assert_eq!(traded.str("status"), "filled", "{}", traded.text);
        desk.recorded(traded.str("signalId"), "filled").await;
        let mine = eventually("an account at rest", async || {
            let reply = stack.sandbox.operator("GET", "/v1/health", None).await;
            assert_eq!(
                (reply.status, reply.fields()),
                (
                    200,
                    vec![
                        "accounts",
                        "colo",
                        "records",
                        "requestId",
                        "rowsToday",
                        "secrets",
                        "success",
                        "unreachable",
                        "unreachableWorkers",
                        "workers",
                    ]
                ),
                "{}",
                reply.text
            );
            assert_eq!(reply.json["unreachable"], json!([]));
            let accounts = reply.json["accounts"].as_array().unwrap();
            // The sandbox's own account, the stack's common one and the one of this test.
            assert_eq!(accounts.len(), 3);
            accounts
                .iter()
                .find(|account| account["account"] == desk.account.as_str())
                .filter(|account| account["openSignals"] == 0 && account["undeliveredRecords"] == 0)
                .cloned()
        })
        .await;
        let version = stack.manifest().await["version"].clone();
        let offset = mine["clockOffsetMs"].clone();
        // A traded order writes some twenty rows, and the account's first instance its tables.
        let rows = mine["rowsToday"].clone();
        let written = rows["written"].as_u64().unwrap();
        assert!((20..1_000).contains(&written), "{rows}");
        assert_eq!(rows["since"].as_u64().unwrap() % 86_400_000, 0, "{rows}");
        assert_eq!(
            (&rows["entriesRefused"], &rows["told"]),
            (&json!(false), &json!(false))
        );
        assert_eq!(
            mine,
            json!({
                "account": desk.account, "venue": "bybit", "environment": "sim",
                "manifestVersion": version, "killSwitch": "off", "openSignals": 0, "nextDue": null,
                "inFlight": 0, "resting": 0, "deadLetters": 0, "undeliveredRecords": 0,
                "refusedRecords": 0, "exitsUndone": [], "clockOffsetMs": offset, "colo": "SIM",
                "rowsToday": rows,
            })
        );
    });
}

/// The operator's view of the workers.
async fn health(stack: &Stack) -> Value {
    let reply = stack.sandbox.operator("GET", "/v1/health", None).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    for (name, secret) in stack.secrets() {
        assert!(!reply.text.contains(&secret), "{name} is in the answer");
    }
    reply.json
}

#[test]
fn health_tells_what_every_worker_has() {
    run(async {
        let mut stack = Stack::own("workers", 0).await;
        let mut manifest = stack.manifest().await;
        manifest["version"] = json!(manifest["version"].as_u64().unwrap() + 1);
        manifest["accounts"].as_array_mut().unwrap().push(json!({
            "id": "live", "name": "live", "venue": "bybit", "environment": "live",
            "secretSuffix": "SUB1",
        }));
        let put = stack
            .sandbox
            .operator("PUT", "/v1/manifest", Some(&manifest))
            .await;
        assert_eq!(put.status, 200, "{}", put.text);
        let told = health(&stack).await;
        assert_eq!(
            told["workers"],
            json!([
                { "name": "hoox", "bindings": {
                    "CONFIG_KV": true, "TRADE_WORKER": true, "D1_WORKER": true, "ATTEMPTS": true,
                    "OPERATOR_KEY": true, "SEALING_KEY": true, "HOOX_TRADE_KEY": true, "HOOX_D1_KEY": true,
                }},
                { "name": "trade-worker", "bindings": {
                    "CONFIG_KV": true, "LEDGER": true, "CONTROL": true, "D1_WORKER": true,
                    "HOOX_TRADE_KEY": true, "TRADE_D1_KEY": true,
                    "BYBIT_SIM_API_KEY": true, "BYBIT_SIM_API_SECRET": true,
                    "BYBIT_API_KEY__SUB1": false, "BYBIT_API_SECRET__SUB1": false,
                }},
                { "name": "d1-worker", "bindings": {
                    "DB": true, "HOOX_D1_KEY": true, "TRADE_D1_KEY": true,
                }},
            ])
        );
        assert_eq!(
            (&told["unreachableWorkers"], &told["secrets"]),
            (&json!([]), &Value::Null)
        );

        // What the command line notes of secrets is passed on, if it is what it writes.
        let noted = json!({ "BYBIT_API_KEY": { "changedAt": "2026-11-01T12:00:00Z" } });
        for (text, expected) in [
            (noted.to_string(), noted),
            (
                r#"{"BYBIT_API_KEY":{"changedAt":"soon"}}"#.to_owned(),
                Value::Null,
            ),
            ("nonsense".to_owned(), Value::Null),
        ] {
            stack.sandbox.kill();
            stack.sandbox.configure("hoox:secrets", &text);
            stack.sandbox.start_again().await;
            assert_eq!(health(&stack).await["secrets"], expected, "{text}");
        }

        // Without the private workers it is the gateway that answers.
        stack.sandbox.kill();
        let alone = Part::gateway(Some(&stack.sandbox)).await;
        let request = alone
            .client
            .request("GET", "/v1/health")
            .bearer_auth(stack.sandbox.secret("/operatorKey"));
        let told = alone.client.send(request).await;
        assert_eq!(told.status, 200, "{}", told.text);
        let names = |field: &str| {
            let all = told.json[field].as_array().unwrap();
            all.iter()
                .map(|one| one["name"].clone())
                .collect::<Vec<_>>()
        };
        assert_eq!(names("workers"), ["hoox"]);
        assert_eq!(names("unreachableWorkers"), ["trade-worker", "d1-worker"]);
        assert_eq!(
            told.json["unreachableWorkers"][0]["problem"]["code"],
            "NOT_CONFIRMED"
        );
        assert_eq!(told.json["accounts"], json!([]));
        assert_eq!(told.json["records"], Value::Null);
        let accounts = manifest["accounts"].as_array().unwrap();
        let accounts: Vec<_> = accounts
            .iter()
            .map(|account| account["name"].clone())
            .collect();
        assert_eq!(told.json["unreachable"], json!(accounts));
        alone.stop();
    });
}
