//! `hoox monitor health|signals|trades|positions|refusals|logs`.

use core::fmt::Write as _;
use core::time::Duration;
use std::collections::BTreeSet;

use clap::{Args, Subcommand};
use hoox_mesh::Edge;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::exits::{Exits, letters};
use super::kill_switch::KillSwitch;
use super::list;
use crate::args::Global;
use crate::clock::now;
use crate::context::Context;
use crate::deployment::Dates;
use crate::edges;
use crate::failure::Failure;
use crate::gateway::Gateway;
use crate::output::{Done, cell, cells, emit, plain, rows, table};
use crate::status::{OF_A_VERDICT, OF_THE_SWITCH, Status};

#[derive(Debug, Subcommand)]
pub(crate) enum Monitor {
    /// Stop entries, or everything, on every account; returns once the accounts have confirmed
    #[command(after_help = OF_THE_SWITCH)]
    KillSwitch(KillSwitch),
    /// How the gateway and every account are
    #[command(after_help = OF_A_VERDICT)]
    Health,
    /// Signals, newest first
    Signals(Listing),
    /// Orders, newest first
    Trades(Listing),
    /// What is held
    Positions(Listing),
    /// Alerts that were refused or could not be read, newest first
    Refusals(Refusals),
    /// The audit trail as lines, from its beginning or a cursor
    Logs(Logs),
}

#[derive(Debug, Args)]
pub(crate) struct Listing {
    /// One account only, by name or id
    #[arg(long)]
    pub(crate) account: Option<String>,
    #[command(flatten)]
    pub(crate) page: Paging,
}

#[derive(Debug, Args)]
pub(crate) struct Refusals {
    /// One sender only
    #[arg(long)]
    pub(crate) sender: Option<String>,
    #[command(flatten)]
    pub(crate) page: Paging,
}

#[derive(Debug, Args)]
pub(crate) struct Paging {
    /// At most so many
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) limit: u32,
    /// Go on after a page, by its nextCursor
    #[arg(long)]
    pub(crate) cursor: Option<String>,
    /// Print what is new, until Ctrl-C
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

/// How soon new rows are looked for after one has come; while none comes, later and later.
const SOON: Duration = Duration::from_secs(1);
/// The longest time between two looks: the Free plan has 100,000 requests a day, for alerts too.
const LATE: Duration = Duration::from_secs(15);

/// When to look again.
struct Pace(Duration);

impl Pace {
    const fn new() -> Self {
        Self(SOON)
    }

    /// Waits after a look that found something new, or nothing.
    async fn wait(&mut self, new: bool) {
        self.0 = if new {
            SOON
        } else {
            self.0.saturating_mul(2).min(LATE)
        };
        sleep(self.0).await;
    }
}

/// What may be another time: a look that failed is said, and made again.
fn passing(failure: Failure) -> Result<(), Failure> {
    match failure.code.as_str() {
        "UNREACHABLE" | "INTERNAL" | "RATE_LIMITED" => {
            eprintln!("hoox: {}; looking again", failure.message);
            Ok(())
        }
        _ => Err(failure),
    }
}

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
        "RECEIVED", "SIGNAL", "ACCOUNT", "SENDER", "ACTION", "SYMBOL", "STATE", "CODE", "MESSAGE",
    ],
    fields: &[
        "receivedAt",
        "id",
        "account",
        "sender",
        "action",
        "symbol",
        "state",
        "code",
        "message",
    ],
};
const TRADES: Columns = Columns {
    path: "/v1/orders",
    key: &["clientOrderId", "state", "filledQuantity"],
    titles: &[
        "CREATED", "ORDER", "ACCOUNT", "SYMBOL", "SIDE", "TYPE", "QUANTITY", "FILLED", "AVERAGE",
        "STATE", "CODE",
    ],
    fields: &[
        "createdAt",
        "clientOrderId",
        "accountId",
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
        "UPDATED",
    ],
    fields: &[
        "account",
        "symbol",
        "side",
        "quantity",
        "entryPrice",
        "leverage",
        "unrealisedPnl",
        "updatedAt",
    ],
};

const REFUSALS: Columns = Columns {
    path: "/v1/refusals",
    key: &["requestId"],
    titles: &[
        "RECEIVED", "SENDER", "ADDRESS", "ACCOUNT", "SYMBOL", "CODE", "FIELD", "WHY",
    ],
    fields: &[
        "receivedAt",
        "sender",
        "address",
        "account",
        "symbol",
        "code",
        "field",
        "error",
    ],
};

pub(crate) async fn run(context: &Context, task: Monitor) -> Result<Done, Failure> {
    let (gateway, global) = (&context.gateway()?, &context.global);
    match task {
        Monitor::Signals(asked) => of_account(gateway, global, &SIGNALS, &asked).await,
        Monitor::Trades(asked) => of_account(gateway, global, &TRADES, &asked).await,
        Monitor::Positions(asked) => of_account(gateway, global, &POSITIONS, &asked).await,
        Monitor::Refusals(asked) => {
            let only = asked.sender.as_deref().map(|sender| ("sender", sender));
            listing(gateway, global, &REFUSALS, only, &asked.page).await
        }
        Monitor::Logs(asked) => logs(gateway, global.json, &asked).await,
        Monitor::Health => health(gateway).await,
        Monitor::KillSwitch(asked) => super::kill_switch::run(gateway, global, &asked).await,
    }
}

async fn of_account(
    gateway: &Gateway,
    global: &Global,
    columns: &Columns,
    asked: &Listing,
) -> Result<Done, Failure> {
    let only = asked.account.as_deref().map(|account| ("account", account));
    listing(gateway, global, columns, only, &asked.page).await
}

async fn listing(
    gateway: &Gateway,
    global: &Global,
    columns: &Columns,
    only: Option<(&str, &str)>,
    asked: &Paging,
) -> Result<Done, Failure> {
    let limit = asked.limit.to_string();
    let mut query = vec![("limit", limit.as_str())];
    query.extend(only);
    query.extend(asked.cursor.as_deref().map(|cursor| ("cursor", cursor)));
    let page = gateway.get(columns.path, &query).await?.body;
    let items = list(&page, "items");
    // What has been closed stays in the records, for programs.
    let shown: Vec<Value> = items
        .iter()
        .filter(|item| !is_flat(item))
        .cloned()
        .collect();
    let mut text = table(columns.titles, &rows(&shown, columns.fields));
    for counted in list(&page, "notKept") {
        writeln!(text, "{}", not_kept(counted)).unwrap_or_default();
    }
    if let Some(cursor) = page.get("nextCursor").and_then(Value::as_str) {
        writeln!(text, "more: --cursor {cursor}").unwrap_or_default();
    }
    if !asked.follow {
        return Ok(Done::new(text, page));
    }
    follow(gateway, global.json, columns, &query, items).await
}

/// How many refusals the inbox had no room for.
fn not_kept(counted: &Value) -> String {
    let [count, last] = ["count", "lastAt"].map(|field| cell(counted, field));
    let whose = match counted.get("sender").and_then(Value::as_str) {
        Some(sender) => format!("refusals of {}", plain(sender)),
        None => "alerts that could not be read".to_owned(),
    };
    format!("and {count} more {whose}, only counted; the last one at {last}")
}

/// Whether a row is a position of nothing.
fn is_flat(item: &Value) -> bool {
    let zero = item.get("quantity").and_then(Value::as_str) == Some("0");
    zero && item.get("side").is_some_and(Value::is_null)
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
    let mut pace = Pace::new();
    if !json {
        emit(&format!("{}\n", columns.titles.join("  ")));
    }
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
        pace.wait(!fresh.is_empty()).await;
        match gateway.get(columns.path, query).await {
            Ok(page) => items = list(&page.body, "items").to_vec(),
            Err(failure) => passing(failure)?,
        }
    }
}

async fn logs(gateway: &Gateway, json: bool, asked: &Logs) -> Result<Done, Failure> {
    let mut cursor = asked.cursor.clone();
    let mut pace = Pace::new();
    let mut lines = Vec::new();
    loop {
        let query: Vec<(&str, &str)> = cursor
            .iter()
            .map(|cursor| ("cursor", cursor.as_str()))
            .collect();
        let page = match gateway.get("/v1/audit.jsonl", &query).await {
            Ok(page) => page,
            Err(failure) if asked.follow => {
                passing(failure)?;
                pace.wait(false).await;
                continue;
            }
            Err(failure) => return Err(failure),
        };
        let new = !page.text.is_empty();
        if json && !asked.follow {
            let rows = page.text.lines();
            lines.extend(rows.map(|row| serde_json::from_str(row).unwrap_or_else(|_| json!(row))));
        } else {
            emit(&page.text);
        }
        cursor = page.cursor.or(cursor);
        if page.more {
            continue;
        }
        if !asked.follow {
            return Ok(logged(&lines, cursor.as_deref(), json));
        }
        pace.wait(new).await;
    }
}

/// What was printed, or is in the envelope, and where to go on.
fn logged(lines: &[Value], cursor: Option<&str>, json: bool) -> Done {
    if let Some(cursor) = cursor.filter(|_| !json) {
        eprintln!("hoox: go on with --cursor {cursor}");
    }
    Done::new("", json!({ "lines": lines, "cursor": cursor }))
}

async fn health(gateway: &Gateway) -> Result<Done, Failure> {
    let health = gateway.get("/v1/health", &[]).await?.body;
    let bindings = bindings(&health);
    let mut text = format!("gateway in {}\n", cell(&health, "colo"));
    writeln!(text, "{}", records(&health)).unwrap_or_default();
    writeln!(text, "{}\n", rows_today(&health)).unwrap_or_default();
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
    let again = gateway.again();
    let complaints = complaints(&health, &bindings, again);
    let accounts = list(&health, "accounts");
    let exits = Exits::of_all(accounts);
    let letters = accounts
        .iter()
        .filter_map(|account| letters(account, again));
    for line in exits
        .lines
        .iter()
        .cloned()
        .chain(letters)
        .chain(complaints.iter().cloned())
    {
        writeln!(text, "{line}").unwrap_or_default();
    }
    let done = Done::new(text, health);
    Ok(if complaints.is_empty() && !exits.bad {
        done
    } else {
        done.ended(Status::Bad)
    })
}

/// How large the database is and how far back records go.
fn records(health: &Value) -> String {
    const MB: u64 = 1_000_000;
    let Some(records) = health.get("records").filter(|records| records.is_object()) else {
        return "records: d1-worker does not say".to_owned();
    };
    let megabytes = |field: &str| {
        let bytes = records.get(field).and_then(Value::as_u64);
        bytes.map_or_else(|| "?".to_owned(), |bytes| bytes.div_ceil(MB).to_string())
    };
    let pruned = match cell(records, "prunedUntil") {
        none if none == "-" => "none pruned yet".to_owned(),
        until => format!("pruned by {} until {until}", cell(records, "prunedBy")),
    };
    format!(
        "records: {} of {} MB, kept {} days, {pruned}",
        megabytes("bytes"),
        megabytes("maxBytes"),
        cell(records, "keptDays")
    )
}

/// How many rows were written today, of how many.
fn rows_today(health: &Value) -> String {
    let Some(today) = health.get("rowsToday").filter(|today| today.is_object()) else {
        return "rows written today: trade-worker does not say".to_owned();
    };
    let limit = match today.get("limit") {
        None | Some(Value::Null) => ", without a limit".to_owned(),
        Some(limit) => format!(" of {}", plain(&limit.to_string())),
    };
    let missing = if today.get("complete") == Some(&Value::Bool(true)) {
        ""
    } else {
        ", and those of accounts that did not say"
    };
    format!(
        "rows written today: {}{limit}{missing}",
        cell(today, "written")
    )
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
            let there = match there {
                Value::Bool(true) => "yes",
                Value::Bool(false) => MISSING,
                // An edge's key whose other side has another one.
                _ => "DIFFERS",
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
fn complaints(health: &Value, bindings: &[Vec<String>], again: &str) -> Vec<String> {
    let missing = bindings
        .iter()
        .filter(|row| row.get(2).is_some_and(|word| word == MISSING))
        .map(|row| {
            let name = row.get(1).map_or("", String::as_str);
            let worker = row.first().map_or("", String::as_str);
            format!("MISSING {name} in {worker}: `hoox secrets check{again}` tells more")
        });
    let accounts = list(health, "unreachable").iter();
    let accounts = accounts.map(|name| {
        format!(
            "UNREACHABLE account {}",
            plain(name.as_str().unwrap_or_default())
        )
    });
    let differing = edges::differing(health).into_iter().map(|edge| {
        let rotation = edges::rotation(edge.secret(), again);
        format!("DIFFERENT KEYS {}: {rotation}", edges::words(edge))
    });
    let unreachable = list(health, "unreachableWorkers").iter();
    let workers = unreachable.filter_map(|worker| {
        let why = cell(worker.get("problem").unwrap_or(&Value::Null), "error");
        // What is said already is not said twice.
        Edge::that_differs(&why)
            .is_none()
            .then(|| format!("UNREACHABLE {}: {why}", cell(worker, "name")))
    });
    let full = (health.pointer("/records/full") == Some(&Value::Bool(true))).then(|| {
        "FULL records: pruning is not enough: keep the audit trail elsewhere and drop its old months (DELETE /v1/audit)"
            .to_owned()
    });
    let refused = health.pointer("/rowsToday/entriesRefused") == Some(&Value::Bool(true));
    let refused = refused.then(|| {
        "ENTRIES REFUSED until 00:00 UTC: the rest of the day's rows is kept for exits and the kill switch; on a paid plan \
         set rowsADay in the manifest to null"
            .to_owned()
    });
    missing
        .chain(differing)
        .chain(accounts)
        .chain(workers)
        .chain(full)
        .chain(refused)
        .collect()
}
