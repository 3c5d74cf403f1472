//! When an isolate asks Control for its manifest before it refuses.
//!
//! An isolate holds a manifest for 30 s and the configuration may serve an older one still, so a key that was just
//! made could be refused, and TradingView never sends a refused alert again. Before a refusal the isolate therefore
//! asks Control, once for all that wait meanwhile and seldom: wrong keys must not be a way to keep Control busy.

use core::cell::Cell;

use hoox_model::Timestamp;

/// How long an isolate does not ask again, in milliseconds.
pub const ASK_AGAIN_MS: i64 = 10_000;
/// How long Control may take, and everybody waits at most, in milliseconds.
pub const ASK_MS: u32 = 500;

/// What to do before a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Ask Control. Nobody else does for [`ASK_AGAIN_MS`].
    Ask,
    /// Somebody else asks at this moment: look again in a while.
    Wait,
    /// Control was asked a short while ago: what is known counts.
    Known,
}

/// Whose turn it is to ask Control, in one isolate.
///
/// It holds no promise: on Workers one request cannot wait for what another one has begun, and the one that asks may
/// be ended before it has an answer. Those that wait look at the clock instead.
#[derive(Debug, Default)]
pub struct RefreshGate(Cell<Option<Asked>>);

#[derive(Debug, Clone, Copy)]
struct Asked {
    at: Timestamp,
    answered: bool,
}

impl RefreshGate {
    /// Nobody has asked yet.
    pub const fn new() -> Self {
        Self(Cell::new(None))
    }

    /// What a request does at `now` that would be refused.
    pub fn turn(&self, now: Timestamp) -> Turn {
        if let Some(asked) = self.0.get() {
            let since = now.since(asked.at);
            // A clock that was set back opens it as well.
            if (0..ASK_AGAIN_MS).contains(&since) {
                let over = asked.answered || since >= i64::from(ASK_MS);
                return if over { Turn::Known } else { Turn::Wait };
            }
        }
        self.0.set(Some(Asked {
            at: now,
            answered: false,
        }));
        Turn::Ask
    }

    /// Whoever was to ask has an answer, or will have none.
    pub fn answered(&self) {
        let asked = self.0.get();
        self.0.set(asked.map(|asked| Asked {
            answered: true,
            ..asked
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_millis(1_780_000_000_000);

    fn turn(gate: &RefreshGate, after: i64) -> Turn {
        gate.turn(START.plus_millis(after))
    }

    #[test]
    fn one_asks_those_who_come_meanwhile_wait_and_nobody_asks_again_for_ten_seconds() {
        let gate = RefreshGate::new();
        assert_eq!(turn(&gate, 0), Turn::Ask);
        for after in [0, 1, 200] {
            assert_eq!(turn(&gate, after), Turn::Wait, "{after}");
        }
        gate.answered();
        for after in [200, 201, 9_999] {
            assert_eq!(turn(&gate, after), Turn::Known, "{after}");
        }
        assert_eq!(turn(&gate, 10_000), Turn::Ask);
        assert_eq!(turn(&gate, 10_001), Turn::Wait);
    }

    #[test]
    fn nobody_waits_longer_than_half_a_second_for_one_who_is_gone() {
        let gate = RefreshGate::new();
        assert_eq!(turn(&gate, 0), Turn::Ask);
        assert_eq!(turn(&gate, 499), Turn::Wait);
        assert_eq!(turn(&gate, 500), Turn::Known);
        assert_eq!(turn(&gate, 9_999), Turn::Known);
        assert_eq!(turn(&gate, 10_000), Turn::Ask);
    }

    #[test]
    fn a_flood_asks_once_in_ten_seconds() {
        let gate = RefreshGate::new();
        let asked = (0..60_000).filter(|after| {
            let turn = turn(&gate, *after);
            gate.answered();
            turn == Turn::Ask
        });
        assert_eq!(asked.count(), 6);
    }

    #[test]
    fn a_clock_that_is_set_back_does_not_close_it() {
        let gate = RefreshGate::new();
        assert_eq!(turn(&gate, 0), Turn::Ask);
        gate.answered();
        assert_eq!(turn(&gate, -1), Turn::Ask);
    }
}
