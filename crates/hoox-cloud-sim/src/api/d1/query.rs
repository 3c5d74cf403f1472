//! Statements on a real SQLite in memory, one transaction for each call, as D1 runs them.

use std::collections::BTreeMap;

use rusqlite::fallible_iterator::FallibleIterator;
use rusqlite::types::{Value as Sql, ValueRef};
use rusqlite::{Connection, Statement};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::envelope::{Answer, Failure, Success};

/// How rows are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// An object for each row.
    Objects,
    /// The columns' names, and a list for each row.
    Arrays,
}

/// SQL of one or more statements; parameters only with one.
#[derive(Deserialize)]
struct Query {
    sql: String,
    #[serde(default)]
    params: Vec<Value>,
}

/// What a call runs.
pub(super) struct Batch(Vec<Query>);

#[derive(Deserialize)]
#[serde(untagged)]
enum Body {
    Batch { batch: Vec<Query> },
    One(Query),
}

/// SQLite's refusal, as D1 words it.
fn refused(error: &rusqlite::Error) -> Failure {
    let sentence = match error {
        rusqlite::Error::SqliteFailure(_, Some(message)) => message.clone(),
        rusqlite::Error::SqlInputError { msg, offset, .. } => format!("{msg} at offset {offset}"),
        other => other.to_string(),
    };
    Failure::bad_request(7_500, format!("{sentence}: SQLITE_ERROR"))
}

/// The database of this id, opened at its first use.
pub(super) fn open(
    databases: &mut BTreeMap<String, Connection>,
    uuid: String,
) -> Result<&Connection, Failure> {
    use std::collections::btree_map::Entry;
    match databases.entry(uuid) {
        Entry::Occupied(entry) => Ok(entry.into_mut()),
        Entry::Vacant(entry) => {
            let connection = Connection::open_in_memory().map_err(|error| refused(&error))?;
            connection
                .pragma_update(None, "foreign_keys", true)
                .map_err(|error| refused(&error))?;
            Ok(entry.insert(connection))
        }
    }
}

impl Batch {
    pub(super) fn parse(body: &[u8]) -> Result<Self, Failure> {
        match serde_json::from_slice(body) {
            Ok(Body::Batch { batch }) => Ok(Self(batch)),
            Ok(Body::One(query)) => Ok(Self(vec![query])),
            Err(_) => Err(Failure::bad_request(7_400, "The request is malformed")),
        }
    }

    /// All of it, or nothing.
    pub(super) fn run(self, connection: &Connection, shape: Shape) -> Answer {
        let transaction = connection
            .unchecked_transaction()
            .map_err(|error| refused(&error))?;
        let mut results = Vec::new();
        for query in self.0 {
            results.extend(query.run(&transaction, shape)?);
        }
        transaction.commit().map_err(|error| refused(&error))?;
        Ok(Success::new(Value::Array(results)))
    }
}

impl Query {
    fn run(self, connection: &Connection, shape: Shape) -> Result<Vec<Value>, Failure> {
        if controls_transactions(&self.sql) {
            return Err(Failure::bad_request(
                7_500,
                "To execute a transaction, use a batch instead of the SQL BEGIN TRANSACTION or SAVEPOINT \
                 statements: SQLITE_AUTH",
            ));
        }
        let mut results = Vec::new();
        let mut batch = rusqlite::Batch::new(connection, &self.sql);
        while let Some(mut statement) = batch.next().map_err(|error| refused(&error))? {
            results.push(execute(connection, &mut statement, &self.params, shape)?);
        }
        Ok(results)
    }
}

/// Whether the first statement begins or ends a transaction, which D1 does not allow.
fn controls_transactions(sql: &str) -> bool {
    let first = sql
        .split(|letter: char| !letter.is_ascii_alphabetic())
        .find(|word| !word.is_empty())
        .unwrap_or_default();
    ["begin", "commit", "rollback", "savepoint", "release"]
        .iter()
        .any(|word| first.eq_ignore_ascii_case(word))
}

fn execute(
    connection: &Connection,
    statement: &mut Statement<'_>,
    params: &[Value],
    shape: Shape,
) -> Result<Value, Failure> {
    let before = connection.total_changes();
    let columns: Vec<String> = statement.column_names().map(str::to_owned).collect();
    let params = rusqlite::params_from_iter(params.iter().map(bound));
    let mut rows = statement.query(params).map_err(|error| refused(&error))?;
    let mut shown = Vec::new();
    while let Some(row) = rows.next().map_err(|error| refused(&error))? {
        let values = (0..columns.len())
            .map(|index| row.get_ref(index).map(cell))
            .collect::<Result<Vec<Value>, _>>()
            .map_err(|error| refused(&error))?;
        shown.push(match shape {
            Shape::Objects => Value::Object(columns.iter().cloned().zip(values).collect()),
            Shape::Arrays => Value::Array(values),
        });
    }
    let read = shown.len();
    let changes = connection.total_changes().saturating_sub(before);
    let results = match shape {
        Shape::Objects => Value::Array(shown),
        Shape::Arrays => json!({ "columns": columns, "rows": shown }),
    };
    Ok(json!({
        "results": results,
        "success": true,
        "meta": meta(connection.last_insert_rowid(), read, changes),
    }))
}

fn meta(last_row_id: i64, read: usize, changes: u64) -> Map<String, Value> {
    let fields = [
        ("served_by", json!("hoox-cloud-sim")),
        ("duration", json!(0)),
        ("changes", json!(changes)),
        ("last_row_id", json!(last_row_id)),
        ("changed_db", json!(changes > 0)),
        ("size_after", json!(0)),
        ("rows_read", json!(read)),
        ("rows_written", json!(changes)),
    ];
    fields
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

/// A parameter as SQLite takes it.
fn bound(value: &Value) -> Sql {
    match value {
        Value::Null => Sql::Null,
        Value::Bool(truth) => Sql::Integer(i64::from(*truth)),
        Value::String(text) => Sql::Text(text.clone()),
        Value::Number(number) => number.as_i64().map_or_else(
            || number.as_f64().map_or(Sql::Null, Sql::Real),
            Sql::Integer,
        ),
        other => Sql::Text(other.to_string()),
    }
}

/// A cell as the API shows it.
fn cell(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(integer) => json!(integer),
        ValueRef::Real(real) => json!(real),
        ValueRef::Text(text) => json!(String::from_utf8_lossy(text)),
        ValueRef::Blob(bytes) => json!(bytes),
    }
}
