//! Control's Durable Object as trade-worker wires it: the pure Control decides, this publishes.

use std::rc::Rc;

use futures_util::future::join_all;
use hoox_auth::Account;
use hoox_ledger::{Control, PUBLISH_AGAIN_MS, Store};
use hoox_mesh::{
    AccountReport, Configure, DeadLetter, KillReport, KillState, LetterCall, LetterVerb,
    ManifestReply, Problem,
};
use hoox_model::{Code, Timestamp};

use crate::simulate::calls::{Answer, Message, Reply, not_confirmed};
use crate::simulate::history::{Reported, Switched};
use crate::simulate::object::Instance;
use crate::simulate::ports::SimPorts;
use crate::simulate::world::{World, ledger_place};

/// A Ledger that waits for orders on their way answers within 10 s.
const LEDGER_MS: i64 = 12_000;

struct Serving<'a> {
    world: &'a Rc<World>,
    instance: &'a Rc<Instance>,
    store: SimPorts,
}

/// Serves one request.
pub(crate) async fn serve(world: &Rc<World>, instance: &Rc<Instance>, message: Message) -> Answer {
    let serving = Serving::new(world, instance);
    serving.import();
    match message {
        Message::GetManifest => Ok(serving.manifest(true)?),
        Message::PutManifest(manifest) => {
            serving.pure()?.put_manifest(&manifest, serving.now())?;
            let delivered = serving
                .publish()
                .await
                .iter()
                .all(|report| !report.unreachable);
            Ok(serving.manifest(delivered)?)
        }
        Message::PutKill(change) => {
            let state = serving.pure()?.set_kill(&change, serving.now())?;
            let accounts = serving.publish().await;
            Ok(Reply::KillReport(Box::new(KillReport { state, accounts })))
        }
        Message::LedgerConfig(account) => {
            let ledgers = serving.pure()?.ledgers()?;
            let found = ledgers
                .into_iter()
                .find(|ledger| ledger.account.id == account);
            found
                .map(|ledger| {
                    serving.note_switch(&ledger.kill);
                    Reply::Configure(Box::new(ledger))
                })
                .ok_or_else(|| Problem::new(Code::NotPermitted, "not in the manifest"))
        }
        Message::Letters(call) => serving.letters(&call).await,
        Message::Sweep => serving.sweep().await,
        other => Err(Problem::new(
            Code::NotFound,
            format!("Control knows no {}", other.as_str()),
        )),
    }
}

/// Publishes again what could not be published at once.
pub(crate) async fn alarm(world: &Rc<World>, instance: &Rc<Instance>) {
    Serving::new(world, instance).publish().await;
}

impl<'a> Serving<'a> {
    fn new(world: &'a Rc<World>, instance: &'a Rc<Instance>) -> Self {
        let store = SimPorts {
            world: world.clone(),
            instance: instance.clone(),
        };
        Self {
            world,
            instance,
            store,
        }
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.world.now() + self.instance.skew)
    }

    fn pure(&self) -> Result<Control<'_, SimPorts>, Problem> {
        Ok(Control::open(&self.store)?)
    }

    fn manifest(&self, delivered: bool) -> Result<Reply, Problem> {
        let reply = ManifestReply::new(self.pure()?.published()?, delivered);
        Ok(Reply::Manifest(Box::new(reply)))
    }

    fn import(&self) {
        let Ok(pure) = self.pure() else { return };
        if !matches!(pure.published(), Ok(None)) {
            return;
        }
        if let Some(published) = self.world.kv_newest() {
            self.world
                .stats
                .hit("path", "Control takes a manifest over");
            pure.import(&published).ok();
        }
    }

    async fn publish(&self) -> Vec<AccountReport> {
        let Ok(ledgers) = self.pure().and_then(|pure| Ok(pure.ledgers()?)) else {
            self.retry();
            return Vec::new();
        };
        if let Some(told) = ledgers.first() {
            self.note_switch(&told.kill);
        }
        let reports = join_all(ledgers.iter().map(|ledger| self.tell(ledger))).await;
        let written = self.write_kv().await;
        if !written || reports.iter().any(|report| report.unreachable) {
            self.world.stats.hit("path", "Control publishes again");
            self.retry();
        }
        reports
    }

    /// Takes note of the switch before anybody is told: an instance that stored it may be gone.
    fn note_switch(&self, state: &KillState) {
        let mut history = self.world.history.borrow_mut();
        // A revision that was never durable is given again, perhaps to another mode.
        let known = |switched: &Switched| {
            (switched.revision, switched.mode) == (state.revision, state.mode)
        };
        if state.revision > 1 && !history.switched.iter().any(known) {
            history.switched.push(Switched {
                revision: state.revision,
                mode: state.mode,
                at: self.world.now(),
            });
        }
    }

    async fn tell(&self, ledger: &Configure) -> AccountReport {
        let message = Message::Configure(Box::new(ledger.clone()));
        match self.ask(&ledger.account, message).await {
            Ok(Reply::Report(report)) => report,
            _ => AccountReport::unreachable(ledger.account.name.clone()),
        }
    }

    async fn ask(&self, account: &Account, message: Message) -> Answer {
        let place = ledger_place(account).ok_or_else(|| not_confirmed("no such Ledger"))?;
        let call = self
            .world
            .call(Some(self.instance), place, message, LEDGER_MS);
        call.await
    }

    /// Asks the Ledgers of all accounts, or of one.
    async fn letters(&self, call: &LetterCall) -> Answer {
        let ledgers = self.pure()?.ledgers()?;
        let asked = ledgers.iter().map(|ledger| &ledger.account);
        let asked =
            asked.filter(|account| call.account.as_ref().is_none_or(|id| *id == account.id));
        let answers = asked.map(|account| self.ask(account, Message::Letters(call.clone())));
        let (mut found, mut unreachable): (Vec<DeadLetter>, bool) = (Vec::new(), false);
        for answer in join_all(answers).await {
            match answer {
                Ok(Reply::Letters(letters)) => found.extend(letters),
                Err(problem) if problem.code == Code::NotConfirmed => unreachable = true,
                Ok(_) => unreachable = true,
                Err(problem) => return Err(problem),
            }
        }
        if call.verb != LetterVerb::List && found.is_empty() {
            return Err(if unreachable {
                not_confirmed("an account did not answer; try again")
            } else {
                Problem::new(Code::NotFound, "no account has a signal with this id")
            });
        }
        Ok(Reply::Letters(found))
    }

    async fn write_kv(&self) -> bool {
        let Ok(Some(published)) = self.pure().and_then(|pure| Ok(pure.published()?)) else {
            return true;
        };
        self.world.exec.sleep(self.world.rng.range(5, 60)).await;
        self.world.kv_put(&published)
    }

    fn retry(&self) {
        self.store
            .set_alarm(self.now().plus_millis(PUBLISH_AGAIN_MS))
            .ok();
    }

    async fn sweep(&self) -> Answer {
        let ledgers = self.pure()?.ledgers()?;
        join_all(ledgers.iter().map(async |ledger| {
            self.ask(&ledger.account, Message::Sweep).await.ok();
        }))
        .await;
        Ok(Reply::Nothing)
    }
}

impl World {
    /// Takes note of what Control has told the operator.
    pub(crate) fn control_answered(&self, answer: &Answer) {
        if let Ok(Reply::KillReport(report)) = answer {
            self.history.borrow_mut().reported.push(Reported {
                report: (**report).clone(),
                at: self.now(),
            });
        }
    }
}
