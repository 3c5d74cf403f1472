//! Segments: one table for each month, and all SQL that names one. The name is made from a checked number only.

use core::fmt;

use hoox_model::Timestamp;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{AuditFound, AuditRow, RowHash};
use crate::{Statement, Value};

/// Why a number is no month.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{0} is not a month: use year and month, such as 202611")]
pub struct SegmentError(u32);

/// A month, as the number YYYYMM; its rows are in one table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Segment(u32);

impl Segment {
    /// The month of a moment, in UTC; `None` outside the years from 1000 to 9999.
    pub fn of(time: Timestamp) -> Option<Self> {
        let text = time.to_string();
        let (date, _) = text.split_once('T')?;
        let (year, rest) = date.split_once('-')?;
        let (month, _) = rest.split_once('-')?;
        format!("{year}{month}")
            .parse::<u32>()
            .ok()?
            .try_into()
            .ok()
    }

    /// The number.
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl TryFrom<u32> for Segment {
    type Error = SegmentError;

    fn try_from(number: u32) -> Result<Self, SegmentError> {
        let month = number.checked_rem(100).unwrap_or_default();
        if (100_000..=999_999).contains(&number) && (1..=12).contains(&month) {
            Ok(Self(number))
        } else {
            Err(SegmentError(number))
        }
    }
}

impl From<Segment> for u32 {
    fn from(segment: Segment) -> Self {
        segment.0
    }
}

impl fmt::Display for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// The months that have a table, oldest first.
pub(super) fn all() -> Statement {
    Statement::new(
        "SELECT CAST(substr(name, 7) AS INTEGER) AS segment FROM sqlite_master WHERE type = 'table' AND name GLOB 'audit_[0-9][0-9][0-9][0-9][0-9][0-9]' ORDER BY name",
        vec![],
    )
}

/// Where the trail ends.
pub(super) fn log() -> Statement {
    Statement::new("SELECT segment, ready FROM audit_log", vec![])
}

/// Where the chains of a JSON array end.
pub(super) fn heads(chains: String) -> Statement {
    Statement::new(
        "SELECT chain, sequence, hash FROM audit_head WHERE chain IN (SELECT value FROM json_each(?1))",
        vec![Value::Text(chains)],
    )
}

/// The signals of a JSON array of ids that are stored.
pub(super) fn stored_signals(ids: String) -> Statement {
    Statement::new(
        "SELECT id AS record, revision, state FROM signals WHERE id IN (SELECT value FROM json_each(?1))",
        vec![Value::Text(ids)],
    )
}

/// The orders of a JSON array of client order ids that are stored, and whether they were sent.
pub(super) fn stored_orders(ids: String) -> Statement {
    Statement::new(
        "SELECT client_order_id AS record, revision, iif(sent_at IS NULL, '', 'sent') AS state FROM orders \
         WHERE client_order_id IN (SELECT value FROM json_each(?1))",
        vec![Value::Text(ids)],
    )
}

/// The months that a delivery has to know.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Log {
    /// The one that is written to; `None` before the first row.
    pub(super) written: Option<Segment>,
    /// The one whose table has the triggers of this version.
    ready: Option<Segment>,
}

impl Log {
    /// What [`log`] found.
    pub(super) fn of(found: &[AuditFound]) -> Self {
        let row = found.first();
        Self {
            written: row.and_then(AuditFound::segment),
            ready: row.and_then(|row| AuditFound::month(row.ready)),
        }
    }
}

/// Stores rows as the trail's next ones, in the month that is written to or, once it has begun, in `month`.
pub(super) fn store(rows: &[&AuditRow], log: Log, month: Segment) -> Vec<Statement> {
    if rows.is_empty() {
        return Vec::new();
    }
    let open = log.written.map_or(month, |written| written.max(month));
    let mut statements = match log {
        _ if log.ready == Some(open) => Vec::new(),
        _ if log.written == Some(open) => open.renew(),
        _ => open.create(),
    };
    statements.extend(open.announce(rows.len()));
    statements.push(open.insert(rows));
    statements
}

/// Where one chain ends.
pub(super) fn head(chain: &str) -> Statement {
    Statement::new(
        "SELECT sequence, hash FROM audit_head WHERE chain = ?1",
        vec![Value::text(chain)],
    )
}

/// What was kept of a chain's dropped rows, oldest first. `sequence` and `previous` are the first row's, `hash` is
/// the last row's.
pub(super) fn closed(chain: &str) -> Statement {
    Statement::new(
        "SELECT first_sequence AS sequence, first_previous AS previous, last_sequence, closing_hash AS hash FROM audit_closed WHERE chain = ?1 ORDER BY segment",
        vec![Value::text(chain)],
    )
}

/// The first chain after `chain`, in every place that names chains. One statement, however many months there are.
pub(super) fn following(segments: &[Segment], chain: &str) -> Statement {
    let tables = segments.iter().map(ToString::to_string);
    let first: Vec<String> = ["head", "closed"]
        .map(str::to_owned)
        .into_iter()
        .chain(tables)
        .map(|table| format!("((SELECT min(chain) FROM audit_{table} WHERE chain > ?1))"))
        .collect();
    // Rows of VALUES have no bound; the platform's SQLite takes only a few parts of a UNION.
    Statement::new(
        format!(
            "SELECT min(column1) AS chain FROM (VALUES {})",
            first.join(", ")
        ),
        vec![Value::text(chain)],
    )
}

/// The hashes of the rows in a JSON array of chain and sequence, whichever month they are in; one without a row has
/// no hash. One statement, however many months there are.
pub(super) fn hashes(segments: &[Segment], places: &str) -> Statement {
    let hash: Vec<String> = segments
        .iter()
        .map(|segment| {
            format!(
                "((SELECT hash FROM audit_{segment} WHERE chain = place.value ->> 0 AND sequence = place.value ->> 1))"
            )
        })
        .chain(["(NULL)".to_owned()])
        .collect();
    Statement::new(
        format!(
            "SELECT place.value ->> 0 AS chain, place.value ->> 1 AS sequence, \
             (SELECT max(column1) FROM (VALUES {})) AS hash FROM json_each(?1) AS place",
            hash.join(", ")
        ),
        vec![Value::text(places)],
    )
}

impl Segment {
    /// Makes the table and its triggers, which keep every row as it is and let in only the next row of a chain.
    pub(super) fn create(self) -> Vec<Statement> {
        let table = format!(
            "CREATE TABLE IF NOT EXISTS audit_{self} (position INTEGER NOT NULL PRIMARY KEY, chain TEXT NOT NULL, \
             sequence INTEGER NOT NULL CHECK (sequence BETWEEN 1 AND 9007199254740991), \
             previous TEXT NOT NULL, hash TEXT NOT NULL, entry TEXT NOT NULL, UNIQUE (chain, sequence)) STRICT"
        );
        let kept = |name: &str, when: &str| {
            self.trigger(
                name,
                &format!("BEFORE {when} ON audit_{self} {}", refuse("append-only")),
            )
        };
        plain([
            table,
            self.next(),
            self.stored(),
            kept("same", "UPDATE"),
            kept("kept", "DELETE"),
        ])
    }

    /// Puts this version's triggers in the place of those that the version before made, which moved the ends of chains
    /// and trail with each row.
    fn renew(self) -> Vec<Statement> {
        let gone = |name: &str| format!("DROP TRIGGER IF EXISTS audit_{self}_{name}");
        plain([gone("next"), gone("stored"), self.next(), self.stored()])
    }

    fn trigger(self, name: &str, rest: &str) -> String {
        format!("CREATE TRIGGER IF NOT EXISTS audit_{self}_{name} {rest}")
    }

    /// Looks at each row: it has the trail's next place, or of those that were announced the next one, and it joins the
    /// last row of its chain. That is the last one stored here, or the chain's recorded end, whichever is further.
    fn next(self) -> String {
        let zero = RowHash::ZERO;
        let place = format!(
            "SELECT iif(NEW.position > position, position, \
             max(before, coalesce((SELECT max(position) FROM audit_{self}), 0))) + 1 FROM audit_log WHERE segment <= {self}"
        );
        let last = format!(
            "max(coalesce((SELECT sequence FROM audit_head WHERE chain = NEW.chain), 0), \
             coalesce((SELECT max(sequence) FROM audit_{self} WHERE chain = NEW.chain), 0))"
        );
        let before = |table: &str| {
            format!(
                "(SELECT hash FROM audit_{table} WHERE chain = NEW.chain AND sequence = NEW.sequence - 1)"
            )
        };
        let (here, head) = (before(&self.to_string()), before("head"));
        let fits = format!(
            "NEW.position = ({place}) AND NEW.sequence = {last} + 1 \
             AND NEW.previous = iif(NEW.sequence = 1, '{zero}', coalesce({here}, {head}))"
        );
        self.trigger(
            "next",
            &format!(
                "BEFORE INSERT ON audit_{self} WHEN ({fits}) IS NOT TRUE {}",
                refuse("not the next row of its chain")
            ),
        )
    }

    /// Moves the ends of chains and trail, once a delivery: at the last row that was announced, or at one that was not.
    fn stored(self) -> String {
        // Or else the other index is read from its beginning, for GROUP BY.
        let delivered = format!(
            "FROM audit_{self} NOT INDEXED WHERE position > (SELECT before FROM audit_log)"
        );
        let log = format!(
            "UPDATE audit_log SET segment = {self}, ready = {self}, before = position, position = NEW.position \
             WHERE position < NEW.position;"
        );
        let first = format!(
            "INSERT INTO audit_head (chain, sequence, hash) SELECT chain, 1, hash {delivered} AND sequence = 1;"
        );
        let heads = format!(
            "UPDATE audit_head SET sequence = last.sequence, hash = last.hash FROM \
             (SELECT chain, max(sequence) AS sequence, hash {delivered} GROUP BY chain) AS last \
             WHERE audit_head.chain = last.chain AND audit_head.sequence < last.sequence;"
        );
        self.trigger(
            "stored",
            &format!(
                "AFTER INSERT ON audit_{self} WHEN NEW.position >= (SELECT position FROM audit_log) \
                 BEGIN {log} {first} {heads} END"
            ),
        )
    }

    /// Says that so many rows come, which is needed of more than one: the trail's end moves once, ahead of them.
    fn announce(self, rows: usize) -> Option<Statement> {
        let sql = format!(
            "UPDATE audit_log SET segment = {self}, ready = {self}, before = position, position = position + ?1"
        );
        (rows > 1).then(|| Statement::new(sql, vec![count(rows)]))
    }

    /// Stores rows as the trail's next ones, as one statement: a database counts them. More than one are
    /// announced before.
    pub(super) fn insert(self, rows: &[&AuditRow]) -> Statement {
        let end = if rows.len() > 1 { "before" } else { "position" };
        Statement::new(
            format!(
                "INSERT INTO audit_{self} (position, chain, sequence, previous, hash, entry) \
                 SELECT log.{end} + 1 + row.key, row.value ->> 'chain', row.value ->> 'sequence', \
                 row.value ->> 'previous', row.value ->> 'hash', row.value ->> 'entry' \
                 FROM audit_log AS log CROSS JOIN json_each(?1) AS row ORDER BY row.key"
            ),
            vec![Value::Text(serde_json::to_string(rows).unwrap_or_default())],
        )
    }

    /// Rows of a chain after a sequence.
    pub(super) fn rows(self, chain: &str, after: u64, limit: usize) -> Statement {
        Statement::new(
            format!(
                "SELECT sequence, previous, hash, entry FROM audit_{self} WHERE chain = ?1 AND sequence > ?2 \
                 ORDER BY sequence LIMIT ?3"
            ),
            vec![
                Value::text(chain),
                Value::Integer(after.cast_signed()),
                count(limit),
            ],
        )
    }

    /// Lines of the export after a position. What a line adds to its entry stands in front of it.
    pub(super) fn lines(self, after: u64, limit: usize) -> Statement {
        Statement::new(
            format!(
                "SELECT position, '{{\"chain\":' || json_quote(chain) || ',\"sequence\":' || sequence || \
                 ',\"previous\":' || json_quote(previous) || ',\"hash\":' || json_quote(hash) || ',' || \
                 substr(entry, 2) AS line FROM audit_{self} WHERE position > ?1 ORDER BY position LIMIT ?2"
            ),
            vec![Value::Integer(after.cast_signed()), count(limit)],
        )
    }

    /// Keeps each chain's end, then drops the table.
    pub(super) fn drop(self) -> Vec<Statement> {
        let keep = format!(
            "INSERT INTO audit_closed (chain, segment, first_sequence, first_previous, last_sequence, closing_hash, linked) \
             SELECT ends.chain, {self}, first.sequence, first.previous, last.sequence, last.hash, ends.linked FROM \
             (SELECT chain, min(sequence) AS low, max(sequence) AS high, sum(before IS NULL OR before = previous) AS linked FROM \
             (SELECT chain, sequence, previous, lag(hash) OVER (PARTITION BY chain ORDER BY sequence) AS before FROM audit_{self}) \
             GROUP BY chain) AS ends \
             JOIN audit_{self} AS first ON first.chain = ends.chain AND first.sequence = ends.low \
             JOIN audit_{self} AS last ON last.chain = ends.chain AND last.sequence = ends.high"
        );
        plain([keep, format!("DROP TABLE audit_{self}")])
    }
}

fn refuse(why: &str) -> String {
    format!("BEGIN SELECT RAISE(ABORT, 'audit: {why}'); END")
}

/// Statements without parameters.
fn plain<const N: usize>(all: [String; N]) -> Vec<Statement> {
    all.map(|sql| Statement::new(sql, vec![])).into()
}

fn count(limit: usize) -> Value {
    Value::Integer(i64::try_from(limit).unwrap_or(i64::MAX))
}
