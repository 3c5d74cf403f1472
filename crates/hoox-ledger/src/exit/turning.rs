//! What a close that was taken before an exit has left to the entries behind it, once its fill is heard of.
//!
//! A long position of ours is closed, and nobody hears of that; an entry of the same order side arrives after it and is heard
//! of first. Our record counts it off the long that is gone, while at the venue it has opened a short. An exit of shorts that
//! is taken then finds nothing in our record. Its allowance gains what those entries have opened, as far as the older close
//! turns out to have filled more than our record showed beside them, and never more than they had filled by then: what
//! somebody opens by hand meanwhile is not in it.

use hoox_model::{PositionSide, Quantity, SignalId, Timestamp};
use serde::{Deserialize, Serialize};

use super::about;
use super::allowance::{Exit, closed_on};
use super::orders::sum;
use super::shown::{BELIEVED_MS, on_side};
use crate::decide::{self, LOOK_UP_MS};
use crate::journal::Holding;
use crate::port::{LedgerError, Store};
use crate::row::{OrderRow, OrderState, SignalRow};

/// So many older exits with orders that are not heard of are followed.
const MOST: usize = 16;

/// Closes of one side that nobody had heard the end of when an exit was taken, and what entries behind them had filled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Turning {
    /// The side that the entries opened, where the closes came first.
    pub side: PositionSide,
    /// The exits, with what their orders were known to have closed.
    pub exits: Vec<(SignalId, Quantity)>,
    /// What else those may have closed: what our record showed there beside the entries, and what other entries may have
    /// brought there without anybody knowing.
    pub held: Quantity,
    /// What the entries had filled: no more was turned.
    pub opened: Quantity,
}

impl Turning {
    /// What the entries opened on their side, once the exits have turned out to have closed so much more.
    fn turned(&self, closed: Quantity) -> Quantity {
        closed.minus_or_zero(self.held).min(self.opened)
    }

    /// What is known to have been turned, and when that was heard of last.
    fn known(&self, store: &impl Store) -> Result<(Quantity, Option<Timestamp>), LedgerError> {
        let (mut closed, mut heard) = (Quantity::ZERO, None);
        for (id, before) in &self.exits {
            let orders = OrderRow::of(store, id)?;
            let more = closed_on(Some(self.side.opposite()), &orders).minus_or_zero(*before);
            closed = sum([closed, more].into_iter());
            heard = orders
                .iter()
                .filter_map(|order| order.data.seen_at)
                .max()
                .max(heard);
        }
        Ok((self.turned(closed), heard))
    }

    /// Whether an order of the exits may still turn out to have closed more. What rests is known once it was looked at long
    /// enough after the exit that waits for it was taken.
    fn is_open(&self, store: &impl Store, taken_at: Timestamp) -> Result<bool, LedgerError> {
        let looked = taken_at.plus_millis(BELIEVED_MS);
        for (id, _) in &self.exits {
            let open = |order: &OrderRow| {
                let rests = decide::may_rest(order.data.spec.kind) && !order.is_in_doubt();
                let known = rests && order.data.seen_at > Some(looked);
                closes(order, self.side) && !order.state.is_final() && !known
            };
            if OrderRow::of(store, id)?.iter().any(open) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Whether an order takes away what entries of `side` would turn, and may have filled without anybody knowing.
fn closes(order: &OrderRow, side: PositionSide) -> bool {
    let spec = &order.data.spec;
    spec.effect.closes() && spec.leg.is_none() && spec.side == side.entry_side()
}

/// Notes what older closes may have left to entries, by our record at the moment from which an exit counts; nothing where
/// there is no such close, or where it is too small.
pub(crate) fn note(
    store: &impl Store,
    row: &SignalRow,
    exit: &mut Exit,
    record: Option<&Holding>,
) -> Result<(), LedgerError> {
    exit.turning.clear();
    if !exit.whole || exit.hedged {
        return Ok(());
    }
    let live = OrderRow::live(store, row.product, &row.symbol)?;
    let about = about(row, true, exit.side);
    let sides = about.map_or_else(
        || vec![PositionSide::Long, PositionSide::Short],
        |side| vec![side],
    );
    for side in sides {
        exit.turning
            .extend(of_side(store, row, exit, record, &live, side)?);
    }
    Ok(())
}

fn of_side(
    store: &impl Store,
    row: &SignalRow,
    exit: &Exit,
    record: Option<&Holding>,
    live: &[OrderRow],
    side: PositionSide,
) -> Result<Option<Turning>, LedgerError> {
    let is_older = |id: &SignalId| {
        let of = SignalRow::readable(store, id)?;
        Ok::<_, LedgerError>(of.is_some_and(|of| exit.is_after(row.seq, id, Some(of.seq))))
    };
    let mut exits: Vec<(SignalId, Quantity)> = Vec::new();
    let (mut unheard, mut first) = (Quantity::ZERO, None);
    for order in live {
        let sent = order.sent_at.filter(|_| order.state != OrderState::Unknown);
        let Some(sent) = sent.filter(|_| closes(order, side)) else {
            continue;
        };
        if !is_older(&order.signal_id)? {
            continue;
        }
        let may = order.data.spec.quantity.minus_or_zero(order.data.filled);
        unheard = sum([unheard, may].into_iter());
        first = Some(first.map_or(sent, |first: Timestamp| first.min(sent)));
        if exits.len() < MOST && exits.iter().all(|(id, _)| *id != order.signal_id) {
            let orders = OrderRow::of(store, &order.signal_id)?;
            let closed = closed_on(Some(side.opposite()), &orders);
            exits.push((order.signal_id.clone(), closed));
        }
    }
    let Some(first) = first else {
        return Ok(None);
    };
    // What another entry may have brought there unheard they may have closed as well.
    let brought = live.iter().filter(|order| {
        let spec = &order.data.spec;
        !spec.effect.closes() && spec.leg.is_none() && spec.side == side.exit_side()
    });
    let brought =
        sum(brought.map(|order| order.data.spec.quantity.minus_or_zero(order.data.filled)));
    let held = sum([on_side(record, Some(side.opposite())), brought].into_iter());
    if unheard.minus_or_zero(held).is_zero() {
        // They have left nothing, whatever was opened behind them.
        return Ok(None);
    }
    let mut opened = Quantity::ZERO;
    let since = first.plus_millis(LOOK_UP_MS.saturating_neg());
    for order in OrderRow::sent_after(store, row.product, &row.symbol, since)? {
        let spec = &order.data.spec;
        let opens = !spec.effect.closes() && spec.leg.is_none() && spec.side == side.entry_side();
        // What had ended before the first of the closes was sent came before it.
        let behind = opens && !order.data.filled.is_zero() && order.data.updated_at >= first;
        if behind && is_older(&order.signal_id)? {
            opened = sum([opened, order.data.filled].into_iter());
        }
    }
    let turning = Turning {
        side,
        exits,
        held,
        opened,
    };
    Ok((!turning.turned(unheard).is_zero()).then_some(turning))
}

/// What of `side` older closes are known to have left to entries, and when that was heard of last.
pub(super) fn known(
    store: &impl Store,
    exit: &Exit,
    side: PositionSide,
) -> Result<(Quantity, Option<Timestamp>), LedgerError> {
    match exit.turning.iter().find(|of| of.side == side) {
        Some(turning) => turning.known(store),
        None => Ok((Quantity::ZERO, None)),
    }
}

/// Whether anything of `about`, or of either side, is known to have been left to entries.
pub(super) fn any_known(
    store: &impl Store,
    exit: &Exit,
    about: Option<PositionSide>,
) -> Result<bool, LedgerError> {
    any(exit, about, |turning| {
        Ok(!turning.known(store)?.0.is_zero())
    })
}

fn any(
    exit: &Exit,
    about: Option<PositionSide>,
    is: impl Fn(&Turning) -> Result<bool, LedgerError>,
) -> Result<bool, LedgerError> {
    let of_side = |of: &&Turning| about.is_none_or(|side| side == of.side);
    for turning in exit.turning.iter().filter(of_side) {
        if is(turning)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether a close that was taken before an exit may still turn out to have left something to entries.
pub(super) fn is_open(
    store: &impl Store,
    exit: &Exit,
    about: Option<PositionSide>,
) -> Result<bool, LedgerError> {
    any(exit, about, |turning| turning.is_open(store, exit.taken_at))
}

#[cfg(test)]
mod tests {
    use hoox_model::Decimal;
    use proptest::prelude::*;

    use super::*;

    fn size(milli: u32) -> Quantity {
        Quantity::try_from(Decimal::new(i64::from(milli), 3)).unwrap()
    }

    proptest! {
        #[test]
        fn no_more_was_turned_than_entries_filled_nor_than_was_closed_beyond_our_record(
            held in 0u32..5_000, opened in 0u32..5_000, closed in 0u32..5_000
        ) {
            let turning = Turning { side: PositionSide::Short, exits: Vec::new(), held: size(held), opened: size(opened) };
            let turned = turning.turned(size(closed));
            prop_assert_eq!(turned, size(closed.saturating_sub(held).min(opened)));
        }
    }
}
