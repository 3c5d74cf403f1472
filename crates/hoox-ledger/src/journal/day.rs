//! What the account's trading had brought at the start of the day, while `maxDailyLoss` asks for it. Keeps `day_mark` and
//! `day_due` of the table `meta`: the run at midnight UTC writes them.

use hoox_model::{Decimal, Timestamp};
use serde::{Deserialize, Serialize};

use super::meta::{delete, get, get_json, get_number, put};
use crate::port::{LedgerError, Store};
use crate::row::to_json;

const DAY_MARK: &str = "day_mark";
const DAY_DUE: &str = "day_due";

/// Has the start of each day noted from now on where that is `wanted`, and forgets what was noted where it is not.
pub(super) fn watch_day(store: &impl Store, wanted: bool) -> Result<(), LedgerError> {
    match (wanted, day_due(store)?) {
        (true, None) => set_day_due(store, Timestamp::from_millis(0)),
        (false, Some(_)) => {
            delete(store, DAY_MARK)?;
            delete(store, DAY_DUE)
        }
        _ => Ok(()),
    }
}

/// What an account's trading had brought at the start of a day of UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DayMark {
    /// Days since 1970.
    pub day: i64,
    /// Profits and losses until then, realised and not.
    pub result: Decimal,
}

/// The start of the day that was noted last.
pub(crate) fn day_mark(store: &impl Store) -> Result<Option<DayMark>, LedgerError> {
    get_json(store, DAY_MARK)
}

/// Notes the start of a day, and when the next one is to be noted.
pub(crate) fn set_day_mark(
    store: &impl Store,
    mark: &DayMark,
    next: Timestamp,
) -> Result<(), LedgerError> {
    put(store, DAY_MARK, to_json(mark)?)?;
    set_day_due(store, next)
}

/// When the start of a day is to be noted; `None` while nothing asks for it.
pub(crate) fn day_due(store: &impl Store) -> Result<Option<Timestamp>, LedgerError> {
    match get(store, DAY_DUE)? {
        None => Ok(None),
        Some(_) => Ok(Some(Timestamp::from_millis(get_number(store, DAY_DUE)?))),
    }
}

/// Sets when the start of a day is to be noted.
pub(crate) fn set_day_due(store: &impl Store, at: Timestamp) -> Result<(), LedgerError> {
    put(store, DAY_DUE, at.as_millis().to_string())
}
