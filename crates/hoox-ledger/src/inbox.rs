//! Control's inbox: alerts that were refused after a valid key, and those that came from an allowed address and could
//! not be read.
//!
//! Each sender has room of its own, and what could not be read has another, so that none pushes out what is another's.
//! A row is replaced by leaving the oldest out: two rows written at most, and nothing that grows.

use hoox_auth::{Manifest, Sender};
use hoox_mesh::{InboxNote, InboxRequest, Problem};
use hoox_model::{Code, Name, RequestId, Timestamp};
use hoox_store::Value;
use serde_json::value::RawValue;

use crate::port::{LedgerError, Store, atomic};
use crate::row::{at, select, select_one, text};

/// Most refusals of one sender.
pub const MAX_OF_A_SENDER: i64 = 200;
/// Most alerts that could not be read.
pub const MAX_UNREAD: i64 = 100;
/// Most of those within an hour; the rest is counted.
pub const MAX_UNREAD_AN_HOUR: i64 = 20;

const HOUR_MS: i64 = 3_600_000;
/// A count begins anew with the first one after so long.
const COUNTED_MS: i64 = 7 * 24 * HOUR_MS;
/// Rows of a page.
const MAX_PAGE: u32 = 100;
const PAGE: u32 = 50;
/// Where what nobody has proved to have sent is kept; no sender is called so.
const UNREAD: &str = "";
/// Above every name and every request's id.
const LAST: &str = "~";

/// Its tables. The key of the first is the order of both the room and a page, so that no index is written besides.
const TABLES: [&str; 2] = [
    "CREATE TABLE IF NOT EXISTS refusal (origin TEXT NOT NULL, id TEXT NOT NULL, at INTEGER NOT NULL, \
     data TEXT NOT NULL, PRIMARY KEY (origin, id)) STRICT, WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS refusal_count (origin TEXT PRIMARY KEY, count INTEGER NOT NULL, \
     since INTEGER NOT NULL, last INTEGER NOT NULL) STRICT, WITHOUT ROWID",
];
const INSERT: &str =
    "INSERT INTO refusal (origin, id, at, data) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING";
/// The newest row but so many.
const OLDER: &str =
    "SELECT id, at FROM refusal WHERE origin = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2";
const REMOVE: &str = "DELETE FROM refusal WHERE origin = ?1 AND id <= ?2";
const REMOVE_ALL: [&str; 2] = [
    "DELETE FROM refusal WHERE origin = ?1",
    "DELETE FROM refusal_count WHERE origin = ?1",
];
/// Of one origin or of all. It reads the rows of those, a bounded number: 100 senders have 20,000 at most.
const PAGE_OF: &str = "SELECT id, data FROM refusal WHERE origin BETWEEN ?1 AND ?2 AND id < ?3 ORDER BY id DESC LIMIT ?4";
/// A count begins anew where it began before a moment.
const COUNT: &str = "INSERT INTO refusal_count (origin, count, since, last) VALUES (?1, ?2, ?3, ?3) \
                     ON CONFLICT DO UPDATE SET count = iif(since > ?4, count, 0) + excluded.count, \
                     since = iif(since > ?4, since, excluded.since), last = excluded.last";
const COUNTS_OF: &str = "SELECT json_object('sender', nullif(origin, ''), 'count', count, 'since', since, 'lastAt', last) \
                         FROM refusal_count WHERE origin BETWEEN ?1 AND ?2";

/// Makes the tables.
pub(crate) fn open(store: &impl Store) -> Result<(), LedgerError> {
    for table in TABLES {
        store.query(table, &[])?;
    }
    Ok(())
}

/// Keeps a refusal, or counts some. Of a sender who is in no manifest nothing is kept. This is the one place that every
/// refusal comes by: a notice about one would be made here.
pub(crate) fn take(
    store: &impl Store,
    manifest: &Manifest,
    note: &InboxNote<Box<RawValue>>,
    now: Timestamp,
) -> Result<(), LedgerError> {
    let sender = note.sender.as_ref();
    if sender.is_some_and(|sender| !has(manifest, sender)) {
        return Ok(());
    }
    let origin = sender.map_or(UNREAD, Name::as_str);
    atomic(store, || {
        let Some(refused) = &note.refused else {
            return count(store, origin, note.more, now);
        };
        let room = if sender.is_some() {
            MAX_OF_A_SENDER
        } else {
            let last = older(store, origin, MAX_UNREAD_AN_HOUR - 1)?;
            if last.is_some_and(|(_, at)| now.since(at) < HOUR_MS) {
                return count(store, origin, 1, now);
            }
            MAX_UNREAD
        };
        let (id, data) = (text(note.request_id.as_str()), text(refused.get()));
        store.query(INSERT, &[text(origin), id, at(now), data])?;
        if let Some((surplus, _)) = older(store, origin, room)? {
            store.query(REMOVE, &[text(origin), Value::Text(surplus)])?;
        }
        Ok(())
    })
}

fn has(manifest: &Manifest, sender: &Name) -> bool {
    manifest.senders.iter().any(|known| known.id == *sender)
}

/// Id and time of the newest row of an origin but so many.
fn older(
    store: &impl Store,
    origin: &str,
    but: i64,
) -> Result<Option<(String, Timestamp)>, LedgerError> {
    let found = select_one(store, OLDER, &[text(origin), Value::Integer(but)])?;
    found
        .map(|cells| {
            let at = Timestamp::from_millis(cells.integer(1)?);
            Ok((cells.text(0)?.to_owned(), at))
        })
        .transpose()
}

fn count(store: &impl Store, origin: &str, more: u32, now: Timestamp) -> Result<(), LedgerError> {
    let fresh = now.plus_millis(-COUNTED_MS);
    store.query(
        COUNT,
        &[
            text(origin),
            Value::Integer(more.into()),
            at(now),
            at(fresh),
        ],
    )?;
    Ok(())
}

/// Removes what is kept of senders that a change of the manifest removes.
pub(crate) fn forget(
    store: &impl Store,
    old: &[Sender],
    new: &Manifest,
) -> Result<(), LedgerError> {
    for sender in old.iter().filter(|sender| !has(new, &sender.id)) {
        for statement in REMOVE_ALL {
            store.query(statement, &[text(sender.id.as_str())])?;
        }
    }
    Ok(())
}

/// One page, newest first, as JSON: `{"items", "nextCursor", "notKept"}`.
///
/// # Errors
/// `BAD_FIELD` for a sender that is not there, a limit out of bounds and what is no cursor.
pub(crate) fn list(
    store: &impl Store,
    manifest: &Manifest,
    asked: &InboxRequest,
) -> Result<Result<String, Problem>, LedgerError> {
    let limit = asked.limit.unwrap_or(PAGE);
    let (sender, cursor) = (asked.sender.as_deref(), asked.cursor.as_deref());
    let (field, problem) = if !(1..=MAX_PAGE).contains(&limit) {
        ("limit", "limit must be a whole number from 1 to 100")
    } else if cursor.is_some_and(|cursor| cursor.parse::<RequestId>().is_err()) {
        (
            "cursor",
            "the cursor is not one of this listing; leave it out to begin anew",
        )
    } else if sender.is_some_and(|name| manifest.senders.iter().all(|it| it.id.as_str() != name)) {
        ("sender", "there is no sender of this name")
    } else {
        ("", "")
    };
    if !field.is_empty() {
        return Ok(Err(Problem::new(Code::BadField, problem).field(field)));
    }
    let [from, to] = sender
        .map_or([UNREAD, LAST], |sender| [sender, sender])
        .map(text);
    let size = usize::try_from(limit).unwrap_or(usize::MAX);
    // One more row tells whether there is another page.
    let below = [
        from.clone(),
        to.clone(),
        text(cursor.unwrap_or(LAST)),
        Value::Integer(i64::from(limit).saturating_add(1)),
    ];
    let (mut items, mut last, mut next) = (Vec::new(), String::new(), "null".to_owned());
    for cells in select(store, PAGE_OF, &below)? {
        if items.len() == size {
            next = format!("\"{last}\"");
            break;
        }
        cells.text(0)?.clone_into(&mut last);
        items.push(cells.text(1)?.to_owned());
    }
    let mut counts = Vec::new();
    for cells in select(store, COUNTS_OF, &[from, to])? {
        counts.push(cells.text(0)?.to_owned());
    }
    Ok(Ok(format!(
        r#"{{"items":[{}],"nextCursor":{next},"notKept":[{}]}}"#,
        items.join(","),
        counts.join(",")
    )))
}
