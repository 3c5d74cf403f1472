//! Where secrets are kept: the workers of a deployment.

use std::collections::BTreeSet;

use hoox_auth::Manifest;
use hoox_mesh::Worker;
use hoox_mesh::registry::workers_with;
use hoox_model::Secret;

use crate::audit_box::Bound;
use crate::clock::now;
use crate::cloudflare::Cloudflare;
use crate::context::Context;
use crate::deployment::{Dates, Store};
use crate::failure::Failure;

/// The secrets of a deployment.
pub(crate) struct Vault {
    api: Cloudflare,
}

impl Vault {
    pub(crate) fn open(context: &Context) -> Result<Self, Failure> {
        let api = context.cloudflare()?;
        Ok(Self { api })
    }

    /// Where they are kept.
    pub(crate) const fn cloudflare(&self) -> &Cloudflare {
        &self.api
    }

    /// What each worker has.
    pub(crate) async fn bound(&self) -> Result<Bound, Failure> {
        let mut bound = Bound::new();
        for worker in Worker::ALL {
            let names = self.api.secrets(worker.name()).await?;
            bound.push((worker, names.map(BTreeSet::from_iter)));
        }
        Ok(bound)
    }

    /// The workers that have a secret.
    pub(crate) async fn holders(&self, name: &str) -> Result<Vec<Worker>, Failure> {
        let bound = self.bound().await?;
        let has = |names: &Option<BTreeSet<String>>| {
            names.as_ref().is_some_and(|names| names.contains(name))
        };
        let holders = bound.into_iter().filter(|(_, names)| has(names));
        Ok(holders.map(|(worker, _)| worker).collect())
    }

    /// When secrets were set; empty while no gateway is deployed.
    pub(crate) async fn dates(&self) -> Result<Dates, Failure> {
        match Store::of(&self.api).await? {
            Some(store) => store.dates().await,
            None => Ok(Dates::new()),
        }
    }

    /// Names of the exchange keys that the manifest's accounts use.
    pub(crate) async fn exchange_secrets(&self) -> Result<BTreeSet<String>, Failure> {
        let manifest = match Store::of(&self.api).await? {
            Some(store) => store.manifest().await?,
            None => None,
        };
        Ok(manifest.as_ref().map(of_accounts).unwrap_or_default())
    }

    /// Gives secrets to the workers that need them, which it names.
    pub(crate) async fn put(
        &self,
        secrets: &[(&str, &Secret)],
    ) -> Result<Vec<&'static str>, Failure> {
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
                done.map_err(|failure| half(failure, &put))?;
                put.push(format!("{name} in {}", worker.name()));
            }
        }
        let names: Vec<&str> = secrets.iter().map(|(name, _)| *name).collect();
        if let Some(store) = Store::of(&self.api).await? {
            store.note(&names, Some(now())).await?;
        }
        Ok(needed.into_iter().map(Worker::name).collect())
    }

    /// Takes a secret from workers, and names those that had it.
    pub(crate) async fn delete(
        &self,
        name: &str,
        workers: &[Worker],
    ) -> Result<Vec<&'static str>, Failure> {
        let mut had = Vec::new();
        for worker in workers {
            if self.api.delete_secret(worker.name(), name).await? {
                had.push(worker.name());
            }
        }
        if let Some(store) = Store::of(&self.api).await? {
            store.note(&[name], None).await?;
        }
        Ok(had)
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

/// A failure after a part was done: what was set stays, and a repetition sets all of it.
fn half(failure: Failure, put: &[String]) -> Failure {
    if put.is_empty() {
        return failure;
    }
    failure.hint(format!(
        "set so far: {}. Repeat the command to set all of them",
        put.join(", ")
    ))
}
