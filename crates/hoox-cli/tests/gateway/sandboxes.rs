//! `--local` where sandboxes run, several of them, or none any more.

use std::fs;
use std::path::{Path, PathBuf};

use crate::common::{Ran, folder, run};
use crate::double::{Gateway, KEY};
use serde_json::json;

struct Checkout(PathBuf);

impl Checkout {
    fn new(name: &str) -> Self {
        let folder = folder(&format!("sandboxes-{name}"));
        fs::create_dir_all(folder.join(".hoox/dev")).unwrap();
        Self(folder)
    }

    /// What a sandbox writes of itself into a file.
    fn told(&self, file: &str, address: &str, state: &str) {
        let told =
            json!({ "gateway": address, "operatorKey": KEY, "passkey": "p", "state": state });
        fs::write(self.0.join(".hoox").join(file), told.to_string()).unwrap();
    }

    fn status(&self, local: &str) -> Ran {
        let mut ran = run(
            &self.0,
            &[],
            &["monitor", "kill-switch", "status", local],
            "",
        );
        let folder = fs::canonicalize(&self.0).unwrap();
        ran.err = ran.err.replace(folder.to_str().unwrap(), "~");
        ran
    }
}

impl Drop for Checkout {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

/// A sandbox whose switch has this mode.
fn sandbox(mode: &str) -> Gateway {
    let state = json!({ "success": true, "killSwitch": { "mode": mode } });
    Gateway::start(vec![("GET /v1/kill-switch", 200, state)])
}

fn port(gateway: &Gateway) -> &str {
    gateway.address.rsplit(':').next().unwrap()
}

fn each(gateway: &Gateway) -> String {
    format!("dev/{}.json", port(gateway))
}

const OFF: &str = "The kill switch is off.\n";
const ALL: &str = "The kill switch is on: everything is stopped.\n";

#[test]
fn the_only_sandbox_is_meant_wherever_it_has_told_of_itself() {
    let one = sandbox("off");
    for files in [
        &["dev.json"][..],
        &["dev/8787.json"],
        &["dev.json", "dev/8787.json"],
    ] {
        let checkout = Checkout::new("one");
        for file in files {
            checkout.told(file, &one.address, "/state/one");
        }
        let ran = checkout.status("--local");
        assert_eq!(
            (ran.status, ran.out.as_str(), ran.err.as_str()),
            (0, OFF, "")
        );
    }
}

#[test]
fn of_two_the_first_is_meant_the_other_can_be_chosen_and_both_are_named() {
    let (first, second) = (sandbox("off"), sandbox("all"));
    let checkout = Checkout::new("two");
    checkout.told(&each(&first), &first.address, "/state/first");
    checkout.told("dev.json", &first.address, "/state/first");
    checkout.told(&each(&second), &second.address, "/state/second");
    let named = |acting: &Gateway, state: &str, other: &Gateway, others: &str| {
        format!(
            "hoox: acting on the sandbox at {} (state {state}); also running: {} (state {others}); --local=PORT chooses\n",
            acting.address, other.address
        )
    };
    let ran = checkout.status("--local");
    let said = named(&first, "/state/first", &second, "/state/second");
    assert_eq!((ran.status, ran.out.as_str(), ran.err), (0, OFF, said));
    let ran = checkout.status(&format!("--local={}", port(&second)));
    let said = named(&second, "/state/second", &first, "/state/first");
    assert_eq!((ran.status, ran.out.as_str(), ran.err), (0, ALL, said));
    // The first has ended: of the others none is guessed.
    let third = sandbox("off");
    checkout.told(&each(&third), &third.address, "/state/third");
    fs::remove_file(checkout.0.join(".hoox/dev.json")).unwrap();
    fs::remove_file(checkout.0.join(".hoox").join(each(&first))).unwrap();
    let ran = checkout.status("--local");
    assert_eq!((ran.status, ran.out.as_str()), (2, ""));
    for gateway in [&second, &third] {
        assert!(ran.err.contains(&gateway.address), "{}", ran.err);
    }
    assert!(
        ran.err.ends_with("(USAGE)\n  give --local=PORT\n"),
        "{}",
        ran.err
    );
}

#[test]
fn what_a_killed_sandbox_left_is_told_from_one_that_runs() {
    let one = sandbox("off");
    let gone = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    let checkout = Checkout::new("killed");
    checkout.told("dev.json", &gone, "/state/gone");
    let ran = checkout.status("--local");
    assert_eq!(ran.status, 2);
    assert_eq!(
        ran.err,
        format!(
            "error: no sandbox is running in this checkout: ~/.hoox/dev.json is left over from a sandbox that does not answer any more, at {gone} (NO_SANDBOX)\n  start one with `npm run dev`\n"
        )
    );
    checkout.told(&each(&one), &one.address, "/state/one");
    let ran = checkout.status("--local");
    assert_eq!((ran.status, ran.out.as_str()), (0, OFF));
    assert_eq!(
        ran.err,
        format!(
            "hoox: ~/.hoox/dev.json is left over from a sandbox that does not answer any more, at {gone}\nhoox: acting on the sandbox at {} (state /state/one)\n",
            one.address
        )
    );
    // Its state was removed when it was killed: the link leads nowhere.
    #[cfg(unix)]
    {
        dangle(&checkout.0.join(".hoox/dev.json"));
        let ran = checkout.status("--local");
        assert_eq!((ran.status, ran.out.as_str()), (0, OFF));
        assert!(
            ran.err
                .starts_with("hoox: ~/.hoox/dev.json is left over from a sandbox that has ended\n"),
            "{}",
            ran.err
        );
    }
    let ran = checkout.status("--local=1");
    assert_eq!(ran.status, 2);
    assert!(
        ran.err
            .contains("no sandbox of this checkout runs at port 1"),
        "{}",
        ran.err
    );
}

#[cfg(unix)]
fn dangle(file: &Path) {
    fs::remove_file(file).unwrap();
    std::os::unix::fs::symlink("/nowhere/dev.json", file).unwrap();
}
