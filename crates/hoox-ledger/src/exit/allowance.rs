//! What an exit may close, how much of it is done, and what it leaves.

use hoox_model::{Decimal, PositionSide, Quantity, SignalId, Timestamp};
use serde::{Deserialize, Serialize};

use super::orders::sum;
use super::turning::Turning;
use crate::journal::Holding;
use crate::row::OrderRow;

/// Waits before an exit is planned again, by the number of orders that did not close all they were for.
const WAITS_MS: [i64; 7] = [0, 500, 1_000, 2_000, 4_000, 8_000, 10_000];

/// What a signal closes, and how far it is.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a question of its own, stored by its name"
)]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Exit {
    /// Whether it closes everything that was held, and not a quantity.
    pub whole: bool,
    /// Whether nothing is opened after it, although its signal may open: a plain order that must not open
    /// closes what it can.
    #[serde(default)]
    pub only: bool,
    /// The side that it closes; `None` until the first position is known, where the action names none.
    pub side: Option<PositionSide>,
    /// When the Ledger took the signal.
    pub taken_at: Timestamp,
    /// After this moment nothing more of it is sent.
    pub lives_until: Timestamp,
    /// What the Ledger's record said was held when the signal was taken: positive long, negative short.
    #[serde(default)]
    pub record: Option<Decimal>,
    /// Entries that were taken before it and had no outcome then, with what each had filled by the number that
    /// `held` is: our record when it was taken, or the position that was read.
    #[serde(default)]
    pub older: Vec<(SignalId, Quantity)>,
    /// What those had filled in all when it was taken, long and short, whatever side it is about: `record` shows that.
    #[serde(default)]
    pub filled_before: (Quantity, Quantity),
    /// Whether something may be held that our record did not show when the signal was taken: it was old, an older entry
    /// had no outcome, or a `reverse` or `target` came where there was none.
    #[serde(default)]
    pub unsure: bool,
    /// Entries taken before it whose alerts fired later: what they opened is not its to close.
    #[serde(default)]
    pub newer: Vec<SignalId>,
    /// What of our record when it was taken those had opened, as was known then.
    #[serde(default)]
    pub newer_held: Quantity,
    /// What existed on its side when it was taken; `None` until that is known.
    #[serde(default)]
    pub held: Option<Quantity>,
    /// The size of a partial exit in base currency, once it is known.
    #[serde(default)]
    pub quantity: Option<Quantity>,
    /// Whether the position is a leg of a symbol in hedge mode.
    #[serde(default)]
    pub hedged: bool,
    /// What is held on the other leg of a symbol in hedge mode, which is closed after this one, because the action names
    /// neither.
    #[serde(default)]
    pub other_leg: Option<Quantity>,
    /// The leg that it closed before this one, where it could not close all of it, and how much was to be closed there.
    #[serde(default)]
    pub leg_before: Option<(PositionSide, Quantity)>,
    /// Whether a first position was asked for.
    #[serde(default)]
    pub asked: bool,
    /// Since when the position cannot be read.
    #[serde(default)]
    pub unread_since: Option<Timestamp>,
    /// Orders that did not close what they were for, and tries that came to no order.
    #[serde(default)]
    pub tries: u32,
    /// When it is planned next.
    pub next_at: Timestamp,
    /// Whether the venue refused an order of it, so that what rests beside it goes first.
    #[serde(default)]
    pub refused: bool,
    /// What older entries' outcomes revealed so far.
    #[serde(default)]
    pub revealed: Quantity,
    /// How much of what older entries will turn out to have filled `held` shows already.
    #[serde(default)]
    pub included: Quantity,
    /// `held` and `included` of the other side, where it was turned.
    #[serde(default)]
    pub held_before: Quantity,
    #[serde(default)]
    pub included_before: Quantity,
    /// Closes that were taken before it and not heard of, where that may have left something of its side to entries.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub turning: Vec<Turning>,
    /// Whether it only waits for the outcome of older entries.
    #[serde(default)]
    pub waits: bool,
    /// Whether everything is done.
    #[serde(default)]
    pub done: bool,
    /// Why it is not done, once that was told.
    #[serde(default)]
    pub told: Option<String>,
    /// What it leaves, as a sentence.
    #[serde(default)]
    pub leaves: Option<String>,
    /// What was held beyond what it may close when a position was read last.
    #[serde(default)]
    pub more: Quantity,
    /// Whether it ended before everything was closed.
    #[serde(default)]
    pub undone: bool,
    /// What it gave up of its allowance, when it went on only for what older entries would turn out to have filled.
    #[serde(default)]
    pub given_up: Quantity,
}

impl Exit {
    /// An exit of a signal that was taken at `taken_at`.
    pub(crate) const fn new(
        whole: bool,
        side: Option<PositionSide>,
        taken_at: Timestamp,
        lives_until: Timestamp,
    ) -> Self {
        Self {
            whole,
            only: false,
            side,
            taken_at,
            lives_until,
            record: None,
            older: Vec::new(),
            filled_before: (Quantity::ZERO, Quantity::ZERO),
            unsure: false,
            newer: Vec::new(),
            newer_held: Quantity::ZERO,
            held: None,
            quantity: None,
            hedged: false,
            other_leg: None,
            leg_before: None,
            asked: false,
            unread_since: None,
            tries: 0,
            next_at: taken_at,
            refused: false,
            revealed: Quantity::ZERO,
            included: Quantity::ZERO,
            held_before: Quantity::ZERO,
            included_before: Quantity::ZERO,
            turning: Vec::new(),
            waits: false,
            done: false,
            told: None,
            leaves: None,
            more: Quantity::ZERO,
            undone: false,
            given_up: Quantity::ZERO,
        }
    }

    /// Whether what it is about was surely held: a flip then has an exit's rights.
    pub(crate) fn is_sure(&self) -> bool {
        let recorded = self.record.is_some_and(|signed| {
            let (side, size) = Holding::split(signed);
            !size.is_zero() && (self.side.is_none() || side == self.side)
        });
        recorded || self.held.is_some_and(|held| !held.is_zero()) || !self.revealed.is_zero()
    }

    /// Whether anything may be held that it has to close. Where surely nothing is, a flip is an entry.
    pub(crate) fn may_hold(&self) -> bool {
        self.unsure || self.is_sure()
    }

    /// Whether the exit, of the signal with the number `own`, is after another signal, by the order of arrival and by that of
    /// the alerts. Without the number of one whose row cannot be read only the alerts tell.
    pub(crate) fn is_after(&self, own: i64, id: &SignalId, seq: Option<i64>) -> bool {
        seq < Some(own) && !self.newer.contains(id)
    }

    /// Our record, where it shows anything on its side.
    pub(crate) fn recorded<'a>(&self, record: Option<&'a Holding>) -> Option<&'a Holding> {
        record.filter(|known| {
            let (side, size) = Holding::split(known.quantity);
            !size.is_zero() && (self.side.is_none() || side == self.side)
        })
    }

    /// What it may close in all.
    pub(super) fn allowance(&self) -> Quantity {
        let held = self.held.unwrap_or(Quantity::ZERO);
        match self.quantity {
            Some(quantity) if !self.whole => quantity.min(held),
            _ if !self.whole => held,
            _ => sum([held, self.revealed].into_iter()),
        }
    }

    /// Goes on with the other leg, where the action names neither and both were held.
    pub(super) fn turn_to_other_leg(&mut self, now: Timestamp) -> bool {
        let (Some(held), Some(side)) = (self.other_leg.take(), self.side) else {
            return false;
        };
        self.side = Some(side.opposite());
        self.held = Some(held);
        (self.revealed, self.included) = (Quantity::ZERO, Quantity::ZERO);
        (self.waits, self.done, self.tries, self.next_at) = (false, false, 0, now);
        true
    }

    /// What its orders have closed on its side.
    pub(crate) fn closed(&self, orders: &[OrderRow]) -> Quantity {
        closed_on(self.side, orders)
    }

    /// What it was to close on its side in the end, with what it gave up.
    pub(super) fn owed(&self) -> Quantity {
        sum([self.allowance(), self.given_up].into_iter())
    }

    /// What is left of the leg that it closed before this one.
    fn rest_before(&self, orders: &[OrderRow]) -> Option<(PositionSide, Quantity)> {
        let (side, owed) = self.leg_before?;
        let rest = owed.minus_or_zero(closed_on(Some(side), orders));
        (!rest.is_zero()).then_some((side, rest))
    }

    /// What it may still close.
    pub(super) fn left(&self, orders: &[OrderRow]) -> Quantity {
        self.allowance().minus_or_zero(self.closed(orders))
    }

    /// What is left in the end, with what it gave up.
    fn rest(&self, orders: &[OrderRow]) -> Quantity {
        self.owed().minus_or_zero(self.closed(orders))
    }

    /// Ends it, whatever is left: from now on that is told, as far as no order of it turns out to have closed it.
    pub(crate) fn stop(&mut self, orders: &[OrderRow]) {
        let left = self.held.is_some() && !self.rest(orders).is_zero();
        self.undone = self.undone || left || self.other_leg.is_some();
        self.done = true;
    }

    /// Whether it ended before everything was closed, and no order of it has turned out since to have closed that.
    pub(crate) fn is_undone(&self, orders: &[OrderRow]) -> bool {
        let legs = self.other_leg.is_some() || self.rest_before(orders).is_some();
        self.undone && (legs || !self.rest(orders).is_zero())
    }

    /// What it leaves in the end, as sentences: what is left of its own, or what was held beyond it. An order of it that
    /// was found out since may have closed some of that.
    pub(super) fn tells(&self, orders: &[OrderRow]) -> Vec<String> {
        let mut told = Vec::new();
        if self.undone {
            let rest = self.rest(orders);
            if !rest.is_zero() {
                told.push(format!("{rest} is left"));
            }
            if let Some((side, rest)) = self.rest_before(orders) {
                told.push(format!("{rest} is left of the {} leg", side.as_str()));
            }
            if let Some(other) = self.other_leg {
                told.push(format!("the other leg of {other} is left"));
            }
        }
        let closed_beyond = self.closed(orders).minus_or_zero(self.owed());
        let more = self.more.minus_or_zero(closed_beyond);
        if !more.is_zero() {
            told.push(format!(
                "{more} more is held than when the exit was taken, and is left"
            ));
        }
        told.extend(self.leaves.clone());
        told
    }

    /// Puts the next plan off by the number of tries.
    pub(crate) fn back_off(&mut self, now: Timestamp) {
        let index = usize::try_from(self.tries).unwrap_or(usize::MAX);
        let longest = WAITS_MS.last().copied().unwrap_or(10_000);
        let wait = WAITS_MS.get(index).copied().unwrap_or(longest);
        self.tries = self.tries.saturating_add(1);
        self.next_at = now.plus_millis(wait);
    }
}

/// What the closing orders of one side have filled, of both where there is none.
pub(super) fn closed_on(side: Option<PositionSide>, orders: &[OrderRow]) -> Quantity {
    let of_side = |order: &&OrderRow| {
        let spec = &order.data.spec;
        spec.effect.closes() && side.is_none_or(|side| side.exit_side() == spec.side)
    };
    sum(orders.iter().filter(of_side).map(|order| order.data.filled))
}
