//! The Ledger's ports on the platform.

use std::rc::Rc;

use hoox_auth::{Account, Environment};
use hoox_exchange::bybit::{Bybit, urls};
use hoox_exchange::{CallBudget, HttpRequest, Metered, Method, Transport};
use hoox_ledger::{Lanes, Ports, Records};
use hoox_mesh::{Ingest, Problem, colo};
use hoox_model::{Code, Venue};
use hoox_store::SealedRow;
use hoox_worker_kit::{
    FetchTransport, JsClock, JsRandom, ObjectStore, call_service, request_id, secret, sleep,
};
use worker::{Env, State};

/// A delivery to d1-worker is ended after 10 s.
const DELIVERY_MS: u32 = 10_000;

/// The ports of one Ledger.
#[derive(Debug, Clone)]
pub(crate) struct ObjectPorts {
    store: ObjectStore,
    state: Rc<State>,
    records: D1Records,
    budget: Rc<CallBudget>,
    lanes: Rc<Lanes>,
}

impl ObjectPorts {
    /// Budget and lanes are the object's, whose runs share them.
    pub(crate) fn new(store: ObjectStore, state: Rc<State>, env: Env) -> Self {
        Self {
            store,
            state,
            records: D1Records { env },
            budget: Rc::default(),
            lanes: Rc::default(),
        }
    }

    pub(crate) const fn env(&self) -> &Env {
        &self.records.env
    }

    pub(crate) fn state(&self) -> &State {
        &self.state
    }
}

impl Ports for ObjectPorts {
    type Store = ObjectStore;
    type Venue = Bybit<Metered<FetchTransport>, JsClock>;
    type Clock = JsClock;
    type Random = JsRandom;
    type Records = D1Records;

    fn store(&self) -> &ObjectStore {
        &self.store
    }

    fn clock(&self) -> &JsClock {
        &JsClock
    }

    fn random(&self) -> &JsRandom {
        &JsRandom
    }

    fn records(&self) -> &D1Records {
        &self.records
    }

    async fn sleep(&self, millis: i64) {
        sleep(u32::try_from(millis).unwrap_or(0)).await;
    }

    fn budget(&self) -> &CallBudget {
        &self.budget
    }

    fn lanes(&self) -> &Lanes {
        &self.lanes
    }

    fn venue(&self, account: &Account, clock_offset_ms: i64) -> Result<Self::Venue, Problem> {
        if account.venue != Venue::Bybit {
            let text = format!(
                "{} is not available yet; accounts on bybit are",
                account.venue
            );
            return Err(Problem::new(Code::Unsupported, text));
        }
        let (key, api_secret) = account.secret_names();
        let base_url = match (&account.base_url, account.environment) {
            (Some(base_url), _) => base_url.clone(),
            (None, Environment::Live) => urls::LIVE.to_owned(),
            (None, Environment::Testnet) => urls::TESTNET.to_owned(),
            (None, Environment::Sim) => {
                return Err(Problem::new(
                    Code::NotConfigured,
                    "an account of a simulator needs a baseUrl",
                ));
            }
        };
        let venue = Bybit::new(
            &base_url,
            secret(self.env(), &key)?,
            secret(self.env(), &api_secret)?,
            Metered::new(FetchTransport, Rc::clone(&self.budget)),
            JsClock,
        );
        venue.set_clock_offset_ms(clock_offset_ms);
        Ok(venue)
    }
}

/// Where Cloudflare tells from which of its data centres a call comes.
const TRACE: &str = "https://cloudflare.com";

/// The data centre that an account's calls leave from; a simulator answers for itself.
pub(crate) async fn colo_of(account: &Account) -> Option<String> {
    let origin = match (&account.base_url, account.environment) {
        (Some(base_url), Environment::Sim) => base_url,
        _ => TRACE,
    };
    let request = HttpRequest {
        method: Method::Get,
        url: format!("{origin}/cdn-cgi/trace"),
        headers: Vec::new(),
        body: None,
    };
    let response = FetchTransport.send(request).await.ok()?;
    let trace = String::from_utf8(response.body).ok()?;
    colo(&trace).map(str::to_owned)
}

/// d1-worker as the place of records.
#[derive(Debug, Clone)]
pub(crate) struct D1Records {
    env: Env,
}

impl Records for D1Records {
    async fn deliver(&self, rows: &[SealedRow]) -> Result<Vec<usize>, Problem> {
        call_service::<Ingest>(&self.env, &request_id(), None, &rows.to_vec(), DELIVERY_MS).await
    }
}
