//! Headers of signed messages. Nobody can forge a signature, so no input may verify.

use hoox_auth::{Scheme, Sealed, SignatureHeaders, verify};
use hoox_model::{Secret, Timestamp};

/// Five lines of headers, then the body.
pub(crate) fn run(data: &[u8]) {
    let mut rest = data;
    let lines: [_; 5] = core::array::from_fn(|_| crate::line(&mut rest));
    let [id, timestamp, signature, stripe, hub] = lines.each_ref().map(|line| Some(line.as_ref()));
    let headers = SignatureHeaders {
        webhook_id: id,
        webhook_timestamp: timestamp,
        webhook_signature: signature,
        stripe_signature: stripe,
        hub_signature_256: hub,
    };
    let now = Timestamp::from_millis(1_780_000_000_000);
    let keys: [&[u8]; 2] = [&[7; 32], &[9; 24]];
    for scheme in [
        Scheme::Standard,
        Scheme::Stripe,
        Scheme::Github,
        Scheme::Passkey,
    ] {
        assert_eq!(verify(scheme, keys.into_iter(), &headers, rest, now), None);
    }
    if let Ok(sealed) = lines.concat().parse::<Sealed>() {
        let key = hoox_auth::SealingKey::new(&Secret::new("k".repeat(32))).unwrap();
        assert!(key.open("sender", Scheme::Standard, &sealed).is_none());
    }
}
