//! Nothing acknowledged is lost: what was answered with a 2xx is in the journal, has ended or rests where
//! everybody can see it, and the records say the same.

use hoox_mesh::SignalStatus;
use hoox_store::Record;

use super::{Case, LOST};
use crate::simulate::history::signal_of;
use crate::simulate::journal::Row;
use crate::simulate::world::ACCOUNTS;

pub(super) fn check(case: &Case<'_>) {
    let history = case.world.history.borrow();
    for request in &history.requests {
        let signal = match &request.answer {
            Some((_, Ok(view))) => view.signal_id.as_str(),
            Some((_, Err(problem))) => match &problem.signal {
                Some(view) => view.signal_id.as_str(),
                None => continue,
            },
            None => continue,
        };
        if case.row(signal).is_none() {
            let text = format!(
                "request {} was answered with {signal}, which no journal holds",
                request.id
            );
            case.violate(LOST, text);
        }
    }
    drop(history);
    for account in ACCOUNTS {
        for row in &case.journals[account] {
            check_ended(case, account, row);
            check_record(case, row);
        }
    }
}

fn check_ended(case: &Case<'_>, account: usize, row: &Row) {
    let rests = || {
        let exchange = case.world.exchange(account);
        exchange.orders.iter().any(|order| {
            order.ended.is_none() && signal_of(order.spec.client_order_id.as_str()).0 == row.id
        })
    };
    let ended = match row.status {
        SignalStatus::Acknowledged => rests(),
        SignalStatus::Unknown => row.dead,
        status => status.is_final(),
    };
    if !ended {
        let text = format!("{} is {} when all is over", row.id, row.status.as_str());
        case.violate(LOST, text);
    }
}

fn check_record(case: &Case<'_>, row: &Row) {
    let records = case.world.records.borrow();
    let state = match records.get(&format!("signal:{}", row.id)) {
        Some(Record::Signal(signal)) => signal.state.clone(),
        _ => "missing".to_owned(),
    };
    if state != row.status.as_str() {
        let status = row.status.as_str();
        let text = format!(
            "{} is {status} in the journal and {state} in the records",
            row.id
        );
        case.violate(LOST, text);
    }
}
