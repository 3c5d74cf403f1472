//! The audit trail: hash chains of entries, in one table for each month.
//!
//! In scope: the entry's shape, the chain's hash, and what is asked of the database to store, verify, export and
//! drop. Out of scope: I/O, which a worker does behind [`AuditStore`]. `docs/AUDIT.md` is for those who read it.

mod append;
mod chain;
#[cfg(test)]
mod count_tests;
mod cursor;
mod deliver;
#[cfg(test)]
mod deliver_tests;
mod entry;
mod export;
mod ingest;
mod retention;
mod segment;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod upgrade_tests;
mod verify;

use core::fmt;
use core::future::Future;

use serde::Deserialize;

use crate::Statement;

pub use append::append;
pub use chain::{
    AuditFault, AuditRow, Chain, ChainName, ChainNameError, MAX_ENTRY, RowHash, RowHashError,
};
pub use deliver::{MAX_DELIVERY, deliver};
pub use entry::{AuditEntry, AuditEvent, Clipped};
pub use export::{AuditExportRequest, AuditPage, MAX_EXPORT, MAX_EXPORT_BYTES, export};
pub use ingest::{AuditRefusal, MAX_AUDIT_INGEST, ingest};
pub use retention::{AuditDropReply, AuditDropRequest, drop_oldest, is_refusal};
pub use segment::{Segment, SegmentError};
pub use verify::{AuditBroken, AuditCheck, AuditVerifyRequest, MAX_VERIFY, verify};

/// The database that holds the trail.
pub trait AuditStore {
    /// Why it did not answer.
    type Error;

    /// Runs statements as one transaction and returns the rows of each.
    ///
    /// # Errors
    /// The database's; then none of the statements took effect.
    fn run(
        &self,
        statements: &[Statement],
    ) -> impl Future<Output = Result<Vec<Vec<AuditFound>>, Self::Error>>;
}

/// A row as the database gives it, with the columns that the statement asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct AuditFound {
    segment: Option<i64>,
    ready: Option<i64>,
    position: Option<i64>,
    chain: Option<String>,
    sequence: Option<i64>,
    previous: Option<String>,
    hash: Option<String>,
    entry: Option<String>,
    line: Option<String>,
    last_sequence: Option<i64>,
    record: Option<String>,
    revision: Option<i64>,
    state: Option<String>,
}

impl AuditFound {
    fn sequence(&self) -> u64 {
        self.sequence.and_then(|n| n.try_into().ok()).unwrap_or(0)
    }

    fn segment(&self) -> Option<Segment> {
        Self::month(self.segment)
    }

    fn month(number: Option<i64>) -> Option<Segment> {
        u32::try_from(number?).ok()?.try_into().ok()
    }
}

/// Why an operation on the trail was not carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuditError<E> {
    /// The database did not answer.
    Store(E),
    /// Not a cursor of this operation.
    Cursor,
    /// More rows than one call may have: asked for, and allowed.
    Rows(usize, usize),
    /// The clock shows no time of which there could be a month.
    Clock,
    /// An account whose id names no chain.
    Chain,
    /// Others wrote to the chain each time.
    Busy,
}

impl<E> AuditError<E> {
    /// The parameter at fault.
    pub const fn field(&self) -> Option<&'static str> {
        match self {
            Self::Cursor => Some("cursor"),
            Self::Rows(..) => Some("rows"),
            Self::Store(_) | Self::Clock | Self::Chain | Self::Busy => None,
        }
    }
}

impl<E> From<E> for AuditError<E> {
    fn from(error: E) -> Self {
        Self::Store(error)
    }
}

impl<E> fmt::Display for AuditError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(_) => f.write_str("the database did not answer properly; try again"),
            Self::Cursor => f.write_str(
                "cursor is not one that this operation returned: use the nextCursor of the answer before, or leave it out to begin",
            ),
            Self::Rows(rows, most) => write!(f, "{rows} rows: use a whole number from 1 to {most}"),
            Self::Clock => f.write_str("the clock shows no usable time"),
            Self::Chain => f.write_str("an account's id names no chain"),
            Self::Busy => f.write_str("others write to the trail; try again"),
        }
    }
}

/// How many rows a call asks for, `most` unless it says.
fn rows<E>(asked: Option<u32>, most: usize) -> Result<usize, AuditError<E>> {
    let rows = asked.map_or(most, |rows| usize::try_from(rows).unwrap_or(usize::MAX));
    if (1..=most).contains(&rows) {
        Ok(rows)
    } else {
        Err(AuditError::Rows(rows, most))
    }
}

/// Queries of one call at most; what is left is for the next call.
const MAX_QUERIES: usize = 8;

/// The months that have a table, oldest first.
async fn segments<S: AuditStore>(store: &S) -> Result<Vec<Segment>, S::Error> {
    let found = store.run(&[segment::all()]).await?;
    Ok(found
        .iter()
        .flatten()
        .filter_map(AuditFound::segment)
        .collect())
}
