//! `.dev.vars`: names and values of local secrets, and what is wrong with them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use hoox_mesh::registry::{generated_secrets, is_exchange_secret};

use super::{Check, Group};
use crate::commands::secrets::SHORTEST;
use crate::local::{Local, values};

const GROUP: Group = Group("Local secrets");
/// The file of local secrets, which git ignores.
pub(crate) const FILE: &str = ".dev.vars";

/// Local secrets, by name.
pub(crate) type Variables = Vec<(String, String)>;

/// The secrets of a checkout, or why there are none to be looked at.
pub(crate) fn read(checkout: &Path) -> Result<Variables, String> {
    let text = Local::of(checkout).read();
    let text = text.map_err(|failure| failure.message)?;
    let values = values(text.expose()).into_iter();
    Ok(values
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect())
}

/// Looks at the values. No value is part of a line.
pub(crate) fn checks(variables: &Result<Variables, String>) -> Vec<Check> {
    match variables {
        Ok(variables) => vec![
            placeholders(variables),
            lengths(variables),
            pairs(variables),
        ],
        Err(why) => ["placeholders", "key lengths", "key pairs"]
            .map(|name| GROUP.skip(name, why))
            .into(),
    }
}

/// Whether a value stands for one that is still to come.
pub(crate) fn is_placeholder(value: &str) -> bool {
    let value = value.trim().to_ascii_lowercase();
    let spelt = [
        "changeme",
        "change-me",
        "change_me",
        "replace",
        "placeholder",
        "todo",
        "xxx",
        "…",
        "...",
    ];
    let between = |open: &str, close: &str| value.starts_with(open) && value.ends_with(close);
    value.contains("{{")
        || between("<", ">")
        || between("your-", "-here")
        || between("your_", "_here")
        || spelt
            .iter()
            .any(|word| value == *word || (word.len() > 6 && value.starts_with(word)))
}

fn names(variables: &Variables, fits: impl Fn(&str, &str) -> bool) -> Vec<&str> {
    let found = variables.iter().filter(|(name, value)| fits(name, value));
    found.map(|(name, _)| name.as_str()).collect()
}

fn placeholders(variables: &Variables) -> Check {
    let name = "placeholders";
    let found = names(variables, |_, value| is_placeholder(value));
    let empty = names(variables, |_, value| value.is_empty());
    if !found.is_empty() {
        let found = found.join(", ");
        return GROUP.fail(
            name,
            format!("{FILE} still has them: {found}"),
            "put real values there, or take the lines out",
        );
    }
    if !empty.is_empty() {
        let empty = empty.join(", ");
        return GROUP.warn(
            name,
            format!("empty in {FILE}: {empty}"),
            "`npm run dev` fills in what Hoox makes itself; take other lines out",
        );
    }
    GROUP.pass(name, format!("none in {FILE}"))
}

fn lengths(variables: &Variables) -> Check {
    let name = "key lengths";
    let generated = generated_secrets();
    let own = |of: &str| generated.contains(&of);
    let short = names(variables, |of, value| {
        own(of) && !value.is_empty() && value.chars().count() < SHORTEST
    });
    if !short.is_empty() {
        let detail = format!("shorter than {SHORTEST} characters: {}", short.join(", "));
        return GROUP.fail(
            name,
            detail,
            "empty them in .dev.vars; `npm run dev` makes good ones",
        );
    }
    let mut by_value: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (of, value) in variables
        .iter()
        .filter(|(of, value)| own(of) && !value.is_empty())
    {
        by_value.entry(value).or_default().insert(of);
    }
    let alike: Vec<String> = by_value
        .into_values()
        .filter(|names| names.len() > 1)
        .map(|names| Vec::from_iter(names).join(" = "))
        .collect();
    if !alike.is_empty() {
        return GROUP.fail(
            name,
            format!("the same value twice: {}", alike.join(", ")),
            "each needs its own: empty them in .dev.vars; `npm run dev` makes good ones",
        );
    }
    GROUP.pass(
        name,
        format!("{SHORTEST} characters at least, no two alike"),
    )
}

/// An exchange's key is of no use without its secret.
fn pairs(variables: &Variables) -> Check {
    let name = "key pairs";
    let set = names(variables, |of, value| {
        is_exchange_secret(of) && !value.is_empty()
    });
    let missing: Vec<String> = set
        .iter()
        .filter_map(|of| partner(of))
        .filter(|partner| !set.contains(&partner.as_str()))
        .collect();
    if missing.is_empty() {
        let detail = match set.len() / 2 {
            0 => "no exchange keys".to_owned(),
            pairs => format!("exchange keys, each with its secret: {pairs}"),
        };
        return GROUP.pass(name, detail);
    }
    GROUP.fail(
        name,
        format!("half of a pair is missing: {}", missing.join(", ")),
        "set it in .dev.vars, or take the other half out",
    )
}

/// `BYBIT_API_SECRET__SUB1` for `BYBIT_API_KEY__SUB1`, and the other way round.
fn partner(name: &str) -> Option<String> {
    let (base, suffix) = name
        .split_once("__")
        .map_or((name, String::new()), |(base, suffix)| {
            (base, format!("__{suffix}"))
        });
    let other = base
        .strip_suffix("_API_KEY")
        .map(|venue| format!("{venue}_API_SECRET"))
        .or_else(|| Some(format!("{}_API_KEY", base.strip_suffix("_API_SECRET")?)))?;
    Some(other + &suffix)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;

    const GOOD: &str = "kP7wXz3mQ9vR2tY8bN4cJ6hL1sD5fG0a";
    const OTHER: &str = "Zq8Nn2Vx5Lr7Wt1Yb9Mc3Kd6Hf4Gs0Pj";

    fn variables(lines: &[(&str, &str)]) -> Variables {
        lines
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn placeholders_are_told_from_values() {
        for value in [
            "{{KEY}}",
            "changeme",
            "CHANGEME",
            "your-api-key-here",
            "your_key_here",
            "…",
            "...",
            "<key>",
            "replace-me",
            "TODO",
            "xxx",
        ] {
            assert!(is_placeholder(value), "{value}");
        }
        for value in [
            GOOD,
            "",
            "yourself",
            "todolist",
            "a{b}c",
            "https://example.com",
        ] {
            assert!(!is_placeholder(value), "{value}");
        }
        let of = |lines: &[(&str, &str)]| placeholders(&variables(lines)).verdict;
        assert_eq!(of(&[("A", "changeme"), ("B", "")]), Verdict::Fail);
        assert_eq!(of(&[("B", "")]), Verdict::Warn);
        assert_eq!(of(&[("B", GOOD)]), Verdict::Pass);
    }

    #[test]
    fn hoox_own_secrets_are_long_and_differ() {
        let of = |lines: &[(&str, &str)]| lengths(&variables(lines)).verdict;
        let (short, _) = GOOD.split_at(31);
        assert_eq!(
            of(&[("OPERATOR_KEY", GOOD), ("SEALING_KEY", OTHER)]),
            Verdict::Pass
        );
        assert_eq!(of(&[("OPERATOR_KEY", short)]), Verdict::Fail);
        assert_eq!(
            of(&[("OPERATOR_KEY", GOOD), ("SEALING_KEY", GOOD)]),
            Verdict::Fail
        );
        // An exchange decides about its own keys, and what is empty is made.
        assert_eq!(
            of(&[
                ("BYBIT_API_KEY", "short"),
                ("OPERATOR_KEY", ""),
                ("SEALING_KEY", "")
            ]),
            Verdict::Pass
        );
    }

    #[test]
    fn exchange_keys_come_in_pairs() {
        let of = |lines: &[(&str, &str)]| pairs(&variables(lines)).verdict;
        let pair = [
            ("BYBIT_API_KEY__SUB1", "k"),
            ("BYBIT_API_SECRET__SUB1", "s"),
        ];
        assert_eq!(of(&pair), Verdict::Pass);
        assert_eq!(of(&pair[..1]), Verdict::Fail);
        assert_eq!(of(&[pair[0], ("BYBIT_API_SECRET", "s")]), Verdict::Fail);
        assert_eq!(
            of(&[
                ("BYBIT_TESTNET_API_SECRET", "s"),
                ("BYBIT_TESTNET_API_KEY", "")
            ]),
            Verdict::Fail
        );
        assert_eq!(of(&[("OPENAI_API_KEY", "k")]), Verdict::Pass);
    }
}
