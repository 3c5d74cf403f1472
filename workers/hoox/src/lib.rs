//! The gateway: the only Hoox worker with an address. It reads requests and lets hoox-gateway decide about
//! them and forward them over its edges.

mod attempts;
mod audit;
mod config;
mod cors;
mod health;
mod inbox;
mod operator;
mod operators;
mod senders;

use core::convert::Infallible;

use futures_util::FutureExt;
use hoox_auth::{Level, SealingKey, SignatureHeaders, parse_client_ip};
use hoox_gateway::{
    Arriving, Endpoint, Gateway, Heard, Inbound, MAX_BODY, Matched, Signed, Unread, endpoint,
    too_large, webhook_sender,
};
use hoox_mesh::registry::SEALING_KEY;
use hoox_mesh::{InboxNote, Problem, RefusedAlert, Worker};
use hoox_model::{Code, RequestId, Timestamp};
use hoox_store::audit::AuditEntry;
use hoox_worker_kit::{
    Bindings, LogLine, PlatformResponse, Request, json, log, now, problem, request_id, secret,
};
use serde::Serialize;
use worker::{Context, Env, Result, event};

use crate::audit::Answered;
use crate::config::EnvPorts;

/// The body of an answer to a browser that asks before it calls.
const PREFLIGHT: &str = r#"{"success":true}"#;

/// An answer before it is sent.
struct Body {
    status: u16,
    /// JSON, unless a header says otherwise.
    text: String,
    /// Beside those that every answer has.
    headers: Vec<(&'static str, String)>,
    /// What the audit trail says of it beside method and path.
    noted: Option<String>,
}

impl Body {
    const fn json(status: u16, text: String) -> Self {
        Self {
            status,
            text,
            headers: Vec::new(),
            noted: None,
        }
    }
}

/// An answer before it is sent, or a refusal.
type Outcome = core::result::Result<Body, Problem>;

fn written(status: u16, body: &impl Serialize) -> Outcome {
    serde_json::to_string(body)
        .map(|text| Body::json(status, text))
        .map_err(|error| Problem::new(Code::Internal, error.to_string()))
}

// Futures are boxed where paths part. Otherwise they are one function, and the first request of a cold isolate waits
// until V8 has compiled what only operators use.

/// Never an error of the platform's: what it would show and log is not ours to choose.
#[event(fetch)]
async fn fetch(
    request: Request,
    env: Env,
    context: Context,
) -> core::result::Result<PlatformResponse, Infallible> {
    Ok(answer(request, &env, &context)
        .await
        .unwrap_or_else(|error| {
            worker::console_error!("an answer could not be written: {error}");
            failed()
        }))
}

/// An answer of last resort.
fn failed() -> PlatformResponse {
    worker::ResponseBuilder::new()
        .with_status(500)
        .empty()
        .into()
}

async fn answer(request: Request, env: &Env, context: &Context) -> Result<PlatformResponse> {
    let (id, since) = (request_id(), now());
    let method = request.method();
    let matched = endpoint(&method, request.path());
    let mut heard = Heard::default();
    let origin = if matched.is_operator() {
        cors::allowed(&request, env, since).boxed_local().await
    } else {
        None
    };
    let outcome = match origin {
        Some(_) if cors::is_preflight(&request, &method) => {
            Ok(Body::json(200, PREFLIGHT.to_owned()))
        }
        _ => serve(&request, env, matched, &id, since, &mut heard).await,
    };
    let (response, refusal, noted) = match outcome {
        Ok(body) => (respond(&id, &body)?, None, body.noted),
        Err(refusal) => (problem(&id, &refusal)?, Some(refusal), None),
    };
    let answered = Answered {
        id: &id,
        since,
        method: &method,
        path: request.path(),
        matched,
        heard: &heard,
        status: response.status(),
        refusal: refusal.as_ref(),
        noted,
    };
    let entry = audit::entry(&answered);
    let note = heard.refused.and_then(inbox::note);
    if entry.is_some() || note.is_some() {
        context.wait_until(tell(env.clone(), id.clone(), entry, note));
    }
    if let (Matched::MethodNotAllowed { allowed, .. }, 405) = (matched, response.status()) {
        response.headers().set("allow", allowed)?;
    }
    if let Some(origin) = origin {
        cors::grant(&response, &origin)?;
    }
    log(&LogLine {
        time: since,
        worker: "hoox",
        request_id: &id,
        method: &method,
        endpoint: &name(matched),
        status: response.status(),
        millis: now().since(since),
        code: refusal.map(|refusal| refusal.code.as_str()),
    });
    Ok(response)
}

/// What is told of a request beside its answer.
async fn tell(
    env: Env,
    id: RequestId,
    entry: Option<AuditEntry>,
    note: Option<InboxNote<RefusedAlert>>,
) {
    if let Some(entry) = entry {
        audit::store(&env, &id, entry).await;
    }
    if let Some(note) = note {
        inbox::keep(&env, &note).await;
    }
}

fn respond(id: &RequestId, body: &Body) -> Result<PlatformResponse> {
    let response = json(body.status, id, &body.text)?;
    for (name, value) in &body.headers {
        response.headers().set(name, value)?;
    }
    Ok(response)
}

fn name(matched: Matched) -> String {
    match matched {
        Matched::Endpoint(endpoint) => format!("{endpoint:?}"),
        Matched::MethodNotAllowed { .. } => "method".to_owned(),
        Matched::NotFound { .. } => "none".to_owned(),
    }
}

async fn serve(
    request: &Request,
    env: &Env,
    matched: Matched,
    id: &RequestId,
    since: Timestamp,
    heard: &mut Heard,
) -> Outcome {
    // Where no operator is needed nobody looks at the level.
    let mut level = Level::Read;
    if matched.is_operator() {
        let admitted = operator::admit(request, env, matched, id, since, heard);
        level = admitted.boxed_local().await?;
    }
    match matched {
        Matched::Endpoint(Endpoint::Webhook | Endpoint::SignedWebhook) => {
            webhook(request, env, id, since, heard).boxed_local().await
        }
        Matched::Endpoint(Endpoint::Health) => health(env),
        Matched::Endpoint(endpoint) => {
            operator::serve(request, env, endpoint, id, level)
                .boxed_local()
                .await
        }
        Matched::MethodNotAllowed { allowed, .. } => Err(Problem::new(
            Code::MethodNotAllowed,
            format!("this path takes {allowed} only"),
        )),
        Matched::NotFound { .. } => Err(Problem::new(
            Code::NotFound,
            "there is nothing at this path",
        )),
    }
}

#[derive(Serialize)]
struct Health<'a> {
    success: bool,
    status: &'static str,
    bindings: Bindings<'a>,
}

/// Liveness and which bindings exist. It wakes nothing.
fn health(env: &Env) -> Outcome {
    let bindings = Bindings::of(env, Worker::Hoox, &[]);
    let complete = bindings.are_complete();
    let health = Health {
        success: true,
        status: if complete { "ok" } else { "incomplete" },
        bindings,
    };
    written(200, &health)
}

async fn webhook(
    request: &Request,
    env: &Env,
    id: &RequestId,
    since: Timestamp,
    heard: &mut Heard,
) -> Outcome {
    let [length, encoding, address, idempotency_key, prefer] = request.headers([
        "content-length",
        "content-encoding",
        "cf-connecting-ip",
        "idempotency-key",
        "prefer",
    ]);
    let address = parse_client_ip(address.as_deref());
    let ports = EnvPorts(env);
    let gateway = Gateway::new(&ports, config::isolate());
    let arriving = Arriving {
        request_id: id,
        received_at: since,
        address,
        declared_length: length.as_deref(),
        content_encoding: encoding.as_deref(),
    };
    // A stranger's body is not even read.
    let manifest = gateway.manifest(since).await?;
    let read = match gateway.admit(manifest.clone(), &arriving).await {
        Ok(admitting) => match request.body(MAX_BODY).await {
            Ok(Some(body)) => Ok((admitting, body)),
            Ok(None) => Err(too_large()),
            Err(_) => Err(Problem::new(
                Code::BadJson,
                "the body broke off; send it again",
            )),
        },
        Err(refusal) => Err(refusal),
    };
    let (manifest, body) = match read {
        Ok(read) => read,
        Err(refusal) => {
            heard.refused = Unread::before_its_body(&arriving).kept(&manifest, &refusal);
            return Err(refusal);
        }
    };
    let signer = webhook_sender(request.path());
    let sealing = signer.and_then(|_| sealing_key(env));
    let signatures = signer.map_or_else(Default::default, |_| request.headers(SIGNATURES));
    let signed = signer.map(|sender| Signed {
        sender,
        headers: signature_headers(&signatures),
        sealing: sealing.as_ref(),
    });
    let inbound = Inbound {
        signed,
        certified: request.has_certificate(),
        request_id: id.clone(),
        received_at: since,
        address,
        idempotency_key: idempotency_key.as_deref(),
        prefer: prefer.as_deref(),
        body: &body,
    };
    let forwarded = gateway
        .webhook(manifest, &inbound, heard)
        .boxed_local()
        .await?;
    written(forwarded.status(), &forwarded.signal.body(id))
}

/// The headers that schemes read, in the order of [`signature_headers`].
const SIGNATURES: [&str; 5] = [
    "webhook-id",
    "webhook-timestamp",
    "webhook-signature",
    "stripe-signature",
    "x-hub-signature-256",
];

fn signature_headers(found: &[Option<String>; 5]) -> SignatureHeaders<'_> {
    let [id, timestamp, signature, stripe, hub] = found.each_ref().map(Option::as_deref);
    SignatureHeaders {
        webhook_id: id,
        webhook_timestamp: timestamp,
        webhook_signature: signature,
        stripe_signature: stripe,
        hub_signature_256: hub,
    }
}

/// What opens the senders' signing secrets.
fn sealing_key(env: &Env) -> Option<SealingKey> {
    SealingKey::new(&secret(env, SEALING_KEY).ok()?)
}
