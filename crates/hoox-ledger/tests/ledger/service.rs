//! The Ledger's object: whom it asks, what its answers wait for, what it does when storage failed.

use core::cell::{Cell, RefCell};
use core::fmt;
use core::future::Future;
use core::pin::Pin;
use std::collections::VecDeque;
use std::rc::Rc;

use hoox_auth::Account;
use hoox_exchange::{CallBudget, ErrorClass};
use hoox_ledger::{
    LOOK_MS, Lanes, LedgerObject, LedgerService, Ports, RUN_AGAIN_MS, SETTLE_LOOK_MS, SETTLE_MS,
};
use hoox_mesh::envelope::{message, opened, reply, written};
use hoox_mesh::{
    Accept, AcceptSignal, Answer, Configure, ConfigureLedger, KillMode, KillState, LedgerConfig,
    Problem, Route, Seen, SignalStatus, Sweep,
};
use hoox_model::{Code, SignalId, Timestamp};
use serde_json::value::RawValue;

use crate::world::{Call, Host, START, When, error};

const BUY: &str = r#"{"exchange":"bybit","action":"LONG","symbol":"BTCUSDT","quantity":2}"#;

type Work = Pin<Box<dyn Future<Output = ()>>>;

/// What is around the object, beside its host.
#[derive(Default)]
struct Outside {
    /// Who was asked, and what.
    asked: RefCell<Vec<(String, &'static str, String)>>,
    /// What they answer, in order; nothing more means that nobody answers.
    answers: RefCell<VecDeque<Result<&'static str, Problem>>>,
    /// Runs beside the answer.
    aside: RefCell<Vec<Work>>,
    /// When they get their turn.
    aside_at: Cell<i64>,
    /// Whether they have it at this moment.
    runs: Cell<bool>,
    log: RefCell<Vec<String>>,
    took: RefCell<Vec<SignalId>>,
}

#[derive(Clone)]
struct Object(Host, Rc<Outside>);

impl Object {
    fn new(host: Host) -> Self {
        let outside = Outside::default();
        outside.aside_at.set(i64::MAX);
        Self(host, Rc::new(outside))
    }

    fn service(&self) -> LedgerService<Self> {
        LedgerService::new(self.clone(), Rc::default())
    }

    fn ask<R: Route>(&self, request: &R::Request) -> Answer<R> {
        let text = written::<R>(request).unwrap();
        let served = self.0.run(self.service().serve(R::PATH, &text)).unwrap();
        let inside = opened(&served.body);
        let status = inside.as_ref().map_or_else(|it| it.code.status(), |_| 200);
        assert_eq!(served.status, status);
        reply::<R>(&inside?)
    }

    fn answer(
        &self,
        asked: String,
        path: &'static str,
        message: &str,
    ) -> Result<Box<RawValue>, Problem> {
        let asked = (asked, path, message.to_owned());
        self.1.asked.borrow_mut().push(asked);
        let silence = || Err(Problem::new(Code::NotConfirmed, "nobody answers"));
        let answer = self.1.answers.borrow_mut().pop_front();
        let text = answer.unwrap_or_else(silence)?;
        Ok(RawValue::from_string(text.to_owned()).unwrap())
    }

    fn signals(&self) -> usize {
        self.0.sql("SELECT id FROM signal").len()
    }
}

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
        if self.1.runs.replace(true) {
            // A run beside it: it only looks again at the next poll, and no time passes.
            return Ports::sleep(&self.0, millis).await;
        }
        self.0.advance(millis);
        if self.0.now() >= self.1.aside_at.get() {
            let runs = core::mem::take(&mut *self.1.aside.borrow_mut());
            for run in runs {
                self.0.run(run).unwrap();
            }
        }
        self.1.runs.set(false);
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
        account: &Account,
        path: &'static str,
        message: &str,
        _: u32,
    ) -> Result<Box<RawValue>, Problem> {
        self.answer(account.name.to_string(), path, message)
    }

    async fn ask_control(
        &self,
        path: &'static str,
        message: &str,
        _: u32,
    ) -> Result<Box<RawValue>, Problem> {
        self.answer("Control".to_owned(), path, message)
    }

    async fn colo(&self, _: &Account) -> Option<String> {
        Some("NRT".to_owned())
    }

    fn aside(&self, work: impl Future<Output = ()> + 'static) {
        self.1.aside.borrow_mut().push(Box::pin(work));
    }

    fn log(&self, line: fmt::Arguments<'_>) {
        self.1.log.borrow_mut().push(line.to_string());
    }

    fn took(&self, _: &Accept, signal: &SignalId) {
        self.1.took.borrow_mut().push(signal.clone());
    }
}

fn waiting(object: &Object, wait_ms: u32) -> Accept {
    Accept {
        wait_ms,
        ..object.0.message(BUY)
    }
}

fn configuration(host: &Host, mode: KillMode, revision: u64) -> Configure {
    Configure {
        manifest_version: 1,
        account: host.account.borrow().clone(),
        senders: vec!["tv".parse().unwrap()],
        kill: KillState {
            mode,
            revision,
            reason: None,
            since: Timestamp::from_millis(START),
            flatten: false,
            flatten_revision: None,
        },
    }
}

fn earlier(name: &str) -> Account {
    Account {
        id: format!("acc-{name}").parse().unwrap(),
        name: name.parse().unwrap(),
        ..Host::account()
    }
}

#[test]
fn an_answer_that_nobody_waits_for_comes_at_once_and_the_run_is_beside_it() {
    let object = Object::new(Host::new());
    let told = object.ask::<AcceptSignal>(&waiting(&object, 0)).unwrap();
    assert_eq!(told.signal.status, SignalStatus::Received);
    assert_eq!(object.0.now(), START);
    assert_eq!(object.1.aside.borrow().len(), 1);
    assert_eq!(*object.1.took.borrow(), [told.signal.signal_id]);
    assert!(object.1.asked.borrow().is_empty());
}

#[test]
fn waiting_ends_with_the_outcome() {
    let object = Object::new(Host::new());
    object.1.aside_at.set(START + LOOK_MS);
    let told = object
        .ask::<AcceptSignal>(&waiting(&object, 2_000))
        .unwrap();
    assert_eq!(told.signal.status, SignalStatus::Filled);
    assert_eq!(object.0.now(), object.1.aside_at.get());
}

#[test]
fn a_repetition_of_what_is_done_waits_for_nothing() {
    let object = Object::new(Host::new());
    object.1.aside_at.set(START + LOOK_MS);
    let request = waiting(&object, 2_000);
    object.ask::<AcceptSignal>(&request).unwrap();
    let asked = object.0.now();
    let again = object.ask::<AcceptSignal>(&request).unwrap();
    assert_eq!(again.signal.status, SignalStatus::Filled);
    assert_eq!(object.0.now(), asked);
}

#[test]
fn waiting_ends_with_its_time() {
    let object = Object::new(Host::new());
    let wait = 10 * LOOK_MS + 7;
    let told = object
        .ask::<AcceptSignal>(&waiting(&object, u32::try_from(wait).unwrap()))
        .unwrap();
    assert_eq!(told.signal.status, SignalStatus::Received);
    assert_eq!(object.0.now(), START + wait);
}

#[test]
fn a_new_ledger_takes_what_control_tells_it() {
    let object = Object::new(Host::unconfigured());
    let told = serde_json::to_string(&configuration(&object.0, KillMode::Off, 1)).unwrap();
    object.1.answers.borrow_mut().push_back(Ok(told.leak()));
    object.ask::<AcceptSignal>(&waiting(&object, 0)).unwrap();
    {
        let asked = object.1.asked.borrow();
        let [(who, path, text)] = asked.as_slice() else {
            panic!("{asked:?}");
        };
        assert_eq!((who.as_str(), *path), ("Control", LedgerConfig::PATH));
        let account = message::<LedgerConfig>(text).unwrap();
        assert_eq!(account, Host::account().id);
    }
    // From now on it knows.
    let again = object.ask::<AcceptSignal>(&waiting(&object, 0));
    assert_eq!(again.unwrap_err().code, Code::Duplicate);
    assert_eq!(object.1.asked.borrow().len(), 1);
}

#[test]
fn a_new_ledger_without_an_answer_takes_no_entry() {
    let object = Object::new(Host::unconfigured());
    let refused = object
        .ask::<AcceptSignal>(&waiting(&object, 0))
        .unwrap_err();
    assert_eq!(refused.code, Code::NotConfirmed);
    assert_eq!(object.signals(), 0);
    assert_eq!(object.1.log.borrow().len(), 1);
}

#[test]
fn earlier_accounts_are_asked_in_turn_before_a_signal_is_taken() {
    let object = Object::new(Host::new());
    let duplicate = Problem::new(Code::Duplicate, "it was taken");
    let accept = Accept {
        past: ["one", "two", "three"].map(earlier).into(),
        ..waiting(&object, 0)
    };
    let mut answers = object.1.answers.borrow_mut();
    answers.extend([Ok("null"), Err(duplicate.clone())]);
    drop(answers);
    assert_eq!(object.ask::<AcceptSignal>(&accept).unwrap_err(), duplicate);
    assert_eq!(object.signals(), 0);
    {
        let asked = object.1.asked.borrow();
        let names: Vec<&str> = asked.iter().map(|(who, ..)| who.as_str()).collect();
        assert_eq!(names, ["one", "two"]);
        let question = message::<Seen>(&asked[0].2).unwrap();
        assert_eq!(question.identity, accept.identity);
        assert_eq!(question.manifest_version, accept.manifest_version);
    }
    // One that does not answer may have taken it.
    let silent = object.ask::<AcceptSignal>(&accept).unwrap_err();
    assert_eq!(silent.code, Code::NotConfirmed);
    assert_eq!(object.signals(), 0);
    let answers = [Ok("null"), Ok("null"), Ok("null")];
    object.1.answers.borrow_mut().extend(answers);
    object.ask::<AcceptSignal>(&accept).unwrap();
    assert_eq!(object.signals(), 1);
}

/// A Ledger with an order that may be at the venue.
fn in_doubt() -> Object {
    let host = Host::new();
    let unknown = error(ErrorClass::Unknown);
    host.fail(Call::PlaceOrder, When::After, unknown);
    host.accept(BUY);
    host.drive();
    assert_eq!(host.report().in_flight, 1);
    Object::new(host)
}

#[test]
fn engaging_the_switch_waits_until_what_is_on_its_way_has_come_to_rest() {
    let object = in_doubt();
    let since = object.0.now();
    object.1.aside_at.set(since + 3_000);
    let on = configuration(&object.0, KillMode::All, 2);
    let report = object.ask::<ConfigureLedger>(&on).unwrap();
    assert!(report.engaged && report.in_flight == 0, "{report:?}");
    assert_eq!(object.0.now(), since + 3_000);
    // With nothing on its way there is nothing to wait for.
    let on = configuration(&object.0, KillMode::All, 3);
    object.ask::<ConfigureLedger>(&on).unwrap();
    assert_eq!(object.0.now(), since + 3_000);
    assert!(object.1.aside.borrow().is_empty());
}

#[test]
fn engaging_the_switch_waits_no_longer_than_its_time() {
    let object = in_doubt();
    let since = object.0.now();
    let on = configuration(&object.0, KillMode::All, 2);
    let report = object.ask::<ConfigureLedger>(&on).unwrap();
    assert!(report.engaged && report.in_flight == 1, "{report:?}");
    assert_eq!(object.0.now(), since + SETTLE_MS);
    assert_eq!(SETTLE_MS % SETTLE_LOOK_MS, 0);
}

#[test]
fn tables_that_could_not_be_opened_are_opened_by_the_next_request() {
    let host = Host::unconfigured();
    host.faults.borrow_mut().store_at.push((0, When::Before));
    let object = Object::new(host);
    let memory = Rc::default();
    let service = LedgerService::new(object.clone(), Rc::clone(&memory));
    service.begin();
    assert!(!memory.is_opened());
    assert_eq!(object.1.log.borrow().len(), 1);
    let served = object.0.run(service.serve(Sweep::PATH, "null")).unwrap();
    assert_eq!(served.status, 200);
    assert!(memory.is_opened());
}

#[test]
fn an_alarm_whose_storage_fails_comes_again() {
    let host = Host::unconfigured();
    host.faults.borrow_mut().store_at.push((0, When::Before));
    let object = Object::new(host);
    object.0.run(object.service().alarm()).unwrap();
    assert_eq!(object.0.alarm(), Some(START + RUN_AGAIN_MS));
    assert_eq!(object.1.log.borrow().len(), 1);
}

#[test]
fn what_is_not_understood_is_refused() {
    let object = Object::new(Host::new());
    let service = object.service();
    for (path, text, status) in [
        (AcceptSignal::PATH, "{}", 400),
        (Seen::PATH, "", 400),
        ("/somewhere", "null", 404),
    ] {
        let served = object.0.run(service.serve(path, text)).unwrap();
        assert_eq!(served.status, status, "{path}: {}", served.body);
        opened(&served.body).unwrap_err();
    }
}
