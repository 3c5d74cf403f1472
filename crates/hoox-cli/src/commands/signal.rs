//! `hoox signal send`.

use core::fmt::Write as _;

use clap::{Args, Subcommand};
use hoox_model::Code;
use serde_json::{Map, Value, json};

use super::confirm;
use super::secrets::random;
use crate::args::Global;
use crate::context::Context;
use crate::failure::Failure;
use crate::gateway::Gateway;
use crate::output::{Done, cell};
use crate::status::{OF_AN_ALERT, Status};
use crate::target::PASSKEY;

/// The field by which a repeated alert is known.
const IDEMPOTENCY_KEY: &str = "idempotencyKey";

#[derive(Debug, Subcommand)]
pub(crate) enum Signal {
    /// Send an alert; only plans unless --trade is given
    #[command(after_help = OF_AN_ALERT)]
    Send(SendSignal),
}

#[derive(Debug, Args)]
pub(crate) struct SendSignal {
    /// What to do, such as LONG, SHORT, close
    #[arg(long)]
    pub(crate) action: String,
    /// What, such as BTCUSDT
    #[arg(long)]
    pub(crate) symbol: String,
    /// How much, in base currency
    #[arg(long)]
    pub(crate) quantity: Option<String>,
    /// On which account
    #[arg(long)]
    pub(crate) account: Option<String>,
    /// More fields of the alert, as NAME=VALUE; may be repeated
    #[arg(long = "field", value_name = "NAME=VALUE")]
    pub(crate) fields: Vec<String>,
    /// Trade for real
    #[arg(long)]
    pub(crate) trade: bool,
}

pub(crate) async fn run(context: &Context, task: &Signal) -> Result<Done, Failure> {
    let Signal::Send(alert) = task;
    send(&context.webhook()?, &context.global, alert).await
}

async fn send(gateway: &Gateway, global: &Global, asked: &SendSignal) -> Result<Done, Failure> {
    let mut alert = Map::new();
    let mut put = |name: &str, value: Option<&String>| {
        if let Some(value) = value {
            alert.insert(name.to_owned(), json!(value));
        }
    };
    put("action", Some(&asked.action));
    put("symbol", Some(&asked.symbol));
    put("quantity", asked.quantity.as_ref());
    put("account", asked.account.as_ref());
    for field in &asked.fields {
        let Some((name, value)) = field.split_once('=') else {
            return Err(
                Failure::usage(format!("'{field}' is no field")).hint("write --field NAME=VALUE")
            );
        };
        alert.insert(name.to_owned(), json!(value));
    }
    alert.insert("dryRun".to_owned(), json!(!asked.trade));
    // One run of the command is one signal, however often it has to be sent.
    let name = match alert.get(IDEMPOTENCY_KEY).and_then(Value::as_str) {
        Some(name) => name.to_owned(),
        None => random()?.expose().to_owned(),
    };
    alert.insert(IDEMPOTENCY_KEY.to_owned(), json!(name));
    if asked.trade {
        confirm(
            global.yes,
            &format!("This trades: {} {}.", asked.action, asked.symbol),
        )?;
    }
    let key = gateway.passkey().ok_or_else(|| {
        Failure::new("NO_KEY", "no sender's passkey is known").hint(format!(
            "set {PASSKEY} to what `hoox senders add` or `hoox senders rotate` showed"
        ))
    })?;
    alert.insert("apiKey".to_owned(), json!(key.expose()));
    let sent = gateway.alert(&Value::Object(alert)).await;
    let answer = sent.map_err(|failure| match failure.status {
        // A plan changes nothing, so nothing is in doubt.
        Status::Unknown if !asked.trade => failure.status(Status::Unjudged),
        Status::Unknown => failure.and(format!(
            "with --field {IDEMPOTENCY_KEY}={name} it cannot trade twice"
        )),
        _ => {
            let status = verdict(&failure.code, asked.trade);
            failure.status(status)
        }
    })?;
    let answer = answer.body;
    let mut text = format!(
        "{} on {}: {}\n",
        cell(&answer, "status"),
        cell(&answer, "account"),
        cell(&answer, "signalId")
    );
    let refused = answer.get("success").and_then(Value::as_bool) == Some(false);
    if refused {
        let [error, message, code] = ["error", "message", "code"].map(|field| cell(&answer, field));
        let why = if error == "-" { message } else { error };
        // Some sentences end with their code.
        let why = why.trim_end_matches(&format!(" ({code})"));
        writeln!(text, "  {why} ({code})").unwrap_or_default();
    }
    for note in super::list(&answer, "notes")
        .iter()
        .filter_map(Value::as_str)
    {
        writeln!(text, "  {note}").unwrap_or_default();
    }
    for order in super::list(&answer, "orders") {
        let [id, side, quantity, symbol, status] =
            ["clientOrderId", "side", "quantity", "symbol", "status"]
                .map(|field| cell(order, field));
        writeln!(text, "  {side} {quantity} {symbol}: {status} ({id})").unwrap_or_default();
    }
    let code = cell(&answer, "code");
    let done = Done::new(text, answer);
    Ok(if refused {
        done.ended(verdict(&code, asked.trade))
    } else {
        done
    })
}

/// What a refusal's code says about the alert: that it is refused, that nobody could judge it, or that what became of it
/// at the exchange is not known. A code that this version does not know is a refusal, unless it is this program's own.
fn verdict(code: &str, trade: bool) -> Status {
    let known = Code::ALL.iter().find(|known| known.as_str() == code);
    match known {
        Some(Code::Unknown) => Status::Unknown,
        Some(
            Code::NotFound
            | Code::MethodNotAllowed
            | Code::Forbidden
            | Code::Unauthorized
            | Code::Internal
            | Code::NotConfirmed
            | Code::NotConfigured,
        ) => Status::Unjudged,
        Some(Code::Unavailable | Code::Location | Code::Credentials) if !trade => Status::Unjudged,
        None if OWN_CODES.contains(&code) => Status::Unjudged,
        _ => Status::Bad,
    }
}

/// Failures of this program's own, before the gateway has judged anything.
const OWN_CODES: [&str; 3] = ["USAGE", "UNREACHABLE", "NO_KEY"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_refusal_says_about_the_alert() {
        for (code, plan, trade) in [
            ("BAD_FIELD", Status::Bad, Status::Bad),
            ("LIMIT", Status::Bad, Status::Bad),
            ("KILL_SWITCH", Status::Bad, Status::Bad),
            ("OUT_OF_ORDER", Status::Bad, Status::Bad),
            ("FORBIDDEN", Status::Unjudged, Status::Unjudged),
            ("NOT_CONFIGURED", Status::Unjudged, Status::Unjudged),
            ("UNREACHABLE", Status::Unjudged, Status::Unjudged),
            ("VENUE_UNAVAILABLE", Status::Unjudged, Status::Bad),
            ("UNKNOWN_OUTCOME", Status::Unknown, Status::Unknown),
        ] {
            assert_eq!(verdict(code, false), plan, "{code}");
            assert_eq!(verdict(code, true), trade, "{code}");
        }
    }
}
