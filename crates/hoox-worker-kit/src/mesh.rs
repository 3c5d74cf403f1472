//! Calls between workers and to Durable Objects: typed routes over `fetch`.

use core::pin::pin;

use futures_util::future::{Either, select};
use hoox_auth::Account;
use hoox_mesh::registry::{EDGE_KEY_HEADER, LEDGER, REQUEST_ID_HEADER};
use hoox_mesh::{Answer, Edge, Problem, Route};
use hoox_model::{Code, RequestId};
use js_sys::Promise;
use serde_json::value::RawValue;
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use worker::{Env, Request, Response, Result, Stub};

use crate::{read_body, secret, sleep};

/// Header that names the Ledger a forwarded message is for.
pub const LEDGER_HEADER: &str = "x-hoox-ledger";
/// Header with the location hint of that Ledger.
pub const LOCATION_HEADER: &str = "x-hoox-location";
/// Internal messages hold an alert of 64 KiB at most, with room for its envelope and for records.
const MAX_MESSAGE: usize = 8 * 1024 * 1024;

fn not_confirmed(what: &str) -> Problem {
    Problem::new(
        Code::NotConfirmed,
        format!("{what}; it may have been kept, and a resend is safe"),
    )
}

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

#[wasm_bindgen]
extern "C" {
    /// A service binding or a Durable Object's stub.
    type Callee;

    #[wasm_bindgen(method, catch)]
    fn fetch(this: &Callee, request: &web_sys::Request) -> core::result::Result<Promise, JsValue>;
}

impl Callee {
    /// Sends a message. It is made of the platform's own types: those of `worker` drag along every option of
    /// Cloudflare's `fetch`.
    async fn post(
        &self,
        path: &str,
        body: &str,
        headers: &[(&str, &str)],
    ) -> core::result::Result<web_sys::Response, JsValue> {
        let set = web_sys::Headers::new()?;
        set.set("content-type", "application/json")?;
        for (name, value) in headers {
            set.set(name, value)?;
        }
        let init = web_sys::RequestInit::new();
        init.set_method("POST");
        init.set_headers(&set);
        init.set_body(&JsValue::from_str(body));
        let url = format!("https://hoox.internal{path}");
        let request = web_sys::Request::new_with_str_and_init(&url, &init)?;
        let response = JsFuture::from(self.fetch(&request)?).await?;
        Ok(response.unchecked_into())
    }

    /// Sends a message, waits for the answer, and opens its envelope: the same for every route.
    async fn call(
        &self,
        path: &str,
        body: &str,
        headers: &[(&str, &str)],
        within_ms: u32,
    ) -> core::result::Result<Box<RawValue>, Problem> {
        let answer = async {
            let response = self.post(path, body, headers).await?;
            JsFuture::from(response.text()?).await
        };
        match select(pin!(answer), pin!(sleep(within_ms))).await {
            Either::Left((Ok(text), _)) => {
                let text = text.as_string().ok_or_else(unreadable)?;
                serde_json::from_str(&text).map_err(|_| unreadable())?
            }
            Either::Left((Err(_), _)) => Err(not_confirmed("an internal call broke off")),
            Either::Right(_) => Err(not_confirmed("no internal answer came in time")),
        }
    }
}

fn unreadable() -> Problem {
    not_confirmed("an internal answer is not readable")
}

fn written<R: Route>(message: &R::Request) -> core::result::Result<String, Problem> {
    serde_json::to_string(message).map_err(|_| not_confirmed("a message cannot be written"))
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
    let reply = call_edge(env, request_id, Way::of::<R>(), ledger, &body, within_ms).await?;
    serde_json::from_str(reply.get()).map_err(|_| unreadable())
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
    let service: Callee = env
        .service(edge.binding())
        .map_err(|error| unusable(&error))?
        .into_rpc();
    match service.call(way.path, body, &headers, within_ms).await {
        // Our own caller has done nothing wrong: the installation has.
        Err(problem) if problem.code == Code::Unauthorized => Err(unusable(&format_args!(
            "{} differs on its two sides",
            edge.secret()
        ))),
        other => other,
    }
}

/// Calls one of this worker's own Durable Objects.
///
/// # Errors
/// The object's [`Problem`], or `NOT_CONFIRMED` where no answer came in time.
pub async fn call_object<R: Route>(stub: Stub, message: &R::Request, within_ms: u32) -> Answer<R> {
    let body = written::<R>(message)?;
    let object: Callee = stub.into_rpc();
    let reply = object.call(R::PATH, &body, &[], within_ms).await?;
    serde_json::from_str(reply.get()).map_err(|_| unreadable())
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

/// Passes a request's message on to an object as it is.
///
/// # Errors
/// The platform's, where the object broke off.
pub async fn forward(stub: Stub, request: &mut Request) -> Result<Response> {
    let body = request.text().await?;
    let object: Callee = stub.into_rpc();
    let response = object.post(&request.path(), &body, &[]).await?;
    Ok(Response::from(response))
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
    let presented = request
        .headers()
        .get(EDGE_KEY_HEADER)
        .ok()
        .flatten()
        .ok_or_else(refuse)?;
    let key = secret(env, edge.secret()).map_err(|_| refuse())?;
    if key.matches(&presented) {
        Ok(())
    } else {
        Err(refuse())
    }
}

/// Reads a route's message.
///
/// # Errors
/// `BAD_JSON` where it is not readable.
pub async fn message<R: Route>(request: &mut Request) -> core::result::Result<R::Request, Problem> {
    let body = text(request, MAX_MESSAGE).await?;
    serde_json::from_str(&body).map_err(|error| {
        Problem::new(
            Code::BadJson,
            format!("the message is not readable: {error}"),
        )
    })
}

/// A request's body as text.
///
/// # Errors
/// `TOO_LARGE` above `limit` bytes, `BAD_JSON` where it broke off or is not UTF-8.
pub async fn text(request: &mut Request, limit: usize) -> core::result::Result<String, Problem> {
    let body = read_body(request, limit)
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

/// Names and values of a request's query, decoded.
pub fn query(request: &Request) -> Vec<(String, String)> {
    let url = request.inner().url();
    let query = url.split_once('?').map_or("", |(_, query)| query);
    form_urlencoded::parse(query.as_bytes())
        .into_owned()
        .collect()
}

/// A route's answer.
///
/// # Errors
/// The platform's, where it does not take the body.
pub fn answer<R: Route>(answer: &Answer<R>) -> Result<Response> {
    let status = answer
        .as_ref()
        .map_or_else(|problem| problem.code.status(), |_| 200);
    Ok(Response::from_json(answer)?.with_status(status))
}
