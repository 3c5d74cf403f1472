//! Times as the API writes them.

use hoox_sim::clock::unix_millis;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Seconds since the Unix epoch.
pub(crate) fn unix_seconds() -> i64 {
    unix_millis().checked_div(1_000).unwrap_or_default()
}

/// The present moment as RFC 3339 in UTC.
pub(crate) fn now() -> String {
    let nanos = i128::from(unix_millis()).saturating_mul(1_000_000);
    OffsetDateTime::from_unix_timestamp_nanos(nanos)
        .ok()
        .and_then(|moment| moment.format(&Rfc3339).ok())
        .unwrap_or_default()
}
