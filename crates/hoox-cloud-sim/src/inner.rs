//! What is behind the lock, and how a handler gets at its account or zone.

use std::collections::BTreeMap;

use rusqlite::Connection;
use serde::{Deserialize, Serialize};

use crate::caller::Caller;
use crate::envelope::Failure;
use crate::fault::Faults;
use crate::permission::Permission;
use crate::state::{Account, State, Zone};

/// A call of the API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// Method.
    pub method: String,
    /// Path below `/client/v4`, without the query.
    pub path: String,
    /// HTTP status of the answer.
    pub status: u16,
}

impl Call {
    /// Whether it could have changed something: neither `GET` nor `HEAD`.
    pub fn writes(&self) -> bool {
        !matches!(self.method.as_str(), "GET" | "HEAD")
    }
}

/// Everything behind the lock.
#[derive(Default)]
pub(crate) struct Inner {
    pub(crate) state: State,
    pub(crate) faults: Faults,
    pub(crate) calls: Vec<Call>,
    /// Open D1 databases by id.
    pub(crate) databases: BTreeMap<String, Connection>,
    ids: u64,
}

impl Inner {
    /// Forgets everything but the faults and begins with this.
    pub(crate) fn replace(&mut self, state: State) {
        self.state = state;
        self.calls.clear();
        self.databases.clear();
    }

    /// A new identifier of 32 hexadecimal digits.
    pub(crate) fn new_id(&mut self) -> String {
        self.ids = self.ids.saturating_add(1);
        format!("c10d{:028x}", self.ids)
    }

    /// A new UUID.
    pub(crate) fn new_uuid(&mut self) -> String {
        self.ids = self.ids.saturating_add(1);
        format!("c10d0000-0000-4000-8000-{:012x}", self.ids)
    }

    /// The account, if the caller may do this in it.
    pub(crate) fn account(
        &mut self,
        caller: &Caller,
        id: &str,
        needed: Permission,
    ) -> Result<&mut Account, Failure> {
        let account = self
            .state
            .account_mut(id)
            .ok_or_else(|| unknown("accounts", id))?;
        if caller.may(needed) && caller.reaches(id) {
            Ok(account)
        } else {
            Err(Failure::forbidden())
        }
    }

    /// The zone, if the caller may do this in it.
    pub(crate) fn zone(
        &mut self,
        caller: &Caller,
        id: &str,
        needed: Permission,
    ) -> Result<&mut Zone, Failure> {
        let zone = self
            .state
            .zone_mut(id)
            .ok_or_else(|| unknown("zones", id))?;
        if caller.may(needed) && caller.reaches(&zone.account) {
            Ok(zone)
        } else {
            Err(Failure::forbidden())
        }
    }
}

/// What does not exist looks like what belongs to others, unless its id cannot be one.
fn unknown(kind: &str, id: &str) -> Failure {
    if id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        Failure::forbidden()
    } else {
        Failure::no_route(&format!("/client/v4/{kind}/{id}"))
    }
}
