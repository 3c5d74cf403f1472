//! `hoox dead-letters`: what Hoox took and could not finish, and what a person does about it.

use core::fmt::Write as _;

use clap::{Args, Subcommand};
use hoox_model::{ClientOrderId, Price, Quantity, SignalId};
use reqwest::Method;
use serde_json::{Value, json};

use super::{confirm, list};
use crate::context::Context;
use crate::failure::Failure;
use crate::gateway::Gateway;
use crate::output::{Done, cell, plain};
use crate::status::Status;

const PATH: &str = "/v1/dead-letters";

#[derive(Debug, Subcommand)]
pub(crate) enum DeadLetters {
    /// All that wait for a person, oldest first: why, and what to do about each
    List {
        /// One account only, by name or id
        #[arg(long)]
        account: Option<String>,
    },
    /// One of them, with its orders and its alert
    Show {
        /// The signal's id
        signal: SignalId,
    },
    /// Say what became of an order that could not be found out, or have the exchange asked once more
    Settle(Settle),
    /// Decide the signal anew, as of now; this trades
    Replay {
        /// The signal's id
        signal: SignalId,
    },
    /// Take it off the list; nothing is traded
    Discard {
        /// The signal's id
        signal: SignalId,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Settle {
    /// The signal's id
    signal: SignalId,
    /// The order, by the id that Hoox gave it at the exchange
    #[arg(long, value_name = "CLIENT_ORDER_ID")]
    order: ClientOrderId,
    /// How much of it was filled, in base currency; 0 where the exchange has no such order, or it ended without a fill
    #[arg(long, value_name = "QUANTITY")]
    filled: Option<Quantity>,
    /// Mean price of what was filled
    #[arg(long, value_name = "PRICE", requires = "filled")]
    average_price: Option<Price>,
    /// Have the exchange asked once more, which is what is done without --filled
    #[arg(long, conflicts_with = "filled")]
    ask_again: bool,
}

pub(crate) async fn run(context: &Context, task: &DeadLetters) -> Result<Done, Failure> {
    let gateway = &context.gateway()?;
    let yes = context.global.yes;
    match task {
        DeadLetters::List { account } => all(gateway, account.as_deref()).await,
        DeadLetters::Show { signal } => {
            let letter = one(gateway, signal).await?;
            Ok(Done::new(whole(&letter, gateway.again()), letter))
        }
        DeadLetters::Settle(asked) => settle(gateway, yes, asked).await,
        DeadLetters::Replay { signal } => replay(gateway, yes, signal).await,
        DeadLetters::Discard { signal } => discard(gateway, yes, signal).await,
    }
}

async fn all(gateway: &Gateway, account: Option<&str>) -> Result<Done, Failure> {
    let query: Vec<(&str, &str)> = account
        .map(|account| ("account", account))
        .into_iter()
        .collect();
    let found = gateway.get(PATH, &query).await?.body;
    let letters = list(&found, "items");
    let mut text = String::new();
    for letter in letters {
        text.push_str(&brief(letter, gateway.again()));
        text.push('\n');
    }
    let total = found.get("total").and_then(Value::as_u64).unwrap_or(0);
    let shown = u64::try_from(letters.len()).unwrap_or(u64::MAX);
    match total {
        0 => text.push_str("No dead letter waits for you.\n"),
        1 => text.push_str("1 dead letter waits for you.\n"),
        _ => writeln!(text, "{total} dead letters wait for you.").unwrap_or_default(),
    }
    if total > shown {
        let more = total.saturating_sub(shown);
        writeln!(
            text,
            "{more} of them are not shown: the oldest of each account come first, and settled ones make room."
        )
        .unwrap_or_default();
    }
    let silent: Vec<String> = list(&found, "unreachable")
        .iter()
        .map(|name| plain(name.as_str().unwrap_or_default()))
        .collect();
    if silent.is_empty() {
        return Ok(Done::new(text, found));
    }
    writeln!(
        text,
        "UNREACHABLE: {}. What these accounts have is not in the list; repeat it.",
        silent.join(", ")
    )
    .unwrap_or_default();
    Ok(Done::new(text, found).ended(Status::Refused))
}

/// The letter of an answer, or why there is none.
fn letter(mut body: Value) -> Result<Value, Failure> {
    let found = body.get_mut("deadLetter").map(Value::take);
    found
        .filter(|letter| !letter.is_null())
        .ok_or_else(|| Failure::new("NOT_FOUND", "the gateway has no signal with this id"))
}

async fn one(gateway: &Gateway, signal: &SignalId) -> Result<Value, Failure> {
    letter(gateway.get(&format!("{PATH}/{signal}"), &[]).await?.body)
}

/// A letter of which every order has an end. Another one can be neither replayed nor discarded.
async fn ended(gateway: &Gateway, signal: &SignalId) -> Result<Value, Failure> {
    let letter = one(gateway, signal).await?;
    let lost = unknown(&letter);
    let Some(order) = lost.first() else {
        return Ok(letter);
    };
    let message = format!("{order} could not be found out: settle it first");
    Err(Failure::new("CONFLICT", message).hint(format!(
        "hoox dead-letters settle {signal} --order {order} --filled QUANTITY{}",
        gateway.again()
    )))
}

/// Its orders that could not be found out.
fn unknown(letter: &Value) -> Vec<String> {
    list(letter, "orders")
        .iter()
        .filter(|order| order.get("status").and_then(Value::as_str) == Some("unknown"))
        .map(|order| cell(order, "clientOrderId"))
        .collect()
}

async fn settle(gateway: &Gateway, yes: bool, asked: &Settle) -> Result<Done, Failure> {
    let Settle { signal, order, .. } = asked;
    let mut said = json!({ "clientOrderId": order });
    let question = match &asked.filled {
        None => format!("The exchange will be asked once more about {order}."),
        Some(filled) => {
            said = json!({ "clientOrderId": order, "filledQuantity": filled, "averagePrice": asked.average_price });
            format!(
                "{order} will be recorded as ended with {filled} filled, whatever the exchange says later."
            )
        }
    };
    confirm(yes, &question)?;
    let path = format!("{PATH}/{signal}/settle");
    let answer = gateway.change(Method::POST, &path, Some(&said)).await?;
    let found = letter(answer.body)?;
    let again = gateway.again();
    let mut text = match &asked.filled {
        None => format!(
            "The exchange is asked about {order}. What it says: hoox dead-letters show {signal}{again}\n"
        ),
        Some(filled) => format!("{order} is settled: {filled} filled.\n"),
    };
    if asked.filled.is_some() && is(&found, "waiting") {
        text.push_str("The signal still waits for you:\n");
        text.push_str(&next(&found, again));
    }
    Ok(Done::new(text, found))
}

async fn replay(gateway: &Gateway, yes: bool, signal: &SignalId) -> Result<Done, Failure> {
    let before = ended(gateway, signal).await?;
    if !yes {
        eprint!("{}", about(&before));
    }
    let question = format!(
        "This trades: {} is decided anew, by the limits, the rights and the positions of now, as if it came now.",
        what(&before)
    );
    confirm(yes, &question)?;
    let path = format!("{PATH}/{signal}/replay");
    let answer = gateway.change(Method::POST, &path, None).await?;
    let found = letter(answer.body)?;
    let text = format!(
        "{} is decided anew as {}. What becomes of it: hoox monitor signals{}\n",
        what(&found),
        cell(&found, "replayedAs"),
        gateway.again()
    );
    Ok(Done::new(text, found))
}

async fn discard(gateway: &Gateway, yes: bool, signal: &SignalId) -> Result<Done, Failure> {
    let before = ended(gateway, signal).await?;
    if !yes {
        eprint!("{}", about(&before));
    }
    let question = format!(
        "{} is given up: nobody will carry out what is left of it.",
        what(&before)
    );
    confirm(yes, &question)?;
    let path = format!("{PATH}/{signal}");
    let answer = gateway.change(Method::DELETE, &path, None).await?;
    let found = letter(answer.body)?;
    let text = format!("{} is off the list.\n", what(&found));
    Ok(Done::new(text, found))
}

fn is(letter: &Value, field: &str) -> bool {
    letter.get(field) == Some(&Value::Bool(true))
}

/// What it is, in a few words.
fn what(letter: &Value) -> String {
    let [action, symbol, account] =
        ["action", "symbol", "account"].map(|field| cell(letter, field));
    format!("{action} {symbol} on {account}")
}

/// A letter of the list: what it is, why it is one, and what to do next.
fn brief(letter: &Value, again: &str) -> String {
    let mut text = head(letter);
    text.push_str(&why(letter));
    for order in list(letter, "orders") {
        text.push_str(&line("order", &ordered(order)));
    }
    text.push_str(&next(letter, again));
    text
}

/// Everything about one.
fn whole(letter: &Value, again: &str) -> String {
    about(letter) + &next(letter, again)
}

/// What it is, why it is one, its orders and its alert.
fn about(letter: &Value) -> String {
    let mut text = head(letter);
    text.push_str(&why(letter));
    for note in list(letter, "notes").iter().filter_map(Value::as_str) {
        text.push_str(&line("note", &plain(note)));
    }
    for order in list(letter, "orders") {
        text.push_str(&line("order", &ordered(order)));
    }
    if let Some(body) = letter.get("body").and_then(Value::as_str) {
        let alert: Vec<&str> = body.lines().map(str::trim).collect();
        text.push_str(&line("alert", &plain(&alert.join(" "))));
    }
    text
}

fn line(name: &str, text: &str) -> String {
    format!("  {name:<6}  {text}\n")
}

fn head(letter: &Value) -> String {
    let [id, sender, at] = ["signalId", "sender", "receivedAt"].map(|field| cell(letter, field));
    format!("{id}  {}, from {sender}, {at}\n", what(letter))
}

fn why(letter: &Value) -> String {
    let [status, code, message] = ["status", "code", "message"].map(|field| cell(letter, field));
    let told = match (message.as_str(), code.as_str()) {
        ("-", "-") => status,
        ("-", code) => format!("{status} ({code})"),
        (message, "-") => format!("{status}: {message}"),
        (message, code) => {
            // Some sentences end with their code.
            let message = message.trim_end_matches(&format!(" ({code})"));
            format!("{status}: {message} ({code})")
        }
    };
    line("why", &told)
}

fn ordered(order: &Value) -> String {
    let [id, side, quantity, symbol, kind, status, filled, average] = [
        "clientOrderId",
        "side",
        "quantity",
        "symbol",
        "orderType",
        "status",
        "filledQuantity",
        "averagePrice",
    ]
    .map(|field| cell(order, field));
    let at = if average == "-" {
        String::new()
    } else {
        format!(" at {average}")
    };
    let reduces = if is(order, "reduceOnly") {
        ", reduce-only"
    } else {
        ""
    };
    format!("{id}: {side} {quantity} {symbol} {kind}{reduces}: {status}, filled {filled}{at}")
}

/// What a person does next, with the very commands to type.
fn next(letter: &Value, again: &str) -> String {
    let id = cell(letter, "signalId");
    let account = cell(letter, "account");
    let mut steps = Vec::new();
    let unknown = unknown(letter);
    if !is(letter, "waiting") && !is(letter, "unsettled") {
        let replayed = cell(letter, "replayedAs");
        return line(
            "next",
            &if replayed == "-" {
                "nothing: it does not wait for you".to_owned()
            } else {
                format!("nothing: it was decided anew as {replayed}")
            },
        );
    }
    for order in &unknown {
        steps.push(format!(
            "look for {order} at the exchange, then say what was filled, 0 where it is not there:"
        ));
        steps.push(format!(
            "  hoox dead-letters settle {id} --order {order} --filled QUANTITY{again}"
        ));
        steps.push("or have Hoox ask the exchange once more:".to_owned());
        steps.push(format!(
            "  hoox dead-letters settle {id} --order {order} --ask-again{again}"
        ));
    }
    if unknown.is_empty() {
        steps.extend(cause(letter, &account, again));
        let traded = list(letter, "orders").iter().any(|order| {
            let filled = cell(order, "filledQuantity");
            filled.chars().any(|digit| ('1'..='9').contains(&digit))
        });
        if traded {
            steps.push(
                "a part was traded. A close of everything can be replayed, and closes what is left:"
                    .to_owned(),
            );
            steps.push(format!("  hoox dead-letters replay {id}{again}"));
            steps.push("of anything else send an alert for the rest, then:".to_owned());
        } else {
            steps.push("carry it out now, which trades:".to_owned());
            steps.push(format!("  hoox dead-letters replay {id}{again}"));
            steps.push("or give it up:".to_owned());
        }
        steps.push(format!("  hoox dead-letters discard {id}{again}"));
    }
    let mut text = String::new();
    for (number, step) in steps.iter().enumerate() {
        let name = if number == 0 { "next" } else { "" };
        text.push_str(&line(name, step));
    }
    text
}

/// What to mend first, where the reason would still hold at a replay.
fn cause(letter: &Value, account: &str, again: &str) -> Option<String> {
    let first = match letter.get("code").and_then(Value::as_str)? {
        "UNSETTLED" => {
            format!(
                "settle the earlier order of the symbol first: hoox dead-letters list --account {account}{again}"
            )
        }
        "VENUE_CREDENTIALS" | "NOT_CONFIGURED" => {
            format!(
                "the account cannot trade as it is; see what is wrong with its key: hoox accounts test {account}{again}"
            )
        }
        "VENUE_LOCATION" => {
            format!(
                "the exchange refuses where the calls come from: give {account} another locationHint: hoox config manifest edit{again}"
            )
        }
        _ => return None,
    };
    Some(first)
}
