//! The messages of `hoox alert template`, as TradingView fills them in and sends them.

use hoox_alert::{Change, Kind, Wish, fill, messages};
use hoox_e2e::{Desk, Stack, run};
use hoox_model::Timestamp;
use rust_decimal::Decimal;

/// What a strategy does, one order after the other; in tenths of a bitcoin.
const STORY: [Change; 10] = [
    Change::new("enters long", 0, 5),
    Change::new("adds", 5, 8),
    Change::new("closes a part", 8, 5),
    Change::new("turns to short", 5, -5),
    Change::new("adds", -5, -8),
    Change::new("closes a part", -8, -5),
    Change::new("turns to long", -5, 5),
    Change::new("closes", 5, 0),
    Change::new("enters short", 0, -5),
    Change::new("closes", -5, 0),
];

/// A template's messages, ready to be pasted.
fn texts(desk: &Desk, kind: Kind) -> Vec<String> {
    let wish = Wish {
        kind,
        account: desk.account.clone(),
        symbol: "BYBIT:BTCUSDT.P".to_owned(),
        strategy: None,
        quantity: None,
    };
    let made = messages(&wish).unwrap().into_iter();
    made.map(|message| message.text.replace("PASSKEY", &desk.passkey))
        .collect()
}

/// When the alert with this number fires: each in a second of its own, the tenth now.
fn second(number: i64) -> Timestamp {
    hoox_e2e::now().plus_millis(number.saturating_sub(10).saturating_mul(1_000))
}

#[test]
fn the_account_holds_what_the_strategy_holds() {
    run(async {
        for kind in [Kind::Reversing, Kind::Target, Kind::Exits, Kind::Dca] {
            let desk = Stack::shared().await.desk();
            let text = texts(&desk, kind).remove(0);
            for (number, change) in (1..).zip(STORY) {
                let body = fill(&text, Some(change), second(number));
                let reply = desk.post_and_wait(&body).await;
                assert_eq!(
                    (reply.status, reply.str("status")),
                    (200, "filled"),
                    "{} {}: {}",
                    kind.name(),
                    change.when,
                    reply.text
                );
                assert_eq!(
                    desk.held("BTCUSDT"),
                    change.after(),
                    "{} {}",
                    kind.name(),
                    change.when
                );
                // TradingView's resend of it is a duplicate.
                assert_eq!(desk.post(&body).await.verdict(), (409, "DUPLICATE"));
            }
            assert_eq!(desk.held("BTCUSDT"), Decimal::ZERO);
        }
    });
}

#[test]
fn equal_adds_of_one_second_all_count_in_whatever_order_they_arrive() {
    run(async {
        let desk = Stack::shared().await.desk();
        let text = texts(&desk, Kind::Dca).remove(0);
        let (add, at) = (
            |from: i64, to: i64| Change::new("adds", from, to),
            second(9),
        );
        for change in [add(3, 6), add(6, 9), add(0, 3)] {
            let reply = desk.post_and_wait(&fill(&text, Some(change), at)).await;
            assert_eq!(
                (reply.status, reply.str("status")),
                (200, "filled"),
                "{}",
                reply.text
            );
        }
        assert_eq!(desk.held("BTCUSDT"), Decimal::new(9, 1));
        let close = fill(&text, Some(add(9, 0)), second(10));
        let reply = desk.post_and_wait(&close).await;
        assert_eq!(reply.str("status"), "filled", "{}", reply.text);
        assert_eq!(desk.held("BTCUSDT"), Decimal::ZERO);
    });
}

#[test]
fn an_indicators_alerts_enter_turn_and_close() {
    run(async {
        let desk = Stack::shared().await.desk();
        let texts = texts(&desk, Kind::Indicator);
        // 100 USDT at 65,000 are 0.001 BTC, in the venue's steps.
        let held = ["0.001", "-0.001", "0"].map(|size| size.parse::<Decimal>().unwrap());
        for (number, (text, held)) in (1..).zip(texts.iter().zip(held)) {
            let reply = desk.post_and_wait(&fill(text, None, second(number))).await;
            assert_eq!(
                (reply.status, reply.str("status")),
                (200, "filled"),
                "{}",
                reply.text
            );
            assert_eq!(desk.held("BTCUSDT"), held);
        }
    });
}
