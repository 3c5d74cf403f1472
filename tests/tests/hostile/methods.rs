//! Methods.

use crate::row::Answer::{Journaled, Runtime};
use crate::row::{NOT_FOUND, ONLY_POST, Row, UNAUTHORIZED, method};

pub(crate) const ROWS: &[Row] = &[
    Row::bodiless("GET", "GET /webhook HTTP/1.1", &[], ONLY_POST),
    Row::bodiless(
        "GET with a query",
        "GET /webhook?apiKey=<key>&action=LONG&symbol=BTCUSDT&quantity=1 HTTP/1.1",
        &[],
        ONLY_POST,
    ),
    Row::line("GET with a body", "GET /webhook HTTP/1.1", ONLY_POST),
    Row::bodiless("HEAD", "HEAD /webhook HTTP/1.1", &[], ONLY_POST),
    Row::line("PUT", "PUT /webhook HTTP/1.1", ONLY_POST),
    Row::bodiless("DELETE", "DELETE /webhook HTTP/1.1", &[], ONLY_POST),
    Row::line("PATCH", "PATCH /webhook HTTP/1.1", ONLY_POST),
    Row::bodiless("OPTIONS", "OPTIONS /webhook HTTP/1.1", &[], ONLY_POST),
    Row::bodiless(
        "a preflight",
        "OPTIONS /webhook HTTP/1.1",
        &[
            "origin: https://example.com",
            "access-control-request-method: POST",
            "access-control-request-headers: content-type",
        ],
        ONLY_POST,
    ),
    Row::bodiless(
        "a preflight of the operator API",
        "OPTIONS /v1/manifest HTTP/1.1",
        &[
            "origin: https://example.com",
            "access-control-request-method: PUT",
            "access-control-request-headers: authorization",
        ],
        UNAUTHORIZED,
    ),
    Row::bodiless(
        "OPTIONS of everything",
        "OPTIONS * HTTP/1.1",
        &[],
        Runtime(500, "Internal Server Error"),
    ),
    Row::bodiless("TRACE", "TRACE /webhook HTTP/1.1", &[], ONLY_POST),
    Row::bodiless(
        "CONNECT",
        "CONNECT <host> HTTP/1.1",
        &[],
        Runtime(500, "Internal Server Error"),
    ),
    Row::line(
        "post in lower case",
        "post /webhook HTTP/1.1",
        Runtime(501, "ERROR: Unrecognized request method."),
    ),
    Row::line(
        "Post in mixed case",
        "Post /webhook HTTP/1.1",
        Runtime(501, "ERROR: Unrecognized request method."),
    ),
    Row::line(
        "a method nobody knows",
        "HOOX /webhook HTTP/1.1",
        Runtime(501, "ERROR: Unrecognized request method."),
    ),
    Row::line(
        "a method with a space before",
        " POST /webhook HTTP/1.1",
        Runtime(400, "invalid HTTP method parsed"),
    ),
    Row::bodiless("PROPFIND", "PROPFIND /webhook HTTP/1.1", &[], ONLY_POST),
    Row::bodiless("PURGE", "PURGE /webhook HTTP/1.1", &[], ONLY_POST),
    Row::bodiless("QUERY", "QUERY /webhook HTTP/1.1", &[], ONLY_POST),
    Row::bodiless(
        "GET that claims to be POST",
        "GET /webhook?_method=POST HTTP/1.1",
        &["x-http-method-override: POST", "x-method-override: POST"],
        ONLY_POST,
    ),
    Row::line(
        "POST that claims to be DELETE",
        "POST /health HTTP/1.1",
        method("GET", "this path takes GET only"),
    ),
    Row::bodiless(
        "HEAD of health",
        "HEAD /health HTTP/1.1",
        &[],
        method("GET", "this path takes GET only"),
    ),
    Row::bodiless("GET of the alias", "GET / HTTP/1.1", &[], ONLY_POST),
    Row::bodiless("HEAD of nothing", "HEAD /nothing HTTP/1.1", &[], NOT_FOUND),
    Row::bodiless(
        "DELETE of the manifest without its key",
        "DELETE /v1/manifest HTTP/1.1",
        &[],
        UNAUTHORIZED,
    ),
    Row::bodiless(
        "DELETE of the manifest with its key",
        "DELETE /v1/manifest HTTP/1.1",
        &["authorization: Bearer <operator>"],
        method("GET, PUT", "this path takes GET, PUT only"),
    ),
    Row::line("HTTP/1.0", "POST /webhook HTTP/1.0", Journaled),
    Row::line(
        "HTTP/2.0",
        "POST /webhook HTTP/2.0",
        Runtime(400, "invalid HTTP version parsed"),
    ),
    Row::line(
        "HTTP/1.2",
        "POST /webhook HTTP/1.2",
        Runtime(400, "invalid HTTP version parsed"),
    ),
    Row::line("HTTP/0.9", "POST /webhook", Runtime(400, "invalid URI")),
    Row::line(
        "a protocol that is none",
        "POST /webhook GOPHER/1.0",
        Runtime(400, "invalid HTTP version parsed"),
    ),
];
