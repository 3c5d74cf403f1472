//! Records and what they add to the trail, stored as one: a record that is stored without its entries, or the
//! other way round, there is not.

use core::fmt::Write as _;
use std::collections::BTreeMap;

use hoox_model::{AccountId, Code, Timestamp};

use super::{
    AuditEntry, AuditError, AuditEvent, AuditFound, AuditRow, AuditStore, ChainName, Segment,
    append::at_its_end,
    segment::{self, Log},
};
use crate::{OrderRecord, OutboxRow, Record, Revision, SignalRecord, Statement, upserts};

/// Who accepts, sends and ends: the Ledgers' worker.
const ACTOR: &str = "trade-worker";

/// Records of one delivery at most. A call of d1-worker may make 50 queries on the Free plan, and each statement is one;
/// a delivery makes the same few, however many records it has.
pub const MAX_DELIVERY: usize = 50;

/// Stores records, and in the chain of each account what they tell for the first time: that a signal was journaled,
/// that an order was sent, what became of a signal. May be repeated, and run in any order: a record that is stored
/// already, or in a later version, adds nothing.
///
/// `ends` says of a signal's state whether its work has ended.
///
/// # Errors
/// [`AuditError`]; then nothing is stored. Deliver again.
pub async fn deliver<S: AuditStore>(
    store: &S,
    now: Timestamp,
    rows: &[OutboxRow],
    ends: impl Fn(&str) -> bool,
) -> Result<(), AuditError<S::Error>> {
    if rows.is_empty() {
        return Ok(());
    }
    let month = Segment::of(now).ok_or(AuditError::Clock)?;
    let mut found = store.run(&questions(rows)).await?.into_iter();
    let log = Log::of(&found.next().unwrap_or_default());
    let heads = found.next().unwrap_or_default();
    let mut known: Vec<Known> = found.flatten().filter_map(Known::found).collect();

    let mut told: Vec<(&AccountId, AuditEntry)> = Vec::new();
    for row in rows {
        let entries = news(row, &mut known, &ends).into_iter();
        told.extend(entries.map(|entry| (row.record.account_id(), entry)));
    }
    // An outbox has no order of its own.
    told.sort_by_key(|(_, entry)| entry.time);

    let mut chains = BTreeMap::new();
    let mut trail: Vec<AuditRow> = Vec::new();
    for (account, entry) in told {
        let name: ChainName = chain_name(account).parse().map_err(|_| AuditError::Chain)?;
        let chain = chains
            .entry(name.clone())
            .or_insert_with(|| at_its_end(name, &heads));
        trail.extend(chain.append(&entry).ok());
    }
    let mut statements = upserts(rows);
    statements.extend(segment::store(
        &trail.iter().collect::<Vec<_>>(),
        log,
        month,
    ));
    store.run(&statements).await?;
    Ok(())
}

/// Where the trail and the accounts' chains end, and what is stored of these records.
fn questions(rows: &[OutboxRow]) -> [Statement; 4] {
    let records = || rows.iter().map(|row| &row.record);
    let chains: Vec<String> = records().map(|r| chain_name(r.account_id())).collect();
    let signals: Vec<String> = records().filter_map(signal_of).collect();
    let orders: Vec<String> = records().filter_map(order_of).collect();
    let json = |list: &[String]| serde_json::to_string(list).unwrap_or_default();
    [
        segment::log(),
        segment::heads(json(&chains)),
        segment::stored_signals(json(&signals)),
        segment::stored_orders(json(&orders)),
    ]
}

fn signal_of(record: &Record) -> Option<String> {
    match record {
        Record::Signal(signal) => Some(signal.id.to_string()),
        _ => None,
    }
}

fn order_of(record: &Record) -> Option<String> {
    match record {
        Record::Order(order) => Some(order.client_order_id.to_string()),
        _ => None,
    }
}

/// The chain of an account's Ledger.
fn chain_name(account: &AccountId) -> String {
    format!("ledger/{account}")
}

/// What is stored of a signal or an order.
struct Known {
    key: String,
    revision: i64,
    /// A signal's state; of an order whether it was `sent`.
    state: String,
}

impl Known {
    fn found(found: AuditFound) -> Option<Self> {
        Some(Self {
            key: found.record?,
            revision: found.revision?,
            state: found.state?,
        })
    }
}

/// An order that went to the venue, as [`Known::state`] says it.
const SENT: &str = "sent";

/// The entries of one record, which is known from here on.
fn news(row: &OutboxRow, known: &mut Vec<Known>, ends: &impl Fn(&str) -> bool) -> Vec<AuditEntry> {
    let (key, state) = match &row.record {
        Record::Signal(signal) => (signal.id.to_string(), signal.state.as_str()),
        Record::Order(order) => {
            let sent = order.sent_at.map_or("", |_| SENT);
            (order.client_order_id.to_string(), sent)
        }
        Record::Fill(_) | Record::Position(_) => return Vec::new(),
    };
    let revision = Revision::as_i64(row.revision);
    let stored = known.iter_mut().find(|stored| stored.key == key);
    if stored
        .as_ref()
        .is_some_and(|stored| stored.revision >= revision)
    {
        return Vec::new();
    }
    let last = stored.as_ref().map(|stored| stored.state.as_str());
    let entries = match &row.record {
        Record::Signal(signal) => of_signal(signal, last, ends),
        Record::Order(order) => of_order(order, last).into_iter().collect(),
        Record::Fill(_) | Record::Position(_) => Vec::new(),
    };
    let now = Known {
        state: state.to_owned(),
        key,
        revision,
    };
    match stored {
        Some(stored) => *stored = now,
        None => known.push(now),
    }
    entries
}

fn of_signal(
    signal: &SignalRecord,
    last: Option<&str>,
    ends: &impl Fn(&str) -> bool,
) -> Vec<AuditEntry> {
    let about = |time, event, actor: &str| AuditEntry {
        request_id: Some(signal.request_id.clone()),
        signal_id: Some(signal.id.clone()),
        account: Some(signal.account_id.clone()),
        ..AuditEntry::new(time, event, actor)
    };
    let mut entries = Vec::new();
    if last.is_none() {
        let dry = if signal.dry_run { ", dry run" } else { "" };
        let asked = format!("{} {}{dry}", signal.action, signal.symbol);
        entries.push(AuditEntry {
            detail: Some(asked.into()),
            ..about(
                signal.received_at,
                AuditEvent::SignalAccepted,
                &signal.sender,
            )
        });
    }
    if ends(&signal.state) && last != Some(signal.state.as_str()) {
        let mut came = signal.state.clone();
        if let Some(message) = &signal.message {
            // Writing to a text never fails.
            write!(came, ": {message}").unwrap_or_default();
        }
        entries.push(AuditEntry {
            code: signal.code.as_deref().and_then(code_of),
            detail: Some(came.into()),
            ..about(signal.updated_at, AuditEvent::SignalOutcome, ACTOR)
        });
    }
    entries
}

fn of_order(order: &OrderRecord, last: Option<&str>) -> Option<AuditEntry> {
    let sent_at = order.sent_at.filter(|_| last != Some(SENT))?;
    let what = format!(
        "{} {} {} {} as {}",
        order.side, order.quantity, order.symbol, order.order_type, order.client_order_id
    );
    Some(AuditEntry {
        signal_id: Some(order.signal_id.clone()),
        account: Some(order.account_id.clone()),
        detail: Some(what.into()),
        ..AuditEntry::new(sent_at, AuditEvent::OrderSent, ACTOR)
    })
}

/// The code of a record's text; one that this version does not know stays in the record alone.
fn code_of(text: &str) -> Option<Code> {
    Code::ALL.iter().copied().find(|code| code.as_str() == text)
}
