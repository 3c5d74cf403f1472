//! The Ledger's own tables and their migrations.

use hoox_store::Value;

use crate::port::{LedgerError, Store, atomic};

/// Migrations in order; the index of the last one that ran is kept in `meta`.
const MIGRATIONS: [&[&str]; 6] = [
    &[
        // What identity, order and due times are decided by stands in columns; the rest is JSON.
        "CREATE TABLE signal (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        request_id TEXT NOT NULL UNIQUE,
        sender TEXT NOT NULL,
        product TEXT NOT NULL,
        symbol TEXT NOT NULL,
        entry INTEGER NOT NULL,
        status TEXT NOT NULL,
        open INTEGER NOT NULL,
        blocking INTEGER NOT NULL,
        due_at INTEGER NOT NULL,
        attempts INTEGER NOT NULL,
        received_at INTEGER NOT NULL,
        deadline INTEGER NOT NULL,
        revision INTEGER NOT NULL,
        data TEXT NOT NULL
    ) STRICT",
        "CREATE INDEX signal_due ON signal (due_at) WHERE open = 1",
        "CREATE INDEX signal_lane ON signal (product, symbol, seq) WHERE open = 1",
        "CREATE INDEX signal_entries ON signal (sender, received_at) WHERE entry = 1",
        "CREATE TABLE identity (
        sender TEXT NOT NULL,
        key TEXT NOT NULL,
        content_hash TEXT NOT NULL,
        signal_id TEXT NOT NULL,
        expires_at INTEGER NOT NULL,
        PRIMARY KEY (sender, key)
    ) STRICT, WITHOUT ROWID",
        "CREATE INDEX identity_expiry ON identity (expires_at)",
        "CREATE TABLE orders (
        client_order_id TEXT PRIMARY KEY,
        signal_id TEXT NOT NULL,
        leg INTEGER NOT NULL,
        product TEXT NOT NULL,
        symbol TEXT NOT NULL,
        reduce_only INTEGER NOT NULL,
        state TEXT NOT NULL,
        fence INTEGER NOT NULL,
        sent_at INTEGER,
        revision INTEGER NOT NULL,
        data TEXT NOT NULL
    ) STRICT, WITHOUT ROWID",
        "CREATE INDEX orders_signal ON orders (signal_id, leg)",
        "CREATE INDEX orders_open ON orders (product, symbol) WHERE state IN ('sending', 'unknown')",
        "CREATE TABLE holding (
        product TEXT NOT NULL,
        symbol TEXT NOT NULL,
        quantity TEXT NOT NULL,
        filled_at INTEGER NOT NULL,
        revision INTEGER NOT NULL,
        PRIMARY KEY (product, symbol)
    ) STRICT, WITHOUT ROWID",
        "CREATE TABLE lane (
        product TEXT NOT NULL,
        symbol TEXT NOT NULL,
        token TEXT NOT NULL,
        lease_until INTEGER NOT NULL,
        PRIMARY KEY (product, symbol)
    ) STRICT, WITHOUT ROWID",
        "CREATE TABLE outbox (
        key TEXT PRIMARY KEY,
        revision INTEGER NOT NULL,
        record TEXT NOT NULL,
        held INTEGER NOT NULL DEFAULT 0
    ) STRICT, WITHOUT ROWID",
    ],
    &[
        // Whether the signal waits for an operator.
        "ALTER TABLE signal ADD COLUMN dead INTEGER NOT NULL DEFAULT 0",
        "CREATE INDEX signal_dead ON signal (seq) WHERE dead = 1",
        "UPDATE signal SET dead = 1 WHERE status = 'unknown'",
        "CREATE INDEX signal_ended ON signal (received_at) WHERE open = 0 AND dead = 0",
        "CREATE INDEX orders_sent ON orders (sent_at)",
        "CREATE INDEX orders_entries ON orders (symbol) WHERE reduce_only = 0 \
     AND state IN ('planned', 'sending', 'acknowledged', 'partly_filled', 'unknown')",
    ],
    &[
        // Whether the order only makes a position smaller, and whether anything can still come of it: what is asked of
        // orders on every step must not read those of the last eight days.
        "DROP INDEX orders_open",
        "DROP INDEX orders_entries",
        "ALTER TABLE orders RENAME COLUMN reduce_only TO closes",
        "ALTER TABLE orders ADD COLUMN live INTEGER NOT NULL DEFAULT 0",
        "UPDATE orders SET live = 1 WHERE state IN ('planned', 'sending', 'acknowledged', 'partly_filled', 'unknown')",
        "CREATE INDEX orders_live ON orders (product, symbol) WHERE live = 1",
        // Whether the next thing a signal does only closes; until when exits wait for it; which side's openings of
        // older signals it forbids; when its alert fired and for which strategy.
        "ALTER TABLE signal ADD COLUMN closing INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE signal ADD COLUMN holds_until INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE signal ADD COLUMN fences TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE signal ADD COLUMN strategy TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE signal ADD COLUMN alert_at INTEGER",
        "UPDATE signal SET closing = 1 WHERE open = 1 AND entry = 0 AND status NOT IN \
         ('filled', 'partly_filled', 'cancelled', 'rejected', 'refused', 'nothing_to_do', 'dry_run', 'unknown')",
        "CREATE INDEX signal_fences ON signal (product, symbol, seq) WHERE fences <> ''",
        "CREATE INDEX signal_alert ON signal (sender, product, symbol, alert_at) WHERE alert_at IS NOT NULL",
        "CREATE INDEX signal_exits ON signal (sender) WHERE open = 1 AND entry = 0",
        // A request that was answered with an earlier signal is answered with it again.
        "ALTER TABLE identity ADD COLUMN request_id TEXT",
        // When the venue was last asked what is held.
        "ALTER TABLE holding ADD COLUMN seen_at INTEGER NOT NULL DEFAULT 0",
        // Records that the store refused are kept apart, so that those that wait are the whole table.
        "CREATE TABLE outbox_refused (
        key TEXT PRIMARY KEY,
        revision INTEGER NOT NULL,
        record TEXT NOT NULL
    ) STRICT, WITHOUT ROWID",
        "INSERT INTO outbox_refused SELECT key, revision, record FROM outbox WHERE held = 1",
        "DELETE FROM outbox WHERE held = 1",
        "ALTER TABLE outbox DROP COLUMN held",
    ],
    // What closing orders have filled of what no fill has brought yet.
    &["ALTER TABLE holding ADD COLUMN beyond TEXT NOT NULL DEFAULT '0'"],
    // Every entry of an index is a row that is paid for. What is open is few, so that one index of it is enough; what
    // came or ended in a span of time is found by its id, which begins with the time, and the orders of a signal by
    // theirs, which begin with its id.
    &[
        // So is the number that AUTOINCREMENT keeps: signals are numbered in the order of their arrival without it.
        "CREATE TABLE signal_new (
        seq INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        request_id TEXT NOT NULL UNIQUE,
        sender TEXT NOT NULL,
        product TEXT NOT NULL,
        symbol TEXT NOT NULL,
        entry INTEGER NOT NULL,
        status TEXT NOT NULL,
        open INTEGER NOT NULL,
        blocking INTEGER NOT NULL,
        due_at INTEGER NOT NULL,
        attempts INTEGER NOT NULL,
        received_at INTEGER NOT NULL,
        deadline INTEGER NOT NULL,
        revision INTEGER NOT NULL,
        data TEXT NOT NULL,
        dead INTEGER NOT NULL,
        closing INTEGER NOT NULL,
        holds_until INTEGER NOT NULL,
        fences TEXT NOT NULL,
        strategy TEXT NOT NULL,
        alert_at INTEGER
    ) STRICT",
        "INSERT INTO signal_new SELECT seq, id, request_id, sender, product, symbol, entry, status, open, blocking, due_at, \
         attempts, received_at, deadline, revision, data, dead, closing, holds_until, fences, strategy, alert_at FROM signal",
        "DROP TABLE signal",
        "ALTER TABLE signal_new RENAME TO signal",
        "CREATE INDEX signal_lane ON signal (product, symbol, seq) WHERE open = 1",
        "CREATE INDEX signal_dead ON signal (seq) WHERE dead = 1",
        "CREATE INDEX signal_fences ON signal (product, symbol, seq) WHERE fences <> ''",
        "CREATE INDEX signal_alert ON signal (sender, product, symbol, alert_at) WHERE alert_at IS NOT NULL",
        "DROP INDEX orders_signal",
        "DROP INDEX orders_sent",
        "CREATE INDEX orders_sent ON orders (sent_at) WHERE sent_at IS NOT NULL",
        // Who works on what stands in memory.
        "DROP TABLE lane",
    ],
    &[
        // A signal's mark in the outbox stands for its orders, fills and position as well.
        "INSERT OR IGNORE INTO outbox SELECT 'signal:' || signal_id, 0, '' FROM orders \
         WHERE 'order:' || client_order_id IN (SELECT key FROM outbox WHERE record = '')",
        "DELETE FROM outbox WHERE record = '' AND key LIKE 'order:%'",
        // The position as it was recorded last, and its revision then.
        "ALTER TABLE holding ADD COLUMN told TEXT",
        "ALTER TABLE holding ADD COLUMN told_revision INTEGER NOT NULL DEFAULT 0",
    ],
];

/// How many migrations this version knows: Ledgers hand over only to one that has the same tables.
pub(crate) const VERSION: usize = MIGRATIONS.len();

/// Brings the tables up to date.
///
/// # Errors
/// [`LedgerError::Store`]; nothing is changed then.
pub(crate) fn open(store: &impl Store) -> Result<(), LedgerError> {
    atomic(store, || {
        store.query(
            "CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID",
            &[],
        )?;
        let rows = store.query("SELECT value FROM meta WHERE key = 'schema'", &[])?;
        let done = match rows.first().and_then(|row| row.first()) {
            Some(Value::Text(text)) => text
                .parse::<usize>()
                .map_err(|_| LedgerError::Corrupt("meta.schema".to_owned()))?,
            _ => 0,
        };
        for statement in MIGRATIONS.iter().skip(done).copied().flatten() {
            store.query(statement, &[])?;
        }
        if done < MIGRATIONS.len() {
            store.query(
                "INSERT INTO meta (key, value) VALUES ('schema', ?1) ON CONFLICT DO UPDATE SET value = excluded.value",
                &[Value::Text(MIGRATIONS.len().to_string())],
            )?;
        }
        Ok(())
    })
}
