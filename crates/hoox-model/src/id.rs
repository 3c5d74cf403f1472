//! Identifiers. Each kind is its own type, so that one cannot stand in for another.

use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Serialize, Serializer};
use thiserror::Error;

use crate::Timestamp;

/// Why a text is not an identifier.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("'{0}' is not a valid {1}: use 1 to {2} letters, digits, '-' or '_'")]
pub struct IdError(String, &'static str, usize);

fn check(text: &str, kind: &'static str, max: usize) -> Result<String, IdError> {
    let fits = !text.is_empty()
        && text.len() <= max
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    if fits {
        Ok(text.to_owned())
    } else {
        Err(IdError(text.chars().take(40).collect(), kind, max))
    }
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $max:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
        #[serde(try_from = "String")]
        pub struct $name(String);

        impl $name {
            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                check(text, $kind, $max).map(Self)
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;

            fn try_from(text: String) -> Result<Self, IdError> {
                text.parse()
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text_id!(
    /// Stable id of a trading account. It never changes and is never reused; the display name may.
    AccountId, "account id", 64
);
text_id!(
    /// A name people choose: of an account, a sender, a namespace.
    Name, "name", 255
);
text_id!(
    /// One HTTP request at the gateway; repeated calls between workers carry the same one.
    RequestId, "request id", 64
);
text_id!(
    /// One journaled signal. Ids sort by time of arrival.
    SignalId, "signal id", 64
);
text_id!(
    /// The id Hoox gives an order at the venue. At most 32 characters of `[A-Za-z0-9_-]`, which
    /// Bybit (36), Binance (36) and MEXC (32) all accept. Stored before the send, never reused.
    ClientOrderId, "client order id", 32
);

/// Crockford's base 32: no I, L, O, U.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// 26 characters: 48 bits of milliseconds, then 80 random bits. Sorts by time (the ULID layout).
fn sortable(at: Timestamp, random: [u8; 10]) -> String {
    let mut value = u128::from(at.as_millis().max(0).unsigned_abs()) & 0xFFFF_FFFF_FFFF;
    for byte in random {
        value = (value << 8) | u128::from(byte);
    }
    (0..26u32)
        .rev()
        .filter_map(|place| {
            let digit = usize::try_from((value >> place.saturating_mul(5)) & 31).ok()?;
            ALPHABET.get(digit).map(|b| char::from(*b))
        })
        .collect()
}

impl SignalId {
    /// Makes the id of a signal that arrived at `at`.
    pub fn new(at: Timestamp, random: [u8; 10]) -> Self {
        Self(sortable(at, random))
    }
}

impl RequestId {
    /// Makes the id of a request that arrived at `at`.
    pub fn new(at: Timestamp, random: [u8; 10]) -> Self {
        Self(sortable(at, random))
    }
}

impl ClientOrderId {
    /// The id of a signal's order number `leg` (0 to 1295): `hx-`, the signal's id, the leg in base 36, in
    /// one digit where that is enough: 32 characters at most, as MEXC takes them.
    ///
    /// # Errors
    /// [`IdError`] where the leg or the signal id does not fit.
    pub fn for_leg(signal: &SignalId, leg: u32) -> Result<Self, IdError> {
        let digit = |value: u32| char::from_digit(value, 36);
        let (high, low) = (leg / 36, leg % 36);
        let Some((high, low)) = digit(high).zip(digit(low)) else {
            return Err(IdError(leg.to_string(), "leg number", 1295));
        };
        if leg < 36 {
            format!("hx-{signal}-{low}").parse()
        } else {
            format!("hx-{signal}-{high}{low}").parse()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn refuses_what_venues_refuse() {
        for text in ["", "a b", "ä", "a.b", "a/b", &"x".repeat(33)] {
            assert!(text.parse::<ClientOrderId>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn client_order_ids_are_valid_on_every_venue(ms in 0i64..(1 << 48), random: [u8; 10], leg in 0u32..1296) {
            let id = ClientOrderId::for_leg(&SignalId::new(Timestamp::from_millis(ms), random), leg).unwrap();
            prop_assert!(id.as_str().len() <= 32);
            prop_assert!(id.as_str().bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'));
        }

        #[test]
        fn ids_sort_by_time(a in 0i64..(1 << 48), b in 0i64..(1 << 48), ra: [u8; 10], rb: [u8; 10]) {
            let (x, y) = (SignalId::new(Timestamp::from_millis(a), ra), SignalId::new(Timestamp::from_millis(b), rb));
            if a != b { prop_assert_eq!(a < b, x < y); }
        }

        #[test]
        fn different_signals_and_legs_have_different_ids(a: [u8; 10], b: [u8; 10], i in 0u32..1296, j in 0u32..1296) {
            let at = Timestamp::from_millis(1_780_000_000_000);
            let x = ClientOrderId::for_leg(&SignalId::new(at, a), i).unwrap();
            let y = ClientOrderId::for_leg(&SignalId::new(at, b), j).unwrap();
            prop_assert_eq!(x == y, a == b && i == j);
        }
    }
}
