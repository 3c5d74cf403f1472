//! The Ledger's durable state: configuration, kill mode, lanes, the send fence, the outbox.

use hoox_auth::Account;
use hoox_mesh::route::MAX_INGEST;
use hoox_mesh::{Configure, KillMode};
use hoox_model::{
    ClientOrderId, Decimal, Instrument, Name, Position, Product, Quantity, Symbol, Timestamp,
};
use hoox_store::{OrderRecord, PositionRecord, Record, Revision, SealedRow, SignalRecord, Value};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::port::{LedgerError, META_GET, META_PUT, META_REMOVE, Store};
use crate::row::{
    Cells, OrderRow, OrderState, SignalRow, at, from_json, select, select_one, text, to_json,
};

/// How long a run may hold a lane before another one may take it. A venue call ends after 8 s.
pub(crate) const LEASE_MS: i64 = 20_000;

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
const DAY_MARK: &str = "day_mark";
const DAY_DUE: &str = "day_due";
const FLATTEN: &str = "flatten";
const OUTBOX_DUE: &str = "outbox_due";
const OUTBOX_FAILURES: &str = "outbox_failures";
/// How long one delivery keeps the others waiting; it ends itself after 10 s.
const DELIVERY_MS: i64 = 12_000;

fn get(store: &impl Store, key: &str) -> Result<Option<String>, LedgerError> {
    select_one(store, META_GET, &[text(key)])?
        .map(|cells| cells.text(0).map(str::to_owned))
        .transpose()
}

fn put(store: &impl Store, key: &str, value: String) -> Result<(), LedgerError> {
    store.query(META_PUT, &[text(key), text(value)])?;
    Ok(())
}

fn delete(store: &impl Store, key: &str) -> Result<(), LedgerError> {
    store.query(META_REMOVE, &[text(key)])?;
    Ok(())
}

fn get_json<T: DeserializeOwned>(store: &impl Store, key: &str) -> Result<Option<T>, LedgerError> {
    get(store, key)?.map(|value| from_json(&value)).transpose()
}

fn get_number(store: &impl Store, key: &str) -> Result<i64, LedgerError> {
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

/// The kill mode by which orders go out: until Control has told, none that enters does.
pub(crate) fn kill_mode(store: &impl Store) -> Result<KillMode, LedgerError> {
    Ok(kill(store)?.map_or(KillMode::Entries, |kill| kill.mode))
}

/// Takes over Control's word, unless a newer one is known.
pub(crate) fn configure(
    store: &impl Store,
    message: &Configure,
    now: Timestamp,
) -> Result<(), LedgerError> {
    set_config(
        store,
        config(store)?.as_ref(),
        message.manifest_version,
        &message.account,
        Some(&message.senders),
    )?;
    let known = kill(store)?;
    if known.is_some_and(|known| known.revision >= message.kill.revision) {
        return Ok(());
    }
    put(store, KILL_MODE, message.kill.mode.as_str().to_owned())?;
    put(store, KILL_REVISION, message.kill.revision.to_string())?;
    delete(store, FLATTEN)?;
    if message.kill.flatten && known.is_some() {
        let flatten = Flatten {
            revision: message.kill.revision,
            round: 0,
            due_at: now,
            since: now,
        };
        set_flatten(store, Some(&flatten))?;
    }
    if message.kill.mode == KillMode::Off {
        return Ok(());
    }
    // An entry that could not be found out may rest at the venue: it is asked for once more, beside the
    // symbol's exits, and ended where it is there. A run that still records what else its signal traded
    // must not write over that.
    store.query(
        "DELETE FROM lane WHERE EXISTS (SELECT 1 FROM signal JOIN orders ON orders.signal_id = signal.id \
         WHERE signal.product = lane.product AND signal.symbol = lane.symbol AND signal.open = 1 \
         AND orders.reduce_only = 0 AND orders.state = 'unknown')",
        &[],
    )?;
    store.query(
        "UPDATE signal SET status = 'sending', open = 1, blocking = 0, dead = 0, due_at = ?1 WHERE EXISTS \
         (SELECT 1 FROM orders WHERE signal_id = signal.id AND reduce_only = 0 AND state = 'unknown')",
        &[at(now)],
    )?;
    store.query(
        "UPDATE orders SET state = 'sending' WHERE reduce_only = 0 AND state = 'unknown'",
        &[],
    )?;
    store.query(
        "UPDATE signal SET due_at = MIN(due_at, ?1) WHERE open = 1 AND EXISTS (SELECT 1 FROM orders \
         WHERE signal_id = signal.id AND reduce_only = 0 AND state IN ('acknowledged', 'partly_filled'))",
        &[at(now)],
    )?;
    Ok(())
}

/// Positions that are being closed because the kill switch was engaged with `flatten`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Flatten {
    /// Revision of the kill switch that asked for it.
    pub revision: u64,
    /// How often closes were made; what is left after one round is closed by the next.
    pub round: u32,
    /// When the next step is due.
    pub due_at: Timestamp,
    /// When the present round began.
    pub since: Timestamp,
}

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

/// When the venue may be called again, after it asked for a pause or failed again and again.
pub(crate) fn venue_pause(store: &impl Store) -> Result<Timestamp, LedgerError> {
    Ok(Timestamp::from_millis(get_number(store, VENUE_PAUSE)?))
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

/// Forgets the failures of a venue that works again.
pub(crate) fn forget_failures(store: &impl Store) -> Result<(), LedgerError> {
    delete(store, VENUE_FAILURES)
}

/// A lane is the work of one symbol: one run at a time holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lease {
    product: String,
    symbol: String,
    token: String,
}

impl Lease {
    /// Takes a free lane.
    pub(crate) fn take(
        store: &impl Store,
        product: &str,
        symbol: &str,
        token: String,
        now: Timestamp,
    ) -> Result<Option<Self>, LedgerError> {
        let row = select_one(
            store,
            "INSERT INTO lane (product, symbol, token, lease_until) VALUES (?1, ?2, ?3, ?4) \
             ON CONFLICT DO UPDATE SET token = excluded.token, lease_until = excluded.lease_until \
             WHERE lane.lease_until <= ?5 RETURNING token",
            &[
                text(product),
                text(symbol),
                text(token.clone()),
                at(now.plus_millis(LEASE_MS)),
                at(now),
            ],
        )?;
        Ok(row.map(|_| Self {
            product: product.to_owned(),
            symbol: symbol.to_owned(),
            token,
        }))
    }

    /// Extends the lease; a lost one is an error, and the run must stop.
    pub(crate) fn renew(&self, store: &impl Store, now: Timestamp) -> Result<(), LedgerError> {
        select_one(
            store,
            "UPDATE lane SET lease_until = ?4 WHERE product = ?1 AND symbol = ?2 AND token = ?3 RETURNING token",
            &[
                text(self.product.as_str()),
                text(self.symbol.as_str()),
                text(self.token.as_str()),
                at(now.plus_millis(LEASE_MS)),
            ],
        )?
        .map(|_| ())
        .ok_or(LedgerError::LeaseLost)
    }

    /// Gives the lane back.
    pub(crate) fn release(&self, store: &impl Store) -> Result<(), LedgerError> {
        store.query(
            "DELETE FROM lane WHERE product = ?1 AND symbol = ?2 AND token = ?3",
            &[
                text(self.product.as_str()),
                text(self.symbol.as_str()),
                text(self.token.as_str()),
            ],
        )?;
        Ok(())
    }
}

/// The send fence: the one statement that lets an order out. Kill mode, lease and staleness decide in
/// it; the write, which only the living instance can make, holds the request back until it is durable.
///
/// Returns whether the order may be sent now, in this very turn.
pub(crate) fn fence(
    store: &impl Store,
    lease: &Lease,
    id: &ClientOrderId,
    deadline: Timestamp,
    now: Timestamp,
) -> Result<bool, LedgerError> {
    let passed = select_one(
        store,
        "UPDATE orders SET state = 'sending', fence = fence + 1, sent_at = COALESCE(sent_at, ?2) \
         WHERE client_order_id = ?1 AND state = 'planned' AND ?2 <= ?3 \
         AND EXISTS (SELECT 1 FROM lane WHERE product = ?4 AND symbol = ?5 AND token = ?6 AND lease_until > ?2) \
         AND CASE COALESCE((SELECT value FROM meta WHERE key = 'kill_mode'), 'entries') \
                  WHEN 'off' THEN 1 WHEN 'entries' THEN orders.reduce_only ELSE 0 END \
         RETURNING fence",
        &[
            text(id.as_str()),
            at(now),
            at(deadline),
            text(lease.product.as_str()),
            text(lease.symbol.as_str()),
            text(lease.token.as_str()),
        ],
    )?;
    Ok(passed.is_some())
}

/// Signals that are carried out side by side, and so the most venue calls in flight.
const MAX_LANES: i64 = 4;
/// When a signal whose row cannot be read is tried again; a newer version may be able to: 1 hour.
const QUARANTINE_MS: i64 = 3_600_000;
/// When a step is tried again that storage made impossible.
const PUT_OFF_MS: i64 = 5_000;
/// Identities that one run removes at most.
const PRUNE_ROWS: i64 = 100;

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
    /// The signal.
    pub(crate) fn signal(&self) -> Result<SignalRow, LedgerError> {
        SignalRow::read(&self.cells)
    }
}

/// Due, at the head of its lane unless it waits for nobody, in a lane that no run holds, and a run
/// more may work.
const DUE: &str = "open = 1 AND due_at <= ?1 \
     AND (blocking = 0 OR NOT EXISTS (SELECT 1 FROM signal AS first WHERE first.open = 1 AND first.blocking = 1 \
          AND first.product = signal.product AND first.symbol = signal.symbol AND first.seq < signal.seq)) \
     AND NOT EXISTS (SELECT 1 FROM lane WHERE lane.product = signal.product AND lane.symbol = signal.symbol \
          AND lane.lease_until > ?1) \
     AND (SELECT COUNT(*) FROM lane WHERE lease_until > ?1) < ?2";

/// Takes the next signal with something to do, with its lane; `token` is the lease's own.
pub(crate) fn claim(
    store: &impl Store,
    now: Timestamp,
    token: impl FnOnce() -> Result<String, LedgerError>,
) -> Result<Option<Claim>, LedgerError> {
    let condition = format!("{DUE} ORDER BY due_at, seq");
    let params = [at(now), Value::Integer(MAX_LANES)];
    let Some(cells) = SignalRow::find_cells(store, &condition, &params)? else {
        return Ok(None);
    };
    let [id, product, symbol] = SignalRow::place(&cells)?;
    let id = id.to_owned();
    let lease = Lease::take(store, product, symbol, token()?, now)?;
    Ok(lease.map(|lease| Claim { id, lease, cells }))
}

/// Takes a lane for work that belongs to no symbol, unless it is taken or enough runs are at work.
pub(crate) fn take_side_lane(
    store: &impl Store,
    name: &str,
    token: String,
    now: Timestamp,
) -> Result<Option<Lease>, LedgerError> {
    let busy = select_one(
        store,
        "SELECT COUNT(*) FROM lane WHERE lease_until > ?1",
        &[at(now)],
    )?
    .map_or(Ok(0), |cells| cells.integer(0))?;
    if busy >= MAX_LANES {
        return Ok(None);
    }
    Lease::take(store, name, "", token, now)
}

/// Puts a step off that storage made impossible, so that it does not hold up the others.
pub(crate) fn put_off(store: &impl Store, id: &str, now: Timestamp) -> Result<(), LedgerError> {
    let due = at(now.plus_millis(PUT_OFF_MS));
    store.query(
        "UPDATE signal SET due_at = ?2 WHERE id = ?1",
        &[text(id), due],
    )?;
    Ok(())
}

/// Puts a signal aside whose rows cannot be read. It stays open, but the symbol's other signals no
/// longer wait for it; what it may have at the venue counts as unknown, so that only exits go on.
pub(crate) fn quarantine(store: &impl Store, id: &str, now: Timestamp) -> Result<(), LedgerError> {
    store.query(
        "UPDATE signal SET blocking = 0, dead = 1, due_at = ?2 WHERE id = ?1",
        &[text(id), at(now.plus_millis(QUARANTINE_MS))],
    )?;
    store.query(
        "UPDATE orders SET state = 'unknown' WHERE signal_id = ?1 AND (state IN ('sending', 'acknowledged', \
         'partly_filled') OR (state = 'planned' AND fence > 0))",
        &[text(id)],
    )?;
    Ok(())
}

/// How long a signal that has ended is kept: longer than any identity that points to it.
const KEEP_MS: i64 = 8 * 86_400_000;

/// Removes identities that have run out, and signals with their orders that ended long ago, a bounded
/// number at a time. The records of them are in D1.
pub(crate) fn prune(store: &impl Store, now: Timestamp) -> Result<(), LedgerError> {
    store.query(
        "DELETE FROM identity WHERE (sender, key) IN \
         (SELECT sender, key FROM identity WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2)",
        &[at(now), Value::Integer(PRUNE_ROWS)],
    )?;
    let old = select(
        store,
        "SELECT id FROM signal WHERE open = 0 AND dead = 0 AND received_at < ?1 ORDER BY received_at LIMIT ?2",
        &[
            at(now.plus_millis(KEEP_MS.saturating_neg())),
            Value::Integer(PRUNE_ROWS),
        ],
    )?;
    for cells in &old {
        let id = [text(cells.text(0)?)];
        store.query("DELETE FROM orders WHERE signal_id = ?1", &id)?;
        store.query("DELETE FROM signal WHERE id = ?1", &id)?;
    }
    Ok(())
}

/// Gives up the orders of a plan that were not sent.
pub(crate) fn skip_planned(
    store: &impl Store,
    account: &Account,
    orders: &mut [OrderRow],
    reason: &str,
    now: Timestamp,
) -> Result<(), LedgerError> {
    for order in orders {
        if order.state == OrderState::Planned {
            order.state = OrderState::Skipped;
            order.data.message = Some(reason.to_owned());
            save_order(store, account, order, now)?;
        }
    }
    Ok(())
}

/// When the next step can be taken, the outbox included; `None` when all is done. What another run
/// works on counts from the end of its lease: that run sets the alarm anew before.
pub(crate) fn next_alarm(
    store: &impl Store,
    now: Timestamp,
) -> Result<Option<Timestamp>, LedgerError> {
    let signal = select_one(
        store,
        "SELECT MIN(MAX(due_at, ?1, \
              COALESCE((SELECT lease_until FROM lane WHERE lane.product = signal.product \
                        AND lane.symbol = signal.symbol AND lane.lease_until > ?1), 0), \
              COALESCE((SELECT MIN(lease_until) FROM lane WHERE lane.lease_until > ?1 HAVING COUNT(*) >= ?2), 0))) \
         FROM signal WHERE open = 1 \
         AND (blocking = 0 OR NOT EXISTS (SELECT 1 FROM signal AS first WHERE first.open = 1 AND first.blocking = 1 \
              AND first.product = signal.product AND first.symbol = signal.symbol AND first.seq < signal.seq))",
        &[at(now), Value::Integer(MAX_LANES)],
    )?
    .map(|cells| cells.integer_or_null(0))
    .transpose()?
    .flatten();
    let outbox = if records(store, false)? > 0 {
        Some(get_number(store, OUTBOX_DUE)?)
    } else {
        None
    };
    let flatten = flatten(store)?.map(|flatten| flatten.due_at.as_millis());
    let day = day_due(store)?.map(Timestamp::as_millis);
    Ok([signal, outbox, flatten, day]
        .into_iter()
        .flatten()
        .min()
        .map(|due| Timestamp::from_millis(due).max(now)))
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
         WHERE orders.product = ?1 AND orders.symbol = ?2 \
         AND (orders.state = 'unknown' OR (orders.state = 'sending' AND signal.blocking = 0))",
        &[text(product.as_str()), text(symbol.as_str())],
    )
    .map(|row| row.is_some())
}

/// Orders on their way whose outcome is open.
pub(crate) fn in_flight(store: &impl Store) -> Result<u32, LedgerError> {
    count(store, "SELECT COUNT(*) FROM orders WHERE state = 'sending'")
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
        "SELECT COUNT(*) FROM orders WHERE state IN ('acknowledged', 'partly_filled')",
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

/// Records in the outbox: those that wait for delivery, or those that the store refused.
pub(crate) fn records(store: &impl Store, refused: bool) -> Result<u32, LedgerError> {
    let sql = if refused {
        "SELECT COUNT(*) FROM outbox WHERE held = 1"
    } else {
        "SELECT COUNT(*) FROM outbox WHERE held = 0"
    };
    count(store, sql)
}

/// Hoox's own entries that the venue has and that are open.
pub(crate) fn resting_entries(store: &impl Store) -> Result<u32, LedgerError> {
    count(
        store,
        "SELECT COUNT(*) FROM orders WHERE reduce_only = 0 AND state IN ('acknowledged', 'partly_filled')",
    )
}

/// What Hoox's own fills say is held of a symbol: signed size, and when the last fill was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Holding {
    pub quantity: Decimal,
    pub filled_at: Timestamp,
}

pub(crate) fn holding(
    store: &impl Store,
    product: Product,
    symbol: &Symbol,
) -> Result<Option<Holding>, LedgerError> {
    select_one(
        store,
        "SELECT quantity, filled_at FROM holding WHERE product = ?1 AND symbol = ?2",
        &[text(product.as_str()), text(symbol.as_str())],
    )?
    .map(|cells| {
        Ok(Holding {
            quantity: cells.parsed(0)?,
            filled_at: Timestamp::from_millis(cells.integer(1)?),
        })
    })
    .transpose()
}

/// Sets what is held; the revision rises.
pub(crate) fn set_holding(
    store: &impl Store,
    product: Product,
    symbol: &Symbol,
    quantity: Decimal,
    filled_at: Timestamp,
    now: Timestamp,
) -> Result<i64, LedgerError> {
    let revision = select_one(
        store,
        "INSERT INTO holding (product, symbol, quantity, filled_at, revision) VALUES (?1, ?2, ?3, ?4, ?5) \
         ON CONFLICT DO UPDATE SET quantity = excluded.quantity, filled_at = excluded.filled_at, \
         revision = MAX(revision + 1, excluded.revision) RETURNING revision",
        &[
            text(product.as_str()),
            text(symbol.as_str()),
            text(quantity.normalize().to_string()),
            at(filled_at),
            at(now),
        ],
    )?;
    revision.map_or(Ok(0), |cells| cells.integer(0))
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

/// Puts a record into the outbox; the newest version of a record replaces the older one.
pub(crate) fn enqueue(
    store: &impl Store,
    revision: i64,
    record: &Record,
) -> Result<(), LedgerError> {
    store.query(
        "INSERT INTO outbox (key, revision, record) VALUES (?1, ?2, ?3) \
         ON CONFLICT DO UPDATE SET revision = excluded.revision, record = excluded.record, held = 0",
        &[
            text(record.key()),
            Value::Integer(revision),
            text(to_json(record)?),
        ],
    )?;
    Ok(())
}

/// Rows to deliver, and the keys under which they stand.
#[derive(Default)]
pub(crate) struct Delivery {
    keys: Vec<String>,
    pub(crate) rows: Vec<SealedRow>,
}

/// The next rows to deliver, when a delivery is due. Until it has ended, or its time is over, no other run
/// delivers: with a call for each run every record would go as often as runs are under way.
pub(crate) fn outbox_due(store: &impl Store, now: Timestamp) -> Result<Delivery, LedgerError> {
    if get_number(store, OUTBOX_DUE)? > now.as_millis() {
        return Ok(Delivery::default());
    }
    let limit = Value::Integer(i64::try_from(MAX_INGEST).unwrap_or(1));
    loop {
        let cells = select(
            store,
            "SELECT key, revision, record FROM outbox WHERE held = 0 LIMIT ?1",
            core::slice::from_ref(&limit),
        )?;
        let mut delivery = Delivery::default();
        for cells in &cells {
            let key = cells.text(0)?;
            match outbox_row(cells) {
                Ok(row) => {
                    delivery.keys.push(key.to_owned());
                    delivery.rows.push(row);
                }
                // Kept, but it does not hold up the others.
                Err(_) => hold_outbox_row(store, key)?,
            }
        }
        if !delivery.rows.is_empty() {
            let until = now.plus_millis(DELIVERY_MS).as_millis();
            put(store, OUTBOX_DUE, until.to_string())?;
        }
        // Where none could be read, all of them are held now, and the next ones get their turn.
        if cells.is_empty() || !delivery.rows.is_empty() {
            return Ok(delivery);
        }
    }
}

fn outbox_row(cells: &Cells) -> Result<SealedRow, LedgerError> {
    let revision = Revision::try_from(cells.integer(1)?)
        .map_err(|error| LedgerError::Corrupt(error.to_string()))?;
    Ok(SealedRow {
        revision,
        record: cells.json(2)?,
    })
}

fn hold_outbox_row(store: &impl Store, key: &str) -> Result<(), LedgerError> {
    store.query("UPDATE outbox SET held = 1 WHERE key = ?1", &[text(key)])?;
    Ok(())
}

/// Removes delivered rows, unless a newer version came meanwhile; those refused are held.
pub(crate) fn outbox_delivered(
    store: &impl Store,
    delivery: &Delivery,
    refused: &[usize],
) -> Result<(), LedgerError> {
    for (place, (key, row)) in delivery.keys.iter().zip(&delivery.rows).enumerate() {
        if refused.contains(&place) {
            hold_outbox_row(store, key)?;
            continue;
        }
        store.query(
            "DELETE FROM outbox WHERE key = ?1 AND revision = ?2",
            &[text(key.as_str()), Value::Integer(row.revision.as_i64())],
        )?;
    }
    delete(store, OUTBOX_DUE)?;
    if get(store, OUTBOX_FAILURES)?.is_some() {
        delete(store, OUTBOX_FAILURES)?;
    }
    Ok(())
}

/// Puts the next delivery off: 1 s, 2 s, 4 s … 60 s.
pub(crate) fn outbox_failed(store: &impl Store, now: Timestamp) -> Result<(), LedgerError> {
    let failures = get_number(store, OUTBOX_FAILURES)?.clamp(0, 6);
    let wait = 1_000i64.saturating_mul(
        1i64.checked_shl(u32::try_from(failures).unwrap_or(6))
            .unwrap_or(64),
    );
    put(
        store,
        OUTBOX_FAILURES,
        failures.saturating_add(1).to_string(),
    )?;
    put(
        store,
        OUTBOX_DUE,
        now.plus_millis(wait.min(60_000)).as_millis().to_string(),
    )
}

/// The revision after `last`: never lower than the clock, so that the records of an account's next
/// generation replace those of the one before.
pub(crate) fn next_revision(last: i64, now: Timestamp) -> i64 {
    last.saturating_add(1).max(now.as_millis())
}

/// Writes a changed signal and its record.
pub(crate) fn save_signal(
    store: &impl Store,
    account: &Account,
    row: &mut SignalRow,
    now: Timestamp,
) -> Result<(), LedgerError> {
    row.revision = next_revision(row.revision, now);
    row.update(store)?;
    enqueue(
        store,
        row.revision,
        &Record::Signal(signal_record(account, row, now)),
    )
}

/// Writes a changed order and its record.
pub(crate) fn save_order(
    store: &impl Store,
    account: &Account,
    row: &mut OrderRow,
    now: Timestamp,
) -> Result<(), LedgerError> {
    row.revision = next_revision(row.revision, now);
    row.data.updated_at = now;
    row.update(store)?;
    enqueue(
        store,
        row.revision,
        &Record::Order(order_record(account, row)),
    )
}

pub(crate) fn signal_record(account: &Account, row: &SignalRow, now: Timestamp) -> SignalRecord {
    let signal = &row.data.signal;
    SignalRecord {
        id: row.id.clone(),
        request_id: row.request_id.clone(),
        account_id: account.id.clone(),
        account: row.data.account.clone(),
        sender: row.sender.to_string(),
        action: signal.action.as_str().to_owned(),
        symbol: row.symbol.to_string(),
        state: row.status.as_str().to_owned(),
        code: row.data.code.map(|code| code.as_str().to_owned()),
        message: row.data.message.clone(),
        received_at: row.received_at,
        updated_at: now,
        dry_run: signal.dry_run,
        strategy: signal.strategy.clone(),
        order_id: signal.order_id.clone(),
        comment: signal.comment.clone(),
        body: row.data.body.clone(),
    }
}

pub(crate) fn order_record(account: &Account, row: &OrderRow) -> OrderRecord {
    let (data, spec) = (&row.data, &row.data.spec);
    OrderRecord {
        client_order_id: spec.client_order_id.clone(),
        signal_id: row.signal_id.clone(),
        account_id: account.id.clone(),
        venue: account.venue,
        symbol: spec.symbol.clone(),
        product: spec.product,
        leg: row.leg,
        side: spec.side,
        order_type: spec.kind.into(),
        quantity: spec.quantity,
        price: spec.kind.price(),
        reduce_only: spec.effect.closes(),
        state: row.state.as_str().to_owned(),
        venue_order_id: data.venue_order_id.clone(),
        filled_quantity: data.filled,
        average_price: data.average_price,
        fee: data.fee,
        fee_currency: data.fee_currency.clone(),
        code: data.code.map(|code| code.as_str().to_owned()),
        message: data.message.clone(),
        created_at: data.created_at,
        sent_at: row.sent_at,
        updated_at: data.updated_at,
    }
}

pub(crate) fn position_record(
    account: &Account,
    product: Product,
    position: &Position,
    now: Timestamp,
) -> PositionRecord {
    PositionRecord {
        account_id: account.id.clone(),
        account: account.name.clone(),
        venue: account.venue,
        symbol: position.symbol.clone(),
        product,
        side: position.side,
        quantity: position.quantity,
        entry_price: position.entry_price,
        leverage: position.leverage,
        unrealised_pnl: position.unrealised_pnl,
        updated_at: now,
    }
}

/// Nothing held.
pub(crate) const NOTHING: Quantity = Quantity::ZERO;

/// How long a venue's rules for a symbol are believed: 1 hour.
const INSTRUMENT_MS: i64 = 3_600_000;

#[derive(Serialize, Deserialize)]
struct CachedInstrument {
    at: Timestamp,
    instrument: Instrument,
}

fn instrument_key(product: Product, symbol: &Symbol) -> String {
    format!("instrument:{product}:{symbol}")
}

pub(crate) fn cached_instrument(
    store: &impl Store,
    product: Product,
    symbol: &Symbol,
    now: Timestamp,
) -> Result<Option<Instrument>, LedgerError> {
    let cached: Option<CachedInstrument> = get_json(store, &instrument_key(product, symbol))?;
    Ok(cached
        .filter(|known| now.since(known.at) < INSTRUMENT_MS)
        .map(|known| known.instrument))
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

/// Adds a fill of ours to what is held.
pub(crate) fn add_fill(
    store: &impl Store,
    product: Product,
    symbol: &Symbol,
    signed: Decimal,
    now: Timestamp,
) -> Result<(), LedgerError> {
    let before = holding(store, product, symbol)?.map_or(Decimal::ZERO, |known| known.quantity);
    let after = before
        .checked_add(signed)
        .ok_or_else(|| LedgerError::Corrupt("a holding is too large".to_owned()))?;
    set_holding(store, product, symbol, after, now, now).map(|_| ())
}

/// Whether an order is carried out on a symbol, whose fills are still to be added to what is held.
/// Orders that rest do not count: theirs come one by one, and each time the venue's number is taken over.
pub(crate) fn is_moving(
    store: &impl Store,
    product: Product,
    symbol: &Symbol,
) -> Result<bool, LedgerError> {
    let moving = select_one(
        store,
        "SELECT 1 FROM orders JOIN signal ON signal.id = orders.signal_id \
         WHERE orders.product = ?1 AND orders.symbol = ?2 AND signal.open = 1 AND signal.blocking = 1 \
         AND orders.state IN ('sending', 'acknowledged', 'partly_filled')",
        &[text(product.as_str()), text(symbol.as_str())],
    )?;
    Ok(moving.is_some())
}

/// Takes over what the venue says is held, keeping the time of our own last fill. While an order is
/// carried out there, that number may hold fills which are still to be added here, so ours stays then.
pub(crate) fn note_position(
    store: &impl Store,
    product: Product,
    symbol: &Symbol,
    signed: Decimal,
    now: Timestamp,
) -> Result<i64, LedgerError> {
    let Some(known) = holding(store, product, symbol)? else {
        let never = Timestamp::from_millis(0);
        return set_holding(store, product, symbol, signed, never, now);
    };
    let quantity = if is_moving(store, product, symbol)? {
        known.quantity
    } else {
        signed
    };
    set_holding(store, product, symbol, quantity, known.filled_at, now)
}
