//! Senders created, rotated and revoked one at a time.

use hoox_model::{Code, Secret, Timestamp};
use proptest::prelude::*;

use serde_json::json;

use super::{NOW, account, document, key, parse, problems, sender, stored};
use crate::{
    MAX_OVERLAP_S, Manifest, PasskeyHash, Scheme, SealingKey, Sender, SenderChange, SenderKey,
};

fn start() -> Manifest {
    parse(&document(
        &[sender("demo", &["main"])],
        &[account("main", "bybit", "sim")],
    ))
}

fn hashed(key: &str) -> SenderKey {
    PasskeyHash::new([9; 16], &Secret::new(key)).into()
}

/// A sealed secret in a manifest; this one opens nothing.
fn sealed() -> serde_json::Value {
    let sealing = SealingKey::new(&Secret::new("s".repeat(32))).unwrap();
    let secret = Secret::new("whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8");
    json!(sealing.seal("bot", Scheme::Stripe, &secret, [1; 24]))
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
    let text = r#"{"id":"bot","permission":"trade","accounts":["main"],"ratePerMinute":5,
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
        r#"{"id":"bot","scheme":"passkey","permission":"trade","accounts":["main"],"entryRate":{"count":5,"seconds":60},"keys":[{}],"notBefore":"2026-01-01T00:00:00.000Z","expires":"2027-01-01T00:00:00.000Z"}"#
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

/// What would make a sender that can never send, or may use nothing, says what to do about it; where one
/// is stored already it reads on, and everything but making another goes on.
#[test]
fn a_sender_that_could_do_nothing_is_not_made() {
    let mut accounts = [
        account("main", "bybit", "sim"),
        account("sub", "bybit", "sim"),
    ];
    accounts[1]["namespace"] = json!("desk");
    let plain = document(&[sender("demo", &["main"])], &accounts);
    for (fields, field, problem) in [
        (
            r#""accounts":["main"],"scheme":"stripe""#,
            "ranges",
            "is missing: a sender of scheme stripe needs the addresses it sends from, such as [\"203.0.113.0/24\"], because the shared ones are for TradingView, which signs nothing",
        ),
        (
            r#""accounts":["*"],"scheme":"github","ranges":[]"#,
            "ranges",
            "is missing: a sender of scheme github needs the addresses it sends from, such as [\"203.0.113.0/24\"], because the shared ones are for TradingView, which signs nothing",
        ),
        (
            r#""accounts":["*"],"namespaces":["desk","crypto"]"#,
            "namespaces[1]",
            "no account is in namespace 'crypto'; put an account into it first, or leave it out",
        ),
        (
            r#""accounts":["main"],"namespaces":["desk"]"#,
            "namespaces",
            "none of the sender's accounts is in one of them, so it could use nothing; add an account that is, or leave namespaces out",
        ),
        (
            r#""accounts":["*"],"namespaces":[]"#,
            "namespaces",
            "none of the sender's accounts is in one of them, so it could use nothing; add an account that is, or leave namespaces out",
        ),
    ] {
        let text = format!(r#"{{"id":"bot","permission":"trade",{fields}}}"#);
        let create = new(&text, "k");
        let refusal = parse(&plain).with_change(&create, NOW).unwrap_err();
        assert_eq!(
            (refusal.code, refusal.field.as_deref()),
            (Code::BadField, Some(field)),
            "{fields}"
        );
        assert_eq!(refusal.message, format!("{field}: {problem}"));

        let mut whole = plain.clone();
        let mut bot: serde_json::Value = serde_json::from_str(&text).unwrap();
        bot["keys"] = match bot.get("scheme") {
            None => json!([key()]),
            Some(_) => json!([{ "sealed": sealed() }]),
        };
        whole["senders"].as_array_mut().unwrap().push(bot);
        assert_eq!(problems(&whole), [format!("senders[1].{field}: {problem}")]);
        let stored = stored(&whole);
        let wire = serde_json::to_string(&stored).unwrap();
        assert_eq!(serde_json::from_str::<Manifest>(&wire).unwrap(), stored);
        let rotated = stored
            .with_change(&rotate("demo", 60, "second"), NOW)
            .unwrap();
        let fine = r#"{"id":"fine","permission":"trade","accounts":["main"]}"#;
        let more = rotated.with_change(&new(fine, "k"), NOW).unwrap();
        let revoke = SenderChange::Revoke {
            id: "bot".parse().unwrap(),
        };
        let after = more.with_change(&revoke, NOW).unwrap();
        let text = serde_json::to_string(&after).unwrap();
        assert_eq!(Manifest::parse_strict(&text).unwrap(), after);
    }
    for fields in [
        r#""accounts":["main"],"scheme":"stripe","ranges":["203.0.113.0/24"]"#,
        r#""accounts":["*"],"namespaces":["desk"]"#,
        r#""accounts":["main","sub"],"namespaces":["desk"]"#,
        r#""accounts":[]"#,
    ] {
        let text = format!(r#"{{"id":"bot","permission":"trade",{fields}}}"#);
        assert!(
            parse(&plain).with_change(&new(&text, "k"), NOW).is_ok(),
            "{fields}"
        );
    }
}

#[test]
fn a_manifest_holds_so_many_bytes_and_whoever_is_in_it_can_still_be_revoked() {
    let name = "x".repeat(200);
    let accounts: Vec<_> = (0..100)
        .map(|number| {
            let mut account = account(&format!("a{number}{name}"), "bybit", "sim");
            account["id"] = json!(format!("a{number}"));
            account
        })
        .collect();
    let names: Vec<_> = accounts
        .iter()
        .map(|account| account["name"].clone())
        .collect();
    let mut manifest = parse(&document(&[], &accounts));
    let sender = |number: usize| {
        let names = json!(names);
        new(
            &format!(r#"{{"id":"s{number}","permission":"trade","accounts":{names}}}"#),
            "k",
        )
    };
    let mut made = 0;
    let refusal = loop {
        match manifest.with_change(&sender(made), NOW) {
            Ok(more) => manifest = more,
            Err(refusal) => break refusal,
        }
        made += 1;
    };
    assert_eq!(refusal.code, Code::Conflict);
    assert!(made > 3 && made < 20, "{made}");
    assert!(serde_json::to_string(&manifest).unwrap().len() <= crate::MAX_BYTES);
    for number in 0..made {
        let id = format!("s{number}");
        manifest = manifest.with_change(&rotate(&id, 60, "k2"), NOW).unwrap();
        let revoke = SenderChange::Revoke {
            id: id.parse().unwrap(),
        };
        assert!(manifest.with_change(&revoke, NOW).is_ok(), "{id}");
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
