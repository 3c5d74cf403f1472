//! What Bybit's codes and statuses prove.
//!
//! Source: <https://bybit-exchange.github.io/docs/v5/error>.

use hoox_model::Timestamp;

use crate::{ErrorClass, HttpResponse, VenueError};

/// "Order does not exist": never placed, or ended too long ago to cancel.
const ORDER_DOES_NOT_EXIST: i64 = 110_001;
/// Set leverage has not been modified.
pub(crate) const LEVERAGE_NOT_MODIFIED: i64 = 110_043;
/// Request parameter error.
pub(crate) const PARAMETER_ERROR: i64 = 10_001;

/// "403, access too frequent": stop for at least ten minutes
/// (<https://bybit-exchange.github.io/docs/v5/rate-limit>).
const IP_BAN_MS: i64 = 600_000;
/// No pause that a venue asks for is believed beyond this.
const LONGEST_PAUSE_MS: i64 = 3_600_000;
/// No ban is believed beyond this: venues document up to three days.
const LONGEST_BAN_MS: i64 = 259_200_000;
/// What a ban says before the moment of its end, in epoch milliseconds.
const BANNED_UNTIL: &str = "banned until";

/// What a request was for, by which a status alone proves more or less.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// It reads: an error only means that nothing was read.
    Reads,
    /// It changes something. Whoever answers in the venue's place (a cache, a proxy, a login page) may
    /// have handed the request on before, so that its 4xx is no proof.
    Changes,
}

/// The class that a `retCode` proves for a request that places an order; `None` where the code is
/// not documented or proves nothing there.
pub(crate) const fn class_of(code: i64) -> Option<ErrorClass> {
    Some(match code {
        // Server time-out, server error, order being processed, time-outs and failures inside.
        10_000 | 10_014 | 10_016 | 110_079 | 110_114 | 170_001 | 170_007 | 170_032 | 170_035
        | 170_146 | 170_149 | 170_234 | 3_400_214 => ErrorClass::Unknown,
        429 | 10_006 | 10_018 | 170_005 | 170_222 => ErrorClass::RateLimited,
        10_002 => ErrorClass::ClockSkew,
        -2_015 | 10_003 | 10_004 | 10_005 | 10_007 | 10_010 | 33_004 => ErrorClass::Credentials,
        10_009 | 10_024 | 110_132 | 170_209 | 170_348 => ErrorClass::Location,
        10_029 | 170_121 | 170_221 => ErrorClass::UnknownSymbol,
        110_072 | 170_141 => ErrorClass::Duplicate,
        // Settlement in progress.
        110_063 => ErrorClass::Unavailable,
        // Parameters, account and ban.
        PARAMETER_ERROR | 10_008 | 10_017 | 10_027 | 10_028 | 100_028
        // Institutional loans, price bounds, delisting, margin.
        | 30_133..=30_136 | 30_208 | 30_209 | 30_228 | 30_256
        // Price, balance, position, quantity and risk limits.
        | 110_003..=110_007 | 110_009 | 110_011..=110_015 | 110_017..=110_023 | 110_029
        | 110_031 | 110_032 | 110_036..=110_042 | 110_044..=110_053 | 110_057 | 110_058 | 110_061
        | 110_066..=110_071 | 110_074 | 110_077 | 110_080 | 110_085..=110_090 | 110_092..=110_113
        | 110_116 | 110_118..=110_121 | 110_123..=110_125 | 110_131 | 110_135..=110_137
        | 3_200_403 | 3_400_139
        // Spot: parameters, price, quantity, value, restrictions.
        | 170_010 | 170_011 | 170_031 | 170_033 | 170_034 | 170_036 | 170_037 | 170_105
        | 170_115..=170_117 | 170_124 | 170_130..=170_134 | 170_136 | 170_137 | 170_140 | 170_148
        | 170_151 | 170_157 | 170_159 | 170_192..=170_194 | 170_197..=170_204 | 170_206 | 170_207
        | 170_210 | 170_215..=170_220 | 170_223 | 170_224 | 170_226..=170_230 | 170_241 | 170_341
        | 170_344 | 170_346 | 170_355 | 170_358..=170_360 | 170_371 | 170_372 | 170_381 | 170_382
        | 170_709 | 170_810 => ErrorClass::Rejected,
        _ => return None,
    })
}

/// What a `retCode` says about a cancellation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CancelWord {
    AlreadyDone,
    NotFound,
}

/// Whether a `retCode` says that there is nothing left to cancel.
pub(crate) const fn cancel_word(code: i64) -> Option<CancelWord> {
    match code {
        110_008 | 110_010 | 170_139 | 170_142 | 170_190 => Some(CancelWord::AlreadyDone),
        ORDER_DOES_NOT_EXIST | 170_143 | 170_213 => Some(CancelWord::NotFound),
        _ => None,
    }
}

/// The error of an answer whose envelope could be read and is not a success.
pub(crate) fn from_code(
    response: &HttpResponse,
    purpose: Purpose,
    code: i64,
    message: &str,
    now: Timestamp,
) -> VenueError {
    // A code that is not documented leaves it to the status, and beside a server error none counts:
    // Bybit documents its codes with other statuses only.
    let believed = (200..500).contains(&response.status);
    let Some(class) = class_of(code).filter(|_| believed) else {
        let mut error = from_status(response, purpose, now);
        error.code = code.to_string();
        if !message.is_empty() {
            error.message = VenueError::new(error.class, "", message).message;
        }
        return error;
    };
    // Either way nothing was done; a ban is waited for in another manner.
    let class = if class == ErrorClass::RateLimited && names_a_ban(message) {
        ErrorClass::Banned
    } else {
        class
    };
    let shown = if message.is_empty() {
        "Bybit gave no reason"
    } else {
        message
    };
    let mut error = VenueError::new(class, &code.to_string(), shown);
    error.retry_after_ms = pause(response, class, message, now);
    error
}

/// The error of an answer without a readable envelope: only documented statuses prove anything, and of a
/// request that changes something only those for which the venue documents that it was not carried out.
pub(crate) fn from_status(response: &HttpResponse, purpose: Purpose, now: Timestamp) -> VenueError {
    let text = String::from_utf8_lossy(&response.body).to_ascii_lowercase();
    let (class, message) = match response.status {
        418 => (ErrorClass::Banned, BANNED),
        400..=499 if names_a_ban(&text) => (ErrorClass::Banned, BANNED),
        429 => (
            ErrorClass::RateLimited,
            "Bybit's system-level frequency protection refused the call",
        ),
        400..=499 if purpose == Purpose::Changes => (
            ErrorClass::Unknown,
            "the answer is not Bybit's own, so whether the request reached it is not known",
        ),
        403 if names_a_limit(&text) => (ErrorClass::Banned, BANNED),
        403 | 451 => (
            ErrorClass::Location,
            "Bybit refuses the address or region this call came from: choose another location for the account",
        ),
        401 => (
            ErrorClass::Credentials,
            "Bybit refused the API key: check that key, secret and environment belong together",
        ),
        _ => (
            ErrorClass::Unknown,
            "Bybit's answer cannot be read, so the outcome is not known",
        ),
    };
    let mut error = VenueError::new(class, &format!("HTTP {}", response.status), message);
    error.retry_after_ms = pause(response, class, &text, now);
    error
}

const BANNED: &str = "Bybit refuses this address for a while: access too frequent";

/// Whether the text is one with which a venue is documented to shut an address out.
fn names_a_ban(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    ["access too frequent", BANNED_UNTIL]
        .iter()
        .any(|words| text.contains(words))
}

/// Whether the lower-case body of a 403 is about how often, not about the place.
fn names_a_limit(text: &str) -> bool {
    ["too frequent", "too many", "rate limit"]
        .iter()
        .any(|words| text.contains(words))
}

/// How long to wait: `Retry-After` in seconds; else the end that a ban states, or the ten minutes that are documented for
/// "access too frequent"; else Bybit's own reset moment where a limit was hit (on every other answer that header is just
/// the present).
fn pause(response: &HttpResponse, class: ErrorClass, text: &str, now: Timestamp) -> Option<i64> {
    let number = |text: &Option<String>| text.as_deref()?.trim().parse::<i64>().ok();
    let until = |at: i64| Timestamp::from_millis(at).since(now);
    let seconds = number(&response.retry_after).map(|seconds| seconds.saturating_mul(1000));
    let (stated, longest) = match class {
        ErrorClass::Banned => {
            let end = ban_end(text).map(until).filter(|millis| *millis > 0);
            let documented = names_a_limit(&text.to_ascii_lowercase()).then_some(IP_BAN_MS);
            (end.or(documented), LONGEST_BAN_MS)
        }
        ErrorClass::RateLimited => (number(&response.limit_reset).map(until), LONGEST_PAUSE_MS),
        _ => (None, LONGEST_PAUSE_MS),
    };
    seconds.or(stated).map(|millis| millis.clamp(0, longest))
}

/// The epoch milliseconds after "banned until".
fn ban_end(text: &str) -> Option<i64> {
    let text = text.to_ascii_lowercase();
    let (_, rest) = text.split_once(BANNED_UNTIL)?;
    let digits: String = rest
        .trim_start()
        .chars()
        .take_while(char::is_ascii_digit)
        .collect();
    digits.parse().ok()
}
