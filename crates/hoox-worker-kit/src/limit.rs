//! The platform's rate limiter. Its limits are in the configuration, by colo and approximate: a first shield only.

use js_sys::Reflect;
use wasm_bindgen::{JsCast, JsValue};
use worker::Env;

use crate::platform::{Limiter, spent};

fn limiter(env: &Env, binding: &str) -> Option<Limiter> {
    let found = Reflect::get(env, &JsValue::from_str(binding)).ok()?;
    found.is_object().then(|| found.unchecked_into())
}

/// Counts one more under a key: whether that is more than the limit. Without a limiter, or where it fails, it is not.
pub async fn too_many(env: &Env, binding: &str, key: &str) -> bool {
    match limiter(env, binding) {
        Some(limiter) => spent(&limiter, key)
            .await
            .is_ok_and(|spent| spent.is_truthy()),
        None => false,
    }
}
