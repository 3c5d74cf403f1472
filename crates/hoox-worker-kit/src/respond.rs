//! Public answers: JSON with the security headers on every one.

use hoox_mesh::Problem;
use hoox_model::RequestId;
use worker::Result;

use crate::platform;

/// A JSON answer from its text.
///
/// # Errors
/// The platform's, where it does not take a header.
pub fn json(status: u16, request_id: &RequestId, body: &str) -> Result<web_sys::Response> {
    Ok(platform::respond(status, request_id.as_str(), body)?)
}

/// A refusal as an answer.
///
/// # Errors
/// The platform's, where it does not take a header.
pub fn problem(request_id: &RequestId, problem: &Problem) -> Result<web_sys::Response> {
    let body = serde_json::to_string(&problem.body(request_id))?;
    let response = json(problem.code.status(), request_id, &body)?;
    if let Some(seconds) = problem.retry_after {
        response
            .headers()
            .set("retry-after", &seconds.to_string())?;
    }
    Ok(response)
}
