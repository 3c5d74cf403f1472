//! What the gateway decides about a request: which route it is, whether an alert is accepted for
//! forwarding, and whether an operator may call.
//!
//! In scope: the contract's order of checks over plain data, and the way from there to the Ledger over
//! ports; operators' keys and levels. Out of scope: reading the request, and what the Ledger alone can know (rate, kill switch,
//! duplicates).

mod inbox;
mod operator;
mod path;
mod refresh;
mod serve;
mod slow;
mod webhook;

pub use inbox::{Heard, Outflow, Unread};
pub use operator::{CONFIRM_MS, Called, may_switch};
pub use path::{Endpoint, Matched, endpoint, item_id, webhook_sender};
pub use refresh::{ASK_AGAIN_MS, ASK_MS, RefreshGate, Turn};
pub use serve::{Arriving, FORWARD_MS, FRESH_MS, Forwarded, Gateway, Isolate, Ports};
pub use slow::{Slowed, counts, source};
pub use webhook::{
    Decided, Inbound, MAX_BODY, Signed, admit, decide, forbidden, too_large, wait_ms,
};
