//! Fills of ours, as they become known, are added to what is held, through the modules of holdings and positions. Whoever
//! has looked an order up hands them over.

use hoox_model::{Decimal, Effect, Product, Side, Symbol, Timestamp};

use super::holdings::{Holding, holding, set_holding};
use super::positions::take_off_shown;
use crate::port::{LedgerError, Store};
use crate::row::OrderRow;

/// A fill of ours, as it becomes known.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Heard {
    /// Its size: positive bought, negative sold.
    pub signed: Decimal,
    /// What its order is for.
    pub effect: Effect,
    /// When that was sent first.
    pub sent_at: Timestamp,
    /// After this moment a position that was taken over may have shown it; `None` where none was.
    pub since: Option<Timestamp>,
}

/// Adds a fill of ours to what is held, less what numbers of the venue that were taken over since have shown of it.
/// It is waited for as after any fill.
pub(crate) fn add_fill(
    store: &impl Store,
    product: Product,
    symbol: &Symbol,
    fill: Heard,
    now: Timestamp,
) -> Result<(), LedgerError> {
    let known = holding(store, product, symbol)?;
    let mut fill = fill;
    if let Some(since) = fill.since {
        fill.signed = take_off_shown(store, product, symbol, fill.signed, since)?;
    }
    let after = counted(known, fill, turned(store, product, symbol, known, fill)?)
        .ok_or_else(|| LedgerError::Corrupt("a holding is too large".to_owned()))?;
    set_holding(store, product, symbol, after, now, None, now)
}

/// How much of a closing fill our record may lack because entries sent after its order took that first, as it was heard:
/// what they have filled on its side. It had closed before, so that they have turned what was held.
fn turned(
    store: &impl Store,
    product: Product,
    symbol: &Symbol,
    known: Option<Holding>,
    fill: Heard,
) -> Result<Decimal, LedgerError> {
    let held = known.map_or(Decimal::ZERO, |known| known.quantity);
    let same = !held.is_zero() && held.is_sign_negative() == fill.signed.is_sign_negative();
    if !fill.effect.closes() || same || fill.signed.abs() <= held.abs() {
        return Ok(Decimal::ZERO);
    }
    let side = if fill.signed.is_sign_negative() {
        Side::Sell
    } else {
        Side::Buy
    };
    let mut filled = Decimal::ZERO;
    for order in OrderRow::sent_after(store, product, symbol, fill.sent_at)? {
        let spec = &order.data.spec;
        if !spec.effect.closes() && spec.leg.is_none() && spec.side == side {
            filled = filled.saturating_add(order.data.filled.get());
        }
    }
    Ok(filled)
}

/// What is held, and what was closed beyond that, after a fill. A closing one takes nothing through zero but what entries
/// sent after it have `turned`, and what it closed beyond what was known an entry had brought that was sent before.
fn counted(known: Option<Holding>, fill: Heard, turned: Decimal) -> Option<(Decimal, Decimal)> {
    let (mut held, mut beyond) = known.map_or((Decimal::ZERO, Decimal::ZERO), |known| {
        (known.quantity, known.beyond)
    });
    // What a fill takes away of what has the other sign, signed as the fill.
    let off = |of: Decimal| {
        let against = !of.is_zero() && of.is_sign_negative() != fill.signed.is_sign_negative();
        if !against {
            Decimal::ZERO
        } else if of.abs() < fill.signed.abs() {
            Decimal::ZERO.saturating_sub(of)
        } else {
            fill.signed
        }
    };
    let same = !held.is_zero() && held.is_sign_negative() == fill.signed.is_sign_negative();
    if fill.effect.closes() && same {
        // It came before what has turned our record meanwhile.
        held = held.checked_add(fill.signed)?;
    } else if fill.effect.closes() {
        let more = fill.signed.checked_sub(off(held))?;
        let through = if more.abs() <= turned {
            more
        } else if more.is_sign_negative() {
            Decimal::ZERO.saturating_sub(turned)
        } else {
            turned
        };
        let unheard = more.checked_sub(through)?;
        held = held.checked_add(fill.signed.checked_sub(unheard)?)?;
        beyond = beyond.checked_add(unheard)?;
    } else {
        let before = known.is_some_and(|known| fill.sent_at < known.filled_at);
        let brought = if before { off(beyond) } else { Decimal::ZERO };
        held = held.checked_add(fill.signed.checked_sub(brought)?)?;
        beyond = beyond.checked_add(brought)?;
    }
    Some((held, beyond))
}
