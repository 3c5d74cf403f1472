//! Outcomes that are not known, and runs that get in each other's way.

use hoox_exchange::ErrorClass;
use hoox_mesh::{KillMode, SignalStatus};
use hoox_model::{Code, OrderKind, OrderSpec, Product};

use crate::world::{Call, Host, MINUTE, START, When, error};

const LONG: &str = r#"{"symbol":"BTCUSDT","action":"LONG","quantity":1}"#;
const SHORT: &str = r#"{"symbol":"BTCUSDT","action":"SHORT","quantity":1}"#;
const CLOSE: &str = r#"{"symbol":"BTCUSDT","action":"close"}"#;

fn sent(host: &Host) -> usize {
    host.count(Call::PlaceOrder)
}

#[test]
fn an_order_that_arrived_without_an_answer_is_found_and_taken_over() {
    for unique in [true, false] {
        let host = Host::new();
        host.exchange.borrow_mut().manners.unique_ids = unique;
        host.fail(Call::PlaceOrder, When::After, error(ErrorClass::Unknown));
        let id = host.accept(LONG);
        host.settle();
        assert_eq!(host.status(&id), SignalStatus::Filled);
        assert_eq!(sent(&host), 1);
        host.check_books();
    }
}

#[test]
fn an_order_that_did_not_arrive_goes_out_again_under_its_id_where_ids_are_unique_for_ever() {
    let host = Host::new();
    host.fail(Call::PlaceOrder, When::Before, error(ErrorClass::Unknown));
    let id = host.accept(LONG);
    host.settle();
    assert_eq!(host.status(&id), SignalStatus::Filled);
    assert_eq!(sent(&host), 2);
    host.check_books();
}

#[test]
fn an_order_that_did_not_arrive_is_never_sent_again_elsewhere() {
    let host = Host::new();
    host.exchange.borrow_mut().manners.unique_ids = false;
    host.fail(Call::PlaceOrder, When::Before, error(ErrorClass::Unknown));
    let id = host.accept(LONG);
    host.settle();
    assert_eq!(
        (host.status(&id), host.code(&id)),
        (SignalStatus::Unknown, Some(Code::Unknown))
    );
    assert_eq!(sent(&host), 1);
    let minutes = (host.now() - START) / MINUTE;
    assert!((10..=11).contains(&minutes), "{minutes}");
    assert!(host.count(Call::LookUp) < 100, "polling backs off");
    host.check_books();
}

#[test]
fn look_ups_that_lag_are_waited_for_and_nothing_is_there_twice() {
    for (unique, lag) in [
        (true, 60_000),
        (false, 60_000),
        (false, 300_000),
        (true, 290_000),
    ] {
        let host = Host::new();
        host.exchange.borrow_mut().manners.unique_ids = unique;
        host.exchange.borrow_mut().manners.look_up_lag_ms = lag;
        host.fail(Call::PlaceOrder, When::After, error(ErrorClass::Unknown));
        let id = host.accept(LONG);
        host.settle();
        assert_eq!(host.status(&id), SignalStatus::Filled, "{unique} {lag}");
        host.check_books();
    }
}

#[test]
fn a_strangers_order_under_our_id_is_not_taken_over() {
    for unique in [true, false] {
        let host = Host::new();
        host.exchange.borrow_mut().manners.unique_ids = unique;
        host.fail(Call::PlaceOrder, When::Before, error(ErrorClass::Unknown));
        let id = host.accept(LONG);
        host.drive();
        let ours = &host.view(&id).orders[0];
        let stranger = OrderSpec {
            client_order_id: ours.client_order_id.clone(),
            symbol: ours.symbol.clone(),
            product: Product::Linear,
            side: ours.side,
            kind: OrderKind::Market,
            quantity: "7".parse().unwrap(),
            effect: hoox_model::Effect::Open,
            leg: None,
            close_all: false,
        };
        let now = host.now();
        host.exchange.borrow_mut().place(&stranger, now).unwrap();
        host.settle();
        let view = host.view(&id);
        assert_eq!(
            (view.status, view.code),
            (SignalStatus::Unknown, Some(Code::Unknown))
        );
        assert!(view.orders[0].filled_quantity.is_zero());
        assert!(view.message.unwrap().contains("its quantity differs"));
        assert_eq!(sent(&host), 1);
    }
}

#[test]
fn another_order_under_the_id_of_one_that_the_venue_took_says_nothing_of_it() {
    for stays in [false, true] {
        let host = Host::new();
        host.exchange
            .borrow_mut()
            .set_held(host.now(), "BTCUSDT", "3");
        host.exchange.borrow_mut().manners.fill_delay_ms = 30_000;
        let id = host.accept(r#"{"symbol":"BTCUSDT","action":"close","quantity":1}"#);
        host.drive();
        let mut stranger = host.exchange.borrow().orders[0].clone();
        stranger.venue_id = "another".to_owned();
        stranger.spec.effect = hoox_model::Effect::Open;
        host.exchange.borrow_mut().orders.push(stranger);
        host.settle_within(10_000);
        assert_ne!(host.status(&id), SignalStatus::Unknown);
        if !stays {
            host.exchange.borrow_mut().orders.truncate(1);
            host.settle();
            assert_eq!(host.status(&id), SignalStatus::Filled);
            host.check_books();
            continue;
        }
        host.settle();
        let view = host.view(&id);
        assert_eq!(
            (view.status, view.code),
            (SignalStatus::Unknown, Some(Code::Unknown))
        );
        assert!(view.orders[0].filled_quantity.is_zero());
        let minutes = (host.now() - START) / MINUTE;
        assert!((10..=11).contains(&minutes), "{minutes}");
    }
}

#[test]
fn an_order_that_rests_stays_ours_when_the_clock_is_put_right() {
    let host = Host::new();
    let id = host.rests(
        r#"{"symbol":"BTCUSDT","action":"buy","quantity":1,"orderType":"limit","price":90}"#,
    );
    host.true_offset.set(60_000);
    host.fail(Call::OpenOrders, When::Before, error(ErrorClass::ClockSkew));
    host.settle_within(5 * MINUTE);
    assert!(host.count(Call::SyncClock) > 0);
    assert_eq!(host.status(&id), SignalStatus::Acknowledged);
}

#[test]
fn an_order_in_doubt_is_ours_by_the_clock_of_its_send() {
    let host = Host::new();
    host.exchange.borrow_mut().manners.look_up_lag_ms = MINUTE;
    host.fail(Call::PlaceOrder, When::After, error(ErrorClass::Unknown));
    let id = host.accept(LONG);
    host.drive();
    host.true_offset.set(90_000);
    host.fail(Call::LookUp, When::Before, error(ErrorClass::ClockSkew));
    host.settle();
    assert!(host.count(Call::SyncClock) > 0);
    assert_eq!(host.status(&id), SignalStatus::Filled);
    host.check_books();
}

#[test]
fn a_duplicate_id_is_looked_up_at_once() {
    let host = Host::new();
    host.fail(Call::PlaceOrder, When::After, error(ErrorClass::Duplicate));
    let id = host.accept(LONG);
    host.drive();
    assert_eq!(host.status(&id), SignalStatus::Filled);
    assert_eq!(sent(&host), 1);
}

#[test]
fn an_unknown_order_bars_entries_and_lets_exits_through() {
    let host = Host::new();
    host.exchange.borrow_mut().manners.unique_ids = false;
    host.exchange
        .borrow_mut()
        .set_held(host.now(), "BTCUSDT", "3");
    host.fail(Call::PlaceOrder, When::Before, error(ErrorClass::Unknown));
    let unknown = host.accept(LONG);
    host.settle();
    assert_eq!(host.status(&unknown), SignalStatus::Unknown);
    let entry = host.accept(LONG);
    host.settle();
    assert_eq!(
        (host.status(&entry), host.code(&entry)),
        (SignalStatus::Refused, Some(Code::Unsettled))
    );
    let flip = host.accept(SHORT);
    host.settle();
    assert_eq!(host.view(&flip).orders.len(), 1, "only its closing leg");
    assert!(host.exchange.borrow().held("BTCUSDT").is_zero());
    let other = host.accept(&LONG.replace("BTC", "ETH"));
    host.settle();
    assert_eq!(
        host.status(&other),
        SignalStatus::Filled,
        "other symbols trade on"
    );
    host.check_books();
}

#[test]
fn a_flip_whose_close_is_unknown_never_opens() {
    let host = Host::new();
    host.exchange.borrow_mut().manners.unique_ids = false;
    host.exchange
        .borrow_mut()
        .set_held(host.now(), "BTCUSDT", "3");
    host.fail(Call::PlaceOrder, When::Before, error(ErrorClass::Unknown));
    // So long-lived that its age alone would not stop the opening leg.
    let flip = host.accept(&SHORT.replace('}', r#","maxLag":3000}"#));
    host.settle();
    let view = host.view(&flip);
    assert_eq!(view.status, SignalStatus::Unknown);
    let orders: Vec<_> = view
        .orders
        .iter()
        .map(|order| (order.status.as_str(), order.reduce_only))
        .collect();
    assert_eq!(
        orders,
        [("unknown", true), ("filled", true)],
        "it is closed under a second id, and never opened"
    );
    assert_eq!(sent(&host), 2);
    assert!(host.exchange.borrow().held("BTCUSDT").is_zero());
    host.check_books();
}

#[test]
fn a_venue_that_cannot_be_asked_for_ten_minutes_leaves_the_order_unknown() {
    let host = Host::new();
    host.fail(Call::PlaceOrder, When::After, error(ErrorClass::Unknown));
    for _ in 0..1_000 {
        host.fail(Call::LookUp, When::Before, error(ErrorClass::Unavailable));
    }
    let id = host.accept(LONG);
    host.settle();
    assert_eq!(host.status(&id), SignalStatus::Unknown);
    assert!(host.now() <= START + 11 * MINUTE);
}

#[test]
fn a_refusal_of_the_second_send_says_nothing_about_the_first() {
    // The first send arrived and filled; look-ups lag; the venue refuses the second one before it sees
    // that the id is taken.
    let host = Host::new();
    host.exchange.borrow_mut().manners.look_up_lag_ms = 20_000;
    host.fail(Call::PlaceOrder, When::After, error(ErrorClass::Unknown));
    for _ in 0..3 {
        host.fail(Call::PlaceOrder, When::Before, error(ErrorClass::Rejected));
    }
    let id = host.accept(LONG);
    host.settle();
    assert_eq!(host.status(&id), SignalStatus::Filled);
    host.check_books();
}

#[test]
fn the_switch_makes_no_refusal_of_an_order_in_doubt() {
    for (mode, lag) in [
        (KillMode::Entries, 0),
        (KillMode::All, 0),
        (KillMode::Entries, 30_000),
    ] {
        let host = Host::new();
        host.exchange.borrow_mut().manners.look_up_lag_ms = lag;
        host.fail(Call::PlaceOrder, When::After, error(ErrorClass::Unknown));
        let id = host.accept(LONG);
        host.drive();
        assert_eq!(host.set_kill_reporting(mode, 2), 1, "it is in flight");
        host.settle();
        assert_eq!(host.status(&id), SignalStatus::Filled, "{mode:?} {lag}");
        assert_eq!(sent(&host), 1);
        host.check_books();
    }
}

#[test]
fn a_crash_before_a_second_send_makes_no_refusal_of_it() {
    // The order arrived, look-ups lag, the second send is decided, and then the switch is engaged.
    let host = Host::new();
    host.exchange.borrow_mut().manners.look_up_lag_ms = 60_000;
    host.fail(Call::PlaceOrder, When::After, error(ErrorClass::Unknown));
    let id = host.accept(LONG);
    host.drive();
    host.sql("UPDATE orders SET state = 'planned'");
    host.set_kill(KillMode::All, 2);
    host.settle();
    assert_eq!(host.status(&id), SignalStatus::Filled);
    assert_eq!(sent(&host), 1);
    host.check_books();
}

#[test]
fn an_order_in_doubt_is_not_refused_for_its_age() {
    let host = Host::new();
    host.exchange.borrow_mut().manners.look_up_lag_ms = 200_000;
    host.fail(Call::PlaceOrder, When::After, error(ErrorClass::Unknown));
    let id = host.accept(LONG);
    host.settle();
    assert_eq!(host.status(&id), SignalStatus::Filled);
    host.check_books();
}

#[test]
fn a_close_waits_for_the_entry_that_is_in_doubt() {
    let host = Host::new();
    host.exchange.borrow_mut().manners.look_up_lag_ms = 30_000;
    host.fail(Call::PlaceOrder, When::After, error(ErrorClass::Unknown));
    host.accept(LONG);
    host.drive();
    let close = host.accept(CLOSE);
    host.settle();
    assert_eq!(host.status(&close), SignalStatus::Filled);
    assert!(host.exchange.borrow().held("BTCUSDT").is_zero());
    host.check_books();
}

#[test]
fn two_runs_never_send_an_order_twice() {
    // Up to 30 s pass between two polls, so that leases of 20 s are lost at every possible place.
    for unique in [true, false] {
        for step_ms in [0, 1, 100, 3_000, 7_000, 10_500, 21_000, 30_000] {
            let host = Host::new();
            host.exchange.borrow_mut().manners.unique_ids = unique;
            host.exchange
                .borrow_mut()
                .set_held(host.now(), "ETHUSDT", "5");
            host.accept(&LONG.replace('}', r#","maxLag":3000}"#));
            host.accept(
                &SHORT
                    .replace("BTC", "ETH")
                    .replace('}', r#","maxLag":3000}"#),
            );
            host.interleave(step_ms);
            host.settle();
            host.check_books();
            let exchange = host.exchange.borrow();
            let (bought, flipped) = (exchange.of("BTCUSDT").len(), exchange.of("ETHUSDT").len());
            if step_ms > 10_000 {
                // No call ends within a lease, which the transport's 8 s rule out: nothing may go out,
                // but nothing goes out twice either.
                assert!(bought <= 1 && flipped <= 2, "{unique} {step_ms}");
                continue;
            }
            assert_eq!((bought, flipped), (1, 2), "{unique} {step_ms}");
            assert_eq!(exchange.held("BTCUSDT").to_string(), "1");
            assert_eq!(exchange.held("ETHUSDT").to_string(), "-1");
        }
    }
}

#[test]
fn an_instance_that_another_one_followed_changes_nothing_at_the_venue() {
    let resting =
        r#"{"symbol":"BTCUSDT","action":"LONG","quantity":1,"orderType":"limit","price":90}"#;
    let levered = LONG.replace('}', r#","leverage":7}"#);
    let cancel = r#"{"symbol":"BTCUSDT","action":"cancel"}"#;
    for (before, body, call) in [
        (None, LONG, Call::PlaceOrder),
        (None, levered.as_str(), Call::SetLeverage),
        (Some(resting), cancel, Call::Cancel),
        // By the cancelled order's own signal, which the switch makes due.
        (Some(resting), "", Call::Cancel),
    ] {
        let host = Host::new();
        let ledger = host.ledger();
        // It has worked, and knows its epoch.
        let first = r#"{"symbol":"ETHUSDT","action":"LONG","quantity":1}"#;
        for body in [Some(first), before].into_iter().flatten() {
            host.accept(body);
            host.drive_on(&ledger).unwrap().unwrap();
        }
        if body.is_empty() {
            host.set_kill(KillMode::Entries, 2);
        } else {
            host.accept(body);
        }
        let calls = host.count(call);
        host.sql("UPDATE meta SET value = '99' WHERE key = 'epoch'");
        host.drive_on(&ledger).unwrap().unwrap();
        assert_eq!(host.count(call), calls, "{body} {call:?}");
        // The instance that follows does it.
        host.settle_within(MINUTE);
        assert!(host.count(call) > calls, "{body} {call:?}");
    }
}

#[test]
fn a_run_that_lost_its_lane_changes_nothing() {
    // One run stands still while it plans, for longer than its lease; the other one does the work; then
    // the first one gets an error from the venue.
    for call in [
        Call::Instrument,
        Call::Position,
        Call::Ticker,
        Call::SetLeverage,
    ] {
        let host = Host::new();
        host.fail(call, When::Before, error(ErrorClass::Rejected));
        let body = r#"{"symbol":"BTCUSDT","action":"LONG","quantity":100,"quantityType":"quote","leverage":3,"maxLag":3000}"#;
        let id = host.accept(body);
        host.stall_and_take_over(call);
        host.settle();
        assert_eq!(host.status(&id), SignalStatus::Filled, "{call:?}");
        assert_eq!(host.exchange.borrow().orders.len(), 1, "{call:?}");
        host.check_books();
    }
}
