//! What the operator learns of the exchange keys, which never leave their Ledgers.

use hoox_e2e::{Desk, Reply, Stack, now, run};
use hoox_sim::{Fault, FaultKind, KeyTerms};
use serde_json::{Value, json};

async fn ask(stack: &Stack, query: &str) -> Reply {
    let path = format!("/v1/keys{query}");
    stack.sandbox.operator("GET", &path, None).await
}

/// The report on a desk's key, and that the answer holds no key.
async fn report(stack: &Stack, desk: &Desk) -> Value {
    let reply = ask(stack, &format!("?account={}", desk.account)).await;
    assert_eq!(
        (reply.status, reply.fields()),
        (200, vec!["accounts", "requestId", "success", "unreachable"]),
        "{}",
        reply.text
    );
    for pointer in ["/venues/bybit/apiKey", "/venues/bybit/apiSecret"] {
        let secret = stack.sandbox.secret(pointer);
        assert!(!reply.text.contains(&secret), "{pointer} is in the answer");
    }
    assert_eq!(reply.json["unreachable"], json!([]));
    let accounts = reply.json["accounts"].as_array().unwrap();
    assert_eq!(accounts.len(), 1, "{}", reply.text);
    accounts[0].clone()
}

#[test]
fn every_key_says_what_it_may_do() {
    run(async {
        let stack = Stack::shared().await;
        let desk = stack.desk();
        let terms = desk.exchange.key();
        let second = |at: hoox_model::Timestamp| at.as_millis() / 1_000 * 1_000;
        let plain = report(stack, &desk).await;
        let millis = plain["millis"].as_i64().unwrap();
        let offset = plain["clockOffsetMs"].as_i64().unwrap();
        assert!((0..8_000).contains(&millis) && offset.abs() < 5_000);
        assert_eq!(
            plain,
            json!({
                "account": desk.account, "venue": "bybit", "environment": "sim", "colo": "SIM",
                "clockOffsetMs": offset, "millis": millis, "problem": null,
                "key": {
                    "rights": {
                        "read": true, "trade": { "linear": true, "spot": false },
                        "withdraw": false, "transfer": false,
                    },
                    "readOnly": false, "ips": [], "createdAt": second(terms.created_at),
                    "expiresAt": second(terms.expires_at.unwrap()),
                },
            })
        );

        let mut other = terms.clone();
        other.permit("Wallet", &["Withdraw"]);
        other.bind(&["127.0.0.1", "203.0.113.7"]);
        desk.exchange.set_key(other);
        let key = report(stack, &desk).await["key"].clone();
        assert_eq!(
            (&key["rights"]["withdraw"], &key["rights"]["transfer"]),
            (&json!(true), &json!(false))
        );
        assert_eq!(
            (&key["ips"], &key["expiresAt"]),
            (&json!(["127.0.0.1", "203.0.113.7"]), &Value::Null)
        );
        // By the stable id as well, and nothing was sent.
        let by_id = ask(stack, &format!("?account={}-id", desk.account)).await;
        assert_eq!(by_id.json["accounts"][0]["key"], key, "{}", by_id.text);
        assert_eq!(desk.orders(), Vec::<String>::new());
    });
}

#[test]
fn a_key_that_cannot_be_asked_for_says_why() {
    run(async {
        let stack = Stack::shared().await;
        let desk = stack.desk();
        let terms = desk.exchange.key();
        let mut elsewhere = terms.clone();
        elsewhere.bind(&["203.0.113.7"]);
        let mut ended = KeyTerms::new(now());
        ended.expires_at = Some(ended.created_at);
        for refused in [elsewhere, ended] {
            desk.exchange.set_key(refused);
            let told = report(stack, &desk).await;
            assert_eq!(
                (&told["key"], &told["problem"]["code"]),
                (&Value::Null, &json!("VENUE_CREDENTIALS")),
                "{told}"
            );
            assert!(told["clockOffsetMs"].is_i64(), "{told}");
        }
        desk.exchange.set_key(terms);
        let query = "/v5/user/query-api";
        let location = Fault::new(FaultKind::RetCode)
            .code(10_024, "the service is restricted where you are")
            .at(query);
        let away = Fault::new(FaultKind::Error5xx).at("/v5/market/time");
        for (fault, code, offset) in [
            (location, "VENUE_LOCATION", true),
            (away, "VENUE_UNAVAILABLE", false),
        ] {
            desk.exchange.faults(vec![fault]).unwrap();
            let told = report(stack, &desk).await;
            assert_eq!(told["problem"]["code"], code, "{told}");
            assert_eq!(told["key"], Value::Null);
            assert_eq!(told["clockOffsetMs"].is_i64(), offset, "{told}");
        }
        assert_eq!(report(stack, &desk).await["problem"], Value::Null);
    });
}

#[test]
fn keys_of_all_accounts_and_of_none() {
    run(async {
        let stack = Stack::own("keys", 1).await;
        let desk = stack.desk();
        // A key that the exchange does not know, and an account whose secrets are not set.
        let stranger = hoox_sim::Simulator::start(hoox_sim::Config::new("another-key", "another"))
            .await
            .unwrap();
        let mut manifest = stack.manifest().await;
        manifest["version"] = json!(manifest["version"].as_u64().unwrap() + 1);
        let accounts = manifest["accounts"].as_array_mut().unwrap();
        for (name, suffix) in [("stranger", Value::Null), ("bare", json!("NOWHERE"))] {
            let mut account = json!({
                "id": name, "name": name, "venue": "bybit", "environment": "sim",
                "baseUrl": stranger.url(),
            });
            if !suffix.is_null() {
                account["secretSuffix"] = suffix;
            }
            accounts.push(account);
        }
        let put = stack
            .sandbox
            .operator("PUT", "/v1/manifest", Some(&manifest))
            .await;
        assert_eq!(put.status, 200, "{}", put.text);
        // In any mode of the switch.
        let all = json!({ "mode": "all", "reason": "a test" });
        let engaged = stack
            .sandbox
            .operator("PUT", "/v1/kill-switch", Some(&all))
            .await;
        assert_eq!(engaged.status, 200, "{}", engaged.text);

        let reply = ask(&stack, "").await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        let told = reply.json["accounts"].as_array().unwrap();
        // The sandbox's own account leads nowhere.
        assert_eq!(told.len(), 5, "{}", reply.text);
        let of = |name: &str| told.iter().find(|one| one["account"] == name).unwrap();
        assert_eq!(of("stranger")["problem"]["code"], "VENUE_CREDENTIALS");
        assert_eq!(of("bare")["problem"]["code"], "NOT_CONFIGURED");
        let missing = of("bare")["problem"]["error"].as_str().unwrap();
        assert!(missing.contains("BYBIT_SIM_API_KEY__NOWHERE"), "{missing}");
        assert_eq!(of(&desk.account)["key"]["rights"]["read"], true);
        let nowhere = told
            .iter()
            .filter(|one| one["problem"]["code"] == "VENUE_UNAVAILABLE" && one["colo"].is_null());
        assert_eq!(nowhere.count(), 1, "{}", reply.text);
        assert!(stranger.orders().is_empty());

        let unknown = ask(&stack, "?account=nobody").await;
        assert_eq!(unknown.verdict(), (404, "NOT_FOUND"), "{}", unknown.text);
        assert_eq!(unknown.str("field"), "account");
        for query in ["?limit=5", "?accuont=desk0"] {
            let bad = ask(&stack, query).await;
            assert_eq!(bad.verdict(), (400, "BAD_FIELD"), "{}", bad.text);
        }
        stack.assert_no_secret_got_out();
    });
}
