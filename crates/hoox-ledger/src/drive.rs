//! Carrying signals out: one bounded step after another, each committed before the next relies on it.

use futures_util::stream::{FuturesUnordered, StreamExt};
use hoox_auth::Account;
use hoox_exchange::{Clock, ErrorClass, Venue, VenueError};
use hoox_mesh::{AccountReport, Configure, KillMode, LedgerHealth, SignalView};
use hoox_model::{Name, SignalId, Timestamp};

use crate::decide::{self, Next};
use crate::journal::{self, Claim, Config, Lease};
use crate::letters;
use crate::port::{LedgerError, Ports, Random, Records, Store, atomic};
use crate::row::{OrderRow, SignalRow};
use crate::schema;

/// Steps of one run; what is left goes on with the alarm.
const MAX_STEPS: usize = 256;
/// Calls to the venue that one step makes at most: a plan with every limit, and the clock of a call that failed for
/// it. A run takes a step up only while so many are left for it and for each that is under way; what is left goes on
/// by the alarm, whose event brings new ones.
const STEP_CALLS: u32 = 7;
/// Deliveries of one run.
const MAX_DELIVERIES: usize = 20;

/// One trading account's Ledger over its ports.
#[derive(Debug)]
pub struct Ledger<P> {
    ports: P,
}

/// What a run did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Driven {
    /// Steps taken.
    pub steps: usize,
    /// When the next one is due; `None` when nothing is left.
    pub next: Option<Timestamp>,
}

impl<P: Ports> Ledger<P> {
    /// Opens the Ledger as a new instance: brings the schema up to date and voids the leases of the
    /// instance before.
    ///
    /// # Errors
    /// [`LedgerError::Store`] where storage failed.
    pub fn open(ports: P) -> Result<Self, LedgerError> {
        schema::open(ports.store())?;
        Ok(Self { ports })
    }

    /// The Ledger of an instance that has opened it already: the schema stays, and so do the leases of
    /// runs that are under way.
    pub const fn attach(ports: P) -> Self {
        Self { ports }
    }

    /// The ports.
    pub const fn ports(&self) -> &P {
        &self.ports
    }

    fn now(&self) -> Timestamp {
        self.ports.clock().now()
    }

    /// Whether Control has told this Ledger its configuration and the kill switch.
    ///
    /// # Errors
    /// [`LedgerError`] where storage failed.
    pub fn is_configured(&self) -> Result<bool, LedgerError> {
        let store = self.ports.store();
        Ok(journal::kill(store)?.is_some())
    }

    /// Takes over Control's word and reports what is on its way. What the word makes due is due at
    /// once, and the alarm is set for it.
    ///
    /// # Errors
    /// [`LedgerError`] where storage failed: then nothing is confirmed.
    pub fn configure(&self, message: &Configure) -> Result<AccountReport, LedgerError> {
        let (store, now) = (self.ports.store(), self.now());
        atomic(store, || {
            journal::configure(store, message, now)?;
            match journal::next_alarm(store, now)? {
                Some(due) => Ok(store.set_alarm(due)?),
                None => Ok(()),
            }
        })?;
        self.report(&message.account.name)
    }

    /// How the kill switch stands here.
    ///
    /// # Errors
    /// [`LedgerError`] where storage failed.
    pub fn report(&self, account: &Name) -> Result<AccountReport, LedgerError> {
        let store = self.ports.store();
        Ok(AccountReport {
            account: account.clone(),
            engaged: journal::kill_mode(store)? != KillMode::Off,
            unreachable: false,
            in_flight: journal::in_flight(store)?,
            resting: journal::resting_entries(store)?,
            flattening: journal::flatten(store)?.is_some(),
        })
    }

    /// How this Ledger is; `None` where it does not know its account yet. The data centre is the
    /// caller's to find out.
    ///
    /// # Errors
    /// [`LedgerError`] where storage failed.
    pub fn health(&self) -> Result<Option<LedgerHealth>, LedgerError> {
        let (store, now) = (self.ports.store(), self.now());
        let Some(Config {
            account,
            manifest_version,
            ..
        }) = journal::config(store)?
        else {
            return Ok(None);
        };
        let pause = journal::venue_pause(store)?;
        Ok(Some(LedgerHealth {
            account: account.name,
            venue: account.venue,
            environment: account.environment,
            manifest_version,
            kill_switch: journal::kill(store)?.map(|kill| kill.mode),
            open_signals: journal::open_signals(store)?,
            next_due: journal::earliest_due(store)?,
            in_flight: journal::in_flight(store)?,
            resting: journal::resting(store)?,
            dead_letters: letters::waiting(store)?,
            undelivered_records: journal::records(store, false)?,
            refused_records: journal::records(store, true)?,
            venue_paused_until: (pause > now).then_some(pause),
            clock_offset_ms: journal::clock_offset(store)?,
            location_hint: account.location_hint,
            colo: None,
        }))
    }

    /// The account, where it is known.
    ///
    /// # Errors
    /// [`LedgerError`] where storage failed.
    pub fn account(&self) -> Result<Option<Account>, LedgerError> {
        Ok(journal::config(self.ports.store())?.map(|config| config.account))
    }

    /// A signal as answers show it, and whether its trading part needs no more waiting for.
    ///
    /// # Errors
    /// [`LedgerError`] where storage failed.
    pub fn view(&self, id: &SignalId) -> Result<Option<(SignalView, bool)>, LedgerError> {
        let store = self.ports.store();
        let Some(row) = SignalRow::by_id(store, id)? else {
            return Ok(None);
        };
        let view = row.view(&OrderRow::of(store, id)?);
        Ok(Some((view, !row.blocking)))
    }

    /// Does all that is due, delivers records, and sets the alarm for what comes next. Different
    /// symbols are carried out side by side, within the bound on calls in flight.
    ///
    /// # Errors
    /// The first [`LedgerError`] that was met; everything else that was due is done all the same, and
    /// the alarm is set as far as storage allows.
    pub async fn drive(&self) -> Result<Driven, LedgerError> {
        let store = self.ports.store();
        let flattened = self.flatten().await;
        let (mut steps, mut outcome) = (0usize, flattened.and(self.mark_day().await));
        let mut running = FuturesUnordered::new();
        loop {
            while steps < MAX_STEPS && self.has_calls(running.len()) {
                match self.claim() {
                    Ok(Some(claim)) => running.push(self.carry(claim)),
                    Ok(None) => break,
                    Err(error) => {
                        outcome = outcome.and(Err(error));
                        steps = MAX_STEPS;
                        break;
                    }
                }
                steps = steps.saturating_add(1);
            }
            match running.next().await {
                Some(done) => outcome = outcome.and(done),
                None => break,
            }
        }
        let outcome = outcome.and(atomic(store, || journal::prune(store, self.now())));
        let outcome = outcome.and(self.deliver().await);
        let next = self.arm();
        outcome?;
        Ok(Driven { steps, next: next? })
    }

    /// Whether there are calls left for one more step beside those under way.
    fn has_calls(&self, running: usize) -> bool {
        let steps = u32::try_from(running).unwrap_or(u32::MAX).saturating_add(1);
        self.ports.budget().left() >= steps.saturating_mul(STEP_CALLS)
    }

    /// Sets the alarm to the next due step.
    ///
    /// # Errors
    /// [`LedgerError::Store`] where storage failed.
    pub fn arm(&self) -> Result<Option<Timestamp>, LedgerError> {
        let (store, now) = (self.ports.store(), self.now());
        let next = journal::next_alarm(store, now)?;
        if let Some(due) = next {
            store.set_alarm(due)?;
        }
        Ok(next)
    }

    fn claim(&self) -> Result<Option<Claim>, LedgerError> {
        let (store, now) = (self.ports.store(), self.now());
        atomic(store, || {
            journal::claim(store, now, || {
                Ok(hoox_model::sha256_hex(&self.ports.random().bytes()?))
            })
        })
    }

    /// One step of a signal. A step that storage or its own rows make impossible is put off, so that
    /// it neither holds up the others nor is tried again at once.
    async fn carry(&self, claim: Claim) -> Result<(), LedgerError> {
        let store = self.ports.store();
        let done = self.step(&claim).await;
        let put_off = match &done {
            // Another run owns the lane now, and with it the signal.
            Err(LedgerError::LeaseLost) => return Ok(()),
            Ok(()) => Ok(()),
            Err(LedgerError::Corrupt(_)) => {
                atomic(store, || journal::quarantine(store, &claim.id, self.now()))
            }
            Err(LedgerError::Store(_)) => journal::put_off(store, &claim.id, self.now()),
        };
        done.and(put_off).and(claim.lease.release(store))
    }

    async fn step(&self, claim: &Claim) -> Result<(), LedgerError> {
        let store = self.ports.store();
        let row = claim.signal()?;
        let Some(config) = journal::config(store)? else {
            return Err(LedgerError::Corrupt(
                "a signal without an account".to_owned(),
            ));
        };
        let orders = OrderRow::of(store, &row.id)?;
        let desk = Desk {
            ports: &self.ports,
            lease: &claim.lease,
            config: &config,
        };
        let next = decide::next(&row, &orders, journal::kill_mode(store)?, self.now());
        match next {
            Next::Conclude => return desk.conclude(row, orders),
            Next::PlanAgain => return desk.plan_again(row, orders),
            Next::Close => return desk.close(row),
            Next::Plan
            | Next::Send(_)
            | Next::Cancel(_)
            | Next::LookUp(_)
            | Next::RecordFills(_)
            | Next::RecordPosition => {}
        }
        let pause = journal::venue_pause(store)?;
        if pause > self.now() && !decide::is_stale(&row, next, self.now()) {
            return desk.wait(row, next, pause);
        }
        let offset = journal::clock_offset(store)?;
        let venue = match self.ports.venue(&config.account, offset) {
            Ok(venue) => venue,
            Err(problem) => return desk.without_venue(row, &orders, problem),
        };
        let order = |index| {
            let missing = || LedgerError::Corrupt("an order of the plan is missing".to_owned());
            orders.get(index).cloned().ok_or_else(missing)
        };
        match next {
            Next::Plan => desk.plan(&venue, row, &orders).await,
            Next::Send(index) => desk.send(&venue, row, order(index)?).await,
            Next::Cancel(index) => desk.cancel(&venue, row, order(index)?).await,
            Next::LookUp(index) => desk.look_up(&venue, row, order(index)?).await,
            Next::RecordFills(index) => desk.record_fills(&venue, row, order(index)?).await,
            Next::RecordPosition => desk.record_position(&venue, row).await,
            Next::Conclude | Next::PlanAgain | Next::Close => Ok(()),
        }
    }

    async fn deliver(&self) -> Result<(), LedgerError> {
        let store = self.ports.store();
        for _ in 0..MAX_DELIVERIES {
            let delivery = journal::outbox_due(store, self.now())?;
            if delivery.rows.is_empty() || !self.ports.budget().take() {
                break;
            }
            match self.ports.records().deliver(&delivery.rows).await {
                Ok(refused) => {
                    atomic(store, || {
                        journal::outbox_delivered(store, &delivery, &refused)
                    })?;
                }
                Err(_) => return atomic(store, || journal::outbox_failed(store, self.now())),
            }
        }
        Ok(())
    }
}

/// Reads the venue's clock where that is what a call failed for; whether it is known now.
pub(crate) async fn put_clock_right<P: Ports>(
    ports: &P,
    venue: &P::Venue,
    error: &VenueError,
) -> Result<bool, LedgerError> {
    if error.class != ErrorClass::ClockSkew {
        return Ok(false);
    }
    let Ok(offset) = venue.sync_clock().await else {
        return Ok(false);
    };
    journal::set_clock_offset(ports.store(), offset)?;
    Ok(true)
}

/// What a step works with: the ports, the lane it holds, the account.
pub(crate) struct Desk<'a, P> {
    pub(crate) ports: &'a P,
    lease: &'a Lease,
    pub(crate) config: &'a Config,
}

impl<P: Ports> Desk<'_, P> {
    pub(crate) fn now(&self) -> Timestamp {
        self.ports.clock().now()
    }

    pub(crate) const fn lease(&self) -> &Lease {
        self.lease
    }

    pub(crate) fn store(&self) -> &P::Store {
        self.ports.store()
    }

    /// Holds on to the lane before a call to the venue, which ends well within the lease.
    pub(crate) fn hold(&self) -> Result<(), LedgerError> {
        self.lease.renew(self.store(), self.now())
    }

    /// The one way a step writes: all of it or nothing, and only while the lane is still its own,
    /// because another run may have taken over during any await.
    pub(crate) fn commit(
        &self,
        mut work: impl FnMut(&P::Store, Timestamp) -> Result<(), LedgerError>,
    ) -> Result<(), LedgerError> {
        let (store, now) = (self.store(), self.now());
        atomic(store, || {
            self.lease.renew(store, now)?;
            work(store, now)
        })
    }

    /// Commits a signal's change with its record.
    pub(crate) fn save(&self, mut row: SignalRow) -> Result<(), LedgerError> {
        self.commit(|store, now| journal::save_signal(store, &self.config.account, &mut row, now))
    }

    /// Commits the change of an order and its signal with their records.
    pub(crate) fn save_both(
        &self,
        mut row: SignalRow,
        mut order: OrderRow,
    ) -> Result<(), LedgerError> {
        self.commit(|store, now| {
            journal::save_order(store, &self.config.account, &mut order, now)?;
            journal::save_signal(store, &self.config.account, &mut row, now)
        })
    }

    /// Commits a change that no record shows.
    pub(crate) fn save_quietly(
        &self,
        row: &SignalRow,
        order: &OrderRow,
    ) -> Result<(), LedgerError> {
        self.commit(|store, _| {
            order.update(store)?;
            row.update(store)
        })
    }

    /// Commits when the next step is due, which no record shows.
    pub(crate) fn save_due(&self, row: &SignalRow) -> Result<(), LedgerError> {
        self.commit(|store, _| row.update(store))
    }

    /// Waits until the venue may be called again, or until what is not sent yet has gone stale.
    fn wait(&self, mut row: SignalRow, next: Next, until: Timestamp) -> Result<(), LedgerError> {
        row.due_at = if decide::may_go_stale(next) {
            until.min(row.deadline.plus_millis(1))
        } else {
            until
        };
        self.save_due(&row)
    }

    /// Notes that the venue failed. One that limits, or that fails again and again, is left alone by
    /// every symbol of the account.
    pub(crate) fn venue_failed(&self, error: &VenueError) -> Result<(), LedgerError> {
        // A call that was not made says nothing about the venue.
        if error.code == VenueError::NOT_SENT {
            return Ok(());
        }
        if !decide::is_failure(error.class) {
            return self.venue_answered();
        }
        let store = self.store();
        let failures = journal::venue_failures(store)?.saturating_add(1);
        let chance = self.ports.random().bytes()?.first().copied().unwrap_or(0);
        let pause = decide::pause_after(error, failures, chance);
        let until = pause.map(|wait| self.now().plus_millis(wait));
        atomic(store, || journal::note_failure(store, failures, until))
    }

    /// Notes that the venue works.
    pub(crate) fn venue_answered(&self) -> Result<(), LedgerError> {
        let store = self.store();
        if journal::venue_failures(store)? > 0 {
            journal::forget_failures(store)?;
        }
        Ok(())
    }

    /// When a step that failed is tried again; a clock that is off is put right first.
    pub(crate) async fn next_try(
        &self,
        venue: &P::Venue,
        attempts: u32,
        error: &VenueError,
    ) -> Result<Timestamp, LedgerError> {
        self.venue_failed(error)?;
        if put_clock_right(self.ports, venue, error).await? && attempts == 0 {
            return Ok(self.now());
        }
        let chance = self.ports.random().bytes()?.first().copied().unwrap_or(0);
        let wait = decide::retry_after(attempts, chance, error.retry_after_ms);
        Ok(self.now().plus_millis(wait))
    }
}
