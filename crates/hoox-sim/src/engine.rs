//! The matching engine of one venue: one account, one-way positions, one price per symbol.
//!
//! In scope: order checks, matching against a single price of unlimited depth, fills, fees, margin,
//! positions, take-profit and stop-loss of a whole position.
//! Out of scope: an order book, funding, liquidation, hedge mode, several accounts.
//!
//! It does no I/O and reads no clock: each call is told the time, so that every run can be replayed.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::exact::{self, Overflow};
use crate::instrument::Instrument;
use crate::order::{
    CancelCause, Fill, Order, OrderKind, Origin, Position, Side, Status, TimeInForce,
};
use crate::walk;

/// Most orders kept; the ids of all of them stay taken.
pub(crate) const MAX_ORDERS: usize = 100_000;
/// Most open orders in one symbol.
pub(crate) const MAX_OPEN_PER_SYMBOL: usize = 500;
/// Leverage of a symbol before it is set.
const DEFAULT_LEVERAGE: u32 = 10;

/// Why the engine refuses; each venue has its own code for each.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The venue does not list the symbol.
    #[error("unknown symbol")]
    UnknownSymbol,
    /// Below the smallest quantity.
    #[error("quantity below the minimum")]
    QuantityTooSmall,
    /// Above the largest quantity for the order type.
    #[error("quantity above the maximum")]
    QuantityTooLarge,
    /// Not a multiple of the quantity step.
    #[error("quantity is not a multiple of the step")]
    QuantityStep,
    /// A limit order without a price.
    #[error("a limit order needs a price")]
    PriceMissing,
    /// Not a multiple of the tick.
    #[error("price is not a multiple of the tick")]
    PriceTick,
    /// Outside the instrument's price range.
    #[error("price out of range")]
    PriceRange,
    /// Price × quantity below the minimum.
    #[error("notional below {minimum}")]
    NotionalTooSmall {
        /// The instrument's minimum, in quote coin.
        minimum: Decimal,
    },
    /// Not enough margin for what the order would open.
    #[error("available balance does not cover the order")]
    InsufficientMargin,
    /// A reduce-only order without a position.
    #[error("no position to reduce")]
    NoPosition,
    /// A reduce-only order in the direction of the position.
    #[error("a reduce-only order must be opposite to the position")]
    WouldIncrease,
    /// The client order id was used before, whatever became of that order.
    #[error("client order id is taken")]
    DuplicateClientId,
    /// Too many open orders in the symbol.
    #[error("too many open orders")]
    TooManyOpen,
    /// No open order has this id.
    #[error("no such open order")]
    OrderNotFound,
    /// Leverage already has this value.
    #[error("leverage is unchanged")]
    LeverageUnchanged,
    /// Leverage outside the instrument's range.
    #[error("leverage out of range")]
    LeverageRange,
    /// A take-profit or stop-loss on the wrong side of the price, or unchanged.
    #[error("take-profit or stop-loss is on the wrong side of the price")]
    ProtectionSide,
    /// The simulator keeps no more orders.
    #[error("the simulator is full")]
    Full,
    /// An amount left the range of exact decimals.
    #[error(transparent)]
    Overflow(#[from] Overflow),
}

/// How much to trade.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Size {
    /// This much base coin.
    Exactly(Decimal),
    /// The whole position, up to the largest order.
    WholePosition,
}

/// What the account holder asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OrderRequest {
    /// Symbol as the venue spells it.
    pub(crate) symbol: String,
    /// Direction.
    pub(crate) side: Side,
    /// Market or limit.
    pub(crate) kind: OrderKind,
    /// How long it may rest; ignored for market orders.
    pub(crate) time_in_force: TimeInForce,
    /// How much.
    pub(crate) size: Size,
    /// Limit price; ignored for market orders.
    pub(crate) price: Option<Decimal>,
    /// May only make the position smaller.
    pub(crate) reduce_only: bool,
    /// The venue's close-on-trigger flag; implies `reduce_only`.
    pub(crate) close_on_trigger: bool,
    /// The account holder's id.
    pub(crate) client_id: Option<String>,
    /// Take-profit price for the position.
    pub(crate) take_profit: Option<Decimal>,
    /// Stop-loss price for the position.
    pub(crate) stop_loss: Option<Decimal>,
}

/// Injected behaviour of one order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Twist {
    /// Reaches the book this many ms after acceptance.
    pub(crate) fill_delay_ms: i64,
    /// Look-ups do not show it for this many ms.
    pub(crate) lookup_lag_ms: i64,
    /// The first fill is at most this much.
    pub(crate) fill_cap: Option<Decimal>,
}

/// Take-profit or stop-loss: leave it, remove it or set it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// As it was.
    Keep,
    /// None any more.
    Remove,
    /// At this price.
    Set(Decimal),
}

/// Price, leverage and position of one symbol.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Market {
    /// Last price; also the mark price.
    pub(crate) price: Decimal,
    /// Set by hand: the walk has stopped.
    pub(crate) pinned: bool,
    /// Steps walked so far.
    pub(crate) steps: u64,
    /// Leverage for new positions.
    pub(crate) leverage: Decimal,
    /// The position.
    pub(crate) position: Position,
}

/// The account in numbers, all in quote coin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Summary {
    /// Initial balance + realised profit − fees.
    pub(crate) wallet: Decimal,
    /// Profit of the open positions at the present prices.
    pub(crate) unrealised: Decimal,
    /// Margin of the open positions.
    pub(crate) position_margin: Decimal,
    /// Margin of the resting orders.
    pub(crate) order_margin: Decimal,
    /// What new orders can use; never negative.
    pub(crate) available: Decimal,
    /// Realised profit less fees of all time.
    pub(crate) realised: Decimal,
}

/// Fee rates of the account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fees {
    /// For orders that fill at once.
    pub(crate) taker: Decimal,
    /// For orders that rested.
    pub(crate) maker: Decimal,
}

/// What survives a restart.
#[derive(Debug, Serialize, Deserialize)]
struct Book<Markets, Orders, Fills> {
    seed: u64,
    initial_balance: Decimal,
    wallet: Decimal,
    markets: Markets,
    orders: Orders,
    fills: Fills,
    /// Closed orders up to this sequence are only in the history.
    forgotten: u64,
}

/// One venue's account, markets, orders and fills.
#[derive(Debug, Clone)]
pub(crate) struct Engine {
    instruments: BTreeMap<String, Instrument>,
    fees: Fees,
    seed: u64,
    initial_balance: Decimal,
    wallet: Decimal,
    markets: BTreeMap<String, Market>,
    orders: BTreeMap<u64, Order>,
    fills: Vec<Fill>,
    forgotten: u64,
    open: BTreeSet<u64>,
    by_id: BTreeMap<String, u64>,
    by_client_id: BTreeMap<String, u64>,
    revision: u64,
}

impl Engine {
    /// A fresh account with `balance` quote coins.
    pub(crate) fn new(
        instruments: Vec<Instrument>,
        fees: Fees,
        balance: Decimal,
        seed: u64,
    ) -> Self {
        let markets = instruments
            .iter()
            .map(|instrument| {
                let market = Market {
                    price: instrument.first_price,
                    pinned: false,
                    steps: 0,
                    leverage: Decimal::from(DEFAULT_LEVERAGE),
                    position: Position::default(),
                };
                (instrument.symbol.clone(), market)
            })
            .collect();
        Self {
            instruments: instruments
                .into_iter()
                .map(|instrument| (instrument.symbol.clone(), instrument))
                .collect(),
            fees,
            seed,
            initial_balance: balance,
            wallet: balance,
            markets,
            orders: BTreeMap::new(),
            fills: Vec::new(),
            forgotten: 0,
            open: BTreeSet::new(),
            by_id: BTreeMap::new(),
            by_client_id: BTreeMap::new(),
            revision: 0,
        }
    }

    /// The state as JSON text.
    ///
    /// # Errors
    /// Only if the state cannot be written as JSON.
    pub(crate) fn save(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(&Book {
            seed: self.seed,
            initial_balance: self.initial_balance,
            wallet: self.wallet,
            markets: &self.markets,
            orders: self.orders.values().collect::<Vec<_>>(),
            fills: &self.fills,
            forgotten: self.forgotten,
        })
    }

    /// Takes over a state written by [`Engine::save`]; instruments and fees stay this engine's own.
    ///
    /// # Errors
    /// If the text is no such state.
    pub(crate) fn restore(&mut self, text: &str) -> Result<(), serde_json::Error> {
        let book: Book<BTreeMap<String, Market>, Vec<Order>, Vec<Fill>> =
            serde_json::from_str(text)?;
        self.seed = book.seed;
        self.initial_balance = book.initial_balance;
        self.wallet = book.wallet;
        for (symbol, market) in book.markets {
            if self.instruments.contains_key(&symbol) {
                self.markets.insert(symbol, market);
            }
        }
        self.open = book
            .orders
            .iter()
            .filter(|order| order.status.is_open())
            .map(|order| order.sequence)
            .collect();
        self.by_id = book
            .orders
            .iter()
            .map(|order| (order.id.clone(), order.sequence))
            .collect();
        self.by_client_id = book
            .orders
            .iter()
            .filter_map(|order| Some((order.client_id.clone()?, order.sequence)))
            .collect();
        self.orders = book
            .orders
            .into_iter()
            .map(|order| (order.sequence, order))
            .collect();
        self.fills = book.fills;
        self.forgotten = book.forgotten;
        Ok(())
    }

    /// Grows with every change: tells whether the state must be saved again.
    pub(crate) fn revision(&self) -> u64 {
        self.revision
    }

    /// Listed instruments, by symbol.
    pub(crate) fn instruments(&self) -> impl DoubleEndedIterator<Item = &Instrument> {
        self.instruments.values()
    }

    /// One instrument.
    pub(crate) fn instrument(&self, symbol: &str) -> Option<&Instrument> {
        self.instruments.get(symbol)
    }

    /// One market.
    pub(crate) fn market(&self, symbol: &str) -> Option<&Market> {
        self.markets.get(symbol)
    }

    /// Every order ever accepted, oldest first.
    pub(crate) fn orders(&self) -> impl DoubleEndedIterator<Item = &Order> {
        self.orders.values()
    }

    /// Every fill, oldest first.
    pub(crate) fn fills(&self) -> impl DoubleEndedIterator<Item = &Fill> {
        self.fills.iter()
    }

    /// The order with this venue id.
    pub(crate) fn order_by_id(&self, id: &str) -> Option<&Order> {
        self.orders.get(self.by_id.get(id)?)
    }

    /// The order with this client id.
    pub(crate) fn order_by_client_id(&self, client_id: &str) -> Option<&Order> {
        self.orders.get(self.by_client_id.get(client_id)?)
    }

    /// Fee rates.
    pub(crate) fn fees(&self) -> Fees {
        self.fees
    }

    /// Open orders, oldest first.
    pub(crate) fn open_orders(&self) -> impl DoubleEndedIterator<Item = &Order> {
        self.open
            .iter()
            .filter_map(|sequence| self.orders.get(sequence))
    }

    /// The venue's short memory: up to `most` closed orders, newest first.
    pub(crate) fn recent_closed(&self, most: usize) -> impl Iterator<Item = &Order> {
        let remembered = (Bound::Excluded(self.forgotten), Bound::Unbounded);
        self.orders
            .range(remembered)
            .rev()
            .map(|(_, order)| order)
            .filter(|order| !order.status.is_open())
            .take(most)
    }

    /// Whether the order is open or among the `most` closed orders of the short memory.
    pub(crate) fn remembers(&self, order: &Order, most: usize) -> bool {
        order.status.is_open()
            || self
                .recent_closed(most)
                .take_while(|recent| recent.sequence >= order.sequence)
                .any(|recent| recent.sequence == order.sequence)
    }

    /// Clears the short memory of closed orders, as a restart of the venue does; the history keeps them.
    pub(crate) fn forget_closed(&mut self) {
        self.forgotten = self.orders.keys().next_back().copied().unwrap_or_default();
        self.touch();
    }

    /// Accepts an order or says why not, then lets it fill as far as it can.
    ///
    /// # Errors
    /// A [`Refusal`] changes nothing.
    pub(crate) fn create(
        &mut self,
        request: &OrderRequest,
        twist: Twist,
        now_ms: i64,
    ) -> Result<Order, Refusal> {
        self.advance(now_ms);
        let order = self.check(request, twist, now_ms)?;
        let sequence = order.sequence;
        self.insert(order);
        self.match_symbol(&request.symbol, now_ms);
        self.orders
            .get(&sequence)
            .cloned()
            .ok_or(Refusal::OrderNotFound)
    }

    /// Cancels one open order by its sequence.
    ///
    /// # Errors
    /// [`Refusal::OrderNotFound`] if it is not open.
    pub(crate) fn cancel(&mut self, sequence: u64, now_ms: i64) -> Result<Order, Refusal> {
        self.advance(now_ms);
        if !self.open.contains(&sequence) {
            return Err(Refusal::OrderNotFound);
        }
        self.end(sequence, Status::Cancelled, Some(CancelCause::User), now_ms);
        self.orders
            .get(&sequence)
            .cloned()
            .ok_or(Refusal::OrderNotFound)
    }

    /// Cancels all open orders of the named symbol, or of all symbols, oldest first.
    pub(crate) fn cancel_all(&mut self, symbol: Option<&str>, now_ms: i64) -> Vec<Order> {
        self.advance(now_ms);
        let chosen: Vec<u64> = self
            .open_orders()
            .filter(|order| symbol.is_none_or(|symbol| order.symbol == symbol))
            .map(|order| order.sequence)
            .collect();
        chosen
            .into_iter()
            .filter_map(|sequence| {
                self.end(sequence, Status::Cancelled, Some(CancelCause::User), now_ms);
                self.orders.get(&sequence).cloned()
            })
            .collect()
    }

    /// Sets the leverage of a symbol.
    ///
    /// # Errors
    /// [`Refusal::LeverageUnchanged`], [`Refusal::LeverageRange`], [`Refusal::UnknownSymbol`], or
    /// [`Refusal::InsufficientMargin`] where a lower leverage would need more margin than there is.
    pub(crate) fn set_leverage(&mut self, symbol: &str, leverage: Decimal) -> Result<(), Refusal> {
        let instrument = self.instruments.get(symbol).ok_or(Refusal::UnknownSymbol)?;
        let valid = (Decimal::ONE..=instrument.max_leverage).contains(&leverage)
            && exact::is_multiple(leverage, instrument.leverage_step);
        if !valid {
            return Err(Refusal::LeverageRange);
        }
        let market = self.markets.get_mut(symbol).ok_or(Refusal::UnknownSymbol)?;
        let before = market.leverage;
        if before == leverage {
            return Err(Refusal::LeverageUnchanged);
        }
        market.leverage = leverage;
        let covered = self.summary().is_ok_and(|after| {
            leverage > before
                || exact::add(after.position_margin, after.order_margin).is_ok_and(|margin| {
                    exact::add(after.wallet, after.unrealised).is_ok_and(|equity| margin <= equity)
                })
        });
        if covered {
            self.touch();
            Ok(())
        } else {
            if let Some(market) = self.markets.get_mut(symbol) {
                market.leverage = before;
            }
            Err(Refusal::InsufficientMargin)
        }
    }

    /// Changes take-profit and stop-loss of the open position.
    ///
    /// # Errors
    /// [`Refusal::NoPosition`] while flat, [`Refusal::ProtectionSide`] where the price would trigger it
    /// at once, [`Refusal::PriceTick`] off the grid.
    pub(crate) fn protect(
        &mut self,
        symbol: &str,
        take_profit: Change,
        stop_loss: Change,
        now_ms: i64,
    ) -> Result<(), Refusal> {
        self.advance(now_ms);
        let instrument = self.instruments.get(symbol).ok_or(Refusal::UnknownSymbol)?;
        let market = self.markets.get_mut(symbol).ok_or(Refusal::UnknownSymbol)?;
        let side = market.position.side().ok_or(Refusal::NoPosition)?;
        let pick = |change: Change, before: Option<Decimal>| match change {
            Change::Keep => before,
            Change::Remove => None,
            Change::Set(price) => Some(price),
        };
        let take_profit = pick(take_profit, market.position.take_profit);
        let stop_loss = pick(stop_loss, market.position.stop_loss);
        check_protection(instrument, side, market.price, take_profit, stop_loss)?;
        market.position.take_profit = take_profit;
        market.position.stop_loss = stop_loss;
        market.position.updated_ms = now_ms;
        self.touch();
        Ok(())
    }

    /// Pins the price of a symbol and fills what it crosses. The walk of that symbol stops.
    ///
    /// # Errors
    /// [`Refusal::UnknownSymbol`], [`Refusal::PriceTick`] or [`Refusal::PriceRange`].
    pub(crate) fn set_price(
        &mut self,
        symbol: &str,
        price: Decimal,
        now_ms: i64,
    ) -> Result<(), Refusal> {
        let instrument = self.instruments.get(symbol).ok_or(Refusal::UnknownSymbol)?;
        check_price(instrument, price)?;
        self.advance(now_ms);
        let market = self.markets.get_mut(symbol).ok_or(Refusal::UnknownSymbol)?;
        market.price = price;
        market.pinned = true;
        self.touch();
        self.match_symbol(symbol, now_ms);
        Ok(())
    }

    /// One step of the walk, unless the price is pinned.
    pub(crate) fn walk(&mut self, symbol: &str, now_ms: i64) {
        let Some(instrument) = self.instruments.get(symbol) else {
            return;
        };
        let Some(market) = self.markets.get_mut(symbol) else {
            return;
        };
        if market.pinned {
            return;
        }
        let word = walk::draw(self.seed, symbol, market.steps);
        if let Ok(price) =
            walk::next_price(market.price, instrument.tick, instrument.min_price, word)
        {
            market.steps = market.steps.saturating_add(1);
            market.price = price.min(instrument.max_price);
            self.touch();
            self.match_symbol(symbol, now_ms);
        }
    }

    /// Lets orders whose injected delay is over reach the book.
    pub(crate) fn advance(&mut self, now_ms: i64) {
        let due: BTreeSet<String> = self
            .open_orders()
            .filter(|order| !order.arrived && order.ready_ms <= now_ms)
            .map(|order| order.symbol.clone())
            .collect();
        for symbol in due {
            self.match_symbol(&symbol, now_ms);
        }
    }

    /// The account in numbers.
    ///
    /// # Errors
    /// [`Overflow`] of an absurd balance.
    pub(crate) fn summary(&self) -> Result<Summary, Overflow> {
        let mut unrealised = Decimal::ZERO;
        let mut position_margin = Decimal::ZERO;
        let mut order_margin = Decimal::ZERO;
        let mut realised = Decimal::ZERO;
        for (symbol, market) in &self.markets {
            let position = &market.position;
            unrealised = exact::add(unrealised, position.unrealised(market.price)?)?;
            position_margin = exact::add(position_margin, position_margin_of(market)?)?;
            realised = exact::add(realised, exact::sub(position.realised, position.fees)?)?;
            for side in [Side::Buy, Side::Sell] {
                let (margin, _) = self.resting_margin(symbol, market, side)?;
                order_margin = exact::add(order_margin, margin)?;
            }
        }
        let used = exact::add(position_margin, order_margin)?;
        let equity = exact::add(self.wallet, unrealised)?;
        Ok(Summary {
            wallet: self.wallet,
            unrealised,
            position_margin,
            order_margin,
            available: exact::sub(equity, used)?.max(Decimal::ZERO),
            realised,
        })
    }

    fn touch(&mut self) {
        self.revision = self.revision.saturating_add(1);
    }

    fn insert(&mut self, order: Order) {
        self.open.insert(order.sequence);
        self.by_id.insert(order.id.clone(), order.sequence);
        if let Some(client_id) = &order.client_id {
            self.by_client_id.insert(client_id.clone(), order.sequence);
        }
        self.orders.insert(order.sequence, order);
        self.touch();
    }

    fn next_sequence(&self) -> u64 {
        self.orders
            .keys()
            .next_back()
            .copied()
            .unwrap_or_default()
            .saturating_add(1)
    }

    fn check(&self, request: &OrderRequest, twist: Twist, now_ms: i64) -> Result<Order, Refusal> {
        let instrument = self
            .instruments
            .get(&request.symbol)
            .ok_or(Refusal::UnknownSymbol)?;
        let market = self
            .markets
            .get(&request.symbol)
            .ok_or(Refusal::UnknownSymbol)?;
        let reduce_only = request.reduce_only || request.close_on_trigger;
        let (limit, largest) = match request.kind {
            OrderKind::Market => (None, instrument.max_market_quantity),
            OrderKind::Limit => {
                let price = request.price.ok_or(Refusal::PriceMissing)?;
                check_price(instrument, price)?;
                (Some(price), instrument.max_quantity)
            }
        };
        if let Size::Exactly(quantity) = request.size {
            // A reduce-only order is trimmed to the position instead.
            check_quantity(
                instrument,
                quantity,
                if reduce_only { Decimal::MAX } else { largest },
            )?;
        }
        self.check_room(request)?;
        let reducible = market.position.closable(request.side);
        if reduce_only && reducible.is_zero() {
            return Err(match market.position.side() {
                None => Refusal::NoPosition,
                Some(_) => Refusal::WouldIncrease,
            });
        }
        let quantity = match request.size {
            Size::Exactly(quantity) if reduce_only => quantity.min(reducible),
            Size::Exactly(quantity) => quantity,
            Size::WholePosition => reducible.min(largest),
        };
        if !reduce_only {
            let price = limit.unwrap_or(market.price);
            if exact::mul(quantity, price)? < instrument.min_notional {
                return Err(Refusal::NotionalTooSmall {
                    minimum: instrument.min_notional,
                });
            }
            check_protection(
                instrument,
                request.side,
                price,
                request.take_profit,
                request.stop_loss,
            )?;
            if self.margin_for(market, request, quantity, price)? > self.summary()?.available {
                return Err(Refusal::InsufficientMargin);
            }
        }
        Ok(Order {
            client_id: request.client_id.clone(),
            kind: request.kind,
            time_in_force: match request.kind {
                OrderKind::Market => TimeInForce::Ioc,
                OrderKind::Limit => request.time_in_force,
            },
            price: limit,
            reduce_only,
            close_on_trigger: request.close_on_trigger,
            take_profit: request.take_profit,
            stop_loss: request.stop_loss,
            ready_ms: now_ms.saturating_add(twist.fill_delay_ms),
            visible_ms: now_ms.saturating_add(twist.lookup_lag_ms),
            fill_cap: twist.fill_cap,
            ..self.market_order(
                &request.symbol,
                request.side,
                quantity,
                market.price,
                now_ms,
            )
        })
    }

    /// Whether the id is free and there is room for one more order.
    fn check_room(&self, request: &OrderRequest) -> Result<(), Refusal> {
        let taken = request
            .client_id
            .as_ref()
            .is_some_and(|id| self.by_client_id.contains_key(id));
        if taken {
            return Err(Refusal::DuplicateClientId);
        }
        let open_here = self
            .open_orders()
            .filter(|order| order.symbol == request.symbol)
            .count();
        if open_here >= MAX_OPEN_PER_SYMBOL {
            return Err(Refusal::TooManyOpen);
        }
        if self.orders.len() >= MAX_ORDERS {
            return Err(Refusal::Full);
        }
        Ok(())
    }

    /// The next order in sequence, as a plain market order that has not reached the book.
    fn market_order(
        &self,
        symbol: &str,
        side: Side,
        quantity: Decimal,
        price: Decimal,
        now_ms: i64,
    ) -> Order {
        let sequence = self.next_sequence();
        Order {
            sequence,
            id: walk::uuid(self.seed, "order", sequence),
            client_id: None,
            symbol: symbol.to_owned(),
            side,
            kind: OrderKind::Market,
            time_in_force: TimeInForce::Ioc,
            quantity,
            price: None,
            reduce_only: false,
            close_on_trigger: false,
            take_profit: None,
            stop_loss: None,
            origin: Origin::User,
            status: Status::New,
            cancel_cause: None,
            filled: Decimal::ZERO,
            filled_value: Decimal::ZERO,
            fee: Decimal::ZERO,
            price_at_creation: price,
            created_ms: now_ms,
            updated_ms: now_ms,
            ready_ms: now_ms,
            visible_ms: now_ms,
            arrived: false,
            fill_cap: None,
            held_at: None,
        }
    }

    /// Margin of the resting orders on one side: what exceeds the opposite position needs margin at the
    /// order's price. Also returns how much of the opposite position they leave to close.
    fn resting_margin(
        &self,
        symbol: &str,
        market: &Market,
        side: Side,
    ) -> Result<(Decimal, Decimal), Overflow> {
        let mut closable = market.position.closable(side);
        let mut margin = Decimal::ZERO;
        let resting = self
            .open_orders()
            .filter(|order| order.symbol == symbol && order.side == side && !order.reduce_only);
        for order in resting {
            let leaves = order.leaves();
            let closing = leaves.min(closable);
            closable = exact::sub(closable, closing)?;
            let opening = exact::sub(leaves, closing)?;
            let price = order.price.unwrap_or(market.price);
            margin = exact::add(
                margin,
                exact::div(exact::mul(opening, price)?, market.leverage)?,
            )?;
        }
        Ok((margin, closable))
    }

    /// Margin and opening fee that a new order needs; what closes an opposite position needs neither.
    fn margin_for(
        &self,
        market: &Market,
        request: &OrderRequest,
        quantity: Decimal,
        price: Decimal,
    ) -> Result<Decimal, Overflow> {
        let (_, closable) = self.resting_margin(&request.symbol, market, request.side)?;
        let opening = exact::sub(quantity, quantity.min(closable))?;
        let value = exact::mul(opening, price)?;
        exact::add(
            exact::div(value, market.leverage)?,
            exact::mul(value, self.fees.taker)?,
        )
    }

    /// Fills everything in `symbol` that the present price allows, until nothing changes any more.
    fn match_symbol(&mut self, symbol: &str, now_ms: i64) {
        loop {
            let Some(market) = self.markets.get(symbol) else {
                return;
            };
            let price = market.price;
            let chosen: Vec<u64> = self
                .open_orders()
                .filter(|order| order.symbol == symbol && order.ready_ms <= now_ms)
                .map(|order| order.sequence)
                .collect();
            for sequence in chosen {
                self.match_order(sequence, price, now_ms);
            }
            // A delayed reduce-only order can arrive after the position has shrunk.
            self.trim_reduce_only(symbol, now_ms);
            if !self.trigger_protection(symbol, now_ms) {
                return;
            }
        }
    }

    fn match_order(&mut self, sequence: u64, price: Decimal, now_ms: i64) {
        let Some(order) = self.orders.get_mut(&sequence) else {
            return;
        };
        if !order.status.is_open() || order.held_at == Some(price) {
            return;
        }
        let crosses = match (order.price, order.side) {
            (None, _) => true,
            (Some(limit), Side::Buy) => price <= limit,
            (Some(limit), Side::Sell) => price >= limit,
        };
        let fresh = !order.arrived;
        order.arrived = true;
        let immediate = matches!(order.time_in_force, TimeInForce::Ioc | TimeInForce::Fok);
        let capped = order.fill_cap.is_some_and(|cap| cap < order.leaves());
        match order.time_in_force {
            TimeInForce::PostOnly if fresh && crosses => {
                self.end(
                    sequence,
                    Status::Cancelled,
                    Some(CancelCause::PostOnly),
                    now_ms,
                );
            }
            TimeInForce::Fok if !crosses || capped => {
                self.end(
                    sequence,
                    Status::Cancelled,
                    Some(CancelCause::NoImmediateFill),
                    now_ms,
                );
            }
            _ if crosses => {
                let at = if fresh {
                    price
                } else {
                    order.price.unwrap_or(price)
                };
                let wanted = order
                    .fill_cap
                    .take()
                    .map_or(order.leaves(), |cap| cap.min(order.leaves()));
                if capped {
                    order.held_at = Some(price);
                }
                if self.fill(sequence, wanted, at, !fresh, now_ms).is_err() {
                    self.end(
                        sequence,
                        Status::Cancelled,
                        Some(CancelCause::NothingToReduce),
                        now_ms,
                    );
                } else if immediate {
                    self.end(
                        sequence,
                        Status::Cancelled,
                        Some(CancelCause::NoImmediateFill),
                        now_ms,
                    );
                }
            }
            _ if immediate => {
                self.end(
                    sequence,
                    Status::Cancelled,
                    Some(CancelCause::NoImmediateFill),
                    now_ms,
                );
            }
            _ => {}
        }
    }

    /// Executes up to `wanted` of an order at `price`.
    fn fill(
        &mut self,
        sequence: u64,
        wanted: Decimal,
        price: Decimal,
        maker: bool,
        now_ms: i64,
    ) -> Result<(), Refusal> {
        let order = self
            .orders
            .get_mut(&sequence)
            .ok_or(Refusal::OrderNotFound)?;
        let market = self
            .markets
            .get_mut(&order.symbol)
            .ok_or(Refusal::UnknownSymbol)?;
        let quantity = if order.reduce_only {
            wanted.min(market.position.closable(order.side))
        } else {
            wanted
        };
        if quantity.is_zero() {
            return Err(Refusal::NoPosition);
        }
        let value = exact::mul(quantity, price)?;
        let rate = if maker {
            self.fees.maker
        } else {
            self.fees.taker
        };
        let fee = exact::mul(value, rate)?;
        let filled = exact::add(order.filled, quantity)?;
        let filled_value = exact::add(order.filled_value, value)?;
        let order_fee = exact::add(order.fee, fee)?;
        let was_flat = market.position.size.is_zero();
        let mut position = market.position.clone();
        let applied = position.apply(order.side, quantity, price)?;
        let net = exact::sub(applied.realised, fee)?;
        let wallet = exact::add(self.wallet, net)?;
        position.realised = exact::add(position.realised, applied.realised)?;
        position.fees = exact::add(position.fees, fee)?;
        let opened_new = was_flat || applied.closed < quantity && !applied.closed.is_zero();
        position.current_realised = if opened_new {
            net
        } else {
            exact::add(position.current_realised, net)?
        };
        if opened_new {
            position.opened_ms = now_ms;
            position.take_profit = None;
            position.stop_loss = None;
        }
        if position.created_ms == 0 {
            position.created_ms = now_ms;
        }
        position.updated_ms = now_ms;
        if position.size.is_zero() {
            position.opened_ms = 0;
            position.take_profit = None;
            position.stop_loss = None;
        } else if position.side() == Some(order.side) {
            position.take_profit = order.take_profit.or(position.take_profit);
            position.stop_loss = order.stop_loss.or(position.stop_loss);
        }
        let fill_sequence = u64::try_from(self.fills.len())
            .unwrap_or(u64::MAX)
            .saturating_add(1);
        position.last_fill = fill_sequence;

        self.wallet = wallet;
        market.position = position;
        order.filled = filled;
        order.filled_value = filled_value;
        order.fee = order_fee;
        order.updated_ms = now_ms;
        order.status = if order.filled == order.quantity {
            Status::Filled
        } else {
            Status::PartiallyFilled
        };
        let symbol = order.symbol.clone();
        self.fills.push(Fill {
            sequence: fill_sequence,
            id: walk::uuid(self.seed, "fill", fill_sequence),
            order: sequence,
            order_id: order.id.clone(),
            client_id: order.client_id.clone(),
            symbol: symbol.clone(),
            side: order.side,
            kind: order.kind,
            order_price: order.price,
            order_quantity: order.quantity,
            quantity,
            price,
            fee,
            fee_rate: rate,
            maker,
            realised: applied.realised,
            closed: applied.closed,
            leaves: order.leaves(),
            time_ms: now_ms,
        });
        if !order.status.is_open() {
            self.open.remove(&sequence);
        }
        self.touch();
        self.trim_reduce_only(&symbol, now_ms);
        Ok(())
    }

    /// Keeps resting reduce-only orders no larger than the position they reduce.
    fn trim_reduce_only(&mut self, symbol: &str, now_ms: i64) {
        let Some(market) = self.markets.get(symbol) else {
            return;
        };
        let position = market.position.clone();
        let resting: Vec<u64> = self
            .open_orders()
            .filter(|order| order.reduce_only && order.arrived && order.symbol == symbol)
            .map(|order| order.sequence)
            .collect();
        for sequence in resting {
            let Some(order) = self.orders.get_mut(&sequence) else {
                continue;
            };
            let reducible = position.closable(order.side);
            if reducible.is_zero() {
                self.end(
                    sequence,
                    Status::Cancelled,
                    Some(CancelCause::NothingToReduce),
                    now_ms,
                );
            } else if order.leaves() > reducible
                && let Ok(quantity) = exact::add(order.filled, reducible)
            {
                order.quantity = quantity;
            }
        }
    }

    fn end(&mut self, sequence: u64, status: Status, cause: Option<CancelCause>, now_ms: i64) {
        if !self.open.remove(&sequence) {
            return;
        }
        if let Some(order) = self.orders.get_mut(&sequence) {
            order.status = status;
            order.cancel_cause = cause;
            order.updated_ms = now_ms;
        }
        self.touch();
    }

    /// Turns a reached take-profit or stop-loss into a closing market order; tells whether it did.
    fn trigger_protection(&mut self, symbol: &str, now_ms: i64) -> bool {
        let Some(market) = self.markets.get_mut(symbol) else {
            return false;
        };
        let price = market.price;
        let Some(side) = market.position.side() else {
            return false;
        };
        let reached = |level: Option<Decimal>, rising: bool| {
            level.is_some_and(|level| {
                if rising {
                    price >= level
                } else {
                    price <= level
                }
            })
        };
        let long = side == Side::Buy;
        let origin = if reached(market.position.stop_loss, !long) {
            Origin::StopLoss
        } else if reached(market.position.take_profit, long) {
            Origin::TakeProfit
        } else {
            return false;
        };
        let quantity = market.position.size.abs();
        market.position.take_profit = None;
        market.position.stop_loss = None;
        let closing = Order {
            reduce_only: true,
            close_on_trigger: true,
            origin,
            ..self.market_order(symbol, side.opposite(), quantity, price, now_ms)
        };
        self.insert(closing);
        true
    }
}

/// Margin of an open position at the present price.
pub(crate) fn position_margin_of(market: &Market) -> Result<Decimal, Overflow> {
    exact::div(
        exact::mul(market.position.size.abs(), market.price)?,
        market.leverage,
    )
}

fn check_price(instrument: &Instrument, price: Decimal) -> Result<(), Refusal> {
    if !(instrument.min_price..=instrument.max_price).contains(&price) {
        return Err(Refusal::PriceRange);
    }
    if !exact::is_multiple(price, instrument.tick) {
        return Err(Refusal::PriceTick);
    }
    Ok(())
}

fn check_quantity(
    instrument: &Instrument,
    quantity: Decimal,
    largest: Decimal,
) -> Result<(), Refusal> {
    if quantity < instrument.min_quantity {
        Err(Refusal::QuantityTooSmall)
    } else if quantity > largest {
        Err(Refusal::QuantityTooLarge)
    } else if exact::is_multiple(quantity, instrument.step) {
        Ok(())
    } else {
        Err(Refusal::QuantityStep)
    }
}

/// A long position's take-profit lies above `price` and its stop-loss below; a short one's the other way.
fn check_protection(
    instrument: &Instrument,
    side: Side,
    price: Decimal,
    take_profit: Option<Decimal>,
    stop_loss: Option<Decimal>,
) -> Result<(), Refusal> {
    let (above, below) = match side {
        Side::Buy => (take_profit, stop_loss),
        Side::Sell => (stop_loss, take_profit),
    };
    for level in above.into_iter().chain(below) {
        check_price(instrument, level)?;
    }
    if above.is_some_and(|level| level <= price) || below.is_some_and(|level| level >= price) {
        return Err(Refusal::ProtectionSide);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
