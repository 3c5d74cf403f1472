//! Zones.

use serde::Deserialize;

use super::{Cloudflare, Scope};
use crate::failure::Failure;

/// A domain at Cloudflare.
#[derive(Debug, Deserialize)]
pub(crate) struct Zone {
    pub(crate) id: String,
    pub(crate) name: String,
    #[serde(default)]
    plan: ZonePlan,
}

/// What the zone's owner pays for.
#[derive(Debug, Default, Deserialize)]
struct ZonePlan {
    #[serde(default)]
    legacy_id: String,
}

impl Zone {
    /// How many custom rules its plan allows, where that is known
    /// (developers.cloudflare.com/waf/custom-rules, availability).
    pub(crate) fn most_rules(&self) -> Option<usize> {
        match self.plan.legacy_id.as_str() {
            "free" => Some(5),
            "pro" => Some(20),
            "business" => Some(100),
            _ => None,
        }
    }
}

impl Cloudflare {
    /// The zones of the account that the token reaches.
    pub(crate) async fn zones(&self) -> Result<Vec<Zone>, Failure> {
        let account = self.account().await?;
        let call = self
            .get(&["zones"], Scope::Zone)
            .query("account.id", account);
        call.list().await
    }

    /// The zone of a host: of those that the token reaches, the one with the longest name that fits.
    pub(crate) async fn zone_of(&self, host: &str) -> Result<Option<Zone>, Failure> {
        let labels: Vec<&str> = host.split('.').collect();
        for first in 0..labels.len().saturating_sub(1) {
            let name = labels.get(first..).unwrap_or_default().join(".");
            let call = self.get(&["zones"], Scope::Zone).query("name", &name);
            let found: Vec<Zone> = call.list().await?;
            if let Some(zone) = found.into_iter().find(|zone| zone.name == name) {
                return Ok(Some(zone));
            }
        }
        Ok(None)
    }
}
