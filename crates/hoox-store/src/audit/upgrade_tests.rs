//! A trail that the version before wrote: its statements as they were, before and while this version stores.

use serde_json::{Value as Json, json};

use super::tests::{at, database, done, exported, verified};
use super::*;
use crate::tests::Database;

/// How many migrations the version before knew.
const MIGRATIONS: usize = 3;

/// What the version before made a month's table with.
fn old_month(month: u32) -> String {
    let zero = RowHash::ZERO;
    let fits = format!(
        "NEW.position = (SELECT position + 1 FROM audit_log WHERE segment <= {month}) \
         AND NEW.sequence = coalesce((SELECT sequence FROM audit_head WHERE chain = NEW.chain), 0) + 1 \
         AND NEW.previous = coalesce((SELECT hash FROM audit_head WHERE chain = NEW.chain), '{zero}')"
    );
    format!(
        "CREATE TABLE IF NOT EXISTS audit_{month} (position INTEGER NOT NULL PRIMARY KEY, chain TEXT NOT NULL, \
         sequence INTEGER NOT NULL CHECK (sequence BETWEEN 1 AND 9007199254740991), \
         previous TEXT NOT NULL, hash TEXT NOT NULL, entry TEXT NOT NULL, UNIQUE (chain, sequence)) STRICT; \
         CREATE TRIGGER IF NOT EXISTS audit_{month}_next BEFORE INSERT ON audit_{month} WHEN ({fits}) IS NOT TRUE \
         BEGIN SELECT RAISE(ABORT, 'audit: not the next row of its chain'); END; \
         CREATE TRIGGER IF NOT EXISTS audit_{month}_stored AFTER INSERT ON audit_{month} BEGIN \
         UPDATE audit_log SET segment = {month}, position = NEW.position; \
         UPDATE audit_head SET sequence = NEW.sequence, hash = NEW.hash WHERE chain = NEW.chain; \
         INSERT INTO audit_head (chain, sequence, hash) SELECT NEW.chain, 1, NEW.hash WHERE NEW.sequence = 1; END; \
         CREATE TRIGGER IF NOT EXISTS audit_{month}_same BEFORE UPDATE ON audit_{month} \
         BEGIN SELECT RAISE(ABORT, 'audit: append-only'); END; \
         CREATE TRIGGER IF NOT EXISTS audit_{month}_kept BEFORE DELETE ON audit_{month} \
         BEGIN SELECT RAISE(ABORT, 'audit: append-only'); END;"
    )
}

/// Stores rows as the version before did.
fn old_store(database: &Database, month: u32, rows: &[AuditRow]) {
    let transaction = database.connection.unchecked_transaction().unwrap();
    database
        .connection
        .execute_batch(&old_month(month))
        .unwrap();
    let insert = format!(
        "INSERT INTO audit_{month} (position, chain, sequence, previous, hash, entry) \
         SELECT log.position + 1 + row.key, row.value ->> 'chain', row.value ->> 'sequence', \
         row.value ->> 'previous', row.value ->> 'hash', row.value ->> 'entry' \
         FROM audit_log AS log CROSS JOIN json_each(?1) AS row ORDER BY row.key"
    );
    let rows = serde_json::to_string(rows).unwrap();
    database.connection.execute(&insert, [rows]).unwrap();
    transaction.commit().unwrap();
}

struct Writers {
    database: Database,
    chains: [Chain; 2],
    stored: Vec<AuditRow>,
}

impl Writers {
    fn new(database: Database) -> Self {
        let chains = ["a", "b"].map(|name| Chain::new(name.parse().unwrap()));
        Self {
            database,
            chains,
            stored: Vec::new(),
        }
    }

    /// The next rows of both chains, one after the other.
    fn next(&mut self, each: usize) -> Vec<AuditRow> {
        let entry = AuditEntry::new(at(0), AuditEvent::SignalAccepted, "tv");
        let mut rows = Vec::new();
        for _ in 0..each {
            for chain in &mut self.chains {
                rows.push(chain.append(&entry).unwrap());
            }
        }
        self.stored.extend(rows.clone());
        rows
    }

    fn old(&mut self, month: u32, each: usize) {
        let rows = self.next(each);
        old_store(&self.database, month, &rows);
    }

    /// Stores by this version, as one delivery or row by row.
    fn new_version(&mut self, day: i64, each: usize, singly: bool) {
        let rows = self.next(each);
        for rows in rows.chunks(if singly { 1 } else { rows.len() }) {
            assert_eq!(done(ingest(&self.database, at(day), rows)).unwrap(), []);
        }
    }

    fn holds(&self) {
        let all = u32::try_from(self.stored.len()).unwrap();
        assert_eq!(verified(&self.database, None, 3), Ok(all));
        let (lines, _) = exported(&self.database, None, 5);
        let told: Vec<(Json, Json)> = lines
            .iter()
            .map(|line| serde_json::from_str::<Json>(line).unwrap())
            .map(|line| (line["chain"].clone(), line["sequence"].clone()))
            .collect();
        let wanted = self.stored.iter();
        let wanted: Vec<_> = wanted
            .map(|row| (json!(row.chain), json!(row.sequence)))
            .collect();
        assert_eq!(told, wanted);
    }
}

#[test]
fn a_trail_of_the_version_before_goes_on() {
    for singly in [false, true] {
        let mut writers = Writers::new(Database::earlier(MIGRATIONS));
        writers.old(202_610, 3);
        writers.old(202_611, 2);
        writers.database.migrate(MIGRATIONS + 1..);
        writers.holds();
        // Its worker still runs until the new one is uploaded, and in other places a little longer.
        writers.old(202_611, 2);
        writers.new_version(0, 2, singly);
        writers.holds();
        writers.old(202_611, 2);
        writers.holds();
        writers.new_version(0, 1, singly);
        // It begins a month, with its own triggers, which are replaced as well.
        writers.old(202_612, 2);
        writers.new_version(30, 3, singly);
        writers.new_version(60, 3, singly);
        writers.old(202_701, 1);
        writers.new_version(60, 2, singly);
        writers.holds();
        for (month, left) in [(202_610, 40), (202_611, 22), (202_612, 12)] {
            let before = 202_701.try_into().unwrap();
            let reply = done(drop_oldest(&writers.database, AuditDropRequest { before })).unwrap();
            assert_eq!(reply.dropped.map(Segment::get), Some(month));
            assert_eq!(verified(&writers.database, None, 100), Ok(left));
        }
    }
}

#[test]
fn what_is_renewed_is_what_a_new_month_has() {
    let triggers = |database: &Database| {
        let sql = "SELECT name AS chain, sql AS entry FROM sqlite_master \
                   WHERE type = 'trigger' AND tbl_name = 'audit_202611' ORDER BY name";
        let rows = database.try_rows(sql, &[]).unwrap();
        rows.iter()
            .map(|row| {
                let words = row["entry"].as_str().unwrap().split_whitespace();
                words.collect::<Vec<_>>().join(" ")
            })
            .collect::<Vec<_>>()
    };
    let mut renewed = Writers::new(Database::earlier(MIGRATIONS));
    renewed.old(202_611, 1);
    renewed.database.migrate(MIGRATIONS + 1..);
    renewed.new_version(0, 1, false);
    let mut fresh = Writers::new(database());
    fresh.new_version(0, 1, false);
    assert_eq!(triggers(&fresh.database).len(), 4);
    assert_eq!(triggers(&renewed.database), triggers(&fresh.database));
}
