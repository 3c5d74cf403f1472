//! Signals by their rows: how many are open, their revisions, and which came when. Keeps the table `signal` with
//! [`SignalRow`]: accepting a signal inserts its row, steps write it.

use hoox_model::{SignalId, Timestamp};
use hoox_store::Value;

use super::count;
use crate::outbox::signal_changed;
use crate::port::{LedgerError, Store};
use crate::row::{SignalRow, text};

/// How far the clocks of the gateway's machine and the Ledger's are apart at most.
const CLOCKS_APART_MS: i64 = 60_000;

/// The least id of a signal that was taken at a moment: ids begin with the time.
pub(super) fn came_at(moment: Timestamp) -> Value {
    text(SignalId::new(moment, [0; 10]).as_str())
}

/// What is below the id of every signal that the gateway received after a moment: it is taken a little later, by
/// another machine's clock.
pub(crate) fn came_after(moment: Timestamp) -> Value {
    came_at(moment.plus_millis(-CLOCKS_APART_MS))
}

/// Signals that are not finished.
pub(crate) fn open_signals(store: &impl Store) -> Result<u32, LedgerError> {
    count(store, "SELECT COUNT(*) FROM signal WHERE open = 1")
}

/// The revision after `last`: never lower than the clock, so that the records of an account's next
/// generation replace those of the one before.
pub(crate) fn next_revision(last: i64, now: Timestamp) -> i64 {
    last.saturating_add(1).max(now.as_millis())
}

/// Writes a changed signal, whose record is to be delivered.
pub(crate) fn save_signal(
    store: &impl Store,
    row: &mut SignalRow,
    now: Timestamp,
) -> Result<(), LedgerError> {
    row.revision = next_revision(row.revision, now);
    row.update(store, now)?;
    signal_changed(store, &row.id)
}
