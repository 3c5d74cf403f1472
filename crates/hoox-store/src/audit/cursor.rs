//! Where a call ended, as opaque text.

use data_encoding::BASE64URL_NOPAD;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Longest cursor that is looked at.
const MAX_CURSOR: usize = 1024;

/// The text for a place in an operation. `None` where it has none, which no place of ours causes.
pub(super) fn write(operation: &str, place: &impl Serialize) -> Option<String> {
    let json = serde_json::to_vec(&(operation, place)).ok()?;
    Some(BASE64URL_NOPAD.encode(&json))
}

/// The place that a text names; `None` where it names none of this operation.
pub(super) fn read<T: Serialize + DeserializeOwned>(operation: &str, text: &str) -> Option<T> {
    if text.len() > MAX_CURSOR {
        return None;
    }
    let json = BASE64URL_NOPAD.decode(text.as_bytes()).ok()?;
    let (name, place): (String, T) = serde_json::from_slice(&json).ok()?;
    (name == operation).then_some(place)
}
