//! Which alerts are the same signal.

use serde::{Deserialize, Serialize};

use crate::{Alert, Signal};

/// How long an identity holds that cannot come again by chance: 7 days.
pub const WINDOW_LONG_MS: i64 = 7 * 24 * 60 * 60 * 1000;

/// How long the identity of an alert holds whose text never changes: 45 s. TradingView's resends
/// come within 15 s, and the same static alert must be able to trade again (`facts/tradingview.md`).
pub const WINDOW_SHORT_MS: i64 = 45_000;

/// Which signal an alert is, within one sender.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Identity {
    /// `k:` and the idempotency key, `m:` and a signed message's own id, or `h:` and the content hash.
    pub key: String,
    /// [`Alert::content_hash`]: the same key with another hash is a reused key.
    pub content_hash: String,
    /// How long the first arrival blocks others of the same key, in milliseconds:
    /// [`WINDOW_LONG_MS`] with an idempotency key, a `timestamp` or a signature, else [`WINDOW_SHORT_MS`].
    pub window_ms: i64,
}

impl Identity {
    /// The identity of a signal that came as a signed message. Only what was signed counts, and nothing
    /// that is made anew for each delivery: the alert's own idempotency key, else the message's own id,
    /// else the content. A sender that signs sends an unanswered message again for days (Stripe for
    /// three), so the content names the signal for [`WINDOW_LONG_MS`] too, with or without a
    /// `timestamp`; who means to trade the same again gives the message an id or a `timestamp`.
    pub fn of_message(alert: &Alert, signal: &Signal, message_id: Option<&str>) -> Self {
        let own = Self::of(alert, signal);
        let named = message_id.filter(|_| signal.idempotency_key.is_none());
        Self {
            key: named.map_or(own.key, |id| format!("m:{id}")),
            content_hash: own.content_hash,
            window_ms: WINDOW_LONG_MS,
        }
    }

    /// The identity of a signal and the alert it was read from.
    pub fn of(alert: &Alert, signal: &Signal) -> Self {
        let content_hash = alert.content_hash();
        let key = match &signal.idempotency_key {
            Some(key) => format!("k:{key}"),
            None => format!("h:{content_hash}"),
        };
        let lasting = signal.idempotency_key.is_some() || signal.timestamp.is_some();
        Self {
            key,
            content_hash,
            window_ms: if lasting {
                WINDOW_LONG_MS
            } else {
                WINDOW_SHORT_MS
            },
        }
    }
}
