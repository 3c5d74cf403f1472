//! `hoox operators`: who operates beside the owner. Their keys are made here; the gateway gets their digests only.

use clap::{Args, Subcommand, ValueEnum};
use hoox_auth::{KeyDigest, OWNER, new_operator_key};
use hoox_model::Secret;
use reqwest::Method;
use serde_json::{Value, json};

use super::secrets::random_bytes;
use super::{confirm, list, word};
use crate::args::Global;
use crate::context::Context;
use crate::failure::Failure;
use crate::gateway::Gateway;
use crate::output::{Done, rows, table};
use crate::status::Status;

#[derive(Debug, Subcommand)]
pub(crate) enum Operators {
    /// Add an operator; prints their key, once
    Add(AddOperator),
    /// All of them, their levels, and when their keys were made
    List,
    /// Replace an operator's key, which ends at once; prints the new one, once
    Rotate {
        /// The operator
        name: String,
    },
    /// End an operator, at once
    Revoke {
        /// The operator
        name: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct AddOperator {
    /// Their name, as the audit trail will have it: letters, digits, '-' and '_'
    name: String,
    /// What they may do
    #[arg(long, value_enum)]
    level: Level,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Level {
    /// Look at everything but keys and their hashes
    Read,
    /// And switch the kill switch on, and settle, replay and discard dead letters
    Operate,
    /// And switch it off, and change the manifest, senders and operators
    Admin,
}

const PATH: &str = "/v1/operators";

pub(crate) async fn run(context: &Context, task: Operators) -> Result<Done, Failure> {
    let gateway = &context.gateway()?;
    match task {
        Operators::Add(asked) => add(gateway, &asked).await,
        Operators::List => list_all(gateway).await,
        Operators::Rotate { name } => rotate(gateway, &context.global, &name).await,
        Operators::Revoke { name } => revoke(gateway, &context.global, &name).await,
    }
}

async fn add(gateway: &Gateway, asked: &AddOperator) -> Result<Done, Failure> {
    let name = named(&asked.name)?;
    let level = word(&asked.level);
    let key = new_operator_key(random_bytes()?);
    let body = json!({ "name": name, "level": level, "keySha256": KeyDigest::of(&key) });
    let added = gateway.change(Method::POST, PATH, Some(&body)).await;
    let added = added.map_err(|failure| unseen(failure, gateway, name))?;
    let text = format!("Operator '{name}' is added, at level {level}.");
    Ok(with_key(gateway, &text, &key, added.body))
}

async fn rotate(gateway: &Gateway, global: &Global, name: &str) -> Result<Done, Failure> {
    let path = path_of(named(name)?)?;
    confirm(
        global.yes,
        &format!("The key that '{name}' has now ends at once, on every machine that holds it."),
    )?;
    let key = new_operator_key(random_bytes()?);
    let body = json!({ "keySha256": KeyDigest::of(&key) });
    let path = format!("{path}/rotate");
    let rotated = gateway.change(Method::POST, &path, Some(&body)).await;
    let rotated = rotated.map_err(|failure| unseen(failure, gateway, name))?;
    let text = format!("Operator '{name}' has a new key; the one before has ended.");
    Ok(with_key(gateway, &text, &key, rotated.body))
}

/// The key of a change that nobody knows the end of is lost, and is made anew.
fn unseen(failure: Failure, gateway: &Gateway, name: &str) -> Failure {
    if failure.status != Status::Unknown {
        return failure;
    }
    let again = gateway.again();
    failure.hint(format!(
        "look with `hoox operators list{again}`: where '{name}' has a key of just now, nobody has seen it; `hoox operators rotate {name}{again}` makes another"
    ))
}

/// The one time that a key is shown, and what is done with it.
fn with_key(gateway: &Gateway, text: &str, key: &Secret, mut body: Value) -> Done {
    let note = late(&body);
    if let Some(fields) = body.as_object_mut() {
        fields.remove("success");
        fields.insert("key".to_owned(), json!(key.expose()));
    }
    let key = key.expose();
    let mut text = format!("{text}{note}\nTheir key, which is shown this once:\n\n  {key}\n");
    if let Some(host) = gateway.host() {
        let login = format!("\nOn their machine: hoox login operator-key --host {host}\n");
        text.push_str(&login);
    }
    Done::new(text, body)
}

/// What is said where a change has not reached the gateways' configuration.
fn late(body: &Value) -> &'static str {
    if body.get("published") == Some(&Value::Bool(false)) {
        "\nThe gateways' configuration could not be written yet; it is tried until it is."
    } else {
        ""
    }
}

async fn revoke(gateway: &Gateway, global: &Global, name: &str) -> Result<Done, Failure> {
    let path = path_of(named(name)?)?;
    confirm(
        global.yes,
        &format!("Operator '{name}' and their key will end."),
    )?;
    let gone = gateway.change(Method::DELETE, &path, None).await?.body;
    let text = format!(
        "Operator '{name}' has ended: their key changes nothing any more, and reads nothing after about 90 s.{}",
        late(&gone)
    );
    Ok(Done::new(text, gone))
}

async fn list_all(gateway: &Gateway) -> Result<Done, Failure> {
    let found = gateway.get(PATH, &[]).await?.body;
    let rows = rows(
        list(&found, "operators"),
        &["name", "level", "keyCreatedAt"],
    );
    let text = table(&["OPERATOR", "LEVEL", "KEY CREATED"], &rows);
    Ok(Done::new(text, found))
}

fn path_of(name: &str) -> Result<String, Failure> {
    if name == OWNER {
        return Err(
            Failure::usage("the owner's key is the gateway's secret OPERATOR_KEY")
                .hint("`hoox secrets rotate OPERATOR_KEY` replaces it"),
        );
    }
    Ok(format!("{PATH}/{name}"))
}

/// A name as a segment of a path: what is no name is not sent.
fn named(name: &str) -> Result<&str, Failure> {
    let plain = name
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    if plain && (1..=255).contains(&name.len()) {
        return Ok(name);
    }
    Err(Failure::usage(format!(
        "'{name}' is no operator's name: letters, digits, '-' and '_'"
    )))
}
