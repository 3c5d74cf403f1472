//! `hoox senders` where the gateway has something to say.

use serde_json::json;

use crate::common::{folder, run};
use crate::double::{Answer, Gateway, KEY, problem};

fn hoox(name: &str, answers: Vec<Answer>, arguments: &[&str]) -> (i32, String, String) {
    let gateway = Gateway::start(answers);
    let folder = folder(&format!("senders-{name}"));
    let arguments = [arguments, &["--host", &gateway.address]].concat();
    let ran = run(&folder, &[("HOOX_OPERATOR_KEY", KEY)], &arguments, "");
    std::fs::remove_dir_all(&folder).unwrap();
    let named = |text: &str| text.replace(&gateway.address, "HOST");
    (ran.status, named(&ran.out), named(&ran.err))
}

#[test]
fn why_a_sender_is_not_made_is_said_in_the_gateways_words() {
    let sentence =
        "no account is in namespace 'crypto'; put an account into it first, or leave it out";
    let mut refusal = problem("BAD_FIELD", sentence);
    refusal["field"] = json!("namespaces[0]");
    let add = [
        "senders",
        "add",
        "bot",
        "--account",
        "main",
        "--namespace",
        "crypto",
    ];
    let ran = hoox("refused", vec![("POST /v1/senders", 400, refusal)], &add);
    let expected = format!("error: namespaces[0]: {sentence} (BAD_FIELD)\n");
    assert_eq!(ran, (1, String::new(), expected));
}

#[test]
fn a_revocation_says_who_is_not_told_yet_and_what_waits() {
    let ended = "Sender 'bot' has ended: its keys open nothing any more.\n";
    for (body, more) in [
        (json!({ "published": true }), ""),
        (
            json!({ "published": false, "deadLetters": 2 }),
            "Not every Ledger could be told yet; they are told until they answer.\n\
             2 of its exits are not sent and wait for you: hoox dead-letters list --host HOST\n",
        ),
    ] {
        let revoke = ["senders", "revoke", "bot", "--yes"];
        let ran = hoox(
            "revoked",
            vec![("DELETE /v1/senders/bot", 200, body)],
            &revoke,
        );
        assert_eq!(ran, (0, format!("{ended}{more}"), String::new()));
    }
}
