//! SIGKILL to workerd at moments that matter: nothing acknowledged is lost, and nothing trades twice.

use hoox_e2e::{Desk, Stack, eventually, run};
use hoox_sim::{Fault, FaultKind};
use serde_json::{Value, json};

fn entry(desk: &Desk, quantity: &str) -> Value {
    // A start of the workers may take longer than an entry usually lives.
    desk.alert(
        &json!({ "action": "LONG", "symbol": "BTCUSDT", "quantity": quantity, "maxLag": 600 }),
    )
}

async fn accepted(desk: &Desk, alert: &Value) -> String {
    let reply = desk.post(alert).await;
    assert_eq!(
        (reply.status, reply.str("status")),
        (202, "received"),
        "{}",
        reply.text
    );
    reply.str("signalId").to_owned()
}

/// One order for the signal: at the exchange, in the records, and in the words of a duplicate.
async fn assert_traded_once(desk: &Desk, alert: &Value, id: &str, quantity: &str) {
    desk.recorded(id, "filled").await;
    assert_eq!(desk.orders(), [format!("Buy Market {quantity} BTCUSDT")]);
    let order = desk.exchange.orders().pop().unwrap();
    assert_eq!(order.status, "Filled");
    let recorded = eventually("the order's record", async || {
        let orders = desk.listed("orders").await;
        (orders.len() == 1 && orders[0]["state"] == "filled").then_some(orders)
    })
    .await;
    assert_eq!(
        recorded[0]["clientOrderId"],
        json!(order.client_order_id.unwrap())
    );
    assert_eq!(recorded[0]["signalId"], id);
    assert_eq!(desk.listed("signals").await.len(), 1);
    let again = desk.post(alert).await;
    assert_eq!(again.verdict(), (409, "DUPLICATE"), "{}", again.text);
    assert_eq!((again.str("signalId"), again.str("status")), (id, "filled"));
}

#[test]
fn a_restart_between_accept_and_fill_makes_one_order() {
    run(async {
        let mut stack = Stack::own("restart", 5).await;
        let [unsent, unanswered, unfilled, fresh, resting] = [(); 5].map(|()| stack.desk());
        let fault = |desk: &Desk, fault: Fault| desk.exchange.faults(vec![fault]).unwrap();
        // The first call to the exchange takes longer than the workers live.
        fault(
            &unsent,
            Fault::new(FaultKind::Latency)
                .at("/v5/market/instruments-info")
                .millis(20_000),
        );
        // The exchange takes the order, and its answer never comes.
        fault(
            &unanswered,
            Fault::new(FaultKind::TimeoutAfterAccept).millis(20_000),
        );
        // The exchange answers, and the order fills while nobody is there.
        fault(&unfilled, Fault::new(FaultKind::FillDelay).millis(2_000));

        let quantities = ["0.011", "0.012", "0.013", "0.014"];
        let alerts = [
            entry(&unsent, quantities[0]),
            entry(&unanswered, quantities[1]),
            entry(&unfilled, quantities[2]),
            entry(&fresh, quantities[3]),
        ];
        let limit = resting.alert(&json!({
            "action": "LONG", "symbol": "BTCUSDT", "quantity": "0.015", "orderType": "limit", "price": 64_000, "maxLag": 600,
        }));
        let rests = resting.post_and_wait(&limit).await;
        assert_eq!(rests.str("status"), "acknowledged", "{}", rests.text);
        let mut ids = vec![
            accepted(&unsent, &alerts[0]).await,
            accepted(&unanswered, &alerts[1]).await,
            accepted(&unfilled, &alerts[2]).await,
        ];
        eventually("the orders on their way", async || {
            let there = unanswered.orders().len() == 1 && unfilled.orders().len() == 1;
            (there && unsent.exchange.waiting_faults().is_empty()).then_some(())
        })
        .await;
        assert_eq!(unsent.orders(), [""; 0]);
        assert_eq!(unfilled.exchange.orders()[0].filled_qty, 0.into());
        ids.push(accepted(&fresh, &alerts[3]).await);
        // Right after the answer: whatever was under way for it is cut.
        stack.sandbox.kill();
        resting
            .exchange
            .set_price("bybit", "BTCUSDT", 63_000.into())
            .unwrap();
        stack.sandbox.start_again().await;

        for (index, desk) in [&unsent, &unanswered, &unfilled, &fresh]
            .into_iter()
            .enumerate()
        {
            assert_traded_once(desk, &alerts[index], &ids[index], quantities[index]).await;
        }
        resting.recorded(rests.str("signalId"), "filled").await;
        assert_eq!(resting.orders(), ["Buy Limit 0.015@64000 BTCUSDT"]);
        stack.assert_no_secret_got_out();
    });
}
