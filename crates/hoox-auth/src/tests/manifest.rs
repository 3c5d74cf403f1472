//! What makes a document a manifest.

use hoox_model::{Product, Venue};
use serde_json::{Value, json};

use super::{DEMO_HASH, DEMO_SALT, account, document, key, parse, problems, sender};
use crate::{Account, EntryRate, Environment, LocationHint, MAX_BYTES, Manifest, ROWS_A_DAY};

/// A document that uses every field.
fn full() -> Value {
    json!({
        "version": 7,
        "ranges": ["52.89.214.238/32", "203.0.113.0/24", "2001:db8::/32"],
        "corsOrigins": ["https://desk.example", "https://desk.example:8443", "http://localhost:5173"],
        "senders": [{
            "id": "demo", "permission": "trade", "accounts": ["demo", "sub"], "namespaces": ["main"],
            "defaultAccount": "demo",
            "keys": [
                {"salt": DEMO_SALT, "hash": DEMO_HASH, "expires": "2026-06-01T00:00:00.000Z"},
                {"salt": DEMO_SALT, "hash": "ab".repeat(32), "notBefore": "2026-05-31T00:00:00.000Z"},
            ],
            "ranges": ["127.0.0.0/8"],
            "entryRate": {"count": 5, "seconds": 10},
            "notBefore": "2026-01-01T00:00:00.000Z", "expires": "2027-01-01T00:00:00.000Z",
        }, {
            "id": "viewer", "permission": "read", "accounts": ["*"], "keys": [key()],
            "entryRate": {"count": 60, "seconds": 60},
        }],
        "accounts": [{
            "id": "demo-bybit", "name": "demo", "namespace": "main", "venue": "bybit",
            "environment": "live", "generation": 3, "defaultProduct": "spot", "locationHint": "apac",
            "baseUrl": "https://api.bytick.com", "secretSuffix": "SUB1", "default": true,
        }, {
            "id": "sub-bybit", "name": "sub", "namespace": "main", "venue": "bybit",
            "environment": "sim", "generation": 1, "defaultProduct": "linear",
            "baseUrl": "http://127.0.0.1:8787",
            "limits": {
                "maxOpenPositions": 3, "maxDailyLoss": "250.5", "maxPositionNotional": "1000",
                "maxOrdersPerMinute": 20,
                "symbols": {"BTCUSDT": {"maxPositionNotional": "5000"}, "ETHUSDT": {"maxOrdersPerMinute": 4}},
            },
        }],
    })
}

#[test]
fn every_field_reads_and_is_written_back() {
    let document = full();
    let manifest = parse(&document);
    assert_eq!(serde_json::to_value(&manifest).unwrap(), document);
    assert_eq!(Manifest::parse(&document.to_string()).unwrap(), manifest);

    let account = &manifest.accounts[0];
    assert_eq!(account.venue, Venue::Bybit);
    assert_eq!(account.environment, Environment::Live);
    assert_eq!(account.default_product, Product::Spot);
    assert_eq!(account.location_hint, Some(LocationHint::Apac));
    assert_eq!(manifest.account(&account.id), Some(account));
    assert_eq!(
        manifest.sender(&"viewer".parse().unwrap()),
        Some(&manifest.senders[1])
    );
    let wire = serde_json::to_string(account).unwrap();
    assert_eq!(serde_json::from_str::<Account>(&wire).unwrap(), *account);
}

#[test]
fn the_rows_of_a_day_are_a_number_or_none() {
    let read = |rows: Option<Value>| {
        let mut document = full();
        if let Some(rows) = rows {
            document["rowsADay"] = rows;
        }
        let manifest = parse(&document);
        let again = serde_json::to_string(&manifest).unwrap();
        assert_eq!(Manifest::parse_strict(&again).unwrap(), manifest);
        (manifest.rows_a_day, again.contains("rowsADay"))
    };
    assert_eq!(read(None), (Some(ROWS_A_DAY), false));
    assert_eq!(read(Some(json!(100_000))), (Some(100_000), false));
    assert_eq!(read(Some(json!(1_000))), (Some(1_000), true));
    assert_eq!(read(Some(Value::Null)), (None, true));
    for wrong in [
        json!(999),
        json!(-1),
        json!(1000.5),
        json!("1000"),
        json!(false),
    ] {
        let mut document = full();
        document["rowsADay"] = wrong;
        assert_eq!(
            problems(&document),
            [
                "rowsADay: must be a whole number from 1000, or null on a plan that does not limit the rows of a day"
            ]
        );
    }
}

#[test]
fn an_origin_is_exact() {
    for wrong in [
        "*",
        "null",
        "https://*.example",
        "https://desk.example/",
        "https://Desk.example",
        "https://desk.example:443",
        "http://desk.example",
        "http://localhost:80",
        "desk.example",
        "ftp://desk.example",
        "https://desk.example:0",
        "https://",
        "",
    ] {
        let mut document = full();
        document["corsOrigins"] = json!([wrong]);
        assert_eq!(
            problems(&document),
            [
                "corsOrigins[0]: must be one exact origin such as https://desk.example, without path, wildcard or default port"
            ],
            "{wrong}"
        );
    }
}

#[test]
fn what_is_left_out_has_a_documented_value() {
    let manifest = parse(&document(
        &[sender("demo", &["*"])],
        &[json!({"id": "a", "name": "a", "venue": "bybit", "environment": "live"})],
    ));
    let (sender, account) = (&manifest.senders[0], &manifest.accounts[0]);
    assert_eq!(
        sender.entry_rate,
        EntryRate {
            count: 60,
            seconds: 60
        }
    );
    assert_eq!((account.generation, account.default), (1, false));
    assert_eq!(account.default_product, Product::Linear);
}

#[test]
fn ledgers_and_secrets_are_named_by_account() {
    let manifest = parse(&document(
        &[],
        &[
            json!({"id": "a", "name": "x", "venue": "bybit", "environment": "live"}),
            json!({"id": "b", "name": "y", "venue": "bybit", "environment": "testnet", "generation": 2}),
            json!({"id": "c", "name": "z", "venue": "mexc", "environment": "live", "secretSuffix": "SUB1"}),
            account("sim", "bybit", "sim"),
        ],
    ));
    let names: Vec<_> = manifest
        .accounts
        .iter()
        .map(|account| {
            (
                account.ledger_name(),
                account.secret_names().0,
                account.secret_names().1,
            )
        })
        .collect();
    let expected = [
        ("a/live/1", "BYBIT_API_KEY", "BYBIT_API_SECRET"),
        (
            "b/testnet/2",
            "BYBIT_TESTNET_API_KEY",
            "BYBIT_TESTNET_API_SECRET",
        ),
        ("c/live/1", "MEXC_API_KEY__SUB1", "MEXC_API_SECRET__SUB1"),
        ("sim-id/sim/1", "BYBIT_SIM_API_KEY", "BYBIT_SIM_API_SECRET"),
    ];
    assert_eq!(
        names,
        expected.map(|(a, b, c)| (a.to_owned(), b.to_owned(), c.to_owned()))
    );
}

/// Every refusal as an operator sees it.
#[test]
fn problems_name_their_place_and_what_to_do() {
    let mut bad = full();
    bad["versoin"] = json!(1);
    bad["version"] = json!(0);
    bad["ranges"] = json!(["*", "10.0.0.0/33", 7]);
    bad["senders"][0] = json!({
        "id": "de mo", "permission": "admin", "account": ["demo"], "namespaces": "main",
        "keys": [
            {"salt": "00", "hash": DEMO_SALT, "expire": "2026-06-01T00:00:00Z"},
            {"salt": "zz", "notBefore": "soon", "expires": 1.5},
        ],
        "entryRate": {"count": 0, "per": 60},
        "notBefore": "2026-02-01T00:00:00Z", "expires": "2026-01-01T00:00:00Z",
    });
    bad["senders"][1]["keys"] = json!([]);
    bad["senders"][1]["accounts"] = json!(["*", "a b"]);
    bad["accounts"][0] = json!({
        "id": "a", "name": "a", "venue": "ftx", "environment": "paper", "generation": 0,
        "defaultProduct": "inverse", "locationHint": "moon", "secretSuffix": "sub1", "default": "yes",
    });
    bad["accounts"][1]["baseUrl"] = Value::Null;
    insta::assert_snapshot!(problems(&bad).join("\n"));
}

#[test]
fn limits_that_cannot_be_are_named() {
    let mut bad = full();
    bad["accounts"][1]["limits"] = json!({
        "maxOpenPositions": 0, "maxDailyLoss": 0, "maxPositionNotional": 10.5, "maxOrders": 1,
        "maxOrdersPerMinute": "20",
        "symbols": {"BTC USDT": {}, "ETHUSDT": {"maxDailyLoss": "1"}, "SOLUSDT": 7},
    });
    insta::assert_snapshot!(problems(&bad).join("\n"));
    bad["accounts"][1]["limits"] = json!({"maxDailyLoss": 250});
    let whole = parse(&bad).accounts[1].limits.clone();
    assert_eq!(whole.max_daily_loss, Some("250".parse().unwrap()));
    bad["accounts"][1]["limits"] = json!([]);
    assert_eq!(
        problems(&bad),
        ["accounts[1].limits: must be an object, not a list"]
    );
}

#[test]
fn the_operators_name_is_reserved() {
    let mut bad = full();
    bad["senders"][1]["id"] = json!("operator");
    let found = problems(&bad);
    assert_eq!(found.len(), 1);
    assert!(
        found[0].starts_with("senders[1].id: 'operator' is what"),
        "{found:?}"
    );
}

#[test]
fn entries_must_fit_together() {
    let mut same = full();
    same["senders"][1]["id"] = json!("demo");
    same["senders"][1]["accounts"] = json!(["nobody"]);
    same["senders"][1]["defaultAccount"] = json!("demo");
    same["accounts"][1]["id"] = json!("demo-bybit");
    same["accounts"][1]["name"] = json!("demo");
    same["senders"][0]["accounts"] = json!(["demo"]);
    let mut defaults = document(
        &[],
        &[account("a", "bybit", "live"), account("b", "bybit", "live")],
    );
    defaults["accounts"][0]["default"] = json!(true);
    defaults["accounts"][1]["default"] = json!(true);
    defaults["accounts"][1]["secretSuffix"] = json!("A");
    insta::assert_snapshot!([problems(&same), problems(&defaults)].concat().join("\n"));
}

#[test]
fn keys_go_to_the_venue_or_to_this_machine_only() {
    let with = |environment: &str, venue: &str, url: &str| {
        let mut account = account("a", venue, environment);
        account["baseUrl"] = json!(url);
        Manifest::parse(&document(&[], &[account]).to_string()).is_ok()
    };
    for (environment, url) in [
        ("live", "https://api.bybit.com"),
        ("live", "https://api.bytick.com"),
        ("live", "https://api.bybit.eu"),
        ("live", "https://api.bybit-tr.com"),
        ("testnet", "https://api-testnet.bybit.com"),
        ("testnet", "https://api-demo.bybit.com"),
        ("sim", "http://127.0.0.1:8787"),
        ("sim", "http://127.8.0.1"),
        ("sim", "http://localhost:1"),
        ("sim", "https://localhost:65535"),
        ("sim", "http://[::1]:8787"),
    ] {
        assert!(with(environment, "bybit", url), "{environment} {url}");
    }
    for (environment, url) in [
        ("live", "http://api.bybit.com"),
        ("live", "https://api.bybit.com:8443"),
        ("live", "https://api.bybit.com/"),
        ("live", "https://api.bybit.com.evil.example"),
        ("live", "https://evil.example/api.bybit.com"),
        ("live", "https://api.bybit.com@evil.example"),
        ("live", "https://api.bybit.com#.evil.example"),
        ("live", "https://api.bybit.com?x"),
        ("live", "https://API.bybit.com"),
        ("live", "https://api.bybit.com\\.evil.example"),
        ("live", " https://api.bybit.com"),
        ("live", "https://api.bybit.com\n"),
        ("live", "https://api-testnet.bybit.com"),
        ("live", "https://127.0.0.1"),
        ("live", ""),
        ("testnet", "https://api.bybit.com"),
        ("sim", "https://api.bybit.com"),
        ("sim", "http://127.0.0.1:8787/v5"),
        ("sim", "http://127.0.0.1.evil.example"),
        ("sim", "http://localhost.evil.example"),
        ("sim", "http://localhost@evil.example"),
        ("sim", "http://127.1"),
        ("sim", "http://10.0.0.1"),
        ("sim", "http://0.0.0.0"),
        ("sim", "http://[::]:1"),
        ("sim", "http://[::1]evil.example"),
        ("sim", "http://localhost:"),
        ("sim", "http://localhost:0"),
        ("sim", "http://localhost:65536"),
        ("sim", "http://localhost:+80"),
        ("sim", "ws://localhost"),
        ("sim", "http://"),
    ] {
        assert!(!with(environment, "bybit", url), "{environment} {url:?}");
    }
    assert!(
        !with("live", "binance", "https://api.binance.com"),
        "not configurable yet"
    );
}

#[test]
fn unknown_fields_are_refused_at_write_and_tolerated_at_read() {
    let base = parse(&full());
    let places: [fn(&mut Value) -> &mut Value; 5] = [
        |doc| doc,
        |doc| &mut doc["senders"][0],
        |doc| &mut doc["senders"][0]["keys"][0],
        |doc| &mut doc["senders"][0]["entryRate"],
        |doc| &mut doc["accounts"][0],
    ];
    for place in places {
        let mut document = full();
        place(&mut document)["fromANewerVersion"] = json!({"a": [1.5]});
        let problems = problems(&document);
        assert!(
            matches!(&problems[..], [only] if only.contains("fromANewerVersion")),
            "{problems:?}"
        );
        assert_eq!(Manifest::parse(&document.to_string()).unwrap(), base);
    }
}

#[test]
fn what_is_no_json_object_is_refused() {
    for text in [
        "",
        "null",
        "[]",
        "7",
        "{",
        "{}",
        "{\"version\":1,\"version\":2,\"senders\":[],\"accounts\":[]}",
        "{\"version\":1.0,\"senders\":[],\"accounts\":[]}",
        "{\"version\":-1,\"senders\":[],\"accounts\":[]}",
        "{\"version\":1e400,\"senders\":[],\"accounts\":[]}",
    ] {
        assert!(Manifest::parse(text).is_err(), "{text}");
        assert!(Manifest::parse_strict(text).is_err(), "{text}");
    }
    assert!(Manifest::parse(&"[".repeat(100_000)).is_err());
}

#[test]
fn limits_hold_on_both_sides() {
    let senders = |n: usize| {
        document(
            &(0..n)
                .map(|n| sender(&format!("s{n}"), &[]))
                .collect::<Vec<_>>(),
            &[],
        )
    };
    let accounts = |n: usize| {
        document(
            &[],
            &(0..n)
                .map(|n| account(&format!("a{n}"), "bybit", "sim"))
                .collect::<Vec<_>>(),
        )
    };
    let ranges = |n: usize| {
        let mut document = document(&[], &[]);
        document["ranges"] = json!(vec!["203.0.113.0/24"; n]);
        document
    };
    let ok = |document: Value| Manifest::parse(&document.to_string()).is_ok();
    assert!(ok(senders(100)) && !ok(senders(101)));
    assert!(ok(accounts(100)) && !ok(accounts(101)));
    assert!(ok(ranges(200)) && !ok(ranges(201)));

    let mut large = document(&[], &[]).to_string();
    large.push_str(&" ".repeat(MAX_BYTES - large.len()));
    assert!(Manifest::parse(&large).is_ok());
    large.push(' ');
    assert!(Manifest::parse(&large).is_err());
}
