//! What the gateway decides about a request: which route it is, and whether an alert is accepted for
//! forwarding.
//!
//! In scope: the contract's order of checks over plain data. Out of scope: reading the request,
//! forwarding, and what the Ledger alone can know (rate, kill switch, duplicates).

mod path;
mod slow;
mod webhook;

pub use path::{Endpoint, Matched, endpoint, item_id, webhook_sender};
pub use slow::{Slowed, counts, source};
pub use webhook::{
    Decided, Inbound, MAX_BODY, Signed, admit, decide, forbidden, too_large, wait_ms,
};
