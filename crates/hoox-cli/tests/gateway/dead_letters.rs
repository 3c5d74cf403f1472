//! `hoox dead-letters` against a gateway that gives the answers of docs/API.md.

use crate::common::{Ran, folder, run, transcript};
use crate::double::{Answer, Gateway, KEY};
use serde_json::{Value, json};

const LOST: &str = "01M832V2N9H62T92WHFH4Q1J0A";
const STALE: &str = "01M832V2N9H62T92WHFH4Q1J0B";
const PART: &str = "01M832V2N9H62T92WHFH4Q1J0C";

fn letter(id: &str, code: &str, message: &str, orders: Value) -> Value {
    let unsettled = code == "UNKNOWN_OUTCOME";
    json!({
        "signalId": id, "status": if unsettled { "unknown" } else { "refused" }, "account": "main", "code": code,
        "message": message, "orders": orders, "sender": "tv", "symbol": "BTCUSDT", "action": "LONG",
        "receivedAt": 1_795_408_718_174_i64, "waiting": true, "unsettled": unsettled,
        "body": "{\"action\":\"LONG\",\n\"symbol\":\"BTCUSDT\"}",
    })
}

fn order(id: &str, status: &str, filled: &str) -> Value {
    json!({
        "clientOrderId": format!("hx-{id}-0"), "symbol": "BTCUSDT", "side": "buy", "orderType": "market",
        "quantity": "0.1", "reduceOnly": false, "status": status, "filledQuantity": filled,
    })
}

fn lost() -> Value {
    let orders = json!([order(LOST, "unknown", "0")]);
    letter(
        LOST,
        "UNKNOWN_OUTCOME",
        "whether the venue has the order is not known (UNKNOWN_OUTCOME)",
        orders,
    )
}

fn stale() -> Value {
    letter(
        STALE,
        "STALE",
        "the venue was away until the alert was too old",
        json!([]),
    )
}

fn part() -> Value {
    let mut order = order(PART, "cancelled", "0.04");
    order["averagePrice"] = json!("65000");
    order["reduceOnly"] = json!(true);
    letter(
        PART,
        "VENUE_CREDENTIALS",
        "the venue refuses the API key",
        json!([order]),
    )
}

fn found(letter: &Value) -> Value {
    json!({ "success": true, "requestId": "x", "deadLetter": letter })
}

fn gateway() -> Gateway {
    let list = |items: Vec<Value>, total: u32, unreachable: &[&str]| json!({ "success": true, "requestId": "x", "items": items, "total": total, "unreachable": unreachable });
    let mut missing = lost();
    missing["unsettled"] = json!(false);
    missing["orders"][0]["status"] = json!("cancelled");
    let mut replayed = stale();
    replayed["waiting"] = json!(false);
    replayed["replayedAs"] = json!("01M832V2N9H62T92WHFH4Q1J0Z");
    let mut discarded = part();
    discarded["waiting"] = json!(false);
    let answers: Vec<Answer> = vec![
        (
            "GET /v1/dead-letters",
            200,
            list(vec![lost(), stale(), part()], 3, &[]),
        ),
        (
            "GET /v1/dead-letters?account=quiet",
            200,
            list(vec![], 0, &[]),
        ),
        (
            "GET /v1/dead-letters?account=busy",
            200,
            list(vec![stale()], 120, &["second"]),
        ),
        (
            "GET /v1/dead-letters/01M832V2N9H62T92WHFH4Q1J0A",
            200,
            found(&lost()),
        ),
        (
            "GET /v1/dead-letters/01M832V2N9H62T92WHFH4Q1J0B",
            200,
            found(&stale()),
        ),
        (
            "GET /v1/dead-letters/01M832V2N9H62T92WHFH4Q1J0C",
            200,
            found(&part()),
        ),
        (
            "POST /v1/dead-letters/01M832V2N9H62T92WHFH4Q1J0A/settle",
            200,
            found(&missing),
        ),
        (
            "POST /v1/dead-letters/01M832V2N9H62T92WHFH4Q1J0B/replay",
            200,
            found(&replayed),
        ),
        (
            "DELETE /v1/dead-letters/01M832V2N9H62T92WHFH4Q1J0C",
            200,
            found(&discarded),
        ),
    ];
    Gateway::start(answers)
}

fn hoox(name: &str, gateway: &Gateway, arguments: &[&str]) -> Ran {
    let folder = folder(&format!("letters-{name}"));
    let variables = [("HOOX_OPERATOR_KEY", KEY)];
    let arguments = [arguments, &["--host", &gateway.address]].concat();
    let mut ran = run(&folder, &variables, &arguments, "");
    for text in [&mut ran.out, &mut ran.err] {
        *text = text.replace(&gateway.address, "HOST");
    }
    std::fs::remove_dir_all(&folder).unwrap();
    ran
}

/// Runs commands one after another, as a transcript.
fn session(name: &str, commands: &[&[&str]]) -> (String, Vec<(String, String)>) {
    let gateway = gateway();
    let said = commands
        .iter()
        .map(|arguments| transcript(arguments, &hoox(name, &gateway, arguments)))
        .collect();
    (said, gateway.asked())
}

#[test]
fn what_waits_is_listed_with_the_commands_to_type() {
    let (said, asked) = session(
        "list",
        &[
            &["dead-letters", "list"],
            &["dead-letters", "list", "--account", "quiet"],
            &["dead-letters", "list", "--account", "busy"],
            &["dead-letters", "show", LOST],
            &["dead-letters", "show", PART, "--json"],
            &["dead-letters", "show", "01M832V2N9H62T92WHFH4Q1J0Y"],
            &["dead-letters", "show", "../keys"],
        ],
    );
    insta::assert_snapshot!(said);
    assert!(asked.iter().all(|(call, _)| call.starts_with("GET ")));
}

#[test]
fn nothing_is_changed_before_it_is_said_what_it_does() {
    let order = format!("hx-{LOST}-0");
    let (said, asked) = session(
        "asks",
        &[
            &["dead-letters", "replay", STALE],
            &["dead-letters", "discard", PART],
            &[
                "dead-letters",
                "settle",
                LOST,
                "--order",
                &order,
                "--filled",
                "0.1",
            ],
            &[
                "dead-letters",
                "settle",
                LOST,
                "--order",
                &order,
                "--ask-again",
            ],
            &["dead-letters", "settle", LOST, "--filled", "0.1"],
            &[
                "dead-letters",
                "settle",
                LOST,
                "--order",
                &order,
                "--filled",
                "a lot",
            ],
            &[
                "dead-letters",
                "settle",
                LOST,
                "--order",
                &order,
                "--average-price",
                "1",
            ],
            &[
                "dead-letters",
                "settle",
                LOST,
                "--order",
                &order,
                "--filled",
                "1",
                "--ask-again",
            ],
        ],
    );
    insta::assert_snapshot!(said);
    assert!(asked.iter().all(|(call, _)| call.starts_with("GET ")));
}

#[test]
fn letters_are_settled_replayed_and_discarded() {
    let order = format!("hx-{LOST}-0");
    let (said, asked) = session(
        "changes",
        &[
            &[
                "dead-letters",
                "settle",
                LOST,
                "--order",
                &order,
                "--ask-again",
                "--yes",
            ],
            &[
                "dead-letters",
                "settle",
                LOST,
                "--order",
                &order,
                "--filled",
                "0",
                "--yes",
            ],
            &[
                "dead-letters",
                "settle",
                LOST,
                "--order",
                &order,
                "--filled",
                "0.04",
                "--average-price",
                "65000",
                "--yes",
                "--json",
            ],
            &["dead-letters", "replay", LOST, "--yes"],
            &["dead-letters", "replay", STALE, "--yes"],
            &["dead-letters", "discard", PART, "--yes"],
        ],
    );
    insta::assert_snapshot!(said);
    let changes: Vec<(String, Value)> = asked
        .into_iter()
        .filter(|(call, _)| !call.starts_with("GET "))
        .map(|(call, body)| (call, serde_json::from_str(&body).unwrap_or_default()))
        .collect();
    let path = format!("POST /v1/dead-letters/{LOST}");
    let expected = [
        (format!("{path}/settle"), json!({ "clientOrderId": order })),
        (
            format!("{path}/settle"),
            json!({ "clientOrderId": order, "filledQuantity": "0", "averagePrice": null }),
        ),
        (
            format!("{path}/settle"),
            json!({ "clientOrderId": order, "filledQuantity": "0.04", "averagePrice": "65000" }),
        ),
        (format!("POST /v1/dead-letters/{STALE}/replay"), Value::Null),
        (format!("DELETE /v1/dead-letters/{PART}"), Value::Null),
    ];
    assert_eq!(changes, expected);
}
