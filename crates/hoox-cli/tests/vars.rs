//! Local secrets, encrypted at rest: the program as it is installed, in a checkout made for the test.

#![cfg(unix)]
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test: what it does not expect must stop it"
)]

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use age::secrecy::ExposeSecret as _;
use age::x25519::Identity;
use serde_json::Value;
use tempfile::TempDir;

const VALUE: &str = "3nRt-hunter2";
const TEXT: &str =
    "# mine\nOPERATOR_KEY=3nRt-hunter2\nexport BYBIT_TESTNET_API_KEY=\"3nRt-hunter2 too\"\n";

/// A checkout, and a machine with an identity.
struct Machine {
    folder: TempDir,
    identity: Identity,
}

struct Ran {
    status: i32,
    out: String,
    err: String,
}

impl Machine {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("workers/trade-worker")).unwrap();
        fs::create_dir(folder.path().join("private")).unwrap();
        for file in ["wrangler.toml", "workers/trade-worker/wrangler.toml"] {
            fs::write(folder.path().join(file), "").unwrap();
        }
        Self {
            folder,
            identity: Identity::generate(),
        }
    }

    /// One whose secrets are encrypted.
    fn encrypted() -> Self {
        let machine = Self::new();
        machine.write(".dev.vars", TEXT);
        machine.write("workers/trade-worker/.dev.vars", TEXT);
        machine.done(&["encrypt"]);
        machine
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.at(name), text).unwrap();
    }

    fn recipient(&self) -> String {
        self.identity.to_public().to_string()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hoox"));
        command
            .arg("vars")
            .args(arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", self.at("home"))
            .env("XDG_RUNTIME_DIR", self.at("private"))
            .env("HOOX_KEYRING", "off")
            .env(
                "HOOX_AGE_IDENTITY",
                self.identity.to_string().expose_secret(),
            )
            .current_dir(self.at("workers/trade-worker"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        ran(self.command(arguments).spawn().unwrap())
    }

    /// A run that succeeds and says no secret.
    fn done(&self, arguments: &[&str]) -> Ran {
        let ran = self.run(arguments);
        assert_eq!(ran.status, 0, "{}", ran.err);
        assert!(!(ran.out.clone() + &ran.err).contains(VALUE));
        ran
    }

    /// A run that is refused with a code, says no secret and changes nothing.
    fn refused(&self, arguments: &[&str], code: &str) -> Ran {
        let before = self.files();
        let ran = self.run(arguments);
        assert_ne!(ran.status, 0, "{}", ran.out);
        assert!(!(ran.out.clone() + &ran.err).contains(VALUE));
        assert!(ran.err.contains(&format!("({code})")), "{}", ran.err);
        assert_eq!(self.files(), before);
        ran
    }

    /// What `decrypt --stdout` gives to a pipe.
    fn text(&self) -> String {
        let ran = self.run(&["decrypt", "--stdout"]);
        assert_eq!(ran.status, 0, "{}", ran.err);
        ran.out
    }

    /// Runs `edit` with an editor written for the shell; `$1` is the file.
    fn edit(&self, script: &str) -> Ran {
        let ran = ran(self.editing(script));
        assert!(!(ran.out.clone() + &ran.err).contains(VALUE));
        assert_eq!(fs::read_dir(self.at("private")).unwrap().count(), 0);
        ran
    }

    fn editing(&self, script: &str) -> Child {
        self.write("editor", script);
        let editor = format!("sh '{}'", self.at("editor").display());
        let mut command = self.command(&["edit"]);
        command.env("EDITOR", editor).spawn().unwrap()
    }

    /// Every file of the checkout, with its content.
    fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut found = Vec::new();
        let mut folders = vec![self.folder.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    found.push((path.clone(), fs::read(path).unwrap()));
                }
            }
        }
        found.sort();
        found
    }

    fn names(&self) -> Vec<String> {
        let names = self.files().into_iter().map(|(path, _)| {
            let name = path.strip_prefix(self.folder.path()).unwrap();
            name.to_str().unwrap().to_owned()
        });
        names.filter(|name| name.contains(".dev.vars")).collect()
    }
}

fn ran(child: Child) -> Ran {
    let ended = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran {
        status: ended.status.code().unwrap(),
        out: text(ended.stdout),
        err: text(ended.stderr),
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn encrypted_and_plain_again() {
    let machine = Machine::encrypted();
    assert_eq!(machine.names(), [".dev.vars.age"]);
    assert_eq!(mode(&machine.at(".dev.vars.age")), 0o600);
    let sealed = fs::read(machine.at(".dev.vars.age")).unwrap();
    assert!(sealed.starts_with(b"age-encryption.org/v1\n"));
    assert_eq!(
        age::decrypt(&machine.identity, &sealed).unwrap(),
        TEXT.as_bytes()
    );
    assert_eq!(machine.text(), TEXT);

    machine.refused(&["decrypt"], "USAGE");
    machine.done(&["decrypt", "--yes"]);
    assert_eq!(machine.names(), [".dev.vars"]);
    assert_eq!(mode(&machine.at(".dev.vars")), 0o600);
    assert_eq!(fs::read_to_string(machine.at(".dev.vars")).unwrap(), TEXT);
}

#[test]
fn what_others_encrypt_is_read() {
    let machine = Machine::new();
    let recipient = machine.identity.to_public();
    machine.write(
        ".dev.vars.age",
        &age::encrypt_and_armor(&recipient, TEXT.as_bytes()).unwrap(),
    );
    assert_eq!(machine.text(), TEXT);
}

#[test]
fn every_recipient_reads_it_and_keeps_the_others() {
    let (first, second) = (Machine::new(), Machine::new());
    first.write(".dev.vars", TEXT.trim_end());
    let said = first.done(&["encrypt", "--recipient", &second.recipient()]);
    assert!(said.out.contains(&second.recipient()) && said.out.contains(&first.recipient()));

    fs::copy(first.at(".dev.vars.age"), second.at(".dev.vars.age")).unwrap();
    let edited = second.edit("echo MEXC_API_KEY=x >> \"$1\"");
    assert_eq!(edited.status, 0, "{}", edited.err);
    fs::copy(second.at(".dev.vars.age"), first.at(".dev.vars.age")).unwrap();
    let text = first.text();
    assert!(text.starts_with(TEXT) && text.ends_with("MEXC_API_KEY=x\n"));
    assert_eq!(text.matches("# recipient: age1").count(), 2);

    // Who is no longer named cannot read what is written from then on.
    let gone = format!(
        "grep -v {} \"$1\" > \"$1.new\"; mv \"$1.new\" \"$1\"",
        second.recipient()
    );
    assert_eq!(first.edit(&gone).status, 0);
    fs::copy(first.at(".dev.vars.age"), second.at(".dev.vars.age")).unwrap();
    second.refused(&["decrypt", "--stdout"], "WRONG_IDENTITY");
}

#[test]
fn another_identity_and_a_damaged_file_are_told_apart() {
    let machine = Machine::encrypted();
    let other = Machine::new();
    fs::copy(machine.at(".dev.vars.age"), other.at(".dev.vars.age")).unwrap();
    let said = other.refused(&["decrypt", "--yes"], "WRONG_IDENTITY");
    assert!(said.err.contains(&other.recipient()));
    other.refused(&["edit"], "WRONG_IDENTITY");

    let sealed = fs::read(machine.at(".dev.vars.age")).unwrap();
    for length in [0, 10, 100, sealed.len() - 20, sealed.len() - 1] {
        fs::write(machine.at(".dev.vars.age"), &sealed[..length]).unwrap();
        machine.refused(&["decrypt", "--stdout"], "DAMAGED");
    }
    for at in [sealed.len() - 1, sealed.len() - TEXT.len(), 30] {
        let mut changed = sealed.clone();
        changed[at] ^= 1;
        fs::write(machine.at(".dev.vars.age"), &changed).unwrap();
        assert_ne!(machine.run(&["decrypt", "--stdout"]).status, 0, "byte {at}");
        assert_eq!(machine.run(&["decrypt", "--stdout"]).out, "", "byte {at}");
    }
}

#[test]
fn without_an_identity_it_says_what_to_set() {
    let machine = Machine::encrypted();
    for arguments in [&["decrypt", "--stdout"][..], &["edit"], &["recipient"]] {
        let mut command = machine.command(arguments);
        let ran = ran(command.env_remove("HOOX_AGE_IDENTITY").spawn().unwrap());
        assert_eq!(ran.status, 1);
        assert!(ran.err.contains("(NO_IDENTITY)"), "{}", ran.err);
        assert!(ran.err.contains("set HOOX_AGE_IDENTITY"), "{}", ran.err);
    }
    let mut command = machine.command(&["recipient"]);
    let ran = ran(command.env("HOOX_AGE_IDENTITY", VALUE).spawn().unwrap());
    assert_eq!(ran.status, 1);
    assert!(!ran.err.contains(VALUE));
}

#[test]
fn an_identity_in_the_environment_is_warned_of() {
    let machine = Machine::new();
    let said = machine.done(&["recipient"]);
    assert_eq!(said.out, format!("{}\n", machine.recipient()));
    assert!(
        said.err
            .starts_with("warning: the age identity comes from HOOX_AGE_IDENTITY")
    );
}

#[test]
fn the_editor_changes_it() {
    let machine = Machine::encrypted();
    let before = machine.files();
    let same = machine.edit("touch \"$1\"");
    assert_eq!(
        (same.status, same.out.as_str()),
        (0, "Nothing was changed.\n")
    );
    let sealed = |files: &[(PathBuf, Vec<u8>)]| {
        let found = files
            .iter()
            .find(|(path, _)| path.ends_with(".dev.vars.age"));
        found.unwrap().1.clone()
    };
    assert_eq!(sealed(&machine.files()), sealed(&before));

    // Only its owner may enter where it lies, and what the editor leaves beside it goes as well.
    let script = "stat -c %a \"$1\" \"$(dirname \"$1\")\" > \"$HOME\"; echo $HOOX_AGE_IDENTITY >> \"$HOME\"; cp \"$1\" \"$1.swp\"; echo A=1 >> \"$1\"";
    assert_eq!(machine.edit(script).status, 0);
    assert_eq!(
        fs::read_to_string(machine.at("home")).unwrap(),
        "600\n700\n\n"
    );
    assert_eq!(machine.text(), format!("{TEXT}A=1\n"));
}

#[test]
fn an_editor_that_fails_changes_nothing() {
    let machine = Machine::encrypted();
    let sealed = fs::read(machine.at(".dev.vars.age")).unwrap();
    for (script, code) in [
        ("echo A=1 >> \"$1\"; exit 1", "EDITOR"),
        ("kill -KILL $$", "EDITOR"),
        ("rm \"$1\"", "FILE"),
        ("echo 3nRt-hunter2 >> \"$1\"", "BAD_LINES"),
        ("echo '# recipient: 3nRt-hunter2' >> \"$1\"", "BAD_LINES"),
    ] {
        let ran = machine.edit(script);
        assert_eq!(ran.status, 1, "{script}");
        assert!(
            ran.err.contains(&format!("({code})")),
            "{script}: {}",
            ran.err
        );
        assert_eq!(fs::read(machine.at(".dev.vars.age")).unwrap(), sealed);
        if code == "BAD_LINES" {
            assert!(ran.err.contains("line 4 is "), "{}", ran.err);
        }
    }
}

#[test]
fn told_to_end_it_leaves_no_text() {
    let machine = Machine::encrypted();
    let script = "kill -TERM $PPID; exec sleep 600";
    let ran = machine.edit(script);
    assert_eq!(ran.status, 1);
    assert!(ran.err.contains("(CANCELLED)"), "{}", ran.err);
    assert_eq!(machine.text(), TEXT);
}

#[test]
fn bad_lines_are_named_by_number() {
    let machine = Machine::new();
    machine.write(".dev.vars", "A=1\n3nRt-hunter2\nB=\"3nRt-hunter2\n");
    let said = machine.refused(&["encrypt"], "BAD_LINES");
    assert!(
        said.err.contains("lines 2, 3 are not NAME=value"),
        "{}",
        said.err
    );
}

#[test]
fn from_stdin_plain_files_stay() {
    let machine = Machine::encrypted();
    let from_stdin = |arguments: &[&str]| {
        let mut command = machine.command(arguments);
        let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(b"A=3nRt-hunter2\n")
            .unwrap();
        ran(child)
    };
    let asked = from_stdin(&["encrypt", "-"]);
    assert_eq!(asked.status, 2, "{}", asked.out);
    assert_eq!(machine.text(), TEXT);
    let copy = "# Written by npm run dev from .dev.vars.age while it runs\nA=1\n";
    machine.write(".dev.vars", copy);
    assert_eq!(from_stdin(&["encrypt", "-", "--yes"]).status, 0);
    assert_eq!(machine.text(), "A=3nRt-hunter2\n");
    assert_eq!(fs::read_to_string(machine.at(".dev.vars")).unwrap(), copy);
    // A copy is nothing to encrypt, and nothing that decrypting would lose.
    machine.refused(&["encrypt"], "NO_VARS");
    machine.done(&["decrypt", "--yes"]);
    assert_eq!(
        fs::read_to_string(machine.at(".dev.vars")).unwrap(),
        "A=3nRt-hunter2\n"
    );
}

#[test]
fn both_or_none_say_what_to_do() {
    let machine = Machine::encrypted();
    machine.refused(&["encrypt"], "NO_VARS");
    machine.write(".dev.vars", "A=2\n");
    machine.refused(&["decrypt", "--yes"], "BOTH");
    machine.refused(&["encrypt"], "USAGE");
    machine.done(&["encrypt", "--yes"]);
    assert_eq!(machine.text(), "A=2\n");

    let empty = Machine::new();
    for arguments in [&["encrypt"][..], &["decrypt", "--yes"], &["edit"]] {
        empty.refused(arguments, "NO_VARS");
    }
    let elsewhere = empty
        .command(&["encrypt"])
        .current_dir("/")
        .spawn()
        .unwrap();
    assert!(ran(elsewhere).err.contains("(NO_CHECKOUT)"));
    let secret = empty.identity.to_string();
    let said = empty.refused(&["encrypt", "--recipient", secret.expose_secret()], "USAGE");
    assert!(!said.err.contains(secret.expose_secret()));
}

#[test]
fn json_has_one_shape_and_no_value() {
    let machine = Machine::new();
    machine.write(".dev.vars", TEXT);
    let json = |ran: &Ran| serde_json::from_str::<Value>(&ran.out).unwrap();
    let said = json(&machine.done(&["encrypt", "--json"]));
    let data = serde_json::json!({
        "file": ".dev.vars.age", "names": 2, "recipients": [machine.recipient()], "removed": [".dev.vars"],
        "identity": "HOOX_AGE_IDENTITY",
    });
    assert_eq!(said, serde_json::json!({ "ok": true, "data": data }));
    let said = machine.run(&["decrypt", "--stdout", "--json"]);
    assert_eq!(said.status, 2);
    assert_eq!(json(&said)["error"]["code"], "USAGE");
    assert!(!said.out.contains(VALUE));
    let said = json(&machine.done(&["decrypt", "--yes", "--json"]));
    assert_eq!(said["data"]["file"], ".dev.vars");
}
