//! `hoox vars`: the local secrets of a checkout as an age file, instead of plain text.
//!
//! In scope: `.dev.vars` in the root of a checkout, where `npm run dev` reads it. Out of scope: the secrets of a
//! deployment. What is said about the secrets names lines and numbers of them, never a value.

use std::ffi::OsString;
use std::io::{self, IsTerminal as _, Read as _};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::{env, fs};

use age::x25519::Recipient;
use clap::{Args, Subcommand};
use hoox_model::Secret;
use serde_json::{Value, json};
use tokio::process::Command;

use super::confirm;
use crate::args::Global;
use crate::context::Context;
use crate::failure::Failure;
use crate::files::{Private, failed, place, wipe};
use crate::identity::{Identity, VARIABLE, encrypt as seal};
use crate::output::Done;
use crate::profile::variable;

const PLAIN: &str = ".dev.vars";
const SEALED: &str = ".dev.vars.age";
/// How the files begin that `npm run dev` writes from the encrypted one while it runs (`scripts/lib/secrets.mjs`).
const WHILE_IT_RUNS: &str = "# Written by npm run dev from .dev.vars.age";
/// A comment with somebody for whom the file is encrypted. The age file itself does not tell.
const RECIPIENT: &str = "# recipient: ";
/// More is no list of secrets.
const MAX_BYTES: u64 = 1 << 20;

#[derive(Debug, Subcommand)]
pub(crate) enum Vars {
    /// Make .dev.vars an age file, .dev.vars.age, and remove the plain files
    Encrypt(Encrypt),
    /// Make .dev.vars.age plain again
    Decrypt {
        /// Print it, to a pipe, and change nothing
        #[arg(long)]
        stdout: bool,
    },
    /// Change .dev.vars.age in $VISUAL or $EDITOR
    Edit,
    /// This machine's recipient, for `encrypt --recipient` on another one
    Recipient,
}

#[derive(Debug, Args)]
pub(crate) struct Encrypt {
    /// Take the text from stdin, and leave plain files as they are
    #[arg(value_name = "-", value_parser = ["-"])]
    source: Option<String>,
    /// Another machine that may read it, as age1…; may be repeated
    #[arg(long = "recipient", value_name = "RECIPIENT")]
    recipients: Vec<String>,
}

pub(crate) async fn run(context: &Context, task: Vars) -> Result<Done, Failure> {
    let global = &context.global;
    match task {
        Vars::Encrypt(how) => encrypt(global, &how),
        Vars::Decrypt { stdout: true } => print(global),
        Vars::Decrypt { stdout: false } => decrypt(global),
        Vars::Edit => edit().await,
        Vars::Recipient => recipient(),
    }
}

/// The root of a checkout.
struct Checkout(PathBuf);

impl Checkout {
    /// The working folder or the nearest folder above it. A worker's own folder has no workers.
    fn here() -> Result<Self, Failure> {
        let missing = || {
            Failure::new("NO_CHECKOUT", "this is no checkout of Hoox")
                .hint("run it in a folder of one, where wrangler.toml is")
        };
        let here = env::current_dir().map_err(|_| missing())?;
        let root = here.ancestors().find(|folder| {
            folder.join("wrangler.toml").is_file() && folder.join("workers").is_dir()
        });
        root.map(|root| Self(root.to_owned())).ok_or_else(missing)
    }

    fn plain(&self) -> PathBuf {
        self.0.join(PLAIN)
    }

    fn sealed(&self) -> PathBuf {
        self.0.join(SEALED)
    }

    /// Whether there is a plain file that is somebody's own. What `npm run dev` writes from the encrypted file is not.
    fn has_plain(&self) -> Result<bool, Failure> {
        match fs::read(self.plain()) {
            Ok(text) => Ok(!text.starts_with(WHILE_IT_RUNS.as_bytes())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(failed(&self.plain(), &error)),
        }
    }

    fn has_sealed(&self) -> bool {
        self.sealed().exists()
    }

    /// Every plain file: the root's, and those beside the workers' wrangler files, which are made from it.
    fn plain_files(&self) -> Result<Vec<PathBuf>, Failure> {
        let workers = self.0.join("workers");
        let entries = fs::read_dir(&workers).map_err(|error| failed(&workers, &error))?;
        let beside = entries.flatten().map(|entry| entry.path().join(PLAIN));
        let mut files: Vec<PathBuf> = beside.chain([self.plain()]).collect();
        files.retain(|file| file.symlink_metadata().is_ok());
        files.sort();
        Ok(files)
    }

    /// A path as its reader sees it, from the root.
    fn show(&self, file: &Path) -> String {
        file.strip_prefix(&self.0)
            .unwrap_or(file)
            .display()
            .to_string()
    }

    fn needs_sealed(&self) -> Result<(), Failure> {
        if self.has_sealed() {
            return Ok(());
        }
        let hint = if self.has_plain()? {
            "the secrets are plain, in .dev.vars: `hoox vars encrypt` encrypts them"
        } else {
            "`npm run dev` makes .dev.vars, and `hoox vars encrypt` encrypts it"
        };
        Err(Failure::new("NO_VARS", "there is no .dev.vars.age").hint(hint))
    }

    /// What the encrypted file holds.
    fn open(&self, identity: &Identity) -> Result<Secret, Failure> {
        let sealed = self.sealed();
        let content = fs::read(&sealed).map_err(|error| failed(&sealed, &error))?;
        identity.decrypt(SEALED, &content)
    }

    /// Writes the encrypted file; what comes out again is what went in.
    fn seal(
        &self,
        text: &Secret,
        machines: &[Recipient],
        identity: &Identity,
    ) -> Result<(), Failure> {
        let lost = || {
            let said = "what was encrypted does not come out again; the plain files are kept";
            Failure::new("DAMAGED", said)
        };
        let sealed = seal(text, machines)?;
        // Before it takes the place of a good one, and as the disk has it.
        if !identity.decrypt(SEALED, &sealed)?.matches(text.expose()) {
            return Err(lost());
        }
        place(&self.sealed(), &sealed)?;
        let kept = self.open(identity)?;
        kept.matches(text.expose()).then_some(()).ok_or_else(lost)
    }
}

fn encrypt(global: &Global, how: &Encrypt) -> Result<Done, Failure> {
    let checkout = Checkout::here()?;
    let further = further(&how.recipients)?;
    let from_stdin = how.source.is_some();
    let text = if from_stdin {
        from(&mut io::stdin().lock(), "stdin")?
    } else {
        plain_text(&checkout)?
    };
    let names = check(text.expose())?;
    if checkout.has_sealed() {
        let from = if from_stdin { "stdin" } else { PLAIN };
        confirm(global.yes, &format!("{SEALED} will be replaced by {from}."))?;
    }
    let identity = Identity::find_or_make()?;
    let (text, machines) = addressed(&text, &identity, further)?;
    checkout.seal(&text, &machines, &identity)?;
    let removed = if from_stdin {
        Vec::new()
    } else {
        checkout.plain_files()?
    };
    for file in &removed {
        wipe(file)?;
    }
    let removed: Vec<String> = removed.iter().map(|file| checkout.show(file)).collect();
    let machines: Vec<String> = machines.iter().map(Recipient::to_string).collect();
    let mut said = format!(
        "Encrypted into {SEALED} (names: {names}), for {}.",
        machines.join(", ")
    );
    if !removed.is_empty() {
        said = format!("{said}\nRemoved: {}.", removed.join(", "));
    }
    let data = json!({ "file": SEALED, "names": names, "recipients": machines, "removed": removed, "identity": identity.place() });
    Ok(Done::new(said, data))
}

/// The text of the checkout's own plain file.
fn plain_text(checkout: &Checkout) -> Result<Secret, Failure> {
    if checkout.has_plain()? {
        let file = checkout.plain();
        let mut open = fs::File::open(&file).map_err(|error| failed(&file, &error))?;
        return from(&mut open, PLAIN);
    }
    if checkout.has_sealed() {
        let said = "there is no plain .dev.vars: the secrets are encrypted already";
        return Err(Failure::new("NO_VARS", said).hint("`hoox vars edit` changes them"));
    }
    Err(Failure::new("NO_VARS", "there is no .dev.vars").hint("`npm run dev` makes one"))
}

fn from(source: &mut impl io::Read, name: &str) -> Result<Secret, Failure> {
    let mut text = String::new();
    let read = source
        .take(MAX_BYTES.saturating_add(1))
        .read_to_string(&mut text);
    let text = Secret::new(text);
    match read {
        Err(error) => Err(failed(Path::new(name), &error)),
        Ok(length) if length as u64 > MAX_BYTES => {
            Err(Failure::usage(format!("{name} is over {MAX_BYTES} bytes")))
        }
        Ok(_) => Ok(text),
    }
}

fn further(given: &[String]) -> Result<Vec<Recipient>, Failure> {
    // Not repeated: it might be the secret half.
    let bad = |_| {
        Failure::usage("a --recipient is no recipient of age")
            .hint("one begins with age1; `hoox vars recipient` prints the one of a machine")
    };
    given.iter().map(|each| each.parse().map_err(bad)).collect()
}

/// The text with a comment for each further machine, and for whom to encrypt it. Where there are such comments this
/// machine is among them, so that a change on any of them keeps all.
fn addressed(
    text: &Secret,
    identity: &Identity,
    further: Vec<Recipient>,
) -> Result<(Secret, Vec<Recipient>), Failure> {
    let own = identity.recipient();
    let mut machines = Vec::new();
    let mut bad = Vec::new();
    for (line, number) in text.expose().lines().zip(1_usize..) {
        if let Some(machine) = line.strip_prefix(RECIPIENT) {
            match machine.trim().parse::<Recipient>() {
                Ok(machine) => machines.push(machine),
                Err(_) => bad.push(number),
            }
        }
    }
    if !bad.is_empty() {
        return Err(bad_lines(&bad, "no recipient of age"));
    }
    let mut written = text.expose().to_owned();
    let shared = !machines.is_empty() || !further.is_empty();
    for machine in further.into_iter().chain(shared.then_some(own.clone())) {
        let name = machine.to_string();
        if machines.iter().any(|known| known.to_string() == name) {
            continue;
        }
        if !written.is_empty() && !written.ends_with('\n') {
            written.push('\n');
        }
        written.push_str(RECIPIENT);
        written.push_str(&name);
        written.push('\n');
        machines.push(machine);
    }
    if machines.is_empty() {
        machines.push(own);
    }
    Ok((Secret::new(written), machines))
}

fn decrypt(global: &Global) -> Result<Done, Failure> {
    let checkout = Checkout::here()?;
    checkout.needs_sealed()?;
    if checkout.has_plain()? {
        let said = "there is a plain .dev.vars beside .dev.vars.age, which would be lost";
        return Err(Failure::new("BOTH", said).hint("remove one of the two"));
    }
    confirm(global.yes, "The secrets will be plain, in .dev.vars.")?;
    let text = checkout.open(&Identity::find()?)?;
    // A link of `npm run dev` may lie there: it goes with what it leads to.
    wipe(&checkout.plain())?;
    place(&checkout.plain(), text.expose().as_bytes())?;
    let sealed = checkout.sealed();
    fs::remove_file(&sealed).map_err(|error| failed(&sealed, &error))?;
    let said = format!("The secrets are plain, in {PLAIN}; {SEALED} is removed.");
    Ok(Done::new(
        said,
        json!({ "file": PLAIN, "removed": [SEALED] }),
    ))
}

fn print(global: &Global) -> Result<Done, Failure> {
    let checkout = Checkout::here()?;
    if global.json || io::stdout().is_terminal() {
        let said = "--stdout prints the secrets themselves, to a pipe and without --json";
        return Err(Failure::usage(said).hint("`hoox vars edit` shows them"));
    }
    checkout.needs_sealed()?;
    let text = checkout.open(&Identity::find()?)?;
    Ok(Done::new(text.expose(), Value::Null))
}

fn recipient() -> Result<Done, Failure> {
    let identity = Identity::find_or_make()?;
    let recipient = identity.recipient().to_string();
    let data = json!({ "recipient": recipient, "identity": identity.place() });
    Ok(Done::new(recipient, data))
}

async fn edit() -> Result<Done, Failure> {
    let checkout = Checkout::here()?;
    checkout.needs_sealed()?;
    let identity = Identity::find()?;
    let before = checkout.open(&identity)?;
    // From here on a signal does not end the program before the folder is gone.
    let mut end = End::listen()?;
    let folder = Private::new()?;
    let file = folder.path().join("dev.vars");
    place(&file, before.expose().as_bytes())?;
    let (text, names) = loop {
        edited(&file, &mut end).await?;
        let mut open = fs::File::open(&file).map_err(|error| failed(&file, &error))?;
        let text = from(&mut open, "what the editor left")?;
        match check(text.expose()) {
            Ok(names) => break (text, names),
            Err(failure) if io::stdin().is_terminal() => {
                confirm(false, &format!("{failure}\nEdit it again?"))?;
            }
            Err(failure) => return Err(failure),
        }
    };
    if text.matches(before.expose()) {
        return Ok(Done::new(
            "Nothing was changed.",
            json!({ "changed": false }),
        ));
    }
    let (text, machines) = addressed(&text, &identity, Vec::new())?;
    checkout.seal(&text, &machines, &identity)?;
    let said = format!(
        "Encrypted into {SEALED} (names: {names}). `npm run dev` reads it at its next start."
    );
    Ok(Done::new(said, json!({ "changed": true, "names": names })))
}

/// Has the user edit a file.
async fn edited(file: &Path, end: &mut End) -> Result<(), Failure> {
    let said = |why: &str| {
        Failure::new("EDITOR", format!("the editor {why}; nothing was changed"))
            .hint("$VISUAL or $EDITOR names it")
    };
    let mut command = editor(file.as_os_str().to_owned());
    let mut child = command
        .env_remove(VARIABLE)
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

/// Counts the names; every line is NAME=value, a comment or empty.
fn check(text: &str) -> Result<usize, Failure> {
    let lines = || text.lines().zip(1_usize..);
    let means = |line: &str| !line.is_empty() && !line.starts_with('#');
    let bad: Vec<usize> = lines()
        .filter(|(line, _)| means(line.trim()) && !is_assignment(line.trim()))
        .map(|(_, number)| number)
        .collect();
    if !bad.is_empty() {
        return Err(bad_lines(&bad, "not NAME=value"));
    }
    Ok(lines().filter(|(line, _)| means(line.trim())).count())
}

fn bad_lines(numbers: &[usize], what: &str) -> Failure {
    let listed: Vec<String> = numbers.iter().map(usize::to_string).collect();
    let said = match listed.as_slice() {
        [one] => format!("line {one} is {what}"),
        all => format!("lines {} are {what}", all.join(", ")),
    };
    Failure::new("BAD_LINES", said).hint("a value is on one line, in quotes or without")
}

/// As wrangler and the scripts read a line.
fn is_assignment(line: &str) -> bool {
    let rest = line
        .strip_prefix("export")
        .filter(|rest| rest.starts_with(char::is_whitespace))
        .unwrap_or(line);
    let Some((name, value)) = rest.split_once('=') else {
        return false;
    };
    let (name, value) = (name.trim(), value.trim());
    let named = !name.is_empty()
        && name
            .chars()
            .all(|each| each.is_ascii_alphanumeric() || "_.-".contains(each));
    let closed = match value.chars().next() {
        Some(quote @ ('"' | '\'')) => value
            .strip_prefix(quote)
            .and_then(|rest| rest.split_once(quote))
            .is_some_and(|(_, after)| after.is_empty() || after.trim().starts_with('#')),
        _ => true,
    };
    named && closed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_the_scripts_read_them() {
        let good = "A=1\n\n  # a comment\nexport B = two # said\nC=\nD=\"x # y\"\nE='\"' # z\nF.g-h=it's\nI=\"\"\r\n";
        assert_eq!(check(good).unwrap(), 7);
        let bad = "A=1\nhunter2\n=hunter2\nB C=1\nD=\"hunter2\nE='x' hunter2\nexport=1";
        let failure = check(bad).unwrap_err();
        assert_eq!(failure.message, "lines 2, 3, 4, 5, 6 are not NAME=value");
    }

    #[test]
    fn the_scripts_mark_their_files_with_the_same_words() {
        let script = include_str!("../../../../scripts/lib/secrets.mjs");
        assert!(script.contains(WHILE_IT_RUNS));
    }
}
