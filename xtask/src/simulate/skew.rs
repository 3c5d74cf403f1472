//! Messages and stored rows of a version before or after: what has its default value is left out, and
//! there are fields nobody knows yet.

use serde_json::Value;

use crate::simulate::rng::Rng;

/// The same message as another version would have written it.
pub(crate) fn aged(rng: &Rng, message: &str) -> String {
    let mut value = serde_json::from_str(message).unwrap();
    age(rng, &mut value);
    value.to_string()
}

/// The same answer as another version would have written it. A refusal may have a code that this one does
/// not know: then the answer is not readable.
pub(crate) fn aged_answer(rng: &Rng, answer: &str) -> String {
    let mut value: Value = serde_json::from_str(answer).unwrap();
    if let Some(reply) = value.get_mut("Ok") {
        age(rng, reply);
    } else if rng.chance(100) {
        value["Err"]["code"] = Value::from("CODE_OF_THE_NEXT_VERSION");
    }
    value.to_string()
}

fn age(rng: &Rng, value: &mut Value) {
    if rng.chance(500) {
        add_unknown(value);
    } else {
        drop_defaults(value);
    }
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
