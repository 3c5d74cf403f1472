//! Values in KV.

use reqwest::Method;
use serde_json::Value;

use super::{Cloudflare, Scope};
use crate::failure::Failure;

impl Cloudflare {
    /// A value; `None` where there is none.
    pub(crate) async fn kv_get(
        &self,
        namespace: &str,
        key: &str,
    ) -> Result<Option<String>, Failure> {
        let account = self.account().await?;
        let path = [
            "accounts",
            account,
            "storage",
            "kv",
            "namespaces",
            namespace,
            "values",
            key,
        ];
        self.get(&path, Scope::Kv).raw().await
    }

    /// Stores a value.
    pub(crate) async fn kv_put(
        &self,
        namespace: &str,
        key: &str,
        value: String,
    ) -> Result<(), Failure> {
        let account = self.account().await?;
        let path = [
            "accounts",
            account,
            "storage",
            "kv",
            "namespaces",
            namespace,
            "values",
            key,
        ];
        let call = self.call(Method::PUT, &path, Scope::Kv).text(value);
        call.one::<Value>().await.map(drop)
    }
}
