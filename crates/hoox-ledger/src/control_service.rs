//! Control's object: what it does with each request and with its alarm, whatever platform it runs on.
//!
//! In scope: the order in which Ledgers and gateways are told, what becomes of those that do not answer,
//! what the operator hears. Out of scope: how a request comes in and how a Ledger is reached.

use core::fmt;

use futures_util::future::join_all;
use hoox_auth::{Account, Manifest, Published, SenderChange};
use hoox_exchange::Clock;
use hoox_mesh::envelope::{message, reply, written};
use hoox_mesh::{
    AccountReport, Answer, ChangeSenders, Configure, ConfigureLedger, DeadLetters, GetHealth,
    GetKeys, GetKill, GetManifest, KillReport, LedgerConfig, LedgerKey, LedgerReports, LedgerState,
    LetterCall, Letters, ManifestReply, Problem, PutKill, PutManifest, Route, Served, SetKill,
    Sweep, Worker,
};
use hoox_model::{AccountId, Code, RequestId, Timestamp};
use hoox_store::audit::{AuditEntry, AuditEvent};
use serde_json::value::RawValue;

use crate::control::{Control, PUBLISH_AGAIN_MS};
use crate::port::Store;

/// How long a Ledger may take that waits for orders on their way ([`SETTLE_MS`](crate::SETTLE_MS)), in
/// milliseconds.
pub const LEDGER_MS: u32 = 12_000;
/// How long a Ledger may take that asks its venue twice, 8 s each, in milliseconds.
pub const KEYS_MS: u32 = 18_000;
/// The message of a route that has none.
const NOTHING: &str = "null";

/// What Control's object is given.
///
/// Messages and what was in the envelope of an answer are JSON text: [`hoox_mesh::envelope`].
#[expect(
    async_fn_in_trait,
    reason = "futures of the Workers platform are not Send, and none of these is spawned"
)]
pub trait ControlObject {
    /// Storage.
    type Store: Store;
    /// Time.
    type Clock: Clock;

    /// Storage.
    fn store(&self) -> &Self::Store;
    /// Time.
    fn clock(&self) -> &Self::Clock;
    /// A new request id.
    fn request_id(&self) -> RequestId;

    /// Asks an account's Ledger. The call ends after `within_ms`.
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

    /// The published document as the gateways' configuration holds it; `None` where there is none or it
    /// cannot be read.
    async fn read_published(&self) -> Option<String>;

    /// Writes the published document to the gateways' configuration; whether that is certain.
    async fn write_published(&self, text: &str) -> bool;

    /// Adds entries to the audit trail, beside the answer.
    fn note(&self, id: RequestId, entries: Vec<AuditEntry>);

    /// Adds a line to the log about something that failed.
    fn log(&self, line: fmt::Arguments<'_>);
}

/// Control's object over its ports.
#[derive(Debug)]
pub struct ControlService<P> {
    ports: P,
}

impl<P: ControlObject> ControlService<P> {
    /// Control's object.
    pub const fn new(ports: P) -> Self {
        Self { ports }
    }

    /// Serves one request: a route's path and its message, and the id that the request carries.
    pub async fn serve(&self, path: &str, text: &str, asked: Option<RequestId>) -> Served {
        self.import().await;
        match path {
            GetManifest::PATH => Served::of::<GetManifest>(&self.manifest()),
            PutManifest::PATH => {
                let reply = match message::<PutManifest>(text) {
                    Ok(manifest) => self.put_manifest(&manifest).await,
                    Err(problem) => Err(problem),
                };
                Served::of::<PutManifest>(&reply)
            }
            ChangeSenders::PATH => {
                let reply = match message::<ChangeSenders>(text) {
                    Ok(change) => self.change_senders(&change).await,
                    Err(problem) => Err(problem),
                };
                Served::of::<ChangeSenders>(&reply)
            }
            GetKill::PATH => {
                Served::of::<GetKill>(&self.control().and_then(|pure| Ok(pure.kill()?)))
            }
            PutKill::PATH => {
                let reply = match message::<PutKill>(text) {
                    Ok(change) => self.put_kill(&change, asked).await,
                    Err(problem) => Err(problem),
                };
                Served::of::<PutKill>(&reply)
            }
            LedgerConfig::PATH => {
                let reply = message::<LedgerConfig>(text).and_then(|id| self.ledger_config(&id));
                Served::of::<LedgerConfig>(&reply)
            }
            DeadLetters::PATH => {
                let reply = match message::<DeadLetters>(text) {
                    Ok(call) => self.letters(&call).await,
                    Err(problem) => Err(problem),
                };
                Served::of::<DeadLetters>(&reply)
            }
            GetHealth::PATH => {
                let reports = self.reports(LedgerState::PATH, None, LEDGER_MS).await;
                Served::of::<GetHealth>(&reports)
            }
            GetKeys::PATH => {
                let reply = match message::<GetKeys>(text) {
                    Ok(account) => {
                        self.reports(LedgerKey::PATH, account.as_ref(), KEYS_MS)
                            .await
                    }
                    Err(problem) => Err(problem),
                };
                Served::of::<GetKeys>(&reply)
            }
            Sweep::PATH => Served::of::<Sweep>(&self.sweep().await),
            _ => Served::refused(&Problem::new(Code::NotFound, "no such route")),
        }
    }

    /// Publishes again what could not be published at once.
    pub async fn alarm(&self) {
        self.publish().await;
    }

    /// The pure Control.
    fn control(&self) -> Result<Control<'_, P::Store>, Problem> {
        Ok(Control::open(self.ports.store())?)
    }

    fn now(&self) -> Timestamp {
        self.ports.clock().now()
    }

    fn manifest(&self) -> Answer<GetManifest> {
        Ok(ManifestReply::new(self.control()?.published()?, true))
    }

    /// At first start Control takes over the manifest that an installation already has.
    async fn import(&self) {
        let Ok(control) = self.control() else { return };
        if !matches!(control.published(), Ok(None)) {
            return;
        }
        let text = self.ports.read_published().await;
        let Some(published) = text.and_then(|text| Published::parse(&text).ok()) else {
            return;
        };
        if let Err(error) = control.import(&published) {
            self.ports.log(format_args!(
                "the published manifest was not taken over: {error}"
            ));
        }
    }

    async fn put_manifest(&self, manifest: &Manifest) -> Answer<PutManifest> {
        self.control()?.put_manifest(manifest, self.now())?;
        self.publish_manifest().await
    }

    async fn change_senders(&self, change: &SenderChange) -> Answer<ChangeSenders> {
        self.control()?.change_senders(change, self.now())?;
        self.publish_manifest().await
    }

    async fn publish_manifest(&self) -> Answer<PutManifest> {
        let delivered = self
            .publish()
            .await
            .iter()
            .all(|report| !report.unreachable);
        Ok(ManifestReply::new(self.control()?.published()?, delivered))
    }

    async fn put_kill(&self, change: &SetKill, asked: Option<RequestId>) -> Answer<PutKill> {
        let state = self.control()?.set_kill(change, self.now())?;
        let accounts = self.publish().await;
        let id = asked.unwrap_or_else(|| self.ports.request_id());
        let reached = accounts.iter().filter(|account| !account.unreachable);
        let entries = reached.map(|account| self.applied(&id, change, account));
        self.ports.note(id.clone(), entries.collect());
        Ok(KillReport { state, accounts })
    }

    /// What the audit trail says of an account that has taken over the kill switch.
    fn applied(&self, id: &RequestId, change: &SetKill, account: &AccountReport) -> AuditEntry {
        let detail = format!(
            "{} at {}; orders on their way: {}, resting entries: {}",
            change.mode.as_str(),
            account.account,
            account.in_flight,
            account.resting
        );
        let event = AuditEvent::KillSwitchApplied;
        AuditEntry {
            request_id: Some(id.clone()),
            detail: Some(detail.into()),
            ..AuditEntry::new(self.now(), event, Worker::Trade.name())
        }
    }

    fn ledger_config(&self, account: &AccountId) -> Answer<LedgerConfig> {
        let ledgers = self.control()?.ledgers()?;
        ledgers
            .into_iter()
            .find(|ledger| ledger.account.id == *account)
            .ok_or_else(|| {
                Problem::new(
                    Code::NotPermitted,
                    format!("account '{account}' is not in the manifest"),
                )
            })
    }

    /// Tells every Ledger first, then the gateways: whoever reads the new manifest finds Ledgers that
    /// know it. What could not be told is told again by the alarm.
    async fn publish(&self) -> Vec<AccountReport> {
        let ledgers = match self.control().and_then(|control| Ok(control.ledgers()?)) {
            Ok(ledgers) => ledgers,
            Err(problem) => {
                self.ports
                    .log(format_args!("nothing was published: {problem}"));
                self.retry();
                return Vec::new();
            }
        };
        let reports = join_all(ledgers.iter().map(|ledger| self.tell(ledger))).await;
        let written = self.tell_gateways().await;
        if !written || reports.iter().any(|report| report.unreachable) {
            self.retry();
        }
        reports
    }

    async fn tell(&self, ledger: &Configure) -> AccountReport {
        let told = self.ask::<ConfigureLedger>(&ledger.account, ledger).await;
        told.unwrap_or_else(|problem| {
            self.ports.log(format_args!(
                "account '{}' was not told: {problem}",
                ledger.account.name
            ));
            AccountReport::unreachable(ledger.account.name.clone())
        })
    }

    async fn tell_gateways(&self) -> bool {
        let published = self.control().and_then(|control| Ok(control.published()?));
        let Ok(Some(published)) = published else {
            return true;
        };
        match serde_json::to_string(&published) {
            Ok(text) => self.ports.write_published(&text).await,
            Err(_) => false,
        }
    }

    fn retry(&self) {
        let at = self.now().plus_millis(PUBLISH_AGAIN_MS);
        if let Err(error) = self.ports.store().set_alarm(at) {
            self.ports
                .log(format_args!("Control's alarm could not be set: {error}"));
        }
    }

    async fn ask<R: Route>(&self, account: &Account, message: &R::Request) -> Answer<R> {
        let text = written::<R>(message)?;
        let answer = self.ports.ask_ledger(account, R::PATH, &text, LEDGER_MS);
        reply::<R>(&answer.await?)
    }

    /// The accounts of all Ledgers, or the one.
    fn accounts(&self, only: Option<&AccountId>) -> Result<Vec<Account>, Problem> {
        let ledgers = self.control()?.ledgers()?;
        let accounts = ledgers.into_iter().map(|ledger| ledger.account);
        Ok(accounts
            .filter(|account| only.is_none_or(|id| *id == account.id))
            .collect())
    }

    /// Asks the Ledgers of all accounts, or of one.
    async fn letters(&self, call: &LetterCall) -> Answer<DeadLetters> {
        let asked = self.accounts(call.account.as_ref())?;
        let answers = asked
            .iter()
            .map(|account| self.ask::<DeadLetters>(account, call));
        let answers = join_all(answers).await;
        let mut all = Letters::default();
        for (account, answer) in asked.iter().zip(answers) {
            match answer {
                Ok(letters) => all.add(letters),
                Err(problem) if problem.code == Code::NotConfirmed => {
                    all.unreachable.push(account.name.clone());
                }
                Err(problem) => return Err(problem),
            }
        }
        all.found(call)
    }

    /// What the Ledgers of all accounts, or of one, say to a question without a message.
    async fn reports(
        &self,
        path: &'static str,
        only: Option<&AccountId>,
        within_ms: u32,
    ) -> Result<LedgerReports, Problem> {
        let asked = self.accounts(only)?;
        let answers = asked
            .iter()
            .map(|account| self.ports.ask_ledger(account, path, NOTHING, within_ms));
        let answers = join_all(answers).await;
        let mut reports = LedgerReports::default();
        for (account, answer) in asked.iter().zip(answers) {
            match answer {
                Ok(report) => reports.accounts.push(report),
                Err(_) => reports.unreachable.push(account.name.clone()),
            }
        }
        Ok(reports)
    }

    async fn sweep(&self) -> Answer<Sweep> {
        let asked = self.accounts(None)?;
        join_all(asked.iter().map(async |account| {
            if let Err(problem) = self.ask::<Sweep>(account, &()).await {
                self.ports.log(format_args!(
                    "account '{}' was not swept: {problem}",
                    account.name
                ));
            }
        }))
        .await;
        Ok(())
    }
}
