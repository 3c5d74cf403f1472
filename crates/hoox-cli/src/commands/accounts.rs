//! `hoox accounts`.

use clap::Subcommand;

use super::list;
use crate::context::Context;
use crate::failure::Failure;
use crate::gateway::Gateway;
use crate::output::{Done, rows, table};

#[derive(Debug, Subcommand)]
pub(crate) enum Accounts {
    /// All of them
    List,
}

pub(crate) async fn run(context: &Context, task: &Accounts) -> Result<Done, Failure> {
    let gateway = &context.gateway()?;
    match task {
        Accounts::List => list_all(gateway).await,
    }
}

async fn list_all(gateway: &Gateway) -> Result<Done, Failure> {
    let found = gateway.get("/v1/accounts", &[]).await?.body;
    let text = table(
        &[
            "ACCOUNT",
            "ID",
            "VENUE",
            "ENVIRONMENT",
            "PRODUCT",
            "LOCATION",
            "KEYS",
        ],
        &rows(
            list(&found, "accounts"),
            &[
                "name",
                "id",
                "venue",
                "environment",
                "defaultProduct",
                "locationHint",
                "secretSuffix",
            ],
        ),
    );
    Ok(Done::new(text, found))
}
