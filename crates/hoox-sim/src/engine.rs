//! The matching engine of one venue: one account, one price per symbol, and one position in it or, in
//! hedge mode, two.
//!
//! In scope: order checks, matching against a single price of unlimited depth, fills, fees, margin,
//! positions and what they were a while ago, take-profit and stop-loss of a whole position, trades of the
//! account holder past the API.
//! Out of scope: an order book, funding, liquidation, several accounts.
//!
//! It does no I/O and reads no clock: each call is told the time, so that every run can be replayed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Bound;

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::exact::{self, Overflow};
use crate::instrument::{Instrument, Listing};
use crate::order::{
    CancelCause, Fill, Leg, Order, OrderKind, Origin, Position, Side, Status, TimeInForce,
};
use crate::walk;

/// Most orders kept; the ids of all of them stay taken.
pub(crate) const MAX_ORDERS: usize = 100_000;
/// Most open orders in one symbol.
pub(crate) const MAX_OPEN_PER_SYMBOL: usize = 500;
/// How long it is remembered what positions were, ms.
pub(crate) const MEMORY_MS: i64 = 60_000;
/// Leverage of a symbol before it is set.
const DEFAULT_LEVERAGE: u32 = 10;

/// Why the engine refuses; each venue has its own code for each.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The venue does not list the symbol.
    #[error("unknown symbol")]
    UnknownSymbol,
    /// The symbol is not open for trading.
    #[error("the contract is not live")]
    NotTrading,
    /// An order names no leg in hedge mode, or one in one-way mode.
    #[error("position index does not match the position mode")]
    PositionMode,
    /// The position mode already is the one that was asked for.
    #[error("position mode is unchanged")]
    ModeUnchanged,
    /// The position mode cannot change while something is held.
    #[error("the position mode cannot be switched with an open position")]
    ModePosition,
    /// The position mode cannot change while orders rest.
    #[error("the position mode cannot be switched with open orders")]
    ModeOrders,
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
    /// Which position it changes.
    pub(crate) leg: Leg,
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
    /// The position; in hedge mode its long leg.
    pub(crate) position: Position,
    /// The short leg in hedge mode; else flat.
    #[serde(default)]
    pub(crate) short: Position,
    /// Whether the symbol is in hedge mode.
    #[serde(default)]
    pub(crate) hedged: bool,
    /// Whether it can be traded.
    #[serde(default)]
    pub(crate) listing: Listing,
}

impl Market {
    /// A position of the symbol.
    pub(crate) fn held(&self, leg: Leg) -> &Position {
        match leg {
            Leg::Net | Leg::Long => &self.position,
            Leg::Short => &self.short,
        }
    }

    fn held_mut(&mut self, leg: Leg) -> &mut Position {
        match leg {
            Leg::Net | Leg::Long => &mut self.position,
            Leg::Short => &mut self.short,
        }
    }

    /// The positions that its mode has, flat ones too.
    pub(crate) fn legs(&self) -> impl Iterator<Item = (Leg, &Position)> {
        let legs: &[Leg] = if self.hedged {
            &[Leg::Long, Leg::Short]
        } else {
            &[Leg::Net]
        };
        legs.iter().map(|leg| (*leg, self.held(*leg)))
    }

    /// Whether the mode has this leg.
    fn has(&self, leg: Leg) -> bool {
        self.hedged == (leg != Leg::Net)
    }

    /// How much of new orders on `side` would close instead of open. A leg's exits are reduce-only.
    fn closable(&self, side: Side) -> Decimal {
        if self.hedged {
            Decimal::ZERO
        } else {
            self.position.closable(side)
        }
    }
}

/// What a symbol's positions were until a moment.
#[derive(Debug, Clone)]
struct Past {
    until_ms: i64,
    hedged: bool,
    position: Position,
    short: Position,
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
    past: BTreeMap<String, VecDeque<Past>>,
    split_exits: bool,
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
                    short: Position::default(),
                    hedged: false,
                    listing: Listing::Trading,
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
            past: BTreeMap::new(),
            split_exits: false,
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

    /// One market with the positions that it had at a moment, as far as that is remembered.
    pub(crate) fn market_at(&self, symbol: &str, at_ms: i64) -> Option<Market> {
        let mut market = self.markets.get(symbol)?.clone();
        let then = self
            .past
            .get(symbol)
            .and_then(|past| past.iter().find(|past| past.until_ms > at_ms));
        if let Some(then) = then {
            market.hedged = then.hedged;
            market.position = then.position.clone();
            market.short = then.short.clone();
        }
        Some(market)
    }

    /// Remembers what a symbol's positions were until now.
    fn remember(&mut self, symbol: &str, now_ms: i64) {
        let Some(market) = self.markets.get(symbol) else {
            return;
        };
        let past = self.past.entry(symbol.to_owned()).or_default();
        let oldest = now_ms.saturating_sub(MEMORY_MS);
        while past.front().is_some_and(|past| past.until_ms < oldest) {
            past.pop_front();
        }
        past.push_back(Past {
            until_ms: now_ms,
            hedged: market.hedged,
            position: market.position.clone(),
            short: market.short.clone(),
        });
    }

    /// Whether orders that close and are larger than one may be are split rather than refused.
    pub(crate) fn split_exits(&self) -> bool {
        self.split_exits
    }

    /// Sets whether orders that close and are larger than one may be are split rather than refused.
    pub(crate) fn set_split_exits(&mut self, split: bool) {
        self.split_exits = split;
    }

    /// An instrument whose rules change from now on; they are this engine's own and not saved.
    pub(crate) fn instrument_mut(&mut self, symbol: &str) -> Option<&mut Instrument> {
        self.instruments.get_mut(symbol)
    }

    /// Opens a symbol for trading, or closes it.
    ///
    /// # Errors
    /// [`Refusal::UnknownSymbol`].
    pub(crate) fn set_listing(&mut self, symbol: &str, listing: Listing) -> Result<(), Refusal> {
        let market = self.markets.get_mut(symbol).ok_or(Refusal::UnknownSymbol)?;
        market.listing = listing;
        self.touch();
        Ok(())
    }

    /// Switches a symbol to hedge mode or back. What is held becomes the leg of its side and back where
    /// `convert` says so; the venue itself refuses that.
    ///
    /// # Errors
    /// [`Refusal::UnknownSymbol`], [`Refusal::ModeUnchanged`], [`Refusal::ModeOrders`] while orders rest,
    /// or [`Refusal::ModePosition`] while something is held, or with `convert` both legs.
    pub(crate) fn set_hedged(
        &mut self,
        symbol: &str,
        hedged: bool,
        convert: bool,
        now_ms: i64,
    ) -> Result<(), Refusal> {
        self.advance(now_ms);
        let market = self.markets.get(symbol).ok_or(Refusal::UnknownSymbol)?;
        if market.hedged == hedged {
            return Err(Refusal::ModeUnchanged);
        }
        if self.open_orders().any(|order| order.symbol == symbol) {
            return Err(Refusal::ModeOrders);
        }
        let held = market
            .legs()
            .filter(|(_, position)| !position.size.is_zero())
            .count();
        if held > usize::from(convert) {
            return Err(Refusal::ModePosition);
        }
        self.remember(symbol, now_ms);
        if let Some(market) = self.markets.get_mut(symbol) {
            market.hedged = hedged;
            let turns = if hedged {
                market.position.side() == Some(Side::Sell)
            } else {
                !market.short.size.is_zero()
            };
            if turns {
                std::mem::swap(&mut market.position, &mut market.short);
            }
        }
        self.touch();
        Ok(())
    }

    /// A trade of the account holder past the API, at the present price: no filter and no margin is asked.
    /// In hedge mode it closes no more than the leg holds.
    ///
    /// # Errors
    /// [`Refusal::UnknownSymbol`], [`Refusal::PositionMode`] for a leg that the symbol's mode does not
    /// have, [`Refusal::QuantityTooSmall`] for nothing, [`Refusal::QuantityStep`] off the step,
    /// [`Refusal::NoPosition`] where a leg has nothing to close.
    pub(crate) fn trade(
        &mut self,
        symbol: &str,
        leg: Leg,
        side: Side,
        quantity: Decimal,
        now_ms: i64,
    ) -> Result<Order, Refusal> {
        self.advance(now_ms);
        let instrument = self.instruments.get(symbol).ok_or(Refusal::UnknownSymbol)?;
        let market = self.markets.get(symbol).ok_or(Refusal::UnknownSymbol)?;
        if !market.has(leg) {
            return Err(Refusal::PositionMode);
        }
        if quantity <= Decimal::ZERO {
            return Err(Refusal::QuantityTooSmall);
        }
        if !exact::is_multiple(quantity, instrument.step) {
            return Err(Refusal::QuantityStep);
        }
        let reduce_only = leg.entry_side().is_some_and(|entry| entry != side);
        let quantity = if reduce_only {
            quantity.min(market.held(leg).closable(side))
        } else {
            quantity
        };
        if quantity.is_zero() {
            return Err(Refusal::NoPosition);
        }
        let order = Order {
            leg,
            reduce_only,
            ..self.market_order(symbol, side, quantity, market.price, now_ms)
        };
        let sequence = order.sequence;
        self.insert(order);
        self.match_symbol(symbol, now_ms);
        self.orders
            .get(&sequence)
            .cloned()
            .ok_or(Refusal::OrderNotFound)
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
        let (order, largest) = self.check(request, twist, now_ms)?;
        let sequence = order.sequence;
        self.insert_in_parts(order, largest)?;
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
    /// at once, [`Refusal::PriceTick`] off the grid, [`Refusal::PositionMode`] for a leg that the mode
    /// does not have.
    pub(crate) fn protect(
        &mut self,
        symbol: &str,
        leg: Leg,
        take_profit: Change,
        stop_loss: Change,
        now_ms: i64,
    ) -> Result<(), Refusal> {
        self.advance(now_ms);
        let instrument = self.instruments.get(symbol).ok_or(Refusal::UnknownSymbol)?;
        let market = self.markets.get_mut(symbol).ok_or(Refusal::UnknownSymbol)?;
        if !market.has(leg) {
            return Err(Refusal::PositionMode);
        }
        let price = market.price;
        let position = market.held_mut(leg);
        let side = position.side().ok_or(Refusal::NoPosition)?;
        let pick = |change: Change, before: Option<Decimal>| match change {
            Change::Keep => before,
            Change::Remove => None,
            Change::Set(price) => Some(price),
        };
        let take_profit = pick(take_profit, position.take_profit);
        let stop_loss = pick(stop_loss, position.stop_loss);
        check_protection(instrument, side, price, take_profit, stop_loss)?;
        position.take_profit = take_profit;
        position.stop_loss = stop_loss;
        position.updated_ms = now_ms;
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
            for position in [&market.position, &market.short] {
                unrealised = exact::add(unrealised, position.unrealised(market.price)?)?;
                position_margin =
                    exact::add(position_margin, position_margin_of(market, position)?)?;
                realised = exact::add(realised, exact::sub(position.realised, position.fees)?)?;
            }
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

    /// Inserts an order, split where it is larger than one may be: the first part has the client's id.
    fn insert_in_parts(&mut self, mut order: Order, largest: Decimal) -> Result<(), Refusal> {
        let mut left = order.quantity;
        loop {
            order.quantity = left.min(largest);
            left = exact::sub(left, order.quantity)?;
            self.insert(order.clone());
            if left.is_zero() || order.quantity.is_zero() {
                return Ok(());
            }
            let sequence = self.next_sequence();
            order = Order {
                sequence,
                id: walk::uuid(self.seed, "order", sequence),
                client_id: None,
                fill_cap: None,
                ..order
            };
        }
    }

    fn next_sequence(&self) -> u64 {
        self.orders
            .keys()
            .next_back()
            .copied()
            .unwrap_or_default()
            .saturating_add(1)
    }

    /// The order that a request makes, and the most that one order may be.
    fn check(
        &self,
        request: &OrderRequest,
        twist: Twist,
        now_ms: i64,
    ) -> Result<(Order, Decimal), Refusal> {
        let instrument = self
            .instruments
            .get(&request.symbol)
            .ok_or(Refusal::UnknownSymbol)?;
        let market = self
            .markets
            .get(&request.symbol)
            .ok_or(Refusal::UnknownSymbol)?;
        if market.listing != Listing::Trading {
            return Err(Refusal::NotTrading);
        }
        if !market.has(request.leg) {
            return Err(Refusal::PositionMode);
        }
        // A leg has one side: what is on the other can only close.
        let closes_leg = request
            .leg
            .entry_side()
            .is_some_and(|entry| entry != request.side);
        let reduce_only = request.reduce_only || request.close_on_trigger || closes_leg;
        let (limit, largest) = match request.kind {
            OrderKind::Market => (None, instrument.max_market_quantity),
            OrderKind::Limit => {
                let price = request.price.ok_or(Refusal::PriceMissing)?;
                check_price(instrument, price)?;
                (Some(price), instrument.max_quantity)
            }
        };
        if let Size::Exactly(quantity) = request.size {
            let split = reduce_only && self.split_exits;
            check_quantity(
                instrument,
                quantity,
                if split { Decimal::MAX } else { largest },
            )?;
        }
        self.check_room(request)?;
        let held = market.held(request.leg);
        let reducible = held.closable(request.side);
        if reduce_only && reducible.is_zero() {
            return Err(match held.side() {
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
        let order = Order {
            client_id: request.client_id.clone(),
            leg: request.leg,
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
        };
        Ok((order, largest))
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
            leg: Leg::Net,
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
        let mut closable = market.closable(side);
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
                let symbol = order.symbol.clone();
                self.remember(&symbol, now_ms);
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
        let held = market.held(order.leg);
        let quantity = if order.reduce_only {
            wanted.min(held.closable(order.side))
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
        let was_flat = held.size.is_zero();
        let mut position = held.clone();
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
        *market.held_mut(order.leg) = position;
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
        let market = market.clone();
        let resting: Vec<u64> = self
            .open_orders()
            .filter(|order| order.reduce_only && order.arrived && order.symbol == symbol)
            .map(|order| order.sequence)
            .collect();
        for sequence in resting {
            let Some(order) = self.orders.get_mut(&sequence) else {
                continue;
            };
            let reducible = market.held(order.leg).closable(order.side);
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
        let reached = |level: Option<Decimal>, rising: bool| {
            level.is_some_and(|level| {
                if rising {
                    price >= level
                } else {
                    price <= level
                }
            })
        };
        let triggered = market.legs().find_map(|(leg, position)| {
            let side = position.side()?;
            let long = side == Side::Buy;
            let origin = if reached(position.stop_loss, !long) {
                Origin::StopLoss
            } else if reached(position.take_profit, long) {
                Origin::TakeProfit
            } else {
                return None;
            };
            Some((leg, side, origin, position.size.abs()))
        });
        let Some((leg, side, origin, quantity)) = triggered else {
            return false;
        };
        let position = market.held_mut(leg);
        position.take_profit = None;
        position.stop_loss = None;
        let closing = Order {
            leg,
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
pub(crate) fn position_margin_of(
    market: &Market,
    position: &Position,
) -> Result<Decimal, Overflow> {
    exact::div(
        exact::mul(position.size.abs(), market.price)?,
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
