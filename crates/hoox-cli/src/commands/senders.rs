//! `hoox senders`.

use core::fmt::Write as _;

use clap::{Args, Subcommand, ValueEnum};
use hoox_model::Timestamp;
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::{confirm, list, word};
use crate::args::Global;
use crate::clock::now;
use crate::context::Context;
use crate::failure::Failure;
use crate::gateway::Gateway;
use crate::output::{Done, cell, table};
use crate::status::Status;

#[derive(Debug, Subcommand)]
pub(crate) enum Senders {
    /// Make a sender; prints its key, once
    Add(AddSender),
    /// All of them, and when their keys are valid
    List,
    /// Replace a key; prints the new one, once
    Rotate {
        /// The sender
        id: String,
        /// How long the key before stays valid, in seconds; 0 ends it at once
        #[arg(long, default_value_t = 86_400)]
        overlap_seconds: u32,
    },
    /// End a sender, at once
    Revoke {
        /// The sender
        id: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct AddSender {
    /// Its name: letters, digits, '-' and '_'
    pub(crate) id: String,
    /// An account it may use, by name, or * for all; may be repeated
    #[arg(long = "account", required = true)]
    pub(crate) accounts: Vec<String>,
    /// Whether it may trade
    #[arg(long, value_enum, default_value = "trade")]
    pub(crate) permission: Permission,
    /// How it proves who it is
    #[arg(long, value_enum, default_value = "passkey")]
    pub(crate) scheme: Scheme,
    /// Addresses it may send from beside the shared ones, such as 203.0.113.0/24; may be repeated.
    /// Every scheme but passkey needs one
    #[arg(long = "range")]
    pub(crate) ranges: Vec<String>,
    /// A namespace it may use, which an account must be in; may be repeated
    #[arg(long = "namespace")]
    pub(crate) namespaces: Vec<String>,
    /// The account of alerts that name none
    #[arg(long)]
    pub(crate) default_account: Option<String>,
    /// Entries in a minute, counted for each account by itself
    #[arg(long)]
    pub(crate) rate_per_minute: Option<u32>,
    /// Its key is valid from then on, such as 2026-01-31T00:00:00Z
    #[arg(long)]
    pub(crate) not_before: Option<String>,
    /// Its key is valid until then
    #[arg(long)]
    pub(crate) expires: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Permission {
    Read,
    Trade,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Scheme {
    Passkey,
    Standard,
    Stripe,
    Github,
}

const PATH: &str = "/v1/senders";

pub(crate) async fn run(context: &Context, task: Senders) -> Result<Done, Failure> {
    let gateway = &context.gateway()?;
    match task {
        Senders::Add(sender) => add(gateway, &sender).await,
        Senders::List => list_all(gateway).await,
        Senders::Rotate {
            id,
            overlap_seconds,
        } => rotate(gateway, &context.global, &id, overlap_seconds).await,
        Senders::Revoke { id } => revoke(gateway, &context.global, &id).await,
    }
}

async fn add(gateway: &Gateway, asked: &AddSender) -> Result<Done, Failure> {
    let over = |at: &String| Timestamp::parse(at).is_ok_and(|at| at <= now());
    if asked.expires.as_ref().is_some_and(over) {
        return Err(Failure::usage(
            "--expires lies in the past: the key would open nothing",
        ));
    }
    if asked.scheme != Scheme::Passkey && asked.ranges.is_empty() {
        return Err(Failure::usage(format!(
            "a sender of scheme {} needs --range with the addresses it sends from: the shared ones are for TradingView, which signs nothing",
            word(&asked.scheme)
        )));
    }
    let mut sender = Map::new();
    let mut put = |name: &str, value: Value| {
        let given = !value.is_null() && value.as_array().is_none_or(|list| !list.is_empty());
        if given {
            sender.insert(name.to_owned(), value);
        }
    };
    put("id", json!(asked.id));
    put("permission", json!(word(&asked.permission)));
    put("scheme", json!(word(&asked.scheme)));
    put("accounts", json!(asked.accounts));
    put("namespaces", json!(asked.namespaces));
    put("ranges", json!(asked.ranges));
    put("defaultAccount", json!(asked.default_account));
    put("ratePerMinute", json!(asked.rate_per_minute));
    put("notBefore", json!(asked.not_before));
    put("expires", json!(asked.expires));
    let made = gateway
        .change(Method::POST, PATH, Some(&Value::Object(sender)))
        .await?;
    let firewall = if asked.ranges.is_empty() {
        ""
    } else {
        " A firewall rule in front of the webhook lets its addresses through after `hoox waf configure`."
    };
    Ok(with_key(
        &format!("Sender '{}' is made.{firewall}", asked.id),
        made.body,
    ))
}

async fn rotate(
    gateway: &Gateway,
    global: &Global,
    id: &str,
    overlap: u32,
) -> Result<Done, Failure> {
    let path = format!("{PATH}/{}", segment(id)?);
    let found = gateway.get(&path, &[]).await?.body;
    if overlap == 0 {
        confirm(
            global.yes,
            &format!("The key that '{id}' has now ends at once."),
        )?;
    } else if valid_keys(&found, now()) > 1 {
        confirm(
            global.yes,
            &format!(
                "'{id}' has two valid keys; the older one ends at once, the newer one in {overlap} s."
            ),
        )?;
    }
    let body = json!({ "overlapSeconds": overlap });
    let path = format!("{path}/rotate");
    let made = gateway.change(Method::POST, &path, Some(&body)).await;
    let made = made.map_err(|failure| match failure.status {
        Status::Unknown => failure.hint("look with `hoox senders list` whether it has a second key, which nobody has seen then, before you repeat it"),
        _ => failure,
    })?;
    let before = match overlap {
        0 => "ended".to_owned(),
        seconds => format!("stays valid for {seconds} s"),
    };
    let text = format!("Sender '{id}' has a new key; the one before {before}.");
    Ok(with_key(&text, made.body))
}

/// The one time that a key is shown: on stdout alone, so that it can be piped to where it belongs.
fn with_key(text: &str, mut body: Value) -> Done {
    let key = cell(&body, "key");
    let note = late(&body);
    if let Some(fields) = body.as_object_mut() {
        fields.remove("success");
    }
    Done::new(
        format!("{text}{note}\nIts key, which is shown this once:\n\n  {key}\n"),
        body,
    )
}

/// What is said where a change has not reached everybody.
fn late(body: &Value) -> &'static str {
    if body.get("published") == Some(&Value::Bool(false)) {
        "\nNot every Ledger could be told yet; they are told until they answer."
    } else {
        ""
    }
}

/// How many keys of a sender open something.
fn valid_keys(found: &Value, now: Timestamp) -> usize {
    let keys = found
        .get("sender")
        .map_or(&[][..], |sender| list(sender, "keys"));
    let ended = |key: &&Value| {
        let expires = key.get("expires").and_then(Value::as_str);
        expires.is_some_and(|at| Timestamp::parse(at).is_ok_and(|at| at <= now))
    };
    keys.iter().filter(|key| !ended(key)).count()
}

async fn revoke(gateway: &Gateway, global: &Global, id: &str) -> Result<Done, Failure> {
    let path = format!("{PATH}/{}", segment(id)?);
    confirm(global.yes, &format!("Sender '{id}' and its keys will end."))?;
    let gone = gateway.change(Method::DELETE, &path, None).await?.body;
    let mut text = format!("Sender '{id}' has ended: its keys open nothing any more.");
    text.push_str(late(&gone));
    // Exits of it that had sent nothing yet are not sent, and wait for a person.
    let letters = gone.get("deadLetters").and_then(Value::as_u64);
    if let Some(letters) = letters.filter(|letters| *letters > 0) {
        let again = gateway.again();
        write!(
            text,
            "\n{letters} of its exits are not sent and wait for you: hoox dead-letters list{again}"
        )
        .unwrap_or_default();
    }
    Ok(Done::new(text, gone))
}

async fn list_all(gateway: &Gateway) -> Result<Done, Failure> {
    let found = gateway.get(PATH, &[]).await?.body;
    let senders = list(&found, "senders");
    let rows = senders
        .iter()
        .map(|sender| {
            let names = |field: &str| {
                let names: Vec<&str> = list(sender, field)
                    .iter()
                    .filter_map(Value::as_str)
                    .collect();
                if names.is_empty() {
                    "-".to_owned()
                } else {
                    names.join(" ")
                }
            };
            let valid = |key: &Value| match (cell(key, "notBefore"), cell(key, "expires")) {
                (from, until) if from == "-" && until == "-" => "always".to_owned(),
                (from, until) => format!("{from} to {until}"),
            };
            let own = valid(sender);
            let keys = list(sender, "keys").iter().map(valid);
            // The sender's own bounds hold for each of its keys.
            let keys: Vec<String> = match own.as_str() {
                "always" => keys.collect(),
                _ => vec![own],
            };
            vec![
                cell(sender, "id"),
                cell(sender, "scheme"),
                cell(sender, "permission"),
                names("accounts"),
                names("namespaces"),
                keys.join(", "),
            ]
        })
        .collect::<Vec<_>>();
    let text = table(
        &[
            "SENDER",
            "SCHEME",
            "PERMISSION",
            "ACCOUNTS",
            "NAMESPACES",
            "KEYS VALID",
        ],
        &rows,
    );
    Ok(Done::new(text, found))
}

/// A name as a segment of a path: what is no name is not sent.
fn segment(id: &str) -> Result<&str, Failure> {
    let plain = id
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    if plain && (1..=255).contains(&id.len()) {
        return Ok(id);
    }
    Err(Failure::usage(format!(
        "'{id}' is no sender's name: letters, digits, '-' and '_'"
    )))
}
