//! What must hold whatever goes wrong. None of it trusts the code under test: the venue's own books, the
//! clients' answers and the operator's are held against the journals and the records.

mod acknowledged;
mod alarms;
mod answers;
mod books;
mod cancels;
mod effects;
mod exits;
mod generations;
mod limits;
pub(crate) mod liveness;
mod merges;
mod order;
mod overtaken;
mod rights;
mod switch;

use std::collections::BTreeMap;

use hoox_auth::OPERATOR;

use crate::simulate::alerts::Alert;
use crate::simulate::journal::{self, Row};
use crate::simulate::run::Story;
use crate::simulate::world::{ACCOUNTS, World};

/// The law that nothing acknowledged is lost.
pub(crate) const LOST: &str = "nothing acknowledged is lost";
/// The law that no signal trades twice.
pub(crate) const DOUBLED: &str = "no signal trades twice";

/// A law that does not hold.
#[derive(Debug, Clone)]
pub(crate) struct Violation {
    pub(crate) law: &'static str,
    pub(crate) text: String,
}

/// A run as the laws see it.
pub(crate) struct Case<'a> {
    world: &'a World,
    story: &'a Story,
    /// The journals, by account.
    journals: [Vec<Row>; 2],
    /// The alert of each request, by place.
    requests: BTreeMap<String, usize>,
}

impl Case<'_> {
    /// A journaled signal and its account.
    fn row(&self, signal: &str) -> Option<(usize, &Row)> {
        ACCOUNTS.into_iter().find_map(|account| {
            let mut rows = self.journals[account].iter();
            rows.find(|row| row.id == signal).map(|row| (account, row))
        })
    }

    /// The signal that a replay was made from, or the signal itself.
    fn original<'a>(&'a self, row: &'a Row) -> &'a Row {
        let mut all = self.journals.iter().flatten();
        let before = all.find(|known| known.replayed_as.as_ref() == Some(&row.id));
        before.map_or(row, |old| self.original(old))
    }

    /// Whether a signal is a replay of another one.
    fn is_replay(&self, row: &Row) -> bool {
        !self.requests.contains_key(&row.request)
    }

    /// Whether the Ledger made it itself, to close a position.
    fn is_operators(row: &Row) -> bool {
        row.sender == OPERATOR
    }

    /// The alert that a signal was made from.
    fn alert(&self, row: &Row) -> Option<&Alert> {
        let original = self.original(row);
        if Self::is_operators(original) {
            return Some(&self.story.flatten);
        }
        let number = self.requests.get(&original.request)?;
        Some(&self.story.alerts[*number])
    }

    fn violate(&self, law: &'static str, text: String) {
        self.world.violate(law, text);
    }
}

/// Checks everything at the end of a run.
pub(crate) fn check(world: &World, story: &Story) {
    let history = world.history.borrow();
    let of_request =
        |request: &crate::simulate::history::Request| (request.id.to_string(), request.alert);
    let requests = history.requests.iter().map(of_request).collect();
    drop(history);
    let case = Case {
        world,
        story,
        journals: ACCOUNTS.map(|account| journal::signals(world, account)),
        requests,
    };
    acknowledged::check(&case);
    effects::check(&case);
    order::check(&case);
    exits::check(&case);
    cancels::check(&case);
    overtaken::check(&case);
    rights::check(&case);
    limits::check(&case);
    switch::check(&case);
    answers::check(&case);
    merges::check(&case);
    generations::check(&case);
    books::check(&case);
    liveness::check_probes(&case);
}
