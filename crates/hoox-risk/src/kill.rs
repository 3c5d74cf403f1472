//! The kill switch's modes.

use hoox_model::{Effect, words};

/// What the kill switch lets through. Protective orders pass in every mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KillMode {
    /// Disengaged: everything passes.
    Off,
    /// Engaged: only orders that make a position smaller pass.
    Entries,
    /// Engaged: nothing passes.
    All,
}

words!(KillMode {
    Off = "off",
    Entries = "entries",
    All = "all",
});

impl KillMode {
    /// Whether an order may go out.
    pub const fn allows(self, effect: Effect) -> bool {
        match self {
            Self::Off => true,
            Self::Entries => effect.closes(),
            Self::All => false,
        }
    }
}
