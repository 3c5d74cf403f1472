//! Commands that judge: 0 where it is as it should be, 1 where the verdict is bad, 2 where nobody could judge. Those
//! that ask Cloudflare are in `cloudflare.rs`, the checklist is in `doctor`.

use crate::common::{Ran, folder, run};
use crate::double::{Answer, Gateway, KEY, problem};
use serde_json::{Value, json};

/// Every command that judges.
const JUDGES: [&[&str]; 10] = [
    &["doctor"],
    &["secrets", "check"],
    &["waf", "status"],
    &["keys", "audit"],
    &["accounts", "test"],
    &["monitor", "health"],
    &["monitor", "kill-switch"],
    &["config", "manifest", "validate"],
    &["alert", "check"],
    &["signal", "send"],
];

fn hoox(name: &str, gateway: &Gateway, arguments: &[&str]) -> Ran {
    with_key(name, &gateway.address, KEY, arguments)
}

fn with_key(name: &str, host: &str, key: &str, arguments: &[&str]) -> Ran {
    let folder = folder(&format!("verdicts-{name}"));
    let variables = [("HOOX_OPERATOR_KEY", key), ("HOOX_PASSKEY", "a-passkey")];
    let arguments = [arguments, &["--host", host]].concat();
    let ran = run(&folder, &variables, &arguments, "");
    std::fs::remove_dir_all(&folder).unwrap();
    ran
}

/// An address at which nobody listens.
fn nobody() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

/// What a command ends with where a gateway is well, where it is not, where nobody answers and where the key is refused.
#[track_caller]
fn ends(name: &str, arguments: &[&str], good: Vec<Answer>, bad: Vec<Answer>) {
    let well = hoox(name, &Gateway::start(good), arguments);
    assert_eq!(well.status, 0, "{well:?}");
    let bad = Gateway::start(bad);
    let sick = hoox(name, &bad, arguments);
    assert_eq!(sick.status, 1, "{sick:?}");
    let json = hoox(name, &bad, &[arguments, &["--json"]].concat());
    let envelope: Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!((json.status, &envelope["ok"]), (1, &json!(false)));
    let silent = with_key(name, &nobody(), KEY, arguments);
    assert_eq!(silent.status, 2, "{silent:?}");
    assert!(silent.err.contains("(UNREACHABLE)"), "{silent:?}");
    if arguments[0] != "signal" {
        let stranger = with_key(name, &bad.address, "another-key", arguments);
        assert_eq!(stranger.status, 2, "{stranger:?}");
        assert!(stranger.err.contains("(UNAUTHORIZED)"), "{stranger:?}");
    }
}

#[test]
fn the_help_of_every_command_that_judges_says_its_statuses() {
    let folder = folder("verdicts-help");
    for command in JUDGES {
        let ran = run(&folder, &[], &[command, &["--help"]].concat(), "");
        let said = ran
            .out
            .lines()
            .last()
            .unwrap()
            .starts_with("Exit status: 0 ");
        assert!(said, "{command:?}: {}", ran.out);
    }
    let all = run(&folder, &[], &["--help"], "").out;
    let listed = all.split_once("Commands that judge: ").unwrap().1;
    let listed = listed.split_once(".\n").unwrap().0.replace('\n', " ");
    let listed: Vec<&str> = listed.split(", ").collect();
    let known: Vec<String> = JUDGES
        .iter()
        .map(|command| match command.join(" ").as_str() {
            "monitor kill-switch" => "monitor kill-switch status".to_owned(),
            other => other.to_owned(),
        })
        .collect();
    assert_eq!(listed, known);
    std::fs::remove_dir_all(folder).unwrap();
}

fn health(account: Value) -> Vec<Answer> {
    let body = json!({ "success": true, "colo": "DFW", "workers": [], "accounts": [account], "unreachable": [] });
    vec![("GET /v1/health", 200, body)]
}

fn well() -> Value {
    json!({ "account": "main", "venue": "bybit", "deadLetters": 0 })
}

fn undone() -> Value {
    json!([{ "signalId": "01M832V2N9H62T92WHFH4Q1J0H", "symbol": "BTCUSDT", "since": 1_795_408_718_174_i64, "reason": "the venue is away" }])
}

#[test]
fn health_of_the_accounts() {
    let mut sick = well();
    sick["exitsUndone"] = undone();
    ends(
        "health",
        &["monitor", "health"],
        health(well()),
        health(sick.clone()),
    );
    let told = hoox(
        "health",
        &Gateway::start(health(sick)),
        &["monitor", "health"],
    );
    assert!(
        told.out.ends_with("\nEXIT NOT DONE main BTCUSDT since 2026-11-23T04:38:38.174Z: the venue is away (01M832V2N9H62T92WHFH4Q1J0H)\n"),
        "{}",
        told.out
    );
    let silent = json!({ "success": true, "workers": [], "accounts": [], "unreachable": ["main"] });
    let silent = Gateway::start(vec![("GET /v1/health", 200, silent)]);
    assert_eq!(hoox("health", &silent, &["monitor", "health"]).status, 1);
    // A database that pruning does not keep small enough is told, and how far back records go.
    let mut full = health(well());
    full[0].2["records"] = json!({ "bytes": 450_000_001, "maxBytes": 400_000_000, "keptDays": 180, "full": true,
        "prunedUntil": 1_795_408_718_174_i64, "prunedAt": 1_795_408_718_174_i64, "prunedBy": "size" });
    let ran = hoox("health", &Gateway::start(full), &["monitor", "health"]);
    assert_eq!(ran.status, 1, "{ran:?}");
    for line in [
        "\nrecords: 451 of 400 MB, kept 180 days, pruned by size until 2026-11-23T04:38:38.174Z\n",
        "\nFULL records: pruning is not enough: ",
    ] {
        assert!(ran.out.contains(line), "{}", ran.out);
    }
    // So is the count of the day's rows, which is nobody's fault until entries are refused for it.
    for (today, status, lines) in [
        (
            json!({ "written": 1_234, "limit": 100_000, "entriesRefused": false, "complete": true }),
            0,
            vec!["\nrows written today: 1234 of 100000\n"],
        ),
        (
            json!({ "written": 1_234, "limit": null, "entriesRefused": false, "complete": false }),
            0,
            vec![
                "\nrows written today: 1234, without a limit, and those of accounts that did not say\n",
            ],
        ),
        (
            json!({ "written": 90_001, "limit": 100_000, "entriesRefused": true, "complete": true }),
            1,
            vec![
                "\nrows written today: 90001 of 100000\n",
                "\nENTRIES REFUSED until 00:00 UTC: ",
            ],
        ),
        (
            Value::Null,
            0,
            vec!["\nrows written today: trade-worker does not say\n"],
        ),
    ] {
        let mut counted = health(well());
        counted[0].2["rowsToday"] = today;
        let ran = hoox("health", &Gateway::start(counted), &["monitor", "health"]);
        assert_eq!(ran.status, status, "{ran:?}");
        for line in lines {
            assert!(ran.out.contains(line), "{}", ran.out);
        }
    }
    // What waits for a person is said with the command, and is no fault of the gateway.
    let mut letters = well();
    letters["deadLetters"] = json!(2);
    let waiting = Gateway::start(health(letters));
    let ran = hoox("health", &waiting, &["monitor", "health"]);
    let expected = format!(
        "DEAD LETTERS main: 2 wait for you: hoox dead-letters list --account main --host {}\n",
        waiting.address
    );
    assert!(ran.status == 0 && ran.out.ends_with(&expected), "{ran:?}");
}

#[test]
fn keys_that_differ_on_the_two_sides_of_an_edge() {
    // As a gateway of a version before says it.
    let error = "a private worker cannot be called: HOOX_D1_KEY differs on its two sides";
    let mut differing = health(well());
    let body = &mut differing[0].2;
    body["workers"] = json!([{ "name": "trade-worker", "bindings": { "D1_WORKER": true, "TRADE_D1_KEY": "differs" } }]);
    body["unreachableWorkers"] = json!([
        { "name": "d1-worker", "problem": { "code": "NOT_CONFIGURED", "error": error } },
    ]);
    let gateway = Gateway::start(differing);
    let ran = hoox("edges", &gateway, &["monitor", "health"]);
    let at = &gateway.address;
    let expected = format!(
        "DIFFERENT KEYS HOOX_D1_KEY differs between hoox and d1-worker: `hoox secrets rotate HOOX_D1_KEY --host {at}`\n\
         DIFFERENT KEYS TRADE_D1_KEY differs between trade-worker and d1-worker: `hoox secrets rotate TRADE_D1_KEY --host {at}`\n"
    );
    assert!(ran.status == 1 && ran.out.ends_with(&expected), "{ran:?}");
    assert!(
        ran.out.contains("\ntrade-worker  TRADE_D1_KEY  DIFFERS  -"),
        "{}",
        ran.out
    );
    assert!(
        !ran.out.contains("UNREACHABLE") && !ran.out.contains("MISSING"),
        "{}",
        ran.out
    );
}

fn switch(state: Value) -> Vec<Answer> {
    vec![(
        "GET /v1/kill-switch",
        200,
        json!({ "success": true, "killSwitch": state }),
    )]
}

#[test]
fn kill_switch_status() {
    let status = ["monitor", "kill-switch", "status"];
    let refused = json!({ "flat": false, "symbols": [
        { "symbol": "BTCUSDT", "state": "closed" },
        { "symbol": "ETHUSDT", "side": "long", "state": "refused", "reason": "margin", "nextTry": "2026-11-23T09:30:00.000Z" },
    ] });
    let on = |flatten: Value| {
        json!({ "mode": "entries", "reason": null, "since": 0, "accounts": [
            { "account": "main", "engaged": true, "unreachable": false, "flatten": flatten },
        ] })
    };
    ends(
        "switch",
        &status,
        switch(on(json!({ "flat": true, "symbols": [] }))),
        switch(on(refused.clone())),
    );
    let told = hoox("switch", &Gateway::start(switch(on(refused))), &status);
    assert_eq!(
        told.out,
        "The kill switch is on: entries are stopped, exits go through.\n\
         FLAT main BTCUSDT: closed\n\
         NOT FLAT main ETHUSDT long: refused, margin; next try 2026-11-23T09:30:00.000Z\n"
    );
    let behind = json!({ "mode": "all", "accounts": [{ "account": "main", "engaged": false }] });
    assert_eq!(
        hoox("switch", &Gateway::start(switch(behind)), &status).status,
        1
    );
    let waiting = json!({ "mode": "off", "accounts": [{ "account": "main", "engaged": false, "deadLetters": 1 }] });
    let waiting = Gateway::start(switch(waiting));
    let ran = hoox("switch", &waiting, &status);
    let expected = format!(
        "The kill switch is off.\nDEAD LETTERS main: 1 wait for you: hoox dead-letters list --account main --host {}\n",
        waiting.address
    );
    assert_eq!((ran.status, ran.out), (0, expected));
    // A gateway that tells no accounts, and one whose mode nobody here knows.
    for (mode, expected) in [("off", 0), ("all", 0), ("paused", 2)] {
        let gateway = Gateway::start(switch(json!({ "mode": mode })));
        assert_eq!(hoox("switch", &gateway, &status).status, expected, "{mode}");
    }
}

#[test]
fn keys_of_the_exchanges() {
    let answers = |report: Value| -> Vec<Answer> {
        let accounts = json!({ "success": true, "accounts": [{ "name": "main", "venue": "bybit", "environment": "live" }] });
        let body = json!({ "success": true, "accounts": [report], "unreachable": [] });
        vec![
            ("GET /v1/keys", 200, body.clone()),
            ("GET /v1/keys?account=main", 200, body),
            ("GET /v1/accounts", 200, accounts),
        ]
    };
    let key = |withdraw: bool| {
        let rights = json!({ "read": true, "trade": { "linear": true }, "withdraw": withdraw, "transfer": false });
        let key = json!({ "rights": rights, "ips": ["192.0.2.1"], "expiresAt": null });
        json!({ "account": "main", "venue": "bybit", "environment": "live", "key": key, "problem": null })
    };
    let mut away = key(false);
    away["key"] = Value::Null;
    away["problem"] = json!({ "code": "VENUE_UNAVAILABLE", "error": "the venue did not answer" });
    for (name, arguments) in [
        ("audit", &["keys", "audit"][..]),
        ("test", &["accounts", "test", "main"]),
    ] {
        ends(name, arguments, answers(key(false)), answers(key(true)));
        let silent = Gateway::start(answers(away.clone()));
        let ran = hoox(name, &silent, arguments);
        assert_eq!(ran.status, 2, "{ran:?}");
        assert!(ran.out.contains("????  main (bybit, live)"), "{}", ran.out);
    }
    let none = Gateway::start(Vec::new());
    let ran = hoox("test", &none, &["accounts", "test", "nobody"]);
    assert_eq!(ran.status, 2, "{ran:?}");
}

#[test]
fn a_manifest() {
    let folder = folder("verdicts-manifest");
    for (text, expected) in [
        (r#"{"version":1,"senders":[],"accounts":[]}"#, 0),
        (r#"{"version":1,"senders":{}}"#, 1),
        ("no JSON", 1),
    ] {
        let ran = run(&folder, &[], &["config", "manifest", "validate", "-"], text);
        assert_eq!(ran.status, expected, "{ran:?}");
    }
    let missing = ["config", "manifest", "validate", "missing.json"];
    assert_eq!(run(&folder, &[], &missing, "").status, 2);
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn an_alert() {
    let send = ["signal", "send", "--action", "buy", "--symbol", "BTCUSDT"];
    let taken = json!({ "success": true, "status": "dry_run", "account": "main", "signalId": "01M832V2N9H62T92WHFH4Q1J0H" });
    let answer =
        |status: u16, body: Value| -> Vec<Answer> { vec![("POST /webhook", status, body)] };
    ends(
        "alert",
        &send,
        answer(200, taken),
        answer(400, problem("BAD_FIELD", "quantity is missing")),
    );
    let trade = [&send[..], &["--trade", "--yes"]].concat();
    for (status, body, planned, traded) in [
        (403, problem("FORBIDDEN", "forbidden"), 2, 2),
        (
            423,
            problem("KILL_SWITCH", "the kill switch is engaged"),
            1,
            1,
        ),
        (503, problem("NOT_CONFIRMED", "try again"), 2, 3),
        (
            200,
            problem("VENUE_UNAVAILABLE", "the venue did not answer"),
            2,
            1,
        ),
        (200, problem("UNKNOWN_OUTCOME", "nobody knows"), 3, 3),
    ] {
        let gateway = Gateway::start(answer(status, body.clone()));
        assert_eq!(hoox("alert", &gateway, &send).status, planned, "{body}");
        assert_eq!(hoox("alert", &gateway, &trade).status, traded, "{body}");
    }
}
