//! What a run reached: faults by kind, answers and outcomes by word.

use core::cell::RefCell;
use std::collections::BTreeMap;

use crate::simulate::meets::{Purpose, SURPRISES};

/// Counters by group and word.
#[derive(Debug, Default)]
pub(crate) struct Stats {
    counters: RefCell<BTreeMap<(&'static str, &'static str), u64>>,
    met: RefCell<BTreeMap<(&'static str, Purpose), u64>>,
}

/// The group of everything that goes wrong on purpose.
pub(crate) const FAULT: &str = "fault";
/// The group of instances that died, by the reason.
pub(crate) const CRASH: &str = "crash";

impl Stats {
    /// Counts one.
    pub(crate) fn hit(&self, group: &'static str, word: &'static str) {
        self.add(group, word, 1);
    }

    /// Counts several.
    pub(crate) fn add(&self, group: &'static str, word: &'static str, count: u64) {
        *self.counters.borrow_mut().entry((group, word)).or_default() += count;
    }

    /// Counts one surprise that a signal met.
    pub(crate) fn met(&self, surprise: &'static str, purpose: Purpose) {
        *self
            .met
            .borrow_mut()
            .entry((surprise, purpose))
            .or_default() += 1;
    }

    /// All of a group.
    pub(crate) fn sum(&self, group: &str) -> u64 {
        let counters = self.counters.borrow();
        let of_group = counters.iter().filter(|((known, _), _)| *known == group);
        of_group.map(|(_, count)| count).sum()
    }

    /// Adds another run's counters.
    pub(crate) fn merge(&self, other: &Self) {
        for ((group, word), count) in other.counters.borrow().iter() {
            self.add(group, word, *count);
        }
        for (pair, count) in other.met.borrow().iter() {
            *self.met.borrow_mut().entry(*pair).or_default() += count;
        }
    }

    /// One line a counter, then the table of what met what.
    pub(crate) fn lines(&self) -> Vec<String> {
        let (counters, met) = (self.counters.borrow(), self.met.borrow());
        let counted = counters
            .iter()
            .map(|((group, word), count)| format!("{group:<12} {word:<40} {count:>12}"));
        let head = Purpose::ALL.map(|purpose| format!(" {:>12}", purpose.as_str()));
        let table = SURPRISES.iter().map(|surprise| {
            let cells = Purpose::ALL.map(|purpose| {
                let count = met.get(&(*surprise, purpose)).unwrap_or(&0);
                format!(" {count:>12}")
            });
            format!("{surprise:<45}{}", cells.concat())
        });
        counted
            .chain([format!("{:<45}{}", "met by", head.concat())])
            .chain(table)
            .collect()
    }
}
