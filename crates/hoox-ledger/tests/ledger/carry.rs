//! From journal to records: the outcomes that need no luck.

use core::future::Future;
use core::pin::pin;
use core::task::{Context, Waker};

use hoox_exchange::{ErrorClass, VenueError};
use hoox_ledger::Ledger;
use hoox_mesh::{KillMode, Problem, SignalStatus};
use hoox_model::{Code, Decimal, Side};
use hoox_store::{Record, Value};

use crate::world::{Call, Host, MINUTE, When, error};

fn alert(symbol: &str, action: &str, rest: &str) -> String {
    format!(r#"{{"symbol":"{symbol}","action":"{action}"{rest}}}"#)
}

fn btc(action: &str, rest: &str) -> String {
    alert("BTCUSDT", action, rest)
}

fn decimal(text: &str) -> Decimal {
    text.parse().unwrap()
}

fn held(host: &Host) -> Decimal {
    host.exchange.borrow().held("BTCUSDT")
}

/// Side, size and reduce-only of every order the exchange took.
fn orders(host: &Host) -> Vec<(Side, String, bool)> {
    let exchange = host.exchange.borrow();
    exchange
        .orders
        .iter()
        .map(|order| {
            let spec = &order.spec;
            (spec.side, spec.quantity.to_string(), spec.effect.closes())
        })
        .collect()
}

fn order(side: Side, quantity: &str, reduce_only: bool) -> (Side, String, bool) {
    (side, quantity.to_owned(), reduce_only)
}

#[test]
fn an_alert_becomes_one_order_and_its_records() {
    let host = Host::new();
    let id = host.accept(&btc("LONG", r#","quantity":"0.25""#));
    let driven = host.drive();
    assert_eq!(driven.next, None);
    let view = host.view(&id);
    assert_eq!((view.status, view.code), (SignalStatus::Filled, None));
    assert_eq!(view.orders[0].status, "filled");
    assert_eq!(orders(&host), [order(Side::Buy, "0.25", false)]);
    let kinds: Vec<_> = host
        .latest()
        .iter()
        .map(|record| record.key().split(':').next().unwrap().to_owned())
        .collect();
    assert_eq!(kinds, ["fill", "order", "position", "signal"]);
    host.check_books();
}

#[test]
fn a_resting_order_is_acknowledged_in_the_records_too() {
    let host = Host::new();
    let rest = r#","quantity":1,"orderType":"limit","price":90"#;
    host.rests(&btc("buy", rest));
    host.check_books();
}

#[test]
fn a_position_that_was_long_on_its_way_is_as_old_as_its_question() {
    let host = Host::new();
    host.accept(&btc("LONG", r#","quantity":2"#));
    host.settle();
    host.exchange.borrow_mut().manners.position_lag_ms = 4_000;
    let asked = host.count(Call::Position);
    let close = host.accept(&btc("close", ""));
    let slow = Ledger::attach(host.clone());
    let mut run = pin!(slow.drive());
    let mut context = Context::from_waker(Waker::noop());
    while host.count(Call::Position) == asked {
        assert!(run.as_mut().poll(&mut context).is_pending());
    }
    // The answer, flat, comes when the fill is older than a position may lag.
    host.advance(6_000);
    while run.as_mut().poll(&mut context).is_pending() {}
    host.settle();
    assert_eq!(host.status(&close), SignalStatus::Filled);
    assert!(held(&host).is_zero());
    host.check_books();
}

#[test]
fn a_fill_that_the_venue_shows_first_is_counted_once() {
    // The entry's position is recorded while the flip's close has filled and its look-ups fail; what the
    // flip opens rests.
    let host = Host::new();
    host.exchange.borrow_mut().manners.fills_lag_ms = 8_000;
    host.accept(&btc("LONG", r#","quantity":2"#));
    host.pass(Call::LookUp);
    for _ in 0..20 {
        host.fail(Call::LookUp, When::Before, error(ErrorClass::Rejected));
    }
    host.accept(&btc(
        "SHORT",
        r#","quantity":1,"orderType":"limit","price":110,"maxLag":600"#,
    ));
    host.settle_within(5 * MINUTE);
    assert!(held(&host).is_zero());
    let holding = host.sql("SELECT quantity FROM holding");
    assert_eq!(holding, [[Value::Text("0".to_owned())]]);
}

#[test]
fn what_a_resting_order_fills_is_recorded_while_it_rests() {
    let host = Host::new();
    let rest = r#","quantity":5,"orderType":"limit","price":90"#;
    let id = host.rests(&btc("buy", rest));
    for filled in [2, 3] {
        host.exchange.borrow_mut().fill_resting(filled, host.now());
        host.settle_within(2 * MINUTE);
        assert_eq!(host.status(&id), SignalStatus::Acknowledged);
        let holding = host.sql("SELECT quantity FROM holding");
        assert_eq!(holding, [[Value::Text(filled.to_string())]]);
        host.check_books();
    }
    // One call each for what was filled; the look-ups in between ask for nothing more.
    assert_eq!(host.count(Call::Fills), 2);
    assert_eq!(host.count(Call::Position), 3);
    host.set_kill(KillMode::Entries, 2);
    host.settle();
    assert_eq!(host.status(&id), SignalStatus::PartlyFilled);
    host.check_books();
}

#[test]
fn a_position_is_recorded_late_rather_than_wrong() {
    let host = Host::new();
    host.exchange.borrow_mut().manners.position_lag_ms = 8_000;
    host.accept(&btc("LONG", r#","quantity":1"#));
    host.settle();
    let holding = host.sql("SELECT quantity FROM holding");
    assert_eq!(holding, [[Value::Text("1".to_owned())]]);
    host.check_books();
}

#[test]
fn a_position_is_recorded_once_nothing_moves_that_it_may_hold_already() {
    // A close is planned from a position that holds what the resting entry has filled, and ends at the
    // venue without a fill of its own.
    let host = Host::new();
    let rest = r#","quantity":2,"orderType":"limit","price":90"#;
    host.accept(&btc("buy", rest));
    host.settle_within(2_000);
    host.exchange.borrow_mut().fill_resting(2, host.now());
    for _ in 0..40 {
        host.fail(Call::PlaceOrder, When::Before, error(ErrorClass::Unknown));
    }
    host.exchange.borrow_mut().manners.unique_ids = false;
    host.accept(&btc("close", ""));
    host.settle_within(29 * MINUTE);
    assert_eq!(held(&host).to_string(), "2");
    let holding = host.sql("SELECT quantity FROM holding");
    assert_eq!(holding, [[Value::Text("2".to_owned())]]);
    host.check_books();
}

#[test]
fn recording_puts_a_clock_right_that_is_off() {
    for call in [Call::Fills, Call::Position] {
        let host = Host::new();
        if call == Call::Position {
            host.pass(call);
        }
        host.fail(call, When::Before, error(ErrorClass::ClockSkew));
        host.true_offset.set(40_000);
        host.accept(&btc("LONG", r#","quantity":1"#));
        host.settle_within(MINUTE);
        assert_eq!(host.count(Call::SyncClock), 1, "{call:?}");
        assert_eq!(host.offset_seen.get(), 40_000);
        host.check_books();
    }
}

#[test]
fn revisions_of_a_record_rise() {
    let host = Host::new();
    host.accept(&btc("LONG", r#","quantity":1"#));
    // Every call is followed by a delivery of its own when time stands between them.
    for _ in 0..50 {
        host.drive();
        host.advance(100);
    }
    let mut last = std::collections::BTreeMap::new();
    for row in host.records.borrow().iter() {
        let revision = row.revision.get();
        let before = last.insert(row.record.key(), revision);
        let fill = matches!(row.record, Record::Fill(_));
        assert!(
            before.is_none_or(|before| before < revision || fill),
            "{row:?}"
        );
    }
}

#[test]
fn a_flip_closes_waits_for_the_fill_and_opens() {
    let host = Host::new();
    host.accept(&btc("LONG", r#","quantity":2"#));
    host.settle();
    host.exchange.borrow_mut().manners.fill_delay_ms = 3_000;
    host.accept(&btc("SHORT", r#","quantity":1"#));
    host.drive();
    assert_eq!(
        orders(&host).len(),
        2,
        "only the closing leg is out before it is filled"
    );
    host.settle();
    assert_eq!(
        orders(&host)[1..],
        [order(Side::Sell, "2", true), order(Side::Sell, "1", false)]
    );
    assert_eq!(held(&host), decimal("-1"));
    host.check_books();
}

#[test]
fn a_closing_leg_that_fills_in_part_is_closed_further_before_anything_opens() {
    let host = Host::new();
    host.accept(&btc("LONG", r#","quantity":2"#));
    host.settle();
    host.exchange.borrow_mut().manners.next_fills = vec![40, 25];
    let flip = host.accept(&btc("SHORT", r#","quantity":1"#));
    host.settle();
    assert_eq!(
        orders(&host)[1..],
        [
            order(Side::Sell, "2", true),
            order(Side::Sell, "1.2", true),
            order(Side::Sell, "0.9", true),
            order(Side::Sell, "1", false)
        ]
    );
    assert_eq!(host.status(&flip), SignalStatus::Filled);
    assert_eq!(held(&host), decimal("-1"));
    host.check_books();
}

#[test]
fn a_reverse_that_closes_in_parts_opens_as_much_as_it_had_at_first() {
    let host = Host::new();
    host.accept(&btc("LONG", r#","quantity":2"#));
    host.settle();
    host.exchange.borrow_mut().manners.next_fills = vec![40];
    host.accept(&btc("reverse", ""));
    host.settle();
    assert_eq!(held(&host), decimal("-2"));
    host.check_books();
}

#[test]
fn a_closing_leg_that_never_fills_ends_and_opens_nothing() {
    let host = Host::new();
    host.accept(&btc("LONG", r#","quantity":2"#));
    host.settle();
    host.exchange.borrow_mut().manners.refuse_late = 100;
    let flip = host.accept(&btc("SHORT", r#","quantity":1"#));
    host.settle();
    assert_eq!(
        (host.status(&flip), host.code(&flip)),
        (SignalStatus::Refused, Some(Code::ExitUndone))
    );
    assert!(
        orders(&host)[1..]
            .iter()
            .all(|(_, _, reduce_only)| *reduce_only)
    );
    assert!(orders(&host).len() < 80, "tries are bounded");
    assert_eq!(held(&host), decimal("2"));
    host.check_books();
}

#[test]
fn a_close_that_finds_the_position_gone_lets_the_flip_open() {
    let host = Host::new();
    host.accept(&btc("LONG", r#","quantity":2"#));
    host.settle();
    // So long that what the venue shows counts, and not our own fill.
    host.advance(MINUTE);
    // A stop closes the position between the plan and the send.
    host.fail(
        Call::PlaceOrder,
        When::Before,
        error(ErrorClass::RateLimited),
    );
    let flip = host.accept(&btc("SHORT", r#","quantity":1"#));
    host.drive();
    host.exchange
        .borrow_mut()
        .set_held(host.now(), "BTCUSDT", "0");
    host.settle();
    let view = host.view(&flip);
    assert_eq!(view.orders[0].status, "rejected", "{view:?}");
    assert_eq!(view.status, SignalStatus::Filled);
    assert_eq!(held(&host), decimal("-1"));
    host.check_books();
}

#[test]
fn nothing_to_close_is_a_success_in_every_mode_that_lets_exits_through() {
    let host = Host::new();
    let id = host.accept(&btc("CLOSE_LONG", ""));
    host.settle();
    assert_eq!(host.status(&id), SignalStatus::NothingToDo);
    host.set_kill(KillMode::Entries, 2);
    host.advance(MINUTE);
    let id = host.accept(&btc("CLOSE_LONG", ""));
    host.settle();
    assert_eq!(host.status(&id), SignalStatus::NothingToDo);
}

#[test]
fn the_switch_engaged_between_plan_and_send_stops_the_entry() {
    for mode in [KillMode::Entries, KillMode::All] {
        let host = Host::new();
        let id = host.accept(&btc("LONG", r#","quantity":1,"leverage":5"#));
        host.fail(
            Call::SetLeverage,
            When::Before,
            error(ErrorClass::Unavailable),
        );
        host.drive();
        host.set_kill(mode, 2);
        host.settle();
        assert_eq!(
            (host.status(&id), host.code(&id)),
            (SignalStatus::Refused, Some(Code::KillSwitch))
        );
        assert_eq!(host.count(Call::PlaceOrder), 0);
    }
}

#[test]
fn the_switch_engaged_after_the_plan_is_stored_stops_the_send() {
    let host = Host::new();
    let id = host.accept(&btc("LONG", r#","quantity":1"#));
    host.fail(
        Call::PlaceOrder,
        When::Before,
        error(ErrorClass::RateLimited),
    );
    host.drive();
    assert_eq!(host.count(Call::PlaceOrder), 1);
    host.set_kill(KillMode::Entries, 2);
    host.settle();
    assert_eq!(host.count(Call::PlaceOrder), 1, "it was not sent again");
    assert_eq!(
        (host.status(&id), host.code(&id)),
        (SignalStatus::Refused, Some(Code::KillSwitch))
    );
    host.check_books();
}

#[test]
fn the_switch_engaged_in_the_middle_of_a_flip_leaves_it_flat() {
    let host = Host::new();
    host.accept(&btc("LONG", r#","quantity":2"#));
    host.settle();
    host.exchange.borrow_mut().manners.fill_delay_ms = 3_000;
    let flip = host.accept(&btc("SHORT", r#","quantity":1"#));
    host.drive();
    assert_eq!(
        host.set_kill_reporting(KillMode::Entries, 2),
        0,
        "the close is acknowledged"
    );
    host.settle();
    assert_eq!(
        (host.status(&flip), host.code(&flip)),
        (SignalStatus::PartlyFilled, Some(Code::KillSwitch))
    );
    assert!(held(&host).is_zero());
    host.check_books();
}

#[test]
fn an_entry_that_waited_too_long_is_not_sent_and_a_close_lives_longer() {
    for (action, expected) in [
        ("LONG", SignalStatus::Refused),
        ("close", SignalStatus::Filled),
    ] {
        let host = Host::new();
        host.exchange
            .borrow_mut()
            .set_held(host.now(), "BTCUSDT", "1");
        let rest = if action == "LONG" {
            r#","quantity":1"#
        } else {
            ""
        };
        let id = host.accept(&btc(action, rest));
        host.advance(60_001);
        host.settle();
        assert_eq!(host.status(&id), expected, "{action}");
        let code = (action == "LONG").then_some(Code::Stale);
        assert_eq!(host.code(&id), code);
    }
    let host = Host::new();
    host.exchange
        .borrow_mut()
        .set_held(host.now(), "BTCUSDT", "1");
    let id = host.accept(&btc("close", ""));
    host.advance(600_001);
    host.settle();
    assert_eq!(
        (host.status(&id), host.code(&id)),
        (SignalStatus::Refused, Some(Code::Stale))
    );
    assert_eq!(host.count(Call::PlaceOrder), 0);
}

#[test]
fn a_flip_whose_close_fills_too_late_stays_flat_and_says_so() {
    let host = Host::new();
    host.exchange
        .borrow_mut()
        .set_held(host.now(), "BTCUSDT", "1");
    host.exchange.borrow_mut().manners.fill_delay_ms = 70_000;
    let flip = host.accept(&btc("SHORT", r#","quantity":1"#));
    host.settle();
    assert_eq!(
        (host.status(&flip), host.code(&flip)),
        (SignalStatus::PartlyFilled, Some(Code::Stale))
    );
    assert!(held(&host).is_zero());
    host.check_books();
}

#[test]
fn signals_of_a_symbol_run_in_order_of_arrival() {
    let host = Host::new();
    host.exchange.borrow_mut().manners.fill_delay_ms = 700;
    host.exchange.borrow_mut().manners.position_lag_ms = 1_500;
    host.accept(&btc("LONG", r#","quantity":1"#));
    host.accept(&btc("SHORT", r#","quantity":2"#));
    host.accept(&btc("LONG", r#","quantity":3"#));
    host.settle();
    host.accept(&btc("close", ""));
    host.settle();
    assert_eq!(
        orders(&host),
        [
            order(Side::Buy, "1", false),
            order(Side::Sell, "1", true),
            order(Side::Sell, "2", false),
            order(Side::Buy, "2", true),
            order(Side::Buy, "3", false),
            order(Side::Sell, "3", true),
        ]
    );
    assert!(held(&host).is_zero());
    host.check_books();
}

#[test]
fn a_resting_order_does_not_hold_up_later_signals() {
    let host = Host::new();
    let limit = host.accept(&btc(
        "buy",
        r#","quantity":1,"orderType":"limit","price":90"#,
    ));
    host.drive();
    let view = host.view(&limit);
    assert_eq!(view.status, SignalStatus::Acknowledged);
    let ledger = Ledger::attach(host.clone());
    assert!(
        ledger.view(&limit).unwrap().unwrap().1,
        "nobody needs to wait for it"
    );
    let market = host.accept(&btc("LONG", r#","quantity":2"#));
    host.drive();
    assert_eq!(host.status(&market), SignalStatus::Filled);
    // It fills hours later.
    host.settle_within(3 * 60 * MINUTE);
    assert_eq!(host.status(&limit), SignalStatus::Acknowledged);
    host.exchange.borrow_mut().manners.price = 89;
    host.settle();
    assert_eq!(host.status(&limit), SignalStatus::Filled);
    assert_eq!(held(&host), decimal("3"));
    host.check_books();
}

#[test]
fn a_resting_order_is_not_given_up_because_the_venue_falters_once() {
    let host = Host::new();
    let limit = host.accept(&btc(
        "buy",
        r#","quantity":1,"orderType":"limit","price":90"#,
    ));
    host.settle_within(60 * MINUTE);
    for call in [Call::OpenOrders, Call::LookUp] {
        host.fail(call, When::Before, error(ErrorClass::Unavailable));
    }
    host.settle_within(5 * MINUTE);
    let lags = |lag_ms| {
        let manners = &mut host.exchange.borrow_mut().manners;
        (manners.look_up_lag_ms, manners.orders_lag_ms) = (lag_ms, lag_ms);
    };
    lags(i64::MAX / 4);
    host.settle_within(5 * MINUTE);
    assert_eq!(host.status(&limit), SignalStatus::Acknowledged);
    lags(0);
    host.settle_within(2 * MINUTE);
    lags(i64::MAX / 4);
    host.settle_within(9 * MINUTE);
    assert_eq!(host.status(&limit), SignalStatus::Acknowledged);
    host.settle_within(3 * MINUTE);
    assert_eq!(
        host.status(&limit),
        SignalStatus::Unknown,
        "ten minutes out of sight are too many"
    );
}

#[test]
fn polling_a_resting_order_writes_no_records() {
    let host = Host::new();
    host.accept(&btc(
        "buy",
        r#","quantity":1,"orderType":"limit","price":90"#,
    ));
    host.settle_within(20 * MINUTE);
    let (records, calls) = (host.records.borrow().len(), host.calls());
    host.settle_within(60 * MINUTE);
    assert_eq!(host.records.borrow().len(), records);
    assert_eq!(host.calls() - calls, 60, "once a minute");
}

#[test]
fn symbols_run_side_by_side_four_at_most() {
    let host = Host::new();
    for symbol in ["AAUSDT", "BBUSDT", "CCUSDT", "DDUSDT", "EEUSDT", "FFUSDT"] {
        host.accept(&alert(symbol, "LONG", r#","quantity":1"#));
    }
    host.drive();
    assert_eq!(host.exchange.borrow().orders.len(), 6);
    assert_eq!(host.most_in_flight.get(), 4);
    host.settle();
    host.check_books();
}

#[test]
fn a_symbol_in_doubt_does_not_hold_up_another() {
    let host = Host::new();
    host.exchange.borrow_mut().manners.look_up_lag_ms = 120_000;
    host.fail(Call::PlaceOrder, When::After, error(ErrorClass::Unknown));
    let stuck = host.accept(&alert("AAUSDT", "LONG", r#","quantity":1"#));
    host.drive();
    host.exchange.borrow_mut().manners.look_up_lag_ms = 0;
    let free = host.accept(&alert("BBUSDT", "LONG", r#","quantity":1"#));
    let waiting = host.accept(&alert("AAUSDT", "close", ""));
    host.exchange.borrow_mut().manners.look_up_lag_ms = 120_000;
    host.advance(1);
    host.drive();
    assert_eq!(host.status(&stuck), SignalStatus::Sending);
    assert_ne!(host.status(&free), SignalStatus::Received);
    assert_ne!(
        host.status(&waiting),
        SignalStatus::Received,
        "an exit does not wait for an entry in doubt"
    );
    host.settle();
    host.check_books();
}

#[test]
fn a_clock_that_is_off_is_put_right_and_the_same_order_goes_out() {
    let host = Host::new();
    host.true_offset.set(2_500);
    let id = host.accept(&btc("LONG", r#","quantity":1"#));
    host.fail(Call::PlaceOrder, When::Before, error(ErrorClass::ClockSkew));
    host.drive();
    assert_eq!(host.status(&id), SignalStatus::Filled);
    assert_eq!(
        (host.count(Call::SyncClock), host.count(Call::PlaceOrder)),
        (1, 2)
    );
    assert_eq!(host.offset_seen.get(), 2_500, "the offset is kept");
    assert_eq!(host.exchange.borrow().orders.len(), 1);
    host.check_books();
}

#[test]
fn a_clock_that_stays_off_ends_in_a_rejection_in_time() {
    let host = Host::new();
    let id = host.accept(&btc("LONG", r#","quantity":1"#));
    for _ in 0..200 {
        host.fail(Call::PlaceOrder, When::Before, error(ErrorClass::ClockSkew));
    }
    host.settle();
    assert_eq!(
        (host.status(&id), host.code(&id)),
        (SignalStatus::Rejected, Some(Code::Unavailable))
    );
    assert!(host.now() <= crate::world::START + 61_000);
    assert!(host.count(Call::PlaceOrder) < 50);
    host.check_books();
}

#[test]
fn a_busy_venue_is_asked_again_when_it_says_and_the_rejection_counts() {
    let host = Host::new();
    let id = host.accept(&btc("LONG", r#","quantity":1"#));
    let mut busy = error(ErrorClass::RateLimited);
    busy.retry_after_ms = Some(5_000);
    host.fail(Call::PlaceOrder, When::Before, busy);
    host.fail(Call::PlaceOrder, When::Before, error(ErrorClass::Rejected));
    host.settle();
    let sent: Vec<_> = {
        let log = host.log.borrow();
        log.iter()
            .filter(|(call, _)| *call == Call::PlaceOrder)
            .map(|(_, at)| *at)
            .collect()
    };
    assert_eq!(sent.len(), 2);
    assert!(sent[1] - sent[0] >= 5_000);
    assert_eq!(
        (host.status(&id), host.code(&id)),
        (SignalStatus::Rejected, Some(Code::Rejected))
    );
    assert_eq!(
        host.count(Call::LookUp),
        0,
        "the busy answer leaves no doubt"
    );
    host.check_books();
}

#[test]
fn a_venue_that_is_away_before_the_plan_is_asked_again_while_the_signal_is_fresh() {
    let host = Host::new();
    let id = host.accept(&btc("LONG", r#","quantity":1"#));
    for call in [Call::Instrument, Call::Position] {
        host.fail(call, When::Before, error(ErrorClass::Unknown));
        host.fail(call, When::Before, error(ErrorClass::Unavailable));
    }
    host.settle();
    assert_eq!(host.status(&id), SignalStatus::Filled);

    let host = Host::new();
    let id = host.accept(&btc("LONG", r#","quantity":1"#));
    for _ in 0..200 {
        host.fail(
            Call::Instrument,
            When::Before,
            error(ErrorClass::Unavailable),
        );
    }
    host.settle();
    assert_eq!(
        (host.status(&id), host.code(&id)),
        (SignalStatus::Refused, Some(Code::Unavailable))
    );
}

#[test]
fn final_words_of_the_venue_end_the_signal_with_their_code() {
    for (class, code) in [
        (ErrorClass::UnknownSymbol, Code::UnknownSymbol),
        (ErrorClass::Location, Code::Location),
        (ErrorClass::Credentials, Code::Credentials),
    ] {
        let host = Host::new();
        let id = host.accept(&btc("LONG", r#","quantity":1"#));
        host.fail(Call::Position, When::Before, error(class));
        host.settle();
        assert_eq!(
            (host.status(&id), host.code(&id)),
            (SignalStatus::Refused, Some(code))
        );
    }
}

const PEPE: &str = r#"{"symbol":"PEPEUSDT","action":"LONG","quantity":1}"#;

/// What a venue answers about a symbol that it does not list.
fn unlisted(host: &Host) {
    host.fail(
        Call::Instrument,
        When::Before,
        error(ErrorClass::UnknownSymbol),
    );
    host.fail(Call::Position, When::Before, error(ErrorClass::Rejected));
}

#[test]
fn a_symbol_that_is_not_listed_is_named_with_what_is_near_it() {
    let host = Host::new();
    for action in ["LONG", "buy", "close", "CLOSE_SHORT", "reverse"] {
        let id = host.accept(&PEPE.replace("LONG", action));
        unlisted(&host);
        host.settle();
        assert_eq!(
            (host.status(&id), host.code(&id)),
            (SignalStatus::Refused, Some(Code::UnknownSymbol)),
            "{action}"
        );
        assert_eq!(
            host.view(&id).message.as_deref(),
            Some(
                "bybit lists no linear perpetual PEPEUSDT (near it: 1000PEPEUSDT); write \"symbol\": \"1000PEPEUSDT.P\", which counts 1000 coins as one in quantity and price"
            )
        );
    }
    assert_eq!(
        [Call::Instrument, Call::Symbols].map(|call| host.count(call)),
        [5, 5],
        "the list is read once for each, and only then"
    );
}

/// The refusal of an unknown symbol never hangs on the list, whatever becomes of that call.
#[test]
fn without_the_list_the_refusal_names_the_symbol_all_the_same() {
    for class in [
        ErrorClass::Unknown,
        ErrorClass::Unavailable,
        ErrorClass::Location,
        ErrorClass::RateLimited,
        ErrorClass::Banned,
    ] {
        let host = Host::new();
        let id = host.accept(PEPE);
        unlisted(&host);
        host.fail(Call::Symbols, When::Before, error(class));
        host.settle();
        assert_eq!(
            (host.status(&id), host.code(&id)),
            (SignalStatus::Refused, Some(Code::UnknownSymbol)),
            "{class}"
        );
        assert_eq!(
            host.view(&id).message.as_deref(),
            Some(
                "bybit lists no linear perpetual PEPEUSDT (unknown_symbol (TEST)); look up at bybit how it is written there, such as BTCUSDT.P"
            )
        );
        // What the venue says of its limits is heeded, and a list that fails otherwise means nothing.
        let limits = matches!(class, ErrorClass::RateLimited | ErrorClass::Banned);
        let health = host.ledger().health().unwrap().unwrap();
        assert_eq!(health.venue_paused_until.is_some(), limits, "{class}");
    }
}

#[test]
fn leverage_is_set_only_when_it_differs_and_its_failure_stops_the_entry() {
    let host = Host::new();
    let body = btc("LONG", r#","quantity":1,"leverage":5"#);
    host.accept(&body);
    host.settle();
    host.advance(MINUTE);
    host.accept(&body);
    host.settle();
    assert_eq!(host.exchange.borrow().leverage_calls, 1);
    host.accept(&btc("CLOSE_LONG", r#","leverage":7"#));
    host.settle();
    assert_eq!(
        host.exchange.borrow().leverage_calls,
        1,
        "a close needs none"
    );
    let id = host.accept(&btc("LONG", r#","quantity":1,"leverage":10"#));
    host.fail(Call::SetLeverage, When::Before, error(ErrorClass::Rejected));
    host.settle();
    assert_eq!(
        (host.status(&id), host.code(&id)),
        (SignalStatus::Refused, Some(Code::Rejected))
    );
    assert!(held(&host).is_zero());
    host.check_books();
}

#[test]
fn a_dry_run_plans_and_sends_nothing() {
    let host = Host::new();
    host.exchange
        .borrow_mut()
        .set_held(host.now(), "BTCUSDT", "2");
    let id = host.accept(&btc("SHORT", r#","quantity":1,"leverage":5,"dryRun":true"#));
    host.settle();
    let view = host.view(&id);
    assert_eq!(view.status, SignalStatus::DryRun);
    let legs: Vec<_> = view
        .orders
        .iter()
        .map(|leg| {
            (
                leg.side,
                leg.quantity.to_string(),
                leg.reduce_only,
                leg.status.as_str(),
            )
        })
        .collect();
    assert_eq!(
        legs,
        [
            (Side::Sell, "2".to_owned(), true, "not_sent"),
            (Side::Sell, "1".to_owned(), false, "not_sent")
        ]
    );
    assert_eq!(
        (host.count(Call::PlaceOrder), host.count(Call::SetLeverage)),
        (0, 0)
    );
    assert_eq!(held(&host), decimal("2"));
}

#[test]
fn a_quote_size_becomes_a_quantity_rounded_down() {
    let host = Host::new();
    host.exchange.borrow_mut().manners.price = 30_000;
    host.accept(&btc("LONG", r#","quantity":100,"quantityType":"quote""#));
    host.settle();
    assert_eq!(orders(&host), [order(Side::Buy, "0.003", false)]);
}

#[test]
fn records_that_fail_are_delivered_later_and_none_is_lost() {
    for when in [When::Before, When::After] {
        let host = Host::new();
        for _ in 0..12 {
            host.fail(Call::Deliver, when, error(ErrorClass::Unavailable));
        }
        let id = host.accept(&btc("LONG", r#","quantity":1"#));
        host.drive();
        assert_eq!(
            host.status(&id),
            SignalStatus::Filled,
            "records hold up no trade"
        );
        host.settle();
        assert_eq!(host.count(Call::Deliver), 13);
        host.check_books();
    }
}

#[test]
fn runs_side_by_side_deliver_each_record_once() {
    let host = Host::new();
    *host.no_venue.borrow_mut() = Some(Problem::new(Code::NotConfigured, "no keys"));
    for quantity in 1..=3 {
        host.accept(&btc("LONG", &format!(r#","quantity":{quantity}"#)));
    }
    host.interleave(1);
    assert_eq!(host.records.borrow().len(), 3);
    assert_eq!(host.count(Call::Deliver), 1);
}

#[test]
fn fills_and_position_are_recorded_although_the_venue_is_away_for_an_hour() {
    let host = Host::new();
    host.accept(&btc("LONG", r#","quantity":1"#));
    for _ in 0..40 {
        host.fail(Call::Fills, When::Before, error(ErrorClass::Unavailable));
        host.pass(Call::Position);
        host.fail(Call::Position, When::Before, error(ErrorClass::Unavailable));
    }
    host.exchange.borrow_mut().manners.fills_lag_ms = 2_000;
    host.settle_within(24 * 60 * MINUTE);
    assert_eq!(host.alarm(), None);
    host.check_books();
}

#[test]
fn a_position_that_lags_behind_our_fills_is_waited_for() {
    let host = Host::new();
    host.exchange.borrow_mut().manners.position_lag_ms = 2_000;
    host.accept(&btc("LONG", r#","quantity":1"#));
    host.drive();
    host.accept(&btc("close", ""));
    host.settle();
    assert!(held(&host).is_zero());
    assert_eq!(orders(&host)[1], order(Side::Sell, "1", true));
    host.check_books();
}

#[test]
fn a_row_that_cannot_be_read_stops_neither_the_others_nor_the_alarm() {
    let host = Host::new();
    let broken = host.accept(&btc("LONG", r#","quantity":1"#));
    let behind = host.accept(&btc("LONG", r#","quantity":2"#));
    let beside = host.accept(&alert("ETHUSDT", "LONG", r#","quantity":1"#));
    host.sql(&format!(
        "UPDATE signal SET data = '{{}}' WHERE id = '{broken}'"
    ));
    let ledger = Ledger::attach(host.clone());
    assert!(
        host.drive_on(&ledger).unwrap().is_err(),
        "the error is told"
    );
    assert_eq!(host.status(&behind), SignalStatus::Filled);
    assert_eq!(host.status(&beside), SignalStatus::Filled);
    assert!(
        host.alarm().unwrap() >= host.now() + 60 * MINUTE,
        "it does not spin"
    );
    assert_eq!(
        host.sql(&format!("SELECT open FROM signal WHERE id = '{broken}'")),
        [[Value::Integer(1)]],
        "it stays visible"
    );
}

#[test]
fn a_record_that_cannot_be_read_does_not_hold_up_the_others() {
    let host = Host::new();
    host.sql("INSERT INTO outbox (key, revision, record) VALUES ('a', 1, '{}')");
    host.accept(&btc("LONG", r#","quantity":1"#));
    host.settle();
    host.check_books();
    assert_eq!(
        host.sql("SELECT key FROM outbox_refused"),
        [[Value::Text("a".to_owned())]]
    );
}

#[test]
fn an_account_without_keys_refuses_before_the_send_and_waits_after_it() {
    let problem = Problem::new(Code::NotConfigured, "the account's keys are missing");
    let host = Host::new();
    *host.no_venue.borrow_mut() = Some(problem.clone());
    let id = host.accept(&btc("LONG", r#","quantity":1"#));
    host.settle();
    assert_eq!(
        (host.status(&id), host.code(&id)),
        (SignalStatus::Refused, Some(Code::NotConfigured))
    );

    let host = Host::new();
    host.exchange.borrow_mut().manners.fill_delay_ms = 1_000;
    let id = host.accept(&btc("LONG", r#","quantity":1"#));
    host.drive();
    *host.no_venue.borrow_mut() = Some(problem);
    host.settle_within(5 * MINUTE);
    assert_eq!(host.status(&id), SignalStatus::Acknowledged);
    *host.no_venue.borrow_mut() = None;
    host.settle();
    assert_eq!(host.status(&id), SignalStatus::Filled);
    host.check_books();
}

/// How often the venue's rules were asked for, and how often before the latest order.
fn asked_for_rules(host: &Host) -> (usize, usize) {
    let log = host.log.borrow();
    let last = log.iter().rposition(|(call, _)| *call == Call::PlaceOrder);
    let rules = |log: &[(Call, i64)]| {
        log.iter()
            .filter(|(call, _)| *call == Call::Instrument)
            .count()
    };
    (rules(&log), rules(&log[..last.unwrap_or(0)]))
}

#[test]
fn an_entry_goes_by_old_rules_which_are_read_anew_after_it() {
    let host = Host::new();
    host.accept(&btc("LONG", r#","quantity":1"#));
    host.settle();
    assert_eq!(asked_for_rules(&host), (1, 1));
    host.advance(90 * MINUTE);
    let add = host.accept(&btc("LONG", r#","quantity":2"#));
    host.drive();
    assert_eq!(host.status(&add), SignalStatus::Filled);
    assert_eq!(asked_for_rules(&host), (2, 1), "after the order");
    let more = host.accept(&btc("LONG", r#","quantity":3"#));
    host.drive();
    assert_eq!(host.status(&more), SignalStatus::Filled);
    assert_eq!(asked_for_rules(&host), (2, 2), "they are new");
    host.settle();
    host.check_books();
}

#[test]
fn what_old_rules_refuse_is_judged_by_new_ones() {
    let host = Host::new();
    host.exchange.borrow_mut().manners.most = 5;
    host.accept(&btc("LONG", r#","quantity":1"#));
    host.settle();
    host.exchange.borrow_mut().manners.most = 100;
    let large = host.accept(&btc("LONG", r#","quantity":6"#));
    host.settle();
    assert_eq!(
        host.status(&large),
        SignalStatus::Refused,
        "by rules of a moment ago"
    );
    host.advance(90 * MINUTE);
    let large = host.accept(&btc("LONG", r#","quantity":7"#));
    host.settle();
    assert_eq!(host.status(&large), SignalStatus::Filled);
}

#[test]
fn a_refusal_that_may_come_from_the_rules_has_them_read_before_the_next_order() {
    let host = Host::new();
    host.accept(&btc("LONG", r#","quantity":1"#));
    host.settle();
    host.fail(Call::PlaceOrder, When::Before, error(ErrorClass::Rejected));
    let refused = host.accept(&btc("LONG", r#","quantity":2"#));
    host.settle();
    assert_eq!(host.status(&refused), SignalStatus::Rejected);
    let next = host.accept(&btc("LONG", r#","quantity":3"#));
    host.settle();
    assert_eq!(host.status(&next), SignalStatus::Filled);
    assert_eq!(asked_for_rules(&host), (2, 2));
}

#[test]
fn a_limit_that_the_reading_of_old_rules_meets_is_obeyed() {
    let host = Host::new();
    host.accept(&btc("LONG", r#","quantity":1"#));
    host.settle();
    host.advance(90 * MINUTE);
    let limited = VenueError {
        retry_after_ms: Some(30_000),
        ..error(ErrorClass::RateLimited)
    };
    host.fail(Call::Instrument, When::Before, limited);
    host.accept(&btc("LONG", r#","quantity":2"#));
    host.drive();
    let pause = "SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'venue_pause'";
    assert_eq!(
        host.sql(pause),
        [[Value::Integer(host.now() + 30_000)]],
        "as after any call"
    );
    host.settle();
    host.check_books();
}
