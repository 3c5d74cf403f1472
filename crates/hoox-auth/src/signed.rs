//! Signed webhooks: the sender proves with each message that it holds a signing secret, which
//! itself never travels.
//!
//! Sources: Standard Webhooks (github.com/standard-webhooks/standard-webhooks, `spec`), Stripe
//! (docs.stripe.com/webhooks, "Verify webhook signatures manually") and GitHub (docs.github.com,
//! "Validating webhook deliveries").

use base64ct::{Base64, Base64UrlUnpadded, Encoding};
use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit, Mac};
use hoox_model::{Secret, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use subtle::{Choice, ConstantTimeEq};
use zeroize::Zeroizing;

/// A longer signing secret is refused.
pub const MAX_SIGNING_SECRET_BYTES: usize = 512;

/// A shorter HMAC key opens nothing: Standard Webhooks asks for 24 bytes at least.
const MIN_KEY_BYTES: usize = 24;
/// Most signatures one message may carry; a sender that rotates its secret sends two.
const MAX_SIGNATURES: usize = 8;
/// Longest `webhook-id`, in bytes.
const MAX_ID_BYTES: usize = 255;
/// How far a signed time may lie behind or ahead, in milliseconds; what all client libraries take.
const TOLERANCE_MS: u64 = 300_000;
/// Before the secrets of Standard Webhooks and Stripe.
const SECRET_PREFIX: &str = "whsec_";

/// How a sender shows who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scheme {
    /// A passkey in the message; nothing is signed.
    #[default]
    Passkey,
    /// Standard Webhooks: HMAC-SHA256 of `id.timestamp.body`.
    Standard,
    /// Stripe: HMAC-SHA256 of `timestamp.body`.
    Stripe,
    /// GitHub: HMAC-SHA256 of the body. It signs no time, so only the content tells a replay.
    Github,
}

impl Scheme {
    /// The name in the manifest.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Passkey => "passkey",
            Self::Standard => "standard",
            Self::Stripe => "stripe",
            Self::Github => "github",
        }
    }
}

/// The headers that schemes read, as they came; a header that came twice is joined by `, `.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SignatureHeaders<'a> {
    /// `webhook-id` of Standard Webhooks.
    pub webhook_id: Option<&'a str>,
    /// `webhook-timestamp` of Standard Webhooks, in seconds since 1970.
    pub webhook_timestamp: Option<&'a str>,
    /// `webhook-signature` of Standard Webhooks: `v1,<base64>`, several with spaces between.
    pub webhook_signature: Option<&'a str>,
    /// `Stripe-Signature`: `t=<seconds>,v1=<hex>`, several `v1` allowed.
    pub stripe_signature: Option<&'a str>,
    /// `X-Hub-Signature-256` of GitHub: `sha256=<hex>`.
    pub hub_signature_256: Option<&'a str>,
}

/// A message that was signed with one of the keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The message's own id, where the scheme signs one beside the body: the `webhook-id` of
    /// Standard Webhooks, which stays the same when the message is sent again. Stripe's event id
    /// is in the body, and GitHub's `X-GitHub-Delivery` is not signed. A message without an id is
    /// named by its content, never by the time of its signature: each delivery is signed anew.
    pub message_id: Option<String>,
}

/// Whether `body` carries a signature under one of the `keys` ([`key_bytes`]) and, where the
/// scheme signs a time, was signed within 300 s of `now`, behind or ahead.
///
/// Every key is tried on every signature whatever came before, so that the time taken does not
/// tell which of them matched. `None` also where a header is missing or malformed, where there are
/// more than 8 signatures, and for [`Scheme::Passkey`]. Malformed signatures and those of other
/// versions match nothing.
pub fn verify<'k>(
    scheme: Scheme,
    keys: impl Iterator<Item = &'k [u8]>,
    headers: &SignatureHeaders<'_>,
    body: &[u8],
    now: Timestamp,
) -> Option<Verified> {
    let presented = match scheme {
        Scheme::Passkey => None,
        Scheme::Standard => standard(headers, now),
        Scheme::Stripe => stripe(headers, now),
        Scheme::Github => github(headers),
    }?;
    let mut matched = Choice::from(0);
    for key in keys {
        matched |= presented.matches(key, body);
    }
    bool::from(matched).then(|| Verified {
        message_id: presented.id.map(str::to_owned),
    })
}

/// What the headers say.
struct Presented<'a> {
    /// Signed before the body.
    prefix: String,
    /// As texts: each byte string has one encoding that is right, and encoding the one signature
    /// that is expected takes less code than decoding those that came.
    signatures: Vec<&'a str>,
    encode: fn(&[u8]) -> String,
    /// The message's own, which is signed.
    id: Option<&'a str>,
}

impl Presented<'_> {
    fn matches(&self, key: &[u8], body: &[u8]) -> Choice {
        let none = Choice::from(0);
        if key.len() < MIN_KEY_BYTES {
            return none;
        }
        // HMAC takes keys of any length, so there is always one.
        let Ok(mac) = Hmac::<Sha256>::new_from_slice(key) else {
            return none;
        };
        let mac = mac.chain_update(&self.prefix).chain_update(body);
        let expected = (self.encode)(&mac.finalize().into_bytes());
        self.signatures.iter().fold(none, |matched, signature| {
            matched | expected.as_bytes().ct_eq(signature.as_bytes())
        })
    }
}

fn standard<'a>(headers: &SignatureHeaders<'a>, now: Timestamp) -> Option<Presented<'a>> {
    let id = headers.webhook_id.filter(|id| fits_as_id(id))?;
    let time = headers.webhook_timestamp.filter(|t| is_timely(t, now))?;
    let texts = headers.webhook_signature?.split(' ');
    Some(Presented {
        prefix: format!("{id}.{time}."),
        signatures: bounded(texts.filter_map(|text| text.strip_prefix("v1,")))?,
        encode: Base64::encode_string,
        id: Some(id),
    })
}

fn stripe<'a>(headers: &SignatureHeaders<'a>, now: Timestamp) -> Option<Presented<'a>> {
    let header = headers.stripe_signature?;
    // Stripe writes no blanks; they are what joins two headers.
    if header.contains([' ', '\t']) {
        return None;
    }
    let values = |name: &'static str| header.split(',').filter_map(move |p| p.strip_prefix(name));
    let mut times = values("t=");
    let time = times.next().filter(|t| is_timely(t, now))?;
    if times.next().is_some() {
        return None;
    }
    Some(Presented {
        prefix: format!("{time}."),
        signatures: bounded(values("v1="))?,
        encode: hex,
        id: None,
    })
}

fn github<'a>(headers: &SignatureHeaders<'a>) -> Option<Presented<'a>> {
    Some(Presented {
        prefix: String::new(),
        signatures: vec![headers.hub_signature_256?.strip_prefix("sha256=")?],
        encode: hex,
        id: None,
    })
}

fn hex(bytes: &[u8]) -> String {
    HEXLOWER.encode(bytes)
}

/// A dot would let one signature fit two pairs of id and timestamp.
fn fits_as_id(id: &str) -> bool {
    (1..=MAX_ID_BYTES).contains(&id.len())
        && id
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'.')
}

/// Whether `text` is whole seconds since 1970, of 11 digits at most, and near `now`.
fn is_timely(text: &str, now: Timestamp) -> bool {
    let is_number = text.len() <= 11 && text.bytes().all(|byte| byte.is_ascii_digit());
    let seconds = text.parse::<i64>().ok().filter(|_| is_number);
    seconds
        .and_then(|seconds| seconds.checked_mul(1_000))
        .is_some_and(|at| now.since(Timestamp::from_millis(at)).unsigned_abs() <= TOLERANCE_MS)
}

/// The signatures, unless there are too many.
fn bounded<'a>(mut texts: impl Iterator<Item = &'a str>) -> Option<Vec<&'a str>> {
    let signatures = texts.by_ref().take(MAX_SIGNATURES).collect();
    texts.next().is_none().then_some(signatures)
}

/// A signing secret of 256 random bits, in the form the scheme's own services give out: `whsec_`
/// and standard base 64 for Standard Webhooks, `whsec_` and 43 characters of URL-safe base 64 for
/// Stripe, those characters alone for GitHub, and for [`Scheme::Passkey`] a passkey (`hoox_` and
/// the same characters).
pub fn new_signing_secret(scheme: Scheme, random: [u8; 32]) -> Secret {
    let text = match scheme {
        Scheme::Passkey => format!("hoox_{}", Base64UrlUnpadded::encode_string(&random)),
        Scheme::Standard => format!("{SECRET_PREFIX}{}", Base64::encode_string(&random)),
        Scheme::Stripe => format!(
            "{SECRET_PREFIX}{}",
            Base64UrlUnpadded::encode_string(&random)
        ),
        Scheme::Github => Base64UrlUnpadded::encode_string(&random),
    };
    Secret::new(text)
}

/// The HMAC key that a signing secret stands for: what its base 64 says for Standard Webhooks,
/// with or without `whsec_` before it; the bytes of the text, `whsec_` included, for Stripe and
/// GitHub.
///
/// `None` where the secret is blank, longer than [`MAX_SIGNING_SECRET_BYTES`], not base 64 though
/// the scheme asks for it, or makes a key of less than 24 bytes; and for [`Scheme::Passkey`], which
/// signs nothing.
pub fn key_bytes(scheme: Scheme, secret: &Secret) -> Option<Zeroizing<Vec<u8>>> {
    let text = secret.expose();
    if text.len() > MAX_SIGNING_SECRET_BYTES || text.trim().is_empty() {
        return None;
    }
    let key = match scheme {
        Scheme::Passkey => return None,
        Scheme::Standard => {
            let encoded = text.strip_prefix(SECRET_PREFIX).unwrap_or(text);
            Zeroizing::new(Base64::decode_vec(encoded).ok()?)
        }
        Scheme::Stripe | Scheme::Github => Zeroizing::new(text.as_bytes().to_vec()),
    };
    (key.len() >= MIN_KEY_BYTES).then_some(key)
}
