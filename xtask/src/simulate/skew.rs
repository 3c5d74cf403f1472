//! Messages and stored rows of a version before or after: what has its default value is left out, and
//! there are fields nobody knows yet.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::simulate::rng::Rng;

/// The same message as another version would have written it.
pub(crate) fn aged<T: Serialize + DeserializeOwned>(rng: &Rng, message: &T) -> T {
    let mut value = serde_json::to_value(message).unwrap();
    if rng.chance(500) {
        add_unknown(&mut value);
    } else {
        drop_defaults(&mut value);
    }
    serde_json::from_str(&value.to_string()).unwrap()
}

fn add_unknown(value: &mut Value) {
    if let Value::Object(fields) = value {
        fields.insert("fieldOfTheNextVersion".to_owned(), Value::from("7"));
        for (name, field) in fields.iter_mut() {
            // A target's one field is its name, and an account's own reader is tested with it.
            if name == "signal" || name == "account" || name == "kill" {
                add_unknown(field);
            }
        }
    }
}

/// Optional fields whose absence means the same.
const OPTIONAL: [&str; 10] = [
    "past",
    "waitMs",
    "default",
    "dryRun",
    "test",
    "onOpposite",
    "reason",
    "notes",
    "history",
    "settle",
];

fn drop_defaults(value: &mut Value) {
    if let Value::Object(fields) = value {
        fields.retain(|name, field| !(OPTIONAL.contains(&name.as_str()) && is_default(field)));
        for field in fields.values_mut() {
            drop_defaults(field);
        }
    }
}

fn is_default(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Number(number) => number.as_i64() == Some(0),
        Value::Array(items) => items.is_empty(),
        Value::String(text) => text == "reverse",
        _ => false,
    }
}
