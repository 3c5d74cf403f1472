//! What is journaled, what is refused, and with which code.

use hoox_exchange::ErrorClass;
use hoox_ledger::Ledger;
use hoox_mesh::{KillMode, SignalStatus};
use hoox_model::Code;
use hoox_store::{Record, Value};

use crate::world::{Call, Host, MINUTE, When, error};

const LONG: &str = r#"{"apiKey":"k","symbol":"BTCUSDT","action":"LONG","quantity":1}"#;
const SHORT: &str = r#"{"symbol":"BTCUSDT","action":"SHORT","quantity":1}"#;
const CLOSE: &str = r#"{"symbol":"BTCUSDT","action":"close"}"#;

fn rows(host: &Host, table: &str) -> i64 {
    match host.sql(&format!("SELECT COUNT(*) FROM {table}"))[0][0] {
        Value::Integer(count) => count,
        _ => panic!("a count is an integer"),
    }
}

#[test]
fn a_duplicate_names_the_first_signal_and_its_outcome() {
    let host = Host::new();
    let first = host.accept(LONG);
    let problem = host.refused(LONG);
    assert_eq!(problem.code, Code::Duplicate);
    assert_eq!(
        problem.message,
        format!(
            "this signal came before as {first} and is received; nothing was done again. Two fills that look the same are told apart by what differs in their alerts: add \"orderId\": \"{{{{strategy.order.id}}}}\" and \"timestamp\": \"{{{{timenow}}}}\", or an idempotencyKey of its own for each"
        )
    );
    let view = problem.signal.unwrap();
    assert_eq!(
        (view.signal_id, view.status),
        (first.clone(), SignalStatus::Received)
    );
    host.settle();
    let view = host.refused(LONG).signal.unwrap();
    assert_eq!((view.signal_id, view.status), (first, SignalStatus::Filled));
    assert_eq!(host.exchange.borrow().orders.len(), 1);
}

#[test]
fn a_static_alert_trades_again_after_45_seconds_and_not_before() {
    let host = Host::new();
    host.accept(LONG);
    host.advance(44_999);
    assert_eq!(host.refused(LONG).code, Code::Duplicate);
    host.advance(1);
    host.accept(LONG);
    host.settle();
    assert_eq!(host.exchange.borrow().orders.len(), 2);
    host.check_books();
}

#[test]
fn a_key_holds_for_seven_days_and_is_not_reused() {
    let host = Host::new();
    let body = |quantity| {
        format!(
            r#"{{"symbol":"BTCUSDT","action":"LONG","quantity":{quantity},"idempotencyKey":"bar-7"}}"#
        )
    };
    let first = host.accept(&body(1));
    host.settle();
    host.advance(7 * 24 * 60 * MINUTE - 1 - (host.now() - crate::world::START));
    let again = host.refused(&body(1));
    assert_eq!(again.code, Code::Duplicate);
    assert!(
        again
            .message
            .ends_with("told apart by their idempotencyKey: give each one its own"),
        "{}",
        again.message
    );
    let reused = host.refused(&body(2));
    assert_eq!(reused.code, Code::KeyReused);
    assert_eq!(reused.field.as_deref(), Some("idempotencyKey"));
    assert_eq!(reused.signal.unwrap().signal_id, first);
    host.advance(1);
    host.accept(&body(2));
}

#[test]
fn another_senders_same_key_is_another_signal() {
    let host = Host::new();
    host.configure(2, KillMode::Off, 2, &["tv", "desk"]);
    let ledger = host.ledger();
    let mut message = host.message(LONG);
    message.manifest_version = 2;
    ledger.accept(&message).unwrap();
    let mut message = host.message(LONG);
    message.manifest_version = 2;
    message.sender = "desk".parse().unwrap();
    ledger.accept(&message).unwrap();
    assert_eq!(rows(&host, "signal"), 2);
}

#[test]
fn a_repeated_request_is_the_same_signal_and_no_duplicate() {
    let host = Host::new();
    let ledger = host.ledger();
    let message = host.message(LONG);
    let first = ledger.accept(&message).unwrap();
    assert_eq!(ledger.accept(&message).unwrap(), first);
    host.settle();
    let later = ledger.accept(&message).unwrap();
    assert_eq!(later.id, first.id);
    assert_eq!(later.view.status, SignalStatus::Filled);
    assert_eq!(host.exchange.borrow().orders.len(), 1);
}

#[test]
fn what_is_not_recorded_yet_is_kept_however_old_it_is() {
    let host = Host::new();
    for _ in 0..20 {
        host.fail(Call::Deliver, When::Before, error(ErrorClass::Unavailable));
    }
    let id = host.accept(LONG);
    host.drive();
    assert_eq!(host.status(&id), SignalStatus::Filled);
    host.faults.borrow_mut().script.clear();
    // Long after its rows would have gone.
    host.advance(9 * 24 * 60 * MINUTE);
    host.drive();
    let recorded = |record: &Record| match record {
        Record::Signal(signal) => signal.id == id && signal.state == "filled",
        Record::Order(order) => order.signal_id == id && order.state == "filled",
        _ => false,
    };
    assert_eq!(
        host.latest()
            .iter()
            .filter(|record| recorded(record))
            .count(),
        2
    );
    // Then they go, with the next look for what is old.
    host.advance(60_000);
    host.drive();
    assert!(host.sql("SELECT 1 FROM signal").is_empty());
    assert!(host.sql("SELECT 1 FROM orders").is_empty());
}

#[test]
fn identities_are_pruned_when_they_have_run_out() {
    let host = Host::new();
    for quantity in 1..=120 {
        host.accept(&LONG.replace(":1}", &format!(":{quantity}}}")));
    }
    assert_eq!(rows(&host, "identity"), 120);
    host.drive();
    assert_eq!(rows(&host, "identity"), 120, "still in their window");
    host.advance(45_000);
    host.drive();
    assert_eq!(rows(&host, "identity"), 20, "100 at a time");
    host.drive();
    assert_eq!(rows(&host, "identity"), 0);
}

#[test]
fn a_commit_that_fails_is_not_confirmed_and_leaves_nothing() {
    let host = Host::new();
    host.faults.borrow_mut().store_at = vec![(host.transactions(), When::Before)];
    let message = host.message(LONG);
    let ledger = Ledger::attach(host.clone());
    assert_eq!(
        ledger.accept(&message).unwrap_err().code,
        Code::NotConfirmed
    );
    assert_eq!((rows(&host, "signal"), rows(&host, "identity")), (0, 0));
    assert_eq!(host.alarm(), None);
    ledger.accept(&message).unwrap();
    host.settle();
    assert_eq!(host.exchange.borrow().orders.len(), 1);
}

#[test]
fn a_commit_whose_answer_is_lost_is_the_same_signal_when_it_is_repeated() {
    let host = Host::new();
    host.faults.borrow_mut().store_at = vec![(host.transactions(), When::After)];
    let message = host.message(LONG);
    let ledger = Ledger::attach(host.clone());
    assert_eq!(
        ledger.accept(&message).unwrap_err().code,
        Code::NotConfirmed
    );
    ledger.accept(&message).unwrap();
    assert_eq!(rows(&host, "signal"), 1);
    host.settle();
    assert_eq!(host.exchange.borrow().orders.len(), 1);
}

#[test]
fn the_switch_refuses_entries_journals_them_and_lets_exits_through() {
    let host = Host::new();
    host.accept(LONG);
    host.settle();
    host.set_kill(KillMode::Entries, 2);
    // The same alert is no duplicate any more, and the record of the position still fresh.
    host.advance(50_000);
    let problem = host.refused(LONG);
    assert_eq!(problem.code, Code::KillSwitch);
    let view = problem.signal.unwrap();
    assert_eq!(view.status, SignalStatus::Refused);
    let close = host.accept(CLOSE);
    host.settle();
    assert_eq!(host.status(&close), SignalStatus::Filled);
    assert!(host.exchange.borrow().held("BTCUSDT").is_zero());
    let kept = host.latest().into_iter().any(|record| {
        matches!(record, Record::Signal(signal) if signal.id == view.signal_id
            && signal.code.as_deref() == Some("KILL_SWITCH"))
    });
    assert!(kept, "the refused signal is in the records");
    // The refusal did not take the identity: once the switch is off the same alert trades.
    host.set_kill(KillMode::Off, 3);
    host.accept(LONG);
    host.settle();
    host.check_books();
}

#[test]
fn the_switch_in_mode_all_refuses_exits_too() {
    let host = Host::new();
    host.accept(LONG);
    host.settle();
    host.set_kill(KillMode::All, 2);
    let message = host.message(CLOSE);
    let ledger = Ledger::attach(host.clone());
    let problem = ledger.accept(&message).unwrap_err();
    assert_eq!(problem.code, Code::KillSwitch);
    assert_eq!(
        ledger.accept(&message).unwrap_err(),
        problem,
        "the same request, the same answer"
    );
    assert_eq!(rows(&host, "signal"), 2);
}

#[test]
fn an_older_word_on_the_switch_is_ignored() {
    let host = Host::new();
    host.set_kill(KillMode::All, 5);
    host.set_kill(KillMode::Off, 4);
    assert_eq!(host.refused(LONG).code, Code::KillSwitch);
}

#[test]
fn a_ledger_that_does_not_know_the_switch_takes_no_entry_and_still_exits() {
    let host = Host::unconfigured();
    let ledger = host.ledger();
    assert!(!ledger.is_configured().unwrap());
    host.exchange
        .borrow_mut()
        .set_held(host.now(), "BTCUSDT", "2");
    assert_eq!(host.refused(LONG).code, Code::NotConfirmed);
    assert_eq!(rows(&host, "signal"), 0);
    let close = host.accept(CLOSE);
    host.settle();
    assert_eq!(host.status(&close), SignalStatus::Filled);
    host.set_kill(KillMode::Off, 1);
    assert!(ledger.is_configured().unwrap());
    host.accept(LONG);
}

#[test]
fn a_flip_under_the_switch_becomes_its_closing_leg_and_says_so() {
    let host = Host::new();
    host.accept(LONG);
    host.settle();
    host.set_kill(KillMode::Entries, 2);
    let flip = host.accept(SHORT);
    host.settle();
    let view = host.view(&flip);
    assert_eq!(
        (view.status, view.code),
        (SignalStatus::PartlyFilled, Some(Code::KillSwitch))
    );
    assert_eq!(view.orders.len(), 1);
    assert!(view.orders[0].reduce_only);
    let legs = view.legs.clone().unwrap();
    assert_eq!(
        (legs.close.status.as_str(), legs.close.code),
        ("filled", None)
    );
    assert_eq!(
        (legs.open.status.as_str(), legs.open.code),
        ("not_sent", Some(Code::KillSwitch))
    );
    let body = serde_json::to_value(view.body(&host.message(SHORT).request_id)).unwrap();
    assert_eq!(
        body["success"], false,
        "a flip is a success only if both legs are"
    );
    assert!(host.exchange.borrow().held("BTCUSDT").is_zero());
    host.advance(MINUTE - 1);
    assert_eq!(
        host.refused(SHORT).code,
        Code::KillSwitch,
        "nothing is held any more"
    );
}

#[test]
fn entries_have_a_rate_and_exits_have_none() {
    let host = Host::new();
    let ledger = host.ledger();
    let send = |body: &str| {
        let mut message = host.message(body);
        message.entry_rate.count = 3;
        message.entry_rate.seconds = 10;
        ledger.accept(&message)
    };
    for quantity in 1..=3 {
        send(&LONG.replace(":1}", &format!(":{quantity}}}"))).unwrap();
        host.advance(1_000);
    }
    let problem = send(&LONG.replace(":1}", ":4}")).unwrap_err();
    assert_eq!(
        (problem.code, problem.retry_after),
        (Code::RateLimited, Some(7))
    );
    send(CLOSE).unwrap();
    host.advance(6_999);
    let problem = send(&LONG.replace(":1}", ":4}")).unwrap_err();
    assert_eq!(
        (problem.code, problem.retry_after),
        (Code::RateLimited, Some(1))
    );
    host.advance(1);
    send(&LONG.replace(":1}", ":4}")).unwrap();
}

#[test]
fn the_queue_of_open_signals_is_bounded_with_room_for_exits() {
    let host = Host::new();
    for quantity in 1..=1_000 {
        host.accept(&LONG.replace(":1}", &format!(":{quantity}}}")));
    }
    let problem = host.refused(SHORT);
    assert_eq!(
        (problem.code, problem.retry_after),
        (Code::RateLimited, Some(60))
    );
    for quantity in 1..=200 {
        host.accept(&CLOSE.replace('}', &format!(r#","quantity":{quantity}}}"#)));
    }
    assert_eq!(host.refused(CLOSE).code, Code::RateLimited);
}

#[test]
fn a_signal_that_is_too_old_already_is_not_journaled() {
    let host = Host::new();
    let ledger = host.ledger();
    let message = host.message(LONG);
    host.advance(60_001);
    let problem = ledger.accept(&message).unwrap_err();
    assert_eq!(
        (problem.code, problem.field.as_deref()),
        (Code::Stale, Some("timestamp"))
    );
    assert_eq!(rows(&host, "signal"), 0);
}

#[test]
fn a_revoked_sender_is_refused() {
    let host = Host::new();
    let ledger = host.ledger();
    host.configure(5, KillMode::Off, 2, &["desk"]);
    let mut message = host.message(LONG);
    message.manifest_version = 5;
    assert_eq!(
        ledger.accept(&message).unwrap_err().code,
        Code::NotPermitted
    );
    // A gateway that has read version 6 knows better than the senders of version 5; when Control
    // brings the senders of version 6, they count.
    message.manifest_version = 6;
    ledger.accept(&message).unwrap();
    host.configure(6, KillMode::Off, 2, &["desk"]);
    let mut again = host.message(SHORT);
    again.manifest_version = 6;
    assert_eq!(ledger.accept(&again).unwrap_err().code, Code::NotPermitted);
}

#[test]
fn a_decision_by_an_older_manifest_is_sent_back_and_replaces_nothing() {
    let host = Host::new();
    let ledger = host.ledger();
    let send = |version, origin: &str| {
        let mut message = host.message(LONG);
        message.manifest_version = version;
        message.account.base_url = Some(origin.to_owned());
        ledger.accept(&message)
    };
    send(3, "http://127.0.0.1:3").unwrap();
    let problem = send(2, "http://127.0.0.1:2").unwrap_err();
    assert_eq!(problem.code, Code::Conflict);
    let Value::Text(config) = &host.sql("SELECT value FROM meta WHERE key = 'config'")[0][0] else {
        panic!("no configuration");
    };
    assert!(config.contains("http://127.0.0.1:3"), "{config}");
    assert_eq!(rows(&host, "signal"), 1);
}

#[test]
fn another_ledger_may_ask_whether_a_signal_was_seen() {
    let host = Host::new();
    let ledger = host.ledger();
    let message = host.message(LONG);
    let request = hoox_mesh::SeenRequest {
        manifest_version: message.manifest_version,
        sender: message.sender.clone(),
        identity: message.identity.clone(),
    };
    ledger.seen(&request).unwrap();
    ledger.accept(&message).unwrap();
    assert_eq!(ledger.seen(&request).unwrap_err().code, Code::Duplicate);
    host.advance(45_000);
    ledger.seen(&request).unwrap();
}

#[test]
fn what_was_not_seen_is_not_taken_by_an_older_manifest_afterwards() {
    for host in [Host::new(), Host::unconfigured()] {
        let ledger = host.ledger();
        let request = |body, version| {
            let mut message = host.message(body);
            message.manifest_version = version;
            message
        };
        let first = request(LONG, 1);
        let before = host.message(CLOSE);
        ledger.accept(&before).unwrap();
        ledger
            .seen(&hoox_mesh::SeenRequest {
                manifest_version: 2,
                sender: first.sender.clone(),
                identity: first.identity.clone(),
            })
            .unwrap();
        // Control's word of version 2 has not come; the answer above holds all the same.
        assert_eq!(ledger.accept(&first).unwrap_err().code, Code::Conflict);
        assert_eq!(rows(&host, "signal"), 1);
        // What was taken before is answered as before.
        ledger.accept(&before).unwrap();
        host.configure(2, KillMode::Off, 3, &["tv"]);
        ledger.accept(&request(LONG, 2)).unwrap();
        assert_eq!(rows(&host, "signal"), 2);
    }
}

#[test]
fn a_signal_for_another_ledger_is_refused() {
    let host = Host::new();
    let mut message = host.message(LONG);
    message.account.generation = 2;
    let problem = Ledger::attach(host.clone()).accept(&message).unwrap_err();
    assert_eq!(problem.code, Code::Internal);
    assert_eq!(rows(&host, "signal"), 0);
}

#[test]
fn a_new_signal_never_puts_an_earlier_alarm_off() {
    let host = Host::new();
    host.accept(LONG);
    assert_eq!(host.alarm(), Some(host.now() + 1_000));
    host.advance(500);
    host.accept(SHORT);
    assert_eq!(host.alarm(), Some(host.now() + 500));
    // Another instance does not know which alarm is set: the first one is overdue, and nobody works on it.
    host.ledger();
    host.accept(CLOSE);
    assert_eq!(host.alarm(), Some(host.now()));
}
