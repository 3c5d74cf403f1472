//! Rows as D1 returns them, and their way back into records.
//!
//! The structs are flat and plain, because the worker's bridge from JavaScript reads them: text,
//! whole numbers, truth values as 0 or 1.

use core::str::FromStr;

use hoox_model::{PositionSide, Product, Side, Timestamp, parse_decimal};
use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::StrDeserializer;
use thiserror::Error;

use crate::{OrderRecord, OrderType, PositionRecord, SignalRecord};

/// A stored row that is no record.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{table}.{column} holds '{value}', which this version cannot read")]
pub struct RowError {
    table: &'static str,
    column: &'static str,
    value: String,
}

impl RowError {
    fn new(table: &'static str, column: &'static str, value: &(impl ToString + ?Sized)) -> Self {
        let value = value.to_string().chars().take(40).collect();
        Self {
            table,
            column,
            value,
        }
    }
}

/// Reads the columns of one table.
struct Reader(&'static str);

impl Reader {
    fn parse<T: FromStr>(&self, column: &'static str, text: &str) -> Result<T, RowError> {
        text.parse()
            .map_err(|_| RowError::new(self.0, column, text))
    }

    fn maybe<T: FromStr>(
        &self,
        column: &'static str,
        text: Option<&str>,
    ) -> Result<Option<T>, RowError> {
        text.map(|text| self.parse(column, text)).transpose()
    }

    /// One of the model's lists of names, by its spelling in records.
    fn name<'de, T: Deserialize<'de>>(
        &self,
        column: &'static str,
        text: &'de str,
    ) -> Result<T, RowError> {
        let source: StrDeserializer<'de, serde::de::value::Error> = text.into_deserializer();
        T::deserialize(source).map_err(|_| RowError::new(self.0, column, text))
    }

    /// Texts of a JSON array; none where there is nothing.
    fn texts(&self, column: &'static str, json: Option<&str>) -> Result<Vec<String>, RowError> {
        json.map_or(Ok(Vec::new()), |json| {
            serde_json::from_str(json).map_err(|_| RowError::new(self.0, column, json))
        })
    }

    fn truth(&self, column: &'static str, number: i64) -> Result<bool, RowError> {
        match number {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(RowError::new(self.0, column, &other)),
        }
    }
}

/// A row of `signals`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct SignalRow {
    id: String,
    request_id: String,
    account_id: String,
    account: String,
    sender: String,
    action: String,
    symbol: String,
    state: String,
    code: Option<String>,
    message: Option<String>,
    received_at: i64,
    updated_at: i64,
    dry_run: i64,
    strategy: Option<String>,
    order_id: Option<String>,
    comment: Option<String>,
    notes: Option<String>,
    reading: Option<String>,
    body: String,
}

impl TryFrom<SignalRow> for SignalRecord {
    type Error = RowError;

    fn try_from(row: SignalRow) -> Result<Self, RowError> {
        let read = Reader("signals");
        Ok(Self {
            id: read.parse("id", &row.id)?,
            request_id: read.parse("request_id", &row.request_id)?,
            account_id: read.parse("account_id", &row.account_id)?,
            account: read.parse("account", &row.account)?,
            sender: row.sender,
            action: row.action,
            symbol: row.symbol,
            state: row.state,
            code: row.code,
            message: row.message,
            received_at: Timestamp::from_millis(row.received_at),
            updated_at: Timestamp::from_millis(row.updated_at),
            dry_run: read.truth("dry_run", row.dry_run)?,
            strategy: row.strategy,
            order_id: row.order_id,
            comment: row.comment,
            notes: read.texts("notes", row.notes.as_deref())?,
            reading: row.reading,
            body: row.body,
        })
    }
}

/// A row of `orders`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct OrderRow {
    client_order_id: String,
    signal_id: String,
    account_id: String,
    venue: String,
    symbol: String,
    product: String,
    leg: i64,
    side: String,
    order_type: String,
    quantity: String,
    price: Option<String>,
    reduce_only: i64,
    state: String,
    venue_order_id: Option<String>,
    filled_quantity: String,
    average_price: Option<String>,
    fee: Option<String>,
    fee_currency: Option<String>,
    code: Option<String>,
    message: Option<String>,
    created_at: i64,
    sent_at: Option<i64>,
    updated_at: i64,
}

impl TryFrom<OrderRow> for OrderRecord {
    type Error = RowError;

    fn try_from(row: OrderRow) -> Result<Self, RowError> {
        let read = Reader("orders");
        Ok(Self {
            client_order_id: read.parse("client_order_id", &row.client_order_id)?,
            signal_id: read.parse("signal_id", &row.signal_id)?,
            account_id: read.parse("account_id", &row.account_id)?,
            venue: read.parse("venue", &row.venue)?,
            symbol: read.parse("symbol", &row.symbol)?,
            product: read.name::<Product>("product", &row.product)?,
            leg: u32::try_from(row.leg).map_err(|_| RowError::new("orders", "leg", &row.leg))?,
            side: read.name::<Side>("side", &row.side)?,
            order_type: read.name::<OrderType>("order_type", &row.order_type)?,
            quantity: read.parse("quantity", &row.quantity)?,
            price: read.maybe("price", row.price.as_deref())?,
            reduce_only: read.truth("reduce_only", row.reduce_only)?,
            state: row.state,
            venue_order_id: row.venue_order_id,
            filled_quantity: read.parse("filled_quantity", &row.filled_quantity)?,
            average_price: read.maybe("average_price", row.average_price.as_deref())?,
            fee: read.maybe("fee", row.fee.as_deref())?,
            fee_currency: row.fee_currency,
            code: row.code,
            message: row.message,
            created_at: Timestamp::from_millis(row.created_at),
            sent_at: row.sent_at.map(Timestamp::from_millis),
            updated_at: Timestamp::from_millis(row.updated_at),
        })
    }
}

/// A row of `positions`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct PositionRow {
    account_id: String,
    symbol: String,
    product: String,
    account: String,
    venue: String,
    side: Option<String>,
    quantity: String,
    entry_price: Option<String>,
    leverage: Option<String>,
    unrealised_pnl: Option<String>,
    updated_at: i64,
}

impl TryFrom<PositionRow> for PositionRecord {
    type Error = RowError;

    fn try_from(row: PositionRow) -> Result<Self, RowError> {
        let read = Reader("positions");
        let side = row.side.as_deref();
        let leverage = row.leverage.as_deref();
        Ok(Self {
            account_id: read.parse("account_id", &row.account_id)?,
            account: read.parse("account", &row.account)?,
            venue: read.parse("venue", &row.venue)?,
            symbol: read.parse("symbol", &row.symbol)?,
            product: read.name::<Product>("product", &row.product)?,
            side: side
                .map(|side| read.name::<PositionSide>("side", side))
                .transpose()?,
            quantity: read.parse("quantity", &row.quantity)?,
            entry_price: read.maybe("entry_price", row.entry_price.as_deref())?,
            leverage: leverage
                .map(|text| {
                    parse_decimal(text).map_err(|_| RowError::new("positions", "leverage", text))
                })
                .transpose()?,
            unrealised_pnl: read.maybe("unrealised_pnl", row.unrealised_pnl.as_deref())?,
            updated_at: Timestamp::from_millis(row.updated_at),
        })
    }
}
