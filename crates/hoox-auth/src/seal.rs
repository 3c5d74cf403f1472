//! Signing secrets at rest. A signature can only be checked with the secret itself, so the
//! manifest holds it encrypted (XChaCha20-Poly1305), under a key that the manifest does not hold.

use core::fmt;
use core::str::FromStr;

use base64ct::{Base64UrlUnpadded, Encoding};
use chacha20poly1305::aead::AeadInOut;
use chacha20poly1305::{KeyInit, Tag, XChaCha20Poly1305, XNonce};
use hoox_model::Secret;
use serde::{Deserialize, Serialize, Serializer};
use sha2::{Digest, Sha256};
use thiserror::Error;
use zeroize::{Zeroize, Zeroizing};

use crate::Scheme;

/// Least characters of the text that a [`SealingKey`] is made from.
const MIN_KEY_CHARACTERS: usize = 32;
/// Sets the derived key and the associated data apart from every other use of the same text.
const DOMAIN: &str = "hoox signing secret v1";
const TAG_BYTES: usize = 16;

/// The key that signing secrets are sealed under. Wiped when dropped.
pub struct SealingKey(XChaCha20Poly1305);

impl SealingKey {
    /// From a random text of at least 32 characters, blanks around it not counted; else `None`.
    /// The key is SHA-256 over a fixed prefix and the text, which is not made for passwords.
    pub fn new(text: &Secret) -> Option<Self> {
        if text.expose().trim().chars().count() < MIN_KEY_CHARACTERS {
            return None;
        }
        let mut key = Sha256::new()
            .chain_update(DOMAIN)
            .chain_update([0])
            .chain_update(text.expose())
            .finalize();
        let cipher = XChaCha20Poly1305::new(&key);
        key.as_mut_slice().zeroize();
        Some(Self(cipher))
    }

    /// Seals the signing secret of one sender and scheme. `nonce` must be fresh random bytes: under
    /// one key, no two secrets may be sealed with the same.
    pub fn seal(
        &self,
        sender_id: &str,
        scheme: Scheme,
        secret: &Secret,
        nonce: [u8; 24],
    ) -> Sealed {
        let mut ciphertext = secret.expose().as_bytes().to_vec();
        let data = associated_data(sender_id, scheme);
        let buffer = ciphertext.as_mut_slice().into();
        match self
            .0
            .encrypt_inout_detached(&XNonce::from(nonce), &data, buffer)
        {
            Ok(tag) => Sealed {
                nonce,
                ciphertext,
                tag: tag.into(),
            },
            // Only a secret of 256 GiB is too long; what then comes back opens as nothing.
            Err(_) => Sealed {
                nonce,
                ciphertext: Vec::new(),
                tag: [0; TAG_BYTES],
            },
        }
    }

    /// The secret, or `None` where it was sealed under another key, for another sender or scheme,
    /// or changed since.
    pub fn open(&self, sender_id: &str, scheme: Scheme, sealed: &Sealed) -> Option<Secret> {
        let mut text = Zeroizing::new(sealed.ciphertext.clone());
        self.0
            .decrypt_inout_detached(
                &XNonce::from(sealed.nonce),
                &associated_data(sender_id, scheme),
                text.as_mut_slice().into(),
                &Tag::from(sealed.tag),
            )
            .ok()?;
        core::str::from_utf8(&text).ok().map(Secret::new)
    }
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealingKey(…)")
    }
}

/// What the seal binds the secret to. No scheme's name holds a zero byte, so no two senders and
/// schemes give the same bytes.
fn associated_data(sender_id: &str, scheme: Scheme) -> Vec<u8> {
    format!("{DOMAIN}\0{}\0{sender_id}", scheme.as_str()).into_bytes()
}

/// A sealed signing secret. As a text it is `v1.`, the nonce, `.`, and ciphertext with its tag,
/// both in URL-safe base 64 without padding.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Sealed {
    nonce: [u8; 24],
    ciphertext: Vec<u8>,
    tag: [u8; TAG_BYTES],
}

/// Why a text is no sealed secret. It does not repeat the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("is no sealed secret: use what sealing it returned, 'v1.' and two parts of base64url")]
pub struct SealedError;

impl FromStr for Sealed {
    type Err = SealedError;

    fn from_str(text: &str) -> Result<Self, SealedError> {
        parse(text).ok_or(SealedError)
    }
}

impl TryFrom<String> for Sealed {
    type Error = SealedError;

    fn try_from(text: String) -> Result<Self, SealedError> {
        text.parse()
    }
}

impl Serialize for Sealed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let nonce = Base64UrlUnpadded::encode_string(&self.nonce);
        let ciphertext =
            Base64UrlUnpadded::encode_string(&[self.ciphertext.as_slice(), &self.tag].concat());
        serializer.collect_str(&format_args!("v1.{nonce}.{ciphertext}"))
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealed(…)")
    }
}

fn parse(text: &str) -> Option<Sealed> {
    let (nonce, ciphertext) = text.strip_prefix("v1.")?.split_once('.')?;
    let nonce = Base64UrlUnpadded::decode_vec(nonce).ok()?;
    let both = Base64UrlUnpadded::decode_vec(ciphertext).ok()?;
    let (ciphertext, tag) = both.split_last_chunk()?;
    Some(Sealed {
        nonce: nonce.try_into().ok()?,
        ciphertext: ciphertext.to_vec(),
        tag: *tag,
    })
}
