//! Control's Durable Object: the pure Control decides, this publishes.

use futures_util::future::join_all;
use hoox_auth::{Account, Manifest, Published, SenderChange};
use hoox_ledger::{Control as PureControl, PUBLISH_AGAIN_MS, Store};
use hoox_mesh::registry::{CONFIG_KV, MANIFEST_KEY, REQUEST_ID_HEADER};
use hoox_mesh::{
    AccountReport, Answer, ChangeSenders, Configure, ConfigureLedger, DeadLetters, GetHealth,
    GetKeys, GetKill, GetManifest, KillReport, LedgerConfig, LedgerKey, LedgerReports, LedgerState,
    LetterCall, Letters, ManifestReply, Problem, PutKill, PutManifest, Route, SetKill, Sweep,
    Worker,
};
use hoox_model::{AccountId, Code, RequestId};
use hoox_store::audit::{AuditEntry, AuditEvent};
use hoox_worker_kit::{
    Kv, ObjectStore, Request, Way, answer, call_object, ledger_stub, message, now, relay_to_object,
    request_id,
};

use crate::note;
use worker::{DurableObject, Env, Response, Result, State, Stub, durable_object};

/// A Ledger that waits for orders on their way answers within 10 s.
const LEDGER_MS: u32 = 12_000;
/// A Ledger that asks its venue twice, 8 s each, answers within this.
const KEYS_MS: u32 = 18_000;

/// The one owner of the manifest and of the kill switch.
#[durable_object(alarm)]
#[derive(Debug)]
pub struct Control {
    state: State,
    store: ObjectStore,
    env: Env,
}

/// What the audit trail says of an account that has taken over the kill switch.
fn applied(id: &RequestId, change: &SetKill, account: &AccountReport) -> AuditEntry {
    let detail = format!(
        "{} at {}; orders on their way: {}, resting entries: {}",
        change.mode.as_str(),
        account.account,
        account.in_flight,
        account.resting
    );
    AuditEntry {
        request_id: Some(id.clone()),
        detail: Some(detail.into()),
        ..AuditEntry::new(now(), AuditEvent::KillSwitchApplied, Worker::Trade.name())
    }
}

impl DurableObject for Control {
    fn new(state: State, env: Env) -> Self {
        Self {
            store: ObjectStore::new(&state),
            state,
            env,
        }
    }

    async fn fetch(&self, request: worker::Request) -> Result<Response> {
        let request = Request::from(request);
        self.import().await;
        match request.path() {
            GetManifest::PATH => answer::<GetManifest>(&self.manifest()),
            PutManifest::PATH => {
                let reply = match message::<PutManifest>(&request).await {
                    Ok(manifest) => self.put_manifest(&manifest).await,
                    Err(problem) => Err(problem),
                };
                answer::<PutManifest>(&reply)
            }
            ChangeSenders::PATH => {
                let reply = match message::<ChangeSenders>(&request).await {
                    Ok(change) => self.change_senders(&change).await,
                    Err(problem) => Err(problem),
                };
                answer::<ChangeSenders>(&reply)
            }
            GetKill::PATH => answer::<GetKill>(&self.pure().and_then(|pure| Ok(pure.kill()?))),
            PutKill::PATH => {
                let reply = match message::<PutKill>(&request).await {
                    Ok(change) => {
                        let id = request.header(REQUEST_ID_HEADER);
                        self.put_kill(&change, id.and_then(|id| id.parse().ok()))
                            .await
                    }
                    Err(problem) => Err(problem),
                };
                answer::<PutKill>(&reply)
            }
            LedgerConfig::PATH => {
                let reply = match message::<LedgerConfig>(&request).await {
                    Ok(account) => self.ledger_config(&account),
                    Err(problem) => Err(problem),
                };
                answer::<LedgerConfig>(&reply)
            }
            DeadLetters::PATH => {
                let reply = match message::<DeadLetters>(&request).await {
                    Ok(call) => self.letters(&call).await,
                    Err(problem) => Err(problem),
                };
                answer::<DeadLetters>(&reply)
            }
            GetHealth::PATH => {
                let way = Way::of::<LedgerState>();
                answer::<GetHealth>(&self.reports(way, None, LEDGER_MS).await)
            }
            GetKeys::PATH => {
                let reply = match message::<GetKeys>(&request).await {
                    Ok(account) => {
                        let way = Way::of::<LedgerKey>();
                        self.reports(way, account.as_ref(), KEYS_MS).await
                    }
                    Err(problem) => Err(problem),
                };
                answer::<GetKeys>(&reply)
            }
            Sweep::PATH => answer::<Sweep>(&self.sweep().await),
            _ => answer::<Sweep>(&Err(Problem::new(Code::NotFound, "no such route"))),
        }
    }

    /// Publishes again what could not be published at once.
    async fn alarm(&self) -> Result<Response> {
        self.publish().await;
        Response::empty()
    }
}

impl Control {
    fn pure(&self) -> core::result::Result<PureControl<'_, ObjectStore>, Problem> {
        Ok(PureControl::open(&self.store)?)
    }

    fn manifest(&self) -> Answer<GetManifest> {
        Ok(ManifestReply::new(self.pure()?.published()?, true))
    }

    /// At first start Control takes over the manifest that an installation already has.
    async fn import(&self) {
        let Ok(pure) = self.pure() else { return };
        if !matches!(pure.published(), Ok(None)) {
            return;
        }
        let text = match Kv::open(&self.env, CONFIG_KV) {
            Ok(kv) => kv.text(MANIFEST_KEY, None).await.ok().flatten(),
            Err(_) => None,
        };
        let Some(published) = text.and_then(|text| Published::parse(&text).ok()) else {
            return;
        };
        if let Err(error) = pure.import(&published) {
            worker::console_error!("the manifest in {CONFIG_KV} was not taken over: {error}");
        }
    }

    async fn put_manifest(&self, manifest: &Manifest) -> Answer<PutManifest> {
        self.pure()?.put_manifest(manifest, now())?;
        self.publish_manifest().await
    }

    async fn change_senders(&self, change: &SenderChange) -> Answer<ChangeSenders> {
        self.pure()?.change_senders(change, now())?;
        self.publish_manifest().await
    }

    async fn publish_manifest(&self) -> Answer<PutManifest> {
        let delivered = self
            .publish()
            .await
            .iter()
            .all(|report| !report.unreachable);
        Ok(ManifestReply::new(self.pure()?.published()?, delivered))
    }

    async fn put_kill(&self, change: &SetKill, asked: Option<RequestId>) -> Answer<PutKill> {
        let state = self.pure()?.set_kill(change, now())?;
        let accounts = self.publish().await;
        let id = asked.unwrap_or_else(request_id);
        let reached = accounts.iter().filter(|account| !account.unreachable);
        let entries = reached.map(|account| applied(&id, change, account));
        self.state
            .wait_until(note(self.env.clone(), id.clone(), entries.collect()));
        Ok(KillReport { state, accounts })
    }

    fn ledger_config(&self, account: &AccountId) -> Answer<LedgerConfig> {
        let ledgers = self.pure()?.ledgers()?;
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
        let ledgers = match self.pure().and_then(|pure| Ok(pure.ledgers()?)) {
            Ok(ledgers) => ledgers,
            Err(problem) => {
                worker::console_error!("nothing was published: {problem}");
                self.retry();
                return Vec::new();
            }
        };
        let reports = join_all(ledgers.iter().map(|ledger| self.tell(ledger))).await;
        let written = self.write_kv().await;
        if !written || reports.iter().any(|report| report.unreachable) {
            self.retry();
        }
        reports
    }

    async fn tell(&self, ledger: &Configure) -> AccountReport {
        let told = self.ask::<ConfigureLedger>(&ledger.account, ledger).await;
        told.unwrap_or_else(|problem| {
            worker::console_error!("account '{}' was not told: {problem}", ledger.account.name);
            AccountReport::unreachable(ledger.account.name.clone())
        })
    }

    async fn ask<R: Route>(&self, account: &Account, message: &R::Request) -> Answer<R> {
        call_object::<R>(self.stub(account)?, message, LEDGER_MS).await
    }

    fn stub(&self, account: &Account) -> core::result::Result<Stub, Problem> {
        let hint = account.location_hint.map_or("", |hint| hint.as_str());
        ledger_stub(&self.env, &account.ledger_name(), hint)
            .map_err(|error| Problem::new(Code::NotConfigured, error.to_string()))
    }

    /// Asks the Ledgers of all accounts, or of one.
    async fn letters(&self, call: &LetterCall) -> Answer<DeadLetters> {
        let ledgers = self.pure()?.ledgers()?;
        let asked: Vec<&Account> = ledgers
            .iter()
            .map(|ledger| &ledger.account)
            .filter(|account| call.account.as_ref().is_none_or(|id| *id == account.id))
            .collect();
        let answers = join_all(
            asked
                .iter()
                .map(|account| self.ask::<DeadLetters>(account, call)),
        )
        .await;
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
        way: Way,
        only: Option<&AccountId>,
        within_ms: u32,
    ) -> core::result::Result<LedgerReports, Problem> {
        let ledgers = self.pure()?.ledgers()?;
        let asked: Vec<&Account> = ledgers
            .iter()
            .map(|ledger| &ledger.account)
            .filter(|account| only.is_none_or(|id| *id == account.id))
            .collect();
        let answers = asked.iter().map(async |account| {
            relay_to_object(self.stub(account)?, way, "null", within_ms).await
        });
        let mut reports = LedgerReports::default();
        for (account, answer) in asked.iter().zip(join_all(answers).await) {
            match answer {
                Ok(report) => reports.accounts.push(report),
                Err(_) => reports.unreachable.push(account.name.clone()),
            }
        }
        Ok(reports)
    }

    async fn write_kv(&self) -> bool {
        let Ok(Some(published)) = self.pure().and_then(|pure| Ok(pure.published()?)) else {
            return true;
        };
        let Ok(kv) = Kv::open(&self.env, CONFIG_KV) else {
            return false;
        };
        let Ok(text) = serde_json::to_string(&published) else {
            return false;
        };
        kv.put(MANIFEST_KEY, &text).await.is_ok()
    }

    fn retry(&self) {
        if let Err(error) = self.store.set_alarm(now().plus_millis(PUBLISH_AGAIN_MS)) {
            worker::console_error!("Control's alarm could not be set: {error}");
        }
    }

    async fn sweep(&self) -> Answer<Sweep> {
        let ledgers = self.pure()?.ledgers()?;
        join_all(ledgers.iter().map(async |ledger| {
            if let Err(problem) = self.ask::<Sweep>(&ledger.account, &()).await {
                worker::console_error!(
                    "account '{}' was not swept: {problem}",
                    ledger.account.name
                );
            }
        }))
        .await;
        Ok(())
    }
}
