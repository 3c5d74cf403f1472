//! Paths.

use crate::row::Answer::{Journaled, Runtime};
use crate::row::{EMPTY, FORBIDDEN, NO_SUCH_ACCOUNT, NOT_FOUND, Row, UNAUTHORIZED, bad_field};

const OPERATOR: &[&str] = &["authorization: Bearer <operator>"];

pub(crate) const ROWS: &[Row] = &[
    Row::line("two slashes", "POST //webhook HTTP/1.1", NOT_FOUND),
    Row::line("a slash at the end", "POST /webhook/ HTTP/1.1", Journaled),
    Row::line(
        "two slashes at the end",
        "POST /webhook// HTTP/1.1",
        NOT_FOUND,
    ),
    Row::line("upper case", "POST /WEBHOOK HTTP/1.1", NOT_FOUND),
    Row::line("an escaped letter", "POST /%77ebhook HTTP/1.1", NOT_FOUND),
    Row::line("an escaped slash", "POST /webhook%2f HTTP/1.1", NOT_FOUND),
    Row::line(
        "an escaped slash before",
        "POST /%2fwebhook HTTP/1.1",
        NOT_FOUND,
    ),
    Row::line(
        "an escape within an escape",
        "POST /%2577ebhook HTTP/1.1",
        NOT_FOUND,
    ),
    Row::line("an escaped NUL", "POST /webhook%00 HTTP/1.1", NOT_FOUND),
    Row::line(
        "an escaped line break",
        "POST /webhook%0d%0ax-a:b HTTP/1.1",
        NOT_FOUND,
    ),
    Row::line(
        "an escaped question mark",
        "POST /webhook%3fx=1 HTTP/1.1",
        NOT_FOUND,
    ),
    Row::line(
        "an escape that is none",
        "POST /webhook%zz HTTP/1.1",
        NOT_FOUND,
    ),
    Row::line(
        "a parameter by semicolon",
        "POST /webhook;x=1 HTTP/1.1",
        NOT_FOUND,
    ),
    Row::line("an extension", "POST /webhook.json HTTP/1.1", NOT_FOUND),
    Row::line("something below", "POST /webhook/x/y HTTP/1.1", NOT_FOUND),
    Row::line(
        "a letter that looks alike",
        "POST /webhооk HTTP/1.1",
        NOT_FOUND,
    ),
    Row::line("a tilde", "POST /~webhook HTTP/1.1", NOT_FOUND),
    Row::line("a star", "POST /* HTTP/1.1", NOT_FOUND),
    // The platform's URLs are whole: dots are gone before the worker is asked.
    Row::line("a dot", "POST /./webhook HTTP/1.1", Journaled),
    Row::line("an escaped dot", "POST /%2e/webhook HTTP/1.1", Journaled),
    Row::line("two dots", "POST /v1/../webhook HTTP/1.1", Journaled),
    Row::line(
        "two escaped dots",
        "POST /v1/%2e%2E/webhook HTTP/1.1",
        Journaled,
    ),
    Row::line(
        "dots beyond the root",
        "POST /../../webhook HTTP/1.1",
        Journaled,
    ),
    Row::line("dots at the end", "POST /webhook/.. HTTP/1.1", Journaled),
    Row::line(
        "dots into the operator API",
        "POST /webhook/../v1/manifest HTTP/1.1",
        UNAUTHORIZED,
    ),
    Row::line("three dots", "POST /.../webhook HTTP/1.1", NOT_FOUND),
    Row::line(
        "backslashes",
        "POST \\webhook HTTP/1.1",
        Runtime(400, "invalid URI"),
    ),
    Row::line(
        "a backslash after the slash",
        "POST /\\webhook HTTP/1.1",
        NOT_FOUND,
    ),
    Row::line(
        "dots with a backslash",
        "POST /v1\\..\\webhook HTTP/1.1",
        Journaled,
    ),
    Row::line("a query", "POST /webhook?x=1 HTTP/1.1", Journaled),
    Row::line("an empty query", "POST /webhook? HTTP/1.1", Journaled),
    Row::line(
        "a query of question marks",
        "POST /webhook??&=&%zz&;#? HTTP/1.1",
        Journaled,
    ),
    Row::line(
        "a fragment",
        "POST /webhook#v1/manifest HTTP/1.1",
        Journaled,
    ),
    Row::line(
        "a query that would be a path",
        "POST /nothing?/webhook HTTP/1.1",
        NOT_FOUND,
    ),
    Row::post(
        "a key in the query",
        r#"{"action":"close","symbol":"BTCUSDT"}"#,
        FORBIDDEN,
    )
    .lined("POST /webhook?apiKey=<key> HTTP/1.1"),
    Row::post("an alert in the query", "", EMPTY)
        .lined("POST /webhook?apiKey=<key>&action=close&symbol=BTCUSDT HTTP/1.1"),
    Row::line("no slash", "POST webhook HTTP/1.1", Journaled),
    Row::line("no path", "POST  HTTP/1.1", Runtime(400, "invalid URI")),
    Row::line(
        "a space in the path",
        "POST /web hook HTTP/1.1",
        Runtime(400, "invalid HTTP version parsed"),
    ),
    Row::line(
        "an absolute target",
        "POST http://<host>/webhook HTTP/1.1",
        Journaled,
    ),
    Row::line(
        "an absolute target elsewhere",
        "POST http://example.com/webhook HTTP/1.1",
        Journaled,
    ),
    Row::line(
        "an absolute target with a name and a key",
        "POST http://a:b@<host>/webhook HTTP/1.1",
        Journaled,
    ),
    Row::line(
        "an absolute target of another kind",
        "POST ftp://<host>/webhook HTTP/1.1",
        Journaled,
    ),
    Row::line("a target that is a host", "POST <host> HTTP/1.1", Journaled),
    Row::line("a long path", "POST /webhook<x8000> HTTP/1.1", NOT_FOUND),
    Row::line(
        "a long query",
        "POST /webhook?x=<x8000> HTTP/1.1",
        Journaled,
    ),
    Row::line(
        "a private worker's path",
        "POST /accept HTTP/1.1",
        NOT_FOUND,
    )
    .with(&["x-hoox-edge-key: <edge>"]),
    Row::line(
        "another private worker's path",
        "POST /ingest HTTP/1.1",
        NOT_FOUND,
    )
    .with(&["x-hoox-edge-key: <edge>"]),
    Row::bodiless(
        "health with a slash",
        "GET /health/ HTTP/1.1",
        &[],
        NOT_FOUND,
    ),
    Row::bodiless(
        "health in upper case",
        "GET /Health HTTP/1.1",
        &[],
        NOT_FOUND,
    ),
    Row::bodiless(
        "the robots' file",
        "GET /robots.txt HTTP/1.1",
        &[],
        NOT_FOUND,
    ),
    Row::bodiless(
        "a file of secrets",
        "GET /.dev.vars HTTP/1.1",
        &[],
        NOT_FOUND,
    ),
    Row::bodiless(
        "a file beyond the root",
        "GET /..%2f..%2f.dev.vars HTTP/1.1",
        &[],
        NOT_FOUND,
    ),
    Row::bodiless(
        "a folder of git",
        "GET /.git/config HTTP/1.1",
        &[],
        NOT_FOUND,
    ),
    Row::bodiless(
        "the operator API in upper case",
        "GET /V1/manifest HTTP/1.1",
        &[],
        NOT_FOUND,
    ),
    Row::bodiless(
        "the operator API with an escape",
        "GET /%76%31/manifest HTTP/1.1",
        &[],
        NOT_FOUND,
    ),
    Row::bodiless(
        "the operator API with an escape and its key",
        "GET /v1/%6danifest HTTP/1.1",
        OPERATOR,
        NOT_FOUND,
    ),
    Row::bodiless(
        "the operator API with an escaped slash",
        "GET /v1%2fmanifest HTTP/1.1",
        &[],
        NOT_FOUND,
    ),
    Row::bodiless(
        "the operator API with two slashes",
        "GET //v1/manifest HTTP/1.1",
        OPERATOR,
        NOT_FOUND,
    ),
    Row::bodiless(
        "the operator API with two slashes inside",
        "GET /v1//manifest HTTP/1.1",
        OPERATOR,
        NOT_FOUND,
    ),
    Row::bodiless(
        "the operator API with a slash at the end",
        "GET /v1/manifest/ HTTP/1.1",
        OPERATOR,
        NOT_FOUND,
    ),
    Row::bodiless(
        "the operator API by a backslash",
        "GET /v1\\manifest HTTP/1.1",
        &[],
        UNAUTHORIZED,
    ),
    Row::bodiless(
        "the operator API alone",
        "GET /v1/ HTTP/1.1",
        OPERATOR,
        NOT_FOUND,
    ),
    Row::bodiless(
        "nothing in the operator API",
        "GET /v1/nothing HTTP/1.1",
        &[],
        UNAUTHORIZED,
    ),
    Row::bodiless(
        "a parameter it does not take",
        "GET /v1/signals?acount=x HTTP/1.1",
        OPERATOR,
        bad_field(
            "acount",
            "'acount' is no parameter here; use account, limit and cursor",
        ),
    ),
    Row::bodiless(
        "a limit beyond 32 bits",
        "GET /v1/signals?limit=99999999999 HTTP/1.1",
        OPERATOR,
        bad_field(
            "limit",
            "'99999999999' is no limit; use a whole number from 1 to 100",
        ),
    ),
    Row::bodiless(
        "an account nobody has",
        "GET /v1/signals?account=%27%20OR%201=1-- HTTP/1.1",
        OPERATOR,
        bad_field("account", "there is no account '' OR 1=1--'"),
    ),
    Row::bodiless(
        "keys without the operator's",
        "GET /v1/keys HTTP/1.1",
        &[],
        UNAUTHORIZED,
    ),
    Row::bodiless(
        "the key of an account nobody has",
        "GET /v1/keys?account=%27%20OR%201=1-- HTTP/1.1",
        OPERATOR,
        NO_SUCH_ACCOUNT,
    ),
    Row::bodiless(
        "a cursor that is none",
        "GET /v1/signals?cursor=%27%20OR%201=1-- HTTP/1.1",
        OPERATOR,
        bad_field(
            "cursor",
            "cursor is not one that this listing returned: use the nextCursor of the page before, or leave it out to begin with the first page",
        ),
    ),
    Row::bodiless(
        "the key in the query",
        "GET /v1/manifest?key=<operator>&authorization=Bearer%20<operator> HTTP/1.1",
        &[],
        UNAUTHORIZED,
    ),
];
