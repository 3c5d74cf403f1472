//! The Ledger's own tables and their migrations.

use hoox_store::Value;

use crate::port::{LedgerError, Store, atomic};

/// Migrations in order; the index of the last one that ran is kept in `meta`.
const MIGRATIONS: [&[&str]; 2] = [
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
];

/// Brings the tables up to date and voids the leases of an earlier instance, which can no longer
/// write: its fence would fail.
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
        store.query("DELETE FROM lane", &[])?;
        // A delivery of that instance has ended with it.
        store.query("DELETE FROM meta WHERE key = 'outbox_due'", &[])?;
        Ok(())
    })
}
