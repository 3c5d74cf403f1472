//! Control's object: what it does with each request and with its alarm, whatever platform it runs on.
//!
//! In scope: the order in which Ledgers and gateways are told, what becomes of those that do not answer,
//! what the operator hears. Out of scope: how a request comes in and how a Ledger is reached.

use core::cell::Cell;
use core::fmt;

use futures_util::future::join_all;
use hoox_auth::{Account, Manifest, OperatorChange, Operators, Published, SenderChange};
use hoox_exchange::Clock;
use hoox_mesh::envelope::{message, reply, written};
use hoox_mesh::{
    AccountReport, Answer, ChangeOperators, ChangeSenders, Configure, ConfigureLedger, DeadLetters,
    ForceManifest, GetHealth, GetKeys, GetKill, GetManifest, HandOver, KeepRefusal, KillReport,
    LedgerConfig, LedgerKey, LedgerKill, LedgerReports, LedgerStanding, LedgerState, LetterCall,
    Letters, ListRefusals, MAX_REASON, ManifestReply, Passage, Problem, PutKill, PutManifest,
    RetireLedger, Route, RowCount, RowsOfOthers, RowsToday, Served, SetKill, Standing, Sweep,
    SweepLedger, SweepRequest, TakeOver, Worker,
};
use hoox_model::{AccountId, Code, RequestId, Timestamp};
use hoox_store::audit::{AuditEntry, AuditEvent};
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};

use crate::control::{
    Control, ControlError, PUBLISH_AGAIN_MS, Passages, Pending, configured, replaced, retired,
    under_way,
};
use crate::handover::HOLD_MS;
use crate::port::{LedgerError, Store};
use crate::quota;

/// How long a Ledger may take that waits for orders on their way ([`SETTLE_MS`](crate::SETTLE_MS)), in
/// milliseconds.
pub const LEDGER_MS: u32 = 12_000;
/// How long a Ledger may take that asks its venue twice, 8 s each, in milliseconds.
pub const KEYS_MS: u32 = 18_000;
/// How long a Ledger may take to say what it has open, in milliseconds.
pub const STANDING_MS: u32 = 4_000;
/// How long a Ledger may take to hand over or to take over, in milliseconds.
pub const HAND_OVER_MS: u32 = 6_000;
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
    /// Whether its tables are open and there is a manifest, neither of which goes away.
    begun: Cell<bool>,
}

impl<P: ControlObject> ControlService<P> {
    /// Control's object.
    pub const fn new(ports: P) -> Self {
        Self {
            ports,
            begun: Cell::new(false),
        }
    }

    /// Serves one request: a route's path and its message, and the id that the request carries.
    pub async fn serve(&self, path: &str, text: &str, asked: Option<RequestId>) -> Served {
        self.import().await;
        let served = self.answer(path, text, asked).await;
        self.keep_rows();
        served
    }

    /// Stores how many rows were written.
    fn keep_rows(&self) {
        let kept = self.control();
        let kept = kept.and_then(|control| Ok(control.keep_rows(self.now())?));
        if let Err(problem) = kept {
            self.ports
                .log(format_args!("Control's rows were not counted: {problem}"));
        }
    }

    async fn answer(&self, path: &str, text: &str, asked: Option<RequestId>) -> Served {
        match path {
            GetManifest::PATH => Served::of::<GetManifest>(&self.manifest()),
            PutManifest::PATH => {
                let reply = match message::<PutManifest>(text) {
                    Ok(manifest) => self.put_manifest(&manifest, None, asked.as_ref()).await,
                    Err(problem) => Err(problem),
                };
                Served::of::<PutManifest>(&reply)
            }
            ForceManifest::PATH => {
                let reply = match message::<ForceManifest>(text) {
                    Ok(forced) => match reason_problem(&forced.reason) {
                        None => {
                            self.put_manifest(
                                &forced.manifest,
                                Some(forced.reason.trim()),
                                asked.as_ref(),
                            )
                            .await
                        }
                        Some(problem) => Err(problem),
                    },
                    Err(problem) => Err(problem),
                };
                Served::of::<ForceManifest>(&reply)
            }
            ChangeSenders::PATH => {
                let reply = match message::<ChangeSenders>(text) {
                    Ok(change) => self.change_senders(&change, asked.as_ref()).await,
                    Err(problem) => Err(problem),
                };
                Served::of::<ChangeSenders>(&reply)
            }
            ChangeOperators::PATH => {
                let reply = match message::<ChangeOperators>(text) {
                    Ok(change) => self.change_operators(&change).await,
                    Err(problem) => Err(problem),
                };
                Served::of::<ChangeOperators>(&reply)
            }
            GetKill::PATH => Served::of::<GetKill>(&self.kill().await),
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
            KeepRefusal::PATH => {
                let kept = message::<KeepRefusal>(text).and_then(|note| {
                    let control = self.control()?;
                    Ok(control.keep_refusal(&note, self.now())?)
                });
                Served::of::<KeepRefusal>(&kept)
            }
            ListRefusals::PATH => {
                let page = message::<ListRefusals>(text)
                    .and_then(|asked| Ok(self.control()?.refusals(&asked)?))
                    .and_then(|page| {
                        RawValue::from_string(page)
                            .map_err(|error| Problem::new(Code::Internal, error.to_string()))
                    });
                Served::of::<ListRefusals>(&page)
            }
            GetHealth::PATH => Served::of::<GetHealth>(&self.health().await),
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
        drop(self.publish(None).await);
    }

    /// The pure Control.
    fn control(&self) -> Result<Control<'_, P::Store>, Problem> {
        let store = self.ports.store();
        if self.begun.get() {
            return Ok(Control::attach(store));
        }
        Ok(Control::open(store)?)
    }

    fn now(&self) -> Timestamp {
        self.ports.clock().now()
    }

    fn manifest(&self) -> Answer<GetManifest> {
        Ok(ManifestReply::new(self.control()?.published()?, true))
    }

    /// At first start Control takes over the manifest that an installation already has.
    async fn import(&self) {
        if self.begun.get() {
            return;
        }
        let Ok(control) = self.control() else { return };
        match control.published() {
            Ok(None) => {}
            Ok(Some(_)) => return self.begun.set(true),
            Err(_) => return,
        }
        let text = self.ports.read_published().await;
        let Some(mut published) = text.and_then(|text| Published::parse(&text).ok()) else {
            return;
        };
        // Who may write to KV must not become an operator by it.
        published.operators = Operators::default();
        if let Err(error) = control.import(&published) {
            self.ports.log(format_args!(
                "the published manifest was not taken over: {error}"
            ));
        }
    }

    /// Puts a manifest. Accounts that it retires must have nothing open, or a reason is given; and a Ledger of an
    /// account's next generation takes over before anything else is done.
    async fn put_manifest(
        &self,
        manifest: &Manifest,
        reason: Option<&str>,
        asked: Option<&RequestId>,
    ) -> Answer<PutManifest> {
        let control = self.control()?;
        let passages = control.passages().map_err(stored)?;
        let pending = passages.pending.as_ref();
        let again = pending.is_some_and(|pending| pending.manifest == *manifest);
        let standings = if again || control.is_moved_to(manifest, &passages).map_err(stored)? {
            self.finish().await?;
            Vec::new()
        } else if let Some(pending) = pending {
            return Err(under_way(pending.manifest.version));
        } else {
            self.replace(&control, manifest, reason).await?
        };
        let present = control.published()?.map_or(0, |now| now.manifest.version);
        if present < manifest.version {
            let text = "the manifest could not be put into force, because a ledger refused; nothing was changed, try again";
            return Err(Problem::new(Code::Conflict, text));
        }
        let reports = self.publish(asked).await;
        self.told(reports.ok().as_deref(), &standings)
    }

    /// Puts a manifest in the place of the present one. Returns what the accounts had open that it retires.
    async fn replace(
        &self,
        control: &Control<'_, P::Store>,
        manifest: &Manifest,
        reason: Option<&str>,
    ) -> Result<Vec<Standing>, Problem> {
        let present = control.check_next(manifest)?;
        let (gone, moving) = match &present {
            Some(old) => (
                retired(&old.manifest, manifest),
                replaced(
                    &old.manifest,
                    manifest,
                    &control.passages().map_err(stored)?,
                ),
            ),
            None => Default::default(),
        };
        let asked_at = self.now();
        let standings = self.open_of(&gone, reason.is_some()).await?;
        self.can_move(&moving).await?;
        if !gone.is_empty() && self.now().since(asked_at) > HOLD_MS / 2 {
            let text =
                "the Ledgers took too long to say what is open; nothing was changed, try again";
            return Err(Problem::new(Code::Conflict, text));
        }
        // An account without anything open needs no force.
        let forced = standings.iter().any(|standing| !standing.is_clear());
        let reason = reason.filter(|_| forced);
        if moving.is_empty() {
            control.put_retiring(manifest, reason, self.now())?;
        } else {
            let pending = Pending {
                manifest: manifest.clone(),
                reason: reason.map(str::to_owned),
                begun: false,
            };
            control.begin(&pending, self.now())?;
            self.finish().await?;
        }
        Ok(standings)
    }

    /// Says something to a Ledger whose account leaves the manifest or gets another Ledger.
    async fn pass(
        &self,
        account: &Account,
        path: &'static str,
        message: Passage,
    ) -> Result<Box<RawValue>, Problem> {
        let text = written::<LedgerStanding>(&message)?;
        let within = if path == LedgerStanding::PATH {
            STANDING_MS
        } else {
            HAND_OVER_MS
        };
        self.ports.ask_ledger(account, path, &text, within).await
    }

    /// What an account's Ledger has open.
    async fn standing(
        &self,
        account: &Account,
        hold: bool,
        to: String,
    ) -> Result<Standing, Problem> {
        let message = Passage {
            account: account.name.to_string(),
            hold,
            to,
            ..Passage::default()
        };
        let answer = self.pass(account, LedgerStanding::PATH, message).await?;
        standing_of(&answer)
    }

    /// What the accounts have open that are to leave the manifest. Where nothing is, their Ledgers take nothing until the
    /// manifest has changed.
    ///
    /// # Errors
    /// `CONFLICT` where something is open, unless that does not matter, or where a Ledger does not say.
    async fn open_of(&self, gone: &[Account], force: bool) -> Result<Vec<Standing>, Problem> {
        let mut standings = Vec::with_capacity(gone.len());
        let mut sentences = Vec::new();
        for account in gone {
            match self.standing(account, true, String::new()).await {
                Ok(standing) => {
                    let problem = standing.problem().filter(|_| !force);
                    sentences.extend(problem.map(|problem| problem.message));
                    standings.push(standing);
                }
                Err(problem) => {
                    sentences.push(silent(account, &problem).message);
                    break;
                }
            }
        }
        if sentences.is_empty() {
            return Ok(standings);
        }
        // What was held is let go; what cannot be told lets go by itself.
        for account in gone {
            if self.standing(account, false, String::new()).await.is_err() {
                break;
            }
        }
        Err(Problem::new(Code::Conflict, sentences.join("; ")).field("accounts"))
    }

    /// Asks before anything is changed whether the Ledgers can hand over and take over.
    async fn can_move(&self, moved: &[(Account, Account)]) -> Result<(), Problem> {
        for (from, to) in moved {
            let old = self.standing(from, false, to.ledger_name()).await;
            old.map_err(|problem| cannot_move(from, &problem))?;
            let new = self.standing(to, false, String::new()).await;
            if new.map_err(|problem| silent(to, &problem))?.used {
                let text = format!(
                    "generation {} of account '{}' was used before, so it cannot take over from generation {}; give it a \
                     higher one",
                    to.generation, to.name, from.generation
                );
                return Err(Problem::new(Code::BadField, text).field("generation"));
            }
        }
        Ok(())
    }

    /// Goes on with a manifest that is being put into force: each Ledger of a next generation takes over from the one
    /// before, then the manifest is in force. Every part of it may be done twice.
    ///
    /// # Errors
    /// The refusal of a Ledger before any has handed over, and the present manifest stays in force then; else
    /// `NOT_CONFIRMED`, and it is gone on with by the alarm.
    async fn finish(&self) -> Result<(), Problem> {
        let control = self.control()?;
        let passages = control.passages().map_err(stored)?;
        let (Some(mut pending), Some(present)) = (passages.pending.clone(), control.published()?)
        else {
            return Ok(());
        };
        for (old, new) in replaced(&present.manifest, &pending.manifest, &passages) {
            let from = old.ledger_name();
            let message = Passage {
                from: from.clone(),
                to: new.ledger_name(),
                ..Passage::default()
            };
            let handed = match self.pass(&old, HandOver::PATH, message).await {
                Ok(handed) => handed,
                Err(problem) if problem.code != Code::NotConfirmed && !pending.begun => {
                    // The present manifest stays in force, unless another run has begun.
                    let abandon = &mut |passages: &mut Passages| {
                        let known = &mut passages.pending;
                        known
                            .take_if(|known| known.is(&pending) && !known.begun)
                            .is_some()
                    };
                    control.note(abandon).map_err(stored)?;
                    return Err(cannot_move(&old, &problem));
                }
                Err(problem) => return Err(unfinished(&old, &problem)),
            };
            pending.begun = true;
            let begun = &mut |passages: &mut Passages| {
                let known = passages.pending.as_mut().filter(|known| known.is(&pending));
                known.is_some_and(|known| !core::mem::replace(&mut known.begun, true))
            };
            control.note(begun).map_err(stored)?;
            let configure = configured(&pending.manifest, &new, &control.kill()?);
            let message = Passage {
                from,
                configure: Some(written_raw(&configure)?),
                handed: Some(handed),
                ..Passage::default()
            };
            let taken = self.pass(&new, TakeOver::PATH, message).await;
            taken.map_err(|problem| unfinished(&new, &problem))?;
        }
        control.commit(&pending, self.now()).map_err(stored)
    }

    /// Closes the Ledgers of accounts that were retired by force. Returns the names of those that could not be told.
    async fn close_gone(&self, asked: Option<&RequestId>) -> Result<Vec<String>, Problem> {
        let control = self.control()?;
        let mut behind = Vec::new();
        let gone = control.passages().map_err(stored)?.gone;
        for gone in gone.into_iter().filter(|gone| gone.to_close) {
            let (account, reason) = (gone.account, gone.reason.unwrap_or_default());
            let message = Passage {
                account: account.name.to_string(),
                reason: reason.clone(),
                ..Passage::default()
            };
            let answer = self.pass(&account, RetireLedger::PATH, message).await;
            let Ok(standing) = answer.and_then(|answer| standing_of(&answer)) else {
                behind.push(account.ledger_name());
                continue;
            };
            let mut first = false;
            control
                .note(&mut |passages| {
                    let known = passages.gone.iter_mut();
                    for gone in known.filter(|gone| gone.account == account) {
                        first |= core::mem::take(&mut gone.to_close);
                    }
                    first
                })
                .map_err(stored)?;
            if first {
                let id = asked.cloned();
                let entry = AuditEntry {
                    request_id: id.clone(),
                    account: Some(account.id),
                    detail: Some(format!("{reason}; left: {}", standing.words()).into()),
                    ..AuditEntry::new(self.now(), AuditEvent::AccountRetired, Worker::Trade.name())
                };
                let id = id.unwrap_or_else(|| self.ports.request_id());
                self.ports.note(id, vec![entry]);
            }
        }
        Ok(behind)
    }

    async fn change_senders(
        &self,
        change: &SenderChange,
        asked: Option<&RequestId>,
    ) -> Answer<ChangeSenders> {
        self.control()?.change_senders(change, self.now())?;
        let reports = self.publish(asked).await;
        self.told(reports.ok().as_deref(), &[])
    }

    /// Only gateways know operators, so no Ledger is told.
    async fn change_operators(&self, change: &OperatorChange) -> Answer<ChangeOperators> {
        self.control()?.change_operators(change, self.now())?;
        let delivered = self.tell_gateways().await;
        if !delivered {
            self.retry();
        }
        Ok(ManifestReply::new(self.control()?.published()?, delivered))
    }

    fn told(&self, reports: Option<&[AccountReport]>, retired: &[Standing]) -> Answer<PutManifest> {
        let reached = |reports: &[AccountReport]| reports.iter().all(|report| !report.unreachable);
        let delivered = reports.is_some_and(reached);
        let reports = reports.unwrap_or_default();
        let revoked = reports.iter().map(|report| report.revoked_exits);
        let open = retired.iter().filter(|standing| !standing.is_clear());
        Ok(ManifestReply {
            dead_letters: revoked.fold(0, u32::saturating_add),
            retired: open.map(written_raw).collect::<Result<_, _>>()?,
            ..ManifestReply::new(self.control()?.published()?, delivered)
        })
    }

    /// The switch, and how it stands at each account.
    async fn kill(&self) -> Answer<GetKill> {
        let state = self.control()?.kill()?;
        let asked = self.accounts(None)?;
        let answers = asked.iter().map(async |account| {
            let told = self.ask::<LedgerKill>(account, &()).await;
            told.unwrap_or_else(|_| AccountReport::unreachable(account.name.clone()))
        });
        Ok(KillReport {
            state,
            accounts: join_all(answers).await,
        })
    }

    async fn put_kill(&self, change: &SetKill, asked: Option<RequestId>) -> Answer<PutKill> {
        let state = self.control()?.set_kill(change, self.now())?;
        let accounts = self.publish(asked.as_ref()).await?;
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
    ///
    /// # Errors
    /// [`Problem`] where not even the accounts could be read, so that nobody was told.
    async fn publish(&self, asked: Option<&RequestId>) -> Result<Vec<AccountReport>, Problem> {
        let behind = self.prepare(asked).await;
        let ledgers = match self.control().and_then(|control| Ok(control.ledgers()?)) {
            Ok(ledgers) => ledgers,
            Err(problem) => {
                self.ports
                    .log(format_args!("nothing was published: {problem}"));
                self.retry();
                return Err(problem);
            }
        };
        let reports = join_all(ledgers.iter().map(|ledger| self.tell(ledger, &behind))).await;
        let written = self.tell_gateways().await;
        if !written || !behind.is_empty() || reports.iter().any(|report| report.unreachable) {
            self.retry();
        }
        Ok(reports)
    }

    /// What comes before every publication: hand-overs that are under way, and Ledgers that are to be closed. Returns the
    /// names of the Ledgers for which that was not done; they are told the rest later.
    async fn prepare(&self, asked: Option<&RequestId>) -> Vec<String> {
        let mut behind = Vec::new();
        if let Err(problem) = self.finish().await {
            self.ports
                .log(format_args!("a hand-over is not finished: {problem}"));
            behind.extend(self.moving().unwrap_or_default());
            self.retry();
        }
        match self.close_gone(asked).await {
            Ok(failed) => behind.extend(failed),
            Err(problem) => {
                self.ports
                    .log(format_args!("a Ledger was not closed: {problem}"));
                // That it was may only not be stored; then it is asked once more, and says so.
                self.retry();
            }
        }
        behind
    }

    /// The Ledgers that are handing over.
    fn moving(&self) -> Result<Vec<String>, Problem> {
        let control = self.control()?;
        let passages = control.passages().map_err(stored)?;
        let (Some(pending), Some(present)) = (&passages.pending, control.published()?) else {
            return Ok(Vec::new());
        };
        let moving = replaced(&present.manifest, &pending.manifest, &passages);
        Ok(moving.iter().map(|(from, _)| from.ledger_name()).collect())
    }

    async fn tell(&self, ledger: &Configure, behind: &[String]) -> AccountReport {
        if behind.contains(&ledger.account.ledger_name()) {
            return AccountReport::unreachable(ledger.account.name.clone());
        }
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
        let answers = asked.iter().map(|account| self.sweep_one(account, None));
        let answers = join_all(answers).await;
        let counts = asked
            .iter()
            .zip(answers.into_iter().map(Option::flatten))
            .filter_map(|(account, count)| Some((account, count?)));
        self.tell_rows(&counts.collect::<Vec<_>>()).await?;
        self.forget_gone().await
    }

    /// Has a Ledger look after its work. `None` where it did not answer; one of a version before does not count its rows.
    async fn sweep_one(
        &self,
        account: &Account,
        others: Option<RowsOfOthers>,
    ) -> Option<Option<RowCount>> {
        let asked = Some(SweepRequest { others });
        match self.ask::<SweepLedger>(account, &asked).await {
            Ok(count) => Some(count),
            Err(problem) => {
                self.ports.log(format_args!(
                    "account '{}' was not swept: {problem}",
                    account.name
                ));
                None
            }
        }
    }

    /// Tells the Ledgers how many rows the others have written today, once that is near the limit, or where they go by
    /// what they were told before. An account that trades little is not asked a second time.
    async fn tell_rows(&self, counts: &[(&Account, RowCount)]) -> Result<(), Problem> {
        let control = self.control()?;
        let limit = control.rows_a_day()?;
        let own = control.count_rows(None, self.now())?;
        let written = all_rows(own, counts.iter().map(|(_, count)| *count));
        let others_of = |count: u64| RowsOfOthers {
            since: own.since,
            written: written.saturating_sub(count),
            limit,
        };
        let near = quota::is_near(written, limit);
        if near || own.told {
            control.count_rows(Some(others_of(own.written)), self.now())?;
        }
        let told = counts.iter().filter(|(_, count)| near || count.told);
        join_all(told.map(|(account, count)| {
            let known = all_rows(own, [*count]).saturating_sub(own.written);
            self.sweep_one(account, Some(others_of(known)))
        }))
        .await;
        Ok(())
    }

    /// How all Ledgers are, and how many rows were written today.
    async fn health(&self) -> Answer<GetHealth> {
        let mut reports = self.reports(LedgerState::PATH, None, LEDGER_MS).await?;
        let control = self.control()?;
        let own = control.count_rows(None, self.now())?;
        let counts: Vec<RowCount> = reports
            .accounts
            .iter()
            .filter_map(|it| rows_of(it))
            .collect();
        reports.rows_today = Some(RowsToday {
            since: own.since,
            written: all_rows(own, counts.iter().copied()),
            limit: control.rows_a_day()?,
            entries_refused: counts.iter().any(|count| count.entries_refused),
            complete: reports.unreachable.is_empty() && counts.len() == reports.accounts.len(),
        });
        Ok(reports)
    }

    /// Retired accounts are in reach until nothing is left to do there.
    async fn forget_gone(&self) -> Result<(), Problem> {
        let control = self.control()?;
        for gone in control.passages().map_err(stored)?.gone {
            let standing = self.standing(&gone.account, false, String::new()).await;
            if standing.is_ok_and(|standing| !standing.has_work()) {
                let account = &gone.account;
                let forget = &mut |passages: &mut Passages| {
                    let known = &mut passages.gone;
                    known.retain(|gone| gone.to_close || gone.account != *account);
                    true
                };
                control.note(forget).map_err(stored)?;
            }
        }
        Ok(())
    }
}

/// Control's rows and those of Ledgers that were counted on the same day.
fn all_rows(own: RowCount, counts: impl IntoIterator<Item = RowCount>) -> u64 {
    let today = counts.into_iter().filter(|count| count.since == own.since);
    today.fold(own.written, |sum, count| sum.saturating_add(count.written))
}

/// What a Ledger's health says of its rows. A version before says nothing, and neither does a Ledger without an account.
fn rows_of(health: &RawValue) -> Option<RowCount> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Health {
        rows_today: RowCount,
    }
    let health: Health = serde_json::from_str(health.get()).ok()?;
    Some(health.rows_today)
}

fn standing_of(answer: &RawValue) -> Result<Standing, Problem> {
    serde_json::from_str(answer.get()).map_err(|error| {
        let text = format!("the answer is not readable: {error}");
        Problem::new(Code::NotConfirmed, text)
    })
}

fn written_raw(value: &impl Serialize) -> Result<Box<RawValue>, Problem> {
    to_raw_value(value).map_err(|error| Problem::new(Code::Internal, error.to_string()))
}

fn stored(error: LedgerError) -> Problem {
    ControlError::from(error).into()
}

fn reason_problem(reason: &str) -> Option<Problem> {
    let words = reason.trim();
    let bad = words.is_empty() || words.len() > MAX_REASON || words.chars().any(char::is_control);
    bad.then(|| {
        let text = format!("a reason is one line of 1 to {MAX_REASON} bytes");
        Problem::new(Code::BadField, text).field("reason")
    })
}

/// A Ledger that does not say what is open may have anything open.
fn silent(account: &Account, problem: &Problem) -> Problem {
    let text = format!(
        "the ledger of account '{}' (generation {}) did not say what is open there, so nothing was changed: {}; try again",
        account.name, account.generation, problem.message
    );
    Problem::new(Code::Conflict, text)
        .field("accounts")
        .retry_after(5)
}

fn cannot_move(account: &Account, problem: &Problem) -> Problem {
    let text = format!(
        "account '{}' cannot have another generation now: {}; nothing was changed",
        account.name, problem.message
    );
    Problem::new(Code::Conflict, text).field("generation")
}

/// The old Ledger may be closed, and the new one has not taken over: there is no way back, and the alarm goes on.
fn unfinished(account: &Account, problem: &Problem) -> Problem {
    let text = format!(
        "account '{}' is being handed over to its next generation, and that is not finished: {}; it goes on by itself, and \
         the same manifest sent again says how it stands",
        account.name, problem.message
    );
    Problem::new(Code::NotConfirmed, text).retry_after(5)
}
