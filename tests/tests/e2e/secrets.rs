//! No secret gets out.

use hoox_e2e::{Stack, eventually, run};
use serde_json::json;

#[test]
fn no_secret_is_printed_or_stored() {
    run(async {
        let stack = Stack::shared().await;
        let desk = stack.desk();
        let good =
            desk.alert(&json!({ "action": "LONG", "symbol": "BTCUSDT", "quantity": "0.01" }));
        assert_eq!(desk.post_and_wait(&good).await.status, 200);
        // Bodies that hold the key where a careless message or log line would repeat it.
        let (key, text) = (&desk.passkey, good.to_string());
        for (body, code) in [
            (text.trim_end_matches('}').to_owned(), "BAD_JSON"),
            (format!("{key} {text}"), "BAD_JSON"),
            (text.replace("LONG\"", &format!("LONG\"{key}")), "BAD_JSON"),
            (text.replace("apiKey", "apikey"), "FORBIDDEN"),
            (text.replace(key.as_str(), &format!("{key} ")), "FORBIDDEN"),
        ] {
            let reply = desk.post(&body).await;
            assert_eq!(reply.str("code"), code);
            assert!(
                !reply.text.contains(key.as_str()),
                "{}",
                reply.text.replace(key.as_str(), "KEY")
            );
        }
        for (field, code) in [
            ("action", "BAD_FIELD"),
            ("symbol", "BAD_FIELD"),
            ("comment", "BAD_FIELD"),
            ("account", "NOT_PERMITTED"),
        ] {
            let mut alert = good.clone();
            alert[field] = json!(key);
            let reply = desk.post(&alert).await;
            assert_eq!(reply.str("code"), code);
            let start = key.get(..12).unwrap();
            // A name of an account is repeated, cut; nothing else is.
            assert_eq!(reply.text.contains(start), field == "account", "{field}");
        }
        let request = desk.client().request("GET", "/v1/nothing").bearer_auth(key);
        let last = desk.client().send(request).await;
        assert_eq!(last.verdict(), (401, "UNAUTHORIZED"));
        let id = last.str("requestId");
        eventually("the last request in the log", async || {
            stack.sandbox.output().contains(id).then_some(())
        })
        .await;
        stack.assert_no_secret_got_out();
    });
}
