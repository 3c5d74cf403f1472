//! The workers under workerd, started by the scripts that a developer uses.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rusqlite::Connection;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::process::{Script, is_alive, node, root};
use crate::{Client, LOOK, Reply};

/// A sandbox builds whatever is not built.
const READY: Duration = Duration::from_mins(20);
/// The sandbox's own account leads nowhere: each desk brings its own simulator.
const NO_SIMULATOR: &str = "http://127.0.0.1:9";

/// Gateway, trade-worker and d1-worker with a state folder.
#[derive(Debug)]
pub struct Sandbox {
    script: Script,
    state: PathBuf,
    /// Where the demo account's exchange is said to be, instead of one of its own.
    simulator: Option<&'static str>,
    /// Output of the runs before.
    before: String,
    info: Value,
    /// Calls the gateway.
    pub client: Client,
}

impl Sandbox {
    /// Starts one with an empty state.
    pub async fn start(name: &str) -> Self {
        Self::launched(name, Some(NO_SIMULATOR)).await
    }

    /// Starts one as `npm run dev` does, with a simulated exchange behind its demo account.
    pub async fn demo(name: &str) -> Self {
        Self::launched(name, None).await
    }

    async fn launched(name: &str, simulator: Option<&'static str>) -> Self {
        let state = folder(name);
        let (script, info) = launch(&state, simulator).await;
        let client = Client::new(info["gateway"].as_str().expect("a gateway"));
        Self {
            script,
            state,
            simulator,
            before: String::new(),
            info,
            client,
        }
    }

    /// SIGKILL to the whole tree, at once.
    pub fn kill(&mut self) {
        self.script.kill();
        self.before.push_str(&self.script.output());
    }

    /// Starts it again on the state that is there.
    pub async fn start_again(&mut self) {
        (self.script, self.info) = launch(&self.state, self.simulator).await;
        self.client
            .follow(self.info["gateway"].as_str().expect("a gateway"));
    }

    /// Removes the alarms of all Ledgers, as if the platform had lost them, and says how many there were;
    /// it must not be running.
    pub fn lose_alarms(&self) -> usize {
        let alarms = "wrangler/v3/do/trade-worker-Ledger/metadata.sqlite";
        Connection::open(self.state.join(alarms))
            .and_then(|alarms| alarms.execute("DELETE FROM _cf_ALARM", []))
            .expect("the runtime's list of alarms")
    }

    /// The database of the records; it must not be running.
    pub fn database(&self) -> Connection {
        let folder = self.state.join("wrangler/v3/d1/miniflare-D1DatabaseObject");
        let files = fs::read_dir(folder).expect("the runtime's databases");
        let file = files.flatten().map(|entry| entry.path()).find(|path| {
            path.extension() == Some("sqlite".as_ref()) && !path.ends_with("metadata.sqlite")
        });
        Connection::open(file.expect("the records")).expect("a database")
    }

    /// Puts a text into the workers' configuration; it must not be running.
    pub fn configure(&self, key: &str, text: &str) {
        let put = Command::new(node())
            .arg("tests/kv.mjs")
            .args([self.state.as_os_str(), key.as_ref(), text.as_ref()])
            .current_dir(root())
            .output()
            .expect("node starts");
        let said = String::from_utf8_lossy(&put.stderr);
        assert!(put.status.success(), "{said}");
    }

    /// The file that says where it is and with which keys.
    pub fn dev_file(&self) -> PathBuf {
        self.state.join("dev.json")
    }

    /// A secret that the sandbox runs with, by the path of its field in dev.json.
    pub fn secret(&self, pointer: &str) -> String {
        let found = self.info.pointer(pointer).and_then(Value::as_str);
        found
            .unwrap_or_else(|| panic!("dev.json holds no {pointer}"))
            .to_owned()
    }

    /// Everything that was printed, by the workers too, in this run and those before.
    pub fn output(&self) -> String {
        self.before.clone() + &self.script.output()
    }

    /// Everything in its state folder but the two files that are there to hold secrets.
    pub fn stored(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut found = Vec::new();
        let mut folders = vec![self.state.clone()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
                let path = entry.path();
                if path.is_dir() {
                    folders.push(path);
                } else if ["dev.json", "demo.json"]
                    .map(|name| self.state.join(name))
                    .contains(&path)
                {
                    let mode = entry.metadata().expect("a file").permissions().mode();
                    assert_eq!(mode & 0o777, 0o600, "{}", path.display());
                } else if let Ok(content) = fs::read(&path) {
                    found.push((path, content));
                }
            }
        }
        found
    }

    /// Every secret of the workers, with its name, and the demo passkey.
    pub fn secrets(&self) -> Vec<(String, String)> {
        let vars = fs::read_to_string(root().join(".dev.vars")).expect("the workers' secrets");
        let named = vars
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| {
                let (name, value) = line.split_once('=')?;
                let value = value.trim_matches(['"', '\'']);
                (!value.is_empty()).then(|| (name.to_owned(), value.to_owned()))
            });
        named
            .chain([("the demo passkey".to_owned(), self.secret("/passkey"))])
            .collect()
    }

    /// A call of the operator API.
    pub async fn operator(&self, method: &str, path: &str, body: Option<&Value>) -> Reply {
        let mut request = self
            .client
            .request(method, path)
            .bearer_auth(self.secret("/operatorKey"));
        if let Some(body) = body {
            request = request.json(body);
        }
        self.client.send(request).await
    }

    /// A call of its simulated exchange's control; the status that it is answered with.
    pub async fn simulator(&self, method: &str, path: &str, body: &Value) -> u16 {
        let simulator = Client::new(&self.secret("/simulator"));
        let call = simulator.request(method, path).json(body);
        call.send().await.expect("an answer").status().as_u16()
    }

    /// A call without a body with any bearer key.
    pub async fn with_key(&self, method: &str, path: &str, key: &str) -> Reply {
        let request = self.client.request(method, path).bearer_auth(key);
        self.client.send(request).await
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        // What a failed test left is worth a look.
        if !std::thread::panicking() {
            self.script.kill();
            fs::remove_dir_all(&self.state).ok();
        }
    }
}

async fn launch(state: &Path, simulator: Option<&str>) -> (Script, Value) {
    let folder = state.to_str().expect("a path in UTF-8");
    let mut arguments = vec!["scripts/sandbox.mjs", "--port", "0", "--state", folder];
    if let Some(simulator) = simulator {
        arguments.extend(["--simulator", simulator]);
    }
    let file = state.join("dev.json");
    fs::remove_file(&file).ok();
    let mut script = Script::start(&arguments);
    let info = ready(&mut script, |_| {
        serde_json::from_str(&fs::read_to_string(&file).ok()?).ok()
    })
    .await;
    (script, info)
}

/// Waits until `probe`, which gets what the script has printed, finds what it looks for.
async fn ready<T>(script: &mut Script, mut probe: impl FnMut(&str) -> Option<T>) -> T {
    let until = Instant::now() + READY;
    loop {
        if let Some(found) = probe(&script.output()) {
            return found;
        }
        if let Some(status) = script.ended() {
            panic!(
                "it ended before it was ready ({status}):\n{}",
                script.output()
            );
        }
        assert!(
            Instant::now() < until,
            "it is not ready:\n{}",
            script.output()
        );
        sleep(LOOK).await;
    }
}

/// Some of the workers, one of which has the address.
#[derive(Debug)]
pub struct Part {
    script: Script,
    /// Calls the one with the address.
    pub client: Client,
}

impl Part {
    /// The gateway without the private workers, as while they are being deployed: on a sandbox's state,
    /// which must not be running, or on an empty one.
    pub async fn gateway(sandbox: Option<&Sandbox>) -> Self {
        let state =
            sandbox.map_or_else(|| folder("gateway-alone"), |sandbox| sandbox.state.clone());
        Self::start(&state, &["wrangler.toml"]).await
    }

    /// trade-worker and d1-worker on a sandbox's state, which must not be running.
    pub async fn trade(sandbox: &Sandbox) -> Self {
        let configs =
            ["trade-worker", "d1-worker"].map(|name| format!("workers/{name}/wrangler.toml"));
        Self::start(&sandbox.state, &configs.each_ref().map(String::as_str)).await
    }

    /// d1-worker on a sandbox's state, which must not be running.
    pub async fn records(sandbox: &Sandbox) -> Self {
        Self::start(&sandbox.state, &["workers/d1-worker/wrangler.toml"]).await
    }

    async fn start(state: &Path, configs: &[&str]) -> Self {
        let folder = state.to_str().expect("a path in UTF-8");
        let arguments = [&["tests/part.mjs", folder], configs].concat();
        let mut script = Script::start(&arguments);
        let url = ready(&mut script, |output| {
            let line = output.lines().find_map(|line| line.strip_prefix("at "))?;
            Some(line.to_owned())
        })
        .await;
        Self {
            client: Client::new(&url),
            script,
        }
    }

    /// Has the cron strike.
    pub async fn strike(&self) {
        let cron = self.client.request("GET", "/cdn-cgi/handler/scheduled");
        let answer = cron.send().await.expect("an answer");
        assert_eq!(answer.text().await.expect("a body"), "ok");
    }

    /// Ends it.
    pub fn stop(mut self) {
        self.script.kill();
    }
}

/// An empty folder of this run; those of runs that have ended are removed.
fn folder(name: &str) -> PathBuf {
    let all = std::env::temp_dir().join("hoox-e2e");
    for entry in fs::read_dir(&all).into_iter().flatten().flatten() {
        let pid = entry.file_name().to_string_lossy().parse();
        if pid.is_ok_and(|pid| !is_alive(pid)) {
            fs::remove_dir_all(entry.path()).ok();
        }
    }
    let folder = all.join(std::process::id().to_string()).join(name);
    fs::create_dir_all(&folder).expect("a folder for the state");
    folder
}
