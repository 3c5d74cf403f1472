//! The gateway on the simulated platform: hoox-gateway's own loop, over the ports of one isolate.

use core::cell::RefCell;
use core::fmt;
use core::net::IpAddr;
use std::rc::Rc;

use hoox_auth::{Published, parse_client_ip};
use hoox_gateway::{Arriving, Gateway, Heard, Inbound, Ports};
use hoox_mesh::{Accept, AcceptSignal, Answer, GetManifest, Problem, SignalView};
use hoox_model::{RequestId, Timestamp};

use crate::simulate::calls::no_such_ledger;
use crate::simulate::stats::FAULT;
use crate::simulate::world::{CONTROL, World};

/// One isolate of the gateway.
pub(crate) struct Isolate {
    memory: RefCell<Rc<hoox_gateway::Isolate>>,
    skew: i64,
}

impl Isolate {
    pub(crate) fn new(skew: i64) -> Self {
        Self {
            memory: RefCell::default(),
            skew,
        }
    }

    /// The isolate is replaced by a new one.
    pub(crate) fn forget(&self) {
        *self.memory.borrow_mut() = Rc::default();
    }

    fn memory(&self) -> Rc<hoox_gateway::Isolate> {
        self.memory.borrow().clone()
    }
}

/// The ports of one isolate.
struct IsolatePorts<'a> {
    world: &'a Rc<World>,
    isolate: usize,
}

/// A request as it comes in.
#[derive(Debug, Clone)]
pub(crate) struct Incoming {
    pub(crate) id: RequestId,
    pub(crate) address: &'static str,
    pub(crate) key: Option<String>,
    pub(crate) prefer: Option<&'static str>,
    pub(crate) body: String,
}

type Outcome = Result<SignalView, Problem>;

impl World {
    /// Serves one request to the webhook.
    pub(crate) async fn webhook(self: &Rc<Self>, isolate: usize, incoming: &Incoming) -> Outcome {
        let inbound = Inbound {
            signed: None,
            certified: false,
            request_id: incoming.id.clone(),
            received_at: self.gateway_time(isolate),
            address: parse_client_ip(Some(incoming.address)),
            idempotency_key: incoming.key.as_deref(),
            prefer: incoming.prefer,
            body: incoming.body.as_bytes(),
        };
        let ports = IsolatePorts {
            world: self,
            isolate,
        };
        let memory = self.isolates[isolate].memory();
        let gateway = Gateway::new(&ports, &memory);
        let manifest = gateway.manifest(inbound.received_at).await?;
        let arriving = Arriving {
            request_id: &inbound.request_id,
            received_at: inbound.received_at,
            address: inbound.address,
            declared_length: None,
            content_encoding: None,
        };
        let manifest = gateway.admit(manifest, &arriving).await?;
        let mut heard = Heard::default();
        let forwarded = gateway.webhook(manifest, &inbound, &mut heard).await;
        Ok(forwarded?.signal)
    }

    fn gateway_time(&self, isolate: usize) -> Timestamp {
        Timestamp::from_millis(self.now() + self.isolates[isolate].skew)
    }

    /// An isolate uses a manifest from now on.
    pub(crate) fn gateway_keeps(&self, isolate: usize, manifest: Published) {
        let now = self.gateway_time(isolate);
        self.isolates[isolate].memory().keep(manifest, now);
    }

    /// What KV serves, which may be old.
    fn kv_get(&self) -> Result<Option<Rc<str>>, String> {
        if self.faulty(self.weather.kv_fails) {
            self.stats.hit(FAULT, "KV cannot be read");
            return Err("KV is away".to_owned());
        }
        let lag = if self.is_calm() || self.weather.kv_lag == 0 {
            0
        } else {
            self.rng.range(0, self.weather.kv_lag)
        };
        let values = self.kv.borrow();
        let seen = values
            .iter()
            .rposition(|(at, _)| *at <= self.now() - lag)
            .or(if values.is_empty() { None } else { Some(0) });
        if seen.is_some_and(|seen| seen + 1 < values.len()) {
            self.stats.hit(FAULT, "KV serves an old manifest");
        }
        Ok(seen.map(|seen| values[seen].1.clone()))
    }

    /// What KV holds at its source.
    pub(crate) fn kv_newest(&self) -> Option<Rc<str>> {
        let values = self.kv.borrow();
        values.last().map(|(_, published)| published.clone())
    }

    /// Writes the published document; false where that failed.
    pub(crate) fn kv_put(&self, published: &str) -> bool {
        if self.faulty(self.weather.kv_fails) {
            self.stats.hit(FAULT, "KV cannot be written");
            return false;
        }
        self.kv.borrow_mut().push((self.now(), published.into()));
        true
    }
}

impl Ports for IsolatePorts<'_> {
    fn now(&self) -> Timestamp {
        self.world.gateway_time(self.isolate)
    }

    async fn read_published(&self) -> Result<Option<String>, String> {
        Ok(self.world.kv_get()?.map(|text| text.to_string()))
    }

    async fn ask_control(&self, _: &RequestId, within_ms: u32) -> Answer<GetManifest> {
        self.world.stats.hit("path", "the gateway decides anew");
        self.world.ask::<GetManifest>(CONTROL, &(), within_ms).await
    }

    async fn ask_ledger(&self, accept: &Accept, within_ms: u32) -> Answer<AcceptSignal> {
        let place = self
            .world
            .ledger_place(&accept.account)
            .ok_or_else(no_such_ledger)?;
        self.world
            .ask::<AcceptSignal>(place, accept, within_ms)
            .await
    }

    async fn wrong_key(
        &self,
        _: &RequestId,
        _: Option<IpAddr>,
        _: Timestamp,
        refusal: Problem,
    ) -> Problem {
        self.world.stats.hit("port", "wrong key");
        refusal
    }

    async fn pause(&self, millis: u32) {
        self.world.exec.sleep(i64::from(millis)).await;
    }

    fn log(&self, line: fmt::Arguments<'_>) {
        self.world.note("gateway", || line.to_string());
    }
}
