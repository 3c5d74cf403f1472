//! The checks that ask: Cloudflare's double, and a gateway that gives the answers of docs/API.md.

use std::net::TcpListener;

use hoox_cloud_sim::{Cloud, Handle, State};
use serde_json::{Value, json};

use super::double::{Answer, Gateway, KEY};
use super::{Checkout, Ran};

const ACCOUNT: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const ZONE: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
const NAMESPACE: &str = "cccccccccccccccccccccccccccccccc";
const TOKEN: &str = "all";
const READER: &str = "reader";

/// A domain that leads to a worker.
fn domain(hostname: &str, service: &str) -> Value {
    json!({ "id": "f".repeat(32), "hostname": hostname, "service": service, "zone_id": ZONE, "zone_name": "example.com" })
}

/// A deployment in which nothing is wrong.
fn deployment() -> Value {
    let secrets = |names: &[&str]| -> Value {
        names
            .iter()
            .map(|name| ((*name).to_owned(), json!("x")))
            .collect::<serde_json::Map<_, _>>()
            .into()
    };
    let path = "http.request.uri.path";
    let expression = format!(
        "(http.host eq \"hoox.example.com\" and ({path} in {{\"/\" \"/webhook\"}} or starts_with({path}, \"/webhook/\")) and not ip.src in {{52.89.214.238 34.212.75.30 54.218.53.128 52.32.178.7}})"
    );
    json!({
        "tokens": [
            { "token": TOKEN, "id": "1" },
            { "token": READER, "id": "2", "permissions": ["Workers Scripts Read", "Workers KV Storage Read"] },
        ],
        "accounts": [{
            "id": ACCOUNT, "name": "Own",
            "scripts": {
                "hoox": {
                    "bindings": [{ "name": "CONFIG_KV", "type": "kv_namespace", "namespace_id": NAMESPACE }],
                    "secrets": secrets(&["OPERATOR_KEY", "SEALING_KEY", "HOOX_TRADE_KEY", "HOOX_D1_KEY"]),
                },
                "trade-worker": { "secrets": secrets(&["HOOX_TRADE_KEY", "TRADE_D1_KEY"]) },
                "d1-worker": { "secrets": secrets(&["HOOX_D1_KEY", "TRADE_D1_KEY"]) },
            },
            "namespaces": [{ "id": NAMESPACE, "title": "CONFIG_KV", "entries": {} }],
            "domains": [domain("hoox.example.com", "hoox")],
        }],
        "zones": [{
            "id": ZONE, "name": "example.com", "account": ACCOUNT,
            "rulesets": { "http_request_firewall_custom": { "id": "d".repeat(32), "rules": [{
                "id": "e".repeat(32), "ref": "hoox_webhook_hoox_example_com", "action": "block", "enabled": true,
                "description": "Hoox: only known addresses reach the webhook of hoox.example.com",
                "expression": expression,
            }] } },
        }],
    })
}

/// Runs the checks against a double of Cloudflare, with a token, for a gateway that is not asked.
async fn doctor(name: &str, state: Value, token: &'static str) -> Ran {
    let cloud = cloud(state).await;
    let base = cloud.base_url();
    let name = name.to_owned();
    let run = move || {
        let checkout = Checkout::new(&name);
        let mut command = checkout.command(env!("CARGO_BIN_EXE_hoox"));
        command
            .args(["doctor", "--json", "--host", "hoox.example.com"])
            .env("CLOUDFLARE_API_BASE_URL", base)
            .env("CLOUDFLARE_ACCOUNT_ID", ACCOUNT)
            .env("CLOUDFLARE_API_TOKEN", token);
        Ran::of_output(command.output().unwrap())
    };
    tokio::task::spawn_blocking(run).await.unwrap()
}

async fn cloud(state: Value) -> Handle {
    let state: State = serde_json::from_value(state).unwrap();
    Cloud::start(0, state).await.unwrap()
}

/// The lines of the deployment.
fn told(ran: &Ran) -> Vec<String> {
    let answer: Value = serde_json::from_str(&ran.out).unwrap();
    let checks = answer["data"]["checks"].as_array().unwrap();
    let of = checks.iter().filter(|check| check["group"] == "Deployment");
    of.map(|check| {
        let text = |field: &str| check[field].as_str().unwrap();
        format!("{} {}: {}", text("verdict"), text("name"), text("detail"))
    })
    .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_in_which_nothing_is_wrong() {
    let ran = doctor("deployed", deployment(), TOKEN).await;
    assert_eq!(
        told(&ran),
        [
            "pass workers: all are deployed",
            "pass secrets: every required secret is bound, to the workers that need it and no other",
            "pass ages of secrets: none known to be older than 90 days; 5 of unknown age, set by other means than hoox",
            "pass private workers: no address of workers.dev, no domain, no route",
            "pass firewall: the rule for hoox.example.com is in place and up to date",
            "pass CORS: no page of a browser may call /v1",
        ]
    );
    assert_eq!(ran.status, 0, "{}", ran.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_deployment_is_named() {
    let mut state = deployment();
    let account = &mut state["accounts"][0];
    let scripts = &mut account["scripts"];
    scripts["hoox"]["workers_dev"] = json!(true);
    scripts["trade-worker"]["workers_dev"] = json!(true);
    scripts["trade-worker"]["previews"] = json!(true);
    scripts["d1-worker"]["secrets"]
        .as_object_mut()
        .unwrap()
        .remove("TRADE_D1_KEY");
    account["domains"] = json!([
        domain("db.example.com", "d1-worker"),
        domain("hoox.example.com", "hoox"),
        domain("second.example.com", "hoox"),
    ]);
    let manifest = json!({ "version": 1, "senders": [], "accounts": [], "corsOrigins": ["https://desk.example"] });
    let dates = json!({ "OPERATOR_KEY": { "changedAt": "2020-01-31T00:00:00.000Z" } });
    account["namespaces"][0]["entries"] = json!({
        "hoox:manifest": { "value": manifest.to_string() },
        "hoox:secrets": { "value": dates.to_string() },
    });
    state["zones"][0]["routes"] = json!([{ "id": "9".repeat(32), "pattern": "example.com/trade/*", "script": "trade-worker" }]);
    let ran = doctor("wrong", state, TOKEN).await;
    assert_eq!(
        told(&ran),
        [
            "pass workers: all are deployed",
            "fail secrets: missing: TRADE_D1_KEY",
            "warn ages of secrets: older than 90 days: OPERATOR_KEY",
            "fail private workers: trade-worker answers at workers.dev; trade-worker has preview addresses; trade-worker answers at example.com/trade/*; d1-worker answers at db.example.com",
            "fail firewall: the rule is in place, and the gateway also answers at its workers.dev address, where no rule applies; second.example.com leads to the gateway as well, and its rule is not there",
            "warn CORS: pages of these origins may call /v1: https://desk.example",
        ]
    );
    assert_eq!(ran.status, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn zeros_in_a_wrangler_file_are_a_failure_once_its_worker_is_deployed() {
    let cloud = cloud(deployment()).await;
    let base = cloud.base_url();
    let run = move || {
        let checkout = Checkout::new("zeros");
        let zeros = "0".repeat(32);
        checkout.write(
            "checkout/wrangler.toml",
            &format!("[[kv_namespaces]]\nid = \"{zeros}\"\n"),
        );
        let mut command = checkout.command(env!("CARGO_BIN_EXE_hoox"));
        command
            .args(["doctor", "--json"])
            .env("CLOUDFLARE_API_BASE_URL", base)
            .env("CLOUDFLARE_ACCOUNT_ID", ACCOUNT)
            .env("CLOUDFLARE_API_TOKEN", TOKEN);
        Ran::of_output(command.output().unwrap())
    };
    let ran = tokio::task::spawn_blocking(run).await.unwrap();
    assert_eq!(ran.status, 1);
    let found = ran.of("wrangler files");
    assert!(
        found[0].starts_with("fail ids are zeros in wrangler.toml, and the workers are deployed"),
        "{found:?}"
    );
    assert_eq!(
        ran.of("firewall"),
        ["skip no gateway is named: give --host"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_token_does_not_show_is_said_and_stops_nothing_else() {
    let ran = doctor("reader", deployment(), READER).await;
    let told = told(&ran);
    assert_eq!(told[0], "pass workers: all are deployed");
    assert_eq!(
        told[3],
        "pass private workers: no address found; the token does not show every route"
    );
    assert!(told[4].starts_with("unknown firewall: "), "{told:?}");
    assert_eq!(ran.status, 2, "{}", ran.out);
    assert_eq!(told[5], "pass CORS: no page of a browser may call /v1");
}

#[tokio::test(flavor = "multi_thread")]
async fn before_the_first_deployment_nothing_is_missing() {
    let mut state = deployment();
    state["accounts"][0]["scripts"] = json!({});
    let ran = doctor("undeployed", state, TOKEN).await;
    assert_eq!(ran.status, 0, "{}", ran.out);
    let told = told(&ran);
    assert_eq!(told[0], "warn workers: not deployed yet");
    assert_eq!(told[1], "skip secrets: nothing is deployed");
}

fn ask(name: &str, host: &str) -> Ran {
    let checkout = Checkout::new(name);
    let mut command = checkout.command(env!("CARGO_BIN_EXE_hoox"));
    command
        .args(["doctor", "--json", "--host", host])
        .env("HOOX_OPERATOR_KEY", KEY);
    Ran::of_output(command.output().unwrap())
}

fn answers() -> Vec<Answer> {
    let account = json!({ "account": "main", "deadLetters": 0, "venuePausedUntil": null, "clockOffsetMs": 12 });
    vec![
        (
            "GET /health",
            200,
            json!({ "success": true, "status": "ok", "bindings": { "CONFIG_KV": true } }),
        ),
        (
            "GET /v1/kill-switch",
            200,
            json!({ "success": true, "killSwitch": { "mode": "off" } }),
        ),
        (
            "GET /v1/health",
            200,
            json!({ "success": true, "accounts": [account], "unreachable": [] }),
        ),
        (
            "GET /v1/manifest",
            200,
            json!({ "success": true, "manifest": { "corsOrigins": [] } }),
        ),
    ]
}

#[test]
fn a_gateway_in_which_nothing_is_wrong_but_this_machines_clock() {
    let gateway = Gateway::start(answers());
    let ran = ask("gateway", &gateway.address);
    assert_eq!(ran.status, 0, "{}", ran.out);
    let asked = gateway.asked();
    let changes = |(call, _): &&(String, String)| !call.starts_with("GET ");
    assert_eq!((asked.len(), asked.iter().find(changes)), (5, None));
    for (name, expected) in [
        (
            "gateway",
            "pass reachable, every binding and secret is there",
        ),
        ("kill switch", "pass reachable; its mode is off"),
        (
            "account main",
            "pass its Ledger answers; clock offset 12 ms",
        ),
        ("CORS", "pass no page of a browser may call /v1"),
        (
            "exchange keys",
            "skip this gateway cannot look at them yet: deploy a newer one",
        ),
    ] {
        assert_eq!(ran.of(name), [expected], "{name}");
    }
    let clock = ran.of("this machine's clock");
    assert!(
        clock[0].starts_with("warn ") && clock[0].ends_with(" s ahead of the gateway's"),
        "{clock:?}"
    );
}

#[test]
fn what_is_wrong_with_a_gateway_is_named_and_stops_nothing_else() {
    let mut answers = answers();
    answers[0].2["bindings"]["SEALING_KEY"] = json!(false);
    answers[2].2["unreachable"] = json!(["second"]);
    answers[2].2["workers"] =
        json!([{ "name": "trade-worker", "bindings": { "TRADE_D1_KEY": "differs" } }]);
    answers.remove(1);
    let gateway = Gateway::start(answers);
    let ran = ask("sick-gateway", &gateway.address);
    assert_eq!(ran.status, 1);
    let answer: Value = serde_json::from_str(&ran.out).unwrap();
    let checks = answer["data"]["checks"].as_array().unwrap();
    let edges = checks.iter().find(|check| check["name"] == "edges' keys");
    let fix = format!(
        "`hoox secrets rotate TRADE_D1_KEY --host {}`",
        gateway.address
    );
    assert_eq!(edges.unwrap()["fix"], fix);
    for (name, expected) in [
        ("gateway", "fail reachable, and lacks SEALING_KEY"),
        ("kill switch", "unknown there is no such path"),
        (
            "account main",
            "pass its Ledger answers; clock offset 12 ms",
        ),
        ("account second", "fail its Ledger did not answer"),
        (
            "edges' keys",
            "fail TRADE_D1_KEY differs between trade-worker and d1-worker",
        ),
        ("CORS", "pass no page of a browser may call /v1"),
    ] {
        assert_eq!(ran.of(name), [expected], "{name}");
    }
}

#[test]
fn what_an_operators_level_does_not_show_is_skipped() {
    let mut answers = answers();
    let low = "this needs an operator at level admin, and 'ann' is at level read";
    let refusal = json!({ "success": false, "code": "NOT_PERMITTED", "error": low });
    answers[3] = ("GET /v1/manifest", 403, refusal);
    let ran = ask("low-level", &Gateway::start(answers).address);
    assert_eq!(ran.status, 0, "{}", ran.out);
    let expected = "skip the manifest is shown to operators at level admin";
    assert_eq!(ran.of("CORS"), [expected]);
}

#[test]
fn of_a_gateway_that_is_not_there_nothing_can_be_judged() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let ran = ask("no-gateway", &format!("http://{address}"));
    assert_eq!(ran.status, 2);
    for name in [
        "gateway",
        "kill switch",
        "accounts",
        "CORS",
        "exchange keys",
    ] {
        let told = ran.of(name);
        assert!(
            told[0].starts_with("unknown ") && told[0].contains("did not answer"),
            "{told:?}"
        );
    }
    assert_eq!(
        ran.of("this machine's clock"),
        ["skip the gateway did not answer"]
    );
    assert!(ran.of("Rust")[0].starts_with("pass "));
}
