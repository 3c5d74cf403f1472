//! The records, as the outbox of a Ledger carries them and the operator API returns them.

use core::fmt;

use hoox_model::{
    AccountId, Amount, ClientOrderId, Decimal, Name, OrderKind, PositionSide, Price, Product,
    Quantity, RequestId, Side, SignalId, Symbol, Timestamp, Venue,
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use thiserror::Error;

/// A journaled signal and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SignalRecord {
    /// The signal.
    pub id: SignalId,
    /// The gateway request that brought it first.
    pub request_id: RequestId,
    /// The account that trades it.
    pub account_id: AccountId,
    /// The account's display name when the signal came.
    pub account: Name,
    /// Who sent it.
    pub sender: String,
    /// What it asks for, as the alert spells it.
    pub action: String,
    /// What it trades, as the alert spells it.
    pub symbol: String,
    /// Where it stands.
    pub state: String,
    /// Stable code of a refusal or failure.
    pub code: Option<String>,
    /// The sentence beside `code`, or what was done.
    pub message: Option<String>,
    /// When the gateway received it.
    pub received_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// Whether it only plans, and sends nothing.
    pub dry_run: bool,
    /// The alert's `strategy`.
    pub strategy: Option<String>,
    /// The alert's `orderId`.
    pub order_id: Option<String>,
    /// The alert's `comment`.
    pub comment: Option<String>,
    /// What the sender should know although it was accepted, one sentence each.
    #[serde(default)]
    pub notes: Vec<String>,
    /// The signal that the alert was read as, as JSON; `None` where an older version stored it.
    pub reading: Option<String>,
    /// The journaled JSON, without the passkey.
    pub body: String,
}

/// Market or limit, without the terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OrderType {
    /// Fills at once at the best price.
    Market,
    /// Fills at its price or better.
    Limit,
}

impl OrderType {
    /// Lower-case name, as in records.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Market => "market",
            Self::Limit => "limit",
        }
    }
}

impl From<OrderKind> for OrderType {
    fn from(kind: OrderKind) -> Self {
        match kind {
            OrderKind::Market => Self::Market,
            OrderKind::Limit { .. } => Self::Limit,
        }
    }
}

impl fmt::Display for OrderType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One order of a signal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderRecord {
    /// The id Hoox gave it, stored before the send.
    pub client_order_id: ClientOrderId,
    /// The signal that asked for it.
    pub signal_id: SignalId,
    /// The account it belongs to.
    pub account_id: AccountId,
    /// Where it was sent.
    pub venue: Venue,
    /// What it trades.
    pub symbol: Symbol,
    /// As which product.
    pub product: Product,
    /// Its number within the signal, from 0.
    pub leg: u32,
    /// Buy or sell.
    pub side: Side,
    /// Market or limit.
    pub order_type: OrderType,
    /// Ordered size in base currency.
    pub quantity: Quantity,
    /// Limit price; `None` for a market order.
    pub price: Option<Price>,
    /// Whether it may only make a position smaller.
    pub reduce_only: bool,
    /// Where it stands.
    pub state: String,
    /// The venue's own id, once known.
    pub venue_order_id: Option<String>,
    /// Filled size in base currency.
    pub filled_quantity: Quantity,
    /// Mean price of the fills.
    pub average_price: Option<Price>,
    /// Fees so far; negative for a rebate, `None` while unknown.
    pub fee: Option<Amount>,
    /// Currency of `fee`.
    pub fee_currency: Option<String>,
    /// Stable code of a refusal or failure.
    pub code: Option<String>,
    /// The sentence beside `code`.
    pub message: Option<String>,
    /// When Hoox stored it.
    pub created_at: Timestamp,
    /// When it was sent; `None` before.
    pub sent_at: Option<Timestamp>,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// One execution at the venue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FillRecord {
    /// The account it belongs to.
    pub account_id: AccountId,
    /// The venue's execution id, unique within the account.
    pub fill_id: String,
    /// The order it filled.
    pub client_order_id: ClientOrderId,
    /// Where it happened.
    pub venue: Venue,
    /// What was traded.
    pub symbol: Symbol,
    /// As which product.
    pub product: Product,
    /// Buy or sell.
    pub side: Side,
    /// Size in base currency.
    pub quantity: Quantity,
    /// Price of the execution.
    pub price: Price,
    /// Fee; negative for a rebate, `None` where the venue did not say.
    pub fee: Option<Amount>,
    /// Currency of `fee`.
    pub fee_currency: Option<String>,
    /// When it happened, by the venue's clock.
    pub filled_at: Timestamp,
}

/// What an account holds of one symbol.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PositionRecord {
    /// The account.
    pub account_id: AccountId,
    /// Its display name.
    pub account: Name,
    /// Where it is held.
    pub venue: Venue,
    /// What is held.
    pub symbol: Symbol,
    /// As which product.
    pub product: Product,
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
    /// When the venue reported it.
    pub updated_at: Timestamp,
}

/// Anything the outbox carries. In JSON its `kind` says which.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum Record {
    /// A signal.
    Signal(SignalRecord),
    /// An order.
    Order(OrderRecord),
    /// A fill.
    Fill(FillRecord),
    /// A position.
    Position(PositionRecord),
}

impl Record {
    /// What identifies the row: two records with one key are versions of the same thing. An
    /// outbox needs to keep the newest of them only.
    pub fn key(&self) -> String {
        match self {
            Self::Signal(signal) => format!("signal:{}", signal.id),
            Self::Order(order) => format!("order:{}", order.client_order_id),
            Self::Fill(fill) => format!("fill:{}:{}", fill.account_id, fill.fill_id),
            Self::Position(position) => format!(
                "position:{}:{}:{}",
                position.account_id, position.symbol, position.product
            ),
        }
    }

    /// The account the record belongs to.
    pub const fn account_id(&self) -> &AccountId {
        match self {
            Self::Signal(signal) => &signal.account_id,
            Self::Order(order) => &order.account_id,
            Self::Fill(fill) => &fill.account_id,
            Self::Position(position) => &position.account_id,
        }
    }
}

impl From<SignalRecord> for Record {
    fn from(signal: SignalRecord) -> Self {
        Self::Signal(signal)
    }
}

impl From<OrderRecord> for Record {
    fn from(order: OrderRecord) -> Self {
        Self::Order(order)
    }
}

impl From<FillRecord> for Record {
    fn from(fill: FillRecord) -> Self {
        Self::Fill(fill)
    }
}

impl From<PositionRecord> for Record {
    fn from(position: PositionRecord) -> Self {
        Self::Position(position)
    }
}

/// Why a number is not a revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{0} is not a revision: use a whole number from 0 to {max}", max = Revision::MAX.get())]
pub struct RevisionError(i128);

/// Version of a record. D1 keeps the record with the highest one, in whatever order they come.
///
/// Of one key, a later state must have a higher revision, over the whole life of the account: a
/// new generation of a Ledger must not count from zero again. [`Revision::after`] sees to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u64")]
pub struct Revision(u64);

impl Revision {
    /// Below every other.
    pub const ZERO: Self = Self(0);
    /// The highest whole number that crosses JavaScript unchanged: 2^53 − 1.
    pub const MAX: Self = Self((1 << 53) - 1);

    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The number as SQL holds it.
    pub const fn as_i64(self) -> i64 {
        self.0.cast_signed()
    }

    /// The next revision at `now`: above this one, and not below the clock in milliseconds, so
    /// that a Ledger which lost its counter with its place still writes higher revisions than
    /// the one before. Stays at [`Revision::MAX`], which no real run reaches.
    #[must_use]
    pub fn after(self, now: Timestamp) -> Self {
        let clock = u64::try_from(now.as_millis()).unwrap_or(0);
        Self(self.0.saturating_add(1).max(clock)).min(Self::MAX)
    }
}

impl TryFrom<u64> for Revision {
    type Error = RevisionError;

    fn try_from(number: u64) -> Result<Self, RevisionError> {
        if number <= Self::MAX.0 {
            Ok(Self(number))
        } else {
            Err(RevisionError(number.into()))
        }
    }
}

impl TryFrom<i64> for Revision {
    type Error = RevisionError;

    fn try_from(number: i64) -> Result<Self, RevisionError> {
        u64::try_from(number)
            .map_err(|_| RevisionError(number.into()))
            .and_then(Self::try_from)
    }
}

impl From<Revision> for u64 {
    fn from(revision: Revision) -> Self {
        revision.0
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// One row of a Ledger's outbox: a record as it was at a revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OutboxRow {
    /// Version of the record.
    pub revision: Revision,
    /// The record.
    pub record: Record,
}

/// An [`OutboxRow`] on its way: the same JSON, its record not read. Whoever only carries rows needs
/// nothing of what is in them.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SealedRow {
    /// Version of the record.
    pub revision: Revision,
    /// The record's JSON.
    pub record: Box<RawValue>,
}

impl SealedRow {
    /// Reads the record.
    ///
    /// # Errors
    /// [`serde_json::Error`] where it is none that this version knows.
    pub fn open(&self) -> Result<OutboxRow, serde_json::Error> {
        Ok(OutboxRow {
            revision: self.revision,
            record: serde_json::from_str(self.record.get())?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position() -> PositionRecord {
        PositionRecord {
            account_id: "acc-1".parse().unwrap(),
            account: "main".parse().unwrap(),
            venue: Venue::Bybit,
            symbol: "BTCUSDT".parse().unwrap(),
            product: Product::Linear,
            side: Some(PositionSide::Long),
            quantity: "0.10".parse().unwrap(),
            entry_price: Some("65000.5".parse().unwrap()),
            leverage: Some(Decimal::TEN),
            unrealised_pnl: Some("-1.25".parse().unwrap()),
            updated_at: Timestamp::from_millis(1_780_000_000_000),
        }
    }

    #[test]
    fn json_names_the_kind_and_keeps_money_as_text() {
        let row = OutboxRow {
            revision: Revision::try_from(7u64).unwrap(),
            record: position().into(),
        };
        let json = serde_json::to_value(&row).unwrap();
        assert_eq!(
            json,
            serde_json::json!({"revision": 7, "record": {
                "kind": "position", "accountId": "acc-1", "account": "main", "venue": "bybit",
                "symbol": "BTCUSDT", "product": "linear", "side": "long", "quantity": "0.1",
                "entryPrice": "65000.5", "leverage": "10", "unrealisedPnl": "-1.25",
                "updatedAt": 1_780_000_000_000_i64,
            }})
        );
        assert_eq!(serde_json::from_value::<OutboxRow>(json).unwrap(), row);
    }

    #[test]
    fn fields_of_a_newer_version_are_let_through_and_optional_ones_may_be_missing() {
        let json = r#"{"kind":"position","accountId":"acc-1","account":"main","venue":"bybit",
            "symbol":"BTCUSDT","product":"linear","quantity":"0","updatedAt":1,"new":true}"#;
        let Record::Position(record) = serde_json::from_str(json).unwrap() else {
            panic!("not a position");
        };
        assert_eq!(record.side, None);
        assert_eq!(record.leverage, None);
    }

    #[test]
    fn keys_tell_records_apart() {
        let one = Record::from(position());
        assert_eq!(one.key(), "position:acc-1:BTCUSDT:linear");
        let spot = Record::from(PositionRecord {
            product: Product::Spot,
            ..position()
        });
        assert_ne!(one.key(), spot.key());
    }

    #[test]
    fn revisions_only_rise_and_stay_whole_in_javascript() {
        let at = Timestamp::from_millis(1_780_000_000_000);
        let first = Revision::ZERO.after(at);
        assert_eq!(first.get(), 1_780_000_000_000);
        assert_eq!(first.after(at).get(), 1_780_000_000_001);
        assert_eq!(
            first.after(Timestamp::from_millis(-5)).get(),
            1_780_000_000_001
        );
        assert_eq!(Revision::MAX.after(at), Revision::MAX);
        assert!(Revision::try_from(1u64 << 53).is_err());
        assert!(Revision::try_from(-1i64).is_err());
        assert!(serde_json::from_str::<Revision>("9007199254740992").is_err());
        assert!(serde_json::from_str::<Revision>("1.5").is_err());
    }
}
