//! The manifest by example and by law.

mod addresses;
mod changes;
mod laws;
mod manifest;
mod operators;
mod passkeys;
mod routing;
mod seal;
mod signed;

use hoox_model::Timestamp;
use serde_json::{Value, json};

use crate::Manifest;

/// 2026-05-28T20:26:40Z.
const NOW: Timestamp = Timestamp::from_millis(1_780_000_000_000);

/// SHA-256 over the bytes 0 to 15 and `demo-passkey`, computed with another implementation
/// (Python's hashlib).
const DEMO_SALT: &str = "000102030405060708090a0b0c0d0e0f";
const DEMO_HASH: &str = "90c3c7e86aeba07cbce1b02b08cd8900bd0a1b44c8bec8d22c21b879902b04a3";

fn key() -> Value {
    json!({"salt": DEMO_SALT, "hash": DEMO_HASH})
}

fn sender(id: &str, accounts: &[&str]) -> Value {
    json!({"id": id, "permission": "trade", "accounts": accounts, "keys": [key()]})
}

fn account(name: &str, venue: &str, environment: &str) -> Value {
    let mut account = json!({
        "id": format!("{name}-id"), "name": name, "venue": venue, "environment": environment,
    });
    match environment {
        "sim" => account["baseUrl"] = json!("http://127.0.0.1:8787"),
        _ => account["secretSuffix"] = json!(name.to_ascii_uppercase().replace('-', "_")),
    }
    account
}

fn document(senders: &[Value], accounts: &[Value]) -> Value {
    json!({"version": 1, "senders": senders, "accounts": accounts})
}

fn parse(document: &Value) -> Manifest {
    match Manifest::parse_strict(&document.to_string()) {
        Ok(manifest) => manifest,
        Err(error) => panic!("{error}\n{document:#}"),
    }
}

/// As it is read where it is stored, whatever would be asked of it at write.
fn stored(document: &Value) -> Manifest {
    Manifest::parse(&document.to_string()).unwrap()
}

fn problems(document: &Value) -> Vec<String> {
    Manifest::parse_strict(&document.to_string())
        .unwrap_err()
        .problems
}
