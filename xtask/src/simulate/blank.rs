//! Tables without rows, made by the product's own migrations.

use std::rc::Rc;

use hoox_auth::Account;
use hoox_exchange::{CallBudget, Clock};
use hoox_ledger::{
    Control, Lanes, Ledger, LedgerError, Ports, Random, Records, RowMemory, Store, StoreError,
};
use hoox_mesh::Problem;
use hoox_model::{Code, Timestamp};
use hoox_store::{SealedRow, Value};

use crate::simulate::START;
use crate::simulate::database::Database;
use crate::simulate::object::CONTROL_TABLES;
use crate::simulate::venue::SimVenue;

/// A storage in which nothing fails, and nothing around it.
#[derive(Clone)]
struct Blank(Rc<Database>, Rc<CallBudget>, Rc<Lanes>, Rc<RowMemory>);

/// Gives a database its tables.
pub(crate) fn with_tables(database: Database) -> Database {
    let kind = database.kind();
    let blank = Blank(
        Rc::new(database),
        Rc::default(),
        Rc::default(),
        Rc::default(),
    );
    if kind == CONTROL_TABLES {
        Control::open(&blank).unwrap();
    } else {
        Ledger::open(blank.clone()).unwrap();
    }
    blank.0.commit();
    Rc::into_inner(blank.0).unwrap()
}

impl Store for Blank {
    fn query(&self, sql: &str, params: &[Value]) -> Result<Vec<Vec<Value>>, StoreError> {
        self.0.run(sql, params).map(|(rows, _)| rows)
    }

    fn transaction(
        &self,
        work: &mut dyn FnMut() -> Result<(), LedgerError>,
    ) -> Result<(), LedgerError> {
        work()
    }

    fn set_alarm(&self, _: Timestamp) -> Result<(), StoreError> {
        Ok(())
    }

    fn written(&self) -> u64 {
        0
    }

    fn memory(&self) -> &RowMemory {
        &self.3
    }
}

impl Clock for Blank {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(START)
    }
}

impl Random for Blank {
    fn bytes(&self) -> Result<[u8; 10], StoreError> {
        Ok([0; 10])
    }
}

impl Records for Blank {
    async fn deliver(&self, _: &[SealedRow]) -> Result<Vec<usize>, Problem> {
        Ok(Vec::new())
    }
}

impl Ports for Blank {
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

    async fn sleep(&self, _: i64) {}

    fn budget(&self) -> &CallBudget {
        &self.1
    }

    fn lanes(&self) -> &Lanes {
        &self.2
    }

    fn venue(&self, _: &Account, _: i64) -> Result<SimVenue, Problem> {
        Err(Problem::new(Code::NotConfigured, "there is no venue"))
    }
}
