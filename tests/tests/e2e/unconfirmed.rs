//! 503: the gateway while what is behind it is missing.

use hoox_e2e::{Part, Stack, run};
use serde_json::json;

#[test]
fn without_a_manifest_nothing_is_accepted() {
    run(async {
        let alone = Part::gateway(None).await;
        let reply = alone
            .client
            .post(&r#"{"apiKey":"x","action":"close","symbol":"BTCUSDT"}"#)
            .await;
        assert_eq!(reply.verdict(), (503, "NOT_CONFIGURED"), "{}", reply.text);
        assert_eq!(reply.fields(), ["code", "error", "requestId", "success"]);
        let reply = alone
            .client
            .send(alone.client.request("GET", "/health"))
            .await;
        assert_eq!(reply.status, 200);
        alone.stop();
    });
}

#[test]
fn a_commit_that_is_not_confirmed_is_a_503_and_the_resend_trades_once() {
    run(async {
        let mut stack = Stack::own("unconfirmed", 1).await;
        let desk = stack.desk();
        let alert = desk.alert(&json!({
            "action": "LONG", "symbol": "BTCUSDT", "quantity": "0.01", "maxLag": 600,
        }));
        stack.sandbox.kill();
        // The gateway finds the manifest, and no trade-worker.
        let alone = Part::gateway(Some(&stack.sandbox)).await;
        let reply = alone.client.post(&alert).await;
        assert_eq!(reply.verdict(), (503, "NOT_CONFIRMED"), "{}", reply.text);
        assert_eq!(reply.fields(), ["code", "error", "requestId", "success"]);
        assert!(
            reply.str("error").contains("a resend is safe"),
            "{}",
            reply.text
        );
        alone.stop();
        stack.sandbox.start_again().await;
        // TradingView sends the same bytes again after a 503.
        let resent = desk.post_and_wait(&alert).await;
        assert_eq!(
            (resent.status, resent.str("status")),
            (200, "filled"),
            "{}",
            resent.text
        );
        assert_eq!(desk.post(&alert).await.verdict(), (409, "DUPLICATE"));
        assert_eq!(desk.orders(), ["Buy Market 0.01 BTCUSDT"]);
    });
}
