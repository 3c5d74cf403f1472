//! Carrying signals out: one bounded step after another, each committed before the next relies on it.

use hoox_exchange::{Clock, ErrorClass, LookUp, Venue, VenueError, matches};
use hoox_mesh::{AccountReport, Configure, KillMode, Problem, SignalStatus, SignalView};
use hoox_model::{
    ClientOrderId, Code, Decimal, Instrument, OrderSnapshot, OrderSpec, OrderStatus, Position,
    Side, SignalId, Timestamp,
};
use hoox_risk::{Plan, approve, needs_market_price, plan};
use hoox_store::{FillRecord, Record};

use crate::decide::{self, LOOK_UP_MS, MAX_SENDS, Next, RESEND_AFTER_MS};
use crate::journal::{self, Config, Lease};
use crate::port::{LedgerError, Ports, Random, Records, Store, atomic};
use crate::row::{OrderData, OrderRow, OrderState, SignalRow};
use crate::schema;

/// Steps of one run; what is left goes on with the alarm.
const MAX_STEPS: usize = 256;
/// Deliveries of one run.
const MAX_DELIVERIES: usize = 20;
/// How long a venue's position may lag behind our own fills before it is believed.
const POSITION_LAG_MS: i64 = 5_000;
/// Tries to record fills and position before the job is closed without them.
const MAX_RECORD_ATTEMPTS: u32 = 30;

/// One trading account's Ledger over its ports.
#[derive(Debug)]
pub struct Ledger<P> {
    ports: P,
}

/// What a run did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Driven {
    /// Steps taken.
    pub steps: usize,
    /// When the next one is due; `None` when nothing is left.
    pub next: Option<Timestamp>,
}

/// What a step needs of the account.
struct Desk<V> {
    config: Config,
    venue: V,
}

impl<P: Ports> Ledger<P> {
    /// Opens the Ledger as a new instance: brings the schema up to date and voids the leases of the
    /// instance before.
    ///
    /// # Errors
    /// [`LedgerError::Store`] where storage failed.
    pub fn open(ports: P) -> Result<Self, LedgerError> {
        schema::open(ports.store())?;
        Ok(Self { ports })
    }

    /// The Ledger of an instance that has opened it already: the schema stays, and so do the leases of
    /// runs that are under way.
    pub const fn attach(ports: P) -> Self {
        Self { ports }
    }

    /// The ports.
    pub const fn ports(&self) -> &P {
        &self.ports
    }

    fn now(&self) -> Timestamp {
        self.ports.clock().now()
    }

    /// Whether Control has told this Ledger its configuration and the kill switch.
    ///
    /// # Errors
    /// [`LedgerError`] where storage failed.
    pub fn is_configured(&self) -> Result<bool, LedgerError> {
        let store = self.ports.store();
        Ok(journal::kill(store)?.is_some())
    }

    /// Takes over Control's word and reports what is on its way.
    ///
    /// # Errors
    /// [`LedgerError`] where storage failed: then nothing is confirmed.
    pub fn configure(&self, message: &Configure) -> Result<AccountReport, LedgerError> {
        let store = self.ports.store();
        atomic(store, || journal::configure(store, message))?;
        Ok(AccountReport {
            account: message.account.name.clone(),
            confirmed: true,
            in_flight: journal::in_flight(store)?,
        })
    }

    /// A signal as answers show it, and whether its trading part needs no more waiting for.
    ///
    /// # Errors
    /// [`LedgerError`] where storage failed.
    pub fn view(&self, id: &SignalId) -> Result<Option<(SignalView, bool)>, LedgerError> {
        let store = self.ports.store();
        let Some(row) = SignalRow::by_id(store, id)? else {
            return Ok(None);
        };
        let view = row.view(&OrderRow::of(store, id)?);
        Ok(Some((view, !row.blocking)))
    }

    /// Does all that is due, delivers records, and sets the alarm for what comes next.
    ///
    /// # Errors
    /// [`LedgerError::Store`] where storage failed; the alarm that was set before still stands.
    pub async fn drive(&self) -> Result<Driven, LedgerError> {
        let mut steps = 0;
        while steps < MAX_STEPS {
            let Some((row, lease)) = self.claim()? else {
                break;
            };
            steps = steps.saturating_add(1);
            match self.step(row, &lease).await {
                Ok(()) => lease.release(self.ports.store())?,
                // Another run owns the lane now, and with it the signal.
                Err(LedgerError::LeaseLost) => {}
                Err(error) => {
                    lease.release(self.ports.store())?;
                    return Err(error);
                }
            }
        }
        self.deliver().await?;
        let next = self.arm()?;
        Ok(Driven { steps, next })
    }

    /// Sets the alarm to the next due step.
    ///
    /// # Errors
    /// [`LedgerError::Store`] where storage failed.
    pub fn arm(&self) -> Result<Option<Timestamp>, LedgerError> {
        let (store, now) = (self.ports.store(), self.now());
        let next = journal::next_alarm(store, now)?.map(|due| due.max(now));
        if let Some(due) = next {
            store.set_alarm(due)?;
        }
        Ok(next)
    }

    fn claim(&self) -> Result<Option<(SignalRow, Lease)>, LedgerError> {
        let (store, now) = (self.ports.store(), self.now());
        let token = hoox_model::sha256_hex(&self.ports.random().bytes()?);
        atomic(store, || {
            let Some(row) = journal::next_due(store, now)? else {
                return Ok(None);
            };
            let lease = Lease::take(
                store,
                row.product.as_str(),
                row.symbol.as_str(),
                token.clone(),
                now,
            )?;
            Ok(lease.map(|lease| (row, lease)))
        })
    }

    async fn step(&self, mut row: SignalRow, lease: &Lease) -> Result<(), LedgerError> {
        let store = self.ports.store();
        let Some(config) = journal::config(store)? else {
            return Err(LedgerError::Corrupt(
                "a signal without an account".to_owned(),
            ));
        };
        let mut orders = OrderRow::of(store, &row.id)?;
        let next = decide::next(&row, &orders);
        match next {
            Next::Conclude => return self.conclude(&config, &mut row, &orders),
            Next::PlanAgain => return self.plan_again(&config, &mut row, &mut orders),
            _ => {}
        }
        let venue = match self
            .ports
            .venue(&config.account, journal::clock_offset(store)?)
        {
            Ok(venue) => venue,
            Err(problem) => return self.without_venue(&config, row, &problem),
        };
        let desk = Desk { config, venue };
        match next {
            Next::Plan => self.plan(&desk, lease, row, &orders).await,
            Next::Send(index) => match orders.get_mut(index) {
                Some(order) => self.send(&desk, lease, row, order).await,
                None => Ok(()),
            },
            Next::LookUp(index) => match orders.get_mut(index) {
                Some(order) => self.look_up(&desk, lease, row, order).await,
                None => Ok(()),
            },
            Next::RecordFills(index) => match orders.get_mut(index) {
                Some(order) => self.record_fills(&desk, lease, row, order).await,
                None => Ok(()),
            },
            Next::RecordPosition => self.record_position(&desk, lease, row).await,
            Next::Conclude | Next::PlanAgain => Ok(()),
        }
    }

    // Planning.

    async fn plan(
        &self,
        desk: &Desk<P::Venue>,
        lease: &Lease,
        mut row: SignalRow,
        orders: &[OrderRow],
    ) -> Result<(), LedgerError> {
        let store = self.ports.store();
        let account = &desk.config.account;
        if self.now() > row.deadline {
            let text =
                "the signal waited longer than its maximal lag, so nothing more of it is sent";
            return self.end_plan(desk, row, orders, Code::Stale, text.to_owned());
        }
        let (instrument, position) = match self.market(desk, lease, &row).await? {
            Ok(market) => market,
            Err(error) => return self.plan_failed(desk, row, orders, error).await,
        };
        if self.position_lags(&row, &position)? {
            row.due_at = self.now().plus_millis(200);
            return atomic(store, || row.update(store));
        }
        let price = if needs_market_price(&row.data.signal) {
            lease.renew(store, self.now())?;
            match desk.venue.ticker(row.product, &row.symbol).await {
                Ok(ticker) => Some(ticker.mark.unwrap_or(ticker.last)),
                Err(error) => return self.plan_failed(desk, row, orders, error).await,
            }
        } else {
            None
        };
        let planned = match plan(&row.data.signal, &position, &instrument, price) {
            Ok(planned) => planned,
            Err(refused) => return self.end_plan(desk, row, orders, refused.code, refused.message),
        };
        let (planned, barrier) = self.restrict(&row, planned, &position)?;
        if planned.legs.is_empty() {
            return match barrier {
                Some((code, message)) => self.end_plan(desk, row, orders, code, message),
                None => self.nothing_to_do(account, row, orders, planned.summary),
            };
        }
        if row.data.signal.dry_run {
            return self.dry_run(account, row, &planned);
        }
        if let Some(leverage) = row.data.signal.leverage
            && planned.enters()
            && position.leverage != Some(leverage)
        {
            lease.renew(store, self.now())?;
            if let Err(error) = desk
                .venue
                .set_leverage(row.product, &row.symbol, leverage)
                .await
            {
                return self.plan_failed(desk, row, orders, error).await;
            }
        }
        lease.renew(store, self.now())?;
        self.store_plan(account, row, orders, &planned, &position)
    }

    /// Instrument and position; a venue's error is the inner result.
    async fn market(
        &self,
        desk: &Desk<P::Venue>,
        lease: &Lease,
        row: &SignalRow,
    ) -> Result<Result<(Instrument, Position), VenueError>, LedgerError> {
        let store = self.ports.store();
        let instrument =
            match journal::cached_instrument(store, row.product, &row.symbol, self.now())? {
                Some(instrument) => instrument,
                None => {
                    lease.renew(store, self.now())?;
                    match desk.venue.instrument(row.product, &row.symbol).await {
                        Ok(instrument) => {
                            journal::cache_instrument(store, &instrument, self.now())?;
                            instrument
                        }
                        Err(error) => return Ok(Err(error)),
                    }
                }
            };
        lease.renew(store, self.now())?;
        let position = desk.venue.position(row.product, &row.symbol).await;
        Ok(position.map(|position| (instrument, position)))
    }

    /// Whether the venue's position does not show our own latest fill yet.
    fn position_lags(&self, row: &SignalRow, position: &Position) -> Result<bool, LedgerError> {
        let holding = journal::holding(self.ports.store(), row.product, &row.symbol)?;
        Ok(holding.is_some_and(|known| {
            known.quantity != journal::signed(position)
                && self.now().since(known.filled_at) < POSITION_LAG_MS
        }))
    }

    /// Leaves only exits where the kill switch or an unsettled order forbids entries.
    fn restrict(
        &self,
        row: &SignalRow,
        planned: Plan,
        position: &Position,
    ) -> Result<(Plan, Option<(Code, String)>), LedgerError> {
        let store = self.ports.store();
        let mode = journal::kill(store)?.map_or(KillMode::Entries, |kill| kill.mode);
        if mode != KillMode::Off {
            let text = format!(
                "the kill switch is engaged ({}), so the position is not made larger",
                mode.as_str()
            );
            return Ok((planned.exits_only(position), Some((Code::KillSwitch, text))));
        }
        if journal::unsettled(store, row.product, &row.symbol)? {
            let text = format!(
                "an earlier order on {} could not be found out; settle it before entering again",
                row.symbol
            );
            return Ok((planned.exits_only(position), Some((Code::Unsettled, text))));
        }
        Ok((planned, None))
    }

    fn store_plan(
        &self,
        account: &hoox_auth::Account,
        mut row: SignalRow,
        orders: &[OrderRow],
        planned: &Plan,
        position: &Position,
    ) -> Result<(), LedgerError> {
        let (store, now) = (self.ports.store(), self.now());
        let first = u32::try_from(orders.len()).unwrap_or(u32::MAX);
        let mut fresh = Vec::new();
        for (leg, number) in planned.legs.iter().zip(first..) {
            let client_order_id = ClientOrderId::for_leg(&row.id, number)
                .map_err(|error| LedgerError::Corrupt(error.to_string()))?;
            fresh.push(OrderRow {
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
                        reduce_only: leg.reduce_only,
                    },
                    closing: leg.reduce_only,
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
            });
        }
        row.status = SignalStatus::Planned;
        row.attempts = 0;
        row.due_at = now;
        row.data.notes.push(planned.summary.clone());
        atomic(store, || {
            for order in &mut fresh {
                order.insert(store)?;
                journal::save_order(store, account, order, now)?;
            }
            journal::note_position(
                store,
                row.product,
                &row.symbol,
                journal::signed(position),
                now,
            )?;
            journal::save_signal(store, account, &mut row, now)
        })
    }

    fn dry_run(
        &self,
        account: &hoox_auth::Account,
        mut row: SignalRow,
        planned: &Plan,
    ) -> Result<(), LedgerError> {
        let (store, now) = (self.ports.store(), self.now());
        row.data.dry_run = planned
            .legs
            .iter()
            .zip(0..)
            .filter_map(|(leg, number)| {
                Some(hoox_mesh::OrderView {
                    client_order_id: ClientOrderId::for_leg(&row.id, number).ok()?,
                    symbol: row.symbol.clone(),
                    side: leg.side,
                    order_type: leg.kind.as_str().to_owned(),
                    quantity: leg.quantity,
                    price: leg.kind.price(),
                    reduce_only: leg.reduce_only,
                    status: "not_sent".to_owned(),
                    filled_quantity: journal::NOTHING,
                    average_price: None,
                })
            })
            .collect();
        row.end(
            SignalStatus::DryRun,
            None,
            Some(format!("{}; nothing was sent", planned.summary)),
        );
        row.due_at = now;
        atomic(store, || {
            journal::save_signal(store, account, &mut row, now)
        })
    }

    fn nothing_to_do(
        &self,
        account: &hoox_auth::Account,
        mut row: SignalRow,
        orders: &[OrderRow],
        summary: String,
    ) -> Result<(), LedgerError> {
        let (store, now) = (self.ports.store(), self.now());
        if orders.is_empty() {
            row.end(SignalStatus::NothingToDo, None, Some(summary));
        } else {
            let (status, code, message) = decide::outcome(orders);
            row.end(status, code, message);
        }
        row.due_at = now;
        atomic(store, || {
            journal::save_signal(store, account, &mut row, now)
        })
    }

    /// Ends a signal that could not be planned, or not be planned again after a part of it was filled.
    fn end_plan(
        &self,
        desk: &Desk<P::Venue>,
        mut row: SignalRow,
        orders: &[OrderRow],
        code: Code,
        message: String,
    ) -> Result<(), LedgerError> {
        let (store, now) = (self.ports.store(), self.now());
        let filled = orders.iter().any(|order| !order.data.filled.is_zero());
        let status = if filled {
            SignalStatus::PartlyFilled
        } else {
            SignalStatus::Refused
        };
        row.end(status, Some(code), Some(message));
        row.due_at = now;
        atomic(store, || {
            journal::save_signal(store, &desk.config.account, &mut row, now)
        })
    }

    /// A venue's error before anything was sent: final, or worth another try while the signal is fresh.
    async fn plan_failed(
        &self,
        desk: &Desk<P::Venue>,
        mut row: SignalRow,
        orders: &[OrderRow],
        error: VenueError,
    ) -> Result<(), LedgerError> {
        if let Some(code) = final_code(error.class) {
            return self.end_plan(desk, row, orders, code, venue_words(&error));
        }
        let due = self.next_try(desk, row.attempts, &error).await?;
        if due > row.deadline {
            let text =
                format!("the venue could not be asked before the signal went stale: {error}");
            return self.end_plan(desk, row, orders, Code::Unavailable, text);
        }
        let store = self.ports.store();
        row.attempts = row.attempts.saturating_add(1);
        row.due_at = due;
        atomic(store, || row.update(store))
    }

    fn plan_again(
        &self,
        config: &Config,
        row: &mut SignalRow,
        orders: &mut [OrderRow],
    ) -> Result<(), LedgerError> {
        let (store, now) = (self.ports.store(), self.now());
        row.status = SignalStatus::Received;
        row.due_at = now;
        atomic(store, || {
            for order in orders
                .iter_mut()
                .filter(|order| order.state == OrderState::Planned)
            {
                order.state = OrderState::Skipped;
                order.data.message =
                    Some("the leg before ended short, so the plan was made anew".to_owned());
                journal::save_order(store, &config.account, order, now)?;
            }
            journal::save_signal(store, &config.account, row, now)
        })
    }

    fn without_venue(
        &self,
        config: &Config,
        mut row: SignalRow,
        problem: &Problem,
    ) -> Result<(), LedgerError> {
        let (store, now) = (self.ports.store(), self.now());
        if row.status == SignalStatus::Received {
            row.end(
                SignalStatus::Refused,
                Some(problem.code),
                Some(problem.message.clone()),
            );
            row.open = false;
            return atomic(store, || {
                journal::save_signal(store, &config.account, &mut row, now)
            });
        }
        // Orders may be out: keep looking until the account is usable again.
        row.attempts = row.attempts.saturating_add(1);
        row.due_at = now.plus_millis(decide::retry_after(row.attempts, 255, Some(5_000)));
        atomic(store, || row.update(store))
    }

    // Sending.

    async fn send(
        &self,
        desk: &Desk<P::Venue>,
        lease: &Lease,
        mut row: SignalRow,
        order: &mut OrderRow,
    ) -> Result<(), LedgerError> {
        let store = self.ports.store();
        let account = &desk.config.account;
        let now = self.now();
        let mode = journal::kill(store)?.map_or(KillMode::Entries, |kill| kill.mode);
        let approved = match approve(order.data.spec.clone(), mode, row.deadline, now) {
            Ok(approved) => approved,
            Err(refused) => {
                order.state = OrderState::Skipped;
                order.data.code = Some(refused.code);
                order.data.message = Some(refused.message);
                row.due_at = now;
                return atomic(store, || {
                    journal::save_order(store, account, order, now)?;
                    row.update(store)
                });
            }
        };
        // From here to the first poll of the venue's future nothing is awaited: the platform holds the
        // request back until the fence is durable.
        lease.renew(store, now)?;
        let passed = atomic(store, || {
            if !journal::fence(store, lease, order.id(), row.deadline, now)? {
                return Ok(false);
            }
            order.state = OrderState::Sending;
            order.fence = order.fence.saturating_add(1);
            order.sent_at = order.sent_at.or(Some(now));
            row.status = SignalStatus::Sending;
            row.due_at = now;
            journal::save_order(store, account, order, now)?;
            journal::save_signal(store, account, &mut row, now)?;
            Ok(true)
        })?;
        if !passed {
            return Err(LedgerError::LeaseLost);
        }
        let answer = desk.venue.place_order(approved.spec()).await;
        self.sent(desk, lease, row, order, answer).await
    }

    /// What the venue's answer to a send means.
    async fn sent(
        &self,
        desk: &Desk<P::Venue>,
        lease: &Lease,
        mut row: SignalRow,
        order: &mut OrderRow,
        answer: Result<hoox_exchange::Ack, VenueError>,
    ) -> Result<(), LedgerError> {
        let store = self.ports.store();
        let account = &desk.config.account;
        row.due_at = self.now();
        match answer {
            Ok(ack) => {
                order.state = OrderState::Acknowledged;
                order.data.venue_order_id = Some(ack.venue_order_id);
                row.attempts = 0;
            }
            Err(error) if order.fence > 1 && error.class.is_definite() => {
                // An earlier send of the same id may have arrived: only a look-up can tell.
                row.due_at = self.now().plus_millis(500);
                order.data.message = Some(venue_words(&error));
            }
            Err(error) => match final_code(error.class) {
                Some(code) => {
                    order.state = OrderState::Rejected;
                    order.data.code = Some(code);
                    order.data.message = Some(venue_words(&error));
                }
                None if error.class.is_definite() => {
                    // Surely not done: back to planned, and through the fence again while it is fresh.
                    order.state = OrderState::Planned;
                    row.due_at = self.next_try(desk, row.attempts, &error).await?;
                    row.attempts = row.attempts.saturating_add(1);
                    if row.due_at > row.deadline || order.fence >= MAX_SENDS {
                        order.state = OrderState::Rejected;
                        order.data.code = Some(Code::Unavailable);
                        order.data.message = Some(venue_words(&error));
                        row.due_at = self.now();
                    }
                }
                None => {
                    let wait = if error.class == ErrorClass::Duplicate {
                        0
                    } else {
                        250
                    };
                    row.due_at = self.now().plus_millis(wait);
                    order.data.message = Some(venue_words(&error));
                }
            },
        }
        let now = self.now();
        lease.renew(store, now)?;
        atomic(store, || {
            journal::save_order(store, account, order, now)?;
            journal::save_signal(store, account, &mut row, now)
        })
    }

    // Finding out.

    async fn look_up(
        &self,
        desk: &Desk<P::Venue>,
        lease: &Lease,
        mut row: SignalRow,
        order: &mut OrderRow,
    ) -> Result<(), LedgerError> {
        let store = self.ports.store();
        lease.renew(store, self.now())?;
        let answer = desk
            .venue
            .look_up(row.product, &row.symbol, order.id())
            .await;
        let now = self.now();
        let sent_at = order.sent_at.unwrap_or(order.data.created_at);
        row.due_at = now.plus_millis(decide::poll_after(sent_at, now));
        match answer {
            Ok(LookUp::Found(found)) => {
                let offset = journal::clock_offset(store)?;
                match matches(&order.data.spec, &found, sent_at.plus_millis(offset)) {
                    Ok(()) => return self.adopt(desk, lease, row, order, &found),
                    Err(mismatch) => {
                        give_up(
                            order,
                            format!("the venue has an order under this id, but {mismatch}"),
                        );
                        row.due_at = now;
                    }
                }
            }
            Ok(LookUp::NotFound) => self.not_found(desk, &mut row, order, sent_at, now),
            Err(error) => {
                row.due_at = self.next_try(desk, row.attempts, &error).await?;
                row.attempts = row.attempts.saturating_add(1);
                if now.since(sent_at) > LOOK_UP_MS {
                    give_up(
                        order,
                        format!("the venue could not be asked for 10 minutes: {error}"),
                    );
                    row.due_at = now;
                }
            }
        }
        lease.renew(store, now)?;
        atomic(store, || {
            journal::save_order(store, &desk.config.account, order, now)?;
            row.update(store)
        })
    }

    /// Not found proves nothing. Where ids are unique for ever, sending the same order again is safe
    /// while it is fresh; elsewhere, and later, only looking on is left.
    fn not_found(
        &self,
        desk: &Desk<P::Venue>,
        row: &mut SignalRow,
        order: &mut OrderRow,
        sent_at: Timestamp,
        now: Timestamp,
    ) {
        let age = now.since(sent_at);
        if age > LOOK_UP_MS {
            give_up(
                order,
                "the venue did not show the order for 10 minutes; look there and settle it"
                    .to_owned(),
            );
            row.due_at = now;
        } else if order.state == OrderState::Sending
            && desk.venue.traits().client_order_ids_unique_for_ever
            && order.fence < MAX_SENDS
            && age >= RESEND_AFTER_MS.saturating_mul(order.fence)
            && now <= row.deadline
        {
            order.state = OrderState::Planned;
            row.due_at = now;
        }
    }

    /// Takes over what the venue says of our order.
    fn adopt(
        &self,
        desk: &Desk<P::Venue>,
        lease: &Lease,
        mut row: SignalRow,
        order: &mut OrderRow,
        found: &OrderSnapshot,
    ) -> Result<(), LedgerError> {
        let (store, now) = (self.ports.store(), self.now());
        let account = &desk.config.account;
        let more = found.filled.minus_or_zero(order.data.filled);
        let partly = !found.filled.is_zero();
        order.state = match found.status {
            OrderStatus::Filled => OrderState::Filled,
            OrderStatus::Cancelled => OrderState::Cancelled,
            OrderStatus::Rejected => OrderState::Rejected,
            OrderStatus::New | OrderStatus::PartiallyFilled if partly => OrderState::PartlyFilled,
            OrderStatus::New | OrderStatus::PartiallyFilled => OrderState::Acknowledged,
        };
        order.data.venue_order_id = Some(found.venue_order_id.clone());
        order.data.filled = order.data.filled.max(found.filled);
        order.data.average_price = found.average_price.or(order.data.average_price);
        order.data.fee = found.fee.or(order.data.fee);
        order.data.message = None;
        if matches!(order.state, OrderState::Cancelled | OrderState::Rejected) {
            let reason = found
                .reason
                .clone()
                .unwrap_or_else(|| "no reason given".to_owned());
            order.data.code = Some(Code::Rejected);
            order.data.message = Some(format!("the venue ended the order: {reason}"));
        }
        row.attempts = 0;
        if order.state.is_final() {
            row.due_at = now;
        } else {
            row.status = SignalStatus::Acknowledged;
            // A resting order waits for its price; later signals do not wait for it.
            row.blocking = !decide::may_rest(order.data.spec.kind);
        }
        lease.renew(store, now)?;
        atomic(store, || {
            if !more.is_zero() {
                let signed = match order.data.spec.side {
                    Side::Buy => more.get(),
                    Side::Sell => -more.get(),
                };
                journal::add_fill(store, row.product, &row.symbol, signed, now)?;
            }
            journal::save_order(store, account, order, now)?;
            journal::save_signal(store, account, &mut row, now)
        })
    }

    fn conclude(
        &self,
        config: &Config,
        row: &mut SignalRow,
        orders: &[OrderRow],
    ) -> Result<(), LedgerError> {
        let (store, now) = (self.ports.store(), self.now());
        let (status, code, message) = decide::outcome(orders);
        row.end(status, code, message);
        row.due_at = now;
        atomic(store, || {
            journal::save_signal(store, &config.account, row, now)
        })
    }

    // Recording.

    async fn record_fills(
        &self,
        desk: &Desk<P::Venue>,
        lease: &Lease,
        mut row: SignalRow,
        order: &mut OrderRow,
    ) -> Result<(), LedgerError> {
        let store = self.ports.store();
        let account = &desk.config.account;
        lease.renew(store, self.now())?;
        let fills = desk.venue.fills(row.product, &row.symbol, order.id()).await;
        let now = self.now();
        lease.renew(store, now)?;
        row.attempts = row.attempts.saturating_add(1);
        row.due_at = now.plus_millis(decide::retry_after(row.attempts, 255, None));
        let fills = fills.unwrap_or_default();
        let total: Decimal = fills.iter().map(|fill| fill.quantity.get()).sum();
        let complete = total >= order.data.filled.get();
        let give_up = row.attempts >= MAX_RECORD_ATTEMPTS;
        if complete || give_up {
            order.data.recorded = order.data.filled;
            row.attempts = 0;
            row.due_at = now;
        }
        atomic(store, || {
            for fill in &fills {
                journal::enqueue(store, 1, &Record::Fill(fill_record(account, order, fill)))?;
            }
            if complete && !fills.is_empty() {
                order.data.fee = total_fee(&fills).or(order.data.fee);
                order.data.fee_currency = fills.first().and_then(|fill| fill.fee_currency.clone());
            }
            journal::save_order(store, account, order, now)?;
            row.update(store)
        })
    }

    async fn record_position(
        &self,
        desk: &Desk<P::Venue>,
        lease: &Lease,
        mut row: SignalRow,
    ) -> Result<(), LedgerError> {
        let store = self.ports.store();
        let traded = OrderRow::of(store, &row.id)?
            .iter()
            .any(|order| !order.data.filled.is_zero());
        if !traded {
            row.open = false;
            return atomic(store, || row.update(store));
        }
        lease.renew(store, self.now())?;
        let position = desk.venue.position(row.product, &row.symbol).await;
        let now = self.now();
        lease.renew(store, now)?;
        row.attempts = row.attempts.saturating_add(1);
        row.due_at = now.plus_millis(decide::retry_after(row.attempts, 255, None));
        let settled = match &position {
            Ok(position) => !self.position_lags(&row, position)?,
            Err(_) => false,
        };
        if settled || row.attempts >= MAX_RECORD_ATTEMPTS {
            row.open = false;
        }
        atomic(store, || {
            if let (true, Ok(position)) = (settled, &position) {
                let revision = journal::note_position(
                    store,
                    row.product,
                    &row.symbol,
                    journal::signed(position),
                    now,
                )?;
                let record =
                    journal::position_record(&desk.config.account, row.product, position, now);
                journal::enqueue(store, revision, &Record::Position(record))?;
            }
            row.update(store)
        })
    }

    async fn deliver(&self) -> Result<(), LedgerError> {
        let store = self.ports.store();
        for _ in 0..MAX_DELIVERIES {
            let rows = journal::outbox_due(store, self.now())?;
            if rows.is_empty() {
                break;
            }
            match self.ports.records().deliver(&rows).await {
                Ok(()) => atomic(store, || journal::outbox_delivered(store, &rows))?,
                Err(_) => return atomic(store, || journal::outbox_failed(store, self.now())),
            }
        }
        Ok(())
    }

    /// When a step that failed is tried again; a clock that is off is put right first.
    async fn next_try(
        &self,
        desk: &Desk<P::Venue>,
        attempts: u32,
        error: &VenueError,
    ) -> Result<Timestamp, LedgerError> {
        let store = self.ports.store();
        if error.class == ErrorClass::ClockSkew
            && let Ok(offset) = desk.venue.sync_clock().await
        {
            journal::set_clock_offset(store, offset)?;
            if attempts == 0 {
                return Ok(self.now());
            }
        }
        let chance = self.ports.random().bytes()?.first().copied().unwrap_or(0);
        Ok(self
            .now()
            .plus_millis(decide::retry_after(attempts, chance, error.retry_after_ms)))
    }
}

/// The code of an error that no other try can mend; `None` for the others.
const fn final_code(class: ErrorClass) -> Option<Code> {
    match class {
        ErrorClass::Rejected => Some(Code::Rejected),
        ErrorClass::UnknownSymbol => Some(Code::UnknownSymbol),
        ErrorClass::Location => Some(Code::Location),
        ErrorClass::Credentials => Some(Code::Credentials),
        ErrorClass::RateLimited
        | ErrorClass::ClockSkew
        | ErrorClass::Unavailable
        | ErrorClass::Unknown
        | ErrorClass::Duplicate => None,
    }
}

fn venue_words(error: &VenueError) -> String {
    match error.class {
        ErrorClass::Location => format!(
            "the venue refuses calls from this region: {error}; change the account's locationHint and generation"
        ),
        ErrorClass::Credentials => {
            format!(
                "the venue refuses the API key: {error}; check the key, its rights and its expiry"
            )
        }
        _ => format!("the venue answered: {error}"),
    }
}

fn give_up(order: &mut OrderRow, message: String) {
    order.state = OrderState::Unknown;
    order.data.code = Some(Code::Unknown);
    order.data.message = Some(message);
}

fn fill_record(
    account: &hoox_auth::Account,
    order: &OrderRow,
    fill: &hoox_model::Fill,
) -> FillRecord {
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

fn total_fee(fills: &[hoox_model::Fill]) -> Option<hoox_model::Amount> {
    let mut total = Decimal::ZERO;
    for fill in fills {
        total = total.checked_add(fill.fee.get())?;
    }
    hoox_model::Amount::try_from(total).ok()
}
