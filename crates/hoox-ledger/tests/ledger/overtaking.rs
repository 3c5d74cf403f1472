//! Alerts that overtake each other, equal closes, and what bars a signal at the door.

use hoox_auth::OPERATOR;
use hoox_exchange::ErrorClass;
use hoox_ledger::{Accepted, Ledger};
use hoox_mesh::route::Accept;
use hoox_mesh::{KillMode, Problem, SignalStatus};
use hoox_model::{Code, Decimal, SignalId};
use hoox_store::Record;

use crate::world::{Call, Host, MINUTE, When, error};

fn btc(action: &str, rest: &str) -> String {
    format!(r#"{{"symbol":"BTCUSDT","action":"{action}"{rest}}}"#)
}

fn decimal(text: &str) -> Decimal {
    text.parse().unwrap()
}

fn held(host: &Host) -> Decimal {
    host.exchange.borrow().held("BTCUSDT")
}

fn holding(quantity: &str) -> Host {
    let host = Host::new();
    host.accept(&btc("LONG", &format!(r#","quantity":"{quantity}""#)));
    host.settle();
    host.advance(2 * MINUTE);
    host
}

fn take(host: &Host, message: &Accept) -> Result<Accepted, Problem> {
    Ledger::attach(host.clone()).accept(message)
}

fn from(host: &Host, sender: &str, body: &str) -> Accept {
    let mut message = host.message(body);
    message.sender = sender.parse().unwrap();
    message
}

/// An alert that fired `age` milliseconds ago, in the middle of a second.
fn fired(host: &Host, age: i64, action: &str, rest: &str) -> String {
    let at = (host.now() - age).div_euclid(1_000) * 1_000 + 500;
    btc(action, &format!(r#"{rest},"timestamp":{at}"#))
}

const ONE: &str = r#","quantity":1"#;

/// Whether `older`, which fired 3 s ago, is refused after `newer`, which fired a second ago and is done.
fn refused_after(newer: (&str, &str), older: (&str, &str)) -> bool {
    let host = holding("1");
    host.accept(&fired(&host, 1_000, newer.0, newer.1));
    host.settle();
    let before = host.exchange.borrow().orders.len();
    match host.send(&fired(&host, 3_000, older.0, older.1)) {
        Ok(accepted) => {
            host.settle();
            assert!(
                host.status(&accepted.id).is_success(),
                "{newer:?} {older:?}"
            );
            false
        }
        Err(problem) => {
            assert_eq!(problem.code, Code::OutOfOrder, "{newer:?} {older:?}");
            assert_eq!(problem.code.status(), 409);
            host.settle();
            assert_eq!(host.exchange.borrow().orders.len(), before);
            let refused = problem.signal.expect("it is journaled").signal_id;
            let recorded = host.latest().into_iter().any(|record| match record {
                Record::Signal(signal) => signal.id == refused && signal.state == "refused",
                _ => false,
            });
            assert!(recorded, "it is in the records");
            true
        }
    }
}

const FLAT: (&str, &str) = ("target", r#","marketPosition":"flat""#);
const TARGET: (&str, &str) = (
    "target",
    r#","marketPosition":"long","marketPositionSize":"0.4""#,
);

#[test]
fn an_older_entry_is_refused_after_a_newer_exit_target_or_entry_of_the_other_side() {
    for newer in [
        ("close", ""),
        ("CLOSE_LONG", ""),
        FLAT,
        TARGET,
        ("SHORT", ONE),
        ("sell", ONE),
    ] {
        for older in [("LONG", ONE), ("buy", ONE), TARGET] {
            assert!(refused_after(newer, older), "{newer:?} {older:?}");
        }
    }
}

#[test]
fn an_older_add_passes_behind_a_newer_add_and_a_partial_exit() {
    for newer in [
        ("LONG", ONE),
        ("buy", ONE),
        ("close", r#","quantity":"0.5""#),
        ("CLOSE_SHORT", ""),
    ] {
        for older in [
            ("LONG", r#","quantity":"0.3""#),
            ("buy", r#","quantity":"0.3""#),
        ] {
            assert!(!refused_after(newer, older), "{newer:?} {older:?}");
        }
    }
}

#[test]
fn an_older_exit_always_passes_unless_it_is_a_target() {
    for newer in [("close", ""), ("LONG", ONE), ("SHORT", ONE), TARGET] {
        for older in [
            ("close", ""),
            ("CLOSE_LONG", ""),
            ("close", r#","quantity":"0.5""#),
        ] {
            assert!(!refused_after(newer, older), "{newer:?} {older:?}");
        }
    }
    assert!(refused_after(("SHORT", ONE), FLAT));
}

#[test]
fn an_older_exit_acts_on_what_was_held_without_the_newer_entry() {
    for (before, after) in [("0", "1"), ("0.4", "1")] {
        let host = Host::new();
        let now = host.now();
        host.exchange.borrow_mut().set_held(now, "BTCUSDT", before);
        let entry = host.accept(&fired(&host, 1_000, "LONG", ONE));
        host.settle();
        assert_eq!(host.status(&entry), SignalStatus::Filled);
        let close = host.accept(&fired(&host, 3_000, "close", ""));
        host.settle();
        assert_eq!(held(&host), decimal(after), "{before}");
        let view = host.view(&close);
        assert!(view.status.is_success() && !view.incomplete, "{view:?}");
        assert!(
            before != "0" || view.message.is_some() || !view.notes.is_empty(),
            "it says why nothing was closed"
        );
    }
}

#[test]
fn what_a_newer_entry_that_waits_to_be_sent_once_more_may_have_opened_is_not_closed() {
    let host = holding("1");
    host.exchange.borrow_mut().manners.look_up_lag_ms = MINUTE;
    host.fail(Call::PlaceOrder, When::After, error(ErrorClass::Unknown));
    host.accept(&fired(&host, 1_000, "LONG", r#","quantity":"0.3""#));
    host.drive();
    // It arrived and filled, its second send is decided, and exits come first.
    host.sql("UPDATE orders SET state = 'planned' WHERE state = 'sending'");
    let close = host.accept(&fired(&host, 3_000, "CLOSE_LONG", ""));
    host.settle();
    assert_eq!(host.status(&close), SignalStatus::Filled);
    assert_eq!(held(&host), decimal("0.3"), "what the newer entry opened");
    host.check_books();
}

#[test]
fn what_a_newer_limit_order_may_have_filled_before_anybody_saw_it_rest_is_not_closed() {
    for size in ["", r#","quantity":"0.2""#] {
        let host = Host::new();
        host.fail(Call::LookUp, When::Before, error(ErrorClass::Unavailable));
        let limit = r#","quantity":"0.3","orderType":"limit","price":101"#;
        host.accept(&fired(&host, 1_000, "LONG", limit));
        host.drive();
        assert_eq!(
            held(&host),
            decimal("0.3"),
            "it was taken, and filled at once"
        );
        // The alarm comes late, and exits come first.
        host.advance(15_000);
        let close = host.accept(&fired(&host, 20_000, "CLOSE_LONG", size));
        host.settle();
        let view = host.view(&close);
        assert!(
            view.status.is_success() && view.orders.is_empty(),
            "{view:?}"
        );
        assert_eq!(held(&host), decimal("0.3"), "what the newer entry opened");
        host.check_books();
    }
}

#[test]
fn an_older_target_counts_from_what_was_held_without_the_newer_add() {
    let host = holding("1");
    let add = host.accept(&fired(&host, 1_000, "LONG", r#","quantity":"0.3""#));
    host.settle();
    assert_eq!(host.status(&add), SignalStatus::Filled);
    let smaller = r#","marketPosition":"long","marketPositionSize":"0.6""#;
    let target = host.accept(&fired(&host, 3_000, "target", smaller));
    host.settle();
    assert!(host.status(&target).is_success());
    assert_eq!(held(&host), decimal("0.9"), "the newer 0.3 stays");
}

#[test]
fn what_was_closed_of_a_newer_entry_before_an_older_exit_came_is_not_kept_from_it() {
    let strategy = r#","strategy":"other""#;
    let open = format!(r#","quantity":"0.4"{strategy}"#);
    let smaller = r#","marketPosition":"long","marketPositionSize":"0.1""#;
    for (action, rest, left) in [("close", "", "0"), ("target", smaller, "0.1")] {
        let host = Host::new();
        host.accept(&fired(&host, 1_000, "LONG", ONE));
        host.settle();
        for (action, rest) in [("close", strategy), ("LONG", open.as_str())] {
            host.accept(&btc(action, rest));
            host.settle();
        }
        assert_eq!(held(&host), decimal("0.4"));
        let exit = host.accept(&fired(&host, 3_000, action, rest));
        host.settle();
        assert!(host.status(&exit).is_success(), "{:?}", host.view(&exit));
        assert_eq!(held(&host), decimal(left), "{action}");
    }
}

#[test]
fn what_an_older_close_took_while_a_newer_entry_was_on_its_way_was_not_of_that_entry() {
    let host = holding("1");
    host.exchange.borrow_mut().manners.fill_delay_ms = 3_000;
    let entry = host.accept(&fired(&host, 1_000, "LONG", r#","quantity":"0.7""#));
    host.drive();
    assert_eq!(host.exchange.borrow().orders.len(), 2, "it was sent first");
    let partial = host.accept(&fired(&host, 30_000, "close", r#","quantity":"0.4""#));
    host.settle();
    for done in [&entry, &partial] {
        assert_eq!(host.status(done), SignalStatus::Filled);
    }
    assert_eq!(held(&host), decimal("1.3"));
    let close = host.accept(&fired(&host, 60_000, "close", ""));
    host.settle();
    assert!(host.status(&close).is_success(), "{:?}", host.view(&close));
    assert_eq!(held(&host), decimal("0.7"), "what the newer entry opened");
    host.check_books();
}

#[test]
fn what_an_older_exits_own_order_in_doubt_may_have_closed_is_not_closed_of_a_newer_entry() {
    for lag in [0, 20_000] {
        let host = holding("1");
        let entry = host.accept(&fired(&host, 1_000, "LONG", r#","quantity":"0.5""#));
        host.settle_within(25_000);
        assert_eq!(host.status(&entry), SignalStatus::Filled);
        host.advance(25_000);
        host.exchange.borrow_mut().manners.unique_ids = false;
        host.exchange.borrow_mut().manners.look_up_lag_ms = 40_000;
        host.exchange.borrow_mut().manners.position_lag_ms = lag;
        host.fail(Call::PlaceOrder, When::After, error(ErrorClass::Unknown));
        let close = host.accept(&fired(&host, 90_000, "close", ""));
        host.settle();
        assert_eq!(
            held(&host),
            decimal("0.5"),
            "{lag}: {:?}",
            host.view(&close)
        );
        assert_eq!(host.status(&close), SignalStatus::Filled);
        host.check_books();
    }
}

#[test]
fn what_an_older_exits_own_order_that_could_not_be_found_out_may_have_closed_is_not_closed_of_a_newer_entry()
 {
    let host = holding("1");
    let entry = host.accept(&fired(&host, 1_000, "LONG", r#","quantity":"0.5""#));
    host.settle_within(25_000);
    assert_eq!(host.status(&entry), SignalStatus::Filled);
    host.advance(25_000);
    // Its first order closes 0.6 of its 1, and is never shown.
    host.exchange.borrow_mut().manners.unique_ids = false;
    host.exchange.borrow_mut().manners.look_up_lag_ms = 120 * MINUTE;
    host.exchange.borrow_mut().manners.next_fills = vec![60];
    host.fail(Call::PlaceOrder, When::After, error(ErrorClass::Unknown));
    let close = host.accept(&fired(&host, 90_000, "close", r#","maxLag":3600"#));
    host.drive();
    assert_eq!(held(&host), decimal("0.9"));
    // By the time it is given up no position can be read.
    for _ in 0..10_000 {
        host.fail(Call::Position, When::Before, error(ErrorClass::Unavailable));
    }
    host.settle_within(15 * MINUTE);
    assert_eq!(host.view(&close).orders[0].status, "unknown");
    assert_eq!(held(&host), decimal("0.9"), "{:?}", host.view(&close));
    host.exchange.borrow_mut().manners.look_up_lag_ms = 0;
    host.faults.borrow_mut().script.clear();
    host.settle();
    assert_eq!(held(&host), decimal("0.5"), "{:?}", host.view(&close));
}

#[test]
fn what_an_older_entry_had_filled_before_a_target_was_taken_hides_nothing_that_came_since() {
    let host = Host::new();
    // Their recording goes on, so that they are open.
    host.exchange.borrow_mut().manners.fills_lag_ms = 10 * MINUTE;
    for action in ["SHORT", "CLOSE_SHORT"] {
        let id = host.accept(&btc(action, ONE));
        host.settle_within(5_000);
        assert_eq!(host.status(&id), SignalStatus::Filled);
    }
    host.advance(2 * MINUTE);
    let target = host.accept(&btc(
        "target",
        r#","marketPosition":"short","marketPositionSize":"0.3""#,
    ));
    host.advance(4_000);
    let now = host.now();
    host.exchange.borrow_mut().set_held(now, "BTCUSDT", "-0.6");
    host.settle_within(30_000);
    let view = host.view(&target);
    assert_eq!(held(&host), decimal("-0.6"), "{view:?}");
    assert_eq!(view.status, SignalStatus::NothingToDo, "{view:?}");
}

#[test]
fn order_is_compared_only_within_one_sender_and_strategy_and_by_alerts_own_times() {
    let strategy = |name: &str| format!(r#"{ONE},"strategy":"{name}""#);
    let host = Host::unconfigured();
    host.configure(1, KillMode::Off, 1, &["tv", "other"]);
    host.accept(&fired(&host, 1_000, "close", r#","strategy":"a""#));
    host.settle();
    let older = fired(&host, 3_000, "LONG", &strategy("a"));
    assert_eq!(host.refused(&older).code, Code::OutOfOrder);
    for passes in [
        from(&host, "other", &older),
        host.message(&older.replace("BTC", "ETH")),
        host.message(&fired(&host, 3_000, "LONG", &strategy("b"))),
        host.message(&fired(&host, 3_000, "LONG", ONE)),
        host.message(&btc("LONG", &strategy("a"))),
        // The same second is not older.
        host.message(&fired(&host, 1_000, "LONG", &strategy("a"))),
    ] {
        take(&host, &passes).unwrap();
    }
}

#[test]
fn the_time_of_a_bar_says_nothing_about_order() {
    let host = holding("1");
    host.accept(&fired(&host, 1_000, "close", ""));
    host.settle();
    let bar = (host.now() - 2 * MINUTE).div_euclid(MINUTE) * MINUTE;
    let body = btc("LONG", &format!(r#"{ONE},"maxLag":600,"timestamp":{bar}"#));
    host.accept(&body);
}

#[test]
fn a_refusal_for_its_age_takes_no_identity() {
    let host = holding("1");
    host.accept(&fired(&host, 1_000, "close", ""));
    host.settle();
    let older = fired(&host, 3_000, "LONG", ONE);
    for _ in 0..2 {
        assert_eq!(host.refused(&older).code, Code::OutOfOrder);
    }
}

/// A target with the position before its order.
fn target(state: &str, previous: &str, rest: &str) -> String {
    let sided = |prefix: &str, position: &str, size_name: &str| match position {
        "0" => format!(r#","{prefix}":"flat""#),
        size => {
            let side = if size.starts_with('-') {
                "short"
            } else {
                "long"
            };
            let size = size.trim_start_matches('-');
            format!(r#","{prefix}":"{side}","{size_name}":"{size}""#)
        }
    };
    let now = sided("marketPosition", state, "marketPositionSize");
    let before = sided("prevMarketPosition", previous, "prevMarketPositionSize");
    btc("target", &format!("{now}{before}{rest}"))
}

#[test]
fn the_position_before_a_target_shows_its_order_both_ways() {
    // The strategy went from 1 to 0.4 to flat.
    for (rest, pause) in [("", 0), ("", 4_900), (r#","timestamp":1780000123456"#, 0)] {
        let first = target("0.4", "1", rest);
        let second = target("0", "0.4", rest);
        let host = holding("1");
        host.accept(&second);
        host.advance(pause);
        assert_eq!(
            host.refused(&first).code,
            Code::OutOfOrder,
            "{rest} {pause}"
        );
        host.settle();
        assert!(held(&host).is_zero(), "{rest} {pause}");

        let host = holding("1");
        host.accept(&first);
        host.accept(&second);
        host.settle();
        assert!(held(&host).is_zero(), "{rest} {pause}");
    }
}

#[test]
fn targets_whose_positions_before_tell_nothing_go_by_arrival() {
    // From 0.4 to flat and back to 0.4: each is before the other by its pair.
    let host = holding("1");
    host.accept(&target("0", "0.4", ""));
    host.accept(&target("0.4", "0", ""));
    host.settle();
    assert_eq!(held(&host), decimal("0.4"));
    // More than 5 s apart without times.
    let host = holding("1");
    host.accept(&target("0", "0.4", ""));
    host.settle();
    host.advance(5_001);
    host.accept(&target("0.4", "1", ""));
    host.settle();
    assert_eq!(held(&host), decimal("0.4"));
}

// Equal closes.

/// A venue that is away, so that what is taken waits.
fn away() -> Host {
    let host = holding("1");
    for _ in 0..1_000 {
        host.fail(Call::Position, When::Before, error(ErrorClass::Unavailable));
        host.fail(
            Call::PlaceOrder,
            When::Before,
            error(ErrorClass::Unavailable),
        );
    }
    host
}

fn back(host: &Host) {
    host.faults.borrow_mut().script.clear();
    host.settle();
}

fn close(n: u32) -> String {
    btc("CLOSE_LONG", &format!(r#","comment":"{n}""#))
}

#[test]
fn an_equal_close_is_answered_with_the_one_that_waits() {
    let host = holding("1");
    let first = host.accept(&close(1));
    let message = host.message(&close(2));
    let second = take(&host, &message).unwrap();
    assert_eq!(second.id, first);
    assert!(
        second
            .view
            .notes
            .iter()
            .any(|note| note.contains("equal close"))
    );
    let again = take(&host, &message).unwrap();
    assert_eq!(again.id, first, "the same request gets the same answer");
    assert_eq!(host.refused(&close(2)).code, Code::Duplicate);
    host.settle();
    assert_eq!(host.status(&first), SignalStatus::Filled);
    assert_eq!(host.count(Call::PlaceOrder), 2);
    assert_eq!(take(&host, &message).unwrap().id, first);
}

#[test]
fn a_close_waits_for_the_later_deadline_of_the_two() {
    let host = Host::new();
    let now = host.now();
    host.exchange.borrow_mut().set_held(now, "BTCUSDT", "1");
    for _ in 0..100_000 {
        host.fail(Call::Position, When::Before, error(ErrorClass::Location));
    }
    let first = host.accept(&close(1));
    // Also while a step of the first one is under way.
    let later = btc("CLOSE_LONG", r#","maxLag":3600"#);
    let second = host.while_calling(Call::Position, || host.accept(&later));
    assert_eq!(first, second);
    host.settle_within(50 * MINUTE);
    assert!(!host.status(&first).is_final());
    back(&host);
    assert_eq!(host.status(&first), SignalStatus::Filled);
    assert!(held(&host).is_zero());
}

#[test]
fn closes_that_are_not_equal_never_merge() {
    let host = away();
    host.configure(2, KillMode::Off, 1, &["tv", "other"]);
    let mut ids: Vec<SignalId> = Vec::new();
    let mut with = |mut message: Accept| {
        message.manifest_version = 2;
        let id = take(&host, &message).unwrap().id;
        assert!(!ids.contains(&id));
        ids.push(id);
    };
    with(host.message(&close(1)));
    with(host.message(&btc("CLOSE_SHORT", "")));
    with(host.message(&btc("close", "")));
    with(from(&host, "other", &close(1)));
    with(host.message(&close(2).replace("BTC", "ETH")));
    with(host.message(&btc("CLOSE_LONG", r#","quantity":"0.2""#)));
    with(host.message(&btc("CLOSE_LONG", r#","quantity":"0.2","comment":"x""#)));
    with(host.message(&btc("CLOSE_LONG", r#","orderType":"limit","price":90"#)));
    // They do more than to close: a larger position of their own side is made smaller, what rests is taken along.
    with(host.message(&btc("reverse", r#","reduceOnly":true"#)));
    let short = r#","marketPosition":"short","marketPositionSize":1,"reduceOnly":true"#;
    with(host.message(&btc("target", short)));
}

#[test]
fn what_a_target_that_may_open_nothing_closes_is_no_equal_close() {
    let body = r#","marketPosition":"long","marketPositionSize":"0.3","reduceOnly":true"#;
    let (narrows, closes) = (btc("target", body), btc("CLOSE_SHORT", ""));
    for (first, second) in [(&narrows, &closes), (&closes, &narrows)] {
        let host = away();
        let first = host.accept(first);
        let second = host.accept(second);
        assert_ne!(first, second);
        back(&host);
        assert_eq!(held(&host), decimal("0.3"), "the target does its own part");
    }
}

#[test]
fn a_close_is_not_merged_over_an_entry() {
    let host = holding("1");
    for _ in 0..3 {
        host.fail(Call::Position, When::Before, error(ErrorClass::Unavailable));
    }
    let first = host.accept(&close(1));
    let entry = host.accept(&btc("LONG", r#","quantity":"0.5""#));
    let second = host.accept(&close(2));
    assert_ne!(first, second);
    host.settle();
    assert!(held(&host).is_zero());
    assert!(host.status(&entry).is_final());
    assert!(host.status(&second).is_success());
    host.check_books();
}

#[test]
fn a_close_that_has_sent_something_takes_no_other_along() {
    let host = holding("1");
    host.exchange.borrow_mut().manners.next_fills = vec![30, 30, 30, 100];
    let first = host.accept(&close(1));
    host.drive();
    assert!(!host.status(&first).is_final());
    let second = host.accept(&close(2));
    assert_ne!(first, second);
    host.settle();
    assert!(held(&host).is_zero());
    host.check_books();
}

// Room, rights and words.

#[test]
fn a_sender_holds_a_quarter_of_the_exits_room_and_the_operator_none() {
    let host = Host::unconfigured();
    host.configure(1, KillMode::Off, 1, &["tv", "other"]);
    let body = |n: u32| btc("close", &format!(r#","quantity":1,"comment":"{n}""#));
    let whole = host.accept(&btc("close", ""));
    for n in 1..300 {
        host.accept(&body(n));
    }
    let problem = host.refused(&body(300));
    assert_eq!(problem.code, Code::RateLimited);
    assert!(problem.retry_after.is_some());
    let equal = host.accept(&btc("close", r#","comment":"again""#));
    assert_eq!(equal, whole, "it needs no room of its own");
    take(&host, &from(&host, "other", &body(0))).unwrap();
    take(&host, &from(&host, OPERATOR, &body(0))).unwrap();
}

#[test]
fn an_entry_with_an_unknown_word_is_refused_and_an_exit_goes_out_with_a_note() {
    let host = holding("1");
    let mut entry = host.message(&btc("LONG", ONE));
    entry.requires.push("hedgeRatio".to_owned());
    let problem = take(&host, &entry).unwrap_err();
    assert_eq!(problem.code, Code::Unsupported);
    assert!(problem.message.contains("hedgeRatio"));
    let mut exit = host.message(&btc("close", ""));
    exit.requires.push("hedgeRatio".to_owned());
    let id = take(&host, &exit).unwrap().id;
    host.settle();
    let view = host.view(&id);
    assert_eq!(view.status, SignalStatus::Filled);
    assert!(view.notes.iter().any(|note| note.contains("hedgeRatio")));
    assert!(held(&host).is_zero());
}

#[test]
fn of_a_revoked_sender_nothing_that_was_not_sent_goes_out() {
    let host = holding("1");
    for _ in 0..3 {
        host.fail(Call::Position, When::Before, error(ErrorClass::Unavailable));
    }
    let entry = host.accept(&btc("LONG", r#","quantity":1,"maxLag":600"#));
    host.drive();
    host.configure(2, KillMode::Off, 1, &[]);
    host.settle();
    assert_eq!(
        (host.status(&entry), host.code(&entry)),
        (SignalStatus::Refused, Some(Code::NotPermitted))
    );
    assert_eq!(host.count(Call::PlaceOrder), 1);
}

#[test]
fn a_full_exit_that_has_begun_goes_on_after_its_sender_was_revoked() {
    let host = holding("1");
    host.exchange.borrow_mut().manners.next_fills = vec![30, 30, 30];
    let exit = host.accept(&close(1));
    host.drive();
    assert!(!held(&host).is_zero());
    host.configure(2, KillMode::Off, 1, &[]);
    host.settle();
    assert!(held(&host).is_zero());
    assert_eq!(host.status(&exit), SignalStatus::Filled);
}

#[test]
fn a_full_exit_whose_first_order_is_in_doubt_goes_on_after_its_sender_was_revoked() {
    let host = holding("1");
    host.fail(Call::PlaceOrder, When::Before, error(ErrorClass::Unknown));
    let exit = host.accept(&close(1));
    host.drive();
    host.configure(2, KillMode::Off, 1, &[]);
    host.settle();
    assert!(held(&host).is_zero());
    assert_eq!(host.status(&exit), SignalStatus::Filled);
}

#[test]
fn a_dry_run_makes_nothing_older_or_newer() {
    let host = Host::new();
    let dry = btc(
        "close",
        r#","strategy":"s","timestamp":"TIME","dryRun":true"#,
    );
    let entry = btc(
        "LONG",
        r#","quantity":"1","strategy":"s","timestamp":"TIME""#,
    );
    let at = |body: &str, ago: i64| body.replace("TIME", &((host.now() / 1000) - ago).to_string());
    host.accept(&at(&dry, 1));
    let older = host.accept(&at(&entry, 3));
    host.settle();
    assert_eq!(host.status(&older), SignalStatus::Filled);
}

#[test]
fn a_request_that_was_refused_as_out_of_order_is_refused_again() {
    let host = holding("1");
    host.accept(&fired(&host, 1_000, "close", ""));
    host.settle();
    let message = host.message(&fired(&host, 3_000, "LONG", ONE));
    let problem = take(&host, &message).unwrap_err();
    assert_eq!(problem.code, Code::OutOfOrder);
    let again = take(&host, &message).unwrap_err();
    assert_eq!(again, problem, "the same request, the same answer");
}
