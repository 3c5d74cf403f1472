//! `hoox` against the running sandbox, as an operator uses it.
#![expect(
    clippy::panic,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "it starts the program that the environment names"
)]

use core::cell::Cell;
use std::process::Stdio;

use hoox_e2e::{Desk, Stack, eventually, run};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::Command;

/// What a run came to.
struct Ran {
    status: i32,
    out: String,
    err: String,
}

impl Ran {
    /// The envelope of `--json`.
    fn json(&self) -> Value {
        serde_json::from_str(&self.out)
            .unwrap_or_else(|_| panic!("no JSON: {}{}", self.out, self.err))
    }

    #[track_caller]
    fn done(self) -> Self {
        assert_eq!(self.status, 0, "{}{}", self.out, self.err);
        self
    }
}

fn program() -> String {
    std::env::var("HOOX_CLI_BIN").expect("HOOX_CLI_BIN names the program; `npm test` sets it")
}

/// Runs the program with the operator's key in its environment, where no process list shows it.
async fn hoox_with(
    stack: &Stack,
    [key, passkey]: [&str; 2],
    arguments: &[&str],
    input: &str,
) -> Ran {
    let gateway = stack.sandbox.secret("/gateway");
    let mut child = Command::new(program())
        .args(arguments)
        .args(["--host", &gateway])
        .env_clear()
        .env("HOOX_OPERATOR_KEY", key)
        .env("HOOX_PASSKEY", passkey)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).await.ok();
    drop(stdin);
    let ran = child.wait_with_output().await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let ran = Ran {
        status: ran.status.code().unwrap(),
        out: text(ran.stdout),
        err: text(ran.stderr),
    };
    for secret in [key, passkey] {
        assert!(
            !ran.out.contains(secret) && !ran.err.contains(secret),
            "{arguments:?} printed a key"
        );
    }
    ran
}

async fn hoox(stack: &Stack, arguments: &[&str]) -> Ran {
    let key = stack.sandbox.secret("/operatorKey");
    hoox_with(stack, [&key, "no passkey is needed"], arguments, "").await
}

fn buy(desk: &Desk, number: usize) -> Value {
    desk.alert(&json!({ "action": "buy", "symbol": "BTCUSDT", "quantity": "0.001", "comment": number.to_string() }))
}

#[test]
fn no_alert_trades_after_the_kill_switch_command_has_returned() {
    run(async {
        let stack = Stack::own("cli-kill-switch", 3).await;
        let desks = [(); 3].map(|()| stack.desk());
        // Alerts go on all the while, on every account at once, and for a while after it.
        let returned = Cell::new(false);
        let flood = async |desk: &Desk| {
            let mut after = 0;
            for number in 0..1_000 {
                desk.post(&buy(desk, number)).await;
                after += usize::from(returned.get());
                if after == 10 {
                    break;
                }
            }
            assert_eq!(after, 10);
        };
        let sent = || desks.each_ref().map(|desk| desk.orders().len());
        let switch = async {
            eventually("orders on every account", async || {
                sent().iter().all(|orders| *orders > 0).then_some(())
            })
            .await;
            let on = [
                "monitor",
                "kill-switch",
                "on",
                "--reason",
                "drill",
                "--json",
            ];
            let ran = hoox(&stack, &on).await.done();
            returned.set(true);
            (ran, sent())
        };
        let [one, two, three] = &desks;
        let ((), (), (), (ran, before)) =
            tokio::join!(flood(one), flood(two), flood(three), switch);
        let told = ran.json();
        assert_eq!(told["ok"], true);
        assert_eq!(told["data"]["killSwitch"]["mode"], "entries");
        assert_eq!(told["data"]["killSwitch"]["reason"], "drill");
        assert!(told["data"]["millis"].is_u64());
        assert_eq!(sent(), before);
        for desk in &desks {
            let refused = desk.post(&buy(desk, 9_999)).await;
            assert_eq!(refused.verdict(), (423, "KILL_SWITCH"));
        }

        let status = hoox(&stack, &["monitor", "kill-switch", "status"])
            .await
            .done();
        let words = "The kill switch is on: entries are stopped, exits go through (drill). Since ";
        assert!(status.out.starts_with(words), "{}", status.out);
        let off = hoox(&stack, &["monitor", "kill-switch", "off"])
            .await
            .done();
        assert!(
            off.out.starts_with("The kill switch is off."),
            "{}",
            off.out
        );
        assert!(
            off.out.contains("Confirmed by 5 of 5 accounts in "),
            "{}",
            off.out
        );
        assert_eq!(
            one.trade(json!({ "action": "buy", "symbol": "BTCUSDT", "quantity": "0.002" }))
                .await
                .status,
            200
        );
        // Closing everything is asked for twice.
        let flatten = hoox(&stack, &["monitor", "kill-switch", "on", "--flatten"]).await;
        assert_eq!(flatten.status, 2, "{}", flatten.err);
        assert!(flatten.err.contains("give --yes"), "{}", flatten.err);
        let flat = hoox(
            &stack,
            &["monitor", "kill-switch", "on", "--flatten", "--yes"],
        )
        .await;
        // The sandbox's own account has no exchange here, so it cannot say that it is flat: that is said, and the
        // status is not 0.
        assert_eq!((flat.status, flat.err.as_str()), (1, ""), "{}", flat.out);
        let told = |word: &str| {
            let lines = flat.out.lines();
            lines
                .filter(|line| line.starts_with(word))
                .collect::<Vec<_>>()
        };
        let [verdict] = told("NOT CONFIRMED")[..] else {
            panic!("{}", flat.out);
        };
        assert!(verdict.contains(" ms: demo. "), "{verdict}");
        // Each position, with how far its close is.
        let mut closed: Vec<_> = desks
            .iter()
            .map(|desk| format!("FLAT {} BTCUSDT long: closed", desk.account))
            .collect();
        closed.push("FLAT desk0: nothing is held".to_owned());
        closed.sort();
        let mut shown = told("FLAT");
        shown.sort_unstable();
        assert_eq!(shown, closed, "{}", flat.out);
        assert!(desks.iter().all(|desk| desk.held("BTCUSDT").is_zero()));
    });
}

#[test]
fn a_sender_is_made_rotated_listed_and_revoked() {
    run(async {
        let stack = Stack::own("cli-senders", 1).await;
        let desk = stack.desk();
        let add = [
            "senders",
            "add",
            "bot",
            "--account",
            &desk.account,
            "--range",
            "127.0.0.0/8",
            "--range",
            "::1/128",
            "--rate-per-minute",
            "9",
        ];
        let made = hoox(&stack, &add).await.done();
        let key = made
            .out
            .trim()
            .rsplit('\n')
            .next()
            .unwrap()
            .trim()
            .to_owned();
        assert!(
            key.starts_with("hoox_"),
            "{}",
            made.out.replace(&key, "KEY")
        );
        let with = async |key: &str, number: usize| {
            let mut alert = buy(&desk, number);
            alert["apiKey"] = json!(key);
            desk.post(&alert).await
        };
        assert_eq!(with(&key, 1).await.status, 202);
        let again = hoox(&stack, &add).await;
        assert_eq!((again.status, again.out.as_str()), (1, ""), "{}", again.err);

        let rotated = hoox(
            &stack,
            &[
                "senders",
                "rotate",
                "bot",
                "--overlap-seconds",
                "0",
                "--yes",
                "--json",
            ],
        )
        .await
        .done();
        let fresh = rotated.json()["data"]["key"].as_str().unwrap().to_owned();
        assert_eq!(with(&key, 2).await.verdict(), (403, "FORBIDDEN"));
        assert_eq!(with(&fresh, 3).await.status, 202);

        let listed = hoox(&stack, &["senders", "list"]).await.done();
        let line = listed
            .out
            .lines()
            .find(|line| line.starts_with("bot "))
            .unwrap();
        let columns: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(columns[..4], ["bot", "passkey", "trade", &desk.account]);
        assert!(
            !listed.out.contains(&fresh) && !listed.out.contains("hash"),
            "{}",
            listed.out
        );

        let asked = hoox(&stack, &["senders", "revoke", "bot"]).await;
        assert_eq!((asked.status, asked.out.as_str()), (2, ""), "{}", asked.err);
        hoox(&stack, &["senders", "revoke", "bot", "--yes"])
            .await
            .done();
        assert_eq!(with(&fresh, 4).await.verdict(), (403, "FORBIDDEN"));
        let gone = hoox(&stack, &["senders", "revoke", "bot", "--yes", "--json"]).await;
        assert_eq!((gone.status, gone.json()["ok"].as_bool()), (1, Some(false)));
        let bad = hoox(&stack, &["senders", "revoke", "../manifest", "--yes"]).await;
        assert_eq!(bad.status, 2, "{}", bad.err);
    });
}

#[test]
fn records_health_and_the_audit_trail_are_read() {
    run(async {
        let stack = Stack::own("cli-records", 1).await;
        let desk = stack.desk();
        let bought = desk
            .trade(json!({ "action": "buy", "symbol": "BTCUSDT", "quantity": "0.02" }))
            .await;
        let order = bought.json["orders"][0]["clientOrderId"]
            .as_str()
            .unwrap()
            .to_owned();
        eventually("the order in the records", async || {
            let trades = hoox(&stack, &["monitor", "trades", "--account", &desk.account])
                .await
                .done();
            let line = trades.out.lines().find(|line| line.contains(&order))?;
            line.contains("filled").then_some(())
        })
        .await;
        for (listing, expected) in [("signals", "buy"), ("positions", "0.02")] {
            let shown = hoox(&stack, &["monitor", listing, "--account", &desk.account])
                .await
                .done();
            assert_eq!(shown.out.lines().count(), 2, "{}", shown.out);
            assert!(shown.out.contains(expected), "{}", shown.out);
        }
        let logs = hoox(&stack, &["monitor", "logs"]).await.done();
        assert!(logs.out.contains(r#""event":"order.sent""#), "{}", logs.out);
        assert!(logs.err.contains("go on with --cursor "), "{}", logs.err);
        let health = hoox(&stack, &["monitor", "health"]).await.done();
        assert!(health.out.contains(&desk.account), "{}", health.out);
        let accounts = hoox(&stack, &["accounts", "list"]).await.done();
        assert!(accounts.out.contains(&desk.account), "{}", accounts.out);
    });
}

#[test]
fn a_manifest_is_put_and_an_alert_is_sent_by_hand() {
    run(async {
        let stack = Stack::own("cli-config", 1).await;
        let desk = stack.desk();
        // What `get` prints is what `set` takes, one version on.
        let got = hoox(&stack, &["config", "manifest", "get"]).await.done();
        let mut manifest: Value = serde_json::from_str(&got.out).unwrap();
        let version = manifest["version"].as_u64().unwrap();
        let key = stack.sandbox.secret("/operatorKey");
        let keys = [key.as_str(), desk.passkey.as_str()];
        let same = hoox_with(
            &stack,
            keys,
            &["config", "manifest", "set", "-", "--yes"],
            &got.out,
        )
        .await;
        assert_eq!(same.status, 1, "{}{}", same.out, same.err);
        manifest["version"] = json!(version + 1);
        let next = manifest.to_string();
        hoox_with(
            &stack,
            keys,
            &["config", "manifest", "validate", "-"],
            &next,
        )
        .await
        .done();
        hoox_with(
            &stack,
            keys,
            &["config", "manifest", "set", "-", "--yes"],
            &next,
        )
        .await
        .done();
        manifest["senders"][0]["permission"] = json!("all");
        let broken = hoox_with(
            &stack,
            keys,
            &["config", "manifest", "validate", "-"],
            &manifest.to_string(),
        )
        .await;
        assert_eq!(broken.status, 1);
        assert!(
            broken.err.contains("senders[0].permission"),
            "{}",
            broken.err
        );

        // An alert by hand only plans, unless it is told to trade.
        let send = [
            "signal",
            "send",
            "--action",
            "buy",
            "--symbol",
            "BTCUSDT",
            "--quantity",
            "0.01",
        ];
        let planned = hoox_with(&stack, keys, &send, "").await.done();
        assert!(planned.out.starts_with("dry_run on "), "{}", planned.out);
        let wrong = [&send[..], &["--field", "stop_loss=1"]].concat();
        let refused = hoox_with(&stack, keys, &wrong, "").await;
        assert_eq!(refused.status, 1);
        assert!(refused.err.contains("read as stopLoss"), "{}", refused.err);

        let stranger = hoox_with(
            &stack,
            ["not-the-operators-key", &desk.passkey],
            &["monitor", "health"],
            "",
        )
        .await;
        assert_eq!(
            (stranger.status, stranger.out.as_str()),
            (2, ""),
            "{}",
            stranger.err
        );
    });
}

#[test]
fn new_rows_are_followed_as_they_come() {
    run(async {
        let stack = Stack::own("cli-follow", 1).await;
        let desk = stack.desk();
        let mut child = Command::new(program())
            .args([
                "monitor",
                "signals",
                "--follow",
                "--json",
                "--account",
                &desk.account,
            ])
            .args(["--host", &stack.sandbox.secret("/gateway")])
            .env_clear()
            .env("HOOX_OPERATOR_KEY", stack.sandbox.secret("/operatorKey"))
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        for number in 0..3 {
            let sent = desk.post(&buy(&desk, number)).await;
            // A row comes again when its state has changed.
            let last = loop {
                let line = lines.next_line().await.unwrap().unwrap();
                let line: Value = serde_json::from_str(&line).unwrap();
                assert_eq!(line["account"], desk.account);
                if line["id"] == sent.str("signalId") && line["state"] == "filled" {
                    break line;
                }
            };
            assert_eq!(last["comment"], number.to_string());
        }
    });
}

#[test]
fn what_was_refused_is_listed_and_followed() {
    run(async {
        let stack = Stack::own("cli-refusals", 1).await;
        let desk = stack.desk();
        let mut refused = buy(&desk, 1);
        refused["action"] = json!("hold");
        desk.post(&refused).await;
        desk.post(&"BTC crossed 70000").await;
        let listed = eventually("both in the inbox", async || {
            let ran = hoox(&stack, &["monitor", "refusals"]).await.done();
            (ran.out.lines().count() == 3).then_some(ran.out)
        })
        .await;
        for part in ["'…' is not an action: use LONG", "BAD_JSON", "127.0.0.1"] {
            assert!(listed.contains(part), "{listed}");
        }
        let own = ["monitor", "refusals", "--sender", &desk.sender, "--json"];
        let own = hoox(&stack, &own).await.done().json();
        let items = own["data"]["items"].as_array().unwrap();
        assert_eq!(items.len(), 1, "{own}");
        assert_eq!(items[0]["field"], "action");
        let nobody = hoox(&stack, &["monitor", "refusals", "--sender", "nobody"]).await;
        assert_eq!(nobody.status, 1, "{}", nobody.err);
    });
}
