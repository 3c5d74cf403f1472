//! Zones.

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::routing::get;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Api;
use crate::caller::Caller;
use crate::envelope::{Answer, Failure, Success};
use crate::paging::{Page, Sizes};
use crate::permission::Permission;
use crate::state::{State as Document, Zone};

const SIZES: Sizes = Sizes {
    least: 5,
    usual: 20,
    most: 50,
    counts_pages: true,
};

pub(super) fn routes() -> Router<Api> {
    Router::new()
        .route("/zones", get(list))
        .route("/zones/{zone}", get(one))
}

#[derive(Deserialize)]
struct Wanted {
    name: Option<String>,
    #[serde(rename = "account.id")]
    account: Option<String>,
}

impl Wanted {
    fn fits(&self, zone: &Zone) -> bool {
        self.name.as_ref().is_none_or(|name| *name == zone.name)
            && self.account.as_ref().is_none_or(|id| *id == zone.account)
    }
}

fn shown(state: &Document, zone: &Zone) -> Value {
    let account = state.account(&zone.account);
    json!({
        "id": zone.id,
        "name": zone.name,
        "status": "active",
        "paused": false,
        "type": "full",
        "account": { "id": zone.account, "name": account.map(|account| &account.name) },
        "plan": { "legacy_id": "free", "name": "Free Website" },
    })
}

async fn list(
    State(api): State<Api>,
    caller: Caller,
    Query(wanted): Query<Wanted>,
    Query(page): Query<Page>,
) -> Answer {
    if !caller.may(Permission::ZoneRead) {
        let id = caller.id();
        return Err(Failure::new(
            StatusCode::FORBIDDEN,
            0,
            format!(
                "Actor 'com.cloudflare.api.token.{id}' requires permission \
                 'com.cloudflare.api.account.zone.list' to list zones"
            ),
        ));
    }
    let inner = api.lock();
    let seen: Vec<Value> = inner
        .state
        .zones
        .iter()
        .filter(|zone| caller.reaches(&zone.account) && wanted.fits(zone))
        .map(|zone| shown(&inner.state, zone))
        .collect();
    Ok(page.of(&seen, SIZES))
}

async fn one(State(api): State<Api>, caller: Caller, Path(zone): Path<String>) -> Answer {
    let mut inner = api.lock();
    let zone = inner.zone(&caller, &zone, Permission::ZoneRead)?.clone();
    Ok(Success::new(shown(&inner.state, &zone)))
}
