//! Other programs, run without a shell and within a time.

use core::time::Duration;
use std::path::Path;
use std::process::Stdio;

use tokio::process::Command;
use tokio::time::timeout;

/// The time of a program that answers at once.
const WITHIN: Duration = Duration::from_secs(20);

/// What a program answered.
pub(crate) struct Ran {
    pub(crate) success: bool,
    pub(crate) out: Vec<u8>,
}

impl Ran {
    /// Its first line.
    pub(crate) fn line(&self) -> String {
        let text = String::from_utf8_lossy(&self.out);
        text.lines().next().unwrap_or_default().trim().to_owned()
    }

    /// Its list, in which NUL bytes stand between paths.
    pub(crate) fn paths(&self) -> Vec<String> {
        let parts = self.out.split(|byte| *byte == 0);
        parts
            .filter(|part| !part.is_empty())
            .map(|part| String::from_utf8_lossy(part).into_owned())
            .collect()
    }
}

/// A program in a folder. It can ask nobody, and ends with this one.
pub(crate) fn command(name: &str, folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(name);
    command
        .args(arguments)
        .current_dir(folder)
        // Looking must not install anything.
        .env("RUSTUP_AUTO_INSTALL", "0")
        .env("GIT_OPTIONAL_LOCKS", "0")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    command
}

/// Runs a program; the words say why there is no answer.
pub(crate) async fn run(name: &str, folder: &Path, arguments: &[&str]) -> Result<Ran, String> {
    let running = command(name, folder, arguments).output();
    let ended = timeout(WITHIN, running)
        .await
        .map_err(|_| format!("{name} did not answer within {} s", WITHIN.as_secs()))?;
    let ended = ended.map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => format!("{name} is not installed, or not in PATH"),
        _ => format!("{name}: {error}"),
    })?;
    Ok(Ran {
        success: ended.status.success(),
        out: ended.stdout,
    })
}

/// Runs git in a folder.
pub(crate) async fn git(folder: &Path, arguments: &[&str]) -> Result<Ran, String> {
    run("git", folder, arguments).await
}
