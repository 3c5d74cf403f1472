//! The kill switch as it stands here, and the job that closes every position. Keeps `kill_mode`, `kill_revision` and
//! `flatten` of the table `meta`: Control's word writes them, the job writes how far it is.

use hoox_mesh::KillMode;
use serde::{Deserialize, Serialize};

use super::meta::{delete, get, get_json, get_number, put};
use crate::flatten::Flatten;
use crate::port::{LedgerError, Store};
use crate::row::{from_word, to_json};

const KILL_MODE: &str = "kill_mode";
const KILL_REVISION: &str = "kill_revision";
const FLATTEN: &str = "flatten";

/// The kill mode a Ledger has committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Kill {
    /// Control's number of the change that brought it.
    pub revision: u64,
    /// What it lets through.
    pub mode: KillMode,
}

/// The kill mode; `None` in a new Ledger, which then lets no entry through.
pub(crate) fn kill(store: &impl Store) -> Result<Option<Kill>, LedgerError> {
    let Some(mode) = get(store, KILL_MODE)? else {
        return Ok(None);
    };
    let revision = u64::try_from(get_number(store, KILL_REVISION)?).unwrap_or(0);
    Ok(Some(Kill {
        revision,
        mode: from_word(&mode)?,
    }))
}

/// The kill mode by which orders go out: until Control has told, none that enters does.
pub(crate) fn kill_mode(store: &impl Store) -> Result<KillMode, LedgerError> {
    Ok(kill(store)?.map_or(KillMode::Entries, |kill| kill.mode))
}

/// Sets the mode, whatever the revision.
pub(super) fn set_mode(store: &impl Store, mode: KillMode) -> Result<(), LedgerError> {
    put(store, KILL_MODE, mode.as_str().to_owned())
}

/// Sets the revision of Control's last word on the mode.
pub(super) fn set_revision(store: &impl Store, revision: u64) -> Result<(), LedgerError> {
    put(store, KILL_REVISION, revision.to_string())
}

/// The job that closes every position, where there is one.
pub(crate) fn flatten(store: &impl Store) -> Result<Option<Flatten>, LedgerError> {
    get_json(store, FLATTEN)
}

/// Stores how far the job is; without one, nothing is being closed any more.
pub(crate) fn set_flatten(
    store: &impl Store,
    flatten: Option<&Flatten>,
) -> Result<(), LedgerError> {
    match flatten {
        Some(flatten) => put(store, FLATTEN, to_json(flatten)?),
        None => delete(store, FLATTEN),
    }
}
