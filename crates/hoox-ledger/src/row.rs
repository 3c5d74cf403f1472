//! Rows of the Ledger's tables and how they are read and written.

use core::cell::Cell;

use hoox_mesh::{LegView, LegsView, OrderView, SignalStatus, SignalView};
use hoox_model::{
    Amount, ClientOrderId, Code, Decimal, Effect, Fill, Name, OrderSpec, PositionSide, Price,
    Product, Quantity, RequestId, SignalId, Symbol, Timestamp,
};
use hoox_risk::Refused;
use hoox_signal::{Action, Signal};
use hoox_store::Value;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::exit::{Exit, opens_after};
use crate::port::{LedgerError, Store};

/// A row as it comes from the store, read by position.
#[derive(Debug)]
pub(crate) struct Cells(Vec<Value>);

impl Cells {
    pub(crate) fn text(&self, index: usize) -> Result<&str, LedgerError> {
        match self.0.get(index) {
            Some(Value::Text(text)) => Ok(text),
            other => Err(LedgerError::Corrupt(format!(
                "column {index} holds {other:?}, not a text"
            ))),
        }
    }

    pub(crate) fn integer(&self, index: usize) -> Result<i64, LedgerError> {
        match self.0.get(index) {
            Some(Value::Integer(number)) => Ok(*number),
            other => Err(LedgerError::Corrupt(format!(
                "column {index} holds {other:?}, not an integer"
            ))),
        }
    }

    pub(crate) fn integer_or_null(&self, index: usize) -> Result<Option<i64>, LedgerError> {
        match self.0.get(index) {
            Some(Value::Null) => Ok(None),
            _ => self.integer(index).map(Some),
        }
    }

    pub(crate) fn parsed<T>(&self, index: usize) -> Result<T, LedgerError>
    where
        T: core::str::FromStr,
        T::Err: core::fmt::Display,
    {
        self.text(index)?
            .parse()
            .map_err(|error| LedgerError::Corrupt(format!("{error}")))
    }

    /// A JSON document.
    pub(crate) fn json<T: DeserializeOwned>(&self, index: usize) -> Result<T, LedgerError> {
        from_json(self.text(index)?)
    }

    /// A bare word of an enum.
    pub(crate) fn word<T: DeserializeOwned>(&self, index: usize) -> Result<T, LedgerError> {
        from_word(self.text(index)?)
    }
}

/// All rows of a statement.
pub(crate) fn select(
    store: &impl Store,
    sql: &str,
    params: &[Value],
) -> Result<Vec<Cells>, LedgerError> {
    Ok(store.query(sql, params)?.into_iter().map(Cells).collect())
}

/// The first row of a statement.
pub(crate) fn select_one(
    store: &impl Store,
    sql: &str,
    params: &[Value],
) -> Result<Option<Cells>, LedgerError> {
    Ok(select(store, sql, params)?.into_iter().next())
}

pub(crate) fn from_json<T: DeserializeOwned>(text: &str) -> Result<T, LedgerError> {
    serde_json::from_str(text).map_err(|error| LedgerError::Corrupt(error.to_string()))
}

pub(crate) fn to_json<T: Serialize>(value: &T) -> Result<String, LedgerError> {
    serde_json::to_string(value).map_err(|error| LedgerError::Corrupt(error.to_string()))
}

/// Reads an enum whose serde form is a plain string.
pub(crate) fn from_word<T: DeserializeOwned>(word: &str) -> Result<T, LedgerError> {
    serde_json::from_value(serde_json::Value::String(word.to_owned()))
        .map_err(|error| LedgerError::Corrupt(error.to_string()))
}

pub(crate) fn text(value: impl Into<String>) -> Value {
    Value::Text(value.into())
}

pub(crate) fn flag(value: bool) -> Value {
    Value::Integer(i64::from(value))
}

pub(crate) fn at(value: Timestamp) -> Value {
    Value::Integer(value.as_millis())
}

/// Where an order stands in the Ledger's own words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderState {
    /// Stored, not sent.
    Planned,
    /// On its way, or sent with an outcome that is being looked up.
    Sending,
    /// The venue has it; nothing filled.
    Acknowledged,
    /// The venue has it; partly filled and still open.
    PartlyFilled,
    /// Completely filled.
    Filled,
    /// Ended before it was completely filled.
    Cancelled,
    /// Refused by the venue.
    Rejected,
    /// Could not be found out in time.
    Unknown,
    /// Never sent: an earlier leg, the kill switch or staleness forbade it.
    Skipped,
}

impl OrderState {
    /// The state as it stands in rows, answers and records.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Sending => "sending",
            Self::Acknowledged => "acknowledged",
            Self::PartlyFilled => "partly_filled",
            Self::Filled => "filled",
            Self::Cancelled => "cancelled",
            Self::Rejected => "rejected",
            Self::Unknown => "unknown",
            Self::Skipped => "skipped",
        }
    }

    /// Whether the Ledger does nothing more about it by itself.
    pub const fn is_final(self) -> bool {
        matches!(
            self,
            Self::Filled | Self::Cancelled | Self::Rejected | Self::Unknown | Self::Skipped
        )
    }
}

/// What a signal's row keeps as JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SignalData {
    /// Name of the account when the signal came.
    pub account: Name,
    /// What it asks for.
    pub signal: Signal,
    /// The alert's JSON without the key.
    pub body: String,
    /// What the sender should know about its alert.
    #[serde(default)]
    pub notes: Vec<String>,
    /// Why it ended as it did.
    #[serde(default)]
    pub code: Option<Code>,
    /// The same as a sentence.
    #[serde(default)]
    pub message: Option<String>,
    /// Legs decided for a dry run, which never become orders.
    #[serde(default)]
    pub dry_run: Vec<OrderView>,
    /// The signal that a replay made of it.
    #[serde(default)]
    pub replayed_as: Option<SignalId>,
    /// Version of the manifest by which it was taken.
    #[serde(default)]
    pub manifest_version: u64,
    /// Its identity's key, which is freed where it is refused for the switch only.
    #[serde(default)]
    pub identity: Option<String>,
    /// What it closes, where it closes anything.
    #[serde(default)]
    pub exit: Option<Exit>,
    /// Why nothing is opened, where that is known before the opening leg is planned.
    #[serde(default)]
    pub opening_refused: Option<Refused>,
    /// Whether it ended without all that it promised: then it is no success, whatever was filled.
    #[serde(default)]
    pub incomplete: bool,
    /// The order of it that the venue is known to have, and until when exits wait for it whatever its look-ups say.
    #[serde(default)]
    pub known: Option<Known>,
    /// How many resting orders a `cancel` has asked the venue to end.
    #[serde(default)]
    pub cancelled: u32,
    /// When it last had the one call that goes out in a pause.
    #[serde(default)]
    pub called_at: Option<Timestamp>,
}

/// An order that the venue took or showed, and that has not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Known {
    /// Its number within the signal.
    pub leg: u32,
    /// Until when its end is waited for.
    pub until: Timestamp,
}

/// One journaled signal, its job included.
#[derive(Debug, Clone, PartialEq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a column of the row, and a question of its own"
)]
pub struct SignalRow {
    /// Order of arrival.
    pub seq: i64,
    /// Its id.
    pub id: SignalId,
    /// The request that brought it.
    pub request_id: RequestId,
    /// Who sent it.
    pub sender: Name,
    /// What it trades as.
    pub product: Product,
    /// What it trades.
    pub symbol: Symbol,
    /// Whether it can make a position larger.
    pub entry: bool,
    /// Where it stands.
    pub status: SignalStatus,
    /// Whether work is left.
    pub open: bool,
    /// Whether later signals of the symbol wait for it.
    pub blocking: bool,
    /// When the next step is due.
    pub due_at: Timestamp,
    /// Steps in a row that failed.
    pub attempts: u32,
    /// When the gateway received it.
    pub received_at: Timestamp,
    /// After this moment nothing of it is sent.
    pub deadline: Timestamp,
    /// Rises with every change.
    pub revision: i64,
    /// Whether it waits for an operator.
    pub dead: bool,
    /// Whether the next thing it does only closes. Such a signal does not wait for entries in doubt.
    pub closing: bool,
    /// Until when exits wait for it.
    pub holds_until: Timestamp,
    /// The sides whose openings by older signals it forbids.
    pub fences: Fences,
    /// The strategy that its alert names; empty without one.
    pub strategy: String,
    /// When its alert fired by its own word, where that is no bar's time.
    pub alert_at: Option<Timestamp>,
    /// Whether it cannot go on now: in doubt, or put off. Not stored; exits then do not wait for it.
    pub held_up: bool,
    /// What of it an index has, as it was read or written last.
    pub indexed: Cell<Indexed>,
    /// The rest.
    pub data: SignalData,
}

/// What of a row decides whether an index has it. It is written only where it has changed, because an index is written
/// anew with whatever a statement sets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Indexed {
    open: bool,
    dead: bool,
    fences: Fences,
}

/// The sides whose openings by older signals a full exit forbids.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Fences {
    /// None: it is no full exit.
    #[default]
    None,
    /// Those of long positions.
    Long,
    /// Those of short positions.
    Short,
    /// Both.
    Both,
}

impl Fences {
    /// Of a full exit of a side, or of whichever is held.
    pub(crate) const fn of(side: Option<PositionSide>) -> Self {
        match side {
            Some(PositionSide::Long) => Self::Long,
            Some(PositionSide::Short) => Self::Short,
            None => Self::Both,
        }
    }

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Long => "long",
            Self::Short => "short",
            Self::Both => "both",
        }
    }

    fn named(word: &str) -> Self {
        match word {
            "long" => Self::Long,
            "short" => Self::Short,
            "both" => Self::Both,
            _ => Self::None,
        }
    }
}

const SIGNAL_COLUMNS: &str = "seq, id, request_id, sender, product, symbol, entry, status, open, blocking, \
     due_at, attempts, received_at, deadline, revision, data, dead, closing, holds_until, fences, strategy, alert_at";

/// How long exits wait for an entry that goes on as it should.
const HOLD_MS: i64 = 2_000;
/// A step that comes sooner than this is one after the other.
const SOON_MS: i64 = 1_000;
/// How long after the venue took or showed an order exits wait for its end, while look-ups are slow or fail.
const KNOWN_MS: i64 = 10_000;

impl SignalRow {
    /// The cells of one row by a condition, unread.
    pub(crate) fn find_cells(
        store: &impl Store,
        condition: &str,
        params: &[Value],
    ) -> Result<Option<Cells>, LedgerError> {
        let sql = format!("SELECT {SIGNAL_COLUMNS} FROM signal WHERE {condition} LIMIT 1");
        select_one(store, &sql, params)
    }

    /// Id, product and symbol of a row that may not be readable otherwise.
    pub(crate) fn place(cells: &Cells) -> Result<[&str; 3], LedgerError> {
        Ok([cells.text(1)?, cells.text(4)?, cells.text(5)?])
    }

    /// Reads a row.
    pub(crate) fn read(cells: &Cells) -> Result<Self, LedgerError> {
        let mut row = Self {
            seq: cells.integer(0)?,
            id: cells.parsed(1)?,
            request_id: cells.parsed(2)?,
            sender: cells.parsed(3)?,
            product: cells.word(4)?,
            symbol: cells.parsed(5)?,
            entry: cells.integer(6)? != 0,
            status: cells.word(7)?,
            open: cells.integer(8)? != 0,
            blocking: cells.integer(9)? != 0,
            due_at: Timestamp::from_millis(cells.integer(10)?),
            attempts: u32::try_from(cells.integer(11)?).unwrap_or(u32::MAX),
            received_at: Timestamp::from_millis(cells.integer(12)?),
            deadline: Timestamp::from_millis(cells.integer(13)?),
            revision: cells.integer(14)?,
            data: cells.json(15)?,
            dead: cells.integer(16)? != 0,
            closing: cells.integer(17)? != 0,
            holds_until: Timestamp::from_millis(cells.integer(18)?),
            fences: Fences::named(cells.text(19)?),
            strategy: cells.text(20)?.to_owned(),
            alert_at: cells.integer_or_null(21)?.map(Timestamp::from_millis),
            held_up: false,
            indexed: Cell::default(),
        };
        row.indexed.set(row.index());
        // An equal close that is carried out with it has moved the deadline, perhaps while a step was under way.
        if let Some(exit) = row.data.exit.as_mut().filter(|_| !row.entry) {
            exit.lives_until = exit.lives_until.max(row.deadline);
        }
        Ok(row)
    }

    /// Reads one by a condition.
    pub(crate) fn find(
        store: &impl Store,
        condition: &str,
        params: &[Value],
    ) -> Result<Option<Self>, LedgerError> {
        Self::find_cells(store, condition, params)?
            .map(|cells| Self::read(&cells))
            .transpose()
    }

    /// Reads one by its id.
    pub(crate) fn by_id(store: &impl Store, id: &SignalId) -> Result<Option<Self>, LedgerError> {
        Self::find(store, "id = +?1", &[text(id.as_str())])
    }

    /// Reads another signal than the one that is carried out; `None` as well where its row cannot be read, which must
    /// not hold this one up.
    pub(crate) fn readable(store: &impl Store, id: &SignalId) -> Result<Option<Self>, LedgerError> {
        match Self::by_id(store, id) {
            Err(LedgerError::Corrupt(_)) => Ok(None),
            found => found,
        }
    }

    /// Signals of a symbol with work left that were taken before a moment in the order of arrival.
    pub(crate) fn open_before(
        store: &impl Store,
        product: Product,
        symbol: &Symbol,
        seq: i64,
    ) -> Result<Vec<Self>, LedgerError> {
        let sql = "SELECT id FROM signal WHERE open = 1 AND product = +?1 AND symbol = +?2 AND seq < +?3 ORDER BY seq";
        Self::open_of(store, sql, product, symbol, seq)
    }

    /// The same of signals that were taken after it.
    pub(crate) fn open_after(
        store: &impl Store,
        product: Product,
        symbol: &Symbol,
        seq: i64,
    ) -> Result<Vec<Self>, LedgerError> {
        let sql = "SELECT id FROM signal WHERE open = 1 AND product = +?1 AND symbol = +?2 AND seq > +?3 ORDER BY seq";
        Self::open_of(store, sql, product, symbol, seq)
    }

    fn open_of(
        store: &impl Store,
        sql: &str,
        product: Product,
        symbol: &Symbol,
        seq: i64,
    ) -> Result<Vec<Self>, LedgerError> {
        let found = select(
            store,
            sql,
            &[
                text(product.as_str()),
                text(symbol.as_str()),
                Value::Integer(seq),
            ],
        )?;
        let mut open = Vec::with_capacity(found.len());
        for cells in &found {
            open.extend(Self::readable(store, &cells.parsed(0)?)?);
        }
        Ok(open)
    }

    /// Inserts a new row; `seq` is the store's to give.
    pub(crate) fn insert(&self, store: &impl Store) -> Result<(), LedgerError> {
        store.query(
            "INSERT INTO signal (id, request_id, sender, product, symbol, entry, status, open, blocking, due_at, \
             attempts, received_at, deadline, revision, data, dead, closing, holds_until, fences, strategy, alert_at) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21)",
            &[
                text(self.id.as_str()),
                text(self.request_id.as_str()),
                text(self.sender.as_str()),
                text(self.product.as_str()),
                text(self.symbol.as_str()),
                flag(self.entry),
                text(self.status.as_str()),
                flag(self.open),
                flag(self.blocking),
                at(self.due_at),
                Value::Integer(i64::from(self.attempts)),
                at(self.received_at),
                at(self.deadline),
                Value::Integer(self.revision),
                text(to_json(&self.data)?),
                flag(self.dead),
                flag(self.closing),
                at(self.holds_until),
                text(self.fences.as_str()),
                text(self.strategy.as_str()),
                self.alert_at.map_or(Value::Null, at),
            ],
        )?;
        self.indexed.set(self.index());
        Ok(())
    }

    /// Until when exits wait for it: while it is carried out, one step after the other, and for a while also where the
    /// venue is known to have an order of it whose end is not known.
    pub(crate) fn hold(&self, now: Timestamp) -> Timestamp {
        let never = Timestamp::from_millis(0);
        if !(self.blocking && self.open) {
            return never;
        }
        let known = self.data.known.map_or(never, |known| known.until);
        let goes_on = !self.held_up && self.attempts == 0;
        if goes_on && (self.closing || self.due_at <= now.plus_millis(SOON_MS)) {
            known.max(now.max(self.due_at).plus_millis(HOLD_MS))
        } else {
            known
        }
    }

    /// Notes whether the venue is known to have `order`, which has just changed.
    pub(crate) fn follow(&mut self, order: &OrderRow) {
        let at_venue = matches!(
            order.state,
            OrderState::Acknowledged | OrderState::PartlyFilled
        );
        let seen = order.data.seen_at.filter(|_| at_venue);
        if let Some(seen) = seen {
            self.data.known = Some(Known {
                leg: order.leg,
                until: seen.plus_millis(KNOWN_MS),
            });
        } else if self.data.known.is_some_and(|known| known.leg == order.leg) {
            self.data.known = None;
        }
    }

    const fn index(&self) -> Indexed {
        Indexed {
            open: self.open,
            dead: self.dead,
            fences: self.fences,
        }
    }

    /// Writes what can change.
    pub(crate) fn update(&self, store: &impl Store, now: Timestamp) -> Result<(), LedgerError> {
        let mut params = vec![
            text(self.id.as_str()),
            text(self.status.as_str()),
            flag(self.blocking),
            at(self.due_at),
            Value::Integer(i64::from(self.attempts)),
            Value::Integer(self.revision),
            text(to_json(&self.data)?),
            flag(self.closing),
            at(self.hold(now)),
            at(self.deadline),
        ];
        let mut sql = "UPDATE signal SET status = ?2, blocking = ?3, due_at = ?4, attempts = ?5, revision = ?6, \
                       data = ?7, closing = ?8, holds_until = ?9, deadline = MAX(deadline, ?10)"
            .to_owned();
        if self.indexed.replace(self.index()) != self.index() {
            sql.push_str(", open = ?11, dead = ?12, fences = ?13");
            params.extend([flag(self.open), flag(self.dead), text(self.fences.as_str())]);
        }
        sql.push_str(" WHERE id = +?1");
        store.query(&sql, &params)?;
        if !self.blocking {
            store.memory().unblock(&self.id);
        }
        Ok(())
    }

    /// Until when an order of it may be sent: what closes lives as long as an exit does.
    pub(crate) fn order_deadline(&self, effect: Effect) -> Timestamp {
        match (&self.data.exit, effect) {
            (Some(exit), Effect::Close) => exit.lives_until,
            _ => self.deadline,
        }
    }

    /// Until when the next thing it does may be sent: a flip of what may be held has an exit's life until it has
    /// closed.
    pub(crate) fn life(&self) -> Timestamp {
        match &self.data.exit {
            // While it only waits for older entries nothing of it can come too late.
            Some(exit) if exit.waits && !exit.done => Timestamp::from_millis(i64::MAX),
            Some(exit) if !exit.done && (!opens_after(self) || exit.may_hold()) => exit.lives_until,
            _ => self.deadline,
        }
    }

    /// Whether it is a `cancel` that is not done yet.
    pub(crate) fn cancels(&self) -> bool {
        self.data.signal.action == Action::Cancel && !self.status.is_final()
    }

    /// Whether it is a `cancel` that takes back what `other`, an older signal, leaves or would leave at the venue.
    pub(crate) fn takes_back(&self, other: &Self) -> bool {
        let (own, named) = (&self.data.signal, &other.data.signal);
        let all = own.order_id.is_none();
        own.action == Action::Cancel
            && (all || (other.sender == self.sender && named.order_id == own.order_id))
            && crate::decide::may_rest(named.order)
            && !named.dry_run
            && !self.fired_before(other)
    }

    /// Whether `other` fired after it, by both alerts' own seconds within one strategy.
    pub(crate) fn fired_before(&self, other: &Self) -> bool {
        let second = |row: &Self| row.alert_at.map(|at| at.as_millis().div_euclid(1000));
        let same = self.sender == other.sender && self.strategy == other.strategy;
        same && second(self)
            .zip(second(other))
            .is_some_and(|(own, other)| own < other)
    }

    /// Whether its closing part is still to be done.
    pub(crate) fn exits(&self) -> bool {
        self.data.exit.as_ref().is_some_and(|exit| !exit.done)
    }

    /// Ends the signal's trading part; what is left is recording, and where Hoox could not do what it
    /// should, an operator's decision.
    pub(crate) fn end(
        &mut self,
        status: SignalStatus,
        code: Option<Code>,
        message: Option<String>,
    ) {
        self.status = status;
        self.blocking = false;
        self.closing = false;
        self.attempts = 0;
        // An exit that its sender had the right to when it was taken is still worth an operator's look.
        let withdrawn = status == SignalStatus::Refused && code == Some(Code::NotPermitted);
        let exits = !self.entry && !self.data.signal.dry_run;
        self.dead = is_dead(status, code) || (withdrawn && exits);
        self.data.code = code;
        let differs = status == SignalStatus::NothingToDo && self.data.signal.guarded;
        self.data.message = match message {
            Some(message) if differs => Some(format!("{message}; {DIFFER}")),
            message => message,
        };
    }

    /// The signal as answers show it.
    pub(crate) fn view(&self, orders: &[OrderRow]) -> SignalView {
        let mut views: Vec<OrderView> = orders.iter().map(OrderRow::view).collect();
        views.extend(self.data.dry_run.iter().cloned());
        SignalView {
            signal_id: self.id.clone(),
            status: self.status,
            account: self.data.account.clone(),
            code: self.data.code,
            message: self.data.message.clone(),
            notes: self.data.notes.clone(),
            incomplete: self.data.incomplete,
            legs: self.legs(orders),
            orders: views,
        }
    }
}

/// What it means that an exit by the strategy's own position finds nothing to close.
const DIFFER: &str = "the account does not hold what the strategy says it held: several strategies on one symbol need an \
                      account each";

impl SignalRow {
    /// The legs of a flip, as answers show them; `None` where it is none.
    fn legs(&self, orders: &[OrderRow]) -> Option<LegsView> {
        let opens = self.data.signal.is_entry();
        if !opens || !orders.iter().any(|order| order.data.spec.effect.closes()) {
            return None;
        }
        let leg = |effect: Effect| {
            let mine = || {
                let of_leg = orders.iter().rev();
                of_leg.filter(move |order| order.data.spec.effect == effect)
            };
            let told = mine().find(|order| order.data.code.is_some());
            let refused = self.data.opening_refused.as_ref();
            let refused = refused.filter(|_| effect == Effect::Open);
            let exit = self
                .data
                .exit
                .as_ref()
                .filter(|exit| effect.closes() && exit.done);
            let undone = exit.is_some_and(|exit| exit.is_undone(orders));
            let filled = |order: &OrderRow| order.state == OrderState::Filled;
            let any = || mine().any(|order| !order.data.filled.is_zero());
            let status = match (mine().next(), self.status.is_final()) {
                (Some(last), _) if undone && last.state.is_final() && any() => {
                    OrderState::PartlyFilled.as_str()
                }
                (Some(_), _) if exit.is_some() && !undone => OrderState::Filled.as_str(),
                (Some(last), _) => last.state.as_str(),
                (None, true) => "not_sent",
                (None, false) if refused.is_some() => "not_sent",
                (None, false) => "waiting",
            };
            let done = mine().any(filled) && status == OrderState::Filled.as_str();
            let told = told.filter(|_| !done).map(|order| &order.data);
            // Why not all of it was closed the signal says, where no order of it does.
            let own = undone.then_some(&self.data);
            LegView {
                status: status.to_owned(),
                code: refused
                    .map(|refused| refused.code)
                    .or_else(|| told.and_then(|order| order.code))
                    .or_else(|| own.and_then(|signal| signal.code)),
                error: refused
                    .map(|refused| refused.message.clone())
                    .or_else(|| told.and_then(|order| order.message.clone()))
                    .or_else(|| own.and_then(|signal| signal.message.clone())),
            }
        };
        Some(LegsView {
            close: leg(Effect::Close),
            open: leg(Effect::Open),
        })
    }
}

/// Whether an end is a dead letter: work that was taken on and could not be done, for a reason that is
/// neither the venue's word on the order nor a rule of the trader's own.
const fn is_dead(status: SignalStatus, code: Option<Code>) -> bool {
    matches!(status, SignalStatus::Unknown)
        || matches!(
            code,
            Some(
                Code::Stale
                    | Code::ExitUndone
                    | Code::Unsettled
                    | Code::Unavailable
                    | Code::Location
                    | Code::Credentials
                    | Code::NotConfigured
            )
        )
}

/// What an order's row keeps as JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderData {
    /// The order as it is sent, the same on every repetition.
    pub spec: OrderSpec,
    /// Number of the first leg of the plan it belongs to; a plan may be made anew.
    #[serde(default)]
    pub plan: u32,
    /// How much exits may close of what an entry nets before it is sent, where more would make a position above the limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub may_close: Option<Decimal>,
    /// Sends whose outcome is not known. While there is one, the venue may have the order.
    #[serde(default)]
    pub doubts: u32,
    /// Since when the venue refuses for good to take it once more, while an earlier send is in doubt.
    #[serde(default)]
    pub refused_at: Option<Timestamp>,
    /// Whether our record was what the venue showed when it was planned. Beside another order in doubt it is not: what
    /// others traded meanwhile is in no record, so that this proves nothing of what it may have closed.
    #[serde(default)]
    pub by_record: bool,
    /// Difference between the venue's clock and ours when it was first sent, in milliseconds.
    #[serde(default)]
    pub offset_ms: i64,
    /// When it last went through the fence.
    #[serde(default)]
    pub last_sent_at: Option<Timestamp>,
    /// When the venue last took or showed the order.
    #[serde(default)]
    pub seen_at: Option<Timestamp>,
    /// When the venue was last asked to end it.
    #[serde(default)]
    pub cancel_asked_at: Option<Timestamp>,
    /// How often the venue was asked to end it.
    #[serde(default)]
    pub cancels: u32,
    /// Why it is to be ended, other than by the kill switch.
    #[serde(default)]
    pub cancel_why: Option<String>,
    /// When it is looked up next.
    #[serde(default)]
    pub look_at: Option<Timestamp>,
    /// Since when its look-ups do not show it, while it is known to rest: `seen_at` is old by then, because the account's
    /// list, which shows many orders in one call, writes nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missed_at: Option<Timestamp>,
    /// The venue's own id.
    #[serde(default)]
    pub venue_order_id: Option<String>,
    /// Filled size.
    #[serde(default)]
    pub filled: Quantity,
    /// Mean price of the fills.
    #[serde(default)]
    pub average_price: Option<Price>,
    /// Fees so far.
    #[serde(default)]
    pub fee: Option<Amount>,
    /// Currency of the fees.
    #[serde(default)]
    pub fee_currency: Option<String>,
    /// Why it ended as it did.
    #[serde(default)]
    pub code: Option<Code>,
    /// The same as a sentence.
    #[serde(default)]
    pub message: Option<String>,
    /// When it was stored.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// Size covered by fills that are recorded.
    #[serde(default)]
    pub recorded: Quantity,
    /// Fills that the records are to have, as they were read last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fills: Vec<Fill>,
}

/// One order.
#[derive(Debug, Clone, PartialEq)]
pub struct OrderRow {
    /// The signal it serves.
    pub signal_id: SignalId,
    /// Its number within the signal.
    pub leg: u32,
    /// Where it stands.
    pub state: OrderState,
    /// How often it went through the fence.
    pub fence: i64,
    /// When it first did, sends left out that surely were not done.
    pub sent_at: Option<Timestamp>,
    /// Rises with every change.
    pub revision: i64,
    /// `sent_at` and whether anything can come of it, as they were read or written: an index is written anew with whatever
    /// a statement sets.
    pub indexed: Cell<(Option<Timestamp>, bool)>,
    /// The rest.
    pub data: OrderData,
}

const COLUMNS: &str =
    "SELECT signal_id, leg, state, fence, sent_at, revision, data, live FROM orders";

/// Orders that the venue has and that are open, where later signals do not wait for theirs.
pub(crate) const RESTING: &str = "orders.live = 1 AND orders.state IN ('acknowledged', 'partly_filled') \
     AND EXISTS (SELECT 1 FROM signal AS own WHERE own.id = orders.signal_id AND own.open = 1 AND own.blocking = 0)";

/// The orders of a signal, whose id is the first parameter: theirs begin with it, see [`ClientOrderId::for_leg`].
pub(crate) const OF_SIGNAL: &str =
    "client_order_id > 'hx-' || ?1 || '-' AND client_order_id < 'hx-' || ?1 || '.'";

impl OrderRow {
    /// Its id at the venue.
    pub fn id(&self) -> &ClientOrderId {
        &self.data.spec.client_order_id
    }

    /// It changes now: its record gets a higher revision.
    pub(crate) fn touch(&mut self, now: Timestamp) {
        self.revision = crate::journal::next_revision(self.revision, now);
        self.data.updated_at = now;
    }

    /// The orders of a signal, one of them as it is now, not as it is stored.
    pub(crate) fn of_with(store: &impl Store, changed: &Self) -> Result<Vec<Self>, LedgerError> {
        let mut orders = Self::of(store, &changed.signal_id)?;
        for order in &mut orders {
            if order.id() == changed.id() {
                *order = changed.clone();
            }
        }
        Ok(orders)
    }

    /// The orders of a signal, in the order of their legs.
    pub(crate) fn of(store: &impl Store, signal: &SignalId) -> Result<Vec<Self>, LedgerError> {
        Self::list(
            store,
            &format!("{OF_SIGNAL} ORDER BY leg"),
            &[text(signal.as_str())],
        )
    }

    /// Reads one by its id.
    pub(crate) fn by_id(store: &impl Store, id: &str) -> Result<Option<Self>, LedgerError> {
        Ok(Self::list(store, "client_order_id = +?1", &[text(id)])?.pop())
    }

    /// Orders of a symbol that rest at the venue or may.
    pub(crate) fn at_venue(
        store: &impl Store,
        product: Product,
        symbol: &Symbol,
    ) -> Result<Vec<Self>, LedgerError> {
        Self::list(
            store,
            "live = 1 AND product = +?1 AND symbol = +?2 AND (state IN ('sending', 'acknowledged', 'partly_filled') OR (state = 'planned' AND sent_at IS NOT NULL))",
            &[text(product.as_str()), text(symbol.as_str())],
        )
    }

    /// Orders of all symbols that rest at the venue, and for which nothing waits. Those that cannot be read are left out.
    pub(crate) fn resting(store: &impl Store) -> Result<Vec<Self>, LedgerError> {
        let sql = format!("{COLUMNS} WHERE {RESTING}");
        let mut resting = Vec::new();
        for cells in &select(store, &sql, &[])? {
            match Self::read(cells) {
                Err(LedgerError::Corrupt(_)) => {}
                order => resting.push(order?),
            }
        }
        Ok(resting)
    }

    /// Orders of a symbol of which anything can still come.
    pub(crate) fn live(
        store: &impl Store,
        product: Product,
        symbol: &Symbol,
    ) -> Result<Vec<Self>, LedgerError> {
        Self::list(
            store,
            "live = 1 AND product = +?1 AND symbol = +?2",
            &[text(product.as_str()), text(symbol.as_str())],
        )
    }

    /// Orders of a symbol that were sent after a moment, in the order in which they were.
    pub(crate) fn sent_after(
        store: &impl Store,
        product: Product,
        symbol: &Symbol,
        moment: Timestamp,
    ) -> Result<Vec<Self>, LedgerError> {
        Self::list(
            store,
            "sent_at > +?3 AND product = +?1 AND symbol = +?2 ORDER BY sent_at",
            &[text(product.as_str()), text(symbol.as_str()), at(moment)],
        )
    }

    /// Whether anything can still come of it, an operator's word included.
    fn is_live(&self) -> bool {
        !self.state.is_final() || self.state == OrderState::Unknown
    }

    /// Whether it may be at the venue without anybody knowing; one that waits to be sent once more may be there already.
    pub(crate) fn is_in_doubt(&self) -> bool {
        let sent = matches!(self.state, OrderState::Planned | OrderState::Sending);
        sent && self.data.doubts > 0
    }

    /// What it trades.
    pub(crate) fn place(&self) -> (Product, Symbol) {
        (self.data.spec.product, self.data.spec.symbol.clone())
    }

    /// Whether the venue is known to have it, open.
    pub(crate) const fn is_at_venue(&self) -> bool {
        matches!(
            self.state,
            OrderState::Acknowledged | OrderState::PartlyFilled
        )
    }

    /// Kept out of its callers, which are several.
    #[inline(never)]
    fn list(
        store: &impl Store,
        condition: &str,
        params: &[Value],
    ) -> Result<Vec<Self>, LedgerError> {
        let sql = format!("{COLUMNS} WHERE {condition}");
        select(store, &sql, params)?
            .iter()
            .map(Self::read)
            .collect()
    }

    fn read(cells: &Cells) -> Result<Self, LedgerError> {
        let sent_at = cells.integer_or_null(4)?.map(Timestamp::from_millis);
        Ok(Self {
            signal_id: cells.parsed(0)?,
            leg: u32::try_from(cells.integer(1)?).unwrap_or(u32::MAX),
            state: cells.word(2)?,
            fence: cells.integer(3)?,
            sent_at,
            revision: cells.integer(5)?,
            indexed: Cell::new((sent_at, cells.integer(7)? != 0)),
            data: cells.json(6)?,
        })
    }

    /// Inserts a new row.
    pub(crate) fn insert(&self, store: &impl Store) -> Result<(), LedgerError> {
        let spec = &self.data.spec;
        store.query(
            "INSERT INTO orders (client_order_id, signal_id, leg, product, symbol, closes, state, fence, sent_at, \
             revision, data, live) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, NULL, ?9, ?10, ?11)",
            &[
                text(spec.client_order_id.as_str()),
                text(self.signal_id.as_str()),
                Value::Integer(i64::from(self.leg)),
                text(spec.product.as_str()),
                text(spec.symbol.as_str()),
                flag(spec.effect.closes()),
                text(self.state.as_str()),
                Value::Integer(self.fence),
                Value::Integer(self.revision),
                text(to_json(&self.data)?),
                flag(self.is_live()),
            ],
        )?;
        self.indexed.set((None, self.is_live()));
        Ok(())
    }

    /// Writes what can change; the fence is the fence's own to count.
    pub(crate) fn update(&self, store: &impl Store) -> Result<(), LedgerError> {
        let mut params = vec![
            text(self.id().as_str()),
            text(self.state.as_str()),
            Value::Integer(self.revision),
            text(to_json(&self.data)?),
        ];
        let (sent_at, live) = self.indexed.replace((self.sent_at, self.is_live()));
        let (moved, ended) = (sent_at != self.sent_at, live != self.is_live());
        if ended {
            params.push(flag(self.is_live()));
        }
        if moved {
            params.push(self.sent_at.map_or(Value::Null, at));
        }
        let indexed = match (ended, moved) {
            (false, false) => "",
            (true, false) => ", live = ?5",
            (false, true) => ", sent_at = ?5",
            (true, true) => ", live = ?5, sent_at = ?6",
        };
        let sql = format!(
            "UPDATE orders SET state = ?2, revision = ?3, data = ?4{indexed} WHERE client_order_id = +?1"
        );
        store.query(&sql, &params)?;
        Ok(())
    }

    /// The order as answers show it.
    pub(crate) fn view(&self) -> OrderView {
        let spec = &self.data.spec;
        OrderView {
            client_order_id: spec.client_order_id.clone(),
            symbol: spec.symbol.clone(),
            side: spec.side,
            order_type: spec.kind.as_str().to_owned(),
            quantity: spec.quantity,
            price: spec.kind.price(),
            reduce_only: spec.effect.closes(),
            status: self.state.as_str().to_owned(),
            filled_quantity: self.data.filled,
            average_price: self.data.average_price,
        }
    }
}
