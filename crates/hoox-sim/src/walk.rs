//! Seeded pseudo-random numbers: the price walk and the ids, equal in every run with the same seed.

use rust_decimal::Decimal;

use crate::exact::{self, Overflow};

/// Largest step of the price walk, in ticks.
const MAX_STEP_TICKS: i64 = 20;

/// `SplitMix64` (Steele, Lea, Flood 2014): one well-mixed word for each input.
pub(crate) fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A word that depends on the seed, a label and a counter.
pub(crate) fn draw(seed: u64, label: &str, counter: u64) -> u64 {
    let labelled = label
        .bytes()
        .fold(mix(seed), |state, byte| mix(state ^ u64::from(byte)));
    mix(labelled ^ mix(counter))
}

/// An id in the shape of a version 4 UUID (RFC 9562), reproducible from seed, label and counter.
pub(crate) fn uuid(seed: u64, label: &str, counter: u64) -> String {
    let high = draw(seed, label, counter);
    let low = draw(!seed, label, counter);
    format!(
        "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
        high >> 32,
        (high >> 16) & 0xffff,
        high & 0x0fff,
        0x8000 | ((low >> 48) & 0x3fff),
        low & 0xffff_ffff_ffff
    )
}

/// The next price of the walk: at most 20 ticks up or down, never below `floor`.
pub(crate) fn next_price(
    price: Decimal,
    tick: Decimal,
    floor: Decimal,
    word: u64,
) -> Result<Decimal, Overflow> {
    let span = MAX_STEP_TICKS
        .unsigned_abs()
        .saturating_mul(2)
        .saturating_add(1);
    let drawn = i64::try_from(word.checked_rem(span).unwrap_or_default()).unwrap_or_default();
    let ticks = drawn.saturating_sub(MAX_STEP_TICKS);
    let next = exact::add(price, exact::mul(tick, Decimal::from(ticks))?)?;
    Ok(next.max(floor))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dec(text: &str) -> Decimal {
        text.parse().unwrap()
    }

    #[test]
    fn the_walk_is_reproducible_and_stays_on_the_grid() {
        let run = |seed: u64| {
            let mut price = dec("65000.00");
            for step in 0..1000 {
                let word = draw(seed, "BTCUSDT", step);
                price = next_price(price, dec("0.10"), dec("0.10"), word).unwrap();
                assert!(exact::is_multiple(price, dec("0.10")), "{price}");
                assert!(price >= dec("0.10"));
            }
            price
        };
        assert_eq!(run(7), run(7));
        assert_ne!(run(7), run(8));
    }

    #[test]
    fn ids_look_like_uuids_and_differ() {
        let first = uuid(1, "order", 1);
        assert_eq!(first.len(), 36);
        assert_eq!(first.as_bytes()[14], b'4');
        assert!(
            matches!(first.as_bytes()[19], b'8' | b'9' | b'a' | b'b'),
            "{first}"
        );
        assert_ne!(first, uuid(1, "order", 2));
        assert_ne!(first, uuid(2, "order", 1));
        assert_ne!(first, uuid(1, "fill", 1));
    }
}
