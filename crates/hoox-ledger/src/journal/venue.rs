//! How the venue is: its clock, its failures, and until when it is left alone. Keeps `clock_offset` and the values
//! `venue_…` and `exit_probe` of the table `meta`: whoever called the venue writes them.

use hoox_model::Timestamp;

use super::meta::{delete, get_number, put};
use crate::port::{LedgerError, Store};

const CLOCK_OFFSET: &str = "clock_offset";
const VENUE_PAUSE: &str = "venue_pause";
const VENUE_FAILURES: &str = "venue_failures";
const VENUE_BAN: &str = "venue_ban";
const EXIT_PROBE: &str = "exit_probe";

/// The venue's clock less ours, in milliseconds.
pub(crate) fn clock_offset(store: &impl Store) -> Result<i64, LedgerError> {
    get_number(store, CLOCK_OFFSET)
}

/// Notes how far the venue's clock is from ours.
pub(crate) fn set_clock_offset(store: &impl Store, offset_ms: i64) -> Result<(), LedgerError> {
    put(store, CLOCK_OFFSET, offset_ms.to_string())
}

/// When the venue may be called again, after it asked for a pause, shut the account out, or failed again and again.
pub(crate) fn venue_pause(store: &impl Store) -> Result<Timestamp, LedgerError> {
    let pause = Timestamp::from_millis(get_number(store, VENUE_PAUSE)?);
    Ok(pause.max(venue_ban(store)?))
}

/// Failures of the venue in a row.
pub(crate) fn venue_failures(store: &impl Store) -> Result<u32, LedgerError> {
    Ok(u32::try_from(get_number(store, VENUE_FAILURES)?).unwrap_or(u32::MAX))
}

/// Notes a failure of the venue, and until when it is left alone.
pub(crate) fn note_failure(
    store: &impl Store,
    failures: u32,
    until: Option<Timestamp>,
) -> Result<(), LedgerError> {
    put(store, VENUE_FAILURES, failures.to_string())?;
    match until {
        // What another symbol was told counts as well, where it is later.
        Some(until) => {
            let until = until.max(venue_pause(store)?);
            put(store, VENUE_PAUSE, until.as_millis().to_string())
        }
        None => Ok(()),
    }
}

/// Until when the venue shuts the account out: nothing is asked of it before, exits included.
pub(crate) fn venue_ban(store: &impl Store) -> Result<Timestamp, LedgerError> {
    Ok(Timestamp::from_millis(get_number(store, VENUE_BAN)?))
}

/// Notes a ban; one that is known to last longer stays.
pub(crate) fn set_venue_ban(store: &impl Store, until: Timestamp) -> Result<(), LedgerError> {
    let until = until.max(venue_ban(store)?);
    put(store, VENUE_BAN, until.as_millis().to_string())
}

/// When an exit may make the next call during a pause.
pub(crate) fn exit_probe(store: &impl Store) -> Result<Timestamp, LedgerError> {
    Ok(Timestamp::from_millis(get_number(store, EXIT_PROBE)?))
}

/// Sets when an exit may make the next call during a pause.
pub(crate) fn set_exit_probe(store: &impl Store, at: Timestamp) -> Result<(), LedgerError> {
    put(store, EXIT_PROBE, at.as_millis().to_string())
}

/// Forgets the failures of a venue that works again.
pub(crate) fn forget_failures(store: &impl Store) -> Result<(), LedgerError> {
    delete(store, VENUE_FAILURES)
}
