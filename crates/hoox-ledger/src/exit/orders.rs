//! What an exit's orders have done, may have done without anybody knowing, and may still do.

use hoox_model::{Decimal, Effect, PositionSide, Quantity, Timestamp};

use super::shown::on_side;
use super::side::Side;
use crate::decide;
use crate::drive::Desk;
use crate::journal;
use crate::port::{LedgerError, Ports};
use crate::row::{OrderRow, OrderState, SignalRow};
use crate::sending::opening_side;
use crate::theirs::{Theirs, theirs};

/// Orders of one exit that the venue took, at most; refused ones do not count.
pub(crate) const MAX_TAKEN: usize = 30;

impl<P: Ports> Desk<'_, P> {
    /// Whether an order of an exit may close what later signals or newer alerts opened: by our record less than it is for is
    /// held beyond theirs, and beyond what other closing orders may have taken.
    pub(crate) fn takes_theirs(
        &self,
        row: &SignalRow,
        order: &OrderRow,
    ) -> Result<bool, LedgerError> {
        let spec = &order.data.spec;
        let exit = row.data.exit.as_ref().filter(|_| spec.leg.is_none());
        let Some(exit) = exit else {
            return Ok(false);
        };
        // The order's own side: the exit may have been turned since.
        let side = Some(opening_side(spec.side).opposite());
        let theirs = theirs(self.store(), row, exit, side)?;
        if theirs.most.is_zero() {
            return Ok(false);
        }
        let record = journal::holding(self.store(), row.product, &row.symbol)?;
        let mut others = OrderRow::live(self.store(), row.product, &row.symbol)?;
        others.retain(|other| other.id() != order.id());
        let there = Side {
            recorded: on_side(record.as_ref(), side),
            theirs,
            unheard: hidden_closes(&others, side, None),
            ..Side::default()
        };
        Ok(spec.quantity.minus_or_zero(order.data.filled) > there.sure())
    }

    /// An exit's own orders, and beside what is `theirs` those of other signals that may come to something yet: what any of
    /// them closed without anybody knowing is in no record.
    pub(super) fn closing_beside(
        &self,
        row: &SignalRow,
        orders: &[OrderRow],
        theirs: &Theirs,
    ) -> Result<Vec<OrderRow>, LedgerError> {
        let mut all = orders.to_vec();
        if !theirs.most.is_zero() {
            let mut others = OrderRow::live(self.store(), row.product, &row.symbol)?;
            others.retain(|other| other.signal_id != row.id);
            all.append(&mut others);
        }
        Ok(all)
    }
}

/// What a signal's orders of one effect have filled.
pub(crate) fn filled(orders: &[OrderRow], effect: Effect) -> Quantity {
    sum(orders
        .iter()
        .filter(|order| order.data.spec.effect == effect)
        .map(|order| order.data.filled))
}

pub(crate) fn sum(sizes: impl Iterator<Item = Quantity>) -> Quantity {
    let total = sizes.fold(Decimal::ZERO, |sum, size| sum.saturating_add(size.get()));
    Quantity::try_from(total).unwrap_or(Quantity::ZERO)
}

/// Closing orders whose outcome is not known.
pub(super) fn in_doubt(orders: &[OrderRow]) -> bool {
    orders.iter().any(OrderRow::is_in_doubt)
}

/// Orders that the venue took.
pub(super) fn taken(orders: &[OrderRow]) -> usize {
    let took = |order: &&OrderRow| {
        // What may be there counts as well, so that a venue which never answers is not sent order after order.
        let known = order.data.venue_order_id.is_some() || order.data.doubts > 0;
        order.data.spec.effect.closes() && known && order.state != OrderState::Rejected
    };
    orders.iter().filter(took).count()
}

/// Whether an order of an exit may go out as things stand now: not an older one once another was planned in its place,
/// and no more than is left of what the exit may close.
pub(crate) fn may_go_out(row: &SignalRow, orders: &[OrderRow], order: &OrderRow) -> bool {
    let Some(exit) = row.data.exit.as_ref() else {
        return true;
    };
    let replaced = orders
        .iter()
        .any(|other| other.data.spec.effect.closes() && other.leg > order.leg);
    !replaced && order.data.spec.quantity.minus_or_zero(order.data.filled) <= exit.left(orders)
}

/// What an order may have filled without anybody knowing: it is in doubt or could not be found out, or is filled at once.
pub(crate) fn unheard(order: &OrderRow) -> Quantity {
    let at_work = matches!(
        order.state,
        OrderState::Acknowledged | OrderState::PartlyFilled
    ) && !decide::may_rest(order.data.spec.kind);
    if order.is_in_doubt() || at_work || order.state == OrderState::Unknown {
        order.data.spec.quantity.minus_or_zero(order.data.filled)
    } else {
        Quantity::ZERO
    }
}

/// What closing orders of a side that were sent after `since` may have filled without anybody knowing.
pub(super) fn hidden_closes(
    orders: &[OrderRow],
    side: Option<PositionSide>,
    since: Option<Timestamp>,
) -> Quantity {
    let hides = |order: &&OrderRow| {
        let spec = &order.data.spec;
        let of_side = side.is_none_or(|side| side.exit_side() == spec.side);
        let recent = since.is_none_or(|since| order.data.last_sent_at > Some(since));
        spec.effect.closes() && of_side && recent
    };
    sum(orders.iter().filter(hides).map(unheard))
}
