//! What is forgotten: identities that have run out or were freed, and signals that ended long ago. Removes from the tables
//! `identity`, `signal` and `orders`, at the end of a run or where a signal is refused.

use hoox_model::Timestamp;
use hoox_store::Value;

use super::signals::came_at;
use crate::port::{LedgerError, Store, atomic};
use crate::row::{OF_SIGNAL, SignalRow, at, select, text};

/// Identities, and signals, that one turn removes at most.
const PRUNE_ROWS: i64 = 100;
/// How long an instance looks for no more once it has found all: 1 minute.
const PRUNE_MS: i64 = 60_000;

/// How long a signal that has ended is kept: longer than any identity that points to it.
const KEEP_MS: i64 = 8 * 86_400_000;

/// Removes identities that have run out, and signals with their orders that ended long ago, a bounded
/// number at a time. The records of them are in D1: those that are still to be delivered stay.
pub(crate) fn prune(store: &impl Store, now: Timestamp) -> Result<(), LedgerError> {
    let pruned_at = store.memory().pruned_at();
    if pruned_at.is_some_and(|at| (0..PRUNE_MS).contains(&now.since(at))) {
        return Ok(());
    }
    let done = atomic(store, || prune_some(store, now))?;
    store.memory().pruned(done.then_some(now));
    Ok(())
}

/// Removes [`PRUNE_ROWS`] of either at most; returns whether those were all.
fn prune_some(store: &impl Store, now: Timestamp) -> Result<bool, LedgerError> {
    let run_out = select(
        store,
        "DELETE FROM identity WHERE (sender, key) IN \
         (SELECT sender, key FROM identity WHERE expires_at <= +?1 ORDER BY expires_at LIMIT +?2) RETURNING 1",
        &[at(now), Value::Integer(PRUNE_ROWS)],
    )?;
    let old = select(
        store,
        "SELECT id FROM signal WHERE id < +?1 AND open = 0 AND dead = 0 \
         AND NOT EXISTS (SELECT 1 FROM outbox WHERE key = 'signal:' || signal.id) \
         AND NOT EXISTS (SELECT 1 FROM outbox WHERE key > 'order:hx-' || signal.id || '-' \
                         AND key < 'order:hx-' || signal.id || '.') ORDER BY id LIMIT +?2",
        &[
            came_at(now.plus_millis(KEEP_MS.saturating_neg())),
            Value::Integer(PRUNE_ROWS),
        ],
    )?;
    for cells in &old {
        let id = [text(cells.text(0)?)];
        store.query(&format!("DELETE FROM orders WHERE {OF_SIGNAL}"), &id)?;
        store.query("DELETE FROM signal WHERE id = +?1", &id)?;
    }
    let most = usize::try_from(PRUNE_ROWS).unwrap_or(usize::MAX);
    Ok(run_out.len() < most && old.len() < most)
}

/// Frees the identity of a signal that was refused, so that a resend may trade.
pub(crate) fn free_identity(store: &impl Store, row: &SignalRow) -> Result<(), LedgerError> {
    let Some(key) = &row.data.identity else {
        return Ok(());
    };
    store.query(
        "DELETE FROM identity WHERE sender = +?1 AND key = +?2 AND signal_id = +?3",
        &[
            text(row.sender.as_str()),
            text(key.as_str()),
            text(row.id.as_str()),
        ],
    )?;
    Ok(())
}
