//! A gateway that gives the answers of docs/API.md, and notes what it was asked.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::{Value, json};

/// The key of its operator.
pub(crate) const KEY: &str = "the-operators-key";
/// When it answers, by its own clock.
const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

/// Method and path with what they are answered: status and body.
pub(crate) type Answer = (&'static str, u16, Value);

/// A running one.
pub(crate) struct Gateway {
    /// Its address.
    pub(crate) address: String,
    asked: Arc<Mutex<Vec<(String, String)>>>,
}

impl Gateway {
    /// Starts one that gives these answers, one to a connection; anything else is `NOT_FOUND`, and what needs the
    /// operator's key and lacks it `UNAUTHORIZED`.
    pub(crate) fn start(answers: Vec<Answer>) -> Self {
        Self::answering(move |call, key, _| {
            let operators = call.contains(" /v1/");
            let known = answers.iter().find(|(known, _, _)| *known == call);
            match known {
                _ if operators && key != Some(KEY) => {
                    (401, problem("UNAUTHORIZED", "send the operator key"))
                }
                Some((_, status, body)) => (*status, body.clone()),
                None => (404, problem("NOT_FOUND", "there is no such path")),
            }
        })
    }

    /// Starts one that answers method and path, the bearer's key and the body as it is told to.
    pub(crate) fn answering(
        answer: impl Fn(&str, Option<&str>, &str) -> (u16, Value) + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let notes = Arc::clone(&asked);
        thread::spawn(move || {
            for line in listener.incoming() {
                let mut line = line.unwrap();
                let mut reader = BufReader::new(line.try_clone().unwrap());
                let mut head = Vec::new();
                loop {
                    let mut text = String::new();
                    reader.read_line(&mut text).unwrap();
                    let text = text.trim_end().to_owned();
                    if text.is_empty() {
                        break;
                    }
                    head.push(text);
                }
                // A look whether somebody listens asks for nothing.
                let Some(first) = head.first() else { continue };
                let call = first.rsplit_once(' ').unwrap().0.to_owned();
                let of = |name: &str| {
                    let found = head.iter().find_map(|text| text.strip_prefix(name));
                    found.map(str::to_owned)
                };
                let length = of("content-length: ").map_or(0, |text| text.parse().unwrap());
                let mut body = vec![0; length];
                reader.read_exact(&mut body).unwrap();
                let text = String::from_utf8(body).unwrap();
                notes.lock().unwrap().push((call.clone(), text.clone()));
                let key = of("authorization: Bearer ");
                let (status, body) = answer(&call, key.as_deref(), &text);
                let body = body.to_string();
                let length = body.len();
                write!(line, "HTTP/1.1 {status} Said\r\nx-request-id: 01M832V2N9H62T92WHFH4Q1J0H\r\nconnection: close\r\ndate: {DATE}\r\ncontent-length: {length}\r\n\r\n{body}").unwrap();
            }
        });
        Self { address, asked }
    }

    /// Calls and bodies, in their order.
    pub(crate) fn asked(&self) -> Vec<(String, String)> {
        self.asked.lock().unwrap().clone()
    }
}

/// A refusal of the gateway.
pub(crate) fn problem(code: &str, error: &str) -> Value {
    json!({ "success": false, "code": code, "error": error })
}
