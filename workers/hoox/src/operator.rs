//! The operator API, `/v1`: who may call, listings, manifest, kill switch.

use hoox_auth::{Level, Manifest, parse_client_ip};
use hoox_gateway::{Called, Endpoint, Gateway, Heard, Matched, item_id, may_switch};
use hoox_mesh::registry::OPERATOR_KEY;
use hoox_mesh::{
    DeadLetters, ForceManifest, ForcedManifest, GetKeys, GetKill, GetManifest, LedgerReports,
    LetterCall, LetterVerb, Letters, ListOrders, ListPositions, ListSignals, ManifestReply, Page,
    PageRequest, Problem, PutKill, PutManifest, SetKill,
};
use hoox_model::{Code, RequestId, Timestamp};
use hoox_worker_kit::{Request, Way, now, relay, secret, text};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use worker::Env;

use crate::config::EnvPorts;
use crate::{Outcome, audit, config, health, inbox, operators, senders, written};

/// Operator calls may wait for Ledgers that wait for orders on their way.
pub(crate) const WITHIN_MS: u32 = 20_000;
/// Largest body of an operator call; a manifest has its own limit below it.
pub(crate) const MAX_BODY: usize = 512 * 1024;
/// The message of a route that needs none.
pub(crate) const NOTHING: &str = "null";

/// Lets an operator's call in.
///
/// # Errors
/// As of [`Gateway::operator`].
pub(crate) async fn admit(
    request: &Request,
    env: &Env,
    matched: Matched,
    id: &RequestId,
    since: Timestamp,
    heard: &mut Heard,
) -> Result<Level, Problem> {
    let [authorization, address] = request.headers(["authorization", "cf-connecting-ip"]);
    let owner = secret(env, OPERATOR_KEY).ok();
    let called = Called {
        request_id: id,
        received_at: since,
        address: parse_client_ip(address.as_deref()),
        authorization: authorization.as_deref(),
        owner: owner.as_ref(),
        matched,
    };
    Gateway::new(&EnvPorts(env), config::isolate())
        .operator(&called, heard)
        .await
}

/// Serves an operator's call.
pub(crate) async fn serve(
    request: &Request,
    env: &Env,
    endpoint: Endpoint,
    id: &RequestId,
    level: Level,
) -> Outcome {
    match endpoint {
        Endpoint::Signals => list(request, env, id, Way::of::<ListSignals>()).await,
        Endpoint::Orders => list(request, env, id, Way::of::<ListOrders>()).await,
        Endpoint::Positions => list(request, env, id, Way::of::<ListPositions>()).await,
        Endpoint::Refusals => inbox::list(request, env, id).await,
        Endpoint::GetManifest => get_manifest(env, id).await,
        Endpoint::PutManifest => put_manifest(request, env, id).await,
        Endpoint::GetKillSwitch => kill_switch(
            id,
            &relay(env, id, Way::of::<GetKill>(), NOTHING, WITHIN_MS).await?,
        ),
        Endpoint::PutKillSwitch => put_kill_switch(request, env, id, level).await,
        Endpoint::OperatorHealth => health::serve(request, env, id).await,
        Endpoint::Keys => keys(request, env, id).await,
        Endpoint::DeadLetters => dead_letters(request, env, id).await,
        Endpoint::DeadLetter => dead_letter(request, env, id, LetterVerb::Show).await,
        Endpoint::DiscardDeadLetter => dead_letter(request, env, id, LetterVerb::Discard).await,
        Endpoint::SettleDeadLetter => dead_letter(request, env, id, LetterVerb::Settle).await,
        Endpoint::ReplayDeadLetter => dead_letter(request, env, id, LetterVerb::Replay).await,
        Endpoint::ExportAudit => audit::export(request, env, id).await,
        Endpoint::VerifyAudit => audit::verify(request, env, id).await,
        Endpoint::DropAudit => audit::drop_month(request, env, id).await,
        Endpoint::Accounts => senders::accounts(env, id).await,
        Endpoint::Senders => senders::list(env, id).await,
        Endpoint::Sender => senders::show(request, env, id).await,
        Endpoint::CreateSender => senders::create(request, env, id).await,
        Endpoint::RotateSender => senders::rotate(request, env, id).await,
        Endpoint::RevokeSender => senders::revoke(request, env, id).await,
        Endpoint::Operators => operators::list(env, id).await,
        Endpoint::AddOperator => operators::add(request, env, id).await,
        Endpoint::RotateOperator => operators::rotate(request, env, id).await,
        Endpoint::RevokeOperator => operators::revoke(request, env, id).await,
        Endpoint::Webhook | Endpoint::SignedWebhook | Endpoint::Health => Err(Problem::new(
            Code::NotFound,
            "there is nothing at this path",
        )),
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Listing<'a> {
    success: bool,
    request_id: &'a RequestId,
    items: Vec<Box<RawValue>>,
    next_cursor: Option<String>,
}

/// Records are stored in the words of this API, so a page of them passes through unread.
async fn list(request: &Request, env: &Env, id: &RequestId, way: Way) -> Outcome {
    let wanted = serde_json::to_string(&page_request(request, env).await?)
        .map_err(|error| Problem::new(Code::Internal, error.to_string()))?;
    let page: Page<Box<RawValue>> = read(&relay(env, id, way, &wanted, WITHIN_MS).await?)?;
    let listing = Listing {
        success: true,
        request_id: id,
        items: page.items,
        next_cursor: page.next_cursor,
    };
    written(200, &listing)
}

/// Reads what is needed of a private worker's reply.
pub(crate) fn read<T: DeserializeOwned>(reply: &RawValue) -> Result<T, Problem> {
    serde_json::from_str(reply.get())
        .map_err(|_| Problem::new(Code::NotConfirmed, "an internal answer is not readable"))
}

/// `account` (a name or a stable id), `limit` and `cursor`; anything else is an error, so that a typing
/// mistake does not list everything.
async fn page_request(request: &Request, env: &Env) -> Result<PageRequest, Problem> {
    let bad = |field: &str, text: String| Problem::new(Code::BadField, text).field(field);
    let mut page = PageRequest::default();
    for (name, value) in request.query() {
        match name.as_str() {
            "limit" => {
                let limit = value.parse().map_err(|_| {
                    bad(
                        "limit",
                        format!("'{value}' is no limit; use a whole number from 1 to 100"),
                    )
                })?;
                page.limit = Some(limit);
            }
            "cursor" => page.cursor = Some(value),
            "account" => {
                let published = config::manifest(env, now()).await?;
                let account = published
                    .manifest
                    .accounts
                    .iter()
                    .find(|account| account.name.as_str() == value || account.id.as_str() == value)
                    .ok_or_else(|| bad("account", format!("there is no account '{value}'")))?;
                page.account = Some(account.id.clone());
            }
            other => {
                let text = format!("'{other}' is no parameter here; use account, limit and cursor");
                return Err(bad(other, text));
            }
        }
    }
    Ok(page)
}

/// What is shown of Control's reply.
#[derive(Deserialize)]
struct Shown {
    manifest: Option<Box<RawValue>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ManifestBody<'a> {
    success: bool,
    request_id: &'a RequestId,
    manifest: Box<RawValue>,
}

async fn get_manifest(env: &Env, id: &RequestId) -> Outcome {
    let way = Way::of::<GetManifest>();
    let shown: Shown = read(&relay(env, id, way, NOTHING, WITHIN_MS).await?)?;
    let manifest = shown.manifest.ok_or_else(|| {
        Problem::new(
            Code::NotFound,
            "there is no manifest yet; put one with version 1",
        )
    })?;
    let body = ManifestBody {
        success: true,
        request_id: id,
        manifest,
    };
    written(200, &body)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PutBody<'a> {
    success: bool,
    request_id: &'a RequestId,
    version: u64,
    published: bool,
    /// Exits of revoked senders that had sent nothing and wait for a person now.
    dead_letters: u32,
    /// What accounts had open that were retired all the same.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    retired: Vec<Box<RawValue>>,
}

/// `force=true` with `reason`: why accounts are retired that have something open. Anything else is an error.
fn forced(request: &Request) -> Result<Option<String>, Problem> {
    let (mut force, mut reason) = (false, None);
    for (name, value) in request.query() {
        match (name.as_str(), value.as_str()) {
            ("force", "true") => force = true,
            ("force", "false") => force = false,
            ("reason", _) => reason = Some(value),
            (other, _) => {
                let text = format!(
                    "'{other}' is no parameter here, or its value is none; use force=true and reason"
                );
                return Err(Problem::new(Code::BadField, text).field(other));
            }
        }
    }
    match (force, reason) {
        (false, None) => Ok(None),
        (true, Some(reason)) => Ok(Some(reason)),
        (true, None) => {
            let text = "force needs a reason, for the audit trail: force=true&reason=…";
            Err(Problem::new(Code::BadField, text).field("reason"))
        }
        (false, Some(_)) => {
            let text = "a reason is only for force=true";
            Err(Problem::new(Code::BadField, text).field("force"))
        }
    }
}

async fn put_manifest(request: &Request, env: &Env, id: &RequestId) -> Outcome {
    let reason = forced(request)?;
    let sent = text(request, MAX_BODY).await?;
    let manifest = Manifest::parse_strict(&sent).map_err(|error| {
        Problem::new(Code::BadField, error.problems.join("; ")).field("manifest")
    })?;
    let (way, message) = match reason {
        None => (Way::of::<PutManifest>(), sent),
        Some(reason) => {
            let manifest = raw(sent)?;
            let forced = serde_json::to_string(&ForcedManifest { reason, manifest })
                .map_err(|error| Problem::new(Code::Internal, error.to_string()))?;
            (Way::of::<ForceManifest>(), forced)
        }
    };
    let mut reply: ManifestReply = read(&relay(env, id, way, &message, WITHIN_MS).await?)?;
    let (delivered, retired) = (reply.delivered, core::mem::take(&mut reply.retired));
    let version = reply.manifest.as_ref().map(|known| known.version);
    let dead_letters = reply.dead_letters;
    if let Some(published) = reply.published() {
        config::keep(published, now());
    }
    let body = PutBody {
        success: true,
        request_id: id,
        version: version.unwrap_or(manifest.version),
        published: delivered,
        dead_letters,
        retired,
    };
    written(200, &body)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LetterList<'a> {
    success: bool,
    request_id: &'a RequestId,
    #[serde(flatten)]
    letters: Letters,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LetterBody<'a> {
    success: bool,
    request_id: &'a RequestId,
    dead_letter: Option<Box<RawValue>>,
}

async fn letters(env: &Env, call: &LetterCall) -> Result<Letters, Problem> {
    let message = serde_json::to_string(call)
        .map_err(|error| Problem::new(Code::Internal, error.to_string()))?;
    let way = Way::of::<DeadLetters>();
    read(&relay(env, &call.request_id, way, &message, WITHIN_MS).await?)
}

async fn dead_letters(request: &Request, env: &Env, id: &RequestId) -> Outcome {
    let page = page_request(request, env).await?;
    if page.limit.is_some() || page.cursor.is_some() {
        let text = "dead letters have no pages: the oldest 100 of each account come first, and settled ones make room";
        return Err(Problem::new(Code::BadField, text));
    }
    let call = LetterCall {
        verb: LetterVerb::List,
        request_id: id.clone(),
        account: page.account,
        signal: None,
        settle: None,
    };
    let list = LetterList {
        success: true,
        request_id: id,
        letters: letters(env, &call).await?,
    };
    written(200, &list)
}

async fn dead_letter(request: &Request, env: &Env, id: &RequestId, verb: LetterVerb) -> Outcome {
    let path = request.path();
    let signal = item_id(path)
        .parse()
        .map_err(|_| Problem::new(Code::NotFound, "this is no signal's id"))?;
    let settle = match verb {
        LetterVerb::Settle => Some(raw(text(request, MAX_BODY).await?)?),
        _ => None,
    };
    let call = LetterCall {
        verb,
        request_id: id.clone(),
        account: None,
        signal: Some(signal),
        settle,
    };
    let body = LetterBody {
        success: true,
        request_id: id,
        dead_letter: letters(env, &call).await?.items.into_iter().next(),
    };
    written(200, &body)
}

/// A body that a Ledger reads, as long as it is JSON at all.
fn raw(text: String) -> Result<Box<RawValue>, Problem> {
    RawValue::from_string(text).map_err(|error| Problem::new(Code::BadJson, error.to_string()))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct KeysBody<'a> {
    success: bool,
    request_id: &'a RequestId,
    #[serde(flatten)]
    keys: LedgerReports,
}

/// What the API keys of all accounts or of one may do.
async fn keys(request: &Request, env: &Env, id: &RequestId) -> Outcome {
    let page =
        page_request(request, env)
            .await
            .map_err(|problem| match problem.field.as_deref() {
                Some("account") => Problem {
                    code: Code::NotFound,
                    ..problem
                },
                _ => problem,
            })?;
    if page.limit.is_some() || page.cursor.is_some() {
        let text = "keys have no pages: every account has one";
        return Err(Problem::new(Code::BadField, text));
    }
    let message = serde_json::to_string(&page.account)
        .map_err(|error| Problem::new(Code::Internal, error.to_string()))?;
    let way = Way::of::<GetKeys>();
    let body = KeysBody {
        success: true,
        request_id: id,
        keys: read(&relay(env, id, way, &message, WITHIN_MS).await?)?,
    };
    written(200, &body)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct KillBody<'a> {
    success: bool,
    request_id: &'a RequestId,
    kill_switch: &'a RawValue,
}

fn kill_switch(id: &RequestId, state: &RawValue) -> Outcome {
    let body = KillBody {
        success: true,
        request_id: id,
        kill_switch: state,
    };
    written(200, &body)
}

async fn put_kill_switch(request: &Request, env: &Env, id: &RequestId, level: Level) -> Outcome {
    let sent = text(request, MAX_BODY).await?;
    let change = serde_json::from_str::<SetKill>(&sent).map_err(|error| {
        let text = format!(
            "{error}; send {{\"mode\":\"off\"|\"entries\"|\"all\",\"reason\":\"…\",\"flatten\":true|false}}"
        );
        Problem::new(Code::BadField, text).field("mode")
    })?;
    if let Some(problem) = change.problem() {
        return Err(problem);
    }
    may_switch(level, change.mode)?;
    kill_switch(
        id,
        &relay(env, id, Way::of::<PutKill>(), &sent, WITHIN_MS).await?,
    )
}
