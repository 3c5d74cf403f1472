//! What is older undoes nothing newer: neither older entries after a full exit, nor older alerts of one
//! strategy that come late.

use hoox_mesh::SignalStatus;
use hoox_model::{PositionSide, Symbol};

use super::Case;
use super::exits::{is_newer, like_a_bar, opens, taken};
use crate::simulate::alerts::{Alert, Ask};
use crate::simulate::history::{Sent, signal_of};
use crate::simulate::journal::Row;
use crate::simulate::meets::Purpose;
use crate::simulate::world::ACCOUNTS;

const OLDER_OPENS: &str =
    "nothing older that opens the side a full exit closes is sent after it was taken";
const UNDONE: &str = "an older alert undoes no newer one";
const JUSTIFIED: &str = "every refusal is justified";

/// Within so many milliseconds targets without a time are ordered by what they say of the one before.
const TOGETHER_MS: i64 = 5_000;
const CLOCK_MS: i64 = 2_100;

pub(super) fn check(case: &Case<'_>) {
    for account in ACCOUNTS {
        for row in &case.journals[account] {
            check_full_exit(case, account, row);
            check_overtaken(case, account, row);
        }
    }
    check_refusals(case);
}

/// The position sides that a signal closes altogether, and from when on nothing older opens them.
fn closes(case: &Case<'_>, account: usize, row: &Row) -> Option<(Vec<PositionSide>, i64)> {
    let alert = case.alert(row)?;
    let exchange = case.world.exchange(account);
    let symbol: Symbol = row.symbol.parse().ok()?;
    let refused = row
        .code
        .is_some_and(|code| matches!(code.as_str(), "KILL_SWITCH" | "OUT_OF_ORDER"));
    if refused || alert.dry_run || exchange.legs_now(&symbol).is_some() {
        return None;
    }
    let at = taken(case, row).1;
    let purpose = Purpose::of(alert, exchange.held_at(&symbol, at));
    let both = vec![PositionSide::Long, PositionSide::Short];
    match (purpose, alert.ask) {
        (Purpose::FullExit, Ask::CloseLong) => Some((vec![PositionSide::Long], at)),
        (Purpose::FullExit, Ask::CloseShort) => Some((vec![PositionSide::Short], at)),
        (Purpose::FullExit, Ask::Close | Ask::TargetFlat) => Some((both, at)),
        (Purpose::Flip | Purpose::Entry | Purpose::Target, ask) => {
            // A flip closes the other side altogether; when that is certain, is said by its first close: one
            // whose fence did not become durable never was.
            let side = match ask {
                Ask::Long | Ask::TargetLong => PositionSide::Short,
                Ask::Short | Ask::TargetShort => PositionSide::Long,
                _ => return None,
            };
            let history = case.world.history.borrow();
            let closing = history.sent.iter().filter(|sent| {
                sent.account == account
                    && sent.left_at.is_some()
                    && sent.spec.effect.closes()
                    && sent.spec.side == side.exit_side()
                    && signal_of(sent.spec.client_order_id.as_str()).0 == row.id
            });
            let first = closing.map(|sent| sent.fenced_at).min()?;
            Some((vec![side], first))
        }
        _ => None,
    }
}

fn check_full_exit(case: &Case<'_>, account: usize, row: &Row) {
    let Some((sides, since)) = closes(case, account, row) else {
        return;
    };
    let history = case.world.history.borrow();
    let mut bad: Vec<&Sent> = Vec::new();
    for sent in &history.sent {
        let opening = sent.account == account
            && sent.left_at.is_some()
            && sent.fenced_at > since
            && !sent.spec.effect.closes()
            && sent.spec.symbol.as_str() == row.symbol
            && sides.contains(&opens(sent.spec.side));
        let older = || {
            let signal = signal_of(sent.spec.client_order_id.as_str()).0;
            case.row(signal).is_some_and(|(home, other)| {
                home == account && other.seq < row.seq && !is_newer(case, row, other)
            })
        };
        if opening && older() {
            bad.push(sent);
        }
    }
    if let Some(first) = bad.first() {
        let text = format!(
            "{} passed the fence {} ms after {} was taken",
            first.spec.client_order_id,
            first.fenced_at - since,
            row.id
        );
        case.violate(OLDER_OPENS, text);
    }
}

/// What an alert leaves of the position it finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Undoes {
    /// It opens this side.
    Opens(PositionSide),
    /// It closes all.
    Closes,
    /// Nobody can say before its plan.
    Unclear,
}

fn undoes(alert: &Alert) -> Undoes {
    match alert.ask {
        _ if alert.reduce_only || alert.dry_run => Undoes::Unclear,
        Ask::Long | Ask::TargetLong => Undoes::Opens(PositionSide::Long),
        Ask::Short | Ask::TargetShort => Undoes::Opens(PositionSide::Short),
        Ask::Close | Ask::TargetFlat if alert.size.is_none() => Undoes::Closes,
        _ => Undoes::Unclear,
    }
}

/// Whether the older of two alerts, which comes later, must be refused; `None` where nobody can say.
fn must_be_refused(older: &Alert, newer: &Alert) -> Option<bool> {
    let target = matches!(
        older.ask,
        Ask::TargetLong | Ask::TargetShort | Ask::TargetFlat
    );
    match (undoes(older), undoes(newer)) {
        (Undoes::Closes, _) if !target => Some(false),
        (Undoes::Opens(_) | Undoes::Closes, Undoes::Closes) => Some(true),
        (Undoes::Opens(one), Undoes::Opens(other)) if one != other => Some(true),
        // Behind a newer target an older entry or target is late, whatever its side.
        (Undoes::Opens(_) | Undoes::Closes, Undoes::Opens(_))
            if matches!(newer.ask, Ask::TargetLong | Ask::TargetShort) =>
        {
            Some(true)
        }
        (Undoes::Opens(one), Undoes::Opens(other)) if one == other && !target => Some(false),
        _ => None,
    }
}

/// Whether of two targets with equal times, or none, the one that came second is the older one.
fn says_it_is_older(first: &Alert, second: &Alert) -> bool {
    match (first.states, second.states) {
        (Some((one, before_one)), Some((two, before_two))) => {
            two == before_one && one != before_two
        }
        _ => false,
    }
}

fn is_target(alert: &Alert) -> bool {
    matches!(
        alert.ask,
        Ask::TargetLong | Ask::TargetShort | Ask::TargetFlat
    )
}

fn same_strategy(one: &Alert, other: &Alert) -> bool {
    one.sender == other.sender && one.symbol == other.symbol && one.strategy == other.strategy
}

/// Whether a signal was taken, so that what is older comes too late.
fn counts(row: &Row) -> bool {
    let refused = row.status == SignalStatus::Refused
        && row
            .code
            .is_some_and(|code| matches!(code.as_str(), "KILL_SWITCH" | "OUT_OF_ORDER"));
    !refused
}

/// A signal that was taken although a newer one was there.
fn check_overtaken(case: &Case<'_>, account: usize, row: &Row) {
    let Some(alert) = case.alert(row) else { return };
    if case.is_replay(row) || !counts(row) || Case::is_operators(row) {
        return;
    }
    let traded = {
        let exchange = case.world.exchange(account);
        let mut orders = exchange.orders.iter();
        orders.any(|order| signal_of(order.spec.client_order_id.as_str()).0 == row.id)
    };
    if !traded {
        return;
    }
    for newer in &case.journals[account] {
        if newer.seq >= row.seq || !counts(newer) || case.is_replay(newer) {
            continue;
        }
        let Some(known) = case.alert(newer) else {
            continue;
        };
        let by_time = is_newer(case, row, newer) && must_be_refused(alert, known) == Some(true);
        let by_state = newer.life == row.life
            && same_strategy(alert, known)
            && is_target(alert)
            && is_target(known)
            && together((alert, row), (known, newer))
            && says_it_is_older(known, alert);
        if by_time || by_state {
            let text = format!("{} traded after {}, which is newer", row.id, newer.id);
            case.violate(UNDONE, text);
        }
    }
}

/// Whether the times of two targets do not tell which is older. Certainly, and not only by the clocks.
fn together((one, row): (&Alert, &Row), (other, newer): (&Alert, &Row)) -> bool {
    let apart = row.received_at - newer.received_at;
    match (fired_at(one, row), fired_at(other, newer)) {
        (Some(one), Some(other)) => one == other,
        (None, None) => apart.abs() <= TOGETHER_MS - CLOCK_MS,
        _ => false,
    }
}

/// When an alert fired, by its own word; a time that may be a bar's says nothing of that, as none.
fn fired_at(alert: &Alert, row: &Row) -> Option<i64> {
    alert.timestamp.filter(|at| !like_a_bar(*at, row))
}

/// An alert that was refused because a newer one is there: there is one.
fn check_refusals(case: &Case<'_>) {
    let history = case.world.history.borrow();
    for request in &history.requests {
        let Some((at, Err(problem))) = &request.answer else {
            continue;
        };
        if problem.code.as_str() != "OUT_OF_ORDER" {
            continue;
        }
        let alert = &*case.story.alerts[request.alert];
        let before = case
            .journals
            .iter()
            .flatten()
            .filter(|row| row.received_at <= *at + CLOCK_MS && !row.status.as_str().is_empty());
        let mut known = before.filter_map(|row| Some((row, case.alert(row)?)));
        let justified = known.any(|(row, newer)| {
            let times = (alert.timestamp, newer.timestamp);
            let later = matches!(times, (Some(own), Some(other)) if own < other);
            let apart = request.sent_at - row.received_at;
            let close = match times {
                (Some(own), Some(other)) => own == other,
                (None, None) => apart.abs() <= TOGETHER_MS + 25_000,
                _ => false,
            };
            // Where the newer one closed the other side first, it was a full exit as well.
            let held = ACCOUNTS.into_iter().find_map(|account| {
                let of_account = &case.journals[account];
                let here = of_account.iter().any(|known| known.id == row.id);
                let symbol = row.symbol.parse().ok()?;
                let at = taken(case, row).1;
                here.then(|| case.world.exchange(account).held_at(&symbol, at))
            });
            let flips = Purpose::of(newer, held.unwrap_or_default()) == Purpose::Flip;
            same_strategy(alert, newer)
                && ((later && (flips || must_be_refused(alert, newer) != Some(false)))
                    || (close
                        && is_target(alert)
                        && is_target(newer)
                        && says_it_is_older(newer, alert)))
        });
        if !justified {
            let text = format!("request {}: {problem} to {}", request.id, alert.content);
            case.violate(JUSTIFIED, text);
        }
    }
}
