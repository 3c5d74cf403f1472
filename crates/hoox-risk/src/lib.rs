//! What a signal means for the position that is there, and whether it may go out.
//!
//! In scope: legs, sizing, rounding, the venue's minimums and maximums, the kill switch's modes,
//! the account's limits.
//! [`Approved`] is the only form in which an order may be sent, and only this crate makes it.
//! Out of scope: I/O, storage, the send itself.

mod approve;
mod kill;
mod limits;
mod plan;

pub use approve::{Approved, approve};
pub use kill::KillMode;
pub use limits::{Standing, may_close_before, trading_result, within_limits};
pub use plan::{Leg, Plan, Refused, closing_leg, closing_quantity, needs_market_price, plan};
