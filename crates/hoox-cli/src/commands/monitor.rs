//! `hoox monitor health|signals|trades|positions|logs`.

use core::fmt::Write as _;
use core::time::Duration;
use std::collections::BTreeSet;

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::kill_switch::KillSwitch;
use super::list;
use crate::args::Global;
use crate::clock::now;
use crate::context::Context;
use crate::deployment::Dates;
use crate::failure::Failure;
use crate::gateway::Gateway;
use crate::output::{Done, cell, cells, emit, plain, rows, table};

#[derive(Debug, Subcommand)]
pub(crate) enum Monitor {
    /// Stop entries, or everything, on every account; returns once the accounts have confirmed
    KillSwitch(KillSwitch),
    /// How the gateway and every account are
    Health,
    /// Signals, newest first
    Signals(Listing),
    /// Orders, newest first
    Trades(Listing),
    /// What is held
    Positions(Listing),
    /// The audit trail as lines, from its beginning or a cursor
    Logs(Logs),
}

#[derive(Debug, Args)]
pub(crate) struct Listing {
    /// One account only, by name or id
    #[arg(long)]
    pub(crate) account: Option<String>,
    /// At most so many
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) limit: u32,
    /// Go on after a page, by its nextCursor
    #[arg(long)]
    pub(crate) cursor: Option<String>,
    /// Print what is new every second, until Ctrl-C
    #[arg(long)]
    pub(crate) follow: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Logs {
    /// Go on after a line, by the cursor that the last call printed
    #[arg(long)]
    pub(crate) cursor: Option<String>,
    /// Wait for more, until Ctrl-C
    #[arg(long)]
    pub(crate) follow: bool,
}

/// How often new rows are looked for.
const FOLLOW: Duration = Duration::from_secs(1);

/// A listing: its path, what tells its rows apart, titles and fields.
struct Columns {
    path: &'static str,
    key: &'static [&'static str],
    titles: &'static [&'static str],
    fields: &'static [&'static str],
}

const SIGNALS: Columns = Columns {
    path: "/v1/signals",
    key: &["id", "state"],
    titles: &[
        "SIGNAL", "ACCOUNT", "SENDER", "ACTION", "SYMBOL", "STATE", "CODE", "MESSAGE",
    ],
    fields: &[
        "id", "account", "sender", "action", "symbol", "state", "code", "message",
    ],
};
const TRADES: Columns = Columns {
    path: "/v1/orders",
    key: &["clientOrderId", "state", "filledQuantity"],
    titles: &[
        "ORDER", "SYMBOL", "SIDE", "TYPE", "QUANTITY", "FILLED", "AVERAGE", "STATE", "CODE",
    ],
    fields: &[
        "clientOrderId",
        "symbol",
        "side",
        "orderType",
        "quantity",
        "filledQuantity",
        "averagePrice",
        "state",
        "code",
    ],
};
const POSITIONS: Columns = Columns {
    path: "/v1/positions",
    key: &["accountId", "symbol", "product", "side", "quantity"],
    titles: &[
        "ACCOUNT",
        "SYMBOL",
        "SIDE",
        "QUANTITY",
        "ENTRY",
        "LEVERAGE",
        "UNREALISED",
    ],
    fields: &[
        "account",
        "symbol",
        "side",
        "quantity",
        "entryPrice",
        "leverage",
        "unrealisedPnl",
    ],
};

pub(crate) async fn run(context: &Context, task: Monitor) -> Result<Done, Failure> {
    let (gateway, global) = (&context.gateway()?, &context.global);
    match task {
        Monitor::Signals(asked) => listing(gateway, global, &SIGNALS, &asked).await,
        Monitor::Trades(asked) => listing(gateway, global, &TRADES, &asked).await,
        Monitor::Positions(asked) => listing(gateway, global, &POSITIONS, &asked).await,
        Monitor::Logs(asked) => logs(gateway, &asked).await,
        Monitor::Health => health(gateway).await,
        Monitor::KillSwitch(asked) => super::kill_switch::run(gateway, global, &asked).await,
    }
}

async fn listing(
    gateway: &Gateway,
    global: &Global,
    columns: &Columns,
    asked: &Listing,
) -> Result<Done, Failure> {
    let limit = asked.limit.to_string();
    let mut query = vec![("limit", limit.as_str())];
    query.extend(asked.account.as_deref().map(|account| ("account", account)));
    query.extend(asked.cursor.as_deref().map(|cursor| ("cursor", cursor)));
    let page = gateway.get(columns.path, &query).await?.body;
    let items = list(&page, "items");
    let mut text = table(columns.titles, &rows(items, columns.fields));
    if let Some(cursor) = page.get("nextCursor").and_then(Value::as_str) {
        writeln!(text, "more: --cursor {cursor}").unwrap_or_default();
    }
    if !asked.follow {
        return Ok(Done::new(text, page));
    }
    follow(gateway, global.json, columns, &query, items).await
}

/// Prints what is new until the process is ended.
async fn follow(
    gateway: &Gateway,
    json: bool,
    columns: &Columns,
    query: &[(&str, &str)],
    first: &[Value],
) -> Result<Done, Failure> {
    let key = |item: &Value| -> Vec<String> { cells(item, columns.key) };
    let mut seen: BTreeSet<Vec<String>> = BTreeSet::new();
    let mut items = first.to_vec();
    loop {
        // The newest stand first; a reader wants them last.
        let fresh: Vec<Value> = items
            .iter()
            .rev()
            .filter(|item| !seen.contains(&key(item)))
            .cloned()
            .collect();
        for item in &fresh {
            let line = if json {
                item.to_string()
            } else {
                cells(item, columns.fields).join("  ")
            };
            emit(&format!("{line}\n"));
        }
        seen = items.iter().map(key).collect();
        sleep(FOLLOW).await;
        items = list(&gateway.get(columns.path, query).await?.body, "items").to_vec();
    }
}

async fn logs(gateway: &Gateway, asked: &Logs) -> Result<Done, Failure> {
    let mut cursor = asked.cursor.clone();
    loop {
        let query: Vec<(&str, &str)> = cursor
            .iter()
            .map(|cursor| ("cursor", cursor.as_str()))
            .collect();
        let page = gateway.get("/v1/audit.jsonl", &query).await?;
        emit(&page.text);
        cursor = page.cursor.or(cursor);
        if page.more {
            continue;
        }
        if !asked.follow {
            let last = cursor.map_or_else(String::new, |cursor| {
                format!("hoox: go on with --cursor {cursor}")
            });
            eprintln!("{last}");
            return Ok(Done::new("", json!(null)));
        }
        sleep(FOLLOW).await;
    }
}

async fn health(gateway: &Gateway) -> Result<Done, Failure> {
    let health = gateway.get("/v1/health", &[]).await?.body;
    let bindings = bindings(&health);
    let mut text = format!("gateway in {}\n\n", cell(&health, "colo"));
    text.push_str(&table(&["WORKER", "BINDING", "BOUND", "AGE"], &bindings));
    text.push('\n');
    text.push_str(&table(
        &[
            "ACCOUNT",
            "VENUE",
            "COLO",
            "KILL SWITCH",
            "OPEN",
            "ON THEIR WAY",
            "DEAD LETTERS",
            "UNDELIVERED",
            "PAUSED UNTIL",
        ],
        &rows(
            list(&health, "accounts"),
            &[
                "account",
                "venue",
                "colo",
                "killSwitch",
                "openSignals",
                "inFlight",
                "deadLetters",
                "undeliveredRecords",
                "venuePausedUntil",
            ],
        ),
    ));
    let complaints = complaints(&health, &bindings);
    text.extend(complaints.iter().map(|line| format!("{line}\n")));
    let done = Done::new(text, health);
    Ok(if complaints.is_empty() {
        done
    } else {
        done.in_part()
    })
}

/// Every binding and secret of every worker: whether it is there, and how old a secret is.
fn bindings(health: &Value) -> Vec<Vec<String>> {
    let dates: Dates = health
        .get("secrets")
        .and_then(|dates| serde_json::from_value(dates.clone()).ok())
        .unwrap_or_default();
    let now = now();
    let age = |name: &str| {
        let days = dates.get(name).and_then(|changed| changed.days(now));
        days.map_or_else(|| "-".to_owned(), |days| format!("{days} d"))
    };
    let mut found = Vec::new();
    for worker in list(health, "workers") {
        let bound = worker.get("bindings").and_then(Value::as_object);
        for (name, there) in bound.into_iter().flatten() {
            let there = if there == &Value::Bool(true) {
                "yes"
            } else {
                MISSING
            };
            found.push(vec![
                cell(worker, "name"),
                plain(name),
                there.to_owned(),
                age(name),
            ]);
        }
    }
    found
}

/// What a binding that is not there is called.
const MISSING: &str = "MISSING";

/// What is not well, a line each.
fn complaints(health: &Value, bindings: &[Vec<String>]) -> Vec<String> {
    let missing = bindings
        .iter()
        .filter(|row| row.get(2).is_some_and(|word| word == MISSING))
        .map(|row| {
            let name = row.get(1).map_or("", String::as_str);
            let worker = row.first().map_or("", String::as_str);
            format!("MISSING {name} in {worker}: `hoox secrets check` tells more")
        });
    let accounts = list(health, "unreachable").iter();
    let accounts = accounts.map(|name| {
        format!(
            "UNREACHABLE account {}",
            plain(name.as_str().unwrap_or_default())
        )
    });
    let workers = list(health, "unreachableWorkers").iter().map(|worker| {
        let why = worker.get("problem").unwrap_or(&Value::Null);
        format!(
            "UNREACHABLE {}: {}",
            cell(worker, "name"),
            cell(why, "error")
        )
    });
    missing.chain(accounts).chain(workers).collect()
}
