//! Runs the program as a user does, with nothing of the tester's own environment.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

/// What a run came to.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) status: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// Runs the program in a folder, with a text on stdin and these variables alone.
pub(crate) fn run(
    folder: &Path,
    variables: &[(&str, &str)],
    arguments: &[&str],
    input: &str,
) -> Ran {
    let mut child = Command::new(env!("CARGO_BIN_EXE_hoox"))
        .args(arguments)
        .env_clear()
        .env("HOME", folder)
        .env("HOOX_KEYRING", "off")
        .envs(variables.iter().copied())
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // A program that needs no input may have ended before it could be written.
    stdin.write_all(input.as_bytes()).ok();
    drop(stdin);
    let ran = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran {
        status: ran.status.code().unwrap(),
        out: text(ran.stdout),
        err: text(ran.stderr),
    }
}

/// An empty folder of this test's own.
pub(crate) fn folder(name: &str) -> std::path::PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::remove_dir_all(&folder).ok();
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// The run as a reader of a transcript sees it.
pub(crate) fn transcript(arguments: &[&str], ran: &Ran) -> String {
    let words = arguments.join(" ");
    format!("$ hoox {words}\n{}{}[{}]\n\n", ran.out, ran.err, ran.status)
}
