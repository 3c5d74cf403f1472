//! The kill switch's modes.

use serde::{Deserialize, Serialize};

/// What the kill switch lets through. Protective orders pass in every mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KillMode {
    /// Disengaged: everything passes.
    Off,
    /// Engaged: only orders that make a position smaller pass.
    Entries,
    /// Engaged: nothing passes.
    All,
}

impl KillMode {
    /// The mode as it stands in answers and records.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Entries => "entries",
            Self::All => "all",
        }
    }

    /// Whether an order may go out.
    pub const fn allows(self, reduce_only: bool) -> bool {
        match self {
            Self::Off => true,
            Self::Entries => reduce_only,
            Self::All => false,
        }
    }
}
