//! `hoox init`: what an account needs before the first deployment, and the profile that names it.

use core::fmt::Write as _;

use hoox_mesh::Worker;
use serde_json::json;

use super::confirm;
use crate::addresses::Addresses;
use crate::checkout::{Checkout, Slot};
use crate::cloudflare::{Cloudflare, Lacking};
use crate::context::Context;
use crate::failure::Failure;
use crate::keyring::Keyring;
use crate::output::Done;
use crate::profile::{self, Kept, Profile};
use crate::target;

/// Names of what is made in the account.
const NAME: &str = "hoox";

/// What is there and what is to be made.
struct Plan {
    namespace: Want,
    database: Want,
    profile: Profile,
    lacking: Lacking,
    /// Whether the host that was asked for does not lead to the gateway yet.
    stray: bool,
}

/// A thing in the account: known by the wrangler files, found by its name, or to be made.
enum Want {
    Configured(String),
    Found(String),
    Make,
}

impl Want {
    fn of(configured: Option<String>, found: Option<String>) -> Self {
        configured
            .map(Self::Configured)
            .or_else(|| found.map(Self::Found))
            .unwrap_or(Self::Make)
    }

    fn words(&self) -> String {
        match self {
            Self::Configured(id) => format!("{id}, as the wrangler files say"),
            Self::Found(id) => format!("{id}, found by its name"),
            Self::Make => "will be made".to_owned(),
        }
    }
}

pub(crate) async fn run(context: &Context) -> Result<Done, Failure> {
    if context.global.is_local() {
        return Err(Failure::usage("the sandbox needs no preparation").hint("run `npm run dev`"));
    }
    let checkout = Checkout::here()?;
    // The profile need not be there yet: this is what makes it.
    let known = profile::find(&context.global)?.unwrap_or_default();
    let api = Cloudflare::new(&context.global, known)?;
    let plan = plan(context, &checkout, &api).await?;
    eprint!("{}", words(&plan));
    confirm(context.global.yes, "This will be set up.")?;
    let namespace = match plan.namespace {
        Want::Configured(id) | Want::Found(id) => id,
        Want::Make => api.make_namespace(NAME).await.map_err(again)?.id,
    };
    checkout.set_id(Slot::ConfigKv, &namespace)?;
    let database = match plan.database {
        Want::Configured(id) | Want::Found(id) => id,
        Want::Make => api.make_database(NAME).await.map_err(again)?.uuid,
    };
    checkout.set_id(Slot::Database, &database)?;
    let file = profile::save(&context.global, &plan.profile)?;
    let text = format!(
        "Ready: the ids stand in the wrangler files, the profile in {}.\nNext: hoox deploy{}",
        file.display(),
        profile::again(&context.global)
    );
    let data = json!({ "configKv": namespace, "database": database, "host": plan.profile.host, "profile": file });
    Ok(Done::new(text, data))
}

/// Where it stopped half way: what is there is found by its name the next time.
fn again(failure: Failure) -> Failure {
    failure.and("`hoox init` again finds what was made".to_owned())
}

async fn plan(context: &Context, checkout: &Checkout, api: &Cloudflare) -> Result<Plan, Failure> {
    checkout.has_the_names()?;
    is_alone(context, api.account().await?)?;
    let lacking = api.permissions().await?;
    let configured = checkout.id(Slot::ConfigKv)?;
    let namespaces = api.namespaces().await?;
    let known = |id: &str| namespaces.iter().any(|namespace| namespace.id == id);
    if let Some(id) = configured.as_ref().filter(|id| !known(id)) {
        return Err(elsewhere("KV namespace", id));
    }
    let found = namespaces
        .into_iter()
        .find(|namespace| namespace.title == NAME);
    let namespace = Want::of(configured, found.map(|namespace| namespace.id));
    let configured = checkout.id(Slot::Database)?;
    let databases = api.databases().await?;
    let known = |id: &str| databases.iter().any(|database| database.uuid == id);
    if let Some(id) = configured.as_ref().filter(|id| !known(id)) {
        return Err(elsewhere("D1 database", id));
    }
    let found = databases.into_iter().find(|database| database.name == NAME);
    let database = Want::of(configured, found.map(|database| database.uuid));
    let mut profile = profile::find(&context.global)?.unwrap_or_default();
    if let Some(host) = &context.global.host {
        profile.host = Some(host.clone());
    }
    let mut found = Addresses::of(api, &[Worker::Hoox]).await?;
    let addresses = found.take(Worker::Hoox);
    if profile.host.is_none() {
        profile.host = host(checkout, api, &addresses).await?;
    }
    let asked = context
        .global
        .host
        .as_deref()
        .map(target::name)
        .transpose()?;
    let stray = asked.is_some_and(|host| {
        !host.ends_with(".workers.dev") && !addresses.serves(&host) && found.unseen.is_empty()
    });
    profile.account_id = Some(api.account().await?.to_owned());
    if profile.operator_key_file.is_none() && Keyring::of_this_machine()?.is_none() {
        profile.operator_key_file = Kept::OperatorKey.file(&context.global);
    }
    Ok(Plan {
        namespace,
        database,
        profile,
        lacking,
        stray,
    })
}

/// The gateway's host: of its own where it has one and workers.dev is or will be closed, else at workers.dev.
async fn host(
    checkout: &Checkout,
    api: &Cloudflare,
    addresses: &Addresses,
) -> Result<Option<String>, Failure> {
    let said = checkout.addresses(Worker::Hoox)?;
    let own = addresses.hosts().first().map(|host| (*host).to_owned());
    let own = own.or_else(|| said.domains.first().cloned());
    if own.is_some() && !(addresses.workers_dev && said.workers_dev) {
        return Ok(own);
    }
    if !said.workers_dev && !addresses.workers_dev {
        return Ok(None);
    }
    let label = api.workers_dev_label().await?;
    Ok(label.map(|label| format!("{}.{label}.workers.dev", Worker::Hoox.name())))
}

/// An account has one Hoox: a second profile there would be deployed in place of the first.
fn is_alone(context: &Context, account: &str) -> Result<(), Failure> {
    let known = profile::find(&context.global)?.and_then(|profile| profile.account_id);
    if known.as_deref() == Some(account) {
        return Ok(());
    }
    let Some(other) = profile::another_of(&context.global, account)? else {
        return Ok(());
    };
    let names = Worker::ALL.map(Worker::name).join(", ");
    let message = format!(
        "the profile '{other}' is the deployment in the account {account}, and an account has one: its workers have fixed names ({names})"
    );
    Err(Failure::new("ONE_DEPLOYMENT", message).hint(format!(
        "take another account for a second one (CLOUDFLARE_ACCOUNT_ID and a token of it, and a checkout of its own); for this one give `--profile {other}`; nothing was changed"
    )))
}

/// What the wrangler files name and the account has not. Nothing was uploaded.
pub(super) fn elsewhere(what: &str, id: &str) -> Failure {
    let message = format!("the wrangler files name the {what} {id}, which is not in this account");
    Failure::new("NOT_CONFIGURED", message).hint(
        "another account is meant: check CLOUDFLARE_ACCOUNT_ID; or it was deleted: put zeros back in place of the id, then `hoox init`",
    )
}

fn words(plan: &Plan) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        writeln!(text, "{name:<14} {value}").unwrap_or_default();
    };
    let account = plan.profile.account_id.as_deref().unwrap_or_default();
    let none = || {
        format!(
            "none yet: before `hoox deploy` choose a workers.dev subdomain at https://dash.cloudflare.com/{account}/workers/onboarding; or with a domain of your own and workers_dev = false: `hoox init --host hoox.example.com`"
        )
    };
    line("account", account);
    line("API token", &plan.lacking.words());
    line("KV namespace", &plan.namespace.words());
    line("D1 database", &plan.database.words());
    let mut gateway = plan.profile.host.clone().unwrap_or_else(none);
    if plan.stray {
        gateway.push_str(
            ", which does not lead to the gateway yet: Workers, Settings, Domains & Routes",
        );
    }
    line("gateway", &gateway);
    let key = plan.profile.operator_key_file.as_ref();
    line(
        "operator key",
        &key.map_or_else(
            || "the system's keyring".to_owned(),
            |file| file.display().to_string(),
        ),
    );
    text
}
