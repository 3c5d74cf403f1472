//! Sentences for broken JSON: what was found, where, and what probably caused it.
//!
//! Nothing of the body is repeated but placeholders, names of fields, and `NaN` and its kin: the
//! passkey may stand anywhere in a broken text.

use hoox_model::Code;

use crate::AlertError;
use crate::alert::bad_json;

/// The sentence for a compressed body.
pub const COMPRESSED: &str = "the body is compressed; send it uncompressed";

/// The sentence for a body with NUL bytes.
pub(crate) const NUL: &str =
    "the body holds NUL bytes, as UTF-16 does; send one JSON object in UTF-8";

/// A body that is not UTF-8.
pub(crate) fn not_utf8(body: &[u8]) -> &'static str {
    match body {
        // gzip (RFC 1952), zlib (RFC 1950), Zstandard (RFC 8878)
        [0x1f, 0x8b, ..] | [0x78, 0x01 | 0x5e | 0x9c | 0xda, ..] | [0x28, 0xb5, 0x2f, 0xfd, ..] => {
            COMPRESSED
        }
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => "the body is UTF-16; send it as UTF-8",
        _ => "the body is not UTF-8 text; send one JSON object in UTF-8",
    }
}

/// `text` without the white space that JSON knows (RFC 8259 section 2) at its start.
pub(crate) fn trim_start(text: &str) -> &str {
    text.trim_start_matches([' ', '\t', '\n', '\r'])
}

/// A body that does not begin like an object.
pub(crate) fn not_an_object(text: &str) -> AlertError {
    bad_json(match trim_start(text).as_bytes().first() {
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
    let place = format!("line {}, column {}", error.line(), error.column());
    if error.is_data() {
        return bad_json(format!("{} ({place})", reason(error)));
    }
    let (line, at) = at_place(text, error.line(), error.column());
    if let Some(found) = bare_placeholder(line, at) {
        return unfilled(found, &format!("at {place} stands"));
    }
    let word = word(line, at);
    if is_no_number(word) {
        return bad_json(format!(
            "at {place} stands {word}, which is no JSON value: the script had no number when the alert fired; \
             let it fire only when the value exists"
        ));
    }
    bad_json(format!(
        "the JSON is broken at {place}: {}",
        advice(&reason(error))
    ))
}

/// What to do about a syntax error, by the words of `serde_json` for it.
fn advice(reason: &str) -> &'static str {
    const BROKEN_ESCAPE: &str = "the name of a field holds a broken \\u escape";
    const ADVICE: [(&str, &str); 14] = [
        (
            "control character",
            "a text holds a line break or a tab, perhaps from a comment; keep texts on one line or write \\n",
        ),
        (
            "EOF",
            "it ends too early; close every quote, bracket and brace",
        ),
        (
            "trailing comma",
            "remove the comma before the closing brace",
        ),
        (
            "trailing characters",
            "something follows the closing brace; send one object and nothing else",
        ),
        ("invalid escape", "a text holds a backslash; write it twice"),
        ("lone leading surrogate", BROKEN_ESCAPE),
        ("unexpected end of hex escape", BROKEN_ESCAPE),
        (
            "expected `,` or `}`",
            "a comma is missing, or a text holds a quote, perhaps from a comment; write it as \\\"",
        ),
        (
            "expected `,` or `]`",
            "a list needs a comma between its entries and ] at its end",
        ),
        (
            "expected `:`",
            "a colon is missing after the name of a field",
        ),
        (
            "key must be a string",
            "the name of a field needs double quotes",
        ),
        (
            "expected value",
            "a value is missing, or a text has no double quotes around it",
        ),
        ("invalid number", "write numbers like 0.5"),
        ("recursion limit", "it is nested too deep"),
    ];
    ADVICE
        .iter()
        .find_map(|(start, advice)| reason.starts_with(start).then_some(*advice))
        .unwrap_or("check the alert's message with a JSON validator")
}

/// `serde_json`'s words without its place.
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

/// How Pine and others write a number that does not exist.
pub(crate) fn is_no_number(text: &str) -> bool {
    let text = text.trim_start_matches(['-', '+']);
    [
        "nan",
        "na",
        "n/a",
        "inf",
        "infinity",
        "null",
        "none",
        "undefined",
    ]
    .iter()
    .any(|known| text.eq_ignore_ascii_case(known))
}

/// The first `{{placeholder}}` in a text.
pub(crate) fn placeholder(text: &str) -> Option<&str> {
    let from = text.get(text.find("{{")?..)?;
    from.get(..from.find("}}")?.checked_add(2)?)
}

/// Why TradingView left a placeholder as it was, and what to do.
/// Placeholders: tradingview.com/support/solutions/43000531021.
pub(crate) fn why_unfilled(placeholder: &str) -> &'static str {
    const ANY_ALERT: [&str; 13] = [
        "ticker",
        "exchange",
        "open",
        "high",
        "low",
        "close",
        "volume",
        "time",
        "timenow",
        "interval",
        "syminfo.currency",
        "syminfo.basecurrency",
        "plot",
    ];
    let name = placeholder.trim_matches(['{', '}']);
    if name.trim() != name {
        return "write it without spaces";
    }
    if name.starts_with("strategy.") {
        return "only alerts of a strategy fill it in; make the alert on a strategy, or write a value";
    }
    if ANY_ALERT.contains(&name) || name.starts_with("plot") {
        return "TradingView fills it in when an alert fires; was this sent by hand, or has the script no such plot?";
    }
    "TradingView knows no such placeholder; check its spelling"
}

fn unfilled(found: &str, place: &str) -> AlertError {
    AlertError {
        code: Code::Placeholder,
        message: format!(
            "{place} {}, which was not filled in: {}",
            shorten(found),
            why_unfilled(found)
        ),
    }
}

/// The line that `serde_json` names, and the byte in it (it counts lines and columns from 1, columns
/// in bytes).
fn at_place(text: &str, line: usize, column: usize) -> (&str, usize) {
    let line = text.split('\n').nth(line.saturating_sub(1)).unwrap_or("");
    (line, boundary(line, column.saturating_sub(1)))
}

/// The last character boundary up to `at`.
fn boundary(line: &str, at: usize) -> usize {
    (0..=at.min(line.len()))
        .rev()
        .find(|at| line.is_char_boundary(*at))
        .unwrap_or(0)
}

/// The word at a place.
fn word(line: &str, at: usize) -> &str {
    let other = |c: char| !(c.is_ascii_alphabetic() || matches!(c, '-' | '/'));
    let (before, after) = line.split_at_checked(at).unwrap_or((line, ""));
    let start = before.trim_end_matches(|c| !other(c)).len();
    let end = after.find(other).unwrap_or(after.len());
    line.get(start..at.saturating_add(end)).unwrap_or("")
}

/// The placeholder that covers a place outside of a text, such as `{{close}}` without quotes or
/// the quote in `"{{plot("RSI")}}"`. Only what is spelt like a placeholder, because the answer
/// repeats it to a stranger.
fn bare_placeholder(line: &str, at: usize) -> Option<&str> {
    let reach = boundary(line, at.saturating_add(2));
    let start = line.get(..reach)?.rfind("{{")?;
    let found = placeholder(line.get(start..)?)?;
    let inner = found.trim_matches(['{', '}']).trim();
    let inner = match inner
        .strip_prefix("plot(\"")
        .and_then(|rest| rest.strip_suffix("\")"))
    {
        Some(plot) => plot,
        None => inner,
    };
    let spelt = inner.starts_with(|c: char| c.is_ascii_alphabetic())
        && inner
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b' '));
    let covers = start.saturating_add(found.len()) >= at;
    (spelt && covers).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_first_placeholder() {
        assert_eq!(placeholder("a {{x}} {{y}}"), Some("{{x}}"));
        assert_eq!(placeholder("{{plot(\"RSI\")}}"), Some("{{plot(\"RSI\")}}"));
        for text in ["", "{{", "{{x}", "}}{{", "{x}"] {
            assert_eq!(placeholder(text), None, "{text}");
        }
    }

    #[test]
    fn finds_the_word_at_a_place() {
        for at in 5..8 {
            assert_eq!(word("{\"a\":NaN}", at), "NaN", "{at}");
        }
        assert_eq!(word("{\"a\":-Infinity}", 6), "-Infinity");
        assert_eq!(word("", 0), "");
        assert_eq!(word("ä", 1), "");
    }
}
