//! Carrying signals out: one bounded step after another, each committed before the next relies on it.

use core::pin::pin;

use futures_util::future::{Fuse, FutureExt};
use futures_util::select_biased;
use futures_util::stream::{FuturesUnordered, StreamExt};
use hoox_auth::Account;
use hoox_exchange::{Clock, ErrorClass, Venue, VenueError};
use hoox_mesh::{AccountReport, Configure, ExitUndone, KillMode, LedgerHealth, SignalView};
use hoox_model::{Effect, Name, SignalId, Timestamp};

use crate::decide::{self, Next};
use crate::exit::{Exit, TOLD_MS, has_to_ask, is_sure_by_now, opens_after};
use crate::flatten;
use crate::journal::{self, Claim, Config};
use crate::lanes::Lease;
use crate::letters;
use crate::outbox;
use crate::planning::Stop;
use crate::port::{LedgerError, Ports, Random, Records, Store, atomic};
use crate::quota;
use crate::row::{OrderRow, SignalRow, at, from_word, select};
use crate::schema;
use crate::sending::given_up_at;

/// Steps of one run; what is left goes on with the alarm.
const MAX_STEPS: usize = 256;
/// Steps in a row in one lane, before other symbols have their turn.
const MAX_LANE_STEPS: usize = 16;
/// Calls to the venue that one step makes at most in the ordinary case; a run ends when fewer are left, and goes on by
/// the alarm, whose event brings new ones.
const STEP_CALLS: u32 = 6;
/// How soon and how late a run looks for what became due while it waits for its calls.
const SHORTEST_LOOK_MS: i64 = 50;
const LONGEST_LOOK_MS: i64 = 9_000;
/// How far a machine's clock may be behind the one that fires alarms.
const EARLY_MS: i64 = 3_000;
/// How often an exit calls a venue that is left alone otherwise.
pub(crate) const EXIT_PROBE_MS: i64 = 10_000;
/// How many calls of a pause are told apart by how long ago they were; so many milliseconds the latest one may be late.
const MOST_TURNS: i64 = 99;
/// How far the venue's clock and those of the machines that this object runs on may be apart where the end of a ban is
/// concerned: another machine may find it over than the one that was told.
const CLOCKS_MS: i64 = 5_000;
/// When a venue is asked again that shuts the account out without saying until when: once in a minute.
const BAN_PROBE_MS: i64 = 61_000;
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
    /// Opens the Ledger as a new instance: brings the schema up to date; no run holds a lane.
    ///
    /// # Errors
    /// [`LedgerError::Store`] where storage failed.
    pub fn open(ports: P) -> Result<Self, LedgerError> {
        let memory = ports.store().memory();
        memory.forget();
        memory.set_meter(quota::Meter::from(ports.store().written()));
        schema::open(ports.store())?;
        ports.lanes().begin();
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
        let revoked_exits = atomic(store, || {
            let revoked = journal::configure(store, self.ports.lanes(), message, now)?;
            if let Some(due) = journal::next_alarm(store, self.ports.lanes(), now)? {
                journal::wake(store, due, now)?;
            }
            Ok(revoked)
        })?;
        Ok(AccountReport {
            revoked_exits,
            ..self.report(&message.account.name)?
        })
    }

    /// How the kill switch stands here.
    ///
    /// # Errors
    /// [`LedgerError`] where storage failed.
    pub fn report(&self, account: &Name) -> Result<AccountReport, LedgerError> {
        let store = self.ports.store();
        Ok(AccountReport {
            account: account.clone(),
            engaged: journal::kill(store)?.is_none_or(|kill| kill.mode != KillMode::Off),
            unreachable: false,
            in_flight: journal::in_flight(store)?,
            resting: journal::resting_entries(store)?,
            flattening: journal::flatten(store)?.is_some_and(|job| !job.is_flat()),
            flatten: flatten::view(store)?,
            revoked_exits: 0,
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
            next_due: self.next_due()?,
            in_flight: journal::in_flight(store)?,
            resting: journal::resting(store)?,
            dead_letters: letters::waiting(store)?,
            undelivered_records: outbox::count(store, false)?,
            refused_records: outbox::count(store, true)?,
            flatten: flatten::view(store)?,
            exits_undone: undone(store, now)?,
            venue_paused_until: (pause > now).then_some(pause),
            clock_offset_ms: journal::clock_offset(store)?,
            location_hint: account.location_hint,
            colo: None,
            rows_today: quota::report(store, now)?,
        }))
    }

    /// When the earliest work is due, whatever it waits for, the next list of open orders included.
    fn next_due(&self) -> Result<Option<Timestamp>, LedgerError> {
        let (store, now) = (self.ports.store(), self.now());
        let poll = journal::youngest_resting(store)?.map(|at| crate::poll::due(store, at, now));
        let poll = poll.transpose()?;
        Ok([journal::earliest_due(store)?, poll]
            .into_iter()
            .flatten()
            .min())
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
        // An exit that only waits for an older entry's outcome holds nothing up, and is mostly done soon.
        let waits = |exit: &Exit| exit.waits && !exit.done;
        let waits = row.data.exit.as_ref().is_some_and(waits) || row.cancels();
        Ok(Some((view, !row.blocking && !waits)))
    }

    /// Does all that is due, delivers records, and sets the alarm for what comes next. Different
    /// symbols are carried out side by side, within the bound on calls in flight.
    ///
    /// # Errors
    /// The first [`LedgerError`] that was met; everything else that was due is done all the same, and
    /// the alarm is set as far as storage allows.
    pub async fn drive(&self) -> Result<Driven, LedgerError> {
        let store = self.ports.store();
        if journal::has_handed_over(store)? {
            return Ok(Driven {
                steps: 0,
                next: None,
            });
        }
        let (mut steps, mut outcome) = (0usize, self.keep_ban());
        outcome = outcome.and(self.mark_day().await);
        let mut running = FuturesUnordered::new();
        // Beside the symbols: what it finds is due at once, and a venue that is slow to list holds nothing up.
        let mut job_runs = journal::flatten(store)?.is_some_and(|job| !job.done);
        let mut job = pin!(if job_runs {
            self.flatten().fuse()
        } else {
            Fuse::terminated()
        });
        let mut poll_runs = false;
        let mut poll = pin!(Fuse::terminated());
        loop {
            if !poll_runs && steps < MAX_STEPS {
                match self.is_poll_due() {
                    Ok(due) => poll_runs = due,
                    Err(error) => outcome = outcome.and(Err(error)),
                }
                if poll_runs {
                    poll.set(self.poll().fuse());
                }
            }
            while steps < MAX_STEPS && self.has_calls() {
                match self.claim() {
                    Ok(Some(claim)) => running.push(self.carry(claim)),
                    Ok(None) => break,
                    Err(error) => {
                        outcome = outcome.and(Err(error));
                        steps = MAX_STEPS;
                        break;
                    }
                }
            }
            if running.is_empty() && !job_runs && !poll_runs {
                break;
            }
            // What becomes due meanwhile does not wait for the slowest call that is under way.
            let look = self.next_look().unwrap_or(LONGEST_LOOK_MS);
            let mut pause = pin!(self.ports.sleep(look).fuse());
            let mut next = running.select_next_some();
            select_biased! {
                done = job => {
                    job_runs = false;
                    outcome = outcome.and(done);
                }
                done = poll => {
                    poll_runs = false;
                    outcome = outcome.and(done);
                }
                (taken, done) = next => {
                    steps = steps.saturating_add(taken);
                    outcome = outcome.and(done);
                }
                () = pause => {}
            }
        }
        let outcome = outcome.and(journal::prune(store, self.now()));
        let outcome = outcome.and(self.deliver().await);
        let outcome = outcome.and(quota::keep(store, self.now()));
        let next = self.arm();
        outcome?;
        Ok(Driven { steps, next: next? })
    }

    /// Stores a ban that storage could not keep when the venue told of it, for the instance after this one.
    fn keep_ban(&self) -> Result<(), LedgerError> {
        let store = self.ports.store();
        let known = self.ports.budget().shut_out_until();
        if known <= journal::venue_ban(store)? {
            return Ok(());
        }
        atomic(store, || journal::set_venue_ban(store, known))
    }

    /// How long a run waits at most before it looks again for what is due, in milliseconds.
    fn next_look(&self) -> Result<i64, LedgerError> {
        let now = self.now();
        let due = journal::next_step(self.ports.store(), self.ports.lanes(), now)?;
        let wait = due.map_or(LONGEST_LOOK_MS, |due| due.since(now));
        Ok(wait.clamp(SHORTEST_LOOK_MS, LONGEST_LOOK_MS))
    }

    /// Waits out an alarm that comes before its time by this machine's clock, because it would come again at once.
    /// Returns whether anything is left to do: an alarm that a signal was taken with may come when all is done.
    pub(crate) async fn not_early(&self) -> bool {
        let now = self.now();
        let Ok(due) = journal::next_alarm(self.ports.store(), self.ports.lanes(), now) else {
            return true;
        };
        let early = due.map(|due| due.since(now));
        if let Some(early) = early.filter(|early| (1..=EARLY_MS).contains(early)) {
            self.ports.sleep(early).await;
        }
        due.is_some()
    }

    /// Sets the alarm to the next due step.
    ///
    /// # Errors
    /// [`LedgerError::Store`] where storage failed.
    pub fn arm(&self) -> Result<Option<Timestamp>, LedgerError> {
        let (store, now) = (self.ports.store(), self.now());
        let next = journal::next_alarm(store, self.ports.lanes(), now)?;
        if let Some(due) = next {
            journal::wake(store, due, now)?;
        }
        Ok(next)
    }

    fn claim(&self) -> Result<Option<Claim>, LedgerError> {
        let (store, now) = (self.ports.store(), self.now());
        journal::claim(store, self.ports.lanes(), now)
    }

    /// Whether a step may still make its calls to the venue.
    fn has_calls(&self) -> bool {
        self.ports.budget().left() >= STEP_CALLS
    }

    /// One step after another of a signal, as long as it is what comes first in its lane. Returns how many there were.
    async fn carry(&self, claim: Claim) -> (usize, Result<(), LedgerError>) {
        let (store, lanes) = (self.ports.store(), self.ports.lanes());
        let plans = claim.is_new();
        let mut claim = claim;
        let mut steps = 1usize;
        let done = loop {
            match self.one_step(&claim).await {
                // Another run owns the lane now, and with it the signal.
                Err(LedgerError::LeaseLost) => return (steps, Ok(())),
                Err(error) => break Err(error),
                Ok(()) => {}
            }
            if steps >= MAX_LANE_STEPS || !self.has_calls() {
                break Ok(());
            }
            match journal::claim_on(store, lanes, claim.lease.clone(), self.now()) {
                // What another signal of the symbol does comes in turn with the other symbols.
                Ok(Some(next)) if next.id == claim.id => claim = next,
                Ok(_) => break Ok(()),
                Err(LedgerError::LeaseLost) => return (steps, Ok(())),
                Err(error) => break Err(error),
            }
            steps = steps.saturating_add(1);
        };
        lanes.release(&claim.lease);
        let done = match done {
            Ok(()) if plans => self.read_old_rules(&claim.lease).await,
            done => done,
        };
        (steps, done)
    }

    /// Reads the venue's rules for the symbol of a lane anew where a plan may have gone by old ones; the lane is free
    /// meanwhile. Where that fails the old ones stay, and the next signal brings another try.
    async fn read_old_rules(&self, worked: &Lease) -> Result<(), LedgerError> {
        let (store, lanes, now) = (self.ports.store(), self.ports.lanes(), self.now());
        let Ok(symbol) = worked.symbol.parse() else {
            return Ok(());
        };
        let product = from_word(&worked.product)?;
        let old =
            journal::known_instrument(store, product, &symbol, now)?.is_some_and(|(_, old)| old);
        let Some(config) = journal::config(store)?.filter(|_| old && self.has_calls()) else {
            return Ok(());
        };
        let paused = left_alone_until(&self.ports, Effect::Open)?.is_some();
        let offset = journal::clock_offset(store)?;
        let venue = self.ports.venue(&config.account, offset).ok();
        let Some(venue) = venue.filter(|_| !paused) else {
            return Ok(());
        };
        let Some(lease) = lanes.take_side("rules", now) else {
            return Ok(());
        };
        let answer = venue.instrument(product, &symbol).await;
        let noted = match answer {
            Ok(instrument) => journal::cache_instrument(store, &instrument, self.now()),
            Err(error) => {
                Desk::new(&self.ports, &lease, &config).venue_failed(&error, Effect::Open)
            }
        };
        lanes.release(&lease);
        noted
    }

    /// One step of a signal. A step that storage or its own rows make impossible is put off, so that
    /// it neither holds up the others nor is tried again at once.
    async fn one_step(&self, claim: &Claim) -> Result<(), LedgerError> {
        let store = self.ports.store();
        let done = self.step(claim).await;
        let put_off = match &done {
            Ok(()) | Err(LedgerError::LeaseLost) => Ok(()),
            Err(LedgerError::Corrupt(_)) => {
                atomic(store, || journal::quarantine(store, &claim.id, self.now()))
            }
            Err(LedgerError::Store(_)) => journal::put_off(store, &claim.id, self.now()),
        };
        done.and(put_off)
    }

    async fn step(&self, claim: &Claim) -> Result<(), LedgerError> {
        let store = self.ports.store();
        let mut row = claim.signal()?;
        let Some(config) = journal::config(store)? else {
            return Err(LedgerError::Corrupt(
                "a signal without an account".to_owned(),
            ));
        };
        let orders = OrderRow::of(store, &row.id)?;
        let desk = Desk::new(&self.ports, &claim.lease, &config);
        let next = decide::next(&row, &orders, journal::kill_mode(store)?, self.now());
        let next = desk.in_a_pause(&row, &orders, next)?;
        match next {
            Next::Conclude => return desk.conclude(row, orders),
            Next::Wait => return desk.wait_for_exit(row, &orders),
            Next::Close => return desk.close(row),
            Next::Plan
            | Next::Send(_)
            | Next::Cancel(_)
            | Next::LookUp(_)
            | Next::RecordFills(_)
            | Next::RecordPosition => {}
        }
        if let Some(until) = desk.paused_until(&mut row, &orders, next)?
            && !desk.is_stale(&row, &orders, next)
        {
            if let Next::LookUp(index) = next
                && let Some(order) = orders.get(index)
                && given_up_at(&row, order).is_some_and(|at| at <= self.now())
            {
                return desk.give_up_unasked(row, order.clone());
            }
            return desk.wait(row, &orders, next, until);
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
            Next::LookUp(index) => desk.look_up(&venue, row, order(index)?, false).await,
            Next::RecordFills(index) => desk.record_fills(&venue, row, order(index)?).await,
            Next::RecordPosition => desk.record_position(&venue, row).await,
            Next::Conclude | Next::Wait | Next::Close => Ok(()),
        }
    }

    async fn deliver(&self) -> Result<(), LedgerError> {
        let store = self.ports.store();
        for _ in 0..MAX_DELIVERIES {
            let delivery = outbox::due(store, self.ports.lanes(), self.now())?;
            // Another Ledger delivers what was handed over.
            if delivery.rows.is_empty()
                || journal::has_handed_over(store)?
                || !self.ports.budget().take()
            {
                break;
            }
            self.ports.lanes().delivers(self.now());
            let answer = self.ports.records().deliver(&delivery.rows).await;
            self.ports.lanes().delivered();
            match answer {
                Ok(refused) => {
                    atomic(store, || outbox::delivered(store, &delivery, &refused))?;
                }
                Err(_) => return atomic(store, || outbox::failed(store, self.now())),
            }
        }
        Ok(())
    }
}

/// Exits that are not done although they were taken a while ago, 50 at most.
fn undone(store: &impl Store, now: Timestamp) -> Result<Vec<ExitUndone>, LedgerError> {
    let found = select(
        store,
        "SELECT id FROM signal WHERE open = 1 AND closing = 1 AND received_at <= +?1 ORDER BY due_at LIMIT 50",
        &[at(now.plus_millis(-TOLD_MS))],
    )?;
    let mut undone = Vec::with_capacity(found.len());
    for cells in &found {
        let Some(row) = SignalRow::readable(store, &cells.parsed(0)?)? else {
            continue;
        };
        if row.cancels() {
            undone.push(ExitUndone {
                signal_id: row.id,
                symbol: row.symbol,
                since: row.received_at,
                reason: row.data.message,
            });
            continue;
        }
        // A signal that may open is one only if what it has to close is surely held.
        let Some(exit) = row.data.exit.clone().filter(|exit| !exit.waits) else {
            continue;
        };
        if row.entry && !is_sure_by_now(store, &row, &exit)? {
            continue;
        }
        undone.push(ExitUndone {
            signal_id: row.id,
            symbol: row.symbol,
            since: exit.taken_at,
            reason: exit.told,
        });
    }
    Ok(undone)
}

/// When an exit is due for the call of a pause at `probe`: a little later, the shorter ago it had one.
pub(crate) fn turn(row: &SignalRow, probe: Timestamp, now: Timestamp) -> Timestamp {
    let ago = row.data.called_at.map_or(MOST_TURNS, |at| {
        let calls = now.since(at).checked_div(EXIT_PROBE_MS);
        calls.unwrap_or(0).clamp(0, MOST_TURNS)
    });
    probe.plus_millis(MOST_TURNS.saturating_sub(ago))
}

/// Notes that the venue shuts the account out, and until when.
pub(crate) fn note_ban<P: Ports>(ports: &P, error: &VenueError) -> Result<(), LedgerError> {
    if error.class != ErrorClass::Banned {
        return Ok(());
    }
    let wait = match error.retry_after_ms {
        Some(stated) => stated.saturating_add(CLOCKS_MS),
        None => BAN_PROBE_MS,
    };
    let until = ports.clock().now().plus_millis(wait);
    // This instance knows it even where storage fails.
    ports.budget().shut_out(until);
    let store = ports.store();
    atomic(store, || journal::set_venue_ban(store, until))
}

/// Until when the venue shuts the account out: nothing is asked of it before, exits included.
pub(crate) fn banned_until<P: Ports>(ports: &P) -> Result<Timestamp, LedgerError> {
    let known = ports.budget().shut_out_until();
    Ok(known.max(journal::venue_ban(ports.store())?))
}

/// When the venue may be called, where that is not now: after a ban, and in a pause. An exit's call may be the one that a
/// pause lets out, which is taken then.
pub(crate) fn left_alone_until<P: Ports>(
    ports: &P,
    effect: Effect,
) -> Result<Option<Timestamp>, LedgerError> {
    let (store, now) = (ports.store(), ports.clock().now());
    let ban = banned_until(ports)?;
    if ban > now {
        return Ok(Some(ban));
    }
    let pause = journal::venue_pause(store)?;
    if pause <= now {
        return Ok(None);
    }
    if !effect.closes() {
        return Ok(Some(pause));
    }
    let probe = journal::exit_probe(store)?;
    if probe > now {
        return Ok(Some(probe));
    }
    journal::set_exit_probe(store, now.plus_millis(EXIT_PROBE_MS))?;
    Ok(None)
}

/// The answer of a venue that shuts the account out, where this instance was told so: a call of another symbol may have
/// been since a step began. It costs no statement: a step begins by what is stored as well ([`banned_until`]).
pub(crate) fn shut_out<P: Ports>(ports: &P) -> Option<VenueError> {
    let (now, until) = (ports.clock().now(), ports.budget().shut_out_until());
    let text = || format!("the venue shuts this account out until {until}");
    (until > now).then(|| VenueError {
        // Noted as a ban it ends when it does.
        retry_after_ms: Some(until.since(now).saturating_sub(CLOCKS_MS).max(0)),
        ..VenueError::new(ErrorClass::Banned, "BANNED", &text())
    })
}

/// Reads the venue's clock where that is what a call failed for; whether it is known now.
pub(crate) async fn put_clock_right<P: Ports>(
    ports: &P,
    venue: &P::Venue,
    error: &VenueError,
) -> Result<bool, LedgerError> {
    if error.class != ErrorClass::ClockSkew || shut_out(ports).is_some() {
        return Ok(false);
    }
    let offset = match venue.sync_clock().await {
        Ok(offset) => offset,
        Err(error) => {
            note_ban(ports, &error)?;
            return Ok(false);
        }
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

impl<'a, P: Ports> Desk<'a, P> {
    pub(crate) const fn new(ports: &'a P, lease: &'a Lease, config: &'a Config) -> Self {
        Self {
            ports,
            lease,
            config,
        }
    }
}

impl<P: Ports> Desk<'_, P> {
    pub(crate) fn now(&self) -> Timestamp {
        self.ports.clock().now()
    }

    pub(crate) fn store(&self) -> &P::Store {
        self.ports.store()
    }

    /// Holds on to the lane before a call to the venue, which ends well within the lease.
    pub(crate) fn hold(&self) -> Result<(), LedgerError> {
        self.ports.lanes().renew(self.lease, self.now())
    }

    /// The write in the turn of a call that changes something at the venue and has none of its own.
    pub(crate) fn mark(&self) -> Result<(), LedgerError> {
        self.commit(|store, _| journal::mark(store, self.ports.lanes()))
    }

    /// [`hold`](Self::hold) before a call of a step that has made others: the venue may have shut the account out
    /// meanwhile.
    pub(crate) fn may_call(&self) -> Result<(), Stop> {
        self.hold()?;
        if self.is_banned()? {
            let until = banned_until(self.ports)?;
            let text = format!("the venue shuts this account out until {until}");
            return Err(VenueError::new(ErrorClass::Unavailable, "BANNED", &text).into());
        }
        Ok(())
    }

    /// The one way a step writes: all of it or nothing, and only while the lane is still its own,
    /// because another run may have taken over during any await.
    pub(crate) fn commit(
        &self,
        mut work: impl FnMut(&P::Store, Timestamp) -> Result<(), LedgerError>,
    ) -> Result<(), LedgerError> {
        let (store, now) = (self.store(), self.now());
        atomic(store, || {
            self.ports.lanes().renew(self.lease, now)?;
            work(store, now)
        })
    }

    /// Commits a signal's change with its record.
    pub(crate) fn save(&self, mut row: SignalRow) -> Result<(), LedgerError> {
        self.commit(|store, now| journal::save_signal(store, &mut row, now))
    }

    /// Commits the change of an order and its signal with their records.
    pub(crate) fn save_both(
        &self,
        mut row: SignalRow,
        mut order: OrderRow,
    ) -> Result<(), LedgerError> {
        row.follow(&order);
        self.commit(|store, now| {
            journal::save_order(store, &mut order, now)?;
            journal::save_signal(store, &mut row, now)
        })
    }

    /// Commits a change that no record shows.
    pub(crate) fn save_quietly(
        &self,
        row: &mut SignalRow,
        order: &OrderRow,
    ) -> Result<(), LedgerError> {
        row.follow(order);
        self.commit(|store, now| {
            order.update(store)?;
            row.update(store, now)
        })
    }

    /// Commits when the next step is due; with the record where it tells something else than `before`.
    pub(crate) fn save_told(
        &self,
        row: SignalRow,
        before: Option<&String>,
    ) -> Result<(), LedgerError> {
        if row.data.message.as_ref() == before {
            return self.save_due(&row);
        }
        self.save(row)
    }

    /// Commits when the next step is due, which no record shows.
    pub(crate) fn save_due(&self, row: &SignalRow) -> Result<(), LedgerError> {
        self.commit(|store, now| row.update(store, now))
    }

    /// Whether a step serves a position's exit, or finds out what became of one or of an entry that one waits for.
    fn is_exit_step(
        &self,
        row: &SignalRow,
        orders: &[OrderRow],
        next: Next,
    ) -> Result<bool, LedgerError> {
        let closes = |index: usize| {
            let order = orders.get(index);
            order.is_some_and(|order| order.data.spec.effect.closes())
        };
        // An exit, the trader's `cancel` or the kill switch wants it ended.
        let cancelled = |index: usize| {
            let order = orders.get(index);
            order.is_some_and(|order| order.data.cancel_asked_at.is_some())
        };
        Ok(match next {
            // A signal that may open is one only if what it has to close is surely held, or only a position tells that.
            Next::Plan => match row.data.exit.as_ref().filter(|exit| !exit.done) {
                Some(exit) => {
                    !opens_after(row)
                        || has_to_ask(row, exit)
                        || is_sure_by_now(self.store(), row, exit)?
                }
                // A cancel that goes on mostly only looks at what became of its orders.
                None => row.cancels() && row.blocking,
            },
            Next::Send(index) => closes(index),
            Next::Cancel(_) => true,
            Next::LookUp(index) => {
                closes(index) || cancelled(index) || journal::is_waited_for(self.store(), row)?
            }
            _ => false,
        })
    }

    /// What comes next while the venue is left alone: an exit waits for what becomes of an order, not for its record.
    fn in_a_pause(
        &self,
        row: &SignalRow,
        orders: &[OrderRow],
        next: Next,
    ) -> Result<Next, LedgerError> {
        if let Next::LookUp(index) = next
            && self.plans_first(row, orders, index)?
        {
            return Ok(Next::Plan);
        }
        let records = matches!(next, Next::RecordFills(_)) && !row.status.is_final();
        if !records || !self.is_paused()? || !journal::is_waited_for(self.store(), row)? {
            return Ok(next);
        }
        let open = orders.iter().position(|order| !order.state.is_final());
        Ok(open.map_or(next, Next::LookUp))
    }

    /// Whether an exit's next plan has waited longer for the one call of a pause than the look-up of an order of it.
    fn plans_first(
        &self,
        row: &SignalRow,
        orders: &[OrderRow],
        index: usize,
    ) -> Result<bool, LedgerError> {
        let exit = row.data.exit.as_ref();
        let goes_on = exit.is_some_and(|exit| !exit.done && !exit.waits);
        if !goes_on || !self.is_paused()? || self.is_banned()? {
            return Ok(false);
        }
        let order = orders.get(index);
        let look = order.map(|order| order.data.look_at.unwrap_or(order.data.created_at));
        let plan = crate::exit::plan_at(row, orders).filter(|at| *at <= self.now());
        let longer = plan.zip(look).is_some_and(|(plan, look)| plan < look);
        Ok(longer && self.is_exit_step(row, orders, Next::Plan)?)
    }

    /// Until when a step has to wait for the venue. In a pause one call of the account's exits goes out every
    /// ten seconds, unless the venue shuts the account out: who had one longest ago comes next.
    fn paused_until(
        &self,
        row: &mut SignalRow,
        orders: &[OrderRow],
        next: Next,
    ) -> Result<Option<Timestamp>, LedgerError> {
        let (store, now) = (self.store(), self.now());
        let ban = banned_until(self.ports)?;
        if ban > now {
            return Ok(Some(ban));
        }
        let pause = journal::venue_pause(store)?;
        if pause <= now {
            return Ok(None);
        }
        if !self.is_exit_step(row, orders, next)? {
            return Ok(Some(pause));
        }
        if next == Next::Plan && self.only_waits(row)? {
            // It calls nobody, so it leaves the pause's call to others.
            return Ok(None);
        }
        let probe = journal::exit_probe(store)?;
        if probe > now {
            // The order that a plan has just made goes before all others.
            let fresh = |index: usize| orders.get(index).is_some_and(|order| order.fence == 0);
            let first = matches!(next, Next::Send(index) if fresh(index));
            let at = if first { probe } else { turn(row, probe, now) };
            return Ok(Some(at));
        }
        journal::set_exit_probe(store, now.plus_millis(EXIT_PROBE_MS))?;
        row.data.called_at = Some(now);
        Ok(None)
    }

    /// Whether a step will only find that its signal has gone stale.
    fn is_stale(&self, row: &SignalRow, orders: &[OrderRow], next: Next) -> bool {
        let deadline = match next {
            Next::Plan => row.life(),
            Next::Send(index) => match orders.get(index) {
                Some(order) => row.order_deadline(order.data.spec.effect),
                None => row.deadline,
            },
            _ => return false,
        };
        self.now() > deadline
    }

    /// Whether the venue shuts the account out at present.
    pub(crate) fn is_banned(&self) -> Result<bool, LedgerError> {
        Ok(banned_until(self.ports)? > self.now())
    }

    /// Whether the venue is left alone at present.
    pub(crate) fn is_paused(&self) -> Result<bool, LedgerError> {
        Ok(journal::venue_pause(self.store())? > self.now())
    }

    /// Waits until the venue may be called again, or until what is not sent yet has gone stale.
    fn wait(
        &self,
        mut row: SignalRow,
        orders: &[OrderRow],
        next: Next,
        until: Timestamp,
    ) -> Result<(), LedgerError> {
        row.due_at = if decide::may_go_stale(next) {
            until.min(row.life().plus_millis(1))
        } else if let Next::LookUp(index) = next
            && let Some(at) = orders.get(index).and_then(|order| given_up_at(&row, order))
        {
            until.min(at)
        } else if row.exits() && matches!(next, Next::RecordFills(_)) {
            // Its record waits, its look-ups do not.
            crate::exit::next_due(&row, orders).map_or(until, |due| until.min(due))
        } else {
            until
        };
        row.held_up = true;
        if row.exits() && self.is_exit_step(&row, orders, next)? {
            let before = row.data.message.clone();
            let banned = banned_until(self.ports)? > self.now();
            let why = if banned {
                format!("the venue shuts this account out until {until}")
            } else {
                "the venue is left alone for a while, because it limits or fails".to_owned()
            };
            self.tell(&mut row, &why);
            if banned {
                row.data.message = Some(format!("not done yet: {why}"));
            }
            return self.save_told(row, before.as_ref());
        }
        self.save_due(&row)
    }

    /// Nothing of an exit is due: it waits for the next moment at which something is.
    fn wait_for_exit(&self, mut row: SignalRow, orders: &[OrderRow]) -> Result<(), LedgerError> {
        let now = self.now();
        let due = crate::exit::next_due(&row, orders).unwrap_or(now);
        row.due_at = due.max(now.plus_millis(1));
        row.held_up = true;
        let told = row.data.exit.as_ref().and_then(|exit| exit.told.clone());
        let before = row.data.message.clone();
        if let Some(told) = told {
            self.tell(&mut row, &told);
        }
        self.save_told(row, before.as_ref())
    }

    /// Notes that the venue failed. One that limits, or that fails again and again, is left alone by
    /// every symbol of the account. An exit that calls in a pause does not lengthen it.
    pub(crate) fn venue_failed(
        &self,
        error: &VenueError,
        effect: Effect,
    ) -> Result<(), LedgerError> {
        let store = self.store();
        if error.class == ErrorClass::Banned {
            note_ban(self.ports, error)?;
        } else if effect.closes() && self.is_paused()? {
            return Ok(());
        }
        if !decide::is_failure(error.class) {
            return self.venue_answered(effect);
        }
        let failures = journal::venue_failures(store)?.saturating_add(1);
        let chance = self.ports.random().bytes()?.first().copied().unwrap_or(0);
        let pause = decide::pause_after(error, failures, chance);
        let until = pause.map(|wait| self.now().plus_millis(wait));
        atomic(store, || journal::note_failure(store, failures, until))
    }

    /// Notes that the venue works. What an exit is answered in a pause lifts nothing.
    pub(crate) fn venue_answered(&self, effect: Effect) -> Result<(), LedgerError> {
        let store = self.store();
        if effect.closes() && self.is_paused()? {
            return Ok(());
        }
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
        effect: Effect,
    ) -> Result<Timestamp, LedgerError> {
        self.venue_failed(error, effect)?;
        if put_clock_right(self.ports, venue, error).await? && attempts == 0 {
            return Ok(self.now());
        }
        let chance = self.ports.random().bytes()?.first().copied().unwrap_or(0);
        let wait = decide::retry_after(attempts, chance, error.retry_after_ms);
        Ok(self.now().plus_millis(wait))
    }
}
