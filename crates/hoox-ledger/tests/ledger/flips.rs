//! Flips always close; what they open is judged after that. Resting orders go before a close.

use hoox_exchange::{ErrorClass, VenueError};
use hoox_ledger::Ledger;
use hoox_mesh::{KillMode, LegsView, SignalStatus};
use hoox_model::{Code, Decimal, SignalId, Timestamp};

use crate::world::{Call, Host, MINUTE, START, When, error};

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

fn succeeded(host: &Host, id: &SignalId) -> bool {
    let view = host.view(id);
    assert!(view.status.is_final(), "{view:?}");
    view.status.is_success() && !view.incomplete
}

fn legs(host: &Host, id: &SignalId) -> (String, Option<Code>, String, Option<Code>) {
    let LegsView { close, open } = host.view(id).legs.expect("a flip");
    (close.status, close.code, open.status, open.code)
}

fn told(
    close: &str,
    open: &str,
    code: Option<Code>,
) -> (String, Option<Code>, String, Option<Code>) {
    (close.to_owned(), None, open.to_owned(), code)
}

#[test]
fn a_flip_whose_opening_leg_cannot_be_closes() {
    let long = holding("10");
    let small = long.accept(&btc("SHORT", r#","quantity":"0.0001""#));
    long.settle();
    assert!(held(&long).is_zero());
    assert!(!succeeded(&long, &small));
    assert_eq!(
        legs(&long, &small),
        told("filled", "not_sent", Some(Code::BelowMinimum))
    );
    let sentence = long.view(&small).legs.unwrap().open.error.unwrap();
    assert!(
        sentence.contains("minimum") || sentence.contains("step"),
        "{sentence}"
    );
    let records = long.sql("SELECT quantity FROM holding");
    assert_eq!(records, [[hoox_store::Value::Text("0".to_owned())]]);
}

#[test]
fn a_flip_whose_leverage_is_refused_closes() {
    for class in [ErrorClass::Rejected, ErrorClass::Credentials] {
        let host = holding("10");
        host.fail(Call::SetLeverage, When::Before, error(class));
        let flip = host.accept(&btc("SHORT", r#","quantity":"1","leverage":50"#));
        host.settle();
        assert!(held(&host).is_zero(), "{class}");
        assert!(!succeeded(&host, &flip), "{class}");
        let (close, none, open, code) = legs(&host, &flip);
        assert_eq!(
            (close.as_str(), none, open.as_str()),
            ("filled", None, "not_sent")
        );
        assert!(code.is_some(), "{class}");
    }
}

#[test]
fn a_leverage_that_the_venue_does_not_offer_keeps_no_flip_from_closing() {
    let host = holding("10");
    let flip = host.accept(&btc("SHORT", r#","quantity":"1","leverage":150"#));
    host.settle();
    assert!(held(&host).is_zero());
    assert!(!succeeded(&host, &flip));
    assert_eq!(
        legs(&host, &flip),
        told("filled", "not_sent", Some(Code::Rejected))
    );
}

#[test]
fn leverage_is_set_between_the_legs() {
    let host = holding("10");
    let since = host.now();
    let flip = host.accept(&btc("SHORT", r#","quantity":"1","leverage":50"#));
    host.settle();
    assert!(succeeded(&host, &flip));
    assert_eq!(legs(&host, &flip), told("filled", "filled", None));
    assert_eq!(held(&host), decimal("-1"));
    let log = host.log.borrow();
    let changes = log
        .iter()
        .filter(|(call, at)| *at >= since && matches!(call, Call::PlaceOrder | Call::SetLeverage));
    let changes: Vec<Call> = changes.map(|(call, _)| *call).collect();
    assert_eq!(
        changes,
        [Call::PlaceOrder, Call::SetLeverage, Call::PlaceOrder]
    );
}

#[test]
fn an_opening_leg_that_the_venue_refuses_is_no_success() {
    let host = holding("10");
    host.pass(Call::PlaceOrder);
    host.fail(Call::PlaceOrder, When::Before, error(ErrorClass::Rejected));
    let flip = host.accept(&btc("SHORT", r#","quantity":"1""#));
    host.settle();
    assert!(held(&host).is_zero());
    assert!(!succeeded(&host, &flip));
    assert_eq!(
        legs(&host, &flip),
        told("filled", "rejected", Some(Code::Rejected))
    );
}

#[test]
fn the_closing_leg_of_a_flip_goes_on_like_any_exit() {
    let host = holding("1");
    host.exchange.borrow_mut().manners.next_fills = vec![30, 50, 100, 100];
    for _ in 0..5 {
        host.fail(Call::PlaceOrder, When::Before, error(ErrorClass::Rejected));
    }
    let flip = host.accept(&btc("SHORT", r#","quantity":"0.4""#));
    host.settle();
    assert!(succeeded(&host, &flip));
    assert_eq!(held(&host), decimal("-0.4"));
    host.check_books();
}

#[test]
fn a_flip_closes_after_its_entry_went_stale_and_then_stays_flat() {
    let host = holding("1");
    for _ in 0..18 {
        host.fail(Call::PlaceOrder, When::Before, error(ErrorClass::Rejected));
    }
    let flip = host.accept(&btc("SHORT", r#","quantity":"0.4""#));
    host.settle();
    assert!(held(&host).is_zero());
    assert!(!succeeded(&host, &flip));
    assert_eq!(
        legs(&host, &flip),
        told("filled", "not_sent", Some(Code::Stale))
    );
}

#[test]
fn a_flip_behind_an_entry_in_doubt_closes_at_once_and_opens_after_its_outcome() {
    let host = holding("1");
    host.exchange.borrow_mut().manners.unique_ids = false;
    host.exchange.borrow_mut().manners.look_up_lag_ms = 20_000;
    host.fail(Call::PlaceOrder, When::After, error(ErrorClass::Unknown));
    let entry = host.accept(&btc("LONG", r#","quantity":"0.5""#));
    host.drive();
    let flip = host.accept(&btc("SHORT", r#","quantity":"0.3""#));
    host.settle_within(3_000);
    assert!(held(&host).is_zero(), "{:?}", host.view(&flip));
    host.settle();
    assert_eq!(host.status(&entry), SignalStatus::Filled);
    assert!(succeeded(&host, &flip), "{:?}", host.view(&flip));
    assert_eq!(held(&host), decimal("-0.3"));
    host.check_books();
}

#[test]
fn a_flip_behind_an_entry_that_stays_in_doubt_stays_flat() {
    let host = holding("1");
    host.exchange.borrow_mut().manners.unique_ids = false;
    host.fail(Call::PlaceOrder, When::Before, error(ErrorClass::Unknown));
    host.accept(&btc("LONG", r#","quantity":"0.5""#));
    host.drive();
    let flip = host.accept(&btc("SHORT", r#","quantity":"0.3""#));
    host.settle_within(3_000);
    assert!(held(&host).is_zero(), "{:?}", host.view(&flip));
    host.settle();
    assert!(held(&host).is_zero());
    assert!(!succeeded(&host, &flip));
    assert_eq!(legs(&host, &flip).2, "not_sent");
}

/// An alert that fired `age` milliseconds ago.
fn fired(host: &Host, age: i64, action: &str, rest: &str) -> String {
    let at = host.now() - age;
    btc(action, &format!(r#"{rest},"timestamp":{at}"#))
}

#[test]
fn a_flip_of_what_the_record_shows_is_taken_until_ten_minutes_after_it_fired() {
    let host = holding("1");
    let age = 10 * MINUTE - 1_500;
    let flip = host.accept(&fired(&host, age, "SHORT", r#","quantity":"0.3""#));
    host.drive();
    host.settle();
    assert!(held(&host).is_zero());
    assert!(!succeeded(&host, &flip));
    assert_eq!(
        legs(&host, &flip),
        told("filled", "not_sent", Some(Code::Stale))
    );
}

#[test]
fn an_old_flip_is_stale_where_the_record_does_not_show_the_other_side() {
    let flat = Host::new();
    let problem = flat.refused(&fired(&flat, 2 * MINUTE + 500, "SHORT", r#","quantity":1"#));
    assert_eq!(problem.code, Code::Stale);
    let long = holding("1");
    let problem = long.refused(&fired(&long, 2 * MINUTE + 500, "LONG", r#","quantity":1"#));
    assert_eq!(problem.code, Code::Stale);
    assert_eq!(long.count(Call::PlaceOrder), 1);
}

#[test]
fn a_flip_that_comes_too_often_closes() {
    let host = holding("1");
    let mut message = host.message(&btc("SHORT", r#","quantity":"0.3""#));
    message.entry_rate.count = 1;
    message.entry_rate.seconds = 3_600;
    let ledger = hoox_ledger::Ledger::attach(host.clone());
    let flip = ledger.accept(&message).unwrap().id;
    let mut entry = host.message(&btc("buy", r#","quantity":"0.3""#));
    entry.entry_rate = message.entry_rate;
    assert_eq!(ledger.accept(&entry).unwrap_err().code, Code::RateLimited);
    host.settle();
    assert!(held(&host).is_zero());
    assert_eq!(
        legs(&host, &flip),
        told("filled", "not_sent", Some(Code::RateLimited))
    );
    assert!(!succeeded(&host, &flip));
}

#[test]
fn a_flip_under_the_switch_for_entries_closes() {
    let host = holding("1");
    host.set_kill(KillMode::Entries, 2);
    let flip = host.accept(&btc("SHORT", r#","quantity":"0.3""#));
    host.settle();
    assert!(held(&host).is_zero());
    assert_eq!(
        legs(&host, &flip),
        told("filled", "not_sent", Some(Code::KillSwitch))
    );
}

#[test]
fn what_refuses_to_touch_the_opposite_position_closes_nothing() {
    let host = holding("1");
    let id = host.accept(&btc("SHORT", r#","quantity":"0.3","onOpposite":"refuse""#));
    host.settle();
    assert_eq!(held(&host), decimal("1"));
    assert_eq!(host.status(&id), SignalStatus::Refused);
}

#[test]
fn a_flip_whose_close_is_in_doubt_is_planned_again_and_opens_once_it_is_done() {
    let host = holding("1");
    host.exchange.borrow_mut().manners.unique_ids = false;
    host.exchange.borrow_mut().manners.look_up_lag_ms = 20_000;
    host.fail(Call::PlaceOrder, When::After, error(ErrorClass::Unknown));
    let flip = host.accept(&btc("SHORT", r#","quantity":"0.3""#));
    host.settle();
    assert!(succeeded(&host, &flip), "{:?}", host.view(&flip));
    assert_eq!(held(&host), decimal("-0.3"));
    host.check_books();
}

#[test]
fn a_reverse_opens_as_much_as_it_closed() {
    let host = holding("1");
    host.exchange.borrow_mut().manners.next_fills = vec![30];
    let id = host.accept(&btc("reverse", ""));
    host.settle();
    assert!(succeeded(&host, &id));
    assert_eq!(held(&host), decimal("-1"));
}

// Resting orders.

const REST: &str = r#","quantity":"0.2","orderType":"limit","price":90"#;

/// An account that holds 1 and has an entry of its own in the book.
fn resting() -> (Host, SignalId) {
    let host = holding("1");
    let entry = host.rests(&btc("buy", REST));
    (host, entry)
}

/// The price falls to the limit, and everything that can happen happens.
fn falls(host: &Host) {
    host.exchange.borrow_mut().manners.price = 80;
    host.settle();
}

fn flat(size: &str) -> String {
    let side = if size == "0" { "flat" } else { "long" };
    btc(
        "target",
        &format!(r#","marketPosition":"{side}","marketPositionSize":"{size}""#),
    )
}

#[test]
fn a_full_exit_takes_resting_entries_of_its_side_along() {
    for (body, after) in [
        (btc("close", ""), "0"),
        (btc("CLOSE_LONG", ""), "0"),
        (flat("0"), "0"),
        (btc("SHORT", r#","quantity":"0.3""#), "-0.3"),
        (btc("reverse", r#","quantity":"0.3""#), "-0.3"),
        (flat("0.4"), "0.4"),
        (flat("1.5"), "1.5"),
    ] {
        let (host, entry) = resting();
        let exit = host.accept(&body);
        host.settle_within(MINUTE);
        assert_eq!(host.status(&entry), SignalStatus::Cancelled, "{body}");
        assert_eq!(host.code(&entry), Some(Code::Superseded), "{body}");
        let why = host.view(&entry).message.unwrap();
        assert!(why.contains(exit.as_str()), "{body}: {why}");
        falls(&host);
        assert_eq!(held(&host), decimal(after), "{body}");
        host.check_books();
    }
}

#[test]
fn a_full_exit_goes_out_at_once_however_many_orders_rest() {
    let host = holding("1");
    let rest = |number: usize| btc("buy", &format!(r#"{REST},"orderId":"{number}""#));
    let entries: Vec<_> = (0..60).map(|number| host.accept(&rest(number))).collect();
    host.settle_within(MINUTE);
    let close = host.accept(&btc("close", ""));
    // The calls of one event are enough for the close and for as many cancels as go beside it.
    host.drive();
    assert!(held(&host).is_zero(), "{:?}", host.view(&close));
    assert_eq!(host.count(Call::Cancel), 32);
    host.settle_within(1_000);
    for entry in &entries {
        assert_eq!(host.status(entry), SignalStatus::Cancelled);
    }
    assert_eq!(host.count(Call::Cancel), 60, "each is asked for once");
    assert!(succeeded(&host, &close));
    host.settle();
    host.check_books();
}

#[test]
fn a_full_exit_leaves_resting_entries_that_were_taken_later_or_fired_later() {
    // It waits for the end of an older entry, whose cancel does not get through.
    let (host, _) = resting();
    for _ in 0..4 {
        host.fail(Call::Cancel, When::Before, error(ErrorClass::Unavailable));
    }
    let close = host.accept(&btc("CLOSE_LONG", ""));
    host.settle_within(1_000);
    assert!(held(&host).is_zero() && !host.status(&close).is_final());
    let later = host.accept(&btc("LONG", REST));
    host.settle_within(5 * MINUTE);
    assert!(host.status(&close).is_final(), "{:?}", host.view(&close));
    assert_eq!(host.status(&later), SignalStatus::Acknowledged);

    let host = holding("1");
    let newer = host.accept(&fired(&host, 1_000, "LONG", REST));
    host.settle_within(1_000);
    assert_eq!(host.status(&newer), SignalStatus::Acknowledged);
    let close = host.accept(&fired(&host, 4_000, "CLOSE_LONG", ""));
    host.settle_within(MINUTE);
    assert!(succeeded(&host, &close) && held(&host).is_zero());
    assert_eq!(host.status(&newer), SignalStatus::Acknowledged);
}

#[test]
fn closes_with_a_quantity_and_plain_orders_leave_resting_entries() {
    for (body, after) in [
        (btc("close", r#","quantity":"0.4""#), "0.8"),
        (btc("sell", r#","quantity":"0.4""#), "0.8"),
        (btc("buy", r#","quantity":"0.4""#), "1.6"),
        (btc("LONG", r#","quantity":"0.4""#), "1.6"),
        (btc("CLOSE_SHORT", ""), "1.2"),
    ] {
        let (host, entry) = resting();
        host.accept(&body);
        host.settle_within(MINUTE);
        assert_eq!(host.status(&entry), SignalStatus::Acknowledged, "{body}");
        falls(&host);
        assert_eq!(held(&host), decimal(after), "{body}");
    }
}

#[test]
fn a_close_takes_resting_exits_along() {
    let host = holding("1");
    let profit = host.rests(&btc(
        "close",
        r#","quantity":"0.5","orderType":"limit","price":110"#,
    ));
    let close = host.accept(&btc("close", ""));
    host.settle();
    assert_eq!(host.status(&profit), SignalStatus::Cancelled);
    assert_eq!(host.status(&close), SignalStatus::Filled);
    assert!(held(&host).is_zero());
}

#[test]
fn a_close_with_a_quantity_takes_resting_exits_along_once_the_venue_refused_it() {
    let host = holding("1");
    let profit = host.rests(&btc(
        "close",
        r#","quantity":"0.5","orderType":"limit","price":110"#,
    ));
    host.exchange.borrow_mut().manners.refuses_beside_resting = true;
    let close = host.accept(&btc("close", r#","quantity":"0.3""#));
    host.settle();
    assert_eq!(host.status(&profit), SignalStatus::Cancelled);
    assert_eq!(host.status(&close), SignalStatus::Filled);
    assert_eq!(held(&host), decimal("0.7"));
}

#[test]
fn a_full_exit_of_a_resting_entry_alone_ends_it() {
    let host = Host::new();
    let entry = host.rests(&btc("buy", REST));
    let close = host.accept(&btc("CLOSE_LONG", ""));
    host.settle_within(5_000);
    falls(&host);
    assert_eq!(host.status(&entry), SignalStatus::Cancelled);
    assert!(succeeded(&host, &close));
    assert!(held(&host).is_zero());
}

#[test]
fn what_a_resting_entry_fills_before_it_is_cancelled_the_close_closes() {
    let (host, entry) = resting();
    host.fail(Call::Cancel, When::Before, error(ErrorClass::Unavailable));
    let close = host.accept(&btc("CLOSE_LONG", ""));
    host.drive();
    falls(&host);
    assert_eq!(host.status(&entry), SignalStatus::Filled);
    assert!(held(&host).is_zero(), "{:?}", host.view(&close));
    assert_eq!(host.status(&close), SignalStatus::Filled);
    host.check_books();
}

#[test]
fn what_a_resting_entry_turned_before_its_fill_was_heard_of_a_flip_closes() {
    let host = Host::new();
    host.accept(&btc("SHORT", r#","quantity":"1""#));
    host.settle_within(MINUTE / 6);
    let entry = host.accept(&btc(
        "buy",
        r#","quantity":"2.2","orderType":"limit","price":90"#,
    ));
    host.settle_within(MINUTE / 6);
    assert_eq!(host.status(&entry), SignalStatus::Acknowledged);
    // It fills, and for a while no look-up shows that.
    for _ in 0..3 {
        host.fail(Call::LookUp, When::Before, error(ErrorClass::Unavailable));
    }
    host.exchange.borrow_mut().manners.price = 80;
    let flip = host.accept(&btc("SHORT", r#","quantity":"0.5""#));
    host.settle();
    assert_eq!(host.status(&entry), SignalStatus::Filled);
    assert!(succeeded(&host, &flip), "{:?}", host.view(&flip));
    assert_eq!(held(&host), decimal("-0.5"));
    host.check_books();
}

#[test]
fn cancel_takes_all_of_the_symbol_or_those_that_carry_the_order_id() {
    let rest = |id: &str, price: u32| {
        btc(
            "buy",
            &format!(r#","quantity":"0.2","orderType":"limit","price":{price},"orderId":"{id}""#),
        )
    };
    for (cancel, ended) in [
        ("", [true, true, true]),
        (r#","orderId":"a""#, [true, false, false]),
        (r#","orderId":"c""#, [false, false, false]),
    ] {
        let host = Host::unconfigured();
        host.configure(1, KillMode::Off, 1, &["tv", "other"]);
        let own = [host.accept(&rest("a", 90)), host.accept(&rest("b", 91))];
        let mut message = host.message(&rest("a", 92));
        message.sender = "other".parse().unwrap();
        let ledger = hoox_ledger::Ledger::attach(host.clone());
        let others = ledger.accept(&message).unwrap().id;
        let elsewhere = host.accept(&rest("a", 90).replace("BTC", "ETH"));
        host.settle_within(MINUTE);
        let id = host.accept(&btc("cancel", cancel));
        host.settle_within(MINUTE);
        assert!(succeeded(&host, &id), "{cancel}");
        for (order, ended) in [&own[0], &own[1], &others].into_iter().zip(ended) {
            let wished = if ended {
                SignalStatus::Cancelled
            } else {
                SignalStatus::Acknowledged
            };
            assert_eq!(host.status(order), wished, "{cancel}");
        }
        assert_eq!(host.status(&elsewhere), SignalStatus::Acknowledged);
    }
}

#[test]
fn a_cancel_goes_on_until_what_it_names_has_ended() {
    let (host, entry) = resting();
    for _ in 0..2 {
        host.fail(Call::Cancel, When::Before, error(ErrorClass::Unavailable));
    }
    let cancel = host.accept(&btc("cancel", ""));
    host.settle_within(12_000);
    assert_eq!(host.status(&entry), SignalStatus::Acknowledged);
    let view = host.view(&cancel);
    assert!(!view.status.is_final(), "{view:?}");
    assert!(view.message.unwrap().starts_with("not done yet: "));
    let undone = Ledger::attach(host.clone()).health().unwrap().unwrap();
    assert_eq!(undone.exits_undone[0].signal_id, cancel);
    // Nothing waits for it.
    let buy = host.accept(&btc("buy", r#","quantity":"0.1""#));
    host.settle_within(2_000);
    assert_eq!(host.status(&buy), SignalStatus::Filled);
    host.settle();
    assert_eq!(host.status(&entry), SignalStatus::Cancelled);
    assert!(succeeded(&host, &cancel));
    let told = host.view(&cancel).message.unwrap();
    assert_eq!(told, "1 resting order has ended");
}

#[test]
fn a_cancel_takes_an_entry_that_was_in_doubt_and_none_that_was_taken_later() {
    let host = holding("1");
    host.fail(Call::PlaceOrder, When::After, error(ErrorClass::Unknown));
    host.exchange.borrow_mut().manners.look_up_lag_ms = 30_000;
    let entry = host.accept(&btc("buy", REST));
    host.settle_within(5_000);
    let cancel = host.accept(&btc("cancel", ""));
    let later = host.accept(&btc("buy", &format!(r#"{REST},"maxLag":600"#)));
    host.settle_within(MINUTE);
    assert_eq!(host.status(&entry), SignalStatus::Cancelled);
    assert!(succeeded(&host, &cancel));
    host.settle_within(MINUTE);
    assert_eq!(host.status(&later), SignalStatus::Acknowledged);
}

#[test]
fn what_a_cancel_names_and_was_not_sent_yet_is_not_sent() {
    let host = Host::new();
    let first = host.accept(&btc("buy", r#","quantity":1"#));
    host.fail(Call::PlaceOrder, When::After, error(ErrorClass::Unknown));
    host.drive();
    let limit = host.accept(&btc(
        "buy",
        r#","quantity":1,"orderType":"limit","price":50"#,
    ));
    let named = host.accept(&btc(
        "buy",
        r#","quantity":2,"orderType":"limit","price":40,"orderId":"other""#,
    ));
    let cancel = host.accept(&btc("cancel", ""));
    let newer = host.accept(&btc(
        "buy",
        r#","quantity":3,"orderType":"limit","price":30"#,
    ));
    host.settle_within(MINUTE);
    assert_eq!(host.status(&first), SignalStatus::Filled);
    for id in [&limit, &named] {
        let view = host.view(id);
        assert_eq!(view.code, Some(Code::Superseded));
        assert!(view.message.unwrap().contains(cancel.as_str()));
    }
    assert!(succeeded(&host, &cancel));
    assert_eq!(host.status(&newer), SignalStatus::Acknowledged);
    assert_eq!(host.exchange.borrow().orders.len(), 2);
}

#[test]
fn a_cancel_takes_back_what_a_flip_would_open_and_not_its_close() {
    let host = holding("2");
    let limit = r#","quantity":1,"orderType":"limit","price":200"#;
    let flip = host.accept(&btc("SHORT", limit));
    let cancel = host.accept(&btc("cancel", ""));
    host.settle_within(MINUTE);
    assert!(held(&host).is_zero());
    assert_eq!(
        legs(&host, &flip),
        told("filled", "not_sent", Some(Code::Superseded))
    );
    assert!(succeeded(&host, &cancel));
    assert_eq!(host.exchange.borrow().orders.len(), 2);
}

#[test]
fn a_cancel_that_went_stale_in_a_pause_calls_nobody_and_says_so() {
    let (host, entry) = resting();
    let pause = VenueError {
        retry_after_ms: Some(5 * MINUTE),
        ..error(ErrorClass::RateLimited)
    };
    host.fail(Call::Position, When::Before, pause);
    host.accept(&btc("buy", r#","quantity":"0.1""#).replace("BTC", "ETH"));
    host.drive();
    // The one call of a pause goes to another exit.
    host.accept(&btc("CLOSE_LONG", "").replace("BTC", "ETH"));
    host.drive();
    let before = host.count(Call::Cancel);
    let cancel = host.accept(&btc("cancel", r#","maxLag":5"#));
    host.settle_within(20_000);
    assert_eq!(host.count(Call::Cancel), before);
    let code = host.code(&cancel);
    assert!(host.status(&cancel) == SignalStatus::Refused && code == Some(Code::Unavailable));
    assert_eq!(host.status(&entry), SignalStatus::Acknowledged);
    // One that has time makes it in the pause.
    let cancel = host.accept(&btc("cancel", ""));
    host.settle_within(MINUTE);
    assert_eq!(host.count(Call::Cancel), before + 1);
    host.settle();
    assert!(succeeded(&host, &cancel));
    assert_eq!(host.status(&entry), SignalStatus::Cancelled);
}

#[test]
fn cancel_passes_every_mode() {
    for mode in [KillMode::Entries, KillMode::All] {
        let host = holding("1");
        let exit = host.rests(&btc(
            "close",
            r#","quantity":"0.5","orderType":"limit","price":110"#,
        ));
        host.set_kill(mode, 2);
        let cancel = host.accept(&btc("cancel", ""));
        host.settle();
        assert!(succeeded(&host, &cancel), "{mode:?}");
        assert_eq!(host.status(&exit), SignalStatus::Cancelled, "{mode:?}");
        assert_eq!(held(&host), decimal("1"));
    }
}

#[test]
fn a_cancel_with_nothing_to_cancel_is_a_success_and_takes_no_time() {
    let host = Host::new();
    let id = host.accept(&btc("cancel", ""));
    host.settle();
    assert_eq!(host.status(&id), SignalStatus::NothingToDo);
    assert!(succeeded(&host, &id));
    assert!(Timestamp::from_millis(host.now()) <= Timestamp::from_millis(START + 1_000));
}
