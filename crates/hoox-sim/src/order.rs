//! Orders, fills and positions, in no venue's spelling.

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::exact::{self, Overflow};

/// Decimals of an entry cost: with a fixed number of them all sums of money stay exact.
const COST_DECIMALS: u32 = 12;

/// Direction of an order or a fill.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Side {
    /// Adds to a long position, takes from a short one.
    Buy,
    /// Adds to a short position, takes from a long one.
    Sell,
}

impl Side {
    /// The other direction.
    pub(crate) fn opposite(self) -> Self {
        match self {
            Self::Buy => Self::Sell,
            Self::Sell => Self::Buy,
        }
    }

    /// `quantity` with the sign of this side: positive for buys.
    pub(crate) fn signed(self, quantity: Decimal) -> Decimal {
        match self {
            Self::Buy => quantity,
            Self::Sell => exact::negate(quantity),
        }
    }
}

/// Which position of a symbol an order or a position is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Leg {
    /// The one position of a symbol in one-way mode.
    #[default]
    Net,
    /// The long position of a symbol in hedge mode.
    Long,
    /// The short position of a symbol in hedge mode.
    Short,
}

impl Leg {
    /// The side that adds to it; either does in one-way mode.
    pub(crate) fn entry_side(self) -> Option<Side> {
        match self {
            Self::Net => None,
            Self::Long => Some(Side::Buy),
            Self::Short => Some(Side::Sell),
        }
    }
}

/// How the price of an order is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum OrderKind {
    /// At the current price.
    Market,
    /// At the order's price or better.
    Limit,
}

/// How long an order may rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum TimeInForce {
    /// Good till cancelled.
    Gtc,
    /// Immediate or cancel: what cannot fill at once is cancelled.
    Ioc,
    /// Fill or kill: all at once or nothing.
    Fok,
    /// Cancelled where it would take.
    PostOnly,
}

/// Where an order stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Status {
    /// Accepted, nothing filled.
    New,
    /// Something filled, the rest is open.
    PartiallyFilled,
    /// All filled.
    Filled,
    /// Ended before all was filled; may have fills.
    Cancelled,
}

impl Status {
    /// Whether the order can still fill.
    pub(crate) fn is_open(self) -> bool {
        matches!(self, Self::New | Self::PartiallyFilled)
    }
}

/// Why an order ended early.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum CancelCause {
    /// The account holder asked for it.
    User,
    /// A post-only order would have taken.
    PostOnly,
    /// An IOC, FOK or market order found no counterparty for the rest.
    NoImmediateFill,
    /// A reduce-only order has nothing left to reduce.
    NothingToReduce,
}

/// Who made an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Origin {
    /// The account holder.
    User,
    /// The take-profit of a position.
    TakeProfit,
    /// The stop-loss of a position.
    StopLoss,
}

/// One order and its history so far.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Order {
    /// Position in the order of acceptance, from 1.
    pub(crate) sequence: u64,
    /// The venue's id.
    pub(crate) id: String,
    /// The account holder's id, unique for ever.
    pub(crate) client_id: Option<String>,
    /// Symbol as the venue spells it.
    pub(crate) symbol: String,
    /// Which position it changes.
    #[serde(default)]
    pub(crate) leg: Leg,
    /// Direction.
    pub(crate) side: Side,
    /// Market or limit.
    pub(crate) kind: OrderKind,
    /// How long it may rest.
    pub(crate) time_in_force: TimeInForce,
    /// Ordered quantity in base coin; a reduce-only order's is trimmed to the position.
    pub(crate) quantity: Decimal,
    /// Limit price; `None` for market orders.
    pub(crate) price: Option<Decimal>,
    /// May only make the position smaller.
    pub(crate) reduce_only: bool,
    /// The venue's close-on-trigger flag; implies `reduce_only`.
    pub(crate) close_on_trigger: bool,
    /// Take-profit price to attach to the position by the first fill.
    pub(crate) take_profit: Option<Decimal>,
    /// Stop-loss price to attach to the position by the first fill.
    pub(crate) stop_loss: Option<Decimal>,
    /// Who made it.
    pub(crate) origin: Origin,
    /// Where it stands.
    pub(crate) status: Status,
    /// Why it ended early.
    pub(crate) cancel_cause: Option<CancelCause>,
    /// Filled quantity.
    pub(crate) filled: Decimal,
    /// Sum of price × quantity of the fills.
    pub(crate) filled_value: Decimal,
    /// Sum of the fees.
    pub(crate) fee: Decimal,
    /// Last price when the order was accepted.
    pub(crate) price_at_creation: Decimal,
    /// Acceptance, ms since the Unix epoch.
    pub(crate) created_ms: i64,
    /// Last change, ms since the Unix epoch.
    pub(crate) updated_ms: i64,
    /// Reaches the book at this time; later than `created_ms` only by an injected delay.
    pub(crate) ready_ms: i64,
    /// Look-ups show it from this time on; later than `created_ms` only by an injected lag.
    pub(crate) visible_ms: i64,
    /// Whether it has reached the book.
    pub(crate) arrived: bool,
    /// Injected: the first fill is at most this much.
    pub(crate) fill_cap: Option<Decimal>,
    /// Injected: after a capped fill the rest waits until the price leaves this one.
    pub(crate) held_at: Option<Decimal>,
}

impl Order {
    /// Quantity still open.
    pub(crate) fn leaves(&self) -> Decimal {
        if self.status.is_open() {
            self.quantity.checked_sub(self.filled).unwrap_or_default()
        } else {
            Decimal::ZERO
        }
    }

    /// Average price of the fills, if there are any.
    pub(crate) fn average_price(&self) -> Option<Decimal> {
        if self.filled.is_zero() {
            None
        } else {
            self.filled_value.checked_div(self.filled)
        }
    }
}

/// One execution.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Fill {
    /// Position in the order of execution, from 1.
    pub(crate) sequence: u64,
    /// The venue's id of the execution.
    pub(crate) id: String,
    /// Sequence of the order.
    pub(crate) order: u64,
    /// The venue's id of the order.
    pub(crate) order_id: String,
    /// The account holder's id of the order.
    pub(crate) client_id: Option<String>,
    /// Symbol as the venue spells it.
    pub(crate) symbol: String,
    /// Direction.
    pub(crate) side: Side,
    /// Type of the order.
    pub(crate) kind: OrderKind,
    /// Limit price of the order.
    pub(crate) order_price: Option<Decimal>,
    /// Quantity of the order.
    pub(crate) order_quantity: Decimal,
    /// Executed quantity.
    pub(crate) quantity: Decimal,
    /// Execution price.
    pub(crate) price: Decimal,
    /// Fee in quote coin.
    pub(crate) fee: Decimal,
    /// Fee rate.
    pub(crate) fee_rate: Decimal,
    /// Whether the order rested before.
    pub(crate) maker: bool,
    /// Profit (or loss, negative) realised by this fill, before the fee.
    pub(crate) realised: Decimal,
    /// How much of the quantity closed an existing position.
    pub(crate) closed: Decimal,
    /// Quantity of the order still open after this fill.
    pub(crate) leaves: Decimal,
    /// Execution time, ms since the Unix epoch.
    pub(crate) time_ms: i64,
}

/// The position in a symbol, or one leg of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Position {
    /// Signed size in base coin: positive long, negative short.
    pub(crate) size: Decimal,
    /// Sum of price × quantity at which the open size was entered; never negative.
    pub(crate) cost: Decimal,
    /// Realised profit of all time, before fees.
    pub(crate) realised: Decimal,
    /// Fees of all time.
    pub(crate) fees: Decimal,
    /// Realised profit less fees since the position was last flat.
    pub(crate) current_realised: Decimal,
    /// Take-profit price of the whole position.
    pub(crate) take_profit: Option<Decimal>,
    /// Stop-loss price of the whole position.
    pub(crate) stop_loss: Option<Decimal>,
    /// First fill in this symbol, ms since the Unix epoch; 0 before.
    pub(crate) created_ms: i64,
    /// Last change, ms since the Unix epoch.
    pub(crate) updated_ms: i64,
    /// When the present position was opened; 0 while flat.
    pub(crate) opened_ms: i64,
    /// Sequence of the last fill; 0 before the first.
    pub(crate) last_fill: u64,
}

/// What a fill did to a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Applied {
    /// Profit (or loss, negative) before fees.
    pub(crate) realised: Decimal,
    /// Quantity that closed.
    pub(crate) closed: Decimal,
}

impl Position {
    /// Direction of the position, `None` while flat.
    pub(crate) fn side(&self) -> Option<Side> {
        if self.size.is_zero() {
            None
        } else if self.size.is_sign_positive() {
            Some(Side::Buy)
        } else {
            Some(Side::Sell)
        }
    }

    /// Average entry price, `None` while flat.
    pub(crate) fn average_price(&self) -> Option<Decimal> {
        if self.size.is_zero() {
            None
        } else {
            self.cost.checked_div(self.size.abs())
        }
    }

    /// Profit if the whole position were closed at `price`, before fees.
    pub(crate) fn unrealised(&self, price: Decimal) -> Result<Decimal, Overflow> {
        let value = exact::mul(self.size.abs(), price)?;
        match self.side() {
            None => Ok(Decimal::ZERO),
            Some(Side::Buy) => exact::sub(value, self.cost),
            Some(Side::Sell) => exact::sub(self.cost, value),
        }
    }

    /// How much of an order on `side` would close.
    pub(crate) fn closable(&self, side: Side) -> Decimal {
        if self.side() == Some(side.opposite()) {
            self.size.abs()
        } else {
            Decimal::ZERO
        }
    }

    /// Adds a fill, closing first and opening with the rest.
    ///
    /// The entry cost is split so that what is released and what stays add up exactly: no rounding is
    /// lost between realised profit and the remaining position.
    ///
    /// # Errors
    /// [`Overflow`] leaves the position unchanged.
    pub(crate) fn apply(
        &mut self,
        side: Side,
        quantity: Decimal,
        price: Decimal,
    ) -> Result<Applied, Overflow> {
        let held = self.closable(side);
        let closed = quantity.min(held);
        let opened = exact::sub(quantity, closed)?;
        let mut cost = self.cost;
        let mut realised = Decimal::ZERO;
        if !closed.is_zero() {
            let released = if closed == held {
                cost
            } else {
                exact::div(exact::mul(cost, closed)?, held)?.round_dp(COST_DECIMALS)
            };
            let proceeds = exact::mul(closed, price)?;
            realised = match side {
                Side::Sell => exact::sub(proceeds, released)?,
                Side::Buy => exact::sub(released, proceeds)?,
            };
            cost = exact::sub(cost, released)?;
        }
        cost = exact::add(cost, exact::mul(opened, price)?)?;
        let after = exact::add(self.size, side.signed(quantity))?;
        self.size = after;
        self.cost = cost;
        Ok(Applied { realised, closed })
    }
}
