//! What the manifest keeps of a sender's keys.

use hoox_model::Timestamp;
use serde::Serialize;

use crate::{PasskeyHash, Scheme, Sealed, Window};

/// One key of a sender: hashed where the sender shows it, sealed where both sides sign with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum SenderKey {
    /// Of a sender of [`Scheme::Passkey`].
    Passkey(PasskeyHash),
    /// Of a sender of any other scheme.
    Signing(SigningKey),
}

/// A signing secret, sealed for its sender and scheme.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SigningKey {
    /// The secret.
    pub sealed: Sealed,
    /// When it is valid.
    #[serde(flatten)]
    pub window: Window,
}

impl SenderKey {
    /// A sealed secret without bounds in time.
    pub fn signing(sealed: Sealed) -> Self {
        Self::Signing(SigningKey {
            sealed,
            window: Window::default(),
        })
    }

    /// When it is valid.
    pub const fn window(&self) -> Window {
        match self {
            Self::Passkey(key) => key.window,
            Self::Signing(key) => key.window,
        }
    }

    /// Whether senders of a scheme have such keys.
    pub(crate) const fn fits(&self, scheme: Scheme) -> bool {
        matches!(self, Self::Passkey(_)) == matches!(scheme, Scheme::Passkey)
    }

    /// The same key, valid until `until` at the latest; `None` where it would never be.
    pub(crate) fn ending(mut self, until: Timestamp) -> Option<Self> {
        let window = match &mut self {
            Self::Passkey(key) => &mut key.window,
            Self::Signing(key) => &mut key.window,
        };
        let expires = window.expires.map_or(until, |end| end.min(until));
        window.expires = Some(expires);
        let starts = window.not_before;
        starts.is_none_or(|start| start < expires).then_some(self)
    }
}

impl From<PasskeyHash> for SenderKey {
    fn from(key: PasskeyHash) -> Self {
        Self::Passkey(key)
    }
}
