//! Every binding, secret and internal edge of Hoox, named once.
//!
//! A test holds the wrangler files against these tables.

use hoox_model::Venue;

/// The workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Worker {
    /// The gateway, the only worker with an address.
    Hoox,
    /// Orders: Ledgers and Control.
    Trade,
    /// Records.
    D1,
}

impl Worker {
    /// Every worker.
    pub const ALL: [Self; 3] = [Self::Hoox, Self::Trade, Self::D1];

    /// The name it is deployed under.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hoox => "hoox",
            Self::Trade => "trade-worker",
            Self::D1 => "d1-worker",
        }
    }

    /// Path of its wrangler file in the repository.
    pub const fn wrangler_file(self) -> &'static str {
        match self {
            Self::Hoox => "wrangler.toml",
            Self::Trade => "workers/trade-worker/wrangler.toml",
            Self::D1 => "workers/d1-worker/wrangler.toml",
        }
    }

    /// Whether it may have an address on the internet.
    pub const fn is_public(self) -> bool {
        matches!(self, Self::Hoox)
    }

    /// Bindings without which it does not work.
    pub const fn bindings(self) -> &'static [&'static str] {
        match self {
            Self::Hoox => &[CONFIG_KV, TRADE_WORKER, D1_WORKER, ATTEMPTS],
            Self::Trade => &[CONFIG_KV, LEDGER, CONTROL, D1_WORKER],
            Self::D1 => &[DB],
        }
    }

    /// Secrets without which it does not work. Exchange keys come on top, by the manifest's accounts.
    pub fn required_secrets(self) -> Vec<&'static str> {
        let own: &[&str] = match self {
            Self::Hoox => &[OPERATOR_KEY, SEALING_KEY],
            Self::Trade | Self::D1 => &[],
        };
        let edges = Edge::ALL
            .into_iter()
            .filter(|edge| edge.caller() == self || edge.callee() == self);
        own.iter().copied().chain(edges.map(Edge::secret)).collect()
    }
}

/// Whether a name is that of an exchange key, such as `BYBIT_API_KEY` or `BYBIT_TESTNET_API_SECRET__SUB1`;
/// [`Account::secret_names`](hoox_auth::Account::secret_names) makes them.
pub fn is_exchange_secret(name: &str) -> bool {
    let (name, suffix) = name.split_once("__").unwrap_or((name, "SUFFIX"));
    let plain = suffix
        .bytes()
        .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
    let Some(account) = name
        .strip_suffix("_API_KEY")
        .or_else(|| name.strip_suffix("_API_SECRET"))
    else {
        return false;
    };
    let venue = account
        .strip_suffix("_TESTNET")
        .or_else(|| account.strip_suffix("_SIM"))
        .unwrap_or(account);
    let known = Venue::named(&venue.to_ascii_lowercase())
        .is_some_and(|found| found.as_str().to_ascii_uppercase() == venue);
    known && plain && !suffix.is_empty()
}

/// The workers that need a secret; none for a name that is not Hoox's.
pub fn workers_with(secret: &str) -> Vec<Worker> {
    let exchange = is_exchange_secret(secret);
    Worker::ALL
        .into_iter()
        .filter(|worker| {
            worker.required_secrets().contains(&secret) || (exchange && *worker == Worker::Trade)
        })
        .collect()
}

/// Every secret that Hoox makes itself and cannot work without, once.
pub fn generated_secrets() -> Vec<&'static str> {
    let mut all: Vec<&str> = Vec::new();
    for name in Worker::ALL.into_iter().flat_map(Worker::required_secrets) {
        if !all.contains(&name) {
            all.push(name);
        }
    }
    all
}

/// KV namespace with the published manifest.
pub const CONFIG_KV: &str = "CONFIG_KV";
/// Key of the manifest in [`CONFIG_KV`].
pub const MANIFEST_KEY: &str = "hoox:manifest";
/// Key of when each secret was set, in [`CONFIG_KV`]: `{"NAME": {"changedAt": "2026-01-31T00:00:00.000Z"}}`.
pub const SECRETS_KEY: &str = "hoox:secrets";
/// Durable Object namespace of the Ledgers, one object for each trading account.
pub const LEDGER: &str = "LEDGER";
/// Durable Object namespace of Control.
pub const CONTROL: &str = "CONTROL";
/// Name of the one Control object.
pub const CONTROL_NAME: &str = "control";
/// D1 database with the records.
pub const DB: &str = "DB";
/// Service binding to trade-worker.
pub const TRADE_WORKER: &str = "TRADE_WORKER";
/// Service binding to d1-worker.
pub const D1_WORKER: &str = "D1_WORKER";
/// Rate limiter that counts wrong keys by address, in the gateway.
pub const ATTEMPTS: &str = "ATTEMPTS";
/// Bearer key of the operator API.
pub const OPERATOR_KEY: &str = "OPERATOR_KEY";

/// Opens and seals the signing secrets of senders; known to the gateway only.
pub const SEALING_KEY: &str = "SEALING_KEY";

/// Header that carries the edge's key on internal requests.
pub const EDGE_KEY_HEADER: &str = "x-hoox-edge-key";
/// Header that carries the request id on internal requests and on every answer.
pub const REQUEST_ID_HEADER: &str = "x-request-id";

/// What is said of an edge's key.
const DIFFERS: &str = "differs on its two sides";

/// A pair of workers that may call each other, each with a key of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Edge {
    /// Gateway to trade-worker.
    HooxTrade,
    /// Gateway to d1-worker.
    HooxD1,
    /// trade-worker to d1-worker.
    TradeD1,
}

impl Edge {
    /// Every edge.
    pub const ALL: [Self; 3] = [Self::HooxTrade, Self::HooxD1, Self::TradeD1];

    /// Secret with the edge's key, known to caller and callee only.
    pub const fn secret(self) -> &'static str {
        match self {
            Self::HooxTrade => "HOOX_TRADE_KEY",
            Self::HooxD1 => "HOOX_D1_KEY",
            Self::TradeD1 => "TRADE_D1_KEY",
        }
    }

    /// What its caller says whose key its callee does not take, with the command that mends it.
    pub fn differs(self) -> String {
        let name = self.secret();
        format!("{name} {DIFFERS}: `hoox secrets rotate {name}` gives both the same one")
    }

    /// The edge of which a message says [`Self::differs`].
    pub fn that_differs(message: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|edge| message.contains(&format!("{} {DIFFERS}", edge.secret())))
    }

    /// Service binding in the caller.
    pub const fn binding(self) -> &'static str {
        match self {
            Self::HooxTrade => TRADE_WORKER,
            Self::HooxD1 | Self::TradeD1 => D1_WORKER,
        }
    }

    /// Who calls.
    pub const fn caller(self) -> Worker {
        match self {
            Self::HooxTrade | Self::HooxD1 => Worker::Hoox,
            Self::TradeD1 => Worker::Trade,
        }
    }

    /// Who is called.
    pub const fn callee(self) -> Worker {
        match self {
            Self::HooxTrade => Worker::Trade,
            Self::HooxD1 | Self::TradeD1 => Worker::D1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edge_whose_keys_differ_is_known_by_what_is_said_of_it() {
        for edge in Edge::ALL {
            let message = format!("a private worker cannot be called: {}", edge.differs());
            assert_eq!(Edge::that_differs(&message), Some(edge));
        }
        assert_eq!(Edge::that_differs("HOOX_D1_KEY is not set"), None);
    }

    #[test]
    fn a_secret_goes_to_the_workers_that_need_it_and_no_other() {
        for (name, expected) in [
            ("OPERATOR_KEY", vec![Worker::Hoox]),
            ("SEALING_KEY", vec![Worker::Hoox]),
            ("HOOX_TRADE_KEY", vec![Worker::Hoox, Worker::Trade]),
            ("TRADE_D1_KEY", vec![Worker::Trade, Worker::D1]),
            ("BYBIT_API_KEY", vec![Worker::Trade]),
            ("BYBIT_TESTNET_API_SECRET__SUB1", vec![Worker::Trade]),
            ("MEXC_SIM_API_KEY", vec![Worker::Trade]),
            ("BYBIT_API_KEY__", vec![]),
            ("BYBIT_API_KEY__sub", vec![]),
            ("bybit_API_KEY", vec![]),
            ("FTX_API_KEY", vec![]),
            ("BYBIT_API", vec![]),
            ("_API_KEY", vec![]),
            ("", vec![]),
        ] {
            assert_eq!(workers_with(name), expected, "{name}");
        }
        for name in generated_secrets() {
            assert_ne!(workers_with(name), [], "{name}");
        }
    }
}
