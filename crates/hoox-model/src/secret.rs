//! Secrets: redacted when printed, compared in constant time, wiped when dropped.

use core::fmt;

use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// A key, passkey or token. It has neither `Display` nor `Serialize`, and `Debug` shows nothing.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Secret(String);

impl Secret {
    /// Takes ownership of the text, which is wiped when the secret is dropped.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for the one place that must use it (a header, a MAC key).
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Constant-time comparison with a presented value; hashing first hides the length as well.
    pub fn matches(&self, presented: &str) -> bool {
        let ours = Sha256::digest(self.0.as_bytes());
        let theirs = Sha256::digest(presented.as_bytes());
        ours.ct_eq(&theirs).into()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// HMAC-SHA256 of `message` under `key`, in lower-case hex (RFC 2104, RFC 4231).
pub fn hmac_sha256_hex(key: &Secret, message: &[u8]) -> String {
    match Hmac::<Sha256>::new_from_slice(key.expose().as_bytes()) {
        Ok(mut mac) => {
            mac.update(message);
            HEXLOWER.encode(&mac.finalize().into_bytes())
        }
        // HMAC takes keys of any length: this arm cannot be reached, and an empty signature opens nothing.
        Err(_) => String::new(),
    }
}

/// SHA-256 in lower-case hex (FIPS 180-4).
pub fn sha256_hex(message: &[u8]) -> String {
    HEXLOWER.encode(&Sha256::digest(message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_prints_itself() {
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "Secret(…)");
    }

    #[test]
    fn matches_only_itself() {
        let secret = Secret::new("correct horse");
        assert!(secret.matches("correct horse"));
        for wrong in ["", "correct hors", "correct horse ", "Correct horse"] {
            assert!(!secret.matches(wrong), "{wrong}");
        }
    }

    #[test]
    fn hmac_follows_rfc_4231_case_2() {
        assert_eq!(
            hmac_sha256_hex(&Secret::new("Jefe"), b"what do ya want for nothing?"),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }
}
