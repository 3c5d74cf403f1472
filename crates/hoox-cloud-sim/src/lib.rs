//! Double of the part of Cloudflare's REST API that Hoox and its tools call, for tests.
//!
//! In scope: tokens and their permissions, accounts, zones, Workers with their secrets and triggers, KV, D1 on
//! real SQLite, rulesets; answers, error codes and paging as the API gives them, and faults on request. It is
//! held against `wrangler` and Cloudflare's own SDK (`tests/clients/cloudflare.mjs`).
//! Beside it stand what may lie between a client and the API: a [`Proxy`] that notes what it is asked, and a server with
//! a certificate of a private [`Authority`].
//! Out of scope: running Workers, the global API key, and every product that Hoox does not use.
//!
//! # Control routes
//! They need no token; the server listens on loopback only.
//!
//! | route | what it does |
//! |---|---|
//! | `GET /__control/state` | the whole [`State`], values of secrets included |
//! | `PUT /__control/state` | forgets everything but the faults and begins with this [`State`] |
//! | `GET /__control/calls` | list of [`Call`], every call of the API, oldest first |
//! | `DELETE /__control/calls` | forgets them |
//! | `GET /__control/faults` | the faults that have not struck yet |
//! | `POST /__control/faults` | a list of [`Fault`], or one; answers with all that wait |
//! | `DELETE /__control/faults` | forgets all faults |
//!
//! # Where it is stricter or laxer
//! An id that does not exist is refused like one of somebody else's (403, code 10000). Filter expressions are
//! checked for brackets and quotes only. Eventual consistency is not imitated: what is written is read at once.

mod api;
mod authority;
mod caller;
mod clock;
mod control;
mod envelope;
mod fault;
mod inner;
mod paging;
mod permission;
mod proxy;
mod server;
mod state;

pub use authority::Authority;
pub use fault::{Fault, FaultAnswer};
pub use inner::Call;
pub use permission::Permission;
pub use proxy::{Credentials, Proxy, ProxyHandle};
pub use server::{BASE, Cloud, Handle, StartError};
pub use state::{
    Account, Database, Deployment, Domain, Entry, Namespace, Route, Ruleset, Script, State, Token,
    TokenStatus, User, Version, Zone,
};
