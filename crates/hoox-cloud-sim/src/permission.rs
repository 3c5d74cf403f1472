//! What a token may do, by the names that the dashboard and Cloudflare's documentation give permissions.

use serde::{Deserialize, Serialize};

/// A permission group of API tokens. Write includes read, as "Edit" does in the dashboard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Permission {
    /// List accounts and read their settings.
    #[serde(rename = "Account Settings Read")]
    AccountSettingsRead,
    /// Query databases of D1.
    #[serde(rename = "D1 Read")]
    D1Read,
    /// Create and change databases of D1.
    #[serde(rename = "D1 Write")]
    D1Write,
    /// Read the token's user.
    #[serde(rename = "User Details Read")]
    UserDetailsRead,
    /// List the user's accounts.
    #[serde(rename = "Memberships Read")]
    MembershipsRead,
    /// Read KV.
    #[serde(rename = "Workers KV Storage Read")]
    WorkersKvRead,
    /// Write KV.
    #[serde(rename = "Workers KV Storage Write")]
    WorkersKvWrite,
    /// Read a zone's routes to Workers.
    #[serde(rename = "Workers Routes Read")]
    WorkersRoutesRead,
    /// Change a zone's routes to Workers.
    #[serde(rename = "Workers Routes Write")]
    WorkersRoutesWrite,
    /// Read Workers, their settings and the names of their secrets.
    #[serde(rename = "Workers Scripts Read")]
    WorkersScriptsRead,
    /// Deploy Workers and set their secrets.
    #[serde(rename = "Workers Scripts Write")]
    WorkersScriptsWrite,
    /// List zones.
    #[serde(rename = "Zone Read")]
    ZoneRead,
    /// Read a zone's firewall rules.
    #[serde(rename = "Zone WAF Read")]
    ZoneWafRead,
    /// Change a zone's firewall rules.
    #[serde(rename = "Zone WAF Write")]
    ZoneWafWrite,
}

impl Permission {
    /// Whether having `self` is enough where `needed` is asked for.
    pub(crate) fn covers(self, needed: Self) -> bool {
        self == needed
            || matches!(
                (self, needed),
                (Self::D1Write, Self::D1Read)
                    | (Self::WorkersKvWrite, Self::WorkersKvRead)
                    | (Self::WorkersRoutesWrite, Self::WorkersRoutesRead)
                    | (Self::WorkersScriptsWrite, Self::WorkersScriptsRead)
                    | (Self::ZoneWafWrite, Self::ZoneWafRead)
            )
    }
}
