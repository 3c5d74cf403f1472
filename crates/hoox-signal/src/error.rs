//! Why an alert is refused.

use hoox_model::Code;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The body holds no JSON object that Hoox reads.
///
/// It is made before anybody has proved who they are, so the message repeats nothing of the body
/// but placeholders and the names of fields.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct AlertError {
    /// [`Code::BadJson`], or [`Code::Placeholder`] where a bare `{{placeholder}}` broke the JSON.
    pub code: Code,
    /// One sentence that says where and what to do.
    pub message: String,
}

/// A field of the alert is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error, Serialize, Deserialize)]
#[error("{message}")]
#[serde(rename_all = "camelCase")]
pub struct SignalError {
    /// The stable code.
    pub code: Code,
    /// The field at fault, as it is written in the alert.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// One sentence that says what to do.
    pub message: String,
}

impl SignalError {
    pub(crate) fn new(code: Code, field: &str, message: impl Into<String>) -> Self {
        Self {
            code,
            field: Some(field.to_owned()),
            message: message.into(),
        }
    }

    pub(crate) fn bad(field: &str, message: impl Into<String>) -> Self {
        Self::new(Code::BadField, field, message)
    }
}
