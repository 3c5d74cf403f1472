//! Alerts: what each asks for, and the body that says so.

use hoox_model::{Decimal, Effect};

use crate::simulate::exchange::{SYMBOLS, UNKNOWN_SYMBOL};
use crate::simulate::manifest::{ACCOUNT_NAMES, ADDRESS, PASSKEYS, STRANGE_ADDRESS};
use crate::simulate::rng::Rng;

/// Whether alerts use `reduceOnly` and `cancel`.
pub(crate) const NEW_FIELDS: bool = true;

/// What an alert asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ask {
    Long,
    Short,
    Buy,
    Sell,
    Reverse,
    TargetLong,
    TargetShort,
    Close,
    CloseLong,
    CloseShort,
    TargetFlat,
    Cancel,
}

impl Ask {
    const ALL: [Self; 11] = [
        Self::Long,
        Self::Short,
        Self::Buy,
        Self::Sell,
        Self::Reverse,
        Self::TargetLong,
        Self::TargetShort,
        Self::Close,
        Self::CloseLong,
        Self::CloseShort,
        Self::TargetFlat,
    ];

    /// Whether it can make a position larger.
    pub(crate) const fn is_entry(self) -> bool {
        !matches!(
            self,
            Self::Close | Self::CloseLong | Self::CloseShort | Self::TargetFlat | Self::Cancel
        )
    }

    const fn is_target(self) -> bool {
        matches!(
            self,
            Self::TargetLong | Self::TargetShort | Self::TargetFlat
        )
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Long => "LONG",
            Self::Short => "SHORT",
            Self::Buy => "buy",
            Self::Sell => "sell",
            Self::Reverse => "reverse",
            Self::Close => "close",
            Self::CloseLong => "CLOSE_LONG",
            Self::CloseShort => "CLOSE_SHORT",
            Self::TargetLong | Self::TargetShort | Self::TargetFlat => "target",
            Self::Cancel => "cancel",
        }
    }
}

/// A strategy's state: long above zero, short below.
pub(crate) type State = Decimal;

/// One alert of a strategy.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Step {
    /// The strategy's name.
    pub(crate) strategy: &'static str,
    pub(crate) ask: Ask,
    pub(crate) size: Option<Decimal>,
    /// The state after it and the one before it, where the alert says so.
    pub(crate) states: Option<(State, State)>,
    /// Whether it carries its time.
    pub(crate) dated: bool,
}

/// How an alert is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// Its JSON breaks off.
    Json,
    /// It has no valid key.
    Key,
    /// It comes from a strange address.
    Address,
    /// It holds a placeholder that was not filled in.
    Placeholder,
    /// It is too old when it is sent.
    Stale,
    /// A field has no valid value.
    Field,
    /// It asks for what is not available.
    Unsupported,
}

/// One alert.
#[derive(Debug, Clone)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "they are fields of the alert"
)]
pub(crate) struct Alert {
    /// Who sends it, by place.
    pub(crate) sender: usize,
    pub(crate) ask: Ask,
    pub(crate) symbol: &'static str,
    /// Size: in base currency, or in quote currency where `quote`.
    pub(crate) size: Option<Decimal>,
    pub(crate) quote: bool,
    pub(crate) limit: bool,
    /// Whether it only makes a position smaller, whatever its action.
    pub(crate) reduce_only: bool,
    /// The strategy's name.
    pub(crate) strategy: Option<&'static str>,
    /// The strategy's state after it and before it.
    pub(crate) states: Option<(State, State)>,
    /// The strategy's order, by its name.
    pub(crate) order_id: Option<String>,
    /// The limit's price.
    pub(crate) price: Option<Decimal>,
    pub(crate) dry_run: bool,
    pub(crate) wrong: Option<Wrong>,
    /// How old an order of it may be when it is sent, in milliseconds.
    pub(crate) max_lag: i64,
    /// When it fired, by its own word.
    pub(crate) timestamp: Option<i64>,
    pub(crate) address: &'static str,
    /// Header `Idempotency-Key`.
    pub(crate) header_key: Option<String>,
    pub(crate) prefer: Option<&'static str>,
    pub(crate) body: String,
    /// What makes it the same as another one, within its sender.
    pub(crate) identity: String,
    /// What it says, without its key.
    pub(crate) content: String,
    /// For how long.
    pub(crate) window: i64,
}

/// How long an alert's text makes it the same.
const SHORT_WINDOW_MS: i64 = 45_000;
const LONG_WINDOW_MS: i64 = 7 * 24 * 3_600_000;

/// A state's side as a strategy renders it.
fn side_of(state: State) -> &'static str {
    if state.is_zero() {
        "flat"
    } else if state > Decimal::ZERO {
        "long"
    } else {
        "short"
    }
}

fn iso(millis: i64) -> String {
    // What a chart fills in has whole seconds.
    (millis / 1_000).to_string()
}

impl Alert {
    /// Whether it can make a position larger.
    pub(crate) const fn is_entry(&self) -> bool {
        self.ask.is_entry() && !self.reduce_only
    }

    /// What the orders it asks for are for, as far as its word tells.
    pub(crate) const fn effect(&self) -> Effect {
        if self.is_entry() {
            Effect::Open
        } else {
            Effect::Close
        }
    }

    /// An alert of a strategy that fires at `now`.
    pub(crate) fn of_strategy(
        rng: &Rng,
        step: Step,
        sender: usize,
        symbol: &'static str,
        now: i64,
        number: usize,
    ) -> Self {
        let mut alert = Self::of(rng, step.ask, symbol, now, number);
        (alert.limit, alert.quote, alert.dry_run, alert.reduce_only) = (false, false, false, false);
        (alert.sender, alert.size, alert.max_lag) = (
            sender,
            step.size,
            if step.ask.is_entry() { 60_000 } else { 600_000 },
        );
        (alert.strategy, alert.states) = (Some(step.strategy), step.states);
        (alert.timestamp, alert.header_key) = (step.dated.then_some(now), None);
        alert.finish(rng, now, number);
        alert
    }

    /// A random alert that fires at `now`.
    pub(crate) fn random(rng: &Rng, now: i64, number: usize, symbols: &[&'static str]) -> Self {
        let ask = if NEW_FIELDS && rng.chance(60) {
            Ask::Cancel
        } else {
            *rng.pick(&Ask::ALL)
        };
        let wrong = rng.chance(50).then(|| {
            *rng.pick(&[
                Wrong::Json,
                Wrong::Key,
                Wrong::Address,
                Wrong::Placeholder,
                Wrong::Stale,
                Wrong::Field,
                Wrong::Unsupported,
            ])
        });
        let symbol = if rng.chance(15) {
            UNKNOWN_SYMBOL
        } else {
            *rng.pick(symbols)
        };
        let mut alert = Self::of(rng, ask, symbol, now, number);
        alert.wrong = wrong;
        alert.finish(rng, now, number);
        alert
    }

    /// A plain alert that must be taken and carried out when nothing is wrong.
    pub(crate) fn plain(
        rng: &Rng,
        ask: Ask,
        symbol: &'static str,
        now: i64,
        number: usize,
    ) -> Self {
        let mut alert = Self::of(rng, ask, symbol, now, number);
        (alert.limit, alert.quote, alert.dry_run, alert.reduce_only) = (false, false, false, false);
        alert.prefer = None;
        alert.timestamp = Some(now);
        alert.finish(rng, now, number);
        alert
    }

    /// A close of a whole position.
    pub(crate) fn whole_close() -> Self {
        Self {
            sender: 0,
            ask: Ask::Close,
            symbol: SYMBOLS[0],
            size: None,
            quote: false,
            limit: false,
            reduce_only: false,
            strategy: None,
            states: None,
            order_id: None,
            price: None,
            dry_run: false,
            wrong: None,
            max_lag: 600_000,
            timestamp: None,
            address: ADDRESS,
            header_key: None,
            prefer: None,
            body: String::new(),
            identity: String::new(),
            content: String::new(),
            window: 0,
        }
    }

    fn of(rng: &Rng, ask: Ask, symbol: &'static str, now: i64, number: usize) -> Self {
        let sized = match ask {
            Ask::Reverse | Ask::Close | Ask::CloseLong | Ask::CloseShort => rng.chance(350),
            Ask::TargetFlat | Ask::Cancel => false,
            _ => true,
        };
        let quote = sized && !matches!(ask, Ask::TargetLong | Ask::TargetShort) && rng.chance(200);
        let size = if rng.chance(15) {
            // Less than the venue's smallest size.
            Decimal::new(4, 4)
        } else if quote {
            Decimal::new(rng.range(5_000, 50_000), 2)
        } else {
            Decimal::new(rng.range(10, 3_000), 3)
        };
        let limit = match ask {
            Ask::Cancel => false,
            _ if ask.is_entry() => rng.chance(250),
            _ => rng.chance(120),
        };
        let reduce_only = NEW_FIELDS && ask.is_entry() && ask != Ask::TargetFlat && rng.chance(120);
        let exit = reduce_only || !ask.is_entry();
        Self {
            sender: rng.below(2),
            ask,
            symbol,
            size: sized.then_some(size),
            quote,
            limit,
            reduce_only,
            strategy: None,
            states: None,
            order_id: rng.chance(300).then(|| format!("o{}", rng.below(3))),
            price: None,
            dry_run: rng.chance(30),
            wrong: None,
            max_lag: match rng.below(8) {
                0 => 5_000,
                1 => 600_000,
                2 if exit => *rng.pick(&[1_800_000, 3_600_000]),
                _ if exit => 600_000,
                _ => 60_000,
            },
            timestamp: rng.chance(500).then_some(now),
            address: ADDRESS,
            header_key: rng.chance(120).then(|| format!("header-{number}")),
            prefer: rng.chance(150).then_some("wait=2"),
            body: String::new(),
            identity: String::new(),
            content: String::new(),
            window: 0,
        }
    }

    /// Writes the body.
    fn finish(&mut self, rng: &Rng, now: i64, number: usize) {
        let mut fields = vec![
            format!(r#""symbol":"{}""#, self.symbol),
            format!(r#""action":"{}""#, self.ask.word()),
        ];
        let target = match self.ask {
            Ask::TargetLong => Some("long"),
            Ask::TargetShort => Some("short"),
            Ask::TargetFlat => Some("flat"),
            _ => None,
        };
        if let Some(target) = target {
            fields.push(format!(r#""marketPosition":"{target}""#));
        }
        match (self.size, target) {
            (Some(size), Some(_)) => fields.push(format!(r#""marketPositionSize":{size}"#)),
            (Some(size), None) if self.quote => {
                fields.push(format!(r#""quantity":{size},"quantityType":"quote""#));
            }
            (Some(size), None) => fields.push(format!(r#""quantity":"{size}""#)),
            (None, _) => {}
        }
        if self.limit {
            let price = Decimal::new(rng.range(960, 1_040), 1);
            self.price = Some(price);
            let terms = ["GTC", "GTC", "IOC", "FOK"];
            fields.push(format!(r#""orderType":"limit","price":{price}"#));
            if rng.chance(150) {
                fields.push(r#""postOnly":true"#.to_owned());
            } else {
                fields.push(format!(r#""timeInForce":"{}""#, rng.pick(&terms)));
            }
        }
        if let Some((_, prev)) = self.states.filter(|_| self.ask.is_target()) {
            let side = side_of(prev);
            fields.push(format!(
                r#""prevMarketPosition":"{side}","prevMarketPositionSize":"{}""#,
                prev.abs()
            ));
        }
        if self.reduce_only {
            fields.push(r#""reduceOnly":true"#.to_owned());
        }
        if let Some(strategy) = self.strategy {
            fields.push(format!(r#""strategy":"{strategy}""#));
        }
        if let Some(order) = &self.order_id {
            fields.push(format!(r#""orderId":"{order}""#));
        }
        if self.ask.is_entry() && self.wrong != Some(Wrong::Field) && rng.chance(150) {
            fields.push(format!(r#""leverage":{}"#, rng.range(1, 20)));
        }
        let usual = if self.is_entry() { 60_000 } else { 600_000 };
        if self.max_lag != usual {
            fields.push(format!(r#""maxLag":{}"#, self.max_lag / 1_000));
        }
        if self.dry_run {
            fields.push(r#""dryRun":true"#.to_owned());
        }
        if rng.chance(200) {
            fields.push(format!(r#""account":"{}""#, rng.pick(&ACCOUNT_NAMES)));
        }
        match self.wrong {
            Some(Wrong::Placeholder) => {
                fields.push(r#""comment":"{{strategy.order.comment}}""#.to_owned());
            }
            Some(Wrong::Stale) => self.timestamp = Some(now - self.max_lag - 120_000),
            Some(Wrong::Address) => self.address = STRANGE_ADDRESS,
            Some(Wrong::Field) => fields.push(r#""leverage":"high""#.to_owned()),
            Some(Wrong::Unsupported) => {
                fields.push(r#""market":"spot""#.to_owned());
            }
            _ => {}
        }
        let whole = match self.ask {
            Ask::Close | Ask::CloseLong | Ask::CloseShort => self.size.is_none(),
            Ask::TargetFlat => true,
            _ => false,
        };
        if whole && matches!(self.wrong, Some(Wrong::Placeholder | Wrong::Field)) {
            // An exit of everything gets out whatever else its alert says.
            self.wrong = None;
        }
        if let Some(at) = self.timestamp {
            self.timestamp = Some(at / 1_000 * 1_000);
            fields.push(format!(r#""timestamp":{}"#, iso(at)));
        }
        let own_key = rng.chance(200).then(|| format!("key-{number}"));
        if let Some(key) = &own_key {
            fields.push(format!(r#""idempotencyKey":"{key}""#));
        }
        // An unknown field tells a static alert from the next one, as a strategy's name would.
        if self.timestamp.is_some() || rng.chance(600) {
            fields.push(format!(r#""note":"{number}""#));
        }
        // The body's key comes first, as in the contract.
        self.identify(own_key, fields.join(","));
    }

    fn identify(&mut self, own_key: Option<String>, content: String) {
        if own_key.is_some() {
            self.header_key = None;
        }
        let key = own_key.or_else(|| self.header_key.clone());
        self.window = if key.is_some() || self.timestamp.is_some() {
            LONG_WINDOW_MS
        } else {
            SHORT_WINDOW_MS
        };
        self.identity = key.unwrap_or_else(|| content.clone());
        let passkey = match self.wrong {
            Some(Wrong::Key) => "hoox_wrong",
            _ => PASSKEYS[self.sender],
        };
        self.body = format!(r#"{{"apiKey":"{passkey}",{content}}}"#);
        if self.wrong == Some(Wrong::Json) {
            self.body.truncate(self.body.len() - 2);
        }
        self.content = content;
    }

    /// Has another sender send it.
    pub(crate) fn set_sender(&mut self, sender: usize) {
        let (old, new) = (PASSKEYS[self.sender], PASSKEYS[sender]);
        self.sender = sender;
        self.body = self.body.replace(old, new);
    }

    /// An alert with the same key and other content.
    pub(crate) fn with_other_content(&self, number: usize) -> Option<Self> {
        let key = self.identity.clone();
        if key == self.content || self.wrong.is_some() {
            return None;
        }
        let mut other = self.clone();
        let content = format!(r#"{},"changed{number}":true"#, self.content);
        let own = other.header_key.is_none().then_some(key);
        other.identify(own, content);
        Some(other)
    }
}

/// Symbols of one run.
pub(crate) fn few_symbols(rng: &Rng) -> Vec<&'static str> {
    let count = rng.range(1, 3) as usize;
    let first = rng.below(SYMBOLS.len());
    (0..count)
        .map(|place| SYMBOLS[(first + place) % SYMBOLS.len()])
        .collect()
}
