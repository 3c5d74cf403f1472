//! The kill switch acts at once, and a revoked sender's signals are not taken.

use hoox_mesh::KillMode;

use super::Case;
use super::exits::id_millis;
use crate::simulate::history::{Confirmed, Sent, of_account};
use crate::simulate::manifest::ACCOUNT_NAMES;
use crate::simulate::world::ACCOUNTS;

const AFTER_CONFIRMED: &str = "nothing is sent that a Ledger's confirmed switch forbids";
const AFTER_ANSWERED: &str =
    "nothing arrives that the answered switch forbids and did not announce";
const REVOKED: &str = "no signal of a revoked sender is taken";
const OLD_MANIFEST: &str = "nothing is taken that an older manifest decided";

pub(super) fn check(case: &Case<'_>) {
    let history = case.world.history.borrow();
    for confirmed in history
        .confirmed
        .iter()
        .filter(|confirmed| confirmed.mode != KillMode::Off)
    {
        check_confirmed(case, confirmed, &history.sent);
    }
    drop(history);
    check_answered(case);
    check_senders(case);
}

/// Whether Control may have changed its mind between a revision and a moment.
fn superseded(case: &Case<'_>, revision: u64, until: i64) -> bool {
    let history = case.world.history.borrow();
    let mut later = history.switched.iter();
    later.any(|switched| switched.revision > revision && switched.at <= until)
}

fn check_confirmed(case: &Case<'_>, confirmed: &Confirmed, sent: &[Sent]) {
    // What a Ledger said holds for the one that took over from it, not for one that began anew after its account had left.
    let handed = case.world.objects[confirmed.place]
        .handed_over
        .get()
        .is_some();
    for order in sent {
        let forbidden = order.account == confirmed.account
            && (order.place == confirmed.place || handed)
            && order.left_at.is_some()
            && order.fenced_at > confirmed.at
            && !confirmed.mode.allows(order.spec.effect);
        if forbidden && !superseded(case, confirmed.kill_revision, order.fenced_at) {
            let text = format!(
                "{} passed the fence {} ms after the Ledger had confirmed {}",
                order.spec.client_order_id,
                order.fenced_at - confirmed.at,
                confirmed.mode.as_str()
            );
            case.violate(AFTER_CONFIRMED, text);
        }
    }
}

fn check_answered(case: &Case<'_>) {
    let history = case.world.history.borrow();
    for reported in &history.reported {
        let mode = reported.report.state.mode;
        if mode == KillMode::Off {
            continue;
        }
        for account in ACCOUNTS {
            let Some(report) = of_account(&reported.report, ACCOUNT_NAMES[account]) else {
                continue;
            };
            if !report.engaged {
                continue;
            }
            let mut late: Vec<&Sent> = Vec::new();
            for order in &history.sent {
                let forbidden = order.account == account
                    && order.taken
                    && order.arrived_at.is_some_and(|at| at > reported.at)
                    && !mode.allows(order.spec.effect);
                let until = order.arrived_at.unwrap_or(i64::MAX);
                if forbidden && !superseded(case, reported.report.state.revision, until) {
                    late.push(order);
                }
            }
            if late.len() > report.in_flight as usize {
                let text = format!(
                    "{} arrived after the answer, which announced {} in flight",
                    late[0].spec.client_order_id, report.in_flight
                );
                case.violate(AFTER_ANSWERED, text);
            }
        }
    }
}

fn check_senders(case: &Case<'_>) {
    let history = case.world.history.borrow();
    for taken in &history.taken {
        let journaled = case.row(taken.signal.as_str());
        if journaled.is_none_or(|(_, row)| row.request != taken.request.as_str()) {
            continue;
        }
        let before = history
            .confirmed
            .iter()
            .filter(|confirmed| confirmed.place == taken.place && confirmed.at < taken.at);
        let Some(newest) = before.max_by_key(|confirmed| confirmed.manifest_version) else {
            continue;
        };
        let first = id_millis(taken.signal.as_str()) == Some(taken.ledger_clock);
        if !first {
            // The same request again is answered, not taken.
            continue;
        }
        if newest.manifest_version > taken.manifest_version {
            let text = format!(
                "{} was decided by manifest {}, and the Ledger had confirmed {}",
                taken.signal, taken.manifest_version, newest.manifest_version
            );
            case.violate(OLD_MANIFEST, text);
        }
        if newest.manifest_version >= taken.manifest_version
            && !newest.senders.contains(&taken.sender)
        {
            let text = format!(
                "{} is of {}, who was struck off",
                taken.signal, taken.sender
            );
            case.violate(REVOKED, text);
        }
    }
}
