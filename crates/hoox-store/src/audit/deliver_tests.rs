//! Records and their entries, on SQLite itself.

use hoox_model::{Code, Timestamp};
use proptest::prelude::*;
use serde_json::Value as Json;

use super::tests::{at, database, done, exported, verified};
use super::*;
use crate::tests::{Database, at_revision, fill, order, signal};
use crate::{OrderRecord, OutboxRow, SignalRecord};

fn ends(state: &str) -> bool {
    ["filled", "refused", "unknown"].contains(&state)
}

fn store(database: &Database, rows: &[OutboxRow]) {
    done(deliver(database, at(0), rows, ends)).unwrap();
}

fn lines(database: &Database) -> Vec<Json> {
    let (lines, _) = exported(database, None, 200);
    lines
        .iter()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Event, actor and detail of every line.
fn told(database: &Database) -> Vec<[String; 3]> {
    let text = |line: &Json, field: &str| line[field].as_str().unwrap().to_owned();
    lines(database)
        .iter()
        .map(|line| ["event", "actor", "detail"].map(|field| text(line, field)))
        .collect()
}

fn signal_as(state: &str, message: Option<&str>) -> SignalRecord {
    SignalRecord {
        state: state.to_owned(),
        message: message.map(str::to_owned),
        code: message.map(|_| Code::KillSwitch.as_str().to_owned()),
        ..signal(1, "acc-1")
    }
}

fn order_sent(leg: u32) -> OrderRecord {
    OrderRecord {
        sent_at: Some(Timestamp::from_millis(7)),
        ..order(1, leg, "acc-1")
    }
}

#[test]
fn a_signal_leaves_what_was_asked_sent_and_came_of_it_once() {
    let database = database();
    let asked = ["signal.accepted", "tv", "LONG BYBIT:BTCUSDT.P"].map(str::to_owned);
    store(&database, &[at_revision(1, signal_as("received", None))]);
    assert_eq!(told(&database), core::slice::from_ref(&asked));

    // An order that is only planned is none yet; fills are in the records.
    store(
        &database,
        &[
            at_revision(2, signal_as("planned", None)),
            at_revision(3, order(1, 0, "acc-1")),
            at_revision(4, fill(1, "acc-1")),
        ],
    );
    assert_eq!(told(&database).len(), 1);

    let id = order(1, 0, "acc-1").client_order_id;
    let sent = format!("buy 0.01 BTCUSDT market as {id}");
    let sent = ["order.sent".to_owned(), "trade-worker".to_owned(), sent];
    let ended = ["signal.outcome", "trade-worker", "filled"].map(str::to_owned);
    let last = [
        at_revision(7, signal_as("filled", None)),
        at_revision(6, order_sent(0)),
    ];
    // In any order of the rows; repeated, and with what came before, nothing more.
    for _ in 0..2 {
        store(&database, &last);
        store(&database, &[at_revision(5, signal_as("sending", None))]);
        assert_eq!(
            told(&database),
            [asked.clone(), sent.clone(), ended.clone()]
        );
    }
    let [first, .., outcome] = &lines(&database)[..] else {
        panic!("no lines")
    };
    for line in [first, outcome] {
        assert_eq!(line["chain"], "ledger/acc-1");
        assert_eq!(line["account"], "acc-1");
        assert_eq!(line["requestId"], "req-1");
        assert_eq!(line["signalId"], signal(1, "acc-1").id.to_string());
    }
    assert_eq!(verified(&database, None, 2), Ok(3));
}

#[test]
fn a_signal_that_is_first_seen_at_its_end_tells_both() {
    let database = database();
    let refused = signal_as("refused", Some("the kill switch lets no entry through"));
    store(&database, &[at_revision(9, refused)]);
    let lines = lines(&database);
    let [accepted, outcome] = &lines[..] else {
        panic!("{lines:?}")
    };
    assert_eq!(accepted["event"], "signal.accepted");
    assert_eq!(
        (&outcome["event"], &outcome["code"]),
        (&"signal.outcome".into(), &"KILL_SWITCH".into())
    );
    assert_eq!(
        outcome["detail"],
        "refused: the kill switch lets no entry through"
    );
    // An operator settles what was unknown: that is another outcome.
    let database = self::database();
    for (revision, state) in [(1, "unknown"), (2, "filled"), (3, "filled")] {
        store(&database, &[at_revision(revision, signal_as(state, None))]);
    }
    let details: Vec<String> = told(&database)
        .into_iter()
        .map(|[_, _, text]| text)
        .collect();
    assert_eq!(details, ["LONG BYBIT:BTCUSDT.P", "unknown", "filled"]);
}

/// Another writer is quicker: its delivery comes between what this one reads and what it stores.
struct Overtaken<'a>(&'a Database, OutboxRow);

impl AuditStore for Overtaken<'_> {
    type Error = String;

    async fn run(&self, statements: &[Statement]) -> Result<Vec<Vec<AuditFound>>, String> {
        if statements.iter().any(|s| s.sql().contains("INSERT")) {
            store(self.0, core::slice::from_ref(&self.1));
        }
        self.0.run(statements).await
    }
}

#[test]
fn a_record_and_its_entries_are_stored_together_or_not_at_all() {
    let database = database();
    let other = at_revision(1, signal(2, "acc-1"));
    let one = at_revision(2, signal_as("filled", None));
    let overtaken = Overtaken(&database, other);
    done(deliver(
        &overtaken,
        at(0),
        core::slice::from_ref(&one),
        ends,
    ))
    .unwrap_err();
    assert_eq!(database.all::<SignalRecord>(None, 10).len(), 1);
    assert_eq!(told(&database).len(), 1);
    // It comes again, and finds its place.
    store(&database, &[one]);
    assert_eq!(told(&database).len(), 3);
    assert_eq!(verified(&database, Some("ledger/acc-1"), 9), Ok(3));
    // Accounts do not wait for each other.
    let elsewhere = at_revision(1, signal(3, "acc-2"));
    let overtaken = Overtaken(&database, at_revision(1, signal(4, "acc-1")));
    done(deliver(&overtaken, at(0), &[elsewhere], ends)).unwrap();
    assert_eq!(verified(&database, None, 9), Ok(5));
}

proptest! {
    /// However a Ledger's records come, cut and repeated, each signal is accepted once, each order sent once, and
    /// the highest revision's end is told.
    #[test]
    fn deliveries_in_any_order_tell_each_thing_once(
        order in Just((0..5usize).collect::<Vec<_>>()).prop_shuffle(),
        again in proptest::collection::vec(0..5usize, 0..6),
        size in 1..4usize,
    ) {
        let history = [
            at_revision(1, signal_as("received", None)),
            at_revision(2, crate::tests::order(1, 0, "acc-1")),
            at_revision(3, order_sent(0)),
            at_revision(4, order_sent(1)),
            at_revision(5, signal_as("filled", None)),
        ];
        let database = database();
        let rows: Vec<OutboxRow> = order.into_iter().chain(again).map(|place| history[place].clone()).collect();
        for rows in rows.chunks(size) {
            store(&database, rows);
        }
        let mut events: Vec<String> = told(&database).into_iter().map(|[event, ..]| event).collect();
        events.sort();
        prop_assert_eq!(events, ["order.sent", "order.sent", "signal.accepted", "signal.outcome"]);
        prop_assert_eq!(verified(&database, None, 3), Ok(4));
    }
}
