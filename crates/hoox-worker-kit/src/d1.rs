//! D1 as the runner of hoox-store's statements.

use hoox_store::{Statement, Stored, Value};
use serde::de::DeserializeOwned;
use wasm_bindgen::JsValue;
use worker::{D1Database, D1PreparedStatement, D1Result, Result};

#[expect(
    clippy::cast_precision_loss,
    reason = "integers in D1 are times and counts below 2^53"
)]
fn to_js(value: &Value) -> JsValue {
    match value {
        Value::Null => JsValue::NULL,
        Value::Integer(value) => JsValue::from_f64(*value as f64),
        Value::Text(text) => JsValue::from_str(text),
    }
}

fn prepare(db: &D1Database, statement: &Statement) -> Result<D1PreparedStatement> {
    let params: Vec<JsValue> = statement.params().iter().map(to_js).collect();
    db.prepare(statement.sql()).bind(&params)
}

async fn batch(db: &D1Database, statements: &[Statement]) -> Result<Vec<D1Result>> {
    let prepared = statements
        .iter()
        .map(|statement| prepare(db, statement))
        .collect::<Result<Vec<_>>>()?;
    let results = db.batch(prepared).await?;
    match results.iter().find_map(D1Result::error) {
        Some(error) => Err(worker::Error::RustError(error)),
        None => Ok(results),
    }
}

/// Runs statements as one transaction and reads the rows of each.
///
/// # Errors
/// D1's, and then none of them took effect; or of a row that does not fit `T`.
pub async fn run_queries<T: DeserializeOwned>(
    db: &D1Database,
    statements: &[Statement],
) -> Result<Vec<Vec<T>>> {
    let results = batch(db, statements).await?;
    results.iter().map(D1Result::results).collect()
}

/// Runs statements as one transaction; the rows and changes of each, and how large the database is then.
///
/// # Errors
/// D1's, and then none of them took effect; or of a row that is none.
pub async fn run_counted(db: &D1Database, statements: &[Statement]) -> Result<Stored> {
    let results = batch(db, statements).await?;
    let mut stored = Stored::default();
    for result in &results {
        // A size of more than 32 bits is not read, and then nobody knows it.
        let meta = result.meta().ok().flatten();
        let count = |number: Option<usize>| number.and_then(|number| u64::try_from(number).ok());
        let changes = meta.as_ref().and_then(|meta| count(meta.changes));
        stored.changes.push(changes.unwrap_or_default());
        stored.bytes = meta.and_then(|meta| count(meta.size_after));
        stored.rows.push(result.results()?);
    }
    Ok(stored)
}

/// Runs one query and reads its rows.
///
/// # Errors
/// D1's, or of a row that does not fit `T`.
pub async fn run_query<T: DeserializeOwned>(
    db: &D1Database,
    statement: &Statement,
) -> Result<Vec<T>> {
    prepare(db, statement)?.all().await?.results()
}
