//! The contract by example.

use core::fmt::Write as _;

use hoox_model::{Code, Decimal, OrderKind, Product, TimeInForce, Timestamp, Venue, parse_decimal};

use super::{NOW, alert, entry, read};
use crate::{
    Action, Alert, Identity, OnOpposite, Signal, Sizing, Target, WINDOW_LONG_MS, WINDOW_SHORT_MS,
};

/// Asserts that `fields` on a plain entry are refused for `field`.
#[track_caller]
fn refused(fields: &str, code: Code, field: &str) {
    let error = entry(fields).unwrap_err();
    assert_eq!(
        (error.code, error.field.as_deref()),
        (code, Some(field)),
        "{fields}: {error}"
    );
}

/// Bodies that are refused.
const BODIES: &[&str] = &[
    "",
    "BTC crossed 70000",
    "\u{a0}{}",
    "[1]",
    "\"{}\"",
    "{{strategy.order.alert_message}}",
    "{",
    "{\"action\":\"LONG\",}",
    "{\"action\":\"LONG\"} {}",
    "{action:\"LONG\"}",
    "{\"action\" \"LONG\"}",
    "{\"action\":LONG}",
    "{\"quantity\":.5}",
    "{\"quantity\":NaN}",
    "{\"quantity\": na}",
    "{\"quantity\":\n  -Infinity}",
    "{\"quantity\": {{strategy.order.contracts}}}",
    "{\"a\": {{ close }}}",
    "{\"a\":\"{{plot(\"RSI\")}}\"}",
    "{\"comment\":\"say \"hi\" now\"}",
    "{\"comment\":\"two\nlines\"}",
    "{\"comment\":\"C:\\path\"}",
    "{\"a\":1,\"a\":2}",
    "{\"x\":[1}}",
    "{\"x\":{\"a\":[{\"b\":1,\"b\":2}]}}",
    "{\"x\":\"\\ud800\"}",
    "{\"\\ud800\":1}",
    "{\"\\ud800\\n\":1}",
    "{\"symbol\":\"BTCUSDT\"}",
    "{\"action\":\"hold\",\"symbol\":\"BTCUSDT\"}",
    "{\"action\":\"LONG\",\"quantity\":1}",
    "{\"action\":\"LONG\",\"symbol\":\"BTCUSDT\"}",
    "{\"action\":\"LONG\",\"symbol\":7,\"quantity\":1}",
    "{\"action\":\"LONG\",\"symbol\":\"BTC USDT\",\"quantity\":1}",
    "{\"action\":\"{{strategy.order.action}}\",\"symbol\":\"BTCUSDT\"}",
    "{\"action\":\"LONG\",\"symbol\":\"{{ticker}}\"}",
    "{\"action\":\"LONG\",\"symbol\":\"{{tiker}}\"}",
    "{\"action\":\"LONG\",\"symbol\":\"{{ ticker }}\"}",
    "{\"action\":\"target\",\"symbol\":\"BTCUSDT\",\"marketPosition\":\"long\"}",
    "{\"action\":\"target\",\"symbol\":\"BTCUSDT\",\"marketPosition\":\"up\",\"marketPositionSize\":1}",
    "{\"action\":\"target\",\"symbol\":\"BTCUSDT\",\"marketPosition\":\"flat\",\"marketPositionSize\":1}",
    "{\"action\":\"target\",\"symbol\":\"BTCUSDT\",\"marketPosition\":\"short\",\"marketPositionSize\":-1}",
    "{\"action\":\"target\",\"symbol\":\"BTCUSDT\",\"marketPosition\":\"long\",\"marketPositionSize\":1,\"quantity\":5,\"quantityType\":\"quote\"}",
];

/// Every refusal as its sender sees it: the sentences are the product here.
#[test]
fn refusals_explain_themselves() {
    let mut text = String::new();
    for body in BODIES {
        let (code, field, message) = match Alert::parse(body.as_bytes()) {
            Err(error) => (error.code, None, error.message),
            Ok(alert) => {
                let error = Signal::from_alert(&alert, None, NOW).unwrap_err();
                (error.code, error.field, error.message)
            }
        };
        let field = field.unwrap_or_default();
        writeln!(text, "{body:?}\n    {code} {field}: {message}").unwrap();
    }
    for fields in [
        r#""exchange":"ftx""#,
        r#""account":"my account""#,
        r#""market":"margin""#,
        r#""symbol":"BTCUSDT.P","market":"spot""#,
        r#""quantity":"NaN""#,
        r#""quantity":"na""#,
        r#""quantity":"1,5""#,
        r#""quantity":"""#,
        r#""quantity":0"#,
        r#""quantity":-1"#,
        r#""quantity":true"#,
        r#""quantityType":"lots""#,
        r#""quantityType":"percentEquity","quantity":101"#,
        r#""quantityType":"riskPercent""#,
        r#""onOpposite":"flip""#,
        r#""orderType":"stop""#,
        r#""orderType":"limit""#,
        r#""price":"NaN""#,
        r#""orderType":"limit","price":1,"timeInForce":"GTX""#,
        r#""orderType":"limit","price":1,"timeInForce":"IOC","postOnly":true"#,
        r#""postOnly":true"#,
        r#""stopLoss":60000"#,
        r#""stopLoss":{}"#,
        r#""stopLoss":{"price":1,"percent":1}"#,
        r#""stopLoss":{"price":1},"stopLossPercent":2"#,
        r#""trailingStopDistance":0"#,
        r#""leverage":0"#,
        r#""leverage":201"#,
        r#""marginMode":"portfolio""#,
        r#""test":1"#,
        r#""idempotencyKey":7"#,
        r#""idempotencyKey":"""#,
        r#""timestamp":"yesterday""#,
        r#""timestamp":"2026-05-28T20:27:46Z""#,
        r#""action":"buy","timestamp":"2026-05-28T20:25:44Z""#,
        r#""timestamp":"2026-05-28T20:15:00Z""#,
        r#""maxLag":0"#,
        r#""maxLag":3601"#,
        r#""strategy":["a"]"#,
        r#""notify":"me""#,
        r#""notify":{"message":"hi"}"#,
    ] {
        let error = entry(fields).unwrap_err();
        let field = error.field.clone().unwrap_or_default();
        writeln!(text, "{fields}\n    {} {field}: {error}", error.code).unwrap();
    }
    insta::assert_snapshot!(text);
}

#[test]
fn actions_are_known_in_any_case() {
    for (text, expected, is_entry) in [
        ("LONG", Action::Long, true),
        ("short", Action::Short, true),
        ("Close_Long", Action::CloseLong, false),
        ("CLOSE_SHORT", Action::CloseShort, false),
        ("close", Action::Close, false),
        ("EXIT", Action::Close, false),
        ("Flat", Action::Close, false),
        ("BUY", Action::Buy, true),
        ("sell", Action::Sell, true),
        ("reverse", Action::Reverse, true),
        ("Cancel", Action::Cancel, false),
    ] {
        let signal = entry(&format!("\"action\":\"{text}\"")).unwrap();
        assert_eq!(signal.action, expected, "{text}");
        assert_eq!(signal.is_entry(), is_entry, "{text}");
        let lag = if is_entry { 60_000 } else { 600_000 };
        assert_eq!(signal.max_lag_ms, lag, "{text}");
    }
}

#[test]
fn a_quantity_is_needed_exactly_where_nothing_else_says_the_size() {
    for (action, needed) in [
        ("LONG", true),
        ("SHORT", true),
        ("buy", true),
        ("sell", true),
        ("reverse", false),
        ("CLOSE_LONG", false),
        ("CLOSE_SHORT", false),
        ("close", false),
        ("cancel", false),
    ] {
        let read = read(&format!(r#"{{"action":"{action}","symbol":"BTCUSDT"}}"#));
        match read {
            Ok(signal) => assert!(!needed && signal.quantity.is_none(), "{action}"),
            Err(error) => assert_eq!(
                (error.code, error.field.as_deref(), needed),
                (Code::BadField, Some("quantity"), true),
                "{action}"
            ),
        }
    }
}

#[test]
fn a_target_carries_its_size() {
    let base = r#""action":"target","quantity":null"#;
    let target = |fields: &str| entry(&format!("{base},{fields}")).unwrap();
    let long = target(r#""marketPosition":"LONG","marketPositionSize":"0.5""#);
    assert_eq!(
        long.action,
        Action::Target(Target::Long("0.5".parse().unwrap()))
    );
    assert_eq!((long.is_entry(), long.quantity), (true, None));
    let flat = target(r#""marketPosition":"flat""#);
    assert_eq!(flat.action, Action::Target(Target::Flat));
    assert!(!flat.is_entry());
    assert_eq!(flat.max_lag_ms, 600_000);
}

#[test]
fn quantities_are_read_by_their_type() {
    for (fields, expected) in [
        (r#""quantity":0.010"#, Sizing::Base("0.01".parse().unwrap())),
        (
            r#""quantity":" 1e-3 ""#,
            Sizing::Base("0.001".parse().unwrap()),
        ),
        (
            r#""quantityType":"BASE","quantity":2"#,
            Sizing::Base("2".parse().unwrap()),
        ),
        (
            r#""quantityType":"quote","quantity":"250.50""#,
            Sizing::Quote("250.5".parse().unwrap()),
        ),
    ] {
        assert_eq!(entry(fields).unwrap().quantity, Some(expected), "{fields}");
    }
    let risk = entry(r#""quantityType":"riskPercent","quantity":1,"stopLossPrice":5"#).unwrap();
    assert!(matches!(risk.quantity, Some(Sizing::RiskPercent(p)) if p.get() == Decimal::ONE));
}

#[test]
fn orders_are_market_unless_they_say_limit() {
    let plain = entry("").unwrap();
    assert_eq!(
        (plain.order, plain.reference_price),
        (OrderKind::Market, None)
    );
    assert_eq!(plain.notes, Vec::<String>::new());

    let referenced = entry(r#""price":5"#).unwrap();
    assert_eq!(referenced.order, OrderKind::Market);
    assert_eq!(referenced.reference_price, Some("5".parse().unwrap()));
    assert_eq!(referenced.notes.len(), 1);

    for (fields, time_in_force) in [
        ("", TimeInForce::Gtc),
        (r#","timeInForce":"ioc""#, TimeInForce::Ioc),
        (
            r#","timeInForce":"FOK","postOnly":"false""#,
            TimeInForce::Fok,
        ),
        (r#","postOnly":true"#, TimeInForce::PostOnly),
    ] {
        let signal = entry(&format!(r#""orderType":"LIMIT","price":"5"{fields}"#)).unwrap();
        let price = "5".parse().unwrap();
        assert_eq!(
            signal.order,
            OrderKind::Limit {
                price,
                time_in_force
            },
            "{fields}"
        );
        assert_eq!(signal.reference_price, None);
    }
}

#[test]
fn stops_are_read_nested_or_flat() {
    for fields in [
        r#""stopLoss":{"percent":1.5}"#,
        r#""stopLossPercent":"1.5""#,
        r#""stopLoss":{"percent":"1.50","note":"unknown fields do not matter"}"#,
    ] {
        let signal = entry(fields).unwrap();
        let percent = crate::Percent::try_from(parse_decimal("1.5").unwrap()).unwrap();
        assert_eq!(
            signal.stop_loss,
            Some(crate::Trigger::Percent(percent)),
            "{fields}"
        );
    }
    let signal =
        entry(r#""takeProfit":{"price":9},"trailingStopDistance":3,"stopLoss":null"#).unwrap();
    assert_eq!(
        signal.take_profit,
        Some(crate::Trigger::Price("9".parse().unwrap()))
    );
    assert_eq!(
        signal.trailing_stop,
        Some(crate::Trigger::Distance("3".parse().unwrap()))
    );
    assert_eq!(signal.stop_loss, None);
}

#[test]
fn the_passkey_may_stand_in_its_own_field_only() {
    let parse = |more: &str| {
        let body = format!(
            r#"{{"apiKey":"a-long-\"key","symbol":"BTCUSDT","action":"buy","quantity":1,{more}}}"#
        );
        let alert = Alert::parse(body.as_bytes()).unwrap();
        Signal::from_alert(&alert, None, NOW)
    };
    assert!(parse(r#""comment":"a-long-key""#).is_ok());
    for more in [
        r#""comment":"my a-long-\"key""#,
        r#""passkey":"a-long-\"key""#,
        r#""x":[{"y":"a-long-\"key"}]"#,
        r#""a-long-\"key":1"#,
    ] {
        let error = parse(more).unwrap_err();
        let at = (error.code, error.field.as_deref());
        assert_eq!(at, (Code::BadField, Some("apiKey")), "{more}");
        assert!(!error.to_string().contains("a-long"), "{error}");
    }
    // A short one is found in anything.
    let body = br#"{"apiKey":"BTC","symbol":"BTCUSDT","action":"buy","quantity":1}"#;
    assert!(Signal::from_alert(&Alert::parse(body).unwrap(), None, NOW).is_ok());
}

#[test]
fn placeholders_are_refused_in_known_fields_only() {
    for name in [
        "comment",
        "price",
        "prevMarketPosition",
        "marketPosition",
        "timestamp",
    ] {
        refused(
            &format!(r#""{name}":"{{{{close}}}}""#),
            Code::Placeholder,
            name,
        );
    }
    refused(
        r#""notify":{"chatId":1,"message":"{{close}}"}"#,
        Code::Placeholder,
        "notify",
    );
    assert!(entry(r#""note":"{{close}}""#).is_ok());
    assert!(entry(r#""comment":"{ { close } }""#).is_ok());
}

#[test]
fn idempotency_keys_come_from_body_or_header() {
    let with = r#"{"action":"buy","quantity":1,"symbol":"BTCUSDT","idempotencyKey":"a b"}"#;
    let without = r#"{"action":"buy","quantity":1,"symbol":"BTCUSDT"}"#;
    let key = |body: &str, header: Option<&str>| {
        Signal::from_alert(&alert(body), header, NOW).map(|s| s.idempotency_key)
    };
    assert_eq!(key(with, None).unwrap().as_deref(), Some("a b"));
    assert_eq!(key(with, Some("a b")).unwrap().as_deref(), Some("a b"));
    assert_eq!(key(without, Some("h")).unwrap().as_deref(), Some("h"));
    assert_eq!(key(without, None).unwrap(), None);
    let long = "k".repeat(256);
    for (body, header) in [
        (with, "b"),
        (without, ""),
        (without, "ä"),
        (without, " x"),
        (without, &long),
    ] {
        let error = key(body, Some(header)).unwrap_err();
        assert_eq!(
            (error.code, error.field.as_deref()),
            (Code::BadField, Some("idempotencyKey"))
        );
    }
    assert!(key(without, Some(&"k".repeat(255))).is_ok());
}

#[test]
fn timestamps_bound_the_life_of_a_signal() {
    let at = |millis: i64| format!(r#""timestamp":{}"#, NOW.plus_millis(millis).as_millis());
    assert!(entry(&at(60_000)).is_ok());
    refused(&at(60_001), Code::Stale, "timestamp");
    let buy = |millis| format!(r#""action":"buy",{}"#, at(millis));
    assert!(entry(&buy(-60_000)).is_ok());
    refused(&buy(-60_001), Code::Stale, "timestamp");
    // What a LONG may have to close lives ten minutes; whether it has to, the Ledger knows, which judges its lag.
    let flip = entry(&at(-60_001)).unwrap();
    assert_eq!(flip.stale(NOW, NOW).unwrap().code, Code::Stale);
    assert_eq!(flip.stale(NOW, NOW.plus_millis(-1)), None);
    assert!(entry(&at(-600_000)).is_ok());
    refused(&at(-600_001), Code::Stale, "timestamp");
    // A close lives ten minutes.
    let close = |millis| entry(&format!(r#""action":"close",{}"#, at(millis)));
    assert!(close(-600_000).is_ok());
    assert_eq!(close(-600_001).unwrap_err().code, Code::Stale);
    // An own lag counts for both.
    refused(
        &format!(r#"{},"maxLag":"2""#, buy(-2_001)),
        Code::Stale,
        "timestamp",
    );
    assert!(entry(&format!(r#"{},"maxLag":3600"#, at(-3_600_000))).is_ok());
    // Seconds and texts.
    for timestamp in [
        "1780000000",
        "\"1780000000\"",
        "\"1780000000000\"",
        "\"2026-05-28T20:26:40Z\"",
    ] {
        let signal = entry(&format!(r#""timestamp":{timestamp}"#)).unwrap();
        assert_eq!(
            signal.timestamp,
            Some(Timestamp::from_millis(1_780_000_000_000)),
            "{timestamp}"
        );
        assert_eq!(signal.notes, Vec::<String>::new(), "{timestamp}");
    }
    // A bar's time on a signal that is still young enough.
    let close = entry(r#""action":"close","timestamp":"2026-05-28T20:20:00Z""#).unwrap();
    assert!(
        close.notes.iter().any(|note| note.contains("{{timenow}}")),
        "{:?}",
        close.notes
    );
}

#[test]
fn the_deadline_counts_from_the_earlier_moment() {
    let lag = |fields: &str| entry(fields).unwrap().deadline(NOW).since(NOW);
    assert_eq!(lag(""), 60_000);
    assert_eq!(lag(r#""timestamp":"2026-05-28T20:26:35Z""#), 50_000);
    assert_eq!(lag(r#""timestamp":"2026-05-28T20:27:00Z""#), 60_000);
    assert_eq!(lag(r#""maxLag":5"#), 5_000);
}

#[test]
fn identities_last_as_long_as_they_cannot_come_by_chance() {
    let identity = |body: &str| {
        let alert = alert(body);
        Identity::of(&alert, &Signal::from_alert(&alert, None, NOW).unwrap())
    };
    let plain = identity(r#"{"action":"close","symbol":"BTCUSDT"}"#);
    assert_eq!(plain.key, format!("h:{}", plain.content_hash));
    assert_eq!(plain.window_ms, WINDOW_SHORT_MS);
    let timed = identity(r#"{"action":"close","symbol":"BTCUSDT","timestamp":1780000000}"#);
    assert_eq!(timed.key, format!("h:{}", timed.content_hash));
    assert_eq!(timed.window_ms, WINDOW_LONG_MS);
    let keyed = identity(r#"{"action":"close","symbol":"BTCUSDT","idempotencyKey":"x"}"#);
    assert_eq!(
        (keyed.key.as_str(), keyed.window_ms),
        ("k:x", WINDOW_LONG_MS)
    );
}

#[test]
fn what_bybit_linear_can_do_is_supported() {
    for action in [
        "LONG",
        "SHORT",
        "CLOSE_LONG",
        "CLOSE_SHORT",
        "close",
        "buy",
        "sell",
        "reverse",
    ] {
        let signal = entry(&format!(
            r#""action":"{action}","quantityType":"quote","leverage":2,"test":true,"dryRun":"TRUE",
               "onOpposite":"net","orderType":"limit","price":1,"notify":{{"chatId":"@me"}}"#
        ))
        .unwrap();
        assert_eq!(
            signal.unsupported(Venue::Bybit, Product::Linear),
            None,
            "{action}"
        );
        assert!(signal.test && signal.dry_run);
        assert_eq!(signal.on_opposite, OnOpposite::Net);
    }
}

#[test]
fn what_is_not_available_yet_is_refused_by_its_field() {
    for (fields, field) in [
        (r#""quantityType":"percentEquity""#, "quantityType"),
        (r#""quantityType":"percentPosition""#, "quantityType"),
        (
            r#""quantityType":"riskPercent","stopLossPrice":1"#,
            "quantityType",
        ),
        (r#""stopLossPrice":1"#, "stopLoss"),
        (r#""takeProfit":{"percent":1}"#, "takeProfit"),
        (r#""trailingStop":{"distance":1}"#, "trailingStop"),
        (r#""marginMode":"isolated""#, "marginMode"),
    ] {
        let error = entry(fields)
            .unwrap()
            .unsupported(Venue::Bybit, Product::Linear)
            .unwrap();
        assert_eq!(
            (error.code, error.field.as_deref()),
            (Code::Unsupported, Some(field))
        );
    }
    let plain = entry("").unwrap();
    for (venue, product, field) in [
        (Venue::Binance, Product::Linear, "exchange"),
        (Venue::Mexc, Product::Linear, "exchange"),
        (Venue::Bybit, Product::Spot, "symbol"),
    ] {
        let error = plain.unsupported(venue, product).unwrap();
        assert_eq!(
            (error.code, error.field.as_deref()),
            (Code::Unsupported, Some(field))
        );
    }
}

#[test]
fn what_concerns_entries_does_not_hold_up_an_exit() {
    for fields in [
        r#""stopLossPrice":1"#,
        r#""trailingStop":{"percent":1}"#,
        r#""marginMode":"cross""#,
    ] {
        let close = entry(&format!(r#""action":"close",{fields}"#)).unwrap();
        assert_eq!(
            close.unsupported(Venue::Bybit, Product::Linear),
            None,
            "{fields}"
        );
        assert_eq!(
            close.notes.len(),
            usize::from(!fields.contains("margin")),
            "{fields}"
        );
    }
}

#[test]
fn limits_hold_on_both_sides() {
    let long = |n: usize| "x".repeat(n);
    assert!(entry(&format!(r#""comment":"{}""#, long(4096))).is_ok());
    refused(
        &format!(r#""comment":"{}""#, long(4097)),
        Code::BadField,
        "comment",
    );
    refused(
        &format!(r#""strategy":"{}""#, long(256)),
        Code::BadField,
        "strategy",
    );
    assert!(entry(&format!(r#""orderId":7,"strategy":"{}""#, long(255))).is_ok());

    let nested = |levels: usize| {
        format!(
            "{{\"x\":{}{}}}",
            "[".repeat(levels - 1),
            "]".repeat(levels - 1)
        )
    };
    assert!(Alert::parse(nested(16).as_bytes()).is_ok());
    assert!(Alert::parse(nested(17).as_bytes()).is_err());
    assert!(Alert::parse(nested(30_000).as_bytes()).is_err());

    let wide = |fields: usize| {
        let fields: Vec<String> = (0..fields).map(|n| format!("\"f{n}\":{n}")).collect();
        format!("{{{}}}", fields.join(","))
    };
    assert!(Alert::parse(wide(100).as_bytes()).is_ok());
    assert!(Alert::parse(wide(101).as_bytes()).is_err());
    assert!(Alert::parse(format!("{{\"x\":{}}}", wide(101)).as_bytes()).is_err());

    let named = |n: usize| format!("{{\"{}\":1}}", long(n));
    assert!(Alert::parse(named(100).as_bytes()).is_ok());
    assert!(Alert::parse(named(101).as_bytes()).is_err());
}

#[test]
fn bodies_that_are_no_utf8_say_what_they_are() {
    for (body, word) in [
        (&b"\x1f\x8b\x08\x00"[..], "compressed"),
        (b"\xff\xfe{\x00}\x00", "UTF-16"),
        (b"{\x00\"\x00a\x00", "UTF-16"),
        (b"\x00{\x00\"\x00a", "UTF-16"),
        (b"{\"a\":\"\x00\"}", "NUL"),
        (b"{}\x00", "NUL"),
        (b"{\"a\":\"\xff\"}", "UTF-8"),
    ] {
        let error = Alert::parse(body).unwrap_err();
        assert_eq!(error.code, Code::BadJson);
        assert!(error.message.contains(word), "{error}");
    }
    assert!(
        Alert::parse(b"\xef\xbb\xbf{}").is_ok(),
        "a byte order mark is skipped"
    );
}

#[test]
fn the_passkey_is_a_text_and_stays_apart() {
    let alert = alert(r#"{"a":1,"apiKey":"hunter2","b":2}"#);
    assert_eq!(alert.api_key().unwrap().expose(), "hunter2");
    assert_eq!(alert.journal_json(), r#"{"a":1,"b":2}"#);
    assert!(!format!("{alert:?}").contains("hunter2"));
    for body in [
        "{}",
        r#"{"apiKey":7}"#,
        r#"{"apiKey":null}"#,
        r#"{"apiKey":["x"]}"#,
    ] {
        assert!(
            Alert::parse(body.as_bytes()).unwrap().api_key().is_none(),
            "{body}"
        );
    }
}

#[test]
fn a_received_signal_is_validated_again() {
    let signal = entry(r#""leverage":2"#).unwrap();
    let wire = serde_json::to_value(&signal).unwrap();
    let with = |name: &str, value: serde_json::Value| {
        let mut wire = wire.clone();
        wire[name] = value;
        serde_json::from_value::<Signal>(wire)
    };
    assert_eq!(with("fromANewerVersion", 1.into()).unwrap(), signal);
    for (name, value) in [
        ("quantity", serde_json::Value::Null),
        ("quantity", serde_json::json!({"base": "0"})),
        ("quantity", serde_json::json!({"base": "-1"})),
        ("quantity", serde_json::json!({"quote": "-1"})),
        ("leverage", "201".into()),
        ("maxLagMs", 0.into()),
        ("symbol", serde_json::json!({"symbol": "B/T"})),
        ("idempotencyKey", "ä".into()),
        ("action", "HOLD".into()),
        ("strategy", "x".repeat(256).into()),
    ] {
        assert!(with(name, value.clone()).is_err(), "{name} {value}");
    }
}

/// What is kept of an alert must not hold its key, however it is written there.
#[test]
fn the_passkey_stands_nowhere_but_in_its_field() {
    const KEY: &str = "hoox_pass/key";
    let escaped = KEY.chars().fold(String::new(), |text, c| {
        format!("{text}\\u{:04X}", u32::from(c))
    });
    let twice = escaped.replace('\\', "\\\\");
    let read = |fields: &str, header: Option<&str>| {
        let body = format!(r#"{{"apiKey":"{KEY}","action":"close","symbol":"BTCUSDT"{fields}}}"#);
        Signal::from_alert(&alert(&body), header, NOW)
    };
    for spelt in [
        KEY.to_owned(),
        KEY.replace('/', "\\/"),
        KEY.replace('h', "\\u0068"),
        format!("before{}after", KEY.replace('_', "\\u005f")),
        escaped.clone(),
        format!(r#"{{\"apiKey\":\"{KEY}\"}}"#),
        format!(r#"{{\"apiKey\":\"{twice}\"}}"#),
    ] {
        for fields in [
            format!(r#","comment":"{spelt}""#),
            format!(r#","orderId":"{spelt}""#),
            format!(r#","notOurs":{{"a":[1,{{"b":"{spelt}"}}]}}"#),
            format!(r#","notOurs":{{"{spelt}":1}}"#),
            format!(r#","{spelt}":null"#),
            format!(r#","idempotencyKey":"{spelt}""#),
        ] {
            let error = read(&fields, None).unwrap_err();
            assert_eq!(
                (error.code, error.field.as_deref()),
                (Code::BadField, Some("apiKey")),
                "{fields}"
            );
            assert!(!error.to_string().contains(KEY), "{error}");
        }
        let error = read("", Some(&spelt)).unwrap_err();
        assert_eq!(
            (error.code, error.field.as_deref()),
            (Code::BadField, Some("idempotencyKey")),
            "{spelt}"
        );
        assert!(
            error.to_string().contains("header Idempotency-Key"),
            "{error}"
        );
        assert!(!error.to_string().contains(KEY), "{error}");
    }
    // A key of digits in a number, and one whose own characters are escaped.
    for (key, fields) in [
        ("1234567890", r#""notOurs":12345678901"#),
        (r#"a\"b\\ncdefg"#, r#""comment":"a\"b\\ncdefg""#),
        (r#"a\"b\\ncdefg"#, r#""comment":"a\u0022b\u005cncdefg""#),
        (
            "\u{1f511}\u{e9}abcd",
            r#""comment":"\uD83D\uDD11\u00e9abcd""#,
        ),
    ] {
        let body = format!(r#"{{"apiKey":"{key}","action":"close","symbol":"BTCUSDT",{fields}}}"#);
        let error = Signal::from_alert(&alert(&body), None, NOW).unwrap_err();
        assert_eq!(error.field.as_deref(), Some("apiKey"), "{body}");
    }
    // What only looks like it.
    for fields in [
        r#","comment":"hoox_pass-key","orderId":"HOOX_PASS/KEY""#,
        r#","comment":"\\u00zz \\u005 \\ud83d \\x hoox_pass""#,
    ] {
        assert!(read(fields, Some("hoox_pass-key")).is_ok(), "{fields}");
    }
}

#[test]
fn a_number_is_a_value_however_a_sentence_writes_it() {
    for (value, said, bare) in [
        ("\"90.0\"", "price 90 is off", "price … is off"),
        ("9e1", "price 90 is off", "price … is off"),
        ("\"+90\"", "price 90, the lowest", "price …, the lowest"),
        ("91", "price 90 is off", "price 90 is off"),
    ] {
        let alert = Alert::parse(format!(r#"{{"price":{value}}}"#).as_bytes()).unwrap();
        assert_eq!(
            alert.without_values(said, Some("price"), &[]),
            bare,
            "{value}"
        );
    }
}

#[test]
fn a_size_is_found_however_deep_it_stands() {
    let mut inner = r#"{"volume":1}"#.to_owned();
    for _ in 0..12 {
        inner = format!(r#"[{{"x":{inner}}}]"#);
        let body = format!(r#"{{"symbol":"BTCUSDT","action":"close","params":[{inner}]}}"#);
        let Ok(alert) = Alert::parse(body.as_bytes()) else {
            continue;
        };
        assert!(
            Signal::from_alert(&alert, None, Timestamp::from_millis(0)).is_err(),
            "{body}"
        );
    }
}
