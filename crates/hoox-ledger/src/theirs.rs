//! What is held on a side of a symbol and is not an exit's to close: what signals taken later, or by alerts that fired
//! later, opened there and nobody has closed since.

use hoox_model::{Decimal, Effect, PositionSide, Quantity, SignalId, Timestamp};

use crate::exit::{Exit, sum, unheard};
use crate::port::{LedgerError, Store};
use crate::row::{OrderRow, SignalRow};

/// What others hold on an exit's side.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Theirs {
    /// What of it is known.
    pub known: Quantity,
    /// What it is at most, with what may have been filled without anybody knowing.
    pub most: Quantity,
}

/// What others than `row` hold of `side`; nothing while the side is not known.
///
/// Order by order as they were sent: what a close took before a later entry opened was not that entry's. Of what was
/// closed before the exit came as much was theirs as can have been; what an exit taken before this one closes afterwards
/// is none of theirs.
pub(crate) fn theirs(
    store: &impl Store,
    row: &SignalRow,
    exit: &Exit,
    side: Option<PositionSide>,
) -> Result<Theirs, LedgerError> {
    let Some(side) = side else {
        return Ok(Theirs::default());
    };
    let (mut known, mut hidden) = (Decimal::ZERO, Decimal::ZERO);
    let since = first_sent(store, &exit.newer, exit.taken_at)?.plus_millis(-1);
    for order in OrderRow::sent_after(store, row.product, &row.symbol, since)? {
        let spec = &order.data.spec;
        let of_side = match spec.effect {
            Effect::Open => side.entry_side(),
            Effect::Close => side.exit_side(),
        };
        if order.signal_id == row.id || spec.side != of_side {
            continue;
        }
        let before = order.sent_at.is_none_or(|sent| sent < exit.taken_at);
        let newer = exit.newer.contains(&order.signal_id);
        let filled = order.data.filled.get();
        match spec.effect {
            Effect::Open if newer || is_later(store, row, &order)? => {
                known = known.saturating_add(filled);
                hidden = hidden.saturating_add(unheard(&order).get());
            }
            Effect::Close if before || is_later(store, row, &order)? => {
                known = known.saturating_sub(filled).max(Decimal::ZERO);
            }
            Effect::Open | Effect::Close => {}
        }
    }
    let known = Quantity::try_from(known).unwrap_or(Quantity::ZERO);
    let hidden = Quantity::try_from(hidden).unwrap_or(Quantity::ZERO);
    let most = sum([known, hidden].into_iter());
    Ok(Theirs { known, most })
}

/// When the first order of `newer` was sent, at the latest `taken_at`.
fn first_sent(
    store: &impl Store,
    newer: &[SignalId],
    taken_at: Timestamp,
) -> Result<Timestamp, LedgerError> {
    let mut first = taken_at;
    for id in newer {
        let orders = OrderRow::of(store, id)?;
        first = orders
            .iter()
            .filter_map(|order| order.sent_at)
            .fold(first, Timestamp::min);
    }
    Ok(first)
}

/// Whether an order's signal was taken after `row`.
fn is_later(store: &impl Store, row: &SignalRow, order: &OrderRow) -> Result<bool, LedgerError> {
    let of = SignalRow::readable(store, &order.signal_id)?;
    Ok(of.is_some_and(|of| of.seq > row.seq))
}
