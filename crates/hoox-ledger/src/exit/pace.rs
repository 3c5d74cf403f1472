//! When an exit goes on, and what is told while it is not done.

use hoox_exchange::{ErrorClass, VenueError};
use hoox_model::Timestamp;

use super::allowance::Exit;
use super::orders::in_doubt;
use super::plan::{ExitPlan, UNREAD_MS};
use super::{opens_after, persists};
use crate::drive::Desk;
use crate::journal;
use crate::port::{LedgerError, Ports};
use crate::row::{OrderRow, SignalRow};
use crate::sending::venue_words;

/// How long after the send of an order in doubt a full exit is planned again.
pub(crate) const DOUBT_MS: i64 = 5_000;

/// When an exit that is not done is told.
pub(crate) const TOLD_MS: i64 = 10_000;

/// How soon an exit that waits for an older entry looks again by itself; that entry wakes it before.
pub(super) const WAIT_LOOK_MS: i64 = 30_000;

impl<P: Ports> Desk<'_, P> {
    /// The venue did not answer: the exit goes on later.
    pub(super) async fn exit_failed(
        &self,
        venue: &P::Venue,
        mut row: SignalRow,
        mut exit: Exit,
        error: &VenueError,
    ) -> Result<(SignalRow, ExitPlan), LedgerError> {
        if opens_after(&row) && !exit.may_hold() {
            // Nothing is known to be held that it would have to close: it is an entry.
            let orders = OrderRow::of(self.store(), &row.id)?;
            row.data.exit = Some(exit);
            self.plan_failed(venue, row.clone(), &orders, error.clone())
                .await?;
            return Ok((row, ExitPlan::Stored));
        }
        if error.class == ErrorClass::UnknownSymbol && !exit.is_sure() && exit.record.is_none() {
            let refused = self.unlisted(venue, &row, error).await?;
            return self.end_exit(row, exit, &[], refused);
        }
        let synced = crate::drive::put_clock_right(self.ports, venue, error).await?;
        let now = self.now();
        if synced && exit.tries == 0 {
            exit.tries = 1;
            exit.next_at = now;
        } else {
            exit.back_off(now);
        }
        // From then on our record is good enough.
        let by_record = exit.unread_since.map(|since| since.plus_millis(UNREAD_MS));
        if let Some(at) = by_record.filter(|at| *at > now) {
            exit.next_at = exit.next_at.min(at);
        }
        row.data.exit = Some(exit);
        self.put_exit_off(&mut row, &venue_words(error))?;
        Ok((row, ExitPlan::Stored))
    }

    /// Puts the next step of an exit off to when it may be taken, by its own pace and that of a pause or ban, and says
    /// why. The one way a plan that came to nothing does that.
    pub(super) fn put_exit_off(&self, row: &mut SignalRow, why: &str) -> Result<(), LedgerError> {
        row.held_up = true;
        row.due_at = self.exit_due(row)?;
        self.tell(row, why);
        self.tell_ban(row)?;
        self.save(row.clone())
    }

    /// Says at once that the venue shuts the account out, and until when: nobody can hurry it.
    pub(crate) fn tell_ban(&self, row: &mut SignalRow) -> Result<(), LedgerError> {
        let until = crate::drive::banned_until(self.ports)?;
        if until > self.now() {
            row.data.message = Some(format!(
                "not done yet: the venue shuts this account out until {until}"
            ));
        }
        Ok(())
    }

    /// When an exit goes on: by its own pace, and by that of a pause.
    pub(crate) fn exit_due(&self, row: &SignalRow) -> Result<Timestamp, LedgerError> {
        let store = self.store();
        let now = self.now();
        let Some(exit) = &row.data.exit else {
            return Ok(now);
        };
        let mut due = exit.next_at;
        if journal::venue_pause(store)? > now {
            let probe = journal::exit_probe(store)?;
            due = due.max(crate::drive::turn(row, probe, now));
        }
        due = due.max(crate::drive::banned_until(self.ports)?);
        Ok(due.min(exit.lives_until.plus_millis(1)))
    }

    /// Says why an exit is not done, once it has lasted long enough that somebody should know.
    pub(crate) fn tell(&self, row: &mut SignalRow, why: &str) {
        let now = self.now();
        let Some(exit) = &mut row.data.exit else {
            return;
        };
        exit.told = Some(why.to_owned());
        let due = exit.taken_at.plus_millis(TOLD_MS);
        if exit.waits {
            return;
        }
        if now >= due {
            row.data.message = Some(format!("not done yet: {why}"));
        } else if row.due_at > due {
            row.due_at = due;
        }
    }

    /// From now on an exit only waits for what older entries turn out to have filled.
    pub(super) fn only_wait(
        &self,
        mut row: SignalRow,
        mut exit: Exit,
    ) -> Result<(SignalRow, ExitPlan), LedgerError> {
        exit.waits = true;
        exit.next_at = self.now().plus_millis(WAIT_LOOK_MS);
        row.blocking = opens_after(&row) && self.now() <= row.deadline;
        row.due_at = exit.next_at;
        row.held_up = true;
        row.data.exit = Some(exit);
        self.save(row.clone())?;
        Ok((row, ExitPlan::Stored))
    }
}

/// When an exit with `orders` is planned again; `None` while one of them is still to be followed.
pub(crate) fn plan_at(row: &SignalRow, orders: &[OrderRow]) -> Option<Timestamp> {
    let exit = row.data.exit.as_ref()?;
    // The outcome of an older entry wakes an exit that only waits for one, by its row's own time.
    let mut at = if exit.waits {
        exit.next_at.min(row.due_at)
    } else {
        exit.next_at
    };
    if !exit.waits && !in_doubt(orders) {
        // Its end is told in time.
        at = at.min(exit.lives_until.plus_millis(1));
    }
    for order in orders
        .iter()
        .filter(|order| order.data.spec.effect.closes())
    {
        if order.state.is_final() {
            continue;
        }
        if !(exit.whole && order.is_in_doubt() && persists(row)) {
            return None;
        }
        let sent = order.sent_at.unwrap_or(order.data.created_at);
        at = at.max(sent.plus_millis(DOUBT_MS));
    }
    Some(at)
}

/// The earliest moment at which anything of a signal's exit is to be done.
pub(crate) fn next_due(row: &SignalRow, orders: &[OrderRow]) -> Option<Timestamp> {
    // What was never looked up is due at once.
    let looks = orders
        .iter()
        .filter(|order| !order.state.is_final())
        .map(|order| order.data.look_at.unwrap_or(order.data.created_at));
    looks.chain(plan_at(row, orders)).min()
}
