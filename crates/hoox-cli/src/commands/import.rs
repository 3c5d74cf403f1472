//! `hoox config import`: a manifest from the single keys that an existing installation keeps in its KV namespace.
//!
//! In scope: what the manifest has a place for. What it has none for is named, never dropped in silence.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use hoox_auth::{Manifest, PasskeyHash};
use hoox_model::{Decimal, Secret, Venue};
use serde_json::{Map, Value, json};

use super::config::{Retire, in_force, parsed, put, read};
use super::confirm;
use crate::cloudflare::Cloudflare;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{Done, plain};
use crate::profile::variable;
use crate::target::PASSKEY;

/// Beginnings of the keys that belong to an installation.
const PREFIXES: [&str; 4] = ["webhook:", "trade:", "exchange:", "global:"];
/// The venues that orders go to today.
pub(crate) const READY: [Venue; 1] = [Venue::Bybit];

#[derive(Debug, Args)]
pub(crate) struct Import {
    /// The old keys and values as one JSON object, such as {"exchange:bybit:enabled": "true"}; - for stdin
    #[arg(required_unless_present = "namespace")]
    file: Option<PathBuf>,
    /// Read them from this KV namespace instead, by its id
    #[arg(long, conflicts_with = "file", value_name = "ID")]
    namespace: Option<String>,
    /// Put the manifest, in place of the present one
    #[arg(long)]
    apply: bool,
    #[command(flatten)]
    retire: Retire,
}

pub(crate) async fn run(context: &Context, asked: &Import) -> Result<Done, Failure> {
    let old = match (&asked.namespace, &asked.file) {
        (Some(namespace), _) => stored(&context.cloudflare()?, namespace).await?,
        (None, Some(file)) => listed(&read(file)?)?,
        (None, None) => BTreeMap::new(),
    };
    let passkey = variable(PASSKEY).map(Secret::new);
    let Imported {
        mut manifest,
        notes,
    } = imported(&old, passkey.as_ref(), salt()?)?;
    for note in &notes {
        eprintln!("note: {note}");
    }
    if !asked.apply {
        let text = serde_json::to_string_pretty(&manifest).unwrap_or_default();
        return Ok(Done::new(
            text,
            json!({ "manifest": manifest, "notes": notes }),
        ));
    }
    let gateway = context.gateway()?;
    let present = super::config::present(&gateway).await?;
    let version = present
        .map_or(0, |manifest| manifest.version)
        .saturating_add(1);
    if let Some(fields) = manifest.as_object_mut() {
        fields.insert("version".to_owned(), json!(version));
    }
    if version > 1 {
        confirm(
            context.global.yes,
            "The gateway has a manifest, which will be replaced.",
        )?;
    }
    let put = put(&gateway, &manifest, &asked.retire).await?;
    let mut data = json!({ "version": version, "notes": notes });
    if let (Some(fields), Some(retired)) = (data.as_object_mut(), put.get("retired")) {
        fields.insert("retired".to_owned(), retired.clone());
    }
    Ok(Done::new(in_force(version, &put), data))
}

/// Keys and values of a KV namespace.
async fn stored(api: &Cloudflare, namespace: &str) -> Result<BTreeMap<String, String>, Failure> {
    let mut found = BTreeMap::new();
    for prefix in PREFIXES {
        for key in api.kv_keys(namespace, prefix).await? {
            if let Some(value) = api.kv_get(namespace, &key).await? {
                found.insert(key, value);
            }
        }
    }
    if found.is_empty() {
        let message = format!("the KV namespace {} has no such keys", plain(namespace));
        return Err(Failure::new("NOT_FOUND", message).hint("is the id right?"));
    }
    Ok(found)
}

/// Keys and values of a document. A value may be a text, as KV has it, or what the text says.
fn listed(text: &str) -> Result<BTreeMap<String, String>, Failure> {
    let fields: Map<String, Value> = serde_json::from_str(text)
        .map_err(|error| Failure::usage(format!("it is no JSON object: {error}")))?;
    let text = |value: Value| match value {
        Value::String(text) => text,
        other => other.to_string(),
    };
    Ok(fields
        .into_iter()
        .map(|(key, value)| (key, text(value)))
        .collect())
}

fn salt() -> Result<[u8; 16], Failure> {
    let mut salt = [0; 16];
    getrandom::fill(&mut salt).map_err(|error| {
        Failure::new(
            "INTERNAL",
            format!("no random numbers are to be had: {error}"),
        )
    })?;
    Ok(salt)
}

/// A manifest and what could not be put into it.
struct Imported {
    manifest: Value,
    notes: Vec<String>,
}

fn is_on(value: &str) -> bool {
    ["true", "1", "yes", "on"]
        .contains(&value.trim().trim_matches('"').to_ascii_lowercase().as_str())
}

fn imported(
    old: &BTreeMap<String, String>,
    passkey: Option<&Secret>,
    salt: [u8; 16],
) -> Result<Imported, Failure> {
    let mut notes = Vec::new();
    let mut limits = Map::new();
    let mut ranges = None;
    let mut venues = Vec::new();
    for (key, value) in old {
        match key.as_str() {
            "webhook:tradingview:allowed_ips" => ranges = addresses(value, &mut notes)?,
            "webhook:tradingview:ip_check_enabled" if is_on(value) => {}
            "webhook:tradingview:ip_check_enabled" => notes.push(
                "the check of addresses was off; Hoox has no such switch, so TradingView's addresses are let in, and those of allowed_ips. Add others as ranges of a sender".to_owned(),
            ),
            "trade:max_position_size" => {
                limits.insert("maxPositionNotional".to_owned(), json!(amount(key, value)?));
            }
            "trade:kill_switch" | "global:kill_switch" if is_on(value) => {
                notes.push(format!("{key} was on: run `hoox monitor kill-switch on` before anything trades"));
            }
            "trade:kill_switch" | "global:kill_switch" => {}
            _ => match venue(key) {
                Some(Ok(found)) if is_on(value) => venues.push(found),
                Some(Ok(_)) => {}
                Some(Err(name)) => notes.push(format!("{key}: '{}' is no exchange that Hoox knows", plain(&name))),
                None => notes.push(format!("{} has no place in a manifest and was left out", plain(key))),
            },
        }
    }
    for venue in venues.iter().filter(|venue| !READY.contains(venue)) {
        notes.push(format!("orders cannot go to {venue} yet; its account is in the manifest and is refused until they can"));
    }
    let accounts: Vec<Value> = venues
        .iter()
        .map(|venue| account(*venue, &limits))
        .collect();
    let senders: Vec<Value> = passkey
        .map(|passkey| sender(passkey, salt, &accounts))
        .into_iter()
        .collect();
    if senders.is_empty() {
        notes.push(format!("no sender is in it: set {PASSKEY} to the passkey of your alerts to keep it, or make one with `hoox senders add`"));
    }
    let mut manifest = json!({ "version": 1, "senders": senders, "accounts": accounts });
    if let (Some(fields), Some(ranges)) = (manifest.as_object_mut(), ranges) {
        fields.insert("ranges".to_owned(), json!(ranges));
    }
    let _: Manifest = parsed(&manifest.to_string())?;
    Ok(Imported { manifest, notes })
}

/// The venue of a key such as `exchange:bybit:enabled`.
fn venue(key: &str) -> Option<Result<Venue, String>> {
    let name = key.strip_prefix("exchange:")?.strip_suffix(":enabled")?;
    Some(Venue::named(name).ok_or_else(|| name.to_owned()))
}

fn addresses(value: &str, notes: &mut Vec<String>) -> Result<Option<Vec<String>>, Failure> {
    let found: Vec<String> = serde_json::from_str(value).map_err(|_| {
        Failure::new(
            "BAD_IMPORT",
            "webhook:tradingview:allowed_ips is no JSON list of addresses",
        )
    })?;
    if found.is_empty() {
        return Ok(None);
    }
    notes.push(
        "the list of addresses was taken as it is; TradingView's are let in only if it has them"
            .to_owned(),
    );
    Ok(Some(found))
}

/// An amount as the exact text that a manifest takes.
fn amount(key: &str, value: &str) -> Result<String, Failure> {
    let text = value.trim().trim_matches('"');
    match text.parse::<Decimal>() {
        Ok(amount) if amount > Decimal::ZERO => Ok(amount.normalize().to_string()),
        _ => Err(Failure::new(
            "BAD_IMPORT",
            format!("{key} is no amount above 0"),
        )),
    }
}

fn account(venue: Venue, limits: &Map<String, Value>) -> Value {
    let mut account = json!({
        "id": format!("{venue}-main"), "name": venue, "venue": venue, "environment": "live", "default": true,
    });
    if let (Some(fields), false) = (account.as_object_mut(), limits.is_empty()) {
        fields.insert("limits".to_owned(), json!(limits));
    }
    account
}

fn sender(passkey: &Secret, salt: [u8; 16], accounts: &[Value]) -> Value {
    let mut sender = json!({
        "id": "tradingview", "permission": "trade", "accounts": ["*"], "keys": [PasskeyHash::new(salt, passkey)],
    });
    if let (Some(fields), [only]) = (sender.as_object_mut(), accounts) {
        let name = only.get("name").cloned().unwrap_or_default();
        fields.insert("defaultAccount".to_owned(), name);
    }
    sender
}

#[cfg(test)]
mod tests {
    use super::*;

    fn import(old: &Value, passkey: Option<&str>) -> Result<Imported, Failure> {
        let passkey = passkey.map(Secret::new);
        imported(
            &listed(&old.to_string()).unwrap(),
            passkey.as_ref(),
            [7; 16],
        )
    }

    #[test]
    fn an_installation_becomes_a_manifest_and_the_rest_is_named() {
        let old = json!({
            "webhook:tradingview:ip_check_enabled": "true",
            "webhook:tradingview:allowed_ips": "[\"52.89.214.238\", \"203.0.113.9\"]",
            "trade:max_position_size": "1000.50",
            "trade:default_leverage": "10",
            "trade:kill_switch": true,
            "exchange:bybit:enabled": "true",
            "exchange:mexc:enabled": "false",
            "exchange:ftx:enabled": "true",
            "global:maintenance_mode": "false",
        });
        let found = import(&old, Some("the-passkey-of-the-alerts")).unwrap();
        let text = serde_json::to_string_pretty(&found.manifest).unwrap();
        assert!(!text.contains("the-passkey"));
        insta::assert_snapshot!(format!("{text}\n\n{}", found.notes.join("\n")));
        let manifest = Manifest::parse_strict(&text).unwrap();
        let at = hoox_model::Timestamp::from_millis(0);
        assert_eq!(
            manifest
                .authenticate("the-passkey-of-the-alerts", at)
                .unwrap()
                .id
                .as_str(),
            "tradingview"
        );
        assert!(manifest.authenticate("another", at).is_none());
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for old in [
            json!({ "trade:max_position_size": "many" }),
            json!({ "trade:max_position_size": "-1" }),
            json!({ "webhook:tradingview:allowed_ips": "52.89.214.238" }),
            json!({ "webhook:tradingview:allowed_ips": ["nowhere"] }),
        ] {
            let refused = import(&old, None).err().map(|failure| failure.code);
            assert!(
                matches!(refused.as_deref(), Some("BAD_IMPORT" | "BAD_MANIFEST")),
                "{old}"
            );
        }
        assert_eq!(listed("[]").unwrap_err().code, "USAGE");
        let off = import(
            &json!({ "webhook:tradingview:ip_check_enabled": "false" }),
            None,
        )
        .unwrap();
        assert_eq!(off.manifest["ranges"], Value::Null);
        assert_eq!(off.notes.len(), 2);
    }
}
