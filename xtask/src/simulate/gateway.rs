//! The gateway as its worker wires it: the cached manifest, the decision, the call to the Ledger.

use core::cell::RefCell;
use std::rc::Rc;

use hoox_auth::{Published, parse_client_ip};
use hoox_gateway::{Inbound, decide};
use hoox_mesh::{Accept, Problem, SignalView};
use hoox_model::{Code, RequestId, Timestamp};

use crate::simulate::calls::{Message, Reply, not_confirmed};
use crate::simulate::stats::FAULT;
use crate::simulate::world::{CONTROL, World, ledger_place};

/// How long a manifest is used before it is read again.
const FRESH_MS: i64 = 30_000;
/// The answer is out within 2.3 s: what is left of it after reading and checking.
const FORWARD_MS: i64 = 2_200;

/// One isolate of the gateway.
pub(crate) struct Isolate {
    cache: RefCell<Option<(i64, Rc<Published>)>>,
    skew: i64,
}

impl Isolate {
    pub(crate) const fn new(skew: i64) -> Self {
        Self {
            cache: RefCell::new(None),
            skew,
        }
    }

    /// The isolate is replaced by a new one.
    pub(crate) fn forget(&self) {
        *self.cache.borrow_mut() = None;
    }
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
        let since = self.gateway_time(isolate);
        let inbound = Inbound {
            signed: None,
            certified: false,
            request_id: incoming.id.clone(),
            received_at: Timestamp::from_millis(since),
            address: parse_client_ip(Some(incoming.address)),
            idempotency_key: incoming.key.as_deref(),
            prefer: incoming.prefer,
            body: incoming.body.as_bytes(),
        };
        let manifest = self.manifest(isolate)?;
        let outcome = self
            .forward(isolate, decide(&manifest, &inbound).outcome?, since)
            .await;
        if !matches!(&outcome, Err(problem) if problem.code == Code::Conflict) {
            return outcome;
        }
        self.stats.hit("path", "the gateway decides anew");
        let manifest = self.refresh(isolate, since).await?;
        let outcome = self
            .forward(isolate, decide(&manifest, &inbound).outcome?, since)
            .await;
        outcome.map_err(|problem| match problem.code {
            Code::Conflict => not_confirmed("the manifest is being changed; send it again"),
            _ => problem,
        })
    }

    fn gateway_time(&self, isolate: usize) -> i64 {
        self.now() + self.isolates[isolate].skew
    }

    fn left(&self, isolate: usize, since: i64) -> i64 {
        (FORWARD_MS - (self.gateway_time(isolate) - since)).max(0)
    }

    async fn forward(self: &Rc<Self>, isolate: usize, accept: Accept, since: i64) -> Outcome {
        let place = ledger_place(&accept.account).ok_or_else(|| not_confirmed("no such Ledger"))?;
        let within = self.left(isolate, since);
        let message = Message::Accept(Box::new(accept));
        match self.call(None, place, message, within).await? {
            Reply::Accepted(reply) => Ok(reply.signal),
            _ => Err(not_confirmed("an internal answer is not readable")),
        }
    }

    fn manifest(&self, isolate: usize) -> Result<Rc<Published>, Problem> {
        let now = self.gateway_time(isolate);
        let cache = &self.isolates[isolate].cache;
        let cached = cache.borrow().clone();
        if let Some((read_at, manifest)) = &cached
            && now - read_at < FRESH_MS
        {
            return Ok(manifest.clone());
        }
        match self.kv_get() {
            Some(manifest) => {
                *cache.borrow_mut() = Some((now, manifest.clone()));
                Ok(manifest)
            }
            None => cached
                .map(|(_, manifest)| manifest)
                .ok_or_else(|| Problem::new(Code::NotConfigured, "there is no manifest yet")),
        }
    }

    async fn refresh(
        self: &Rc<Self>,
        isolate: usize,
        since: i64,
    ) -> Result<Rc<Published>, Problem> {
        let within = self.left(isolate, since);
        let reply = self
            .call(None, CONTROL, Message::GetManifest, within)
            .await?;
        let Reply::Manifest(reply) = reply else {
            return Err(not_confirmed("an internal answer is not readable"));
        };
        let published = reply
            .published()
            .ok_or_else(|| Problem::new(Code::NotConfigured, "there is no manifest yet"))?;
        let manifest = Rc::new(published);
        self.gateway_keeps(isolate, manifest.clone());
        Ok(manifest)
    }

    /// An isolate uses a manifest from now on.
    pub(crate) fn gateway_keeps(&self, isolate: usize, manifest: Rc<Published>) {
        let now = self.gateway_time(isolate);
        *self.isolates[isolate].cache.borrow_mut() = Some((now, manifest));
    }

    /// What KV serves, which may be old.
    fn kv_get(&self) -> Option<Rc<Published>> {
        if self.faulty(self.weather.kv_fails) {
            self.stats.hit(FAULT, "KV cannot be read");
            return None;
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
            .or(if values.is_empty() { None } else { Some(0) })?;
        if seen + 1 < values.len() {
            self.stats.hit(FAULT, "KV serves an old manifest");
        }
        Some(values[seen].1.clone())
    }

    /// What KV holds at its source.
    pub(crate) fn kv_newest(&self) -> Option<Published> {
        let values = self.kv.borrow();
        values.last().map(|(_, published)| (**published).clone())
    }

    /// Writes the published document; false where that failed.
    pub(crate) fn kv_put(&self, published: &Published) -> bool {
        if self.faulty(self.weather.kv_fails) {
            self.stats.hit(FAULT, "KV cannot be written");
            return false;
        }
        let text = serde_json::to_string(published).unwrap();
        let read = Published::parse(&text).unwrap();
        self.kv.borrow_mut().push((self.now(), Rc::new(read)));
        true
    }
}
