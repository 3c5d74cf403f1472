//! Pruning on SQLite itself.
#![expect(clippy::arithmetic_side_effects, reason = "test data: small numbers")]

use core::cell::Cell;
use core::future::Future;
use core::pin::pin;
use core::task::{Context, Poll, Waker};

use hoox_model::{ClientOrderId, Product, SignalId, Timestamp};
use proptest::prelude::*;
use rusqlite::{StatementStatus, params_from_iter};

use super::*;
use crate::tests::{Bound, Database, at_revision, fill, order, position, signal};

const NOW: i64 = 1_800_000_000_000;
const DAY: i64 = 24 * 60 * 60 * 1000;
const WAITING: &[&str] = &["received", "acknowledged"];

/// D1's bound of statements in a call on the Free plan.
const QUERIES: usize = 50;
/// What an hour may take of the rows written of a day on that plan.
const ROWS_AN_HOUR: u64 = 100_000 / 2 / 24 + 100;

/// A database that counts what it is asked, and is as large as is said.
struct Store {
    database: Database,
    bytes: Cell<Option<u64>>,
    /// Bytes that a changed row frees.
    row: u64,
    asked: Cell<usize>,
    /// Rows that were changed, and those of their indexes.
    written: Cell<u64>,
    steps: Cell<i32>,
}

impl Store {
    fn new() -> Self {
        Self {
            database: Database::new(crate::tests::Numbers::JavaScript),
            bytes: Cell::new(Some(1_000_000)),
            row: 0,
            asked: Cell::new(0),
            written: Cell::new(0),
            steps: Cell::new(0),
        }
    }

    fn large(bytes: u64, row: u64) -> Self {
        Self {
            bytes: Cell::new(Some(bytes)),
            row,
            ..Self::new()
        }
    }

    fn prune(&self) -> Pruned {
        self.asked.set(0);
        self.written.set(0);
        self.steps.set(0);
        let pruned = done(prune(self, Timestamp::from_millis(NOW), WAITING)).unwrap();
        assert!(self.asked.get() <= QUERIES, "{}", self.asked.get());
        pruned
    }

    fn report(&self) -> RetentionReport {
        done(report(self)).unwrap()
    }

    fn store(&self, rows: &[OutboxRow]) {
        for statement in upserts(rows) {
            done(self.run(&[statement])).unwrap();
        }
    }

    /// Signals, orders and fills that are there, by the signals' numbers and how many of each.
    fn left(&self) -> Vec<(i64, usize, usize)> {
        let orders = self.database.all::<OrderRecord>(None, 100);
        let fills = self.database.fills();
        let mut left: Vec<_> = self
            .database
            .all::<SignalRecord>(None, 100)
            .iter()
            .map(|signal| {
                let own = orders.iter().filter(|order| order.signal_id == signal.id);
                let own: Vec<_> = own.map(|order| &order.client_order_id).collect();
                let fills = fills.iter();
                let fills = fills.filter(|fill| own.contains(&&fill.client_order_id));
                (days(signal.received_at), own.len(), fills.count())
            })
            .collect();
        left.sort_unstable();
        let counted = left.iter().map(|(_, orders, fills)| (orders, fills));
        let all = counted.fold((0, 0), |sum, (orders, fills)| {
            (sum.0 + orders, sum.1 + fills)
        });
        assert_eq!(all, (orders.len(), fills.len()), "none without its signal");
        left
    }
}

impl RecordStore for Store {
    type Error = String;

    async fn run(&self, statements: &[Statement]) -> Result<Stored, String> {
        self.asked.set(self.asked.get() + statements.len());
        let connection = &self.database.connection;
        let transaction = connection.unchecked_transaction().unwrap();
        let mut stored = Stored::default();
        for statement in statements {
            let before = connection.total_changes();
            let mut prepared = connection.prepare(statement.sql()).unwrap();
            let params = statement.params().iter().map(Bound::javascript);
            let mut found = prepared.query(params_from_iter(params)).unwrap();
            while found.next().unwrap().is_some() {}
            drop(found);
            let steps = prepared.get_status(StatementStatus::VmStep);
            self.steps.set(self.steps.get() + steps);
            let changes = connection.total_changes() - before;
            let weight = match statement.sql() {
                sql if sql.starts_with("DELETE FROM signals") => 3,
                sql if sql.starts_with("DELETE FROM orders") => 2,
                _ => 1,
            };
            self.written.set(self.written.get() + weight * changes);
            let deletes = statement.sql().starts_with("DELETE");
            let freed = if deletes { self.row * changes } else { 0 };
            let bytes = self.bytes.get().map(|bytes| bytes.saturating_sub(freed));
            self.bytes.set(bytes);
            stored.changes.push(changes);
            let rows = if statement.sql().starts_with("SELECT") {
                self.database
                    .try_rows(statement.sql(), statement.params())
                    .map_err(|error| error.to_string())?
            } else {
                Vec::new()
            };
            let read = |row| serde_json::from_value(row).unwrap();
            stored.rows.push(rows.into_iter().map(read).collect());
        }
        transaction.commit().unwrap();
        stored.bytes = self.bytes.get();
        Ok(stored)
    }
}

/// Runs what never waits.
fn done<T>(future: impl Future<Output = T>) -> T {
    let mut context = Context::from_waker(Waker::noop());
    match pin!(future).poll(&mut context) {
        Poll::Ready(done) => done,
        Poll::Pending => panic!("waits"),
    }
}

fn days(at: Timestamp) -> i64 {
    (NOW - at.as_millis()) / DAY
}

/// A signal that came so many days ago, with orders and with fills of each.
fn traded(days: i64, number: u16, state: &str, orders: u32, fills: u16) -> Vec<OutboxRow> {
    let at = Timestamp::from_millis(NOW - days * DAY - 1);
    let [high, low] = number.to_be_bytes();
    let id = SignalId::new(at, [high, low, 0, 0, 0, 0, 0, 0, 0, 0]);
    let record = SignalRecord {
        id: id.clone(),
        state: state.to_owned(),
        received_at: at,
        ..signal(0, "acc-1")
    };
    let mut rows = vec![at_revision(1, record)];
    for leg in 0..orders {
        let client_order_id = ClientOrderId::for_leg(&id, leg).unwrap();
        rows.push(at_revision(
            1,
            OrderRecord {
                client_order_id: client_order_id.clone(),
                signal_id: id.clone(),
                ..order(0, leg, "acc-1")
            },
        ));
        for number in 0..fills {
            rows.push(at_revision(
                1,
                FillRecord {
                    client_order_id: client_order_id.clone(),
                    fill_id: format!("{client_order_id}/{number}"),
                    ..fill(0, "acc-1")
                },
            ));
        }
    }
    rows
}

#[test]
fn what_is_older_than_180_days_goes_with_all_that_is_its_own() {
    let store = Store::new();
    store.store(&[at_revision(
        1,
        position("BTCUSDT", Product::Linear, "acc-1"),
    )]);
    for (number, days) in (0..).zip([400, 181, 180, 179, 8, 6, 0]) {
        store.store(&traded(days, number, "filled", 2, 3));
    }
    let report = store.report();
    assert_eq!(
        (report.pruned_until, report.pruned_by, report.full),
        (None, None, false)
    );
    let three = Pruned {
        signals: 3,
        orders: 6,
        fills: 18,
    };
    assert_eq!(store.prune(), three);
    let left = [0, 6, 8, 179].map(|days| (days, 2, 6));
    assert_eq!(store.left(), left);
    assert_eq!(store.database.all::<PositionRecord>(None, 10).len(), 1);
    let report = store.report();
    assert_eq!(
        report.pruned_until,
        Some(Timestamp::from_millis(NOW - 180 * DAY))
    );
    assert_eq!(report.pruned_at, Some(Timestamp::from_millis(NOW)));
    assert_eq!(report.pruned_by, Some(PrunedBy::Age));
    // Where there is nothing to do, nothing is written.
    assert!(store.prune().is_nothing());
    assert_eq!(store.written.get(), 0);
    assert_eq!(store.asked.get(), 4);
}

#[test]
fn what_is_not_finished_stays_with_its_orders_and_fills() {
    let store = Store::new();
    for (number, state) in (0..).zip(["filled", "acknowledged", "refused", "received"]) {
        store.store(&traded(300 - i64::from(number), number, state, 1, 2));
    }
    assert_eq!(store.prune().signals, 2);
    assert_eq!(store.left(), [(297, 1, 2), (299, 1, 2)]);
    assert!(store.prune().is_nothing());
    // It ends, and goes.
    let mut ended = traded(299, 1, "filled", 1, 2);
    ended[0].revision = Revision::try_from(2_i64).unwrap();
    store.store(&ended);
    assert_eq!(store.prune().signals, 1);
    assert_eq!(store.left(), [(297, 1, 2)]);
}

#[test]
fn orders_and_fills_whose_signal_was_never_stored_go_as_well() {
    let store = Store::new();
    store.store(&traded(300, 1, "filled", 2, 1)[1..]);
    let young = traded(100, 2, "filled", 2, 1);
    store.store(&young);
    let pruned = store.prune();
    assert_eq!((pruned.signals, pruned.orders, pruned.fills), (0, 2, 2));
    assert_eq!(store.left(), [(100, 2, 2)]);
}

#[test]
fn a_database_that_is_too_large_loses_its_oldest_and_keeps_a_week() {
    let fill = |store: &Store| {
        for number in 0..900_u16 {
            let days = 100 - i64::from(number / 9);
            store.store(&traded(days, number, "filled", 0, 0));
        }
    };
    // A row frees 100 KB: the first 300 are enough for now.
    let store = Store::large(MAX_BYTES + 20_000_000, 100_000);
    fill(&store);
    assert_eq!(store.prune().signals, 300);
    assert!(store.bytes.get() < Some(MAX_BYTES));
    assert!(store.prune().is_nothing());
    assert_eq!(store.left().len(), 600);
    let report = store.report();
    assert_eq!(report.pruned_by, Some(PrunedBy::Size));
    assert_eq!(report.pruned_until.map(days), Some(67));

    // It is full: several rounds in one call, until it is not any more.
    let store = Store::large(FULL_BYTES + 20_000_000, 40_000);
    fill(&store);
    assert_eq!(store.prune().signals, 600);
    assert!(!store.report().full);

    // Something else fills it: a week of records stays.
    let store = Store::large(FULL_BYTES + 1, 0);
    fill(&store);
    assert_eq!(store.prune().signals, 900 - 54);
    assert!(store.left().iter().all(|(days, ..)| *days < LEAST_DAYS));
    assert_eq!(store.left().len(), 54);
    assert!(store.report().full);
    assert!(store.prune().is_nothing());
    // Nobody knows how large it is: only age counts.
    let store = Store::new();
    store.bytes.set(None);
    fill(&store);
    assert!(store.prune().is_nothing());
}

#[test]
fn a_call_does_a_bounded_part_and_the_next_ones_the_rest() {
    let store = Store::new();
    for number in 0..700 {
        let orders = u32::from(number % 3 > 0);
        store.store(&traded(200, number, "filled", orders, 2));
    }
    // One order alone has more fills than a call deletes.
    store.store(&traded(201, 0, "filled", 1, 1_500));
    let mut calls = 0;
    loop {
        let left = store.left();
        let pruned = store.prune();
        assert!(store.written.get() <= ROWS_AN_HOUR, "{pruned:?}");
        if pruned.is_nothing() {
            assert_eq!(left, []);
            break;
        }
        calls += 1;
    }
    assert_eq!(calls, 5);
}

#[test]
fn rows_are_found_by_their_keys_however_many_younger_ones_there_are() {
    let steps = |younger: u16| {
        let store = Store::new();
        for number in 0..40 {
            store.store(&traded(200, number, "filled", 1, 1));
        }
        for number in 0..younger {
            store.store(&traded(100, number, "filled", 1, 1));
        }
        assert_eq!(store.prune().signals, 40);
        store.steps.get()
    };
    let few = steps(1);
    assert!(steps(800) < few + few / 50, "{few}");
}

#[test]
fn the_report_is_as_it_is_shown() {
    let store = Store::new();
    let json = |report| serde_json::to_string(&report).unwrap();
    assert_eq!(
        json(store.report()),
        r#"{"bytes":1000000,"maxBytes":400000000,"keptDays":180,"full":false}"#
    );
    store.store(&traded(181, 0, "filled", 0, 0));
    store.prune();
    assert_eq!(
        json(store.report()),
        r#"{"bytes":1000000,"maxBytes":400000000,"keptDays":180,"full":false,"prunedUntil":1784448000000,"prunedAt":1800000000000,"prunedBy":"age"}"#
    );
}

proptest! {
    /// Whatever there is: in the end there is left what is young or not finished, whole.
    #[test]
    fn calls_until_nothing_is_left_to_do_leave_what_shall_stay(
        signals in proptest::collection::vec((0i64..400, 0usize..3, 0u32..4, 0u16..4), 0..40),
        large: bool,
    ) {
        let store = if large { Store::large(FULL_BYTES - 1, 0) } else { Store::new() };
        let mut wanted = Vec::new();
        for (number, (days, state, orders, fills)) in (0..).zip(signals) {
            let state = ["filled", "refused", "acknowledged"][state];
            store.store(&traded(days, number, state, orders, fills));
            let kept = if large { LEAST_DAYS } else { KEPT_DAYS };
            if days < kept || state == "acknowledged" {
                let orders = usize::try_from(orders).unwrap();
                wanted.push((days, orders, orders * usize::from(fills)));
            }
        }
        while !store.prune().is_nothing() {}
        wanted.sort_unstable();
        prop_assert_eq!(store.left(), wanted);
    }
}
