//! Randomness that can be replayed: xoshiro256** seeded by splitmix64.

use core::cell::Cell;

/// A generator; the same seed gives the same numbers on every machine.
#[derive(Debug)]
pub(crate) struct Rng {
    state: Cell<[u64; 4]>,
}

impl Rng {
    /// The generator of a seed.
    pub(crate) fn new(seed: u64) -> Self {
        let mut mixed = seed;
        let state = core::array::from_fn(|_| {
            mixed = mixed.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut word = mixed;
            word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            word ^ (word >> 31)
        });
        Self {
            state: Cell::new(state),
        }
    }

    /// Sixty-four random bits.
    pub(crate) fn next(&self) -> u64 {
        let mut state = self.state.get();
        let result = state[1].wrapping_mul(5).rotate_left(7).wrapping_mul(9);
        let shifted = state[1] << 17;
        state[2] ^= state[0];
        state[3] ^= state[1];
        state[1] ^= state[2];
        state[0] ^= state[3];
        state[2] ^= shifted;
        state[3] = state[3].rotate_left(45);
        self.state.set(state);
        result
    }

    /// A number below `limit`, which is above zero.
    pub(crate) fn below(&self, limit: usize) -> usize {
        let limit = limit as u64;
        ((u128::from(self.next()) * u128::from(limit)) >> 64) as usize
    }

    /// A number from `low` to `high`, both included.
    pub(crate) fn range(&self, low: i64, high: i64) -> i64 {
        low + self.below((high - low + 1) as usize) as i64
    }

    /// True `permille` times in a thousand.
    pub(crate) fn chance(&self, permille: u32) -> bool {
        permille > 0 && self.below(1_000) < permille as usize
    }

    /// One of several.
    pub(crate) fn pick<'a, T>(&self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }

    /// Ten random bytes.
    pub(crate) fn bytes(&self) -> [u8; 10] {
        let (first, second) = (self.next().to_be_bytes(), self.next().to_be_bytes());
        core::array::from_fn(|place| {
            if place < 8 {
                first[place]
            } else {
                second[place - 8]
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_numbers_and_another_one_others() {
        let numbers = |seed| {
            let rng = Rng::new(seed);
            [rng.next(), rng.next(), rng.next()]
        };
        assert_eq!(numbers(7), numbers(7));
        assert_ne!(numbers(7), numbers(8));
    }

    #[test]
    fn ranges_reach_both_ends_and_nothing_beyond() {
        let rng = Rng::new(1);
        let mut seen = [false; 5];
        for _ in 0..1_000 {
            seen[(rng.range(-2, 2) + 2) as usize] = true;
        }
        assert_eq!(seen, [true; 5]);
    }
}
