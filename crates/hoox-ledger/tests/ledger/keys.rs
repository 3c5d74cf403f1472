//! What the account's API key may do, asked of a venue that answers, refuses or is left alone.

use hoox_exchange::ErrorClass;
use hoox_mesh::{KeyReport, Problem, ProblemView};
use hoox_model::{Code, KeyInfo};

use crate::world::{Call, Host, MINUTE, When, error};

fn report(host: &Host) -> KeyReport {
    let report = host.run(host.ledger().key_report());
    report.unwrap().unwrap().unwrap()
}

#[test]
fn the_key_is_asked_for_by_a_clock_that_is_right() {
    let host = Host::new();
    host.true_offset.set(1_500);
    let told = report(&host);
    assert_eq!(told.key, Some(KeyInfo::default()));
    assert_eq!((told.clock_offset_ms, told.problem), (Some(1_500), None));
    assert_eq!(host.venue_calls_since(0), 2);
    // What was measured is what later calls are signed with.
    report(&host);
    assert_eq!(host.offset_seen.get(), 1_500);
}

#[test]
fn a_refusal_says_what_it_is_about() {
    for (call, class, code, calls) in [
        (Call::KeyInfo, ErrorClass::Credentials, Code::Credentials, 2),
        (Call::KeyInfo, ErrorClass::RateLimited, Code::Unavailable, 2),
        (Call::SyncClock, ErrorClass::Location, Code::Location, 1),
        (Call::SyncClock, ErrorClass::Unknown, Code::Unavailable, 1),
    ] {
        let host = Host::new();
        host.fail(call, When::Before, error(class));
        let told = report(&host);
        assert_eq!(told.key, None);
        let expected = ProblemView {
            code,
            error: format!("{class} (TEST)"),
        };
        assert_eq!(told.problem, Some(expected));
        assert_eq!(told.clock_offset_ms.is_some(), calls == 2);
        assert_eq!(told.millis.is_some(), calls == 2);
        assert_eq!(host.venue_calls_since(0), calls);
    }
}

#[test]
fn without_its_secrets_nobody_is_asked() {
    let host = Host::new();
    let missing = Problem::new(Code::NotConfigured, "the secret BYBIT_API_KEY is not set");
    host.no_venue.replace(Some(missing.clone()));
    assert_eq!(report(&host).problem, Some(missing.into()));
    assert_eq!(host.venue_calls_since(0), 0);
}

#[test]
fn a_venue_that_is_left_alone_is_not_asked() {
    let host = Host::new();
    let limited = hoox_exchange::VenueError {
        retry_after_ms: Some(MINUTE),
        ..error(ErrorClass::RateLimited)
    };
    host.fail(Call::Position, When::Before, limited);
    host.accept(r#"{"symbol":"BTCUSDT","action":"LONG","quantity":1}"#);
    host.drive();
    let calls = host.calls();
    let problem = report(&host).problem.unwrap();
    assert_eq!(problem.code, Code::Unavailable);
    assert!(
        problem.error.contains("left alone until"),
        "{}",
        problem.error
    );
    assert_eq!(host.venue_calls_since(calls), 0);
}
