//! What is held by our record of a symbol. Keeps the table `holding`: fills of ours write it, and positions that are taken
//! over from the venue.

use hoox_model::{Decimal, Position, PositionSide, Product, Quantity, Symbol, Timestamp};
use hoox_store::{PositionRecord, Value};

use crate::port::{LedgerError, Store};
use crate::row::{Cells, at, select, select_one, text, to_json};

/// What our record says is held of a symbol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Holding {
    /// Its size: positive long, negative short.
    pub quantity: Decimal,
    /// When our latest fill was seen.
    pub filled_at: Timestamp,
    /// When the venue was last asked, or our own fill was seen.
    pub seen_at: Timestamp,
    /// What closing orders have filled that was not in `quantity`, signed as their fills: an entry that nobody has heard of
    /// had brought it, because what is reduce-only turns nothing. That entry's fills are counted against it.
    pub beyond: Decimal,
}

impl Holding {
    /// Whether a position that was asked for at `asked` may not show our own latest fill yet: it differs, and that fill is
    /// younger than `most_ms`.
    pub(crate) fn is_ahead_of(&self, position: &Position, asked: Timestamp, most_ms: i64) -> bool {
        self.quantity != signed(position) && asked.since(self.filled_at) < most_ms
    }

    /// Side and size of a signed size; no side where nothing is held.
    pub(crate) fn split(quantity: Decimal) -> (Option<PositionSide>, Quantity) {
        let side = match quantity.cmp(&Decimal::ZERO) {
            core::cmp::Ordering::Greater => Some(PositionSide::Long),
            core::cmp::Ordering::Less => Some(PositionSide::Short),
            core::cmp::Ordering::Equal => None,
        };
        (
            side,
            Quantity::try_from(quantity.abs()).unwrap_or(Quantity::ZERO),
        )
    }
}

/// What our record says is held of a symbol; `None` of one that it has never had. An instance reads it once.
pub(crate) fn holding(
    store: &impl Store,
    product: Product,
    symbol: &Symbol,
) -> Result<Option<Holding>, LedgerError> {
    if store.memory().knows_holding(product, symbol) {
        return Ok(store.memory().holding(product, symbol));
    }
    let found = select_one(
        store,
        "SELECT quantity, filled_at, seen_at, beyond FROM holding WHERE product = +?1 AND symbol = +?2",
        &[text(product.as_str()), text(symbol.as_str())],
    )?;
    let read = |cells: Cells| {
        Ok::<_, LedgerError>(Holding {
            quantity: cells.parsed(0)?,
            filled_at: Timestamp::from_millis(cells.integer(1)?),
            seen_at: Timestamp::from_millis(cells.integer(2)?),
            beyond: cells.parsed(3)?,
        })
    };
    let holding = found.map(read).transpose()?;
    store.memory().note_holding(product, symbol, holding);
    Ok(holding)
}

/// Sets what is held, what was closed beyond that and, where it is to be recorded, the position; the revision rises.
pub(crate) fn set_holding(
    store: &impl Store,
    product: Product,
    symbol: &Symbol,
    (quantity, beyond): (Decimal, Decimal),
    filled_at: Timestamp,
    told: Option<&PositionRecord>,
    now: Timestamp,
) -> Result<(), LedgerError> {
    store.query(
        "INSERT INTO holding (product, symbol, quantity, filled_at, revision, seen_at, beyond, told, told_revision) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?5, ?6, ?7, IIF(?7 IS NULL, 0, ?5)) ON CONFLICT DO UPDATE SET \
         quantity = excluded.quantity, filled_at = excluded.filled_at, beyond = excluded.beyond, \
         revision = MAX(revision + 1, excluded.revision), seen_at = excluded.seen_at, \
         told = COALESCE(excluded.told, told), \
         told_revision = IIF(excluded.told IS NULL, told_revision, MAX(revision + 1, excluded.revision))",
        &[
            text(product.as_str()),
            text(symbol.as_str()),
            text(quantity.normalize().to_string()),
            at(filled_at),
            at(now),
            text(beyond.normalize().to_string()),
            told.map_or(Ok(Value::Null), |told| to_json(told).map(text))?,
        ],
    )?;
    let holding = Holding {
        quantity,
        filled_at,
        seen_at: now,
        beyond,
    };
    store.memory().note_holding(product, symbol, Some(holding));
    Ok(())
}

/// All that our record says is held: every symbol and its signed size.
pub(crate) fn holdings(store: &impl Store) -> Result<Vec<(Symbol, Decimal)>, LedgerError> {
    let held = select(
        store,
        "SELECT symbol, quantity FROM holding WHERE quantity <> '0' ORDER BY product, symbol",
        &[],
    )?;
    held.iter()
        .map(|cells| Ok((cells.parsed(0)?, cells.parsed(1)?)))
        .collect()
}

/// What our record shows as held of symbols that were filled after a moment.
pub(crate) fn lately_filled(
    store: &impl Store,
    moment: Timestamp,
) -> Result<Vec<Position>, LedgerError> {
    let found = select(
        store,
        "SELECT symbol, quantity FROM holding WHERE product = 'linear' AND quantity <> '0' AND filled_at > +?1",
        &[at(moment)],
    )?;
    let mut positions = Vec::with_capacity(found.len());
    for cells in &found {
        let (side, quantity) = Holding::split(cells.parsed(1)?);
        positions.push(Position {
            side,
            quantity,
            ..Position::flat(cells.parsed(0)?)
        });
    }
    Ok(positions)
}

/// The signed size of a position: positive long, negative short.
pub(crate) fn signed(position: &Position) -> Decimal {
    match position.side {
        Some(PositionSide::Short) => Decimal::ZERO.saturating_sub(position.quantity.get()),
        _ => position.quantity.get(),
    }
}
