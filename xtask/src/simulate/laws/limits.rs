//! An account's limits hold, however many symbols enter at once; and the switch leaves nothing behind.

use std::collections::{BTreeMap, BTreeSet};

use hoox_mesh::{KillMode, SignalStatus};
use hoox_model::{Decimal, Limits, Side};

use super::Case;
use crate::simulate::exchange::{Exchange, Order};
use crate::simulate::history::signal_of;
use crate::simulate::journal;
use crate::simulate::manifest::LEAVES;
use crate::simulate::world::ACCOUNTS;

const POSITIONS: &str = "never more positions than the limit";
const NOTIONAL: &str = "no position is worth more than the limit";
const RATE: &str = "never more entries a minute than the limit";
const LOSS: &str = "no entry after the day's loss has reached the limit";
const RESTING: &str = "no entry rests after the switch has settled";
const FLAT: &str = "flatten ends flat, or says of each symbol why not";
/// How long before an order was created its plan may have read the positions.
const READ_MS: i64 = 70_000;
/// A minute, less what two clocks may differ by.
const MINUTE_MS: i64 = 60_000 - 4_100;

pub(super) fn check(case: &Case<'_>) {
    for account in ACCOUNTS {
        let limits = &case.story.wishes[0].limits[account];
        let exchange = case.world.exchange(account);
        for order in exchange
            .orders
            .iter()
            .filter(|order| !order.spec.effect.closes())
        {
            // What was traded by hand is not seen before a position is read, and read positions lag.
            let lag = case.world.weather.venues[account].position_lag;
            let from = order.created_at - lag - READ_MS;
            let by_hand = exchange.hand.iter();
            if by_hand
                .clone()
                .any(|hand| (from..=order.created_at).contains(&hand.at))
            {
                continue;
            }
            check_positions(case, limits, &exchange, order);
            check_notional(case, limits, &exchange, order);
            check_loss(case, account, limits, &exchange, order);
        }
        check_rate(case, account, limits);
        check_settled(case, account, &exchange);
    }
}

/// Entries of the symbol that were open when an order came, itself left out.
fn open_entries<'a>(
    case: &'a Case<'_>,
    exchange: &'a Exchange,
    moment: &'a Order,
) -> impl Iterator<Item = &'a Order> {
    let at = moment.created_at;
    let life = |order: &Order| case.world.life_of(order.spec.client_order_id.as_str());
    let own = life(moment);
    exchange.orders.iter().filter(move |order| {
        !order.spec.effect.closes()
            && order.venue_id != moment.venue_id
            && order.created_at <= at
            && order.ended.is_none_or(|(ended, _)| ended > at)
            && life(order) == own
    })
}

fn check_positions(case: &Case<'_>, limits: &Limits, exchange: &Exchange, order: &Order) {
    let Some(most) = limits.max_open_positions else {
        return;
    };
    let mut symbols: BTreeSet<&str> = open_entries(case, exchange, order)
        .map(|order| order.spec.symbol.as_str())
        .collect();
    let there = symbols.contains(order.spec.symbol.as_str()) || !order.held_before.is_zero();
    if there {
        // One more of the same makes no more positions, whoever opened those that there are.
        return;
    }
    symbols.insert(order.spec.symbol.as_str());
    let held = exchange.held_symbols(order.created_at);
    symbols.extend(held.iter().map(hoox_model::Symbol::as_str));
    if symbols.len() > most as usize {
        let id = &order.spec.client_order_id;
        case.violate(
            POSITIONS,
            format!("{id} made {} of {most}: {symbols:?}", symbols.len()),
        );
    }
}

fn check_notional(case: &Case<'_>, limits: &Limits, exchange: &Exchange, order: &Order) {
    let spec = &order.spec;
    let Some(most) = limits.max_position_notional(&spec.symbol) else {
        return;
    };
    let pending: Decimal = open_entries(case, exchange, order)
        .filter(|other| other.spec.symbol == spec.symbol && other.spec.side == spec.side)
        .map(|other| other.spec.quantity.get() - other.filled_at(order.created_at))
        .sum();
    let held = match spec.side {
        Side::Buy => order.held_before,
        Side::Sell => -order.held_before,
    };
    // The price moves between the approval and the venue; it was never lower than this.
    let worth = (held + pending + spec.quantity.get()) * exchange.lowest(&spec.symbol);
    if worth > most.get() {
        let text = format!(
            "{} makes a position worth {worth} at least, of {most}",
            spec.client_order_id
        );
        case.violate(NOTIONAL, text);
    }
}

fn check_loss(
    case: &Case<'_>,
    account: usize,
    limits: &Limits,
    exchange: &Exchange,
    order: &Order,
) {
    if account == LEAVES && case.world.weather.retires.is_some() {
        // Where it came back with a Ledger that began anew, the mark is that one's.
        return;
    }
    let id = order.spec.client_order_id.as_str();
    let (Some(most), Some(mark), Some((_, row))) = (
        limits.max_daily_loss,
        journal::day_mark(case.world, account),
        case.row(signal_of(id).0),
    ) else {
        return;
    };
    let start: Decimal = mark.parse().unwrap();
    let best = exchange.best_result(row.received_at - 10_000, order.created_at);
    if start - best >= most.get() {
        let text = format!("{id} came when {} of {most} were lost", start - best);
        case.violate(LOSS, text);
    }
}

fn check_rate(case: &Case<'_>, account: usize, limits: &Limits) {
    let Some(most) = limits.account.max_orders_per_minute else {
        return;
    };
    let history = case.world.history.borrow();
    // By order: when it was sent first, by which of the account's lives, and whether the venue ever took it.
    let mut first: BTreeMap<&str, (i64, usize, bool)> = BTreeMap::new();
    for sent in &history.sent {
        if sent.account == account && sent.left_at.is_some() && !sent.spec.effect.closes() {
            let id = sent.spec.client_order_id.as_str();
            let life = case.world.life_at(account, sent.place);
            let known = first.entry(id).or_insert((sent.ledger_clock, life, false));
            known.2 |= sent.taken;
        }
    }
    let taken = first.into_values().filter(|(_, _, taken)| *taken);
    let mut moments: Vec<(i64, usize)> = taken.map(|(at, life, _)| (at, life)).collect();
    moments.sort_unstable();
    for (place, (at, life)) in moments.iter().enumerate() {
        let within = moments[..=place]
            .iter()
            .filter(|(other, of)| at - other < MINUTE_MS && of == life);
        let count = within.count();
        if count > most as usize {
            case.violate(RATE, format!("{count} entries within a minute, of {most}"));
        }
    }
}

/// After the operator's last word on the switch, when everything has come to rest.
fn check_settled(case: &Case<'_>, account: usize, exchange: &Exchange) {
    if case.story.last_mode == KillMode::Off {
        return;
    }
    for order in &exchange.orders {
        let id = order.spec.client_order_id.as_str();
        let known = case
            .row(signal_of(id).0)
            .is_some_and(|(_, row)| row.status != SignalStatus::Unknown);
        if order.ended.is_none() && !order.spec.effect.closes() && known {
            case.violate(RESTING, format!("{id} still rests"));
        }
    }
    if !case.story.flattened {
        return;
    }
    let doubtful = case.journals[account]
        .iter()
        .any(|row| row.status == SignalStatus::Unknown);
    let named = journal::not_closed(case.world, account);
    for symbol in exchange.held_symbols(i64::MAX) {
        let held = exchange.held(&symbol);
        let excused = !case.world.can_close(account, &symbol)
            && named.iter().any(|known| known == symbol.as_str());
        if !doubtful && !excused {
            case.violate(FLAT, format!("{held} {} are left", symbol.as_str()));
        }
    }
    for (symbol, legs) in exchange.hedged() {
        let named = named.iter().any(|known| known == symbol.as_str());
        if legs.iter().any(|leg| !leg.is_zero()) && !named {
            let text = format!("legs of {} are left: {legs:?}", symbol.as_str());
            case.violate(FLAT, text);
        }
    }
}
