//! Injected faults: what can go wrong between a client and a venue, on request.

use std::collections::VecDeque;

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::bybit::INSTRUMENTS_PATH;
use crate::engine::{MEMORY_MS, Twist};
use crate::instrument::Listing;

/// Most faults that wait at a time.
pub const MAX_FAULTS: usize = 256;
/// Longest delay or skew, ms.
pub const MAX_MILLIS: i64 = 600_000;
/// How long `timeout_after_accept` holds the answer if nothing else is said, ms.
const DEFAULT_HOLD_MS: i64 = 15_000;
/// How long `rate_limit` asks to wait if nothing else is said, ms.
const DEFAULT_RESET_MS: i64 = 1_000;
/// Longest `Retry-After`, s: a week.
const MAX_RETRY_AFTER: u32 = 604_800;
/// What `page` shows if nothing else is said: an edge's refusal.
const DEFAULT_PAGE: &str = "<html><head><title>403 Forbidden</title></head><body>The Amazon CloudFront \
    distribution is configured to block access from your country.</body></html>";
/// What `ban` says if nothing else is said.
const DEFAULT_BAN: &str = "403, access too frequent";

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// The request is processed at once, the answer comes `millis` later.
    Latency,
    /// The request is processed, the answer never comes: after `millis` (default 15 000) the connection drops.
    TimeoutAfterAccept,
    /// HTTP `status` (default 500), with or without `effect` (default without).
    #[serde(rename = "error_5xx")]
    Error5xx,
    /// The venue's rate-limit refusal; with `status` 429 as HTTP 429. `millis` until the limit resets.
    RateLimit,
    /// The connection drops without an answer, with or without `effect` (default without).
    Disconnect,
    /// The server's clock is `millis` ahead (negative: behind) until faults are cleared. Not counted.
    ClockSkew,
    /// The created order stays out of look-ups and history for `millis`; fills and position show it.
    LookupLag,
    /// The created order reaches the book `millis` after it was accepted.
    FillDelay,
    /// The created order fills `qty` at most; a market or IOC order's rest is cancelled, a limit order's
    /// rest waits for the next price.
    PartialFill,
    /// The venue's `code` and `message`, with or without `effect` (default without).
    RetCode,
    /// An HTML page of whoever stands before the venue instead of its answer: HTTP `status` (default 403)
    /// and `message` as the page, with or without `effect` (default without).
    Page,
    /// The venue shuts the address out: HTTP `status` (default 403) with `message` as plain text (default
    /// "403, access too frequent"). Never with effect.
    Ban,
    /// Instruments are listed with the status in `message` (`PreLaunch`, `Closed`, …), while orders are
    /// taken as before.
    SymbolStatus,
    /// Positions and executions are shown as they were `millis` (at most 60 000) ago, until faults are
    /// cleared. Not counted.
    PositionLag,
    /// At once: look-ups forget closed orders, which stay in the history. Not counted.
    ForgetClosed,
}

/// One fault and how often it strikes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// What goes wrong.
    pub kind: FaultKind,
    /// For how many requests; 1 if absent.
    #[serde(default = "once")]
    pub count: u32,
    /// Only requests to this path; any venue route if absent. Faults of an order and
    /// `timeout_after_accept` strike at the creation of orders unless told otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Only requests that name this symbol; any request if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub symbol: Option<String>,
    /// Delay, hold, skew, lag or time to reset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub millis: Option<i64>,
    /// Whether the request is processed although the answer says otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect: Option<bool>,
    /// HTTP status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The venue's return code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<i64>,
    /// The venue's message, a page's content or a symbol's status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// `Retry-After` of the answer, in seconds; none if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u32>,
    /// Quantity that fills, as a decimal string.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub qty: Option<Decimal>,
}

fn once() -> u32 {
    1
}

impl Fault {
    /// A fault of this kind that strikes once, with every default.
    pub fn new(kind: FaultKind) -> Self {
        Self {
            kind,
            count: 1,
            path: None,
            symbol: None,
            millis: None,
            effect: None,
            status: None,
            code: None,
            message: None,
            retry_after: None,
            qty: None,
        }
    }

    /// Strikes `count` times.
    #[must_use]
    pub fn times(self, count: u32) -> Self {
        Self { count, ..self }
    }

    /// Strikes at this path only.
    #[must_use]
    pub fn at(self, path: impl Into<String>) -> Self {
        Self {
            path: Some(path.into()),
            ..self
        }
    }

    /// Strikes requests that name this symbol only.
    #[must_use]
    pub fn of(self, symbol: impl Into<String>) -> Self {
        Self {
            symbol: Some(symbol.into()),
            ..self
        }
    }

    /// With this message, page or status.
    #[must_use]
    pub fn message(self, message: impl Into<String>) -> Self {
        Self {
            message: Some(message.into()),
            ..self
        }
    }

    /// With this `Retry-After`, in seconds.
    #[must_use]
    pub fn retry_after(self, seconds: u32) -> Self {
        Self {
            retry_after: Some(seconds),
            ..self
        }
    }

    /// With this delay, hold, skew, lag or time to reset.
    #[must_use]
    pub fn millis(self, millis: i64) -> Self {
        Self {
            millis: Some(millis),
            ..self
        }
    }

    /// The request is processed although the answer says otherwise.
    #[must_use]
    pub fn with_effect(self) -> Self {
        Self {
            effect: Some(true),
            ..self
        }
    }

    /// With this HTTP status.
    #[must_use]
    pub fn status(self, status: u16) -> Self {
        Self {
            status: Some(status),
            ..self
        }
    }

    /// With the venue's code and message.
    #[must_use]
    pub fn code(self, code: i64, message: impl Into<String>) -> Self {
        Self {
            code: Some(code),
            message: Some(message.into()),
            ..self
        }
    }

    /// With this quantity.
    #[must_use]
    pub fn qty(self, qty: Decimal) -> Self {
        Self {
            qty: Some(qty),
            ..self
        }
    }

    fn check(&self) -> Result<(), FaultError> {
        let needs = |present: bool, field: &'static str| {
            if present {
                Ok(())
            } else {
                Err(FaultError::Missing {
                    kind: self.kind,
                    field,
                })
            }
        };
        match self.kind {
            FaultKind::Latency
            | FaultKind::ClockSkew
            | FaultKind::PositionLag
            | FaultKind::LookupLag
            | FaultKind::FillDelay => {
                needs(self.millis.is_some(), "millis")?;
            }
            FaultKind::PartialFill => {
                needs(self.qty.is_some_and(|qty| qty > Decimal::ZERO), "qty")?;
            }
            FaultKind::RetCode => needs(self.code.is_some_and(|code| code != 0), "code")?,
            FaultKind::SymbolStatus => needs(self.listing().is_some(), "a status as message")?,
            FaultKind::TimeoutAfterAccept
            | FaultKind::Error5xx
            | FaultKind::RateLimit
            | FaultKind::Page
            | FaultKind::Ban
            | FaultKind::Disconnect
            | FaultKind::ForgetClosed => {}
        }
        let lowest = if self.kind == FaultKind::ClockSkew {
            MAX_MILLIS.saturating_neg()
        } else {
            0
        };
        let highest = if self.kind == FaultKind::PositionLag {
            MEMORY_MS
        } else {
            MAX_MILLIS
        };
        if self
            .millis
            .is_some_and(|millis| !(lowest..=highest).contains(&millis))
        {
            return Err(FaultError::Millis);
        }
        if self
            .retry_after
            .is_some_and(|seconds| seconds > MAX_RETRY_AFTER)
        {
            return Err(FaultError::RetryAfter);
        }
        if self.count == 0 {
            return Err(FaultError::Count);
        }
        let statuses = match self.kind {
            FaultKind::Error5xx => 500..=599,
            FaultKind::Ban => 400..=499,
            _ => 200..=599,
        };
        if self
            .status
            .is_some_and(|status| !statuses.contains(&status))
        {
            return Err(FaultError::Status);
        }
        Ok(())
    }

    /// The status that `message` names.
    fn listing(&self) -> Option<Listing> {
        match self.message.as_deref()? {
            "PreLaunch" => Some(Listing::PreLaunch),
            "Trading" => Some(Listing::Trading),
            "Delivering" => Some(Listing::Delivering),
            "Closed" => Some(Listing::Closed),
            _ => None,
        }
    }

    fn concerns_order(&self) -> bool {
        matches!(
            self.kind,
            FaultKind::LookupLag | FaultKind::FillDelay | FaultKind::PartialFill
        )
    }

    fn strikes(&self, path: &str, create_path: &str, symbol: Option<&str>) -> bool {
        if self.symbol.is_some() && self.symbol.as_deref() != symbol {
            return false;
        }
        if self.kind == FaultKind::SymbolStatus {
            return path == INSTRUMENTS_PATH;
        }
        match &self.path {
            Some(only) => only == path && (!self.concerns_order() || path == create_path),
            None if self.concerns_order() || self.kind == FaultKind::TimeoutAfterAccept => {
                path == create_path
            }
            None => true,
        }
    }
}

/// Why a list of faults is refused; none of it is taken then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FaultError {
    /// A field that the kind needs is missing.
    #[error("a {kind:?} fault needs {field}")]
    Missing {
        /// The kind.
        kind: FaultKind,
        /// The field.
        field: &'static str,
    },
    /// A delay outside its range.
    #[error(
        "millis must be between 0 and {MAX_MILLIS}, of a position lag {MEMORY_MS}; only a clock skew may be negative"
    )]
    Millis,
    /// A wait too long.
    #[error("retry_after must be at most {MAX_RETRY_AFTER} seconds")]
    RetryAfter,
    /// A count of nothing.
    #[error("count must be at least 1")]
    Count,
    /// An HTTP status that does not fit.
    #[error("status does not fit the kind of fault")]
    Status,
    /// Too many faults.
    #[error("at most {MAX_FAULTS} faults can wait: clear some first")]
    Full,
}

/// How a struck request ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Processed, held, dropped.
    Hold,
    /// An HTTP status without a body of the venue's.
    Http { status: u16, effect: bool },
    /// The venue's rate-limit refusal.
    RateLimit { status: u16, reset_ms: i64 },
    /// Somebody else's page, or the venue's plain text.
    Text {
        status: u16,
        html: bool,
        body: String,
        effect: bool,
    },
    /// Dropped.
    Disconnect { effect: bool },
    /// A return code.
    RetCode {
        code: i64,
        message: String,
        effect: bool,
    },
}

impl Outcome {
    /// Whether the request is processed.
    pub(crate) fn has_effect(&self) -> bool {
        match self {
            Self::Hold => true,
            Self::RateLimit { .. } => false,
            Self::Http { effect, .. }
            | Self::Text { effect, .. }
            | Self::Disconnect { effect }
            | Self::RetCode { effect, .. } => *effect,
        }
    }
}

/// Everything that strikes one request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) delay_ms: i64,
    pub(crate) twist: Twist,
    pub(crate) outcome: Option<Outcome>,
    /// `Retry-After` of the outcome, in seconds.
    pub(crate) retry_after: Option<u32>,
    /// The status that instruments are listed with.
    pub(crate) listing: Option<Listing>,
}

/// The faults that wait, oldest first.
#[derive(Debug, Clone, Default)]
pub(crate) struct Faults {
    waiting: VecDeque<Fault>,
    pub(crate) skew_ms: i64,
    pub(crate) position_lag_ms: i64,
}

impl Faults {
    /// Takes all of `faults` or none. Returns whether closed orders are to be forgotten.
    pub(crate) fn push(&mut self, faults: Vec<Fault>) -> Result<bool, FaultError> {
        for fault in &faults {
            fault.check()?;
        }
        if self.waiting.len().saturating_add(faults.len()) > MAX_FAULTS {
            return Err(FaultError::Full);
        }
        let mut forget = false;
        for fault in faults {
            match fault.kind {
                FaultKind::ClockSkew => self.skew_ms = fault.millis.unwrap_or_default(),
                FaultKind::PositionLag => self.position_lag_ms = fault.millis.unwrap_or_default(),
                FaultKind::ForgetClosed => forget = true,
                _ => self.waiting.push_back(fault),
            }
        }
        Ok(forget)
    }

    pub(crate) fn clear(&mut self) {
        self.waiting.clear();
        self.skew_ms = 0;
        self.position_lag_ms = 0;
    }

    pub(crate) fn waiting(&self) -> Vec<Fault> {
        self.waiting.iter().cloned().collect()
    }

    /// Uses up what strikes a request: the oldest fault of each kind of effect, and one outcome at most.
    pub(crate) fn plan(&mut self, path: &str, create_path: &str, symbol: Option<&str>) -> Plan {
        let mut plan = Plan::default();
        let (mut delayed, mut lagged, mut slow, mut capped) = (false, false, false, false);
        for fault in &mut self.waiting {
            if !fault.strikes(path, create_path, symbol) {
                continue;
            }
            let millis = fault.millis;
            let free = match fault.kind {
                FaultKind::Latency => !std::mem::replace(&mut delayed, true),
                FaultKind::LookupLag => !std::mem::replace(&mut lagged, true),
                FaultKind::FillDelay => !std::mem::replace(&mut slow, true),
                FaultKind::PartialFill => !std::mem::replace(&mut capped, true),
                FaultKind::SymbolStatus => plan.listing.is_none(),
                _ => plan.outcome.is_none(),
            };
            if !free {
                continue;
            }
            let effect = fault.effect.unwrap_or_default();
            match fault.kind {
                FaultKind::Latency => {
                    plan.delay_ms = plan.delay_ms.saturating_add(millis.unwrap_or_default());
                }
                FaultKind::LookupLag => plan.twist.lookup_lag_ms = millis.unwrap_or_default(),
                FaultKind::FillDelay => plan.twist.fill_delay_ms = millis.unwrap_or_default(),
                FaultKind::PartialFill => plan.twist.fill_cap = fault.qty,
                FaultKind::SymbolStatus => plan.listing = fault.listing(),
                FaultKind::Page => {
                    let page = fault.message.as_deref().unwrap_or(DEFAULT_PAGE);
                    plan.outcome = Some(Outcome::Text {
                        status: fault.status.unwrap_or(403),
                        html: true,
                        body: page.to_owned(),
                        effect,
                    });
                }
                FaultKind::Ban => {
                    let text = fault.message.as_deref().unwrap_or(DEFAULT_BAN);
                    plan.outcome = Some(Outcome::Text {
                        status: fault.status.unwrap_or(403),
                        html: false,
                        body: text.to_owned(),
                        effect: false,
                    });
                }
                FaultKind::TimeoutAfterAccept => {
                    plan.delay_ms = plan
                        .delay_ms
                        .saturating_add(millis.unwrap_or(DEFAULT_HOLD_MS));
                    plan.outcome = Some(Outcome::Hold);
                }
                FaultKind::Error5xx => {
                    plan.outcome = Some(Outcome::Http {
                        status: fault.status.unwrap_or(500),
                        effect,
                    });
                }
                FaultKind::RateLimit => {
                    plan.outcome = Some(Outcome::RateLimit {
                        status: fault.status.unwrap_or(200),
                        reset_ms: millis.unwrap_or(DEFAULT_RESET_MS),
                    });
                }
                FaultKind::Disconnect => plan.outcome = Some(Outcome::Disconnect { effect }),
                FaultKind::RetCode => {
                    plan.outcome = Some(Outcome::RetCode {
                        code: fault.code.unwrap_or(10016),
                        message: fault.message.clone().unwrap_or_default(),
                        effect,
                    });
                }
                FaultKind::ClockSkew | FaultKind::PositionLag | FaultKind::ForgetClosed => {}
            }
            if plan.outcome.is_some() && plan.retry_after.is_none() {
                plan.retry_after = fault.retry_after;
            }
            fault.count = fault.count.saturating_sub(1);
        }
        self.waiting.retain(|fault| fault.count > 0);
        plan
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CREATE: &str = "/create";

    #[test]
    fn each_fault_strikes_as_often_as_it_says() {
        let mut faults = Faults::default();
        faults
            .push(vec![Fault::new(FaultKind::Disconnect).times(2).at("/a")])
            .unwrap();
        assert_eq!(faults.plan("/b", CREATE, None).outcome, None);
        let dropped = Some(Outcome::Disconnect { effect: false });
        assert_eq!(faults.plan("/a", CREATE, None).outcome, dropped);
        assert_eq!(faults.plan("/a", CREATE, None).outcome, dropped);
        assert_eq!(faults.plan("/a", CREATE, None).outcome, None);
    }

    #[test]
    fn outcomes_queue_and_the_rest_combines() {
        let mut faults = Faults::default();
        faults
            .push(vec![
                Fault::new(FaultKind::Latency).millis(5),
                Fault::new(FaultKind::FillDelay).millis(7),
                Fault::new(FaultKind::Error5xx).status(503).with_effect(),
                Fault::new(FaultKind::RateLimit),
            ])
            .unwrap();
        let first = faults.plan(CREATE, CREATE, None);
        assert_eq!(first.delay_ms, 5);
        assert_eq!(first.twist.fill_delay_ms, 7);
        assert_eq!(
            first.outcome,
            Some(Outcome::Http {
                status: 503,
                effect: true
            })
        );
        let second = faults.plan(CREATE, CREATE, None);
        assert_eq!(
            second.outcome,
            Some(Outcome::RateLimit {
                status: 200,
                reset_ms: 1000
            })
        );
        assert_eq!(faults.plan(CREATE, CREATE, None), Plan::default());
    }

    #[test]
    fn faults_of_an_order_wait_for_an_order() {
        let mut faults = Faults::default();
        faults
            .push(vec![
                Fault::new(FaultKind::TimeoutAfterAccept),
                Fault::new(FaultKind::LookupLag).millis(1),
            ])
            .unwrap();
        assert_eq!(faults.plan("/look-up", CREATE, None), Plan::default());
        assert_eq!(
            faults.plan(CREATE, CREATE, None).outcome,
            Some(Outcome::Hold)
        );
    }

    #[test]
    fn a_bad_list_is_refused_whole() {
        let mut faults = Faults::default();
        let bad = vec![
            Fault::new(FaultKind::Disconnect),
            Fault::new(FaultKind::Latency),
        ];
        assert_eq!(
            faults.push(bad),
            Err(FaultError::Missing {
                kind: FaultKind::Latency,
                field: "millis"
            })
        );
        assert!(faults.waiting().is_empty());
        let many = vec![Fault::new(FaultKind::Disconnect); MAX_FAULTS + 1];
        assert_eq!(faults.push(many), Err(FaultError::Full));
        assert_eq!(
            faults.push(vec![Fault::new(FaultKind::Disconnect).times(0)]),
            Err(FaultError::Count)
        );
        assert_eq!(
            faults.push(vec![Fault::new(FaultKind::Error5xx).status(404)]),
            Err(FaultError::Status)
        );
        assert_eq!(
            faults.push(vec![Fault::new(FaultKind::Latency).millis(-1)]),
            Err(FaultError::Millis)
        );
        assert_eq!(
            faults.push(vec![Fault::new(FaultKind::ClockSkew).millis(-1)]),
            Ok(false)
        );
    }

    #[test]
    fn a_fault_of_a_symbol_waits_for_a_request_that_names_it() {
        let mut faults = Faults::default();
        let refused = Fault::new(FaultKind::RetCode)
            .code(110_007, "words")
            .of("ETHUSDT");
        faults.push(vec![refused.at(CREATE).times(2)]).unwrap();
        for symbol in [None, Some("BTCUSDT")] {
            assert_eq!(faults.plan(CREATE, CREATE, symbol), Plan::default());
        }
        for struck in [true, true, false] {
            let plan = faults.plan(CREATE, CREATE, Some("ETHUSDT"));
            assert_eq!(plan.outcome.is_some(), struck);
        }
    }

    #[test]
    fn pages_bans_and_waits_are_as_they_were_asked_for() {
        let mut faults = Faults::default();
        faults
            .push(vec![
                Fault::new(FaultKind::Page)
                    .status(401)
                    .message("<html>")
                    .with_effect(),
                Fault::new(FaultKind::Ban).with_effect().retry_after(3600),
            ])
            .unwrap();
        let page = faults.plan(CREATE, CREATE, None);
        let text = |status, html, body: &str, effect| {
            let body = body.to_owned();
            Some(Outcome::Text {
                status,
                html,
                body,
                effect,
            })
        };
        assert_eq!(page.outcome, text(401, true, "<html>", true));
        assert_eq!(page.retry_after, None);
        let ban = faults.plan(CREATE, CREATE, None);
        assert_eq!(ban.outcome, text(403, false, DEFAULT_BAN, false));
        assert_eq!(ban.retry_after, Some(3600));
    }

    #[test]
    fn a_status_strikes_where_instruments_are_read() {
        let mut faults = Faults::default();
        let unknown = Fault::new(FaultKind::SymbolStatus).message("Paused");
        assert!(faults.push(vec![unknown]).is_err());
        let closed = Fault::new(FaultKind::SymbolStatus).message("Closed");
        faults.push(vec![closed]).unwrap();
        assert_eq!(faults.plan(CREATE, CREATE, None).listing, None);
        let plan = faults.plan(INSTRUMENTS_PATH, CREATE, None);
        assert_eq!(plan.listing, Some(Listing::Closed));
        assert_eq!(faults.plan(INSTRUMENTS_PATH, CREATE, None).listing, None);
    }

    #[test]
    fn positions_lag_by_a_minute_at_most_until_faults_are_cleared() {
        let mut faults = Faults::default();
        let lag = |millis| vec![Fault::new(FaultKind::PositionLag).millis(millis)];
        assert_eq!(faults.push(lag(60_001)), Err(FaultError::Millis));
        faults.push(lag(60_000)).unwrap();
        assert_eq!(
            (faults.position_lag_ms, faults.waiting().len()),
            (60_000, 0)
        );
        faults.clear();
        assert_eq!(faults.position_lag_ms, 0);
    }
}
