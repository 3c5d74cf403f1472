//! What may be kept of a refused alert: the names of its fields, and the sentence of the refusal without what
//! stands in the alert.
//!
//! A sentence is searched for the alert's values, however it was made: nobody who writes one can forget to say
//! which part of it is a value. What looks like one and is none is lost with it, which only costs words.

use hoox_model::{Symbol, Timestamp, parse_decimal};

use crate::Alert;
use crate::alert::unescape;
use crate::hint::shorten;
use crate::symbol;
use crate::words::Named;

/// Most names of fields.
const MAX_NAMES: usize = 64;
/// Longest sentence, in characters.
const MAX_SENTENCE: usize = 400;
/// Stands for what was left out.
const LEFT_OUT: &str = "…";
/// Shortest part of a value that is looked for inside of one: a shorter one is found in anything.
const MIN_PART: usize = 3;

/// Words of the contract, in lower case. As a value they tell nothing, and the sentences list them.
const WORDS: &str = "0 long short close_long close_short close exit flat buy sell reverse cancel target net refuse market \
                     limit gtc ioc fok base quote percentequity percentposition riskpercent spot linear futures perp swap \
                     cross isolated true false bybit binance mexc price percent distance chatid message test strategy \
                     action symbol quantity account";

impl Alert {
    /// The names of the alert's fields but `apiKey`, the first 64, each cut to 40 characters. One that holds the
    /// passkey is left out.
    pub fn names(&self) -> Vec<String> {
        let names = self.fields().iter().map(|(name, _)| name);
        names
            .filter(|name| !self.holds_key(name))
            .take(MAX_NAMES)
            .map(shorten)
            .collect()
    }

    /// Whether the passkey stands in `text`, plain or behind JSON's escapes, however short it is.
    pub fn holds_key(&self, text: &str) -> bool {
        let plain = self
            .api_key()
            .is_some_and(|key| text.contains(key.expose()));
        plain || self.key_stands_in(text)
    }

    /// The alert's symbol in Hoox's one spelling, where it has one.
    pub fn symbol(&self) -> Option<Symbol> {
        let named = Named::of(self.fields());
        let text = crate::alert::string(named.fields.get("symbol")?)?;
        let read = symbol::read(text.trim(), None, &mut Vec::new()).ok()?;
        // A key that is pasted here is written in capitals by then.
        let holds = self.holds_key(&text) || self.holds_key(read.symbol.as_str());
        (!holds).then_some(read.symbol)
    }

    /// A sentence about this alert without its values, each replaced by `…`; but for the alert's symbol, which
    /// stands in Hoox's one spelling. `field` is the one the sentence is about; `ours` are names of the manifest,
    /// which stay.
    pub fn without_values(&self, sentence: &str, field: Option<&str>, ours: &[&str]) -> String {
        let field = field.map(|field| field.split('.').next().unwrap_or(field));
        let mut values = Values {
            text: String::new(),
            at_fault: String::new(),
            symbol: self.symbol(),
            ours,
            unread: false,
        };
        for (name, raw) in self.fields().iter() {
            let value = unescape(raw.get()).to_ascii_lowercase();
            let value = value.trim_matches('"').trim();
            values.text.push_str(value);
            values.text.push('\n');
            if field == Some(name) {
                value.clone_into(&mut values.at_fault);
            }
        }
        let bare = values.taken_out_of(sentence);
        if self.holds_key(&bare) {
            return LEFT_OUT.to_owned();
        }
        bare
    }
}

/// A sentence about a body that cannot be read, without what stands in the body. Numbers stay: they are the place.
pub fn without_body(sentence: &str, body: &[u8]) -> String {
    // What is said of a body that is no text repeats nothing of it.
    let body = core::str::from_utf8(body).unwrap_or_default();
    let body = body.to_ascii_lowercase();
    let values = Values {
        text: unescape(&body) + &body,
        at_fault: String::new(),
        symbol: None,
        ours: &[],
        unread: true,
    };
    values.taken_out_of(sentence)
}

/// What is looked for in a sentence. Texts are in lower case.
struct Values<'a> {
    /// All values, behind no escapes, a line each.
    text: String,
    /// The value that the sentence is about.
    at_fault: String,
    symbol: Option<Symbol>,
    ours: &'a [&'a str],
    /// Whether this is a body that could not be read.
    unread: bool,
}

impl Values<'_> {
    fn taken_out_of(&self, sentence: &str) -> String {
        let mut bare = String::with_capacity(sentence.len());
        let mut rest = sentence;
        while let Some(marked) = first_marked(rest) {
            self.words(marked.before, &mut bare);
            // What stands in quotes is a value, unless it is a name of ours or of the contract.
            let held = self.text.contains(&marked.inside.to_ascii_lowercase());
            let is_value =
                held || (marked.ends == "'" && marked.inside.bytes().any(|b| !is_name(b)));
            let inside = self.instead_of(marked.inside, is_value);
            for part in [marked.begins, &inside, marked.ends] {
                bare.push_str(part);
            }
            rest = marked.after;
        }
        self.words(rest, &mut bare);
        bare.chars().take(MAX_SENTENCE).collect()
    }

    /// Copies what stands outside of quotes and placeholders, word by word.
    fn words(&self, text: &str, bare: &mut String) {
        for word in text.split_inclusive(' ') {
            let from = word.trim_start_matches(|c| !is_letter(c));
            let core = from.trim_end_matches(|c| !is_letter(c));
            let before = word.len().saturating_sub(from.len());
            let instead = self.instead_of(core, self.has(core));
            bare.push_str(word.get(..before).unwrap_or(""));
            bare.push_str(&instead);
            bare.push_str(from.get(core.len()..).unwrap_or(""));
        }
    }

    /// A part of a sentence, or what stands for it: the symbol in one spelling, or nothing where it is a value.
    fn instead_of(&self, text: &str, is_value: bool) -> String {
        if let Some(known) = &self.symbol
            && symbol::read(text, None, &mut Vec::new()).is_ok_and(|it| it.symbol == *known)
        {
            return known.to_string();
        }
        // A single one is a sign, such as '-'.
        let ours = text.len() <= 1 && !is_letter(text.chars().next().unwrap_or(' '));
        let keeps = ours || self.ours.contains(&text) || !is_value;
        (if keeps { text } else { LEFT_OUT }).to_owned()
    }

    /// Whether a word is one of the alert's.
    fn has(&self, word: &str) -> bool {
        let lower = word.to_ascii_lowercase();
        let lower = lower.as_str();
        let number = lower.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        if is_word(lower) || (self.unread && number) {
            return false;
        }
        if number && self.is_number(lower) {
            return true;
        }
        // A value may stand in a word with what is around it, such as `{"value":1}`.
        let mut parts = lower.split(|c| !is_letter(c));
        let is_part = |part: &str| {
            let long = part.len() >= MIN_PART || part == lower;
            long && !is_word(part) && stands_in(&self.at_fault, part)
        };
        if parts.any(is_part) || self.text.split('\n').any(|value| value == lower) {
            return true;
        }
        // The words of our own sentences are in lower case: in a long value, such as a comment, they would all be found.
        let ours = word
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b == b'-' || b == b'\'');
        let found = lower.len() >= MIN_PART && self.text.contains(lower);
        // A moment may be written otherwise than in the alert.
        (found && !ours) || (!self.unread && !number && Timestamp::parse(word).is_ok())
    }
}

impl Values<'_> {
    /// Whether one of the values is this number, however it is written: a sentence may say 90 of 90.0.
    fn is_number(&self, word: &str) -> bool {
        parse_decimal(word).is_ok_and(|it| {
            let mut values = self.text.split('\n');
            values.any(|value| parse_decimal(value).is_ok_and(|value| value == it))
        })
    }
}

fn is_word(text: &str) -> bool {
    WORDS.split(' ').any(|word| word == text)
}

/// Whether a word stands in a value, outside of `{{placeholders}}`, whose words sentences use as well.
fn stands_in(value: &str, word: &str) -> bool {
    let mut outside = value.split("{{").enumerate().map(|(number, part)| {
        let behind = part.split_once("}}").filter(|_| number > 0);
        behind.map_or(part, |(_, behind)| behind)
    });
    outside.any(|part| part.split(|c| !is_letter(c)).any(|known| known == word))
}

/// A letter or a digit; whatever is not ASCII may be one, and tables of those would be 20 KB.
const fn is_letter(c: char) -> bool {
    c.is_ascii_alphanumeric() || !c.is_ascii()
}

/// A part of a name, as the contract spells them.
const fn is_name(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b == b'_' || b == b'.'
}

/// A part of a sentence that is marked as one by what stands around it.
struct Marked<'a> {
    before: &'a str,
    begins: &'a str,
    inside: &'a str,
    ends: &'a str,
    after: &'a str,
}

/// The first `'…'` or `{{…}}` of a sentence. An apostrophe within a word begins none; where nothing ends it, all the rest
/// is in it.
fn first_marked(text: &str) -> Option<Marked<'_>> {
    let letter_at = |at: usize| {
        let byte = text.as_bytes().get(at);
        byte.is_some_and(|b| b.is_ascii_alphanumeric() || !b.is_ascii())
    };
    let is = |at: usize, mark: &str| text.get(at..).is_some_and(|rest| rest.starts_with(mark));
    let places = 0..text.len();
    let begin = places
        .clone()
        .find(|&at| is(at, "{{") || (is(at, "'") && !letter_at(at.wrapping_sub(1))))?;
    let (begins, ends) = if is(begin, "'") {
        ("'", "'")
    } else {
        ("{{", "}}")
    };
    let from = begin.saturating_add(begins.len());
    let end = places
        .skip(from)
        .find(|&at| is(at, ends) && (ends == "}}" || !letter_at(at.saturating_add(1))));
    let end = end.unwrap_or(text.len());
    Some(Marked {
        before: text.get(..begin)?,
        begins,
        inside: text.get(from..end)?,
        ends,
        after: text.get(end.saturating_add(ends.len())..).unwrap_or(""),
    })
}
