//! How many statements a call makes. D1 allows 50 a call on its Free plan and counts every statement of a batch.

use core::cell::Cell;

use hoox_model::Timestamp;

use super::tests::{at, database, done, verified};
use super::*;
use crate::tests::{Database, at_revision, fill, order, position, signal};
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
    // 4 questions, 4 tables, a month's table with its 4 triggers, the trail.
    assert_eq!(delivery(&database, 0, &mixed(0)), 14);
    assert_eq!(delivery(&database, 0, &mixed(50)), 9);
    // A new month, and everything that was delivered before comes again.
    assert_eq!(delivery(&database, 30, &mixed(100)), 14);
    assert_eq!(delivery(&database, 30, &mixed(0)), 8);
    let stored = database.all::<SignalRecord>(None, 100).len();
    let orders = database.all::<OrderRecord>(None, 100).len();
    assert_eq!((stored, orders), (38, 38));
    assert_eq!(verified(&database, None, 100), Ok(38 * 2 + 38));
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
    assert!((11 + 6..=QUERIES).contains(&asked), "{asked}");
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
    assert_eq!(counting.asked.get(), 40);
    let counting = Counting::new(&database);
    done(append(&counting, at(40), &name("gateway"), &entries)).unwrap();
    assert_eq!(counting.asked.get(), 8);
    let counting = Counting::new(&database);
    done(append(&counting, at(40), &name("gateway"), &entries)).unwrap();
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
