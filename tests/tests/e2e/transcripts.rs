//! The pages of `docs/cli`: each command as a new user tries it, with what it says.
use std::fs;
use std::path::{Path, PathBuf};

use age::secrecy::ExposeSecret as _;
use age::x25519::Identity;
use hoox_cloud_sim::Cloud;
use hoox_e2e::{Sandbox, Shell, Transcript, eventually, run};
use serde_json::{Value, json};

const ACCOUNT: &str = "0000000000000000000000000000a001";
const NAMESPACE: &str = "0000000000000000000000000000c001";

/// An empty folder.
fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("hoox-transcripts-{}", std::process::id()));
    let folder = folder.join(name);
    fs::remove_dir_all(&folder).ok();
    fs::create_dir_all(&folder).unwrap();
    folder
}

#[test]
fn the_pages_about_the_sandbox() {
    run(async {
        let sandbox = Sandbox::demo("transcripts").await;
        let checkout = folder("sandbox");
        fs::create_dir(checkout.join(".hoox")).unwrap();
        fs::copy(sandbox.dev_file(), checkout.join(".hoox/dev.json")).unwrap();
        let shell = Shell::new(checkout.clone());

        signal(&shell);
        eventually("the position in the records", async || {
            let page = sandbox.operator("GET", "/v1/positions", None).await;
            (page.json["items"][0]["quantity"] == "0.01").then_some(())
        })
        .await;
        monitor(&shell);
        dead_letters(&sandbox, &shell).await;
        senders(&shell);
        operators(&shell, &checkout);
        accounts(&shell);
        doctor(&shell);
        config(&shell, &checkout);
        alert(&shell, &checkout);
        fs::remove_dir_all(checkout).ok();
    });
}

fn signal(shell: &Shell) {
    let mut page = Transcript::new(
        "signal",
        "hoox signal",
        "An alert by hand. It only plans, unless it is told to trade.",
    );
    page.show(shell, &[
        ("hoox signal send --local --action buy --symbol BTCUSDT --quantity 0.01", ""),
        ("hoox signal send --local --action buy --symbol BTCUSDT --quantity 0.01 --trade", ""),
        ("hoox signal send --local --action buy --symbol BTCUSDT --quantity 0.01 --trade --yes", ""),
        ("hoox signal send --local --action buy --symbol BTCUSD --quantity 1", ""),
        ("hoox signal send --local --action buy --symbol BTCUSDT --quantity 0.01 --field stop_loss=60000", ""),
    ]);
    page.check();
}

fn monitor(shell: &Shell) {
    let mut page = Transcript::new(
        "monitor",
        "hoox monitor",
        "Health, records and the kill switch. `--follow` goes on until Ctrl-C.",
    );
    page.show(
        shell,
        &[
            ("hoox monitor health --local", ""),
            ("hoox monitor signals --local --limit 1", ""),
            ("hoox monitor trades --local", ""),
            ("hoox monitor positions --local", ""),
            ("hoox monitor positions --local --json", ""),
            ("hoox monitor refusals --local", ""),
        ],
    );
    page.about("The kill switch returns once every account has confirmed. Exits still go through; `--mode all` stops them as well.");
    page.show(shell, &[
        ("hoox monitor kill-switch status --local", ""),
        ("hoox monitor kill-switch on --local --reason \"going to sleep\"", ""),
        ("hoox signal send --local --action buy --symbol ETHUSDT --quantity 0.1 --trade --yes", ""),
        ("hoox signal send --local --action close --symbol BTCUSDT --trade --yes", ""),
        ("hoox monitor kill-switch on --local --flatten", ""),
        ("hoox monitor kill-switch off --local", ""),
    ]);
    page.check();
}

/// An entry that could not be carried out, because the exchange was away for as long as it lived: its id.
async fn dead_letter(sandbox: &Sandbox) -> String {
    let away = json!({ "kind": "error_5xx", "path": "/v5/position/list", "count": 1_000 });
    let taken = sandbox.simulator("POST", "/sim/faults", &away).await;
    assert_eq!(taken, 200);
    let alert = json!({
        "apiKey": sandbox.secret("/passkey"), "exchange": "bybit", "symbol": "BTCUSDT", "action": "buy",
        "quantity": "0.01", "maxLag": 5,
    });
    let sent = sandbox.client.request("POST", "/webhook").json(&alert);
    let sent = sandbox.client.send(sent).await;
    assert_eq!(sent.status, 202);
    let id = sent.str("signalId").to_owned();
    eventually("the dead letter", async || {
        let page = sandbox.operator("GET", "/v1/dead-letters", None).await;
        (page.json["total"] == 1).then_some(())
    })
    .await;
    let taken = sandbox.simulator("DELETE", "/sim/faults", &json!({})).await;
    assert_eq!(taken, 204);
    eventually("the end of the venue's pause", async || {
        let health = sandbox.operator("GET", "/v1/health", None).await;
        let paused = &health.json["accounts"][0]["venuePausedUntil"];
        paused.is_null().then_some(())
    })
    .await;
    id
}

async fn dead_letters(sandbox: &Sandbox, shell: &Shell) {
    let id = dead_letter(sandbox).await;
    let mut page = Transcript::new(
        "dead-letters",
        "hoox dead-letters",
        "What Hoox took and could not finish, here because the exchange was away for as long as the alert lived. Each says what comes next.",
    );
    let of = |verb: &str| format!("hoox dead-letters {verb} {id} --local");
    page.show(
        shell,
        &[
            ("hoox dead-letters list --local", ""),
            (&of("show"), ""),
            (&of("discard"), ""),
            (&of("replay"), ""),
            (&(of("replay") + " --yes"), ""),
        ],
    );
    // While the replayed signal is carried out, its symbol's letters wait.
    eventually("the replayed signal's end", async || {
        let health = sandbox.operator("GET", "/v1/health", None).await;
        (health.json["accounts"][0]["openSignals"] == 0).then_some(())
    })
    .await;
    page.show(
        shell,
        &[
            (&(of("discard") + " --yes"), ""),
            ("hoox dead-letters list --local", ""),
        ],
    );
    page.check();
}

fn senders(shell: &Shell) {
    let mut page = Transcript::new(
        "senders",
        "hoox senders",
        "Who may send, and their keys. A key is shown once, when it is made.",
    );
    page.show(
        shell,
        &[
            ("hoox senders list --local", ""),
            (
                "hoox senders add tradingview --local --account demo --rate-per-minute 30",
                "",
            ),
            (
                "hoox senders rotate tradingview --local --overlap-seconds 3600",
                "",
            ),
            ("hoox senders revoke tradingview --local", ""),
            ("hoox senders revoke tradingview --local --yes", ""),
            ("hoox senders revoke tradingview --local --yes", ""),
        ],
    );
    page.check();
}

fn operators(shell: &Shell, checkout: &Path) {
    let mut page = Transcript::new(
        "operators",
        "hoox operators",
        "Who operates beside the owner, whose key is the secret `OPERATOR_KEY`. Each has a key and a level of their own; a key is shown once, when it is made, and the gateway keeps its digest. The audit trail names them.",
    );
    let made = page.show(
        shell,
        &[("hoox operators add ann --level read --local --json", "")],
    );
    let made: Value = serde_json::from_str(&made).unwrap();
    let key = made["data"]["key"].as_str().unwrap().to_owned();
    page.show(
        shell,
        &[
            ("hoox operators add bob --level operate --local", ""),
            ("hoox operators list --local", ""),
        ],
    );
    page.about("Ann looks, and is refused what her level does not open.");
    let dev = fs::read_to_string(checkout.join(".hoox/dev.json")).unwrap();
    let dev: Value = serde_json::from_str(&dev).unwrap();
    let gateway = dev["gateway"].as_str().unwrap();
    let ann = Shell::new(checkout.to_owned()).set("HOOX_OPERATOR_KEY", &key);
    let at = |command: &str| format!("hoox {command} --host {gateway}");
    page.show(
        &ann,
        &[
            (&at("operators list"), ""),
            (&at("monitor kill-switch on"), ""),
        ],
    );
    page.about("A key that may be in other hands is replaced; an operator who leaves is revoked.");
    page.show(
        shell,
        &[
            ("hoox operators rotate bob --local", ""),
            ("hoox operators rotate bob --local --yes", ""),
            ("hoox operators revoke ann --local --yes", ""),
            ("hoox operators revoke bob --local --yes", ""),
            ("hoox operators revoke bob --local --yes", ""),
            ("hoox operators revoke owner --local --yes", ""),
        ],
    );
    page.show(&ann, &[(&at("operators list"), "")]);
    page.check();
}

fn accounts(shell: &Shell) {
    let mut page = Transcript::new(
        "accounts",
        "hoox accounts and hoox keys",
        "Where is traded, and what the exchanges' keys may do. The keys stay with the account's Ledger, which asks.",
    );
    page.show(
        shell,
        &[
            ("hoox accounts list --local", ""),
            (
                "hoox accounts add paper --local --environment testnet --location-hint apac",
                "",
            ),
            ("hoox accounts add paper --local --environment testnet", ""),
            ("hoox accounts test demo --local", ""),
            ("hoox keys audit --local", ""),
        ],
    );
    page.check();
}

fn doctor(shell: &Shell) {
    let mut page = Transcript::new(
        "doctor",
        "hoox doctor",
        "The hardening checklist, here of a sandbox. In a checkout, and with the token of a Cloudflare account, nothing is skipped.",
    );
    page.show(shell, &[("hoox doctor --local", "")]);
    page.check();
}

fn config(shell: &Shell, checkout: &Path) {
    let mut page = Transcript::new(
        "config",
        "hoox config",
        "The manifest: senders, accounts, ranges, limits. `get` prints what `set` takes, one version on.",
    );
    let got = page.show(shell, &[("hoox config manifest get --local --json", "")]);
    let got: Value = serde_json::from_str(&got).unwrap();
    let mut next = got["data"].clone();
    next["version"] = json!(next["version"].as_u64().unwrap().saturating_add(1));
    fs::write(
        checkout.join("manifest.json"),
        serde_json::to_string_pretty(&next).unwrap(),
    )
    .unwrap();
    next["accounts"][0]["environment"] = json!("real");
    fs::write(checkout.join("broken.json"), next.to_string()).unwrap();
    page.show(
        shell,
        &[
            ("hoox config manifest validate manifest.json", ""),
            ("hoox config manifest validate broken.json", ""),
            ("hoox config manifest set manifest.json --local", ""),
            ("hoox config manifest set manifest.json --local --yes", ""),
            ("hoox config manifest set manifest.json --local --yes", ""),
        ],
    );
    page.about("An account that has something open stays: `set` and `edit` are refused, and say what it is. With `--force --reason TEXT` it leaves, what is open becomes dead letters, and the orders at the venue are named.");
    page.about("`edit` opens it in `$VISUAL` or `$EDITOR` and counts the version itself. What cannot be put stays in a file.");
    let editor = shell_with_editor(checkout.to_owned(), "sed -i.bak s/testnet/live/");
    page.show(&editor, &[("hoox config manifest edit --local --yes", "")]);
    let wrong = shell_with_editor(checkout.to_owned(), "sed -i.bak s/bybit/ftx/");
    page.show(&wrong, &[("hoox config manifest edit --local --yes", "")]);
    page.about("`import` makes a manifest of the single keys that an existing installation keeps in KV, given as a file or by `--namespace ID`. `--apply` puts it.");
    let old = json!({
        "exchange:bybit:enabled": "true", "trade:max_position_size": "1000", "trade:default_leverage": "5",
        "webhook:tradingview:ip_check_enabled": "true",
    });
    fs::write(checkout.join("old.json"), old.to_string()).unwrap();
    page.show(
        shell,
        &[
            ("hoox config import old.json", ""),
            ("hoox config import old.json --local --apply", ""),
        ],
    );
    page.check();
}

fn alert(shell: &Shell, checkout: &Path) {
    let mut page = Transcript::new(
        "alert",
        "hoox alert",
        "The messages of TradingView's alerts. A template prints the message on stdout and what to set in TradingView on stderr; `check` says what a message would do, and sends nothing.",
    );
    let template =
        "hoox alert template --kind target --account demo --symbol BTCUSDT.P --strategy ema";
    let message = page.show(shell, &[(template, "")]);
    fs::write(checkout.join("target.json"), message).unwrap();
    page.show(shell, &[("hoox alert check target.json", "")]);
    let found = r#"{
  "apiKey": "PASSKEY",
  "symbol": "{{ticker}}",
  "action": "LONG",
  "quantity": {{strategy.order.contracts}},
  "stop_loss": 60000,
  "timestamp": "{{time}}"
}"#;
    page.about(&format!(
        "A message that somebody found, `found.json`:\n\n```json\n{found}\n```"
    ));
    fs::write(checkout.join("found.json"), found).unwrap();
    page.show(shell, &[("hoox alert check found.json", "")]);
    page.about("On an alert of an indicator nothing fills in what only strategies know.");
    page.show(shell, &[("hoox alert check target.json --indicator", "")]);
    page.about("After an update, the alerts of the last 8 days as they would be judged now:");
    page.show(shell, &[("hoox alert check --journal --local", "")]);
    page.check();
}

fn shell_with_editor(folder: PathBuf, editor: &str) -> Shell {
    Shell::new(folder).set("EDITOR", editor)
}

#[test]
fn the_pages_about_cloudflare() {
    run(async {
        let manifest = json!({
            "version": 1, "senders": [],
            "accounts": [{ "id": "bybit-main", "name": "main", "venue": "bybit", "environment": "live" }],
        });
        let script = |names: &[&str]| {
            let secrets: serde_json::Map<_, _> = names
                .iter()
                .map(|name| ((*name).to_owned(), json!("x".repeat(43))))
                .collect();
            json!({ "secrets": secrets, "bindings": [{ "type": "kv_namespace", "name": "CONFIG_KV", "namespace_id": NAMESPACE }] })
        };
        let state = json!({
            "tokens": [{ "token": "the-token", "id": "0000000000000000000000000000b001" }],
            "accounts": [{
                "id": ACCOUNT, "name": "Desk", "subdomain": "desk",
                "scripts": {
                    "hoox": script(&["OPERATOR_KEY", "SEALING_KEY", "HOOX_TRADE_KEY", "HOOX_D1_KEY"]),
                    "trade-worker": script(&["HOOX_TRADE_KEY", "TRADE_D1_KEY"]),
                    "d1-worker": script(&["HOOX_D1_KEY", "TRADE_D1_KEY"]),
                },
                "domains": [{ "id": "0000000000000000000000000000f001", "hostname": "hoox.example.com", "service": "hoox", "zone_id": "0000000000000000000000000000d001", "zone_name": "example.com" }],
                "namespaces": [{ "id": NAMESPACE, "title": "hoox", "entries": { "hoox:manifest": { "value": manifest.to_string() } } }],
            }],
            "zones": [{ "id": "0000000000000000000000000000d001", "name": "example.com", "account": ACCOUNT }],
        });
        let cloud = Cloud::start(0, serde_json::from_value(state).unwrap())
            .await
            .unwrap();
        let home = folder("cloudflare");
        fs::write(
            home.join("config.toml"),
            "[profiles.default]\nhost = \"hoox.example.com\"\noperatorKeyFile = \"operator-key\"\n",
        )
        .unwrap();
        let shell = Shell::new(home.clone())
            .set("HOOX_CONFIG", home.join("config.toml").to_str().unwrap())
            .set("CLOUDFLARE_API_BASE_URL", &cloud.base_url())
            .set_secret("CLOUDFLARE_API_TOKEN", "the-token");

        let mut page = Transcript::new(
            "secrets",
            "hoox secrets",
            "Each secret goes to the workers that need it. A value is asked for without echo, read from stdin or from a file, and never shown.",
        );
        page.show(
            &shell,
            &[
                ("hoox secrets check", ""),
                ("hoox secrets set BYBIT_API_KEY", "the-key-of-the-exchange"),
                (
                    "hoox secrets set BYBIT_API_SECRET",
                    "the-secret-of-the-exchange",
                ),
                ("hoox secrets check", ""),
                ("hoox secrets list", ""),
                ("hoox secrets rotate OPERATOR_KEY", ""),
                ("hoox secrets rotate OPERATOR_KEY --yes", ""),
                ("hoox secrets generate", ""),
                ("hoox secrets delete BYBIT_API_KEY", ""),
                ("hoox secrets delete BYBIT_API_KEY --yes", ""),
                ("hoox secrets set BYBIT_KEY", ""),
            ],
        );
        page.check();

        let mut page = Transcript::new(
            "waf",
            "hoox waf",
            "One rule in front of the webhook, on the zone of the gateway's host. Other rules stay as they are.",
        );
        page.show(
            &shell,
            &[
                ("hoox waf status", ""),
                ("hoox waf configure --tradingview-only --dry-run", ""),
                ("hoox waf configure --tradingview-only --yes", ""),
                ("hoox waf configure --tradingview-only --yes", ""),
                ("hoox waf status", ""),
                ("hoox waf remove", ""),
                ("hoox waf remove --yes", ""),
                (
                    "hoox waf configure --tradingview-only --host hoox.desk.workers.dev",
                    "",
                ),
            ],
        );
        page.check();
        fs::remove_dir_all(home).ok();
    });
}

#[test]
fn the_page_about_local_secrets() {
    let checkout = folder("vars");
    fs::create_dir(checkout.join("workers")).unwrap();
    fs::write(checkout.join("wrangler.toml"), "").unwrap();
    fs::write(
        checkout.join(".dev.vars"),
        "OPERATOR_KEY=a-key-that-nobody-is-shown\nBYBIT_TESTNET_API_KEY=another\n",
    )
    .unwrap();
    let identity = Identity::generate().to_string();
    let identity = identity.expose_secret();
    let shell = Shell::new(checkout.clone()).set_secret("HOOX_AGE_IDENTITY", identity);
    let mut page = Transcript::new(
        "vars",
        "hoox vars",
        "The local secrets as an age file. This machine has no keyring, so the identity is in a variable; with one there is no warning.",
    );
    page.show(
        &shell,
        &[
            ("hoox vars recipient", ""),
            ("hoox vars encrypt", ""),
            ("hoox vars encrypt", ""),
            (
                "hoox secrets set BYBIT_TESTNET_API_SECRET --local",
                "a-secret-of-the-testnet",
            ),
            ("hoox secrets list --local", ""),
        ],
    );
    let editor = Shell::new(checkout.clone())
        .set_secret("HOOX_AGE_IDENTITY", identity)
        .set("EDITOR", "sed -i.bak s/another/one-more/");
    page.show(&editor, &[("hoox vars edit", "")]);
    page.show(
        &shell,
        &[
            ("hoox vars decrypt", ""),
            ("hoox vars decrypt --yes", ""),
            ("hoox vars edit", ""),
        ],
    );
    page.check();
    fs::remove_dir_all(checkout).ok();
}
