//! The venue's rules for a symbol, as they were last read. Keeps the values `instrument:…` of the table `meta`: plans write
//! them, and the run that reads old ones anew.

use hoox_model::{Instrument, Product, Symbol, Timestamp};
use serde::{Deserialize, Serialize};

use super::meta::{get_json, put};
use crate::port::{LedgerError, Store};
use crate::row::to_json;

/// Older rules of a venue for a symbol are read anew: 1 hour.
const INSTRUMENT_MS: i64 = 3_600_000;

/// The rules, and when they were read; at 0 they may be what a refusal is due to.
#[derive(Serialize, Deserialize)]
struct CachedInstrument {
    at: Timestamp,
    instrument: Instrument,
}

fn instrument_key(product: Product, symbol: &Symbol) -> String {
    format!("instrument:{product}:{symbol}")
}

/// The venue's rules by which orders are planned, and whether they are old: then they are read anew after the order. Those
/// that a refusal may be due to do not count.
pub(crate) fn known_instrument(
    store: &impl Store,
    product: Product,
    symbol: &Symbol,
    now: Timestamp,
) -> Result<Option<(Instrument, bool)>, LedgerError> {
    let cached: Option<CachedInstrument> = get_json(store, &instrument_key(product, symbol))?;
    Ok(cached
        .filter(|known| known.at > Timestamp::from_millis(0))
        .map(|known| (known.instrument, now.since(known.at) >= INSTRUMENT_MS)))
}

/// The venue's rules as they were last read, however long ago: an exit goes out by them rather than wait.
pub(crate) fn last_instrument(
    store: &impl Store,
    product: Product,
    symbol: &Symbol,
) -> Result<Option<Instrument>, LedgerError> {
    let cached: Option<CachedInstrument> = get_json(store, &instrument_key(product, symbol))?;
    Ok(cached.map(|known| known.instrument))
}

/// Has the venue's rules read anew before they are used again, after a refusal that may be due to them.
pub(crate) fn outdate_instrument(
    store: &impl Store,
    product: Product,
    symbol: &Symbol,
) -> Result<(), LedgerError> {
    let key = instrument_key(product, symbol);
    let never = Timestamp::from_millis(0);
    let Some(mut cached) = get_json::<CachedInstrument>(store, &key)?.filter(|it| it.at > never)
    else {
        return Ok(());
    };
    cached.at = never;
    put(store, &key, to_json(&cached)?)
}

/// Stores the venue's rules as they were just read.
pub(crate) fn cache_instrument(
    store: &impl Store,
    instrument: &Instrument,
    now: Timestamp,
) -> Result<(), LedgerError> {
    let key = instrument_key(instrument.product, &instrument.symbol);
    put(
        store,
        &key,
        to_json(&CachedInstrument {
            at: now,
            instrument: instrument.clone(),
        })?,
    )
}
