//! A Ledger's end: what it has open when its account is retired, and how the Ledger of the account's next
//! generation goes on with it.
//!
//! The message of a hand-over is the rows themselves. Client order ids, signals' ids and revisions stay, so the
//! new Ledger is to the old one what a new instance is to one that crashed: it looks up what it finds on its way.

use std::collections::BTreeMap;

use hoox_exchange::Clock;
use hoox_mesh::{
    Configure, Passage, Problem, SignalStatus, Standing, StandingOrder, StandingPosition,
};
use hoox_model::{Code, Timestamp};
use hoox_store::Value;
use serde_json::value::{RawValue, to_raw_value};

use crate::decide;
use crate::drive::Ledger;
use crate::exit;
use crate::journal::{self, Closed, Holding};
use crate::letters;
use crate::outbox::{self, Due};
use crate::port::{LedgerError, Ports, Store, atomic};
use crate::row::{
    Fences, OF_SIGNAL, OrderRow, OrderState, SignalRow, at, from_json, select, select_one, text,
    to_json,
};
use crate::schema;

/// How long a Ledger with nothing open takes nothing while its account is being retired, in milliseconds.
pub const HOLD_MS: i64 = 30_000;
/// Largest message of a hand-over, in bytes: 6 MiB. It is passed on within a message of 8 MiB.
pub const MAX_HANDED: usize = 6 * 1024 * 1024;
/// How long what has ended may still decide about what comes: twice the largest `maxLag`.
const RECENT_MS: i64 = 7_200_000;
/// Identities that are handed over, the newest. The Ledger that has handed over is asked for its own all the same, as
/// after every change of the routing.
const MAX_IDENTITIES: i64 = 10_000;
/// Orders that an answer names.
const MAX_NAMED: i64 = 100;

const SIGNAL: [&str; 21] = [
    "id",
    "request_id",
    "sender",
    "product",
    "symbol",
    "entry",
    "status",
    "open",
    "blocking",
    "due_at",
    "attempts",
    "received_at",
    "deadline",
    "revision",
    "data",
    "dead",
    "closing",
    "holds_until",
    "fences",
    "strategy",
    "alert_at",
];
const ORDERS: [&str; 12] = [
    "client_order_id",
    "signal_id",
    "leg",
    "product",
    "symbol",
    "closes",
    "state",
    "fence",
    "sent_at",
    "revision",
    "data",
    "live",
];
const IDENTITY: [&str; 6] = [
    "sender",
    "key",
    "content_hash",
    "signal_id",
    "expires_at",
    "request_id",
];
const HOLDING: [&str; 9] = [
    "product",
    "symbol",
    "quantity",
    "filled_at",
    "revision",
    "seen_at",
    "beyond",
    "told",
    "told_revision",
];
const OUTBOX: [&str; 3] = ["key", "revision", "record"];

const VALUES: [&str; 2] = ["key", "value"];

/// The tables whose rows are handed over, in this order, after the message's own head.
const TABLES: [(&str, &[&str]); 7] = [
    ("meta", &VALUES),
    ("holding", &HOLDING),
    ("outbox", &OUTBOX),
    ("outbox_refused", &OUTBOX),
    ("identity", &IDENTITY),
    ("signal", &SIGNAL),
    ("orders", &ORDERS),
];

/// All that a Ledger hands over: first the version of the tables, who hands over, and to whom; then the rows of
/// [`TABLES`], each a JSON array of its columns, as text.
type Handed = Vec<Vec<String>>;

/// A refusal inside a transaction that then changes nothing.
type Wish<T> = Result<Result<T, Box<Problem>>, LedgerError>;

impl<P: Ports> Ledger<P> {
    /// What is open here, for Control that is about to change the manifest.
    ///
    /// # Errors
    /// `CONFLICT` where it could not hand over as asked, `NOT_CONFIRMED` where storage failed.
    pub fn standing(&self, asked: &Passage) -> Result<Standing, Problem> {
        let (store, now) = (self.ports().store(), self.ports().clock().now());
        finished(atomic(store, || {
            let standing = standing(store, &asked.account)?;
            let hold = asked.hold && standing.is_clear();
            journal::hold(store, hold.then(|| now.plus_millis(HOLD_MS)))?;
            if !asked.to.is_empty()
                && let Err(problem) = handed(store, &asked.from, &asked.to, now)?
            {
                return Ok(Err(problem));
            }
            Ok(Ok(standing))
        }))
    }

    /// Closes this Ledger for good, because its account was retired by force. What has sent nothing and what waits
    /// becomes a dead letter, and so does what is at the venue: nothing is sent, looked up or taken back any more,
    /// unless an operator settles it. What was traded is recorded on.
    ///
    /// # Errors
    /// `NOT_CONFIRMED` where storage failed; nothing is changed then.
    pub fn retire(&self, asked: &Passage) -> Result<Standing, Problem> {
        let (store, now) = (self.ports().store(), self.ports().clock().now());
        finished(atomic(store, || {
            if journal::is_closed(store)? {
                return Ok(Ok(standing(store, &asked.account)?));
            }
            let found = select(store, "SELECT id FROM signal WHERE open = 1", &[])?;
            for cells in &found {
                if let Some(row) = SignalRow::readable(store, &cells.parsed(0)?)? {
                    lay_down(store, row, &asked.reason, now)?;
                }
            }
            journal::set_flatten(store, None)?;
            journal::close(
                store,
                self.ports().lanes(),
                &Closed::Retired(asked.reason.clone()),
            )?;
            if let Some(due) = journal::next_alarm(store, self.ports().lanes(), now)? {
                journal::wake(store, due, now)?;
            }
            Ok(Ok(standing(store, &asked.account)?))
        }))
    }

    /// Closes this Ledger for good and answers all that is open here, in one transaction. Asked again by the same
    /// Ledger's name, it answers the same.
    ///
    /// # Errors
    /// `CONFLICT` where it is too much for one message, or another Ledger has it; `NOT_CONFIRMED` where storage
    /// failed. Nothing is changed then.
    pub fn hand_over(&self, asked: &Passage) -> Result<Box<RawValue>, Problem> {
        let (store, now) = (self.ports().store(), self.ports().clock().now());
        finished(atomic(store, || {
            let handed = handed(store, &asked.from, &asked.to, now)?;
            if handed.is_ok() && !journal::is_closed(store)? {
                journal::close(
                    store,
                    self.ports().lanes(),
                    &Closed::HandedOver(asked.to.clone()),
                )?;
            }
            Ok(handed)
        }))
    }

    /// Takes over what another Ledger has handed over, all of it in one transaction and before it takes anything
    /// itself. The same message once more changes nothing.
    ///
    /// # Errors
    /// `CONFLICT` where this Ledger was used before or has other tables, `NOT_CONFIRMED` where storage failed.
    pub fn take_over(&self, asked: &Passage) -> Result<(), Problem> {
        let (store, now) = (self.ports().store(), self.ports().clock().now());
        let (Some(configure), Some(handed)) = (&asked.configure, &asked.handed) else {
            let text = "what is to be taken over is missing";
            return Err(Problem::new(Code::BadField, text));
        };
        finished(atomic(store, || {
            let configure: Configure = from_json(configure.get())?;
            if journal::taken_over(store)?.as_ref() != Some(&asked.from) {
                let to = configure.account.ledger_name();
                if let Err(problem) = take(store, &asked.from, &to, handed.get())? {
                    return Ok(Err(problem));
                }
                // What closes goes on at once, whatever it waited for in the other Ledger.
                store.query(
                    "UPDATE signal SET due_at = MIN(due_at, ?1) WHERE open = 1 AND closing = 1",
                    &[at(now)],
                )?;
            }
            journal::configure(store, self.ports().lanes(), &configure, now)?;
            if let Some(config) = journal::config(store)? {
                journal::revoke_waiting(store, self.ports().lanes(), &config, now)?;
            }
            if let Some(due) = journal::next_alarm(store, self.ports().lanes(), now)? {
                journal::wake(store, due, now)?;
            }
            Ok(Ok(()))
        }))
    }
}

fn failed(error: &LedgerError) -> Problem {
    let text = format!("the Ledger's storage failed ({error}); try again");
    Problem::new(Code::NotConfirmed, text)
}

fn finished<T>(outcome: Wish<T>) -> Result<T, Problem> {
    match outcome {
        Ok(done) => done.map_err(|problem| *problem),
        Err(error) => Err(failed(&error)),
    }
}

fn refused<T>(text: &str) -> Result<T, Box<Problem>> {
    Err(Box::new(Problem::new(Code::Conflict, text)))
}

fn standing(store: &impl Store, account: &str) -> Result<Standing, LedgerError> {
    let mut orders = Vec::new();
    let found = select(
        store,
        "SELECT client_order_id, symbol, state FROM orders WHERE live = 1 AND (state <> 'planned' OR fence > 0) \
         LIMIT +?1",
        &[Value::Integer(MAX_NAMED)],
    )?;
    for cells in &found {
        orders.push(StandingOrder {
            client_order_id: cells.parsed(0)?,
            symbol: cells.parsed(1)?,
            state: cells.text(2)?.to_owned(),
        });
    }
    let mut positions = Vec::new();
    for (symbol, held) in journal::holdings(store)? {
        if let (Some(side), quantity) = Holding::split(held) {
            positions.push(StandingPosition {
                symbol,
                side,
                quantity,
            });
        }
    }
    Ok(Standing {
        account: account.to_owned(),
        signals: journal::open_signals(store)?,
        order_count: journal::count(
            store,
            "SELECT COUNT(*) FROM orders WHERE live = 1 AND (state <> 'planned' OR fence > 0)",
        )?,
        orders,
        dead_letters: letters::waiting(store)?,
        undelivered_records: outbox::count(store, false)?,
        positions,
        flattening: !journal::is_closed(store)?
            && journal::flatten(store)?.is_some_and(|job| !job.done),
        used: is_used(store)?,
    })
}

/// Whether this Ledger has taken a signal, or is closed for good.
fn is_used(store: &impl Store) -> Result<bool, LedgerError> {
    let taken = select_one(store, "SELECT 1 FROM signal WHERE seq > 0 LIMIT 1", &[])?;
    Ok(taken.is_some() || journal::is_closed(store)?)
}

/// Ends a signal of an account that is retired by force: an operator's decision is left. What was traded is recorded.
fn lay_down(
    store: &impl Store,
    mut row: SignalRow,
    reason: &str,
    now: Timestamp,
) -> Result<(), LedgerError> {
    if row.status.is_final() {
        return Ok(());
    }
    let mut orders = OrderRow::of(store, &row.id)?;
    let why = format!("the account was retired: {reason}");
    let mut left = false;
    for order in &mut orders {
        let at_venue = !order.state.is_final()
            && (order.state != OrderState::Planned || order.data.doubts > 0);
        if at_venue {
            let text = format!(
                "{why}; it was {} then: look at the venue and settle it",
                order.state.as_str()
            );
            order.state = OrderState::Unknown;
            order.data.code = Some(Code::Unknown);
            order.data.message = Some(text);
            journal::save_order(store, order, now)?;
        }
        left |= order.state == OrderState::Unknown;
    }
    journal::skip_planned(store, &mut orders, &why, now)?;
    let traded = decide::any_filled(&orders);
    let (status, code) = match (left, traded) {
        (true, _) => (SignalStatus::Unknown, Code::Unknown),
        (false, true) => (SignalStatus::PartlyFilled, Code::ExitUndone),
        (false, false) => (SignalStatus::Refused, Code::NotPermitted),
    };
    if let Some(exit) = row.data.exit.as_mut().filter(|exit| !exit.done) {
        // What is left to do is recording only, and to say what it leaves.
        if exit.held.is_some() {
            exit::reveal(store, exit, now)?;
        }
        if exit.waits {
            let text = "what an older entry may still fill is left";
            exit.leaves.get_or_insert(text.to_owned());
        }
        exit.stop(&orders);
    }
    let message = exit::with_rest(&row, &orders, Some(why));
    row.end(status, Some(code), message);
    row.open = traded;
    row.dead = true;
    row.fences = Fences::None;
    row.due_at = now;
    journal::save_signal(store, &mut row, now)
}

/// All that is open, as one message; or why it cannot be handed over.
fn handed(
    store: &impl Store,
    from: &str,
    to: &str,
    now: Timestamp,
) -> Result<Result<Box<RawValue>, Box<Problem>>, LedgerError> {
    match journal::closed(store)? {
        Some(Closed::HandedOver(known)) if known == to => {}
        Some(Closed::HandedOver(known)) => {
            let text = format!("this ledger has handed over to {known} already");
            return Ok(refused(&text));
        }
        Some(Closed::Retired(_)) => {
            return Ok(refused(
                "this ledger is closed, because its account was retired",
            ));
        }
        Some(Closed::Held(_)) | None => {}
    }
    let mut signals = Vec::new();
    let mut orders = Vec::new();
    for (seq, id) in carried(store, now)? {
        let seq = Value::Integer(seq);
        signals.extend(rows(store, &SIGNAL, "signal WHERE seq = +?1", &[seq])?);
        let of_signal = format!("orders WHERE {OF_SIGNAL} ORDER BY leg");
        orders.extend(rows(store, &ORDERS, &of_signal, &[text(id)])?);
    }
    let own = journal::OWN.map(|key| format!("'{key}'")).join(", ");
    let values = format!("meta WHERE key > '' AND key NOT IN ({own}) ORDER BY key");
    let message: Handed = vec![
        vec![schema::VERSION.to_string(), from.to_owned(), to.to_owned()],
        rows(store, &VALUES, &values, &[])?,
        rows(store, &HOLDING, "holding WHERE product > ''", &[])?,
        waiting(store)?,
        rows(store, &OUTBOX, "outbox_refused WHERE key > ''", &[])?,
        rows(
            store,
            &IDENTITY,
            "identity WHERE expires_at > +?1 ORDER BY expires_at DESC LIMIT +?2",
            &[at(now), Value::Integer(MAX_IDENTITIES)],
        )?,
        signals,
        orders,
    ];
    let written =
        to_raw_value(&message).map_err(|error| LedgerError::Corrupt(error.to_string()))?;
    let bytes = written.get().len();
    if bytes > MAX_HANDED {
        let text = format!(
            "what is open takes {bytes} bytes, and a hand-over has {MAX_HANDED} at most. Nothing was changed; settle dead \
             letters, have the records delivered, or try again at a quieter time"
        );
        return Ok(refused(&text));
    }
    Ok(Ok(written))
}

/// The signals that go over, in the order of their arrival: what is open or waits for an operator, what has an order
/// that anything can come of, what ended lately and may decide about what comes, and what an exit counts with.
fn carried(store: &impl Store, now: Timestamp) -> Result<BTreeMap<i64, String>, LedgerError> {
    let mut found = BTreeMap::new();
    let mut add = |sql: &str, params: &[Value]| -> Result<(), LedgerError> {
        for cells in select(store, sql, params)? {
            found.insert(cells.integer(0)?, cells.text(1)?.to_owned());
        }
        Ok(())
    };
    add("SELECT seq, id FROM signal WHERE open = 1", &[])?;
    add("SELECT seq, id FROM signal WHERE dead = 1", &[])?;
    add(
        "SELECT seq, id FROM signal WHERE id > +?1 AND open = 0 AND dead = 0",
        &[journal::came_after(now.plus_millis(-RECENT_MS))],
    )?;
    let by_id = "SELECT seq, id FROM signal WHERE id = +?1";
    for cells in select(store, "SELECT signal_id FROM orders WHERE live = 1", &[])? {
        add(by_id, &[text(cells.text(0)?)])?;
    }
    let exits = "SELECT id FROM signal WHERE open = 1 AND closing = 1";
    for cells in select(store, exits, &[])? {
        let row = SignalRow::readable(store, &cells.parsed(0)?)?;
        let Some(exit) = row.and_then(|row| row.data.exit) else {
            continue;
        };
        let older = exit.older.iter().map(|(id, _)| id);
        for id in older.chain(&exit.newer) {
            add(by_id, &[text(id.as_str())])?;
        }
    }
    Ok(found)
}

/// What of the outbox goes over: made of the rows, of which not all do.
fn waiting(store: &impl Store) -> Result<Vec<String>, LedgerError> {
    let account = journal::config(store)?.map(|config| config.account);
    let sql = "SELECT key, revision, record FROM outbox WHERE key > ''";
    let mut waiting = Vec::new();
    for cells in &select(store, sql, &[])? {
        match outbox::records_of(store, account.as_ref(), cells) {
            Ok(records) => {
                for Due { key, row } in &records {
                    let revision = row.revision.as_i64();
                    waiting.push(to_json(&(key, revision, row.record.get()))?);
                }
            }
            // The other one finds as well that it cannot be read.
            Err(LedgerError::Corrupt(_)) => {
                waiting.push(to_json(&(
                    cells.text(0)?,
                    cells.integer(1)?,
                    cells.text(2)?,
                ))?);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(waiting)
}

/// Rows of a table, each as a JSON array of its columns.
fn rows(
    store: &impl Store,
    columns: &[&str],
    of: &str,
    params: &[Value],
) -> Result<Vec<String>, LedgerError> {
    let sql = format!("SELECT json_array({}) FROM {of}", columns.join(", "));
    let found = select(store, &sql, params)?;
    found
        .iter()
        .map(|cells| cells.text(0).map(str::to_owned))
        .collect()
}

fn insert(
    store: &impl Store,
    table: &str,
    columns: &[&str],
    rows: Vec<String>,
) -> Result<(), LedgerError> {
    let cells: Vec<String> = (0..columns.len())
        .map(|place| format!("json_extract(?1, '$[{place}]')"))
        .collect();
    let (columns, cells) = (columns.join(", "), cells.join(", "));
    let sql = format!("INSERT OR REPLACE INTO {table} ({columns}) VALUES ({cells})");
    for row in rows {
        store.query(&sql, &[Value::Text(row)])?;
    }
    Ok(())
}

/// Writes what was handed over; or why it cannot be taken.
fn take(store: &impl Store, from: &str, to: &str, handed: &str) -> Wish<()> {
    if is_used(store)? || journal::taken_over(store)?.is_some() {
        return Ok(refused(
            "the ledger of this generation was used before, so it cannot take over; use a higher generation",
        ));
    }
    let mut handed: Handed = from_json(handed)?;
    if handed.len() != TABLES.len().saturating_add(1) {
        return Ok(refused(
            "what was handed over is not readable; nothing was taken",
        ));
    }
    let rows = handed.split_off(1);
    let head = handed.pop().unwrap_or_default();
    if head != [schema::VERSION.to_string().as_str(), from, to] {
        return Ok(refused(
            "what was handed over is of another version of Hoox, as while one is being deployed, or of other ledgers; \
             nothing was taken, try again",
        ));
    }
    for ((table, columns), rows) in TABLES.into_iter().zip(rows) {
        insert(store, table, columns, rows)?;
    }
    // It has written past what this instance remembers.
    store.memory().forget();
    journal::set_taken_over(store, from)?;
    Ok(Ok(()))
}
