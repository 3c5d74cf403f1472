//! What an instance remembers of its storage: nobody else writes there while it lives.

use core::cell::Cell;
use core::fmt;
use std::collections::{BTreeMap, BTreeSet};

use hoox_model::{Product, Symbol, Timestamp};

use crate::journal::Holding;
use crate::poll::Polls;

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
    alarm: Cell<Option<Timestamp>>,
    pruned_at: Cell<Option<Timestamp>>,
    polls: Cell<Polls>,
    resting: Cell<Resting>,
}

impl fmt::Debug for RowMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RowMemory").finish_non_exhaustive()
    }
}

impl RowMemory {
    /// Forgets everything.
    pub fn forget(&self) {
        self.values.take();
        self.marks.take();
        self.holdings.take();
        self.alarm.take();
        self.pruned_at.take();
        self.polls.take();
        self.resting.take();
    }

    /// Whether a single value is remembered, or that there is none.
    pub(crate) fn knows_value(&self, key: &str) -> bool {
        let values = self.values.take();
        let knows = values.contains_key(key);
        self.values.set(values);
        knows
    }

    /// A single value that is remembered.
    pub(crate) fn value(&self, key: &str) -> Option<String> {
        let values = self.values.take();
        let value = values.get(key).cloned().flatten();
        self.values.set(values);
        value
    }

    /// A single value was read or written.
    pub(crate) fn note_value(&self, key: &str, value: Option<String>) {
        let mut values = self.values.take();
        if values.len() >= MOST {
            values.clear();
        }
        values.insert(key.to_owned(), value);
        self.values.set(values);
    }

    /// Whether a mark is known to stand in the outbox.
    pub(crate) fn is_marked(&self, key: &str) -> bool {
        let marks = self.marks.take();
        let is_marked = marks.contains(key);
        self.marks.set(marks);
        is_marked
    }

    /// A mark stands in the outbox.
    pub(crate) fn note_mark(&self, key: String) {
        let mut marks = self.marks.take();
        if marks.len() >= MOST {
            marks.clear();
        }
        marks.insert(key);
        self.marks.set(marks);
    }

    /// A mark is taken out of the outbox.
    pub(crate) fn unmark(&self, key: &str) {
        let mut marks = self.marks.take();
        marks.remove(key);
        self.marks.set(marks);
    }

    /// Whether it is remembered what is held of a symbol.
    pub(crate) fn knows_holding(&self, product: Product, symbol: &Symbol) -> bool {
        let holdings = self.holdings.take();
        let knows = holdings.contains_key(&(product, symbol.clone()));
        self.holdings.set(holdings);
        knows
    }

    /// What is held of a symbol, as it is remembered.
    pub(crate) fn holding(&self, product: Product, symbol: &Symbol) -> Option<Holding> {
        let holdings = self.holdings.take();
        let holding = holdings.get(&(product, symbol.clone())).copied().flatten();
        self.holdings.set(holdings);
        holding
    }

    /// What is held of a symbol was read or written.
    pub(crate) fn note_holding(&self, product: Product, symbol: &Symbol, holding: Option<Holding>) {
        let mut holdings = self.holdings.take();
        if holdings.len() >= MOST {
            holdings.clear();
        }
        holdings.insert((product, symbol.clone()), holding);
        self.holdings.set(holdings);
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
