//! Drives the shipped WebAssembly from outside: what the scripts start for a developer, HTTP in front of
//! it, and simulated exchanges behind it.
//!
//! A [`Sandbox`] is gateway, trade-worker and d1-worker under workerd. A [`Stack`] adds trading accounts:
//! each [`Desk`] has an account, a sender and an exchange simulator of its own, so that tests run side by
//! side and none sees another's orders. Every answer that a test receives is held to what the contract
//! says of all answers ([`Reply`]).
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::string_slice,
    clippy::disallowed_methods,
    clippy::missing_panics_doc,
    clippy::format_push_string,
    reason = "a test harness: a failed expectation is the assertion, and it talks to the real machine"
)]

mod process;
mod reply;
mod sandbox;
mod stack;
mod transcript;

use std::sync::OnceLock;
use std::time::Duration;

use hoox_model::Timestamp;
use tokio::runtime::Runtime;
use tokio::time::{Instant, sleep};

pub use process::node;
pub use reply::{Client, Reply};
pub use sandbox::{Part, Sandbox};
pub use stack::{Desk, Stack, passkey};
pub use transcript::{Shell, Transcript};

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_mins(1);
/// How often it looks.
pub const LOOK: Duration = Duration::from_millis(20);

/// Runs a test. All tests share one runtime, because simulators and connections outlive each of them.
pub fn run<T>(test: impl Future<Output = T>) -> T {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME
        .get_or_init(|| Runtime::new().expect("a runtime"))
        .block_on(test)
}

/// Waits until `probe` finds what it looks for.
pub async fn eventually<T>(what: &str, mut probe: impl AsyncFnMut() -> Option<T>) -> T {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = probe().await {
            return found;
        }
        assert!(Instant::now() < until, "waited in vain for: {what}");
        sleep(LOOK).await;
    }
}

/// The time of day.
pub fn now() -> Timestamp {
    let since = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .expect("a clock after 1970");
    Timestamp::from_millis(
        i64::try_from(since.as_millis()).expect("a clock before the year 292278994"),
    )
}

/// The time of day `seconds` from now, as TradingView writes `{{timenow}}`.
pub fn timenow(seconds: i64) -> String {
    let whole = now().plus_millis(seconds * 1000).as_millis() / 1000 * 1000;
    Timestamp::from_millis(whole).to_string()
}
