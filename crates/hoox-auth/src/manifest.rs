//! The manifest: senders, accounts and ranges in one document.

use core::fmt;
use core::net::IpAddr;

use hoox_model::{AccountId, Name, Timestamp};
use serde::Serialize;
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::read::{self, Unknown};
use crate::signed::{key_bytes, verify};
use crate::{
    Account, MAX_PASSKEY_BYTES, Range, Scheme, SealingKey, Sender, SenderKey, SignatureHeaders,
    Verified, is_tradingviews,
};

/// Largest document: 256 KiB.
pub const MAX_BYTES: usize = 256 * 1024;
/// Most senders.
pub const MAX_SENDERS: usize = 100;
/// Most accounts.
pub const MAX_ACCOUNTS: usize = 100;
/// The rows that Cloudflare's Free plan lets the objects of an account write on a day of UTC.
pub const ROWS_A_DAY: u64 = 100_000;
/// Most ranges in one list.
pub const MAX_RANGES: usize = 200;

/// Why a document is no manifest: every problem that was found, as sentences with JSON paths.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub struct ManifestError {
    /// At least one sentence.
    pub problems: Vec<String>,
}

impl fmt::Display for ManifestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problems.join("; "))
    }
}

/// Who may send what, and where it goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Counts the changes, from 1. A lower one never replaces a higher one.
    pub version: u64,
    /// Addresses every sender may send from. Where absent, [`crate::TRADINGVIEW_RANGES`]; where given,
    /// these instead, so that a list which adds to TradingView's repeats them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ranges: Option<Vec<Range>>,
    /// Origins whose pages may call the operator API from a browser; none unless given.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cors_origins: Vec<String>,
    /// The rows that Hoox's objects may write together on a day; [`ROWS_A_DAY`] unless given. `None`, which is `null`,
    /// where nothing limits them, as on a paid plan.
    #[serde(skip_serializing_if = "is_usual")]
    pub rows_a_day: Option<u64>,
    /// The senders.
    pub senders: Vec<Sender>,
    /// The accounts.
    pub accounts: Vec<Account>,
}

#[expect(clippy::ref_option, reason = "the serializer passes a reference")]
fn is_usual(rows: &Option<u64>) -> bool {
    *rows == Some(ROWS_A_DAY)
}

impl Manifest {
    /// Reads a published manifest. Unknown fields are tolerated: the document may have been
    /// written by a newer version.
    ///
    /// # Errors
    /// [`ManifestError`] with every problem; the reader then keeps the manifest it has.
    pub fn parse(text: &str) -> Result<Self, ManifestError> {
        read::manifest(text, Unknown::Ignored)
    }

    /// Reads a manifest that somebody wants to publish. Unknown fields are refused: in a document
    /// that guards access, a misspelt name must not be taken for an absent one. So are senders that
    /// could never send or may use nothing: of a signing scheme without ranges of their own, or with a
    /// namespace that no account is in. [`parse`](Self::parse) takes these, for what is stored already.
    ///
    /// # Errors
    /// [`ManifestError`] with every problem.
    pub fn parse_strict(text: &str) -> Result<Self, ManifestError> {
        read::manifest(text, Unknown::Refused)
    }

    /// Checks what holds between its entries, as after a change of one of them.
    ///
    /// # Errors
    /// [`ManifestError`] with every problem.
    pub(crate) fn check(&self) -> Result<(), ManifestError> {
        read::check(self)
    }

    /// Whether anybody may send from `address`: the shared ranges and those of all senders. It
    /// says nothing about one sender; see [`Sender::address_allowed`].
    pub fn address_allowed(&self, address: IpAddr) -> bool {
        self.shared_ranges_contain(address)
            || self
                .senders
                .iter()
                .flat_map(|sender| &sender.ranges)
                .any(|range| range.contains(address))
    }

    pub(crate) fn shared_ranges_contain(&self, address: IpAddr) -> bool {
        match &self.ranges {
            Some(ranges) => ranges.iter().any(|range| range.contains(address)),
            None => is_tradingviews(address),
        }
    }

    /// The sender that holds the presented passkey and is valid at `now`, as its key must be.
    ///
    /// Every key of every sender is hashed and compared whatever came before, so that the time
    /// taken tells nobody whether a key is wrong, unknown, expired or not yet valid. A passkey
    /// that two senders hold opens nothing: nobody could say whose rights it carries.
    pub fn authenticate(&self, presented: &str, now: Timestamp) -> Option<&Sender> {
        if presented.len() > MAX_PASSKEY_BYTES {
            return None;
        }
        // Place of the sender that matched, counted from 1; 0 is none.
        let mut found = 0u32;
        let mut several = Choice::from(0);
        for (sender, place) in self.senders.iter().zip(1u32..) {
            let mut matched = Choice::from(0);
            for key in &sender.keys {
                let SenderKey::Passkey(key) = key else {
                    continue;
                };
                let valid = sender.window.contains(now) & key.window.contains(now);
                matched |= key.matches(presented) & Choice::from(u8::from(valid));
            }
            several |= matched & !found.ct_eq(&0);
            found.conditional_assign(&place, matched);
        }
        if several.into() {
            return None;
        }
        let index = usize::try_from(found.checked_sub(1)?).ok()?;
        self.senders.get(index)
    }

    /// The sender that signed a message, if it is of a signing scheme, one of its keys made the
    /// signature, and both are valid at `now`; with what names the message.
    ///
    /// Where there is no such sender, a signature is computed all the same.
    pub fn verify(
        &self,
        id: &str,
        sealing: &SealingKey,
        headers: &SignatureHeaders<'_>,
        body: &[u8],
        now: Timestamp,
    ) -> Option<(&Sender, Verified)> {
        let known = self.senders.iter().find(|sender| {
            sender.id.as_str() == id
                && sender.scheme != Scheme::Passkey
                && sender.window.contains(now)
        });
        let scheme = known.map_or(Scheme::Standard, |sender| sender.scheme);
        let mut secrets: Vec<_> = known
            .iter()
            .flat_map(|sender| &sender.keys)
            .filter_map(|key| match key {
                SenderKey::Signing(key) if key.window.contains(now) => {
                    key_bytes(scheme, &sealing.open(id, scheme, &key.sealed)?)
                }
                _ => None,
            })
            .collect();
        let usable = !secrets.is_empty();
        if !usable {
            secrets.push(Zeroizing::new(vec![0; 32]));
        }
        let keys = secrets.iter().map(|secret| secret.as_slice());
        let verified = verify(scheme, keys, headers, body, now)?;
        known.filter(|_| usable).map(|sender| (sender, verified))
    }

    /// The sender of this id.
    pub fn sender(&self, id: &Name) -> Option<&Sender> {
        self.senders.iter().find(|sender| sender.id == *id)
    }

    /// The account of this id.
    pub fn account(&self, id: &AccountId) -> Option<&Account> {
        self.accounts.iter().find(|account| account.id == *id)
    }
}
