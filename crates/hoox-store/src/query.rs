//! Listings: typed queries with keyset paging.
//!
//! A page begins after the last key of the page before, so a row is neither skipped nor repeated
//! while others are stored.

use core::fmt;
use core::str::FromStr;

use data_encoding::BASE64URL_NOPAD;
use hoox_model::{AccountId, ClientOrderId, Product, SignalId, Symbol};
use serde::de::DeserializeOwned;
use thiserror::Error;

use crate::row::{OrderRow, PositionRow, RowError, SignalRow};
use crate::table::{ORDER_PAGES, POSITION_PAGES, SIGNAL_PAGES};
use crate::{OrderRecord, PositionRecord, SignalRecord, Statement, Value};

/// Why a listing was not asked for properly.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum QueryError {
    /// Not a number of rows.
    #[error("limit is {0}: use a whole number from 1 to {max}", max = Limit::MAX.get())]
    Limit(String),
    /// Not a cursor of this listing.
    #[error(
        "cursor is not one that this listing returned: use the nextCursor of the page before, or leave it out to begin with the first page"
    )]
    Cursor,
}

impl QueryError {
    /// The parameter at fault.
    pub const fn field(&self) -> &'static str {
        match self {
            Self::Limit(_) => "limit",
            Self::Cursor => "cursor",
        }
    }
}

/// How many rows a page holds at most, from 1 to 100.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit(u32);

impl Limit {
    /// The largest page.
    pub const MAX: Self = Self(100);

    /// The number.
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl Default for Limit {
    fn default() -> Self {
        Self(50)
    }
}

impl TryFrom<u32> for Limit {
    type Error = QueryError;

    fn try_from(rows: u32) -> Result<Self, QueryError> {
        if (1..=Self::MAX.0).contains(&rows) {
            Ok(Self(rows))
        } else {
            Err(QueryError::Limit(rows.to_string()))
        }
    }
}

impl FromStr for Limit {
    type Err = QueryError;

    fn from_str(text: &str) -> Result<Self, QueryError> {
        let refuse =
            || QueryError::Limit(format!("'{}'", text.chars().take(20).collect::<String>()));
        if !text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(refuse());
        }
        text.parse::<u32>()
            .map_err(|_| refuse())
            .and_then(Self::try_from)
    }
}

mod sealed {
    use super::{Statement, Value};

    /// What a listing knows of its table. Private, so that no table is added from outside.
    pub trait Listing {
        /// What rows are ordered by; unique, and never changed once the row is stored.
        type Key: Clone
            + PartialEq
            + core::fmt::Debug
            + serde::Serialize
            + serde::de::DeserializeOwned;
        /// Names the listing in its cursors.
        const NAME: &'static str;
        /// SQL of a page, over all accounts.
        const PAGE: &'static str;
        /// SQL of a page of one account, which is the last placeholder.
        const PAGE_OF_ACCOUNT: &'static str;

        fn key(&self) -> Self::Key;
        /// The placeholders of the page's condition: after `key`, or from the beginning.
        fn after(key: Option<&Self::Key>) -> Vec<Value>;

        fn page(key: Option<&Self::Key>, limit: i64, account: Option<Value>) -> Statement {
            let mut params = Self::after(key);
            params.push(Value::Integer(limit));
            match account {
                None => Statement::new(Self::PAGE, params),
                Some(account) => {
                    params.push(account);
                    Statement::new(Self::PAGE_OF_ACCOUNT, params)
                }
            }
        }
    }
}

/// A record that can be listed.
pub trait Listed: sealed::Listing + TryFrom<Self::Row, Error = RowError> {
    /// The row it is read from, as D1 returns it.
    type Row: DeserializeOwned;
}

/// Longest cursor that is looked at.
const MAX_CURSOR: usize = 1024;

/// Where a page ended. Opaque text on the outside.
#[derive(Debug, Clone, PartialEq)]
pub struct Cursor<R: Listed>(R::Key);

impl<R: Listed> Cursor<R> {
    /// Where a page that ends with `last` ended.
    pub(crate) fn at(last: &R) -> Self {
        Self(last.key())
    }
}

impl<R: Listed> fmt::Display for Cursor<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let json = serde_json::to_vec(&(R::NAME, &self.0)).map_err(|_| fmt::Error)?;
        f.write_str(&BASE64URL_NOPAD.encode(&json))
    }
}

impl<R: Listed> FromStr for Cursor<R> {
    type Err = QueryError;

    fn from_str(text: &str) -> Result<Self, QueryError> {
        if text.len() > MAX_CURSOR {
            return Err(QueryError::Cursor);
        }
        let json = BASE64URL_NOPAD
            .decode(text.as_bytes())
            .map_err(|_| QueryError::Cursor)?;
        let (name, key): (String, R::Key) =
            serde_json::from_slice(&json).map_err(|_| QueryError::Cursor)?;
        let cursor = Self(key);
        // Only the one spelling that Hoox itself would use.
        if name == R::NAME && cursor.to_string() == text {
            Ok(cursor)
        } else {
            Err(QueryError::Cursor)
        }
    }
}

/// Asks for a page of a listing: newest first; positions by account, symbol and product.
#[derive(Debug, Clone, PartialEq)]
pub struct Query<R: Listed> {
    /// Only this account.
    pub account: Option<AccountId>,
    /// Rows of the page at most.
    pub limit: Limit,
    /// Continue where this page ended.
    pub cursor: Option<Cursor<R>>,
}

/// Asks for signals.
pub type SignalQuery = Query<SignalRecord>;
/// Asks for orders.
pub type OrderQuery = Query<OrderRecord>;
/// Asks for positions.
pub type PositionQuery = Query<PositionRecord>;

impl<R: Listed> Default for Query<R> {
    fn default() -> Self {
        Self {
            account: None,
            limit: Limit::default(),
            cursor: None,
        }
    }
}

impl<R: Listed> Query<R> {
    /// A query from what a request carries; 50 rows where it names no limit.
    ///
    /// # Errors
    /// [`QueryError`] where the limit is not from 1 to 100 or the cursor not of this listing.
    pub fn new(
        account: Option<AccountId>,
        limit: Option<u32>,
        cursor: Option<&str>,
    ) -> Result<Self, QueryError> {
        Ok(Self {
            account,
            limit: limit.map(Limit::try_from).transpose()?.unwrap_or_default(),
            cursor: cursor.map(str::parse).transpose()?,
        })
    }

    /// The statement to run. It asks for one row more than the page holds, to know whether
    /// another page follows.
    pub fn statement(&self) -> Statement {
        R::page(
            self.cursor.as_ref().map(|cursor| &cursor.0),
            i64::from(self.limit.0).saturating_add(1),
            self.account.as_ref().map(Value::text),
        )
    }

    /// The page from what the statement returned.
    ///
    /// # Errors
    /// [`RowError`] where a row is no record.
    pub fn page(&self, rows: Vec<R::Row>) -> Result<Page<R>, RowError> {
        let size = usize::try_from(self.limit.0).unwrap_or(usize::MAX);
        let more = rows.len() > size;
        let items = rows
            .into_iter()
            .take(size)
            .map(R::try_from)
            .collect::<Result<Vec<R>, RowError>>()?;
        let next_cursor = if more {
            items.last().map(Cursor::at)
        } else {
            None
        };
        Ok(Page { items, next_cursor })
    }
}

/// A page of a listing.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<R: Listed> {
    /// The records.
    pub items: Vec<R>,
    /// Where the next page begins; `None` when this is the last one.
    pub next_cursor: Option<Cursor<R>>,
}

/// Above every id: ids are letters, digits, '-' and '_'.
const AFTER_IDS: &str = "~";

impl sealed::Listing for SignalRecord {
    type Key = SignalId;
    const NAME: &'static str = "signal";
    const PAGE: &'static str = SIGNAL_PAGES.all;
    const PAGE_OF_ACCOUNT: &'static str = SIGNAL_PAGES.of_account;

    fn key(&self) -> SignalId {
        self.id.clone()
    }

    fn after(key: Option<&SignalId>) -> Vec<Value> {
        vec![Value::text(key.map_or(AFTER_IDS, SignalId::as_str))]
    }
}

impl Listed for SignalRecord {
    type Row = SignalRow;
}

impl sealed::Listing for OrderRecord {
    type Key = ClientOrderId;
    const NAME: &'static str = "order";
    const PAGE: &'static str = ORDER_PAGES.all;
    const PAGE_OF_ACCOUNT: &'static str = ORDER_PAGES.of_account;

    fn key(&self) -> ClientOrderId {
        self.client_order_id.clone()
    }

    fn after(key: Option<&ClientOrderId>) -> Vec<Value> {
        vec![Value::text(key.map_or(AFTER_IDS, ClientOrderId::as_str))]
    }
}

impl Listed for OrderRecord {
    type Row = OrderRow;
}

impl sealed::Listing for PositionRecord {
    type Key = (AccountId, Symbol, Product);
    const NAME: &'static str = "position";
    const PAGE: &'static str = POSITION_PAGES.all;
    const PAGE_OF_ACCOUNT: &'static str = POSITION_PAGES.of_account;

    fn key(&self) -> Self::Key {
        (self.account_id.clone(), self.symbol.clone(), self.product)
    }

    fn after(key: Option<&Self::Key>) -> Vec<Value> {
        match key {
            None => vec![Value::text(""), Value::text(""), Value::text("")],
            Some((account, symbol, product)) => {
                vec![
                    Value::text(account),
                    Value::text(symbol),
                    Value::text(product),
                ]
            }
        }
    }
}

impl Listed for PositionRecord {
    type Row = PositionRow;
}
