//! What the account's API key may do, and from where.

use std::collections::BTreeMap;

use hoox_model::Timestamp;
use serde::{Deserialize, Serialize};

/// A key that works from everywhere lasts for so long.
const UNBOUND_MS: i64 = 90 * 86_400_000;
/// Where a key works that is bound to no address.
pub(crate) const EVERYWHERE: &str = "*";

/// The terms of the account's API key, in the venue's words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KeyTerms {
    /// Permissions by kind, such as `"ContractTrade": ["Order", "Position"]`.
    pub permissions: BTreeMap<String, Vec<String>>,
    /// Whether it only reads.
    pub read_only: bool,
    /// The addresses it is bound to, or `*`.
    pub ips: Vec<String>,
    /// When it was made, in epoch milliseconds.
    pub created_at: Timestamp,
    /// When it ends, in epoch milliseconds; `None` for a key that does not.
    pub expires_at: Option<Timestamp>,
}

impl KeyTerms {
    /// A key that trades contracts from everywhere, for 90 days.
    pub fn new(created_at: Timestamp) -> Self {
        let words = |words: &[&str]| words.iter().map(ToString::to_string).collect();
        Self {
            permissions: BTreeMap::from([
                ("ContractTrade".to_owned(), words(&["Order", "Position"])),
                ("Derivatives".to_owned(), words(&["DerivativesTrade"])),
            ]),
            read_only: false,
            ips: words(&[EVERYWHERE]),
            created_at,
            expires_at: Some(created_at.plus_millis(UNBOUND_MS)),
        }
    }

    /// Gives it exactly these permissions of one kind.
    pub fn permit(&mut self, kind: &str, permissions: &[&str]) {
        let permissions = permissions.iter().map(ToString::to_string).collect();
        self.permissions.insert(kind.to_owned(), permissions);
    }

    /// Binds it to addresses, which takes its end away.
    pub fn bind(&mut self, ips: &[&str]) {
        self.ips = ips.iter().map(ToString::to_string).collect();
        self.expires_at = None;
    }

    /// Whether it has a permission.
    pub(crate) fn permits(&self, kind: &str, permission: &str) -> bool {
        self.permissions
            .get(kind)
            .is_some_and(|all| all.iter().any(|one| one == permission))
    }
}
