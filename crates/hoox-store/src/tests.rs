//! The migrations and statements, run by SQLite itself.
#![expect(
    clippy::arithmetic_side_effects,
    clippy::inconsistent_struct_constructor,
    reason = "test data: small numbers, fields in the order in which they are drawn"
)]

use core::ops::RangeBounds;
use std::collections::{BTreeMap, BTreeSet};

use hoox_model::{
    Amount, ClientOrderId, Decimal, PositionSide, Price, Product, Quantity, Side, SignalId,
    Timestamp, Venue,
};
use proptest::prelude::*;
use proptest::sample::select;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ToSql, params_from_iter};
use serde_json::{Map, json};

use super::*;

/// How numbers reach SQLite: as they are, or as the doubles that JavaScript makes of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Numbers {
    Whole,
    JavaScript,
}

pub(crate) struct Bound<'a>(pub(crate) &'a Value, pub(crate) Numbers);

impl<'a> Bound<'a> {
    pub(crate) const fn javascript(value: &'a Value) -> Self {
        Self(value, Numbers::JavaScript)
    }
}

impl ToSql for Bound<'_> {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        reason = "what JavaScript does"
    )]
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match (self.0, self.1) {
            (Value::Null, _) => ToSqlOutput::Owned(rusqlite::types::Value::Null),
            (Value::Integer(n), Numbers::Whole) => (*n).into(),
            (Value::Integer(n), Numbers::JavaScript) => {
                assert_eq!((*n as f64) as i128, i128::from(*n), "whole in JavaScript");
                (*n as f64).into()
            }
            (Value::Text(text), _) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
        })
    }
}

/// A database with every migration applied, in the order of their names.
pub(crate) struct Database {
    pub(crate) connection: Connection,
    numbers: Numbers,
}

impl Database {
    pub(crate) fn new(numbers: Numbers) -> Self {
        let database = Self {
            connection: Connection::open_in_memory().unwrap(),
            numbers,
        };
        database.migrate(1..);
        database
    }

    /// A database as an earlier version made it, with its first migrations.
    pub(crate) fn earlier(migrations: usize) -> Self {
        let database = Self {
            connection: Connection::open_in_memory().unwrap(),
            numbers: Numbers::JavaScript,
        };
        database.migrate(1..=migrations);
        database
    }

    /// Applies migrations by their numbers.
    pub(crate) fn migrate(&self, numbers: impl RangeBounds<usize>) {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations");
        let mut files: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        files.sort();
        assert!(!files.is_empty());
        for (number, file) in (1..).zip(files) {
            if numbers.contains(&number) {
                let sql = std::fs::read_to_string(file).unwrap();
                self.connection.execute_batch(&sql).unwrap();
            }
        }
    }

    fn store(&self, row: &OutboxRow) -> usize {
        self.store_all(core::slice::from_ref(row))
    }

    /// How many rows were stored.
    fn store_all(&self, rows: &[OutboxRow]) -> usize {
        let run = |statement: &Statement| {
            let params = statement.params().iter().map(|p| Bound(p, self.numbers));
            self.connection
                .prepare_cached(statement.sql())
                .unwrap()
                .execute(params_from_iter(params))
                .unwrap()
        };
        upserts(rows).iter().map(run).sum()
    }

    /// Rows as JSON objects, as D1 gives them.
    fn rows(&self, sql: &str, params: &[Value]) -> Vec<serde_json::Value> {
        self.try_rows(sql, params).unwrap()
    }

    pub(crate) fn try_rows(
        &self,
        sql: &str,
        params: &[Value],
    ) -> rusqlite::Result<Vec<serde_json::Value>> {
        let mut statement = self.connection.prepare(sql)?;
        let names: Vec<String> = statement.column_names().map(str::to_owned).collect();
        statement
            .query_map(
                params_from_iter(params.iter().map(|p| Bound(p, self.numbers))),
                |row| {
                    let mut object = Map::new();
                    for (place, name) in names.iter().enumerate() {
                        let value = match row.get_ref(place).unwrap() {
                            ValueRef::Null => json!(null),
                            ValueRef::Integer(n) => json!(n),
                            ValueRef::Text(text) => json!(str::from_utf8(text).unwrap()),
                            other => panic!("{name} is {other:?}"),
                        };
                        object.insert(name.clone(), value);
                    }
                    Ok(serde_json::Value::Object(object))
                },
            )?
            .collect()
    }

    fn page<R: Listed>(&self, query: &Query<R>) -> Result<Page<R>, RowError> {
        let statement = query.statement();
        let rows = self
            .rows(statement.sql(), statement.params())
            .into_iter()
            .map(|row| serde_json::from_value(row).unwrap())
            .collect();
        query.page(rows)
    }

    /// Every record, page by page.
    pub(crate) fn all<R: Listed>(&self, account: Option<&str>, limit: u32) -> Vec<R> {
        let account = account.map(|id| id.parse().unwrap());
        let mut query = Query::<R>::new(account, Some(limit), None).unwrap();
        let mut all = Vec::new();
        loop {
            let page = self.page(&query).unwrap();
            assert!(page.items.len() <= limit as usize);
            all.extend(page.items);
            match page.next_cursor {
                None => return all,
                // As it comes back in a request.
                Some(cursor) => query.cursor = Some(cursor.to_string().parse().unwrap()),
            }
        }
    }

    /// Every fill, which nothing else reads, in the order of the table.
    pub(crate) fn fills(&self) -> Vec<FillRecord> {
        let fields = "account_id AS accountId, fill_id AS fillId, client_order_id AS clientOrderId, venue, symbol, \
                      product, side, quantity, price, fee, fee_currency AS feeCurrency, filled_at AS filledAt";
        let order = "client_order_id, account_id, fill_id";
        self.rows(&format!("SELECT {fields} FROM fills ORDER BY {order}"), &[])
            .into_iter()
            .map(|row| serde_json::from_value(row).unwrap())
            .collect()
    }

    /// Everything stored, by key and with its revision.
    fn dump(&self) -> BTreeMap<String, OutboxRow> {
        let mut records: Vec<Record> = Vec::new();
        records.extend(
            self.all::<SignalRecord>(None, 100)
                .into_iter()
                .map(Record::from),
        );
        records.extend(
            self.all::<OrderRecord>(None, 100)
                .into_iter()
                .map(Record::from),
        );
        records.extend(self.fills().into_iter().map(Record::from));
        records.extend(
            self.all::<PositionRecord>(None, 100)
                .into_iter()
                .map(Record::from),
        );
        records
            .into_iter()
            .map(|record| {
                let (sql, key) = match &record {
                    Record::Signal(r) => (
                        "SELECT revision FROM signals WHERE id = ?1",
                        vec![r.id.to_string()],
                    ),
                    Record::Order(r) => (
                        "SELECT revision FROM orders WHERE client_order_id = ?1",
                        vec![r.client_order_id.to_string()],
                    ),
                    Record::Fill(r) => (
                        "SELECT revision FROM fills WHERE account_id = ?1 AND fill_id = ?2",
                        vec![r.account_id.to_string(), r.fill_id.clone()],
                    ),
                    Record::Position(r) => (
                        "SELECT revision FROM positions WHERE account_id = ?1 AND symbol = ?2 AND product = ?3",
                        vec![
                            r.account_id.to_string(),
                            r.symbol.to_string(),
                            r.product.to_string(),
                        ],
                    ),
                };
                let revision: i64 = self
                    .connection
                    .query_row(sql, params_from_iter(key), |row| row.get(0))
                    .unwrap();
                let revision = Revision::try_from(revision).unwrap();
                (record.key(), OutboxRow { revision, record })
            })
            .collect()
    }
}

const NOW: i64 = 1_780_000_000_000;

fn signal_id(number: u8) -> SignalId {
    SignalId::new(
        Timestamp::from_millis(NOW + i64::from(number / 4)),
        [number; 10],
    )
}

pub(crate) fn signal(number: u8, account: &str) -> SignalRecord {
    SignalRecord {
        id: signal_id(number),
        request_id: "req-1".parse().unwrap(),
        account_id: account.parse().unwrap(),
        account: "main".parse().unwrap(),
        sender: "tv".to_owned(),
        action: "LONG".to_owned(),
        symbol: "BYBIT:BTCUSDT.P".to_owned(),
        state: "received".to_owned(),
        code: None,
        message: None,
        received_at: Timestamp::from_millis(NOW),
        updated_at: Timestamp::from_millis(NOW),
        dry_run: false,
        strategy: None,
        order_id: None,
        comment: None,
        notes: Vec::new(),
        reading: None,
        body: "{}".to_owned(),
    }
}

pub(crate) fn order(number: u8, leg: u32, account: &str) -> OrderRecord {
    OrderRecord {
        client_order_id: ClientOrderId::for_leg(&signal_id(number), leg).unwrap(),
        signal_id: signal_id(number),
        account_id: account.parse().unwrap(),
        venue: Venue::Bybit,
        symbol: "BTCUSDT".parse().unwrap(),
        product: Product::Linear,
        leg,
        side: Side::Buy,
        order_type: OrderType::Market,
        quantity: "0.01".parse().unwrap(),
        price: None,
        reduce_only: false,
        state: "planned".to_owned(),
        venue_order_id: None,
        filled_quantity: Quantity::ZERO,
        average_price: None,
        fee: None,
        fee_currency: None,
        code: None,
        message: None,
        created_at: Timestamp::from_millis(NOW),
        sent_at: None,
        updated_at: Timestamp::from_millis(NOW),
    }
}

pub(crate) fn fill(number: u8, account: &str) -> FillRecord {
    FillRecord {
        account_id: account.parse().unwrap(),
        fill_id: format!("exec/{number}"),
        client_order_id: ClientOrderId::for_leg(&signal_id(number), 0).unwrap(),
        venue: Venue::Bybit,
        symbol: "BTCUSDT".parse().unwrap(),
        product: Product::Linear,
        side: Side::Sell,
        quantity: "0.01".parse().unwrap(),
        price: "65000.1".parse().unwrap(),
        fee: Some("-0.000001".parse().unwrap()),
        fee_currency: Some("USDT".to_owned()),
        // Several fills of one order happen in one millisecond.
        filled_at: Timestamp::from_millis(NOW + i64::from(number / 4)),
    }
}

pub(crate) fn position(symbol: &str, product: Product, account: &str) -> PositionRecord {
    PositionRecord {
        account_id: account.parse().unwrap(),
        account: "main".parse().unwrap(),
        venue: Venue::Bybit,
        symbol: symbol.parse().unwrap(),
        product,
        side: None,
        quantity: Quantity::ZERO,
        entry_price: None,
        leverage: None,
        unrealised_pnl: None,
        updated_at: Timestamp::from_millis(NOW),
    }
}

pub(crate) fn at_revision(revision: u64, record: impl Into<Record>) -> OutboxRow {
    OutboxRow {
        revision: Revision::try_from(revision).unwrap(),
        record: record.into(),
    }
}

fn amount() -> impl Strategy<Value = Amount> {
    (any::<i64>(), 0u32..=28)
        .prop_map(|(units, scale)| Decimal::new(units, scale).try_into().unwrap())
}

fn quantity() -> impl Strategy<Value = Quantity> {
    (0..i64::MAX, 0u32..=28)
        .prop_map(|(units, scale)| Decimal::new(units, scale).try_into().unwrap())
}

fn price() -> impl Strategy<Value = Price> {
    (1..i64::MAX, 0u32..=28)
        .prop_map(|(units, scale)| Decimal::new(units, scale).try_into().unwrap())
}

fn moment() -> impl Strategy<Value = Timestamp> {
    let limit = Revision::MAX.as_i64();
    (-limit..=limit).prop_map(Timestamp::from_millis)
}

fn words() -> impl Strategy<Value = String> {
    "[ -~äß€😀'\"\\\\;\n\0\u{1f}]{0,12}"
}

fn maybe<T: core::fmt::Debug + Clone>(
    some: impl Strategy<Value = T>,
) -> impl Strategy<Value = Option<T>> {
    proptest::option::of(some)
}

fn account() -> impl Strategy<Value = &'static str> {
    select(vec!["acc-1", "acc-2"])
}

prop_compose! {
    fn signals()(
        (number, account) in (0u8..4, account()),
        (sender, action, symbol, state) in (words(), words(), words(), words()),
        (code, message, strategy) in (maybe(words()), maybe(words()), maybe(words())),
        (order_id, comment, body) in (maybe(words()), maybe(words()), words()),
        (notes, reading) in (proptest::collection::vec(words(), 0..3), maybe(words())),
        (received_at, updated_at, dry_run) in (moment(), moment(), any::<bool>()),
    ) -> Record {
        Record::Signal(SignalRecord {
            sender, action, symbol, state, code, message, strategy, order_id, comment, notes, reading, body,
            received_at, updated_at, dry_run, ..signal(number, account)
        })
    }
}

prop_compose! {
    fn orders()(
        (number, leg, account) in (0u8..4, 0u32..3, account()),
        (venue, product) in (select(Venue::ALL.to_vec()), select(vec![Product::Linear, Product::Spot])),
        (side, order_type) in (
            select(vec![Side::Buy, Side::Sell]),
            select(vec![OrderType::Market, OrderType::Limit]),
        ),
        (quantity, filled_quantity, price, average_price) in
            (quantity(), quantity(), maybe(price()), maybe(price())),
        (state, venue_order_id, code, message) in (words(), maybe(words()), maybe(words()), maybe(words())),
        (fee, fee_currency, reduce_only) in (maybe(amount()), maybe(words()), any::<bool>()),
        (created_at, sent_at, updated_at) in (moment(), maybe(moment()), moment()),
    ) -> Record {
        Record::Order(OrderRecord {
            venue, product, side, order_type, quantity, filled_quantity, price, average_price, state,
            venue_order_id, code, message, fee, fee_currency, reduce_only, created_at, sent_at,
            updated_at, ..order(number, leg, account)
        })
    }
}

prop_compose! {
    fn fills()(
        (number, account, side) in (0u8..6, account(), select(vec![Side::Buy, Side::Sell])),
        (quantity, price, fee, fee_currency) in (quantity(), price(), maybe(amount()), maybe(words())),
        filled_at in moment(),
    ) -> Record {
        Record::Fill(FillRecord {
            side, quantity, price, fee, fee_currency, filled_at, ..fill(number, account)
        })
    }
}

prop_compose! {
    fn positions()(
        (symbol, account) in (select(vec!["BTCUSDT", "ETHUSDT"]), account()),
        product in select(vec![Product::Linear, Product::Spot]),
        side in maybe(select(vec![PositionSide::Long, PositionSide::Short])),
        (quantity, entry_price, leverage) in (quantity(), maybe(price()), maybe(amount())),
        (unrealised_pnl, updated_at) in (maybe(amount()), moment()),
    ) -> Record {
        Record::Position(PositionRecord {
            side, quantity, entry_price, leverage: leverage.map(Amount::get), unrealised_pnl, updated_at,
            ..position(symbol, product, account)
        })
    }
}

/// Rows of an outbox: of one key, one content for each revision, as a Ledger writes them.
fn outbox() -> impl Strategy<Value = Vec<OutboxRow>> {
    let record = prop_oneof![signals(), orders(), fills(), positions()];
    let revision = prop_oneof![0u64..6, Just(Revision::MAX.get())];
    proptest::collection::vec((revision, record), 1..30).prop_map(|rows| {
        rows.into_iter()
            .map(|(revision, record)| ((record.key(), revision), at_revision(revision, record)))
            .collect::<BTreeMap<_, _>>()
            .into_values()
            .collect()
    })
}

fn highest(rows: &[OutboxRow]) -> BTreeMap<String, OutboxRow> {
    let mut expected: BTreeMap<String, OutboxRow> = BTreeMap::new();
    for row in rows {
        let kept = expected
            .entry(row.record.key())
            .or_insert_with(|| row.clone());
        if row.revision > kept.revision {
            *kept = row.clone();
        }
    }
    expected
}

proptest! {
    #[test]
    fn whatever_the_order_and_the_repetitions_the_highest_revision_stays(
        (rows, delivered) in outbox().prop_flat_map(|rows| {
            let twice: Vec<_> = rows.iter().chain(&rows).cloned().collect();
            (Just(rows.clone()), (Just(twice).prop_shuffle(), proptest::collection::vec(select(rows), 0..10))
                .prop_map(|(mut shuffled, late)| { shuffled.extend(late); shuffled }))
        }),
        size in 1..12usize,
        numbers in select(vec![Numbers::Whole, Numbers::JavaScript]),
    ) {
        let database = Database::new(numbers);
        for rows in delivered.chunks(size) {
            database.store_all(rows);
        }
        prop_assert_eq!(database.dump(), highest(&rows));
    }

    #[test]
    fn a_page_follows_another_without_gap_or_repetition_while_rows_are_stored(
        present in proptest::collection::btree_set(0u8..80, 0..40),
        later in proptest::collection::vec(0u8..80, 0..40),
        limit in 1u32..8,
        of_one_account: bool,
    ) {
        let database = Database::new(Numbers::JavaScript);
        let account = |number: u8| if number.is_multiple_of(3) { "acc-1" } else { "acc-2" };
        let mut revision = 0;
        let mut put = |number: u8| {
            revision += 1;
            database.store(&at_revision(revision, order(number, 0, account(number))));
            database.store(&at_revision(revision, signal(number, account(number))));
            let symbol = format!("C{number}USDT");
            database.store(&at_revision(revision, position(&symbol, Product::Spot, account(number))));
        };
        present.iter().copied().for_each(&mut put);
        let only = of_one_account.then_some("acc-1");
        let wanted: BTreeSet<u8> = present.iter().copied()
            .filter(|&number| !of_one_account || account(number) == "acc-1")
            .collect();

        let mut seen = (Vec::new(), Vec::new(), Vec::new());
        let only = only.map(|id| id.parse().unwrap());
        let mut signals = Some(SignalQuery::new(only.clone(), Some(limit), None).unwrap());
        let mut orders = Some(OrderQuery::new(only.clone(), Some(limit), None).unwrap());
        let mut positions = Some(PositionQuery::new(only, Some(limit), None).unwrap());
        let mut later = later.into_iter();
        while signals.is_some() || orders.is_some() || positions.is_some() {
            advance(&database, &mut signals, &mut seen.0);
            advance(&database, &mut orders, &mut seen.1);
            advance(&database, &mut positions, &mut seen.2);
            later.by_ref().take(3).for_each(&mut put);
        }

        let mut ids: Vec<_> = seen.0.iter().map(|r| r.id.clone()).collect();
        prop_assert!(ids.is_sorted_by(|a, b| a > b), "newest first, each once");
        ids.retain(|id| wanted.iter().any(|&n| signal_id(n) == *id));
        prop_assert_eq!(ids.len(), wanted.len());

        let mut ids: Vec<_> = seen.1.iter().map(|r| r.client_order_id.clone()).collect();
        prop_assert!(ids.is_sorted_by(|a, b| a > b), "newest first, each once");
        ids.retain(|id| wanted.iter().any(|&n| order(n, 0, "x").client_order_id == *id));
        prop_assert_eq!(ids.len(), wanted.len());

        let mut ids: Vec<_> = seen.2.iter().map(|r| (r.account_id.clone(), r.symbol.clone())).collect();
        prop_assert!(ids.is_sorted_by(|a, b| a < b), "by account and symbol, each once");
        ids.retain(|(_, id)| wanted.iter().any(|n| format!("C{n}USDT") == id.as_str()));
        prop_assert_eq!(ids.len(), wanted.len());
    }

    #[test]
    fn cursors_survive_the_way_out_and_back(rows in outbox()) {
        for row in rows {
            match row.record {
                Record::Signal(record) => returns(&record)?,
                Record::Order(record) => returns(&record)?,
                Record::Fill(_) => {}
                Record::Position(record) => returns(&record)?,
            }
        }
    }

    #[test]
    fn text_that_is_no_cursor_is_refused(text in ".{0,40}") {
        prop_assert_eq!(SignalQuery::new(None, None, Some(&text)), Err(QueryError::Cursor));
    }
}

/// Fetches the next page, if there is one left.
fn advance<R: Listed>(database: &Database, query: &mut Option<Query<R>>, seen: &mut Vec<R>) {
    if let Some(asked) = query.take() {
        let page = database.page(&asked).unwrap();
        seen.extend(page.items);
        *query = page.next_cursor.map(|cursor| Query {
            cursor: Some(cursor),
            ..asked
        });
    }
}

fn returns<R: Listed + PartialEq + core::fmt::Debug>(record: &R) -> Result<(), TestCaseError> {
    let cursor = Cursor::<R>::at(record);
    let text = cursor.to_string();
    prop_assert!(
        text.bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    );
    prop_assert_eq!(text.parse::<Cursor<R>>(), Ok(cursor));
    Ok(())
}

#[test]
fn a_lower_or_equal_revision_changes_nothing() {
    let database = Database::new(Numbers::JavaScript);
    let sent = OrderRecord {
        state: "sending".to_owned(),
        ..order(1, 0, "acc-1")
    };
    assert_eq!(database.store(&at_revision(5, sent.clone())), 1);
    assert_eq!(database.store(&at_revision(4, order(1, 0, "acc-1"))), 0);
    assert_eq!(database.store(&at_revision(5, order(1, 0, "acc-1"))), 0);
    assert_eq!(
        database.all::<OrderRecord>(None, 10),
        core::slice::from_ref(&sent)
    );
    let filled = OrderRecord {
        state: "filled".to_owned(),
        ..sent
    };
    assert_eq!(database.store(&at_revision(6, filled.clone())), 1);
    assert_eq!(database.all::<OrderRecord>(None, 10), [filled]);
}

#[test]
fn an_exact_page_has_no_next_one() {
    let database = Database::new(Numbers::Whole);
    for number in 0..4 {
        database.store(&at_revision(1, signal(number, "acc-1")));
    }
    let page = |limit| {
        let query = SignalQuery::new(None, Some(limit), None).unwrap();
        database.page(&query).unwrap()
    };
    assert_eq!(page(4).items.len(), 4);
    assert_eq!(page(4).next_cursor, None);
    assert_eq!(page(3).items.len(), 3);
    assert!(page(3).next_cursor.is_some());
    assert_eq!(SignalQuery::default().limit.get(), 50);
}

#[test]
fn cursors_are_parsed_strictly() {
    let encode = |json: &str| data_encoding::BASE64URL_NOPAD.encode(json.as_bytes());
    let id = signal_id(1);
    let good = encode(&format!(r#"["signal","{id}"]"#));
    assert!(good.parse::<Cursor<SignalRecord>>().is_ok());
    for bad in [
        String::new(),
        "!".to_owned(),
        format!("{good}=="),
        format!(" {good}"),
        good.to_lowercase(),
        encode(""),
        encode("null"),
        encode(&format!(r#"["signal", "{id}"]"#)),
        encode(&format!(r#"["order","{id}"]"#)),
        encode(r#"["signal","' OR 1=1 --"]"#),
        encode(r#"["signal",1]"#),
        encode(&format!(r#"["signal","{id}","x"]"#)),
        "A".repeat(5000),
    ] {
        assert_eq!(
            bad.parse::<Cursor<SignalRecord>>().unwrap_err(),
            QueryError::Cursor,
            "{bad}"
        );
        let error = PositionQuery::new(None, None, Some(&bad)).unwrap_err();
        assert_eq!(error.field(), "cursor");
    }
    assert!(
        good.parse::<Cursor<OrderRecord>>().is_err(),
        "of another listing"
    );
    assert_eq!(
        QueryError::Cursor.to_string(),
        "cursor is not one that this listing returned: use the nextCursor of the page before, or leave it out to begin with the first page"
    );
}

#[test]
fn limits_are_from_1_to_100() {
    for (text, rows) in [("1", 1), ("100", 100), ("050", 50)] {
        assert_eq!(text.parse::<Limit>().unwrap().get(), rows);
    }
    for text in [
        "0",
        "101",
        "",
        "-1",
        "+5",
        "1.5",
        "ten",
        "99999999999999999999",
    ] {
        assert!(text.parse::<Limit>().is_err(), "{text}");
    }
    assert_eq!(
        OrderQuery::new(None, Some(101), None)
            .unwrap_err()
            .to_string(),
        "limit is 101: use a whole number from 1 to 100"
    );
}

/// One row of each kind.
fn one_of_each() -> [OutboxRow; 4] {
    [
        at_revision(1, signal(1, "acc-1")),
        at_revision(1, order(1, 0, "acc-1")),
        at_revision(1, fill(1, "acc-1")),
        at_revision(1, position("BTCUSDT", Product::Linear, "acc-1")),
    ]
}

fn listings<R: Listed>(first: &R) -> Vec<Statement> {
    let mut all = Vec::new();
    for account in [None, Some("acc-1".parse().unwrap())] {
        for cursor in [None, Some(Cursor::at(first))] {
            all.push(
                Query::<R> {
                    account: account.clone(),
                    limit: Limit::MAX,
                    cursor,
                }
                .statement(),
            );
        }
    }
    all
}

fn every_listing() -> Vec<Statement> {
    [
        listings(&signal(1, "acc-1")),
        listings(&order(1, 0, "acc-1")),
        listings(&position("BTCUSDT", Product::Linear, "acc-1")),
    ]
    .concat()
}

#[test]
fn statements_have_as_many_parameters_as_placeholders_and_at_most_100() {
    let database = Database::new(Numbers::Whole);
    for statement in upserts(&one_of_each()).into_iter().chain(every_listing()) {
        let expected = database
            .connection
            .prepare(statement.sql())
            .unwrap()
            .parameter_count();
        assert_eq!(statement.params().len(), expected, "{}", statement.sql());
        assert!((1..=100).contains(&expected));
    }
}

#[test]
fn listings_read_in_the_order_of_an_index() {
    let database = Database::new(Numbers::Whole);
    for statement in every_listing() {
        let plan = database.rows(
            &format!("EXPLAIN QUERY PLAN {}", statement.sql()),
            statement.params(),
        );
        assert_eq!(plan.len(), 1, "{plan:?}");
        let detail = plan[0]["detail"].as_str().unwrap();
        assert!(
            detail.starts_with("SEARCH "),
            "{detail}: {}",
            statement.sql()
        );
    }
}

#[test]
fn tables_are_strict_and_hold_text_and_whole_numbers_only() {
    let database = Database::new(Numbers::JavaScript);
    let tables = database.rows(
        "SELECT name, strict FROM pragma_table_list WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name NOT LIKE 'audit_%' ORDER BY name",
        &[],
    );
    assert_eq!(
        tables,
        ["fills", "orders", "positions", "retention", "signals"]
            .map(|name| json!({"name": name, "strict": 1}))
    );
    for row in one_of_each() {
        database.store(&row);
    }
    let whole = [
        "revision",
        "received_at",
        "updated_at",
        "created_at",
        "sent_at",
        "filled_at",
        "dry_run",
        "reduce_only",
        "leg",
    ];
    for table in ["fills", "orders", "positions", "signals"] {
        let columns = database.rows(
            &format!("SELECT name, type FROM pragma_table_info('{table}')"),
            &[],
        );
        for column in columns {
            let name = column["name"].as_str().unwrap();
            let expected = if whole.contains(&name) {
                "INTEGER"
            } else {
                "TEXT"
            };
            assert_eq!(column["type"], expected, "{table}.{name}");
            let stored = database.rows(&format!("SELECT typeof({name}) AS t FROM {table}"), &[]);
            let stored = stored[0]["t"].as_str().unwrap();
            assert!(
                stored == "null" || stored.eq_ignore_ascii_case(expected),
                "{table}.{name} is {stored}"
            );
        }
    }
    let text_as_time = "UPDATE signals SET received_at = 'soon'";
    assert!(database.connection.execute(text_as_time, []).is_err());
}

#[test]
fn a_row_that_is_no_record_is_named() {
    let database = Database::new(Numbers::Whole);
    database.store(&at_revision(1, order(1, 0, "acc-1")));
    for (change, expected) in [
        (
            "price = '0'",
            "orders.price holds '0', which this version cannot read",
        ),
        (
            "price = NULL, side = 'hold'",
            "orders.side holds 'hold', which this version cannot read",
        ),
        (
            "side = 'buy', reduce_only = 2",
            "orders.reduce_only holds '2', which this version cannot read",
        ),
        (
            "reduce_only = 0, leg = -1",
            "orders.leg holds '-1', which this version cannot read",
        ),
    ] {
        database
            .connection
            .execute(&format!("UPDATE orders SET {change}"), [])
            .unwrap();
        let error = database.page(&OrderQuery::default()).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn moments_beyond_javascript_are_kept_within() {
    let database = Database::new(Numbers::JavaScript);
    for (number, at) in [(1, i64::MIN), (2, i64::MAX)] {
        let record = FillRecord {
            filled_at: Timestamp::from_millis(at),
            ..fill(number, "acc-1")
        };
        database.store(&at_revision(1, record));
    }
    let times: Vec<i64> = database
        .fills()
        .iter()
        .map(|fill| fill.filled_at.as_millis())
        .collect();
    let limit = Revision::MAX.as_i64();
    assert_eq!(times, [-limit, limit]);
}

#[test]
fn every_index_is_read_by_a_listing_or_is_a_key() {
    let database = Database::new(Numbers::Whole);
    let found = database.rows(
        "SELECT name FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL ORDER BY name",
        &[],
    );
    let named: Vec<&str> = found
        .iter()
        .map(|row| row["name"].as_str().unwrap())
        .collect();
    let plans: Vec<String> = every_listing()
        .iter()
        .flat_map(|statement| {
            let sql = format!("EXPLAIN QUERY PLAN {}", statement.sql());
            database.rows(&sql, statement.params())
        })
        .map(|step| step["detail"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(named, ["orders_by_account", "signals_by_account"]);
    for name in named {
        let reads = format!("INDEX {name} ");
        assert!(plans.iter().any(|plan| plan.contains(&reads)), "{plans:?}");
    }
}

#[test]
fn records_of_the_version_before_are_kept() {
    let database = Database::earlier(3);
    for (account, fill, order) in [
        ("acc-1", "exec/1", 2),
        ("acc-2", "exec/1", 1),
        ("acc-1", "exec/0", 2),
    ] {
        let order = order_id(order);
        let sql = format!(
            "INSERT INTO fills (account_id, fill_id, revision, client_order_id, venue, symbol, product, side, \
             quantity, price, fee, fee_currency, filled_at) VALUES ('{account}', '{fill}', 5, '{order}', 'bybit', \
             'BTCUSDT', 'linear', 'buy', '0.01', '65000.1', NULL, NULL, 7)"
        );
        database.connection.execute(&sql, []).unwrap();
    }
    let others = [
        at_revision(1, signal(1, "acc-1")),
        at_revision(1, order(1, 0, "acc-1")),
        at_revision(1, position("BTCUSDT", Product::Linear, "acc-1")),
    ];
    database.store_all(&others);
    database.migrate(4..);
    let keys: Vec<_> = database
        .fills()
        .into_iter()
        .map(|fill| (fill.account_id.to_string(), fill.fill_id, fill.price))
        .collect();
    let price: Price = "65000.1".parse().unwrap();
    let wanted = [
        ("acc-2", "exec/1"),
        ("acc-1", "exec/0"),
        ("acc-1", "exec/1"),
    ];
    assert_eq!(
        keys,
        wanted.map(|(account, fill)| (account.to_owned(), fill.to_owned(), price))
    );
    assert_eq!(database.dump().len(), 6);
    // Revisions count as before.
    let again = |revision| {
        at_revision(
            revision,
            FillRecord {
                client_order_id: order_id(2),
                ..fill(1, "acc-1")
            },
        )
    };
    assert_eq!(database.store(&again(5)), 0);
    assert_eq!(database.store(&again(6)), 1);
    assert_eq!(database.fills().len(), 3);
}

fn order_id(number: u8) -> ClientOrderId {
    order(number, 0, "x").client_order_id
}
