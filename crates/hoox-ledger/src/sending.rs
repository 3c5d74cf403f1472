//! Sending an order, and finding out what became of it.

use hoox_exchange::{Ack, ErrorClass, LookUp, Mismatch, Venue, VenueError, matches};
use hoox_mesh::{KillMode, SignalStatus};
use hoox_model::{
    Code, Decimal, Effect, OrderSnapshot, OrderStatus, PositionSide, Side, Timestamp,
};
use hoox_risk::{Approved, Refused, approve};

use crate::decide::{self, LOOK_UP_MS, MAX_SENDS, Next, Verdict};
use crate::drive::{Desk, EXIT_PROBE_MS, shut_out};
use crate::exit::{self, BELIEVED_MS};
use crate::journal::{self, Heard, Holding};
use crate::limits::over_limit;
use crate::poll;
use crate::port::{LedgerError, Ports, Store};
use crate::quota;
use crate::row::{OrderRow, OrderState, SignalRow};

/// Wait before an order is looked up whose send had no clear answer.
const LOOK_SOON_MS: i64 = 250;
/// How long after the venue refused to take an order once more it is still waited for: well beyond the 5 s after
/// which the venue takes no earlier send any more.
const SETTLED_MS: i64 = 10_000;
/// The same while something is live that trades the other way, or of an order that was planned beside another one in
/// doubt, so that our record alone proves nothing: longer than any venue's look-ups are known to lag, counted from
/// the last moment at which an earlier send may still arrive.
const SHOWN_MS: i64 = 66_000;
/// How long after its plan an order may go out that closes all: a pause lets its look at the position and the order itself
/// out ten seconds apart.
const CLOSES_ALL_MS: i64 = 15_000;

/// Calls that must be left for an order that is sent by the step that planned it, and for its look-up.
const SEND_CALLS: u32 = 4;
const LOOK_CALLS: u32 = 2;

/// How long after its plan an order of an exit goes out by that alone.
const PLANNED_MS: i64 = 1_000;

impl<P: Ports> Desk<'_, P> {
    /// Sends an order through the fence, if it may still go out.
    pub(crate) async fn send(
        &self,
        venue: &P::Venue,
        mut row: SignalRow,
        mut order: OrderRow,
    ) -> Result<(), LedgerError> {
        let now = self.now();
        let approved = match self.approve(&row, &order, now)? {
            Ok(approved) => approved,
            Err(refused) => return self.hold_back(row, order, refused),
        };
        // From here to the first poll of the venue's future nothing is awaited: the platform holds the
        // request back until the fence is durable.
        self.commit(|store, now| {
            if !self.pass(&mut row, &mut order, now)? {
                return Err(LedgerError::LeaseLost);
            }
            journal::save_signal(store, &mut row, now)
        })?;
        let answer = venue.place_order(approved.spec()).await;
        self.sent(venue, row, order, answer).await
    }

    /// Has an order through the fence that its plan stores in this transaction, where nothing keeps it from being sent at
    /// once. The signal is to be saved then. What keeps it back is the next step's to say.
    pub(crate) fn pass_planned(
        &self,
        row: &mut SignalRow,
        order: &mut OrderRow,
        now: Timestamp,
    ) -> Result<Option<Approved>, LedgerError> {
        let calls = self.ports.budget().left();
        if calls < SEND_CALLS || shut_out(self.ports).is_some() || self.is_paused()? {
            return Ok(None);
        }
        let Ok(approved) = self.approve(row, order, now)? else {
            return Ok(None);
        };
        Ok(self.pass(row, order, now)?.then_some(approved))
    }

    /// Sends an order in the turn in which it has passed the fence.
    pub(crate) async fn send_planned(
        &self,
        venue: &P::Venue,
        row: SignalRow,
        passed: Option<(Approved, OrderRow)>,
    ) -> Result<(), LedgerError> {
        let Some((approved, order)) = passed else {
            return Ok(());
        };
        let answer = venue.place_order(approved.spec()).await;
        self.sent(venue, row, order, answer).await
    }

    /// Has an order through the fence; the signal is to be saved in the same transaction. Returns whether it may be sent.
    fn pass(
        &self,
        row: &mut SignalRow,
        order: &mut OrderRow,
        now: Timestamp,
    ) -> Result<bool, LedgerError> {
        let (store, lanes) = (self.store(), self.ports.lanes());
        let deadline = row.order_deadline(order.data.spec.effect);
        let opens = opening_side(order.data.spec.side);
        let mut sent = order.clone();
        sent.state = OrderState::Sending;
        sent.fence = order.fence.saturating_add(1);
        if sent.sent_at.is_none() {
            sent.sent_at = Some(now);
            // What was traded since its plan the record does not know.
            sent.data.by_record &= now.since(order.data.created_at) <= PLANNED_MS;
            sent.data.offset_ms = journal::clock_offset(store)?;
        }
        sent.data.last_sent_at = Some(now);
        // In doubt until the venue's answer says otherwise; a crash leaves it so.
        sent.data.doubts = order.data.doubts.saturating_add(1);
        sent.data.refused_at = None;
        sent.data.look_at = None;
        sent.touch(now);
        if !journal::fence(store, lanes, &sent, deadline, opens, row, now)? {
            return Ok(false);
        }
        sent.indexed.set((sent.sent_at, true));
        *order = sent;
        row.status = SignalStatus::Sending;
        row.due_at = now;
        Ok(true)
    }

    fn approve(
        &self,
        row: &SignalRow,
        order: &OrderRow,
        now: Timestamp,
    ) -> Result<Result<Approved, Refused>, LedgerError> {
        let store = self.store();
        let spec = &order.data.spec;
        let opens = opening_side(spec.side);
        if !spec.effect.closes() && journal::is_superseded(store, row, opens)? {
            return Ok(Err(superseded()));
        }
        if let Some(refused) = self.revoked(row, spec.effect)? {
            return Ok(Err(refused));
        }
        // The closing leg of a flip goes to the market, whatever its opening one does.
        if decide::may_rest(spec.kind)
            && let Some(refused) = self.taken_back(row)?
        {
            return Ok(Err(refused));
        }
        // What an exit or the trader wants ended is not sent once more, and not at all where it is not there yet.
        if let Some(why) = &order.data.cancel_why {
            return Ok(Err(Refused::new(Code::Superseded, why.clone())));
        }
        // What the venue closes all of, it closes all of then: it goes out once, while the position that it was planned
        // by still counts. After that it is planned anew.
        let late = now.since(order.data.created_at) > CLOSES_ALL_MS;
        let replaced = || {
            let orders = OrderRow::of(store, &row.id)?;
            Ok::<_, LedgerError>(!exit::may_go_out(row, &orders, order))
        };
        let passed = spec.close_all && (order.fence > 0 || late);
        // What goes out once more, or has waited since its plan, knows nothing of what was opened meanwhile.
        let waited = order.fence > 0 || now.since(order.data.created_at) > PLANNED_MS;
        let theirs = || Ok::<_, LedgerError>(waited && self.takes_theirs(row, order)?);
        let barred = || Ok::<_, LedgerError>(passed || replaced()? || theirs()?);
        // Where nothing is left on its side the venue can only refuse it, which settles that it never arrived.
        if spec.effect.closes() && barred()? && !self.left_nothing(row, order)? {
            let text = "another order of the exit was planned in its place or closed what it was for, or what is held a later signal opened";
            return Ok(Err(Refused::new(Code::Superseded, text)));
        }
        if let Some(refused) = over_limit(store, order)? {
            return Ok(Err(refused));
        }
        let mode = journal::kill_mode(store)?;
        Ok(approve(
            spec.clone(),
            mode,
            row.order_deadline(spec.effect),
            now,
        ))
    }

    /// Why nothing more of a sender is sent: its rights were withdrawn. A full exit that has begun goes on.
    pub(crate) fn revoked(
        &self,
        row: &SignalRow,
        effect: Effect,
    ) -> Result<Option<Refused>, LedgerError> {
        // Asked anew in the turn of the send: the step may have begun before the revocation.
        let config = journal::config(self.store())?;
        if config.is_none_or(|config| config.may_trade(&row.sender, row.data.manifest_version)) {
            return Ok(None);
        }
        let whole = row.data.exit.as_ref().is_some_and(|exit| exit.whole);
        if whole && effect.closes() {
            // The venue took an order of it, or may have.
            let begun = |order: &OrderRow| {
                let there = order.data.venue_order_id.is_some() || order.data.doubts > 0;
                order.data.spec.effect.closes() && there
            };
            if OrderRow::of(self.store(), &row.id)?.iter().any(begun) {
                return Ok(None);
            }
        }
        let text = "the sender's right to trade on this account was withdrawn, so nothing more of it is sent";
        Ok(Some(Refused::new(Code::NotPermitted, text)))
    }

    /// Why an order that would rest is not sent: a `cancel` that was taken later names it, and is not done before it has
    /// ended.
    pub(crate) fn taken_back(&self, row: &SignalRow) -> Result<Option<Refused>, LedgerError> {
        if !decide::may_rest(row.data.signal.order) {
            return Ok(None);
        }
        let newer = SignalRow::open_after(self.store(), row.product, &row.symbol, row.seq)?;
        let cancel = newer.iter().find(|of| of.cancels() && of.takes_back(row));
        Ok(cancel.map(|of| {
            let text = format!("{} took it back before it was sent", of.id);
            Refused::new(Code::Superseded, text)
        }))
    }

    /// An order that may not go out. One that may be at the venue from an earlier send is no refused
    /// one: it is looked up on.
    fn hold_back(
        &self,
        mut row: SignalRow,
        mut order: OrderRow,
        refused: Refused,
    ) -> Result<(), LedgerError> {
        let now = self.now();
        if order.data.doubts > 0 {
            order.state = OrderState::Sending;
            let sent_at = order.sent_at.unwrap_or(now);
            row.due_at = now.plus_millis(decide::poll_after(sent_at, now, 0));
            order.data.look_at = Some(row.due_at);
            row.held_up = true;
        } else {
            order.state = OrderState::Skipped;
            order.data.code = Some(refused.code);
            order.data.message = Some(refused.message);
            row.due_at = now;
            // A try that came to nothing: what keeps the next one back as well is not asked again at once.
            if let Some(exit) = &mut row.data.exit
                && order.data.spec.effect.closes()
            {
                exit.back_off(now);
            }
        }
        self.save_both(row, order)
    }

    /// What the venue's answer to a send means.
    async fn sent(
        &self,
        venue: &P::Venue,
        mut row: SignalRow,
        mut order: OrderRow,
        answer: Result<Ack, VenueError>,
    ) -> Result<(), LedgerError> {
        let error = match answer {
            Ok(ack) => {
                order.state = OrderState::Acknowledged;
                order.data.venue_order_id = Some(ack.venue_order_id);
                order.data.seen_at = Some(self.now());
                order.data.message = None;
                row.attempts = 0;
                row.due_at = self.now();
                self.venue_answered(order.data.spec.effect)?;
                row.follow(&order);
                if self.looks_at_once(&row, &order)? {
                    // Its first look-up tells more: both are stored together. Until then it counts as on its way.
                    return self.look_up(venue, row, order, true).await;
                }
                return self.save_both(row, order);
            }
            Err(error) => error,
        };
        order.data.message = Some(venue_words(&error));
        row.due_at = self.now();
        if error.class.is_definite() {
            order.data.doubts = order.data.doubts.saturating_sub(1);
        }
        let refused_again = error.class == ErrorClass::Rejected && order.data.doubts > 0;
        order.data.refused_at = refused_again.then(|| self.now());
        match decide::verdict(&error, order.data.doubts) {
            Verdict::Rejected(code) => {
                order.state = OrderState::Rejected;
                order.data.code = Some(code);
                // It may be due to what the venue's rules were.
                journal::outdate_instrument(self.store(), row.product, &row.symbol)?;
                self.exit_refused(&mut row, &order)?;
            }
            Verdict::NotDone => {
                // Surely not done: back to planned, and through the fence again while it is fresh.
                let effect = order.data.spec.effect;
                row.due_at = self.next_try(venue, row.attempts, &error, effect).await?;
                row.attempts = row.attempts.saturating_add(1);
                if effect.closes() {
                    row.due_at = row.due_at.max(self.exit_due(&row)?);
                    let words = venue_words(&error);
                    self.tell(&mut row, &words);
                    self.tell_ban(&mut row)?;
                }
                if row.due_at > row.order_deadline(effect) || order.fence >= MAX_SENDS {
                    order.state = OrderState::Rejected;
                    order.data.code = Some(Code::Unavailable);
                    row.due_at = self.now();
                } else {
                    order.state = OrderState::Planned;
                    order.sent_at = None;
                }
            }
            Verdict::Doubt if error.class == ErrorClass::Duplicate => {}
            Verdict::Doubt => {
                self.venue_failed(&error, order.data.spec.effect)?;
                let wait = error.retry_after_ms.unwrap_or(0).max(LOOK_SOON_MS);
                row.due_at = self.now().plus_millis(wait);
                order.data.look_at = Some(row.due_at);
                row.held_up = true;
                if order.data.spec.effect.closes() {
                    self.tell(&mut row, &venue_words(&error));
                    self.tell_ban(&mut row)?;
                }
            }
        }
        self.save_both(row, order)
    }

    /// An order of an exit was refused: the next one is planned from what the venue says then, its rules included.
    fn exit_refused(&self, row: &mut SignalRow, order: &OrderRow) -> Result<(), LedgerError> {
        if !order.data.spec.effect.closes() {
            return Ok(());
        }
        let now = self.now();
        if let Some(exit) = &mut row.data.exit {
            exit.refused = true;
            exit.back_off(now);
        }
        row.held_up = true;
        row.due_at = self.exit_due(row)?;
        let words = order.data.message.clone().unwrap_or_default();
        self.tell(row, &words);
        self.tell_ban(row)
    }

    /// Asks the venue to end an order. Whatever it answers, only the next look-up tells what became of it.
    pub(crate) async fn cancel(
        &self,
        venue: &P::Venue,
        mut row: SignalRow,
        mut order: OrderRow,
    ) -> Result<(), LedgerError> {
        order.data.cancel_asked_at = Some(self.now());
        order.data.cancels = order.data.cancels.saturating_add(1);
        // From now on it is looked up by itself.
        order.data.look_at = None;
        row.due_at = self.now();
        // Stored first: a run that dies in the call does not ask again and again.
        row.follow(&order);
        self.commit(|store, now| {
            journal::mark(store, self.ports.lanes())?;
            order.update(store)?;
            row.update(store, now)
        })?;
        let told = row.data.message.clone();
        let answer = venue.cancel(row.product, &row.symbol, order.id()).await;
        let why = match answer {
            Ok(_) => {
                row.due_at = self.now().plus_millis(LOOK_SOON_MS);
                "an order of it is being taken back".to_owned()
            }
            Err(error) => {
                let tries = order.data.cancels;
                let next = self.next_try(venue, tries, &error, Effect::Close);
                row.due_at = next.await?.min(self.now().plus_millis(EXIT_PROBE_MS));
                venue_words(&error)
            }
        };
        if row.exits() {
            self.tell(&mut row, &why);
            self.tell_ban(&mut row)?;
        }
        self.save_told(row, told.as_ref())
    }

    /// When an order at the venue is looked at again: soon after it was sent or was to be ended, and
    /// at once where the kill switch wants it ended.
    fn next_look(&self, order: &OrderRow, sent_at: Timestamp) -> Result<Timestamp, LedgerError> {
        let now = self.now();
        let since = order
            .data
            .cancel_asked_at
            .map_or(sent_at, |asked| asked.max(sent_at));
        let resting = journal::resting(self.store())?;
        let wait = decide::poll_after(since, now, resting);
        let slow = !order.data.spec.effect.closes() && quota::is_slow(self.store(), now)?;
        let wait = if slow { quota::slowed(wait) } else { wait };
        let look = now.plus_millis(wait);
        let mode = journal::kill_mode(self.store())?;
        Ok(decide::cancel_at(order, mode).map_or(look, |at| look.min(at.max(now))))
    }

    /// Whether the next thing to do is to look up an order that the venue has just taken.
    fn looks_at_once(&self, row: &SignalRow, order: &OrderRow) -> Result<bool, LedgerError> {
        let left_alone = shut_out(self.ports).is_some() || self.is_paused()?;
        if left_alone || self.ports.budget().left() < LOOK_CALLS {
            return Ok(false);
        }
        let orders = OrderRow::of_with(self.store(), order)?;
        let mode = journal::kill_mode(self.store())?;
        let Next::LookUp(index) = decide::next(row, &orders, mode, self.now()) else {
            return Ok(false);
        };
        Ok(orders
            .get(index)
            .is_some_and(|next| next.id() == order.id()))
    }

    /// Asks the venue for an order whose end is not known. Where it has `changed`, because the venue has taken it and that
    /// is not stored yet, it is recorded although the answer tells nothing new.
    pub(crate) async fn look_up(
        &self,
        venue: &P::Venue,
        mut row: SignalRow,
        mut order: OrderRow,
        changed: bool,
    ) -> Result<(), LedgerError> {
        self.hold()?;
        let asked_at = self.now();
        let answer = venue.look_up(row.product, &row.symbol, order.id()).await;
        if let Err(error) = &answer {
            // First of all: what is read next may fail.
            crate::drive::note_ban(self.ports, error)?;
        }
        let (now, before) = (self.now(), order.state);
        let sent_at = order.sent_at.unwrap_or(order.data.created_at);
        row.due_at = self.next_look(&order, sent_at)?;
        if order.is_at_venue() {
            // Unless the answer shows it, from now on.
            order.data.missed_at.get_or_insert(now);
        }
        match answer {
            Ok(LookUp::Found(found)) => {
                self.venue_answered(order.data.spec.effect)?;
                match self.is_ours(&order, &found, sent_at)? {
                    Ok(()) => return self.adopt(row, order, &found, changed),
                    // What the venue has acknowledged or shown is there under the venue's own id: another order says nothing
                    // of it, so it is looked up on.
                    Err(_)
                        if order.data.venue_order_id.is_some()
                            && !is_overdue(&order, sent_at, now) => {}
                    Err(mismatch) => {
                        give_up(
                            &mut order,
                            format!("the venue has an order under this id, but {mismatch}"),
                        );
                        row.due_at = now;
                    }
                }
            }
            Ok(LookUp::NotFound) => self.not_found(venue, &mut row, &mut order, asked_at)?,
            Err(error) => {
                // A look-up that an exit waits for is an exit's call: the pause and a ban say when it may go out.
                let serves = order.data.spec.effect.closes()
                    || order.data.cancel_asked_at.is_some()
                    || journal::is_waited_for(self.store(), &row)?;
                let effect = if serves { Effect::Close } else { Effect::Open };
                let mut next_try = self.next_try(venue, row.attempts, &error, effect).await?;
                if serves {
                    next_try = next_try.min(self.now().plus_millis(EXIT_PROBE_MS));
                }
                // A wrong clock says nothing of the order, and one that the kill switch wants ended is
                // wanted known: neither waits for the next look that its age allows.
                let engaged = journal::kill_mode(self.store())? != KillMode::Off;
                row.due_at = if error.class == ErrorClass::ClockSkew
                    || (engaged && !order.data.spec.effect.closes())
                {
                    next_try
                } else {
                    row.due_at.max(next_try)
                };
                if let Some(at) = given_up_at(&row, &order) {
                    row.due_at = row.due_at.min(at.max(now));
                }
                row.attempts = row.attempts.saturating_add(1);
                // An order that is known to rest teaches nothing by a venue's silence.
                if (row.blocking || row.closing) && is_overdue(&order, sent_at, now) {
                    let text = format!("the venue could not be asked for 10 minutes: {error}");
                    give_up(&mut order, text);
                    row.due_at = now;
                }
            }
        }
        order.data.look_at = Some(row.due_at);
        row.held_up = order.is_in_doubt();
        self.exit_goes_on(&mut row, &order)?;
        let told = row.data.message.clone();
        if row.exits() && !order.state.is_final() {
            self.tell(&mut row, "what became of an order of it is not known yet");
        }
        if !changed && order.state == before && row.data.message == told {
            return self.save_quietly(&mut row, &order);
        }
        self.save_both(row, order)
    }

    /// Gives an order up that the venue could not be asked about in time, because it is left alone.
    pub(crate) fn give_up_unasked(
        &self,
        mut row: SignalRow,
        mut order: OrderRow,
    ) -> Result<(), LedgerError> {
        let text = "the venue could not be asked for 10 minutes; look there and settle it";
        give_up(&mut order, text.to_owned());
        row.due_at = self.now();
        self.save_both(row, order)
    }

    /// Sets when an exit goes on after something was learnt of one of its orders: others may be due before.
    fn exit_goes_on(&self, row: &mut SignalRow, order: &OrderRow) -> Result<(), LedgerError> {
        if !row.exits() {
            return Ok(());
        }
        let now = self.now();
        if order.state.is_final() {
            row.due_at = now;
            if order.state == OrderState::Filled {
                // What it waited for, if it was this order's outcome, is known.
                if let Some(exit) = &mut row.data.exit {
                    exit.next_at = exit.next_at.min(now);
                }
            } else {
                if let Some(exit) = &mut row.data.exit {
                    exit.refused |= order.state == OrderState::Rejected;
                    exit.back_off(now);
                }
                if order.state == OrderState::Rejected {
                    journal::outdate_instrument(self.store(), row.product, &row.symbol)?;
                }
                row.held_up = true;
                let words = order.data.message.clone();
                self.tell(
                    row,
                    words.as_deref().unwrap_or("the venue closed only a part"),
                );
            }
            if !row.blocking {
                row.due_at = now;
                return Ok(());
            }
        }
        let orders = OrderRow::of_with(self.store(), order)?;
        if let Some(due) = exit::next_due(row, &orders) {
            row.due_at = due;
        }
        if !row.blocking && decide::unrecorded(&orders).is_some() {
            // What rests is recorded as it fills.
            row.due_at = now;
        }
        Ok(())
    }

    /// Whether a found order is the one that was sent. One that the venue has acknowledged or shown
    /// before is known by the venue's own id; any other must match in everything, its time by the
    /// venue's clock as it was known at the send or is known now.
    fn is_ours(
        &self,
        order: &OrderRow,
        found: &OrderSnapshot,
        sent_at: Timestamp,
    ) -> Result<Result<(), Mismatch>, LedgerError> {
        if order.data.venue_order_id.as_ref() == Some(&found.venue_order_id) {
            return Ok(Ok(()));
        }
        let at = |offset_ms| matches(&order.data.spec, found, sent_at.plus_millis(offset_ms));
        let now = journal::clock_offset(self.store())?;
        Ok(at(order.data.offset_ms).or_else(|_| at(now)))
    }

    /// Not found proves nothing. Where ids are unique for ever, sending the same order again is safe
    /// while it is fresh; elsewhere, and later, only looking on is left. An order that closes and that the venue
    /// refused to take again is not sent once more where nothing is left for it, and is rejected once no earlier send
    /// of it can arrive any more; where our record alone does not prove that it closed nothing, once it would be shown as
    /// well: something trades the other way, or it was planned by a position that the record did not take over.
    fn not_found(
        &self,
        venue: &P::Venue,
        row: &mut SignalRow,
        order: &mut OrderRow,
        asked_at: Timestamp,
    ) -> Result<(), LedgerError> {
        let now = self.now();
        let sent_at = order.sent_at.unwrap_or(order.data.created_at);
        if let Some(refused_at) = order.data.refused_at
            && self.nothing_by_record(row, order)?
        {
            let (age, alone) = (asked_at.since(refused_at), self.is_one_way(row, order)?);
            let proven = alone && order.data.by_record;
            if age >= if proven { SETTLED_MS } else { SHOWN_MS } {
                order.state = OrderState::Rejected;
                order.data.code = Some(Code::Rejected);
                row.due_at = now;
                return Ok(());
            }
            if alone {
                return Ok(());
            }
        }
        if is_overdue(order, sent_at, now) {
            let text = "the venue did not show the order for 10 minutes; look there and settle it";
            give_up(order, text.to_owned());
            row.due_at = now;
        } else if order.state == OrderState::Sending
            && venue.traits().client_order_ids_unique_for_ever
            && decide::may_resend(now.since(sent_at), order.fence)
            && self.approve(row, order, now)?.is_ok()
        {
            order.state = OrderState::Planned;
            row.due_at = now;
        }
        Ok(())
    }

    /// Whether an order in doubt that closes can have closed nothing.
    fn left_nothing(&self, row: &SignalRow, order: &OrderRow) -> Result<bool, LedgerError> {
        Ok(self.nothing_by_record(row, order)? && self.is_one_way(row, order)?)
    }

    /// Whether an order in doubt that closes can have closed nothing, by our record: what other orders are known to
    /// have filled has left it nothing, and beyond that reduce-only cannot go. What is in doubt is in no record, and no
    /// position that is read is taken over into it meanwhile.
    fn nothing_by_record(&self, row: &SignalRow, order: &OrderRow) -> Result<bool, LedgerError> {
        let spec = &order.data.spec;
        let in_doubt = order.data.doubts > 0 && !order.state.is_final();
        if !spec.effect.closes() || spec.leg.is_some() || !in_doubt {
            return Ok(false);
        }
        let record = journal::holding(self.store(), row.product, &row.symbol)?;
        Ok(record.is_some_and(|known| !reduces(spec.side, Holding::split(known.quantity).0)))
    }

    /// Whether nothing of the symbol is on its way that trades the other way: while something is, the record alone
    /// proves nothing.
    fn is_one_way(&self, row: &SignalRow, order: &OrderRow) -> Result<bool, LedgerError> {
        let live = OrderRow::live(self.store(), row.product, &row.symbol)?;
        Ok(live
            .iter()
            .all(|other| other.data.spec.side == order.data.spec.side))
    }

    /// Takes over what the venue says of our order.
    fn adopt(
        &self,
        mut row: SignalRow,
        mut order: OrderRow,
        found: &OrderSnapshot,
        changed: bool,
    ) -> Result<(), LedgerError> {
        let now = self.now();
        let more = found.filled.minus_or_zero(order.data.filled);
        let before = (order.state, row.status);
        // It rests, or was given up and is asked for once more: a position that was read meanwhile may hold what it filled.
        // So may one that was read before the last look at it, which lagged.
        let seen_at = order.data.seen_at;
        let since = seen_at.map(|seen| seen.plus_millis(BELIEVED_MS.saturating_neg()));
        let given_up = order.data.code == Some(Code::Unknown);
        let since = since.max(order.sent_at);
        let since = since.filter(|_| given_up || !row.blocking);
        take_over(&mut order, found, now);
        if !more.is_zero() || order.data.recorded >= order.data.filled {
            // Otherwise tries to record its fills go on being counted.
            row.attempts = 0;
        }
        if order.state.is_final() {
            row.due_at = now;
        } else {
            let sent_at = order.sent_at.unwrap_or(order.data.created_at);
            row.due_at = self.next_look(&order, sent_at)?;
            row.status = SignalStatus::Acknowledged;
            // A resting order waits for its price; later signals do not wait for it.
            row.blocking = !decide::may_rest(order.data.spec.kind);
            let mode = journal::kill_mode(self.store())?;
            if poll::is_followed(&order, mode, now) {
                poll::rests(self.store(), order.data.spec.effect, now);
                let orders = OrderRow::of_with(self.store(), &order)?;
                if decide::unrecorded(&orders).is_none() {
                    // From now on the account's list shows it.
                    row.due_at = now.plus_millis(poll::RESTS_MS);
                } else if !more.is_zero() {
                    row.due_at = now;
                }
            }
        }
        order.data.look_at = Some(row.due_at);
        let told = row.data.message.clone();
        if order.data.spec.effect.closes() {
            self.exit_goes_on(&mut row, &order)?;
            if !order.state.is_final() && !decide::may_rest(order.data.spec.kind) {
                self.tell(
                    &mut row,
                    "the venue has taken an order of it and not filled all of it yet",
                );
            }
        }
        let same = !changed && (order.state, row.status) == before && row.data.message == told;
        if same && more.is_zero() {
            return self.save_quietly(&mut row, &order);
        }
        row.follow(&order);
        // One that has come to rest is waited for no longer than one that has ended.
        let rests = !row.blocking && before.1 != row.status;
        let wakes = !order.data.spec.effect.closes()
            && (order.state.is_final() || !more.is_zero() || rests);
        let signed = match order.data.spec.side {
            Side::Buy => more.get(),
            Side::Sell => Decimal::ZERO.saturating_sub(more.get()),
        };
        let mut orders = OrderRow::of_with(self.store(), &order)?;
        // With the last of its orders the signal ends, in the same commit.
        let mode = journal::kill_mode(self.store())?;
        let ends = decide::next(&row, &orders, mode, now) == Next::Conclude;
        self.commit(|store, now| {
            // A leg of a symbol in hedge mode is no part of a position that has one side.
            if !signed.is_zero() && order.data.spec.leg.is_none() {
                let fill = Heard {
                    signed,
                    effect: order.data.spec.effect,
                    sent_at: order.sent_at.unwrap_or(now),
                    since,
                };
                journal::add_fill(store, row.product, &row.symbol, fill, now)?;
            }
            if wakes && !ends {
                journal::wake_exits(store, row.product, &row.symbol, row.seq, now)?;
            }
            journal::save_order(store, &mut order, now)?;
            if ends {
                return concluded(store, &mut row, &mut orders, now);
            }
            journal::save_signal(store, &mut row, now)
        })
    }

    /// Fixes the outcome of a signal whose orders have ended, or must not be sent any more.
    pub(crate) fn conclude(
        &self,
        mut row: SignalRow,
        mut orders: Vec<OrderRow>,
    ) -> Result<(), LedgerError> {
        self.commit(|store, now| concluded(store, &mut row, &mut orders, now))
    }
}

/// Writes the outcome of a signal.
fn concluded(
    store: &impl Store,
    row: &mut SignalRow,
    orders: &mut [OrderRow],
    now: Timestamp,
) -> Result<(), LedgerError> {
    let text = "the leg before did not end as it must, so this one was not sent";
    journal::skip_planned(store, orders, text, now)?;
    let (status, code, message) = exit::outcome(row, orders);
    let opened =
        |order: &OrderRow| !order.data.spec.effect.closes() && order.state == OrderState::Filled;
    // A flip is no success unless both of its legs are.
    row.data.incomplete =
        row.data.exit.is_some() && decide::any_filled(orders) && !orders.iter().any(opened);
    row.end(status, code, message);
    row.open = decide::any_filled(orders);
    row.due_at = now;
    journal::wake_exits(store, row.product, &row.symbol, row.seq, now)?;
    journal::save_signal(store, row, now)
}

/// Whether the venue has neither taken nor shown the order for as long as an outcome may be looked up.
fn is_overdue(order: &OrderRow, sent_at: Timestamp, now: Timestamp) -> bool {
    now.since(last_known(order, sent_at)) > LOOK_UP_MS
}

/// When an order was last known to be at the venue or sent there; one that rests until its look-ups missed it first.
fn last_known(order: &OrderRow, sent_at: Timestamp) -> Timestamp {
    let last = order.data.seen_at.map_or(sent_at, |seen| seen.max(sent_at));
    order.data.missed_at.map_or(last, |missed| missed.max(last))
}

/// When an order that is looked up is given up, whether or not the venue may be asked then; `None` where it is known to
/// rest.
pub(crate) fn given_up_at(row: &SignalRow, order: &OrderRow) -> Option<Timestamp> {
    let sent_at = order.sent_at.unwrap_or(order.data.created_at);
    let last = last_known(order, sent_at);
    let rests = order.is_at_venue() && !row.blocking && order.data.missed_at.is_none();
    let followed = (row.blocking || row.closing) && !rests;
    followed.then(|| last.plus_millis(LOOK_UP_MS.saturating_add(1)))
}

fn take_over(order: &mut OrderRow, found: &OrderSnapshot, now: Timestamp) {
    order.state = match found.status {
        OrderStatus::Filled => OrderState::Filled,
        OrderStatus::Cancelled => OrderState::Cancelled,
        OrderStatus::Rejected => OrderState::Rejected,
        OrderStatus::New | OrderStatus::PartiallyFilled if found.filled.is_zero() => {
            OrderState::Acknowledged
        }
        OrderStatus::New | OrderStatus::PartiallyFilled => OrderState::PartlyFilled,
    };
    let data = &mut order.data;
    data.seen_at = Some(now);
    data.missed_at = None;
    data.venue_order_id = Some(found.venue_order_id.clone());
    data.filled = data.filled.max(found.filled);
    data.average_price = found.average_price.or(data.average_price);
    data.fee = found.fee.or(data.fee);
    data.message = None;
    if order.state == OrderState::Cancelled
        && let Some(why) = &data.cancel_why
    {
        data.code = Some(Code::Superseded);
        data.message = Some(why.clone());
    } else if order.state == OrderState::Cancelled && data.cancel_asked_at.is_some() {
        data.code = Some(Code::KillSwitch);
        data.message = Some("cancelled, because the kill switch was engaged".to_owned());
    } else if matches!(order.state, OrderState::Cancelled | OrderState::Rejected) {
        let reason = found.reason.as_deref().unwrap_or("no reason given");
        data.code = Some(Code::Rejected);
        data.message = Some(format!("the venue ended the order: {reason}"));
    }
}

/// Whether an order of this side makes what is held smaller.
fn reduces(order: Side, held: Option<PositionSide>) -> bool {
    held.is_some_and(|held| held.exit_side() == order)
}

/// The side of the position that an order of this side opens.
pub(crate) const fn opening_side(side: Side) -> PositionSide {
    match side {
        Side::Buy => PositionSide::Long,
        Side::Sell => PositionSide::Short,
    }
}

/// Why an entry is not sent although nothing is wrong with it.
pub(crate) fn superseded() -> Refused {
    Refused::new(
        Code::Superseded,
        "an exit that was taken later closes the side that this would open, so it is not sent",
    )
}

fn give_up(order: &mut OrderRow, message: String) {
    order.state = OrderState::Unknown;
    order.data.code = Some(Code::Unknown);
    order.data.message = Some(message);
}

/// A venue's error as a sentence that says what to do.
pub(crate) fn venue_words(error: &VenueError) -> String {
    match error.class {
        ErrorClass::Location => format!(
            "the venue refuses calls from this region: {error}; change the account's locationHint and generation"
        ),
        ErrorClass::Credentials => {
            format!(
                "the venue refuses the API key: {error}; check the key, its rights and its expiry"
            )
        }
        _ => format!("the venue answered: {error}"),
    }
}
