//! The validated signal.

use hoox_model::{
    Code, Decimal, MarginMode, Name, OrderKind, PositionSide, Price, Product, Timestamp, Venue,
};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{
    Action, Alert, Closing, OnOpposite, SignalError, Sizing, SymbolRef, Target, Trigger, read,
};

/// `maxLag` of entries where the alert says nothing: 60 s.
pub const DEFAULT_ENTRY_LAG_MS: i64 = 60_000;
/// `maxLag` of everything that only reduces risk, where the alert says nothing: 10 minutes.
pub const DEFAULT_EXIT_LAG_MS: i64 = 600_000;
/// Longest `maxLag`: one hour. The shortest is one second.
pub const MAX_LAG_MS: i64 = 3_600_000;
/// A `timestamp` further in the future than this is refused: 60 s.
pub const MAX_FUTURE_MS: i64 = 60_000;

/// One validated signal. It crosses from the gateway to the trade-worker as JSON, and is validated
/// again when it is read there; unknown fields are ignored and missing optional ones are absent.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a field of the contract, or a question of its own"
)]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub struct Signal {
    /// What it asks for.
    pub action: Action,
    /// Name of the account, where the alert gives one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<Name>,
    /// The exchange, where the alert gives one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exchange: Option<Venue>,
    /// What is traded.
    pub symbol: SymbolRef,
    /// How large. Always present for LONG, SHORT, buy and sell; absent for target, which carries
    /// its size, and for cancel; without it a close closes all, and a reverse opens as much as it
    /// closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantity: Option<Sizing>,
    /// What entering does with an opposite position.
    #[serde(default)]
    pub on_opposite: OnOpposite,
    /// Whatever the action, nothing is opened: LONG and buy reduce a short position, SHORT and sell a long
    /// one, by at most their quantity; reverse and target do their closing part only.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub reduce_only: bool,
    /// Whether `marketPosition` makes it an exit, or `prevMarketPosition` limits it to a side: where it has nothing to do
    /// then, account and strategy differ.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub guarded: bool,
    /// The strategy's position before its order, where the alert says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Target>,
    /// Market, or limit with price and time in force.
    pub order: OrderKind,
    /// A `price` that came without `orderType: limit`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference_price: Option<Price>,
    /// Stop-loss to attach at entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_loss: Option<Trigger>,
    /// Take-profit to attach at entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub take_profit: Option<Trigger>,
    /// Trailing stop to attach at entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trailing_stop: Option<Trigger>,
    /// Leverage to set before an entry; above 0, at most 200.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leverage: Option<Decimal>,
    /// Margin mode to set before an entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub margin_mode: Option<MarginMode>,
    /// Trade on a test account, never with live keys.
    #[serde(default)]
    pub test: bool,
    /// Plan and validate, send nothing.
    #[serde(default)]
    pub dry_run: bool,
    /// From the body or the header `Idempotency-Key`: 1 to 255 printable ASCII characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
    /// When the alert fired, by its own word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<Timestamp>,
    /// How old the signal may be when an order of it is sent, in milliseconds.
    pub max_lag_ms: i64,
    /// Name of the strategy, for records and notices.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<String>,
    /// The strategy's order id, for records and notices.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order_id: Option<String>,
    /// A comment, for records and notices.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// Whom to tell, besides those the configuration names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notify: Option<Notify>,
    /// What the sender should know although the signal is accepted; one sentence each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// A chat to tell about the signal. The chat must be one that the configuration allows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Notify {
    /// Telegram chat id, or `@` and the name of a channel.
    pub chat_id: String,
    /// Text to send along.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

impl Serialize for Signal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, serializer)
    }
}

impl<'de> Deserialize<'de> for Signal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let signal = Self::deserialize(deserializer)?;
        signal.check().map_err(D::Error::custom)?;
        Ok(signal)
    }
}

impl Signal {
    /// What it asks for as JSON, for the records: without labels, times, notes and whom to tell, which change no order
    /// and stand in the record beside it.
    pub fn reading(&self) -> String {
        let asked = Self {
            idempotency_key: None,
            timestamp: None,
            strategy: None,
            order_id: None,
            comment: None,
            notify: None,
            notes: Vec::new(),
            ..self.clone()
        };
        // A derived serializer into a text never fails.
        serde_json::to_string(&asked).unwrap_or_default()
    }

    /// Reads and validates an alert by the webhook contract. `idempotency_header` is the value of
    /// the header `Idempotency-Key`; `now` is the time of arrival.
    ///
    /// Names count in any spelling, and words of other services are read as fields or refused (`words.rs`). What the
    /// contract does not name is ignored and named in a note. A field it names is refused while it holds a literal
    /// `{{placeholder}}`, also where this action does not use it, because the alert is then not what its author meant. Of
    /// a full exit only what decides where it goes is refused; the rest is a note. `null` counts as absent.
    ///
    /// # Errors
    /// [`SignalError`] with the first problem: placeholders in the order of the alert's fields,
    /// then the fields in the order of the contract, and staleness last.
    pub fn from_alert(
        alert: &Alert,
        idempotency_header: Option<&str>,
        now: Timestamp,
    ) -> Result<Self, SignalError> {
        if alert.repeats_key() {
            let text = "the passkey stands in another field as well; take it out there, because everything but apiKey is kept in the records";
            return Err(SignalError::new(Code::BadField, "apiKey", text));
        }
        if idempotency_header.is_some_and(|header| alert.key_stands_in(header)) {
            let text = "the passkey stands in the header Idempotency-Key as well; use another value there, because it is kept in the records";
            return Err(SignalError::new(Code::BadField, "idempotencyKey", text));
        }
        let signal = read::signal(alert.fields(), idempotency_header, now)?;
        signal.check()?;
        Ok(signal)
    }

    /// A close of the whole position, whichever side it is on.
    pub const fn close(symbol: SymbolRef) -> Self {
        Self {
            action: Action::Close,
            account: None,
            exchange: None,
            symbol,
            quantity: None,
            on_opposite: OnOpposite::Reverse,
            reduce_only: false,
            guarded: false,
            previous: None,
            order: OrderKind::Market,
            reference_price: None,
            stop_loss: None,
            take_profit: None,
            trailing_stop: None,
            leverage: None,
            margin_mode: None,
            test: false,
            dry_run: false,
            idempotency_key: None,
            timestamp: None,
            max_lag_ms: DEFAULT_EXIT_LAG_MS,
            strategy: None,
            order_id: None,
            comment: None,
            notify: None,
            notes: Vec::new(),
        }
    }

    /// Whether it may open or enlarge a position ([`Action::is_entry`], and not `reduceOnly`).
    pub const fn is_entry(&self) -> bool {
        self.action.is_entry() && !self.reduce_only
    }

    /// What it closes, as far as the signal alone tells; `None` where it closes nothing.
    pub const fn closing(&self) -> Option<Closing> {
        const LONG: Option<PositionSide> = Some(PositionSide::Long);
        const SHORT: Option<PositionSide> = Some(PositionSide::Short);
        let reverses = matches!(self.on_opposite, OnOpposite::Reverse);
        let (side, whole) = match self.action {
            Action::CloseLong => (LONG, self.quantity.is_none()),
            Action::CloseShort => (SHORT, self.quantity.is_none()),
            Action::Close => (None, self.quantity.is_none()),
            Action::Reverse | Action::Target(Target::Flat) => (None, true),
            Action::Target(Target::Long(_)) => (SHORT, true),
            Action::Target(Target::Short(_)) => (LONG, true),
            Action::Long | Action::Buy if self.reduce_only => (SHORT, false),
            Action::Short | Action::Sell if self.reduce_only => (LONG, false),
            Action::Long if reverses => (SHORT, true),
            Action::Short if reverses => (LONG, true),
            Action::Long | Action::Short | Action::Buy | Action::Sell | Action::Cancel => {
                return None;
            }
        };
        Some(Closing { side, whole })
    }

    /// When the alert fired, by its own word, where that is no bar's time.
    pub fn fired_at(&self, received: Timestamp) -> Option<Timestamp> {
        self.timestamp
            .filter(|own| !read::looks_like_a_bar(*own, received))
    }

    /// The contract's fields and words whose meaning whoever carries the signal out must know: one of an
    /// older version would drop the field and trade something else.
    pub fn requires(&self) -> Vec<String> {
        let given = [
            (self.reduce_only, "reduceOnly"),
            (matches!(self.action, Action::Cancel), "cancel"),
            (self.stop_loss.is_some(), "stopLoss"),
            (self.take_profit.is_some(), "takeProfit"),
            (self.trailing_stop.is_some(), "trailingStop"),
            (self.margin_mode.is_some(), "marginMode"),
            (self.leverage.is_some(), "leverage"),
        ];
        let sizing = self.quantity.map(crate::Sizing::type_name);
        given
            .into_iter()
            .filter_map(|(given, word)| given.then_some(word))
            .chain(sizing)
            .map(str::to_owned)
            .collect()
    }

    /// The moment after which no order of this signal is sent: [`max_lag_ms`](Self::max_lag_ms)
    /// after its own timestamp, or after `received` where it has none or one that lies later.
    pub fn deadline(&self, received: Timestamp) -> Timestamp {
        let start = self.timestamp.map_or(received, |own| own.min(received));
        start.plus_millis(self.max_lag_ms)
    }

    /// The moment after which no closing order of this signal is sent: its own deadline, and for a flip at least
    /// [`DEFAULT_EXIT_LAG_MS`] after it fired.
    pub fn exit_deadline(&self, received: Timestamp) -> Timestamp {
        let own = self.deadline(received);
        if !self.is_entry() {
            return own;
        }
        let lag = DEFAULT_EXIT_LAG_MS.saturating_sub(self.max_lag_ms).max(0);
        own.plus_millis(lag)
    }

    /// Why it is too old to be carried out at `now`, in words for its sender.
    pub fn stale(&self, received: Timestamp, now: Timestamp) -> Option<SignalError> {
        (now > self.deadline(received)).then(|| read::stale(self, received, now))
    }

    /// The first thing the signal asks for that this version cannot do on `venue` as `product`.
    ///
    /// `notify` is never a reason: it does not change a trade's answer. Nor are stops and the margin
    /// mode on a close: they concern entries, and an exit must get through.
    pub fn unsupported(&self, venue: Venue, product: Product) -> Option<SignalError> {
        let refuse = |field: &str, message: String| {
            Some(SignalError::new(Code::Unsupported, field, message))
        };
        if venue != Venue::Bybit {
            return refuse(
                "exchange",
                format!("trading on {venue} is not available yet; use an account on bybit"),
            );
        }
        if product != Product::Linear {
            return refuse(
                "symbol",
                format!(
                    "{product} is not available on {venue} yet; use a linear perpetual such as BTCUSDT.P"
                ),
            );
        }
        if let Some(
            sizing @ (Sizing::PercentEquity(_)
            | Sizing::PercentPosition(_)
            | Sizing::RiskPercent(_)),
        ) = self.quantity
        {
            return refuse(
                "quantityType",
                format!(
                    "quantityType {} is not available yet; use base or quote",
                    sizing.type_name()
                ),
            );
        }
        if !self.is_entry() {
            return None;
        }
        for (field, trigger) in [
            ("stopLoss", self.stop_loss),
            ("takeProfit", self.take_profit),
            ("trailingStop", self.trailing_stop),
        ] {
            if trigger.is_some() {
                return refuse(
                    field,
                    format!(
                        "{field} is not available yet, so the signal is refused rather than traded without it; remove the field"
                    ),
                );
            }
        }
        if self.margin_mode.is_some() {
            return refuse(
                "marginMode",
                "marginMode is not available yet; set it at the venue and remove the field"
                    .to_owned(),
            );
        }
        None
    }

    /// What the types alone do not promise; holds for every signal that was read or received.
    fn check(&self) -> Result<(), SignalError> {
        let above_zero = |field: &str, value: Decimal| {
            if value > Decimal::ZERO {
                Ok(())
            } else {
                Err(SignalError::bad(field, format!("{field} must be above 0")))
            }
        };
        match (self.action, self.quantity) {
            (Action::Target(Target::Long(size) | Target::Short(size)), _) => {
                above_zero("marketPositionSize", size.get())?;
            }
            (Action::Long | Action::Short | Action::Buy | Action::Sell, None) => {
                return Err(SignalError::bad(
                    "quantity",
                    format!(
                        "{} needs a quantity: add \"quantity\" with a number above 0",
                        self.action
                    ),
                ));
            }
            (_, Some(sizing)) => above_zero("quantity", sizing.value())?,
            _ => {}
        }
        if let (Some(Sizing::RiskPercent(_)), None) = (self.quantity, self.stop_loss) {
            return Err(SignalError::bad(
                "stopLoss",
                "quantityType riskPercent needs a stopLoss to size by",
            ));
        }
        if let Some(leverage) = self.leverage {
            read::leverage_in_range(leverage)?;
        }
        if let Some(key) = &self.idempotency_key {
            read::idempotency_key_fits(key)?;
        }
        if !(1_000..=MAX_LAG_MS).contains(&self.max_lag_ms) {
            return Err(SignalError::bad(
                "maxLag",
                "maxLag must be 1 to 3600 seconds",
            ));
        }
        for (field, text, limit) in [
            ("strategy", &self.strategy, read::MAX_NAME_CHARS),
            ("orderId", &self.order_id, read::MAX_NAME_CHARS),
            ("comment", &self.comment, read::MAX_TEXT_CHARS),
        ] {
            if let Some(text) = text {
                read::not_longer(field, text, limit)?;
            }
        }
        if let Some(notify) = &self.notify {
            read::not_longer("notify", &notify.chat_id, read::MAX_CHAT_CHARS)?;
            if let Some(message) = &notify.message {
                read::not_longer("notify", message, read::MAX_TEXT_CHARS)?;
            }
        }
        Ok(())
    }
}
