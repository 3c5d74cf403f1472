//! A request as it came: what is asked of it is read in one crossing each, and nothing that is not asked for.

use js_sys::Reflect;
use wasm_bindgen::JsValue;
use worker::FromRequest;

use crate::platform;

/// A request to a worker or an object. `worker`'s own reads everything at once and its body piece by piece.
#[derive(Debug)]
pub struct Request {
    raw: web_sys::Request,
    url: String,
}

impl From<web_sys::Request> for Request {
    fn from(raw: web_sys::Request) -> Self {
        let url = raw.url();
        Self { raw, url }
    }
}

impl From<worker::Request> for Request {
    fn from(request: worker::Request) -> Self {
        // The handle is cloned: the platform's `clone` would split the body.
        Self::from(Clone::clone(request.inner()))
    }
}

impl FromRequest for Request {
    fn from_raw(raw: web_sys::Request) -> Result<Self, impl Into<Box<dyn core::error::Error>>> {
        Ok::<_, worker::Error>(raw.into())
    }
}

impl Request {
    /// The platform's object.
    pub(crate) const fn raw(&self) -> &web_sys::Request {
        &self.raw
    }

    /// The method.
    pub fn method(&self) -> String {
        self.raw.method()
    }

    /// The path, without the query. The platform's URLs are whole and their paths never empty.
    pub fn path(&self) -> &str {
        let after_host = self
            .url
            .split_once("://")
            .and_then(|(_, rest)| rest.find('/').and_then(|at| rest.get(at..)));
        let path = after_host.unwrap_or("/");
        path.split(['?', '#']).next().unwrap_or(path)
    }

    /// Names and values of the query, decoded.
    pub fn query(&self) -> Vec<(String, String)> {
        let query = self.url.split_once('?').map_or("", |(_, query)| query);
        form_urlencoded::parse(query.as_bytes())
            .into_owned()
            .collect()
    }

    /// Where in the platform's network it came in; `None` on a machine of one's own.
    pub fn colo(&self) -> Option<String> {
        let field = |of: &JsValue, name| Reflect::get(of, &JsValue::from_str(name)).ok();
        field(&field(&self.raw, "cf")?, "colo")?.as_string()
    }

    /// Whether the platform has verified the client's certificate (`request.cf.tlsClientAuth`).
    pub fn has_certificate(&self) -> bool {
        let field =
            |of: &JsValue, name| Reflect::get(of, &JsValue::from_str(name)).unwrap_or_default();
        let shown = field(&field(&self.raw, "cf"), "tlsClientAuth");
        field(&shown, "certVerified").as_string().as_deref() == Some("SUCCESS")
    }

    /// Headers by their names; `None` for one that is missing.
    pub fn headers<const N: usize>(&self, names: [&str; N]) -> [Option<String>; N] {
        let found = platform::headers(&self.raw, &names.join(" "));
        platform::values(&found)
    }

    /// One header.
    pub fn header(&self, name: &str) -> Option<String> {
        let [value] = self.headers([name]);
        value
    }

    /// The body; `None` where it is larger than `limit`, by its header or by its bytes.
    ///
    /// # Errors
    /// The platform's, where the client broke off.
    pub async fn body(&self, limit: usize) -> worker::Result<Option<Vec<u8>>> {
        Ok(platform::body(&self.raw, limit).await?)
    }
}
