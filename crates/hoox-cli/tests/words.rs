//! What the program says without any gateway: help, completions, refusals. Each snapshot is what a user sees.

#![expect(
    clippy::unwrap_used,
    clippy::format_push_string,
    reason = "a test: what it does not expect must stop it"
)]

use std::process::{Command, Stdio};

/// Status, stdout and stderr of a run without any configuration.
fn hoox(arguments: &[&str]) -> (i32, String, String) {
    let run = Command::new(env!("CARGO_BIN_EXE_hoox"))
        .args(arguments)
        .env_clear()
        .env("HOME", env!("CARGO_TARGET_TMPDIR"))
        .current_dir("/")
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        run.status.code().unwrap(),
        text(run.stdout),
        text(run.stderr),
    )
}

#[test]
fn every_command_has_help() {
    let mut all = String::new();
    for command in [
        "",
        "monitor",
        "monitor kill-switch",
        "monitor health",
        "monitor signals",
        "monitor trades",
        "monitor positions",
        "monitor logs",
        "secrets",
        "secrets set",
        "secrets list",
        "secrets check",
        "secrets rotate",
        "secrets delete",
        "secrets generate",
        "waf",
        "waf configure",
        "waf status",
        "waf remove",
        "senders",
        "senders add",
        "senders list",
        "senders rotate",
        "senders revoke",
        "accounts",
        "accounts list",
        "config",
        "config manifest",
        "config manifest get",
        "config manifest set",
        "config manifest validate",
        "signal",
        "signal send",
        "completions",
    ] {
        let arguments: Vec<&str> = command.split_whitespace().chain(["--help"]).collect();
        let (status, out, err) = hoox(&arguments);
        assert_eq!((status, err.as_str()), (0, ""), "{command}");
        all.push_str(&format!("$ hoox {}\n{out}\n", arguments.join(" ")));
    }
    insta::assert_snapshot!(all);
}

#[test]
fn refusals_say_what_to_do_and_send_nothing() {
    let mut all = String::new();
    for arguments in [
        &["monitor", "health"][..],
        &["monitor", "health", "--json"],
        &["monitor", "health", "--local"],
        &["monitor", "health", "--local", "--host", "hoox.example.com"],
        &["monitor", "health", "--profile", "paper"],
        &["monitor", "health", "--host", "http://hoox.example.com"],
        &["monitor", "health", "--host", "hoox.example.com"],
        &["monitor", "kill-switch"],
        &["monitor", "kill-switch", "stop"],
        &["monitor", "trades", "--limit", "0"],
        &["config", "manifest", "validate", "missing.json"],
        &["secrets", "check"],
        &["secrets", "set", "BYBIT_KEY"],
        &["waf", "status", "--local"],
        &["waf", "configure", "--host", "hoox.example.com"],
        &["nothing"],
    ] {
        let (status, out, err) = hoox(arguments);
        all.push_str(&format!(
            "$ hoox {}\n{out}{err}[{status}]\n\n",
            arguments.join(" ")
        ));
    }
    insta::assert_snapshot!(all.replace(env!("CARGO_TARGET_TMPDIR"), "~"));
}

#[test]
fn completions_name_every_command() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let (status, out, err) = hoox(&["completions", shell]);
        assert_eq!((status, err.as_str()), (0, ""), "{shell}");
        for word in ["kill-switch", "rotate", "manifest", "operator-key-file"] {
            assert!(out.contains(word), "{shell}: {word}");
        }
    }
}

#[test]
fn a_reader_that_goes_away_ends_it_quietly() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_hoox"))
        .args(["completions", "bash"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let ended = child.wait_with_output().unwrap();
    assert_eq!(
        (ended.status.code(), ended.stderr.as_slice()),
        (Some(0), &b""[..])
    );
}
