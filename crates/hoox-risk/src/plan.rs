//! From a signal and the position that is there to the orders that are needed.

use hoox_model::{
    Amount, Code, Effect, Instrument, MoneyError, OrderKind, Position, PositionSide, Price,
    Quantity, Side,
};
use hoox_signal::{Action, OnOpposite, Signal, Sizing};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Why a signal becomes no order.
#[derive(Debug, Clone, PartialEq, Eq, Error, Serialize, Deserialize)]
#[error("{code}: {message}")]
pub struct Refused {
    /// Stable code.
    pub code: Code,
    /// What is wrong and what to do.
    pub message: String,
}

impl Refused {
    /// A refusal with a code and a sentence.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }
}

impl From<MoneyError> for Refused {
    fn from(error: MoneyError) -> Self {
        Self::new(Code::BadField, error.to_string())
    }
}

/// One order that is needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leg {
    /// Buy or sell.
    pub side: Side,
    /// Market or limit, the price on the venue's tick.
    pub kind: OrderKind,
    /// Size on the venue's step.
    pub quantity: Quantity,
    /// What it is for; a closing leg must be filled before the next one.
    pub effect: Effect,
    /// Whether it closes all that is held, in the venue's own form for that.
    pub close_all: bool,
}

/// The orders that are needed, in order. None: there is nothing to do, and the sentence says why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The orders.
    pub legs: Vec<Leg>,
    /// What the plan does.
    pub summary: String,
    /// Why the leg that was to open after the close is not there. The close goes out all the same.
    pub opening_refused: Option<Refused>,
}

impl Plan {
    fn of(legs: Vec<Leg>, summary: impl Into<String>) -> Self {
        Self {
            legs,
            summary: summary.into(),
            opening_refused: None,
        }
    }

    /// A close, and what is opened after it: a close never waits for a leg that cannot be.
    fn flip(close: Leg, open: Result<Leg, Refused>, summary: impl Into<String>) -> Self {
        let mut plan = Self::of(vec![close], summary);
        match open {
            Ok(leg) => plan.legs.push(leg),
            Err(refused) => plan.opening_refused = Some(refused),
        }
        plan
    }

    /// Whether it can make a position larger.
    pub fn enters(&self) -> bool {
        self.legs.iter().any(|leg| !leg.effect.closes())
    }
}

/// Whether sizing needs the market's price.
pub fn needs_market_price(signal: &Signal) -> bool {
    matches!(signal.quantity, Some(Sizing::Quote(_))) && signal.order == OrderKind::Market
}

/// Decides the orders.
///
/// Sizes round down to the venue's step, buy limits round down and sell limits up to the tick: always
/// towards less risk. Closing legs are clamped to the position.
///
/// # Errors
/// [`Refused`] where the signal cannot be carried out: too small, too large, not supported, or an
/// opposite position that the signal refuses to touch.
pub fn plan(
    signal: &Signal,
    position: &Position,
    instrument: &Instrument,
    market_price: Option<Price>,
) -> Result<Plan, Refused> {
    let desk = Desk {
        signal,
        position,
        instrument,
        market_price,
    };
    // Whether an exit may go out the venue alone decides.
    if !instrument.trading && signal.is_entry() {
        let message = format!(
            "{} is not open for trading at the venue now",
            instrument.symbol
        );
        return Err(Refused::new(Code::Rejected, message));
    }
    if signal.reduce_only {
        return desk.reduce();
    }
    match signal.action {
        Action::Long => desk.enter(PositionSide::Long),
        Action::Short => desk.enter(PositionSide::Short),
        Action::CloseLong => desk.close(Some(PositionSide::Long)),
        Action::CloseShort => desk.close(Some(PositionSide::Short)),
        Action::Close => desk.close(None),
        Action::Buy => desk.plain(Side::Buy),
        Action::Sell => desk.plain(Side::Sell),
        Action::Reverse => Ok(desk.reverse()),
        Action::Target(target) => desk.target(target.position()),
        Action::Cancel => Ok(Plan::of(Vec::new(), "cancel resting orders")),
    }
}

struct Desk<'a> {
    signal: &'a Signal,
    position: &'a Position,
    instrument: &'a Instrument,
    market_price: Option<Price>,
}

impl Desk<'_> {
    /// What `reduceOnly` leaves of an action: nothing is opened.
    fn reduce(&self) -> Result<Plan, Refused> {
        match self.signal.action {
            Action::Long | Action::Buy | Action::CloseShort => {
                self.close(Some(PositionSide::Short))
            }
            Action::Short | Action::Sell | Action::CloseLong => {
                self.close(Some(PositionSide::Long))
            }
            Action::Close => self.close(None),
            Action::Reverse => Ok(self.whole("close the position")),
            Action::Cancel => Ok(Plan::of(Vec::new(), "cancel resting orders")),
            Action::Target(target) => {
                let Some((side, exact)) = target.position() else {
                    return Ok(self.whole("close the position"));
                };
                if self.opposite(side).is_some() {
                    return Ok(self.whole("close the opposite position"));
                }
                let wished = exact.floor_to(self.instrument.quantity_step)?;
                if wished >= self.position.held(side) {
                    let summary = "the position is not larger than wanted, and nothing is opened";
                    return Ok(Plan::of(Vec::new(), summary));
                }
                self.target(Some((side, exact)))
            }
        }
    }

    /// Everything that is held.
    fn whole(&self, summary: &str) -> Plan {
        match self.position.side {
            Some(held) => Plan::of(vec![self.exit(held)], summary),
            None => Plan::of(
                Vec::new(),
                "there is no position, so there is nothing to close",
            ),
        }
    }

    /// LONG and SHORT: an opposite position first, then the signal's size.
    fn enter(&self, side: PositionSide) -> Result<Plan, Refused> {
        let opposite = self.opposite(side);
        let open = self
            .wished(side.entry_side())
            .and_then(|quantity| self.open(side.entry_side(), quantity));
        match (opposite, self.signal.on_opposite) {
            (None, _) => Ok(Plan::of(vec![open?], format!("enter {}", side.as_str()))),
            (Some(_), OnOpposite::Net) => {
                Ok(Plan::of(vec![open?], "net against the opposite position"))
            }
            (Some(held), OnOpposite::Reverse) => Ok(Plan::flip(
                self.exit(held),
                open,
                "close the opposite position, then enter",
            )),
            (Some(held), OnOpposite::Refuse) => Err(Refused::new(
                Code::NotPermitted,
                format!(
                    "a {} position of {} is open and onOpposite is refuse",
                    held.as_str(),
                    self.position.quantity
                ),
            )),
        }
    }

    /// Closes all or a part of what is held on `side`, or on either side.
    fn close(&self, side: Option<PositionSide>) -> Result<Plan, Refused> {
        let held = self
            .position
            .side
            .filter(|held| side.is_none_or(|wanted| wanted == *held));
        let Some(held) = held else {
            return Ok(Plan::of(
                Vec::new(),
                "there is no such position, so there is nothing to close",
            ));
        };
        let quantity = match self.signal.quantity {
            None => self.position.quantity,
            Some(_) => self.wished(held.exit_side())?.min(self.position.quantity),
        };
        if quantity.is_zero() {
            return Err(self.below_minimum(quantity));
        }
        let leg = Leg {
            side: held.exit_side(),
            kind: self.kind(held.exit_side())?,
            quantity,
            effect: Effect::Close,
            close_all: false,
        };
        let word = if quantity == self.position.quantity {
            "close"
        } else {
            "reduce"
        };
        Ok(Plan::of(
            vec![leg],
            format!("{word} the {} position", held.as_str()),
        ))
    }

    /// A plain order that nets with the position.
    fn plain(&self, side: Side) -> Result<Plan, Refused> {
        Ok(Plan::of(
            vec![self.open(side, self.wished(side)?)?],
            format!("plain {side} order"),
        ))
    }

    /// Closes the position and opens the other side, as large unless the signal says.
    fn reverse(&self) -> Plan {
        let Some(held) = self.position.side else {
            return Plan::of(
                Vec::new(),
                "there is no position, so there is nothing to reverse",
            );
        };
        let quantity = match self.signal.quantity {
            None => Ok(self.position.quantity),
            Some(_) => self.wished(held.exit_side()),
        };
        let open = quantity.and_then(|quantity| self.open(held.exit_side(), quantity));
        Plan::flip(
            self.exit(held),
            open,
            format!("reverse the {} position", held.as_str()),
        )
    }

    /// Brings the position to a side and a size.
    fn target(&self, target: Option<(PositionSide, Quantity)>) -> Result<Plan, Refused> {
        let Some((side, exact)) = target else {
            return Ok(match self.position.side {
                None => Plan::of(Vec::new(), "the position is flat already"),
                Some(held) => Plan::of(vec![self.exit(held)], "close the position"),
            });
        };
        let wished = exact.floor_to(self.instrument.quantity_step)?;
        if let Some(held) = self.opposite(side) {
            return Ok(Plan::flip(
                self.exit(held),
                self.open(side.entry_side(), wished),
                "close the opposite position, then enter",
            ));
        }
        if wished.is_zero() {
            return Err(self.below_minimum(wished));
        }
        let held = self.position.held(side);
        if wished == held {
            return Ok(Plan::of(Vec::new(), "the position is as wanted already"));
        }
        if wished > held {
            let more = wished.minus_or_zero(held);
            let open = self.open(side.entry_side(), more)?;
            return Ok(Plan::of(vec![open], "add to the position"));
        }
        let leg = Leg {
            side: side.exit_side(),
            kind: self.kind(side.exit_side())?,
            quantity: held.minus_or_zero(wished),
            effect: Effect::Close,
            close_all: false,
        };
        Ok(Plan::of(vec![leg], "reduce the position"))
    }

    fn opposite(&self, side: PositionSide) -> Option<PositionSide> {
        self.position
            .side
            .filter(|held| *held != side && !self.position.quantity.is_zero())
    }

    /// A market order for the whole position: what stands in the way of a flip goes at once.
    fn exit(&self, held: PositionSide) -> Leg {
        Leg {
            side: held.exit_side(),
            kind: OrderKind::Market,
            quantity: self.position.quantity,
            effect: Effect::Close,
            close_all: false,
        }
    }

    /// An order that may open, held to the venue's limits.
    fn open(&self, side: Side, quantity: Quantity) -> Result<Leg, Refused> {
        let kind = self.kind(side)?;
        let rules = self.instrument;
        if quantity.is_zero() || quantity < rules.min_quantity {
            return Err(self.below_minimum(quantity));
        }
        let most = match kind {
            OrderKind::Market => rules.max_market_quantity,
            OrderKind::Limit { .. } => rules.max_limit_quantity,
        };
        if quantity > most {
            let message = format!(
                "{quantity} {} is more than one {} order may hold at the venue; write {most} at most, or send several alerts",
                rules.base,
                kind.as_str()
            );
            return Err(Refused::new(Code::AboveMaximum, message));
        }
        if let Some(price) = kind.price().or(self.market_price) {
            let notional = quantity.notional(price)?;
            if notional < rules.min_notional {
                let least = self
                    .worth(rules.min_notional, price)
                    .map(|least| format!("; the size has to be {least} {} at least", rules.base));
                let message = format!(
                    "{quantity} {} are worth {notional} {} at {price}, less than the venue's minimum of {}{}",
                    rules.base,
                    rules.quote,
                    rules.min_notional,
                    least.unwrap_or_default()
                );
                return Err(Refused::new(Code::BelowMinimum, message));
            }
        }
        Ok(Leg {
            side,
            kind,
            quantity,
            effect: Effect::Open,
            close_all: false,
        })
    }

    /// The signal's size in base currency, rounded down to the venue's step.
    fn wished(&self, side: Side) -> Result<Quantity, Refused> {
        let step = self.instrument.quantity_step;
        match self.signal.quantity {
            Some(Sizing::Base(quantity)) => Ok(quantity.floor_to(step)?),
            Some(Sizing::Quote(amount)) => self.bought_for(amount, side),
            Some(other) => {
                let message = format!("quantityType {} is not available yet", other.type_name());
                Err(Refused::new(Code::Unsupported, message))
            }
            None => Err(Refused::new(Code::BadField, "quantity is missing")),
        }
    }

    /// The largest size that is worth no more than `amount`, at the wished price and on the tick.
    fn bought_for(&self, amount: Amount, side: Side) -> Result<Quantity, Refused> {
        let unknown = || {
            let message = "the market's price is not known, so a quote size has no quantity";
            Refused::new(Code::Unavailable, message)
        };
        let wished = self.signal.order.price().or(self.market_price);
        let price = wished.max(self.kind(side)?.price()).ok_or_else(unknown)?;
        let quotient = amount.get().checked_div(price.get());
        let exact = Quantity::try_from(quotient.ok_or(MoneyError::Overflow)?)?;
        let step = self.instrument.quantity_step;
        let fitting = exact.floor_to(step)?;
        if fitting.notional(price)? <= amount {
            return Ok(fitting);
        }
        // The quotient was rounded up in its last digit, onto the next step.
        Ok(fitting.minus_or_zero(Quantity::try_from(step.get())?))
    }

    /// The signal's order kind with its price on the tick.
    fn kind(&self, side: Side) -> Result<OrderKind, Refused> {
        match self.signal.order {
            OrderKind::Market => Ok(OrderKind::Market),
            OrderKind::Limit {
                price,
                time_in_force,
            } => Ok(OrderKind::Limit {
                price: on_tick(self.instrument, side, price)?,
                time_in_force,
            }),
        }
    }

    /// The smallest size on the venue's step that is worth `amount`; only words hang on it.
    fn worth(&self, amount: Amount, price: Price) -> Option<Quantity> {
        let exact = amount.get().checked_div(price.get())?;
        let least = self.instrument.quantity_step.ceil(exact).ok()?;
        let least = Quantity::try_from(least).ok()?;
        let enough = least.notional(price).ok()? >= amount;
        enough.then_some(least)
    }

    fn below_minimum(&self, quantity: Quantity) -> Refused {
        let rules = self.instrument;
        let asked = match self.signal.quantity {
            Some(Sizing::Base(asked)) => format!("quantity {asked}"),
            Some(Sizing::Quote(asked)) => format!("quantity {asked} {}", rules.quote),
            _ => "the size".to_owned(),
        };
        let step = rules.quantity_step;
        let least = step.ceil(rules.min_quantity.get());
        let least = least.unwrap_or(rules.min_quantity.get());
        Refused::new(
            Code::BelowMinimum,
            format!(
                "{asked} is {quantity} {} after rounding down to steps of {}, less than the venue's minimum of {}; it has to be {least} at least",
                rules.base,
                step.get(),
                rules.min_quantity
            ),
        )
    }
}

impl Plan {
    /// What is left of the plan when something forbids its entries.
    ///
    /// # Errors
    /// The barrier, where nothing is left.
    pub fn exits_or(self, position: &Position, barrier: Refused) -> Result<Self, Refused> {
        let mut left = self.exits_only(position);
        if left.legs.is_empty() {
            return Err(barrier);
        }
        left.summary = format!("{}, exit only: {}", left.summary, barrier.message);
        Ok(left)
    }

    /// What is left of the plan when only exits may go out: closing legs stay, a netting order becomes
    /// a reduce-only one clamped to the position, everything else is dropped.
    #[must_use]
    pub fn exits_only(self, position: &Position) -> Self {
        let closes = self.legs.iter().any(|leg| leg.effect.closes());
        let legs = self
            .legs
            .into_iter()
            .filter_map(|leg| match position.side {
                _ if leg.effect.closes() => Some(leg),
                Some(held) if !closes && leg.side == held.exit_side() => Some(Leg {
                    quantity: leg.quantity.min(position.quantity),
                    effect: Effect::Close,
                    ..leg
                }),
                _ => None,
            })
            .collect();
        Self {
            legs,
            summary: self.summary,
            opening_refused: self.opening_refused,
        }
    }
}

/// An order that closes `quantity` of what is held on `held`, within the venue's rules as far as they are known: cut to
/// the largest order, so that what is larger goes out in several; `whole` says that it is all that is held, which a
/// venue may close in a form of its own where it is below the smallest order.
///
/// # Errors
/// [`Code::BelowMinimum`] where the venue takes no such order.
pub fn closing_leg(
    order: OrderKind,
    held: PositionSide,
    quantity: Quantity,
    whole: bool,
    rules: Option<&Instrument>,
    closes_all: bool,
) -> Result<Leg, Refused> {
    let side = held.exit_side();
    let leg = |kind, quantity, close_all| Leg {
        side,
        kind,
        quantity,
        effect: Effect::Close,
        close_all,
    };
    let Some(rules) = rules else {
        return Ok(leg(order, quantity, false));
    };
    let (kind, most) = match order {
        OrderKind::Market => (order, rules.max_market_quantity),
        OrderKind::Limit {
            price,
            time_in_force,
        } => {
            let price = on_tick(rules, side, price)?;
            let kind = OrderKind::Limit {
                price,
                time_in_force,
            };
            (kind, rules.max_limit_quantity)
        }
    };
    let most = if most.is_zero() { quantity } else { most };
    let sized = quantity.min(most).floor_to(rules.quantity_step)?;
    if !sized.is_zero() && sized >= rules.min_quantity {
        return Ok(leg(kind, sized, false));
    }
    if whole && closes_all && kind == OrderKind::Market {
        return Ok(leg(kind, quantity, true));
    }
    Err(Refused::new(
        Code::BelowMinimum,
        format!(
            "{quantity} {} to close is less than the venue's minimum of {} in steps of {}",
            rules.base,
            rules.min_quantity,
            rules.quantity_step.get()
        ),
    ))
}

/// The size of a partial exit in base currency, rounded down to the venue's step where that is known.
///
/// # Errors
/// [`Code::Unavailable`] for a quote size without a price, [`Code::Unsupported`] for one that is not available,
/// [`Code::BelowMinimum`] for less than one step.
pub fn closing_quantity(
    sizing: Sizing,
    order: OrderKind,
    rules: Option<&Instrument>,
    market_price: Option<Price>,
) -> Result<Quantity, Refused> {
    let exact = match sizing {
        Sizing::Base(quantity) => quantity,
        Sizing::Quote(amount) => {
            let price = order.price().or(market_price).ok_or_else(|| {
                let message = "the market's price is not known, so a quote size has no quantity";
                Refused::new(Code::Unavailable, message)
            })?;
            let quotient = amount.get().checked_div(price.get());
            Quantity::try_from(quotient.ok_or(MoneyError::Overflow)?)?
        }
        other => {
            let message = format!("quantityType {} is not available yet", other.type_name());
            return Err(Refused::new(Code::Unsupported, message));
        }
    };
    let Some(rules) = rules else {
        return Ok(exact);
    };
    let step = rules.quantity_step;
    let quantity = exact.floor_to(step)?;
    if quantity.is_zero() {
        let message = format!(
            "the quantity, {exact} {base}, is less than one step of the venue, {} {base}, so nothing is closed; write {} at least, or leave quantity out to close all",
            step.get(),
            step.get(),
            base = rules.base,
        );
        return Err(Refused::new(Code::BelowMinimum, message));
    }
    Ok(quantity)
}

/// A limit price on the venue's tick: buys round down and sells up, towards less risk.
///
/// # Errors
/// [`Code::BadField`] for a price that is none on the tick.
fn on_tick(rules: &Instrument, side: Side, price: Price) -> Result<Price, Refused> {
    let tick = rules.tick_size;
    let rounded = match side {
        Side::Buy => tick.floor(price.get()),
        Side::Sell => tick.ceil(price.get()),
    };
    rounded.and_then(Price::try_from).map_err(|_| {
        let why = if price.get() < tick.get() {
            "is below one tick"
        } else {
            "cannot be brought onto the tick"
        };
        let message = format!(
            "price {price} {why} of {}, {tick}: write a multiple of {tick}, the nearest one to what you mean, and {tick} at least",
            rules.symbol,
            tick = tick.get()
        );
        Refused::new(Code::BadField, message)
    })
}
