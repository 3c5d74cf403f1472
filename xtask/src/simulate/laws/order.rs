//! Order within an account and symbol, staleness, and flips.

use std::collections::BTreeMap;

use hoox_mesh::SignalStatus;
use hoox_model::{Code, Decimal, PositionSide, Side, Symbol};

use super::Case;
use crate::simulate::alerts::Ask;
use crate::simulate::exchange::Order;
use crate::simulate::history::{Request, Sent, signal_of};
use crate::simulate::journal::Row;
use crate::simulate::world::ACCOUNTS;

const IN_ORDER: &str = "what opens executes in order of arrival";
const ONE_BY_ONE: &str = "a signal waits for the end of the one before";
const FLIP: &str = "a flip opens only after its close has filled";
const STALE: &str = "nothing stale is sent";
/// How far two clocks may be apart.
const CLOCK_MS: i64 = 4_100;
/// How long an order that the venue has acknowledged is waited for certainly: 10 s by its Ledger's clock, which the
/// instance that goes on reads from another one; later its look-ups may have failed, so that it is held up.
const KNOWN_MS: i64 = 10_000 - CLOCK_MS;
/// The life of an exit where its alert says nothing, of a flip's closing leg, and for what the outcome of
/// an older entry reveals.
const EXIT_MS: i64 = 600_000;
/// How long an outcome is looked up.
const LOOK_UP_MS: i64 = 600_000;
const UNFENCED: &str = "an order leaves only after its fence";

pub(super) fn check(case: &Case<'_>) {
    for account in ACCOUNTS {
        check_order(case, account);
        check_flips(case, account);
    }
    check_stale(case);
}

/// What opens comes in the order of arrival, each after the end of all before. An exit waits for nothing
/// but for what has an order at the venue that its Ledger knows of.
fn check_order(case: &Case<'_>, account: usize) {
    let exchange = case.world.exchange(account);
    // By symbol: the latest signal that opened, and orders that must be waited for.
    let mut latest: BTreeMap<&Symbol, i64> = BTreeMap::new();
    let mut before: Vec<(&Order, i64, i64)> = Vec::new();
    for order in &exchange.orders {
        let id = order.spec.client_order_id.as_str();
        let Some((_, row)) = case.row(signal_of(id).0) else {
            continue;
        };
        let settled = {
            let history = case.world.history.borrow();
            history.mistaken.contains(id) || history.settled.iter().any(|known| known == id)
        };
        let closes = order.spec.effect.closes();
        if !closes {
            let newest = latest.entry(&order.spec.symbol).or_insert(row.seq);
            if row.seq < *newest && !settled {
                let text = format!(
                    "{id} (signal {}) came to the venue after signal {newest}",
                    row.seq
                );
                case.violate(IN_ORDER, text);
            }
            *newest = row.seq.max(*newest);
        }
        let waited_for = before.iter().find(|(other, seq, ended)| {
            let known = || {
                let acked = acked_at(case, other.spec.client_order_id.as_str());
                acked.is_some_and(|at| at < order.created_at)
                    && order.created_at < other.created_at + KNOWN_MS
            };
            other.spec.symbol == order.spec.symbol
                && *seq < row.seq
                && *ended > order.created_at
                && (!closes || known())
        });
        if let Some((other, ..)) = waited_for {
            let text = format!("{id} came while {} was open", other.spec.client_order_id);
            case.violate(ONE_BY_ONE, text);
        }
        let known = row.status != SignalStatus::Unknown && !settled;
        if known && !order.may_rest() {
            let ended = order.ended.map_or(i64::MAX, |(at, _)| at);
            before.push((order, row.seq, ended));
        }
    }
}

/// When its Ledger knew for good that the venue has an order.
fn acked_at(case: &Case<'_>, id: &str) -> Option<i64> {
    let history = case.world.history.borrow();
    let mut of_order = history.sent.iter();
    of_order
        .find(|sent| sent.spec.client_order_id.as_str() == id && sent.acked_at.is_some())
        .and_then(|sent| sent.acked_at)
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
    let lag = case.world.weather.venues[account].position_lag;
    let from = row.received_at - 10_000 - lag;
    if exchange.touched(&order.spec.symbol, from, order.created_at) {
        return true;
    }
    let mut others = exchange.orders.iter().filter(|other| {
        other.spec.symbol == order.spec.symbol
            && signal_of(other.spec.client_order_id.as_str()).0 != signal
    });
    others.any(|other| {
        // What rests nobody waits for: like a trade by hand its fill shows in the position only, as late as that lags.
        let from = if other.may_rest() {
            from
        } else {
            row.received_at - 10_000
        };
        let mut fills = other.fills.iter();
        fills.any(|fill| (from..=order.created_at).contains(&fill.at))
    })
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
        let mut deadline = start + alert.max_lag;
        if sent.spec.effect.closes() {
            if alert.is_entry() {
                deadline = deadline.max(start + EXIT_MS);
            }
            deadline = deadline
                .max(merged(case, row))
                .max(revealed(case, row, sent));
            if Case::is_operators(row) {
                deadline = deadline.max(flattened(case, sent));
            }
        }
        if sent.ledger_clock > deadline {
            let late = sent.ledger_clock - deadline;
            case.violate(STALE, format!("{id} was sent {late} ms too late"));
        }
    }
}

/// The latest deadline of the alerts that were answered with this signal, which carries them out too. The answer to the
/// request that brought one may have been lost: then a later one says that it was a duplicate of this signal.
fn merged(case: &Case<'_>, row: &Row) -> i64 {
    let history = case.world.history.borrow();
    let duplicate = |request: &Request| {
        let problem = request
            .answer
            .as_ref()
            .and_then(|(_, answer)| answer.as_ref().err());
        problem
            .filter(|problem| problem.code == Code::Duplicate)
            .cloned()
    };
    let names = |request: &Request| match &request.answer {
        Some((_, Ok(view))) => view.signal_id.as_str() == row.id,
        _ => duplicate(request)
            .and_then(|problem| problem.signal)
            .is_some_and(|view| view.signal_id.as_str() == row.id),
    };
    let named = |alert: usize| {
        let mut of_alert = history
            .requests
            .iter()
            .filter(|request| request.alert == alert);
        of_alert.any(names)
    };
    let deadlines = history.requests.iter().filter_map(|request| {
        // What was answered as a duplicate moved nothing itself.
        if duplicate(request).is_some() || !named(request.alert) {
            return None;
        }
        let alert = &case.story.alerts[request.alert];
        let own = alert.timestamp.unwrap_or(i64::MAX);
        // Until it arrived at its Ledger time may have passed.
        Some(own.min(request.sent_at + CLOCK_MS + 22_000) + alert.max_lag)
    });
    deadlines.max().unwrap_or(0)
}

/// The latest deadline of a close of `flatten`: what is to be closed again is answered with one that waits, which
/// carries that out too.
fn flattened(case: &Case<'_>, sent: &Sent) -> i64 {
    let history = case.world.history.borrow();
    let told = history.confirmed.iter();
    let told = told.filter(|told| told.account == sent.account && told.at <= sent.fenced_at);
    let mut until = 0;
    let mut in_force = false;
    for told in told {
        if in_force {
            until = told.at;
        }
        in_force = told.flatten.is_some();
    }
    if in_force {
        until = sent.fenced_at;
    }
    until + EXIT_MS + CLOCK_MS
}

/// Until when a full exit may go on for what the outcome of an older entry reveals.
fn revealed(case: &Case<'_>, row: &Row, sent: &Sent) -> i64 {
    let full = case.alert(row).is_some_and(|alert| {
        // Of a target and a reverse that may open nothing the closing part is left.
        let closes = matches!(alert.ask, Ask::Reverse | Ask::TargetLong | Ask::TargetShort);
        alert.is_entry() || alert.size.is_none() || closes
    });
    if !full {
        return 0;
    }
    let history = case.world.history.borrow();
    let older = history.sent.iter().filter(|other| {
        let of_older = || {
            case.row(signal_of(other.spec.client_order_id.as_str()).0)
                .is_some_and(|(_, known)| known.seq < row.seq)
        };
        other.account == sent.account
            && other.spec.symbol == sent.spec.symbol
            && !other.spec.effect.closes()
            && other.left_at.is_some()
            && of_older()
    });
    let exchange = case.world.exchange(sent.account);
    // An order that rests has its outcome when it ends, one in doubt when it is looked up last.
    let outcomes = older.map(|other| {
        let id = &other.spec.client_order_id;
        let found = exchange.orders.iter().rev();
        let mut found = found.filter(|order| order.spec.client_order_id == *id);
        let ended = found.next().map(|order| {
            order
                .ended
                .map_or(sent.fenced_at, |(at, _)| at.min(sent.fenced_at))
        });
        (other.fenced_at + LOOK_UP_MS).max(ended.unwrap_or(0) + LOOK_UP_MS)
    });
    outcomes.max().map_or(0, |at| at + EXIT_MS + CLOCK_MS)
}
