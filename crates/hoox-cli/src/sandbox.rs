//! The sandboxes of a checkout: which run, and which one a command acts on.
//!
//! `npm run dev` leads to what its sandbox tells (address, keys, state folder) by `.hoox/dev/PORT.json` while it runs. The
//! first of them has `.hoox/dev.json` as well, and keeps it. What a killed one leaves is known by an address at which
//! nobody answers.

use core::fmt::Write as _;
use core::str::FromStr;
use core::time::Duration;
use std::net::{TcpStream, ToSocketAddrs as _};
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::{env, fs};

use hoox_model::Secret;
use reqwest::Url;
use serde::Deserialize;

use crate::failure::Failure;
use crate::target::origin;

/// The folder of the files, in a checkout.
const FOLDER: &str = ".hoox";
/// The file of the first sandbox.
const FIRST: &str = "dev.json";
/// The folder with a file for each.
const EACH: &str = "dev";
/// What `--local` means without a port.
pub(crate) const ONE: &str = "one";
/// A sandbox on this machine takes a connection at once.
const WITHIN: Duration = Duration::from_millis(500);

/// Which sandbox is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sandbox {
    /// The only one that runs; of several the one that has `.hoox/dev.json`.
    One,
    /// The one whose gateway has this port.
    At(u16),
}

impl FromStr for Sandbox {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == ONE {
            return Ok(Self::One);
        }
        let port = text.parse().ok().filter(|port| *port > 0);
        port.map(Self::At)
            .ok_or_else(|| "write --local=PORT, the port of the sandbox's gateway".to_owned())
    }
}

/// What a sandbox leaves while it runs.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    gateway: String,
    operator_key: String,
    passkey: String,
    state: Option<PathBuf>,
}

/// A sandbox that runs.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) gateway: Url,
    pub(crate) operator_key: Secret,
    pub(crate) passkey: Secret,
    state: Option<PathBuf>,
    /// Whether `.hoox/dev.json` is its.
    first: bool,
}

impl Running {
    /// Address and state folder.
    fn named(&self) -> String {
        match &self.state {
            Some(state) => format!("{} (state {})", bare(&self.gateway), state.display()),
            None => bare(&self.gateway).to_owned(),
        }
    }
}

/// The address without the slash at its end.
fn bare(gateway: &Url) -> &str {
    gateway.as_str().trim_end_matches('/')
}

/// The files of a checkout.
#[derive(Debug, Default)]
struct Found {
    running: Vec<Running>,
    /// Files whose sandbox does not answer, and why each is taken for left over.
    left: Vec<String>,
}

/// A command may ask for its target more than once, and says which it is once.
static SAID: Once = Once::new();

/// The sandbox that is meant.
///
/// # Errors
/// `NO_SANDBOX` where it does not run, `USAGE` where several run and none is the first.
pub(crate) fn find(wanted: Sandbox) -> Result<Running, Failure> {
    let folder = above();
    let found = folder.map_or_else(|| Ok(Found::default()), |folder| look(&folder))?;
    let (chosen, said) = choose(found, wanted)?;
    SAID.call_once(|| said.iter().for_each(|line| eprintln!("hoox: {line}")));
    Ok(chosen)
}

/// `.hoox` of the working folder or the nearest folder above it in which a sandbox has told of itself.
fn above() -> Option<PathBuf> {
    let here = env::current_dir().ok()?;
    let told = |folder: &PathBuf| !files(folder).is_empty();
    here.ancestors()
        .map(|folder| folder.join(FOLDER))
        .find(told)
}

/// The files of sandboxes, the first one's at the end: what a sandbox's own file says counts.
fn files(folder: &Path) -> Vec<PathBuf> {
    let each = fs::read_dir(folder.join(EACH))
        .into_iter()
        .flatten()
        .flatten();
    let mut files: Vec<PathBuf> = each
        .map(|entry| entry.path())
        .filter(|file| file.extension().is_some_and(|kind| kind == "json"))
        .collect();
    files.sort();
    let first = folder.join(FIRST);
    if first.symlink_metadata().is_ok() {
        files.push(first);
    }
    files
}

/// Reads the files, and looks who answers.
fn look(folder: &Path) -> Result<Found, Failure> {
    let mut found = Found::default();
    for file in files(folder) {
        let first = file.ends_with(FIRST) && file.parent() == Some(folder);
        let name = file.display();
        // A link that leads nowhere is of a sandbox that was killed.
        let Ok(text) = fs::read_to_string(&file) else {
            found
                .left
                .push(format!("{name} is left over from a sandbox that has ended"));
            continue;
        };
        let told: Told = serde_json::from_str(&text)
            .map_err(|error| Failure::new("NO_SANDBOX", format!("{name}: {error}")))?;
        let gateway = origin(&told.gateway)?;
        let known = found
            .running
            .iter_mut()
            .find(|running| running.gateway == gateway);
        if let Some(known) = known {
            // Another state at the same address is one that had this port before.
            known.first |= first && known.state == told.state;
            continue;
        }
        if !answers(&gateway) {
            found.left.push(format!(
                "{name} is left over from a sandbox that does not answer any more, at {}",
                bare(&gateway)
            ));
            continue;
        }
        found.running.push(Running {
            gateway,
            operator_key: Secret::new(told.operator_key),
            passkey: Secret::new(told.passkey),
            state: told.state,
            first,
        });
    }
    Ok(found)
}

/// Whether somebody takes connections there.
fn answers(gateway: &Url) -> bool {
    let host = gateway.host_str().unwrap_or_default();
    let host = host.trim_matches(['[', ']']);
    let port = gateway.port_or_known_default().unwrap_or_default();
    let addresses = (host, port).to_socket_addrs().into_iter().flatten();
    addresses
        .into_iter()
        .any(|address| TcpStream::connect_timeout(&address, WITHIN).is_ok())
}

/// The one that is meant, and what its user should know.
fn choose(found: Found, wanted: Sandbox) -> Result<(Running, Vec<String>), Failure> {
    let Found { running, left } = found;
    let names: Vec<String> = running.iter().map(Running::named).collect();
    let several = running.len() > 1;
    let matches = |each: &Running| match wanted {
        Sandbox::One => !several || each.first,
        Sandbox::At(port) => each.gateway.port() == Some(port),
    };
    let Some(chosen) = running.into_iter().find(matches) else {
        return Err(missing(wanted, &names, &left));
    };
    let mut said = left;
    if several || !said.is_empty() {
        let mut line = format!("acting on the sandbox at {}", chosen.named());
        let others: Vec<&str> = names
            .iter()
            .filter(|name| **name != chosen.named())
            .map(String::as_str)
            .collect();
        if !others.is_empty() {
            write!(
                line,
                "; also running: {}; --local=PORT chooses",
                others.join(", ")
            )
            .unwrap_or_default();
        }
        said.push(line);
    }
    Ok((chosen, said))
}

/// Why no sandbox is meant.
fn missing(wanted: Sandbox, running: &[String], left: &[String]) -> Failure {
    let names = running.join(", ");
    match wanted {
        Sandbox::One if running.is_empty() => {
            let mut message = "no sandbox is running in this checkout".to_owned();
            if !left.is_empty() {
                write!(message, ": {}", left.join("; ")).unwrap_or_default();
            }
            Failure::new("NO_SANDBOX", message).hint("start one with `npm run dev`")
        }
        Sandbox::One => Failure::usage(format!("which sandbox is meant? These run: {names}"))
            .hint("give --local=PORT"),
        Sandbox::At(port) => {
            let mut message = format!("no sandbox of this checkout runs at port {port}");
            let at = format!(":{port}");
            for line in left.iter().filter(|line| line.ends_with(&at)) {
                write!(message, ": {line}").unwrap_or_default();
            }
            let hint = if names.is_empty() {
                format!("start one with `npm run dev -- --port {port}`")
            } else {
                format!("these run: {names}")
            };
            Failure::new("NO_SANDBOX", message).hint(hint)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn running(port: u16, first: bool) -> Running {
        Running {
            gateway: Url::parse(&format!("http://127.0.0.1:{port}/")).unwrap(),
            operator_key: Secret::new("key"),
            passkey: Secret::new("passkey"),
            state: Some(PathBuf::from(format!("/state/{port}"))),
            first,
        }
    }

    fn chosen(found: Found, wanted: Sandbox) -> Result<(u16, Vec<String>), Failure> {
        choose(found, wanted).map(|(one, said)| (one.gateway.port().unwrap(), said))
    }

    fn found(running: Vec<Running>, left: &[&str]) -> Found {
        let left = left.iter().map(|line| (*line).to_owned()).collect();
        Found { running, left }
    }

    #[test]
    fn the_only_one_is_meant_without_a_word() {
        for first in [true, false] {
            let one = found(vec![running(8787, first)], &[]);
            assert_eq!(chosen(one, Sandbox::One).unwrap(), (8787, Vec::new()));
        }
    }

    #[test]
    fn of_several_the_first_is_meant_and_all_are_named() {
        let two = || found(vec![running(8788, false), running(8787, true)], &[]);
        let (port, said) = chosen(two(), Sandbox::One).unwrap();
        assert_eq!(port, 8787);
        assert_eq!(
            said,
            [
                "acting on the sandbox at http://127.0.0.1:8787 (state /state/8787); also running: http://127.0.0.1:8788 (state /state/8788); --local=PORT chooses"
            ]
        );
        let (port, said) = chosen(two(), Sandbox::At(8788)).unwrap();
        assert_eq!((port, said.len()), (8788, 1));
        let none = chosen(two(), Sandbox::At(9)).unwrap_err();
        assert_eq!(none.code, "NO_SANDBOX");
        assert!(
            none.hint
                .unwrap()
                .ends_with(":8788 (state /state/8788), http://127.0.0.1:8787 (state /state/8787)")
        );
    }

    #[test]
    fn of_several_of_which_none_is_the_first_none_is_guessed() {
        let two = found(vec![running(8788, false), running(8789, false)], &[]);
        let refused = chosen(two, Sandbox::One).unwrap_err();
        assert_eq!(refused.code, "USAGE");
        assert_eq!(
            refused.message,
            "which sandbox is meant? These run: http://127.0.0.1:8788 (state /state/8788), http://127.0.0.1:8789 (state /state/8789)"
        );
    }

    #[test]
    fn what_a_killed_one_left_is_said() {
        let (port, said) = chosen(found(vec![running(8788, false)], &["X"]), Sandbox::One).unwrap();
        assert_eq!(port, 8788);
        assert_eq!(
            said,
            [
                "X",
                "acting on the sandbox at http://127.0.0.1:8788 (state /state/8788)"
            ]
        );
        let none = chosen(found(Vec::new(), &["X"]), Sandbox::One).unwrap_err();
        assert_eq!(none.message, "no sandbox is running in this checkout: X");
    }

    #[test]
    fn a_choice_is_a_port() {
        assert_eq!("one".parse(), Ok(Sandbox::One));
        assert_eq!("8788".parse(), Ok(Sandbox::At(8788)));
        for bad in ["0", "70000", "state", ""] {
            assert!(bad.parse::<Sandbox>().is_err(), "{bad}");
        }
    }
}
