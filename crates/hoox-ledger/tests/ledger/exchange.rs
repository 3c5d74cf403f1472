//! An exchange in memory, just exact enough to be lied to by.

use std::collections::BTreeMap;

use hoox_exchange::{Ack, CancelOutcome, ErrorClass, LookUp, VenueError};
use hoox_model::{
    Amount, Balance, ClientOrderId, Decimal, Fill, Instrument, OrderKind, OrderSnapshot, OrderSpec,
    OrderStatus, Position, PositionSide, Price, Product, Quantity, Side, Symbol, TimeInForce,
    Timestamp,
};

pub(crate) fn quantity(value: Decimal) -> Quantity {
    Quantity::try_from(value).unwrap()
}

fn price(value: Decimal) -> Price {
    Price::try_from(value).unwrap()
}

/// One order at the exchange.
#[derive(Debug, Clone)]
pub(crate) struct Order {
    pub(crate) venue_id: String,
    pub(crate) spec: OrderSpec,
    pub(crate) status: OrderStatus,
    pub(crate) filled: Decimal,
    pub(crate) created_at: i64,
    pub(crate) fills: Vec<(String, Decimal, i64)>,
    /// What a market order will fill at most, and whether it will be refused after its acknowledgement.
    ceiling: Decimal,
    refused_late: bool,
    /// When it was cancelled.
    ended_at: Option<i64>,
}

impl Order {
    fn snapshot(&self, now: i64) -> OrderSnapshot {
        OrderSnapshot {
            venue_order_id: self.venue_id.clone(),
            client_order_id: Some(self.spec.client_order_id.clone()),
            symbol: self.spec.symbol.clone(),
            side: self.spec.side,
            quantity: self.spec.quantity,
            filled: quantity(self.filled),
            average_price: (!self.filled.is_zero()).then(|| price(Decimal::ONE_HUNDRED)),
            fee: None,
            status: self.status,
            reduce_only: self.spec.effect.closes(),
            reason: None,
            created_at: Timestamp::from_millis(self.created_at),
            updated_at: Timestamp::from_millis(now),
        }
    }
}

/// How the exchange behaves.
#[expect(clippy::struct_excessive_bools, reason = "each is a manner of its own")]
#[derive(Debug, Clone)]
pub(crate) struct Manners {
    pub(crate) unique_ids: bool,
    pub(crate) fill_delay_ms: i64,
    pub(crate) look_up_lag_ms: i64,
    /// For how long look-ups do not show what an order has filled.
    pub(crate) look_up_fill_lag_ms: i64,
    pub(crate) position_lag_ms: i64,
    /// How far the list of all positions lags beyond that.
    pub(crate) list_lag_ms: i64,
    pub(crate) fills_lag_ms: i64,
    /// How far the list of open orders lags.
    pub(crate) orders_lag_ms: i64,
    /// Orders that the list of open orders leaves out.
    pub(crate) unlisted: Vec<ClientOrderId>,
    pub(crate) price: i64,
    /// Shares, in percent, that the next orders which do not rest fill before the rest of them is cancelled.
    pub(crate) next_fills: Vec<i64>,
    /// How many of the next orders are refused after they were acknowledged.
    pub(crate) refuse_late: usize,
    /// Largest market order, by its rules.
    pub(crate) most: i64,
    /// Whether a closing order above it is taken and split, and not refused.
    pub(crate) splits: bool,
    /// Whether the instruments answer says that symbols trade.
    pub(crate) trading: bool,
    /// Whether orders are taken, whatever the instruments answer says.
    pub(crate) takes: bool,
    /// Whether an order may close all of a position, however small it is.
    pub(crate) closes_all: bool,
    /// Whether closes are refused while an order of ours rests.
    pub(crate) refuses_beside_resting: bool,
    /// The symbols that it lists; it knows every one.
    pub(crate) listed: Vec<&'static str>,
}

#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) orders: Vec<Order>,
    pub(crate) leverage: BTreeMap<Symbol, Decimal>,
    pub(crate) manners: Manners,
    /// Signed sizes with the moment from which they hold.
    history: BTreeMap<Symbol, Vec<(i64, Decimal)>>,
    pub(crate) leverage_calls: usize,
    /// Long and short legs of symbols in hedge mode.
    pub(crate) legs: BTreeMap<Symbol, (Decimal, Decimal)>,
    /// What trading has brought; `None`: the exchange does not say.
    pub(crate) result: Option<Decimal>,
}

impl Exchange {
    pub(crate) fn new() -> Self {
        Self {
            orders: Vec::new(),
            leverage: BTreeMap::new(),
            history: BTreeMap::new(),
            leverage_calls: 0,
            result: Some(Decimal::ZERO),
            manners: Manners {
                unique_ids: true,
                fill_delay_ms: 0,
                look_up_lag_ms: 0,
                look_up_fill_lag_ms: 0,
                position_lag_ms: 0,
                list_lag_ms: 0,
                fills_lag_ms: 0,
                orders_lag_ms: 0,
                unlisted: Vec::new(),
                price: 100,
                next_fills: Vec::new(),
                refuse_late: 0,
                most: 100,
                splits: false,
                trading: true,
                takes: true,
                closes_all: true,
                refuses_beside_resting: false,
                listed: vec!["BTCUSDT", "ETHUSDT", "1000PEPEUSDT"],
            },
            legs: BTreeMap::new(),
        }
    }

    pub(crate) fn held(&self, symbol: &str) -> Decimal {
        self.history
            .get(&symbol.parse().unwrap())
            .and_then(|moves| moves.last())
            .map_or(Decimal::ZERO, |(_, size)| *size)
    }

    /// Somebody else trades on the account.
    pub(crate) fn set_held(&mut self, now: i64, symbol: &str, size: &str) {
        let moves = self.history.entry(symbol.parse().unwrap()).or_default();
        moves.push((now, size.parse().unwrap()));
    }

    pub(crate) fn of(&self, symbol: &str) -> Vec<&Order> {
        let symbol: Symbol = symbol.parse().unwrap();
        self.orders
            .iter()
            .filter(|order| order.spec.symbol == symbol)
            .collect()
    }

    /// Fills what is due.
    pub(crate) fn progress(&mut self, now: i64) {
        for index in 0..self.orders.len() {
            let order = &self.orders[index];
            if order.status.is_final() || now < order.created_at + self.manners.fill_delay_ms {
                continue;
            }
            if order.refused_late {
                self.orders[index].status = OrderStatus::Rejected;
                continue;
            }
            let (spec, ceiling) = (order.spec.clone(), order.ceiling);
            // A resting order that has filled in part waits for the test.
            let held_back = order.status == OrderStatus::PartiallyFilled;
            let market = Decimal::from(self.manners.price);
            let crosses = match (spec.kind, spec.side) {
                (OrderKind::Market, _) => true,
                (OrderKind::Limit { price, .. }, Side::Buy) => market <= price.get(),
                (OrderKind::Limit { price, .. }, Side::Sell) => market >= price.get(),
            };
            if crosses && !held_back {
                self.fill(index, ceiling, now);
            }
            let order = &mut self.orders[index];
            let rests = matches!(
                spec.kind,
                OrderKind::Limit {
                    time_in_force: TimeInForce::Gtc | TimeInForce::PostOnly,
                    ..
                }
            );
            order.status = if order.filled == spec.quantity.get() {
                OrderStatus::Filled
            } else if rests && order.filled.is_zero() {
                OrderStatus::New
            } else if rests {
                OrderStatus::PartiallyFilled
            } else {
                OrderStatus::Cancelled
            };
        }
    }

    /// Fills a part of a resting order.
    pub(crate) fn fill_resting(&mut self, upto: i64, now: i64) {
        let resting = |order: &Order| !order.status.is_final();
        let index = self.orders.iter().rposition(resting).expect("one rests");
        self.fill(index, Decimal::from(upto), now);
        self.orders[index].status = OrderStatus::PartiallyFilled;
    }

    /// Lets the first order of all fill up to a size.
    pub(crate) fn fill_first(&mut self, upto: impl Into<Decimal>, now: i64) {
        self.fill(0, upto.into(), now);
    }

    fn fill(&mut self, index: usize, upto: Decimal, now: i64) {
        let order = &mut self.orders[index];
        let size = upto - order.filled;
        if size.is_zero() {
            return;
        }
        order.filled += size;
        let id = format!("{}-f{}", order.venue_id, order.fills.len());
        order.fills.push((id, size, now));
        let signed = match order.spec.side {
            Side::Buy => size,
            Side::Sell => -size,
        };
        let symbol = order.spec.symbol.clone();
        let moves = self.history.entry(symbol).or_default();
        let before = moves.last().map_or(Decimal::ZERO, |(_, size)| *size);
        moves.push((now, before + signed));
    }

    pub(crate) fn place(&mut self, spec: &OrderSpec, now: i64) -> Result<Ack, VenueError> {
        self.progress(now);
        let same = |order: &&Order| order.spec.client_order_id == spec.client_order_id;
        let taken = self
            .orders
            .iter()
            .filter(same)
            .any(|order| self.manners.unique_ids || !order.status.is_final());
        if taken {
            return Err(VenueError::new(ErrorClass::Duplicate, "10014", "duplicate"));
        }
        let mut spec = spec.clone();
        self.check(&spec)?;
        if let Some(leg) = spec.leg {
            return self.place_leg(spec, leg, now);
        }
        if spec.effect.closes() {
            let held = self.held(spec.symbol.as_str());
            let reducible = match spec.side {
                Side::Sell => held,
                Side::Buy => -held,
            };
            if reducible <= Decimal::ZERO {
                return Err(VenueError::new(
                    ErrorClass::Rejected,
                    "110017",
                    "position is zero",
                ));
            }
            spec.quantity = quantity(spec.quantity.get().min(reducible));
        }
        let rests = matches!(
            spec.kind,
            OrderKind::Limit {
                time_in_force: TimeInForce::Gtc | TimeInForce::PostOnly,
                ..
            }
        );
        let share = if !rests && !self.manners.next_fills.is_empty() {
            self.manners.next_fills.remove(0)
        } else {
            100
        };
        let refused_late = self.manners.refuse_late > 0;
        self.manners.refuse_late = self.manners.refuse_late.saturating_sub(1);
        let venue_id = format!("V{}", self.orders.len() + 1);
        self.orders.push(Order {
            venue_id: venue_id.clone(),
            status: OrderStatus::New,
            filled: Decimal::ZERO,
            created_at: now,
            fills: Vec::new(),
            ceiling: spec.quantity.get() * Decimal::from(share) / Decimal::ONE_HUNDRED,
            refused_late,
            ended_at: None,
            spec,
        });
        self.progress(now);
        Ok(Ack {
            venue_order_id: venue_id,
        })
    }

    /// What the exchange refuses by its rules.
    fn check(&self, spec: &OrderSpec) -> Result<(), VenueError> {
        let refused = |code, text| Err(VenueError::new(ErrorClass::Rejected, code, text));
        let rules = self.instrument(&spec.symbol);
        let size = spec.quantity.get();
        let resting = |order: &Order| {
            order.spec.symbol == spec.symbol
                && matches!(
                    order.status,
                    OrderStatus::New | OrderStatus::PartiallyFilled
                )
        };
        if !self.manners.takes {
            return refused("110074", "this symbol is closed");
        }
        let whole_steps = (size % rules.quantity_step.get()).is_zero();
        if !spec.close_all && (!whole_steps || size < rules.min_quantity.get()) {
            return refused(
                "10001",
                "the quantity is too small or no multiple of the step",
            );
        }
        let market = spec.kind == OrderKind::Market;
        let split = self.manners.splits && spec.effect.closes();
        if market && !split && size > rules.max_market_quantity.get() {
            return refused("110003", "the quantity exceeds the maximum");
        }
        let beside = self.manners.refuses_beside_resting && spec.effect.closes();
        if beside && self.orders.iter().any(resting) {
            return refused("110012", "open orders stand against it");
        }
        if spec.leg.is_none() && self.legs.contains_key(&spec.symbol) {
            return refused("10001", "position idx not match position mode");
        }
        Ok(())
    }

    /// A closing order of a leg, which fills at once.
    fn place_leg(
        &mut self,
        mut spec: OrderSpec,
        leg: PositionSide,
        now: i64,
    ) -> Result<Ack, VenueError> {
        let legs = self.legs.get_mut(&spec.symbol).expect("no hedge mode");
        let held = match leg {
            PositionSide::Long => &mut legs.0,
            PositionSide::Short => &mut legs.1,
        };
        assert!(spec.effect.closes() && spec.side == leg.exit_side());
        let size = spec.quantity.get().min(*held);
        if size.is_zero() {
            let text = "position is zero";
            return Err(VenueError::new(ErrorClass::Rejected, "110017", text));
        }
        *held -= size;
        spec.quantity = quantity(size);
        let venue_id = format!("V{}", self.orders.len() + 1);
        self.orders.push(Order {
            venue_id: venue_id.clone(),
            status: OrderStatus::Filled,
            filled: size,
            created_at: now,
            fills: vec![(format!("{venue_id}-f0"), size, now)],
            ceiling: size,
            refused_late: false,
            ended_at: None,
            spec,
        });
        Ok(Ack {
            venue_order_id: venue_id,
        })
    }

    /// The position of a symbol in one-way mode.
    pub(crate) fn one_way(&mut self, symbol: &Symbol, now: i64) -> Result<Position, VenueError> {
        if self.legs.contains_key(symbol) {
            let text = "the symbol is in hedge mode";
            let code = VenueError::HEDGE_MODE;
            return Err(VenueError::new(ErrorClass::Rejected, code, text));
        }
        Ok(self.position(symbol, now))
    }

    pub(crate) fn look_up(&mut self, id: &ClientOrderId, now: i64) -> LookUp {
        self.progress(now);
        let found = self.orders.iter().rev().find(|order| {
            order.spec.client_order_id == *id
                && now >= order.created_at + self.manners.look_up_lag_ms
        });
        found.map_or(LookUp::NotFound, |order| {
            let seen = now - self.manners.look_up_fill_lag_ms;
            let shown = order.fills.iter().filter(|(_, _, at)| *at <= seen);
            let filled: Decimal = shown.map(|(_, size, _)| *size).sum();
            let status = match order.status {
                OrderStatus::Filled if filled.is_zero() => OrderStatus::New,
                OrderStatus::Filled if filled < order.filled => OrderStatus::PartiallyFilled,
                status => status,
            };
            LookUp::Found(Box::new(OrderSnapshot {
                filled: quantity(filled),
                average_price: (!filled.is_zero()).then(|| price(Decimal::ONE_HUNDRED)),
                status,
                ..order.snapshot(now)
            }))
        })
    }

    /// The open orders among `wanted` as a list that lags shows them.
    pub(crate) fn open_orders(&mut self, wanted: &[ClientOrderId], now: i64) -> Vec<OrderSnapshot> {
        self.progress(now);
        let seen = now - self.manners.orders_lag_ms;
        let mut listed = Vec::new();
        for order in &self.orders {
            let id = &order.spec.client_order_id;
            let hidden = self.manners.unlisted.contains(id);
            let filled: Decimal = order
                .fills
                .iter()
                .filter(|(_, _, at)| *at <= seen)
                .map(|(_, size, _)| size)
                .sum();
            let ended = order.ended_at.is_some_and(|at| at <= seen);
            let open = !ended && filled < order.spec.quantity.get() && order.created_at <= seen;
            if hidden || !open || !wanted.contains(id) {
                continue;
            }
            let status = if filled.is_zero() {
                OrderStatus::New
            } else {
                OrderStatus::PartiallyFilled
            };
            listed.push(OrderSnapshot {
                filled: quantity(filled),
                status,
                ..order.snapshot(now)
            });
        }
        listed
    }

    pub(crate) fn position(&mut self, symbol: &Symbol, now: i64) -> Position {
        self.progress(now);
        self.position_at(symbol, now - self.manners.position_lag_ms)
    }

    fn position_at(&self, symbol: &Symbol, seen: i64) -> Position {
        let held = self
            .history
            .get(symbol)
            .and_then(|moves| moves.iter().rev().find(|(at, _)| *at <= seen))
            .map_or(Decimal::ZERO, |(_, size)| *size);
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

    /// Ends an order that rests.
    pub(crate) fn cancel(&mut self, id: &ClientOrderId, now: i64) -> CancelOutcome {
        self.progress(now);
        let mut same = self.orders.iter_mut().rev();
        match same.find(|order| order.spec.client_order_id == *id) {
            None => CancelOutcome::NotFound,
            Some(order) if order.status.is_final() => CancelOutcome::AlreadyDone,
            Some(order) => {
                order.status = OrderStatus::Cancelled;
                order.ended_at = Some(now);
                CancelOutcome::Cancelled
            }
        }
    }

    pub(crate) fn balances(&self) -> Vec<Balance> {
        let wallet = Amount::try_from(Decimal::ONE_THOUSAND).unwrap();
        vec![Balance {
            currency: "USDT".to_owned(),
            wallet,
            equity: wallet,
            available: None,
            realised_pnl: self.result.map(|result| result.try_into().unwrap()),
        }]
    }

    /// Everything that is held.
    pub(crate) fn positions(&mut self, now: i64) -> Vec<Position> {
        self.progress(now);
        let seen = now - self.manners.position_lag_ms - self.manners.list_lag_ms;
        let symbols = self.history.keys();
        let positions = symbols.map(|symbol| self.position_at(symbol, seen));
        let mut held: Vec<Position> = positions.filter(|held| held.side.is_some()).collect();
        for (symbol, (long, short)) in &self.legs {
            let legs = [(PositionSide::Long, *long), (PositionSide::Short, *short)];
            for (side, size) in legs.into_iter().filter(|(_, size)| !size.is_zero()) {
                held.push(Position {
                    side: Some(side),
                    quantity: quantity(size),
                    hedged: true,
                    ..Position::flat(symbol.clone())
                });
            }
        }
        held
    }

    pub(crate) fn fills(&mut self, id: &ClientOrderId, now: i64) -> Vec<Fill> {
        self.progress(now);
        let lag = self.manners.fills_lag_ms;
        self.orders
            .iter()
            .filter(|order| order.spec.client_order_id == *id)
            .flat_map(|order| order.fills.iter().map(move |fill| (order, fill)))
            .filter(|(_, (_, _, at))| now >= at + lag)
            .map(|(order, (fill_id, size, at))| Fill {
                venue_fill_id: fill_id.clone(),
                venue_order_id: order.venue_id.clone(),
                symbol: order.spec.symbol.clone(),
                side: order.spec.side,
                quantity: quantity(*size),
                price: price(Decimal::ONE_HUNDRED),
                fee: Amount::try_from(Decimal::new(1, 2)).unwrap(),
                fee_currency: Some("USDT".to_owned()),
                maker: Some(false),
                at: Timestamp::from_millis(*at),
            })
            .collect()
    }

    pub(crate) fn instrument(&self, symbol: &Symbol) -> Instrument {
        Instrument {
            symbol: symbol.clone(),
            product: Product::Linear,
            base: "BTC".to_owned(),
            quote: "USDT".to_owned(),
            tick_size: serde_json::from_str("\"0.5\"").unwrap(),
            quantity_step: serde_json::from_str("\"0.001\"").unwrap(),
            min_quantity: "0.001".parse().unwrap(),
            max_limit_quantity: "1000".parse().unwrap(),
            max_market_quantity: quantity(Decimal::from(self.manners.most)),
            min_notional: "0.01".parse().unwrap(),
            max_leverage: Some(Decimal::ONE_HUNDRED),
            trading: self.manners.trading,
        }
    }
}
