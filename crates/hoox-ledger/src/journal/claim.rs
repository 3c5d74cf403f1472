//! Which signal has its turn: claimed with its lane, put off, put aside, or behind an older one of its symbol. Reads the
//! table `signal`, and writes when a step that failed is tried again.

use hoox_mesh::SignalStatus;
use hoox_model::Timestamp;
use hoox_store::Value;

use super::fence::enter;
use crate::lanes::{Lanes, Lease, MAX_LANES};
use crate::port::{LedgerError, Store};
use crate::row::{Cells, OF_SIGNAL, SignalRow, at, select_one, text};

/// When a signal whose row cannot be read is tried again; a newer version may be able to: 1 hour.
const QUARANTINE_MS: i64 = 3_600_000;
/// When a step is tried again that storage made impossible.
const PUT_OFF_MS: i64 = 5_000;

/// A signal with something to do, and the lane it is done in.
#[derive(Debug)]
pub(crate) struct Claim {
    /// Its id, as it stands in the row.
    pub id: String,
    /// The lane.
    pub lease: Lease,
    /// Its row.
    cells: Cells,
}

impl Claim {
    /// Whether it is still to be planned.
    pub(crate) fn is_new(&self) -> bool {
        self.cells.text(7) == Ok(SignalStatus::Received.as_str())
    }

    /// The signal.
    pub(crate) fn signal(&self) -> Result<SignalRow, LedgerError> {
        SignalRow::read(&self.cells)
    }
}

/// Due, in its turn, in a lane that no run holds, and a run more may work. What opens waits for everything older of
/// its symbol; what closes waits only for what goes on as it should, for a moment.
const DUE: &str = "open = 1 AND due_at <= +?1 \
     AND (blocking = 0 OR NOT EXISTS (SELECT 1 FROM signal AS first WHERE first.open = 1 AND first.blocking = 1 \
          AND first.product = signal.product AND first.symbol = signal.symbol AND first.seq < signal.seq \
          AND (signal.closing = 0 OR first.holds_until > +?1))) \
     AND NOT EXISTS (SELECT 1 FROM json_each(?3) AS lane WHERE lane.value ->> 0 = signal.product \
          AND lane.value ->> 1 = signal.symbol) \
     AND json_array_length(?3) < +?2 - (signal.closing = 0)";

/// How many lanes there are, as a statement's parameter.
pub(super) fn most() -> Value {
    Value::Integer(i64::try_from(MAX_LANES).unwrap_or(1))
}

/// Takes the next signal with something to do, with its lane.
pub(crate) fn claim(
    store: &impl Store,
    lanes: &Lanes,
    now: Timestamp,
) -> Result<Option<Claim>, LedgerError> {
    let condition = format!("{DUE} ORDER BY closing DESC, due_at, seq");
    let params = [at(now), most(), lanes.taken(now)];
    let Some(cells) = SignalRow::find_cells(store, &condition, &params)? else {
        return Ok(None);
    };
    enter(store, lanes)?;
    let [id, product, symbol] = SignalRow::place(&cells)?;
    let id = id.to_owned();
    let lease = lanes.take(product, symbol, now);
    Ok(lease.map(|lease| Claim { id, lease, cells }))
}

/// Goes on in a lane with the next signal that has something to do there.
pub(crate) fn claim_on(
    store: &impl Store,
    lanes: &Lanes,
    lease: Lease,
    now: Timestamp,
) -> Result<Option<Claim>, LedgerError> {
    lanes.renew(&lease, now)?;
    let condition =
        format!("product = +?4 AND symbol = +?5 AND {DUE} ORDER BY closing DESC, due_at, seq");
    let params = [
        at(now),
        most(),
        lanes.taken_beside(&lease, now),
        text(lease.product.as_str()),
        text(lease.symbol.as_str()),
    ];
    let Some(cells) = SignalRow::find_cells(store, &condition, &params)? else {
        return Ok(None);
    };
    let [id, ..] = SignalRow::place(&cells)?;
    let id = id.to_owned();
    Ok(Some(Claim { id, lease, cells }))
}

/// Puts a step off that storage made impossible, so that it does not hold up the others.
pub(crate) fn put_off(store: &impl Store, id: &str, now: Timestamp) -> Result<(), LedgerError> {
    let due = at(now.plus_millis(PUT_OFF_MS));
    store.query(
        "UPDATE signal SET due_at = ?2 WHERE id = +?1",
        &[text(id), due],
    )?;
    Ok(())
}

/// Puts a signal aside whose rows cannot be read. It stays open, but the symbol's other signals no
/// longer wait for it; what it may have at the venue counts as unknown, so that only exits go on.
pub(crate) fn quarantine(store: &impl Store, id: &str, now: Timestamp) -> Result<(), LedgerError> {
    store.query(
        "UPDATE signal SET blocking = 0, closing = 0, fences = '', dead = 1, due_at = ?2 WHERE id = +?1",
        &[text(id), at(now.plus_millis(QUARANTINE_MS))],
    )?;
    store.query(
        &format!(
            "UPDATE orders SET state = 'unknown' WHERE {OF_SIGNAL} AND (state IN ('sending', 'acknowledged', \
             'partly_filled') OR (state = 'planned' AND fence > 0))"
        ),
        &[text(id)],
    )?;
    Ok(())
}

/// Older signals of a symbol that are still being carried out.
const OLDER: &str = "SELECT 1 FROM signal WHERE open = 1 AND blocking = 1 AND product = +?1 AND symbol = +?2 AND seq < +?3";

fn older_than(row: &SignalRow) -> [Value; 3] {
    [
        text(row.product.as_str()),
        text(row.symbol.as_str()),
        Value::Integer(row.seq),
    ]
}

/// Whether an older signal of the symbol is still being carried out, so that what opens has to wait.
pub(crate) fn waits_for_older(store: &impl Store, row: &SignalRow) -> Result<bool, LedgerError> {
    let found = select_one(store, OLDER, &older_than(row))?;
    Ok(found.is_some())
}

/// Whether an exit has to wait for an older signal of the symbol that is being carried out at this moment.
pub(crate) fn is_held_by_older(
    store: &impl Store,
    row: &SignalRow,
    now: Timestamp,
) -> Result<bool, LedgerError> {
    let mut params = older_than(row).to_vec();
    params.push(at(now));
    let found = select_one(store, &format!("{OLDER} AND holds_until > +?4"), &params)?;
    Ok(found.is_some())
}

/// Whether an exit that was taken later waits for what becomes of a signal.
pub(crate) fn is_waited_for(store: &impl Store, row: &SignalRow) -> Result<bool, LedgerError> {
    let found = select_one(
        store,
        "SELECT 1 FROM signal WHERE open = 1 AND product = +?1 AND symbol = +?2 AND seq > +?3 AND closing = 1 LIMIT 1",
        &[
            text(row.product.as_str()),
            text(row.symbol.as_str()),
            Value::Integer(row.seq),
        ],
    )?;
    Ok(found.is_some())
}
