//! The rows of a day: what is refused near their limit, what is not, and what counting them costs.

use hoox_ledger::{Ledger, Store};
use hoox_mesh::{RowCount, RowsOfOthers, SignalStatus};
use hoox_model::{Code, Timestamp};
use hoox_store::Value;

use crate::world::{Call, Host, MINUTE, START};

const DAY: i64 = 1_440 * MINUTE;
const LONG: &str = r#"{"symbol":"BTCUSDT","action":"LONG","quantity":1}"#;
const SHORT: &str = r#"{"symbol":"BTCUSDT","action":"SHORT","quantity":1}"#;
const CLOSE: &str = r#"{"symbol":"BTCUSDT","action":"close"}"#;
const RESTS: &str =
    r#"{"symbol":"ETHUSDT","action":"LONG","quantity":1,"orderType":"limit","price":"1"}"#;

fn midnight() -> Timestamp {
    Timestamp::from_millis(START - START.rem_euclid(DAY))
}

fn others(written: u64, limit: Option<u64>) -> RowsOfOthers {
    RowsOfOthers {
        since: midnight(),
        written,
        limit,
    }
}

/// What Control says, in a sweep.
fn told(host: &Host, written: u64, limit: Option<u64>) -> RowCount {
    let ledger = Ledger::attach(host.clone());
    ledger.count_rows(Some(&others(written, limit))).unwrap()
}

fn count(host: &Host) -> RowCount {
    Ledger::attach(host.clone()).count_rows(None).unwrap()
}

/// A Ledger that holds a position, in an instance that lives on.
fn holding() -> Host {
    let host = Host::new();
    host.accept(LONG);
    host.settle();
    host.ledger();
    host
}

#[test]
fn entries_are_refused_from_nine_tenths_and_exits_are_not() {
    let host = holding();
    let own = count(&host).written;
    assert!(own > 0);
    assert!(!told(&host, 89_000, Some(100_000)).entries_refused);
    host.accept(&LONG.replace("BTC", "ETH"));
    let report = told(&host, 90_000, Some(100_000));
    assert!(report.entries_refused && report.told, "{report:?}");
    let problem = host.refused(&LONG.replace("BTC", "SOL"));
    let left = (DAY - host.now().rem_euclid(DAY)).div_euclid(1_000);
    assert_eq!(problem.code, Code::RateLimited);
    let wait = i64::from(problem.retry_after.unwrap());
    assert!((wait - left).abs() <= 1, "{wait} {left}");
    for word in ["of the 100000 rows", "00:00 UTC", "rowsADay"] {
        assert!(problem.message.contains(word), "{}", problem.message);
    }
    let close = host.accept(CLOSE);
    host.settle();
    assert_eq!(host.status(&close), SignalStatus::Filled);
}

#[test]
fn its_own_rows_count_between_two_sweeps() {
    let host = holding();
    let own = count(&host).written;
    assert!(!told(&host, 899_997 - own, Some(1_000_000)).entries_refused);
    host.accept(&LONG.replace("BTC", "ETH"));
    host.refused(&LONG.replace("BTC", "SOL"));
    assert!(count(&host).entries_refused);
}

#[test]
fn a_flip_closes_and_does_not_open() {
    let host = holding();
    told(&host, 95_000, Some(100_000));
    let flip = host.accept(SHORT);
    host.settle();
    let legs = host.view(&flip).legs.unwrap();
    assert_eq!(legs.close.status, "filled");
    assert_eq!(
        (legs.open.status.as_str(), legs.open.code),
        ("not_sent", Some(Code::RateLimited))
    );
    assert!(host.exchange.borrow().held("BTCUSDT").is_zero());
}

#[test]
fn the_next_day_begins_anew() {
    let host = holding();
    told(&host, 95_000, Some(100_000));
    host.refused(&LONG.replace("BTC", "ETH"));
    host.advance(DAY - (START.rem_euclid(DAY)) + MINUTE);
    host.accept(&LONG.replace("BTC", "ETH"));
    let report = count(&host);
    assert!(!report.told && report.written < 100, "{report:?}");
    assert!(report.since > midnight());
}

#[test]
fn a_plan_without_a_limit_takes_entries_again() {
    let host = holding();
    told(&host, 95_000, Some(100_000));
    host.refused(LONG);
    let report = told(&host, 500_000, None);
    assert!(!report.entries_refused && !report.told, "{report:?}");
    host.accept(&LONG.replace("BTC", "ETH"));
    host.ledger();
    host.accept(&LONG.replace("BTC", "SOL"));
}

/// What an instance was told is known to the one after it, and is not stored with every sweep.
#[test]
fn the_next_instance_knows_what_this_one_was_told() {
    let host = holding();
    told(&host, 60_000, Some(100_000));
    let before = host.written();
    for more in 1..=40 {
        told(&host, 60_000 + more * 100, Some(100_000));
    }
    assert_eq!(host.written(), before);
    told(&host, 65_500, Some(100_000));
    assert_eq!(host.written(), before + 1);
    told(&host, 90_000, Some(100_000));
    assert_eq!(host.written(), before + 2);
    host.ledger();
    host.refused(LONG);
    let report = count(&host);
    assert!(report.entries_refused && report.told, "{report:?}");
}

/// Nothing is stored for a few rows; what an instance took and did not store is found by its signals.
#[test]
fn an_instance_that_ended_early_is_counted_by_its_signals() {
    let host = Host::new();
    host.accept(LONG);
    host.settle();
    let stored = || host.sql("SELECT value FROM meta WHERE key = 'rows'");
    assert_eq!(stored(), [] as [Vec<Value>; 0]);
    host.ledger();
    assert_eq!(count(&host).written, 24);
    // Once again nothing was written.
    host.ledger();
    assert_eq!(count(&host).written, 24);
}

#[test]
fn a_count_is_stored_every_fifty_rows() {
    let host = Host::new();
    let ledger = host.ledger();
    let before = count(&host).written;
    let mut stored = 0;
    for number in 0..20 {
        let symbol = if number % 2 == 0 { LONG } else { CLOSE };
        let message = host.message(symbol);
        ledger.accept(&message).unwrap();
        host.drive_on(&ledger).unwrap().unwrap();
        host.advance(MINUTE);
        let rows = host.sql("SELECT value FROM meta WHERE key = 'rows'");
        stored = rows.len();
    }
    let own = count(&host).written;
    assert!(own > before + 100, "{own}");
    assert_eq!(stored, 1);
    host.ledger();
    let again = count(&host).written;
    assert!(again >= own.saturating_sub(50), "{again} of {own}");
    assert!(again <= own + 100, "{again} of {own}");
}

#[test]
fn a_resting_entry_is_looked_at_less_often() {
    let looks = |spent: bool| {
        let host = Host::new();
        let id = host.accept(RESTS);
        host.settle_within(30 * MINUTE);
        assert!(!host.status(&id).is_final());
        if spent {
            told(&host, 95_000, Some(100_000));
        }
        let before = host.calls();
        host.settle_within(60 * MINUTE);
        host.calls() - before
    };
    let (often, seldom) = (looks(false), looks(true));
    assert_eq!((often, seldom), (60, 12));
}

#[test]
fn a_resting_exit_keeps_its_pace() {
    let host = holding();
    let exit = host
        .accept(r#"{"symbol":"BTCUSDT","action":"CLOSE_LONG","orderType":"limit","price":900}"#);
    host.settle_within(30 * MINUTE);
    assert_eq!(host.status(&exit), SignalStatus::Acknowledged);
    told(&host, 95_000, Some(100_000));
    let before = host.count(Call::OpenOrders);
    host.settle_within(60 * MINUTE);
    let lists = host.count(Call::OpenOrders) - before;
    assert_eq!(lists, 60);
}

#[test]
fn who_does_not_answer_once_has_written_what_it_had() {
    let host = holding();
    told(&host, 90_000, Some(100_000));
    let report = told(&host, 5_000, Some(100_000));
    assert!(report.entries_refused, "{report:?}");
    // The limit is always the one that was told last.
    assert!(!told(&host, 5_000, None).entries_refused);
}
