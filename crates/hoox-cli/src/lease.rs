//! The lease that keeps two deploys from running at once: each would make secrets of its own, and the two sides of an edge
//! would differ.
//!
//! It is a value in `CONFIG_KV` that ends by itself. KV has no lock: two that write it within the same second both read it
//! again after that, and the one that finds the other's stops.

use core::time::Duration;

use data_encoding::HEXLOWER;
use hoox_mesh::registry::LEASE_KEY;
use serde::{Deserialize, Serialize};
use tokio::time::sleep;

use crate::clock::now;
use crate::cloudflare::Cloudflare;
use crate::failure::Failure;

/// It lasts longer than any part of a deploy that waits for limits, and is renewed before each.
const SECONDS: u32 = 300;
/// Whoever wrote at the same time has written by then.
const SETTLED: Duration = Duration::from_secs(1);

/// The right to deploy.
pub(crate) struct Lease<'a> {
    api: &'a Cloudflare,
    namespace: &'a str,
    held: Held,
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Held {
    id: String,
    /// RFC 3339.
    since: String,
}

impl<'a> Lease<'a> {
    /// Takes it, unless another deploy has it.
    pub(crate) async fn take(api: &'a Cloudflare, namespace: &'a str) -> Result<Self, Failure> {
        let mut id = [0; 16];
        getrandom::fill(&mut id).map_err(|error| Failure::new("INTERNAL", error.to_string()))?;
        let held = Held {
            id: HEXLOWER.encode(&id),
            since: now().to_string(),
        };
        let lease = Self {
            api,
            namespace,
            held,
        };
        lease.free().await?;
        lease.write().await?;
        sleep(SETTLED).await;
        lease.free().await?;
        Ok(lease)
    }

    /// Nobody else has it.
    async fn free(&self) -> Result<(), Failure> {
        let Some(text) = self.api.kv_get(self.namespace, LEASE_KEY).await? else {
            return Ok(());
        };
        match serde_json::from_str::<Held>(&text) {
            Ok(held) if held != self.held => Err(taken(&held)),
            _ => Ok(()),
        }
    }

    async fn write(&self) -> Result<(), Failure> {
        let text = serde_json::to_string(&self.held).unwrap_or_default();
        let put = self
            .api
            .kv_put_for(self.namespace, LEASE_KEY, text, SECONDS);
        put.await
    }

    /// Has it last for the next part. Where that fails it lasts as long as it did.
    pub(crate) async fn renew(&self) {
        self.write().await.ok();
    }

    /// Gives it back; where that fails it ends by itself.
    pub(crate) async fn end(self) {
        self.api.kv_delete(self.namespace, LEASE_KEY).await.ok();
    }
}

fn taken(held: &Held) -> Failure {
    let since = crate::output::plain(&held.since);
    Failure::new(
        "DEPLOYING",
        format!("another deploy to this account runs, since {since}; nothing was uploaded"),
    )
    .hint(format!(
        "wait for it and repeat the command; one that was killed counts for {} minutes at most",
        SECONDS.div_euclid(60)
    ))
}
