//! Browsers at the operator API: none, but for pages of the origins that the manifest lists.

use hoox_model::Timestamp;
use hoox_worker_kit::{PlatformResponse, Request};
use worker::{Env, Result};

use crate::config;

/// The request's origin, where the manifest lists it, character by character.
pub(crate) async fn allowed(request: &Request, env: &Env, now: Timestamp) -> Option<String> {
    let origin = request.header("origin")?;
    let published = config::manifest(env, now).await.ok()?;
    let listed = published.manifest.cors_origins.contains(&origin);
    listed.then_some(origin)
}

/// Whether a browser asks what it may send. It has no key yet.
pub(crate) fn is_preflight(request: &Request, method: &str) -> bool {
    method == "OPTIONS" && request.header("access-control-request-method").is_some()
}

/// Lets the page read the answer.
pub(crate) fn grant(response: &PlatformResponse, origin: &str) -> Result<()> {
    let headers = response.headers();
    for (name, value) in [
        ("access-control-allow-origin", origin),
        ("access-control-allow-methods", "GET, POST, PUT, DELETE"),
        (
            "access-control-allow-headers",
            "authorization, content-type",
        ),
        ("access-control-expose-headers", "x-request-id, retry-after"),
        ("access-control-max-age", "600"),
        ("vary", "origin"),
    ] {
        headers.set(name, value)?;
    }
    Ok(())
}
