//! README's way from a clone to the first live order, walked with exactly its commands.
//!
//! The commands are read from README.md. Cloudflare is the double, Node a script that takes the workers' secrets, and
//! the gateway one that knows what was deployed: it stands behind the address that the deployment got, answers only to
//! the operator key that was uploaded, trades only with keys that trade-worker has, and only for a passkey that it gave.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use hoox_cloud_sim::{Authority, Handle, Proxy, ProxyHandle};
use serde_json::{Value, json};

use crate::common::{Ran, run};
use crate::double::{Gateway, problem};
use crate::{ACCOUNT, Desk, NAMESPACE, TOKEN};

/// The address that the deployment gets.
const HOST: &str = "hoox.desk.workers.dev";
/// What the walker types for an exchange's key or secret.
const TYPED: &str = "what-the-exchange-gave";
/// The commands that need no answer to be walked.
const BEFORE: [&str; 1] = ["cargo install --locked --path crates/hoox-cli"];

/// Every command of the section, in its order, without what is said about it.
fn commands() -> Vec<String> {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md");
    let readme = fs::read_to_string(readme).unwrap();
    let (_, section) = readme.split_once("\n## Deploy\n").unwrap();
    let (section, _) = section.split_once("\n### A domain of your own\n").unwrap();
    let blocks = section.split("```sh\n").skip(1);
    let lines = blocks.flat_map(|block| block.split("```").next().unwrap().lines());
    let commands = lines.map(|line| line.split(" #").next().unwrap().trim().to_owned());
    commands.filter(|command| !command.is_empty()).collect()
}

/// What the gateway remembers.
#[derive(Default)]
struct Memory {
    manifest: Option<Value>,
    /// Senders with their passkeys and accounts.
    senders: Vec<(String, Value)>,
    /// Accounts on which an order was sent.
    traded: Vec<String>,
}

/// The gateway of what is deployed.
struct Deployed {
    cloud: Arc<Handle>,
    memory: Arc<Mutex<Memory>>,
}

impl Deployed {
    fn secret(&self, worker: &str, name: &str) -> Option<String> {
        let state = self.cloud.state();
        let script = state.accounts[0].scripts.get(worker)?;
        script.secrets.get(name).cloned()
    }

    /// The report on the key of each account.
    fn keys(&self, memory: &Memory) -> Value {
        let accounts = accounts(memory).into_iter().map(|account| {
            let environment = if account["environment"] == "live" { "" } else { "TESTNET_" };
            let held = |kind: &str| {
                self.secret("trade-worker", &format!("BYBIT_{environment}API_{kind}"))
                    .is_some_and(|value| value == TYPED)
            };
            let mut report = json!({ "account": account["name"], "venue": "bybit", "environment": account["environment"] });
            if held("KEY") && held("SECRET") {
                report["key"] = json!({ "rights": { "read": true, "trade": { "linear": true }, "withdraw": false, "transfer": false }, "addresses": ["198.51.100.7"] });
            } else {
                report["problem"] = problem("NOT_CONFIGURED", "the secret is not set");
            }
            report
        });
        json!({ "success": true, "accounts": accounts.collect::<Vec<_>>(), "unreachable": [] })
    }

    fn alert(memory: &mut Memory, body: &str) -> (u16, Value) {
        let alert: Value = serde_json::from_str(body).unwrap();
        let known = memory
            .senders
            .iter()
            .find(|(key, _)| alert["apiKey"] == **key);
        let Some((_, sender)) = known else {
            return (403, problem("FORBIDDEN", "forbidden"));
        };
        let account = match &alert["account"] {
            Value::String(account) => account.clone(),
            _ => sender["accounts"][0].as_str().unwrap().to_owned(),
        };
        assert_eq!(sender["accounts"], json!([account]));
        let dry = alert["dryRun"] == true;
        if !dry {
            memory.traded.push(account.clone());
        }
        let status = if dry { "dry_run" } else { "filled" };
        (
            200,
            json!({ "success": true, "status": status, "account": account, "signalId": "01M832V2N9H62T92WHFH4Q1J0H" }),
        )
    }

    fn answer(&self, call: &str, key: Option<&str>, body: &str) -> (u16, Value) {
        let mut memory = self.memory.lock().unwrap();
        let path = call.split('?').next().unwrap();
        if path.contains(" /v1/") && key.map(str::to_owned) != self.secret("hoox", "OPERATOR_KEY") {
            return (401, problem("UNAUTHORIZED", "send the operator key"));
        }
        let answer = match path {
            "GET /health" => {
                json!({ "success": true, "status": "ok", "bindings": { "CONFIG_KV": true } })
            }
            "GET /v1/kill-switch" => json!({ "success": true, "killSwitch": { "mode": "off" } }),
            "GET /v1/health" => json!({ "success": true, "accounts": [], "unreachable": [] }),
            "GET /v1/keys" => self.keys(&memory),
            "GET /v1/accounts" => json!({ "success": true, "accounts": accounts(&memory) }),
            "GET /v1/manifest" => match &memory.manifest {
                Some(manifest) => json!({ "success": true, "manifest": manifest }),
                None => return (404, problem("NOT_FOUND", "there is no manifest yet")),
            },
            "PUT /v1/manifest" => {
                memory.manifest = Some(serde_json::from_str(body).unwrap());
                json!({ "success": true, "published": true })
            }
            "POST /v1/senders" => {
                let sender: Value = serde_json::from_str(body).unwrap();
                let key = format!("hoox_{:032}", memory.senders.len());
                memory.senders.push((key.clone(), sender.clone()));
                json!({ "success": true, "sender": sender, "key": key, "published": true })
            }
            "POST /webhook" => return Self::alert(&mut memory, body),
            _ => return (404, problem("NOT_FOUND", "there is no such path")),
        };
        (200, answer)
    }
}

fn accounts(memory: &Memory) -> Vec<Value> {
    let manifest = memory.manifest.as_ref();
    manifest.map_or_else(Vec::new, |manifest| {
        manifest["accounts"].as_array().unwrap().clone()
    })
}

/// Who walks: a machine with nothing but this checkout, behind a proxy that knows the gateway's address.
struct Walker {
    desk: Desk,
    proxy: ProxyHandle,
    gateway: Gateway,
    memory: Arc<Mutex<Memory>>,
    variables: BTreeMap<String, String>,
    /// The passkey that was shown last.
    shown: String,
}

impl Walker {
    fn new() -> Self {
        let mut state = crate::state(&[]);
        state["accounts"][0]["namespaces"] = json!([]);
        state["accounts"][0]["databases"] = json!([]);
        let desk = Desk::with_zeros("walk", state);
        desk.node("mkdir -p up; case \"$2\" in *-worker|hoox) cat > up/$2;; esac; exit 0");
        let memory = Arc::new(Mutex::new(Memory::default()));
        let deployed = Deployed {
            cloud: Arc::clone(&desk.cloud),
            memory: Arc::clone(&memory),
        };
        let gateway = Gateway::answering(move |call, key, body| deployed.answer(call, key, body));
        let address = gateway
            .address
            .strip_prefix("http://")
            .unwrap()
            .parse()
            .unwrap();
        let proxy = desk.runtime.block_on(async {
            let authority = Authority::new().unwrap();
            fs::write(desk.folder.join("authority.pem"), authority.pem()).unwrap();
            let served = authority.serve(&[HOST], address).await.unwrap();
            Proxy::new().route(HOST, served).start().await.unwrap()
        });
        let path = |name: &str| desk.folder.join(name).display().to_string();
        let variables = [
            ("CLOUDFLARE_API_BASE_URL", desk.cloud.base_url()),
            ("PATH", format!("{}:/usr/bin:/bin", path("bin"))),
            ("HTTPS_PROXY", format!("http://{}", proxy.address())),
            ("NODE_EXTRA_CA_CERTS", path("authority.pem")),
        ];
        let variables = variables
            .map(|(name, value)| (name.to_owned(), value))
            .into();
        Self {
            desk,
            proxy,
            gateway,
            memory,
            variables,
            shown: String::new(),
        }
    }

    /// Types a command, and what it asks for. Nobody is at a terminal, so a yes is given by `--yes`.
    fn types(&mut self, command: &str) -> Option<Ran> {
        if let Some(variable) = command.strip_prefix("export ") {
            let (name, _) = variable.split_once("=…").unwrap();
            let value = if name == "HOOX_PASSKEY" {
                &self.shown
            } else {
                TOKEN
            };
            assert!(!value.is_empty(), "{command}: nothing was shown");
            self.variables.insert(name.to_owned(), value.to_owned());
            return None;
        }
        let words = command.strip_prefix("hoox ").unwrap();
        let words: Vec<&str> = words.split_whitespace().collect();
        let variables: Vec<(&str, &str)> = self
            .variables
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let asks = matches!(words[..], ["init"] | ["signal", "send", .., "--trade"]);
        let words = [&words[..], if asks { &["--yes"] } else { &[][..] }].concat();
        let ran = run(&self.desk.folder, &variables, &words, TYPED);
        self.take_uploads();
        let key = ran
            .out
            .split_whitespace()
            .find(|word| word.starts_with("hoox_"));
        if let Some(key) = key {
            key.clone_into(&mut self.shown);
        }
        Some(ran)
    }

    /// What Node was given is at Cloudflare.
    fn take_uploads(&self) {
        let Ok(uploads) = fs::read_dir(self.desk.folder.join("up")) else {
            return;
        };
        for upload in uploads.flatten() {
            let name = upload.file_name().into_string().unwrap();
            let secrets: Value =
                serde_json::from_str(&fs::read_to_string(upload.path()).unwrap()).unwrap();
            fs::remove_file(upload.path()).unwrap();
            self.desk.change(|state| {
                let namespace = state["accounts"][0]["namespaces"][0]["id"].clone();
                let bindings = json!([{ "type": "kv_namespace", "name": "CONFIG_KV", "namespace_id": namespace }]);
                state["accounts"][0]["scripts"][name] = json!({ "secrets": secrets, "bindings": bindings, "workers_dev": name == "hoox" });
            });
        }
    }
}

#[test]
fn readmes_commands_lead_from_a_clone_to_the_first_live_order() {
    let commands = commands();
    let (before, walked) = commands.split_at(BEFORE.len());
    assert_eq!(before, BEFORE);
    let mut walker = Walker::new();
    let mut next = Vec::new();
    for command in walked {
        let Some(ran) = walker.types(command) else {
            continue;
        };
        let said = format!("{}{}", ran.out, ran.err);
        assert!(!said.contains(TOKEN) && !said.contains(TYPED), "{said}");
        if command == "hoox doctor" {
            // This machine has no compiler; what was deployed is as it should be.
            let (_, deployment) = said.split_once("\nDeployment\n").unwrap();
            let bad = deployment
                .lines()
                .find(|line| line.contains("FAIL") || line.contains("????"));
            assert_eq!(bad, None, "{said}");
        } else {
            assert_eq!(ran.status, 0, "{command}: {said}");
        }
        // What the tool says comes next is what README says.
        if let Some((_, list)) = ran.out.split_once("Next") {
            let (_, list) = list.split_once(':').unwrap();
            next.push((
                command.clone(),
                list.trim()
                    .lines()
                    .map(|line| line.trim().to_owned())
                    .collect::<Vec<_>>(),
            ));
        }
    }
    assert_eq!(next.len(), 2, "{next:?}");
    for (command, told) in next {
        let at = walked.iter().position(|other| *other == command).unwrap() + 1;
        assert_eq!(told, walked[at..at + told.len()], "after {command}");
    }
    assert_eq!(walker.memory.lock().unwrap().traded, ["main", "live"]);
    // All of it went to the address that the deployment got.
    let tunnel = format!("CONNECT {HOST}:443 HTTP/1.1");
    assert_eq!(
        walker.proxy.lines().iter().find(|line| **line != tunnel),
        None
    );
    assert!(!walker.gateway.asked().is_empty());
    let kept = walker.desk.cloud.state();
    assert_eq!(
        (kept.accounts[0].id.as_str(), kept.accounts[0].scripts.len()),
        (ACCOUNT, 3)
    );
    assert_ne!(kept.accounts[0].namespaces[0].id, NAMESPACE);
}
