//! Contracts between the workers of Hoox: who may call whom, by which route, with which message.
//!
//! In scope: the registry of bindings and secrets, typed routes, how messages and answers are
//! written and read, the public answer's shape.
//! Out of scope: transport (worker-kit) and decisions (the other pure crates).

pub mod answer;
pub mod burst;
pub mod envelope;
pub mod health;
pub mod key;
pub mod kill;
pub mod letter;
pub mod refusal;
pub mod registry;
pub mod retire;
pub mod route;

pub use answer::{
    ErrorBody, LegView, LegsView, OrderView, Problem, ProblemView, SignalBody, SignalStatus,
    SignalView,
};
pub use burst::{Burst, unstored};
pub use envelope::Served;
pub use health::{
    ExitUndone, LedgerHealth, LedgerReports, RowCount, RowsOfOthers, RowsToday, SweepRequest, colo,
};
pub use hoox_risk::KillMode;
pub use key::KeyReport;
pub use kill::{AccountReport, FlatState, FlatSymbol, FlattenView, KillReport, KillState, SetKill};
pub use letter::{DeadLetter, LetterCall, LetterVerb, Letters, Settle};
pub use refusal::{InboxNote, InboxRequest, RefusedAlert};
pub use registry::{Edge, Worker};
pub use retire::{ForcedManifest, MAX_REASON, Passage, Standing, StandingOrder, StandingPosition};
pub use route::{
    Accept, AcceptReply, AcceptSignal, Answer, AuditAppend, AuditDrop, AuditExport, AuditNote,
    AuditVerify, ChangeOperators, ChangeSenders, Configure, ConfigureLedger, D1Bindings,
    DeadLetters, ForceManifest, GetHealth, GetKeys, GetKill, GetManifest, HandOver, Ingest,
    KeepRefusal, LedgerConfig, LedgerKey, LedgerKill, LedgerStanding, LedgerState, ListOrders,
    ListPositions, ListRefusals, ListSignals, ManifestReply, Page, PageRequest, PutKill,
    PutManifest, Retention, RetireLedger, Route, Seen, SeenRequest, Sweep, SweepLedger, TakeOver,
    TradeBindings,
};
