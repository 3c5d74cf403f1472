//! Single values by their keys, and which of them are a Ledger's own. Keeps the table `meta`: the other modules of the
//! journal write it by these functions, and so do the parts of the Ledger that keep values of their own.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::closing::{CLOSED, TAKEN_OVER};
use super::config::CONFIG;
use super::fence::EPOCH;
use crate::outbox;
use crate::port::{LedgerError, Store};
use crate::row::{from_json, select_one, text, to_json};

/// The key of the day's rows.
pub(crate) const ROWS: &str = "rows";

/// A single value; an instance reads it once.
pub(crate) fn get(store: &impl Store, key: &str) -> Result<Option<String>, LedgerError> {
    if store.memory().knows_value(key) {
        return Ok(store.memory().value(key));
    }
    let value = select_one(
        store,
        "SELECT value FROM meta WHERE key = +?1",
        &[text(key)],
    )?
    .map(|cells| cells.text(0).map(str::to_owned))
    .transpose()?;
    store.memory().note_value(key, value.clone());
    Ok(value)
}

/// Sets a single value.
pub(crate) fn put(store: &impl Store, key: &str, value: String) -> Result<(), LedgerError> {
    store.query(
        "INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET value = excluded.value",
        &[text(key), text(value.as_str())],
    )?;
    store.memory().note_value(key, Some(value));
    Ok(())
}

/// Removes a single value.
pub(crate) fn delete(store: &impl Store, key: &str) -> Result<(), LedgerError> {
    store.query("DELETE FROM meta WHERE key = +?1", &[text(key)])?;
    store.memory().note_value(key, None);
    Ok(())
}

/// A single value that is stored as JSON.
pub(super) fn get_json<T: DeserializeOwned>(
    store: &impl Store,
    key: &str,
) -> Result<Option<T>, LedgerError> {
    get(store, key)?.map(|value| from_json(&value)).transpose()
}

/// A value of another part of the Ledger.
pub(crate) fn value<T: DeserializeOwned>(
    store: &impl Store,
    key: &str,
) -> Result<Option<T>, LedgerError> {
    get_json(store, key)
}

/// Sets a value of another part of the Ledger.
pub(crate) fn set_value<T: Serialize>(
    store: &impl Store,
    key: &str,
    value: &T,
) -> Result<(), LedgerError> {
    put(store, key, to_json(value)?)
}

/// A single value that is a number; 0 without one.
pub(crate) fn get_number(store: &impl Store, key: &str) -> Result<i64, LedgerError> {
    match get(store, key)? {
        None => Ok(0),
        Some(value) => value
            .parse()
            .map_err(|_| LedgerError::Corrupt(format!("meta.{key}"))),
    }
}

/// Single values that a Ledger has of its own and hands over to nobody.
pub(crate) const OWN: [&str; 8] = [
    "schema",
    EPOCH,
    CONFIG,
    CLOSED,
    TAKEN_OVER,
    outbox::DUE,
    outbox::FAILURES,
    ROWS,
];
