//! Passkeys, kept as salted hashes.

use core::fmt;

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use hoox_model::Secret;
use serde::{Serialize, Serializer};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

use crate::Window;

/// A longer presented passkey matches nothing.
pub const MAX_PASSKEY_BYTES: usize = 512;

/// What the manifest keeps of a passkey: a salt and SHA-256 over the salt's bytes and then the
/// passkey's. Passkeys that [`new_passkey`] makes hold 192 random bits, so a slow hash would add
/// nothing but time per request.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PasskeyHash {
    #[serde(serialize_with = "as_hex")]
    salt: Vec<u8>,
    #[serde(serialize_with = "as_hex")]
    hash: [u8; 32],
    /// When the key is valid.
    #[serde(flatten)]
    pub window: Window,
}

impl PasskeyHash {
    /// Hashes a passkey with a fresh random salt.
    pub fn new(salt: [u8; 16], passkey: &Secret) -> Self {
        Self {
            hash: digest(&salt, passkey.expose()),
            salt: salt.to_vec(),
            window: Window::default(),
        }
    }

    /// From what the manifest holds.
    pub(crate) const fn from_parts(salt: Vec<u8>, hash: [u8; 32], window: Window) -> Self {
        Self { salt, hash, window }
    }

    /// Whether it is the hash of `presented`, in time that does not depend on the answer.
    pub(crate) fn matches(&self, presented: &str) -> Choice {
        digest(&self.salt, presented).ct_eq(&self.hash)
    }
}

impl fmt::Debug for PasskeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PasskeyHash")
            .field("window", &self.window)
            .finish_non_exhaustive()
    }
}

/// A passkey of 192 random bits: `hoox_` and 32 characters of URL-safe base 64.
pub fn new_passkey(random: [u8; 24]) -> Secret {
    Secret::new(format!("hoox_{}", BASE64URL_NOPAD.encode(&random)))
}

fn digest(salt: &[u8], passkey: &str) -> [u8; 32] {
    Sha256::new()
        .chain_update(salt)
        .chain_update(passkey.as_bytes())
        .finalize()
        .into()
}

fn as_hex<S: Serializer>(bytes: &impl AsRef<[u8]>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&HEXLOWER.encode(bytes.as_ref()))
}
