//! The operator API, `/v1`: bearer key, listings, manifest, kill switch.

use hoox_auth::{Manifest, Published};
use hoox_gateway::Endpoint;
use hoox_mesh::registry::OPERATOR_KEY;
use hoox_mesh::{
    GetKill, GetManifest, ListOrders, ListPositions, ListSignals, Page, PageRequest, Problem,
    PutKill, PutManifest, Route, SetKill,
};
use hoox_model::{Code, RequestId};
use hoox_worker_kit::{call_service, now, read_body, secret};
use serde::Serialize;
use serde_json::{Value, json};
use worker::{Env, Request};

use crate::{Outcome, config};

/// Operator calls may wait for Ledgers that wait for orders on their way.
const WITHIN_MS: u32 = 20_000;
/// Largest body of an operator call; a manifest has its own limit below it.
const MAX_BODY: usize = 512 * 1024;

/// Whether the request carries the operator's key.
///
/// # Errors
/// `UNAUTHORIZED`, with one body for every reason.
pub(crate) fn authenticate(request: &Request, env: &Env) -> Result<(), Problem> {
    let refuse = || {
        Problem::new(
            Code::Unauthorized,
            "send the operator key as `Authorization: Bearer …`",
        )
    };
    let header = request
        .headers()
        .get("authorization")
        .ok()
        .flatten()
        .ok_or_else(refuse)?;
    let presented = header.strip_prefix("Bearer ").ok_or_else(refuse)?;
    let key = secret(env, OPERATOR_KEY).map_err(|_| refuse())?;
    if key.matches(presented) {
        Ok(())
    } else {
        Err(refuse())
    }
}

/// Serves an operator's call.
pub(crate) async fn serve(
    request: &mut Request,
    env: &Env,
    endpoint: Endpoint,
    id: &RequestId,
) -> Outcome {
    match endpoint {
        Endpoint::Signals => list::<ListSignals, _>(request, env, id).await,
        Endpoint::Orders => list::<ListOrders, _>(request, env, id).await,
        Endpoint::Positions => list::<ListPositions, _>(request, env, id).await,
        Endpoint::GetManifest => get_manifest(env, id).await,
        Endpoint::PutManifest => put_manifest(request, env, id).await,
        Endpoint::GetKillSwitch => {
            let state = call_service::<GetKill>(env, id, None, &(), WITHIN_MS).await?;
            Ok((
                200,
                json!({ "success": true, "requestId": id, "killSwitch": state }),
            ))
        }
        Endpoint::PutKillSwitch => put_kill_switch(request, env, id).await,
        Endpoint::Webhook | Endpoint::Health => Err(Problem::new(
            Code::NotFound,
            "there is nothing at this path",
        )),
    }
}

async fn list<R, T>(request: &Request, env: &Env, id: &RequestId) -> Outcome
where
    R: Route<Request = PageRequest, Reply = Page<T>>,
    T: Serialize,
{
    let page = page_request(request, env).await?;
    let page = call_service::<R>(env, id, None, &page, WITHIN_MS).await?;
    Ok((
        200,
        json!({ "success": true, "requestId": id, "items": page.items, "nextCursor": page.next_cursor }),
    ))
}

/// `account` (a name or a stable id), `limit` and `cursor`; anything else is an error, so that a typing
/// mistake does not list everything.
async fn page_request(request: &Request, env: &Env) -> Result<PageRequest, Problem> {
    let bad = |field: &str, text: String| Problem::new(Code::BadField, text).field(field);
    let url = request
        .url()
        .map_err(|error| bad("query", error.to_string()))?;
    let mut page = PageRequest::default();
    for (name, value) in url.query_pairs() {
        match name.as_ref() {
            "limit" => {
                let limit = value.parse().map_err(|_| {
                    bad(
                        "limit",
                        format!("'{value}' is no limit; use a whole number from 1 to 100"),
                    )
                })?;
                page.limit = Some(limit);
            }
            "cursor" => page.cursor = Some(value.into_owned()),
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

async fn body(request: &mut Request) -> Result<Vec<u8>, Problem> {
    read_body(request, MAX_BODY)
        .await
        .map_err(|_| Problem::new(Code::BadJson, "the body broke off; send it again"))?
        .ok_or_else(|| Problem::new(Code::TooLarge, "the body is larger than 512 KiB"))
}

async fn get_manifest(env: &Env, id: &RequestId) -> Outcome {
    let reply = call_service::<GetManifest>(env, id, None, &(), WITHIN_MS).await?;
    match reply.published {
        Some(Published { manifest, .. }) => Ok((
            200,
            json!({ "success": true, "requestId": id, "manifest": manifest }),
        )),
        None => Err(Problem::new(
            Code::NotFound,
            "there is no manifest yet; put one with version 1",
        )),
    }
}

async fn put_manifest(request: &mut Request, env: &Env, id: &RequestId) -> Outcome {
    let body = body(request).await?;
    let text = core::str::from_utf8(&body)
        .map_err(|_| Problem::new(Code::BadJson, "the manifest is not UTF-8"))?;
    let manifest = Manifest::parse_strict(text).map_err(|error| {
        Problem::new(Code::BadField, error.problems.join("; ")).field("manifest")
    })?;
    let reply = call_service::<PutManifest>(env, id, None, &manifest, WITHIN_MS).await?;
    if let Some(published) = reply.published {
        config::keep(published, now());
    }
    Ok((
        200,
        json!({ "success": true, "requestId": id, "version": manifest.version, "published": reply.delivered }),
    ))
}

async fn put_kill_switch(request: &mut Request, env: &Env, id: &RequestId) -> Outcome {
    let body = body(request).await?;
    let change: SetKill = serde_json::from_slice(&body).map_err(|error| {
        let text =
            format!("{error}; send {{\"mode\":\"off\"|\"entries\"|\"all\",\"reason\":\"…\"}}");
        Problem::new(Code::BadField, text).field("mode")
    })?;
    let report = call_service::<PutKill>(env, id, None, &change, WITHIN_MS).await?;
    let report: Value = json!(report);
    Ok((
        200,
        json!({ "success": true, "requestId": id, "killSwitch": report }),
    ))
}
