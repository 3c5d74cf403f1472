//! A Ledger's object: what it does with each request and with its alarm, whatever platform it runs on.
//!
//! In scope: which other objects are asked before a signal is taken, what an answer waits for and how
//! long, when a run starts. Out of scope: how a request comes in and how another object is reached.

use core::cell::Cell;
use core::fmt;
use core::future::Future;
use core::pin::pin;
use std::rc::Rc;

use futures_util::future::{join, select};
use hoox_auth::Account;
use hoox_exchange::Clock;
use hoox_mesh::envelope::{message, reply, written};
use hoox_mesh::{
    Accept, AcceptReply, AcceptSignal, Answer, Configure, ConfigureLedger, DeadLetters, HandOver,
    KeyReport, LedgerConfig, LedgerHealth, LedgerKey, LedgerKill, LedgerStanding, LedgerState,
    LetterCall, Letters, Passage, Problem, RetireLedger, Route, RowCount, Seen, SeenRequest,
    Served, SignalStatus, SignalView, SweepLedger, TakeOver,
};
use hoox_model::{Code, SignalId, Timestamp};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use crate::accept::Accepted;
use crate::drive::Ledger;
use crate::memory::Unblocked;
use crate::port::{Ports, Store};

/// How long an earlier account may take to say whether it knows an alert, in milliseconds.
pub const SEEN_MS: u32 = 800;
/// How long Control may take to tell a new Ledger what it must know, in milliseconds.
pub const LEARN_MS: u32 = 1_000;
/// How often a waiting request looks at its signal where nothing wakes it, in milliseconds.
pub const LOOK_MS: i64 = 1_000;
/// How long engaging the kill switch waits for orders that are on their way, in milliseconds.
pub const SETTLE_MS: i64 = 10_000;
/// How often it looks, in milliseconds.
pub const SETTLE_LOOK_MS: i64 = 100;
/// When a run is tried again whose storage failed, in milliseconds.
pub const RUN_AGAIN_MS: i64 = 5_000;

/// What a Ledger's object is given beside the ports of the [`Ledger`] in it.
///
/// Messages and what was in the envelope of an answer are JSON text: [`hoox_mesh::envelope`].
#[expect(
    async_fn_in_trait,
    reason = "futures of the Workers platform are not Send, and none of these is spawned"
)]
pub trait LedgerObject: Ports + Clone + 'static {
    /// Asks another account's Ledger. The call ends after `within_ms`.
    ///
    /// # Errors
    /// The callee's [`Problem`], or `NOT_CONFIRMED` where it did not answer.
    async fn ask_ledger(
        &self,
        account: &Account,
        path: &'static str,
        message: &str,
        within_ms: u32,
    ) -> Result<Box<RawValue>, Problem>;

    /// Asks Control. The call ends after `within_ms`.
    ///
    /// # Errors
    /// The callee's [`Problem`], or `NOT_CONFIRMED` where it did not answer.
    async fn ask_control(
        &self,
        path: &'static str,
        message: &str,
        within_ms: u32,
    ) -> Result<Box<RawValue>, Problem>;

    /// The data centre that the account's calls leave from; `None` where it cannot be found out.
    async fn colo(&self, account: &Account) -> Option<String>;

    /// Carries work out beside the answer (`waitUntil`).
    fn aside(&self, work: impl Future<Output = ()> + 'static);

    /// Adds a line to the log about something that failed.
    fn log(&self, line: fmt::Arguments<'_>);

    /// A signal's transaction has run, in this very turn. For an observer only; nothing depends on it.
    fn took(&self, accept: &Accept, signal: &SignalId) {
        let _ = (accept, signal);
    }
}

/// What one instance of a Ledger's object remembers from one event to the next.
#[derive(Debug, Default)]
pub struct LedgerMemory {
    opened: Cell<bool>,
}

impl LedgerMemory {
    /// Whether the tables are open.
    pub const fn is_opened(&self) -> bool {
        self.opened.get()
    }
}

/// A Ledger's object over its ports.
#[derive(Debug, Clone)]
pub struct LedgerService<P> {
    ports: P,
    memory: Rc<LedgerMemory>,
}

impl<P: LedgerObject> LedgerService<P> {
    /// The object of the instance that has this memory.
    pub const fn new(ports: P, memory: Rc<LedgerMemory>) -> Self {
        Self { ports, memory }
    }

    /// Begins an instance: opens the tables, if storage allows.
    pub fn begin(&self) {
        if let Err(problem) = self.open() {
            self.not_opened(&problem);
        }
    }

    /// Opens the tables, and again where that failed before: as long as requests come, no other
    /// instance takes this one's place.
    fn open(&self) -> Result<(), Problem> {
        if !self.memory.opened.get() {
            Ledger::open(self.ports.clone())?;
            self.memory.opened.set(true);
        }
        Ok(())
    }

    fn not_opened(&self, problem: &Problem) {
        self.ports.log(format_args!(
            "the Ledger's tables could not be opened: {problem}"
        ));
    }

    /// The pure Ledger.
    fn ledger(&self) -> Ledger<P> {
        Ledger::attach(self.ports.clone())
    }

    fn now(&self) -> Timestamp {
        self.ports.clock().now()
    }

    /// Serves one request: a route's path and its message.
    pub async fn serve(&self, path: &str, text: &str) -> Served {
        self.ports.budget().refill();
        if let Err(problem) = self.open() {
            return Served::refused(&problem);
        }
        match path {
            AcceptSignal::PATH => {
                let reply = match message::<AcceptSignal>(text) {
                    Ok(accept) => self.accept(&accept).await,
                    Err(problem) => Err(problem),
                };
                Served::of::<AcceptSignal>(&reply)
            }
            ConfigureLedger::PATH => {
                let reply = match message::<ConfigureLedger>(text) {
                    Ok(configure) => self.configure(&configure).await,
                    Err(problem) => Err(problem),
                };
                Served::of::<ConfigureLedger>(&reply)
            }
            Seen::PATH => {
                let reply = message::<Seen>(text).and_then(|seen| self.ledger().seen(&seen));
                Served::of::<Seen>(&reply)
            }
            DeadLetters::PATH => {
                let reply = message::<DeadLetters>(text).and_then(|call| self.letters(&call));
                Served::of::<DeadLetters>(&reply)
            }
            LedgerState::PATH => Served::of::<LedgerState>(&self.health().await),
            LedgerKill::PATH => Served::of::<LedgerKill>(&self.kill()),
            LedgerKey::PATH => Served::of::<LedgerKey>(&self.key().await),
            LedgerStanding::PATH | RetireLedger::PATH | HandOver::PATH | TakeOver::PATH => {
                let reply =
                    message::<LedgerStanding>(text).and_then(|asked| self.passage(path, &asked));
                Served::of::<LedgerStanding>(&reply)
            }
            SweepLedger::PATH => {
                let armed = self.ledger().arm().map_err(Problem::from);
                let swept = armed.and_then(|_| self.swept(text));
                Served::of::<SweepLedger>(&swept)
            }
            _ => Served::refused(&Problem::new(Code::NotFound, "no such route")),
        }
    }

    /// Does what is due. Never fails: a platform that sees an alarm fail six times in a row deletes it
    /// for good.
    pub async fn alarm(&self) {
        self.ports.budget().refill();
        self.ports.store().memory().forget_alarm();
        match self.open() {
            Ok(()) => {
                if self.ledger().not_early().await {
                    self.drive().await;
                }
            }
            Err(problem) => {
                self.not_opened(&problem);
                self.try_later();
            }
        }
    }

    /// Drives, and when storage failed tries to set the alarm again.
    async fn drive(&self) {
        if let Err(error) = self.ledger().drive().await {
            self.ports
                .log(format_args!("a run of the Ledger ended early: {error}"));
            self.try_later();
        }
    }

    /// Drives beside the answer.
    fn drive_aside(&self) {
        let runner = self.clone();
        self.ports.aside(async move { runner.drive().await });
    }

    /// Sets the alarm after storage failed.
    fn try_later(&self) {
        let at = self.now().plus_millis(RUN_AGAIN_MS);
        self.ports.store().memory().forget_alarm();
        if let Err(error) = self.ports.store().set_alarm(at) {
            self.ports
                .log(format_args!("the Ledger's alarm could not be set: {error}"));
        }
    }

    async fn accept(&self, accept: &Accept) -> Answer<AcceptSignal> {
        let ledger = self.ledger();
        if !ledger.is_configured()? {
            self.learn(&ledger, accept).await;
        }
        self.ask_past(accept).await?;
        let accepted = ledger.accept(accept)?;
        self.ports.took(accept, &accepted.id);
        let mut unblocked = self.ports.store().memory().unblocked(&accepted.id);
        self.drive_aside();
        let signal = if accept.wait_ms > 0 {
            self.outcome(&ledger, &mut unblocked, accepted, accept.wait_ms)
                .await?
        } else {
            accepted.view
        };
        // Judged by the switch at its plan, because nobody knew before whether it would reduce.
        if signal.status == SignalStatus::Refused && signal.code == Some(Code::KillSwitch) {
            let text = signal.message.clone().unwrap_or_default();
            return Err(Problem::new(Code::KillSwitch, text).signal(signal));
        }
        Ok(AcceptReply { signal })
    }

    /// A new Ledger asks Control for its configuration and the kill switch. Without an answer it takes
    /// no entry, which the accept decides.
    async fn learn(&self, ledger: &Ledger<P>, accept: &Accept) {
        if let Err(problem) = self.told(ledger, accept).await {
            self.ports.log(format_args!(
                "the Ledger could not learn its configuration: {problem}"
            ));
        }
    }

    async fn told(&self, ledger: &Ledger<P>, accept: &Accept) -> Result<(), Problem> {
        let question = written::<LedgerConfig>(&accept.account.id)?;
        let told = self
            .ports
            .ask_control(LedgerConfig::PATH, &question, LEARN_MS)
            .await?;
        ledger.configure(&reply::<LedgerConfig>(&told)?)?;
        Ok(())
    }

    /// Asks the Ledgers that may have taken the same alert before the manifest changed. From then on
    /// they take nothing decided by an older one, so their word stands.
    async fn ask_past(&self, accept: &Accept) -> Result<(), Problem> {
        if accept.past.is_empty() {
            return Ok(());
        }
        let question = written::<Seen>(&SeenRequest {
            manifest_version: accept.manifest_version,
            sender: accept.sender.clone(),
            identity: accept.identity.clone(),
        })?;
        for account in &accept.past {
            // Each is an external call of this event, and a new generation leaves one more account to ask.
            if !self.ports.budget().take() {
                self.ports
                    .log(format_args!("more accounts are asked than calls were left"));
            }
            let answer = self
                .ports
                .ask_ledger(account, Seen::PATH, &question, SEEN_MS)
                .await?;
            reply::<Seen>(&answer)?;
        }
        Ok(())
    }

    /// Waits until the signal needs no more waiting for, or the time is over.
    async fn outcome(
        &self,
        ledger: &Ledger<P>,
        unblocked: &mut Unblocked,
        accepted: Accepted,
        wait_ms: u32,
    ) -> Result<SignalView, Problem> {
        let until = self.now().plus_millis(i64::from(wait_ms));
        let Accepted { id, mut view } = accepted;
        // A repetition may find that all is done: nothing wakes it then.
        while !view.status.is_final() && self.now() < until {
            let left = until.since(self.now()).min(LOOK_MS);
            select(&mut *unblocked, pin!(self.ports.sleep(left))).await;
            if let Some((present, settled)) = ledger.view(&id)? {
                view = present;
                if settled {
                    break;
                }
            }
        }
        Ok(view)
    }

    /// Engaging the kill switch waits until what was on its way has come to rest.
    async fn configure(&self, configure: &Configure) -> Answer<ConfigureLedger> {
        let ledger = self.ledger();
        let mut report = ledger.configure(configure)?;
        if report.is_settled() {
            return Ok(report);
        }
        self.drive_aside();
        let until = self.now().plus_millis(SETTLE_MS);
        while !report.is_settled() && self.now() < until {
            self.ports.sleep(SETTLE_LOOK_MS).await;
            report = ledger.report(&configure.account.name)?;
        }
        Ok(report)
    }

    /// The account leaves the manifest or gets another Ledger.
    fn passage(&self, path: &str, asked: &Passage) -> Result<Box<RawValue>, Problem> {
        let ledger = self.ledger();
        match path {
            LedgerStanding::PATH => raw(&ledger.standing(asked)?),
            RetireLedger::PATH => raw(&ledger.retire(asked)?),
            HandOver::PATH => ledger.hand_over(asked),
            _ => {
                ledger.take_over(asked)?;
                // What was taken over is carried on at once.
                self.drive_aside();
                raw(&())
            }
        }
    }

    /// What Control has to say of the others' rows, and the own ones; nothing for a Control that does not ask.
    fn swept(&self, text: &str) -> Result<Option<RowCount>, Problem> {
        let Some(asked) = message::<SweepLedger>(text)? else {
            return Ok(None);
        };
        Ok(Some(self.ledger().count_rows(asked.others.as_ref())?))
    }

    fn letters(&self, call: &LetterCall) -> Answer<DeadLetters> {
        let list = self.ledger().letters(call)?;
        Letters::of(&list.items, list.total)
    }

    async fn health(&self) -> Answer<LedgerState> {
        let ledger = self.ledger();
        let health = ledger.health()?;
        let health = match (health, ledger.account()?) {
            (Some(health), Some(account)) => Some(LedgerHealth {
                colo: self.ports.colo(&account).await,
                ..health
            }),
            _ => None,
        };
        raw(&health)
    }

    fn kill(&self) -> Answer<LedgerKill> {
        let ledger = self.ledger();
        let account = ledger.account()?.ok_or_else(|| {
            Problem::new(Code::NotConfirmed, "Control has not told the account yet")
        })?;
        Ok(ledger.report(&account.name)?)
    }

    async fn key(&self) -> Answer<LedgerKey> {
        let ledger = self.ledger();
        let unknown = || Problem::new(Code::NotConfirmed, "Control has not told the account yet");
        let account = ledger.account()?.ok_or_else(unknown)?;
        let (report, colo) = join(ledger.key_report(), self.ports.colo(&account)).await;
        raw(&KeyReport {
            colo,
            ..report?.ok_or_else(unknown)?
        })
    }
}

fn raw(value: &impl Serialize) -> Result<Box<RawValue>, Problem> {
    to_raw_value(value).map_err(|error| Problem::new(Code::Internal, error.to_string()))
}
