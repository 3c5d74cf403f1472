//! What is held, by the venue's word and by our record, and what existed when an exit was taken.

use hoox_exchange::{ErrorClass, Venue, VenueError};
use hoox_model::{Decimal, Effect, Position, PositionSide, Quantity, Timestamp};

use super::allowance::Exit;
use super::older::opened;
use super::orders::sum;
use super::side::Side;
use super::{about, opens_after, turning};
use crate::drive::Desk;
use crate::journal::{self, Holding};
use crate::port::{LedgerError, Ports};
use crate::row::{OrderRow, SignalRow};
use crate::theirs::{Theirs, theirs};

/// How soon after it was taken the first position must have been read to say what was held then.
pub(crate) const FIRST_READ_MS: i64 = 3_000;

/// How long after our own fill a position that differs from our record is not believed.
pub(crate) const BELIEVED_MS: i64 = 60_000;

/// What is held, as the venue shows it.
#[derive(Debug, Clone)]
pub(crate) struct Shown {
    /// The position of a symbol in one-way mode, or the leg that the exit is about.
    pub(crate) position: Position,
    /// Whether the symbol is in hedge mode.
    pub(crate) hedged: bool,
    /// What the other leg holds, where both may be meant.
    pub(crate) other_leg: Option<Quantity>,
}

impl<P: Ports> Desk<'_, P> {
    /// What is held on the exit's side, hedge mode included.
    pub(super) async fn exit_position(
        &self,
        venue: &P::Venue,
        row: &SignalRow,
        exit: &Exit,
        read: bool,
    ) -> Result<Result<Shown, VenueError>, LedgerError> {
        if self.is_banned()? {
            let until = crate::drive::banned_until(self.ports)?;
            let text = format!("the venue shuts this account out until {until}");
            return Ok(Err(VenueError::new(ErrorClass::Banned, "BANNED", &text)));
        }
        let record = journal::holding(self.store(), row.product, &row.symbol)?;
        if self.is_paused()? && !read && exit.recorded(record.as_ref()).is_some() {
            // One call of an exit goes out now and then in a pause: the order itself, by our record.
            let text = "the venue is left alone";
            return Ok(Err(VenueError::new(
                ErrorClass::RateLimited,
                "PAUSED",
                text,
            )));
        }
        self.hold()?;
        let error = match venue.position(row.product, &row.symbol).await {
            Ok(position) => {
                return Ok(Ok(Shown {
                    position,
                    hedged: false,
                    other_leg: None,
                }));
            }
            // A flip is one by a position that has one side: it turns no leg.
            Err(error) if error.code != VenueError::HEDGE_MODE || opens_after(row) => error,
            Err(_) => match self.all_positions(venue, row).await {
                Ok(all) => {
                    let mut legs: Vec<Position> = all
                        .into_iter()
                        .filter(|leg| leg.symbol == row.symbol)
                        .collect();
                    legs.retain(|leg| exit.side.is_none_or(|side| leg.side == Some(side)));
                    let mut legs = legs.into_iter().filter(|leg| leg.side.is_some());
                    let position = legs
                        .next()
                        .unwrap_or_else(|| Position::flat(row.symbol.clone()));
                    return Ok(Ok(Shown {
                        position,
                        hedged: true,
                        other_leg: legs.next().map(|leg| leg.quantity),
                    }));
                }
                Err(error) => error,
            },
        };
        self.venue_failed(&error, Effect::Close)?;
        Ok(Err(error))
    }

    /// What is held of all symbols, unless the venue has shut the account out since the step began.
    async fn all_positions(
        &self,
        venue: &P::Venue,
        row: &SignalRow,
    ) -> Result<Vec<Position>, VenueError> {
        match crate::drive::shut_out(self.ports) {
            Some(error) => Err(error),
            None => venue.positions(row.product).await,
        }
    }

    /// Finds out what existed when the exit was taken: the first position, where it was read at once,
    /// else our record of then, else the first position that can be read.
    pub(super) fn basis(
        &self,
        row: &SignalRow,
        exit: &mut Exit,
        shown: Option<&Shown>,
        record: Option<&Holding>,
        asked: Timestamp,
        first: bool,
    ) -> Result<(), LedgerError> {
        if exit.held.is_some() {
            return Ok(());
        }
        let prompt = first && self.now().since(exit.taken_at) <= FIRST_READ_MS;
        let mut by_old_record = false;
        let (side, quantity) = match (shown, exit.record) {
            (Some(shown), None) => shown_with_record(shown, record, asked),
            (Some(shown), Some(_)) if prompt || shown.hedged => {
                shown_with_record(shown, record, asked)
            }
            (_, Some(signed)) => {
                by_old_record = true;
                Holding::split(signed)
            }
            (None, None) => record.map_or((None, Quantity::ZERO), |known| {
                Holding::split(known.quantity)
            }),
        };
        exit.hedged = shown.is_some_and(|shown| shown.hedged);
        exit.other_leg = shown.and_then(|shown| shown.other_leg);
        let wanted = exit.side.or(side);
        let quantity = if side == wanted {
            quantity
        } else {
            Quantity::ZERO
        };
        exit.side = wanted;
        // What was opened later, or by a newer alert, is not what it is about.
        let theirs = if by_old_record {
            Theirs::known(exit.newer_held)
        } else {
            theirs(self.store(), row, exit, exit.side)?
        };
        let there = Side {
            held: quantity,
            recorded: on_side(record, wanted),
            theirs,
            ..Side::default()
        };
        exit.held = Some(there.own());
        if shown.is_some() && !by_old_record {
            // What the venue shows beyond our record an entry in doubt may have brought: it is not counted again
            // when that is found out.
            let shown = there.own().minus_or_zero(there.sure());
            exit.included = sum([shown, closed_beyond(record, wanted)].into_iter());
        }
        let may_turn = !(exit.older.is_empty() && exit.turning.is_empty());
        if !by_old_record && may_turn {
            turning::note(self.store(), row, exit, record)?;
            for (id, baseline) in &mut exit.older {
                *baseline = opened(
                    &OrderRow::of(self.store(), id)?,
                    about(row, exit.whole, wanted),
                );
            }
        }
        Ok(())
    }
}

/// Side and size by the venue's word and, for a minute after a fill of ours, by our record where that is
/// more: a venue may lag.
fn shown_with_record(
    shown: &Shown,
    record: Option<&Holding>,
    asked: Timestamp,
) -> (Option<PositionSide>, Quantity) {
    let read = (shown.position.side, shown.position.quantity);
    let Some(record) =
        record.filter(|known| !shown.hedged && asked.since(known.filled_at) < BELIEVED_MS)
    else {
        return read;
    };
    match Holding::split(record.quantity) {
        (None, _) => read,
        (Some(side), size) => (Some(side), size.max(shown.position.held(side))),
    }
}

/// What closing orders took of a side beyond what our record showed there.
pub(super) fn closed_beyond(record: Option<&Holding>, wanted: Option<PositionSide>) -> Quantity {
    record.map_or(Quantity::ZERO, |known| {
        let (side, size) = Holding::split(Decimal::ZERO.saturating_sub(known.beyond));
        if side == wanted { size } else { Quantity::ZERO }
    })
}

/// Whether a position that was read may lag behind our own latest fill. Nothing else changes our record of a symbol while
/// its lane is held.
pub(super) fn lags(shown: Option<&Shown>, record: Option<&Holding>, asked: Timestamp) -> bool {
    let read = shown.filter(|shown| !shown.hedged);
    read.zip(record)
        .is_some_and(|(shown, known)| known.is_ahead_of(&shown.position, asked, BELIEVED_MS))
}

/// What our record shows on a side.
pub(crate) fn on_side(record: Option<&Holding>, wanted: Option<PositionSide>) -> Quantity {
    record.map_or(Quantity::ZERO, |known| {
        let (side, size) = Holding::split(known.quantity);
        if side == wanted { size } else { Quantity::ZERO }
    })
}

/// What counts as held on the exit's side now.
pub(super) fn held_now(
    exit: &Exit,
    shown: Option<&Shown>,
    record: Option<&Holding>,
    asked: Timestamp,
) -> (Option<PositionSide>, Quantity) {
    let (side, quantity) = match shown {
        Some(shown) => shown_with_record(shown, record, asked),
        None => record.map_or((None, Quantity::ZERO), |known| {
            Holding::split(known.quantity)
        }),
    };
    match exit.side {
        Some(wanted) if side == Some(wanted) => (Some(wanted), quantity),
        Some(_) => (None, Quantity::ZERO),
        None => (side, quantity),
    }
}
