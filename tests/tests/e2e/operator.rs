//! The operator's calls: kill switch and manifest.

use hoox_e2e::{Desk, Reply, Stack, eventually, passkey, run, timenow};
use hoox_sim::{Fault, FaultKind};
use serde_json::{Value, json};

fn signal(action: &str) -> Value {
    json!({ "action": action, "symbol": "BTCUSDT", "quantity": "0.01" })
}

async fn switch(stack: &Stack, mode: &str) -> Reply {
    let change = json!({ "mode": mode, "reason": format!("to {mode}") });
    let reply = stack
        .sandbox
        .operator("PUT", "/v1/kill-switch", Some(&change))
        .await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    let state = &reply.json["killSwitch"];
    assert_eq!(
        (&state["mode"], &state["reason"]),
        (&json!(mode), &change["reason"])
    );
    let present = stack.sandbox.operator("GET", "/v1/kill-switch", None).await;
    for field in ["mode", "reason", "revision", "since"] {
        assert_eq!(present.json["killSwitch"][field], state[field], "{field}");
    }
    reply
}

/// A refusal by the switch, journaled and recorded.
async fn assert_killed(desk: &Desk, alert: &Value, mode: &str) -> String {
    let before = desk.orders();
    let reply = desk.post_and_wait(alert).await;
    assert_eq!(reply.verdict(), (423, "KILL_SWITCH"), "{}", reply.text);
    assert_eq!(
        reply.fields(),
        [
            "account",
            "code",
            "error",
            "requestId",
            "signalId",
            "status",
            "success"
        ]
    );
    assert_eq!(
        (reply.str("status"), reply.str("account")),
        ("refused", desk.account.as_str())
    );
    assert!(
        reply.str("error").contains(&format!("({mode})")),
        "{}",
        reply.text
    );
    assert_eq!(desk.orders(), before);
    let record = desk.recorded(reply.str("signalId"), "refused").await;
    assert_eq!(record["code"], "KILL_SWITCH");
    reply.str("signalId").to_owned()
}

#[test]
fn a_page_of_a_browser_may_call_only_from_a_listed_origin() {
    run(async {
        let stack = Stack::own("cors", 1).await;
        let listed = "https://desk.example";
        let mut manifest = stack.manifest().await;
        manifest["version"] = json!(manifest["version"].as_u64().unwrap() + 1);
        manifest["corsOrigins"] = json!([listed]);
        let put = stack
            .sandbox
            .operator("PUT", "/v1/manifest", Some(&manifest))
            .await;
        assert_eq!(put.status, 200, "{}", put.text);
        let client = &stack.sandbox.client;
        let ask = async |method: &str, path: &str, origin: &str| {
            let request = client.request(method, path).header("origin", origin);
            let reply = client
                .send(request.header("access-control-request-method", "PUT"))
                .await;
            let header = reply.header("access-control-allow-origin");
            (reply.status, header.map(str::to_owned))
        };
        let (origin, page) = (Some(listed.to_owned()), "/v1/manifest");
        assert_eq!(ask("OPTIONS", page, listed).await, (200, origin.clone()));
        // The page may read what is answered; it still needs the key.
        assert_eq!(ask("GET", page, listed).await, (401, origin));
        for other in [
            "https://desk.example.evil",
            "null",
            "https://desk.example:1",
        ] {
            assert_eq!(ask("OPTIONS", page, other).await, (401, None), "{other}");
        }
        assert_eq!(ask("OPTIONS", "/webhook", listed).await, (405, None));
        assert_eq!(ask("GET", "/health", listed).await, (200, None));
    });
}

#[test]
fn the_kill_switch_stops_entries_at_once_and_lets_exits_through() {
    run(async {
        let stack = Stack::own("kill-switch", 3).await;
        let [desk, slow, unused] = [(); 3].map(|()| stack.desk());
        let bought = desk.trade(signal("LONG")).await;
        assert_eq!(bought.str("status"), "filled", "{}", bought.text);

        // A signal that is accepted and not sent yet when the switch is engaged.
        let latency = Fault::new(FaultKind::Latency)
            .at("/v5/market/instruments-info")
            .millis(1_500);
        slow.exchange.faults(vec![latency]).unwrap();
        let waiting = slow.post(&slow.alert(&signal("LONG"))).await;
        assert_eq!(waiting.status, 202, "{}", waiting.text);
        eventually("the call that is slow", async || {
            slow.exchange.waiting_faults().is_empty().then_some(())
        })
        .await;

        let report = switch(&stack, "entries").await;
        let accounts = report.json["killSwitch"]["accounts"].as_array().unwrap();
        // The sandbox's own account, the stack's common one and the three of this test.
        assert_eq!(accounts.len(), 5);
        for account in accounts {
            assert_eq!(
                (
                    &account["engaged"],
                    &account["unreachable"],
                    &account["inFlight"],
                    &account["resting"]
                ),
                (&json!(true), &json!(false), &json!(0), &json!(0)),
                "{}",
                report.text
            );
        }
        let stopped = slow.recorded(waiting.str("signalId"), "refused").await;
        assert_eq!(stopped["code"], "KILL_SWITCH");
        assert_eq!(slow.orders(), [""; 0]);

        let entry = desk.alert(&signal("LONG"));
        assert_killed(&desk, &entry, "entries").await;
        // It is no duplicate of itself: nothing was done.
        assert_killed(&desk, &entry, "entries").await;
        assert_killed(&desk, &desk.alert(&signal("buy")), "entries").await;
        // An account that was never used knows of the switch as well.
        assert_killed(&unused, &unused.alert(&signal("SHORT")), "entries").await;
        // A flip becomes its closing leg, which is not all that it asked for.
        let flip = desk.trade(signal("SHORT")).await;
        assert_eq!(
            (flip.verdict(), flip.str("status"), &flip.json["success"]),
            ((200, "KILL_SWITCH"), "partly_filled", &json!(false)),
            "{}",
            flip.text
        );
        let legs = &flip.json["legs"];
        assert_eq!(
            (
                &legs["close"]["status"],
                &legs["open"]["status"],
                &legs["open"]["code"]
            ),
            (&json!("filled"), &json!("not_sent"), &json!("KILL_SWITCH")),
            "{}",
            flip.text
        );
        assert_eq!(
            desk.orders(),
            ["Buy Market 0.01 BTCUSDT", "Sell Market 0.01 BTCUSDT reduce"]
        );

        switch(&stack, "all").await;
        assert_killed(&desk, &desk.alert(&signal("CLOSE_LONG")), "all").await;

        switch(&stack, "off").await;
        let reply = desk.post_and_wait(&entry).await;
        assert_eq!(
            (reply.status, reply.str("status")),
            (200, "filled"),
            "{}",
            reply.text
        );
        switch(&stack, "entries").await;
        let close = desk.trade(signal("CLOSE_LONG")).await;
        assert_eq!(
            (close.status, close.str("status")),
            (200, "filled"),
            "{}",
            close.text
        );
        assert_eq!(desk.held("BTCUSDT"), 0.into());

        for body in [
            json!({ "mode": "on" }),
            json!({}),
            json!({ "mode": "off", "until": 1 }),
        ] {
            let reply = stack
                .sandbox
                .operator("PUT", "/v1/kill-switch", Some(&body))
                .await;
            assert_eq!(reply.verdict(), (400, "BAD_FIELD"), "{}", reply.text);
        }
        stack.assert_no_secret_got_out();
    });
}

/// Puts the manifest with another version and a change.
async fn put(
    stack: &Stack,
    manifest: &Value,
    version: u64,
    change: impl FnOnce(&mut Value),
) -> Reply {
    let mut manifest = manifest.clone();
    manifest["version"] = json!(version);
    change(&mut manifest);
    stack
        .sandbox
        .operator("PUT", "/v1/manifest", Some(&manifest))
        .await
}

#[test]
fn the_manifest_changes_by_compare_and_swap_and_a_broken_one_changes_nothing() {
    run(async {
        let stack = Stack::own("manifest", 1).await;
        let desk = stack.desk();
        let present = stack.manifest().await;
        let version = present["version"].as_u64().unwrap();
        for other in [version - 1, version, version + 2] {
            let reply = put(&stack, &present, other, |_| {}).await;
            assert_eq!(
                reply.verdict(),
                (409, "CONFLICT"),
                "{other}: {}",
                reply.text
            );
        }
        for (pointer, value, place) in [
            (
                "/senders/0/accounts/0",
                json!("nobody"),
                "senders[0].accounts[0]",
            ),
            (
                "/senders/1/id",
                present["senders"][0]["id"].clone(),
                "senders[1].id",
            ),
            (
                "/senders/0/keys/0/hash",
                json!("short"),
                "senders[0].keys[0].hash",
            ),
            ("/accounts/0/venue", json!("nasdaq"), "accounts[0].venue"),
            (
                "/accounts/0/baseUrl",
                json!("http://example.com"),
                "accounts[0].baseUrl",
            ),
            ("/version", json!("1"), "version"),
        ] {
            let reply = put(&stack, &present, version + 1, |m| {
                *m.pointer_mut(pointer).unwrap() = value;
            })
            .await;
            assert_eq!(
                reply.verdict(),
                (400, "BAD_FIELD"),
                "{place}: {}",
                reply.text
            );
            assert_eq!(reply.str("field"), "manifest");
            assert!(
                reply.str("error").contains(place),
                "{place}: {}",
                reply.text
            );
        }
        let reply = put(&stack, &present, version + 1, |m| m["sendres"] = json!([])).await;
        assert_eq!(reply.verdict(), (400, "BAD_FIELD"), "{}", reply.text);
        assert!(
            reply
                .str("error")
                .starts_with("sendres: is not a known field"),
            "{}",
            reply.text
        );
        assert_eq!(stack.manifest().await, present);
        let reply = desk.trade(signal("LONG")).await;
        assert_eq!(reply.str("status"), "filled", "{}", reply.text);

        // Of several changes at once, one wins.
        let puts = [(); 4].map(|()| put(&stack, &present, version + 1, |_| {}));
        let [a, b, c, d] = puts;
        let (a, b, c, d) = tokio::join!(a, b, c, d);
        let mut statuses = [a.status, b.status, c.status, d.status];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 409, 409, 409]);
    });
}

#[test]
fn a_key_is_rotated_and_a_sender_revoked_at_once() {
    run(async {
        let stack = Stack::own("rotation", 1).await;
        let desk = stack.desk();
        let present = stack.manifest().await;
        let version = present["version"].as_u64().unwrap();
        let senders = present["senders"].as_array().unwrap();
        let place = senders
            .iter()
            .position(|sender| sender["id"] == desk.sender)
            .unwrap();
        let (new, hash) = passkey();
        let rotated = desk.with_passkey(&new);

        let first = senders[place]["keys"][0].clone();
        let both = json!([first, hash]);
        let reply = put(&stack, &present, version + 1, |m| {
            m["senders"][place]["keys"] = both;
        })
        .await;
        assert_eq!(
            (reply.status, &reply.json["version"]),
            (200, &json!(version + 1)),
            "{}",
            reply.text
        );
        assert_eq!(
            reply.fields(),
            [
                "deadLetters",
                "published",
                "requestId",
                "success",
                "version"
            ]
        );
        for desk in [&desk, &rotated] {
            let reply = desk.trade(signal("LONG")).await;
            assert_eq!(reply.str("status"), "filled", "{}", reply.text);
        }
        let reply = put(&stack, &present, version + 2, |m| {
            m["senders"][place]["keys"] = json!([hash]);
        })
        .await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        assert_eq!(
            desk.trade(signal("LONG")).await.verdict(),
            (403, "FORBIDDEN")
        );
        let reply = rotated.trade(signal("LONG")).await;
        assert_eq!(reply.str("status"), "filled", "{}", reply.text);
        let reply = put(&stack, &present, version + 3, |m| {
            m["senders"].as_array_mut().unwrap().remove(place);
        })
        .await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        assert_eq!(
            rotated.trade(signal("LONG")).await.verdict(),
            (403, "FORBIDDEN")
        );
        assert_eq!(desk.orders(), ["Buy Market 0.01 BTCUSDT"; 3]);
        assert_eq!(stack.manifest().await["version"], json!(version + 3));
        stack.assert_no_secret_got_out();
    });
}

#[test]
fn an_alert_taken_before_its_routing_moved_does_not_trade_on_the_other_account() {
    run(async {
        let stack = Stack::own("routing", 2).await;
        let [old, new] = [(); 2].map(|()| stack.desk());
        let senders = stack.manifest().await["senders"].clone();
        let mut senders = senders.as_array().unwrap().iter();
        let place = senders
            .position(|sender| sender["id"] == old.sender)
            .unwrap();
        let route = async |fields: Value| {
            let present = stack.manifest().await;
            let version = present["version"].as_u64().unwrap() + 1;
            let reply = put(&stack, &present, version, |manifest| {
                let sender = manifest["senders"][place].as_object_mut().unwrap();
                sender.remove("defaultAccount");
                sender.extend(fields.as_object().unwrap().clone());
            })
            .await;
            let published = (reply.status, &reply.json["published"]);
            assert_eq!(published, (200, &json!(true)), "{}", reply.text);
        };
        // Neither alert names its account: the sender's routing decides.
        let mut keyed = old.alert(&signal("LONG"));
        keyed["idempotencyKey"] = json!("moved");
        let mut stamped = old.alert(&signal("LONG"));
        stamped["timestamp"] = json!(timenow(0));
        let traded = async |alert: &Value, on: &Desk| {
            let reply = old.post_and_wait(alert).await;
            let outcome = (reply.str("status"), reply.str("account"));
            assert_eq!(outcome, ("filled", on.account.as_str()), "{}", reply.text);
            reply.str("signalId").to_owned()
        };
        let known = async |alert: &Value, first: &str, on: &Desk| {
            let reply = old.post(alert).await;
            assert_eq!(reply.verdict(), (409, "DUPLICATE"), "{}", reply.text);
            let outcome = ["signalId", "status", "account"].map(|field| reply.str(field));
            assert_eq!(outcome, [first, "filled", on.account.as_str()]);
        };
        let both = json!([old.account, new.account]);
        route(json!({ "accounts": both, "defaultAccount": old.account })).await;
        let first = [traded(&keyed, &old).await, traded(&stamped, &old).await];

        // The routing moves; then the sender may not even use the first account any more.
        for fields in [
            json!({ "accounts": both, "defaultAccount": new.account }),
            json!({ "accounts": [new.account] }),
        ] {
            route(fields).await;
            known(&keyed, &first[0], &old).await;
            known(&stamped, &first[1], &old).await;
            let mut other = keyed.clone();
            other["quantity"] = json!("0.02");
            let reply = old.post(&other).await;
            assert_eq!(reply.verdict(), (422, "KEY_REUSED"), "{}", reply.text);
            assert_eq!(new.orders(), [""; 0]);
        }
        assert_eq!(old.orders(), ["Buy Market 0.01 BTCUSDT"; 2]);

        // What is new trades where the routing leads now, and stays there when it moves back.
        let mut next = old.alert(&signal("SHORT"));
        next["idempotencyKey"] = json!("after the move");
        let second = traded(&next, &new).await;
        route(json!({ "accounts": both, "defaultAccount": old.account })).await;
        known(&next, &second, &new).await;
        known(&keyed, &first[0], &old).await;
        assert_eq!(old.orders(), ["Buy Market 0.01 BTCUSDT"; 2]);
        assert_eq!(new.orders(), ["Sell Market 0.01 BTCUSDT"]);
    });
}
