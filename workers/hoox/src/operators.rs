//! The operator's calls about operators. A key is made where it is used; only its digest ever comes here.

use hoox_auth::{KeyDigest, Level, OWNER, Operator, OperatorChange, Published};
use hoox_gateway::item_id;
use hoox_mesh::{ChangeOperators, ManifestReply, Problem};
use hoox_model::{Code, Name, RequestId, Timestamp};
use hoox_worker_kit::{Request, Way, now, relay, text};
use serde::{Deserialize, Serialize};
use worker::Env;

use crate::operator::{MAX_BODY, WITHIN_MS, read};
use crate::{Body, Outcome, config, written};

/// An operator as answers show them.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct View<'a> {
    name: &'a str,
    level: Level,
    /// When their key was made; nobody knows that of the owner's.
    key_created_at: Option<Timestamp>,
}

impl<'a> From<&'a Operator> for View<'a> {
    fn from(operator: &'a Operator) -> Self {
        View {
            name: operator.name.as_str(),
            level: operator.level,
            key_created_at: Some(operator.key_created_at),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct List<'a> {
    success: bool,
    request_id: &'a RequestId,
    operators: Vec<View<'a>>,
}

pub(crate) async fn list(env: &Env, id: &RequestId) -> Outcome {
    // Before the first manifest there is the owner.
    let published = match config::refresh(env, id, WITHIN_MS).await {
        Err(problem) if problem.code == Code::NotConfigured => None,
        known => Some(known?),
    };
    let owner = View {
        name: OWNER,
        level: Level::Admin,
        key_created_at: None,
    };
    let others = published.iter().flat_map(|known| &known.operators.list);
    let body = List {
        success: true,
        request_id: id,
        operators: [owner].into_iter().chain(others.map(View::from)).collect(),
    };
    written(200, &body)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Addition {
    name: Name,
    level: Level,
    key_sha256: KeyDigest,
}

pub(crate) async fn add(request: &Request, env: &Env, id: &RequestId) -> Outcome {
    let form = r#"send {"name":"…","level":"read"|"operate"|"admin","keySha256":"64 hex digits"}"#;
    let Addition {
        name,
        level,
        key_sha256,
    } = sent(request, form).await?;
    let noted = format!("{name}, level {level}");
    let change = OperatorChange::Add {
        name,
        level,
        key_sha256,
    };
    let added = changed(env, id, 201, &change).await?;
    // The path does not name who was added.
    Ok(Body {
        noted: Some(noted),
        ..added
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Rotation {
    key_sha256: KeyDigest,
}

pub(crate) async fn rotate(request: &Request, env: &Env, id: &RequestId) -> Outcome {
    let name = named(request)?;
    let form = r#"send {"keySha256":"64 hex digits"}"#;
    let Rotation { key_sha256 } = sent(request, form).await?;
    changed(env, id, 200, &OperatorChange::Rotate { name, key_sha256 }).await
}

pub(crate) async fn revoke(request: &Request, env: &Env, id: &RequestId) -> Outcome {
    let name = named(request)?;
    changed(env, id, 200, &OperatorChange::Revoke { name }).await
}

async fn sent<T: for<'de> Deserialize<'de>>(request: &Request, form: &str) -> Result<T, Problem> {
    let body = text(request, MAX_BODY).await?;
    serde_json::from_str(&body)
        .map_err(|error| Problem::new(Code::BadField, format!("{error}; {form}")))
}

fn named(request: &Request) -> Result<Name, Problem> {
    let name = item_id(request.path());
    name.parse().map_err(|_| {
        let text = format!("there is no operator '{name}'");
        Problem::new(Code::NotFound, text)
    })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Changed<'a> {
    success: bool,
    request_id: &'a RequestId,
    /// The operator as they are now; `None` where they are gone.
    operator: Option<View<'a>>,
    /// Whether the gateways' configuration has it; what is missing follows by itself.
    published: bool,
}

/// Has Control make a change, and shows the operator as they are then.
async fn changed(env: &Env, id: &RequestId, status: u16, change: &OperatorChange) -> Outcome {
    let message = serde_json::to_string(change)
        .map_err(|error| Problem::new(Code::Internal, error.to_string()))?;
    let way = Way::of::<ChangeOperators>();
    let reply: ManifestReply = read(&relay(env, id, way, &message, WITHIN_MS).await?)?;
    let delivered = reply.delivered;
    let published = reply.published().map(|known| config::keep(known, now()));
    let known = published
        .as_deref()
        .map(|known: &Published| &known.operators);
    let body = Changed {
        success: true,
        request_id: id,
        operator: known
            .and_then(|known| known.named(change.name()))
            .map(View::from),
        published: delivered,
    };
    written(status, &body)
}
