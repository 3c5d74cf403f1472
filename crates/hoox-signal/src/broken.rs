//! Sentences for a body that is no JSON object: what stands there, where, and what to write.
//!
//! Nothing of the body is repeated but placeholders, names of fields, and words and signs of the
//! tables below: the passkey may stand anywhere in a broken text.

use core::fmt;

use hoox_model::Code;

use crate::AlertError;
use crate::alert::bad_json;
use crate::hint::{is_no_number, placeholder, reason, shorten, why_unfilled};

/// The sentence for a compressed body.
pub const COMPRESSED: &str = "the body is compressed; send it uncompressed";

/// The sentence for a body with NUL bytes.
pub(crate) const NUL: &str =
    "the body holds NUL bytes, as UTF-16 does; send one JSON object in UTF-8";

/// The white space that JSON knows (RFC 8259 section 2).
const BLANK: [char; 4] = [' ', '\t', '\n', '\r'];

/// Quotes that word processors, chats and keyboards put in the place of `"`.
const CURLY: &str = "“”„‟«»‘’‚‛′″´＂＇";

/// Signs that stand where JSON knows none: how they begin, what they are, what to do.
type Sign = (&'static [&'static str], &'static str, &'static str);

/// What is as wrong behind an object, or before one, as within.
const FOREIGN: [Sign; 2] = [
    (
        &["//", "/*", "#", "<!--"],
        "the start of a comment",
        "JSON has no comments; remove it",
    ),
    (
        &["```"],
        "a code fence",
        "leave the lines with ``` out, and send the JSON object alone",
    ),
];

const QUOTES: &str = "JSON puts names and texts into double quotes (\")";

/// What is wrong within an object. Longer signs come before those that they begin with.
const WITHIN: [Sign; 9] = [
    (&["'"], "a single quote", QUOTES),
    (&["`"], "a backtick", QUOTES),
    (
        &["\\"],
        "a backslash outside of a text",
        "this is JSON escaped for another text; write \" and not \\\", and line breaks themselves",
    ),
    (
        &["...", "…"],
        "an ellipsis",
        "an example leaves something out there; write the fields, or remove it",
    ),
    (
        &["="],
        "an equals sign",
        "JSON writes : between name and value",
    ),
    (&[";"], "a semicolon", "JSON writes , between fields"),
    (
        &["${", "<", "%s", "%d"],
        "the placeholder of another tool or of an example",
        "write a value, or TradingView's placeholder, such as {{close}}",
    ),
    (
        &["$", "€", "£", "¥", "%"],
        "a unit beside a number",
        "write the number alone, and what it counts into quantityType",
    ),
    (
        &[
            "：", "，", "；", "｛", "｝", "［", "］", "(", ")", "&", "|", "*", "~", "^", "!", "?",
            "@",
        ],
        "a sign that JSON does not know",
        "remove it, write the plain one (: , { }), or put the text into double quotes",
    ),
];

/// A body that is not UTF-8.
pub(crate) fn not_utf8(body: &[u8]) -> &'static str {
    match body {
        // gzip (RFC 1952), zlib (RFC 1950), Zstandard (RFC 8878)
        [0x1f, 0x8b, ..] | [0x78, 0x01 | 0x5e | 0x9c | 0xda, ..] | [0x28, 0xb5, 0x2f, 0xfd, ..] => {
            COMPRESSED
        }
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => "the body is UTF-16; send it as UTF-8",
        _ if body.iter().any(|byte| matches!(byte, 0x93 | 0x94)) => {
            "the body is not UTF-8 text: it seems to be Windows-1252 with curly quotes; send it as UTF-8, with straight quotes (\")"
        }
        _ => "the body is not UTF-8 text; send one JSON object in UTF-8",
    }
}

/// `text` without JSON's white space at its start.
pub(crate) fn trim_start(text: &str) -> &str {
    text.trim_start_matches(BLANK)
}

fn trim_end(text: &str) -> &str {
    text.trim_end_matches(BLANK)
}

/// Whether `text` begins with one of these signs, after white space.
#[inline(never)]
fn begins(text: &str, signs: &str) -> bool {
    let first = trim_start(text).chars().next();
    first.is_some_and(|first| signs.contains(first))
}

/// A place in a body. It prints as line and column from 1, columns in characters, as editors count.
#[derive(Clone, Copy)]
struct Place<'a> {
    text: &'a str,
    /// A character's first byte, or the end.
    at: usize,
}

impl<'a> Place<'a> {
    /// The character that byte `at` is in.
    fn new(text: &'a str, at: usize) -> Self {
        let at = boundary(text, at);
        Self { text, at }
    }

    /// Where `serde_json` stopped: it counts lines and columns from 1, columns in bytes.
    fn of(text: &'a str, error: &serde_json::Error) -> Self {
        let before = error.line().saturating_sub(1);
        let start: usize = text.split_inclusive('\n').take(before).map(str::len).sum();
        Self::new(text, start.saturating_add(error.column().saturating_sub(1)))
    }

    fn before(self) -> &'a str {
        self.text.get(..self.at).unwrap_or("")
    }

    fn rest(self) -> &'a str {
        self.text.get(self.at..).unwrap_or("")
    }

    fn here(self) -> Option<char> {
        self.rest().chars().next()
    }

    /// The byte after a number of others.
    fn byte(self, at: usize) -> u8 {
        self.rest().as_bytes().get(at).copied().unwrap_or(0)
    }

    /// The byte before it, whatever it is.
    fn previous(self) -> u8 {
        self.before().as_bytes().last().copied().unwrap_or(0)
    }

    /// The last byte before it that is no white space.
    fn last(self) -> u8 {
        trim_end(self.before())
            .as_bytes()
            .last()
            .copied()
            .unwrap_or(0)
    }

    /// What the signs of a table say about it.
    fn sign(self, table: &'static [Sign]) -> Option<AlertError> {
        table.iter().find_map(|(signs, what, advice)| {
            let sign = signs.iter().find(|sign| self.rest().starts_with(**sign))?;
            Some(self.holds(&format!("{what} ({sign})"), advice))
        })
    }

    /// A sentence about what stands here.
    fn holds(self, what: &str, advice: &str) -> AlertError {
        bad_json(format!("at {self} stands {what}: {advice}"))
    }

    /// A sentence about what is broken here.
    fn broken(self, advice: &str) -> AlertError {
        bad_json(format!("the JSON is broken at {self}: {advice}"))
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut line, mut column) = (1usize, 1usize);
        for sign in self.before().chars() {
            if sign == '\n' {
                (line, column) = (line.saturating_add(1), 1);
            } else {
                column = column.saturating_add(1);
            }
        }
        write!(f, "line {line}, column {column}")
    }
}

/// A body that does not begin like an object.
pub(crate) fn not_an_object(text: &str) -> AlertError {
    let body = trim_start(text);
    let start = Place::new(text, text.len().saturating_sub(body.len()));
    if body.is_empty() {
        return bad_json("the body is empty; put one JSON object into the alert's message");
    }
    if let Some(error) = foreign(start) {
        return error;
    }
    if let Some(frame) = frame(body) {
        return bad_json(frame);
    }
    if let Some(object) = object_in(text) {
        return bad_json(format!(
            "text stands before the object that begins at {object}; send the object alone, from {{ to }}"
        ));
    }
    bad_json("the body is not a JSON object; the alert's message must begin with { and end with }")
}

const QUOTED: &str = "quotes stand around the object; send the JSON object itself, from { to }";

/// What the whole body is, where its beginning tells.
fn frame(body: &str) -> Option<&'static str> {
    let mut signs = body.chars();
    let first = signs.next()?;
    let inside = signs.as_str();
    Some(match first {
        '[' if begins(inside, "{\"[]-0123456789") => {
            "the body is a JSON list; send one JSON object per alert, without [ and ] around it"
        }
        '"' => return json_text(body, inside),
        '\'' | '`' if begins(inside, "{") => QUOTED,
        quote if CURLY.contains(quote) && begins(inside, "{") => QUOTED,
        '<' => "the body is XML or HTML; send one JSON object, from { to }",
        '%' if inside.starts_with("7B") || inside.starts_with("7b") => {
            "the body is percent-encoded, as forms are (%7B is {); send the JSON object as it is"
        }
        '-' if body.contains("form-data") => {
            "the body is a multipart form; send the JSON object alone, as the whole body"
        }
        _ if is_mail(body) => {
            "the body begins with header lines, as an e-mail does; send the JSON object alone, from { to }"
        }
        _ if is_base64(body) => "the body is base64; send the JSON object as plain text",
        _ => return pairs(body),
    })
}

/// A body that begins with a double quote, with what is behind it.
fn json_text(body: &str, inside: &str) -> Option<&'static str> {
    Some(match serde_json::from_str::<String>(body) {
        Ok(text) if begins(&text, "{") => {
            "the body is a JSON text that holds an object; send the object itself, without the quotes around it and the backslashes in it"
        }
        Ok(_) => "the body is a JSON text; send the JSON object itself, without quotes around it",
        Err(_) if begins(inside, "{") => QUOTED,
        Err(_) if body.contains(':') => {
            "the brace that opens the object is missing; begin the message with {"
        }
        Err(_) => return None,
    })
}

/// `name=value` and `name: value`.
fn pairs(body: &str) -> Option<&'static str> {
    let body = body.trim_start_matches('?');
    let name = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-.[]".contains(byte);
    let end = body.bytes().take_while(|byte| name(byte)).count();
    let rest = trim_start(body.get(end..).filter(|_| end > 0)?);
    Some(match rest.strip_prefix('=') {
        Some(value) if begins(value, "{%") => {
            "the body is a form field that holds JSON; send the JSON object itself, without name and = before it and not percent-encoded"
        }
        Some(_) => {
            "the body is a query string or form (name=value); write it as one JSON object: {\"name\": \"value\", …}"
        }
        None if rest.starts_with(':') && !body.contains('{') => {
            "the body is lines of name: value; write them as one JSON object: {\"name\": \"value\", …}"
        }
        None => return None,
    })
}

/// Whether one of the lines before an object is a header of an e-mail or of an HTTP request.
fn is_mail(body: &str) -> bool {
    const HEADERS: [&str; 6] = [
        "from:",
        "to:",
        "subject:",
        "date:",
        "content-type:",
        "host:",
    ];
    let frame = body.split('{').next().unwrap_or("");
    frame.split('\n').any(|line| {
        let line = line.trim_start_matches(['>', ' ']);
        let starts = |header: &&str| {
            let start = line.get(..header.len());
            start.is_some_and(|start| start.eq_ignore_ascii_case(header))
        };
        HEADERS.iter().any(starts)
    })
}

/// Whether it is all base64, and of a text that begins with `{`.
fn is_base64(body: &str) -> bool {
    let sign = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=-_\r\n".contains(&byte);
    let begins = matches!(
        body.as_bytes(),
        [
            b'e',
            b'w' | b'y',
            b'A' | b'I' | b'J' | b'0' | b'k' | b'o',
            ..
        ]
    );
    begins && body.bytes().all(sign)
}

/// Where an object begins behind other text. `{{` begins a placeholder.
fn object_in(text: &str) -> Option<Place<'_>> {
    let mut at = 0usize;
    loop {
        at = at.saturating_add(text.get(at..)?.find('{')?);
        let place = Place::new(text, at);
        at = at.saturating_add(1);
        let inside = text.get(at..)?;
        if begins(inside, "\"}'\\&") || begins(inside, CURLY) {
            return Some(place);
        }
    }
}

/// A body that begins like an object and is none.
pub(crate) fn explain(text: &str, error: &serde_json::Error) -> AlertError {
    let place = Place::of(text, error);
    let reason = reason(error);
    if error.is_data() {
        return bad_json(format!("{reason} ({place})"));
    }
    if let Some(found) = bare_placeholder(text, place.at) {
        return unfilled(found, &format!("at {place} stands"));
    }
    if error.is_eof() {
        return unclosed(text);
    }
    if let Some(advice) = in_text(&reason) {
        return misquoted(text, place.at).unwrap_or_else(|| place.broken(advice));
    }
    if let Some(found) = foreign(place) {
        return found;
    }
    if reason.starts_with("trailing characters") {
        return place.broken(behind(place));
    }
    curly(place)
        .or_else(|| place.sign(&WITHIN))
        .or_else(|| foreign_word(place))
        .or_else(|| structure(place, &reason).map(|advice| place.broken(advice)))
        .or_else(|| misquoted(text, place.at))
        .unwrap_or_else(|| place.broken(advice(&reason)))
}

/// What stands outside of JSON, wherever it stands.
fn foreign(place: Place<'_>) -> Option<AlertError> {
    odd(place)
        .or_else(|| place.sign(&FOREIGN))
        .or_else(|| entity(place))
}

/// `&quot;`, `&#34;` and their kin.
fn entity(place: Place<'_>) -> Option<AlertError> {
    let name = place.rest().strip_prefix('&')?;
    let end = name
        .bytes()
        .take(MOST_ENTITY)
        .position(|byte| byte == b';')?;
    let mut bytes = name.bytes().take(end);
    let is_one = bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'#');
    is_one.then(|| {
        place.holds(
            "an HTML entity",
            "the message went through HTML; write the character itself, such as \" for &quot;",
        )
    })
}

/// Longest name of an HTML entity that is looked for.
const MOST_ENTITY: usize = 10;

/// A quote that is none of JSON's.
fn curly(place: Place<'_>) -> Option<AlertError> {
    let quote = place.here().filter(|here| CURLY.contains(*here))?;
    Some(place.holds(
        &format!("a curly quote ({quote})"),
        "JSON takes the straight one (\"); type the quotes anew where no program turns them",
    ))
}

/// The first curly quote before `end` that closes a name or a value: a straight one before it hides it
/// from the parser, which stumbles later. One that belongs to a text is not followed as they are.
fn misquoted(text: &str, end: usize) -> Option<AlertError> {
    let (at, _) = text.char_indices().find(|(at, quote)| {
        let after = text.get(at.saturating_add(quote.len_utf8())..);
        *at < end && CURLY.contains(*quote) && after.is_some_and(goes_on)
    })?;
    curly(Place::new(text, at))
}

/// Whether an object goes on like this behind a name or a value.
fn goes_on(after: &str) -> bool {
    let mut signs = trim_start(after).chars();
    let sign = signs.next();
    let rest = signs.as_str();
    match sign {
        Some('}' | ']') => true,
        Some(':') => begins(rest, "\"-{[tfn0123456789") || begins(rest, CURLY),
        Some(',') => {
            let gap = rest.len().saturating_sub(trim_start(rest).len());
            let line_ends = rest.as_bytes().iter().take(gap).any(|byte| *byte == b'\n');
            line_ends || begins(rest, "\"{}") || begins(rest, CURLY)
        }
        _ => false,
    }
}

/// White space and invisible characters that JSON does not know.
fn odd(place: Place<'_>) -> Option<AlertError> {
    let (what, advice) = oddity(place.here()?)?;
    Some(place.holds(&what, advice))
}

/// The first of those in a text: what it is, and what to do.
pub(crate) fn odd_in(text: &str) -> Option<(String, &'static str)> {
    text.chars().find_map(oddity)
}

fn oddity(sign: char) -> Option<(String, &'static str)> {
    let (what, advice) = match sign {
        '\u{a0}' | '\u{202f}' => ("a no-break space", "type an ordinary space, or none"),
        '\u{feff}' => ("a byte order mark", "it is not to be seen; remove it"),
        '\u{ad}'
        | '\u{180e}'
        | '\u{200b}'..='\u{200f}'
        | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' => (
            "an invisible character",
            "type what is around it anew instead of copying it",
        ),
        _ if BLANK.contains(&sign) => return None,
        _ if sign.is_whitespace() => ("a space that JSON does not know", "type an ordinary space"),
        _ if sign.is_control() => ("a control character", "remove it"),
        _ => return None,
    };
    Some((format!("{what} (U+{:04X})", u32::from(sign)), advice))
}

/// Words of other languages, and what stands for a number that does not exist.
fn foreign_word(place: Place<'_>) -> Option<AlertError> {
    let word = word(place.text, place.at);
    if word == "None" {
        return Some(place.holds(
            "None, as Python writes it",
            "JSON writes null; or leave the field out",
        ));
    }
    if is_no_number(word) && !word.eq_ignore_ascii_case("null") {
        return Some(bad_json(format!(
            "at {place} stands {word}, which is no JSON value: the script had no number when the alert fired; \
             let it fire only when the value exists"
        )));
    }
    let plain = ["true", "false", "null"];
    let plain = plain
        .iter()
        .find(|plain| word.eq_ignore_ascii_case(plain))?;
    let what = format!("{plain} in capitals, as Python and others write it");
    let advice = format!("write {plain}");
    (word != *plain).then(|| place.holds(&what, &advice))
}

/// What is wrong with the object's build, by what stands around a place.
fn structure(place: Place<'_>, reason: &str) -> Option<&'static str> {
    let comma = reason.starts_with("expected `,`");
    let (last, previous, here) = (place.last(), place.previous(), place.byte(0));
    Some(match (last, here) {
        (b',', b'}') => "a comma stands before the closing brace; remove it",
        (b',', b']') => "a comma stands before the closing bracket; remove it",
        (b',' | b'{' | b'[', b',') => "there is a comma too many; remove it",
        (b':', b':') => "there is a colon too many; remove it",
        (b':', b',' | b'}' | b']') => {
            "no value stands behind the colon; perhaps the script filled it with nothing"
        }
        (b'{', b'{') => "the brace is doubled; write one { and one }",
        (b',' | b'{', b':') => "no name stands before the colon",
        (b'"', b'+') => "texts are joined with +, as scripts do; JSON holds the finished text",
        (_, b'+') => "a number has no plus sign; write it like 0.5",
        (b':' | b'[' | b',', b'.') if place.byte(1).is_ascii_digit() => {
            "a number begins with a digit; write 0.5, not .5"
        }
        (b',', b'0'..=b'9') if number_before(place) => {
            "a number holds a comma; write it like 0.5, without commas"
        }
        (b'0'..=b'9', b'_' | b'a'..=b'z' | b'A'..=b'Z') if comma && previous == last => {
            "something stands right behind a number; write the number alone, like 0.5"
        }
        (b'0'..=b'9', b'0'..=b'9') if comma => "a number holds a space; write it like 1000.5",
        (_, b'"') if comma && previous != b'"' => "a comma is missing before this text",
        (_, b'}') if reason.starts_with("expected `,` or `]`") => {
            "the list is not closed; write ] before the brace"
        }
        (_, b']') if reason.starts_with("expected `,` or `}`") => {
            "the object is not closed; write } before the bracket"
        }
        _ => return None,
    })
}

/// Whether a number stands before the comma before a place.
fn number_before(place: Place<'_>) -> bool {
    let before = trim_end(place.before());
    let before = before.strip_suffix(',').unwrap_or(before);
    before.as_bytes().last().is_some_and(u8::is_ascii_digit)
}

/// What follows an object that is whole.
fn behind(place: Place<'_>) -> &'static str {
    let sign = place.byte(0);
    let separated = matches!(sign, b',' | b';');
    let next = trim_start(place.rest().get(usize::from(separated)..).unwrap_or(""));
    match (sign, next.as_bytes().first()) {
        (_, Some(b'{')) => "a second object begins here; send one object per alert",
        (b',', Some(b'"')) => {
            "the object ends before this comma; remove the closing brace before it"
        }
        (_, None) => "a comma or semicolon follows the closing brace; remove it",
        (b'}', _) => "there is a closing brace too many; remove it",
        (b']', _) => "there is a closing bracket too many; remove it",
        _ => {
            "text follows the closing brace, such as the end of an e-mail or a chat's frame; send one object and nothing else"
        }
    }
}

/// What is not closed at the end of a body. It was well formed up to there.
fn unclosed(text: &str) -> AlertError {
    let mut open = Vec::new();
    let mut quote = None;
    let mut bytes = text.bytes().enumerate();
    while let Some((at, byte)) = bytes.next() {
        match (quote, byte) {
            (Some(_), b'"') => quote = None,
            // The escaped character is none that counts.
            (Some(_), b'\\') => drop(bytes.next()),
            (None, b'"') => quote = Some(at),
            (None, b'{') => open.push('}'),
            (None, b'[') => open.push(']'),
            (None, b'}' | b']') => drop(open.pop()),
            _ => {}
        }
    }
    if let Some(at) = quote {
        return misquoted(text, text.len()).unwrap_or_else(|| {
            bad_json(format!(
                "the text that begins at {} is not closed; write \" at its end",
                Place::new(text, at)
            ))
        });
    }
    let write: String = open.iter().rev().take(MOST_OPEN).collect();
    let more = if open.len() > MOST_OPEN { "…" } else { "" };
    bad_json(format!(
        "the JSON ends too early; a closing brace or bracket is missing: write {write}{more} at its end"
    ))
}

/// Most brackets and braces that are named one by one.
const MOST_OPEN: usize = 8;

const BROKEN_ESCAPE: &str = "the name of a field holds a broken \\u escape";

/// Faults within a text, by the words of `serde_json` for them.
const IN_TEXT: [(&str, &str); 4] = [
    (
        "control character",
        "a text holds a line break or a tab, perhaps from a comment; keep texts on one line or write \\n",
    ),
    ("invalid escape", "a text holds a backslash; write it twice"),
    ("lone leading surrogate", BROKEN_ESCAPE),
    ("unexpected end of hex escape", BROKEN_ESCAPE),
];

/// The other faults of syntax.
const ADVICE: [(&str, &str); 7] = [
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
        "a colon is missing after the name of a field, or the quote that closes the name",
    ),
    (
        "key must be a string",
        "the name of a field needs double quotes",
    ),
    ("expected value", "a text has no double quotes around it"),
    ("expected ident", "a text has no double quotes around it"),
    ("invalid number", "write numbers like 0.5"),
];

/// What to do about a fault within a text; `None` for any other one.
fn in_text(reason: &str) -> Option<&'static str> {
    find(&IN_TEXT, reason)
}

/// What to do about a syntax error, by the words of `serde_json` for it.
fn advice(reason: &str) -> &'static str {
    find(&ADVICE, reason).unwrap_or("check the alert's message with a JSON validator")
}

fn find(table: &[(&str, &'static str)], reason: &str) -> Option<&'static str> {
    let found = table.iter().find(|(start, _)| reason.starts_with(start));
    found.map(|(_, advice)| *advice)
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
    fn finds_the_word_at_a_place() {
        for at in 5..8 {
            assert_eq!(word("{\"a\":NaN}", at), "NaN", "{at}");
        }
        assert_eq!(word("{\"a\":-Infinity}", 6), "-Infinity");
        assert_eq!(word("", 0), "");
        assert_eq!(word("ä", 1), "");
    }

    #[test]
    fn a_place_counts_characters() {
        let place = |at| Place::new("{\n  \"ä\": “x", at).to_string();
        assert_eq!(place(0), "line 1, column 1");
        assert_eq!(place(2), "line 2, column 1");
        assert_eq!(place(9), "line 2, column 7");
        assert_eq!(place(10), "line 2, column 8");
        assert_eq!(place(12), place(10), "within a character");
        assert_eq!(place(99), "line 2, column 10", "behind the end");
    }
}
