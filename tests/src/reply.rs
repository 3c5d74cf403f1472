//! HTTP calls, and what holds for every answer.

use std::sync::{Arc, RwLock};
use std::time::Duration;

use reqwest::header::HeaderMap;
use reqwest::{Method, RequestBuilder};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// An answer of the gateway.
#[derive(Debug)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Headers.
    pub headers: HeaderMap,
    /// The body as it came.
    pub text: String,
    /// The body.
    pub json: Value,
}

impl Reply {
    /// Headers that stand on every answer, with their exact values.
    pub const EVERY_ANSWER: [(&str, &str); 7] = [
        ("content-type", "application/json; charset=utf-8"),
        ("cache-control", "no-store"),
        (
            "content-security-policy",
            "default-src 'none'; frame-ancestors 'none'",
        ),
        ("referrer-policy", "no-referrer"),
        (
            "strict-transport-security",
            "max-age=31536000; includeSubDomains",
        ),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
    ];

    /// Checks what holds for every answer: security headers, JSON, the request's id.
    fn checked(status: u16, headers: HeaderMap, text: String) -> Self {
        let lines = headers
            .get("content-type")
            .is_some_and(|kind| kind == "application/x-ndjson");
        for (name, value) in Self::EVERY_ANSWER.into_iter().skip(usize::from(lines)) {
            let found: Vec<_> = headers.get_all(name).iter().collect();
            assert_eq!(found, [value], "header {name} of {status} {text}");
        }
        let json: Value = if lines {
            Value::Null
        } else {
            serde_json::from_str(&text).expect("a JSON body")
        };
        let reply = Self {
            status,
            headers,
            text,
            json,
        };
        let id = reply.header("x-request-id").expect("an x-request-id");
        assert_eq!(id.len(), 26, "{id}");
        if lines {
            assert_eq!(status, 200);
            return reply;
        }
        if let Some(own) = reply.json.get("requestId") {
            assert_eq!(own, id);
        }
        assert_eq!(
            reply
                .json
                .get("success")
                .and_then(Value::as_bool)
                .map(|success| success && status >= 300),
            Some(false),
            "success belongs to 2xx answers: {}",
            reply.text
        );
        reply
    }

    /// A header's only value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// Status and code.
    pub fn verdict(&self) -> (u16, &str) {
        (self.status, self.str("code"))
    }

    /// A text of the body; empty where there is none.
    pub fn str(&self, field: &str) -> &str {
        self.json[field].as_str().unwrap_or_default()
    }

    /// Names of the body's fields, sorted.
    pub fn fields(&self) -> Vec<&str> {
        self.json
            .as_object()
            .expect("an object")
            .keys()
            .map(String::as_str)
            .collect()
    }
}

/// Calls one gateway.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    gateway: Arc<RwLock<String>>,
}

impl Client {
    pub(crate) fn new(gateway: &str) -> Self {
        let http = reqwest::Client::builder()
            .timeout(Duration::from_secs(30))
            .no_proxy()
            .build()
            .expect("an HTTP client");
        Self {
            http,
            gateway: Arc::new(RwLock::new(gateway.to_owned())),
        }
    }

    /// Where the gateway listens.
    pub fn gateway(&self) -> String {
        self.gateway.read().expect("no writer panics").clone()
    }

    /// The gateway listens elsewhere now; every clone of this client follows.
    pub(crate) fn follow(&self, gateway: &str) {
        gateway.clone_into(&mut self.gateway.write().expect("no reader panics"));
    }

    /// A request to build on.
    pub fn request(&self, method: &str, path: &str) -> RequestBuilder {
        let method: Method = method.parse().expect("a method");
        self.http
            .request(method, format!("{}{path}", self.gateway()))
    }

    /// Sends a request.
    pub async fn send(&self, request: RequestBuilder) -> Reply {
        self.try_send(request).await.expect("an answer")
    }

    /// Sends a request that may find nobody; an answer is complete or none.
    ///
    /// # Errors
    /// Where the connection broke before the answer was whole.
    pub async fn try_send(&self, request: RequestBuilder) -> Result<Reply, reqwest::Error> {
        let answer = request.send().await?;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        Ok(Reply::checked(status, headers, answer.text().await?))
    }

    /// Posts an alert.
    pub async fn post(&self, body: &impl ToString) -> Reply {
        self.send(self.alert(body)).await
    }

    /// A post of an alert, to build on.
    pub fn alert(&self, body: &impl ToString) -> RequestBuilder {
        self.request("POST", "/webhook")
            .header("content-type", "application/json")
            .body(body.to_string())
    }

    /// Writes bytes to a connection of its own and reads the answer to its end; the request must ask to
    /// close the connection.
    pub async fn raw(&self, bytes: &[u8]) -> Reply {
        let gateway = self.gateway();
        let address = gateway.strip_prefix("http://").expect("plain HTTP");
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        let mut lines = head.split("\r\n");
        let status = lines
            .next()
            .and_then(|line| line.split(' ').nth(1))
            .expect("a status line");
        let headers = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        // The body is one JSON object, whether it comes in chunks or not.
        let (from, to) = (body.find('{').unwrap(), body.rfind('}').unwrap());
        Reply::checked(
            status.parse().unwrap(),
            headers.collect(),
            body[from..=to].to_owned(),
        )
    }
}
