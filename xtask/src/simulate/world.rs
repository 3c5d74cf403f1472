//! Everything of one run.

use core::cell::{Cell, RefCell};
use std::rc::Rc;

use hoox_auth::Account;

use crate::simulate::START;
use crate::simulate::alerts::Alert;
use crate::simulate::exchange::Exchange;
use crate::simulate::exec::{Exec, Owner, Turn};
use crate::simulate::gateway::Isolate;
use crate::simulate::history::History;
use crate::simulate::laws::Violation;
use crate::simulate::manifest::{self, Wishes};
use crate::simulate::object::{Kind, Object};
use crate::simulate::records::RecordStore;
use crate::simulate::rng::Rng;
use crate::simulate::stats::{FAULT, Stats};
use crate::simulate::weather::Weather;

/// The place of Control among the objects; the Ledgers follow in the order of their accounts.
pub(crate) const CONTROL: usize = 0;
/// The accounts.
pub(crate) const ACCOUNTS: [usize; 2] = [0, 1];

/// The names of their Ledgers in traces, by generation.
const LEDGERS: [[&str; 2]; 4] = [
    ["ledger-a", "ledger-b"],
    ["ledger-a2", "ledger-b2"],
    ["ledger-a3", "ledger-b3"],
    ["ledger-a4", "ledger-b4"],
];

/// The place of the Ledger of an account's generation.
pub(crate) const fn place_of(account: usize, generation: u32) -> usize {
    ACCOUNTS.len() * (generation as usize - 1) + account + 1
}

/// One simulated installation with its surroundings.
pub(crate) struct World {
    pub(crate) exec: Exec,
    pub(crate) rng: Rng,
    pub(crate) weather: Weather,
    pub(crate) stats: Stats,
    /// Control, then the Ledgers of every generation that a run may come to.
    pub(crate) objects: Vec<Object>,
    pub(crate) venues: [RefCell<Exchange>; 2],
    pub(crate) records: RefCell<RecordStore>,
    /// Texts of the published document in the configuration's KV, and since when they hold.
    pub(crate) kv: RefCell<Vec<(i64, Rc<str>)>>,
    pub(crate) isolates: [Isolate; 2],
    pub(crate) history: RefCell<History>,
    /// Every alert of the run, by place.
    pub(crate) alerts: RefCell<Vec<Rc<Alert>>>,
    pub(crate) violations: RefCell<Vec<Violation>>,
    trace: Option<RefCell<Vec<String>>>,
    calm: Cell<bool>,
    /// What the operator asked for last.
    pub(crate) wished: RefCell<Option<Wishes>>,
    /// The lowest generation that each account may have from now on, as far as the operator knows.
    pub(crate) lowest: Cell<[u32; 2]>,
    /// Until when a venue asked for a pause that outlasts the faults.
    pub(crate) limited_until: Cell<i64>,
}

fn objects(generations: usize, bare: bool) -> Vec<Object> {
    let ledgers = LEDGERS[..generations].iter().flat_map(|names| {
        ACCOUNTS.map(|account| Object::new(names[account], Kind::Ledger(account), bare))
    });
    let control = Object::new("control", Kind::Control, bare);
    core::iter::once(control).chain(ledgers).collect()
}

impl World {
    /// A world in which nothing has happened.
    pub(crate) fn new(rng: Rng, weather: Weather, traced: bool) -> Rc<Self> {
        let bare = rng.chance(20);
        Rc::new(Self {
            exec: Exec::new(START),
            stats: Stats::default(),
            objects: objects(weather.most_generations(), bare),
            venues: core::array::from_fn(|account| {
                RefCell::new(Exchange::new(&weather.venues[account]))
            }),
            records: RefCell::default(),
            kv: RefCell::default(),
            isolates: core::array::from_fn(|_| Isolate::new(weather.clock_skew(&rng, false))),
            history: RefCell::default(),
            alerts: RefCell::default(),
            violations: RefCell::default(),
            trace: traced.then(RefCell::default),
            calm: Cell::new(false),
            wished: RefCell::default(),
            lowest: Cell::new([1; 2]),
            limited_until: Cell::new(0),
            rng,
            weather,
        })
    }

    /// The present moment.
    pub(crate) fn now(&self) -> i64 {
        self.exec.now()
    }

    /// Whether faults have stopped.
    pub(crate) fn is_calm(&self) -> bool {
        self.calm.get()
    }

    /// Faults stop.
    pub(crate) fn calm_down(&self) {
        self.calm.set(true);
        self.note("world", || "faults stop".to_owned());
    }

    /// Whether something that goes wrong so many times in a thousand does so now.
    pub(crate) fn faulty(&self, permille: u32) -> bool {
        permille > 0 && !self.is_calm() && self.rng.chance(permille)
    }

    /// The same for so many times in ten thousand.
    pub(crate) fn rarely(&self, in_ten_thousand: u32) -> bool {
        in_ten_thousand > 0 && !self.is_calm() && self.rng.below(10_000) < in_ten_thousand as usize
    }

    /// The generations that an account may come to, the oldest first.
    pub(crate) fn generations(&self) -> impl DoubleEndedIterator<Item = u32> {
        let ledgers = self.objects.len() / ACCOUNTS.len();
        1..=u32::try_from(ledgers).unwrap()
    }

    /// The place of an account's Ledger.
    pub(crate) fn ledger_place(&self, account: &Account) -> Option<usize> {
        let name = account.ledger_name();
        let mut all = ACCOUNTS.into_iter().flat_map(|number| {
            self.generations()
                .map(move |generation| (number, generation))
        });
        let found = all.find(|(number, generation)| {
            manifest::account(*number, *generation).ledger_name() == name
        });
        found.map(|(number, generation)| place_of(number, generation))
    }

    /// The place that something happens to which was meant for an object of the first generation: that one, or the one of
    /// the newest generation that has work.
    pub(crate) fn any_generation(&self, place: usize) -> usize {
        let more = self.objects.len() / ACCOUNTS.len();
        if place == CONTROL || more == 1 || self.rng.chance(300) {
            return place;
        }
        let used = |place: &usize| self.objects[*place].alarm.get().is_some();
        let places = (0..more).map(|round| place + round * ACCOUNTS.len());
        places.rev().find(used).unwrap_or(place)
    }

    /// A venue as it stands.
    pub(crate) fn exchange(&self, account: usize) -> core::cell::Ref<'_, Exchange> {
        self.venues[account].borrow()
    }

    /// The time by a venue's clock.
    pub(crate) fn venue_time(&self, account: usize) -> i64 {
        let moves = &self.weather.venues[account].clock;
        let offset = moves
            .iter()
            .filter(|(at, _)| *at <= self.now())
            .max_by_key(|(at, _)| *at)
            .map_or(0, |(_, offset)| *offset);
        if offset != 0 && !self.is_calm() {
            self.stats.hit(FAULT, "a venue's clock is off");
        }
        self.now() + offset
    }

    /// Adds a line to the trace, where there is one.
    pub(crate) fn note(&self, actor: &str, text: impl FnOnce() -> String) {
        if let Some(trace) = &self.trace {
            let millis = self.now() - START;
            let line = format!(
                "{:>4}:{:02}.{:03}  {actor:<9} {}",
                millis / 60_000,
                millis / 1_000 % 60,
                millis % 1_000,
                text()
            );
            trace.borrow_mut().push(line);
        }
    }

    /// The trace so far.
    pub(crate) fn trace(&self) -> Vec<String> {
        self.trace
            .as_ref()
            .map(|trace| trace.borrow().clone())
            .unwrap_or_default()
    }

    /// Notes that a law is broken.
    pub(crate) fn violate(&self, law: &'static str, text: String) {
        self.note("LAW", || format!("{law}: {text}"));
        self.violations.borrow_mut().push(Violation { law, text });
    }

    /// A task's turn did not end as it should.
    pub(crate) fn turn_failed<T>(self: &Rc<Self>, owner: Owner, turn: Turn<T>) {
        let Turn::Panicked(text) = turn else { return };
        self.violate("no panic", text);
        for object in &self.objects {
            let current = object.current.borrow().clone();
            if let Some(instance) = current
                && Some(instance.id) == owner
            {
                self.crash(&instance, "a panic");
            }
        }
    }
}
