//! A text in the user's editor.

use std::ffi::OsString;
use std::fs;
use std::io::{self, IsTerminal as _};
use std::path::Path;
use std::process::ExitStatus;

use hoox_model::Secret;
use tokio::process::Command;

use crate::cloudflare::API_TOKEN;
use crate::commands::confirm;
use crate::failure::Failure;
use crate::files::{Private, failed, place};
use crate::local::bounded;
use crate::profile::{forget_credentials, variable};

/// Has the user change a text, in a private file of this name that is gone afterwards. What `check` says of the new
/// text comes with it; `None` where nothing was changed. On a terminal a text that does not pass may be edited again;
/// where it is given up `lost` may keep it.
pub(crate) async fn edit<T>(
    name: &str,
    before: &Secret,
    check: impl Fn(&str) -> Result<T, Failure>,
    lost: impl Fn(Failure, &str) -> Failure,
) -> Result<Option<(Secret, T)>, Failure> {
    // From here on a signal does not end the program before the folder is gone.
    let mut end = End::listen()?;
    let folder = Private::new()?;
    let file = folder.path().join(name);
    place(&file, before.expose().as_bytes())?;
    loop {
        edited(&file, &mut end).await?;
        let mut open = fs::File::open(&file).map_err(|error| failed(&file, &error))?;
        let text = bounded(&mut open, "what the editor left")?;
        match check(text.expose()) {
            Ok(_) if text.matches(before.expose()) => return Ok(None),
            Ok(found) => return Ok(Some((text, found))),
            Err(failure) if io::stdin().is_terminal() => {
                confirm(false, &format!("{failure}\nEdit it again?"))
                    .map_err(|failure| lost(failure, text.expose()))?;
            }
            Err(failure) => return Err(lost(failure, text.expose())),
        }
    }
}

/// Has the user edit a file.
async fn edited(file: &Path, end: &mut End) -> Result<(), Failure> {
    let said = |why: &str| {
        Failure::new("EDITOR", format!("the editor {why}; nothing was changed"))
            .hint("$VISUAL or $EDITOR names it")
    };
    let mut command = editor(file.as_os_str().to_owned());
    forget_credentials(&mut command);
    let mut child = command
        .env_remove(API_TOKEN)
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| said(&format!("did not start: {error}")))?;
    let status = tokio::select! {
        status = child.wait() => status,
        () = end.wanted() => {
            child.kill().await.ok();
            return Err(Failure::new("CANCELLED", "ended by a signal; nothing was changed"));
        }
    };
    match status.as_ref().map(ExitStatus::success) {
        Ok(true) => Ok(()),
        Ok(false) => Err(said("failed")),
        Err(error) => Err(said(&format!("was lost: {error}"))),
    }
}

/// The editor may have arguments, such as `code --wait`; a shell takes them apart, as it does for git.
fn editor(file: OsString) -> Command {
    let named = variable("VISUAL").or_else(|| variable("EDITOR"));
    if cfg!(windows) {
        let named = named.unwrap_or_else(|| "notepad".to_owned());
        let mut words = named.split_whitespace();
        let mut command = Command::new(words.next().unwrap_or("notepad"));
        command.args(words).arg(file);
        return command;
    }
    let named = named.unwrap_or_else(|| "vi".to_owned());
    let mut command = Command::new("sh");
    command
        .arg("-c")
        .arg(format!("exec {named} \"$@\""))
        .arg(named)
        .arg(file);
    command
}

/// The signals that ask for the end. Ctrl-C is the editor's, which the terminal sends it as well.
#[cfg(unix)]
struct End {
    terminate: tokio::signal::unix::Signal,
    hangup: tokio::signal::unix::Signal,
    _interrupt: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl End {
    fn listen() -> Result<Self, Failure> {
        use tokio::signal::unix::{SignalKind, signal};
        let listen = |kind| signal(kind).map_err(|error| failed(Path::new("signals"), &error));
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            hangup: listen(SignalKind::hangup())?,
            _interrupt: listen(SignalKind::interrupt())?,
        })
    }

    async fn wanted(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.hangup.recv() => {}
        }
    }
}

#[cfg(not(unix))]
struct End(
    tokio::signal::windows::CtrlClose,
    #[expect(dead_code, reason = "while it lives Ctrl-C ends the editor only")]
    tokio::signal::windows::CtrlC,
);

#[cfg(not(unix))]
impl End {
    fn listen() -> Result<Self, Failure> {
        use tokio::signal::windows::{ctrl_c, ctrl_close};
        let said = |error: io::Error| failed(Path::new("signals"), &error);
        Ok(Self(ctrl_close().map_err(said)?, ctrl_c().map_err(said)?))
    }

    async fn wanted(&mut self) {
        self.0.recv().await;
    }
}
