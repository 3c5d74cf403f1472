//! Who is let in at the operator API, at which level, and how long a revoked key still opens anything.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::arithmetic_side_effects,
    reason = "in a test a failed expectation is the assertion"
)]

use core::cell::{Cell, RefCell};
use core::fmt;
use core::future::Future;
use core::net::IpAddr;
use core::pin::pin;
use core::task::{Context, Poll, Waker};

use hoox_auth::{KeyDigest, Level, Manifest, OperatorChange, Published};
use hoox_gateway::{
    ASK_AGAIN_MS, CONFIRM_MS, Called, FRESH_MS, Gateway, Heard, Isolate, Matched, Ports, endpoint,
    may_switch,
};
use hoox_mesh::{Accept, AcceptSignal, Answer, GetManifest, KillMode, ManifestReply, Problem};
use hoox_model::{Code, RequestId, Secret, Timestamp};
use serde_json::json;

const START: i64 = 1_780_000_000_000;
const OWNER: &str = "the-owners-key";

fn manifest() -> Published {
    let text = json!({ "version": 4, "senders": [], "accounts": [] });
    Manifest::parse_strict(&text.to_string()).unwrap().into()
}

fn with(mut published: Published, change: &OperatorChange) -> Published {
    let at = Timestamp::from_millis(START);
    published.operators = published.operators.with_change(change, at).unwrap();
    published
}

fn key(name: &str) -> KeyDigest {
    KeyDigest::of(&Secret::new(format!("the-key-of-{name}")))
}

fn add(published: Published, name: &str, level: Level) -> Published {
    let change = OperatorChange::Add {
        name: name.parse().unwrap(),
        level,
        key_sha256: key(name),
    };
    with(published, &change)
}

fn revoke(published: Published, name: &str) -> Published {
    let name = name.parse().unwrap();
    with(published, &OperatorChange::Revoke { name })
}

fn three() -> Published {
    let published = add(manifest(), "ann", Level::Read);
    let published = add(published, "bob", Level::Operate);
    add(published, "cid", Level::Admin)
}

/// What is around the gateways.
struct Outside {
    now: Cell<i64>,
    /// What the configuration serves.
    configuration: RefCell<Option<Published>>,
    /// What Control holds; none where it does not answer.
    control: RefCell<Option<Published>>,
    reads: Cell<usize>,
    /// How long each question to Control might have taken.
    asked: RefCell<Vec<u32>>,
    wrong_keys: Cell<usize>,
}

impl Outside {
    fn knowing(published: &Published) -> Self {
        Self {
            now: Cell::new(START),
            configuration: RefCell::new(Some(published.clone())),
            control: RefCell::new(Some(published.clone())),
            reads: Cell::new(0),
            asked: RefCell::default(),
            wrong_keys: Cell::new(0),
        }
    }

    fn call(&self, isolate: &Isolate, method: &str, path: &str, key: &str) -> Entered {
        self.with_header(isolate, endpoint(method, path), &format!("Bearer {key}"))
    }

    fn with_header(&self, isolate: &Isolate, matched: Matched, header: &str) -> Entered {
        let id: RequestId = "r1".parse().unwrap();
        let owner = Secret::new(OWNER);
        let called = Called {
            request_id: &id,
            received_at: self.now(),
            address: "203.0.113.9".parse().ok(),
            authorization: Some(header),
            owner: Some(&owner),
            matched,
        };
        let mut heard = Heard::default();
        let outcome = run(Gateway::new(self, isolate).operator(&called, &mut heard));
        let entered = outcome.map(|_| ()).map_err(|problem| problem.code);
        (entered, heard.operator)
    }

    fn later(&self, millis: i64) {
        self.now.set(self.now.get() + millis);
    }
}

/// Whether a call was let in, and whose it was.
type Entered = (Result<(), Code>, Option<String>);

fn of(outcome: Result<(), Code>, name: &str) -> Entered {
    (outcome, Some(name.to_owned()))
}

const NOBODY: Entered = (Err(Code::Unauthorized), None);

fn run<T>(work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    for _ in 0..1_000 {
        if let Poll::Ready(done) = work.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return done;
        }
    }
    panic!("it waits for ever")
}

impl Ports for Outside {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.now.get())
    }

    async fn read_published(&self) -> Result<Option<String>, String> {
        self.reads.set(self.reads.get() + 1);
        let known = self.configuration.borrow();
        Ok(known.as_ref().map(|it| serde_json::to_string(it).unwrap()))
    }

    async fn ask_control(&self, _: &RequestId, within_ms: u32) -> Answer<GetManifest> {
        self.asked.borrow_mut().push(within_ms);
        match &*self.control.borrow() {
            Some(known) => Ok(ManifestReply::new(Some(known.clone()), true)),
            None => Err(Problem::new(Code::NotConfirmed, "as scripted")),
        }
    }

    async fn ask_ledger(&self, _: &Accept, _: u32) -> Answer<AcceptSignal> {
        panic!("no operator's call is an alert")
    }

    async fn wrong_key<'a>(
        &'a self,
        _: &'a RequestId,
        _: Option<IpAddr>,
        _: Timestamp,
        refusal: Problem,
    ) -> Problem {
        self.wrong_keys.set(self.wrong_keys.get() + 1);
        refusal
    }

    async fn pause(&self, millis: u32) {
        self.later(i64::from(millis));
    }

    fn log(&self, _: fmt::Arguments<'_>) {}
}

#[test]
fn each_level_opens_its_calls_and_those_below() {
    let outside = Outside::knowing(&three());
    let isolate = Isolate::new();
    for (method, path, needed) in [
        ("GET", "/v1/signals", Level::Read),
        ("GET", "/v1/nothing", Level::Read),
        ("DELETE", "/v1/signals", Level::Read),
        ("PUT", "/v1/kill-switch", Level::Operate),
        ("POST", "/v1/dead-letters/01X/replay", Level::Operate),
        ("GET", "/v1/manifest", Level::Admin),
        ("DELETE", "/v1/operators/ann", Level::Admin),
    ] {
        for (name, level) in [
            ("ann", Level::Read),
            ("bob", Level::Operate),
            ("cid", Level::Admin),
        ] {
            let expected = if level < needed {
                Err(Code::NotPermitted)
            } else {
                Ok(())
            };
            let key = format!("the-key-of-{name}");
            let entered = outside.call(&isolate, method, path, &key);
            assert_eq!(entered, of(expected, name), "{method} {path}");
        }
        let entered = outside.call(&isolate, method, path, OWNER);
        assert_eq!(entered, of(Ok(()), "owner"), "{method} {path}");
    }
    assert_eq!(outside.wrong_keys.get(), 0);
}

#[test]
fn a_refusal_names_the_level_that_is_needed() {
    let outside = Outside::knowing(&three());
    let id: RequestId = "r1".parse().unwrap();
    let called = Called {
        request_id: &id,
        received_at: outside.now(),
        address: None,
        authorization: Some("Bearer the-key-of-bob"),
        owner: None,
        matched: endpoint("PUT", "/v1/manifest"),
    };
    let isolate = Isolate::new();
    let gateway = Gateway::new(&outside, &isolate);
    let refused = run(gateway.operator(&called, &mut Heard::default())).unwrap_err();
    assert_eq!(
        refused.message,
        "this needs an operator at level admin, and 'bob' is at level operate"
    );
    assert!(outside.asked.borrow().is_empty());
}

#[test]
fn whoever_operates_engages_the_switch_and_an_admin_releases_it() {
    let id: RequestId = "r1".parse().unwrap();
    let outside = Outside::knowing(&three());
    let level_of = |key: &str| {
        let header = format!("Bearer {key}");
        let called = Called {
            request_id: &id,
            received_at: outside.now(),
            address: None,
            authorization: Some(&header),
            owner: Some(&Secret::new(OWNER)),
            matched: endpoint("PUT", "/v1/kill-switch"),
        };
        run(Gateway::new(&outside, &Isolate::new()).operator(&called, &mut Heard::default()))
    };
    let operates = level_of("the-key-of-bob").unwrap();
    for mode in [KillMode::Entries, KillMode::All] {
        assert!(may_switch(operates, mode).is_ok());
    }
    let refused = may_switch(operates, KillMode::Off).unwrap_err();
    assert_eq!(refused.code, Code::NotPermitted);
    assert_eq!(
        refused.message,
        "switching the kill switch off needs an operator at level admin, and yours is operate, which may switch it on"
    );
    let owner = level_of(OWNER).unwrap();
    assert!(may_switch(owner, KillMode::Off).is_ok());
}

/// The owner gets in without the configuration, without Control, and whatever stands on the list.
#[test]
fn the_owner_needs_nobody() {
    let outside = Outside::knowing(&manifest());
    *outside.configuration.borrow_mut() = None;
    *outside.control.borrow_mut() = None;
    for (method, path) in [("GET", "/v1/health"), ("PUT", "/v1/kill-switch")] {
        let entered = outside.call(&Isolate::new(), method, path, OWNER);
        assert_eq!(entered, of(Ok(()), "owner"));
    }
    assert_eq!((outside.reads.get(), outside.asked.borrow().len()), (0, 0));
}

#[test]
fn what_only_reads_asks_nobody_and_what_changes_asks_control_each_time() {
    let outside = Outside::knowing(&three());
    let isolate = Isolate::new();
    for _ in 0..5 {
        let entered = outside.call(&isolate, "GET", "/v1/orders", "the-key-of-cid");
        assert_eq!(entered.0, Ok(()));
    }
    assert_eq!((outside.reads.get(), outside.asked.borrow().len()), (1, 0));
    for count in 1..=3 {
        let entered = outside.call(&isolate, "PUT", "/v1/kill-switch", "the-key-of-cid");
        assert_eq!(entered.0, Ok(()));
        assert_eq!(*outside.asked.borrow(), vec![CONFIRM_MS; count]);
    }
    // Whoever cannot be confirmed changes nothing, and reads on.
    *outside.control.borrow_mut() = None;
    let entered = outside.call(&isolate, "PUT", "/v1/kill-switch", "the-key-of-cid");
    assert_eq!(entered, of(Err(Code::NotConfirmed), "cid"));
    let entered = outside.call(&isolate, "GET", "/v1/orders", "the-key-of-cid");
    assert_eq!(entered, of(Ok(()), "cid"));
}

#[test]
fn a_new_key_works_at_once_and_an_unknown_one_asks_once_in_ten_seconds() {
    let outside = Outside::knowing(&three());
    let isolate = Isolate::new();
    let read = |key: &str| outside.call(&isolate, "GET", "/v1/orders", key);
    assert_eq!(read("the-key-of-bob"), of(Ok(()), "bob"));
    // The configuration serves what it had for a while.
    *outside.control.borrow_mut() = Some(add(three(), "dan", Level::Read));
    assert_eq!(read("the-key-of-dan"), of(Ok(()), "dan"));
    assert_eq!(outside.asked.borrow().len(), 1);
    for _ in 0..50 {
        assert_eq!(read("a-guess"), NOBODY);
        outside.later(100);
    }
    assert_eq!(outside.asked.borrow().len(), 1);
    outside.later(ASK_AGAIN_MS);
    assert_eq!(read("a-guess"), NOBODY);
    assert_eq!(outside.asked.borrow().len(), 2);
    assert_eq!(outside.wrong_keys.get(), 51);
    // What came from Control is not forgotten for what the configuration still serves.
    outside.later(FRESH_MS);
    assert_eq!(read("the-key-of-dan"), of(Ok(()), "dan"));
    assert_eq!(outside.asked.borrow().len(), 2);
}

#[test]
fn a_revoked_key_changes_nothing_at_once_and_reads_nothing_soon() {
    let outside = Outside::knowing(&three());
    let (near, far) = (Isolate::new(), Isolate::new());
    let key = "the-key-of-cid";
    for isolate in [&near, &far] {
        let entered = outside.call(isolate, "GET", "/v1/orders", key);
        assert_eq!(entered, of(Ok(()), "cid"));
    }
    let revoked = revoke(three(), "cid");
    *outside.control.borrow_mut() = Some(revoked.clone());
    near.keep(revoked.clone(), outside.now());
    // Where it was revoked it opens nothing, and nowhere does it change anything, whatever the configuration serves.
    assert_eq!(outside.call(&near, "GET", "/v1/orders", key), NOBODY);
    let entered = outside.call(&far, "PUT", "/v1/kill-switch", key);
    assert_eq!(entered, NOBODY);
    // Asked once, that isolate knows, and neither believes the configuration, which serves what was before.
    for _ in 0..2 {
        for isolate in [&near, &far] {
            assert_eq!(outside.call(isolate, "GET", "/v1/orders", key), NOBODY);
        }
        outside.later(FRESH_MS);
    }

    // One that changes nothing reads what it holds until it reads the configuration anew.
    let idle = Isolate::new();
    let entered = outside.call(&idle, "GET", "/v1/orders", key);
    assert_eq!(entered, of(Ok(()), "cid"));
    *outside.configuration.borrow_mut() = Some(revoked);
    outside.later(FRESH_MS - 1);
    let entered = outside.call(&idle, "GET", "/v1/orders", key);
    assert_eq!(entered, of(Ok(()), "cid"));
    outside.later(1);
    assert_eq!(outside.call(&idle, "GET", "/v1/orders", key), NOBODY);
}

#[test]
fn before_the_first_manifest_there_is_the_owner() {
    let outside = Outside::knowing(&manifest());
    *outside.configuration.borrow_mut() = None;
    *outside.control.borrow_mut() = None;
    let isolate = Isolate::new();
    assert_eq!(
        outside.call(&isolate, "GET", "/v1/health", "a-guess"),
        NOBODY
    );
}

#[test]
fn a_header_that_is_no_bearer_key_asks_nobody() {
    let outside = Outside::knowing(&three());
    let isolate = Isolate::new();
    for header in [
        "",
        "Bearer",
        "bearer the-key-of-cid",
        "Basic the-key-of-cid",
        "the-key-of-cid",
    ] {
        let matched = endpoint("GET", "/v1/orders");
        assert_eq!(outside.with_header(&isolate, matched, header), NOBODY);
    }
    assert_eq!((outside.reads.get(), outside.asked.borrow().len()), (0, 0));
    assert_eq!(outside.wrong_keys.get(), 5);
    for header in [
        "Bearer ",
        "Bearer  the-key-of-cid",
        "Bearer the-key-of-cid ",
    ] {
        let matched = endpoint("GET", "/v1/orders");
        assert_eq!(outside.with_header(&isolate, matched, header), NOBODY);
    }
}
