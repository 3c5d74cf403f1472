//! What Hoox keeps in D1: records, their schema, and the only statements that touch them.
//!
//! In scope: the records that Ledgers write to their outbox and the operator API reads back, the
//! migrations, idempotent upserts, listings with keyset paging.
//! Out of scope: I/O. A worker runs the statements; nobody outside this crate writes SQL.

mod record;

pub use record::{
    FillRecord, OrderRecord, OrderType, OutboxRow, PositionRecord, Record, Revision, RevisionError,
    SignalRecord,
};
