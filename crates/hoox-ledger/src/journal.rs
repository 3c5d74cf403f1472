//! The Ledger's durable state, a module for each thing that is kept: what stands in `meta` by a key of its own
//! (configuration, kill switch, epoch, the venue's pauses and rules), the rows of signals and orders with the send fence and
//! the turns, and what is held.

mod claim;
mod closing;
mod config;
mod control;
mod day;
mod due;
mod fence;
mod fills;
mod holdings;
mod instruments;
mod kill;
mod meta;
mod orders;
mod positions;
mod prune;
mod signals;
mod venue;

use crate::port::{LedgerError, Store};
use crate::row::select_one;

pub(crate) use claim::{
    Claim, claim, claim_on, is_held_by_older, is_waited_for, put_off, quarantine, waits_for_older,
};
pub(crate) use closing::{
    Closed, close, closed, has_handed_over, hold, is_closed, set_taken_over, taken_over,
};
pub(crate) use config::{Config, config, floor, raise_floor, set_config};
pub(crate) use control::{configure, revoke_waiting};
pub(crate) use day::{DayMark, day_due, day_mark, set_day_due, set_day_mark};
pub(crate) use due::{due_now, earliest_due, next_alarm, next_step, wake, wake_exits, wake_older};
pub(crate) use fence::{enter, fence, is_superseded, mark};
pub(crate) use fills::{Heard, add_fill};
pub(crate) use holdings::{Holding, holding, holdings, lately_filled, signed};
pub(crate) use instruments::{
    cache_instrument, known_instrument, last_instrument, outdate_instrument,
};
pub(crate) use kill::{flatten, kill, kill_mode, set_flatten};
pub(crate) use meta::{OWN, ROWS, delete, get, get_number, put, set_value, value};
pub(crate) use orders::{
    add_order, in_flight, is_moving, resting, resting_entries, save_order, skip_planned, unsettled,
    youngest_resting,
};
pub(crate) use positions::{note_position, positions_taken_over, tell_position};
pub(crate) use prune::{free_identity, prune};
pub(crate) use signals::{came_after, next_revision, open_signals, save_signal};
pub(crate) use venue::{
    clock_offset, exit_probe, forget_failures, note_failure, set_clock_offset, set_exit_probe,
    set_venue_ban, venue_ban, venue_failures, venue_pause,
};

/// What a statement counts.
pub(crate) fn count(store: &impl Store, sql: &str) -> Result<u32, LedgerError> {
    let count = select_one(store, sql, &[])?.map_or(Ok(0), |cells| cells.integer(0))?;
    Ok(u32::try_from(count).unwrap_or(u32::MAX))
}
