//! What can go wrong on the way to a deployment and around it, as docs/cli/failures.md lists it: what is said, what is
//! left, and what to do. Each row is made to happen, and what is left is looked at, not believed.

use std::path::Path;
use std::sync::Mutex;
use std::{env, fs, thread};

use hoox_cloud_sim::{Fault, FaultAnswer};
use serde_json::{Value, json};

use crate::{ACCOUNT, DATABASE, DONE, Desk, NAMESPACE, state};

/// Variable that has the page written instead of compared: `HOOX_BLESS=1`.
const BLESS: &str = "HOOX_BLESS";
const WORKERS: [&str; 3] = ["hoox", "trade-worker", "d1-worker"];
/// So many happen at once; most of them wait.
const AT_ONCE: usize = 8;

/// A failure: when it happens, the command, and what makes it happen.
struct Case {
    when: &'static str,
    command: &'static str,
    variables: &'static [(&'static str, &'static str)],
    make: fn(&Desk),
}

const fn case(when: &'static str, command: &'static str, make: fn(&Desk)) -> Case {
    Case {
        when,
        command,
        variables: &[],
        make,
    }
}

impl Case {
    const fn with(mut self, variables: &'static [(&'static str, &'static str)]) -> Self {
        self.variables = variables;
        self
    }
}

impl Desk {
    /// Nothing is deployed yet.
    fn empty(&self) {
        self.change(|state| state["accounts"][0]["scripts"] = json!({}));
    }

    fn permissions(&self, permissions: &[&str]) {
        self.change(|state| state["tokens"][0]["permissions"] = json!(permissions));
    }

    /// Cloudflare answers so, at calls by this method below this path of the account.
    fn answers(&self, method: &str, path: &str, times: u32, answer: FaultAnswer) {
        let path = format!("/accounts/{ACCOUNT}/{path}");
        self.cloud
            .faults(vec![Fault::new(answer).at(method, path).times(times)]);
    }

    /// Node stops at this part.
    fn stops_at(&self, part: &str, with: &str) {
        self.node(&format!(
            "[ \"$2\" = {part} ] || {{ {DONE}; }}\n{with}\nexit 1"
        ));
    }

    fn zone(&self, plan_full: bool) {
        let rule = |number: usize| json!({ "id": format!("{number:032x}"), "ref": format!("{number}"), "action": "block", "expression": "(ip.src eq 192.0.2.1)", "description": "Mine", "enabled": true });
        let rules: Vec<Value> = (0..if plan_full { 5 } else { 0 }).map(rule).collect();
        self.change(|state| {
            state["zones"] = json!([{
                "id": "0000000000000000000000000000d001", "name": "example.com", "account": ACCOUNT,
                "rulesets": { "http_request_firewall_custom": { "id": "0000000000000000000000000000e001", "rules": rules } },
            }]);
            state["accounts"][0]["scripts"]["hoox"]["bindings"] = json!([{ "type": "kv_namespace", "name": "CONFIG_KV", "namespace_id": NAMESPACE }]);
        });
    }

    fn config(&self, text: &str) {
        let folder = self.folder.join(".config/hoox");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("config.toml"), text).unwrap();
    }

    /// What is there that was not there before, by looking.
    fn left(&self) -> String {
        let mut left = Vec::new();
        let parts = self.begun();
        let uploads: Vec<&str> = parts
            .iter()
            .map(String::as_str)
            .filter(|part| *part != "build")
            .collect();
        if let Some((last, done)) = uploads.split_last() {
            let mut done = done.to_vec();
            done.dedup();
            done.retain(|part| part != last);
            if !done.is_empty() {
                left.push(format!("done: {}", done.join(", ")));
            }
            left.push(format!("begun: {last}"));
        }
        for call in self.cloud.calls() {
            let parts: Vec<&str> = call.path.split('/').collect();
            let made = match (call.method.as_str(), parts.as_slice()) {
                _ if call.status >= 300 => continue,
                ("PUT", [.., "scripts", worker, "secrets"]) => format!("the secret in {worker}"),
                ("POST", [.., "namespaces"]) => "the namespace".to_owned(),
                ("POST", [.., "d1", "database"]) => "the database".to_owned(),
                // The lease is looked at below, and a query changes nothing.
                ("GET", _) | (_, [.., "values", _] | [.., "query"]) => continue,
                (method, _) => format!("{method} {}", call.path),
            };
            left.push(made);
        }
        self.cloud.clear_faults();
        let held = self.holders();
        if held != json!([]) && held != json!([{ "id": "another" }]) {
            left.push("the lease".to_owned());
        }
        if self.folder.join("key.new").is_file() {
            left.push("the new operator key beside the old one's place".to_owned());
        }
        if left.is_empty() {
            left.push("nothing".to_owned());
        }
        left.join("; ")
    }
}

/// Everything that the page lists.
const CASES: &[Case] = &[
    case("no token", "deploy", |_| {}).with(&[("CLOUDFLARE_API_TOKEN", "")]),
    case("a file of the token that is not there", "deploy", |desk| {
        desk.config("[profiles.default]\napiTokenFile = \"/nowhere/api-token\"\n");
    })
    .with(&[("CLOUDFLARE_API_TOKEN", "")]),
    case("the token has ended", "deploy", |desk| {
        desk.change(|state| state["tokens"][0]["status"] = json!("expired"));
    }),
    case("the token shows no account", "deploy", |desk| {
        desk.permissions(&[
            "Workers Scripts Write",
            "Workers KV Storage Write",
            "D1 Write",
        ]);
    }),
    case("the token reaches two accounts", "deploy", |desk| {
        desk.change(|state| {
            let mut second = state["accounts"][0].clone();
            second["id"] = json!("0000000000000000000000000000a002");
            state["accounts"].as_array_mut().unwrap().push(second);
        });
    }),
    case("another account is named", "deploy", |_| {})
        .with(&[("CLOUDFLARE_ACCOUNT_ID", "0000000000000000000000000000a009")]),
    case("the token lacks a permission", "deploy", |desk| {
        desk.permissions(&[
            "Account Settings Read",
            "Workers Scripts Write",
            "Workers KV Storage Write",
            "Zone Read",
        ]);
    }),
    case("the token only reads", "deploy", |desk| {
        desk.permissions(&[
            "Account Settings Read",
            "Workers Scripts Read",
            "Workers KV Storage Read",
            "D1 Read",
            "Zone Read",
        ]);
    }),
    case("the wrangler files have no ids yet", "deploy", |desk| {
        for file in crate::WRANGLER_FILES {
            let file = desk.folder.join(file);
            let text = fs::read_to_string(&file).unwrap();
            let text = text.replace(NAMESPACE, &"0".repeat(32));
            fs::write(file, text).unwrap();
        }
    }),
    case("the wrangler files name two namespaces", "deploy", |desk| {
        desk.edit(
            "wrangler.toml",
            NAMESPACE,
            "0000000000000000000000000000c009",
        );
    }),
    case("a wrangler file is no TOML", "deploy", |desk| {
        desk.edit("wrangler.toml", "name = \"hoox\"", "name = hoox");
    }),
    case(
        "a worker has another name in its wrangler file",
        "deploy",
        |desk| {
            desk.edit("wrangler.toml", "name = \"hoox\"", "name = \"gateway\"");
        },
    ),
    case("a worker was renamed at Cloudflare", "deploy", |desk| {
        let bindings =
            json!([{ "type": "kv_namespace", "name": "CONFIG_KV", "namespace_id": NAMESPACE }]);
        desk.change(|state| {
            let scripts = state["accounts"][0]["scripts"].as_object_mut().unwrap();
            scripts.remove("hoox");
            scripts.insert("gateway".to_owned(), json!({ "bindings": bindings }));
        });
    }),
    case("the namespace was deleted", "deploy", |desk| {
        desk.change(|state| state["accounts"][0]["namespaces"] = json!([]));
    }),
    case("the database was deleted", "deploy", |desk| {
        desk.change(|state| state["accounts"][0]["databases"] = json!([]));
    }),
    case("the account has no subdomain", "deploy", |desk| {
        desk.change(|state| state["accounts"][0]["subdomain"] = Value::Null);
    }),
    case(
        "the checkout is older than the database",
        "deploy",
        |desk| {
            desk.migrated(&["0001_init.sql", "0002_audit.sql", "0009_later.sql"]);
        },
    ),
    case("an address would be opened", "deploy", |desk| {
        desk.change(|state| state["accounts"][0]["scripts"]["hoox"]["workers_dev"] = json!(false));
    }),
    case("a private worker would get an address", "deploy", |desk| {
        desk.edit(
            "workers/d1-worker/wrangler.toml",
            "workers_dev = false",
            "workers_dev = true",
        );
    }),
    case(
        "the gateway would lose its only address",
        "deploy",
        |desk| {
            desk.edit("wrangler.toml", "workers_dev = true", "workers_dev = false");
        },
    ),
    case(
        "workers of these names are somebody else's",
        "deploy",
        |desk| {
            desk.change(|state| state["accounts"][0]["scripts"]["hoox"]["secrets"] = json!({}));
        },
    ),
    case("Cloudflare limits calls, for an hour", "deploy", |desk| {
        desk.answers(
            "GET",
            "storage/kv",
            1,
            FaultAnswer::RateLimit { retry_after: 3_600 },
        );
    }),
    case("Cloudflare fails, four times", "deploy", |desk| {
        desk.answers("GET", "storage/kv", 4, FaultAnswer::Html { status: 502 });
    }),
    case("Cloudflare does not answer, four times", "deploy", |desk| {
        desk.answers("GET", "d1", 4, FaultAnswer::Disconnect);
    }),
    case(
        "Cloudflare answers in no words of its API",
        "deploy",
        |desk| {
            desk.answers(
                "GET",
                "workers/subdomain",
                1,
                FaultAnswer::Html { status: 200 },
            );
        },
    ),
    case("Cloudflare refuses to list secrets", "deploy", |desk| {
        desk.answers(
            "GET",
            "workers/scripts",
            1,
            FaultAnswer::Error {
                status: 400,
                code: 10_001,
                message: "Unable to authenticate request".to_owned(),
            },
        );
    }),
    case("what is asked of the database fails", "deploy", |desk| {
        desk.answers(
            "POST",
            &format!("d1/database/{DATABASE}/query"),
            9,
            FaultAnswer::Error {
                status: 400,
                code: 7_500,
                message: "no such table".to_owned(),
            },
        );
    }),
    case("Node is not there", "deploy", |desk| {
        fs::remove_file(desk.folder.join("bin/node")).unwrap();
    }),
    case("the build fails", "deploy", |desk| {
        desk.stops_at("build", "");
    }),
    case("another deploy runs", "deploy", |desk| {
        desk.leased_to_another(60);
    }),
    case("an edge is left with two keys", "deploy", |desk| {
        desk.change(|state| {
            let secrets = &mut state["accounts"][0]["scripts"]["d1-worker"]["secrets"];
            secrets.as_object_mut().unwrap().remove("TRADE_D1_KEY");
        });
        desk.stops_at("trade-worker", "");
    }),
    case(
        "the operator key's place cannot be written",
        "deploy",
        |desk| {
            desk.empty();
            fs::create_dir(desk.folder.join("key.new")).unwrap();
        },
    ),
    case("a migration fails", "deploy", |desk| {
        desk.stops_at("migrations", "");
    }),
    case(
        "the first upload fails, of the first deployment",
        "deploy",
        |desk| {
            desk.empty();
            desk.stops_at("d1-worker", "");
        },
    ),
    case(
        "the second upload fails, of the first deployment",
        "deploy",
        |desk| {
            desk.empty();
            desk.stops_at("trade-worker", "");
        },
    ),
    case(
        "the last upload fails, of the first deployment",
        "deploy",
        |desk| {
            desk.empty();
            desk.stops_at("hoox", "");
        },
    ),
    case("the first upload fails, later", "deploy", |desk| {
        desk.stops_at("d1-worker", "");
    }),
    case("the second upload fails, later", "deploy", |desk| {
        desk.stops_at("trade-worker", "");
    }),
    case("the last upload fails, later", "deploy", |desk| {
        desk.stops_at("hoox", "");
    }),
    case("an upload is limited, for an hour", "deploy", |desk| {
        desk.stops_at("trade-worker", "echo limited 3600");
    }),
    case("an upload is limited, four times", "deploy", |desk| {
        desk.stops_at("hoox", "echo limited 0");
    }),
    case("nobody can be asked", "init", |_| {}),
    case(
        "a second profile in the account",
        "init --yes --profile staging",
        |desk| {
            desk.config(&format!("[profiles.default]\naccountId = \"{ACCOUNT}\"\n"));
        },
    ),
    case("the namespace is not made: limits", "init --yes", |desk| {
        desk.fresh();
        desk.answers(
            "POST",
            "storage/kv",
            1,
            FaultAnswer::RateLimit { retry_after: 3_600 },
        );
    }),
    case(
        "the database is not made: Cloudflare fails",
        "init --yes",
        |desk| {
            desk.fresh();
            desk.answers("POST", "d1/database", 1, FaultAnswer::Html { status: 503 });
        },
    ),
    case(
        "nothing is deployed",
        "secrets rotate HOOX_TRADE_KEY",
        Desk::empty,
    ),
    case(
        "no worker reads the secret",
        "secrets set BYBIT_KEY",
        |_| {},
    ),
    case(
        "a secret reaches one of its two workers",
        "secrets rotate HOOX_TRADE_KEY",
        |desk| {
            desk.answers(
                "PUT",
                "workers/scripts/trade-worker/secrets",
                1,
                FaultAnswer::Error {
                    status: 400,
                    code: 10_021,
                    message: "Validation failed".to_owned(),
                },
            );
        },
    ),
    case(
        "a new key reaches one of its two workers",
        "secrets generate",
        |desk| {
            desk.change(|state| {
                let secrets = &mut state["accounts"][0]["scripts"]["hoox"]["secrets"];
                secrets.as_object_mut().unwrap().remove("HOOX_TRADE_KEY");
            });
            desk.answers(
                "PUT",
                "workers/scripts/trade-worker/secrets",
                1,
                FaultAnswer::Error {
                    status: 400,
                    code: 10_021,
                    message: "Validation failed".to_owned(),
                },
            );
        },
    ),
    case(
        "nobody knows whether a secret was set",
        "secrets rotate OPERATOR_KEY --yes",
        |desk| {
            desk.answers(
                "PUT",
                "workers/scripts/hoox/secrets",
                4,
                FaultAnswer::Html { status: 503 },
            );
        },
    ),
    case(
        "a key of an earlier attempt waits",
        "secrets rotate OPERATOR_KEY --yes",
        |desk| {
            fs::write(desk.folder.join("key.new"), "earlier\n").unwrap();
        },
    ),
    case(
        "a workers.dev address has no firewall",
        "waf status --host hoox.desk.workers.dev",
        |_| {},
    ),
    case(
        "the host is in no zone of the token",
        "waf configure --tradingview-only --yes --host hoox.example.org",
        |desk| desk.zone(false),
    ),
    case(
        "the zone's plan has no room for a rule",
        "waf configure --tradingview-only --yes --host hoox.example.com",
        |desk| desk.zone(true),
    ),
    case("no gateway is named", "monitor health", |_| {}),
    case(
        "the operator key's file is not there",
        "monitor health --host hoox.example.com",
        |_| {},
    ),
    case(
        "others may read the operator key's file",
        "monitor health --host hoox.example.com",
        |desk| {
            fs::write(desk.folder.join("key"), "a-key\n").unwrap();
        },
    ),
    case(
        "no such profile",
        "monitor health --profile staging",
        |_| {},
    ),
];

impl Desk {
    /// Before `hoox init`.
    fn fresh(&self) {
        for file in crate::WRANGLER_FILES {
            let file = self.folder.join(file);
            let text = fs::read_to_string(&file).unwrap();
            let text = text
                .replace(NAMESPACE, &"0".repeat(32))
                .replace(DATABASE, "00000000-0000-0000-0000-000000000000");
            fs::write(file, text).unwrap();
        }
        self.change(|state| {
            state["accounts"][0]["namespaces"] = json!([]);
            state["accounts"][0]["databases"] = json!([]);
            state["accounts"][0]["scripts"] = json!({});
        });
    }
}

/// Has it happen, and tells of it in a row.
fn row(number: usize, case: &Case) -> String {
    let desk = Desk::new(&format!("failure-{number}"), state(&WORKERS));
    (case.make)(&desk);
    desk.cloud.clear_calls();
    let words: Vec<&str> = case.command.split_whitespace().chain(["--json"]).collect();
    let ran = desk.hoox_with(case.variables, &words);
    let said: Value = serde_json::from_str(&ran.out).unwrap_or_default();
    let text = |field: &str| {
        let text = said["error"][field].as_str().unwrap_or_default();
        let text = text.replace(&desk.folder.display().to_string(), "~/hoox");
        text.replace('|', "\\|").replace('\n', " ")
    };
    let [code, message, hint] = ["code", "message", "hint"].map(text);
    assert!(
        ran.status != 0 && !code.is_empty(),
        "{}: {ran:?}",
        case.when
    );
    assert!(
        !hint.is_empty(),
        "{}: it does not say what to do: {message}",
        case.when
    );
    // Who reads that nothing was done can rely on it.
    let left = desk.left();
    if hint.contains("nothing was uploaded") || hint.contains("nothing was changed") {
        let own = left.starts_with("the new operator key") && code == "PENDING_KEY";
        assert!(left == "nothing" || own, "{}: {left}", case.when);
    }
    let (when, command, status) = (case.when, case.command, ran.status);
    format!("| {when} | `{command}` | {status} `{code}` | {message} | {left} | {hint} |\n")
}

#[test]
fn every_failure_says_what_is_left_and_what_to_do() {
    let rows: Mutex<Vec<(usize, String)>> = Mutex::default();
    let next = Mutex::new(0..CASES.len());
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let Some(number) = next.lock().unwrap().next() else {
                        return;
                    };
                    let row = row(number, &CASES[number]);
                    rows.lock().unwrap().push((number, row));
                }
            });
        }
    });
    let mut rows = rows.into_inner().unwrap();
    rows.sort();
    assert!(rows.len() >= 40);
    let rows: String = rows.into_iter().map(|(_, row)| row).collect();
    let page = format!("{HEAD}{rows}");
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/cli/failures.md");
    if env::var(BLESS).is_ok() {
        fs::write(file, page).unwrap();
        return;
    }
    let there = fs::read_to_string(file).unwrap_or_default();
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(
        lines(&there),
        lines(&page),
        "HOOX_BLESS=1 writes docs/cli/failures.md anew"
    );
}

/// What stands above the rows.
const HEAD: &str = "\
# When something fails

What can go wrong on the way to a deployment and around it: status and code, what is said, what is left behind, and what to do, as the command says it. A test has each of them happen, against a double of Cloudflare, and looks at what is left; the key of a first deployment stands in `~/hoox/key`. With `--json` code, message and hint are fields.

| when | command (`hoox …`) | status, code | what is said | what is left | what to do |
|---|---|---|---|---|---|
";
