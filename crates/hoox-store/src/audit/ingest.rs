//! Taking rows in: each one next in its chain, or stored already.

use hoox_model::Timestamp;
use serde::{Deserialize, Serialize};

use super::segment::{self, Log};
use super::{AuditError, AuditFault, AuditFound, AuditRow, AuditStore, RowHash, Segment};

/// Rows of one delivery at most.
pub const MAX_AUDIT_INGEST: usize = 50;

/// A row that is not stored, and never will be as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRefusal {
    /// Its place in the delivery, from 0.
    pub place: usize,
    /// What is wrong with it. `Missing` may mean only that rows before it come later.
    pub reason: AuditFault,
}

/// Stores rows, each chain's in their order. May be repeated. Answers the rows it does not take; all others are stored.
///
/// # Errors
/// [`AuditError`]; then none of the rows is stored. Try again: another delivery may have been quicker.
pub async fn ingest<S: AuditStore>(
    store: &S,
    now: Timestamp,
    rows: &[AuditRow],
) -> Result<Vec<AuditRefusal>, AuditError<S::Error>> {
    let chains: Vec<&str> = rows.iter().map(|row| row.chain.as_str()).collect();
    let ends = ends(store, &chains).await?;
    take(store, now, ends, rows).await
}

/// Where the trail and some of its chains end.
pub(super) struct Ends {
    pub(super) log: Log,
    pub(super) heads: Vec<AuditFound>,
}

pub(super) async fn ends<S: AuditStore>(store: &S, chains: &[&str]) -> Result<Ends, S::Error> {
    let mut found = store
        .run(&[segment::log(), segment::heads(json(&chains))])
        .await?;
    let heads = found.pop().unwrap_or_default();
    let log = Log::of(found.first().map_or(&[], Vec::as_slice));
    Ok(Ends { log, heads })
}

/// Stores rows where the trail has these ends.
pub(super) async fn take<S: AuditStore>(
    store: &S,
    now: Timestamp,
    ends: Ends,
    rows: &[AuditRow],
) -> Result<Vec<AuditRefusal>, AuditError<S::Error>> {
    if rows.len() > MAX_AUDIT_INGEST {
        return Err(AuditError::Rows(rows.len(), MAX_AUDIT_INGEST));
    }
    let month = Segment::of(now).ok_or(AuditError::Clock)?;
    let mut judge = Judge::new(ends.heads);
    let earlier = judge.earlier(rows);
    if !earlier.is_empty() {
        judge.learn(stored(store, &json(&earlier)).await?);
    }
    let (taken, refused) = judge.all(rows);
    let statements = segment::store(&taken, ends.log, month);
    if !statements.is_empty() {
        store.run(&statements).await?;
    }
    Ok(refused)
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// The stored rows at these places, from every month.
async fn stored<S: AuditStore>(store: &S, places: &str) -> Result<Vec<AuditFound>, S::Error> {
    let segments = super::segments(store).await?;
    let asked = segment::hashes(&segments, places);
    Ok(store.run(&[asked]).await?.into_iter().flatten().collect())
}

/// What is stored, as far as a delivery touches it. Lists, because a delivery is short.
struct Judge {
    /// The last row of each chain.
    heads: Vec<Link>,
    /// Earlier rows, and those of this delivery.
    known: Vec<Link>,
}

#[derive(Clone)]
struct Link {
    chain: String,
    sequence: u64,
    hash: String,
}

impl Link {
    fn found(found: AuditFound) -> Option<Self> {
        Some(Self {
            sequence: found.sequence(),
            chain: found.chain?,
            hash: found.hash?,
        })
    }

    fn of(row: &AuditRow) -> Self {
        Self {
            chain: row.chain.to_string(),
            sequence: row.sequence,
            hash: row.hash.to_string(),
        }
    }

    fn is_at(&self, row: &AuditRow) -> bool {
        self.sequence == row.sequence && self.chain == row.chain.as_str()
    }
}

impl Judge {
    fn new(heads: Vec<AuditFound>) -> Self {
        Self {
            heads: heads.into_iter().filter_map(Link::found).collect(),
            known: Vec::new(),
        }
    }

    fn head(&self, row: &AuditRow) -> (u64, &str) {
        self.heads
            .iter()
            .find(|link| link.chain == row.chain.as_str())
            .map_or((0, RowHash::ZERO), |link| (link.sequence, &link.hash))
    }

    /// Places at or before the end of their chain.
    fn earlier<'a>(&self, rows: &'a [AuditRow]) -> Vec<(&'a str, u64)> {
        rows.iter()
            .filter(|row| row.sequence <= self.head(row).0)
            .map(|row| (row.chain.as_str(), row.sequence))
            .collect()
    }

    fn learn(&mut self, found: Vec<AuditFound>) {
        self.known.extend(found.into_iter().filter_map(Link::found));
    }

    /// The rows to store, and those that are refused.
    fn all(mut self, rows: &[AuditRow]) -> (Vec<&AuditRow>, Vec<AuditRefusal>) {
        let (mut taken, mut refused) = (Vec::new(), Vec::new());
        for (place, row) in rows.iter().enumerate() {
            match self.one(row) {
                Ok(true) => taken.push(row),
                Ok(false) => {}
                Err(reason) => refused.push(AuditRefusal { place, reason }),
            }
        }
        (taken, refused)
    }

    /// Whether the row is to be stored; `false` where it is already.
    fn one(&mut self, row: &AuditRow) -> Result<bool, AuditFault> {
        row.check()?;
        let (last, head) = self.head(row);
        let next = last.saturating_add(1);
        if row.sequence > next {
            return Err(AuditFault::Missing);
        }
        if row.sequence < next {
            // A row of a dropped month is not there to compare with; its chain has gone on from it.
            return match self.known.iter().find(|link| link.is_at(row)) {
                Some(link) if link.hash != row.hash.as_str() => Err(AuditFault::Taken),
                _ => Ok(false),
            };
        }
        if row.previous.as_str() != head {
            return Err(AuditFault::Unlinked);
        }
        let link = Link::of(row);
        self.known.push(link.clone());
        match self.heads.iter_mut().find(|head| head.chain == link.chain) {
            Some(head) => *head = link,
            None => self.heads.push(link),
        }
        Ok(true)
    }
}
