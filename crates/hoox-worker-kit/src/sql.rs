//! A Durable Object's SQLite as the Ledger's store.
//!
//! The platform's own binding has no `transactionSync`, and its cursors throw across Rust frames; the
//! few calls that are needed are bound here, each with `catch`.

use hoox_ledger::{LedgerError, Store, StoreError};
use hoox_model::Timestamp;
use hoox_store::Value;
use js_sys::{Array, Promise};
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast, JsValue};
use worker::State;

#[wasm_bindgen]
extern "C" {
    #[derive(Clone, Debug)]
    type RawStorage;

    #[wasm_bindgen(method, getter)]
    fn sql(this: &RawStorage) -> RawSql;

    #[wasm_bindgen(method, catch, js_name = transactionSync)]
    fn transaction_sync(
        this: &RawStorage,
        work: &mut dyn FnMut() -> Result<JsValue, JsValue>,
    ) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(method, catch, js_name = setAlarm)]
    fn set_alarm(this: &RawStorage, epoch_ms: f64) -> Result<Promise, JsValue>;

    #[derive(Clone, Debug)]
    type RawSql;

    #[wasm_bindgen(method, catch, variadic)]
    fn exec(this: &RawSql, sql: &str, params: Array) -> Result<RawCursor, JsValue>;

    type RawCursor;

    #[wasm_bindgen(method, catch)]
    fn raw(this: &RawCursor) -> Result<RawRows, JsValue>;

    type RawRows;

    #[wasm_bindgen(method, catch, js_name = toArray)]
    fn to_array(this: &RawRows) -> Result<Array, JsValue>;
}

/// SQLite of one Durable Object.
#[derive(Debug, Clone)]
pub struct ObjectStore {
    storage: RawStorage,
    sql: RawSql,
}

impl ObjectStore {
    /// The store of the object with this state.
    pub fn new(state: &State) -> Self {
        let platform = state.storage();
        let raw: &JsValue = platform.as_raw().as_ref();
        let storage: RawStorage = raw.clone().unchecked_into();
        let sql = storage.sql();
        Self { storage, sql }
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

#[expect(
    clippy::cast_possible_truncation,
    reason = "only whole numbers below 2^53 were stored"
)]
fn integer(value: f64) -> i64 {
    value as i64
}

fn to_js(value: &Value) -> JsValue {
    match value {
        Value::Null => JsValue::NULL,
        Value::Integer(value) => JsValue::from_f64(number(*value)),
        Value::Text(text) => JsValue::from_str(text),
    }
}

fn from_js(value: &JsValue) -> Result<Value, StoreError> {
    if let Some(text) = value.as_string() {
        Ok(Value::Text(text))
    } else if let Some(number) = value.as_f64() {
        Ok(Value::Integer(integer(number)))
    } else if value.is_null() {
        Ok(Value::Null)
    } else {
        Err(StoreError(
            "a column holds neither text nor number".to_owned(),
        ))
    }
}

impl Store for ObjectStore {
    fn query(&self, sql: &str, params: &[Value]) -> Result<Vec<Vec<Value>>, StoreError> {
        let params: Array = params.iter().map(to_js).collect();
        let rows = self
            .sql
            .exec(sql, params)
            .and_then(|cursor| cursor.raw())
            .and_then(|rows| rows.to_array())
            .map_err(|thrown| error(&thrown))?;
        rows.iter()
            .map(|row| {
                let row: Array = row.unchecked_into();
                row.iter().map(|value| from_js(&value)).collect()
            })
            .collect()
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
        // The write belongs to the present turn's transaction; its promise only says when it is durable,
        // and the output gate waits for that by itself.
        let promise = self
            .storage
            .set_alarm(number(at.as_millis()))
            .map_err(|thrown| error(&thrown))?;
        wasm_bindgen_futures::spawn_local(async move {
            if let Err(thrown) = wasm_bindgen_futures::JsFuture::from(promise).await {
                worker::console_error!("the alarm was not set: {}", error(&thrown));
            }
        });
        Ok(())
    }
}
