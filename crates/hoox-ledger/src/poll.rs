//! What became of the account's resting orders: one list of all of them, and nothing written while it shows nothing new.
//!
//! An order that rests is not looked up by itself any more. What the list shows as it is known writes nothing. What it does
//! not show, or shows with more filled, makes its signal due: the look-up of that one order decides what became of it.

use hoox_exchange::{Clock, ErrorClass, Venue, VenueError};
use hoox_mesh::KillMode;
use hoox_model::{ClientOrderId, Effect, OrderSnapshot, Product, Timestamp};

use crate::decide;
use crate::drive::{Desk, Ledger, left_alone_until, note_ban};
use crate::exit::BELIEVED_MS;
use crate::journal;
use crate::port::{LedgerError, Ports, Store};
use crate::quota;
use crate::row::OrderRow;

/// The lane of the poll.
const LANE: &str = "poll";
/// When a signal whose order rests has its own step, unless something makes it due before: each look writes rows, so that
/// this must be so seldom that hundreds of them do not matter.
pub(crate) const RESTS_MS: i64 = 30 * 86_400_000;
/// How long after it was asked to end an order that nothing wants ended any more is followed by itself.
const CANCELLED_MS: i64 = 600_000;
/// How far a list may lag behind what positions show: what it shows proves nothing younger.
const LIST_LAG_MS: i64 = 20_000;
/// Until when a list that is under way is not begun anew: longer than its pages take. Its lane may be over before, which
/// only lets one call more be in flight.
const UNDER_WAY_MS: i64 = 200_000;
/// When a poll is tried again for which a lane, calls or a venue were missing.
const AGAIN_MS: i64 = 1_000;
const NO_VENUE_MS: i64 = 60_000;
/// Calls that a poll leaves to the steps beside it.
const SPARE_CALLS: u32 = 10;
/// Calls that a list takes at most, as far as they are spared, and how many orders one of them brings.
const MOST_CALLS: u32 = 20;
const PAGE: usize = 50;
/// When a poll is tried again that storage made impossible.
const FAILED_MS: i64 = 5_000;
/// How often a pause's calls are used for it.
const PAUSED_MS: i64 = 60_000;
/// A look-up that comes later than this is none that is under way.
const FAR_MS: i64 = 3_600_000;
/// What is traded.
const PRODUCT: Product = Product::Linear;
/// Look-ups that take the place of a list that cannot be read.
const MOST_LOOK_UPS: usize = 12;

/// What an instance remembers of its polls.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Polls {
    /// When the list was last asked for, or a look-up showed that the first order rests.
    last: Option<Timestamp>,
    /// Calls that it took.
    calls: u32,
    /// Whether an order that closes may be among those that rest.
    closes: bool,
    /// Failures in a row.
    failures: u32,
    /// None is begun before.
    not_before: Option<Timestamp>,
}

impl Polls {
    /// When the next one is due, where the youngest order that rests was sent at `youngest`. What is not known to have been
    /// done is due at once, also by a clock that was set back; where it is `slow`, exits keep their pace.
    fn due(self, youngest: Timestamp, now: Timestamp, slow: bool) -> Timestamp {
        let last = self.last.filter(|last| *last <= now);
        let due = last.map_or(now, |last| {
            let since = last.max(youngest);
            let wait = decide::list_after(youngest, since, self.calls);
            let wait = if slow && !self.closes {
                quota::slowed(wait)
            } else {
                wait
            };
            since.plus_millis(wait)
        });
        self.not_before.map_or(due, |at| due.max(at))
    }
}

/// When the list of open orders is to be asked for, where the youngest order that rests was sent at `youngest`: less often
/// once entries are refused for the rows of the day.
pub(crate) fn due(
    store: &impl Store,
    youngest: Timestamp,
    now: Timestamp,
) -> Result<Timestamp, LedgerError> {
    let polls = store.memory().polls();
    Ok(polls.due(youngest, now, quota::is_slow(store, now)?))
}

/// An order has come to rest: its look-up has shown it just now.
pub(crate) fn rests(store: &impl Store, effect: Effect, now: Timestamp) {
    let polls = store.memory().polls();
    store.memory().note_polls(Polls {
        last: polls.last.or(Some(now)),
        closes: polls.closes || effect.closes(),
        ..polls
    });
}

/// Whether the list of open orders tells enough of an order: it rests there, and nothing wants it ended.
pub(crate) fn is_followed(order: &OrderRow, mode: KillMode, now: Timestamp) -> bool {
    let asked = order.data.cancel_asked_at;
    order.is_at_venue()
        && order.data.spec.product == PRODUCT
        && decide::may_rest(order.data.spec.kind)
        && decide::cancel_at(order, mode).is_none()
        && asked.is_none_or(|asked| now.since(asked) >= CANCELLED_MS)
}

/// What of an order a list shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shown {
    /// As it is known.
    Same,
    /// As it was before.
    Late,
    /// Something else, or nothing.
    New,
}

fn shown(order: &OrderRow, list: &[OrderSnapshot]) -> Shown {
    let same = |found: &&OrderSnapshot| found.client_order_id.as_ref() == Some(order.id());
    let Some(found) = list.iter().find(same) else {
        return Shown::New;
    };
    let known = order.data.venue_order_id.as_ref() == Some(&found.venue_order_id);
    if !known || found.status.is_final() {
        Shown::New
    } else if found.filled < order.data.filled {
        Shown::Late
    } else if found.filled == order.data.filled {
        Shown::Same
    } else {
        Shown::New
    }
}

impl<P: Ports> Ledger<P> {
    /// Whether the list is to be asked for now.
    pub(crate) fn is_poll_due(&self) -> Result<bool, LedgerError> {
        let (store, now) = (self.ports().store(), self.ports().clock().now());
        let youngest = journal::youngest_resting(store)?;
        match youngest {
            Some(youngest) => Ok(due(store, youngest, now)? <= now),
            None => Ok(false),
        }
    }

    /// Asks for the list of open orders, if a lane is left for that.
    pub(crate) async fn poll(&self) -> Result<(), LedgerError> {
        let (store, now) = (self.ports().store(), self.ports().clock().now());
        put_off(store, now.plus_millis(UNDER_WAY_MS));
        let config = journal::config(store)?;
        let lease = self.ports().lanes().take_side(LANE, now);
        let (Some(config), Some(lease)) = (config, lease) else {
            put_off(store, now.plus_millis(AGAIN_MS));
            return Ok(());
        };
        let desk = Desk::new(self.ports(), &lease, &config);
        let done = desk.poll().await;
        self.ports().lanes().release(&lease);
        match done {
            // Another run polls, or another Ledger has what was open.
            Ok(()) | Err(LedgerError::LeaseLost) => Ok(()),
            Err(error) => {
                put_off(store, self.ports().clock().now().plus_millis(FAILED_MS));
                Err(error)
            }
        }
    }
}

fn put_off(store: &impl Store, until: Timestamp) {
    store.memory().note_polls(Polls {
        not_before: Some(until),
        ..store.memory().polls()
    });
}

impl<P: Ports> Desk<'_, P> {
    async fn poll(&self) -> Result<(), LedgerError> {
        let (store, asked) = (self.store(), self.now());
        let orders = self.followed()?;
        // What is not followed has steps of its own.
        if orders.is_empty() {
            self.polled(asked, 0, Effect::Open);
            return Ok(());
        }
        let effect = effect_of(&orders);
        if let Some(until) = left_alone_until(self.ports, effect)? {
            put_off(store, until);
            return Ok(());
        }
        let budget = self.ports.budget();
        // As many as the last list took are spared beside those.
        let expected = store.memory().polls().calls;
        if budget.left() < SPARE_CALLS.saturating_add(expected.min(MOST_CALLS)) {
            put_off(store, asked.plus_millis(AGAIN_MS));
            return Ok(());
        }
        let offset = journal::clock_offset(store)?;
        let Ok(venue) = self.ports.venue(&self.config.account, offset) else {
            put_off(store, asked.plus_millis(NO_VENUE_MS));
            return Ok(());
        };
        let ids: Vec<ClientOrderId> = orders.iter().map(|order| order.id().clone()).collect();
        let answer = venue.open_orders(PRODUCT, &ids).await;
        match answer {
            Ok(list) => {
                let calls = pages(list.len());
                let rest = self.take_list(asked, &list, effect)?;
                self.polled(asked, calls, rest);
                self.rest_in_a_pause(asked)
            }
            Err(error) => {
                let done = self.list_failed(&venue, asked, &error, effect);
                done.await
            }
        }
    }

    /// The orders that rest and that nothing wants ended. One that cannot be read is left to its own step.
    fn followed(&self) -> Result<Vec<OrderRow>, LedgerError> {
        let (store, now) = (self.store(), self.now());
        let mode = journal::kill_mode(store)?;
        let mut orders = OrderRow::resting(store)?;
        orders.retain(|order| is_followed(order, mode, now));
        Ok(orders)
    }

    /// The list was read.
    fn polled(&self, asked: Timestamp, calls: u32, effect: Effect) {
        self.store().memory().note_polls(Polls {
            last: Some(asked),
            calls,
            closes: effect.closes(),
            ..Polls::default()
        });
    }

    /// In a pause most of its calls are left to exits.
    fn rest_in_a_pause(&self, asked: Timestamp) -> Result<(), LedgerError> {
        if self.is_paused()? {
            put_off(self.store(), asked.plus_millis(PAUSED_MS));
        }
        Ok(())
    }

    /// Takes over what a list shows that was asked for at `asked`. Returns what the orders are for that rest by now.
    fn take_list(
        &self,
        asked: Timestamp,
        list: &[OrderSnapshot],
        effect: Effect,
    ) -> Result<Effect, LedgerError> {
        self.venue_answered(effect)?;
        // A position that was read up to so long before an order was last seen may have shown more of it than that.
        let settled = asked
            .plus_millis(-LIST_LAG_MS)
            .plus_millis(BELIEVED_MS.saturating_neg());
        let taken = journal::positions_taken_over(self.store(), settled)?;
        let mut to_look = Vec::new();
        let mut to_store = Vec::new();
        let followed = self.followed()?;
        let rest = effect_of(&followed);
        for mut order in followed {
            let last = order.data.seen_at.max(order.sent_at);
            // Its own look-up has told more since, and what is to be looked up is not for the list to tell.
            let Some(last) = last.filter(|last| *last < asked && order.data.look_at.is_some())
            else {
                continue;
            };
            match shown(&order, list) {
                // From storage alone that position could have shown what the order fills later.
                Shown::Same
                    if taken
                        .get(&order.place())
                        .is_some_and(|at| *at > last.plus_millis(BELIEVED_MS.saturating_neg())) =>
                {
                    order.data.seen_at = Some(asked.plus_millis(-LIST_LAG_MS));
                    to_store.push(order);
                }
                Shown::Same | Shown::Late => {}
                Shown::New => to_look.push(order),
            }
        }
        self.look_up_soon(to_look, &to_store)?;
        Ok(rest)
    }

    /// Makes the signals of orders due, to be looked up before anything else, and stores what of others has changed.
    fn look_up_soon(
        &self,
        mut to_look: Vec<OrderRow>,
        to_store: &[OrderRow],
    ) -> Result<(), LedgerError> {
        if to_look.is_empty() && to_store.is_empty() {
            return Ok(());
        }
        for order in &mut to_look {
            order.data.look_at = None;
        }
        self.commit(|store, now| {
            for order in to_look.iter().chain(to_store) {
                order.update(store)?;
            }
            for order in &to_look {
                journal::due_now(store, &order.signal_id, now)?;
            }
            Ok(())
        })
    }

    /// The list could not be read: it is asked for again. One that is too long or cannot be understood may not get better,
    /// so that some orders are looked up by themselves each time.
    async fn list_failed(
        &self,
        venue: &P::Venue,
        asked: Timestamp,
        error: &VenueError,
        effect: Effect,
    ) -> Result<(), LedgerError> {
        note_ban(self.ports, error)?;
        let store = self.store();
        let before = store.memory().polls();
        if error.code == VenueError::NOT_SENT {
            // Its own calls were used up: the next one waits until there are enough.
            let calls = before.calls.saturating_mul(2).clamp(1, MOST_CALLS);
            store.memory().note_polls(Polls { calls, ..before });
            put_off(store, asked.plus_millis(AGAIN_MS));
            return Ok(());
        }
        let unreadable = [VenueError::UNREADABLE, VenueError::RESPONSE_TOO_LARGE];
        // The venue works all the same: look-ups one by one may be answered.
        let useless =
            unreadable.contains(&error.code.as_str()) || error.class == ErrorClass::Rejected;
        let at = if useless {
            self.venue_answered(effect)?;
            asked.plus_millis(decide::retry_after(before.failures, 0, None))
        } else {
            self.next_try(venue, before.failures, error, effect).await?
        };
        // A clock that was off says nothing of the list.
        let skewed = error.class == ErrorClass::ClockSkew && before.failures == 0;
        let failures = before.failures.saturating_add(1);
        store.memory().note_polls(Polls {
            last: (!skewed).then_some(asked),
            calls: before.calls,
            closes: effect.closes(),
            failures,
            not_before: Some(at),
        });
        self.rest_in_a_pause(asked)?;
        if !useless {
            return Ok(());
        }
        self.look_up_soon(self.longest_unseen()?, &[])
    }

    /// The orders that were looked up longest ago by themselves, as many as are looked up in place of a list.
    fn longest_unseen(&self) -> Result<Vec<OrderRow>, LedgerError> {
        let (mut orders, now) = (self.followed()?, self.now());
        orders.retain(|order| {
            let sent_at = order.sent_at.unwrap_or(order.data.created_at);
            let seen_at = order.data.seen_at.unwrap_or(sent_at);
            let waited = now.since(seen_at) >= decide::poll_after(sent_at, now, 1);
            waited && order.data.look_at.is_some_and(|at| at.since(now) > FAR_MS)
        });
        orders.sort_by_key(|order| order.data.seen_at);
        orders.truncate(MOST_LOOK_UPS);
        Ok(orders)
    }
}

/// Calls that brought so many orders.
fn pages(orders: usize) -> u32 {
    let pages = orders.div_euclid(PAGE).saturating_add(1);
    u32::try_from(pages).unwrap_or(u32::MAX)
}

/// What a poll's call serves: an exit where one of the orders closes.
fn effect_of(orders: &[OrderRow]) -> Effect {
    if orders.iter().any(|order| order.data.spec.effect.closes()) {
        Effect::Close
    } else {
        Effect::Open
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millis(1_780_000_000_000).plus_millis(ms)
    }

    #[test]
    fn what_is_not_known_to_have_been_done_is_due_at_once() {
        let unknown = Polls::default();
        assert_eq!(unknown.due(at(0), at(5_000), false), at(5_000));
        let put_off = Polls {
            not_before: Some(at(9_000)),
            ..unknown
        };
        assert_eq!(put_off.due(at(0), at(5_000), false), at(9_000));
        let ahead = Polls {
            last: Some(at(6_000)),
            ..unknown
        };
        assert_eq!(ahead.due(at(0), at(5_000), false), at(5_000));
    }

    #[test]
    fn the_youngest_order_sets_the_pace() {
        let done = |last| Polls {
            last: Some(at(last)),
            calls: 1,
            ..Polls::default()
        };
        for (last, expected) in [
            // It was sent after the last list.
            (-3_600_000, 1_000),
            (5_000, 6_000),
            (30_000, 35_000),
            (300_000, 315_000),
            (700_000, 760_000),
        ] {
            assert_eq!(
                done(last).due(at(0), at(last), false),
                at(expected),
                "{last}"
            );
        }
    }

    #[test]
    fn slow_lists_are_of_entries_and_never_of_what_closes() {
        let polls = |closes| Polls {
            last: Some(at(700_000)),
            calls: 1,
            closes,
            ..Polls::default()
        };
        assert_eq!(polls(false).due(at(0), at(700_000), true), at(1_000_000));
        assert_eq!(polls(true).due(at(0), at(700_000), true), at(760_000));
    }

    proptest! {
        #[test]
        fn polls_have_a_budget_however_long_the_list_is(age in 600_001i64..10_000_000, calls in 0u32..40) {
            let polls = Polls { last: Some(at(age)), calls, ..Polls::default() };
            let wait = polls.due(at(0), at(age), false).since(at(age));
            prop_assert!(wait >= 60_000);
            // So many calls fit into a day.
            prop_assert!(wait.saturating_mul(17_280) >= i64::from(calls).saturating_mul(86_400_000));
        }
    }
}
