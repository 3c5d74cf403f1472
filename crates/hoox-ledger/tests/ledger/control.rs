//! Control: what it stores is published even where its instance ends at once.

use hoox_auth::{KeyDigest, Level, Manifest, OperatorChange, PasskeyHash, SenderChange};
use hoox_ledger::{Control, PUBLISH_AGAIN_MS, Store, raised, retired};
use hoox_mesh::{KillMode, SetKill};
use hoox_model::{Secret, Timestamp};
use serde_json::{Value, json};

use crate::world::{Host, When};

const ON: SetKill = SetKill {
    mode: KillMode::All,
    reason: None,
    flatten: false,
};

fn manifest(version: u64) -> hoox_auth::Manifest {
    let text = format!(r#"{{"version":{version},"accounts":[],"senders":[]}}"#);
    hoox_auth::Manifest::parse(&text).unwrap()
}

#[test]
fn a_change_and_the_alarm_that_publishes_it_are_one_transaction() {
    let host = Host::unconfigured();
    let control = Control::open(&host).unwrap();
    let due = |host: &Host| Some(host.now() + PUBLISH_AGAIN_MS);
    let now = |host: &Host| Timestamp::from_millis(host.now());
    control.put_manifest(&manifest(1), now(&host)).unwrap();
    assert_eq!(host.alarm(), due(&host));
    host.advance(60_000);
    // Refused: nothing is to be published.
    control.put_manifest(&manifest(3), now(&host)).unwrap_err();
    assert_eq!(host.alarm(), due(&host).map(|at| at - 60_000));
    assert_eq!(control.set_kill(&ON, now(&host)).unwrap().revision, 2);
    assert_eq!(host.alarm(), due(&host));
}

/// What a version stored that knew no operators reads on, and a change of them writes one row.
#[test]
fn a_control_of_the_version_before_takes_operators() {
    let host = Host::unconfigured();
    let control = Control::open(&host).unwrap();
    host.sql(
        r#"INSERT INTO document VALUES ('manifest', '{"version":5,"senders":[],"accounts":[],"ranges":[]}')"#,
    );
    let before = control.published().unwrap().unwrap();
    assert_eq!((before.operators.revision, before.manifest.version), (0, 5));
    let change = OperatorChange::Add {
        name: "ann".parse().unwrap(),
        level: Level::Read,
        key_sha256: KeyDigest::of(&Secret::new("the key")),
    };
    let now = Timestamp::from_millis(host.now());
    control.change_operators(&change, now).unwrap();
    assert_eq!(host.alarm(), Some(host.now() + PUBLISH_AGAIN_MS));
    let after = control.published().unwrap().unwrap();
    assert_eq!(after.operators.list.len(), 1);
    assert_eq!(
        (after.manifest, after.history),
        (before.manifest, before.history)
    );
    // Made already: no row and no alarm.
    host.advance(60_000);
    control
        .change_operators(&change, Timestamp::from_millis(host.now()))
        .unwrap();
    assert_eq!(host.alarm(), Some(host.now() - 60_000 + PUBLISH_AGAIN_MS));
    // A change of senders and another manifest leave them alone.
    let revoke = SenderChange::Revoke {
        id: "nobody".parse().unwrap(),
    };
    control.change_senders(&revoke, now).unwrap_err();
    control.put_manifest(&manifest(6), now).unwrap();
    let kept = control.published().unwrap().unwrap();
    assert_eq!(
        (kept.manifest.version, kept.operators),
        (6, after.operators)
    );
}

#[test]
fn a_sender_that_may_only_read_trades_on_no_ledger() {
    let host = Host::unconfigured();
    let control = Control::open(&host).unwrap();
    let senders = ["read", "trade"].map(|permission| {
        json!({ "id": permission, "permission": permission, "accounts": ["*"], "ranges": ["127.0.0.1/32"],
            "keys": [{ "salt": "00".repeat(16), "hash": "ab".repeat(32) }] })
    });
    let account =
        json!({ "name": "one", "id": "one-id", "venue": "bybit", "environment": "testnet" });
    let manifest = json!({ "version": 1, "senders": senders, "accounts": [account] });
    let manifest = Manifest::parse(&manifest.to_string()).unwrap();
    let now = Timestamp::from_millis(host.now());
    control.put_manifest(&manifest, now).unwrap();
    let ledgers = control.ledgers().unwrap();
    let names: Vec<_> = ledgers[0]
        .senders
        .iter()
        .map(hoox_model::Name::as_str)
        .collect();
    assert_eq!(names, ["trade"]);
}

#[test]
fn flatten_is_kept_by_every_change_but_off() {
    let host = Host::unconfigured();
    let control = Control::open(&host).unwrap();
    let set = |mode, flatten| {
        let change = SetKill {
            mode,
            reason: None,
            flatten,
        };
        let now = Timestamp::from_millis(host.now());
        let told = control.set_kill(&change, now).unwrap();
        assert_eq!(control.kill().unwrap(), told);
        assert_eq!(told.flatten, told.flatten_asked().is_some());
        told.flatten_asked()
    };
    for (mode, flatten, asked) in [
        (KillMode::Entries, false, None),
        (KillMode::Entries, true, Some(3)),
        (KillMode::Entries, false, Some(3)),
        (KillMode::All, false, Some(3)),
        (KillMode::Entries, true, Some(6)),
        (KillMode::Entries, false, Some(6)),
        (KillMode::Off, false, None),
        (KillMode::Entries, false, None),
    ] {
        assert_eq!(set(mode, flatten), asked, "{mode:?} {flatten}");
    }
}

#[test]
fn a_change_whose_commit_fails_leaves_neither_itself_nor_an_alarm() {
    let host = Host::unconfigured();
    let control = Control::open(&host).unwrap();
    let now = Timestamp::from_millis(host.now());
    for transaction in [0, 1] {
        let at = host.transactions();
        host.faults.borrow_mut().store_at.push((at, When::Before));
        let stored = match transaction {
            0 => control.put_manifest(&manifest(1), now).is_ok(),
            _ => control.set_kill(&ON, now).is_ok(),
        };
        assert!(!stored);
        assert_eq!(host.alarm(), None);
    }
    assert_eq!(control.published().unwrap(), None);
    assert_eq!(control.kill().unwrap().mode, KillMode::Off);
}

/// What the platform takes for one row is 2 MB; half of it is left free.
const MAX_ROW: usize = 1_000_000;

/// A manifest of about 207 KB that routes with most of it: 100 senders, 60 accounts, one of them with
/// limits for 100 symbols.
fn large() -> Value {
    let name = |kind: &str, number: usize| format!("{kind}-{number}-{}", "x".repeat(50));
    let accounts: Vec<_> = (0..60)
        .map(|number| {
            json!({ "id": name("id", number), "name": name("name", number), "venue": "bybit",
                    "environment": "sim", "baseUrl": "http://127.0.0.1:9", "namespace": name("space", number) })
        })
        .collect();
    let senders: Vec<_> = (0..100)
        .map(|number| {
            let names: Vec<_> = (0..30)
                .map(|step| name("name", (number + step) % 60))
                .collect();
            json!({ "id": format!("sender{number}"), "permission": "trade", "accounts": names,
                    "defaultAccount": names[0],
                    "keys": [{ "salt": "00".repeat(16), "hash": "ab".repeat(32) }] })
        })
        .collect();
    let mut manifest = json!({ "version": 1, "senders": senders, "accounts": accounts });
    let symbols = (0..100).map(|number| {
        let limits = json!({ "maxPositionNotional": "100" });
        (format!("COIN{number}USDT"), limits)
    });
    manifest["accounts"][0]["limits"] = json!({ "symbols": Value::Object(symbols.collect()) });
    let bytes = manifest.to_string().len();
    assert!((200_000..256 * 1024).contains(&bytes), "{bytes}");
    manifest
}

fn row(host: &Host) -> usize {
    let rows = host.query(
        "SELECT length(CAST(value AS BLOB)) FROM document WHERE name = 'manifest'",
        &[],
    );
    match rows.unwrap().as_slice() {
        [row] => match row.as_slice() {
            [hoox_store::Value::Integer(bytes)] => usize::try_from(*bytes).unwrap(),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

fn put(host: &Host, manifest: &Value) {
    let manifest = Manifest::parse_strict(&manifest.to_string()).unwrap();
    let control = Control::open(host).unwrap();
    host.advance(1_000);
    control
        .put_manifest(&manifest, Timestamp::from_millis(host.now()))
        .unwrap();
    assert!(
        row(host) < MAX_ROW,
        "version {}: {}",
        manifest.version,
        row(host)
    );
}

/// Rotates a key with and without overlap, and revokes two senders.
fn revoke(host: &Host) {
    let control = Control::open(host).unwrap();
    let now = Timestamp::from_millis(host.now());
    let version = control.published().unwrap().unwrap().manifest.version;
    let rotate = |overlap_seconds| SenderChange::Rotate {
        id: "sender2".parse().unwrap(),
        overlap_seconds,
        key: PasskeyHash::new([7; 16], &Secret::new("new")).into(),
    };
    let revoke = |id: &str| SenderChange::Revoke {
        id: id.parse().unwrap(),
    };
    for change in [rotate(60), revoke("sender0"), rotate(0), revoke("sender1")] {
        control.change_senders(&change, now).unwrap();
        assert!(row(host) < MAX_ROW, "{}", row(host));
    }
    let published = control.published().unwrap().unwrap();
    assert_eq!(published.manifest.version, version + 4);
    let of_two = control
        .ledgers()
        .unwrap()
        .into_iter()
        .flat_map(|ledger| ledger.senders);
    let left: std::collections::BTreeSet<_> = of_two.map(|id| id.to_string()).collect();
    assert!(!left.contains("sender0") && !left.contains("sender1"));
    assert!(left.contains("sender2"));
}

#[test]
fn changing_a_limit_of_a_large_manifest_leaves_its_row_as_it_was() {
    for changes in [14, 500] {
        let host = Host::unconfigured();
        let mut manifest = large();
        put(&host, &manifest);
        let first = row(&host);
        for change in 0..changes {
            manifest["version"] = json!(change + 2);
            manifest["accounts"][0]["limits"]["symbols"]["COIN7USDT"] =
                json!({ "maxPositionNotional": format!("{}", 100 + change % 900) });
            put(&host, &manifest);
        }
        assert_eq!(row(&host), first + (changes + 1).to_string().len() - 1);
        revoke(&host);
    }
}

/// The worst that a history can be: every change moves every sender, each time elsewhere.
#[test]
fn the_row_is_bounded_whatever_the_changes_move() {
    let host = Host::unconfigured();
    let mut manifest = large();
    put(&host, &manifest);
    for change in 1..=40_usize {
        manifest["version"] = json!(change + 1);
        for sender in manifest["senders"].as_array_mut().unwrap() {
            let next = sender["accounts"][change % 30].clone();
            sender["defaultAccount"] = next;
        }
        manifest["accounts"][change]["generation"] = json!(change + 1);
        put(&host, &manifest);
    }
    revoke(&host);
    // Every Ledger that was replaced is still told of the switch and of who may trade there.
    let told = Control::open(&host).unwrap().ledgers().unwrap();
    let old = told.iter().filter(|ledger| ledger.account.generation == 1);
    assert_eq!((told.len(), old.count()), (60 + 40, 60));
}

/// A change, its accounts, those that it retires, and those that it raises with what they become.
type Case<'a> = (&'a str, Vec<Value>, &'a [&'a str], &'a [(&'a str, &'a str)]);

#[test]
fn a_change_names_the_accounts_that_it_retires_and_those_whose_generation_it_raises() {
    let account = |id: &str, environment: &str, generation: u32| {
        json!({ "id": id, "name": format!("name-{id}"), "venue": "bybit", "environment": environment,
                "generation": generation, "secretSuffix": id.to_uppercase(),
                "baseUrl": (environment == "sim").then_some("http://127.0.0.1:9") })
    };
    let read = |accounts: &[Value]| {
        let text = json!({ "version": 1, "senders": [], "accounts": accounts });
        Manifest::parse_strict(&text.to_string()).unwrap()
    };
    let (a, b) = (account("a", "live", 1), account("b", "sim", 3));
    let old = read(&[a.clone(), b.clone()]);
    let mut renamed = a.clone();
    for (field, value) in [
        ("name", json!("other")),
        ("namespace", json!("desk")),
        ("locationHint", json!("apac")),
        ("limits", json!({ "maxOpenPositions": 1 })),
    ] {
        renamed[field] = value;
    }
    let mut elsewhere = b.clone();
    elsewhere["venue"] = json!("mexc");
    let mut moved = account("a", "live", 2);
    moved["name"] = json!("other");
    let cases: [Case<'_>; 10] = [
        ("nothing", vec![a.clone(), b.clone()], &[], &[]),
        (
            "another order and one more",
            vec![account("c", "live", 1), b.clone(), a.clone()],
            &[],
            &[],
        ),
        ("another name and more", vec![renamed, b.clone()], &[], &[]),
        ("one gone", vec![a.clone()], &["b/sim/3"], &[]),
        ("all gone", vec![], &["a/live/1", "b/sim/3"], &[]),
        (
            "another venue",
            vec![a.clone(), elsewhere],
            &["b/sim/3"],
            &[],
        ),
        (
            "raised, with another name",
            vec![moved.clone(), b.clone()],
            &[],
            &[("a/live/1", "a/live/2")],
        ),
        (
            "raised and gone",
            vec![moved],
            &["b/sim/3"],
            &[("a/live/1", "a/live/2")],
        ),
        (
            "lowered",
            vec![a.clone(), account("b", "sim", 2)],
            &[],
            &[("b/sim/3", "b/sim/2")],
        ),
        (
            "another environment, one higher",
            vec![a, account("b", "testnet", 4)],
            &["b/sim/3"],
            &[],
        ),
    ];
    for (what, accounts, gone, next) in cases {
        let new = read(&accounts);
        let found: Vec<_> = retired(&old, &new)
            .iter()
            .map(hoox_auth::Account::ledger_name)
            .collect();
        assert_eq!(found, gone, "{what}");
        let found: Vec<_> = raised(&old, &new)
            .iter()
            .map(|(old, new)| (old.ledger_name(), new.ledger_name()))
            .collect();
        let found: Vec<_> = found
            .iter()
            .map(|(a, b)| (a.as_str(), b.as_str()))
            .collect();
        assert_eq!(found, next, "{what}");
    }
}
