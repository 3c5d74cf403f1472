//! Every port call of a run fails before and after it took effect, and every run dies at every port
//! call: always one effect a leg, nothing lost, acknowledged = recorded.

use hoox_mesh::SignalStatus;
use hoox_model::{Code, SignalId};

use crate::world::{Faults, Host, When};

/// A story: what is held before, the alerts in order, and what is held after.
struct Story {
    name: &'static str,
    before: &'static str,
    alerts: &'static [&'static str],
    after: &'static str,
    orders: usize,
}

const STORIES: [Story; 6] = [
    Story {
        name: "market",
        before: "0",
        alerts: &[r#"{"symbol":"BTCUSDT","action":"LONG","quantity":1,"leverage":4}"#],
        after: "1",
        orders: 1,
    },
    Story {
        name: "quote size",
        before: "0",
        alerts: &[r#"{"symbol":"BTCUSDT","action":"LONG","quantity":100,"quantityType":"quote"}"#],
        after: "1",
        orders: 1,
    },
    Story {
        name: "limit",
        before: "0",
        alerts: &[
            r#"{"symbol":"BTCUSDT","action":"LONG","quantity":1,"orderType":"limit","price":100}"#,
        ],
        after: "1",
        orders: 1,
    },
    Story {
        name: "flip",
        before: "2",
        alerts: &[r#"{"symbol":"BTCUSDT","action":"SHORT","quantity":1}"#],
        after: "-1",
        orders: 2,
    },
    Story {
        name: "close",
        before: "-2",
        alerts: &[r#"{"symbol":"BTCUSDT","action":"close"}"#],
        after: "0",
        orders: 1,
    },
    Story {
        name: "entry and exit",
        before: "0",
        alerts: &[
            r#"{"symbol":"BTCUSDT","action":"buy","quantity":1}"#,
            r#"{"symbol":"BTCUSDT","action":"close"}"#,
        ],
        after: "0",
        orders: 2,
    },
];

/// Tells a story with faults; `fill_delay_ms` makes the run poll.
fn tell(story: &Story, unique: bool, fill_delay_ms: i64, faults: Faults) -> (Host, Vec<SignalId>) {
    let host = Host::new();
    {
        let mut exchange = host.exchange.borrow_mut();
        exchange.set_held(host.now(), "BTCUSDT", story.before);
        exchange.manners.unique_ids = unique;
        exchange.manners.fill_delay_ms = fill_delay_ms;
    }
    *host.faults.borrow_mut() = faults;
    let ids = story
        .alerts
        .iter()
        .map(|alert| {
            // An exit that came at once would keep the entry before it from being sent.
            host.settle();
            accept(&host, alert)
        })
        .collect();
    host.settle();
    (host, ids)
}

/// The gateway repeats what is not confirmed, with the same request id.
fn accept(host: &Host, alert: &str) -> SignalId {
    let message = host.message(alert);
    for _ in 0..5 {
        match hoox_ledger::Ledger::attach(host.clone()).accept(&message) {
            Ok(accepted) => return accepted.id,
            Err(problem) => assert_eq!(problem.code, Code::NotConfirmed),
        }
    }
    panic!("storage never comes back");
}

fn check(story: &Story, host: &Host, ids: &[SignalId], what: &str) {
    host.check_books();
    for id in ids {
        assert_eq!(
            host.status(id),
            SignalStatus::Filled,
            "{} {what}: {:?}",
            story.name,
            host.view(id)
        );
    }
    let exchange = host.exchange.borrow();
    assert_eq!(
        exchange.held("BTCUSDT").to_string(),
        story.after,
        "{} {what}",
        story.name
    );
    assert_eq!(exchange.orders.len(), story.orders, "{} {what}", story.name);
}

#[test]
fn a_crash_at_any_port_call() {
    for story in &STORIES {
        for delay in [0, 2_500] {
            let (host, ids) = tell(story, true, delay, Faults::default());
            check(story, &host, &ids, "without faults");
            for number in 0..host.calls() {
                for when in [When::Before, When::After] {
                    let faults = Faults {
                        crash_at: vec![(number, when)],
                        ..Faults::default()
                    };
                    let (host, ids) = tell(story, true, delay, faults);
                    check(story, &host, &ids, &format!("crash {when:?} call {number}"));
                }
            }
        }
    }
}

/// Every way for the flip, which has the longest run; the others die after the calls took effect.
fn ways(story: &Story) -> &'static [(When, When)] {
    const WAYS: [(When, When); 4] = [
        (When::After, When::After),
        (When::Before, When::Before),
        (When::Before, When::After),
        (When::After, When::Before),
    ];
    if story.name == "flip" {
        &WAYS
    } else {
        &WAYS[..1]
    }
}

#[test]
fn two_crashes_at_any_port_calls() {
    for story in &STORIES {
        let (host, _) = tell(story, true, 0, Faults::default());
        let calls = host.calls() + 4;
        for first in 0..calls {
            for second in first + 1..calls {
                for (one, two) in ways(story) {
                    let faults = Faults {
                        crash_at: vec![(first, *one), (second, *two)],
                        ..Faults::default()
                    };
                    let (host, ids) = tell(story, true, 0, faults);
                    check(
                        story,
                        &host,
                        &ids,
                        &format!("crashes {first} {one:?}, {second} {two:?}"),
                    );
                }
            }
        }
    }
}

#[test]
fn no_clear_answer_at_any_port_call() {
    for story in &STORIES {
        for delay in [0, 2_500] {
            let (host, _) = tell(story, true, delay, Faults::default());
            for number in 0..host.calls() {
                for when in [When::Before, When::After] {
                    let faults = Faults {
                        fail_at: vec![(number, when)],
                        ..Faults::default()
                    };
                    let (host, ids) = tell(story, true, delay, faults);
                    check(
                        story,
                        &host,
                        &ids,
                        &format!("failure {when:?} call {number}"),
                    );
                }
            }
        }
    }
}

#[test]
fn a_failure_and_then_a_crash() {
    for story in &STORIES {
        let (host, _) = tell(story, true, 0, Faults::default());
        let calls = host.calls() + 4;
        for first in 0..calls {
            for second in first + 1..calls {
                let faults = Faults {
                    fail_at: vec![(first, When::After)],
                    crash_at: vec![(second, When::After)],
                    ..Faults::default()
                };
                let (host, ids) = tell(story, true, 0, faults);
                check(
                    story,
                    &host,
                    &ids,
                    &format!("failure {first}, crash {second}"),
                );
            }
        }
    }
}

/// Where ids may come again, nothing is sent twice; the price is that an order can stay unknown.
#[test]
fn a_crash_at_any_port_call_where_ids_may_come_again() {
    for story in &STORIES {
        let (host, ids) = tell(story, false, 0, Faults::default());
        check(story, &host, &ids, "without faults");
        for number in 0..host.calls() {
            for when in [When::Before, When::After] {
                let faults = Faults {
                    crash_at: vec![(number, when)],
                    ..Faults::default()
                };
                let (host, ids) = tell(story, false, 0, faults);
                host.check_books();
                let there = host.exchange.borrow().orders.len();
                assert!(
                    there <= story.orders,
                    "{} crash {when:?} call {number}",
                    story.name
                );
                let known = ids.iter().all(|id| host.status(id) == SignalStatus::Filled);
                let unknown = ids
                    .iter()
                    .any(|id| host.status(id) == SignalStatus::Unknown);
                assert!(
                    known || unknown,
                    "{} crash {when:?} call {number}",
                    story.name
                );
                assert!(
                    !known || there == story.orders,
                    "{} crash {when:?} call {number}",
                    story.name
                );
                // A close goes out under another id when nobody knows what became of the first.
                let closes = story.alerts.iter().all(|alert| alert.contains("close"));
                let held = host.exchange.borrow().held("BTCUSDT").to_string();
                assert!(
                    !closes || held == story.after,
                    "{} crash {when:?} call {number}",
                    story.name
                );
            }
        }
    }
}

#[test]
fn storage_fails_in_any_transaction() {
    for story in &STORIES {
        let (host, _) = tell(story, true, 0, Faults::default());
        for number in 1..host.transactions() {
            for when in [When::Before, When::After] {
                let faults = Faults {
                    store_at: vec![(number, when)],
                    ..Faults::default()
                };
                let (host, ids) = tell(story, true, 0, faults);
                check(
                    story,
                    &host,
                    &ids,
                    &format!("storage {when:?} transaction {number}"),
                );
            }
        }
    }
}

#[test]
fn storage_fails_and_then_the_run_dies() {
    for story in STORIES.iter().filter(|story| story.name == "flip") {
        let (host, _) = tell(story, true, 0, Faults::default());
        let (transactions, calls) = (host.transactions(), host.calls());
        for number in 1..transactions {
            for call in 0..calls {
                let faults = Faults {
                    store_at: vec![(number, When::Before)],
                    crash_at: vec![(call, When::After)],
                    ..Faults::default()
                };
                let (host, ids) = tell(story, true, 0, faults);
                check(
                    story,
                    &host,
                    &ids,
                    &format!("transaction {number}, crash {call}"),
                );
            }
        }
    }
}
