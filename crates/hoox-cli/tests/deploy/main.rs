//! What is found before anything is uploaded, and what a deployment that stops says: what is up, what is not, and the next
//! command. In place of Node stands a script that does as it is told; the real one is deployed with end to end.
#![cfg(unix)]
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test: what it does not expect must stop it, and its user may have a page written"
)]

mod addresses;
#[path = "../common/mod.rs"]
mod common;
#[path = "../common/double.rs"]
#[expect(dead_code, reason = "other tests have gateways with set answers")]
mod double;
mod failures;
mod walk;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use common::{Ran, folder, run, transcript};
use hoox_cloud_sim::{Cloud, Fault, FaultAnswer, Handle};
use serde_json::{Value, json};

const ACCOUNT: &str = "0000000000000000000000000000a001";
const NAMESPACE: &str = "0000000000000000000000000000c001";
const DATABASE: &str = "00000000-0000-4000-8000-00000000d001";
const WRANGLER_FILES: [&str; 3] = [
    "wrangler.toml",
    "workers/trade-worker/wrangler.toml",
    "workers/d1-worker/wrangler.toml",
];
/// Takes the secrets and has done it.
const DONE: &str = "while read -r line; do :; done; exit 0";
const TOKEN: &str = "a-token-that-no-output-shows";
/// That of whoever looks at what was done.
const LOOKER: &str = "the-token-of-this-test";

/// The double, and a checkout in which Node is a script.
struct Desk {
    cloud: Arc<Handle>,
    /// Where the double runs.
    runtime: tokio::runtime::Runtime,
    folder: PathBuf,
}

/// What a worker is bound to once it is deployed, as Cloudflare shows it.
fn bindings(worker: &str) -> Value {
    let namespace =
        json!({ "type": "kv_namespace", "name": "CONFIG_KV", "namespace_id": NAMESPACE });
    let service = |name: &str, worker: &str| json!({ "type": "service", "name": name, "service": worker, "environment": "production" });
    let object = |name: &str, class: &str| json!({ "type": "durable_object_namespace", "name": name, "class_name": class });
    match worker {
        "hoox" => json!([
            namespace,
            service("TRADE_WORKER", "trade-worker"),
            service("D1_WORKER", "d1-worker"),
            { "type": "ratelimit", "name": "ATTEMPTS", "namespace_id": "1001", "simple": { "limit": 20, "period": 60 } },
        ]),
        "trade-worker" => json!([
            object("LEDGER", "Ledger"),
            object("CONTROL", "Control"),
            namespace,
            service("D1_WORKER", "d1-worker"),
        ]),
        _ => json!([{ "type": "d1", "name": "DB", "id": DATABASE }]),
    }
}

/// An account with namespace and database, and these workers.
fn state(workers: &[&str]) -> Value {
    let secrets = json!({ "OPERATOR_KEY": "o", "SEALING_KEY": "s", "HOOX_TRADE_KEY": "t", "HOOX_D1_KEY": "d", "TRADE_D1_KEY": "e" });
    let scripts: serde_json::Map<String, Value> = workers
        .iter()
        .map(|name| {
            (
                (*name).to_owned(),
                json!({ "secrets": secrets, "bindings": bindings(name), "workers_dev": *name == "hoox" }),
            )
        })
        .collect();
    json!({
        "tokens": [
            { "token": TOKEN, "id": "0000000000000000000000000000b001" },
            { "token": LOOKER, "id": "0000000000000000000000000000b002" },
        ],
        "accounts": [{
            "id": ACCOUNT, "name": "Desk", "subdomain": "desk", "scripts": scripts,
            "namespaces": [{ "id": NAMESPACE, "title": "hoox" }],
            "databases": [{ "uuid": DATABASE, "name": "hoox" }],
        }],
    })
}

impl Desk {
    fn new(name: &str, state: Value) -> Self {
        let desk = Self::with_zeros(name, state);
        for file in WRANGLER_FILES {
            let text = fs::read_to_string(desk.folder.join(file)).unwrap();
            let text = text
                .replace("00000000-0000-0000-0000-000000000000", DATABASE)
                .replace(
                    &format!("\"{}\"", "0".repeat(32)),
                    &format!("\"{NAMESPACE}\""),
                );
            fs::write(desk.folder.join(file), text).unwrap();
        }
        desk
    }

    /// As a clone is: nobody's ids are in it.
    fn with_zeros(name: &str, state: Value) -> Self {
        let folder = folder(name);
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        for file in WRANGLER_FILES {
            let text = fs::read_to_string(root.join(file)).unwrap();
            fs::create_dir_all(folder.join(file).parent().unwrap()).unwrap();
            fs::write(folder.join(file), text).unwrap();
        }
        let migrations = folder.join("crates/hoox-store/migrations");
        fs::create_dir_all(&migrations).unwrap();
        for migration in ["0001_init.sql", "0002_audit.sql"] {
            fs::write(migrations.join(migration), "").unwrap();
        }
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let state = serde_json::from_value(state).unwrap();
        let cloud = Arc::new(runtime.block_on(Cloud::start(0, state)).unwrap());
        let desk = Self {
            cloud,
            runtime,
            folder,
        };
        desk.node(DONE);
        desk
    }

    /// What Node does; its second argument says for which part of the deployment.
    fn node(&self, script: &str) {
        let file = self.folder.join("bin/node");
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        let script = format!(
            "#!/bin/sh\necho \"$2\" >> {}\n{script}\n",
            self.log().display()
        );
        fs::write(&file, script).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(self.log(), "").unwrap();
    }

    fn log(&self) -> PathBuf {
        self.folder.join("started")
    }

    /// The parts that were begun.
    fn begun(&self) -> Vec<String> {
        let text = fs::read_to_string(self.log()).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    fn hoox(&self, arguments: &[&str]) -> Ran {
        self.hoox_with(&[], arguments)
    }

    /// Runs it with further variables, or others.
    fn hoox_with(&self, more: &[(&str, &str)], arguments: &[&str]) -> Ran {
        let base = self.cloud.base_url();
        let bin = self.folder.join("bin").display().to_string();
        let key = self.folder.join("key").display().to_string();
        let variables = [
            ("CLOUDFLARE_API_BASE_URL", base.as_str()),
            ("CLOUDFLARE_API_TOKEN", TOKEN),
            ("PATH", bin.as_str()),
        ];
        let variables = [&variables[..], more].concat();
        let arguments = [arguments, &["--operator-key-file", &key]].concat();
        let ran = run(&self.folder, &variables, &arguments, "");
        assert!(!ran.out.contains(TOKEN) && !ran.err.contains(TOKEN));
        ran
    }

    /// The run as a reader sees it.
    fn says(&self, arguments: &[&str]) -> String {
        let ran = self.hoox(arguments);
        let folder = self.folder.display().to_string();
        let said = transcript(arguments, &ran).replace(&folder, "~/hoox");
        // How long it took is another time each time.
        let timed = |line: &str| match line.split_once(" (") {
            Some((step, _)) if line.starts_with('✓') => step.to_owned(),
            _ => line.to_owned(),
        };
        said.lines().map(timed).collect::<Vec<_>>().join("\n") + "\n"
    }

    /// The database has these migrations.
    fn migrated(&self, names: &[&str]) {
        let rows: Vec<String> = names.iter().map(|name| format!("('{name}')")).collect();
        let sql = format!(
            "CREATE TABLE d1_migrations (id INTEGER PRIMARY KEY, name TEXT); \
             INSERT INTO d1_migrations (name) VALUES {};",
            rows.join(", ")
        );
        self.query(&sql);
    }

    /// The rows that a statement in the database answers.
    fn query(&self, sql: &str) -> Value {
        let url = format!(
            "{}/accounts/{ACCOUNT}/d1/database/{DATABASE}/query",
            self.cloud.base_url()
        );
        self.runtime.block_on(async {
            let client = reqwest::Client::builder().no_proxy().build().unwrap();
            let call = client
                .post(url)
                .bearer_auth(LOOKER)
                .json(&json!({ "sql": sql }));
            let answer = call.send().await.unwrap();
            assert!(answer.status().is_success());
            let answer: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
            answer["result"][0]["results"].clone()
        })
    }

    /// Who has the lease, if there is a place for it.
    fn holders(&self) -> Value {
        if self.cloud.state().accounts[0].databases.is_empty() {
            return json!([]);
        }
        let tables = self.query("SELECT name FROM sqlite_master WHERE name = 'hoox_deploy'");
        if tables == json!([]) {
            return tables;
        }
        self.query("SELECT id FROM hoox_deploy")
    }

    /// Another deploy has the lease, for so many seconds from now.
    fn leased_to_another(&self, seconds: i64) {
        self.query(
            "CREATE TABLE IF NOT EXISTS hoox_deploy (one INTEGER PRIMARY KEY CHECK (one = 1), \
             id TEXT NOT NULL, since TEXT NOT NULL, ends INTEGER NOT NULL)",
        );
        self.query(&format!(
            "INSERT OR REPLACE INTO hoox_deploy VALUES (1, 'another', '2026-11-27T20:51:00Z', unixepoch() + {seconds})"
        ));
    }

    /// Changes a wrangler file.
    fn edit(&self, file: &str, from: &str, to: &str) {
        let file = self.folder.join(file);
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.contains(from), "{text}");
        fs::write(file, text.replace(from, to)).unwrap();
    }

    fn change(&self, change: impl FnOnce(&mut Value)) {
        let mut state = serde_json::to_value(self.cloud.state()).unwrap();
        change(&mut state);
        self.cloud.set_state(serde_json::from_value(state).unwrap());
    }
}

#[test]
fn a_deployment_that_stops_says_what_is_up_what_is_not_and_what_comes_next() {
    let mut said = String::new();
    for (name, workers) in [
        ("first", &[][..]),
        ("again", &["hoox", "trade-worker", "d1-worker"]),
    ] {
        for part in ["build", "migrations", "d1-worker", "trade-worker", "hoox"] {
            let desk = Desk::new(&format!("deploy-{name}-{part}"), state(workers));
            desk.node(&format!(
                "[ \"$2\" = {part} ] || {{ {DONE}; }}\necho it says why >&2\nexit 1"
            ));
            said.push_str(&desk.says(&["deploy"]));
            // Nothing comes after what failed.
            assert_eq!(desk.begun().last().unwrap(), part);
            // The gateway was not given a key that it did not get.
            let pending = desk.folder.join("key.new").exists();
            assert_eq!(pending, name == "first" && part == "hoox", "{name} {part}");
            // The next command does it.
            desk.node(DONE);
            let ran = desk.hoox(&["deploy"]);
            assert_eq!(ran.status, 0, "{}", ran.err);
            assert_eq!(desk.begun().last().unwrap(), "hoox");
        }
    }
    // Cloudflare asks for more than a minute, and for a second again and again.
    let desk = Desk::new("deploy-limits", state(&["d1-worker"]));
    desk.node(&format!(
        "[ \"$2\" = trade-worker ] || {{ {DONE}; }}\necho limited 3600\nexit 1"
    ));
    said.push_str(&desk.says(&["deploy"]));
    assert_eq!(
        desk.begun()
            .iter()
            .filter(|part| *part == "trade-worker")
            .count(),
        1
    );
    desk.node(&format!(
        "[ \"$2\" = d1-worker ] || {{ {DONE}; }}\necho limited 0\nexit 1"
    ));
    said.push_str(&desk.says(&["deploy"]));
    assert_eq!(
        desk.begun()
            .iter()
            .filter(|part| *part == "d1-worker")
            .count(),
        4
    );
    // A profile is part of what comes next, and Node may be missing.
    fs::write(desk.folder.join("config.toml"), "").unwrap();
    fs::remove_file(desk.folder.join("bin/node")).unwrap();
    said.push_str(&desk.says(&["deploy", "--host", "hoox.example.com"]));
    insta::assert_snapshot!(said);
}

#[test]
fn what_stands_in_the_way_is_found_before_anything_is_uploaded() {
    let desk = Desk::new("deploy-checks", state(&[]));
    let mut said = String::new();
    let mut refused = |desk: &Desk| {
        said.push_str(&desk.says(&["deploy"]));
        said.push_str(&desk.says(&["deploy", "--dry-run"]));
        assert_eq!(desk.begun(), [""; 0]);
    };
    // No subdomain.
    desk.change(|state| state["accounts"][0]["subdomain"] = Value::Null);
    refused(&desk);
    // A namespace that was deleted, and a database of another account.
    desk.change(|state| {
        state["accounts"][0]["subdomain"] = json!("desk");
        state["accounts"][0]["namespaces"] = json!([]);
    });
    refused(&desk);
    desk.change(|state| {
        state["accounts"][0]["namespaces"] = json!([{ "id": NAMESPACE, "title": "hoox" }]);
        state["accounts"][0]["databases"] = json!([]);
    });
    refused(&desk);
    insta::assert_snapshot!(said);
}

#[test]
fn a_token_is_told_at_once_all_that_it_lacks() {
    let all = [
        "Account Settings Read",
        "Workers Scripts Write",
        "Workers KV Storage Write",
        "D1 Write",
        "Zone Read",
        "Workers Routes Read",
        "Zone WAF Write",
    ];
    let mut state = state(&[]);
    state["zones"] = json!([{ "id": "0000000000000000000000000000d001", "name": "example.com", "account": ACCOUNT }]);
    let desk = Desk::new("deploy-token", state);
    let mut said = String::new();
    let reads = ["Workers Scripts Read", "Workers KV Storage Read", "D1 Read"];
    for (about, permissions, status) in [
        ("all that there are", &all[..], 0),
        ("without a domain", &all[..4], 0),
        ("without the routes and the firewall", &all[..5], 0),
        ("the database is missing", &[all[0], all[1], all[2]], 1),
        ("two are missing, and more", &all[..2], 1),
        (
            "reads only",
            &[&all[..1], &reads[..], &all[4..5]].concat(),
            1,
        ),
        ("a domain's alone", &[&all[..1], &all[4..]].concat(), 1),
        ("no account", &all[1..], 2),
    ] {
        desk.change(|state| state["tokens"][0]["permissions"] = json!(permissions));
        fs::remove_dir_all(desk.folder.join(".config")).ok();
        said.extend([format!("# {about}\n"), desk.says(&["init", "--yes"])]);
        let ran = desk.hoox(&["deploy", "--dry-run"]);
        assert_eq!(ran.status, status, "{about}: {}", ran.err);
    }
    assert_eq!(desk.begun(), [""; 0]);
    insta::assert_snapshot!(said);
}

#[test]
fn an_account_that_gets_its_subdomain_later_gets_its_address() {
    let mut state = state(&[]);
    state["accounts"][0]["subdomain"] = Value::Null;
    let desk = Desk::new("deploy-subdomain", state);
    let mut said = desk.says(&["init", "--yes"]);
    said.push_str(&desk.says(&["deploy"]));
    desk.change(|state| state["accounts"][0]["subdomain"] = json!("desk"));
    said.push_str(&desk.says(&["deploy"]));
    let profile = fs::read_to_string(desk.folder.join(".config/hoox/config.toml")).unwrap();
    assert!(
        profile.contains("host = \"hoox.desk.workers.dev\""),
        "{profile}"
    );
    insta::assert_snapshot!(said);
    // With a domain of its own none is needed.
    let file = desk.folder.join("wrangler.toml");
    let closed = fs::read_to_string(&file).unwrap();
    let closed = closed.replace("workers_dev = true", "workers_dev = false");
    fs::write(&file, closed).unwrap();
    desk.change(|state| state["accounts"][0]["subdomain"] = Value::Null);
    assert_eq!(desk.hoox(&["deploy"]).status, 0);
}

#[test]
fn a_worker_under_another_name_is_not_made_a_second_time() {
    let desk = Desk::new("deploy-renamed", state(&["trade-worker", "d1-worker"]));
    desk.edit(
        "workers/d1-worker/wrangler.toml",
        "name = \"d1-worker\"",
        "name = \"records\"",
    );
    let mut said = desk.says(&["deploy"]);
    said.push_str(&desk.says(&["init", "--yes"]));
    desk.edit(
        "workers/d1-worker/wrangler.toml",
        "name = \"records\"",
        "name = \"d1-worker\"",
    );
    for (kind, field, id) in [
        ("kv_namespace", "namespace_id", NAMESPACE),
        ("d1", "id", DATABASE),
    ] {
        let binding = json!({ "type": kind, "name": "ANY", field: id });
        desk.change(|state| {
            state["accounts"][0]["scripts"]["desk-gateway"] = json!({ "bindings": [binding] });
        });
        said.push_str(&desk.says(&["deploy"]));
    }
    assert_eq!(desk.begun(), [""; 0]);
    // Another one with a namespace of its own is nobody's business.
    let other = json!({ "bindings": [{ "type": "kv_namespace", "name": "CONFIG_KV", "namespace_id": "0000000000000000000000000000c002" }] });
    desk.change(|state| state["accounts"][0]["scripts"]["desk-gateway"] = other);
    assert_eq!(desk.hoox(&["deploy"]).status, 0);
    insta::assert_snapshot!(said);
}

#[test]
fn a_second_profile_does_not_take_the_place_of_the_first() {
    let desk = Desk::new("deploy-profiles", state(&[]));
    assert_eq!(desk.hoox(&["init", "--yes"]).status, 0);
    let mut said = desk.says(&["init", "--yes", "--profile", "staging"]);
    said.push_str(&desk.says(&["deploy", "--profile", "staging"]));
    assert_eq!(desk.begun(), [""; 0]);
    // The same one again, and another account.
    assert_eq!(desk.hoox(&["init", "--yes"]).status, 0);
    let second = "0000000000000000000000000000a002";
    desk.change(|state| {
        let mut account = state["accounts"][0].clone();
        account["id"] = json!(second);
        state["accounts"] = json!([account]);
    });
    assert_eq!(
        desk.hoox(&["init", "--yes", "--profile", "staging"]).status,
        0
    );
    insta::assert_snapshot!(said);
}

#[test]
fn an_older_checkout_leaves_a_newer_database_alone() {
    let desk = Desk::new("deploy-older", state(&[]));
    desk.migrated(&["0001_init.sql", "0002_audit.sql", "0003_reading.sql"]);
    let said = desk.says(&["deploy"]);
    assert_eq!(desk.begun(), [""; 0]);
    insta::assert_snapshot!(said);
}

impl Desk {
    /// Has Node wait in this part, and does something meanwhile.
    fn meanwhile(&self, part: &str, act: impl FnOnce()) -> Ran {
        let go = self.folder.join("go");
        fs::remove_file(&go).ok();
        self.node(&format!(
            "[ \"$2\" != {part} ] || while [ ! -e {} ]; do :; done\n{DONE}",
            go.display()
        ));
        thread::scope(|scope| {
            let first = scope.spawn(|| self.hoox(&["deploy", "--json"]));
            while !self.begun().contains(&part.to_owned()) {
                thread::yield_now();
            }
            act();
            fs::write(&go, "").unwrap();
            first.join().unwrap()
        })
    }
}

/// Code and hint of a failure.
fn failed(ran: &Ran) -> (String, String) {
    let said: Value = serde_json::from_str(&ran.out).unwrap();
    let text = |field: &str| said["error"][field].as_str().unwrap().to_owned();
    (text("code"), text("hint"))
}

#[test]
fn of_two_deploys_at_once_the_second_says_so_and_stops() {
    let desk = Desk::new("deploy-twice", state(&[]));
    let first = desk.meanwhile("migrations", || {
        let second = desk.hoox(&["deploy", "--json"]);
        assert_eq!(second.status, 1, "{}", second.err);
        assert_eq!(failed(&second).0, "DEPLOYING");
    });
    assert_eq!(first.status, 0, "{}", first.err);
    let expected = [
        "build",
        "migrations",
        "build",
        "d1-worker",
        "trade-worker",
        "hoox",
    ];
    assert_eq!(desk.begun(), expected);
    assert_eq!(desk.holders(), json!([]));
    // One that was killed has left its lease, which ends by itself; one that failed leaves none.
    desk.leased_to_another(60);
    let said = desk.says(&["deploy"]);
    assert_eq!(desk.holders(), json!([{ "id": "another" }]));
    desk.leased_to_another(0);
    assert_eq!(desk.hoox(&["deploy"]).status, 0);
    assert_eq!(desk.holders(), json!([]));
    desk.node("[ \"$2\" != d1-worker ] || exit 1");
    let stopped = desk.hoox(&["deploy", "--json"]);
    assert_eq!((stopped.status, failed(&stopped).0.as_str()), (1, "UPLOAD"));
    assert_eq!(desk.begun(), ["build", "migrations", "d1-worker"]);
    assert_eq!(desk.holders(), json!([]));
    insta::assert_snapshot!(said);
}

#[test]
fn a_deploy_whose_lease_another_one_has_taken_stops_and_leaves_it_to_that_one() {
    let desk = Desk::new("deploy-taken", state(&[]));
    let ran = desk.meanwhile("d1-worker", || desk.leased_to_another(60));
    let said: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(
        (ran.status, said["error"].clone()),
        (
            1,
            json!({
                "code": "DEPLOYING",
                "message": "trade-worker was not begun: another deploy has taken over: the lease of this one had run out",
                "hint": "uploaded: d1-worker; not there yet: trade-worker, hoox; wait until the other one has ended, then `hoox deploy`",
            })
        )
    );
    assert_eq!(desk.begun(), ["build", "migrations", "d1-worker"]);
    assert_eq!(desk.holders(), json!([{ "id": "another" }]));
    // The gateway did not get the new operator key, so that nothing waits for it.
    assert!(!desk.folder.join("key.new").exists());
    // One that has run out and that nobody has taken is still this one's.
    let desk = Desk::new("deploy-late", state(&[]));
    let ran = desk.meanwhile("d1-worker", || {
        desk.query("UPDATE hoox_deploy SET ends = 1");
    });
    assert_eq!(ran.status, 0, "{}", ran.err);
    assert_eq!(desk.holders(), json!([]));
}

#[test]
fn a_deploy_that_leaves_an_edge_with_two_keys_names_the_command_that_mends_it() {
    let lacking = |name: &str, worker: &str, secret: &str| {
        let desk = Desk::new(name, state(&["hoox", "trade-worker", "d1-worker"]));
        desk.change(|state| {
            let secrets = &mut state["accounts"][0]["scripts"][worker]["secrets"];
            secrets.as_object_mut().unwrap().remove(secret);
        });
        desk
    };
    let stopped = |desk: &Desk, part: &str| {
        desk.node(&format!("[ \"$2\" = {part} ] || {{ {DONE}; }}\nexit 1"));
        failed(&desk.hoox(&["deploy", "--json"])).1
    };
    let mend = "mend what the lines above name, then `hoox deploy`";
    // d1-worker got a new one; the gateway has its own, so that the next deploy finds none missing.
    let desk = lacking("deploy-edge-callee", "d1-worker", "HOOX_D1_KEY");
    assert_eq!(
        stopped(&desk, "trade-worker"),
        format!(
            "uploaded: d1-worker; perhaps uploaded: trade-worker; as before: hoox; {mend}, then \
             `hoox secrets rotate HOOX_D1_KEY`: HOOX_D1_KEY may differ on its two sides"
        )
    );
    // The gateway lacks it: the next deploy makes one for both.
    let desk = lacking("deploy-edge-caller", "hoox", "HOOX_D1_KEY");
    assert_eq!(
        stopped(&desk, "trade-worker"),
        format!("uploaded: d1-worker; perhaps uploaded: trade-worker; as before: hoox; {mend}")
    );
    // Nothing is uploaded yet.
    let desk = lacking("deploy-edge-before", "d1-worker", "HOOX_D1_KEY");
    assert_eq!(
        stopped(&desk, "migrations"),
        format!(
            "no worker was uploaded; of the migrations the database may have some: 0001_init.sql, 0002_audit.sql; {mend}"
        )
    );
}

#[test]
fn what_changes_of_bindings_is_in_the_plan() {
    let desk = Desk::new(
        "deploy-bindings",
        state(&["hoox", "trade-worker", "d1-worker"]),
    );
    let mut said = desk.says(&["deploy", "--dry-run"]);
    desk.change(|state| {
        let scripts = &mut state["accounts"][0]["scripts"];
        scripts["hoox"]["bindings"][0]["namespace_id"] = json!("0000000000000000000000000000c002");
        scripts["hoox"]["bindings"][1]["service"] = json!("another");
        scripts["trade-worker"]["bindings"]
            .as_array_mut()
            .unwrap()
            .remove(1);
        let variable =
            json!({ "type": "plain_text", "name": "REGION", "text": "a-value-that-no-plan-shows" });
        let bindings = scripts["d1-worker"]["bindings"].as_array_mut().unwrap();
        bindings.extend([
            variable,
            json!({ "type": "r2_bucket", "name": "FILES", "bucket_name": "files" }),
        ]);
    });
    said += &desk.says(&["deploy", "--dry-run"]);
    assert!(!said.contains("a-value-that-no-plan-shows"));
    let told = desk.hoox(&["deploy", "--dry-run", "--json"]);
    let told: Value = serde_json::from_str(&told.out).unwrap();
    assert_eq!(
        told["data"]["bindings"],
        json!([
            { "worker": "d1-worker", "added": [], "changed": [], "removed": ["REGION (variable)", "FILES (binding)"] },
            { "worker": "trade-worker", "added": ["CONTROL (Durable Object Control)"], "changed": [], "removed": [] },
            { "worker": "hoox", "added": [], "removed": [], "changed": [
                "CONFIG_KV (KV namespace 0000000000000000000000000000c001, was KV namespace 0000000000000000000000000000c002)",
                "TRADE_WORKER (service trade-worker, was service another)",
            ] },
        ])
    );
    // What Cloudflare does not tell is said.
    let path = format!("/accounts/{ACCOUNT}/workers/scripts/d1-worker/settings");
    let refusal = FaultAnswer::Error {
        status: 403,
        code: 10_000,
        message: "Authentication error".to_owned(),
    };
    desk.cloud.faults(vec![Fault::new(refusal).at("GET", path)]);
    said += &desk.says(&["deploy", "--dry-run"]);
    insta::assert_snapshot!(said);
}

#[test]
fn a_permission_that_could_not_be_found_out_is_not_claimed() {
    let desk = Desk::new("deploy-unknown", state(&[]));
    let database = format!("/accounts/{ACCOUNT}/d1/database/ffffffff");
    let namespace = format!("/accounts/{ACCOUNT}/storage/kv/namespaces/ffffffff");
    let answers = || {
        let other = FaultAnswer::Error {
            status: 400,
            code: 7_400,
            message: "The request is malformed".to_owned(),
        };
        // As if it had removed something.
        let done = FaultAnswer::Html { status: 200 };
        vec![
            Fault::new(other).at("DELETE", database.clone()),
            Fault::new(done).at("DELETE", namespace.clone()),
        ]
    };
    desk.cloud.faults(answers());
    let mut said = desk.says(&["init", "--yes"]);
    desk.cloud.faults(answers());
    said += &desk.says(&["deploy", "--dry-run"]);
    // A failure that passes leaves nothing open.
    let passing = FaultAnswer::Html { status: 502 };
    desk.cloud
        .faults(vec![Fault::new(passing).at("DELETE", database)]);
    let ran = desk.hoox(&["deploy", "--dry-run"]);
    assert!(!ran.out.contains("could not be found out"), "{}", ran.out);
    assert_eq!(desk.cloud.waiting_faults(), []);
    // No worker that could be there was asked for.
    let calls = desk.cloud.calls();
    let probes = calls.iter().filter(|call| call.method == "DELETE");
    let mut workers: Vec<&str> = probes
        .filter_map(|call| call.path.split("/scripts/").nth(1))
        .collect();
    assert_eq!(workers.len(), 3);
    workers.dedup();
    let own = |worker: &&str| {
        worker.starts_with("hoox-probe-") && worker.len() == 43 + "/secrets/NONE".len()
    };
    assert_eq!(
        workers.iter().filter(|worker| own(worker)).count(),
        3,
        "{workers:?}"
    );
    insta::assert_snapshot!(said);
}
