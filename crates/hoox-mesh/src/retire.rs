//! Accounts that leave the manifest, and Ledgers that take over from the generation before.

use hoox_model::{ClientOrderId, Code, PositionSide, Quantity, Symbol};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::Problem;

/// Orders and positions that one sentence names at most.
const NAMED: usize = 10;

/// What Control says to a Ledger whose account leaves the manifest or gets another Ledger. Each route reads its own
/// fields; one message for all of them keeps the worker small.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Passage {
    /// What the account is called; a Ledger that was never used does not know.
    pub account: String,
    /// [`LedgerStanding`](crate::LedgerStanding): whether a Ledger with nothing open takes nothing for the next half
    /// minute, so that its word stands until the manifest has changed. Without it an earlier hold ends.
    pub hold: bool,
    /// The name of the Ledger that hands over.
    pub from: String,
    /// The name of the Ledger that takes over. [`LedgerStanding`](crate::LedgerStanding) is then asked whether it could
    /// hand over to it.
    pub to: String,
    /// [`RetireLedger`](crate::RetireLedger): why, in the operator's words.
    pub reason: String,
    /// [`TakeOver`](crate::TakeOver): what the Ledger must know, a [`Configure`](crate::Configure).
    pub configure: Option<Box<RawValue>>,
    /// [`TakeOver`](crate::TakeOver): what was handed over, as the other Ledger wrote it.
    pub handed: Option<Box<RawValue>>,
}

/// What an account's Ledger has open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Standing {
    /// Name of the account.
    pub account: String,
    /// Signals that are not finished.
    pub signals: u32,
    /// Orders that are or may be at the venue, in all.
    pub order_count: u32,
    /// The first hundred of them.
    pub orders: Vec<StandingOrder>,
    /// Dead letters that wait for an operator.
    pub dead_letters: u32,
    /// Records that are not delivered.
    pub undelivered_records: u32,
    /// What is held by the Ledger's record.
    pub positions: Vec<StandingPosition>,
    /// Whether the kill switch is closing its positions.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub flattening: bool,
    /// Whether it has ever taken a signal, or is closed: no other Ledger can hand over to it.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub used: bool,
}

/// An order that is or may be at the venue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StandingOrder {
    /// Its id at the venue.
    pub client_order_id: ClientOrderId,
    /// What it trades.
    pub symbol: Symbol,
    /// Where it stands.
    pub state: String,
}

/// A position by the Ledger's record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StandingPosition {
    /// What is held.
    pub symbol: Symbol,
    /// On which side.
    pub side: PositionSide,
    /// How much, in base currency.
    pub quantity: Quantity,
}

impl Standing {
    /// Whether work is left there: positions are none.
    pub const fn has_work(&self) -> bool {
        self.signals > 0
            || self.order_count > 0
            || self.dead_letters > 0
            || self.undelivered_records > 0
            || self.flattening
    }

    /// Whether nothing is open there.
    pub const fn is_clear(&self) -> bool {
        !self.has_work() && self.positions.is_empty()
    }

    /// What is open, in words; empty where nothing is.
    pub fn words(&self) -> String {
        let mut words = Vec::new();
        let mut count = |number: u32, what: &str| {
            if number > 0 {
                words.push(format!("{what}: {number}"));
            }
        };
        count(self.signals, "signals that are not finished");
        if self.order_count > 0 {
            let named = self.orders.iter().take(NAMED).map(|order| {
                let StandingOrder {
                    client_order_id,
                    symbol,
                    state,
                } = order;
                format!("{client_order_id} ({symbol}, {state})")
            });
            let named: Vec<String> = named.collect();
            words.push(format!(
                "orders that are or may be at the venue: {}{}",
                named.join(", "),
                more(self.order_count)
            ));
        }
        let mut count = |number: u32, what: &str| {
            if number > 0 {
                words.push(format!("{what}: {number}"));
            }
        };
        count(self.dead_letters, "dead letters");
        count(
            self.undelivered_records,
            "records that are not delivered yet",
        );
        if self.flattening {
            words.push("the kill switch is closing its positions".to_owned());
        }
        if !self.positions.is_empty() {
            let named = self.positions.iter().take(NAMED).map(|held| {
                let StandingPosition {
                    symbol,
                    side,
                    quantity,
                } = held;
                format!("{symbol} {} {quantity}", side.as_str())
            });
            let named: Vec<String> = named.collect();
            let total = u32::try_from(self.positions.len()).unwrap_or(u32::MAX);
            words.push(format!(
                "positions by its record: {}{}",
                named.join(", "),
                more(total)
            ));
        }
        words.join("; ")
    }

    /// Why the account cannot be retired; `None` where nothing of it is open.
    pub fn problem(&self) -> Option<Problem> {
        (!self.is_clear()).then(|| {
            let text = format!(
                "account '{}' cannot leave the manifest while something of it is open: {}. Nothing was changed; bring it \
                 to an end first, or force it with a reason: what is open becomes dead letters then",
                self.account,
                self.words()
            );
            Problem::new(Code::Conflict, text).field("accounts")
        })
    }
}

fn more(total: u32) -> String {
    let named = u32::try_from(NAMED).unwrap_or(u32::MAX);
    match total.saturating_sub(named) {
        0 => String::new(),
        more => format!(" and {more} more"),
    }
}

/// A manifest under which accounts with something open are retired.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ForcedManifest<M> {
    /// Why, in the operator's words.
    pub reason: String,
    /// The manifest.
    pub manifest: M,
}

/// Longest reason, in bytes.
pub const MAX_REASON: usize = 500;

#[cfg(test)]
mod tests {
    use super::*;

    fn standing() -> Standing {
        Standing {
            account: "main".to_owned(),
            signals: 0,
            order_count: 0,
            orders: Vec::new(),
            dead_letters: 0,
            undelivered_records: 0,
            positions: Vec::new(),
            flattening: false,
            used: true,
        }
    }

    #[test]
    fn each_thing_that_is_open_is_named() {
        assert_eq!(standing().problem(), None);
        let symbol = || "BTCUSDT".parse::<Symbol>().unwrap();
        let order = |number: u32| StandingOrder {
            client_order_id: format!("hx-{number}").parse().unwrap(),
            symbol: symbol(),
            state: "sending".to_owned(),
        };
        let held = StandingPosition {
            symbol: symbol(),
            side: PositionSide::Short,
            quantity: "0.5".parse().unwrap(),
        };
        let signals = Standing {
            signals: 2,
            ..standing()
        };
        let orders = Standing {
            order_count: 12,
            orders: (0..12).map(order).collect(),
            ..standing()
        };
        let flattening = Standing {
            flattening: true,
            ..standing()
        };
        let letters = Standing {
            dead_letters: 1,
            ..standing()
        };
        let records = Standing {
            undelivered_records: 3,
            ..standing()
        };
        let positions = Standing {
            positions: vec![held],
            ..standing()
        };
        for (open, said) in [
            (&signals, "signals that are not finished: 2"),
            (&orders, "hx-9 (BTCUSDT, sending) and 2 more"),
            (&letters, "dead letters: 1"),
            (&flattening, "closing its positions"),
            (&records, "records that are not delivered yet: 3"),
            (&positions, "positions by its record: BTCUSDT short 0.5"),
        ] {
            let problem = open.problem().unwrap();
            assert_eq!(problem.code, Code::Conflict);
            assert!(problem.message.contains(said), "{}", problem.message);
            assert!(problem.message.contains("'main'"), "{}", problem.message);
        }
        assert!(!positions.has_work());
    }
}
