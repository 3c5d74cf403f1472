//! What a signal asks for.

use core::fmt;

use hoox_model::{PositionSide, Quantity};
use serde::{Deserialize, Serialize};

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Action {
    /// Enter long; an opposite position is treated as [`OnOpposite`](crate::OnOpposite) says.
    #[serde(rename = "LONG")]
    Long,
    /// Enter short; an opposite position is treated as [`OnOpposite`](crate::OnOpposite) says.
    #[serde(rename = "SHORT")]
    Short,
    /// Reduce a long position, clamped to it.
    #[serde(rename = "CLOSE_LONG")]
    CloseLong,
    /// Reduce a short position, clamped to it.
    #[serde(rename = "CLOSE_SHORT")]
    CloseShort,
    /// Reduce whatever position there is, clamped to it. Alerts may also write `exit` or `flat`.
    #[serde(rename = "close")]
    Close,
    /// A plain buy order that nets with the position, as TradingView's own orders do.
    #[serde(rename = "buy")]
    Buy,
    /// A plain sell order that nets with the position.
    #[serde(rename = "sell")]
    Sell,
    /// Close the position and open the opposite one: of the signal's quantity, or without one as
    /// large as the position that was closed.
    #[serde(rename = "reverse")]
    Reverse,
    /// Cancel Hoox's resting orders on the symbol.
    #[serde(rename = "cancel")]
    Cancel,
    /// Bring the position to this state.
    #[serde(rename = "target")]
    Target(Target),
}

/// What a signal closes, as far as it alone tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Closing {
    /// The side of the position; `None`: whichever is held.
    pub side: Option<PositionSide>,
    /// Whether all that is held on it is to be closed, and not a quantity.
    pub whole: bool,
}

/// The position that `action: target` asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Target {
    /// No position.
    Flat,
    /// Long, of this size in base currency, above zero.
    Long(Quantity),
    /// Short, of this size in base currency, above zero.
    Short(Quantity),
}

impl Target {
    /// Direction and size; `None` when flat.
    pub const fn position(self) -> Option<(PositionSide, Quantity)> {
        match self {
            Self::Flat => None,
            Self::Long(size) => Some((PositionSide::Long, size)),
            Self::Short(size) => Some((PositionSide::Short, size)),
        }
    }
}

impl Action {
    /// The action as the contract writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Long => "LONG",
            Self::Short => "SHORT",
            Self::CloseLong => "CLOSE_LONG",
            Self::CloseShort => "CLOSE_SHORT",
            Self::Close => "close",
            Self::Buy => "buy",
            Self::Sell => "sell",
            Self::Reverse => "reverse",
            Self::Cancel => "cancel",
            Self::Target(_) => "target",
        }
    }

    /// Whether it may open or enlarge a position. Everything else is exempt from entry rates and
    /// passes a kill switch that stops entries. A target may also reduce, and a plain order may
    /// net; both count as entries because what they meet is not known here.
    pub const fn is_entry(self) -> bool {
        match self {
            Self::Long
            | Self::Short
            | Self::Buy
            | Self::Sell
            | Self::Reverse
            | Self::Target(Target::Long(_) | Target::Short(_)) => true,
            Self::CloseLong
            | Self::CloseShort
            | Self::Close
            | Self::Cancel
            | Self::Target(Target::Flat) => false,
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
