//! One rule: what is checked, what is added to it, and where it goes.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Rule, expression};
use crate::clock;
use crate::envelope::Failure;

/// What the API adds to a rule.
const OWN_FIELDS: [&str; 3] = ["id", "version", "last_updated"];

/// Where a rule goes.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Position {
    /// Before the rule of this id; first, if empty.
    Before(String),
    /// After the rule of this id; last, if empty.
    After(String),
    /// At this place, 1 for the first.
    Index(usize),
    #[serde(skip)]
    #[default]
    Last,
}

impl Position {
    /// Takes the position out of a request's rule.
    pub(super) fn taken_from(given: &mut Rule) -> Result<Option<Self>, Failure> {
        given
            .remove("position")
            .map(serde_json::from_value)
            .transpose()
            .map_err(|_| Failure::bad_request(20_102, "malformed request body").at("/position"))
    }

    pub(super) fn insert(self, rules: &mut Vec<Rule>, rule: Rule) -> Result<(), Failure> {
        let at = match self {
            Self::Before(id) if id.is_empty() => 0,
            Self::Before(id) => index_of(rules, &id)?,
            Self::After(id) if !id.is_empty() => index_of(rules, &id)?.saturating_add(1),
            Self::After(_) | Self::Last => rules.len(),
            Self::Index(index) => index.saturating_sub(1).min(rules.len()),
        };
        rules.insert(at, rule);
        Ok(())
    }
}

pub(super) fn id(rule: &Rule) -> &str {
    rule.get("id").and_then(Value::as_str).unwrap_or_default()
}

pub(super) fn unknown(id: &str) -> Failure {
    Failure::not_found(10_002, format!("could not find rule '{id}'"))
}

pub(super) fn index_of(rules: &[Rule], wanted: &str) -> Result<usize, Failure> {
    rules
        .iter()
        .position(|rule| id(rule) == wanted)
        .ok_or_else(|| unknown(wanted))
}

/// The number after the rule's version.
pub(super) fn next_version(rule: &Rule) -> u64 {
    rule.get("version")
        .and_then(Value::as_str)
        .and_then(|version| version.parse::<u64>().ok())
        .unwrap_or_default()
        .saturating_add(1)
}

/// Whether the two say the same, but for what the API adds; a reference that is not given stays.
pub(super) fn same(present: &Rule, given: &Rule) -> bool {
    let own = |rule: &Rule| -> Rule {
        rule.iter()
            .filter(|(name, _)| !OWN_FIELDS.contains(&name.as_str()))
            .filter(|(name, _)| *name != "ref" || given.contains_key("ref"))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect()
    };
    own(present) == own(given)
}

/// The rule as it is stored, if it is one.
pub(super) fn stored(
    mut rule: Rule,
    id: &str,
    version: u64,
    pointer: &str,
) -> Result<Rule, Failure> {
    let text = |name: &str| rule.get(name).and_then(Value::as_str).unwrap_or_default();
    expression::check(text("expression"))
        .map_err(|failure| failure.at(&format!("{pointer}/expression")))?;
    if text("action").is_empty() {
        let message = "'' is not a valid value for action because the action cannot be blank";
        return Err(Failure::bad_request(20_124, message).at(&format!("{pointer}/action")));
    }
    rule.entry("ref").or_insert_with(|| json!(id));
    rule.entry("enabled").or_insert(json!(true));
    rule.insert("id".to_owned(), json!(id));
    rule.insert("version".to_owned(), json!(version.to_string()));
    rule.insert("last_updated".to_owned(), json!(clock::now()));
    Ok(rule)
}
