//! Accounts that leave the manifest, and Ledgers that take over from the generation before: Control and the
//! Ledgers' objects together.

use core::cell::{Cell, RefCell};
use core::fmt;
use core::future::Future;
use core::pin::pin;
use core::task::{Context, Waker};
use std::collections::BTreeMap;
use std::rc::Rc;

use hoox_auth::{Account, Manifest, SenderChange};
use hoox_exchange::{CallBudget, ErrorClass};
use hoox_ledger::{
    Accepted, ControlObject, ControlService, HOLD_MS, Lanes, Ledger, LedgerMemory, LedgerObject,
    LedgerService, MAX_HANDED, PUBLISH_AGAIN_MS, Ports, Random, Store,
};
use hoox_mesh::envelope::{opened, reply, written};
use hoox_mesh::{
    Accept, AccountReport, Answer, ChangeSenders, DeadLetters, ForceManifest, ForcedManifest,
    GetHealth, GetManifest, HandOver, KillMode, LedgerStanding, LetterCall, LetterVerb, Letters,
    ManifestReply, Passage, Problem, PutKill, PutManifest, RetireLedger, Route, SetKill, Settle,
    SignalStatus, Standing, Sweep, TakeOver,
};
use hoox_model::{Code, Decimal, RequestId, SignalId, Timestamp};
use hoox_store::Value;
use hoox_store::audit::{AuditEntry, AuditEvent};
use serde_json::json;
use serde_json::value::{RawValue, to_raw_value};

use crate::world::{Call, Host, MINUTE, When, error};

const LONG: &str = r#"{"symbol":"BTCUSDT","action":"LONG","quantity":1}"#;
const MORE: &str = r#"{"symbol":"BTCUSDT","action":"LONG","quantity":2}"#;
const REST: &str =
    r#"{"symbol":"BTCUSDT","action":"LONG","quantity":1,"orderType":"limit","price":90}"#;
const CLOSE: &str = r#"{"symbol":"BTCUSDT","action":"close"}"#;

const ONE: &str = "acc-1/sim/1";
const TWO: &str = "acc-1/sim/2";
const OTHER: &str = "acc-2/sim/1";

/// Something that happens before a Ledger serves its next call by this path.
type Between = (&'static str, Box<dyn FnOnce(&Host)>);

/// Control, its Ledgers, and what is between them.
struct House {
    control: Host,
    ledgers: RefCell<BTreeMap<String, (Host, Rc<LedgerMemory>)>>,
    /// Ledgers that do not answer.
    down: RefCell<Vec<&'static str>>,
    /// Calls that are done, and whose answers get lost.
    lost: RefCell<Vec<&'static str>>,
    /// What comes between a question and the change.
    between: RefCell<Option<Between>>,
    asked: RefCell<Vec<String>>,
    notes: RefCell<Vec<AuditEntry>>,
    writes: Cell<u32>,
}

impl House {
    /// Control with the accounts main and other, whose Ledgers know the switch.
    fn new() -> Self {
        let house = Self {
            control: Host::unconfigured(),
            ledgers: RefCell::default(),
            down: RefCell::default(),
            lost: RefCell::default(),
            between: RefCell::default(),
            asked: RefCell::default(),
            notes: RefCell::default(),
            writes: Cell::new(0),
        };
        house
            .put(&manifest(1, &[("acc-1", 1), ("acc-2", 1)]))
            .unwrap();
        house.asked.take();
        house
    }

    fn ask<R: Route>(&self, request: &R::Request) -> Answer<R> {
        let text = written::<R>(request).unwrap();
        let service = ControlService::new(self);
        let served = service.serve(R::PATH, &text, "r1".parse().ok());
        let served = self.control.run(served).unwrap();
        reply::<R>(&opened(&served.body)?)
    }

    fn put(&self, manifest: &Manifest) -> Result<ManifestReply, Problem> {
        self.ask::<PutManifest>(manifest)
    }

    fn force(&self, manifest: &Manifest, reason: &str) -> Result<ManifestReply, Problem> {
        self.ask::<ForceManifest>(&ForcedManifest {
            reason: reason.to_owned(),
            manifest: manifest.clone(),
        })
    }

    fn version(&self) -> u64 {
        let shown = self.ask::<GetManifest>(&()).unwrap();
        shown.manifest.unwrap().version
    }

    fn alarm(&self) {
        self.advance(PUBLISH_AGAIN_MS);
        let service = ControlService::new(self);
        self.control.run(service.alarm()).unwrap();
    }

    fn ledger(&self, name: &str) -> Host {
        self.instance(name).0
    }

    fn instance(&self, name: &str) -> (Host, Rc<LedgerMemory>) {
        let mut ledgers = self.ledgers.borrow_mut();
        let others = ledgers.len();
        let known = ledgers.entry(name.to_owned()).or_insert_with(|| {
            let host = Host::unconfigured();
            host.advance(self.control.now() - host.now());
            // No two of them make the same ids.
            for _ in 0..others * 10 {
                host.random().bytes().unwrap();
            }
            (host, Rc::default())
        });
        known.clone()
    }

    fn advance(&self, millis: i64) {
        self.control.advance(millis);
        for (host, _) in self.ledgers.borrow().values() {
            host.advance(self.control.now() - host.now());
        }
    }

    /// One message to a Ledger's object.
    fn serve(&self, name: &str, path: &str, text: &str) -> Result<Box<RawValue>, Problem> {
        let (host, memory) = self.instance(name);
        let service = LedgerService::new(Object(host.clone()), memory);
        opened(&host.run(service.serve(path, text)).unwrap().body)
    }

    /// The same exchange and the same records as another Ledger of the account.
    fn share(&self, from: &str, to: &str) -> Host {
        let (from, to) = (self.ledger(from), self.ledger(to));
        from.exchange.swap(&to.exchange);
        to.records.borrow_mut().extend(from.records.take());
        to
    }

    fn letters(
        &self,
        verb: LetterVerb,
        id: Option<&SignalId>,
        settle: Option<Settle>,
    ) -> Answer<DeadLetters> {
        self.ask::<DeadLetters>(&LetterCall {
            verb,
            request_id: RequestId::new(Timestamp::from_millis(self.control.now()), [9; 10]),
            account: None,
            signal: id.cloned(),
            settle: settle.map(|settle| to_raw_value(&settle).unwrap()),
        })
    }
}

impl ControlObject for &House {
    type Store = Host;
    type Clock = Host;

    fn store(&self) -> &Host {
        &self.control
    }

    fn clock(&self) -> &Host {
        &self.control
    }

    fn request_id(&self) -> RequestId {
        RequestId::new(Timestamp::from_millis(self.control.now()), [7; 10])
    }

    async fn ask_ledger(
        &self,
        account: &Account,
        path: &'static str,
        text: &str,
        _: u32,
    ) -> Result<Box<RawValue>, Problem> {
        let name = account.ledger_name();
        self.asked.borrow_mut().push(format!("{path} {name}"));
        let silence = || Problem::new(Code::NotConfirmed, "nobody answers");
        if self.down.borrow().contains(&name.as_str()) {
            return Err(silence());
        }
        let host = self.ledger(&name);
        host.account.replace(account.clone());
        let between = self.between.take();
        if let Some((when, work)) = between {
            if when == path {
                work(&host);
            } else {
                self.between.replace(Some((when, work)));
            }
        }
        let answer = self.serve(&name, path, text);
        let mut lost = self.lost.borrow_mut();
        if let Some(place) = lost.iter().position(|known| *known == path) {
            lost.remove(place);
            return Err(silence());
        }
        answer
    }

    async fn read_published(&self) -> Option<String> {
        None
    }

    async fn write_published(&self, _: &str) -> bool {
        self.writes.set(self.writes.get() + 1);
        true
    }

    fn note(&self, _: RequestId, entries: Vec<AuditEntry>) {
        self.notes.borrow_mut().extend(entries);
    }

    fn log(&self, line: fmt::Arguments<'_>) {
        drop(line.to_string());
    }
}

/// A Ledger's object on its host. Runs come by the alarm, when the test says so.
#[derive(Clone)]
struct Object(Host);

impl Ports for Object {
    type Store = Host;
    type Venue = Host;
    type Clock = Host;
    type Random = Host;
    type Records = Host;

    fn store(&self) -> &Host {
        &self.0
    }

    fn clock(&self) -> &Host {
        &self.0
    }

    fn random(&self) -> &Host {
        &self.0
    }

    fn records(&self) -> &Host {
        &self.0
    }

    async fn sleep(&self, millis: i64) {
        self.0.advance(millis);
    }

    fn budget(&self) -> &CallBudget {
        self.0.budget()
    }

    fn lanes(&self) -> &Lanes {
        self.0.lanes()
    }

    fn venue(&self, account: &Account, clock_offset_ms: i64) -> Result<Host, Problem> {
        Ports::venue(&self.0, account, clock_offset_ms)
    }
}

impl LedgerObject for Object {
    async fn ask_ledger(
        &self,
        _: &Account,
        _: &'static str,
        _: &str,
        _: u32,
    ) -> Result<Box<RawValue>, Problem> {
        panic!("no Ledger asks another one here")
    }

    async fn ask_control(
        &self,
        _: &'static str,
        _: &str,
        _: u32,
    ) -> Result<Box<RawValue>, Problem> {
        panic!("no Ledger asks Control here")
    }

    async fn colo(&self, _: &Account) -> Option<String> {
        None
    }

    fn aside(&self, work: impl Future<Output = ()> + 'static) {
        drop(work);
    }

    fn log(&self, line: fmt::Arguments<'_>) {
        drop(line.to_string());
    }
}

fn manifest(version: u64, accounts: &[(&str, u32)]) -> Manifest {
    let account = |(id, generation): &(&str, u32)| {
        json!({ "id": id, "name": if *id == "acc-1" { "main" } else { "other" }, "venue": "bybit",
                "environment": "sim", "generation": generation, "baseUrl": "http://127.0.0.1:1",
                "secretSuffix": if *id == "acc-1" { "A" } else { "B" }, "default": *id == "acc-1" })
    };
    let key = |byte: &str| json!([{ "salt": "00".repeat(16), "hash": byte.repeat(32) }]);
    let text = json!({
        "version": version,
        "senders": [{ "id": "tv", "permission": "trade", "accounts": ["*"], "keys": key("aa") },
                    { "id": "bot", "permission": "trade", "accounts": ["*"], "keys": key("bb") }],
        "accounts": accounts.iter().map(account).collect::<Vec<_>>(),
    });
    Manifest::parse_strict(&text.to_string()).unwrap()
}

/// The manifest without main.
fn without(version: u64) -> Manifest {
    manifest(version, &[("acc-2", 1)])
}

/// The manifest with main in its next generation.
fn raised(version: u64) -> Manifest {
    manifest(version, &[("acc-1", 2), ("acc-2", 1)])
}

thread_local! {
    static REQUESTS: Cell<u8> = const { Cell::new(0) };
}

/// Has a Ledger take an alert, decided by this version of the manifest, under a request of its own.
fn send(host: &Host, version: u64, body: &str) -> Result<Accepted, Problem> {
    let number = REQUESTS.get() + 1;
    REQUESTS.set(number);
    let accept = Accept {
        request_id: RequestId::new(Timestamp::from_millis(host.now()), [number; 10]),
        manifest_version: version,
        ..host.message(body)
    };
    Ledger::attach(host.clone()).accept(&accept)
}

fn rows(host: &Host) -> Vec<Vec<Vec<Value>>> {
    [
        "SELECT * FROM signal ORDER BY seq",
        "SELECT * FROM orders ORDER BY client_order_id",
        "SELECT * FROM identity ORDER BY key",
        "SELECT * FROM holding ORDER BY symbol",
        "SELECT key FROM outbox ORDER BY key",
        "SELECT * FROM meta WHERE key NOT IN ('config', 'closed', 'taken_over', 'epoch') ORDER BY key",
    ]
    .map(|sql| host.sql(sql))
    .into()
}

fn held(host: &Host) -> Decimal {
    host.exchange.borrow().held("BTCUSDT")
}

fn lose_the_answer(host: &Host) {
    host.fail(Call::PlaceOrder, When::After, error(ErrorClass::Unknown));
}

// Retiring.

/// Something that an account may have open, and how it is named.
type Open<'a> = (&'a str, fn(&Host));

#[test]
fn an_account_with_anything_open_stays_and_the_refusal_names_it() {
    let cases: [Open<'_>; 6] = [
        ("signals that are not finished: 1", |host| {
            send(host, 1, LONG).unwrap();
        }),
        ("BTCUSDT, sending", |host| {
            lose_the_answer(host);
            host.exchange.borrow_mut().manners.look_up_lag_ms = MINUTE;
            send(host, 1, LONG).unwrap();
            host.drive();
        }),
        ("BTCUSDT, acknowledged", |host| {
            send(host, 1, REST).unwrap();
            host.drive();
        }),
        ("dead letters: 1", |host| {
            host.exchange.borrow_mut().manners.unique_ids = false;
            host.fail(Call::PlaceOrder, When::Before, error(ErrorClass::Unknown));
            send(host, 1, LONG).unwrap();
            host.settle();
        }),
        ("records that are not delivered yet: ", |host| {
            send(host, 1, LONG).unwrap();
            host.settle();
            host.sql("UPDATE holding SET quantity = '0'");
            let close = r#"{"symbol":"ETHUSDT","action":"close"}"#;
            host.fail(Call::Deliver, When::Before, error(ErrorClass::Unknown));
            send(host, 1, close).unwrap();
            host.drive();
        }),
        ("positions by its record: BTCUSDT long 1", |host| {
            send(host, 1, LONG).unwrap();
            host.settle();
        }),
    ];
    for (said, opens) in cases {
        let house = House::new();
        let host = house.ledger(ONE);
        opens(&host);
        house.advance(host.now() - house.control.now());
        let before = rows(&host);
        let refused = house.put(&without(2)).unwrap_err();
        assert_eq!(refused.code, Code::Conflict, "{said}: {refused}");
        assert!(refused.message.contains("'main'"), "{refused}");
        assert!(refused.message.contains(said), "{said}: {refused}");
        assert_eq!(house.version(), 1);
        assert_eq!(rows(&host), before);
        // The account goes on as before.
        let body = r#"{"symbol":"XRPUSDT","action":"LONG","quantity":1}"#;
        send(&host, 1, body).unwrap();
    }
}

#[test]
fn a_ledger_that_does_not_answer_may_have_anything_open() {
    let house = House::new();
    house.down.borrow_mut().push(ONE);
    for refused in [house.put(&without(2)), house.force(&without(2), "gone")] {
        let refused = refused.unwrap_err();
        assert_eq!(refused.code, Code::Conflict);
        assert!(
            refused.message.contains("did not say what is open"),
            "{refused}"
        );
    }
    assert_eq!(house.version(), 1);
}

#[test]
fn one_of_two_accounts_with_something_open_keeps_both() {
    let house = House::new();
    send(&house.ledger(OTHER), 1, LONG).unwrap();
    let refused = house.put(&manifest(2, &[])).unwrap_err();
    assert!(refused.message.contains("'other'"), "{refused}");
    assert!(!refused.message.contains("'main'"), "{refused}");
    // What was held for the change is let go at once.
    send(&house.ledger(ONE), 1, LONG).unwrap();
}

#[test]
fn an_account_without_anything_open_leaves_and_takes_nothing_meanwhile() {
    let house = House::new();
    let host = house.ledger(ONE);
    let hold = written::<LedgerStanding>(&Passage {
        account: "main".to_owned(),
        hold: true,
        ..Passage::default()
    });
    house
        .serve(ONE, LedgerStanding::PATH, &hold.unwrap())
        .unwrap();
    let refused = send(&host, 1, LONG).unwrap_err();
    assert_eq!(refused.code, Code::NotConfirmed);
    // The switch reaches it all the same.
    host.set_kill(KillMode::All, 2);
    assert!(host.report().engaged);
    host.set_kill(KillMode::Off, 3);
    house.advance(HOLD_MS + 1);
    send(&host, 1, LONG).unwrap();
    host.drive();
    assert_eq!(host.count(Call::PlaceOrder), 1);
    // Another one, whose Ledger is held by the change itself.
    let house = House::new();
    let put = house.put(&without(2)).unwrap();
    assert!(put.delivered && put.retired.is_empty());
    assert_eq!(house.version(), 2);
    let late = send(&house.ledger(ONE), 1, LONG).unwrap_err();
    assert_eq!(late.code, Code::Conflict);
    // It comes back as it was.
    house
        .put(&manifest(3, &[("acc-1", 1), ("acc-2", 1)]))
        .unwrap();
    send(&house.ledger(ONE), 3, LONG).unwrap();
}

#[test]
fn an_account_that_left_and_comes_back_under_another_generation_goes_on_from_the_one_before() {
    let house = House::new();
    house.put(&without(2)).unwrap();
    // The switch still reaches its Ledger, which closes what was opened by hand since.
    let host = house.ledger(ONE);
    host.exchange
        .borrow_mut()
        .set_held(host.now(), "BTCUSDT", "3");
    host.fail(Call::PlaceOrder, When::Before, error(ErrorClass::Rejected));
    host.flatten(2);
    host.drive();
    house
        .put(&manifest(3, &[("acc-1", 2), ("acc-2", 1)]))
        .unwrap();
    let asked = format!("{} {ONE}", HandOver::PATH);
    assert!(house.asked.borrow().contains(&asked));
    let late = send(&host, 3, LONG).unwrap_err();
    assert_eq!(late.code, Code::Conflict, "the old one is closed for good");
    let next = house.ledger(TWO);
    assert_eq!(
        next.sql("SELECT id FROM signal WHERE sender = 'operator'")
            .len(),
        1
    );
    // So is its generation.
    let refused = house.put(&manifest(4, &[("acc-1", 1), ("acc-2", 1)]));
    assert_eq!(refused.unwrap_err().field.as_deref(), Some("generation"));
}

#[test]
fn an_account_whose_positions_the_switch_is_closing_does_not_leave() {
    let house = House::new();
    let host = house.ledger(ONE);
    host.flatten(2);
    let refused = house.put(&without(2)).unwrap_err();
    assert!(
        refused.message.contains("closing its positions"),
        "{refused}"
    );
    host.settle();
    house.put(&without(2)).unwrap();
}

#[test]
fn an_account_does_not_come_back_before_its_former_ledger_is_closed() {
    let house = House::new();
    busy(&house);
    house.lost.borrow_mut().push(RetireLedger::PATH);
    house.force(&without(2), "sold the account").unwrap();
    let back = manifest(3, &[("acc-1", 2), ("acc-2", 1)]);
    let early = house.put(&back).unwrap_err();
    assert_eq!(early.code, Code::Conflict, "{early}");
    house.alarm();
    house.put(&back).unwrap();
}

#[test]
fn the_next_generation_asks_at_once_for_what_rests() {
    let house = House::new();
    let host = house.ledger(ONE);
    let entry =
        r#"{"symbol":"BTCUSDT","action":"buy","quantity":1,"orderType":"limit","price":90}"#;
    let id = send(&host, 1, entry).unwrap().id;
    host.settle_within(MINUTE);
    assert_eq!(host.status(&id), SignalStatus::Acknowledged);
    house
        .put(&manifest(2, &[("acc-1", 2), ("acc-2", 1)]))
        .unwrap();
    let next = house.ledger(TWO);
    assert!(next.alarm().is_some_and(|at| at <= next.now()));
    let lists = next.count(Call::OpenOrders);
    next.drive();
    assert_eq!(next.count(Call::OpenOrders), lists + 1);
    // The former one asks for nothing any more.
    let lists = host.count(Call::OpenOrders);
    host.advance(5 * MINUTE);
    let run = host.drive_on(&host.ledger()).unwrap().unwrap();
    assert_eq!((run.next, host.count(Call::OpenOrders)), (None, lists));
}

/// An account with an entry that waits, an exit that waits, an order in doubt and one that rests.
fn busy(house: &House) -> (Host, [SignalId; 4]) {
    let host = house.ledger(ONE);
    lose_the_answer(&host);
    host.exchange.borrow_mut().manners.look_up_lag_ms = 5 * MINUTE;
    let doubt = send(&host, 1, LONG).unwrap().id;
    host.drive();
    let eth = |action: &str| {
        format!(
            r#"{{"symbol":"ETHUSDT","action":"{action}","quantity":1,"orderType":"limit","price":90}}"#
        )
    };
    let rests = send(&host, 1, &eth("LONG")).unwrap().id;
    host.drive();
    let entry = send(&host, 1, MORE).unwrap().id;
    let exit = r#"{"symbol":"SOLUSDT","action":"close"}"#;
    let exit = send(&host, 1, exit).unwrap().id;
    (host, [doubt, rests, entry, exit])
}

#[test]
fn force_makes_dead_letters_closes_the_fence_and_says_what_is_left() {
    let house = House::new();
    let (host, ids) = busy(&house);
    let [doubt, rests, entry, exit] = &ids;
    for reason in ["", "  ", "two\nlines", &"x".repeat(501)] {
        let refused = house.force(&without(2), reason).unwrap_err();
        assert_eq!(refused.field.as_deref(), Some("reason"), "{reason:?}");
    }
    let sent = host.count(Call::PlaceOrder);
    let put = house.force(&without(2), "sold the account").unwrap();
    assert_eq!(house.version(), 2);
    let [left] = put.retired.as_slice() else {
        panic!("{put:?}");
    };
    let left: Standing = serde_json::from_str(left.get()).unwrap();
    assert_eq!((left.account.as_str(), left.order_count), ("main", 2));
    let named: Vec<_> = left
        .orders
        .iter()
        .map(|order| (order.symbol.as_str(), order.state.as_str()))
        .collect();
    assert!(named.contains(&("BTCUSDT", "sending")), "{named:?}");
    assert!(named.contains(&("ETHUSDT", "acknowledged")), "{named:?}");
    for (id, status) in [
        (doubt, SignalStatus::Unknown),
        (rests, SignalStatus::Unknown),
        (entry, SignalStatus::Refused),
        (exit, SignalStatus::Refused),
    ] {
        assert_eq!(host.status(id), status);
    }
    {
        let notes = house.notes.borrow();
        let [note] = notes.as_slice() else {
            panic!("{notes:?}");
        };
        assert_eq!(note.event, AuditEvent::AccountRetired);
        let detail = note.detail.as_ref().unwrap().as_str();
        assert!(detail.contains("sold the account"), "{detail}");
    }
    // Nothing goes out any more, whatever the switch says and however long it takes.
    house.advance(HOLD_MS);
    host.settle_within(20 * MINUTE);
    assert_eq!(host.count(Call::PlaceOrder), sent);
    assert_eq!(send(&host, 2, CLOSE).unwrap_err().code, Code::Conflict);
    assert_eq!(host.count(Call::PlaceOrder), sent);
    // Its letters are in reach for as long as they wait, and can be settled but not replayed.
    house.advance(9 * 24 * 60 * MINUTE);
    house.put(&manifest(3, &[("acc-2", 1)])).unwrap();
    let letters = house.letters(LetterVerb::List, None, None).unwrap();
    assert_eq!(letters.total, 4);
    let replay = house.letters(LetterVerb::Replay, Some(exit), None);
    assert_eq!(replay.unwrap_err().code, Code::Conflict);
    for id in [doubt, rests] {
        let settle = Settle {
            client_order_id: host.view(id).orders[0].client_order_id.clone(),
            filled_quantity: Some("0".parse().unwrap()),
            average_price: None,
        };
        house
            .letters(LetterVerb::Settle, Some(id), Some(settle))
            .unwrap();
    }
    house.ask::<Sweep>(&()).unwrap();
    for id in &ids {
        house.letters(LetterVerb::Discard, Some(id), None).unwrap();
    }
    host.settle_within(MINUTE);
    house.ask::<Sweep>(&()).unwrap();
    house.asked.take();
    house.ask::<Sweep>(&()).unwrap();
    assert_eq!(*house.asked.borrow(), [format!("/sweep {OTHER}")]);
    // It never comes back.
    let again = manifest(4, &[("acc-1", 1), ("acc-2", 1)]);
    assert_eq!(house.put(&again).unwrap_err().code, Code::BadField);
    house
        .put(&manifest(4, &[("acc-1", 2), ("acc-2", 1)]))
        .unwrap();
}

#[test]
fn an_exit_of_a_retired_account_says_what_it_leaves_also_when_its_orders_are_settled() {
    let partly = (SignalStatus::PartlyFilled, Some(Code::ExitUndone));
    for (filled, outcome, left) in [
        ("0.3", partly, Some("0.7 is left")),
        ("1", (SignalStatus::Filled, None), None),
    ] {
        let house = House::new();
        let host = house.ledger(ONE);
        send(&host, 1, LONG).unwrap();
        host.settle_within(MINUTE);
        host.advance(2 * MINUTE);
        let exit = send(&host, 1, CLOSE).unwrap().id;
        host.fail(Call::PlaceOrder, When::Before, error(ErrorClass::Unknown));
        host.drive();
        house.force(&without(2), "sold the account").unwrap();
        let view = host.view(&exit);
        assert_eq!(view.status, SignalStatus::Unknown, "{view:?}");
        let message = view.message.unwrap();
        assert!(message.contains("1 is left"), "{message}");
        let doubt = view.orders.last().unwrap().client_order_id.clone();
        let settle = Settle {
            client_order_id: doubt,
            filled_quantity: Some(filled.parse().unwrap()),
            average_price: None,
        };
        house
            .letters(LetterVerb::Settle, Some(&exit), Some(settle))
            .unwrap();
        let view = host.view(&exit);
        assert_eq!((view.status, view.code), outcome);
        let message = view.message.unwrap_or_default();
        assert_eq!(message.contains("left"), left.is_some(), "{message}");
        assert!(message.contains(left.unwrap_or_default()), "{message}");
    }
}

#[test]
fn the_switch_still_reaches_the_orders_of_a_retired_account() {
    let house = House::new();
    let (host, [_, rests, ..]) = busy(&house);
    house.force(&without(2), "sold").unwrap();
    assert_eq!(host.status(&rests), SignalStatus::Unknown);
    // Longer than the manifest's history reaches.
    house.advance((7 * 24 + 1) * 60 * MINUTE);
    let on = SetKill {
        mode: KillMode::All,
        reason: None,
        flatten: false,
    };
    house.ask::<PutKill>(&on).unwrap();
    host.settle_within(MINUTE);
    assert_eq!(host.status(&rests), SignalStatus::Cancelled);
}

#[test]
fn nothing_of_a_retired_account_is_flattened_and_its_exits_only_record() {
    let house = House::new();
    let (host, [.., exit]) = busy(&house);
    house.force(&without(2), "sold").unwrap();
    let done = "SELECT json_extract(data, '$.exit.done') FROM signal WHERE id = +?1";
    let done = Store::query(&host, done, &[Value::Text(exit.to_string())]).unwrap();
    assert_eq!(done, [[Value::Integer(1)]]);
    let flatten = SetKill {
        mode: KillMode::Entries,
        reason: None,
        flatten: true,
    };
    let told = house.ask::<PutKill>(&flatten).unwrap();
    let mut accounts = told.accounts.iter();
    let main = accounts.find(|account| account.account.as_str() == "main");
    assert!(!main.unwrap().flattening);
    let listed = host.count(Call::Positions);
    host.settle_within(MINUTE);
    assert_eq!(host.count(Call::Positions), listed);
}

#[test]
fn a_closed_ledger_is_closed_before_the_gateways_hear_and_again_where_it_was_away() {
    let house = House::new();
    let (host, [.., exit]) = busy(&house);
    house.lost.borrow_mut().push(RetireLedger::PATH);
    let put = house.force(&without(2), "sold").unwrap();
    assert!(!put.delivered);
    assert!(house.notes.borrow().is_empty());
    assert_eq!(host.status(&exit), SignalStatus::Refused);
    house.alarm();
    assert_eq!(house.notes.borrow().len(), 1);
    let letters = house.letters(LetterVerb::List, None, None).unwrap();
    assert_eq!(letters.total, 4);
}

#[test]
fn a_closing_that_control_could_not_store_is_asked_for_again_by_itself() {
    let house = House::new();
    busy(&house);
    house.lost.borrow_mut().push(RetireLedger::PATH);
    house.force(&without(2), "sold").unwrap();
    let control = house.control.clone();
    house.between.replace(Some((
        RetireLedger::PATH,
        Box::new(move |_: &Host| {
            let next = control.transactions();
            let mut faults = control.faults.borrow_mut();
            faults.store_at.push((next, When::Before));
        }),
    )));
    house.alarm();
    assert!(house.notes.borrow().is_empty());
    let again = house.control.now() + PUBLISH_AGAIN_MS;
    assert_eq!(house.control.alarm(), Some(again));
    house.control.faults.borrow_mut().store_at.clear();
    house.alarm();
    assert_eq!(house.notes.borrow().len(), 1);
}

// The next generation.

#[test]
fn an_entry_in_doubt_goes_over_and_is_found_by_the_new_ledger() {
    let house = House::new();
    let host = house.ledger(ONE);
    lose_the_answer(&host);
    host.exchange.borrow_mut().manners.unique_ids = false;
    host.exchange.borrow_mut().manners.look_up_lag_ms = MINUTE / 2;
    let id = send(&host, 1, LONG).unwrap().id;
    host.drive();
    let put = house.put(&raised(2)).unwrap();
    assert!(put.delivered);
    let new = house.share(ONE, TWO);
    // A second entry waits for the first one, which is not sent again.
    let more = send(&new, 2, MORE).unwrap().id;
    new.settle_within(MINUTE / 3);
    assert_eq!(new.status(&more), SignalStatus::Received);
    assert_eq!(new.count(Call::PlaceOrder), 0);
    new.settle();
    assert_eq!(new.status(&id), SignalStatus::Filled);
    assert_eq!(new.status(&more), SignalStatus::Filled);
    assert_eq!(new.count(Call::PlaceOrder), 1);
    assert_eq!(held(&new), Decimal::from(3));
    new.check_books();
    // The old one does nothing any more: no order, no look-up, no record.
    let calls = host.calls();
    host.advance(10 * MINUTE);
    host.drive();
    assert_eq!(host.calls(), calls);
    assert_eq!(send(&host, 1, CLOSE).unwrap_err().code, Code::Conflict);
}

#[test]
fn a_waiting_exit_goes_out_from_the_new_ledger_and_the_holding_goes_along() {
    let house = House::new();
    let host = house.ledger(ONE);
    send(&host, 1, LONG).unwrap();
    host.settle();
    house.advance(host.now() - house.control.now());
    let exit = send(&host, 1, CLOSE).unwrap().id;
    house.put(&raised(2)).unwrap();
    let new = house.share(ONE, TWO);
    // The position cannot be read: it goes out by the record that was taken over.
    for _ in 0..100 {
        new.fail(Call::Position, When::Before, error(ErrorClass::Unavailable));
    }
    new.settle_within(20_000);
    assert_eq!(held(&new), Decimal::ZERO);
    assert_eq!(new.count(Call::PlaceOrder), 1);
    new.faults.borrow_mut().script.clear();
    new.settle();
    assert_eq!(new.status(&exit), SignalStatus::Filled);
    new.check_books();
    assert_eq!(host.count(Call::PlaceOrder), 1);
}

#[test]
fn an_alert_sent_again_stays_a_duplicate() {
    let house = House::new();
    let host = house.ledger(ONE);
    let body = r#"{"symbol":"BTCUSDT","action":"LONG","quantity":1,"idempotencyKey":"k1"}"#;
    let id = send(&host, 1, body).unwrap().id;
    host.settle();
    // Long ago by now, so that its row does not go over; its identity does.
    house.advance(host.now() - house.control.now() + 24 * 60 * MINUTE);
    house.put(&raised(2)).unwrap();
    let new = house.share(ONE, TWO);
    assert_eq!(new.sql("SELECT id FROM signal"), Vec::<Vec<Value>>::new());
    let again = send(&new, 2, body).unwrap_err();
    assert_eq!(again.code, Code::Duplicate);
    assert!(again.message.contains(id.as_str()), "{again}");
    let other = r#"{"symbol":"BTCUSDT","action":"LONG","quantity":7,"idempotencyKey":"k1"}"#;
    assert_eq!(send(&new, 2, other).unwrap_err().code, Code::KeyReused);
}

#[test]
fn dead_letters_pauses_and_records_go_over_once() {
    let house = House::new();
    let host = house.ledger(ONE);
    host.exchange.borrow_mut().manners.unique_ids = false;
    host.fail(Call::PlaceOrder, When::Before, error(ErrorClass::Unknown));
    let id = send(&host, 1, LONG).unwrap().id;
    host.settle();
    for _ in 0..20 {
        host.fail(Call::Deliver, When::Before, error(ErrorClass::Unknown));
    }
    house.advance(host.now() - house.control.now());
    let rate = host.exchange.borrow().manners.price;
    assert_eq!(rate, 100);
    host.fail(
        Call::Instrument,
        When::Before,
        error(ErrorClass::RateLimited),
    );
    send(
        &host,
        1,
        r#"{"symbol":"ETHUSDT","action":"LONG","quantity":1}"#,
    )
    .unwrap();
    host.drive();
    let waits = host.sql("SELECT key FROM outbox ORDER BY key");
    assert!(!waits.is_empty());
    house.put(&raised(2)).unwrap();
    let new = house.share(ONE, TWO);
    assert_eq!(new.sql("SELECT key FROM outbox ORDER BY key"), waits);
    let pause = "SELECT value FROM meta WHERE key = 'venue_pause'";
    assert_eq!(new.sql(pause), host.sql(pause));
    assert!(!new.sql(pause).is_empty());
    let letters = house.letters(LetterVerb::List, None, None).unwrap();
    assert_eq!(letters.total, 1);
    let shown = house.letters(LetterVerb::Show, Some(&id), None).unwrap();
    assert_eq!(shown.items.len(), 1);
    assert_eq!(house.ask::<GetHealth>(&()).unwrap().accounts.len(), 2);
    new.settle();
    new.check_books();
}

#[test]
fn a_hand_over_whose_answer_was_lost_is_finished_by_the_same_manifest_or_by_the_alarm() {
    for path in [HandOver::PATH, TakeOver::PATH] {
        for by_alarm in [true, false] {
            let house = House::new();
            let host = house.ledger(ONE);
            let exit = send(&host, 1, CLOSE).unwrap().id;
            house.lost.borrow_mut().push(path);
            let unclear = house.put(&raised(2)).unwrap_err();
            assert_eq!(unclear.code, Code::NotConfirmed, "{unclear}");
            assert_eq!(house.version(), 1);
            // Nothing is taken meanwhile, and it is safe to send it again.
            assert_eq!(send(&host, 1, LONG).unwrap_err().code, Code::Conflict);
            // Another manifest does not get between.
            let other = manifest(2, &[("acc-1", 3), ("acc-2", 1)]);
            assert_eq!(house.put(&other).unwrap_err().code, Code::Conflict);
            if by_alarm {
                house.alarm();
            } else {
                house.put(&raised(2)).unwrap();
            }
            assert_eq!(house.version(), 2);
            let new = house.ledger(TWO);
            assert_eq!(new.sql("SELECT id FROM signal").len(), 1);
            assert_eq!(new.status(&exit), SignalStatus::Received);
            // Whoever had no answer is answered.
            assert!(house.put(&raised(2)).unwrap().delivered);
            assert_eq!(house.put(&without(2)).unwrap_err().code, Code::Conflict);
        }
    }
}

#[test]
fn the_same_message_twice_changes_nothing() {
    let house = House::new();
    busy(&house);
    house.lost.borrow_mut().push(TakeOver::PATH);
    house.put(&raised(2)).unwrap_err();
    let before = rows(&house.ledger(TWO));
    assert!(before.iter().all(|table| !table.is_empty()));
    house.put(&raised(2)).unwrap();
    assert_eq!(rows(&house.ledger(TWO)), before);
}

#[test]
fn what_goes_over_is_what_was_there() {
    let house = House::new();
    let (host, _) = busy(&house);
    let before = rows(&host);
    house.put(&raised(2)).unwrap();
    let due = |mut tables: Vec<Vec<Vec<Value>>>| {
        for row in tables.iter_mut().take(1).flatten() {
            // The order of arrival stays, its numbers need not; what closes is due at once.
            row.remove(10);
            row.remove(0);
        }
        tables
    };
    assert_eq!(due(rows(&house.ledger(TWO))), due(before));
}

/// Storage of either Ledger fails at any transaction of the change, before or after its commit.
#[test]
fn wherever_storage_fails_one_ledger_has_it_all() {
    for (name, path) in [(ONE, HandOver::PATH), (TWO, TakeOver::PATH)] {
        for when in [When::Before, When::After] {
            let house = House::new();
            let host = house.ledger(ONE);
            lose_the_answer(&host);
            host.exchange.borrow_mut().manners.unique_ids = false;
            host.exchange.borrow_mut().manners.look_up_lag_ms = MINUTE;
            let id = send(&host, 1, LONG).unwrap().id;
            host.drive();
            house.between.replace(Some((
                path,
                Box::new(move |host: &Host| {
                    let next = host.transactions();
                    host.faults.borrow_mut().store_at.push((next, when));
                }),
            )));
            let unclear = house.put(&raised(2)).unwrap_err();
            assert_eq!(unclear.code, Code::NotConfirmed, "{name} {when:?}");
            assert_eq!(house.version(), 1);
            house.ledger(name).faults.borrow_mut().store_at.clear();
            house.alarm();
            assert_eq!(house.version(), 2, "{name} {when:?}");
            let new = house.share(ONE, TWO);
            new.settle();
            assert_eq!(new.status(&id), SignalStatus::Filled);
            assert_eq!(new.count(Call::PlaceOrder), 0);
            new.check_books();
        }
    }
}

#[test]
fn a_new_ledger_that_is_away_leaves_everything_as_it_was() {
    for name in [ONE, TWO] {
        let house = House::new();
        let host = house.ledger(ONE);
        house
            .down
            .borrow_mut()
            .push(if name == ONE { ONE } else { TWO });
        let refused = house.put(&raised(2)).unwrap_err();
        assert_eq!(refused.code, Code::Conflict, "{refused}");
        house.down.borrow_mut().clear();
        assert_eq!(house.version(), 1);
        send(&host, 1, LONG).unwrap();
        house.put(&raised(2)).unwrap();
    }
}

#[test]
fn what_is_too_much_for_one_message_is_refused_and_nothing_changes() {
    let house = House::new();
    let host = house.ledger(ONE);
    send(&host, 1, LONG).unwrap();
    let body = format!(
        r#"{{"symbol":"BTCUSDT","action":"close","comment":"{}"}}"#,
        "x".repeat(200)
    );
    let id = send(&host, 1, &body).unwrap().id;
    let large = "x".repeat(MAX_HANDED);
    host.sql(&format!(
        "UPDATE signal SET data = json_set(data, '$.body', '{large}') WHERE id = '{id}'"
    ));
    let refused = house.put(&raised(2)).unwrap_err();
    assert_eq!(refused.code, Code::Conflict);
    assert!(refused.message.contains("bytes"), "{refused}");
    assert_eq!(house.version(), 1);
    send(&host, 1, MORE).unwrap();
}

#[test]
fn a_generation_is_used_once() {
    let house = House::new();
    house.put(&raised(2)).unwrap();
    for (version, generation) in [(3, 1), (3, 2)] {
        let back = manifest(version, &[("acc-1", generation), ("acc-2", 1)]);
        let answer = house.put(&back);
        assert_eq!(answer.is_ok(), generation == 2, "{answer:?}");
    }
    // One whose Ledger took signals of its own cannot take over.
    let third = house.ledger("acc-1/sim/3");
    drop(third.ledger());
    third.account.replace(Account {
        generation: 3,
        ..Host::account()
    });
    third.set_kill(KillMode::Off, 1);
    send(&third, 1, LONG).unwrap();
    let used = manifest(4, &[("acc-1", 3), ("acc-2", 1)]);
    assert_eq!(house.put(&used).unwrap_err().code, Code::BadField);
    // One that only knows the switch can.
    let fourth = house.ledger("acc-1/sim/4");
    drop(fourth.ledger());
    fourth.account.replace(Account {
        generation: 4,
        ..Host::account()
    });
    fourth.set_kill(KillMode::All, 1);
    house
        .put(&manifest(4, &[("acc-1", 4), ("acc-2", 1)]))
        .unwrap();
    assert!(!fourth.report().engaged);
}

#[test]
fn a_revocation_during_a_hand_over_holds_in_both() {
    let house = House::new();
    let host = house.ledger(ONE);
    let mut accept = host.message(CLOSE);
    accept.sender = "bot".parse().unwrap();
    let exit = Ledger::attach(host.clone()).accept(&accept).unwrap().id;
    house.down.borrow_mut().push(OTHER);
    house.lost.borrow_mut().push(HandOver::PATH);
    house.put(&raised(2)).unwrap_err();
    let revoke = SenderChange::Revoke {
        id: "bot".parse().unwrap(),
    };
    house.ask::<ChangeSenders>(&revoke).unwrap();
    house.alarm();
    assert_eq!(house.version(), 3);
    let new = house.ledger(TWO);
    assert_eq!(
        (new.status(&exit), new.code(&exit)),
        (SignalStatus::Refused, Some(Code::NotPermitted))
    );
    let shown = house.ask::<GetManifest>(&()).unwrap().manifest.unwrap();
    assert_eq!(shown.accounts[0].generation, 2);
    assert!(shown.sender(&"bot".parse().unwrap()).is_none());
}

#[test]
fn a_switch_during_a_hand_over_is_confirmed_by_the_new_ledger_or_by_nobody() {
    let house = House::new();
    house.lost.borrow_mut().push(HandOver::PATH);
    house.put(&raised(2)).unwrap_err();
    house.down.borrow_mut().push(TWO);
    let on = |flatten| SetKill {
        mode: KillMode::Entries,
        reason: None,
        flatten,
    };
    let told = house.ask::<PutKill>(&on(true)).unwrap();
    let of = |told: &[AccountReport], name: &str| {
        let found = told.iter().find(|report| report.account.as_str() == name);
        found.cloned().unwrap()
    };
    assert!(of(&told.accounts, "main").unreachable);
    assert!(!of(&told.accounts, "main").engaged);
    assert!(of(&told.accounts, "other").engaged);
    house.down.borrow_mut().clear();
    house.alarm();
    let new = house.ledger(TWO);
    assert!(new.report().engaged && new.report().flattening);
    assert_eq!(
        send(&new, 2, LONG).unwrap().view.status,
        SignalStatus::Received
    );
    new.settle_within(2_000);
    assert_eq!(new.count(Call::PlaceOrder), 0);
}

#[test]
fn a_third_generation_goes_on_from_the_second() {
    let house = House::new();
    let host = house.ledger(ONE);
    let exit = send(&host, 1, CLOSE).unwrap().id;
    house.put(&raised(2)).unwrap();
    house
        .put(&manifest(3, &[("acc-1", 3), ("acc-2", 1)]))
        .unwrap();
    let third = house.ledger("acc-1/sim/3");
    assert_eq!(third.status(&exit), SignalStatus::Received);
    let letters: Letters = house.letters(LetterVerb::List, None, None).unwrap();
    assert_eq!(letters.total, 0);
    assert_eq!(house.ask::<GetHealth>(&()).unwrap().accounts.len(), 2);
}

/// The old Ledger's run is waiting for the venue while it hands over.
#[test]
fn a_run_that_is_under_way_writes_nothing_after_the_hand_over() {
    for call in [Call::Position, Call::PlaceOrder, Call::LookUp] {
        let house = House::new();
        let host = house.ledger(ONE);
        host.exchange.borrow_mut().manners.unique_ids = false;
        host.exchange.borrow_mut().manners.look_up_lag_ms = 500;
        if call == Call::LookUp {
            lose_the_answer(&host);
        }
        let id = send(&host, 1, LONG).unwrap().id;
        if call == Call::LookUp {
            host.drive();
            house.advance(1_000);
        }
        let ledger = Ledger::attach(host.clone());
        let mut run = pin!(ledger.drive());
        let mut context = Context::from_waker(Waker::noop());
        while host.count(call) == 0 {
            assert!(run.as_mut().poll(&mut context).is_pending(), "{call:?}");
        }
        house.put(&raised(2)).unwrap();
        let before = rows(&host);
        let (orders, records) = (host.count(Call::PlaceOrder), host.count(Call::Deliver));
        while run.as_mut().poll(&mut context).is_pending() {}
        // What it noted of the venue's health has no effect.
        let tables = before.len() - 1;
        assert_eq!(rows(&host)[..tables], before[..tables], "{call:?}");
        assert_eq!(host.count(Call::PlaceOrder), orders, "{call:?}");
        assert_eq!(host.count(Call::Deliver), records, "{call:?}");
        let new = house.share(ONE, TWO);
        new.settle();
        assert_eq!(new.status(&id), SignalStatus::Filled, "{call:?}");
        assert_eq!(held(&new), Decimal::ONE, "{call:?}");
        new.check_books();
    }
}

/// While a run of Control waits for the new Ledger, another one finishes, and the next change begins.
#[test]
fn a_run_that_comes_late_puts_nothing_into_force_that_is_not_its_own() {
    let house = Rc::new(House::new());
    let host = house.ledger(ONE);
    let exit = send(&host, 1, CLOSE).unwrap().id;
    let inner = house.clone();
    let third = manifest(3, &[("acc-1", 3), ("acc-2", 1)]);
    house.between.replace(Some((
        TakeOver::PATH,
        Box::new(move |_| {
            inner.put(&raised(2)).unwrap();
            inner.lost.borrow_mut().push(HandOver::PATH);
            let unclear = inner.put(&third).unwrap_err();
            assert_eq!(unclear.code, Code::NotConfirmed);
        }),
    )));
    // The lost call was the alarm's or another request's; this one has an answer.
    house.put(&raised(2)).unwrap();
    assert_eq!(house.version(), 3);
    let third = house.ledger("acc-1/sim/3");
    assert_eq!(third.status(&exit), SignalStatus::Received);
}
