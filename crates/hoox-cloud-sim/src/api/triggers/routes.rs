//! Routes from zones to Workers.

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::routing::{delete, get, put};
use serde::Deserialize;
use serde_json::{Value, json};

use super::domains::zone_of;
use crate::api::Api;
use crate::api::scripts::{self, BASE, Place};
use crate::caller::Caller;
use crate::envelope::{Answer, Failure, Success};
use crate::inner::Inner;
use crate::permission::Permission;
use crate::state::{Route, Zone};

pub(super) fn routes() -> Router<Api> {
    Router::new()
        .route(&format!("{BASE}/{{script}}/routes"), put(publish))
        .route("/zones/{zone}/workers/routes", get(list).post(create))
        .route("/zones/{zone}/workers/routes/{route}", delete(remove))
}

fn shown(route: &Route) -> Value {
    json!({ "id": route.id, "pattern": route.pattern, "script": route.script })
}

async fn list(State(api): State<Api>, caller: Caller, Path(zone): Path<String>) -> Answer {
    let mut inner = api.lock();
    let zone = inner.zone(&caller, &zone, Permission::WorkersRoutesRead)?;
    let all: Vec<Value> = zone.routes.iter().map(shown).collect();
    Ok(Success::new(json!(all)))
}

#[derive(Deserialize)]
struct Create {
    pattern: String,
    #[serde(default)]
    script: String,
}

fn check_free(zone: &Zone, pattern: &str) -> Result<(), Failure> {
    if zone.routes.iter().any(|route| route.pattern == pattern) {
        return Err(Failure::bad_request(
            10_020,
            "A route with the same pattern already exists.",
        ));
    }
    Ok(())
}

async fn create(
    State(api): State<Api>,
    caller: Caller,
    Path(zone): Path<String>,
    body: Bytes,
) -> Answer {
    let Create { pattern, script } =
        serde_json::from_slice(&body).map_err(|_| Failure::bad_json())?;
    let mut inner = api.lock();
    let id = inner.new_id();
    let zone = inner.zone(&caller, &zone, Permission::WorkersRoutesWrite)?;
    check_free(zone, &pattern)?;
    let route = Route {
        id,
        pattern,
        script,
    };
    let answer = Success::new(shown(&route));
    zone.routes.push(route);
    Ok(answer)
}

async fn remove(
    State(api): State<Api>,
    caller: Caller,
    Path((zone, id)): Path<(String, String)>,
) -> Answer {
    let mut inner = api.lock();
    let zone = inner.zone(&caller, &zone, Permission::WorkersRoutesWrite)?;
    if !zone.routes.iter().any(|route| route.id == id) {
        return Err(Failure::not_found(10_005, "route not found"));
    }
    zone.routes.retain(|route| route.id != id);
    Ok(Success::new(json!({ "id": id })))
}

#[derive(Deserialize)]
struct Wanted {
    pattern: String,
}

/// The Worker's routes are these and no others, in whatever zone.
async fn publish(
    State(api): State<Api>,
    caller: Caller,
    Path((account_id, name)): Place,
    body: Bytes,
) -> Answer {
    let wanted: Vec<Wanted> = serde_json::from_slice(&body).map_err(|_| Failure::bad_json())?;
    let mut inner = api.lock();
    let account = inner.account(&caller, &account_id, Permission::WorkersScriptsWrite)?;
    scripts::existing(account, &name)?;
    let placed: Vec<(String, Route)> = wanted
        .into_iter()
        .map(|wanted| placed(&mut inner, &account_id, &name, wanted))
        .collect::<Result<_, _>>()?;
    for zone in &mut inner.state.zones {
        zone.routes
            .retain(|route| zone.account != account_id || route.script != name);
    }
    let mut answer = Vec::new();
    for (zone, route) in placed {
        let zone = inner.zone(&caller, &zone, Permission::WorkersRoutesWrite)?;
        check_free(zone, &route.pattern)?;
        answer.push(json!({ "pattern": route.pattern, "zone_name": zone.name }));
        zone.routes.push(route);
    }
    Ok(Success::new(json!(answer)))
}

/// The route, and the id of the zone of its host.
fn placed(
    inner: &mut Inner,
    account: &str,
    script: &str,
    Wanted { pattern }: Wanted,
) -> Result<(String, Route), Failure> {
    let host = pattern
        .split('/')
        .next()
        .unwrap_or_default()
        .trim_start_matches("*.")
        .trim_start_matches('*');
    let zone = zone_of(&inner.state.zones, account, host)?.id.clone();
    let route = Route {
        id: inner.new_id(),
        pattern,
        script: script.to_owned(),
    };
    Ok((zone, route))
}
