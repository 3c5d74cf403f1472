//! `hoox accounts`.

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Map, Value, json};

use super::config::{Retire, parsed, present, put};
use super::import::READY;
use super::{list, word};
use crate::context::Context;
use crate::failure::Failure;
use crate::gateway::Gateway;
use crate::output::{Done, rows, table};
use crate::status::OF_A_VERDICT;

#[derive(Debug, Subcommand)]
pub(crate) enum Accounts {
    /// All of them
    List,
    /// Add one to the manifest
    Add(AddAccount),
    /// Ask its exchange for the time and for what its key may do; nothing is traded
    #[command(after_help = OF_A_VERDICT)]
    Test {
        /// Its name or id
        account: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct AddAccount {
    /// What alerts call it: letters, digits, '-' and '_'
    name: String,
    /// The exchange
    #[arg(long, default_value = "bybit")]
    venue: String,
    /// With real money, or without
    #[arg(long, value_enum)]
    environment: Environment,
    /// Its stable id, which never changes and is never reused; VENUE-NAME unless given
    #[arg(long)]
    id: Option<String>,
    /// What a symbol without .P means
    #[arg(long, value_enum, default_value = "linear")]
    product: Product,
    /// Where its orders are sent from, such as apac, weur, enam
    #[arg(long)]
    location_hint: Option<String>,
    /// Tells the secrets of further accounts apart: SUB1 makes `BYBIT_API_KEY__SUB1`
    #[arg(long)]
    secret_suffix: Option<String>,
    /// Group of accounts, for senders that are limited to groups
    #[arg(long)]
    namespace: Option<String>,
    /// The one that is meant by its exchange's name alone
    #[arg(long)]
    default: bool,
    /// Origin of the exchange's API, for a simulator
    #[arg(long)]
    base_url: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Environment {
    Live,
    Testnet,
    Sim,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Product {
    Linear,
    Spot,
}

pub(crate) async fn run(context: &Context, task: &Accounts) -> Result<Done, Failure> {
    let gateway = &context.gateway()?;
    match task {
        Accounts::List => list_all(gateway).await,
        Accounts::Add(account) => add(gateway, account).await,
        Accounts::Test { account } => super::keys::audit(gateway, Some(account)).await,
    }
}

async fn list_all(gateway: &Gateway) -> Result<Done, Failure> {
    let found = gateway.get("/v1/accounts", &[]).await?.body;
    let text = table(
        &[
            "ACCOUNT",
            "ID",
            "VENUE",
            "ENVIRONMENT",
            "PRODUCT",
            "LOCATION",
            "SECRET SUFFIX",
        ],
        &rows(
            list(&found, "accounts"),
            &[
                "name",
                "id",
                "venue",
                "environment",
                "defaultProduct",
                "locationHint",
                "secretSuffix",
            ],
        ),
    );
    Ok(Done::new(text, found))
}

/// Adds an account to the manifest in force; the first one makes a manifest.
async fn add(gateway: &Gateway, asked: &AddAccount) -> Result<Done, Failure> {
    let (version, mut document) = match present(gateway).await? {
        Some(present) => (present.version, present.document),
        None => (0, json!({ "senders": [], "accounts": [] })),
    };
    let version = version.saturating_add(1);
    let accounts = document.get_mut("accounts").and_then(Value::as_array_mut);
    let accounts =
        accounts.ok_or_else(|| Failure::new("BAD_MANIFEST", "the manifest has no accounts"))?;
    accounts.push(Value::Object(account(asked)));
    if let Some(fields) = document.as_object_mut() {
        fields.insert("version".to_owned(), json!(version));
    }
    let manifest = parsed(&document.to_string())?;
    put(gateway, &document, &Retire::default()).await?;
    let added = manifest.accounts.last();
    let again = gateway.again();
    let later = match added.map(|account| account.venue) {
        Some(venue) if !READY.contains(&venue) => {
            format!("\nOrders cannot go to {venue} yet; they are refused until they can.")
        }
        _ => String::new(),
    };
    let (key, secret) = added
        .map(hoox_auth::Account::secret_names)
        .unwrap_or_default();
    let text = format!(
        "Account '{}' is in the manifest, version {version}.\nIts keys: hoox secrets set {key}{again}, hoox secrets set {secret}{again}. Then: hoox accounts test {}{again}{later}",
        asked.name, asked.name
    );
    let data = json!({ "account": added, "version": version, "secrets": [key, secret] });
    Ok(Done::new(text, data))
}

fn account(asked: &AddAccount) -> Map<String, Value> {
    let id = asked.id.clone();
    let id = id.unwrap_or_else(|| format!("{}-{}", asked.venue.to_lowercase(), asked.name));
    let fields = [
        ("id", json!(id)),
        ("name", json!(asked.name)),
        ("venue", json!(asked.venue.to_lowercase())),
        ("environment", json!(word(&asked.environment))),
        ("defaultProduct", json!(word(&asked.product))),
        ("locationHint", json!(asked.location_hint)),
        ("secretSuffix", json!(asked.secret_suffix)),
        ("namespace", json!(asked.namespace)),
        ("baseUrl", json!(asked.base_url)),
        ("default", json!(asked.default.then_some(true))),
    ];
    let given = fields.into_iter().filter(|(_, value)| !value.is_null());
    given
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}
