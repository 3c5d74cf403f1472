//! What a deployment keeps in KV: the manifest, and when its secrets were set.

use std::collections::BTreeMap;

use hoox_auth::Manifest;
use hoox_mesh::Worker;
use hoox_mesh::registry::{CONFIG_KV, MANIFEST_KEY, SECRETS_KEY};
use hoox_model::Timestamp;
use serde::{Deserialize, Serialize};

use crate::cloudflare::Cloudflare;
use crate::failure::Failure;

/// When each secret was set, by its name.
pub(crate) type Dates = BTreeMap<String, Changed>;

/// When a secret was set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Changed {
    /// RFC 3339.
    pub(crate) changed_at: String,
}

impl Changed {
    /// Whole days since then; `None` where it is no date.
    pub(crate) fn days(&self, now: Timestamp) -> Option<i64> {
        const DAY: i64 = 24 * 60 * 60 * 1_000;
        let at = Timestamp::parse(&self.changed_at).ok()?;
        Some(now.since(at).max(0).div_euclid(DAY))
    }
}

/// A gateway's configuration store.
pub(crate) struct Store<'a> {
    api: &'a Cloudflare,
    namespace: String,
}

impl<'a> Store<'a> {
    /// The one that the deployed gateway is bound to; `None` while there is none.
    pub(crate) async fn of(api: &'a Cloudflare) -> Result<Option<Self>, Failure> {
        let bindings = api.bindings(Worker::Hoox.name()).await?;
        let bound = bindings.into_iter().flatten();
        let namespace = bound
            .filter(|binding| binding.name == CONFIG_KV)
            .find_map(|binding| binding.namespace_id().map(str::to_owned));
        Ok(namespace.map(|namespace| Self { api, namespace }))
    }

    /// The manifest in force; `None` before the first one was put.
    pub(crate) async fn manifest(&self) -> Result<Option<Manifest>, Failure> {
        let Some(text) = self.api.kv_get(&self.namespace, MANIFEST_KEY).await? else {
            return Ok(None);
        };
        let manifest = Manifest::parse(&text).map_err(|error| {
            let message = format!("{MANIFEST_KEY} in {CONFIG_KV} is no manifest: {error}");
            Failure::new("BAD_MANIFEST", message)
        })?;
        Ok(Some(manifest))
    }

    /// When the secrets were set, of those that this program has set.
    pub(crate) async fn dates(&self) -> Result<Dates, Failure> {
        let text = self.api.kv_get(&self.namespace, SECRETS_KEY).await?;
        Ok(text
            .and_then(|text| serde_json::from_str(&text).ok())
            .unwrap_or_default())
    }

    /// Notes that secrets were set now, or are gone.
    pub(crate) async fn note(&self, names: &[&str], at: Option<Timestamp>) -> Result<(), Failure> {
        let mut dates = self.dates().await?;
        for name in names {
            match at {
                Some(at) => {
                    let changed_at = at.to_string();
                    dates.insert((*name).to_owned(), Changed { changed_at });
                }
                None => drop(dates.remove(*name)),
            }
        }
        let text = serde_json::to_string(&dates).unwrap_or_default();
        self.api.kv_put(&self.namespace, SECRETS_KEY, text).await
    }
}
