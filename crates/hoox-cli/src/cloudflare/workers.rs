//! Worker scripts: their secrets, bindings and addresses.

use hoox_model::Secret;
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Cloudflare, Scope};
use crate::failure::Failure;

/// A binding of a worker. Of a secret only the name comes.
#[derive(Debug, Deserialize)]
pub(crate) struct Binding {
    pub(crate) name: String,
    /// What it leads to, by its kind.
    #[serde(flatten)]
    pub(crate) fields: Map<String, Value>,
}

impl Binding {
    /// Of a KV namespace.
    pub(crate) fn namespace_id(&self) -> Option<&str> {
        self.fields.get("namespace_id").and_then(Value::as_str)
    }

    /// Whether it leads to this namespace or database. A database has two names for its id.
    pub(crate) fn is_to(&self, id: &str) -> bool {
        ["namespace_id", "id", "database_id"]
            .into_iter()
            .any(|field| self.fields.get(field).is_some_and(|own| own == id))
    }
}

#[derive(Deserialize)]
struct Settings {
    #[serde(default)]
    bindings: Vec<Binding>,
}

#[derive(Deserialize)]
struct Script {
    id: String,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

/// Addresses of a worker under the account's name at workers.dev.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Subdomain {
    #[serde(default)]
    pub(crate) enabled: bool,
    /// Of each version and of aliases.
    #[serde(default)]
    pub(crate) previews_enabled: bool,
}

#[derive(Deserialize)]
struct Label {
    subdomain: Option<String>,
}

#[derive(Deserialize)]
struct Domain {
    hostname: String,
}

/// A pattern of addresses in a zone, and the worker that answers there.
#[derive(Debug, Deserialize)]
pub(crate) struct Route {
    pub(crate) pattern: String,
    pub(crate) script: Option<String>,
}

impl Cloudflare {
    /// Names of the account's workers.
    pub(crate) async fn scripts(&self) -> Result<Vec<String>, Failure> {
        let path = ["workers", "scripts"];
        let call = self.of_account(Method::GET, &path, Scope::Scripts).await?;
        let found: Vec<Script> = call.listed().await?;
        Ok(found.into_iter().map(|script| script.id).collect())
    }

    /// What a worker is bound to; `None` where it is not deployed.
    pub(crate) async fn bindings(&self, script: &str) -> Result<Option<Vec<Binding>>, Failure> {
        let path = ["workers", "scripts", script, "settings"];
        let found: Option<Settings> = self
            .of_account(Method::GET, &path, Scope::Scripts)
            .await?
            .maybe()
            .await?;
        Ok(found.map(|settings| settings.bindings))
    }

    /// Names of a worker's secrets; `None` where it is not deployed.
    pub(crate) async fn secrets(&self, script: &str) -> Result<Option<Vec<String>>, Failure> {
        let path = ["workers", "scripts", script, "secrets"];
        let found: Option<Vec<Named>> = self
            .of_account(Method::GET, &path, Scope::Scripts)
            .await?
            .maybe()
            .await?;
        Ok(found.map(|secrets| secrets.into_iter().map(|secret| secret.name).collect()))
    }

    /// Gives a worker a secret, in place of the one of that name.
    pub(crate) async fn put_secret(
        &self,
        script: &str,
        name: &str,
        value: &Secret,
    ) -> Result<(), Failure> {
        let path = ["workers", "scripts", script, "secrets"];
        let body = json!({ "name": name, "text": value.expose(), "type": "secret_text" });
        let call = self
            .of_account(Method::PUT, &path, Scope::Scripts)
            .await?
            .json(body);
        call.one::<Value>().await.map(drop)
    }

    /// Takes a secret from a worker; whether there was one.
    pub(crate) async fn delete_secret(&self, script: &str, name: &str) -> Result<bool, Failure> {
        let path = ["workers", "scripts", script, "secrets", name];
        let call = self
            .of_account(Method::DELETE, &path, Scope::Scripts)
            .await?;
        call.was_there().await
    }

    /// The account's label before `.workers.dev`; `None` where it has none yet.
    pub(crate) async fn workers_dev_label(&self) -> Result<Option<String>, Failure> {
        let path = ["workers", "subdomain"];
        let found: Option<Label> = self
            .of_account(Method::GET, &path, Scope::Scripts)
            .await?
            .maybe()
            .await?;
        Ok(found.and_then(|label| label.subdomain))
    }

    /// Whether a worker has addresses at workers.dev; one that is not deployed has none.
    pub(crate) async fn subdomain(&self, script: &str) -> Result<Subdomain, Failure> {
        let path = ["workers", "scripts", script, "subdomain"];
        let found: Option<Subdomain> = self
            .of_account(Method::GET, &path, Scope::Scripts)
            .await?
            .maybe()
            .await?;
        Ok(found.unwrap_or_default())
    }

    /// Domains that lead to a worker.
    pub(crate) async fn domains(&self, script: &str) -> Result<Vec<String>, Failure> {
        let path = ["workers", "domains"];
        let call = self
            .of_account(Method::GET, &path, Scope::Scripts)
            .await?
            .query("service", script);
        let found: Vec<Domain> = call.listed().await?;
        Ok(found.into_iter().map(|domain| domain.hostname).collect())
    }

    /// Routes of a zone that lead to workers.
    pub(crate) async fn routes(&self, zone: &str) -> Result<Vec<Route>, Failure> {
        let path = ["zones", zone, "workers", "routes"];
        self.get(&path, Scope::Routes).listed().await
    }
}
