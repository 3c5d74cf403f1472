//! Exits get out: what they close, how they go on, and what they say while they are not done.

use hoox_exchange::{ErrorClass, VenueError};
use hoox_mesh::{KillMode, SignalStatus};
use hoox_model::{Code, Decimal, PositionSide, Side, SignalId};
use hoox_store::Record;

use crate::world::{Call, Host, MINUTE, When, error};

const CLOSE_LONG: &str = r#"{"symbol":"BTCUSDT","action":"CLOSE_LONG"}"#;
const CLOSE: &str = r#"{"symbol":"BTCUSDT","action":"close"}"#;
const HOUR: i64 = 60 * MINUTE;

fn btc(action: &str, rest: &str) -> String {
    format!(r#"{{"symbol":"BTCUSDT","action":"{action}"{rest}}}"#)
}

fn long(quantity: &str, rest: &str) -> String {
    btc("LONG", &format!(r#","quantity":"{quantity}"{rest}"#))
}

fn target(side: &str, size: &str) -> String {
    let state = format!(r#","marketPosition":"{side}","marketPositionSize":"{size}""#);
    btc("target", &state)
}

fn decimal(text: &str) -> Decimal {
    text.parse().unwrap()
}

fn held(host: &Host) -> Decimal {
    host.exchange.borrow().held("BTCUSDT")
}

fn set_held(host: &Host, size: &str) {
    let now = host.now();
    host.exchange.borrow_mut().set_held(now, "BTCUSDT", size);
}

/// An account that holds a long position by a signal of its own, recorded and some minutes old.
fn holding(quantity: &str) -> Host {
    let host = Host::new();
    host.accept(&long(quantity, ""));
    host.settle();
    host.advance(2 * MINUTE);
    host
}

/// Side, size and effect of every order that the exchange took.
fn taken(host: &Host) -> Vec<String> {
    let exchange = host.exchange.borrow();
    let words = exchange.orders.iter().map(|order| {
        let spec = &order.spec;
        let effect = if spec.effect.closes() {
            "closes"
        } else {
            "opens"
        };
        format!("{} {} {effect}", spec.side.as_str(), spec.quantity)
    });
    words.collect()
}

/// When the calls of a kind were made, from `since` on, counted from it.
fn times(host: &Host, call: Call, since: i64) -> Vec<i64> {
    let log = host.log.borrow();
    let made = log
        .iter()
        .filter(|(made, at)| *made == call && *at >= since);
    made.map(|(_, at)| at - since).collect()
}

fn outcome(host: &Host, id: &SignalId) -> (SignalStatus, Option<Code>) {
    (host.status(id), host.code(id))
}

fn message(host: &Host, id: &SignalId) -> String {
    host.view(id).message.unwrap_or_default()
}

fn succeeded(host: &Host, id: &SignalId) -> bool {
    let view = host.view(id);
    assert!(view.status.is_final(), "{view:?}");
    view.status.is_success() && !view.incomplete
}

fn fail_often(host: &Host, call: Call, class: ErrorClass) {
    for _ in 0..10_000 {
        host.fail(call, When::Before, error(class));
    }
}

fn works_again(host: &Host) {
    host.faults.borrow_mut().script.clear();
}

fn limited(retry_after_ms: i64) -> VenueError {
    VenueError {
        retry_after_ms: Some(retry_after_ms),
        ..error(ErrorClass::RateLimited)
    }
}

fn banned(retry_after_ms: Option<i64>) -> VenueError {
    VenueError {
        retry_after_ms,
        ..error(ErrorClass::Banned)
    }
}

const FILLED: (SignalStatus, Option<Code>) = (SignalStatus::Filled, None);

/// An entry whose send had no answer and did not arrive; the venue does not say more for `hidden` milliseconds.
fn entry_in_doubt(host: &Host, body: &str) -> SignalId {
    host.exchange.borrow_mut().manners.unique_ids = false;
    host.fail(Call::PlaceOrder, When::Before, error(ErrorClass::Unknown));
    let entry = host.accept(body);
    host.drive();
    assert_eq!(host.status(&entry), SignalStatus::Sending);
    entry
}

/// The order of an entry in doubt comes to be at the venue after all.
fn arrive(host: &Host, entry: &SignalId) {
    let ours = host.view(entry).orders.remove(0);
    let spec = hoox_model::OrderSpec {
        client_order_id: ours.client_order_id,
        symbol: ours.symbol,
        product: hoox_model::Product::Linear,
        side: ours.side,
        kind: hoox_model::OrderKind::Market,
        quantity: ours.quantity,
        effect: hoox_model::Effect::Open,
        leg: None,
        close_all: false,
    };
    let now = host.now();
    host.exchange.borrow_mut().place(&spec, now).unwrap();
}

// What is in doubt holds up no exit.

#[test]
fn an_exit_overtakes_an_entry_in_doubt() {
    let host = holding("0.1");
    let entry = entry_in_doubt(&host, &long("0.01", r#","maxLag":5"#));
    host.settle_within(7_000);
    let asked = host.now();
    let close = host.accept(CLOSE_LONG);
    host.drive();
    host.settle_within(1_000);
    assert!(held(&host).is_zero());
    assert_eq!(times(&host, Call::PlaceOrder, asked), [0]);
    assert_eq!(taken(&host), ["buy 0.1 opens", "sell 0.1 closes"]);
    host.settle();
    assert_eq!(host.status(&entry), SignalStatus::Unknown);
    assert_eq!(outcome(&host, &close), FILLED);
    assert_eq!(taken(&host).len(), 2, "the entry is not sent again");
}

#[test]
fn an_exit_waits_for_an_older_exits_order_that_the_venue_took_while_look_ups_fail() {
    let host = holding("1");
    for _ in 0..3 {
        host.fail(Call::LookUp, When::Before, error(ErrorClass::Unavailable));
    }
    let first = host.accept(&btc("CLOSE_LONG", r#","quantity":"0.4""#));
    host.drive();
    let second = host.accept(&btc("CLOSE_LONG", r#","quantity":"0.3""#));
    host.drive();
    assert_eq!(taken(&host), ["buy 1 opens", "sell 0.4 closes"]);
    assert!(!host.status(&first).is_final());
    host.settle();
    assert_eq!(outcome(&host, &first), FILLED);
    assert_eq!(outcome(&host, &second), FILLED);
    assert_eq!(held(&host), decimal("0.3"));
}

#[test]
fn what_an_entry_in_doubt_turns_out_to_have_filled_a_full_exit_closes() {
    let host = holding("0.1");
    let entry = entry_in_doubt(&host, &long("0.01", r#","maxLag":5"#));
    host.settle_within(7_000);
    let close = host.accept(CLOSE_LONG);
    host.settle_within(20_000);
    assert!(
        !host.status(&close).is_final(),
        "it stays open for the entry"
    );
    arrive(&host, &entry);
    assert_eq!(held(&host), decimal("0.01"));
    host.settle();
    assert_eq!(
        taken(&host),
        [
            "buy 0.1 opens",
            "sell 0.1 closes",
            "buy 0.01 opens",
            "sell 0.01 closes"
        ]
    );
    assert_eq!(outcome(&host, &entry), FILLED);
    assert_eq!(outcome(&host, &close), FILLED);
    host.check_books();
}

#[test]
fn what_an_older_entry_turns_to_the_other_side_a_close_of_either_closes() {
    for body in [CLOSE.to_owned(), target("flat", "0")] {
        // The long is closed before the entry turns up, which opens a short then.
        let host = holding("0.1");
        let entry = entry_in_doubt(&host, &btc("sell", r#","quantity":1,"maxLag":5"#));
        host.settle_within(7_000);
        let close = host.accept(&body);
        host.settle_within(20_000);
        assert!(!host.status(&close).is_final(), "it waits for the entry");
        arrive(&host, &entry);
        host.settle();
        assert_eq!(
            taken(&host),
            [
                "buy 0.1 opens",
                "sell 0.1 closes",
                "sell 1 opens",
                "buy 1 closes"
            ],
            "{body}"
        );
        assert_eq!(outcome(&host, &close), FILLED, "{body}");
        host.check_books();
        // It turns the long before anything of that is closed.
        let host = holding("0.1");
        let entry = entry_in_doubt(&host, &btc("sell", r#","quantity":1,"maxLag":5"#));
        host.settle_within(7_000);
        for _ in 0..3 {
            host.fail(Call::Position, When::Before, error(ErrorClass::Unavailable));
        }
        let close = host.accept(&body);
        host.drive();
        arrive(&host, &entry);
        host.settle();
        assert_eq!(
            taken(&host),
            ["buy 0.1 opens", "sell 1 opens", "buy 0.9 closes"],
            "{body}"
        );
        assert_eq!(outcome(&host, &close), FILLED, "{body}");
        host.check_books();
    }
}

#[test]
fn what_an_older_entry_turned_is_closed_or_told_although_the_position_cannot_be_read_then() {
    for body in [
        btc("close", r#","maxLag":5"#),
        target("flat", r#"0","maxLag":"5"#),
    ] {
        for away in [1, 10_000] {
            let host = holding("0.1");
            let entry = entry_in_doubt(&host, &btc("sell", r#","quantity":1,"maxLag":5"#));
            host.settle_within(7_000);
            let close = host.accept(&body);
            host.settle_within(20_000);
            assert!(!host.status(&close).is_final(), "it waits for the entry");
            arrive(&host, &entry);
            for _ in 0..away {
                host.fail(Call::Position, When::Before, error(ErrorClass::Unavailable));
            }
            // By our record, where the position cannot be read for 5 s.
            host.settle_within(MINUTE);
            assert!(held(&host).is_zero(), "{:?}", host.view(&close));
            works_again(&host);
            host.settle();
            assert_eq!(outcome(&host, &close), FILLED, "{body}");
        }
        // What stops it then leaves that, and says so.
        let host = holding("0.1");
        let entry = entry_in_doubt(&host, &btc("sell", r#","quantity":1,"maxLag":5"#));
        host.settle_within(7_000);
        let close = host.accept(&body);
        host.settle_within(20_000);
        arrive(&host, &entry);
        fail_often(&host, Call::Position, ErrorClass::Unavailable);
        while !host.status(&entry).is_final() {
            host.settle_within(500);
        }
        host.set_kill(KillMode::All, 2);
        host.settle_within(MINUTE);
        assert_eq!(held(&host), decimal("-1"));
        let stopped = (SignalStatus::PartlyFilled, Some(Code::KillSwitch));
        assert_eq!(outcome(&host, &close), stopped, "{body}");
        assert!(message(&host, &close).contains("1 is left"), "{body}");
    }
}

#[test]
fn a_reverse_turns_also_what_an_older_entry_fills_between_its_closes() {
    let host = holding("1");
    let entry = entry_in_doubt(&host, &long("1.5", ""));
    host.settle_within(7_000);
    let reverse = host.accept(&btc("reverse", r#","maxLag":600"#));
    host.settle_within(20_000);
    assert!(held(&host).is_zero(), "what is held is closed at once");
    assert!(!host.status(&reverse).is_final(), "it waits for the entry");
    arrive(&host, &entry);
    host.settle();
    assert_eq!(
        taken(&host),
        [
            "buy 1 opens",
            "sell 1 closes",
            "buy 1.5 opens",
            "sell 1.5 closes",
            "sell 2.5 opens"
        ]
    );
    assert_eq!(outcome(&host, &reverse), FILLED);
    host.check_books();
}

#[test]
fn a_close_of_one_side_leaves_what_an_older_entry_turned() {
    let host = holding("0.1");
    let entry = entry_in_doubt(&host, &btc("sell", r#","quantity":1,"maxLag":5"#));
    host.settle_within(7_000);
    let close = host.accept(CLOSE_LONG);
    host.settle_within(20_000);
    assert_eq!(outcome(&host, &close), FILLED);
    arrive(&host, &entry);
    host.settle();
    assert_eq!(held(&host), decimal("-1"));
}

/// A long of 0.1 whose close has filled, which nobody hears of for 20 s, and an entry of 0.05 that arrived after it and is
/// heard of: by our record it has taken off half of the long, while it has opened a short.
fn turned_unheard() -> (Host, SignalId) {
    let host = holding("0.1");
    let entry = entry_in_doubt(&host, &btc("sell", r#","quantity":"0.05","maxLag":5"#));
    let sent = host.now();
    host.settle_within(7_000);
    let first = host.accept(CLOSE_LONG);
    host.exchange.borrow_mut().manners.look_up_lag_ms = 20_000;
    host.drive();
    assert!(held(&host).is_zero() && !host.status(&first).is_final());
    arrive(&host, &entry);
    // It is shown some seconds sooner.
    host.exchange
        .borrow_mut()
        .orders
        .last_mut()
        .unwrap()
        .created_at = sent;
    while !host.status(&entry).is_final() {
        host.settle_within(500);
    }
    assert_eq!(held(&host), decimal("-0.05"));
    assert!(!host.status(&first).is_final(), "its fill is not known yet");
    (host, first)
}

#[test]
fn what_an_older_exits_order_turns_out_to_have_left_to_an_entry_a_full_exit_closes() {
    for body in [
        btc("CLOSE_SHORT", ""),
        CLOSE.to_owned(),
        target("flat", "0"),
    ] {
        for prompt in [true, false] {
            let (host, _) = turned_unheard();
            if !prompt {
                host.fail(Call::Position, When::Before, error(ErrorClass::Unavailable));
            }
            let close = host.accept(&body);
            host.settle();
            let view = host.view(&close);
            assert!(held(&host).is_zero(), "{body}, {prompt}: {view:?}");
            assert_eq!(outcome(&host, &close), FILLED, "{body}, {prompt}");
            host.check_books();
        }
    }
}

#[test]
fn what_is_opened_by_hand_beside_what_an_entry_turned_is_no_exits_to_close() {
    for body in [btc("CLOSE_SHORT", ""), CLOSE.to_owned()] {
        let (host, first) = turned_unheard();
        let close = host.accept(&body);
        host.settle_within(1_000);
        // The entry's part was taken back, and something else was opened.
        set_held(&host, "0");
        host.settle_within(1_000);
        set_held(&host, "-0.3");
        host.settle();
        assert!(host.status(&first).is_final());
        assert_eq!(held(&host), decimal("-0.25"), "{:?}", host.view(&close));
    }
}

#[test]
fn an_exit_waits_for_no_close_that_can_have_left_nothing_to_an_entry() {
    // All that the older close may close our record shows, with nothing taken off it.
    let host = holding("0.1");
    host.exchange.borrow_mut().manners.look_up_lag_ms = MINUTE;
    host.fail(Call::PlaceOrder, When::After, error(ErrorClass::Unknown));
    let first = host.accept(CLOSE_LONG);
    host.settle_within(1_000);
    assert!(!host.status(&first).is_final());
    let close = host.accept(&btc("CLOSE_SHORT", ""));
    host.settle_within(1_000);
    assert_eq!(
        outcome(&host, &close),
        (SignalStatus::NothingToDo, None),
        "{}",
        message(&host, &close)
    );
}

#[test]
fn a_late_fill_is_not_closed_for_a_partial_exit() {
    let host = holding("1");
    let entry = entry_in_doubt(&host, &long("0.5", ""));
    host.settle_within(7_000);
    let close = host.accept(&btc("CLOSE_LONG", r#","quantity":"0.4""#));
    host.settle_within(20_000);
    assert_eq!(outcome(&host, &close), FILLED);
    arrive(&host, &entry);
    host.settle();
    assert_eq!(outcome(&host, &entry), FILLED);
    assert_eq!(held(&host), decimal("1.1"));
    assert_eq!(taken(&host).len(), 3);
    host.check_books();
}

#[test]
fn a_partial_exit_of_more_than_is_held_takes_nothing_of_a_late_fill() {
    let host = holding("0.3");
    let entry = entry_in_doubt(&host, &long("0.5", ""));
    host.settle_within(7_000);
    let close = host.accept(&btc("CLOSE_LONG", r#","quantity":"0.4""#));
    host.settle_within(20_000);
    arrive(&host, &entry);
    host.settle();
    assert_eq!(held(&host), decimal("0.5"));
    assert!(succeeded(&host, &close));
    host.check_books();
}

#[test]
fn an_entry_in_doubt_is_not_sent_again_after_a_full_exit() {
    // Ids are unique for ever here, so that it would be.
    let host = holding("0.1");
    host.fail(Call::PlaceOrder, When::Before, error(ErrorClass::Unknown));
    let entry = host.accept(&long("0.01", ""));
    host.drive();
    let close = host.accept(CLOSE_LONG);
    host.settle();
    assert_eq!(taken(&host), ["buy 0.1 opens", "sell 0.1 closes"]);
    assert_eq!(host.status(&entry), SignalStatus::Unknown);
    assert_eq!(outcome(&host, &close), FILLED);
    assert!(held(&host).is_zero());
}

#[test]
fn an_entry_in_doubt_may_be_sent_again_after_a_partial_exit() {
    let host = holding("1");
    host.fail(Call::PlaceOrder, When::Before, error(ErrorClass::Unknown));
    let entry = host.accept(&long("0.5", ""));
    host.drive();
    let close = host.accept(&btc("close", r#","quantity":"0.4""#));
    host.settle();
    assert_eq!(outcome(&host, &entry), FILLED);
    assert_eq!(outcome(&host, &close), FILLED);
    assert_eq!(held(&host), decimal("1.1"));
    host.check_books();
}

#[test]
fn an_entry_that_waits_for_the_venue_is_superseded_by_a_full_exit_and_says_so() {
    for exit in [CLOSE_LONG, CLOSE, &target("flat", "0")] {
        let host = holding("1");
        host.fail(Call::PlaceOrder, When::Before, limited(5_000));
        let entry = host.accept(&long("0.5", ""));
        host.drive();
        let close = host.accept(exit);
        host.settle();
        assert!(held(&host).is_zero(), "{exit}");
        assert_eq!(taken(&host), ["buy 1 opens", "sell 1 closes"], "{exit}");
        assert_eq!(host.code(&entry), Some(Code::Superseded), "{exit}");
        assert!(!succeeded(&host, &entry), "{exit}");
        assert_eq!(outcome(&host, &close), FILLED, "{exit}");
    }
}

#[test]
fn an_exit_of_the_other_side_supersedes_no_entry() {
    let host = Host::new();
    host.fail(Call::PlaceOrder, When::Before, limited(5_000));
    let entry = host.accept(&long("0.5", ""));
    host.drive();
    let close = host.accept(&btc("CLOSE_SHORT", ""));
    host.settle();
    assert_eq!(outcome(&host, &entry), FILLED);
    assert_eq!(host.status(&close), SignalStatus::NothingToDo);
    assert_eq!(held(&host), decimal("0.5"));
}

#[test]
fn an_entry_taken_after_an_exit_is_not_the_exits_to_close() {
    let host = holding("1");
    host.exchange.borrow_mut().manners.next_fills = vec![30, 100, 100];
    for _ in 0..3 {
        host.pass(Call::PlaceOrder);
    }
    let close = host.accept(CLOSE_LONG);
    let entry = host.accept(&long("0.2", ""));
    host.settle();
    assert_eq!(outcome(&host, &close), FILLED);
    assert_eq!(outcome(&host, &entry), FILLED);
    assert_eq!(held(&host), decimal("0.2"));
    host.check_books();
}

// Its own order in doubt.

#[test]
fn a_full_exit_in_doubt_is_planned_again_from_a_position_read_five_seconds_after_its_send() {
    let host = holding("1");
    host.exchange.borrow_mut().manners.unique_ids = false;
    host.fail(Call::PlaceOrder, When::Before, error(ErrorClass::Unknown));
    let sent = host.now();
    let close = host.accept(CLOSE_LONG);
    host.drive();
    host.settle_within(4_999);
    assert_eq!(times(&host, Call::PlaceOrder, sent), [0]);
    host.settle_within(1_000);
    assert_eq!(times(&host, Call::PlaceOrder, sent), [0, 5_000]);
    assert_eq!(times(&host, Call::Position, sent + 1), [4_999]);
    let orders = host.view(&close).orders;
    assert_ne!(orders[0].client_order_id, orders[1].client_order_id);
    assert!(orders.iter().all(|order| order.reduce_only));
    assert!(held(&host).is_zero());
}

#[test]
fn a_full_exit_in_doubt_that_arrived_is_not_sent_twice() {
    let host = holding("1");
    host.exchange.borrow_mut().manners.unique_ids = false;
    host.exchange.borrow_mut().manners.look_up_lag_ms = 30_000;
    host.fail(Call::PlaceOrder, When::After, error(ErrorClass::Unknown));
    let close = host.accept(CLOSE_LONG);
    host.settle();
    assert_eq!(taken(&host), ["buy 1 opens", "sell 1 closes"]);
    assert_eq!(outcome(&host, &close), FILLED);
    host.check_books();
}

#[test]
fn a_partial_exit_in_doubt_is_looked_up_and_never_sent_under_a_second_id() {
    let host = holding("1");
    host.exchange.borrow_mut().manners.unique_ids = false;
    host.fail(Call::PlaceOrder, When::Before, error(ErrorClass::Unknown));
    let sent = host.now();
    let close = host.accept(&btc("close", r#","quantity":"0.4""#));
    host.drive();
    host.settle();
    assert_eq!(times(&host, Call::PlaceOrder, sent), [0]);
    assert_eq!(host.view(&close).orders.len(), 1);
    assert_eq!(host.status(&close), SignalStatus::Unknown);
    assert_eq!(held(&host), decimal("1"));
}

#[test]
fn a_full_exit_that_waits_for_an_older_entry_lives_until_that_has_an_outcome() {
    let host = holding("1");
    let entry = entry_in_doubt(&host, &long("0.5", ""));
    let close = host.accept(&btc("CLOSE_LONG", r#","maxLag":5"#));
    host.settle_within(MINUTE);
    assert!(!host.status(&close).is_final(), "{:?}", host.view(&close));
    arrive(&host, &entry);
    host.settle();
    assert!(held(&host).is_zero());
    assert_eq!(outcome(&host, &close), FILLED);
    host.check_books();
}

#[test]
fn an_exit_lives_as_long_as_its_sender_says() {
    for (rest, life) in [
        (r#","maxLag":30"#, 30_000),
        ("", 600_000),
        (r#","maxLag":3600"#, HOUR),
    ] {
        let host = Host::new();
        set_held(&host, "1");
        fail_often(&host, Call::Position, ErrorClass::Location);
        let asked = host.now();
        let close = host.accept(&btc("close", rest));
        host.drive();
        host.settle_within(2 * HOUR);
        assert_eq!(host.now() - asked, life + 1, "{rest}");
        assert_eq!(host.code(&close), Some(Code::ExitUndone), "{rest}");
    }
}

#[test]
fn two_partial_exits_close_their_sum() {
    let host = holding("1");
    host.exchange.borrow_mut().manners.next_fills = vec![50, 50, 100, 100];
    let one = host.accept(&btc("close", r#","quantity":"0.4""#));
    let two = host.accept(&btc("close", r#","quantity":"0.3""#));
    host.settle();
    assert_eq!(outcome(&host, &one), FILLED);
    assert_eq!(outcome(&host, &two), FILLED);
    assert_eq!(held(&host), decimal("0.3"));
    host.check_books();
}

#[test]
fn an_exit_behind_a_partial_exit_in_doubt_waits_no_longer_than_that_is_looked_up() {
    let host = holding("1");
    host.exchange.borrow_mut().manners.unique_ids = false;
    host.fail(Call::PlaceOrder, When::Before, error(ErrorClass::Unknown));
    let first = host.accept(&btc("close", r#","quantity":"0.4""#));
    host.drive();
    let close = host.accept(CLOSE);
    host.settle_within(10_000);
    assert!(held(&host).is_zero(), "{:?}", host.view(&close));
    host.settle();
    assert_eq!(host.status(&first), SignalStatus::Unknown);
}

/// Holds 1 long; a close of it whose send has no answer and does not arrive, then one of the operator's that closes
/// all and fills; the first one, sent again, is refused, because nothing is left to close.
fn close_that_comes_too_late(first: &str) -> (Host, SignalId) {
    let host = holding("1");
    host.fail(Call::PlaceOrder, When::Before, error(ErrorClass::Unknown));
    let late = host.accept(first);
    host.drive();
    let other = host.accept(CLOSE);
    host.settle_within(1_000);
    assert!(held(&host).is_zero());
    assert_eq!(outcome(&host, &other), FILLED);
    assert_eq!(host.status(&late), SignalStatus::Sending);
    (host, late)
}

#[test]
fn a_close_in_doubt_that_finds_nothing_left_is_rejected_and_holds_up_no_entry() {
    for first in [CLOSE_LONG, &btc("close", r#","quantity":"0.4""#)] {
        let (host, late) = close_that_comes_too_late(first);
        let asked = host.now();
        let entry = host.accept(&long("0.2", ""));
        host.settle_within(20_000);
        assert_eq!(outcome(&host, &entry), FILLED, "{first}");
        assert!(host.status(&late).is_final(), "{first}");
        let states: Vec<_> = host.view(&late).orders;
        assert!(
            states.iter().all(|order| order.status == "rejected"),
            "{first}: {states:?}"
        );
        assert_eq!(
            times(&host, Call::PlaceOrder, asked).len(),
            2,
            "sent again once, and the entry"
        );
        host.settle();
        assert_eq!(held(&host), decimal("0.2"), "{first}");
        assert_eq!(
            taken(&host),
            ["buy 1 opens", "sell 1 closes", "buy 0.2 opens"],
            "{first}"
        );
        // Nothing is left to settle: the next entry is taken.
        let next = host.accept(&long("0.1", ""));
        host.settle();
        assert_eq!(outcome(&host, &next), FILLED, "{first}");
        host.check_books();
    }
}

#[test]
fn a_close_in_doubt_is_not_rejected_while_its_own_fill_may_be_what_left_nothing() {
    // It arrived and filled; look-ups lag, and the venue refuses the second send before it sees that the id is taken.
    for first in [CLOSE_LONG, &btc("close", r#","quantity":"1""#)] {
        let host = holding("1");
        host.exchange.borrow_mut().manners.look_up_lag_ms = 2 * MINUTE;
        host.fail(Call::PlaceOrder, When::After, error(ErrorClass::Unknown));
        for _ in 0..20 {
            host.fail(Call::PlaceOrder, When::Before, error(ErrorClass::Rejected));
        }
        let close = host.accept(first);
        host.drive();
        host.settle_within(MINUTE);
        assert_eq!(host.view(&close).orders[0].status, "sending", "{first}");
        host.settle();
        assert_eq!(outcome(&host, &close), FILLED, "{first}");
        assert_eq!(taken(&host), ["buy 1 opens", "sell 1 closes"], "{first}");
        host.check_books();
    }
}

#[test]
fn a_close_planned_beside_one_in_doubt_is_not_rejected_while_it_may_have_closed_what_others_bought()
{
    let host = holding("1");
    host.exchange.borrow_mut().manners.look_up_lag_ms = MINUTE;
    host.fail(Call::PlaceOrder, When::After, error(ErrorClass::Unknown));
    let close = host.accept(CLOSE_LONG);
    host.drive();
    assert!(held(&host).is_zero());
    host.settle_within(34_000);
    // While that is in doubt our record takes over no position, so that it never holds what somebody else buys.
    set_held(&host, "0.5");
    host.fail(Call::PlaceOrder, When::After, error(ErrorClass::Unknown));
    host.settle_within(2_000);
    assert!(held(&host).is_zero());
    // The venue refuses the second send before it sees that the id is taken, and then shows the first order.
    for _ in 0..20 {
        host.fail(Call::PlaceOrder, When::Before, error(ErrorClass::Rejected));
    }
    host.settle_within(54_000);
    let states = || {
        let orders = host.view(&close).orders;
        orders
            .iter()
            .map(|order| order.status.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(states(), ["filled", "sending"]);
    host.settle();
    assert_eq!(states(), ["filled", "filled"]);
    assert_eq!(
        taken(&host),
        ["buy 1 opens", "sell 1 closes", "sell 0.5 closes"]
    );
    assert_eq!(outcome(&host, &close), FILLED);
}

// Exits go on until they are done.

#[test]
fn a_market_exit_that_fills_in_part_goes_on_until_it_is_done() {
    for exit in [CLOSE_LONG, CLOSE, &target("flat", "0")] {
        let host = holding("1");
        host.exchange.borrow_mut().manners.next_fills = vec![30];
        let close = host.accept(exit);
        host.settle();
        assert!(held(&host).is_zero(), "{exit}");
        assert_eq!(
            taken(&host),
            ["buy 1 opens", "sell 1 closes", "sell 0.7 closes"],
            "{exit}"
        );
        assert_eq!(outcome(&host, &close), FILLED, "{exit}");
        assert!(succeeded(&host, &close), "{exit}");
        host.check_books();
    }
}

#[test]
fn a_partial_exit_that_fills_in_part_closes_the_rest_of_its_quantity() {
    let host = holding("1");
    host.exchange.borrow_mut().manners.next_fills = vec![50];
    let close = host.accept(&btc("close", r#","quantity":"0.4""#));
    host.settle();
    assert_eq!(
        taken(&host),
        ["buy 1 opens", "sell 0.4 closes", "sell 0.2 closes"]
    );
    assert_eq!(outcome(&host, &close), FILLED);
    assert_eq!(held(&host), decimal("0.6"));
}

#[test]
fn an_exit_has_thirty_orders_at_a_slowing_pace_and_then_says_what_is_left() {
    let host = holding("10");
    host.exchange.borrow_mut().manners.next_fills = vec![10; 100];
    let asked = host.now();
    let close = host.accept(CLOSE_LONG);
    host.drive();
    host.settle();
    let sent = times(&host, Call::PlaceOrder, asked);
    assert_eq!(sent.len(), 30);
    assert_eq!(
        sent[..9],
        [0, 0, 500, 1_500, 3_500, 7_500, 15_500, 25_500, 35_500]
    );
    let view = host.view(&close);
    assert_eq!(
        (view.status, view.code),
        (SignalStatus::PartlyFilled, Some(Code::ExitUndone))
    );
    assert!(!succeeded(&host, &close));
    let left = held(&host).normalize().to_string();
    assert!(view.message.unwrap().contains(&format!("{left} is left")));
    let dead = host.sql("SELECT id FROM signal WHERE dead = 1");
    assert_eq!(dead, [[hoox_store::Value::Text(close.to_string())]]);
    host.check_books();
}

#[test]
fn refused_orders_do_not_count_and_end_no_exit() {
    let host = holding("1");
    for _ in 0..40 {
        host.fail(Call::PlaceOrder, When::Before, error(ErrorClass::Rejected));
    }
    let close = host.accept(CLOSE_LONG);
    host.settle();
    assert_eq!(outcome(&host, &close), FILLED);
    assert!(held(&host).is_zero());
}

#[test]
fn an_exit_that_is_refused_for_its_whole_life_is_a_dead_letter_with_the_reason() {
    let host = holding("1");
    fail_often(&host, Call::PlaceOrder, ErrorClass::Rejected);
    let asked = host.now();
    let close = host.accept(CLOSE_LONG);
    host.drive();
    host.settle();
    assert_eq!(
        outcome(&host, &close),
        (SignalStatus::Refused, Some(Code::ExitUndone))
    );
    let text = message(&host, &close);
    assert!(
        text.contains("rejected (TEST)") && text.contains("1 is left"),
        "{text}"
    );
    assert_eq!(host.now() - asked, 600_001);
}

#[test]
fn an_exit_that_is_not_done_is_told_after_ten_seconds_with_its_reason() {
    let host = holding("1");
    fail_often(&host, Call::PlaceOrder, ErrorClass::Rejected);
    let close = host.accept(CLOSE_LONG);
    host.settle_within(9_999);
    assert_eq!(message(&host, &close), "");
    host.settle_within(1);
    let told = message(&host, &close);
    assert!(
        told.starts_with("not done yet: ") && told.contains("rejected (TEST)"),
        "{told}"
    );
    let recorded = host.latest().into_iter().any(|record| match record {
        hoox_store::Record::Signal(signal) => signal.message == Some(told.clone()),
        _ => false,
    });
    assert!(recorded, "the records say so too");
    works_again(&host);
    host.settle();
    assert_eq!(outcome(&host, &close), FILLED);
    assert_eq!(message(&host, &close), "");
}

#[test]
fn an_exit_of_more_than_a_market_order_may_hold_is_split() {
    for splits in [false, true] {
        let host = Host::new();
        host.exchange.borrow_mut().manners.splits = splits;
        set_held(&host, "250");
        let close = host.accept(CLOSE_LONG);
        host.settle();
        assert_eq!(outcome(&host, &close), FILLED);
        assert_eq!(
            taken(&host),
            ["sell 100 closes", "sell 100 closes", "sell 50 closes"]
        );
        assert!(held(&host).is_zero());
    }
}

#[test]
fn a_maximum_that_was_lowered_is_read_anew_after_the_refusal() {
    let host = holding("90");
    host.exchange.borrow_mut().manners.most = 40;
    let close = host.accept(CLOSE_LONG);
    host.settle();
    assert_eq!(outcome(&host, &close), FILLED);
    assert_eq!(
        taken(&host)[1..],
        ["sell 40 closes", "sell 40 closes", "sell 10 closes"]
    );
}

#[test]
fn what_a_partial_exit_is_split_into_is_no_more_than_its_quantity() {
    let host = Host::new();
    set_held(&host, "250");
    let close = host.accept(&btc("close", r#","quantity":"150""#));
    host.settle();
    assert_eq!(outcome(&host, &close), FILLED);
    assert_eq!(taken(&host), ["sell 100 closes", "sell 50 closes"]);
}

#[test]
fn limit_and_ioc_exits_are_carried_out_once_and_the_rest_is_told() {
    for (rest, fills, held_after) in [
        (
            r#","orderType":"limit","price":100,"timeInForce":"IOC""#,
            30,
            "0.7",
        ),
        (
            r#","orderType":"limit","price":100,"timeInForce":"FOK""#,
            0,
            "1",
        ),
        (
            r#","orderType":"limit","price":110,"timeInForce":"IOC""#,
            100,
            "1",
        ),
    ] {
        let host = holding("1");
        host.exchange.borrow_mut().manners.next_fills = vec![fills];
        let close = host.accept(&btc("close", rest));
        host.settle();
        assert_eq!(taken(&host).len(), 2, "{rest}");
        assert_eq!(held(&host), decimal(held_after), "{rest}");
        assert!(host.view(&close).status.is_final(), "{rest}");
        let told = message(&host, &close);
        assert!(
            told.contains(&format!("{held_after} is left")),
            "{rest}: {told}"
        );
    }
}

#[test]
fn dust_goes_by_closing_all_where_the_venue_has_it_and_is_told_elsewhere() {
    let host = holding("1");
    set_held(&host, "0.0004");
    let close = host.accept(CLOSE_LONG);
    host.settle();
    assert_eq!(outcome(&host, &close), FILLED);
    assert!(held(&host).is_zero());
    assert!(host.exchange.borrow().orders[1].spec.close_all);

    let host = holding("1");
    host.exchange.borrow_mut().manners.closes_all = false;
    set_held(&host, "1.0004");
    let close = host.accept(CLOSE_LONG);
    host.settle();
    assert_eq!(held(&host), decimal("0.0004"));
    let view = host.view(&close);
    assert_eq!(
        (view.status, view.code),
        (SignalStatus::PartlyFilled, Some(Code::BelowMinimum))
    );
    assert!(!succeeded(&host, &close));
    assert!(view.message.unwrap().contains("0.0004"));
}

#[test]
fn what_is_less_than_the_minimum_is_closed_with_what_an_older_entry_fills_beside_it() {
    for (share, held_after) in [(100, "0"), (10, "0.0004")] {
        let host = Host::new();
        let manners = |delay| host.exchange.borrow_mut().manners.fill_delay_ms = delay;
        manners(HOUR);
        host.exchange.borrow_mut().manners.closes_all = false;
        host.exchange.borrow_mut().manners.next_fills = vec![share];
        host.accept(&long("0.004", ""));
        host.drive();
        let now = host.now();
        host.exchange
            .borrow_mut()
            .fill_first(decimal("0.0004"), now);
        host.settle_within(10_000);
        fail_often(&host, Call::LookUp, ErrorClass::Unavailable);
        host.settle_within(10_000);
        let close = host.accept(CLOSE_LONG);
        host.settle_within(40_000);
        assert_eq!(taken(&host), ["buy 0.004 opens"]);
        let told = message(&host, &close);
        assert!(
            told.contains("less than the venue's minimum"),
            "{share}: {told}"
        );
        manners(0);
        works_again(&host);
        host.settle();
        assert_eq!(held(&host), decimal(held_after), "{share}");
        if share == 100 {
            assert_eq!(outcome(&host, &close), FILLED);
            assert_eq!(taken(&host)[1..], ["sell 0.004 closes"]);
        } else {
            let refused = (SignalStatus::Refused, Some(Code::BelowMinimum));
            assert_eq!(outcome(&host, &close), refused);
            assert!(message(&host, &close).contains("0.0004 is left"));
        }
    }
}

#[test]
fn a_symbol_that_is_closed_in_the_rules_is_tried_all_the_same() {
    let host = holding("1");
    host.advance(2 * HOUR);
    host.exchange.borrow_mut().manners.trading = false;
    let close = host.accept(CLOSE_LONG);
    host.settle();
    assert_eq!(outcome(&host, &close), FILLED);
    let entry = host.accept(&long("1", ""));
    host.settle();
    assert_eq!(host.status(&entry), SignalStatus::Refused);
}

#[test]
fn rules_are_read_anew_after_a_refusal() {
    let host = holding("1");
    host.exchange.borrow_mut().manners.takes = false;
    let read = host.count(Call::Instrument);
    let close = host.accept(CLOSE_LONG);
    host.settle_within(20_000);
    assert!(host.count(Call::Instrument) > read);
    host.exchange.borrow_mut().manners.takes = true;
    host.settle();
    assert_eq!(outcome(&host, &close), FILLED);
}

// A position that cannot be read.

#[test]
fn a_page_instead_of_the_position_ends_no_exit_but_an_entry() {
    let host = holding("1");
    host.fail(Call::Position, When::Before, error(ErrorClass::Location));
    let close = host.accept(CLOSE_LONG);
    host.settle();
    assert_eq!(outcome(&host, &close), FILLED);
    host.fail(Call::Position, When::Before, error(ErrorClass::Location));
    let entry = host.accept(&long("1", ""));
    host.settle();
    assert_eq!(
        outcome(&host, &entry),
        (SignalStatus::Refused, Some(Code::Location))
    );
}

#[test]
fn an_exit_goes_out_by_the_record_when_the_position_could_not_be_read_for_five_seconds() {
    for class in [
        ErrorClass::Location,
        ErrorClass::Credentials,
        ErrorClass::Unavailable,
    ] {
        let host = holding("1");
        fail_often(&host, Call::Position, class);
        let asked = host.now();
        host.accept(CLOSE_LONG);
        host.drive();
        host.settle_within(4_999);
        assert_eq!(times(&host, Call::PlaceOrder, asked), [0i64; 0], "{class}");
        host.settle_within(10_000);
        assert_eq!(
            times(&host, Call::PlaceOrder, asked).first(),
            Some(&5_000),
            "{class}"
        );
        assert!(held(&host).is_zero(), "{class}");
        assert!(host.exchange.borrow().orders[1].spec.effect.closes());
    }
}

#[test]
fn an_exit_without_a_record_waits_for_the_position() {
    let host = Host::new();
    set_held(&host, "1");
    fail_often(&host, Call::Position, ErrorClass::Location);
    let close = host.accept(CLOSE_LONG);
    host.settle_within(MINUTE);
    assert_eq!(host.count(Call::PlaceOrder), 0);
    assert!(message(&host, &close).starts_with("not done yet: "));
    works_again(&host);
    host.settle();
    assert_eq!(outcome(&host, &close), FILLED);
    assert!(held(&host).is_zero());
}

#[test]
fn without_a_record_what_is_about_a_position_waits_for_it() {
    for body in [btc("reverse", ""), target("short", "1")] {
        let host = Host::new();
        set_held(&host, "1");
        host.fail(Call::Position, When::Before, error(ErrorClass::Credentials));
        let flip = host.accept(&body);
        host.settle();
        assert_eq!(held(&host), decimal("-1"), "{body}");
        assert!(succeeded(&host, &flip), "{body}");
        host.check_books();
    }
}

#[test]
fn where_reads_are_limited_an_exit_goes_out_by_the_record_at_once() {
    let host = holding("1");
    host.fail(Call::Position, When::Before, limited(HOUR));
    let asked = host.now();
    let close = host.accept(CLOSE_LONG);
    host.settle_within(10_000);
    assert!(held(&host).is_zero());
    assert!(times(&host, Call::PlaceOrder, asked)[0] <= 10_000);
    host.settle_within(5 * MINUTE);
    assert_eq!(outcome(&host, &close), FILLED);
}

// Pauses and bans.

#[test]
fn in_a_pause_exits_make_one_call_in_ten_seconds_and_lift_nothing() {
    let host = Host::new();
    for symbol in ["BTCUSDT", "ETHUSDT", "SOLUSDT"] {
        host.accept(&long("1", "").replace("BTCUSDT", symbol));
    }
    host.settle();
    host.advance(2 * MINUTE);
    host.fail(Call::Position, When::Before, limited(5 * MINUTE));
    let entry = host.accept(&long("1", r#","maxLag":600"#).replace("BTC", "XRP"));
    host.drive();
    let paused = host.now();
    for symbol in ["BTCUSDT", "ETHUSDT", "SOLUSDT"] {
        host.accept(&CLOSE.replace("BTCUSDT", symbol));
    }
    host.settle_within(3 * MINUTE);
    for symbol in ["BTCUSDT", "ETHUSDT", "SOLUSDT"] {
        assert!(host.exchange.borrow().held(symbol).is_zero(), "{symbol}");
    }
    assert!(!host.status(&entry).is_final(), "the entry waits");
    let calls: Vec<i64> = {
        let log = host.log.borrow();
        let made = log.iter().filter(|(call, at)| {
            *at >= paused && matches!(call, Call::PlaceOrder | Call::Position | Call::Instrument)
        });
        made.map(|(_, at)| at - paused).skip(1).collect()
    };
    let close_together = calls.windows(2).any(|pair| pair[1] - pair[0] < 10_000);
    assert!(!close_together, "{calls:?}");
    host.settle();
    assert_eq!(outcome(&host, &entry), FILLED);
}

#[test]
fn in_a_pause_an_entry_that_an_exit_waits_for_is_looked_up() {
    let host = holding("1");
    let entry = entry_in_doubt(&host, &long("0.5", ""));
    host.fail(Call::LookUp, When::Before, limited(HOUR));
    host.settle_within(MINUTE);
    arrive(&host, &entry);
    let close = host.accept(CLOSE_LONG);
    host.settle_within(2 * MINUTE);
    assert!(held(&host).is_zero(), "{:?}", host.view(&close));
    assert_eq!(outcome(&host, &close), FILLED);
}

#[test]
fn in_a_pause_what_the_venue_refused_is_tried_again_by_what_it_says_then() {
    let host = holding("1");
    set_held(&host, "0.7");
    host.fail(Call::Position, When::Before, limited(5 * MINUTE));
    host.fail(Call::PlaceOrder, When::Before, error(ErrorClass::Rejected));
    let close = host.accept(CLOSE_LONG);
    host.settle_within(2 * MINUTE);
    assert!(held(&host).is_zero(), "{:?}", host.view(&close));
    let sizes: Vec<String> = {
        let orders = host.view(&close).orders;
        orders
            .iter()
            .map(|order| order.quantity.to_string())
            .collect()
    };
    assert_eq!(sizes, ["1", "0.7"]);
}

#[test]
fn an_order_is_given_up_in_time_although_its_look_up_is_limited_for_longer() {
    let host = Host::new();
    let entry = entry_in_doubt(&host, &long("0.5", ""));
    host.fail(Call::LookUp, When::Before, limited(HOUR));
    host.settle_within(9 * MINUTE);
    assert!(!host.status(&entry).is_final());
    host.settle_within(2 * MINUTE);
    assert_eq!(host.status(&entry), SignalStatus::Unknown);
}

#[test]
fn in_a_pause_what_an_exit_wants_cancelled_is_cancelled() {
    let host = holding("1");
    let rest = r#","orderType":"limit","price":"90","timeInForce":"GTC""#;
    let entry = host.rests(&long("0.5", rest));
    host.fail(Call::Position, When::Before, limited(HOUR));
    host.fail(Call::Cancel, When::Before, error(ErrorClass::Unavailable));
    let close = host.accept(CLOSE_LONG);
    host.settle_within(5 * MINUTE);
    assert!(held(&host).is_zero(), "{:?}", host.view(&close));
    assert_eq!(host.status(&entry), SignalStatus::Cancelled);
    assert_eq!(outcome(&host, &close), FILLED);
}

#[test]
fn in_a_pause_the_end_of_an_entry_that_exits_wait_for_is_looked_up() {
    let host = holding("1");
    let rest = r#","orderType":"limit","price":"90","timeInForce":"GTC""#;
    let entry = host.rests(&long("0.5", rest));
    for _ in 0..5 {
        host.fail(Call::Cancel, When::Before, limited(HOUR));
        host.fail(Call::LookUp, When::Before, limited(HOUR));
    }
    let close = host.accept(CLOSE_LONG);
    host.settle_within(MINUTE);
    host.exchange.borrow_mut().fill_resting(1, host.now());
    host.settle_within(10 * MINUTE);
    assert!(held(&host).is_zero(), "{:?}", host.view(&close));
    assert_eq!(host.status(&entry), SignalStatus::PartlyFilled);
    assert_eq!(outcome(&host, &close), FILLED);
}

#[test]
fn no_order_of_an_exit_is_passed_over_because_another_one_is_in_doubt() {
    let host = holding("1");
    host.fail(Call::PlaceOrder, When::Before, error(ErrorClass::Unknown));
    host.exchange.borrow_mut().manners.next_fills = vec![30];
    let close = host.accept(CLOSE_LONG);
    host.settle_within(4_000);
    while host.exchange.borrow().orders.len() < 2 {
        host.tick();
    }
    // The run that had it taken died before it looked it up.
    host.sql("UPDATE orders SET data = json_remove(data, '$.lookAt'), state = 'acknowledged' WHERE leg = 1 AND closes = 1");
    host.settle_within(30_000);
    assert!(held(&host).is_zero(), "{:?}", host.view(&close));
}

#[test]
fn a_flip_closes_what_an_entry_that_rests_has_filled_unheard() {
    let host = Host::new();
    let rest = r#","quantity":"1.5","orderType":"limit","price":"110","timeInForce":"GTC""#;
    host.rests(&btc("sell", rest));
    host.exchange.borrow_mut().fill_resting(1, host.now());
    assert!(!held(&host).is_zero());
    // Nothing is read for longer than the opening may wait.
    for _ in 0..12 {
        host.fail(Call::Position, When::Before, error(ErrorClass::Location));
    }
    for _ in 0..8 {
        host.fail(Call::LookUp, When::Before, error(ErrorClass::Location));
        host.fail(Call::Cancel, When::Before, error(ErrorClass::Location));
    }
    let flip = host.accept(&btc("reverse", r#","quantity":"0.2""#));
    host.settle_within(9 * MINUTE);
    assert!(held(&host).is_zero(), "{:?}", host.view(&flip));
}

#[test]
fn a_flip_turns_no_leg_of_a_symbol_in_hedge_mode() {
    let symbol: hoox_model::Symbol = "BTCUSDT".parse().unwrap();
    let host = Host::new();
    let legs = (decimal("2"), decimal("3"));
    host.exchange.borrow_mut().legs.insert(symbol.clone(), legs);
    for body in [
        btc("LONG", r#","quantity":"1""#),
        btc("reverse", ""),
        target("short", "1"),
    ] {
        let id = host.accept(&body);
        host.settle_within(MINUTE);
        assert_eq!(host.view(&id).code, Some(Code::Rejected), "{body}");
        assert_eq!(host.exchange.borrow().legs[&symbol], legs, "{body}");
    }
}

#[test]
fn what_opens_with_nothing_to_close_waits_for_no_entry_that_rests() {
    let host = Host::new();
    let rest = r#","orderType":"limit","price":"90","timeInForce":"GTC""#;
    let resting = host.accept(&long("0.5", rest));
    let entry = host.accept(&btc("SHORT", r#","quantity":"1""#));
    host.settle_within(MINUTE);
    assert_eq!(outcome(&host, &entry), FILLED);
    assert_eq!(host.status(&resting), SignalStatus::Acknowledged);
}

#[test]
fn the_fills_of_an_exit_that_rests_are_recorded_as_they_come() {
    let host = holding("3");
    let rest = r#","quantity":"2","orderType":"limit","price":"150","timeInForce":"GTC""#;
    let close = host.rests(&btc("close", rest));
    host.exchange.borrow_mut().fill_resting(1, host.now());
    host.settle_within(5 * MINUTE);
    assert!(!host.status(&close).is_final());
    let order = host.view(&close).orders.remove(0);
    let recorded = host.latest().into_iter().any(|record| {
        matches!(record, Record::Fill(fill) if fill.client_order_id == order.client_order_id)
    });
    assert!(recorded, "{order:?}");
}

#[test]
fn dust_is_read_before_it_is_closed_in_a_pause_and_where_the_position_cannot_be_read() {
    let paused = limited(5 * MINUTE);
    let unread = error(ErrorClass::Unavailable);
    for (failures, failure, within) in [(1, paused, 3 * MINUTE), (4, unread, 10 * MINUTE)] {
        let host = Host::new();
        host.exchange
            .borrow_mut()
            .set_held(host.now(), "BTCUSDT", "0.0004");
        // Our record shows it from then on.
        host.accept(&btc("CLOSE_SHORT", ""));
        host.settle();
        host.advance(2 * MINUTE);
        for _ in 0..failures {
            host.fail(Call::Position, When::Before, failure.clone());
        }
        let close = host.accept(CLOSE);
        host.settle_within(within);
        assert!(held(&host).is_zero(), "{:?}", host.view(&close));
        host.settle();
        assert_eq!(outcome(&host, &close), FILLED);
    }
}

#[test]
fn a_refusal_of_an_exit_in_a_pause_lengthens_nothing() {
    let host = holding("1");
    host.fail(Call::Position, When::Before, limited(MINUTE));
    let entry = host.accept(&long("1", r#","maxLag":600"#).replace("BTC", "XRP"));
    host.drive();
    for _ in 0..2 {
        host.fail(Call::PlaceOrder, When::Before, limited(HOUR));
    }
    host.accept(CLOSE_LONG);
    host.settle_within(2 * MINUTE);
    assert_eq!(outcome(&host, &entry), FILLED);
}

#[test]
fn a_ban_is_not_probed_before_its_end_and_is_told_at_once() {
    let host = holding("1");
    host.fail(Call::Position, When::Before, banned(Some(5 * MINUTE)));
    let asked = host.now();
    let close = host.accept(CLOSE_LONG);
    host.drive();
    let calls = host.calls();
    host.settle_within(1_000);
    let told = message(&host, &close);
    assert!(
        told.starts_with("not done yet: ") && told.contains("until"),
        "{told}"
    );
    host.settle_within(5 * MINUTE - 2_000);
    assert_eq!(host.venue_calls_since(calls), 0);
    host.settle();
    assert_eq!(outcome(&host, &close), FILLED);
    // Some seconds after it, because clocks differ, those of two machines included.
    assert_eq!(times(&host, Call::PlaceOrder, asked), [5 * MINUTE + 5_000]);
}

#[test]
fn a_ban_that_the_venue_tells_where_its_clock_is_read_is_not_probed_before_its_end() {
    let host = holding("1");
    host.fail(Call::Position, When::Before, error(ErrorClass::ClockSkew));
    host.fail(Call::SyncClock, When::Before, banned(Some(5 * MINUTE)));
    let close = host.accept(CLOSE_LONG);
    host.drive();
    assert_eq!(host.count(Call::SyncClock), 1);
    let calls = host.calls();
    host.settle_within(5 * MINUTE - 2_000);
    assert_eq!(host.venue_calls_since(calls), 0);
    host.settle();
    assert_eq!(outcome(&host, &close), FILLED);
}

#[test]
fn a_ban_that_another_symbol_was_told_of_meanwhile_is_not_probed_before_its_end() {
    let host = holding("1");
    host.accept(&long("1", "").replace("BTC", "ETH"));
    host.settle();
    host.advance(2 * MINUTE);
    host.fail(Call::Position, When::Before, banned(Some(5 * MINUTE)));
    let half = btc("CLOSE_LONG", r#","quantity":50,"quantityType":"quote""#);
    let (asked, tickers) = (host.now(), host.count(Call::Ticker));
    let closes = [half.clone(), half.replace("BTC", "ETH")].map(|body| host.accept(&body));
    host.drive();
    host.settle_within(5 * MINUTE - 2_000);
    assert_eq!(times(&host, Call::Position, asked), [0, 0]);
    assert_eq!(
        host.count(Call::Ticker),
        tickers,
        "after the answer to the other"
    );
    host.settle();
    for close in &closes {
        assert_eq!(outcome(&host, close), FILLED);
    }
}

/// Only what is held has a size that a price tells: where the position shows nothing, no failure of the ticker holds the
/// exit up, whether the record shows nothing as well or there is none, and whether it is read at once.
#[test]
fn a_close_by_value_of_what_is_not_held_asks_no_price_and_ends() {
    let by_value = r#","quantity":50,"quantityType":"quote","maxLag":3600"#;
    for (recorded, late) in [(false, false), (false, true), (true, false), (true, true)] {
        let host = Host::new();
        if recorded {
            host.accept(&btc("CLOSE_LONG", r#","quantity":1"#));
            host.settle();
            host.advance(2 * MINUTE);
        }
        for _ in 0..2_000 {
            host.fail(Call::Ticker, When::Before, error(ErrorClass::UnknownSymbol));
        }
        if late {
            for _ in 0..6 {
                host.fail(Call::Position, When::Before, error(ErrorClass::Unknown));
            }
        }
        let close = host.accept(&btc("CLOSE_LONG", by_value));
        host.settle_within(5 * MINUTE);
        assert_eq!(
            (host.status(&close), host.count(Call::Ticker)),
            (SignalStatus::NothingToDo, 0),
            "{recorded} {late}"
        );
        host.check_books();
    }
}

#[test]
fn a_ban_that_storage_could_not_keep_is_not_probed_before_its_end() {
    for number in 0..12 {
        let host = holding("1");
        let (asked, before) = (host.now(), host.count(Call::Position));
        host.fail(Call::Position, When::Before, banned(Some(5 * MINUTE)));
        let close = host.accept(CLOSE_LONG);
        let at = host.transactions() + number;
        host.faults.borrow_mut().store_at.push((at, When::Before));
        host.settle_within(4 * MINUTE);
        assert_eq!(host.count(Call::Position), before + 1, "{number}");
        assert!(times(&host, Call::PlaceOrder, asked).is_empty(), "{number}");
        host.settle();
        assert_eq!(outcome(&host, &close), FILLED, "{number}");
    }
}

#[test]
fn a_ban_without_an_end_is_probed_once_in_sixty_seconds() {
    let host = holding("1");
    for _ in 0..3 {
        host.fail(Call::Position, When::Before, banned(None));
    }
    let asked = host.now();
    let close = host.accept(CLOSE_LONG);
    host.drive();
    host.settle();
    assert_eq!(outcome(&host, &close), FILLED);
    assert_eq!(
        times(&host, Call::Position, asked)[..4],
        [0, 61_000, 122_000, 183_000]
    );
}

// What it may close.

#[test]
fn a_position_that_the_trader_turned_is_not_closed() {
    let host = holding("0.1");
    fail_often(&host, Call::Position, ErrorClass::Unavailable);
    fail_often(&host, Call::PlaceOrder, ErrorClass::Unavailable);
    let close = host.accept(CLOSE);
    host.settle_within(20_000);
    set_held(&host, "-0.7");
    works_again(&host);
    host.settle();
    assert_eq!(held(&host), decimal("-0.7"));
    assert_eq!(host.status(&close), SignalStatus::NothingToDo);
    assert_eq!(taken(&host).len(), 1);
}

#[test]
fn no_more_is_closed_than_was_held_and_what_is_left_is_told() {
    let host = holding("0.1");
    fail_often(&host, Call::Position, ErrorClass::Unavailable);
    let close = host.accept(CLOSE);
    host.settle_within(4_000);
    set_held(&host, "0.5");
    works_again(&host);
    host.settle();
    assert_eq!(held(&host), decimal("0.4"));
    assert!(
        message(&host, &close).contains("0.4 more"),
        "{}",
        message(&host, &close)
    );
}

#[test]
fn the_first_position_read_in_time_is_what_existed() {
    let host = holding("0.1");
    set_held(&host, "0.5");
    let close = host.accept(CLOSE);
    host.settle();
    assert_eq!(outcome(&host, &close), FILLED);
    assert!(held(&host).is_zero());
}

#[test]
fn a_first_position_read_late_is_not_what_existed() {
    let host = holding("0.1");
    host.accept(CLOSE);
    host.advance(3_001);
    set_held(&host, "0.5");
    host.settle();
    assert_eq!(held(&host), decimal("0.4"));
}

#[test]
fn without_a_record_the_first_read_counts_on_the_side_that_the_action_names() {
    for (action, after) in [("CLOSE_LONG", "-0.7"), ("CLOSE_SHORT", "0"), ("close", "0")] {
        let host = Host::new();
        set_held(&host, "0.7");
        fail_often(&host, Call::Position, ErrorClass::Unavailable);
        let close = host.accept(&btc(action, ""));
        host.settle_within(20_000);
        set_held(&host, "-0.7");
        works_again(&host);
        host.settle();
        assert_eq!(held(&host), decimal(after), "{action}");
        assert!(succeeded(&host, &close), "{action}");
    }
}

#[test]
fn positions_that_lag_keep_no_exit_from_closing() {
    for lag in [8_000, 30_000, 59_000] {
        let host = Host::new();
        host.exchange.borrow_mut().manners.position_lag_ms = lag;
        host.accept(&long("0.1", ""));
        host.drive();
        let close = host.accept(CLOSE_LONG);
        host.settle();
        assert_eq!(outcome(&host, &close), FILLED, "{lag}");
        assert!(held(&host).is_zero(), "{lag}");
        assert_eq!(taken(&host).len(), 2, "{lag}");

        let flip = host.accept(&btc("SHORT", r#","quantity":"0.1""#));
        host.settle();
        assert_eq!(outcome(&host, &flip), FILLED, "{lag}");
        let back = host.accept(&long("0.2", r#","maxLag":300"#));
        host.settle();
        assert_eq!(outcome(&host, &back), FILLED, "{lag}");
        assert_eq!(held(&host), decimal("0.2"), "{lag}");
    }
}

#[test]
fn a_target_reckons_with_our_own_fill_where_positions_lag() {
    for lag in [8_000, 45_000] {
        let host = Host::new();
        host.exchange.borrow_mut().manners.position_lag_ms = lag;
        host.accept(&long("0.1", ""));
        host.drive();
        let more = host.accept(&target("long", "0.2"));
        host.settle();
        assert_eq!(held(&host), decimal("0.2"), "{lag}");
        assert_eq!(outcome(&host, &more), FILLED, "{lag}");
        let less = host.accept(&target("long", "0.15"));
        host.settle();
        assert_eq!(held(&host), decimal("0.15"), "{lag}");
        assert_eq!(outcome(&host, &less), FILLED, "{lag}");
    }
}

#[test]
fn a_leg_of_a_symbol_in_hedge_mode_is_closed_as_a_leg() {
    let host = Host::new();
    let symbol: hoox_model::Symbol = "BTCUSDT".parse().unwrap();
    let legs = (decimal("2"), decimal("3"));
    host.exchange.borrow_mut().legs.insert(symbol.clone(), legs);
    let close = host.accept(CLOSE_LONG);
    host.settle();
    assert_eq!(outcome(&host, &close), FILLED);
    assert_eq!(
        host.exchange.borrow().legs[&symbol],
        (Decimal::ZERO, decimal("3"))
    );
    let part = host.accept(&btc("CLOSE_SHORT", r#","quantity":"1""#));
    host.settle();
    assert_eq!(outcome(&host, &part), FILLED);
    assert_eq!(
        host.exchange.borrow().legs[&symbol],
        (Decimal::ZERO, decimal("2"))
    );
    let spec = host.exchange.borrow().orders[1].spec.clone();
    assert_eq!(
        (spec.side, spec.leg),
        (Side::Buy, Some(PositionSide::Short))
    );
}

#[test]
fn a_close_of_a_symbol_in_hedge_mode_closes_both_legs() {
    let symbol: hoox_model::Symbol = "BTCUSDT".parse().unwrap();
    let held = |host: &Host| host.exchange.borrow().legs[&symbol];
    let host = Host::new();
    let legs = (decimal("2"), decimal("3"));
    host.exchange.borrow_mut().legs.insert(symbol.clone(), legs);
    let part = host.accept(&btc("close", r#","quantity":"1""#));
    host.settle();
    let view = host.view(&part);
    assert_eq!(view.code, Some(Code::BadField));
    assert!(view.message.unwrap().contains("CLOSE_LONG"));
    assert_eq!(held(&host), legs);
    for rest in [
        "",
        r#","orderType":"limit","price":"100","timeInForce":"IOC""#,
    ] {
        host.exchange.borrow_mut().legs.insert(symbol.clone(), legs);
        let orders = host.exchange.borrow().orders.len();
        let close = host.accept(&btc("close", rest));
        host.settle();
        assert_eq!(outcome(&host, &close), FILLED, "{rest}");
        assert_eq!(held(&host), (Decimal::ZERO, Decimal::ZERO), "{rest}");
        assert_eq!(host.exchange.borrow().orders.len(), orders + 2, "{rest}");
    }
}

#[test]
fn a_leg_that_cannot_be_closed_holds_up_nothing_of_the_other() {
    let symbol: hoox_model::Symbol = "BTCUSDT".parse().unwrap();
    let host = Host::new();
    host.exchange.borrow_mut().manners.closes_all = false;
    let legs = (decimal("0.0001"), decimal("3"));
    host.exchange.borrow_mut().legs.insert(symbol.clone(), legs);
    let close = host.accept(&btc("close", ""));
    host.settle();
    let view = host.view(&close);
    assert_eq!(view.code, Some(Code::BelowMinimum));
    assert_eq!(view.status, SignalStatus::PartlyFilled);
    let message = view.message.unwrap();
    assert_eq!(
        message.matches("0.0001 is left of the long leg").count(),
        1,
        "{message}"
    );
    assert_eq!(
        host.exchange.borrow().legs[&symbol],
        (decimal("0.0001"), Decimal::ZERO)
    );
}

// Reduce-only signals.

#[test]
fn reduce_only_signals_close_the_other_side_by_at_most_their_quantity() {
    for (held_before, action, quantity, after) in [
        ("-0.5", "buy", "0.2", "-0.3"),
        ("-0.5", "LONG", "0.2", "-0.3"),
        ("-0.5", "buy", "0.9", "0"),
        ("0.5", "sell", "0.2", "0.3"),
        ("0.5", "SHORT", "0.9", "0"),
        ("0.5", "buy", "0.2", "0.5"),
        ("-0.5", "SHORT", "0.2", "-0.5"),
        ("0", "sell", "0.2", "0"),
    ] {
        let host = Host::new();
        set_held(&host, held_before);
        let rest = format!(r#","quantity":"{quantity}","reduceOnly":true"#);
        let id = host.accept(&btc(action, &rest));
        host.settle();
        assert_eq!(
            held(&host),
            decimal(after),
            "{held_before} {action} {quantity}"
        );
        assert!(succeeded(&host, &id), "{held_before} {action} {quantity}");
    }
}

#[test]
fn reverse_and_target_with_reduce_only_do_only_their_closing_part() {
    for (held_before, body, after) in [
        ("0.5", btc("reverse", r#","reduceOnly":true"#), "0"),
        (
            "0.5",
            target("short", "0.3").replace('}', r#","reduceOnly":true}"#),
            "0",
        ),
        (
            "0.5",
            target("long", "0.3").replace('}', r#","reduceOnly":true}"#),
            "0.3",
        ),
        (
            "0.5",
            target("long", "0.9").replace('}', r#","reduceOnly":true}"#),
            "0.5",
        ),
    ] {
        let host = Host::new();
        set_held(&host, held_before);
        host.accept(&body);
        host.settle();
        assert_eq!(held(&host), decimal(after), "{body}");
        let exchange = host.exchange.borrow();
        assert!(
            exchange
                .orders
                .iter()
                .all(|order| order.spec.effect.closes()),
            "{body}"
        );
    }
}

// The kill switch.

#[test]
fn the_mode_that_stops_everything_stops_an_exit_that_has_begun() {
    let host = holding("1");
    host.exchange.borrow_mut().manners.next_fills = vec![30, 30, 30, 30];
    let close = host.accept(CLOSE_LONG);
    host.settle_within(1_000);
    host.set_kill(KillMode::All, 2);
    let left = held(&host);
    assert!(!left.is_zero());
    host.settle();
    assert_eq!(held(&host), left);
    assert_eq!(
        outcome(&host, &close),
        (SignalStatus::PartlyFilled, Some(Code::KillSwitch))
    );
}

#[test]
fn under_the_switch_for_entries_what_reduces_is_taken_and_judged_at_the_plan() {
    for action in ["LONG", "buy"] {
        let host = Host::new();
        set_held(&host, "-0.5");
        host.set_kill(KillMode::Entries, 2);
        let id = host.accept(&btc(action, r#","quantity":"0.5""#));
        host.settle();
        assert!(held(&host).is_zero(), "{action}");
        // LONG closes and then opens: its second leg is what the switch forbids.
        let opens = action == "LONG";
        assert_eq!(succeeded(&host, &id), !opens, "{action}");
        let told = host.code(&id);
        assert_eq!(told, opens.then_some(Code::KillSwitch), "{action}");
    }
}

#[test]
fn a_plain_order_that_is_cut_to_what_it_reduces_is_no_success() {
    let host = Host::new();
    set_held(&host, "-0.5");
    host.set_kill(KillMode::Entries, 2);
    let id = host.accept(&btc("buy", r#","quantity":"0.9""#));
    host.settle();
    assert!(held(&host).is_zero());
    assert_eq!(host.code(&id), Some(Code::KillSwitch));
    assert!(!succeeded(&host, &id));
}

#[test]
fn what_the_plan_refuses_for_the_switch_may_come_again() {
    let host = Host::new();
    host.set_kill(KillMode::Entries, 2);
    let body = long("0.5", "");
    let id = host.accept(&body);
    host.settle();
    assert_eq!(
        outcome(&host, &id),
        (SignalStatus::Refused, Some(Code::KillSwitch))
    );
    assert_eq!(host.count(Call::PlaceOrder), 0);
    host.set_kill(KillMode::Off, 3);
    let again = host.accept(&body);
    host.settle();
    assert_eq!(outcome(&host, &again), FILLED);
    assert_eq!(host.refused(&body).code, Code::Duplicate);
}

#[test]
fn a_fresh_record_refuses_at_once_what_does_not_reduce() {
    let host = holding("1");
    host.accept(&long("1", r#","comment":"again""#));
    host.settle();
    host.set_kill(KillMode::Entries, 2);
    assert_eq!(host.refused(&long("2", "")).code, Code::KillSwitch);
    host.advance(10 * MINUTE);
    let late = host.accept(&long("3", ""));
    host.settle();
    assert_eq!(host.code(&late), Some(Code::KillSwitch));
}

// A target that only makes the position smaller is a partial exit.

#[test]
fn a_target_that_reduces_gets_out_behind_an_entry_in_doubt() {
    let host = holding("1");
    entry_in_doubt(&host, &long("0.5", ""));
    host.settle_within(7_000);
    let less = host.accept(&target("long", "0.4"));
    host.settle_within(10_000);
    assert_eq!(held(&host), decimal("0.4"), "{:?}", host.view(&less));
    assert_eq!(outcome(&host, &less), FILLED);
}

#[test]
fn a_target_that_reduces_is_not_ended_by_a_page() {
    let host = holding("1");
    host.fail(Call::Position, When::Before, error(ErrorClass::Location));
    let less = host.accept(&target("long", "0.4"));
    host.settle();
    assert_eq!(outcome(&host, &less), FILLED);
    assert_eq!(held(&host), decimal("0.4"));
}

#[test]
fn a_target_that_reduces_goes_on_when_it_fills_in_part() {
    let host = holding("1");
    host.exchange.borrow_mut().manners.next_fills = vec![50];
    let less = host.accept(&target("long", "0.4"));
    host.settle();
    assert_eq!(outcome(&host, &less), FILLED);
    assert_eq!(held(&host), decimal("0.4"));
    assert!(succeeded(&host, &less));
}

#[test]
fn a_revoked_senders_exit_that_sent_nothing_can_be_replayed() {
    let host = holding("1");
    fail_often(&host, Call::Position, ErrorClass::Unavailable);
    fail_often(&host, Call::PlaceOrder, ErrorClass::Unavailable);
    let close = host.accept(CLOSE_LONG);
    host.drive();
    host.configure(2, KillMode::Off, 1, &[]);
    works_again(&host);
    host.settle();
    assert_eq!(held(&host), decimal("1"));
    assert_eq!(host.code(&close), Some(Code::NotPermitted));
    let dead = host.sql("SELECT id FROM signal WHERE dead = 1");
    assert_eq!(dead, [[hoox_store::Value::Text(close.to_string())]]);
}

#[test]
fn a_close_whose_order_is_limited_for_an_hour_goes_on() {
    let host = holding("1");
    host.fail(Call::PlaceOrder, When::Before, limited(HOUR));
    let close = host.accept(CLOSE_LONG);
    host.settle_within(2 * MINUTE);
    assert!(held(&host).is_zero(), "{:?}", host.view(&close));
    // What it traded is recorded after the pause.
    host.settle_within(2 * HOUR);
    assert_eq!(outcome(&host, &close), FILLED);
}

#[test]
fn a_banned_order_is_told_at_once_and_goes_out_after_the_ban() {
    let host = holding("1");
    host.fail(Call::PlaceOrder, When::Before, banned(Some(5 * MINUTE)));
    let asked = host.now();
    let close = host.accept(CLOSE_LONG);
    host.drive();
    assert!(message(&host, &close).contains("until"));
    host.settle();
    assert_eq!(outcome(&host, &close), FILLED);
    let sent = times(&host, Call::PlaceOrder, asked);
    assert!(sent.len() == 2 && sent[1] >= 5 * MINUTE, "{sent:?}");
}

#[test]
fn a_late_fill_that_comes_after_a_later_entry_is_told_apart() {
    // In doubt, closed, opened anew: only what the entry in doubt filled is closed then.
    let host = holding("1");
    let entry = entry_in_doubt(&host, &long("0.5", ""));
    host.settle_within(7_000);
    let close = host.accept(CLOSE_LONG);
    host.settle_within(5_000);
    assert!(held(&host).is_zero());
    let later = host.accept(&long("0.2", r#","maxLag":1800"#));
    host.settle_within(5_000);
    arrive(&host, &entry);
    host.settle();
    assert_eq!(outcome(&host, &close), FILLED);
    assert_eq!(outcome(&host, &later), FILLED);
    assert_eq!(held(&host), decimal("0.2"));
    host.check_books();
}

#[test]
fn a_page_to_an_order_call_is_in_doubt_and_a_full_exit_still_gets_out() {
    // What an adapter makes of a 403 page to an order call.
    for unique in [true, false] {
        let host = holding("1");
        host.exchange.borrow_mut().manners.unique_ids = unique;
        host.fail(Call::PlaceOrder, When::After, error(ErrorClass::Unknown));
        host.exchange.borrow_mut().manners.look_up_lag_ms = 8_000;
        let close = host.accept(CLOSE_LONG);
        host.settle();
        assert_eq!(outcome(&host, &close), FILLED);
        assert_eq!(taken(&host), ["buy 1 opens", "sell 1 closes"]);
        host.check_books();
    }
}

// What is known of our fills.

/// Our record of the position.
fn recorded(host: &Host) -> String {
    let found = host.sql("SELECT quantity FROM holding WHERE symbol = 'BTCUSDT'");
    match found.first().and_then(|row| row.first()) {
        Some(hoox_store::Value::Text(text)) => text.clone(),
        other => format!("{other:?}"),
    }
}

/// An entry of this size whose fill nobody has heard of, and that is not shown for so long.
fn unheard(host: &Host, quantity: &str, lag_ms: i64) -> SignalId {
    host.fail(Call::PlaceOrder, When::After, error(ErrorClass::Unknown));
    host.exchange.borrow_mut().manners.look_up_lag_ms = lag_ms;
    let entry = host.accept(&long(quantity, ""));
    host.settle_within(3_000);
    assert_eq!(host.status(&entry), SignalStatus::Sending);
    entry
}

#[test]
fn a_close_of_what_nobody_has_heard_of_leaves_our_record_on_no_other_side() {
    let host = Host::new();
    let entry = unheard(&host, "2", MINUTE);
    let close = host.accept(CLOSE_LONG);
    host.settle_within(5_000);
    assert!(held(&host).is_zero());
    assert_eq!(recorded(&host), "0", "what is reduce-only turns nothing");
    // So nothing is taken for a short position that could be closed, or told.
    let other = host.accept(&btc("CLOSE_SHORT", ""));
    host.settle_within(5_000);
    assert_eq!(taken(&host), ["buy 2 opens", "sell 2 closes"]);
    host.settle();
    assert_eq!(outcome(&host, &entry), FILLED);
    assert_eq!(outcome(&host, &close), FILLED);
    assert_eq!(
        outcome(&host, &other),
        (SignalStatus::NothingToDo, None),
        "{}",
        message(&host, &other)
    );
    assert_eq!(recorded(&host), "0");
    // What opens later is its own again.
    host.accept(&long("1", ""));
    host.settle();
    assert_eq!(recorded(&host), "1");
    host.check_books();
}

#[test]
fn what_an_entry_turned_after_a_close_that_was_heard_of_later_is_recorded_and_closed() {
    let host = holding("2");
    let rest = r#","quantity":"2","orderType":"limit","price":"150","timeInForce":"GTC""#;
    let close = host.rests(&btc("CLOSE_LONG", rest));
    // It fills before the entry is sent, which is planned by a position that lags and heard of first.
    let lag = |millis| host.exchange.borrow_mut().manners.position_lag_ms = millis;
    lag(MINUTE);
    let list_lag = |millis| host.exchange.borrow_mut().manners.orders_lag_ms = millis;
    list_lag(MINUTE);
    host.exchange.borrow_mut().fill_resting(2, host.now());
    let entry = host.accept(&btc("sell", r#","quantity":"0.5""#));
    host.settle_within(1_000);
    list_lag(0);
    assert_eq!(outcome(&host, &entry), FILLED);
    assert_eq!(recorded(&host), "1.5");
    host.settle_within(20_000);
    assert_eq!(outcome(&host, &close), FILLED);
    assert_eq!(recorded(&host), "-0.5");
    assert_eq!(held(&host), decimal("-0.5"));
    // The first position comes too late to count, so that the record does.
    fail_often(&host, Call::Position, ErrorClass::Unavailable);
    let cover = host.accept(&btc("CLOSE_SHORT", ""));
    host.settle_within(20_000);
    assert!(held(&host).is_zero(), "{:?}", host.view(&cover));
    works_again(&host);
    host.settle();
    assert_eq!(outcome(&host, &cover), FILLED);
    assert_eq!(recorded(&host), "0");
}

#[test]
fn a_position_that_showed_a_part_of_a_fill_is_taken_off_as_much_and_no_more() {
    let host = Host::new();
    let limit = |quantity: &str, price: &str| {
        let rest = format!(r#","quantity":{quantity},"orderType":"limit","price":{price}"#);
        host.accept(&btc("buy", &rest));
        host.settle_within(MINUTE);
    };
    limit("5", "90");
    // What it fills only the position shows, which another signal's plan reads.
    let look_ups = |lag_ms| host.exchange.borrow_mut().manners.look_up_lag_ms = lag_ms;
    look_ups(HOUR);
    host.exchange.borrow_mut().fill_resting(1, host.now());
    host.advance(MINUTE);
    limit("2", "80");
    assert_eq!(recorded(&host), "1");
    host.exchange.borrow_mut().fill_first(4, host.now());
    look_ups(0);
    host.settle_within(5 * MINUTE);
    assert_eq!(recorded(&host), "4");
    assert_eq!(held(&host).to_string(), "4");
}

#[test]
fn what_a_position_showed_before_a_look_up_that_lags_is_counted_once() {
    let host = Host::new();
    let rest = r#","quantity":5,"orderType":"limit","price":90"#;
    let entry = host.rests(&btc("buy", rest));
    // It fills, which the close finds in the position and look-ups do not show yet.
    host.exchange.borrow_mut().manners.look_up_fill_lag_ms = 20_000;
    host.exchange.borrow_mut().fill_resting(5, host.now());
    host.accept(CLOSE_LONG);
    host.settle_within(5_000);
    assert!(held(&host).is_zero());
    assert_eq!(host.status(&entry), SignalStatus::Acknowledged);
    host.settle_within(40_000);
    assert_eq!(outcome(&host, &entry), FILLED);
    assert_eq!(recorded(&host), "0");
    // So nothing that somebody opens by hand is taken for it.
    let flat = host.accept(&target("flat", "0"));
    host.settle_within(5_000);
    set_held(&host, "1");
    host.settle();
    assert_eq!(held(&host), decimal("1"), "{:?}", host.view(&flat));
    assert_eq!(host.status(&flat), SignalStatus::NothingToDo);
}

#[test]
fn a_close_with_a_quantity_never_goes_by_the_form_that_closes_all() {
    let host = holding("1");
    set_held(&host, "0.0004");
    let close = host.accept(&btc("close", r#","quantity":"1""#));
    host.settle();
    assert_eq!(
        outcome(&host, &close),
        (SignalStatus::Refused, Some(Code::BelowMinimum))
    );
    assert!(message(&host, &close).contains("0.0004 is left"));
    assert_eq!(held(&host).to_string(), "0.0004");
}

#[test]
fn what_closes_all_is_planned_anew_and_not_sent_once_more() {
    let host = holding("1");
    set_held(&host, "0.0004");
    host.fail(Call::PlaceOrder, When::Before, error(ErrorClass::Unknown));
    let close = host.accept(CLOSE_LONG);
    host.settle();
    assert_eq!(outcome(&host, &close), FILLED);
    assert!(held(&host).is_zero());
    let exchange = host.exchange.borrow();
    let mut closes = exchange.orders.iter().filter(|order| order.spec.close_all);
    let id = closes.next().unwrap().spec.client_order_id.to_string();
    assert!(
        id.ends_with("-1"),
        "another order, and not the same once more"
    );
    assert!(closes.next().is_none());
}

#[test]
fn an_order_that_somebody_wants_ended_is_not_sent_once_more() {
    let host = Host::new();
    host.fail(Call::PlaceOrder, When::Before, error(ErrorClass::Unknown));
    let limit = r#","quantity":1,"orderType":"limit","price":90"#;
    host.accept(&btc("LONG", limit));
    host.settle_within(1_000);
    let flat = host.accept(&target("flat", "0"));
    host.settle_within(5 * MINUTE);
    assert!(taken(&host).is_empty(), "{:?}", taken(&host));
    host.settle();
    assert!(host.status(&flat).is_final());
    assert!(taken(&host).is_empty());
}

#[test]
fn look_ups_of_orders_in_doubt_do_not_take_every_call_of_a_pause() {
    let host = holding("1");
    host.exchange.borrow_mut().manners.unique_ids = false;
    host.fail(Call::Position, When::Before, limited(HOUR));
    for _ in 0..2 {
        host.fail(Call::PlaceOrder, When::Before, error(ErrorClass::Unknown));
    }
    host.accept(CLOSE_LONG);
    host.settle_within(4 * MINUTE);
    assert!(held(&host).is_zero());
}

#[test]
fn exits_take_turns_for_the_call_of_a_pause() {
    let host = holding("1");
    host.accept(r#"{"symbol":"ETHUSDT","action":"LONG","quantity":"1"}"#);
    host.settle();
    host.advance(2 * MINUTE);
    host.exchange.borrow_mut().manners.unique_ids = false;
    host.fail(Call::Position, When::Before, limited(HOUR));
    for _ in 0..3 {
        host.fail(Call::PlaceOrder, When::Before, error(ErrorClass::Unknown));
    }
    host.accept(CLOSE_LONG);
    host.settle_within(2_000);
    host.accept(r#"{"symbol":"ETHUSDT","action":"close"}"#);
    host.settle_within(5 * MINUTE);
    assert!(held(&host).is_zero());
    assert!(host.exchange.borrow().held("ETHUSDT").is_zero());
}

/// An account that has no record of BTCUSDT, of which `size` is held by hand, in a pause of five minutes.
fn paused_without_record(size: &str) -> Host {
    let host = Host::new();
    set_held(&host, size);
    host.fail(Call::Position, When::Before, limited(5 * MINUTE));
    host.accept(r#"{"symbol":"ETHUSDT","action":"buy","quantity":"1"}"#);
    host.drive();
    host
}

#[test]
fn without_a_record_a_reverse_and_a_target_close_in_a_pause_what_a_position_shows() {
    let reverse = btc("reverse", r#","maxLag":600"#);
    let state = r#","marketPosition":"short","marketPositionSize":"0.4","maxLag":600"#;
    for (flip, after) in [(reverse, "-1"), (btc("target", state), "-0.4")] {
        let host = paused_without_record("1");
        let id = host.accept(&flip);
        host.settle_within(MINUTE);
        assert_eq!(taken(&host), ["sell 1 closes"], "{flip}");
        // What it opens waits for the end of the pause, and calls nobody before.
        let before = host.log.borrow().len();
        host.settle_within(3 * MINUTE);
        let in_pause: Vec<Call> = host
            .log
            .borrow()
            .iter()
            .skip(before)
            .map(|(call, _)| *call)
            .collect();
        assert!(
            in_pause
                .iter()
                .all(|call| !matches!(call, Call::Position | Call::PlaceOrder)),
            "{in_pause:?}"
        );
        assert!(!host.status(&id).is_final());
        host.settle();
        assert_eq!(held(&host), decimal(after), "{flip}");
    }
}

#[test]
fn without_a_record_a_reverse_or_target_that_finds_nothing_to_close_asks_once_in_a_pause() {
    let host = paused_without_record("0");
    let state = r#","marketPosition":"long","marketPositionSize":"1","leverage":7,"maxLag":600"#;
    let asked = |host: &Host| {
        let log = host.log.borrow();
        log.iter()
            .filter(|(call, _)| *call != Call::Deliver)
            .count()
    };
    let before = asked(&host);
    let id = host.accept(&btc("target", state));
    host.settle_within(4 * MINUTE);
    assert_eq!(asked(&host), before + 1, "{:?}", host.log.borrow());
    assert!(!host.status(&id).is_final());
    host.settle();
    assert_eq!(held(&host), decimal("1"));
}

#[test]
fn without_a_record_a_target_that_makes_the_position_smaller_does_so_in_a_pause() {
    let host = paused_without_record("1");
    host.accept(&target("long", "0.4"));
    host.settle_within(2 * MINUTE);
    assert_eq!(held(&host), decimal("0.4"));
}

/// Two exits that waited for one entry go on when its outcome is known: one after the other, as any two.
#[test]
fn exits_that_waited_for_an_entry_go_on_in_their_turn() {
    let host = Host::new();
    let manners = |look_up_lag_ms, position_lag_ms, fill_delay_ms| {
        let mut exchange = host.exchange.borrow_mut();
        exchange.manners.look_up_lag_ms = look_up_lag_ms;
        exchange.manners.position_lag_ms = position_lag_ms;
        exchange.manners.fill_delay_ms = fill_delay_ms;
    };
    manners(20_000, 15_000, 0);
    host.fail(Call::PlaceOrder, When::After, error(ErrorClass::Unknown));
    host.accept(&long("2", ""));
    host.settle_within(2_000);
    let first = host.accept(CLOSE);
    host.settle_within(1_000);
    let second = host.accept(CLOSE_LONG);
    host.settle_within(1_000);
    manners(0, 15_000, 8_000);
    // The entry is found, the closes of what it filled take their time.
    host.settle_within(5 * MINUTE);
    let exchange = host.exchange.borrow();
    let mut closes: Vec<_> = exchange
        .orders
        .iter()
        .filter(|order| order.spec.effect.closes())
        .collect();
    closes.sort_by_key(|order| order.created_at);
    for pair in closes.windows(2) {
        let ended = pair[0]
            .fills
            .iter()
            .map(|(_, _, at)| *at)
            .max()
            .unwrap_or(0);
        assert!(pair[1].created_at >= ended, "{pair:?}");
    }
    assert!(exchange.held("BTCUSDT").is_zero());
    drop(exchange);
    for exit in [&first, &second] {
        assert!(host.status(exit).is_final());
    }
}
