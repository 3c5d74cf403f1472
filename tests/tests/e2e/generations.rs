//! Accounts that leave the manifest, and accounts whose next generation takes over.

use hoox_e2e::{Desk, Reply, Stack, eventually, run};
use hoox_sim::{Fault, FaultKind};
use serde_json::{Value, json};

const CREATE: &str = "/v5/order/create";

/// Puts the manifest with a change of a desk's account, `null` to take it out.
async fn put(stack: &Stack, desk: &Desk, query: &str, change: impl FnOnce(&mut Value)) -> Reply {
    let mut manifest = stack.manifest().await;
    manifest["version"] = json!(manifest["version"].as_u64().unwrap().saturating_add(1));
    let accounts = manifest["accounts"].as_array_mut().unwrap();
    let place = accounts
        .iter()
        .position(|known| known["name"] == desk.account);
    let account = &mut accounts[place.unwrap()];
    change(account);
    if account.is_null() {
        accounts.retain(|account| !account.is_null());
        let senders = manifest["senders"].as_array_mut().unwrap();
        senders.retain(|sender| sender["id"] != desk.sender);
    }
    let path = format!("/v1/manifest{query}");
    stack.sandbox.operator("PUT", &path, Some(&manifest)).await
}

fn long() -> Value {
    json!({ "action": "LONG", "symbol": "BTCUSDT", "quantity": "0.01" })
}

#[test]
fn the_next_generation_finds_what_was_in_doubt_and_closes_what_is_held() {
    run(async {
        let stack = Stack::own("generations", 1).await;
        let desk = stack.desk();
        let lost = vec![
            Fault::new(FaultKind::Disconnect).at(CREATE).with_effect(),
            Fault::new(FaultKind::LookupLag).millis(4_000),
        ];
        desk.exchange.faults(lost).unwrap();
        let alert = desk.alert(&long());
        let doubt = desk.post(&alert).await;
        assert_eq!(doubt.status, 202, "{}", doubt.text);
        eventually("the order at the exchange", async || {
            (!desk.orders().is_empty()).then_some(())
        })
        .await;
        let raised = put(&stack, &desk, "", |account| {
            account["generation"] = json!(2);
        })
        .await;
        assert_eq!(
            (raised.status, &raised.json["published"]),
            (200, &json!(true)),
            "{}",
            raised.text
        );
        // The alert sent again is the same one, and what came before is found and recorded.
        let again = desk.post(&alert).await;
        assert_eq!(again.verdict(), (409, "DUPLICATE"), "{}", again.text);
        desk.recorded(doubt.str("signalId"), "filled").await;
        assert_eq!(desk.orders(), ["Buy Market 0.01 BTCUSDT"]);
        let closed = desk
            .trade(json!({ "action": "close", "symbol": "BTCUSDT" }))
            .await;
        assert_eq!(closed.str("status"), "filled", "{}", closed.text);
        assert!(desk.held("BTCUSDT").is_zero());
        let lowered = put(&stack, &desk, "", |account| {
            account["generation"] = json!(1);
        })
        .await;
        assert_eq!(lowered.verdict(), (400, "BAD_FIELD"), "{}", lowered.text);
    });
}

#[test]
fn an_account_with_something_open_leaves_by_force_only() {
    run(async {
        let stack = Stack::own("retiring", 1).await;
        let desk = stack.desk();
        let rests = json!({
            "action": "buy", "symbol": "BTCUSDT", "quantity": "0.01", "orderType": "limit", "price": "60000",
        });
        let rests = desk.trade(rests).await;
        assert_eq!(rests.str("status"), "acknowledged", "{}", rests.text);
        let gone = |account: &mut Value| *account = Value::Null;
        let refused = put(&stack, &desk, "", gone).await;
        assert_eq!(refused.verdict(), (409, "CONFLICT"), "{}", refused.text);
        for word in [&format!("'{}'", desk.account), "BTCUSDT, acknowledged"] {
            assert!(refused.str("error").contains(word), "{}", refused.text);
        }
        for (query, field) in [
            ("?force=true", "reason"),
            ("?reason=sold", "force"),
            ("?force=yes&reason=sold", "force"),
            ("?force=true&reason=", "reason"),
        ] {
            let refused = put(&stack, &desk, query, gone).await;
            assert_eq!(refused.verdict(), (400, "BAD_FIELD"), "{query}");
            assert_eq!(refused.str("field"), field, "{query}");
        }
        let forced = put(&stack, &desk, "?force=true&reason=sold%20it", gone).await;
        assert_eq!(forced.status, 200, "{}", forced.text);
        let left = &forced.json["retired"][0];
        assert_eq!(left["account"], desk.account);
        assert_eq!(left["orders"][0]["state"], "acknowledged");
        let letters = stack
            .sandbox
            .operator("GET", "/v1/dead-letters", None)
            .await;
        assert_eq!(letters.json["total"], 1, "{}", letters.text);
        assert_eq!(letters.json["items"][0]["signalId"], rests.json["signalId"]);
        eventually("the reason in the audit trail", async || {
            let trail = stack.sandbox.operator("GET", "/v1/audit.jsonl", None).await;
            let line = trail
                .text
                .lines()
                .find(|line| line.contains("account.retired"))?;
            line.contains("sold it").then_some(())
        })
        .await;
    });
}
