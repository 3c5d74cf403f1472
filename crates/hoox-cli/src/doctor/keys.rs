//! Exchange keys: what each may do, and how long it lives.

use serde_json::Value;

use super::{Check, Group};
use crate::commands::list;
use crate::gateway::Gateway;
use crate::output::cell;

const GROUP: Group = Group("Exchange keys");
pub(crate) const NAME: &str = "exchange keys";
/// A key that ends sooner needs a successor now, in days.
const SOON: i64 = 14;

/// Asks every account's exchange about its key.
pub(crate) async fn checks(gateway: &Gateway) -> Vec<Check> {
    match gateway.get("/v1/keys", &[]).await {
        Ok(answer) => judge(&answer.body),
        Err(failure) if failure.code == "NOT_FOUND" => {
            vec![GROUP.skip(
                NAME,
                "this gateway cannot look at them yet: deploy a newer one",
            )]
        }
        Err(failure) => vec![GROUP.failed(NAME, &failure)],
    }
}

/// Judges the gateway's answer: a line for each account.
fn judge(answer: &Value) -> Vec<Check> {
    let unreachable = list(answer, "unreachable").iter().map(|name| {
        let name = name.as_str().unwrap_or("?");
        GROUP.fail(name, "its Ledger did not answer", "repeat it")
    });
    let accounts = list(answer, "accounts").iter().map(account);
    let checks: Vec<Check> = accounts.chain(unreachable).collect();
    if checks.is_empty() {
        return vec![GROUP.skip(NAME, "there is no account")];
    }
    checks
}

fn account(found: &Value) -> Check {
    let name = format!(
        "{} ({}, {})",
        cell(found, "account"),
        cell(found, "venue"),
        cell(found, "environment")
    );
    let is_given = |value: &&Value| !value.is_null();
    if let Some(problem) = found.get("problem").filter(is_given) {
        let detail = format!("{} ({})", cell(problem, "error"), cell(problem, "code"));
        return GROUP.fail(
            &name,
            detail,
            "look at the key at the exchange; set it by `hoox secrets set`",
        );
    }
    let Some(key) = found.get("key").filter(is_given) else {
        return GROUP.fail(&name, "nothing is known of its key", "repeat it");
    };
    rights(&name, key)
}

fn rights(name: &str, key: &Value) -> Check {
    let may = |right: &str| key.get(right).and_then(Value::as_bool);
    if may("withdraw") != Some(false) {
        return GROUP.fail(
            name,
            "it can withdraw, or does not say that it cannot",
            "make a key without that right, set it by `hoox secrets set`, and delete this one",
        );
    }
    if may("trade") != Some(true) {
        return GROUP.fail(
            name,
            "it cannot trade",
            "give it the right to trade at the exchange",
        );
    }
    let days = key.get("expiresInDays").and_then(Value::as_i64);
    let renew = "renew it at the exchange, or make a new one and set it by `hoox secrets set`";
    match days {
        Some(days) if days <= 0 => return GROUP.fail(name, "it has expired", renew),
        Some(days) if days <= SOON => {
            return GROUP.warn(name, format!("it expires in {days} days"), renew);
        }
        _ => {}
    }
    let until = days.map_or_else(
        || "no expiry".to_owned(),
        |days| format!("expires in {days} days"),
    );
    if may("ipBound") == Some(true) {
        return GROUP.pass(
            name,
            format!("trades, cannot withdraw, bound to addresses; {until}"),
        );
    }
    GROUP.warn(
        name,
        format!("trades, cannot withdraw, not bound to addresses; {until}"),
        "Workers have no fixed address to bind it to: note the expiry, and give it no other right",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;
    use serde_json::json;

    fn verdict(account: &Value) -> Verdict {
        let checks = judge(&json!({ "success": true, "accounts": [account], "unreachable": [] }));
        let [check] = checks.as_slice() else {
            panic!("one account, one line: {checks:?}");
        };
        check.verdict
    }

    fn key(change: &Value) -> Verdict {
        let mut key =
            json!({ "trade": true, "withdraw": false, "ipBound": true, "expiresInDays": null });
        key.as_object_mut()
            .unwrap()
            .extend(change.as_object().unwrap().clone());
        verdict(
            &json!({ "account": "main", "venue": "bybit", "environment": "live", "key": key, "problem": null }),
        )
    }

    #[test]
    fn a_key_trades_and_nothing_else_and_lives_on() {
        for (change, expected) in [
            (json!({}), Verdict::Pass),
            (json!({ "withdraw": true }), Verdict::Fail),
            (json!({ "withdraw": null }), Verdict::Fail),
            (json!({ "trade": false }), Verdict::Fail),
            (json!({ "trade": null }), Verdict::Fail),
            (
                json!({ "ipBound": false, "expiresInDays": 80 }),
                Verdict::Warn,
            ),
            (json!({ "expiresInDays": 15 }), Verdict::Pass),
            (json!({ "expiresInDays": 14 }), Verdict::Warn),
            (json!({ "expiresInDays": 1 }), Verdict::Warn),
            (json!({ "expiresInDays": 0 }), Verdict::Fail),
            (json!({ "expiresInDays": -3 }), Verdict::Fail),
        ] {
            assert_eq!(key(&change), expected, "{change}");
        }
    }

    #[test]
    fn an_account_whose_key_cannot_be_looked_at_is_a_failure() {
        let problem = json!({ "code": "VENUE_CREDENTIALS", "error": "the key is invalid" });
        assert_eq!(
            verdict(&json!({ "account": "main", "key": null, "problem": problem })),
            Verdict::Fail
        );
        assert_eq!(
            verdict(&json!({ "account": "main", "key": null, "problem": null })),
            Verdict::Fail
        );
        let silent = judge(&json!({ "accounts": [], "unreachable": ["main"] }));
        assert_eq!(
            silent.iter().map(|check| check.verdict).collect::<Vec<_>>(),
            [Verdict::Fail]
        );
        let none = judge(&json!({ "accounts": [], "unreachable": [] }));
        assert_eq!(none, [GROUP.skip(NAME, "there is no account")]);
    }
}
