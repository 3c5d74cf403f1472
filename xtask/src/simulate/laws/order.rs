//! Order within an account and symbol, staleness, and flips.

use std::collections::BTreeMap;

use hoox_mesh::SignalStatus;
use hoox_model::{Decimal, PositionSide, Side, Symbol};

use super::Case;
use crate::simulate::alerts::Ask;
use crate::simulate::exchange::Order;
use crate::simulate::history::signal_of;
use crate::simulate::world::ACCOUNTS;

const IN_ORDER: &str = "signals of a symbol execute in order of arrival";
const ONE_BY_ONE: &str = "a signal waits for the end of the one before";
const FLIP: &str = "a flip opens only after its close has filled";
const STALE: &str = "nothing stale is sent";
const UNFENCED: &str = "an order leaves only after its fence";

pub(super) fn check(case: &Case<'_>) {
    for account in ACCOUNTS {
        check_order(case, account);
        check_flips(case, account);
    }
    check_stale(case);
}

fn check_order(case: &Case<'_>, account: usize) {
    let exchange = case.world.exchange(account);
    // By symbol: the latest signal that had an order, and when what must be waited for had ended.
    let mut before: BTreeMap<&Symbol, (i64, i64)> = BTreeMap::new();
    for order in &exchange.orders {
        let id = order.spec.client_order_id.as_str();
        let Some((_, row)) = case.row(signal_of(id).0) else {
            continue;
        };
        let entry = before
            .entry(&order.spec.symbol)
            .or_insert((row.seq, i64::MIN));
        let settled = {
            let history = case.world.history.borrow();
            history.mistaken.contains(id) || history.settled.iter().any(|known| known == id)
        };
        if row.seq < entry.0 && !settled {
            let text = format!(
                "{id} (signal {}) came to the venue after signal {}",
                row.seq, entry.0
            );
            case.violate(IN_ORDER, text);
        }
        if row.seq > entry.0 && order.created_at < entry.1 {
            let text = format!("{id} came while an order of the signal before was open");
            case.violate(ONE_BY_ONE, text);
        }
        let known = row.status != SignalStatus::Unknown && !settled;
        if known && !order.may_rest() {
            let ended = order.ended.map_or(i64::MAX, |(at, _)| at);
            *entry = (row.seq.max(entry.0), ended.max(entry.1));
        } else {
            entry.0 = row.seq.max(entry.0);
        }
    }
}

fn check_flips(case: &Case<'_>, account: usize) {
    let exchange = case.world.exchange(account);
    for order in exchange
        .orders
        .iter()
        .filter(|order| !order.spec.effect.closes())
    {
        let id = order.spec.client_order_id.as_str();
        let (signal, leg) = signal_of(id);
        let earlier = |other: &&Order| {
            let (of, number) = signal_of(other.spec.client_order_id.as_str());
            of == signal && number < leg
        };
        for close in exchange.orders.iter().filter(earlier) {
            let ended = close.ended.map(|(at, _)| at);
            if ended.is_none_or(|at| at > order.created_at) {
                let text = format!("{id} opened while {} was open", close.spec.client_order_id);
                case.violate(FLIP, text);
            }
        }
        let Some(alert) = case.row(signal).and_then(|(_, row)| case.alert(row)) else {
            continue;
        };
        if matches!(alert.ask, Ask::Buy | Ask::Sell) {
            continue;
        }
        let opposite = match order.spec.side {
            Side::Buy => order.held_before < Decimal::ZERO,
            Side::Sell => order.held_before > Decimal::ZERO,
        };
        if opposite && !foreign_fill(case, account, signal, order) {
            let side = match order.spec.side {
                Side::Buy => PositionSide::Short,
                Side::Sell => PositionSide::Long,
            };
            let text = format!("{id} opened against a {} position", side.as_str());
            case.violate(FLIP, text);
        }
    }
}

/// Whether another signal's order, which rested, was filled while this one was carried out.
fn foreign_fill(case: &Case<'_>, account: usize, signal: &str, order: &Order) -> bool {
    let Some((_, row)) = case.row(signal) else {
        return false;
    };
    let exchange = case.world.exchange(account);
    let others = exchange.orders.iter().filter(|other| {
        other.spec.symbol == order.spec.symbol
            && signal_of(other.spec.client_order_id.as_str()).0 != signal
    });
    let mut fills = others.flat_map(|other| &other.fills);
    fills.any(|fill| (row.received_at - 10_000..=order.created_at).contains(&fill.at))
}

fn check_stale(case: &Case<'_>) {
    let history = case.world.history.borrow();
    for sent in history.sent.iter().filter(|sent| sent.left_at.is_some()) {
        let id = sent.spec.client_order_id.as_str();
        let Some((_, row)) = case.row(signal_of(id).0) else {
            let text = format!("{id} left, and no journal knows its signal");
            case.violate(UNFENCED, text);
            continue;
        };
        let Some(alert) = case.alert(row) else {
            continue;
        };
        // A replay is as old as the operator's decision.
        let own = alert.timestamp.filter(|_| !case.is_replay(row));
        let start = own.map_or(row.received_at, |own| own.min(row.received_at));
        if sent.ledger_clock > start + alert.max_lag {
            let late = sent.ledger_clock - start - alert.max_lag;
            case.violate(STALE, format!("{id} was sent {late} ms too late"));
        }
    }
}
