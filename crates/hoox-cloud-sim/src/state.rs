//! Everything the double remembers, as one document: what a test seeds is also what it reads back.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::permission::Permission;

/// The user, tokens, accounts and zones. The contents of D1 databases are not part of the document.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct State {
    /// The user whose tokens these are.
    pub user: User,
    /// Every token there is.
    pub tokens: Vec<Token>,
    /// Every account there is.
    pub accounts: Vec<Account>,
    /// Every zone there is.
    pub zones: Vec<Zone>,
}

/// The user behind the tokens.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// Identifier, 32 hexadecimal digits.
    pub id: String,
    /// Address by which the user signs in.
    pub email: String,
}

impl Default for User {
    fn default() -> Self {
        Self {
            id: format!("{:032x}", 1),
            email: "trader@example.com".to_owned(),
        }
    }
}

/// An API token.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// The text that follows `Bearer`.
    pub token: String,
    /// Identifier, 32 hexadecimal digits.
    pub id: String,
    /// Whether it still works.
    #[serde(default)]
    pub status: TokenStatus,
    /// When it ends, RFC 3339; shown only, `status` decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_on: Option<String>,
    /// What it may do; everything if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permissions: Option<Vec<Permission>>,
    /// Ids of the accounts it is good for, with their zones; all if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accounts: Option<Vec<String>>,
}

/// Whether a token still works.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenStatus {
    /// It works.
    #[default]
    Active,
    /// It was switched off.
    Disabled,
    /// Its time is over.
    Expired,
}

/// An account.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// Identifier, 32 hexadecimal digits.
    pub id: String,
    /// Name.
    pub name: String,
    /// The label before `.workers.dev`, if one was chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subdomain: Option<String>,
    /// Workers by name.
    #[serde(default)]
    pub scripts: BTreeMap<String, Script>,
    /// Custom domains of Workers.
    #[serde(default)]
    pub domains: Vec<Domain>,
    /// KV namespaces.
    #[serde(default)]
    pub namespaces: Vec<Namespace>,
    /// D1 databases.
    #[serde(default)]
    pub databases: Vec<Database>,
}

/// A Worker.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Script {
    /// Bindings as the API shows them, secrets excepted.
    pub bindings: Vec<Value>,
    /// Values of the secrets by name.
    pub secrets: BTreeMap<String, String>,
    /// Whether it answers at `<name>.<subdomain>.workers.dev`.
    pub workers_dev: bool,
    /// Whether its versions have addresses of their own.
    pub previews: bool,
    /// Cron expressions.
    pub schedules: Vec<String>,
    /// Tag of the last Durable Object migration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub migration_tag: Option<String>,
    /// Names of the Durable Object classes that migrations created.
    pub classes: Vec<String>,
    /// The rest of the uploaded metadata: main module, compatibility date and the like.
    pub metadata: Map<String, Value>,
    /// Names of the uploaded modules.
    pub modules: Vec<String>,
    /// Settings outside versions: tags, logs, observability.
    pub settings: Map<String, Value>,
    /// The uploaded versions, oldest first.
    pub versions: Vec<Version>,
    /// Deployments, oldest first.
    pub deployments: Vec<Deployment>,
    /// When it was first uploaded, RFC 3339.
    pub created_on: String,
    /// When it last changed, RFC 3339.
    pub modified_on: String,
}

/// An uploaded version of a Worker. It shows in the [`Script`] once it is deployed.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Version {
    /// Identifier, a UUID.
    pub id: String,
    /// 1 for the first version.
    pub number: usize,
    /// When it was uploaded, RFC 3339.
    pub created_on: String,
    /// As in [`Script`].
    pub bindings: Vec<Value>,
    /// As in [`Script`].
    pub secrets: BTreeMap<String, String>,
    /// As in [`Script`].
    pub metadata: Map<String, Value>,
    /// As in [`Script`].
    pub modules: Vec<String>,
}

/// A deployment: which versions get the traffic.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deployment {
    /// Identifier, a UUID.
    pub id: String,
    /// Versions with their shares, as the API shows them.
    pub versions: Value,
    /// What changed, as the API shows it.
    #[serde(default)]
    pub annotations: Value,
    /// When it was made, RFC 3339.
    pub created_on: String,
}

/// A custom domain that leads to a Worker.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Domain {
    /// Identifier, 32 hexadecimal digits.
    pub id: String,
    /// Host name.
    pub hostname: String,
    /// The Worker's name.
    pub service: String,
    /// Id of the host name's zone.
    pub zone_id: String,
    /// Name of the host name's zone.
    pub zone_name: String,
}

/// A KV namespace.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Namespace {
    /// Identifier, 32 hexadecimal digits.
    pub id: String,
    /// Name, unique in the account.
    pub title: String,
    /// Values by key.
    #[serde(default)]
    pub entries: BTreeMap<String, Entry>,
}

/// A value in KV.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// The value. In the document it is text, and what is not UTF-8 is replaced.
    #[serde(with = "text")]
    pub value: Vec<u8>,
    /// Its metadata.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Value>,
    /// When it ends, seconds since the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expiration: Option<i64>,
}

/// A D1 database.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Database {
    /// Identifier, a UUID.
    pub uuid: String,
    /// Name, unique in the account.
    pub name: String,
    /// When it was created, RFC 3339.
    #[serde(default)]
    pub created_at: String,
}

/// A zone.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Zone {
    /// Identifier, 32 hexadecimal digits.
    pub id: String,
    /// Domain name.
    pub name: String,
    /// Id of its account.
    pub account: String,
    /// How many custom firewall rules its plan allows; 5 on the Free plan.
    #[serde(default = "free_rules")]
    pub max_rules: usize,
    /// Routes to Workers.
    #[serde(default)]
    pub routes: Vec<Route>,
    /// Rulesets by phase.
    #[serde(default)]
    pub rulesets: BTreeMap<String, Ruleset>,
}

fn free_rules() -> usize {
    5
}

/// A route from a zone to a Worker.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// Identifier, 32 hexadecimal digits.
    pub id: String,
    /// Host and path, with `*` as wildcard.
    pub pattern: String,
    /// The Worker's name.
    pub script: String,
}

/// The entry point ruleset of a zone's phase.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ruleset {
    /// Identifier, 32 hexadecimal digits.
    pub id: String,
    /// Name.
    #[serde(default)]
    pub name: String,
    /// Description.
    #[serde(default)]
    pub description: String,
    /// Counts the changes.
    #[serde(default)]
    pub version: u64,
    /// Rules in order of execution, as the API shows them.
    #[serde(default)]
    pub rules: Vec<Map<String, Value>>,
    /// When it last changed, RFC 3339.
    #[serde(default)]
    pub last_updated: String,
}

impl State {
    /// The token of this text.
    pub fn token(&self, text: &str) -> Option<&Token> {
        self.tokens.iter().find(|token| token.token == text)
    }

    /// The account of this id.
    pub fn account(&self, id: &str) -> Option<&Account> {
        self.accounts.iter().find(|account| account.id == id)
    }

    /// The account of this id, to change it.
    pub fn account_mut(&mut self, id: &str) -> Option<&mut Account> {
        self.accounts.iter_mut().find(|account| account.id == id)
    }

    /// The zone of this id.
    pub fn zone(&self, id: &str) -> Option<&Zone> {
        self.zones.iter().find(|zone| zone.id == id)
    }

    /// The zone of this id, to change it.
    pub fn zone_mut(&mut self, id: &str) -> Option<&mut Zone> {
        self.zones.iter_mut().find(|zone| zone.id == id)
    }
}

impl Script {
    /// Puts a version in effect.
    pub(crate) fn take(&mut self, version: &Version) {
        self.bindings.clone_from(&version.bindings);
        self.secrets.clone_from(&version.secrets);
        self.metadata.clone_from(&version.metadata);
        self.modules.clone_from(&version.modules);
    }
}

/// Bytes as text.
mod text {
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&String::from_utf8_lossy(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<u8>, D::Error> {
        Ok(String::deserialize(deserializer)?.into_bytes())
    }
}
