//! The Ledger's Durable Object: events in, the pure Ledger does the rest.

use core::cell::Cell;
use std::rc::Rc;

use futures_util::future::join;
use hoox_exchange::CallBudget;
use hoox_ledger::Ledger as PureLedger;
use hoox_mesh::registry::LEDGER;
use hoox_mesh::{
    Accept, AcceptReply, AcceptSignal, AccountReport, Answer, Configure, ConfigureLedger,
    DeadLetters, KeyReport, LedgerConfig, LedgerHealth, LedgerKey, LedgerState, LetterCall,
    Letters, Problem, Route, Seen, SeenRequest, Sweep,
};
use hoox_model::{Code, SignalId};
use hoox_worker_kit::{
    ObjectStore, Request, answer, call_object, ledger_stub, message, now, sleep,
};
use worker::{DurableObject, Env, Response, Result, State, durable_object};

use crate::control_stub;
use crate::ports::{ObjectPorts, colo_of};

/// How long an earlier account may take to say whether it knows an alert.
const SEEN_MS: u32 = 800;
/// How often a waiting request looks at its signal.
const LOOK_MS: u32 = 15;
/// How long engaging the kill switch waits for orders that are on their way.
const SETTLE_MS: i64 = 10_000;

/// One trading account's Ledger.
#[durable_object(alarm)]
#[derive(Debug)]
pub struct Ledger {
    state: State,
    env: Env,
    store: ObjectStore,
    /// Whether the tables are open.
    opened: Cell<bool>,
    /// What its calls to the venue are taken from between two events.
    budget: Rc<CallBudget>,
}

impl DurableObject for Ledger {
    fn new(state: State, env: Env) -> Self {
        let ledger = Self {
            store: ObjectStore::new(&state),
            state,
            env,
            opened: Cell::new(false),
            budget: Rc::default(),
        };
        if let Err(problem) = ledger.open() {
            worker::console_error!("the Ledger's tables could not be opened: {problem}");
        }
        ledger
    }

    async fn fetch(&self, request: worker::Request) -> Result<Response> {
        self.ports().budget().refill();
        let request = Request::from(request);
        if let Err(problem) = self.open() {
            return answer::<Sweep>(&Err(problem));
        }
        match request.path() {
            AcceptSignal::PATH => {
                let reply = match message::<AcceptSignal>(&request).await {
                    Ok(accept) => self.accept(&accept).await,
                    Err(problem) => Err(problem),
                };
                answer::<AcceptSignal>(&reply)
            }
            ConfigureLedger::PATH => {
                let reply = match message::<ConfigureLedger>(&request).await {
                    Ok(configure) => self.configure(&configure).await,
                    Err(problem) => Err(problem),
                };
                answer::<ConfigureLedger>(&reply)
            }
            Seen::PATH => {
                let reply = match message::<Seen>(&request).await {
                    Ok(seen) => self.pure().seen(&seen),
                    Err(problem) => Err(problem),
                };
                answer::<Seen>(&reply)
            }
            DeadLetters::PATH => {
                let reply = match message::<DeadLetters>(&request).await {
                    Ok(call) => self.letters(&call),
                    Err(problem) => Err(problem),
                };
                answer::<DeadLetters>(&reply)
            }
            LedgerState::PATH => answer::<LedgerState>(&self.health().await),
            LedgerKey::PATH => answer::<LedgerKey>(&self.key().await),
            Sweep::PATH => answer::<Sweep>(&self.pure().arm().map(|_| ()).map_err(Problem::from)),
            _ => answer::<Sweep>(&Err(Problem::new(Code::NotFound, "no such route"))),
        }
    }

    /// Never returns an error: six of them in a row would delete the alarm for good.
    async fn alarm(&self) -> Result<Response> {
        self.ports().budget().refill();
        match self.open() {
            Ok(()) => drive(&self.pure()).await,
            Err(problem) => {
                worker::console_error!("the Ledger's tables could not be opened: {problem}");
                try_later(&self.pure());
            }
        }
        Response::empty()
    }
}

/// Drives, and when storage failed tries to set the alarm again.
async fn drive(ledger: &PureLedger<ObjectPorts>) {
    if let Err(error) = ledger.drive().await {
        worker::console_error!("a run of the Ledger ended early: {error}");
        try_later(ledger);
    }
}

/// Sets the alarm after storage failed.
fn try_later(ledger: &PureLedger<ObjectPorts>) {
    if let Err(error) = hoox_ledger::Store::set_alarm(
        hoox_ledger::Ports::store(ledger.ports()),
        now().plus_millis(5_000),
    ) {
        worker::console_error!("the Ledger's alarm could not be set: {error}");
    }
}

impl Ledger {
    fn ports(&self) -> ObjectPorts {
        ObjectPorts::new(
            self.store.clone(),
            self.env.clone(),
            Rc::clone(&self.budget),
        )
    }

    /// Opens the tables, and again where that failed before: as long as requests come, no other
    /// instance takes this one's place.
    fn open(&self) -> core::result::Result<(), Problem> {
        if !self.opened.get() {
            PureLedger::open(self.ports())?;
            self.opened.set(true);
        }
        Ok(())
    }

    fn pure(&self) -> PureLedger<ObjectPorts> {
        PureLedger::attach(self.ports())
    }

    async fn accept(&self, accept: &Accept) -> Answer<AcceptSignal> {
        let ledger = self.pure();
        if !ledger.is_configured()? {
            self.learn(&ledger, accept).await;
        }
        self.ask_past(accept).await?;
        let accepted = ledger.accept(accept)?;
        let runner = self.pure();
        self.state.wait_until(async move { drive(&runner).await });
        if accept.wait_ms > 0 {
            return self
                .outcome(&ledger, &accepted.id, accepted.view, accept.wait_ms)
                .await;
        }
        Ok(AcceptReply {
            signal: accepted.view,
        })
    }

    /// Asks the Ledgers that may have taken the same alert before the manifest changed. From then on
    /// they take nothing decided by an older one, so their word stands.
    async fn ask_past(&self, accept: &Accept) -> core::result::Result<(), Problem> {
        let question = SeenRequest {
            manifest_version: accept.manifest_version,
            sender: accept.sender.clone(),
            identity: accept.identity.clone(),
        };
        for account in &accept.past {
            let hint = account.location_hint.map_or("", |hint| hint.as_str());
            let stub = ledger_stub(&self.env, &account.ledger_name(), hint).map_err(|error| {
                Problem::new(
                    Code::NotConfirmed,
                    format!("an earlier account cannot be asked: {error}"),
                )
            })?;
            call_object::<Seen>(stub, &question, SEEN_MS).await?;
        }
        Ok(())
    }

    /// Waits until the signal needs no more waiting for, or the time is over.
    async fn outcome(
        &self,
        ledger: &PureLedger<ObjectPorts>,
        id: &SignalId,
        first: hoox_mesh::SignalView,
        wait_ms: u32,
    ) -> Answer<AcceptSignal> {
        let until = now().plus_millis(i64::from(wait_ms));
        let mut view = first;
        while now() < until {
            sleep(LOOK_MS).await;
            if let Some((present, settled)) = ledger.view(id)? {
                view = present;
                if settled {
                    break;
                }
            }
        }
        Ok(AcceptReply { signal: view })
    }

    /// A new Ledger asks Control for its configuration and the kill switch. Without an answer it takes
    /// no entry, which the accept decides.
    async fn learn(&self, ledger: &PureLedger<ObjectPorts>, accept: &Accept) {
        let told = match control_stub(&self.env) {
            Ok(stub) => call_object::<LedgerConfig>(stub, &accept.account.id, 1_000).await,
            Err(error) => Err(Problem::new(Code::NotConfigured, error.to_string())),
        };
        let known = match told {
            Ok(configure) => ledger
                .configure(&configure)
                .map(|_| ())
                .map_err(Problem::from),
            Err(problem) => Err(problem),
        };
        if let Err(problem) = known {
            worker::console_error!("{LEDGER} could not learn its configuration: {problem}");
        }
    }

    fn letters(&self, call: &LetterCall) -> Answer<DeadLetters> {
        let list = self.pure().letters(call)?;
        Letters::of(&list.items, list.total)
    }

    async fn health(&self) -> Answer<LedgerState> {
        let ledger = self.pure();
        let health = ledger.health()?;
        let health = match (health, ledger.account()?) {
            (Some(health), Some(account)) => Some(LedgerHealth {
                colo: colo_of(&account).await,
                ..health
            }),
            _ => None,
        };
        serde_json::value::to_raw_value(&health)
            .map_err(|error| Problem::new(Code::Internal, error.to_string()))
    }

    async fn key(&self) -> Answer<LedgerKey> {
        let ledger = self.pure();
        let unknown = || Problem::new(Code::NotConfirmed, "Control has not told the account yet");
        let account = ledger.account()?.ok_or_else(unknown)?;
        let (report, colo) = join(ledger.key_report(), colo_of(&account)).await;
        let report = KeyReport {
            colo,
            ..report?.ok_or_else(unknown)?
        };
        serde_json::value::to_raw_value(&report)
            .map_err(|error| Problem::new(Code::Internal, error.to_string()))
    }

    /// Engaging the kill switch waits until what was on its way has come to rest.
    async fn configure(&self, configure: &Configure) -> Answer<ConfigureLedger> {
        let ledger = self.pure();
        let mut report: AccountReport = ledger.configure(configure)?;
        if report.is_settled() {
            return Ok(report);
        }
        let runner = self.pure();
        self.state.wait_until(async move { drive(&runner).await });
        let until = now().plus_millis(SETTLE_MS);
        while !report.is_settled() && now() < until {
            sleep(100).await;
            report = ledger.report(&configure.account.name)?;
        }
        Ok(report)
    }
}
