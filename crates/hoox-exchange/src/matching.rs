//! Whether an order found at the venue is the one that was meant.

use hoox_model::{OrderSnapshot, OrderSpec, Timestamp};
use thiserror::Error;

/// How much earlier than the send, by our clock, a venue may have dated an order.
const EARLIEST_MS: i64 = -5_000;
/// How much later than the send a venue may have dated it: as long as an outcome may stay unknown.
const LATEST_MS: i64 = 600_000;

/// Why a found order is not ours to adopt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
pub enum Mismatch {
    /// Another client order id, or none.
    #[error("its client order id differs")]
    ClientOrderId,
    /// Another symbol.
    #[error("its symbol differs")]
    Symbol,
    /// The other side.
    #[error("its side differs")]
    Side,
    /// Another quantity, or for a reduce-only order a larger one.
    #[error("its quantity differs")]
    Quantity,
    /// One may only reduce, the other may open.
    #[error("its reduce-only flag differs")]
    ReduceOnly,
    /// Accepted more than 5 s before or 10 min after the send.
    #[error("it was not accepted around the time of the send")]
    Time,
}

/// Checks that `found` is the order of `spec` that was first sent at `sent_at`, by the venue's clock
/// as far as it is known. Only then may it be adopted.
///
/// Venues cut a reduce-only order down to the position ([Bybit's 110017] names it), so that one may
/// be smaller than it was meant; every other quantity must be the same.
///
/// [Bybit's 110017]: https://bybit-exchange.github.io/docs/v5/error
///
/// # Errors
/// The first [`Mismatch`].
pub fn matches(
    spec: &OrderSpec,
    found: &OrderSnapshot,
    sent_at: Timestamp,
) -> Result<(), Mismatch> {
    let quantity_fits = found.quantity == spec.quantity
        || (spec.reduce_only && found.quantity < spec.quantity && !found.quantity.is_zero());
    let checks = [
        (
            found.client_order_id.as_ref() == Some(&spec.client_order_id),
            Mismatch::ClientOrderId,
        ),
        (found.symbol == spec.symbol, Mismatch::Symbol),
        (found.side == spec.side, Mismatch::Side),
        (quantity_fits, Mismatch::Quantity),
        (found.reduce_only == spec.reduce_only, Mismatch::ReduceOnly),
        (
            (EARLIEST_MS..=LATEST_MS).contains(&found.created_at.since(sent_at)),
            Mismatch::Time,
        ),
    ];
    match checks.into_iter().find(|(same, _)| !same) {
        Some((_, mismatch)) => Err(mismatch),
        None => Ok(()),
    }
}
