//! The kill switch as workers speak of it.

use hoox_model::{Name, Timestamp};
use hoox_risk::KillMode;
use serde::{Deserialize, Serialize};

/// The kill switch as Control holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KillState {
    /// The mode.
    pub mode: KillMode,
    /// Rises with every change; a Ledger ignores a lower one.
    pub revision: u64,
    /// Why it was changed, in the operator's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When it was changed.
    pub since: Timestamp,
}

/// An operator's change of the kill switch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SetKill {
    /// The new mode.
    pub mode: KillMode,
    /// Why.
    #[serde(default)]
    pub reason: Option<String>,
}

/// What one account's Ledger says to a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AccountReport {
    /// Name of the account.
    pub account: Name,
    /// Whether the Ledger has committed the mode.
    pub confirmed: bool,
    /// Orders that were on their way before the change and whose outcome is still open.
    pub in_flight: u32,
}

/// The kill switch after a change, with every account's word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KillReport {
    /// The switch.
    #[serde(flatten)]
    pub state: KillState,
    /// One entry an account.
    pub accounts: Vec<AccountReport>,
}
