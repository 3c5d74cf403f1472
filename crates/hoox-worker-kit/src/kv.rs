//! KV: texts by key.
//!
//! The two methods that are needed are bound here: `worker`'s carry metadata, and with it serialisers of
//! anything and the printing of floats.

use js_sys::{Object, Promise, Reflect};
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use worker::{Env, Error, Result};

#[wasm_bindgen]
extern "C" {
    #[derive(Debug)]
    type RawKv;

    #[wasm_bindgen(method, catch)]
    fn get(this: &RawKv, key: &str, options: &Object) -> core::result::Result<Promise, JsValue>;

    #[wasm_bindgen(method, catch)]
    fn put(this: &RawKv, key: &str, value: &str) -> core::result::Result<Promise, JsValue>;
}

/// A KV namespace.
#[derive(Debug)]
pub struct Kv(RawKv);

impl Kv {
    /// The namespace of this binding.
    ///
    /// # Errors
    /// Where there is no such binding.
    pub fn open(env: &Env, binding: &str) -> Result<Self> {
        let found = Reflect::get(env, &JsValue::from_str(binding))?;
        if found.is_object() {
            Ok(Self(found.unchecked_into()))
        } else {
            Err(Error::BindingError(binding.to_owned()))
        }
    }

    /// The text under a key, kept at the edge for `cache_s` seconds where given.
    ///
    /// # Errors
    /// The platform's.
    pub async fn text(&self, key: &str, cache_s: Option<u32>) -> Result<Option<String>> {
        let options = Object::new();
        if let Some(seconds) = cache_s {
            Reflect::set(&options, &JsValue::from_str("cacheTtl"), &seconds.into())?;
        }
        let found = JsFuture::from(self.0.get(key, &options)?).await?;
        Ok(found.as_string())
    }

    /// Puts a text under a key.
    ///
    /// # Errors
    /// The platform's.
    pub async fn put(&self, key: &str, text: &str) -> Result<()> {
        JsFuture::from(self.0.put(key, text)?).await?;
        Ok(())
    }
}
