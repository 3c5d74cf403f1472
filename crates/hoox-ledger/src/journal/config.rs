//! The account and its senders by the manifest. Keeps `config` and `manifest_floor` of the table `meta`: Control's word
//! writes both, and a signal that brings a newer account.

use hoox_auth::{Account, OPERATOR};
use hoox_model::Name;
use serde::{Deserialize, Serialize};

use super::day::watch_day;
use super::meta::{get_json, get_number, put};
use crate::port::{LedgerError, Store};
use crate::row::to_json;

pub(super) const CONFIG: &str = "config";
const MANIFEST_FLOOR: &str = "manifest_floor";

/// What a Ledger knows of itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Config {
    /// Highest manifest version seen.
    pub manifest_version: u64,
    /// The account.
    pub account: Account,
    /// Senders that may trade on it; `None` until Control has told.
    #[serde(default)]
    pub senders: Option<Vec<Name>>,
    /// Manifest version of the senders.
    #[serde(default)]
    pub senders_version: u64,
}

impl Config {
    /// Whether a sender may trade on the account. What was decided by a newer manifest than the one whose senders are
    /// known here counts.
    pub(crate) fn may_trade(&self, sender: &Name, manifest_version: u64) -> bool {
        sender.as_str() == OPERATOR
            || self.senders_version < manifest_version
            || self
                .senders
                .as_ref()
                .is_none_or(|senders| senders.contains(sender))
    }
}

/// The configuration, once known.
pub(crate) fn config(store: &impl Store) -> Result<Option<Config>, LedgerError> {
    get_json(store, CONFIG)
}

/// Takes over what a manifest says of the account and, where it is told, of the senders, unless a
/// newer version is known. Either part has its own version, because a signal may bring a newer account
/// before Control brings the newer senders.
pub(crate) fn set_config(
    store: &impl Store,
    known: Option<&Config>,
    version: u64,
    account: &Account,
    senders: Option<&[Name]>,
) -> Result<Config, LedgerError> {
    let mut new = known.cloned().unwrap_or_else(|| Config {
        manifest_version: version,
        account: account.clone(),
        senders: None,
        senders_version: 0,
    });
    if version > new.manifest_version {
        new.manifest_version = version;
        new.account = account.clone();
    }
    if let Some(senders) = senders
        && (new.senders.is_none() || version > new.senders_version)
    {
        new.senders = Some(senders.to_vec());
        new.senders_version = version;
    }
    if known != Some(&new) {
        put(store, CONFIG, to_json(&new)?)?;
        watch_day(store, new.account.limits.max_daily_loss.is_some())?;
    }
    Ok(new)
}

/// The oldest manifest version by which a new signal may have been decided.
pub(crate) fn floor(store: &impl Store) -> Result<u64, LedgerError> {
    let floor = get_number(store, MANIFEST_FLOOR)?;
    u64::try_from(floor).map_err(|_| LedgerError::Corrupt(format!("meta.{MANIFEST_FLOOR}")))
}

/// Has no new signal decided by an older manifest than `version`.
pub(crate) fn raise_floor(store: &impl Store, version: u64) -> Result<(), LedgerError> {
    if version <= floor(store)? {
        return Ok(());
    }
    put(store, MANIFEST_FLOOR, version.to_string())
}
