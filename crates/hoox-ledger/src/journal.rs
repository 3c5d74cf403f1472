//! The Ledger's durable state: configuration, kill mode, the send fence, what is due next, what is held, the venue's rules.

use std::collections::BTreeMap;

use hoox_auth::{Account, OPERATOR};
use hoox_mesh::{Configure, KillMode, SignalStatus};
use hoox_model::{
    Code, Decimal, Effect, Instrument, Name, Position, PositionSide, Product, Quantity, Side,
    SignalId, Symbol, Timestamp,
};
use hoox_store::{PositionRecord, Value};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::exit::Exit;
use crate::flatten::Flatten;
use crate::lanes::{Lanes, Lease, MAX_LANES};
use crate::memory::Resting;
use crate::outbox::{self, order_changed, signal_changed};
use crate::poll;
use crate::port::{LedgerError, Store, atomic};
use crate::row::{
    Cells, OF_SIGNAL, OrderRow, OrderState, RESTING, SignalRow, at, from_json, select, select_one,
    text, to_json,
};

/// What a Ledger knows of itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Config {
    /// Highest manifest version seen.
    pub manifest_version: u64,
    /// The account.
    pub account: Account,
    /// Senders that may trade on it; `None` until Control has told.
    #[serde(default)]
    pub senders: Option<Vec<Name>>,
    /// Manifest version of the senders.
    #[serde(default)]
    pub senders_version: u64,
}

impl Config {
    /// Whether a sender may trade on the account. What was decided by a newer manifest than the one whose senders are
    /// known here counts.
    pub(crate) fn may_trade(&self, sender: &Name, manifest_version: u64) -> bool {
        sender.as_str() == OPERATOR
            || self.senders_version < manifest_version
            || self
                .senders
                .as_ref()
                .is_none_or(|senders| senders.contains(sender))
    }
}

/// The kill mode a Ledger has committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Kill {
    pub revision: u64,
    pub mode: KillMode,
}

const CONFIG: &str = "config";
const MANIFEST_FLOOR: &str = "manifest_floor";
const KILL_MODE: &str = "kill_mode";
const KILL_REVISION: &str = "kill_revision";
const CLOCK_OFFSET: &str = "clock_offset";
const VENUE_PAUSE: &str = "venue_pause";
const VENUE_FAILURES: &str = "venue_failures";
const VENUE_BAN: &str = "venue_ban";
const EXIT_PROBE: &str = "exit_probe";
const DAY_MARK: &str = "day_mark";
const DAY_DUE: &str = "day_due";
const FLATTEN: &str = "flatten";
const CLOSED: &str = "closed";
const TAKEN_OVER: &str = "taken_over";
const EPOCH: &str = "epoch";
pub(crate) const ROWS: &str = "rows";

/// A single value. It is read once an instance.
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

fn get_json<T: DeserializeOwned>(store: &impl Store, key: &str) -> Result<Option<T>, LedgerError> {
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

/// The configuration, once known.
pub(crate) fn config(store: &impl Store) -> Result<Option<Config>, LedgerError> {
    get_json(store, CONFIG)
}

/// Takes over what a manifest says of the account and, where it is told, of the senders, unless a
/// newer version is known. Either part has its own version, because a signal may bring a newer account
/// before Control brings the newer senders.
pub(crate) fn set_config(
    store: &impl Store,
    known: Option<&Config>,
    version: u64,
    account: &Account,
    senders: Option<&[Name]>,
) -> Result<Config, LedgerError> {
    let mut new = known.cloned().unwrap_or_else(|| Config {
        manifest_version: version,
        account: account.clone(),
        senders: None,
        senders_version: 0,
    });
    if version > new.manifest_version {
        new.manifest_version = version;
        new.account = account.clone();
    }
    if let Some(senders) = senders
        && (new.senders.is_none() || version > new.senders_version)
    {
        new.senders = Some(senders.to_vec());
        new.senders_version = version;
    }
    if known != Some(&new) {
        put(store, CONFIG, to_json(&new)?)?;
        watch_day(store, new.account.limits.max_daily_loss.is_some())?;
    }
    Ok(new)
}

/// The oldest manifest version by which a new signal may have been decided.
pub(crate) fn floor(store: &impl Store) -> Result<u64, LedgerError> {
    let floor = get_number(store, MANIFEST_FLOOR)?;
    u64::try_from(floor).map_err(|_| LedgerError::Corrupt(format!("meta.{MANIFEST_FLOOR}")))
}

pub(crate) fn raise_floor(store: &impl Store, version: u64) -> Result<(), LedgerError> {
    if version <= floor(store)? {
        return Ok(());
    }
    put(store, MANIFEST_FLOOR, version.to_string())
}

/// Notes the start of each day while `maxDailyLoss` is set, from now on.
fn watch_day(store: &impl Store, wanted: bool) -> Result<(), LedgerError> {
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

pub(crate) fn set_day_due(store: &impl Store, at: Timestamp) -> Result<(), LedgerError> {
    put(store, DAY_DUE, at.as_millis().to_string())
}

/// The kill mode; `None` in a new Ledger, which then lets no entry through.
pub(crate) fn kill(store: &impl Store) -> Result<Option<Kill>, LedgerError> {
    let Some(mode) = get(store, KILL_MODE)? else {
        return Ok(None);
    };
    let revision = u64::try_from(get_number(store, KILL_REVISION)?).unwrap_or(0);
    Ok(Some(Kill {
        revision,
        mode: crate::row::from_word(&mode)?,
    }))
}

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
        Closed::Retired(_) => put(store, KILL_MODE, KillMode::All.as_str().to_owned()),
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

pub(crate) fn set_taken_over(store: &impl Store, from: &str) -> Result<(), LedgerError> {
    set_value(store, TAKEN_OVER, &from)
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

/// The kill mode by which orders go out: until Control has told, none that enters does.
pub(crate) fn kill_mode(store: &impl Store) -> Result<KillMode, LedgerError> {
    Ok(kill(store)?.map_or(KillMode::Entries, |kill| kill.mode))
}

/// Takes over Control's word, unless a newer one is known. Returns how many waiting exits of revoked senders became dead
/// letters.
pub(crate) fn configure(
    store: &impl Store,
    lanes: &Lanes,
    message: &Configure,
    now: Timestamp,
) -> Result<u32, LedgerError> {
    let before = config(store)?;
    // A newer manifest is in force: whether the account is in it, its senders say.
    if before
        .as_ref()
        .is_some_and(|before| before.manifest_version < message.manifest_version)
    {
        hold(store, None)?;
    }
    let config = set_config(
        store,
        before.as_ref(),
        message.manifest_version,
        &message.account,
        Some(&message.senders),
    )?;
    let revoked = if before.is_some_and(|before| before.senders != config.senders) {
        revoke_waiting(store, lanes, &config, now)?
    } else {
        0
    };
    let known = kill(store)?;
    if known.is_some_and(|known| known.revision >= message.kill.revision) {
        return Ok(revoked);
    }
    // What is closed for good stays so, and the switch takes back what rests all the same.
    let is_closed = is_closed(store)?;
    if !is_closed {
        put(store, KILL_MODE, message.kill.mode.as_str().to_owned())?;
    }
    put(store, KILL_REVISION, message.kill.revision.to_string())?;
    let job = flatten(store)?;
    // A Ledger that has just begun as well: its account may have positions.
    let asked = message.kill.flatten_asked().filter(|_| !is_closed);
    match (message.kill.mode, asked) {
        (KillMode::Off, _) => delete(store, FLATTEN)?,
        // In the mode `all` suspended until the mode lets closes through again.
        (_, Some(asked)) => {
            // What is being closed goes on being closed; what is done begins anew only where it is asked for anew.
            let job = job
                .filter(|job| !job.done || job.revision >= asked)
                .map_or_else(|| Flatten::new(asked, now), |job| job.asked(asked, now));
            set_flatten(store, Some(&job))?;
        }
        (KillMode::All, None) => {}
        (KillMode::Entries, None) => {
            if let Some(job) = job {
                let job = job.due(now);
                set_flatten(store, Some(&job))?;
            }
        }
    }
    if message.kill.mode == KillMode::Off {
        return Ok(revoked);
    }
    // An entry that could not be found out may rest at the venue: it is asked for once more, beside the
    // symbol's exits, and ended where it is there. A run that still records what else its signal traded
    // must not write over that.
    let unknown = select(
        store,
        "SELECT DISTINCT product, symbol FROM orders WHERE live = 1 AND closes = 0 AND state = 'unknown'",
        &[],
    )?;
    for cells in &unknown {
        lanes.free(cells.text(0)?, cells.text(1)?);
    }
    store.query(
        "UPDATE signal SET status = 'sending', open = 1, blocking = 0, dead = 0, due_at = ?1 WHERE id IN \
         (SELECT signal_id FROM orders WHERE live = 1 AND closes = 0 AND state = 'unknown')",
        &[at(now)],
    )?;
    store.query(
        "UPDATE orders SET state = 'sending' WHERE live = 1 AND closes = 0 AND state = 'unknown'",
        &[],
    )?;
    store.query(
        "UPDATE signal SET due_at = MIN(due_at, ?1) WHERE open = 1 AND id IN (SELECT signal_id FROM orders \
         WHERE live = 1 AND closes = 0 AND state IN ('acknowledged', 'partly_filled'))",
        &[at(now)],
    )?;
    Ok(revoked)
}

/// Ends what waits of senders who may not trade any more and has sent nothing: entries are refused, exits become dead
/// letters that can be replayed. Returns how many exits there were.
pub(crate) fn revoke_waiting(
    store: &impl Store,
    lanes: &Lanes,
    config: &Config,
    now: Timestamp,
) -> Result<u32, LedgerError> {
    let waiting = select(
        store,
        "SELECT id, sender FROM signal WHERE open = 1 AND status IN ('received', 'planned') \
         AND sender <> +?1 LIMIT 2000",
        &[text(OPERATOR)],
    )?;
    let mut exits = 0u32;
    for cells in &waiting {
        let sender: Name = cells.parsed(1)?;
        if config.may_trade(&sender, 0) {
            continue;
        }
        let Some(mut row) = SignalRow::readable(store, &cells.parsed(0)?)? else {
            continue;
        };
        // A cancel that has begun goes on.
        if config.may_trade(&sender, row.data.manifest_version) || (row.cancels() && !row.blocking)
        {
            continue;
        }
        let mut orders = OrderRow::of(store, &row.id)?;
        if orders.iter().any(|order| order.fence > 0) {
            continue;
        }
        // A run that is planning it must not write over that.
        lanes.free(row.product.as_str(), row.symbol.as_str());
        let why =
            "the sender's right to trade on this account was withdrawn before anything was sent";
        skip_planned(store, &mut orders, why, now)?;
        let is_exit = !row.entry;
        row.end(
            SignalStatus::Refused,
            Some(Code::NotPermitted),
            Some(why.to_owned()),
        );
        row.open = false;
        // It was taken, so nothing older opens what it was to close, although nothing of it is sent.
        row.dead = is_exit;
        exits = exits.saturating_add(u32::from(is_exit));
        save_signal(store, &mut row, now)?;
    }
    Ok(exits)
}

/// The job that closes every position, where there is one.
pub(crate) fn flatten(store: &impl Store) -> Result<Option<Flatten>, LedgerError> {
    get_json(store, FLATTEN)
}

pub(crate) fn set_flatten(
    store: &impl Store,
    flatten: Option<&Flatten>,
) -> Result<(), LedgerError> {
    match flatten {
        Some(flatten) => put(store, FLATTEN, to_json(flatten)?),
        None => delete(store, FLATTEN),
    }
}

/// Difference between the venue's clock and ours, in milliseconds.
pub(crate) fn clock_offset(store: &impl Store) -> Result<i64, LedgerError> {
    get_number(store, CLOCK_OFFSET)
}

pub(crate) fn set_clock_offset(store: &impl Store, offset_ms: i64) -> Result<(), LedgerError> {
    put(store, CLOCK_OFFSET, offset_ms.to_string())
}

/// When the venue may be called again, after it asked for a pause, shut the account out, or failed again and again.
pub(crate) fn venue_pause(store: &impl Store) -> Result<Timestamp, LedgerError> {
    let pause = Timestamp::from_millis(get_number(store, VENUE_PAUSE)?);
    Ok(pause.max(venue_ban(store)?))
}

/// Failures of the venue in a row.
pub(crate) fn venue_failures(store: &impl Store) -> Result<u32, LedgerError> {
    Ok(u32::try_from(get_number(store, VENUE_FAILURES)?).unwrap_or(u32::MAX))
}

/// Notes a failure of the venue, and until when it is left alone.
pub(crate) fn note_failure(
    store: &impl Store,
    failures: u32,
    until: Option<Timestamp>,
) -> Result<(), LedgerError> {
    put(store, VENUE_FAILURES, failures.to_string())?;
    match until {
        // What another symbol was told counts as well, where it is later.
        Some(until) => {
            let until = until.max(venue_pause(store)?);
            put(store, VENUE_PAUSE, until.as_millis().to_string())
        }
        None => Ok(()),
    }
}

/// Until when the venue shuts the account out: nothing is asked of it before, exits included.
pub(crate) fn venue_ban(store: &impl Store) -> Result<Timestamp, LedgerError> {
    Ok(Timestamp::from_millis(get_number(store, VENUE_BAN)?))
}

pub(crate) fn set_venue_ban(store: &impl Store, until: Timestamp) -> Result<(), LedgerError> {
    let until = until.max(venue_ban(store)?);
    put(store, VENUE_BAN, until.as_millis().to_string())
}

/// When an exit may make the next call during a pause.
pub(crate) fn exit_probe(store: &impl Store) -> Result<Timestamp, LedgerError> {
    Ok(Timestamp::from_millis(get_number(store, EXIT_PROBE)?))
}

pub(crate) fn set_exit_probe(store: &impl Store, at: Timestamp) -> Result<(), LedgerError> {
    put(store, EXIT_PROBE, at.as_millis().to_string())
}

/// Forgets the failures of a venue that works again.
pub(crate) fn forget_failures(store: &impl Store) -> Result<(), LedgerError> {
    delete(store, VENUE_FAILURES)
}

/// Raises the number of instances that have worked on the account, once for this one: what it lets out names it.
pub(crate) fn enter(store: &impl Store, lanes: &Lanes) -> Result<(), LedgerError> {
    if lanes.epoch().is_some() {
        return Ok(());
    }
    let epoch = get_number(store, EPOCH)?.saturating_add(1).to_string();
    put(store, EPOCH, epoch.clone())?;
    lanes.set_epoch(epoch);
    Ok(())
}

/// A write that only the living instance can make and that names its epoch, in the turn of a call that changes something
/// at the venue: the platform holds the call back until it is durable.
pub(crate) fn mark(store: &impl Store, lanes: &Lanes) -> Result<(), LedgerError> {
    let own = lanes.epoch().unwrap_or_default();
    select_one(
        store,
        "UPDATE meta SET value = value WHERE key = 'epoch' AND value = +?1 RETURNING value",
        &[text(own)],
    )?
    .map(|_| ())
    .ok_or(LedgerError::LeaseLost)
}

/// The send fence: the one statement that lets an order out. Kill mode, whether the Ledger is closed, the instance's epoch,
/// staleness and, for an order that opens `opens`, the exits taken after the signal of `row` decide in it; the write, which
/// only the living instance can make, holds the request back until it is durable.
///
/// It stores the order as it is once it is sent, with a new revision. Returns whether it may be sent now, in this very turn.
pub(crate) fn fence(
    store: &impl Store,
    lanes: &Lanes,
    order: &OrderRow,
    deadline: Timestamp,
    opens: PositionSide,
    row: &SignalRow,
    now: Timestamp,
) -> Result<bool, LedgerError> {
    let passed = select_one(
        store,
        "UPDATE orders SET state = 'sending', fence = fence + 1, sent_at = COALESCE(sent_at, ?2), revision = ?10, \
         data = ?11 WHERE client_order_id = +?1 AND state = 'planned' AND ?2 <= +?3 \
         AND EXISTS (SELECT 1 FROM meta WHERE key = 'epoch' AND value = +?6) \
         AND CASE COALESCE((SELECT value FROM meta WHERE key = 'kill_mode'), 'entries') \
                  WHEN 'off' THEN 1 WHEN 'entries' THEN orders.closes ELSE 0 END \
         AND NOT EXISTS (SELECT 1 FROM meta WHERE key = 'closed' AND value NOT LIKE '{_held%') \
         AND (closes = 1 OR NOT EXISTS (SELECT 1 FROM signal WHERE product = +?4 AND symbol = +?5 AND fences <> '' \
              AND fences IN ('both', +?7) AND seq > +?8 \
              AND NOT EXISTS (SELECT 1 FROM json_each(CASE WHEN json_valid(signal.data) THEN signal.data ELSE '{}' END, '$.exit.newer') AS newer WHERE newer.value = +?9))) \
         RETURNING fence",
        &[
            text(order.id().as_str()),
            at(now),
            at(deadline),
            text(row.product.as_str()),
            text(row.symbol.as_str()),
            text(lanes.epoch().unwrap_or_default()),
            text(opens.as_str()),
            Value::Integer(row.seq),
            text(row.id.as_str()),
            Value::Integer(order.revision),
            text(to_json(&order.data)?),
        ],
    )?;
    if passed.is_none() {
        return Ok(false);
    }
    order_changed(store, order)?;
    Ok(true)
}

/// Whether a full exit that was taken later than a signal closes the side that an order of it would open: such an order
/// is not sent any more, unless the exit's own alert fired before.
pub(crate) fn is_superseded(
    store: &impl Store,
    row: &SignalRow,
    opens: PositionSide,
) -> Result<bool, LedgerError> {
    select_one(
        store,
        "SELECT 1 FROM signal WHERE product = +?1 AND symbol = +?2 AND fences <> '' AND fences IN ('both', +?3) \
         AND seq > +?4 \
         AND NOT EXISTS (SELECT 1 FROM json_each(CASE WHEN json_valid(signal.data) THEN signal.data ELSE '{}' END, '$.exit.newer') AS newer WHERE newer.value = +?5)",
        &[
            text(row.product.as_str()),
            text(row.symbol.as_str()),
            text(opens.as_str()),
            Value::Integer(row.seq),
            text(row.id.as_str()),
        ],
    )
    .map(|row| row.is_some())
}

/// When a signal whose row cannot be read is tried again; a newer version may be able to: 1 hour.
const QUARANTINE_MS: i64 = 3_600_000;
/// When a step is tried again that storage made impossible.
const PUT_OFF_MS: i64 = 5_000;
/// Identities that one run removes at most.
const PRUNE_ROWS: i64 = 100;
/// How often an instance looks for them: 1 minute.
const PRUNE_MS: i64 = 60_000;

/// A signal with something to do, and the lane it is done in.
#[derive(Debug)]
pub(crate) struct Claim {
    /// Its id, as it stands in the row.
    pub id: String,
    /// The lane.
    pub lease: Lease,
    cells: Cells,
}

impl Claim {
    /// Whether it is still to be planned.
    pub(crate) fn is_new(&self) -> bool {
        self.cells.text(7) == Ok(SignalStatus::Received.as_str())
    }

    /// The signal.
    pub(crate) fn signal(&self) -> Result<SignalRow, LedgerError> {
        SignalRow::read(&self.cells)
    }
}

/// Due, in its turn, in a lane that no run holds, and a run more may work. What opens waits for everything older of
/// its symbol; what closes waits only for what goes on as it should, for a moment.
const DUE: &str = "open = 1 AND due_at <= +?1 \
     AND (blocking = 0 OR NOT EXISTS (SELECT 1 FROM signal AS first WHERE first.open = 1 AND first.blocking = 1 \
          AND first.product = signal.product AND first.symbol = signal.symbol AND first.seq < signal.seq \
          AND (signal.closing = 0 OR first.holds_until > +?1))) \
     AND NOT EXISTS (SELECT 1 FROM json_each(?3) AS lane WHERE lane.value ->> 0 = signal.product \
          AND lane.value ->> 1 = signal.symbol) \
     AND json_array_length(?3) < +?2 - (signal.closing = 0)";

/// How many lanes there are, as a statement's parameter.
fn most() -> Value {
    Value::Integer(i64::try_from(MAX_LANES).unwrap_or(1))
}

/// Takes the next signal with something to do, with its lane.
pub(crate) fn claim(
    store: &impl Store,
    lanes: &Lanes,
    now: Timestamp,
) -> Result<Option<Claim>, LedgerError> {
    let condition = format!("{DUE} ORDER BY closing DESC, due_at, seq");
    let params = [at(now), most(), lanes.taken(now)];
    let Some(cells) = SignalRow::find_cells(store, &condition, &params)? else {
        return Ok(None);
    };
    enter(store, lanes)?;
    let [id, product, symbol] = SignalRow::place(&cells)?;
    let id = id.to_owned();
    let lease = lanes.take(product, symbol, now);
    Ok(lease.map(|lease| Claim { id, lease, cells }))
}

/// Goes on in a lane with the next signal that has something to do there.
pub(crate) fn claim_on(
    store: &impl Store,
    lanes: &Lanes,
    lease: Lease,
    now: Timestamp,
) -> Result<Option<Claim>, LedgerError> {
    lanes.renew(&lease, now)?;
    let condition =
        format!("product = +?4 AND symbol = +?5 AND {DUE} ORDER BY closing DESC, due_at, seq");
    let params = [
        at(now),
        most(),
        lanes.taken_beside(&lease, now),
        text(lease.product.as_str()),
        text(lease.symbol.as_str()),
    ];
    let Some(cells) = SignalRow::find_cells(store, &condition, &params)? else {
        return Ok(None);
    };
    let [id, ..] = SignalRow::place(&cells)?;
    let id = id.to_owned();
    Ok(Some(Claim { id, lease, cells }))
}

/// Puts a step off that storage made impossible, so that it does not hold up the others.
pub(crate) fn put_off(store: &impl Store, id: &str, now: Timestamp) -> Result<(), LedgerError> {
    let due = at(now.plus_millis(PUT_OFF_MS));
    store.query(
        "UPDATE signal SET due_at = ?2 WHERE id = +?1",
        &[text(id), due],
    )?;
    Ok(())
}

/// Puts a signal aside whose rows cannot be read. It stays open, but the symbol's other signals no
/// longer wait for it; what it may have at the venue counts as unknown, so that only exits go on.
pub(crate) fn quarantine(store: &impl Store, id: &str, now: Timestamp) -> Result<(), LedgerError> {
    store.query(
        "UPDATE signal SET blocking = 0, closing = 0, fences = '', dead = 1, due_at = ?2 WHERE id = +?1",
        &[text(id), at(now.plus_millis(QUARANTINE_MS))],
    )?;
    store.query(
        &format!(
            "UPDATE orders SET state = 'unknown' WHERE {OF_SIGNAL} AND (state IN ('sending', 'acknowledged', \
             'partly_filled') OR (state = 'planned' AND fence > 0))"
        ),
        &[text(id)],
    )?;
    Ok(())
}

/// How far the clocks of the gateway's machine and the Ledger's are apart at most.
const CLOCKS_APART_MS: i64 = 60_000;
/// How long a signal that has ended is kept: longer than any identity that points to it.
const KEEP_MS: i64 = 8 * 86_400_000;

/// The least id of a signal that was taken at a moment: ids begin with the time.
fn came_at(moment: Timestamp) -> Value {
    text(SignalId::new(moment, [0; 10]).as_str())
}

/// What is below the id of every signal that the gateway received after a moment: it is taken a little later, by
/// another machine's clock.
pub(crate) fn came_after(moment: Timestamp) -> Value {
    came_at(moment.plus_millis(-CLOCKS_APART_MS))
}

/// Removes identities that have run out, and signals with their orders that ended long ago, a bounded
/// number at a time. The records of them are in D1: those that are still to be delivered stay.
pub(crate) fn prune(store: &impl Store, now: Timestamp) -> Result<(), LedgerError> {
    let pruned_at = store.memory().pruned_at();
    if pruned_at.is_some_and(|at| (0..PRUNE_MS).contains(&now.since(at))) {
        return Ok(());
    }
    let done = atomic(store, || prune_some(store, now))?;
    store.memory().pruned(done.then_some(now));
    Ok(())
}

/// Removes so many; returns whether those were all.
fn prune_some(store: &impl Store, now: Timestamp) -> Result<bool, LedgerError> {
    let run_out = select(
        store,
        "DELETE FROM identity WHERE (sender, key) IN \
         (SELECT sender, key FROM identity WHERE expires_at <= +?1 ORDER BY expires_at LIMIT +?2) RETURNING 1",
        &[at(now), Value::Integer(PRUNE_ROWS)],
    )?;
    let old = select(
        store,
        "SELECT id FROM signal WHERE id < +?1 AND open = 0 AND dead = 0 \
         AND NOT EXISTS (SELECT 1 FROM outbox WHERE key = 'signal:' || signal.id) \
         AND NOT EXISTS (SELECT 1 FROM outbox WHERE key > 'order:hx-' || signal.id || '-' \
                         AND key < 'order:hx-' || signal.id || '.') ORDER BY id LIMIT +?2",
        &[
            came_at(now.plus_millis(KEEP_MS.saturating_neg())),
            Value::Integer(PRUNE_ROWS),
        ],
    )?;
    for cells in &old {
        let id = [text(cells.text(0)?)];
        store.query(&format!("DELETE FROM orders WHERE {OF_SIGNAL}"), &id)?;
        store.query("DELETE FROM signal WHERE id = +?1", &id)?;
    }
    let most = usize::try_from(PRUNE_ROWS).unwrap_or(usize::MAX);
    Ok(run_out.len() < most && old.len() < most)
}

/// Gives up the orders of a plan that were not sent.
pub(crate) fn skip_planned(
    store: &impl Store,
    orders: &mut [OrderRow],
    reason: &str,
    now: Timestamp,
) -> Result<(), LedgerError> {
    for order in orders {
        if order.state == OrderState::Planned {
            order.state = OrderState::Skipped;
            order.data.message = Some(reason.to_owned());
            save_order(store, order, now)?;
        }
    }
    Ok(())
}

/// Has the alarm come at a moment or before. One that this instance knows to come before is left as it is.
pub(crate) fn wake(store: &impl Store, due: Timestamp, now: Timestamp) -> Result<(), LedgerError> {
    let known = store.memory().alarm();
    if known.is_some_and(|at| now < at && at <= due) {
        return Ok(());
    }
    store.set_alarm(due)?;
    store.memory().note_alarm(due);
    Ok(())
}

/// When the next step can be taken or records are to be delivered; `None` when all is done. What another run
/// works on counts from the end of its lease: that run sets the alarm anew before.
pub(crate) fn next_alarm(
    store: &impl Store,
    lanes: &Lanes,
    now: Timestamp,
) -> Result<Option<Timestamp>, LedgerError> {
    let outbox = outbox::next_due(store, lanes)?.map(|due| due.max(now));
    let step = next_step(store, lanes, now)?;
    Ok([outbox, step].into_iter().flatten().min())
}

/// When the next step can be taken, the delivery of records left out.
pub(crate) fn next_step(
    store: &impl Store,
    lanes: &Lanes,
    now: Timestamp,
) -> Result<Option<Timestamp>, LedgerError> {
    let found = select_one(
        store,
        &format!(
            "SELECT MIN(MAX(due_at, ?1, \
              COALESCE((SELECT lane.value ->> 2 FROM json_each(?3) AS lane WHERE lane.value ->> 0 = signal.product \
                        AND lane.value ->> 1 = signal.symbol), 0), \
              COALESCE((SELECT MIN(lane.value ->> 2) FROM json_each(?3) AS lane \
                        HAVING COUNT(*) >= +?2 - (signal.closing = 0)), 0), \
              CASE WHEN closing = 0 THEN 0 ELSE COALESCE((SELECT first.holds_until FROM signal AS first \
                        WHERE first.open = 1 AND first.blocking = 1 AND first.product = signal.product \
                        AND first.symbol = signal.symbol AND first.seq < signal.seq AND first.holds_until > +?1 \
                        ORDER BY first.seq LIMIT 1), 0) END)), \
                (SELECT MAX(sent_at) FROM orders WHERE {RESTING}) \
         FROM signal WHERE open = 1 \
         AND (blocking = 0 OR closing = 1 OR NOT EXISTS (SELECT 1 FROM signal AS first WHERE first.open = 1 \
              AND first.blocking = 1 AND first.product = signal.product AND first.symbol = signal.symbol \
              AND first.seq < signal.seq))"
        ),
        &[at(now), most(), lanes.taken(now)],
    )?;
    let (signal, youngest) = match &found {
        Some(cells) => (cells.integer_or_null(0)?, cells.integer_or_null(1)?),
        None => (None, None),
    };
    let youngest = youngest.map(Timestamp::from_millis);
    store.memory().note_resting(youngest);
    let poll = youngest.map(|youngest| poll::due(store, youngest, now));
    let poll = poll.transpose()?.map(Timestamp::as_millis);
    let flatten = match flatten(store)? {
        Some(job) if !job.done && kill_mode(store)? != KillMode::All => {
            Some(job.due_at.as_millis())
        }
        _ => None,
    };
    let ban = venue_ban(store)?.as_millis();
    let day = day_due(store)?.map(|due| due.as_millis().max(ban));
    Ok([signal, poll, flatten, day]
        .into_iter()
        .flatten()
        .min()
        .map(|due| Timestamp::from_millis(due).max(now)))
}

/// When the youngest order was sent that rests; `None` where none does.
pub(crate) fn youngest_resting(store: &impl Store) -> Result<Option<Timestamp>, LedgerError> {
    match store.memory().resting() {
        Resting::Unknown => {}
        Resting::Nothing => return Ok(None),
        Resting::Youngest(sent_at) => return Ok(Some(sent_at)),
    }
    let sql = format!("SELECT MAX(sent_at) FROM orders WHERE {RESTING}");
    let found = select_one(store, &sql, &[])?;
    let youngest = found.map(|cells| cells.integer_or_null(0)).transpose()?;
    let youngest = youngest.flatten().map(Timestamp::from_millis);
    store.memory().note_resting(youngest);
    Ok(youngest)
}

/// Whether an order on the symbol has an outcome that could not be found out, one included that is asked
/// for once more.
pub(crate) fn unsettled(
    store: &impl Store,
    product: Product,
    symbol: &Symbol,
) -> Result<bool, LedgerError> {
    select_one(
        store,
        "SELECT 1 FROM orders JOIN signal ON signal.id = orders.signal_id \
         WHERE orders.live = 1 AND orders.product = +?1 AND orders.symbol = +?2 \
         AND (orders.state = 'unknown' OR (orders.state = 'sending' AND signal.blocking = 0 \
              AND orders.closes = 0))",
        &[text(product.as_str()), text(symbol.as_str())],
    )
    .map(|row| row.is_some())
}

/// Orders on their way whose outcome is open.
pub(crate) fn in_flight(store: &impl Store) -> Result<u32, LedgerError> {
    count(
        store,
        "SELECT COUNT(*) FROM orders WHERE live = 1 AND state = 'sending'",
    )
}

/// What a statement counts.
pub(crate) fn count(store: &impl Store, sql: &str) -> Result<u32, LedgerError> {
    let count = select_one(store, sql, &[])?.map_or(Ok(0), |cells| cells.integer(0))?;
    Ok(u32::try_from(count).unwrap_or(u32::MAX))
}

/// Orders that the venue has and that are open.
pub(crate) fn resting(store: &impl Store) -> Result<u32, LedgerError> {
    count(
        store,
        "SELECT COUNT(*) FROM orders WHERE live = 1 AND state IN ('acknowledged', 'partly_filled')",
    )
}

/// Signals that are not finished.
pub(crate) fn open_signals(store: &impl Store) -> Result<u32, LedgerError> {
    count(store, "SELECT COUNT(*) FROM signal WHERE open = 1")
}

/// When the earliest work on a signal is due, whatever it waits for.
pub(crate) fn earliest_due(store: &impl Store) -> Result<Option<Timestamp>, LedgerError> {
    let due = select_one(store, "SELECT MIN(due_at) FROM signal WHERE open = 1", &[])?;
    let due = due.map(|cells| cells.integer_or_null(0)).transpose()?;
    Ok(due.flatten().map(Timestamp::from_millis))
}

/// What is held by the Ledger's record: every symbol and its signed size.
pub(crate) fn holdings(store: &impl Store) -> Result<Vec<(Symbol, Decimal)>, LedgerError> {
    let held = select(
        store,
        "SELECT symbol, quantity FROM holding WHERE quantity <> '0' ORDER BY product, symbol",
        &[],
    )?;
    held.iter()
        .map(|cells| Ok((cells.parsed(0)?, cells.parsed(1)?)))
        .collect()
}

/// Hoox's own entries that the venue has and that are open.
pub(crate) fn resting_entries(store: &impl Store) -> Result<u32, LedgerError> {
    count(
        store,
        "SELECT COUNT(*) FROM orders WHERE live = 1 AND closes = 0 AND state IN ('acknowledged', 'partly_filled')",
    )
}

/// What Hoox's own fills say is held of a symbol: signed size, and when the last fill was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Holding {
    pub quantity: Decimal,
    pub filled_at: Timestamp,
    /// When the venue was last asked, or our own fill was seen.
    pub seen_at: Timestamp,
    /// What closing orders have filled that was not in `quantity`, signed as their fills: an entry that nobody has heard of
    /// had brought it, because what is reduce-only turns nothing. That entry's fills are counted against it.
    pub beyond: Decimal,
}

impl Holding {
    /// Whether a position that was asked for at `asked` may not show our own latest fill yet: it differs, and that fill is
    /// younger than `most_ms`.
    pub(crate) fn is_ahead_of(&self, position: &Position, asked: Timestamp, most_ms: i64) -> bool {
        self.quantity != signed(position) && asked.since(self.filled_at) < most_ms
    }

    /// Its side and size; no side where nothing is held.
    pub(crate) fn split(quantity: Decimal) -> (Option<PositionSide>, Quantity) {
        let side = match quantity.cmp(&Decimal::ZERO) {
            core::cmp::Ordering::Greater => Some(PositionSide::Long),
            core::cmp::Ordering::Less => Some(PositionSide::Short),
            core::cmp::Ordering::Equal => None,
        };
        (
            side,
            Quantity::try_from(quantity.abs()).unwrap_or(Quantity::ZERO),
        )
    }
}

pub(crate) fn holding(
    store: &impl Store,
    product: Product,
    symbol: &Symbol,
) -> Result<Option<Holding>, LedgerError> {
    if store.memory().knows_holding(product, symbol) {
        return Ok(store.memory().holding(product, symbol));
    }
    let found = select_one(
        store,
        "SELECT quantity, filled_at, seen_at, beyond FROM holding WHERE product = +?1 AND symbol = +?2",
        &[text(product.as_str()), text(symbol.as_str())],
    )?;
    let read = |cells: Cells| {
        Ok::<_, LedgerError>(Holding {
            quantity: cells.parsed(0)?,
            filled_at: Timestamp::from_millis(cells.integer(1)?),
            seen_at: Timestamp::from_millis(cells.integer(2)?),
            beyond: cells.parsed(3)?,
        })
    };
    let holding = found.map(read).transpose()?;
    store.memory().note_holding(product, symbol, holding);
    Ok(holding)
}

/// Sets what is held, what was closed beyond that and, where it is to be recorded, the position; the revision rises.
pub(crate) fn set_holding(
    store: &impl Store,
    product: Product,
    symbol: &Symbol,
    (quantity, beyond): (Decimal, Decimal),
    filled_at: Timestamp,
    told: Option<&PositionRecord>,
    now: Timestamp,
) -> Result<(), LedgerError> {
    store.query(
        "INSERT INTO holding (product, symbol, quantity, filled_at, revision, seen_at, beyond, told, told_revision) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?5, ?6, ?7, IIF(?7 IS NULL, 0, ?5)) ON CONFLICT DO UPDATE SET \
         quantity = excluded.quantity, filled_at = excluded.filled_at, beyond = excluded.beyond, \
         revision = MAX(revision + 1, excluded.revision), seen_at = excluded.seen_at, \
         told = COALESCE(excluded.told, told), \
         told_revision = IIF(excluded.told IS NULL, told_revision, MAX(revision + 1, excluded.revision))",
        &[
            text(product.as_str()),
            text(symbol.as_str()),
            text(quantity.normalize().to_string()),
            at(filled_at),
            at(now),
            text(beyond.normalize().to_string()),
            told.map_or(Ok(Value::Null), |told| to_json(told).map(text))?,
        ],
    )?;
    let holding = Holding {
        quantity,
        filled_at,
        seen_at: now,
        beyond,
    };
    store.memory().note_holding(product, symbol, Some(holding));
    Ok(())
}

/// What our record shows as held of symbols that were filled after a moment.
pub(crate) fn lately_filled(
    store: &impl Store,
    moment: Timestamp,
) -> Result<Vec<Position>, LedgerError> {
    let found = select(
        store,
        "SELECT symbol, quantity FROM holding WHERE product = 'linear' AND quantity <> '0' AND filled_at > +?1",
        &[at(moment)],
    )?;
    let mut positions = Vec::with_capacity(found.len());
    for cells in &found {
        let (side, quantity) = Holding::split(cells.parsed(1)?);
        positions.push(Position {
            side,
            quantity,
            ..Position::flat(cells.parsed(0)?)
        });
    }
    Ok(positions)
}

/// The signed size of a position: positive long, negative short.
pub(crate) fn signed(position: &Position) -> Decimal {
    match position.side {
        Some(hoox_model::PositionSide::Short) => {
            Decimal::ZERO.saturating_sub(position.quantity.get())
        }
        _ => position.quantity.get(),
    }
}

/// The revision after `last`: never lower than the clock, so that the records of an account's next
/// generation replace those of the one before.
pub(crate) fn next_revision(last: i64, now: Timestamp) -> i64 {
    last.saturating_add(1).max(now.as_millis())
}

/// Writes a changed signal, whose record is to be delivered.
pub(crate) fn save_signal(
    store: &impl Store,
    row: &mut SignalRow,
    now: Timestamp,
) -> Result<(), LedgerError> {
    row.revision = next_revision(row.revision, now);
    row.update(store, now)?;
    signal_changed(store, &row.id)
}

/// Whether an older signal of the symbol is still being carried out, so that what opens has to wait.
pub(crate) fn waits_for_older(store: &impl Store, row: &SignalRow) -> Result<bool, LedgerError> {
    let found = select_one(
        store,
        "SELECT 1 FROM signal WHERE open = 1 AND blocking = 1 AND product = +?1 AND symbol = +?2 AND seq < +?3",
        &[
            text(row.product.as_str()),
            text(row.symbol.as_str()),
            Value::Integer(row.seq),
        ],
    )?;
    Ok(found.is_some())
}

/// Whether an exit has to wait for an older signal of the symbol that is being carried out at this moment.
pub(crate) fn is_held_by_older(
    store: &impl Store,
    row: &SignalRow,
    now: Timestamp,
) -> Result<bool, LedgerError> {
    let found = select_one(
        store,
        "SELECT 1 FROM signal WHERE open = 1 AND blocking = 1 AND product = +?1 AND symbol = +?2 AND seq < +?3 \
         AND holds_until > +?4",
        &[
            text(row.product.as_str()),
            text(row.symbol.as_str()),
            Value::Integer(row.seq),
            at(now),
        ],
    )?;
    Ok(found.is_some())
}

/// Frees the identity of a signal that was refused, so that a resend may trade.
pub(crate) fn free_identity(store: &impl Store, row: &SignalRow) -> Result<(), LedgerError> {
    let Some(key) = &row.data.identity else {
        return Ok(());
    };
    store.query(
        "DELETE FROM identity WHERE sender = +?1 AND key = +?2 AND signal_id = +?3",
        &[
            text(row.sender.as_str()),
            text(key.as_str()),
            text(row.id.as_str()),
        ],
    )?;
    Ok(())
}

/// Makes a signal due.
pub(crate) fn due_now(
    store: &impl Store,
    id: &SignalId,
    now: Timestamp,
) -> Result<(), LedgerError> {
    store.query(
        "UPDATE signal SET due_at = MIN(due_at, ?2) WHERE id = +?1 AND open = 1",
        &[text(id.as_str()), at(now)],
    )?;
    Ok(())
}

/// Wakes exits of a symbol that wait for the outcome of an older entry.
pub(crate) fn wake_exits(
    store: &impl Store,
    product: Product,
    symbol: &Symbol,
    seq: i64,
    now: Timestamp,
) -> Result<(), LedgerError> {
    store.query(
        "UPDATE signal SET due_at = ?4 WHERE open = 1 AND product = +?1 AND symbol = +?2 AND seq > +?3 \
         AND closing = 1 AND due_at > +?4",
        &[
            text(product.as_str()),
            text(symbol.as_str()),
            Value::Integer(seq),
            at(now),
        ],
    )?;
    Ok(())
}

/// Whether an exit that was taken later waits for what becomes of a signal.
pub(crate) fn is_waited_for(store: &impl Store, row: &SignalRow) -> Result<bool, LedgerError> {
    let found = select_one(
        store,
        "SELECT 1 FROM signal WHERE open = 1 AND product = +?1 AND symbol = +?2 AND seq > +?3 AND closing = 1 LIMIT 1",
        &[
            text(row.product.as_str()),
            text(row.symbol.as_str()),
            Value::Integer(row.seq),
        ],
    )?;
    Ok(found.is_some())
}

/// Has what an exit waits for asked about at once in a pause: from now on its look-ups are an exit's calls, while it was
/// put off to the end of the pause before anything waited for it.
pub(crate) fn wake_older(
    store: &impl Store,
    exit: &Exit,
    now: Timestamp,
) -> Result<(), LedgerError> {
    if !exit.whole || exit.older.is_empty() || venue_pause(store)? <= now {
        return Ok(());
    }
    for (id, _) in &exit.older {
        due_now(store, id, now)?;
    }
    Ok(())
}

/// Writes a changed order, whose record is to be delivered.
pub(crate) fn save_order(
    store: &impl Store,
    row: &mut OrderRow,
    now: Timestamp,
) -> Result<(), LedgerError> {
    row.touch(now);
    row.update(store)?;
    order_changed(store, row)
}

/// Stores a new order, whose record is to be delivered.
pub(crate) fn add_order(
    store: &impl Store,
    row: &mut OrderRow,
    now: Timestamp,
) -> Result<(), LedgerError> {
    row.touch(now);
    row.insert(store)?;
    order_changed(store, row)
}

/// Nothing held.
pub(crate) const NOTHING: Quantity = Quantity::ZERO;

/// Older rules of a venue for a symbol are read anew: 1 hour.
const INSTRUMENT_MS: i64 = 3_600_000;

#[derive(Serialize, Deserialize)]
struct CachedInstrument {
    at: Timestamp,
    instrument: Instrument,
}

fn instrument_key(product: Product, symbol: &Symbol) -> String {
    format!("instrument:{product}:{symbol}")
}

/// The venue's rules by which orders are planned, however old, and whether they are: then they are read anew after the
/// order. Those that a refusal may be due to are none.
pub(crate) fn known_instrument(
    store: &impl Store,
    product: Product,
    symbol: &Symbol,
    now: Timestamp,
) -> Result<Option<(Instrument, bool)>, LedgerError> {
    let cached: Option<CachedInstrument> = get_json(store, &instrument_key(product, symbol))?;
    Ok(cached
        .filter(|known| known.at > Timestamp::from_millis(0))
        .map(|known| (known.instrument, now.since(known.at) >= INSTRUMENT_MS)))
}

/// The venue's rules as they were last read, however long ago: an exit goes out by them rather than wait.
pub(crate) fn last_instrument(
    store: &impl Store,
    product: Product,
    symbol: &Symbol,
) -> Result<Option<Instrument>, LedgerError> {
    let cached: Option<CachedInstrument> = get_json(store, &instrument_key(product, symbol))?;
    Ok(cached.map(|known| known.instrument))
}

/// Has the venue's rules read anew before they are used again, after a refusal that may be due to them.
pub(crate) fn outdate_instrument(
    store: &impl Store,
    product: Product,
    symbol: &Symbol,
) -> Result<(), LedgerError> {
    let key = instrument_key(product, symbol);
    let never = Timestamp::from_millis(0);
    let Some(mut cached) = get_json::<CachedInstrument>(store, &key)?.filter(|it| it.at > never)
    else {
        return Ok(());
    };
    cached.at = never;
    put(store, &key, to_json(&cached)?)
}

pub(crate) fn cache_instrument(
    store: &impl Store,
    instrument: &Instrument,
    now: Timestamp,
) -> Result<(), LedgerError> {
    let key = instrument_key(instrument.product, &instrument.symbol);
    put(
        store,
        &key,
        to_json(&CachedInstrument {
            at: now,
            instrument: instrument.clone(),
        })?,
    )
}

fn taken_over_key(product: Product, symbol: &Symbol) -> String {
    format!("taken-over:{product}:{symbol}")
}

/// What the venue's numbers showed beyond our record when they were taken over, with when: fills of ours that nobody had
/// heard of may be in it.
type TakenOver = Vec<(Timestamp, Decimal)>;

/// So many of them are told apart.
const MAX_TAKEN_OVER: usize = 8;

/// What of a fill of ours is to be added to what is held: not what a number of the venue that was taken over after `since`
/// has shown of it already. Where that went the other way somebody else traded as well, and nobody can tell.
fn not_shown(taken: &mut TakenOver, signed: Decimal, since: Timestamp) -> Decimal {
    let mut rest = signed;
    let mut after: Vec<&mut Decimal> = taken
        .iter_mut()
        .filter(|(at, beyond)| *at > since && !beyond.is_zero())
        .map(|(_, beyond)| beyond)
        .collect();
    undo(&mut after, signed);
    let against = |beyond: &&mut Decimal| {
        !beyond.is_zero() && beyond.is_sign_negative() != signed.is_sign_negative()
    };
    if after.iter().any(against) {
        return Decimal::ZERO;
    }
    for beyond in &mut after {
        let shown = if rest.abs() < beyond.abs() {
            rest
        } else {
            **beyond
        };
        rest = rest.saturating_sub(shown);
        **beyond = beyond.saturating_sub(shown);
    }
    rest
}

/// What a later number takes back of earlier ones none shows any more: it lagged further, or somebody traded.
fn undo(numbers: &mut [&mut Decimal], signed: Decimal) {
    let opposite = |number: &Decimal| number.is_sign_negative() != signed.is_sign_negative();
    for later in 1..numbers.len() {
        let (before, rest) = numbers.split_at_mut(later);
        let Some(back) = rest.first_mut().filter(|back| opposite(back)) else {
            continue;
        };
        for shown in before.iter_mut().rev().filter(|shown| !opposite(shown)) {
            let off = if shown.abs() < back.abs() {
                **shown
            } else {
                Decimal::ZERO.saturating_sub(**back)
            };
            **shown = shown.saturating_sub(off);
            **back = back.saturating_add(off);
        }
    }
}

/// A fill of ours, as it becomes known.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Heard {
    /// Its size: positive bought, negative sold.
    pub signed: Decimal,
    /// What its order is for.
    pub effect: Effect,
    /// When that was sent first.
    pub sent_at: Timestamp,
    /// After this moment a position that was taken over may have shown it; `None` where none was.
    pub since: Option<Timestamp>,
}

/// Adds a fill of ours to what is held, less what numbers of the venue that were taken over since have shown of it.
/// It is waited for as after any fill.
pub(crate) fn add_fill(
    store: &impl Store,
    product: Product,
    symbol: &Symbol,
    fill: Heard,
    now: Timestamp,
) -> Result<(), LedgerError> {
    let known = holding(store, product, symbol)?;
    let mut fill = fill;
    if let Some(since) = fill.since {
        let key = taken_over_key(product, symbol);
        let mut taken: TakenOver = get_json(store, &key)?.unwrap_or_default();
        let before = taken.clone();
        fill.signed = not_shown(&mut taken, fill.signed, since);
        if taken != before {
            put(store, &key, to_json(&taken)?)?;
        }
    }
    let after = counted(known, fill, turned(store, product, symbol, known, fill)?)
        .ok_or_else(|| LedgerError::Corrupt("a holding is too large".to_owned()))?;
    set_holding(store, product, symbol, after, now, None, now)
}

/// How much of a closing fill our record may lack because entries sent after its order took that first, as it was heard:
/// what they have filled on its side. It had closed before, so that they have turned what was held.
fn turned(
    store: &impl Store,
    product: Product,
    symbol: &Symbol,
    known: Option<Holding>,
    fill: Heard,
) -> Result<Decimal, LedgerError> {
    let held = known.map_or(Decimal::ZERO, |known| known.quantity);
    let same = !held.is_zero() && held.is_sign_negative() == fill.signed.is_sign_negative();
    if !fill.effect.closes() || same || fill.signed.abs() <= held.abs() {
        return Ok(Decimal::ZERO);
    }
    let side = if fill.signed.is_sign_negative() {
        Side::Sell
    } else {
        Side::Buy
    };
    let mut filled = Decimal::ZERO;
    for order in OrderRow::sent_after(store, product, symbol, fill.sent_at)? {
        let spec = &order.data.spec;
        if !spec.effect.closes() && spec.leg.is_none() && spec.side == side {
            filled = filled.saturating_add(order.data.filled.get());
        }
    }
    Ok(filled)
}

/// What is held, and what was closed beyond that, after a fill. A closing one takes nothing through zero but what entries
/// sent after it have `turned`, and what it closed beyond what was known an entry had brought that was sent before.
fn counted(known: Option<Holding>, fill: Heard, turned: Decimal) -> Option<(Decimal, Decimal)> {
    let (mut held, mut beyond) = known.map_or((Decimal::ZERO, Decimal::ZERO), |known| {
        (known.quantity, known.beyond)
    });
    // What a fill takes away of what has the other sign, signed as the fill.
    let off = |of: Decimal| {
        let against = !of.is_zero() && of.is_sign_negative() != fill.signed.is_sign_negative();
        if !against {
            Decimal::ZERO
        } else if of.abs() < fill.signed.abs() {
            Decimal::ZERO.saturating_sub(of)
        } else {
            fill.signed
        }
    };
    let same = !held.is_zero() && held.is_sign_negative() == fill.signed.is_sign_negative();
    if fill.effect.closes() && same {
        // It came before what has turned our record meanwhile.
        held = held.checked_add(fill.signed)?;
    } else if fill.effect.closes() {
        let more = fill.signed.checked_sub(off(held))?;
        let through = if more.abs() <= turned {
            more
        } else if more.is_sign_negative() {
            Decimal::ZERO.saturating_sub(turned)
        } else {
            turned
        };
        let unheard = more.checked_sub(through)?;
        held = held.checked_add(fill.signed.checked_sub(unheard)?)?;
        beyond = beyond.checked_add(unheard)?;
    } else {
        let before = known.is_some_and(|known| fill.sent_at < known.filled_at);
        let brought = if before { off(beyond) } else { Decimal::ZERO };
        held = held.checked_add(fill.signed.checked_sub(brought)?)?;
        beyond = beyond.checked_add(brought)?;
    }
    Some((held, beyond))
}

/// Whether an order is carried out on a symbol, whose fills are still to be added to what is held.
/// One that waits to be sent once more counts, because it may be there already.
/// Orders that rest do not count: theirs come one by one, and each time the venue's number is taken over.
pub(crate) fn is_moving(
    store: &impl Store,
    product: Product,
    symbol: &Symbol,
) -> Result<bool, LedgerError> {
    let moving = select_one(
        store,
        "SELECT 1 FROM orders JOIN signal ON signal.id = orders.signal_id \
         WHERE orders.live = 1 AND orders.product = +?1 AND orders.symbol = +?2 AND signal.open = 1 \
         AND (orders.state = 'sending' OR (orders.state = 'planned' AND orders.sent_at IS NOT NULL) \
              OR (orders.state IN ('acknowledged', 'partly_filled') AND signal.blocking = 1))",
        &[text(product.as_str()), text(symbol.as_str())],
    )?;
    Ok(moving.is_some())
}

/// Takes over what the venue says is held, keeping the time of our own last fill. While an order is
/// carried out there, that number may hold fills which are still to be added here, so ours stays then.
/// Returns whether our record is that position now.
pub(crate) fn note_position(
    store: &impl Store,
    product: Product,
    symbol: &Symbol,
    signed: Decimal,
    now: Timestamp,
) -> Result<bool, LedgerError> {
    note(store, (product, symbol), signed, None, now)
}

/// The same of a position that is to be recorded.
pub(crate) fn tell_position(
    store: &impl Store,
    account: &Account,
    product: Product,
    position: &Position,
    now: Timestamp,
) -> Result<(), LedgerError> {
    let told = outbox::position_record(account, product, position, now);
    let place = (product, &position.symbol);
    note(store, place, signed(position), Some(&told), now).map(|_| ())
}

fn note(
    store: &impl Store,
    (product, symbol): (Product, &Symbol),
    signed: Decimal,
    told: Option<&PositionRecord>,
    now: Timestamp,
) -> Result<bool, LedgerError> {
    let known = holding(store, product, symbol)?;
    let (held, beyond) = known.map_or((Decimal::ZERO, Decimal::ZERO), |known| {
        (known.quantity, known.beyond)
    });
    let filled_at = known.map_or(Timestamp::from_millis(0), |known| known.filled_at);
    if known.is_some() && is_moving(store, product, symbol)? {
        set_holding(store, product, symbol, (held, beyond), filled_at, told, now)?;
        return Ok(false);
    }
    let shown = signed.saturating_sub(held).saturating_sub(beyond);
    if !shown.is_zero() {
        note_taken_over(store, product, symbol, shown, now)?;
    }
    let taken_over = (signed, Decimal::ZERO);
    set_holding(store, product, symbol, taken_over, filled_at, told, now)?;
    Ok(true)
}

/// Of each symbol, when a number of the venue that showed more or less than our fills was last taken over, `until` at most:
/// what it showed is not told apart from what an order fills that was seen last before that.
pub(crate) fn positions_taken_over(
    store: &impl Store,
    until: Timestamp,
) -> Result<BTreeMap<(Product, Symbol), Timestamp>, LedgerError> {
    let found = select(
        store,
        "SELECT key, value FROM meta WHERE key > 'taken-over:' AND key < 'taken-over;'",
        &[],
    )?;
    let mut latest = BTreeMap::new();
    for cells in &found {
        let taken: TakenOver = match cells.json(1) {
            // Without what it says nothing better is known, and the others go on.
            Err(LedgerError::Corrupt(_)) => continue,
            taken => taken?,
        };
        let counts = |(at, beyond): &(Timestamp, Decimal)| *at <= until && !beyond.is_zero();
        let last = taken
            .iter()
            .filter(|one| counts(one))
            .map(|(at, _)| *at)
            .max();
        let place = cells
            .text(0)?
            .split_once(':')
            .and_then(|(_, place)| place.split_once(':'));
        if let (Some(at), Some((product, symbol))) = (last, place)
            && let (Ok(product), Ok(symbol)) = (crate::row::from_word(product), symbol.parse())
        {
            latest.insert((product, symbol), at);
        }
    }
    Ok(latest)
}

/// Notes what a number of the venue that was taken over showed beyond our fills.
fn note_taken_over(
    store: &impl Store,
    product: Product,
    symbol: &Symbol,
    shown: Decimal,
    now: Timestamp,
) -> Result<(), LedgerError> {
    let key = taken_over_key(product, symbol);
    let mut taken: TakenOver = get_json(store, &key)?.unwrap_or_default();
    taken.retain(|(_, beyond)| !beyond.is_zero());
    taken.push((now, shown));
    if taken.len() > MAX_TAKEN_OVER {
        // The two oldest become one: what is older than both is older than it.
        let (_, oldest) = taken.remove(0);
        if let Some((_, next)) = taken.first_mut() {
            *next = next.saturating_add(oldest);
        }
    }
    put(store, &key, to_json(&taken)?)
}
