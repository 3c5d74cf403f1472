//! The envelope around every answer, and the errors that several resources share.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// What a handler of the API answers.
pub(crate) type Answer = Result<Success, Failure>;

/// A success: `result`, and `result_info` for lists.
#[derive(Debug)]
pub(crate) struct Success {
    result: Value,
    info: Option<Value>,
    messages: Value,
}

impl Success {
    pub(crate) fn new(result: Value) -> Self {
        Self {
            result,
            info: None,
            messages: json!([]),
        }
    }

    pub(crate) fn with_info(self, info: Value) -> Self {
        Self {
            info: Some(info),
            ..self
        }
    }

    pub(crate) fn saying(self, code: i64, message: &str) -> Self {
        Self {
            messages: json!([{ "code": code, "message": message, "type": null }]),
            ..self
        }
    }
}

impl IntoResponse for Success {
    fn into_response(self) -> Response {
        let mut body = json!({
            "success": true,
            "errors": [],
            "messages": self.messages,
            "result": self.result,
        });
        if let (Some(info), Some(body)) = (self.info, body.as_object_mut()) {
            body.insert("result_info".to_owned(), info);
        }
        json_response(StatusCode::OK, &body)
    }
}

/// A refusal: HTTP status, and the entries of `errors`.
#[derive(Debug)]
pub(crate) struct Failure {
    status: StatusCode,
    errors: Value,
}

impl Failure {
    pub(crate) fn new(status: StatusCode, code: i64, message: impl Into<String>) -> Self {
        Self {
            status,
            errors: json!([{ "code": code, "message": message.into() }]),
        }
    }

    /// Several errors of one kind.
    pub(crate) fn many(code: i64, messages: impl IntoIterator<Item = String>) -> Self {
        let errors: Vec<Value> = messages
            .into_iter()
            .map(|message| json!({ "code": code, "message": message }))
            .collect();
        Self {
            status: StatusCode::BAD_REQUEST,
            errors: json!(errors),
        }
    }

    pub(crate) fn bad_request(code: i64, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    pub(crate) fn not_found(code: i64, message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, message)
    }

    /// A cause below the error, as the header checks report it.
    pub(crate) fn chained(code: i64, message: &str, cause: i64, because: &str) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            errors: json!([{
                "code": code,
                "message": message,
                "error_chain": [{ "code": cause, "message": because }],
            }]),
        }
    }

    /// With the JSON pointer to the offending part of the request, as the Rulesets API gives it.
    pub(crate) fn at(mut self, pointer: &str) -> Self {
        if let Some(error) = self.errors.get_mut(0).and_then(Value::as_object_mut) {
            error.insert("source".to_owned(), json!({ "pointer": pointer }));
        }
        self
    }

    /// The token lacks the permission, or the account or zone is not the token's.
    pub(crate) fn forbidden() -> Self {
        Self::new(StatusCode::FORBIDDEN, 10_000, "Authentication error")
    }

    /// No such route, or an id that cannot be one.
    pub(crate) fn no_route(path: &str) -> Self {
        Self::not_found(
            7_003,
            format!("Could not route to {path}, perhaps your object identifier is invalid?"),
        )
    }

    /// A body that is not the JSON it should be.
    pub(crate) fn bad_json() -> Self {
        Self::bad_request(10_026, "Could not parse the request body as JSON.")
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        json_response(
            self.status,
            &json!({
                "success": false,
                "errors": self.errors,
                "messages": [],
                "result": null,
            }),
        )
    }
}

fn json_response(status: StatusCode, body: &Value) -> Response {
    (
        status,
        [(header::CONTENT_TYPE, "application/json")],
        body.to_string(),
    )
        .into_response()
}
