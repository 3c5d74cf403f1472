//! The local secrets of a checkout: `.dev.vars`, plain, or `.dev.vars.age`, encrypted.
//!
//! What is said about them names lines and numbers of them, never a value.

use core::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use age::x25519::Recipient;
use hoox_model::Secret;

use crate::checkout::Checkout;
use crate::failure::Failure;
use crate::files::{failed, place};
use crate::identity::{Identity, encrypt as seal};

pub(crate) const PLAIN: &str = ".dev.vars";
pub(crate) const SEALED: &str = ".dev.vars.age";
/// How the files begin that `npm run dev` writes from the encrypted one while it runs (`scripts/lib/secrets.mjs`).
const WHILE_IT_RUNS: &str = "# Written by npm run dev from .dev.vars.age";
/// A comment with somebody for whom the file is encrypted. The age file itself does not tell.
const RECIPIENT: &str = "# recipient: ";
/// More is no list of secrets.
const MAX_BYTES: u64 = 1 << 20;

/// The local secrets of a checkout.
pub(crate) struct Local {
    root: PathBuf,
    /// Found once: its owner is asked for a passphrase, or warned, once.
    identity: OnceCell<Identity>,
    /// Names of the exchange keys that the accounts of a running sandbox use.
    pub(crate) wanted: BTreeSet<String>,
}

impl Local {
    /// Those of a checkout, by its root.
    pub(crate) fn of(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            identity: OnceCell::new(),
            wanted: BTreeSet::new(),
        }
    }

    /// Those of the checkout that the program runs in.
    pub(crate) fn here() -> Result<Self, Failure> {
        Ok(Self::of(Checkout::here()?.root()))
    }

    pub(crate) fn plain(&self) -> PathBuf {
        self.root.join(PLAIN)
    }

    pub(crate) fn sealed(&self) -> PathBuf {
        self.root.join(SEALED)
    }

    /// Whether there is a plain file that is somebody's own. What `npm run dev` writes from the encrypted file is not.
    pub(crate) fn has_plain(&self) -> Result<bool, Failure> {
        match fs::read(self.plain()) {
            Ok(text) => Ok(!text.starts_with(WHILE_IT_RUNS.as_bytes())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(failed(&self.plain(), &error)),
        }
    }

    pub(crate) fn has_sealed(&self) -> bool {
        self.sealed().exists()
    }

    /// Every plain file: the root's, and those beside the workers' wrangler files, which are made from it.
    pub(crate) fn plain_files(&self) -> Result<Vec<PathBuf>, Failure> {
        let workers = self.root.join("workers");
        let entries = fs::read_dir(&workers).map_err(|error| failed(&workers, &error))?;
        let beside = entries.flatten().map(|entry| entry.path().join(PLAIN));
        let mut files: Vec<PathBuf> = beside.chain([self.plain()]).collect();
        files.retain(|file| file.symlink_metadata().is_ok());
        files.sort();
        Ok(files)
    }

    /// A path as its reader sees it, from the root.
    pub(crate) fn show(&self, file: &Path) -> String {
        file.strip_prefix(&self.root)
            .unwrap_or(file)
            .display()
            .to_string()
    }

    pub(crate) fn needs_sealed(&self) -> Result<(), Failure> {
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
    pub(crate) fn open(&self, identity: &Identity) -> Result<Secret, Failure> {
        let sealed = self.sealed();
        let content = fs::read(&sealed).map_err(|error| failed(&sealed, &error))?;
        identity.decrypt(SEALED, &content)
    }

    /// Writes the encrypted file; what comes out again is what went in.
    pub(crate) fn seal(
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

    /// The text of the plain file.
    pub(crate) fn plain_text(&self) -> Result<Secret, Failure> {
        if self.has_plain()? {
            let file = self.plain();
            let mut open = fs::File::open(&file).map_err(|error| failed(&file, &error))?;
            return bounded(&mut open, PLAIN);
        }
        if self.has_sealed() {
            let said = "there is no plain .dev.vars: the secrets are encrypted already";
            return Err(Failure::new("NO_VARS", said).hint("`hoox vars edit` changes them"));
        }
        Err(Failure::new("NO_VARS", "there is no .dev.vars").hint("`npm run dev` makes one"))
    }

    /// The text, of whichever file there is.
    pub(crate) fn read(&self) -> Result<Secret, Failure> {
        if self.has_sealed() && !self.has_plain()? {
            return self.open(self.identity()?);
        }
        self.plain_text()
    }

    fn identity(&self) -> Result<&Identity, Failure> {
        if let Some(found) = self.identity.get() {
            return Ok(found);
        }
        let found = Identity::find()?;
        Ok(self.identity.get_or_init(|| found))
    }

    /// Writes a text in place of what was read.
    pub(crate) fn write(&self, text: &Secret) -> Result<(), Failure> {
        check(text.expose())?;
        if !self.has_sealed() {
            return place(&self.plain(), text.expose().as_bytes());
        }
        let identity = self.identity()?;
        let (text, machines) = addressed(text, identity, Vec::new())?;
        self.seal(&text, &machines, identity)
    }
}

/// A source's text, if it is no longer than a list of secrets is.
pub(crate) fn bounded(source: &mut impl io::Read, name: &str) -> Result<Secret, Failure> {
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

/// The text with a comment for each further machine, and for whom to encrypt it. Where there are such comments this
/// machine is among them, so that a change on any of them keeps all.
pub(crate) fn addressed(
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

/// Counts the names; every line is NAME=value, a comment or empty.
pub(crate) fn check(text: &str) -> Result<usize, Failure> {
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
    assignment(line).is_some()
}

/// Name and value of a line, if it is one of an assignment.
fn assignment(line: &str) -> Option<(&str, &str)> {
    let rest = line
        .strip_prefix("export")
        .filter(|rest| rest.starts_with(char::is_whitespace))
        .unwrap_or(line);
    let (name, value) = rest.split_once('=')?;
    let (name, value) = (name.trim(), value.trim());
    let named = !name.is_empty()
        && name
            .chars()
            .all(|each| each.is_ascii_alphanumeric() || "_.-".contains(each));
    let value = match value.chars().next() {
        Some(quote @ ('"' | '\'')) => {
            let (inside, after) = value.strip_prefix(quote)?.split_once(quote)?;
            let ends = after.is_empty() || after.trim().starts_with('#');
            ends.then_some(inside)?
        }
        _ => value.split('#').next().unwrap_or_default().trim_end(),
    };
    named.then_some((name, value))
}

/// The values by name; the last of a name counts.
pub(crate) fn values(text: &str) -> BTreeMap<&str, &str> {
    text.lines()
        .filter_map(|line| assignment(line.trim()))
        .collect()
}

/// The text with a value for a name, or without that name.
pub(crate) fn with(text: &str, name: &str, value: Option<&str>) -> Secret {
    let other = |line: &&str| assignment(line.trim()).is_none_or(|(known, _)| known != name);
    let mut written: Vec<&str> = text.lines().filter(other).collect();
    let line = value.map(|value| format!("{name}={}", quoted(value)));
    written.extend(line.as_deref());
    written.push("");
    Secret::new(written.join("\n"))
}

/// A value that its readers read as it is.
fn quoted(value: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "_./+=:-".contains(letter);
    if value.chars().all(plain) {
        value.to_owned()
    } else if value.contains('"') {
        format!("'{value}'")
    } else {
        format!("\"{value}\"")
    }
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
        let script = include_str!("../../../scripts/lib/secrets.mjs");
        assert!(script.contains(WHILE_IT_RUNS));
    }

    #[test]
    fn a_value_is_set_read_back_and_removed() {
        let text = "# mine\nA=1\nexport B='two' # said\nC=x # y\n";
        assert_eq!(
            values(text),
            BTreeMap::from([("A", "1"), ("B", "two"), ("C", "x")])
        );
        let odd =
            "\n#D=4\n export E = \"two # words\" # note\nF='x=y'\nG= five # note\nH=\nG=six\n";
        let read = [("E", "two # words"), ("F", "x=y"), ("G", "six"), ("H", "")];
        assert_eq!(values(odd), BTreeMap::from(read));
        for value in ["plain", "with # hash", "with \" quote", ""] {
            let changed = with(text, "B", Some(value));
            assert_eq!(values(changed.expose()).get("B"), Some(&value));
            assert!(changed.expose().starts_with("# mine\nA=1\n"));
        }
        assert_eq!(with(text, "B", None).expose(), "# mine\nA=1\nC=x # y\n");
    }
}
