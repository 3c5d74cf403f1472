//! What becomes of a signal upon a position, by the plan that the Ledger would make.

use hoox_model::{
    Amount, Decimal, Instrument, Position, PositionSide, Price, Product, Quantity, Side, Step,
    Symbol,
};
use hoox_risk::{Leg, plan};
use hoox_signal::{Signal, Sizing};
use serde::Serialize;

use crate::fill::Change;

/// What becomes of one order of the strategy, or of an alert that comes upon a position.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    /// What the strategy does, or what is held.
    pub when: String,
    /// The strategy's order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order: Option<String>,
    /// What Hoox does.
    pub does: String,
    /// What the account holds then, if it held what the strategy did.
    pub holds: String,
    /// What the strategy holds then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strategy_holds: Option<String>,
}

impl Outcome {
    /// Whether the account ends where the strategy does.
    pub fn agrees(&self) -> bool {
        let theirs = self.strategy_holds.as_ref();
        theirs.is_none_or(|theirs| *theirs == self.holds)
    }
}

/// What becomes of a strategy's order, on an account that held what the strategy did.
pub(crate) fn step(change: Change, signal: &Signal) -> Outcome {
    let (does, after) = carried_out(signal, change.before());
    Outcome {
        when: change.when.to_owned(),
        order: Some(format!("{} {}", change.action(), change.contracts())),
        does,
        holds: held(after),
        strategy_holds: Some(held(change.after())),
    }
}

/// What becomes of an alert that is no strategy's, by what is held.
pub(crate) fn alone(signal: &Signal) -> Vec<Outcome> {
    let size = match signal.quantity {
        Some(Sizing::Base(quantity)) => quantity.get(),
        _ => Decimal::ONE,
    };
    let before = [Decimal::ZERO, size, negative(size)];
    before
        .into_iter()
        .map(|before| {
            let (does, after) = carried_out(signal, before);
            let when = if before.is_zero() {
                "nothing is held".to_owned()
            } else {
                format!("{} is held", held(before))
            };
            Outcome {
                when,
                order: None,
                does,
                holds: held(after),
                strategy_holds: None,
            }
        })
        .collect()
}

/// A number with the other sign.
fn negative(number: Decimal) -> Decimal {
    Decimal::ZERO.checked_sub(number).unwrap_or_default()
}

/// What Hoox does upon a position, and what is held then if all of it is filled.
fn carried_out(signal: &Signal, before: Decimal) -> (String, Decimal) {
    let symbol = &signal.symbol.symbol;
    let planned = instrument(symbol)
        .zip(position(symbol, before))
        .map(|(instrument, position)| plan(signal, &position, &instrument, sample_price()));
    match planned {
        Some(Ok(plan)) if plan.legs.is_empty() => (plan.summary, before),
        Some(Ok(plan)) => {
            let texts: Vec<String> = plan.legs.iter().map(said).collect();
            let after = plan.legs.iter().fold(before, filled);
            (texts.join(", then "), after)
        }
        Some(Err(refused)) => (format!("refused: {}", refused.message), before),
        None => ("cannot be shown".to_owned(), before),
    }
}

fn said(leg: &Leg) -> String {
    let closes = if leg.effect.closes() { " to close" } else { "" };
    let at = leg
        .kind
        .price()
        .map_or_else(String::new, |price| format!(" at {price}"));
    format!("{} {}{at}{closes}", leg.side, leg.quantity)
}

/// A position after an order's fill; one that closes turns nothing.
fn filled(before: Decimal, leg: &Leg) -> Decimal {
    let size = leg.quantity.get();
    let signed = match leg.side {
        Side::Buy => size,
        Side::Sell => negative(size),
    };
    let after = before.checked_add(signed).unwrap_or(before);
    let turned = (after.is_sign_positive() != before.is_sign_positive()) && !after.is_zero();
    if leg.effect.closes() && turned {
        Decimal::ZERO
    } else {
        after.normalize()
    }
}

fn held(position: Decimal) -> String {
    if position.is_zero() {
        "nothing".to_owned()
    } else if position.is_sign_positive() {
        format!("long {}", position.normalize())
    } else {
        format!("short {}", position.abs().normalize())
    }
}

fn position(symbol: &Symbol, held: Decimal) -> Option<Position> {
    let mut position = Position::flat(symbol.clone());
    if !held.is_zero() {
        position.side = Some(if held.is_sign_positive() {
            PositionSide::Long
        } else {
            PositionSide::Short
        });
        position.quantity = Quantity::try_from(held.abs()).ok()?;
    }
    Some(position)
}

/// What quote sizes are turned into quantities by.
fn sample_price() -> Option<Price> {
    Price::try_from(Decimal::ONE_HUNDRED).ok()
}

/// A venue's rules that round nothing and refuse nothing: those of the venue are not known here.
fn instrument(symbol: &Symbol) -> Option<Instrument> {
    let smallest = Step::try_from(Decimal::new(1, 8)).ok()?;
    let most = Quantity::try_from(Decimal::from(1_000_000_000_000_u64)).ok()?;
    Some(Instrument {
        symbol: symbol.clone(),
        product: Product::Linear,
        base: "base".to_owned(),
        quote: "quote".to_owned(),
        tick_size: smallest,
        quantity_step: smallest,
        min_quantity: Quantity::ZERO,
        max_limit_quantity: most,
        max_market_quantity: most,
        min_notional: Amount::try_from(Decimal::ZERO).ok()?,
        max_leverage: None,
        trading: true,
    })
}
