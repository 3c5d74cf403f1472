//! Dropping old months, whole.

use serde::{Deserialize, Serialize};

use super::{AuditError, AuditFound, AuditStore, Segment, segment};

/// Asks to drop the oldest month.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditDropRequest {
    /// Only if it is before this one. The month that is written to is never dropped.
    pub before: Segment,
}

/// What was dropped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditDropReply {
    /// The month; `None` where none was old enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dropped: Option<Segment>,
    /// Whether another month is old enough.
    pub more: bool,
}

/// Drops the oldest month and keeps, for each chain, which rows it held and the last one's hash. What is broken is
/// not dropped. Verify before: whether rows hold what they held cannot be told any more afterwards.
///
/// # Errors
/// [`AuditError`]; where the month's rows are not linked, the database's own, which [`is_refusal`] knows.
pub async fn drop_oldest<S: AuditStore>(
    store: &S,
    request: AuditDropRequest,
) -> Result<AuditDropReply, AuditError<S::Error>> {
    let found = store.run(&[segment::log(), segment::all()]).await?;
    let mut months = found.iter().flatten().filter_map(AuditFound::segment);
    let Some(written) = months.next() else {
        return Ok(AuditDropReply::default());
    };
    let mut old = months.filter(|month| *month < written && *month < request.before);
    let dropped = old.next();
    if let Some(month) = dropped {
        store.run(&month.drop()).await?;
    }
    Ok(AuditDropReply {
        dropped,
        more: old.next().is_some(),
    })
}

/// Whether the database's words are those of the trail's own protection.
pub fn is_refusal(error: &str) -> bool {
    error.contains("audit: ") || error.contains("CHECK constraint failed: linked")
}
