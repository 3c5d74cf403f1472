//! Every binding, secret and internal edge of Hoox, named once.
//!
//! A test holds the wrangler files against these tables.

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

/// KV namespace with the published manifest.
pub const CONFIG_KV: &str = "CONFIG_KV";
/// Key of the manifest in [`CONFIG_KV`].
pub const MANIFEST_KEY: &str = "hoox:manifest";
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
