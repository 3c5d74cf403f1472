//! When the next step can be taken, and what becomes due at once. Writes `due_at` of the table `signal`, and the alarm.

use hoox_mesh::KillMode;
use hoox_model::{Product, SignalId, Symbol, Timestamp};
use hoox_store::Value;

use super::claim::most;
use super::day::day_due;
use super::kill::{flatten, kill_mode};
use super::venue::{venue_ban, venue_pause};
use crate::exit::Exit;
use crate::lanes::Lanes;
use crate::outbox;
use crate::poll;
use crate::port::{LedgerError, Store};
use crate::row::{RESTING, at, select_one, text};

/// Has the alarm come at a moment or before. One that this instance knows to come before is left as it is.
pub(crate) fn wake(store: &impl Store, due: Timestamp, now: Timestamp) -> Result<(), LedgerError> {
    let known = store.memory().alarm();
    if known.is_some_and(|at| now < at && at <= due) {
        return Ok(());
    }
    store.set_alarm(due)?;
    store.memory().note_alarm(due);
    Ok(())
}

/// When the next step can be taken or records are to be delivered; `None` when all is done. What another run
/// works on counts from the end of its lease: that run sets the alarm anew before.
pub(crate) fn next_alarm(
    store: &impl Store,
    lanes: &Lanes,
    now: Timestamp,
) -> Result<Option<Timestamp>, LedgerError> {
    let outbox = outbox::next_due(store, lanes)?.map(|due| due.max(now));
    let step = next_step(store, lanes, now)?;
    Ok([outbox, step].into_iter().flatten().min())
}

/// When the next step can be taken, the delivery of records left out.
pub(crate) fn next_step(
    store: &impl Store,
    lanes: &Lanes,
    now: Timestamp,
) -> Result<Option<Timestamp>, LedgerError> {
    let found = select_one(
        store,
        &format!(
            "SELECT MIN(MAX(due_at, ?1, \
              COALESCE((SELECT lane.value ->> 2 FROM json_each(?3) AS lane WHERE lane.value ->> 0 = signal.product \
                        AND lane.value ->> 1 = signal.symbol), 0), \
              COALESCE((SELECT MIN(lane.value ->> 2) FROM json_each(?3) AS lane \
                        HAVING COUNT(*) >= +?2 - (signal.closing = 0)), 0), \
              CASE WHEN closing = 0 THEN 0 ELSE COALESCE((SELECT first.holds_until FROM signal AS first \
                        WHERE first.open = 1 AND first.blocking = 1 AND first.product = signal.product \
                        AND first.symbol = signal.symbol AND first.seq < signal.seq AND first.holds_until > +?1 \
                        ORDER BY first.seq LIMIT 1), 0) END)), \
                (SELECT MAX(sent_at) FROM orders WHERE {RESTING}) \
         FROM signal WHERE open = 1 \
         AND (blocking = 0 OR closing = 1 OR NOT EXISTS (SELECT 1 FROM signal AS first WHERE first.open = 1 \
              AND first.blocking = 1 AND first.product = signal.product AND first.symbol = signal.symbol \
              AND first.seq < signal.seq))"
        ),
        &[at(now), most(), lanes.taken(now)],
    )?;
    let (signal, youngest) = match &found {
        Some(cells) => (cells.integer_or_null(0)?, cells.integer_or_null(1)?),
        None => (None, None),
    };
    let youngest = youngest.map(Timestamp::from_millis);
    store.memory().note_resting(youngest);
    let poll = youngest.map(|youngest| poll::due(store, youngest, now));
    let poll = poll.transpose()?.map(Timestamp::as_millis);
    let flatten = match flatten(store)? {
        Some(job) if !job.done && kill_mode(store)? != KillMode::All => {
            Some(job.due_at.as_millis())
        }
        _ => None,
    };
    let ban = venue_ban(store)?.as_millis();
    let day = day_due(store)?.map(|due| due.as_millis().max(ban));
    Ok([signal, poll, flatten, day]
        .into_iter()
        .flatten()
        .min()
        .map(|due| Timestamp::from_millis(due).max(now)))
}

/// When the earliest work on a signal is due, whatever it waits for.
pub(crate) fn earliest_due(store: &impl Store) -> Result<Option<Timestamp>, LedgerError> {
    let due = select_one(store, "SELECT MIN(due_at) FROM signal WHERE open = 1", &[])?;
    let due = due.map(|cells| cells.integer_or_null(0)).transpose()?;
    Ok(due.flatten().map(Timestamp::from_millis))
}

/// Makes a signal due.
pub(crate) fn due_now(
    store: &impl Store,
    id: &SignalId,
    now: Timestamp,
) -> Result<(), LedgerError> {
    store.query(
        "UPDATE signal SET due_at = MIN(due_at, ?2) WHERE id = +?1 AND open = 1",
        &[text(id.as_str()), at(now)],
    )?;
    Ok(())
}

/// Wakes exits of a symbol that wait for the outcome of an older entry.
pub(crate) fn wake_exits(
    store: &impl Store,
    product: Product,
    symbol: &Symbol,
    seq: i64,
    now: Timestamp,
) -> Result<(), LedgerError> {
    store.query(
        "UPDATE signal SET due_at = ?4 WHERE open = 1 AND product = +?1 AND symbol = +?2 AND seq > +?3 \
         AND closing = 1 AND due_at > +?4",
        &[
            text(product.as_str()),
            text(symbol.as_str()),
            Value::Integer(seq),
            at(now),
        ],
    )?;
    Ok(())
}

/// Has what an exit waits for asked about at once in a pause: from now on its look-ups are an exit's calls, while it was
/// put off to the end of the pause before anything waited for it.
pub(crate) fn wake_older(
    store: &impl Store,
    exit: &Exit,
    now: Timestamp,
) -> Result<(), LedgerError> {
    if !exit.whole || exit.older.is_empty() || venue_pause(store)? <= now {
        return Ok(());
    }
    for (id, _) in &exit.older {
        due_now(store, id, now)?;
    }
    Ok(())
}
