//! `hoox keys audit` and `hoox accounts test`: what the exchanges say of the API keys. The keys stay where they are:
//! each account's Ledger asks.

use clap::{Args, Subcommand};
use hoox_model::Timestamp;
use serde_json::{Value, json};

use super::list;
use crate::clock::now;
use crate::context::Context;
use crate::doctor::keys::{judge, present};
use crate::doctor::{draw, status};
use crate::failure::Failure;
use crate::gateway::Gateway;
use crate::output::{Done, cell, plain, table};
use crate::status::OF_A_VERDICT;

#[derive(Debug, Subcommand)]
pub(crate) enum Keys {
    /// Ask each exchange what the keys may do, where from and until when; the verdict is bad where one may do too much or too little
    #[command(after_help = OF_A_VERDICT)]
    Audit(Audit),
}

#[derive(Debug, Args)]
pub(crate) struct Audit {
    /// One account only, by name or id
    #[arg(long)]
    account: Option<String>,
}

pub(crate) async fn run(context: &Context, task: &Keys) -> Result<Done, Failure> {
    let Keys::Audit(asked) = task;
    audit(&context.gateway()?, asked.account.as_deref()).await
}

/// Asks for the keys of one account, or of all.
pub(crate) async fn audit(gateway: &Gateway, account: Option<&str>) -> Result<Done, Failure> {
    let query: Vec<(&str, &str)> = account
        .map(|account| ("account", account))
        .into_iter()
        .collect();
    let answer = present(gateway, &query).await?;
    let checks = judge(&answer, now());
    let rows: Vec<Vec<String>> = list(&answer, "accounts").iter().map(row).collect();
    let titles = [
        "ACCOUNT",
        "VENUE",
        "ENVIRONMENT",
        "READ",
        "TRADE",
        "WITHDRAW",
        "TRANSFER",
        "ADDRESSES",
        "EXPIRES",
        "COLO",
        "MS",
        "CLOCK",
    ];
    let text = format!("{}\n{}", table(&titles, &rows), draw(&checks));
    let accounts = answer.get("accounts").cloned().unwrap_or_default();
    let data = json!({ "accounts": accounts, "checks": checks });
    Ok(Done::new(text, data).ended(status(&checks)))
}

fn row(found: &Value) -> Vec<String> {
    let key = found.get("key").unwrap_or(&Value::Null);
    let rights = key.get("rights").unwrap_or(&Value::Null);
    let may = |right: &str| match rights.get(right).and_then(Value::as_bool) {
        Some(true) => "yes",
        Some(false) => "no",
        None => "-",
    };
    let trade: Vec<&str> = rights
        .get("trade")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .filter(|(_, may)| **may == Value::Bool(true))
        .map(|(product, _)| product.as_str())
        .collect();
    let trade = match (key.is_null(), trade.is_empty()) {
        (true, _) => "-".to_owned(),
        (false, true) => "no".to_owned(),
        (false, false) => plain(&trade.join(" ")),
    };
    let ips: Vec<&str> = list(key, "ips").iter().filter_map(Value::as_str).collect();
    let addresses = match (key.is_null(), ips.is_empty()) {
        (true, _) => "-".to_owned(),
        (false, true) => "any".to_owned(),
        (false, false) => plain(&ips.join(" ")),
    };
    let ends = key.get("expiresAt").and_then(Value::as_i64);
    let day = |at: i64| {
        Timestamp::from_millis(at)
            .to_string()
            .chars()
            .take(10)
            .collect()
    };
    let ends = match (key.is_null(), ends) {
        (true, _) => "-".to_owned(),
        (false, None) => "never".to_owned(),
        (false, Some(at)) => day(at),
    };
    let words = |field: &str| cell(found, field);
    vec![
        words("account"),
        words("venue"),
        words("environment"),
        may("read").to_owned(),
        trade,
        may("withdraw").to_owned(),
        may("transfer").to_owned(),
        addresses,
        ends,
        words("colo"),
        words("millis"),
        words("clockOffsetMs"),
    ]
}
