//! KV: namespaces and values.

use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Cloudflare, Scope};
use crate::failure::Failure;

/// A namespace.
#[derive(Debug, Deserialize)]
pub(crate) struct Namespace {
    pub(crate) id: String,
    pub(crate) title: String,
}

#[derive(Deserialize)]
struct Key {
    name: String,
}

impl Cloudflare {
    /// Every namespace of the account.
    pub(crate) async fn namespaces(&self) -> Result<Vec<Namespace>, Failure> {
        let path = ["storage", "kv", "namespaces"];
        self.of_account(Method::GET, &path, Scope::Kv)
            .await?
            .list()
            .await
    }

    /// Makes a namespace.
    pub(crate) async fn make_namespace(&self, title: &str) -> Result<Namespace, Failure> {
        let path = ["storage", "kv", "namespaces"];
        let call = self.of_account(Method::POST, &path, Scope::Kv).await?;
        call.json(json!({ "title": title })).one().await
    }

    /// Names of a namespace's keys that begin like this: a thousand at most, which is more than Hoox ever had.
    pub(crate) async fn kv_keys(
        &self,
        namespace: &str,
        prefix: &str,
    ) -> Result<Vec<String>, Failure> {
        let path = ["storage", "kv", "namespaces", namespace, "keys"];
        let call = self
            .of_account(Method::GET, &path, Scope::Kv)
            .await?
            .query("prefix", prefix);
        let found: Vec<Key> = call.one().await?;
        Ok(found.into_iter().map(|key| key.name).collect())
    }

    /// A value; `None` where there is none.
    pub(crate) async fn kv_get(
        &self,
        namespace: &str,
        key: &str,
    ) -> Result<Option<String>, Failure> {
        let path = ["storage", "kv", "namespaces", namespace, "values", key];
        self.of_account(Method::GET, &path, Scope::Kv)
            .await?
            .raw()
            .await
    }

    /// Stores a value.
    pub(crate) async fn kv_put(
        &self,
        namespace: &str,
        key: &str,
        value: String,
    ) -> Result<(), Failure> {
        let path = ["storage", "kv", "namespaces", namespace, "values", key];
        let call = self
            .of_account(Method::PUT, &path, Scope::Kv)
            .await?
            .text(value);
        call.one::<Value>().await.map(drop)
    }
}
