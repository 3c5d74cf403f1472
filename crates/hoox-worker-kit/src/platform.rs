//! What `platform.js` offers: each call to the platform in one crossing.

use hoox_exchange::{HttpRequest, Method};
use js_sys::{Array, Promise, Uint8Array};
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast, JsValue};
use zeroize::Zeroizing;

#[wasm_bindgen]
extern "C" {
    /// A service binding or a Durable Object's stub.
    pub(crate) type Callee;

    #[wasm_bindgen(method, catch)]
    pub(crate) fn fetch(this: &Callee, request: &web_sys::Request) -> Result<Promise, JsValue>;

    /// A Durable Object's storage.
    #[derive(Clone, Debug)]
    pub(crate) type RawStorage;

    #[wasm_bindgen(method, getter)]
    pub(crate) fn sql(this: &RawStorage) -> RawSql;

    #[wasm_bindgen(method, catch, js_name = transactionSync)]
    pub(crate) fn transaction_sync(
        this: &RawStorage,
        work: &mut dyn FnMut() -> Result<JsValue, JsValue>,
    ) -> Result<JsValue, JsValue>;

    /// A rate limiter.
    pub(crate) type Limiter;

    /// Its SQL.
    #[derive(Clone, Debug)]
    pub(crate) type RawSql;
}

#[wasm_bindgen(module = "/src/platform.js")]
extern "C" {
    pub(crate) fn headers(request: &web_sys::Request, names: &str) -> String;

    #[wasm_bindgen(catch)]
    async fn ask(
        url: &str,
        method: &str,
        sent: &str,
        body: Option<&str>,
        limit: u32,
        within_ms: u32,
        wanted: &str,
    ) -> Result<JsValue, JsValue>;

    /// Begins to wait.
    pub(crate) fn start(millis: u32) -> JsValue;

    /// Ends when the time is over.
    pub(crate) async fn over(timer: &JsValue);

    /// Waits no more.
    pub(crate) fn stop(timer: &JsValue);

    #[wasm_bindgen(catch)]
    pub(crate) async fn spent(limiter: &Limiter, key: &str) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(catch)]
    async fn read(request: &web_sys::Request, limit: u32) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(catch)]
    pub(crate) fn respond(
        status: u16,
        request_id: &str,
        body: &str,
    ) -> Result<web_sys::Response, JsValue>;

    #[wasm_bindgen(catch)]
    async fn call(
        callee: &Callee,
        url: &str,
        headers: &str,
        body: &str,
        within_ms: u32,
    ) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(catch)]
    pub(crate) fn query(
        sql: &RawSql,
        statement: &str,
        parameters: &str,
    ) -> Result<Option<String>, JsValue>;

    /// The rows that statements of this instance have written, index entries included.
    #[wasm_bindgen(js_name = rowsWritten)]
    pub(crate) fn rows_written(sql: &RawSql) -> u32;

    #[wasm_bindgen(catch)]
    pub(crate) fn alarm(storage: &RawStorage, at: f64) -> Result<(), JsValue>;
}

/// A request's body; `None` where it is larger than `limit`, by its header or by its bytes.
pub(crate) async fn body(
    request: &web_sys::Request,
    limit: usize,
) -> Result<Option<Vec<u8>>, JsValue> {
    let bytes = read(request, u32::try_from(limit).unwrap_or(u32::MAX)).await?;
    Ok(bytes.dyn_ref::<Uint8Array>().map(Uint8Array::to_vec))
}

/// Names and values by turns, with NUL between them, which no header can hold. Keys are among them.
fn pairs<'a>(headers: impl Iterator<Item = (&'a str, &'a str)>) -> Zeroizing<String> {
    let parts: Vec<&str> = headers.flat_map(|(name, value)| [name, value]).collect();
    Zeroizing::new(parts.join("\0"))
}

/// What [`headers`] found.
pub(crate) fn values<const N: usize>(found: &str) -> [Option<String>; N] {
    let mut lines = found.split('\n');
    [(); N].map(|()| Some(lines.next()?.strip_prefix('=')?.to_owned()))
}

/// A venue's answer: status, wanted headers, and the body unless it is too large.
pub(crate) type Answered<const N: usize> = (u16, [Option<String>; N], Option<Vec<u8>>);

/// Calls a venue. The request is handed over on the first poll.
pub(crate) async fn fetch<const N: usize>(
    request: &HttpRequest,
    limit: usize,
    within_ms: u32,
    wanted: [&str; N],
) -> Result<Answered<N>, JsValue> {
    let method = match request.method {
        Method::Get => "GET",
        Method::Post => "POST",
        Method::Delete => "DELETE",
    };
    let sent = pairs(
        request
            .headers
            .iter()
            .map(|(name, value)| (*name, value.as_str())),
    );
    let limit = u32::try_from(limit).unwrap_or(u32::MAX);
    let answer = ask(
        &request.url,
        method,
        &sent,
        request.body.as_deref(),
        limit,
        within_ms,
        &wanted.join(" "),
    )
    .await?;
    let answer: Array = answer.unchecked_into();
    let status = answer.get(0).as_f64().map_or(0, whole);
    let headers = answer.get(1).as_string().unwrap_or_default();
    let body = answer.get(2);
    Ok((
        status,
        values(&headers),
        body.dyn_ref::<Uint8Array>().map(Uint8Array::to_vec),
    ))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a status has three digits"
)]
const fn whole(status: f64) -> u16 {
    status as u16
}

/// Posts a message and reads the answer; `None` where it took longer.
pub(crate) async fn post(
    callee: &Callee,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
    within_ms: u32,
) -> Result<Option<String>, JsValue> {
    let url = format!("https://hoox.internal{path}");
    let sent = pairs(headers.iter().copied());
    let answer = call(callee, &url, &sent, body, within_ms).await?;
    Ok(answer.as_string())
}
