//! The tools of this machine.

use core::fmt::Write as _;
use std::path::Path;

use super::program::{Ran, run};
use super::{Check, Group};
use crate::http::read;
use crate::network::Network;

const GROUP: Group = Group("Machine");
/// What Rust compiles the workers for.
const WASM: &str = "wasm32-unknown-unknown";
/// The oldest Node that the scripts run on.
const NODE: [u32; 3] = [20, 0, 0];

/// Looks at the tools that build and run Hoox, as they answer in a folder: rustup chooses by it.
pub(crate) async fn checks(folder: &Path) -> Vec<Check> {
    let least = version(env!("CARGO_PKG_RUST_VERSION")).unwrap_or_default();
    let libraries = ["--print", "target-libdir", "--target", WASM];
    let (rust, wasm, node, git) = tokio::join!(
        run("rustc", folder, &["--version"]),
        run("rustc", folder, &libraries),
        run("node", folder, &["--version"]),
        run("git", folder, &["--version"]),
    );
    vec![
        tool(
            "Rust",
            rust,
            least,
            "install Rust by https://rustup.rs, or: rustup update",
        ),
        target(wasm),
        tool(
            "Node",
            node,
            NODE,
            "install Node 20 or newer: https://nodejs.org",
        ),
        tool("git", git, [2, 0, 0], "install git: https://git-scm.com"),
        network(&Network::of_environment()),
    ]
}

/// How calls leave this machine.
fn network(network: &Network) -> Check {
    let name = "network";
    let proxy = match network.proxy() {
        Ok(proxy) => proxy,
        Err(failure) => {
            return GROUP.fail(name, failure.message, failure.hint.unwrap_or_default());
        }
    };
    let mut said = match (proxy, network.exceptions()) {
        (None, _) => "calls go out directly: no proxy is set".to_owned(),
        (Some(proxy), "") => format!("calls go out by {proxy}"),
        (Some(proxy), but) => format!("calls go out by {proxy}, but for {but}"),
    };
    for (variable, file) in network.authorities() {
        write!(said, "; {variable} names {}", file.display()).unwrap_or_default();
    }
    let unread = network
        .authorities()
        .iter()
        .find_map(|(variable, file)| Some((variable, file, read(file).err()?)));
    match unread {
        None => GROUP.pass(name, said),
        Some((variable, file, why)) => GROUP.warn(
            name,
            format!("{variable} names {}: {why}", file.display()),
            format!("correct or unset {variable}: its authorities are not trusted"),
        ),
    }
}

fn tool(name: &str, answer: Result<Ran, String>, least: [u32; 3], fix: &str) -> Check {
    let said = match answer {
        Ok(ran) if ran.success => ran.line(),
        Ok(_) => {
            return GROUP.fail(
                name,
                "it is installed, and does not work in this folder",
                fix,
            );
        }
        Err(why) => return GROUP.fail(name, why, fix),
    };
    match version(&said) {
        Some(found) if found >= least => GROUP.pass(name, said),
        Some(_) => {
            let [major, minor, _] = least;
            GROUP.fail(
                name,
                format!("{said} is too old; Hoox needs {major}.{minor}"),
                fix,
            )
        }
        None => GROUP.fail(name, format!("'{said}' is no version"), fix),
    }
}

fn target(answer: Result<Ran, String>) -> Check {
    let name = "WebAssembly";
    match answer {
        Ok(ran) if ran.success && Path::new(&ran.line()).is_dir() => GROUP.pass(name, WASM),
        Ok(_) => GROUP.fail(
            name,
            format!("Rust has no target {WASM}"),
            format!("rustup target add {WASM}"),
        ),
        Err(why) => GROUP.fail(name, why, "install Rust by https://rustup.rs"),
    }
}

/// The first version number in a program's words.
fn version(said: &str) -> Option<[u32; 3]> {
    let word = said
        .split_whitespace()
        .map(|word| word.trim_start_matches('v'))
        .find(|word| word.starts_with(|letter: char| letter.is_ascii_digit()))?;
    let mut numbers = word.split(|letter: char| !letter.is_ascii_digit());
    let mut next = || numbers.next().and_then(|number| number.parse().ok());
    Some([next()?, next().unwrap_or(0), next().unwrap_or(0)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;

    #[test]
    fn versions_are_read_from_what_programs_say_of_themselves() {
        for (said, expected) in [
            ("rustc 1.95.0 (59807616e 2026-04-14)", Some([1, 95, 0])),
            ("rustc 1.97.0-nightly (abc 2026-05-01)", Some([1, 97, 0])),
            ("v22.12.0", Some([22, 12, 0])),
            ("git version 2.39.5 (Apple Git-154)", Some([2, 39, 5])),
            ("1.95", Some([1, 95, 0])),
            ("error: no such command", None),
            ("", None),
        ] {
            assert_eq!(version(said), expected, "{said}");
        }
    }

    #[test]
    fn a_tool_is_new_enough_or_the_line_says_what_to_install() {
        let said = |text: &str, success| {
            Ok(Ran {
                success,
                out: format!("{text}\n").into_bytes(),
            })
        };
        let of = |answer| tool("Node", answer, NODE, "install").verdict;
        assert_eq!(of(said("v20.0.0", true)), Verdict::Pass);
        assert_eq!(of(said("v19.9.9", true)), Verdict::Fail);
        assert_eq!(of(said("v20.0.0", false)), Verdict::Fail);
        assert_eq!(of(said("none", true)), Verdict::Fail);
        assert_eq!(of(Err("not installed".to_owned())), Verdict::Fail);
        assert_eq!(target(said("/", true)).verdict, Verdict::Pass);
        assert_eq!(target(said("/no/such/folder", true)).verdict, Verdict::Fail);
        assert_eq!(target(said("/", false)).verdict, Verdict::Fail);
    }
}
