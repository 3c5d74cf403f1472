//! Public answers: JSON with the security headers on every one.

use hoox_mesh::{Problem, registry::REQUEST_ID_HEADER};
use hoox_model::RequestId;
use worker::{Response, ResponseBuilder, Result};

/// Headers of every answer.
const SECURITY_HEADERS: [(&str, &str); 7] = [
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

/// A JSON answer from its text.
///
/// # Errors
/// The platform's, where it does not take a header.
pub fn json(status: u16, request_id: &RequestId, body: String) -> Result<Response> {
    let mut builder = ResponseBuilder::new().with_status(status);
    for (name, value) in SECURITY_HEADERS {
        builder = builder.with_header(name, value)?;
    }
    builder = builder.with_header(REQUEST_ID_HEADER, request_id.as_str())?;
    Ok(builder.fixed(body.into_bytes()))
}

/// A refusal as an answer.
///
/// # Errors
/// The platform's, where it does not take a header.
pub fn problem(request_id: &RequestId, problem: &Problem) -> Result<Response> {
    let body = serde_json::to_string(&problem.body(request_id))?;
    let response = json(problem.code.status(), request_id, body)?;
    if let Some(seconds) = problem.retry_after {
        response
            .headers()
            .set("retry-after", &seconds.to_string())?;
    }
    Ok(response)
}
