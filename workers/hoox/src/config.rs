//! The manifest as the gateway reads it: at most one KV read a request, kept in the isolate for 30 s.

use core::cell::RefCell;
use std::rc::Rc;

use hoox_auth::Published;
use hoox_mesh::registry::{CONFIG_KV, MANIFEST_KEY};
use hoox_mesh::{GetManifest, Problem};
use hoox_model::{Code, RequestId, Timestamp};
use hoox_worker_kit::{Kv, call_service, now};
use worker::Env;

/// How long a manifest is used before it is read again.
const FRESH_MS: i64 = 30_000;
/// Shortest time that KV keeps a value at the edge.
const KV_CACHE_S: u32 = 30;

struct Cached {
    read_at: Timestamp,
    manifest: Rc<Published>,
}

thread_local! {
    static CACHE: RefCell<Option<Cached>> = const { RefCell::new(None) };
}

/// The manifest. One that is broken at read is not used; the last good one stays.
///
/// # Errors
/// `NOT_CONFIGURED` where there never was a good one.
pub(crate) async fn manifest(env: &Env, now: Timestamp) -> Result<Rc<Published>, Problem> {
    let cached = CACHE.with_borrow(|cache| {
        cache.as_ref().map(|cached| {
            (
                cached.manifest.clone(),
                now.since(cached.read_at) < FRESH_MS,
            )
        })
    });
    if let Some((manifest, true)) = cached {
        return Ok(manifest);
    }
    match read(env).await {
        Ok(Some(manifest)) => Ok(keep(manifest, now)),
        failed => {
            if let Err(error) = failed {
                worker::console_error!("the manifest is not readable: {error}");
            }
            // The last good one serves on, and is read again with the next request.
            cached.map(|(manifest, _)| manifest).ok_or_else(missing)
        }
    }
}

/// Uses a manifest from now on, as the one who just put it would expect.
pub(crate) fn keep(manifest: Published, now: Timestamp) -> Rc<Published> {
    let manifest = Rc::new(manifest);
    CACHE.with_borrow_mut(|cache| {
        *cache = Some(Cached {
            read_at: now,
            manifest: manifest.clone(),
        });
    });
    manifest
}

/// Reads the manifest from Control itself, whatever KV still serves.
///
/// # Errors
/// `NOT_CONFIRMED` where Control did not answer in time.
pub(crate) async fn refresh(
    env: &Env,
    id: &RequestId,
    within_ms: u32,
) -> Result<Rc<Published>, Problem> {
    let reply = call_service::<GetManifest>(env, id, None, &(), within_ms).await?;
    let published = reply.published().ok_or_else(missing)?;
    Ok(keep(published, now()))
}

fn missing() -> Problem {
    Problem::new(
        Code::NotConfigured,
        "there is no manifest yet; put one with PUT /v1/manifest",
    )
}

async fn read(env: &Env) -> Result<Option<Published>, String> {
    let kv = Kv::open(env, CONFIG_KV).map_err(|error| error.to_string())?;
    let text = kv
        .text(MANIFEST_KEY, Some(KV_CACHE_S))
        .await
        .map_err(|error| error.to_string())?;
    text.map(|text| Published::parse(&text).map_err(|error| error.to_string()))
        .transpose()
}
