//! `hoox init` and `hoox deploy` from a copy of this checkout, with the real wrangler, to the double of Cloudflare.
#![expect(
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "it starts the program that the environment names"
)]

use std::collections::BTreeSet;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::{env, fs, thread};

use hoox_cloud_sim::{Account, Authority, Cloud, Credentials, Fault, FaultAnswer, Handle, Proxy};
use hoox_e2e::{Shell, Transcript, run};
use serde_json::{Value, json};

const ACCOUNT: &str = "0000000000000000000000000000a001";
/// In two parts, so that no file of the copy has it.
const TOKEN: &str = concat!("the-token-of-", "the-account");

/// A copy of the checkout, as a clone would be: what git knows, and what building it has left.
struct Clone(PathBuf);

impl Clone {
    fn new(name: &str) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .parent()
            .expect("the checkout");
        let folder = env::temp_dir().join(format!("hoox-{name}-{}", std::process::id()));
        fs::remove_dir_all(&folder).ok();
        let listed = Command::new("git")
            .args(["ls-files", "-z"])
            .current_dir(root)
            .output()
            .unwrap();
        let builds =
            ["hoox", "trade-worker", "d1-worker"].map(|worker| format!("workers/{worker}/build"));
        let built = builds.iter().flat_map(|build| {
            let entries =
                fs::read_dir(root.join(build)).expect("`npm test` builds the workers first");
            entries
                .flatten()
                .map(move |entry| format!("{build}/{}", entry.file_name().to_string_lossy()))
        });
        let listed = String::from_utf8(listed.stdout).unwrap();
        let files = listed
            .split_terminator('\0')
            .map(str::to_owned)
            .chain(built);
        for file in files {
            let from = root.join(&file);
            // A file may be in the index and gone from the folder, and a build has folders.
            if from.is_file() {
                fs::create_dir_all(folder.join(&file).parent().unwrap()).unwrap();
                fs::copy(&from, folder.join(&file)).unwrap();
            }
        }
        fs::create_dir(folder.join(".hoox")).unwrap();
        for shared in ["node_modules", ".hoox/tools"] {
            symlink(root.join(shared), folder.join(shared)).unwrap();
        }
        Self(folder)
    }

    fn hoox(&self, cloud: &Handle, arguments: &[&str]) -> Output {
        let base = cloud.base_url();
        let ran = self.ran(&[("CLOUDFLARE_API_BASE_URL", &base)], arguments);
        assert!(
            ran.status.success(),
            "{arguments:?}: {}",
            String::from_utf8_lossy(&ran.stderr)
        );
        let said = [&ran.stdout[..], &ran.stderr].concat();
        let said = String::from_utf8(said).unwrap();
        for (name, value) in secrets(cloud) {
            assert!(!said.contains(&value), "{arguments:?} shows {name}");
        }
        ran
    }

    /// Runs it with further variables.
    fn ran(&self, variables: &[(&str, &str)], arguments: &[&str]) -> Output {
        let mut command = Command::new(env::var("HOOX_CLI_BIN").expect("`npm test` sets it"));
        command.args(arguments).current_dir(&self.0).env_clear();
        // What a user's shell has: tools, and where they keep what they need.
        for name in ["PATH", "CARGO_HOME", "RUSTUP_HOME"] {
            if let Ok(value) = env::var(name) {
                command.env(name, value);
            }
        }
        let home = self.0.join("home");
        let ran = command
            .env("HOME", env::var("HOME").unwrap_or_default())
            .env("HOOX_CONFIG", home.join("config.toml"))
            .env("HOOX_KEYRING", "off")
            .env("CLOUDFLARE_API_TOKEN", TOKEN)
            .envs(variables.iter().copied())
            .output()
            .unwrap();
        let said = [&ran.stdout[..], &ran.stderr].concat();
        assert!(!String::from_utf8(said).unwrap().contains(TOKEN));
        ran
    }

    /// A user's terminal in it.
    fn shell(&self, cloud: &Handle) -> Shell {
        let config = self.0.join("home/config.toml");
        Shell::new(self.0.clone())
            .set("HOOX_CONFIG", config.to_str().unwrap())
            .set("CLOUDFLARE_API_BASE_URL", &cloud.base_url())
            .set_secret("CLOUDFLARE_API_TOKEN", TOKEN)
    }

    fn json(&self, cloud: &Handle, arguments: &[&str]) -> Value {
        let ran = self.hoox(cloud, &[arguments, &["--json"]].concat());
        let answer: Value = serde_json::from_slice(&ran.stdout).unwrap();
        answer["data"].clone()
    }

    fn holds(&self, needle: &str) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut folders = vec![self.0.clone()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap().flatten() {
                let kind = entry.file_type().unwrap();
                if kind.is_dir() {
                    folders.push(entry.path());
                } else if kind.is_file() {
                    let content = fs::read(entry.path()).unwrap();
                    if content
                        .windows(needle.len())
                        .any(|window| window == needle.as_bytes())
                    {
                        found.push(entry.path());
                    }
                }
            }
        }
        found
    }
}

impl Drop for Clone {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

/// Every secret that the double holds.
fn secrets(cloud: &Handle) -> Vec<(String, String)> {
    let state = cloud.state();
    let scripts = state
        .accounts
        .into_iter()
        .flat_map(|account| account.scripts.into_values());
    scripts.flat_map(|script| script.secrets).collect()
}

/// The process list, again and again.
struct Watch {
    stop: Arc<AtomicBool>,
    seen: JoinHandle<String>,
}

impl Watch {
    fn begin() -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let seen = thread::spawn(move || {
            let mut seen = BTreeSet::new();
            while !stopped.load(Ordering::Relaxed) {
                let listed = Command::new("ps")
                    .args(["-A", "-ww", "-o", "args="])
                    .output()
                    .unwrap();
                let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
                seen.extend(listed.lines().map(str::to_owned));
            }
            Vec::from_iter(seen).join("\n")
        });
        Self { stop, seen }
    }

    /// Every command line that was seen.
    fn end(self) -> String {
        self.stop.store(true, Ordering::Relaxed);
        self.seen.join().unwrap()
    }
}

/// Three workers, each with its own secrets and no others, and one address.
fn assert_is_whole(account: &Account) {
    let names: Vec<&String> = account.scripts.keys().collect();
    assert_eq!(names, ["d1-worker", "hoox", "trade-worker"]);
    let held = |worker: &str| account.scripts[worker].secrets.clone();
    let of = |worker: &str| held(worker).into_keys().collect::<Vec<_>>();
    assert_eq!(
        of("hoox"),
        [
            "HOOX_D1_KEY",
            "HOOX_TRADE_KEY",
            "OPERATOR_KEY",
            "SEALING_KEY"
        ]
    );
    assert_eq!(of("trade-worker"), ["HOOX_TRADE_KEY", "TRADE_D1_KEY"]);
    assert_eq!(of("d1-worker"), ["HOOX_D1_KEY", "TRADE_D1_KEY"]);
    for (one, other, name) in [
        ("hoox", "trade-worker", "HOOX_TRADE_KEY"),
        ("hoox", "d1-worker", "HOOX_D1_KEY"),
        ("trade-worker", "d1-worker", "TRADE_D1_KEY"),
    ] {
        assert_eq!(held(one)[name], held(other)[name]);
    }
    let open: Vec<bool> = account
        .scripts
        .values()
        .map(|script| script.workers_dev)
        .collect();
    assert_eq!(open, [false, true, false]);
    assert_eq!(
        account.scripts["trade-worker"].classes,
        ["Ledger", "Control"]
    );
    assert_eq!(account.scripts["trade-worker"].schedules, ["*/5 * * * *"]);
    assert_eq!(account.scripts["d1-worker"].schedules, ["17 * * * *"]);
}

/// An account in which nothing is deployed.
async fn empty_account() -> Handle {
    let state = json!({
        "tokens": [{ "token": TOKEN, "id": "0000000000000000000000000000b001" }],
        "accounts": [{ "id": ACCOUNT, "name": "Desk", "subdomain": "desk" }],
    });
    let state = serde_json::from_value(state).unwrap();
    Cloud::start(0, state).await.unwrap()
}

#[test]
fn a_deployment_is_prepared_made_and_repeated() {
    run(async {
        let cloud = empty_account().await;
        let clone = Clone::new("deploy");
        let deployed = || cloud.state().accounts.remove(0);

        let before = fs::read_to_string(clone.0.join("wrangler.toml")).unwrap();
        let shell = clone.shell(&cloud);
        let mut page = Transcript::new(
            "deploy",
            "hoox init and hoox deploy",
            "The first deployment, in a checkout, with the token of a Cloudflare account in the environment. Node is the only tool it starts.",
        );
        page.call(clone.0.to_str().unwrap(), "~/hoox");
        page.show(
            &shell,
            &[
                ("hoox deploy", ""),
                ("hoox init", ""),
                ("hoox init --yes", ""),
            ],
        );
        // Again, it finds what it made.
        let ready = clone.json(&cloud, &["init", "--yes"]);
        assert_eq!(ready["host"], "hoox.desk.workers.dev");
        let account = deployed();
        let id = account.namespaces[0].id.clone();
        assert_eq!(
            (ready["configKv"].as_str(), ready["database"].as_str()),
            (Some(id.as_str()), Some(account.databases[0].uuid.as_str()))
        );
        // One line of the file is another; comments stay.
        let after = fs::read_to_string(clone.0.join("wrangler.toml")).unwrap();
        assert_eq!(after, before.replace(&"0".repeat(32), &id));
        assert_eq!(
            (deployed().namespaces.len(), deployed().databases.len()),
            (1, 1)
        );

        page.show(&shell, &[("hoox deploy --dry-run", "")]);
        assert_eq!(deployed().scripts.len(), 0);
        let watch = Watch::begin();
        page.show(
            &shell,
            &[
                ("hoox deploy", ""),
                ("hoox secrets list", ""),
                ("hoox deploy --dry-run", ""),
            ],
        );
        let arguments = watch.end();
        page.check();
        let account = deployed();
        assert_is_whole(&account);
        let held = |worker: &str| account.scripts[worker].secrets.clone();

        // The operator's key is where the profile looks for it, and no secret is in any other file.
        let file = clone.0.join("home/default.operator-key");
        assert_eq!(
            fs::read_to_string(&file).unwrap().trim(),
            held("hoox")["OPERATOR_KEY"]
        );
        assert_eq!(
            fs::metadata(&file).unwrap().permissions().mode() & 0o777,
            0o600
        );
        for (name, value) in secrets(&cloud) {
            let expected = if name == "OPERATOR_KEY" {
                vec![file.clone()]
            } else {
                Vec::new()
            };
            assert_eq!(clone.holds(&value), expected, "{name}");
        }
        assert_eq!(clone.holds(TOKEN), Vec::<PathBuf>::new());
        // Nor in the process list, while wrangler had them.
        assert!(arguments.contains("upload.mjs") && arguments.contains("--secrets-file"));
        for (name, value) in secrets(&cloud) {
            assert!(!arguments.contains(&value), "{name} is an argument");
        }
        assert!(!arguments.contains(TOKEN));

        // A second time there is nothing new, and no secret changes.
        let again = clone.json(&cloud, &["deploy"]);
        assert_eq!(
            (&again["migrations"], &again["secrets"], &again["bindings"]),
            (&json!([]), &json!([]), &json!([]))
        );
        let now = deployed();
        for worker in ["hoox", "trade-worker", "d1-worker"] {
            assert_eq!(now.scripts[worker].secrets, held(worker), "{worker}");
        }
        // No gateway answers at the address that the double gave, so another one is named, which nobody asks.
        let nowhere = "http://127.0.0.1:1";
        let audit = clone.json(&cloud, &["secrets", "check", "--host", nowhere]);
        assert_eq!(
            (&audit["result"], &audit["differing"]),
            (&json!("SECURE"), &Value::Null)
        );
    });
}

/// A name that only the proxy knows, so that nothing gets there past it.
const API: &str = "api.cloud.test";
const CREDENTIALS: Credentials = Credentials {
    user: "trader",
    password: concat!("pass@word-of-", "the-proxy"),
};
const ESCAPED: &str = concat!("pass%40word-of-", "the-proxy");

#[test]
fn all_of_a_deployment_goes_by_the_proxy_and_waits_for_limits() {
    run(async {
        let cloud = empty_account().await;
        let address = cloud
            .url()
            .strip_prefix("http://")
            .unwrap()
            .parse()
            .unwrap();
        let authority = Authority::new().unwrap();
        let api = authority.serve(&[API], address).await.unwrap();
        let proxy = Proxy::new().route(API, api).asking(CREDENTIALS);
        let proxy = proxy.start().await.unwrap();
        let clone = Clone::new("proxy");
        fs::write(clone.0.join("authority.pem"), authority.pem()).unwrap();
        let base = format!("https://{API}/client/v4");
        let by = format!("trader:{ESCAPED}@{}", proxy.address());
        let file = clone.0.join("authority.pem");
        let office = [
            ("CLOUDFLARE_API_BASE_URL", base.as_str()),
            ("ALL_PROXY", by.as_str()),
            ("NO_PROXY", "example.com"),
            ("NODE_EXTRA_CA_CERTS", file.to_str().unwrap()),
        ];
        let said = |ran: &Output| {
            let said = String::from_utf8([&ran.stdout[..], &ran.stderr].concat()).unwrap();
            assert!(!said.contains("word-of-the-proxy"), "{said}");
            said
        };
        let ready = clone.ran(&office, &["init", "--yes"]);
        assert!(ready.status.success(), "{}", said(&ready));

        // At the first call of this program, one that wrangler repeats by itself, and one that it does not repeat.
        let scripts = format!("/accounts/{ACCOUNT}/workers/scripts");
        let limit = || Fault::new(FaultAnswer::RateLimit { retry_after: 1 });
        cloud.faults(vec![
            limit().at("POST", format!("/accounts/{ACCOUNT}/d1/database")),
            limit().at("POST", format!("{scripts}/d1-worker/subdomain")),
            limit()
                .at("PUT", format!("{scripts}/trade-worker"))
                .times(4),
        ]);
        let watch = Watch::begin();
        let deployed = clone.ran(&office, &["deploy"]);
        let arguments = watch.end();
        let words = said(&deployed);
        assert!(deployed.status.success(), "{words}");
        assert_eq!(cloud.waiting_faults(), []);
        assert_is_whole(&cloud.state().accounts[0]);
        let told = "hoox: Cloudflare limits calls; trade-worker goes on in 1 s";
        assert!(words.contains(told), "{words}");
        // All of it went through tunnels, and the password lies nowhere.
        let tunnel = format!("CONNECT {API}:443 HTTP/1.1");
        // Where it failed, wrangler asks whether there is a newer one.
        let registry = "CONNECT registry.npmjs.org:443 HTTP/1.1";
        let lines = proxy.lines();
        let known = |line: &&String| **line == tunnel || **line == registry;
        assert_eq!(lines.iter().find(|line| !known(line)), None);
        for word in [CREDENTIALS.password, ESCAPED] {
            assert_eq!(clone.holds(word), Vec::<PathBuf>::new());
            assert!(!arguments.contains(word));
        }

        // A wait of an hour is said, and not waited for.
        let hour = Fault::new(FaultAnswer::RateLimit { retry_after: 3_600 });
        cloud.faults(vec![
            hour.at("POST", format!("{scripts}/d1-worker/versions"))
                .times(9),
        ]);
        let limited = clone.ran(&office, &["deploy"]);
        let words = said(&limited);
        assert_eq!(limited.status.code(), Some(1), "{words}");
        assert!(
            words.contains("error: d1-worker: Cloudflare limits calls (UPLOAD)"),
            "{words}"
        );
        let told = "perhaps uploaded: d1-worker; as before: trade-worker, hoox; wait 3600 s, then `hoox deploy`";
        assert!(words.contains(told), "{words}");
        cloud.clear_faults();

        // What is on this machine goes past it, wrangler's calls too.
        proxy.forget();
        let mut here = office;
        let base = cloud.base_url();
        here[0].1 = &base;
        let all = [
            ("HTTP_PROXY", by.as_str()),
            ("HTTPS_PROXY", &by),
            ("http_proxy", &by),
            ("https_proxy", &by),
        ];
        let again = clone.ran(&[&here[..], &all].concat(), &["deploy"]);
        assert!(again.status.success(), "{}", said(&again));
        assert_eq!(proxy.asked(), Vec::<String>::new());
    });
}
