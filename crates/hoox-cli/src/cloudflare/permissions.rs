//! What the token may do, found out at once and before anything is done.
//!
//! No call tells a token's permissions to the token itself. So each one is tried: to read, by a list; to change, by
//! the removal of something that there is not, which needs the permission and removes nothing.

use reqwest::Method;
use serde_json::Value;

use super::{Cloudflare, Scope};
use crate::failure::Failure;

/// Where tokens are changed.
pub(super) const TOKENS: &str = "https://dash.cloudflare.com/profile/api-tokens";
/// An id that nothing has.
const NO_ID: &str = "ffffffffffffffffffffffffffffffff";
/// As a UUID.
const NO_UUID: &str = "ffffffff-ffff-ffff-ffff-ffffffffffff";
/// A name that no worker has.
const NO_WORKER: &str = "hoox-no-such-worker";

/// What a deployment needs.
const NEEDED: [Scope; 3] = [Scope::Scripts, Scope::Kv, Scope::D1];
/// What a domain of one's own and the doctor need beyond that.
const WISHED: [Scope; 3] = [Scope::Zone, Scope::Routes, Scope::Waf];

/// What those are for.
const WISHES: &str = "a domain of your own and `hoox doctor`";

impl Scope {
    /// What Hoox does with it.
    const fn purpose(self) -> &'static str {
        match self {
            Self::Account => "finds the account",
            Self::Scripts => "uploads workers, sets their secrets",
            Self::Kv => "makes and writes the configuration",
            Self::D1 => "makes and migrates the database",
            Self::Zone => "finds your domains",
            Self::Routes => "sees what leads to the workers",
            Self::Waf => "puts the firewall's rule",
        }
    }
}

/// Permissions with what each is for.
fn listed(scopes: &[Scope]) -> String {
    let words = scopes
        .iter()
        .map(|scope| format!("{scope} ({})", scope.purpose()));
    words.collect::<Vec<_>>().join(", ")
}

/// Where no account is reached: everything that the token should have.
pub(super) fn everything() -> String {
    format!(
        "it needs {}; and for {WISHES} {}",
        listed(&NEEDED),
        listed(&WISHED)
    )
}

impl Cloudflare {
    /// Refuses a token that lacks what a deployment needs, and names all that it lacks.
    ///
    /// Answers what it lacks beyond that.
    pub(crate) async fn permissions(&self) -> Result<Lacking, Failure> {
        let account = self.account().await?;
        let zone = self.some_zone().await?;
        let mut needed = Vec::new();
        for scope in NEEDED {
            if !self.may(scope, "").await? {
                needed.push(scope);
            }
        }
        let mut wished = Vec::new();
        match zone {
            // Whether it has the others shows once it has this one.
            None => wished.extend(WISHED),
            // Without a domain there is nothing to do with the others.
            Some(None) => {}
            Some(Some(zone)) => {
                for scope in [Scope::Routes, Scope::Waf] {
                    if !self.may(scope, &zone).await? {
                        wished.push(scope);
                    }
                }
            }
        }
        if needed.is_empty() {
            return Ok(Lacking(wished));
        }
        let message = if needed.len() == NEEDED.len() {
            format!(
                "the token may change nothing in the account {account}: it has ended, is another account's, or lacks permissions"
            )
        } else {
            "the token lacks permissions".to_owned()
        };
        let more = if wished.is_empty() {
            String::new()
        } else {
            format!("; and for {WISHES} {}", listed(&wished))
        };
        let needed = listed(&needed);
        Err(Failure::new("CLOUDFLARE_TOKEN", message).hint(format!(
            "give it, at {TOKENS}: {needed}{more}; nothing was changed"
        )))
    }

    /// A zone of the account, if the token may list zones and there is one.
    async fn some_zone(&self) -> Result<Option<Option<String>>, Failure> {
        match self.zones().await {
            Ok(zones) => Ok(Some(zones.into_iter().next().map(|zone| zone.id))),
            Err(failure) if failure.code == "CLOUDFLARE_TOKEN" => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// Whether the token has a permission of the account, or of a zone.
    async fn may(&self, scope: Scope, zone: &str) -> Result<bool, Failure> {
        let account = self.account().await?;
        let path: &[&str] = match scope {
            Scope::Account => &["accounts"],
            Scope::Zone => &["zones"],
            Scope::Scripts => &[
                "accounts", account, "workers", "scripts", NO_WORKER, "secrets", "NONE",
            ],
            Scope::Kv => &[
                "accounts",
                account,
                "storage",
                "kv",
                "namespaces",
                NO_ID,
                "values",
                "none",
            ],
            Scope::D1 => &["accounts", account, "d1", "database", NO_UUID],
            Scope::Routes => &["zones", zone, "workers", "routes"],
            Scope::Waf => &["zones", zone, "rulesets", NO_ID, "rules", NO_ID],
        };
        let method = match scope {
            Scope::Account | Scope::Zone | Scope::Routes => Method::GET,
            Scope::Scripts | Scope::Kv | Scope::D1 | Scope::Waf => Method::DELETE,
        };
        match self.call(method, path, scope).maybe::<Value>().await {
            Ok(_) => Ok(true),
            Err(failure) => match failure.code.as_str() {
                "CLOUDFLARE_TOKEN" => Ok(false),
                // A refusal in other words is one of the thing, not of the token.
                "CLOUDFLARE" => Ok(true),
                _ => Err(failure),
            },
        }
    }
}

/// Permissions that a token lacks and a deployment does not need.
pub(crate) struct Lacking(Vec<Scope>);

impl Lacking {
    /// What goes without them, for people.
    pub(crate) fn words(&self) -> String {
        if self.0.is_empty() {
            "has every permission that Hoox uses".to_owned()
        } else {
            format!(
                "enough to deploy; for {WISHES} it lacks {}",
                listed(&self.0)
            )
        }
    }
}
