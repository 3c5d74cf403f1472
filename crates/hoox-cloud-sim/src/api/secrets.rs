//! Secrets of a Worker. Their values go in and never come out.

use std::collections::BTreeMap;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::routing::get;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Api;
use crate::caller::Caller;
use crate::envelope::{Answer, Failure, Success};
use crate::permission::Permission;
use crate::state::Account;

pub(super) fn routes() -> Router<Api> {
    let base = "/accounts/{account}/workers/scripts/{script}";
    Router::new()
        .route(&format!("{base}/secrets"), get(list).put(put))
        .route(&format!("{base}/secrets/{{name}}"), get(one).delete(delete))
        .route(&format!("{base}/secrets-bulk"), axum::routing::patch(bulk))
}

fn shown(name: &str) -> Value {
    json!({ "name": name, "type": "secret_text" })
}

/// The secrets of a Worker that exists.
fn secrets<'a>(
    account: &'a mut Account,
    script: &str,
) -> Result<&'a mut BTreeMap<String, String>, Failure> {
    Ok(&mut super::scripts::existing(account, script)?.secrets)
}

fn unknown(name: &str) -> Failure {
    Failure::not_found(10_056, format!("Binding '{name}' not found"))
}

async fn list(
    State(api): State<Api>,
    caller: Caller,
    Path((account, script)): Path<(String, String)>,
) -> Answer {
    let mut inner = api.lock();
    let account = inner.account(&caller, &account, Permission::WorkersScriptsRead)?;
    let names: Vec<Value> = secrets(account, &script)?
        .keys()
        .map(|name| shown(name))
        .collect();
    Ok(Success::new(json!(names)))
}

async fn one(
    State(api): State<Api>,
    caller: Caller,
    Path((account, script, name)): Path<(String, String, String)>,
) -> Answer {
    let mut inner = api.lock();
    let account = inner.account(&caller, &account, Permission::WorkersScriptsRead)?;
    if secrets(account, &script)?.contains_key(&name) {
        Ok(Success::new(shown(&name)))
    } else {
        Err(unknown(&name))
    }
}

#[derive(Deserialize)]
struct Given {
    name: String,
    text: String,
    #[serde(rename = "type")]
    kind: String,
}

impl Given {
    /// Keeps it, unless another kind of binding has the name.
    fn set_in(self, account: &mut Account, script: &str) -> Result<Value, Failure> {
        if self.kind != "secret_text" {
            return Err(Failure::bad_request(
                10_021,
                format!("binding {} of type {} is invalid", self.name, self.kind),
            ));
        }
        let script = super::scripts::existing(account, script)?;
        if script
            .bindings
            .iter()
            .any(|binding| binding.get("name") == Some(&json!(self.name)))
        {
            return Err(Failure::bad_request(
                10_053,
                format!(
                    "Binding name '{}' already in use. Please use a different name and try again.",
                    self.name
                ),
            ));
        }
        let answer = shown(&self.name);
        script.secrets.insert(self.name, self.text);
        Ok(answer)
    }
}

async fn put(
    State(api): State<Api>,
    caller: Caller,
    Path((account, script)): Path<(String, String)>,
    body: Bytes,
) -> Answer {
    let given: Given = serde_json::from_slice(&body).map_err(|_| Failure::bad_json())?;
    let mut inner = api.lock();
    let account = inner.account(&caller, &account, Permission::WorkersScriptsWrite)?;
    Ok(Success::new(given.set_in(account, &script)?))
}

async fn delete(
    State(api): State<Api>,
    caller: Caller,
    Path((account, script, name)): Path<(String, String, String)>,
) -> Answer {
    let mut inner = api.lock();
    let account = inner.account(&caller, &account, Permission::WorkersScriptsWrite)?;
    secrets(account, &script)?
        .remove(&name)
        .map(|_| Success::new(Value::Null))
        .ok_or_else(|| unknown(&name))
}

/// A merge patch: a secret is set, or removed by `null`.
#[derive(Deserialize)]
struct Patch {
    secrets: BTreeMap<String, Option<Given>>,
}

async fn bulk(
    State(api): State<Api>,
    caller: Caller,
    Path((account, script)): Path<(String, String)>,
    body: Bytes,
) -> Answer {
    let patch: Patch = serde_json::from_slice(&body).map_err(|_| Failure::bad_json())?;
    let mut inner = api.lock();
    let account = inner.account(&caller, &account, Permission::WorkersScriptsWrite)?;
    for (name, given) in patch.secrets {
        match given {
            Some(given) => {
                given.set_in(account, &script)?;
            }
            None => {
                secrets(account, &script)?.remove(&name);
            }
        }
    }
    let names: Vec<Value> = secrets(account, &script)?
        .keys()
        .map(|name| shown(name))
        .collect();
    Ok(Success::new(json!(names)))
}
