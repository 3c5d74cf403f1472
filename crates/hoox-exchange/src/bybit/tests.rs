use core::pin::pin;
use core::task::{Context, Waker};

use hoox_model::{
    Effect, KeyRights, OrderKind, OrderStatus, PositionSide, Price, Quantity, Side, Step,
    TimeInForce, TradeRights, parse_decimal,
};
use proptest::prelude::*;

use super::error::class_of;
use super::*;
use crate::testing::{Script, Still, answer, run};
use crate::{Mismatch, matches};

const NOW: i64 = 1_780_000_000_000;
const KEY: &str = "KEYKEYKEYKEY";
const SECRET: &str = "SECRETSECRET";

macro_rules! fixture {
    ($name:literal) => {
        include_str!(concat!("../../fixtures/bybit/", $name, ".json"))
    };
}

type Answer = Result<HttpResponse, TransportError>;

fn venue(answers: impl IntoIterator<Item = Answer>) -> Bybit<Script, Still> {
    Bybit::new(
        "https://venue.test/",
        Secret::new(KEY),
        Secret::new(SECRET),
        Script::new(answers),
        Still(NOW),
    )
}

fn one(body: &str) -> Bybit<Script, Still> {
    venue([answer(200, body)])
}

fn refusal(code: i64, message: &str) -> String {
    serde_json::json!({"retCode": code, "retMsg": message, "result": {}}).to_string()
}

fn listing(entries: &serde_json::Value, cursor: &str) -> String {
    serde_json::json!({"retCode": 0, "retMsg": "OK", "result": {"list": entries, "nextPageCursor": cursor}})
        .to_string()
}

fn symbol(text: &str) -> Symbol {
    text.parse().unwrap()
}

fn quantity(text: &str) -> Quantity {
    text.parse().unwrap()
}

fn price(text: &str) -> Price {
    text.parse().unwrap()
}

fn decimal(text: &str) -> Decimal {
    parse_decimal(text).unwrap()
}

fn id(text: &str) -> ClientOrderId {
    text.parse().unwrap()
}

fn market() -> OrderSpec {
    OrderSpec {
        client_order_id: id("hx-1"),
        symbol: symbol("BTCUSDT"),
        product: Product::Linear,
        side: Side::Buy,
        kind: OrderKind::Market,
        quantity: quantity("0.010"),
        effect: Effect::Open,
        leg: None,
        close_all: false,
    }
}

fn limit(text: &str, time_in_force: TimeInForce) -> OrderSpec {
    OrderSpec {
        kind: OrderKind::Limit {
            price: price(text),
            time_in_force,
        },
        ..market()
    }
}

const ACKED: &str = r#"{"retCode":0,"retMsg":"OK","result":{"orderId":"A1","orderLinkId":"hx-1"},"retExtInfo":{},"time":1}"#;

// What is sent.

#[test]
fn a_market_order_is_one_signed_post() {
    let bybit = one(ACKED);
    bybit.set_clock_offset_ms(-250);
    let ack = run(bybit.place_order(&market())).unwrap();
    assert_eq!(ack.venue_order_id, "A1");
    let request = bybit.transport.only_request();
    let body = r#"{"category":"linear","symbol":"BTCUSDT","side":"Buy","orderType":"Market","qty":"0.01","positionIdx":0,"orderLinkId":"hx-1","reduceOnly":false}"#;
    assert_eq!(request.method, Method::Post);
    assert_eq!(request.url, "https://venue.test/v5/order/create");
    assert_eq!(request.body.as_deref(), Some(body));
    let signature = hoox_model::hmac_sha256_hex(
        &Secret::new(SECRET),
        format!("1779999999750{KEY}5000{body}").as_bytes(),
    );
    assert_eq!(
        request.headers,
        [
            ("X-BAPI-API-KEY", KEY.to_owned()),
            ("X-BAPI-TIMESTAMP", "1779999999750".to_owned()),
            ("X-BAPI-SIGN", signature),
            ("X-BAPI-RECV-WINDOW", "5000".to_owned()),
            ("Content-Type", "application/json".to_owned()),
        ]
    );
}

#[test]
fn a_limit_order_names_price_and_time_in_force() {
    for (word, time_in_force) in [
        ("GTC", TimeInForce::Gtc),
        ("IOC", TimeInForce::Ioc),
        ("FOK", TimeInForce::Fok),
        ("PostOnly", TimeInForce::PostOnly),
    ] {
        let bybit = one(ACKED);
        let spec = OrderSpec {
            side: Side::Sell,
            effect: Effect::Close,
            ..limit("26864.40", time_in_force)
        };
        run(bybit.place_order(&spec)).unwrap();
        assert_eq!(
            bybit.transport.only_request().body.unwrap(),
            format!(
                r#"{{"category":"linear","symbol":"BTCUSDT","side":"Sell","orderType":"Limit","qty":"0.01","price":"26864.4","timeInForce":"{word}","positionIdx":0,"orderLinkId":"hx-1","reduceOnly":true}}"#
            )
        );
    }
}

fn sent(spec: &OrderSpec) -> serde_json::Value {
    let bybit = one(ACKED);
    run(bybit.place_order(spec)).unwrap();
    serde_json::from_str(&bybit.transport.only_request().body.unwrap()).unwrap()
}

#[test]
fn a_leg_of_a_hedged_symbol_is_named_by_its_index() {
    for (leg, effect, side, index) in [
        (PositionSide::Long, Effect::Open, Side::Buy, 1),
        (PositionSide::Long, Effect::Close, Side::Sell, 1),
        (PositionSide::Short, Effect::Open, Side::Sell, 2),
        (PositionSide::Short, Effect::Close, Side::Buy, 2),
    ] {
        let spec = OrderSpec {
            side,
            effect,
            leg: Some(leg),
            ..market()
        };
        let body = sent(&spec);
        assert_eq!(body["positionIdx"], index);
        assert_eq!(body["reduceOnly"], effect.closes());
        assert_eq!(body["side"], if side == Side::Buy { "Buy" } else { "Sell" });
        // The other side would be the other leg's, or open what it should close.
        let bybit = venue([]);
        let turned = OrderSpec {
            side: side.opposite(),
            ..spec
        };
        let error = run(bybit.place_order(&turned)).unwrap_err();
        assert_eq!(error.code, VenueError::UNSUPPORTED);
        assert!(bybit.transport.requests.borrow().is_empty());
    }
    assert_eq!(sent(&market())["positionIdx"], 0);
}

#[test]
fn closing_all_has_the_documented_form() {
    let all = OrderSpec {
        side: Side::Sell,
        effect: Effect::Close,
        close_all: true,
        quantity: quantity("0.0004"),
        ..market()
    };
    for (leg, index) in [(None, 0), (Some(PositionSide::Long), 1)] {
        let body = sent(&OrderSpec { leg, ..all.clone() });
        assert_eq!(
            body,
            serde_json::json!({
                "category": "linear", "symbol": "BTCUSDT", "side": "Sell", "orderType": "Market",
                "qty": "0", "positionIdx": index, "orderLinkId": "hx-1", "reduceOnly": true,
                "closeOnTrigger": true,
            })
        );
    }
    let opens = OrderSpec {
        effect: Effect::Open,
        ..all.clone()
    };
    let rests = OrderSpec {
        kind: limit("60000", TimeInForce::Gtc).kind,
        ..all
    };
    for spec in [opens, rests] {
        let bybit = venue([]);
        let error = run(bybit.place_order(&spec)).unwrap_err();
        assert_eq!(
            (error.class, error.code.as_str()),
            (ErrorClass::Rejected, VenueError::UNSUPPORTED)
        );
        assert!(bybit.transport.requests.borrow().is_empty());
    }
}

#[test]
fn order_and_cancellation_reach_the_transport_on_the_first_poll() {
    let bybit = venue([answer(200, ACKED), answer(200, ACKED)]);
    bybit.transport.slow.set(true);
    let mut context = Context::from_waker(Waker::noop());
    let spec = market();
    let (symbol, id) = (symbol("BTCUSDT"), id("hx-1"));
    let mut placing = pin!(bybit.place_order(&spec));
    assert!(placing.as_mut().poll(&mut context).is_pending());
    assert_eq!(bybit.transport.requests.borrow().len(), 1);
    let mut cancelling = pin!(bybit.cancel(Product::Linear, &symbol, &id));
    assert!(cancelling.as_mut().poll(&mut context).is_pending());
    assert_eq!(bybit.transport.requests.borrow().len(), 2);
}

#[test]
fn reads_sign_the_query_and_public_calls_sign_nothing() {
    let bybit = one(fixture!("position_list"));
    run(bybit.position(Product::Linear, &symbol("BTCUSD"))).unwrap();
    let request = bybit.transport.only_request();
    let query = "category=linear&symbol=BTCUSD";
    assert_eq!(
        (
            request.method,
            request.url.as_str(),
            request.body.as_deref()
        ),
        (
            Method::Get,
            "https://venue.test/v5/position/list?category=linear&symbol=BTCUSD",
            None
        )
    );
    assert_eq!(
        request.header("x-bapi-sign").unwrap(),
        hoox_model::hmac_sha256_hex(
            &Secret::new(SECRET),
            format!("{NOW}{KEY}5000{query}").as_bytes()
        )
    );

    let bybit = one(fixture!("instruments_linear"));
    run(bybit.instrument(Product::Linear, &symbol("BTCUSDT"))).unwrap();
    let request = bybit.transport.only_request();
    assert_eq!(
        request.url,
        "https://venue.test/v5/market/instruments-info?category=linear&symbol=BTCUSDT"
    );
    assert!(request.headers.is_empty());
}

#[test]
fn leverage_is_set_for_both_sides_and_unchanged_is_fine() {
    let bybit = venue([
        answer(200, fixture!("set_leverage")),
        answer(200, refusal(110_043, "leverage not modified")),
        answer(200, refusal(110_013, "risk limit")),
    ]);
    let set =
        |leverage| run(bybit.set_leverage(Product::Linear, &symbol("BTCUSDT"), decimal(leverage)));
    set("6.00").unwrap();
    assert_eq!(
        bybit.transport.only_request().body.unwrap(),
        r#"{"category":"linear","symbol":"BTCUSDT","buyLeverage":"6","sellLeverage":"6"}"#
    );
    set("6").unwrap();
    assert_eq!(set("200").unwrap_err().code, "110013");
}

#[test]
fn debug_shows_neither_key_nor_signature() {
    let bybit = one(ACKED);
    run(bybit.place_order(&market())).unwrap();
    let request = bybit.transport.only_request();
    let text = format!("{request:?} {bybit:?}");
    assert!(
        text.contains("X-BAPI-SIGN") && text.contains("hx-1"),
        "{text}"
    );
    for hidden in [KEY, SECRET, request.header("X-BAPI-SIGN").unwrap()] {
        assert!(!text.contains(hidden), "{text}");
    }
}

// What official answers mean.

#[test]
fn server_time_and_clock_offset() {
    let bybit = venue([
        answer(200, fixture!("market_time")),
        answer(200, fixture!("market_time")),
        answer(500, ""),
    ]);
    let server = Timestamp::from_millis(1_688_639_403_423);
    assert_eq!(run(bybit.server_time()).unwrap(), server);
    assert_eq!(bybit.clock_offset_ms(), 0);
    let offset = run(bybit.sync_clock()).unwrap();
    assert_eq!(Timestamp::from_millis(NOW).plus_millis(offset), server);
    assert_eq!(bybit.clock_offset_ms(), offset);
    run(bybit.sync_clock()).unwrap_err();
    assert_eq!(
        bybit.clock_offset_ms(),
        offset,
        "a failure keeps the offset"
    );
    assert_eq!(bybit.transport.paths()[0], "/v5/market/time");
}

#[test]
fn an_api_key_that_reads_and_is_bound() {
    let bybit = one(fixture!("query_api"));
    let info = run(bybit.key_info()).unwrap();
    assert_eq!(
        info,
        KeyInfo {
            rights: KeyRights {
                read: true,
                ..KeyRights::default()
            },
            read_only: true,
            ips: ["18.181.170.164", "13.212.45.47", "13.212.45.48"]
                .map(str::to_owned)
                .to_vec(),
            created_at: Timestamp::parse("2025-10-13T03:20:45Z").ok(),
            expires_at: None,
        }
    );
    let request = bybit.transport.only_request();
    assert_eq!(request.url, "https://venue.test/v5/user/query-api");
    assert_eq!(request.header("X-BAPI-API-KEY"), Some(KEY));
}

/// The official answer with some of its fields set to others.
fn key_answer(changes: &serde_json::Value) -> Result<KeyInfo, VenueError> {
    let mut body: serde_json::Value = serde_json::from_str(fixture!("query_api")).unwrap();
    let result = body["result"].as_object_mut().unwrap();
    for (field, value) in changes.as_object().unwrap() {
        match (field.as_str(), value.as_object()) {
            ("permissions", Some(rights)) => {
                let all = result["permissions"].as_object_mut().unwrap();
                all.extend(rights.clone());
            }
            _ => drop(result.insert(field.clone(), value.clone())),
        }
    }
    run(one(&body.to_string()).key_info())
}

#[test]
fn the_rights_of_an_api_key() {
    let rights = |permissions: serde_json::Value| {
        let info = key_answer(&serde_json::json!({ "readOnly": 0, "permissions": permissions }));
        info.unwrap().rights
    };
    let trade = |linear, spot| TradeRights { linear, spot };
    let all = KeyRights {
        read: true,
        trade: trade(true, true),
        withdraw: false,
        transfer: true,
    };
    assert_eq!(rights(serde_json::json!({})), all);
    for (permissions, expected) in [
        (
            serde_json::json!({ "Wallet": ["AccountTransfer", "Withdraw"] }),
            KeyRights {
                withdraw: true,
                ..all
            },
        ),
        (
            serde_json::json!({ "Wallet": ["SubMemberTransferList"] }),
            all,
        ),
        (
            serde_json::json!({ "Wallet": [], "Spot": [] }),
            KeyRights {
                transfer: false,
                trade: trade(true, false),
                ..all
            },
        ),
        // Without its positions nothing can be planned.
        (
            serde_json::json!({ "ContractTrade": ["Order"] }),
            KeyRights {
                trade: trade(false, true),
                ..all
            },
        ),
        (
            serde_json::json!({ "ContractTrade": [], "Spot": [], "Wallet": [] }),
            KeyRights::default(),
        ),
    ] {
        assert_eq!(rights(permissions.clone()), expected, "{permissions}");
    }
    let withdraws = serde_json::json!({ "permissions": { "Wallet": ["Withdraw"] } });
    let reading = key_answer(&withdraws).unwrap();
    assert!(reading.read_only && !reading.rights.withdraw);
}

#[test]
fn an_api_key_that_works_from_everywhere_ends() {
    let open = serde_json::json!({ "ips": ["*"], "expiredAt": "2023-12-22T07:20:25Z" });
    let info = key_answer(&open).unwrap();
    assert_eq!(info.ips, Vec::<String>::new());
    assert_eq!(
        info.expires_at,
        Timestamp::parse("2023-12-22T07:20:25Z").ok()
    );
    let silent = key_answer(&serde_json::json!({ "expiredAt": "", "createdAt": "" })).unwrap();
    assert_eq!((silent.expires_at, silent.created_at), (None, None));
    for odd in [
        serde_json::json!({ "expiredAt": "soon" }),
        serde_json::json!({ "permissions": [] }),
        serde_json::json!({ "permissions": { "Wallet": null } }),
        serde_json::json!({ "ips": null }),
        serde_json::json!({ "readOnly": null }),
    ] {
        let error = key_answer(&odd).unwrap_err();
        assert_eq!(error.code, VenueError::UNREADABLE, "{odd}");
    }
}

#[test]
fn linear_instrument() {
    let bybit = one(fixture!("instruments_linear"));
    let step = |text: &str| text.parse::<Step>().unwrap();
    assert_eq!(
        run(bybit.instrument(Product::Linear, &symbol("BTCUSDT"))).unwrap(),
        Instrument {
            symbol: symbol("BTCUSDT"),
            product: Product::Linear,
            base: "BTC".to_owned(),
            quote: "USDT".to_owned(),
            tick_size: step("0.1"),
            quantity_step: step("0.001"),
            min_quantity: quantity("0.001"),
            max_limit_quantity: quantity("1190"),
            max_market_quantity: quantity("500"),
            min_notional: "5".parse().unwrap(),
            max_leverage: Some(decimal("100")),
            trading: true,
        }
    );
}

#[test]
fn prelaunch_instrument_is_not_trading() {
    let bybit = one(fixture!("instruments_linear_prelaunch"));
    let instrument = run(bybit.instrument(Product::Linear, &symbol("BIOUSDT"))).unwrap();
    assert!(!instrument.trading);
    assert_eq!(instrument.max_market_quantity, quantity("14000"));
}

#[test]
fn spot_instrument() {
    let bybit = one(fixture!("instruments_spot"));
    let instrument = run(bybit.instrument(Product::Spot, &symbol("BTCUSDT"))).unwrap();
    assert_eq!(instrument.quantity_step, "0.000001".parse().unwrap());
    assert_eq!(instrument.min_quantity, quantity("0.000011"));
    assert_eq!(instrument.max_limit_quantity, quantity("83"));
    assert_eq!(instrument.max_market_quantity, quantity("41.5"));
    assert_eq!(instrument.min_notional, "5".parse().unwrap());
    assert_eq!(instrument.max_leverage, None);
    assert_eq!(
        bybit.transport.paths(),
        ["/v5/market/instruments-info?category=spot&symbol=BTCUSDT"]
    );
}

#[test]
fn unknown_symbols_are_told_apart_from_other_failures() {
    let other_symbol = fixture!("instruments_linear");
    for (body, class) in [
        (
            listing(&serde_json::json!([]), ""),
            ErrorClass::UnknownSymbol,
        ),
        (other_symbol.to_owned(), ErrorClass::UnknownSymbol),
        (
            refusal(10_001, "params error: Symbol Is Invalid"),
            ErrorClass::UnknownSymbol,
        ),
        (refusal(10_029, "symbol"), ErrorClass::UnknownSymbol),
        (refusal(10_001, "category"), ErrorClass::Rejected),
        (refusal(10_016, "symbol"), ErrorClass::Unknown),
    ] {
        let bybit = venue([answer(200, body.clone()), answer(200, body)]);
        let nope = symbol("NOPEUSDT");
        let error = run(bybit.instrument(Product::Linear, &nope)).unwrap_err();
        assert_eq!(error.class, class, "{error}");
        let error = run(bybit.ticker(Product::Linear, &nope)).unwrap_err();
        assert!(
            error.class == class || error.code == VenueError::UNREADABLE,
            "{error}"
        );
    }
}

#[test]
fn tickers() {
    let bybit = one(fixture!("tickers_inverse"));
    assert_eq!(
        run(bybit.ticker(Product::Linear, &symbol("BTCUSD"))).unwrap(),
        Ticker {
            last: price("120635.5"),
            mark: Some(price("114898.43")),
        }
    );
    let bybit = one(fixture!("tickers_spot"));
    assert_eq!(
        run(bybit.ticker(Product::Spot, &symbol("BTCUSDT"))).unwrap(),
        Ticker {
            last: price("20533.13"),
            mark: None,
        }
    );
}

/// The names of a page of tickers; what is no symbol of a perpetual is left out.
#[test]
fn listed_symbols() {
    let names = [
        serde_json::json!({ "symbol": "1000PEPEUSDT", "lastPrice": "0.01" }),
        serde_json::json!({ "symbol": "BTC-26JUN26", "lastPrice": "1" }),
        serde_json::json!({ "symbol": "BTCPERP" }),
    ];
    let bybit = venue([
        answer(200, listing(&serde_json::json!(names), "")),
        answer(200, fixture!("tickers_spot")),
        answer(503, ""),
    ]);
    let listed = run(bybit.symbols(Product::Linear)).unwrap();
    assert_eq!(listed, [symbol("1000PEPEUSDT"), symbol("BTCPERP")]);
    let listed = run(bybit.symbols(Product::Spot)).unwrap();
    assert_eq!(listed, [symbol("BTCUSDT")]);
    let error = run(bybit.symbols(Product::Linear)).unwrap_err();
    assert_eq!(error.class, ErrorClass::Unknown);
    assert_eq!(
        bybit.transport.paths(),
        [
            "/v5/market/tickers?category=linear",
            "/v5/market/tickers?category=spot",
            "/v5/market/tickers?category=linear"
        ]
    );
}

#[test]
fn short_position() {
    let bybit = one(fixture!("position_list"));
    assert_eq!(
        run(bybit.position(Product::Linear, &symbol("BTCUSD"))).unwrap(),
        Position {
            symbol: symbol("BTCUSD"),
            side: Some(PositionSide::Short),
            quantity: quantity("300"),
            entry_price: Some(price("27464.50441675")),
            leverage: Some(decimal("10")),
            unrealised_pnl: Some("-0.00029413".parse().unwrap()),
            hedged: false,
        }
    );
}

/// The official entry with some fields replaced.
fn position_entry(changes: &serde_json::Value) -> serde_json::Value {
    changed(fixture!("position_list"), changes)
}

fn changed(fixture: &str, changes: &serde_json::Value) -> serde_json::Value {
    let mut whole: serde_json::Value = serde_json::from_str(fixture).unwrap();
    let entry = &mut whole["result"]["list"][0];
    for (name, value) in changes.as_object().unwrap() {
        entry[name] = value.clone();
    }
    entry.clone()
}

#[test]
fn a_flat_position_keeps_its_leverage() {
    let entry = position_entry(
        &serde_json::json!({"side": "", "size": "0", "avgPrice": "0", "leverage": "12.50"}),
    );
    let bybit = one(&listing(&serde_json::json!([entry]), ""));
    assert_eq!(
        run(bybit.position(Product::Linear, &symbol("BTCUSD"))).unwrap(),
        Position {
            leverage: Some(decimal("12.5")),
            ..Position::flat(symbol("BTCUSD"))
        }
    );
}

#[test]
fn hedge_mode_and_unreadable_positions_are_refused() {
    for (changes, class, code) in [
        (
            serde_json::json!({"positionIdx": 1, "size": "0", "side": ""}),
            ErrorClass::Rejected,
            VenueError::HEDGE_MODE,
        ),
        (
            serde_json::json!({"positionIdx": 3}),
            ErrorClass::Unknown,
            VenueError::UNREADABLE,
        ),
        (
            serde_json::json!({"side": "None"}),
            ErrorClass::Unknown,
            VenueError::UNREADABLE,
        ),
        (
            serde_json::json!({"size": "-1"}),
            ErrorClass::Unknown,
            VenueError::UNREADABLE,
        ),
        (
            serde_json::json!({"size": ""}),
            ErrorClass::Unknown,
            VenueError::UNREADABLE,
        ),
        (
            serde_json::json!({"symbol": "ETHUSD"}),
            ErrorClass::Unknown,
            VenueError::UNREADABLE,
        ),
    ] {
        let entry = position_entry(&changes);
        let bybit = one(&listing(&serde_json::json!([entry]), ""));
        let error = run(bybit.position(Product::Linear, &symbol("BTCUSD"))).unwrap_err();
        assert_eq!(
            (error.class, error.code.as_str()),
            (class, code),
            "{changes}"
        );
    }
    let bybit = one(&listing(&serde_json::json!([]), ""));
    assert_eq!(
        run(bybit.position(Product::Linear, &symbol("BTCUSD")))
            .unwrap_err()
            .code,
        VenueError::UNREADABLE
    );
}

#[test]
fn positions_follow_the_pages_of_both_settlement_currencies() {
    let entry = |symbol: &str, size: &str| {
        position_entry(&serde_json::json!({"symbol": symbol, "size": size}))
    };
    let bybit = venue([
        answer(
            200,
            listing(
                &serde_json::json!([entry("BTCUSDT", "1"), entry("ETHUSDT", "0")]),
                "first%3DBIOUSDT%26last%3DBIOUSDT",
            ),
        ),
        answer(
            200,
            listing(
                &serde_json::json!([entry("XRPUSDT", "2"), entry("BTC-26DEC25", "3")]),
                "next",
            ),
        ),
        answer(200, listing(&serde_json::json!([]), "again")),
        answer(
            200,
            listing(&serde_json::json!([entry("BTCPERP", "4")]), ""),
        ),
    ]);
    let positions = run(bybit.positions(Product::Linear)).unwrap();
    let held: Vec<_> = positions
        .iter()
        .map(|p| (p.symbol.as_str(), p.quantity.to_string()))
        .collect();
    assert_eq!(
        held,
        [
            ("BTCUSDT", "1".to_owned()),
            ("XRPUSDT", "2".to_owned()),
            ("BTCPERP", "4".to_owned())
        ]
    );
    let usdt = "/v5/position/list?category=linear&settleCoin=USDT&limit=200";
    assert_eq!(
        bybit.transport.paths(),
        [
            usdt.to_owned(),
            format!("{usdt}&cursor=first%3DBIOUSDT%26last%3DBIOUSDT"),
            format!("{usdt}&cursor=next"),
            usdt.replace("USDT", "USDC"),
        ]
    );
}

#[test]
fn every_leg_of_a_hedged_symbol_is_listed() {
    let entry = |symbol: &str, index: i64, side: &str, size: &str| {
        position_entry(&serde_json::json!({
            "symbol": symbol, "positionIdx": index, "side": side, "size": size,
        }))
    };
    let bybit = venue([
        answer(
            200,
            listing(
                &serde_json::json!([
                    entry("BTCUSDT", 1, "Buy", "1"),
                    entry("BTCUSDT", 2, "Sell", "2"),
                    entry("ETHUSDT", 1, "", "0"),
                    // The index names the leg, whatever the side says.
                    entry("ETHUSDT", 2, "", "3"),
                    entry("XRPUSDT", 0, "Buy", "4"),
                ]),
                "",
            ),
        ),
        answer(200, listing(&serde_json::json!([]), "")),
    ]);
    let positions = run(bybit.positions(Product::Linear)).unwrap();
    let held: Vec<_> = positions
        .iter()
        .map(|p| (p.symbol.as_str(), p.side, p.quantity, p.hedged))
        .collect();
    let (long, short) = (Some(PositionSide::Long), Some(PositionSide::Short));
    assert_eq!(
        held,
        [
            ("BTCUSDT", long, quantity("1"), true),
            ("BTCUSDT", short, quantity("2"), true),
            ("ETHUSDT", short, quantity("3"), true),
            ("XRPUSDT", long, quantity("4"), false),
        ]
    );
}

#[test]
fn a_list_without_end_is_an_error() {
    let page = listing(
        &serde_json::json!([position_entry(&serde_json::json!({}))]),
        "x",
    );
    let bybit = venue(core::iter::repeat_n(answer(200, page), 100));
    let error = run(bybit.positions(Product::Linear)).unwrap_err();
    assert_eq!(error.code, VenueError::UNREADABLE);
    assert_eq!(bybit.transport.requests.borrow().len(), MAX_PAGES);

    let page = listing(
        &serde_json::json!([position_entry(&serde_json::json!({}))]),
        &"x".repeat(1025),
    );
    let bybit = one(&page);
    run(bybit.positions(Product::Linear)).unwrap_err();
    assert_eq!(bybit.transport.requests.borrow().len(), 1);
}

#[test]
fn balances() {
    let bybit = one(fixture!("wallet_balance"));
    assert_eq!(
        run(bybit.balances()).unwrap(),
        [Balance {
            currency: "BTC".to_owned(),
            wallet: hoox_model::Amount::ZERO,
            equity: hoox_model::Amount::ZERO,
            available: Some(hoox_model::Amount::ZERO),
            realised_pnl: Some(hoox_model::Amount::ZERO),
        }]
    );
    assert_eq!(
        bybit.transport.paths(),
        ["/v5/account/wallet-balance?accountType=UNIFIED"]
    );
}

#[test]
fn available_is_what_margin_locks_and_bonus_leave() {
    for (order_margin, available) in [("30.5", Some("54.25")), ("", None)] {
        let mut whole: serde_json::Value =
            serde_json::from_str(fixture!("wallet_balance")).unwrap();
        let coin = &mut whole["result"]["list"][0]["coin"][0];
        for (name, value) in [
            ("walletBalance", "100"),
            ("equity", "99"),
            ("totalPositionIM", "10"),
            ("totalOrderIM", order_margin),
            ("locked", "5"),
            ("bonus", "0.25"),
        ] {
            coin[name] = value.into();
        }
        let bybit = one(&whole.to_string());
        let balances = run(bybit.balances()).unwrap();
        assert_eq!(balances[0].equity, "99".parse().unwrap());
        assert_eq!(
            balances[0].available,
            available.map(|text| text.parse().unwrap())
        );
    }
}

#[test]
fn acknowledgement_must_be_of_our_order() {
    let official = one(fixture!("create_order"));
    let ours = OrderSpec {
        client_order_id: id("spot-test-postonly"),
        ..market()
    };
    assert_eq!(
        run(official.place_order(&ours)).unwrap().venue_order_id,
        "1321003749386327552"
    );
    let error = run(one(fixture!("create_order")).place_order(&market())).unwrap_err();
    assert_eq!(error.class, ErrorClass::Unknown);
    let error =
        run(one(r#"{"retCode":0,"result":{"orderId":""}}"#).place_order(&market())).unwrap_err();
    assert_eq!(error.class, ErrorClass::Unknown);
}

/// An entry of the documented list under other names.
fn order_entry(id: &str, symbol: &str) -> serde_json::Value {
    let mut page: serde_json::Value = serde_json::from_str(fixture!("order_realtime")).unwrap();
    let mut entry = page["result"]["list"][0].take();
    entry["orderLinkId"] = id.into();
    entry["symbol"] = symbol.into();
    entry
}

#[test]
fn open_orders_are_looked_for_in_the_lists_of_both_settlement_currencies() {
    let page = |entries: &[serde_json::Value], cursor| {
        answer(200, listing(&serde_json::Value::from(entries), cursor))
    };
    let theirs = || order_entry("by-hand", "BTC-26DEC25");
    let bybit = venue([
        page(&[order_entry("hx-1", "BTCUSDT"), theirs()], "first%3D1"),
        page(&[order_entry("hx-2", "ETHUSDT")], "next"),
        page(&[], "again"),
        page(&[order_entry("hx-3", "BTCPERP")], "more"),
    ]);
    let wanted = ["hx-1", "hx-2", "hx-3"].map(id);
    let found = run(bybit.open_orders(Product::Linear, &wanted)).unwrap();
    let ids: Vec<_> = found
        .iter()
        .map(|order| (order.client_order_id.clone().unwrap(), order.status))
        .collect();
    assert_eq!(ids, wanted.map(|id| (id, OrderStatus::New)));
    let usdt = "/v5/order/realtime?category=linear&settleCoin=USDT&limit=50";
    assert_eq!(
        bybit.transport.paths(),
        [
            usdt.to_owned(),
            format!("{usdt}&cursor=first%3D1"),
            format!("{usdt}&cursor=next"),
            usdt.replace("USDT", "USDC"),
        ]
    );
}

#[test]
fn no_page_is_asked_for_once_all_are_shown() {
    let orders = ["hx-1", "hx-2"].map(|name| order_entry(name, "BTCUSDT"));
    let bybit = one(&listing(&serde_json::Value::from(&orders[..]), "next"));
    let wanted = ["hx-2", "hx-1"].map(id);
    let found = run(bybit.open_orders(Product::Linear, &wanted)).unwrap();
    assert_eq!(found.len(), 2);
    assert_eq!(bybit.transport.requests.borrow().len(), 1);
    // What is not wanted is not read, whatever the venue calls it.
    let mut odd = order_entry("by-hand", "BTCUSDT");
    odd["orderStatus"] = "Odd".into();
    let bybit = venue([
        answer(200, listing(&serde_json::json!([odd]), "")),
        answer(200, listing(&serde_json::json!([]), "")),
    ]);
    assert_eq!(
        run(bybit.open_orders(Product::Linear, &wanted)),
        Ok(Vec::new())
    );
    let none = venue([]);
    assert_eq!(run(none.open_orders(Product::Linear, &[])), Ok(Vec::new()));
}

#[test]
fn a_list_of_orders_is_whole_or_an_error() {
    let page = listing(&serde_json::json!([order_entry("x", "BTCUSDT")]), "x");
    let bybit = venue(core::iter::repeat_n(answer(200, page.clone()), 100));
    let wanted = [id("hx-1")];
    let error = run(bybit.open_orders(Product::Linear, &wanted)).unwrap_err();
    assert_eq!(error.code, VenueError::UNREADABLE);
    assert_eq!(bybit.transport.requests.borrow().len(), MAX_PAGES);
    let bybit = venue([answer(200, page), answer(502, "<html>")]);
    run(bybit.open_orders(Product::Linear, &wanted)).unwrap_err();
    let error = run(venue([]).open_orders(Product::Spot, &wanted)).unwrap_err();
    assert_eq!(error.code, VenueError::UNSUPPORTED);
}

#[test]
fn open_order() {
    let bybit = one(fixture!("order_realtime"));
    let found =
        run(bybit.look_up(Product::Linear, &symbol("ETHUSDT"), &id("test-000005"))).unwrap();
    let LookUp::Found(order) = found else {
        panic!("{found:?}")
    };
    assert_eq!(
        *order,
        hoox_model::OrderSnapshot {
            venue_order_id: "fd4300ae-7847-404e-b947-b46980a4d140".to_owned(),
            client_order_id: Some(id("test-000005")),
            symbol: symbol("ETHUSDT"),
            side: Side::Buy,
            quantity: quantity("0.1"),
            filled: Quantity::ZERO,
            average_price: None,
            fee: None,
            status: OrderStatus::New,
            reduce_only: false,
            reason: None,
            created_at: Timestamp::from_millis(1_684_738_540_559),
            updated_at: Timestamp::from_millis(1_684_738_540_561),
        }
    );
    assert_eq!(
        bybit.transport.paths(),
        ["/v5/order/realtime?category=linear&symbol=ETHUSDT&orderLinkId=test-000005"]
    );
}

#[test]
fn look_up_falls_back_to_the_history() {
    let bybit = venue([
        // The list is not ours: a look-up never adopts by position in a list.
        answer(200, fixture!("order_realtime")),
        answer(200, fixture!("order_history")),
    ]);
    let found = run(bybit.look_up(Product::Linear, &symbol("BTCUSDT"), &id("YLxaWKMiHU"))).unwrap();
    let LookUp::Found(order) = found else {
        panic!("{found:?}")
    };
    assert_eq!(order.status, OrderStatus::Cancelled);
    assert_eq!(
        order.reason.as_deref(),
        Some("EC_PostOnlyWillTakeLiquidity")
    );
    assert_eq!(
        bybit.transport.paths(),
        [
            "/v5/order/realtime?category=linear&symbol=BTCUSDT&orderLinkId=YLxaWKMiHU",
            "/v5/order/history?category=linear&symbol=BTCUSDT&orderLinkId=YLxaWKMiHU"
        ]
    );
    let empty = || answer(200, listing(&serde_json::json!([]), ""));
    let bybit = venue([empty(), empty()]);
    let nothing = run(bybit.look_up(Product::Linear, &symbol("BTCUSDT"), &id("hx-1")));
    assert_eq!(nothing, Ok(LookUp::NotFound));
    let bybit = venue([empty(), answer(502, "")]);
    run(bybit.look_up(Product::Linear, &symbol("BTCUSDT"), &id("hx-1"))).unwrap_err();
}

#[test]
fn every_documented_status_has_a_meaning_and_others_are_no_guess() {
    for (word, filled, expected) in [
        ("New", "0", Some(OrderStatus::New)),
        (
            "PartiallyFilled",
            "0.05",
            Some(OrderStatus::PartiallyFilled),
        ),
        ("Untriggered", "0", Some(OrderStatus::New)),
        ("Triggered", "0", Some(OrderStatus::New)),
        ("Filled", "0.10", Some(OrderStatus::Filled)),
        ("Cancelled", "0.05", Some(OrderStatus::Cancelled)),
        (
            "PartiallyFilledCanceled",
            "0.05",
            Some(OrderStatus::Cancelled),
        ),
        ("Deactivated", "0", Some(OrderStatus::Cancelled)),
        ("Rejected", "0", Some(OrderStatus::Rejected)),
        ("Rejected", "0.05", Some(OrderStatus::Cancelled)),
        ("Active", "0", None),
        ("", "0", None),
        ("filled", "0", None),
    ] {
        let entry = changed(
            fixture!("order_realtime"),
            &serde_json::json!({"orderStatus": word, "cumExecQty": filled}),
        );
        let bybit = one(&listing(&serde_json::json!([entry]), ""));
        match run(bybit.look_up(Product::Linear, &symbol("ETHUSDT"), &id("test-000005"))) {
            Ok(LookUp::Found(order)) => assert_eq!(Some(order.status), expected, "{word}"),
            Ok(LookUp::NotFound) => panic!("{word}"),
            Err(error) => assert_eq!((expected, error.class), (None, ErrorClass::Unknown)),
        }
    }
}

#[test]
fn fees_count_only_in_the_settlement_currency() {
    for (symbol_text, detail, old, expected) in [
        (
            "ETHUSDT",
            serde_json::json!({"USDT": "0.5"}),
            "9",
            Some("0.5"),
        ),
        (
            "BTCPERP",
            serde_json::json!({"USDC": "-0.5"}),
            "9",
            Some("-0.5"),
        ),
        ("ETHUSDT", serde_json::json!({"MNT": "0.5"}), "9", None),
        (
            "ETHUSDT",
            serde_json::json!({"MNT": "1", "USDT": "1"}),
            "9",
            None,
        ),
        ("ETHUSDT", serde_json::json!({}), "9", Some("9")),
        ("ETHUSDT", serde_json::json!(null), "9", Some("9")),
        ("ETHUSDT", serde_json::json!(null), "", None),
    ] {
        let entry = changed(
            fixture!("order_realtime"),
            &serde_json::json!({"symbol": symbol_text, "cumFeeDetail": detail, "cumExecFee": old}),
        );
        let bybit = one(&listing(&serde_json::json!([entry]), ""));
        let found = run(bybit.look_up(Product::Linear, &symbol(symbol_text), &id("test-000005")));
        let Ok(LookUp::Found(order)) = found else {
            panic!("{found:?}")
        };
        assert_eq!(
            order.fee,
            expected.map(|text| text.parse().unwrap()),
            "{detail}"
        );
    }
}

#[test]
fn fills_are_read_until_they_make_up_what_was_filled() {
    let page = |exec: &str, cursor: &str| {
        let entry = changed(
            fixture!("execution_list"),
            &serde_json::json!({"execId": exec, "orderLinkId": "hx-1", "execQty": "0.2"}),
        );
        answer(200, listing(&serde_json::json!([entry]), cursor))
    };
    for (filled, pages) in [("0.2", 1), ("0.3", 2), ("0.4", 2), ("0.5", 3)] {
        let empty = answer(200, listing(&serde_json::json!([]), "again"));
        let bybit = venue([page("a", "next"), page("b", "more"), empty]);
        let fills = run(bybit.fills(
            Product::Linear,
            &symbol("ETHPERP"),
            &id("hx-1"),
            quantity(filled),
        ));
        assert_eq!(fills.unwrap().len(), pages.min(2), "{filled}");
        assert_eq!(bybit.transport.paths().len(), pages, "{filled}");
    }
}

#[test]
fn fills_are_ours_and_in_order() {
    let entry = |exec: &str, at: &str, link: &str| {
        changed(
            fixture!("execution_list"),
            &serde_json::json!({"execId": exec, "execTime": at, "orderLinkId": link}),
        )
    };
    let bybit = one(&listing(
        &serde_json::json!([
            entry("b", "1672282722429", "hx-1"),
            entry("x", "1672282722429", ""),
            entry("a", "1672282722429", "hx-1"),
            entry("c", "1672282722000", "hx-1"),
        ]),
        "",
    ));
    let fills = run(bybit.fills(
        Product::Linear,
        &symbol("ETHPERP"),
        &id("hx-1"),
        quantity("100"),
    ))
    .unwrap();
    let ids: Vec<_> = fills
        .iter()
        .map(|fill| fill.venue_fill_id.as_str())
        .collect();
    assert_eq!(ids, ["c", "a", "b"]);
    assert_eq!(
        fills[2],
        Fill {
            venue_fill_id: "b".to_owned(),
            venue_order_id: "8c065341-7b52-4ca9-ac2c-37e31ac55c94".to_owned(),
            symbol: symbol("ETHPERP"),
            side: Side::Buy,
            quantity: quantity("0.1"),
            price: price("1190.15"),
            fee: "0.071409".parse().unwrap(),
            fee_currency: None,
            maker: Some(false),
            at: Timestamp::from_millis(1_672_282_722_429),
        }
    );
    assert_eq!(
        bybit.transport.paths(),
        ["/v5/execution/list?category=linear&symbol=ETHPERP&orderLinkId=hx-1&limit=100"]
    );
}

#[test]
fn cancellations() {
    let cancel = |body: &str| {
        let bybit = one(body);
        let outcome = run(bybit.cancel(Product::Linear, &symbol("BTCUSDT"), &id("hx-1")));
        assert_eq!(
            bybit.transport.only_request().body.unwrap(),
            r#"{"category":"linear","symbol":"BTCUSDT","orderLinkId":"hx-1"}"#
        );
        outcome
    };
    assert_eq!(
        cancel(fixture!("cancel_order")),
        Ok(CancelOutcome::Cancelled)
    );
    for (code, expected) in [
        (110_001, Ok(CancelOutcome::NotFound)),
        (170_213, Ok(CancelOutcome::NotFound)),
        (110_008, Ok(CancelOutcome::AlreadyDone)),
        (110_010, Ok(CancelOutcome::AlreadyDone)),
        (110_079, Err(ErrorClass::Unknown)),
        (10_016, Err(ErrorClass::Unknown)),
        (10_006, Err(ErrorClass::RateLimited)),
    ] {
        assert_eq!(
            cancel(&refusal(code, "")).map_err(|error| error.class),
            expected,
            "{code}"
        );
    }
}

#[test]
fn spot_is_refused_without_a_request() {
    let bybit = venue([]);
    let (symbol, id) = (symbol("BTCUSDT"), id("hx-1"));
    let spec = OrderSpec {
        product: Product::Spot,
        ..market()
    };
    let errors = [
        run(bybit.place_order(&spec)).unwrap_err(),
        run(bybit.position(Product::Spot, &symbol)).unwrap_err(),
        run(bybit.positions(Product::Spot)).unwrap_err(),
        run(bybit.set_leverage(Product::Spot, &symbol, Decimal::ONE)).unwrap_err(),
        run(bybit.look_up(Product::Spot, &symbol, &id)).unwrap_err(),
        run(bybit.cancel(Product::Spot, &symbol, &id)).unwrap_err(),
        run(bybit.fills(Product::Spot, &symbol, &id, Quantity::ZERO)).unwrap_err(),
        // Bybit reads zero with reduce-only as "everything".
        run(bybit.place_order(&OrderSpec {
            quantity: Quantity::ZERO,
            effect: Effect::Close,
            ..market()
        }))
        .unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.code, VenueError::UNSUPPORTED);
        assert_eq!(error.class, ErrorClass::Rejected);
    }
    assert!(bybit.transport.requests.borrow().is_empty());
}

// What failures prove.

/// Every code of the team's notes on Bybit, and what it proves about an order.
const CODES: &[(i64, Option<ErrorClass>)] = &[
    (429, Some(ErrorClass::RateLimited)),
    (10_000, Some(ErrorClass::Unknown)),
    (10_001, Some(ErrorClass::Rejected)),
    (10_002, Some(ErrorClass::ClockSkew)),
    (10_003, Some(ErrorClass::Credentials)),
    (10_004, Some(ErrorClass::Credentials)),
    (10_005, Some(ErrorClass::Credentials)),
    (10_006, Some(ErrorClass::RateLimited)),
    (10_009, Some(ErrorClass::Location)),
    (10_010, Some(ErrorClass::Credentials)),
    (10_014, Some(ErrorClass::Unknown)),
    (10_016, Some(ErrorClass::Unknown)),
    (10_024, Some(ErrorClass::Location)),
    (10_029, Some(ErrorClass::UnknownSymbol)),
    (110_001, None),
    (110_003, Some(ErrorClass::Rejected)),
    (110_004, Some(ErrorClass::Rejected)),
    (110_007, Some(ErrorClass::Rejected)),
    (110_008, None),
    (110_009, Some(ErrorClass::Rejected)),
    (110_010, None),
    (110_012, Some(ErrorClass::Rejected)),
    (110_017, Some(ErrorClass::Rejected)),
    (110_020, Some(ErrorClass::Rejected)),
    (110_025, None),
    (110_026, None),
    (110_043, None),
    (110_045, Some(ErrorClass::Rejected)),
    (110_072, Some(ErrorClass::Duplicate)),
    (110_079, Some(ErrorClass::Unknown)),
    (110_090, Some(ErrorClass::Rejected)),
    (110_092, Some(ErrorClass::Rejected)),
    (110_093, Some(ErrorClass::Rejected)),
    (110_094, Some(ErrorClass::Rejected)),
    (170_136, Some(ErrorClass::Rejected)),
    (170_137, Some(ErrorClass::Rejected)),
    (170_140, Some(ErrorClass::Rejected)),
    (170_141, Some(ErrorClass::Duplicate)),
    (170_213, None),
];

#[test]
fn every_known_code_has_its_class() {
    for (code, expected) in CODES {
        assert_eq!(class_of(*code), *expected, "{code}");
        let error = run(one(&refusal(*code, "words")).place_order(&market())).unwrap_err();
        assert_eq!(
            error.class,
            expected.unwrap_or(ErrorClass::Unknown),
            "{code}"
        );
        assert_eq!(error.code, code.to_string());
        assert_eq!(error.message, "words");
    }
}

#[test]
fn an_undocumented_refusal_is_unknown() {
    let error = run(one(fixture!("set_margin_mode_refused")).place_order(&market())).unwrap_err();
    assert_eq!(error.class, ErrorClass::Unknown);
    assert_eq!(error.code, "3400045");
    assert_eq!(error.message, "Set margin mode failed");
}

const CLOUDFRONT: &str =
    "The Amazon CloudFront distribution is configured to block access from your country.";
const BANNED_UNTIL: &str = "Way too many requests; IP banned until 1780000090000.";

/// Without the venue's own envelope a status proves less of a call that changes something than of one that
/// reads: the class for each.
const STATUSES: [(u16, &str, ErrorClass, ErrorClass); 29] = {
    use ErrorClass::{Banned, Credentials, Location, RateLimited, Unknown};
    [
        (200, "", Unknown, Unknown),
        (200, "{}", Unknown, Unknown),
        (200, r#"{"retCode":"0","result":{}}"#, Unknown, Unknown),
        (200, r#"{"retCode":10001.0}"#, Unknown, Unknown),
        (200, r#"{"retCode":0,"retMsg":"OK"}"#, Unknown, Unknown),
        (200, "<html>", Unknown, Unknown),
        (200, "access too frequent", Unknown, Unknown),
        (302, "", Unknown, Unknown),
        (400, "bad request", Unknown, Unknown),
        (401, "", Credentials, Unknown),
        (401, "<html>Unauthorized</html>", Credentials, Unknown),
        (403, "", Location, Unknown),
        (403, CLOUDFRONT, Location, Unknown),
        (403, "<html>Too many requests</html>", Banned, Unknown),
        (403, "403, access too frequent", Banned, Banned),
        (403, "Access Too Frequent!", Banned, Banned),
        (403, BANNED_UNTIL, Banned, Banned),
        (404, "", Unknown, Unknown),
        (408, "", Unknown, Unknown),
        (418, "", Banned, Banned),
        (418, BANNED_UNTIL, Banned, Banned),
        (429, "", RateLimited, RateLimited),
        (429, "<html>", RateLimited, RateLimited),
        (429, BANNED_UNTIL, Banned, Banned),
        (451, "", Location, Unknown),
        (500, "", Unknown, Unknown),
        (502, "<html>Bad Gateway</html>", Unknown, Unknown),
        (503, "access too frequent", Unknown, Unknown),
        (504, "", Unknown, Unknown),
    ]
};

#[test]
fn statuses_without_an_envelope() {
    let (symbol, id) = (symbol("BTCUSDT"), id("hx-1"));
    for (status, body, reads, changes) in STATUSES {
        let bybit = || venue([answer(status, body)]);
        let errors = [
            run(bybit().position(Product::Linear, &symbol)).unwrap_err(),
            run(bybit().instrument(Product::Linear, &symbol)).unwrap_err(),
            run(bybit().look_up(Product::Linear, &symbol, &id)).unwrap_err(),
            run(bybit().balances()).unwrap_err(),
        ];
        for error in errors {
            assert_eq!(error.class, reads, "{status} {body}");
        }
        let error = run(bybit().place_order(&market())).unwrap_err();
        assert_eq!(error.class, changes, "{status} {body}");
        let error = run(bybit().cancel(Product::Linear, &symbol, &id)).unwrap_err();
        assert_eq!(error.class, changes, "{status} {body}");
    }
    for (status, body, _, changes) in STATUSES {
        // A change of leverage has no result that could be missing.
        if status != 200 {
            let bybit = venue([answer(status, body)]);
            let error =
                run(bybit.set_leverage(Product::Linear, &symbol, Decimal::TEN)).unwrap_err();
            assert_eq!(error.class, changes, "{status} {body}");
        }
    }
}

#[test]
fn status_and_envelope_together() {
    for (status, code, class) in [
        (403, 10_009, ErrorClass::Location),
        (401, 10_003, ErrorClass::Credentials),
        (400, 10_001, ErrorClass::Rejected),
        // Undocumented codes leave it to the status, and of an order only the limits' prove anything.
        (418, 999, ErrorClass::Banned),
        (429, 999, ErrorClass::RateLimited),
        (403, 999, ErrorClass::Unknown),
        (401, 999, ErrorClass::Unknown),
        (451, 999, ErrorClass::Unknown),
        (200, 999, ErrorClass::Unknown),
        // A time-out stays ambiguous.
        (429, 10_000, ErrorClass::Unknown),
        // Beside a server error no code is believed, and no success either.
        (500, 10_001, ErrorClass::Unknown),
        (502, 110_007, ErrorClass::Unknown),
        (500, 0, ErrorClass::Unknown),
        (429, 0, ErrorClass::Unknown),
    ] {
        let bybit = venue([answer(status, refusal(code, "words"))]);
        let error = run(bybit.place_order(&market())).unwrap_err();
        assert_eq!(error.class, class, "{status} {code}");
    }
    for (status, code, class) in [
        (403, 999, ErrorClass::Location),
        (401, 999, ErrorClass::Credentials),
        (451, 999, ErrorClass::Location),
    ] {
        let bybit = venue([answer(status, refusal(code, "words"))]);
        let error = run(bybit.balances()).unwrap_err();
        assert_eq!(error.class, class, "{status} {code}");
    }
    // A limit whose words name a ban is one.
    for code in [429, 10_006, 10_018] {
        for (message, class) in [
            ("Too many visits!", ErrorClass::RateLimited),
            ("Access too frequent.", ErrorClass::Banned),
            (BANNED_UNTIL, ErrorClass::Banned),
        ] {
            let error = run(one(&refusal(code, message)).place_order(&market())).unwrap_err();
            assert_eq!(error.class, class, "{code} {message}");
        }
    }
    let error = run(one(&refusal(10_001, BANNED_UNTIL)).place_order(&market())).unwrap_err();
    assert_eq!(error.class, ErrorClass::Rejected);
}

#[test]
fn transport_failures_before_and_after_effect_look_the_same() {
    // The request was recorded, so the venue may have acted: whether it did cannot be told apart.
    for (failure, code) in [
        (TransportError::Timeout, VenueError::TIMEOUT),
        (
            TransportError::Disconnected("reset".to_owned()),
            VenueError::DISCONNECTED,
        ),
        (TransportError::TooLarge, VenueError::RESPONSE_TOO_LARGE),
    ] {
        let bybit = venue([Err(failure)]);
        let error = run(bybit.place_order(&market())).unwrap_err();
        assert_eq!(
            (error.class, error.code.as_str()),
            (ErrorClass::Unknown, code)
        );
        assert_eq!(
            bybit.transport.requests.borrow().len(),
            1,
            "nothing is repeated"
        );
    }
    let mut huge = ACKED.as_bytes().to_vec();
    huge.resize(MAX_RESPONSE_BYTES + 1, b' ');
    let error = run(venue([answer(200, huge)]).place_order(&market())).unwrap_err();
    assert_eq!(error.code, VenueError::RESPONSE_TOO_LARGE);
}

#[test]
fn a_lost_acknowledgement_is_found_and_matches() {
    let entry = changed(
        fixture!("order_realtime"),
        &serde_json::json!({
            "orderLinkId": "hx-1", "symbol": "BTCUSDT", "qty": "0.01", "orderStatus": "Filled",
            "cumExecQty": "0.01", "avgPrice": "60000", "createdTime": NOW.to_string(),
        }),
    );
    let bybit = venue([
        Err(TransportError::Timeout),
        answer(200, listing(&serde_json::json!([entry]), "")),
    ]);
    let spec = market();
    let error = run(bybit.place_order(&spec)).unwrap_err();
    assert!(!error.class.is_definite());
    let found = run(bybit.look_up(spec.product, &spec.symbol, &spec.client_order_id)).unwrap();
    let LookUp::Found(order) = found else {
        panic!("{found:?}")
    };
    let sent_at = Timestamp::from_millis(NOW);
    assert_eq!(matches(&spec, &order, sent_at), Ok(()));
    assert_eq!(
        matches(&spec, &order, sent_at.plus_millis(-600_001)),
        Err(Mismatch::Time)
    );
}

#[test]
fn pauses_come_from_the_venue() {
    let pause = |status, retry_after: Option<&str>, reset: Option<i64>, body: &str| {
        let bybit = venue([Ok(HttpResponse {
            status,
            retry_after: retry_after.map(str::to_owned),
            limit_reset: reset.map(|at| at.to_string()),
            body: body.as_bytes().to_vec(),
        })]);
        run(bybit.place_order(&market()))
            .unwrap_err()
            .retry_after_ms
    };
    let limited = refusal(10_006, "Too many visits!");
    let soon = Some(NOW.saturating_add(800));
    assert_eq!(pause(200, None, None, &limited), None);
    assert_eq!(pause(200, None, soon, &limited), Some(800));
    assert_eq!(pause(200, None, Some(1), &limited), Some(0));
    assert_eq!(pause(200, Some("7"), soon, &limited), Some(7000));
    assert_eq!(pause(429, Some("3600"), soon, ""), Some(3_600_000));
    assert_eq!(pause(200, Some("999999"), None, &limited), Some(3_600_000));
    assert_eq!(pause(200, Some("soon"), None, &limited), None);
    assert_eq!(pause(429, Some("2"), None, ""), Some(2000));
    assert_eq!(pause(503, Some("2"), soon, ""), Some(2000));
    // A ban: the header, else the end that it states, else the ten minutes documented for calls that come too often.
    let until = |at: i64| format!("IP Banned until {at}. Please wait.");
    let hour = until(NOW.saturating_add(3_600_001));
    let passed = until(NOW);
    for status in [403, 418] {
        for (retry_after, body, expected) in [
            (None, "access too frequent", Some(600_000)),
            (Some("30"), "access too frequent", Some(30_000)),
            (Some("7200"), "access too frequent", Some(7_200_000)),
            (Some("9999999"), "access too frequent", Some(259_200_000)),
            (None, hour.as_str(), Some(3_600_001)),
            (Some("30"), hour.as_str(), Some(30_000)),
            (None, passed.as_str(), None),
            (None, "banned until further notice", None),
            (None, "banned until 99999999999999999999", None),
        ] {
            let millis = pause(status, retry_after, soon, body);
            assert_eq!(millis, expected, "{status} {retry_after:?} {body}");
        }
    }
    assert_eq!(pause(418, None, soon, ""), None);
    assert_eq!(pause(418, Some("30"), soon, ""), Some(30_000));
    assert_eq!(
        pause(200, None, soon, &refusal(10_018, &hour)),
        Some(3_600_001)
    );
    // On every other answer the reset header is just the present.
    assert_eq!(pause(200, None, soon, &refusal(10_001, "")), None);
}

#[test]
fn errors_repeat_neither_key_nor_secret() {
    let message = format!(
        "error sign! origin_string[{NOW}{KEY}5000] {SECRET}\n{}",
        "x".repeat(999)
    );
    let bybit = venue([
        answer(200, refusal(10_004, &message)),
        Err(TransportError::Disconnected(format!(
            "https://venue.test/?apiKey={KEY}&signature=abcdef0123&x=1"
        ))),
    ]);
    for _ in 0..2 {
        let error = run(bybit.place_order(&market())).unwrap_err();
        let text = format!("{error:?} {error}");
        for hidden in [KEY, SECRET, "abcdef0123", "\n", "\\n"] {
            assert!(!text.contains(hidden), "{text}");
        }
        assert!(error.message.chars().count() <= 300);
    }
}

// Laws.

fn decimal_text() -> impl Strategy<Value = Decimal> {
    (1i64..=i64::MAX, 0u32..=18).prop_map(|(digits, scale)| Decimal::new(digits, scale))
}

/// Bytes that are often almost an envelope.
fn body() -> impl Strategy<Value = Vec<u8>> {
    let envelope = (
        prop_oneof![
            any::<i64>(),
            proptest::sample::select(
                CODES
                    .iter()
                    .map(|(code, _)| *code)
                    .chain([0])
                    .collect::<Vec<_>>()
            )
        ],
        ".{0,40}",
        proptest::sample::select(vec![
            "{}",
            "null",
            "[]",
            "1e999",
            r#"{"list":[]}"#,
            r#"{"list":[{}]}"#,
            r#"{"orderId":"A","orderLinkId":"hx-1"}"#,
            r#"{"orderId":1}"#,
            r#"{"list":"#,
        ]),
    )
        .prop_map(|(code, message, result)| {
            let message = serde_json::to_string(&message).unwrap();
            format!(r#"{{"retCode":{code},"retMsg":{message},"result":{result}}}"#).into_bytes()
        });
    let official = proptest::sample::select(vec![
        fixture!("order_realtime"),
        fixture!("execution_list"),
        fixture!("position_list"),
        fixture!("wallet_balance"),
        fixture!("instruments_linear"),
        fixture!("tickers_inverse"),
        fixture!("market_time"),
        fixture!("create_order"),
        fixture!("query_api"),
    ]);
    let damaged =
        (official, any::<prop::sample::Index>(), any::<u8>()).prop_map(|(text, place, byte)| {
            let mut bytes = text.as_bytes().to_vec();
            let place = place.index(bytes.len());
            bytes[place] = byte;
            bytes
        });
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..200),
        envelope,
        damaged
    ]
}

proptest! {
    #[test]
    fn no_answer_makes_a_call_panic(status in 100u16..600, body in body()) {
        let answers = || core::iter::repeat_n(answer(status, body.clone()), 40);
        let (symbol, id) = (symbol("ETHUSDT"), id("test-000005"));
        let bybit = venue(answers());
        drop(run(bybit.look_up(Product::Linear, &symbol, &id)));
        drop(run(bybit.fills(Product::Linear, &symbol, &id, Quantity::ZERO)));
        drop(run(bybit.position(Product::Linear, &symbol)));
        drop(run(bybit.positions(Product::Linear)));
        let bybit = venue(answers());
        drop(run(bybit.balances()));
        drop(run(bybit.instrument(Product::Linear, &symbol)));
        drop(run(bybit.ticker(Product::Linear, &symbol)));
        drop(run(bybit.server_time()));
        drop(run(bybit.sync_clock()));
        drop(run(bybit.key_info()));
        drop(run(bybit.cancel(Product::Linear, &symbol, &id)));
        drop(run(bybit.set_leverage(Product::Linear, &symbol, Decimal::TEN)));
    }

    #[test]
    fn only_a_known_refusal_makes_an_order_rejected(status in 100u16..600, body in body()) {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Code {
            ret_code: i64,
        }
        let rejected_code = (200..500).contains(&status)
            && serde_json::from_slice::<Code>(&body)
                .is_ok_and(|it| class_of(it.ret_code) == Some(ErrorClass::Rejected));
        match run(venue([answer(status, body)]).place_order(&market())) {
            Ok(ack) => prop_assert!((200..300).contains(&status) && !ack.venue_order_id.is_empty()),
            Err(error) => prop_assert!(error.class != ErrorClass::Rejected || rejected_code),
        }
    }

    #[test]
    fn only_words_of_the_venue_and_limits_prove_that_there_is_no_order(status in 100u16..600, body in ".{0,40}") {
        let limited = matches!(status, 418 | 429)
            || ((400..500).contains(&status) && body.to_lowercase().contains("banned until"));
        let error = run(venue([answer(status, body)]).place_order(&market())).unwrap_err();
        prop_assert_eq!(error.class.is_definite(), limited, "{}", error);
    }

    #[test]
    fn numbers_leave_as_plain_decimals(size in decimal_text(), at in decimal_text()) {
        let spec = OrderSpec {
            quantity: size.try_into().unwrap(),
            ..limit(&at.to_string(), TimeInForce::Gtc)
        };
        let bybit = one(ACKED);
        run(bybit.place_order(&spec)).unwrap();
        let body = bybit.transport.only_request().body.unwrap();
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        for (name, value) in [("qty", size), ("price", at)] {
            let text = body[name].as_str().unwrap();
            prop_assert!(text.bytes().all(|b| b.is_ascii_digit() || b == b'.'), "{}", text);
            prop_assert_eq!(decimal(text), value);
        }
    }
}
