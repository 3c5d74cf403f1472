//! Orders by their rows: what is on its way, in doubt or at rest. Keeps the table `orders` with [`OrderRow`]: plans add
//! rows, steps write them; only the fence writes one as sent.

use hoox_model::{Product, Symbol, Timestamp};

use super::count;
use crate::memory::Resting;
use crate::outbox::order_changed;
use crate::port::{LedgerError, Store};
use crate::row::{OrderRow, OrderState, RESTING, select_one, text};

/// Writes a changed order, whose record is to be delivered.
pub(crate) fn save_order(
    store: &impl Store,
    row: &mut OrderRow,
    now: Timestamp,
) -> Result<(), LedgerError> {
    row.touch(now);
    row.update(store)?;
    order_changed(store, row)
}

/// Stores a new order, whose record is to be delivered.
pub(crate) fn add_order(
    store: &impl Store,
    row: &mut OrderRow,
    now: Timestamp,
) -> Result<(), LedgerError> {
    row.touch(now);
    row.insert(store)?;
    order_changed(store, row)
}

/// Gives up the orders of a plan that were not sent.
pub(crate) fn skip_planned(
    store: &impl Store,
    orders: &mut [OrderRow],
    reason: &str,
    now: Timestamp,
) -> Result<(), LedgerError> {
    for order in orders {
        if order.state == OrderState::Planned {
            order.state = OrderState::Skipped;
            order.data.message = Some(reason.to_owned());
            save_order(store, order, now)?;
        }
    }
    Ok(())
}

/// When the youngest order was sent that rests; `None` where none does.
pub(crate) fn youngest_resting(store: &impl Store) -> Result<Option<Timestamp>, LedgerError> {
    match store.memory().resting() {
        Resting::Unknown => {}
        Resting::Nothing => return Ok(None),
        Resting::Youngest(sent_at) => return Ok(Some(sent_at)),
    }
    let sql = format!("SELECT MAX(sent_at) FROM orders WHERE {RESTING}");
    let found = select_one(store, &sql, &[])?;
    let youngest = found.map(|cells| cells.integer_or_null(0)).transpose()?;
    let youngest = youngest.flatten().map(Timestamp::from_millis);
    store.memory().note_resting(youngest);
    Ok(youngest)
}

/// Whether an order on the symbol has an outcome that could not be found out, one included that is asked
/// for once more.
pub(crate) fn unsettled(
    store: &impl Store,
    product: Product,
    symbol: &Symbol,
) -> Result<bool, LedgerError> {
    select_one(
        store,
        "SELECT 1 FROM orders JOIN signal ON signal.id = orders.signal_id \
         WHERE orders.live = 1 AND orders.product = +?1 AND orders.symbol = +?2 \
         AND (orders.state = 'unknown' OR (orders.state = 'sending' AND signal.blocking = 0 \
              AND orders.closes = 0))",
        &[text(product.as_str()), text(symbol.as_str())],
    )
    .map(|row| row.is_some())
}

/// Orders on their way whose outcome is open.
pub(crate) fn in_flight(store: &impl Store) -> Result<u32, LedgerError> {
    count(
        store,
        "SELECT COUNT(*) FROM orders WHERE live = 1 AND state = 'sending'",
    )
}

/// Orders that the venue has and that are open.
pub(crate) fn resting(store: &impl Store) -> Result<u32, LedgerError> {
    count(
        store,
        "SELECT COUNT(*) FROM orders WHERE live = 1 AND state IN ('acknowledged', 'partly_filled')",
    )
}

/// Hoox's own entries that the venue has and that are open.
pub(crate) fn resting_entries(store: &impl Store) -> Result<u32, LedgerError> {
    count(
        store,
        "SELECT COUNT(*) FROM orders WHERE live = 1 AND closes = 0 AND state IN ('acknowledged', 'partly_filled')",
    )
}

/// Whether an order is carried out on a symbol, whose fills are still to be added to what is held.
/// One that waits to be sent once more counts, because it may be there already.
/// Orders that rest do not count: theirs come one by one, and each time the venue's number is taken over.
pub(crate) fn is_moving(
    store: &impl Store,
    product: Product,
    symbol: &Symbol,
) -> Result<bool, LedgerError> {
    let moving = select_one(
        store,
        "SELECT 1 FROM orders JOIN signal ON signal.id = orders.signal_id \
         WHERE orders.live = 1 AND orders.product = +?1 AND orders.symbol = +?2 AND signal.open = 1 \
         AND (orders.state = 'sending' OR (orders.state = 'planned' AND orders.sent_at IS NOT NULL) \
              OR (orders.state IN ('acknowledged', 'partly_filled') AND signal.blocking = 1))",
        &[text(product.as_str()), text(symbol.as_str())],
    )?;
    Ok(moving.is_some())
}
