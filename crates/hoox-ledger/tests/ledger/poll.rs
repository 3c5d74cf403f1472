//! Orders that rest are followed by one list of the account, which writes nothing while nothing changes.

use hoox_exchange::{ErrorClass, VenueError};
use hoox_mesh::{KillMode, SignalStatus};
use hoox_model::SignalId;
use hoox_store::Value;

use crate::world::{Call, Host, MINUTE, When, error};

const HOUR: i64 = 60 * MINUTE;

fn alert(symbol: &str, action: &str, rest: &str) -> String {
    format!(r#"{{"symbol":"{symbol}","action":"{action}"{rest}}}"#)
}

/// An entry far from the price.
fn limit(host: &Host, symbol: &str, quantity: &str) -> SignalId {
    let rest = format!(r#","quantity":{quantity},"orderType":"limit","price":50"#);
    host.accept(&alert(symbol, "buy", &rest))
}

/// One entry in the book that is looked at once a minute.
fn resting() -> (Host, SignalId) {
    let host = Host::new();
    let id = limit(&host, "BTCUSDT", "5");
    host.settle_within(20 * MINUTE);
    assert_eq!(host.status(&id), SignalStatus::Acknowledged);
    (host, id)
}

/// An exit in the book.
fn resting_exit() -> (Host, SignalId) {
    let host = Host::new();
    host.accept(&alert("BTCUSDT", "LONG", r#","quantity":2"#));
    host.settle();
    let rest = r#","quantity":2,"orderType":"limit","price":150"#;
    let id = host.accept(&alert("BTCUSDT", "close", rest));
    host.settle_within(20 * MINUTE);
    assert_eq!(host.status(&id), SignalStatus::Acknowledged);
    (host, id)
}

fn recorded(host: &Host) -> String {
    let rows = host.sql("SELECT quantity FROM holding WHERE symbol = 'BTCUSDT'");
    match rows.first().and_then(|row| row.first()) {
        Some(Value::Text(held)) => held.clone(),
        other => panic!("{other:?}"),
    }
}

/// What a span of time costs.
#[derive(Debug, PartialEq, Eq)]
struct Cost {
    lists: usize,
    look_ups: usize,
    rows: i64,
    alarms: usize,
}

fn cost_of(host: &Host, span: i64) -> Cost {
    let before = (
        host.count(Call::OpenOrders),
        host.count(Call::LookUp),
        host.rows_written(),
        host.alarms_set(),
    );
    let counted = host.rows_counted();
    host.settle_within(span);
    // The count of the day's rows is stored every fifty.
    let counts = i64::from(host.rows_counted() != counted);
    Cost {
        lists: host.count(Call::OpenOrders) - before.0,
        look_ups: host.count(Call::LookUp) - before.1,
        rows: host.rows_written() - before.2 - counts,
        alarms: host.alarms_set() - before.3,
    }
}

#[test]
fn an_hour_costs_a_call_and_an_alarm_a_minute_however_many_orders_rest() {
    for orders in [1, 10, 60] {
        let host = Host::new();
        for number in 0..orders {
            limit(&host, &format!("S{number}USDT"), "1");
        }
        host.settle_within(20 * MINUTE);
        let statements = host.statements();
        let cost = cost_of(&host, HOUR);
        let expected = Cost {
            lists: 60,
            look_ups: 0,
            rows: 0,
            alarms: 60,
        };
        assert_eq!(cost, expected, "{orders} orders");
        let statements = host.statements() - statements;
        assert!(statements <= 60 * 11 + 40, "{statements}");
        assert_eq!(
            host.count(Call::LookUp),
            orders,
            "each was looked up once, when it came to rest"
        );
    }
}

#[test]
fn lists_become_rarer_with_the_age_of_the_youngest_order() {
    let host = Host::new();
    limit(&host, "BTCUSDT", "1");
    let began = host.now();
    host.settle_within(30 * MINUTE);
    let younger_than = |from: i64, until: i64| {
        let times = host.times(Call::OpenOrders);
        let ages = times.iter().map(|at| at - began);
        ages.filter(|age| (from..until).contains(age)).count()
    };
    assert_eq!(younger_than(0, 10_500), 9);
    assert_eq!(younger_than(10_500, 60_500), 11);
    assert_eq!(younger_than(60_500, 600_500), 36);
    assert_eq!(younger_than(600_500, 30 * MINUTE + 1), 20);
    // Another one that comes sets the pace of all.
    let before = host.count(Call::OpenOrders);
    limit(&host, "ETHUSDT", "1");
    host.settle_within(10_000);
    assert_eq!(host.count(Call::OpenOrders) - before, 10);
}

#[test]
fn what_fills_between_two_lists_is_looked_up_and_recorded() {
    let (host, id) = resting();
    let other = limit(&host, "ETHUSDT", "1");
    host.settle_within(20 * MINUTE);
    // One look-up hears of it and, while the order goes on resting, one comes after its fills are recorded.
    for (upto, status, looked_up) in [
        (1, SignalStatus::Acknowledged, 2),
        (3, SignalStatus::Acknowledged, 2),
        (5, SignalStatus::Filled, 1),
    ] {
        let look_ups = host.count(Call::LookUp);
        host.exchange.borrow_mut().fill_first(upto, host.now());
        host.settle_within(2 * MINUTE);
        assert_eq!(host.status(&id), status, "{upto}");
        assert_eq!(recorded(&host), upto.to_string());
        assert_eq!(host.count(Call::LookUp) - look_ups, looked_up, "{upto}");
        assert_eq!(host.status(&other), SignalStatus::Acknowledged);
        host.check_books();
    }
}

#[test]
fn what_is_cancelled_at_the_venue_ends() {
    for (host, id) in [resting(), resting_exit()] {
        let client = host.view(&id).orders[0].client_order_id.clone();
        host.exchange.borrow_mut().cancel(&client, host.now());
        host.settle_within(MINUTE + 1_000);
        let order = &host.view(&id).orders[0];
        assert_eq!(order.status, "cancelled");
        host.check_books();
    }
}

#[test]
fn an_order_that_one_list_leaves_out_is_looked_up_once() {
    for (host, id) in [resting(), resting_exit()] {
        let client = host.view(&id).orders[0].client_order_id.clone();
        host.exchange.borrow_mut().manners.unlisted = vec![client];
        let cost = cost_of(&host, MINUTE);
        assert_eq!((cost.lists, cost.look_ups), (1, 1));
        host.exchange.borrow_mut().manners.unlisted.clear();
        let cost = cost_of(&host, HOUR);
        assert_eq!((cost.lists, cost.look_ups, cost.rows), (60, 0, 0));
        assert_eq!(host.status(&id), SignalStatus::Acknowledged);
    }
}

#[test]
fn a_list_that_lags_takes_nothing_back() {
    let (host, id) = resting();
    host.exchange.borrow_mut().fill_first(2, host.now());
    host.settle_within(2 * MINUTE);
    assert_eq!(recorded(&host), "2");
    host.exchange.borrow_mut().manners.orders_lag_ms = 10 * MINUTE;
    let cost = cost_of(&host, 5 * MINUTE);
    assert_eq!((cost.look_ups, cost.rows), (0, 0));
    assert_eq!(recorded(&host), "2");
    assert_eq!(host.status(&id), SignalStatus::Acknowledged);
    // One that does not show a young order costs look-ups, and no more.
    let young = limit(&host, "ETHUSDT", "1");
    host.settle_within(20 * MINUTE);
    assert_eq!(host.status(&young), SignalStatus::Acknowledged);
    host.check_books();
}

/// Somebody buys 3, which the plan of another signal takes over into our record.
fn somebody_buys(host: &Host) {
    host.exchange
        .borrow_mut()
        .set_held(host.now(), "BTCUSDT", "3");
    let rest = r#","quantity":1,"orderType":"limit","price":40"#;
    host.accept(&alert("BTCUSDT", "buy", rest));
    host.settle_within(1_000);
    assert_eq!(recorded(host), "3");
}

/// No position is read from now on, which would put a wrong record right.
fn no_position(host: &Host) {
    for _ in 0..50 {
        host.fail(Call::Position, When::Before, error(ErrorClass::Unavailable));
    }
}

#[test]
fn what_others_traded_before_a_list_is_no_part_of_what_an_order_fills_after_it() {
    let (host, id) = resting();
    somebody_buys(&host);
    // The lists show that the order has not filled that. A new instance knows it only where it is stored.
    host.settle_within(2 * MINUTE);
    host.rows.forget();
    no_position(&host);
    host.exchange.borrow_mut().fill_first(2, host.now());
    host.settle_within(MINUTE);
    assert_eq!(host.status(&id), SignalStatus::Acknowledged);
    assert_eq!(host.exchange.borrow().held("BTCUSDT").to_string(), "5");
    assert_eq!(recorded(&host), "5");
}

#[test]
fn what_a_position_has_shown_of_a_fill_is_not_counted_twice() {
    let (host, id) = resting();
    // The order fills 2, and a position that is taken over shows it before any list does, which lag.
    host.exchange.borrow_mut().manners.orders_lag_ms = 15_000;
    host.exchange.borrow_mut().fill_first(2, host.now());
    let rest = r#","quantity":1,"orderType":"limit","price":40"#;
    host.accept(&alert("BTCUSDT", "buy", rest));
    host.settle_within(1_000);
    assert_eq!(recorded(&host), "2");
    no_position(&host);
    host.settle_within(MINUTE);
    let filled = &host.view(&id).orders[0].filled_quantity;
    assert_eq!(filled.to_string(), "2");
    assert_eq!(recorded(&host), "2");
    assert_eq!(host.exchange.borrow().held("BTCUSDT").to_string(), "2");
}

#[test]
fn that_an_order_was_seen_after_a_position_is_stored_once() {
    let (host, _) = resting();
    somebody_buys(&host);
    host.settle_within(20 * MINUTE);
    let cost = cost_of(&host, HOUR);
    assert_eq!((cost.look_ups, cost.rows), (0, 0));
}

#[test]
fn a_list_that_fails_is_asked_for_again_and_nothing_is_lost() {
    for class in [
        ErrorClass::Unavailable,
        ErrorClass::Unknown,
        ErrorClass::ClockSkew,
    ] {
        let (host, id) = resting();
        host.fail(Call::OpenOrders, When::Before, error(class));
        host.exchange.borrow_mut().fill_first(1, host.now());
        host.settle_within(2 * MINUTE + 1_000);
        assert_eq!(recorded(&host), "1", "{class:?}");
        assert_eq!(host.status(&id), SignalStatus::Acknowledged);
        host.check_books();
    }
}

#[test]
fn what_rests_outlives_an_outage() {
    for (host, id) in [resting(), resting_exit()] {
        for _ in 0..200 {
            host.fail(
                Call::OpenOrders,
                When::Before,
                error(ErrorClass::Unavailable),
            );
        }
        host.settle_within(HOUR);
        assert_eq!(host.status(&id), SignalStatus::Acknowledged);
        // The first call that comes through is answered, and the look-up after it not.
        let client = host.view(&id).orders[0].client_order_id.clone();
        host.faults.borrow_mut().script.clear();
        host.exchange.borrow_mut().manners.unlisted = vec![client];
        host.fail(Call::LookUp, When::Before, error(ErrorClass::Unavailable));
        host.settle_within(3 * MINUTE);
        assert_eq!(host.status(&id), SignalStatus::Acknowledged);
        host.check_books();
    }
}

#[test]
fn while_the_list_cannot_be_read_each_order_is_looked_up_by_itself() {
    let (host, id) = resting();
    for _ in 0..200 {
        let unreadable = VenueError::unreadable("the list is longer than ten pages");
        host.fail(Call::OpenOrders, When::Before, unreadable);
    }
    // The venue is left alone for a while now and then, because it fails.
    host.settle_within(10 * MINUTE);
    host.exchange.borrow_mut().fill_first(1, host.now());
    host.settle_within(3 * MINUTE);
    assert_eq!(recorded(&host), "1");
    assert_eq!(host.status(&id), SignalStatus::Acknowledged);
}

#[test]
fn a_pause_is_kept_but_for_one_list_a_minute_where_an_exit_rests() {
    for (paused, (host, id)) in [(0, resting()), (9, resting_exit())] {
        let pause = VenueError {
            retry_after_ms: Some(10 * MINUTE),
            ..error(ErrorClass::RateLimited)
        };
        host.fail(Call::OpenOrders, When::Before, pause);
        host.settle_within(MINUTE);
        let before = host.count(Call::OpenOrders);
        host.settle_within(9 * MINUTE - 1_000);
        let lists = host.count(Call::OpenOrders) - before;
        assert_eq!(lists, paused);
        host.settle_within(2 * MINUTE);
        assert!(host.count(Call::OpenOrders) > before + lists);
        assert_eq!(host.status(&id), SignalStatus::Acknowledged);
    }
}

#[test]
fn a_ban_is_kept() {
    let (host, id) = resting();
    let ban = VenueError {
        retry_after_ms: Some(10 * MINUTE),
        ..error(ErrorClass::Banned)
    };
    host.fail(Call::OpenOrders, When::Before, ban);
    host.settle_within(MINUTE);
    let before = host.calls();
    host.settle_within(9 * MINUTE);
    assert_eq!(host.venue_calls_since(before), 0);
    host.settle_within(3 * MINUTE);
    assert!(host.venue_calls_since(before) > 0);
    assert_eq!(host.status(&id), SignalStatus::Acknowledged);
}

#[test]
fn the_switch_and_exits_do_not_wait_for_a_list() {
    let (host, id) = resting();
    host.set_kill(KillMode::Entries, 2);
    host.settle_within(1_000);
    assert_eq!(host.status(&id), SignalStatus::Cancelled);
    for (action, (host, id)) in [
        ("cancel", resting()),
        ("cancel", resting_exit()),
        ("close", resting_exit()),
    ] {
        host.accept(&alert("BTCUSDT", action, ""));
        host.settle_within(3_000);
        let view = host.view(&id);
        assert_eq!(view.orders[0].status, "cancelled", "{action}: {view:?}");
    }
}

#[test]
fn a_new_instance_asks_for_the_list_at_once() {
    let (host, _) = resting();
    let before = host.count(Call::OpenOrders);
    let ledger = host.ledger();
    host.drive_on(&ledger).unwrap().unwrap();
    assert_eq!(host.count(Call::OpenOrders), before + 1);
    host.drive_on(&ledger).unwrap().unwrap();
    assert_eq!(host.count(Call::OpenOrders), before + 1);
}

#[test]
fn an_instance_that_dies_in_a_list_loses_nothing() {
    for when in [When::Before, When::After] {
        let (host, id) = resting();
        host.exchange.borrow_mut().fill_first(1, host.now());
        host.faults.borrow_mut().crash_at = vec![(host.calls(), when)];
        host.settle_within(2 * MINUTE);
        assert_eq!(recorded(&host), "1");
        assert_eq!(host.status(&id), SignalStatus::Acknowledged);
        host.check_books();
    }
}

#[test]
fn storage_that_fails_under_a_list_is_tried_again() {
    for when in [When::Before, When::After] {
        let (host, _) = resting();
        host.exchange.borrow_mut().fill_first(1, host.now());
        let next = host.transactions();
        host.faults.borrow_mut().store_at = (next..next + 3).map(|at| (at, when)).collect();
        host.settle_within(3 * MINUTE);
        assert_eq!(recorded(&host), "1");
        host.check_books();
    }
}

#[test]
fn a_row_that_cannot_be_read_keeps_no_other_order_from_being_followed() {
    let (host, _) = resting();
    let broken = limit(&host, "ETHUSDT", "1");
    host.settle_within(20 * MINUTE);
    host.sql(&format!(
        "UPDATE orders SET data = '{{' WHERE signal_id = '{broken}'"
    ));
    host.exchange.borrow_mut().fill_first(1, host.now());
    host.settle_within(2 * MINUTE);
    assert_eq!(recorded(&host), "1");
}

#[test]
fn without_the_venue_what_rests_is_asked_for_later() {
    let (host, id) = resting();
    let missing = hoox_mesh::Problem::new(hoox_model::Code::NotConfigured, "a key is missing");
    *host.no_venue.borrow_mut() = Some(missing);
    let cost = cost_of(&host, HOUR);
    assert_eq!((cost.lists, cost.rows), (0, 0));
    assert!(cost.alarms <= 61, "{cost:?}");
    *host.no_venue.borrow_mut() = None;
    host.exchange.borrow_mut().fill_first(1, host.now());
    host.settle_within(2 * MINUTE);
    assert_eq!(recorded(&host), "1");
    assert_eq!(host.status(&id), SignalStatus::Acknowledged);
}
