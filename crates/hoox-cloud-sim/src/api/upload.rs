//! Uploads of Workers: the whole script at once, or a version that a deployment puts in effect later.

use axum::Router;
use axum::extract::{Multipart, Path, State};
use axum::routing::put;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::Api;
use super::scripts::{self, BASE, Place};
use crate::caller::Caller;
use crate::clock;
use crate::envelope::{Answer, Failure, Success};
use crate::inner::Inner;
use crate::permission::Permission;
use crate::state::{Account, Deployment, Script, Version};

mod bindings;
mod migrations;

pub(super) fn routes() -> Router<Api> {
    Router::new().route(
        &format!("{BASE}/{{script}}"),
        put(upload).delete(scripts::delete),
    )
}

/// The part `metadata` of an upload.
#[derive(Debug, Deserialize)]
pub(super) struct Metadata {
    #[serde(default)]
    bindings: Vec<Map<String, Value>>,
    #[serde(default)]
    keep_bindings: Vec<String>,
    migrations: Option<migrations::Migrations>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// An upload: the metadata, and the names of the modules.
pub(super) struct Upload {
    metadata: Metadata,
    modules: Vec<String>,
}

impl Upload {
    pub(super) async fn read(mut form: Multipart) -> Result<Self, Failure> {
        let unreadable = || Failure::bad_request(10_021, "could not read the form");
        let mut metadata = None;
        let mut modules = Vec::new();
        while let Some(field) = form.next_field().await.map_err(|_| unreadable())? {
            let name = field.name().unwrap_or_default().to_owned();
            let bytes = field.bytes().await.map_err(|_| unreadable())?;
            if name == "metadata" {
                metadata = Some(serde_json::from_slice(&bytes).map_err(|error| {
                    Failure::bad_request(10_021, format!("metadata is not valid: {error}"))
                })?);
            } else {
                modules.push(name);
            }
        }
        let metadata: Metadata = metadata.ok_or_else(unreadable)?;
        let main = ["main_module", "body_part"]
            .iter()
            .find_map(|field| metadata.rest.get(*field))
            .and_then(Value::as_str)
            .unwrap_or_default();
        if modules.iter().any(|module| module == main) {
            Ok(Self { metadata, modules })
        } else {
            let message = format!("No such module \"{main}\".");
            Err(Failure::bad_request(10_021, message))
        }
    }

    /// The version that this upload makes of a Worker; what the metadata says to keep comes from `script`.
    pub(super) fn version(
        self,
        id: String,
        account: &Account,
        script: &Script,
    ) -> Result<Version, Failure> {
        let mut version = Version {
            id,
            number: script.versions.len().saturating_add(1),
            created_on: clock::now(),
            metadata: self.metadata.rest,
            modules: self.modules,
            ..Version::default()
        };
        let keeps = |kind: &str| self.metadata.keep_bindings.iter().any(|kept| kept == kind);
        bindings::resolve(self.metadata.bindings, account, script, &mut version)?;
        for old in &script.bindings {
            let kept = keeps(old.get("type").and_then(Value::as_str).unwrap_or_default());
            if kept && !bindings::named(&version, bindings::name(old)) {
                version.bindings.push(old.clone());
            }
        }
        if keeps("secret_text") {
            for (name, text) in &script.secrets {
                if !bindings::named(&version, name) {
                    version.secrets.insert(name.clone(), text.clone());
                }
            }
        }
        Ok(version)
    }
}

/// Keeps a version and puts it in effect.
fn deploy(inner: &mut Inner, script: &mut Script, version: Version) {
    script.take(&version);
    script.deployments.push(Deployment {
        id: inner.new_uuid(),
        versions: json!([{ "version_id": version.id, "percentage": 100 }]),
        annotations: json!({ "workers/triggered_by": "upload" }),
        created_on: clock::now(),
    });
    script.versions.push(version);
    script.modified_on = clock::now();
}

/// What a new Worker begins as.
fn blank() -> Script {
    Script {
        created_on: clock::now(),
        ..Script::default()
    }
}

async fn upload(
    State(api): State<Api>,
    caller: Caller,
    Path((account_id, name)): Place,
    form: Multipart,
) -> Answer {
    let upload = Upload::read(form).await?;
    let mut inner = api.lock();
    let id = inner.new_uuid();
    let account = inner.account(&caller, &account_id, Permission::WorkersScriptsWrite)?;
    let mut script = account.scripts.get(&name).cloned().unwrap_or_else(blank);
    if let Some(migrations) = &upload.metadata.migrations {
        migrations.apply(&mut script)?;
    }
    // Classes that this upload brings are there for its own bindings.
    let mut seen = account.clone();
    seen.scripts.insert(name.clone(), script.clone());
    let version = upload.version(id, &seen, &script)?;
    let answer = json!({
        "id": name,
        "tag": name,
        "etag": scripts::etag(&script),
        "handlers": ["fetch"],
        "has_modules": true,
        "deployment_id": version.id.replace('-', ""),
        "startup_time_ms": 1,
        "created_on": script.created_on,
    });
    deploy(&mut inner, &mut script, version);
    inner
        .account(&caller, &account_id, Permission::WorkersScriptsWrite)?
        .scripts
        .insert(name, script);
    Ok(Success::new(answer))
}
