//! `hoox deploy`: migrations, then each worker after those that it calls, with the secrets that are missing.
//!
//! In scope: what has to be done, in which order, and the secrets. Out of scope: building and uploading, which
//! `scripts/upload.mjs` has wrangler do; of that only success or failure is read.

use core::fmt::Write as _;
use core::time::Duration;
use std::process::Stdio;
use std::time::Instant;

use clap::Args;
use hoox_mesh::registry::{OPERATOR_KEY, generated_secrets, workers_with};
use hoox_mesh::{Edge, Worker};
use hoox_model::Secret;
use reqwest::Url;
use serde_json::{Map, Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use tokio::time::sleep;

use super::confirm;
use super::init::elsewhere;
use super::secrets::{keep, random};
use crate::addresses::Addresses;
use crate::audit_box::Bound;
use crate::bindings::{self, Changes, of_cloudflare};
use crate::checkout::{Checkout, Slot};
use crate::clock::now;
use crate::cloudflare::{ACCOUNT_ID, API_TOKEN, ATTEMPTS, Cloudflare, LONGEST_WAIT};
use crate::context::Context;
use crate::edges::rotations;
use crate::exposure::Exposure;
use crate::failure::Failure;
use crate::keep::Kept;
use crate::lease::Lease;
use crate::network::Network;
use crate::output::{Done, plain};
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
    /// The database's id.
    database: String,
    /// Migrations that the database does not have yet.
    migrations: Vec<String>,
    /// The workers in their order, and whether each is there already.
    workers: Vec<(Worker, bool)>,
    /// Secrets that a worker lacks, and that Hoox makes itself.
    secrets: Vec<&'static str>,
    /// The edges' keys that workers have.
    had: Vec<(Worker, &'static str)>,
    /// What further commands need to mean this deployment.
    again: String,
    /// Workers of the account that have Hoox's names and nothing else of it.
    foreign: Vec<&'static str>,
    /// What could not be found out of the token's permissions.
    unknown: Option<String>,
    /// What changes of the workers' bindings.
    bindings: bindings::Plan,
    /// Addresses before and after.
    exposure: Exposure,
}

pub(crate) async fn run(context: &Context, asked: &Deploy) -> Result<Done, Failure> {
    if context.global.is_local() {
        return Err(Failure::usage("the sandbox deploys itself").hint("run `npm run dev`"));
    }
    let checkout = Checkout::here()?;
    let vault = Vault::open(context)?;
    let plan = Plan::make(&checkout, &vault).await.map_err(untouched)?;
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
    if let Some(question) = plan.exposure.question() {
        confirm(context.global.yes, &question)?;
    }
    let api = vault.cloudflare();
    // Nothing is touched before it is known that everything builds.
    let again = format!("`hoox deploy{}`", context.global.again());
    script(&checkout, api, None, BUILD, None)
        .await
        .map_err(|stop| stop.left(&plan, &Progress::default(), &again))?;
    let lease = Lease::take(api, &plan.database).await.map_err(untouched)?;
    let done = carry_out(context, &checkout, &vault, &plan, &lease).await;
    lease.end().await;
    done
}

/// What failed before the first upload says so.
fn untouched(failure: Failure) -> Failure {
    const NOTHING: &str = "nothing was uploaded";
    let told = |text: &String| text.contains(NOTHING) || text.contains("nothing was changed");
    let known = failure.hint.iter().chain([&failure.message]).any(told);
    if known {
        failure
    } else {
        failure.and(NOTHING.to_owned())
    }
}

/// Does what is planned, while no other deploy does.
async fn carry_out(
    context: &Context,
    checkout: &Checkout,
    vault: &Vault,
    shown: &Plan,
    lease: &Lease<'_>,
) -> Result<Done, Failure> {
    // While it was built another one may have come to its end.
    let plan = Plan::make(checkout, vault).await.map_err(untouched)?;
    if plan.words() != shown.words() {
        eprint!("It has changed since:\n{}", plan.words());
        if plan.exposure.question() != shown.exposure.question()
            && let Some(question) = plan.exposure.question()
        {
            confirm(context.global.yes, &question)?;
        }
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
    let kept = keep(context, &values, true, true)?;
    let api = vault.cloudflare();
    let again = format!("`hoox deploy{}`", context.global.again());
    let mut progress = Progress::default();
    let uploaded = uploads(checkout, api, lease, &plan, &values, &mut progress).await;
    let place = kept.as_ref().map(Kept::found_in);
    match (uploaded, kept) {
        (Ok(()), Some(kept)) => kept.done()?,
        (Ok(()), None) => {}
        (Err(stop), kept) => {
            // The gateway gets the operator key with its upload, and not before.
            let unsent = stop.what != Worker::Hoox.name() || !stop.begun;
            let failure = stop.left(&plan, &progress, &again);
            return Err(match kept {
                Some(kept) => kept.failed(failure, unsent),
                None => failure,
            });
        }
    }
    if !plan.secrets.is_empty() {
        note(api, &plan.secrets, Some(now())).await;
    }
    let Host {
        gateway,
        text: about,
        moved,
    } = Host::follow(context, &plan);
    let mut text = "Deployed.\n".to_owned();
    if let Some(gateway) = &gateway {
        writeln!(text, "The gateway: {gateway}").unwrap_or_default();
    }
    text.push_str(&about);
    if let Some(place) = &place {
        writeln!(
            text,
            "The owner's operator key: {place}. Another machine gets a key of its own: hoox operators add NAME --level LEVEL{}",
            profile::again(&context.global)
        )
        .unwrap_or_default();
    }
    if gateway.is_some() {
        text.push_str(&next(
            place.is_some(),
            moved,
            &profile::again(&context.global),
        ));
    }
    let mut data = plan.data();
    if let Some(data) = data.as_object_mut() {
        data.insert(
            "gateway".to_owned(),
            json!(gateway.map(|url| url.to_string())),
        );
    }
    Ok(Done::new(text, data))
}

/// So many other workers of an account are looked at.
const OTHERS: usize = 50;
/// What compiles, and calls nobody with the token.
const BUILD: &str = "build";
const MIGRATIONS: &str = "migrations";
/// The wait where Cloudflare limits calls and does not say for how long; its limits are counted over five minutes.
const WAIT: Duration = Duration::from_secs(20);

/// The gateway's host after a deployment, and what is to be said of it.
struct Host {
    gateway: Option<Url>,
    text: String,
    /// Whether it has another one than before.
    moved: bool,
}

impl Host {
    /// Where the profile's host is closed, or there is none yet, the profile follows to the one that is open. What keeps
    /// it from following is said: the deployment is good all the same.
    fn follow(context: &Context, plan: &Plan) -> Self {
        let global = &context.global;
        let (exposure, again) = (&plan.exposure, &plan.again);
        let mut profile = profile::of(global).unwrap_or_default();
        let before = profile.host.clone();
        let gone = before.as_ref().is_some_and(|host| exposure.is_closed(host));
        let mut text = String::new();
        let mut moved = false;
        if global.host.is_none() && (gone || before.is_none()) {
            match exposure.hosts.as_slice() {
                [] => writeln!(text, "The gateway has no address. Give it a domain (Workers, Settings, Domains & Routes), then: hoox init{again} --host hoox.example.com"),
                [first, rest @ ..] => {
                    profile.host = Some(first.clone());
                    moved = gone;
                    let closed = before.filter(|_| gone);
                    let closed = closed.map_or_else(String::new, |host| format!("{host} is closed. "));
                    let others = if rest.is_empty() {
                        String::new()
                    } else {
                        format!("; it answers at {} as well: hoox init{again} --host HOST means another one", rest.join(", "))
                    };
                    // One that cannot be read is not written over.
                    match profile::of(global).and_then(|_| profile::save(global, &profile)) {
                        Ok(_) => writeln!(text, "{closed}The profile means {first} now, with the same operator key{others}."),
                        Err(failure) => writeln!(
                            text,
                            "{closed}The profile does not mean {first} yet ({}). See to that, then: hoox init{again} --host {first}{others}",
                            failure.message
                        ),
                    }
                }
            }
            .unwrap_or_default();
        }
        let gateway = if gone && exposure.hosts.is_empty() {
            None
        } else {
            target::host(global, &profile).ok()
        };
        Self {
            gateway,
            text,
            moved,
        }
    }
}

/// What comes after the first deployment, as README.md has it.
const NEXT: [&str; 6] = [
    "hoox accounts add main --environment testnet --location-hint apac --default",
    "hoox secrets set BYBIT_TESTNET_API_KEY",
    "hoox secrets set BYBIT_TESTNET_API_SECRET",
    "hoox accounts test main",
    "hoox senders add tradingview --account main",
    "hoox doctor",
];

/// What comes after a deployment: after the first one the way to an order on a testnet.
fn next(first: bool, moved: bool, again: &str) -> String {
    if moved {
        return format!(
            "Next: hoox waf configure --tradingview-only{again}, hoox doctor{again}; and put the new address into your alerts\n"
        );
    }
    if !first {
        return format!("Next: hoox doctor{again}\n");
    }
    let lines = NEXT.map(|command| format!("  {command}{again}\n"));
    format!("Next, as README.md has it:\n{}", lines.concat())
}

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
        let namespace = checkout
            .id(Slot::ConfigKv)?
            .ok_or_else(|| missing("KV namespace"))?;
        let database = checkout
            .id(Slot::Database)?
            .ok_or_else(|| missing("D1 database"))?;
        checkout.has_the_names()?;
        let lacking = api.permissions().await?;
        is_there(api, &namespace, &database).await?;
        let has = api.migrations(&database).await?;
        let all = checkout.migrations()?;
        is_no_older(&has, &all)?;
        let bound = vault.bound().await?;
        is_not_renamed(api, &bound, &[&namespace, &database]).await?;
        let exposure = exposure(checkout, api, &bound).await?;
        let bindings = changes(checkout, api).await?;
        Ok(Self {
            bindings,
            migrations: all.into_iter().filter(|name| !has.contains(name)).collect(),
            workers: in_order()
                .into_iter()
                .map(|worker| (worker, !bound.is_absent(worker)))
                .collect(),
            secrets: missing_secrets(&bound),
            had: edge_keys(&bound),
            again: vault.again().to_owned(),
            foreign: foreign(&bound),
            exposure,
            database,
            unknown: lacking.unknown_words(),
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
        // One worker a line, below each other.
        let bindings = match bindings::words(&self.bindings) {
            none if none.is_empty() => "none".to_owned(),
            lines => lines.join("\n             "),
        };
        for (what, names) in [
            ("migrations", list(&self.migrations)),
            ("new secrets", list(&secrets)),
            ("workers", workers.join(", then ")),
            ("bindings", bindings),
            ("addresses", self.exposure.words()),
        ] {
            writeln!(text, "{what:<12} {names}").unwrap_or_default();
        }
        if let Some(unknown) = &self.unknown {
            writeln!(text, "{:<12} {unknown}", "API token").unwrap_or_default();
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
            "bindings": bindings::data(&self.bindings),
            "addresses": self.exposure.data(),
        })
    }
}

/// Whether the account has what the wrangler files name.
async fn is_there(api: &Cloudflare, namespace: &str, database: &str) -> Result<(), Failure> {
    let namespaces = api.namespaces().await?;
    if !namespaces.iter().any(|known| known.id == namespace) {
        return Err(elsewhere("KV namespace", namespace));
    }
    let databases = api.databases().await?;
    if !databases.iter().any(|known| known.uuid == database) {
        return Err(elsewhere("D1 database", database));
    }
    Ok(())
}

/// Where a worker of ours is missing and another one has its namespace or database, that one is it under another name: a
/// new one beside it would begin with an empty Ledger, and both would trade.
async fn is_not_renamed(api: &Cloudflare, bound: &Bound, ids: &[&str]) -> Result<(), Failure> {
    let missing: Vec<&str> = bound.absent().into_iter().map(Worker::name).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let others = api.scripts().await?.into_iter();
    let others = others.filter(|name| Worker::ALL.iter().all(|worker| worker.name() != name));
    for other in others.take(OTHERS) {
        let bindings = api.bindings(&other).await?.unwrap_or_default();
        if bindings
            .iter()
            .any(|binding| ids.iter().any(|id| binding.is_to(id)))
        {
            let message = format!(
                "the account has no {}, and its worker '{}' has the namespace or database of this checkout: was it renamed?",
                missing.join(" and no "),
                plain(&other)
            );
            return Err(Failure::new("RENAMED", message).hint("give it its name back (Workers, Settings), so that its Ledgers stay what they are; or delete it, if nothing is open on it; nothing was uploaded"));
        }
    }
    Ok(())
}

/// A database with migrations that this checkout does not know belongs to a newer Hoox.
fn is_no_older(has: &[String], all: &[String]) -> Result<(), Failure> {
    let newer: Vec<&str> = has
        .iter()
        .filter(|name| !all.contains(name))
        .map(String::as_str)
        .collect();
    if newer.is_empty() {
        return Ok(());
    }
    let message = format!(
        "this checkout is older than the database, which has migrations that are not in it: {}",
        newer.join(", ")
    );
    Err(Failure::new("OLDER", message)
        .hint("take the newer one (`git pull`); nothing was uploaded"))
}

/// What changes of the workers' bindings. What Cloudflare does not tell is said, and keeps nobody from deploying.
async fn changes(checkout: &Checkout, api: &Cloudflare) -> Result<bindings::Plan, Failure> {
    let mut plan = Vec::new();
    for worker in in_order() {
        let file = checkout.data(worker)?;
        let changes = api.bindings(worker.name()).await.map(|found| {
            let found = found.unwrap_or_default();
            let has: Vec<_> = found
                .iter()
                .filter_map(|binding| of_cloudflare(&binding.name, &binding.fields, worker))
                .collect();
            Changes::of(&file, &has, worker)
        });
        plan.push((worker, changes.map_err(|failure| failure.message)));
    }
    Ok(plan)
}

/// The addresses of all workers, before and after.
async fn exposure(
    checkout: &Checkout,
    api: &Cloudflare,
    bound: &Bound,
) -> Result<Exposure, Failure> {
    let label = api.workers_dev_label().await?;
    let mut found = Addresses::of(api, &Worker::ALL).await?;
    let mut exposure = Exposure::new(core::mem::take(&mut found.unseen));
    for worker in Worker::ALL {
        let said = checkout.addresses(worker)?;
        if worker.is_public() && said.workers_dev && label.is_none() {
            return Err(no_subdomain(api.account().await?));
        }
        let host = label
            .as_ref()
            .map(|label| format!("{}.{label}.workers.dev", worker.name()));
        let has = found.take(worker);
        let deployed = !bound.is_absent(worker);
        exposure.add(worker, &said, &has, deployed, host.as_deref());
    }
    Ok(exposure)
}

fn no_subdomain(account: &str) -> Failure {
    Failure::new(
        "NO_SUBDOMAIN",
        "the account has no workers.dev subdomain, so the gateway would have no address",
    )
    .hint(format!(
        "choose one at https://dash.cloudflare.com/{account}/workers/onboarding and repeat the command; nothing was uploaded"
    ))
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
    let foreign = |worker: &Worker| {
        let own = worker.required_secrets();
        !bound.is_absent(*worker) && !own.into_iter().any(|name| bound.has(*worker, name))
    };
    let found = Worker::ALL.into_iter().filter(foreign);
    found.map(Worker::name).collect()
}

/// Secrets of Hoox's own that a worker which needs them lacks.
pub(crate) fn missing_secrets(bound: &Bound) -> Vec<&'static str> {
    let lacks = |name: &str| {
        let needs = workers_with(name);
        needs.into_iter().any(|worker| !bound.has(worker, name))
    };
    generated_secrets()
        .into_iter()
        .filter(|name| lacks(name))
        .collect()
}

/// Which workers have which keys of their edges.
fn edge_keys(bound: &Bound) -> Vec<(Worker, &'static str)> {
    let sides = Edge::ALL
        .into_iter()
        .flat_map(|edge| [edge.caller(), edge.callee()].map(|worker| (worker, edge.secret())));
    sides
        .filter(|(worker, name)| bound.has(*worker, name))
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

/// What a deployment has done so far.
#[derive(Default)]
struct Progress {
    /// The workers that are up.
    up: Vec<&'static str>,
}

/// Where and why a deployment stopped.
struct Stop {
    what: &'static str,
    /// Whether that part was begun.
    begun: bool,
    code: String,
    why: String,
    /// What to do first.
    first: Option<String>,
}

impl Stop {
    fn new(what: &'static str, why: impl core::fmt::Display) -> Self {
        Self {
            what,
            begun: true,
            code: "UPLOAD".to_owned(),
            why: why.to_string(),
            first: None,
        }
    }

    /// One that came before a part was begun.
    fn before(what: &'static str, failure: Failure) -> Self {
        Self {
            what,
            begun: false,
            code: failure.code,
            why: failure.message,
            first: failure.hint,
        }
    }

    /// The failure, with what is up, what is not, and the next command.
    fn left(self, plan: &Plan, progress: &Progress, again: &str) -> Failure {
        let verb = if self.begun { "" } else { " was not begun" };
        let failure = Failure::new(&self.code, format!("{}{verb}: {}", self.what, self.why));
        let left = match self.what {
            MIGRATIONS if self.begun => format!(
                "no worker was uploaded; of the migrations the database may have some: {}",
                plan.migrations.join(", ")
            ),
            BUILD | MIGRATIONS => "nothing was uploaded".to_owned(),
            what => workers_left(plan, progress, what, self.begun),
        };
        let first = self
            .first
            .unwrap_or_else(|| "mend what the lines above name".to_owned());
        let mut next = format!("{first}, then {again}");
        let differing = differing(plan, progress, self.what, self.begun);
        if !differing.is_empty() {
            write!(next, ", then {}", rotations(&differing, &plan.again)).unwrap_or_default();
        }
        failure.hint(left).and(next)
    }
}

/// Keys of edges that one side may have got anew while the other one still has its own. Where the other one has none the
/// next deploy makes one for both.
fn differing(plan: &Plan, progress: &Progress, what: &str, begun: bool) -> Vec<&'static str> {
    let up = |worker: Worker| progress.up.contains(&worker.name());
    let may_be_new = |worker: Worker| up(worker) || (begun && worker.name() == what);
    let may_be_old = |worker: Worker, name| plan.had.contains(&(worker, name)) && !up(worker);
    let differs = |edge: &Edge| {
        let (one, other, name) = (edge.caller(), edge.callee(), edge.secret());
        plan.secrets.contains(&name)
            && [(one, other), (other, one)]
                .into_iter()
                .any(|(new, old)| may_be_new(new) && may_be_old(old, name))
    };
    let edges = Edge::ALL.into_iter().filter(differs);
    edges.map(Edge::secret).collect()
}

/// What became of each worker when one of them failed.
fn workers_left(plan: &Plan, progress: &Progress, what: &str, begun: bool) -> String {
    let mut parts = Vec::new();
    if !progress.up.is_empty() {
        parts.push(format!("uploaded: {}", progress.up.join(", ")));
    }
    if begun {
        parts.push(format!("perhaps uploaded: {what}"));
    }
    let rest = |there: bool| {
        let names = plan.workers.iter().filter_map(|(worker, deployed)| {
            let name = worker.name();
            let open = !progress.up.contains(&name) && (!begun || name != what);
            (open && *deployed == there).then_some(name)
        });
        names.collect::<Vec<_>>().join(", ")
    };
    for (words, names) in [("as before", rest(true)), ("not there yet", rest(false))] {
        if !names.is_empty() {
            parts.push(format!("{words}: {names}"));
        }
    }
    parts.join("; ")
}

/// Migrations first, then each worker with its secrets.
async fn uploads(
    checkout: &Checkout,
    api: &Cloudflare,
    lease: &Lease<'_>,
    plan: &Plan,
    secrets: &[(&str, &Secret)],
    progress: &mut Progress,
) -> Result<(), Stop> {
    if !plan.migrations.is_empty() {
        script(checkout, api, Some(lease), MIGRATIONS, None).await?;
    }
    for (worker, _) in &plan.workers {
        let own = secrets_of(*worker, secrets);
        script(checkout, api, Some(lease), worker.name(), own.as_ref()).await?;
        progress.up.push(worker.name());
    }
    Ok(())
}

/// Has `scripts/upload.mjs` do one thing, again where Cloudflare limits calls: what was uploaded is uploaded once more.
/// What changes something at Cloudflare does so under a lease that is renewed before each attempt.
async fn script(
    checkout: &Checkout,
    api: &Cloudflare,
    lease: Option<&Lease<'_>>,
    what: &'static str,
    secrets: Option<&Secret>,
) -> Result<(), Stop> {
    let begun = Instant::now();
    let mut attempt = 1;
    loop {
        if let Some(lease) = lease {
            let renewed = lease.renew().await;
            renewed.map_err(|failure| Stop {
                // An attempt before this one may have done a part.
                begun: attempt > 1,
                ..Stop::before(what, failure)
            })?;
        }
        let Some(wait) = attempt_of(checkout, api, what, secrets).await? else {
            break;
        };
        if attempt >= ATTEMPTS || wait > LONGEST_WAIT {
            let seconds = wait.as_secs().max(1);
            let mut stop = Stop::new(what, "Cloudflare limits calls");
            stop.first = Some(format!("wait {seconds} s"));
            return Err(stop);
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

/// One attempt; how long to wait before the next one where Cloudflare limits calls. Secrets go through a pipe, the token
/// through the environment.
async fn attempt_of(
    checkout: &Checkout,
    api: &Cloudflare,
    what: &'static str,
    secrets: Option<&Secret>,
) -> Result<Option<Duration>, Stop> {
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
    let stopped = |failure: Failure| Stop::new(what, failure.message);
    Network::of_environment()
        .hand_over(&mut command, api.base())
        .map_err(stopped)?;
    if what != BUILD {
        command
            .env(API_TOKEN, api.token().expose())
            .env(ACCOUNT_ID, api.account().await.map_err(stopped)?);
    }
    let mut child = command.spawn().map_err(|error| {
        let mut stop = Stop::new(what, format!("node could not be started: {error}"));
        stop.first = Some("install Node 20 or newer (https://nodejs.org)".to_owned());
        stop
    })?;
    let mut written = Ok(());
    if let (Some(mut stdin), Some(secrets)) = (child.stdin.take(), secrets) {
        written = stdin.write_all(secrets.expose().as_bytes()).await;
    }
    let ended = child
        .wait_with_output()
        .await
        .map_err(|error| Stop::new(what, error))?;
    if ended.status.success() {
        // A script that failed before it read its secrets says why itself.
        return written
            .map(|()| None)
            .map_err(|error| Stop::new(what, error));
    }
    limit(&String::from_utf8_lossy(&ended.stdout))
        .map(Some)
        .ok_or_else(|| Stop::new(what, "it failed; the lines above say why"))
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
        let mut bound = Bound::default();
        for (worker, names) in [
            (Worker::Hoox, names(&["WEBHOOK_API_KEY"])),
            (Worker::Trade, names(&["BYBIT_API_KEY", "TRADE_D1_KEY"])),
            (Worker::D1, None),
        ] {
            bound.add(worker, names);
        }
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
