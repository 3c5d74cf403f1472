//! What rests at the venue and stands against an exit is taken back.

use futures_util::future::{Either, join_all, select};
use hoox_exchange::Venue;
use hoox_model::Effect;

use super::allowance::Exit;
use super::{about, is_target, opens_after};
use crate::decide;
use crate::drive::Desk;
use crate::journal;
use crate::port::{LedgerError, Ports};
use crate::row::{OrderRow, OrderState, SignalRow};

/// How long the close waits for the cancellations that go before it.
const CANCELS_MS: i64 = 1_000;
/// Calls that the cancellations leave: for what the plan of the close still asks, for its order and that one's look-up.
const CLOSE_CALLS: u32 = 8;

impl<P: Ports> Desk<'_, P> {
    /// What of ours rests on the symbol and stands against a full exit: entries of its side and other exits.
    pub(super) fn standing(
        &self,
        row: &SignalRow,
        exit: &Exit,
    ) -> Result<Vec<OrderRow>, LedgerError> {
        if !(exit.whole || exit.refused) {
            return Ok(Vec::new());
        }
        // A flip and a target take everything of the symbol along, a close what is of its side.
        let all = exit.whole && (opens_after(row) || is_target(row));
        let side = about(row, exit.whole, exit.side).filter(|_| !all);
        let stands = |order: &OrderRow| {
            let spec = &order.data.spec;
            let of_side = match (side, spec.effect) {
                (None, _) => true,
                (Some(side), Effect::Open) => side.entry_side() == spec.side,
                (Some(side), Effect::Close) => side.exit_side() == spec.side,
            };
            // A close with a quantity takes only exits along, and only when the venue refused it.
            of_side && (exit.whole || spec.effect.closes())
        };
        let mut standing = self.resting(row, stands)?;
        // What opens by a later signal, or by an alert that fired later, is not an older exit's to end.
        let mut later = Vec::new();
        for order in standing
            .iter()
            .filter(|order| !order.data.spec.effect.closes())
        {
            let of = SignalRow::readable(self.store(), &order.signal_id)?;
            if !exit.is_after(row.seq, &order.signal_id, of.map(|of| of.seq)) {
                later.push(order.id().clone());
            }
        }
        standing.retain(|order| !later.contains(order.id()));
        Ok(standing)
    }

    /// Asks the venue to end what stands against an exit; together, and the close follows after their answers or a second.
    pub(super) async fn cancel_resting(
        &self,
        venue: &P::Venue,
        row: &SignalRow,
        exit: &Exit,
    ) -> Result<(), LedgerError> {
        let why = format!("cancelled, because {} closes the position", row.id);
        let standing = self.standing(row, exit)?;
        self.cancel_all(venue, row, &why, standing).await
    }

    /// Hoox's resting orders on the symbol of `row` that nothing wants ended yet and that `wanted` picks, its own left out.
    pub(super) fn resting(
        &self,
        row: &SignalRow,
        wanted: impl Fn(&OrderRow) -> bool,
    ) -> Result<Vec<OrderRow>, LedgerError> {
        let mut resting = OrderRow::at_venue(self.store(), row.product, &row.symbol)?;
        resting.retain(|order| {
            order.signal_id != row.id
                && decide::may_rest(order.data.spec.kind)
                && order.data.cancel_why.is_none()
                && wanted(order)
        });
        Ok(resting)
    }

    /// Asks the venue to end those of Hoox's resting orders on the symbol of `row` that `wanted` picks. Returns how many
    /// there were.
    pub(crate) async fn cancel_orders(
        &self,
        venue: &P::Venue,
        row: &SignalRow,
        why: &str,
        wanted: impl Fn(&OrderRow) -> bool,
    ) -> Result<usize, LedgerError> {
        let resting = self.resting(row, wanted)?;
        let count = resting.len();
        self.cancel_all(venue, row, why, resting).await?;
        Ok(count)
    }

    /// Has orders ended: as many at once as there are calls for beside those of the close, the others each by its own
    /// signal's next step, by alarm where need be.
    async fn cancel_all(
        &self,
        venue: &P::Venue,
        row: &SignalRow,
        why: &str,
        mut resting: Vec<OrderRow>,
    ) -> Result<(), LedgerError> {
        if resting.is_empty() {
            return Ok(());
        }
        let now = self.now();
        let at_once = self.cancels_at_once();
        for (index, order) in resting.iter_mut().enumerate() {
            order.data.cancel_why = Some(why.to_owned());
            // From now on it is looked up by itself.
            order.data.look_at = None;
            if index < at_once {
                order.data.cancel_asked_at = Some(now);
                order.data.cancels = order.data.cancels.saturating_add(1);
            }
        }
        self.commit(|store, now| {
            journal::mark(store, self.ports.lanes())?;
            for order in &resting {
                order.update(store)?;
                journal::due_now(store, &order.signal_id, now)?;
            }
            Ok(())
        })?;
        // In the same turn as the write that names the epoch: nothing is awaited in between.
        let calls = join_all(
            resting
                .iter()
                .take(at_once)
                .map(|order| venue.cancel(row.product, &row.symbol, order.id())),
        );
        let pause = self.ports.sleep(CANCELS_MS);
        // What became of each only its look-up tells.
        match select(core::pin::pin!(calls), core::pin::pin!(pause)).await {
            Either::Left((answers, _)) => {
                for error in answers.iter().filter_map(|answer| answer.as_ref().err()) {
                    crate::drive::note_ban(self.ports, error)?;
                }
            }
            Either::Right(_) => {}
        }
        Ok(())
    }

    /// How many orders may be asked to end at once: none while the venue shuts the account out, so that each is asked for
    /// by its own signal once that is over.
    fn cancels_at_once(&self) -> usize {
        if crate::drive::shut_out(self.ports).is_some() {
            return 0;
        }
        let calls = self.ports.budget().left().saturating_sub(CLOSE_CALLS);
        usize::try_from(calls).unwrap_or(usize::MAX)
    }
}

/// Whether a full exit takes what rests along. A signal that only opens leaves it, until it is found to be a flip.
pub(super) fn cancels_all(row: &SignalRow, exit: &Exit) -> bool {
    !opens_after(row) || exit.is_sure() || is_target(row)
}

/// Whether an order rests at the venue, as far as is known.
pub(super) fn rests(order: &OrderRow) -> bool {
    let there = matches!(
        order.state,
        OrderState::Acknowledged | OrderState::PartlyFilled
    );
    there && decide::may_rest(order.data.spec.kind)
}
