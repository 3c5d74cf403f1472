//! What leads to a Worker: workers.dev, cron, and in submodules routes and custom domains.

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::routing::get;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Api;
use super::scripts::{self, BASE, Place};
use crate::caller::Caller;
use crate::envelope::{Answer, Failure, Success};
use crate::permission::Permission;
use crate::state::Script;

mod domains;
mod routes;

pub(super) fn routes() -> Router<Api> {
    Router::new()
        .route(
            "/accounts/{account}/workers/subdomain",
            get(account_subdomain).put(set_account_subdomain),
        )
        .route(
            &format!("{BASE}/{{script}}/subdomain"),
            get(subdomain).post(set_subdomain),
        )
        .route(
            &format!("{BASE}/{{script}}/schedules"),
            get(schedules).put(set_schedules),
        )
        .merge(domains::routes())
        .merge(routes::routes())
}

async fn account_subdomain(
    State(api): State<Api>,
    caller: Caller,
    Path(account): Path<String>,
) -> Answer {
    let mut inner = api.lock();
    let account = inner.account(&caller, &account, Permission::WorkersScriptsRead)?;
    account
        .subdomain
        .as_ref()
        .map(|subdomain| Success::new(json!({ "subdomain": subdomain })))
        .ok_or_else(|| Failure::not_found(10_007, "You do not have a workers.dev subdomain."))
}

#[derive(Deserialize)]
struct Subdomain {
    subdomain: String,
}

async fn set_account_subdomain(
    State(api): State<Api>,
    caller: Caller,
    Path(account): Path<String>,
    body: Bytes,
) -> Answer {
    let Subdomain { subdomain } = serde_json::from_slice(&body).map_err(|_| Failure::bad_json())?;
    let mut inner = api.lock();
    let account = inner.account(&caller, &account, Permission::WorkersScriptsWrite)?;
    let answer = Success::new(json!({ "subdomain": subdomain }));
    account.subdomain = Some(subdomain);
    Ok(answer)
}

fn addresses(script: &Script) -> Success {
    Success::new(json!({ "enabled": script.workers_dev, "previews_enabled": script.previews }))
}

async fn subdomain(State(api): State<Api>, caller: Caller, Path((account, name)): Place) -> Answer {
    let mut inner = api.lock();
    let account = inner.account(&caller, &account, Permission::WorkersScriptsRead)?;
    Ok(addresses(scripts::existing(account, &name)?))
}

#[derive(Deserialize)]
struct Addresses {
    enabled: bool,
    previews_enabled: Option<bool>,
}

async fn set_subdomain(
    State(api): State<Api>,
    caller: Caller,
    Path((account, name)): Place,
    body: Bytes,
) -> Answer {
    let wanted: Addresses = serde_json::from_slice(&body).map_err(|_| Failure::bad_json())?;
    let mut inner = api.lock();
    let account = inner.account(&caller, &account, Permission::WorkersScriptsWrite)?;
    let script = scripts::existing(account, &name)?;
    script.workers_dev = wanted.enabled;
    script.previews = wanted.previews_enabled.unwrap_or(wanted.enabled);
    Ok(addresses(script))
}

#[derive(Deserialize)]
struct Schedule {
    cron: String,
}

fn crons(script: &Script) -> Success {
    let all: Vec<Value> = script
        .schedules
        .iter()
        .map(|cron| json!({ "cron": cron, "created_on": script.created_on, "modified_on": script.modified_on }))
        .collect();
    Success::new(json!({ "schedules": all }))
}

async fn schedules(State(api): State<Api>, caller: Caller, Path((account, name)): Place) -> Answer {
    let mut inner = api.lock();
    let account = inner.account(&caller, &account, Permission::WorkersScriptsRead)?;
    Ok(crons(scripts::existing(account, &name)?))
}

async fn set_schedules(
    State(api): State<Api>,
    caller: Caller,
    Path((account, name)): Place,
    body: Bytes,
) -> Answer {
    let wanted: Vec<Schedule> = serde_json::from_slice(&body).map_err(|_| Failure::bad_json())?;
    let mut inner = api.lock();
    let account = inner.account(&caller, &account, Permission::WorkersScriptsWrite)?;
    let script = scripts::existing(account, &name)?;
    script.schedules = wanted.into_iter().map(|Schedule { cron }| cron).collect();
    Ok(crons(script))
}
