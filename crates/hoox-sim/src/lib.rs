//! Exchange simulator that speaks the venues' wire formats.
//!
//! In scope: everything a trading client does over REST, checked as strictly as the venue documents it
//! (signature, time window, parameter types, instrument filters, balance, reduce-only, duplicate ids),
//! with a deterministic market and faults on request. Today it speaks Bybit v5, category `linear`, in
//! one-way and hedge mode, for one unified account with one API key.
//! Out of scope: websockets, an order book, funding, liquidation, conditional orders.
//!
//! The engine knows no venue; each venue's folder turns its requests into the engine's and back.
//!
//! # The market
//! Each symbol has one price with unlimited depth. Market orders, and limit orders that cross, fill at it
//! as takers; resting orders fill at their own price as makers when the price reaches it. The ticker
//! shows bid and ask one tick to either side. Prices follow a walk that depends on the seed alone and
//! moves by one step with each read of a ticker (or on a timer, if asked), until a price is set: then it
//! stays where it was set. A position's take-profit and stop-loss close it with a market order.
//!
//! # Control routes
//! They need no signature; the server listens on loopback only.
//!
//! | route | what it does |
//! |---|---|
//! | `GET /health` | `{"status":"ok","venues":["bybit"]}` |
//! | `GET /cdn-cgi/trace` | `colo=SIM`, as Cloudflare's edge tells a caller's data centre |
//! | `GET /sim/orders` | list of [`OrderRecord`], every order ever accepted, oldest first |
//! | `GET /sim/positions` | list of [`PositionRecord`], open positions |
//! | `GET /sim/fills` | list of [`FillRecord`], oldest first |
//! | `POST /sim/price` | `{"venue":"bybit","symbol":"BTCUSDT","price":"65000.5"}`; string or number, read exactly |
//! | `POST /sim/trade` | [`HandTrade`], `{"venue":"bybit","symbol":"BTCUSDT","side":"Sell","qty":"0.5"}`: the account holder trades past the API, at the present price; in hedge mode with `positionIdx` |
//! | `GET /sim/symbols` | list of [`SymbolTerms`]: status, mode, price and size limits |
//! | `POST /sim/symbols` | [`SymbolChange`], `{"venue":"bybit","symbol":"BTCUSDT","hedge":true,"status":"Closed","maxMktOrderQty":"1"}`; what is absent stays |
//! | `GET`, `POST /sim/rules` | [`Rules`], `{"splitExits":true}`: orders that close and are larger than one may be are split instead of refused |
//! | `GET /sim/key` | the terms of the API key, [`KeyTerms`] |
//! | `POST /sim/key` | `{"permissions":{…},"readOnly":false,"ips":["*"],"createdAt":…,"expiresAt":…}`: other terms from now on |
//! | `GET /sim/faults` | the faults that have not struck yet |
//! | `POST /sim/faults` | a list of [`Fault`], or one; answers with all that wait |
//! | `DELETE /sim/faults` | forgets all faults, sets the clock right and shows positions as they are |
//!
//! # Faults
//! `{"kind": …, "count": 1, "path": "/v5/order/create", "symbol": …, "millis": …, "effect": true, …}`; see
//! [`FaultKind`] for the kinds and their fields. A request uses up one outcome at most
//! (`timeout_after_accept`, `error_5xx`, `rate_limit`, `disconnect`, `ret_code`, `page`, `ban`), together
//! with at most one each of `latency`, `fill_delay`, `lookup_lag`, `partial_fill` and `symbol_status`. An
//! outcome with `retry_after` says so in its header. Without `path` the faults of an order and
//! `timeout_after_accept` wait for the creation of an order and `symbol_status` for a read of instruments;
//! the others strike at the next venue request. With `symbol` a fault waits for a request that names it: so
//! `{"kind":"ret_code","code":110007,"path":"/v5/order/create","symbol":"ETHUSDT","count":5}` makes the
//! venue refuse five orders of a symbol. A request that fails its own checks uses its faults up all the
//! same. `clock_skew` and `position_lag` last until faults are cleared.
//!
//! # State
//! With a state file, orders, positions, fills, balance, prices, modes and statuses survive a restart;
//! faults, rules, size limits and the key's terms do not. The
//! file is written at most 200 ms after a change and at the end.

#![recursion_limit = "256"] // json! literals of the venues' long rows

mod bybit;
pub mod clock;
mod control;
mod engine;
mod exact;
mod fault;
mod instrument;
mod key;
mod order;
mod record;
mod server;
pub mod signal;
pub mod socket;
mod store;
mod walk;

pub use control::{HandTrade, Rules, SymbolChange, SymbolTerms, TradeSide};
pub use engine::Refusal;
pub use exact::Overflow;
pub use fault::{Fault, FaultError, FaultKind, MAX_FAULTS, MAX_MILLIS};
pub use instrument::Listing;
pub use key::KeyTerms;
pub use record::{FillRecord, OrderRecord, PositionRecord};
pub use server::{Config, Handle, MAX_BODY, PriceError, Simulator, StartError};
