//! `hoox config manifest`.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::{fs, io};

use clap::{Args, Subcommand};
use hoox_auth::{MAX_BYTES, ManifestError};
use hoox_model::Secret;
use reqwest::Method;
use serde_json::{Value, json};

use super::import::Import;
use super::{confirm, list};
use crate::args::Global;
use crate::context::Context;
use crate::editor;
use crate::failure::Failure;
use crate::files::place;
use crate::gateway::Gateway;
use crate::output::{Done, plain};
use crate::status::{OF_A_VERDICT, Status};

#[derive(Debug, Subcommand)]
pub(crate) enum Config {
    /// The manifest
    #[command(subcommand)]
    Manifest(Manifest),
    /// Make a manifest of the single keys of an existing installation
    Import(Import),
}

/// Whether accounts may leave the manifest that have something open.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Retire {
    /// Let accounts leave that have something open: it becomes dead letters
    #[arg(long, requires = "reason")]
    force: bool,
    /// Why, for the audit trail
    #[arg(long, requires = "force", value_name = "TEXT")]
    reason: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Manifest {
    /// Print it
    Get,
    /// Put a whole manifest; its version must be one above the present one
    Set {
        /// A file, or - for stdin
        file: PathBuf,
        #[command(flatten)]
        retire: Retire,
    },
    /// Change it in $VISUAL or $EDITOR; the version counts itself
    Edit {
        #[command(flatten)]
        retire: Retire,
    },
    /// Check a manifest without sending it
    #[command(after_help = OF_A_VERDICT)]
    Validate {
        /// A file, or - for stdin
        file: PathBuf,
    },
}

const PATH: &str = "/v1/manifest";

/// A manifest in force.
pub(crate) struct Present {
    pub(crate) version: u64,
    pub(crate) document: Value,
}

/// A file's text, or stdin's.
pub(crate) fn read(file: &Path) -> Result<String, Failure> {
    let text = if file.as_os_str() == "-" {
        let mut text = String::new();
        let most = u64::try_from(MAX_BYTES)
            .unwrap_or(u64::MAX)
            .saturating_add(1);
        io::stdin()
            .take(most)
            .read_to_string(&mut text)
            .map(|_| text)
    } else {
        fs::read_to_string(file)
    };
    text.map_err(|error| Failure::usage(format!("{}: {error}", file.display())))
}

pub(crate) async fn run(context: &Context, task: Config) -> Result<Done, Failure> {
    let task = match task {
        Config::Manifest(task) => task,
        Config::Import(asked) => return super::import::run(context, &asked).await,
    };
    match task {
        Manifest::Get => get(&context.gateway()?).await,
        Manifest::Set { file, retire } => {
            let manifest = read(&file)?;
            set(&context.gateway()?, &context.global, &manifest, &retire).await
        }
        Manifest::Edit { retire } => edit(&context.gateway()?, &context.global, &retire).await,
        Manifest::Validate { file } => {
            validate(&read(&file)?).map_err(|failure| failure.status(Status::Bad))
        }
    }
}

async fn get(gateway: &Gateway) -> Result<Done, Failure> {
    let mut manifest = gateway.get(PATH, &[]).await?.body;
    let manifest = manifest
        .get_mut("manifest")
        .map_or(Value::Null, Value::take);
    let text = serde_json::to_string_pretty(&manifest).unwrap_or_default();
    Ok(Done::new(text, manifest))
}

pub(crate) fn parsed(text: &str) -> Result<hoox_auth::Manifest, Failure> {
    hoox_auth::Manifest::parse_strict(text).map_err(|error: ManifestError| {
        let problems = error.to_string();
        Failure::new("BAD_MANIFEST", problems).hint("nothing was sent")
    })
}

fn validate(text: &str) -> Result<Done, Failure> {
    let manifest = parsed(text)?;
    let (senders, accounts) = (manifest.senders.len(), manifest.accounts.len());
    let said = format!(
        "Version {} is valid: senders {senders}, accounts {accounts}.",
        manifest.version
    );
    let data = json!({ "version": manifest.version, "senders": senders, "accounts": accounts });
    Ok(Done::new(said, data))
}

/// The manifest in force, as the gateway gives it; `None` before the first one was put.
pub(crate) async fn present(gateway: &Gateway) -> Result<Option<Present>, Failure> {
    let found = match gateway.get(PATH, &[]).await {
        Ok(answer) => answer.body,
        Err(failure) if failure.code == "NOT_FOUND" => return Ok(None),
        Err(failure) => return Err(failure),
    };
    let document = found.get("manifest").cloned().unwrap_or_default();
    let version = document.get("version").and_then(Value::as_u64).unwrap_or(0);
    Ok(Some(Present { version, document }))
}

/// Puts a manifest; its version says which one it replaces.
pub(crate) async fn put(
    gateway: &Gateway,
    document: &Value,
    retire: &Retire,
) -> Result<Value, Failure> {
    let query: &[(&str, &str)] = match &retire.reason {
        Some(reason) => &[("force", "true"), ("reason", reason)],
        None => &[],
    };
    let put = gateway
        .change_with(Method::PUT, PATH, query, Some(document))
        .await?;
    Ok(put.body)
}

/// That a version is in force, how many exits of revoked senders wait for a person, and what the accounts had open that were
/// retired by force.
pub(crate) fn in_force(version: u64, put: &Value) -> String {
    // A sender that was changed meanwhile has taken a version before it.
    let version = put
        .get("version")
        .and_then(Value::as_u64)
        .unwrap_or(version);
    let word = |value: &Value, field: &str| match value.get(field) {
        Some(Value::String(word)) => plain(word),
        Some(other) => other.to_string(),
        None => String::new(),
    };
    let mut lines = vec![format!("Version {version} is in force.")];
    let letters = put.get("deadLetters").and_then(Value::as_u64);
    if let Some(letters) = letters.filter(|letters| *letters > 0) {
        lines.push(format!(
            "{letters} exits of senders that may not trade there any more are not sent and wait for you: hoox dead-letters list"
        ));
    }
    for retired in list(put, "retired") {
        let of = |field| word(retired, field);
        lines.push(format!(
            "Account '{}' was retired. Open there were signals: {}, dead letters: {}; all of it waits in `hoox dead-letters list`.",
            of("account"),
            of("signals"),
            of("deadLetters"),
        ));
        lines.extend(list(retired, "orders").iter().map(|order| {
            let of = |field| word(order, field);
            let (id, symbol, state) = (of("clientOrderId"), of("symbol"), of("state"));
            format!("At the venue, or maybe: {id} ({symbol}, {state})")
        }));
        lines.extend(list(retired, "positions").iter().map(|held| {
            let of = |field| word(held, field);
            let (symbol, side, quantity) = (of("symbol"), of("side"), of("quantity"));
            format!("Held by the record: {symbol} {side} {quantity}")
        }));
    }
    lines.join("\n")
}

async fn set(
    gateway: &Gateway,
    global: &Global,
    text: &str,
    retire: &Retire,
) -> Result<Done, Failure> {
    let manifest = parsed(text)?;
    let document: Value =
        serde_json::from_str(text).map_err(|error| Failure::usage(error.to_string()))?;
    let question = format!(
        "The whole manifest will be replaced by version {}.",
        manifest.version
    );
    confirm(global.yes, &question)?;
    let put = put(gateway, &document, retire).await?;
    Ok(Done::new(in_force(manifest.version, &put), put))
}

async fn edit(gateway: &Gateway, global: &Global, retire: &Retire) -> Result<Done, Failure> {
    let missing = || {
        Failure::new("NOT_FOUND", "there is no manifest yet")
            .hint("begin one with `hoox accounts add` or `hoox config manifest set`")
    };
    let present = present(gateway).await?.ok_or_else(missing)?;
    let before = serde_json::to_string_pretty(&present.document).unwrap_or_default();
    let next = present.version.saturating_add(1);
    let check = |text: &str| numbered(text, next);
    let lost = |failure, text: &str| keep(failure, text, next);
    let Some((text, document)) =
        editor::edit("manifest.json", &Secret::new(before), check, lost).await?
    else {
        return Ok(Done::new(
            "Nothing was changed.",
            json!({ "changed": false }),
        ));
    };
    let done = match confirm(
        global.yes,
        &format!("It will be in force as version {next}."),
    ) {
        Ok(()) => put(gateway, &document, retire).await,
        Err(failure) => Err(failure),
    };
    match done {
        Ok(body) => Ok(Done::new(in_force(next, &body), body)),
        Err(failure) => Err(keep(failure, text.expose(), next)),
    }
}

/// A manifest as the next version, if it is a valid one.
fn numbered(text: &str, version: u64) -> Result<Value, Failure> {
    let mut document: Value = serde_json::from_str(text)
        .map_err(|error| Failure::new("BAD_MANIFEST", format!("it is no JSON: {error}")))?;
    if let Some(fields) = document.as_object_mut() {
        fields.insert("version".to_owned(), json!(version));
    }
    parsed(&document.to_string())?;
    Ok(document)
}

/// What was typed is not lost with the refusal.
fn keep(failure: Failure, text: &str, version: u64) -> Failure {
    let free = (0..100).map(|number: u32| match number {
        0 => format!("manifest-{version}.json"),
        number => format!("manifest-{version}-{number}.json"),
    });
    let file = free.map(PathBuf::from).find(|file| !file.exists());
    match file {
        Some(file) if place(&file, text.as_bytes()).is_ok() => {
            failure.and(format!("what you wrote is in {}", file.display()))
        }
        _ => failure,
    }
}
