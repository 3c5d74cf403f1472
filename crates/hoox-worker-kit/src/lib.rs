//! The one library that touches the Workers platform: environment, storage, HTTP, time, logs.
//!
//! In scope: thin adapters from the platform to the ports of the pure crates. Out of scope: decisions.

mod clock;
mod d1;
mod env;
mod fetch;
mod kv;
mod limit;
mod log;
mod mesh;
mod platform;
mod request;
mod respond;
mod sql;

pub use clock::{JsClock, JsRandom, now, random_bytes, request_id, sleep};
pub use d1::{run_counted, run_queries, run_query};
pub use env::{Bindings, secret};
pub use fetch::FetchTransport;
pub use kv::Kv;
pub use limit::too_many;
pub use log::{LogLine, log};
pub use mesh::{
    LEDGER_HEADER, LOCATION_HEADER, Way, answer, call_object, call_service, check_edge,
    edge_refused, forward, ledger_stub, message, message_text, relay, relay_to_object, served,
    text,
};
pub use request::Request;
pub use respond::{json, problem};
pub use sql::ObjectStore;
pub use web_sys::Response as PlatformResponse;
