//! Exchange keys: what each may do, and how long it lives.

use hoox_model::Timestamp;
use serde_json::Value;

use super::{Check, Group};
use crate::clock::now;
use crate::commands::list;
use crate::failure::Failure;
use crate::gateway::Gateway;
use crate::output::cell;

const GROUP: Group = Group("Exchange keys");
pub(crate) const NAME: &str = "exchange keys";
/// A key that ends sooner needs a successor now, in days.
const SOON: i64 = 14;
const DAY: i64 = 24 * 60 * 60 * 1_000;

/// Asks every account's exchange about its key.
pub(crate) async fn checks(gateway: &Gateway) -> Vec<Check> {
    match present(gateway, &[]).await {
        Ok(answer) => judge(&answer, now()),
        Err(failure) if failure.code == "NOT_FOUND" => {
            vec![GROUP.skip(
                NAME,
                "this gateway cannot look at them yet: deploy a newer one",
            )]
        }
        Err(failure) => vec![GROUP.failed(NAME, &failure)],
    }
}

/// What the exchanges say of the keys, of the accounts that are in the manifest. The Ledgers of others live on, for
/// what they may still hold, and are asked as well.
pub(crate) async fn present(gateway: &Gateway, query: &[(&str, &str)]) -> Result<Value, Failure> {
    let mut answer = gateway.get("/v1/keys", query).await?.body;
    let manifest = gateway.get("/v1/accounts", &[]).await?.body;
    let known = |report: &Value| {
        let same = |account: &Value| {
            account.get("name") == report.get("account")
                && account.get("venue") == report.get("venue")
                && account.get("environment") == report.get("environment")
        };
        list(&manifest, "accounts").iter().any(same)
    };
    if let Some(accounts) = answer.get_mut("accounts").and_then(Value::as_array_mut) {
        accounts.retain(known);
    }
    Ok(answer)
}

/// Judges the gateway's answer: a line for each account.
pub(crate) fn judge(answer: &Value, now: Timestamp) -> Vec<Check> {
    let unreachable = list(answer, "unreachable").iter().map(|name| {
        let name = name.as_str().unwrap_or("?");
        GROUP.unknown(name, "its Ledger did not answer", "repeat it")
    });
    let accounts = list(answer, "accounts").iter();
    let accounts = accounts.map(|found| account(found, now));
    let checks: Vec<Check> = accounts.chain(unreachable).collect();
    if checks.is_empty() {
        return vec![GROUP.skip(NAME, "there is no account")];
    }
    checks
}

fn account(found: &Value, now: Timestamp) -> Check {
    let name = format!(
        "{} ({}, {})",
        cell(found, "account"),
        cell(found, "venue"),
        cell(found, "environment")
    );
    let is_given = |value: &&Value| !value.is_null();
    if let Some(problem) = found.get("problem").filter(is_given) {
        let detail = format!("{} ({})", cell(problem, "error"), cell(problem, "code"));
        let fix = match problem.get("code").and_then(Value::as_str) {
            Some("NOT_CONFIGURED") => "set it: `hoox secrets set`",
            Some("UNSUPPORTED") => {
                "take the account off the manifest until its exchange is available"
            }
            Some("VENUE_LOCATION") => "give the account another location",
            Some("VENUE_UNAVAILABLE" | "NOT_CONFIRMED" | "INTERNAL") => {
                return GROUP.unknown(&name, detail, "repeat it later");
            }
            _ => "look at the key at the exchange; set another one by `hoox secrets set`",
        };
        return GROUP.fail(&name, detail, fix);
    }
    let Some(key) = found.get("key").filter(is_given) else {
        return GROUP.unknown(&name, "nothing is known of its key", "repeat it");
    };
    rights(&name, key, now)
}

fn rights(name: &str, key: &Value, now: Timestamp) -> Check {
    let rights = key.get("rights").unwrap_or(&Value::Null);
    let may = |right: &str| rights.get(right).and_then(Value::as_bool);
    // What is not said is taken for the worse.
    if may("withdraw") != Some(false) || may("transfer") != Some(false) {
        return GROUP.fail(
            name,
            "it can move money out of the account",
            "make a key that cannot withdraw or transfer, set it by `hoox secrets set`, and delete this one",
        );
    }
    let products = rights.get("trade").and_then(Value::as_object);
    let trades = products.is_some_and(|found| found.values().any(|may| *may == Value::Bool(true)));
    if !trades || may("read") != Some(true) {
        return GROUP.fail(
            name,
            "it cannot read and trade",
            "give it both rights at the exchange",
        );
    }
    let ends = key.get("expiresAt").and_then(Value::as_i64);
    let left = ends.map(|ends| Timestamp::from_millis(ends).since(now));
    let days = left.map(|left| left.div_euclid(DAY));
    let renew = "renew it at the exchange, or make a new one and set it by `hoox secrets set`";
    if left.is_some_and(|left| left <= 0) {
        return GROUP.fail(name, "it has expired", renew);
    }
    if let Some(days) = days.filter(|days| *days < SOON) {
        return GROUP.warn(name, format!("it expires in {days} days"), renew);
    }
    let until = days.map_or_else(
        || "no expiry".to_owned(),
        |days| format!("expires in {days} days"),
    );
    if !list(key, "ips").is_empty() {
        return GROUP.pass(
            name,
            format!("trades, moves no money, bound to addresses; {until}"),
        );
    }
    GROUP.warn(
        name,
        format!("trades, moves no money, not bound to addresses; {until}"),
        "Workers have no fixed address to bind it to: note the expiry, and give it no other right",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;
    use serde_json::json;

    const NOW: Timestamp = Timestamp::from_millis(1_000 * DAY);

    fn verdict(account: &Value) -> Verdict {
        let answer = json!({ "success": true, "accounts": [account], "unreachable": [] });
        let checks = judge(&answer, NOW);
        let [check] = checks.as_slice() else {
            panic!("one account, one line: {checks:?}");
        };
        check.verdict
    }

    /// The verdict on a good key with another value at a place.
    fn key(place: &str, value: &Value) -> Verdict {
        let rights = json!({ "read": true, "trade": { "linear": true, "spot": false }, "withdraw": false, "transfer": false });
        let key = json!({ "rights": rights, "readOnly": false, "ips": ["192.0.2.1"], "createdAt": 0, "expiresAt": null });
        let mut account = json!({ "account": "main", "venue": "bybit", "environment": "live", "key": key, "problem": null });
        *account["key"].pointer_mut(place).unwrap() = value.clone();
        verdict(&account)
    }

    #[test]
    fn a_key_trades_and_nothing_else_and_lives_on() {
        let days = |days: i64| json!(NOW.plus_millis(days * DAY).as_millis());
        for (place, value, expected) in [
            ("/expiresAt", json!(null), Verdict::Pass),
            ("/rights/withdraw", json!(true), Verdict::Fail),
            ("/rights/withdraw", json!(null), Verdict::Fail),
            ("/rights/transfer", json!(true), Verdict::Fail),
            (
                "/rights/trade",
                json!({ "linear": false, "spot": false }),
                Verdict::Fail,
            ),
            ("/rights/trade", json!(null), Verdict::Fail),
            ("/rights/read", json!(false), Verdict::Fail),
            ("/rights", json!(null), Verdict::Fail),
            ("/ips", json!([]), Verdict::Warn),
            ("/expiresAt", days(14), Verdict::Pass),
            ("/expiresAt", days(13), Verdict::Warn),
            ("/expiresAt", json!(NOW.as_millis() + 1), Verdict::Warn),
            ("/expiresAt", days(0), Verdict::Fail),
            ("/expiresAt", days(-3), Verdict::Fail),
        ] {
            assert_eq!(key(place, &value), expected, "{place} {value}");
        }
    }

    #[test]
    fn a_key_that_is_refused_is_a_failure_and_one_that_nobody_could_ask_about_is_not_known() {
        let problem = json!({ "code": "VENUE_CREDENTIALS", "error": "the key is invalid" });
        assert_eq!(
            verdict(&json!({ "account": "main", "key": null, "problem": problem })),
            Verdict::Fail
        );
        assert_eq!(
            verdict(&json!({ "account": "main", "key": null, "problem": null })),
            Verdict::Unknown
        );
        let away = json!({ "code": "VENUE_UNAVAILABLE", "error": "no answer" });
        assert_eq!(
            verdict(&json!({ "account": "main", "key": null, "problem": away })),
            Verdict::Unknown
        );
        let silent = judge(&json!({ "accounts": [], "unreachable": ["main"] }), NOW);
        assert_eq!(
            silent.iter().map(|check| check.verdict).collect::<Vec<_>>(),
            [Verdict::Unknown]
        );
        let none = judge(&json!({ "accounts": [], "unreachable": [] }), NOW);
        assert_eq!(none, [GROUP.skip(NAME, "there is no account")]);
    }
}
