//! The webhook's loop: the manifest that an isolate holds, the decision by it, the call to the Ledger, and
//! another decision where the Ledger knows a newer manifest.
//!
//! In scope: which manifest counts, when another one is read, and that Control is asked before a refusal, how much of the time is left for each
//! call. Out of scope: the request and the answer as the platform has them.

use core::cell::RefCell;
use core::fmt;
use core::future::Future;
use core::net::IpAddr;
use std::rc::Rc;

use hoox_auth::Published;
use hoox_mesh::{Accept, AcceptReply, AcceptSignal, Answer, GetManifest, Problem, SignalView};
use hoox_model::{Code, RequestId, Timestamp};

use crate::inbox::{Heard, refused};
use crate::refresh::{ASK_MS, RefreshGate, Turn};
use crate::webhook::{Decided, Inbound, admit, decide};

/// How long a manifest is used before it is read again, in milliseconds.
pub const FRESH_MS: i64 = 30_000;
/// The answer is out within 2.3 s: what is left of it after reading and checking, in milliseconds.
pub const FORWARD_MS: u32 = 2_200;

/// How long whoever waits for another request's question to Control sleeps at a time, in milliseconds.
const LOOK_AGAIN_MS: u32 = 25;

/// What one isolate of the gateway remembers from one request to the next.
#[derive(Debug, Default)]
pub struct Isolate {
    cached: RefCell<Option<Cached>>,
    gate: RefreshGate,
}

#[derive(Debug, Clone)]
struct Cached {
    read_at: Timestamp,
    manifest: Rc<Published>,
}

impl Isolate {
    /// One that knows nothing yet.
    pub const fn new() -> Self {
        Self {
            cached: RefCell::new(None),
            gate: RefreshGate::new(),
        }
    }

    /// Uses a manifest from now on, as the one who just put it would expect.
    pub fn keep(&self, manifest: Published, now: Timestamp) -> Rc<Published> {
        self.keep_on(Rc::new(manifest), now)
    }

    fn keep_on(&self, manifest: Rc<Published>, now: Timestamp) -> Rc<Published> {
        *self.cached.borrow_mut() = Some(Cached {
            read_at: now,
            manifest: manifest.clone(),
        });
        manifest
    }
}

/// What the gateway is given.
#[expect(
    async_fn_in_trait,
    reason = "futures of the Workers platform are not Send, and none of these is spawned"
)]
pub trait Ports {
    /// The present moment.
    fn now(&self) -> Timestamp;

    /// The published document as the configuration holds it, which may be an old one; `None` where there
    /// is none.
    ///
    /// # Errors
    /// The platform's words where it could not be read.
    async fn read_published(&self) -> Result<Option<String>, String>;

    /// Asks Control for the manifest. The call ends after `within_ms`.
    ///
    /// # Errors
    /// Control's [`Problem`], or `NOT_CONFIRMED` where it did not answer.
    async fn ask_control(&self, id: &RequestId, within_ms: u32) -> Answer<GetManifest>;

    /// Has an account's Ledger take an alert. The call ends after `within_ms`.
    ///
    /// # Errors
    /// The Ledger's [`Problem`], or `NOT_CONFIRMED` where it did not answer.
    async fn ask_ledger(&self, accept: &Accept, within_ms: u32) -> Answer<AcceptSignal>;

    /// What a wrong key is answered with: `refusal`, or `RATE_LIMITED` where its address has sent too many.
    /// Counts it.
    fn wrong_key<'a>(
        &'a self,
        id: &'a RequestId,
        address: Option<IpAddr>,
        now: Timestamp,
        refusal: Problem,
    ) -> impl Future<Output = Problem> + 'a;

    /// Returns after so many milliseconds.
    async fn pause(&self, millis: u32);

    /// Adds a line to the log about something that failed.
    fn log(&self, line: fmt::Arguments<'_>);
}

/// A request to the webhook before its body is read.
#[derive(Debug, Clone, Copy)]
pub struct Arriving<'a> {
    /// Its id.
    pub request_id: &'a RequestId,
    /// When it came.
    pub received_at: Timestamp,
    /// The client's address, when it is certain.
    pub address: Option<IpAddr>,
    /// Header `Content-Length`.
    pub declared_length: Option<&'a str>,
    /// Header `Content-Encoding`.
    pub content_encoding: Option<&'a str>,
}

/// An alert that its Ledger took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forwarded {
    /// The signal that became of it.
    pub signal: SignalView,
    /// Whether the sender waited and has the outcome.
    pub settled: bool,
}

impl Forwarded {
    /// The answer's HTTP status.
    pub const fn status(&self) -> u16 {
        if self.settled { 200 } else { 202 }
    }
}

/// The gateway over its ports, in one isolate.
#[derive(Debug)]
pub struct Gateway<'a, P> {
    pub(crate) ports: &'a P,
    isolate: &'a Isolate,
}

impl<'a, P: Ports> Gateway<'a, P> {
    /// The gateway of this isolate.
    pub const fn new(ports: &'a P, isolate: &'a Isolate) -> Self {
        Self { ports, isolate }
    }

    /// The manifest: at most one read a request. One that is broken at read, or older than the one that
    /// this isolate has, is not used; the last good one stays.
    ///
    /// # Errors
    /// `NOT_CONFIGURED` where there never was a good one.
    pub async fn manifest(&self, now: Timestamp) -> Result<Rc<Published>, Problem> {
        let cached = self.isolate.cached.borrow().clone();
        if let Some(cached) = &cached
            && now.since(cached.read_at) < FRESH_MS
        {
            return Ok(cached.manifest.clone());
        }
        let read = self.ports.read_published().await;
        let parsed = read.and_then(|text| {
            text.map(|text| Published::parse(&text).map_err(|error| error.to_string()))
                .transpose()
        });
        match parsed {
            Ok(Some(manifest)) => match cached {
                // Control has told this isolate what the configuration does not serve yet.
                Some(cached) if is_newer(&cached.manifest, &manifest) => {
                    Ok(self.isolate.keep_on(cached.manifest, now))
                }
                _ => Ok(self.isolate.keep(manifest, now)),
            },
            failed => {
                if let Err(error) = failed {
                    self.ports
                        .log(format_args!("the manifest is not readable: {error}"));
                }
                // The last good one serves on, and is read again with the next request.
                cached.map(|cached| cached.manifest).ok_or_else(missing)
            }
        }
    }

    /// Reads the manifest from Control itself, whatever the configuration still serves.
    ///
    /// # Errors
    /// `NOT_CONFIRMED` where Control did not answer in time, `NOT_CONFIGURED` where it has none.
    pub async fn refresh(&self, id: &RequestId, within_ms: u32) -> Result<Rc<Published>, Problem> {
        let reply = self.ports.ask_control(id, within_ms).await?;
        let published = reply.published().ok_or_else(missing)?;
        Ok(self.isolate.keep(published, self.ports.now()))
    }

    /// The manifest by which a request is let in ([`admit`]): this one, or a newer one where this one
    /// refuses its address.
    ///
    /// # Errors
    /// As of [`admit`].
    pub async fn admit(
        &self,
        manifest: Rc<Published>,
        arriving: &Arriving<'_>,
    ) -> Result<Rc<Published>, Problem> {
        let by = |manifest: &Published| {
            let (length, encoding) = (arriving.declared_length, arriving.content_encoding);
            admit(manifest, length, encoding, arriving.address)
        };
        let Err(refusal) = by(&manifest) else {
            return Ok(manifest);
        };
        if refusal.code != Code::Forbidden {
            return Err(refusal);
        }
        let (id, since) = (arriving.request_id, arriving.received_at);
        // Boxed: few requests go this way, and the others need not carry its future.
        let newer = Box::pin(self.newer(&manifest, id, since)).await;
        let newer = newer.ok_or(refusal)?;
        by(&newer).map(|()| newer)
    }

    /// A newer manifest than the one that refuses a request, asked of Control by one request for all that
    /// wait meanwhile, and seldom ([`RefreshGate`]). Whatever is wrong with a key, the way is the same.
    async fn newer(
        &self,
        refusing: &Published,
        id: &RequestId,
        since: Timestamp,
    ) -> Option<Rc<Published>> {
        self.ask_before_refusal(id, since).await;
        let known = self.latest()?;
        is_newer(&known, refusing).then_some(known)
    }

    /// The newest document that this isolate has seen, however old.
    pub(crate) fn latest(&self) -> Option<Rc<Published>> {
        let cached = self.isolate.cached.borrow().clone();
        cached.map(|cached| cached.manifest)
    }

    /// Has this isolate know what Control knows, as far as it is its turn to ask ([`RefreshGate`]).
    pub(crate) async fn ask_before_refusal(&self, id: &RequestId, since: Timestamp) {
        let gate = &self.isolate.gate;
        match gate.turn(self.ports.now()) {
            Turn::Ask => {
                let asked = self.refresh(id, ASK_MS.min(self.left(since))).await;
                gate.answered();
                if let Err(problem) = asked {
                    self.ports.log(format_args!(
                        "Control was not asked before a refusal: {problem}"
                    ));
                }
            }
            Turn::Wait => {
                // Bounded by the number of looks too, should the clock stand still.
                for _ in 0..=ASK_MS.div_ceil(LOOK_AGAIN_MS) {
                    self.ports.pause(LOOK_AGAIN_MS).await;
                    if gate.turn(self.ports.now()) != Turn::Wait {
                        break;
                    }
                }
            }
            Turn::Known => {}
        }
    }

    /// Decides an alert whose address may send ([`admit`](Self::admit)), and forwards it. `heard` is who sent it, as
    /// soon as that is proved, and what is kept of it where it is refused.
    ///
    /// # Errors
    /// As of [`decide`] and of the Ledger, `RATE_LIMITED` for a wrong key of an address that is slowed.
    pub async fn webhook(
        &self,
        manifest: Rc<Published>,
        inbound: &Inbound<'_>,
        heard: &mut Heard,
    ) -> Result<Forwarded, Problem> {
        let (id, address, since) = (&inbound.request_id, inbound.address, inbound.received_at);
        let (mut manifest, mut asked, mut again) = (manifest, false, false);
        loop {
            let Decided { known, outcome } = decide(&manifest, inbound);
            if !again {
                heard.sender = known.as_ref().map(|(sender, _)| sender.id.clone());
            }
            let problem = match outcome {
                Ok(accept) => {
                    let answer = self.ports.ask_ledger(&accept, self.left(since)).await;
                    match answer {
                        Ok(AcceptReply { signal }) => {
                            let settled = accept.wait_ms > 0 && signal.status.is_settled();
                            return Ok(Forwarded { signal, settled });
                        }
                        Err(problem) if problem.code != Code::Conflict => problem,
                        Err(_) if again => {
                            // It changed once more: nothing was kept, and a resend finds it settled.
                            return Err(Problem::new(
                                Code::NotConfirmed,
                                "the manifest is being changed; send it again",
                            ));
                        }
                        Err(_) => {
                            again = true;
                            // The Ledger knows a newer manifest than this isolate: read it from Control and decide again.
                            manifest = self.refresh(id, self.left(since)).await?;
                            continue;
                        }
                    }
                }
                Err(refusal) => {
                    let by_rights = matches!(refusal.code, Code::Forbidden | Code::NotPermitted);
                    if by_rights && !asked && !again {
                        asked = true;
                        if let Some(newer) = Box::pin(self.newer(&manifest, id, since)).await {
                            manifest = newer;
                            continue;
                        }
                    }
                    // A right key never comes here, whatever its address has tried before.
                    if !again && heard.sender.is_none() && refusal.code == Code::Forbidden {
                        return Err(self.ports.wrong_key(id, address, since, refusal).await);
                    }
                    refusal
                }
            };
            heard.refused = refused(inbound, &manifest, known.as_ref(), &problem);
            return Err(problem);
        }
    }

    /// What is left of the time for an answer, in milliseconds.
    fn left(&self, since: Timestamp) -> u32 {
        let spent = self.ports.now().since(since);
        u32::try_from(spent).map_or(0, |spent| FORWARD_MS.saturating_sub(spent))
    }
}

/// Operators change without the manifest.
fn is_newer(one: &Published, other: &Published) -> bool {
    let age = |known: &Published| (known.manifest.version, known.operators.revision);
    age(one) > age(other)
}

fn missing() -> Problem {
    Problem::new(
        Code::NotConfigured,
        "there is no manifest yet; put one with PUT /v1/manifest",
    )
}
