//! `hoox alert template|check`: the messages to paste into TradingView, and what a message would do.

use core::fmt::Write as _;
use core::str::FromStr as _;
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use clap::{Args, Subcommand, ValueEnum};
use hoox_alert::{
    Fault, Kind, Known, MAX_MESSAGE, Message, Report, Then, Verdict, Wish, compare, examine,
    messages, setup,
};
use hoox_model::{Product, Timestamp, Venue};
use serde_json::{Value, json};

use super::{list, word};
use crate::clock::now;
use crate::context::Context;
use crate::failure::Failure;
use crate::gateway::Gateway;
use crate::output::{Done, cell, cells, emit, plain, table};
use crate::status::{OF_A_VERDICT, Status};

/// How far back the records are read.
const JOURNAL_MS: i64 = 8 * 24 * 60 * 60 * 1_000;
/// Pages of records after which it is said how far it is.
const PAGES_IN_SILENCE: u32 = 10;

#[derive(Debug, Subcommand)]
pub(crate) enum Alert {
    /// The message to paste into a TradingView alert, on stdout
    Template(Template),
    /// What a message would do, field by field; sends nothing
    #[command(after_help = OF_A_VERDICT)]
    Check(Check),
}

#[derive(Debug, Args)]
pub(crate) struct Template {
    /// What sends the alerts: a strategy that turns from long to short (reversing), one whose exits are orders of their
    /// own (exits), one that adds in several orders (dca), any strategy whose position the account is to have (target),
    /// or an indicator
    #[arg(long, value_parser = kinds())]
    kind: Kind,
    /// The account that trades it
    #[arg(long)]
    account: String,
    /// What is traded, such as BTCUSDT.P, or {{ticker}} for what the chart shows
    #[arg(long)]
    symbol: String,
    /// The strategy's name in the records; the kind's unless given
    #[arg(long)]
    strategy: Option<String>,
    /// Size of an indicator's entries, in base currency; a strategy has its own
    #[arg(long)]
    quantity: Option<String>,
    /// One of an indicator's three messages only
    #[arg(long)]
    only: Option<Only>,
}

/// One of an indicator's messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Only {
    Long,
    Short,
    Close,
}

#[derive(Debug, Args)]
pub(crate) struct Check {
    /// The message as it stands in TradingView, or - for stdin
    #[arg(required_unless_present = "journal", conflicts_with = "journal")]
    file: Option<PathBuf>,
    /// The alert is an indicator's: what only strategies fill in stays as it is
    #[arg(long, conflicts_with = "journal")]
    indicator: bool,
    /// Read the alerts of the last 8 days again, and name those that would be judged otherwise today
    #[arg(long)]
    journal: bool,
}

fn kinds() -> impl clap::builder::TypedValueParser<Value = Kind> {
    PossibleValuesParser::new(Kind::ALL.map(Kind::name)).try_map(|name| Kind::from_str(&name))
}

pub(crate) async fn run(context: &Context, task: &Alert) -> Result<Done, Failure> {
    match task {
        Alert::Template(asked) => template(asked, context.global.json),
        Alert::Check(asked) => match &asked.file {
            Some(file) => check(&message(file)?, asked.indicator),
            None => journal(&context.gateway()?).await,
        },
    }
}

fn template(asked: &Template, json: bool) -> Result<Done, Failure> {
    let wish = Wish {
        kind: asked.kind,
        account: asked.account.clone(),
        symbol: asked.symbol.clone(),
        strategy: asked.strategy.clone(),
        quantity: asked.quantity.clone(),
    };
    let made = messages(&wish).map_err(|why| Failure::usage(why).hint("leave out --quantity"))?;
    let made: Vec<Message> = match asked.only.as_ref().map(word) {
        None => made,
        Some(only) => made.into_iter().filter(|it| it.name == only).collect(),
    };
    if made.is_empty() {
        let why = format!(
            "a {} template has one message for all orders of the strategy",
            asked.kind.name()
        );
        return Err(Failure::usage(why).hint("leave out --only"));
    }
    // What is printed is what Hoox takes: a name or a symbol that it would refuse is refused here.
    for message in &made {
        let report = examine(message.text.as_bytes(), false, now());
        if let Some(fault) = report.faults.first() {
            return Err(Failure::usage(plain(&fault.message)));
        }
    }
    let lines = setup(&wish);
    let texts: Vec<&str> = made.iter().map(|message| message.text.as_str()).collect();
    let data = json!({
        "kind": asked.kind.name(),
        "messages": made.iter().map(|it| json!({ "name": it.name, "message": it.text })).collect::<Vec<_>>(),
        "setup": lines,
    });
    if json {
        return Ok(Done::new("", data));
    }
    // The message alone is on stdout, so that it can be piped.
    emit(&format!("{}\n", texts.join("\n\n")));
    for line in lines {
        eprintln!("- {line}");
    }
    Ok(Done::new("", data))
}

/// The bytes of a message, no more of them than show that it is too large.
fn message(file: &Path) -> Result<Vec<u8>, Failure> {
    let most = u64::try_from(MAX_MESSAGE)
        .unwrap_or(u64::MAX)
        .saturating_add(1);
    let mut bytes = Vec::new();
    let read = if file.as_os_str() == "-" {
        io::stdin().take(most).read_to_end(&mut bytes)
    } else {
        fs::File::open(file).and_then(|file| file.take(most).read_to_end(&mut bytes))
    };
    read.map(|_| bytes)
        .map_err(|error| Failure::usage(format!("{}: {error}", file.display())))
}

fn check(message: &[u8], indicator: bool) -> Result<Done, Failure> {
    let report = examine(message, indicator, now());
    let data = serde_json::to_value(&report)
        .map_err(|error| Failure::new("INTERNAL", error.to_string()))?;
    let done = Done::new(said(&report), data);
    Ok(match report.verdict {
        Verdict::Taken => done,
        Verdict::Refused => done.ended(Status::Bad),
        Verdict::Unknown => done.ended(Status::Unjudged),
    })
}

/// A report in words.
fn said(report: &Report) -> String {
    let mut text = headline(report);
    for fault in &report.faults {
        text.push_str(&faulty(fault));
    }
    for warning in &report.warnings {
        text.push_str(&line("warning", &plain(&warning.message)));
    }
    for note in &report.notes {
        text.push_str(&line("note", &plain(note)));
    }
    if !report.fields.is_empty() {
        let rows: Vec<Vec<String>> = report
            .fields
            .iter()
            .map(|row| {
                let value = row.value.as_deref().unwrap_or("-");
                [&row.field, value, &row.meaning].map(plain).to_vec()
            })
            .collect();
        text.push('\n');
        text.push_str(&table(&["FIELD", "VALUE", "MEANING"], &rows));
    }
    text.push_str(&outcomes(report));
    if let Some(known) = &report.known {
        text.push('\n');
        text.push_str(&identity(known));
    }
    text.push_str(&sample(report));
    text
}

fn headline(report: &Report) -> String {
    match (report.verdict, report.warnings.len()) {
        (Verdict::Taken, 0) => "TAKEN: Hoox would carry it out.\n".to_owned(),
        (Verdict::Taken, 1) => "TAKEN, with a warning.\n".to_owned(),
        (Verdict::Taken, many) => format!("TAKEN, with {many} warnings.\n"),
        (Verdict::Refused, _) => {
            let faults = &report.faults;
            let some = !faults.is_empty() && faults.iter().all(|fault| fault.when.is_some());
            if some {
                "REFUSED in part: change it before you use it.\n".to_owned()
            } else {
                "REFUSED: change it before you use it.\n".to_owned()
            }
        }
        (Verdict::Unknown, _) => {
            let why = report.unclear.as_deref().unwrap_or_default();
            format!("NOT JUDGED: {}.\n", plain(why))
        }
    }
}

fn faulty(fault: &Fault) -> String {
    // Most sentences name their field.
    let named = fault
        .field
        .as_ref()
        .filter(|field| !fault.message.contains(field.as_str()));
    let field = named.map_or_else(String::new, |field| format!("{}: ", plain(field)));
    let mut text = format!("{field}{} ({})", plain(&fault.message), fault.code);
    if let Some(when) = &fault.when {
        write!(text, "; when the strategy {when}").unwrap_or_default();
    }
    line("fault", &text)
}

fn line(name: &str, text: &str) -> String {
    format!("  {name:<7}  {text}\n")
}

fn outcomes(report: &Report) -> String {
    if report.outcomes.is_empty() {
        return String::new();
    }
    let of_a_strategy = report.outcomes.iter().any(|row| row.order.is_some());
    let rows: Vec<Vec<String>> = report
        .outcomes
        .iter()
        .map(|row| {
            let holds = match &row.strategy_holds {
                Some(theirs) if !row.agrees() => format!("{} (the strategy: {theirs})", row.holds),
                _ => row.holds.clone(),
            };
            let order = row.order.iter().cloned();
            let cells = [row.when.clone()].into_iter().chain(order);
            cells.chain([row.does.clone(), holds]).collect()
        })
        .collect();
    let titles: &[&str] = if of_a_strategy {
        &["WHEN THE STRATEGY", "ITS ORDER", "HOOX", "THEN IS HELD"]
    } else {
        &["WHEN", "HOOX", "THEN IS HELD"]
    };
    format!("\n{}", table(titles, &rows))
}

/// By what it is known, and how old it may get.
fn identity(known: &Known) -> String {
    let by = if known.by_key {
        "its idempotencyKey"
    } else {
        "its text"
    };
    let window = match known.window_seconds {
        seconds if seconds < 3_600 => {
            format!("{seconds} s, after which the same text trades again")
        }
        seconds => format!("{} days", seconds.div_euclid(24 * 60 * 60)),
    };
    let closes = format!("what closes for {} s", known.exit_seconds);
    let lives = if known.enters {
        format!(
            "What opens is sent for {} s after it fired, {closes}.",
            known.entry_seconds
        )
    } else {
        format!(
            "It is carried out for {} s after it fired.",
            known.exit_seconds
        )
    };
    format!("It is known by {by} for {window}. {lives}\n")
}

/// What stands for the placeholders in what is shown.
fn sample(report: &Report) -> String {
    let filled: Vec<String> = report
        .sample
        .iter()
        .filter_map(|it| {
            let value = it.value.as_deref()?;
            Some(format!(
                "{{{{{}}}}} {}",
                plain(&it.placeholder),
                plain(value)
            ))
        })
        .collect();
    let Some(order) = report.outcomes.first().filter(|row| row.order.is_some()) else {
        return if filled.is_empty() {
            String::new()
        } else {
            format!("Sample: {}.\n", filled.join(", "))
        };
    };
    format!(
        "The fields are those of an alert when the strategy {}: {}.\n",
        order.when,
        filled.join(", ")
    )
}

/// An account as far as it decides what can be traded.
#[derive(Debug, Clone, Copy)]
struct Market {
    venue: Venue,
    product: Product,
}

impl Market {
    /// What is judged by where the account is not in the manifest any more.
    const USUAL: Self = Self {
        venue: Venue::Bybit,
        product: Product::Linear,
    };

    fn of(account: &Value) -> Self {
        let named = |field: &str| account.get(field).cloned().unwrap_or_default();
        Self {
            venue: serde_json::from_value(named("venue")).unwrap_or(Self::USUAL.venue),
            product: serde_json::from_value(named("defaultProduct")).unwrap_or(Self::USUAL.product),
        }
    }
}

async fn journal(gateway: &Gateway) -> Result<Done, Failure> {
    let since = now().plus_millis(JOURNAL_MS.saturating_neg());
    let accounts = gateway.get("/v1/accounts", &[]).await?.body;
    let markets: BTreeMap<String, Market> = list(&accounts, "accounts")
        .iter()
        .map(|account| (cell(account, "id"), Market::of(account)))
        .collect();
    let signals = signals(gateway, since).await?;
    let mut otherwise = Vec::new();
    let mut unread: u32 = 0;
    for signal in &signals {
        let Ok(then) = serde_json::from_value::<Then>(signal.clone()) else {
            unread = unread.saturating_add(1);
            continue;
        };
        let market = markets.get(&cell(signal, "accountId"));
        let market = market.copied().unwrap_or(Market::USUAL);
        if let Some(why) = compare(&then, market.venue, market.product) {
            otherwise.push((signal, why));
        }
    }
    Ok(compared(signals.len(), unread, &otherwise))
}

/// The signals since a moment, newest first.
async fn signals(gateway: &Gateway, since: Timestamp) -> Result<Vec<Value>, Failure> {
    let mut found = Vec::new();
    let mut cursor: Option<String> = None;
    let mut pages: u32 = 0;
    loop {
        let mut query = vec![("limit", "100")];
        query.extend(cursor.as_deref().map(|cursor| ("cursor", cursor)));
        let page = gateway.get("/v1/signals", &query).await?.body;
        let items = list(&page, "items");
        let recent = items.iter().filter(|item| {
            let at = item.get("receivedAt").and_then(Value::as_i64);
            at.is_some_and(|at| at >= since.as_millis())
        });
        let before = found.len();
        found.extend(recent.cloned());
        let all_recent = found.len() == before.saturating_add(items.len());
        cursor = page
            .get("nextCursor")
            .and_then(Value::as_str)
            .map(str::to_owned)
            .filter(|_| all_recent);
        if cursor.is_none() {
            return Ok(found);
        }
        pages = pages.saturating_add(1);
        if pages.checked_rem(PAGES_IN_SILENCE) == Some(0) {
            eprintln!("hoox: {} signals so far", found.len());
        }
    }
}

/// What the records came to.
fn compared(read: usize, unread: u32, otherwise: &[(&Value, String)]) -> Done {
    const SHOWN: [&str; 6] = ["receivedAt", "id", "account", "sender", "action", "symbol"];
    let mut text = String::new();
    for (signal, why) in otherwise {
        let about = cells(signal, &SHOWN).join("  ");
        writeln!(text, "{about}\n  {}", plain(why)).unwrap_or_default();
    }
    let count = otherwise.len();
    let alerts = if read == 1 { "alert" } else { "alerts" };
    writeln!(
        text,
        "{read} {alerts} of the last 8 days read again: {count} would be judged otherwise today."
    )
    .unwrap_or_default();
    if unread > 0 {
        writeln!(
            text,
            "{unread} records are of another version and were not read."
        )
        .unwrap_or_default();
    }
    let rows: Vec<Value> = otherwise
        .iter()
        .map(|(signal, why)| json!({ "signal": signal, "why": why }))
        .collect();
    let done = Done::new(
        text,
        json!({ "read": read, "unread": unread, "otherwise": rows }),
    );
    if count > 0 {
        done.ended(Status::Bad)
    } else if unread > 0 {
        done.ended(Status::Unjudged)
    } else {
        done
    }
}
