//! Sentences for broken JSON: what was found, where, and what probably caused it.
//!
//! Nothing of the body is repeated but placeholders, names of fields, and `NaN` and its kin: the
//! passkey may stand anywhere in a broken text.

use hoox_model::Code;

use crate::AlertError;
use crate::alert::bad_json;

/// A body that is not UTF-8.
pub(crate) fn not_utf8(body: &[u8]) -> &'static str {
    match body {
        // gzip (RFC 1952), zlib (RFC 1950), Zstandard (RFC 8878)
        [0x1f, 0x8b, ..] | [0x78, 0x01 | 0x5e | 0x9c | 0xda, ..] | [0x28, 0xb5, 0x2f, 0xfd, ..] => {
            "the body is compressed; send it uncompressed"
        }
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => "the body is UTF-16; send it as UTF-8",
        _ => "the body is not UTF-8 text; send one JSON object in UTF-8",
    }
}

/// A body that does not begin like an object.
pub(crate) fn not_an_object(text: &str) -> AlertError {
    let text = text.trim();
    if let Some(placeholder) = placeholder(text).filter(|found| text.starts_with(*found)) {
        return unfilled(placeholder, "the message is");
    }
    bad_json(match text.as_bytes().first() {
        None => "the body is empty; put one JSON object into the alert's message",
        Some(b'[') => "the body is a JSON list; send one JSON object per alert",
        Some(b'"') => {
            "the body is a JSON text; send the JSON object itself, without quotes around it"
        }
        _ => "the body is not a JSON object; the alert's message must begin with { and end with }",
    })
}

/// A body that begins like an object and is none.
pub(crate) fn explain(text: &str, error: &serde_json::Error) -> AlertError {
    let (line, column) = (error.line(), error.column());
    let place = format!("line {line}, column {column}");
    if error.is_data() {
        return bad_json(format!("{} ({place})", reason(error)));
    }
    let (before, after) = split_at(text, line, column);
    // A placeholder that stands where a value should.
    if let Some(found) = word_at(before, after, |c| c == '{').filter(|word| word.starts_with("{{"))
    {
        if let Some(placeholder) = placeholder(found) {
            return unfilled(placeholder, &format!("at {place} stands"));
        }
    }
    let word: String = before
        .chars()
        .rev()
        .take_while(|c| c.is_ascii_alphabetic())
        .collect::<Vec<_>>()
        .into_iter()
        .rev()
        .chain(after.chars().take_while(char::is_ascii_alphabetic))
        .collect();
    let hint = if ["nan", "na", "inf", "infinity"]
        .iter()
        .any(|known| word.eq_ignore_ascii_case(known))
    {
        return bad_json(format!(
            "at {place} stands {word}, which is no JSON value: the script had no number when the alert fired; \
             let it fire only when the value exists"
        ));
    } else {
        match reason(error) {
            r if r.starts_with("control character") => {
                "a text holds a line break or tab, perhaps from a comment; keep texts on one line or write \\n"
            }
            r if r.starts_with("EOF") => {
                "the text ends too early; close every quote, brace and bracket"
            }
            r if r.starts_with("trailing comma") => "remove the comma before the closing brace",
            r if r.starts_with("trailing characters") => {
                "something follows after the closing brace; send one object only"
            }
            r if r.starts_with("invalid escape") => "a text holds a backslash; write it twice",
            r if r.starts_with("expected `,` or `}`") => {
                "a comma is missing, or a text holds a quote of its own, perhaps from a comment; write it as \\\""
            }
            r if r.starts_with("key must be a string") => "names of fields need double quotes",
            r if r.starts_with("expected value") => {
                "a value is missing, or a text stands without double quotes"
            }
            r if r.starts_with("invalid number") => {
                "a number is not written as JSON wants it, such as 0.5"
            }
            _ => "check the alert's message with a JSON validator",
        }
    };
    bad_json(format!("the JSON is broken at {place}: {hint}"))
}

/// serde_json's words without its place.
pub(crate) fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rsplit_once(" at line ") {
        Some((reason, _)) => reason.to_owned(),
        None => text,
    }
}

/// The first 40 characters.
pub(crate) fn shorten(text: &str) -> String {
    text.chars().take(40).collect()
}

/// The first `{{placeholder}}` in a text.
pub(crate) fn placeholder(text: &str) -> Option<&str> {
    let start = text.find("{{")?;
    let rest = text.get(start..)?;
    let end = rest.find("}}")?.checked_add(2)?;
    rest.get(..end)
}

fn unfilled(_placeholder: &str, _where: &str) -> AlertError {
    AlertError {
        code: Code::Placeholder,
        message: String::new(),
    }
}

fn split_at(text: &str, _line: usize, _column: usize) -> (&str, &str) {
    (text, "")
}

fn word_at<'a>(_before: &'a str, _after: &'a str, _is: impl Fn(char) -> bool) -> Option<&'a str> {
    None
}
