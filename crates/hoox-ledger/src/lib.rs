//! A signal's life: journal → plan → approve → send → confirm → record.
//!
//! In scope: every decision of a Ledger and of Control, the SQL that makes them durable, the
//! orchestration over ports, and what their objects do with a request or an alarm. Out of scope: the
//! platform (worker-kit and trade-worker give the ports) and the venues' wire formats (hoox-exchange).
//!
//! The rules that keep the invariants, and where they live:
//! - accept is one transaction: [`Ledger::accept`];
//! - no order goes out but through the fence, one `UPDATE` that kill mode, epoch and staleness must
//!   allow: `journal::fence`;
//! - an outcome that is not known is looked up, never guessed: `sending`;
//! - what rests is followed by one list of the account, which writes nothing while it shows nothing new: `poll`;
//! - no step writes but while it holds its symbol's lane: `Desk::commit`.

mod accept;
mod control;
mod control_service;
mod decide;
mod drive;
mod exit;
mod flatten;
mod handover;
mod inbox;
mod journal;
mod keys;
mod lanes;
mod letters;
mod limits;
mod memory;
mod outbox;
mod planning;
mod poll;
mod port;
mod quota;
mod recording;
mod row;
mod schema;
mod sending;
mod service;
mod theirs;
mod unlisted;

pub use accept::Accepted;
pub use control::{Control, ControlError, PUBLISH_AGAIN_MS, raised, retired};
pub use control_service::{
    ControlObject, ControlService, HAND_OVER_MS, KEYS_MS, LEDGER_MS, STANDING_MS,
};
pub use drive::{Driven, Ledger};
pub use handover::{HOLD_MS, MAX_HANDED};
pub use inbox::{MAX_OF_A_SENDER, MAX_UNREAD, MAX_UNREAD_AN_HOUR};
pub use lanes::Lanes;
pub use letters::LetterList;
pub use memory::RowMemory;
pub use port::{LedgerError, Ports, Random, Records, Store, StoreError};
pub use row::{OrderRow, OrderState, SignalRow};
pub use service::{
    LEARN_MS, LOOK_MS, LedgerMemory, LedgerObject, LedgerService, RUN_AGAIN_MS, SEEN_MS,
    SETTLE_LOOK_MS, SETTLE_MS,
};
