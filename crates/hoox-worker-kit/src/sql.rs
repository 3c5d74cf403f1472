//! A Durable Object's SQLite as the Ledger's store.
//!
//! The platform's own binding has no `transactionSync`, and its cursors throw across Rust frames; the
//! few calls that are needed are bound here, each with `catch`.

use core::cell::Cell;
use core::fmt;
use std::rc::Rc;

use hoox_ledger::{LedgerError, RowMemory, Store, StoreError};
use hoox_model::Timestamp;
use hoox_store::Value;
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use wasm_bindgen::{JsCast, JsValue};
use worker::State;

use crate::platform::{self, RawSql, RawStorage};

/// SQLite of one Durable Object.
#[derive(Debug, Clone)]
pub struct ObjectStore {
    storage: RawStorage,
    sql: RawSql,
    memory: Rc<RowMemory>,
    /// Alarms that were set: each is a row.
    alarms: Rc<Cell<u64>>,
}

impl ObjectStore {
    /// The store of the object with this state.
    pub fn new(state: &State) -> Self {
        let platform = state.storage();
        let raw: &JsValue = platform.as_raw().as_ref();
        let storage: RawStorage = raw.clone().unchecked_into();
        let sql = storage.sql();
        Self {
            storage,
            sql,
            memory: Rc::default(),
            alarms: Rc::default(),
        }
    }
}

fn error(thrown: &JsValue) -> StoreError {
    let text = thrown
        .dyn_ref::<js_sys::Error>()
        .map(|error| String::from(error.message()))
        .or_else(|| thrown.as_string());
    StoreError(text.unwrap_or_else(|| "the platform threw something that is no error".to_owned()))
}

#[expect(
    clippy::cast_precision_loss,
    reason = "integers in storage are times and counts below 2^53"
)]
fn number(value: i64) -> f64 {
    value as f64
}

/// A parameter on its way in.
struct Parameter<'a>(&'a Value);

impl Serialize for Parameter<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Null => serializer.serialize_unit(),
            Value::Integer(value) => serializer.serialize_i64(*value),
            Value::Text(text) => serializer.serialize_str(text),
        }
    }
}

/// A cell on its way out: text, null, or one of the whole numbers below 2^53 that were stored.
struct Read(Value);

impl<'de> Deserialize<'de> for Read {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl Visitor<'_> for Reader {
            type Value = Read;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, a whole number or null")
            }

            fn visit_unit<E>(self) -> Result<Read, E> {
                Ok(Read(Value::Null))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Read, E> {
                Ok(Read(Value::Integer(value)))
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Read, E> {
                i64::try_from(value)
                    .map(|value| Read(Value::Integer(value)))
                    .map_err(E::custom)
            }

            fn visit_str<E>(self, text: &str) -> Result<Read, E> {
                Ok(Read(Value::Text(text.to_owned())))
            }

            fn visit_string<E>(self, text: String) -> Result<Read, E> {
                Ok(Read(Value::Text(text)))
            }
        }

        deserializer.deserialize_any(Reader)
    }
}

/// Parameters and rows cross as one text each: every value on its own would be a crossing, and every text of theirs
/// a string of its own on both sides.
fn run(sql: &RawSql, statement: &str, params: &[Value]) -> Result<Vec<Vec<Value>>, StoreError> {
    let unreadable = |error: serde_json::Error| StoreError(error.to_string());
    let params: Vec<Parameter<'_>> = params.iter().map(Parameter).collect();
    let params = serde_json::to_string(&params).map_err(unreadable)?;
    let rows = platform::query(sql, statement, &params).map_err(|thrown| error(&thrown))?;
    let Some(rows) = rows else {
        return Ok(Vec::new());
    };
    let rows: Vec<Vec<Read>> = serde_json::from_str(&rows).map_err(unreadable)?;
    let plain = |row: Vec<Read>| row.into_iter().map(|Read(value)| value).collect();
    Ok(rows.into_iter().map(plain).collect())
}

impl Store for ObjectStore {
    fn query(&self, sql: &str, params: &[Value]) -> Result<Vec<Vec<Value>>, StoreError> {
        run(&self.sql, sql, params)
    }

    fn transaction(
        &self,
        work: &mut dyn FnMut() -> Result<(), LedgerError>,
    ) -> Result<(), LedgerError> {
        let mut failure = None;
        let outcome = self.storage.transaction_sync(&mut || {
            work().map(|()| JsValue::UNDEFINED).map_err(|error| {
                // Throwing is what makes the platform roll the transaction back.
                failure = Some(error);
                js_sys::Error::new("rolled back").into()
            })
        });
        match (failure, outcome) {
            (Some(error), _) => Err(error),
            (None, Err(thrown)) => Err(error(&thrown).into()),
            (None, Ok(_)) => Ok(()),
        }
    }

    fn set_alarm(&self, at: Timestamp) -> Result<(), StoreError> {
        self.alarms.set(self.alarms.get().saturating_add(1));
        // The write belongs to the present turn's transaction, and the output gate waits for it.
        platform::alarm(&self.storage, number(at.as_millis())).map_err(|thrown| error(&thrown))
    }

    fn written(&self) -> u64 {
        u64::from(platform::rows_written(&self.sql)).saturating_add(self.alarms.get())
    }

    fn memory(&self) -> &RowMemory {
        &self.memory
    }
}
