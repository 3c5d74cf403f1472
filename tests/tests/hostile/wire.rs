//! HTTP/1.1 as bytes: clients of any library refuse to send most of this table.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::error::Elapsed;
use tokio::time::timeout;

use crate::Marks;
use crate::row::{Body, Framing, Row};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// What came back.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) status: u16,
    /// Names in lower case, in the order they came.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Answered {
    /// Every value of a header.
    pub(crate) fn values(&self, name: &str) -> Vec<&str> {
        let named = self.headers.iter().filter(|(known, _)| known == name);
        named.map(|(_, value)| value.as_str()).collect()
    }
}

/// The bytes of a row's request.
pub(crate) fn request(row: &Row, marks: &Marks) -> Vec<u8> {
    let body = match row.body {
        Body::Text(text) => marks.fill(text.as_bytes()),
        Body::Bytes(bytes) => bytes.to_vec(),
        Body::Made(make) => marks.fill(&make()),
    };
    let mut head: Vec<&str> = vec![row.line];
    if !matches!(row.framing, Framing::Bare) {
        head.extend(["host: <host>", "connection: close"]);
    }
    head.extend(row.headers);
    let length = format!("content-length: {}", body.len());
    match row.framing {
        Framing::Length => head.push(&length),
        Framing::Chunked(_) => head.push("transfer-encoding: chunked"),
        Framing::Own | Framing::CutOff | Framing::Bare => {}
    }
    let mut bytes = marks.fill((head.join("\r\n") + "\r\n\r\n").as_bytes());
    match row.framing {
        Framing::Chunked(size) => bytes.extend(chunked(&body, size)),
        _ => bytes.extend(body),
    }
    bytes
}

fn chunked(body: &[u8], size: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    for chunk in body.chunks(size) {
        bytes.extend(format!("{:x}\r\n", chunk.len()).into_bytes());
        bytes.extend(chunk);
        bytes.extend(b"\r\n");
    }
    bytes.extend(b"0\r\n\r\n");
    bytes
}

/// Sends a request on a connection of its own and reads the one answer; `None` where the connection closes
/// without one.
///
/// # Errors
/// Where neither happens in time.
pub(crate) async fn exchange(
    gateway: &str,
    row: &Row,
    request: &[u8],
) -> Result<Option<Answered>, Elapsed> {
    let mut stream = TcpStream::connect(gateway).await.unwrap();
    let (mut from, mut to) = stream.split();
    let send = async {
        // An answer may come before all is read; then the rest goes nowhere.
        let sent = to.write_all(request).await;
        if sent.is_ok() && matches!(row.framing, Framing::CutOff) {
            to.shutdown().await.ok();
        }
        std::future::pending::<()>().await;
    };
    let receive = async {
        let mut bytes = Vec::new();
        while !is_whole(&bytes, row) {
            // A reset closes the connection as well.
            match from.read_buf(&mut bytes).await {
                Ok(0) | Err(_) => break,
                Ok(_) => {}
            }
        }
        bytes
    };
    let bytes = timeout(PATIENCE, async {
        tokio::select! {
            bytes = receive => bytes,
            () = send => Vec::new(),
        }
    });
    let bytes = bytes.await?;
    Ok((!bytes.is_empty()).then(|| parse(&bytes, row)))
}

/// Head and body of the final answer; what comes before it (`100 Continue`) is skipped.
fn head_of(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = core::str::from_utf8(&bytes[..end]).expect("a head in UTF-8");
    let body = &bytes[end + 4..];
    if head.starts_with("HTTP/1.1 100 ") {
        return head_of(body);
    }
    Some((head, body))
}

/// Whether the answer has ended by its own framing.
fn is_whole(bytes: &[u8], row: &Row) -> bool {
    let Some((head, body)) = head_of(bytes) else {
        return false;
    };
    let headers = headers_of(head);
    let value = |name: &str| headers.iter().find(|(known, _)| known == name);
    if is_head(row) {
        return true;
    }
    if value("transfer-encoding").is_some() {
        return body.ends_with(b"0\r\n\r\n");
    }
    value("content-length").is_some_and(|(_, length)| length.parse() == Ok(body.len()))
}

fn is_head(row: &Row) -> bool {
    row.line.starts_with("HEAD ")
}

fn headers_of(head: &str) -> Vec<(String, String)> {
    head.split("\r\n")
        .skip(1)
        .map(|line| {
            let (name, value) = line.split_once(": ").expect("a header");
            (name.to_ascii_lowercase(), value.to_owned())
        })
        .collect()
}

fn parse(bytes: &[u8], row: &Row) -> Answered {
    let (head, body) = head_of(bytes).expect("a whole head");
    let status = head.split(' ').nth(1).expect("a status");
    let headers = headers_of(head);
    let in_chunks = headers.iter().any(|(name, _)| name == "transfer-encoding");
    let body = if in_chunks && !is_head(row) {
        joined(body)
    } else {
        body.to_vec()
    };
    Answered {
        status: status.parse().expect("a number"),
        headers,
        body: String::from_utf8(body).expect("a body in UTF-8"),
    }
}

/// A body without its chunks' frames.
fn joined(mut bytes: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let end = bytes.windows(2).position(|two| two == b"\r\n").unwrap();
        let size = core::str::from_utf8(&bytes[..end]).unwrap();
        let size = usize::from_str_radix(size, 16).expect("a chunk's size");
        let data = &bytes[end + 2..];
        if size == 0 {
            assert_eq!(data, b"\r\n", "something follows the last chunk");
            return body;
        }
        body.extend(&data[..size]);
        bytes = data[size..].strip_prefix(b"\r\n").expect("a chunk's end");
    }
}
