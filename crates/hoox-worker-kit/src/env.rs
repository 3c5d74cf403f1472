//! Bindings and secrets of the environment.

use hoox_mesh::{Problem, Worker};
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

/// Which bindings and secrets exist, by name.
#[derive(Debug)]
pub struct Bindings<'a>(Vec<(&'a str, bool)>);

impl<'a> Bindings<'a> {
    /// What the registry says that a worker needs, and further secrets.
    pub fn of(env: &Env, worker: Worker, secrets: &'a [String]) -> Self {
        let bound = |name: &str| {
            Reflect::get(env, &JsValue::from_str(name)).is_ok_and(|found| found.is_object())
        };
        let own = worker.required_secrets().into_iter();
        let secrets = own.chain(secrets.iter().map(String::as_str));
        let bindings = worker.bindings().iter().map(|name| (*name, bound(name)));
        Self(
            bindings
                .chain(secrets.map(|name| (name, secret(env, name).is_ok())))
                .collect(),
        )
    }

    /// Whether all of them exist.
    pub fn are_complete(&self) -> bool {
        self.0.iter().all(|(_, found)| *found)
    }

    /// A JSON object of names to true or false.
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
