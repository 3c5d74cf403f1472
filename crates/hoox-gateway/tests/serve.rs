//! The webhook's loop: which manifest counts, when it is read again, what is left of the time.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::arithmetic_side_effects,
    clippy::unnecessary_wraps,
    reason = "in a test a failed expectation is the assertion"
)]

use core::cell::{Cell, RefCell};
use core::fmt;
use core::future::{Future, poll_fn};
use core::net::IpAddr;
use core::pin::pin;
use core::task::{Context, Poll, Waker};
use std::collections::VecDeque;

use hoox_auth::{Manifest, PasskeyHash, Permission, Published};
use hoox_gateway::{
    ASK_AGAIN_MS, ASK_MS, Arriving, FORWARD_MS, FRESH_MS, Forwarded, Gateway, Heard, Inbound,
    Isolate, Ports, forbidden,
};
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

/// One in which the key that was wrong is that of a second sender.
fn with_more(version: u64) -> Published {
    let mut published = manifest(version);
    let text = json!({
        "id": "new", "permission": "trade", "accounts": ["main"], "ranges": ["203.0.113.0/24"],
        "keys": [PasskeyHash::new([8; 16], &Secret::new("another-passkey"))],
    });
    let sender = serde_json::from_value(text).unwrap();
    published.manifest.senders.push(sender);
    published
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
    pauses: Cell<u32>,
    /// Control answers after one more turn of everybody.
    control_waits: Cell<bool>,
    /// Whether Control's manifest knows a second sender, with an address of its own.
    control_knows_more: Cell<bool>,
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
        run(self.sending(isolate, body, prefer))
    }

    async fn sending(&self, isolate: &Isolate, body: &[u8], prefer: Option<&str>) -> Sent {
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
        let manifest = gateway.manifest(since).await?;
        let mut heard = Heard::default();
        let outcome = gateway.webhook(manifest, &inbound, &mut heard).await;
        let known = !matches!(&outcome, Err(it) if it.code == Code::Forbidden || it.code == Code::RateLimited);
        assert_eq!(heard.sender.is_some(), known);
        outcome
    }
}

type Sent = Result<Forwarded, Problem>;

fn run<T>(work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    for _ in 0..1_000 {
        if let Poll::Ready(done) = work.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return done;
        }
    }
    panic!("it waits for ever")
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
            incomplete: false,
            legs: None,
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
        if self.control_waits.get() {
            self.pause(0).await;
        }
        self.now.set(self.now.get() + self.call_ms.get());
        let version = self
            .control
            .get()
            .ok_or_else(|| problem(Code::NotConfirmed))?;
        let mut known = manifest(version);
        if self.control_knows_more.get() {
            known = with_more(version);
        }
        Ok(ManifestReply::new(Some(known), true))
    }

    async fn ask_ledger(&self, accept: &Accept, within_ms: u32) -> Answer<AcceptSignal> {
        let call = (accept.manifest_version, within_ms);
        self.forwarded.borrow_mut().push(call);
        self.now.set(self.now.get() + self.call_ms.get());
        self.ledger.borrow_mut().pop_front().unwrap()
    }

    async fn wrong_key(
        &self,
        _: &RequestId,
        _: Option<IpAddr>,
        _: Timestamp,
        refusal: Problem,
    ) -> Problem {
        self.wrong_keys.set(self.wrong_keys.get() + 1);
        if self.slowed.get() {
            return problem(Code::RateLimited);
        }
        refusal
    }

    /// Time goes by, and others go on meanwhile.
    async fn pause(&self, millis: u32) {
        self.now.set(self.now.get() + i64::from(millis));
        self.pauses.set(self.pauses.get() + 1);
        let mut polled = false;
        poll_fn(|_| {
            let ready = core::mem::replace(&mut polled, true);
            if ready {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
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
fn a_wrong_key_is_counted_and_the_right_one_passes_however_slowed_its_address_is() {
    let (outside, isolate) = (Outside::new(), Isolate::new());
    let refused = outside.send(&isolate, WRONG, None).unwrap_err();
    assert_eq!(
        (refused.code, outside.wrong_keys.get()),
        (Code::Forbidden, 1)
    );
    outside.slowed.set(true);
    let refused = outside.send(&isolate, WRONG, None).unwrap_err();
    assert_eq!(
        (refused.code, outside.wrong_keys.get()),
        (Code::RateLimited, 2)
    );
    outside.answers([taken(SignalStatus::Received)]);
    outside.send(&isolate, ALERT, None).unwrap();
    assert_eq!(outside.wrong_keys.get(), 2);
}

#[test]
fn a_key_that_was_just_made_opens_at_once() {
    let (outside, isolate) = (Outside::new(), Isolate::new());
    outside.control.set(Some(5));
    outside.control_knows_more.set(true);
    outside.call_ms.set(100);
    outside.answers([taken(SignalStatus::Received), taken(SignalStatus::Received)]);
    outside.send(&isolate, WRONG, None).unwrap();
    assert_eq!(*outside.asked.borrow(), [ASK_MS]);
    let calls = [(5, FORWARD_MS - 100)];
    assert_eq!(*outside.forwarded.borrow(), calls);
    assert_eq!(outside.wrong_keys.get(), 0);
    // And on, though the configuration still serves the one before.
    outside.now.set(START + FRESH_MS + 100);
    outside.send(&isolate, WRONG, None).unwrap();
    assert_eq!((outside.reads.get(), outside.asked.borrow().len()), (2, 1));
}

#[test]
fn what_control_does_not_know_either_is_asked_once_in_ten_seconds() {
    for control in [Some(4), Some(5), None] {
        let (outside, isolate) = (Outside::new(), Isolate::new());
        outside.control.set(control);
        for (after, asked) in [
            (0, 1),
            (1, 1),
            (ASK_AGAIN_MS - 1, 1),
            (ASK_AGAIN_MS, 2),
            (ASK_AGAIN_MS + 1, 2),
        ] {
            outside.now.set(START + after);
            let refused = outside.send(&isolate, WRONG, None).unwrap_err();
            assert_eq!(refused, forbidden());
            assert_eq!(outside.asked.borrow().len(), asked, "{control:?} {after}");
        }
        assert_eq!(outside.wrong_keys.get(), 5);
        // Control that does not answer stops nobody whose key is right.
        outside.answers([taken(SignalStatus::Received)]);
        outside.send(&isolate, ALERT, None).unwrap();
    }
}

#[test]
fn those_who_come_while_control_is_asked_share_its_answer() {
    let (outside, isolate) = (Outside::new(), Isolate::new());
    outside.control.set(Some(5));
    outside.control_knows_more.set(true);
    outside.control_waits.set(true);
    outside.answers((0..3).map(|_| taken(SignalStatus::Received)));
    let send = || outside.sending(&isolate, WRONG, None);
    let mut all = [Box::pin(send()), Box::pin(send()), Box::pin(send())];
    let mut done = 0;
    for _ in 0..10 {
        for one in &mut all {
            if done < 3
                && let Poll::Ready(sent) =
                    one.as_mut().poll(&mut Context::from_waker(Waker::noop()))
            {
                sent.unwrap();
                done += 1;
                *one = Box::pin(send());
            }
        }
        if done >= 3 {
            break;
        }
    }
    assert_eq!((done, outside.asked.borrow().len()), (3, 1));
    assert!(outside.pauses.get() >= 2);
}

#[test]
fn whoever_waits_for_one_who_is_gone_is_refused_after_half_a_second() {
    let (outside, isolate) = (Outside::new(), Isolate::new());
    outside.control_waits.set(true);
    // It asks, and its client hangs up.
    let mut gone = Box::pin(outside.sending(&isolate, WRONG, None));
    let polled = gone.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert!(polled.is_pending());
    drop(gone);
    let began = outside.now.get();
    let refused = outside.send(&isolate, WRONG, None).unwrap_err();
    assert_eq!(refused, forbidden());
    assert_eq!(outside.now.get() - began, i64::from(ASK_MS));
    assert_eq!(outside.asked.borrow().len(), 1);
}

#[test]
fn an_address_that_was_just_added_is_let_in() {
    let (outside, isolate) = (Outside::new(), Isolate::new());
    outside.control.set(Some(5));
    let id = "r1".parse::<RequestId>().unwrap();
    let arriving = |declared_length, content_encoding| Arriving {
        request_id: &id,
        received_at: Timestamp::from_millis(outside.now.get()),
        address: "203.0.113.7".parse().ok(),
        declared_length,
        content_encoding,
    };
    let gateway = Gateway::new(&outside, &isolate);
    let admit = |arriving: &Arriving<'_>| {
        run(async {
            let manifest = gateway.manifest(arriving.received_at).await?;
            let by = gateway.admit(manifest, arriving).await?;
            Ok::<_, Problem>(by.manifest.version)
        })
    };
    // What no manifest would change is not asked about.
    let large = admit(&arriving(Some("70000"), None)).unwrap_err();
    assert_eq!(large.code, Code::TooLarge);
    assert!(outside.asked.borrow().is_empty());
    assert_eq!(admit(&arriving(None, None)).unwrap_err(), forbidden());
    outside.now.set(START + ASK_AGAIN_MS);
    outside.control.set(Some(6));
    outside.control_knows_more.set(true);
    assert_eq!(admit(&arriving(None, None)), Ok(6));
    let encoded = admit(&arriving(None, Some("gzip"))).unwrap_err();
    assert_eq!(encoded.code, Code::BadJson);
    assert_eq!(*outside.asked.borrow(), [ASK_MS, ASK_MS]);
}

#[test]
fn rights_that_were_just_given_count_at_once() {
    let (outside, isolate) = (Outside::new(), Isolate::new());
    let mut old = manifest(4);
    old.manifest.senders[0].permission = Permission::Read;
    outside.configure(Ok(Some(serde_json::to_string(&old).unwrap())));
    outside.control.set(Some(5));
    outside.answers([taken(SignalStatus::Received)]);
    outside.send(&isolate, ALERT, None).unwrap();
    assert_eq!(*outside.asked.borrow(), [ASK_MS]);
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
