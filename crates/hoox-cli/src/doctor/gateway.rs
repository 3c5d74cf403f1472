//! The gateway and its accounts, as its operator API tells.

use hoox_mesh::Edge;
use hoox_model::Timestamp;
use serde_json::Value;

use super::{Check, Group, keys};
use crate::args::Global;
use crate::clock::now;
use crate::commands::exits::Exits;
use crate::commands::list;
use crate::edges;
use crate::failure::Failure;
use crate::gateway::{Answer, Gateway};
use crate::output::cell;

const GROUP: Group = Group("Gateway");
const CLOCK: &str = "this machine's clock";
const ACCOUNTS: &str = "accounts";
const EDGES: &str = "edges' keys";
const CORS: &str = "CORS";
/// A clock further off than this makes messages look stale, in milliseconds.
const OWN_OFFSET: i64 = 5_000;
/// Exchanges refuse requests that are signed with a time further off, in milliseconds.
const VENUE_OFFSET: i64 = 1_000;

/// Looks at a gateway; what is asked waits for nothing else.
pub(crate) async fn checks(gateway: &Gateway) -> Vec<Check> {
    let (alive, switch, health, manifest, keys) = tokio::join!(
        gateway.get("/health", &[]),
        gateway.get("/v1/kill-switch", &[]),
        gateway.get("/v1/health", &[]),
        gateway.get("/v1/manifest", &[]),
        keys::checks(gateway),
    );
    let mut checks = vec![reachable(&alive), clock(&alive), kill_switch(switch)];
    match health {
        Ok(health) => {
            checks.extend(sides(&health.body, gateway.again()));
            checks.extend(accounts(&health.body, gateway.again()));
        }
        Err(failure) => checks.push(GROUP.failed(ACCOUNTS, &failure)),
    }
    checks.push(match manifest {
        Ok(found) => cors(GROUP, &origins(&found.body)),
        Err(failure) if failure.code == "NOT_PERMITTED" => {
            GROUP.skip(CORS, "the manifest is shown to operators at level admin")
        }
        Err(failure) => GROUP.failed(CORS, &failure),
    });
    checks.extend(keys);
    checks
}

fn reachable(alive: &Result<Answer, Failure>) -> Check {
    let name = "gateway";
    let body = match alive {
        Ok(answer) => &answer.body,
        Err(failure) => return GROUP.failed(name, failure),
    };
    let bindings = body.get("bindings").and_then(Value::as_object);
    let unbound = |(_, bound): &(&String, &Value)| **bound != Value::Bool(true);
    let missing: Vec<&str> = bindings
        .into_iter()
        .flatten()
        .filter(unbound)
        .map(|(name, _)| name.as_str())
        .collect();
    if bindings.is_none_or(serde_json::Map::is_empty) {
        return GROUP.unknown(name, "it does not say what it is bound to", "check --host");
    }
    if missing.is_empty() {
        return GROUP.pass(name, "reachable, every binding and secret is there");
    }
    let detail = format!("reachable, and lacks {}", missing.join(", "));
    GROUP.fail(
        name,
        detail,
        "set secrets by `hoox secrets generate`; a binding comes with a deployment",
    )
}

fn clock(alive: &Result<Answer, Failure>) -> Check {
    let date = match alive {
        Ok(answer) => answer.date.as_deref(),
        Err(_) => return GROUP.skip(CLOCK, "the gateway did not answer"),
    };
    match date.and_then(http_date) {
        Some(at) => off(now().since(at)),
        None => GROUP.skip(CLOCK, "the gateway's answer has no date"),
    }
}

fn off(millis: i64) -> Check {
    let seconds = millis / 1_000;
    if millis.saturating_abs() <= OWN_OFFSET {
        return GROUP.pass(CLOCK, "within 5 s of the gateway's");
    }
    let way = if millis > 0 { "ahead of" } else { "behind" };
    let detail = format!("{} s {way} the gateway's", seconds.saturating_abs());
    GROUP.warn(CLOCK, detail, "let the system set its clock (NTP)")
}

/// A moment as HTTP writes it, `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110, section 5.6.7).
fn http_date(text: &str) -> Option<Timestamp> {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let words: Vec<&str> = text.split_whitespace().collect();
    let [_, day, month, year, time, "GMT"] = words.as_slice() else {
        return None;
    };
    let month = MONTHS
        .iter()
        .position(|name| name == month)?
        .checked_add(1)?;
    Timestamp::parse(&format!("{year}-{month:02}-{day}T{time}Z")).ok()
}

fn kill_switch(answer: Result<Answer, Failure>) -> Check {
    let name = "kill switch";
    match answer {
        Ok(answer) => {
            let state = answer.body.get("killSwitch").unwrap_or(&Value::Null);
            match state.get("mode").and_then(Value::as_str) {
                Some(mode) => GROUP.pass(name, format!("reachable; its mode is {mode}")),
                None => GROUP.unknown(name, "the answer has no mode", "check --host"),
            }
        }
        Err(failure) => GROUP.failed(name, &failure),
    }
}

/// Edges whose keys are not the same on both sides.
fn sides(health: &Value, again: &str) -> Vec<Check> {
    let check = |edge: Edge| {
        let fix = edges::rotation(edge.secret(), again);
        GROUP.fail(EDGES, edges::words(edge), fix)
    };
    edges::differing(health).into_iter().map(check).collect()
}

/// Every account's Ledger: whether it answers, and whether something waits for a person.
fn accounts(health: &Value, again: &str) -> Vec<Check> {
    let unreachable = list(health, "unreachable").iter().map(|name| {
        let name = name.as_str().unwrap_or("?");
        let detail = "its Ledger did not answer";
        GROUP.fail(
            &format!("account {name}"),
            detail,
            "repeat it; then look at the logs: npx wrangler tail trade-worker",
        )
    });
    let checks: Vec<Check> = list(health, "accounts")
        .iter()
        .map(|found| account(found, again))
        .chain(unreachable)
        .collect();
    if checks.is_empty() {
        return vec![GROUP.warn(
            ACCOUNTS,
            "there is none",
            "put a manifest with an account: hoox config manifest set",
        )];
    }
    checks
}

fn account(health: &Value, again: &str) -> Check {
    let name = format!("account {}", cell(health, "account"));
    let exits = Exits::of(health);
    let (mut problems, mut fixes) = (Vec::new(), Vec::new());
    let waiting = health
        .get("deadLetters")
        .and_then(Value::as_u64)
        .unwrap_or(0);
    if waiting > 0 {
        problems.push(format!("dead letters: {waiting}"));
        fixes.push(format!(
            "settle, replay or discard each: hoox dead-letters list --account {}{again}",
            cell(health, "account")
        ));
    }
    if health
        .get("venuePausedUntil")
        .is_some_and(|until| !until.is_null())
    {
        problems.push(format!(
            "the exchange is left alone until {}",
            cell(health, "venuePausedUntil")
        ));
        fixes.push("it limits or fails: wait".to_owned());
    }
    let offset = health
        .get("clockOffsetMs")
        .and_then(Value::as_i64)
        .unwrap_or(0);
    if offset.saturating_abs() > VENUE_OFFSET {
        problems.push(format!(
            "its clock and the exchange's are {offset} ms apart"
        ));
        fixes.push("look at the exchange's status page".to_owned());
    }
    if exits.bad {
        problems.extend(exits.lines);
        fixes.push(format!(
            "look at the exchange, and whether it goes on: hoox monitor health{again}"
        ));
    }
    if problems.is_empty() {
        return GROUP.pass(
            &name,
            format!("its Ledger answers; clock offset {offset} ms"),
        );
    }
    if exits.bad {
        return GROUP.fail(&name, problems.join("; "), fixes.join("; "));
    }
    GROUP.warn(&name, problems.join("; "), fixes.join("; "))
}

fn origins(manifest: &Value) -> Vec<String> {
    let manifest = manifest.get("manifest").unwrap_or(manifest);
    let origins = list(manifest, "corsOrigins")
        .iter()
        .filter_map(Value::as_str);
    origins.map(str::to_owned).collect()
}

/// Which pages of browsers may call the operator API.
pub(crate) fn cors(group: Group, origins: &[String]) -> Check {
    let is_local = |origin: &str| {
        let host = origin.strip_prefix("http://").unwrap_or_default();
        let host = host.rsplit_once(':').map_or(host, |(name, port)| {
            if port.bytes().all(|digit| digit.is_ascii_digit()) {
                name
            } else {
                host
            }
        });
        matches!(host, "localhost" | "127.0.0.1" | "[::1]")
    };
    let is_plain = |origin: &&String| !origin.starts_with("https://") && !is_local(origin);
    let plain: Vec<&str> = origins
        .iter()
        .filter(is_plain)
        .map(String::as_str)
        .collect();
    if !plain.is_empty() {
        let detail = format!("pages without https may call /v1: {}", plain.join(", "));
        return group.fail(CORS, detail, "take them out of corsOrigins in the manifest");
    }
    if origins.is_empty() {
        return group.pass(CORS, "no page of a browser may call /v1");
    }
    let detail = format!(
        "pages of these origins may call /v1: {}",
        origins.join(", ")
    );
    group.warn(CORS, detail, "keep only what you use in corsOrigins")
}

/// What is said where no gateway can be asked: nothing is known of one, or what is given does not do.
pub(crate) fn unasked(global: &Global, failure: &Failure) -> Vec<Check> {
    let unset = match failure.code.as_str() {
        "USAGE" => global.host.is_none(),
        "NO_KEY" => global.operator_key_file.is_none(),
        _ => false,
    };
    let (first, why) = if unset {
        let hint = failure.hint.as_deref().unwrap_or_default();
        let why = format!("{}: {hint}", failure.message);
        (GROUP.skip("gateway", &why), failure.message.as_str())
    } else {
        (
            GROUP.failed("gateway", failure),
            "the gateway cannot be asked",
        )
    };
    let rest = [CLOCK, "kill switch", ACCOUNTS, keys::NAME];
    core::iter::once(first)
        .chain(rest.map(|name| GROUP.skip(name, why)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;
    use serde_json::json;

    #[test]
    fn dates_of_http_are_read() {
        let at = http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        assert_eq!(at.as_millis(), 784_111_777_000);
        for bad in [
            "",
            "Sun, 06 Nov 1994 08:49:37 CET",
            "Sun, 06 Nox 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "1994-11-06T08:49:37Z",
        ] {
            assert_eq!(http_date(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_clock_may_be_five_seconds_off() {
        for (millis, expected) in [
            (0, Verdict::Pass),
            (5_000, Verdict::Pass),
            (-5_000, Verdict::Pass),
            (5_001, Verdict::Warn),
            (-90_000, Verdict::Warn),
            (i64::MIN, Verdict::Warn),
        ] {
            assert_eq!(off(millis).verdict, expected, "{millis}");
        }
        assert_eq!(off(-90_000).detail, "90 s behind the gateway's");
    }

    #[test]
    fn origins_are_none_or_named_and_never_without_https() {
        let of = |origins: &[&str]| {
            let origins: Vec<String> = origins.iter().map(|origin| (*origin).to_owned()).collect();
            cors(GROUP, &origins)
        };
        assert_eq!(of(&[]).verdict, Verdict::Pass);
        let listed = of(&[
            "https://desk.example",
            "http://localhost:5173",
            "http://[::1]:80",
            "http://127.0.0.1",
        ]);
        assert_eq!(listed.verdict, Verdict::Warn);
        assert!(
            listed.detail.contains("https://desk.example"),
            "{}",
            listed.detail
        );
        for bad in [
            "http://desk.example",
            "http://localhost.desk.example",
            "http://10.0.0.1:80",
        ] {
            assert_eq!(
                of(&["https://desk.example", bad]).verdict,
                Verdict::Fail,
                "{bad}"
            );
        }
        let manifest =
            json!({ "success": true, "manifest": { "corsOrigins": ["https://a.example"] } });
        assert_eq!(origins(&manifest), ["https://a.example"]);
    }

    #[test]
    fn an_account_that_needs_a_person_is_a_warning_and_one_that_is_silent_a_failure() {
        let verdicts = |health: Value| -> Vec<Verdict> {
            accounts(&health, " --local")
                .iter()
                .map(|check| check.verdict)
                .collect()
        };
        let account = |more: Value| {
            let mut account = json!({ "account": "main", "deadLetters": 0, "venuePausedUntil": null, "clockOffsetMs": -1_000 });
            account
                .as_object_mut()
                .unwrap()
                .extend(more.as_object().unwrap().clone());
            verdicts(json!({ "accounts": [account], "unreachable": [] }))
        };
        assert_eq!(account(json!({})), [Verdict::Pass]);
        assert_eq!(account(json!({ "deadLetters": 1 })), [Verdict::Warn]);
        let undone = json!([{ "signalId": "01M832V2N9H62T92WHFH4Q1J0H", "symbol": "BTCUSDT", "reason": "the venue is away" }]);
        assert_eq!(account(json!({ "exitsUndone": undone })), [Verdict::Fail]);
        assert_eq!(
            account(json!({ "venuePausedUntil": "2026-01-01T00:00:00.000Z" })),
            [Verdict::Warn]
        );
        assert_eq!(account(json!({ "clockOffsetMs": -1_001 })), [Verdict::Warn]);
        assert_eq!(account(json!({ "clockOffsetMs": null })), [Verdict::Pass]);
        assert_eq!(
            verdicts(json!({ "accounts": [], "unreachable": ["main"] })),
            [Verdict::Fail]
        );
        assert_eq!(
            verdicts(json!({ "accounts": [], "unreachable": [] })),
            [Verdict::Warn]
        );
    }
}
