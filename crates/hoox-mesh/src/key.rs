//! What an account's API key may do, for the operator.

use hoox_auth::{Account, Environment};
use hoox_model::{KeyInfo, Name, Venue};
use serde::Serialize;

use crate::ProblemView;

/// A Ledger's word on its account's API key, fresh from the venue. Nothing of the key itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KeyReport {
    /// Name of the account.
    pub account: Name,
    /// The exchange.
    pub venue: Venue,
    /// Live, testnet or simulator.
    pub environment: Environment,
    /// The data centre that its calls leave from; `null` where that could not be found out.
    pub colo: Option<String>,
    /// Difference between the venue's clock and Hoox's in milliseconds, measured now; `null` where the venue did not
    /// tell its time.
    pub clock_offset_ms: Option<i64>,
    /// How long the venue took to answer for the key, in milliseconds.
    pub millis: Option<i64>,
    /// What the key may do; `null` where that is not known.
    pub key: Option<KeyInfo>,
    /// Why it is not known.
    pub problem: Option<ProblemView>,
}

impl KeyReport {
    /// A report that knows nothing of the key yet.
    pub fn new(account: &Account) -> Self {
        Self {
            account: account.name.clone(),
            venue: account.venue,
            environment: account.environment,
            colo: None,
            clock_offset_ms: None,
            millis: None,
            key: None,
            problem: None,
        }
    }
}
