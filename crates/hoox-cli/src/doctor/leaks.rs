//! What looks like a secret in a text.
//!
//! In scope: known formats of keys, and names of secrets beside values that nobody would make up. Out of scope: where
//! texts come from. What is found is never told, only where and of which kind it is.

use std::collections::BTreeMap;

use regex::bytes::{Regex, RegexBuilder, RegexSet, RegexSetBuilder};

use crate::failure::Failure;

/// Formats of keys: what they open, and how they are written.
const FORMATS: [(&str, &str); 18] = [
    (
        "private key",
        r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----(?:\s|\\[rn])+(?:[A-Za-z-]+: [^\n]*\n\s*)*[A-Za-z0-9+/=]{32,}",
    ),
    ("age secret key", r"\bAGE-SECRET-KEY-(?:PQ-)?1[0-9A-Z]{58,}"),
    (
        "passkey of Hoox",
        r"\bhoox_[A-Za-z0-9_-]{32}(?:[^A-Za-z0-9_-]|$)",
    ),
    (
        "operator key of Hoox",
        r"\bhoox_op_[A-Za-z0-9_-]{43}(?:[^A-Za-z0-9_-]|$)",
    ),
    (
        "webhook signing secret",
        r"\bwhsec_[A-Za-z0-9+/_-]{24,}={0,2}",
    ),
    // developers.cloudflare.com/fundamentals/api/get-started/token-formats
    ("Cloudflare token", r"\bcf(?:k|ut|at)_[A-Za-z0-9_-]{40,}"),
    ("Telegram bot token", r"\b[0-9]{8,10}:AA[A-Za-z0-9_-]{33}\b"),
    (
        "OpenAI key",
        r"\bsk-(?:[a-z]+-)?[A-Za-z0-9_-]{20,}T3BlbkFJ[A-Za-z0-9_-]{20,}",
    ),
    ("Anthropic key", r"\bsk-ant-[a-z]+[0-9]+-[A-Za-z0-9_-]{80,}"),
    ("AWS access key", r"\b(?:AKIA|ASIA)[A-Z2-7]{16}\b"),
    (
        "GitHub token",
        r"\b(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{50,})",
    ),
    ("GitLab token", r"\bglpat-[A-Za-z0-9_-]{20,}"),
    ("npm token", r"\bnpm_[A-Za-z0-9]{36}\b"),
    ("Slack token", r"\bxox[abeoprs]-[A-Za-z0-9-]{20,}"),
    (
        "Slack webhook",
        r"hooks\.slack\.com/services/T[A-Z0-9]+/B[A-Z0-9]+/[A-Za-z0-9]{20,}",
    ),
    ("Stripe key", r"\b[rs]k_(?:live|test)_[A-Za-z0-9]{20,}"),
    ("Google API key", r"\bAIza[A-Za-z0-9_-]{35}"),
    (
        "JSON web token",
        r"\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{20,}",
    ),
];

/// The name of a secret, what stands between, and a value: `API_KEY=…`, `"apiKey": "…"`, `const KEY: &str = "…"`.
const ASSIGNED: &str = r#"(?i)(?:api[_-]?key|api[_-]?secret|secret|token|passw(?:or)?d|passkey|[a-z0-9]_key|private[_-]?key)[a-z0-9_]{0,24}["'`]?[ \t]*(?::[ \t]*&?(?:'static )?str[ \t]*)?(?:=>|:=|=|:)[ \t]*(?:["'`]([a-z0-9+/_=-]{20,512})["'`]|([a-z0-9+/_=-]{20,512})(?:[\s,;]|$))"#;

/// Values that documentation has published: these examples open nothing.
const PUBLISHED: [&str; 4] = [
    // The sandbox that README shows.
    "Plx4XNU7ohKlMtH9TInhJ9KrYCsDG7q7",
    // docs.stripe.com, in every example
    "4eC39HqLyjWDarjtT1zdp7dc",
    "BQokikJOvBiI2HlWgH4olfQ2",
    // standardwebhooks.com and its libraries
    "C2FVsBQIhrscChlQIMV+b5sSYspob7oD",
];

/// Files of checksums, which no person writes.
const LOCKS: [&str; 6] = [
    "Cargo.lock",
    "package-lock.json",
    "npm-shrinkwrap.json",
    "yarn.lock",
    "pnpm-lock.yaml",
    "go.sum",
];

/// Values shorter than this say nothing: they may stand anywhere by chance.
pub(crate) const SHORTEST: usize = 16;

/// So many are told of one text: who has more there must look through all of it.
const MOST: usize = 50;

/// Something that looks like a secret.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Leak {
    pub(crate) kind: String,
    /// From 1.
    pub(crate) line: usize,
    /// Tells whether two leaks are of one secret; never shown.
    pub(crate) value: Vec<u8>,
}

/// What is looked for.
pub(crate) struct Rules {
    set: RegexSet,
    formats: Vec<(&'static str, Regex)>,
    assigned: Regex,
    /// Names of local secrets by their values.
    own: BTreeMap<Vec<u8>, String>,
    own_values: Option<Regex>,
}

impl Rules {
    /// All formats, and the values of secrets that this machine has, by name.
    pub(crate) fn new(secrets: &[(String, String)]) -> Result<Self, Failure> {
        let broken = |error: regex::Error| Failure::new("INTERNAL", error.to_string());
        let one = |pattern: &str| RegexBuilder::new(pattern).unicode(false).build();
        let patterns = FORMATS.iter().map(|(_, pattern)| *pattern);
        let mut formats = Vec::new();
        for (kind, pattern) in FORMATS {
            formats.push((kind, one(pattern).map_err(broken)?));
        }
        let own: BTreeMap<Vec<u8>, String> = secrets
            .iter()
            .filter(|(_, value)| value.len() >= SHORTEST && !value.contains("://"))
            .map(|(name, value)| (value.clone().into_bytes(), name.clone()))
            .collect();
        let values: Vec<String> = secrets
            .iter()
            .filter(|(_, value)| own.contains_key(value.as_bytes()))
            .map(|(_, value)| regex::escape(value))
            .collect();
        let own_values = (!values.is_empty()).then(|| one(&values.join("|")));
        Ok(Self {
            set: RegexSetBuilder::new(patterns.chain([ASSIGNED]))
                .unicode(false)
                .build()
                .map_err(broken)?,
            formats,
            assigned: one(ASSIGNED).map_err(broken)?,
            own,
            own_values: own_values.transpose().map_err(broken)?,
        })
    }

    /// What looks like a secret in the text of a file.
    pub(crate) fn find(&self, path: &str, text: &[u8]) -> Vec<Leak> {
        let mut found = Found {
            text,
            leaks: Vec::new(),
        };
        for hit in self.own_values.iter().flat_map(|own| own.find_iter(text)) {
            let name = self
                .own
                .get(hit.as_bytes())
                .map_or("a secret", String::as_str);
            found.add(
                &format!("value of {name} in .dev.vars"),
                hit.start(),
                hit.as_bytes(),
            );
        }
        let matched = self.set.matches(text);
        for (place, (kind, format)) in self.formats.iter().enumerate() {
            if !matched.matched(place) {
                continue;
            }
            for hit in format.find_iter(text).filter(|hit| is_real(hit.as_bytes())) {
                found.add(kind, hit.start(), hit.as_bytes());
            }
        }
        if matched.matched(self.formats.len()) && !is_lock(path) {
            for hit in self.assigned.captures_iter(text) {
                let Some(value) = hit.get(1).or_else(|| hit.get(2)) else {
                    continue;
                };
                if is_random(value.as_bytes()) && is_real(value.as_bytes()) {
                    found.add(
                        "random value under a secret's name",
                        value.start(),
                        value.as_bytes(),
                    );
                }
            }
        }
        found.leaks
    }
}

struct Found<'a> {
    text: &'a [u8],
    leaks: Vec<Leak>,
}

impl Found<'_> {
    /// Adds a leak, unless it is one already: a format says more than a name.
    fn add(&mut self, kind: &str, at: usize, value: &[u8]) {
        if self.leaks.len() >= MOST {
            return;
        }
        let line = line(self.text, at);
        let known = |leak: &Leak| {
            leak.line == line && (contains(&leak.value, value) || contains(value, &leak.value))
        };
        if !self.leaks.iter().any(known) {
            self.leaks.push(Leak {
                kind: kind.to_owned(),
                line,
                value: value.to_vec(),
            });
        }
    }
}

fn contains(whole: &[u8], part: &[u8]) -> bool {
    whole
        .windows(part.len().max(1))
        .any(|window| window == part)
}

/// The line of a place, from 1.
fn line(text: &[u8], at: usize) -> usize {
    let before = text.get(..at).unwrap_or_default();
    before.split(|byte| *byte == b'\n').count()
}

fn is_lock(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    LOCKS.contains(&name)
}

/// Whether a value in a key's format may be a key: examples are published, spelt out, or count.
fn is_real(value: &[u8]) -> bool {
    let text = String::from_utf8_lossy(value);
    let published = PUBLISHED.iter().any(|known| text.contains(known));
    // The last two count bytes from 0, in hex and in base 64.
    let named = [
        "example", "xxxx", "0000", "1234567", "abcdef", "changeme", "00010203", "aaecawqf",
    ];
    let lower = text.to_ascii_lowercase();
    !published && !named.iter().any(|word| lower.contains(word)) && entropy(value) >= 3.0
}

/// Whether a value looks as if a machine had thrown dice for it: names and paths have letters of one case, or no
/// digit, or few different ones.
fn is_random(value: &[u8]) -> bool {
    let value = value.trim_ascii();
    let has = |kind: fn(&u8) -> bool| value.iter().any(kind);
    let hex = value.iter().all(u8::is_ascii_hexdigit);
    let digits = has(u8::is_ascii_digit);
    if hex {
        return digits
            && has(u8::is_ascii_alphabetic)
            && value.len() >= 32
            && entropy(value) >= 3.0;
    }
    digits && has(u8::is_ascii_lowercase) && has(u8::is_ascii_uppercase) && entropy(value) >= 3.7
}

/// Shannon's entropy of a value's bytes, in bits a byte.
#[expect(
    clippy::float_arithmetic,
    reason = "a measure of disorder, far from any price"
)]
fn entropy(value: &[u8]) -> f64 {
    let mut counts: BTreeMap<u8, u32> = BTreeMap::new();
    for byte in value {
        let count = counts.entry(*byte).or_default();
        *count = count.saturating_add(1);
    }
    let all = f64::from(u32::try_from(value.len()).unwrap_or(u32::MAX));
    let part = |count: &u32| f64::from(*count) / all;
    counts
        .values()
        .map(|count| -part(count) * part(count).log2())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Such as a machine throws dice for; in two parts, so that this file has none.
    fn random(length: usize) -> String {
        let dice = [
            "kP7wXz3mQ9vR2tY8bN4cJ6hL",
            "1sD5fG0aZq8Nn2Vx5Lr7Wt1Yb9Mc3Kd6Hf4Gs0Pj",
        ]
        .concat();
        dice.chars().cycle().take(length).collect()
    }

    fn kinds(path: &str, text: &str) -> Vec<(usize, String)> {
        let found = Rules::new(&[]).unwrap().find(path, text.as_bytes());
        found
            .into_iter()
            .map(|leak| (leak.line, leak.kind))
            .collect()
    }

    #[test]
    fn every_format_is_found_and_an_example_of_it_is_not() {
        let upper = |length: usize| -> String {
            let letters = random(200).to_ascii_uppercase();
            let fits = letters
                .chars()
                .filter(|letter| matches!(letter, 'A'..='Z' | '2'..='7'));
            fits.take(length).collect()
        };
        let alphanumeric = random(100);
        let any = |length: usize| alphanumeric.get(..length).unwrap().to_owned();
        let keys = [
            (
                "private key",
                format!("-----BEGIN RSA PRIVATE {}-----\n{}", "KEY", any(64)),
            ),
            ("age secret key", format!("AGE-SECRET-KEY-1{}", upper(58))),
            ("passkey of Hoox", format!("hoox_{}", any(32))),
            ("operator key of Hoox", format!("hoox_op_{}", any(43))),
            ("webhook signing secret", format!("whsec_{}", any(43))),
            ("Cloudflare token", format!("cfut_{}", any(48))),
            ("Telegram bot token", format!("987654321:AA{}", any(33))),
            (
                "OpenAI key",
                format!("sk-proj-{}T3Blbk{}{}", any(30), "FJ", any(30)),
            ),
            ("Anthropic key", format!("sk-ant-api03-{}", any(95))),
            ("AWS access key", format!("AKIA{}", upper(16))),
            ("GitHub token", format!("ghp_{}", any(36))),
            ("GitHub token", format!("github_pat_{}", any(82))),
            ("GitLab token", format!("glpat-{}", any(20))),
            ("npm token", format!("npm_{}", any(36))),
            ("Slack token", format!("xoxb-{}", any(40))),
            (
                "Slack webhook",
                format!("https://hooks.slack.com/services/T0A/B0B/{}", any(24)),
            ),
            ("Stripe key", format!("sk_live_{}", any(24))),
            ("Google API key", format!("AIza{}", any(35))),
            (
                "JSON web token",
                format!("eyJ{}.eyJ{}.{}", any(30), any(40), any(43)),
            ),
        ];
        for (kind, key) in keys {
            let text = format!("first line\nsee '{key}' here\n");
            assert_eq!(kinds("notes.md", &text), [(2, kind.to_owned())], "{kind}");
            let dull: String = key
                .replace(&any(20), &"x".repeat(20))
                .replace(&upper(16), "EXAMPLEEXAMPLEEX");
            assert_ne!(dull, key, "{kind}");
            assert_eq!(
                kinds("notes.md", &format!("see '{dull}' here")),
                [],
                "{kind}"
            );
        }
    }

    #[test]
    fn a_value_under_a_secrets_name_is_found_where_it_looks_random() {
        let found = [(1, "random value under a secret's name".to_owned())];
        let (key, hex) = (
            random(36),
            "9f86d081884c7d65".repeat(2) + "9a2feaa0c55ad015",
        );
        for text in [
            format!("BYBIT_API_SECRET={key}"),
            format!("export BINANCE_API_KEY = \"{key}\""),
            format!("{{\"apiKey\": \"{key}\"}}"),
            format!("const PASSWORD: &str = \"{key}\";"),
            format!("  token: {key}"),
            format!("secret => '{key}'"),
            format!("SEALING_KEY={hex}"),
        ] {
            assert_eq!(kinds("src/a.rs", &text), found, "{text}");
            assert_eq!(kinds("web/package-lock.json", &text), [], "{text}");
        }
        for text in [
            format!("digest = \"{key}\""),
            "api_key = read_the_key_from_the_environment2".to_owned(),
            "secret: \"correct-horse-battery-staple-2\"".to_owned(),
            "API_KEY=${BYBIT_API_KEY_OF_TODAY1}".to_owned(),
            "SEALING_KEY=0000000000000000000000000000000000000000".to_owned(),
            format!("password: {}", random(19)),
            "token: AAAAAAAAAAAAAAAAAAAAAAAAAAAAaaaa1".to_owned(),
        ] {
            assert_eq!(kinds("src/a.rs", &text), [], "{text}");
        }
    }

    #[test]
    fn a_secret_of_this_machine_is_found_whatever_it_looks_like() {
        let secrets = [
            ("OPERATOR_KEY", "a plain phrase (of mine)"),
            ("SHORT", "fifteen letters"),
            ("BASE_URL", "https://api.example.com/long"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let rules = Rules::new(&secrets).unwrap();
        let text = "fifteen letters https://api.example.com/long\n\nxa plain phrase (of mine)x";
        let found = rules.find("Cargo.lock", text.as_bytes());
        let told: Vec<(usize, &str)> = found
            .iter()
            .map(|leak| (leak.line, leak.kind.as_str()))
            .collect();
        assert_eq!(told, [(3, "value of OPERATOR_KEY in .dev.vars")]);
    }

    #[test]
    fn entropy_is_shannons() {
        for (value, expected) in [("", 0.0), ("aaaa", 0.0), ("abab", 1.0), ("abcdabcd", 2.0)] {
            assert!(
                (entropy(value.as_bytes()) - expected).abs() < 1e-9,
                "{value}"
            );
        }
    }
}
