//! Control: the one owner of the manifest and of the kill switch.

use hoox_auth::{
    Account, Manifest, OperatorChange, Permission, Published, ROWS_A_DAY, Sender, SenderChange,
};
use hoox_mesh::{
    Configure, InboxNote, InboxRequest, KillMode, KillState, Problem, RowCount, RowsOfOthers,
    SetKill,
};
use hoox_model::{Code, Timestamp};
use hoox_store::Value;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use thiserror::Error;

use crate::inbox;
use crate::port::{LedgerError, Store, atomic};
use crate::quota::{self, Kept};
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

/// Name of the document with Control's own rows of the day.
const ROWS: &str = "rows";
/// Name of the document about accounts that leave and Ledgers that take over.
const PASSAGES: &str = "passages";

/// What becomes of accounts that leave the manifest or get another Ledger.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Passages {
    /// The manifest that is being put into force.
    pub pending: Option<Pending>,
    /// The version that was put into force by way of `pending` last.
    pub moved: u64,
    /// The accounts that were retired and may have work left.
    pub gone: Vec<Gone>,
    /// The accounts that left with nothing open, in their last generation. Their Ledgers are not closed and may have got
    /// work since: whoever comes back goes on from there, under whichever generation.
    pub left: Vec<Account>,
    /// Names of Ledgers that are closed for good.
    pub closed: Vec<String>,
}

/// A manifest that raises generations: it is in force once every new Ledger has taken over from the old one.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Pending {
    /// The manifest.
    pub manifest: Manifest,
    /// Why accounts are retired that have something open, if they are.
    pub reason: Option<String>,
    /// Whether a Ledger has handed over: from then on there is no way back.
    pub begun: bool,
}

impl Pending {
    /// Whether it is this one, whatever was changed of the senders meanwhile.
    pub(crate) fn is(&self, other: &Self) -> bool {
        self.manifest.accounts == other.manifest.accounts
    }
}

/// An account that was retired.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Gone {
    /// The account, in its last generation.
    pub account: Account,
    /// Why it was retired although something was open; `None` where nothing was.
    pub reason: Option<String>,
    /// Whether its Ledger is still to be closed.
    pub to_close: bool,
}

/// The accounts that a change of the manifest retires: of `old`, those that no account of `new` goes on
/// from, by id, venue and environment. Each in the generation that it had.
pub fn retired(old: &Manifest, new: &Manifest) -> Vec<Account> {
    old.accounts
        .iter()
        .filter(|account| successor(account, new).is_none())
        .cloned()
        .collect()
}

/// The accounts whose generation a change of the manifest raises, as they were and as they become: one
/// Ledger goes on from another. A generation that is lowered is here too; the Ledger that it names
/// exists already, and takes over just the same.
pub fn raised(old: &Manifest, new: &Manifest) -> Vec<(Account, Account)> {
    old.accounts
        .iter()
        .filter_map(|account| Some((account, successor(account, new)?)))
        .filter(|(account, next)| account.generation != next.generation)
        .map(|(account, next)| (account.clone(), next.clone()))
        .collect()
}

/// The accounts whose Ledger a change of the manifest replaces: those whose generation it raises, and those that left and
/// come back under another one.
pub(crate) fn replaced(
    old: &Manifest,
    new: &Manifest,
    passages: &Passages,
) -> Vec<(Account, Account)> {
    let away = passages.left.iter();
    let away = away.filter(|account| successor(account, old).is_none());
    let back = away
        .filter_map(|account| Some((account.clone(), successor(account, new)?.clone())))
        .filter(|(account, next)| account.generation != next.generation);
    raised(old, new).into_iter().chain(back).collect()
}

/// The account of a manifest that goes on from this one. At another venue or in another environment it
/// is another account: what is open there is not the new one's.
fn successor<'a>(account: &Account, manifest: &'a Manifest) -> Option<&'a Account> {
    let next = manifest.account(&account.id)?;
    let same = (next.venue, next.environment) == (account.venue, account.environment);
    same.then_some(next)
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
        inbox::open(store)?;
        Ok(Self { store })
    }

    /// The Control of an instance that has opened it already.
    pub const fn attach(store: &'a S) -> Self {
        Self { store }
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
        self.put_retiring(manifest, None, now)
    }

    /// The same, where the accounts that it retires are retired by force, for this reason.
    pub(crate) fn put_retiring(
        &self,
        manifest: &Manifest,
        reason: Option<&str>,
        now: Timestamp,
    ) -> Result<(), ControlError> {
        atomic(self.store, || {
            let old = self.get::<Published>(MANIFEST)?;
            if let Some(problem) = not_next(old.as_ref(), manifest) {
                return Ok(Err(problem));
            }
            self.replace(old, manifest, reason, now)?;
            Ok(Ok(()))
        })?
        .map_err(ControlError::from)
    }

    /// Puts a manifest in the place of the present one, and keeps the accounts that it retires in reach. The alarm that
    /// publishes it is part of it.
    fn replace(
        &self,
        old: Option<Published>,
        manifest: &Manifest,
        reason: Option<&str>,
        now: Timestamp,
    ) -> Result<(), LedgerError> {
        let retired = old.as_ref().map(|old| retired(&old.manifest, manifest));
        let retired = retired.unwrap_or_default();
        self.edit(&mut |passages| {
            let before = passages.gone.len();
            let left = |gone: &Gone| !has_ledger(manifest, &gone.account);
            passages.gone.retain(left);
            let known = passages.left.len();
            passages
                .left
                .retain(|account| successor(account, manifest).is_none());
            let changed = passages.gone.len() != before
                || passages.left.len() != known
                || !retired.is_empty();
            for account in &retired {
                if reason.is_some() {
                    passages.closed.push(account.ledger_name());
                } else {
                    passages.left.push(account.clone());
                }
                passages.gone.push(Gone {
                    account: account.clone(),
                    reason: reason.map(str::to_owned),
                    to_close: reason.is_some(),
                });
            }
            changed
        })?;
        if let Some(old) = &old {
            inbox::forget(self.store, &old.manifest.senders, manifest)?;
        }
        let new = match old {
            Some(old) => old.replaced_by(manifest.clone(), now),
            None => manifest.clone().into(),
        };
        self.put(MANIFEST, &new)?;
        self.publish_again(now)
    }

    /// Whether a manifest may follow the present one: by its version, and because it names no Ledger that is closed for
    /// good, nor an account whose Ledger is still to be.
    ///
    /// # Errors
    /// `CONFLICT` for the version and such an account, `BAD_FIELD` for a generation.
    pub(crate) fn check_next(
        &self,
        manifest: &Manifest,
    ) -> Result<Option<Published>, ControlError> {
        let old = self.get::<Published>(MANIFEST)?;
        if let Some(problem) = not_next(old.as_ref(), manifest) {
            return Err(problem.into());
        }
        let passages = self.passages()?;
        let again = manifest
            .accounts
            .iter()
            .find(|account| passages.closed.contains(&account.ledger_name()));
        if let Some(account) = again {
            let text = format!(
                "generation {} of account '{}' is closed for good; give it a higher one",
                account.generation, account.name
            );
            let problem = Problem::new(Code::BadField, text).field("generation");
            return Err(problem.into());
        }
        // Its fence may still let something through.
        let waits = passages
            .gone
            .iter()
            .filter(|gone| gone.to_close)
            .find_map(|gone| successor(&gone.account, manifest));
        if let Some(account) = waits {
            let text = format!(
                "the ledger that account '{}' had before is not closed yet; it is told until it is, so try again",
                account.name
            );
            let problem = Problem::new(Code::Conflict, text).field("accounts");
            return Err(problem.into());
        }
        Ok(old)
    }

    /// What becomes of accounts that leave the manifest or get another Ledger.
    pub(crate) fn passages(&self) -> Result<Passages, LedgerError> {
        Ok(self.get(PASSAGES)?.unwrap_or_default())
    }

    /// Changes that inside a transaction, where `work` says that it did.
    fn edit(&self, work: &mut dyn FnMut(&mut Passages) -> bool) -> Result<(), LedgerError> {
        let mut passages = self.passages()?;
        if work(&mut passages) {
            self.put(PASSAGES, &passages)?;
        }
        Ok(())
    }

    /// Changes that, in one transaction.
    pub(crate) fn note(
        &self,
        work: &mut dyn FnMut(&mut Passages) -> bool,
    ) -> Result<(), LedgerError> {
        atomic(self.store, || self.edit(work))
    }

    /// Begins to put a manifest into force that raises generations. The alarm that goes on with it is part of it.
    ///
    /// # Errors
    /// `CONFLICT` where its version is not the next one.
    pub(crate) fn begin(&self, pending: &Pending, now: Timestamp) -> Result<(), ControlError> {
        atomic(self.store, || {
            let old = self.get::<Published>(MANIFEST)?;
            let mut problem = not_next(old.as_ref(), &pending.manifest);
            self.edit(&mut |passages| {
                if passages.pending.is_some() {
                    problem = Some(under_way(pending.manifest.version));
                }
                if problem.is_none() {
                    passages.pending = Some(pending.clone());
                }
                problem.is_none()
            })?;
            self.publish_again(now)?;
            Ok(problem.map_or(Ok(()), Err))
        })?
        .map_err(ControlError::from)
    }

    /// Puts the manifest into force whose Ledgers have taken over. Another one that is pending by now is not: its
    /// Ledgers may have nothing yet.
    pub(crate) fn commit(&self, moved: &Pending, now: Timestamp) -> Result<(), LedgerError> {
        atomic(self.store, || {
            let pending = self.passages()?.pending;
            let pending = pending.filter(|pending| pending.is(moved));
            let (Some(pending), Some(old)) = (pending, self.get::<Published>(MANIFEST)?) else {
                return Ok(());
            };
            self.edit(&mut |passages| {
                let moved = replaced(&old.manifest, &pending.manifest, passages);
                let names = moved.iter().map(|(account, _)| account.ledger_name());
                let names: Vec<String> = names.collect();
                // One that has handed over has nothing left to do.
                passages
                    .gone
                    .retain(|gone| !names.contains(&gone.account.ledger_name()));
                passages.closed.extend(names);
                passages.moved = pending.manifest.version;
                passages.pending = None;
                true
            })?;
            self.replace(Some(old), &pending.manifest, pending.reason.as_deref(), now)
        })
    }

    /// Whether exactly this manifest is in force and came there by hand-overs: who had no answer sends it again.
    pub(crate) fn is_moved_to(
        &self,
        manifest: &Manifest,
        passages: &Passages,
    ) -> Result<bool, LedgerError> {
        if passages.moved != manifest.version {
            return Ok(false);
        }
        let present = self.get::<Published>(MANIFEST)?;
        Ok(present.is_some_and(|present| present.manifest == *manifest))
    }

    /// Changes one sender of the present manifest, whose version rises by one; and of the one that is being put into
    /// force, which comes after it.
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
                return Ok(Err(no_manifest()));
            };
            let new = match old.manifest.with_change(change, now) {
                Ok(new) => new,
                Err(refusal) => return Ok(Err(refusal.into())),
            };
            self.edit(&mut |passages| {
                let Some(pending) = &mut passages.pending else {
                    return false;
                };
                if let Ok(changed) = pending.manifest.with_change(change, now) {
                    pending.manifest = changed;
                }
                pending.manifest.version = new.version.saturating_add(1);
                true
            })?;
            inbox::forget(self.store, &old.manifest.senders, &new)?;
            self.put(MANIFEST, &old.replaced_by(new, now))?;
            self.publish_again(now)?;
            Ok(Ok(()))
        })?
        .map_err(ControlError::from)
    }

    /// Changes one operator. The manifest and its version stay as they are; the alarm that publishes the change is part
    /// of it.
    ///
    /// # Errors
    /// `NOT_CONFIGURED` before the first manifest, else as of [`Operators::with_change`](hoox_auth::Operators::with_change).
    pub fn change_operators(
        &self,
        change: &OperatorChange,
        now: Timestamp,
    ) -> Result<(), ControlError> {
        atomic(self.store, || {
            let Some(old) = self.get::<Published>(MANIFEST)? else {
                return Ok(Err(no_manifest()));
            };
            let operators = match old.operators.with_change(change, now) {
                Ok(operators) => operators,
                Err(refusal) => return Ok(Err(refusal.into())),
            };
            if operators != old.operators {
                self.put(MANIFEST, &Published { operators, ..old })?;
                self.publish_again(now)?;
            }
            Ok(Ok(()))
        })?
        .map_err(ControlError::from)
    }

    /// How many rows Control itself has written today. Where those of the Ledgers are given, it goes by them from now on.
    ///
    /// # Errors
    /// [`ControlError::Ledger`] where storage failed.
    pub fn count_rows(
        &self,
        others: Option<RowsOfOthers>,
        now: Timestamp,
    ) -> Result<RowCount, ControlError> {
        let keep = |kept: &Kept| self.put(ROWS, kept);
        let stored = || self.kept_rows();
        Ok(quota::of_control(self.store, now, others, stored, keep)?)
    }

    /// Stores what it has counted of its rows, if that is enough to be worth one.
    ///
    /// # Errors
    /// [`ControlError::Ledger`] where storage failed.
    pub fn keep_rows(&self, now: Timestamp) -> Result<(), ControlError> {
        let keep = |kept: &Kept| self.put(ROWS, kept);
        let stored = || self.kept_rows();
        Ok(quota::keep_of_control(self.store, now, stored, keep)?)
    }

    /// The rows that all objects together may write on a day; `None` where nothing limits them.
    ///
    /// # Errors
    /// [`ControlError::Ledger`] where storage failed.
    pub fn rows_a_day(&self) -> Result<Option<u64>, ControlError> {
        let known = self.published()?;
        Ok(known.map_or(Some(ROWS_A_DAY), |known| known.manifest.rows_a_day))
    }

    fn kept_rows(&self) -> Result<Option<Kept>, LedgerError> {
        match self.get(ROWS) {
            // A count that cannot be read must not stop anything else.
            Err(LedgerError::Corrupt(_)) => Ok(None),
            kept => kept,
        }
    }

    /// Keeps a refused alert in the inbox, or counts some. Before the first manifest there is none, and nothing is
    /// written while entries are refused because of the rows of the day: what refuses them must not use up the rest.
    ///
    /// # Errors
    /// [`ControlError::Ledger`] where storage failed.
    pub fn keep_refusal(
        &self,
        note: &InboxNote<Box<RawValue>>,
        now: Timestamp,
    ) -> Result<(), ControlError> {
        if self.count_rows(None, now)?.entries_refused {
            return Ok(());
        }
        if let Some(known) = self.published()? {
            inbox::take(self.store, &known.manifest, note, now)?;
        }
        Ok(())
    }

    /// A page of the inbox, as JSON.
    ///
    /// # Errors
    /// `NOT_CONFIGURED` before the first manifest, `BAD_FIELD` for a page that cannot be.
    pub fn refusals(&self, asked: &InboxRequest) -> Result<String, ControlError> {
        let Some(known) = self.published()? else {
            return Err(no_manifest().into());
        };
        inbox::list(self.store, &known.manifest, asked)?.map_err(ControlError::from)
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
            flatten_revision: None,
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
            let present = self.present_kill()?;
            // Only `off` ends it: a Ledger that was not told of it yet hears of it with this change.
            let kept = present
                .flatten_asked()
                .filter(|_| change.mode != KillMode::Off && !change.flatten);
            let state = KillState {
                revision: present.revision.saturating_add(1),
                mode: change.mode,
                reason: change.reason.clone(),
                since: now,
                flatten: change.flatten || kept.is_some(),
                flatten_revision: kept,
            };
            self.put(KILL, &state)?;
            self.publish_again(now)?;
            Ok(state)
        })?;
        Ok(state)
    }

    /// What each account's Ledger must know, in the order of the manifest; then accounts that are in it
    /// no more, on which nobody may trade. A Ledger that has handed over need know nothing any more.
    ///
    /// # Errors
    /// [`ControlError::Ledger`] where storage failed.
    pub fn ledgers(&self) -> Result<Vec<Configure>, ControlError> {
        let Some(Published {
            manifest, history, ..
        }) = self.published()?
        else {
            return Ok(Vec::new());
        };
        let kill = self.kill()?;
        let known = |account: &Account| configured(&manifest, account, &kill);
        let mut ledgers: Vec<Configure> = manifest.accounts.iter().map(known).collect();
        let Passages { gone, closed, .. } = self.passages()?;
        let gone = gone.iter().map(|gone| &gone.account);
        let past = history.iter().flat_map(|past| &past.accounts);
        let past = past.filter(|account| !closed.contains(&account.ledger_name()));
        for account in gone.chain(past) {
            let name = account.ledger_name();
            if !ledgers
                .iter()
                .any(|known| known.account.ledger_name() == name)
            {
                ledgers.push(Configure {
                    senders: Vec::new(),
                    ..configured(&manifest, account, &kill)
                });
            }
        }
        Ok(ledgers)
    }
}

fn no_manifest() -> Problem {
    Problem::new(
        Code::NotConfigured,
        "there is no manifest yet; put one with PUT /v1/manifest",
    )
}

/// What a Ledger must know of a manifest.
pub(crate) fn configured(manifest: &Manifest, account: &Account, kill: &KillState) -> Configure {
    let senders = manifest.senders.iter();
    let trades = |sender: &&Sender| sender.permission == Permission::Trade;
    let usable = senders
        .filter(trades)
        .filter(|sender| sender.may_use(account));
    Configure {
        manifest_version: manifest.version,
        account: account.clone(),
        senders: usable.map(|sender| sender.id.clone()).collect(),
        kill: kill.clone(),
    }
}

fn has_ledger(manifest: &Manifest, account: &Account) -> bool {
    let name = account.ledger_name();
    let mut accounts = manifest.accounts.iter();
    accounts.any(|other| other.ledger_name() == name)
}

/// Why a manifest cannot follow the present one.
fn not_next(old: Option<&Published>, manifest: &Manifest) -> Option<Problem> {
    let present = old.map_or(0, |old| old.manifest.version);
    if present.checked_add(1) == Some(manifest.version) {
        return None;
    }
    let text = format!(
        "the manifest has version {present}, so the next one must have version {}, not {}; \
         read it again and repeat the change",
        present.saturating_add(1),
        manifest.version
    );
    Some(Problem::new(Code::Conflict, text).field("version"))
}

/// Another manifest than the one that is asked for is being put into force.
pub(crate) fn under_way(version: u64) -> Problem {
    let text = format!(
        "another version {version} is being put into force, because a ledger has to take over from the generation before; \
         read the manifest again in a moment and repeat the change"
    );
    Problem::new(Code::Conflict, text)
        .field("version")
        .retry_after(5)
}
