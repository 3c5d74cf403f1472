//! How many statements a call makes. D1 allows 50 a call on its Free plan and counts every statement of a batch.

use core::cell::Cell;

use hoox_model::Timestamp;
use rusqlite::{StatementStatus, params_from_iter};

use super::tests::{at, database, done, verified};
use super::*;
use crate::tests::{Bound, Database, at_revision, fill, order, position, signal};
use crate::{OrderRecord, OutboxRow, SignalRecord};

/// D1's bound on the Free plan.
const QUERIES: usize = 50;

/// A database that counts what it is asked, and at which others may be quicker each time.
struct Counting<'a> {
    database: &'a Database,
    asked: Cell<usize>,
    contended: bool,
}

impl<'a> Counting<'a> {
    fn new(database: &'a Database) -> Self {
        Self {
            database,
            asked: Cell::new(0),
            contended: false,
        }
    }
}

impl AuditStore for Counting<'_> {
    type Error = String;

    async fn run(&self, statements: &[Statement]) -> Result<Vec<Vec<AuditFound>>, String> {
        self.asked
            .set(self.asked.get().saturating_add(statements.len()));
        if self.contended && statements.iter().any(|s| s.sql().contains("INSERT")) {
            let quicker = [entry("d1-worker")];
            append(self.database, at(0), &name("gateway"), &quicker)
                .await
                .unwrap();
        }
        self.database.run(statements).await
    }
}

fn entry(actor: &str) -> AuditEntry {
    AuditEntry::new(at(0), AuditEvent::EdgeRefused, actor)
}

fn name(chain: &str) -> ChainName {
    chain.parse().unwrap()
}

/// The statements of a delivery after which everything in it is stored.
fn delivery(database: &Database, day: i64, rows: &[OutboxRow]) -> usize {
    assert_eq!(rows.len(), MAX_DELIVERY);
    let counting = Counting::new(database);
    let ends = |state: &str| state == "refused";
    done(deliver(&counting, at(day), rows, ends)).unwrap();
    counting.asked.get()
}

/// A signal that is first seen at its end: two entries of the trail.
fn ended(number: u8, account: &str, body: &str) -> OutboxRow {
    let record = SignalRecord {
        state: "refused".to_owned(),
        message: Some("m".repeat(2000)),
        body: body.to_owned(),
        ..signal(number, account)
    };
    at_revision(1, record)
}

fn sent(number: u8, account: &str) -> OutboxRow {
    let record = OrderRecord {
        sent_at: Some(Timestamp::from_millis(7)),
        ..order(number, 0, account)
    };
    at_revision(1, record)
}

#[test]
fn a_delivery_makes_the_same_few_whatever_is_in_it() {
    let database = database();
    // Every kind of record, each of an account of its own; the month has no table yet.
    let mixed = |first: u8| -> Vec<OutboxRow> {
        (first..first.saturating_add(50))
            .map(|number| {
                let account = format!("acc-{number}");
                match number % 4 {
                    0 => ended(number, &account, "{}"),
                    1 => sent(number, &account),
                    2 => at_revision(1, fill(number, &account)),
                    _ => at_revision(1, position("BTCUSDT", hoox_model::Product::Spot, &account)),
                }
            })
            .collect()
    };
    // 4 questions, 4 tables, a month's table with its 4 triggers, how many rows come for the trail, these rows.
    assert_eq!(delivery(&database, 0, &mixed(0)), 15);
    assert_eq!(delivery(&database, 0, &mixed(50)), 10);
    // A new month, and everything that was delivered before comes again.
    assert_eq!(delivery(&database, 30, &mixed(100)), 15);
    assert_eq!(delivery(&database, 30, &mixed(0)), 8);
    let stored = database.all::<SignalRecord>(None, 100).len();
    let orders = database.all::<OrderRecord>(None, 100).len();
    assert_eq!((stored, orders), (38, 38));
    assert_eq!(verified(&database, None, 100), Ok(38 * 2 + 38));
}

/// How often the trail's end and the chains' ends were written while something was done.
fn moves(database: &Database, what: impl FnOnce()) -> (u64, u64) {
    let written = |table: &str| {
        let sql = format!("SELECT count(*) AS revision FROM temp.{table}_moves");
        database.try_rows(&sql, &[]).unwrap()[0]["revision"]
            .as_u64()
            .unwrap()
    };
    for table in ["audit_log", "audit_head"] {
        let count = format!("BEGIN INSERT INTO {table}_moves VALUES (1); END");
        let sql = format!(
            "CREATE TEMP TABLE {table}_moves (n INTEGER); \
             CREATE TEMP TRIGGER {table}_i AFTER INSERT ON main.{table} {count}; \
             CREATE TEMP TRIGGER {table}_u AFTER UPDATE ON main.{table} {count};"
        );
        database.connection.execute_batch(&sql).unwrap();
    }
    what();
    let moved = (written("audit_log"), written("audit_head"));
    let sql = ["audit_log", "audit_head"]
        .map(|table| {
            format!(
                "DROP TABLE main.{table}_moves; DROP TRIGGER {table}_i; DROP TRIGGER {table}_u;"
            )
        })
        .concat()
        .replace("main.", "temp.");
    database.connection.execute_batch(&sql).unwrap();
    moved
}

#[test]
fn the_ends_of_trail_and_chains_move_once_a_delivery() {
    let database = database();
    let rows = |first: u8, account: &str| -> Vec<OutboxRow> {
        let numbers = first..first.saturating_add(5);
        let pair = |number| [ended(number, account, "{}"), sent(number, account)];
        numbers.flat_map(pair).collect()
    };
    let deliver = |rows: &[OutboxRow]| {
        moves(&database, || {
            done(deliver(&database, at(0), rows, |state| state == "refused")).unwrap();
        })
    };
    // A chain's place is made by its first row, once for good.
    assert_eq!(deliver(&rows(0, "acc-1")), (1, 2));
    assert_eq!(deliver(&rows(10, "acc-1")), (1, 1));
    let two = [rows(20, "acc-1"), rows(30, "acc-2")].concat();
    assert_eq!(deliver(&two), (1, 3));
    let two = [rows(40, "acc-1"), rows(50, "acc-2")].concat();
    assert_eq!(deliver(&two), (1, 2));
    assert_eq!(deliver(&two), (0, 0));
    assert_eq!(deliver(&[sent(60, "acc-1")]), (1, 1));
    assert_eq!(verified(&database, None, 100), Ok(6 * 15 + 1));
    // Those that come singly as well.
    let appended = |entries: &[AuditEntry]| {
        moves(&database, || {
            done(append(&database, at(0), &name("gateway"), entries)).unwrap();
        })
    };
    assert_eq!(appended(&[entry("a")]), (1, 1));
    assert_eq!(appended(&vec![entry("a"); MAX_AUDIT_INGEST]), (1, 1));
    assert_eq!(verified(&database, None, 100), Ok(6 * 15 + 1 + 51));
}

/// Steps of SQLite's machine for the statements that store some entries, those of the triggers included.
fn steps(database: &Database, entries: usize) -> i32 {
    let ends = done(ingest::ends(database, &["gateway"])).unwrap();
    let mut chain = append::at_its_end(name("gateway"), &ends.heads);
    let rows: Vec<AuditRow> = (0..entries)
        .map(|_| chain.append(&entry("a")).unwrap())
        .collect();
    let rows: Vec<&AuditRow> = rows.iter().collect();
    let month = Segment::of(at(0)).unwrap();
    let transaction = database.connection.unchecked_transaction().unwrap();
    let steps = segment::store(&rows, ends.log, month)
        .iter()
        .map(|statement| {
            let mut prepared = database.connection.prepare(statement.sql()).unwrap();
            let params = statement.params().iter().map(Bound::javascript);
            prepared.execute(params_from_iter(params)).unwrap();
            prepared.get_status(StatementStatus::VmStep)
        })
        .sum();
    transaction.commit().unwrap();
    steps
}

#[test]
fn storing_reads_as_little_in_a_long_month_as_in_a_short_one() {
    let database = database();
    // The month's table, and a chain before and after.
    for chain in ["a", "gateway", "z"] {
        done(append(&database, at(0), &name(chain), &[entry("a")])).unwrap();
    }
    let short = [1, 3, 50].map(|entries| steps(&database, entries));
    for chain in ["a", "gateway", "z"].repeat(10) {
        let entries = vec![entry("a"); MAX_AUDIT_INGEST];
        done(append(&database, at(0), &name(chain), &entries)).unwrap();
    }
    let long = [1, 3, 50].map(|entries| steps(&database, entries));
    assert_eq!(long, short);
    assert_eq!(verified(&database, None, 100), Ok(3 + 1500 + 2 * 54));
}

#[test]
fn the_longest_delivery_fits_too() {
    let database = database();
    // As long as the gateway takes an alert, and twice that as a JSON string.
    let body = "\"".repeat(64 * 1024);
    let rows: Vec<OutboxRow> = (0..50)
        .map(|number| ended(number, "acc-1", &body))
        .collect();
    let asked = delivery(&database, 0, &rows);
    assert!((12 + 6..=QUERIES).contains(&asked), "{asked}");
    let stored = database.all::<SignalRecord>(None, 100);
    assert_eq!(stored.len(), 50);
    assert!(stored.iter().all(|signal| signal.body == body));
    // No text is longer than D1 takes.
    let longest = crate::upserts(&rows)
        .iter()
        .flat_map(|statement| statement.params().to_vec())
        .map(|value| match value {
            crate::Value::Text(text) => text.len(),
            _ => 0,
        })
        .max();
    assert!(
        longest.is_some_and(|bytes| bytes < 2_000_000),
        "{longest:?}"
    );
}

#[test]
fn appending_fits_although_others_are_quicker_each_time() {
    let database = database();
    let entries = vec![entry("trade-worker"); MAX_AUDIT_INGEST];
    // In a month of its own each time, whose table is to be made.
    let counting = Counting {
        contended: true,
        ..Counting::new(&database)
    };
    done(append(&counting, at(40), &name("gateway"), &entries)).unwrap_err();
    assert_eq!(counting.asked.get(), 45);
    let counting = Counting::new(&database);
    done(append(&counting, at(40), &name("gateway"), &entries)).unwrap();
    assert_eq!(counting.asked.get(), 9);
    let counting = Counting::new(&database);
    done(append(&counting, at(40), &name("gateway"), &entries)).unwrap();
    assert_eq!(counting.asked.get(), 4);
    // A single row needs no announcement.
    let counting = Counting::new(&database);
    let entry = core::slice::from_ref(&entries[0]);
    done(append(&counting, at(40), &name("gateway"), entry)).unwrap();
    assert_eq!(counting.asked.get(), 3);
}

#[test]
fn reading_and_dropping_fit_however_many_months_there_are() {
    let database = database();
    let mut all = Vec::new();
    let mut chain = Chain::new(name("gateway"));
    for month in 0..120 {
        let row = chain.append(&entry("gateway")).unwrap();
        let stored = ingest(&database, at(month * 31), core::slice::from_ref(&row));
        assert_eq!(done(stored).unwrap(), []);
        all.push(row);
    }
    let months = done(segments(&database)).unwrap().len();
    assert!(months > 2 * QUERIES, "{months}");

    let mut request = AuditVerifyRequest::default();
    let mut checked = 0;
    loop {
        let counting = Counting::new(&database);
        let check = done(verify(&counting, &request)).unwrap();
        assert!(counting.asked.get() <= QUERIES, "{}", counting.asked.get());
        assert_eq!(check.broken, None);
        checked += check.checked;
        request.cursor = check.next_cursor;
        if request.cursor.is_none() {
            break;
        }
    }
    assert_eq!(checked, 120);

    let mut request = AuditExportRequest::default();
    let mut lines = 0;
    loop {
        let counting = Counting::new(&database);
        let page = done(export(&counting, &request)).unwrap();
        assert!(counting.asked.get() <= QUERIES, "{}", counting.asked.get());
        lines += page.jsonl.lines().count();
        request.cursor = page.next_cursor;
        if !page.more {
            break;
        }
    }
    assert_eq!(lines, 120);

    // The oldest rows again, which are looked for in every month.
    let counting = Counting::new(&database);
    let again = all.get(..MAX_AUDIT_INGEST).unwrap();
    assert_eq!(done(ingest(&counting, at(4000), again)).unwrap(), []);
    assert_eq!(counting.asked.get(), 4);

    let counting = Counting::new(&database);
    let before = Segment::try_from(203_001).unwrap();
    let dropped = done(drop_oldest(&counting, AuditDropRequest { before })).unwrap();
    assert!(dropped.more);
    assert_eq!(counting.asked.get(), 4);
}
