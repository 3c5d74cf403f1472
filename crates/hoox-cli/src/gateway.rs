//! The gateway as its operator calls it.

use core::time::Duration;

use hoox_mesh::registry::REQUEST_ID_HEADER;
use hoox_model::Secret;
use reqwest::{Method, StatusCode, Url};
use serde_json::Value;

use crate::failure::Failure;
use crate::http::{Line, cause};
use crate::output::plain;
use crate::status::Status;
use crate::target::Target;

/// An operator's call may wait for orders on their way.
const WITHIN: Duration = Duration::from_secs(30);

/// A gateway.
pub(crate) struct Gateway {
    target: Target,
    line: Line,
}

/// An answer that says yes.
pub(crate) struct Answer {
    pub(crate) body: Value,
    pub(crate) text: String,
    pub(crate) cursor: Option<String>,
    pub(crate) more: bool,
    /// When it was given, by the server's clock.
    pub(crate) date: Option<String>,
}

impl Gateway {
    pub(crate) fn new(target: Target) -> Result<Self, Failure> {
        let line = Line::to(&target.gateway, WITHIN)?;
        Ok(Self { target, line })
    }

    pub(crate) const fn passkey(&self) -> Option<&Secret> {
        self.target.passkey.as_ref()
    }

    /// Its host, as another machine names it; none of the sandbox, which no other machine reaches.
    pub(crate) fn host(&self) -> Option<String> {
        if self.target.local {
            return None;
        }
        let origin = self.target.gateway.as_str().trim_end_matches('/');
        let host = origin.strip_prefix("https://").unwrap_or(origin);
        Some(host.to_owned())
    }

    /// What a further command needs to mean this gateway, as it stands behind it.
    pub(crate) fn again(&self) -> &str {
        &self.target.again
    }

    /// Asks the operator API.
    pub(crate) async fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Answer, Failure> {
        self.call(Method::GET, path, query, None).await
    }

    /// Changes something by the operator API.
    pub(crate) async fn change(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer, Failure> {
        self.call(method, path, &[], body).await
    }

    /// The same, with parameters.
    pub(crate) async fn change_with(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Answer, Failure> {
        self.call(method, path, query, body).await
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Answer, Failure> {
        let key = self.target.operator_key.as_ref();
        let changes = method != Method::GET;
        let text = body.map(Value::to_string);
        self.send(method, path, query, text, key, changes).await
    }

    /// Sends an alert, which carries its own key, and waits for the outcome.
    pub(crate) async fn alert(&self, body: &Value) -> Result<Answer, Failure> {
        let text = Some(body.to_string());
        self.send(Method::POST, "/webhook", &[], text, None, true)
            .await
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<String>,
        key: Option<&Secret>,
        changes: bool,
    ) -> Result<Answer, Failure> {
        let mut url = self.address(path)?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let mut request = self.line.request(method, url).header("prefer", "wait=2");
        if let Some(key) = key {
            request = request.bearer_auth(key.expose());
        }
        if let Some(body) = body {
            request = request
                .header("content-type", "application/json")
                .body(body);
        }
        let answer = request
            .send()
            .await
            .map_err(|error| self.unreachable(&error, changes))?;
        let status = answer.status();
        let header = |name: &str| {
            let value = answer.headers().get(name)?.to_str().ok()?;
            (!value.is_empty()).then(|| value.to_owned())
        };
        let (cursor, more) = (
            header("x-next-cursor"),
            header("x-more").as_deref() == Some("true"),
        );
        let date = header("date");
        let ours = header(REQUEST_ID_HEADER).is_some();
        let text = answer
            .text()
            .await
            .map_err(|error| self.unreachable(&error, changes))?;
        let body: Value = serde_json::from_str(&text).unwrap_or_default();
        if !ours {
            return Err(foreign(status, path, changes));
        }
        if status.is_success() {
            return Ok(Answer {
                body,
                text,
                cursor,
                more,
                date,
            });
        }
        Err(refusal(status, &body, path, changes))
    }

    fn address(&self, path: &str) -> Result<Url, Failure> {
        let url = self.target.gateway.join(path);
        url.map_err(|error| Failure::usage(error.to_string()))
    }

    fn unreachable(&self, error: &reqwest::Error, changes: bool) -> Failure {
        let host = &self.target.gateway;
        let name = host.host_str().unwrap_or_default();
        if let Some(obstacle) = self.line.obstacle(name, error) {
            return obstacle.failure;
        }
        let why = cause(error);
        if error.is_connect() || !changes {
            let hint = if self.target.local {
                "is `npm run dev` still running?"
            } else {
                "check --host, and that the gateway is deployed"
            };
            return Failure::new("UNREACHABLE", format!("{host} did not answer: {why}")).hint(hint);
        }
        unconfirmed(Failure::new(
            "NOT_CONFIRMED",
            format!("no answer came from {host}: {why}"),
        ))
    }
}

/// What may have been done all the same.
fn unconfirmed(failure: Failure) -> Failure {
    failure
        .hint("it may have been done: look, then repeat it")
        .status(Status::Unknown)
}

/// The gateway's refusal, in its own words.
fn refusal(status: StatusCode, body: &Value, path: &str, changes: bool) -> Failure {
    let text = |field: &str| body.get(field).and_then(Value::as_str);
    let Some(code) = text("code") else {
        return foreign(status, path, changes);
    };
    let mut message = plain(text("error").unwrap_or("refused"));
    if let Some(field) = text("field") {
        message = format!("{}: {message}", plain(field));
    }
    let failure = Failure::new(&plain(code), message);
    match code {
        "UNAUTHORIZED" => failure.hint(format!(
            "this key opens nothing here: it is another gateway's, or it was rotated or revoked; check {} or --operator-key-file; who holds one makes another by `hoox operators add` or `rotate`, and `hoox login operator-key` keeps it",
            crate::target::OPERATOR_KEY
        )),
        "NOT_CONFIRMED" | "INTERNAL" if changes => unconfirmed(failure),
        _ => failure,
    }
}

/// An answer that is not the gateway's: what stands in front of it failed or turned the call away, or it is another host.
fn foreign(status: StatusCode, path: &str, changes: bool) -> Failure {
    if status.is_server_error() {
        let message = format!(
            "the gateway did not answer itself: status {}",
            status.as_u16()
        );
        let failure = Failure::new("UNREACHABLE", message);
        return if changes {
            unconfirmed(failure)
        } else {
            failure
        };
    }
    if status == StatusCode::FORBIDDEN && path == "/webhook" {
        return Failure::new("FORBIDDEN", "this machine's address does not reach the webhook")
            .hint("a firewall rule stands in front of it: give the sender your address (--range), then `hoox waf configure`");
    }
    Failure::new(
        "UNREACHABLE",
        format!("this is no Hoox gateway: it answered {status}"),
    )
    .hint("check --host")
}
