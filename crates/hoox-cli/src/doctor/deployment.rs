//! The deployment, as Cloudflare's REST API tells.

use hoox_mesh::Worker;

use super::{Check, Group, gateway};
use crate::addresses::{Addresses, Found};
use crate::audit_box::{Bound, Finding, OLD};
use crate::cloudflare::Cloudflare;
use crate::commands::secrets::findings;
use crate::commands::waf::{Plan, Way};
use crate::context::Context;
use crate::deployment::Store;
use crate::failure::Failure;
use crate::vault::{Secrets as _, Vault};

const GROUP: Group = Group("Deployment");
const WORKERS: &str = "workers";
const BOUND: &str = "secrets";
const AGES: &str = "ages of secrets";
const PRIVATE: &str = "private workers";
const FIREWALL: &str = "firewall";

/// What the checks of the deployment came to.
pub(crate) struct Looked {
    pub(crate) checks: Vec<Check>,
    pub(crate) deployed: Vec<Worker>,
}

/// What is skipped where Cloudflare cannot be asked.
pub(crate) fn skipped(why: &str) -> Looked {
    Looked {
        checks: [WORKERS, BOUND, AGES, PRIVATE, FIREWALL]
            .map(|name| GROUP.skip(name, why))
            .into(),
        deployed: Vec::new(),
    }
}

/// A token that is named and cannot be had: that is said, and the rest skipped.
pub(crate) fn unasked(failure: &Failure) -> Looked {
    let mut looked = skipped("Cloudflare cannot be asked");
    looked.checks.insert(0, GROUP.failed("Cloudflare", failure));
    looked
}

/// Looks at a deployment. `cors` where no gateway can be asked for its manifest.
pub(crate) async fn checks(context: &Context, vault: &Vault, cors: bool) -> Looked {
    let api = vault.cloudflare();
    let bound = vault.bound().await;
    let there = |worker: &Worker| bound.as_ref().is_ok_and(|bound| !bound.is_absent(*worker));
    let deployed: Vec<Worker> = Worker::ALL.into_iter().filter(there).collect();
    let mut checks = vec![workers(&bound)];
    if bound.is_ok() && deployed.is_empty() {
        let rest = skipped("nothing is deployed").checks.into_iter().skip(1);
        checks.extend(rest);
        return Looked { checks, deployed };
    }
    let (audit, private, firewall, cors) = tokio::join!(
        audit(vault),
        private(api),
        firewall(context),
        cors_of(api, cors),
    );
    checks.extend(audit);
    checks.extend([private, firewall]);
    checks.extend(cors);
    Looked { checks, deployed }
}

fn workers(bound: &Result<Bound, Failure>) -> Check {
    let bound = match bound {
        Ok(bound) => bound,
        Err(failure) => return GROUP.failed(WORKERS, failure),
    };
    let missing: Vec<&str> = bound.absent().into_iter().map(Worker::name).collect();
    if missing.is_empty() {
        return GROUP.pass(WORKERS, "all are deployed");
    }
    if missing.len() == Worker::ALL.len() {
        return GROUP.warn(WORKERS, "not deployed yet", "hoox deploy");
    }
    GROUP.fail(
        WORKERS,
        format!("not deployed: {}", missing.join(", ")),
        "hoox deploy",
    )
}

/// What `hoox secrets check` finds.
async fn audit(vault: &Vault) -> [Check; 2] {
    match findings(vault).await {
        Ok(findings) => [complete(&findings), ages(&findings)],
        Err(failure) => [BOUND, AGES].map(|name| GROUP.failed(name, &failure)),
    }
}

fn complete(findings: &[Finding]) -> Check {
    let names = |fits: fn(&&Finding) -> bool| -> Vec<&str> {
        findings
            .iter()
            .filter(fits)
            .map(|finding| finding.name.as_str())
            .collect()
    };
    let missing = names(|finding| !finding.is_complete());
    if !missing.is_empty() {
        return GROUP.fail(BOUND, format!("missing: {}", missing.join(", ")), "hoox secrets check shows where; `hoox secrets generate` and `hoox secrets set` mend it");
    }
    let needless = names(|finding| finding.is_needless());
    if !needless.is_empty() {
        return GROUP.warn(
            BOUND,
            format!(
                "workers have what they do not need: {}",
                needless.join(", ")
            ),
            "hoox secrets check shows where; take it from them",
        );
    }
    GROUP.pass(
        BOUND,
        "every required secret is bound, to the workers that need it and no other",
    )
}

fn ages(findings: &[Finding]) -> Check {
    let bound: Vec<&Finding> = findings
        .iter()
        .filter(|finding| !finding.bound.is_empty())
        .collect();
    let old: Vec<&str> = bound
        .iter()
        .filter(|finding| finding.is_old())
        .map(|finding| finding.name.as_str())
        .collect();
    if !old.is_empty() {
        return GROUP.warn(
            AGES,
            format!("older than {OLD} days: {}", old.join(", ")),
            "hoox secrets rotate NAME",
        );
    }
    let unknown = bound
        .iter()
        .filter(|finding| finding.age_days.is_none())
        .count();
    let note = if unknown > 0 {
        format!("; {unknown} of unknown age, set by other means than hoox")
    } else {
        String::new()
    };
    GROUP.pass(
        AGES,
        format!("none known to be older than {OLD} days{note}"),
    )
}

/// Whether a worker that should have no address has one.
async fn private(api: &Cloudflare) -> Check {
    match addresses(api).await {
        Ok((found, _)) if !found.is_empty() => GROUP.fail(
            PRIVATE,
            found.join("; "),
            "take the address away: Workers, Settings, Domains & Routes; or deploy the worker with this checkout's wrangler file",
        ),
        Ok((_, unseen)) if unseen.is_empty() => GROUP.pass(PRIVATE, "no address of workers.dev, no domain, no route"),
        Ok((_, unseen)) => GROUP.pass(PRIVATE, format!("no address found; the token does not show {}", unseen.join(" and "))),
        Err(failure) => GROUP.failed(PRIVATE, &failure),
    }
}

/// Addresses of private workers, and what the token does not show.
async fn addresses(api: &Cloudflare) -> Result<(Vec<String>, Vec<&'static str>), Failure> {
    let private: Vec<Worker> = Worker::ALL
        .into_iter()
        .filter(|worker| !worker.is_public())
        .collect();
    let Found { of, unseen } = Addresses::of(api, &private).await?;
    let mut found = Vec::new();
    for (worker, addresses) in of {
        let name = worker.name();
        if addresses.workers_dev {
            found.push(format!("{name} answers at workers.dev"));
        }
        if addresses.previews {
            found.push(format!("{name} has preview addresses"));
        }
        let places = addresses.domains.iter().chain(&addresses.routes);
        found.extend(places.map(|place| format!("{name} answers at {place}")));
    }
    Ok((found, unseen))
}

/// What `hoox waf status` finds.
async fn firewall(context: &Context) -> Check {
    let plan = match Plan::make(context).await {
        Ok(plan) => plan,
        Err(failure) if failure.code == "USAGE" => {
            return GROUP.skip(FIREWALL, format!("{}: give --host", failure.message));
        }
        Err(failure) if failure.code == "NO_FIREWALL" => {
            let fix = failure.hint.unwrap_or_default();
            return GROUP.warn(FIREWALL, failure.message, fix);
        }
        Err(failure) => return GROUP.failed(FIREWALL, &failure),
    };
    let put = "hoox waf configure --tradingview-only";
    let host = plan.host();
    let state = plan.state();
    let ways = plan.ways();
    if !plan.is_in_place() {
        let detail = format!("the rule for {host} is {state}");
        // Who has put a rule relies on it.
        return if plan.present().is_some() {
            GROUP.fail(FIREWALL, detail, put)
        } else {
            GROUP.warn(FIREWALL, detail, put)
        };
    }
    if ways.is_empty() {
        let note = plan.unseen_words();
        return GROUP.pass(FIREWALL, format!("the rule for {host} is {state}{note}"));
    }
    let join =
        |text: fn(&Way) -> &str, with: &str| ways.iter().map(text).collect::<Vec<_>>().join(with);
    GROUP.fail(
        FIREWALL,
        format!("the rule is in place, and {}", join(|way| &way.what, "; ")),
        join(|way| &way.fix, "; "),
    )
}

async fn cors_of(api: &Cloudflare, wanted: bool) -> Option<Check> {
    if !wanted {
        return None;
    }
    let found = async {
        match Store::of(api).await? {
            Some(store) => store.manifest().await,
            None => Ok(None),
        }
    };
    Some(match found.await {
        Ok(manifest) => gateway::cors(
            GROUP,
            &manifest.map(|found| found.cors_origins).unwrap_or_default(),
        ),
        Err(failure) => GROUP.failed("CORS", &failure),
    })
}
