//! The trail on SQLite itself.
#![expect(clippy::arithmetic_side_effects, reason = "test data: small numbers")]

use core::future::Future;
use core::pin::pin;
use core::task::{Context, Poll, Waker};
use std::collections::BTreeMap;

use hoox_model::{Code, Timestamp};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::json;

use super::*;
use crate::tests::{Database, Numbers};

/// 2026-11-22T14:13:20Z.
const NOVEMBER: i64 = 1_795_356_800_000;
const DAY: i64 = 24 * 60 * 60 * 1000;

pub(super) fn at(day: i64) -> Timestamp {
    Timestamp::from_millis(NOVEMBER + day * DAY)
}

impl AuditStore for Database {
    type Error = String;

    async fn run(&self, statements: &[Statement]) -> Result<Vec<Vec<AuditFound>>, String> {
        let transaction = self.connection.unchecked_transaction().unwrap();
        let mut all = Vec::new();
        for statement in statements {
            let rows = self
                .try_rows(statement.sql(), statement.params())
                .map_err(|error| error.to_string())?;
            let read = |row| serde_json::from_value(row).unwrap();
            all.push(rows.into_iter().map(read).collect());
        }
        transaction.commit().unwrap();
        Ok(all)
    }
}

/// Runs what never waits.
pub(super) fn done<T>(future: impl Future<Output = T>) -> T {
    let mut context = Context::from_waker(Waker::noop());
    match pin!(future).poll(&mut context) {
        Poll::Ready(done) => done,
        Poll::Pending => panic!("waits"),
    }
}

pub(super) fn database() -> Database {
    Database::new(Numbers::JavaScript)
}

fn chain(name: &str) -> Chain {
    Chain::new(name.parse().unwrap())
}

fn entry(number: i64) -> AuditEntry {
    AuditEntry {
        detail: Some(format!("entry {number}").as_str().into()),
        ..AuditEntry::new(at(0), AuditEvent::SignalAccepted, "tv")
    }
}

fn some(chain: &mut Chain, count: i64) -> Vec<AuditRow> {
    (0..count)
        .map(|number| chain.append(&entry(number)).unwrap())
        .collect()
}

fn store(database: &Database, day: i64, rows: &[AuditRow]) -> Vec<AuditRefusal> {
    done(ingest(database, at(day), rows)).unwrap()
}

/// Every step until the end or the first break, and the number of good rows.
pub(super) fn verified(
    database: &Database,
    chain: Option<&str>,
    rows: u32,
) -> Result<u32, AuditBroken> {
    let mut request = AuditVerifyRequest {
        chain: chain.map(|name| name.parse().unwrap()),
        rows: Some(rows),
        cursor: None,
    };
    let mut checked = 0;
    loop {
        let check = done(verify(database, &request)).unwrap();
        checked += check.checked;
        assert!(check.checked <= rows);
        match (check.broken, check.next_cursor) {
            (Some(broken), next) => {
                assert_eq!(next, None);
                return Err(broken);
            }
            (None, None) => return Ok(checked),
            (None, cursor) => request.cursor = cursor,
        }
    }
}

/// Every line, and the cursor after the last.
pub(super) fn exported(
    database: &Database,
    cursor: Option<String>,
    rows: u32,
) -> (Vec<String>, Option<String>) {
    let mut request = AuditExportRequest {
        cursor,
        rows: Some(rows),
    };
    let mut lines = Vec::new();
    loop {
        let page = done(export(database, &request)).unwrap();
        assert!(page.jsonl.is_empty() || page.jsonl.ends_with('\n'));
        let found: Vec<_> = page.jsonl.lines().map(str::to_owned).collect();
        assert!(found.len() <= rows as usize);
        lines.extend(found);
        request.cursor = page.next_cursor;
        if !page.more {
            return (lines, request.cursor);
        }
    }
}

fn line(row: &AuditRow) -> String {
    let AuditRow {
        chain,
        sequence,
        previous,
        hash,
        entry,
    } = row;
    let rest = entry.strip_prefix('{').unwrap();
    format!(
        r#"{{"chain":"{chain}","sequence":{sequence},"previous":"{previous}","hash":"{hash}",{rest}"#
    )
}

fn drop_before(database: &Database, month: u32) -> Result<AuditDropReply, AuditError<String>> {
    let before = month.try_into().unwrap();
    done(drop_oldest(database, AuditDropRequest { before }))
}

/// Takes the protection away, as somebody would who can write to the database.
fn unprotect(database: &Database) {
    let triggers = "SELECT name FROM sqlite_master WHERE type = 'trigger'";
    for row in database.try_rows(triggers, &[]).unwrap() {
        execute(database, &format!("DROP TRIGGER {}", row["name"])).unwrap();
    }
}

fn execute(database: &Database, sql: &str) -> rusqlite::Result<usize> {
    database.connection.execute(sql, [])
}

fn refusal(place: usize, reason: AuditFault) -> AuditRefusal {
    AuditRefusal { place, reason }
}

fn broken(chain: &str, sequence: u64, reason: AuditFault) -> Result<u32, AuditBroken> {
    Err(AuditBroken {
        chain: chain.to_owned(),
        sequence,
        reason,
    })
}

/// Two chains over three months: 5, 4 and 3 rows of each.
fn three_months() -> (Database, Vec<AuditRow>) {
    let database = database();
    let (mut a, mut b) = (chain("a/live/1"), chain("control"));
    let mut all = Vec::new();
    for (day, count) in [(0, 5), (30, 4), (60, 3)] {
        let rows = [some(&mut a, count), some(&mut b, count)].concat();
        assert_eq!(store(&database, day, &rows), []);
        all.extend(rows);
    }
    (database, all)
}

#[test]
fn the_documented_example_is_what_is_hashed() {
    let mut chain = chain("bybit-main/live/1");
    let first = AuditEntry {
        request_id: Some("01KB0000000000000000000001".parse().unwrap()),
        signal_id: Some("01KB0000000000000000000002".parse().unwrap()),
        account: Some("bybit-main".parse().unwrap()),
        method: Some("POST".into()),
        path: Some("/webhook".into()),
        status: Some(202),
        latency_ms: Some(7),
        ..AuditEntry::new(at(0), AuditEvent::SignalAccepted, "my-strategy")
    };
    let second = AuditEntry {
        code: Some(Code::KillSwitch),
        namespace: Some("desk-1".parse().unwrap()),
        detail: Some("the kill switch lets no entry through".into()),
        ..AuditEntry::new(at(1), AuditEvent::SignalRefused, "my-strategy")
    };
    let document = include_str!("../../../../docs/AUDIT.md");
    for entry in [&first, &second] {
        let row = chain.append(entry).unwrap();
        assert_eq!(row.check(), Ok(()));
        assert!(row.entry.len() <= MAX_ENTRY);
        assert!(document.contains(&line(&row)), "{}", line(&row));
        assert_eq!(
            serde_json::from_str::<AuditEntry>(&row.entry).unwrap(),
            *entry
        );
    }
    assert_eq!(chain.sequence(), 2);
    assert!(document.contains(chain.head().as_str()));
}

#[test]
fn the_document_names_every_event_field_and_fault() {
    let document = include_str!("../../../../docs/AUDIT.md");
    let full = AuditEntry {
        request_id: Some("r".parse().unwrap()),
        signal_id: Some("s".parse().unwrap()),
        account: Some("a".parse().unwrap()),
        namespace: Some("n".parse().unwrap()),
        method: Some("GET".into()),
        path: Some("/".into()),
        status: Some(200),
        latency_ms: Some(0),
        code: Some(Code::Internal),
        detail: Some("d".into()),
        ..entry(0)
    };
    let json = serde_json::to_value(full).unwrap();
    let fields = json.as_object().unwrap().keys().map(String::as_str);
    let events = AuditEvent::ALL.iter().map(|event| event.as_str());
    let faults = AuditFault::ALL.iter().map(|fault| fault.as_str());
    for word in fields.chain(events).chain(faults) {
        assert!(document.contains(&format!("| `{word}` |")), "{word}");
    }
}

#[test]
fn what_is_stored_comes_out_as_it_was_in_the_order_it_came() {
    let (database, all) = three_months();
    let wanted: Vec<String> = all.iter().map(line).collect();
    for rows in [1, 2, 5, 12, 200] {
        let (lines, cursor) = exported(&database, None, rows);
        assert_eq!(lines, wanted, "{rows}");
        assert_eq!(exported(&database, cursor, rows).0, Vec::<String>::new());
        assert_eq!(verified(&database, None, rows.min(100)), Ok(24), "{rows}");
        let one = verified(&database, Some("control"), rows.min(100));
        assert_eq!(one, Ok(12), "{rows}");
    }
    assert_eq!(verified(&database, Some("stranger"), 9), Ok(0));
}

#[test]
fn an_export_goes_on_where_it_ended() {
    let database = database();
    assert_eq!(exported(&database, None, 3), (vec![], None));
    let mut chain = chain("a");
    let (mut cursor, mut seen, mut all) = (None, Vec::new(), Vec::new());
    for day in [0, 1, 30, 31, 95] {
        let rows = some(&mut chain, 7);
        store(&database, day, &rows);
        all.extend(rows.iter().map(line));
        let (lines, end) = exported(&database, cursor, 3);
        seen.extend(lines);
        cursor = end;
        assert_eq!(seen, all);
    }
}

#[test]
fn a_page_has_at_most_its_bytes_and_never_less_than_a_line() {
    let database = database();
    let mut chain = chain("a");
    let long = AuditEntry {
        detail: Some("\"".repeat(1024).as_str().into()),
        ..entry(0)
    };
    for _ in 0..11 {
        let rows: Vec<_> = (0..50).map(|_| chain.append(&long).unwrap()).collect();
        assert_eq!(store(&database, 0, &rows), []);
    }
    let page = done(export(&database, &AuditExportRequest::default())).unwrap();
    assert!(page.more);
    assert!(page.jsonl.len() <= MAX_EXPORT_BYTES && page.jsonl.len() > MAX_EXPORT_BYTES / 2);
    assert_eq!(exported(&database, None, 200).0.len(), 550);
}

#[test]
fn the_same_row_again_is_fine_and_another_in_its_place_is_not() {
    let (database, all) = three_months();
    for _ in 0..2 {
        assert_eq!(store(&database, 61, &all), []);
    }
    let mut forged = all[0].clone();
    forged.entry = serde_json::to_string(&entry(99)).unwrap();
    assert_eq!(
        store(&database, 61, core::slice::from_ref(&forged)),
        [refusal(0, AuditFault::Altered)]
    );
    forged.hash = RowHash::of("a/live/1", 1, RowHash::ZERO, &forged.entry);
    assert_eq!(
        store(&database, 61, &[forged, all[1].clone()]),
        [refusal(0, AuditFault::Taken)]
    );
    assert_eq!(verified(&database, None, 100), Ok(24));
}

#[test]
fn a_chain_is_stored_without_gaps() {
    let database = database();
    let mut writer = chain("a");
    let rows = some(&mut writer, 4);
    let missing = [refusal(1, AuditFault::Missing)];
    assert_eq!(
        store(&database, 0, &[rows[0].clone(), rows[2].clone()]),
        missing
    );
    assert_eq!(store(&database, 0, &rows), []);
    let mut other = Chain::at("a".parse().unwrap(), 4, rows[0].hash.clone());
    assert_eq!(
        store(&database, 0, &some(&mut other, 2)),
        [
            refusal(0, AuditFault::Unlinked),
            refusal(1, AuditFault::Missing)
        ]
    );
    let twice = some(&mut writer, 1);
    assert_eq!(store(&database, 0, &[twice.clone(), twice].concat()), []);
    assert_eq!(verified(&database, None, 100), Ok(5));
}

#[test]
fn what_is_no_entry_is_refused_and_a_newer_version_is_not() {
    let database = database();
    let place = |entry: &str, sequence| AuditRow {
        chain: "a".parse().unwrap(),
        sequence,
        previous: RowHash::zero(),
        hash: RowHash::of("a", sequence, RowHash::ZERO, entry),
        entry: entry.to_owned(),
    };
    let long = format!(r#"{{"time":1,"event":"{}"}}"#, "x".repeat(MAX_ENTRY));
    for entry in [
        "",
        "{}",
        "[]",
        r#"{"time":1}"#,
        r#"{"event":"error"}"#,
        r#" {"time":1,"event":"error"}"#,
        "{\"time\":1,\n\"event\":\"error\"}",
        r#"{"time":1,"event":"error","hash":"0"}"#,
        r#"{"time":1,"event":"error","chain":"b"}"#,
        r#"{"time":1,"event":"error"},{"time":1}"#,
        &long,
    ] {
        let refused = [refusal(0, AuditFault::Unreadable)];
        assert_eq!(store(&database, 0, &[place(entry, 1)]), refused, "{entry}");
    }
    let newer = r#"{"time":1,"event":"signal.replayed","new":[true]}"#;
    for sequence in [0, 1 << 53, u64::MAX] {
        let refused = [refusal(0, AuditFault::Unreadable)];
        assert_eq!(store(&database, 0, &[place(newer, sequence)]), refused);
    }
    assert_eq!(store(&database, 0, &[place(newer, 1)]), []);
    assert_eq!(verified(&database, None, 100), Ok(1));
    let many = vec![place(newer, 1); MAX_AUDIT_INGEST + 1];
    assert_eq!(
        done(ingest(&database, at(0), &many)),
        Err(AuditError::Rows(51, 50))
    );
}

#[test]
fn names_hashes_and_months_are_parsed_strictly() {
    for name in ["", "a b", "a\nb", "a\"", "ä", "a;b", &"x".repeat(161)] {
        assert!(name.parse::<ChainName>().is_err(), "{name}");
    }
    for hash in ["", "0", &"A".repeat(64), &"g".repeat(64), &"0".repeat(65)] {
        assert!(RowHash::try_from(hash.to_owned()).is_err(), "{hash}");
    }
    for month in [0, 11, 202_600, 202_613, 2_026_011, u32::MAX] {
        assert!(Segment::try_from(month).is_err(), "{month}");
    }
    assert_eq!(Segment::of(at(0)).map(Segment::get), Some(202_611));
    assert_eq!(Segment::of(at(40)).map(Segment::get), Some(202_701));
    for time in [i64::MIN, -62_167_219_200_000, i64::MAX] {
        assert_eq!(Segment::of(Timestamp::from_millis(time)), None, "{time}");
    }
}

#[test]
fn a_clock_that_goes_back_stores_where_the_trail_ends() {
    let database = database();
    let mut chain = chain("a");
    assert_eq!(store(&database, 30, &some(&mut chain, 2)), []);
    assert_eq!(store(&database, 0, &some(&mut chain, 2)), []);
    let months = done(segments(&database)).unwrap();
    assert_eq!(
        months.iter().map(|m| m.get()).collect::<Vec<_>>(),
        [202_612]
    );
    assert_eq!(verified(&database, None, 100), Ok(4));
}

#[test]
fn a_delivery_that_comes_second_stores_nothing() {
    let (database, _) = three_months();
    let mut late = Chain::at("late".parse().unwrap(), 0, RowHash::zero());
    let row = late.append(&entry(0)).unwrap();
    // As they were prepared before a new month, or before somebody else's row, was stored.
    for statements in [
        vec![Segment::try_from(202_612).unwrap().insert(&[&row])],
        vec![Segment::try_from(202_701).unwrap().insert(&[&row]); 2],
    ] {
        let error = done(database.run(&statements)).unwrap_err();
        assert!(error.contains("audit: not the next row"), "{error}");
    }
    assert_eq!(verified(&database, None, 100), Ok(24));
    assert_eq!(exported(&database, None, 100).0.len(), 24);
}

#[test]
fn nothing_is_updated_deleted_or_replaced() {
    let (database, _) = three_months();
    drop_before(&database, 202_612).unwrap();
    let zero = RowHash::ZERO;
    for sql in [
        "UPDATE audit_202701 SET entry = '{}'",
        "UPDATE OR REPLACE audit_202701 SET sequence = 12 WHERE sequence = 11",
        "UPDATE audit_202701 SET entry = entry",
        "DELETE FROM audit_202701",
        "DELETE FROM audit_202701 WHERE sequence = 12",
        "REPLACE INTO audit_202701 SELECT position, chain, sequence, previous, hash, '{}' FROM audit_202701 WHERE position = 24",
        "REPLACE INTO audit_202701 SELECT 24, 'control', 13, hash, hash, '{}' FROM audit_202701 WHERE position = 24",
        "REPLACE INTO audit_202701 SELECT 25, chain, sequence, previous, hash, '{}' FROM audit_202701 WHERE position = 24",
        "INSERT OR REPLACE INTO audit_202701 SELECT 25, chain, sequence + 2, hash, hash, '{}' FROM audit_202701 WHERE position = 24",
        "INSERT INTO audit_202701 SELECT 26, chain, sequence + 1, hash, hash, '{}' FROM audit_202701 WHERE position = 24",
        "INSERT INTO audit_202701 SELECT NULL, chain, sequence + 1, hash, hash, '{}' FROM audit_202701 WHERE position = 24",
        "INSERT INTO audit_202612 SELECT 25, chain, sequence + 1, hash, hash, '{}' FROM audit_202701 WHERE position = 24",
        &format!("INSERT INTO audit_202701 VALUES (25, 'control', 1, '{zero}', '{zero}', '{{}}')"),
        &format!(
            "INSERT OR REPLACE INTO audit_202701 VALUES (25, 'control', NULL, '{zero}', '{zero}', '{{}}')"
        ),
        "UPDATE audit_log SET position = 3",
        "UPDATE audit_log SET position = position + 1, segment = 202612",
        "UPDATE audit_log SET position = position + 1, id = 2",
        "DELETE FROM audit_log",
        "REPLACE INTO audit_log VALUES (1, 0, 0, 0, 0)",
        "UPDATE audit_log SET position = position + 2",
        "UPDATE audit_log SET position = position + 2, before = position - 1",
        "UPDATE audit_log SET before = position",
        "UPDATE audit_log SET ready = 0",
        "UPDATE audit_head SET sequence = 3",
        "UPDATE audit_head SET sequence = sequence + 7 WHERE chain = 'control'",
        "UPDATE audit_head SET hash = 'x'",
        "UPDATE audit_head SET sequence = sequence + 1, chain = 'x' WHERE chain = 'control'",
        "DELETE FROM audit_head",
        "REPLACE INTO audit_head VALUES ('control', 1, 'x')",
        "REPLACE INTO audit_head VALUES ('stranger', 2, 'x')",
        "INSERT INTO audit_head VALUES ('stranger', 2, 'x')",
        "UPDATE audit_closed SET closing_hash = 'x'",
        "DELETE FROM audit_closed",
        "REPLACE INTO audit_closed SELECT chain, segment, 1, first_previous, 1, 'x', 1 FROM audit_closed",
        "INSERT INTO audit_closed SELECT chain, 202612, 5, closing_hash, 5, 'x', 1 FROM audit_closed",
        "INSERT INTO audit_closed SELECT chain, 202612, 6, first_previous, 6, 'x', 1 FROM audit_closed",
        "INSERT INTO audit_closed SELECT chain, 202612, 6, closing_hash, 7, 'x', 1 FROM audit_closed",
    ] {
        let error = execute(&database, sql).expect_err(sql).to_string();
        let refused = ["audit: ", "CHECK constraint", "NOT NULL constraint"];
        assert!(
            refused.iter().any(|word| error.contains(word)),
            "{sql}: {error}"
        );
    }
    assert_eq!(verified(&database, None, 100), Ok(14));
}

#[test]
fn of_what_was_announced_each_row_is_the_next_of_its_chain() {
    let (database, all) = three_months();
    let month = Segment::try_from(202_701).unwrap();
    let control = all.last().unwrap();
    let mut writer = Chain::at(control.chain.clone(), 12, control.hash.clone());
    let rows = some(&mut writer, 4);
    let [first, second, third, fourth] = &rows[..] else {
        panic!("no rows")
    };
    let announced = |count: usize| {
        let sql = format!("UPDATE audit_log SET before = position, position = position + {count}");
        Statement::new(sql, vec![])
    };
    let announce = |count: usize, rows: &[&AuditRow]| {
        done(database.run(&[announced(count), month.insert(rows)]))
    };
    let mut forged = second.clone();
    forged.previous = RowHash::zero();
    for (count, rows) in [
        // A row twice, left out, before another, or that does not join; and more than were announced, twice.
        (3, vec![first, second, second]),
        (3, vec![first, third, fourth]),
        (2, vec![second, first]),
        (2, vec![first, &forged]),
        (2, vec![second, third]),
        (2, vec![first, second, fourth]),
    ] {
        let error = announce(count, &rows).unwrap_err();
        assert!(error.contains("audit: not the next row"), "{error}");
    }
    assert_eq!(verified(&database, None, 100), Ok(24));
    assert_eq!(announce(2, &[first, second]).unwrap().len(), 2);
    // A delivery that says more than it brings leaves ends that its rows do not reach: that shows.
    announce(3, &[third, fourth]).unwrap();
    assert_eq!(
        verified(&database, None, 100),
        broken("control", 15, AuditFault::End)
    );
}

#[test]
fn a_dropped_month_leaves_what_verifying_needs() {
    let (database, all) = three_months();
    let dropped = |month: u32, more| {
        Ok(AuditDropReply {
            dropped: Some(month.try_into().unwrap()),
            more,
        })
    };
    let nothing = Ok(AuditDropReply::default());
    let (_, end) = exported(&database, None, 1);
    let first = done(export(
        &database,
        &AuditExportRequest {
            rows: Some(3),
            cursor: None,
        },
    ));
    let inside = done(verify(
        &database,
        &AuditVerifyRequest {
            rows: Some(3),
            ..AuditVerifyRequest::default()
        },
    ));
    assert_eq!(drop_before(&database, 202_611), nothing);
    assert_eq!(drop_before(&database, 202_701), dropped(202_611, true));
    assert_eq!(verified(&database, None, 2), Ok(14));
    assert_eq!(drop_before(&database, 209_912), dropped(202_612, false));
    assert_eq!(drop_before(&database, 209_912), nothing, "is written to");
    assert_eq!(verified(&database, None, 2), Ok(6));

    let left: Vec<String> = all.iter().skip(18).map(line).collect();
    assert_eq!(exported(&database, None, 4).0, left);
    assert_eq!(exported(&database, first.unwrap().next_cursor, 4).0, left);
    assert_eq!(exported(&database, end, 4).0, Vec::<String>::new());
    let on = AuditVerifyRequest {
        cursor: inside.unwrap().next_cursor,
        ..AuditVerifyRequest::default()
    };
    let check = done(verify(&database, &on)).unwrap();
    assert_eq!((check.checked, check.sequence, check.broken), (3, 12, None));

    // The chains go on, and rows of dropped months may come again.
    let control = all.last().unwrap();
    let mut writer = Chain::at(control.chain.clone(), 12, control.hash.clone());
    let more = [all[..6].to_vec(), some(&mut writer, 2)].concat();
    assert_eq!(store(&database, 62, &more), []);
    assert_eq!(verified(&database, None, 100), Ok(8));
}

#[test]
fn a_chain_that_ended_in_a_dropped_month_is_verified_by_its_end() {
    let database = database();
    store(&database, 0, &some(&mut chain("old"), 3));
    let mut live = chain("live");
    store(&database, 0, &some(&mut live, 1));
    store(&database, 30, &some(&mut live, 1));
    drop_before(&database, 202_612).unwrap();
    assert_eq!(verified(&database, None, 100), Ok(1));
    unprotect(&database);
    execute(
        &database,
        "UPDATE audit_head SET hash = 'x' WHERE chain = 'old'",
    )
    .unwrap();
    assert_eq!(
        verified(&database, None, 100),
        broken("old", 3, AuditFault::End)
    );
    execute(&database, "DELETE FROM audit_head WHERE chain = 'old'").unwrap();
    assert_eq!(
        verified(&database, None, 100),
        broken("old", 1, AuditFault::End)
    );
}

#[test]
fn a_broken_month_is_not_dropped() {
    for sql in [
        "DELETE FROM audit_202611 WHERE chain = 'control' AND sequence = 3",
        "DELETE FROM audit_202611 WHERE chain = 'control' AND sequence = 1",
        "UPDATE audit_202611 SET hash = 'x' WHERE chain = 'control' AND sequence = 2",
        "UPDATE audit_202611 SET previous = 'x' WHERE chain = 'control' AND sequence = 1",
    ] {
        let (database, _) = three_months();
        let protection: Vec<String> = database
            .try_rows("SELECT sql FROM sqlite_master WHERE type = 'trigger'", &[])
            .unwrap()
            .iter()
            .map(|row| row["sql"].as_str().unwrap().to_owned())
            .collect();
        unprotect(&database);
        execute(&database, sql).unwrap();
        for sql in protection {
            execute(&database, &sql).unwrap();
        }
        let Err(AuditError::Store(error)) = drop_before(&database, 202_612) else {
            panic!("dropped after {sql}");
        };
        assert!(is_refusal(&error), "{error}");
        assert!(verified(&database, None, 100).is_err(), "{sql}");
    }
}

#[test]
fn every_kind_of_damage_is_named() {
    use AuditFault::{Altered, Closing, End, Missing, Taken, Unlinked};
    for (sql, expected) in [
        (
            "UPDATE audit_202612 SET entry = '{}' WHERE chain = 'control' AND sequence = 7",
            ("control", 7, Altered),
        ),
        (
            "UPDATE audit_202612 SET hash = 'x' WHERE chain = 'control' AND sequence = 7",
            ("control", 7, Altered),
        ),
        (
            "UPDATE audit_202612 SET previous = 'x' WHERE chain = 'control' AND sequence = 7",
            ("control", 7, Unlinked),
        ),
        (
            "DELETE FROM audit_202612 WHERE chain = 'control' AND sequence = 6",
            ("control", 6, Missing),
        ),
        (
            "DELETE FROM audit_202612 WHERE chain = 'control' AND sequence >= 8",
            ("control", 8, Missing),
        ),
        (
            "DELETE FROM audit_202701 WHERE chain = 'control' AND sequence = 12",
            ("control", 12, Missing),
        ),
        (
            "DELETE FROM audit_202701 WHERE chain = 'control'",
            ("control", 10, Missing),
        ),
        ("DROP TABLE audit_202612", ("a/live/1", 6, Missing)),
        ("DROP TABLE audit_202701", ("a/live/1", 10, Missing)),
        (
            "UPDATE audit_202612 SET sequence = 5 WHERE chain = 'control' AND sequence = 6",
            ("control", 5, Taken),
        ),
        (
            "INSERT INTO audit_202701 SELECT 99, chain, 2, previous, hash, entry FROM audit_202701 WHERE position = 24",
            ("control", 2, Taken),
        ),
        (
            "INSERT INTO audit_202701 SELECT 99, 'x', 3, previous, hash, entry FROM audit_202701 WHERE position = 24",
            ("x", 1, Missing),
        ),
        (
            "UPDATE audit_head SET sequence = 11 WHERE chain = 'control'",
            ("control", 12, End),
        ),
        (
            "UPDATE audit_head SET hash = 'x' WHERE chain = 'control'",
            ("control", 12, End),
        ),
        (
            "DELETE FROM audit_head WHERE chain = 'control'",
            ("control", 1, End),
        ),
        (
            "INSERT INTO audit_head VALUES ('gone', 1, 'x')",
            ("gone", 1, Missing),
        ),
        (
            "DELETE FROM audit_closed WHERE chain = 'control'",
            ("control", 1, Missing),
        ),
        (
            "UPDATE audit_closed SET closing_hash = 'x' WHERE chain = 'control'",
            ("control", 6, Unlinked),
        ),
        (
            "UPDATE audit_closed SET last_sequence = 4, linked = 4 WHERE chain = 'control'",
            ("control", 5, Missing),
        ),
        (
            "UPDATE audit_closed SET first_sequence = 2, linked = 4 WHERE chain = 'control'",
            ("control", 1, Closing),
        ),
        (
            "UPDATE audit_closed SET first_previous = 'x' WHERE chain = 'control'",
            ("control", 1, Closing),
        ),
    ] {
        let (database, _) = three_months();
        drop_before(&database, 202_612).unwrap();
        unprotect(&database);
        execute(&database, sql).expect(sql);
        for rows in [1, 2, 100] {
            let (chain, sequence, reason) = expected;
            assert_eq!(
                verified(&database, None, rows),
                broken(chain, sequence, reason),
                "{sql}"
            );
        }
    }
}

#[test]
fn cursors_and_limits_are_parsed_strictly() {
    let (database, _) = three_months();
    let step = |cursor: Option<&str>, rows| {
        let request = AuditVerifyRequest {
            cursor: cursor.map(str::to_owned),
            rows,
            chain: None,
        };
        done(verify(&database, &request))
    };
    let page = |cursor: Option<&str>, rows| {
        let cursor = cursor.map(str::to_owned);
        done(export(&database, &AuditExportRequest { cursor, rows }))
    };
    let checked = step(None, Some(2)).unwrap().next_cursor.unwrap();
    let exported = page(None, Some(2)).unwrap().next_cursor.unwrap();
    for bad in ["", "!", "bnVsbA", &exported, &"A".repeat(5000)] {
        assert_eq!(step(Some(bad), None), Err(AuditError::Cursor), "{bad}");
    }
    for bad in ["", "!", "bnVsbA", &checked, &"A".repeat(5000)] {
        assert_eq!(page(Some(bad), None), Err(AuditError::Cursor), "{bad}");
    }
    assert_eq!(step(None, Some(0)), Err(AuditError::Rows(0, 100)));
    assert_eq!(step(None, Some(101)), Err(AuditError::Rows(101, 100)));
    assert_eq!(page(None, Some(201)), Err(AuditError::Rows(201, 200)));
    let error = AuditError::<String>::Rows(201, 200).to_string();
    assert_eq!(error, "201 rows: use a whole number from 1 to 200");
}

#[test]
fn rows_are_found_by_an_index() {
    let (database, _) = three_months();
    let month = Segment::try_from(202_611).unwrap();
    for statement in [
        segment::following(&[month], "a"),
        segment::hashes(&[month], "[]"),
        segment::head("a"),
        segment::closed("a"),
        month.rows("a", 1, 9),
        month.lines(1, 9),
    ] {
        let sql = format!("EXPLAIN QUERY PLAN {}", statement.sql());
        let plan = database.try_rows(&sql, statement.params()).unwrap();
        let steps = plan.iter().map(|step| step["detail"].as_str().unwrap());
        let reads: Vec<&str> = steps.filter(|step| step.contains("audit_")).collect();
        assert!(!reads.is_empty(), "{plan:?}: {sql}");
        for read in reads {
            assert!(read.starts_with("SEARCH "), "{read}: {sql}");
        }
    }
}

fn words() -> impl Strategy<Value = String> {
    "[ -~äß€😀'\"\\\\;\n\u{0}\u{7f}\u{85}\u{2028}]{0,600}"
}

prop_compose! {
    fn entries()(
        (time, event) in (any::<i64>(), select(AuditEvent::ALL.to_vec())),
        (actor, method, path, detail) in (words(), words(), words(), words()),
        (namespace, id) in ("[a-z]{1,255}", "[A-Z]{1,64}"),
        (status, latency_ms) in (any::<Option<u16>>(), any::<Option<u32>>()),
        code in proptest::option::of(select(Code::ALL.to_vec())),
    ) -> AuditEntry {
        AuditEntry {
            time: Timestamp::from_millis(time),
            event,
            actor: actor.into(),
            request_id: Some(id.parse().unwrap()),
            signal_id: Some(id.parse().unwrap()),
            account: Some(id.parse().unwrap()),
            namespace: Some(namespace.parse().unwrap()),
            method: Some(method.into()),
            path: Some(path.into()),
            status,
            latency_ms,
            code,
            detail: Some((detail.clone() + &detail).into()),
        }
    }
}

/// One change of one row.
#[derive(Debug, Clone)]
enum Damage {
    Set(&'static str, String),
    Sequence(i64),
    Delete,
    /// The row in another row's place, and that one in its.
    Swap(Index),
    /// A new entry with a hash that fits it.
    Rewrite(String),
    /// The row once more, in another place.
    Copy(&'static str, i64),
}

fn damage() -> impl Strategy<Value = Damage> {
    let hash = "[0-9a-f]{64}";
    prop_oneof![
        hash.prop_map(|hash| Damage::Set("hash", hash)),
        hash.prop_map(|hash| Damage::Set("previous", hash)),
        words().prop_map(|text| Damage::Set("entry", text)),
        select(vec!["", "a/live/1", "control", "x", "~"])
            .prop_map(|chain| Damage::Set("chain", chain.to_owned())),
        (1i64..20).prop_map(Damage::Sequence),
        Just(Damage::Delete),
        any::<Index>().prop_map(Damage::Swap),
        words().prop_map(Damage::Rewrite),
        (select(vec!["a/live/1", "control", "x"]), 1i64..20)
            .prop_map(|(chain, sequence)| Damage::Copy(chain, sequence)),
    ]
}

type Stored = BTreeMap<u64, (String, AuditRow)>;

/// Every row by its position, with its table.
fn stored_rows(database: &Database) -> Stored {
    let mut all = Stored::new();
    for segment in done(segments(database)).unwrap() {
        let sql = format!("SELECT * FROM audit_{segment}");
        for mut row in database.try_rows(&sql, &[]).unwrap() {
            let position = row["position"].as_u64().unwrap();
            row.as_object_mut().unwrap().remove("position");
            let row = serde_json::from_value(row).unwrap();
            all.insert(position, (format!("audit_{segment}"), row));
        }
    }
    all
}

/// A place that a damage touches.
#[derive(Debug, Clone)]
struct Touched {
    chain: String,
    sequence: u64,
    /// Whether the row that is there now is one too many.
    stray: bool,
}

impl Touched {
    fn at(row: &AuditRow) -> Self {
        Self {
            chain: row.chain.to_string(),
            sequence: row.sequence,
            stray: false,
        }
    }

    fn stray(chain: &str, sequence: u64) -> Self {
        Self {
            chain: chain.to_owned(),
            sequence,
            stray: true,
        }
    }
}

/// What places the damage touches; `None` where it changes nothing or the database has no room for it.
fn inflict(
    database: &Database,
    rows: &Stored,
    target: Index,
    damage: &Damage,
) -> Option<Vec<Touched>> {
    let positions: Vec<u64> = rows.keys().copied().collect();
    let position = *target.get(&positions);
    let (table, row) = &rows[&position];
    let own = Touched::at(row);
    let set = |table: &str, position: u64, column: &str, value: &dyn rusqlite::ToSql| {
        let sql = format!("UPDATE {table} SET {column} = ?1 WHERE position = ?2");
        database
            .connection
            .execute(&sql, (value, position.cast_signed()))
            .ok()
    };
    match damage {
        Damage::Set(column, value) => {
            let before = serde_json::to_value(row).unwrap();
            if before[column] == json!(value) {
                return None;
            }
            set(table, position, column, value)?;
            let moved = (*column == "chain").then(|| Touched::stray(value, row.sequence));
            Some([own].into_iter().chain(moved).collect())
        }
        Damage::Sequence(sequence) => {
            if sequence.cast_unsigned() == row.sequence {
                return None;
            }
            set(table, position, "sequence", sequence)?;
            let moved = Touched::stray(&own.chain, sequence.cast_unsigned());
            Some(vec![moved, own])
        }
        Damage::Delete => {
            execute(
                database,
                &format!("DELETE FROM {table} WHERE position = {position}"),
            )
            .unwrap();
            Some(vec![own])
        }
        Damage::Swap(with) => {
            let other = *with.get(&positions);
            let (other_table, other_row) = &rows[&other];
            if other == position {
                return None;
            }
            for (table, at, row) in [(table, position, other_row), (other_table, other, row)] {
                set(table, at, "previous", &row.previous.as_str()).unwrap();
                set(table, at, "hash", &row.hash.as_str()).unwrap();
                set(table, at, "entry", &row.entry).unwrap();
            }
            Some(vec![own, Touched::at(other_row)])
        }
        Damage::Rewrite(text) => {
            if *text == row.entry {
                return None;
            }
            let hash = RowHash::of(&own.chain, own.sequence, row.previous.as_str(), text);
            set(table, position, "entry", text).unwrap();
            set(table, position, "hash", &hash.as_str()).unwrap();
            Some(vec![own])
        }
        Damage::Copy(chain, sequence) => {
            let sql = format!(
                "INSERT INTO {table} SELECT 999, ?1, ?2, previous, hash, entry FROM {table} WHERE position = {position}"
            );
            database.connection.execute(&sql, (chain, sequence)).ok()?;
            Some(vec![Touched::stray(chain, sequence.cast_unsigned())])
        }
    }
}

proptest! {
    #[test]
    fn every_entry_fits_and_reads_back(entry in entries()) {
        let mut chain = chain("a");
        let row = chain.append(&entry).unwrap();
        prop_assert_eq!(row.check(), Ok(()));
        prop_assert_eq!(serde_json::from_str::<AuditEntry>(&row.entry).unwrap(), entry);
    }

    #[test]
    fn a_clipped_text_is_one_line_within_its_bound(text in words(), more in words()) {
        let text = text + &more;
        let clipped = Clipped::<256>::from(text.as_str());
        prop_assert!(clipped.as_str().len() <= 256);
        prop_assert!(!clipped.as_str().chars().any(char::is_control));
        if text.len() <= 256 {
            prop_assert_eq!(clipped.as_str().chars().count(), text.chars().count());
        } else {
            prop_assert!(clipped.as_str().len() > 120 && clipped.as_str().ends_with('…'));
        }
    }

    #[test]
    fn a_single_change_is_found_at_its_row_or_the_next(
        target: Index, damage in damage(), dropped: bool, rows in select(vec![1u32, 3, 100]),
    ) {
        let (database, _) = three_months();
        if dropped {
            drop_before(&database, 202_612).unwrap();
        }
        let stored = stored_rows(&database);
        unprotect(&database);
        let Some(touched) = inflict(&database, &stored, target, &damage) else { return Ok(()) };
        let found = verified(&database, None, rows).expect_err("the change");
        let near = touched.iter().any(|place| {
            // Before a row that does not belong there, others are missing.
            let first = if place.stray { 0 } else { place.sequence };
            found.chain == place.chain && (first..=place.sequence + 1).contains(&found.sequence)
        });
        prop_assert!(near, "{:?} for {:?}", found, touched);
    }

    #[test]
    fn deliveries_in_any_size_with_repetitions_end_in_the_same_trail(
        sizes in proptest::collection::vec((1usize..9, 0usize..9, 0i64..20), 1..20),
    ) {
        let database = database();
        let (mut a, mut b) = (chain("a"), chain("b"));
        let all: Vec<AuditRow> = (0..60)
            .map(|n| if n % 3 == 0 { &mut a } else { &mut b }.append(&entry(n)).unwrap())
            .collect();
        let (mut end, mut day) = (0, 0);
        for (size, back, days) in sizes {
            let from = usize::saturating_sub(end, back);
            end = (end + size).min(all.len());
            day += days;
            prop_assert_eq!(store(&database, day, &all[from..end]), []);
        }
        let wanted: Vec<String> = all[..end].iter().map(line).collect();
        prop_assert_eq!(exported(&database, None, 7).0, wanted);
        prop_assert_eq!(verified(&database, None, 11), Ok(u32::try_from(end).unwrap()));
    }
}

/// A database at which others are quicker for some times.
struct Contended<'a> {
    database: &'a Database,
    quicker: core::cell::Cell<u32>,
}

impl AuditStore for Contended<'_> {
    type Error = String;

    async fn run(&self, statements: &[Statement]) -> Result<Vec<Vec<AuditFound>>, String> {
        let writes = statements.iter().any(|s| s.sql().contains("INSERT"));
        if let (true, Some(left)) = (writes, self.quicker.get().checked_sub(1)) {
            self.quicker.set(left);
            let name = "gateway".parse().unwrap();
            append(self.database, at(0), &name, &[entry(99)]).await?;
        }
        self.database.run(statements).await
    }
}

impl From<AuditError<Self>> for String {
    fn from(error: AuditError<Self>) -> Self {
        error.to_string()
    }
}

#[test]
fn entries_are_sealed_where_they_are_stored_however_many_write() {
    let name: ChainName = "gateway".parse().unwrap();
    for quicker in 0..7 {
        let database = database();
        done(append(&database, at(0), &name, &[entry(1)])).unwrap();
        let contended = Contended {
            database: &database,
            quicker: quicker.into(),
        };
        let added = done(append(&contended, at(0), &name, &[entry(2), entry(3)]));
        assert_eq!(added.is_ok(), quicker < 5, "{quicker}");
        let check = done(verify(&database, &AuditVerifyRequest::default())).unwrap();
        let own = if added.is_ok() { 2 } else { 0 };
        let others = u64::from(quicker.min(5));
        assert_eq!((check.sequence, check.broken), (1 + own + others, None));
    }
}
