//! The inbox: what was refused, and what could not be read, is found by the owner afterwards, without what stood in it.

use hoox_e2e::{Desk, Stack, eventually, run};
use serde_json::{Value, json};

const MARK: &str = "quagga-8675309";

/// A page of the inbox.
async fn inbox(stack: &Stack, query: &str) -> Value {
    let path = format!("/v1/refusals{query}");
    let reply = stack.sandbox.operator("GET", &path, None).await;
    assert_eq!(
        (reply.status, reply.fields()),
        (
            200,
            vec!["items", "nextCursor", "notKept", "requestId", "success"]
        ),
        "{}",
        reply.text
    );
    reply.json
}

/// Waits for what is kept of a request.
async fn kept(stack: &Stack, request: &str) -> Value {
    eventually("the refusal in the inbox", async || {
        let page = inbox(stack, "?limit=100").await;
        let mut items = page["items"].as_array().unwrap().iter();
        items.find(|item| item["requestId"] == request).cloned()
    })
    .await
}

fn buy(desk: &Desk, changes: &Value) -> Value {
    let mut alert =
        desk.alert(&json!({ "action": "buy", "symbol": "BTCUSDT", "quantity": "0.001" }));
    let fields = alert.as_object_mut().unwrap();
    fields.extend(changes.as_object().unwrap().clone());
    alert
}

#[test]
fn what_was_refused_or_could_not_be_read_is_found_by_the_owner() {
    run(async {
        let stack = Stack::own("inbox", 2).await;
        let [desk, other] = [(); 2].map(|()| stack.desk());

        // After a valid key: by the gateway, and by the Ledger.
        let refused = desk
            .post(&buy(&desk, &json!({ "action": MARK, "comment": MARK })))
            .await;
        assert_eq!(refused.verdict(), (400, "BAD_FIELD"), "{}", refused.text);
        let item = kept(&stack, refused.str("requestId")).await;
        assert_eq!(item["error"], refused.str("error").replace(MARK, "…"));
        assert_eq!(
            (
                &item["sender"],
                &item["account"],
                &item["field"],
                &item["symbol"]
            ),
            (
                &json!(desk.sender),
                &json!(desk.account),
                &json!("action"),
                &json!("BTCUSDT")
            )
        );
        let named = |name: &str| item["fields"].as_array().unwrap().contains(&json!(name));
        assert!(named("comment") && named("action") && !named("apiKey"));

        let alert = buy(&desk, &json!({ "orderId": MARK }));
        let taken = desk.post(&alert).await;
        assert_eq!(taken.status, 202, "{}", taken.text);
        let again = desk.post(&alert).await;
        assert_eq!(again.verdict(), (409, "DUPLICATE"), "{}", again.text);
        let item = kept(&stack, again.str("requestId")).await;
        assert_eq!(
            (&item["code"], &item["signalId"]),
            (&json!("DUPLICATE"), &json!(taken.str("signalId")))
        );

        // Before one: the fault and its place.
        let broken = format!(r#"{{"action":"close","comment":"{MARK}",}}"#);
        let unread = desk.post(&broken).await;
        assert_eq!(unread.verdict(), (400, "BAD_JSON"), "{}", unread.text);
        let item = kept(&stack, unread.str("requestId")).await;
        assert_eq!(item["bytes"], broken.len());
        assert!(item["error"].as_str().unwrap().contains("line 1, column"));
        assert!(item["sender"].is_null() && item["address"].is_string());
        assert_eq!(item["fields"], json!([]));

        // A wrong key is not there, and nobody's refusals are another's.
        let mut stranger = buy(&desk, &json!({}));
        stranger["apiKey"] = json!("nobody");
        let stranger = desk.post(&stranger).await;
        let late = other.post(&buy(&other, &json!({ "quantity": 0 }))).await;
        kept(&stack, late.str("requestId")).await;
        let all = inbox(&stack, "").await;
        let requests = all["items"].as_array().unwrap().iter();
        let requests: Vec<_> = requests.map(|item| item["requestId"].clone()).collect();
        let expected = [&late, &unread, &again, &refused].map(|it| json!(it.str("requestId")));
        assert_eq!(requests, expected);
        assert!(!requests.contains(&json!(stranger.str("requestId"))));
        let own = inbox(&stack, &format!("?sender={}", desk.sender)).await;
        assert_eq!(own["items"].as_array().unwrap().len(), 2);

        // In pages.
        let first = inbox(&stack, "?limit=3").await;
        let cursor = first["nextCursor"].as_str().unwrap();
        let second = inbox(&stack, &format!("?limit=3&cursor={cursor}")).await;
        assert_eq!(second["items"], json!([all["items"][3]]));
        assert_eq!(second["nextCursor"], json!(null));
        for (query, field) in [
            ("?limit=0", "limit"),
            ("?limit=many", "many"),
            ("?account=main", "account"),
            ("?sender=nobody", "sender"),
        ] {
            let path = format!("/v1/refusals{query}");
            let reply = stack.sandbox.operator("GET", &path, None).await;
            assert_eq!(reply.verdict(), (400, "BAD_FIELD"), "{}", reply.text);
            assert!(reply.str("error").contains(field), "{}", reply.text);
        }

        // No value of any of them; and the trail has the sentence as well.
        assert!(!all.to_string().contains(MARK), "{all}");
        let line = eventually("the refusal in the audit trail", async || {
            let trail = stack.sandbox.operator("GET", "/v1/audit.jsonl", None).await;
            let mut lines = trail.text.lines();
            let line = lines.find(|line| line.contains(refused.str("requestId")))?;
            Some(serde_json::from_str::<Value>(line).unwrap())
        })
        .await;
        assert_eq!(line["detail"], refused.str("error").replace(MARK, "…"));
        stack.assert_no_secret_got_out();
    });
}

#[test]
fn a_flood_of_what_cannot_be_read_is_counted_and_pushes_out_nothing() {
    run(async {
        let stack = Stack::own("inbox-flood", 1).await;
        let desk = stack.desk();
        let refused = desk.post(&buy(&desk, &json!({ "quantity": 0 }))).await;
        kept(&stack, refused.str("requestId")).await;
        for _ in 0..25 {
            let unread = desk.post(&"not an object").await;
            assert_eq!(unread.verdict(), (400, "BAD_JSON"));
        }
        let page = eventually("all of them kept or counted", async || {
            let page = inbox(&stack, "").await;
            let items = page["items"].as_array().unwrap().len();
            let counted = page["notKept"].as_array().unwrap().first();
            let counted = counted.map_or(json!(0), |counted| counted["count"].clone());
            (items == 21 && counted == 5).then_some(page)
        })
        .await;
        assert_eq!(page["items"][20]["requestId"], refused.str("requestId"));

        // What is kept of a sender goes with it.
        let path = format!("/v1/senders/{}", desk.sender);
        let revoked = stack.sandbox.operator("DELETE", &path, None).await;
        assert_eq!(revoked.status, 200, "{}", revoked.text);
        assert_eq!(
            inbox(&stack, "").await["items"].as_array().unwrap().len(),
            20
        );
    });
}
