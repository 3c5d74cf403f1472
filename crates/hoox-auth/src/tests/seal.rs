//! Sealed signing secrets.

use data_encoding::BASE64URL_NOPAD;
use hoox_model::Secret;
use proptest::prelude::*;
use serde_json::json;

use crate::{Scheme, Sealed, SealingKey};

const KEY: &str = "0123456789abcdef0123456789abcdef";
const SENDER: &str = "my-strategy";
const SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

/// [`SECRET`] of [`SENDER`] for Standard Webhooks under [`KEY`] and the nonce 0, 1, … 23, sealed by
/// libsodium (`PyNaCl` 1.6.2, `crypto_aead_xchacha20poly1305_ietf_encrypt`).
const SEALED: &str = "v1.AAECAwQFBgcICQoLDA0ODxAREhMUFRYX.UuAOCLMqz1Q3RSl7oTZb0NMocZAyxhtBH-yL76O2lJjXz3HI9HiKVH1-TSl2W9KdjLtiLKx6";

fn key(text: &str) -> SealingKey {
    SealingKey::new(&Secret::new(text)).unwrap()
}

fn nonce() -> [u8; 24] {
    core::array::from_fn(|place| u8::try_from(place).unwrap())
}

fn seal(sender: &str, scheme: Scheme, secret: &str) -> Sealed {
    key(KEY).seal(sender, scheme, &Secret::new(secret), nonce())
}

fn open(key: &SealingKey, sender: &str, scheme: Scheme, sealed: &Sealed) -> Option<String> {
    let secret = key.open(sender, scheme, sealed)?;
    Some(secret.expose().to_owned())
}

#[test]
fn it_seals_as_libsodium_does() {
    let sealed = seal(SENDER, Scheme::Standard, SECRET);
    assert_eq!(json!(sealed), json!(SEALED));
    let read: Sealed = SEALED.parse().unwrap();
    let opened = open(&key(KEY), SENDER, Scheme::Standard, &read);
    assert_eq!(opened.as_deref(), Some(SECRET));
}

#[test]
fn only_its_own_key_sender_and_scheme_open() {
    let sealed = seal(SENDER, Scheme::Stripe, SECRET);
    let own = open(&key(KEY), SENDER, Scheme::Stripe, &sealed);
    assert_eq!(own.as_deref(), Some(SECRET));
    let other_key = key("0123456789abcdef0123456789abcdeF");
    assert_eq!(open(&other_key, SENDER, Scheme::Stripe, &sealed), None);
    for sender in ["", "my-strateg", "my-strategy2", "My-strategy"] {
        assert_eq!(
            open(&key(KEY), sender, Scheme::Stripe, &sealed),
            None,
            "{sender}"
        );
    }
    for scheme in [Scheme::Passkey, Scheme::Standard, Scheme::Github] {
        assert_eq!(open(&key(KEY), SENDER, scheme, &sealed), None, "{scheme:?}");
    }
}

#[test]
fn no_changed_byte_opens() {
    let sealed = key(KEY);
    let (nonce, ciphertext) = SEALED.trim_start_matches("v1.").split_once('.').unwrap();
    let parts = [nonce, ciphertext].map(|part| BASE64URL_NOPAD.decode(part.as_bytes()).unwrap());
    let opens = |parts: &[Vec<u8>; 2]| {
        let [nonce, ciphertext] = parts.each_ref().map(|part| BASE64URL_NOPAD.encode(part));
        let read: Sealed = format!("v1.{nonce}.{ciphertext}").parse().unwrap();
        open(&sealed, SENDER, Scheme::Standard, &read).is_some()
    };
    assert!(opens(&parts));
    for part in 0..2 {
        for at in 0..parts[part].len() {
            for bit in [0x01, 0x80] {
                let mut tampered = parts.clone();
                tampered[part][at] ^= bit;
                assert!(!opens(&tampered), "part {part}, byte {at}");
            }
        }
    }
    let mut shorter = parts.clone();
    shorter[1].pop();
    assert!(!opens(&shorter));
    let mut longer = parts;
    longer[1].push(0);
    assert!(!opens(&longer));
}

#[test]
fn the_text_holds_24_bytes_of_nonce_and_the_secret_with_a_tag_of_16() {
    for secret in ["", "a", SECRET] {
        let text = json!(seal(SENDER, Scheme::Github, secret));
        let parts: Vec<&str> = text.as_str().unwrap().split('.').collect();
        assert_eq!(parts.len(), 3);
        assert_eq!(parts[0], "v1");
        let decoded = |part: &str| BASE64URL_NOPAD.decode(part.as_bytes()).unwrap();
        assert_eq!(decoded(parts[1]), nonce());
        assert_eq!(decoded(parts[2]).len(), secret.len() + 16);
    }
}

#[test]
fn a_text_of_any_other_form_is_refused() {
    let (head, tail) = SEALED.rsplit_once('.').unwrap();
    for text in [
        "",
        "v1",
        "v1.",
        "v1..",
        head,
        &format!("{head}."),
        &format!("{SEALED}."),
        &format!("{SEALED}.AAAA"),
        &format!("{SEALED}="),
        &format!(" {SEALED}"),
        &format!("{SEALED}\n"),
        &SEALED.replace("v1.", "v2."),
        &SEALED.replace("v1.", "V1."),
        &SEALED.replace("v1.", ""),
        // 23 and 25 bytes of nonce, 15 bytes for a tag of 16.
        &format!("v1.{}.{tail}", BASE64URL_NOPAD.encode(&[0; 23])),
        &format!("v1.{}.{tail}", BASE64URL_NOPAD.encode(&[0; 25])),
        &format!("{head}.{}", BASE64URL_NOPAD.encode(&[0; 15])),
        // Standard base 64, and unused bits that are not zero.
        &SEALED.replace('-', "+"),
        &format!("{head}.AAAAAAAAAAAAAAAAAAAAAB"),
    ] {
        let refused = text.parse::<Sealed>().unwrap_err();
        assert_eq!(
            refused.to_string(),
            "is no sealed secret: use what sealing it returned, 'v1.' and two parts of base64url"
        );
        assert!(
            serde_json::from_value::<Sealed>(json!(text)).is_err(),
            "{text}"
        );
    }
    let read: Sealed = serde_json::from_value(json!(SEALED)).unwrap();
    assert_eq!(read, SEALED.parse().unwrap());
}

#[test]
fn a_sealing_key_takes_32_characters() {
    for (text, taken) in [
        (KEY.to_owned(), true),
        ("x".repeat(31), false),
        ("x".repeat(31) + " ", false),
        (" ".repeat(40), false),
        (String::new(), false),
        ("ä".repeat(16), false),
        ("ä".repeat(32), true),
    ] {
        assert_eq!(
            SealingKey::new(&Secret::new(text.as_str())).is_some(),
            taken,
            "'{text}'"
        );
    }
}

#[test]
fn nothing_is_printed() {
    assert_eq!(format!("{:?}", key(KEY)), "SealingKey(…)");
    assert_eq!(
        format!("{:?}", seal(SENDER, Scheme::Stripe, SECRET)),
        "Sealed(…)"
    );
}

proptest! {
    #[test]
    fn what_is_sealed_opens_after_a_round_trip_as_text(
        sender in any::<String>(), secret in any::<String>(), nonce in any::<[u8; 24]>(),
    ) {
        let sealed = key(KEY).seal(&sender, Scheme::Github, &Secret::new(secret.as_str()), nonce);
        let text = serde_json::to_string(&sealed).unwrap();
        let read: Sealed = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(&read, &sealed);
        prop_assert_eq!(open(&key(KEY), &sender, Scheme::Github, &read), Some(secret));
    }

    #[test]
    fn a_text_that_is_read_is_written_the_same(text in "v1\\.[A-Za-z0-9_-]{32}\\.[A-Za-z0-9_-]{22,40}|\\PC*") {
        if let Ok(read) = text.parse::<Sealed>() {
            prop_assert_eq!(json!(read), json!(text));
            prop_assert_eq!(open(&key(KEY), SENDER, Scheme::Standard, &read), None);
        }
    }
}
