//! Secrets in the files that git tracks, and in everything that it remembers.
//!
//! In scope: reading files, blobs and messages within bounds, and saying where a leak is. Out of scope: what a leak is.

use core::fmt::Write as _;
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::ChildStdout;
use tokio::time::timeout;

use super::leaks::{Leak, Rules};
use super::program::{command, git};
use super::{Check, Group};

const GROUP: Group = Group("Repository");
const FILES: &str = "secrets in files";
const HISTORY: &str = "secrets in history";
/// Larger ones are not read: nobody keeps a key there.
const LARGEST: usize = 1 << 20;
/// The time for the whole history.
const WITHIN: Duration = Duration::from_mins(1);
/// So many leaks are told one by one.
const TOLD: usize = 20;

/// A leak, and where it is.
struct Place {
    leak: Leak,
    path: String,
    /// The object of the history that it is in.
    object: Option<String>,
}

/// What was read, and what was found in it.
#[derive(Default)]
struct Reading {
    read: usize,
    large: usize,
    binary: usize,
    places: Vec<Place>,
    seen: BTreeSet<Vec<u8>>,
}

impl Reading {
    /// Looks at a text. A secret is told once, however many versions of a file have it.
    fn look(&mut self, rules: &Rules, path: &str, object: Option<&str>, text: &[u8]) {
        let start = text.get(..text.len().min(8_000)).unwrap_or_default();
        if start.contains(&0) {
            self.binary = self.binary.saturating_add(1);
            return;
        }
        self.read = self.read.saturating_add(1);
        for leak in rules.find(path, text) {
            if self.seen.insert(leak.value.clone()) {
                self.places.push(Place {
                    leak,
                    path: path.to_owned(),
                    object: object.map(str::to_owned),
                });
            }
        }
    }

    fn summary(&self, what: &str) -> String {
        let mut text = format!("none found; {} {what} read", self.read);
        for (count, why) in [(self.large, "larger than 1 MiB"), (self.binary, "binary")] {
            if count > 0 {
                write!(text, ", {count} left out ({why})").unwrap_or_default();
            }
        }
        text
    }
}

/// Looks through a repository, also for the secrets of this machine, which are given by name.
pub(crate) async fn checks(checkout: &Path, secrets: &[(String, String)]) -> Vec<Check> {
    let top = match git(checkout, &["rev-parse", "--show-toplevel"]).await {
        Ok(ran) if ran.success => ran.line(),
        Ok(_) => return vec![GROUP.skip(FILES, "no git repository")],
        Err(why) => return vec![GROUP.unknown(FILES, why, "install git")],
    };
    let rules = match Rules::new(secrets) {
        Ok(rules) => rules,
        Err(failure) => return vec![GROUP.failed(FILES, &failure)],
    };
    let top = Path::new(&top);
    let mut checks = match files(top, &rules).await {
        Ok(reading) => told(FILES, &reading, &reading.summary("files"), &[]),
        Err(why) => vec![GROUP.unknown(FILES, why, "check the repository: git fsck")],
    };
    checks.extend(history_checks(top, &rules).await);
    checks
}

/// Reads every tracked file as it is now.
async fn files(top: &Path, rules: &Rules) -> Result<Reading, String> {
    let listed = git(top, &["ls-files", "-z"]).await?;
    let mut reading = Reading::default();
    for path in listed.paths() {
        let file = top.join(&path);
        // A link's target is tracked itself, or none of the repository's.
        let Some(found) = fs::symlink_metadata(&file)
            .ok()
            .filter(fs::Metadata::is_file)
        else {
            continue;
        };
        if usize::try_from(found.len()).is_ok_and(|size| size <= LARGEST) {
            let text = fs::read(&file).map_err(|error| format!("{path}: {error}"))?;
            reading.look(rules, &path, None, &text);
        } else {
            reading.large = reading.large.saturating_add(1);
        }
    }
    Ok(reading)
}

async fn history_checks(top: &Path, rules: &Rules) -> Vec<Check> {
    let mut reading = Reading::default();
    let broken = "check the repository: git fsck";
    match timeout(WITHIN, history(top, rules, &mut reading)).await {
        Ok(Ok(())) => {}
        Ok(Err(why)) => return vec![GROUP.fail(HISTORY, why, broken)],
        Err(_) => {
            let why = format!(
                "stopped after {} s: {} objects read",
                WITHIN.as_secs(),
                reading.read
            );
            let mut checks = told_all(top, HISTORY, &reading).await;
            checks.push(GROUP.warn(
                HISTORY,
                why,
                "look through the rest with a scanner of its own",
            ));
            return checks;
        }
    }
    if !reading.places.is_empty() {
        return told_all(top, HISTORY, &reading).await;
    }
    let shallow = git(top, &["rev-parse", "--is-shallow-repository"]).await;
    if shallow.is_ok_and(|ran| ran.line() == "true") {
        let why = format!("{}; the clone is shallow", reading.summary("objects"));
        return vec![GROUP.warn(
            HISTORY,
            why,
            "get the rest and repeat: git fetch --unshallow",
        )];
    }
    vec![GROUP.pass(HISTORY, reading.summary("objects"))]
}

/// Reads everything that a branch, a tag or the stash leads to.
async fn history(top: &Path, rules: &Rules, reading: &mut Reading) -> Result<(), String> {
    let limit = format!("--filter=blob:limit={LARGEST}");
    let arguments = [
        "rev-list",
        "--objects",
        "--all",
        "--missing=allow-any",
        "--filter-print-omitted",
        &limit,
    ];
    let listed = git(top, &arguments).await?;
    if !listed.success {
        return Err("git cannot list the history".to_owned());
    }
    let listed = String::from_utf8_lossy(&listed.out).into_owned();
    let (mut paths, mut asked) = (BTreeMap::new(), String::new());
    // git lists the newest first; the oldest version that has a secret is the one to name.
    for line in listed.lines().rev() {
        if line.starts_with('~') {
            reading.large = reading.large.saturating_add(1);
        } else {
            let (object, path) = line.split_once(' ').unwrap_or((line, ""));
            paths.insert(object, path);
            writeln!(asked, "{object}").unwrap_or_default();
        }
    }
    let broken = |error: std::io::Error| format!("git cat-file: {error}");
    let mut child = command("git", top, &["cat-file", "--batch", "--buffer"])
        .stdin(Stdio::piped())
        .spawn()
        .map_err(broken)?;
    let (Some(mut input), Some(out)) = (child.stdin.take(), child.stdout.take()) else {
        return Err("git cat-file cannot be talked to".to_owned());
    };
    let asking = async move {
        // Dropping it tells that nothing more comes.
        input.write_all(asked.as_bytes()).await
    };
    let answers = async {
        let mut objects = BufReader::new(out);
        while let Some((id, kind, text)) = object(&mut objects).await? {
            let path = match kind.as_str() {
                "blob" => paths.get(id.as_str()).copied().unwrap_or_default(),
                "commit" | "tag" => "",
                _ => continue,
            };
            reading.look(rules, path, Some(&id), &text);
        }
        Ok(())
    };
    let (asked, read) = tokio::join!(asking, answers);
    read.and(asked).map_err(broken)
}

/// The next object that `git cat-file --batch` writes: its name, its kind and its bytes.
async fn object(
    objects: &mut BufReader<ChildStdout>,
) -> std::io::Result<Option<(String, String, Vec<u8>)>> {
    loop {
        let mut head = String::new();
        if objects.read_line(&mut head).await? == 0 {
            return Ok(None);
        }
        let mut words = head.split_whitespace();
        let (Some(id), Some(kind), Some(size)) = (words.next(), words.next(), words.next()) else {
            // It is missing here.
            continue;
        };
        let size: usize = size.parse().map_err(std::io::Error::other)?;
        let mut bytes = vec![0; size.saturating_add(1)];
        objects.read_exact(&mut bytes).await?;
        bytes.truncate(size);
        return Ok(Some((id.to_owned(), kind.to_owned(), bytes)));
    }
}

/// As [`told`], with the commit that brought each.
async fn told_all(top: &Path, name: &str, reading: &Reading) -> Vec<Check> {
    let mut commits = Vec::new();
    for place in reading.places.iter().take(TOLD) {
        commits.push(commit(top, place).await);
    }
    told(name, reading, "", &commits)
}

/// The oldest commit that a leak's object came with.
async fn commit(top: &Path, place: &Place) -> String {
    let Some(object) = &place.object else {
        return String::new();
    };
    if place.path.is_empty() {
        return object.chars().take(10).collect();
    }
    let find = format!("--find-object={object}");
    let log = git(top, &["log", "--all", "--reverse", "--format=%h", &find]).await;
    log.map(|ran| ran.line()).unwrap_or_default()
}

/// One line for each leak, or one that says that there is none.
fn told(name: &str, reading: &Reading, none: &str, commits: &[String]) -> Vec<Check> {
    if reading.places.is_empty() {
        return vec![GROUP.pass(name, none)];
    }
    let line = |(number, place): (usize, &Place)| {
        let Leak { kind, line, .. } = &place.leak;
        let commit = commits.get(number).filter(|commit| !commit.is_empty());
        let at = match (place.path.is_empty(), commit) {
            (true, commit) => format!("message of {}", commit.map_or("a commit", String::as_str)),
            (false, None) => format!("{}:{line}", place.path),
            (false, Some(commit)) => format!("{}:{line} in commit {commit}", place.path),
        };
        GROUP.fail(name, format!("{at}: {kind}"), WHAT_TO_DO)
    };
    let mut checks: Vec<Check> = reading
        .places
        .iter()
        .take(TOLD)
        .enumerate()
        .map(line)
        .collect();
    let more = reading.places.len().saturating_sub(TOLD);
    if more > 0 {
        checks.push(GROUP.fail(
            name,
            format!("{more} more"),
            "mend these first, then repeat it",
        ));
    }
    checks
}

const WHAT_TO_DO: &str =
    "whoever has the repository has it: replace the secret at its issuer, then remove it here";
