//! Durable Objects: storage that outlives instances, the output gate, the one alarm.
//!
//! What an instance writes is durable only after a commit, which comes a little later. Until then
//! everything it says to the outside waits. A commit that fails takes the writes back, and with them
//! everything that waited; the instance dies.

use core::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use hoox_exchange::CallBudget;

use hoox_ledger::{Lanes, LedgerMemory, RowMemory};

use crate::simulate::calls::Call;
use crate::simulate::database::Database;
use crate::simulate::exec::{Event, die};
use crate::simulate::stats::{CRASH, FAULT};
use crate::simulate::world::World;

/// Failed alarms in a row after which the platform forgets the alarm.
const MAX_ALARM_RETRIES: u32 = 6;

/// The kind of database that Control has.
pub(crate) const CONTROL_TABLES: usize = 0;
/// The kind that a Ledger has.
const LEDGER_TABLES: usize = 1;

/// What an object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Control.
    Control,
    /// The Ledger of an account, by its place.
    Ledger(usize),
}

/// One Durable Object.
pub(crate) struct Object {
    /// Its name in traces.
    pub(crate) name: &'static str,
    /// What it is.
    pub(crate) kind: Kind,
    /// What it stores.
    pub(crate) database: RefCell<Rc<Database>>,
    /// The instance that gets requests; there may be none.
    pub(crate) current: RefCell<Option<Rc<Instance>>>,
    /// The alarm that is set, durably.
    pub(crate) alarm: Cell<Option<i64>>,
    /// Tells the latest alarm's timer from earlier ones.
    alarm_token: Cell<u64>,
    /// The instance whose alarm handler runs.
    pub(crate) alarm_runs_in: Cell<Option<u64>>,
    alarm_failures: Cell<u32>,
    /// Until when the venue is not to be called, as its Ledger has been told and has had time to store.
    pub(crate) banned_until: Cell<i64>,
    /// Why an alarm may be missing although work is left: storage failed, or six alarms did.
    pub(crate) alarm_excused: Cell<bool>,
    /// When it said that it is closed because its account was retired by force.
    pub(crate) retired: Cell<Option<i64>>,
    /// When it was first asked to hand over.
    pub(crate) asked_to_hand_over: Cell<Option<i64>>,
    /// When it said that it has handed over, which is durable then.
    pub(crate) handed_over: Cell<Option<i64>>,
    /// When it said that it has taken over.
    pub(crate) taken_over: Cell<Option<i64>>,
    /// When its alarm last fired, the latest last.
    pub(crate) alarms: RefCell<VecDeque<i64>>,
}

impl Object {
    pub(crate) fn new(name: &'static str, kind: Kind, bare: bool) -> Self {
        let tables = match kind {
            Kind::Control => CONTROL_TABLES,
            Kind::Ledger(_) => LEDGER_TABLES,
        };
        Self {
            name,
            kind,
            database: RefCell::new(Rc::new(Database::open(tables, bare))),
            current: RefCell::new(None),
            alarm: Cell::new(None),
            alarm_token: Cell::new(0),
            alarm_runs_in: Cell::new(None),
            alarm_failures: Cell::new(0),
            alarm_excused: Cell::new(false),
            alarms: RefCell::default(),
            banned_until: Cell::new(0),
            retired: Cell::new(None),
            asked_to_hand_over: Cell::new(None),
            handed_over: Cell::new(None),
            taken_over: Cell::new(None),
        }
    }
}

/// One life of an object.
pub(crate) struct Instance {
    /// Tells instances apart.
    pub(crate) id: u64,
    /// The object, by its place.
    pub(crate) object: usize,
    /// What it reads and writes: the object's storage, or an old copy once it was replaced.
    pub(crate) database: RefCell<Rc<Database>>,
    /// Whether it still runs.
    pub(crate) alive: Cell<bool>,
    /// Whether another one took its place.
    pub(crate) replaced: Cell<bool>,
    /// How far its clock is ahead, in milliseconds.
    pub(crate) skew: i64,
    /// What a Ledger's object remembers.
    pub(crate) memory: Rc<LedgerMemory>,
    /// When it last had something to do.
    pub(crate) used_at: Cell<i64>,
    /// How long it stays without anything to do.
    evicted_after: i64,
    /// Writes that are not durable yet, and what waits for them.
    batch: RefCell<Option<Batch>>,
    /// Calls it has to answer.
    pub(crate) calls: RefCell<BTreeMap<u64, Rc<Call>>>,
    /// Calls to the outside that it may still make before its next event.
    pub(crate) budget: CallBudget,
    /// Who works on what.
    pub(crate) lanes: Lanes,
    /// What it remembers of its rows.
    pub(crate) rows: RowMemory,
    /// How often it has written.
    pub(crate) written: Cell<u64>,
    /// Whether it is inside a transaction.
    pub(crate) in_transaction: Cell<bool>,
    /// What the alarm was to be before the transaction.
    pub(crate) alarm_before: Cell<Option<i64>>,
    /// External calls since the last request or alarm that came to it.
    pub(crate) external_calls: Cell<u32>,
    /// Until when the venue is not to be called, as it has been told.
    pub(crate) banned_until: Cell<i64>,
    /// When its storage last failed.
    pub(crate) storage_failed: Cell<i64>,
}

struct Batch {
    token: u64,
    outputs: Vec<Event>,
    alarm: Option<i64>,
}

impl Instance {
    /// What the next commit will set the alarm to.
    pub(crate) fn pending_alarm(&self) -> Option<i64> {
        self.batch.borrow().as_ref().and_then(|batch| batch.alarm)
    }

    /// Begins a transaction.
    pub(crate) fn begin(&self) {
        self.database.borrow().save();
        self.alarm_before.set(self.pending_alarm());
        self.in_transaction.set(true);
    }

    /// Ends a transaction: keeps it or takes it back. Once is enough.
    pub(crate) fn finish(&self, keep: bool) {
        if !self.in_transaction.replace(false) {
            return;
        }
        self.database.borrow().release(keep);
        if !keep && let Some(batch) = self.batch.borrow_mut().as_mut() {
            batch.alarm = self.alarm_before.get();
        }
    }
}

impl World {
    /// The object of an instance.
    pub(crate) fn object_of(&self, instance: &Instance) -> &Object {
        &self.objects[instance.object]
    }

    /// The instance for a request or an alarm: the present one, or a new one.
    pub(crate) fn instance(self: &Rc<Self>, place: usize) -> Option<Rc<Instance>> {
        let object = &self.objects[place];
        let present = object.current.borrow().clone();
        if let Some(present) = present {
            let idle = self.now() - present.used_at.get() > present.evicted_after;
            if !idle || self.exec.is_busy(present.id) {
                present.used_at.set(self.now());
                return Some(present);
            }
            self.stats.hit("instance", "evicted");
            self.end(&present, "evicted", true);
        }
        let instance = Rc::new(Instance {
            id: self.exec.unique(),
            object: place,
            database: RefCell::new(object.database.borrow().clone()),
            alive: Cell::new(true),
            replaced: Cell::new(false),
            skew: self.weather.clock_skew(&self.rng, self.is_calm()),
            memory: Rc::default(),
            used_at: Cell::new(self.now()),
            evicted_after: self.rng.range(10_000, 140_000),
            batch: RefCell::new(None),
            calls: RefCell::default(),
            budget: CallBudget::default(),
            lanes: Lanes::default(),
            rows: RowMemory::default(),
            written: Cell::new(0),
            in_transaction: Cell::new(false),
            alarm_before: Cell::new(None),
            external_calls: Cell::new(0),
            banned_until: Cell::new(0),
            storage_failed: Cell::new(i64::MIN),
        });
        *object.current.borrow_mut() = Some(instance.clone());
        self.stats.hit("instance", "started");
        self.note(object.name, || format!("instance {} starts", instance.id));
        if matches!(object.kind, Kind::Ledger(_)) && !self.begin_ledger(&instance) {
            return None;
        }
        Some(instance)
    }

    /// Something was written: from now on the outside waits for a commit.
    pub(crate) fn wrote(&self, instance: &Rc<Instance>) {
        if instance.batch.borrow().is_some() {
            return;
        }
        let token = self.exec.unique();
        *instance.batch.borrow_mut() = Some(Batch {
            token,
            outputs: Vec::new(),
            alarm: None,
        });
        let delay = self.weather.commit_delay(&self.rng, self.is_calm());
        let fails = instance.replaced.get()
            || (!self.is_calm() && self.rng.chance(self.weather.commit_fails));
        let writer = instance.clone();
        self.exec.after(delay, move |world| {
            let current = writer.batch.borrow().as_ref().map(|batch| batch.token);
            if !writer.alive.get() || current != Some(token) {
                return;
            }
            if fails || writer.replaced.get() {
                if writer.replaced.get() {
                    world.stats.hit(FAULT, "a replaced instance's commit fails");
                } else {
                    world
                        .stats
                        .hit(FAULT, "a commit fails after output was queued");
                }
                world.end(&writer, "its commit failed", false);
            } else {
                world.commit(&writer);
            }
        });
    }

    fn commit(self: &Rc<Self>, instance: &Rc<Instance>) {
        let Some(batch) = instance.batch.borrow_mut().take() else {
            return;
        };
        instance.database.borrow().commit();
        if let Some(alarm) = batch.alarm {
            self.set_alarm(instance.object, alarm);
        }
        for output in batch.outputs {
            output(self);
        }
    }

    /// Sets the alarm, in the present transaction.
    pub(crate) fn write_alarm(&self, instance: &Rc<Instance>, at: i64) {
        self.wrote(instance);
        if let Some(batch) = instance.batch.borrow_mut().as_mut() {
            batch.alarm = Some(at);
        }
    }

    /// Says something to the outside, once everything written before is durable.
    pub(crate) fn output(
        self: &Rc<Self>,
        instance: &Instance,
        event: impl FnOnce(&Rc<Self>) + 'static,
    ) {
        if let Some(batch) = instance.batch.borrow_mut().as_mut() {
            self.stats.hit("gate", "output held");
            batch.outputs.push(Box::new(event));
            return;
        }
        event(self);
    }

    /// Ends an instance. What it wrote and did not commit is lost, or kept where `keep` and chance say
    /// so; what waited for the commit is then said, or not.
    pub(crate) fn end(self: &Rc<Self>, instance: &Rc<Instance>, why: &'static str, keep: bool) {
        if !instance.alive.replace(false) {
            return;
        }
        let object = self.object_of(instance);
        self.note(object.name, || {
            format!("instance {} ends: {why}", instance.id)
        });
        instance.finish(false);
        self.exec.end_tasks(instance.id);
        let batch = instance.batch.borrow_mut().take();
        if let Some(batch) = batch {
            if keep && !instance.replaced.get() && self.rng.chance(500) {
                instance.database.borrow().commit();
                if let Some(alarm) = batch.alarm {
                    self.set_alarm(instance.object, alarm);
                }
                if self.rng.chance(500) {
                    for output in batch.outputs {
                        output(self);
                    }
                }
            } else {
                self.note(object.name, || "what was not durable is lost".to_owned());
                instance.database.borrow().roll_back();
            }
        }
        let is_current = object
            .current
            .borrow()
            .as_ref()
            .is_some_and(|current| current.id == instance.id);
        if is_current {
            *object.current.borrow_mut() = None;
        }
        let calls = core::mem::take(&mut *instance.calls.borrow_mut());
        for call in calls.into_values() {
            self.call_broke_off(&call);
        }
        if object.alarm_runs_in.get() == Some(instance.id) {
            object.alarm_runs_in.set(None);
            self.alarm_failed(instance.object);
        }
    }

    /// An instance dies in the middle of a turn.
    pub(crate) fn die(self: &Rc<Self>, instance: &Rc<Instance>, why: &'static str) -> ! {
        self.crash(instance, why);
        die()
    }

    /// An instance dies; a panic may take every Ledger of its isolate with it.
    pub(crate) fn crash(self: &Rc<Self>, instance: &Rc<Instance>, why: &'static str) {
        self.stats.hit(CRASH, why);
        self.end(instance, why, true);
        if self.weather.shared_isolate && self.rng.chance(500) {
            for object in &self.objects {
                let other = object.current.borrow().clone();
                if let (Kind::Ledger(_), Some(other)) = (object.kind, other) {
                    self.stats.hit(FAULT, "a panic resets another object");
                    self.end(&other, "a panic elsewhere reset it", true);
                }
            }
        }
    }

    /// Puts a new instance in an object's place while the old one still runs, on what it has read. Returns whether what
    /// that one had written is durable, so that what it says in this turn still leaves.
    pub(crate) fn replace(self: &Rc<Self>, place: usize) -> bool {
        let object = &self.objects[place];
        let Some(old) = object.current.borrow().clone() else {
            return false;
        };
        if !self.exec.is_busy(old.id) {
            return false;
        }
        let Some(copy) = old.database.borrow().copy() else {
            return false;
        };
        self.stats
            .hit(FAULT, "an instance is replaced and still runs");
        self.note(object.name, || {
            format!("instance {} is replaced and still runs", old.id)
        });
        let pending = old.batch.borrow().is_some();
        let arrives = pending && self.rng.chance(500);
        if arrives {
            // The commit was on its way.
            self.commit(&old);
        } else {
            old.database.borrow().roll_back();
        }
        old.replaced.set(true);
        *old.database.borrow_mut() = Rc::new(copy);
        *object.current.borrow_mut() = None;
        if object.alarm_runs_in.get() == Some(old.id) {
            object.alarm_runs_in.set(None);
            self.alarm_failed(place);
        }
        let life = self.rng.range(1_000, 60_000);
        self.exec.after(life, move |world| {
            world.end(&old, "a replaced instance is ended", false);
        });
        arrives
    }

    /// Sets an object's alarm, durably.
    pub(crate) fn set_alarm(&self, place: usize, at: i64) {
        let object = &self.objects[place];
        object.alarm.set(Some(at));
        object.alarm_excused.set(false);
        object.alarm_failures.set(0);
        self.schedule_alarm(place, at);
    }

    fn schedule_alarm(&self, place: usize, at: i64) {
        let object = &self.objects[place];
        let token = self.exec.unique();
        object.alarm_token.set(token);
        let late = self.weather.alarm_delay(&self.rng, self.is_calm());
        self.exec.at(at.max(self.now()) + late, move |world| {
            if world.objects[place].alarm_token.get() == token {
                world.alarm_fires(place);
            }
        });
    }

    fn alarm_fires(self: &Rc<Self>, place: usize) {
        let object = &self.objects[place];
        if object.alarm_runs_in.get().is_some() {
            // One handler at a time; the end of the present one looks again.
            return;
        }
        object.alarm.set(None);
        self.stats.hit("alarm", "fired");
        self.note(object.name, || "the alarm fires".to_owned());
        if self.weather.alarm_storm(object.kind, self.now()) && !self.is_calm() {
            self.stats.hit(FAULT, "an alarm handler dies at once");
            let present = object.current.borrow().clone();
            match present {
                Some(present) => {
                    object.alarm_runs_in.set(Some(present.id));
                    self.end(&present, "its alarm handler died", true);
                }
                None => self.alarm_failed(place),
            }
            return;
        }
        let Some(instance) = self.instance(place) else {
            self.alarm_failed(place);
            return;
        };
        object.alarm_runs_in.set(Some(instance.id));
        instance.external_calls.set(0);
        self.check_alarms(object);
        self.run_alarm(&instance);
    }

    /// The alarm handler came to its end.
    pub(crate) fn alarm_done(self: &Rc<Self>, instance: &Instance) {
        let object = self.object_of(instance);
        if object.alarm_runs_in.get() != Some(instance.id) {
            return;
        }
        object.alarm_runs_in.set(None);
        object.alarm_failures.set(0);
        if let Some(at) = object.alarm.get() {
            self.schedule_alarm(instance.object, at);
        }
        self.check_alarm(instance);
    }

    fn alarm_failed(&self, place: usize) {
        let object = &self.objects[place];
        if let Some(at) = object.alarm.get() {
            self.schedule_alarm(place, at);
            return;
        }
        let failures = object.alarm_failures.get() + 1;
        object.alarm_failures.set(failures);
        if failures > MAX_ALARM_RETRIES {
            self.stats
                .hit(FAULT, "six alarms fail and the alarm is deleted");
            self.note(object.name, || {
                "six alarms failed in a row: the alarm is deleted".to_owned()
            });
            object.alarm_excused.set(true);
            object.alarm_failures.set(0);
            return;
        }
        let at = self.now() + (1_000 << failures);
        object.alarm.set(Some(at));
        self.schedule_alarm(place, at);
    }
}

impl Instance {
    /// Whether everything it wrote is durable.
    pub(crate) fn is_durable(&self) -> bool {
        self.batch.borrow().is_none()
    }
}
