//! What meets what: each surprise of a venue, a network or a person, by what the signal that met it asks
//! for. A run of many seeds shows by it which pairs were tried.

use hoox_auth::OPERATOR;
use hoox_model::{ClientOrderId, Decimal, Symbol};
use hoox_store::Value;

use crate::simulate::alerts::{Alert, Ask};
use crate::simulate::history::signal_of;
use crate::simulate::stats::FAULT;
use crate::simulate::world::World;

pub(crate) const POSITION_LAGS: &str = "a position lags";
pub(crate) const FILLS_LAG: &str = "a list of fills lags";
pub(crate) const HEDGED: &str = "a symbol is in hedge mode";
pub(crate) const PARTIAL: &str = "an order fills in part";
pub(crate) const MAXIMUM: &str = "more is held than one order may hold";
pub(crate) const PAGE_ORDER: &str = "a page of the network answers an order call";
pub(crate) const PAGE_READ: &str = "a page of the network answers a read";
pub(crate) const BANNED: &str = "a venue bans the address";
pub(crate) const HOUR: &str = "a venue limits calls for an hour";
pub(crate) const REFUSES_EXITS: &str = "a venue refuses exits for a while";
pub(crate) const HALTED: &str = "nothing trades for a while";
pub(crate) const DUST: &str = "less is held than the smallest order";
pub(crate) const BY_HAND: &str = "somebody trades by hand";
pub(crate) const REVOKED: &str = "a sender is revoked while its signal waits";
pub(crate) const OVERTAKEN: &str = "an alert overtakes an older one";
pub(crate) const GENERATION: &str = "a new generation takes over";

/// Every surprise of the table.
pub(crate) const SURPRISES: [&str; 16] = [
    POSITION_LAGS,
    FILLS_LAG,
    HEDGED,
    PARTIAL,
    MAXIMUM,
    PAGE_ORDER,
    PAGE_READ,
    BANNED,
    HOUR,
    REFUSES_EXITS,
    HALTED,
    DUST,
    BY_HAND,
    REVOKED,
    OVERTAKEN,
    GENERATION,
];

/// What a signal is, as far as its alert and what was held when it was taken tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Purpose {
    Entry,
    FullExit,
    PartialExit,
    Flip,
    Target,
    Flatten,
    Cancel,
}

impl Purpose {
    /// Those of the table.
    pub(crate) const ALL: [Self; 6] = [
        Self::Entry,
        Self::FullExit,
        Self::PartialExit,
        Self::Flip,
        Self::Target,
        Self::Flatten,
    ];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Entry => "entry",
            Self::FullExit => "full exit",
            Self::PartialExit => "partial exit",
            Self::Flip => "flip",
            Self::Target => "target",
            Self::Flatten => "flatten",
            Self::Cancel => "cancel",
        }
    }

    /// Of an alert, where so much was held when it was taken.
    pub(crate) fn of(alert: &Alert, held: Decimal) -> Self {
        let against = match alert.ask {
            Ask::Long => held < Decimal::ZERO,
            Ask::Short => held > Decimal::ZERO,
            Ask::Reverse => !held.is_zero(),
            _ => false,
        };
        match alert.ask {
            Ask::Cancel => Self::Cancel,
            Ask::TargetLong | Ask::TargetShort => Self::Target,
            Ask::TargetFlat => Self::FullExit,
            Ask::Reverse if alert.reduce_only => Self::FullExit,
            _ if alert.reduce_only => Self::PartialExit,
            Ask::Close | Ask::CloseLong | Ask::CloseShort if alert.size.is_some() => {
                Self::PartialExit
            }
            Ask::Close | Ask::CloseLong | Ask::CloseShort => Self::FullExit,
            _ if against => Self::Flip,
            _ => Self::Entry,
        }
    }
}

/// What a call to a venue is about.
#[derive(Debug, Clone, Default)]
pub(crate) struct About {
    pub(crate) symbol: Option<Symbol>,
    pub(crate) order: Option<ClientOrderId>,
}

impl About {
    pub(crate) fn symbol(symbol: &Symbol) -> Self {
        Self {
            symbol: Some(symbol.clone()),
            order: None,
        }
    }

    pub(crate) fn order(symbol: &Symbol, order: &ClientOrderId) -> Self {
        Self {
            symbol: Some(symbol.clone()),
            order: Some(order.clone()),
        }
    }
}

struct Open {
    request: String,
    sender: String,
    symbol: String,
    waits: bool,
}

impl World {
    /// Counts a surprise, and what met it: the signal of the order, or the one of the symbol that is
    /// being planned, or where no symbol is named, the work that asks for everything.
    pub(crate) fn meets(&self, surprise: &'static str, account: usize, about: &About) {
        self.stats.hit(FAULT, surprise);
        let purpose = match (&about.order, &about.symbol) {
            (Some(id), _) => {
                let signal = signal_of(id.as_str()).0.to_owned();
                let found = self.open(account, "id = ?1", signal);
                found.first().and_then(|open| self.purpose(account, open))
            }
            (None, Some(symbol)) => {
                let open = self.open(account, "open = 1 AND symbol = ?1", symbol.to_string());
                let planned = open.iter().find(|open| open.waits);
                planned.and_then(|open| self.purpose(account, open))
            }
            (None, None) => {
                let flattens = crate::simulate::journal::is_flattening(self, account);
                flattens.then_some(Purpose::Flatten)
            }
        };
        if let Some(purpose) = purpose {
            self.stats.met(surprise, purpose);
        }
    }

    /// Counts a surprise that every waiting signal of a symbol meets, or every one of a sender.
    pub(crate) fn all_meet(
        &self,
        surprise: &'static str,
        account: usize,
        symbol: Option<&Symbol>,
        sender: Option<&str>,
    ) {
        self.stats.hit(FAULT, surprise);
        let open = match (symbol, sender) {
            (Some(symbol), _) => self.open(account, "open = 1 AND symbol = ?1", symbol.to_string()),
            (None, sender) => {
                let sender = sender.unwrap_or_default().to_owned();
                self.open(account, "open = 1 AND sender = ?1", sender)
            }
        };
        for purpose in open.iter().filter_map(|open| self.purpose(account, open)) {
            self.stats.met(surprise, purpose);
        }
    }

    /// Counts a surprise that everything meets which an account has under way.
    pub(crate) fn all_of_account_meet(&self, surprise: &'static str, account: usize) {
        self.stats.hit(FAULT, surprise);
        let open = self.open(account, "open = 1", String::new());
        for purpose in open.iter().filter_map(|open| self.purpose(account, open)) {
            self.stats.met(surprise, purpose);
        }
        if crate::simulate::journal::is_flattening(self, account) {
            self.stats.met(surprise, Purpose::Flatten);
        }
    }

    fn open(&self, account: usize, which: &str, value: String) -> Vec<Open> {
        let sql = match which {
            "id = ?1" => "SELECT request_id, sender, symbol, status FROM signal WHERE id = ?1",
            "open = 1 AND symbol = ?1" => {
                "SELECT request_id, sender, symbol, status FROM signal WHERE open = 1 AND symbol = ?1 ORDER BY seq"
            }
            "open = 1" => {
                "SELECT request_id, sender, symbol, status FROM signal WHERE open = 1 AND ?1 = '' ORDER BY seq"
            }
            _ => {
                "SELECT request_id, sender, symbol, status FROM signal WHERE open = 1 AND sender = ?1 ORDER BY seq"
            }
        };
        let database = crate::simulate::journal::newest(self, account);
        let Ok((rows, _)) = database.run(sql, &[Value::Text(value)]) else {
            return Vec::new();
        };
        let text = |value: &Value| match value {
            Value::Text(text) => text.clone(),
            _ => String::new(),
        };
        rows.iter()
            .map(|row| Open {
                request: text(&row[0]),
                sender: text(&row[1]),
                symbol: text(&row[2]),
                waits: matches!(text(&row[3]).as_str(), "received" | "planned"),
            })
            .collect()
    }

    fn purpose(&self, account: usize, open: &Open) -> Option<Purpose> {
        if open.sender == OPERATOR {
            return Some(Purpose::Flatten);
        }
        let history = self.history.borrow();
        let mut requests = history.requests.iter();
        let request = requests.find(|request| request.id.as_str() == open.request)?;
        let alerts = self.alerts.borrow();
        let mut taken = history.taken.iter();
        let at = taken
            .find(|taken| taken.request.as_str() == open.request)
            .map_or(request.sent_at, |taken| taken.at);
        let symbol = open.symbol.parse().ok()?;
        let held = self.exchange(account).held_at(&symbol, at);
        Some(Purpose::of(alerts.get(request.alert)?, held))
    }
}
