//! Versions of a Worker and which of them is deployed.

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Multipart, Path, State};
use axum::routing::get;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Api;
use super::scripts::{self, BASE, Place};
use super::upload::Upload;
use crate::caller::Caller;
use crate::clock;
use crate::envelope::{Answer, Failure, Success};
use crate::permission::Permission;
use crate::state::{Deployment, Version};

pub(super) fn routes() -> Router<Api> {
    Router::new()
        .route(
            &format!("{BASE}/{{script}}/versions"),
            get(versions).post(upload),
        )
        .route(
            &format!("{BASE}/{{script}}/versions/{{version}}"),
            get(version),
        )
        .route(
            &format!("{BASE}/{{script}}/deployments"),
            get(deployments).post(deploy),
        )
}

fn shown(version: &Version) -> Value {
    json!({
        "id": version.id,
        "number": version.number,
        "metadata": { "created_on": version.created_on, "source": "wrangler", "has_preview": false },
        "annotations": version.metadata.get("annotations").unwrap_or(&json!({})),
        "startup_time_ms": 1,
        "resources": {
            "bindings": scripts::bindings(&version.bindings, version.secrets.keys().cloned()),
            "script": { "etag": format!("{:064x}", version.number), "handlers": ["fetch"] },
            "script_runtime": {
                "compatibility_date": version.metadata.get("compatibility_date"),
                "usage_model": "standard",
            },
        },
    })
}

fn deployment(deployment: &Deployment) -> Value {
    json!({
        "id": deployment.id,
        "source": "wrangler",
        "strategy": "percentage",
        "author_email": "",
        "annotations": deployment.annotations,
        "versions": deployment.versions,
        "created_on": deployment.created_on,
    })
}

async fn versions(State(api): State<Api>, caller: Caller, Path((account, name)): Place) -> Answer {
    let mut inner = api.lock();
    let account = inner.account(&caller, &account, Permission::WorkersScriptsRead)?;
    let script = scripts::existing(account, &name)?;
    let newest_first: Vec<Value> = script.versions.iter().rev().map(shown).collect();
    Ok(Success::new(json!({ "items": newest_first })))
}

fn unknown_version() -> Failure {
    Failure::not_found(10_221, "The version could not be found.")
}

async fn version(
    State(api): State<Api>,
    caller: Caller,
    Path((account, name, id)): Path<(String, String, String)>,
) -> Answer {
    let mut inner = api.lock();
    let account = inner.account(&caller, &account, Permission::WorkersScriptsRead)?;
    scripts::existing(account, &name)?
        .versions
        .iter()
        .find(|version| version.id == id)
        .map(|version| Success::new(shown(version)))
        .ok_or_else(unknown_version)
}

async fn upload(
    State(api): State<Api>,
    caller: Caller,
    Path((account, name)): Place,
    form: Multipart,
) -> Answer {
    let upload = Upload::read(form).await?;
    let mut inner = api.lock();
    let id = inner.new_uuid();
    let account = inner.account(&caller, &account, Permission::WorkersScriptsWrite)?;
    let script = scripts::existing(account, &name)?.clone();
    let version = upload.version(id, account, &script)?;
    let answer = Success::new(shown(&version));
    scripts::existing(account, &name)?.versions.push(version);
    Ok(answer)
}

async fn deployments(
    State(api): State<Api>,
    caller: Caller,
    Path((account, name)): Place,
) -> Answer {
    let mut inner = api.lock();
    let account = inner.account(&caller, &account, Permission::WorkersScriptsRead)?;
    let script = scripts::existing(account, &name)?;
    let newest_first: Vec<Value> = script.deployments.iter().rev().map(deployment).collect();
    Ok(Success::new(json!({ "deployments": newest_first })))
}

#[derive(Deserialize)]
struct Deploy {
    versions: Vec<Share>,
    #[serde(default)]
    annotations: Value,
}

#[derive(Deserialize)]
struct Share {
    version_id: String,
    percentage: Value,
}

async fn deploy(
    State(api): State<Api>,
    caller: Caller,
    Path((account, name)): Place,
    body: Bytes,
) -> Answer {
    let wanted: Deploy = serde_json::from_slice(&body).map_err(|_| Failure::bad_json())?;
    let mut inner = api.lock();
    let id = inner.new_uuid();
    let account = inner.account(&caller, &account, Permission::WorkersScriptsWrite)?;
    let script = scripts::existing(account, &name)?;
    let shares: Vec<Value> = wanted
        .versions
        .iter()
        .map(|share| json!({ "version_id": share.version_id, "percentage": share.percentage }))
        .collect();
    // With several versions, the first one is what settings show.
    let first = wanted
        .versions
        .first()
        .and_then(|share| {
            script
                .versions
                .iter()
                .find(|one| one.id == share.version_id)
        })
        .cloned()
        .ok_or_else(unknown_version)?;
    script.take(&first);
    let made = Deployment {
        id,
        versions: json!(shares),
        annotations: wanted.annotations,
        created_on: clock::now(),
    };
    let answer = Success::new(deployment(&made));
    script.deployments.push(made);
    script.modified_on = clock::now();
    Ok(answer)
}
