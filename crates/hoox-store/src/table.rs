//! The SQL of each table, put together from one list of columns.

/// The statements of one table.
pub(crate) struct Table {
    /// Stores a row, one `?` for each column, in the order of the list below.
    pub(crate) upsert: &'static str,
    /// A page: `?1`… the key to continue after, then the limit.
    pub(crate) page: &'static str,
    /// A page of one account: as `page`, then the account.
    pub(crate) page_of_account: &'static str,
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
            upsert: concat!(
                "INSERT INTO ", stringify!($name), " (", stringify!($key) $(, ", ", stringify!($keys))*,
                ", revision" $(, ", ", stringify!($column))+, ") VALUES (?" $(, table!(@mark $keys))*,
                ", ?" $(, table!(@mark $column))+, ") ON CONFLICT (", stringify!($key)
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
    (@mark $column:ident) => { ", ?" };
    (@select $name:ident; $key:ident $(, $keys:ident)*; $($column:ident),+) => {
        concat!(
            "SELECT ", stringify!($key) $(, ", ", stringify!($keys))* $(, ", ", stringify!($column))+,
            " FROM ", stringify!($name)
        )
    };
}

pub(crate) const SIGNALS: Table = table!(
    signals;
    id;
    request_id, account_id, account, sender, action, symbol, state, code, message, received_at,
    updated_at, dry_run, strategy, order_id, comment, body;
    after "id < ?1", order "id DESC", limit "?2", account "?3"
);

pub(crate) const ORDERS: Table = table!(
    orders;
    client_order_id;
    signal_id, account_id, venue, symbol, product, leg, side, order_type, quantity, price,
    reduce_only, state, venue_order_id, filled_quantity, average_price, fee, fee_currency, code,
    message, created_at, sent_at, updated_at;
    after "client_order_id < ?1", order "client_order_id DESC", limit "?2", account "?3"
);

pub(crate) const FILLS: Table = table!(
    fills;
    account_id, fill_id;
    client_order_id, venue, symbol, product, side, quantity, price, fee, fee_currency, filled_at;
    after "(filled_at, fill_id, account_id) < (?1, ?2, ?3)",
    order "filled_at DESC, fill_id DESC, account_id DESC", limit "?4", account "?5"
);

pub(crate) const POSITIONS: Table = table!(
    positions;
    account_id, symbol, product;
    account, venue, side, quantity, entry_price, leverage, unrealised_pnl, updated_at;
    after "(account_id, symbol, product) > (?1, ?2, ?3)",
    order "account_id, symbol, product", limit "?4", account "?5"
);
