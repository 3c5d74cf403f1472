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
    /// Another quantity, or for an order that closes a larger one.
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
/// be smaller than it was meant. Of an order that closes all ([`OrderSpec::close_all`]) the venue alone
/// decides the size, by what it holds when the order arrives: that may be more than was expected, where
/// an older fill was not seen yet, and it may be reported as the zero that was sent. So its quantity
/// proves nothing, and its id, symbol, side, reduce-only flag and time must. Every other quantity must
/// be the same.
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
    let quantity_fits = spec.close_all
        || found.quantity == spec.quantity
        || (spec.effect.closes() && found.quantity < spec.quantity && !found.quantity.is_zero());
    let checks = [
        (
            found.client_order_id.as_ref() == Some(&spec.client_order_id),
            Mismatch::ClientOrderId,
        ),
        (found.symbol == spec.symbol, Mismatch::Symbol),
        (found.side == spec.side, Mismatch::Side),
        (quantity_fits, Mismatch::Quantity),
        (
            found.reduce_only == spec.effect.closes(),
            Mismatch::ReduceOnly,
        ),
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

#[cfg(test)]
mod tests {
    use hoox_model::{Effect, OrderKind, OrderStatus, Product, Quantity, Side};

    use super::*;

    const SENT: i64 = 1_780_000_000_000;

    fn spec(closes: bool) -> OrderSpec {
        OrderSpec {
            client_order_id: "hx-1".parse().unwrap(),
            symbol: "BTCUSDT".parse().unwrap(),
            product: Product::Linear,
            side: Side::Buy,
            kind: OrderKind::Market,
            quantity: "0.5".parse().unwrap(),
            effect: if closes { Effect::Close } else { Effect::Open },
            leg: None,
            close_all: false,
        }
    }

    fn found(reduce_only: bool) -> OrderSnapshot {
        OrderSnapshot {
            venue_order_id: "A1".to_owned(),
            client_order_id: Some("hx-1".parse().unwrap()),
            symbol: "BTCUSDT".parse().unwrap(),
            side: Side::Buy,
            quantity: "0.500".parse().unwrap(),
            filled: Quantity::ZERO,
            average_price: None,
            fee: None,
            status: OrderStatus::New,
            reduce_only,
            reason: None,
            created_at: Timestamp::from_millis(SENT),
            updated_at: Timestamp::from_millis(SENT),
        }
    }

    type Change = fn(&mut OrderSnapshot);

    fn check(spec: &OrderSpec, found: &OrderSnapshot) -> Result<(), Mismatch> {
        matches(spec, found, Timestamp::from_millis(SENT))
    }

    #[test]
    fn every_part_must_agree() {
        assert_eq!(check(&spec(false), &found(false)), Ok(()));
        let changes: [(Change, Mismatch); 6] = [
            (|o| o.client_order_id = None, Mismatch::ClientOrderId),
            (
                |o| o.client_order_id = Some("hx-2".parse().unwrap()),
                Mismatch::ClientOrderId,
            ),
            (|o| o.symbol = "ETHUSDT".parse().unwrap(), Mismatch::Symbol),
            (|o| o.side = Side::Sell, Mismatch::Side),
            (|o| o.quantity = "0.49".parse().unwrap(), Mismatch::Quantity),
            (|o| o.reduce_only = true, Mismatch::ReduceOnly),
        ];
        for (change, mismatch) in changes {
            let mut order = found(false);
            change(&mut order);
            assert_eq!(check(&spec(false), &order), Err(mismatch));
        }
    }

    #[test]
    fn a_reduce_only_order_may_have_been_cut_down_but_never_grown() {
        for (quantity, expected) in [
            ("0.5", Ok(())),
            ("0.2", Ok(())),
            ("0", Err(Mismatch::Quantity)),
            ("0.6", Err(Mismatch::Quantity)),
        ] {
            let order = OrderSnapshot {
                quantity: quantity.parse().unwrap(),
                ..found(true)
            };
            assert_eq!(check(&spec(true), &order), expected, "{quantity}");
        }
    }

    #[test]
    fn of_an_order_that_closes_all_the_venue_decides_the_quantity_alone() {
        let all = OrderSpec {
            close_all: true,
            ..spec(true)
        };
        for quantity in ["0", "0.0001", "0.5", "0.6", "7"] {
            let order = OrderSnapshot {
                quantity: quantity.parse().unwrap(),
                ..found(true)
            };
            assert_eq!(check(&all, &order), Ok(()), "{quantity}");
        }
        let changes: [(Change, Mismatch); 5] = [
            (|o| o.client_order_id = None, Mismatch::ClientOrderId),
            (|o| o.symbol = "ETHUSDT".parse().unwrap(), Mismatch::Symbol),
            (|o| o.side = Side::Sell, Mismatch::Side),
            (|o| o.reduce_only = false, Mismatch::ReduceOnly),
            (
                |o| o.created_at = Timestamp::from_millis(SENT).plus_millis(-5_001),
                Mismatch::Time,
            ),
        ];
        for (change, mismatch) in changes {
            let mut order = found(true);
            change(&mut order);
            assert_eq!(check(&all, &order), Err(mismatch));
        }
    }

    #[test]
    fn the_window_is_closed_on_both_sides() {
        for (millis, expected) in [
            (-5_001, Err(Mismatch::Time)),
            (-5_000, Ok(())),
            (600_000, Ok(())),
            (600_001, Err(Mismatch::Time)),
        ] {
            let order = OrderSnapshot {
                created_at: Timestamp::from_millis(SENT).plus_millis(millis),
                ..found(false)
            };
            assert_eq!(check(&spec(false), &order), expected, "{millis}");
        }
    }
}
