//! `hoox monitor kill-switch`.

use std::time::Instant;

use clap::{Args, ValueEnum};
use hoox_model::Timestamp;
use reqwest::Method;
use serde_json::{Value, json};

use super::exits::{Exits, is_open, letters};
use super::{confirm, list};
use crate::args::Global;
use crate::failure::Failure;
use crate::gateway::Gateway;
use crate::output::{Done, cell, rows, table};
use crate::status::Status;

#[derive(Debug, Args)]
pub(crate) struct KillSwitch {
    /// What to do
    #[arg(value_enum)]
    pub(crate) verb: Verb,
    /// What `on` stops: entries lets orders through that make a position smaller
    #[arg(long, value_enum, default_value = "entries")]
    pub(crate) mode: Mode,
    /// Close every position as well, whoever opened it
    #[arg(long)]
    pub(crate) flatten: bool,
    /// Why; it stands in the audit trail
    #[arg(long)]
    pub(crate) reason: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Verb {
    On,
    Off,
    Status,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    Entries,
    All,
}

const PATH: &str = "/v1/kill-switch";
/// Modes that this version knows.
const MODES: [&str; 3] = ["off", "entries", "all"];

pub(crate) async fn run(
    gateway: &Gateway,
    global: &Global,
    asked: &KillSwitch,
) -> Result<Done, Failure> {
    if asked.verb == Verb::Status {
        let found = gateway.get(PATH, &[]).await?;
        let state = found.body.get("killSwitch").unwrap_or(&Value::Null);
        return Ok(judged(state, gateway.again()));
    }
    let change = change(asked)?;
    if asked.flatten {
        confirm(
            global.yes,
            "Every position of every account will be closed.",
        )?;
    }
    if asked.verb == Verb::On && asked.mode == Mode::Entries {
        weaker(gateway, global).await?;
    }
    let begun = Instant::now();
    let answer = gateway.change(Method::PUT, PATH, Some(&change)).await?;
    let millis = begun.elapsed().as_millis();
    let state = answer.body.get("killSwitch").unwrap_or(&Value::Null);
    let accounts = list(state, "accounts");
    let on = asked.verb == Verb::On;
    let open: Vec<&Value> = accounts
        .iter()
        .filter(|account| !settled(account, on))
        .collect();
    let text = format!(
        "{}\n{}{}",
        in_words(state),
        table(
            &[
                "ACCOUNT",
                "ENGAGED",
                "UNREACHABLE",
                "ON THEIR WAY",
                "RESTING",
                "FLATTENING"
            ],
            &rows(
                accounts,
                &[
                    "account",
                    "engaged",
                    "unreachable",
                    "inFlight",
                    "resting",
                    "flattening"
                ]
            ),
        ),
        told(accounts.len(), &open, millis),
    );
    let text = text + &exits_of(accounts, gateway.again());
    let data = json!({ "killSwitch": state, "millis": u64::try_from(millis).unwrap_or(u64::MAX) });
    let done = Done::new(text, data);
    Ok(if open.is_empty() {
        done
    } else {
        done.ended(Status::Refused)
    })
}

/// The switch as it is: bad where an account has not done what it asks for, or an exit is not done.
fn judged(state: &Value, again: &str) -> Done {
    let accounts = list(state, "accounts");
    let mode = state.get("mode").and_then(Value::as_str);
    let mut text = format!("{}\n", in_words(state));
    text.push_str(&exits_of(accounts, again));
    let on = mode.is_some_and(|mode| mode != "off");
    let behind: Vec<String> = accounts
        .iter()
        .filter(|account| !is_with(account, on))
        .map(|account| cell(account, "account"))
        .collect();
    if !behind.is_empty() {
        text.push_str("NOT CONFIRMED by ");
        text.push_str(&behind.join(", "));
        text.push_str(". They are told again.\n");
    }
    let status = if !behind.is_empty() || Exits::of_all(accounts).bad {
        Status::Bad
    } else if mode.is_some_and(|mode| MODES.contains(&mode)) {
        Status::Good
    } else {
        Status::Unjudged
    };
    Done::new(text, state.clone()).ended(status)
}

/// Whether an account has the mode, as far as it is told.
fn is_with(account: &Value, on: bool) -> bool {
    let is = |field: &str| account.get(field).and_then(Value::as_bool);
    is("unreachable") != Some(true) && is("engaged").is_none_or(|engaged| engaged == on)
}

/// The accounts' exits and what waits for a person, a line each, as far as they are told.
fn exits_of(accounts: &[Value], again: &str) -> String {
    let waiting = accounts
        .iter()
        .filter_map(|account| letters(account, again));
    let lines = Exits::of_all(accounts).lines.into_iter().chain(waiting);
    lines.map(|line| line + "\n").collect()
}

/// Asks before a switch that stops everything lets exits through again. Where its mode cannot be read nothing is lost.
async fn weaker(gateway: &Gateway, global: &Global) -> Result<(), Failure> {
    let present = gateway.get(PATH, &[]).await;
    let mode = |answer: &crate::gateway::Answer| {
        let mode = answer.body.pointer("/killSwitch/mode");
        mode.and_then(Value::as_str) == Some("all")
    };
    if present.as_ref().is_ok_and(mode) {
        let question = "It stops everything now (all); with entries, exits go through again.";
        confirm(global.yes, question)?;
    }
    Ok(())
}

fn change(asked: &KillSwitch) -> Result<Value, Failure> {
    let mode = match (asked.verb, asked.mode) {
        (Verb::On, Mode::Entries) => "entries",
        (Verb::On, Mode::All) => "all",
        _ => "off",
    };
    if asked.flatten && mode != "entries" {
        return Err(Failure::usage(
            "--flatten closes positions, which only the mode entries lets through",
        )
        .hint("hoox monitor kill-switch on --mode entries --flatten"));
    }
    let mut change = json!({ "mode": mode });
    if let Some(fields) = change.as_object_mut() {
        if let Some(reason) = &asked.reason {
            fields.insert("reason".to_owned(), json!(reason));
        }
        if asked.flatten {
            fields.insert("flatten".to_owned(), json!(true));
        }
    }
    Ok(change)
}

/// Whether an account has done what was asked, and nothing is left of what was on its way.
fn settled(account: &Value, on: bool) -> bool {
    let is = |field: &str| account.get(field).and_then(Value::as_bool).unwrap_or(false);
    let none = |field: &str| account.get(field).and_then(Value::as_u64) == Some(0);
    !is("unreachable")
        && is("engaged") == on
        && (!on || (none("inFlight") && none("resting") && !is("flattening") && !is_open(account)))
}

fn in_words(state: &Value) -> String {
    let what = match state.get("mode").and_then(Value::as_str) {
        Some("entries") => "on: entries are stopped, exits go through",
        Some("all") => "on: everything is stopped",
        Some("off") => "off",
        _ => "in a mode that this version does not know",
    };
    let reason = cell(state, "reason");
    let reason = if reason == "-" {
        String::new()
    } else {
        format!(" ({reason})")
    };
    let suspended = state.get("mode").and_then(Value::as_str) == Some("all");
    let flatten = match state.get("flatten") {
        Some(Value::Bool(true)) if suspended => {
            ", and closing every position waits for the mode entries"
        }
        Some(Value::Bool(true)) => ", and every position is closed",
        _ => "",
    };
    // It has never been changed where the moment is 0.
    let since = state
        .get("since")
        .and_then(Value::as_i64)
        .filter(|at| *at > 0);
    let since = since.map(Timestamp::from_millis);
    let since = since.map_or_else(String::new, |since| format!(" Since {since}."));
    format!("The kill switch is {what}{flatten}{reason}.{since}")
}

fn told(accounts: usize, open: &[&Value], millis: u128) -> String {
    if open.is_empty() {
        return format!("Confirmed by {accounts} of {accounts} accounts in {millis} ms.\n");
    }
    let names: Vec<String> = open
        .iter()
        .map(|account| cell(account, "account"))
        .collect();
    format!(
        "NOT CONFIRMED, or with orders still open, after {millis} ms: {}. They are told again; repeat the command to see.\n",
        names.join(", ")
    )
}
