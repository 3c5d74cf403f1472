//! Child processes that never outlive the test.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

/// How often the end of killed processes is looked for; each look starts `ps`, which takes its time.
const LOOKS: u32 = 2_000;

/// The checkout.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the crate lies in the checkout")
        .to_owned()
}

/// A Node script with everything it starts.
///
/// It runs under the scripts' own keeper, in a process group of its own: when this process ends, however
/// it ends, the keeper's stdin closes and the keeper ends the group.
#[derive(Debug)]
pub(crate) struct Script {
    child: Child,
    output: Arc<Mutex<String>>,
}

impl Script {
    /// Starts `node <arguments>` in the checkout.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let node = node();
        let mut child = Command::new(&node)
            .arg("scripts/lib/keeper.mjs")
            .arg(&node)
            .args(arguments)
            .current_dir(root())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .expect("node starts; HOOX_NODE may name another one");
        let output = Arc::new(Mutex::new(String::new()));
        collect(child.stdout.take().expect("a pipe"), &output);
        collect(child.stderr.take().expect("a pipe"), &output);
        Self { child, output }
    }

    /// Everything it has printed.
    pub(crate) fn output(&self) -> String {
        self.output.lock().expect("no reader panics").clone()
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child
            .try_wait()
            .expect("a child that can be waited for")
    }

    /// SIGKILL to every process it started, workerd included, all at once; returns when none is left.
    pub(crate) fn kill(&mut self) {
        let family = family(self.child.id());
        signal_kill(&family);
        drop(self.child.stdin.take());
        self.child.wait().expect("a child that can be waited for");
        for _ in 0..LOOKS {
            let left: Vec<u32> = alive()
                .into_keys()
                .filter(|pid| family.contains(pid))
                .collect();
            if left.is_empty() {
                return;
            }
        }
        panic!("processes survived SIGKILL: {family:?}");
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        if !thread::panicking() {
            self.kill();
            return;
        }
        // A second panic would abort the test run; the keeper ends what this does not reach.
        signal_kill(&family(self.child.id()));
        self.child.wait().ok();
    }
}

fn collect(stream: impl Read + Send + 'static, into: &Arc<Mutex<String>>) {
    let into = Arc::clone(into);
    thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            let mut output = into.lock().expect("no reader panics");
            output.push_str(&line);
            output.push('\n');
        }
    });
}

/// Every living process with its parent.
fn alive() -> BTreeMap<u32, u32> {
    let listed = Command::new("ps")
        .args(["-A", "-o", "pid=,ppid=,stat="])
        .output()
        .expect("ps lists processes");
    String::from_utf8_lossy(&listed.stdout)
        .lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            let (pid, parent) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
            // A zombie is dead; a container without an init keeps it.
            let zombie = words.next().is_some_and(|state| state.starts_with('Z'));
            (!zombie).then_some((pid, parent))
        })
        .collect()
}

/// Whether there is such a process.
pub(crate) fn is_alive(pid: u32) -> bool {
    alive().contains_key(&pid)
}

/// A process and all that descend from it.
fn family(pid: u32) -> Vec<u32> {
    let alive = alive();
    let mut family = vec![pid];
    let mut index = 0;
    while let Some(parent) = family.get(index).copied() {
        family.extend(
            alive
                .iter()
                .filter(|(_, of)| **of == parent)
                .map(|(child, _)| *child),
        );
        index += 1;
    }
    family
}

fn signal_kill(pids: &[u32]) {
    Command::new("kill")
        .arg("-KILL")
        .args(pids.iter().map(u32::to_string))
        .stderr(Stdio::null())
        .status()
        .expect("kill sends signals");
}

/// The Node that runs scripts.
pub fn node() -> String {
    std::env::var("HOOX_NODE").unwrap_or_else(|_| "node".to_owned())
}
