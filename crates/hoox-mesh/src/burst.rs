//! What strangers do is stored in part and counted in whole: a flood of it is a few rows.

use core::cell::Cell;

use hoox_model::Timestamp;

/// Rows of one minute; more are counted.
const STORED: u32 = 10;
const MINUTE_MS: i64 = 60_000;

/// How often something has happened in the present minute.
#[derive(Debug, Default)]
pub struct Burst(Cell<(i64, u32)>);

impl Burst {
    /// Nothing has happened yet.
    pub const fn new() -> Self {
        Self(Cell::new((0, 0)))
    }

    /// It has happened once more: whether that is stored, and then how often it was not in an earlier minute.
    pub fn stored(&self, now: Timestamp) -> Option<u32> {
        let minute = now.as_millis().div_euclid(MINUTE_MS);
        let (known, count) = self.0.get();
        if known != minute {
            self.0.set((minute, 1));
            return Some(count.saturating_sub(STORED));
        }
        self.0.set((minute, count.saturating_add(1)));
        (count < STORED).then_some(0)
    }
}

/// The sentence for what was not stored.
pub fn unstored(more: u32) -> Option<String> {
    (more > 0).then(|| format!("{more} more in an earlier minute"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_ten_rows_a_minute_and_the_rest_is_told_with_the_next() {
        let burst = Burst::new();
        let at = |second: i64| Timestamp::from_millis(second * 1_000);
        let flood: Vec<_> = (0..25).map(|_| burst.stored(at(61))).collect();
        assert_eq!(
            flood.iter().filter(|stored| **stored == Some(0)).count(),
            10
        );
        assert!(flood[10..].iter().all(Option::is_none));
        assert_eq!(burst.stored(at(119)), None);
        assert_eq!(burst.stored(at(120)), Some(16));
        assert_eq!(burst.stored(at(600)), Some(0));
        assert_eq!(unstored(0), None);
        assert_eq!(
            unstored(16).as_deref(),
            Some("16 more in an earlier minute")
        );
    }
}
