//! A `cancel` takes Hoox's own resting orders of its symbol back, or those of one order id.

use std::collections::BTreeSet;

use hoox_mesh::SignalStatus;
use hoox_model::{OrderKind, TimeInForce};

use super::Case;
use super::exits::{ended, is_later, taken};
use crate::simulate::alerts::{Alert, Ask};
use crate::simulate::history::signal_of;
use crate::simulate::journal::Row;
use crate::simulate::world::ACCOUNTS;

const RESTS: &str = "a cancel leaves nothing of what it names";
const SENT: &str = "nothing that a cancel names is sent for the first time after it was taken";

pub(super) fn check(case: &Case<'_>) {
    for account in ACCOUNTS {
        for row in &case.journals[account] {
            let Some(alert) = case.alert(row) else {
                continue;
            };
            if alert.ask != Ask::Cancel || alert.dry_run {
                continue;
            }
            let (ends, end) = ended(case, row);
            check_sent(case, account, row, alert, ends);
            if !row.status.is_success() || row.status == SignalStatus::DryRun {
                continue;
            }
            let exchange = case.world.exchange(account);
            for order in exchange.orders.iter().filter(|order| order.may_rest()) {
                let id = order.spec.client_order_id.as_str();
                let Some((_, other)) = case.row(signal_of(id).0) else {
                    continue;
                };
                let named = names(case, row, alert, other);
                let rests = order.spec.symbol.as_str() == row.symbol
                    && order.ended.is_none_or(|(at, _)| at > end)
                    && order.created_at < end;
                // Of what could not be found out nobody knows that it rests, whatever an operator named as its end since.
                let history = case.world.history.borrow();
                let unknown = history.unknown.get(&other.id);
                let known = other.status != SignalStatus::Unknown
                    && unknown.is_none_or(|since| *since > end)
                    && !history.mistaken.contains(id);
                drop(history);
                if named && rests && known && !is_later(case, row, other) {
                    case.violate(RESTS, format!("{id} still rests after {}", row.id));
                }
            }
        }
    }
}

/// Whether a cancel is about what a signal left at the venue.
fn names(case: &Case<'_>, row: &Row, alert: &Alert, other: &Row) -> bool {
    let same_order = || {
        let known = case.alert(other);
        known.is_some_and(|known| known.order_id == alert.order_id)
    };
    alert.order_id.is_none() || (other.sender == row.sender && same_order())
}

/// Until the cancel has ended no first order of anything that it names passes the fence.
fn check_sent(case: &Case<'_>, account: usize, row: &Row, alert: &Alert, end: i64) {
    let since = taken(case, row).1;
    let history = case.world.history.borrow();
    let mut met = BTreeSet::new();
    for sent in history.sent.iter().filter(|sent| sent.account == account) {
        let id = sent.spec.client_order_id.as_str();
        let first = met.insert(id);
        let in_time = (since + 1..end).contains(&sent.fenced_at) && sent.left_at.is_some();
        let rests = matches!(
            sent.spec.kind,
            OrderKind::Limit {
                time_in_force: TimeInForce::Gtc | TimeInForce::PostOnly,
                ..
            }
        );
        if !first || !in_time || !rests || sent.spec.symbol.as_str() != row.symbol {
            continue;
        }
        let Some((_, other)) = case.row(signal_of(id).0) else {
            continue;
        };
        if other.seq < row.seq && names(case, row, alert, other) && !is_later(case, row, other) {
            let after = sent.fenced_at - since;
            let text = format!(
                "{id} passed the fence {after} ms after {} was taken",
                row.id
            );
            return case.violate(SENT, text);
        }
    }
}
