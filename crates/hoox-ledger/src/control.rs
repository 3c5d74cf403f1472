//! Control: the one owner of the manifest and of the kill switch.

use hoox_auth::{Account, Manifest, Published, SenderChange};
use hoox_mesh::{Configure, KillMode, KillState, Problem, SetKill};
use hoox_model::{Code, Name, Timestamp};
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

/// When a publication that failed, or may have, is tried again, in milliseconds.
pub const PUBLISH_AGAIN_MS: i64 = 5_000;

/// Name of the document with the manifest.
const MANIFEST: &str = "manifest";
/// Name of the document with the kill switch.
const KILL: &str = "kill";

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

    /// The manifest with the routing before it; `None` before the first one.
    ///
    /// # Errors
    /// [`ControlError::Ledger`] where storage failed.
    pub fn published(&self) -> Result<Option<Published>, ControlError> {
        Ok(self.get(MANIFEST)?)
    }

    /// Puts a manifest by compare-and-swap: its version must be one above the present one. The alarm
    /// that publishes it is part of it, should this instance end before it has.
    ///
    /// # Errors
    /// `CONFLICT` where it is not.
    pub fn put_manifest(&self, manifest: &Manifest, now: Timestamp) -> Result<(), ControlError> {
        let present = atomic(self.store, || {
            let old = self.get::<Published>(MANIFEST)?;
            let present = old.as_ref().map_or(0, |old| old.manifest.version);
            if present.checked_add(1) != Some(manifest.version) {
                return Ok(Some(present));
            }
            let new = match old {
                Some(old) => old.replaced_by(manifest.clone(), now),
                None => manifest.clone().into(),
            };
            self.put(MANIFEST, &new)?;
            self.publish_again(now)?;
            Ok(None)
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

    /// Changes one sender of the present manifest, whose version rises by one.
    ///
    /// # Errors
    /// `NOT_CONFIGURED` before the first manifest, else as of [`Manifest::with_change`].
    pub fn change_senders(
        &self,
        change: &SenderChange,
        now: Timestamp,
    ) -> Result<(), ControlError> {
        atomic(self.store, || {
            let Some(old) = self.get::<Published>(MANIFEST)? else {
                return Ok(Err(Problem::new(
                    Code::NotConfigured,
                    "there is no manifest yet; put one with PUT /v1/manifest",
                )));
            };
            let new = match old.manifest.with_change(change, now) {
                Ok(new) => new,
                Err(refusal) => return Ok(Err(refusal.into())),
            };
            self.put(MANIFEST, &old.replaced_by(new, now))?;
            self.publish_again(now)?;
            Ok(Ok(()))
        })?
        .map_err(ControlError::from)
    }

    /// Takes over the manifest of an existing installation, unless there is one already.
    ///
    /// # Errors
    /// [`ControlError::Ledger`] where storage failed.
    pub fn import(&self, published: &Published) -> Result<(), ControlError> {
        atomic(self.store, || {
            if self.get::<Published>(MANIFEST)?.is_none() {
                self.put(MANIFEST, published)?;
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
        Ok(self.present_kill()?)
    }

    fn present_kill(&self) -> Result<KillState, LedgerError> {
        let off = KillState {
            mode: KillMode::Off,
            revision: 1,
            reason: None,
            since: Timestamp::from_millis(0),
            flatten: false,
        };
        Ok(self.get(KILL)?.unwrap_or(off))
    }

    fn publish_again(&self, now: Timestamp) -> Result<(), LedgerError> {
        Ok(self.store.set_alarm(now.plus_millis(PUBLISH_AGAIN_MS))?)
    }

    /// Changes the kill switch; the revision rises. The alarm that publishes it is part of it.
    ///
    /// # Errors
    /// `BAD_FIELD` for a change that cannot be, [`ControlError::Ledger`] where storage failed.
    pub fn set_kill(&self, change: &SetKill, now: Timestamp) -> Result<KillState, ControlError> {
        if let Some(problem) = change.problem() {
            return Err(problem.into());
        }
        let state = atomic(self.store, || {
            let state = KillState {
                revision: self.present_kill()?.revision.saturating_add(1),
                mode: change.mode,
                reason: change.reason.clone(),
                since: now,
                flatten: change.flatten,
            };
            self.put(KILL, &state)?;
            self.publish_again(now)?;
            Ok(state)
        })?;
        Ok(state)
    }

    /// What each account's Ledger must know, in the order of the manifest; then accounts that are in it
    /// no more, on which nobody may trade.
    ///
    /// # Errors
    /// [`ControlError::Ledger`] where storage failed.
    pub fn ledgers(&self) -> Result<Vec<Configure>, ControlError> {
        let Some(Published { manifest, history }) = self.published()? else {
            return Ok(Vec::new());
        };
        let kill = self.kill()?;
        let configure = |account: &Account, senders: Vec<Name>| Configure {
            manifest_version: manifest.version,
            account: account.clone(),
            senders,
            kill: kill.clone(),
        };
        let mut ledgers: Vec<Configure> = manifest
            .accounts
            .iter()
            .map(|account| {
                let usable = manifest
                    .senders
                    .iter()
                    .filter(|sender| sender.may_use(account));
                configure(account, usable.map(|sender| sender.id.clone()).collect())
            })
            .collect();
        for account in history.iter().flat_map(|past| &past.accounts) {
            let name = account.ledger_name();
            if !ledgers
                .iter()
                .any(|known| known.account.ledger_name() == name)
            {
                ledgers.push(configure(account, Vec::new()));
            }
        }
        Ok(ledgers)
    }
}
