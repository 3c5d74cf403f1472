//! The API, one module for each kind of resource.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::http::Uri;

use crate::envelope::Failure;
use crate::inner::Inner;
use crate::server::BASE;
use crate::state::State;

mod d1;
mod deployments;
mod kv;
mod rulesets;
mod scripts;
mod secrets;
mod triggers;
mod upload;
mod user;
mod zones;

/// The state that all calls share.
pub(crate) struct Shared(Mutex<Inner>);

/// What handlers get.
pub(crate) type Api = Arc<Shared>;

impl Shared {
    pub(crate) fn new(state: State) -> Self {
        let mut inner = Inner::default();
        inner.replace(state);
        Self(Mutex::new(inner))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic in another call must not take the double down.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Every route below `/client/v4`.
pub(crate) fn routes() -> Router<Api> {
    Router::new()
        .merge(d1::routes())
        .merge(deployments::routes())
        .merge(kv::routes())
        .merge(rulesets::routes())
        .merge(scripts::routes())
        .merge(secrets::routes())
        .merge(triggers::routes())
        .merge(upload::routes())
        .merge(user::routes())
        .merge(zones::routes())
        .fallback(no_route)
}

async fn no_route(uri: Uri) -> Failure {
    Failure::no_route(&format!("{BASE}{}", uri.path()))
}
