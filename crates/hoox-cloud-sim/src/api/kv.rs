//! KV: namespaces and lists of keys. The values are in [`values`].

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::routing::get;
use data_encoding::BASE64URL_NOPAD;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Api;
use crate::caller::Caller;
use crate::clock;
use crate::envelope::{Answer, Failure, Success};
use crate::paging::{Page, Sizes};
use crate::permission::Permission;
use crate::state::{Account, Entry, Namespace};

mod bulk;
mod values;

const BASE: &str = "/accounts/{account}/storage/kv/namespaces";
const SIZES: Sizes = Sizes {
    least: 1,
    usual: 20,
    most: 1_000,
    counts_pages: true,
};
/// The fewest and the most keys of a page; as many as this come unasked.
const LEAST_KEYS: usize = 10;
const MOST_KEYS: usize = 1_000;

pub(super) fn routes() -> Router<Api> {
    Router::new()
        .route(BASE, get(list).post(create))
        .route(&format!("{BASE}/{{namespace}}"), get(one).delete(delete))
        .route(&format!("{BASE}/{{namespace}}/keys"), get(keys))
        .merge(bulk::routes())
        .merge(values::routes())
}

/// The namespace of this id.
fn existing<'a>(account: &'a mut Account, id: &str) -> Result<&'a mut Namespace, Failure> {
    account
        .namespaces
        .iter_mut()
        .find(|namespace| namespace.id == id)
        .ok_or_else(|| Failure::not_found(10_013, "namespace not found"))
}

fn shown(namespace: &Namespace) -> Value {
    json!({
        "id": namespace.id,
        "title": namespace.title,
        "supports_url_encoding": true,
    })
}

/// Whether the entry's time is not over.
fn alive(entry: &Entry) -> bool {
    entry
        .expiration
        .is_none_or(|expiration| expiration > clock::unix_seconds())
}

async fn list(
    State(api): State<Api>,
    caller: Caller,
    Path(account): Path<String>,
    Query(page): Query<Page>,
) -> Answer {
    let mut inner = api.lock();
    let account = inner.account(&caller, &account, Permission::WorkersKvRead)?;
    let all: Vec<Value> = account.namespaces.iter().map(shown).collect();
    Ok(page.of(&all, SIZES))
}

#[derive(Deserialize)]
struct Create {
    title: String,
}

async fn create(
    State(api): State<Api>,
    caller: Caller,
    Path(account): Path<String>,
    body: Bytes,
) -> Answer {
    let Create { title } = serde_json::from_slice(&body).map_err(|_| Failure::bad_json())?;
    let mut inner = api.lock();
    let id = inner.new_id();
    let account = inner.account(&caller, &account, Permission::WorkersKvWrite)?;
    if account.namespaces.iter().any(|other| other.title == title) {
        return Err(Failure::bad_request(
            10_014,
            "a namespace with this account ID and title already exists",
        ));
    }
    let namespace = Namespace {
        id,
        title,
        entries: std::collections::BTreeMap::new(),
    };
    let answer = Success::new(shown(&namespace));
    account.namespaces.push(namespace);
    Ok(answer)
}

async fn one(
    State(api): State<Api>,
    caller: Caller,
    Path((account, namespace)): Path<(String, String)>,
) -> Answer {
    let mut inner = api.lock();
    let account = inner.account(&caller, &account, Permission::WorkersKvRead)?;
    Ok(Success::new(shown(existing(account, &namespace)?)))
}

async fn delete(
    State(api): State<Api>,
    caller: Caller,
    Path((account, namespace)): Path<(String, String)>,
) -> Answer {
    let mut inner = api.lock();
    let account = inner.account(&caller, &account, Permission::WorkersKvWrite)?;
    existing(account, &namespace)?;
    account.namespaces.retain(|other| other.id != namespace);
    Ok(Success::new(Value::Null))
}

#[derive(Deserialize)]
struct Wanted {
    #[serde(default)]
    prefix: String,
    limit: Option<usize>,
    #[serde(default)]
    cursor: String,
}

impl Wanted {
    /// The last key of the page before; a cursor is that key, made opaque.
    fn after(&self) -> Result<Option<String>, Failure> {
        if self.cursor.is_empty() {
            return Ok(None);
        }
        BASE64URL_NOPAD
            .decode(self.cursor.as_bytes())
            .ok()
            .and_then(|bytes| String::from_utf8(bytes).ok())
            .map(Some)
            .ok_or_else(|| Failure::bad_request(10_012, "invalid cursor"))
    }

    fn limit(&self) -> Result<usize, Failure> {
        let limit = self.limit.unwrap_or(MOST_KEYS);
        if (LEAST_KEYS..=MOST_KEYS).contains(&limit) {
            return Ok(limit);
        }
        Err(Failure::bad_request(
            10_001,
            format!("limit must be between {LEAST_KEYS} and {MOST_KEYS}"),
        ))
    }
}

fn key(name: &str, entry: &Entry) -> Value {
    let mut key = json!({ "name": name });
    if let Some(fields) = key.as_object_mut() {
        if let Some(expiration) = entry.expiration {
            fields.insert("expiration".to_owned(), json!(expiration));
        }
        if let Some(metadata) = &entry.metadata {
            fields.insert("metadata".to_owned(), metadata.clone());
        }
    }
    key
}

async fn keys(
    State(api): State<Api>,
    caller: Caller,
    Path((account, namespace)): Path<(String, String)>,
    Query(wanted): Query<Wanted>,
) -> Answer {
    let (after, limit) = (wanted.after()?, wanted.limit()?);
    let mut inner = api.lock();
    let account = inner.account(&caller, &account, Permission::WorkersKvRead)?;
    let mut rest = existing(account, &namespace)?
        .entries
        .iter()
        .filter(|(name, entry)| {
            name.starts_with(&wanted.prefix)
                && alive(entry)
                && after.as_ref().is_none_or(|after| *name > after)
        });
    let page: Vec<(&String, &Entry)> = rest.by_ref().take(limit).collect();
    let cursor = match (rest.next(), page.last()) {
        (Some(_), Some((last, _))) => BASE64URL_NOPAD.encode(last.as_bytes()),
        _ => String::new(),
    };
    let shown: Vec<Value> = page.iter().map(|(name, entry)| key(name, entry)).collect();
    Ok(Success::new(json!(shown)).with_info(json!({ "count": shown.len(), "cursor": cursor })))
}
