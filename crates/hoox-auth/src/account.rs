//! Trading accounts.

use core::fmt;

use hoox_model::{AccountId, Limits, Name, Product, Venue};
use serde::{Deserialize, Serialize};

/// Where an account trades.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Environment {
    /// The venue itself, with real money.
    Live,
    /// The venue's test network or demo trading.
    Testnet,
    /// An exchange simulator on this machine.
    Sim,
}

impl Environment {
    /// Every environment.
    pub const ALL: [Self; 3] = [Self::Live, Self::Testnet, Self::Sim];

    /// Lower-case name, as in the manifest.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Testnet => "testnet",
            Self::Sim => "sim",
        }
    }
}

impl fmt::Display for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where Cloudflare should place an account's Ledger, and so where its orders are sent from
/// (developers.cloudflare.com/durable-objects/reference/data-location/).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LocationHint {
    /// Western North America.
    Wnam,
    /// Eastern North America.
    Enam,
    /// South America.
    Sam,
    /// Western Europe.
    Weur,
    /// Eastern Europe.
    Eeur,
    /// Asia-Pacific.
    Apac,
    /// Oceania.
    Oc,
    /// Africa.
    Afr,
    /// Middle East.
    Me,
}

impl LocationHint {
    /// Every hint.
    pub const ALL: [Self; 9] = [
        Self::Wnam,
        Self::Enam,
        Self::Sam,
        Self::Weur,
        Self::Eeur,
        Self::Apac,
        Self::Oc,
        Self::Afr,
        Self::Me,
    ];

    /// The hint as the platform spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Wnam => "wnam",
            Self::Enam => "enam",
            Self::Sam => "sam",
            Self::Weur => "weur",
            Self::Eeur => "eeur",
            Self::Apac => "apac",
            Self::Oc => "oc",
            Self::Afr => "afr",
            Self::Me => "me",
        }
    }
}

/// One account at one venue, with one Ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Account {
    /// Never changes and is never reused: the Ledger is named by it.
    pub id: AccountId,
    /// What alerts call it; may change.
    pub name: Name,
    /// Group of accounts, for senders that are limited to groups.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<Name>,
    /// The exchange.
    pub venue: Venue,
    /// Live, testnet or simulator.
    pub environment: Environment,
    /// A higher one starts a new Ledger, for instance in another place. From 1.
    pub generation: u32,
    /// What a symbol without `.P` and without `market` means.
    pub default_product: Product,
    /// Where the Ledger is placed when it is first touched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location_hint: Option<LocationHint>,
    /// Origin of the venue's API, without a path, where it is not the venue's usual one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base_url: Option<String>,
    /// Distinguishes the secrets of further accounts: `SUB1` makes `BYBIT_API_KEY__SUB1`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_suffix: Option<String>,
    /// Whether it is the one meant by its venue's name alone. At most one per venue and environment.
    #[serde(skip_serializing_if = "core::ops::Not::not")]
    pub default: bool,
    /// What entries may do.
    #[serde(skip_serializing_if = "Limits::is_none")]
    pub limits: Limits,
}

impl Account {
    /// Name of its Ledger: `<id>/<environment>/<generation>`.
    pub fn ledger_name(&self) -> String {
        format!("{}/{}/{}", self.id, self.environment, self.generation)
    }

    /// Names of the two secrets that hold its API key and API secret, such as `BYBIT_API_KEY` and
    /// `BYBIT_API_SECRET`. Test networks and simulators have their own (`BYBIT_TESTNET_API_KEY`,
    /// `BYBIT_SIM_API_KEY`), so that live keys never reach them.
    pub fn secret_names(&self) -> (String, String) {
        let venue = self.venue.as_str().to_ascii_uppercase();
        let environment = match self.environment {
            Environment::Live => "",
            Environment::Testnet => "_TESTNET",
            Environment::Sim => "_SIM",
        };
        let suffix = self
            .secret_suffix
            .as_ref()
            .map_or_else(String::new, |suffix| format!("__{suffix}"));
        (
            format!("{venue}{environment}_API_KEY{suffix}"),
            format!("{venue}{environment}_API_SECRET{suffix}"),
        )
    }
}
