//! Typed routes between workers. Messages tolerate one version of skew: new fields have defaults.

use hoox_auth::{
    Account, EntryRate, Manifest, OperatorChange, Operators, Past, Published, SenderChange,
};
use hoox_model::{AccountId, Name, RequestId, Timestamp};
use hoox_signal::{Identity, Signal};
use hoox_store::audit::{
    AuditCheck, AuditDropReply, AuditDropRequest, AuditEntry, AuditExportRequest, AuditPage,
    AuditVerifyRequest, MAX_DELIVERY,
};
use hoox_store::{OrderRecord, PositionRecord, RetentionReport, SealedRow, SignalRecord};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{
    AccountReport, Edge, ForcedManifest, InboxNote, InboxRequest, KillReport, KillState,
    LedgerReports, LetterCall, Letters, Passage, Problem, RowCount, SetKill, SignalView,
    SweepRequest,
};

/// One internal call. The body is the request as JSON; the answer is `Result<Reply, Problem>` as JSON.
pub trait Route {
    /// Path, unique within the callee.
    const PATH: &'static str;
    /// Who may call it; `None` for calls inside trade-worker to its own objects.
    const EDGE: Option<Edge>;
    /// What is sent.
    type Request: Serialize + DeserializeOwned;
    /// What comes back.
    type Reply: Serialize + DeserializeOwned;
}

macro_rules! route {
    ($(#[$doc:meta])* $name:ident, $path:literal, $edge:expr, $request:ty => $reply:ty) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub enum $name {}

        impl Route for $name {
            const PATH: &'static str = $path;
            const EDGE: Option<Edge> = $edge;
            type Request = $request;
            type Reply = $reply;
        }
    };
}

/// A checked alert on its way to its account's Ledger.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Accept {
    /// Same on every repetition of the call, so that a repetition is no duplicate.
    pub request_id: RequestId,
    /// Who sent it.
    pub sender: Name,
    /// Entries this sender may make on this account.
    pub entry_rate: EntryRate,
    /// Version of the manifest by which the gateway decided.
    pub manifest_version: u64,
    /// Where it goes.
    pub account: Account,
    /// Where the same alert may have gone before the manifest changed; those Ledgers are asked first.
    #[serde(default)]
    pub past: Vec<Account>,
    /// What it asks for.
    pub signal: Signal,
    /// What makes it the same as another one.
    pub identity: Identity,
    /// The alert's JSON without the key.
    pub body: String,
    /// When the gateway received it.
    pub received_at: Timestamp,
    /// How long the answer may wait for the outcome, in milliseconds.
    #[serde(default)]
    pub wait_ms: u32,
    /// Words of the contract whose meaning the Ledger must know ([`Signal::requires`]): a field that it
    /// does not know it could not see otherwise.
    #[serde(default)]
    pub requires: Vec<String>,
}

/// An alert's identity, for a Ledger that may have taken it before.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SeenRequest {
    /// Manifest version by which the asking Ledger is to take it. The asked one takes nothing any more
    /// that was decided by an older one, so that its word stands.
    pub manifest_version: u64,
    /// Who sent it.
    pub sender: Name,
    /// What makes it the same as another one.
    pub identity: Identity,
}

/// What became of an alert at its Ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AcceptReply {
    /// The journaled signal.
    pub signal: SignalView,
}

/// A new manifest version, as one account's Ledger needs to know it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Configure {
    /// Version of the manifest.
    pub manifest_version: u64,
    /// The account.
    pub account: Account,
    /// Senders that may trade on it.
    pub senders: Vec<Name>,
    /// The kill switch.
    pub kill: KillState,
}

/// The manifest as Control holds it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ManifestReply {
    /// `None` before the first one was put.
    pub manifest: Option<Manifest>,
    /// [`Published::history`]; versions before called it `previous`.
    #[serde(default, alias = "previous")]
    pub history: Vec<Past>,
    /// Who may operate beside the owner; a Control of a version before knows none.
    #[serde(default)]
    pub operators: Operators,
    /// Whether every Ledger and the gateways' configuration have it; what is missing follows by itself.
    #[serde(default)]
    pub delivered: bool,
    /// Waiting exits of senders whose right was withdrawn by the change, which are dead letters now.
    #[serde(default)]
    pub dead_letters: u32,
    /// What of the accounts was open that the change retired by force: a [`Standing`](crate::Standing) each, passed on unread.
    #[serde(default)]
    pub retired: Vec<Box<RawValue>>,
}

impl ManifestReply {
    /// What Control holds and whether it has reached everybody.
    pub fn new(published: Option<Published>, delivered: bool) -> Self {
        let mut reply = Self {
            manifest: None,
            history: Vec::new(),
            operators: Operators::default(),
            delivered,
            dead_letters: 0,
            retired: Vec::new(),
        };
        if let Some(published) = published {
            reply.manifest = Some(published.manifest);
            reply.history = published.history;
            reply.operators = published.operators;
        }
        reply
    }

    /// The published document; `None` before the first one was put.
    pub fn published(self) -> Option<Published> {
        let (history, operators) = (self.history, self.operators);
        self.manifest.map(|manifest| Published {
            manifest,
            history,
            operators,
        })
    }
}

/// Which page of a listing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct PageRequest {
    /// Only this account, by its stable id.
    pub account: Option<AccountId>,
    /// At most so many rows, 1 to 100; 50 unless given.
    pub limit: Option<u32>,
    /// Where the previous page ended.
    pub cursor: Option<String>,
}

/// Rows that one delivery of records may hold; checked by sender and receiver.
pub const MAX_INGEST: usize = MAX_DELIVERY;

/// One page of a listing, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Page<T> {
    /// The rows.
    pub items: Vec<T>,
    /// Where the next page begins; `None` on the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

route!(
    /// Journals an alert. Gateway to trade-worker to Ledger.
    AcceptSignal, "/accept", Some(Edge::HooxTrade), Accept => AcceptReply
);
route!(
    /// Whether a Ledger has taken a signal before: its answer is then the duplicate's. Ledger to Ledger.
    Seen, "/seen", None, SeenRequest => ()
);
route!(
    /// Reads the manifest from Control.
    GetManifest, "/manifest/get", Some(Edge::HooxTrade), () => ManifestReply
);
route!(
    /// Puts a manifest; its version must be one above the present one.
    PutManifest, "/manifest/put", Some(Edge::HooxTrade), Manifest => ManifestReply
);
route!(
    /// The same, where accounts that it retires may have something open: that becomes dead letters.
    ForceManifest, "/manifest/force", Some(Edge::HooxTrade), ForcedManifest<Manifest> => ManifestReply
);
route!(
    /// Creates, rotates or revokes one sender; the manifest's version rises.
    ChangeSenders, "/senders/change", Some(Edge::HooxTrade), SenderChange => ManifestReply
);
route!(
    /// Adds, rotates or revokes one operator. The manifest stays as it is.
    ChangeOperators, "/operators/change", Some(Edge::HooxTrade), OperatorChange => ManifestReply
);
route!(
    /// Reads the kill switch.
    GetKill, "/kill/get", Some(Edge::HooxTrade), () => KillReport
);
route!(
    /// Changes the kill switch in Control and in every Ledger.
    PutKill, "/kill/put", Some(Edge::HooxTrade), SetKill => KillReport
);
route!(
    /// What an operator does with dead letters. Gateway to trade-worker to Control to the Ledgers.
    DeadLetters, "/dead-letters", Some(Edge::HooxTrade), LetterCall => Letters
);
route!(
    /// Keeps a refused alert in the inbox, or counts some. Gateway to trade-worker to Control.
    KeepRefusal, "/refusals/keep", Some(Edge::HooxTrade), InboxNote<Box<RawValue>> => ()
);
route!(
    /// Lists the inbox, newest first: `{"items", "nextCursor", "notKept"}`, passed on unread, with a
    /// [`RefusedAlert`](crate::RefusedAlert) each. Gateway to trade-worker to Control.
    ListRefusals, "/refusals", Some(Edge::HooxTrade), InboxRequest => Box<RawValue>
);
route!(
    /// How every account's Ledger is. Gateway to trade-worker to Control.
    GetHealth, "/health/get", Some(Edge::HooxTrade), () => LedgerReports
);
route!(
    /// How one Ledger is: a [`LedgerHealth`](crate::LedgerHealth), passed on unread. Control to Ledger.
    LedgerState, "/health", None, () => Box<RawValue>
);
route!(
    /// Which of its bindings and secrets trade-worker has, the named ones included: a JSON object of names to true or
    /// false, and `"differs"` for the key that d1-worker does not take. The gateway names the secrets of the manifest's
    /// accounts.
    TradeBindings, "/bindings", Some(Edge::HooxTrade), Vec<String> => Box<RawValue>
);
route!(
    /// The same of d1-worker.
    D1Bindings, "/bindings", Some(Edge::HooxD1), () => Box<RawValue>
);
route!(
    /// What the API keys of all accounts or of one may do. Gateway to trade-worker to Control.
    GetKeys, "/keys/get", Some(Edge::HooxTrade), Option<AccountId> => LedgerReports
);
route!(
    /// What one account's API key may do: a [`KeyReport`](crate::KeyReport), passed on unread. Control to Ledger.
    LedgerKey, "/key", None, () => Box<RawValue>
);
route!(
    /// How the kill switch stands at one Ledger. Control to Ledger.
    LedgerKill, "/kill", None, () => AccountReport
);
route!(
    /// Gives a Ledger its configuration and the kill switch. Control to Ledger.
    ConfigureLedger, "/configure", None, Configure => AccountReport
);
route!(
    /// What a Ledger has open: a [`Standing`](crate::Standing). Control to Ledger.
    LedgerStanding, "/standing", None, Passage => Box<RawValue>
);
route!(
    /// Closes a Ledger for good; what is open there becomes dead letters. The answer is a [`Standing`](crate::Standing).
    /// Control to Ledger.
    RetireLedger, "/retire", None, Passage => Box<RawValue>
);
route!(
    /// Has a Ledger close for good and answer all that it has open, each time the same. Control to Ledger.
    HandOver, "/hand-over", None, Passage => Box<RawValue>
);
route!(
    /// Has a new Ledger take that over, once. Control to Ledger.
    TakeOver, "/take-over", None, Passage => Box<RawValue>
);
route!(
    /// What an account's Ledger must know. A new Ledger to Control.
    LedgerConfig, "/ledger", None, AccountId => Configure
);
route!(
    /// Has Control or a Ledger look after overdue work. trade-worker's cron.
    Sweep, "/sweep", None, () => ()
);
route!(
    /// Has a Ledger look after overdue work and say how many rows it has written today. A version before answers `null`,
    /// and a Control of one before, which asks with `null`, is answered so. Control to Ledger.
    SweepLedger, "/sweep", None, Option<SweepRequest> => Option<RowCount>
);
route!(
    /// Stores records; answers the places, from 0, of those it cannot read. trade-worker to d1-worker.
    Ingest, "/ingest", Some(Edge::TradeD1), Vec<SealedRow> => Vec<usize>
);
route!(
    /// How large the database is and how far back records go.
    Retention, "/retention", Some(Edge::HooxD1), () => RetentionReport
);
route!(
    /// Lists signals.
    ListSignals, "/signals", Some(Edge::HooxD1), PageRequest => Page<SignalRecord>
);
route!(
    /// Lists orders.
    ListOrders, "/orders", Some(Edge::HooxD1), PageRequest => Page<OrderRecord>
);
route!(
    /// Lists positions.
    ListPositions, "/positions", Some(Edge::HooxD1), PageRequest => Page<PositionRecord>
);
route!(
    /// Adds entries to trade-worker's chain of the audit trail. Its Ledgers' come with their records. Without entries it
    /// only shows whether the edge's key is taken.
    AuditNote, "/audit/note", Some(Edge::TradeD1), Vec<AuditEntry> => ()
);
route!(
    /// Adds entries to the gateway's chain, which is kept where it is stored: isolates have no memory that lasts.
    AuditAppend, "/audit/append", Some(Edge::HooxD1), Vec<AuditEntry> => ()
);
route!(
    /// One step of verifying the audit trail.
    AuditVerify, "/audit/verify", Some(Edge::HooxD1), AuditVerifyRequest => AuditCheck
);
route!(
    /// One page of the audit trail.
    AuditExport, "/audit/export", Some(Edge::HooxD1), AuditExportRequest => AuditPage
);
route!(
    /// Drops the oldest month of the audit trail, if it is old enough.
    AuditDrop, "/audit/drop", Some(Edge::HooxD1), AuditDropRequest => AuditDropReply
);

/// The answer of every route.
pub type Answer<R> = Result<<R as Route>::Reply, Problem>;
