//! A venue that limits or fails is left alone by the whole account; what ended long ago is forgotten.

use hoox_exchange::{ErrorClass, VenueError};
use hoox_mesh::SignalStatus;
use hoox_model::Code;
use hoox_store::Value;

use crate::world::{Call, Host, MINUTE, When, error};

fn alert(symbol: &str, action: &str, rest: &str) -> String {
    format!(r#"{{"symbol":"{symbol}","action":"{action}"{rest}}}"#)
}

const LONG: &str = r#","quantity":1,"maxLag":300"#;

#[test]
fn what_one_symbol_is_told_to_wait_holds_for_all() {
    let host = Host::new();
    let limited = VenueError {
        retry_after_ms: Some(MINUTE),
        ..error(ErrorClass::RateLimited)
    };
    host.fail(Call::PlaceOrder, When::Before, limited);
    let first = host.accept(&alert("BTCUSDT", "LONG", LONG));
    host.drive();
    let told = host.now();
    let calls = host.calls();
    let second = host.accept(&alert("ETHUSDT", "LONG", LONG));
    let close = host.accept(&alert("SOLUSDT", "close", ""));
    host.settle_within(MINUTE - 1_000);
    assert_eq!(
        host.venue_calls_since(calls),
        1,
        "before the minute is over only the exit asks, once"
    );
    assert_eq!(host.status(&close), SignalStatus::NothingToDo);
    host.settle();
    assert!(host.now() >= told + MINUTE);
    for id in [&first, &second] {
        assert_eq!(host.status(id), SignalStatus::Filled);
    }
    host.check_books();
}

#[test]
fn an_entry_does_not_wait_longer_than_it_may() {
    let host = Host::new();
    let limited = VenueError {
        retry_after_ms: Some(10 * MINUTE),
        ..error(ErrorClass::RateLimited)
    };
    host.fail(Call::Position, When::Before, limited);
    host.accept(&alert("BTCUSDT", "LONG", LONG));
    host.drive();
    let entry = host.accept(&alert("ETHUSDT", "LONG", r#","quantity":1"#));
    host.settle_within(MINUTE + 1_000);
    assert_eq!(
        (host.status(&entry), host.code(&entry)),
        (SignalStatus::Refused, Some(Code::Unavailable))
    );
    assert_eq!(host.count(Call::PlaceOrder), 0);
}

#[test]
fn a_venue_that_is_away_is_not_stormed_and_everything_is_done_when_it_is_back() {
    let host = Host::new();
    for _ in 0..10_000 {
        host.fail(Call::Position, When::Before, error(ErrorClass::Unavailable));
    }
    let ids: Vec<_> = (0..20)
        .map(|n| host.accept(&alert(&format!("C{n}USDT"), "LONG", LONG)))
        .collect();
    host.settle_within(4 * MINUTE);
    let calls = host.count(Call::Position);
    assert!(
        (8..=200).contains(&calls),
        "{calls} calls in 4 minutes for 20 symbols"
    );
    host.faults.borrow_mut().script.clear();
    host.settle();
    for id in &ids {
        assert_eq!(host.status(id), SignalStatus::Filled);
    }
    host.check_books();
}

#[test]
fn what_ended_more_than_eight_days_ago_is_forgotten_and_what_waits_is_kept() {
    let host = Host::new();
    host.exchange.borrow_mut().manners.unique_ids = false;
    host.fail(Call::PlaceOrder, When::Before, error(ErrorClass::Unknown));
    let unknown = host.accept(&alert("BTCUSDT", "LONG", r#","quantity":1"#));
    host.settle();
    assert_eq!(host.status(&unknown), SignalStatus::Unknown);
    for n in 0..150 {
        host.accept(&alert(&format!("C{n}USDT"), "LONG", r#","quantity":1"#));
    }
    host.settle();
    let count = |table: &str| match host.sql(&format!("SELECT COUNT(*) FROM {table}"))[0][0] {
        Value::Integer(count) => count,
        ref other => panic!("{other:?}"),
    };
    assert_eq!((count("signal"), count("orders")), (151, 151));
    host.advance(8 * 1_440 * MINUTE + MINUTE);
    host.drive();
    assert_eq!((count("signal"), count("orders")), (51, 51));
    host.drive();
    host.drive();
    assert_eq!(
        (count("signal"), count("orders"), count("identity")),
        (1, 1, 0)
    );
    assert_eq!(host.status(&unknown), SignalStatus::Unknown);
}
