//! The one place that reads the machine's clock; everything else is told the time.

use std::time::{SystemTime, UNIX_EPOCH};

/// Nanoseconds since the Unix epoch.
#[expect(
    clippy::disallowed_methods,
    reason = "the simulator's clock port: the rest of the crate takes the time as an argument"
)]
pub(crate) fn unix_nanos() -> i128 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|elapsed| i128::try_from(elapsed.as_nanos()).ok())
        .unwrap_or_default()
}

/// Milliseconds since the Unix epoch.
pub fn unix_millis() -> i64 {
    unix_nanos()
        .checked_div(1_000_000)
        .and_then(|millis| i64::try_from(millis).ok())
        .unwrap_or_default()
}
