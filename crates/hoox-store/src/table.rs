//! The SQL of each table, put together from one list of columns.

/// How the rows of one table are stored.
pub(crate) struct Table {
    /// `INSERT INTO` with the columns, in the order of the list below.
    insert: &'static str,
    /// How many columns these are.
    columns: usize,
    /// What becomes of a row that is there already.
    conflict: &'static str,
}

/// How the rows of one table are listed.
pub(crate) struct Pages {
    /// A page: `?1`… the key to continue after, then the limit.
    pub(crate) all: &'static str,
    /// A page of one account: as `all`, then the account.
    pub(crate) of_account: &'static str,
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

/// `table!(name; key columns; other columns)`.
macro_rules! table {
    ($name:ident; $key:ident $(, $keys:ident)*; $($column:ident),+) => {
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
        }
    };
}

/// `listed!(TABLE, PAGES, name; key columns; other columns; page key, comparison, order, placeholders)`.
macro_rules! listed {
    (
        $table:ident, $pages:ident, $name:ident;
        $key:ident $(, $keys:ident)*;
        $($column:ident),+;
        after $after:literal, order $order:literal, limit $limit:literal, account $account:literal
    ) => {
        pub(crate) static $table: Table = table!($name; $key $(, $keys)*; $($column),+);

        pub(crate) static $pages: Pages = Pages {
            all: concat!(
                listed!(@select $name; $key $(, $keys)*; $($column),+), " WHERE ", $after,
                " ORDER BY ", $order, " LIMIT ", $limit
            ),
            of_account: concat!(
                listed!(@select $name; $key $(, $keys)*; $($column),+), " WHERE account_id = ", $account,
                " AND ", $after, " ORDER BY ", $order, " LIMIT ", $limit
            ),
        };
    };
    (@select $name:ident; $key:ident $(, $keys:ident)*; $($column:ident),+) => {
        concat!(
            "SELECT ", stringify!($key) $(, ", ", stringify!($keys))* $(, ", ", stringify!($column))+,
            " FROM ", stringify!($name)
        )
    };
}

listed!(
    SIGNALS, SIGNAL_PAGES, signals;
    id;
    request_id, account_id, account, sender, action, symbol, state, code, message, received_at,
    updated_at, dry_run, strategy, order_id, comment, notes, reading, body;
    after "id < ?1", order "id DESC", limit "?2", account "?3"
);

listed!(
    ORDERS, ORDER_PAGES, orders;
    client_order_id;
    signal_id, account_id, venue, symbol, product, leg, side, order_type, quantity, price,
    reduce_only, state, venue_order_id, filled_quantity, average_price, fee, fee_currency, code,
    message, created_at, sent_at, updated_at;
    after "client_order_id < ?1", order "client_order_id DESC", limit "?2", account "?3"
);

/// Stored and kept, and read by nothing of Hoox.
pub(crate) static FILLS: Table = table!(
    fills;
    client_order_id, account_id, fill_id;
    venue, symbol, product, side, quantity, price, fee, fee_currency, filled_at
);

listed!(
    POSITIONS, POSITION_PAGES, positions;
    account_id, symbol, product;
    account, venue, side, quantity, entry_price, leverage, unrealised_pnl, updated_at;
    after "(account_id, symbol, product) > (?1, ?2, ?3)",
    order "account_id, symbol, product", limit "?4", account "?5"
);
