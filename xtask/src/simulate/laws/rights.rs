//! Of a revoked sender nothing is sent once the operator was told that everybody knows.

use super::Case;
use crate::simulate::history::{PublishedAt, Sent, signal_of};
use crate::simulate::manifest::SENDERS;
use crate::simulate::meets::Purpose;
use crate::simulate::world::ACCOUNTS;

const REVOKED: &str = "of a revoked sender nothing but full exits already begun is sent";

pub(super) fn check(case: &Case<'_>) {
    let history = case.world.history.borrow();
    for published in &history.published {
        for sender in 0..SENDERS.len() {
            for account in ACCOUNTS {
                if !published.allowed[sender][account] {
                    check_withdrawn(case, published, sender, account);
                }
            }
        }
    }
}

fn check_withdrawn(case: &Case<'_>, published: &PublishedAt, sender: usize, account: usize) {
    let history = case.world.history.borrow();
    // From a later manifest on that gives the right back, as soon as it was put, nothing is judged.
    let back = history
        .put
        .iter()
        .filter(|put| put.put_at > published.put_at && put.allowed[sender][account])
        .map(|put| put.put_at)
        .min()
        .unwrap_or(i64::MAX);
    for sent in &history.sent {
        let after = sent.account == account
            && sent.left_at.is_some()
            && (published.at + 1..back).contains(&sent.fenced_at);
        if !after {
            continue;
        }
        let signal = signal_of(sent.spec.client_order_id.as_str()).0;
        let Some((_, row)) = case.row(signal) else {
            continue;
        };
        // An operator's replay is the operator's.
        if row.sender != SENDERS[sender] || case.is_replay(row) {
            continue;
        }
        if !has_begun(case, sent, published.at) {
            let text = format!(
                "{} passed the fence {} ms after {} had been revoked for everybody",
                sent.spec.client_order_id,
                sent.fenced_at - published.at,
                SENDERS[sender]
            );
            case.violate(REVOKED, text);
        }
    }
}

/// Whether an order belongs to a full exit that had sent something before.
fn has_begun(case: &Case<'_>, sent: &Sent, at: i64) -> bool {
    let signal = signal_of(sent.spec.client_order_id.as_str()).0;
    let Some((_, row)) = case.row(signal) else {
        return false;
    };
    let Some(alert) = case.alert(row) else {
        return false;
    };
    let held = case
        .world
        .exchange(sent.account)
        .held_at(&sent.spec.symbol, super::exits::taken(case, row).1);
    let full = matches!(
        Purpose::of(alert, held),
        Purpose::FullExit | Purpose::Flip | Purpose::Target | Purpose::Entry
    );
    let history = case.world.history.borrow();
    let closing = history
        .sent
        .iter()
        .filter(|other| other.spec.effect.closes());
    let handed = closing.map(|other| (other.spec.client_order_id.as_str(), other.fenced_at));
    // A fence that was kept counts although storage seemed to fail: its Ledger must take the order for sent.
    let kept = history.fenced.iter().map(|(id, at)| (id.as_str(), *at));
    let mut before = handed.chain(kept);
    full && sent.spec.effect.closes()
        && before.any(|(id, fenced_at)| fenced_at <= at && signal_of(id).0 == signal)
}
