//! SIGKILL to workerd at moments that matter: nothing acknowledged is lost, and nothing trades twice.
#![expect(clippy::panic, reason = "tests: a failed expectation is the assertion")]

use hoox_e2e::{Desk, Part, Reply, Stack, eventually, now, run, timenow};
use hoox_sim::{Fault, FaultKind};
use serde_json::{Value, json};
use tokio::task::JoinSet;

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

#[test]
fn a_ledger_whose_alarm_is_lost_is_woken_by_the_cron() {
    run(async {
        let mut stack = Stack::own("sweep", 1).await;
        let desk = stack.desk();
        // The first call to the exchange takes longer than the workers live.
        let slow = Fault::new(FaultKind::Latency).at("/v5/market/instruments-info");
        desk.exchange.faults(vec![slow.millis(20_000)]).unwrap();
        let alert = entry(&desk, "0.01");
        let id = accepted(&desk, &alert).await;
        eventually("the call that is slow", async || {
            desk.exchange.waiting_faults().is_empty().then_some(())
        })
        .await;
        stack.sandbox.kill();
        assert_eq!(stack.sandbox.lose_alarms(), 1);

        // The cron strikes by the clock as well, every five minutes, where the worker has the address: at the start of
        // a minute, also for a worker that starts just then.
        eventually("the cron to be a while away", async || {
            let since = now().as_millis().rem_euclid(300_000);
            (5_000..255_000).contains(&since).then_some(())
        })
        .await;
        let part = Part::trade(&stack.sandbox).await;
        // Nothing has woken the Ledger: it would have set its alarm.
        part.stop();
        assert_eq!(stack.sandbox.lose_alarms(), 0);
        assert_eq!(desk.orders(), [""; 0]);

        let part = Part::trade(&stack.sandbox).await;
        part.strike().await;
        eventually("the order", async || {
            (desk.orders() == ["Buy Market 0.01 BTCUSDT"]).then_some(())
        })
        .await;
        part.stop();
        stack.sandbox.start_again().await;
        assert_traded_once(&desk, &alert, &id, "0.01").await;
    });
}

/// What became of an alert: the signal id of a 202, or of the refusal of a duplicate.
fn taken_or_known(reply: &Reply) -> (bool, String) {
    let id = reply.str("signalId").to_owned();
    match reply.verdict() {
        (202, _) => (true, id),
        (409, "DUPLICATE") => (false, id),
        _ => panic!("{}: {}", reply.status, reply.text),
    }
}

#[test]
fn an_alert_that_comes_twice_at_once_across_a_kill_trades_once() {
    /// How many answers come before the kill.
    const MOMENTS: [usize; 3] = [1, 5, 12];
    const ALERTS: usize = 10;
    run(async {
        let mut stack = Stack::own("twins", 1).await;
        let desk = stack.desk();
        let mut ids = Vec::new();
        for (round, moment) in MOMENTS.into_iter().enumerate() {
            let alerts: Vec<_> = (0..ALERTS)
                .map(|number| {
                    let mut alert = entry(&desk, "0.01");
                    // Half of them with a key, the others known by their bytes.
                    if number % 2 == 0 {
                        alert["idempotencyKey"] = json!(format!("{round} {number}"));
                    } else {
                        alert["timestamp"] = json!(timenow(0));
                    }
                    alert
                })
                .collect();
            let send_twice = || {
                let mut sent = JoinSet::new();
                for (number, alert) in alerts.iter().enumerate() {
                    for _ in 0..2 {
                        let (client, alert) = (desk.client().clone(), desk.client().alert(alert));
                        sent.spawn(async move { (number, client.try_send(alert).await) });
                    }
                }
                sent
            };
            let mut answers = vec![Vec::new(); ALERTS];
            let (mut sent, mut came) = (send_twice(), 0);
            while let Some(done) = sent.join_next().await {
                let (number, Ok(reply)) = done.unwrap() else {
                    continue;
                };
                answers[number].push(taken_or_known(&reply));
                came += 1;
                if came == moment {
                    stack.sandbox.kill();
                }
            }
            assert!(came >= moment, "only {came} answers");
            stack.sandbox.start_again().await;
            let mut sent = send_twice();
            while let Some(done) = sent.join_next().await {
                let (number, reply) = done.unwrap();
                answers[number].push(taken_or_known(&reply.unwrap()));
            }
            for answers in answers {
                let first = answers[0].1.clone();
                assert!(answers.iter().all(|(_, id)| *id == first), "{answers:?}");
                let taken = answers.iter().filter(|(taken, _)| *taken).count();
                // None where the answer to the first was lost.
                assert!(taken <= 1, "{answers:?}");
                ids.push(first);
            }
        }
        for id in &ids {
            desk.recorded(id, "filled").await;
        }
        let mut traded: Vec<_> = desk
            .exchange
            .orders()
            .into_iter()
            .map(|order| order.client_order_id.unwrap())
            .collect();
        let mut wanted: Vec<_> = ids.iter().map(|id| format!("hx-{id}-0")).collect();
        traded.sort();
        wanted.sort();
        assert_eq!(traded, wanted);
        assert_eq!(desk.listed("signals").await.len(), MOMENTS.len() * ALERTS);
    });
}
