//! What is said of messages, those of other services among them.

#![expect(
    clippy::unwrap_used,
    reason = "a test: what it does not expect must stop it"
)]

use hoox_alert::{CHANGES, Report, Verdict, examine, fill};
use hoox_model::Timestamp;
use hoox_signal::{Alert, Signal};

const NOW: Timestamp = Timestamp::from_millis(1_780_000_003_000);
const KEY: &str = "hoox_0123456789abcdefghijklmnopqrstuv";
/// What a message that nothing is said against has beside its order.
const LABELS: &str = r#""strategy":"s","orderId":"o","timestamp":"{{timenow}}""#;

/// A message with a passkey.
fn message(fields: &str) -> String {
    format!(r#"{{"apiKey":"{KEY}","symbol":"BTCUSDT.P",{fields}}}"#)
}

fn checked(text: &str) -> Report {
    let report = examine(text.as_bytes(), false, NOW);
    let shown = serde_json::to_string(&report).unwrap();
    assert!(!shown.contains(KEY), "{shown}");
    report
}

fn of(fields: &str) -> Report {
    checked(&message(fields))
}

/// The fields at fault, `-` where none is named.
fn faults(report: &Report) -> Vec<&str> {
    let fields = report.faults.iter().map(|it| it.field.as_deref());
    fields.map(|field| field.unwrap_or("-")).collect()
}

fn warnings(report: &Report) -> Vec<&str> {
    report.warnings.iter().map(|it| it.about).collect()
}

fn meaning<'a>(report: &'a Report, field: &str) -> &'a str {
    let row = report.fields.iter().find(|row| row.field == field);
    &row.unwrap().meaning
}

#[test]
fn what_is_refused_and_what_is_warned_of() {
    type Case = (
        &'static str,
        &'static [&'static str],
        &'static [&'static str],
    );
    let cases: [Case; 14] = [
        (r#""action":"close",LABELS"#, &[], &[]),
        (
            r#""action":"close""#,
            &[],
            &["timestamp", "strategy", "orderId"],
        ),
        (
            r#""action":"{{strategy.market_position}}","quantity":1,LABELS"#,
            &["action"],
            // All entries of a side say the same.
            &["identity"],
        ),
        (
            r#""action":"{{strategy.order.action}}","quantity":{{strategy.order.contracts}},"strategy":"s","orderId":"{{strategy.order.id}}","timestamp":"{{timenow}}""#,
            &[],
            &["quantity"],
        ),
        // Entries of one direction alone, sized by whatever the strategy trades.
        (
            r#""action":"LONG","quantity":"{{strategy.order.contracts}}","marketPositionSize":"{{strategy.market_position_size}}",LABELS"#,
            &[],
            &["quantity", "identity", "position"],
        ),
        (
            r#""action":"close","strategy":"s","orderId":"o","timestamp":"{{time}}""#,
            &[],
            &["timestamp"],
        ),
        // It fires again and again, and is the same signal for 7 days.
        (
            r#""action":"close","idempotencyKey":"exit","strategy":"s","timestamp":"{{timenow}}""#,
            &[],
            &["identity"],
        ),
        // The size of a short position has a sign here.
        (
            r#""action":"target","marketPosition":"{{strategy.market_position}}","marketPositionSize":"{{strategy.position_size}}",LABELS"#,
            &["marketPositionSize"],
            &[],
        ),
        (
            r#""action":"buy","quantity":"NaN","orderType":"limit","leverage":1000,LABELS"#,
            &["quantity", "price", "leverage"],
            &[],
        ),
        (
            r#""action":"buy","quantity":1,"quantityType":"percentEquity",LABELS"#,
            &["quantityType"],
            &[],
        ),
        (
            r#""action":"buy","quantity":1,"exchange":"mexc",LABELS"#,
            &["exchange"],
            &[],
        ),
        (r#""action":"buy",LABELS"#, &["quantity"], &[]),
        // All that there is to change is said at once.
        (
            r#""action":"buy","quantity":0,"timestamp":"{{time}}""#,
            &["quantity"],
            &["timestamp", "strategy", "orderId"],
        ),
        // Whatever the strategy held is closed; from flat there is no such action.
        (
            r#""action":"CLOSE_{{strategy.prev_market_position}}",LABELS"#,
            &["action"],
            &["position"],
        ),
    ];
    for (fields, refused, warned) in cases {
        let report = of(&fields.replace("LABELS", LABELS));
        assert_eq!(faults(&report), refused, "{fields}: {:?}", report.faults);
        assert_eq!(warnings(&report), warned, "{fields}");
        let verdict = if refused.is_empty() {
            Verdict::Taken
        } else {
            Verdict::Refused
        };
        assert_eq!(report.verdict, verdict, "{fields}");
    }
}

#[test]
fn what_is_read_of_each_field() {
    let report = of(&format!(
        r#""action":"LONG","quantity":"250","quantityType":"quote","orderType":"limit","price":"3000","leverage":3,"reduceOnly":false,"webhook_note":"x",{LABELS}"#
    ));
    assert_eq!(report.verdict, Verdict::Taken);
    for (field, expected) in [
        ("symbol", "BTCUSDT, the perpetual"),
        (
            "action",
            "LONG: enters long, after closing an opposite position",
        ),
        ("quantity", "worth 250 in quote currency"),
        ("quantityType", "worth 250 in quote currency"),
        ("price", "a limit order at 3000, GTC"),
        ("leverage", "leverage 3, set before an entry"),
        ("reduceOnly", "changes no order"),
        (
            "webhook_note",
            "no field of Hoox's: kept in the record, changes no order",
        ),
        ("timestamp", "fired at 2026-05-28T20:26:43.000Z"),
    ] {
        assert_eq!(meaning(&report, field), expected, "{field}");
    }
    let value = |field: &str| {
        let row = report.fields.iter().find(|row| row.field == field);
        row.unwrap().value.clone()
    };
    assert_eq!(value("timestamp").as_deref(), Some("{{timenow}}"));
    // What Hoox does not read may be anybody's secret.
    assert_eq!((value("webhook_note"), value("apiKey")), (None, None));
}

#[test]
fn what_is_refused_hides_nothing_of_the_rest() {
    let report = of(
        r#""action":"LONG","quantity":1,"stopLossPrice":60000,"takeProfit":{"percent":2},"timestamp":"2026-05-27T20:26:43Z""#,
    );
    let said: Vec<(&str, &str)> = report
        .faults
        .iter()
        .map(|it| (it.code.as_str(), it.field.as_deref().unwrap_or("-")))
        .collect();
    assert_eq!(
        said,
        [
            ("STALE", "timestamp"),
            ("UNSUPPORTED", "stopLoss"),
            ("UNSUPPORTED", "takeProfit")
        ]
    );
    assert!(
        report.faults[0]
            .message
            .ends_with("which TradingView fills in")
    );
    for (field, expected) in [
        ("quantity", "1 in base currency"),
        ("timestamp", "REFUSED (STALE)"),
        ("stopLossPrice", "REFUSED (UNSUPPORTED)"),
        ("takeProfit", "REFUSED (UNSUPPORTED)"),
    ] {
        assert_eq!(meaning(&report, field), expected);
    }
}

#[test]
fn reversals_show_what_contracts_lead_to() {
    let report = of(&format!(
        r#""action":"{{{{strategy.order.action}}}}","quantity":"{{{{strategy.order.contracts}}}}",{LABELS}"#
    ));
    let turn = report
        .outcomes
        .iter()
        .find(|it| it.when == "turns from long to short");
    let turn = turn.unwrap();
    assert_eq!(
        (
            turn.order.as_deref(),
            turn.does.as_str(),
            turn.holds.as_str()
        ),
        (Some("sell 1"), "sell 1", "short 0.5")
    );
    let report = of(&format!(
        r#""action":"SHORT","quantity":"{{{{strategy.order.contracts}}}}",{LABELS}"#
    ));
    let turn = report
        .outcomes
        .iter()
        .find(|it| it.when == "turns from long to short");
    let turn = turn.unwrap();
    assert_eq!(turn.does, "sell 0.5 to close, then sell 1");
    assert_eq!((turn.holds.as_str(), turn.agrees()), ("short 1", false));
}

#[test]
fn what_the_script_writes_is_not_judged() {
    for text in [
        "{{strategy.order.alert_message}}".to_owned(),
        message("{{strategy.order.alert_message}}"),
        message(r#""action":"{{strategy.order.comment}}","quantity":1"#),
        message(r#""action":"{{plot_0}}","quantity":1"#),
    ] {
        let report = checked(&text);
        assert_eq!(report.verdict, Verdict::Unknown, "{text}");
        assert!(report.unclear.is_some() && report.outcomes.is_empty());
    }
}

#[test]
fn a_body_that_is_none_is_said_in_the_gateways_words() {
    let large = format!("{{\"a\":\"{}\"}}", "x".repeat(64 * 1024));
    for (body, code) in [
        (&b"{\"action\":\"close\",}"[..], "BAD_JSON"),
        (b"", "BAD_JSON"),
        (b"\xff\xfe{", "BAD_JSON"),
        (b"{\"quantity\":{{close}}}{}", "BAD_JSON"),
        (b"{\"quantity\":{{strategy.size}}}", "PLACEHOLDER"),
        (large.as_bytes(), "TOO_LARGE"),
        (
            b"{\"symbol\":\"BTCUSDT\",\"action\":\"close\"}",
            "FORBIDDEN",
        ),
    ] {
        let report = examine(body, false, NOW);
        let codes: Vec<&str> = report.faults.iter().map(|it| it.code.as_str()).collect();
        assert_eq!((report.verdict, codes), (Verdict::Refused, vec![code]));
    }
}

#[test]
fn no_passkey_is_ever_shown() {
    for text in [
        message(&format!(r#""action":"{KEY}""#)),
        message(&format!(r#""action":"close","comment":"{KEY}""#)),
        message(&format!(r#""action":"close","{KEY}":1"#)),
        format!(r#"{{"api_key":"{KEY}","action":"{KEY}","symbol":"{KEY}","comment":"{KEY}"}}"#),
        format!(r#"{{"apiKey":"{KEY}"#),
        format!(r#"{{"apiKey":"{KEY}","{KEY}":1,"{KEY}":2}}"#),
    ] {
        assert_eq!(checked(&text).verdict, Verdict::Refused);
    }
    let foreign = r#"{"passphrase":"of-another-bot","comment":"of-another-bot","symbol":"of-another-bot","action":"close"}"#;
    let shown = serde_json::to_string(&checked(foreign)).unwrap();
    assert!(!shown.contains("of-another-bot"), "{shown}");
}

/// The checker may refuse more than the gateway, and never less.
#[test]
fn what_is_taken_the_gateway_takes_of_every_order() {
    for action in [
        "buy",
        "LONG",
        "close",
        "target",
        "cancel",
        "flat",
        "exit",
        "{{strategy.order.action}}",
        "up",
    ] {
        for size in [
            "1",
            "0",
            "-1",
            "\"{{strategy.order.contracts}}\"",
            "{{strategy.position_size}}",
            "\"x\"",
        ] {
            for more in [
                "",
                ",\"marketPosition\":\"{{strategy.market_position}}\",\"marketPositionSize\":\"{{strategy.market_position_size}}\"",
                ",\"reduceOnly\":true",
                ",\"price\":{{close}},\"orderType\":\"limit\"",
            ] {
                let text = message(&format!(
                    "\"action\":\"{action}\",\"quantity\":{size}{more}"
                ));
                let taken = checked(&text).verdict == Verdict::Taken;
                let strategy = text.contains("{{strategy.");
                let all = CHANGES.iter().all(|change| {
                    let body = fill(&text, strategy.then_some(*change), NOW);
                    let alert = Alert::parse(body.as_bytes()).unwrap();
                    Signal::from_alert(&alert, None, NOW).is_ok()
                });
                assert_eq!(taken, all, "{text}");
            }
        }
    }
}
