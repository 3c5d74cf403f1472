//! The plan of an exit: what is closed now, or that nothing is left.

use hoox_exchange::{ErrorClass, Venue, VenueError};
use hoox_mesh::{KillMode, SignalStatus};
use hoox_model::{Code, Decimal, Effect, Instrument, OrderKind, PositionSide, Quantity, Timestamp};
use hoox_risk::{Refused, closing_leg, closing_quantity};
use hoox_signal::Sizing;

use super::allowance::Exit;
use super::clear::cancels_all;
use super::orders::{MAX_TAKEN, filled, hidden_closes, in_doubt, sum, taken};
use super::pace::{WAIT_LOOK_MS, next_due};
use super::shown::{BELIEVED_MS, Shown, held_now, lags, on_side};
use super::side::Side;
use super::{opens_after, persists};
use crate::drive::Desk;
use crate::journal::{self, Holding};
use crate::planning::new_order;
use crate::port::{LedgerError, Ports};
use crate::row::{Fences, OrderRow, OrderState, SignalRow};
use crate::sending::venue_words;
use crate::theirs::theirs;

/// Orders of one signal in all, so that ids stay short.
const MAX_ORDERS: usize = 900;

/// How long a position that cannot be read holds an exit up.
pub(super) const UNREAD_MS: i64 = 5_000;

/// Whether the venue was asked for its rules, and answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Called {
    No,
    Answered,
    Failed,
}

/// What an exit's plan came to.
pub(crate) enum ExitPlan {
    /// The step has ended: an order is stored, or the next try is set.
    Stored,
    /// Nothing is left to close; the position by which that was found out, where one was read.
    Done(Option<Shown>),
}

impl<P: Ports> Desk<'_, P> {
    /// One step of an exit that has no order to send or to follow: plans the next one, or finds that
    /// nothing is left.
    #[expect(
        clippy::too_many_lines,
        reason = "one plan, in the order in which things are found out"
    )]
    pub(crate) async fn plan_exit(
        &self,
        venue: &P::Venue,
        mut row: SignalRow,
        orders: &[OrderRow],
    ) -> Result<(SignalRow, ExitPlan), LedgerError> {
        let Some(mut exit) = row.data.exit.clone() else {
            return Ok((row, ExitPlan::Done(None)));
        };
        let now = self.now();
        let over = now > exit.lives_until;
        if exit.held.is_some() {
            self.reveal(&mut exit)?;
            self.turns(&row, &mut exit, orders)?;
        }
        if over && now <= exit.lives_until {
            // An older entry's outcome gave it a life again. That is stored first, because what was over waited for no
            // pause; what was revealed is news still.
            if let Some(stored) = &mut row.data.exit {
                stored.lives_until = exit.lives_until;
            }
            row.due_at = now;
            self.save_due(&row)?;
            return Ok((row, ExitPlan::Stored));
        }
        if let Some(refused) = self.exit_stops(&row, &exit, orders, now)? {
            return self.end_exit(row, exit, orders, refused);
        }
        let flip = opens_after(&row);
        if cancels_all(&row, &exit) {
            // What came to rest since the last look as well.
            self.cancel_resting(venue, &row, &exit).await?;
        }
        let stored = row.data.exit.as_ref().filter(|stored| stored.waits);
        let news = match stored.filter(|_| row.closing) {
            Some(stored) => self.has_news(&row, stored)?,
            None => true,
        };
        if !news {
            exit.next_at = now.plus_millis(WAIT_LOOK_MS);
            row.due_at = exit.next_at;
            row.data.exit = Some(exit);
            row.due_at = next_due(&row, orders).unwrap_or(row.due_at);
            // Nothing waits for it meanwhile.
            row.held_up = true;
            self.save_due(&row)?;
            return Ok((row, ExitPlan::Stored));
        }
        if exit.held.is_some() {
            self.reveal(&mut exit)?;
            self.turns(&row, &mut exit, orders)?;
            let left = exit.left(orders);
            let closed = !exit.closed(orders).is_zero();
            let turned = self.turned(&row, &exit, orders)?.is_some();
            // Who had something to close, and has closed it, needs no more look at the position.
            if left.is_zero() && !turned && (closed || exit.waits || self.pending_older(&row)?) {
                row.data.exit = Some(exit);
                return self.nothing_left(row, orders, None, left);
            }
            // From here on it has a life again.
            exit.waits = false;
        }
        if !row.blocking && journal::is_held_by_older(self.store(), &row, now)? {
            // It only waited, so nothing waited for it: from now on it is in its turn again, after what is being closed.
            row.blocking = true;
            row.due_at = now;
            row.data.exit = Some(exit);
            self.save_due(&row)?;
            return Ok((row, ExitPlan::Stored));
        }
        // What the venue refused is tried again by what it says then.
        let anew = orders
            .last()
            .is_some_and(|order| order.state == OrderState::Rejected);
        let (rules, unknown, called) = self.exit_rules(venue, &row, anew).await?;
        if called == Called::Answered && self.is_paused()? {
            // That was the one call of a pause.
            row.data.exit = Some(exit);
            let why = "the venue is left alone for a while, because it limits or fails";
            self.put_exit_off(&mut row, why)?;
            return Ok((row, ExitPlan::Stored));
        }
        let record = journal::holding(self.store(), row.product, &row.symbol)?;
        let asked = self.now();
        let first = !core::mem::replace(&mut exit.asked, true);
        let doubt = in_doubt(orders);
        // What goes only by the close of all that the venue shows is read, however long that takes.
        let dust = is_dust(venue, &exit, orders, record.as_ref(), rules.as_ref());
        // So does only a position show what an order of its own closed that could not be found out: beside what is theirs
        // reduce-only does not keep that from being closed twice.
        let lost = !doubt && !hidden_closes(orders, exit.side, None).is_zero();
        let beside = lost && !theirs(self.store(), &row, &exit, exit.side)?.most.is_zero();
        let read = doubt || dust || beside;
        let anew = anew && called != Called::Failed;
        let mut unread = None;
        let shown = match self.exit_position(venue, &row, &exit, read || anew).await? {
            Ok(shown) => {
                exit.unread_since = None;
                Some(shown)
            }
            Err(error) if error.code == VenueError::HEDGE_MODE => {
                let refused = Refused::new(Code::Rejected, venue_words(&error));
                self.end_plan(row.clone(), orders, refused)?;
                return Ok((row, ExitPlan::Stored));
            }
            Err(error) => {
                // A symbol that is not listed is mostly refused as a parameter where its position is asked for.
                let error = match unknown {
                    Some(unknown) if error.class == ErrorClass::Rejected => unknown,
                    _ => error,
                };
                let since = *exit.unread_since.get_or_insert(asked);
                let by_record = matches!(error.class, ErrorClass::RateLimited)
                    || self.now().since(since) >= UNREAD_MS;
                // Without a record of anything it waits: only a position that was read shows that nothing is held.
                // What an order of its own in doubt has closed only a position shows, or one that could not be found out.
                let recorded = !read && exit.recorded(record.as_ref()).is_some();
                if error.class == ErrorClass::Banned || !by_record || !recorded {
                    return self.exit_failed(venue, row, exit, &error).await;
                }
                unread = Some(error);
                None
            }
        };
        self.basis(
            &row,
            &mut exit,
            shown.as_ref(),
            record.as_ref(),
            asked,
            first,
        )?;
        if exit.other_leg.is_some() && !exit.whole {
            let text = "both legs of the symbol are held, so a close with a quantity names the one: CLOSE_LONG or CLOSE_SHORT";
            let refused = Refused::new(Code::BadField, text);
            return self.end_exit(row, exit, orders, refused);
        }
        self.reveal(&mut exit)?;
        if let Some(turned) = self.turned(&row, &exit, orders)? {
            let (_, there) = held_now(&turned, shown.as_ref(), record.as_ref(), asked);
            if !there.is_zero() {
                exit = turned;
            }
        }
        let (side, at_venue) = held_now(&exit, shown.as_ref(), record.as_ref(), asked);
        let price = self
            .exit_size(venue, &row, &mut exit, rules.as_ref(), at_venue)
            .await?;
        if let Err(error) = price {
            return self.exit_failed(venue, row, exit, &error).await;
        }
        if let Some(refused) = price.ok().flatten() {
            return self.end_exit(row, exit, orders, refused);
        }
        let left = exit.left(orders);
        let theirs = theirs(self.store(), &row, &exit, exit.side)?;
        let closing = self.closing_beside(&row, orders, &theirs)?;
        // What may have been closed without anybody knowing is in no record, and in a position only once that no longer lags.
        let since = asked.plus_millis(BELIEVED_MS.saturating_neg());
        let lags = lags(shown.as_ref(), record.as_ref(), asked);
        let there = Side {
            held: at_venue,
            recorded: on_side(record.as_ref(), side),
            theirs,
            unheard: hidden_closes(&closing, side, None),
            unshown: hidden_closes(&closing, side, Some(since)),
            lags,
        };
        let reachable = there.own();
        let wanted = left.min(reachable);
        let more = reachable.minus_or_zero(left);
        let asked_for = match exit.quantity {
            Some(quantity) if !exit.whole => {
                quantity.minus_or_zero(sum([exit.closed(orders), left].into_iter()))
            }
            _ => more,
        };
        let more = more.min(asked_for);
        exit.more = more;
        // Whose it is, and whether it is there, shows when the later order has an outcome and the position no longer lags.
        let undecided = there.is_contested(left) || (lags && !more.is_zero());
        let small = rules
            .as_ref()
            .is_some_and(|rules| !wanted.is_zero() && wanted < rules.min_quantity)
            && persists(&row);
        let dust = small && closes_all(venue, &exit);
        if let Some(error) = unread.filter(|_| small) {
            // By our record it is not all that is held, or nobody knows: only a position shows that so little is.
            return self.exit_failed(venue, row, exit, &error).await;
        }
        let unheard = flip && !more.is_zero() && self.is_older_open(&row, true)?;
        if flip && (!wanted.is_zero() || unheard) {
            // It turned out to be a flip only now, or an entry of ours that rests may have filled what is shown beyond our
            // record: what rests is taken back, and its outcome tells.
            self.cancel_resting(venue, &row, &exit).await?;
        }
        row.data.exit = Some(exit);
        // A position is taken over into our record that does not lag behind our fills.
        let read = shown.as_ref().filter(|shown| !shown.hedged);
        let noted = read
            .filter(|_| !lags && !unheard)
            .map(|shown| journal::signed(&shown.position));
        let Some(side) = side.filter(|_| !wanted.is_zero()) else {
            // What is opened next has it written anyway.
            let known = opens_after(&row)
                && record
                    .is_some_and(|known| Some(known.quantity) == noted && known.beyond.is_zero());
            if let Some(signed) = noted.filter(|_| !known) {
                self.commit(|store, now| {
                    journal::note_position(store, row.product, &row.symbol, signed, now).map(|_| ())
                })?;
            }
            let shown = shown.filter(|_| !undecided);
            return self.nothing_left(row, orders, shown, left);
        };
        if dust && lags && wanted < at_venue {
            // It goes by the close of all, once the position shows no more than that.
            if let Some(exit) = &mut row.data.exit {
                exit.back_off(now);
            }
            self.put_exit_off(&mut row, "the position does not show the latest fill yet")?;
            return Ok((row, ExitPlan::Stored));
        }
        self.store_exit(
            row,
            orders,
            side,
            wanted,
            wanted == at_venue,
            rules.as_ref(),
            shown.as_ref(),
            noted,
            venue,
        )
        .await
    }

    /// What ends an exit whatever is held: the mode that stops everything, its sender's revocation, its
    /// deadline, its number of orders, or that it goes out once only.
    fn exit_stops(
        &self,
        row: &SignalRow,
        exit: &Exit,
        orders: &[OrderRow],
        now: Timestamp,
    ) -> Result<Option<Refused>, LedgerError> {
        let closing = || {
            orders
                .iter()
                .filter(|order| order.data.spec.effect.closes())
        };
        let of_side = |order: &OrderRow| {
            let side = exit.side.filter(|_| exit.hedged);
            side.is_none_or(|side| side.exit_side() == order.data.spec.side)
        };
        if !persists(row) && closing().any(of_side) {
            let text = "a limit order is carried out once";
            return Ok(Some(Refused::new(Code::Rejected, text)));
        }
        if !exit.whole && closing().any(|order| order.state == OrderState::Unknown) {
            let text = "whether an order of it was carried out could not be found out, so nothing more of it is sent";
            return Ok(Some(Refused::new(Code::Unknown, text)));
        }
        if journal::kill_mode(self.store())? == KillMode::All {
            let text = "the kill switch is engaged (all), so nothing more is closed";
            return Ok(Some(Refused::new(Code::KillSwitch, text)));
        }
        if let Some(refused) = self.revoked(row, Effect::Close)? {
            return Ok(Some(refused));
        }
        if now > exit.lives_until && !exit.asked && !exit.waits {
            return self.stale(row).map(Some);
        }
        // While it only waits for older entries nothing of it can come too late.
        if now > exit.lives_until && !exit.waits {
            let why = exit
                .told
                .as_deref()
                .unwrap_or("it waited until its life was over");
            return Ok(Some(Refused::new(
                Code::ExitUndone,
                format!("the exit could not be finished in time: {why}"),
            )));
        }
        if taken(orders) >= MAX_TAKEN || orders.len() >= MAX_ORDERS {
            let text = format!("{} orders did not close it", orders.len());
            return Ok(Some(Refused::new(Code::ExitUndone, text)));
        }
        Ok(None)
    }

    /// Whether an exit may go by rules that are old: a refusal brings another order by new ones, and by our record no more
    /// is held than they let be closed, so that it is not told as dust.
    fn goes_by_old(&self, row: &SignalRow, rules: &Instrument) -> Result<bool, LedgerError> {
        let record = journal::holding(self.store(), row.product, &row.symbol)?;
        let held = record.map_or(Decimal::ZERO, |known| known.quantity.abs());
        let dust = !held.is_zero() && held < rules.min_quantity.get();
        Ok((opens_after(row) || persists(row)) && !dust)
    }

    /// The venue's rules, newly read where they are old and may not serve; what was read last where they cannot be, and
    /// the venue's word where it lists no such symbol. In a pause they are read only `anew`, after a refusal.
    async fn exit_rules(
        &self,
        venue: &P::Venue,
        row: &SignalRow,
        anew: bool,
    ) -> Result<(Option<Instrument>, Option<VenueError>, Called), LedgerError> {
        let (store, product, symbol) = (self.store(), row.product, &row.symbol);
        if let Some((known, old)) = journal::known_instrument(store, product, symbol, self.now())?
            && (!old || self.goes_by_old(row, &known)?)
        {
            return Ok((Some(known), None, Called::No));
        }
        let last = journal::last_instrument(store, product, symbol)?;
        if (self.is_paused()? && !anew) || self.is_banned()? {
            // The one call of a pause is for the exit itself, which can do without.
            return Ok((last, None, Called::No));
        }
        self.hold()?;
        match venue.instrument(product, symbol).await {
            Ok(instrument) => {
                journal::cache_instrument(store, &instrument, self.now())?;
                Ok((Some(instrument), None, Called::Answered))
            }
            Err(error) => {
                self.venue_failed(&error, Effect::Close)?;
                let unknown = error.class == ErrorClass::UnknownSymbol;
                Ok((last, unknown.then_some(error), Called::Failed))
            }
        }
    }

    /// Finds out how much a partial exit closes; a refusal where it cannot be carried out as it is. A price is asked for
    /// only where anything is held on its side.
    async fn exit_size(
        &self,
        venue: &P::Venue,
        row: &SignalRow,
        exit: &mut Exit,
        rules: Option<&Instrument>,
        at_venue: Quantity,
    ) -> Result<Result<Option<Refused>, VenueError>, LedgerError> {
        if exit.whole || exit.quantity.is_some() {
            return Ok(Ok(None));
        }
        let Some(sizing) = row.data.signal.quantity else {
            return Ok(Ok(None));
        };
        let kind = row.data.signal.order;
        let mut price = None;
        if matches!(sizing, Sizing::Quote(_)) && kind == OrderKind::Market {
            if at_venue.is_zero() {
                // There is nothing that a price would tell the size of: its failure keeps no exit from its end.
                return Ok(Ok(None));
            }
            self.hold()?;
            if let Some(error) = crate::drive::shut_out(self.ports) {
                return Ok(Err(error));
            }
            match venue.ticker(row.product, &row.symbol).await {
                Ok(ticker) => price = Some(ticker.mark.unwrap_or(ticker.last)),
                Err(error) => {
                    self.venue_failed(&error, Effect::Close)?;
                    return Ok(Err(error));
                }
            }
        }
        match closing_quantity(sizing, kind, rules, price) {
            Ok(quantity) => {
                exit.quantity = Some(quantity);
                Ok(Ok(None))
            }
            Err(refused) => Ok(Ok(Some(refused))),
        }
    }

    /// Stores the next order of an exit, and sends it at once where it may be.
    #[expect(
        clippy::too_many_arguments,
        reason = "everything that the plan has found out, used once"
    )]
    async fn store_exit(
        &self,
        mut row: SignalRow,
        orders: &[OrderRow],
        side: PositionSide,
        quantity: Quantity,
        all: bool,
        rules: Option<&Instrument>,
        shown: Option<&Shown>,
        noted: Option<Decimal>,
        venue: &P::Venue,
    ) -> Result<(SignalRow, ExitPlan), LedgerError> {
        let flip = opens_after(&row);
        let kind = if flip {
            OrderKind::Market
        } else {
            row.data.signal.order
        };
        let exit = row.data.exit.as_ref();
        let closes_all = shown.is_some() && exit.is_some_and(|exit| closes_all(venue, exit));
        let leg = match closing_leg(kind, side, quantity, all, rules, closes_all) {
            Ok(leg) => leg,
            Err(refused) => {
                let Some(exit) = row.data.exit.clone() else {
                    return Ok((row, ExitPlan::Done(None)));
                };
                return self.end_exit(row, exit, orders, refused);
            }
        };
        let hedged = shown.is_some_and(|shown| shown.hedged);
        let number = u32::try_from(orders.len()).unwrap_or(u32::MAX);
        let words = if row.data.exit.as_ref().is_some_and(|exit| exit.whole) {
            "close"
        } else {
            "reduce"
        };
        let summary = match (flip, orders.is_empty()) {
            (true, true) => Some("close the opposite position, then enter".to_owned()),
            (false, true) => Some(format!("{words} the {} position", side.as_str())),
            _ => None,
        };
        if let Some(exit) = &mut row.data.exit {
            exit.waits = false;
            if exit.whole && flip {
                // From its first closing order on; a plain exit forbids what it names since it was taken.
                row.fences = Fences::of(Some(side));
            }
        }
        row.status = SignalStatus::Planned;
        row.attempts = 0;
        row.blocking = true;
        row.closing = true;
        row.due_at = self.now();
        row.data.notes.extend(summary);
        let mut passed = None;
        self.commit(|store, now| {
            let mut order = new_order(&row, &leg, number, number, now)?;
            if hedged {
                order.data.spec.leg = Some(side);
            }
            if let Some(signed) = noted {
                order.data.by_record =
                    journal::note_position(store, row.product, &row.symbol, signed, now)?;
            }
            journal::add_order(store, &mut order, now)?;
            let approved = self.pass_planned(&mut row, &mut order, now)?;
            passed = approved.map(|approved| (approved, order));
            journal::save_signal(store, &mut row, now)
        })?;
        self.send_planned(venue, row.clone(), passed).await?;
        Ok((row, ExitPlan::Stored))
    }

    /// Nothing is left to close now: the exit ends, or waits for the outcome of older entries.
    fn nothing_left(
        &self,
        mut row: SignalRow,
        orders: &[OrderRow],
        shown: Option<Shown>,
        left: Quantity,
    ) -> Result<(SignalRow, ExitPlan), LedgerError> {
        let flip = opens_after(&row);
        let doubt = in_doubt(orders);
        if flip && !doubt && journal::waits_for_older(self.store(), &row)? {
            // What comes before it in turn may yet hold what it has to close: it looks again then.
            row.status = SignalStatus::Received;
            let reduction = self.reduction(&row, orders, shown.as_ref())?;
            row.closing = reduction.is_some();
            row.data.exit = reduction.or(row.data.exit);
            row.held_up = true;
            row.due_at = self.now();
            self.save(row.clone())?;
            return Ok((row, ExitPlan::Stored));
        }
        let pending = self.pending_older(&row)?;
        let Some(exit) = &mut row.data.exit else {
            return Ok((row, ExitPlan::Done(shown)));
        };
        // A position that is not read shows nothing: it is looked at again.
        let closed = !filled(orders, Effect::Close).is_zero();
        let used_up = left.is_zero() && (pending || exit.waits || closed);
        let unread = shown.is_none() && !used_up && (!flip || exit.may_hold());
        if pending || doubt || unread {
            exit.waits = pending && !doubt && !unread;
            let now = self.now();
            if unread {
                exit.back_off(now);
            } else {
                exit.next_at = now.plus_millis(WAIT_LOOK_MS);
            }
            // What a flip opens stays in its turn, while it may still open.
            row.blocking = (flip && now <= row.deadline) || !exit.waits;
            // It may have waited in its turn before: from now on older entries' outcomes wake it as any exit.
            row.closing = true;
            row.due_at = exit.next_at;
            row.due_at = next_due(&row, orders).unwrap_or(row.due_at);
            row.held_up = true;
            self.tell(&mut row, "it waits for the outcome of an order");
            self.commit(|store, now| {
                if let Some(exit) = row.data.exit.as_ref().filter(|_| pending) {
                    journal::wake_older(store, exit, now)?;
                }
                journal::save_signal(store, &mut row, now)
            })?;
            return Ok((row, ExitPlan::Stored));
        }
        if !flip && exit.turn_to_other_leg(self.now()) {
            row.due_at = self.now();
            self.save(row.clone())?;
            return Ok((row, ExitPlan::Stored));
        }
        exit.done = true;
        Ok((row, ExitPlan::Done(shown)))
    }
}

/// Whether less than the venue's smallest order is to be closed, by our record and by what is known to be left of what the
/// exit may close, at a venue that closes it all the same.
fn is_dust(
    venue: &impl Venue,
    exit: &Exit,
    orders: &[OrderRow],
    record: Option<&Holding>,
    rules: Option<&Instrument>,
) -> bool {
    let (Some(known), Some(rules)) = (exit.recorded(record), rules) else {
        return false;
    };
    let (_, size) = Holding::split(known.quantity);
    let left = exit.left(orders);
    let size = if left.is_zero() { size } else { size.min(left) };
    closes_all(venue, exit) && size < rules.min_quantity
}

/// Whether what is less than the venue's smallest order goes by the form that closes all that is held. A partial exit never
/// closes more than its quantity, which that form knows nothing of: what it shows may have become more since.
fn closes_all(venue: &impl Venue, exit: &Exit) -> bool {
    exit.whole && venue.traits().closes_all
}
