//! What a Ledger needs from the outside: storage, venue, clock, randomness, records.

use core::future::Future;

use hoox_auth::Account;
use hoox_exchange::{CallBudget, Clock, Venue};
use hoox_mesh::Problem;
use hoox_model::{SignalId, Timestamp};
use hoox_store::{SealedRow, Value};
use thiserror::Error;

use crate::lanes::Lanes;
use crate::memory::RowMemory;

/// Storage failed; the surrounding transaction is rolled back.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("storage: {0}")]
pub struct StoreError(pub String);

/// Why a Ledger's own work failed. None of these says anything about an order.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LedgerError {
    /// Storage failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A row cannot be read back.
    #[error("a stored row is not readable: {0}")]
    Corrupt(String),
    /// Another run took the lane over.
    #[error("the lease on the lane is lost")]
    LeaseLost,
}

impl From<LedgerError> for Problem {
    fn from(error: LedgerError) -> Self {
        Self::new(
            hoox_model::Code::NotConfirmed,
            format!("the signal could not be stored ({error}); send it again, a resend is safe"),
        )
    }
}

/// Synchronous, transactional SQL: a Durable Object's SQLite, or any other SQLite.
pub trait Store {
    /// Runs one statement and returns its rows. Parameters that a condition compares with stand as `+?1`: `SQLite` would
    /// plan the statement anew for every value of a bare one.
    ///
    /// # Errors
    /// [`StoreError`] with the database's words.
    fn query(&self, sql: &str, params: &[Value]) -> Result<Vec<Vec<Value>>, StoreError>;

    /// Runs `work` in one transaction: all of it, or on an error none of it.
    ///
    /// # Errors
    /// The error of `work`, or the commit's.
    fn transaction(
        &self,
        work: &mut dyn FnMut() -> Result<(), LedgerError>,
    ) -> Result<(), LedgerError>;

    /// Sets the one alarm, as part of the present transaction.
    ///
    /// # Errors
    /// [`StoreError`] with the platform's words.
    fn set_alarm(&self, at: Timestamp) -> Result<(), StoreError>;

    /// The rows that this instance has written so far, index entries and alarms included as far as the platform counts
    /// them. What was rolled back may be among them.
    fn written(&self) -> u64;

    /// What this instance remembers of its rows. Each instance has one of its own, which begins empty.
    fn memory(&self) -> &RowMemory;
}

/// Runs `work` in one transaction and hands its value out.
///
/// # Errors
/// The error of `work`, or the commit's.
pub(crate) fn atomic<T>(
    store: &impl Store,
    mut work: impl FnMut() -> Result<T, LedgerError>,
) -> Result<T, LedgerError> {
    let mut value = None;
    let done = store.transaction(&mut || {
        value = Some(work()?);
        Ok(())
    });
    if done.is_err() {
        // What was written and read within it never was.
        store.memory().forget();
    }
    done?;
    value.ok_or_else(|| StoreError("the transaction did not run".to_owned()).into())
}

/// Randomness for ids and jitter.
pub trait Random {
    /// Ten random bytes.
    ///
    /// # Errors
    /// [`StoreError`] where the platform has none.
    fn bytes(&self) -> Result<[u8; 10], StoreError>;
}

/// Where records go: d1-worker.
pub trait Records {
    /// Delivers rows; safe to repeat. Answers the places, from 0, of rows that were not taken because
    /// their record cannot be read.
    fn deliver(&self, rows: &[SealedRow]) -> impl Future<Output = Result<Vec<usize>, Problem>>;
}

/// Everything a Ledger is given.
pub trait Ports {
    /// Storage.
    type Store: Store;
    /// The venue of the account.
    type Venue: Venue;
    /// Time.
    type Clock: Clock;
    /// Randomness.
    type Random: Random;
    /// Records.
    type Records: Records;

    /// Storage.
    fn store(&self) -> &Self::Store;
    /// Time.
    fn clock(&self) -> &Self::Clock;
    /// Randomness.
    fn random(&self) -> &Self::Random;
    /// Records.
    fn records(&self) -> &Self::Records;
    /// Waits for so many milliseconds.
    fn sleep(&self, millis: i64) -> impl Future<Output = ()>;
    /// The calls to the outside that may still be made before the next event of the object. A venue takes
    /// its calls from it.
    fn budget(&self) -> &CallBudget;
    /// Who works on what; the instance's, whose runs share it.
    fn lanes(&self) -> &Lanes;
    /// The venue, with the account's keys and the clock offset known from before, in milliseconds.
    ///
    /// # Errors
    /// [`Problem`] where the account's keys are missing or the venue is not available.
    fn venue(&self, account: &Account, clock_offset_ms: i64) -> Result<Self::Venue, Problem>;
}

/// A new signal id.
///
/// # Errors
/// [`StoreError`] where there is no randomness.
pub(crate) fn new_signal_id(random: &impl Random, at: Timestamp) -> Result<SignalId, StoreError> {
    Ok(SignalId::new(at, random.bytes()?))
}
