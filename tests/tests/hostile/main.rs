//! Hostile requests, byte for byte over TCP, each with its exact answer. None of them reaches the exchange,
//! none leaves a trace but those that are alerts after all, and a good alert trades afterwards.
//!
//! The answers of the runtime ([`Answer::Runtime`]) are those of the pinned local one, workerd and wrangler's
//! proxy in it; in production Cloudflare's edge stands there.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests: a failed expectation is the assertion"
)]

/// An alert that closes a position that is not there, with more fields.
macro_rules! close {
    ($($more:literal)?) => {
        concat!(
            r#"{"apiKey":"<key>","action":"close","symbol":"BTCUSDT","orderId":"<n>""#,
            $(",", $more,)?
            "}"
        )
    };
}

/// An entry with more fields; nothing but its fault keeps it from being traded.
macro_rules! enter {
    ($more:literal) => {
        concat!(
            r#"{"apiKey":"<key>","action":"LONG","symbol":"BTCUSDT","orderId":"<n>","#,
            $more,
            "}"
        )
    };
}

mod encodings;
mod headers;
mod json;
mod keys;
mod methods;
mod paths;
mod row;
mod sizes;
mod wire;

use std::collections::{BTreeMap, BTreeSet};

use hoox_e2e::{Desk, Reply, Stack, eventually, run};
use serde_json::{Value, json};
use tokio::time::error::Elapsed;

use row::{Answer, Row};
use wire::Answered;

/// The table.
const TABLE: [(&str, &[Row]); 7] = [
    ("encodings", encodings::ROWS),
    ("json", json::ROWS),
    ("sizes", sizes::ROWS),
    ("methods", methods::ROWS),
    ("paths", paths::ROWS),
    ("headers", headers::ROWS),
    ("keys", keys::ROWS),
];
const ROWS: usize = encodings::ROWS.len()
    + json::ROWS.len()
    + sizes::ROWS.len()
    + methods::ROWS.len()
    + paths::ROWS.len()
    + headers::ROWS.len()
    + keys::ROWS.len();
const _: () = assert!(ROWS >= 150, "the table has at least 150 rows");

/// An id that a row sends and that Hoox must not take over.
const FOREIGN_ID: &str = "01ARZ3NDEKTSV4RRFFQ69G5FAV";

/// What the marks in a row stand for.
#[derive(Debug)]
pub(crate) struct Marks(BTreeMap<&'static str, String>);

impl Marks {
    fn of(stack: &Stack, desk: &Desk) -> Self {
        let secrets: BTreeMap<String, String> = stack.secrets().into_iter().collect();
        let mut marks = BTreeMap::from([
            ("<key>", desk.passkey.clone()),
            ("<KEY>", desk.passkey.to_uppercase()),
            ("<operator>", stack.sandbox.secret("/operatorKey")),
            ("<edge>", secrets["HOOX_TRADE_KEY"].clone()),
            ("<account>", desk.account.clone()),
            ("<host>", host(desk)),
            ("<foreign-id>", FOREIGN_ID.to_owned()),
            ("<x256>", "x".repeat(256)),
            ("<x8000>", "x".repeat(8_000)),
            ("<x200000>", "x".repeat(200_000)),
        ]);
        for (mark, sender) in [
            ("<reader>", "reader"),
            ("<confined>", "confined"),
            ("<fenced>", "fenced"),
            ("<idle>", "idle"),
            ("<late>", "late"),
            ("<early>", "early"),
        ] {
            marks.insert(mark, stack.desk_of(sender).passkey);
        }
        Self(marks)
    }

    /// The same, with another number for `<n>`.
    fn numbered(&self, number: usize) -> Self {
        let mut marks = self.0.clone();
        marks.insert("<n>", number.to_string());
        Self(marks)
    }

    /// `bytes` with every mark filled in; what is not UTF-8 holds none.
    pub(crate) fn fill(&self, bytes: &[u8]) -> Vec<u8> {
        let Ok(text) = core::str::from_utf8(bytes) else {
            return bytes.to_vec();
        };
        let filled = self.0.iter().fold(text.to_owned(), |text, (mark, value)| {
            text.replace(mark, value)
        });
        filled.into_bytes()
    }
}

fn host(desk: &Desk) -> String {
    let gateway = desk.client().gateway();
    gateway
        .strip_prefix("http://")
        .expect("plain HTTP")
        .to_owned()
}

#[test]
fn hostile_requests_get_their_answers_and_trade_nothing() {
    run(async {
        println!("{ROWS} rows");
        let stack = Stack::shared().await;
        let desk = stack.desk();
        let marks = Marks::of(stack, &desk);
        let mut judge = Judge::new(&desk.account);
        let rows = TABLE
            .iter()
            .flat_map(|(kind, rows)| rows.iter().map(move |row| (kind, row)));
        for (number, (kind, row)) in rows.enumerate() {
            let request = wire::request(row, &marks.numbered(number));
            let answered = wire::exchange(&host(&desk), row, &request).await;
            judge.hear(&format!("{kind}: {}", row.name), row, answered);
        }
        judge.sentence();
        assert_eq!(desk.orders(), [""; 0]);
        assert_eq!(stack.desk_of("reader").orders(), [""; 0]);
        assert_only_journaled(&desk, judge.signals).await;
        stack.assert_no_secret_got_out();
    });
}

/// After all of it the gateway trades, and nothing is recorded but what was acknowledged.
async fn assert_only_journaled(desk: &Desk, mut acknowledged: BTreeSet<String>) {
    let good = desk
        .trade(json!({ "action": "LONG", "symbol": "BTCUSDT", "quantity": "0.01" }))
        .await;
    assert_eq!(
        (good.status, good.str("status")),
        (200, "filled"),
        "{}",
        good.text
    );
    assert_eq!(desk.orders(), ["Buy Market 0.01 BTCUSDT"]);
    acknowledged.insert(good.str("signalId").to_owned());
    let listed = eventually("all acknowledged signals are recorded", async || {
        let signals = desk.listed("signals").await;
        let ended = signals
            .iter()
            .all(|signal| ["nothing_to_do", "filled"].contains(&signal["state"].as_str().unwrap()));
        (ended && signals.len() >= acknowledged.len()).then_some(signals)
    })
    .await;
    let recorded: Vec<&str> = listed
        .iter()
        .map(|signal| signal["id"].as_str().unwrap())
        .collect();
    let expected: Vec<&str> = acknowledged.iter().rev().map(String::as_str).collect();
    assert_eq!(recorded, expected);
}

/// Holds answers against the table and keeps what is wrong until the end, so that one run shows all of it.
struct Judge {
    account: String,
    wrong: Vec<String>,
    request_ids: BTreeSet<String>,
    /// Ids of the signals that were acknowledged.
    signals: BTreeSet<String>,
    /// What a stranger is told: status, headers and body, without what differs by design.
    told: BTreeSet<String>,
}

impl Judge {
    fn new(account: &str) -> Self {
        Self {
            account: account.to_owned(),
            wrong: Vec::new(),
            request_ids: BTreeSet::from([FOREIGN_ID.to_owned()]),
            signals: BTreeSet::new(),
            told: BTreeSet::new(),
        }
    }

    fn hear(&mut self, name: &str, row: &Row, answered: Result<Option<Answered>, Elapsed>) {
        let verdict = match (&row.answer, answered) {
            (_, missing @ (Ok(None) | Err(_))) => Err(format!("came {missing:?}")),
            (Answer::Runtime(status, body), Ok(Some(answered))) => {
                let first = answered.body.split('\n').next().unwrap_or_default();
                same("answer", &(answered.status, first), &(*status, *body))
            }
            (answer, Ok(Some(answered))) => self.hoox(row, answer, &answered),
        };
        if let Err(fault) = verdict {
            self.wrong.push(format!("{name}\n    {fault}"));
        }
    }

    /// An answer of Hoox's.
    fn hoox(&mut self, row: &Row, answer: &Answer, answered: &Answered) -> Result<(), String> {
        let (status, allow) = match answer {
            Answer::Refused { status, allow, .. } => (*status, *allow),
            Answer::Journaled => (202, None),
            _ => (200, None),
        };
        let [id] = answered.values("x-request-id")[..] else {
            return Err(format!("no request id: {answered:?}"));
        };
        if id.len() != 26 || !self.request_ids.insert(id.to_owned()) {
            return Err(format!("the request id {id} is not a new one"));
        }
        let body = self.body(row, answer, id, answered);
        same(
            "answer",
            &(answered.status, answered.body.as_str()),
            &(status, body.as_str()),
        )?;
        let headers: BTreeMap<&str, Vec<&str>> = names(answered)
            .into_iter()
            .filter(|name| !TRANSPORT.contains(name))
            .map(|name| (name, answered.values(name)))
            .collect();
        let mut expected: BTreeMap<&str, Vec<&str>> = Reply::EVERY_ANSWER
            .iter()
            .map(|(name, value)| (*name, vec![*value]))
            .collect();
        expected.insert("x-request-id", vec![id]);
        expected.extend(allow.map(|allow| ("allow", vec![allow])));
        same("headers", &headers, &expected)?;
        if matches!(
            answer,
            Answer::Refused {
                code: "FORBIDDEN",
                ..
            }
        ) {
            let told = format!("{status} {headers:?} {body}").replace(id, "");
            self.told.insert(told);
        }
        Ok(())
    }

    /// The body that should come.
    fn body(&mut self, row: &Row, answer: &Answer, id: &str, answered: &Answered) -> String {
        if row.line.starts_with("HEAD ") {
            return String::new();
        }
        if let Answer::Refused {
            code, field, error, ..
        } = answer
        {
            let field = field.map_or(String::new(), |name| format!(r#","field":"{name}""#));
            let error = Value::from(*error);
            return format!(
                r#"{{"success":false,"error":{error},"code":"{code}","requestId":"{id}"{field}}}"#
            );
        }
        let body: Value = serde_json::from_str(&answered.body).unwrap_or_default();
        let signal = body["signalId"].as_str().unwrap_or_default();
        let new = self.signals.insert(signal.to_owned());
        let (status, message) = match answer {
            Answer::Journaled => ("received", Self::notes(&body, new)),
            _ => ("nothing_to_do", NOTHING_TO_CLOSE.to_owned()),
        };
        let account = &self.account;
        format!(
            r#"{{"success":true,"requestId":"{id}","signalId":"{signal}","status":"{status}","account":"{account}"{message}}}"#
        )
    }

    /// The notes of an alert that was taken, as they should stand in its answer: each row's own, which name what was not
    /// read, and one more where the close of a row before has not been carried out yet, and this one is the same.
    fn notes(body: &Value, new: bool) -> String {
        let given = body["notes"].as_array().cloned().unwrap_or_default();
        let mut notes: Vec<Value> = given.into_iter().filter(|note| note != MERGED).collect();
        assert!(notes.iter().all(Value::is_string), "{body}");
        if !new {
            notes.push(Value::from(MERGED));
        }
        if notes.is_empty() {
            return String::new();
        }
        format!(r#","notes":{}"#, Value::from(notes))
    }

    fn sentence(&self) {
        assert!(
            self.wrong.is_empty(),
            "{} of {ROWS} rows:\n{}",
            self.wrong.len(),
            self.wrong.join("\n")
        );
        assert_eq!(
            self.told.len(),
            1,
            "strangers are told apart: {:#?}",
            self.told
        );
    }
}

/// What an outcome without an order adds to its body.
const MERGED: &str = "an equal close waits already, so this one is carried out with it";
const NOTHING_TO_CLOSE: &str =
    r#","message":"there is no such position, so there is nothing to close""#;
/// Headers that belong to the connection.
const TRANSPORT: [&str; 4] = ["content-length", "transfer-encoding", "connection", "date"];

fn names(answered: &Answered) -> BTreeSet<&str> {
    let names = answered.headers.iter().map(|(name, _)| name.as_str());
    names.collect()
}

fn same<T: PartialEq + core::fmt::Debug>(
    what: &str,
    found: &T,
    expected: &T,
) -> Result<(), String> {
    if found == expected {
        return Ok(());
    }
    Err(format!(
        "{what}\n    came     {found:?}\n    expected {expected:?}"
    ))
}

#[test]
fn every_row_has_a_name_of_its_own() {
    let names: Vec<&str> = TABLE
        .iter()
        .flat_map(|(_, rows)| rows.iter().map(|row| row.name))
        .collect();
    assert_eq!(names.len(), ROWS);
    let mut seen = BTreeSet::new();
    let twice: Vec<&str> = names
        .into_iter()
        .filter(|name| !seen.insert(*name))
        .collect();
    assert_eq!(twice, [""; 0]);
}
