//! Workers: list, what they are made of, settings, removal. Uploads are in [`super::upload`].

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::routing::get;
use serde_json::{Map, Value, json};

use super::Api;
use crate::caller::Caller;
use crate::envelope::{Answer, Failure, Success};
use crate::permission::Permission;
use crate::state::{Account, Script};

/// Where an account's Workers are.
pub(super) const BASE: &str = "/accounts/{account}/workers/scripts";

/// Account and Worker.
pub(super) type Place = Path<(String, String)>;

pub(super) fn routes() -> Router<Api> {
    Router::new()
        .route(BASE, get(list))
        .route(&format!("{BASE}/{{script}}/settings"), get(settings))
        .route(
            &format!("{BASE}/{{script}}/script-settings"),
            get(unversioned).patch(set_unversioned),
        )
        .route(
            "/accounts/{account}/workers/services/{script}",
            get(service).delete(delete),
        )
        .route("/accounts/{account}/workers/workers/{script}", get(worker))
}

/// The Worker of this name.
pub(super) fn existing<'a>(
    account: &'a mut Account,
    name: &str,
) -> Result<&'a mut Script, Failure> {
    account
        .scripts
        .get_mut(name)
        .ok_or_else(|| Failure::not_found(10_007, "This Worker does not exist on your account."))
}

/// What identifies a Worker's content: here, the number of its version.
pub(super) fn etag(script: &Script) -> String {
    format!("{:064x}", script.versions.len())
}

/// A Worker as lists show it.
fn shown(name: &str, script: &Script) -> Value {
    json!({
        "id": name,
        "tag": name,
        "tags": script.settings.get("tags").unwrap_or(&json!([])),
        "etag": etag(script),
        "handlers": ["fetch"],
        "has_modules": true,
        "last_deployed_from": "wrangler",
        "migration_tag": script.migration_tag,
        "compatibility_date": script.metadata.get("compatibility_date"),
        "created_on": script.created_on,
        "modified_on": script.modified_on,
    })
}

/// All bindings, secrets without their values.
pub(super) fn bindings(bindings: &[Value], secrets: impl Iterator<Item = String>) -> Vec<Value> {
    let secrets = secrets.map(|name| json!({ "name": name, "type": "secret_text" }));
    bindings.iter().cloned().chain(secrets).collect()
}

async fn list(State(api): State<Api>, caller: Caller, Path(account): Path<String>) -> Answer {
    let mut inner = api.lock();
    let account = inner.account(&caller, &account, Permission::WorkersScriptsRead)?;
    let all: Vec<Value> = account
        .scripts
        .iter()
        .map(|(name, script)| shown(name, script))
        .collect();
    Ok(Success::new(json!(all)))
}

pub(super) async fn delete(
    State(api): State<Api>,
    caller: Caller,
    Path((account, name)): Place,
) -> Answer {
    let mut inner = api.lock();
    let account = inner.account(&caller, &account, Permission::WorkersScriptsWrite)?;
    existing(account, &name)?;
    account.scripts.remove(&name);
    Ok(Success::new(json!({ "id": name })))
}

async fn settings(State(api): State<Api>, caller: Caller, Path((account, name)): Place) -> Answer {
    let mut inner = api.lock();
    let account = inner.account(&caller, &account, Permission::WorkersScriptsRead)?;
    let script = existing(account, &name)?;
    let mut all = script.metadata.clone();
    all.extend(script.settings.clone());
    let bindings = bindings(&script.bindings, script.secrets.keys().cloned());
    all.insert("bindings".to_owned(), json!(bindings));
    all.insert("migration_tag".to_owned(), json!(script.migration_tag));
    Ok(Success::new(Value::Object(all)))
}

async fn unversioned(
    State(api): State<Api>,
    caller: Caller,
    Path((account, name)): Place,
) -> Answer {
    let mut inner = api.lock();
    let account = inner.account(&caller, &account, Permission::WorkersScriptsRead)?;
    Ok(Success::new(json!(existing(account, &name)?.settings)))
}

async fn set_unversioned(
    State(api): State<Api>,
    caller: Caller,
    Path((account, name)): Place,
    body: Bytes,
) -> Answer {
    let given: Map<String, Value> =
        serde_json::from_slice(&body).map_err(|_| Failure::bad_json())?;
    let mut inner = api.lock();
    let account = inner.account(&caller, &account, Permission::WorkersScriptsWrite)?;
    let script = existing(account, &name)?;
    script.settings.extend(given);
    Ok(Success::new(json!(script.settings)))
}

async fn service(State(api): State<Api>, caller: Caller, Path((account, name)): Place) -> Answer {
    let mut inner = api.lock();
    let account = inner.account(&caller, &account, Permission::WorkersScriptsRead)?;
    let script = existing(account, &name)
        .map_err(|_| Failure::not_found(10_090, "workers.api.error.service_not_found"))?;
    Ok(Success::new(json!({
        "id": name,
        "created_on": script.created_on,
        "modified_on": script.modified_on,
        "default_environment": {
            "environment": "production",
            "script": shown(&name, script),
        },
    })))
}

async fn worker(State(api): State<Api>, caller: Caller, Path((account, name)): Place) -> Answer {
    let mut inner = api.lock();
    let account = inner.account(&caller, &account, Permission::WorkersScriptsRead)?;
    let script = existing(account, &name)?;
    Ok(Success::new(json!({
        "id": name,
        "name": name,
        "created_on": script.created_on,
        "updated_on": script.modified_on,
        "subdomain": { "enabled": script.workers_dev, "previews_enabled": script.previews },
    })))
}
