//! What happened, as the laws need to know it. None of it is read by the code under test.

use std::collections::{BTreeMap, BTreeSet};

use hoox_mesh::{AccountReport, KillMode, KillReport, Problem, SignalView};
use hoox_model::{Code, Name, OrderSpec, RequestId, SignalId};

/// One order on its way to a venue.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    pub(crate) account: usize,
    /// The place of its Ledger among the objects.
    pub(crate) place: usize,
    pub(crate) spec: OrderSpec,
    /// When it was handed over, in the turn of the fence.
    pub(crate) fenced_at: i64,
    /// The same by the Ledger's clock.
    pub(crate) ledger_clock: i64,
    /// When the output gate let it out; `None` where it never did.
    pub(crate) left_at: Option<i64>,
    /// When it reached the venue.
    pub(crate) arrived_at: Option<i64>,
    /// Whether the venue took it.
    pub(crate) taken: bool,
    /// The instance of its Ledger that the venue told so.
    pub(crate) acknowledged_to: Option<u64>,
    /// When its Ledger knew that for good.
    pub(crate) acked_at: Option<i64>,
}

/// The signal and the leg that a client order id names.
pub(crate) fn signal_of(id: &str) -> (&str, u32) {
    let (signal, leg) = id
        .strip_prefix("hx-")
        .and_then(|rest| rest.rsplit_once('-'))
        .unwrap_or((id, "0"));
    (signal, u32::from_str_radix(leg, 36).unwrap_or(u32::MAX))
}

/// One request of a client and its answer.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// The alert, by its place.
    pub(crate) alert: usize,
    pub(crate) id: RequestId,
    pub(crate) sent_at: i64,
    /// When the gateway answered, and what.
    pub(crate) answer: Option<(i64, Result<SignalView, Problem>)>,
}

/// A signal that a Ledger took, in an answer that left it.
#[derive(Debug, Clone)]
pub(crate) struct Taken {
    /// The place of its Ledger among the objects.
    pub(crate) place: usize,
    pub(crate) request: RequestId,
    pub(crate) signal: SignalId,
    pub(crate) sender: Name,
    /// When its transaction ran, by the simulation's clock.
    pub(crate) at: i64,
    /// The same by the Ledger's clock.
    pub(crate) ledger_clock: i64,
    pub(crate) manifest_version: u64,
}

/// A Ledger's word that it knows a configuration; it has left the Ledger.
#[derive(Debug, Clone)]
pub(crate) struct Confirmed {
    pub(crate) account: usize,
    /// The place of the Ledger among the objects.
    pub(crate) place: usize,
    pub(crate) at: i64,
    pub(crate) manifest_version: u64,
    pub(crate) senders: Vec<Name>,
    pub(crate) kill_revision: u64,
    pub(crate) mode: KillMode,
    /// The revision that asked for everything to be closed, where that still holds.
    pub(crate) flatten: Option<u64>,
}

/// A change of the switch in Control.
#[derive(Debug, Clone)]
pub(crate) struct Switched {
    pub(crate) revision: u64,
    pub(crate) mode: KillMode,
    pub(crate) at: i64,
}

/// Control's answer to a change of the switch; it has left Control.
#[derive(Debug, Clone)]
pub(crate) struct Reported {
    pub(crate) report: KillReport,
    pub(crate) at: i64,
}

/// Everything that happened.
#[derive(Debug, Default)]
pub(crate) struct History {
    /// Closing orders whose fence was kept while storage seemed to fail, so that nothing was handed over, and since when:
    /// their Ledger cannot tell that from a send without an answer.
    pub(crate) fenced: BTreeMap<String, i64>,
    pub(crate) requests: Vec<Request>,
    pub(crate) sent: Vec<Sent>,
    pub(crate) taken: Vec<Taken>,
    pub(crate) confirmed: Vec<Confirmed>,
    /// When the work that closes everything was first seen at a Ledger, by account and by the revision that asked for it.
    pub(crate) flattens: BTreeMap<(usize, u64), i64>,
    pub(crate) switched: Vec<Switched>,
    pub(crate) reported: Vec<Reported>,
    /// Orders of which a look-up showed another one.
    pub(crate) mistaken: BTreeSet<String>,
    /// Orders whose end an operator named.
    pub(crate) settled: Vec<String>,
    /// Signals, and when they were last seen at work.
    pub(crate) working: BTreeMap<String, i64>,
    /// Signals, and since when they were seen without an outcome that could be found out.
    pub(crate) unknown: BTreeMap<String, i64>,
    /// Manifests of which the operator was told that everybody has them.
    pub(crate) published: Vec<PublishedAt>,
    /// Every manifest that Control took, as far as the operator knows: when it was put, and who may.
    pub(crate) put: Vec<PublishedAt>,
}

/// Who may use which account from a moment on.
#[derive(Debug, Clone)]
pub(crate) struct PublishedAt {
    /// When the operator put it.
    pub(crate) put_at: i64,
    /// When the operator was told that everybody has it; for one that was only put, the same.
    pub(crate) at: i64,
    /// By sender and account.
    pub(crate) allowed: [[bool; 2]; 2],
}

impl History {
    /// Notes an order and says its place.
    pub(crate) fn send(&mut self, sent: Sent) -> usize {
        self.sent.push(sent);
        self.sent.len() - 1
    }
}

/// The account's part of a report.
pub(crate) fn of_account<'a>(report: &'a KillReport, name: &str) -> Option<&'a AccountReport> {
    report
        .accounts
        .iter()
        .find(|entry| entry.account.as_str() == name)
}

/// The HTTP status of an answer that was not waited for.
pub(crate) fn status(answer: &Result<SignalView, Problem>) -> u16 {
    answer
        .as_ref()
        .map_or_else(|problem| problem.code.status(), |_| 202)
}

/// The code of an answer.
pub(crate) fn code(answer: &Result<SignalView, Problem>) -> Option<Code> {
    answer.as_ref().err().map(|problem| problem.code)
}
