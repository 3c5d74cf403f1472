//! Orders and positions in Hoox's own words.

use core::fmt;

use rust_decimal::Decimal;
use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize};

use crate::{Amount, ClientOrderId, Price, Product, Quantity, Symbol, Timestamp};

/// Direction of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// Buy.
    Buy,
    /// Sell.
    Sell,
}

words!(Side {
    Buy = "buy",
    Sell = "sell",
});

impl Side {
    /// The other side.
    #[must_use]
    pub const fn opposite(self) -> Self {
        match self {
            Self::Buy => Self::Sell,
            Self::Sell => Self::Buy,
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Direction of a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PositionSide {
    /// Gains when the price rises.
    Long,
    /// Gains when the price falls.
    Short,
}

words!(PositionSide {
    Long = "long",
    Short = "short",
});

impl PositionSide {
    /// The order side that enters or adds to it.
    pub const fn entry_side(self) -> Side {
        match self {
            Self::Long => Side::Buy,
            Self::Short => Side::Sell,
        }
    }

    /// The other side.
    #[must_use]
    pub const fn opposite(self) -> Self {
        match self {
            Self::Long => Self::Short,
            Self::Short => Self::Long,
        }
    }

    /// The order side that reduces it.
    pub const fn exit_side(self) -> Side {
        self.entry_side().opposite()
    }
}

/// How long an order may rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TimeInForce {
    /// Good till cancelled.
    Gtc,
    /// Immediate or cancel: what cannot fill at once is cancelled.
    Ioc,
    /// Fill or kill: all at once or nothing.
    Fok,
    /// Good till cancelled, and never as a taker.
    PostOnly,
}

words!(TimeInForce {
    Gtc = "gtc",
    Ioc = "ioc",
    Fok = "fok",
    PostOnly = "postOnly",
});

/// Margin of a derivatives position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MarginMode {
    /// The whole balance backs the position.
    Cross,
    /// Only the position's own margin backs it.
    Isolated,
}

words!(MarginMode {
    Cross = "cross",
    Isolated = "isolated",
});

/// Market or limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase", try_from = "KindText")]
pub enum OrderKind {
    /// Fills at once at the best price.
    Market,
    /// Fills at `price` or better.
    #[serde(rename_all = "camelCase")]
    Limit {
        /// Worst acceptable price.
        price: Price,
        /// How long it may rest.
        time_in_force: TimeInForce,
    },
}

/// [`OrderKind`] as it is written. Serde reads a tagged enum by way of a copy of the whole value, for which
/// it needs a second reader of everything inside.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct KindText {
    r#type: String,
    price: Option<Price>,
    time_in_force: Option<TimeInForce>,
}

impl TryFrom<KindText> for OrderKind {
    type Error = &'static str;

    fn try_from(text: KindText) -> Result<Self, Self::Error> {
        match (text.r#type.as_str(), text.price, text.time_in_force) {
            ("market", ..) => Ok(Self::Market),
            ("limit", Some(price), Some(time_in_force)) => Ok(Self::Limit {
                price,
                time_in_force,
            }),
            ("limit", ..) => Err("a limit order needs price and timeInForce"),
            _ => Err("an order's type is market or limit"),
        }
    }
}

impl OrderKind {
    /// `market` or `limit`, as in records.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Market => "market",
            Self::Limit { .. } => "limit",
        }
    }

    /// The limit price.
    pub const fn price(self) -> Option<Price> {
        match self {
            Self::Market => None,
            Self::Limit { price, .. } => Some(price),
        }
    }
}

/// What an order is for. The plan, the send fence, the kill switch, limits and matching decide by it;
/// `reduceOnly` is what a venue's adapter makes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Effect {
    /// It may make a position larger.
    Open,
    /// It only makes a position smaller.
    Close,
}

words!(Effect {
    Open = "open",
    Close = "close",
});

impl Effect {
    /// Whether it only makes a position smaller.
    pub const fn closes(self) -> bool {
        matches!(self, Self::Close)
    }

    /// Reads the word, or the flag `reduceOnly` that rows of earlier versions hold in its place.
    fn word_or_flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Stored;

        impl Visitor<'_> for Stored {
            type Value = Effect;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("open, close or the flag reduceOnly")
            }

            fn visit_bool<E: serde::de::Error>(self, reduce_only: bool) -> Result<Effect, E> {
                Ok(if reduce_only {
                    Effect::Close
                } else {
                    Effect::Open
                })
            }

            fn visit_str<E: serde::de::Error>(self, word: &str) -> Result<Effect, E> {
                Effect::named(word).ok_or_else(|| E::unknown_variant(word, &["open", "close"]))
            }
        }

        deserializer.deserialize_any(Stored)
    }
}

/// One order as Hoox wants it at the venue, already rounded to the venue's steps.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderSpec {
    /// Stored before the send, never reused.
    pub client_order_id: ClientOrderId,
    /// What is traded.
    pub symbol: Symbol,
    /// As which product.
    pub product: Product,
    /// Buy or sell.
    pub side: Side,
    /// Market or limit.
    pub kind: OrderKind,
    /// Size in base currency, above zero.
    pub quantity: Quantity,
    /// What it is for.
    #[serde(alias = "reduceOnly", deserialize_with = "Effect::word_or_flag")]
    pub effect: Effect,
    /// The leg of the position it belongs to, where the symbol is in hedge mode; else `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leg: Option<PositionSide>,
    /// Whether it closes all that is held, in the form that the venue has for that. Then `quantity` is
    /// what is expected to be held, which may be below the venue's minimum.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub close_all: bool,
}

/// Where an order stands at the venue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderStatus {
    /// Resting, nothing filled.
    New,
    /// Resting, partly filled.
    PartiallyFilled,
    /// Completely filled.
    Filled,
    /// Ended before it was completely filled; a part may have been.
    Cancelled,
    /// Refused by the venue; nothing was filled.
    Rejected,
}

impl OrderStatus {
    /// Whether nothing can happen to the order any more.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Filled | Self::Cancelled | Self::Rejected)
    }
}

/// An order as the venue reports it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderSnapshot {
    /// The venue's own id.
    pub venue_order_id: String,
    /// Our id; `None` where the order was not placed by a client that gave one.
    pub client_order_id: Option<ClientOrderId>,
    /// What is traded.
    pub symbol: Symbol,
    /// Buy or sell.
    pub side: Side,
    /// Ordered size in base currency.
    pub quantity: Quantity,
    /// Filled size in base currency.
    pub filled: Quantity,
    /// Mean price of the fills.
    pub average_price: Option<Price>,
    /// Fees paid so far, in the settlement currency; negative for a rebate.
    pub fee: Option<Amount>,
    /// Where it stands.
    pub status: OrderStatus,
    /// Whether it may only make a position smaller.
    pub reduce_only: bool,
    /// The venue's word on a refusal or cancellation.
    pub reason: Option<String>,
    /// When the venue accepted it.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// One execution of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Fill {
    /// The venue's id of the execution; each is counted once.
    pub venue_fill_id: String,
    /// The venue's id of the order.
    pub venue_order_id: String,
    /// What was traded.
    pub symbol: Symbol,
    /// Bought or sold.
    pub side: Side,
    /// Size in base currency, above zero.
    pub quantity: Quantity,
    /// Price of this execution.
    pub price: Price,
    /// Fee paid; negative for a rebate.
    pub fee: Amount,
    /// Currency of the fee; `None` where the venue does not say (then the settlement currency).
    pub fee_currency: Option<String>,
    /// Whether the order was resting; `None` where the venue does not say.
    pub maker: Option<bool>,
    /// When it happened.
    pub at: Timestamp,
}

/// What an account owns of one currency.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Balance {
    /// Upper-case currency code.
    pub currency: String,
    /// What is owned, without the profit or loss of open positions.
    pub wallet: Amount,
    /// What is owned, with the profit or loss of open positions.
    pub equity: Amount,
    /// What new orders may use; `None` where the venue gives no such number for the currency.
    pub available: Option<Amount>,
    /// All profits and losses ever realised in the currency; `None` where the venue gives no such
    /// number. Deposits and withdrawals do not change it.
    pub realised_pnl: Option<Amount>,
}

/// What an account holds of one symbol.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Position {
    /// What is held.
    pub symbol: Symbol,
    /// `None` when flat.
    pub side: Option<PositionSide>,
    /// Size in base currency; zero when flat.
    pub quantity: Quantity,
    /// Mean entry price.
    pub entry_price: Option<Price>,
    /// Leverage set for the symbol.
    pub leverage: Option<Decimal>,
    /// Profit or loss not yet realised, at the venue's mark price.
    pub unrealised_pnl: Option<Amount>,
    /// Whether it is one of the two legs of a symbol in hedge mode.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub hedged: bool,
}

impl Position {
    /// Nothing held.
    pub const fn flat(symbol: Symbol) -> Self {
        Self {
            symbol,
            side: None,
            quantity: Quantity::ZERO,
            entry_price: None,
            leverage: None,
            unrealised_pnl: None,
            hedged: false,
        }
    }

    /// Size held on `side`; zero when flat or on the other side.
    pub fn held(&self, side: PositionSide) -> Quantity {
        if self.side == Some(side) {
            self.quantity
        } else {
            Quantity::ZERO
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_order_is_for_is_read_from_rows_of_earlier_versions_too() {
        let stored = |effect: &str| {
            let json = format!(
                r#"{{"clientOrderId":"hx-1","symbol":"BTCUSDT","product":"linear","side":"buy",
                    "kind":{{"type":"market"}},"quantity":"1",{effect}}}"#
            );
            serde_json::from_str::<OrderSpec>(&json).map(|spec| spec.effect)
        };
        for (text, effect) in [
            (r#""reduceOnly":true"#, Effect::Close),
            (r#""reduceOnly":false"#, Effect::Open),
            (r#""effect":"close""#, Effect::Close),
            (r#""effect":"open""#, Effect::Open),
        ] {
            assert_eq!(stored(text).unwrap(), effect, "{text}");
        }
        for text in [r#""effect":"protect""#, r#""leg":"long""#] {
            stored(text).unwrap_err();
        }
    }

    #[test]
    fn kinds_read_back_as_they_are_written() {
        let limit = OrderKind::Limit {
            price: "1.5".parse().unwrap(),
            time_in_force: TimeInForce::PostOnly,
        };
        for (kind, json) in [
            (OrderKind::Market, r#"{"type":"market"}"#),
            (
                limit,
                r#"{"type":"limit","price":"1.5","timeInForce":"postOnly"}"#,
            ),
        ] {
            assert_eq!(serde_json::to_string(&kind).unwrap(), json);
            assert_eq!(serde_json::from_str::<OrderKind>(json).unwrap(), kind);
        }
        for json in [
            "{}",
            r#"{"type":"stop"}"#,
            r#"{"type":"limit","price":"1"}"#,
        ] {
            assert!(serde_json::from_str::<OrderKind>(json).is_err(), "{json}");
        }
    }
}
