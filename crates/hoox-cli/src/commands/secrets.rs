//! `hoox secrets`: each secret to the workers that need it, by the registry. No value is ever shown.

use core::fmt::Write as _;
use std::collections::BTreeSet;
use std::fs;
use std::io::{IsTerminal as _, Read as _, stdin};
use std::path::PathBuf;

use clap::{Args, Subcommand};
use data_encoding::BASE64URL_NOPAD;
use hoox_mesh::Edge;
use hoox_mesh::registry::{OPERATOR_KEY, SEALING_KEY, generated_secrets, workers_with};
use hoox_model::Secret;
use serde_json::json;

use super::confirm;
use crate::audit_box::{self, Finding};
use crate::context::Context;
use crate::edges;
use crate::failure::Failure;
use crate::keep::Kept;
use crate::local::Local;
use crate::output::{Done, table};
use crate::profile::variable;
use crate::status::{OF_A_VERDICT, Status};
use crate::target;
use crate::vault::{Secrets as Store, Vault, of_accounts};

/// Random bytes of a secret that is made here.
const RANDOM_BYTES: usize = 32;
/// The shortest value for a secret that Hoox could have made itself.
pub(crate) const SHORTEST: usize = 32;
/// No secret is longer; a larger file is something else.
const LONGEST: usize = 4_096;

#[derive(Debug, Subcommand)]
pub(crate) enum Secrets {
    /// Set a secret; asked for without echo, or read from stdin, unless given
    Set(Named),
    /// Which secrets are bound to which workers, and since when
    List,
    /// Audit them: SECURE, or INCOMPLETE, which is the bad verdict
    #[command(after_help = OF_A_VERDICT)]
    Check,
    /// Replace a secret: Hoox's own by a new random one, an exchange's by the one that you give
    Rotate(Named),
    /// Remove a secret from its workers
    Delete {
        /// Its name
        name: String,
    },
    /// Make every missing secret that Hoox makes itself
    Generate,
}

#[derive(Debug, Args)]
pub(crate) struct Named {
    #[arg(help = "Its name, such as BYBIT_API_KEY")]
    name: String,
    /// Its value; an argument stays in the shell's history and shows in the process list
    #[arg(conflicts_with = "from_file")]
    value: Option<String>,
    /// Take the value from a file
    #[arg(long, value_name = "PATH")]
    from_file: Option<PathBuf>,
}

pub(crate) async fn run(context: &Context, task: Secrets) -> Result<Done, Failure> {
    if let Secrets::Set(asked) | Secrets::Rotate(asked) = &task {
        known(&asked.name)?;
    }
    if context.global.is_local() {
        let mut local = Local::here()?;
        local.wanted = of_sandbox(context).await.unwrap_or_default();
        with(context, &local, task).await
    } else {
        with(context, &Vault::open(context)?, task).await
    }
}

/// Names of the exchange keys of a running sandbox's accounts; `None` where none runs.
async fn of_sandbox(context: &Context) -> Option<BTreeSet<String>> {
    let present = super::config::present(&context.gateway().ok()?)
        .await
        .ok()??;
    let manifest = hoox_auth::Manifest::parse(&present.document.to_string()).ok()?;
    Some(of_accounts(&manifest))
}

async fn with(context: &Context, vault: &impl Store, task: Secrets) -> Result<Done, Failure> {
    match task {
        Secrets::Set(asked) => {
            let value = value(&asked)?;
            ask(context, &asked.name)?;
            let kept = keep(context, &[(&asked.name, &value)], false, false)?;
            set(vault, &asked.name, &value, kept).await
        }
        Secrets::List => list(vault).await,
        Secrets::Check => check(context, vault).await,
        Secrets::Rotate(asked) => rotate(context, vault, &asked).await,
        Secrets::Delete { name } => delete(context, vault, &name).await,
        Secrets::Generate => generate(context, vault).await,
    }
}

/// Refuses a name that no worker reads: a value under a misspelt one would help nobody.
fn known(name: &str) -> Result<(), Failure> {
    if !workers_with(name).is_empty() {
        return Ok(());
    }
    let names = generated_secrets().join(", ");
    Err(Failure::usage(format!("no worker reads a secret named '{name}'")).hint(format!(
        "there are {names}, and for exchanges such as BYBIT_API_KEY, BYBIT_TESTNET_API_SECRET, BYBIT_API_KEY__SUB1"
    )))
}

fn is_generated(name: &str) -> bool {
    generated_secrets().contains(&name)
}

/// The value that the arguments, stdin or the user's fingers give.
fn value(asked: &Named) -> Result<Secret, Failure> {
    let unreadable =
        |from: &str, error: &dyn core::fmt::Display| Failure::usage(format!("{from}: {error}"));
    let text = if let Some(value) = &asked.value {
        eprintln!(
            "warning: a value in an argument stays in the shell's history and shows in the process list; leave it out and it is asked for"
        );
        value.clone()
    } else if let Some(file) = &asked.from_file {
        fs::read_to_string(file).map_err(|error| unreadable(&file.display().to_string(), &error))?
    } else {
        return typed(&asked.name);
    };
    checked(&asked.name, &text)
}

/// A value that is asked for without echo, or comes by stdin.
pub(crate) fn typed(name: &str) -> Result<Secret, Failure> {
    let unreadable = |from: &str, error: std::io::Error| Failure::usage(format!("{from}: {error}"));
    let mut text = String::new();
    if stdin().is_terminal() {
        text = rpassword::prompt_password(format!("{name}: "))
            .map_err(|error| unreadable("the terminal", error))?;
    } else {
        let most = u64::try_from(LONGEST).unwrap_or(u64::MAX).saturating_add(3);
        let read = stdin().take(most).read_to_string(&mut text);
        read.map_err(|error| unreadable("stdin", error))?;
    }
    checked(name, &text)
}

/// A value as it was meant: without the line's end, and nothing that a header or a file would not carry.
fn checked(name: &str, text: &str) -> Result<Secret, Failure> {
    let value = text.trim_end_matches(['\r', '\n']);
    let refuse =
        |why: &str| Err(Failure::usage(format!("{name}: {why}")).hint("nothing was changed"));
    if value.is_empty() {
        return refuse("the value is empty");
    }
    if value.len() > LONGEST {
        return refuse("the value is too long to be a secret");
    }
    if value
        .chars()
        .any(|letter| letter.is_control() || letter.is_whitespace())
    {
        return refuse("the value has blanks or control characters in it");
    }
    if is_generated(name) && value.len() < SHORTEST {
        return refuse("32 characters at least; `hoox secrets rotate` makes a good one");
    }
    Ok(Secret::new(value))
}

/// A new random secret.
pub(crate) fn random() -> Result<Secret, Failure> {
    Ok(Secret::new(BASE64URL_NOPAD.encode(&random_bytes()?)))
}

/// The random bytes of a secret.
pub(crate) fn random_bytes() -> Result<[u8; RANDOM_BYTES], Failure> {
    let mut bytes = [0u8; RANDOM_BYTES];
    getrandom::fill(&mut bytes).map_err(|error| {
        Failure::new(
            "INTERNAL",
            format!("no random numbers are to be had: {error}"),
        )
    })?;
    Ok(bytes)
}

/// Has a new operator key wait where it will be found, if it is among these. Without such a place nobody would have one
/// that was made here.
pub(crate) fn keep(
    context: &Context,
    secrets: &[(&str, &Secret)],
    made: bool,
    gateway_has_none: bool,
) -> Result<Option<Kept>, Failure> {
    let operator = secrets.iter().find(|(name, _)| *name == OPERATOR_KEY);
    let Some((_, key)) = operator.filter(|_| !context.global.is_local()) else {
        return Ok(None);
    };
    if variable(target::OPERATOR_KEY).is_some() {
        eprintln!(
            "warning: {} is set and holds the key before: unset it afterwards",
            target::OPERATOR_KEY
        );
    }
    match context.place_of_operator_key()? {
        Some(place) => place.keep(key, gateway_has_none).map(Some),
        None if made => Err(
            Failure::usage("a new operator key needs a place where you find it")
                .hint("give --operator-key-file PATH, or set operatorKeyFile in the profile"),
        ),
        None => Ok(None),
    }
}

/// Puts secrets, and a new operator key into its place.
async fn put(
    vault: &impl Store,
    secrets: &[(&str, &Secret)],
    kept: Option<Kept>,
) -> Result<Vec<&'static str>, Failure> {
    let put = vault.put(secrets).await;
    let Some(kept) = kept else {
        return put;
    };
    match put {
        Ok(workers) => kept.done().map(|()| workers),
        Err(failure) => {
            let surely = failure.status == Status::Refused && secrets.len() == 1;
            Err(kept.failed(failure, surely))
        }
    }
}

async fn set(
    vault: &impl Store,
    name: &str,
    value: &Secret,
    kept: Option<Kept>,
) -> Result<Done, Failure> {
    let workers = put(vault, &[(name, value)], kept).await?;
    let at = workers.join(", ");
    let text = format!("{name} is set in {at}.{}", when(vault));
    Ok(Done::new(text, json!({ "name": name, "workers": workers })))
}

/// What else a change of a secret ends is asked for.
fn ask(context: &Context, name: &str) -> Result<(), Failure> {
    let question = match name {
        SEALING_KEY => {
            "The signing secrets of senders are sealed under SEALING_KEY: every sender that signs stops until it is rotated.".to_owned()
        }
        // The sandbox's is on this machine only.
        OPERATOR_KEY if !context.global.is_local() => {
            let again = context.global.again();
            format!(
                "The owner's key that is in force ends: every other machine that holds it is locked out at once. Operators with a key of their own go on; `hoox operators add NAME --level LEVEL{again}` makes one for each of those machines, before or afterwards."
            )
        }
        _ => return Ok(()),
    };
    confirm(context.global.yes, &question)
}

async fn rotate(context: &Context, vault: &impl Store, asked: &Named) -> Result<Done, Failure> {
    let name = asked.name.as_str();
    let given = asked.value.is_some() || asked.from_file.is_some();
    let value = if is_generated(name) && !given {
        random()?
    } else {
        value(asked)?
    };
    ask(context, name)?;
    let made = is_generated(name) && !given;
    let kept = keep(context, &[(name, &value)], made, false)?;
    set(vault, name, &value, kept).await
}

async fn delete(context: &Context, vault: &impl Store, name: &str) -> Result<Done, Failure> {
    let workers = if workers_with(name).is_empty() {
        vault.holders(name).await?
    } else {
        workers_with(name)
    };
    let question = if is_generated(name) {
        format!("Hoox does not work without {name}. It will be removed.")
    } else {
        format!("{name} will be removed; accounts that use it cannot trade any more.")
    };
    confirm(context.global.yes, &question)?;
    let had = vault.delete(name, &workers).await?;
    if had.is_empty() {
        return Err(Failure::new(
            "NOT_FOUND",
            format!("no worker has a secret named '{name}'"),
        ));
    }
    let text = format!("{name} is removed from {}.{}", had.join(", "), when(vault));
    Ok(Done::new(text, json!({ "name": name, "workers": had })))
}

async fn generate(context: &Context, vault: &impl Store) -> Result<Done, Failure> {
    let bound = vault.bound().await?;
    let missing = super::deploy::missing_secrets(&bound);
    if missing.is_empty() {
        return Ok(Done::new(
            "Nothing is missing of what Hoox makes itself.",
            json!({ "made": missing }),
        ));
    }
    let mut made = Vec::new();
    for name in &missing {
        made.push((*name, random()?));
    }
    let values: Vec<(&str, &Secret)> = made.iter().map(|(name, value)| (*name, value)).collect();
    let kept = keep(context, &values, true, true)?;
    put(vault, &values, kept).await?;
    let text = format!("Made {}.{}", missing.join(", "), when(vault));
    Ok(Done::new(text, json!({ "made": missing })))
}

async fn list(vault: &impl Store) -> Result<Done, Failure> {
    let findings = findings(vault).await?;
    let rows: Vec<Vec<String>> = findings
        .iter()
        .filter(|finding| !finding.bound.is_empty())
        .map(|finding| vec![finding.name.clone(), finding.bound.join(" "), finding.age()])
        .collect();
    let data = json!({ "secrets": findings });
    Ok(Done::new(table(&["SECRET", "WORKERS", "AGE"], &rows), data))
}

fn title<S: Store>(_: &S) -> &'static str {
    S::TITLE
}

fn when<S: Store>(_: &S) -> &'static str {
    S::WHEN
}

async fn check(context: &Context, vault: &impl Store) -> Result<Done, Failure> {
    let mut findings = findings(vault).await?;
    let sides = differing(context).await;
    let again = context.global.again();
    let mut lines = String::new();
    match &sides {
        Ok(edges) => {
            for edge in edges {
                let rotation = edges::rotation(edge.secret(), &again);
                writeln!(lines, "{}: {rotation}", edges::words(*edge)).unwrap_or_default();
            }
        }
        Err(why) => writeln!(
            lines,
            "Whether both sides of every edge have the same key is not known: {why}"
        )
        .unwrap_or_default(),
    }
    let edges = sides.as_deref().unwrap_or_default();
    for finding in &mut findings {
        finding.differs = edges.iter().any(|edge| edge.secret() == finding.name);
    }
    let missing = !findings.iter().all(Finding::is_complete);
    let secure = findings.iter().all(Finding::is_good);
    let text = audit_box::draw(title(vault), &findings) + &lines;
    let result = match (secure, missing) {
        (true, _) => "SECURE",
        (false, true) => "INCOMPLETE",
        (false, false) => "DIFFERING",
    };
    let differing: Option<Vec<&str>> = sides
        .as_ref()
        .ok()
        .map(|edges| edges.iter().map(|edge| edge.secret()).collect());
    let data = json!({ "result": result, "differing": differing, "secrets": findings });
    let done = Done::new(text, data);
    Ok(if secure {
        done
    } else {
        done.ended(Status::Bad)
    })
}

/// The edges whose keys differ, which only the gateway can tell: Cloudflare shows no value. Else why it cannot be asked.
/// The sandbox has one file for both sides.
async fn differing(context: &Context) -> Result<Vec<Edge>, String> {
    if context.global.is_local() {
        return Ok(Vec::new());
    }
    let told = async { context.gateway()?.get("/v1/health", &[]).await };
    match told.await {
        Ok(health) => Ok(edges::differing(&health.body)),
        Err(failure) => Err(failure.message),
    }
}

/// What there is and what should be: exchange keys of the accounts first, then what Hoox makes itself.
pub(crate) async fn findings(vault: &impl Store) -> Result<Vec<Finding>, Failure> {
    let bound = vault.bound().await?;
    let dates = vault.dates().await?;
    let wanted = vault.exchange_secrets().await?;
    let mut names: Vec<String> = wanted.iter().cloned().collect();
    let usual = ["BYBIT_API_KEY", "BYBIT_API_SECRET"].map(str::to_owned);
    let generated = generated_secrets().into_iter().map(str::to_owned);
    let rest = bound.all().into_iter().cloned();
    for name in usual.into_iter().chain(generated).chain(rest) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let now = crate::clock::now();
    let finding = |name: String| {
        let days = dates.get(&name).and_then(|changed| changed.days(now));
        let required = wanted.contains(&name) || is_generated(&name);
        Finding::new(name, required, &bound, days)
    };
    Ok(names.into_iter().map(finding).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_taken_as_it_was_meant_or_refused() {
        let exchange = |text: &str| checked("BYBIT_API_KEY", text);
        assert_eq!(exchange("abc\r\n").unwrap().expose(), "abc");
        for bad in ["", "\n", "a b", "a\nb", " a", "a\t", "a\u{7}"] {
            let refused = exchange(bad).unwrap_err();
            assert_eq!(refused.code, "USAGE", "{bad:?}");
            assert!(
                bad.trim().is_empty() || !refused.message.contains(bad),
                "{bad:?}"
            );
        }
        assert_eq!(
            exchange(&"a".repeat(LONGEST)).unwrap().expose().len(),
            LONGEST
        );
        assert!(exchange(&"a".repeat(LONGEST + 1)).is_err());
        assert!(checked("OPERATOR_KEY", &"a".repeat(SHORTEST - 1)).is_err());
        assert!(checked("OPERATOR_KEY", &"a".repeat(SHORTEST)).is_ok());
    }

    #[test]
    fn two_random_secrets_differ_and_are_long_enough() {
        let [one, other] = [random().unwrap(), random().unwrap()];
        assert_ne!(one.expose(), other.expose());
        assert_eq!(one.expose().len(), 43);
    }
}
