//! The SQL of each table, put together from one list of columns.

/// The statements of one table.
pub(crate) struct Table {
    /// `INSERT INTO` with the columns, in the order of the list below.
    insert: &'static str,
    /// How many columns these are.
    columns: usize,
    /// What becomes of a row that is there already.
    conflict: &'static str,
    /// A page: `?1`… the key to continue after, then the limit.
    pub(crate) page: &'static str,
    /// A page of one account: as `page`, then the account.
    pub(crate) page_of_account: &'static str,
}

impl Table {
    /// Stores rows, which are the one parameter: a JSON array of arrays, one value for each column. One statement,
    /// however many rows there are: the database counts the statements of a call.
    pub(crate) fn upsert(&self) -> String {
        let values: Vec<String> = (0..self.columns)
            .map(|place| format!("row.value ->> {place}"))
            .collect();
        // Without the WHERE, ON would belong to the SELECT.
        format!(
            "{} SELECT {} FROM json_each(?1) AS row WHERE true {}",
            self.insert,
            values.join(", "),
            self.conflict
        )
    }
}

/// `table!(name; key columns; other columns; page key, comparison, order, placeholders)`.
macro_rules! table {
    (
        $name:ident;
        $key:ident $(, $keys:ident)*;
        $($column:ident),+;
        after $after:literal, order $order:literal, limit $limit:literal, account $account:literal
    ) => {
        Table {
            insert: concat!(
                "INSERT INTO ", stringify!($name), " (", stringify!($key) $(, ", ", stringify!($keys))*,
                ", revision" $(, ", ", stringify!($column))+, ")"
            ),
            columns: [stringify!($key), $(stringify!($keys),)* "revision", $(stringify!($column)),+].len(),
            conflict: concat!(
                "ON CONFLICT (", stringify!($key)
                $(, ", ", stringify!($keys))*, ") DO UPDATE SET revision = excluded.revision"
                $(, ", ", stringify!($column), " = excluded.", stringify!($column))+,
                " WHERE excluded.revision > ", stringify!($name), ".revision"
            ),
            page: concat!(
                table!(@select $name; $key $(, $keys)*; $($column),+), " WHERE ", $after,
                " ORDER BY ", $order, " LIMIT ", $limit
            ),
            page_of_account: concat!(
                table!(@select $name; $key $(, $keys)*; $($column),+), " WHERE account_id = ", $account,
                " AND ", $after, " ORDER BY ", $order, " LIMIT ", $limit
            ),
        }
    };
    (@select $name:ident; $key:ident $(, $keys:ident)*; $($column:ident),+) => {
        concat!(
            "SELECT ", stringify!($key) $(, ", ", stringify!($keys))* $(, ", ", stringify!($column))+,
            " FROM ", stringify!($name)
        )
    };
}

pub(crate) static SIGNALS: Table = table!(
    signals;
    id;
    request_id, account_id, account, sender, action, symbol, state, code, message, received_at,
    updated_at, dry_run, strategy, order_id, comment, notes, reading, body;
    after "id < ?1", order "id DESC", limit "?2", account "?3"
);

pub(crate) static ORDERS: Table = table!(
    orders;
    client_order_id;
    signal_id, account_id, venue, symbol, product, leg, side, order_type, quantity, price,
    reduce_only, state, venue_order_id, filled_quantity, average_price, fee, fee_currency, code,
    message, created_at, sent_at, updated_at;
    after "client_order_id < ?1", order "client_order_id DESC", limit "?2", account "?3"
);

pub(crate) static FILLS: Table = table!(
    fills;
    account_id, fill_id;
    client_order_id, venue, symbol, product, side, quantity, price, fee, fee_currency, filled_at;
    after "(filled_at, fill_id, account_id) < (?1, ?2, ?3)",
    order "filled_at DESC, fill_id DESC, account_id DESC", limit "?4", account "?5"
);

pub(crate) static POSITIONS: Table = table!(
    positions;
    account_id, symbol, product;
    account, venue, side, quantity, entry_price, leverage, unrealised_pnl, updated_at;
    after "(account_id, symbol, product) > (?1, ?2, ?3)",
    order "account_id, symbol, product", limit "?4", account "?5"
);
