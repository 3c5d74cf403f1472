//! A sandbox with accounts to trade on.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hoox_auth::{PasskeyHash, new_passkey};
use hoox_sim::{Config, Handle, OrderRecord, Simulator};
use rust_decimal::Decimal;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::{Client, Reply, Sandbox, eventually};

/// Desks of the stack that the tests share.
const SHARED_DESKS: usize = 76;
/// What the simulated exchanges start with; prices stay there until a test sets others.
const PRICES: [(&str, u32); 3] = [("BTCUSDT", 65_000), ("ETHUSDT", 3_500), ("SOLUSDT", 150)];
const LOOPBACK: [&str; 2] = ["127.0.0.0/8", "::1/128"];

/// A sandbox and its desks.
pub struct Stack {
    /// The workers.
    pub sandbox: Sandbox,
    desks: Vec<Desk>,
    taken: AtomicUsize,
    /// Passkeys of the special senders.
    senders: BTreeMap<String, String>,
}

/// One account with a sender of its own and an exchange of its own.
#[derive(Clone)]
pub struct Desk {
    /// The account's name; its stable id is the same with `-id`.
    pub account: String,
    /// The sender's id.
    pub sender: String,
    /// The sender's passkey.
    pub passkey: String,
    /// The exchange behind the account.
    pub exchange: Arc<Handle>,
    client: Client,
    operator_key: String,
    alerts: Arc<AtomicUsize>,
}

/// A new passkey, and what the manifest keeps of it.
pub fn passkey() -> (String, Value) {
    let (mut key, mut salt) = ([0; 24], [0; 16]);
    getrandom::fill(&mut key).expect("randomness");
    getrandom::fill(&mut salt).expect("randomness");
    let passkey = new_passkey(key);
    let hash = serde_json::to_value(PasskeyHash::new(salt, &passkey)).expect("a hash as JSON");
    (passkey.expose().to_owned(), hash)
}

impl Stack {
    /// The stack that most tests share, each with a desk of its own.
    pub async fn shared() -> &'static Self {
        static SHARED: OnceCell<Stack> = OnceCell::const_new();
        SHARED
            .get_or_init(async || Self::start("shared", SHARED_DESKS, special_senders()).await)
            .await
    }

    /// A stack of its own, for a test that stops it or its trading.
    pub async fn own(name: &str, desks: usize) -> Self {
        Self::start(name, desks, json!({})).await
    }

    async fn start(name: &str, desks: usize, special: Value) -> Self {
        let sandbox = Sandbox::start(name).await;
        let (key, secret) = (
            sandbox.secret("/venues/bybit/apiKey"),
            sandbox.secret("/venues/bybit/apiSecret"),
        );
        let operator_key = sandbox.secret("/operatorKey");
        let (mut senders, mut accounts) = (Vec::new(), Vec::new());
        let mut open = Vec::new();
        // One more for the special senders.
        for number in 0..=desks {
            let exchange = Simulator::start(Config::new(key.clone(), secret.clone()))
                .await
                .expect("a simulator");
            for (symbol, price) in PRICES {
                exchange
                    .set_price("bybit", symbol, Decimal::from(price))
                    .expect("a price");
            }
            let (account, sender) = (format!("desk{number}"), format!("sender{number}"));
            let (passkey, hash) = passkey();
            accounts.push(json!({
                "id": format!("{account}-id"), "name": account, "venue": "bybit", "environment": "sim",
                "baseUrl": exchange.url(),
            }));
            senders.push(json!({
                "id": sender, "permission": "trade", "accounts": [account], "keys": [hash], "ranges": LOOPBACK,
                "entryRate": { "count": 1000, "seconds": 60 },
            }));
            open.push(Desk {
                account,
                sender,
                passkey,
                exchange: Arc::new(exchange),
                client: sandbox.client.clone(),
                operator_key: operator_key.clone(),
                alerts: Arc::default(),
            });
        }
        let mut known = BTreeMap::new();
        if let (Some(_), Some(last)) = (special.get("fenced"), accounts.last_mut()) {
            last["namespace"] = json!("elsewhere");
        }
        for (id, fields) in special.as_object().expect("senders by id") {
            let (passkey, hash) = passkey();
            let mut sender = json!({
                "id": id, "permission": "trade", "accounts": ["desk0"], "keys": [hash], "ranges": LOOPBACK,
            });
            merge(&mut sender, fields);
            senders.push(sender);
            known.insert(id.clone(), passkey);
        }
        let stack = Self {
            sandbox,
            desks: open,
            taken: AtomicUsize::new(0),
            senders: known,
        };
        let mut manifest = stack.manifest().await;
        manifest["version"] = json!(manifest["version"].as_u64().unwrap() + 1);
        for (field, more) in [("senders", senders), ("accounts", accounts)] {
            manifest[field].as_array_mut().unwrap().extend(more);
        }
        let put = stack
            .sandbox
            .operator("PUT", "/v1/manifest", Some(&manifest))
            .await;
        assert_eq!(
            (put.status, put.json["published"].as_bool()),
            (200, Some(true)),
            "{}",
            put.text
        );
        stack
    }

    /// A desk that no other test uses. Desk 0 belongs to the special senders.
    pub fn desk(&self) -> Desk {
        let next = self.taken.fetch_add(1, Ordering::Relaxed) + 1;
        self.desks
            .get(next)
            .expect("more desks: raise their number")
            .clone()
    }

    /// The desk of the special senders, as one of them: `reader` (permission read), `confined` (not from
    /// this machine), `fenced` (only the last desk is in its namespace), `idle` (no account), `metered` (two
    /// entries an hour), `late` (no longer valid), `early` (not yet valid).
    pub fn desk_of(&self, sender: &str) -> Desk {
        let passkey = self.senders[sender].clone();
        Desk {
            sender: sender.to_owned(),
            passkey,
            ..self.desks[0].clone()
        }
    }

    /// The manifest that is in force.
    pub async fn manifest(&self) -> Value {
        let reply = self.sandbox.operator("GET", "/v1/manifest", None).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        reply.json["manifest"].clone()
    }

    /// Calls the gateway.
    pub const fn client(&self) -> &Client {
        &self.sandbox.client
    }

    /// Every secret that is in use, with its name.
    pub fn secrets(&self) -> Vec<(String, String)> {
        let desks = self
            .desks
            .iter()
            .map(|desk| (desk.sender.clone(), desk.passkey.clone()));
        self.sandbox
            .secrets()
            .into_iter()
            .chain(desks)
            .chain(self.senders.clone())
            .collect()
    }

    /// Holds all that was printed and all that is stored against every secret in use.
    pub fn assert_no_secret_got_out(&self) {
        let secrets = self.secrets();
        let output = self.sandbox.output();
        assert!(
            output.contains("\"worker\":\"hoox\""),
            "the workers' log is missing"
        );
        for (name, secret) in &secrets {
            assert!(!output.contains(secret.as_str()), "{name} was printed");
        }
        let mut files = 0u32;
        for (file, content) in self.sandbox.stored() {
            files += 1;
            for (name, secret) in &secrets {
                let found = content
                    .windows(secret.len())
                    .any(|part| part == secret.as_bytes());
                assert!(!found, "{name} stands in {}", file.display());
            }
        }
        assert!(files > 0, "nothing is stored");
    }
}

impl Desk {
    /// An alert of the desk's sender; `orderId` makes it differ from those before.
    pub fn alert(&self, fields: &Value) -> Value {
        let number = self.alerts.fetch_add(1, Ordering::Relaxed);
        let mut alert = json!({ "apiKey": self.passkey, "orderId": format!("{}", number) });
        merge(&mut alert, fields);
        alert
    }

    /// The same desk with another passkey.
    #[must_use]
    pub fn with_passkey(&self, passkey: &str) -> Self {
        Self {
            passkey: passkey.to_owned(),
            ..self.clone()
        }
    }

    /// Posts a body as it is.
    pub async fn post(&self, body: &impl ToString) -> Reply {
        self.client.post(body).await
    }

    /// Posts a body as it is and asks to wait for the outcome.
    pub async fn post_and_wait(&self, body: &impl ToString) -> Reply {
        self.client
            .send(self.client.alert(body).header("prefer", "wait=2"))
            .await
    }

    /// Sends an alert and asks to wait for the outcome.
    pub async fn trade(&self, fields: Value) -> Reply {
        self.post_and_wait(&self.alert(&fields)).await
    }

    /// A request, to build on.
    pub const fn client(&self) -> &Client {
        &self.client
    }

    /// Every order that the exchange accepted, as `side type quantity[@price] [reduce]`.
    pub fn orders(&self) -> Vec<String> {
        self.exchange.orders().iter().map(in_words).collect()
    }

    /// The position at the exchange: signed size.
    pub fn held(&self, symbol: &str) -> Decimal {
        let positions = self.exchange.positions();
        let held = positions.iter().find(|position| position.symbol == symbol);
        held.map_or(Decimal::ZERO, |held| {
            if held.side == "Sell" {
                -held.size
            } else {
                held.size
            }
        })
    }

    /// A page of a listing of the desk's account.
    pub async fn page(&self, listing: &str, query: &str) -> Reply {
        let path = format!("/v1/{listing}?account={}{query}", self.account);
        let request = self
            .client
            .request("GET", &path)
            .bearer_auth(&self.operator_key);
        self.client.send(request).await
    }

    /// Everything in a listing of the desk's account.
    pub async fn listed(&self, listing: &str) -> Vec<Value> {
        let (mut items, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = self.page(listing, &format!("&limit=100{cursor}")).await;
            assert_eq!(page.status, 200, "{}", page.text);
            items.extend(page.json["items"].as_array().expect("a list").clone());
            let Some(next) = page.json["nextCursor"].as_str() else {
                return items;
            };
            cursor = format!("&cursor={next}");
        }
    }

    /// Waits until a signal is recorded in this state, and returns its record.
    pub async fn recorded(&self, signal_id: &str, state: &str) -> Value {
        eventually(&format!("{signal_id} {state}"), async || {
            let signals = self.listed("signals").await;
            signals
                .into_iter()
                .find(|signal| signal["id"] == signal_id && signal["state"] == state)
        })
        .await
    }
}

fn in_words(order: &OrderRecord) -> String {
    let price = order
        .price
        .map_or(String::new(), |price| format!("@{}", price.normalize()));
    let reduce = if order.reduce_only { " reduce" } else { "" };
    format!(
        "{} {} {}{price} {}{reduce}",
        order.side,
        order.order_type,
        order.qty.normalize(),
        order.symbol
    )
}

fn merge(into: &mut Value, fields: &Value) {
    let into = into.as_object_mut().expect("an object");
    into.extend(fields.as_object().expect("an object").clone());
}

fn special_senders() -> Value {
    json!({
        "reader": { "permission": "read" },
        "confined": { "ranges": ["203.0.113.7"] },
        "fenced": { "accounts": ["*"], "namespaces": ["elsewhere"] },
        "idle": { "accounts": [] },
        "metered": { "entryRate": { "count": 2, "seconds": 3600 } },
        "late": { "expires": "2026-01-01T00:00:00Z" },
        "early": { "notBefore": "2100-01-01T00:00:00Z" },
    })
}
