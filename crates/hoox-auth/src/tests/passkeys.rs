//! Who a passkey belongs to.

use hoox_model::Secret;
use serde_json::json;

use super::{DEMO_HASH, DEMO_SALT, NOW, document, parse, sender};
use crate::{Manifest, PasskeyHash, SenderKey, new_passkey};

const KEY: &str = "demo-passkey";

fn hashed(salt: u8, passkey: &str) -> SenderKey {
    PasskeyHash::new([salt; 16], &Secret::new(passkey)).into()
}

/// The id of the sender that `presented` belongs to.
fn who(manifest: &Manifest, presented: &str) -> Option<String> {
    manifest
        .authenticate(presented, NOW)
        .map(|sender| sender.id.to_string())
}

#[test]
fn the_hash_is_sha_256_of_salt_and_passkey() {
    let salt = core::array::from_fn(|place| u8::try_from(place).unwrap());
    let key = PasskeyHash::new(salt, &Secret::new(KEY));
    assert_eq!(
        serde_json::to_value(&key).unwrap(),
        json!({"salt": DEMO_SALT, "hash": DEMO_HASH})
    );
    assert!(!format!("{key:?}").contains(DEMO_HASH));
}

#[test]
fn only_the_passkey_itself_opens() {
    let manifest = parse(&document(&[sender("demo", &[])], &[]));
    assert_eq!(who(&manifest, KEY).as_deref(), Some("demo"));
    for wrong in [
        "",
        "demo-passke",
        "demo-passkey ",
        "Demo-passkey",
        DEMO_HASH,
        &"x".repeat(513),
    ] {
        assert_eq!(who(&manifest, wrong), None, "{wrong}");
    }
    assert_eq!(who(&parse(&document(&[], &[])), KEY), None);
}

#[test]
fn the_longest_passkey_opens_and_a_longer_one_does_not() {
    let mut manifest = parse(&document(&[sender("demo", &[])], &[]));
    for (length, opens) in [(512, true), (513, false)] {
        let passkey = "k".repeat(length);
        manifest.senders[0].keys = vec![hashed(1, &passkey)];
        assert_eq!(who(&manifest, &passkey).is_some(), opens, "{length}");
    }
}

#[test]
fn every_sender_is_found_by_each_of_its_keys() {
    let senders: Vec<_> = (0..20).map(|n| sender(&format!("s{n}"), &[])).collect();
    let mut manifest = parse(&document(&senders, &[]));
    for (n, sender) in manifest.senders.iter_mut().enumerate() {
        sender.keys = vec![
            hashed(1, &format!("old-{n}")),
            hashed(2, &format!("new-{n}")),
        ];
    }
    for n in 0..20 {
        for key in ["old", "new"] {
            assert_eq!(who(&manifest, &format!("{key}-{n}")), Some(format!("s{n}")));
        }
    }
    assert_eq!(who(&manifest, "old-20"), None);
}

#[test]
fn a_rotated_key_works_exactly_in_its_window() {
    let mut rotated = sender("demo", &[]);
    rotated["keys"][0]["notBefore"] = json!("2026-05-28T20:26:40Z");
    rotated["keys"][0]["expires"] = json!(1_780_000_010_000_u64);
    let manifest = parse(&document(&[rotated], &[]));
    for (offset, opens) in [(-1, false), (0, true), (9_999, true), (10_000, false)] {
        let at = NOW.plus_millis(offset);
        assert_eq!(manifest.authenticate(KEY, at).is_some(), opens, "{offset}");
    }
}

#[test]
fn a_sender_works_exactly_in_its_window() {
    let mut limited = sender("demo", &[]);
    limited["notBefore"] = json!(1_780_000_000_000_u64);
    limited["expires"] = json!("2026-05-28T20:26:50.000Z");
    let manifest = parse(&document(&[limited], &[]));
    for (offset, opens) in [(-1, false), (0, true), (9_999, true), (10_000, false)] {
        let at = NOW.plus_millis(offset);
        assert_eq!(manifest.authenticate(KEY, at).is_some(), opens, "{offset}");
    }
}

#[test]
fn a_passkey_of_two_senders_opens_nothing() {
    let manifest = parse(&document(&[sender("a", &[]), sender("b", &[])], &[]));
    assert_eq!(who(&manifest, KEY), None);
    // An expired namesake does not count, and twice the same key of one sender is one sender.
    let mut expired = sender("b", &[]);
    expired["expires"] = json!("2020-01-01T00:00:00Z");
    let mut twice = sender("a", &[]);
    twice["keys"] = json!([twice["keys"][0], twice["keys"][0]]);
    assert_eq!(
        who(&parse(&document(&[twice, expired], &[])), KEY).as_deref(),
        Some("a")
    );
}

#[test]
fn new_passkeys_are_long_and_fit_into_json_as_they_are() {
    let passkey = new_passkey([0xff; 24]);
    assert_eq!(passkey.expose(), format!("hoox_{}", "_".repeat(32)));
    assert_ne!(new_passkey([0; 24]).expose(), passkey.expose());
}
