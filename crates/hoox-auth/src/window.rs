//! From when until when something is valid.

use hoox_model::Timestamp;
use serde::{Serialize, Serializer};

/// From when until when a key or a sender is valid. Without a bound it is valid on that side for
/// ever. In the manifest the bounds are `notBefore` and `expires`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Window {
    /// The first moment of validity.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "as_text")]
    pub not_before: Option<Timestamp>,
    /// The first moment after it.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "as_text")]
    pub expires: Option<Timestamp>,
}

impl Window {
    /// Whether `now` lies inside.
    pub fn contains(self, now: Timestamp) -> bool {
        self.not_before.is_none_or(|start| start <= now) && self.expires.is_none_or(|end| now < end)
    }
}

#[expect(clippy::ref_option, reason = "the signature serde asks for")]
fn as_text<S: Serializer>(at: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    match at {
        Some(at) => serializer.collect_str(at),
        None => serializer.serialize_none(),
    }
}
