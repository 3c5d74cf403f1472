//! Senders created, rotated and revoked one at a time.

use hoox_model::{Code, Secret, Timestamp};
use proptest::prelude::*;

use super::{NOW, account, document, parse, sender};
use crate::{MAX_OVERLAP_S, Manifest, PasskeyHash, Sender, SenderChange, SenderKey};

fn start() -> Manifest {
    parse(&document(
        &[sender("demo", &["main"])],
        &[account("main", "bybit", "sim")],
    ))
}

fn hashed(key: &str) -> SenderKey {
    PasskeyHash::new([9; 16], &Secret::new(key)).into()
}

fn new(text: &str, key: &str) -> SenderChange {
    let mut sender = Sender::parse_new(text).unwrap();
    sender.keys = vec![hashed(key)];
    SenderChange::Create {
        sender: Box::new(sender),
    }
}

fn rotate(id: &str, overlap_seconds: u32, key: &str) -> SenderChange {
    SenderChange::Rotate {
        id: id.parse().unwrap(),
        overlap_seconds,
        key: hashed(key),
    }
}

fn changed(manifest: &Manifest, change: &SenderChange) -> Manifest {
    let changed = manifest.with_change(change, NOW).unwrap();
    assert_eq!(changed.version, manifest.version.saturating_add(1));
    // What Control stores must be what everybody can read.
    let text = serde_json::to_string(&changed).unwrap();
    assert_eq!(Manifest::parse_strict(&text).unwrap(), changed);
    changed
}

fn refused(manifest: &Manifest, change: &SenderChange) -> (Code, String) {
    let refusal = manifest.with_change(change, NOW).unwrap_err();
    (refusal.code, refusal.message)
}

fn opens(manifest: &Manifest, key: &str, at: Timestamp) -> Option<String> {
    let sender = manifest.authenticate(key, at);
    sender.map(|sender| sender.id.to_string())
}

#[test]
fn a_sender_is_created_with_its_rights_and_revoked() {
    let text = r#"{"id":"bot","permission":"trade","accounts":["main"],"namespaces":["n"],"ratePerMinute":5,
        "notBefore":"2026-01-01T00:00:00Z","expires":"2027-01-01T00:00:00Z"}"#;
    let manifest = changed(&start(), &new(text, "new"));
    let bot = manifest.sender(&"bot".parse().unwrap()).unwrap();
    assert_eq!((bot.entry_rate.count, bot.entry_rate.seconds), (5, 60));
    assert_eq!(opens(&manifest, "new", NOW).as_deref(), Some("bot"));
    assert_eq!(
        opens(&manifest, "demo-passkey", NOW).as_deref(),
        Some("demo")
    );
    let view = serde_json::to_string(&bot.view()).unwrap();
    assert_eq!(
        view,
        r#"{"id":"bot","scheme":"passkey","permission":"trade","accounts":["main"],"namespaces":["n"],"entryRate":{"count":5,"seconds":60},"keys":[{}],"notBefore":"2026-01-01T00:00:00.000Z","expires":"2027-01-01T00:00:00.000Z"}"#
    );
    let revoke = SenderChange::Revoke {
        id: "bot".parse().unwrap(),
    };
    let after = changed(&manifest, &revoke);
    assert_eq!(opens(&after, "new", NOW), None);
    assert_eq!(after.senders, start().senders);
    assert_eq!(refused(&after, &revoke).0, Code::NotFound);
}

#[test]
fn what_cannot_be_created_says_why() {
    let manifest = start();
    let plain = r#"{"id":"demo","permission":"trade","accounts":[]}"#;
    assert_eq!(refused(&manifest, &new(plain, "k")).0, Code::Conflict);
    let stray = r#"{"id":"bot","permission":"trade","accounts":["main","other"]}"#;
    let (code, text) = refused(&manifest, &new(stray, "k"));
    assert_eq!(code, Code::BadField);
    assert_eq!(
        text,
        "senders[1].accounts[1]: there is no account named 'other'"
    );
    for (text, problem) in [
        ("[]", "the document: must be an object, not a list"),
        (
            "{",
            "the body is not valid JSON: EOF while parsing an object at line 1 column 1",
        ),
        (
            r#"{"id":"a b","permission":"trade","accounts":[]}"#,
            "id: 'a b' is not a valid name: use 1 to 255 letters, digits, '-' or '_'",
        ),
        (
            r#"{"id":"operator","permission":"trade","accounts":[]}"#,
            "id: 'operator' is what the operator's own signals are called; use another",
        ),
        (
            r#"{"id":"bot","permission":"admin","accounts":[],"ratePerMinute":0}"#,
            "permission: must be one of read, trade; ratePerMinute: must be a whole number from 1 to 10000",
        ),
        (
            r#"{"id":"bot","permission":"trade","accounts":[],"keys":[]}"#,
            "keys: is not a known field; known are id, permission, accounts, namespaces, defaultAccount, scheme, clientCertificate, ranges, notBefore, expires, ratePerMinute",
        ),
        (
            r#"{"id":"bot","id":"bot","permission":"trade","accounts":[]}"#,
            "the body is not valid JSON: 'id' is given twice at line 1 column 16",
        ),
    ] {
        assert_eq!(Sender::parse_new(text).unwrap_err().to_string(), problem);
    }
}

#[test]
fn a_manifest_holds_so_many_senders() {
    let mut manifest = start();
    for number in 1..100 {
        let text = format!(r#"{{"id":"s{number}","permission":"trade","accounts":[]}}"#);
        manifest = manifest.with_change(&new(&text, "k"), NOW).unwrap();
    }
    let one_more = new(r#"{"id":"x","permission":"trade","accounts":[]}"#, "k");
    assert_eq!(refused(&manifest, &one_more).0, Code::Conflict);
}

#[test]
fn rotating_keeps_two_keys_at_most_and_the_newest_stays() {
    let once = changed(&start(), &rotate("demo", 60, "second"));
    let twice = changed(&once, &rotate("demo", 60, "third"));
    assert_eq!(opens(&twice, "demo-passkey", NOW), None);
    assert_eq!(opens(&twice, "second", NOW).as_deref(), Some("demo"));
    assert_eq!(opens(&twice, "third", NOW).as_deref(), Some("demo"));
    assert_eq!(
        refused(&start(), &rotate("nobody", 0, "k")).0,
        Code::NotFound
    );
    let (code, text) = refused(&start(), &rotate("demo", MAX_OVERLAP_S + 1, "k"));
    assert_eq!(code, Code::BadField);
    assert_eq!(text, "must be a whole number from 0 to 2592000 (30 days)");
}

proptest! {
    #[test]
    fn a_rotated_key_works_exactly_in_its_window(overlap in 0..=MAX_OVERLAP_S, after in -10_000i64..3_000_000_000) {
        let manifest = changed(&start(), &rotate("demo", overlap, "second"));
        let at = NOW.plus_millis(after);
        let old = opens(&manifest, "demo-passkey", at).is_some();
        prop_assert_eq!(old, overlap > 0 && after < i64::from(overlap).saturating_mul(1000));
        prop_assert!(opens(&manifest, "second", at).is_some());
    }

    #[test]
    fn adding_a_sender_never_widens_anothers_rights(id in "[a-z]{1,8}", all: bool, read: bool, own in "[a-z]{4,12}") {
        prop_assume!(id != "demo" && id != "operator");
        let accounts = if all { "*" } else { "main" };
        let permission = if read { "read" } else { "trade" };
        let text = format!(r#"{{"id":"{id}","permission":"{permission}","accounts":["{accounts}"]}}"#);
        let (before, after) = (start(), changed(&start(), &new(&text, &own)));
        prop_assert_eq!(after.senders.first(), before.senders.first());
        prop_assert_eq!(opens(&after, "demo-passkey", NOW), Some("demo".to_owned()));
        prop_assert_eq!(opens(&after, &own, NOW), Some(id));
    }
}
