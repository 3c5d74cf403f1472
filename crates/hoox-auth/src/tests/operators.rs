//! Operators added, rotated and revoked, and whose key opens what.

use hoox_model::{Code, Secret, Timestamp};
use serde_json::json;

use super::{NOW, account, document, parse, sender};
use crate::{KeyDigest, Level, MAX_OPERATORS, Manifest, OperatorChange, Operators, Published};

fn key(text: &str) -> KeyDigest {
    KeyDigest::of(&Secret::new(text))
}

fn add(name: &str, level: Level, text: &str) -> OperatorChange {
    OperatorChange::Add {
        name: name.parse().unwrap(),
        level,
        key_sha256: key(text),
    }
}

fn rotate(name: &str, text: &str) -> OperatorChange {
    OperatorChange::Rotate {
        name: name.parse().unwrap(),
        key_sha256: key(text),
    }
}

fn revoke(name: &str) -> OperatorChange {
    OperatorChange::Revoke {
        name: name.parse().unwrap(),
    }
}

fn changed(operators: &Operators, change: &OperatorChange) -> Operators {
    let changed = operators.with_change(change, NOW).unwrap();
    assert_eq!(changed.revision, operators.revision.saturating_add(1));
    changed
}

fn refused(operators: &Operators, change: &OperatorChange) -> (Code, Option<String>) {
    let refusal = operators.with_change(change, NOW).unwrap_err();
    (refusal.code, refusal.field)
}

fn holder(operators: &Operators, presented: &str) -> Option<(String, Level)> {
    let holder = operators.holder(presented);
    holder.map(|operator| (operator.name.to_string(), operator.level))
}

fn three() -> Operators {
    let operators = changed(&Operators::default(), &add("ann", Level::Read, "key-a"));
    let operators = changed(&operators, &add("bob", Level::Operate, "key-b"));
    changed(&operators, &add("cid", Level::Admin, "key-c"))
}

#[test]
fn each_key_is_its_operators_wherever_they_stand_on_the_list() {
    let operators = three();
    for (presented, name, level) in [
        ("key-a", "ann", Level::Read),
        ("key-b", "bob", Level::Operate),
        ("key-c", "cid", Level::Admin),
    ] {
        let expected = Some((name.to_owned(), level));
        assert_eq!(holder(&operators, presented), expected);
    }
    let long = "k".repeat(513);
    let digest = serde_json::to_value(key("key-a")).unwrap();
    for wrong in [
        "",
        "key-",
        "key-d",
        "KEY-A",
        digest.as_str().unwrap(),
        &long,
    ] {
        assert_eq!(holder(&operators, wrong), None, "{wrong}");
    }
    assert_eq!(holder(&Operators::default(), "key-a"), None);
}

#[test]
fn what_is_kept_of_a_key_is_its_sha_256() {
    // Computed with another implementation: `printf %s key-a | sha256sum`.
    let expected = "f10f781241e2246678b6b45c857069208152a53863e47fac33f607ab405006f4";
    let text = serde_json::to_value(key("key-a")).unwrap();
    assert_eq!(text, expected);
    assert_eq!(format!("{:?}", key("key-a")), "KeyDigest(…)");
    for bad in [
        "",
        "f10f",
        &expected.replace(char::is_numeric, "g"),
        &expected.repeat(2),
    ] {
        assert!(bad.parse::<KeyDigest>().is_err(), "{bad}");
    }
}

#[test]
fn a_rotated_key_ends_at_once_and_a_revoked_operator_has_none() {
    let operators = changed(&three(), &rotate("bob", "key-b2"));
    assert_eq!(holder(&operators, "key-b"), None);
    assert_eq!(holder(&operators, "key-b2").unwrap().1, Level::Operate);
    let operators = changed(&operators, &revoke("bob"));
    assert_eq!(holder(&operators, "key-b2"), None);
    assert!(holder(&operators, "key-a").is_some() && holder(&operators, "key-c").is_some());
    assert_eq!(refused(&operators, &revoke("bob")).0, Code::NotFound);
    assert_eq!(refused(&operators, &rotate("bob", "x")).0, Code::NotFound);
}

#[test]
fn a_change_that_is_repeated_changes_nothing() {
    let operators = three();
    for again in [add("bob", Level::Operate, "key-b"), rotate("bob", "key-b")] {
        let later = Timestamp::from_millis(NOW.as_millis().saturating_add(1));
        assert_eq!(operators.with_change(&again, later).unwrap(), operators);
    }
    let field = |name: &str| Some(name.to_owned());
    for (change, code, at) in [
        // Another level is another change.
        (
            add("bob", Level::Admin, "key-b"),
            Code::Conflict,
            field("keySha256"),
        ),
        (
            add("bob", Level::Admin, "key-x"),
            Code::Conflict,
            field("name"),
        ),
        (
            add("dan", Level::Read, "key-b"),
            Code::Conflict,
            field("keySha256"),
        ),
        (rotate("ann", "key-b"), Code::Conflict, field("keySha256")),
        (
            add("owner", Level::Read, "key-x"),
            Code::BadField,
            field("name"),
        ),
        (
            add("operator", Level::Read, "key-x"),
            Code::BadField,
            field("name"),
        ),
        (
            add("stranger", Level::Read, "key-x"),
            Code::BadField,
            field("name"),
        ),
        (revoke("owner"), Code::BadField, field("name")),
    ] {
        assert_eq!(refused(&operators, &change), (code, at), "{change:?}");
    }
}

#[test]
fn the_list_is_bounded() {
    let mut operators = Operators::default();
    for number in 0..MAX_OPERATORS {
        let name = format!("o{number}");
        operators = changed(&operators, &add(&name, Level::Read, &name));
    }
    let more = add("more", Level::Read, "more");
    assert_eq!(refused(&operators, &more), (Code::Conflict, None));
    let operators = changed(&operators, &revoke("o0"));
    changed(&operators, &more);
}

fn manifest(version: u64) -> Manifest {
    let mut manifest = parse(&document(
        &[sender("demo", &["main"])],
        &[account("main", "bybit", "sim")],
    ));
    manifest.version = version;
    manifest
}

/// A document of before has none, and one without operators looks as it did before.
#[test]
fn operators_are_published_with_the_manifest_and_outlast_its_changes() {
    let bare = serde_json::to_string(&Published::from(manifest(1))).unwrap();
    assert!(!bare.contains("operators"), "{bare}");
    let mut published = Published::parse(&bare).unwrap();
    assert_eq!(published.operators, Operators::default());
    published.operators = three();
    let text = serde_json::to_string(&published).unwrap();
    assert!(!text.contains("key-a"), "{text}");
    assert_eq!(Published::parse(&text).unwrap(), published);
    let next = published.replaced_by(manifest(2), NOW);
    assert_eq!((next.manifest.version, next.operators), (2, three()));
}

#[test]
fn a_manifest_that_is_put_cannot_bring_operators() {
    let mut put = serde_json::to_value(manifest(2)).unwrap();
    put["operators"] = json!({ "revision": 1, "list": [] });
    let refused = Manifest::parse_strict(&put.to_string()).unwrap_err();
    assert!(
        refused
            .problems
            .iter()
            .any(|it| it.starts_with("operators: is not a known field")),
        "{refused:?}"
    );
}

#[test]
fn levels_are_in_order() {
    assert!(Level::ALL.is_sorted());
    for level in Level::ALL {
        let word = serde_json::to_value(level).unwrap();
        assert_eq!(word, level.as_str());
    }
}
