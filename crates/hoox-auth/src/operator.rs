//! Operators: who may call the operator API, each with a key and a level of their own.

use core::fmt;
use core::str::FromStr;

use data_encoding::{BASE64URL_NOPAD, HEXLOWER, HEXLOWER_PERMISSIVE};
use hoox_model::{Code, Name, Secret, Timestamp};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};
use thiserror::Error;

use crate::{MAX_PASSKEY_BYTES, Refusal};

/// The operator who holds the gateway's secret `OPERATOR_KEY`: at level admin, on no list, and never locked out by one.
pub const OWNER: &str = "owner";
/// Most operators beside the owner.
pub const MAX_OPERATORS: usize = 20;
/// Names that stand for somebody else in the audit trail.
const RESERVED: [&str; 3] = [OWNER, crate::OPERATOR, "stranger"];

/// What an operator may do. Each level includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Read records, health, the audit trail and what is configured, without any key or hash.
    Read,
    /// Engage the kill switch, settle, replay and discard dead letters.
    Operate,
    /// Release the kill switch, change the manifest, senders and operators, drop months of the audit trail.
    Admin,
}

impl Level {
    /// Every level, the lowest first.
    pub const ALL: [Self; 3] = [Self::Read, Self::Operate, Self::Admin];

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Operate => "operate",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// SHA-256 of an operator's key. Such keys hold 256 random bits, so neither a salt nor a slow hash would add anything.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyDigest([u8; 32]);

/// A text is not the digest of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("must be the SHA-256 of the key, written as 64 hex digits")]
pub struct KeyDigestError;

impl KeyDigest {
    /// The digest of a key.
    pub fn of(key: &Secret) -> Self {
        Self(Sha256::digest(key.expose().as_bytes()).into())
    }
}

impl FromStr for KeyDigest {
    type Err = KeyDigestError;

    fn from_str(text: &str) -> Result<Self, KeyDigestError> {
        let bytes = HEXLOWER_PERMISSIVE.decode(text.as_bytes());
        let bytes = bytes.map_err(|_| KeyDigestError)?;
        bytes.try_into().map(Self).map_err(|_| KeyDigestError)
    }
}

impl fmt::Debug for KeyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyDigest(…)")
    }
}

impl Serialize for KeyDigest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&HEXLOWER.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for KeyDigest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

/// An operator's key of 256 random bits: `hoox_op_` and 43 characters of URL-safe base 64.
pub fn new_operator_key(random: [u8; 32]) -> Secret {
    Secret::new(format!("hoox_op_{}", BASE64URL_NOPAD.encode(&random)))
}

/// An operator with a key of their own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Operator {
    /// Unique; what the audit trail says of them.
    pub name: Name,
    /// What they may do.
    pub level: Level,
    /// What is kept of their key.
    pub key_sha256: KeyDigest,
    /// When that key was made.
    pub key_created_at: Timestamp,
}

/// Every operator beside the owner.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Operators {
    /// How often the list was changed: of two lists the one with the higher revision is in force.
    pub revision: u64,
    /// The operators, in the order in which they were added.
    pub list: Vec<Operator>,
}

/// What an operator at level admin wants of the list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    tag = "verb",
    rename_all = "camelCase",
    rename_all_fields = "camelCase"
)]
pub enum OperatorChange {
    /// A new operator.
    Add {
        /// Who.
        name: Name,
        /// What they may do.
        level: Level,
        /// What is kept of their key.
        key_sha256: KeyDigest,
    },
    /// Another key for an operator; the one before ends at once.
    Rotate {
        /// Whose.
        name: Name,
        /// What is kept of the new key.
        key_sha256: KeyDigest,
    },
    /// Takes an operator off the list.
    Revoke {
        /// Whom.
        name: Name,
    },
}

impl OperatorChange {
    /// Whom it is about.
    pub const fn name(&self) -> &Name {
        match self {
            Self::Add { name, .. } | Self::Rotate { name, .. } | Self::Revoke { name } => name,
        }
    }

    /// The key that it puts into force.
    const fn key(&self) -> Option<&KeyDigest> {
        match self {
            Self::Add { key_sha256, .. } | Self::Rotate { key_sha256, .. } => Some(key_sha256),
            Self::Revoke { .. } => None,
        }
    }
}

impl Operators {
    /// Whether it is the list of a deployment that has never had one.
    pub(crate) const fn is_untouched(&self) -> bool {
        self.revision == 0
    }

    /// The operator of this name.
    pub fn named(&self, name: &Name) -> Option<&Operator> {
        self.list.iter().find(|operator| operator.name == *name)
    }

    /// Who holds the presented key. It is compared with every key on the list whatever came before, so that the time
    /// taken tells nobody how near a wrong one comes.
    pub fn holder(&self, presented: &str) -> Option<&Operator> {
        if presented.len() > MAX_PASSKEY_BYTES {
            return None;
        }
        let presented: [u8; 32] = Sha256::digest(presented.as_bytes()).into();
        // Place of the operator that matched, counted from 1; 0 is none.
        let mut found = 0u32;
        for (operator, place) in self.list.iter().zip(1u32..) {
            let matched: Choice = operator.key_sha256.0.ct_eq(&presented);
            found.conditional_assign(&place, matched);
        }
        let index = usize::try_from(found.checked_sub(1)?).ok()?;
        self.list.get(index)
    }

    /// The list with one change, one revision higher. A change that was made already changes nothing, so that it can be
    /// repeated when its answer was lost.
    ///
    /// # Errors
    /// [`Refusal`] with [`Code::NotFound`], [`Code::Conflict`] where the name or the key is taken or the list is full,
    /// or [`Code::BadField`] for a reserved name.
    pub fn with_change(&self, change: &OperatorChange, now: Timestamp) -> Result<Self, Refusal> {
        let name = change.name();
        if RESERVED.contains(&name.as_str()) {
            return Err(reserved(name));
        }
        if self.is_done(change) {
            return Ok(self.clone());
        }
        let key = change.key();
        if let Some(other) = self.list.iter().find(|it| key == Some(&it.key_sha256)) {
            let text = format!(
                "operator '{}' has this key; each has one of their own",
                other.name
            );
            return Err(Refusal::new(Code::Conflict, Some("keySha256"), text));
        }
        let mut changed = self.clone();
        changed.revision = self.revision.saturating_add(1);
        match change {
            OperatorChange::Add {
                name,
                level,
                key_sha256,
            } => changed.add(Operator {
                name: name.clone(),
                level: *level,
                key_sha256: key_sha256.clone(),
                key_created_at: now,
            })?,
            OperatorChange::Rotate { name, key_sha256 } => {
                let known = changed.list.iter_mut().find(|it| it.name == *name);
                let operator = known.ok_or_else(|| nobody(name))?;
                operator.key_sha256 = key_sha256.clone();
                operator.key_created_at = now;
            }
            OperatorChange::Revoke { name } => {
                self.named(name).ok_or_else(|| nobody(name))?;
                changed.list.retain(|operator| operator.name != *name);
            }
        }
        Ok(changed)
    }

    fn is_done(&self, change: &OperatorChange) -> bool {
        let Some(known) = self.named(change.name()) else {
            return false;
        };
        let same_level = match change {
            OperatorChange::Add { level, .. } => known.level == *level,
            OperatorChange::Rotate { .. } => true,
            OperatorChange::Revoke { .. } => false,
        };
        same_level && change.key() == Some(&known.key_sha256)
    }

    fn add(&mut self, operator: Operator) -> Result<(), Refusal> {
        let name = &operator.name;
        if self.named(name).is_some() {
            let text = format!(
                "there is an operator '{name}' already; rotate their key, or revoke them first"
            );
            return Err(Refusal::new(Code::Conflict, Some("name"), text));
        }
        if self.list.len() >= MAX_OPERATORS {
            let text = format!("there are {MAX_OPERATORS} operators already; revoke one first");
            return Err(Refusal::new(Code::Conflict, None, text));
        }
        self.list.push(operator);
        Ok(())
    }
}

fn nobody(name: &Name) -> Refusal {
    Refusal::new(
        Code::NotFound,
        None,
        format!("there is no operator '{name}'"),
    )
}

fn reserved(name: &Name) -> Refusal {
    let text = if name.as_str() == OWNER {
        "the owner's key is the gateway's secret OPERATOR_KEY: `hoox secrets rotate OPERATOR_KEY` replaces it".to_owned()
    } else {
        format!("'{name}' means somebody else in the audit trail; take another name")
    };
    Refusal::new(Code::BadField, Some("name"), text)
}
