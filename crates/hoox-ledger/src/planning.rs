//! From a journaled signal to stored orders, or to the reason why there are none.

use core::cell::Cell;

use hoox_exchange::{ErrorClass, Venue, VenueError};
use hoox_mesh::{KillMode, OrderView, Problem, SignalStatus};
use hoox_model::{
    ClientOrderId, Code, Decimal, Effect, Instrument, OrderSpec, Position, PositionSide, Price,
    Quantity, SignalId, Timestamp,
};
use hoox_risk::{Leg, Plan, Refused, needs_market_price, plan};
use hoox_signal::{Action, Signal, Sizing, Target};

use crate::decide;
use crate::drive::Desk;
use crate::exit::{
    BELIEVED_MS, Exit, ExitPlan, FIRST_READ_MS, Shown, TOLD_MS, opened, opens_after, sum, with_rest,
};
use crate::journal::{self, Holding};
use crate::limits::Numbers;
use crate::port::{LedgerError, Ports};
use crate::row::{OrderData, OrderRow, OrderState, SignalRow};
use crate::sending::{superseded, venue_words};
use crate::theirs::theirs;

/// How soon a cancel looks again whether what it names has ended; no call to the venue is made for it.
const CANCEL_LOOK_MS: i64 = 1_000;
/// How soon a position that lags is read again.
const POSITION_RETRY_MS: i64 = 200;

/// Why there is no plan now.
pub(crate) enum Stop {
    /// The venue's position does not show our own latest fill yet.
    Lag,
    /// There will be none.
    Refused(Refused),
    /// What a signal was to close was closed, or was not there, and something of the other side is held again.
    Turned(Refused),
    /// The venue did not answer as it should.
    Venue(VenueError),
    Ledger(LedgerError),
}

/// What a signal asks for once everything that it closes is closed: a reverse opens the other side of what it closed, as
/// large unless it says.
fn opening_signal(row: &SignalRow, orders: &[OrderRow]) -> Signal {
    let mut signal = row.data.signal.clone();
    if signal.action != Action::Reverse {
        return signal;
    }
    // What others closed before it is not turned.
    let exit = row.data.exit.as_ref();
    let closed = exit.map_or(Quantity::ZERO, |exit| exit.closed(orders));
    let side = exit.and_then(|exit| exit.side);
    if let Some(side) = side.filter(|_| !closed.is_zero()) {
        signal.action = match side {
            PositionSide::Long => Action::Short,
            PositionSide::Short => Action::Long,
        };
        signal.quantity = signal.quantity.or(Some(Sizing::Base(closed)));
    }
    signal
}

/// Whether it is a target with `reduceOnly` that found no opposite position: it makes a larger one of its side smaller.
/// What it held says so only while nothing of it was closed or given up: from then on what it held is what is left of it.
fn narrows(row: &SignalRow, orders: &[OrderRow]) -> bool {
    let signal = &row.data.signal;
    let sided = matches!(
        signal.action,
        Action::Target(Target::Long(_) | Target::Short(_))
    );
    let found = row.data.exit.as_ref().is_some_and(|exit| {
        let held = exit.held.is_some_and(|held| !held.is_zero());
        exit.only || held || exit.undone || !exit.closed(orders).is_zero()
    });
    sided && signal.reduce_only && !found
}

/// The side of the position that a signal opens, where that is known before its plan.
fn opened_side(row: &SignalRow, orders: &[OrderRow]) -> Option<PositionSide> {
    match opening_signal(row, orders).action {
        Action::Long | Action::Buy | Action::Target(Target::Long(_)) => Some(PositionSide::Long),
        Action::Short | Action::Sell | Action::Target(Target::Short(_)) => {
            Some(PositionSide::Short)
        }
        _ => None,
    }
}

/// A plan that may be stored, and what it was made of.
struct Draft {
    plan: Plan,
    position: Position,
    numbers: Numbers,
    /// Why nothing is opened, where something forbids it and an exit is left of the plan.
    barrier: Option<Refused>,
}

/// What the legs of a plan trade in all.
fn total(plan: &Plan) -> Decimal {
    let sizes = plan.legs.iter().map(|leg| leg.quantity.get());
    sizes.fold(Decimal::ZERO, Decimal::saturating_add)
}

impl From<Refused> for Stop {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

impl From<VenueError> for Stop {
    fn from(error: VenueError) -> Self {
        Self::Venue(error)
    }
}

impl From<LedgerError> for Stop {
    fn from(error: LedgerError) -> Self {
        Self::Ledger(error)
    }
}

impl<P: Ports> Desk<'_, P> {
    /// Decides the next orders of a signal and stores them: first what closes, then what opens.
    pub(crate) async fn plan(
        &self,
        venue: &P::Venue,
        row: SignalRow,
        orders: &[OrderRow],
    ) -> Result<(), LedgerError> {
        if row.data.signal.dry_run {
            return self.plan_dry(venue, row, orders).await;
        }
        if row.data.signal.action == Action::Cancel {
            return self.cancel_signal(venue, row).await;
        }
        let may_hold = row.data.exit.as_ref().is_some_and(Exit::may_hold);
        if opens_after(&row) && !may_hold && self.now() > row.deadline {
            let stale = self.stale(&row)?;
            return self.end_plan(row, orders, stale);
        }
        let mut row = row;
        if let Some(exit) = self.reopened(&row, orders, false)? {
            row.closing = true;
            row.data.exit = Some(exit);
        }
        let (row, shown) = if row.exits() {
            match self.plan_exit(venue, row, orders).await? {
                (_, ExitPlan::Stored) => return Ok(()),
                (row, ExitPlan::Done(shown)) => (row, shown),
            }
        } else {
            (row, None)
        };
        if narrows(&row, orders) {
            return match self.draft(venue, &row, &row.data.signal, shown).await {
                Ok(draft) => self.becomes_exit(row, orders, draft),
                Err(stop) => self.stopped(venue, row, orders, stop).await,
            };
        }
        if !opens_after(&row) {
            return self.exit_done(row, orders);
        }
        self.plan_opening(venue, row, orders, shown).await
    }

    /// An exit has closed all that it had to.
    fn exit_done(&self, mut row: SignalRow, orders: &[OrderRow]) -> Result<(), LedgerError> {
        let refused = row.data.opening_refused.clone();
        let leaves = with_rest(&row, orders, None);
        if orders
            .iter()
            .any(|order| order.state == OrderState::Unknown)
        {
            let (status, code, message) = decide::outcome(orders);
            let message = with_rest(&row, orders, message);
            return self.end(row, orders, status, code, message);
        }
        if decide::any_filled(orders) {
            // It asked for more than was reduced.
            row.data.incomplete = refused.is_some();
            let undone = row.data.exit.as_ref().is_some_and(|exit| exit.undone);
            let status = if undone {
                SignalStatus::PartlyFilled
            } else {
                SignalStatus::Filled
            };
            let code = refused.as_ref().map(|refused| refused.code);
            let message = with_rest(&row, orders, refused.map(|refused| refused.message));
            return self.end(row, orders, status, code, message);
        }
        if let Some(refused) = refused {
            return self.end_plan(row, orders, refused);
        }
        if let Some(leaves) = leaves {
            row.data.incomplete = true;
            let refused = Refused::new(Code::ExitUndone, leaves);
            return self.end_plan(row, orders, refused);
        }
        let text = "there is no such position, so there is nothing to close";
        self.end(
            row,
            orders,
            SignalStatus::NothingToDo,
            None,
            Some(text.to_owned()),
        )
    }

    /// Cancels resting orders of the symbol: all of Hoox's, or those whose alert carried the same order id. It is done when
    /// everything that it names has ended: what the venue did not cancel at once is asked for again by its own signal, and
    /// what came to rest since then is asked for here.
    async fn cancel_signal(&self, venue: &P::Venue, mut row: SignalRow) -> Result<(), LedgerError> {
        let now = self.now();
        if now > row.deadline {
            let refused = if row.blocking {
                self.stale(&row)?
            } else {
                let text = "not everything that it cancels had ended when its life was over";
                Refused::new(Code::ExitUndone, text)
            };
            return self.end_plan(row, &[], refused);
        }
        let named = self.to_cancel(&row)?;
        let why = format!("cancelled, because {} asked for it", row.id);
        let count = self
            .cancel_orders(venue, &row, &why, |order| named.contains(&order.signal_id))
            .await?;
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        row.data.cancelled = row.data.cancelled.saturating_add(count);
        let left = self.to_cancel(&row)?.len();
        if left > 0 {
            return self.cancels_on(row, left);
        }
        let text = match row.data.cancelled {
            0 => "no order of Hoox rests there, so there is nothing to cancel".to_owned(),
            1 => "1 resting order has ended".to_owned(),
            count => format!("{count} resting orders have ended"),
        };
        self.end(row, &[], SignalStatus::NothingToDo, None, Some(text))
    }

    /// What is older than a cancel and is not done, of which an order that it names rests or may come to rest.
    fn to_cancel(&self, row: &SignalRow) -> Result<Vec<SignalId>, LedgerError> {
        let mut open = SignalRow::open_before(self.store(), row.product, &row.symbol, row.seq)?;
        open.retain(|of| !of.status.is_final() && row.takes_back(of));
        Ok(open.into_iter().map(|of| of.id).collect())
    }

    /// Goes on with a cancel later, or when something that it names has ended; nothing waits for it.
    fn cancels_on(&self, mut row: SignalRow, left: usize) -> Result<(), LedgerError> {
        let now = self.now();
        row.blocking = false;
        row.due_at =
            now.plus_millis(decide::poll_after(row.received_at, now, 0).max(CANCEL_LOOK_MS));
        row.due_at = row.due_at.min(row.deadline.plus_millis(1));
        if now.since(row.received_at) < TOLD_MS {
            return self.save_due(&row);
        }
        let told = Some(format!(
            "not done yet: the end of {left} of what it cancels is not known"
        ));
        if row.data.message == told {
            return self.save_due(&row);
        }
        row.data.message = told;
        self.save(row)
    }

    async fn plan_dry(
        &self,
        venue: &P::Venue,
        row: SignalRow,
        orders: &[OrderRow],
    ) -> Result<(), LedgerError> {
        match self.draft(venue, &row, &row.data.signal, None).await {
            Ok(draft) if draft.plan.legs.is_empty() => {
                self.nothing_to_do(row, orders, draft.plan.summary)
            }
            Ok(draft) => self.dry_run(row, draft),
            Err(stop) => self.stopped(venue, row, orders, stop).await,
        }
    }

    /// Decides what is opened, once nothing is left to close.
    async fn plan_opening(
        &self,
        venue: &P::Venue,
        mut row: SignalRow,
        orders: &[OrderRow],
        shown: Option<Shown>,
    ) -> Result<(), LedgerError> {
        if let Some(refused) = self.opening_barred(&row, orders)? {
            return self.end_plan(row, orders, refused);
        }
        row.closing = false;
        row.status = SignalStatus::Received;
        if journal::waits_for_older(self.store(), &row)? {
            row.due_at = self.now();
            return self.save(row);
        }
        if self.is_paused()? {
            // What opens waits for the end of a pause as any entry. What only makes the position smaller is an exit.
            let reduction = self.reduction(&row, orders, shown.as_ref())?;
            row.closing = reduction.is_some();
            row.data.exit = reduction.or(row.data.exit);
            row.due_at = self.now();
            return self.save(row);
        }
        let signal = opening_signal(&row, orders);
        // What was read before the close is of no use after it.
        let shown = shown.filter(|_| orders.is_empty());
        match self.draft(venue, &row, &signal, shown).await {
            Ok(draft) if draft.plan.legs.is_empty() => {
                self.venue_answered(Effect::Open)?;
                self.nothing_to_do(row, orders, draft.plan.summary)
            }
            Ok(draft) if !draft.plan.enters() => self.becomes_exit(row, orders, draft),
            Ok(draft) => {
                self.venue_answered(Effect::Open)?;
                self.store_plan(venue, row, orders, draft).await
            }
            Err(stop) => self.stopped(venue, row, orders, stop).await,
        }
    }

    async fn stopped(
        &self,
        venue: &P::Venue,
        mut row: SignalRow,
        orders: &[OrderRow],
        stop: Stop,
    ) -> Result<(), LedgerError> {
        match stop {
            Stop::Lag => {
                row.due_at = self.now().plus_millis(POSITION_RETRY_MS);
                row.held_up = true;
                self.save_due(&row)
            }
            Stop::Refused(refused) => self.end_plan(row, orders, refused),
            Stop::Turned(refused) => match self.reopened(&row, orders, true)? {
                Some(mut exit) => {
                    exit.back_off(self.now());
                    (row.closing, row.held_up, row.due_at) = (true, true, exit.next_at);
                    row.data.exit = Some(exit);
                    self.save(row)
                }
                None => self.end_plan(row, orders, refused),
            },
            Stop::Venue(error) => self.plan_failed(venue, row, orders, error).await,
            Stop::Ledger(error) => Err(error),
        }
    }

    /// Why nothing is opened, whatever the venue would say.
    fn opening_barred(
        &self,
        row: &SignalRow,
        orders: &[OrderRow],
    ) -> Result<Option<Refused>, LedgerError> {
        if let Some(refused) = row.data.opening_refused.clone() {
            return Ok(Some(refused));
        }
        if orders
            .iter()
            .any(|order| order.state == OrderState::Unknown)
        {
            let text =
                "whether the position was closed could not be found out, so nothing is opened";
            return Ok(Some(Refused::new(Code::Unknown, text)));
        }
        if let Some(refused) = self.revoked(row, Effect::Open)? {
            return Ok(Some(refused));
        }
        if let Some(refused) = self.taken_back(row)? {
            return Ok(Some(refused));
        }
        if let Some(side) = opened_side(row, orders)
            && journal::is_superseded(self.store(), row, side)?
        {
            return Ok(Some(superseded()));
        }
        if self.now() > row.deadline {
            return self.stale(row).map(Some);
        }
        Ok(None)
    }

    /// A signal that may only reduce what is there: it closes that and opens nothing.
    fn becomes_exit(
        &self,
        mut row: SignalRow,
        orders: &[OrderRow],
        draft: Draft,
    ) -> Result<(), LedgerError> {
        let Some(leg) = draft.plan.legs.into_iter().next() else {
            return self.nothing_to_do(row, orders, draft.plan.summary);
        };
        let now = self.now();
        let side = draft.position.side;
        let lives = row.data.signal.exit_deadline(row.received_at);
        let mut exit = Exit::new(false, side, now, lives);
        exit.only = true;
        let theirs = self.not_its_own(&row, &draft.position)?;
        let target = matches!(row.data.signal.action, Action::Target(_));
        // A target counts from what is its own; a quantity is as much as it asks for.
        let quantity = if target {
            leg.quantity.minus_or_zero(theirs)
        } else {
            leg.quantity
        };
        let held = draft.position.quantity.minus_or_zero(theirs);
        if quantity.min(held).is_zero() {
            let text =
                "what is held now was opened by newer alerts, or after this signal was taken";
            return self.nothing_to_do(row, orders, text.to_owned());
        }
        exit.newer = row
            .data
            .exit
            .take()
            .map_or_else(Vec::new, |exit| exit.newer);
        exit.held = Some(held);
        exit.quantity = Some(quantity);
        row.data.exit = Some(exit);
        row.data.opening_refused = draft.barrier;
        row.data.notes.push(draft.plan.summary);
        row.closing = true;
        row.status = SignalStatus::Received;
        row.due_at = now;
        self.save(row)
    }

    /// How much of what is held is not a signal's to close: what newer alerts opened, and where the position was not read
    /// in time, what our record did not show when the signal was taken and no entry before it has filled since.
    fn not_its_own(&self, row: &SignalRow, position: &Position) -> Result<Quantity, LedgerError> {
        let Some(exit) = &row.data.exit else {
            return Ok(Quantity::ZERO);
        };
        let held = position.quantity;
        let newer = theirs(self.store(), row, exit, position.side)?.most;
        let Some(record) = exit.record else {
            return Ok(newer);
        };
        if self.now().since(exit.taken_at) <= FIRST_READ_MS {
            return Ok(newer);
        }
        let (side, size) = Holding::split(record);
        let size = if side == position.side {
            size
        } else {
            Quantity::ZERO
        };
        // What they had filled before is in that record, and others may have closed it since.
        let before = match position.side {
            Some(PositionSide::Long) => exit.filled_before.0,
            Some(PositionSide::Short) => exit.filled_before.1,
            None => Quantity::ZERO,
        };
        let mut filled = Quantity::ZERO;
        for (id, _) in &exit.older {
            let older = opened(&OrderRow::of(self.store(), id)?, position.side);
            filled = sum([filled, older].into_iter());
        }
        let unrecorded = held
            .minus_or_zero(size)
            .minus_or_zero(filled.minus_or_zero(before));
        Ok(newer.max(unrecorded))
    }

    /// A target that makes smaller what is held now is a partial exit, and waits for no entry that is held up.
    pub(crate) fn reduction(
        &self,
        row: &SignalRow,
        orders: &[OrderRow],
        shown: Option<&Shown>,
    ) -> Result<Option<Exit>, LedgerError> {
        let Action::Target(target) = row.data.signal.action else {
            return Ok(None);
        };
        let (Some((side, size)), Some(shown)) = (target.position(), shown) else {
            return Ok(None);
        };
        let now = self.now();
        let theirs = self.not_its_own(row, &shown.position)?;
        let held = shown.position.held(side).minus_or_zero(theirs);
        let smaller = held.minus_or_zero(size);
        if smaller.is_zero()
            || !orders.is_empty()
            || shown.hedged
            || self.position_lags(row, &shown.position, now, BELIEVED_MS)?
        {
            return Ok(None);
        }
        let lives = row.data.signal.exit_deadline(row.received_at);
        let mut exit = Exit::new(false, Some(side), now, lives);
        exit.only = true;
        if let Some(before) = &row.data.exit {
            exit.newer.clone_from(&before.newer);
        }
        exit.held = Some(held);
        exit.quantity = Some(smaller);
        Ok(Some(exit))
    }

    async fn draft(
        &self,
        venue: &P::Venue,
        row: &SignalRow,
        signal: &Signal,
        shown: Option<Shown>,
    ) -> Result<Draft, Stop> {
        if self.now() > row.deadline {
            return Err(self.stale(row)?.into());
        }
        let (instrument, old) = self.instrument(venue, row).await?;
        let asked = self.now();
        let position = if let Some(shown) = shown {
            shown.position
        } else {
            self.may_call()?;
            venue.position(row.product, &row.symbol).await?
        };
        if self.position_lags(row, &position, asked, BELIEVED_MS)? {
            return Err(Stop::Lag);
        }
        let price = if needs_market_price(signal) {
            Some(self.market_price(venue, row).await?)
        } else {
            None
        };
        let planned = match plan(signal, &position, &instrument, price) {
            // It may be due to what the venue's rules were.
            Err(_) if old => {
                let instrument = self.read_instrument(venue, row).await?;
                plan(signal, &position, &instrument, price)?
            }
            planned => planned?,
        };
        if !signal.dry_run
            && planned.enters()
            && planned.legs.first().is_some_and(|leg| leg.effect.closes())
        {
            let text = "the position was turned meanwhile; it is not what the signal was about";
            return Err(Stop::Turned(Refused::new(Code::Unsettled, text)));
        }
        let wished = total(&planned);
        let (planned, barrier) = self.restrict(row, planned, &position)?;
        let numbers = self.numbers(venue, row, &planned, price).await?;
        let (planned, limit) =
            match self.within_limits(row, planned.clone(), &position, &numbers)? {
                Ok((allowed, _)) => (allowed, None),
                Err(refused) => (planned.exits_or(&position, refused.clone())?, Some(refused)),
            };
        if let Some(leverage) = signal.leverage
            && planned.enters()
            && !signal.dry_run
            && position.leverage != Some(leverage)
        {
            self.may_call()?;
            self.mark()?;
            let (product, symbol) = (row.product, &row.symbol);
            venue.set_leverage(product, symbol, leverage).await?;
        }
        // What only reduces the position as a whole is kept from nothing.
        let cut = total(&planned) != wished;
        Ok(Draft {
            plan: planned,
            position,
            numbers,
            barrier: barrier.or(limit).filter(|_| cut),
        })
    }

    /// Why a signal waited too long: for the venue, or for the signals before it.
    pub(crate) fn stale(&self, row: &SignalRow) -> Result<Refused, LedgerError> {
        let store = self.store();
        let away = row.attempts > 0 || journal::venue_pause(store)? > self.now();
        Ok(if away {
            Refused::new(
                Code::Unavailable,
                "the venue could not be asked before the signal went stale",
            )
        } else {
            Refused::new(
                Code::Stale,
                "the signal waited longer than its maximal lag, so nothing more of it is sent",
            )
        })
    }

    /// The venue's rules, and whether they are old.
    async fn instrument(
        &self,
        venue: &P::Venue,
        row: &SignalRow,
    ) -> Result<(Instrument, bool), Stop> {
        let known = journal::known_instrument(self.store(), row.product, &row.symbol, self.now())?;
        match known {
            Some(known) => Ok(known),
            None => Ok((self.read_instrument(venue, row).await?, false)),
        }
    }

    async fn read_instrument(&self, venue: &P::Venue, row: &SignalRow) -> Result<Instrument, Stop> {
        self.may_call()?;
        let instrument = venue.instrument(row.product, &row.symbol).await?;
        journal::cache_instrument(self.store(), &instrument, self.now())?;
        Ok(instrument)
    }

    pub(crate) async fn market_price(
        &self,
        venue: &P::Venue,
        row: &SignalRow,
    ) -> Result<Price, Stop> {
        self.may_call()?;
        let ticker = venue.ticker(row.product, &row.symbol).await?;
        Ok(ticker.mark.unwrap_or(ticker.last))
    }

    /// Whether the venue's position does not show our own latest fill yet. An answer is as old as its
    /// question, however long it was on its way.
    pub(crate) fn position_lags(
        &self,
        row: &SignalRow,
        position: &Position,
        asked: Timestamp,
        most_ms: i64,
    ) -> Result<bool, LedgerError> {
        let holding = journal::holding(self.store(), row.product, &row.symbol)?;
        Ok(holding.is_some_and(|known| known.is_ahead_of(position, asked, most_ms)))
    }

    /// Leaves only exits where the kill switch or an unsettled order forbids entries.
    fn restrict(
        &self,
        row: &SignalRow,
        planned: Plan,
        position: &Position,
    ) -> Result<(Plan, Option<Refused>), Stop> {
        let mode = journal::kill_mode(self.store())?;
        let barrier = if mode != KillMode::Off {
            let text = format!(
                "the kill switch is engaged ({}), so the position is not made larger",
                mode.as_str()
            );
            Refused::new(Code::KillSwitch, text)
        } else if journal::unsettled(self.store(), row.product, &row.symbol)? {
            let text = format!(
                "an earlier order on {} could not be found out; settle it before entering again",
                row.symbol
            );
            Refused::new(Code::Unsettled, text)
        } else {
            return Ok((planned, None));
        };
        if !planned.enters() {
            return Ok((planned, None));
        }
        let left = planned.exits_or(position, barrier.clone())?;
        Ok((left, Some(barrier)))
    }

    /// Approves a plan and stores its orders, in one transaction: what one symbol's plan takes of a
    /// limit is taken before another one's is looked at. The first of them goes out at once.
    async fn store_plan(
        &self,
        venue: &P::Venue,
        mut row: SignalRow,
        orders: &[OrderRow],
        draft: Draft,
    ) -> Result<(), LedgerError> {
        let first = u32::try_from(orders.len()).unwrap_or(u32::MAX);
        let Draft {
            plan,
            position,
            numbers,
            ..
        } = draft;
        let signed = journal::signed(&position);
        let (mut refused, mut passed) = (None, None);
        self.commit(|store, now| {
            let allowed = self.within_limits(&row, plan.clone(), &position, &numbers)?;
            let (plan, may_close) = match allowed {
                Ok(allowed) => allowed,
                Err(reason) => {
                    refused = Some(reason);
                    return Ok(());
                }
            };
            row.status = SignalStatus::Planned;
            row.attempts = 0;
            row.due_at = now;
            if let Some(exit) = &mut row.data.exit {
                // The position that it opens by shows nothing of that any more.
                exit.more = Quantity::ZERO;
            }
            row.data.notes.push(plan.summary);
            let by_record = journal::note_position(store, row.product, &row.symbol, signed, now)?;
            for (leg, number) in plan.legs.iter().zip(first..) {
                let mut order = new_order(&row, leg, number, first, now)?;
                order.data.by_record = by_record;
                order.data.may_close = may_close.filter(|_| !leg.effect.closes());
                journal::add_order(store, &mut order, now)?;
                if number == first {
                    let approved = self.pass_planned(&mut row, &mut order, now)?;
                    passed = approved.map(|approved| (approved, order));
                }
            }
            journal::save_signal(store, &mut row, now)
        })?;
        match refused {
            Some(refused) => self.end_plan(row, orders, refused),
            None => self.send_planned(venue, row, passed).await,
        }
    }

    fn dry_run(&self, mut row: SignalRow, draft: Draft) -> Result<(), LedgerError> {
        let planned = draft.plan;
        let before = row.data.opening_refused.clone();
        let refused = before.or(planned.opening_refused).or(draft.barrier);
        row.data.dry_run = planned
            .legs
            .iter()
            .zip(0..)
            .map(|(leg, number)| {
                let order = new_order(&row, leg, number, 0, self.now())?;
                Ok(OrderView {
                    status: "not_sent".to_owned(),
                    ..order.view()
                })
            })
            .collect::<Result<Vec<_>, LedgerError>>()?;
        let Some(refused) = refused else {
            let text = format!("{}; nothing was sent", planned.summary);
            return self.end(row, &[], SignalStatus::DryRun, None, Some(text));
        };
        row.data.incomplete = true;
        let text = format!(
            "only the close would be sent, because {}; nothing was sent",
            refused.message
        );
        self.end(
            row,
            &[],
            SignalStatus::DryRun,
            Some(refused.code),
            Some(text),
        )
    }

    fn nothing_to_do(
        &self,
        row: SignalRow,
        orders: &[OrderRow],
        summary: String,
    ) -> Result<(), LedgerError> {
        let unknown = orders
            .iter()
            .any(|order| order.state == OrderState::Unknown);
        // What the venue refused because nothing was held has done nothing either.
        if !unknown && !decide::any_filled(orders) {
            return self.end(row, orders, SignalStatus::NothingToDo, None, Some(summary));
        }
        let (status, code, message) = decide::outcome(orders);
        let message = with_rest(&row, orders, message);
        self.end(row, orders, status, code, message)
    }

    /// Ends a signal that could not be planned, or not be planned again after a part of it was filled.
    pub(crate) fn end_plan(
        &self,
        mut row: SignalRow,
        orders: &[OrderRow],
        refused: Refused,
    ) -> Result<(), LedgerError> {
        if decide::any_filled(orders) && row.data.exit.is_some() {
            row.data.incomplete = true;
            row.data
                .opening_refused
                .get_or_insert_with(|| refused.clone());
        }
        let unknown = orders
            .iter()
            .any(|order| order.state == OrderState::Unknown);
        let status = if unknown {
            SignalStatus::Unknown
        } else if decide::any_filled(orders) {
            SignalStatus::PartlyFilled
        } else {
            SignalStatus::Refused
        };
        let message = with_rest(&row, orders, Some(refused.message));
        self.end(row, orders, status, Some(refused.code), message)
    }

    /// Fixes the outcome. Where something was traded, recording is left. Where the kill switch refuses what has planned
    /// nothing, its identity is free again, as at the accept: a resend after the switch is off may trade.
    pub(crate) fn end(
        &self,
        mut row: SignalRow,
        orders: &[OrderRow],
        status: SignalStatus,
        code: Option<Code>,
        message: Option<String>,
    ) -> Result<(), LedgerError> {
        let frees = code == Some(Code::KillSwitch) && orders.is_empty();
        row.end(status, code, message);
        row.open = decide::any_filled(orders);
        row.due_at = self.now();
        self.commit(|store, now| {
            if frees {
                journal::free_identity(store, &row)?;
            }
            journal::wake_exits(store, row.product, &row.symbol, row.seq, now)?;
            journal::save_signal(store, &mut row, now)
        })
    }

    /// A venue's error before anything was sent: final, or worth another try while the signal is fresh.
    pub(crate) async fn plan_failed(
        &self,
        venue: &P::Venue,
        mut row: SignalRow,
        orders: &[OrderRow],
        error: VenueError,
    ) -> Result<(), LedgerError> {
        if error.class == ErrorClass::UnknownSymbol {
            let refused = self.unlisted(venue, &row, &error).await?;
            return self.end_plan(row, orders, refused);
        }
        if let Some(code) = decide::final_code(error.class) {
            return self.end_plan(row, orders, Refused::new(code, venue_words(&error)));
        }
        let due = self
            .next_try(venue, row.attempts, &error, Effect::Open)
            .await?;
        if due > row.deadline {
            let text =
                format!("the venue could not be asked before the signal went stale: {error}");
            return self.end_plan(row, orders, Refused::new(Code::Unavailable, text));
        }
        row.attempts = row.attempts.saturating_add(1);
        row.due_at = due;
        self.save_due(&row)
    }

    /// The account cannot be used: its keys are missing, or its venue is not available.
    pub(crate) fn without_venue(
        &self,
        mut row: SignalRow,
        orders: &[OrderRow],
        problem: Problem,
    ) -> Result<(), LedgerError> {
        if row.status == SignalStatus::Received && orders.is_empty() {
            return self.end_plan(row, orders, Refused::new(problem.code, problem.message));
        }
        // Orders may be out: keep looking until the account is usable again.
        row.attempts = row.attempts.saturating_add(1);
        row.due_at = self.now().plus_millis(decide::record_after(row.attempts));
        let told = row.data.message.clone();
        if row.exits() {
            self.tell(&mut row, &problem.message);
        }
        self.save_told(row, told.as_ref())
    }
}

pub(crate) fn new_order(
    row: &SignalRow,
    leg: &Leg,
    number: u32,
    plan: u32,
    now: Timestamp,
) -> Result<OrderRow, LedgerError> {
    let client_order_id = ClientOrderId::for_leg(&row.id, number)
        .map_err(|error| LedgerError::Corrupt(error.to_string()))?;
    Ok(OrderRow {
        signal_id: row.id.clone(),
        leg: number,
        state: OrderState::Planned,
        fence: 0,
        sent_at: None,
        revision: 0,
        indexed: Cell::new((None, true)),
        data: OrderData {
            spec: OrderSpec {
                client_order_id,
                symbol: row.symbol.clone(),
                product: row.product,
                side: leg.side,
                kind: leg.kind,
                quantity: leg.quantity,
                effect: leg.effect,
                leg: None,
                close_all: leg.close_all,
            },
            plan,
            may_close: None,
            doubts: 0,
            refused_at: None,
            by_record: false,
            offset_ms: 0,
            last_sent_at: None,
            seen_at: None,
            cancel_asked_at: None,
            cancels: 0,
            cancel_why: None,
            look_at: None,
            missed_at: None,
            venue_order_id: None,
            filled: Quantity::ZERO,
            average_price: None,
            fee: None,
            fee_currency: None,
            code: None,
            message: None,
            created_at: now,
            updated_at: now,
            recorded: Quantity::ZERO,
            fills: Vec::new(),
        },
    })
}
