//! What is held on a side of a symbol and is not an exit's to close: what signals taken later, or by alerts that fired
//! later, opened there and nobody has closed since.

use hoox_model::{Decimal, Effect, PositionSide, Quantity, SignalId, Timestamp};

use crate::exit::{Exit, sum, unheard};
use crate::port::{LedgerError, Store};
use crate::row::{OrderRow, SignalRow};

/// What others hold on an exit's side.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Theirs {
    /// What of it is known.
    pub known: Quantity,
    /// What it is at most, with what may have been filled without anybody knowing.
    pub most: Quantity,
}

impl Theirs {
    /// What is known, and no more than that.
    pub(crate) const fn known(known: Quantity) -> Self {
        Self { known, most: known }
    }
}

/// What an entry that is later than an exit opened, as far as nobody has closed it since.
struct Part {
    id: SignalId,
    seq: i64,
    held: Quantity,
}

impl Part {
    /// Whether it was `closing`'s to close: it existed by the order of arrival and by that of the alerts.
    fn is_of(&self, closing: &SignalRow) -> bool {
        let exit = closing.data.exit.as_ref();
        exit.map_or(closing.seq > self.seq, |exit| {
            exit.is_after(closing.seq, &self.id, Some(self.seq))
        })
    }
}

/// What others than `row` hold of `side`; nothing while the side is not known.
///
/// Order by order as they were sent: what a close took before a later entry opened was not that entry's, nor was what a
/// close took that was taken before the entry or whose alert fired before the entry's, however late the entry filled. Of
/// what else was closed before the exit came as much was theirs as can have been; what an exit taken before this one
/// closes afterwards is none of theirs.
pub(crate) fn theirs(
    store: &impl Store,
    row: &SignalRow,
    exit: &Exit,
    side: Option<PositionSide>,
) -> Result<Theirs, LedgerError> {
    let Some(side) = side else {
        return Ok(Theirs::default());
    };
    let mut parts: Vec<Part> = Vec::new();
    let mut hidden = Decimal::ZERO;
    let since = first_sent(store, &exit.newer, exit.taken_at)?.plus_millis(-1);
    for order in OrderRow::sent_after(store, row.product, &row.symbol, since)? {
        let spec = &order.data.spec;
        let of_side = match spec.effect {
            Effect::Open => side.entry_side(),
            Effect::Close => side.exit_side(),
        };
        let nothing_to_take = spec.effect.closes() && parts.is_empty();
        if order.signal_id == row.id || spec.side != of_side || nothing_to_take {
            continue;
        }
        let of = SignalRow::readable(store, &order.signal_id)?;
        let seq = of.as_ref().map(|of| of.seq);
        let later = seq > Some(row.seq);
        let before = order.sent_at.is_none_or(|sent| sent < exit.taken_at);
        match spec.effect {
            Effect::Open if !exit.is_after(row.seq, &order.signal_id, seq) => {
                // Until it is seen to rest, what the venue took may have filled at once, whatever its kind.
                let rests = of.as_ref().is_some_and(|of| !of.blocking);
                let unheard = if rests || order.state.is_final() {
                    unheard(&order)
                } else {
                    order.data.spec.quantity.minus_or_zero(order.data.filled)
                };
                hidden = hidden.saturating_add(unheard.get());
                parts.push(Part {
                    // Nobody surely closed anything of what cannot be read.
                    seq: seq.unwrap_or(i64::MAX),
                    held: order.data.filled,
                    id: order.signal_id,
                });
            }
            Effect::Close if later || before => {
                let mut closed = order.data.filled;
                let its = |part: &&mut Part| of.as_ref().is_some_and(|of| part.is_of(of));
                for part in parts.iter_mut().filter(its) {
                    let taken = closed.min(part.held);
                    part.held = part.held.minus_or_zero(taken);
                    closed = closed.minus_or_zero(taken);
                }
            }
            Effect::Open | Effect::Close => {}
        }
    }
    let known = sum(parts.iter().map(|part| part.held));
    let hidden = Quantity::try_from(hidden).unwrap_or(Quantity::ZERO);
    let most = sum([known, hidden].into_iter());
    Ok(Theirs { known, most })
}

/// When the first order of `newer` was sent, at the latest `taken_at`.
fn first_sent(
    store: &impl Store,
    newer: &[SignalId],
    taken_at: Timestamp,
) -> Result<Timestamp, LedgerError> {
    let mut first = taken_at;
    for id in newer {
        let orders = OrderRow::of(store, id)?;
        first = orders
            .iter()
            .filter_map(|order| order.sent_at)
            .fold(first, Timestamp::min);
    }
    Ok(first)
}
