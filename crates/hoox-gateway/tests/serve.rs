//! The webhook's loop: which manifest counts, when it is read again, what is left of the time.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "in a test a failed expectation is the assertion"
)]

use core::cell::{Cell, RefCell};
use core::fmt;
use core::future::Future;
use core::net::IpAddr;
use core::pin::pin;
use core::task::{Context, Poll, Waker};
use std::collections::VecDeque;

use hoox_auth::{Manifest, PasskeyHash, Published};
use hoox_gateway::{FORWARD_MS, FRESH_MS, Forwarded, Gateway, Inbound, Isolate, Ports};
use hoox_mesh::{
    Accept, AcceptReply, AcceptSignal, Answer, GetManifest, ManifestReply, Problem, SignalStatus,
    SignalView,
};
use hoox_model::{Code, RequestId, Secret, Timestamp};
use serde_json::json;

const START: i64 = 1_780_000_000_000;
const INSIDE: &str = "52.89.214.238";
const ALERT: &[u8] = br#"{"apiKey":"trader-passkey","exchange":"bybit","action":"LONG","symbol":"BTCUSDT","quantity":1}"#;
const WRONG: &[u8] = br#"{"apiKey":"another-passkey","exchange":"bybit","action":"LONG","symbol":"BTCUSDT","quantity":1}"#;

fn manifest(version: u64) -> Published {
    let text = json!({
        "version": version,
        "senders": [{
            "id": "trader", "permission": "trade", "accounts": ["main"], "ranges": [],
            "keys": [PasskeyHash::new([7; 16], &Secret::new("trader-passkey"))],
        }],
        "accounts": [
            { "id": "a1", "name": "main", "venue": "bybit", "environment": "sim", "baseUrl": "http://127.0.0.1:9" },
        ],
    });
    Manifest::parse_strict(&text.to_string()).unwrap().into()
}

fn text(version: u64) -> String {
    serde_json::to_string(&manifest(version)).unwrap()
}

/// What is around the gateway.
#[derive(Default)]
struct Outside {
    now: Cell<i64>,
    /// What the configuration's next reads give; the last one stays.
    configuration: RefCell<VecDeque<Result<Option<String>, String>>>,
    reads: Cell<usize>,
    /// Version of Control's manifest; none where Control does not answer.
    control: Cell<Option<u64>>,
    /// How long every call takes, in milliseconds.
    call_ms: Cell<i64>,
    /// What the Ledger answers, in order.
    ledger: RefCell<VecDeque<Answer<AcceptSignal>>>,
    /// By which manifest the Ledger was called, and how long it may take.
    forwarded: RefCell<Vec<(u64, u32)>>,
    /// How long Control may take.
    asked: RefCell<Vec<u32>>,
    slowed: Cell<bool>,
    wrong_keys: Cell<usize>,
    log: RefCell<Vec<String>>,
}

impl Outside {
    fn new() -> Self {
        let outside = Self::default();
        outside.now.set(START);
        outside.configure(Ok(Some(text(4))));
        outside
    }

    fn configure(&self, read: Result<Option<String>, String>) {
        *self.configuration.borrow_mut() = [read].into();
    }

    fn answers(&self, answers: impl IntoIterator<Item = Answer<AcceptSignal>>) {
        self.ledger.borrow_mut().extend(answers);
    }

    /// One request, from the manifest on.
    fn send(&self, isolate: &Isolate, body: &[u8], prefer: Option<&str>) -> Sent {
        let since = Timestamp::from_millis(self.now.get());
        let inbound = Inbound {
            request_id: "r1".parse::<RequestId>().unwrap(),
            received_at: since,
            address: INSIDE.parse().ok(),
            signed: None,
            certified: false,
            idempotency_key: None,
            prefer,
            body,
        };
        let gateway = Gateway::new(self, isolate);
        run(async {
            let manifest = gateway.manifest(since).await?;
            let handled = gateway.webhook(&manifest, &inbound).await;
            assert_eq!(
                handled.sender.is_some(),
                !matches!(&handled.outcome, Err(it) if it.code == Code::Forbidden || it.code == Code::RateLimited)
            );
            handled.outcome
        })
    }
}

type Sent = Result<Forwarded, Problem>;

fn run<T>(work: impl Future<Output = T>) -> T {
    match pin!(work).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(done) => done,
        Poll::Pending => panic!("nothing here is waited for"),
    }
}

fn problem(code: Code) -> Problem {
    Problem::new(code, "as scripted")
}

fn taken(status: SignalStatus) -> Answer<AcceptSignal> {
    let id = hoox_model::SignalId::new(Timestamp::from_millis(START), [1; 10]);
    Ok(AcceptReply {
        signal: SignalView {
            signal_id: id,
            status,
            account: "main".parse().unwrap(),
            code: None,
            message: None,
            notes: Vec::new(),
            orders: Vec::new(),
        },
    })
}

impl Ports for Outside {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.now.get())
    }

    async fn read_published(&self) -> Result<Option<String>, String> {
        self.reads.set(self.reads.get() + 1);
        let mut script = self.configuration.borrow_mut();
        if script.len() > 1 {
            return script.pop_front().unwrap();
        }
        script.front().unwrap().clone()
    }

    async fn ask_control(&self, _: &RequestId, within_ms: u32) -> Answer<GetManifest> {
        self.asked.borrow_mut().push(within_ms);
        self.now.set(self.now.get() + self.call_ms.get());
        let version = self
            .control
            .get()
            .ok_or_else(|| problem(Code::NotConfirmed))?;
        Ok(ManifestReply::new(Some(manifest(version)), true))
    }

    async fn ask_ledger(&self, accept: &Accept, within_ms: u32) -> Answer<AcceptSignal> {
        let call = (accept.manifest_version, within_ms);
        self.forwarded.borrow_mut().push(call);
        self.now.set(self.now.get() + self.call_ms.get());
        self.ledger.borrow_mut().pop_front().unwrap()
    }

    fn admit(&self, _: Option<IpAddr>, _: Timestamp) -> Result<(), Problem> {
        if self.slowed.get() {
            return Err(problem(Code::RateLimited));
        }
        Ok(())
    }

    async fn wrong_key(&self, _: &Inbound<'_>) {
        self.wrong_keys.set(self.wrong_keys.get() + 1);
    }

    fn log(&self, line: fmt::Arguments<'_>) {
        self.log.borrow_mut().push(line.to_string());
    }
}

#[test]
fn the_manifest_is_read_again_when_it_is_no_longer_fresh() {
    let (outside, isolate) = (Outside::new(), Isolate::new());
    outside.answers((0..4).map(|_| taken(SignalStatus::Received)));
    for (after, version, reads) in [
        (0, 4, 1),
        (FRESH_MS - 1, 4, 1),
        (FRESH_MS, 5, 2),
        (FRESH_MS + 1, 5, 2),
    ] {
        outside.now.set(START + after);
        outside.send(&isolate, ALERT, None).unwrap();
        let (by, _) = *outside.forwarded.borrow().last().unwrap();
        assert_eq!((by, outside.reads.get()), (version, reads), "{after}");
        outside.configure(Ok(Some(text(5))));
    }
}

#[test]
fn a_manifest_that_cannot_be_read_leaves_the_last_good_one() {
    for bad in [Err("away".to_owned()), Ok(Some("{".to_owned())), Ok(None)] {
        let (outside, isolate) = (Outside::new(), Isolate::new());
        outside.configure(bad.clone());
        let refused = outside.send(&isolate, ALERT, None).unwrap_err();
        assert_eq!(refused.code, Code::NotConfigured);
        outside.configure(Ok(Some(text(4))));
        outside.answers([taken(SignalStatus::Received), taken(SignalStatus::Received)]);
        outside.send(&isolate, ALERT, None).unwrap();
        outside.now.set(START + FRESH_MS);
        outside.configure(bad.clone());
        outside.send(&isolate, ALERT, None).unwrap();
        assert_eq!(outside.reads.get(), 3);
        let logged = if bad == Ok(None) { 0 } else { 2 };
        assert_eq!(outside.log.borrow().len(), logged, "{bad:?}");
    }
}

#[test]
fn a_manifest_that_was_just_put_is_used_at_once() {
    let (outside, isolate) = (Outside::new(), Isolate::new());
    isolate.keep(manifest(9), Timestamp::from_millis(START));
    outside.answers([taken(SignalStatus::Received)]);
    outside.send(&isolate, ALERT, None).unwrap();
    assert_eq!(*outside.forwarded.borrow(), [(9, FORWARD_MS)]);
    assert_eq!(outside.reads.get(), 0);
}

#[test]
fn a_conflict_is_decided_once_more_by_controls_manifest() {
    let (outside, isolate) = (Outside::new(), Isolate::new());
    outside.call_ms.set(300);
    outside.control.set(Some(6));
    outside.answers([
        Err(problem(Code::Conflict)),
        taken(SignalStatus::Received),
        taken(SignalStatus::Received),
    ]);
    outside.send(&isolate, ALERT, None).unwrap();
    // Each call has what those before it left of the time.
    let calls = [(4, FORWARD_MS), (6, FORWARD_MS - 600)];
    assert_eq!(*outside.forwarded.borrow(), calls);
    assert_eq!(*outside.asked.borrow(), [FORWARD_MS - 300]);
    // The isolate uses it from now on.
    outside.send(&isolate, ALERT, None).unwrap();
    assert_eq!(outside.forwarded.borrow()[2], (6, FORWARD_MS));
    assert_eq!((outside.reads.get(), outside.asked.borrow().len()), (1, 1));
}

#[test]
fn a_second_conflict_is_not_decided_again() {
    let (outside, isolate) = (Outside::new(), Isolate::new());
    outside.control.set(Some(6));
    outside.answers([Err(problem(Code::Conflict)), Err(problem(Code::Conflict))]);
    let refused = outside.send(&isolate, ALERT, None).unwrap_err();
    assert_eq!(refused.code, Code::NotConfirmed);
    assert_eq!(outside.forwarded.borrow().len(), 2);
    assert_eq!(outside.asked.borrow().len(), 1);
}

#[test]
fn a_conflict_without_controls_manifest_is_not_confirmed() {
    let (outside, isolate) = (Outside::new(), Isolate::new());
    outside.answers([Err(problem(Code::Conflict))]);
    let refused = outside.send(&isolate, ALERT, None).unwrap_err();
    assert_eq!(refused.code, Code::NotConfirmed);
    assert_eq!(outside.forwarded.borrow().len(), 1);
}

#[test]
fn any_other_refusal_of_the_ledgers_is_the_answer() {
    for code in [Code::Duplicate, Code::KillSwitch, Code::NotConfirmed] {
        let (outside, isolate) = (Outside::new(), Isolate::new());
        outside.answers([Err(problem(code))]);
        let refused = outside.send(&isolate, ALERT, None).unwrap_err();
        assert_eq!(refused, problem(code));
        assert!(outside.asked.borrow().is_empty());
    }
}

#[test]
fn nothing_is_left_of_the_time_when_it_is_over() {
    let (outside, isolate) = (Outside::new(), Isolate::new());
    outside.call_ms.set(i64::from(FORWARD_MS));
    outside.answers([Err(problem(Code::Conflict))]);
    outside.send(&isolate, ALERT, None).unwrap_err();
    assert_eq!(*outside.asked.borrow(), [0]);
}

#[test]
fn a_wrong_key_is_counted_and_an_address_that_is_slowed_is_not_even_looked_at() {
    let (outside, isolate) = (Outside::new(), Isolate::new());
    let refused = outside.send(&isolate, WRONG, None).unwrap_err();
    assert_eq!(
        (refused.code, outside.wrong_keys.get()),
        (Code::Forbidden, 1)
    );
    outside.slowed.set(true);
    for body in [WRONG, ALERT] {
        let refused = outside.send(&isolate, body, None).unwrap_err();
        assert_eq!(refused.code, Code::RateLimited);
    }
    assert_eq!(outside.wrong_keys.get(), 1);
    assert!(outside.forwarded.borrow().is_empty());
}

#[test]
fn the_status_says_whether_the_sender_has_waited_for_the_outcome() {
    for (prefer, status, expected) in [
        (None, SignalStatus::Received, 202),
        (None, SignalStatus::Filled, 202),
        (Some("wait=1"), SignalStatus::Sending, 202),
        (Some("wait=1"), SignalStatus::Filled, 200),
    ] {
        let (outside, isolate) = (Outside::new(), Isolate::new());
        outside.answers([taken(status)]);
        let told = outside.send(&isolate, ALERT, prefer).unwrap();
        assert_eq!(told.status(), expected, "{prefer:?} {status:?}");
    }
}
