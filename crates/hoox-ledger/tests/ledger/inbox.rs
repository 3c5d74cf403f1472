//! Control's inbox: its quotas, its order, and what a refusal costs.

use core::cell::RefCell;
use std::collections::BTreeMap;

use hoox_auth::{Manifest, SenderChange};
use hoox_ledger::{
    Control, LedgerError, MAX_OF_A_SENDER, MAX_UNREAD, MAX_UNREAD_AN_HOUR, RowMemory, Store,
    StoreError,
};
use hoox_mesh::{InboxNote, InboxRequest, Problem};
use hoox_model::{Code, RequestId, Timestamp};
use hoox_store::Value;
use serde_json::json;
use serde_json::value::{RawValue, to_raw_value};

use crate::world::{Host, MINUTE};

/// A store that remembers the statements.
struct Watched {
    host: Host,
    statements: RefCell<BTreeMap<String, Vec<Value>>>,
}

impl Store for Watched {
    fn query(&self, sql: &str, params: &[Value]) -> Result<Vec<Vec<Value>>, StoreError> {
        let mut statements = self.statements.borrow_mut();
        statements.insert(sql.to_owned(), params.to_vec());
        self.host.query(sql, params)
    }

    fn transaction(
        &self,
        work: &mut dyn FnMut() -> Result<(), LedgerError>,
    ) -> Result<(), LedgerError> {
        self.host.transaction(work)
    }

    fn set_alarm(&self, at: Timestamp) -> Result<(), StoreError> {
        self.host.set_alarm(at)
    }

    fn written(&self) -> u64 {
        self.host.written()
    }

    fn memory(&self) -> &RowMemory {
        self.host.memory()
    }
}

impl Watched {
    /// A Control that knows these senders.
    fn new(senders: &[&str]) -> Self {
        let watched = Self {
            host: Host::unconfigured(),
            statements: RefCell::default(),
        };
        let control = Control::open(&watched).unwrap();
        control
            .put_manifest(&manifest(1, senders), watched.now())
            .unwrap();
        watched
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.host.now())
    }

    fn control(&self) -> Control<'_, Self> {
        Control::open(self).unwrap()
    }

    /// How many rows a note writes.
    fn take(&self, note: &InboxNote<Box<RawValue>>) -> i64 {
        let changes = || {
            let Value::Integer(changes) = self.host.sql("SELECT total_changes()")[0][0] else {
                panic!("it is a number")
            };
            changes
        };
        let before = changes();
        self.control().keep_refusal(note, self.now()).unwrap();
        changes() - before
    }

    fn keep(&self, sender: Option<&str>, number: i64) -> i64 {
        self.host.advance(1);
        self.take(&refused(sender, number, self.now()))
    }

    fn list(&self, asked: &InboxRequest) -> serde_json::Value {
        let page = self.control().refusals(asked).unwrap();
        serde_json::from_str(&page).unwrap()
    }

    /// The sentences of everything that is kept, newest first.
    fn all(&self, sender: Option<&str>) -> Vec<String> {
        let mut asked = InboxRequest {
            sender: sender.map(str::to_owned),
            limit: Some(7),
            cursor: None,
        };
        let mut all = Vec::new();
        loop {
            let page = self.list(&asked);
            let items = page["items"].as_array().unwrap();
            all.extend(items.iter().map(|item| item.as_str().unwrap().to_owned()));
            let Some(next) = page["nextCursor"].as_str() else {
                assert!(items.len() <= 7);
                return all;
            };
            assert_eq!(items.len(), 7);
            asked.cursor = Some(next.to_owned());
        }
    }

    fn not_kept(&self) -> serde_json::Value {
        self.list(&InboxRequest::default())["notKept"].take()
    }
}

fn manifest(version: u64, senders: &[&str]) -> Manifest {
    let senders = senders.iter().map(|id| {
        json!({ "id": id, "permission": "read", "accounts": ["*"], "ranges": ["127.0.0.1/32"],
            "keys": [{ "salt": "00".repeat(16), "hash": "ab".repeat(32) }] })
    });
    let senders: Vec<_> = senders.collect();
    let manifest = json!({ "version": version, "senders": senders, "accounts": [] });
    Manifest::parse(&manifest.to_string()).unwrap()
}

/// Control keeps it unread, so a text serves.
fn refused(sender: Option<&str>, number: i64, at: Timestamp) -> InboxNote<Box<RawValue>> {
    let text = format!("{} {number}", sender.unwrap_or("unread"));
    InboxNote {
        sender: sender.map(|name| name.parse().unwrap()),
        request_id: RequestId::new(at, [1; 10]),
        refused: Some(to_raw_value(&text).unwrap()),
        more: 0,
    }
}

fn count(sender: Option<&str>, more: u32) -> InboxNote<Box<RawValue>> {
    InboxNote {
        refused: None,
        more,
        ..refused(sender, 0, Timestamp::from_millis(0))
    }
}

fn numbered(name: &str, numbers: impl DoubleEndedIterator<Item = i64>) -> Vec<String> {
    let newest_first = numbers.rev();
    newest_first
        .map(|number| format!("{name} {number}"))
        .collect()
}

#[test]
fn each_sender_has_room_of_its_own_and_the_oldest_goes_out() {
    let watched = Watched::new(&["bot", "desk"]);
    watched.keep(Some("desk"), 0);
    for number in 0..MAX_UNREAD_AN_HOUR + 5 {
        watched.keep(None, number);
    }
    for number in 0..MAX_OF_A_SENDER + 30 {
        let written = watched.keep(Some("bot"), number);
        let full = number >= MAX_OF_A_SENDER;
        assert_eq!(written, if full { 2 } else { 1 }, "{number}");
    }
    let bot = numbered("bot", 30..MAX_OF_A_SENDER + 30);
    assert_eq!(watched.all(Some("bot")), bot);
    assert_eq!(watched.all(Some("desk")), ["desk 0"]);
    // The newest first, whose-ever they are.
    let unread = numbered("unread", 0..MAX_UNREAD_AN_HOUR);
    let all = [bot, unread, vec!["desk 0".to_owned()]].concat();
    assert_eq!(watched.all(None), all);
}

#[test]
fn the_unread_are_twenty_an_hour_and_a_hundred_in_all_and_the_rest_is_counted() {
    let watched = Watched::new(&[]);
    let begun = watched.now();
    let mut sent = 0;
    for _ in 0..7 {
        for number in 0..50 {
            let written = watched.keep(None, sent);
            // A row, and one that leaves; or the count.
            let at_most = if number < MAX_UNREAD_AN_HOUR { 2 } else { 1 };
            assert!((1..=at_most).contains(&written), "{written}");
            sent += 1;
        }
        watched.host.advance(60 * MINUTE);
    }
    let kept = watched.all(None);
    assert_eq!(i64::try_from(kept.len()), Ok(MAX_UNREAD));
    assert_eq!(kept[..20], numbered("unread", 300..320));
    let counted = watched.not_kept();
    let (since, last) = (&counted[0]["since"], &counted[0]["lastAt"]);
    let expected = json!([{ "sender": null, "count": 7 * 30, "since": since, "lastAt": last }]);
    assert_eq!(counted, expected);
    let [since, last] = [since, last].map(|at| at.as_i64().unwrap());
    assert!(begun.as_millis() < since && since < last && last < watched.host.now());
    // A week later the count begins anew.
    watched.host.advance(7 * 24 * 60 * MINUTE);
    assert_eq!(watched.take(&count(None, 9)), 1);
    assert_eq!(watched.not_kept()[0]["count"], 9);
}

#[test]
fn twenty_an_hour_holds_for_every_hour() {
    let watched = Watched::new(&[]);
    for minute in 0..180 {
        watched.keep(None, minute);
        watched.host.advance(MINUTE - 1);
    }
    // In any sixty minutes twenty, not twenty of each hour of the clock.
    let expected = [0..20, 60..80, 120..140];
    let expected = expected.into_iter().flatten();
    assert_eq!(
        watched.all(None),
        numbered("unread", expected.collect::<Vec<_>>().into_iter())
    );
}

#[test]
fn one_that_is_kept_twice_is_kept_once() {
    let watched = Watched::new(&["bot"]);
    let note = refused(Some("bot"), 1, watched.now());
    assert_eq!(watched.take(&note), 1);
    assert_eq!(watched.take(&note), 0);
    assert_eq!(watched.all(None), ["bot 1"]);
}

#[test]
fn what_is_kept_of_a_sender_goes_with_it() {
    let watched = Watched::new(&["bot", "desk"]);
    let count = count(Some("bot"), 3);
    for sender in ["bot", "desk", "stranger"] {
        watched.keep(Some(sender), 1);
    }
    watched.take(&count);
    assert_eq!(watched.all(None), ["desk 1", "bot 1"]);
    assert_eq!(watched.not_kept()[0]["sender"], "bot");
    let revoke = SenderChange::Revoke {
        id: "bot".parse().unwrap(),
    };
    watched
        .control()
        .change_senders(&revoke, watched.now())
        .unwrap();
    assert_eq!(watched.all(None), ["desk 1"]);
    // It may come late, from a gateway that still knows the sender.
    assert_eq!(watched.keep(Some("bot"), 2), 0);
    assert_eq!(watched.take(&count), 0);
    watched
        .control()
        .put_manifest(&manifest(3, &["bot"]), watched.now())
        .unwrap();
    let rows = "SELECT (SELECT COUNT(*) FROM refusal) + (SELECT COUNT(*) FROM refusal_count)";
    assert_eq!(watched.host.sql(rows)[0][0], Value::Integer(0));
    watched.keep(Some("bot"), 3);
    assert_eq!(watched.all(Some("bot")), ["bot 3"]);
}

#[test]
fn a_page_that_cannot_be_is_refused_by_name() {
    let watched = Watched::new(&["bot"]);
    for (asked, field) in [
        (json!({ "limit": 0 }), "limit"),
        (json!({ "limit": 101 }), "limit"),
        (json!({ "cursor": "no cursor" }), "cursor"),
        (json!({ "sender": "stranger" }), "sender"),
        (json!({ "sender": "" }), "sender"),
    ] {
        let asked = serde_json::from_value(asked).unwrap();
        let refusal = watched.control().refusals(&asked).unwrap_err();
        let refusal = Problem::from(refusal);
        assert_eq!(
            (refusal.code, refusal.field.as_deref()),
            (Code::BadField, Some(field))
        );
    }
}

#[test]
fn every_statement_finds_its_rows_by_the_key() {
    let watched = Watched::new(&["bot"]);
    for number in 0..=MAX_OF_A_SENDER {
        watched.keep(Some("bot"), number);
        watched.keep(None, number);
    }
    watched.all(None);
    let revoke = SenderChange::Revoke {
        id: "bot".parse().unwrap(),
    };
    watched
        .control()
        .change_senders(&revoke, watched.now())
        .unwrap();
    let mut seen = 0;
    for (sql, params) in watched.statements.borrow().iter() {
        if !sql.contains(" refusal") || sql.starts_with("CREATE") {
            continue;
        }
        seen += 1;
        let explain = format!("EXPLAIN QUERY PLAN {sql}");
        for row in watched.host.query(&explain, params).unwrap() {
            let Some(Value::Text(detail)) = row.last() else {
                panic!("no plan of {sql}")
            };
            let found =
                detail.starts_with("SEARCH refusal") && detail.contains("USING PRIMARY KEY");
            // A page of all senders has the room of all of them to sort, which is bounded.
            let sorts = detail == "USE TEMP B-TREE FOR ORDER BY" && sql.contains("BETWEEN");
            assert!(found || sorts, "{detail} in {sql}");
        }
    }
    // All that there are: whoever adds one runs it here.
    assert_eq!(seen, 8);
}
