//! The operator's calls about senders and accounts. A key is made here, shown once, and leaves this
//! worker hashed or sealed.

use hoox_auth::{
    Account, PasskeyHash, Published, Scheme, Sender, SenderChange, SenderKey, SenderView,
    new_passkey, new_signing_secret,
};
use hoox_gateway::item_id;
use hoox_mesh::registry::SEALING_KEY;
use hoox_mesh::{ChangeSenders, ManifestReply, Problem};
use hoox_model::{Code, Name, RequestId, Secret};
use hoox_worker_kit::{Request, Way, now, random_bytes, relay, text};
use serde::{Deserialize, Serialize};
use worker::Env;

use crate::operator::{MAX_BODY, WITHIN_MS, read};
use crate::{Outcome, config, sealing_key, written};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AccountList<'a> {
    success: bool,
    request_id: &'a RequestId,
    accounts: &'a [Account],
}

pub(crate) async fn accounts(env: &Env, id: &RequestId) -> Outcome {
    let published = config::refresh(env, id, WITHIN_MS).await?;
    let body = AccountList {
        success: true,
        request_id: id,
        accounts: &published.manifest.accounts,
    };
    written(200, &body)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SenderList<'a> {
    success: bool,
    request_id: &'a RequestId,
    senders: Vec<SenderView<'a>>,
}

pub(crate) async fn list(env: &Env, id: &RequestId) -> Outcome {
    let published = config::refresh(env, id, WITHIN_MS).await?;
    let body = SenderList {
        success: true,
        request_id: id,
        senders: published
            .manifest
            .senders
            .iter()
            .map(Sender::view)
            .collect(),
    };
    written(200, &body)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SenderBody<'a> {
    success: bool,
    request_id: &'a RequestId,
    sender: Option<SenderView<'a>>,
    /// The new key, this once.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    /// The manifest's version.
    version: u64,
    /// Whether every Ledger and KV have it; what is missing follows by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    published: Option<bool>,
    /// Waiting exits of the sender that are dead letters now.
    #[serde(skip_serializing_if = "Option::is_none")]
    dead_letters: Option<u32>,
}

impl<'a> SenderBody<'a> {
    fn new(id: &'a RequestId, published: &'a Published, sender: &Name) -> Self {
        let manifest = &published.manifest;
        SenderBody {
            success: true,
            request_id: id,
            sender: manifest.sender(sender).map(Sender::view),
            key: None,
            version: manifest.version,
            published: None,
            dead_letters: None,
        }
    }
}

pub(crate) async fn show(request: &Request, env: &Env, id: &RequestId) -> Outcome {
    let name = named(request)?;
    let published = config::refresh(env, id, WITHIN_MS).await?;
    let body = SenderBody::new(id, &published, &name);
    if body.sender.is_none() {
        return Err(nobody(name.as_str()));
    }
    written(200, &body)
}

pub(crate) async fn create(request: &Request, env: &Env, id: &RequestId) -> Outcome {
    let sent = text(request, MAX_BODY).await?;
    let mut sender = Sender::parse_new(&sent)
        .map_err(|error| Problem::new(Code::BadField, error.to_string()))?;
    let (key, kept) = new_key(env, &sender)?;
    sender.keys = vec![kept];
    let change = SenderChange::Create {
        sender: Box::new(sender),
    };
    changed(env, id, 201, &change, Some(&key)).await
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Rotation {
    /// How long the key before stays valid.
    overlap_seconds: u32,
}

pub(crate) async fn rotate(request: &Request, env: &Env, id: &RequestId) -> Outcome {
    let name = named(request)?;
    let sent = text(request, MAX_BODY).await?;
    let rotation: Rotation = serde_json::from_str(&sent).map_err(|error| {
        let text = format!("{error}; send {{\"overlapSeconds\":N}}, 0 to end the old key at once");
        Problem::new(Code::BadField, text).field("overlapSeconds")
    })?;
    let published = config::refresh(env, id, WITHIN_MS).await?;
    let sender = published.manifest.sender(&name);
    let sender = sender.ok_or_else(|| nobody(name.as_str()))?;
    let (key, kept) = new_key(env, sender)?;
    let change = SenderChange::Rotate {
        id: name,
        overlap_seconds: rotation.overlap_seconds,
        key: kept,
    };
    changed(env, id, 200, &change, Some(&key)).await
}

pub(crate) async fn revoke(request: &Request, env: &Env, id: &RequestId) -> Outcome {
    let change = SenderChange::Revoke {
        id: named(request)?,
    };
    changed(env, id, 200, &change, None).await
}

fn named(request: &Request) -> Result<Name, Problem> {
    let name = item_id(request.path());
    name.parse().map_err(|_| nobody(name))
}

fn nobody(name: &str) -> Problem {
    Problem::new(Code::NotFound, format!("there is no sender '{name}'"))
}

/// A new key for a sender of its scheme, and what the manifest keeps of it.
fn new_key(env: &Env, sender: &Sender) -> Result<(Secret, SenderKey), Problem> {
    if sender.scheme == Scheme::Passkey {
        let key = new_passkey(random_bytes()?);
        let hash = PasskeyHash::new(random_bytes()?, &key);
        return Ok((key, hash.into()));
    }
    let sealing = sealing_key(env).ok_or_else(|| {
        let text = format!("the secret {SEALING_KEY} is not set, or shorter than 32 characters");
        Problem::new(Code::NotConfigured, text)
    })?;
    let secret = new_signing_secret(sender.scheme, random_bytes()?);
    let sealed = sealing.seal(sender.id.as_str(), sender.scheme, &secret, random_bytes()?);
    Ok((secret, SenderKey::signing(sealed)))
}

/// Has Control make a change, and shows the sender as it is then.
async fn changed(
    env: &Env,
    id: &RequestId,
    status: u16,
    change: &SenderChange,
    key: Option<&Secret>,
) -> Outcome {
    let message = serde_json::to_string(change)
        .map_err(|error| Problem::new(Code::Internal, error.to_string()))?;
    let way = Way::of::<ChangeSenders>();
    let reply: ManifestReply = read(&relay(env, id, way, &message, WITHIN_MS).await?)?;
    let (delivered, dead_letters) = (reply.delivered, reply.dead_letters);
    let published = reply
        .published()
        .ok_or_else(|| nobody(change.id().as_str()))?;
    let published = config::keep(published, now());
    let body = SenderBody {
        key: key.map(Secret::expose),
        published: Some(delivered),
        dead_letters: matches!(change, SenderChange::Revoke { .. }).then_some(dead_letters),
        ..SenderBody::new(id, &published, change.id())
    };
    written(status, &body)
}
