//! Where secrets are kept: the workers of a deployment, or the file of the sandbox.

use std::collections::{BTreeMap, BTreeSet};

use hoox_auth::Manifest;
use hoox_mesh::Worker;
use hoox_mesh::registry::workers_with;
use hoox_model::{Secret, Timestamp};

use crate::audit_box::Bound;
use crate::clock::now;
use crate::cloudflare::Cloudflare;
use crate::context::Context;
use crate::deployment::{Dates, Store};
use crate::edges::rotations;
use crate::failure::Failure;
use crate::local::{self, Local};
use crate::profile;
use crate::status::Status;

/// Secrets, by the workers that need them.
pub(crate) trait Secrets {
    /// What the audit is called.
    const TITLE: &str;
    /// When a change is in force, unless at once.
    const WHEN: &str;

    /// What each worker has.
    async fn bound(&self) -> Result<Bound, Failure>;

    /// When secrets were set, as far as that is known.
    async fn dates(&self) -> Result<Dates, Failure>;

    /// Names of the exchange keys that accounts use.
    async fn exchange_secrets(&self) -> Result<BTreeSet<String>, Failure>;

    /// Gives secrets to the workers that need them, which it names.
    async fn put(&self, secrets: &[(&str, &Secret)]) -> Result<Vec<&'static str>, Failure>;

    /// Takes a secret from workers, and names those that had it.
    async fn delete(&self, name: &str, workers: &[Worker]) -> Result<Vec<&'static str>, Failure>;

    /// The workers that have a secret.
    async fn holders(&self, name: &str) -> Result<Vec<Worker>, Failure> {
        let bound = self.bound().await?;
        let mut holders = Worker::ALL.to_vec();
        holders.retain(|worker| bound.has(*worker, name));
        Ok(holders)
    }
}

/// The secrets of a deployment.
pub(crate) struct Vault {
    api: Cloudflare,
    again: String,
}

impl Vault {
    pub(crate) fn open(context: &Context) -> Result<Self, Failure> {
        Ok(Self {
            api: context.cloudflare()?,
            again: profile::again(&context.global),
        })
    }

    /// What a further command needs to mean the same deployment, as it stands behind it.
    pub(crate) fn again(&self) -> &str {
        &self.again
    }

    /// Where they are kept.
    pub(crate) const fn cloudflare(&self) -> &Cloudflare {
        &self.api
    }
}

impl Secrets for Vault {
    const TITLE: &str = "Cloudflare Edge Secrets Audit";
    const WHEN: &str = "";

    async fn bound(&self) -> Result<Bound, Failure> {
        let mut bound = Bound::default();
        for worker in Worker::ALL {
            let names = self.api.secrets(worker.name()).await?;
            bound.add(worker, names.map(BTreeSet::from_iter));
        }
        Ok(bound)
    }

    async fn dates(&self) -> Result<Dates, Failure> {
        match Store::of(&self.api).await? {
            Some(store) => store.dates().await,
            None => Ok(Dates::new()),
        }
    }

    async fn exchange_secrets(&self) -> Result<BTreeSet<String>, Failure> {
        let manifest = match Store::of(&self.api).await? {
            Some(store) => store.manifest().await?,
            None => None,
        };
        Ok(manifest.as_ref().map(of_accounts).unwrap_or_default())
    }

    async fn put(&self, secrets: &[(&str, &Secret)]) -> Result<Vec<&'static str>, Failure> {
        let needed: Vec<Worker> = Worker::ALL
            .into_iter()
            .filter(|worker| {
                secrets
                    .iter()
                    .any(|(name, _)| workers_with(name).contains(worker))
            })
            .collect();
        for worker in &needed {
            if self.api.secrets(worker.name()).await?.is_none() {
                let message = format!("{} is not deployed", worker.name());
                return Err(Failure::new("NOT_DEPLOYED", message)
                    .hint("run `hoox deploy` first; nothing was changed"));
            }
        }
        let mut put = Vec::new();
        for (name, value) in secrets {
            for worker in workers_with(name) {
                let done = self.api.put_secret(worker.name(), name, value).await;
                done.map_err(|failure| half(failure, &put, name, secrets.len() > 1, &self.again))?;
                put.push((*name, worker));
            }
        }
        let names: Vec<&str> = secrets.iter().map(|(name, _)| *name).collect();
        note(&self.api, &names, Some(now())).await;
        Ok(needed.into_iter().map(Worker::name).collect())
    }

    async fn delete(&self, name: &str, workers: &[Worker]) -> Result<Vec<&'static str>, Failure> {
        let mut had = Vec::new();
        for worker in workers {
            if self.api.delete_secret(worker.name(), name).await? {
                had.push(worker.name());
            }
        }
        note(&self.api, &[name], None).await;
        Ok(had)
    }
}

impl Secrets for Local {
    const TITLE: &str = "Local Secrets Audit";
    const WHEN: &str = " In force at the sandbox's next start.";

    async fn bound(&self) -> Result<Bound, Failure> {
        let text = self.read()?;
        let set: BTreeMap<&str, &str> = local::values(text.expose());
        let of = |worker: Worker| {
            let own = set
                .iter()
                .filter(|(name, value)| !value.is_empty() && workers_with(name).contains(&worker));
            own.map(|(name, _)| (*name).to_owned()).collect()
        };
        let mut bound = Bound::default();
        for worker in Worker::ALL {
            bound.add(worker, Some(of(worker)));
        }
        Ok(bound)
    }

    async fn dates(&self) -> Result<Dates, Failure> {
        Ok(Dates::new())
    }

    /// The demo account's, and those of a running sandbox.
    async fn exchange_secrets(&self) -> Result<BTreeSet<String>, Failure> {
        let demo = ["BYBIT_SIM_API_KEY", "BYBIT_SIM_API_SECRET"].map(str::to_owned);
        Ok(self.wanted.iter().cloned().chain(demo).collect())
    }

    async fn put(&self, secrets: &[(&str, &Secret)]) -> Result<Vec<&'static str>, Failure> {
        let mut text = self.read()?;
        for (name, value) in secrets {
            text = local::with(text.expose(), name, Some(value.expose()));
        }
        self.write(&text)?;
        let needs = |worker: &Worker| {
            secrets
                .iter()
                .any(|(name, _)| workers_with(name).contains(worker))
        };
        let workers = Worker::ALL.into_iter().filter(needs);
        Ok(workers.map(Worker::name).collect())
    }

    async fn delete(&self, name: &str, _: &[Worker]) -> Result<Vec<&'static str>, Failure> {
        let text = self.read()?;
        if !local::values(text.expose()).contains_key(name) {
            return Ok(Vec::new());
        }
        self.write(&local::with(text.expose(), name, None))?;
        Ok(workers_with(name).into_iter().map(Worker::name).collect())
    }
}

/// Notes when secrets were set. They are set whether or not that can be noted.
pub(crate) async fn note(api: &Cloudflare, names: &[&str], at: Option<Timestamp>) {
    let noted = async {
        match Store::of(api).await? {
            Some(store) => store.note(names, at).await,
            None => Ok(()),
        }
    };
    if let Err(failure) = noted.await {
        eprintln!(
            "warning: the date was not noted, so that `hoox secrets check` knows no age: {}",
            failure.message
        );
    }
}

/// Names of the exchange keys of a manifest's accounts.
pub(crate) fn of_accounts(manifest: &Manifest) -> BTreeSet<String> {
    let names = manifest
        .accounts
        .iter()
        .map(hoox_auth::Account::secret_names);
    names.flat_map(|(key, secret)| [key, secret]).collect()
}

/// A failure after a part was done: what was set stays. A key that only one side of its edge has got has to be made anew
/// for both, since neither lacks it.
fn half(failure: Failure, put: &[(&str, Worker)], name: &str, many: bool, again: &str) -> Failure {
    let begun = put.iter().any(|(other, _)| *other == name) || failure.status == Status::Unknown;
    let differs = begun && workers_with(name).len() > 1;
    let mut failure = failure;
    if !put.is_empty() {
        let set = put
            .iter()
            .map(|(name, worker)| format!("{name} in {}", worker.name()));
        failure = failure.hint(format!(
            "set so far: {}",
            set.collect::<Vec<_>>().join(", ")
        ));
    }
    if differs {
        failure = failure.and(rotations(&[name], again));
    }
    if many && (differs || !put.is_empty()) {
        failure = failure.and("repeat the command for what is missing".to_owned());
    }
    failure
}
