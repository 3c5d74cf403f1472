//! What entries that are older than an exit turn out to have filled since it was taken.

use hoox_model::{Decimal, PositionSide, Quantity, Timestamp};

use super::allowance::Exit;
use super::clear::{cancels_all, rests};
use super::orders::{sum, unheard};
use super::shown::on_side;
use super::{about, opens_after, turning};
use crate::drive::Desk;
use crate::journal;
use crate::port::{LedgerError, Ports, Store};
use crate::row::{OrderRow, SignalRow};

/// How long an exit lives for what an older entry's outcome reveals.
const REVEALED_MS: i64 = 600_000;

impl<P: Ports> Desk<'_, P> {
    /// Whether an older entry that an exit waits for has filled more, or has an outcome now.
    pub(super) fn has_news(&self, row: &SignalRow, exit: &Exit) -> Result<bool, LedgerError> {
        let mut known = exit.clone();
        self.reveal(&mut known)?;
        let orders = OrderRow::of(self.store(), &row.id)?;
        Ok(known.revealed > exit.revealed
            || !self.pending_older(row)?
            || self.turned(row, exit, &orders)?.is_some())
    }

    /// The exit of the other side, where the action names none and older entries have filled there what it has not closed:
    /// they may have turned what was held. Of that side it held nothing, unless it was turned before.
    pub(super) fn turned(
        &self,
        row: &SignalRow,
        exit: &Exit,
        orders: &[OrderRow],
    ) -> Result<Option<Exit>, LedgerError> {
        let Some(side) = exit.side.filter(|_| !exit.hedged) else {
            return Ok(None);
        };
        if !exit.whole || about(row, true, Some(side)).is_some() {
            return Ok(None);
        }
        let mut other = exit.clone();
        other.side = Some(side.opposite());
        (other.held, other.held_before) = (Some(exit.held_before), exit.held.unwrap_or_default());
        (other.included, other.included_before) = (exit.included_before, exit.included);
        other.revealed = Quantity::ZERO;
        self.reveal(&mut other)?;
        let more = |other: &Exit| !other.revealed.is_zero() && !other.left(orders).is_zero();
        let left = exit.left(orders);
        if more(&other) && !left.is_zero() {
            // What opened the other side took away first what was left of this one. Our record, which counts every fill,
            // says how much is surely there: another exit may have closed that before.
            let record = journal::holding(self.store(), row.product, &row.symbol)?;
            let surely = on_side(record.as_ref(), other.side);
            // Nor what another order may have closed of it without anybody knowing.
            let live = OrderRow::live(self.store(), row.product, &row.symbol)?;
            let closes = |order: &&OrderRow| {
                let spec = &order.data.spec;
                let of_side = spec.effect.closes() && spec.side == side.exit_side();
                of_side && order.signal_id != row.id
            };
            let hidden = sum(live.iter().filter(closes).map(unheard));
            // Beyond what our record showed of this side is already what older closes have left to entries.
            let (beyond, _) = turning::known(self.store(), &other, side.opposite())?;
            let off = left
                .min(other.left(orders).minus_or_zero(surely))
                .minus_or_zero(hidden)
                .min(other.revealed.minus_or_zero(beyond));
            let held = off.min(other.held_before);
            other.held_before = other.held_before.minus_or_zero(held);
            other.included_before =
                sum([other.included_before, off.minus_or_zero(held)].into_iter());
            other.included = sum([other.included, off].into_iter());
            other.revealed = other.revealed.minus_or_zero(off);
        }
        Ok(more(&other).then_some(other))
    }

    /// Goes over to the other side where older entries have turned what was held and nothing of this one is left. That is
    /// kept from then on, whatever the position would show or whether it can be read: what they turned out to have filled
    /// there has the life of what an outcome reveals, and is told where it is left.
    pub(super) fn turns(
        &self,
        row: &SignalRow,
        exit: &mut Exit,
        orders: &[OrderRow],
    ) -> Result<(), LedgerError> {
        let Some(turned) = self.turned(row, exit, orders)? else {
            return Ok(());
        };
        exit.lives_until = exit.lives_until.max(turned.lives_until);
        let record = journal::holding(self.store(), row.product, &row.symbol)?;
        if exit.left(orders).is_zero() && !on_side(record.as_ref(), turned.side).is_zero() {
            *exit = turned;
        }
        Ok(())
    }

    /// Adds what older entries turned out to have filled since. Where neither the action nor what was held named a side,
    /// the first of those fills does.
    pub(super) fn reveal(&self, exit: &mut Exit) -> Result<(), LedgerError> {
        reveal(self.store(), exit, self.now())
    }

    /// The closing leg of a flip that was done and has opened nothing yet, where older entries have turned out since to have
    /// filled what it has to close, or, where a position `shows` that something is held, may have.
    pub(crate) fn reopened(
        &self,
        row: &SignalRow,
        orders: &[OrderRow],
        shows: bool,
    ) -> Result<Option<Exit>, LedgerError> {
        let done = row.data.exit.as_ref();
        let done = done.filter(|exit| exit.done && exit.whole && !exit.undone);
        let Some(mut exit) = done.filter(|_| opens_after(row)).cloned() else {
            return Ok(None);
        };
        self.reveal(&mut exit)?;
        let revealed = !exit.revealed.is_zero() && !exit.left(orders).is_zero();
        if self.now() > exit.lives_until
            || !(revealed || (shows && self.is_older_open(row, true)?))
        {
            return Ok(None);
        }
        (exit.done, exit.waits, exit.next_at) = (false, false, self.now());
        Ok(Some(exit))
    }

    /// Whether the next plan of an exit calls nobody: it only waits for older entries, and neither is there news of one nor
    /// anything to take back.
    pub(crate) fn only_waits(&self, row: &SignalRow) -> Result<bool, LedgerError> {
        let exit = row.data.exit.as_ref();
        let Some(exit) = exit.filter(|exit| row.closing && !exit.done) else {
            return Ok(false);
        };
        if !exit.waits {
            // Or it has closed what was its own, and only waits for an order of its own in doubt.
            let orders = OrderRow::of(self.store(), &row.id)?;
            let closed = exit.held.is_some() && !exit.closed(&orders).is_zero();
            if !closed || !exit.left(&orders).is_zero() {
                return Ok(false);
            }
        }
        if self.has_news(row, exit)? {
            return Ok(false);
        }
        Ok(!cancels_all(row, exit) || self.standing(row, exit)?.is_empty())
    }

    /// Whether an entry that was taken before has no outcome yet.
    pub(super) fn pending_older(&self, row: &SignalRow) -> Result<bool, LedgerError> {
        let exit = row.data.exit.as_ref();
        let cancels = exit.is_some_and(|exit| cancels_all(row, exit));
        self.is_older_open(row, cancels)
    }

    /// Whether an entry that was taken before is open, or a close that may have left something to one. What rests and is to
    /// be left alone counts only where `resting`.
    pub(super) fn is_older_open(
        &self,
        row: &SignalRow,
        resting: bool,
    ) -> Result<bool, LedgerError> {
        let Some(exit) = &row.data.exit else {
            return Ok(false);
        };
        if !exit.whole {
            return Ok(false);
        }
        let side = about(row, exit.whole, exit.side);
        if turning::is_open(self.store(), exit, side)? {
            return Ok(true);
        }
        for (id, _) in &exit.older {
            let Some(older) = SignalRow::readable(self.store(), id)? else {
                continue;
            };
            if !older.open || older.status.is_final() {
                continue;
            }
            let opens = |order: &OrderRow| {
                let left_alone = rests(order) && order.data.cancel_why.is_none() && !resting;
                opens_side(order, side) && !order.state.is_final() && !left_alone
            };
            if OrderRow::of(self.store(), id)?.iter().any(opens) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Adds to an exit what older entries have turned out to have filled since.
pub(crate) fn reveal(
    store: &impl Store,
    exit: &mut Exit,
    now: Timestamp,
) -> Result<(), LedgerError> {
    let sides = match exit.side {
        Some(side) => vec![side],
        None if exit.held.is_some() => vec![PositionSide::Long, PositionSide::Short],
        None => Vec::new(),
    };
    for side in sides {
        let mut revealed = Decimal::ZERO;
        // When that was heard of last.
        let mut heard = None;
        for (id, baseline) in &exit.older {
            let orders = OrderRow::of(store, id)?;
            let seen = orders.iter().filter(|order| opens_side(order, Some(side)));
            heard = seen.filter_map(|order| order.data.seen_at).max().max(heard);
            let now_filled = opened(&orders, Some(side));
            revealed = revealed.saturating_add(now_filled.minus_or_zero(*baseline).get());
        }
        let (turned, since) = turning::known(store, exit, side)?;
        revealed = revealed.saturating_add(turned.get());
        heard = heard.max(since);
        let revealed = Quantity::try_from(revealed)
            .unwrap_or(exit.revealed)
            .minus_or_zero(exit.included);
        if revealed > exit.revealed {
            exit.side = Some(side);
            exit.revealed = revealed;
            if exit.whole {
                let since = heard.unwrap_or(now);
                exit.lives_until = exit.lives_until.max(since.plus_millis(REVEALED_MS));
            }
        }
    }
    Ok(())
}

/// Whether what a signal has to close is surely held by now: by what was known when its exit was planned last, or because
/// an older entry has turned out since to have filled, and our record shows it. No plan has to have seen that: it is what
/// gives a flip the right to one in a pause.
pub(crate) fn is_sure_by_now(
    store: &impl Store,
    row: &SignalRow,
    exit: &Exit,
) -> Result<bool, LedgerError> {
    if exit.is_sure() {
        return Ok(true);
    }
    let side = about(row, exit.whole, exit.side);
    let mut filled = turning::any_known(store, exit, side)?;
    for (id, baseline) in &exit.older {
        filled = filled || opened(&OrderRow::of(store, id)?, side) > *baseline;
    }
    if !filled {
        return Ok(false);
    }
    let record = journal::holding(store, row.product, &row.symbol)?;
    Ok(exit.recorded(record.as_ref()).is_some())
}

/// What orders filled that open `side`, or either side.
pub(crate) fn opened(orders: &[OrderRow], side: Option<PositionSide>) -> Quantity {
    let opens = |order: &&OrderRow| opens_side(order, side);
    sum(orders.iter().filter(opens).map(|order| order.data.filled))
}

fn opens_side(order: &OrderRow, side: Option<PositionSide>) -> bool {
    let spec = &order.data.spec;
    !spec.effect.closes() && side.is_none_or(|side| side.entry_side() == spec.side)
}
