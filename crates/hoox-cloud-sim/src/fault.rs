//! Injected faults: what can go wrong between a client and the API, on request.

use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use crate::envelope::Failure;

/// One fault, for which calls and how many of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// Only calls by this method; any if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Only calls whose path below `/client/v4` begins like this; any if absent.
    #[serde(default)]
    pub path: String,
    /// For how many calls; 1 if absent.
    #[serde(default = "once")]
    pub count: u32,
    /// Whether the call takes effect although the answer says otherwise.
    #[serde(default)]
    pub effect: bool,
    /// What goes wrong.
    pub answer: FaultAnswer,
}

/// What goes wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum FaultAnswer {
    /// An error in the API's envelope.
    Error {
        /// HTTP status.
        status: u16,
        /// Code of the error.
        code: i64,
        /// Message of the error.
        message: String,
    },
    /// A page of HTML, as a gateway in front of the API answers.
    Html {
        /// HTTP status.
        status: u16,
    },
    /// Status 429 with `Retry-After`; code 10429 from Workers, 971 elsewhere.
    RateLimit {
        /// Seconds to wait.
        retry_after: u32,
    },
    /// The right answer, late.
    Delay {
        /// How late.
        millis: u64,
    },
    /// The connection drops without an answer.
    Disconnect,
}

fn once() -> u32 {
    1
}

impl Fault {
    /// A fault that strikes once, at the next call whatever it is, without effect.
    pub fn new(answer: FaultAnswer) -> Self {
        Self {
            method: None,
            path: String::new(),
            count: 1,
            effect: false,
            answer,
        }
    }

    /// Strikes `count` times.
    #[must_use]
    pub fn times(self, count: u32) -> Self {
        Self { count, ..self }
    }

    /// Strikes only at calls by this method, below this path.
    #[must_use]
    pub fn at(self, method: &str, path: impl Into<String>) -> Self {
        Self {
            method: Some(method.to_owned()),
            path: path.into(),
            ..self
        }
    }

    /// The call takes effect although the answer says otherwise.
    #[must_use]
    pub fn with_effect(self) -> Self {
        Self {
            effect: true,
            ..self
        }
    }

    fn strikes(&self, method: &Method, path: &str) -> bool {
        self.method
            .as_ref()
            .is_none_or(|wanted| wanted.eq_ignore_ascii_case(method.as_str()))
            && path.starts_with(&self.path)
    }
}

impl FaultAnswer {
    /// The answer in place of the right one; none if the right one comes, or nothing.
    pub(crate) fn response(&self, path: &str) -> Option<Response> {
        match self {
            Self::Error {
                status,
                code,
                message,
            } => Some(Failure::new(status_of(*status), *code, message.clone()).into_response()),
            Self::Html { status } => Some(html(status_of(*status))),
            Self::RateLimit { retry_after } => {
                let (code, message) = throttled(path);
                let mut response =
                    Failure::new(StatusCode::TOO_MANY_REQUESTS, code, message).into_response();
                response
                    .headers_mut()
                    .insert(header::RETRY_AFTER, HeaderValue::from(*retry_after));
                Some(response)
            }
            Self::Delay { .. } | Self::Disconnect => None,
        }
    }
}

/// Workers count their calls themselves; the rest is counted in front of the whole API.
fn throttled(path: &str) -> (i64, &'static str) {
    if path.starts_with("/accounts/") && path.contains("/workers/") {
        let message = "Rate limited. Please wait and consider throttling your request speed";
        (10_429, message)
    } else {
        (
            971,
            "Please wait and consider throttling your request speed",
        )
    }
}

fn html(status: StatusCode) -> Response {
    let page = format!(
        "<html>\r\n<head><title>{status}</title></head>\r\n<body>\r\n<center><h1>{status}</h1></center>\r\n\
         <hr><center>cloudflare</center>\r\n</body>\r\n</html>\r\n"
    );
    (status, [(header::CONTENT_TYPE, "text/html")], page).into_response()
}

fn status_of(status: u16) -> StatusCode {
    StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// The faults that have not struck yet.
#[derive(Debug, Default)]
pub(crate) struct Faults(Vec<Fault>);

impl Faults {
    pub(crate) fn push(&mut self, faults: Vec<Fault>) {
        self.0
            .extend(faults.into_iter().filter(|fault| fault.count > 0));
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    pub(crate) fn waiting(&self) -> &[Fault] {
        &self.0
    }

    /// The first fault that strikes this call, used up by one.
    pub(crate) fn take(&mut self, method: &Method, path: &str) -> Option<Fault> {
        let found = self
            .0
            .iter_mut()
            .find(|fault| fault.strikes(method, path))?;
        found.count = found.count.saturating_sub(1);
        let struck = found.clone();
        self.0.retain(|fault| fault.count > 0);
        Some(struck)
    }
}
