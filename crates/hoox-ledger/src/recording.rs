//! What is left after the trade: the fills and the position, for the records.

use hoox_auth::Account;
use hoox_exchange::{Venue, VenueError};
use hoox_model::{Amount, Decimal, Fill};
use hoox_store::{FillRecord, Record};

use crate::decide::{self, MANY_ATTEMPTS};
use crate::drive::{Desk, put_clock_right};
use crate::journal;
use crate::port::{LedgerError, Ports};
use crate::row::{OrderRow, SignalRow};

impl<P: Ports> Desk<'_, P> {
    /// Records the fills of an order, once the venue shows all of them.
    pub(crate) async fn record_fills(
        &self,
        venue: &P::Venue,
        mut row: SignalRow,
        mut order: OrderRow,
    ) -> Result<(), LedgerError> {
        self.hold()?;
        let answer = venue.fills(row.product, &row.symbol, order.id()).await;
        row.attempts = row.attempts.saturating_add(1);
        row.due_at = self.now().plus_millis(decide::record_after(row.attempts));
        let fills = match answer {
            Ok(fills) => fills,
            Err(error) => return self.record_later(venue, &row, &error).await,
        };
        let total = total(fills.iter().map(|fill| fill.quantity.get()));
        let complete = total.is_some_and(|total| total >= order.data.filled.get());
        if complete {
            order.data.fee = total_fee(&fills).or(order.data.fee);
            order.data.fee_currency = fills.first().and_then(|fill| fill.fee_currency.clone());
        }
        // A venue that answers and shows less for so long will not show more.
        if complete || row.attempts >= MANY_ATTEMPTS {
            order.data.recorded = order.data.filled;
            row.attempts = 0;
            row.due_at = self.now();
        }
        let account = &self.config.account;
        self.commit(|store, now| {
            for fill in &fills {
                journal::enqueue(store, 1, &Record::Fill(fill_record(account, &order, fill)))?;
            }
            journal::save_order(store, account, &mut order, now)?;
            row.update(store)
        })
    }

    /// Records the position as the venue shows it after the trade, and closes the job.
    pub(crate) async fn record_position(
        &self,
        venue: &P::Venue,
        mut row: SignalRow,
    ) -> Result<(), LedgerError> {
        self.hold()?;
        let asked = self.now();
        let answer = venue.position(row.product, &row.symbol).await;
        row.attempts = row.attempts.saturating_add(1);
        row.due_at = self.now().plus_millis(decide::record_after(row.attempts));
        let position = match answer {
            Ok(position) => position,
            Err(error) => return self.record_later(venue, &row, &error).await,
        };
        if self.position_lags(&row, &position, asked)? {
            return self.save_due(&row);
        }
        row.open = false;
        let account = &self.config.account;
        let signed = journal::signed(&position);
        self.commit(|store, now| {
            let revision = journal::note_position(store, row.product, &row.symbol, signed, now)?;
            let record = journal::position_record(account, row.product, &position, now);
            journal::enqueue(store, revision, &Record::Position(record))?;
            row.update(store)
        })
    }

    async fn record_later(
        &self,
        venue: &P::Venue,
        row: &SignalRow,
        error: &VenueError,
    ) -> Result<(), LedgerError> {
        self.venue_failed(error)?;
        put_clock_right(self.ports, venue, error).await?;
        self.save_due(row)
    }

    /// Closes a job that traded nothing.
    pub(crate) fn close(&self, mut row: SignalRow) -> Result<(), LedgerError> {
        row.open = false;
        self.save_due(&row)
    }
}

fn fill_record(account: &Account, order: &OrderRow, fill: &Fill) -> FillRecord {
    FillRecord {
        account_id: account.id.clone(),
        fill_id: fill.venue_fill_id.clone(),
        client_order_id: order.id().clone(),
        venue: account.venue,
        symbol: order.data.spec.symbol.clone(),
        product: order.data.spec.product,
        side: order.data.spec.side,
        quantity: fill.quantity,
        price: fill.price,
        fee: Some(fill.fee),
        fee_currency: fill.fee_currency.clone(),
        filled_at: fill.at,
    }
}

fn total(mut values: impl Iterator<Item = Decimal>) -> Option<Decimal> {
    values.try_fold(Decimal::ZERO, Decimal::checked_add)
}

fn total_fee(fills: &[Fill]) -> Option<Amount> {
    let total = total(fills.iter().map(|fill| fill.fee.get()))?;
    Amount::try_from(total).ok()
}
