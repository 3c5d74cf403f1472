//! A `cancel` takes Hoox's own resting orders of its symbol back, or those of one order id.

use hoox_mesh::SignalStatus;

use super::Case;
use super::exits::{ended, is_later};
use crate::simulate::alerts::Ask;
use crate::simulate::history::signal_of;
use crate::simulate::world::ACCOUNTS;

const RESTS: &str = "a cancel leaves nothing of what it names";

pub(super) fn check(case: &Case<'_>) {
    for account in ACCOUNTS {
        for row in &case.journals[account] {
            let Some(alert) = case.alert(row) else {
                continue;
            };
            let done = row.status.is_success() && row.status != SignalStatus::DryRun;
            if alert.ask != Ask::Cancel || !done || alert.dry_run {
                continue;
            }
            let (_, end) = ended(case, row);
            let exchange = case.world.exchange(account);
            for order in exchange.orders.iter().filter(|order| order.may_rest()) {
                let id = order.spec.client_order_id.as_str();
                let Some((_, other)) = case.row(signal_of(id).0) else {
                    continue;
                };
                let named = alert.order_id.is_none()
                    || (other.sender == row.sender
                        && case
                            .alert(other)
                            .is_some_and(|known| known.order_id == alert.order_id));
                let rests = order.spec.symbol.as_str() == row.symbol
                    && order.ended.is_none_or(|(at, _)| at > end)
                    && order.created_at < end;
                let known = other.status != SignalStatus::Unknown;
                if named && rests && known && !is_later(case, row, other) {
                    case.violate(RESTS, format!("{id} still rests after {}", row.id));
                }
            }
        }
    }
}
