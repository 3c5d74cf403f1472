//! The checkout: what git must not see, who may read it, and the wrangler files.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use hoox_mesh::Worker;
use toml::{Table, Value};

use super::program::git;
use super::variables::is_placeholder;
use super::{Check, Group};
use crate::profile::is_private;

const GROUP: Group = Group("Checkout");
/// Files of local secrets.
const SECRET_FILES: [&str; 3] = [".dev.vars", ".env", ".env.local"];
/// Endings of such files that are meant to be shared.
const SHARED: [&str; 2] = [".example", ".age"];

/// The files of secrets that git would show: they are not ignored.
pub(crate) async fn not_ignored(root: &Path) -> Result<Vec<&'static str>, String> {
    let mut shown = Vec::new();
    for name in SECRET_FILES {
        // Beside the gateway's wrangler file, and beside a worker's.
        for path in [name.to_owned(), format!("workers/trade-worker/{name}")] {
            // By its rules alone: what is tracked is looked at for itself.
            let ran = git(root, &["check-ignore", "--quiet", "--no-index", &path]).await?;
            if !ran.success && !shown.contains(&name) {
                shown.push(name);
            }
        }
    }
    Ok(shown)
}

/// Files of secrets beside the wrangler files that others on this machine may read.
pub(crate) fn readable_by_others(root: &Path) -> Vec<PathBuf> {
    let folders = Worker::ALL.map(|worker| root.join(worker.wrangler_file()));
    let folders: BTreeSet<&Path> = folders.iter().filter_map(|file| file.parent()).collect();
    let entries = folders
        .into_iter()
        .flat_map(fs::read_dir)
        .flatten()
        .flatten();
    let mut files: Vec<PathBuf> = entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()))
        .filter(|entry| is_secret_file(&entry.file_name().to_string_lossy()))
        .map(|entry| entry.path())
        .filter(|file| !is_private(file))
        .collect();
    files.sort();
    files
}

fn is_secret_file(name: &str) -> bool {
    let kept = name == ".dev.vars" || name.starts_with(".dev.vars.");
    kept && !SHARED.iter().any(|ending| name.ends_with(ending))
}

/// Looks at a checkout. `deployed` are the workers that Cloudflare is known to run.
pub(crate) async fn checks(root: &Path, deployed: &[Worker]) -> Vec<Check> {
    vec![
        ignored(root).await,
        tracked(root).await,
        modes(root),
        ids(root, deployed),
        addresses(root),
    ]
}

async fn ignored(root: &Path) -> Check {
    let name = "ignored by git";
    match git(root, &["rev-parse", "--git-dir"]).await {
        Ok(ran) if ran.success => {}
        Ok(_) => return GROUP.skip(name, "no git repository"),
        Err(why) => return GROUP.unknown(name, why, "install git"),
    }
    match not_ignored(root).await {
        Ok(shown) if shown.is_empty() => GROUP.pass(name, SECRET_FILES.join(", ")),
        Ok(shown) => GROUP.fail(
            name,
            format!("git does not ignore {}", shown.join(", ")),
            "hoox doctor --fix adds them to .gitignore",
        ),
        Err(why) => GROUP.unknown(name, why, "install git"),
    }
}

async fn tracked(root: &Path) -> Check {
    let name = "not tracked by git";
    let listed = [
        "ls-files",
        "-z",
        "--",
        ":(glob)**/.dev.vars",
        ":(glob)**/.dev.vars.*",
        ":(glob)**/.env",
        ":(glob)**/.env.*",
    ];
    let files = match git(root, &listed).await {
        Ok(ran) if ran.success => ran.paths(),
        Ok(_) => return GROUP.skip(name, "no git repository"),
        Err(why) => return GROUP.unknown(name, why, "install git"),
    };
    let is_shared = |path: &String| SHARED.iter().any(|ending| path.ends_with(ending));
    let files: Vec<String> = files.into_iter().filter(|path| !is_shared(path)).collect();
    if files.is_empty() {
        return GROUP.pass(name, "no file of secrets");
    }
    let files = files.join(" ");
    GROUP.fail(
        name,
        format!("in the repository: {files}"),
        format!("git rm --cached {files}; then replace every secret in it, the history keeps it"),
    )
}

fn modes(root: &Path) -> Check {
    let name = "file modes";
    let open = readable_by_others(root);
    if open.is_empty() {
        return GROUP.pass(name, "nobody else can read .dev.vars");
    }
    let files: Vec<String> = open
        .iter()
        .map(|file| {
            file.strip_prefix(root)
                .unwrap_or(file)
                .display()
                .to_string()
        })
        .collect();
    let files = files.join(" ");
    GROUP.fail(
        name,
        format!("others on this machine can read {files}"),
        format!("hoox doctor --fix, or: chmod 600 {files}"),
    )
}

fn wrangler(root: &Path, worker: Worker) -> Result<Table, String> {
    let file = worker.wrangler_file();
    let text = fs::read_to_string(root.join(file)).map_err(|error| format!("{file}: {error}"))?;
    text.parse()
        .map_err(|error: toml::de::Error| format!("{file}: {}", error.message()))
}

/// The platform's ids: whether each file has those of a deployment.
fn ids(root: &Path, deployed: &[Worker]) -> Check {
    let name = "wrangler files";
    let (mut zeros, mut open) = (Vec::new(), Vec::new());
    for worker in Worker::ALL {
        let file = match wrangler(root, worker) {
            Ok(file) => Value::Table(file),
            Err(why) => return GROUP.unknown(name, why, "put the file in order: git diff"),
        };
        if any(&file, &is_zeros) {
            zeros.push(worker);
        }
        if any(&file, &is_placeholder) {
            open.push(worker.wrangler_file());
        }
    }
    if !open.is_empty() {
        return GROUP.fail(
            name,
            format!("placeholders in {}", open.join(", ")),
            "put real values there",
        );
    }
    let files: Vec<&str> = zeros.iter().map(|worker| worker.wrangler_file()).collect();
    let files = files.join(", ");
    if zeros.iter().any(|worker| deployed.contains(worker)) {
        return GROUP.fail(
            name,
            format!("ids are zeros in {files}, and the workers are deployed: from here they cannot be deployed again"),
            "put the ids of the deployment there; `npx wrangler d1 list` and `npx wrangler kv namespace list` show them",
        );
    }
    if !zeros.is_empty() {
        return GROUP.warn(
            name,
            format!("ids are zeros in {files}: not configured yet"),
            "hoox init",
        );
    }
    GROUP.pass(name, "no placeholder")
}

/// Whether a text is an id that is still to come; only ids are that long.
fn is_zeros(text: &str) -> bool {
    text.len() >= 32 && crate::checkout::is_placeholder(text)
}

/// Whether a text anywhere in a document fits.
fn any(value: &Value, fits: &impl Fn(&str) -> bool) -> bool {
    match value {
        Value::String(text) => fits(text),
        Value::Array(items) => items.iter().any(|item| any(item, fits)),
        Value::Table(fields) => fields.values().any(|field| any(field, fits)),
        _ => false,
    }
}

/// Whether the wrangler files give a private worker an address.
fn addresses(root: &Path) -> Check {
    let name = "private workers";
    let mut problems = Vec::new();
    for worker in Worker::ALL.into_iter().filter(|worker| !worker.is_public()) {
        match wrangler(root, worker) {
            Ok(file) => problems.extend(
                reachable(&file)
                    .into_iter()
                    .map(|why| format!("{}: {why}", worker.wrangler_file())),
            ),
            Err(why) => problems.push(why),
        }
    }
    if problems.is_empty() {
        return GROUP.pass(name, "no address in the wrangler files");
    }
    GROUP.fail(
        name,
        problems.join("; "),
        "set workers_dev = false and preview_urls = false there, and take out routes and env",
    )
}

/// What in a wrangler file leads to an address.
fn reachable(file: &Table) -> Vec<String> {
    let on = |name: &&str| file.get(*name).and_then(Value::as_bool) != Some(false);
    let switches = ["workers_dev", "preview_urls"].into_iter().filter(on);
    // An environment has addresses of its own.
    let given = ["route", "routes", "env"]
        .into_iter()
        .filter(|name| file.contains_key(*name));
    switches
        .map(|name| format!("{name} is not false"))
        .chain(given.map(|name| format!("it has {name}")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_private_worker_has_no_switch_route_or_environment() {
        let of = |text: &str| reachable(&text.parse().unwrap());
        let closed = "workers_dev = false\npreview_urls = false\n";
        assert_eq!(of(closed), Vec::<String>::new());
        assert_eq!(
            of(""),
            ["workers_dev is not false", "preview_urls is not false"]
        );
        assert_eq!(
            of("workers_dev = true\npreview_urls = false"),
            ["workers_dev is not false"]
        );
        assert_eq!(
            of(&format!("{closed}route = \"a.example/*\"")),
            ["it has route"]
        );
        assert_eq!(
            of(&format!("{closed}routes = []\n[env.dev]")),
            ["it has routes", "it has env"]
        );
    }

    #[test]
    fn zeros_are_ids_that_are_still_to_come() {
        assert!(is_zeros("00000000000000000000000000000000"));
        assert!(is_zeros("00000000-0000-0000-0000-000000000000"));
        assert!(!is_zeros("0"));
        assert!(!is_zeros("00000000000000000000000000000001"));
    }

    #[test]
    fn only_files_of_secrets_are_made_private() {
        for (name, expected) in [
            (".dev.vars", true),
            (".dev.vars.local", true),
            (".dev.vars.example", false),
            (".dev.vars.age", false),
            (".dev.varsity", false),
            ("wrangler.toml", false),
        ] {
            assert_eq!(is_secret_file(name), expected, "{name}");
        }
    }
}
