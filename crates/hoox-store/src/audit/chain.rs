//! The chain: each row carries the hash of the one before.

use core::fmt;
use core::str::FromStr;

use hoox_model::{Timestamp, sha256_hex, words};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::AuditEntry;
use crate::Revision;

/// Why a text is no chain's name.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("'{0}' is not the name of a chain: use 1 to 160 letters, digits, '-', '_', '.' or '/'")]
pub struct ChainNameError(String);

/// The name of a chain, which is its one writer's, such as `bybit-main/live/1`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct ChainName(String);

impl ChainName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ChainName {
    type Error = ChainNameError;

    fn try_from(text: String) -> Result<Self, ChainNameError> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_./".contains(&b);
        if (1..=160).contains(&text.len()) && text.bytes().all(plain) {
            Ok(Self(text))
        } else {
            Err(ChainNameError(text.chars().take(40).collect()))
        }
    }
}

impl FromStr for ChainName {
    type Err = ChainNameError;

    fn from_str(text: &str) -> Result<Self, ChainNameError> {
        text.to_owned().try_into()
    }
}

impl fmt::Display for ChainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a text is no hash.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("not a SHA-256: use 64 digits and letters from a to f")]
pub struct RowHashError;

/// A SHA-256 as 64 lower-case hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct RowHash(String);

impl RowHash {
    /// Before the first row of every chain: 64 zeros.
    pub const ZERO: &'static str =
        "0000000000000000000000000000000000000000000000000000000000000000";

    /// What stands before the first row.
    pub fn zero() -> Self {
        Self(Self::ZERO.to_owned())
    }

    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The hash of a row: SHA-256 of chain, sequence, previous hash and entry, joined by line feeds. None of the
    /// first three can hold one, so no two rows have the same bytes.
    pub(super) fn of(chain: &str, sequence: u64, previous: &str, entry: &str) -> Self {
        Self(sha256_hex(
            format!("{chain}\n{sequence}\n{previous}\n{entry}").as_bytes(),
        ))
    }
}

impl TryFrom<String> for RowHash {
    type Error = RowHashError;

    fn try_from(text: String) -> Result<Self, RowHashError> {
        let digit = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        if text.len() == Self::ZERO.len() && text.bytes().all(digit) {
            Ok(Self(text))
        } else {
            Err(RowHashError)
        }
    }
}

impl fmt::Display for RowHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Longest text of an entry, in bytes. The bounds of [`AuditEntry`]'s fields keep it below this.
pub const MAX_ENTRY: usize = 4096;

/// What is wrong with a row, on its way in or where it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AuditFault {
    /// Its hash is not that of what it holds.
    Altered,
    /// It does not carry the hash of the row before.
    Unlinked,
    /// A row before it is not there.
    Missing,
    /// Another row has its place.
    Taken,
    /// Its entry is none, or is too long.
    Unreadable,
    /// The chain's recorded end is another one than its last row.
    End,
    /// What was kept of dropped months does not fit together.
    Closing,
}

words!(AuditFault {
    Altered = "altered",
    Unlinked = "unlinked",
    Missing = "missing",
    Taken = "taken",
    Unreadable = "unreadable",
    End = "end",
    Closing = "closing",
});

impl AuditFault {
    /// Every fault.
    pub const ALL: [Self; 7] = [
        Self::Altered,
        Self::Unlinked,
        Self::Missing,
        Self::Taken,
        Self::Unreadable,
        Self::End,
        Self::Closing,
    ];
}

/// One row of a chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditRow {
    /// The chain.
    pub chain: ChainName,
    /// Its number in the chain, from 1.
    pub sequence: u64,
    /// Hash of the row before; 64 zeros for the first.
    pub previous: RowHash,
    /// SHA-256 of all the rest.
    pub hash: RowHash,
    /// The entry's JSON, as it was hashed.
    pub entry: String,
}

/// What an entry of any version must have, and what it must not have because the export puts it in front.
#[derive(Deserialize)]
struct Shape {
    #[serde(rename = "time")]
    _time: Timestamp,
    #[serde(rename = "event")]
    _event: String,
    chain: Option<IgnoredAny>,
    sequence: Option<IgnoredAny>,
    previous: Option<IgnoredAny>,
    hash: Option<IgnoredAny>,
}

impl Shape {
    const fn is_plain(&self) -> bool {
        self.chain.is_none()
            && self.sequence.is_none()
            && self.previous.is_none()
            && self.hash.is_none()
    }
}

impl AuditRow {
    /// Whether the row is whole by itself, whatever stands before it.
    ///
    /// # Errors
    /// `Altered` or `Unreadable`.
    pub fn check(&self) -> Result<(), AuditFault> {
        let previous = self.previous.as_str();
        let numbered = (1..=Revision::MAX.get()).contains(&self.sequence);
        if !numbered || !is_entry(&self.entry) {
            return Err(AuditFault::Unreadable);
        }
        let hash = RowHash::of(self.chain.as_str(), self.sequence, previous, &self.entry);
        if self.hash == hash {
            Ok(())
        } else {
            Err(AuditFault::Altered)
        }
    }
}

/// Whether a text is an entry of this or another version: one line, an object from its first byte to its last.
fn is_entry(text: &str) -> bool {
    text.len() <= MAX_ENTRY
        && text.starts_with("{\"")
        && text.ends_with('}')
        && !text.chars().any(char::is_control)
        && serde_json::from_str::<Shape>(text).is_ok_and(|shape| shape.is_plain())
}

/// The end of a chain, kept by its one writer. Store it with each row, or not at all: two rows with one number are
/// two histories, and the second is refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Chain {
    name: ChainName,
    sequence: u64,
    head: RowHash,
}

impl Chain {
    /// A chain without rows.
    pub fn new(name: ChainName) -> Self {
        Self::at(name, 0, RowHash::zero())
    }

    /// A chain whose last row has this number and this hash.
    pub const fn at(name: ChainName, sequence: u64, head: RowHash) -> Self {
        Self {
            name,
            sequence,
            head,
        }
    }

    /// Its name.
    pub const fn name(&self) -> &ChainName {
        &self.name
    }

    /// The number of its last row; 0 without one.
    pub const fn sequence(&self) -> u64 {
        self.sequence
    }

    /// The hash of its last row.
    pub const fn head(&self) -> &RowHash {
        &self.head
    }

    /// Adds an entry and returns its row.
    ///
    /// # Errors
    /// [`serde_json::Error`], which no entry causes; the chain is then as it was.
    pub fn append(&mut self, entry: &AuditEntry) -> Result<AuditRow, serde_json::Error> {
        let entry = serde_json::to_string(entry)?;
        let sequence = self.sequence.saturating_add(1);
        let hash = RowHash::of(self.name.as_str(), sequence, self.head.as_str(), &entry);
        let previous = core::mem::replace(&mut self.head, hash.clone());
        self.sequence = sequence;
        Ok(AuditRow {
            chain: self.name.clone(),
            sequence,
            previous,
            hash,
            entry,
        })
    }
}
