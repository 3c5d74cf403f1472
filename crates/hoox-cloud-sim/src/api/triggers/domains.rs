//! Custom domains of Workers.

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::routing::{get, post, put};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::api::Api;
use crate::api::scripts::{self, BASE, Place};
use crate::caller::Caller;
use crate::envelope::{Answer, Failure, Success};
use crate::inner::Inner;
use crate::permission::Permission;
use crate::state::{Domain, Zone};

pub(super) fn routes() -> Router<Api> {
    Router::new()
        .route("/accounts/{account}/workers/domains", get(list))
        .route(
            &format!("{BASE}/{{script}}/domains/changeset"),
            post(changeset),
        )
        .route(&format!("{BASE}/{{script}}/domains/records"), put(publish))
}

fn shown(domain: &Domain) -> Value {
    json!({
        "id": domain.id,
        "hostname": domain.hostname,
        "service": domain.service,
        "environment": "production",
        "zone_id": domain.zone_id,
        "zone_name": domain.zone_name,
    })
}

#[derive(Deserialize)]
struct Wanted {
    hostname: Option<String>,
    service: Option<String>,
    zone_id: Option<String>,
    zone_name: Option<String>,
}

impl Wanted {
    fn fits(&self, domain: &Domain) -> bool {
        let fits = |wanted: &Option<String>, value: &String| {
            wanted.as_ref().is_none_or(|one| one == value)
        };
        fits(&self.hostname, &domain.hostname)
            && fits(&self.service, &domain.service)
            && fits(&self.zone_id, &domain.zone_id)
            && fits(&self.zone_name, &domain.zone_name)
    }
}

async fn list(
    State(api): State<Api>,
    caller: Caller,
    Path(account): Path<String>,
    Query(wanted): Query<Wanted>,
) -> Answer {
    let mut inner = api.lock();
    let account = inner.account(&caller, &account, Permission::WorkersScriptsRead)?;
    let all: Vec<Value> = account
        .domains
        .iter()
        .filter(|domain| wanted.fits(domain))
        .map(shown)
        .collect();
    Ok(Success::new(json!(all)))
}

#[derive(Deserialize)]
struct Origin {
    hostname: String,
}

/// What publishing these host names would change.
async fn changeset(
    State(api): State<Api>,
    caller: Caller,
    Path((account, name)): Place,
    body: Bytes,
) -> Answer {
    let origins: Vec<Origin> = serde_json::from_slice(&body).map_err(|_| Failure::bad_json())?;
    let mut inner = api.lock();
    let account = inner.account(&caller, &account, Permission::WorkersScriptsRead)?;
    let (mut added, mut updated) = (Vec::new(), Vec::new());
    for Origin { hostname } in &origins {
        match account.domains.iter().find(|one| one.hostname == *hostname) {
            None => added.push(json!({ "hostname": hostname })),
            Some(domain) => {
                let mut entry = shown(domain);
                if let Some(fields) = entry.as_object_mut() {
                    fields.insert("modified".to_owned(), json!(domain.service != name));
                }
                updated.push(entry);
            }
        }
    }
    let removed: Vec<Value> = account
        .domains
        .iter()
        .filter(|one| one.service == name && !origins.iter().any(|o| o.hostname == one.hostname))
        .map(shown)
        .collect();
    Ok(Success::new(json!({
        "added": added,
        "updated": updated,
        "removed": removed,
        "conflicting": [],
    })))
}

#[derive(Deserialize)]
struct Publish {
    origins: Vec<Origin>,
}

/// The Worker's host names are these and no others.
async fn publish(
    State(api): State<Api>,
    caller: Caller,
    Path((account_id, name)): Place,
    body: Bytes,
) -> Answer {
    let wanted: Publish = serde_json::from_slice(&body).map_err(|_| Failure::bad_json())?;
    let mut inner = api.lock();
    let account = inner.account(&caller, &account_id, Permission::WorkersScriptsWrite)?;
    scripts::existing(account, &name)?;
    let domains: Vec<Domain> = wanted
        .origins
        .into_iter()
        .map(|origin| domain(&mut inner, &account_id, &name, origin))
        .collect::<Result<_, _>>()?;
    let answer = Success::new(domains.iter().map(shown).collect());
    let account = inner.account(&caller, &account_id, Permission::WorkersScriptsWrite)?;
    account.domains.retain(|one| {
        one.service != name && !domains.iter().any(|new| new.hostname == one.hostname)
    });
    account.domains.extend(domains);
    Ok(answer)
}

fn domain(
    inner: &mut Inner,
    account: &str,
    script: &str,
    Origin { hostname }: Origin,
) -> Result<Domain, Failure> {
    let zone = zone_of(&inner.state.zones, account, &hostname)?;
    let (zone_id, zone_name) = (zone.id.clone(), zone.name.clone());
    Ok(Domain {
        id: inner.new_id(),
        hostname,
        service: script.to_owned(),
        zone_id,
        zone_name,
    })
}

/// The account's zone that a host name belongs to.
pub(super) fn zone_of<'a>(
    zones: &'a [Zone],
    account: &str,
    hostname: &str,
) -> Result<&'a Zone, Failure> {
    zones
        .iter()
        .filter(|zone| zone.account == account)
        .find(|zone| {
            hostname == zone.name
                || hostname
                    .strip_suffix(&zone.name)
                    .is_some_and(|rest| rest.ends_with('.'))
        })
        .ok_or_else(|| {
            Failure::bad_request(
                10_082,
                format!("Could not find zone for `{hostname}`. Make sure the domain is set up to be proxied by Cloudflare."),
            )
        })
}
