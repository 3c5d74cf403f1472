//! Why a command did not do what it was asked to.

use core::fmt;

use serde_json::json;

use crate::status::Status;

/// A command that failed: a stable code for programs, a sentence for people, and what to do about it.
#[derive(Debug)]
pub(crate) struct Failure {
    /// As the gateway's, or one of this program's: `USAGE`, `UNREACHABLE`, `NO_KEY`.
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
    /// How the command ended by it.
    pub(crate) status: Status,
}

impl Failure {
    pub(crate) fn new(code: &str, message: impl Into<String>) -> Self {
        Self {
            code: code.to_owned(),
            message: message.into(),
            hint: None,
            status: Status::Refused,
        }
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new("USAGE", message).status(Status::Unjudged)
    }

    /// The failure is the verdict of a command that judges.
    pub(crate) fn verdict(code: &str, message: impl Into<String>) -> Self {
        Self::new(code, message).status(Status::Bad)
    }

    /// Of a command that judges: what kept it from looking is no verdict.
    pub(crate) fn unjudged(self) -> Self {
        match self.status {
            Status::Refused => self.status(Status::Unjudged),
            _ => self,
        }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// A further hint.
    pub(crate) fn and(mut self, hint: String) -> Self {
        self.hint = Some(match self.hint {
            Some(first) => format!("{first}; {hint}"),
            None => hint,
        });
        self
    }

    pub(crate) const fn status(mut self, status: Status) -> Self {
        self.status = status;
        self
    }

    /// The envelope of `--json`.
    pub(crate) fn json(&self) -> serde_json::Value {
        let mut error = json!({ "code": self.code, "message": self.message });
        if let (Some(hint), Some(error)) = (&self.hint, error.as_object_mut()) {
            error.insert("hint".to_owned(), json!(hint));
        }
        json!({ "ok": false, "error": error })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {} ({})", self.message, self.code)?;
        match &self.hint {
            Some(hint) => write!(f, "\n  {hint}"),
            None => Ok(()),
        }
    }
}
