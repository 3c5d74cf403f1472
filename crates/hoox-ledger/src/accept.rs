//! Accepting a signal: one synchronous transaction decides and journals.

use hoox_auth::OPERATOR;
use hoox_exchange::Clock;
use hoox_mesh::{Accept, KillMode, Problem, SeenRequest, SignalStatus, SignalView};
use hoox_model::{Code, Decimal, Name, OrderKind, PositionSide, RequestId, SignalId, Timestamp};
use hoox_risk::Refused;
use hoox_signal::{Action, Identity, Signal, Target};
use hoox_store::Value;
use serde::{Deserialize, Serialize};

use crate::drive::Ledger;
use crate::exit::{Exit, note_turning, opened, sum};
use crate::journal::{self, Closed, Config, Holding};
use crate::lanes::Lanes;
use crate::memory::Remembered;
use crate::outbox;
use crate::port::{LedgerError, Ports, Store, atomic, new_signal_id};
use crate::quota;
use crate::row::{Fences, OrderRow, SignalData, SignalRow, at, select, select_one, text};
use crate::theirs::theirs;

/// When the alarm takes over a signal whose own request did not finish it.
const RECOVERY_MS: i64 = 1_000;
/// How long our record of a position is taken for what is held.
const RECORD_MS: i64 = 60_000;
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
        journal::enter(store, self.ports().lanes()).map_err(Problem::from)?;
        let found = atomic(store, || {
            journal::raise_floor(store, request.manifest_version)?;
            let taken = taken(store, &request.sender, &request.identity)?;
            let known = duplicate(store, &request.identity, taken, now)?;
            if known.is_none() {
                // Only the living instance can say no: it writes.
                journal::mark(store, self.ports().lanes())?;
            }
            Ok(known)
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
        // Before there is a signal of this instance, which its count has.
        quota::report(store, now)?;
        if let Some(problem) = closed(store, now)? {
            return Ok(Err(problem));
        }
        let known = journal::config(store)?;
        if let Some(problem) = known.as_ref().and_then(|known| misplaced(known, message)) {
            return Ok(Err(problem));
        }
        let (version, account) = (message.manifest_version, &message.account);
        let config = journal::set_config(store, known.as_ref(), version, account, None)?;
        let taken = taken(store, &message.sender, &message.identity)?;
        if let Some(row) = merged_before(store, message, taken.as_ref())? {
            return repeated(store, &row);
        }
        if let Some(problem) = duplicate(store, &message.identity, taken, now)? {
            return Ok(Err(problem));
        }
        let mut row = self.row(message, now)?;
        let newer = newer_alerts(store, &row)?;
        self.surroundings(&mut row, &newer)?;
        if let Some(problem) = barred(store, &config, message, &mut row, now)? {
            return Ok(Err(problem));
        }
        let lanes = self.ports().lanes();
        if let Some(problem) = out_of_order(store, lanes, message, &mut row, &newer, now)? {
            return Ok(Err(problem));
        }
        if let Some(accepted) = merge(store, message, &row, now)? {
            return Ok(Ok(accepted));
        }
        // One that is carried out with another needs no room of its own.
        if !row.entry
            && let Some(problem) = too_deep(store, message)?
        {
            return Ok(Err(problem));
        }
        if let Some(problem) = killed(store, lanes, message, &mut row, now)? {
            return Ok(Err(problem));
        }
        note_target(store, message, &row)?;
        journal(store, lanes, message, &row, now)?;
        Ok(Ok(Accepted {
            id: row.id.clone(),
            view: row.view(&[]),
        }))
    }

    fn row(&self, message: &Accept, now: Timestamp) -> Result<SignalRow, LedgerError> {
        let signal = &message.signal;
        let closing = signal.closing();
        let fences = match closing {
            Some(closing) if closing.whole && !signal.is_entry() && !signal.dry_run => {
                Fences::of(closing.side)
            }
            _ => Fences::None,
        };
        let mut row = SignalRow {
            // Until it is stored nothing was taken after it.
            seq: i64::MAX,
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
                manifest_version: message.manifest_version,
                identity: Some(message.identity.key.clone()),
                exit: closing.map(|closing| {
                    let lives_until = if signal.is_entry() {
                        signal.exit_deadline(message.received_at)
                    } else {
                        signal.deadline(message.received_at)
                    };
                    Exit::new(closing.whole, closing.side, now, lives_until)
                }),
                opening_refused: None,
                incomplete: false,
                known: None,
                cancelled: 0,
                called_at: None,
            },
            dead: false,
            closing: closing.is_some() || signal.action == Action::Cancel,
            holds_until: Timestamp::from_millis(0),
            fences,
            strategy: signal.strategy.clone().unwrap_or_default(),
            // A dry run brings nothing about, so nothing is older or newer than it.
            alert_at: signal
                .fired_at(message.received_at)
                .filter(|_| !signal.dry_run),
            held_up: false,
            indexed: core::cell::Cell::default(),
        };
        row.holds_until = row.hold(now);
        Ok(row)
    }

    /// What stands beside an exit when it is taken: our record of the position, the entries before it that
    /// have no outcome, and those whose alerts fired later than its own.
    fn surroundings(&self, row: &mut SignalRow, newer: &[SignalRow]) -> Result<(), LedgerError> {
        let store = self.ports().store();
        let Some(exit) = &mut row.data.exit else {
            return Ok(());
        };
        let held = journal::holding(store, row.product, &row.symbol)?;
        exit.record = held.map(|held| held.quantity);
        // What has sent nothing yet a pure exit keeps from being sent; a flip comes after it in turn.
        let older = if row.entry {
            "SELECT id FROM signal WHERE open = 1 AND product = +?1 AND symbol = +?2 AND entry = 1 \
             ORDER BY seq DESC LIMIT 50"
        } else {
            "SELECT DISTINCT signal_id FROM orders WHERE live = 1 AND product = +?1 AND symbol = +?2 AND closes = 0 \
             LIMIT 50"
        };
        let params = [text(row.product.as_str()), text(row.symbol.as_str())];
        let entries = newer.iter().filter(|newer| newer.data.signal.is_entry());
        exit.newer.extend(entries.map(|newer| newer.id.clone()));
        let (mut long, mut short) = exit.filled_before;
        for cells in select(store, older, &params)? {
            let id = cells.parsed(0)?;
            if exit.newer.contains(&id) {
                continue;
            }
            let orders = OrderRow::of(store, &id)?;
            let of_side = |side| opened(&orders, Some(side));
            long = sum([long, of_side(PositionSide::Long)].into_iter());
            short = sum([short, of_side(PositionSide::Short)].into_iter());
            exit.older.push((id, opened(&orders, exit.side)));
        }
        exit.filled_before = (long, short);
        // Without a record `reverse` and `target` say themselves that they are about what is held.
        let action = row.data.signal.action;
        let about_held = matches!(action, Action::Reverse | Action::Target(_));
        let old = held.map_or(about_held, |held| {
            exit.taken_at.since(held.seen_at) >= RECORD_MS
        });
        let mut exit = exit.clone();
        note_turning(store, row, &mut exit, held.as_ref())?;
        exit.unsure = old || !exit.older.is_empty() || !exit.turning.is_empty();
        let (side, _) = Holding::split(exit.record.unwrap_or_default());
        let held = theirs(store, row, &exit, side)?.known;
        row.data.exit = Some(Exit {
            newer_held: held,
            ..exit
        });
        Ok(())
    }
}

fn journal(
    store: &impl Store,
    lanes: &Lanes,
    message: &Accept,
    row: &SignalRow,
    now: Timestamp,
) -> Result<(), LedgerError> {
    if let Some(exit) = row.data.exit.as_ref().filter(|_| row.closing) {
        journal::wake_older(store, exit, now)?;
    }
    insert(store, lanes, row, now)?;
    store.query(REMEMBER, &remembered(message, &row.id, None, now))?;
    Ok(())
}

/// Writes an identity.
const REMEMBER: &str = "INSERT INTO identity (sender, key, content_hash, signal_id, expires_at, request_id) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO UPDATE SET content_hash = excluded.content_hash, \
     signal_id = excluded.signal_id, expires_at = excluded.expires_at, request_id = excluded.request_id";

/// `request` is the request that was answered with an earlier signal.
fn remembered(
    message: &Accept,
    signal: &SignalId,
    request: Option<&RequestId>,
    now: Timestamp,
) -> [Value; 6] {
    [
        text(message.sender.as_str()),
        text(message.identity.key.as_str()),
        text(message.identity.content_hash.as_str()),
        text(signal.as_str()),
        at(now.plus_millis(message.identity.window_ms)),
        request.map_or(Value::Null, |request| text(request.as_str())),
    ]
}

/// An identity that is stored.
struct Taken {
    signal: SignalId,
    content_hash: String,
    expires_at: Timestamp,
    /// The request that was answered with an earlier signal.
    request: Option<String>,
}

fn taken(
    store: &impl Store,
    sender: &Name,
    identity: &Identity,
) -> Result<Option<Taken>, LedgerError> {
    select_one(
        store,
        "SELECT signal_id, content_hash, expires_at, COALESCE(request_id, '') FROM identity WHERE sender = +?1 AND key = +?2",
        &[text(sender.as_str()), text(identity.key.as_str())],
    )?
    .map(|cells| {
        Ok(Taken {
            signal: cells.parsed(0)?,
            content_hash: cells.text(1)?.to_owned(),
            expires_at: Timestamp::from_millis(cells.integer(2)?),
            request: Some(cells.text(3)?.to_owned()).filter(|request| !request.is_empty()),
        })
    })
    .transpose()
}

/// The signal that the same request was answered with before, where that was not one of its own.
fn merged_before(
    store: &impl Store,
    message: &Accept,
    taken: Option<&Taken>,
) -> Result<Option<SignalRow>, LedgerError> {
    let same = |taken: &&Taken| taken.request.as_deref() == Some(message.request_id.as_str());
    match taken.filter(same) {
        Some(taken) => SignalRow::by_id(store, &taken.signal),
        None => Ok(None),
    }
}

/// Signals of the same sender, symbol and strategy whose alerts fired in a later second.
fn newer_alerts(store: &impl Store, row: &SignalRow) -> Result<Vec<SignalRow>, LedgerError> {
    let Some(own) = row.alert_at else {
        return Ok(Vec::new());
    };
    let next_second = own
        .as_millis()
        .div_euclid(1000)
        .saturating_add(1)
        .saturating_mul(1000);
    let found = select(
        store,
        "SELECT id FROM signal WHERE sender = +?1 AND product = +?2 AND symbol = +?3 AND alert_at >= +?4 \
         AND strategy = +?5 ORDER BY alert_at LIMIT 100",
        &[
            text(row.sender.as_str()),
            text(row.product.as_str()),
            text(row.symbol.as_str()),
            Value::Integer(next_second),
            text(row.strategy.as_str()),
        ],
    )?;
    let mut newer = Vec::with_capacity(found.len());
    for cells in &found {
        newer.extend(SignalRow::readable(store, &cells.parsed(0)?)?);
    }
    Ok(newer)
}

/// The side that an entry opens, `None` for both.
const fn entry_side(action: Action) -> Option<PositionSide> {
    match action {
        Action::Long | Action::Buy | Action::Target(Target::Long(_)) => Some(PositionSide::Long),
        Action::Short | Action::Sell | Action::Target(Target::Short(_)) => {
            Some(PositionSide::Short)
        }
        _ => None,
    }
}

/// Whether carrying out `old` after `new`, whose alert fired later, would undo it.
fn undoes(old: &Signal, new: &SignalRow) -> bool {
    let (own, other) = (entry_side(old.action), entry_side(new.data.signal.action));
    let newer = &new.data.signal;
    let exits = newer.closing().is_some_and(|closing| {
        let same = match (closing.side, own) {
            (Some(closes), Some(opens)) => closes == opens,
            _ => true,
        };
        closing.whole && !newer.is_entry() && same
    });
    let targets = matches!(newer.action, Action::Target(_));
    exits || targets || (newer.is_entry() && (own.is_none() || own != other))
}

/// A refusal of an alert that would undo what a newer one of its strategy brought about. It is journaled, without taking
/// the identity.
fn out_of_order(
    store: &impl Store,
    lanes: &Lanes,
    message: &Accept,
    row: &mut SignalRow,
    newer: &[SignalRow],
    now: Timestamp,
) -> Result<Option<Box<Problem>>, LedgerError> {
    let signal = &message.signal;
    let is_target = matches!(signal.action, Action::Target(_));
    if signal.dry_run || !(signal.is_entry() || is_target) {
        return Ok(None);
    }
    let undone = newer.iter().find(|newer| undoes(signal, newer));
    let text = if let Some(newer) = undone {
        format!(
            "{} of the same strategy fired later and was taken before, so this older alert is not carried out",
            newer.id
        )
    } else if is_target && is_older_target(store, message, row)? {
        "the strategy's position before its order (prevMarketPosition) shows that a later alert was taken before this \
         one, so it is not carried out"
            .to_owned()
    } else {
        return Ok(None);
    };
    refuse_journaled(store, lanes, row, Code::OutOfOrder, &text, now).map(Some)
}

/// A target of a strategy that was taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct TakenTarget {
    state: Target,
    previous: Option<Target>,
    alert_at: Option<Timestamp>,
    received_at: Timestamp,
}

fn targets_key(row: &SignalRow) -> String {
    let (product, strategy) = (row.product, &row.strategy);
    format!("targets:{}:{product}:{}:{strategy}", row.sender, row.symbol)
}

/// How long targets without a time of their own are told apart by the position before them.
const TARGETS_MS: i64 = 5_000;
/// How many of a strategy's targets are kept to be compared with.
const TARGETS: usize = 16;

/// Targets of the same strategy whose times do not tell whether they are older, the latest last.
fn together(store: &impl Store, row: &SignalRow) -> Result<Vec<TakenTarget>, LedgerError> {
    let second = |at: Timestamp| at.as_millis().div_euclid(1000);
    let mut taken =
        journal::value::<Vec<TakenTarget>>(store, &targets_key(row))?.unwrap_or_default();
    taken.retain(|known| match (known.alert_at, row.alert_at) {
        (Some(known), Some(own)) => second(known) == second(own),
        // By when they reached the gateway: the way from there may take longer than that.
        (None, None) => row.received_at.since(known.received_at).abs() <= TARGETS_MS,
        _ => false,
    });
    Ok(taken)
}

/// Whether a target comes before one that was taken, by the position before each, where their times do not tell.
fn is_older_target(
    store: &impl Store,
    message: &Accept,
    row: &SignalRow,
) -> Result<bool, LedgerError> {
    let Action::Target(state) = message.signal.action else {
        return Ok(false);
    };
    let before = |known: &TakenTarget| {
        known.previous == Some(state) && message.signal.previous != Some(known.state)
    };
    Ok(together(store, row)?.iter().any(before))
}

fn note_target(store: &impl Store, message: &Accept, row: &SignalRow) -> Result<(), LedgerError> {
    let Action::Target(state) = message.signal.action else {
        return Ok(());
    };
    if message.signal.dry_run {
        return Ok(());
    }
    let mut taken =
        journal::value::<Vec<TakenTarget>>(store, &targets_key(row))?.unwrap_or_default();
    taken.push(TakenTarget {
        state,
        previous: message.signal.previous,
        alert_at: row.alert_at,
        received_at: row.received_at,
    });
    let surplus = taken.len().saturating_sub(TARGETS);
    taken.drain(..surplus);
    journal::set_value(store, &targets_key(row), &taken)
}

/// Journals a signal as refused.
fn refuse_journaled(
    store: &impl Store,
    lanes: &Lanes,
    row: &mut SignalRow,
    code: Code,
    sentence: &str,
    now: Timestamp,
) -> Result<Box<Problem>, LedgerError> {
    row.end(SignalStatus::Refused, Some(code), Some(sentence.to_owned()));
    row.open = false;
    // It brought nothing about, so nothing is older or newer than it.
    row.alert_at = None;
    row.fences = Fences::None;
    insert(store, lanes, row, now)?;
    Ok(Box::new(Problem::new(code, sentence).signal(row.view(&[]))))
}

/// Answers a close of everything with an equal one that waits and has sent nothing: what it would close that one closes.
fn merge(
    store: &impl Store,
    message: &Accept,
    row: &SignalRow,
    now: Timestamp,
) -> Result<Option<Accepted>, LedgerError> {
    // An entry whose alert fired between the two is not the same to both.
    let plain = |row: &SignalRow| {
        let exit = row.data.exit.as_ref();
        let signal = &row.data.signal;
        // A target with a size and a reverse do more than to close.
        let closes = matches!(
            signal.action,
            Action::Close | Action::CloseLong | Action::CloseShort | Action::Target(Target::Flat)
        );
        closes
            && signal.order == OrderKind::Market
            && exit.is_some_and(|exit| exit.newer.is_empty())
    };
    if row.fences == Fences::None || !plain(row) {
        return Ok(None);
    }
    let found = select_one(
        store,
        "SELECT id, seq FROM signal WHERE open = 1 AND product = +?1 AND symbol = +?2 AND sender = +?3 \
         AND status = 'received' AND blocking = 1 AND fences = +?4 \
         AND NOT EXISTS (SELECT 1 FROM orders WHERE client_order_id > 'hx-' || signal.id || '-' \
                         AND client_order_id < 'hx-' || signal.id || '.') ORDER BY seq",
        &[
            text(row.product.as_str()),
            text(row.symbol.as_str()),
            text(row.sender.as_str()),
            text(row.fences.as_str()),
        ],
    )?;
    let Some(cells) = found else { return Ok(None) };
    let between = select_one(
        store,
        "SELECT 1 FROM signal WHERE seq > +?1 AND product = +?2 AND symbol = +?3 AND entry = 1",
        &[
            Value::Integer(cells.integer(1)?),
            text(row.product.as_str()),
            text(row.symbol.as_str()),
        ],
    )?;
    let Some(mut first) = SignalRow::readable(store, &cells.parsed(0)?)? else {
        return Ok(None);
    };
    if between.is_some() || !plain(&first) {
        return Ok(None);
    }
    first.deadline = first.deadline.max(row.deadline);
    if let (Some(exit), Some(own)) = (&mut first.data.exit, &row.data.exit) {
        exit.lives_until = exit.lives_until.max(own.lives_until);
    }
    first.update(store, now)?;
    let request = Some(&message.request_id);
    store.query(REMEMBER, &remembered(message, &first.id, request, now))?;
    let mut view = first.view(&[]);
    view.notes
        .push("an equal close waits already, so this one is carried out with it".to_owned());
    Ok(Some(Accepted { id: first.id, view }))
}

/// Inserts the row with its record and sets the alarm: for what was due before, or for what the
/// request that brought this signal does not finish itself.
fn insert(
    store: &impl Store,
    lanes: &Lanes,
    row: &SignalRow,
    now: Timestamp,
) -> Result<(), LedgerError> {
    let recovery = now.plus_millis(RECOVERY_MS);
    // An alarm that is known to come later was set for all that was due before.
    let known = store.memory().alarm().filter(|at| *at > now);
    let due = match known {
        Some(_) => recovery,
        None => journal::next_alarm(store, lanes, now)?.map_or(recovery, |due| due.min(recovery)),
    };
    row.insert(store)?;
    if row.entry {
        store.memory().add_entry(&row.sender, row.received_at);
    }
    outbox::signal_changed(store, &row.id)?;
    journal::wake(store, due, now)
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

/// Why a Ledger takes nothing: it is closed for good, so that the manifest by which it was found is an old one, or the
/// account is being retired.
fn closed(store: &impl Store, now: Timestamp) -> Result<Option<Box<Problem>>, LedgerError> {
    let (code, text) = match journal::closed(store)? {
        None => return Ok(None),
        Some(Closed::Held(until)) if until <= now => return Ok(None),
        Some(Closed::Held(_)) => (
            Code::NotConfirmed,
            "this account is being taken off the manifest; nothing was done, send it again",
        ),
        Some(Closed::HandedOver(_) | Closed::Retired(_)) => (
            Code::Conflict,
            "this ledger is closed, because its account was retired or has another generation by now; read the \
             manifest again and decide anew",
        ),
    };
    Ok(Some(Box::new(Problem::new(code, text).retry_after(1))))
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
    SignalRow::find(store, "request_id = +?1", &[request])
}

/// The same request came again: the same answer. What was refused for one of these is journaled, and was no acceptance.
fn repeated(
    store: &impl Store,
    row: &SignalRow,
) -> Result<Result<Accepted, Box<Problem>>, LedgerError> {
    let view = row.view(&OrderRow::of(store, &row.id)?);
    let refused = row
        .data
        .code
        .filter(|code| matches!(code, Code::KillSwitch | Code::OutOfOrder));
    if let Some(code) = refused.filter(|_| row.status == SignalStatus::Refused) {
        let text = row.data.message.clone().unwrap_or_default();
        return Ok(Err(Box::new(Problem::new(code, text).signal(view))));
    }
    Ok(Ok(Accepted {
        id: row.id.clone(),
        view,
    }))
}

/// The same signal came before, within its window.
fn duplicate(
    store: &impl Store,
    identity: &Identity,
    taken: Option<Taken>,
    now: Timestamp,
) -> Result<Option<Box<Problem>>, LedgerError> {
    let Some(taken) = taken.filter(|taken| taken.expires_at > now) else {
        return Ok(None);
    };
    let first = taken.signal;
    // Of the account's generation before only what was open has come here; that Ledger shows the rest.
    let row = SignalRow::by_id(store, &first)?;
    let problem = if taken.content_hash == identity.content_hash {
        let state = row.as_ref().map_or("", |row| row.status.as_str());
        let is = if state.is_empty() { "" } else { " and is " };
        let text = format!(
            "this signal came before as {first}{is}{state}; nothing was done again. {}",
            told_apart(identity)
        );
        Problem::new(Code::Duplicate, text)
    } else {
        Problem::new(
            Code::KeyReused,
            format!("the idempotency key was used by {first} with other content; use a new key for a new signal"),
        )
        .field("idempotencyKey")
    };
    let Some(row) = row else {
        return Ok(Some(Box::new(problem)));
    };
    let view = row.view(&OrderRow::of(store, &first)?);
    Ok(Some(Box::new(problem.signal(view))))
}

/// How alerts that look the same, such as two equal fills of a strategy, become signals of their own.
fn told_apart(identity: &Identity) -> &'static str {
    if identity.key.starts_with("k:") {
        "Two fills that look the same are told apart by their idempotencyKey: give each one its own"
    } else {
        "Two fills that look the same are told apart by what differs in their alerts: add \"orderId\": \"{{strategy.order.id}}\" and \"timestamp\": \"{{timenow}}\", or an idempotencyKey of its own for each"
    }
}

/// Sender and staleness, and of what may open depth, rate and the rows of the day.
///
/// A flip of what the record shows has an exit's rights for its closing leg: what bars an entry then only keeps it from
/// opening.
fn barred(
    store: &impl Store,
    config: &Config,
    message: &Accept,
    row: &mut SignalRow,
    now: Timestamp,
) -> Result<Option<Box<Problem>>, LedgerError> {
    if is_revoked(config, message) {
        let text = "this sender may not trade on this account any more";
        return Ok(Some(Box::new(Problem::new(Code::NotPermitted, text))));
    }
    if let Some(problem) = unknown_words(message, row) {
        return Ok(Some(problem));
    }
    let flips = row.entry && row.data.exit.as_ref().is_some_and(Exit::is_sure);
    if let Some(stale) = message.signal.stale(message.received_at, now) {
        let alive = row
            .data
            .exit
            .as_ref()
            .is_some_and(|exit| now <= exit.lives_until);
        if !(flips && alive) {
            return Ok(Some(Box::new(stale.into())));
        }
        row.data.opening_refused = Some(Refused::new(stale.code, stale.message));
    }
    if !row.entry {
        return Ok(None);
    }
    if flips && let Some(problem) = too_deep(store, message)? {
        return Ok(Some(problem));
    }
    let limited = match too_many_open(store)? {
        None => match too_many_entries(store, message, now)? {
            None => quota::spent(store, now)?,
            limited => limited,
        },
        full => full,
    };
    match limited {
        Some(problem) if flips => {
            row.data.opening_refused = Some(Refused::new(problem.code, problem.message));
            Ok(None)
        }
        limited => Ok(limited),
    }
}

/// Words of the contract that this version knows.
const KNOWN_WORDS: [&str; 5] = ["reduceOnly", "cancel", "leverage", "base", "quote"];

/// An entry that asks for something this version does not know is refused; an exit goes out, and says so.
fn unknown_words(message: &Accept, row: &mut SignalRow) -> Option<Box<Problem>> {
    let unknown = message
        .requires
        .iter()
        .find(|word| !KNOWN_WORDS.contains(&word.as_str()))?;
    if row.entry {
        let text = format!(
            "{unknown} is not known to this version of the Ledger, so the signal is not traded without it"
        );
        return Some(Box::new(
            Problem::new(Code::Unsupported, text).field(unknown.clone()),
        ));
    }
    row.data.notes.push(format!(
        "{unknown} is not known to this version of the Ledger and had no effect"
    ));
    None
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

/// Whether so many signals wait, of the account or of the sender's exits, that no exit is taken.
fn too_deep(store: &impl Store, message: &Accept) -> Result<Option<Box<Problem>>, LedgerError> {
    if message.sender.as_str() == OPERATOR {
        return Ok(None);
    }
    let open = journal::open_signals(store)?;
    let own = select_one(
        store,
        "SELECT COUNT(*) FROM signal WHERE sender = +?1 AND open = 1 AND entry = 0",
        &[text(message.sender.as_str())],
    )?
    .map_or(Ok(0), |cells| cells.integer(0))?;
    let text = if i64::from(open) >= MAX_OPEN_EXITS {
        format!("{open} signals of this account wait to be carried out; no more are taken now")
    } else if own >= MAX_OPEN_EXITS / 4 {
        format!(
            "{own} exits of this sender wait to be carried out, and others need room as well; no more are taken now"
        )
    } else {
        return Ok(None);
    };
    Ok(Some(Box::new(
        Problem::new(Code::RateLimited, text).retry_after(60),
    )))
}

/// Whether so many signals wait that no entry is taken.
fn too_many_open(store: &impl Store) -> Result<Option<Box<Problem>>, LedgerError> {
    let open = journal::open_signals(store)?;
    if i64::from(open) < MAX_OPEN {
        return Ok(None);
    }
    let text =
        format!("{open} signals of this account wait to be carried out; no more are taken now");
    Ok(Some(Box::new(
        Problem::new(Code::RateLimited, text).retry_after(60),
    )))
}

/// The `count`th of a sender's latest entries within a window. They are read once an instance.
fn latest_entry(
    store: &impl Store,
    sender: &Name,
    count: u32,
    window_ms: i64,
    since: Timestamp,
) -> Result<Option<Timestamp>, LedgerError> {
    let count = usize::try_from(count.max(1)).unwrap_or(usize::MAX);
    if let Remembered::Entry(entry) = store.memory().entry(sender, count, window_ms) {
        return Ok(entry);
    }
    let found = select(
        store,
        "SELECT received_at FROM signal WHERE id > +?3 AND entry = 1 AND sender = +?1 AND received_at > +?2 \
         ORDER BY received_at DESC LIMIT +?4",
        &[
            text(sender.as_str()),
            at(since),
            journal::came_after(since),
            Value::Integer(i64::try_from(count).unwrap_or(i64::MAX)),
        ],
    )?;
    let latest: Vec<Timestamp> = found
        .iter()
        .map(|cells| Ok(Timestamp::from_millis(cells.integer(0)?)))
        .collect::<Result<_, LedgerError>>()?;
    let entry = latest.last().copied().filter(|_| latest.len() >= count);
    store
        .memory()
        .note_entries(sender, count, window_ms, latest.into_iter());
    Ok(entry)
}

fn too_many_entries(
    store: &impl Store,
    message: &Accept,
    now: Timestamp,
) -> Result<Option<Box<Problem>>, LedgerError> {
    let window = i64::from(message.entry_rate.seconds).saturating_mul(1000);
    let count = message.entry_rate.count;
    let since = now.plus_millis(window.saturating_neg());
    // The entry that must leave the window before another one may come in.
    let oldest = latest_entry(store, &message.sender, count, window, since)?;
    let Some(oldest) = oldest.filter(|at| *at > since) else {
        return Ok(None);
    };
    let free_at = oldest.plus_millis(window);
    let wait =
        u32::try_from(free_at.since(now).max(1).saturating_add(999) / 1000).unwrap_or(u32::MAX);
    let text = format!(
        "this sender made {count} entries on this account within {} s, which is its limit for each account; try again in {wait} s",
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
    lanes: &Lanes,
    message: &Accept,
    row: &mut SignalRow,
    now: Timestamp,
) -> Result<Option<Box<Problem>>, LedgerError> {
    let known = journal::holding(store, row.product, &row.symbol)?;
    let held = known.map_or(Decimal::ZERO, |known| known.quantity);
    let reduces = !row.entry || reduces(message.signal.action, held);
    let Some(kill) = journal::kill(store)? else {
        if reduces {
            return Ok(None);
        }
        let text = "this account does not know the kill switch's mode yet, so no entry is taken; send it again";
        return Ok(Some(Box::new(Problem::new(Code::NotConfirmed, text))));
    };
    // Without a fresh record nobody knows yet whether it would reduce: the plan judges.
    let fresh = known.is_some_and(|known| now.since(known.seen_at) < RECORD_MS);
    let passes = match kill.mode {
        KillMode::Off => true,
        KillMode::Entries => reduces || !fresh,
        KillMode::All => message.signal.action == Action::Cancel,
    };
    if passes {
        return Ok(None);
    }
    let text = format!(
        "the kill switch is engaged ({}), so the signal is journaled and not carried out",
        kill.mode.as_str()
    );
    refuse_journaled(store, lanes, row, Code::KillSwitch, &text, now).map(Some)
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
