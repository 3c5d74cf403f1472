//! What is left after the trade: the fills and the position, for the records.

use hoox_exchange::{Venue, VenueError};
use hoox_model::{Amount, Decimal, Effect, Fill, Position, Timestamp};

use crate::decide::{self, MANY_ATTEMPTS};
use crate::drive::{Desk, put_clock_right};
use crate::exit::BELIEVED_MS;
use crate::journal;
use crate::outbox;
use crate::port::{LedgerError, Ports};
use crate::row::{OrderRow, SignalRow};

/// How long a position that does not show our own latest fill is not recorded. A plan waits half as long; a record
/// can wait, and the clock that dated the fill may have been another machine's, some seconds apart.
const RECORD_LAG_MS: i64 = BELIEVED_MS;

impl<P: Ports> Desk<'_, P> {
    /// Records the fills of an order, once the venue shows all of them.
    pub(crate) async fn record_fills(
        &self,
        venue: &P::Venue,
        mut row: SignalRow,
        mut order: OrderRow,
    ) -> Result<(), LedgerError> {
        self.hold()?;
        let answer = venue
            .fills(row.product, &row.symbol, order.id(), order.data.filled)
            .await;
        row.attempts = row.attempts.saturating_add(1);
        row.due_at = self.now().plus_millis(decide::record_after(row.attempts));
        let fills = match answer {
            Ok(fills) => fills,
            Err(error) => {
                self.record_later(venue, &row, &error).await?;
                return self.looks_first(&row);
            }
        };
        let total = total(fills.iter().map(|fill| fill.quantity.get()));
        let complete = total.is_some_and(|total| total >= order.data.filled.get());
        if complete {
            order.data.fee = total_fee(&fills).or(order.data.fee);
            order.data.fee_currency = fills.first().and_then(|fill| fill.fee_currency.clone());
        }
        // A venue that answers and shows less for so long will not show more.
        let done = complete || row.attempts >= MANY_ATTEMPTS;
        let mut position = None;
        if done {
            order.data.recorded = order.data.filled;
            let trades = !row.status.is_final();
            let last = !trades && self.is_last(&order)?;
            let shown = if trades || last {
                self.steady_position(venue, &row).await?
            } else {
                None
            };
            if trades && shown.is_none() {
                return self.looks_first(&row);
            }
            // With the fills of its last order and the position after them the job is done.
            row.open = !(last && shown.is_some());
            if !last || shown.is_some() {
                row.attempts = 0;
                row.due_at = self.now();
            }
            position = shown.flatten();
        }
        if !done && !order.state.is_final() {
            order.data.look_at = None;
        }
        let account = &self.config.account;
        self.commit(|store, now| {
            if let Some(position) = &position {
                journal::tell_position(store, account, row.product, position, now)?;
            }
            outbox::add_fills(store, account, &mut order, fills.clone())?;
            journal::save_order(store, &mut order, now)?;
            outbox::signal_changed(store, &row.id)?;
            row.update(store, now)
        })
    }

    /// Whether the fills of all other orders of a signal are recorded.
    fn is_last(&self, order: &OrderRow) -> Result<bool, LedgerError> {
        let mut others = OrderRow::of(self.store(), &order.signal_id)?;
        others.retain(|other| other.id() != order.id());
        Ok(decide::unrecorded(&others).is_none())
    }

    /// Fills that could not be recorded are tried again after the next look at what of the signal still rests: it goes on
    /// filling meanwhile, and a position that is read would show what our record does not.
    fn looks_first(&self, row: &SignalRow) -> Result<(), LedgerError> {
        let mut orders = OrderRow::of(self.store(), &row.id)?;
        orders.retain(|order| !order.state.is_final() && order.data.look_at.is_some());
        if orders.is_empty() {
            return Ok(());
        }
        self.commit(|store, _| {
            for order in &mut orders {
                order.data.look_at = None;
                order.update(store)?;
            }
            Ok(())
        })
    }

    /// Records the position as the venue shows it after the trade, and closes the job.
    pub(crate) async fn record_position(
        &self,
        venue: &P::Venue,
        mut row: SignalRow,
    ) -> Result<(), LedgerError> {
        row.attempts = row.attempts.saturating_add(1);
        row.due_at = self.now().plus_millis(decide::record_after(row.attempts));
        let Some(position) = self.steady_position(venue, &row).await? else {
            return Ok(());
        };
        row.open = false;
        let account = &self.config.account;
        self.commit(|store, now| {
            if let Some(position) = &position {
                journal::tell_position(store, account, row.product, position, now)?;
                outbox::signal_changed(store, &row.id)?;
            }
            row.update(store, now)
        })
    }

    /// The position as the venue shows it, once that is worth recording: it neither lags behind the fills
    /// nor differs from them while an order on the symbol is on its way, whose fills it may show already.
    /// Otherwise `row` is saved as it is, to be tried again, and this is `None`. A symbol in hedge mode has
    /// no one position to record, however often it is asked for: `Some(None)`.
    async fn steady_position(
        &self,
        venue: &P::Venue,
        row: &SignalRow,
    ) -> Result<Option<Option<Position>>, LedgerError> {
        self.hold()?;
        if crate::drive::shut_out(self.ports).is_some() {
            return self.save_due(row).map(|()| None);
        }
        let asked = self.now();
        match venue.position(row.product, &row.symbol).await {
            Ok(position) if self.is_steady(row, &position, asked)? => Ok(Some(Some(position))),
            Ok(_) => self.save_due(row).map(|()| None),
            Err(error) if error.code == VenueError::HEDGE_MODE => Ok(Some(None)),
            Err(error) => self.record_later(venue, row, &error).await.map(|()| None),
        }
    }

    fn is_steady(
        &self,
        row: &SignalRow,
        position: &Position,
        asked: Timestamp,
    ) -> Result<bool, LedgerError> {
        if self.position_lags(row, position, asked, RECORD_LAG_MS)? {
            return Ok(false);
        }
        let known = journal::holding(self.store(), row.product, &row.symbol)?;
        let differs = known.is_some_and(|known| known.quantity != journal::signed(position));
        Ok(!differs || !journal::is_moving(self.store(), row.product, &row.symbol)?)
    }

    async fn record_later(
        &self,
        venue: &P::Venue,
        row: &SignalRow,
        error: &VenueError,
    ) -> Result<(), LedgerError> {
        self.venue_failed(error, Effect::Open)?;
        put_clock_right(self.ports, venue, error).await?;
        self.save_due(row)
    }

    /// Closes a job that traded nothing.
    pub(crate) fn close(&self, mut row: SignalRow) -> Result<(), LedgerError> {
        row.open = false;
        self.save_due(&row)
    }
}

fn total(mut values: impl Iterator<Item = Decimal>) -> Option<Decimal> {
    values.try_fold(Decimal::ZERO, Decimal::checked_add)
}

fn total_fee(fills: &[Fill]) -> Option<Amount> {
    let total = total(fills.iter().map(|fill| fill.fee.get()))?;
    Amount::try_from(total).ok()
}
