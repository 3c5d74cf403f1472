//! `hoox doctor`: the hardening checklist.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use crate::checkout::Checkout;
use crate::cloudflare::API_TOKEN;
use crate::context::Context;
use crate::doctor::deployment::Looked;
use crate::doctor::{Check, Group, Verdict};
use crate::doctor::{
    checkout, count, deployment, draw, gateway, machine, repository, status, variables,
};
use crate::failure::Failure;
use crate::output::Done;
use crate::profile::{self, is_private};
use crate::vault::Vault;

const NO_CHECKOUT: &str = "not in a checkout of Hoox";

#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// Mend what is safe: lines of .gitignore, modes of files with secrets
    #[arg(long)]
    fix: bool,
}

pub(crate) async fn run(context: &Context, task: &Doctor) -> Result<Done, Failure> {
    let root = Checkout::here().ok();
    let root = root.as_ref().map(Checkout::root);
    let keys = named_files(context)?;
    let mended = if task.fix {
        mend(root, &keys).await?
    } else {
        Vec::new()
    };
    let (gateway, looked) = Box::pin(remote(context)).await;
    let mut checks = machine::checks(root.unwrap_or(Path::new("."))).await;
    checks.push(key_files(&keys));
    checks.extend(local(root, &looked).await);
    checks.extend(looked.checks);
    checks.extend(gateway);
    Ok(done(&checks, &mended, task.fix))
}

fn done(checks: &[Check], mended: &[String], fix: bool) -> Done {
    let mut text = match (fix, mended) {
        (false, _) => String::new(),
        (true, []) => "Nothing had to be mended.\n\n".to_owned(),
        (true, mended) => mended.join("\n") + "\n\n",
    };
    text.push_str(&draw(checks));
    let of = |verdict| count(checks, verdict);
    let mut data = json!({
        "checks": checks,
        "passed": of(Verdict::Pass),
        "warnings": of(Verdict::Warn),
        "failed": of(Verdict::Fail),
        "skipped": of(Verdict::Skip),
        "unknown": of(Verdict::Unknown),
    });
    if let (true, Some(data)) = (fix, data.as_object_mut()) {
        data.insert("fixed".to_owned(), json!(mended));
    }
    Done::new(text, data).ended(status(checks))
}

/// What can be looked at without any network.
async fn local(root: Option<&Path>, looked: &Looked) -> Vec<Check> {
    let Some(root) = root else {
        return ["Checkout", "Local secrets", "Repository"]
            .map(|group| Group(group).skip("all checks", NO_CHECKOUT))
            .into();
    };
    let variables = variables::read(root);
    let mut checks = checkout::checks(root, &looked.deployed).await;
    checks.extend(variables::checks(&variables));
    let secrets = variables.unwrap_or_default();
    checks.extend(repository::checks(root, &secrets).await);
    checks
}

/// What needs a network: the gateway's checks, and the deployment's.
async fn remote(context: &Context) -> (Vec<Check>, Looked) {
    let gateway = match context.gateway() {
        Ok(gateway) => Ok(gateway),
        Err(failure) => Err(gateway::unasked(&context.global, &failure)),
    };
    let known = gateway.is_ok();
    let asked = async {
        match gateway {
            Ok(gateway) => gateway::checks(&gateway).await,
            Err(checks) => checks,
        }
    };
    tokio::join!(asked, deployed(context, !known))
}

async fn deployed(context: &Context, cors: bool) -> Looked {
    if context.global.is_local() {
        return deployment::skipped("the sandbox is not deployed");
    }
    match Vault::open(context) {
        Ok(vault) => deployment::checks(context, &vault, cors).await,
        Err(failure) if failure.code == "NO_TOKEN" => deployment::skipped(&format!(
            "the Cloudflare API token is not known: set {API_TOKEN}"
        )),
        Err(failure) => deployment::unasked(&failure),
    }
}

/// Files of keys that the profile or the arguments name.
fn named_files(context: &Context) -> Result<Vec<PathBuf>, Failure> {
    let profile = profile::of(&context.global)?;
    let operator = context
        .global
        .operator_key_file
        .clone()
        .or(profile.operator_key_file);
    Ok(operator.into_iter().chain(profile.api_token_file).collect())
}

fn key_files(files: &[PathBuf]) -> Check {
    let (group, name) = (Group("Machine"), "key files");
    if files.is_empty() {
        return group.skip(name, "the profile names none");
    }
    let of = |fits: fn(&&PathBuf) -> bool| -> Vec<String> {
        files
            .iter()
            .filter(fits)
            .map(|file| file.display().to_string())
            .collect()
    };
    let missing = of(|file| !file.is_file());
    if !missing.is_empty() {
        return group.fail(
            name,
            format!("there is no {}", missing.join(", ")),
            "make it, or name another in the profile",
        );
    }
    let open = of(|file| !is_private(file));
    if !open.is_empty() {
        let open = open.join(" ");
        return group.fail(
            name,
            format!("others on this machine can read {open}"),
            format!("hoox doctor --fix, or: chmod 600 {open}"),
        );
    }
    group.pass(name, "only you can read them")
}

/// Mends what is safe to mend, here only, and says what it did.
async fn mend(root: Option<&Path>, keys: &[PathBuf]) -> Result<Vec<String>, Failure> {
    let mut mended = Vec::new();
    if let Some(root) = root {
        mended.extend(ignore(root).await?);
    }
    let mut open = root.map(checkout::readable_by_others).unwrap_or_default();
    open.extend(
        keys.iter()
            .filter(|file| file.is_file() && !is_private(file))
            .cloned(),
    );
    for file in open {
        profile::make_private(&file)?;
        mended.push(format!("Only you can read {} now.", file.display()));
    }
    Ok(mended)
}

/// Adds the lines to .gitignore that it lacks.
async fn ignore(root: &Path) -> Result<Option<String>, Failure> {
    // Without git there is nothing to hide from.
    let Ok(missing) = checkout::not_ignored(root).await else {
        return Ok(None);
    };
    if missing.is_empty() {
        return Ok(None);
    }
    let file = root.join(".gitignore");
    let failed =
        |error: std::io::Error| Failure::new("NOT_FIXED", format!("{}: {error}", file.display()));
    let mut text = match fs::read_to_string(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(failed(error)),
    };
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    for line in &missing {
        text.push_str(line);
        text.push('\n');
    }
    fs::write(&file, text).map_err(failed)?;
    Ok(Some(format!(
        "Added to .gitignore: {}.",
        missing.join(", ")
    )))
}
