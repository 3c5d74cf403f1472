//! Control's object: whom it tells in which order, and what becomes of those that do not answer.

use core::cell::{Cell, RefCell};
use core::fmt;
use std::collections::BTreeMap;

use hoox_auth::{Account, KeyDigest, Level, Manifest, OperatorChange, Operators, Published};
use hoox_ledger::{ControlObject, ControlService, PUBLISH_AGAIN_MS, Store};
use hoox_mesh::envelope::{message, opened, reply, written};
use hoox_mesh::{
    AccountReport, Answer, ChangeOperators, ConfigureLedger, DeadLetters, GetHealth, GetManifest,
    KeepRefusal, KillMode, LedgerConfig, LedgerState, LetterCall, LetterVerb, Letters, Problem,
    PutKill, PutManifest, Route, RowCount, RowsOfOthers, RowsToday, SetKill, Sweep, SweepLedger,
};
use hoox_model::{Code, RequestId, Secret, Timestamp};
use hoox_store::audit::{AuditEntry, AuditEvent};
use serde_json::json;
use serde_json::value::{RawValue, to_raw_value};

use crate::world::{Host, START};

/// What is around Control's object.
struct Outside {
    host: Host,
    /// What left the object, in order.
    told: RefCell<Vec<String>>,
    /// Accounts whose Ledgers do not answer.
    down: RefCell<Vec<&'static str>>,
    /// The rows that Ledgers have counted; those of a version before count none.
    rows: RefCell<BTreeMap<&'static str, RowCount>>,
    /// What Ledgers were told of the others' rows.
    others: RefCell<Vec<(String, RowsOfOthers)>>,
    /// What a Ledger answers about dead letters.
    letters: RefCell<Result<Letters, Problem>>,
    configuration: RefCell<Option<String>>,
    writes: Cell<bool>,
    notes: RefCell<Vec<(RequestId, AuditEntry)>>,
}

impl Outside {
    fn new() -> Self {
        Self {
            host: Host::unconfigured(),
            told: RefCell::default(),
            down: RefCell::default(),
            rows: RefCell::default(),
            others: RefCell::default(),
            letters: RefCell::new(Ok(Letters::default())),
            configuration: RefCell::default(),
            writes: Cell::new(true),
            notes: RefCell::default(),
        }
    }

    fn ask<R: Route>(&self, request: &R::Request) -> Answer<R> {
        let text = written::<R>(request).unwrap();
        let service = ControlService::new(self);
        let served = service.serve(R::PATH, &text, "r1".parse().ok());
        let served = self.host.run(served).unwrap();
        let inside = opened(&served.body);
        let status = inside.as_ref().map_or_else(|it| it.code.status(), |_| 200);
        assert_eq!(served.status, status);
        reply::<R>(&inside?)
    }

    fn told(&self) -> Vec<String> {
        core::mem::take(&mut *self.told.borrow_mut())
    }

    /// When what could not be told is told again.
    fn again(&self) -> i64 {
        self.host.now() + PUBLISH_AGAIN_MS
    }
}

impl ControlObject for &Outside {
    type Store = Host;
    type Clock = Host;

    fn store(&self) -> &Host {
        &self.host
    }

    fn clock(&self) -> &Host {
        &self.host
    }

    fn request_id(&self) -> RequestId {
        panic!("every request of these tests carries an id")
    }

    async fn ask_ledger(
        &self,
        account: &Account,
        path: &'static str,
        text: &str,
        _: u32,
    ) -> Result<Box<RawValue>, Problem> {
        let name = account.name.as_str();
        self.told.borrow_mut().push(format!("{path} {name}"));
        if self.down.borrow().contains(&name) {
            return Err(Problem::new(Code::NotConfirmed, "nobody answers"));
        }
        Ok(match path {
            ConfigureLedger::PATH => {
                let mode = message::<ConfigureLedger>(text).unwrap().kill.mode;
                to_raw_value(&AccountReport {
                    engaged: mode != KillMode::Off,
                    unreachable: false,
                    ..AccountReport::unreachable(account.name.clone())
                })
            }
            DeadLetters::PATH => to_raw_value(&self.letters.borrow().clone()?),
            SweepLedger::PATH => {
                let asked = message::<SweepLedger>(text).unwrap().unwrap();
                let others = asked.others.map(|others| (name.to_owned(), others));
                self.others.borrow_mut().extend(others);
                to_raw_value(&self.rows.borrow().get(name))
            }
            LedgerState::PATH => {
                to_raw_value(&json!({ "rowsToday": self.rows.borrow().get(name) }))
            }
            _ => to_raw_value(&()),
        }
        .unwrap())
    }

    async fn read_published(&self) -> Option<String> {
        self.configuration.borrow().clone()
    }

    async fn write_published(&self, text: &str) -> bool {
        let version = Published::parse(text).unwrap().manifest.version;
        let mut told = self.told.borrow_mut();
        told.push(format!("gateways: version {version}"));
        if self.writes.get() {
            *self.configuration.borrow_mut() = Some(text.to_owned());
        }
        self.writes.get()
    }

    fn note(&self, id: RequestId, entries: Vec<AuditEntry>) {
        let entries = entries.into_iter().map(|entry| (id.clone(), entry));
        self.notes.borrow_mut().extend(entries);
    }

    fn log(&self, line: fmt::Arguments<'_>) {
        drop(line.to_string());
    }
}

fn manifest(version: u64) -> Manifest {
    let account = |id: &str, name: &str| Account {
        id: id.parse().unwrap(),
        name: name.parse().unwrap(),
        secret_suffix: (name != "main").then(|| "B".to_owned()),
        default: name == "main",
        ..Host::account()
    };
    let accounts = [account("acc-1", "main"), account("acc-2", "other")];
    let text = format!(r#"{{"version":{version},"accounts":[],"senders":[]}}"#);
    Manifest {
        accounts: accounts.into(),
        ..Manifest::parse(&text).unwrap()
    }
}

const BOTH: [&str; 2] = ["/configure main", "/configure other"];

#[test]
fn ledgers_are_told_before_the_gateways() {
    let control = Outside::new();
    let reply = control.ask::<PutManifest>(&manifest(1)).unwrap();
    assert!(reply.delivered);
    assert_eq!(
        control.told(),
        [BOTH[0], BOTH[1], "gateways: version 1"],
        "in this order"
    );
    let shown = control.ask::<GetManifest>(&()).unwrap();
    assert_eq!(shown.manifest.unwrap().version, 1);
    assert!(control.told().is_empty());
}

#[test]
fn a_refused_manifest_is_told_to_nobody() {
    let control = Outside::new();
    let refused = control.ask::<PutManifest>(&manifest(2)).unwrap_err();
    assert_eq!(refused.code, Code::Conflict);
    assert!(control.told().is_empty());
    assert_eq!(control.host.alarm(), None);
}

#[test]
fn who_could_not_be_told_is_told_by_the_alarm() {
    for (down, writes) in [(vec!["other"], true), (vec![], false)] {
        let control = Outside::new();
        let delivered = down.is_empty();
        *control.down.borrow_mut() = down;
        control.writes.set(writes);
        let reply = control.ask::<PutManifest>(&manifest(1)).unwrap();
        assert_eq!(reply.delivered, delivered);
        assert_eq!(control.host.alarm(), Some(control.again()));
        control.told();
        // It fails once more, later.
        control.host.advance(PUBLISH_AGAIN_MS);
        let service = ControlService::new(&control);
        control.host.run(service.alarm()).unwrap();
        assert_eq!(control.told(), [BOTH[0], BOTH[1], "gateways: version 1"]);
        assert_eq!(control.host.alarm(), Some(control.again()));
        // And then it does not: nothing is left to be told again.
        control.down.borrow_mut().clear();
        control.writes.set(true);
        control.host.advance(PUBLISH_AGAIN_MS);
        control.host.run(service.alarm()).unwrap();
        assert_eq!(control.host.alarm(), Some(control.host.now()));
        assert!(control.configuration.borrow().is_some());
    }
}

#[test]
fn the_switchs_answer_and_the_audit_trail_say_who_has_taken_it_over() {
    let control = Outside::new();
    control.ask::<PutManifest>(&manifest(1)).unwrap();
    control.down.borrow_mut().push("main");
    let on = SetKill {
        mode: KillMode::Entries,
        reason: None,
        flatten: false,
    };
    let report = control.ask::<PutKill>(&on).unwrap();
    let [main, other] = report.accounts.as_slice() else {
        panic!("{report:?}");
    };
    assert!(main.unreachable && !main.engaged);
    assert!(other.engaged && !other.unreachable);
    let notes = control.notes.borrow();
    let [(id, entry)] = notes.as_slice() else {
        panic!("{notes:?}");
    };
    assert_eq!(id.as_str(), "r1");
    assert_eq!(entry.event, AuditEvent::KillSwitchApplied);
    let detail = entry.detail.as_ref().unwrap().as_str();
    assert!(detail.starts_with("entries at other;"), "{detail}");
}

#[test]
fn the_manifest_of_an_installation_is_taken_over_once() {
    let control = Outside::new();
    let text = serde_json::to_string(&Published::from(manifest(7))).unwrap();
    *control.configuration.borrow_mut() = Some("broken".to_owned());
    let nothing = control.ask::<GetManifest>(&()).unwrap();
    assert!(nothing.manifest.is_none());
    *control.configuration.borrow_mut() = Some(text);
    let taken = control.ask::<GetManifest>(&()).unwrap();
    assert_eq!(taken.manifest.unwrap().version, 7);
    control.ask::<PutManifest>(&manifest(8)).unwrap();
    // What the configuration still serves is older.
    let old = serde_json::to_string(&Published::from(manifest(7))).unwrap();
    *control.configuration.borrow_mut() = Some(old);
    let own = control.ask::<GetManifest>(&()).unwrap();
    assert_eq!(own.manifest.unwrap().version, 8);
}

fn added(name: &str) -> OperatorChange {
    OperatorChange::Add {
        name: name.parse().unwrap(),
        level: Level::Operate,
        key_sha256: KeyDigest::of(&Secret::new(name)),
    }
}

#[test]
fn gateways_alone_are_told_of_operators_and_the_manifest_keeps_its_version() {
    let control = Outside::new();
    let early = control.ask::<ChangeOperators>(&added("ann")).unwrap_err();
    assert_eq!(early.code, Code::NotConfigured);
    control.ask::<PutManifest>(&manifest(1)).unwrap();
    control.told();
    let reply = control.ask::<ChangeOperators>(&added("ann")).unwrap();
    assert!(reply.delivered);
    assert_eq!(control.told(), ["gateways: version 1"]);
    let configuration = control.configuration.borrow().clone().unwrap();
    let served = Published::parse(&configuration).unwrap();
    assert_eq!(served.operators, reply.operators);
    assert_eq!(
        served.operators.holder("ann").unwrap().level,
        Level::Operate
    );
    // Repeated, because the answer was lost: nothing is stored and nothing rises.
    let again = control.ask::<ChangeOperators>(&added("ann")).unwrap();
    assert_eq!(again.operators, served.operators);
    // They outlast a manifest, and who could not be told of them is told by the alarm.
    control.ask::<PutManifest>(&manifest(2)).unwrap();
    control.writes.set(false);
    let name = "ann".parse().unwrap();
    let gone = control.ask::<ChangeOperators>(&OperatorChange::Revoke { name });
    let gone = gone.unwrap();
    assert!(!gone.delivered);
    assert_eq!((gone.operators.revision, gone.operators.list.len()), (2, 0));
    assert_eq!(control.host.alarm(), Some(control.again()));
    control.writes.set(true);
    control.host.advance(PUBLISH_AGAIN_MS);
    let service = ControlService::new(&control);
    control.host.run(service.alarm()).unwrap();
    let configuration = control.configuration.borrow().clone().unwrap();
    assert!(!configuration.contains("ann"), "{configuration}");
}

/// Who may write to KV must not become an operator by it.
#[test]
fn operators_are_not_taken_over_from_the_configuration() {
    let control = Outside::new();
    let mut published = Published::from(manifest(7));
    let at = Timestamp::from_millis(START);
    published.operators = published.operators.with_change(&added("eve"), at).unwrap();
    let text = serde_json::to_string(&published).unwrap();
    *control.configuration.borrow_mut() = Some(text);
    let taken = control.ask::<GetManifest>(&()).unwrap();
    assert_eq!(taken.manifest.unwrap().version, 7);
    assert_eq!(taken.operators, Operators::default());
}

#[test]
fn a_new_ledger_is_told_what_it_must_know() {
    let control = Outside::new();
    control.ask::<PutManifest>(&manifest(1)).unwrap();
    let told = control.ask::<LedgerConfig>(&"acc-2".parse().unwrap());
    let told = told.unwrap();
    assert_eq!(told.account.name.as_str(), "other");
    assert_eq!((told.manifest_version, told.kill.mode), (1, KillMode::Off));
    let unknown = control.ask::<LedgerConfig>(&"acc-3".parse().unwrap());
    assert_eq!(unknown.unwrap_err().code, Code::NotPermitted);
}

fn letters(verb: LetterVerb, account: Option<&str>) -> LetterCall {
    LetterCall {
        verb,
        request_id: RequestId::new(Timestamp::from_millis(START), [0; 10]),
        account: account.map(|id| id.parse().unwrap()),
        signal: None,
        settle: None,
    }
}

#[test]
fn dead_letters_of_all_accounts_name_those_that_did_not_answer() {
    let control = Outside::new();
    control.ask::<PutManifest>(&manifest(1)).unwrap();
    control.told();
    control.down.borrow_mut().push("other");
    *control.letters.borrow_mut() = Ok(Letters {
        items: vec![to_raw_value("a letter").unwrap()],
        total: 3,
        unreachable: Vec::new(),
    });
    let found = control
        .ask::<DeadLetters>(&letters(LetterVerb::List, None))
        .unwrap();
    assert_eq!((found.items.len(), found.total), (1, 3));
    assert_eq!(found.unreachable, ["other".parse().unwrap()]);
    assert_eq!(
        control.told(),
        ["/dead-letters main", "/dead-letters other"]
    );
    // One account: no other is asked.
    let one = letters(LetterVerb::List, Some("acc-1"));
    assert!(
        control
            .ask::<DeadLetters>(&one)
            .unwrap()
            .unreachable
            .is_empty()
    );
    assert_eq!(control.told(), ["/dead-letters main"]);
    // A letter that nobody has may be with the one that did not answer.
    *control.letters.borrow_mut() = Ok(Letters::default());
    let shown = control.ask::<DeadLetters>(&letters(LetterVerb::Show, None));
    assert_eq!(shown.unwrap_err().code, Code::NotConfirmed);
    control.down.borrow_mut().clear();
    let shown = control.ask::<DeadLetters>(&letters(LetterVerb::Show, None));
    assert_eq!(shown.unwrap_err().code, Code::NotFound);
    // What a Ledger refuses is the answer.
    let refusal = Problem::new(Code::Conflict, "it is being worked on");
    *control.letters.borrow_mut() = Err(refusal.clone());
    let replay = control.ask::<DeadLetters>(&letters(LetterVerb::Replay, None));
    assert_eq!(replay.unwrap_err(), refusal);
}

#[test]
fn health_names_those_that_did_not_answer_and_a_sweep_goes_on_without_them() {
    let control = Outside::new();
    control.ask::<PutManifest>(&manifest(1)).unwrap();
    control.told();
    control.down.borrow_mut().push("main");
    let health = control.ask::<GetHealth>(&()).unwrap();
    assert_eq!(health.accounts.len(), 1);
    assert_eq!(health.unreachable, ["main".parse().unwrap()]);
    assert_eq!(control.told(), ["/health main", "/health other"]);
    control.ask::<Sweep>(&()).unwrap();
    assert_eq!(control.told(), ["/sweep main", "/sweep other"]);
}

const DAY: i64 = 86_400_000;

/// Midnight of the day that the clock stands at.
fn today(control: &Outside) -> Timestamp {
    let now = control.host.now();
    Timestamp::from_millis(now - now.rem_euclid(DAY))
}

fn counted(control: &Outside, name: &'static str, written: u64, told: bool) {
    let count = RowCount {
        since: today(control),
        written,
        entries_refused: false,
        told,
    };
    control.rows.borrow_mut().insert(name, count);
}

/// Sweeps; what was told of the others' rows.
fn swept(control: &Outside) -> Vec<(String, u64, Option<u64>)> {
    control.ask::<Sweep>(&()).unwrap();
    let others = core::mem::take(&mut *control.others.borrow_mut());
    let known = |others: RowsOfOthers| {
        assert_eq!(others.since, today(control));
        (others.written, others.limit)
    };
    others
        .into_iter()
        .map(|(name, others)| {
            let (written, limit) = known(others);
            (name, written, limit)
        })
        .collect()
}

#[test]
fn ledgers_are_told_of_the_others_rows_near_the_limit() {
    let control = Outside::new();
    control.ask::<PutManifest>(&manifest(1)).unwrap();
    control.told();
    counted(&control, "main", 30_000, false);
    counted(&control, "other", 15_000, false);
    assert_eq!(swept(&control), []);
    assert_eq!(control.told(), ["/sweep main", "/sweep other"]);
    counted(&control, "other", 61_000, false);
    let own = control.ask::<GetHealth>(&()).unwrap().rows_today.unwrap();
    let own = own.written - 91_000;
    let told = |main: u64, other: u64, limit| {
        [("main", main, limit), ("other", other, limit)]
            .map(|(name, written, limit)| (name.to_owned(), written + own, limit))
    };
    assert_eq!(swept(&control), told(61_000, 30_000, Some(100_000)));
    // What is left of another day is none of this one.
    control.host.advance(DAY);
    assert_eq!(swept(&control), []);
    // A paid plan: a Ledger that goes by what it was told is told that nothing limits it.
    let unlimited = Manifest {
        rows_a_day: None,
        ..manifest(2)
    };
    control.ask::<PutManifest>(&unlimited).unwrap();
    counted(&control, "main", 300_000, true);
    counted(&control, "other", 5, false);
    let told = swept(&control);
    assert_eq!(told.len(), 1);
    assert_eq!((told[0].0.as_str(), told[0].2), ("main", None));
}

#[test]
fn health_adds_up_the_rows_of_the_day() {
    let control = Outside::new();
    control.ask::<PutManifest>(&manifest(1)).unwrap();
    counted(&control, "main", 70_000, false);
    let health = control.ask::<GetHealth>(&()).unwrap().rows_today.unwrap();
    let expected = RowsToday {
        since: today(&control),
        written: health.written,
        limit: Some(100_000),
        entries_refused: false,
        complete: false,
    };
    assert_eq!(health, expected, "a version before does not count");
    assert!((70_001..70_100).contains(&health.written), "{health:?}");
    counted(&control, "other", 20_000, true);
    let count = control.rows.borrow_mut().remove("other").unwrap();
    control.rows.borrow_mut().insert(
        "other",
        RowCount {
            entries_refused: true,
            ..count
        },
    );
    let health = control.ask::<GetHealth>(&()).unwrap().rows_today.unwrap();
    assert!(health.entries_refused && health.complete, "{health:?}");
    control.down.borrow_mut().push("main");
    let health = control.ask::<GetHealth>(&()).unwrap().rows_today.unwrap();
    assert!(!health.complete && health.written < 21_000, "{health:?}");
}

#[test]
fn what_is_refused_for_the_rows_of_the_day_costs_none() {
    let control = Outside::new();
    control.ask::<PutManifest>(&manifest(1)).unwrap();
    counted(&control, "main", 95_000, false);
    let refuse = |number: u8| {
        let note = json!({ "requestId": RequestId::new(Timestamp::from_millis(1), [number; 10]), "sender": null,
                           "refused": {}, "more": 0 });
        let text = note.to_string();
        let note = message::<KeepRefusal>(&text).unwrap();
        control.ask::<KeepRefusal>(&note).unwrap();
        control.host.sql("SELECT id FROM refusal").len()
    };
    assert_eq!(refuse(1), 1);
    swept(&control);
    assert_eq!(refuse(2), 1);
    control.host.advance(DAY);
    assert_eq!(refuse(3), 2);
}

#[test]
fn control_counts_its_own_rows_and_stores_them_now_and_then() {
    let control = Outside::new();
    let stored = || {
        control
            .host
            .sql("SELECT value FROM document WHERE name = 'rows'")
            .len()
    };
    control.ask::<PutManifest>(&manifest(1)).unwrap();
    assert_eq!(stored(), 0);
    for version in 2..=10 {
        control.ask::<PutManifest>(&manifest(version)).unwrap();
    }
    assert_eq!(stored(), 1);
    let before = control.host.written();
    control.ask::<Sweep>(&()).unwrap();
    assert_eq!(control.host.written(), before, "nothing to write");
}
