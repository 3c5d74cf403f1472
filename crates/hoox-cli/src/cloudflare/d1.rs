//! D1 databases.

use reqwest::Method;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::{Cloudflare, Scope};
use crate::failure::Failure;

/// A database.
#[derive(Debug, Deserialize)]
pub(crate) struct Database {
    pub(crate) uuid: String,
    pub(crate) name: String,
}

/// What one statement came to.
#[derive(Deserialize)]
struct Outcome<T> {
    results: Vec<T>,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

/// Where wrangler notes which migrations a database has.
const MIGRATIONS: &str = "d1_migrations";

impl Cloudflare {
    /// Every database of the account.
    pub(crate) async fn databases(&self) -> Result<Vec<Database>, Failure> {
        let path = ["d1", "database"];
        self.of_account(Method::GET, &path, Scope::D1)
            .await?
            .list()
            .await
    }

    /// Makes a database.
    pub(crate) async fn make_database(&self, name: &str) -> Result<Database, Failure> {
        let path = ["d1", "database"];
        let call = self.of_account(Method::POST, &path, Scope::D1).await?;
        call.json(json!({ "name": name })).one().await
    }

    /// The migrations that a database has.
    pub(crate) async fn migrations(&self, database: &str) -> Result<Vec<String>, Failure> {
        let tables = "SELECT name FROM sqlite_master WHERE type = 'table'";
        if !self
            .names(database, tables)
            .await?
            .iter()
            .any(|table| table == MIGRATIONS)
        {
            return Ok(Vec::new());
        }
        self.names(
            database,
            &format!("SELECT name FROM {MIGRATIONS} ORDER BY id"),
        )
        .await
    }

    async fn names(&self, database: &str, sql: &str) -> Result<Vec<String>, Failure> {
        let rows: Vec<Named> = self.rows(database, sql, &[]).await?;
        Ok(rows.into_iter().map(|row| row.name).collect())
    }

    /// The rows that a statement answers, one that may be run twice. D1 takes values as text; where a number is meant
    /// SQLite makes one of it.
    pub(crate) async fn rows<T: DeserializeOwned>(
        &self,
        database: &str,
        sql: &str,
        values: &[&str],
    ) -> Result<Vec<T>, Failure> {
        let path = ["d1", "database", database, "query"];
        let call = self
            .of_account(Method::POST, &path, Scope::D1)
            .await?
            .harmless()
            .json(json!({ "sql": sql, "params": values }));
        let found: Vec<Outcome<T>> = call.one().await?;
        Ok(found
            .into_iter()
            .flat_map(|outcome| outcome.results)
            .collect())
    }
}
