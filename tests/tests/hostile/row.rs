//! What a row of the table says: a request, byte for byte, and its one answer.

/// One request and its answer.
#[derive(Debug)]
pub(crate) struct Row {
    /// Unique in the table.
    pub(crate) name: &'static str,
    /// The request line.
    pub(crate) line: &'static str,
    /// Header lines besides `host`, `connection` and those of the framing.
    pub(crate) headers: &'static [&'static str],
    pub(crate) body: Body,
    pub(crate) framing: Framing,
    pub(crate) answer: Answer,
}

/// Marks such as `<key>` stand for what is known once the workers run; see [`crate::Marks`].
#[derive(Debug)]
pub(crate) enum Body {
    Text(&'static str),
    Bytes(&'static [u8]),
    /// What is too long to write down.
    Made(fn() -> Vec<u8>),
}

/// How the body is delimited.
#[derive(Debug)]
pub(crate) enum Framing {
    /// By its true length.
    Length,
    /// In chunks of this many bytes.
    Chunked(usize),
    /// As the row's own headers say, right or wrong.
    Own,
    /// As [`Own`](Self::Own), and the client sends no more after it.
    CutOff,
    /// The request line and the row's headers are all there is of the head: no `host`, no `connection`.
    Bare,
}

/// What comes back.
#[derive(Debug)]
pub(crate) enum Answer {
    /// A refusal of Hoox's: the whole body follows from these.
    Refused {
        status: u16,
        code: &'static str,
        field: Option<&'static str>,
        error: &'static str,
        allow: Option<&'static str>,
    },
    /// 202: journaled as it should be; all such rows close a position that is not there.
    Journaled,
    /// 200: the outcome of such a row, waited for.
    NothingToDo,
    /// The runtime answers before the worker is asked: status and whole body, but for the stack of a
    /// script of wrangler's, which begins on the second line.
    Runtime(u16, &'static str),
}

impl Row {
    /// An alert.
    pub(crate) const fn post(name: &'static str, body: &'static str, answer: Answer) -> Self {
        Self {
            name,
            line: "POST /webhook HTTP/1.1",
            headers: &["content-type: application/json"],
            body: Body::Text(body),
            framing: Framing::Length,
            answer,
        }
    }

    /// An alert of these bytes.
    pub(crate) const fn bytes(name: &'static str, body: &'static [u8], answer: Answer) -> Self {
        let row = Self::post(name, "", answer);
        Self {
            body: Body::Bytes(body),
            ..row
        }
    }

    /// An alert of bytes that are made.
    pub(crate) const fn made(name: &'static str, body: fn() -> Vec<u8>, answer: Answer) -> Self {
        let row = Self::post(name, "", answer);
        Self {
            body: Body::Made(body),
            ..row
        }
    }

    /// The good alert with this request line.
    pub(crate) const fn line(name: &'static str, line: &'static str, answer: Answer) -> Self {
        let row = Self::post(name, close!(), answer);
        Self { line, ..row }
    }

    /// The good alert with these headers.
    pub(crate) const fn headed(
        name: &'static str,
        headers: &'static [&'static str],
        answer: Answer,
    ) -> Self {
        Self::post(name, close!(), answer).with(headers)
    }

    /// A request without a body.
    pub(crate) const fn bodiless(
        name: &'static str,
        line: &'static str,
        headers: &'static [&'static str],
        answer: Answer,
    ) -> Self {
        let row = Self::post(name, "", answer);
        Self {
            line,
            headers,
            framing: Framing::Own,
            ..row
        }
    }

    /// With these headers and no others.
    pub(crate) const fn with(self, headers: &'static [&'static str]) -> Self {
        Self { headers, ..self }
    }

    /// With this request line.
    pub(crate) const fn lined(self, line: &'static str) -> Self {
        Self { line, ..self }
    }

    /// With this framing.
    pub(crate) const fn framed(self, framing: Framing) -> Self {
        Self { framing, ..self }
    }
}

const fn refused(status: u16, code: &'static str, error: &'static str) -> Answer {
    Answer::Refused {
        status,
        code,
        field: None,
        error,
        allow: None,
    }
}

const fn field(
    status: u16,
    code: &'static str,
    field: &'static str,
    error: &'static str,
) -> Answer {
    Answer::Refused {
        status,
        code,
        field: Some(field),
        error,
        allow: None,
    }
}

/// Before a valid key every refusal by address or key is this one.
pub(crate) const FORBIDDEN: Answer = refused(403, "FORBIDDEN", "forbidden");
pub(crate) const TOO_LARGE: Answer = too_large("the body is larger than 64 KiB; send less");
pub(crate) const NOT_FOUND: Answer = refused(404, "NOT_FOUND", "there is nothing at this path");
/// Below `/v1` a stranger learns nothing else.
pub(crate) const UNAUTHORIZED: Answer = refused(
    401,
    "UNAUTHORIZED",
    "send an operator's key as `Authorization: Bearer …`",
);
pub(crate) const NO_SUCH_ACCOUNT: Answer = field(
    404,
    "NOT_FOUND",
    "account",
    "there is no account '' OR 1=1--'",
);
pub(crate) const EMPTY: Answer =
    bad_json("the body is empty; put one JSON object into the alert's message");
pub(crate) const NO_OBJECT: Answer =
    bad_json("the body is not a JSON object; the alert's message must begin with { and end with }");
pub(crate) const NOT_UTF8: Answer =
    bad_json("the body is not UTF-8 text; send one JSON object in UTF-8");
pub(crate) const COMPRESSED: Answer = bad_json("the body is compressed; send it uncompressed");
pub(crate) const ONLY_POST: Answer = method("POST", "this path takes POST only");

/// The body breaks off before wrangler's proxy has passed it on.
pub(crate) const LOST: Answer = Answer::Runtime(500, "Error: Network connection lost.");

pub(crate) const fn too_large(error: &'static str) -> Answer {
    refused(413, "TOO_LARGE", error)
}

pub(crate) const fn bad_json(error: &'static str) -> Answer {
    refused(400, "BAD_JSON", error)
}

pub(crate) const fn bad_field(name: &'static str, error: &'static str) -> Answer {
    field(400, "BAD_FIELD", name, error)
}

/// A refusal of a field with another code than `BAD_FIELD`.
pub(crate) const fn bad_value(
    code: &'static str,
    name: &'static str,
    error: &'static str,
) -> Answer {
    field(400, code, name, error)
}

/// A placeholder that stands where the JSON broke over it.
pub(crate) const fn broken_by_placeholder(error: &'static str) -> Answer {
    refused(400, "PLACEHOLDER", error)
}

pub(crate) const fn not_permitted(name: Option<&'static str>, error: &'static str) -> Answer {
    Answer::Refused {
        status: 403,
        code: "NOT_PERMITTED",
        field: name,
        error,
        allow: None,
    }
}

pub(crate) const fn method(allow: &'static str, error: &'static str) -> Answer {
    Answer::Refused {
        status: 405,
        code: "METHOD_NOT_ALLOWED",
        field: None,
        error,
        allow: Some(allow),
    }
}
