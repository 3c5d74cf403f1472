//! What Hoox keeps in D1: records, their schema, and the only statements that touch them.
//!
//! In scope: the records that Ledgers write to their outbox and the operator API reads back, the
//! migrations (`migrations/`, applied by wrangler), idempotent upserts, listings with keyset paging, how
//! long records are kept, the audit trail.
//! Out of scope: I/O. A worker runs the statements; nobody outside this crate writes SQL.

pub mod audit;
mod query;
mod record;
mod retention;
#[cfg(test)]
mod retention_tests;
mod row;
mod statement;
mod table;
#[cfg(test)]
mod tests;

pub use query::{
    Cursor, Limit, Listed, OrderQuery, Page, PositionQuery, Query, QueryError, SignalQuery,
};
pub use record::{
    FillRecord, OrderRecord, OrderType, OutboxRow, PositionRecord, Record, Revision, RevisionError,
    SealedRow, SignalRecord,
};
pub use retention::{
    FULL_BYTES, KEPT_DAYS, LEAST_DAYS, MAX_BYTES, Pruned, PrunedBy, RecordStore, RetentionReport,
    RetentionRow, Stored, prune, report,
};
pub use row::{OrderRow, PositionRow, RowError, SignalRow};
pub use statement::{Statement, Value, upserts};
