//! How long records are kept: 180 days, or until the database has 400 MB; then the oldest go first, a bounded number a
//! call.
//!
//! A signal goes with its orders and their fills, which go before it. Signals that are not finished stay, and so do
//! positions, which are no history. The audit trail has its own rule: an operator drops its months
//! ([`drop_oldest`](crate::audit::drop_oldest)). No index serves this: ids of signals, and of orders and fills by them,
//! sort by time.

use core::fmt;
use core::future::Future;

use hoox_model::{SignalId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{Statement, Value};

/// Days for which a record is kept.
pub const KEPT_DAYS: i64 = 180;
/// Bytes of the database beyond which the oldest records go although they are younger.
pub const MAX_BYTES: u64 = 400_000_000;
/// Days for which a record is kept however large the database is: something else fills it then.
pub const LEAST_DAYS: i64 = 7;
/// Bytes of the database at which pruning has not been enough. The Free plan ends at 500 MB.
pub const FULL_BYTES: u64 = 450_000_000;

/// What one round deletes at most. A round an hour is what can come in on the Free plan, which allows 100,000 rows
/// written a day, and takes no more than half of these: 3 for a signal, 2 for an order, 1 for a fill.
const SIGNALS: usize = 300;
const ORDERS: usize = 300;
const FILLS: usize = 600;

/// Rounds of one call where the database is full; otherwise there is one.
const ROUNDS: usize = 5;

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// The database that holds the records.
pub trait RecordStore {
    /// Why it did not answer.
    type Error;

    /// Runs statements as one transaction.
    ///
    /// # Errors
    /// The database's; then none of the statements took effect.
    fn run(&self, statements: &[Statement]) -> impl Future<Output = Result<Stored, Self::Error>>;
}

/// What the database answers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stored {
    /// The rows of each statement.
    pub rows: Vec<Vec<RetentionRow>>,
    /// How many rows each statement changed.
    pub changes: Vec<u64>,
    /// Size of the database in bytes, as far as the database says it.
    pub bytes: Option<u64>,
}

impl Stored {
    fn row(&self) -> RetentionRow {
        let first = self.rows.iter().flatten().next();
        first.cloned().unwrap_or_default()
    }
}

/// A row as the database gives it, with the columns that the statement asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct RetentionRow {
    count: Option<i64>,
    last: Option<String>,
    received_at: Option<i64>,
    pruned_until: Option<i64>,
    pruned_at: Option<i64>,
    by_size: Option<i64>,
}

/// What a call deleted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Signals.
    pub signals: u64,
    /// Orders.
    pub orders: u64,
    /// Fills.
    pub fills: u64,
}

impl Pruned {
    /// Whether nothing was deleted.
    pub const fn is_nothing(self) -> bool {
        self.signals == 0 && self.orders == 0 && self.fills == 0
    }

    /// What the statements of [`Batch::deletes`] changed.
    fn add(&mut self, changes: &[u64]) {
        let sums = [&mut self.fills, &mut self.orders, &mut self.signals];
        for (sum, more) in sums.into_iter().zip(changes) {
            *sum = sum.saturating_add(*more);
        }
    }
}

impl fmt::Display for Pruned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            signals,
            orders,
            fills,
        } = self;
        write!(f, "{signals} signals, {orders} orders, {fills} fills")
    }
}

/// Why records were pruned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PrunedBy {
    /// They were older than [`KEPT_DAYS`].
    Age,
    /// The database was larger than [`MAX_BYTES`].
    Size,
}

/// How large the database is and how far back records go, as the operator API shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RetentionReport {
    /// Size of the database, the audit trail included.
    #[serde(default)]
    pub bytes: Option<u64>,
    /// [`MAX_BYTES`].
    pub max_bytes: u64,
    /// [`KEPT_DAYS`].
    pub kept_days: i64,
    /// Whether it is so large that pruning has not been enough: drop months of the audit trail.
    pub full: bool,
    /// Up to when records have been pruned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pruned_until: Option<Timestamp>,
    /// When that was last done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pruned_at: Option<Timestamp>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pruned_by: Option<PrunedBy>,
}

/// What is known of the retention.
///
/// # Errors
/// The database's.
pub async fn report<S: RecordStore>(store: &S) -> Result<RetentionReport, S::Error> {
    let stored = store.run(&[state()]).await?;
    let row = stored.row();
    let by = |by_size| match by_size {
        0 => PrunedBy::Age,
        _ => PrunedBy::Size,
    };
    Ok(RetentionReport {
        bytes: stored.bytes,
        max_bytes: MAX_BYTES,
        kept_days: KEPT_DAYS,
        full: exceeds(stored.bytes, FULL_BYTES),
        pruned_until: row.pruned_until.map(Timestamp::from_millis),
        pruned_at: row.pruned_at.map(Timestamp::from_millis),
        pruned_by: row.by_size.map(by),
    })
}

/// Deletes what is too old or too much, a bounded number of rows; call it again and again. `waiting` are the states of
/// signals that are not finished.
///
/// # Errors
/// The database's. What was deleted before stays deleted.
pub async fn prune<S: RecordStore>(
    store: &S,
    now: Timestamp,
    waiting: &[&str],
) -> Result<Pruned, S::Error> {
    let waiting = serde_json::to_string(waiting).unwrap_or_default();
    let mut pruned = Pruned::default();
    for _ in 0..ROUNDS {
        let batch = oldest(store, now, &waiting).await?;
        let stored = store.run(&batch.deletes(&waiting, now)).await?;
        pruned.add(&stored.changes);
        let more = stored.changes.iter().any(|changes| *changes > 0);
        if !(more && exceeds(stored.bytes, FULL_BYTES)) {
            break;
        }
    }
    Ok(pruned)
}

fn exceeds(bytes: Option<u64>, limit: u64) -> bool {
    bytes.is_some_and(|bytes| bytes > limit)
}

/// The signals that a round deletes, with what is theirs.
struct Batch {
    /// All that are finished and whose ids are below this text.
    below: String,
    /// Up to when that is.
    until: i64,
    /// Whether there are any. Or else there may be orders and fills whose signals were never stored.
    some: bool,
    by: PrunedBy,
}

/// The oldest batch of what is too old; or else, where the database is too large, of all but the youngest.
async fn oldest<S: RecordStore>(
    store: &S,
    now: Timestamp,
    waiting: &str,
) -> Result<Batch, S::Error> {
    let (aged, bytes) = batch(store, now, PrunedBy::Age, waiting).await?;
    if aged.some || !exceeds(bytes, MAX_BYTES) {
        return Ok(aged);
    }
    let (oldest, _) = batch(store, now, PrunedBy::Size, waiting).await?;
    Ok(oldest)
}

async fn batch<S: RecordStore>(
    store: &S,
    now: Timestamp,
    by: PrunedBy,
    waiting: &str,
) -> Result<(Batch, Option<u64>), S::Error> {
    let days = match by {
        PrunedBy::Age => KEPT_DAYS,
        PrunedBy::Size => LEAST_DAYS,
    };
    let until = now
        .as_millis()
        .saturating_sub(days.saturating_mul(DAY_MS))
        .max(0);
    let end = SignalId::new(Timestamp::from_millis(until), [0; 10]).to_string();
    let stored = store.run(&[finished(&end, waiting)]).await?;
    let found = stored.row();
    let count = found
        .count
        .and_then(|count| usize::try_from(count).ok())
        .unwrap_or_default();
    // The last one of a full batch belongs to it, and all that begins with its id.
    let last = found.last.filter(|_| count >= SIGNALS);
    let batch = Batch {
        until: match &last {
            Some(_) => found.received_at.unwrap_or_default().min(until),
            None => until,
        },
        below: last.map_or(end, |last| last + AFTER_IDS),
        some: count > 0,
        by,
    };
    Ok((batch, stored.bytes))
}

/// Above everything that an id may hold.
const AFTER_IDS: &str = "~";

/// How far records have been pruned.
fn state() -> Statement {
    Statement::new(
        "SELECT pruned_until, pruned_at, by_size FROM retention WHERE id = 1",
        vec![],
    )
}

/// The oldest finished signals below an id: how many, up to a batch, and the last of them.
fn finished(end: &str, waiting: &str) -> Statement {
    Statement::new(
        "SELECT count(*) AS count, max(id) AS last, max(received_at) AS received_at FROM \
         (SELECT id, received_at FROM signals WHERE id < ?1 \
         AND state NOT IN (SELECT value FROM json_each(?2)) ORDER BY id LIMIT ?3)",
        vec![Value::text(end), Value::text(waiting), limit(SIGNALS)],
    )
}

/// The batch's signals that are not finished; the statement's first parameters are the batch's end and their states.
const UNFINISHED: &str =
    "(SELECT id FROM signals WHERE id < ?1 AND state IN (SELECT value FROM json_each(?2)))";

impl Batch {
    /// Fills, then orders that have none left, then signals that have no order left; and how far this is.
    fn deletes(&self, waiting: &str, now: Timestamp) -> Vec<Statement> {
        let delete = |sql: String, rows: usize| {
            let params = vec![Value::text(&self.below), Value::text(waiting), limit(rows)];
            Statement::new(sql, params)
        };
        // 'hx-' and the signal's 26 characters: hoox_model::ClientOrderId::for_leg.
        let fills = format!(
            "DELETE FROM fills WHERE (client_order_id, account_id, fill_id) IN \
             (SELECT client_order_id, account_id, fill_id FROM fills \
             WHERE client_order_id > 'hx-' AND client_order_id < 'hx-' || ?1 \
             AND substr(client_order_id, 4, 26) NOT IN {UNFINISHED} ORDER BY client_order_id LIMIT ?3)"
        );
        let orders = format!(
            "DELETE FROM orders WHERE client_order_id IN (SELECT client_order_id FROM orders \
             WHERE client_order_id > 'hx-' AND client_order_id < 'hx-' || ?1 AND signal_id NOT IN {UNFINISHED} \
             AND NOT EXISTS (SELECT 1 FROM fills WHERE fills.client_order_id = orders.client_order_id) \
             ORDER BY client_order_id LIMIT ?3)"
        );
        let signals = "DELETE FROM signals WHERE id IN (SELECT id FROM signals \
             WHERE id < ?1 AND state NOT IN (SELECT value FROM json_each(?2)) \
             AND NOT EXISTS (SELECT 1 FROM orders WHERE client_order_id > 'hx-' || signals.id \
             AND client_order_id < 'hx-' || signals.id || '~') ORDER BY id LIMIT ?3)";
        let mut statements = vec![
            delete(fills, FILLS),
            delete(orders, ORDERS),
            delete(signals.to_owned(), SIGNALS),
        ];
        statements.extend(self.some.then(|| self.note(now)));
        statements
    }

    fn note(&self, now: Timestamp) -> Statement {
        Statement::new(
            "INSERT INTO retention (id, pruned_until, pruned_at, by_size) VALUES (1, ?1, ?2, ?3) \
             ON CONFLICT (id) DO UPDATE SET pruned_until = excluded.pruned_until, pruned_at = excluded.pruned_at, \
             by_size = excluded.by_size WHERE excluded.pruned_until >= retention.pruned_until",
            vec![
                Value::time(Timestamp::from_millis(self.until)),
                Value::time(now),
                Value::Integer((self.by == PrunedBy::Size).into()),
            ],
        )
    }
}

fn limit(rows: usize) -> Value {
    Value::Integer(i64::try_from(rows).unwrap_or(i64::MAX))
}
