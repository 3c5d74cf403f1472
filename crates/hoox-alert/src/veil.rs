//! Keeps passkeys out of what is printed.

/// Shortest key of another service that is looked for in other fields: shorter texts stand in anything.
const MIN_FOREIGN: usize = 8;
/// How a passkey that Hoox made begins.
const PREFIX: &str = "hoox_";
/// What stands for a secret.
const HIDDEN: &str = "(not shown)";

/// The secrets of one message.
pub(crate) struct Veil(Vec<String>);

impl Veil {
    /// The passkey, and what stands under the name of a secret.
    pub(crate) fn new<'a>(
        passkey: Option<&str>,
        fields: impl Iterator<Item = (&'a str, String)>,
    ) -> Self {
        let own = passkey.filter(|key| !key.is_empty() && *key != crate::PASSKEY);
        let foreign = fields
            .filter(|(name, text)| names_a_secret(name) && text.len() >= MIN_FOREIGN)
            .map(|(_, text)| text);
        Self(own.map(str::to_owned).into_iter().chain(foreign).collect())
    }

    /// A text without them.
    pub(crate) fn over(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for secret in &self.0 {
            text = text.replace(secret, HIDDEN);
        }
        without_made(&text)
    }
}

/// Whether a field's name says that its value is a secret, as other services call theirs.
fn names_a_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["key", "secret", "token", "passphrase", "password"]
        .iter()
        .any(|word| name.contains(word))
        && !name.contains("idempotency")
}

/// A text without whatever looks like a passkey that Hoox made.
fn without_made(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(PREFIX) {
        out.push_str(before);
        let end = after
            .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '-'))
            .unwrap_or(after.len());
        let (key, tail) = after.split_at_checked(end).unwrap_or((after, ""));
        if key.len() < MIN_FOREIGN {
            out.push_str(PREFIX);
            out.push_str(key);
        } else {
            out.push_str(HIDDEN);
        }
        rest = tail;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_hidden_and_nothing_else_is() {
        let fields = [
            ("secret", "of-another-bot".to_owned()),
            ("comment", "not a secret".to_owned()),
        ];
        let veil = Veil::new(Some("my-own-key"), fields.into_iter());
        assert_eq!(
            veil.over("my-own-key of-another-bot not a secret hoox_abcdefghij0123 hoox_x"),
            "(not shown) (not shown) not a secret (not shown) hoox_x"
        );
    }
}
