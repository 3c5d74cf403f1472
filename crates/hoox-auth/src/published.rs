//! The manifest as it is published, with the routing that was in force shortly before.
//!
//! A resend after a change must not trade on a second account: for as long as an identity can hold,
//! the gateway knows where an alert would have gone under the manifests before. Of these only what
//! decides that is kept, and only of senders that it has changed for: no keys, limits or addresses.

use hoox_model::{Destination, Limits, Name, Timestamp};
use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use crate::read;
use crate::route::route_among;
use crate::tree::Node;
use crate::{
    Account, EntryRate, Manifest, ManifestError, Operators, Permission, Scheme, Sender, Window,
};

/// How long a past routing is remembered: as long as the longest identity, 7 days.
const REMEMBERED_MS: i64 = 7 * 24 * 60 * 60 * 1000;
/// Most changes of the routing that are remembered.
pub const MAX_PAST: usize = 100;
/// Most that they take together, in bytes of JSON: 512 KiB. One change takes less than a manifest
/// (256 KiB), so the newest always fits, and a row or value with manifest and history stays below
/// 1 MB; the platform's limit for a row is 2 MB.
pub const MAX_PAST_BYTES: usize = 512 * 1024;

/// What decided where alerts went until a change: the senders that it changed that for, and the
/// accounts that they might use or that are gone since.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Past {
    /// When it need not be remembered any more.
    pub until: Timestamp,
    /// The senders, without their keys and whatever else does not route.
    pub senders: Vec<PastSender>,
    /// The accounts, without their limits.
    pub accounts: Vec<Account>,
}

/// A sender as it was, as far as it decides where its alerts went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastSender(Sender);

impl PastSender {
    /// What routes of a sender.
    pub(crate) fn of(sender: &Sender) -> Self {
        Self(Sender {
            id: sender.id.clone(),
            permission: sender.permission,
            accounts: sender.accounts.clone(),
            namespaces: sender.namespaces.clone(),
            default_account: sender.default_account.clone(),
            scheme: Scheme::default(),
            client_certificate: false,
            keys: Vec::new(),
            ranges: Vec::new(),
            entry_rate: EntryRate::default(),
            window: Window::default(),
        })
    }
}

impl Serialize for PastSender {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(sender) = self;
        let mut fields = serializer.serialize_struct("PastSender", 5)?;
        fields.serialize_field("id", &sender.id)?;
        fields.serialize_field("permission", &sender.permission)?;
        fields.serialize_field("accounts", &sender.accounts)?;
        if sender.namespaces.is_some() {
            fields.serialize_field("namespaces", &sender.namespaces)?;
        }
        if sender.default_account.is_some() {
            fields.serialize_field("defaultAccount", &sender.default_account)?;
        }
        fields.end()
    }
}

impl Past {
    /// From a whole manifest, as versions before stored it.
    pub(crate) fn of(until: Timestamp, manifest: &Manifest) -> Self {
        Self {
            until,
            senders: manifest.senders.iter().map(PastSender::of).collect(),
            accounts: manifest.accounts.iter().map(routing_of).collect(),
        }
    }
}

/// What Control publishes: the manifest's own fields, `history` and `operators`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Published {
    /// The manifest in force.
    #[serde(flatten)]
    pub manifest: Manifest,
    /// Other routing that was in force within the last 7 days, newest first; [`MAX_PAST`] changes at
    /// most, and [`MAX_PAST_BYTES`].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<Past>,
    /// Who may operate beside the owner. They are no part of the manifest: who puts one cannot bring or lose them.
    #[serde(skip_serializing_if = "Operators::is_untouched")]
    pub operators: Operators,
}

impl From<Manifest> for Published {
    fn from(manifest: Manifest) -> Self {
        Self {
            manifest,
            history: Vec::new(),
            operators: Operators::default(),
        }
    }
}

impl Published {
    /// Reads a published document; a bare manifest is one too.
    ///
    /// # Errors
    /// [`ManifestError`]; the reader then keeps what it has.
    pub fn parse(text: &str) -> Result<Self, ManifestError> {
        let tree: Node = serde_json::from_str(text).map_err(|error| ManifestError {
            problems: vec![error.to_string()],
        })?;
        read::published(&tree)
    }

    /// The document after a change at `now`. Whatever the change, it fits: what is too much of the
    /// history goes, the oldest first, and of that the accounts that are gone go last.
    #[must_use]
    pub fn replaced_by(self, manifest: Manifest, now: Timestamp) -> Self {
        let last = changed_routing(&self.manifest, &manifest, now.plus_millis(REMEMBERED_MS));
        let rest = self.history.into_iter().filter(|past| {
            let again = last.as_ref().is_some_and(|last| {
                (&last.senders, &last.accounts) == (&past.senders, &past.accounts)
            });
            past.until > now && !again
        });
        let history = bounded(last.iter().cloned().chain(rest), &manifest);
        Self {
            manifest,
            history,
            operators: self.operators,
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
        for past in self.history.iter().filter(|past| past.until > now) {
            let known = past.senders.iter().find(|known| known.0.id == *sender);
            let Some(PastSender(sender)) = known else {
                continue;
            };
            let Ok(route) = route_among(&past.accounts, sender, wanted) else {
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

/// What is remembered of `old` once `new` is in force; `None` where every alert goes to the same
/// Ledger under both.
fn changed_routing(old: &Manifest, new: &Manifest, until: Timestamp) -> Option<Past> {
    let moved: Vec<&Sender> = old
        .senders
        .iter()
        .filter(|sender| sender.permission == Permission::Trade)
        .filter(|sender| {
            let twin = new.sender(&sender.id);
            twin.is_none_or(|twin| !routes_alike((old, sender), (new, twin)))
        })
        .collect();
    let accounts: Vec<Account> = old
        .accounts
        .iter()
        .filter(|account| is_gone(account, new) || moved.iter().any(|s| s.may_use(account)))
        .map(routing_of)
        .collect();
    let past = Past {
        until,
        senders: moved.into_iter().map(PastSender::of).collect(),
        accounts,
    };
    (!past.senders.is_empty() || !past.accounts.is_empty()).then_some(past)
}

/// Whether every alert of a sender goes to the same Ledger under both: where a signal goes is decided
/// by the accounts that the sender may use, its default and its permission alone. There are at most 100.
fn routes_alike(one: (&Manifest, &Sender), other: (&Manifest, &Sender)) -> bool {
    let same = |one: &Account, other: &Account| {
        one.ledger_name() == other.ledger_name()
            && (&one.name, one.venue, one.default) == (&other.name, other.venue, other.default)
    };
    let (before, after) = (usable(one), usable(other));
    one.1.permission == other.1.permission
        && one.1.default_account == other.1.default_account
        && before.len() == after.len()
        && before.iter().all(|a| after.iter().any(|b| same(a, b)))
}

fn usable<'a>((manifest, sender): (&'a Manifest, &Sender)) -> Vec<&'a Account> {
    let accounts = manifest.accounts.iter();
    accounts.filter(|account| sender.may_use(account)).collect()
}

/// An account without what entries on it may do.
fn routing_of(account: &Account) -> Account {
    Account {
        limits: Limits::default(),
        ..account.clone()
    }
}

/// Whether the account's Ledger is none of the manifest's.
fn is_gone(account: &Account, manifest: &Manifest) -> bool {
    let name = account.ledger_name();
    manifest
        .accounts
        .iter()
        .all(|other| other.ledger_name() != name)
}

/// As much of a history, newest first, as may be kept. Of what is too much the accounts that are gone
/// stay as long as they fit: Control still tells their Ledgers of the kill switch.
fn bounded(history: impl Iterator<Item = Past>, manifest: &Manifest) -> Vec<Past> {
    let mut kept: Vec<Past> = Vec::new();
    let mut too_much: Vec<Past> = Vec::new();
    let mut left = MAX_PAST_BYTES;
    for past in history {
        match left.checked_sub(bytes(&past)) {
            Some(rest) if too_much.is_empty() && kept.len() < MAX_PAST => {
                left = rest;
                kept.push(past);
            }
            _ => too_much.push(past),
        }
    }
    for mut past in too_much {
        past.senders.clear();
        past.accounts.retain(|account| {
            let name = account.ledger_name();
            let mut known = kept.iter().flat_map(|past| &past.accounts);
            is_gone(account, manifest) && known.all(|other| other.ledger_name() != name)
        });
        match left.checked_sub(bytes(&past)) {
            Some(rest) if !past.accounts.is_empty() => {
                left = rest;
                kept.push(past);
            }
            _ => {}
        }
    }
    kept
}

/// What it takes in the document, with the comma after it. What cannot be written would not be stored
/// either.
fn bytes(past: &Past) -> usize {
    serde_json::to_string(past).map_or(usize::MAX, |text| text.len().saturating_add(1))
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
        assert_eq!(rotated.history, []);
    }

    /// What of a manifest decides where alerts go, and what does not.
    #[test]
    fn only_what_routes_is_remembered() {
        let changed = |change: fn(&mut serde_json::Value)| {
            let mut new = serde_json::to_value(manifest(2, "a", "aa")).unwrap();
            change(&mut new);
            let new = Manifest::parse_strict(&new.to_string()).unwrap();
            let at = Timestamp::from_millis(5);
            Published::from(manifest(1, "a", "aa")).replaced_by(new, at)
        };
        let nothing: [fn(&mut serde_json::Value); 8] = [
            |m| m["accounts"][0]["limits"] = json!({"maxOpenPositions": 3}),
            |m| m["accounts"][0]["locationHint"] = json!("apac"),
            |m| m["accounts"][1]["defaultProduct"] = json!("spot"),
            |m| m["senders"][0]["entryRate"] = json!({"count": 1, "seconds": 1}),
            |m| m["senders"][0]["ranges"] = json!(["10.0.0.0/8"]),
            |m| m["senders"][0]["expires"] = json!("2030-01-01T00:00:00Z"),
            |m| m["senders"][0]["accounts"] = json!(["*"]),
            |m| m["ranges"] = json!(["10.0.0.0/8"]),
        ];
        for (place, change) in nothing.into_iter().enumerate() {
            assert_eq!(changed(change).history, [], "{place}");
        }
        let something: [fn(&mut serde_json::Value); 6] = [
            |m| m["accounts"][0]["generation"] = json!(2),
            |m| m["accounts"][0]["name"] = json!("c"),
            |m| m["accounts"][1]["default"] = json!(true),
            |m| m["senders"][0]["permission"] = json!("read"),
            |m| m["senders"] = json!([]),
            |m| m["senders"][0]["accounts"] = json!(["a"]),
        ];
        for (place, change) in something.into_iter().enumerate() {
            // A renamed account takes its entries along.
            let changed = changed(|m| {
                m["senders"][0]["accounts"] = json!(["*"]);
                m["senders"][0]
                    .as_object_mut()
                    .unwrap()
                    .remove("defaultAccount");
            });
            let mut new = serde_json::to_value(&changed.manifest).unwrap();
            new["version"] = json!(3);
            change(&mut new);
            let new = Manifest::parse_strict(&new.to_string()).unwrap();
            let at = Timestamp::from_millis(6);
            let history = changed.replaced_by(new, at).history;
            let text = serde_json::to_string(&history.first()).unwrap();
            assert!(text.contains(r#""id":"s""#), "{place} {text}");
            for left_out in ["hash", "salt", "limits", "entryRate", "ranges"] {
                assert!(!text.contains(left_out), "{place} {text}");
            }
        }
    }

    #[test]
    fn a_routing_that_comes_back_is_remembered_once() {
        let mut published = Published::from(manifest(1, "a", "aa"));
        for version in 2..=500 {
            let default = if version % 2 == 0 { "b" } else { "a" };
            let at = Timestamp::from_millis(i64::try_from(version).unwrap());
            published = published.replaced_by(manifest(version, default, "aa"), at);
        }
        let until: Vec<_> = published.history.iter().map(|past| past.until).collect();
        let at = |change| Timestamp::from_millis(change).plus_millis(REMEMBERED_MS);
        assert_eq!(until, [at(500), at(499)]);
        assert_eq!(past(&published, 600), ["a"]);
    }

    /// A sender that only its own change concerns, whatever happens to others meanwhile.
    #[test]
    fn changes_of_several_senders_are_each_remembered() {
        let with = |version: u64, defaults: [&str; 2]| {
            let mut new = serde_json::to_value(manifest(version, defaults[0], "aa")).unwrap();
            let mut second = new["senders"][0].clone();
            second["id"] = json!("t");
            second["defaultAccount"] = json!(defaults[1]);
            new["senders"].as_array_mut().unwrap().push(second);
            Manifest::parse_strict(&new.to_string()).unwrap()
        };
        let mut published = Published::from(with(1, ["a", "a"]));
        for (version, defaults) in [(2, ["b", "a"]), (3, ["b", "b"]), (4, ["b", "a"])] {
            let at = Timestamp::from_millis(i64::try_from(version).unwrap());
            published = published.replaced_by(with(version, defaults), at);
            assert_eq!(past(&published, 100), ["a"], "{version}");
        }
        let (second, wanted) = ("t".parse().unwrap(), Destination::default());
        let present = published.manifest.accounts.first().unwrap();
        let now = Timestamp::from_millis(100);
        let found = published.past_routes(&second, &wanted, present, now);
        let found: Vec<_> = found.iter().map(|account| account.id.as_str()).collect();
        assert_eq!(found, ["b"]);
    }

    #[test]
    fn what_versions_before_stored_reads_on_and_says_the_same() {
        let old = json!({ "until": 1_000 + REMEMBERED_MS, "manifest": manifest(1, "a", "aa") });
        let mut text = serde_json::to_value(manifest(2, "b", "aa")).unwrap();
        text["previous"] = json!([old]);
        let published = Published::parse(&text.to_string()).unwrap();
        assert_eq!(past(&published, 2_000), ["a"]);
        let again = serde_json::to_string(&published).unwrap();
        assert!(!again.contains("previous"), "{again}");
        assert_eq!(Published::parse(&again).unwrap(), published);
    }

    #[test]
    fn accounts_that_are_gone_outlast_what_is_too_much() {
        let number = |version: u64| i64::try_from(version).unwrap();
        // Every version is another account, so that each change is one of its own.
        let with = |version: u64| {
            let mut new = serde_json::to_value(manifest(version, "a", "aa")).unwrap();
            let name = format!("c{version}");
            let mut extra = new["accounts"][0].clone();
            for (field, value) in [
                ("id", name.as_str()),
                ("name", &name),
                ("secretSuffix", "C"),
            ] {
                extra[field] = json!(value);
            }
            new["accounts"].as_array_mut().unwrap().push(extra);
            new["senders"][0]["accounts"] = json!(["*"]);
            Manifest::parse_strict(&new.to_string()).unwrap()
        };
        let mut published = Published::from(with(1));
        for version in 2..=150 {
            let at = Timestamp::from_millis(number(version));
            published = published.replaced_by(with(version), at);
        }
        let whole = published
            .history
            .iter()
            .filter(|past| !past.senders.is_empty());
        assert_eq!(whole.count(), MAX_PAST);
        let known = published.history.iter().flat_map(|past| &past.accounts);
        let gone: std::collections::BTreeSet<_> = known
            .map(Account::ledger_name)
            .filter(|name| name.starts_with('c'))
            .collect();
        assert_eq!(gone.len(), 149);
    }

    #[test]
    fn the_document_reads_back_and_a_bare_manifest_is_one() {
        let published = Published::from(manifest(1, "a", "aa"))
            .replaced_by(manifest(2, "b", "aa"), Timestamp::from_millis(5));
        let text = serde_json::to_string(&published).unwrap();
        assert_eq!(Published::parse(&text).unwrap(), published);
        assert_eq!(Manifest::parse(&text).unwrap(), published.manifest);
        let bare = serde_json::to_string(&published.manifest).unwrap();
        assert_eq!(Published::parse(&bare).unwrap().history, []);
    }
}
