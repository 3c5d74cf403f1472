//! Whether the Ledger takes anything, and which Ledger had its account before. Keeps `closed` and `taken_over` of the
//! table `meta`: Control's calls that retire an account or hand it over write them.

use hoox_mesh::KillMode;
use hoox_model::Timestamp;
use serde::{Deserialize, Serialize};

use super::kill::set_mode;
use super::meta::{delete, get_json, set_value};
use crate::lanes::Lanes;
use crate::port::{LedgerError, Store};

pub(super) const CLOSED: &str = "closed";
pub(super) const TAKEN_OVER: &str = "taken_over";

/// Why a Ledger takes nothing. Closed for good, its fence lets nothing through either.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Closed {
    /// The account is being retired, and nothing was open: until then, unless the manifest has changed before.
    Held(Timestamp),
    /// What was open has another Ledger, by its name: this one does nothing any more.
    HandedOver(String),
    /// The account was retired by force. What it knows is still recorded, and what it left can be settled.
    Retired(String),
}

/// Why the Ledger takes nothing.
pub(crate) fn closed(store: &impl Store) -> Result<Option<Closed>, LedgerError> {
    get_json(store, CLOSED)
}

/// Whether the Ledger is closed for good.
pub(crate) fn is_closed(store: &impl Store) -> Result<bool, LedgerError> {
    let closed = closed(store)?;
    Ok(closed.is_some_and(|closed| !matches!(closed, Closed::Held(_))))
}

/// Whether another Ledger has what was open.
pub(crate) fn has_handed_over(store: &impl Store) -> Result<bool, LedgerError> {
    Ok(matches!(closed(store)?, Some(Closed::HandedOver(_))))
}

/// Closes the Ledger for good: no run holds a lane any more.
pub(crate) fn close(store: &impl Store, lanes: &Lanes, closed: &Closed) -> Result<(), LedgerError> {
    set_value(store, CLOSED, closed)?;
    // Of one that has handed over a run that is under way finds every lane taken, and the next one does not begin.
    lanes.clear(matches!(closed, Closed::HandedOver(_)));
    match closed {
        // Of all that looks at the mode nothing is sent: no second read is needed on the way of an order.
        Closed::Retired(_) => set_mode(store, KillMode::All),
        Closed::HandedOver(_) | Closed::Held(_) => Ok(()),
    }
}

/// Holds the Ledger while its account is being retired, or lets it go.
pub(crate) fn hold(store: &impl Store, until: Option<Timestamp>) -> Result<(), LedgerError> {
    match (closed(store)?, until) {
        (None | Some(Closed::Held(_)), Some(until)) => {
            set_value(store, CLOSED, &Closed::Held(until))
        }
        (Some(Closed::Held(_)), None) => delete(store, CLOSED),
        _ => Ok(()),
    }
}

/// The Ledger that this one has taken over from, by its name.
pub(crate) fn taken_over(store: &impl Store) -> Result<Option<String>, LedgerError> {
    get_json(store, TAKEN_OVER)
}

/// Notes the Ledger that this one has taken over from.
pub(crate) fn set_taken_over(store: &impl Store, from: &str) -> Result<(), LedgerError> {
    set_value(store, TAKEN_OVER, &from)
}
