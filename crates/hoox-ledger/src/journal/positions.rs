//! Positions that are taken over from the venue, and what they showed beyond our fills. Keeps the values `taken-over:…` of
//! the table `meta`: whoever has read a position writes them, and a fill takes off what was shown of it already.

use std::collections::BTreeMap;

use hoox_auth::Account;
use hoox_model::{Decimal, Position, Product, Symbol, Timestamp};
use hoox_store::PositionRecord;

use super::holdings::{holding, set_holding, signed};
use super::meta::{get_json, put};
use super::orders::is_moving;
use crate::outbox;
use crate::port::{LedgerError, Store};
use crate::row::{from_word, select, to_json};

/// Takes over what the venue says is held, keeping the time of our own last fill. While an order is
/// carried out there, that number may hold fills which are still to be added here, so ours stays then.
/// Returns whether our record is that position now.
pub(crate) fn note_position(
    store: &impl Store,
    product: Product,
    symbol: &Symbol,
    signed: Decimal,
    now: Timestamp,
) -> Result<bool, LedgerError> {
    note(store, (product, symbol), signed, None, now)
}

/// [`note_position`] of a position that is to be recorded.
pub(crate) fn tell_position(
    store: &impl Store,
    account: &Account,
    product: Product,
    position: &Position,
    now: Timestamp,
) -> Result<(), LedgerError> {
    let told = outbox::position_record(account, product, position, now);
    let place = (product, &position.symbol);
    note(store, place, signed(position), Some(&told), now).map(|_| ())
}

/// Takes over what the venue says is held, and stores the position where it is `told`. Returns whether our record is that
/// position now.
fn note(
    store: &impl Store,
    (product, symbol): (Product, &Symbol),
    signed: Decimal,
    told: Option<&PositionRecord>,
    now: Timestamp,
) -> Result<bool, LedgerError> {
    let known = holding(store, product, symbol)?;
    let (held, beyond) = known.map_or((Decimal::ZERO, Decimal::ZERO), |known| {
        (known.quantity, known.beyond)
    });
    let filled_at = known.map_or(Timestamp::from_millis(0), |known| known.filled_at);
    if known.is_some() && is_moving(store, product, symbol)? {
        set_holding(store, product, symbol, (held, beyond), filled_at, told, now)?;
        return Ok(false);
    }
    let shown = signed.saturating_sub(held).saturating_sub(beyond);
    if !shown.is_zero() {
        note_taken_over(store, product, symbol, shown, now)?;
    }
    let taken_over = (signed, Decimal::ZERO);
    set_holding(store, product, symbol, taken_over, filled_at, told, now)?;
    Ok(true)
}

fn taken_over_key(product: Product, symbol: &Symbol) -> String {
    format!("taken-over:{product}:{symbol}")
}

/// What the venue's numbers showed beyond our record when they were taken over, with when: fills of ours that nobody had
/// heard of may be in it.
type TakenOver = Vec<(Timestamp, Decimal)>;

/// So many of them are told apart.
const MAX_TAKEN_OVER: usize = 8;

/// What of a fill of ours is to be added to what is held; what numbers of the venue that were taken over after `since` have
/// shown of it counts as heard of from now on.
pub(super) fn take_off_shown(
    store: &impl Store,
    product: Product,
    symbol: &Symbol,
    signed: Decimal,
    since: Timestamp,
) -> Result<Decimal, LedgerError> {
    let key = taken_over_key(product, symbol);
    let mut taken: TakenOver = get_json(store, &key)?.unwrap_or_default();
    let before = taken.clone();
    let rest = not_shown(&mut taken, signed, since);
    if taken != before {
        put(store, &key, to_json(&taken)?)?;
    }
    Ok(rest)
}

/// What of a fill of ours is to be added to what is held: not what a number of the venue that was taken over after `since`
/// has shown of it already. Where that went the other way somebody else traded as well, and nobody can tell.
fn not_shown(taken: &mut TakenOver, signed: Decimal, since: Timestamp) -> Decimal {
    let mut rest = signed;
    let mut after: Vec<&mut Decimal> = taken
        .iter_mut()
        .filter(|(at, beyond)| *at > since && !beyond.is_zero())
        .map(|(_, beyond)| beyond)
        .collect();
    undo(&mut after, signed);
    let against = |beyond: &&mut Decimal| {
        !beyond.is_zero() && beyond.is_sign_negative() != signed.is_sign_negative()
    };
    if after.iter().any(against) {
        return Decimal::ZERO;
    }
    for beyond in &mut after {
        let shown = if rest.abs() < beyond.abs() {
            rest
        } else {
            **beyond
        };
        rest = rest.saturating_sub(shown);
        **beyond = beyond.saturating_sub(shown);
    }
    rest
}

/// What a later number takes back of earlier ones none shows any more: it lagged further, or somebody traded.
fn undo(numbers: &mut [&mut Decimal], signed: Decimal) {
    let opposite = |number: &Decimal| number.is_sign_negative() != signed.is_sign_negative();
    for later in 1..numbers.len() {
        let (before, rest) = numbers.split_at_mut(later);
        let Some(back) = rest.first_mut().filter(|back| opposite(back)) else {
            continue;
        };
        for shown in before.iter_mut().rev().filter(|shown| !opposite(shown)) {
            let off = if shown.abs() < back.abs() {
                **shown
            } else {
                Decimal::ZERO.saturating_sub(**back)
            };
            **shown = shown.saturating_sub(off);
            **back = back.saturating_add(off);
        }
    }
}

/// Of each symbol, when a number of the venue that showed more or less than our fills was last taken over, `until` at most:
/// what it showed is not told apart from what an order fills that was seen last before that.
pub(crate) fn positions_taken_over(
    store: &impl Store,
    until: Timestamp,
) -> Result<BTreeMap<(Product, Symbol), Timestamp>, LedgerError> {
    let found = select(
        store,
        "SELECT key, value FROM meta WHERE key > 'taken-over:' AND key < 'taken-over;'",
        &[],
    )?;
    let mut latest = BTreeMap::new();
    for cells in &found {
        let taken: TakenOver = match cells.json(1) {
            // Without what it says nothing better is known, and the others go on.
            Err(LedgerError::Corrupt(_)) => continue,
            taken => taken?,
        };
        let counts = |(at, beyond): &(Timestamp, Decimal)| *at <= until && !beyond.is_zero();
        let last = taken
            .iter()
            .filter(|one| counts(one))
            .map(|(at, _)| *at)
            .max();
        let place = cells
            .text(0)?
            .split_once(':')
            .and_then(|(_, place)| place.split_once(':'));
        if let (Some(at), Some((product, symbol))) = (last, place)
            && let (Ok(product), Ok(symbol)) = (from_word(product), symbol.parse())
        {
            latest.insert((product, symbol), at);
        }
    }
    Ok(latest)
}

/// Notes what a number of the venue that was taken over showed beyond our fills.
fn note_taken_over(
    store: &impl Store,
    product: Product,
    symbol: &Symbol,
    shown: Decimal,
    now: Timestamp,
) -> Result<(), LedgerError> {
    let key = taken_over_key(product, symbol);
    let mut taken: TakenOver = get_json(store, &key)?.unwrap_or_default();
    taken.retain(|(_, beyond)| !beyond.is_zero());
    taken.push((now, shown));
    if taken.len() > MAX_TAKEN_OVER {
        // The two oldest become one: what is older than both is older than it.
        let (_, oldest) = taken.remove(0);
        if let Some((_, next)) = taken.first_mut() {
            *next = next.saturating_add(oldest);
        }
    }
    put(store, &key, to_json(&taken)?)
}
