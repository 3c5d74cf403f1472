//! No money is created: the venue's fills are the records' fills, to the last digit, and what is held is
//! their sum.

use std::collections::BTreeMap;

use hoox_model::{Decimal, PositionSide, Side};
use hoox_store::Record;

use super::Case;
use crate::simulate::exchange::listed;
use crate::simulate::journal;
use crate::simulate::world::ACCOUNTS;

const FILLS: &str = "fills at the venue are the fills in the records";
const ORDERS: &str = "orders in the records are as the venue has them";
const POSITIONS: &str = "what is held is the sum of the fills, everywhere";

pub(super) fn check(case: &Case<'_>) {
    for account in ACCOUNTS {
        check_fills(case, account);
        check_orders(case, account);
        // Of what is on its way then nobody hears before the operator looks.
        if !case.world.was_retired(account) {
            check_positions(case, account);
        }
    }
}

fn account_id(account: usize) -> String {
    format!("acc-{account}")
}

fn check_fills(case: &Case<'_>, account: usize) {
    let exchange = case.world.exchange(account);
    let mut at_venue: BTreeMap<String, String> = BTreeMap::new();
    for order in &exchange.orders {
        for fill in &order.fills {
            let shown = listed(order, fill);
            let text = format!(
                "{} {} {} {} at {} fee {} {:?} {}",
                order.spec.client_order_id,
                shown.symbol.as_str(),
                shown.side,
                shown.quantity,
                shown.price,
                shown.fee,
                shown.fee_currency,
                shown.at
            );
            at_venue.insert(shown.venue_fill_id, text);
        }
    }
    let mut recorded: BTreeMap<String, String> = BTreeMap::new();
    for record in case.world.records.borrow().all() {
        let Record::Fill(fill) = record else { continue };
        if fill.account_id.as_str() != account_id(account) {
            continue;
        }
        let fee = fill.fee.map_or_else(String::new, |fee| fee.to_string());
        let text = format!(
            "{} {} {} {} at {} fee {fee} {:?} {}",
            fill.client_order_id,
            fill.symbol.as_str(),
            fill.side,
            fill.quantity,
            fill.price,
            fill.fee_currency,
            fill.filled_at
        );
        recorded.insert(fill.fill_id.clone(), text);
    }
    for (id, fill) in &at_venue {
        match recorded.get(id) {
            None => case.violate(FILLS, format!("fill {id} is not recorded: {fill}")),
            Some(known) if known != fill => {
                case.violate(
                    FILLS,
                    format!("fill {id} is {fill}, and recorded as {known}"),
                );
            }
            Some(_) => {}
        }
    }
    for (id, fill) in &recorded {
        if !at_venue.contains_key(id) {
            case.violate(FILLS, format!("fill {id} never was: {fill}"));
        }
    }
}

fn check_orders(case: &Case<'_>, account: usize) {
    let exchange = case.world.exchange(account);
    let settled = case.world.history.borrow().settled.clone();
    for record in case.world.records.borrow().all() {
        let Record::Order(order) = record else {
            continue;
        };
        if order.account_id.as_str() != account_id(account) {
            continue;
        }
        let id = &order.client_order_id;
        let there = exchange
            .orders
            .iter()
            .rev()
            .find(|known| known.spec.client_order_id == *id)
            .map(|known| known.snapshot(i64::MAX));
        let filled = there
            .as_ref()
            .map_or(Decimal::ZERO, |shown| shown.filled.get());
        if order.filled_quantity.get() != filled {
            let text = format!(
                "{id} is filled by {filled}, and recorded with {}",
                order.filled_quantity
            );
            case.violate(ORDERS, text);
        }
        let by_hand = settled.iter().any(|known| known == id.as_str());
        let Some(shown) = there.filter(|_| !by_hand) else {
            continue;
        };
        if order.average_price != shown.average_price || order.fee != shown.fee {
            let text = format!(
                "{id} has mean price {:?} and fee {:?}, and is recorded with {:?} and {:?}",
                shown.average_price, shown.fee, order.average_price, order.fee
            );
            case.violate(ORDERS, text);
        }
        if order.venue_order_id.as_deref() != Some(shown.venue_order_id.as_str()) {
            let text = format!("{id} is recorded as {:?}", order.venue_order_id);
            case.violate(ORDERS, text);
        }
    }
}

fn check_positions(case: &Case<'_>, account: usize) {
    let exchange = case.world.exchange(account);
    let mut sums: BTreeMap<String, Decimal> = BTreeMap::new();
    for hand in &exchange.hand {
        *sums.entry(hand.symbol.to_string()).or_default() += hand.delta;
    }
    for order in exchange
        .orders
        .iter()
        .filter(|order| order.spec.leg.is_none())
    {
        let signed = match order.spec.side {
            Side::Buy => order.filled(),
            Side::Sell => -order.filled(),
        };
        *sums.entry(order.spec.symbol.to_string()).or_default() += signed;
    }
    for (symbol, sum) in &sums {
        let held = exchange.held(&symbol.parse().unwrap());
        if held != *sum {
            let text = format!("{held} {symbol} are held, and the fills make {sum}");
            case.violate(POSITIONS, text);
        }
    }
    // What was traded by hand Hoox learns with the next position it reads, and need not read one.
    let foreign = |symbol: &hoox_model::Symbol| {
        exchange.touched(symbol, i64::MIN, i64::MAX) || exchange.legs_now(symbol).is_some()
    };
    for (symbol, believed) in journal::holdings(case.world, account) {
        if foreign(&symbol.parse().unwrap()) {
            continue;
        }
        let held = exchange.held(&symbol.parse().unwrap());
        if believed.parse::<Decimal>() != Ok(held) {
            let text = format!("{held} {symbol} are held, and the Ledger believes {believed}");
            case.violate(POSITIONS, text);
        }
    }
    for record in case.world.records.borrow().all() {
        let Record::Position(position) = record else {
            continue;
        };
        if position.account_id.as_str() != account_id(account) || foreign(&position.symbol) {
            continue;
        }
        let signed = match position.side {
            Some(PositionSide::Short) => -position.quantity.get(),
            _ => position.quantity.get(),
        };
        let held = exchange.held(&position.symbol);
        if signed != held {
            let symbol = position.symbol.as_str();
            let text = format!("{held} {symbol} are held, and the records say {signed}");
            case.violate(POSITIONS, text);
        }
    }
}
