//! `hoox alert`: what it prints, by which status it ends, and that it asks nobody but for the records.

use std::path::Path;
use std::time::UNIX_EPOCH;

use serde_json::{Value, json};

use crate::common::{Ran, folder, run};
use crate::double::{Gateway, KEY};

const PASSKEY: &str = "hoox_0123456789abcdefghijklmnopqrstuv";

/// A run without any configuration.
fn alone(folder: &Path, arguments: &[&str], input: &str) -> Ran {
    run(folder, &[], arguments, input)
}

#[test]
fn a_template_is_alone_on_stdout_and_can_be_piped() {
    let folder = folder("alert-template");
    let of = |kind: &str, more: &[&str]| {
        let asked = [
            "alert",
            "template",
            "--kind",
            kind,
            "--account",
            "main",
            "--symbol",
            "BTCUSDT.P",
        ];
        alone(&folder, &[&asked, more].concat(), "")
    };
    for kind in ["reversing", "exits", "target", "dca"] {
        let ran = of(kind, &["--strategy", "ema"]);
        assert_eq!(ran.status, 0, "{}", ran.err);
        let message: Value = serde_json::from_str(&ran.out).unwrap();
        assert_eq!(
            (
                &message["strategy"],
                &message["apiKey"],
                &message["timestamp"]
            ),
            (&json!("ema"), &json!("PASSKEY"), &json!("{{timenow}}"))
        );
        assert!(ran.err.contains("`hoox senders add`"), "{}", ran.err);
        let checked = alone(&folder, &["alert", "check", "-"], &ran.out);
        assert_eq!(checked.status, 0, "{}", checked.out);
    }
    let all = of("indicator", &["--json"]);
    let all: Value = serde_json::from_str(&all.out).unwrap();
    let messages = all["data"]["messages"].as_array().unwrap();
    for message in messages {
        let only = of("indicator", &["--only", message["name"].as_str().unwrap()]);
        assert_eq!(only.out.trim_end(), message["message"].as_str().unwrap());
    }
    for (kind, more, said) in [
        (
            "dca",
            &["--quantity", "1"][..],
            "takes its sizes from the strategy",
        ),
        ("target", &["--only", "long"], "has one message"),
        (
            "indicator",
            &["--quantity", "much"],
            "must be a decimal number",
        ),
        (
            "target",
            &["--strategy", "{{strategie}}"],
            "was not filled in",
        ),
    ] {
        let ran = of(kind, more);
        assert_eq!((ran.status, ran.out.as_str()), (2, ""));
        assert!(ran.err.contains(said), "{}", ran.err);
    }
}

#[test]
fn a_check_judges_and_shows_no_passkey() {
    let folder = folder("alert-check");
    let labels = r#""strategy":"s","orderId":"{{strategy.order.id}}","timestamp":"{{timenow}}""#;
    for (name, fields, more, status, said) in [
        (
            "taken",
            r#""action":"close""#,
            &[][..],
            0,
            "TAKEN: Hoox would",
        ),
        (
            "warned",
            r#""action":"{{strategy.order.action}}","quantity":"{{strategy.order.contracts}}""#,
            &[],
            0,
            "TAKEN, with a warning",
        ),
        (
            "refused",
            r#""action":"{{strategy.market_position}}""#,
            &[],
            1,
            "Write \"action\": \"target\"",
        ),
        (
            "an-indicators",
            r#""action":"buy","quantity":1"#,
            &["--indicator"],
            1,
            "(PLACEHOLDER)",
        ),
        (
            "the-scripts",
            r#""action":"{{strategy.order.comment}}""#,
            &[],
            2,
            "NOT JUDGED",
        ),
    ] {
        let text = format!(r#"{{"apiKey":"{PASSKEY}","symbol":"BTCUSDT",{fields},{labels}}}"#);
        let labels = if name == "taken" {
            text.replace("{{strategy.order.id}}", "x")
        } else {
            text
        };
        let file = folder.join(name);
        std::fs::write(&file, labels).unwrap();
        let file = file.to_str().unwrap();
        let ran = alone(&folder, &[&["alert", "check", file], more].concat(), "");
        assert_eq!(ran.status, status, "{name}: {}", ran.out);
        assert!(ran.out.contains(said), "{name}: {}", ran.out);
        let json = alone(
            &folder,
            &[&["alert", "check", file, "--json"], more].concat(),
            "",
        );
        let answer: Value = serde_json::from_str(&json.out).unwrap();
        assert_eq!(
            (json.status, answer["ok"] == true),
            (status, status == 0),
            "{name}"
        );
        for text in [ran.out, ran.err, json.out, json.err] {
            assert!(!text.contains(PASSKEY), "{text}");
        }
    }
    let gone = alone(&folder, &["alert", "check", "nowhere"], "");
    assert_eq!((gone.status, gone.out.as_str()), (2, ""));
}

/// Records of a day ago and of nine days ago, in pages.
fn gateway(body: &str) -> Gateway {
    let now = UNIX_EPOCH.elapsed().unwrap().as_secs();
    let day = |days: u64| {
        let ago = days.saturating_mul(24 * 60 * 60);
        now.saturating_sub(ago).saturating_mul(1_000)
    };
    let signal = |id: &str, days: u64, body: &str| {
        json!({
            "id": id, "accountId": "main-id", "account": "main", "sender": "bot", "action": "sell", "symbol": "BTCUSDT",
            "state": "filled", "dryRun": false, "receivedAt": day(days), "body": body,
            "reading": r#"{"action":"sell","symbol":{"symbol":"BTCUSDT"},"quantity":{"base":"0.5"},"onOpposite":"reverse","order":{"type":"market"},"test":false,"dryRun":false,"maxLagMs":60000}"#,
        })
    };
    let fine = r#"{"symbol":"BTCUSDT","action":"sell","quantity":0.5}"#;
    Gateway::start(vec![
        (
            "GET /v1/accounts",
            200,
            json!({ "accounts": [{ "id": "main-id", "name": "main", "venue": "bybit", "defaultProduct": "linear" }] }),
        ),
        (
            "GET /v1/signals?limit=100",
            200,
            json!({ "items": [signal("S3", 1, fine), signal("S2", 1, body)], "nextCursor": "c2" }),
        ),
        (
            "GET /v1/signals?limit=100&cursor=c2",
            200,
            json!({ "items": [signal("S1", 9, r#"{"symbol":"BTCUSDT","action":"up"}"#)], "nextCursor": "c3" }),
        ),
    ])
}

fn journal(gateway: &Gateway, more: &[&str]) -> Ran {
    let folder = folder("alert-journal");
    let asked = ["alert", "check", "--journal", "--host", &gateway.address];
    run(
        &folder,
        &[("HOOX_OPERATOR_KEY", KEY)],
        &[&asked, more].concat(),
        "",
    )
}

#[test]
fn the_journal_is_read_again_and_what_differs_is_named() {
    // It opened a short when it came.
    let exit = r#"{"symbol":"BTCUSDT","action":"sell","quantity":"0.5","reduceOnly":true}"#;
    let double = gateway(exit);
    let ran = journal(&double, &[]);
    assert_eq!(ran.status, 1, "{}{}", ran.out, ran.err);
    assert!(ran.out.contains("S2  main  bot  sell  BTCUSDT\n  maxLagMs was 60000, and is 600000 today; reduceOnly was absent, and is true today\n"), "{}", ran.out);
    assert!(
        ran.out.ends_with(
            "2 alerts of the last 8 days read again: 1 would be judged otherwise today.\n"
        ),
        "{}",
        ran.out
    );
    // What is older is not asked for.
    assert!(!double.asked().iter().any(|(call, _)| call.contains("c3")));
    let json = journal(&double, &["--json"]);
    let answer: Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(
        (
            answer["ok"].as_bool(),
            &answer["data"]["read"],
            &answer["data"]["otherwise"][0]["signal"]["id"]
        ),
        (Some(false), &json!(2), &json!("S2"))
    );
    let same = journal(
        &gateway(r#"{"symbol":"BTCUSDT","action":"sell","quantity":"0.5"}"#),
        &[],
    );
    assert_eq!(same.status, 0, "{}{}", same.out, same.err);
    // Nobody could look.
    let silent = Gateway::start(Vec::new());
    assert_eq!(journal(&silent, &[]).status, 2);
}
