//! An account's limits: the venue's numbers before a plan is approved, and the approval itself, which
//! reserves in one transaction what two symbols must not both take.

use hoox_exchange::{Clock, Venue};
use hoox_model::{Code, Decimal, Price, Side, Symbol, Timestamp};
use hoox_risk::{Plan, Refused, Standing, may_close_before, trading_result, within_limits};

use crate::decide::RESEND_WITHIN_MS;
use crate::drive::{Desk, Ledger, banned_until, note_ban, put_clock_right};
use crate::journal::{self, Config, DayMark};
use crate::planning::Stop;
use crate::port::{LedgerError, Ports, Store, atomic};
use crate::row::{OrderRow, OrderState, SignalRow, at, select, select_one, text};

/// The window of `maxOrdersPerMinute`.
const MINUTE_MS: i64 = 60_000;
/// A day of UTC.
pub(crate) const DAY_MS: i64 = 86_400_000;
/// How long own fills are counted beside the venue's list of positions, which may not show them yet.
const RECENT_MS: i64 = 60_000;
/// When the start of a day that could not be noted is noted again.
const RETRY_MS: i64 = 60_000;
/// The lane of noting the start of a day.
const LANE: &str = "day";

/// The venue's numbers that the limits of a plan need.
#[derive(Debug, Clone, Default)]
pub(crate) struct Numbers {
    price: Option<Price>,
    symbols: Option<Vec<Symbol>>,
    result_today: Option<Decimal>,
}

impl<P: Ports> Desk<'_, P> {
    /// Asks the venue for what the limits need to know about a plan.
    pub(crate) async fn numbers(
        &self,
        venue: &P::Venue,
        row: &SignalRow,
        planned: &Plan,
        price: Option<Price>,
    ) -> Result<Numbers, Stop> {
        let limits = &self.config.account.limits;
        let mut numbers = Numbers {
            price,
            ..Numbers::default()
        };
        if !planned.enters() {
            return Ok(numbers);
        }
        if limits.max_position_notional(&row.symbol).is_some() && price.is_none() {
            numbers.price = Some(self.market_price(venue, row).await?);
        }
        if limits.max_open_positions.is_some() {
            self.may_call()?;
            let held = venue.positions(row.product).await?;
            numbers.symbols = Some(held.into_iter().map(|position| position.symbol).collect());
        }
        if limits.max_daily_loss.is_some() {
            self.may_call()?;
            let result = trading_result(&venue.balances().await?);
            numbers.result_today = match result {
                Some(result) => Some(since_midnight(self.store(), result, self.now())?),
                None => None,
            };
        }
        Ok(numbers)
    }

    /// The plan if the limits allow it, and how much of what it nets may be closed before it arrives; or the reason.
    /// Within a transaction this reserves what the plan takes, because the plan is stored there.
    pub(crate) fn within_limits(
        &self,
        row: &SignalRow,
        planned: Plan,
        position: &hoox_model::Position,
        numbers: &Numbers,
    ) -> Result<Result<(Plan, Option<Decimal>), Refused>, LedgerError> {
        let limits = &self.config.account.limits;
        if limits.is_none() || !planned.enters() {
            return Ok(Ok((planned, None)));
        }
        let standing = standing(
            self.store(),
            row,
            journal::signed(position),
            numbers,
            self.now(),
        )?;
        let allowed = within_limits(limits, &row.symbol, &planned, &standing);
        Ok(allowed.map(|()| {
            let may_close = may_close_before(limits, &row.symbol, &planned, &standing);
            (planned, may_close)
        }))
    }
}

/// How much exits that were planned after an entry close, or may, of what that nets.
fn closed_since(store: &impl Store, order: &OrderRow) -> Result<Decimal, LedgerError> {
    let (spec, planned) = (&order.data.spec, order.data.created_at);
    // The clock may stand still between two turns.
    let before = planned.plus_millis(-1);
    let mut closed = Decimal::ZERO;
    for other in OrderRow::sent_after(store, spec.product, &spec.symbol, before)? {
        let own = &other.data.spec;
        if !own.effect.closes() || own.side != spec.side || other.data.created_at < planned {
            continue;
        }
        let most = if other.state.is_final() && other.state != OrderState::Unknown {
            other.data.filled.get()
        } else if own.close_all {
            Decimal::MAX
        } else {
            own.quantity.get()
        };
        closed = closed.saturating_add(most);
    }
    Ok(closed)
}

/// Why an entry is not sent that was allowed beside a position of the other side: exits have closed that meanwhile.
pub(crate) fn over_limit(
    store: &impl Store,
    order: &OrderRow,
) -> Result<Option<Refused>, LedgerError> {
    let Some(most) = order.data.may_close else {
        return Ok(None);
    };
    let over = closed_since(store, order)? > most;
    Ok(over.then(|| {
        let text = "an exit closes the position that it would net, so that it would make one above maxPositionNotional";
        Refused::new(Code::Limit, text)
    }))
}

fn standing(
    store: &impl Store,
    row: &SignalRow,
    position: Decimal,
    numbers: &Numbers,
    now: Timestamp,
) -> Result<Standing, LedgerError> {
    let mut standing = Standing {
        position,
        price: numbers.price,
        result_today: numbers.result_today,
        ..Standing::default()
    };
    for order in OrderRow::live(store, row.product, &row.symbol)? {
        let spec = &order.data.spec;
        let left = if spec.close_all {
            Decimal::MAX
        } else {
            spec.quantity.minus_or_zero(order.data.filled).get()
        };
        // An exit may have been filled since the position was read, or be filled before the entry arrives.
        let pending = match (spec.side, spec.effect.closes()) {
            (Side::Buy, false) => &mut standing.pending_buys,
            (Side::Sell, false) => &mut standing.pending_sells,
            (Side::Buy, true) => &mut standing.closing_buys,
            (Side::Sell, true) => &mut standing.closing_sells,
        };
        *pending = pending.saturating_add(left);
    }
    if let Some(held) = &numbers.symbols {
        let mut symbols: Vec<&str> = Vec::new();
        let own = select(
            store,
            "SELECT symbol FROM orders WHERE live = 1 AND closes = 0 \
             UNION SELECT symbol FROM holding WHERE quantity <> '0' AND filled_at > +?1",
            &[at(now.plus_millis(-RECENT_MS))],
        )?;
        // Of the symbol itself the position counts that the plan is made of. A list is an answer of its own, and may still
        // show what was closed before that position was read.
        standing.occupied = !position.is_zero();
        for cells in &own {
            let symbol = cells.text(0)?;
            standing.occupied |= symbol == row.symbol.as_str();
            symbols.push(symbol);
        }
        for symbol in held.iter().map(Symbol::as_str) {
            // One in hedge mode is listed twice.
            if !symbols.contains(&symbol) {
                symbols.push(symbol);
            }
        }
        symbols.retain(|symbol| *symbol != row.symbol.as_str());
        standing.other_symbols = Some(symbols.len());
    }
    let counts = select_one(
        store,
        "SELECT COUNT(*), COALESCE(SUM(product = ?2 AND symbol = ?3), 0) FROM \
         (SELECT product, symbol FROM orders WHERE sent_at > +?4 AND MAX(sent_at, COALESCE(json_extract( \
          CASE WHEN json_valid(data) THEN data ELSE '{}' END, '$.lastSentAt'), 0)) > +?1 \
          UNION ALL SELECT product, symbol FROM orders WHERE live = 1 AND state = 'planned' AND sent_at IS NULL)",
        &[
            at(now.plus_millis(-MINUTE_MS)),
            text(row.product.as_str()),
            text(row.symbol.as_str()),
            // One that is sent once more counts from then.
            at(now.plus_millis(-(MINUTE_MS + RESEND_WITHIN_MS))),
        ],
    )?;
    if let Some(cells) = counts {
        standing.orders = u32::try_from(cells.integer(0)?).unwrap_or(u32::MAX);
        standing.symbol_orders = u32::try_from(cells.integer(1)?).unwrap_or(u32::MAX);
    }
    Ok(standing)
}

/// What trading has brought since midnight UTC. Without a note of this day's start it starts now.
fn since_midnight(
    store: &impl Store,
    result: Decimal,
    now: Timestamp,
) -> Result<Decimal, LedgerError> {
    let today = day(now);
    let start = match journal::day_mark(store)? {
        Some(mark) if mark.day == today => mark.result,
        _ => {
            let mark = DayMark { day: today, result };
            atomic(store, || {
                journal::set_day_mark(store, &mark, next_midnight(now))
            })?;
            result
        }
    };
    Ok(result.saturating_sub(start))
}

const fn day(now: Timestamp) -> i64 {
    now.as_millis().div_euclid(DAY_MS)
}

/// The end of the day of UTC.
pub(crate) const fn next_midnight(now: Timestamp) -> Timestamp {
    Timestamp::from_millis(day(now).saturating_add(1).saturating_mul(DAY_MS))
}

impl<P: Ports> Ledger<P> {
    /// Notes what trading has brought at the start of a day, for an account with `maxDailyLoss`.
    pub(crate) async fn mark_day(&self) -> Result<(), LedgerError> {
        let (store, now) = (self.ports().store(), self.ports().clock().now());
        let Some(config) = journal::config(store)? else {
            return Ok(());
        };
        if journal::day_due(store)?.is_none_or(|due| due > now) || banned_until(self.ports())? > now
        {
            return Ok(());
        }
        atomic(store, || {
            journal::set_day_due(store, now.plus_millis(RETRY_MS))
        })?;
        let Some(lease) = self.ports().lanes().take_side(LANE, now) else {
            return Ok(());
        };
        let done = self.note_day(&config).await;
        self.ports().lanes().release(&lease);
        done
    }

    async fn note_day(&self, config: &Config) -> Result<(), LedgerError> {
        let store = self.ports().store();
        let offset = journal::clock_offset(store)?;
        let Ok(venue) = self.ports().venue(&config.account, offset) else {
            return Ok(());
        };
        match venue.balances().await {
            Ok(balances) => match trading_result(&balances) {
                Some(result) => {
                    since_midnight(store, result, self.ports().clock().now()).map(|_| ())
                }
                None => Ok(()),
            },
            Err(error) => {
                note_ban(self.ports(), &error)?;
                put_clock_right(self.ports(), &venue, &error)
                    .await
                    .map(|_| ())
            }
        }
    }
}
