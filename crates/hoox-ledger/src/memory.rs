//! What an instance remembers of its storage: nobody else writes there while it lives.

use core::cell::Cell;
use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::{Rc, Weak};

use hoox_model::{Name, Product, SignalId, Symbol, Timestamp};

use crate::journal::Holding;
use crate::poll::Polls;
use crate::quota::Meter;

/// So many of each kind are remembered at most: every traded symbol has some, and every open signal one.
const MOST: usize = 200;

/// What is known of orders that rest at the venue.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Resting {
    /// Nothing yet.
    #[default]
    Unknown,
    /// None does.
    Nothing,
    /// When the youngest was sent.
    Youngest(Timestamp),
}

/// What one instance knows of its own rows, so that it need not ask again. A new instance begins with nothing, and so does
/// one whose transaction was taken back ([`forget`](Self::forget)).
#[derive(Default)]
pub struct RowMemory {
    values: Cell<BTreeMap<String, Option<String>>>,
    marks: Cell<BTreeSet<String>>,
    holdings: Cell<BTreeMap<(Product, Symbol), Option<Holding>>>,
    entries: Cell<BTreeMap<Name, Entries>>,
    alarm: Cell<Option<Timestamp>>,
    pruned_at: Cell<Option<Timestamp>>,
    waiting: Cell<Vec<(SignalId, Weak<Bell>)>>,
    polls: Cell<Polls>,
    resting: Cell<Resting>,
    meter: Cell<Meter>,
}

/// A sender's latest entries.
struct Entries {
    /// So many are remembered at most.
    count: usize,
    /// How long each counts, in milliseconds.
    window_ms: i64,
    /// When the gateway received them, the earliest first.
    at: Vec<Timestamp>,
}

impl Entries {
    fn add(&mut self, at: Timestamp) {
        let place = self.at.partition_point(|before| *before <= at);
        self.at.insert(place, at);
        let surplus = self.at.len().saturating_sub(self.count);
        self.at.drain(..surplus);
    }
}

/// What a request that waits for a signal is woken by.
#[derive(Default)]
struct Bell {
    rung: Cell<bool>,
    waker: Cell<Option<Waker>>,
}

impl Bell {
    fn ring(&self) {
        self.rung.set(true);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

/// What is remembered of a sender's entries.
pub(crate) enum Remembered {
    /// Nothing.
    Nothing,
    /// The one that was asked for, or that there is none.
    Entry(Option<Timestamp>),
}

/// Ends when a signal has stopped holding up others, or may have: its row tells.
pub(crate) struct Unblocked(Rc<Bell>);

impl Future for Unblocked {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.0.rung.take() {
            return Poll::Ready(());
        }
        self.0.waker.set(Some(context.waker().clone()));
        Poll::Pending
    }
}

impl fmt::Debug for RowMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RowMemory").finish_non_exhaustive()
    }
}

/// Looks at or changes what a cell holds.
fn with<T: Default, R>(cell: &Cell<T>, work: impl FnOnce(&mut T) -> R) -> R {
    let mut value = cell.take();
    let done = work(&mut value);
    cell.set(value);
    done
}

/// Adds to what is remembered; what there is too much of is forgotten.
fn note<K: Ord, V>(cell: &Cell<BTreeMap<K, V>>, key: K, value: V) {
    with(cell, |known| {
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(key, value);
    });
}

impl RowMemory {
    /// Waits for a signal, from now on.
    pub(crate) fn unblocked(&self, id: &SignalId) -> Unblocked {
        let bell = Rc::new(Bell::default());
        with(&self.waiting, |waiting| {
            waiting.retain(|(_, bell)| bell.strong_count() > 0);
            waiting.push((id.clone(), Rc::downgrade(&bell)));
        });
        Unblocked(bell)
    }

    /// A signal does not hold up others any more, as far as its row is being written now.
    pub(crate) fn unblock(&self, id: &SignalId) {
        with(&self.waiting, |waiting| {
            let bells = waiting.iter().filter(|(of, _)| of == id);
            for bell in bells.filter_map(|(_, bell)| bell.upgrade()) {
                bell.ring();
            }
        });
    }

    /// Forgets everything that it knows of rows. Who waits goes on waiting.
    pub fn forget(&self) {
        self.values.take();
        self.marks.take();
        self.holdings.take();
        self.entries.take();
        self.alarm.take();
        self.pruned_at.take();
        self.polls.take();
        self.resting.take();
    }

    /// What has been counted of the rows of the day. What was taken back is counted all the same.
    pub(crate) const fn meter(&self) -> Meter {
        self.meter.get()
    }

    /// So much has been counted.
    pub(crate) fn set_meter(&self, meter: Meter) {
        self.meter.set(meter);
    }

    /// Whether a single value is remembered, or that there is none.
    pub(crate) fn knows_value(&self, key: &str) -> bool {
        with(&self.values, |values| values.contains_key(key))
    }

    /// A single value that is remembered.
    pub(crate) fn value(&self, key: &str) -> Option<String> {
        with(&self.values, |values| values.get(key).cloned().flatten())
    }

    /// A single value was read or written.
    pub(crate) fn note_value(&self, key: &str, value: Option<String>) {
        note(&self.values, key.to_owned(), value);
    }

    /// Whether a mark is known to stand in the outbox.
    pub(crate) fn is_marked(&self, key: &str) -> bool {
        with(&self.marks, |marks| marks.contains(key))
    }

    /// A mark stands in the outbox.
    pub(crate) fn note_mark(&self, key: String) {
        with(&self.marks, |marks| {
            if marks.len() >= MOST {
                marks.clear();
            }
            marks.insert(key);
        });
    }

    /// A mark is taken out of the outbox.
    pub(crate) fn unmark(&self, key: &str) {
        with(&self.marks, |marks| marks.remove(key));
    }

    /// Whether it is remembered what is held of a symbol.
    pub(crate) fn knows_holding(&self, product: Product, symbol: &Symbol) -> bool {
        with(&self.holdings, |holdings| {
            holdings.contains_key(&(product, symbol.clone()))
        })
    }

    /// What is held of a symbol, as it is remembered.
    pub(crate) fn holding(&self, product: Product, symbol: &Symbol) -> Option<Holding> {
        with(&self.holdings, |holdings| {
            holdings.get(&(product, symbol.clone())).copied().flatten()
        })
    }

    /// What is held of a symbol was read or written.
    pub(crate) fn note_holding(&self, product: Product, symbol: &Symbol, holding: Option<Holding>) {
        note(&self.holdings, (product, symbol.clone()), holding);
    }

    /// The `count`th of a sender's latest entries, where those of so long are remembered; the inner `None` where there are
    /// not so many.
    pub(crate) fn entry(&self, sender: &Name, count: usize, window_ms: i64) -> Remembered {
        with(&self.entries, |entries| {
            let known = entries
                .get(sender)
                .filter(|known| known.count == count && known.window_ms >= window_ms);
            known.map_or(Remembered::Nothing, |known| {
                let first = known.at.first().copied();
                Remembered::Entry(first.filter(|_| known.at.len() >= count))
            })
        })
    }

    /// A sender's entries of so long were read, the latest first, `count` of them at most.
    pub(crate) fn note_entries(
        &self,
        sender: &Name,
        count: usize,
        window_ms: i64,
        latest: impl Iterator<Item = Timestamp>,
    ) {
        let mut at: Vec<Timestamp> = latest.collect();
        at.reverse();
        let known = Entries {
            count,
            window_ms,
            at,
        };
        note(&self.entries, sender.clone(), known);
    }

    /// A sender has made an entry.
    pub(crate) fn add_entry(&self, sender: &Name, at: Timestamp) {
        with(&self.entries, |entries| {
            if let Some(known) = entries.get_mut(sender) {
                known.add(at);
            }
        });
    }

    /// When the alarm comes, where this instance has set it and it has not come yet.
    pub(crate) const fn alarm(&self) -> Option<Timestamp> {
        self.alarm.get()
    }

    /// The alarm was set.
    pub(crate) fn note_alarm(&self, at: Timestamp) {
        self.alarm.set(Some(at));
    }

    /// The alarm has come, or may be gone.
    pub fn forget_alarm(&self) {
        self.alarm.set(None);
    }

    /// When old rows were last removed.
    pub(crate) const fn pruned_at(&self) -> Option<Timestamp> {
        self.pruned_at.get()
    }

    /// Old rows were removed; `None` where there may be more.
    pub(crate) fn pruned(&self, at: Option<Timestamp>) {
        self.pruned_at.set(at);
    }

    /// What is known of the polls of the venue's open orders.
    pub(crate) const fn polls(&self) -> Polls {
        self.polls.get()
    }

    /// A poll was made or put off.
    pub(crate) fn note_polls(&self, polls: Polls) {
        self.polls.set(polls);
    }

    /// What is known of orders that rest, as it was when the next step was last looked for.
    pub(crate) const fn resting(&self) -> Resting {
        self.resting.get()
    }

    /// It was read when the youngest order was sent that rests; `None` where none does.
    pub(crate) fn note_resting(&self, youngest: Option<Timestamp>) {
        let known = youngest.map_or(Resting::Nothing, Resting::Youngest);
        self.resting.set(known);
    }
}

#[cfg(test)]
mod tests {
    use core::pin::pin;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicU32);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn who_waits_for_a_signal_is_woken_by_it_alone_whatever_is_forgotten() {
        let (memory, count) = (RowMemory::default(), Arc::new(Count::default()));
        let [own, other] = [1, 2].map(|at| SignalId::new(Timestamp::from_millis(at), [0; 10]));
        let mut waits = pin!(memory.unblocked(&own));
        let waker = Waker::from(Arc::clone(&count));
        let mut context = Context::from_waker(&waker);
        assert_eq!(waits.as_mut().poll(&mut context), Poll::Pending);
        memory.unblock(&other);
        memory.forget();
        assert_eq!(count.0.load(Ordering::Relaxed), 0);
        memory.unblock(&own);
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
        assert_eq!(waits.as_mut().poll(&mut context), Poll::Ready(()));
        assert_eq!(
            waits.as_mut().poll(&mut context),
            Poll::Pending,
            "until it is rung again"
        );
    }

    #[test]
    fn what_happened_before_the_first_look_is_not_missed() {
        let memory = RowMemory::default();
        let own = SignalId::new(Timestamp::from_millis(1), [0; 10]);
        let mut waits = pin!(memory.unblocked(&own));
        memory.unblock(&own);
        let mut context = Context::from_waker(Waker::noop());
        assert_eq!(waits.as_mut().poll(&mut context), Poll::Ready(()));
    }
}
