//! Senders: who holds a passkey, and what it opens.

use core::fmt;
use core::net::IpAddr;

use hoox_model::Name;
use serde::{Deserialize, Serialize, Serializer};

use crate::{Account, Manifest, ManifestError, Range, Scheme, SenderKey, Window, read};

/// The name under which the operator's own signals are journaled; no sender may have it.
pub const OPERATOR: &str = "operator";

/// What a sender may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Permission {
    /// Nothing at the webhook.
    Read,
    /// Send signals.
    Trade,
}

/// One entry of a sender's `accounts`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccountPattern {
    /// `*`: every account, also those added later.
    All,
    /// The account of this name.
    Named(Name),
}

impl fmt::Display for AccountPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("*"),
            Self::Named(name) => name.fmt(f),
        }
    }
}

impl Serialize for AccountPattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Most entries that a sender may send to each of its accounts: `count` in `seconds`. Every account's
/// Ledger counts its own, so a sender with three accounts may make three times as many in all. Closes
/// do not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryRate {
    /// How many, at least 1.
    pub count: u32,
    /// In how many seconds, at least 1.
    pub seconds: u32,
}

impl Default for EntryRate {
    /// 60 in a minute.
    fn default() -> Self {
        Self {
            count: 60,
            seconds: 60,
        }
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature serde asks for"
)]
fn is_passkey(scheme: &Scheme) -> bool {
    *scheme == Scheme::Passkey
}

/// A holder of one key, or of two while it is rotated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Sender {
    /// Unique and stable: identities and rates are counted by it.
    pub id: Name,
    /// What it may do.
    pub permission: Permission,
    /// The accounts it may use.
    pub accounts: Vec<AccountPattern>,
    /// Where given, only accounts of these namespaces; an account without one is then out of reach.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespaces: Option<Vec<Name>>,
    /// Where its signals go that name neither account nor exchange.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_account: Option<Name>,
    /// How it shows who it is.
    #[serde(skip_serializing_if = "is_passkey")]
    pub scheme: Scheme,
    /// Whether the platform must have verified the client's certificate as well.
    #[serde(skip_serializing_if = "core::ops::Not::not")]
    pub client_certificate: bool,
    /// One key, or two while it is rotated; the newest last.
    pub keys: Vec<SenderKey>,
    /// Addresses it may send from besides the manifest's ranges.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ranges: Vec<Range>,
    /// Most entries it may send to each of its accounts.
    pub entry_rate: EntryRate,
    /// When it may send.
    #[serde(flatten)]
    pub window: Window,
}

/// A sender as answers show it: no hash, and of its keys only when they are valid.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SenderView<'a> {
    id: &'a Name,
    scheme: Scheme,
    #[serde(skip_serializing_if = "core::ops::Not::not")]
    client_certificate: bool,
    permission: Permission,
    accounts: &'a [AccountPattern],
    #[serde(skip_serializing_if = "Option::is_none")]
    namespaces: Option<&'a [Name]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    default_account: Option<&'a Name>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    ranges: &'a [Range],
    entry_rate: EntryRate,
    keys: Vec<Window>,
    #[serde(flatten)]
    window: Window,
}

impl Sender {
    /// Reads what an operator wants a new sender to be, as of `POST /v1/senders`. It has no key yet.
    ///
    /// # Errors
    /// [`ManifestError`] with every problem; unknown fields are refused.
    pub fn parse_new(text: &str) -> Result<Self, ManifestError> {
        read::new_sender(text)
    }

    /// What answers show of it.
    pub fn view(&self) -> SenderView<'_> {
        SenderView {
            id: &self.id,
            scheme: self.scheme,
            client_certificate: self.client_certificate,
            permission: self.permission,
            accounts: &self.accounts,
            namespaces: self.namespaces.as_deref(),
            default_account: self.default_account.as_ref(),
            ranges: &self.ranges,
            entry_rate: self.entry_rate,
            keys: self.keys.iter().map(SenderKey::window).collect(),
            window: self.window,
        }
    }

    /// Whether it may send from `address`: one of the manifest's ranges or one of its own. Ranges
    /// of other senders do not count.
    pub fn address_allowed(&self, manifest: &Manifest, address: IpAddr) -> bool {
        manifest.shared_ranges_contain(address)
            || self.ranges.iter().any(|range| range.contains(address))
    }

    /// Whether it may use the account.
    pub fn may_use(&self, account: &Account) -> bool {
        let listed = self.accounts.iter().any(|pattern| match pattern {
            AccountPattern::All => true,
            AccountPattern::Named(name) => *name == account.name,
        });
        let in_namespace = self.namespaces.as_ref().is_none_or(|allowed| {
            account
                .namespace
                .as_ref()
                .is_some_and(|namespace| allowed.contains(namespace))
        });
        listed && in_namespace
    }
}
