//! What health and the kill switch tell of an account's exits: how far closing everything has come, and exits that are
//! not done. A gateway that does not tell leaves the fields out.

use hoox_model::Timestamp;
use serde_json::Value;

use super::list;
use crate::output::{cell, plain};

/// Exits of an account, in words.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Exits {
    /// What an operator should see, a line each.
    pub(crate) lines: Vec<String>,
    /// Whether an exit is not done, or the exchange refuses to close something.
    pub(crate) bad: bool,
}

impl Exits {
    /// Those of every account that an answer tells about.
    pub(crate) fn of_all(accounts: &[Value]) -> Self {
        let mut all = Self::default();
        for account in accounts {
            let Self { lines, bad } = Self::of(account);
            all.lines.extend(lines);
            all.bad |= bad;
        }
        all
    }

    pub(crate) fn of(account: &Value) -> Self {
        let name = cell(account, "account");
        let mut found = Self::default();
        if let Some(job) = job(account) {
            found.flatten(&name, job);
        }
        for exit in list(account, "exitsUndone") {
            found.bad = true;
            let [id, symbol] = ["signalId", "symbol"].map(|field| cell(exit, field));
            let since = moment(exit, "since");
            let since = since.map_or_else(String::new, |since| format!(" since {since}"));
            let reason = reason(exit).unwrap_or_else(|| "no reason is told".to_owned());
            found.lines.push(format!(
                "EXIT NOT DONE {name} {symbol}{since}: {reason} ({id})"
            ));
        }
        found
    }

    fn flatten(&mut self, name: &str, job: &Value) {
        for symbol in list(job, "symbols") {
            let state = cell(symbol, "state");
            let what = held(symbol);
            let word = match state.as_str() {
                "closed" => "FLAT",
                "refused" => {
                    self.bad = true;
                    "NOT FLAT"
                }
                _ => "NOT FLAT",
            };
            let mut line = format!("{word} {name} {what}: {state}");
            if let Some(reason) = reason(symbol) {
                line.push_str(", ");
                line.push_str(&reason);
            }
            if let Some(at) = moment(symbol, "nextTry") {
                line.push_str("; next try ");
                line.push_str(&at);
            }
            self.lines.push(line);
        }
        for left in list(job, "except") {
            let mut line = format!("LEFT OPEN {name} {}", held(left));
            if let Some(reason) = reason(left) {
                line.push_str(": ");
                line.push_str(&reason);
            }
            self.lines.push(line);
        }
        if is_flat(job) && self.lines.is_empty() {
            self.lines.push(format!("FLAT {name}: nothing is held"));
        }
    }
}

/// Whether an account is being closed and not flat yet.
pub(crate) fn is_open(account: &Value) -> bool {
    job(account).is_some_and(|job| !is_flat(job))
}

/// That dead letters of an account wait for a person, and the command that shows them.
pub(crate) fn letters(account: &Value, again: &str) -> Option<String> {
    let waiting = account.get("deadLetters").and_then(Value::as_u64);
    let waiting = waiting.filter(|waiting| *waiting > 0)?;
    let name = cell(account, "account");
    Some(format!(
        "DEAD LETTERS {name}: {waiting} wait for you: hoox dead-letters list --account {name}{again}"
    ))
}

/// The job that closes everything, where there is one.
fn job(account: &Value) -> Option<&Value> {
    account.get("flatten").filter(|job| job.is_object())
}

fn is_flat(job: &Value) -> bool {
    job.get("flat") == Some(&Value::Bool(true))
}

/// What is held: symbol and side, or a text as it is.
fn held(item: &Value) -> String {
    if let Some(text) = item.as_str() {
        return plain(text);
    }
    let fields = ["symbol", "side", "quantity"].map(|field| cell(item, field));
    let told: Vec<String> = fields.into_iter().filter(|word| word != "-").collect();
    told.join(" ")
}

/// Why, as a text or as `{"code", "error"}`.
fn reason(item: &Value) -> Option<String> {
    let told = item.get("reason").filter(|reason| !reason.is_null())?;
    if let Some(text) = told.as_str() {
        return Some(plain(text));
    }
    let said = ["error", "message"]
        .into_iter()
        .find_map(|field| told.get(field)?.as_str());
    let code = told.get("code").and_then(Value::as_str);
    Some(match (said, code) {
        (Some(said), Some(code)) => format!("{} ({})", plain(said), plain(code)),
        (Some(word), None) | (None, Some(word)) => plain(word),
        (None, None) => told.to_string(),
    })
}

/// A moment: milliseconds as RFC 3339, a text as it is.
fn moment(item: &Value, field: &str) -> Option<String> {
    let at = item.get(field)?;
    if let Some(millis) = at.as_i64() {
        return Some(Timestamp::from_millis(millis).to_string());
    }
    at.as_str().map(plain)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_symbol_says_whether_it_is_flat_and_why_not() {
        let account = json!({
            "account": "main",
            "flatten": {
                "flat": false,
                "symbols": [
                    { "symbol": "BTCUSDT", "state": "closed" },
                    { "symbol": "ETHUSDT", "side": "long", "state": "closing" },
                    { "symbol": "SOLUSDT", "side": "short", "state": "refused", "reason": "in\u{7}sufficient margin", "nextTry": 1_795_408_718_174_i64 },
                ],
                "except": ["DOGEUSDT", { "symbol": "XRPUSDT", "side": "long", "quantity": "0.1", "reason": { "code": "BELOW_MINIMUM", "error": "dust" } }],
            },
            "exitsUndone": [
                { "signalId": "01M832V2N9H62T92WHFH4Q1J0H", "symbol": "BTCUSDT", "since": "2026-11-23T09:30:00.000Z", "reason": "the venue is away" },
            ],
        });
        let found = Exits::of(&account);
        assert!(found.bad && is_open(&account));
        insta::assert_snapshot!(found.lines.join("\n"));
    }

    #[test]
    fn an_answer_that_says_nothing_of_exits_has_nothing_to_show() {
        for quiet in [
            json!({}),
            json!({ "account": "main", "flatten": null, "exitsUndone": [] }),
            json!({ "account": "main", "flatten": false }),
        ] {
            assert_eq!(Exits::of(&quiet), Exits::default());
            assert!(!is_open(&quiet));
        }
    }

    #[test]
    fn closing_is_no_bad_verdict_and_neither_is_what_is_named_as_left_open() {
        let closing = json!({ "account": "a", "flatten": { "flat": false, "symbols": [{ "symbol": "BTCUSDT", "state": "closing" }] } });
        assert!(!Exits::of(&closing).bad && is_open(&closing));
        let dust = json!({ "account": "a", "flatten": { "flat": true, "symbols": [], "except": ["BTCUSDT"] } });
        assert!(!Exits::of(&dust).bad && !is_open(&dust));
        let flat = json!({ "account": "a", "flatten": { "flat": true } });
        assert_eq!(Exits::of(&flat).lines, ["FLAT a: nothing is held"]);
    }
}
