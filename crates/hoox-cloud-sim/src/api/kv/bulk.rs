//! Many values of KV at once.

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::routing::{post, put};
use data_encoding::BASE64;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{BASE, existing};
use crate::api::Api;
use crate::caller::Caller;
use crate::clock;
use crate::envelope::{Answer, Failure, Success};
use crate::permission::Permission;
use crate::state::Entry;

/// Most pairs or keys of a call.
const MOST: usize = 10_000;

pub(super) fn routes() -> Router<Api> {
    Router::new()
        // Deprecated in favour of the other one, and what wrangler calls.
        .route(
            &format!("{BASE}/{{namespace}}/bulk"),
            put(write).delete(remove),
        )
        .route(&format!("{BASE}/{{namespace}}/bulk/delete"), post(remove))
}

#[derive(Deserialize)]
struct Pair {
    key: String,
    value: String,
    #[serde(default)]
    base64: bool,
    metadata: Option<Value>,
    expiration: Option<i64>,
    expiration_ttl: Option<i64>,
}

impl Pair {
    fn entry(self) -> Result<(String, Entry), Failure> {
        let value = if self.base64 {
            BASE64
                .decode(self.value.as_bytes())
                .map_err(|_| Failure::bad_request(10_012, "value is not valid base64"))?
        } else {
            self.value.into_bytes()
        };
        let entry = Entry {
            value,
            metadata: self.metadata,
            expiration: self
                .expiration_ttl
                .map(|ttl| clock::unix_seconds().saturating_add(ttl))
                .or(self.expiration),
        };
        Ok((self.key, entry))
    }
}

fn counted(count: usize) -> Success {
    Success::new(json!({ "successful_key_count": count, "unsuccessful_keys": [] }))
}

fn within<T>(all: Vec<T>) -> Result<Vec<T>, Failure> {
    if all.len() > MOST {
        let message = format!("bulk requests are limited to {MOST} keys");
        return Err(Failure::bad_request(10_012, message));
    }
    Ok(all)
}

async fn write(
    State(api): State<Api>,
    caller: Caller,
    Path((account, namespace)): Path<(String, String)>,
    body: Bytes,
) -> Answer {
    let pairs: Vec<Pair> = serde_json::from_slice(&body).map_err(|_| Failure::bad_json())?;
    let entries: Vec<(String, Entry)> = within(pairs)?
        .into_iter()
        .map(Pair::entry)
        .collect::<Result<_, _>>()?;
    let mut inner = api.lock();
    let account = inner.account(&caller, &account, Permission::WorkersKvWrite)?;
    let answer = counted(entries.len());
    existing(account, &namespace)?.entries.extend(entries);
    Ok(answer)
}

async fn remove(
    State(api): State<Api>,
    caller: Caller,
    Path((account, namespace)): Path<(String, String)>,
    body: Bytes,
) -> Answer {
    let keys: Vec<String> = serde_json::from_slice(&body).map_err(|_| Failure::bad_json())?;
    let keys = within(keys)?;
    let mut inner = api.lock();
    let account = inner.account(&caller, &account, Permission::WorkersKvWrite)?;
    let namespace = existing(account, &namespace)?;
    for key in &keys {
        namespace.entries.remove(key);
    }
    Ok(counted(keys.len()))
}
