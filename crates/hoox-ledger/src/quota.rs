//! The rows of a day. Past the platform's limit every write of every object fails until midnight UTC, closes and the kill
//! switch included, so entries leave the last tenth to them.
//!
//! Each object counts what it writes. Control adds the counts up with every sweep and tells the Ledgers once they come
//! near the limit; between two sweeps a Ledger goes on by its own count.

use hoox_exchange::Clock;
use hoox_mesh::{Problem, RowCount, RowsOfOthers};
use hoox_model::{Code, Timestamp};
use hoox_store::Value;
use serde::{Deserialize, Serialize};

use crate::drive::Ledger;
use crate::journal;
use crate::limits::{DAY_MS, next_midnight};
use crate::port::{LedgerError, Ports, Store};
use crate::row::select;

/// A Ledger's count is stored when it is so many rows ahead of the stored one, and Control's: an instance that ends
/// loses what is not, of which Control has no signals to tell.
const KEPT_AFTER: u64 = 50;
const KEPT_AFTER_OF_CONTROL: u64 = 10;
/// What a signal writes, for those of an instance that ended before its count was stored.
const ROWS_OF_A_SIGNAL: u64 = 24;
/// So many of those signals are looked for.
const MISSED_SIGNALS: i64 = 100;
/// Per cent of the limit from which entries are refused.
const ENTRIES_UNTIL: u64 = 90;
/// Per cent of the limit from which Ledgers are told of it.
const TOLD_FROM: u64 = 50;
/// Per cent of the limit by which the others' rows have changed when a Ledger stores them anew.
const STORED_STEP: u64 = 5;
/// A resting order is looked at so many times less often once entries are refused.
const SLOWER: i64 = 5;
/// A wait that is made longer: none before is one for an order that has come to rest.
const PACED_FROM_MS: i64 = 60_000;

/// A count as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Kept {
    since: Timestamp,
    written: u64,
    /// The last signal that was taken before.
    #[serde(default)]
    seq: i64,
    #[serde(default)]
    others: Option<RowsOfOthers>,
}

/// What an instance has counted, and goes by.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Meter {
    /// What the store had written when it was looked at last.
    seen: u64,
    count: Option<Count>,
}

#[derive(Debug, Clone, Copy)]
struct Count {
    since: Timestamp,
    written: u64,
    kept: u64,
    others: Option<RowsOfOthers>,
    kept_others: Option<RowsOfOthers>,
}

impl Meter {
    /// That of an instance that begins.
    pub(crate) const fn from(seen: u64) -> Self {
        Self { seen, count: None }
    }
}

/// The day's first moment.
pub(crate) const fn midnight(now: Timestamp) -> Timestamp {
    next_midnight(now).plus_millis(-DAY_MS)
}

/// So many per cent of a number.
fn part(limit: u64, percent: u64) -> u64 {
    let part = u128::from(limit).saturating_mul(u128::from(percent)) / 100;
    u64::try_from(part).unwrap_or(u64::MAX)
}

/// Whether so many rows are near enough to the limit that Ledgers must know of it.
pub(crate) fn is_near(written: u64, limit: Option<u64>) -> bool {
    limit.is_some_and(|limit| written >= part(limit, TOLD_FROM))
}

/// Whether so many rows leave nothing to entries.
pub(crate) fn is_spent(written: u64, limit: Option<u64>) -> bool {
    limit.is_some_and(|limit| written >= part(limit, ENTRIES_UNTIL))
}

/// Brings an instance's count up to date. What is stored is read once an instance: the count, and how many rows are
/// missing in it.
fn counted(
    store: &impl Store,
    now: Timestamp,
    stored: impl FnOnce(Timestamp) -> Result<(Option<Kept>, u64), LedgerError>,
) -> Result<Count, LedgerError> {
    let (meter, today, written) = (store.memory().meter(), midnight(now), store.written());
    let more = written.saturating_sub(meter.seen);
    let mut count = match meter.count {
        // The clock of another machine may have been ahead.
        Some(count) if count.since >= today => count,
        Some(_) => begun(today, None),
        None => {
            let (kept, missing) = stored(today)?;
            let mut count = begun(today, kept.filter(|kept| kept.since >= today));
            count.written = count.written.saturating_add(missing);
            count
        }
    };
    count.written = count.written.saturating_add(more);
    store.memory().set_meter(Meter {
        seen: written,
        count: Some(count),
    });
    Ok(count)
}

fn begun(today: Timestamp, kept: Option<Kept>) -> Count {
    kept.map_or(
        Count {
            since: today,
            written: 0,
            kept: 0,
            others: None,
            kept_others: None,
        },
        |kept| Count {
            since: kept.since,
            written: kept.written,
            kept: kept.written,
            others: kept.others,
            kept_others: kept.others,
        },
    )
}

impl Count {
    /// Whether it is so many rows ahead of the stored one.
    const fn is_ahead(&self, rows: u64) -> bool {
        self.written.saturating_sub(self.kept) >= rows
    }

    /// Goes by what the others have written. That never shrinks within a day: who does not answer now has written what it
    /// had, and an account that has left as well.
    fn go_by_others(&mut self, new: RowsOfOthers) {
        let before = self.others.filter(|it| it.since == new.since);
        let before = before.map_or(0, |it| it.written);
        self.others = Some(RowsOfOthers {
            written: new.written.max(before),
            ..new
        });
    }

    /// What the others have written on this day, and the limit.
    fn told(&self) -> Option<(u64, u64)> {
        let others = self.others.filter(|others| others.since == self.since)?;
        Some((self.written.saturating_add(others.written), others.limit?))
    }

    fn is_spent(&self) -> bool {
        self.told()
            .is_some_and(|(written, limit)| is_spent(written, Some(limit)))
    }

    fn kept(&self, seq: i64) -> Kept {
        Kept {
            since: self.since,
            // What stores it is one as well.
            written: self.written.saturating_add(1),
            seq,
            others: self.others,
        }
    }

    /// Whether an instance after this one would judge otherwise by what is stored.
    fn is_told_anew(&self) -> bool {
        let today = |others: Option<RowsOfOthers>| others.filter(|it| it.since == self.since);
        match (today(self.others), today(self.kept_others)) {
            (None, None) => false,
            (Some(new), Some(old)) if new.limit == old.limit => {
                let limit = new.limit.unwrap_or(u64::MAX);
                let spent = |others: RowsOfOthers| {
                    is_spent(self.written.saturating_add(others.written), others.limit)
                };
                new.written.abs_diff(old.written) >= part(limit, STORED_STEP).max(1)
                    || spent(new) != spent(old)
            }
            _ => true,
        }
    }

    fn report(&self) -> RowCount {
        RowCount {
            since: self.since,
            written: self.written,
            entries_refused: self.is_spent(),
            told: self.told().is_some(),
        }
    }
}

/// Control's count, where `stored` reads its document and `keep` writes it. Where the others' rows are given, it goes by
/// them from now on.
pub(crate) fn of_control(
    store: &impl Store,
    now: Timestamp,
    others: Option<RowsOfOthers>,
    stored: impl FnOnce() -> Result<Option<Kept>, LedgerError>,
    keep: impl FnOnce(&Kept) -> Result<(), LedgerError>,
) -> Result<RowCount, LedgerError> {
    let mut count = counted(store, now, |_| Ok((stored()?, 0)))?;
    if let Some(others) = others {
        count.go_by_others(others);
        if count.is_told_anew() {
            keep(&count.kept(0))?;
            noted(store, count);
        } else {
            go_by(store, count);
        }
    }
    Ok(count.report())
}

/// Stores Control's count where it is far enough ahead.
pub(crate) fn keep_of_control(
    store: &impl Store,
    now: Timestamp,
    stored: impl FnOnce() -> Result<Option<Kept>, LedgerError>,
    keep: impl FnOnce(&Kept) -> Result<(), LedgerError>,
) -> Result<(), LedgerError> {
    let count = counted(store, now, |_| Ok((stored()?, 0)))?;
    if count.is_ahead(KEPT_AFTER_OF_CONTROL) {
        keep(&count.kept(0))?;
        noted(store, count);
    }
    Ok(())
}

/// What was counted is stored.
fn noted(store: &impl Store, count: Count) {
    let kept = Count {
        kept: count.written,
        kept_others: count.others,
        ..count
    };
    go_by(store, kept);
}

fn go_by(store: &impl Store, count: Count) {
    let seen = store.memory().meter().seen;
    let count = Some(count);
    store.memory().set_meter(Meter { seen, count });
}

/// A Ledger's stored count, and about how many rows are missing in it: an instance that was ended early did not store
/// its last ones, but its signals are there.
fn stored(store: &impl Store, today: Timestamp) -> Result<(Option<Kept>, u64), LedgerError> {
    let kept = match journal::value::<Kept>(store, journal::ROWS) {
        // A count that cannot be read must not keep an alert from being taken.
        Err(LedgerError::Corrupt(_)) => None,
        kept => kept?,
    };
    let kept = kept.filter(|kept| kept.since >= today);
    let after = kept.as_ref().map_or(0, |kept| kept.seq);
    let taken = select(
        store,
        "SELECT received_at FROM signal WHERE seq > +?1 ORDER BY seq DESC LIMIT +?2",
        &[Value::Integer(after), Value::Integer(MISSED_SIGNALS)],
    )?;
    let mut missing = 0u64;
    for cells in &taken {
        if cells.integer(0)? >= today.as_millis() {
            missing = missing.saturating_add(ROWS_OF_A_SIGNAL);
        }
    }
    Ok((kept, missing))
}

fn of_ledger(store: &impl Store, now: Timestamp) -> Result<Count, LedgerError> {
    counted(store, now, |today| stored(store, today))
}

fn store_count(store: &impl Store, count: Count) -> Result<(), LedgerError> {
    let last = select(store, "SELECT MAX(seq) FROM signal", &[])?;
    let seq = last.first().and_then(|cells| cells.integer(0).ok());
    journal::set_value(store, journal::ROWS, &count.kept(seq.unwrap_or(0)))?;
    noted(store, count);
    Ok(())
}

/// How many rows a Ledger has written today.
pub(crate) fn report(store: &impl Store, now: Timestamp) -> Result<RowCount, LedgerError> {
    Ok(of_ledger(store, now)?.report())
}

/// Stores a Ledger's count at the end of a run, where it is far enough ahead.
pub(crate) fn keep(store: &impl Store, now: Timestamp) -> Result<(), LedgerError> {
    let count = of_ledger(store, now)?;
    if count.is_ahead(KEPT_AFTER) {
        store_count(store, count)?;
    }
    Ok(())
}

/// Why no entry is taken until midnight.
pub(crate) fn spent(
    store: &impl Store,
    now: Timestamp,
) -> Result<Option<Box<Problem>>, LedgerError> {
    let count = of_ledger(store, now)?;
    let Some((written, limit)) = count.told().filter(|_| count.is_spent()) else {
        return Ok(None);
    };
    let left = count.since.plus_millis(DAY_MS).since(now).max(1);
    let wait = u32::try_from(left.saturating_add(999) / 1_000).unwrap_or(u32::MAX);
    let text = format!(
        "Hoox has written {written} of the {limit} rows that its objects may write today, and the last tenth is kept for \
         exits and the kill switch, so no entry is taken until 00:00 UTC; on a paid plan of Cloudflare's, set \
         rowsADay in the manifest to null"
    );
    Ok(Some(Box::new(
        Problem::new(Code::RateLimited, text).retry_after(wait),
    )))
}

/// Whether resting entries are looked at less often, because entries are refused.
pub(crate) fn is_slow(store: &impl Store, now: Timestamp) -> Result<bool, LedgerError> {
    Ok(of_ledger(store, now)?.is_spent())
}

/// The wait before the next look at a resting entry then.
pub(crate) const fn slowed(wait: i64) -> i64 {
    if wait < PACED_FROM_MS {
        return wait;
    }
    wait.saturating_mul(SLOWER)
}

impl<P: Ports> Ledger<P> {
    /// Takes over Control's word on the others' rows, if there is one, and answers its own.
    ///
    /// # Errors
    /// [`LedgerError`] where storage failed.
    pub fn count_rows(&self, others: Option<&RowsOfOthers>) -> Result<RowCount, LedgerError> {
        let (store, now) = (self.ports().store(), self.ports().clock().now());
        let mut count = of_ledger(store, now)?;
        if let Some(others) = others {
            count.go_by_others(*others);
            if count.is_told_anew() {
                store_count(store, count)?;
            } else {
                go_by(store, count);
            }
        }
        Ok(count.report())
    }
}
