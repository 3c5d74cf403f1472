//! Exits: what a signal may close, and how it goes on until that is closed.
//!
//! A *full exit* closes everything that was held on its side when it was taken, and what entries taken
//! before it turn out to have filled: its allowance. A *partial exit* closes a quantity at most. Neither
//! closes more than the venue shows, nor what a later signal opened. No refusal of the venue ends an exit
//! before its deadline, only a position that shows nothing to close.

mod allowance;
mod clear;
mod end;
mod older;
mod orders;
mod pace;
mod plan;
mod shown;
mod side;
mod turning;

use hoox_model::{OrderKind, PositionSide};
use hoox_signal::Action;

use crate::row::SignalRow;

pub(crate) use allowance::Exit;
pub(crate) use end::{outcome, with_rest};
pub(crate) use older::{is_sure_by_now, opened, reveal};
pub(crate) use orders::{may_go_out, sum, unheard};
pub(crate) use pace::{TOLD_MS, next_due, plan_at};
pub(crate) use plan::ExitPlan;
pub(crate) use shown::{BELIEVED_MS, FIRST_READ_MS, Shown, on_side};
pub(crate) use turning::note as note_turning;

/// The side that an exit is about: what its action names, `None` for either. A partial exit is about the one it closes.
fn about(row: &SignalRow, whole: bool, side: Option<PositionSide>) -> Option<PositionSide> {
    let closing = row.data.signal.closing();
    closing
        .filter(|closing| whole && closing.whole)
        .map_or(side, |closing| closing.side)
}

const fn is_target(row: &SignalRow) -> bool {
    matches!(row.data.signal.action, Action::Target(_))
}

/// Whether only a position tells what a signal has to close: its action says that it is about what is held, and there was
/// no record of that when it was taken. Until one was read it has an exit's right to a call of a pause; a flip of another
/// kind is an entry as long as nothing is known to be held.
pub(crate) const fn has_to_ask(row: &SignalRow, exit: &Exit) -> bool {
    let signal = &row.data.signal;
    let about_held = matches!(signal.action, Action::Reverse | Action::Target(_));
    about_held && !signal.dry_run && exit.record.is_none() && exit.held.is_none()
}

/// Whether something is to be opened once nothing is left to close.
pub(crate) fn opens_after(row: &SignalRow) -> bool {
    let only = row.data.exit.as_ref().is_some_and(|exit| exit.only);
    row.data.signal.is_entry() && !only
}

/// Whether an exit's orders are planned again until it is done: market orders are, others go out once.
fn persists(row: &SignalRow) -> bool {
    row.data.signal.order == OrderKind::Market || opens_after(row)
}
