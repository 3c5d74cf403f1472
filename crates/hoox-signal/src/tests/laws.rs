//! Laws.

use hoox_model::Decimal;
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::Value;

use super::{NOW, alert, read};
use crate::words::{refused_words, words_of_fields};
use crate::{Alert, Signal, Sizing};

/// Any JSON value, a few levels deep, with whole numbers only.
fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map("z[a-z]{0,4}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// Values that the contract's fields meet in the wild.
fn field_value() -> impl Strategy<Value = String> {
    prop_oneof![
        json().prop_map(|value| value.to_string()),
        "-?[0-9]{1,12}(\\.[0-9]{1,12})?([eE]-?[0-9]{1,3})?"
            .prop_map(|n| n.replace("-0", "-1"))
            .prop_filter("JSON", |n| serde_json::from_str::<
                &serde_json::value::RawValue,
            >(n)
            .is_ok()),
        prop::sample::select(vec![
            "\"LONG\"",
            "\"target\"",
            "\"BTC/USDT:USDT\"",
            "\"NaN\"",
            "\"{{close}}\"",
            "\"long\"",
            "\"limit\"",
            "\"quote\"",
            "true",
            "\"1780000000\""
        ])
        .prop_map(str::to_owned),
    ]
}

const NAMES: &[&str] = &[
    "action",
    "symbol",
    "market",
    "quantity",
    "quantityType",
    "marketPosition",
    "marketPositionSize",
    "orderType",
    "price",
    "timeInForce",
    "postOnly",
    "stopLoss",
    "takeProfitPercent",
    "leverage",
    "marginMode",
    "test",
    "dryRun",
    "idempotencyKey",
    "timestamp",
    "maxLag",
    "comment",
    "notify",
    "exchange",
    "account",
    "onOpposite",
    "x",
    "apiKey",
];

/// A word in some spelling: cases and signs by the bits of `how`.
fn spelling(word: &str, how: u64) -> String {
    let mut spelt = String::new();
    for (place, letter) in word.chars().enumerate() {
        let bits = how.rotate_right(u32::try_from(place).unwrap().saturating_mul(3));
        if place > 0 && bits & 6 == 6 {
            spelt.push(if bits & 1 == 1 { '_' } else { '-' });
        }
        let letter = if bits & 1 == 1 {
            letter.to_ascii_uppercase()
        } else {
            letter
        };
        spelt.push(letter);
    }
    spelt
}

/// What a signal is without what it tells its sender, or the code of its refusal.
fn order(fields: &str) -> Result<Signal, hoox_model::Code> {
    let read = read(&format!(r#"{{"symbol":"BTCUSDT",{fields}}}"#));
    read.map(|signal| Signal {
        notes: Vec::new(),
        ..signal
    })
    .map_err(|error| error.code)
}

proptest! {
    /// Whatever its spelling and its value, a word of the contract is the contract's field.
    #[test]
    fn a_spelling_of_a_field_is_the_field(
        (word, field) in prop::sample::select(words_of_fields()),
        how in any::<u64>(),
        value in field_value(),
        exit in any::<bool>(),
    ) {
        let base = if exit { r#""action":"close""# } else { r#""action":"LONG""# };
        let quantity = if exit || field == "quantity" { "" } else { r#","quantity":1"# };
        let with = |name: &str| order(&format!(r#"{base}{quantity},"{name}":{value}"#));
        if !["action", "symbol"].contains(&field) {
            prop_assert_eq!(with(&spelling(word, how)), with(field));
        }
    }

    /// A word that is refused never trades as if it were not there.
    #[test]
    fn a_refused_word_is_refused_in_any_spelling(
        word in prop::sample::select(refused_words()),
        how in any::<u64>(),
        value in prop::sample::select(vec!["7", "\"7\"", "\"x\"", "[1]", "{\"a\":1}"]),
    ) {
        let word = spelling(word, how);
        let with = |name: &str, value: &str| order(&format!(r#""action":"LONG","quantity":1,"{name}":{value}"#));
        let bar = word.replace(['_', '-'], "").to_ascii_lowercase();
        // A bar's volume and price, and a position that is no side.
        let other = ["volume", "vol"].contains(&bar.as_str()) || bar.ends_with("position") || bar == "positionstate";
        let price = bar == "close" && value.contains('7');
        if !price && (!other || bar == "closeposition") {
            prop_assert_eq!(with(&word, value), Err(hoox_model::Code::BadField), "{}", word);
        }
        // What says nothing asks for nothing, but that something is not live, or an opposite position not closed.
        if with(&word, "\"\"").is_err() {
            prop_assert!(with(&word, "true").is_ok(), "{}", word);
        }
    }

    /// A close with a size in any word, wherever it stands, is none of everything.
    #[test]
    fn a_size_in_any_word_is_never_a_close_of_everything(
        first in prop::sample::select(vec!["", "close", "exit", "reduce", "position", "order", "trade", "sell"]),
        second in prop::sample::select(vec!["qty", "quantity", "size", "amount", "percent", "percentage", "pct", "fraction", "%"]),
        how in any::<u64>(),
        inside in prop::sample::select(vec!["", "params", "order", "x"]),
    ) {
        let word = spelling(&format!("{first}{second}"), how & !6);
        let field = format!(r#""{word}":0.5"#);
        let field = if inside.is_empty() { field } else { format!(r#""{inside}":{{{field}}}"#) };
        let whole = order(&format!(r#""action":"close",{field}"#)).is_ok_and(|signal| signal.quantity.is_none());
        prop_assert!(!whole, "{}", field);
    }

    /// An exit of everything goes out whatever else its message says, but where it would go elsewhere.
    #[test]
    fn a_full_exit_gets_out(
        fields in vec((prop::sample::select(NAMES), field_value()), 0..8),
        flat in any::<bool>(),
    ) {
        const DECIDES: [&str; 12] = [
            "action", "symbol", "market", "exchange", "account", "test", "dryRun", "quantity", "marketPosition",
            "marketPositionSize", "timestamp", "apiKey",
        ];
        let mut names = std::collections::BTreeSet::new();
        let more: Vec<String> = fields
            .iter()
            .filter(|(name, _)| !DECIDES.contains(name) && names.insert(*name))
            .map(|(name, value)| format!(",\"{name}\":{value}"))
            .collect();
        let action = if flat { r#""action":"target","marketPosition":"flat""# } else { r#""action":"close""# };
        let signal = order(&format!("{action}{}", more.join("")));
        prop_assert!(signal.is_ok_and(|signal| !signal.is_entry()), "{:?}", more);
    }

    #[test]
    fn any_bytes_are_read_or_refused(body in vec(any::<u8>(), 0..200)) {
        if let Ok(alert) = Alert::parse(&body) {
            prop_assert!(Alert::parse(alert.journal_json().as_bytes()).is_ok());
        }
    }

    #[test]
    fn any_fields_are_read_or_refused(fields in vec((prop::sample::select(NAMES), field_value()), 0..12)) {
        let fields: Vec<String> = fields.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
        let body = format!("{{\"action\":\"LONG\",{}}}", fields.join(","));
        if let Ok(alert) = Alert::parse(body.as_bytes())
            && let Ok(signal) = Signal::from_alert(&alert, None, NOW)
        {
            let wire = serde_json::to_string(&signal).unwrap();
            prop_assert_eq!(serde_json::from_str::<Signal>(&wire).unwrap(), signal);
        }
    }

    /// Broken texts meet strangers: whatever is wrong, the answer must not repeat the passkey.
    #[test]
    fn refusals_never_repeat_the_passkey(at in 0usize..120, junk in "[\\x00-\\x7f{}\"\\\\]{0,3}", cut in any::<bool>()) {
        let body = r#"{"apiKey":"Zebra.Passkey","action":"LONG","symbol":"BTCUSDT","quantity":1,"comment":"{{x}}"}"#;
        let (start, rest) = body.split_at(at.min(body.len()));
        let rest = if cut { "" } else { rest };
        let text = format!("{start}{junk}{rest}");
        let message = match Alert::parse(text.as_bytes()) {
            Err(error) => error.message,
            Ok(alert) => match Signal::from_alert(&alert, None, NOW) {
                Err(error) => error.message,
                Ok(signal) => format!("{signal:?}"),
            },
        };
        prop_assert!(!message.contains("Zebra"), "{}: {}", text, message);
    }

    #[test]
    fn a_decision_never_depends_on_unknown_fields(
        known in vec((prop::sample::select(NAMES), field_value()), 0..4),
        unknown in proptest::collection::btree_map("z[a-z]{1,6}", json(), 0..4),
        first in any::<bool>(),
    ) {
        let mut names = std::collections::BTreeSet::new();
        let known: Vec<String> = known
            .iter()
            .filter(|(name, _)| !["action", "symbol", "quantity"].contains(name) && names.insert(*name))
            .map(|(name, value)| format!(",\"{name}\":{value}"))
            .collect();
        let known = format!(r#""action":"LONG","symbol":"BTCUSDT","quantity":1{}"#, known.join(""));
        // `null` counts as absent.
        let named = known.contains("\"x\":") && !known.contains("\"x\":null");
        let unknown_given = unknown.values().any(|value| !value.is_null()) || named;
        let unknown: Vec<String> = unknown.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
        let with = match (unknown.is_empty(), first) {
            (true, _) => known.clone(),
            (_, true) => format!("{},{known}", unknown.join(",")),
            (_, false) => format!("{known},{}", unknown.join(",")),
        };
        // They are named in a note, and that is all.
        let told: Vec<String> = read(&format!("{{{with}}}")).map_or_else(|_| Vec::new(), |signal| signal.notes);
        let bare = |body: &str| read(body).map(|signal| Signal { notes: Vec::new(), ..signal });
        prop_assert_eq!(bare(&format!("{{{known}}}")), bare(&format!("{{{with}}}")));
        let said = told.iter().any(|note| note.starts_with("not read: "));
        let asked = unknown_given && read(&format!("{{{with}}}")).is_ok();
        prop_assert_eq!(said, asked);
    }

    #[test]
    fn the_journal_keeps_every_field_but_the_passkey(fields in proptest::collection::btree_map(".{1,8}", json(), 0..6), key in "[ -~]{0,20}") {
        let mut body = serde_json::Map::from_iter(fields);
        body.remove("apiKey");
        let bare = Value::Object(body.clone());
        body.insert("apiKey".to_owned(), Value::from(key.clone()));
        let alert = alert(&Value::Object(body).to_string());
        let journal = alert.journal_json();
        prop_assert_eq!(&serde_json::from_str::<Value>(&journal).unwrap(), &bare);
        let again = Alert::parse(journal.as_bytes()).unwrap();
        prop_assert_eq!(again.journal_json(), journal);
        prop_assert_eq!(again.content_hash(), alert.content_hash());
        let key_back = alert.api_key().unwrap();
        prop_assert_eq!(key_back.expose(), key.as_str());
    }

    #[test]
    fn the_content_hash_ignores_the_passkey_and_nothing_else(
        a in proptest::collection::vec(("[a-c]{1,2}", "[0-9]{1,3}"), 0..4),
        b in proptest::collection::vec(("[a-c]{1,2}", "[0-9]{1,3}"), 0..4),
        keys in ("[a-z]{0,5}", "[a-z]{0,5}"),
        at in 0usize..5,
    ) {
        let body = |fields: &[(String, String)], key: &str, at: usize| {
            let mut parts: Vec<String> = fields.iter().map(|(n, v)| format!("\"{n}\":\"{v}\"")).collect();
            parts.insert(at.min(parts.len()), format!("\"apiKey\":\"{key}\""));
            format!("{{{}}}", parts.join(","))
        };
        let hash = |text: &str| Alert::parse(text.as_bytes()).ok().map(|alert| alert.content_hash());
        let (x, y) = (hash(&body(&a, &keys.0, 0)), hash(&body(&b, &keys.1, at)));
        if let (Some(x), Some(y)) = (x, y) {
            prop_assert_eq!(x == y, a == b);
        }
    }

    #[test]
    fn decimals_are_exact(mantissa in 1i64.., scale in 0u32..=18, quoted in any::<bool>()) {
        let value = Decimal::new(mantissa, scale);
        let text = if quoted { format!("\"{value}\"") } else { value.to_string() };
        let signal = read(&format!(r#"{{"action":"buy","symbol":"BTCUSDT","quantity":{text},"price":{text}}}"#)).unwrap();
        prop_assert_eq!(signal.quantity.map(Sizing::value), Some(value.normalize()));
        prop_assert_eq!(signal.reference_price.map(hoox_model::Price::get), Some(value));
    }
}
