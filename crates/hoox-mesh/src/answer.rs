//! What the outside is told: the states of a signal, the success body and the error body.

use hoox_auth::Refusal;
use hoox_model::{
    ClientOrderId, Code, Name, Price, Quantity, RequestId, Side, SignalId, Symbol, words,
};
use hoox_signal::{AlertError, SignalError};
use serde::{Deserialize, Serialize};

/// A refusal that explains itself: stable code, sentence, and the field at fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{code}: {message}")]
pub struct Problem {
    /// Stable code.
    pub code: Code,
    /// What is wrong and what to do, in one sentence.
    pub message: String,
    /// The field of the request at fault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// Seconds after which another try makes sense.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u32>,
    /// The signal that the refusal is about: the first one of a duplicate, a journaled refused one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<Box<SignalView>>,
}

impl Problem {
    /// A problem with a code and a sentence.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            field: None,
            retry_after: None,
            signal: None,
        }
    }

    /// Names the field at fault.
    #[must_use]
    pub fn field(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }

    /// Says when another try makes sense.
    #[must_use]
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// Adds the signal that the refusal is about.
    #[must_use]
    pub fn signal(mut self, signal: SignalView) -> Self {
        self.signal = Some(Box::new(signal));
        self
    }

    /// The error body of the public contract.
    pub fn body<'a>(&'a self, request_id: &'a RequestId) -> ErrorBody<'a> {
        let signal = self.signal.as_deref();
        ErrorBody {
            success: false,
            error: &self.message,
            code: self.code,
            request_id,
            field: self.field.as_deref(),
            signal_id: signal.map(|signal| &signal.signal_id),
            status: signal.map(|signal| signal.status),
            account: signal.map(|signal| &signal.account),
            orders: signal.map_or(&[], |signal| &signal.orders),
        }
    }
}

/// A problem that is a part of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProblemView {
    /// Stable code.
    pub code: Code,
    /// What is wrong and what to do, in one sentence.
    pub error: String,
}

impl From<Problem> for ProblemView {
    fn from(problem: Problem) -> Self {
        Self {
            code: problem.code,
            error: problem.message,
        }
    }
}

/// The error body of the public contract.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ErrorBody<'a> {
    success: bool,
    error: &'a str,
    code: Code,
    request_id: &'a RequestId,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signal_id: Option<&'a SignalId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<SignalStatus>,
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<&'a Name>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    orders: &'a [OrderView],
}

impl From<AlertError> for Problem {
    fn from(error: AlertError) -> Self {
        Self::new(error.code, error.message)
    }
}

impl From<SignalError> for Problem {
    fn from(error: SignalError) -> Self {
        Self {
            field: error.field,
            ..Self::new(error.code, error.message)
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        Self {
            field: refusal.field,
            ..Self::new(refusal.code, refusal.message)
        }
    }
}

/// Where a signal stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SignalStatus {
    /// Journaled.
    Received,
    /// Orders are decided and stored, none is sent.
    Planned,
    /// An order is on its way, or its outcome is being looked up.
    Sending,
    /// The venue has the order and it is not filled yet.
    Acknowledged,
    /// Everything asked for was filled.
    Filled,
    /// A part was filled, and nothing more will be.
    PartlyFilled,
    /// The order ended without a fill.
    Cancelled,
    /// The venue refused.
    Rejected,
    /// Hoox refused before anything was sent: kill switch, staleness, limits, sizing.
    Refused,
    /// There was nothing to close or change.
    NothingToDo,
    /// Planned and validated only, as the alert asked.
    DryRun,
    /// Whether the venue has the order could not be found out: an operator must settle it.
    Unknown,
}

words!(SignalStatus {
    Received = "received",
    Planned = "planned",
    Sending = "sending",
    Acknowledged = "acknowledged",
    Filled = "filled",
    PartlyFilled = "partly_filled",
    Cancelled = "cancelled",
    Rejected = "rejected",
    Refused = "refused",
    NothingToDo = "nothing_to_do",
    DryRun = "dry_run",
    Unknown = "unknown",
});

impl SignalStatus {
    /// Those whose records stay, however old they are: there is work left, or the outcome of an order is not known. Of
    /// other dead letters the Ledger keeps what an operator needs.
    pub const WAITING: [Self; 5] = [
        Self::Received,
        Self::Planned,
        Self::Sending,
        Self::Acknowledged,
        Self::Unknown,
    ];

    /// Whether the signal's work has ended.
    pub const fn is_final(self) -> bool {
        !matches!(
            self,
            Self::Received | Self::Planned | Self::Sending | Self::Acknowledged
        )
    }

    /// Whether an answer that waits has its outcome: the work has ended, or the order rests.
    pub const fn is_settled(self) -> bool {
        self.is_final() || matches!(self, Self::Acknowledged)
    }

    /// Whether a final status means that what was asked for was done.
    pub const fn is_success(self) -> bool {
        matches!(
            self,
            Self::Acknowledged
                | Self::Filled
                | Self::PartlyFilled
                | Self::NothingToDo
                | Self::DryRun
        )
    }
}

/// One order of a signal, as answers show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderView {
    /// Our id at the venue.
    pub client_order_id: ClientOrderId,
    /// What is traded.
    pub symbol: Symbol,
    /// Buy or sell.
    pub side: Side,
    /// `market` or `limit`.
    pub order_type: String,
    /// Size in base currency.
    pub quantity: Quantity,
    /// Limit price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Price>,
    /// Whether it only makes a position smaller.
    pub reduce_only: bool,
    /// Where it stands.
    pub status: String,
    /// Filled size.
    pub filled_quantity: Quantity,
    /// Mean price of the fills.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub average_price: Option<Price>,
}

/// A signal as answers show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SignalView {
    /// Its id.
    pub signal_id: SignalId,
    /// Where it stands.
    pub status: SignalStatus,
    /// Name of the account.
    pub account: Name,
    /// Why it ended as it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<Code>,
    /// The same as a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// What the sender should know about its alert.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Whether it ended without all that it promised.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub incomplete: bool,
    /// The legs of a flip, each with its own outcome.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub legs: Option<LegsView>,
    /// Its orders, those planned for a dry run included.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub orders: Vec<OrderView>,
}

/// The legs of a flip.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LegsView {
    /// What closes the opposite position.
    pub close: LegView,
    /// What is opened after it.
    pub open: LegView,
}

/// One leg of a flip.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LegView {
    /// The state of its last order; `waiting` before there is one, `not_sent` where there will be none.
    pub status: String,
    /// Why it did not end as it should.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<Code>,
    /// The same as a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl SignalView {
    /// The body of a 2xx answer. `success` is false where the work has ended without the wished effect.
    pub fn body<'a>(&'a self, request_id: &'a RequestId) -> SignalBody<'a> {
        let success = !self.status.is_final() || (self.status.is_success() && !self.incomplete);
        let message = self.message.as_deref();
        SignalBody {
            success,
            request_id,
            signal_id: &self.signal_id,
            status: self.status,
            account: &self.account,
            code: self.code,
            message: message.filter(|_| success),
            error: message.filter(|_| !success),
            notes: &self.notes,
            legs: self.legs.as_ref(),
            orders: &self.orders,
        }
    }
}

/// The body of a 2xx answer to an alert.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SignalBody<'a> {
    success: bool,
    request_id: &'a RequestId,
    signal_id: &'a SignalId,
    status: SignalStatus,
    account: &'a Name,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<Code>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    notes: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    legs: Option<&'a LegsView>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    orders: &'a [OrderView],
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_final_or_is_unknown_waits() {
        for word in [
            "received",
            "planned",
            "sending",
            "acknowledged",
            "filled",
            "partly_filled",
            "cancelled",
            "rejected",
            "refused",
            "nothing_to_do",
            "dry_run",
            "unknown",
        ] {
            let status = SignalStatus::named(word).unwrap();
            let waits = SignalStatus::WAITING.contains(&status);
            assert_eq!(waits, !status.is_final() || word == "unknown", "{word}");
        }
    }
}
