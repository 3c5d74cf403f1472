//! How messages and answers cross between workers: JSON text, the answer as `Result<Reply, Problem>`.

use hoox_model::Code;
use serde_json::value::RawValue;

use crate::{Answer, Problem, Route};

/// A route's answer as it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Served {
    /// HTTP status: 200, or the status of the problem's code.
    pub status: u16,
    /// The answer in its envelope, as JSON.
    pub body: String,
}

impl Served {
    /// The answer of a route.
    pub fn of<R: Route>(answer: &Answer<R>) -> Self {
        match answer {
            Ok(reply) => match serde_json::to_string(&Ok::<_, ()>(reply)) {
                Ok(body) => Self { status: 200, body },
                Err(error) => Self::refused(&Problem::new(Code::Internal, error.to_string())),
            },
            Err(problem) => Self::refused(problem),
        }
    }

    /// A refusal, the same for every route.
    pub fn refused(problem: &Problem) -> Self {
        Self {
            status: problem.code.status(),
            // A problem is made of texts and numbers, which can always be written.
            body: serde_json::to_string(&Err::<(), _>(problem)).unwrap_or_default(),
        }
    }
}

/// What a caller knows that got no answer, or none that says anything.
pub fn not_confirmed(what: &str) -> Problem {
    Problem::new(
        Code::NotConfirmed,
        format!("{what}; it may have been kept, and a resend is safe"),
    )
}

fn unreadable() -> Problem {
    not_confirmed("an internal answer is not readable")
}

/// Writes a route's message.
///
/// # Errors
/// `NOT_CONFIRMED` where it cannot be written as JSON.
pub fn written<R: Route>(message: &R::Request) -> Result<String, Problem> {
    serde_json::to_string(message).map_err(|_| not_confirmed("a message cannot be written"))
}

/// Reads a route's message.
///
/// # Errors
/// `BAD_JSON` where it is not readable.
pub fn message<R: Route>(text: &str) -> Result<R::Request, Problem> {
    serde_json::from_str(text).map_err(|error| {
        Problem::new(
            Code::BadJson,
            format!("the message is not readable: {error}"),
        )
    })
}

/// Opens an answer's envelope: the same for every route.
///
/// # Errors
/// The callee's [`Problem`], or `NOT_CONFIRMED` where the answer is not readable.
pub fn opened(body: &str) -> Result<Box<RawValue>, Problem> {
    serde_json::from_str(body).map_err(|_| unreadable())?
}

/// Reads what was in a route's envelope.
///
/// # Errors
/// `NOT_CONFIRMED` where it is not readable.
pub fn reply<R: Route>(opened: &RawValue) -> Answer<R> {
    serde_json::from_str(opened.get()).map_err(|_| unreadable())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{GetManifest, ManifestReply, Sweep};

    #[test]
    fn an_answer_arrives_as_it_was_sent() {
        let sent = Served::of::<GetManifest>(&Ok(ManifestReply::new(None, true)));
        assert_eq!(sent.status, 200);
        let read = reply::<GetManifest>(&opened(&sent.body).unwrap()).unwrap();
        assert!(read.manifest.is_none() && read.delivered);
        assert_eq!(Served::of::<Sweep>(&Ok(())).body, r#"{"Ok":null}"#);
    }

    #[test]
    fn a_refusal_arrives_with_its_code_and_status() {
        let problem = Problem::new(Code::Conflict, "read it again").field("version");
        let sent = Served::of::<GetManifest>(&Err(problem.clone()));
        assert_eq!(sent.status, 409);
        assert_eq!(sent, Served::refused(&problem));
        assert_eq!(opened(&sent.body).unwrap_err(), problem);
    }

    #[test]
    fn what_another_version_says_in_unknown_words_is_not_confirmed() {
        for body in [
            "",
            "<html>",
            r#"{"Err":{"code":"FROM_THE_FUTURE","message":"no"}}"#,
        ] {
            assert_eq!(opened(body).unwrap_err().code, Code::NotConfirmed, "{body}");
        }
        let odd = opened(r#"{"Ok":{"manifest":7}}"#).unwrap();
        let code = reply::<GetManifest>(&odd).unwrap_err().code;
        assert_eq!(code, Code::NotConfirmed);
        let code = message::<GetManifest>("[").unwrap_err().code;
        assert_eq!(code, Code::BadJson);
    }
}
