//! The Ledger's ports in the simulation.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;

use hoox_auth::Account;
use hoox_exchange::{CallBudget, Clock};
use hoox_ledger::{Lanes, LedgerError, Ports, Random, Records, RowMemory, Store, StoreError};
use hoox_mesh::Problem;
use hoox_model::{Code, Timestamp};
use hoox_store::{SealedRow, Value};

use crate::simulate::exec::Slot;
use crate::simulate::journal;
use crate::simulate::object::{Instance, Kind};
use crate::simulate::stats::FAULT;
use crate::simulate::venue::SimVenue;
use crate::simulate::weather::in_any;
use crate::simulate::world::World;

/// A delivery of records is ended after this.
const DELIVERY_MS: i64 = 10_000;

/// All ports of one instance.
#[derive(Clone)]
pub(crate) struct SimPorts {
    pub(crate) world: Rc<World>,
    pub(crate) instance: Rc<Instance>,
}

impl SimPorts {
    fn failed(&self, what: &'static str) -> StoreError {
        self.world.stats.hit(FAULT, what);
        let object = self.world.object_of(&self.instance);
        object.alarm_excused.set(true);
        self.instance.storage_failed.set(self.world.now());
        self.world.note(object.name, || what.to_owned());
        StoreError("the disk is away".to_owned())
    }

    fn count(&self) {
        let written = &self.instance.written;
        written.set(written.get() + 1);
    }

    /// A turn of an instance that is gone must not go on.
    fn check_alive(&self) {
        if !self.instance.alive.get() {
            crate::simulate::exec::die();
        }
    }
}

impl Store for SimPorts {
    fn query(&self, sql: &str, params: &[Value]) -> Result<Vec<Vec<Value>>, StoreError> {
        self.check_alive();
        let (world, weather) = (&self.world, &self.world.weather);
        if world.rarely(weather.statements_fail) {
            return Err(self.failed("a statement fails"));
        }
        if world.rarely(weather.statements_kill) {
            let why = if self.instance.in_transaction.get() {
                "inside a transaction"
            } else {
                "between statements"
            };
            world.die(&self.instance, why);
        }
        world.stats.hit("port", "query");
        let database = self.instance.database.borrow().clone();
        let (rows, wrote) = database.run(sql, params)?;
        if wrote {
            self.count();
            world.wrote(&self.instance);
        }
        Ok(rows)
    }

    fn transaction(
        &self,
        work: &mut dyn FnMut() -> Result<(), LedgerError>,
    ) -> Result<(), LedgerError> {
        self.check_alive();
        self.instance.begin();
        let done = catch_unwind(AssertUnwindSafe(&mut *work)).unwrap_or_else(|payload| {
            self.instance.finish(false);
            resume_unwind(payload)
        });
        let fails = self.world.faulty(self.world.weather.transactions_fail);
        if fails && self.world.rng.chance(500) {
            // All of it ran, and then it was taken back.
            self.instance.finish(false);
            return Err(self.failed("a transaction fails at its end").into());
        }
        self.instance.finish(done.is_ok());
        if fails && done.is_ok() {
            self.keeps_fences();
            return Err(self
                .failed("a transaction is kept and seems to fail")
                .into());
        }
        done
    }

    fn set_alarm(&self, at: Timestamp) -> Result<(), StoreError> {
        self.check_alive();
        if self.world.rarely(self.world.weather.statements_fail) {
            return Err(self.failed("the alarm cannot be set"));
        }
        self.count();
        self.world.write_alarm(&self.instance, at.as_millis());
        Ok(())
    }

    /// One for each statement that wrote something, and for each alarm.
    fn written(&self) -> u64 {
        self.instance.written.get()
    }

    fn memory(&self) -> &RowMemory {
        &self.instance.rows
    }
}

impl SimPorts {
    /// Notes closing orders that passed the fence although storage seemed to fail. What a replaced instance writes is
    /// never durable.
    fn keeps_fences(&self) {
        if self.instance.replaced.get() {
            return;
        }
        let database = self.instance.database.borrow().clone();
        let mut history = self.world.history.borrow_mut();
        for id in journal::fenced(&database) {
            history.fenced.entry(id).or_insert(self.world.now());
        }
    }
}

impl Clock for SimPorts {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.world.now() + self.instance.skew)
    }
}

impl Random for SimPorts {
    fn bytes(&self) -> Result<[u8; 10], StoreError> {
        if self.world.faulty(self.world.weather.random_fails) {
            return Err(self.failed("there is no randomness"));
        }
        Ok(self.world.rng.bytes())
    }
}

impl Records for SimPorts {
    async fn deliver(&self, rows: &[SealedRow]) -> Result<Vec<usize>, Problem> {
        let (world, instance) = (&self.world, &self.instance);
        world.stats.hit("port", "deliver");
        world.count_call(instance, "deliver");
        let dies = world.faulty(world.weather.crashes);
        if dies && world.rng.chance(500) {
            world.stats.hit("crash before", "deliver");
            world.die(instance, "before a port call");
        }
        let (slot, rows) = (Slot::new(), rows.to_vec());
        let answer = slot.clone();
        world.output(instance, move |world| {
            let late = world.faulty(world.weather.calls_late);
            let delay = if late {
                world.stats.hit(FAULT, "a delivery of records is late");
                world.rng.range(1_000, 15_000)
            } else {
                world.rng.range(2, 40)
            };
            world.exec.after(delay, move |world| {
                let result = world.ingest(&rows);
                if let Some(result) = result {
                    world.exec.after(5, move |_| answer.fill(result));
                }
            });
        });
        let late = slot.clone();
        world.exec.after(DELIVERY_MS, move |_| {
            late.fill(Err(Problem::new(Code::NotConfirmed, "no answer in time")));
        });
        if dies {
            world.stats.hit("crash after", "deliver");
            let (dying, delay) = (instance.clone(), world.rng.range(0, 60));
            world.exec.after(delay, move |world| {
                if dying.alive.get() {
                    world.crash(&dying, "after a port call");
                }
            });
        }
        slot.wait().await
    }
}

impl World {
    /// Records arrive. `None`: there will be no answer.
    fn ingest(&self, rows: &[SealedRow]) -> Option<Result<Vec<usize>, Problem>> {
        let weather = &self.weather;
        let failed = || {
            Some(Err(Problem::new(
                Code::Internal,
                "the records are not there",
            )))
        };
        if !self.is_calm() && in_any(&weather.records_down, self.now()) {
            self.stats.hit(FAULT, "there is no place for records");
            return failed();
        }
        if self.faulty(weather.records_fail) {
            self.stats.hit(FAULT, "a delivery of records fails");
            return failed();
        }
        self.records.borrow_mut().ingest(rows);
        if self.faulty(weather.records_fail) {
            self.stats.hit(FAULT, "a delivery of records has no answer");
            return None;
        }
        Some(Ok(Vec::new()))
    }
}

impl Ports for SimPorts {
    type Store = Self;
    type Venue = SimVenue;
    type Clock = Self;
    type Random = Self;
    type Records = Self;

    fn store(&self) -> &Self {
        self
    }

    fn clock(&self) -> &Self {
        self
    }

    fn random(&self) -> &Self {
        self
    }

    fn records(&self) -> &Self {
        self
    }

    async fn sleep(&self, millis: i64) {
        self.world.exec.sleep(millis).await;
    }

    fn budget(&self) -> &CallBudget {
        &self.instance.budget
    }

    fn lanes(&self) -> &Lanes {
        &self.instance.lanes
    }

    fn venue(&self, _: &Account, clock_offset_ms: i64) -> Result<SimVenue, Problem> {
        let Kind::Ledger(account) = self.world.object_of(&self.instance).kind else {
            return Err(Problem::new(Code::Internal, "only Ledgers trade"));
        };
        Ok(SimVenue::new(
            self.world.clone(),
            self.instance.clone(),
            account,
            clock_offset_ms,
        ))
    }
}
