//! Tables of an earlier version, in the middle of open work.

use hoox_exchange::ErrorClass;
use hoox_mesh::SignalStatus;
use hoox_store::{Record, Value};

use crate::world::{Call, Host, MINUTE, When, error};

const LONG: &str = r#"{"symbol":"BTCUSDT","action":"LONG","quantity":1}"#;
const MORE: &str = r#"{"symbol":"BTCUSDT","action":"LONG","quantity":2}"#;
const RESTS: &str =
    r#"{"symbol":"ETHUSDT","action":"LONG","quantity":1,"orderType":"limit","price":90}"#;

/// The tables as version 5 had them, with the same rows: every order and every record had a row of its own in the outbox.
const VERSION_5: [&str; 4] = [
    "ALTER TABLE holding DROP COLUMN told",
    "ALTER TABLE holding DROP COLUMN told_revision",
    "INSERT INTO outbox SELECT 'order:' || client_order_id, 0, '' FROM orders",
    "UPDATE meta SET value = '5' WHERE key = 'schema'",
];

/// The tables as version 4 had them, made of those of version 5.
const VERSION_4: [&str; 21] = [
    "CREATE TABLE signal_old (
        seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, request_id TEXT NOT NULL UNIQUE,
        sender TEXT NOT NULL, product TEXT NOT NULL, symbol TEXT NOT NULL, entry INTEGER NOT NULL,
        status TEXT NOT NULL, open INTEGER NOT NULL, blocking INTEGER NOT NULL, due_at INTEGER NOT NULL,
        attempts INTEGER NOT NULL, received_at INTEGER NOT NULL, deadline INTEGER NOT NULL,
        revision INTEGER NOT NULL, data TEXT NOT NULL, dead INTEGER NOT NULL DEFAULT 0,
        closing INTEGER NOT NULL DEFAULT 0, holds_until INTEGER NOT NULL DEFAULT 0,
        fences TEXT NOT NULL DEFAULT '', strategy TEXT NOT NULL DEFAULT '', alert_at INTEGER) STRICT",
    "INSERT INTO signal_old SELECT * FROM signal",
    "DROP TABLE signal",
    "ALTER TABLE signal_old RENAME TO signal",
    "CREATE INDEX signal_due ON signal (due_at) WHERE open = 1",
    "CREATE INDEX signal_lane ON signal (product, symbol, seq) WHERE open = 1",
    "CREATE INDEX signal_entries ON signal (sender, received_at) WHERE entry = 1",
    "CREATE INDEX signal_dead ON signal (seq) WHERE dead = 1",
    "CREATE INDEX signal_ended ON signal (received_at) WHERE open = 0 AND dead = 0",
    "CREATE INDEX signal_fences ON signal (product, symbol, seq) WHERE fences <> ''",
    "CREATE INDEX signal_alert ON signal (sender, product, symbol, alert_at) WHERE alert_at IS NOT NULL",
    "CREATE INDEX signal_exits ON signal (sender) WHERE open = 1 AND entry = 0",
    "DROP INDEX orders_sent",
    "CREATE INDEX orders_sent ON orders (sent_at)",
    "CREATE INDEX orders_signal ON orders (signal_id, leg)",
    "CREATE TABLE lane (product TEXT NOT NULL, symbol TEXT NOT NULL, token TEXT NOT NULL,
        lease_until INTEGER NOT NULL, PRIMARY KEY (product, symbol)) STRICT, WITHOUT ROWID",
    "INSERT INTO lane VALUES ('linear', 'BTCUSDT', 'the instance before', 9000000000000)",
    "DELETE FROM meta WHERE key = 'epoch'",
    "INSERT OR REPLACE INTO meta VALUES ('outbox_due', '1780000012000')",
    "DELETE FROM outbox",
    "UPDATE meta SET value = '4' WHERE key = 'schema'",
];

#[test]
fn open_work_goes_on_with_the_tables_of_version_4() {
    goes_on_with(&[&VERSION_5, &VERSION_4]);
}

#[test]
fn open_work_goes_on_with_the_tables_of_version_5() {
    goes_on_with(&[&VERSION_5]);
}

fn goes_on_with(tables: &[&[&str]]) {
    let host = Host::new();
    host.fail(Call::PlaceOrder, When::After, error(ErrorClass::Unknown));
    let doubt = host.accept(LONG);
    host.drive();
    let rests = host.accept(RESTS);
    host.drive();
    let waits = host.accept(MORE);
    host.drive();
    for statement in tables.iter().copied().flatten() {
        host.sql(statement);
    }
    // A record that was waiting, as that version kept it.
    let told = r#"{"kind":"position","accountId":"acc-1","account":"main","venue":"bybit","symbol":"OLDUSDT","product":"linear","quantity":"0","updatedAt":1}"#;
    host.sql(&format!(
        "INSERT INTO outbox VALUES ('position:acc-1:OLDUSDT:linear', 7, '{told}')"
    ));
    let signals = "SELECT * FROM signal ORDER BY seq";
    let orders = "SELECT * FROM orders ORDER BY client_order_id";
    let before = (host.sql(signals), host.sql(orders));
    host.ledger();
    assert_eq!((host.sql(signals), host.sql(orders)), before);
    assert_eq!(
        host.sql("SELECT value FROM meta WHERE key = 'schema'"),
        [[Value::Text("6".to_owned())]]
    );
    host.settle_within(2 * MINUTE);
    for (id, status) in [
        (&doubt, SignalStatus::Filled),
        (&waits, SignalStatus::Filled),
        (&rests, SignalStatus::Acknowledged),
    ] {
        assert_eq!(host.status(id), status, "{id}");
    }
    assert_eq!(host.exchange.borrow().held("BTCUSDT").to_string(), "3");
    let old =
        |record: &Record| matches!(record, Record::Position(it) if it.symbol.as_str() == "OLDUSDT");
    assert_eq!(host.latest().iter().filter(|it| old(it)).count(), 1);
    host.check_books();
}
