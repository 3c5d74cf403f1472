//! `hoox operators`: keys are made here, and the gateway gets their digests only.

use hoox_model::sha256_hex;
use serde_json::{Value, json};

use crate::common::{Ran, folder, run};
use crate::double::{Answer, Gateway, KEY, problem};

fn hoox(name: &str, answers: Vec<Answer>, arguments: &[&str]) -> (Ran, Vec<(String, String)>) {
    let gateway = Gateway::start(answers);
    let folder = folder(&format!("operators-{name}"));
    let arguments = [arguments, &["--host", &gateway.address]].concat();
    let mut ran = run(&folder, &[("HOOX_OPERATOR_KEY", KEY)], &arguments, "");
    std::fs::remove_dir_all(&folder).unwrap();
    for text in [&mut ran.out, &mut ran.err] {
        *text = text.replace(&gateway.address, "HOST");
    }
    (ran, gateway.asked())
}

/// The key that was shown, and what stands around it.
fn shown(out: &str) -> (String, String) {
    let key = out.lines().find_map(|line| line.strip_prefix("  "));
    let key = key.unwrap().to_owned();
    assert!(key.starts_with("hoox_op_") && key.len() == 51, "{key}");
    let around = out.replace(&key, "KEY");
    (key, around)
}

#[test]
fn a_key_is_shown_once_and_its_digest_is_sent() {
    let made = json!({ "success": true, "published": true });
    for (arguments, call, body, sentence) in [
        (
            vec!["operators", "add", "ann", "--level", "operate"],
            "POST /v1/operators",
            json!({ "name": "ann", "level": "operate" }),
            "Operator 'ann' is added, at level operate.",
        ),
        (
            vec!["operators", "rotate", "ann", "--yes"],
            "POST /v1/operators/ann/rotate",
            json!({}),
            "Operator 'ann' has a new key; the one before has ended.",
        ),
    ] {
        let mut keys = Vec::new();
        for _ in 0..2 {
            let (ran, asked) = hoox("key", vec![(call, 201, made.clone())], &arguments);
            assert_eq!((ran.status, ran.err.as_str()), (0, ""));
            let (key, around) = shown(&ran.out);
            let expected = format!(
                "{sentence}\nTheir key, which is shown this once:\n\n  KEY\n\nOn their machine: hoox login operator-key --host HOST\n"
            );
            assert_eq!(around, expected);
            let mut body = body.clone();
            body["keySha256"] = json!(sha256_hex(key.as_bytes()));
            let [(asked, sent)] = asked.as_slice() else {
                panic!("{asked:?}")
            };
            assert_eq!(asked, call);
            assert_eq!(serde_json::from_str::<Value>(sent).unwrap(), body);
            assert!(!sent.contains(&key));
            keys.push(key);
        }
        assert_ne!(keys[0], keys[1]);
    }
    let add = ["operators", "add", "ann", "--level", "read", "--json"];
    let late = json!({ "success": true, "published": false });
    let (ran, _) = hoox("json", vec![("POST /v1/operators", 201, late)], &add);
    let said: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(said["data"]["published"], false);
    assert!(
        said["data"]["key"]
            .as_str()
            .unwrap()
            .starts_with("hoox_op_")
    );
}

#[test]
fn a_key_whose_change_nobody_knows_the_end_of_is_not_shown() {
    let lost = problem("NOT_CONFIRMED", "Control did not answer");
    let add = ["operators", "add", "ann", "--level", "read"];
    let (ran, _) = hoox("lost", vec![("POST /v1/operators", 503, lost)], &add);
    assert_eq!((ran.status, ran.out.as_str()), (3, ""));
    let hint = "look with `hoox operators list --host HOST`: where 'ann' has a key of just now, nobody has seen it; `hoox operators rotate ann --host HOST` makes another";
    assert!(ran.err.contains(hint), "{}", ran.err);
}

#[test]
fn what_takes_a_key_away_asks_and_the_owner_is_no_operator_of_the_list() {
    for (arguments, words) in [
        (
            vec!["operators", "revoke", "ann"],
            "Operator 'ann' and their key will end.",
        ),
        (
            vec!["operators", "rotate", "ann"],
            "The key that 'ann' has now ends at once, on every machine that holds it.",
        ),
        (
            vec!["operators", "revoke", "owner", "--yes"],
            "`hoox secrets rotate OPERATOR_KEY` replaces it",
        ),
        (
            vec!["operators", "add", "a/b", "--level", "read"],
            "'a/b' is no operator's name",
        ),
        (vec!["operators", "add", "ann"], "--level <LEVEL>"),
    ] {
        let (ran, asked) = hoox("asks", vec![], &arguments);
        assert_eq!(ran.status, 2, "{ran:?}");
        assert!(ran.err.contains(words), "{}", ran.err);
        assert!(asked.is_empty());
    }
    let (ran, _) = hoox(
        "revoked",
        vec![(
            "DELETE /v1/operators/ann",
            200,
            json!({ "published": false }),
        )],
        &["operators", "revoke", "ann", "--yes"],
    );
    let expected = "Operator 'ann' has ended: their key changes nothing any more, and reads nothing after about 90 s.\n\
        The gateways' configuration could not be written yet; it is tried until it is.\n";
    assert_eq!((ran.status, ran.out.as_str()), (0, expected));
}

#[test]
fn a_level_that_is_too_low_is_said_in_the_gateways_words() {
    let sentence = "this needs an operator at level admin, and 'ann' is at level read";
    let refusal = problem("NOT_PERMITTED", sentence);
    let list = json!({ "operators": [
        { "name": "owner", "level": "admin", "keyCreatedAt": null },
        { "name": "ann", "level": "read", "keyCreatedAt": 1_780_000_000_000_i64 },
    ] });
    let answers = || {
        vec![
            ("POST /v1/operators", 403, refusal.clone()),
            ("GET /v1/operators", 200, list.clone()),
        ]
    };
    let add = ["operators", "add", "bob", "--level", "admin"];
    let (ran, _) = hoox("low", answers(), &add);
    let expected = format!("error: {sentence} (NOT_PERMITTED)\n");
    assert_eq!((ran.status, ran.err), (1, expected));
    let (ran, _) = hoox("list", answers(), &["operators", "list"]);
    let expected = "OPERATOR  LEVEL  KEY CREATED\nowner     admin  -\nann       read   2026-05-28T20:26:40.000Z\n";
    assert_eq!((ran.status, ran.out.as_str()), (0, expected));
}
