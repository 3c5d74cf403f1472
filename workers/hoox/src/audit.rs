//! The gateway's entries of the audit trail, and the operator's calls that read it.

use std::collections::BTreeMap;

use hoox_gateway::{Endpoint, Heard, Matched};
use hoox_mesh::{AuditAppend, AuditDrop, AuditExport, AuditVerify, Burst, Problem, unstored};
use hoox_model::{Code, Name, RequestId, Timestamp};
use hoox_store::audit::{AuditEntry, AuditEvent, AuditPage};
use hoox_worker_kit::{Request, Way, call_service, now, relay};
use serde::Serialize;
use serde_json::value::RawValue;
use worker::Env;

use crate::operator::{WITHIN_MS, read};
use crate::{Body, Outcome, written};

/// Whoever has not proved who they are.
pub(crate) const STRANGER: &str = "stranger";
/// How long an entry may take to be stored, beside the answer.
const STORE_MS: u32 = 10_000;

/// One request, when its answer is known.
pub(crate) struct Answered<'a> {
    pub(crate) id: &'a RequestId,
    pub(crate) since: Timestamp,
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    pub(crate) matched: Matched,
    pub(crate) heard: &'a Heard,
    pub(crate) status: u16,
    pub(crate) refusal: Option<&'a Problem>,
    /// What the trail says of it beside method and path.
    pub(crate) noted: Option<String>,
}

/// What of a request belongs into the trail. Accepted signals are in the records of their Ledger; what strangers do at
/// the webhook is not stored.
pub(crate) fn entry(answered: &Answered<'_>) -> Option<AuditEntry> {
    let (event, actor, detail) = event(answered)?;
    let refusal = answered.refusal;
    let latency = u32::try_from(now().since(answered.since)).ok();
    // A path holds names only where it is one of ours; the sentence of a refusal may repeat what was sent.
    Some(AuditEntry {
        request_id: Some(answered.id.clone()),
        method: Some(answered.method.into()),
        path: Some(answered.path.into()),
        status: Some(answered.status),
        latency_ms: latency,
        code: refusal.map(|refusal| refusal.code),
        detail: detail.map(Into::into),
        ..AuditEntry::new(answered.since, event, actor)
    })
}

type Event<'a> = (AuditEvent, &'a str, Option<String>);

fn event<'a>(answered: &Answered<'a>) -> Option<Event<'a>> {
    let refusal = answered.refusal;
    let field = refusal.and_then(|refusal| refusal.field.as_deref());
    let field = field.map(|field| format!("field {field}"));
    let sender = answered.heard.sender.as_ref().map(Name::as_str);
    let operator = answered.heard.operator.as_deref();
    if refusal.is_some_and(|refusal| refusal.code == Code::Internal) {
        let actor = sender.or(operator).unwrap_or(STRANGER);
        return Some((AuditEvent::Error, actor, None));
    }
    if answered.matched.is_operator() {
        let operator = operator.unwrap_or(STRANGER);
        return match refusal {
            Some(refusal) if refusal.code == Code::Unauthorized => {
                let more = REFUSED.with(|refused| refused.stored(now()))?;
                Some((AuditEvent::OperatorRefused, STRANGER, unstored(more)))
            }
            // A slowed address is one line for a minute.
            Some(refusal) if refusal.code == Code::RateLimited => None,
            // Reading what is not there changes nothing.
            Some(_) if answered.method == "GET" => None,
            Some(_) => Some((AuditEvent::OperatorRefused, operator, field)),
            None => {
                changed(answered.matched).map(|event| (event, operator, answered.noted.clone()))
            }
        };
    }
    let sender = sender?;
    // What the inbox keeps of it holds no value of the alert either.
    let detail = match &answered.heard.refused {
        Some(refused) => Some(refused.error.clone()),
        None => field,
    };
    refusal.map(|_| (AuditEvent::SignalRefused, sender, detail))
}

/// What an operator's call has changed.
const fn changed(matched: Matched) -> Option<AuditEvent> {
    let Matched::Endpoint(endpoint) = matched else {
        return None;
    };
    Some(match endpoint {
        Endpoint::PutManifest => AuditEvent::ManifestChanged,
        Endpoint::PutKillSwitch => AuditEvent::KillSwitchChanged,
        Endpoint::CreateSender => AuditEvent::SenderCreated,
        Endpoint::RotateSender => AuditEvent::SenderRotated,
        Endpoint::RevokeSender => AuditEvent::SenderRevoked,
        Endpoint::SettleDeadLetter | Endpoint::ReplayDeadLetter | Endpoint::DiscardDeadLetter => {
            AuditEvent::DeadLetterChanged
        }
        Endpoint::AddOperator => AuditEvent::OperatorAdded,
        Endpoint::RotateOperator => AuditEvent::OperatorRotated,
        Endpoint::RevokeOperator => AuditEvent::OperatorRevoked,
        Endpoint::DropAudit => AuditEvent::AuditDropped,
        _ => return None,
    })
}

thread_local! {
    static REFUSED: Burst = const { Burst::new() };
}

/// Stores an entry; what cannot be stored is in the log.
pub(crate) async fn store(env: &Env, id: &RequestId, entry: AuditEntry) {
    let entries = vec![entry];
    if let Err(problem) = call_service::<AuditAppend>(env, id, None, &entries, STORE_MS).await {
        let entry = serde_json::to_string(&entries).unwrap_or_default();
        worker::console_error!("an audit entry was not stored ({problem}): {entry}");
    }
}

/// A parameter of a query.
#[derive(Serialize)]
#[serde(untagged)]
enum Parameter {
    Number(u32),
    Text(String),
}

/// The parameters of a query as a message: numbers as numbers, the rest as texts. The callee knows which there are.
fn message(request: &Request) -> Result<String, Problem> {
    let fields: BTreeMap<String, Parameter> = request
        .query()
        .into_iter()
        .map(|(name, value)| {
            let is_text = matches!(name.as_str(), "cursor" | "chain" | "sender");
            let number = value.parse().ok().filter(|_| !is_text);
            let value = number.map_or(Parameter::Text(value), Parameter::Number);
            (name, value)
        })
        .collect();
    serde_json::to_string(&fields).map_err(|error| Problem::new(Code::Internal, error.to_string()))
}

/// A parameter that is not one of the callee's is the caller's mistake.
fn bad_parameter(problem: Problem) -> Problem {
    if problem.code == Code::BadJson {
        return Problem::new(Code::BadField, problem.message);
    }
    problem
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown<'a> {
    success: bool,
    request_id: &'a RequestId,
    audit: Box<RawValue>,
}

pub(crate) async fn ask(
    request: &Request,
    env: &Env,
    id: &RequestId,
    way: Way,
) -> Result<Box<RawValue>, Problem> {
    relay(env, id, way, &message(request)?, WITHIN_MS)
        .await
        .map_err(bad_parameter)
}

pub(crate) async fn verify(request: &Request, env: &Env, id: &RequestId) -> Outcome {
    let body = Shown {
        success: true,
        request_id: id,
        audit: ask(request, env, id, Way::of::<AuditVerify>()).await?,
    };
    written(200, &body)
}

pub(crate) async fn drop_month(request: &Request, env: &Env, id: &RequestId) -> Outcome {
    let body = Shown {
        success: true,
        request_id: id,
        audit: ask(request, env, id, Way::of::<AuditDrop>()).await?,
    };
    written(200, &body)
}

/// A page of lines; where the next one begins is in headers.
pub(crate) async fn export(request: &Request, env: &Env, id: &RequestId) -> Outcome {
    let page: AuditPage = read(&ask(request, env, id, Way::of::<AuditExport>()).await?)?;
    let cursor = page.next_cursor.unwrap_or_default();
    Ok(Body {
        status: 200,
        text: page.jsonl,
        headers: vec![
            ("content-type", "application/x-ndjson".to_owned()),
            ("x-next-cursor", cursor),
            ("x-more", page.more.to_string()),
        ],
        noted: None,
    })
}
