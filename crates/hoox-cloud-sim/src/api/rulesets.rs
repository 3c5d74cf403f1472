//! Rulesets of a zone: the entry point of a phase, and single rules in it.

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::routing::{get, patch, post};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::Api;
use crate::caller::Caller;
use crate::clock;
use crate::envelope::{Answer, Failure, Success};
use crate::inner::Inner;
use crate::permission::Permission;
use crate::state::{Ruleset, Zone};

mod expression;
mod rule;

use rule::Position;

/// The phase of custom rules, the only one whose rules a plan limits here.
const CUSTOM: &str = "http_request_firewall_custom";

/// A rule as the API shows it.
type Rule = Map<String, Value>;

pub(super) fn routes() -> Router<Api> {
    Router::new()
        .route("/zones/{zone}/rulesets", get(list))
        .route("/zones/{zone}/rulesets/{ruleset}", get(one))
        .route(
            "/zones/{zone}/rulesets/phases/{phase}/entrypoint",
            get(entrypoint).put(replace),
        )
        .route("/zones/{zone}/rulesets/{ruleset}/rules", post(add))
        .route(
            "/zones/{zone}/rulesets/{ruleset}/rules/{rule}",
            patch(change).delete(remove),
        )
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(body).map_err(|_| Failure::bad_request(20_102, "malformed request body"))
}

/// A ruleset without its rules, as lists show it.
fn summary(phase: &str, ruleset: &Ruleset) -> Map<String, Value> {
    let fields = [
        ("id", json!(ruleset.id)),
        ("name", json!(ruleset.name)),
        ("description", json!(ruleset.description)),
        ("kind", json!("zone")),
        ("version", json!(ruleset.version.to_string())),
        ("phase", json!(phase)),
        ("last_updated", json!(ruleset.last_updated)),
    ];
    fields
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

fn whole(phase: &str, ruleset: &Ruleset) -> Success {
    let mut shown = summary(phase, ruleset);
    shown.insert("rules".to_owned(), json!(ruleset.rules));
    Success::new(Value::Object(shown))
}

/// The ruleset of this id, and its phase.
fn existing<'a>(zone: &'a mut Zone, id: &str) -> Result<(&'a String, &'a mut Ruleset), Failure> {
    zone.rulesets
        .iter_mut()
        .find(|(_, ruleset)| ruleset.id == id)
        .ok_or_else(|| Failure::not_found(10_001, "could not find ruleset"))
}

/// How many rules the phase may have in this zone.
fn most(zone: &Zone, phase: &str) -> usize {
    if phase == CUSTOM {
        zone.max_rules
    } else {
        usize::MAX
    }
}

fn check_count(phase: &str, count: usize, most: usize) -> Result<(), Failure> {
    if count <= most {
        return Ok(());
    }
    let message =
        format!("exceeded the maximum number of rules in the phase {phase}: {count} out of {most}");
    Err(Failure::bad_request(20_217, message).at("/rules"))
}

/// Puts the changed rules in place and counts the change.
fn commit(ruleset: &mut Ruleset, rules: Vec<Rule>) {
    ruleset.rules = rules;
    ruleset.version = ruleset.version.saturating_add(1);
    ruleset.last_updated = clock::now();
}

async fn list(State(api): State<Api>, caller: Caller, Path(zone): Path<String>) -> Answer {
    let mut inner = api.lock();
    let zone = inner.zone(&caller, &zone, Permission::ZoneWafRead)?;
    let all: Vec<Value> = zone
        .rulesets
        .iter()
        .map(|(phase, ruleset)| Value::Object(summary(phase, ruleset)))
        .collect();
    Ok(Success::new(json!(all)).with_info(json!({ "cursors": {} })))
}

async fn one(
    State(api): State<Api>,
    caller: Caller,
    Path((zone, ruleset)): Path<(String, String)>,
) -> Answer {
    let mut inner = api.lock();
    let zone = inner.zone(&caller, &zone, Permission::ZoneWafRead)?;
    let (phase, ruleset) = existing(zone, &ruleset)?;
    Ok(whole(phase, ruleset))
}

async fn entrypoint(
    State(api): State<Api>,
    caller: Caller,
    Path((zone, phase)): Path<(String, String)>,
) -> Answer {
    let mut inner = api.lock();
    let zone = inner.zone(&caller, &zone, Permission::ZoneWafRead)?;
    let ruleset = zone.rulesets.get(&phase).ok_or_else(|| {
        Failure::not_found(
            10_003,
            format!("could not find entrypoint ruleset in the {phase} phase"),
        )
    })?;
    Ok(whole(&phase, ruleset))
}

#[derive(Deserialize)]
struct Replace {
    name: Option<String>,
    description: Option<String>,
    #[serde(default)]
    rules: Vec<Rule>,
}

/// Replaces all rules; a rule that brings the id of a present one stays that rule.
async fn replace(
    State(api): State<Api>,
    caller: Caller,
    Path((zone, phase)): Path<(String, String)>,
    body: Bytes,
) -> Answer {
    let body: Replace = parse(&body)?;
    let mut inner = api.lock();
    let old = {
        let zone = inner.zone(&caller, &zone, Permission::ZoneWafWrite)?;
        check_count(&phase, body.rules.len(), most(zone, &phase))?;
        zone.rulesets.get(&phase).cloned()
    };
    let mut ruleset = match old {
        Some(ruleset) => ruleset,
        None => Ruleset {
            id: inner.new_id(),
            name: "default".to_owned(),
            description: String::new(),
            version: 0,
            rules: Vec::new(),
            last_updated: String::new(),
        },
    };
    let rules = body
        .rules
        .into_iter()
        .enumerate()
        .map(|(index, given)| placed(&mut inner, &ruleset, given, &format!("/rules/{index}")))
        .collect::<Result<Vec<_>, _>>()?;
    ruleset.name = body.name.unwrap_or(ruleset.name);
    ruleset.description = body.description.unwrap_or(ruleset.description);
    commit(&mut ruleset, rules);
    let answer = whole(&phase, &ruleset);
    inner
        .zone(&caller, &zone, Permission::ZoneWafWrite)?
        .rulesets
        .insert(phase, ruleset);
    Ok(answer)
}

/// The rule as it is stored: a later version of the present one of its id, or a new one.
fn placed(
    inner: &mut Inner,
    ruleset: &Ruleset,
    given: Rule,
    pointer: &str,
) -> Result<Rule, Failure> {
    let Some(id) = given.get("id").and_then(Value::as_str).map(str::to_owned) else {
        return rule::stored(given, &inner.new_id(), 1, pointer);
    };
    let present = ruleset
        .rules
        .iter()
        .find(|rule| rule::id(rule) == id)
        .ok_or_else(|| rule::unknown(&id))?;
    if rule::same(present, &given) {
        return Ok(present.clone());
    }
    rule::stored(given, &id, rule::next_version(present), pointer)
}

async fn add(
    State(api): State<Api>,
    caller: Caller,
    Path((zone, ruleset)): Path<(String, String)>,
    body: Bytes,
) -> Answer {
    let mut given: Rule = parse(&body)?;
    let position = Position::taken_from(&mut given)?;
    let mut inner = api.lock();
    let new = rule::stored(given, &inner.new_id(), 1, "")?;
    let zone = inner.zone(&caller, &zone, Permission::ZoneWafWrite)?;
    let limit = zone.max_rules;
    let (phase, ruleset) = existing(zone, &ruleset)?;
    let mut rules = ruleset.rules.clone();
    if phase == CUSTOM {
        check_count(phase, rules.len().saturating_add(1), limit)?;
    }
    position.unwrap_or_default().insert(&mut rules, new)?;
    commit(ruleset, rules);
    Ok(whole(phase, ruleset))
}

/// The body replaces the rule, unless it says no more than where the rule goes.
async fn change(
    State(api): State<Api>,
    caller: Caller,
    Path((zone, ruleset, id)): Path<(String, String, String)>,
    body: Bytes,
) -> Answer {
    let mut given: Rule = parse(&body)?;
    let position = Position::taken_from(&mut given)?;
    let mut inner = api.lock();
    let zone = inner.zone(&caller, &zone, Permission::ZoneWafWrite)?;
    let (phase, ruleset) = existing(zone, &ruleset)?;
    let mut rules = ruleset.rules.clone();
    let index = rule::index_of(&rules, &id)?;
    let present = rules.remove(index);
    let changed = if given.is_empty() && position.is_some() {
        present
    } else {
        let version = rule::next_version(&present);
        rule::stored(given, &id, version, "")?
    };
    position
        .unwrap_or(Position::Index(index.saturating_add(1)))
        .insert(&mut rules, changed)?;
    commit(ruleset, rules);
    Ok(whole(phase, ruleset))
}

async fn remove(
    State(api): State<Api>,
    caller: Caller,
    Path((zone, ruleset, id)): Path<(String, String, String)>,
) -> Answer {
    let mut inner = api.lock();
    let zone = inner.zone(&caller, &zone, Permission::ZoneWafWrite)?;
    let (phase, ruleset) = existing(zone, &ruleset)?;
    let mut rules = ruleset.rules.clone();
    let index = rule::index_of(&rules, &id)?;
    rules.remove(index);
    commit(ruleset, rules);
    Ok(whole(phase, ruleset))
}
