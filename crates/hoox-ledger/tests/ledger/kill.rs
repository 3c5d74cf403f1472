//! What engaging the kill switch does beyond refusing: own resting entries end, positions are closed.

use core::future::Future;
use core::pin::pin;
use core::task::{Context, Waker};

use hoox_exchange::ErrorClass;
use hoox_ledger::Ledger;
use hoox_mesh::{FlatState, KillMode, SignalStatus};
use hoox_model::{Code, SignalId};

use crate::world::{Call, Host, MINUTE, When, error};

const REST: &str =
    r#"{"symbol":"BTCUSDT","action":"buy","quantity":1,"orderType":"limit","price":90}"#;

/// An entry that rests below the market.
fn resting() -> (Host, SignalId) {
    let host = Host::new();
    let id = host.rests(REST);
    (host, id)
}

fn statuses(host: &Host) -> Vec<(String, String, bool)> {
    host.sql("SELECT sender, status, open FROM signal ORDER BY seq")
        .into_iter()
        .map(|row| match <[_; 3]>::try_from(row).unwrap() {
            [
                hoox_store::Value::Text(sender),
                hoox_store::Value::Text(status),
                hoox_store::Value::Integer(open),
            ] => (sender, status, open != 0),
            other => panic!("{other:?}"),
        })
        .collect()
}

#[test]
fn a_resting_entry_is_cancelled_at_once() {
    for mode in [KillMode::Entries, KillMode::All] {
        let (host, id) = resting();
        host.set_kill(mode, 2);
        assert_eq!(host.report().resting, 1);
        assert_eq!(host.alarm(), Some(host.now()), "it is due now");
        host.settle_within(1_000);
        assert_eq!(
            (host.status(&id), host.code(&id)),
            (SignalStatus::Cancelled, Some(Code::KillSwitch))
        );
        assert!(host.report().is_settled());
        assert_eq!(host.count(Call::Cancel), 1);
        host.settle();
        host.check_books();
    }
}

#[test]
fn a_mode_that_is_not_known_lets_no_entry_out() {
    let host = Host::new();
    let entry = host.accept(r#"{"symbol":"BTCUSDT","action":"LONG","quantity":1}"#);
    host.sql("DELETE FROM meta WHERE key = 'kill_mode'");
    host.settle();
    assert_eq!(
        (host.status(&entry), host.code(&entry)),
        (SignalStatus::Refused, Some(Code::KillSwitch))
    );
    assert_eq!(host.count(Call::PlaceOrder), 0);
}

#[test]
fn a_resting_exit_stays() {
    let host = Host::new();
    host.exchange
        .borrow_mut()
        .set_held(host.now(), "BTCUSDT", "1");
    let id = host.rests(
        r#"{"symbol":"BTCUSDT","action":"close","quantity":1,"orderType":"limit","price":110}"#,
    );
    host.set_kill(KillMode::Entries, 2);
    host.settle_within(5 * MINUTE);
    assert_eq!(host.status(&id), SignalStatus::Acknowledged);
    assert_eq!(host.count(Call::Cancel), 0);
}

#[test]
fn a_cancellation_is_asked_for_until_the_order_has_ended() {
    let (host, id) = resting();
    for _ in 0..3 {
        host.fail(Call::Cancel, When::Before, error(ErrorClass::Unavailable));
    }
    host.set_kill(KillMode::Entries, 2);
    host.settle_within(2 * MINUTE);
    assert_eq!(host.status(&id), SignalStatus::Cancelled);
    assert_eq!(host.count(Call::Cancel), 4);
    host.check_books();
}

#[test]
fn an_entry_that_fills_before_the_cancellation_is_recorded_as_filled() {
    let (host, id) = resting();
    host.exchange.borrow_mut().manners.price = 80;
    host.set_kill(KillMode::Entries, 2);
    host.settle();
    assert_eq!(host.status(&id), SignalStatus::Filled);
    host.check_books();
}

#[test]
fn an_entry_in_doubt_is_cancelled_when_it_is_found() {
    let host = Host::new();
    host.exchange.borrow_mut().manners.look_up_lag_ms = MINUTE;
    host.fail(Call::PlaceOrder, When::After, error(ErrorClass::Unknown));
    let id = host.accept(REST);
    host.drive();
    host.set_kill(KillMode::Entries, 2);
    assert_eq!(host.report().in_flight, 1);
    host.settle();
    assert_eq!(
        (host.status(&id), host.code(&id)),
        (SignalStatus::Cancelled, Some(Code::KillSwitch))
    );
    host.check_books();
}

#[test]
fn an_entry_that_could_not_be_found_out_is_asked_for_once_more_and_ended() {
    let host = Host::new();
    host.exchange.borrow_mut().manners.look_up_lag_ms = 20 * MINUTE;
    host.fail(Call::PlaceOrder, When::After, error(ErrorClass::Unknown));
    let id = host.accept(REST);
    host.settle();
    assert_eq!(host.status(&id), SignalStatus::Unknown);
    host.set_kill(KillMode::Entries, 2);
    host.settle();
    assert_eq!(
        host.status(&id),
        SignalStatus::Unknown,
        "the venue still hides it"
    );
    host.set_kill(KillMode::Off, 3);
    let entry = host.accept(r#"{"symbol":"BTCUSDT","action":"LONG","quantity":1}"#);
    host.settle();
    assert_eq!(host.code(&entry), Some(Code::Unsettled));

    host.exchange.borrow_mut().manners.look_up_lag_ms = 0;
    host.set_kill(KillMode::Entries, 4);
    host.settle();
    assert_eq!(
        (host.status(&id), host.code(&id)),
        (SignalStatus::Cancelled, Some(Code::KillSwitch))
    );
    host.check_books();
}

#[test]
fn an_entry_that_is_asked_for_once_more_still_bars_others() {
    let host = Host::new();
    host.exchange.borrow_mut().manners.look_up_lag_ms = 20 * MINUTE;
    host.fail(Call::PlaceOrder, When::After, error(ErrorClass::Unknown));
    host.accept(REST);
    host.settle();
    for _ in 0..1_000 {
        host.fail(Call::LookUp, When::Before, error(ErrorClass::Unavailable));
    }
    host.set_kill(KillMode::Entries, 2);
    host.settle_within(MINUTE);
    host.set_kill(KillMode::Off, 3);
    let entry = host.accept(r#"{"symbol":"BTCUSDT","action":"LONG","quantity":1,"maxLag":600}"#);
    host.settle_within(5 * MINUTE);
    assert_eq!(host.code(&entry), Some(Code::Unsettled));
}

#[test]
fn the_switch_off_again_leaves_resting_entries_alone() {
    let (host, id) = resting();
    host.set_kill(KillMode::Entries, 2);
    host.set_kill(KillMode::Off, 3);
    host.settle_within(5 * MINUTE);
    assert_eq!(host.status(&id), SignalStatus::Acknowledged);
    assert_eq!(host.count(Call::Cancel), 0);
}

#[test]
fn an_unknown_entry_is_asked_for_again_also_while_its_other_leg_is_recorded() {
    let host = Host::new();
    host.accept(r#"{"symbol":"BTCUSDT","action":"LONG","quantity":2}"#);
    host.settle();
    host.exchange.borrow_mut().manners.unique_ids = false;
    host.pass(Call::PlaceOrder);
    host.fail(Call::PlaceOrder, When::Before, error(ErrorClass::Unknown));
    let flip = host.accept(r#"{"symbol":"BTCUSDT","action":"SHORT","quantity":1}"#);
    let recorded = host.count(Call::Fills);
    let mut asked = usize::MAX;
    let mut context = Context::from_waker(Waker::noop());
    // Until the close's fills are asked for, with the signal ended as unknown.
    for _ in 0..2_000 {
        host.budget.refill();
        let ledger = Ledger::attach(host.clone());
        let mut run = pin!(ledger.drive());
        while host.count(Call::Fills) == recorded && run.as_mut().poll(&mut context).is_pending() {}
        if host.count(Call::Fills) > recorded {
            assert_eq!(host.status(&flip), SignalStatus::Unknown);
            asked = host.count(Call::LookUp);
            host.set_kill(KillMode::Entries, 2);
            while run.as_mut().poll(&mut context).is_pending() {}
            break;
        }
        host.advance(1_000);
    }
    host.settle();
    assert!(host.count(Call::LookUp) > asked, "it is asked for again");
    assert_eq!(host.status(&flip), SignalStatus::Unknown);
    let unknown = host.sql("SELECT state FROM orders WHERE state = 'unknown'");
    assert_eq!(unknown.len(), 1, "an operator can settle it");
    host.check_books();
}

#[test]
fn flatten_closes_every_position_whoever_opened_it() {
    let (host, resting) = resting();
    host.accept(r#"{"symbol":"ETHUSDT","action":"LONG","quantity":3}"#);
    host.settle_within(MINUTE);
    host.exchange
        .borrow_mut()
        .set_held(host.now(), "SOLUSDT", "-7");
    let report = host.flatten(2);
    assert!(report.engaged && report.flattening);
    host.settle();
    assert!(host.report().is_settled());
    assert_eq!(host.status(&resting), SignalStatus::Cancelled);
    for symbol in ["BTCUSDT", "ETHUSDT", "SOLUSDT"] {
        assert!(host.exchange.borrow().held(symbol).is_zero(), "{symbol}");
    }
    let closes: Vec<_> = statuses(&host)
        .into_iter()
        .filter(|(sender, ..)| sender == "operator")
        .collect();
    let closed = ("operator".to_owned(), "filled".to_owned(), false);
    assert_eq!(closes, [closed.clone(), closed]);
    assert_eq!(
        host.count(Call::Positions),
        3,
        "it looks again, and once more when no list can lag any longer"
    );
    host.check_books();
}

#[test]
fn flatten_goes_on_until_nothing_is_left() {
    let host = Host::new();
    host.accept(r#"{"symbol":"BTCUSDT","action":"LONG","quantity":4}"#);
    host.settle();
    for _ in 0..4 {
        host.fail(
            Call::Positions,
            When::Before,
            error(ErrorClass::Unavailable),
        );
    }
    host.flatten(2);
    host.settle_within(3 * MINUTE);
    assert!(host.exchange.borrow().held("BTCUSDT").is_zero());
    // Told again of the same change, as Control does until every Ledger has answered: nothing new.
    host.exchange
        .borrow_mut()
        .set_held(host.now(), "BTCUSDT", "1");
    assert!(!host.flatten(2).flattening);
    host.settle();
    assert_eq!(host.exchange.borrow().held("BTCUSDT").to_string(), "1");
}

#[test]
fn dust_that_our_record_does_not_know_is_closed_where_its_position_cannot_be_read_at_once() {
    let host = Host::new();
    host.accept(r#"{"symbol":"BTCUSDT","action":"SHORT","quantity":4}"#);
    host.settle();
    let mut exchange = host.exchange.borrow_mut();
    exchange.set_held(host.now(), "BTCUSDT", "-0.0004");
    drop(exchange);
    host.advance(2 * MINUTE);
    for _ in 0..8 {
        host.fail(Call::Position, When::Before, error(ErrorClass::Unavailable));
    }
    host.flatten(2);
    host.settle_within(5 * MINUTE);
    assert!(host.exchange.borrow().held("BTCUSDT").is_zero());
    assert!(!host.report().flattening);
}

#[test]
fn what_cannot_be_closed_is_tried_again_when_it_has_grown() {
    let host = Host::new();
    host.exchange.borrow_mut().manners.closes_all = false;
    let set_held = |size| {
        let mut exchange = host.exchange.borrow_mut();
        exchange.set_held(host.now(), "BTCUSDT", size);
    };
    set_held("0.0004");
    host.flatten(2);
    host.settle_within(MINUTE / 2);
    let view = host.report().flatten.unwrap();
    assert!(view.flat && view.except.len() == 1, "{view:?}");
    set_held("5.0004");
    host.settle_within(5 * MINUTE);
    assert_eq!(
        host.exchange.borrow().held("BTCUSDT").to_string(),
        "0.0004",
        "the smallest order is 0.001"
    );
    assert!(!host.report().flattening);
}

#[test]
fn dust_beside_which_a_position_that_lags_showed_more_is_closed_all_the_same() {
    let host = Host::new();
    let set_held = |size| {
        let mut exchange = host.exchange.borrow_mut();
        exchange.set_held(host.now(), "BTCUSDT", size);
    };
    set_held("0.0008");
    host.advance(MINUTE);
    set_held("0.0004");
    // The list shows it at once, the position only after 3 s.
    let mut exchange = host.exchange.borrow_mut();
    exchange.manners.position_lag_ms = 3_000;
    exchange.manners.list_lag_ms = -3_000;
    drop(exchange);
    // The first read says what was held; of this close the list does.
    host.fail(Call::Position, When::Before, error(ErrorClass::Unknown));
    host.flatten(2);
    host.settle_within(1_000);
    let view = host.report().flatten.unwrap();
    let [part] = view.symbols.as_slice() else {
        panic!("{view:?}");
    };
    assert_eq!(part.state, FlatState::Refused, "{view:?}");
    assert!(!view.flat && view.except.is_empty(), "{view:?}");
    host.settle_within(5 * MINUTE);
    assert!(host.exchange.borrow().held("BTCUSDT").is_zero());
    assert!(!host.report().flattening);
}

#[test]
fn flatten_puts_a_clock_right_that_is_off() {
    let host = Host::new();
    host.exchange
        .borrow_mut()
        .set_held(host.now(), "BTCUSDT", "4");
    host.true_offset.set(40_000);
    host.fail(Call::Positions, When::Before, error(ErrorClass::ClockSkew));
    host.flatten(2);
    host.settle_within(MINUTE);
    assert_eq!(host.count(Call::SyncClock), 1);
    assert_eq!(host.offset_seen.get(), 40_000);
    assert!(host.exchange.borrow().held("BTCUSDT").is_zero());
}

#[test]
fn flatten_waits_for_an_entry_whose_outcome_is_not_known() {
    let host = Host::new();
    host.fail(Call::PlaceOrder, When::After, error(ErrorClass::Unknown));
    host.exchange.borrow_mut().manners.look_up_lag_ms = i64::MAX / 4;
    let id = host.accept(REST);
    host.settle_within(5 * MINUTE);
    assert_eq!(host.status(&id), SignalStatus::Sending);
    host.flatten(2);
    host.settle_within(MINUTE);
    // It may still fill, so the work goes on although nothing is held.
    assert!(host.report().flattening);
    host.exchange.borrow_mut().fill_resting(1, host.now());
    host.exchange.borrow_mut().manners.look_up_lag_ms = 0;
    host.settle_within(5 * MINUTE);
    assert!(host.exchange.borrow().held("BTCUSDT").is_zero());
    assert!(host.report().is_settled());
    host.check_books();
}

#[test]
fn an_entry_in_doubt_is_soon_asked_for_again_where_the_clock_was_wrong_or_it_is_to_end() {
    for (class, mode) in [
        (ErrorClass::ClockSkew, KillMode::Off),
        (ErrorClass::Unavailable, KillMode::Entries),
    ] {
        let host = Host::new();
        host.fail(Call::PlaceOrder, When::After, error(ErrorClass::Unknown));
        host.exchange.borrow_mut().manners.look_up_lag_ms = i64::MAX / 4;
        host.accept(REST);
        host.settle_within(5 * MINUTE);
        host.exchange.borrow_mut().manners.look_up_lag_ms = 0;
        host.fail(Call::LookUp, When::Before, error(class));
        host.set_kill(mode, 2);
        let before = host.count(Call::LookUp);
        host.settle_within(MINUTE);
        let asked: Vec<i64> = host
            .log
            .borrow()
            .iter()
            .filter(|(call, _)| *call == Call::LookUp)
            .map(|(_, at)| *at)
            .collect();
        assert!(asked[before + 1] - asked[before] < 1_000, "{class:?}");
    }
}

#[test]
fn a_ledger_that_hears_of_the_switch_for_the_first_time_closes_positions_as_well() {
    let host = Host::unconfigured();
    let now = host.now();
    host.exchange.borrow_mut().set_held(now, "BTCUSDT", "1");
    let report = host.flatten(5);
    assert!(report.engaged && report.flattening);
    host.settle();
    assert!(host.exchange.borrow().held("BTCUSDT").is_zero());
}

#[test]
fn the_switch_off_again_stops_closing() {
    let host = Host::new();
    host.exchange
        .borrow_mut()
        .set_held(host.now(), "BTCUSDT", "1");
    host.flatten(2);
    host.set_kill(KillMode::Off, 3);
    host.settle();
    assert_eq!(host.count(Call::PlaceOrder), 0);
}

#[test]
fn what_a_later_change_keeps_is_closed_by_a_ledger_that_missed_the_first_and_not_closed_again() {
    let hold = |host: &Host| {
        host.exchange
            .borrow_mut()
            .set_held(host.now(), "BTCUSDT", "1");
    };
    for later in [KillMode::Entries, KillMode::All] {
        let host = Host::new();
        hold(&host);
        // Revision 2 asked for it and did not get here.
        assert!(host.keeps_flatten(later, 3, 2).flattening);
        host.settle_within(10 * MINUTE);
        if later == KillMode::All {
            assert_eq!(host.count(Call::PlaceOrder), 0);
            host.keeps_flatten(KillMode::Entries, 4, 2);
            host.settle_within(10 * MINUTE);
        }
        assert_eq!(host.count(Call::PlaceOrder), 1, "{later:?}");
        assert!(!host.report().flattening);
        // It is done. What is held from then on it leaves alone, until it is asked for anew.
        hold(&host);
        assert!(!host.keeps_flatten(KillMode::Entries, 5, 2).flattening);
        host.settle_within(10 * MINUTE);
        assert_eq!(host.count(Call::PlaceOrder), 1, "{later:?}");
        assert!(host.flatten(6).flattening);
        host.settle_within(10 * MINUTE);
        assert_eq!(host.count(Call::PlaceOrder), 2, "{later:?}");
    }
}
