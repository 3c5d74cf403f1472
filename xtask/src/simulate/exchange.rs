//! The truth at one venue: orders, fills, positions, prices, and what look-ups show of them.

use std::collections::BTreeMap;

use hoox_exchange::{CancelOutcome, ErrorClass, LookUp, VenueError};
use hoox_model::{
    Amount, ClientOrderId, Decimal, Fill, Instrument, OrderKind, OrderSnapshot, OrderSpec,
    OrderStatus, Position, PositionSide, Price, Product, Quantity, Side, Symbol, TimeInForce,
    Timestamp,
};

use crate::simulate::START;

/// Symbols that trade.
pub(crate) const SYMBOLS: [&str; 4] = ["BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT"];
/// A symbol that no venue knows.
pub(crate) const UNKNOWN_SYMBOL: &str = "NOPEUSDT";

pub(crate) fn quantity(value: Decimal) -> Quantity {
    Quantity::try_from(value).unwrap()
}

fn price(value: Decimal) -> Price {
    Price::try_from(value).unwrap()
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
    unique_ids: bool,
    executions: u64,
    /// What was paid and received for positions, fees included.
    cash: Decimal,
    /// What trading had brought, with the moment from which it holds.
    results: Vec<(i64, Decimal)>,
}

impl Exchange {
    pub(crate) fn new(unique_ids: bool) -> Self {
        let opening = |symbol: &&str| {
            let first = vec![(START, Decimal::ONE_HUNDRED)];
            (symbol.parse().unwrap(), first)
        };
        Self {
            orders: Vec::new(),
            leverage: BTreeMap::new(),
            positions: BTreeMap::new(),
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

    /// The largest size that was held, on either side, from one moment to another.
    pub(crate) fn most_held(&self, symbol: &Symbol, from: i64, until: i64) -> Decimal {
        let before = self.held_at(symbol, from).abs();
        let moves = self.positions.get(symbol).into_iter().flatten();
        let within = moves.filter(|(at, _)| (from..=until).contains(at));
        within
            .map(|(_, size)| size.abs())
            .fold(before, Decimal::max)
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
        let held = self.held(&spec.symbol);
        match (spec.effect.closes(), spec.side) {
            (false, _) => Decimal::MAX,
            (true, Side::Sell) => held.max(Decimal::ZERO),
            (true, Side::Buy) => (-held).max(Decimal::ZERO),
        }
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
        let room = self.room(&spec);
        if room.is_zero() {
            let text = "the position is zero";
            return Err(VenueError::new(ErrorClass::Rejected, "110017", text));
        }
        spec.quantity = quantity(spec.quantity.get().min(room));
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
        if size == left {
            self.end(place, OrderStatus::Filled, now);
        }
        let fee = (size * price * Decimal::new(55, 5)).normalize();
        self.cash -= signed * price + fee;
        let moves = self.positions.entry(spec.symbol).or_default();
        moves.push((now, before + signed));
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
        all.map(|symbol| self.position(symbol, now, lag))
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
        1 => size += Decimal::ONE,
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

/// The venue does not know the symbol.
pub(crate) fn unknown_symbol() -> VenueError {
    VenueError::new(
        ErrorClass::UnknownSymbol,
        VenueError::UNKNOWN_SYMBOL,
        "no such symbol",
    )
}

/// The rules of a symbol.
pub(crate) fn instrument(symbol: &Symbol) -> Instrument {
    Instrument {
        symbol: symbol.clone(),
        product: Product::Linear,
        base: symbol.as_str().trim_end_matches("USDT").to_owned(),
        quote: "USDT".to_owned(),
        tick_size: serde_json::from_str("\"0.5\"").unwrap(),
        quantity_step: serde_json::from_str("\"0.001\"").unwrap(),
        min_quantity: "0.001".parse().unwrap(),
        max_limit_quantity: "1000".parse().unwrap(),
        max_market_quantity: "100".parse().unwrap(),
        min_notional: "0.01".parse().unwrap(),
        max_leverage: Some(Decimal::ONE_HUNDRED),
        trading: true,
    }
}
