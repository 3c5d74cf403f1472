//! What lets an order out, and the instance's epoch that it asks for. Keeps `epoch` of the table `meta`, and writes an order
//! of the table `orders` as sent.

use hoox_model::{PositionSide, Timestamp};
use hoox_store::Value;

use super::meta::{get_number, put};
use crate::lanes::Lanes;
use crate::outbox::order_changed;
use crate::port::{LedgerError, Store};
use crate::row::{OrderRow, SignalRow, at, select_one, text, to_json};

pub(super) const EPOCH: &str = "epoch";

/// Raises the number of instances that have worked on the account, once for this one: what it lets out names it.
pub(crate) fn enter(store: &impl Store, lanes: &Lanes) -> Result<(), LedgerError> {
    if lanes.epoch().is_some() {
        return Ok(());
    }
    let epoch = get_number(store, EPOCH)?.saturating_add(1).to_string();
    put(store, EPOCH, epoch.clone())?;
    lanes.set_epoch(epoch);
    Ok(())
}

/// A write that only the living instance can make and that names its epoch, in the turn of a call that changes something
/// at the venue: the platform holds the call back until it is durable.
pub(crate) fn mark(store: &impl Store, lanes: &Lanes) -> Result<(), LedgerError> {
    let own = lanes.epoch().unwrap_or_default();
    select_one(
        store,
        "UPDATE meta SET value = value WHERE key = 'epoch' AND value = +?1 RETURNING value",
        &[text(own)],
    )?
    .map(|_| ())
    .ok_or(LedgerError::LeaseLost)
}

/// The send fence: the one statement that lets an order out. Kill mode, whether the Ledger is closed, the instance's epoch,
/// staleness and, for an order that opens `opens`, the exits taken after the signal of `row` decide in it; the write, which
/// only the living instance can make, holds the request back until it is durable.
///
/// It stores the order as it is once it is sent, with a new revision. Returns whether it may be sent now, in this very turn.
pub(crate) fn fence(
    store: &impl Store,
    lanes: &Lanes,
    order: &OrderRow,
    deadline: Timestamp,
    opens: PositionSide,
    row: &SignalRow,
    now: Timestamp,
) -> Result<bool, LedgerError> {
    let passed = select_one(
        store,
        "UPDATE orders SET state = 'sending', fence = fence + 1, sent_at = COALESCE(sent_at, ?2), revision = ?10, \
         data = ?11 WHERE client_order_id = +?1 AND state = 'planned' AND ?2 <= +?3 \
         AND EXISTS (SELECT 1 FROM meta WHERE key = 'epoch' AND value = +?6) \
         AND CASE COALESCE((SELECT value FROM meta WHERE key = 'kill_mode'), 'entries') \
                  WHEN 'off' THEN 1 WHEN 'entries' THEN orders.closes ELSE 0 END \
         AND NOT EXISTS (SELECT 1 FROM meta WHERE key = 'closed' AND value NOT LIKE '{_held%') \
         AND (closes = 1 OR NOT EXISTS (SELECT 1 FROM signal WHERE product = +?4 AND symbol = +?5 AND fences <> '' \
              AND fences IN ('both', +?7) AND seq > +?8 \
              AND NOT EXISTS (SELECT 1 FROM json_each(CASE WHEN json_valid(signal.data) THEN signal.data ELSE '{}' END, '$.exit.newer') AS newer WHERE newer.value = +?9))) \
         RETURNING fence",
        &[
            text(order.id().as_str()),
            at(now),
            at(deadline),
            text(row.product.as_str()),
            text(row.symbol.as_str()),
            text(lanes.epoch().unwrap_or_default()),
            text(opens.as_str()),
            Value::Integer(row.seq),
            text(row.id.as_str()),
            Value::Integer(order.revision),
            text(to_json(&order.data)?),
        ],
    )?;
    if passed.is_none() {
        return Ok(false);
    }
    order_changed(store, order)?;
    Ok(true)
}

/// Whether a full exit that was taken later than a signal closes the side that an order of it would open: such an order
/// is not sent any more, unless the exit's own alert fired before.
pub(crate) fn is_superseded(
    store: &impl Store,
    row: &SignalRow,
    opens: PositionSide,
) -> Result<bool, LedgerError> {
    select_one(
        store,
        "SELECT 1 FROM signal WHERE product = +?1 AND symbol = +?2 AND fences <> '' AND fences IN ('both', +?3) \
         AND seq > +?4 \
         AND NOT EXISTS (SELECT 1 FROM json_each(CASE WHEN json_valid(signal.data) THEN signal.data ELSE '{}' END, '$.exit.newer') AS newer WHERE newer.value = +?5)",
        &[
            text(row.product.as_str()),
            text(row.symbol.as_str()),
            text(opens.as_str()),
            Value::Integer(row.seq),
            text(row.id.as_str()),
        ],
    )
    .map(|row| row.is_some())
}
