//! The truth at one venue: orders, fills, positions, prices, and what look-ups show of them.

use std::collections::BTreeMap;

use hoox_exchange::{CancelOutcome, ErrorClass, LookUp, VenueError};
use hoox_model::{
    Amount, ClientOrderId, Decimal, Fill, Instrument, OrderKind, OrderSnapshot, OrderSpec,
    OrderStatus, Position, PositionSide, Price, Product, Quantity, Side, Symbol, TimeInForce,
    Timestamp,
};

use crate::simulate::START;
use crate::simulate::rng::Rng;
use crate::simulate::weather::VenueWeather;

/// Symbols that trade.
pub(crate) const SYMBOLS: [&str; 4] = ["BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT"];
/// A symbol that no venue knows.
pub(crate) const UNKNOWN_SYMBOL: &str = "NOPEUSDT";
/// One that is listed and like it.
pub(crate) const LIKE_UNKNOWN: &str = "1000NOPEUSDT";

pub(crate) fn quantity(value: Decimal) -> Quantity {
    Quantity::try_from(value).unwrap()
}

fn price(value: Decimal) -> Price {
    Price::try_from(value).unwrap()
}

/// The sizes that a venue takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rules {
    /// Smallest size; a position may be smaller.
    pub(crate) min: Decimal,
    /// Largest size of a market order.
    pub(crate) max_market: Decimal,
    /// Largest size of a limit order.
    pub(crate) max_limit: Decimal,
    /// Whether an exit above the maximum is split by the venue, rather than refused.
    pub(crate) splits: bool,
    /// Whether there is a form that closes all that is held, however small.
    pub(crate) closes_all: bool,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            min: Decimal::new(1, 3),
            max_market: Decimal::ONE_HUNDRED,
            max_limit: Decimal::ONE_THOUSAND,
            splits: false,
            closes_all: true,
        }
    }
}

impl Rules {
    pub(crate) fn new(rng: &Rng) -> Self {
        let narrow = rng.chance(200);
        let usual = Self::default();
        Self {
            min: if rng.chance(250) {
                Decimal::new(20, 3)
            } else {
                usual.min
            },
            max_market: if narrow {
                Decimal::new(*rng.pick(&[150, 400, 900]), 3)
            } else {
                usual.max_market
            },
            max_limit: if narrow {
                Decimal::new(1_500, 3)
            } else {
                usual.max_limit
            },
            splits: rng.chance(300),
            closes_all: rng.chance(700),
        }
    }

    /// The largest size of one order.
    pub(crate) const fn most(&self, kind: OrderKind) -> Decimal {
        match kind {
            OrderKind::Market => self.max_market,
            OrderKind::Limit { .. } => self.max_limit,
        }
    }
}

/// A trade that somebody made at the venue, not Hoox.
#[derive(Debug, Clone)]
pub(crate) struct Hand {
    pub(crate) at: i64,
    pub(crate) symbol: Symbol,
    pub(crate) delta: Decimal,
}

/// One change of a position.
#[derive(Debug, Clone)]
pub(crate) struct Move {
    pub(crate) at: i64,
    pub(crate) symbol: Symbol,
    /// Signed size.
    pub(crate) delta: Decimal,
    /// The order that made it, by its place; `None` where somebody traded by hand.
    pub(crate) order: Option<usize>,
}

/// One execution.
#[derive(Debug, Clone)]
pub(crate) struct Execution {
    pub(crate) id: String,
    pub(crate) quantity: Decimal,
    pub(crate) price: Decimal,
    pub(crate) fee: Decimal,
    /// By the simulation's clock.
    pub(crate) at: i64,
    /// By the venue's.
    pub(crate) dated: i64,
}

/// One order the venue took.
#[derive(Debug, Clone)]
pub(crate) struct Order {
    pub(crate) venue_id: String,
    /// As it was taken: a reduce-only order may have been cut down.
    pub(crate) spec: OrderSpec,
    /// By the simulation's clock.
    pub(crate) created_at: i64,
    /// By the venue's.
    pub(crate) dated: i64,
    pub(crate) fills: Vec<Execution>,
    /// When and how it ended.
    pub(crate) ended: Option<(i64, OrderStatus)>,
    /// What was held when it came.
    pub(crate) held_before: Decimal,
}

impl Order {
    /// Filled size at a moment.
    pub(crate) fn filled_at(&self, moment: i64) -> Decimal {
        let done = self.fills.iter().filter(|fill| fill.at <= moment);
        done.map(|fill| fill.quantity).sum()
    }

    /// Filled size.
    pub(crate) fn filled(&self) -> Decimal {
        self.filled_at(i64::MAX)
    }

    /// Whether it waits in the book for its price.
    pub(crate) const fn may_rest(&self) -> bool {
        matches!(
            self.spec.kind,
            OrderKind::Limit {
                time_in_force: TimeInForce::Gtc | TimeInForce::PostOnly,
                ..
            }
        )
    }

    /// The order as it stood at a moment.
    pub(crate) fn snapshot(&self, moment: i64) -> OrderSnapshot {
        let filled = self.filled_at(moment);
        let done = || self.fills.iter().filter(|fill| fill.at <= moment);
        let value: Decimal = done().map(|fill| fill.quantity * fill.price).sum();
        let fee: Decimal = done().map(|fill| fill.fee).sum();
        let status = match self.ended {
            Some((at, status)) if at <= moment => status,
            _ if filled.is_zero() => OrderStatus::New,
            _ => OrderStatus::PartiallyFilled,
        };
        OrderSnapshot {
            venue_order_id: self.venue_id.clone(),
            client_order_id: Some(self.spec.client_order_id.clone()),
            symbol: self.spec.symbol.clone(),
            side: self.spec.side,
            quantity: self.spec.quantity,
            filled: quantity(filled),
            average_price: (!filled.is_zero()).then(|| price((value / filled).round_dp(8))),
            fee: (!filled.is_zero()).then(|| Amount::try_from(fee).unwrap()),
            status,
            reduce_only: self.spec.effect.closes(),
            reason: None,
            created_at: Timestamp::from_millis(self.dated),
            updated_at: Timestamp::from_millis(self.dated),
        }
    }
}

/// What the venue said to an order that it took.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Taken {
    /// The order, by its place.
    pub(crate) order: usize,
    /// Whether it crosses the market now.
    pub(crate) crosses: bool,
}

/// One account at one venue.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) orders: Vec<Order>,
    leverage: BTreeMap<Symbol, Decimal>,
    /// Signed sizes with the moment from which they hold.
    positions: BTreeMap<Symbol, Vec<(i64, Decimal)>>,
    /// Prices with the moment from which they hold.
    prices: BTreeMap<Symbol, Vec<(i64, Decimal)>>,
    /// The legs, long and short, of symbols in hedge mode, with the moment from which they hold.
    legs: BTreeMap<Symbol, Vec<(i64, [Decimal; 2])>>,
    /// What was traded by hand.
    pub(crate) hand: Vec<Hand>,
    /// Every change of a position, in order; legs in hedge mode left out.
    pub(crate) moves: Vec<Move>,
    pub(crate) rules: Rules,
    /// Whether it refuses every order that closes.
    pub(crate) refuses_exits: bool,
    /// Whether nothing trades.
    pub(crate) halted: bool,
    unique_ids: bool,
    executions: u64,
    /// What was paid and received for positions, fees included.
    cash: Decimal,
    /// What trading had brought, with the moment from which it holds.
    results: Vec<(i64, Decimal)>,
}

impl Exchange {
    pub(crate) fn new(weather: &VenueWeather) -> Self {
        let unique_ids = weather.unique_ids;
        let hedged = weather
            .hedged
            .iter()
            .map(|(symbol, long, short)| (symbol.parse().unwrap(), vec![(START, [*long, *short])]));
        let opening = |symbol: &&str| {
            let first = vec![(START, Decimal::ONE_HUNDRED)];
            (symbol.parse().unwrap(), first)
        };
        Self {
            orders: Vec::new(),
            leverage: BTreeMap::new(),
            positions: BTreeMap::new(),
            legs: hedged.collect(),
            hand: Vec::new(),
            moves: Vec::new(),
            rules: weather.rules,
            refuses_exits: false,
            halted: false,
            prices: SYMBOLS.iter().map(opening).collect(),
            unique_ids,
            executions: 0,
            cash: Decimal::ZERO,
            results: vec![(START, Decimal::ZERO)],
        }
    }

    /// The signed size that is held.
    pub(crate) fn held(&self, symbol: &Symbol) -> Decimal {
        self.held_at(symbol, i64::MAX)
    }

    /// The signed size that was held at a moment.
    pub(crate) fn held_at(&self, symbol: &Symbol, moment: i64) -> Decimal {
        self.positions
            .get(symbol)
            .and_then(|moves| moves.iter().rev().find(|(at, _)| *at <= moment))
            .map_or(Decimal::ZERO, |(_, size)| *size)
    }

    /// Symbols of which something was held at a moment.
    pub(crate) fn held_symbols(&self, moment: i64) -> Vec<Symbol> {
        let all = self.positions.keys();
        all.filter(|symbol| !self.held_at(symbol, moment).is_zero())
            .cloned()
            .collect()
    }

    /// The smallest size that was held from one moment to another, on the side that is held now; zero
    /// where the other side was held meanwhile.
    pub(crate) fn least_held(&self, symbol: &Symbol, from: i64, until: i64) -> Decimal {
        let now = self.held_at(symbol, until);
        let sign = if now < Decimal::ZERO {
            -Decimal::ONE
        } else {
            Decimal::ONE
        };
        let moves = self.positions.get(symbol).into_iter().flatten();
        let within = moves.filter(|(at, _)| (from..=until).contains(at));
        let before = self.held_at(symbol, from) * sign;
        let least = within
            .map(|(_, size)| *size * sign)
            .fold(before, Decimal::min);
        least.max(Decimal::ZERO)
    }

    /// The lowest price there ever was.
    pub(crate) fn lowest(&self, symbol: &Symbol) -> Decimal {
        let moves = self.prices.get(symbol).into_iter().flatten();
        let lowest = moves.map(|(_, price)| *price).min();
        lowest.unwrap_or(Decimal::ONE_HUNDRED)
    }

    /// The price now.
    pub(crate) fn price(&self, symbol: &Symbol) -> Option<Decimal> {
        self.prices
            .get(symbol)
            .and_then(|moves| moves.last())
            .map(|(_, price)| *price)
    }

    /// Moves a price and names the resting orders that it reaches.
    pub(crate) fn set_price(&mut self, symbol: &Symbol, value: Decimal, now: i64) -> Vec<usize> {
        if let Some(moves) = self.prices.get_mut(symbol) {
            moves.push((now, value));
        }
        self.note_result(now);
        let resting = self.orders.iter().enumerate().filter(|(_, order)| {
            order.ended.is_none()
                && order.may_rest()
                && order.spec.symbol == *symbol
                && crosses(&order.spec, value)
        });
        resting.map(|(place, _)| place).collect()
    }

    /// How much of an order could be filled without turning the position, where it may only reduce it.
    fn room(&self, spec: &OrderSpec) -> Decimal {
        if let Some(legs) = self.legs_now(&spec.symbol) {
            return match spec.leg {
                Some(PositionSide::Long) => legs[0],
                Some(PositionSide::Short) => legs[1],
                None => Decimal::ZERO,
            };
        }
        let held = self.held(&spec.symbol);
        match (spec.effect.closes(), spec.side) {
            (false, _) => Decimal::MAX,
            (true, Side::Sell) => held.max(Decimal::ZERO),
            (true, Side::Buy) => (-held).max(Decimal::ZERO),
        }
    }

    /// The legs of a symbol in hedge mode.
    pub(crate) fn legs_now(&self, symbol: &Symbol) -> Option<[Decimal; 2]> {
        self.legs_at(symbol, i64::MAX)
    }

    /// Every symbol in hedge mode with its legs.
    pub(crate) fn hedged(&self) -> Vec<(Symbol, [Decimal; 2])> {
        let all = self.legs.keys();
        all.map(|symbol| (symbol.clone(), self.legs_now(symbol).unwrap_or_default()))
            .collect()
    }

    /// The legs of a symbol in hedge mode as they were at a moment.
    pub(crate) fn legs_at(&self, symbol: &Symbol, moment: i64) -> Option<[Decimal; 2]> {
        let moves = self.legs.get(symbol)?;
        let seen = moves.iter().rev().find(|(at, _)| *at <= moment);
        Some(seen.map_or([Decimal::ZERO; 2], |(_, legs)| *legs))
    }

    /// What does not fit the mode of the symbol, or comes when it is not to be had.
    fn check_mode(&self, spec: &OrderSpec) -> Result<(), VenueError> {
        let closes = spec.effect.closes();
        if self.halted {
            return Err(rejected("110074", "the contract is closed"));
        }
        if self.refuses_exits && closes {
            return Err(rejected(
                "3100197",
                "temporary restriction on this contract",
            ));
        }
        let fits = match (self.legs.contains_key(&spec.symbol), spec.leg) {
            (true, Some(leg)) => closes && spec.side == leg.exit_side(),
            (hedged, leg) => !hedged && leg.is_none(),
        };
        if fits {
            return Ok(());
        }
        Err(rejected("10001", "position idx not match position mode"))
    }

    /// Sizes that the venue does not take.
    fn check_size(&self, spec: &OrderSpec) -> Result<(), VenueError> {
        let (rules, size) = (self.rules, spec.quantity.get());
        let splits = rules.splits && spec.effect.closes() && spec.kind == OrderKind::Market;
        if size > rules.most(spec.kind) && !splits {
            return Err(rejected("10001", "the quantity is above the maximum"));
        }
        if size < rules.min {
            return Err(rejected("10001", "the quantity is below the minimum"));
        }
        Ok(())
    }

    /// Somebody trades at the venue by hand; what changes the position.
    pub(crate) fn trade_by_hand(&mut self, symbol: &Symbol, delta: Decimal, now: i64) {
        let price = self.price(symbol).unwrap_or(Decimal::ONE_HUNDRED);
        self.cash -= delta * price;
        let held = self.held(symbol);
        let moves = self.positions.entry(symbol.clone()).or_default();
        moves.push((now, held + delta));
        self.moves.push(Move {
            at: now,
            symbol: symbol.clone(),
            delta,
            order: None,
        });
        self.hand.push(Hand {
            at: now,
            symbol: symbol.clone(),
            delta,
        });
        self.trim(symbol, now);
        self.note_result(now);
    }

    /// Keeps reduce-only orders that rest no larger than what they may reduce, as venues do whenever a position shrinks:
    /// what it grows by afterwards they do not close.
    fn trim(&mut self, symbol: &Symbol, now: i64) {
        for place in 0..self.orders.len() {
            let order = &self.orders[place];
            let rests = order.ended.is_none() && order.may_rest();
            if !rests || order.spec.symbol != *symbol || !order.spec.effect.closes() {
                continue;
            }
            let (room, filled) = (self.room(&order.spec), order.filled());
            if room.is_zero() {
                self.end(place, OrderStatus::Cancelled, now);
            } else if order.spec.quantity.get() - filled > room {
                self.orders[place].spec.quantity = quantity(filled + room);
            }
        }
    }

    /// Whether anybody traded a symbol by hand between two moments.
    pub(crate) fn touched(&self, symbol: &Symbol, from: i64, until: i64) -> bool {
        let mut of_symbol = self.hand.iter().filter(|hand| hand.symbol == *symbol);
        of_symbol.any(|hand| (from..=until).contains(&hand.at))
    }

    /// Takes an order, or says why not.
    pub(crate) fn place(
        &mut self,
        spec: &OrderSpec,
        now: i64,
        dated: i64,
    ) -> Result<Taken, VenueError> {
        let Some(market) = self.price(&spec.symbol) else {
            return Err(unknown_symbol());
        };
        let taken = self.orders.iter().any(|order| {
            order.spec.client_order_id == spec.client_order_id
                && (self.unique_ids || order.ended.is_none())
        });
        if taken {
            let text = "the client order id is taken";
            return Err(VenueError::new(ErrorClass::Duplicate, "110072", text));
        }
        let mut spec = spec.clone();
        self.check_mode(&spec)?;
        let room = self.room(&spec);
        if room.is_zero() {
            return Err(rejected("110017", "the position is zero"));
        }
        let all = spec.close_all && spec.effect.closes() && self.rules.closes_all;
        if !all {
            self.check_size(&spec)?;
        }
        let wished = if all {
            Decimal::MAX
        } else {
            spec.quantity.get()
        };
        spec.quantity = quantity(wished.min(room));
        let order = self.orders.len();
        let crosses = crosses(&spec, market);
        self.orders.push(Order {
            venue_id: format!("V{}", order + 1),
            held_before: self.held(&spec.symbol),
            spec,
            created_at: now,
            dated,
            fills: Vec::new(),
            ended: None,
        });
        Ok(Taken { order, crosses })
    }

    /// Fills a part of an order at the present price.
    pub(crate) fn fill(&mut self, place: usize, share: Decimal, now: i64, dated: i64) {
        let order = &self.orders[place];
        if order.ended.is_some() {
            return;
        }
        let (spec, left) = (
            order.spec.clone(),
            order.spec.quantity.get() - order.filled(),
        );
        let step = Decimal::new(1, 3);
        let wished = ((left * share) / step).ceil() * step;
        let size = wished.min(left).min(self.room(&spec));
        if size <= Decimal::ZERO {
            return;
        }
        let price = self.price(&spec.symbol).unwrap_or(Decimal::ONE_HUNDRED);
        self.executions += 1;
        let id = format!("F{}", self.executions);
        self.orders[place].fills.push(Execution {
            id,
            quantity: size,
            price,
            fee: (size * price * Decimal::new(55, 5)).normalize(),
            at: now,
            dated,
        });
        let signed = match spec.side {
            Side::Buy => size,
            Side::Sell => -size,
        };
        let before = self.held(&spec.symbol);
        let legs = self.legs_now(&spec.symbol);
        let of = spec.symbol.clone();
        if size == left {
            self.end(place, OrderStatus::Filled, now);
        }
        let fee = (size * price * Decimal::new(55, 5)).normalize();
        self.cash -= signed * price + fee;
        if let (Some(mut legs), Some(leg)) = (legs, spec.leg) {
            legs[usize::from(leg == PositionSide::Short)] -= size;
            self.legs.entry(spec.symbol).or_default().push((now, legs));
        } else {
            self.moves.push(Move {
                at: now,
                symbol: spec.symbol.clone(),
                delta: signed,
                order: Some(place),
            });
            let moves = self.positions.entry(spec.symbol).or_default();
            moves.push((now, before + signed));
        }
        self.trim(&of, now);
        self.note_result(now);
    }

    /// What trading has brought: cash, and what is held at its price.
    pub(crate) fn result(&self) -> Decimal {
        let held = self.positions.iter().map(|(symbol, moves)| {
            let size = moves.last().map_or(Decimal::ZERO, |(_, size)| *size);
            size * self.price(symbol).unwrap_or_default()
        });
        self.cash + held.sum::<Decimal>()
    }

    fn note_result(&mut self, now: i64) {
        let result = self.result();
        self.results.push((now, result));
    }

    /// The best that trading had brought at any moment from one to another.
    pub(crate) fn best_result(&self, from: i64, until: i64) -> Decimal {
        let before = self.results.iter().rev().find(|(at, _)| *at <= from);
        let within = self
            .results
            .iter()
            .filter(|(at, _)| (from..=until).contains(at));
        let first = before.map_or(Decimal::ZERO, |(_, result)| *result);
        within.map(|(_, result)| *result).fold(first, Decimal::max)
    }

    /// Ends an order: filled where nothing is left, else as `otherwise`.
    pub(crate) fn end(&mut self, place: usize, otherwise: OrderStatus, now: i64) {
        let order = &mut self.orders[place];
        if order.ended.is_some() {
            return;
        }
        let status = if order.filled() == order.spec.quantity.get() {
            OrderStatus::Filled
        } else {
            otherwise
        };
        order.ended = Some((now, status));
    }

    /// Cancels an open order.
    pub(crate) fn cancel(&mut self, id: &ClientOrderId, now: i64) -> CancelOutcome {
        let newest = self
            .orders
            .iter()
            .rposition(|order| order.spec.client_order_id == *id);
        let Some(place) = newest else {
            return CancelOutcome::NotFound;
        };
        if self.orders[place].ended.is_some() {
            return CancelOutcome::AlreadyDone;
        }
        self.end(place, OrderStatus::Cancelled, now);
        CancelOutcome::Cancelled
    }

    /// What a look-up shows that lags behind.
    pub(crate) fn look_up(&self, id: &ClientOrderId, now: i64, lag: i64) -> LookUp {
        let seen = now - lag;
        let newest = self
            .orders
            .iter()
            .rev()
            .find(|order| order.spec.client_order_id == *id && order.created_at <= seen);
        newest.map_or(LookUp::NotFound, |order| {
            LookUp::Found(Box::new(order.snapshot(seen)))
        })
    }

    /// Those of `wanted` that were open `lag` milliseconds ago.
    pub(crate) fn open_orders(
        &self,
        wanted: &[ClientOrderId],
        now: i64,
        lag: i64,
    ) -> Vec<OrderSnapshot> {
        let seen = now - lag;
        let ours = |order: &&Order| wanted.contains(&order.spec.client_order_id);
        let known = self.orders.iter().filter(ours);
        known
            .filter(|order| order.created_at <= seen)
            .map(|order| order.snapshot(seen))
            .filter(|order| !order.status.is_final())
            .collect()
    }

    /// The position as it was `lag` milliseconds ago.
    pub(crate) fn position(&self, symbol: &Symbol, now: i64, lag: i64) -> Position {
        let held = self.held_at(symbol, now - lag);
        let side = match held.cmp(&Decimal::ZERO) {
            core::cmp::Ordering::Greater => Some(PositionSide::Long),
            core::cmp::Ordering::Less => Some(PositionSide::Short),
            core::cmp::Ordering::Equal => None,
        };
        Position {
            symbol: symbol.clone(),
            side,
            quantity: quantity(held.abs()),
            entry_price: None,
            leverage: self.leverage.get(symbol).copied(),
            unrealised_pnl: None,
            hedged: false,
        }
    }

    /// Every position that is not flat.
    pub(crate) fn positions(&self, now: i64, lag: i64) -> Vec<Position> {
        let all = self.positions.keys();
        let netted = all.map(|symbol| self.position(symbol, now, lag));
        let sides = [PositionSide::Long, PositionSide::Short];
        let legs = self.legs.keys().flat_map(|symbol| {
            let legs = self.legs_at(symbol, now - lag).unwrap_or_default();
            sides.into_iter().zip(legs).map(|(side, size)| Position {
                side: (!size.is_zero()).then_some(side),
                quantity: quantity(size),
                hedged: true,
                ..Position::flat(symbol.clone())
            })
        });
        netted
            .chain(legs)
            .filter(|position| position.side.is_some())
            .collect()
    }

    pub(crate) fn set_leverage(&mut self, symbol: &Symbol, leverage: Decimal) {
        self.leverage.insert(symbol.clone(), leverage);
    }

    /// The fills of an order as they were listed `lag` milliseconds ago.
    pub(crate) fn fills(&self, id: &ClientOrderId, now: i64, lag: i64) -> Vec<Fill> {
        let of_order = self
            .orders
            .iter()
            .filter(|order| order.spec.client_order_id == *id);
        of_order
            .flat_map(|order| order.fills.iter().map(move |fill| (order, fill)))
            .filter(|(_, fill)| fill.at <= now - lag)
            .map(|(order, fill)| listed(order, fill))
            .collect()
    }
}

/// A fill as the venue lists it.
pub(crate) fn listed(order: &Order, fill: &Execution) -> Fill {
    Fill {
        venue_fill_id: fill.id.clone(),
        venue_order_id: order.venue_id.clone(),
        symbol: order.spec.symbol.clone(),
        side: order.spec.side,
        quantity: quantity(fill.quantity),
        price: price(fill.price),
        fee: Amount::try_from(fill.fee).unwrap(),
        fee_currency: Some("USDT".to_owned()),
        maker: None,
        at: Timestamp::from_millis(fill.dated),
    }
}

/// An order that differs from ours in one thing.
pub(crate) fn stranger(spec: &OrderSpec, dated: i64, what: usize) -> OrderSnapshot {
    let (mut side, mut size, mut reduce_only, mut dated) =
        (spec.side, spec.quantity.get(), spec.effect.closes(), dated);
    match what {
        0 => side = side.opposite(),
        // Of an order that closes all the venue alone says how large it is.
        1 if !spec.close_all => size += Decimal::ONE,
        2 => reduce_only = !reduce_only,
        _ => dated -= 3_600_000,
    }
    OrderSnapshot {
        venue_order_id: "V0".to_owned(),
        client_order_id: Some(spec.client_order_id.clone()),
        symbol: spec.symbol.clone(),
        side,
        quantity: quantity(size),
        filled: quantity(size),
        average_price: Some(price(Decimal::ONE_HUNDRED)),
        fee: None,
        status: OrderStatus::Filled,
        reduce_only,
        reason: None,
        created_at: Timestamp::from_millis(dated),
        updated_at: Timestamp::from_millis(dated),
    }
}

fn crosses(spec: &OrderSpec, market: Decimal) -> bool {
    match (spec.kind, spec.side) {
        (OrderKind::Market, _) => true,
        (OrderKind::Limit { price, .. }, Side::Buy) => market <= price.get(),
        (OrderKind::Limit { price, .. }, Side::Sell) => market >= price.get(),
    }
}

fn rejected(code: &str, text: &str) -> VenueError {
    VenueError::new(ErrorClass::Rejected, code, text)
}

/// The symbol is in hedge mode, and one position of it cannot be shown.
pub(crate) fn hedge_mode() -> VenueError {
    rejected(VenueError::HEDGE_MODE, "the symbol is in hedge mode")
}

/// The venue does not know the symbol.
pub(crate) fn unknown_symbol() -> VenueError {
    VenueError::new(
        ErrorClass::UnknownSymbol,
        VenueError::UNKNOWN_SYMBOL,
        "no such symbol",
    )
}

/// The rules of a symbol.
pub(crate) fn instrument(symbol: &Symbol, rules: &Rules, trading: bool) -> Instrument {
    Instrument {
        symbol: symbol.clone(),
        product: Product::Linear,
        base: symbol.as_str().trim_end_matches("USDT").to_owned(),
        quote: "USDT".to_owned(),
        tick_size: serde_json::from_str("\"0.5\"").unwrap(),
        quantity_step: serde_json::from_str("\"0.001\"").unwrap(),
        min_quantity: quantity(rules.min),
        max_limit_quantity: quantity(rules.max_limit),
        max_market_quantity: quantity(rules.max_market),
        min_notional: "0.01".parse().unwrap(),
        max_leverage: Some(Decimal::ONE_HUNDRED),
        trading,
    }
}
