//! Control's Durable Object: events in, the pure object does the rest.

use core::fmt;

use hoox_auth::Account;
use hoox_ledger::{ControlObject, ControlService};
use hoox_mesh::registry::{CONFIG_KV, MANIFEST_KEY, REQUEST_ID_HEADER};
use hoox_mesh::{Problem, Served};
use hoox_model::{Code, RequestId};
use hoox_store::audit::AuditEntry;
use hoox_worker_kit::{
    JsClock, Kv, ObjectStore, Request, ledger_stub, message_text, relay_to_object, request_id,
    served,
};
use serde_json::value::RawValue;
use worker::{DurableObject, Env, Response, Result, State, durable_object};

use crate::note;

/// The one owner of the manifest and of the kill switch.
#[durable_object(alarm)]
#[derive(Debug)]
pub struct Control {
    service: ControlService<ControlPorts>,
}

impl DurableObject for Control {
    fn new(state: State, env: Env) -> Self {
        let store = ObjectStore::new(&state);
        Self {
            service: ControlService::new(ControlPorts { store, state, env }),
        }
    }

    async fn fetch(&self, request: worker::Request) -> Result<Response> {
        let request = Request::from(request);
        served(match message_text(&request).await {
            Ok(message) => {
                let id = request.header(REQUEST_ID_HEADER);
                let id = id.and_then(|id| id.parse().ok());
                self.service.serve(request.path(), &message, id).await
            }
            Err(problem) => Served::refused(&problem),
        })
    }

    async fn alarm(&self) -> Result<Response> {
        self.service.alarm().await;
        Response::empty()
    }
}

/// The ports of Control.
#[derive(Debug)]
struct ControlPorts {
    store: ObjectStore,
    state: State,
    env: Env,
}

impl ControlObject for ControlPorts {
    type Store = ObjectStore;
    type Clock = JsClock;

    fn store(&self) -> &ObjectStore {
        &self.store
    }

    fn clock(&self) -> &JsClock {
        &JsClock
    }

    fn request_id(&self) -> RequestId {
        request_id()
    }

    async fn ask_ledger(
        &self,
        account: &Account,
        path: &'static str,
        message: &str,
        within_ms: u32,
    ) -> core::result::Result<Box<RawValue>, Problem> {
        let hint = account.location_hint.map_or("", |hint| hint.as_str());
        let stub = ledger_stub(&self.env, &account.ledger_name(), hint)
            .map_err(|error| Problem::new(Code::NotConfigured, error.to_string()))?;
        relay_to_object(stub, path, message, within_ms).await
    }

    async fn read_published(&self) -> Option<String> {
        let kv = Kv::open(&self.env, CONFIG_KV).ok()?;
        kv.text(MANIFEST_KEY, None).await.ok().flatten()
    }

    async fn write_published(&self, text: &str) -> bool {
        match Kv::open(&self.env, CONFIG_KV) {
            Ok(kv) => kv.put(MANIFEST_KEY, text).await.is_ok(),
            Err(_) => false,
        }
    }

    fn note(&self, id: RequestId, entries: Vec<AuditEntry>) {
        self.state.wait_until(note(self.env.clone(), id, entries));
    }

    fn log(&self, line: fmt::Arguments<'_>) {
        worker::console_error!("{line}");
    }
}
