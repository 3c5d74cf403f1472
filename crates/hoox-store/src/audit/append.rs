//! Entries of a writer that keeps no chain of its own: they are sealed where they are stored.

use hoox_model::Timestamp;

use super::ingest::{ends, take};
use super::{AuditEntry, AuditError, AuditFound, AuditRow, AuditStore, Chain, ChainName, RowHash};

/// How often it is tried to be the next of a chain at which others write too. Each time takes up to 9 of the 50 queries
/// of a call.
const TRIES: usize = 5;

/// Stores entries at the end of a chain, in their order and as one.
///
/// # Errors
/// [`AuditError`]; then none of them is stored. [`AuditError::Busy`] where others were quicker each time.
pub async fn append<S: AuditStore>(
    store: &S,
    now: Timestamp,
    chain: &ChainName,
    entries: &[AuditEntry],
) -> Result<(), AuditError<S::Error>> {
    let mut last = AuditError::Busy;
    for _ in 0..TRIES {
        let ends = ends(store, &[chain.as_str()]).await?;
        let mut end = at_its_end(chain.clone(), &ends.heads);
        let rows: Vec<AuditRow> = entries
            .iter()
            .filter_map(|entry| end.append(entry).ok())
            .collect();
        // The first refused row makes those after it strangers to the chain, so all of them are or none.
        match take(store, now, ends, &rows).await {
            Ok(refused) if refused.is_empty() => return Ok(()),
            Ok(_) => last = AuditError::Busy,
            Err(error @ AuditError::Store(_)) => last = error,
            Err(error) => return Err(error),
        }
    }
    Err(last)
}

/// The chain as it is among the ends of chains that were found; new where it is not.
pub(super) fn at_its_end(name: ChainName, heads: &[AuditFound]) -> Chain {
    let end = heads
        .iter()
        .find(|head| head.chain.as_deref() == Some(name.as_str()));
    end.and_then(|head| {
        let hash = RowHash::try_from(head.hash.clone()?).ok()?;
        Some(Chain::at(name.clone(), head.sequence(), hash))
    })
    .unwrap_or_else(|| Chain::new(name))
}
