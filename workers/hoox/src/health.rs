//! `GET /v1/health`: how the workers and the accounts are.

use core::fmt;

use futures_util::join;
use hoox_auth::Published;
use hoox_mesh::registry::{CONFIG_KV, SECRETS_KEY};
use hoox_mesh::{
    D1Bindings, GetHealth, LedgerReports, Problem, ProblemView, Retention, TradeBindings, Worker,
};
use hoox_model::{Code, RequestId, Timestamp};
use hoox_worker_kit::{Bindings, Kv, Request, Way, now, relay};
use serde::de::{Error as _, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use worker::Env;

use crate::operator::{NOTHING, WITHIN_MS, read};
use crate::{Outcome, config, written};

/// A worker says at once which bindings it has, or it is away.
const BINDINGS_MS: u32 = 5_000;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    success: bool,
    request_id: &'a RequestId,
    /// Where the gateway answered.
    colo: Option<String>,
    #[serde(flatten)]
    ledgers: LedgerReports,
    workers: Vec<WorkerView>,
    unreachable_workers: Vec<WorkerView>,
    /// How large the database is and how far back records go; `None` where d1-worker does not say.
    records: Option<Box<RawValue>>,
    /// When secrets were changed, as the command line noted it.
    secrets: Option<Box<RawValue>>,
}

/// One with its bindings, or with the reason why they are not known.
#[derive(Serialize)]
struct WorkerView {
    name: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    bindings: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<ProblemView>,
}

pub(crate) async fn serve(request: &Request, env: &Env, id: &RequestId) -> Outcome {
    let manifest = config::manifest(env, now()).await.ok();
    let keys = serde_json::to_string(&exchange_keys(manifest.as_deref()))
        .map_err(|error| Problem::new(Code::Internal, error.to_string()))?;
    let (ledgers, trade, d1, records, secrets) = join!(
        relay(env, id, Way::of::<GetHealth>(), NOTHING, WITHIN_MS),
        relay(env, id, Way::of::<TradeBindings>(), &keys, BINDINGS_MS),
        relay(env, id, Way::of::<D1Bindings>(), NOTHING, BINDINGS_MS),
        relay(env, id, Way::of::<Retention>(), NOTHING, BINDINGS_MS),
        secrets(env),
    );
    let ledgers = match ledgers.and_then(|ledgers| read(&ledgers)) {
        Err(_) if trade.is_err() => nobody(manifest.as_deref()),
        // Or else it is Control that has failed.
        ledgers => ledgers?,
    };
    let own = Bindings::of(env, Worker::Hoox, &[]).to_json();
    let (mut workers, mut unreachable_workers) = (Vec::new(), Vec::new());
    for (worker, bindings) in [
        (Worker::Hoox, own),
        (Worker::Trade, trade),
        (Worker::D1, d1),
    ] {
        let (list, bindings, problem) = match bindings {
            Ok(bindings) => (&mut workers, Some(bindings), None),
            Err(problem) => (&mut unreachable_workers, None, Some(problem.into())),
        };
        list.push(WorkerView {
            name: worker.name(),
            bindings,
            problem,
        });
    }
    let body = Body {
        success: true,
        request_id: id,
        colo: request.colo(),
        ledgers,
        workers,
        unreachable_workers,
        records: records.ok(),
        secrets,
    };
    written(200, &body)
}

/// Names of the secrets that the manifest's accounts trade with.
fn exchange_keys(manifest: Option<&Published>) -> Vec<String> {
    let mut names = Vec::new();
    for account in manifest.map_or(&[][..], |published| &published.manifest.accounts) {
        let (key, secret) = account.secret_names();
        if !names.contains(&key) {
            names.extend([key, secret]);
        }
    }
    names
}

/// No Ledger has answered.
fn nobody(manifest: Option<&Published>) -> LedgerReports {
    let accounts = manifest.map_or(&[][..], |published| &published.manifest.accounts);
    LedgerReports {
        accounts: Vec::new(),
        unreachable: accounts
            .iter()
            .map(|account| account.name.clone())
            .collect(),
        rows_today: None,
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Changed {
    changed_at: String,
}

/// What the command line notes, checked and not kept.
struct Noted;

impl<'de> Deserialize<'de> for Noted {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Self)
    }
}

impl<'de> Visitor<'de> for Noted {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("secrets by name")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self, A::Error> {
        while let Some((_, changed)) = map.next_entry::<IgnoredAny, Changed>()? {
            Timestamp::parse(&changed.changed_at).map_err(A::Error::custom)?;
        }
        Ok(self)
    }
}

/// What the command line noted; `None` where that is missing or not what it writes.
async fn secrets(env: &Env) -> Option<Box<RawValue>> {
    let kv = Kv::open(env, CONFIG_KV).ok()?;
    let text = kv.text(SECRETS_KEY, None).await.ok()??;
    serde_json::from_str::<Noted>(&text).ok()?;
    RawValue::from_string(text).ok()
}
