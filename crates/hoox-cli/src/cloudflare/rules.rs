//! Custom rules of a zone's firewall, by the Rulesets API.

use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Cloudflare, Scope};
use crate::failure::Failure;

/// The phase in which custom rules run.
const PHASE: &str = "http_request_firewall_custom";

/// A ruleset.
#[derive(Debug, Deserialize)]
pub(crate) struct Ruleset {
    pub(crate) id: String,
    #[serde(default)]
    pub(crate) rules: Vec<Rule>,
}

/// A rule. What is not here stays as it is: only Hoox's own rule is ever written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Rule {
    #[serde(default, skip_serializing)]
    pub(crate) id: String,
    /// A name that lasts over changes.
    #[serde(rename = "ref", default)]
    pub(crate) reference: String,
    #[serde(default)]
    pub(crate) description: String,
    #[serde(default)]
    pub(crate) expression: String,
    #[serde(default)]
    pub(crate) action: String,
    #[serde(default = "yes")]
    pub(crate) enabled: bool,
}

const fn yes() -> bool {
    true
}

/// A rule with the first place.
fn first(rule: &Rule) -> Value {
    let mut body = json!(rule);
    if let Some(fields) = body.as_object_mut() {
        fields.insert("position".to_owned(), json!({ "index": 1 }));
    }
    body
}

impl Cloudflare {
    /// The custom rules of a zone; `None` before the first one was made.
    pub(crate) async fn rules(&self, zone: &str) -> Result<Option<Ruleset>, Failure> {
        let path = ["zones", zone, "rulesets", "phases", PHASE, "entrypoint"];
        self.get(&path, Scope::Waf).maybe().await
    }

    /// Makes the first custom rule of a zone.
    pub(crate) async fn first_rule(&self, zone: &str, rule: &Rule) -> Result<Ruleset, Failure> {
        let path = ["zones", zone, "rulesets", "phases", PHASE, "entrypoint"];
        let call = self.call(Method::PUT, &path, Scope::Waf);
        call.json(json!({ "rules": [rule] })).one().await
    }

    /// Adds a rule before all others, so that none of them can let a request past it.
    pub(crate) async fn add_rule(
        &self,
        zone: &str,
        ruleset: &str,
        rule: &Rule,
    ) -> Result<Ruleset, Failure> {
        let path = ["zones", zone, "rulesets", ruleset, "rules"];
        self.call(Method::POST, &path, Scope::Waf)
            .json(first(rule))
            .one()
            .await
    }

    /// Changes a rule and makes it the first one; its id stays.
    pub(crate) async fn change_rule(
        &self,
        zone: &str,
        ruleset: &str,
        id: &str,
        rule: &Rule,
    ) -> Result<Ruleset, Failure> {
        let path = ["zones", zone, "rulesets", ruleset, "rules", id];
        let call = self.call(Method::PATCH, &path, Scope::Waf);
        call.json(first(rule)).one().await
    }

    /// Removes a rule; whether there was one.
    pub(crate) async fn remove_rule(
        &self,
        zone: &str,
        ruleset: &str,
        id: &str,
    ) -> Result<bool, Failure> {
        let path = ["zones", zone, "rulesets", ruleset, "rules", id];
        let call = self.call(Method::DELETE, &path, Scope::Waf);
        call.was_there().await
    }
}
