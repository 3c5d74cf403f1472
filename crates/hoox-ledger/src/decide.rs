//! What comes next for a signal: pure functions of its rows and the time.

use hoox_mesh::SignalStatus;
use hoox_model::{Code, OrderKind, TimeInForce, Timestamp};

use crate::row::{OrderRow, OrderState, SignalRow};

/// How long an unknown outcome is looked up.
pub(crate) const LOOK_UP_MS: i64 = 600_000;
/// Orders of one signal at most; flips that fill in parts need more than two.
pub(crate) const MAX_LEGS: u32 = 8;
/// Times one order may go through the fence.
pub(crate) const MAX_SENDS: i64 = 5;
/// Not-found answers younger than this are a look-up's lag, not a reason to send again.
pub(crate) const RESEND_AFTER_MS: i64 = 2_000;

/// The next step of a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// Decide the orders.
    Plan,
    /// A closing leg ended short: forget the rest of the plan and decide again.
    PlanAgain,
    /// Send this order.
    Send(usize),
    /// Look this order up.
    LookUp(usize),
    /// Nothing is left to trade: fix the outcome.
    Conclude,
    /// Record the fills of this order.
    RecordFills(usize),
    /// Record the position and close the job.
    RecordPosition,
}

/// Decides the next step.
pub(crate) fn next(signal: &SignalRow, orders: &[OrderRow]) -> Next {
    if signal.status.is_final() {
        let unrecorded = orders
            .iter()
            .position(|order| order.data.recorded < order.data.filled);
        return unrecorded.map_or(Next::RecordPosition, Next::RecordFills);
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
    if order.state != OrderState::Planned {
        return Next::LookUp(index);
    }
    let before = index.checked_sub(1).and_then(|i| orders.get(i));
    match before.map(|previous| previous.state) {
        None | Some(OrderState::Filled) => Next::Send(index),
        // Never open behind an order nobody knows about, nor behind one that was held back.
        Some(OrderState::Unknown | OrderState::Skipped) => Next::Conclude,
        Some(_) if order.leg >= MAX_LEGS => Next::Conclude,
        Some(_) => Next::PlanAgain,
    }
}

/// The outcome of a signal whose orders have all ended.
pub(crate) fn outcome(orders: &[OrderRow]) -> (SignalStatus, Option<Code>, Option<String>) {
    let filled = orders.iter().any(|order| !order.data.filled.is_zero());
    let reason = orders.iter().rev().find(|order| order.data.code.is_some());
    let code = reason.and_then(|order| order.data.code);
    let message = reason.and_then(|order| order.data.message.clone());
    let any = |state| orders.iter().any(|order| order.state == state);
    let last = orders
        .iter()
        .rev()
        .find(|order| order.state != OrderState::Skipped)
        .map(|order| order.state);
    let status = if any(OrderState::Unknown) {
        SignalStatus::Unknown
    } else if last == Some(OrderState::Filled)
        && !orders
            .last()
            .is_some_and(|order| order.state == OrderState::Skipped)
    {
        return (SignalStatus::Filled, None, None);
    } else if filled {
        SignalStatus::PartlyFilled
    } else if any(OrderState::Rejected) {
        SignalStatus::Rejected
    } else if any(OrderState::Cancelled) {
        SignalStatus::Cancelled
    } else {
        SignalStatus::Refused
    };
    (status, code, message)
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

/// Wait before the next look at an order, by its age: eager at first, then 60 s at most.
pub(crate) fn poll_after(sent_at: Timestamp, now: Timestamp) -> i64 {
    match now.since(sent_at).max(0) {
        ..=2_000 => 150,
        2_001..=10_000 => 1_000,
        10_001..=60_000 => 5_000,
        60_001..=600_000 => 15_000,
        _ => 60_000,
    }
}

/// Wait before a failed step is tried again: 250 ms doubled up to 15 s, half of it by chance, and no
/// less than the venue asks for.
pub(crate) fn retry_after(attempts: u32, chance: u8, asked_ms: Option<i64>) -> i64 {
    let full = 250i64.saturating_mul(1i64 << attempts.min(6)).min(15_000);
    let half = full / 2;
    let jitter = half.saturating_mul(i64::from(chance)) / 255;
    half.saturating_add(jitter).max(asked_ms.unwrap_or(0))
}
