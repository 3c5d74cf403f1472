//! One side of a position as an exit sees it, and how much of that is its own to close. Pure arithmetic: whoever asks has
//! looked everything up before.

use hoox_model::Quantity;

use crate::theirs::Theirs;

/// What is known of the side of a position that an exit closes, at one moment.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Side {
    /// What counts as held there: by a position that was read, or by our record.
    pub held: Quantity,
    /// What our record shows there.
    pub recorded: Quantity,
    /// What others hold there.
    pub theirs: Theirs,
    /// What closing orders may have taken off it without anybody knowing: our record still shows that.
    pub unheard: Quantity,
    /// As much of that as a position may show too, because it may lag.
    pub unshown: Quantity,
    /// Whether the position that was read may be from before our own latest fill.
    pub lags: bool,
}

impl Side {
    /// What is surely an exit's own: what our record shows beyond what others hold and what may be gone. Where nothing is
    /// anybody else's, reduce-only keeps what is gone from being closed twice.
    pub(crate) fn sure(&self) -> Quantity {
        self.recorded
            .minus_or_zero(self.theirs.known)
            .minus_or_zero(self.beside_theirs(self.unheard))
    }

    /// What is an exit's own, as far as that is known. What others may have there without anybody knowing is only its own
    /// as far as our record shows it, and of a position that lags beside theirs nothing is: what they opened is not in it
    /// yet, so that it cannot be taken off.
    pub(crate) fn own(&self) -> Quantity {
        let shown = if self.lags && !self.theirs.most.is_zero() {
            Quantity::ZERO
        } else {
            self.held
                .minus_or_zero(self.theirs.most)
                .minus_or_zero(self.beside_theirs(self.unshown))
        };
        self.not_theirs().min(shown.max(self.sure()))
    }

    /// Whether it is not known yet how much of what is `left` to close is there, or whose it is.
    pub(crate) fn is_contested(&self, left: Quantity) -> bool {
        self.own() < self.not_theirs().min(left)
    }

    /// What is not known to be anybody else's.
    fn not_theirs(&self) -> Quantity {
        self.held.minus_or_zero(self.theirs.known)
    }

    fn beside_theirs(&self, size: Quantity) -> Quantity {
        if self.theirs.most.is_zero() {
            Quantity::ZERO
        } else {
            size
        }
    }
}

#[cfg(test)]
mod tests {
    use hoox_model::Decimal;
    use proptest::prelude::*;

    use super::*;
    use crate::exit::sum;

    fn size(milli: u32) -> Quantity {
        Quantity::try_from(Decimal::new(i64::from(milli), 3)).unwrap()
    }

    fn some() -> impl Strategy<Value = Quantity> {
        (0u32..5_000).prop_map(size)
    }

    prop_compose! {
        fn side()(
            held in some(), recorded in some(), known in some(), more in some(), unheard in some(), part in some(),
            lags: bool,
        ) -> Side {
            let most = sum([known, more].into_iter());
            Side { held, recorded, theirs: Theirs { known, most }, unheard, unshown: part.min(unheard), lags }
        }
    }

    proptest! {
        #[test]
        fn an_exit_takes_nothing_that_is_known_to_be_theirs_and_nothing_that_is_not_there(side in side()) {
            prop_assert!(side.own() <= side.held.minus_or_zero(side.theirs.known));
        }

        #[test]
        fn what_others_may_have_is_taken_only_as_far_as_our_record_shows_it(side in side()) {
            let shown = side.held.minus_or_zero(side.theirs.most);
            prop_assert!(side.own() <= shown.max(side.sure()));
            prop_assert!(side.sure() <= side.recorded.minus_or_zero(side.theirs.known));
        }

        #[test]
        fn where_nothing_is_theirs_all_that_is_held_is_its_own(side in side()) {
            let alone = Side { theirs: Theirs::default(), ..side };
            prop_assert_eq!(alone.own(), alone.held);
            prop_assert!(!alone.is_contested(size(10_000)));
        }

        #[test]
        fn whatever_else_is_unknown_makes_it_no_more(side in side(), more in some()) {
            let plus = |of: Quantity| sum([of, more].into_iter());
            let theirs = Theirs { most: plus(side.theirs.most), ..side.theirs };
            let theirs = Side { theirs, ..side };
            let unheard = Side { unheard: plus(side.unheard), ..side };
            let unshown = Side { unshown: plus(side.unshown), ..side };
            let lags = Side { lags: true, ..side };
            for less in [theirs, unheard, unshown, lags] {
                prop_assert!(less.own() <= side.own(), "{less:?}");
            }
        }

        #[test]
        fn what_is_left_is_contested_only_where_less_than_that_is_known_to_be_its_own(side in side(), left in some()) {
            prop_assert!(!side.is_contested(left) || side.own() < left);
            prop_assert!(!side.is_contested(Quantity::ZERO));
        }
    }
}
