//! The alert's JSON object as it came.

use core::fmt;
use std::borrow::Cow;

use hoox_model::{Code, Destination, Secret, sha256_hex};
use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::AlertError;
use crate::{broken, hint, read};

/// Most levels of nesting; the object itself is the first.
pub const MAX_DEPTH: usize = 16;
/// Most fields of one object, and most entries of one list.
pub const MAX_FIELDS: usize = 100;
/// Longest name of a field, in bytes.
pub const MAX_NAME: usize = 100;

/// Shortest passkey that is looked for in the other fields, in bytes: a shorter one is found in anything.
const MIN_FOUND: usize = 8;
/// How often escapes are decoded to find it: a JSON string that holds JSON text takes two.
const MAX_DECODED: usize = 4;
/// The field that holds the passkey.
const API_KEY: &str = "apiKey";
/// The field that holds the id of a signed event.
const EVENT_ID: &str = "id";
/// Longest event id, in bytes.
const MAX_EVENT_ID: usize = 255;

/// The alert's JSON object: names and raw values in order, the passkey kept apart.
pub struct Alert {
    api_key: Option<Secret>,
    fields: Fields,
}

impl Alert {
    /// Reads a body: UTF-8 (a byte order mark is skipped, as RFC 8259 section 8.1 allows) with one JSON object.
    ///
    /// Refused at every depth: names that occur twice in one object, halves of surrogate pairs,
    /// more than [`MAX_DEPTH`] levels, [`MAX_FIELDS`] fields or [`MAX_NAME`] bytes of a name.
    /// Numbers stay text: nothing is rounded, and `1e400` is no error here.
    ///
    /// # Errors
    /// [`AlertError`] with line and column where the syntax is broken, and with a hint where the
    /// cause is one that TradingView's text substitution is known for.
    pub fn parse(body: &[u8]) -> Result<Self, AlertError> {
        let text = core::str::from_utf8(body).map_err(|_| bad_json(broken::not_utf8(body)))?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        // No JSON text holds one (RFC 8259 section 7); UTF-16 without a mark does.
        if text.contains('\0') {
            return Err(bad_json(broken::NUL));
        }
        if !broken::trim_start(text).starts_with('{') {
            return Err(broken::not_an_object(text));
        }
        let mut fields: Fields =
            serde_json::from_str(text).map_err(|error| broken::explain(text, &error))?;
        for (name, value) in &fields.0 {
            check(value, 2)
                .map_err(|problem| bad_json(format!("in '{}': {problem}", hint::shorten(name))))?;
        }
        let api_key = fields.take(API_KEY).and_then(|raw| string(&raw));
        Ok(Self {
            api_key: api_key.map(Secret::new),
            fields,
        })
    }

    /// The passkey; `None` where it is missing or not a JSON string.
    pub fn api_key(&self) -> Option<Secret> {
        self.api_key.clone()
    }

    /// Whether the passkey stands in another field as well, which is journaled: in a name or a value, at
    /// any depth, plain or behind escapes.
    pub(crate) fn repeats_key(&self) -> bool {
        self.key_stands_in(&self.journal_json())
    }

    /// Whether the passkey stands in `text`, plain or behind JSON's escapes, also where JSON text is the
    /// value of a JSON string.
    pub(crate) fn key_stands_in(&self, text: &str) -> bool {
        let Some(key) = self.api_key.as_ref().map(Secret::expose) else {
            return false;
        };
        if key.len() < MIN_FOUND {
            return false;
        }
        let mut text = Cow::Borrowed(text);
        for _ in 0..MAX_DECODED {
            if text.contains(key) {
                return true;
            }
            if !text.contains('\\') {
                return false;
            }
            text = Cow::Owned(unescape(&text));
        }
        text.contains(key)
    }

    /// The object without `apiKey`, as JSON text, for the journal and the records: same fields,
    /// same order, values exactly as they came.
    pub fn journal_json(&self) -> String {
        self.fields.json()
    }

    /// SHA-256, in lower-case hex, of the fields in order without `apiKey`. Every name and raw
    /// value is preceded by its length, so no two different alerts are framed alike. White space
    /// between fields does not count; inside a value it does.
    pub fn content_hash(&self) -> String {
        let mut framed = Vec::new();
        for (name, value) in &self.fields.0 {
            for part in [name.as_str(), value.get()] {
                // A body is far below 2^64 bytes, so nothing saturates.
                let length = u64::try_from(part.len()).unwrap_or(u64::MAX);
                framed.extend_from_slice(&length.to_be_bytes());
                framed.extend_from_slice(part.as_bytes());
            }
        }
        sha256_hex(&framed)
    }

    /// `id` of a signed event: a JSON string of 1 to 255 bytes without control characters. What is
    /// none names no event; the alert is then known by its content.
    pub fn event_id(&self) -> Option<String> {
        let id = string(self.fields.get(EVENT_ID)?)?;
        let fits = (1..=MAX_EVENT_ID).contains(&id.len()) && !id.chars().any(char::is_control);
        fits.then_some(id)
    }

    /// Where the alert wants to go, as far as it can be read: a sender's rights are judged before the
    /// alert's faults. A [`Signal`](crate::Signal) that is valid wants to go to the same place.
    pub fn destination(&self) -> Destination {
        read::destination(&self.fields)
    }

    /// The fields without `apiKey`.
    pub const fn fields(&self) -> &Fields {
        &self.fields
    }
}

impl fmt::Debug for Alert {
    /// Names only: a value may be anything the sender put there.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.fields.0.iter().map(|(name, _)| name))
            .finish()
    }
}

/// Names and raw values of one JSON object, in order, each name once.
#[derive(Clone, Default)]
pub struct Fields(Vec<(String, Box<RawValue>)>);

impl Fields {
    /// Reads an object; `None` for any other JSON value.
    pub(crate) fn of(raw: &RawValue) -> Option<Self> {
        serde_json::from_str(raw.get()).ok()
    }

    /// The raw text of a field's value; `None` where it is missing or `null`.
    pub fn get(&self, name: &str) -> Option<&RawValue> {
        self.iter()
            .find_map(|(known, value)| (known == name).then_some(value))
            .filter(|value| value.get() != "null")
    }

    /// Names and raw values in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &RawValue)> {
        self.0.iter().map(|(name, value)| (name.as_str(), &**value))
    }

    /// Names in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    /// Whether there is a field of this name.
    pub fn has(&self, name: &str) -> bool {
        self.names().any(|known| known == name)
    }

    /// The object without a field.
    #[must_use]
    pub fn without(&self, name: &str) -> Self {
        let mut rest = self.clone();
        rest.remove(name);
        rest
    }

    /// The object as JSON text.
    pub fn json(&self) -> String {
        let mut json = String::from("{");
        for (position, (name, value)) in self.iter().enumerate() {
            if position > 0 {
                json.push(',');
            }
            json.push_str(&quote(name));
            json.push(':');
            json.push_str(value.get());
        }
        json.push('}');
        json
    }

    /// Adds a field.
    pub(crate) fn push(&mut self, name: &str, value: &RawValue) {
        self.0.push((name.to_owned(), value.to_owned()));
    }

    /// Adds a field that holds a text.
    pub fn push_text(&mut self, name: &str, text: &str) {
        if let Ok(value) = RawValue::from_string(quote(text)) {
            self.0.push((name.to_owned(), value));
        }
    }

    /// Takes a field off.
    pub(crate) fn remove(&mut self, name: &str) {
        self.0.retain(|(known, _)| known != name);
    }

    fn take(&mut self, name: &str) -> Option<Box<RawValue>> {
        let position = self.0.iter().position(|(known, _)| known == name)?;
        Some(self.0.remove(position).1)
    }
}

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl<'de> Visitor<'de> for Reader {
            type Value = Fields;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut fields: Vec<(String, Box<RawValue>)> = Vec::new();
                while let Some(name) = map.next_key::<String>()? {
                    if name.len() > MAX_NAME {
                        return Err(de::Error::custom(format_args!(
                            "a field's name is longer than {MAX_NAME} bytes"
                        )));
                    }
                    if fields.len() >= MAX_FIELDS {
                        return Err(de::Error::custom(format_args!(
                            "the object has more than {MAX_FIELDS} fields"
                        )));
                    }
                    if fields.iter().any(|(known, _)| *known == name) {
                        return Err(de::Error::custom(format_args!(
                            "the field '{}' is given twice",
                            hint::shorten(&name)
                        )));
                    }
                    fields.push((name, map.next_value()?));
                }
                Ok(Fields(fields))
            }
        }

        deserializer.deserialize_map(Reader)
    }
}

/// The entries of a JSON list; `None` for any other value.
pub(crate) fn entries(raw: &RawValue) -> Option<Vec<Box<RawValue>>> {
    let entries: Entries = serde_json::from_str(raw.get()).ok()?;
    Some(entries.0)
}

/// Entries of one JSON list.
struct Entries(Vec<Box<RawValue>>);

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl<'de> Visitor<'de> for Reader {
            type Value = Entries;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Entries, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = list.next_element()? {
                    if entries.len() >= MAX_FIELDS {
                        return Err(de::Error::custom(format_args!(
                            "a list has more than {MAX_FIELDS} entries"
                        )));
                    }
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }

        deserializer.deserialize_seq(Reader)
    }
}

/// Holds nested values to the rules of [`Alert::parse`]. `depth` is the level that `value` would
/// open. Recursion ends at [`MAX_DEPTH`]; `serde_json` skips raw values without recursion.
fn check(value: &RawValue, depth: usize) -> Result<(), String> {
    let text = value.get();
    let nested: Vec<Box<RawValue>> = match text.as_bytes().first() {
        Some(b'"') => {
            return serde_json::from_str::<String>(text)
                .map(drop)
                .map_err(|_| "the text holds a broken \\u escape".to_owned());
        }
        Some(b'{' | b'[') if depth > MAX_DEPTH => {
            return Err(format!("it is nested deeper than {MAX_DEPTH} levels"));
        }
        Some(b'{') => serde_json::from_str::<Fields>(text)
            .map(|fields| fields.0.into_iter().map(|(_, value)| value).collect())
            .map_err(|error| hint::reason(&error))?,
        Some(b'[') => serde_json::from_str::<Entries>(text)
            .map(|entries| entries.0)
            .map_err(|error| hint::reason(&error))?,
        _ => return Ok(()),
    };
    let depth = depth.saturating_add(1);
    nested.iter().try_for_each(|inner| check(inner, depth))
}

/// The text of a JSON string; `None` for any other value.
pub(crate) fn string(raw: &RawValue) -> Option<String> {
    serde_json::from_str(raw.get()).ok()
}

/// `text` with each escape of JSON strings (RFC 8259 section 7) replaced by what it stands for. What is
/// none stays.
pub(crate) fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, escape)) = rest.split_once('\\') {
        plain.push_str(before);
        if let Some((character, after)) = unescape_one(escape) {
            plain.push(character);
            rest = after;
        } else {
            plain.push('\\');
            rest = escape;
        }
    }
    plain.push_str(rest);
    plain
}

/// What follows a backslash: the character it stands for, and the rest.
fn unescape_one(escape: &str) -> Option<(char, &str)> {
    let mut characters = escape.chars();
    let character = match characters.next()? {
        same @ ('"' | '\\' | '/') => same,
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'u' => return code_point(characters.as_str()),
        _ => return None,
    };
    Some((character, characters.as_str()))
}

/// Four hex digits, or a pair of surrogates.
fn code_point(digits: &str) -> Option<(char, &str)> {
    let unit = |digits: &str| {
        let four = digits.get(..4)?;
        let is_hex = four.bytes().all(|byte| byte.is_ascii_hexdigit());
        u16::from_str_radix(four, 16).ok().filter(|_| is_hex)
    };
    let (first, rest) = (unit(digits)?, digits.get(4..)?);
    if let Some(character) = char::from_u32(u32::from(first)) {
        return Some((character, rest));
    }
    let second = rest.strip_prefix("\\u")?;
    let pair = [first, unit(second)?];
    let character = char::decode_utf16(pair).next()?.ok()?;
    Some((character, second.get(4..)?))
}

/// `text` as a JSON string. Serialising a string into memory cannot fail.
fn quote(text: &str) -> String {
    serde_json::to_string(text).unwrap_or_default()
}

pub(crate) fn bad_json(message: impl Into<String>) -> AlertError {
    AlertError {
        code: Code::BadJson,
        message: message.into(),
    }
}
