//! The gateway's ports on the platform, and what its isolate remembers.

use core::fmt;
use core::future::Future;
use core::net::IpAddr;
use std::rc::Rc;

use futures_util::FutureExt;
use hoox_auth::Published;
use hoox_gateway::{Gateway, Isolate, Ports};
use hoox_mesh::registry::{CONFIG_KV, MANIFEST_KEY};
use hoox_mesh::{Accept, AcceptSignal, Answer, GetManifest, Problem};
use hoox_model::{RequestId, Timestamp};
use hoox_worker_kit::{Kv, call_service, now, sleep};
use worker::Env;

use crate::attempts;

/// Shortest time that KV keeps a value at the edge.
const KV_CACHE_S: u32 = 30;

thread_local! {
    static ISOLATE: &'static Isolate = Box::leak(Box::default());
}

/// What this isolate remembers, as long as it lives.
pub(crate) fn isolate() -> &'static Isolate {
    ISOLATE.with(|isolate| *isolate)
}

/// The manifest that this isolate uses.
///
/// # Errors
/// As of [`Gateway::manifest`].
pub(crate) async fn manifest(env: &Env, now: Timestamp) -> Result<Rc<Published>, Problem> {
    Gateway::new(&EnvPorts(env), isolate()).manifest(now).await
}

/// Uses a manifest from now on, as the one who just put it would expect.
pub(crate) fn keep(manifest: Published, now: Timestamp) -> Rc<Published> {
    isolate().keep(manifest, now)
}

/// Reads the manifest from Control itself, whatever KV still serves.
///
/// # Errors
/// As of [`Gateway::refresh`].
pub(crate) async fn refresh(
    env: &Env,
    id: &RequestId,
    within_ms: u32,
) -> Result<Rc<Published>, Problem> {
    Gateway::new(&EnvPorts(env), isolate())
        .refresh(id, within_ms)
        .await
}

/// The gateway's ports.
#[derive(Debug)]
pub(crate) struct EnvPorts<'a>(pub(crate) &'a Env);

impl Ports for EnvPorts<'_> {
    fn now(&self) -> Timestamp {
        now()
    }

    async fn read_published(&self) -> Result<Option<String>, String> {
        let read = match Kv::open(self.0, CONFIG_KV) {
            Ok(kv) => kv.text(MANIFEST_KEY, Some(KV_CACHE_S)).await,
            Err(error) => Err(error),
        };
        read.map_err(|error| error.to_string())
    }

    fn ask_control(
        &self,
        id: &RequestId,
        within_ms: u32,
    ) -> impl Future<Output = Answer<GetManifest>> {
        call_service::<GetManifest>(self.0, id, None, &(), within_ms)
    }

    fn ask_ledger(
        &self,
        accept: &Accept,
        within_ms: u32,
    ) -> impl Future<Output = Answer<AcceptSignal>> {
        let (id, account) = (&accept.request_id, Some(&accept.account));
        call_service::<AcceptSignal>(self.0, id, account, accept, within_ms)
    }

    fn wrong_key<'a>(
        &'a self,
        id: &'a RequestId,
        address: Option<IpAddr>,
        now: Timestamp,
        refusal: Problem,
    ) -> impl Future<Output = Problem> + 'a {
        attempts::wrong(self.0, id, address, now, refusal).boxed_local()
    }

    fn pause(&self, millis: u32) -> impl Future<Output = ()> {
        sleep(millis)
    }

    fn log(&self, line: fmt::Arguments<'_>) {
        worker::console_error!("{line}");
    }
}
