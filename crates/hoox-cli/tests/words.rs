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
        .env("HOOX_KEYRING", "off")
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

/// Every command and group of commands, found by their help.
fn commands(of: &[String], all: &mut Vec<Vec<String>>) {
    let arguments: Vec<&str> = of.iter().map(String::as_str).chain(["--help"]).collect();
    let (status, out, err) = hoox(&arguments);
    assert_eq!((status, err.as_str()), (0, ""), "{of:?}");
    all.push(of.to_vec());
    let listed = out.lines().skip_while(|line| *line != "Commands:").skip(1);
    for line in listed.take_while(|line| !line.is_empty()) {
        // What is further in is the rest of a description.
        let Some(name) = line
            .strip_prefix("  ")
            .filter(|rest| !rest.starts_with(' '))
        else {
            continue;
        };
        let name = name.split_whitespace().next().unwrap();
        if name != "help" {
            commands(&[of, &[name.to_owned()]].concat(), all);
        }
    }
}

#[test]
fn every_command_has_help() {
    let mut found = Vec::new();
    commands(&[], &mut found);
    assert!(found.len() > 30, "{found:?}");
    let mut all = String::new();
    for command in &found {
        let arguments: Vec<&str> = command
            .iter()
            .map(String::as_str)
            .chain(["--help"])
            .collect();
        let (_, out, _) = hoox(&arguments);
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
        &["login", "api-token"],
        &["deploy", "--local"],
        &["init", "--local"],
        &["deploy", "--dry-run"],
        &["nothing", "--json"],
        &["login", "operator-key", "--local"],
        &["alert", "check"],
        &["alert", "check", "-", "--journal"],
        &["alert", "check", "--journal"],
        &["alert", "template", "--kind", "scalping"],
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
        for word in [
            "kill-switch",
            "rotate",
            "manifest",
            "template",
            "reversing",
            "operator-key-file",
        ] {
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
