//! The inbox: what is kept of a refused alert holds no value of it, and a flood is no flood of calls.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "in a test a failed expectation is the assertion"
)]

use core::cell::RefCell;
use core::fmt;
use core::future::Future;
use core::net::IpAddr;
use core::pin::pin;
use core::task::{Context, Poll, Waker};

use hoox_auth::{Manifest, PasskeyHash, Published};
use hoox_gateway::{Arriving, Gateway, Heard, Inbound, Isolate, Outflow, Ports, Unread, too_large};
use hoox_mesh::{
    Accept, AcceptSignal, Answer, GetManifest, Problem, RefusedAlert, SignalStatus, SignalView,
};
use hoox_model::{Code, RequestId, Secret, SignalId, Timestamp};
use serde_json::{Value, json};

const START: i64 = 1_780_000_000_000;
const INSIDE: &str = "52.89.214.238";
const KEY: &str = "trader-passkey";

fn published() -> Published {
    let account = |id: &str, name: &str, environment: &str| {
        json!({ "id": id, "name": name, "venue": "bybit", "environment": environment,
            "baseUrl": "http://127.0.0.1:9", "secretSuffix": id.to_uppercase() })
    };
    let sender = |id: &str, key: &str, permission: &str| {
        json!({ "id": id, "permission": permission, "accounts": ["main"], "ranges": [],
            "keys": [PasskeyHash::new([7; 16], &Secret::new(key))] })
    };
    let text = json!({
        "version": 4,
        "senders": [sender("trader", KEY, "trade"), sender("reader", "reader-passkey", "read")],
        "accounts": [account("a1", "main", "sim"), account("a2", "other", "sim")],
    });
    Manifest::parse_strict(&text.to_string()).unwrap().into()
}

/// A gateway whose Ledger refuses with this.
struct Outside(RefCell<Option<Problem>>);

impl Ports for Outside {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(START)
    }

    async fn read_published(&self) -> Result<Option<String>, String> {
        Ok(Some(serde_json::to_string(&published()).unwrap()))
    }

    async fn ask_control(&self, _: &RequestId, _: u32) -> Answer<GetManifest> {
        Err(Problem::new(Code::NotConfirmed, "nobody answers"))
    }

    async fn ask_ledger(&self, _: &Accept, _: u32) -> Answer<AcceptSignal> {
        let refusal = self.0.borrow_mut().take();
        Err(refusal.unwrap_or_else(|| Problem::new(Code::NotConfirmed, "taken, for this test")))
    }

    fn wrong_key<'a>(
        &'a self,
        _: &'a RequestId,
        _: Option<IpAddr>,
        _: Timestamp,
        refusal: Problem,
    ) -> impl Future<Output = Problem> + 'a {
        core::future::ready(refusal)
    }

    async fn pause(&self, _: u32) {}

    fn log(&self, _: fmt::Arguments<'_>) {}
}

fn run<T>(work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    for _ in 0..1_000 {
        if let Poll::Ready(done) = work.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return done;
        }
    }
    panic!("it waits for ever")
}

fn id() -> RequestId {
    RequestId::new(Timestamp::from_millis(START), [3; 10])
}

/// What is answered, and what is kept of it.
fn send_to(ledger: Option<Problem>, body: &str) -> (Problem, Option<RefusedAlert>) {
    let outside = Outside(RefCell::new(ledger));
    let isolate = Isolate::new();
    let gateway = Gateway::new(&outside, &isolate);
    let inbound = Inbound {
        request_id: id(),
        received_at: Timestamp::from_millis(START),
        address: INSIDE.parse().ok(),
        signed: None,
        certified: false,
        idempotency_key: None,
        prefer: None,
        body: body.as_bytes(),
    };
    let mut heard = Heard::default();
    let manifest = run(gateway.manifest(inbound.received_at)).unwrap();
    let answered = run(gateway.webhook(manifest, &inbound, &mut heard)).unwrap_err();
    (answered, heard.refused)
}

fn send(alert: &Value) -> (Problem, Option<RefusedAlert>) {
    send_to(None, &alert.to_string())
}

fn alert(changes: &Value) -> Value {
    let mut alert = json!({ "apiKey": KEY, "symbol": "BTCUSDT", "action": "LONG", "quantity": 1 });
    let fields = alert.as_object_mut().unwrap();
    fields.extend(changes.as_object().unwrap().clone());
    alert
}

fn error(changes: &Value) -> String {
    let (_, kept) = send(&alert(changes));
    kept.unwrap().error
}

#[test]
fn a_refusal_to_a_sender_is_kept_with_its_sentence_and_the_names_of_fields() {
    let (answered, kept) = send(&alert(&json!({ "action": "hold", "comment": "private" })));
    assert!(answered.message.contains("'hold'"), "{answered}");
    let kept = serde_json::to_value(kept.unwrap()).unwrap();
    let expected = json!({
        "requestId": id(), "receivedAt": START, "sender": "trader", "address": null, "code": "BAD_FIELD", "field": "action",
        "error": answered.message.replace("'hold'", "'…'"), "account": "main", "symbol": "BTCUSDT",
        "signalId": null, "fields": ["action", "comment", "quantity", "symbol"], "bytes": null,
    });
    assert_eq!(kept, expected);
}

#[test]
fn sentences_stay_readable() {
    for (changes, expected) in [
        (json!({ "quantity": 0 }), "quantity must be above 0"),
        (
            json!({ "quantity": "1,5" }),
            "quantity must be a decimal number such as 0.5, not '…'",
        ),
        (
            json!({ "comment": "the price is above it, so use one of these: close a text", "test": 1 }),
            "test must be true or false",
        ),
        (
            json!({ "exchange": "binance" }),
            "this sender may use no account on binance; correct exchange or leave it out",
        ),
        (
            json!({ "account": "other" }),
            "account '…' is not one this sender may use",
        ),
        (
            json!({ "comment": "{{strategy.order.comment}}" }),
            "comment holds {{…}}, which was not filled in: only alerts of a strategy fill it in; make the alert on a \
             strategy, or write a value",
        ),
    ] {
        assert_eq!(error(&changes), expected, "{changes}");
    }
    let at_spot = error(&json!({ "symbol": "BYBIT:BTCUSDT.P", "market": "spot" }));
    assert!(at_spot.contains("symbol BTCUSDT,"), "{at_spot}");
}

#[test]
fn the_ledgers_refusals_are_kept_with_the_signal_that_they_are_about() {
    let first = SignalId::new(Timestamp::from_millis(START), [1; 10]);
    let view = SignalView {
        signal_id: first.clone(),
        status: SignalStatus::Filled,
        account: "main".parse().unwrap(),
        code: None,
        message: None,
        notes: Vec::new(),
        incomplete: false,
        legs: None,
        orders: Vec::new(),
    };
    let text = format!("this signal came before as {first} and is filled; nothing was done again");
    let duplicate = Problem::new(Code::Duplicate, text.clone()).signal(view);
    let body = alert(&json!({ "comment": "nothing", "orderId": "filled" })).to_string();
    let (_, kept) = send_to(Some(duplicate), &body);
    let kept = kept.unwrap();
    // A word that is a whole value is taken out, whose-ever it is.
    let bare = text.replace("filled", "…").replace("nothing", "…");
    assert_eq!(
        (kept.signal_id, kept.error, kept.account.unwrap().as_str()),
        (Some(first), bare, "main")
    );
    // What is sent again is not.
    let away = Problem::new(Code::NotConfirmed, "send it again");
    assert_eq!(send_to(Some(away), &body).1, None);
}

#[test]
fn a_wrong_key_is_not_kept() {
    let (answered, kept) = send(&alert(&json!({ "apiKey": "another", "action": "hold" })));
    assert_eq!((answered.code, kept), (Code::Forbidden, None));
}

/// Fields of the contract, from the table that users read.
fn fields() -> Vec<String> {
    let table = include_str!("../../../docs/API.md");
    let rows = table
        .lines()
        .take_while(|line| !line.starts_with("## `POST /webhook/{sender}`"));
    let names = rows
        .filter_map(|row| row.strip_prefix("| ")?.split(" |").next())
        .flat_map(|cell| cell.split(", ").map(str::to_owned).collect::<Vec<_>>())
        .filter_map(|name| Some(name.strip_prefix('`')?.strip_suffix('`')?.to_owned()))
        .filter(|name| name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'));
    let names: Vec<String> = names.filter(|name| name != "apiKey").collect();
    assert!(
        names.len() > 20 && names.contains(&"timeInForce".to_owned()),
        "{names:?}"
    );
    names
}

/// Parts of values that are looked for in what is kept.
const MARKS: [&str; 8] = [
    "zebrafish",
    "QUAGGA77",
    "x7#kraken",
    "8675309",
    "0.0412345",
    "Lynx",
    "5551212",
    "1779876543",
];

/// Values that hold them, in every shape that a refusal may repeat.
fn marked() -> Vec<Value> {
    let mut all: Vec<Value> = MARKS.iter().map(|mark| json!(mark)).collect();
    all.extend(
        MARKS
            .iter()
            .filter_map(|mark| serde_json::from_str(mark).ok()),
    );
    for mark in MARKS {
        for text in [
            format!("{mark} in a longer text that goes on and on, and on"),
            format!("it's '{mark}' {mark}' '{mark}"),
            format!("{{{{{mark}}}}}"),
            format!("{{{{ {mark} }}}}"),
            format!("{mark}:{mark}.P"),
            format!("BYBIT:{mark}"),
            format!("{mark}/{mark}:{mark}"),
            format!("-{mark}"),
            format!("“{mark}” {}", mark.to_uppercase()),
        ] {
            all.push(json!(text));
        }
        all.push(json!([mark]));
        all.push(json!({ mark: mark, "price": mark, "chatId": mark, "message": mark }));
        all.push(json!({ "price": mark }));
        all.push(json!({ "percent": mark }));
        all.push(json!({ "chatId": mark, "message": { "a": mark } }));
    }
    all
}

fn assert_bare(kept: &RefusedAlert, of: &Value) {
    let mut kept = kept.clone();
    // A normalised symbol may stay.
    let symbol = kept.symbol.take().map(|symbol| symbol.to_string());
    let mut text = serde_json::to_string(&kept)
        .unwrap()
        .replace("1780000000000", "");
    if let Some(symbol) = symbol {
        text = text.replace(&symbol, "");
    }
    for mark in MARKS {
        // Also what is made of it: a moment, a number in another spelling.
        let made = Timestamp::parse(mark).map(|at| at.to_string());
        let number = mark.trim_start_matches("0.0");
        for form in [mark, made.as_deref().unwrap_or(mark), number] {
            let found = text.to_lowercase().contains(&form.to_lowercase());
            assert!(!found, "{form} of {of} is kept: {text}");
        }
    }
}

#[test]
fn no_refusal_is_kept_with_a_value_of_the_alert() {
    let bases = [
        json!({}),
        json!({ "action": "target", "marketPosition": "long", "marketPositionSize": "1" }),
        json!({ "orderType": "limit", "price": "70000", "account": "other" }),
    ];
    let mut refused = 0;
    let mut sentences = std::collections::BTreeSet::new();
    for field in fields() {
        for value in marked() {
            for base in &bases {
                let mut alert = alert(base);
                alert[&field] = value.clone();
                // An unused field, so that it is not refused for itself: its value must not come in by another sentence.
                alert["comment"] = if field == "comment" {
                    value.clone()
                } else {
                    json!("x7#kraken")
                };
                let (answered, kept) = send(&alert);
                let Some(kept) = kept else {
                    assert_eq!(answered.code, Code::NotConfirmed, "{answered}");
                    continue;
                };
                refused += 1;
                assert_bare(&kept, &alert);
                sentences.insert(kept.error);
            }
        }
    }
    // It would prove nothing if nothing were refused, or everything for one reason.
    assert!(
        refused > 8_000 && sentences.len() > 60,
        "{refused}: {sentences:#?}"
    );
}

#[test]
fn no_refusal_of_the_ledger_is_kept_with_a_value_of_the_alert() {
    for value in marked() {
        let text = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        let sent = alert(&json!({ "orderId": value, "strategy": "Lynx" }));
        // As a careless sentence would have it.
        for sentence in [
            format!("{text} came before"),
            format!(
                "order '{text}' of \"{text}\" came before, and {} too",
                text.trim()
            ),
            format!("of {{\"{text}\":1}} nothing is known"),
        ] {
            let refusal = Problem::new(Code::Duplicate, sentence).field("orderId");
            let (_, kept) = send_to(Some(refusal), &sent.to_string());
            // What no signal can hold does not get to the Ledger.
            assert_bare(&kept.unwrap(), &sent);
        }
    }
}

#[test]
fn names_are_bounded_and_none_holds_the_passkey() {
    let mut fields = json!({ "action": "hold" });
    for number in 0..80 {
        fields[format!("n{number:02}{}", "x".repeat(90))] = json!(1);
    }
    let (_, kept) = send(&alert(&fields));
    let kept = kept.unwrap();
    assert_eq!(kept.fields.len(), 64);
    assert!(kept.fields.iter().all(|name| name.chars().count() <= 40));
    for name in [
        KEY.to_owned(),
        format!("my-{KEY}"),
        "trader\\u002dpasskey".to_owned(),
    ] {
        let (answered, kept) = send(&alert(&json!({ name: 1 })));
        assert_eq!(answered.field.as_deref(), Some("apiKey"));
        let kept = kept.unwrap();
        assert_eq!(kept.fields, ["action", "quantity", "symbol"]);
        assert!(!serde_json::to_string(&kept).unwrap().contains("passkey\""));
    }
}

#[test]
fn of_what_cannot_be_read_the_fault_and_its_place_are_kept() {
    for (body, expected) in [
        (
            r#"{"action":"close",}"#,
            "the JSON is broken at line 1, column 19: a comma stands before the closing brace; remove it",
        ),
        (
            "BTC crossed 70000",
            "the body is not a JSON object; the alert's message must begin with { and end with }",
        ),
        (
            r#"{"zebrafish":1,"zebrafish":2}"#,
            "the field '…' is given twice (line 1, column 26)",
        ),
    ] {
        let (answered, kept) = send_to(None, body);
        let kept = serde_json::to_value(kept.unwrap()).unwrap();
        let expected = json!({
            "requestId": id(), "receivedAt": START, "sender": null, "address": INSIDE, "code": answered.code,
            "field": null, "error": expected, "account": null, "symbol": null, "signalId": null, "fields": [],
            "bytes": body.len(),
        });
        assert_eq!(kept, expected);
    }
}

#[test]
fn nothing_that_stands_in_a_body_that_cannot_be_read_is_kept() {
    let mut kept_of = 0;
    for mark in MARKS {
        for body in [
            mark.to_owned(),
            format!("{mark}: {mark}"),
            format!("{{{{{mark}}}}}"),
            format!("{{\"apiKey\":\"{mark}\",}}"),
            format!("{{\"apiKey\":{mark}}}"),
            format!("{{\"apiKey\":{{{{{mark}}}}}}}"),
            format!("{{\"a\":\"{{{{plot(\"{mark}\")}}}}\"}}"),
            format!("{{apiKey:\"{mark}\"}}"),
            format!("{{{mark}:1}}"),
            format!("{{'{mark}':'{mark}'}}"),
            format!("{{\"{mark}\":1,\"{mark}\":2}}"),
            format!("{{\"{mark}\":{{\"{mark}\":1,\"{mark}\":2}}}}"),
            format!("{{\"{mark}\":\"\\ud800\"}}"),
            format!("{{\"a\":\"{mark}\nb\"}}"),
            format!("{{\"a\":\"say \"{mark}\" now\"}}"),
            format!("{{“apiKey”:“{mark}”}}"),
            format!("{{&quot;apiKey&quot;:&quot;{mark}&quot;}}"),
            format!("{{\"apiKey\":\"{mark}\" // {mark}\n}}"),
            format!("{{\"apiKey\":\"{mark}\"}} {mark}"),
            format!("[\"{mark}\"]"),
            format!("apiKey={mark}&symbol={mark}"),
            format!("\u{a0}{{\"apiKey\":\"{mark}\"}}"),
            format!("From: {mark}\n\n{{\"apiKey\":\"{mark}\"}}"),
            format!("{{\"apiKey\":\"{mark}\\x\"}}"),
        ] {
            let (answered, kept) = send_to(None, &body);
            // Some of them can be read, and hold no key.
            let Some(kept) = kept else {
                assert_eq!(answered.code, Code::Forbidden, "{body}");
                continue;
            };
            kept_of += 1;
            assert_bare(&kept, &json!(body));
        }
    }
    assert!(kept_of > 150, "{kept_of}");
}

#[test]
fn only_what_comes_from_an_allowed_address_is_kept_unread() {
    let unread = |address: Option<&str>, problem: &Problem| {
        let id = id();
        let arriving = Arriving {
            request_id: &id,
            received_at: Timestamp::from_millis(START),
            address: address.and_then(|address| address.parse().ok()),
            declared_length: Some("70000"),
            content_encoding: None,
        };
        Unread::before_its_body(&arriving).kept(&published(), problem)
    };
    let kept = unread(Some(INSIDE), &too_large()).unwrap();
    assert_eq!((kept.code, kept.bytes), (Code::TooLarge, Some(70_000)));
    assert_eq!(unread(Some("203.0.113.9"), &too_large()), None);
    assert_eq!(unread(None, &too_large()), None);
    let wrong = Problem::new(Code::Forbidden, "forbidden");
    assert_eq!(unread(Some(INSIDE), &wrong), None);
}

fn of(sender: Option<&str>) -> RefusedAlert {
    let at = Timestamp::from_millis(START);
    RefusedAlert {
        sender: sender.map(|name| name.parse().unwrap()),
        ..RefusedAlert::new(id(), at, Code::BadJson, String::new())
    }
}

#[test]
fn a_flood_leaves_the_isolate_as_far_as_the_inbox_has_room_and_is_counted_then() {
    let mut outflow = Outflow::new();
    let at = |second: i64| Timestamp::from_millis(START + second * 1_000);
    let mut kept = 0;
    let mut counted = 0;
    let mut calls = 0;
    for second in 0..3_600 {
        for note in (0..5).filter_map(|_| outflow.note(of(None), at(second))) {
            calls += 1;
            assert_eq!(note.sender, None);
            kept += u32::from(note.refused.is_some());
            counted += note.more;
        }
    }
    assert_eq!((kept, calls), (100, 160));
    // But for those of the last minute.
    assert!((17_600..=17_900).contains(&counted), "{counted}");
    // A sender has room of its own, and the next hour is another one.
    for origin in [Some("bot"), None] {
        let note = outflow.note(of(origin), at(3_600)).unwrap();
        assert!(note.refused.is_some(), "{note:?}");
    }
    let flood = (0..1_000).filter_map(|_| outflow.note(of(Some("bot")), at(3_601)));
    let flood: Vec<_> = flood.collect();
    // The last one says that there are more.
    assert_eq!((flood.len(), flood.last().unwrap().more), (200, 1));
    let other = outflow.note(of(Some("desk")), at(3_602)).unwrap();
    assert!(other.refused.is_some());
}
