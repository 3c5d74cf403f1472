//! Dead letters: signals that Hoox took and could not bring to an end by itself, and what an operator
//! does about them.

use hoox_model::{
    AccountId, ClientOrderId, Code, Name, Price, Quantity, RequestId, SignalId, Symbol, Timestamp,
    words,
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{Problem, SignalView};

/// What an operator does with dead letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LetterVerb {
    /// Lists them, oldest first.
    List,
    /// Shows one.
    Show,
    /// Says what became of an order that could not be found out, or has the venue asked once more.
    Settle,
    /// Decides the signal anew, as a new one with ids of its own.
    Replay,
    /// Takes it off the list.
    Discard,
}

words!(LetterVerb {
    List = "list",
    Show = "show",
    Settle = "settle",
    Replay = "replay",
    Discard = "discard",
});

/// What an operator found out about an order at the venue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Settle {
    /// The order.
    pub client_order_id: ClientOrderId,
    /// How much of it was filled, in base currency; 0 where it is not at the venue or ended without a
    /// fill. Without it the venue is asked once more.
    #[serde(default)]
    pub filled_quantity: Option<Quantity>,
    /// Mean price of the fills.
    #[serde(default)]
    pub average_price: Option<Price>,
}

/// A call about dead letters. Gateway to Control, and from there to the Ledgers.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LetterCall {
    /// What to do.
    pub verb: LetterVerb,
    /// The request; a replay is the same signal however often its call is repeated.
    pub request_id: RequestId,
    /// Only this account, by its stable id.
    #[serde(default)]
    pub account: Option<AccountId>,
    /// Which one; needed by all verbs but `list`.
    #[serde(default)]
    pub signal: Option<SignalId>,
    /// What `settle` says: a [`Settle`], as the operator sent it and read by the Ledger alone.
    #[serde(default)]
    pub settle: Option<Box<RawValue>>,
}

/// A dead letter as an operator sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DeadLetter {
    /// The signal and its orders; those that are `unknown` must be settled.
    #[serde(flatten)]
    pub signal: SignalView,
    /// Who sent it.
    pub sender: Name,
    /// What it trades.
    pub symbol: Symbol,
    /// What it asked for.
    pub action: String,
    /// When it came.
    pub received_at: Timestamp,
    /// Whether it still waits for an operator.
    pub waiting: bool,
    /// Whether an order must be settled before it can be replayed or discarded.
    pub unsettled: bool,
    /// The signal that a replay made of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replayed_as: Option<SignalId>,
    /// The alert without its key, as it came.
    pub body: String,
}

/// What a Ledger answers, and Control for all of them. The letters are written once, by the Ledger, and
/// passed on unread.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Letters {
    /// The letters; of all verbs but `list` the one it was about, none where the Ledger does not know it.
    pub items: Vec<Box<RawValue>>,
    /// How many wait for an operator.
    pub total: u32,
    /// Names of accounts whose Ledgers did not answer.
    #[serde(default)]
    pub unreachable: Vec<Name>,
}

impl Letters {
    /// The answer of one Ledger.
    ///
    /// # Errors
    /// `INTERNAL` where a letter cannot be written as JSON.
    pub fn of(letters: &[DeadLetter], total: u32) -> Result<Self, Problem> {
        let items = letters
            .iter()
            .map(serde_json::value::to_raw_value)
            .collect::<Result<_, _>>()
            .map_err(|error| Problem::new(Code::Internal, error.to_string()))?;
        Ok(Self {
            items,
            total,
            unreachable: Vec::new(),
        })
    }

    /// Adds another Ledger's answer.
    pub fn add(&mut self, other: Self) {
        self.items.extend(other.items);
        self.total = self.total.saturating_add(other.total);
        self.unreachable.extend(other.unreachable);
    }

    /// The answer of all Ledgers, where the one letter that was asked for is among them.
    ///
    /// # Errors
    /// `NOT_FOUND`, or `NOT_CONFIRMED` where a Ledger that did not answer may have it.
    pub fn found(self, call: &LetterCall) -> Result<Self, Problem> {
        if call.verb == LetterVerb::List || !self.items.is_empty() {
            return Ok(self);
        }
        if self.unreachable.is_empty() {
            let text = "no account has a signal with this id";
            return Err(Problem::new(Code::NotFound, text));
        }
        let names: Vec<&str> = self.unreachable.iter().map(Name::as_str).collect();
        let text = format!("{} did not answer; try again", names.join(", "));
        Err(Problem::new(Code::NotConfirmed, text))
    }
}
