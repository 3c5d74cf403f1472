//! Calls between workers and to Durable Objects: typed routes over `fetch`.

use futures_util::future::{Either, select};
use hoox_auth::Account;
use hoox_mesh::registry::{EDGE_KEY_HEADER, LEDGER, REQUEST_ID_HEADER};
use hoox_mesh::{Answer, Edge, Problem, Route};
use hoox_model::{Code, RequestId};
use wasm_bindgen::JsValue;
use worker::{Env, Headers, Method, Request, RequestInit, Response, Result, Stub};

use crate::{secret, sleep};

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

fn post(body: &str, headers: &[(&str, &str)]) -> Result<RequestInit> {
    let set = Headers::new();
    set.set("content-type", "application/json")?;
    for (name, value) in headers {
        set.set(name, value)?;
    }
    let mut init = RequestInit::new();
    init.with_method(Method::Post)
        .with_headers(set)
        .with_body(Some(JsValue::from_str(body)));
    Ok(init)
}

async fn read<R: Route>(response: Result<Response>) -> Answer<R> {
    let mut response = response.map_err(|_| not_confirmed("an internal call broke off"))?;
    let text = response
        .text()
        .await
        .map_err(|_| not_confirmed("an internal answer broke off"))?;
    serde_json::from_str::<Answer<R>>(&text)
        .map_err(|_| not_confirmed("an internal answer is not readable"))?
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
    let unusable = |error: &dyn core::fmt::Display| {
        Problem::new(
            Code::NotConfigured,
            format!("a private worker cannot be called: {error}"),
        )
    };
    let Some(edge) = R::EDGE else {
        return Err(unusable(&"the route has no edge"));
    };
    let key = secret(env, edge.secret())?;
    let body = serde_json::to_string(message).map_err(|error| unusable(&error))?;
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
    let init = post(&body, &headers).map_err(|error| unusable(&error))?;
    let service = env
        .service(edge.binding())
        .map_err(|error| unusable(&error))?;
    let call = async {
        read::<R>(
            service
                .fetch(format!("https://hoox.internal{}", R::PATH), Some(init))
                .await,
        )
        .await
    };
    match select(Box::pin(call), Box::pin(sleep(within_ms))).await {
        Either::Left((answer, _)) => answer,
        Either::Right(_) => Err(not_confirmed("no internal answer came in time")),
    }
}

/// Calls one of this worker's own Durable Objects.
///
/// # Errors
/// The object's [`Problem`], or `NOT_CONFIRMED` where no answer came in time.
pub async fn call_object<R: Route>(stub: &Stub, message: &R::Request, within_ms: u32) -> Answer<R> {
    let broken = |_| not_confirmed("an object cannot be called");
    let body =
        serde_json::to_string(message).map_err(|_| not_confirmed("a message cannot be written"))?;
    let init = post(&body, &[]).map_err(broken)?;
    let request = Request::new_with_init(&format!("https://hoox.internal{}", R::PATH), &init)
        .map_err(broken)?;
    let call = async { read::<R>(stub.fetch_with_request(request).await).await };
    match select(Box::pin(call), Box::pin(sleep(within_ms))).await {
        Either::Left((answer, _)) => answer,
        Either::Right(_) => Err(not_confirmed("an object did not answer in time")),
    }
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
pub async fn forward(stub: &Stub, request: &mut Request) -> Result<Response> {
    let body = request.text().await?;
    let init = post(&body, &[])?;
    let outgoing =
        Request::new_with_init(&format!("https://hoox.internal{}", request.path()), &init)?;
    stub.fetch_with_request(outgoing).await
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
    let bad = |text: String| Problem::new(Code::BadJson, text);
    let body = crate::read_body(request, MAX_MESSAGE)
        .await
        .map_err(|error| bad(error.to_string()))?
        .ok_or_else(|| bad("the message is too large".to_owned()))?;
    serde_json::from_slice(&body)
        .map_err(|error| bad(format!("the message is not readable: {error}")))
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
