//! Verifying, in steps: chain after chain, row after row, until something is wrong.

use serde::{Deserialize, Serialize};

use super::{
    AuditError, AuditFault, AuditFound, AuditStore, ChainName, MAX_QUERIES, RowHash, Segment,
    cursor, segment,
};

/// Rows of one step at most: that many usual ones take about 1 ms of the platform's 10 ms, the longest 6 ms.
pub const MAX_VERIFY: usize = 100;

/// Asks for one step.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct AuditVerifyRequest {
    /// Only this chain. Given with the first step; the cursor remembers it.
    pub chain: Option<ChainName>,
    /// Where the step before ended.
    pub cursor: Option<String>,
    /// Rows of the step at most, 1 to 100; 100 unless given.
    pub rows: Option<u32>,
}

/// The first thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditBroken {
    /// The chain.
    pub chain: String,
    /// The row, or the place where it should be.
    pub sequence: u64,
    /// What is wrong.
    pub reason: AuditFault,
}

/// What a step found. Without `broken` and `next_cursor` all is well and all is done.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditCheck {
    /// The chain of this step; `None` where there is no further one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chain: Option<String>,
    /// Rows that were found good in this step.
    pub checked: u32,
    /// The last good row of the chain; 0 before the first. Note it elsewhere with its hash: who has that can tell
    /// whether all of the chain was written anew.
    pub sequence: u64,
    /// The hash of that row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
    /// Where the next step begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
    /// What is wrong; nothing is verified beyond it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broken: Option<AuditBroken>,
}

const OPERATION: &str = "audit-verify";

/// Where verifying stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Place {
    /// Whether other chains are left out.
    only: bool,
    /// The chain; with `row` of `None` one that is done, or comes before all.
    chain: String,
    row: Option<Reached>,
}

/// The last good row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Reached {
    /// The month that is read, or 0.
    segment: u32,
    /// Whether rows of that month were read before.
    entered: bool,
    sequence: u64,
    hash: String,
}

impl Reached {
    fn beginning() -> Self {
        Self {
            segment: 0,
            entered: false,
            sequence: 0,
            hash: RowHash::ZERO.to_owned(),
        }
    }

    /// The rows to read: of the month that is being read, or of the next one that is still there.
    fn enter(&mut self, segments: &[Segment]) -> Option<Segment> {
        let segment = *segments.iter().find(|s| s.get() >= self.segment)?;
        if self.segment != segment.get() {
            self.segment = segment.get();
            self.entered = false;
        }
        Some(segment)
    }

    /// Goes on to a row, if it is the right one.
    fn advance(&mut self, chain: &str, row: &AuditFound) -> Result<(), (u64, AuditFault)> {
        let next = self.sequence.saturating_add(1);
        let (previous, hash, entry) = (
            text(row.previous.as_ref()),
            text(row.hash.as_ref()),
            text(row.entry.as_ref()),
        );
        if row.sequence() < next {
            return Err((row.sequence(), AuditFault::Taken));
        }
        if row.sequence() > next {
            return Err((next, AuditFault::Missing));
        }
        if previous != self.hash {
            return Err((next, AuditFault::Unlinked));
        }
        if RowHash::of(chain, next, previous, entry).as_str() != hash {
            return Err((next, AuditFault::Altered));
        }
        self.take(next, hash);
        Ok(())
    }

    fn take(&mut self, sequence: u64, hash: &str) {
        self.sequence = sequence;
        hash.clone_into(&mut self.hash);
    }

    /// Goes on to the end of what was dropped, if that is further.
    fn skip(&mut self, closed: &[AuditFound]) -> Result<(), (u64, AuditFault)> {
        let mut end = Self::beginning();
        for part in closed {
            let next = end.sequence.saturating_add(1);
            if part.sequence() != next || text(part.previous.as_ref()) != end.hash {
                return Err((next, AuditFault::Closing));
            }
            let last = part.last_sequence.and_then(|n| n.try_into().ok());
            end.take(last.unwrap_or(0), text(part.hash.as_ref()));
        }
        if end.sequence > self.sequence {
            self.take(end.sequence, &end.hash);
        }
        Ok(())
    }

    /// Whether the chain ends here.
    fn end(&self, head: Option<&AuditFound>) -> Result<(), (u64, AuditFault)> {
        let last = head.map_or(0, AuditFound::sequence);
        let hash = head.map_or(RowHash::ZERO, |head| text(head.hash.as_ref()));
        let next = self.sequence.saturating_add(1);
        match last.cmp(&self.sequence) {
            core::cmp::Ordering::Greater => Err((next, AuditFault::Missing)),
            core::cmp::Ordering::Less => Err((last.saturating_add(1), AuditFault::End)),
            core::cmp::Ordering::Equal if hash == self.hash => Ok(()),
            core::cmp::Ordering::Equal => Err((last, AuditFault::End)),
        }
    }
}

fn text(text: Option<&String>) -> &str {
    text.map_or("", String::as_str)
}

/// One step. It goes on with the next chain in the next step.
///
/// # Errors
/// [`AuditError`].
pub async fn verify<S: AuditStore>(
    store: &S,
    request: &AuditVerifyRequest,
) -> Result<AuditCheck, AuditError<S::Error>> {
    let limit = super::rows(request.rows, MAX_VERIFY)?;
    let place = start(request).ok_or(AuditError::Cursor)?;
    let segments = super::segments(store).await?;
    let Some((chain, mut reached)) = open(store, &segments, &place).await? else {
        return Ok(AuditCheck::default());
    };
    let mut checked = 0;
    let outcome = walk(store, segments, &chain, &mut reached, limit, &mut checked).await?;
    let mut check = AuditCheck {
        chain: Some(chain.clone()),
        checked,
        sequence: reached.sequence,
        hash: Some(reached.hash.clone()),
        ..AuditCheck::default()
    };
    match outcome {
        Err((sequence, reason)) => {
            check.broken = Some(AuditBroken {
                chain,
                sequence,
                reason,
            });
        }
        Ok(true) if place.only => {}
        Ok(done) => {
            let next = Place {
                only: place.only,
                chain,
                row: (!done).then_some(reached),
            };
            check.next_cursor = cursor::write(OPERATION, &next);
        }
    }
    Ok(check)
}

fn start(request: &AuditVerifyRequest) -> Option<Place> {
    if let Some(text) = &request.cursor {
        return cursor::read(OPERATION, text);
    }
    Some(Place {
        only: request.chain.is_some(),
        chain: request
            .chain
            .as_ref()
            .map_or_else(String::new, ToString::to_string),
        row: request.chain.is_some().then(Reached::beginning),
    })
}

/// The chain of this step and where it stands; `None` where no chain is left.
async fn open<S: AuditStore>(
    store: &S,
    segments: &[Segment],
    place: &Place,
) -> Result<Option<(String, Reached)>, S::Error> {
    if let Some(row) = &place.row {
        return Ok(Some((place.chain.clone(), row.clone())));
    }
    let found = store
        .run(&[segment::following(segments, &place.chain)])
        .await?;
    let next = found
        .into_iter()
        .flatten()
        .filter_map(|row| row.chain)
        .min();
    Ok(next.map(|chain| (chain, Reached::beginning())))
}

type Outcome = Result<bool, (u64, AuditFault)>;

/// Reads on, month after month, until the chain's end, the limit, or something wrong. `true` at the end.
async fn walk<S: AuditStore>(
    store: &S,
    mut segments: Vec<Segment>,
    chain: &str,
    reached: &mut Reached,
    limit: usize,
    checked: &mut u32,
) -> Result<Outcome, S::Error> {
    let mut left = limit;
    for _ in 0..MAX_QUERIES {
        let open = reached.enter(&segments);
        let after = if reached.entered { reached.sequence } else { 0 };
        // One transaction, so that end, months and rows are of one moment.
        let mut asked = vec![segment::head(chain), segment::closed(chain), segment::all()];
        asked.extend(open.map(|open| open.rows(chain, after, left)));
        let found = store.run(&asked).await?;
        let part = |place: usize| found.get(place).map_or(&[][..], Vec::as_slice);
        let rows = part(3);
        if let Err(broken) = reached.skip(part(1)) {
            return Ok(Err(broken));
        }
        for row in rows {
            if let Err(broken) = reached.advance(chain, row) {
                return Ok(Err(broken));
            }
            *checked = checked.saturating_add(1);
        }
        reached.entered = open.is_some();
        segments = part(2).iter().filter_map(AuditFound::segment).collect();
        let full = rows.len() == left;
        left = left.saturating_sub(rows.len());
        if full {
            return Ok(Ok(false));
        }
        match segments.iter().find(|segment| Some(**segment) > open) {
            None => return Ok(reached.end(part(0).first()).map(|()| true)),
            Some(next) => {
                reached.segment = next.get();
                reached.entered = false;
            }
        }
    }
    Ok(Ok(false))
}
