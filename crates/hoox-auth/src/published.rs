//! The manifest as it is published, with the routing that was in force shortly before.
//!
//! A resend after a change must not trade on a second account: for as long as an identity can hold,
//! the gateway knows where an alert would have gone under the manifests before.

use hoox_model::{Destination, Name, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{Account, Manifest, ManifestError};

/// How long a past routing is remembered: as long as the longest identity, 7 days.
const REMEMBERED_MS: i64 = 7 * 24 * 60 * 60 * 1000;

/// A manifest that was replaced by one with other routing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Past {
    /// When it need not be remembered any more.
    pub until: Timestamp,
    /// The manifest.
    pub manifest: Manifest,
}

/// What Control publishes: the manifest's own fields, and `previous`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Published {
    /// The manifest in force.
    #[serde(flatten)]
    pub manifest: Manifest,
    /// Manifests with other routing that were in force within the last 7 days, newest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub previous: Vec<Past>,
}

#[derive(Deserialize)]
struct Tail {
    #[serde(default)]
    previous: Vec<Past>,
}

impl From<Manifest> for Published {
    fn from(manifest: Manifest) -> Self {
        Self {
            manifest,
            previous: Vec::new(),
        }
    }
}

impl Published {
    /// Reads a published document; a bare manifest is one too.
    ///
    /// # Errors
    /// [`ManifestError`]; the reader then keeps what it has.
    pub fn parse(text: &str) -> Result<Self, ManifestError> {
        let broken = |error: serde_json::Error| ManifestError {
            problems: vec![error.to_string()],
        };
        let manifest: Manifest = serde_json::from_str(text).map_err(broken)?;
        let tail: Tail = serde_json::from_str(text).map_err(broken)?;
        Ok(Self {
            manifest,
            previous: tail.previous,
        })
    }

    /// The document after a change at `now`.
    #[must_use]
    pub fn replaced_by(self, manifest: Manifest, now: Timestamp) -> Self {
        let moved = !routes_alike(&self.manifest, &manifest);
        let last = moved.then_some(Past {
            until: now.plus_millis(REMEMBERED_MS),
            manifest: self.manifest,
        });
        let rest = self.previous.into_iter().filter(|past| past.until > now);
        Self {
            manifest,
            previous: last.into_iter().chain(rest).collect(),
        }
    }

    /// The accounts other than `present` on which an alert of this sender may have traded shortly
    /// before.
    pub fn past_routes(
        &self,
        sender: &Name,
        wanted: &Destination,
        present: &Account,
        now: Timestamp,
    ) -> Vec<&Account> {
        let mut found: Vec<&Account> = Vec::new();
        for past in self.previous.iter().filter(|past| past.until > now) {
            let Some(sender) = past.manifest.sender(sender) else {
                continue;
            };
            let Ok(route) = past.manifest.route(sender, wanted) else {
                continue;
            };
            let known = |other: &Account| other.ledger_name() == route.ledger_name();
            if !known(present) && !found.iter().any(|other| known(other)) {
                found.push(route);
            }
        }
        found
    }
}

/// Whether every alert goes to the same Ledger under both.
fn routes_alike(one: &Manifest, other: &Manifest) -> bool {
    let senders_alike = one.senders.len() == other.senders.len()
        && one.senders.iter().all(|sender| {
            other.sender(&sender.id).is_some_and(|twin| {
                sender.permission == twin.permission
                    && sender.accounts == twin.accounts
                    && sender.namespaces == twin.namespaces
                    && sender.default_account == twin.default_account
            })
        });
    senders_alike && one.accounts == other.accounts
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn manifest(version: u64, default: &str, hash: &str) -> Manifest {
        let account = |id: &str, suffix: &str| {
            json!({ "id": id, "name": id, "venue": "bybit", "environment": "sim",
                    "baseUrl": "http://127.0.0.1:9", "secretSuffix": suffix })
        };
        let text = json!({
            "version": version,
            "senders": [{ "id": "s", "permission": "trade", "accounts": ["a", "b"], "defaultAccount": default,
                          "keys": [{ "salt": "00".repeat(16), "hash": hash.repeat(32) }] }],
            "accounts": [account("a", "A"), account("b", "B")],
        });
        Manifest::parse_strict(&text.to_string()).unwrap()
    }

    fn past(published: &Published, now: i64) -> Vec<String> {
        let sender = "s".parse().unwrap();
        let (now, wanted) = (Timestamp::from_millis(now), Destination::default());
        let present = published
            .manifest
            .route(published.manifest.sender(&sender).unwrap(), &wanted);
        published
            .past_routes(&sender, &wanted, present.unwrap(), now)
            .iter()
            .map(|account| account.id.to_string())
            .collect()
    }

    #[test]
    fn a_moved_default_is_remembered_for_seven_days() {
        let at = Timestamp::from_millis(1_000);
        let published =
            Published::from(manifest(1, "a", "aa")).replaced_by(manifest(2, "b", "aa"), at);
        assert_eq!(past(&published, 2_000), ["a"]);
        assert_eq!(
            past(&published, 1_000 + REMEMBERED_MS),
            Vec::<String>::new()
        );
        let back = published.replaced_by(manifest(3, "a", "aa"), Timestamp::from_millis(3_000));
        assert_eq!(past(&back, 4_000), ["b"]);
    }

    #[test]
    fn a_change_that_moves_nothing_is_not_remembered() {
        let rotated = Published::from(manifest(1, "a", "aa"))
            .replaced_by(manifest(2, "a", "bb"), Timestamp::from_millis(5));
        assert_eq!(rotated.previous, []);
    }

    #[test]
    fn the_document_reads_back_and_a_bare_manifest_is_one() {
        let published = Published::from(manifest(1, "a", "aa"))
            .replaced_by(manifest(2, "b", "aa"), Timestamp::from_millis(5));
        let text = serde_json::to_string(&published).unwrap();
        assert_eq!(Published::parse(&text).unwrap(), published);
        assert_eq!(Manifest::parse(&text).unwrap(), published.manifest);
        let bare = serde_json::to_string(&published.manifest).unwrap();
        assert_eq!(Published::parse(&bare).unwrap().previous, []);
    }
}
