//! One value of KV: read, write, remove, and its metadata.

use axum::Router;
use axum::body::Bytes;
use axum::extract::{FromRequest, Multipart, Path, Query, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Deserialize;
use serde_json::Value;

use super::{BASE, alive, existing};
use crate::api::Api;
use crate::caller::Caller;
use crate::clock;
use crate::envelope::{Answer, Failure, Success};
use crate::inner::Inner;
use crate::permission::Permission;
use crate::state::Entry;

/// Account, namespace and key.
type Place = Path<(String, String, String)>;

pub(super) fn routes() -> Router<Api> {
    Router::new()
        .route(
            &format!("{BASE}/{{namespace}}/values/{{key}}"),
            get(read).put(write).delete(remove),
        )
        .route(
            &format!("{BASE}/{{namespace}}/metadata/{{key}}"),
            get(metadata),
        )
}

fn found<'a>(
    inner: &'a mut Inner,
    caller: &Caller,
    (account, namespace, key): &(String, String, String),
) -> Result<&'a Entry, Failure> {
    let account = inner.account(caller, account, Permission::WorkersKvRead)?;
    existing(account, namespace)?
        .entries
        .get(key)
        .filter(|entry| alive(entry))
        .ok_or_else(|| Failure::not_found(10_009, "get: 'key not found'"))
}

/// The bare value: the one answer without an envelope.
async fn read(
    State(api): State<Api>,
    caller: Caller,
    Path(place): Place,
) -> Result<Response, Failure> {
    let mut inner = api.lock();
    let entry = found(&mut inner, &caller, &place)?;
    let kind = [(header::CONTENT_TYPE, "application/octet-stream")];
    let mut response = (StatusCode::OK, kind, entry.value.clone()).into_response();
    if let Some(expiration) = entry.expiration {
        response
            .headers_mut()
            .insert("expiration", HeaderValue::from(expiration));
    }
    Ok(response)
}

async fn metadata(State(api): State<Api>, caller: Caller, Path(place): Place) -> Answer {
    let mut inner = api.lock();
    let metadata = found(&mut inner, &caller, &place)?.metadata.clone();
    Ok(Success::new(metadata.unwrap_or_default()))
}

#[derive(Deserialize)]
struct Life {
    expiration: Option<i64>,
    expiration_ttl: Option<i64>,
}

impl Life {
    /// When the value ends; a time to live wins over a moment.
    fn end(&self) -> Option<i64> {
        self.expiration_ttl
            .map(|ttl| clock::unix_seconds().saturating_add(ttl))
            .or(self.expiration)
    }
}

async fn write(
    State(api): State<Api>,
    caller: Caller,
    Path((account, namespace, key)): Place,
    Query(life): Query<Life>,
    request: Request,
) -> Answer {
    let (value, metadata) = body(request).await?;
    let mut inner = api.lock();
    let account = inner.account(&caller, &account, Permission::WorkersKvWrite)?;
    existing(account, &namespace)?.entries.insert(
        key,
        Entry {
            value,
            metadata,
            expiration: life.end(),
        },
    );
    Ok(Success::new(Value::Null))
}

/// Value and metadata, from a form or from a bare body.
async fn body(request: Request) -> Result<(Vec<u8>, Option<Value>), Failure> {
    let unreadable = || Failure::bad_request(10_012, "could not read the request body");
    let form = request
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"multipart/form-data"));
    if !form {
        let bytes = Bytes::from_request(request, &()).await;
        return Ok((bytes.map_err(|_| unreadable())?.to_vec(), None));
    }
    let mut form = Multipart::from_request(request, &())
        .await
        .map_err(|_| unreadable())?;
    let (mut value, mut metadata) = (None, None);
    while let Some(field) = form.next_field().await.map_err(|_| unreadable())? {
        let name = field.name().unwrap_or_default().to_owned();
        let bytes = field.bytes().await.map_err(|_| unreadable())?;
        match name.as_str() {
            "value" => value = Some(bytes.to_vec()),
            "metadata" => {
                metadata = serde_json::from_slice(&bytes)
                    .map_err(|_| Failure::bad_request(10_012, "metadata must be valid json"))?;
            }
            _ => {}
        }
    }
    Ok((value.ok_or_else(unreadable)?, metadata))
}

async fn remove(
    State(api): State<Api>,
    caller: Caller,
    Path((account, namespace, key)): Place,
) -> Answer {
    let mut inner = api.lock();
    let account = inner.account(&caller, &account, Permission::WorkersKvWrite)?;
    // A key that is not there is removed as well.
    existing(account, &namespace)?.entries.remove(&key);
    Ok(Success::new(Value::Null))
}
