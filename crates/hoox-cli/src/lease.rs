//! The lease that keeps two deploys from running at once: each would make secrets of its own, and the two sides of an edge
//! would differ.
//!
//! It is a row in the database of records, which runs one statement after another: taking it, renewing it and giving it
//! back are one conditional statement each, and the database's clock says when it ends. Out of scope: stopping an upload
//! that was begun under a lease and outlives it; Cloudflare's API has nothing that would.

use data_encoding::HEXLOWER;
use serde::Deserialize;

use crate::clock::now;
use crate::cloudflare::Cloudflare;
use crate::failure::Failure;
use crate::output::plain;

/// It lasts longer than an upload with the wait for a limit before it, and is renewed before each.
const SECONDS: u32 = 300;
/// No migration makes its table: the lease is there before the first one, as wrangler's own list of migrations is.
const TABLE: &str = "CREATE TABLE IF NOT EXISTS hoox_deploy (one INTEGER PRIMARY KEY CHECK (one = 1), \
                     id TEXT NOT NULL, since TEXT NOT NULL, ends INTEGER NOT NULL)";
/// Taken where nobody has it or it has run out, and by whoever has it already.
const TAKE: &str = "INSERT INTO hoox_deploy (one, id, since, ends) VALUES (1, ?1, ?2, unixepoch() + ?3) \
                    ON CONFLICT (one) DO UPDATE SET id = excluded.id, since = excluded.since, ends = excluded.ends \
                    WHERE hoox_deploy.ends <= unixepoch() OR hoox_deploy.id = excluded.id RETURNING since";
const HOLDER: &str = "SELECT since FROM hoox_deploy";
const RENEW: &str = "UPDATE hoox_deploy SET ends = unixepoch() + ?2 WHERE id = ?1 RETURNING since";
const END: &str = "DELETE FROM hoox_deploy WHERE id = ?1";

/// The right to deploy.
pub(crate) struct Lease<'a> {
    api: &'a Cloudflare,
    database: &'a str,
    id: String,
}

#[derive(Deserialize)]
struct Held {
    /// RFC 3339.
    since: String,
}

impl<'a> Lease<'a> {
    /// Takes it, unless another deploy has it.
    pub(crate) async fn take(api: &'a Cloudflare, database: &'a str) -> Result<Self, Failure> {
        let mut id = [0; 16];
        getrandom::fill(&mut id).map_err(|error| Failure::new("INTERNAL", error.to_string()))?;
        let lease = Self {
            api,
            database,
            id: HEXLOWER.encode(&id),
        };
        lease.rows(TABLE, &[]).await?;
        let (since, seconds) = (now().to_string(), SECONDS.to_string());
        let taken = lease.rows(TAKE, &[&lease.id, &since, &seconds]).await?;
        if taken.is_empty() {
            let held = lease.rows(HOLDER, &[]).await?;
            return Err(deploying(held.first()));
        }
        Ok(lease)
    }

    /// Has it last for the next part; refused where it is another deploy's by now.
    pub(crate) async fn renew(&self) -> Result<(), Failure> {
        let renewed = self.rows(RENEW, &[&self.id, &SECONDS.to_string()]).await?;
        if renewed.is_empty() {
            let message = "another deploy has taken over: the lease of this one had run out";
            return Err(
                Failure::new("DEPLOYING", message).hint("wait until the other one has ended")
            );
        }
        Ok(())
    }

    /// Gives it back, unless it is another deploy's by now; where that fails it ends by itself.
    pub(crate) async fn end(self) {
        self.rows(END, &[&self.id]).await.ok();
    }

    async fn rows(&self, sql: &str, values: &[&str]) -> Result<Vec<Held>, Failure> {
        self.api.rows(self.database, sql, values).await
    }
}

fn deploying(held: Option<&Held>) -> Failure {
    let since = held.map_or_else(String::new, |held| {
        format!(", since {}", plain(&held.since))
    });
    Failure::new(
        "DEPLOYING",
        format!("another deploy to this account runs{since}; nothing was uploaded"),
    )
    .hint(format!(
        "wait for it and repeat the command; one that was killed counts for {} minutes at most",
        SECONDS.div_euclid(60)
    ))
}
