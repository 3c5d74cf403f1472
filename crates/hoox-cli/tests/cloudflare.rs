//! The commands that call Cloudflare, against the double of its API: what they say, what they change, and what they
//! do when it limits, fails or refuses.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test: what it does not expect must stop it"
)]

mod common;
#[path = "common/double.rs"]
#[expect(dead_code, reason = "other tests look at what a gateway was asked")]
mod double;

use std::path::PathBuf;

use common::{Ran, folder, run, transcript};
use double::{Gateway, KEY};
use hoox_cloud_sim::{Call, Cloud, Fault, FaultAnswer, Handle, State};
use serde_json::{Value, json};

const ACCOUNT: &str = "0000000000000000000000000000a001";
const NAMESPACE: &str = "0000000000000000000000000000c001";
const ZONE: &str = "0000000000000000000000000000d001";
const TOKEN: &str = "a-token-that-no-output-shows";
const HOST: &str = "hoox.desk.example.com";
/// Nobody may ever see these.
const VALUES: [&str; 3] = [
    TOKEN,
    "an-exchange-key-nobody-sees",
    "the-secret-nobody-sees",
];

/// The double and a user's folder.
struct Desk {
    cloud: Handle,
    /// Where the double runs.
    _runtime: tokio::runtime::Runtime,
    folder: PathBuf,
}

fn manifest() -> Value {
    json!({
        "version": 4,
        "senders": [
            { "id": "tv", "permission": "trade", "accounts": ["main"], "keys": [key("a")] },
            { "id": "desk", "permission": "trade", "accounts": ["main"], "keys": [key("b")], "ranges": ["203.0.113.0/24"] },
            { "id": "bot", "scheme": "github", "permission": "trade", "accounts": ["main"],
              "keys": [{ "sealed": format!("v1.{}.{}", "A".repeat(32), "A".repeat(64)) }], "ranges": ["198.51.100.7"] },
        ],
        "accounts": [{ "id": "bybit-main", "name": "main", "venue": "bybit", "environment": "live", "default": true }],
    })
}

fn key(letter: &str) -> Value {
    json!({ "salt": letter.repeat(32), "hash": letter.repeat(64) })
}

/// A deployment with every secret of its own, and the manifest in KV.
fn state() -> Value {
    let script = |secrets: &[&str], bindings: Value| {
        let values: Vec<(String, Value)> = secrets
            .iter()
            .map(|name| {
                (
                    (*name).to_owned(),
                    json!("0123456789abcdef0123456789abcdef"),
                )
            })
            .collect();
        json!({ "bindings": bindings, "secrets": values.into_iter().collect::<serde_json::Map<_, _>>() })
    };
    let bound = json!([{ "type": "kv_namespace", "name": "CONFIG_KV", "namespace_id": NAMESPACE }]);
    json!({
        "tokens": [
            { "token": TOKEN, "id": "0000000000000000000000000000b001" },
            { "token": "expired", "id": "0000000000000000000000000000b002", "status": "expired" },
            { "token": "reads-zones", "id": "0000000000000000000000000000b003", "permissions": ["Zone Read"] },
        ],
        "accounts": [{
            "id": ACCOUNT, "name": "Desk", "subdomain": "desk",
            "scripts": {
                "hoox": script(&["OPERATOR_KEY", "SEALING_KEY", "HOOX_TRADE_KEY", "HOOX_D1_KEY"], bound),
                "trade-worker": script(&["HOOX_TRADE_KEY", "TRADE_D1_KEY"], json!([])),
                "d1-worker": script(&["HOOX_D1_KEY", "TRADE_D1_KEY"], json!([])),
            },
            "domains": [{ "id": "0000000000000000000000000000f0d1", "hostname": HOST, "service": "hoox", "zone_id": ZONE, "zone_name": "desk.example.com" }],
            "namespaces": [{ "id": NAMESPACE, "title": "hoox", "entries": { "hoox:manifest": { "value": manifest().to_string() } } }],
        }],
        "zones": [
            { "id": ZONE, "name": "desk.example.com", "account": ACCOUNT },
            { "id": "0000000000000000000000000000d002", "name": "example.com", "account": ACCOUNT },
        ],
    })
}

impl Desk {
    fn new(name: &str) -> Self {
        Self::with(name, state())
    }

    fn with(name: &str, state: Value) -> Self {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let state: State = serde_json::from_value(state).unwrap();
        let cloud = runtime.block_on(Cloud::start(0, state)).unwrap();
        Self {
            cloud,
            _runtime: runtime,
            folder: folder(name),
        }
    }

    fn hoox_as(&self, token: &str, arguments: &[&str], input: &str) -> Ran {
        let base = self.cloud.base_url();
        let mut variables = vec![
            ("CLOUDFLARE_API_BASE_URL", base.as_str()),
            ("CLOUDFLARE_API_TOKEN", token),
        ];
        // The owner of everything need not say which account is meant: there is one.
        if token != TOKEN {
            variables.push(("CLOUDFLARE_ACCOUNT_ID", ACCOUNT));
        }
        let mut ran = run(&self.folder, &variables, arguments, input);
        for value in VALUES {
            assert!(
                !ran.out.contains(value) && !ran.err.contains(value),
                "{arguments:?} shows a value"
            );
        }
        let port = self.cloud.url().rsplit(':').next().unwrap();
        let home = self.folder.to_str().unwrap();
        for text in [&mut ran.out, &mut ran.err] {
            *text = text.replace(port, "PORT").replace(home, "~");
        }
        ran
    }

    fn hoox(&self, arguments: &[&str]) -> Ran {
        self.hoox_as(TOKEN, arguments, "")
    }

    /// Runs commands one after another, as a transcript.
    fn session(&self, commands: &[(&[&str], &str)]) -> String {
        let mut all = String::new();
        for (arguments, input) in commands {
            all.push_str(&transcript(
                arguments,
                &self.hoox_as(TOKEN, arguments, input),
            ));
        }
        all
    }

    /// The value of a worker's secret, which only the double tells.
    fn secret(&self, worker: &str, name: &str) -> Option<String> {
        let state = self.cloud.state();
        state.accounts[0].scripts[worker].secrets.get(name).cloned()
    }

    fn kv(&self, key: &str) -> Option<Value> {
        let state = self.cloud.state();
        let entry = state.accounts[0].namespaces[0].entries.get(key)?;
        serde_json::from_slice(&entry.value).ok()
    }

    /// What was asked to change.
    fn changes(&self) -> Vec<Call> {
        let calls = self.cloud.calls();
        calls
            .into_iter()
            .filter(|call| call.method != "GET")
            .collect()
    }

    fn rules(&self) -> Value {
        serde_json::to_value(self.cloud.state()).unwrap()["zones"][0]["rulesets"]["http_request_firewall_custom"]["rules"].take()
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.folder).ok();
    }
}

#[test]
fn secrets_are_audited_set_rotated_and_removed() {
    let desk = Desk::new("secrets");
    let said = desk.session(&[
        (&["secrets", "check"], ""),
        (
            &["secrets", "set", "BYBIT_API_KEY"],
            "an-exchange-key-nobody-sees\n",
        ),
        (
            &["secrets", "set", "BYBIT_API_SECRET"],
            "the-secret-nobody-sees",
        ),
        (&["secrets", "check"], ""),
        (&["secrets", "list"], ""),
        (&["secrets", "generate"], ""),
        (&["secrets", "delete", "BYBIT_API_KEY"], ""),
        (&["secrets", "delete", "BYBIT_API_KEY", "--yes"], ""),
        (&["secrets", "delete", "BYBIT_API_KEY", "--yes"], ""),
        (&["secrets", "rotate", "HOOX_TRADE_KEY", "--json"], ""),
        (&["secrets", "check", "--json"], ""),
    ]);
    insta::assert_snapshot!(said);
    // Each where it is needed, and nowhere else.
    for worker in ["hoox", "d1-worker"] {
        assert_eq!(desk.secret(worker, "BYBIT_API_SECRET"), None);
    }
    assert_eq!(
        desk.secret("trade-worker", "BYBIT_API_SECRET").unwrap(),
        VALUES[2]
    );
    let [one, other] =
        ["hoox", "trade-worker"].map(|worker| desk.secret(worker, "HOOX_TRADE_KEY").unwrap());
    assert_eq!(one, other);
    assert_eq!(one.len(), 43);
    let dates = desk.kv("hoox:secrets").unwrap();
    let names: Vec<&String> = dates.as_object().unwrap().keys().collect();
    assert_eq!(names, ["BYBIT_API_SECRET", "HOOX_TRADE_KEY"]);
}

#[test]
fn the_audit_asks_the_gateway_whether_both_sides_of_an_edge_have_the_same_key() {
    let mut state = state();
    state["accounts"][0]["scripts"]["trade-worker"]["secrets"]
        .as_object_mut()
        .unwrap()
        .extend(["BYBIT_API_KEY", "BYBIT_API_SECRET"].map(|name| (name.to_owned(), json!("x"))));
    let desk = Desk::with("secrets-sides", state);
    let audit = |bindings: Value| {
        let health = json!({ "success": true, "workers": [{ "name": "trade-worker", "bindings": bindings }] });
        let gateway = Gateway::start(vec![("GET /v1/health", 200, health)]);
        let base = desk.cloud.base_url();
        let variables = [
            ("CLOUDFLARE_API_BASE_URL", base.as_str()),
            ("CLOUDFLARE_API_TOKEN", TOKEN),
            ("HOOX_OPERATOR_KEY", KEY),
        ];
        let check = |more: &[&str]| {
            let arguments = [&["secrets", "check", "--host", &gateway.address], more].concat();
            run(&desk.folder, &variables, &arguments, "")
        };
        let (text, told) = (check(&[]), check(&["--json"]));
        let told: Value = serde_json::from_str(&told.out).unwrap();
        let said = text.out.replace(&gateway.address, "GATEWAY");
        let end: Vec<String> = said.lines().rev().take(3).map(str::to_owned).collect();
        let data = &told["data"];
        (
            text.status,
            data["result"].clone(),
            data["differing"].clone(),
            end,
        )
    };
    let (status, result, differing, end) = audit(json!({ "TRADE_D1_KEY": true }));
    assert_eq!((status, result, differing), (0, json!("SECURE"), json!([])));
    assert!(
        end[0].starts_with('└') && end[1].contains("SECURE"),
        "{end:?}"
    );
    let (status, result, differing, end) = audit(json!({ "TRADE_D1_KEY": "differs" }));
    assert_eq!(
        (status, result, differing),
        (1, json!("DIFFERING"), json!(["TRADE_D1_KEY"]))
    );
    assert_eq!(
        end[0],
        "TRADE_D1_KEY differs between trade-worker and d1-worker: `hoox secrets rotate TRADE_D1_KEY --host GATEWAY`"
    );
    assert!(
        end[2].contains("Audit Result: DIFFERING (On its two sides: TRADE_D1_KEY)"),
        "{end:?}"
    );
    // Where no gateway can be asked that is said, and is no verdict.
    let alone = desk.hoox(&["secrets", "check"]);
    let expected =
        "Whether both sides of every edge have the same key is not known: no gateway is named\n";
    assert!(
        alone.status == 0 && alone.out.ends_with(expected),
        "{alone:?}"
    );
}

#[test]
fn a_value_that_cannot_be_meant_is_refused_and_nothing_is_called() {
    let desk = Desk::new("secrets-refused");
    std::fs::write(
        desk.folder.join("key.txt"),
        "an-exchange-key-nobody-sees\n\n",
    )
    .unwrap();
    let said = desk.session(&[
        (&["secrets", "set", "BYBIT_KEY"], "x"),
        (&["secrets", "set", "BYBIT_API_KEY"], ""),
        (&["secrets", "set", "BYBIT_API_KEY"], "two words"),
        (
            &["secrets", "set", "BYBIT_API_KEY", "--from-file", "missing"],
            "",
        ),
        (
            &[
                "secrets",
                "set",
                "BYBIT_API_KEY",
                "x",
                "--from-file",
                "key.txt",
            ],
            "",
        ),
        (&["secrets", "set", "OPERATOR_KEY"], "short"),
        (&["secrets", "rotate", "OPERATOR_KEY"], ""),
        (&["secrets", "rotate", "OPERATOR_KEY", "--yes"], ""),
        (&["secrets", "rotate", "SEALING_KEY"], ""),
    ]);
    insta::assert_snapshot!(said);
    assert_eq!(desk.changes().len(), 0);
    // In an argument it is taken, with a warning; from a file too.
    let warned = desk.hoox(&["secrets", "set", "BYBIT_API_KEY", "abc"]);
    assert_eq!(warned.status, 0, "{}", warned.err);
    assert!(warned.err.contains("shell's history"), "{}", warned.err);
    let file = desk.hoox(&["secrets", "set", "BYBIT_API_KEY", "--from-file", "key.txt"]);
    assert_eq!((file.status, file.err.as_str()), (0, ""));
    assert_eq!(
        desk.secret("trade-worker", "BYBIT_API_KEY").unwrap(),
        VALUES[1]
    );
}

#[test]
fn a_new_operator_key_is_kept_where_it_is_found_again() {
    let desk = Desk::new("secrets-operator");
    let before = desk.secret("hoox", "OPERATOR_KEY");
    let rotate = [
        "secrets",
        "rotate",
        "OPERATOR_KEY",
        "--operator-key-file",
        "key",
        "--yes",
    ];
    // Who is locked out is said before.
    let asked = desk.hoox(&rotate[..5]);
    assert_eq!(asked.status, 2, "{}", asked.err);
    for words in [
        "every other machine that holds it is locked out",
        "`hoox operators add NAME --level LEVEL`",
    ] {
        assert!(asked.err.contains(words), "{}", asked.err);
    }
    assert_eq!(desk.secret("hoox", "OPERATOR_KEY"), before);
    let rotated = desk.hoox(&rotate);
    assert_eq!(rotated.status, 0, "{}", rotated.err);
    let kept = std::fs::read_to_string(desk.folder.join("key")).unwrap();
    let now = desk.secret("hoox", "OPERATOR_KEY");
    assert_eq!(now.as_deref(), Some(kept.trim()));
    assert_ne!(now, before);
    assert!(!rotated.out.contains(kept.trim()) && !rotated.err.contains(kept.trim()));
    // A refusal by Cloudflare leaves the key that is in force in its place.
    desk.cloud.faults(vec![refusal("PUT")]);
    let refused = desk.hoox(&rotate);
    assert_eq!(refused.status, 1, "{}", refused.err);
    assert_eq!(
        std::fs::read_to_string(desk.folder.join("key")).unwrap(),
        kept
    );
    assert!(!desk.folder.join("key.new").exists());
    // Where nobody knows whether it is in force, both are there, and nothing is tried on top.
    let lost = Fault::new(FaultAnswer::Html { status: 502 });
    desk.cloud
        .faults(vec![lost.at("PUT", "").with_effect().times(4)]);
    let unknown = desk.hoox(&rotate);
    assert_eq!(unknown.status, 3, "{}", unknown.err);
    assert!(
        unknown.err.contains("may be in force; it is in key.new"),
        "{}",
        unknown.err
    );
    let pending = std::fs::read_to_string(desk.folder.join("key.new")).unwrap();
    assert_eq!(
        desk.secret("hoox", "OPERATOR_KEY").as_deref(),
        Some(pending.trim())
    );
    let again = desk.hoox(&rotate);
    assert_eq!(again.status, 1, "{}", again.err);
    assert!(again.err.contains("(PENDING_KEY)"), "{}", again.err);
    assert_eq!(
        desk.secret("hoox", "OPERATOR_KEY").as_deref(),
        Some(pending.trim())
    );
    // A date that cannot be noted undoes nothing.
    std::fs::remove_file(desk.folder.join("key.new")).unwrap();
    let no_kv = FaultAnswer::Error {
        status: 403,
        code: 10_000,
        message: "Authentication error".to_owned(),
    };
    let kv = format!("/accounts/{ACCOUNT}/storage");
    desk.cloud.faults(vec![Fault::new(no_kv).at("PUT", kv)]);
    let undated = desk.hoox(&rotate);
    assert_eq!(undated.status, 0, "{}", undated.err);
    assert!(
        undated.err.starts_with("warning: the date was not noted"),
        "{}",
        undated.err
    );
    let kept = std::fs::read_to_string(desk.folder.join("key")).unwrap();
    assert_eq!(
        desk.secret("hoox", "OPERATOR_KEY").as_deref(),
        Some(kept.trim())
    );
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(desk.folder.join("key"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}

fn refusal(method: &str) -> Fault {
    let answer = FaultAnswer::Error {
        status: 400,
        code: 10_021,
        message: "no".to_owned(),
    };
    Fault::new(answer).at(method, "")
}

#[test]
fn what_is_missing_is_made_on_every_side() {
    let mut state = state();
    let scripts = &mut state["accounts"][0]["scripts"];
    scripts["d1-worker"]["secrets"]
        .as_object_mut()
        .unwrap()
        .remove("TRADE_D1_KEY");
    let desk = Desk::with("secrets-generate", state);
    let made = desk.hoox(&["secrets", "generate"]);
    assert_eq!(
        (made.status, made.out.as_str()),
        (0, "Made TRADE_D1_KEY.\n"),
        "{}",
        made.err
    );
    let [one, other] =
        ["trade-worker", "d1-worker"].map(|worker| desk.secret(worker, "TRADE_D1_KEY").unwrap());
    assert_eq!(one, other);
    let again = desk.hoox(&["secrets", "generate"]);
    assert_eq!(again.out, "Nothing is missing of what Hoox makes itself.\n");
}

#[test]
fn limits_failures_and_refusals_of_cloudflare() {
    let desk = Desk::new("faults");
    let set: &[&str] = &["secrets", "set", "BYBIT_API_KEY"];
    let puts = || {
        desk.changes()
            .iter()
            .filter(|call| call.path.ends_with("/secrets"))
            .count()
    };
    let mut said = String::new();
    let mut tell = |token: &str, faults: Vec<Fault>, arguments: &[&str], expected: (i32, usize)| {
        desk.cloud.clear_calls();
        desk.cloud.faults(faults);
        let ran = desk.hoox_as(token, arguments, "an-exchange-key-nobody-sees");
        assert_eq!((ran.status, puts()), expected, "{}", ran.err);
        assert_eq!(desk.cloud.waiting_faults().len(), 0);
        said.push_str(&transcript(arguments, &ran));
    };
    let put = |answer: FaultAnswer| Fault::new(answer).at("PUT", "");
    // It waits as long as it is asked to, and does it then.
    tell(
        TOKEN,
        vec![put(FaultAnswer::RateLimit { retry_after: 1 })],
        set,
        (0, 2),
    );
    // Not for an hour.
    tell(
        TOKEN,
        vec![put(FaultAnswer::RateLimit { retry_after: 3_600 })],
        set,
        (1, 1),
    );
    // What failed is done again; putting a value twice is putting it once.
    tell(
        TOKEN,
        vec![put(FaultAnswer::Html { status: 502 })],
        set,
        (0, 2),
    );
    tell(TOKEN, vec![put(FaultAnswer::Disconnect)], set, (0, 2));
    tell(
        TOKEN,
        vec![put(FaultAnswer::Disconnect).with_effect()],
        set,
        (0, 2),
    );
    // After the fourth time it is not known.
    tell(
        TOKEN,
        vec![put(FaultAnswer::Html { status: 503 }).times(4)],
        set,
        (3, 4),
    );
    let server = FaultAnswer::Error {
        status: 500,
        code: 10_013,
        message: "An unknown error has occurred".to_owned(),
    };
    tell(
        TOKEN,
        vec![Fault::new(server).at("GET", "").times(4)],
        &["secrets", "list"],
        (1, 0),
    );
    tell("expired", vec![], set, (1, 0));
    tell("never-was-one", vec![], set, (1, 0));
    tell(
        "reads-zones",
        vec![],
        &["secrets", "list", "--json"],
        (1, 0),
    );
    insta::assert_snapshot!(said);
}

#[test]
fn the_firewall_rule_is_put_among_others_changed_and_removed() {
    let mut state = state();
    let others = json!({ "id": "0000000000000000000000000000e001", "rules": [
        { "id": "0000000000000000000000000000f001", "ref": "mine", "version": "1", "action": "skip",
          "expression": "(ip.src eq 192.0.2.1)", "description": "Mine", "enabled": true },
    ]});
    state["zones"][0]["rulesets"] = json!({ "http_request_firewall_custom": others });
    let desk = Desk::with("waf", state);
    let configure = ["waf", "configure", "--tradingview-only", "--host", HOST];
    let also = [
        "waf",
        "configure",
        "--TradingView-only",
        "--host",
        HOST,
        "--yes",
    ];
    let status = ["waf", "status", "--host", HOST];
    let mut said = desk.session(&[
        (&status, ""),
        (&[&configure[..], &["--dry-run"]].concat(), ""),
        (&configure, ""),
    ]);
    assert_eq!(desk.changes().len(), 0);
    said += &desk.session(&[
        (&also, ""),
        (&status, ""),
        (&[&status[..], &["--json"]].concat(), ""),
    ]);
    // First, before every rule that could let a request past it; the others keep their ids and places.
    let rules = desk.rules();
    assert_eq!(rules[0]["ref"], "hoox_webhook_hoox_desk_example_com");
    assert_eq!(
        (&rules[1]["id"], &rules[1]["ref"]),
        (&json!("0000000000000000000000000000f001"), &json!("mine"))
    );
    let id = rules[0]["id"].clone();
    desk.cloud.clear_calls();
    said += &desk.session(&[(&also, "")]);
    assert_eq!(desk.changes().len(), 0);
    // Another manifest, another rule; its id stays.
    let mut moved = manifest();
    moved["ranges"] = json!(["52.89.214.238", "2001:db8::/32"]);
    let mut state = serde_json::to_value(desk.cloud.state()).unwrap();
    state["accounts"][0]["namespaces"][0]["entries"]["hoox:manifest"]["value"] =
        json!(moved.to_string());
    state["accounts"][0]["scripts"]["hoox"]["workers_dev"] = json!(true);
    desk.cloud.set_state(serde_json::from_value(state).unwrap());
    said += &desk.session(&[(&status, ""), (&also, ""), (&status, "")]);
    let rules = desk.rules();
    assert_eq!((&rules[0]["id"], rules.as_array().unwrap().len()), (&id, 2));
    // Below a rule that lets requests past it, it guards nothing, and is moved.
    let mut state = serde_json::to_value(desk.cloud.state()).unwrap();
    let rules =
        state["zones"][0]["rulesets"]["http_request_firewall_custom"]["rules"].as_array_mut();
    rules.unwrap().reverse();
    state["accounts"][0]["scripts"]["hoox"]["workers_dev"] = json!(false);
    desk.cloud.set_state(serde_json::from_value(state).unwrap());
    said += &desk.session(&[(&status, ""), (&also, ""), (&status, "")]);
    assert_eq!(desk.rules()[0]["id"], id);
    said += &desk.session(&[
        (&["waf", "remove", "--host", HOST], ""),
        (&["waf", "remove", "--host", HOST, "--yes"], ""),
        (&["waf", "remove", "--host", HOST, "--yes"], ""),
    ]);
    assert_eq!(desk.rules()[0]["ref"], "mine");
    assert_eq!(desk.rules().as_array().unwrap().len(), 1);
    insta::assert_snapshot!(said);
}

#[test]
fn every_way_past_the_firewalls_rule_is_named() {
    let mut state = state();
    state["tokens"].as_array_mut().unwrap().push(json!({
        "token": "sees-no-routes", "id": "0000000000000000000000000000b004",
        "permissions": ["Workers Scripts Read", "Workers KV Storage Read", "Zone Read", "Zone WAF Read"],
    }));
    let desk = Desk::with("waf-ways", state);
    let change = |change: &dyn Fn(&mut Value)| {
        let mut state = serde_json::to_value(desk.cloud.state()).unwrap();
        change(&mut state);
        desk.cloud.set_state(serde_json::from_value(state).unwrap());
    };
    let status = ["waf", "status", "--host", HOST];
    let put = ["waf", "configure", "--tradingview-only", "--yes", "--host"];
    let mut said = desk.session(&[(&[&put[..], &[HOST]].concat(), ""), (&status, "")]);
    change(&|state| {
        let hoox = &mut state["accounts"][0]["scripts"]["hoox"];
        (hoox["workers_dev"], hoox["previews"]) = (json!(true), json!(true));
        let other = json!({ "id": "0000000000000000000000000000f0d2", "hostname": "alerts.example.com", "service": "hoox", "zone_id": "0000000000000000000000000000d002", "zone_name": "example.com" });
        state["accounts"][0]["domains"]
            .as_array_mut()
            .unwrap()
            .push(other);
        state["zones"][1]["routes"] = json!([
            { "id": "0000000000000000000000000000e0e1", "pattern": "*.example.com/hook*", "script": "hoox" },
            { "id": "0000000000000000000000000000e0e2", "pattern": "shop.example.com/*", "script": "another" },
        ]);
    });
    said += &desk.session(&[(&status, "")]);
    // A token may have the permission for one zone and not for another: that is said, with the zone, and what else is
    // seen as well.
    let rules = "/zones/0000000000000000000000000000d002/rulesets";
    let refused = || {
        let refusal = FaultAnswer::Error {
            status: 403,
            code: 10_000,
            message: "Authentication error".to_owned(),
        };
        vec![Fault::new(refusal).at("GET", rules)]
    };
    desk.cloud.faults(refused());
    said += &desk.session(&[(&status, "")]);
    desk.cloud.faults(refused());
    said += &desk.session(&[(&[&put[..], &["alerts.example.com"]].concat(), "")]);
    // A rule in front of the second domain closes that one.
    let second = [&put[..], &["alerts.example.com"]].concat();
    said += &desk.session(&[(&second, ""), (&status, "")]);
    // A token that sees less says so.
    let ran = desk.hoox_as("sees-no-routes", &status, "");
    said += &transcript(&status, &ran);
    change(&|state| {
        let hoox = &mut state["accounts"][0]["scripts"]["hoox"];
        (hoox["workers_dev"], hoox["previews"]) = (json!(false), json!(false));
        state["zones"][1]["routes"] = json!([]);
        // The gateway has another host than the rule, and the rule was made anew in the dashboard.
        state["accounts"][0]["domains"]
            .as_array_mut()
            .unwrap()
            .remove(0);
        let rule = &mut state["zones"][0]["rulesets"]["http_request_firewall_custom"]["rules"][0];
        rule["ref"] = rule["id"].clone();
    });
    said += &desk.session(&[
        (&status, ""),
        (&[&put[..], &[HOST]].concat(), ""),
        (&status, ""),
    ]);
    assert_eq!(desk.rules().as_array().unwrap().len(), 1);
    assert_eq!(desk.rules()[0]["ref"], "hoox_webhook_hoox_desk_example_com");
    // The plan's rules are all there: said before it is tried.
    change(&|state| {
        state["zones"][0]["rulesets"]["http_request_firewall_custom"]["rules"] = (0..5)
            .map(|number| json!({ "id": format!("{number:032x}"), "ref": format!("{number}"), "action": "block", "expression": "(ip.src eq 192.0.2.1)", "description": "Mine", "enabled": true }))
            .collect();
    });
    desk.cloud.clear_calls();
    said += &desk.session(&[(&[&put[..], &[HOST]].concat(), "")]);
    assert_eq!(desk.changes(), []);
    insta::assert_snapshot!(said);
}

#[test]
fn the_firewall_needs_a_zone_of_ones_own() {
    let mut state = state();
    state["zones"][0]["max_rules"] = json!(0);
    let desk = Desk::with("waf-refused", state);
    let configure = ["waf", "configure", "--tradingview-only", "--yes", "--host"];
    let said = [
        "hoox.desk.workers.dev",
        "hoox.elsewhere.org",
        "127.0.0.1",
        "localhost",
        HOST,
    ]
    .map(|host| {
        let arguments = [&configure[..], &[host]].concat();
        transcript(&arguments, &desk.hoox(&arguments))
    })
    .concat();
    insta::assert_snapshot!(said);
    let whole = serde_json::to_value(desk.cloud.state()).unwrap();
    let mut empty = whole.clone();
    empty["accounts"][0]["scripts"] = json!({});
    desk.cloud.set_state(serde_json::from_value(empty).unwrap());
    let nowhere = desk.hoox(&["waf", "status", "--host", HOST]);
    assert!(nowhere.err.contains("(NOT_DEPLOYED)"), "{}", nowhere.err);
    desk.cloud.set_state(serde_json::from_value(whole).unwrap());
    let kept = desk.cloud.state();
    assert!(
        kept.zones
            .iter()
            .all(|zone| zone.rulesets.values().all(|set| set.rules.is_empty()))
    );
    // The longest name that fits: no deeper zone lies there, so the shorter one is taken.
    let other = desk.hoox(&["waf", "status", "--host", "hoox.example.com", "--json"]);
    let other: Value = serde_json::from_str(&other.out).unwrap();
    assert_eq!(other["data"]["zone"], "example.com");
}

#[test]
fn a_bad_verdict_is_told_from_none() {
    let desk = Desk::new("verdicts");
    let check = ["secrets", "check"];
    let status = ["waf", "status", "--host", HOST];
    assert_eq!(desk.hoox(&check).status, 1);
    assert_eq!(desk.hoox(&status).status, 1);
    for (name, input) in [
        ("BYBIT_API_KEY", "an-exchange-key-nobody-sees"),
        ("BYBIT_API_SECRET", "the-secret-nobody-sees"),
    ] {
        assert_eq!(
            desk.hoox_as(TOKEN, &["secrets", "set", name], input).status,
            0
        );
    }
    let configure = [
        "waf",
        "configure",
        "--tradingview-only",
        "--yes",
        "--host",
        HOST,
    ];
    assert_eq!(desk.hoox(&configure).status, 0);
    assert_eq!(desk.hoox(&check).status, 0);
    assert_eq!(desk.hoox(&status).status, 0);
    // A token that is refused, and an account that there is not.
    for arguments in [&check[..], &status] {
        let refused = desk.hoox_as("expired", arguments, "");
        assert_eq!(refused.status, 2, "{refused:?}");
        assert!(refused.err.contains("(CLOUDFLARE_TOKEN)"), "{refused:?}");
        let unknown = run(&desk.folder, &[], arguments, "");
        assert_eq!(unknown.status, 2, "{unknown:?}");
        assert!(unknown.err.contains("(NO_TOKEN)"), "{unknown:?}");
        // The same refusal of a change is one.
        let listed = desk.hoox_as("expired", &["secrets", "list"], "");
        assert_eq!(listed.status, 1, "{listed:?}");
    }
    // Where no rule can hold, that is the verdict.
    let open = desk.hoox(&["waf", "status", "--host", "hoox.desk.workers.dev"]);
    assert_eq!(open.status, 1, "{open:?}");
}

#[test]
fn without_a_keyring_login_keeps_a_credential_in_a_file_that_the_profile_names() {
    let desk = Desk::new("login");
    let base = desk.cloud.base_url();
    let bare = [("CLOUDFLARE_API_BASE_URL", base.as_str())];
    let without = |arguments: &[&str], input: &str| run(&desk.folder, &bare, arguments, input);
    let mut said = String::new();
    let mut say = |arguments: &[&str], input: &str| {
        let ran = without(arguments, input);
        assert!(!ran.out.contains(TOKEN) && !ran.err.contains(TOKEN));
        let folder = desk.folder.display().to_string();
        said.push_str(&transcript(arguments, &ran).replace(&folder, "~"));
    };
    say(&["secrets", "list"], "");
    say(&["login", "api-token"], &format!("{TOKEN}\n"));
    say(&["secrets", "list"], "");
    say(
        &["login", "operator-key", "--profile", "second"],
        "a-key-from-another-machine\n",
    );
    let kept = std::fs::read_to_string(desk.folder.join(".config/hoox/config.toml")).unwrap();
    let kept = kept.replace(&desk.folder.display().to_string(), "~");
    // One step makes a machine an operator's: the key, and the host that it is for.
    let host = ["--host", "hoox.example.com"];
    let own = "hoox_op_of_this_machine\n";
    let login = ["login", "operator-key", "--profile", "own"];
    say(&[&login[..], &host].concat(), own);
    say(
        &[&login[..], &["--host", "other.example.com"]].concat(),
        own,
    );
    say(
        &[
            "monitor",
            "health",
            "--profile",
            "own",
            "--host",
            "other.example.com",
        ],
        "",
    );
    say(&["logout", "api-token"], "");
    say(&["logout", "api-token", "--yes"], "");
    say(&["secrets", "list"], "");
    say(&["monitor", "health", "--host", "hoox.example.com"], "");
    say(&["monitor", "health", "--profile", "third"], "");
    insta::assert_snapshot!(format!("{said}config.toml:\n{kept}"));
}

#[cfg(unix)]
#[test]
fn a_file_of_login_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let desk = Desk::new("login-private");
    let ran = run(&desk.folder, &[], &["login", "api-token"], TOKEN);
    assert_eq!(ran.status, 0, "{ran:?}");
    let file = desk.folder.join(".config/hoox/default.api-token");
    let mode = std::fs::metadata(file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

/// A checkout as far as `init` looks at it.
fn checkout(folder: &std::path::Path) {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for file in [
        "wrangler.toml",
        "workers/trade-worker/wrangler.toml",
        "workers/d1-worker/wrangler.toml",
    ] {
        std::fs::create_dir_all(folder.join(file).parent().unwrap()).unwrap();
        std::fs::copy(root.join(file), folder.join(file)).unwrap();
    }
}

#[test]
fn what_lies_on_a_later_page_is_found_and_not_made_again() {
    let mut state = state();
    let many = |make: &dyn Fn(usize, &str) -> Value| -> Vec<Value> {
        (0..120)
            .map(|number| {
                let name = format!("other-{number}");
                make(number, if number == 119 { "hoox" } else { &name })
            })
            .collect()
    };
    state["accounts"][0]["scripts"] = json!({});
    state["accounts"][0]["namespaces"] =
        many(&|number, title| json!({ "id": format!("{number:032x}"), "title": title })).into();
    state["accounts"][0]["databases"] = many(&|number, name| json!({ "uuid": format!("00000000-0000-4000-8000-{number:012x}"), "name": name })).into();
    let desk = Desk::with("paging", state);
    checkout(&desk.folder);
    let ready = desk.hoox(&["init", "--yes", "--json"]);
    let ready: Value = serde_json::from_str(&ready.out).unwrap();
    assert_eq!(ready["data"]["configKv"], format!("{:032x}", 119));
    assert_eq!(
        ready["data"]["database"],
        format!("00000000-0000-4000-8000-{:012x}", 119)
    );
    let made = |call: &Call| call.method != "GET" && call.status < 400;
    assert_eq!(desk.cloud.calls().iter().find(|call| made(call)), None);
    // Ids of another account are not overwritten.
    let elsewhere = std::fs::read_to_string(desk.folder.join("wrangler.toml")).unwrap();
    let foreign = elsewhere.replace(&format!("{:032x}", 119), &"e".repeat(32));
    for file in ["wrangler.toml", "workers/trade-worker/wrangler.toml"] {
        let text = std::fs::read_to_string(desk.folder.join(file)).unwrap();
        std::fs::write(
            desk.folder.join(file),
            text.replace(&format!("{:032x}", 119), &"e".repeat(32)),
        )
        .unwrap();
    }
    let refused = desk.hoox(&["init", "--yes"]);
    assert_eq!(
        (refused.status, refused.out.as_str()),
        (1, ""),
        "{}",
        refused.err
    );
    assert!(
        refused.err.contains("not in this account"),
        "{}",
        refused.err
    );
    assert_eq!(
        std::fs::read_to_string(desk.folder.join("wrangler.toml")).unwrap(),
        foreign
    );
}
