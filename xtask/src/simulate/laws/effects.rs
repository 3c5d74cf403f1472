//! No signal trades twice, and none trades more than it asks for.

use std::collections::BTreeMap;

use hoox_mesh::SignalStatus;
use hoox_model::{Decimal, Side};

use super::{Case, DOUBLED};
use crate::simulate::alerts::{Alert, Ask};
use crate::simulate::exchange::Order;
use crate::simulate::history::signal_of;
use crate::simulate::journal::Row;
use crate::simulate::world::ACCOUNTS;

const TOO_MUCH: &str = "no signal trades more than it asks for";
const REFUSED: &str = "what was refused does not trade";
const WRONG_SIDE: &str = "a signal opens on its own side only";
/// How far two Ledgers' clocks may be apart, twice.
const CLOCKS_MS: i64 = 4_100;

pub(super) fn check(case: &Case<'_>) {
    for account in ACCOUNTS {
        let exchange = case.world.exchange(account);
        let mut by_signal: BTreeMap<&str, Vec<&Order>> = BTreeMap::new();
        let mut by_id: BTreeMap<&str, usize> = BTreeMap::new();
        for order in &exchange.orders {
            let id = order.spec.client_order_id.as_str();
            by_signal.entry(signal_of(id).0).or_default().push(order);
            let count = by_id.entry(id).or_default();
            *count += 1;
            if *count == 2 {
                case.violate(DOUBLED, format!("{id} is at the venue twice"));
            }
        }
        for (signal, orders) in by_signal {
            match case.row(signal) {
                Some((home, row)) if home == account => check_signal(case, account, row, &orders),
                _ => {
                    let text =
                        format!("the venue has orders of {signal}, which the journal has not");
                    case.violate(DOUBLED, text);
                }
            }
        }
    }
    check_identities(case);
    check_replays(case);
}

fn filled(orders: &[&Order]) -> Decimal {
    orders.iter().map(|order| order.filled()).sum()
}

fn check_signal(case: &Case<'_>, account: usize, row: &Row, orders: &[&Order]) {
    let traded = filled(orders);
    let status = row.status.as_str();
    let barren = matches!(
        row.status,
        SignalStatus::Refused
            | SignalStatus::Rejected
            | SignalStatus::NothingToDo
            | SignalStatus::DryRun
            | SignalStatus::Cancelled
    );
    if barren && !traded.is_zero() {
        case.violate(
            REFUSED,
            format!("{} is {status} and traded {traded}", row.id),
        );
    }
    if row.status == SignalStatus::DryRun && !orders.is_empty() {
        case.violate(REFUSED, format!("{} is a dry run and has orders", row.id));
    }
    let Some(alert) = case.alert(row) else {
        let text = format!("{} was made from no alert", row.id);
        return case.violate(DOUBLED, text);
    };
    check_size(case, account, row, alert, orders);
    check_sides(case, row, alert, orders);
}

fn check_size(case: &Case<'_>, account: usize, row: &Row, alert: &Alert, orders: &[&Order]) {
    let (closing, opening): (Vec<&Order>, Vec<&Order>) =
        orders.iter().partition(|order| order.spec.effect.closes());
    let opened = filled(&opening);
    let exchange = case.world.exchange(account);
    let lowest = exchange.lowest(&row.symbol.parse().unwrap());
    let lowest = alert.price.map_or(lowest, |price| price.min(lowest));
    let allowed = match alert.size {
        _ if !alert.is_entry() => Decimal::ZERO,
        Some(size) if alert.quote => size / lowest,
        Some(size) => size,
        None => turned(&closing, &opening),
    };
    if opened > allowed {
        let text = format!("{} opened {opened} and asked for {allowed}", row.id);
        case.violate(TOO_MUCH, text);
    }
    let whole = matches!(alert.ask, Ask::Reverse | Ask::TargetLong | Ask::TargetShort);
    if let (false, Some(size)) = (alert.is_entry() || whole, alert.size) {
        let closed = filled(&closing);
        let most = if alert.quote { size / lowest } else { size };
        if closed > most {
            let text = format!("{} closed {closed} and asked for {most}", row.id);
            case.violate(TOO_MUCH, text);
        }
    }
}

/// What a signal that turns a position had closed of the other side when it opened. That may be more than was held at any
/// one time: what an older entry fills between its closes is closed, and turned, as well.
fn turned(closing: &[&Order], opening: &[&Order]) -> Decimal {
    let Some(opens) = opening.iter().min_by_key(|order| order.created_at) else {
        return Decimal::ZERO;
    };
    let of_side = closing
        .iter()
        .filter(|order| order.spec.side == opens.spec.side);
    of_side.map(|order| order.filled_at(opens.created_at)).sum()
}

fn check_sides(case: &Case<'_>, row: &Row, alert: &Alert, orders: &[&Order]) {
    let side = match alert.ask {
        Ask::Long | Ask::Buy | Ask::TargetLong => Side::Buy,
        Ask::Short | Ask::Sell | Ask::TargetShort => Side::Sell,
        _ => return,
    };
    let mut opening = orders.iter().filter(|order| !order.spec.effect.closes());
    if opening.any(|order| order.spec.side != side) {
        case.violate(WRONG_SIDE, format!("{} opened the other side", row.id));
    }
}

/// When a signal was taken, which one, and for how long it bars others.
type Effect<'a> = (i64, &'a Row, i64);

/// Of the signals that one identity made, only one has an effect within its window, on whatever account.
fn check_identities(case: &Case<'_>) {
    let mut effects: BTreeMap<(usize, &str), Vec<Effect<'_>>> = BTreeMap::new();
    for account in ACCOUNTS {
        let exchange = case.world.exchange(account);
        for row in &case.journals[account] {
            let of_signal = exchange
                .orders
                .iter()
                .filter(|order| signal_of(order.spec.client_order_id.as_str()).0 == row.id);
            let orders: Vec<&Order> = of_signal.collect();
            if filled(&orders).is_zero() || case.is_replay(row) || Case::is_operators(row) {
                continue;
            }
            let history = case.world.history.borrow();
            let taken = history
                .taken
                .iter()
                .find(|taken| taken.signal.as_str() == row.id);
            let (Some(taken), Some(alert)) = (taken, case.alert(row)) else {
                continue;
            };
            effects
                .entry((alert.sender, &alert.identity))
                .or_default()
                .push((taken.ledger_clock, row, alert.window));
        }
    }
    for traded in effects.values_mut() {
        traded.sort_by_key(|(at, row, _)| (*at, row.id.clone()));
        for pair in traded.windows(2) {
            let ((first, one, window), (second, other, _)) = (&pair[0], &pair[1]);
            if second - first < window - CLOCKS_MS {
                let apart = second - first;
                let text = format!(
                    "{} and {} are one alert, {apart} ms apart",
                    one.id, other.id
                );
                case.violate(DOUBLED, text);
            }
        }
    }
}

/// A replay and its original never trade both, unless they close everything: then the replay closes what was left.
fn check_replays(case: &Case<'_>) {
    for account in ACCOUNTS {
        let exchange = case.world.exchange(account);
        let traded = |signal: &str| {
            let of_signal = exchange
                .orders
                .iter()
                .filter(|order| signal_of(order.spec.client_order_id.as_str()).0 == signal);
            of_signal.map(Order::filled).sum::<Decimal>()
        };
        let rows = case.journals[account].iter();
        let replayed = rows.filter(|row| {
            let alert = case.alert(row);
            // What closes all that is held closes what is held then.
            let whole = |alert: &Alert| {
                let closes = matches!(alert.ask, Ask::Reverse | Ask::TargetLong | Ask::TargetShort);
                !alert.is_entry() && (alert.size.is_none() || closes)
            };
            !alert.is_some_and(whole)
        });
        for (old, new) in replayed.filter_map(|row| Some((&row.id, row.replayed_as.as_ref()?))) {
            let both = [traded(old), traded(new)];
            if both.iter().all(|size| !size.is_zero()) {
                let text = format!(
                    "{old} traded {}, and its replay {new} traded {}",
                    both[0], both[1]
                );
                case.violate(DOUBLED, text);
            }
        }
    }
}
