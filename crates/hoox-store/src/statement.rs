//! Statements for the worker to run, and the upserts.

use std::borrow::Cow;

use hoox_model::Timestamp;
use serde::Serialize;

use crate::table::{FILLS, ORDERS, POSITIONS, SIGNALS, Table};
use crate::{FillRecord, OrderRecord, OutboxRow, PositionRecord, Record, Revision, SignalRecord};

/// A parameter of a statement. Its JSON is what it holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Value {
    /// SQL `NULL`.
    Null,
    /// A whole number from −2^53 to 2^53, so that it crosses JavaScript unchanged.
    Integer(i64),
    /// Text.
    Text(String),
}

impl Value {
    /// A moment. One beyond 2^53 − 1 milliseconds (the year 287396) is kept as that.
    pub(crate) fn time(at: Timestamp) -> Self {
        let limit = Revision::MAX.as_i64();
        Self::Integer(at.as_millis().clamp(limit.saturating_neg(), limit))
    }

    pub(crate) fn text(text: &(impl ToString + ?Sized)) -> Self {
        Self::Text(text.to_string())
    }

    fn optional(text: Option<&(impl ToString + ?Sized)>) -> Self {
        text.map_or(Self::Null, Self::text)
    }
}

/// A statement with its parameters, in the order of its placeholders. Only this crate makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    sql: Cow<'static, str>,
    params: Vec<Value>,
}

impl Statement {
    pub(crate) fn new(sql: impl Into<Cow<'static, str>>, params: Vec<Value>) -> Self {
        let sql = sql.into();
        Self { sql, params }
    }

    /// The SQL.
    pub fn sql(&self) -> &str {
        &self.sql
    }

    /// The parameters; at most 100, which is D1's limit.
    pub fn params(&self) -> &[Value] {
        &self.params
    }
}

/// Bytes of JSON that one statement carries, unless a single row is longer: a database takes texts of up to 2 MB.
const MAX_ROWS_BYTES: usize = 1_000_000;

/// Stores each record unless its table holds the same or a higher revision of it. May be repeated,
/// and run in any order. The number of statements depends on the tables and the bytes, not on the number of rows.
pub fn upserts(rows: &[OutboxRow]) -> Vec<Statement> {
    let mut tables = [
        Rows::of(&SIGNALS),
        Rows::of(&ORDERS),
        Rows::of(&FILLS),
        Rows::of(&POSITIONS),
    ];
    let [signals, orders, fills, positions] = &mut tables;
    for row in rows {
        let revision = Value::Integer(row.revision.as_i64());
        match &row.record {
            Record::Signal(signal) => signals.push(&signal_params(signal, revision)),
            Record::Order(order) => orders.push(&order_params(order, revision)),
            Record::Fill(fill) => fills.push(&fill_params(fill, revision)),
            Record::Position(position) => positions.push(&position_params(position, revision)),
        }
    }
    tables.into_iter().flat_map(Rows::statements).collect()
}

/// The rows for one table, as JSON arrays in pieces that a statement can carry.
struct Rows {
    table: &'static Table,
    pieces: Vec<String>,
}

impl Rows {
    const fn of(table: &'static Table) -> Self {
        Self {
            table,
            pieces: Vec::new(),
        }
    }

    fn push(&mut self, row: &[Value]) {
        let row = serde_json::to_string(row).unwrap_or_default();
        match self.pieces.last_mut() {
            Some(piece) if piece.len().saturating_add(row.len()) < MAX_ROWS_BYTES => {
                piece.push(',');
                piece.push_str(&row);
            }
            _ => self.pieces.push(row),
        }
    }

    fn statements(self) -> impl Iterator<Item = Statement> {
        let table = self.table;
        self.pieces.into_iter().map(move |piece| {
            Statement::new(table.upsert(), vec![Value::Text(format!("[{piece}]"))])
        })
    }
}

fn signal_params(signal: &SignalRecord, revision: Value) -> Vec<Value> {
    vec![
        Value::text(&signal.id),
        revision,
        Value::text(&signal.request_id),
        Value::text(&signal.account_id),
        Value::text(&signal.account),
        Value::text(&signal.sender),
        Value::text(&signal.action),
        Value::text(&signal.symbol),
        Value::text(&signal.state),
        Value::optional(signal.code.as_ref()),
        Value::optional(signal.message.as_ref()),
        Value::time(signal.received_at),
        Value::time(signal.updated_at),
        Value::Integer(signal.dry_run.into()),
        Value::optional(signal.strategy.as_ref()),
        Value::optional(signal.order_id.as_ref()),
        Value::optional(signal.comment.as_ref()),
        notes(&signal.notes),
        Value::optional(signal.reading.as_ref()),
        Value::text(&signal.body),
    ]
}

/// The notes as a JSON array; nothing where there are none.
fn notes(notes: &[String]) -> Value {
    if notes.is_empty() {
        return Value::Null;
    }
    serde_json::to_string(notes).map_or(Value::Null, Value::Text)
}

fn order_params(order: &OrderRecord, revision: Value) -> Vec<Value> {
    vec![
        Value::text(&order.client_order_id),
        revision,
        Value::text(&order.signal_id),
        Value::text(&order.account_id),
        Value::text(&order.venue),
        Value::text(&order.symbol),
        Value::text(&order.product),
        Value::Integer(order.leg.into()),
        Value::text(&order.side),
        Value::text(&order.order_type),
        Value::text(&order.quantity),
        Value::optional(order.price.as_ref()),
        Value::Integer(order.reduce_only.into()),
        Value::text(&order.state),
        Value::optional(order.venue_order_id.as_ref()),
        Value::text(&order.filled_quantity),
        Value::optional(order.average_price.as_ref()),
        Value::optional(order.fee.as_ref()),
        Value::optional(order.fee_currency.as_ref()),
        Value::optional(order.code.as_ref()),
        Value::optional(order.message.as_ref()),
        Value::time(order.created_at),
        order.sent_at.map_or(Value::Null, Value::time),
        Value::time(order.updated_at),
    ]
}

fn fill_params(fill: &FillRecord, revision: Value) -> Vec<Value> {
    vec![
        Value::text(&fill.client_order_id),
        Value::text(&fill.account_id),
        Value::text(&fill.fill_id),
        revision,
        Value::text(&fill.venue),
        Value::text(&fill.symbol),
        Value::text(&fill.product),
        Value::text(&fill.side),
        Value::text(&fill.quantity),
        Value::text(&fill.price),
        Value::optional(fill.fee.as_ref()),
        Value::optional(fill.fee_currency.as_ref()),
        Value::time(fill.filled_at),
    ]
}

fn position_params(position: &PositionRecord, revision: Value) -> Vec<Value> {
    vec![
        Value::text(&position.account_id),
        Value::text(&position.symbol),
        Value::text(&position.product),
        revision,
        Value::text(&position.account),
        Value::text(&position.venue),
        position
            .side
            .map_or(Value::Null, |side| Value::text(side.as_str())),
        Value::text(&position.quantity),
        Value::optional(position.entry_price.as_ref()),
        Value::optional(position.leverage.as_ref()),
        Value::optional(position.unrealised_pnl.as_ref()),
        Value::time(position.updated_at),
    ]
}
