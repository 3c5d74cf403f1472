//! The inbox: what is kept of alerts that were refused after a valid key, and of those that came from an allowed address
//! and could not be read.

use hoox_model::{Code, Name, RequestId, SignalId, Symbol, Timestamp};
use serde::{Deserialize, Serialize};

/// What is kept of a refused alert: no value of it but the symbol.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RefusedAlert {
    /// The request that was refused.
    pub request_id: RequestId,
    /// When it came.
    pub received_at: Timestamp,
    /// Who sent it; `None` where it could not be read, so that nobody has proved who they are.
    #[serde(default)]
    pub sender: Option<Name>,
    /// The address, where no sender is proved.
    #[serde(default)]
    pub address: Option<String>,
    /// Stable code.
    pub code: Code,
    /// The field at fault.
    #[serde(default)]
    pub field: Option<String>,
    /// The sentence of the answer, without what stood in the alert.
    pub error: String,
    /// Name of the account that it was for, where that is known.
    #[serde(default)]
    pub account: Option<Name>,
    /// The alert's symbol, where it is one.
    #[serde(default)]
    pub symbol: Option<Symbol>,
    /// The signal that the refusal is about: the first one of a duplicate.
    #[serde(default)]
    pub signal_id: Option<SignalId>,
    /// The names of the alert's fields.
    #[serde(default)]
    pub fields: Vec<String>,
    /// Length of a body that could not be read, in bytes.
    #[serde(default)]
    pub bytes: Option<u64>,
}

impl RefusedAlert {
    /// One of which nothing more is known.
    pub const fn new(
        request_id: RequestId,
        received_at: Timestamp,
        code: Code,
        error: String,
    ) -> Self {
        Self {
            request_id,
            received_at,
            sender: None,
            address: None,
            code,
            field: None,
            error,
            account: None,
            symbol: None,
            signal_id: None,
            fields: Vec::new(),
            bytes: None,
        }
    }
}

/// What the gateway has Control do with the inbox: keep one, and count some.
///
/// Control keeps the [`RefusedAlert`] unread.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InboxNote<R> {
    /// Whose it is; `None` for alerts that could not be read.
    #[serde(default)]
    pub sender: Option<Name>,
    /// The request that was refused.
    pub request_id: RequestId,
    /// What is kept, if anything.
    pub refused: Option<R>,
    /// How many more there were, which are not kept.
    #[serde(default)]
    pub more: u32,
}

/// Which page of the inbox.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct InboxRequest {
    /// Only this sender's.
    pub sender: Option<String>,
    /// At most so many, 1 to 100; 50 unless given.
    pub limit: Option<u32>,
    /// Where the previous page ended.
    pub cursor: Option<String>,
}
