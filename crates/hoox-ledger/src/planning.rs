//! From a journaled signal to stored orders, or to the reason why there are none.

use hoox_exchange::{Venue, VenueError};
use hoox_mesh::{KillMode, OrderView, Problem, SignalStatus};
use hoox_model::{ClientOrderId, Code, Instrument, OrderSpec, Position, Price, Timestamp};
use hoox_risk::{Leg, Plan, Refused, needs_market_price, plan};

use crate::decide;
use crate::drive::Desk;
use crate::journal;
use crate::limits::Numbers;
use crate::port::{LedgerError, Ports};
use crate::row::{OrderData, OrderRow, OrderState, SignalRow};
use crate::sending::venue_words;

/// How long a venue's position may lag behind our own fills before it is believed.
const POSITION_LAG_MS: i64 = 5_000;
/// How soon a position that lags is read again.
const POSITION_RETRY_MS: i64 = 200;

/// Why there is no plan now.
pub(crate) enum Stop {
    /// The venue's position does not show our own latest fill yet.
    Lag,
    /// There will be none.
    Refused(Refused),
    /// The venue did not answer as it should.
    Venue(VenueError),
    Ledger(LedgerError),
}

/// A plan that may be stored, and what it was made of.
struct Draft {
    plan: Plan,
    position: Position,
    numbers: Numbers,
}

impl From<Refused> for Stop {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

impl From<VenueError> for Stop {
    fn from(error: VenueError) -> Self {
        Self::Venue(error)
    }
}

impl From<LedgerError> for Stop {
    fn from(error: LedgerError) -> Self {
        Self::Ledger(error)
    }
}

impl<P: Ports> Desk<'_, P> {
    /// Decides the orders of a signal and stores them.
    pub(crate) async fn plan(
        &self,
        venue: &P::Venue,
        mut row: SignalRow,
        orders: &[OrderRow],
    ) -> Result<(), LedgerError> {
        match self.draft(venue, &row, orders).await {
            Ok(draft) if draft.plan.legs.is_empty() => {
                self.venue_answered()?;
                self.nothing_to_do(row, orders, draft.plan.summary)
            }
            Ok(draft) if row.data.signal.dry_run => self.dry_run(row, &draft.plan),
            Ok(draft) => {
                self.venue_answered()?;
                self.store_plan(row, orders, draft)
            }
            Err(Stop::Lag) => {
                row.due_at = self.now().plus_millis(POSITION_RETRY_MS);
                self.save_due(&row)
            }
            Err(Stop::Refused(refused)) => self.end_plan(row, orders, refused),
            Err(Stop::Venue(error)) => self.plan_failed(venue, row, orders, error).await,
            Err(Stop::Ledger(error)) => Err(error),
        }
    }

    async fn draft(
        &self,
        venue: &P::Venue,
        row: &SignalRow,
        orders: &[OrderRow],
    ) -> Result<Draft, Stop> {
        if self.now() > row.deadline {
            return Err(self.stale(row)?.into());
        }
        let signal = decide::rest(&row.data.signal, orders);
        let instrument = self.instrument(venue, row).await?;
        self.hold()?;
        let asked = self.now();
        let position = venue.position(row.product, &row.symbol).await?;
        if self.position_lags(row, &position, asked, POSITION_LAG_MS)? {
            return Err(Stop::Lag);
        }
        let price = if needs_market_price(&signal) {
            Some(self.market_price(venue, row).await?)
        } else {
            None
        };
        let planned = plan(&signal, &position, &instrument, price)?;
        let planned = self.restrict(row, planned, &position)?;
        let numbers = self.numbers(venue, row, &planned, price).await?;
        let planned = self.within_limits(row, planned, &position, &numbers)??;
        if let Some(leverage) = signal.leverage
            && planned.enters()
            && !signal.dry_run
            && position.leverage != Some(leverage)
        {
            self.hold()?;
            let (product, symbol) = (row.product, &row.symbol);
            venue.set_leverage(product, symbol, leverage).await?;
        }
        Ok(Draft {
            plan: planned,
            position,
            numbers,
        })
    }

    /// Why a signal waited too long: for the venue, or for the signals before it.
    fn stale(&self, row: &SignalRow) -> Result<Refused, LedgerError> {
        let store = self.store();
        let away = row.attempts > 0 || journal::venue_pause(store)? > self.now();
        Ok(if away {
            Refused::new(
                Code::Unavailable,
                "the venue could not be asked before the signal went stale",
            )
        } else {
            Refused::new(
                Code::Stale,
                "the signal waited longer than its maximal lag, so nothing more of it is sent",
            )
        })
    }

    async fn instrument(&self, venue: &P::Venue, row: &SignalRow) -> Result<Instrument, Stop> {
        let known = journal::cached_instrument(self.store(), row.product, &row.symbol, self.now())?;
        if let Some(instrument) = known {
            return Ok(instrument);
        }
        self.hold()?;
        let instrument = venue.instrument(row.product, &row.symbol).await?;
        journal::cache_instrument(self.store(), &instrument, self.now())?;
        Ok(instrument)
    }

    pub(crate) async fn market_price(
        &self,
        venue: &P::Venue,
        row: &SignalRow,
    ) -> Result<Price, Stop> {
        self.hold()?;
        let ticker = venue.ticker(row.product, &row.symbol).await?;
        Ok(ticker.mark.unwrap_or(ticker.last))
    }

    /// Whether the venue's position does not show our own latest fill yet. An answer is as old as its
    /// question, however long it was on its way.
    pub(crate) fn position_lags(
        &self,
        row: &SignalRow,
        position: &Position,
        asked: Timestamp,
        most_ms: i64,
    ) -> Result<bool, LedgerError> {
        let holding = journal::holding(self.store(), row.product, &row.symbol)?;
        Ok(holding.is_some_and(|known| {
            known.quantity != journal::signed(position) && asked.since(known.filled_at) < most_ms
        }))
    }

    /// Leaves only exits where the kill switch or an unsettled order forbids entries.
    fn restrict(&self, row: &SignalRow, planned: Plan, position: &Position) -> Result<Plan, Stop> {
        let mode = journal::kill_mode(self.store())?;
        let barrier = if mode != KillMode::Off {
            let text = format!(
                "the kill switch is engaged ({}), so the position is not made larger",
                mode.as_str()
            );
            Refused::new(Code::KillSwitch, text)
        } else if journal::unsettled(self.store(), row.product, &row.symbol)? {
            let text = format!(
                "an earlier order on {} could not be found out; settle it before entering again",
                row.symbol
            );
            Refused::new(Code::Unsettled, text)
        } else {
            return Ok(planned);
        };
        if !planned.enters() {
            return Ok(planned);
        }
        Ok(planned.exits_or(position, barrier)?)
    }

    /// Approves a plan and stores its orders, in one transaction: what one symbol's plan takes of a
    /// limit is taken before another one's is looked at.
    fn store_plan(
        &self,
        mut row: SignalRow,
        orders: &[OrderRow],
        draft: Draft,
    ) -> Result<(), LedgerError> {
        let first = u32::try_from(orders.len()).unwrap_or(u32::MAX);
        let Draft {
            plan,
            position,
            numbers,
        } = draft;
        let signed = journal::signed(&position);
        let mut refused = None;
        self.commit(|store, now| {
            let plan = match self.within_limits(&row, plan.clone(), &position, &numbers)? {
                Ok(plan) => plan,
                Err(reason) => {
                    refused = Some(reason);
                    return Ok(());
                }
            };
            row.status = SignalStatus::Planned;
            row.attempts = 0;
            row.due_at = now;
            row.data.notes.push(plan.summary);
            for (leg, number) in plan.legs.iter().zip(first..) {
                let mut order = new_order(&row, leg, number, first, now)?;
                order.insert(store)?;
                journal::save_order(store, &self.config.account, &mut order, now)?;
            }
            journal::note_position(store, row.product, &row.symbol, signed, now)?;
            journal::save_signal(store, &self.config.account, &mut row, now)
        })?;
        match refused {
            Some(refused) => self.end_plan(row, orders, refused),
            None => Ok(()),
        }
    }

    fn dry_run(&self, mut row: SignalRow, planned: &Plan) -> Result<(), LedgerError> {
        row.data.dry_run = planned
            .legs
            .iter()
            .zip(0..)
            .map(|(leg, number)| {
                let order = new_order(&row, leg, number, 0, self.now())?;
                Ok(OrderView {
                    status: "not_sent".to_owned(),
                    ..order.view()
                })
            })
            .collect::<Result<Vec<_>, LedgerError>>()?;
        let text = format!("{}; nothing was sent", planned.summary);
        self.end(row, &[], SignalStatus::DryRun, None, Some(text))
    }

    fn nothing_to_do(
        &self,
        row: SignalRow,
        orders: &[OrderRow],
        summary: String,
    ) -> Result<(), LedgerError> {
        if orders.is_empty() {
            return self.end(row, orders, SignalStatus::NothingToDo, None, Some(summary));
        }
        let (status, code, message) = decide::outcome(orders);
        self.end(row, orders, status, code, message)
    }

    /// Ends a signal that could not be planned, or not be planned again after a part of it was filled.
    fn end_plan(
        &self,
        row: SignalRow,
        orders: &[OrderRow],
        refused: Refused,
    ) -> Result<(), LedgerError> {
        let status = if decide::any_filled(orders) {
            SignalStatus::PartlyFilled
        } else {
            SignalStatus::Refused
        };
        self.end(
            row,
            orders,
            status,
            Some(refused.code),
            Some(refused.message),
        )
    }

    /// Fixes the outcome. Where something was traded, recording is left.
    pub(crate) fn end(
        &self,
        mut row: SignalRow,
        orders: &[OrderRow],
        status: SignalStatus,
        code: Option<Code>,
        message: Option<String>,
    ) -> Result<(), LedgerError> {
        row.end(status, code, message);
        row.open = decide::any_filled(orders);
        row.due_at = self.now();
        self.save(row)
    }

    /// A venue's error before anything was sent: final, or worth another try while the signal is fresh.
    async fn plan_failed(
        &self,
        venue: &P::Venue,
        mut row: SignalRow,
        orders: &[OrderRow],
        error: VenueError,
    ) -> Result<(), LedgerError> {
        if let Some(code) = decide::final_code(error.class) {
            return self.end_plan(row, orders, Refused::new(code, venue_words(&error)));
        }
        let due = self.next_try(venue, row.attempts, &error).await?;
        if due > row.deadline {
            let text =
                format!("the venue could not be asked before the signal went stale: {error}");
            return self.end_plan(row, orders, Refused::new(Code::Unavailable, text));
        }
        row.attempts = row.attempts.saturating_add(1);
        row.due_at = due;
        self.save_due(&row)
    }

    /// Forgets the rest of a plan whose closing leg ended short.
    pub(crate) fn plan_again(
        &self,
        mut row: SignalRow,
        mut orders: Vec<OrderRow>,
    ) -> Result<(), LedgerError> {
        row.status = SignalStatus::Received;
        row.due_at = self.now();
        let text = "the leg before ended short, so the plan was made anew";
        self.commit(|store, now| {
            journal::skip_planned(store, &self.config.account, &mut orders, text, now)?;
            journal::save_signal(store, &self.config.account, &mut row, now)
        })
    }

    /// The account cannot be used: its keys are missing, or its venue is not available.
    pub(crate) fn without_venue(
        &self,
        mut row: SignalRow,
        orders: &[OrderRow],
        problem: Problem,
    ) -> Result<(), LedgerError> {
        if row.status == SignalStatus::Received {
            return self.end_plan(row, orders, Refused::new(problem.code, problem.message));
        }
        // Orders may be out: keep looking until the account is usable again.
        row.attempts = row.attempts.saturating_add(1);
        row.due_at = self.now().plus_millis(decide::record_after(row.attempts));
        self.save_due(&row)
    }
}

fn new_order(
    row: &SignalRow,
    leg: &Leg,
    number: u32,
    plan: u32,
    now: Timestamp,
) -> Result<OrderRow, LedgerError> {
    let client_order_id = ClientOrderId::for_leg(&row.id, number)
        .map_err(|error| LedgerError::Corrupt(error.to_string()))?;
    Ok(OrderRow {
        signal_id: row.id.clone(),
        leg: number,
        state: OrderState::Planned,
        fence: 0,
        sent_at: None,
        revision: 0,
        data: OrderData {
            spec: OrderSpec {
                client_order_id,
                symbol: row.symbol.clone(),
                product: row.product,
                side: leg.side,
                kind: leg.kind,
                quantity: leg.quantity,
                effect: leg.effect,
                leg: None,
                close_all: false,
            },
            plan,
            doubts: 0,
            offset_ms: 0,
            seen_at: None,
            cancel_asked_at: None,
            cancels: 0,
            venue_order_id: None,
            filled: journal::NOTHING,
            average_price: None,
            fee: None,
            fee_currency: None,
            code: None,
            message: None,
            created_at: now,
            updated_at: now,
            recorded: journal::NOTHING,
        },
    })
}
