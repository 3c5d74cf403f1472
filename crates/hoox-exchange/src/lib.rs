//! Venues without I/O: domain to HTTP request, bytes to domain.
//!
//! In scope: how a venue wants its requests built and signed, what its answers mean, and which
//! class of outcome an answer proves. Out of scope: sockets, clocks, retries, rounding, and whether
//! an order should be sent at all; time and transport enter through the ports [`Clock`] and
//! [`Transport`].
//!
//! The one law every venue keeps: ambiguity never becomes a refusal. [`ErrorClass::Rejected`] needs
//! the venue's own documented word; everything that is not understood is [`ErrorClass::Unknown`].

mod budget;
pub mod bybit;
mod error;
mod http;
mod matching;
mod near;
#[cfg(test)]
mod testing;
mod venue;
mod wire;

pub use budget::{CallBudget, MAX_CALLS, Metered};
pub use bybit::Bybit;
pub use error::{ErrorClass, VenueError};
pub use http::{
    Clock, HttpRequest, HttpResponse, MAX_RESPONSE_BYTES, Method, Transport, TransportError,
};
pub use matching::{Mismatch, matches};
pub use near::{multiple, near};
pub use venue::{Ack, CancelOutcome, LookUp, Ticker, Venue, VenueTraits};
