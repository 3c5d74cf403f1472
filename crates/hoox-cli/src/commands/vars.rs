//! `hoox vars`: the local secrets of a checkout as an age file, instead of plain text.
//!
//! In scope: `.dev.vars` in the root of a checkout, where `npm run dev` reads it. Out of scope: the secrets of a
//! deployment. What is said about the secrets names lines and numbers of them, never a value.

use std::fs;
use std::io::{self, IsTerminal as _};

use age::x25519::Recipient;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::confirm;
use crate::args::Global;
use crate::context::Context;
use crate::editor;
use crate::failure::Failure;
use crate::files::{failed, place, wipe};
use crate::identity::Identity;
use crate::local::{Local, PLAIN, SEALED, addressed, bounded, check};
use crate::output::Done;

#[derive(Debug, Subcommand)]
pub(crate) enum Vars {
    /// Make .dev.vars an age file, .dev.vars.age, and remove the plain files
    Encrypt(Encrypt),
    /// Make .dev.vars.age plain again
    Decrypt {
        /// Print it, to a pipe, and change nothing
        #[arg(long)]
        stdout: bool,
    },
    /// Change .dev.vars.age in $VISUAL or $EDITOR
    Edit,
    /// This machine's recipient, for `encrypt --recipient` on another one
    Recipient,
}

#[derive(Debug, Args)]
pub(crate) struct Encrypt {
    /// Take the text from stdin, and leave plain files as they are
    #[arg(value_name = "-", value_parser = ["-"])]
    source: Option<String>,
    /// Another machine that may read it, as age1…; may be repeated
    #[arg(long = "recipient", value_name = "RECIPIENT")]
    recipients: Vec<String>,
}

pub(crate) async fn run(context: &Context, task: Vars) -> Result<Done, Failure> {
    let global = &context.global;
    match task {
        Vars::Encrypt(how) => encrypt(global, &how),
        Vars::Decrypt { stdout: true } => print(global),
        Vars::Decrypt { stdout: false } => decrypt(global),
        Vars::Edit => edit().await,
        Vars::Recipient => recipient(),
    }
}

fn encrypt(global: &Global, how: &Encrypt) -> Result<Done, Failure> {
    let local = Local::here()?;
    let further = further(&how.recipients)?;
    let from_stdin = how.source.is_some();
    let text = if from_stdin {
        bounded(&mut io::stdin().lock(), "stdin")?
    } else {
        local.plain_text()?
    };
    let names = check(text.expose())?;
    if local.has_sealed() {
        let from = if from_stdin { "stdin" } else { PLAIN };
        confirm(global.yes, &format!("{SEALED} will be replaced by {from}."))?;
    }
    let identity = Identity::find_or_make()?;
    let (text, machines) = addressed(&text, &identity, further)?;
    local.seal(&text, &machines, &identity)?;
    let removed = if from_stdin {
        Vec::new()
    } else {
        local.plain_files()?
    };
    for file in &removed {
        wipe(file)?;
    }
    let removed: Vec<String> = removed.iter().map(|file| local.show(file)).collect();
    let machines: Vec<String> = machines.iter().map(Recipient::to_string).collect();
    let mut said = format!(
        "Encrypted into {SEALED} (names: {names}), for {}.",
        machines.join(", ")
    );
    if !removed.is_empty() {
        said = format!("{said}\nRemoved: {}.", removed.join(", "));
    }
    let data = json!({ "file": SEALED, "names": names, "recipients": machines, "removed": removed, "identity": identity.place() });
    Ok(Done::new(said, data))
}

fn further(given: &[String]) -> Result<Vec<Recipient>, Failure> {
    // Not repeated: it might be the secret half.
    let bad = |_| {
        Failure::usage("a --recipient is no recipient of age")
            .hint("one begins with age1; `hoox vars recipient` prints the one of a machine")
    };
    given.iter().map(|each| each.parse().map_err(bad)).collect()
}

fn decrypt(global: &Global) -> Result<Done, Failure> {
    let local = Local::here()?;
    local.needs_sealed()?;
    if local.has_plain()? {
        let said = "there is a plain .dev.vars beside .dev.vars.age, which would be lost";
        return Err(Failure::new("BOTH", said).hint("remove one of the two"));
    }
    confirm(global.yes, "The secrets will be plain, in .dev.vars.")?;
    let text = local.open(&Identity::find()?)?;
    // A link of `npm run dev` may lie there: it goes with what it leads to.
    wipe(&local.plain())?;
    place(&local.plain(), text.expose().as_bytes())?;
    let sealed = local.sealed();
    fs::remove_file(&sealed).map_err(|error| failed(&sealed, &error))?;
    let said = format!("The secrets are plain, in {PLAIN}; {SEALED} is removed.");
    Ok(Done::new(
        said,
        json!({ "file": PLAIN, "removed": [SEALED] }),
    ))
}

fn print(global: &Global) -> Result<Done, Failure> {
    let local = Local::here()?;
    if global.json || io::stdout().is_terminal() {
        let said = "--stdout prints the secrets themselves, to a pipe and without --json";
        return Err(Failure::usage(said).hint("`hoox vars edit` shows them"));
    }
    local.needs_sealed()?;
    let text = local.open(&Identity::find()?)?;
    Ok(Done::new(text.expose(), Value::Null))
}

fn recipient() -> Result<Done, Failure> {
    let identity = Identity::find_or_make()?;
    let recipient = identity.recipient().to_string();
    let data = json!({ "recipient": recipient, "identity": identity.place() });
    Ok(Done::new(recipient, data))
}

async fn edit() -> Result<Done, Failure> {
    let local = Local::here()?;
    local.needs_sealed()?;
    let identity = Identity::find()?;
    let before = local.open(&identity)?;
    let Some((text, names)) =
        editor::edit("dev.vars", &before, check, |failure, _| failure).await?
    else {
        return Ok(Done::new(
            "Nothing was changed.",
            json!({ "changed": false }),
        ));
    };
    let (text, machines) = addressed(&text, &identity, Vec::new())?;
    local.seal(&text, &machines, &identity)?;
    let said = format!(
        "Encrypted into {SEALED} (names: {names}). `npm run dev` reads it at its next start."
    );
    Ok(Done::new(said, json!({ "changed": true, "names": names })))
}
