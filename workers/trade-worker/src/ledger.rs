//! The Ledger's Durable Object: events in, the pure object does the rest.

use core::fmt;
use core::future::Future;
use std::rc::Rc;

use hoox_auth::Account;
use hoox_ledger::{LedgerObject, LedgerService};
use hoox_mesh::{Problem, Served};
use hoox_model::Code;
use hoox_worker_kit::{ObjectStore, Request, ledger_stub, message_text, relay_to_object, served};
use serde_json::value::RawValue;
use worker::{DurableObject, Env, Response, Result, State, durable_object};

use crate::control_stub;
use crate::ports::{ObjectPorts, colo_of};

/// One trading account's Ledger.
#[durable_object(alarm)]
#[derive(Debug)]
pub struct Ledger {
    service: LedgerService<ObjectPorts>,
}

impl DurableObject for Ledger {
    fn new(state: State, env: Env) -> Self {
        let store = ObjectStore::new(&state);
        let ports = ObjectPorts::new(store, Rc::new(state), env);
        let service = LedgerService::new(ports, Rc::default());
        service.begin();
        Self { service }
    }

    async fn fetch(&self, request: worker::Request) -> Result<Response> {
        let request = Request::from(request);
        served(match message_text(&request).await {
            Ok(message) => self.service.serve(request.path(), &message).await,
            Err(problem) => Served::refused(&problem),
        })
    }

    async fn alarm(&self) -> Result<Response> {
        self.service.alarm().await;
        Response::empty()
    }
}

impl LedgerObject for ObjectPorts {
    async fn ask_ledger(
        &self,
        account: &Account,
        path: &'static str,
        message: &str,
        within_ms: u32,
    ) -> core::result::Result<Box<RawValue>, Problem> {
        let hint = account.location_hint.map_or("", |hint| hint.as_str());
        let stub = ledger_stub(self.env(), &account.ledger_name(), hint).map_err(|error| {
            Problem::new(
                Code::NotConfirmed,
                format!("another account cannot be asked: {error}"),
            )
        })?;
        relay_to_object(stub, path, message, within_ms).await
    }

    async fn ask_control(
        &self,
        path: &'static str,
        message: &str,
        within_ms: u32,
    ) -> core::result::Result<Box<RawValue>, Problem> {
        let stub = control_stub(self.env())
            .map_err(|error| Problem::new(Code::NotConfigured, error.to_string()))?;
        relay_to_object(stub, path, message, within_ms).await
    }

    async fn colo(&self, account: &Account) -> Option<String> {
        colo_of(account).await
    }

    fn aside(&self, work: impl Future<Output = ()> + 'static) {
        self.state().wait_until(work);
    }

    fn log(&self, line: fmt::Arguments<'_>) {
        worker::console_error!("{line}");
    }
}
