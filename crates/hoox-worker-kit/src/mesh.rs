//! Calls between workers and to Durable Objects: typed routes over `fetch`.

use hoox_auth::Account;
use hoox_mesh::envelope::{self, not_confirmed, opened, reply, written};
use hoox_mesh::registry::{EDGE_KEY_HEADER, LEDGER, REQUEST_ID_HEADER};
use hoox_mesh::{Answer, Burst, Edge, Problem, Route, Served, unstored};
use hoox_model::{Code, RequestId};
use hoox_store::audit::{AuditEntry, AuditEvent};
use js_sys::Reflect;
use serde_json::value::RawValue;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use worker::{Env, Response, ResponseBuilder, Result, Stub};

use crate::platform::{Callee, post};
use crate::{Request, now, secret};

/// Header that names the Ledger a forwarded message is for.
pub const LEDGER_HEADER: &str = "x-hoox-ledger";
/// Header with the location hint of that Ledger.
pub const LOCATION_HEADER: &str = "x-hoox-location";
/// Internal messages hold an alert of 64 KiB at most, with room for its envelope and for records.
const MAX_MESSAGE: usize = 8 * 1024 * 1024;

/// Where a call goes, whatever it says.
#[derive(Debug, Clone, Copy)]
pub struct Way {
    edge: Option<Edge>,
    path: &'static str,
}

impl Way {
    /// The way of a route.
    pub const fn of<R: Route>() -> Self {
        Self {
            edge: R::EDGE,
            path: R::PATH,
        }
    }
}

impl Callee {
    /// Sends a message, waits for the answer, and opens its envelope: the same for every route.
    async fn call(
        &self,
        path: &str,
        body: &str,
        headers: &[(&str, &str)],
        within_ms: u32,
    ) -> core::result::Result<Box<RawValue>, Problem> {
        match post(self, path, headers, body, within_ms).await {
            Ok(Some(text)) => opened(&text),
            Ok(None) => Err(not_confirmed("no internal answer came in time")),
            Err(_) => Err(not_confirmed("an internal call broke off")),
        }
    }

    /// Passes a request on as it is.
    async fn forward(&self, request: &Request) -> core::result::Result<web_sys::Response, JsValue> {
        let response = JsFuture::from(self.fetch(request.raw())?).await?;
        Ok(response.unchecked_into())
    }
}

/// Calls a private worker over its edge, with the edge's key and a deadline.
///
/// `ledger` names the account whose Ledger the message is for.
///
/// # Errors
/// The callee's [`Problem`], or `NOT_CONFIRMED` where no answer came in time.
pub async fn call_service<R: Route>(
    env: &Env,
    request_id: &RequestId,
    ledger: Option<&Account>,
    message: &R::Request,
    within_ms: u32,
) -> Answer<R> {
    let body = written::<R>(message)?;
    reply::<R>(&call_edge(env, request_id, Way::of::<R>(), ledger, &body, within_ms).await?)
}

/// [`call_service`] with message and answer as JSON text, for a caller that passes them on as they are.
///
/// # Errors
/// As of [`call_service`].
pub async fn relay(
    env: &Env,
    request_id: &RequestId,
    way: Way,
    message: &str,
    within_ms: u32,
) -> core::result::Result<Box<RawValue>, Problem> {
    call_edge(env, request_id, way, None, message, within_ms).await
}

async fn call_edge(
    env: &Env,
    request_id: &RequestId,
    way: Way,
    ledger: Option<&Account>,
    body: &str,
    within_ms: u32,
) -> core::result::Result<Box<RawValue>, Problem> {
    let unusable = |error: &dyn core::fmt::Display| {
        Problem::new(
            Code::NotConfigured,
            format!("a private worker cannot be called: {error}"),
        )
    };
    let Some(edge) = way.edge else {
        return Err(unusable(&"the route has no edge"));
    };
    let key = secret(env, edge.secret())?;
    let name = ledger.map(Account::ledger_name).unwrap_or_default();
    let hint = ledger
        .and_then(|account| account.location_hint)
        .map_or("", |hint| hint.as_str());
    let headers = [
        (EDGE_KEY_HEADER, key.expose()),
        (REQUEST_ID_HEADER, request_id.as_str()),
        (LEDGER_HEADER, name.as_str()),
        (LOCATION_HEADER, hint),
    ];
    let service = Reflect::get(env, &JsValue::from_str(edge.binding())).unwrap_or_default();
    if !service.is_object() {
        return Err(unusable(&format_args!("there is no {}", edge.binding())));
    }
    let service: Callee = service.unchecked_into();
    match service.call(way.path, body, &headers, within_ms).await {
        // Our own caller has done nothing wrong: the installation has.
        Err(problem) if problem.code == Code::Unauthorized => Err(unusable(&edge.differs())),
        other => other,
    }
}

/// Calls one of this worker's own Durable Objects.
///
/// # Errors
/// The object's [`Problem`], or `NOT_CONFIRMED` where no answer came in time.
pub async fn call_object<R: Route>(stub: Stub, message: &R::Request, within_ms: u32) -> Answer<R> {
    let body = written::<R>(message)?;
    reply::<R>(&relay_to_object(stub, R::PATH, &body, within_ms).await?)
}

/// [`call_object`] with message and answer as JSON text, for a caller that passes them on as they are.
///
/// # Errors
/// As of [`call_object`].
pub async fn relay_to_object(
    stub: Stub,
    path: &str,
    message: &str,
    within_ms: u32,
) -> core::result::Result<Box<RawValue>, Problem> {
    let object: Callee = stub.into_rpc();
    object.call(path, message, &[], within_ms).await
}

/// The stub of an account's Ledger: the only place that makes one, because only the first touch
/// places an object.
///
/// # Errors
/// The platform's, where the binding is missing.
pub fn ledger_stub(env: &Env, name: &str, location_hint: &str) -> Result<Stub> {
    let namespace = env.durable_object(LEDGER)?;
    if location_hint.is_empty() {
        namespace.get_by_name(name)
    } else {
        namespace.get_by_name_with_location_hint(name, location_hint)
    }
}

/// Passes a request on to an object as it is. The edge's key goes along: the object is the same worker.
///
/// # Errors
/// The platform's, where the object broke off.
pub async fn forward(stub: Stub, request: &Request) -> Result<web_sys::Response> {
    let object: Callee = stub.into_rpc();
    Ok(object.forward(request).await?)
}

/// Whether a request carries its edge's key.
///
/// # Errors
/// `UNAUTHORIZED`, also where the key is not configured: it fails closed.
pub fn check_edge(env: &Env, request: &Request, edge: Edge) -> core::result::Result<(), Problem> {
    let refuse = || {
        Problem::new(
            Code::Unauthorized,
            "this call does not carry its edge's key",
        )
    };
    let presented = request.header(EDGE_KEY_HEADER).ok_or_else(refuse)?;
    let key = secret(env, edge.secret()).map_err(|_| refuse())?;
    if key.matches(&presented) {
        Ok(())
    } else {
        Err(refuse())
    }
}

thread_local! {
    static REFUSED: Burst = const { Burst::new() };
}

/// The audit trail's entry for a call without its edge's key; `None` where enough of them are stored.
pub fn edge_refused(path: &str) -> Option<AuditEntry> {
    let more = REFUSED.with(|refused| refused.stored(now()))?;
    Some(AuditEntry {
        path: Some(path.into()),
        code: Some(Code::Unauthorized),
        status: Some(Code::Unauthorized.status()),
        detail: unstored(more).map(Into::into),
        ..AuditEntry::new(now(), AuditEvent::EdgeRefused, "stranger")
    })
}

/// Reads a route's message.
///
/// # Errors
/// `BAD_JSON` where it is not readable.
pub async fn message<R: Route>(request: &Request) -> core::result::Result<R::Request, Problem> {
    envelope::message::<R>(&message_text(request).await?)
}

/// A message as text, whatever its route.
///
/// # Errors
/// As of [`text`], which bounds it.
pub async fn message_text(request: &Request) -> core::result::Result<String, Problem> {
    text(request, MAX_MESSAGE).await
}

/// A request's body as text.
///
/// # Errors
/// `TOO_LARGE` above `limit` bytes, `BAD_JSON` where it broke off or is not UTF-8.
pub async fn text(request: &Request, limit: usize) -> core::result::Result<String, Problem> {
    let body = request
        .body(limit)
        .await
        .map_err(|_| Problem::new(Code::BadJson, "the body broke off; send it again"))?
        .ok_or_else(|| {
            Problem::new(
                Code::TooLarge,
                format!("the body is larger than {limit} bytes"),
            )
        })?;
    String::from_utf8(body).map_err(|_| Problem::new(Code::BadJson, "the body is not UTF-8"))
}

/// A route's answer.
///
/// # Errors
/// The platform's, where it does not take the body.
pub fn answer<R: Route>(answer: &Answer<R>) -> Result<Response> {
    served(Served::of::<R>(answer))
}

/// An answer that is written already.
///
/// # Errors
/// As of [`answer`].
pub fn served(served: Served) -> Result<Response> {
    let response = ResponseBuilder::new().with_status(served.status);
    Ok(response
        .with_header("content-type", "application/json")?
        .fixed(served.body.into_bytes()))
}
