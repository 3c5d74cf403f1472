//! An account's limits, also where signals of several symbols come at once.

use hoox_exchange::{ErrorClass, VenueError};
use hoox_mesh::{KillMode, SignalStatus};
use hoox_model::{Code, Decimal, Limits, SignalId, SymbolLimits};

use crate::world::{Call, Host, MINUTE, START, When, error};

const DAY: i64 = 1_440 * MINUTE;

fn alert(symbol: &str, action: &str, rest: &str) -> String {
    format!(r#"{{"symbol":"{symbol}","action":"{action}"{rest}}}"#)
}

fn limited(limits: Limits) -> Host {
    let host = Host::unconfigured();
    host.account.borrow_mut().limits = limits;
    host.set_kill(KillMode::Off, 1);
    host
}

fn notional(most: u32) -> Limits {
    Limits {
        account: SymbolLimits {
            max_position_notional: Some(Decimal::from(most).try_into().unwrap()),
            max_orders_per_minute: None,
        },
        ..Limits::default()
    }
}

fn rate(most: u32) -> Limits {
    Limits {
        account: SymbolLimits {
            max_position_notional: None,
            max_orders_per_minute: Some(most),
        },
        ..Limits::default()
    }
}

fn positions(most: u32) -> Limits {
    Limits {
        max_open_positions: Some(most),
        ..Limits::default()
    }
}

fn outcome(host: &Host, id: &SignalId) -> (SignalStatus, Option<Code>) {
    (host.status(id), host.code(id))
}

const FILLED: (SignalStatus, Option<Code>) = (SignalStatus::Filled, None);
const LIMIT: (SignalStatus, Option<Code>) = (SignalStatus::Refused, Some(Code::Limit));

/// Entries on several symbols at once.
fn rush(host: &Host, symbols: &[&str]) -> Vec<SignalId> {
    symbols
        .iter()
        .map(|symbol| host.accept(&alert(symbol, "LONG", r#","quantity":1"#)))
        .collect()
}

fn filled(host: &Host, ids: &[SignalId]) -> usize {
    ids.iter()
        .filter(|id| {
            let outcome = outcome(host, id);
            assert!(outcome == FILLED || outcome == LIMIT, "{outcome:?}");
            outcome == FILLED
        })
        .count()
}

#[test]
fn no_more_positions_are_opened_than_allowed_however_many_come_at_once() {
    for most in 1..=3u32 {
        for fill_delay in [0, 3_000] {
            for step in [0, 7] {
                let host = limited(positions(most));
                host.exchange.borrow_mut().manners.fill_delay_ms = fill_delay;
                host.exchange.borrow_mut().manners.position_lag_ms = 2_000;
                let symbols = ["BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT", "ADAUSDT"];
                let ids = rush(&host, &symbols);
                host.interleave(step);
                host.settle();
                assert_eq!(filled(&host, &ids), most as usize, "{fill_delay} {step}");
                host.check_books();
            }
        }
    }
}

#[test]
fn a_position_that_somebody_else_opened_counts() {
    let host = limited(positions(1));
    host.exchange
        .borrow_mut()
        .set_held(host.now(), "ETHUSDT", "2");
    let ids = rush(&host, &["BTCUSDT", "ETHUSDT"]);
    host.settle();
    assert_eq!(outcome(&host, &ids[0]), LIMIT);
    assert_eq!(
        outcome(&host, &ids[1]),
        FILLED,
        "adding to it opens no other"
    );
}

#[test]
fn what_was_just_closed_is_no_position_although_the_list_still_shows_it() {
    let host = limited(positions(1));
    for (symbol, size) in [("ETHUSDT", "2"), ("BTCUSDT", "1")] {
        let mut exchange = host.exchange.borrow_mut();
        exchange.set_held(host.now(), symbol, size);
    }
    host.exchange.borrow_mut().manners.list_lag_ms = 30_000;
    host.advance(MINUTE);
    let id = host.accept(&alert("BTCUSDT", "reverse", ""));
    host.settle();
    let limited = (SignalStatus::PartlyFilled, Some(Code::Limit));
    assert_eq!(outcome(&host, &id), limited);
    assert!(host.exchange.borrow().held("BTCUSDT").is_zero());
}

#[test]
fn a_symbol_in_hedge_mode_is_one_position() {
    let host = limited(positions(2));
    let legs = (Decimal::TWO, Decimal::ONE);
    let symbol = "ETHUSDT".parse().unwrap();
    host.exchange.borrow_mut().legs.insert(symbol, legs);
    let ids = rush(&host, &["BTCUSDT"]);
    host.settle();
    assert_eq!(outcome(&host, &ids[0]), FILLED);
}

#[test]
fn an_entry_that_rests_counts_as_a_position_and_by_its_size() {
    let limit = r#","quantity":1,"orderType":"limit","price":90"#;
    let host = limited(positions(1));
    host.rests(&alert("BTCUSDT", "buy", limit));
    let ids = rush(&host, &["ETHUSDT"]);
    host.settle_within(MINUTE);
    assert_eq!(outcome(&host, &ids[0]), LIMIT);

    let host = limited(notional(200));
    host.accept(&alert("BTCUSDT", "buy", limit));
    host.settle_within(MINUTE);
    let fits = host.accept(&alert("BTCUSDT", "buy", r#","quantity":1"#));
    let over = host.accept(&alert("BTCUSDT", "buy", r#","quantity":0.5"#));
    host.settle_within(MINUTE);
    assert_eq!(outcome(&host, &fits), FILLED);
    assert_eq!(outcome(&host, &over), LIMIT);
    let exit = host.accept(&alert("BTCUSDT", "sell", r#","quantity":1"#));
    host.settle_within(MINUTE);
    assert_eq!(outcome(&host, &exit), FILLED);
}

/// An entry that nets a short of 1 and is put off; a close of that, taken then, overtakes it. What the entry made, and what
/// is held at the end.
fn overtaken(size: &str, call: Call, wait: i64) -> (Option<Code>, Decimal) {
    let host = limited(notional(150));
    host.exchange
        .borrow_mut()
        .set_held(host.now(), "BTCUSDT", "-1");
    host.advance(MINUTE);
    // Its order is filled at once, which nothing shows for a while.
    host.exchange.borrow_mut().manners.look_up_lag_ms = 5_000;
    host.exchange.borrow_mut().manners.position_lag_ms = 5_000;
    let put_off = VenueError {
        retry_after_ms: Some(wait),
        ..error(ErrorClass::RateLimited)
    };
    host.fail(call, When::Before, put_off);
    let rest = format!(r#","quantity":"{size}","maxLag":300"#);
    let entry = host.accept(&alert("BTCUSDT", "buy", &rest));
    host.drive();
    let exit = host.accept(&alert("BTCUSDT", "CLOSE_SHORT", ""));
    host.settle();
    assert_eq!(outcome(&host, &exit), FILLED);
    host.check_books();
    let held = host.exchange.borrow().held("BTCUSDT");
    (host.code(&entry), held)
}

#[test]
fn a_position_that_is_being_closed_is_not_there_for_an_entry_to_net() {
    // The exit's order is at the venue when the entry is planned; or the entry was planned before and is sent after it.
    for (call, wait) in [(Call::Ticker, 1_000), (Call::PlaceOrder, 30_000)] {
        let fits = overtaken("1.5", call, wait);
        assert_eq!(fits, (None, Decimal::new(15, 1)), "{call:?}");
        let over = overtaken("1.6", call, wait);
        assert_eq!(over, (Some(Code::Limit), Decimal::ZERO), "{call:?}");
    }
}

#[test]
fn a_flip_above_a_limit_becomes_its_closing_leg() {
    let host = limited(notional(100));
    host.exchange
        .borrow_mut()
        .set_held(host.now(), "BTCUSDT", "3");
    let flip = host.accept(&alert("BTCUSDT", "SHORT", r#","quantity":2"#));
    host.settle();
    assert_eq!(
        outcome(&host, &flip),
        (SignalStatus::PartlyFilled, Some(Code::Limit))
    );
    let legs = host.view(&flip).legs.unwrap();
    assert_eq!(legs.close.status, "filled");
    assert_eq!(
        (legs.open.status.as_str(), legs.open.code),
        ("not_sent", Some(Code::Limit))
    );
    let told = legs.open.error.unwrap();
    assert!(told.contains("maxPositionNotional"), "{told}");
    assert!(host.exchange.borrow().held("BTCUSDT").is_zero());
    host.check_books();
}

#[test]
fn a_dry_run_is_held_to_the_limits_as_well() {
    let host = limited(notional(100));
    let id = host.accept(&alert("BTCUSDT", "LONG", r#","quantity":2,"dryRun":true"#));
    host.settle();
    assert_eq!(outcome(&host, &id), LIMIT);
}

#[test]
fn a_dry_run_of_a_flip_above_a_limit_says_that_only_the_close_would_go() {
    let host = limited(notional(100));
    host.exchange
        .borrow_mut()
        .set_held(host.now(), "BTCUSDT", "3");
    let id = host.accept(&alert("BTCUSDT", "SHORT", r#","quantity":2,"dryRun":true"#));
    host.settle();
    assert_eq!(
        outcome(&host, &id),
        (SignalStatus::DryRun, Some(Code::Limit))
    );
    let view = host.view(&id);
    assert_eq!(view.orders.len(), 1);
    let told = view.message.unwrap();
    assert!(told.contains("only the close would be sent"), "{told}");
}

#[test]
fn orders_within_a_minute_are_counted_and_exits_pass() {
    let host = limited(rate(2));
    let ids = rush(&host, &["BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT"]);
    host.settle();
    assert_eq!(filled(&host, &ids), 2);
    let exit = host.accept(&alert("BTCUSDT", "close", ""));
    host.settle();
    assert_ne!(outcome(&host, &exit), LIMIT);
    host.advance(MINUTE + 1_000);
    let ids = rush(&host, &["ADAUSDT"]);
    host.settle();
    assert_eq!(outcome(&host, &ids[0]), FILLED);
}

#[test]
fn an_order_that_is_sent_once_more_counts_from_then() {
    let host = limited(rate(1));
    for _ in 0..5 {
        host.fail(Call::PlaceOrder, When::Before, error(ErrorClass::Unknown));
    }
    let began = host.now();
    let slow = host.accept(&alert("BTCUSDT", "buy", r#","quantity":1,"maxLag":300"#));
    host.settle_within(MINUTE);
    assert_eq!(outcome(&host, &slow), FILLED);
    let created = host.exchange.borrow().orders[0].created_at;
    assert!(created - began > MINUTE / 4, "it came late");
    host.advance(began + MINUTE + 2_000 - host.now());
    let next = host.accept(&alert("ETHUSDT", "buy", r#","quantity":1"#));
    host.settle();
    assert_eq!(outcome(&host, &next), LIMIT);
}

#[test]
fn a_days_loss_stops_entries_until_the_next_day() {
    let host = limited(Limits {
        max_daily_loss: Some(Decimal::ONE_HUNDRED.try_into().unwrap()),
        ..Limits::default()
    });
    host.exchange.borrow_mut().result = Some(Decimal::from(-500));
    // The start of the first day is noted at once, by the alarm alone.
    host.tick();
    host.exchange.borrow_mut().result = Some(Decimal::from(-599));
    let ids = rush(&host, &["BTCUSDT"]);
    host.settle_within(MINUTE);
    assert_eq!(outcome(&host, &ids[0]), FILLED);
    host.exchange.borrow_mut().result = Some(Decimal::from(-600));
    let ids = rush(&host, &["ETHUSDT"]);
    let exit = host.accept(&alert("BTCUSDT", "close", ""));
    host.settle_within(MINUTE);
    assert_eq!(outcome(&host, &ids[0]), LIMIT);
    assert_eq!(outcome(&host, &exit), FILLED);

    let midnight = (START / DAY + 1) * DAY;
    assert_eq!(host.alarm(), Some(midnight));
    host.fail(Call::Balances, When::Before, error(ErrorClass::Unavailable));
    host.settle_within(midnight - host.now() + 2 * MINUTE);
    assert_eq!(
        host.alarm(),
        Some(midnight + DAY),
        "noted at the second try"
    );
    host.exchange.borrow_mut().result = Some(Decimal::from(-699));
    let ids = rush(&host, &["SOLUSDT"]);
    host.settle_within(MINUTE);
    assert_eq!(outcome(&host, &ids[0]), FILLED);
}

#[test]
fn where_the_venue_does_not_say_what_was_lost_no_entry_is_made() {
    let host = limited(Limits {
        max_daily_loss: Some(Decimal::ONE_HUNDRED.try_into().unwrap()),
        ..Limits::default()
    });
    host.exchange.borrow_mut().result = None;
    let ids = rush(&host, &["BTCUSDT"]);
    host.settle_within(MINUTE);
    assert_eq!(outcome(&host, &ids[0]), LIMIT);
}

#[test]
fn a_limit_that_is_taken_away_is_watched_no_more() {
    let host = limited(Limits {
        max_daily_loss: Some(Decimal::ONE_HUNDRED.try_into().unwrap()),
        ..Limits::default()
    });
    host.account.borrow_mut().limits = Limits::default();
    host.configure(2, KillMode::Off, 1, &["tv"]);
    host.settle();
    assert_eq!(host.count(Call::Balances), 0);
}
