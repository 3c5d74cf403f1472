//! `hoox deploy`: migrations, then each worker after those that it calls, with the secrets that are missing.
//!
//! In scope: what has to be done, in which order, and the secrets. Out of scope: building and uploading, which
//! `scripts/upload.mjs` has wrangler do; of that only success or failure is read.

use core::fmt::Write as _;
use core::time::Duration;
use std::collections::BTreeSet;
use std::process::Stdio;
use std::time::Instant;

use clap::Args;
use hoox_mesh::registry::{OPERATOR_KEY, generated_secrets, workers_with};
use hoox_mesh::{Edge, Worker};
use hoox_model::Secret;
use serde_json::{Map, Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use tokio::time::sleep;

use super::confirm;
use super::secrets::{keep, random};
use crate::audit_box::Bound;
use crate::checkout::{Checkout, Slot};
use crate::clock::now;
use crate::cloudflare::{ACCOUNT_ID, API_TOKEN, ATTEMPTS, Cloudflare, LONGEST_WAIT};
use crate::context::Context;
use crate::failure::Failure;
use crate::network::Network;
use crate::output::Done;
use crate::profile::forget_credentials;
use crate::vault::{Secrets as _, Vault, note};
use crate::{profile, target};

#[derive(Debug, Args)]
pub(crate) struct Deploy {
    /// Show what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
}

/// What has to be done.
struct Plan {
    /// Migrations that the database does not have yet.
    migrations: Vec<String>,
    /// The workers in their order, and whether each is there already.
    workers: Vec<(Worker, bool)>,
    /// Secrets that a worker lacks, and that Hoox makes itself.
    secrets: Vec<&'static str>,
    /// Workers of the account that have Hoox's names and nothing else of it.
    foreign: Vec<&'static str>,
}

pub(crate) async fn run(context: &Context, asked: &Deploy) -> Result<Done, Failure> {
    if context.global.is_local() {
        return Err(Failure::usage("the sandbox deploys itself").hint("run `npm run dev`"));
    }
    let checkout = Checkout::here()?;
    let vault = Vault::open(context)?;
    let plan = Plan::make(&checkout, &vault).await?;
    if asked.dry_run {
        let text = format!("{}Nothing was done: --dry-run.\n", plan.words());
        return Ok(Done::new(text, plan.data()));
    }
    eprint!("{}", plan.words());
    if !plan.foreign.is_empty() {
        let names = plan.foreign.join(", ");
        confirm(
            context.global.yes,
            &format!(
                "The account has workers of these names that have nothing of Hoox: {names}. They will be replaced."
            ),
        )?;
    }
    if !plan.secrets.contains(&OPERATOR_KEY)
        && let Some(place) = context.place_of_operator_key()?
        && place.adopt_pending()?
    {
        eprintln!("The operator key of a deployment that was interrupted is in its place.");
    }
    let mut made: Vec<(&str, Secret)> = Vec::new();
    for name in &plan.secrets {
        made.push((name, random()?));
    }
    let values: Vec<(&str, &Secret)> = made.iter().map(|(name, value)| (*name, value)).collect();
    let api = vault.cloudflare();
    // Nothing is touched before it is known that everything builds.
    script(&checkout, api, BUILD, None).await?;
    let kept = keep(context, &values, true, true)?;
    match (uploads(&checkout, api, &plan, &values).await, kept) {
        (Ok(()), Some(kept)) => kept.done()?,
        (Ok(()), None) => {}
        (Err(failure), Some(kept)) => return Err(kept.failed(failure, false)),
        (Err(failure), None) => return Err(failure),
    }
    if !plan.secrets.is_empty() {
        note(api, &plan.secrets, Some(now())).await;
    }
    let profile = profile::of(&context.global)?;
    let gateway = target::host(&context.global, &profile).ok();
    let mut text = "Deployed.\n".to_owned();
    if let Some(gateway) = &gateway {
        writeln!(text, "The gateway: {gateway}").unwrap_or_default();
    }
    text.push_str(NEXT);
    let mut data = plan.data();
    if let Some(data) = data.as_object_mut() {
        data.insert(
            "gateway".to_owned(),
            json!(gateway.map(|url| url.to_string())),
        );
    }
    Ok(Done::new(text, data))
}

/// What compiles, and calls nobody with the token.
const BUILD: &str = "build";
/// The wait where Cloudflare limits calls and does not say for how long; its limits are counted over five minutes.
const WAIT: Duration = Duration::from_secs(20);

const NEXT: &str = "\
Next: hoox secrets set BYBIT_API_KEY, hoox accounts add, hoox senders add, hoox doctor
";

impl Plan {
    async fn make(checkout: &Checkout, vault: &Vault) -> Result<Self, Failure> {
        let api = vault.cloudflare();
        let missing = |what: &str| {
            Failure::new(
                "NOT_CONFIGURED",
                format!("the wrangler files name no {what} yet"),
            )
            .hint("run `hoox init` first")
        };
        checkout
            .id(Slot::ConfigKv)?
            .ok_or_else(|| missing("KV namespace"))?;
        let database = checkout
            .id(Slot::Database)?
            .ok_or_else(|| missing("D1 database"))?;
        let has = api.migrations(&database).await?;
        let all = checkout.migrations()?.into_iter();
        let bound = vault.bound().await?;
        Ok(Self {
            migrations: all.filter(|name| !has.contains(name)).collect(),
            workers: in_order()
                .into_iter()
                .map(|worker| (worker, is_there(&bound, worker)))
                .collect(),
            secrets: missing_secrets(&bound),
            foreign: foreign(&bound),
        })
    }

    fn words(&self) -> String {
        let mut text = String::new();
        let list = |names: &[String]| {
            if names.is_empty() {
                "none".to_owned()
            } else {
                names.join(", ")
            }
        };
        let secrets: Vec<String> = self.secrets.iter().map(|name| (*name).to_owned()).collect();
        let workers: Vec<String> = self
            .workers
            .iter()
            .map(|(worker, there)| {
                let name = worker.name();
                if *there {
                    name.to_owned()
                } else {
                    format!("{name} (new)")
                }
            })
            .collect();
        for (what, names) in [
            ("migrations", list(&self.migrations)),
            ("new secrets", list(&secrets)),
            ("workers", workers.join(", then ")),
        ] {
            writeln!(text, "{what:<12} {names}").unwrap_or_default();
        }
        text
    }

    fn data(&self) -> Value {
        let workers = self
            .workers
            .iter()
            .map(|(worker, there)| json!({ "name": worker.name(), "new": !there }));
        json!({
            "migrations": self.migrations,
            "secrets": self.secrets,
            "workers": workers.collect::<Vec<_>>(),
        })
    }
}

/// The workers, each after those that it calls: a service binding needs its other end.
fn in_order() -> Vec<Worker> {
    let mut order: Vec<Worker> = Vec::new();
    while order.len() < Worker::ALL.len() {
        let ready = Worker::ALL.into_iter().find(|worker| {
            let calls = Edge::ALL
                .into_iter()
                .filter(|edge| edge.caller() == *worker);
            !order.contains(worker)
                && calls
                    .map(Edge::callee)
                    .all(|callee| order.contains(&callee))
        });
        match ready {
            Some(worker) => order.push(worker),
            // Workers that call each other in a ring: any order is as good.
            None => order.extend(
                Worker::ALL
                    .into_iter()
                    .find(|worker| !order.contains(worker)),
            ),
        }
    }
    order
}

/// Workers that are there without any of the secrets that make them Hoox's.
fn foreign(bound: &Bound) -> Vec<&'static str> {
    let own = |worker: &Worker, names: &BTreeSet<String>| {
        let required = worker.required_secrets();
        required.iter().any(|name| names.contains(*name))
    };
    let there = bound
        .iter()
        .filter(|(worker, names)| names.as_ref().is_some_and(|names| !own(worker, names)));
    there.map(|(worker, _)| worker.name()).collect()
}

fn is_there(bound: &Bound, worker: Worker) -> bool {
    bound
        .iter()
        .any(|(other, names)| *other == worker && names.is_some())
}

/// Secrets of Hoox's own that a worker which needs them lacks.
pub(crate) fn missing_secrets(bound: &Bound) -> Vec<&'static str> {
    let lacks = |name: &str| {
        bound.iter().any(|(worker, names)| {
            workers_with(name).contains(worker)
                && !names.as_ref().is_some_and(|names| names.contains(name))
        })
    };
    generated_secrets()
        .into_iter()
        .filter(|name| lacks(name))
        .collect()
}

/// Of the new secrets those of one worker, as wrangler reads them; `None` where there are none.
fn secrets_of(worker: Worker, made: &[(&str, &Secret)]) -> Option<Secret> {
    let own: Map<String, Value> = made
        .iter()
        .filter(|(name, _)| workers_with(name).contains(&worker))
        .map(|(name, value)| ((*name).to_owned(), json!(value.expose())))
        .collect();
    (!own.is_empty()).then(|| Secret::new(Value::Object(own).to_string()))
}

/// Migrations first, then each worker with its secrets.
async fn uploads(
    checkout: &Checkout,
    api: &Cloudflare,
    plan: &Plan,
    secrets: &[(&str, &Secret)],
) -> Result<(), Failure> {
    if !plan.migrations.is_empty() {
        script(checkout, api, "migrations", None).await?;
    }
    for (worker, _) in &plan.workers {
        let own = secrets_of(*worker, secrets);
        script(checkout, api, worker.name(), own.as_ref()).await?;
    }
    Ok(())
}

/// Has `scripts/upload.mjs` do one thing, again where Cloudflare limits calls: what was uploaded is uploaded once more.
async fn script(
    checkout: &Checkout,
    api: &Cloudflare,
    what: &str,
    secrets: Option<&Secret>,
) -> Result<(), Failure> {
    let begun = Instant::now();
    let mut attempt = 1;
    loop {
        let Some(wait) = attempt_of(checkout, api, what, secrets).await? else {
            break;
        };
        if attempt >= ATTEMPTS || wait > LONGEST_WAIT {
            let seconds = wait.as_secs().max(1);
            let said = format!("Cloudflare limits calls, and asks to wait {seconds} s");
            return Err(failed(what, said));
        }
        eprintln!(
            "hoox: Cloudflare limits calls; {what} goes on in {} s",
            wait.as_secs()
        );
        sleep(wait).await;
        attempt = attempt.saturating_add(1);
    }
    eprintln!("✓ {what} ({:.1} s)", begun.elapsed().as_secs_f32());
    Ok(())
}

fn failed(what: &str, why: impl core::fmt::Display) -> Failure {
    Failure::new("UPLOAD", format!("{what}: {why}"))
        .hint("what was uploaded before it stays; repeat the command to go on")
}

/// One attempt; how long to wait before the next one where Cloudflare limits calls. Secrets go through a pipe, the token
/// through the environment.
async fn attempt_of(
    checkout: &Checkout,
    api: &Cloudflare,
    what: &str,
    secrets: Option<&Secret>,
) -> Result<Option<Duration>, Failure> {
    let mut command = Command::new("node");
    command
        .current_dir(checkout.root())
        .args(["scripts/upload.mjs", what])
        .args(secrets.map(|_| "--secrets"))
        .env_remove(API_TOKEN)
        .stdin(if secrets.is_some() {
            Stdio::piped()
        } else {
            Stdio::null()
        })
        // This program's own is for its answer.
        .stdout(Stdio::piped());
    forget_credentials(&mut command);
    Network::of_environment().hand_over(&mut command, api.base())?;
    if what != BUILD {
        command
            .env(API_TOKEN, api.token().expose())
            .env(ACCOUNT_ID, api.account().await?);
    }
    let mut child = command
        .spawn()
        .map_err(|error| failed(what, format!("node could not be started: {error}")))?;
    if let (Some(mut stdin), Some(secrets)) = (child.stdin.take(), secrets) {
        let written = stdin.write_all(secrets.expose().as_bytes()).await;
        written.map_err(|error| failed(what, error))?;
    }
    let ended = child
        .wait_with_output()
        .await
        .map_err(|error| failed(what, error))?;
    if ended.status.success() {
        return Ok(None);
    }
    limit(&String::from_utf8_lossy(&ended.stdout))
        .map(Some)
        .ok_or_else(|| failed(what, "it failed; the lines above say why"))
}

/// What the script says of a limit: `limited SECONDS`, without a number where Cloudflare gave none.
fn limit(said: &str) -> Option<Duration> {
    let rest = said.lines().find_map(|line| line.strip_prefix("limited"))?;
    Some(rest.trim().parse().map_or(WAIT, Duration::from_secs))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_is_deployed_after_those_that_it_calls() {
        assert_eq!(in_order(), [Worker::D1, Worker::Trade, Worker::Hoox]);
    }

    #[test]
    fn workers_that_only_have_our_names_are_not_taken_for_ours() {
        let names = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect());
        let bound = vec![
            (Worker::Hoox, names(&["WEBHOOK_API_KEY"])),
            (Worker::Trade, names(&["BYBIT_API_KEY", "TRADE_D1_KEY"])),
            (Worker::D1, None),
        ];
        assert_eq!(foreign(&bound), ["hoox"]);
    }

    #[test]
    fn a_limit_is_told_from_a_failure() {
        assert_eq!(limit("limited 2\n"), Some(Duration::from_secs(2)));
        assert_eq!(limit("limited\n"), Some(WAIT));
        assert_eq!(limit(""), None);
        assert_eq!(limit("it is limited 2"), None);
    }

    #[test]
    fn each_worker_gets_its_own_new_secrets_only() {
        let value = Secret::new("v");
        let made = [("OPERATOR_KEY", &value), ("TRADE_D1_KEY", &value)];
        let own = |worker| secrets_of(worker, &made).map(|text| text.expose().to_owned());
        assert_eq!(own(Worker::Hoox).unwrap(), r#"{"OPERATOR_KEY":"v"}"#);
        assert_eq!(own(Worker::D1).unwrap(), r#"{"TRADE_D1_KEY":"v"}"#);
        assert_eq!(secrets_of(Worker::D1, &made[..1]).map(|_| ()), None);
    }
}
