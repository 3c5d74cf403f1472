//! The Ledgers of an account's generations are one: what was open in the old one is the new one's, and the old one does
//! nothing any more. That it calls no venue is watched while the run goes on.

use hoox_mesh::Problem;

use super::exits::id_millis;
use super::{Case, LOST};
use crate::simulate::journal;
use crate::simulate::manifest::{ACCOUNT_NAMES, LEAVES};
use crate::simulate::object::Instance;
use crate::simulate::world::{ACCOUNTS, World, place_of};

/// How far a Ledger's clock may be off.
const CLOCK_MS: i64 = 2_100;

const CLOSED: &str = "a Ledger that has handed over takes nothing";
const OPEN: &str = "an account leaves only where nothing of it is open, and a refusal names it";
const LETTERS: &str = "what is open of an account that is retired by force becomes a dead letter";
const FINISHED: &str = "a hand-over that was begun is finished";

impl World {
    /// How many Ledgers of an account were retired by force before this one, which knows nothing of what those left.
    pub(crate) fn life_at(&self, account: usize, place: usize) -> usize {
        let places = self
            .generations()
            .map(|generation| place_of(account, generation));
        let retired = |before: &usize| self.objects[*before].retired.get().is_some();
        places
            .filter(|before| *before < place)
            .filter(retired)
            .count()
    }

    /// The same of the Ledger that an order left.
    pub(crate) fn life_of(&self, order: &str) -> usize {
        let history = self.history.borrow();
        let mut sent = history.sent.iter();
        let of_order =
            sent.find(|sent| sent.left_at.is_some() && sent.spec.client_order_id.as_str() == order);
        of_order.map_or(0, |sent| self.life_at(sent.account, sent.place))
    }
}

pub(super) fn check(case: &Case<'_>) {
    let world = case.world;
    for account in ACCOUNTS {
        for generation in world.generations() {
            if let Some(from) = journal::taken_from(world, account, generation) {
                check_kept(case, account, from, generation);
            }
            check_closed(case, account, generation);
        }
    }
}

/// What the old one had when it closed, the new one has, whatever became of it there.
fn check_kept(case: &Case<'_>, account: usize, from: u32, to: u32) {
    let world = case.world;
    let old = journal::of_generation(world, account, from);
    let new = journal::of_generation(world, account, to);
    for (table, name) in journal::kept(&old, world.now()) {
        if !journal::has(&new, table, &name) {
            let text = format!(
                "{table} {name} of account {account} was not handed over by generation {from}"
            );
            case.violate(LOST, text);
        }
    }
}

/// It has taken nothing since, and another one has taken over from it.
fn check_closed(case: &Case<'_>, account: usize, generation: u32) {
    let world = case.world;
    let place = place_of(account, generation);
    let Some(handed) = world.objects[place].handed_over.get() else {
        return;
    };
    let mut later = world.generations().skip(generation as usize);
    if !later.any(|to| journal::taken_from(world, account, to) == Some(generation)) {
        let text =
            format!("generation {generation} of account {account} has handed over to nobody");
        case.violate(FINISHED, text);
    }
    let rows = journal::signals_in(&journal::of_generation(world, account, generation));
    let history = world.history.borrow();
    for row in rows {
        let mut all = history.taken.iter();
        // The same request again is answered, not taken.
        let first = all.find(|taken| {
            taken.signal.as_str() == row.id && id_millis(&row.id) == Some(taken.ledger_clock)
        });
        if let Some(taken) = first.filter(|taken| taken.place == place && taken.at > handed) {
            let text = format!("{} was taken {} ms later", row.id, taken.at - handed);
            case.violate(CLOSED, text);
        }
    }
}

impl World {
    /// The operator was told that the account has left.
    pub(crate) fn check_retired(&self, forced: bool, put_at: i64) {
        let open = journal::kept(&journal::newest(self, LEAVES), i64::MAX);
        // What the switch closes of a position by hand is no alert's, and somebody may have put the account back meanwhile.
        let left: Vec<String> = open
            .into_iter()
            .filter(|(table, name)| {
                let before = id_millis(name).is_some_and(|taken| taken + CLOCK_MS < put_at);
                *table == "signal" && before && !journal::is_operators(self, LEAVES, name)
            })
            .map(|(_, name)| name)
            .collect();
        if !forced && !left.is_empty() {
            self.violate(OPEN, format!("the account has left, and {left:?} are open"));
        }
    }

    /// The operator was told that it has not.
    pub(crate) fn check_not_retired(&self, problem: &Problem) {
        let text = &problem.message;
        if text.contains("while something of it is open") {
            self.stats
                .hit("operator", "an account is not retired: open");
            if !text.contains(ACCOUNT_NAMES[LEAVES]) {
                self.violate(OPEN, text.clone());
            }
        }
    }

    /// A Ledger is closed because its account was retired by force, and that is durable.
    pub(crate) fn has_retired(&self, instance: &Instance) {
        let object = self.object_of(instance);
        if object.retired.get().is_some() {
            return;
        }
        object.retired.set(Some(self.now()));
        for row in journal::signals_in(&instance.database.borrow()) {
            if row.open && !row.dead && !row.status.is_final() {
                self.violate(LETTERS, format!("{} is {}", row.id, row.status.as_str()));
            }
            if row.words.contains("the account was retired") && !row.dead {
                self.violate(LETTERS, format!("{} is none", row.id));
            }
        }
    }

    /// Whether an account was retired by force, so that what its orders do is nobody's to know.
    pub(crate) fn was_retired(&self, account: usize) -> bool {
        let mut places = self
            .generations()
            .map(|generation| place_of(account, generation));
        places.any(|place| self.objects[place].retired.get().is_some())
    }
}
