//! Time and randomness of the platform.

use hoox_exchange::Clock;
use hoox_ledger::{Random, StoreError};
use hoox_mesh::Problem;
use hoox_model::{Code, RequestId, Timestamp};
use wasm_bindgen::JsValue;

use crate::platform;

/// The platform's clock. It stands still while code runs and moves with I/O.
#[derive(Debug, Clone, Copy, Default)]
pub struct JsClock;

/// The present moment.
pub fn now() -> Timestamp {
    Timestamp::from_millis(whole(js_sys::Date::now()))
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the platform's clock counts whole milliseconds, far below 2^53"
)]
const fn whole(millis: f64) -> i64 {
    millis as i64
}

impl Clock for JsClock {
    fn now(&self) -> Timestamp {
        now()
    }
}

/// The platform's randomness (`crypto.getRandomValues`).
#[derive(Debug, Clone, Copy, Default)]
pub struct JsRandom;

impl Random for JsRandom {
    fn bytes(&self) -> Result<[u8; 10], StoreError> {
        let mut bytes = [0; 10];
        getrandom::fill(&mut bytes)
            .map_err(|error| StoreError(format!("no randomness: {error}")))?;
        Ok(bytes)
    }
}

/// Random bytes for keys and salts.
///
/// # Errors
/// `INTERNAL` where the platform has none: nothing is made from less.
pub fn random_bytes<const N: usize>() -> Result<[u8; N], Problem> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| {
        let text = format!("there is no randomness, so no key was made: {error}");
        Problem::new(Code::Internal, text)
    })?;
    Ok(bytes)
}

/// A new request id.
pub fn request_id() -> RequestId {
    // Without randomness the id is unique by time only, which serves for finding a log line.
    RequestId::new(now(), JsRandom.bytes().unwrap_or_default())
}

/// A timer of the platform, which an object has a bounded number of: one that nobody waits for any more is given back.
struct Timer(JsValue);

impl Drop for Timer {
    fn drop(&mut self) {
        platform::stop(&self.0);
    }
}

/// Waits.
pub async fn sleep(millis: u32) {
    let timer = Timer(platform::start(millis));
    platform::over(&timer.0).await;
}
