//! What comes next for a signal: pure functions of its rows and the time.

use hoox_exchange::{ErrorClass, VenueError};
use hoox_mesh::{KillMode, SignalStatus};
use hoox_model::{Code, OrderKind, TimeInForce, Timestamp};

use crate::exit;
use crate::row::{OrderRow, OrderState, SignalRow};

/// How long an unknown outcome is looked up.
pub(crate) const LOOK_UP_MS: i64 = 600_000;
/// How long after its first send an order may be sent again under the same id. What is sent later
/// could be dated so late that a look-up would not take it for ours.
pub(crate) const RESEND_WITHIN_MS: i64 = LOOK_UP_MS / 2;
/// Times one order may go through the fence.
pub(crate) const MAX_SENDS: i64 = 50;
/// Failed tries after which recording goes on at a slow pace.
pub(crate) const MANY_ATTEMPTS: u32 = 30;
/// The slow pace: 5 minutes.
const SLOW_MS: i64 = 300_000;

/// The next step of a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// Decide the orders, or the next one of an exit.
    Plan,
    /// Nothing is due yet.
    Wait,
    /// Send this order.
    Send(usize),
    /// Take this order back from the venue.
    Cancel(usize),
    /// Look this order up.
    LookUp(usize),
    /// Nothing is left to trade: fix the outcome.
    Conclude,
    /// Record the fills of this order; while a signal rests, the position too.
    RecordFills(usize),
    /// Record the position and close the job.
    RecordPosition,
    /// Nothing was traded, so nothing is left to record: close the job.
    Close,
}

/// Decides the next step.
pub(crate) fn next(
    signal: &SignalRow,
    orders: &[OrderRow],
    mode: KillMode,
    now: Timestamp,
) -> Next {
    if signal.status.is_final() {
        return next_record(orders);
    }
    if signal.exits() {
        return next_of_exit(signal, orders, mode, now);
    }
    if signal.status == SignalStatus::Received {
        return Next::Plan;
    }
    let Some((index, order)) = orders
        .iter()
        .enumerate()
        .find(|(_, order)| !order.state.is_final())
    else {
        return Next::Conclude;
    };
    if order.state == OrderState::Planned {
        return Next::Send(index);
    }
    if cancel_at(order, mode).is_some_and(|at| at <= now) {
        Next::Cancel(index)
    } else if let Some(filled) =
        // What is in doubt is found out first: while it is, no position is worth recording. So is what rests and was not
        // looked up since its fills could not be recorded: what a position shows beyond our record it may have filled.
        unrecorded(orders).filter(|_| {
            !signal.blocking && !order.is_in_doubt() && order.data.look_at.is_some()
        })
    {
        Next::RecordFills(filled)
    } else {
        Next::LookUp(index)
    }
}

/// The next step of an exit: several of its orders may be at the venue, one of them in doubt.
fn next_of_exit(signal: &SignalRow, orders: &[OrderRow], mode: KillMode, now: Timestamp) -> Next {
    let open = || {
        let numbered = orders.iter().enumerate();
        numbered.filter(|(_, order)| !order.state.is_final())
    };
    if let Some((index, _)) = open().find(|(_, order)| order.state == OrderState::Planned) {
        return Next::Send(index);
    }
    let cancel = open().find(|(_, order)| cancel_at(order, mode).is_some_and(|at| at <= now));
    if let Some((index, _)) = cancel {
        return Next::Cancel(index);
    }
    // The one that has waited longest, so that none is passed over; one that was never looked up first.
    let look = open()
        .filter(|(_, order)| order.data.look_at.is_none_or(|at| at <= now))
        .min_by_key(|(_, order)| order.data.look_at);
    if let Some((index, _)) = look {
        return Next::LookUp(index);
    }
    if exit::plan_at(signal, orders).is_some_and(|at| at <= now) {
        return Next::Plan;
    }
    let rests = !signal.blocking && open().next().is_some();
    match unrecorded(orders).filter(|_| rests) {
        Some(filled) => Next::RecordFills(filled),
        None => Next::Wait,
    }
}

/// Whether a step sends something that must not be sent after the signal's deadline.
pub(crate) const fn may_go_stale(next: Next) -> bool {
    matches!(next, Next::Plan | Next::Send(_))
}

/// When an order is to be taken back from the venue: one that an exit or the trader wants ended, and an entry that rests
/// there while the kill switch is engaged, again and again at a slowing pace until the venue shows its end.
pub(crate) fn cancel_at(order: &OrderRow, mode: KillMode) -> Option<Timestamp> {
    let spec = &order.data.spec;
    let rests = matches!(
        order.state,
        OrderState::Acknowledged | OrderState::PartlyFilled
    );
    let switched = mode != KillMode::Off && !spec.effect.closes();
    let wanted = switched || order.data.cancel_why.is_some();
    if !wanted || !may_rest(spec.kind) || !rests {
        return None;
    }
    let Some(asked) = order.data.cancel_asked_at else {
        return Some(Timestamp::from_millis(0));
    };
    // A look-up that has shown it since says more than another cancel, so that one has the time to come first.
    let seen = order.data.seen_at.is_some_and(|seen| seen > asked);
    let pace = if seen { 5_000i64 } else { 15_000 };
    let wait = pace << order.data.cancels.min(4);
    Some(asked.plus_millis(wait.min(60_000)))
}

/// The first order with fills that are not recorded.
pub(crate) fn unrecorded(orders: &[OrderRow]) -> Option<usize> {
    orders
        .iter()
        .position(|order| order.data.recorded < order.data.filled)
}

fn next_record(orders: &[OrderRow]) -> Next {
    match unrecorded(orders) {
        Some(index) => Next::RecordFills(index),
        None if any_filled(orders) => Next::RecordPosition,
        None => Next::Close,
    }
}

/// Whether anything was traded.
pub(crate) fn any_filled(orders: &[OrderRow]) -> bool {
    orders.iter().any(|order| !order.data.filled.is_zero())
}

/// The outcome of a signal whose orders have all ended.
pub(crate) fn outcome(orders: &[OrderRow]) -> (SignalStatus, Option<Code>, Option<String>) {
    let any = |state| orders.iter().any(|order| order.state == state);
    let status = if any(OrderState::Unknown) {
        SignalStatus::Unknown
    } else if orders.last().map(|order| order.state) == Some(OrderState::Filled) {
        return (SignalStatus::Filled, None, None);
    } else if any_filled(orders) {
        SignalStatus::PartlyFilled
    } else if any(OrderState::Rejected) {
        SignalStatus::Rejected
    } else if any(OrderState::Cancelled) {
        SignalStatus::Cancelled
    } else {
        SignalStatus::Refused
    };
    let reason = orders.iter().rev().find(|order| order.data.code.is_some());
    let code = reason.and_then(|order| order.data.code);
    let message = reason.and_then(|order| order.data.message.clone());
    (status, code, message)
}

/// What a venue's error to a send proves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// There is no order, and no other try can mend it.
    Rejected(Code),
    /// There is no order; it may be sent again.
    NotDone,
    /// There may be one: only a look-up can tell.
    Doubt,
}

/// Reads an error. `doubts` counts the earlier sends of the same id whose outcome nobody knows.
pub(crate) const fn verdict(error: &VenueError, doubts: u32) -> Verdict {
    if doubts > 0 || !error.class.is_definite() {
        return Verdict::Doubt;
    }
    match final_code(error.class) {
        Some(code) => Verdict::Rejected(code),
        None => Verdict::NotDone,
    }
}

/// The code of an error that no other try can mend; `None` for the others.
pub(crate) const fn final_code(class: ErrorClass) -> Option<Code> {
    match class {
        ErrorClass::Rejected => Some(Code::Rejected),
        ErrorClass::UnknownSymbol => Some(Code::UnknownSymbol),
        ErrorClass::Location => Some(Code::Location),
        ErrorClass::Credentials => Some(Code::Credentials),
        ErrorClass::RateLimited
        | ErrorClass::Banned
        | ErrorClass::ClockSkew
        | ErrorClass::Unavailable
        | ErrorClass::Unknown
        | ErrorClass::Duplicate => None,
    }
}

/// Whether an order may rest at the venue, so that later signals do not wait for it.
pub(crate) const fn may_rest(kind: OrderKind) -> bool {
    matches!(
        kind,
        OrderKind::Limit {
            time_in_force: TimeInForce::Gtc | TimeInForce::PostOnly,
            ..
        }
    )
}

/// Whether an order that a look-up did not show `age` milliseconds after its first send may be sent
/// again: each time twice as late, because look-ups lag.
pub(crate) fn may_resend(age: i64, sends: i64) -> bool {
    let sends = u32::try_from(sends.clamp(1, 20)).unwrap_or(20);
    (1_000i64 << sends..RESEND_WITHIN_MS).contains(&age)
}

/// Wait before the next look at an order, by its age: eager at first, then 60 s at most.
///
/// However many orders rest and are looked up one by one, all of them together are looked at no more than once in 5 s:
/// 17,280 times a day, which leaves room in the day's calls for closes and the kill switch.
pub(crate) fn poll_after(sent_at: Timestamp, now: Timestamp, resting: u32) -> i64 {
    match now.since(sent_at).max(0) {
        ..=2_000 => 150,
        2_001..=10_000 => 1_000,
        10_001..=60_000 => 5_000,
        60_001..=600_000 => 15_000,
        _ => 5_000i64.saturating_mul(i64::from(resting)).max(60_000),
    }
}

/// Wait before the next list of an account's open orders, by the age of the youngest that rests and by the calls that the
/// last one took: eager at first, then 60 s, or as long as the day's calls allow ([`poll_after`]).
pub(crate) fn list_after(youngest: Timestamp, now: Timestamp, calls: u32) -> i64 {
    let least = 1_000i64.saturating_mul(i64::from(calls.max(1)));
    poll_after(youngest, now, calls).max(least)
}

/// Wait before a failed step is tried again: 250 ms doubled up to 15 s, half of it by chance, and no
/// less than the venue asks for.
pub(crate) fn retry_after(attempts: u32, chance: u8, asked_ms: Option<i64>) -> i64 {
    let full = 250i64.saturating_mul(1i64 << attempts.min(6)).min(15_000);
    let half = full / 2;
    let jitter = half.saturating_mul(i64::from(chance)) / 255;
    half.saturating_add(jitter).max(asked_ms.unwrap_or(0))
}

/// Failures in a row after which a venue is left alone for a while.
const PATIENCE: u32 = 5;

/// How long nothing of an account calls its venue after a failure; `None`: the next call may come at
/// once. A venue that limits is obeyed, one that fails again and again is given 1 s, 2 s … 30 s, half
/// of it by chance. `failures` counts those in a row, this one included.
pub(crate) fn pause_after(error: &VenueError, failures: u32, chance: u8) -> Option<i64> {
    let over = failures.saturating_sub(PATIENCE).min(5);
    let full = 1_000i64.saturating_mul(1i64 << over).min(30_000);
    let half = full / 2;
    let wait = half.saturating_add(half.saturating_mul(i64::from(chance)) / 255);
    match error.class {
        ErrorClass::RateLimited | ErrorClass::Banned => {
            Some(error.retry_after_ms.unwrap_or(0).max(wait))
        }
        ErrorClass::Unavailable | ErrorClass::Unknown if failures >= PATIENCE => {
            Some(error.retry_after_ms.unwrap_or(0).max(wait))
        }
        _ => None,
    }
}

/// Whether an error says that the venue does not work as it should, rather than what it thinks of a
/// request.
pub(crate) const fn is_failure(class: ErrorClass) -> bool {
    matches!(
        class,
        ErrorClass::RateLimited
            | ErrorClass::Banned
            | ErrorClass::Unavailable
            | ErrorClass::Unknown
    )
}

/// Wait before recording is tried again: never given up, but ever slower.
pub(crate) fn record_after(attempts: u32) -> i64 {
    if attempts < MANY_ATTEMPTS {
        retry_after(attempts, u8::MAX, None)
    } else {
        SLOW_MS
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_retry_waits_between_half_and_all_of_the_doubled_time(attempts in 0u32..1000, chance: u8) {
            let full = (250i64 << attempts.min(6)).min(15_000);
            let wait = retry_after(attempts, chance, None);
            prop_assert!(wait >= full / 2 && wait <= full, "{wait}");
        }

        #[test]
        fn a_retry_never_comes_before_the_venue_allows_it(attempts: u32, chance: u8, asked in 0i64..600_000) {
            let wait = retry_after(attempts, chance, Some(asked));
            prop_assert!(wait >= asked);
            prop_assert!(wait <= asked.max(15_000));
        }

        #[test]
        fn polls_slow_down_with_age_and_time_always_passes(a in -1_000i64..10_000_000, b in -1_000i64..10_000_000) {
            let sent = Timestamp::from_millis(1_780_000_000_000);
            let (first, later) = [a.min(b), a.max(b)].map(|age| poll_after(sent, sent.plus_millis(age), 1)).into();
            prop_assert!(first <= later && (150..=60_000).contains(&first) && later <= 60_000);
        }

        #[test]
        fn resting_orders_share_a_budget_of_polls(resting in 1u32..10_000) {
            let sent = Timestamp::from_millis(1_780_000_000_000);
            let wait = poll_after(sent, sent.plus_millis(3_600_000), resting);
            prop_assert!(wait >= 60_000);
            // So many waits of all orders fit into a day.
            prop_assert!(wait.saturating_mul(17_280) >= i64::from(resting).saturating_mul(86_400_000));
        }

        #[test]
        fn a_venue_is_given_the_time_it_asks_for_and_never_more_than_thirty_seconds_beyond(
            failures in 1u32..100, chance: u8, asked in proptest::option::of(0i64..600_000)
        ) {
            let failed = |class| VenueError { retry_after_ms: asked, ..VenueError::new(class, "", "") };
            let limited = pause_after(&failed(ErrorClass::RateLimited), failures, chance).unwrap_or(0);
            prop_assert!(limited >= asked.unwrap_or(0).max(500) && limited <= asked.unwrap_or(0).max(30_000));
            let away = pause_after(&failed(ErrorClass::Unavailable), failures, chance);
            prop_assert_eq!(away.is_some(), failures >= 5);
            prop_assert_eq!(pause_after(&failed(ErrorClass::Rejected), failures, chance), None);
        }

        #[test]
        fn recording_slows_down_and_time_always_passes(attempts: u32) {
            prop_assert!((250..=300_000).contains(&record_after(attempts)));
            prop_assert!(record_after(attempts) <= record_after(attempts.saturating_add(1)));
        }

        #[test]
        fn an_order_is_sent_again_only_within_five_minutes_and_ever_later(age: i64, sends in 1i64..100) {
            if may_resend(age, sends) {
                prop_assert!((2_000..300_000).contains(&age));
                prop_assert!(sends == 1 || may_resend(age, sends.saturating_sub(1)));
            }
            prop_assert!(!may_resend(age, 9));
        }
    }
}
