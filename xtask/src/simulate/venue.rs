//! The way to a venue and back: everything that a network and a venue's front can do to a call.

use core::cell::Cell;
use std::rc::Rc;

use hoox_exchange::{
    Ack, CancelOutcome, ErrorClass, LookUp, Ticker, Venue, VenueError, VenueTraits,
};
use hoox_model::{
    Amount, Balance, ClientOrderId, Decimal, Fill, Instrument, KeyInfo, OrderSnapshot, OrderSpec,
    OrderStatus, Position, Price, Product, Quantity, Symbol, Timestamp,
};

use crate::simulate::exchange::{self, Exchange, Taken};
use crate::simulate::exec::Slot;
use crate::simulate::history::Sent;
use crate::simulate::meets::{self, About};
use crate::simulate::object::Instance;
use crate::simulate::stats::FAULT;
use crate::simulate::weather::in_any;
use crate::simulate::world::World;

/// The transport ends a call after this.
const TIMEOUT_MS: i64 = 8_000;
/// Older than this, a signed call is refused.
const RECEIVE_WINDOW_MS: i64 = 5_000;
/// No call is on its way for longer.
pub(crate) const ON_ITS_WAY_MS: i64 = 15_000;
/// Further in the future than this, too.
const AHEAD_MS: i64 = 1_000;
/// Longer than a commit takes.
const COMMITTED_MS: i64 = 3_200;
/// What a venue asks for that limits calls for long.
const HOUR_MS: i64 = 3_600_000;

/// A call to a venue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum VenueCall {
    SyncClock,
    KeyInfo,
    Instrument,
    Symbols,
    Position,
    Positions,
    Balances,
    Ticker,
    SetLeverage,
    PlaceOrder,
    LookUp,
    OpenOrders,
    Cancel,
    Fills,
}

impl VenueCall {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::SyncClock => "sync_clock",
            Self::KeyInfo => "key_info",
            Self::Instrument => "instrument",
            Self::Symbols => "symbols",
            Self::Position => "position",
            Self::Positions => "positions",
            Self::Balances => "balances",
            Self::Ticker => "ticker",
            Self::SetLeverage => "set_leverage",
            Self::PlaceOrder => "place_order",
            Self::LookUp => "look_up",
            Self::OpenOrders => "open_orders",
            Self::Cancel => "cancel",
            Self::Fills => "fills",
        }
    }

    /// Whether it changes something at the venue.
    pub(crate) const fn changes(self) -> bool {
        matches!(self, Self::PlaceOrder | Self::Cancel | Self::SetLeverage)
    }

    const fn is_signed(self) -> bool {
        !matches!(
            self,
            Self::SyncClock | Self::Instrument | Self::Symbols | Self::Ticker
        )
    }
}

/// What becomes of one call.
enum Fate {
    Good,
    LostCall,
    LostAnswer,
    Before(VenueError),
    After(VenueError),
}

fn error(class: ErrorClass, code: &str) -> VenueError {
    VenueError::new(class, code, class.as_str())
}

/// A venue as one instance of a Ledger reaches it.
pub(crate) struct SimVenue {
    world: Rc<World>,
    instance: Rc<Instance>,
    account: usize,
    offset: Cell<i64>,
}

impl SimVenue {
    /// A look-up of an order was answered. That the venue has acknowledged it is stored with the first one, and known for
    /// good once the instance has had the time to commit that.
    fn knows(&self, id: &ClientOrderId) {
        let (instance, id, now) = (self.instance.clone(), id.clone(), self.world.now());
        self.world.exec.after(COMMITTED_MS, move |world| {
            let stored = instance.storage_failed.get() < now;
            let object = world.object_of(&instance);
            let closed = object.asked_to_hand_over.get().is_some();
            if !instance.alive.get() || !stored || instance.replaced.get() || closed {
                return;
            }
            for sent in &mut world.history.borrow_mut().sent {
                if sent.acknowledged_to == Some(instance.id) && sent.spec.client_order_id == id {
                    sent.acked_at = sent.acked_at.or_else(|| Some(world.now()));
                }
            }
        });
    }

    pub(crate) const fn new(
        world: Rc<World>,
        instance: Rc<Instance>,
        account: usize,
        offset: i64,
    ) -> Self {
        Self {
            world,
            instance,
            account,
            offset: Cell::new(offset),
        }
    }

    /// One call. Its effect comes when it arrives; its answer later, or never.
    async fn request<T: 'static>(
        &self,
        call: VenueCall,
        about: About,
        sent: Option<usize>,
        effect: impl FnOnce(&Rc<World>, i64) -> Result<T, VenueError> + 'static,
    ) -> Result<T, VenueError> {
        let (world, instance, account) = (&self.world, &self.instance, self.account);
        let name = world.object_of(instance).name;
        world.stats.hit("port", call.as_str());
        if !instance.budget.take() {
            world
                .stats
                .hit("path", "a call is not made for want of budget");
            return Err(error(ErrorClass::Unavailable, VenueError::NOT_SENT));
        }
        world.count_call(instance, call.as_str());
        world.check_ban(instance, call);
        let began = world.now();
        if !call.changes() {
            world.check_handed_over(instance, call, began);
        }
        let dies = world.faulty(world.weather.crashes);
        if dies && world.rng.chance(500) {
            world.stats.hit("crash before", call.as_str());
            world.die(instance, "before a port call");
        }
        let slot = Slot::new();
        let signed_at = world.now() + instance.skew + self.offset.get();
        let answer = slot.clone();
        world.note(name, || {
            format!("instance {} calls {}", instance.id, call.as_str())
        });
        // In the turn of the call itself, before the write that it follows is durable.
        let replaces = call.changes() && !world.weather.replacements.is_empty();
        let chance = if call == VenueCall::SetLeverage {
            100
        } else {
            3
        };
        let durable = replaces && world.faulty(chance) && world.replace(instance.object);
        let leaving = instance.clone();
        world.output(instance, move |world| {
            if call.changes() {
                world.check_handed_over(&leaving, call, began);
                if !durable {
                    world.check_replaced(&leaving, call);
                }
            }
            if let Some(sent) = sent {
                world.history.borrow_mut().sent[sent].left_at = Some(world.now());
                world.note(name, || format!("{} leaves", call.as_str()));
            }
            let (there, back) = world.travel(account);
            world.exec.after(there, move |world| {
                let result = world.arrive(account, call, &about, signed_at, sent, effect);
                if let Some(result) = result {
                    world.exec.after(back, move |_| answer.fill(result));
                }
            });
        });
        let late = slot.clone();
        world.exec.after(TIMEOUT_MS, move |world| {
            if !late.is_filled() {
                world.stats.hit(FAULT, "a call to a venue times out");
            }
            late.fill(Err(error(ErrorClass::Unknown, VenueError::TIMEOUT)));
        });
        if dies {
            world.stats.hit("crash after", call.as_str());
            let (dying, delay) = (instance.clone(), world.rng.range(0, 60));
            world.exec.after(delay, move |world| {
                if dying.alive.get() {
                    world.crash(&dying, "after a port call");
                }
            });
        }
        let answer = slot.wait().await;
        if let Err(error) = &answer
            && error.class == ErrorClass::Banned
        {
            world.told_of_ban(instance, error.retry_after_ms);
        }
        world.note(name, || {
            let word = match &answer {
                Ok(_) => "an answer".to_owned(),
                Err(error) => format!("{} {}", error.class, error.code),
            };
            format!("instance {} has of {}: {word}", instance.id, call.as_str())
        });
        answer
    }
}

impl World {
    /// Milliseconds to a venue and back.
    fn travel(&self, account: usize) -> (i64, i64) {
        let quick = || self.rng.range(5, 80);
        if !self.faulty(self.weather.venues[account].late) {
            return (quick(), quick());
        }
        self.stats.hit(FAULT, "a venue's call or answer is late");
        if self.rng.chance(500) {
            (self.rng.range(1_000, 12_000), quick())
        } else {
            (quick(), self.rng.range(1_000, 12_000))
        }
    }

    /// A call arrives at the venue. `None`: there will be no answer.
    fn arrive<T>(
        self: &Rc<Self>,
        account: usize,
        call: VenueCall,
        about: &About,
        signed_at: i64,
        sent: Option<usize>,
        effect: impl FnOnce(&Rc<Self>, i64) -> Result<T, VenueError>,
    ) -> Option<Result<T, VenueError>> {
        let dated = self.venue_time(account);
        if let Some(sent) = sent {
            self.history.borrow_mut().sent[sent].arrived_at = Some(self.now());
        }
        let fate = self.fate(account, call, about);
        let too_old = dated - signed_at > RECEIVE_WINDOW_MS || signed_at - dated > AHEAD_MS;
        let done = |world: &Rc<Self>| {
            if call.is_signed() && too_old {
                world
                    .stats
                    .hit(FAULT, "the clocks differ and a venue refuses");
                return Err(error(ErrorClass::ClockSkew, "10002"));
            }
            effect(world, dated)
        };
        match fate {
            Fate::Good => Some(done(self)),
            Fate::LostCall => None,
            Fate::LostAnswer => {
                drop(done(self));
                None
            }
            Fate::Before(error) => Some(Err(error)),
            Fate::After(error) => {
                drop(done(self));
                Some(Err(error))
            }
        }
    }

    fn fate(&self, account: usize, call: VenueCall, about: &About) -> Fate {
        if self.is_calm() {
            return Fate::Good;
        }
        let (rng, weather) = (&self.rng, &self.weather.venues[account]);
        if let Some(fate) = self.bad_times(account, about) {
            return fate;
        }
        if in_any(&weather.paged, self.now()) || rng.chance(weather.pages) {
            return self.page(account, call, about);
        }
        if rng.below(10_000) < weather.hour_limits as usize {
            self.meets(meets::HOUR, account, about);
            let mut error = error(ErrorClass::RateLimited, "HTTP 429");
            error.retry_after_ms = Some(HOUR_MS);
            let until = self.now() + HOUR_MS;
            self.limited_until.set(self.limited_until.get().max(until));
            return Fate::Before(error);
        }
        let fault = |word| self.stats.hit(FAULT, word);
        if rng.chance(weather.lost_calls) {
            fault("a call to a venue is lost");
            return Fate::LostCall;
        }
        if rng.chance(weather.lost_answers) {
            fault(if call == VenueCall::PlaceOrder {
                "a venue times out after it took the order"
            } else {
                "a venue's answer is lost"
            });
            return Fate::LostAnswer;
        }
        if rng.chance(weather.refusals) {
            return Fate::Before(self.refusal(call));
        }
        if rng.chance(weather.garbled) {
            let error = error(ErrorClass::Unknown, "HTTP 502");
            if rng.chance(500) {
                fault("a server error of a venue before the effect");
                return Fate::Before(error);
            }
            fault("a server error of a venue after the effect");
            return Fate::After(error);
        }
        Fate::Good
    }

    /// A page of the network in front of the venue: nobody knows what became of a call that changes
    /// something, and a read has read nothing.
    fn page(&self, account: usize, call: VenueCall, about: &About) -> Fate {
        let word = if call.changes() {
            meets::PAGE_ORDER
        } else {
            meets::PAGE_READ
        };
        self.meets(word, account, about);
        let code = *self.rng.pick(&["HTTP 403", "HTTP 401"]);
        if !call.changes() {
            let class = *self
                .rng
                .pick(&[ErrorClass::Location, ErrorClass::Credentials]);
            return Fate::Before(error(class, code));
        }
        let error = error(ErrorClass::Unknown, code);
        if self.rng.chance(500) {
            Fate::Before(error)
        } else {
            Fate::After(error)
        }
    }

    fn bad_times(&self, account: usize, about: &About) -> Option<Fate> {
        let (rng, now) = (&self.rng, self.now());
        let weather = &self.weather.venues[account];
        if in_any(&weather.bans, now) {
            self.meets(meets::BANNED, account, about);
            let mut error = error(ErrorClass::Banned, "HTTP 418");
            let end = weather.bans.iter().find(|ban| ban.contains(now));
            let end = end.filter(|_| weather.ban_says_end);
            error.retry_after_ms = end.map(|ban| ban.until - now);
            return Some(Fate::Before(error));
        }
        if in_any(&weather.barred, now) {
            self.stats
                .hit(FAULT, "a venue refuses the key or the region");
            let class = if rng.chance(500) {
                ErrorClass::Credentials
            } else {
                ErrorClass::Location
            };
            return Some(Fate::Before(error(class, "HTTP 403")));
        }
        if in_any(&weather.outages, now) {
            self.stats.hit(FAULT, "an outage of a venue");
            return Some(match rng.below(5) {
                0 => Fate::LostAnswer,
                1 => Fate::Before(error(ErrorClass::Unknown, "HTTP 502")),
                2 => Fate::Before(error(ErrorClass::Unavailable, "HTTP 503")),
                3 => Fate::After(error(ErrorClass::Unknown, "HTTP 504")),
                _ => Fate::LostCall,
            });
        }
        None
    }

    /// A clear word that nothing was done.
    fn refusal(&self, call: VenueCall) -> VenueError {
        let fault = |word| self.stats.hit(FAULT, word);
        match self.rng.below(5) {
            0 | 1 => {
                fault("a venue answers 429 with Retry-After");
                let mut error = error(ErrorClass::RateLimited, "HTTP 429");
                if self.rng.chance(700) {
                    error.retry_after_ms = Some(self.rng.range(200, 40_000));
                }
                error
            }
            2 | 3 => {
                fault("a venue is unavailable and says so");
                error(ErrorClass::Unavailable, "HTTP 503")
            }
            _ => {
                fault("a venue refuses for good");
                let class = match call {
                    VenueCall::PlaceOrder | VenueCall::SetLeverage => ErrorClass::Rejected,
                    _ => ErrorClass::Unavailable,
                };
                error(class, "110007")
            }
        }
    }

    /// An order reaches the book, and its fills are on their way.
    fn take_order(
        self: &Rc<Self>,
        account: usize,
        spec: &OrderSpec,
        dated: i64,
    ) -> Result<Ack, VenueError> {
        let now = self.now();
        self.meet_order(account, spec);
        let taken = self.venues[account].borrow_mut().place(spec, now, dated)?;
        let venue_order_id = format!("V{}", taken.order + 1);
        self.note("venue", || {
            let kind = if spec.effect.closes() {
                " reduce-only"
            } else {
                ""
            };
            format!(
                "takes {} {} {} {}{kind} as {venue_order_id}",
                spec.client_order_id,
                spec.side,
                spec.quantity,
                spec.symbol.as_str()
            )
        });
        self.carry_out(account, taken);
        Ok(Ack { venue_order_id })
    }

    /// What stands in the way of an order.
    fn meet_order(&self, account: usize, spec: &OrderSpec) {
        let (now, calm) = (self.now(), self.is_calm());
        let weather = &self.weather.venues[account];
        let about = About::order(&spec.symbol, &spec.client_order_id);
        let (halted, refuses) = (
            !calm && in_any(&weather.halted, now),
            !calm && in_any(&weather.refuses_exits, now),
        );
        {
            let mut exchange = self.venues[account].borrow_mut();
            (exchange.halted, exchange.refuses_exits) = (halted, refuses);
        }
        if halted {
            self.meets(meets::HALTED, account, &about);
        }
        if refuses && spec.effect.closes() {
            self.meets(meets::REFUSES_EXITS, account, &about);
        }
        if self.exchange(account).legs_now(&spec.symbol).is_some() {
            self.meets(meets::HEDGED, account, &about);
        }
    }

    /// What a position that is read shows of surprises.
    fn meet_position(&self, account: usize, symbol: &Symbol, lag: i64) {
        let about = About::symbol(symbol);
        let exchange = self.exchange(account);
        let (held, rules) = (exchange.held(symbol), exchange.rules);
        let late = exchange.held_at(symbol, self.now() - lag) != held;
        let touched = exchange.touched(symbol, self.now() - 600_000, self.now());
        drop(exchange);
        let held = held.abs();
        if late {
            self.meets(meets::POSITION_LAGS, account, &about);
        }
        if held > rules.max_market {
            self.meets(meets::MAXIMUM, account, &about);
        }
        if !held.is_zero() && held < rules.min {
            self.meets(meets::DUST, account, &about);
        }
        if touched {
            self.meets(meets::BY_HAND, account, &about);
        }
    }

    fn carry_out(self: &Rc<Self>, account: usize, taken: Taken) {
        let weather = &self.weather.venues[account];
        let order = taken.order;
        let (rests, kind) = {
            let exchange = self.venues[account].borrow();
            (
                exchange.orders[order].may_rest(),
                exchange.orders[order].spec.kind,
            )
        };
        if self.faulty(weather.refused_late) {
            self.stats.hit(FAULT, "a venue refuses an order it took");
            self.end_order(account, order, 200, OrderStatus::Rejected);
            return;
        }
        if rests
            && taken.crosses
            && matches!(
                kind,
                hoox_model::OrderKind::Limit {
                    time_in_force: hoox_model::TimeInForce::PostOnly,
                    ..
                }
            )
        {
            self.end_order(account, order, 100, OrderStatus::Cancelled);
            return;
        }
        if !taken.crosses {
            if !rests {
                self.end_order(account, order, 50, OrderStatus::Cancelled);
            }
            return;
        }
        self.fill_order(account, order);
    }

    /// Fills an order that has met its price: at once or in parts, all of it or not.
    pub(crate) fn fill_order(self: &Rc<Self>, account: usize, order: usize) {
        let weather = &self.weather.venues[account];
        let delay = if weather.fill_delay == 0 || self.is_calm() {
            0
        } else {
            self.rng.range(0, weather.fill_delay)
        };
        if self.venues[account].borrow().orders[order].may_rest() && self.rng.chance(250) {
            self.stats
                .hit(FAULT, "a resting order fills in part and stays");
            let share = Decimal::new(self.rng.range(20, 80), 2);
            return self.fill_part(account, order, share, delay);
        }
        let partial = self.faulty(weather.partial);
        let parts = if self.rng.chance(700) { 1 } else { 2 };
        for part in 0..parts {
            let share = match (part + 1 == parts, partial) {
                (true, false) => Decimal::ONE,
                (true, true) => Decimal::new(self.rng.range(0, 90), 2),
                (false, _) => Decimal::new(self.rng.range(20, 80), 2),
            };
            self.fill_part(account, order, share, delay + delay * part / 2);
        }
        if partial {
            let about = {
                let spec = &self.exchange(account).orders[order].spec;
                About::order(&spec.symbol, &spec.client_order_id)
            };
            self.meets(meets::PARTIAL, account, &about);
        }
        self.end_order(account, order, delay * 2, OrderStatus::Cancelled);
    }

    fn fill_part(self: &Rc<Self>, account: usize, order: usize, share: Decimal, delay: i64) {
        self.exec.after(delay, move |world| {
            let dated = world.venue_time(account);
            let now = world.now();
            world.venues[account]
                .borrow_mut()
                .fill(order, share, now, dated);
            world.note("venue", || {
                let exchange = world.venues[account].borrow();
                let order = &exchange.orders[order];
                format!(
                    "has filled {} of {}",
                    order.filled(),
                    order.spec.client_order_id
                )
            });
        });
    }

    fn end_order(self: &Rc<Self>, account: usize, order: usize, delay: i64, status: OrderStatus) {
        self.exec.after(delay, move |world| {
            let now = world.now();
            world.venues[account].borrow_mut().end(order, status, now);
        });
    }

    /// Another order under our id, as a venue's defect or another program would show it. Only where
    /// nothing of ours can still be on its way.
    fn stranger(&self, account: usize, id: &ClientOrderId) -> Option<LookUp> {
        if !self.faulty(self.weather.venues[account].strangers) {
            return None;
        }
        let mut history = self.history.borrow_mut();
        let mut sent = history.sent.iter().rev();
        let last = sent.find(|sent| sent.spec.client_order_id == *id)?.clone();
        let landed = last
            .left_at
            .is_none_or(|at| self.now() - at > ON_ITS_WAY_MS);
        if !landed {
            return None;
        }
        self.stats.hit(FAULT, "a look-up shows another order");
        history.mistaken.insert(id.to_string());
        Some(LookUp::Found(Box::new(exchange::stranger(
            &last.spec,
            self.venue_time(account),
            self.rng.below(4),
        ))))
    }

    /// How far something lags that a venue shows.
    fn lag(&self, most: i64) -> i64 {
        if most == 0 || self.is_calm() {
            return 0;
        }
        self.rng.range(0, most)
    }
}

impl Venue for SimVenue {
    fn traits(&self) -> VenueTraits {
        VenueTraits {
            venue: hoox_model::Venue::Bybit,
            client_order_ids_unique_for_ever: self.world.weather.venues[self.account].unique_ids,
            max_client_order_id: 36,
            closes_all: self.world.weather.venues[self.account].rules.closes_all,
        }
    }

    async fn server_time(&self) -> Result<Timestamp, VenueError> {
        self.request(VenueCall::SyncClock, About::default(), None, |_, dated| {
            Ok(Timestamp::from_millis(dated))
        })
        .await
    }

    async fn sync_clock(&self) -> Result<i64, VenueError> {
        let ours = || self.world.now() + self.instance.skew;
        let before = ours();
        let theirs = self.server_time().await?.as_millis();
        let offset = theirs - i64::midpoint(before, ours());
        self.offset.set(offset);
        Ok(offset)
    }

    async fn key_info(&self) -> Result<KeyInfo, VenueError> {
        self.request(VenueCall::KeyInfo, About::default(), None, |_, _| {
            Ok(KeyInfo::default())
        })
        .await
    }

    async fn instrument(&self, _: Product, symbol: &Symbol) -> Result<Instrument, VenueError> {
        let (symbol, account) = (symbol.clone(), self.account);
        self.request(
            VenueCall::Instrument,
            About::symbol(&symbol),
            None,
            move |world, _| {
                if symbol.as_str() == exchange::UNKNOWN_SYMBOL {
                    return Err(exchange::unknown_symbol());
                }
                let weather = &world.weather.venues[account];
                let halted = !world.is_calm() && in_any(&weather.halted, world.now());
                if halted {
                    world.meets(meets::HALTED, account, &About::symbol(&symbol));
                }
                Ok(exchange::instrument(&symbol, &weather.rules, !halted))
            },
        )
        .await
    }

    async fn symbols(&self, _: Product) -> Result<Vec<Symbol>, VenueError> {
        self.request(VenueCall::Symbols, About::default(), None, |_, _| {
            let names = exchange::SYMBOLS.iter().chain(&[exchange::LIKE_UNKNOWN]);
            Ok(names.map(|name| name.parse().unwrap()).collect())
        })
        .await
    }

    async fn position(&self, _: Product, symbol: &Symbol) -> Result<Position, VenueError> {
        let (symbol, account) = (symbol.clone(), self.account);
        self.request(
            VenueCall::Position,
            About::symbol(&symbol),
            None,
            move |world, _| {
                let lag = world.lag(world.weather.venues[account].position_lag);
                if world.exchange(account).legs_now(&symbol).is_some() {
                    world.meets(meets::HEDGED, account, &About::symbol(&symbol));
                    return Err(exchange::hedge_mode());
                }
                world.meet_position(account, &symbol, lag);
                Ok(world.exchange(account).position(&symbol, world.now(), lag))
            },
        )
        .await
    }

    async fn positions(&self, _: Product) -> Result<Vec<Position>, VenueError> {
        let account = self.account;
        self.request(
            VenueCall::Positions,
            About::default(),
            None,
            move |world, _| {
                let lag = world.lag(world.weather.venues[account].position_lag);
                let shown = world.exchange(account).positions(world.now(), lag);
                if shown != world.exchange(account).positions(world.now(), 0) {
                    world.meets(meets::POSITION_LAGS, account, &About::default());
                }
                if shown.iter().any(|position| position.hedged) {
                    world.meets(meets::HEDGED, account, &About::default());
                }
                Ok(shown)
            },
        )
        .await
    }

    async fn balances(&self) -> Result<Vec<Balance>, VenueError> {
        let account = self.account;
        self.request(
            VenueCall::Balances,
            About::default(),
            None,
            move |world, _| {
                let wallet = Amount::try_from(Decimal::from(100_000)).unwrap();
                let result = Amount::try_from(world.exchange(account).result()).unwrap();
                Ok(vec![Balance {
                    currency: "USDT".to_owned(),
                    wallet,
                    equity: wallet,
                    available: Some(wallet),
                    realised_pnl: Some(result),
                }])
            },
        )
        .await
    }

    async fn ticker(&self, _: Product, symbol: &Symbol) -> Result<Ticker, VenueError> {
        let (symbol, account) = (symbol.clone(), self.account);
        self.request(
            VenueCall::Ticker,
            About::symbol(&symbol),
            None,
            move |world, _| {
                let price = world.exchange(account).price(&symbol);
                let price = price.ok_or_else(exchange::unknown_symbol)?;
                Ok(Ticker {
                    last: Price::try_from(price).unwrap(),
                    mark: None,
                })
            },
        )
        .await
    }

    async fn set_leverage(
        &self,
        _: Product,
        symbol: &Symbol,
        leverage: Decimal,
    ) -> Result<(), VenueError> {
        let (symbol, account) = (symbol.clone(), self.account);
        self.request(
            VenueCall::SetLeverage,
            About::symbol(&symbol),
            None,
            move |world, _| {
                let mut exchange = world.venues[account].borrow_mut();
                exchange.set_leverage(&symbol, leverage);
                Ok(())
            },
        )
        .await
    }

    async fn place_order(&self, spec: &OrderSpec) -> Result<Ack, VenueError> {
        let account = self.account;
        let sent = self.world.history.borrow_mut().send(Sent {
            account,
            place: self.instance.object,
            spec: spec.clone(),
            fenced_at: self.world.now(),
            ledger_clock: self.world.now() + self.instance.skew,
            left_at: None,
            arrived_at: None,
            taken: false,
            acknowledged_to: None,
            acked_at: None,
        });
        let spec = spec.clone();
        let about = About::order(&spec.symbol, &spec.client_order_id);
        let answer = self
            .request(
                VenueCall::PlaceOrder,
                about,
                Some(sent),
                move |world, dated| {
                    let taken = world.take_order(account, &spec, dated);
                    world.history.borrow_mut().sent[sent].taken = taken.is_ok();
                    taken
                },
            )
            .await;
        if answer.is_ok() {
            self.world.history.borrow_mut().sent[sent].acknowledged_to = Some(self.instance.id);
        }
        answer
    }

    async fn look_up(
        &self,
        _: Product,
        symbol: &Symbol,
        id: &ClientOrderId,
    ) -> Result<LookUp, VenueError> {
        let (asked, id, account) = (id.clone(), id.clone(), self.account);
        let answer = self
            .request(
                VenueCall::LookUp,
                About::order(symbol, &id),
                None,
                move |world, _| {
                    let lag = world.lag(world.weather.venues[account].look_up_lag);
                    if let Some(stranger) = world.stranger(account, &id) {
                        return Ok(stranger);
                    }
                    let found = world.exchange(account).look_up(&id, world.now(), lag);
                    if found == LookUp::NotFound && world.exchange(account).has(&id) {
                        world.stats.hit(FAULT, "a look-up lags and shows no order");
                    }
                    Ok(found)
                },
            )
            .await;
        self.knows(&asked);
        answer
    }

    /// Page by page: what changes between two of them is shown as it was on one and as it is on the other.
    async fn open_orders(
        &self,
        _: Product,
        wanted: &[ClientOrderId],
    ) -> Result<Vec<OrderSnapshot>, VenueError> {
        let account = self.account;
        let pages = self.world.weather.venues[account].order_pages;
        let mut listed = Vec::new();
        for wanted in wanted.chunks(wanted.len().div_ceil(pages).max(1)) {
            let wanted = wanted.to_vec();
            let page = self.request(
                VenueCall::OpenOrders,
                About::default(),
                None,
                move |world, _| {
                    let lag = world.lag(world.weather.venues[account].orders_lag);
                    let exchange = world.exchange(account);
                    let shown = exchange.open_orders(&wanted, world.now(), lag);
                    if shown != exchange.open_orders(&wanted, world.now(), 0) {
                        world.stats.hit(FAULT, "the list of open orders lags");
                    }
                    Ok(shown)
                },
            );
            listed.extend(page.await?);
        }
        Ok(listed)
    }

    async fn cancel(
        &self,
        _: Product,
        symbol: &Symbol,
        id: &ClientOrderId,
    ) -> Result<CancelOutcome, VenueError> {
        let (id, account) = (id.clone(), self.account);
        self.request(
            VenueCall::Cancel,
            About::order(symbol, &id),
            None,
            move |world, _| {
                let now = world.now();
                Ok(world.venues[account].borrow_mut().cancel(&id, now))
            },
        )
        .await
    }

    async fn fills(
        &self,
        _: Product,
        symbol: &Symbol,
        id: &ClientOrderId,
        _: Quantity,
    ) -> Result<Vec<Fill>, VenueError> {
        let (id, account) = (id.clone(), self.account);
        self.request(
            VenueCall::Fills,
            About::order(symbol, &id),
            None,
            move |world, _| {
                let lag = world.lag(world.weather.venues[account].fills_lag);
                let shown = world.exchange(account).fills(&id, world.now(), lag);
                let all = world.exchange(account).fills(&id, world.now(), 0).len();
                if shown.len() < all {
                    let about = About {
                        order: Some(id),
                        ..About::default()
                    };
                    world.meets(meets::FILLS_LAG, account, &about);
                }
                Ok(shown)
            },
        )
        .await
    }
}

impl Exchange {
    /// Whether there is an order of this id, whatever look-ups show.
    fn has(&self, id: &ClientOrderId) -> bool {
        self.orders
            .iter()
            .any(|order| order.spec.client_order_id == *id)
    }
}
