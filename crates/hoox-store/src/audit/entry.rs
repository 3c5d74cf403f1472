//! What the trail says of one decision.

use core::fmt;

use hoox_model::{AccountId, Code, Name, RequestId, SignalId, Timestamp, words};
use serde::{Deserialize, Serialize};

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AuditEvent {
    /// A signal was journaled.
    SignalAccepted,
    /// A sender with a valid key was refused.
    SignalRefused,
    /// An order went to the venue.
    OrderSent,
    /// What became of a signal.
    SignalOutcome,
    /// An operator changed the kill switch.
    KillSwitchChanged,
    /// An account took over the kill switch.
    KillSwitchApplied,
    /// An operator published a manifest.
    ManifestChanged,
    /// An account was retired while something of it was open.
    AccountRetired,
    /// A sender was made.
    SenderCreated,
    /// A sender got another passkey.
    SenderRotated,
    /// A sender may no longer send.
    SenderRevoked,
    /// An operator settled, replayed or discarded a dead letter.
    DeadLetterChanged,
    /// An operator was added.
    OperatorAdded,
    /// An operator got another key.
    OperatorRotated,
    /// An operator may no longer call.
    OperatorRevoked,
    /// A call of the operator API was refused.
    OperatorRefused,
    /// An address has sent too many wrong keys and was slowed.
    AddressSlowed,
    /// A call between workers came without its edge's key.
    EdgeRefused,
    /// A month of this trail was dropped.
    AuditDropped,
    /// Something failed in Hoox itself.
    Error,
}

words!(AuditEvent {
    SignalAccepted = "signal.accepted",
    SignalRefused = "signal.refused",
    OrderSent = "order.sent",
    SignalOutcome = "signal.outcome",
    KillSwitchChanged = "kill-switch.changed",
    KillSwitchApplied = "kill-switch.applied",
    ManifestChanged = "manifest.changed",
    AccountRetired = "account.retired",
    SenderCreated = "sender.created",
    SenderRotated = "sender.rotated",
    SenderRevoked = "sender.revoked",
    DeadLetterChanged = "dead-letter.changed",
    OperatorAdded = "operator.added",
    OperatorRotated = "operator.rotated",
    OperatorRevoked = "operator.revoked",
    OperatorRefused = "operator.refused",
    AddressSlowed = "address.slowed",
    EdgeRefused = "edge.refused",
    AuditDropped = "audit.dropped",
    Error = "error",
});

impl AuditEvent {
    /// Every event.
    pub const ALL: [Self; 20] = [
        Self::SignalAccepted,
        Self::SignalRefused,
        Self::OrderSent,
        Self::SignalOutcome,
        Self::KillSwitchChanged,
        Self::KillSwitchApplied,
        Self::ManifestChanged,
        Self::AccountRetired,
        Self::SenderCreated,
        Self::SenderRotated,
        Self::SenderRevoked,
        Self::DeadLetterChanged,
        Self::OperatorAdded,
        Self::OperatorRotated,
        Self::OperatorRevoked,
        Self::OperatorRefused,
        Self::AddressSlowed,
        Self::EdgeRefused,
        Self::AuditDropped,
        Self::Error,
    ];
}

/// One line of text of at most `MAX` bytes. What is longer ends in '…'; control characters become blanks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String")]
pub struct Clipped<const MAX: usize>(String);

impl<const MAX: usize> Clipped<MAX> {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<const MAX: usize> From<&str> for Clipped<MAX> {
    fn from(text: &str) -> Self {
        const CUT: char = '…';
        let line = |c: char| if c.is_control() { ' ' } else { c };
        if text.len() <= MAX {
            return Self(text.chars().map(line).collect());
        }
        let room = MAX.saturating_sub(CUT.len_utf8());
        let kept = text
            .char_indices()
            .take_while(|(at, c)| at.saturating_add(c.len_utf8()) <= room)
            .map(|(_, c)| line(c));
        Self(kept.chain([CUT]).collect())
    }
}

impl<const MAX: usize> From<String> for Clipped<MAX> {
    fn from(text: String) -> Self {
        text.as_str().into()
    }
}

impl<const MAX: usize> fmt::Display for Clipped<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One decision. Its JSON, with the fields in this order and without those that are `None`, is what is hashed,
/// stored and exported; the documented shape only ever gains fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditEntry {
    /// When it happened, in milliseconds since 1970.
    pub time: Timestamp,
    /// What happened.
    pub event: AuditEvent,
    /// Who made it happen: a sender's id, `operator`, or a worker's name.
    pub actor: Clipped<255>,
    /// The gateway request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<RequestId>,
    /// The signal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signal_id: Option<SignalId>,
    /// The tenant: the account's stable id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountId>,
    /// The sender's namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<Name>,
    /// HTTP method.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<Clipped<16>>,
    /// HTTP path, without its query.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<Clipped<256>>,
    /// HTTP status of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Time from request to answer, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<u32>,
    /// Stable code of a refusal or failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<Code>,
    /// A sentence for people. Never holds a key, a passkey or a body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<Clipped<1024>>,
}

impl AuditEntry {
    /// An entry with nothing but what every entry has.
    pub fn new(time: Timestamp, event: AuditEvent, actor: &str) -> Self {
        Self {
            time,
            event,
            actor: actor.into(),
            request_id: None,
            signal_id: None,
            account: None,
            namespace: None,
            method: None,
            path: None,
            status: None,
            latency_ms: None,
            code: None,
            detail: None,
        }
    }
}
