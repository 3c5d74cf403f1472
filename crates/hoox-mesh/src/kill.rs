//! The kill switch as workers speak of it.

use hoox_model::{Code, Name, PositionSide, Symbol, Timestamp, words};
use hoox_risk::KillMode;
use serde::{Deserialize, Serialize};

use crate::Problem;

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
    /// Whether every position is closed as well, of an account too that is put into the manifest while it holds.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub flatten: bool,
    /// The revision of the change that asked for that, where a later one keeps it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flatten_revision: Option<u64>,
}

impl KillState {
    /// The revision of the change that asked for every position to be closed; `None` where that is not asked for.
    pub fn flatten_asked(&self) -> Option<u64> {
        self.flatten
            .then(|| self.flatten_revision.unwrap_or(self.revision))
    }
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
    /// Whether every position is to be closed as well; only with `entries`, which lets closes through.
    #[serde(default)]
    pub flatten: bool,
}

impl SetKill {
    /// What makes the change impossible.
    pub fn problem(&self) -> Option<Problem> {
        (self.flatten && self.mode != KillMode::Entries).then(|| {
            let text = "flatten needs the mode entries: the mode all lets no close through either";
            Problem::new(Code::BadField, text).field("flatten")
        })
    }
}

/// What one account's Ledger says to a change. What a Ledger of the version before does not say is not
/// so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AccountReport {
    /// Name of the account.
    pub account: Name,
    /// Whether the Ledger has committed a mode that stops entries.
    #[serde(default)]
    pub engaged: bool,
    /// Whether the Ledger could not be told; it is told again until it answers.
    #[serde(default)]
    pub unreachable: bool,
    /// Orders that were on their way before the change and whose outcome is still open.
    pub in_flight: u32,
    /// Hoox's own entries that still rest at the venue; they are being cancelled.
    #[serde(default)]
    pub resting: u32,
    /// Whether positions are still being closed, as `flatten` asked.
    #[serde(default)]
    pub flattening: bool,
    /// How closing every position stands, where `flatten` asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flatten: Option<FlattenView>,
    /// Waiting exits of senders whose right was withdrawn with this change, which are dead letters now.
    #[serde(default, skip_serializing_if = "is_none")]
    pub revoked_exits: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
const fn is_none(count: &u32) -> bool {
    *count == 0
}

/// How closing every position stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FlattenView {
    /// Whether everything is flat, but for what cannot be closed.
    pub flat: bool,
    /// Why the positions cannot be listed at present.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The positions that it met.
    pub symbols: Vec<FlatSymbol>,
    /// What cannot be closed and is left: less than the venue's smallest order.
    pub except: Vec<FlatSymbol>,
}

/// One position that is being closed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FlatSymbol {
    /// What is held.
    pub symbol: Symbol,
    /// On which side.
    pub side: PositionSide,
    /// How far its close is.
    pub state: FlatState,
    /// The venue's words, or Hoox's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When it is tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_try: Option<Timestamp>,
}

/// How far the close of a position is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FlatState {
    /// No close was made yet.
    Open,
    /// A close is carried out.
    Closing,
    /// Nothing is held any more.
    Closed,
    /// The venue refused; it is tried again.
    Refused,
}

words!(FlatState {
    Open = "open",
    Closing = "closing",
    Closed = "closed",
    Refused = "refused",
});

impl AccountReport {
    /// Of a Ledger that could not be told.
    pub const fn unreachable(account: Name) -> Self {
        Self {
            account,
            engaged: false,
            unreachable: true,
            in_flight: 0,
            resting: 0,
            flattening: false,
            flatten: None,
            revoked_exits: 0,
        }
    }

    /// Whether what the change asks for is done, or nothing is left to wait for.
    pub const fn is_settled(&self) -> bool {
        !self.engaged || (self.in_flight == 0 && self.resting == 0 && !self.flattening)
    }
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
