//! Dead letters: listed, settled, replayed, discarded.

use hoox_exchange::ErrorClass;
use hoox_ledger::{Ledger, LetterList};
use hoox_mesh::{DeadLetter, KillMode, LetterCall, LetterVerb, Problem, Settle, SignalStatus};
use hoox_model::{Code, RequestId, SignalId, Timestamp};

use crate::world::{Call, Host, MINUTE, When, error};

const LONG: &str = r#"{"symbol":"BTCUSDT","action":"LONG","quantity":1}"#;
const SHORT: &str = r#"{"symbol":"BTCUSDT","action":"SHORT","quantity":1}"#;
const OTHER: &str = r#"{"symbol":"BTCUSDT","action":"LONG","quantity":2}"#;

fn call(
    host: &Host,
    verb: LetterVerb,
    signal: Option<&SignalId>,
    settle: Option<Settle>,
) -> Result<LetterList, Problem> {
    let calls = u8::try_from(host.transactions() % 256).unwrap();
    Ledger::attach(host.clone()).letters(&LetterCall {
        verb,
        request_id: RequestId::new(Timestamp::from_millis(host.now()), [calls; 10]),
        account: None,
        signal: signal.cloned(),
        settle: settle.map(|settle| serde_json::value::to_raw_value(&settle).unwrap()),
    })
}

fn list(host: &Host) -> Vec<DeadLetter> {
    let list = call(host, LetterVerb::List, None, None).unwrap();
    assert_eq!(list.total as usize, list.items.len());
    list.items
}

fn one(host: &Host, verb: LetterVerb, id: &SignalId) -> Result<DeadLetter, Code> {
    call(host, verb, Some(id), None)
        .map(|list| list.items.into_iter().next().unwrap())
        .map_err(|problem| problem.code)
}

fn settle(host: &Host, id: &SignalId, filled: Option<&str>) -> Result<DeadLetter, Code> {
    settle_order(host, id, 0, filled)
}

fn settle_order(
    host: &Host,
    id: &SignalId,
    index: usize,
    filled: Option<&str>,
) -> Result<DeadLetter, Code> {
    let orders = host.view(id).orders;
    let settle = Settle {
        client_order_id: orders[index].client_order_id.clone(),
        filled_quantity: filled.map(|filled| filled.parse().unwrap()),
        average_price: None,
    };
    call(host, LetterVerb::Settle, Some(id), Some(settle))
        .map(|list| list.items.into_iter().next().unwrap())
        .map_err(|problem| problem.code)
}

/// A venue whose ids can come again has an order without an answer, or has it not.
fn unknown(arrives: bool) -> (Host, SignalId) {
    let host = Host::new();
    host.exchange.borrow_mut().manners.unique_ids = false;
    if arrives {
        host.exchange.borrow_mut().manners.look_up_lag_ms = 20 * MINUTE;
    }
    let when = if arrives { When::After } else { When::Before };
    host.fail(Call::PlaceOrder, when, error(ErrorClass::Unknown));
    let id = host.accept(LONG);
    host.settle();
    assert_eq!(host.status(&id), SignalStatus::Unknown);
    (host, id)
}

#[test]
fn what_the_position_showed_of_an_order_that_is_asked_about_again_is_counted_once() {
    let (host, id) = unknown(true);
    // A close reads the position, which shows what the entry has filled, and has not gone out yet.
    for _ in 0..3 {
        let limited = error(ErrorClass::RateLimited);
        host.fail(Call::PlaceOrder, When::Before, limited);
    }
    host.accept(r#"{"symbol":"BTCUSDT","action":"CLOSE_LONG","quantity":0.4}"#);
    host.drive();
    settle(&host, &id, None).unwrap();
    host.exchange.borrow_mut().manners.look_up_lag_ms = 0;
    host.settle_within(MINUTE);
    assert_eq!(host.status(&id), SignalStatus::Filled);
    let recorded = host.sql("SELECT quantity FROM holding");
    assert_eq!(recorded, [[hoox_store::Value::Text("0.6".to_owned())]]);
    host.settle();
    host.check_books();
}

#[test]
fn a_settled_fill_that_the_position_held_already_is_counted_once() {
    // An exit was planned by the venue's position before the entry was settled, and rests.
    let (host, id) = unknown(true);
    host.exchange.borrow_mut().manners.look_up_lag_ms = 0;
    let exit = r#"{"symbol":"BTCUSDT","action":"close","orderType":"limit","price":110}"#;
    host.accept(exit);
    host.settle_within(2 * MINUTE);
    settle(&host, &id, Some("1")).unwrap();
    host.settle_within(2 * MINUTE);
    let holding = host.sql("SELECT quantity FROM holding");
    assert_eq!(holding, [[hoox_store::Value::Text("1".to_owned())]]);
}

#[test]
fn a_settled_fill_whose_position_is_gone_is_held_by_nobody() {
    // It was filled ten minutes ago at least; what it brought has been closed at the venue since.
    let (host, id) = unknown(true);
    host.exchange
        .borrow_mut()
        .set_held(host.now(), "BTCUSDT", "0");
    host.advance(MINUTE);
    settle(&host, &id, Some("1")).unwrap();
    let held = "SELECT 1 FROM holding WHERE quantity <> '0'";
    assert!(host.sql(held).is_empty());
    let asked = host.count(Call::Position);
    host.settle_within(2_000);
    assert!(host.sql(held).is_empty());
    assert_eq!(host.count(Call::Position), asked + 1, "it does not lag");
}

#[test]
fn what_an_exit_leaves_is_still_told_when_its_unknown_order_is_settled() {
    for (filled, left) in [("0", Some("0.7 is left")), ("0.7", None)] {
        let host = Host::new();
        host.accept(LONG);
        host.settle();
        host.exchange.borrow_mut().manners.unique_ids = false;
        let mut fills = vec![0; 40];
        fills[0] = 30;
        host.exchange.borrow_mut().manners.next_fills = fills;
        host.fail(Call::PlaceOrder, When::Before, error(ErrorClass::Unknown));
        let id = host.accept(r#"{"symbol":"BTCUSDT","action":"close"}"#);
        host.settle();
        let message = host.view(&id).message.unwrap();
        assert!(message.contains("0.7 is left"), "{message}");
        settle(&host, &id, Some(filled)).unwrap();
        let view = host.view(&id);
        assert_eq!(view.status, SignalStatus::PartlyFilled);
        let message = view.message.unwrap();
        assert_eq!(left.is_some(), message.contains("left"), "{message}");
        assert!(message.contains(left.unwrap_or_default()), "{message}");
    }
}

#[test]
fn what_is_asked_about_once_more_is_found_out_though_another_order_is_settled_meanwhile() {
    // Of the two orders of a close the first never arrived, and the second has closed.
    let host = Host::new();
    host.accept(LONG);
    host.settle();
    host.advance(2 * MINUTE);
    host.exchange.borrow_mut().manners.unique_ids = false;
    host.exchange.borrow_mut().manners.look_up_lag_ms = 60 * MINUTE;
    host.fail(Call::PlaceOrder, When::Before, error(ErrorClass::Unknown));
    host.fail(Call::PlaceOrder, When::After, error(ErrorClass::Unknown));
    let id = host.accept(r#"{"symbol":"BTCUSDT","action":"close"}"#);
    host.settle();
    let states = |host: &Host| -> Vec<String> {
        let orders = host.view(&id).orders;
        orders.into_iter().map(|order| order.status).collect()
    };
    assert_eq!(states(&host), ["unknown", "unknown"]);
    host.exchange.borrow_mut().manners.look_up_lag_ms = 0;
    settle_order(&host, &id, 1, None).unwrap();
    let letter = settle_order(&host, &id, 0, Some("0")).unwrap();
    assert!(!letter.waiting && !letter.signal.status.is_final());
    assert_eq!(
        one(&host, LetterVerb::Discard, &id).unwrap_err(),
        Code::Conflict
    );
    host.settle();
    assert_eq!(states(&host), ["cancelled", "filled"]);
    assert_eq!(host.status(&id), SignalStatus::Filled);
    host.check_books();
}

#[test]
fn what_was_never_there_is_settled_and_replayed_once() {
    let (host, id) = unknown(false);
    let letters = list(&host);
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0].signal.signal_id, id);
    assert!(letters[0].unsettled && letters[0].waiting);
    assert_eq!(letters[0].body, LONG);
    for verb in [LetterVerb::Replay, LetterVerb::Discard] {
        assert_eq!(one(&host, verb, &id).unwrap_err(), Code::Conflict);
    }
    let blocked = host.accept(OTHER);
    host.settle();
    assert_eq!(host.code(&blocked), Some(Code::Unsettled));

    let letter = settle(&host, &id, Some("0")).unwrap();
    assert_eq!(letter.signal.status, SignalStatus::Cancelled);
    assert!(letter.waiting && !letter.unsettled);
    assert_eq!(settle(&host, &id, Some("0")), Err(Code::Conflict));

    let again = one(&host, LetterVerb::Replay, &id).unwrap();
    let new = again.replayed_as.clone().unwrap();
    assert!(!again.waiting && new != id);
    assert_eq!(one(&host, LetterVerb::Replay, &id).unwrap(), again);
    assert_eq!(one(&host, LetterVerb::Discard, &id), Err(Code::Conflict));
    host.settle();
    assert_eq!(host.status(&new), SignalStatus::Filled);
    assert_ne!(
        host.view(&new).orders[0].client_order_id,
        host.view(&id).orders[0].client_order_id
    );
    assert_eq!(host.exchange.borrow().held("BTCUSDT").to_string(), "1");
    host.check_books();

    // The entry that was refused meanwhile is a letter of its own.
    let letters = list(&host);
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0].signal.signal_id, blocked);
    assert!(!one(&host, LetterVerb::Discard, &blocked).unwrap().waiting);
    assert_eq!(list(&host), Vec::new());
}

#[test]
fn what_was_filled_after_all_is_settled_and_recorded() {
    let (host, id) = unknown(true);
    assert_eq!(settle(&host, &id, Some("1.5")), Err(Code::BadField));
    let letter = settle(&host, &id, Some("1")).unwrap();
    assert_eq!(letter.signal.status, SignalStatus::Filled);
    assert!(!letter.waiting);
    assert_eq!(list(&host), Vec::new());
    host.settle();
    host.check_books();
    host.exchange.borrow_mut().manners.look_up_lag_ms = 0;
    let next = host.accept(SHORT);
    host.settle();
    assert_eq!(host.status(&next), SignalStatus::Filled);
    assert_eq!(host.exchange.borrow().held("BTCUSDT").to_string(), "-1");
    host.check_books();
}

#[test]
fn a_part_that_was_filled_is_not_replayed() {
    let (host, id) = unknown(true);
    host.exchange.borrow_mut().manners.look_up_lag_ms = 0;
    let letter = settle(&host, &id, Some("0.4")).unwrap();
    assert_eq!(letter.signal.status, SignalStatus::PartlyFilled);
    assert!(letter.waiting);
    assert_eq!(one(&host, LetterVerb::Replay, &id), Err(Code::Conflict));
    assert!(!one(&host, LetterVerb::Discard, &id).unwrap().waiting);
}

#[test]
fn the_venue_can_be_asked_once_more() {
    let (host, id) = unknown(true);
    let letter = settle(&host, &id, None).unwrap();
    assert_eq!(letter.signal.status, SignalStatus::Sending);
    host.settle();
    assert_eq!(
        host.status(&id),
        SignalStatus::Unknown,
        "it still does not show it"
    );
    assert_eq!(list(&host).len(), 1);

    host.exchange.borrow_mut().manners.look_up_lag_ms = 0;
    settle(&host, &id, None).unwrap();
    host.settle();
    assert_eq!(host.status(&id), SignalStatus::Filled);
    assert_eq!(list(&host), Vec::new());
    host.check_books();
}

#[test]
fn an_entry_that_went_stale_while_the_venue_was_away_is_a_letter() {
    let host = Host::new();
    for _ in 0..100 {
        host.fail(Call::Position, When::Before, error(ErrorClass::Unavailable));
    }
    let id = host.accept(LONG);
    host.settle();
    assert_eq!(host.code(&id), Some(Code::Unavailable));
    assert_eq!(list(&host).len(), 1);
    host.faults.borrow_mut().script.clear();

    host.set_kill(KillMode::All, 2);
    assert_eq!(one(&host, LetterVerb::Replay, &id), Err(Code::KillSwitch));
    host.set_kill(KillMode::Off, 3);
    let new = one(&host, LetterVerb::Replay, &id)
        .unwrap()
        .replayed_as
        .unwrap();
    host.settle();
    assert_eq!(host.status(&new), SignalStatus::Filled);
    host.check_books();
}

#[test]
fn refusals_of_the_venue_and_of_the_switch_are_no_letters() {
    let host = Host::new();
    host.fail(Call::PlaceOrder, When::Before, error(ErrorClass::Rejected));
    let id = host.accept(LONG);
    host.settle();
    assert_eq!(host.status(&id), SignalStatus::Rejected);
    assert_eq!(list(&host), Vec::new());
    assert_eq!(one(&host, LetterVerb::Replay, &id), Err(Code::Conflict));
    assert!(!one(&host, LetterVerb::Show, &id).unwrap().waiting);
}

#[test]
fn a_signal_of_another_ledger_is_not_known_here() {
    let host = Host::new();
    let stranger = SignalId::new(Timestamp::from_millis(host.now()), [3; 10]);
    for verb in [LetterVerb::Show, LetterVerb::Replay, LetterVerb::Discard] {
        let list = call(&host, verb, Some(&stranger), None).unwrap();
        assert_eq!(list.items, Vec::new());
    }
}
