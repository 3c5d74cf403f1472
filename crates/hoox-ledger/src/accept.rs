//! Accepting a signal: one synchronous transaction decides and journals.

use hoox_auth::OPERATOR;
use hoox_exchange::Clock;
use hoox_mesh::{Accept, KillMode, Problem, SeenRequest, SignalStatus, SignalView};
use hoox_model::{Code, Decimal, Name, SignalId, Timestamp};
use hoox_signal::{Action, Identity, Target};
use hoox_store::Value;

use crate::drive::Ledger;
use crate::journal::{self, Config};
use crate::port::{LedgerError, Ports, Store, atomic, new_signal_id};
use crate::row::{OrderRow, SignalData, SignalRow, at, select_one, text};

/// When the alarm takes over a signal whose own request did not finish it.
const RECOVERY_MS: i64 = 1_000;
/// Open signals with which a Ledger takes no more entries.
const MAX_OPEN: i64 = 1_000;
/// Open signals with which it takes nothing more: exits have room that entries cannot use up.
const MAX_OPEN_EXITS: i64 = 1_200;

/// A journaled signal.
#[derive(Debug, Clone, PartialEq)]
pub struct Accepted {
    /// Its id.
    pub id: SignalId,
    /// How it stands.
    pub view: SignalView,
}

impl<P: Ports> Ledger<P> {
    /// Whether this Ledger has taken a signal before, asked by the Ledger that the same alert would go
    /// to now. From here on this one takes nothing that was decided by an older manifest: its "no" is
    /// one for good, even where Control's word has not reached it yet.
    ///
    /// # Errors
    /// `DUPLICATE` or `KEY_REUSED` where it has, `NOT_CONFIRMED` where storage failed.
    pub fn seen(&self, request: &SeenRequest) -> Result<(), Problem> {
        let (store, now) = (self.ports().store(), self.ports().clock().now());
        let found = atomic(store, || {
            journal::raise_floor(store, request.manifest_version)?;
            duplicate(store, &request.sender, &request.identity, now)
        });
        match found {
            Ok(None) => Ok(()),
            Ok(Some(problem)) => Err(*problem),
            Err(error) => Err(error.into()),
        }
    }

    /// Journals a signal, or refuses it. After `Ok` the signal is as durable as the transaction, and
    /// the alarm that finishes it was set within.
    ///
    /// The same request id is answered with the same signal, however often it comes.
    ///
    /// # Errors
    /// [`Problem`] with the contract's code: `DUPLICATE`, `KEY_REUSED`, `KILL_SWITCH`, `RATE_LIMITED`,
    /// `STALE`, `NOT_PERMITTED`, or `NOT_CONFIRMED` where storage failed.
    pub fn accept(&self, message: &Accept) -> Result<Accepted, Problem> {
        let store = self.ports().store();
        let now = self.ports().clock().now();
        let outcome = atomic(store, || match outdated(store, message)? {
            Some(problem) => Ok(Err(problem)),
            None => self.decide(store, message, now),
        });
        match outcome {
            Ok(Ok(accepted)) => Ok(accepted),
            Ok(Err(problem)) => Err(*problem),
            Err(error) => Err(error.into()),
        }
    }

    /// The decision and the journal, inside a transaction.
    pub(crate) fn decide(
        &self,
        store: &P::Store,
        message: &Accept,
        now: Timestamp,
    ) -> Result<Result<Accepted, Box<Problem>>, LedgerError> {
        if let Some(row) = by_request(store, message)? {
            return repeated(store, &row);
        }
        let known = journal::config(store)?;
        if let Some(problem) = known.as_ref().and_then(|known| misplaced(known, message)) {
            return Ok(Err(problem));
        }
        let (version, account) = (message.manifest_version, &message.account);
        let config = journal::set_config(store, known.as_ref(), version, account, None)?;
        if let Some(problem) = duplicate(store, &message.sender, &message.identity, now)? {
            return Ok(Err(problem));
        }
        if let Some(problem) = barred(store, &config, message, now)? {
            return Ok(Err(problem));
        }
        let mut row = self.row(message, now)?;
        if let Some(problem) = killed(store, message, &mut row, now)? {
            return Ok(Err(problem));
        }
        journal(store, message, &row, now)?;
        Ok(Ok(Accepted {
            id: row.id.clone(),
            view: row.view(&[]),
        }))
    }

    fn row(&self, message: &Accept, now: Timestamp) -> Result<SignalRow, LedgerError> {
        let signal = &message.signal;
        Ok(SignalRow {
            seq: 0,
            id: new_signal_id(self.ports().random(), now)?,
            request_id: message.request_id.clone(),
            sender: message.sender.clone(),
            product: signal
                .symbol
                .product
                .unwrap_or(message.account.default_product),
            symbol: signal.symbol.symbol.clone(),
            entry: signal.is_entry(),
            status: SignalStatus::Received,
            open: true,
            blocking: true,
            due_at: now,
            attempts: 0,
            received_at: message.received_at,
            deadline: signal.deadline(message.received_at),
            revision: journal::next_revision(0, now),
            data: SignalData {
                account: message.account.name.clone(),
                signal: signal.clone(),
                body: message.body.clone(),
                notes: signal.notes.clone(),
                code: None,
                message: None,
                dry_run: Vec::new(),
                replayed_as: None,
            },
            dead: false,
        })
    }
}

fn journal(
    store: &impl Store,
    message: &Accept,
    row: &SignalRow,
    now: Timestamp,
) -> Result<(), LedgerError> {
    insert(store, message, row, now)?;
    store.query(
        "INSERT INTO identity (sender, key, content_hash, signal_id, expires_at) VALUES (?1, ?2, ?3, ?4, ?5) \
         ON CONFLICT DO UPDATE SET content_hash = excluded.content_hash, signal_id = excluded.signal_id, \
         expires_at = excluded.expires_at",
        &[
            text(message.sender.as_str()),
            text(message.identity.key.as_str()),
            text(message.identity.content_hash.as_str()),
            text(row.id.as_str()),
            at(now.plus_millis(message.identity.window_ms)),
        ],
    )?;
    Ok(())
}

/// Inserts the row with its record and sets the alarm: for what was due before, or for what the
/// request that brought this signal does not finish itself.
fn insert(
    store: &impl Store,
    message: &Accept,
    row: &SignalRow,
    now: Timestamp,
) -> Result<(), LedgerError> {
    let recovery = now.plus_millis(RECOVERY_MS);
    let due = journal::next_alarm(store, now)?.map_or(recovery, |due| due.min(recovery));
    row.insert(store)?;
    let record = journal::signal_record(&message.account, row, now).into();
    journal::enqueue(store, row.revision, &record)?;
    store.set_alarm(due)?;
    Ok(())
}

/// A signal that was decided for another Ledger: one serves one account in one environment and
/// generation, and where the gateway decided by an older manifest the alert may belong elsewhere.
fn misplaced(known: &Config, message: &Accept) -> Option<Box<Problem>> {
    let (own, asked) = (known.account.ledger_name(), message.account.ledger_name());
    if own != asked {
        let text = format!("a signal for {asked} reached the ledger of {own}; nothing was done");
        return Some(Box::new(Problem::new(Code::Internal, text)));
    }
    (known.manifest_version > message.manifest_version)
        .then(|| Box::new(decided_by_an_older_one(known.manifest_version)))
}

fn decided_by_an_older_one(version: u64) -> Problem {
    let text = format!("the manifest has version {version} by now; read it again and decide anew");
    Problem::new(Code::Conflict, text)
}

/// A new signal decided by an older manifest than the one by which another Ledger was told that it is
/// not here.
fn outdated(store: &impl Store, message: &Accept) -> Result<Option<Box<Problem>>, LedgerError> {
    let floor = journal::floor(store)?;
    if floor <= message.manifest_version || by_request(store, message)?.is_some() {
        return Ok(None);
    }
    Ok(Some(Box::new(decided_by_an_older_one(floor))))
}

fn by_request(store: &impl Store, message: &Accept) -> Result<Option<SignalRow>, LedgerError> {
    let request = text(message.request_id.as_str());
    SignalRow::find(store, "request_id = ?1", &[request])
}

/// The same request came again: the same answer.
fn repeated(
    store: &impl Store,
    row: &SignalRow,
) -> Result<Result<Accepted, Box<Problem>>, LedgerError> {
    let view = row.view(&OrderRow::of(store, &row.id)?);
    if row.status == SignalStatus::Refused && row.data.code == Some(Code::KillSwitch) {
        return Ok(Err(Box::new(
            kill_problem(row.data.message.clone().unwrap_or_default()).signal(view),
        )));
    }
    Ok(Ok(Accepted {
        id: row.id.clone(),
        view,
    }))
}

/// The same signal came before, within its window.
fn duplicate(
    store: &impl Store,
    sender: &Name,
    identity: &Identity,
    now: Timestamp,
) -> Result<Option<Box<Problem>>, LedgerError> {
    let found = select_one(
        store,
        "SELECT signal_id, content_hash FROM identity WHERE sender = ?1 AND key = ?2 AND expires_at > ?3",
        &[text(sender.as_str()), text(identity.key.as_str()), at(now)],
    )?;
    let Some(cells) = found else { return Ok(None) };
    let first: SignalId = cells.parsed(0)?;
    let Some(row) = SignalRow::by_id(store, &first)? else {
        return Ok(None);
    };
    let problem = if cells.text(1)? == identity.content_hash {
        Problem::new(
            Code::Duplicate,
            format!(
                "this signal came before as {first} and is {}; nothing was done again",
                row.status.as_str()
            ),
        )
    } else {
        Problem::new(
            Code::KeyReused,
            format!("the idempotency key was used by {first} with other content; use a new key for a new signal"),
        )
        .field("idempotencyKey")
    };
    let view = row.view(&OrderRow::of(store, &first)?);
    Ok(Some(Box::new(problem.signal(view))))
}

/// Sender, staleness, depth and rate.
fn barred(
    store: &impl Store,
    config: &Config,
    message: &Accept,
    now: Timestamp,
) -> Result<Option<Box<Problem>>, LedgerError> {
    if is_revoked(config, message) {
        let text = "this sender may not trade on this account any more";
        return Ok(Some(Box::new(Problem::new(Code::NotPermitted, text))));
    }
    if now > message.signal.deadline(message.received_at) {
        let text = "the signal is older than its maxLag, so it is not carried out";
        return Ok(Some(Box::new(
            Problem::new(Code::Stale, text).field("timestamp"),
        )));
    }
    if let Some(problem) = too_deep(store, message)? {
        return Ok(Some(problem));
    }
    if !message.signal.is_entry() {
        return Ok(None);
    }
    too_many_entries(store, message, now)
}

/// Whether the sender is one that Control has struck off. Where the gateway decided by a newer
/// manifest than the one whose senders are known here, its word counts.
fn is_revoked(config: &Config, message: &Accept) -> bool {
    message.sender.as_str() != OPERATOR
        && config.senders_version >= message.manifest_version
        && config
            .senders
            .as_ref()
            .is_some_and(|senders| !senders.contains(&message.sender))
}

fn too_deep(store: &impl Store, message: &Accept) -> Result<Option<Box<Problem>>, LedgerError> {
    let open = select_one(store, "SELECT COUNT(*) FROM signal WHERE open = 1", &[])?
        .map_or(Ok(0), |cells| cells.integer(0))?;
    let limit = if message.signal.is_entry() {
        MAX_OPEN
    } else {
        MAX_OPEN_EXITS
    };
    if open < limit {
        return Ok(None);
    }
    let text =
        format!("{open} signals of this account wait to be carried out; no more are taken now");
    Ok(Some(Box::new(
        Problem::new(Code::RateLimited, text).retry_after(60),
    )))
}

fn too_many_entries(
    store: &impl Store,
    message: &Accept,
    now: Timestamp,
) -> Result<Option<Box<Problem>>, LedgerError> {
    let window = i64::from(message.entry_rate.seconds).saturating_mul(1000);
    let count = i64::from(message.entry_rate.count);
    // The entry that must leave the window before another one may come in.
    let oldest = select_one(
        store,
        "SELECT received_at FROM signal WHERE entry = 1 AND sender = ?1 AND received_at > ?2 \
         ORDER BY received_at DESC LIMIT 1 OFFSET ?3",
        &[
            text(message.sender.as_str()),
            at(now.plus_millis(window.saturating_neg())),
            Value::Integer(count.saturating_sub(1).max(0)),
        ],
    )?;
    let Some(cells) = oldest else { return Ok(None) };
    let free_at = Timestamp::from_millis(cells.integer(0)?.saturating_add(window));
    let wait =
        u32::try_from(free_at.since(now).max(1).saturating_add(999) / 1000).unwrap_or(u32::MAX);
    let text = format!(
        "this sender made {count} entries within {} s, which is its limit; try again in {wait} s",
        message.entry_rate.seconds
    );
    Ok(Some(Box::new(
        Problem::new(Code::RateLimited, text).retry_after(wait),
    )))
}

/// The kill switch: a refused signal is journaled, without taking the identity, so that a resend after
/// the switch is off again may trade.
fn killed(
    store: &impl Store,
    message: &Accept,
    row: &mut SignalRow,
    now: Timestamp,
) -> Result<Option<Box<Problem>>, LedgerError> {
    let Some(kill) = journal::kill(store)? else {
        if !row.entry {
            return Ok(None);
        }
        let text = "this account does not know the kill switch's mode yet, so no entry is taken; send it again";
        return Ok(Some(Box::new(Problem::new(Code::NotConfirmed, text))));
    };
    let held =
        journal::holding(store, row.product, &row.symbol)?.map_or(Decimal::ZERO, |h| h.quantity);
    let passes = match kill.mode {
        KillMode::Off => true,
        KillMode::Entries => !row.entry || reduces(message.signal.action, held),
        KillMode::All => false,
    };
    if passes {
        return Ok(None);
    }
    let text = format!(
        "the kill switch is engaged ({}), so the signal is journaled and not carried out",
        kill.mode.as_str()
    );
    row.end(
        SignalStatus::Refused,
        Some(Code::KillSwitch),
        Some(text.clone()),
    );
    row.open = false;
    insert(store, message, row, now)?;
    Ok(Some(Box::new(kill_problem(text).signal(row.view(&[])))))
}

fn kill_problem(text: String) -> Problem {
    Problem::new(Code::KillSwitch, text)
}

/// Whether an entry would first make the position that Hoox knows of smaller.
fn reduces(action: Action, held: Decimal) -> bool {
    match action {
        Action::Long | Action::Buy | Action::Target(Target::Long(_)) => held < Decimal::ZERO,
        Action::Short | Action::Sell | Action::Target(Target::Short(_)) => held > Decimal::ZERO,
        Action::Reverse => !held.is_zero(),
        Action::CloseLong
        | Action::CloseShort
        | Action::Close
        | Action::Cancel
        | Action::Target(Target::Flat) => true,
    }
}
