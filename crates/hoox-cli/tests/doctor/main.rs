//! `hoox doctor` in repositories that are made for it. Only doubles on this machine are called.

#![cfg(unix)]
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test: what it does not expect must stop it, and programs are found by PATH"
)]

#[path = "../common/double.rs"]
mod double;
mod remote;

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::{env, fs};

use serde_json::Value;

/// A checkout in a folder of its own, with programs that say what they are told to.
struct Checkout {
    folder: PathBuf,
}

/// What a run came to.
struct Ran {
    status: i32,
    out: String,
}

impl Ran {
    fn of_output(output: Output) -> Self {
        assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
        Self {
            status: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
        }
    }

    /// `verdict detail` of every check of a name.
    fn of(&self, name: &str) -> Vec<String> {
        let answer: Value = serde_json::from_str(&self.out).unwrap();
        let checks = answer["data"]["checks"].as_array().unwrap();
        let text = |check: &Value, field: &str| check[field].as_str().unwrap().to_owned();
        checks
            .iter()
            .filter(|check| check["name"] == name)
            .map(|check| format!("{} {}", text(check, "verdict"), text(check, "detail")))
            .collect()
    }
}

/// A value such as a machine makes; in parts, so that this file has none.
fn random() -> String {
    ["kP7wXz3mQ9vR2tY8", "bN4cJ6hL1sD5fG0a"].concat()
}

impl Checkout {
    /// One in which nothing is wrong.
    fn new(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .join("doctor")
            .join(name);
        fs::remove_dir_all(&folder).ok();
        let checkout = Self { folder };
        let private = "workers_dev = false\npreview_urls = false\n";
        checkout.write(
            "checkout/wrangler.toml",
            "name = \"hoox\"\n[[kv_namespaces]]\nid = \"7a1b\"\n",
        );
        checkout.write("checkout/workers/trade-worker/wrangler.toml", private);
        checkout.write("checkout/workers/d1-worker/wrangler.toml", private);
        checkout.write("checkout/.gitignore", ".dev.vars\n.env\n.env.*\n");
        checkout.write("home/none", "");
        checkout.write("library/none", "");
        let library = checkout.folder.join("library");
        checkout.program(
            "rustc",
            &format!(
                "case $1 in --print) echo {};; *) echo rustc 1.99.0;; esac",
                library.display()
            ),
        );
        checkout.program("node", "echo v20.1.0");
        checkout.git(&["init", "--quiet"]);
        checkout.commit();
        checkout
    }

    fn write(&self, path: &str, text: &str) -> PathBuf {
        let file = self.folder.join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, text).unwrap();
        file
    }

    fn secrets(&self, text: &str) {
        let file = self.write("checkout/.dev.vars", text);
        fs::set_permissions(file, fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn program(&self, name: &str, script: &str) {
        let file = self.write(&format!("bin/{name}"), &format!("#!/bin/sh\n{script}\n"));
        fs::set_permissions(file, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn git(&self, arguments: &[&str]) -> String {
        let who = [
            "-c",
            "user.name=a",
            "-c",
            "user.email=a@example.com",
            "-c",
            "commit.gpgsign=false",
        ];
        let ran = self
            .command("git")
            .args(who)
            .args(arguments)
            .output()
            .unwrap();
        assert!(
            ran.status.success(),
            "{arguments:?}: {}",
            String::from_utf8_lossy(&ran.stderr)
        );
        String::from_utf8(ran.stdout).unwrap().trim().to_owned()
    }

    /// Commits everything, and names the commit.
    fn commit(&self) -> String {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message", "all"]);
        self.git(&["rev-parse", "--short", "HEAD"])
    }

    fn command(&self, program: &str) -> Command {
        let path = env::var("PATH").unwrap();
        let mut command = Command::new(program);
        command
            .current_dir(self.folder.join("checkout"))
            .env_clear()
            .env(
                "PATH",
                format!("{}:{path}", self.folder.join("bin").display()),
            )
            .env("HOME", self.folder.join("home"))
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CEILING_DIRECTORIES", &self.folder);
        command
    }

    fn doctor(&self, arguments: &[&str]) -> Ran {
        let mut command = self.command(env!("CARGO_BIN_EXE_hoox"));
        let ran = command.arg("doctor").args(arguments).output().unwrap();
        Ran::of_output(ran)
    }
}

#[test]
fn a_checkout_in_which_nothing_is_wrong() {
    let checkout = Checkout::new("clean");
    let (key, other) = (random(), random().to_ascii_uppercase());
    checkout.secrets(&format!("OPERATOR_KEY={key}\nSEALING_KEY={other}\n"));
    let ran = checkout.doctor(&[]);
    let version = checkout.git(&["--version"]);
    insta::assert_snapshot!(ran.out.replace(&version, "git version X"));
    assert_eq!(ran.status, 0);
    assert!(!ran.out.contains(&key));
    // A folder below is in the checkout as well.
    let mut command = checkout.command(env!("CARGO_BIN_EXE_hoox"));
    let below = checkout.folder.join("checkout/workers/d1-worker");
    let there = command.arg("doctor").current_dir(below).output().unwrap();
    assert_eq!(String::from_utf8(there.stdout).unwrap(), ran.out);
}

#[test]
fn outside_a_checkout_what_belongs_to_one_is_skipped() {
    let checkout = Checkout::new("outside");
    let mut command = checkout.command(env!("CARGO_BIN_EXE_hoox"));
    let ran = command
        .args(["doctor", "--json"])
        .current_dir("/")
        .output()
        .unwrap();
    let ran = Ran::of_output(ran);
    assert_eq!(ran.status, 0);
    assert_eq!(ran.of("all checks"), ["skip not in a checkout of Hoox"; 3]);
    assert_eq!(ran.of("Node"), ["pass v20.1.0"]);
}

#[test]
fn tools_that_are_too_old_or_not_there_are_failures() {
    let checkout = Checkout::new("tools");
    checkout.program(
        "rustc",
        "case $1 in --print) echo /no/such/folder;; *) echo rustc 1.94.9;; esac",
    );
    checkout.program("node", "exit 1");
    let ran = checkout.doctor(&["--json"]);
    assert_eq!(ran.status, 1);
    assert_eq!(
        ran.of("Rust"),
        ["fail rustc 1.94.9 is too old; Hoox needs 1.95"]
    );
    assert_eq!(
        ran.of("WebAssembly"),
        ["fail Rust has no target wasm32-unknown-unknown"]
    );
    assert_eq!(
        ran.of("Node"),
        ["fail it is installed, and does not work in this folder"]
    );
}

#[test]
fn a_key_in_an_old_commit_is_found_and_not_shown() {
    let checkout = Checkout::new("leak");
    let key = format!("sk_live_{}", random());
    checkout.write(
        "checkout/config/pay.js",
        &format!("// keys\nconst stripe = '{key}';\n"),
    );
    let first = checkout.commit();
    let ran = checkout.doctor(&["--json"]);
    assert_eq!(ran.status, 1);
    assert_eq!(
        ran.of("secrets in files"),
        ["fail config/pay.js:2: Stripe key"]
    );
    let expected = format!("fail config/pay.js:2 in commit {first}: Stripe key");
    assert_eq!(ran.of("secrets in history"), [expected.as_str()]);
    assert!(
        !ran.out.contains(&key) && !ran.out.contains(&random()),
        "{}",
        ran.out
    );

    checkout.write(
        "checkout/config/pay.js",
        &format!("// more\n// keys\n\nconst stripe = '{key}';\n"),
    );
    checkout.commit();
    fs::remove_file(checkout.folder.join("checkout/config/pay.js")).unwrap();
    checkout.commit();
    let ran = checkout.doctor(&["--json"]);
    assert_eq!(ran.status, 1);
    assert!(ran.of("secrets in files")[0].starts_with("pass none found"));
    assert_eq!(ran.of("secrets in history"), [expected]);
}

#[test]
fn a_local_secret_is_found_in_a_message_and_on_any_branch() {
    let checkout = Checkout::new("own");
    checkout.secrets(
        "BYBIT_API_KEY=plain-words-without-dice\nBYBIT_API_SECRET=other-words-without-dice\n",
    );
    checkout.git(&[
        "commit",
        "--quiet",
        "--allow-empty",
        "--message",
        "it is plain-words-without-dice",
    ]);
    let message = checkout.git(&["rev-parse", "HEAD"]);
    let main = checkout.git(&["branch", "--show-current"]);
    checkout.git(&["checkout", "--quiet", "-b", "side"]);
    checkout.write("checkout/notes", "\nother-words-without-dice");
    let side = checkout.commit();
    checkout.git(&["checkout", "--quiet", &main]);
    let ran = checkout.doctor(&["--json"]);
    let mut found = ran.of("secrets in history");
    found.sort();
    let (message, _) = message.split_at(10);
    assert_eq!(
        found,
        [
            format!("fail message of {message}: value of BYBIT_API_KEY in .dev.vars"),
            format!("fail notes:2 in commit {side}: value of BYBIT_API_SECRET in .dev.vars"),
        ]
    );
    assert!(!ran.out.contains("without-dice"), "{}", ran.out);
}

#[test]
fn what_is_large_or_binary_is_left_out_and_counted() {
    let checkout = Checkout::new("bounds");
    let key = format!("sk_live_{}\n", random());
    checkout.write("checkout/large", &(key.clone() + &"x".repeat(1 << 20)));
    checkout.write("checkout/binary", &format!("\0{key}"));
    checkout.commit();
    let ran = checkout.doctor(&["--json"]);
    assert_eq!(ran.status, 0, "{}", ran.out);
    let left_out = ", 1 left out (larger than 1 MiB), 1 left out (binary)";
    assert_eq!(
        ran.of("secrets in files"),
        [format!("pass none found; 4 files read{left_out}")]
    );
    // Four files, and the messages of two commits; two workers share one wrangler file's bytes.
    assert_eq!(
        ran.of("secrets in history"),
        [format!("pass none found; 5 objects read{left_out}")]
    );
}

#[test]
fn what_git_shows_and_others_read_is_mended_and_then_good() {
    let checkout = Checkout::new("fix");
    checkout.write("checkout/.gitignore", "# no line's end\n.env");
    let secrets = checkout.write(
        "checkout/.dev.vars",
        &format!("OPERATOR_KEY={}\n", random()),
    );
    let key_file = checkout.write("home/operator-key", "k");
    for file in [&secrets, &key_file] {
        fs::set_permissions(file, fs::Permissions::from_mode(0o644)).unwrap();
    }
    let profile = format!(
        "[profiles.default]\noperatorKeyFile = \"{}\"\n",
        key_file.display()
    );
    checkout.write("home/.config/hoox/config.toml", &profile);
    let sick = checkout.doctor(&["--json"]);
    assert_eq!(sick.status, 1);
    assert_eq!(
        sick.of("ignored by git"),
        ["fail git does not ignore .dev.vars, .env.local"]
    );
    assert_eq!(
        sick.of("file modes"),
        ["fail others on this machine can read .dev.vars"]
    );
    assert_eq!(
        sick.of("key files"),
        [format!(
            "fail others on this machine can read {}",
            key_file.display()
        )]
    );
    let before = fs::read_to_string(&secrets).unwrap();

    let mended = checkout.doctor(&["--fix", "--json"]);
    assert_eq!(mended.status, 0, "{}", mended.out);
    let answer: Value = serde_json::from_str(&mended.out).unwrap();
    let expected = [
        "Added to .gitignore: .dev.vars, .env.local.".to_owned(),
        format!("Only you can read {} now.", secrets.display()),
        format!("Only you can read {} now.", key_file.display()),
    ];
    assert_eq!(answer["data"]["fixed"], serde_json::json!(expected));
    let ignored = fs::read_to_string(checkout.folder.join("checkout/.gitignore")).unwrap();
    assert_eq!(ignored, "# no line's end\n.env\n.dev.vars\n.env.local\n");
    assert_eq!(fs::read_to_string(&secrets).unwrap(), before);
    for file in [&secrets, &key_file] {
        assert_eq!(
            fs::metadata(file).unwrap().permissions().mode() & 0o777,
            0o600
        );
    }
    let again = checkout.doctor(&["--fix"]);
    assert!(
        again.out.starts_with("Nothing had to be mended.\n"),
        "{}",
        again.out
    );
}

#[test]
fn a_tracked_file_of_secrets_stays_and_the_command_is_told() {
    let checkout = Checkout::new("tracked");
    checkout.secrets(&format!("OPERATOR_KEY={}\n", random()));
    checkout.write("checkout/.dev.vars.example", "OPERATOR_KEY=\n");
    checkout.git(&["add", "--force", ".dev.vars", ".dev.vars.example"]);
    checkout.commit();
    let ran = checkout.doctor(&["--fix"]);
    assert_eq!(ran.status, 1);
    assert!(
        ran.out
            .contains("in the repository: .dev.vars\n        git rm --cached .dev.vars;"),
        "{}",
        ran.out
    );
    assert!(
        ran.out
            .contains(".dev.vars:1: value of OPERATOR_KEY in .dev.vars"),
        "{}",
        ran.out
    );
    assert_eq!(checkout.git(&["ls-files", ".dev.vars"]), ".dev.vars");
}

#[test]
fn placeholders_zeros_and_addresses_are_named() {
    let checkout = Checkout::new("placeholders");
    let zeros = "0".repeat(32);
    checkout.write(
        "checkout/wrangler.toml",
        &format!("[[kv_namespaces]]\nid = \"{zeros}\"\n"),
    );
    checkout.write(
        "checkout/workers/d1-worker/wrangler.toml",
        "workers_dev = true\npreview_urls = false\nroutes = []\n",
    );
    checkout.secrets("OPERATOR_KEY=changeme\nBYBIT_API_KEY=your-key-here\n");
    let ran = checkout.doctor(&["--json"]);
    assert_eq!(ran.status, 1);
    assert_eq!(
        ran.of("wrangler files"),
        ["warn ids are zeros in wrangler.toml: not configured yet"]
    );
    let expected = "fail workers/d1-worker/wrangler.toml: workers_dev is not false; workers/d1-worker/wrangler.toml: it has routes";
    // The deployed workers have a line of this name too.
    assert_eq!(ran.of("private workers")[0], expected);
    assert_eq!(
        ran.of("placeholders"),
        ["fail .dev.vars still has them: BYBIT_API_KEY, OPERATOR_KEY"]
    );
    assert_eq!(
        ran.of("key lengths"),
        ["fail shorter than 32 characters: OPERATOR_KEY"]
    );
    assert_eq!(
        ran.of("key pairs"),
        ["fail half of a pair is missing: BYBIT_API_SECRET"]
    );
}

#[test]
fn encrypted_secrets_are_not_looked_at_without_their_identity() {
    let checkout = Checkout::new("encrypted");
    checkout.write("checkout/.dev.vars.age", "age-encryption.org/v1\n");
    let ran = checkout.doctor(&["--json"]);
    assert_eq!(ran.status, 0, "{}", ran.out);
    let why = "skip this machine has no age identity that can be asked for here";
    for name in ["placeholders", "key lengths", "key pairs"] {
        assert_eq!(ran.of(name), [why], "{name}");
    }
}

#[test]
fn this_repository_has_no_secret_in_its_files_and_its_history() {
    let checkout = Checkout::new("self");
    let mut command = checkout.command(env!("CARGO_BIN_EXE_hoox"));
    let ran = command
        .args(["doctor", "--json"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env_remove("GIT_CEILING_DIRECTORIES")
        .output()
        .unwrap();
    let ran = Ran::of_output(ran);
    for name in ["secrets in files", "secrets in history"] {
        let found = ran.of(name);
        assert_eq!(found.len(), 1, "{found:?}");
        // A copy without git has nothing to read; the checks of the pipeline run in a clone.
        assert!(
            found[0].starts_with("pass none found") || found[0].starts_with("warn none found"),
            "{found:?}"
        );
    }
}
