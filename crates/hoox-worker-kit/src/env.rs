//! Bindings and secrets of the environment.

use hoox_mesh::{Edge, Problem, Worker};
use hoox_model::{Code, Secret};
use js_sys::Reflect;
use serde::{Serialize, Serializer};
use serde_json::value::{RawValue, to_raw_value};
use wasm_bindgen::JsValue;
use worker::Env;

/// Shortest key that counts as one.
const MIN_KEY: usize = 16;

/// A secret by its name.
///
/// # Errors
/// `NOT_CONFIGURED` where it is missing or too short to be a key. The value is never part of it.
pub fn secret(env: &Env, name: &str) -> Result<Secret, Problem> {
    let value = env
        .secret(name)
        .map(|value| value.to_string())
        .unwrap_or_default();
    if value.len() < MIN_KEY {
        let text = format!("the secret {name} is not set; set it with `hoox secrets set {name}`");
        return Err(Problem::new(Code::NotConfigured, text));
    }
    Ok(Secret::new(value))
}

/// Whether a binding or secret is as it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    Missing,
    There,
    /// The key of an edge whose other side has another one.
    Differs,
}

impl Serialize for Found {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Missing => serializer.serialize_bool(false),
            Self::There => serializer.serialize_bool(true),
            Self::Differs => serializer.serialize_str("differs"),
        }
    }
}

impl From<bool> for Found {
    fn from(there: bool) -> Self {
        if there { Self::There } else { Self::Missing }
    }
}

/// Which bindings and secrets exist, by name.
#[derive(Debug)]
pub struct Bindings<'a>(Vec<(&'a str, Found)>);

impl<'a> Bindings<'a> {
    /// What the registry says that a worker needs, and further secrets.
    pub fn of(env: &Env, worker: Worker, secrets: &'a [String]) -> Self {
        let bound = |name: &str| {
            Reflect::get(env, &JsValue::from_str(name)).is_ok_and(|found| found.is_object())
        };
        let own = worker.required_secrets().into_iter();
        let secrets = own.chain(secrets.iter().map(String::as_str));
        let bindings = worker.bindings().iter().map(|name| (*name, bound(name)));
        let secrets = secrets.map(|name| (name, secret(env, name).is_ok()));
        let all = bindings.chain(secrets);
        Self(all.map(|(name, there)| (name, there.into())).collect())
    }

    /// Notes that the other side of an edge has another key.
    pub fn differs(&mut self, edge: Edge) {
        for (name, found) in &mut self.0 {
            if *name == edge.secret() {
                *found = Found::Differs;
            }
        }
    }

    /// Whether all of them exist.
    pub fn are_complete(&self) -> bool {
        self.0.iter().all(|(_, found)| *found == Found::There)
    }

    /// A JSON object of names to true or false, or `"differs"`.
    ///
    /// # Errors
    /// `INTERNAL` where it cannot be written.
    pub fn to_json(&self) -> Result<Box<RawValue>, Problem> {
        to_raw_value(self).map_err(|error| Problem::new(Code::Internal, error.to_string()))
    }
}

impl Serialize for Bindings<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_binding_is_there_or_missing_and_an_edges_key_may_differ() {
        let there = |name| (name, Found::There);
        let mut bindings = Bindings(vec![there("D1_WORKER"), there("TRADE_D1_KEY")]);
        assert!(bindings.are_complete());
        bindings.differs(Edge::HooxD1);
        assert!(bindings.are_complete());
        bindings.differs(Edge::TradeD1);
        assert!(!bindings.are_complete());
        bindings.0.push(("LEDGER", false.into()));
        assert_eq!(
            bindings.to_json().unwrap().get(),
            r#"{"D1_WORKER":true,"TRADE_D1_KEY":"differs","LEDGER":false}"#
        );
    }
}
