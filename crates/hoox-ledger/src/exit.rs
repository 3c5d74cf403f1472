//! Exits: what a signal may close, and how it goes on until that is closed.
//!
//! A *full exit* closes everything that was held on its side when it was taken, and what entries taken
//! before it turn out to have filled: its allowance. A *partial exit* closes a quantity at most. Neither
//! closes more than the venue shows, nor what a later signal opened. No refusal of the venue ends an exit
//! before its deadline, only a position that shows nothing to close.

use futures_util::future::{Either, join_all, select};
use hoox_exchange::{ErrorClass, Venue, VenueError};
use hoox_mesh::{KillMode, SignalStatus};
use hoox_model::{
    Code, Decimal, Effect, Instrument, OrderKind, Position, PositionSide, Quantity, SignalId,
    Timestamp,
};
use hoox_risk::{Refused, closing_leg, closing_quantity};
use hoox_signal::{Action, Sizing};
use serde::{Deserialize, Serialize};

use crate::decide;
use crate::drive::Desk;
use crate::journal::{self, Holding};
use crate::planning::new_order;
use crate::port::{LedgerError, Ports, Store};
use crate::row::{Fences, OrderRow, OrderState, SignalRow};
use crate::sending::{opening_side, venue_words};
use crate::theirs::{Theirs, theirs};

/// Orders of one exit that the venue took, at most; refused ones do not count.
pub(crate) const MAX_TAKEN: usize = 30;
/// Orders of one signal in all, so that ids stay short.
const MAX_ORDERS: usize = 900;
/// How soon after it was taken the first position must have been read to say what was held then.
pub(crate) const FIRST_READ_MS: i64 = 3_000;
/// How long after our own fill a position that differs from our record is not believed.
pub(crate) const BELIEVED_MS: i64 = 60_000;
/// How long a position that cannot be read holds an exit up.
const UNREAD_MS: i64 = 5_000;
/// How long after the send of an order in doubt a full exit is planned again.
pub(crate) const DOUBT_MS: i64 = 5_000;
/// How long an exit lives for what an older entry's outcome reveals.
const REVEALED_MS: i64 = 600_000;
/// How long the close waits for the cancellations that go before it.
const CANCELS_MS: i64 = 1_000;
/// Waits before an exit is planned again, by the number of orders that did not close all they were for.
const WAITS_MS: [i64; 7] = [0, 500, 1_000, 2_000, 4_000, 8_000, 10_000];
/// When an exit that is not done is told.
pub(crate) const TOLD_MS: i64 = 10_000;

/// What a signal closes, and how far it is.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a question of its own, stored by its name"
)]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Exit {
    /// Whether it closes everything that was held, and not a quantity.
    pub whole: bool,
    /// Whether nothing is opened after it, although its signal may open: a plain order that must not open
    /// closes what it can.
    #[serde(default)]
    pub only: bool,
    /// The side that it closes; `None` until the first position is known, where the action names none.
    pub side: Option<PositionSide>,
    /// When the Ledger took the signal.
    pub taken_at: Timestamp,
    /// After this moment nothing more of it is sent.
    pub lives_until: Timestamp,
    /// What the Ledger's record said was held when the signal was taken: positive long, negative short.
    #[serde(default)]
    pub record: Option<Decimal>,
    /// Entries that were taken before it and had no outcome then, with what each had filled by the number that
    /// `held` is: our record when it was taken, or the position that was read.
    #[serde(default)]
    pub older: Vec<(SignalId, Quantity)>,
    /// What those had filled in all when it was taken, long and short, whatever side it is about: `record` shows that.
    #[serde(default)]
    pub filled_before: (Quantity, Quantity),
    /// Whether something may be held that our record did not show when the signal was taken: it was old, an older entry
    /// had no outcome, or a `reverse` or `target` came where there was none.
    #[serde(default)]
    pub unsure: bool,
    /// Entries taken before it whose alerts fired later: what they opened is not its to close.
    #[serde(default)]
    pub newer: Vec<SignalId>,
    /// What of our record when it was taken those had opened, as was known then.
    #[serde(default)]
    pub newer_held: Quantity,
    /// What existed on its side when it was taken; `None` until that is known.
    #[serde(default)]
    pub held: Option<Quantity>,
    /// The size of a partial exit in base currency, once it is known.
    #[serde(default)]
    pub quantity: Option<Quantity>,
    /// Whether the position is a leg of a symbol in hedge mode.
    #[serde(default)]
    pub hedged: bool,
    /// What is held on the other leg of a symbol in hedge mode, which is closed after this one, because the action names
    /// neither.
    #[serde(default)]
    pub other_leg: Option<Quantity>,
    /// The leg that it closed before this one, where it could not close all of it, and how much was to be closed there.
    #[serde(default)]
    pub leg_before: Option<(PositionSide, Quantity)>,
    /// Whether a first position was asked for.
    #[serde(default)]
    pub asked: bool,
    /// Since when the position cannot be read.
    #[serde(default)]
    pub unread_since: Option<Timestamp>,
    /// Orders that did not close what they were for, and tries that came to no order.
    #[serde(default)]
    pub tries: u32,
    /// When it is planned next.
    pub next_at: Timestamp,
    /// Whether the venue refused an order of it, so that what rests beside it goes first.
    #[serde(default)]
    pub refused: bool,
    /// What older entries' outcomes revealed so far.
    #[serde(default)]
    pub revealed: Quantity,
    /// How much of what older entries will turn out to have filled `held` shows already.
    #[serde(default)]
    pub included: Quantity,
    /// `held` and `included` of the other side, where it was turned.
    #[serde(default)]
    pub held_before: Quantity,
    #[serde(default)]
    pub included_before: Quantity,
    /// Whether it only waits for the outcome of older entries.
    #[serde(default)]
    pub waits: bool,
    /// Whether everything is done.
    #[serde(default)]
    pub done: bool,
    /// Why it is not done, once that was told.
    #[serde(default)]
    pub told: Option<String>,
    /// What it leaves, as a sentence.
    #[serde(default)]
    pub leaves: Option<String>,
    /// What was held beyond what it may close when a position was read last.
    #[serde(default)]
    pub more: Quantity,
    /// Whether it ended before everything was closed.
    #[serde(default)]
    pub undone: bool,
    /// What it gave up of its allowance, when it went on only for what older entries would turn out to have filled.
    #[serde(default)]
    pub given_up: Quantity,
}

impl Exit {
    /// An exit of a signal that was taken at `taken_at`.
    pub(crate) const fn new(
        whole: bool,
        side: Option<PositionSide>,
        taken_at: Timestamp,
        lives_until: Timestamp,
    ) -> Self {
        Self {
            whole,
            only: false,
            side,
            taken_at,
            lives_until,
            record: None,
            older: Vec::new(),
            filled_before: (Quantity::ZERO, Quantity::ZERO),
            unsure: false,
            newer: Vec::new(),
            newer_held: Quantity::ZERO,
            held: None,
            quantity: None,
            hedged: false,
            other_leg: None,
            leg_before: None,
            asked: false,
            unread_since: None,
            tries: 0,
            next_at: taken_at,
            refused: false,
            revealed: Quantity::ZERO,
            included: Quantity::ZERO,
            held_before: Quantity::ZERO,
            included_before: Quantity::ZERO,
            waits: false,
            done: false,
            told: None,
            leaves: None,
            more: Quantity::ZERO,
            undone: false,
            given_up: Quantity::ZERO,
        }
    }

    /// Whether what it is about was surely held: a flip then has an exit's rights.
    pub(crate) fn is_sure(&self) -> bool {
        let recorded = self.record.is_some_and(|signed| {
            let (side, size) = Holding::split(signed);
            !size.is_zero() && (self.side.is_none() || side == self.side)
        });
        recorded || self.held.is_some_and(|held| !held.is_zero()) || !self.revealed.is_zero()
    }

    /// Whether anything may be held that it has to close. Where surely nothing is, a flip is an entry.
    pub(crate) fn may_hold(&self) -> bool {
        self.unsure || self.is_sure()
    }

    /// Our record, where it shows anything on its side.
    pub(crate) fn recorded<'a>(&self, record: Option<&'a Holding>) -> Option<&'a Holding> {
        record.filter(|known| {
            let (side, size) = Holding::split(known.quantity);
            !size.is_zero() && (self.side.is_none() || side == self.side)
        })
    }

    /// What it may close in all.
    fn allowance(&self) -> Quantity {
        let held = self.held.unwrap_or(Quantity::ZERO);
        match self.quantity {
            Some(quantity) if !self.whole => quantity.min(held),
            _ if !self.whole => held,
            _ => sum([held, self.revealed].into_iter()),
        }
    }

    /// Goes on with the other leg, where the action names neither and both were held.
    fn turn_to_other_leg(&mut self, now: Timestamp) -> bool {
        let (Some(held), Some(side)) = (self.other_leg.take(), self.side) else {
            return false;
        };
        self.side = Some(side.opposite());
        self.held = Some(held);
        (self.revealed, self.included) = (Quantity::ZERO, Quantity::ZERO);
        (self.waits, self.done, self.tries, self.next_at) = (false, false, 0, now);
        true
    }

    /// What its orders have closed on its side.
    pub(crate) fn closed(&self, orders: &[OrderRow]) -> Quantity {
        closed_on(self.side, orders)
    }

    /// What it was to close on its side in the end, with what it gave up.
    fn owed(&self) -> Quantity {
        sum([self.allowance(), self.given_up].into_iter())
    }

    /// What is left of the leg that it closed before this one.
    fn rest_before(&self, orders: &[OrderRow]) -> Option<(PositionSide, Quantity)> {
        let (side, owed) = self.leg_before?;
        let rest = owed.minus_or_zero(closed_on(Some(side), orders));
        (!rest.is_zero()).then_some((side, rest))
    }

    /// What it may still close.
    fn left(&self, orders: &[OrderRow]) -> Quantity {
        self.allowance().minus_or_zero(self.closed(orders))
    }

    /// What is left in the end, with what it gave up.
    fn rest(&self, orders: &[OrderRow]) -> Quantity {
        self.owed().minus_or_zero(self.closed(orders))
    }

    /// Ends it, whatever is left: from now on that is told, as far as no order of it turns out to have closed it.
    pub(crate) fn stop(&mut self, orders: &[OrderRow]) {
        let left = self.held.is_some() && !self.rest(orders).is_zero();
        self.undone = self.undone || left || self.other_leg.is_some();
        self.done = true;
    }

    /// Whether it ended before everything was closed, and no order of it has turned out since to have closed that.
    pub(crate) fn is_undone(&self, orders: &[OrderRow]) -> bool {
        let legs = self.other_leg.is_some() || self.rest_before(orders).is_some();
        self.undone && (legs || !self.rest(orders).is_zero())
    }

    /// What it leaves in the end, as sentences: what is left of its own, or what was held beyond it. An order of it that
    /// was found out since may have closed some of that.
    fn tells(&self, orders: &[OrderRow]) -> Vec<String> {
        let mut told = Vec::new();
        if self.undone {
            let rest = self.rest(orders);
            if !rest.is_zero() {
                told.push(format!("{rest} is left"));
            }
            if let Some((side, rest)) = self.rest_before(orders) {
                told.push(format!("{rest} is left of the {} leg", side.as_str()));
            }
            if let Some(other) = self.other_leg {
                told.push(format!("the other leg of {other} is left"));
            }
        }
        let closed_beyond = self.closed(orders).minus_or_zero(self.owed());
        let more = self.more.minus_or_zero(closed_beyond);
        if !more.is_zero() {
            told.push(format!(
                "{more} more is held than when the exit was taken, and is left"
            ));
        }
        told.extend(self.leaves.clone());
        told
    }

    /// Puts the next plan off by the number of tries.
    pub(crate) fn back_off(&mut self, now: Timestamp) {
        let index = usize::try_from(self.tries).unwrap_or(usize::MAX);
        let longest = WAITS_MS.last().copied().unwrap_or(10_000);
        let wait = WAITS_MS.get(index).copied().unwrap_or(longest);
        self.tries = self.tries.saturating_add(1);
        self.next_at = now.plus_millis(wait);
    }
}

/// What is held, as the venue shows it.
#[derive(Debug, Clone)]
pub(crate) struct Shown {
    /// The position of a symbol in one-way mode, or the leg that the exit is about.
    pub(crate) position: Position,
    /// Whether the symbol is in hedge mode.
    pub(crate) hedged: bool,
    /// What the other leg holds, where both may be meant.
    pub(crate) other_leg: Option<Quantity>,
}

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
fn in_doubt(orders: &[OrderRow]) -> bool {
    orders.iter().any(OrderRow::is_in_doubt)
}

/// Orders that the venue took.
fn taken(orders: &[OrderRow]) -> usize {
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
        let Theirs { known: later, most } = theirs(self.store(), &row, &exit, exit.side)?;
        // What orders of its own may have closed without anybody knowing is in no record, and in a position only once that
        // no longer lags: beside what is theirs reduce-only does not keep it from being closed twice.
        let hidden = |since| {
            if most.is_zero() {
                Quantity::ZERO
            } else {
                hidden_closes(orders, side, since)
            }
        };
        let sure = on_side(record.as_ref(), side)
            .minus_or_zero(later)
            .minus_or_zero(hidden(None));
        let lags = lags(shown.as_ref(), record.as_ref(), asked);
        // A position from before what later signals opened has none of theirs in it that could be taken off: beyond our
        // record nothing of it is surely its own.
        let beyond = if lags && !most.is_zero() {
            Quantity::ZERO
        } else {
            let since = asked.plus_millis(BELIEVED_MS.saturating_neg());
            at_venue
                .minus_or_zero(most)
                .minus_or_zero(hidden(Some(since)))
        };
        let reachable = at_venue.minus_or_zero(later).min(beyond.max(sure));
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
        let theirs = reachable < at_venue.minus_or_zero(later).min(left);
        let undecided = theirs || (lags && !more.is_zero());
        let dust = rules
            .as_ref()
            .is_some_and(|rules| !wanted.is_zero() && wanted < rules.min_quantity)
            && closes_all(venue, &exit)
            && persists(&row);
        if let Some(error) = unread.filter(|_| dust) {
            // By our record it is not all that is held, or nobody knows: it goes once a position shows that it is.
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

    /// The venue's rules, newly read where they are old; what was read last where they cannot be, and
    /// the venue's word where it lists no such symbol. In a pause they are read only `anew`, after a refusal.
    async fn exit_rules(
        &self,
        venue: &P::Venue,
        row: &SignalRow,
        anew: bool,
    ) -> Result<(Option<Instrument>, Option<VenueError>, Called), LedgerError> {
        let (store, product, symbol) = (self.store(), row.product, &row.symbol);
        if let Some(known) = journal::cached_instrument(store, product, symbol, self.now())? {
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

    /// What is held on the exit's side, hedge mode included.
    async fn exit_position(
        &self,
        venue: &P::Venue,
        row: &SignalRow,
        exit: &Exit,
        read: bool,
    ) -> Result<Result<Shown, VenueError>, LedgerError> {
        if self.is_banned()? {
            let until = crate::drive::banned_until(self.ports)?;
            let text = format!("the venue shuts this account out until {until}");
            return Ok(Err(VenueError::new(ErrorClass::Banned, "BANNED", &text)));
        }
        let record = journal::holding(self.store(), row.product, &row.symbol)?;
        if self.is_paused()? && !read && exit.recorded(record.as_ref()).is_some() {
            // One call of an exit goes out now and then in a pause: the order itself, by our record.
            let text = "the venue is left alone";
            return Ok(Err(VenueError::new(
                ErrorClass::RateLimited,
                "PAUSED",
                text,
            )));
        }
        self.hold()?;
        let error = match venue.position(row.product, &row.symbol).await {
            Ok(position) => {
                return Ok(Ok(Shown {
                    position,
                    hedged: false,
                    other_leg: None,
                }));
            }
            // A flip is one by a position that has one side: it turns no leg.
            Err(error) if error.code != VenueError::HEDGE_MODE || opens_after(row) => error,
            Err(_) => match self.all_positions(venue, row).await {
                Ok(all) => {
                    let mut legs: Vec<Position> = all
                        .into_iter()
                        .filter(|leg| leg.symbol == row.symbol)
                        .collect();
                    legs.retain(|leg| exit.side.is_none_or(|side| leg.side == Some(side)));
                    let mut legs = legs.into_iter().filter(|leg| leg.side.is_some());
                    let position = legs
                        .next()
                        .unwrap_or_else(|| Position::flat(row.symbol.clone()));
                    return Ok(Ok(Shown {
                        position,
                        hedged: true,
                        other_leg: legs.next().map(|leg| leg.quantity),
                    }));
                }
                Err(error) => error,
            },
        };
        self.venue_failed(&error, Effect::Close)?;
        Ok(Err(error))
    }

    /// What is held of all symbols, unless the venue has shut the account out since the step began.
    async fn all_positions(
        &self,
        venue: &P::Venue,
        row: &SignalRow,
    ) -> Result<Vec<Position>, VenueError> {
        match crate::drive::shut_out(self.ports) {
            Some(error) => Err(error),
            None => venue.positions(row.product).await,
        }
    }

    /// Finds out what existed when the exit was taken: the first position, where it was read at once,
    /// else our record of then, else the first position that can be read.
    fn basis(
        &self,
        row: &SignalRow,
        exit: &mut Exit,
        shown: Option<&Shown>,
        record: Option<&Holding>,
        asked: Timestamp,
        first: bool,
    ) -> Result<(), LedgerError> {
        if exit.held.is_some() {
            return Ok(());
        }
        let prompt = first && self.now().since(exit.taken_at) <= FIRST_READ_MS;
        let mut by_old_record = false;
        let (side, quantity) = match (shown, exit.record) {
            (Some(shown), None) => shown_with_record(shown, record, asked),
            (Some(shown), Some(_)) if prompt || shown.hedged => {
                shown_with_record(shown, record, asked)
            }
            (_, Some(signed)) => {
                by_old_record = true;
                Holding::split(signed)
            }
            (None, None) => record.map_or((None, Quantity::ZERO), |known| {
                Holding::split(known.quantity)
            }),
        };
        exit.hedged = shown.is_some_and(|shown| shown.hedged);
        exit.other_leg = shown.and_then(|shown| shown.other_leg);
        let wanted = exit.side.or(side);
        let quantity = if side == wanted {
            quantity
        } else {
            Quantity::ZERO
        };
        exit.side = wanted;
        // What was opened later, or by a newer alert, is not what it is about.
        let Theirs { known: later, most } = if by_old_record {
            Theirs {
                known: exit.newer_held,
                most: exit.newer_held,
            }
        } else {
            theirs(self.store(), row, exit, exit.side)?
        };
        let own = quantity.minus_or_zero(later);
        // What may be theirs without our knowing is its own only as far as our record shows it.
        let sure = on_side(record, wanted).minus_or_zero(later);
        exit.held = Some(own.min(quantity.minus_or_zero(most).max(sure)));
        if shown.is_some() && !by_old_record {
            // What the venue shows beyond our record an entry in doubt may have brought: it is not counted again
            // when that is found out.
            let shown = exit.held.unwrap_or_default().minus_or_zero(sure);
            exit.included = sum([shown, closed_beyond(record, wanted)].into_iter());
        }
        if !by_old_record {
            for (id, baseline) in &mut exit.older {
                *baseline = opened(
                    &OrderRow::of(self.store(), id)?,
                    about(row, exit.whole, wanted),
                );
            }
        }
        Ok(())
    }

    /// Whether an older entry that an exit waits for has filled more, or has an outcome now.
    fn has_news(&self, row: &SignalRow, exit: &Exit) -> Result<bool, LedgerError> {
        let mut known = exit.clone();
        self.reveal(&mut known)?;
        let orders = OrderRow::of(self.store(), &row.id)?;
        Ok(known.revealed > exit.revealed
            || !self.pending_older(row)?
            || self.turned(row, exit, &orders)?.is_some())
    }

    /// The exit of the other side, where the action names none and older entries have filled there what it has not closed:
    /// they may have turned what was held. Of that side it held nothing, unless it was turned before.
    fn turned(
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
            let off = left
                .min(other.left(orders).minus_or_zero(surely))
                .minus_or_zero(hidden);
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
    fn turns(
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
    fn reveal(&self, exit: &mut Exit) -> Result<(), LedgerError> {
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
        let Theirs { known: later, most } = theirs(self.store(), row, exit, side)?;
        if most.is_zero() {
            return Ok(false);
        }
        let record = journal::holding(self.store(), row.product, &row.symbol)?;
        let live = OrderRow::live(self.store(), row.product, &row.symbol)?;
        let others = live.iter().filter(|other| {
            let same = other.data.spec.side == spec.side && other.data.spec.effect.closes();
            same && other.id() != order.id()
        });
        let taken = sum(others.map(unheard));
        let own = on_side(record.as_ref(), side)
            .minus_or_zero(later)
            .minus_or_zero(taken);
        Ok(spec.quantity.minus_or_zero(order.data.filled) > own)
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

    /// What of ours rests on the symbol and stands against a full exit: entries of its side and other exits.
    fn standing(&self, row: &SignalRow, exit: &Exit) -> Result<Vec<OrderRow>, LedgerError> {
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
        self.resting(row, stands)
    }

    /// Asks the venue to end what stands against an exit; all together, and the close follows after their answers or a
    /// second.
    async fn cancel_resting(
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
    fn resting(
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
        let banned = crate::drive::shut_out(self.ports).is_some();
        for order in &mut resting {
            order.data.cancel_why = Some(why.to_owned());
            // From now on it is looked up by itself.
            order.data.look_at = None;
            if !banned {
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
        if banned {
            // Each is asked for by its own signal once the ban is over.
            return Ok(());
        }
        // In the same turn as the write that names the epoch: nothing is awaited in between.
        let calls = join_all(
            resting
                .iter()
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

    /// Whether an entry that was taken before has no outcome yet.
    fn pending_older(&self, row: &SignalRow) -> Result<bool, LedgerError> {
        let exit = row.data.exit.as_ref();
        let cancels = exit.is_some_and(|exit| cancels_all(row, exit));
        self.is_older_open(row, cancels)
    }

    /// Whether an entry that was taken before is open. What rests and is to be left alone counts only where `resting`.
    fn is_older_open(&self, row: &SignalRow, resting: bool) -> Result<bool, LedgerError> {
        let Some(exit) = &row.data.exit else {
            return Ok(false);
        };
        if !exit.whole {
            return Ok(false);
        }
        let side = about(row, exit.whole, exit.side);
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

    /// The venue did not answer: the exit goes on later.
    async fn exit_failed(
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
    fn put_exit_off(&self, row: &mut SignalRow, why: &str) -> Result<(), LedgerError> {
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
        (exit.revealed, exit.included) = (Quantity::ZERO, Quantity::ZERO);
        if exit.undone {
            let told = with_sentences(Some(refused.message.clone()), exit.tells(orders));
            row.data.message = told.map(|told| format!("not done yet: {told}"));
            row.data.opening_refused.get_or_insert(refused);
        }
        self.only_wait(row, exit)
    }

    /// From now on an exit only waits for what older entries turn out to have filled.
    fn only_wait(
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

/// How soon an exit that waits for an older entry looks again by itself; that entry wakes it before.
const WAIT_LOOK_MS: i64 = 30_000;

/// Whether a full exit takes what rests along. A signal that only opens leaves it, until it is found to be a flip.
fn cancels_all(row: &SignalRow, exit: &Exit) -> bool {
    !opens_after(row) || exit.is_sure() || is_target(row)
}

/// Whether an order rests at the venue, as far as is known.
fn rests(order: &OrderRow) -> bool {
    let there = matches!(
        order.state,
        OrderState::Acknowledged | OrderState::PartlyFilled
    );
    there && decide::may_rest(order.data.spec.kind)
}

/// The side that an exit is about: what its action names, `None` for either. A partial exit is about the one it closes.
fn about(row: &SignalRow, whole: bool, side: Option<PositionSide>) -> Option<PositionSide> {
    let closing = row.data.signal.closing();
    closing
        .filter(|closing| whole && closing.whole)
        .map_or(side, |closing| closing.side)
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

/// What the closing orders of one side have filled, of both where there is none.
fn closed_on(side: Option<PositionSide>, orders: &[OrderRow]) -> Quantity {
    let of_side = |order: &&OrderRow| {
        let spec = &order.data.spec;
        spec.effect.closes() && side.is_none_or(|side| side.exit_side() == spec.side)
    };
    sum(orders.iter().filter(of_side).map(|order| order.data.filled))
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

const fn is_target(row: &SignalRow) -> bool {
    matches!(row.data.signal.action, Action::Target(_))
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
    for (id, baseline) in &exit.older {
        if opened(&OrderRow::of(store, id)?, side) > *baseline {
            let record = journal::holding(store, row.product, &row.symbol)?;
            return Ok(exit.recorded(record.as_ref()).is_some());
        }
    }
    Ok(false)
}

/// Whether only a position tells what a signal has to close: its action says that it is about what is held, and there was
/// no record of that when it was taken. Until one was read it has an exit's right to a call of a pause; a flip of another
/// kind is an entry as long as nothing is known to be held.
pub(crate) const fn has_to_ask(row: &SignalRow, exit: &Exit) -> bool {
    let signal = &row.data.signal;
    let about_held = matches!(signal.action, Action::Reverse | Action::Target(_));
    about_held && !signal.dry_run && exit.record.is_none() && exit.held.is_none()
}

/// Whether something is to be opened once nothing is left to close.
pub(crate) fn opens_after(row: &SignalRow) -> bool {
    let only = row.data.exit.as_ref().is_some_and(|exit| exit.only);
    row.data.signal.is_entry() && !only
}

/// Whether an exit's orders are planned again until it is done: market orders are, others go out once.
fn persists(row: &SignalRow) -> bool {
    row.data.signal.order == OrderKind::Market || opens_after(row)
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
fn hidden_closes(
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

/// Side and size by the venue's word and, for a minute after a fill of ours, by our record where that is
/// more: a venue may lag.
fn shown_with_record(
    shown: &Shown,
    record: Option<&Holding>,
    asked: Timestamp,
) -> (Option<PositionSide>, Quantity) {
    let read = (shown.position.side, shown.position.quantity);
    let Some(record) =
        record.filter(|known| !shown.hedged && asked.since(known.filled_at) < BELIEVED_MS)
    else {
        return read;
    };
    match Holding::split(record.quantity) {
        (None, _) => read,
        (Some(side), size) => (Some(side), size.max(shown.position.held(side))),
    }
}

/// What closing orders took of a side beyond what our record showed there.
fn closed_beyond(record: Option<&Holding>, wanted: Option<PositionSide>) -> Quantity {
    record.map_or(Quantity::ZERO, |known| {
        let (side, size) = Holding::split(Decimal::ZERO.saturating_sub(known.beyond));
        if side == wanted { size } else { Quantity::ZERO }
    })
}

/// Whether a position that was read may lag behind our own latest fill. Nothing else changes our record of a symbol while
/// its lane is held.
fn lags(shown: Option<&Shown>, record: Option<&Holding>, asked: Timestamp) -> bool {
    let read = shown.filter(|shown| !shown.hedged);
    read.zip(record)
        .is_some_and(|(shown, known)| known.is_ahead_of(&shown.position, asked, BELIEVED_MS))
}

/// What our record shows on a side.
pub(crate) fn on_side(record: Option<&Holding>, wanted: Option<PositionSide>) -> Quantity {
    record.map_or(Quantity::ZERO, |known| {
        let (side, size) = Holding::split(known.quantity);
        if side == wanted { size } else { Quantity::ZERO }
    })
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

/// What counts as held on the exit's side now.
fn held_now(
    exit: &Exit,
    shown: Option<&Shown>,
    record: Option<&Holding>,
    asked: Timestamp,
) -> (Option<PositionSide>, Quantity) {
    let (side, quantity) = match shown {
        Some(shown) => shown_with_record(shown, record, asked),
        None => record.map_or((None, Quantity::ZERO), |known| {
            Holding::split(known.quantity)
        }),
    };
    match exit.side {
        Some(wanted) if side == Some(wanted) => (Some(wanted), quantity),
        Some(_) => (None, Quantity::ZERO),
        None => (side, quantity),
    }
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
