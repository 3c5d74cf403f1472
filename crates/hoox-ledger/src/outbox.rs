//! The outbox: what is still to be recorded in d1-worker.
//!
//! A signal that has changed is only marked, and its records are made of its rows when they are delivered: of all
//! versions in between only the last one costs anything. The mark stands for the signal, its first orders, the fills kept
//! with them, and the position of its symbol. What does not fit stands in the outbox as a record of its own.

use hoox_auth::Account;
use hoox_mesh::route::MAX_INGEST;
use hoox_model::{Fill, Position, Product, SignalId, Symbol, Timestamp};
use hoox_store::{
    FillRecord, OrderRecord, PositionRecord, Record, Revision, SealedRow, SignalRecord, Value,
};

use crate::journal::{self, get_number};
use crate::lanes::Lanes;
use crate::port::{LedgerError, Store};
use crate::row::{Cells, OF_SIGNAL, OrderRow, SignalRow, select, select_one, text, to_json};

/// Orders that a signal's mark stands for, by their number within the signal: almost no signal has more.
const MARKED_ORDERS: u32 = 12;
/// Of so many first orders the fills stand for delivery in the order's own row, where there are no more than
/// [`KEPT_FILLS`] of them. With signal, orders and position they fit one delivery.
const FILLED_ORDERS: u32 = 4;
const KEPT_FILLS: usize = 8;

/// What the keys of [`Record::key`] begin with.
const SIGNAL_KEY: &str = "signal:";
const ORDER_KEY: &str = "order:";

/// When the next delivery is due, where one has failed, and how many have failed in a row.
pub(crate) const DUE: &str = "outbox_due";
pub(crate) const FAILURES: &str = "outbox_failures";

/// Notes that what a signal's mark stands for is to be delivered.
pub(crate) fn signal_changed(store: &impl Store, id: &SignalId) -> Result<(), LedgerError> {
    mark(store, format!("{SIGNAL_KEY}{id}"))
}

/// Notes that an order's record is to be delivered.
pub(crate) fn order_changed(store: &impl Store, order: &OrderRow) -> Result<(), LedgerError> {
    if order.leg < MARKED_ORDERS {
        return signal_changed(store, &order.signal_id);
    }
    mark(store, format!("{ORDER_KEY}{}", order.id()))
}

fn mark(store: &impl Store, key: String) -> Result<(), LedgerError> {
    if store.memory().is_marked(&key) {
        return Ok(());
    }
    store.query(
        "INSERT INTO outbox (key, revision, record) VALUES (?1, 0, '') \
         ON CONFLICT DO UPDATE SET revision = 0, record = '' WHERE record <> ''",
        &[text(key.as_str())],
    )?;
    store.memory().note_mark(key);
    Ok(())
}

/// Puts the fills of an order into the outbox; the order is to be saved then.
pub(crate) fn add_fills(
    store: &impl Store,
    account: &Account,
    order: &mut OrderRow,
    fills: Vec<Fill>,
) -> Result<(), LedgerError> {
    if order.leg < FILLED_ORDERS && fills.len() <= KEPT_FILLS {
        order.data.fills = fills;
        return Ok(());
    }
    for fill in &fills {
        let record = Record::Fill(fill_record(account, order, fill));
        store.query(
            "INSERT INTO outbox (key, revision, record) VALUES (?1, 1, ?2) ON CONFLICT DO NOTHING",
            &[text(record.key()), text(to_json(&record)?)],
        )?;
    }
    order.data.fills = Vec::new();
    Ok(())
}

/// A record that is to be delivered.
pub(crate) struct Due {
    /// What it is called, see [`Record::key`].
    pub(crate) key: String,
    /// What it holds.
    pub(crate) row: SealedRow,
}

impl Due {
    fn of(revision: i64, record: &Record) -> Result<Self, LedgerError> {
        let sealed = serde_json::value::to_raw_value(record);
        Ok(Self {
            key: record.key(),
            row: SealedRow {
                revision: revision_of(revision)?,
                record: sealed.map_err(|error| LedgerError::Corrupt(error.to_string()))?,
            },
        })
    }
}

fn revision_of(number: i64) -> Result<Revision, LedgerError> {
    Revision::try_from(number).map_err(|error| LedgerError::Corrupt(error.to_string()))
}

/// A row of the outbox that is being delivered.
struct Waiting {
    key: String,
    records: Vec<Due>,
    version: Version,
}

/// By which a row of the outbox is known not to have changed while it was delivered.
enum Version {
    /// The revision in the outbox.
    Own(i64),
    /// That of an order.
    Order(i64),
    /// Of all that a mark stands for: the revision of the signal, of its orders together, and of the position told.
    Mark {
        signal: i64,
        orders: i64,
        position: i64,
        product: Product,
        symbol: Symbol,
    },
}

/// What one call delivers.
#[derive(Default)]
pub(crate) struct Delivery {
    waiting: Vec<Waiting>,
    pub(crate) rows: Vec<SealedRow>,
}

/// The next rows to deliver, when a delivery is due. Until it has ended, or its time is over, no other run
/// delivers: with a call for each run every record would go as often as runs are under way.
pub(crate) fn due(
    store: &impl Store,
    lanes: &Lanes,
    now: Timestamp,
) -> Result<Delivery, LedgerError> {
    let under_way = lanes.delivers_until().is_some_and(|until| until > now);
    if under_way || get_number(store, DUE)? > now.as_millis() {
        return Ok(Delivery::default());
    }
    let limit = Value::Integer(i64::try_from(MAX_INGEST).unwrap_or(1));
    loop {
        let cells = select(
            store,
            "SELECT key, revision, record FROM outbox WHERE key > '' LIMIT +?1",
            core::slice::from_ref(&limit),
        )?;
        let mut delivery = Delivery::default();
        if cells.is_empty() {
            return Ok(delivery);
        }
        let account = journal::config(store)?.map(|config| config.account);
        for cells in &cells {
            match waiting(store, account.as_ref(), cells) {
                Ok(found) => {
                    if delivery.rows.len().saturating_add(found.records.len()) > MAX_INGEST {
                        return Ok(delivery);
                    }
                    delivery
                        .rows
                        .extend(found.records.iter().map(|due| due.row.clone()));
                    delivery.waiting.push(found);
                }
                // Kept, but it does not hold up the others.
                Err(LedgerError::Corrupt(_)) => hold(store, cells.text(0)?)?,
                Err(error) => return Err(error),
            }
        }
        // Where none could be read, all of them are held now, and the next ones get their turn.
        if !delivery.rows.is_empty() {
            return Ok(delivery);
        }
    }
}

/// The records of a row of the outbox, whose columns are key, revision and record.
pub(crate) fn records_of(
    store: &impl Store,
    account: Option<&Account>,
    cells: &Cells,
) -> Result<Vec<Due>, LedgerError> {
    waiting(store, account, cells).map(|waiting| waiting.records)
}

fn waiting(
    store: &impl Store,
    account: Option<&Account>,
    cells: &Cells,
) -> Result<Waiting, LedgerError> {
    let key = cells.text(0)?;
    if !cells.text(2)?.is_empty() {
        let revision = cells.integer(1)?;
        let row = SealedRow {
            revision: revision_of(revision)?,
            record: cells.json(2)?,
        };
        return Ok(Waiting {
            key: key.to_owned(),
            records: vec![Due {
                key: key.to_owned(),
                row,
            }],
            version: Version::Own(revision),
        });
    }
    let account = account.ok_or_else(|| missing("the account"))?;
    let (records, version) = match key.strip_prefix(SIGNAL_KEY) {
        Some(id) => of_signal(store, account, id)?,
        None => of_order(
            store,
            account,
            key.strip_prefix(ORDER_KEY).unwrap_or_default(),
        )?,
    };
    Ok(Waiting {
        key: key.to_owned(),
        records,
        version,
    })
}

fn missing(what: &str) -> LedgerError {
    LedgerError::Corrupt(format!("{what} of a record is missing"))
}

/// The record of an order as its row is now.
fn of_order(
    store: &impl Store,
    account: &Account,
    id: &str,
) -> Result<(Vec<Due>, Version), LedgerError> {
    let row = OrderRow::by_id(store, id)?.ok_or_else(|| missing("the order"))?;
    let due = Due::of(row.revision, &Record::Order(order_record(account, &row)))?;
    Ok((vec![due], Version::Order(row.revision)))
}

/// All records that a signal's mark stands for, as the rows are now.
fn of_signal(
    store: &impl Store,
    account: &Account,
    id: &str,
) -> Result<(Vec<Due>, Version), LedgerError> {
    let row = SignalRow::find(store, "id = +?1", &[text(id)])?;
    let row = row.ok_or_else(|| missing("the signal"))?;
    let orders = OrderRow::of(store, &row.id)?;
    let signal = Record::Signal(signal_record(account, &row));
    let mut records = vec![Due::of(row.revision, &signal)?];
    for order in orders.iter().filter(|order| order.leg < MARKED_ORDERS) {
        let record = Record::Order(order_record(account, order));
        records.push(Due::of(order.revision, &record)?);
        for fill in &order.data.fills {
            records.push(Due::of(
                1,
                &Record::Fill(fill_record(account, order, fill)),
            )?);
        }
    }
    let told = told(store, row.product, &row.symbol)?;
    let position = told.as_ref().map_or(0, |(revision, _)| *revision);
    if let Some((revision, record)) = told {
        records.push(Due::of(revision, &Record::Position(record))?);
    }
    let orders = orders.iter().map(|order| order.revision);
    let version = Version::Mark {
        signal: row.revision,
        orders: orders.fold(0, i64::saturating_add),
        position,
        product: row.product,
        symbol: row.symbol,
    };
    Ok((records, version))
}

/// The position of a symbol as it was told last, with its revision.
fn told(
    store: &impl Store,
    product: Product,
    symbol: &Symbol,
) -> Result<Option<(i64, PositionRecord)>, LedgerError> {
    select_one(
        store,
        "SELECT told_revision, told FROM holding WHERE product = +?1 AND symbol = +?2 AND told IS NOT NULL",
        &[text(product.as_str()), text(symbol.as_str())],
    )?
    .map(|cells| Ok((cells.integer(0)?, cells.json(1)?)))
    .transpose()
}

fn hold(store: &impl Store, key: &str) -> Result<(), LedgerError> {
    store.query(
        "INSERT INTO outbox_refused SELECT key, revision, record FROM outbox WHERE key = +?1 \
         ON CONFLICT DO UPDATE SET revision = excluded.revision, record = excluded.record",
        &[text(key)],
    )?;
    store.memory().unmark(key);
    store.query("DELETE FROM outbox WHERE key = +?1", &[text(key)])?;
    Ok(())
}

/// Keeps a record that d1-worker could not read.
fn hold_refused(store: &impl Store, due: &Due) -> Result<(), LedgerError> {
    store.query(
        "INSERT INTO outbox_refused (key, revision, record) VALUES (?1, ?2, ?3) \
         ON CONFLICT DO UPDATE SET revision = excluded.revision, record = excluded.record",
        &[
            text(due.key.as_str()),
            Value::Integer(due.row.revision.as_i64()),
            text(due.row.record.get()),
        ],
    )?;
    Ok(())
}

/// Removes delivered rows, unless a newer version came meanwhile. Records that were refused, named by their places in the
/// call, are held.
pub(crate) fn delivered(
    store: &impl Store,
    delivery: &Delivery,
    refused: &[usize],
) -> Result<(), LedgerError> {
    let mut place = 0usize;
    for waiting in &delivery.waiting {
        for due in &waiting.records {
            if refused.contains(&place) {
                hold_refused(store, due)?;
            }
            place = place.saturating_add(1);
        }
        remove(store, waiting)?;
    }
    if journal::get(store, FAILURES)?.is_some() {
        journal::delete(store, DUE)?;
        journal::delete(store, FAILURES)?;
    }
    Ok(())
}

/// Removes a row of the outbox unless it stands for something newer by now.
fn remove(store: &impl Store, waiting: &Waiting) -> Result<(), LedgerError> {
    let key = waiting.key.as_str();
    store.memory().unmark(key);
    match &waiting.version {
        Version::Own(revision) => store.query(
            "DELETE FROM outbox WHERE key = +?1 AND revision = +?2 AND record <> ''",
            &[text(key), Value::Integer(*revision)],
        )?,
        Version::Order(revision) => store.query(
            "DELETE FROM outbox WHERE key = +?1 \
             AND EXISTS (SELECT 1 FROM orders WHERE client_order_id = +?2 AND revision = +?3)",
            &[
                text(key),
                text(key.strip_prefix(ORDER_KEY).unwrap_or_default()),
                Value::Integer(*revision),
            ],
        )?,
        Version::Mark {
            signal,
            orders,
            position,
            product,
            symbol,
        } => store.query(
            &format!(
                "DELETE FROM outbox WHERE key = 'signal:' || ?1 \
                 AND EXISTS (SELECT 1 FROM signal WHERE id = +?1 AND revision = +?2) \
                 AND (SELECT COALESCE(SUM(revision), 0) FROM orders WHERE {OF_SIGNAL}) = +?3 \
                 AND COALESCE((SELECT told_revision FROM holding WHERE product = +?5 AND symbol = +?6), 0) = +?4"
            ),
            &[
                text(key.strip_prefix(SIGNAL_KEY).unwrap_or_default()),
                Value::Integer(*signal),
                Value::Integer(*orders),
                Value::Integer(*position),
                text(product.as_str()),
                text(symbol.as_str()),
            ],
        )?,
    };
    Ok(())
}

/// Puts the next delivery off: 1 s, 2 s, 4 s … 60 s.
pub(crate) fn failed(store: &impl Store, now: Timestamp) -> Result<(), LedgerError> {
    let failures = get_number(store, FAILURES)?.clamp(0, 6);
    let wait = 1_000i64.saturating_mul(
        1i64.checked_shl(u32::try_from(failures).unwrap_or(6))
            .unwrap_or(64),
    );
    journal::put(store, FAILURES, failures.saturating_add(1).to_string())?;
    let due = now.plus_millis(wait.min(60_000));
    journal::put(store, DUE, due.as_millis().to_string())
}

/// When records are to be delivered next; `None` where none wait.
pub(crate) fn next_due(
    store: &impl Store,
    lanes: &Lanes,
) -> Result<Option<Timestamp>, LedgerError> {
    let waits = select_one(store, "SELECT 1 FROM outbox WHERE key > '' LIMIT 1", &[])?;
    if waits.is_none() {
        return Ok(None);
    }
    let due = Timestamp::from_millis(get_number(store, DUE)?);
    Ok(Some(
        lanes.delivers_until().map_or(due, |until| due.max(until)),
    ))
}

/// Rows that wait for delivery, or records that the store refused; 10,000 where there are more.
pub(crate) fn count(store: &impl Store, refused: bool) -> Result<u32, LedgerError> {
    let sql = if refused {
        "SELECT COUNT(*) FROM (SELECT 1 FROM outbox_refused WHERE key > '' LIMIT 10000)"
    } else {
        "SELECT COUNT(*) FROM (SELECT 1 FROM outbox WHERE key > '' LIMIT 10000)"
    };
    journal::count(store, sql)
}

/// The record of a signal as its row is. Its revision is the time of its last change, a little more where there were
/// several within a millisecond.
fn signal_record(account: &Account, row: &SignalRow) -> SignalRecord {
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
        updated_at: Timestamp::from_millis(row.revision),
        dry_run: signal.dry_run,
        strategy: signal.strategy.clone(),
        order_id: signal.order_id.clone(),
        comment: signal.comment.clone(),
        notes: row.data.notes.clone(),
        reading: Some(signal.reading()),
        body: row.data.body.clone(),
    }
}

fn order_record(account: &Account, row: &OrderRow) -> OrderRecord {
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

fn fill_record(account: &Account, order: &OrderRow, fill: &Fill) -> FillRecord {
    FillRecord {
        account_id: account.id.clone(),
        fill_id: fill.venue_fill_id.clone(),
        client_order_id: order.id().clone(),
        venue: account.venue,
        symbol: order.data.spec.symbol.clone(),
        product: order.data.spec.product,
        side: order.data.spec.side,
        quantity: fill.quantity,
        price: fill.price,
        fee: Some(fill.fee),
        fee_currency: fill.fee_currency.clone(),
        filled_at: fill.at,
    }
}
