//! How an exit ends, and what is told of what it leaves.

use hoox_mesh::SignalStatus;
use hoox_model::{Code, Quantity};
use hoox_risk::Refused;

use super::allowance::Exit;
use super::older::opened;
use super::orders::{MAX_TAKEN, in_doubt, taken};
use super::pace::{WAIT_LOOK_MS, next_due};
use super::plan::ExitPlan;
use super::{about, opens_after, persists, turning};
use crate::decide;
use crate::drive::Desk;
use crate::port::{LedgerError, Ports};
use crate::row::{OrderRow, OrderState, SignalRow};

impl<P: Ports> Desk<'_, P> {
    /// Ends an exit before everything was closed, with what is left.
    pub(crate) fn end_exit(
        &self,
        mut row: SignalRow,
        mut exit: Exit,
        orders: &[OrderRow],
        refused: Refused,
    ) -> Result<(SignalRow, ExitPlan), LedgerError> {
        if in_doubt(orders) {
            // What became of its orders is found out first.
            exit.next_at = self.now().plus_millis(WAIT_LOOK_MS);
            row.data.exit = Some(exit);
            row.due_at = next_due(&row, orders).unwrap_or(self.now());
            row.held_up = true;
            let told = row.data.message.clone();
            self.tell(&mut row, &refused.message);
            self.save_told(row.clone(), told.as_ref())?;
            return Ok((row, ExitPlan::Stored));
        }
        let known = exit.held.is_some();
        if known {
            self.reveal(&mut exit)?;
            self.turns(&row, &mut exit, orders)?;
        }
        let left = exit.left(orders);
        let once = refused.code == Code::Rejected && !persists(&row);
        if once && self.pending_older(&row)? {
            let text = "what an older entry may still fill is left";
            exit.leaves.get_or_insert(text.to_owned());
        }
        let small = refused.code == Code::BelowMinimum;
        let over = small
            || matches!(
                refused.code,
                Code::Stale | Code::Unavailable | Code::ExitUndone
            );
        if over && persists(&row) && taken(orders) < MAX_TAKEN && self.pending_older(&row)? {
            if small {
                // With what an older entry may yet fill it may be enough.
                row.data.message = Some(format!("not done yet: {}", refused.message));
                return self.only_wait(row, exit);
            }
            // Its deadline ends what it does about what was held. What an older entry may yet fill it still closes.
            return self.only_reveals(row, exit, orders, refused, left);
        }
        let before = exit.side.map(|side| (side, exit.owed()));
        if (over || once) && !opens_after(&row) && exit.turn_to_other_leg(self.now()) {
            // What cannot be done about one leg holds up nothing of the other.
            if !left.is_zero() {
                (exit.leg_before, exit.undone) = (before, true);
                row.data.opening_refused.get_or_insert(refused);
            }
            row.data.exit = Some(exit);
            row.due_at = self.now();
            self.save(row.clone())?;
            return Ok((row, ExitPlan::Stored));
        }
        exit.stop(orders);
        if exit.other_leg.is_some() {
            row.data.opening_refused.get_or_insert(refused.clone());
        }
        row.data.exit = Some(exit);
        if known && left.is_zero() && !orders.is_empty() {
            return Ok((row, ExitPlan::Done(None)));
        }
        if once {
            // Carried out once, as it was asked: its own outcome counts, and what is left is told.
            let (status, code, message) = outcome(&row, orders);
            self.end(row.clone(), orders, status, code, message)?;
            return Ok((row, ExitPlan::Stored));
        }
        row.data.incomplete = true;
        let text = with_rest(&row, orders, Some(refused.message));
        let unknown = orders
            .iter()
            .any(|order| order.state == OrderState::Unknown);
        let status = if unknown || refused.code == Code::Unknown {
            SignalStatus::Unknown
        } else if decide::any_filled(orders) {
            SignalStatus::PartlyFilled
        } else {
            SignalStatus::Refused
        };
        self.end(row.clone(), orders, status, Some(refused.code), text)?;
        Ok((row, ExitPlan::Stored))
    }

    /// What was held is given up, for a reason that is told at the end: from now on the exit only closes what older
    /// entries turn out to fill.
    fn only_reveals(
        &self,
        mut row: SignalRow,
        mut exit: Exit,
        orders: &[OrderRow],
        refused: Refused,
        left: Quantity,
    ) -> Result<(SignalRow, ExitPlan), LedgerError> {
        let known = exit.held.is_some();
        let refused = if known {
            refused
        } else {
            let text = format!("{}; what was held then is left", refused.message);
            Refused::new(refused.code, text)
        };
        exit.undone = !known || !left.is_zero();
        let side = about(&row, exit.whole, exit.side);
        for (id, baseline) in &mut exit.older {
            *baseline = opened(&OrderRow::of(self.store(), id)?, side);
        }
        exit.held = Some(exit.closed(orders));
        exit.given_up = if known { left } else { Quantity::ZERO };
        // What older closes have left to entries until now is given up as well.
        exit.included = match exit.side {
            Some(side) => turning::known(self.store(), &exit, side)?.0,
            None => Quantity::ZERO,
        };
        exit.revealed = Quantity::ZERO;
        if exit.undone {
            let told = with_sentences(Some(refused.message.clone()), exit.tells(orders));
            row.data.message = told.map(|told| format!("not done yet: {told}"));
            row.data.opening_refused.get_or_insert(refused);
        }
        self.only_wait(row, exit)
    }
}

/// The reason of an end, with what the exit leaves, where it ended before everything was closed. An order of it may have
/// turned out since to have closed that.
pub(crate) fn with_rest(
    row: &SignalRow,
    orders: &[OrderRow],
    message: Option<String>,
) -> Option<String> {
    let told = row.data.exit.as_ref().map(|exit| exit.tells(orders));
    with_sentences(message, told.unwrap_or_default())
}

/// A message with the sentences that it does not hold yet.
fn with_sentences(message: Option<String>, told: Vec<String>) -> Option<String> {
    told.into_iter()
        .fold(message, |message, told| match message {
            Some(message) if message.contains(&told) => Some(message),
            Some(message) => Some(format!("{message}; {told}")),
            None => Some(told),
        })
}

/// The outcome of a signal whose orders have all ended, with what its exit leaves: one that was ended before everything was
/// closed is no success, and says so, however its orders were found out.
pub(crate) fn outcome(
    row: &SignalRow,
    orders: &[OrderRow],
) -> (SignalStatus, Option<Code>, Option<String>) {
    let (status, code, message) = decide::outcome(orders);
    let exit = row.data.exit.as_ref();
    let undone = status != SignalStatus::Unknown && exit.is_some_and(|exit| exit.is_undone(orders));
    let (status, code) = match status {
        SignalStatus::Filled if undone => (SignalStatus::PartlyFilled, code),
        status => (status, code),
    };
    // One that is carried out once is done with that.
    let code = code.or((undone && persists(row)).then_some(Code::ExitUndone));
    (status, code, with_rest(row, orders, message))
}
