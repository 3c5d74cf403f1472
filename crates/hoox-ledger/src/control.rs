//! Control: the one owner of the manifest and of the kill switch.

use hoox_auth::Manifest;
use hoox_mesh::{Configure, KillMode, KillState, Problem, SetKill};
use hoox_model::{Code, Timestamp};
use hoox_store::Value;
use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

use crate::port::{LedgerError, Store, atomic};
use crate::row::{from_json, select_one, text, to_json};

/// Why Control did not do what was asked.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum ControlError {
    /// Storage failed.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// Refused, with the reason for the operator.
    #[error(transparent)]
    Problem(#[from] Problem),
}

impl From<ControlError> for Problem {
    fn from(error: ControlError) -> Self {
        match error {
            ControlError::Problem(problem) => problem,
            ControlError::Ledger(error) => Self::new(
                Code::NotConfirmed,
                format!("Control could not store it ({error}); try again"),
            ),
        }
    }
}

/// Control over its store.
#[derive(Debug)]
pub struct Control<'a, S> {
    store: &'a S,
}

impl<'a, S: Store> Control<'a, S> {
    /// Opens Control's tables.
    ///
    /// # Errors
    /// [`ControlError::Ledger`] where storage failed.
    pub fn open(store: &'a S) -> Result<Self, ControlError> {
        store
            .query(
                "CREATE TABLE IF NOT EXISTS document (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID",
                &[],
            )
            .map_err(LedgerError::from)?;
        Ok(Self { store })
    }

    fn get<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, LedgerError> {
        select_one(
            self.store,
            "SELECT value FROM document WHERE name = ?1",
            &[text(name)],
        )?
        .map(|cells| from_json(cells.text(0)?))
        .transpose()
    }

    fn put<T: Serialize>(&self, name: &str, value: &T) -> Result<(), LedgerError> {
        self.store.query(
            "INSERT INTO document (name, value) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET value = excluded.value",
            &[text(name), Value::Text(to_json(value)?)],
        )?;
        Ok(())
    }

    /// The manifest; `None` before the first one.
    ///
    /// # Errors
    /// [`ControlError::Ledger`] where storage failed.
    pub fn manifest(&self) -> Result<Option<Manifest>, ControlError> {
        Ok(self.get("manifest")?)
    }

    /// Puts a manifest by compare-and-swap: its version must be one above the present one.
    ///
    /// # Errors
    /// `CONFLICT` where it is not.
    pub fn put_manifest(&self, manifest: &Manifest) -> Result<(), ControlError> {
        let present = atomic(self.store, || {
            let present = self
                .get::<Manifest>("manifest")?
                .map_or(0, |old| old.version);
            if present.checked_add(1) == Some(manifest.version) {
                self.put("manifest", manifest)?;
                return Ok(None);
            }
            Ok(Some(present))
        })?;
        match present {
            None => Ok(()),
            Some(present) => Err(Problem::new(
                Code::Conflict,
                format!(
                    "the manifest has version {present}, so the next one must have version {}, not {}; \
                     read it again and repeat the change",
                    present.saturating_add(1),
                    manifest.version
                ),
            )
            .field("version")
            .into()),
        }
    }

    /// Takes over the manifest of an existing installation, unless there is one already.
    ///
    /// # Errors
    /// [`ControlError::Ledger`] where storage failed.
    pub fn import(&self, manifest: &Manifest) -> Result<(), ControlError> {
        atomic(self.store, || {
            if self.get::<Manifest>("manifest")?.is_none() {
                self.put("manifest", manifest)?;
            }
            Ok(())
        })
        .map_err(ControlError::from)
    }

    /// The kill switch; disengaged until an operator changes it.
    ///
    /// # Errors
    /// [`ControlError::Ledger`] where storage failed.
    pub fn kill(&self) -> Result<KillState, ControlError> {
        let off = KillState {
            mode: KillMode::Off,
            revision: 1,
            reason: None,
            since: Timestamp::from_millis(0),
        };
        Ok(self.get("kill")?.unwrap_or(off))
    }

    /// Changes the kill switch; the revision rises.
    ///
    /// # Errors
    /// [`ControlError::Ledger`] where storage failed.
    pub fn set_kill(&self, change: &SetKill, now: Timestamp) -> Result<KillState, ControlError> {
        let state = KillState {
            mode: change.mode,
            revision: self.kill()?.revision.saturating_add(1),
            reason: change.reason.clone(),
            since: now,
        };
        self.put("kill", &state)?;
        Ok(state)
    }

    /// What each account's Ledger must know, in the order of the manifest.
    ///
    /// # Errors
    /// [`ControlError::Ledger`] where storage failed.
    pub fn ledgers(&self) -> Result<Vec<Configure>, ControlError> {
        let Some(manifest) = self.manifest()? else {
            return Ok(Vec::new());
        };
        let kill = self.kill()?;
        Ok(manifest
            .accounts
            .iter()
            .map(|account| Configure {
                manifest_version: manifest.version,
                account: account.clone(),
                senders: manifest
                    .senders
                    .iter()
                    .filter(|sender| sender.may_use(account))
                    .map(|sender| sender.id.clone())
                    .collect(),
                kill: kill.clone(),
            })
            .collect())
    }
}
