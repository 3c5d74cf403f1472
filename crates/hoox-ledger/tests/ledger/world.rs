//! A Ledger's surroundings on the host: SQLite in memory, a clock that is set by hand, an exchange and
//! records that fail as scripted, and an executor that can drop a run at any await.

use core::cell::{Cell, RefCell};
use core::future::{Future, poll_fn};
use core::pin::pin;
use core::task::{Context, Poll, Waker};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;
use std::sync::{LazyLock, Mutex};

use hoox_auth::{Account, EntryRate, Environment};
use hoox_exchange::{
    Ack, CallBudget, CancelOutcome, Clock, ErrorClass, LookUp, Ticker, Venue, VenueError,
    VenueTraits,
};
use hoox_ledger::{
    Accepted, Driven, Lanes, Ledger, LedgerError, Ports, Random, Records, RowMemory, Store,
    StoreError,
};
use hoox_mesh::route::Accept;
use hoox_mesh::{AccountReport, Configure, KillMode, KillState, Problem, SignalStatus, SignalView};
use hoox_model::{
    Balance, ClientOrderId, Code, Decimal, Fill, Instrument, KeyInfo, OrderSnapshot, OrderSpec,
    Position, Product, Quantity, RequestId, SignalId, Symbol, Timestamp,
};
use hoox_signal::{Alert, Identity, Signal};
use hoox_store::{OutboxRow, Record, SealedRow, Value};

use crate::exchange::Exchange;

pub(crate) const START: i64 = 1_780_000_000_000;
pub(crate) const MINUTE: i64 = 60_000;
/// Indexes that hold only what is open, may be at the venue, or waits for an operator.
const BOUNDED: [&str; 3] = ["signal_lane", "signal_dead", "orders_live"];

/// A port call that leaves the Ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Call {
    SyncClock,
    Instrument,
    Symbols,
    Position,
    Ticker,
    SetLeverage,
    PlaceOrder,
    LookUp,
    OpenOrders,
    Fills,
    Cancel,
    Positions,
    Balances,
    Deliver,
    KeyInfo,
}

/// When a call fails: before it took effect, or after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    Before,
    After,
}

pub(crate) fn error(class: ErrorClass) -> VenueError {
    VenueError::new(class, "TEST", class.as_str())
}

/// What goes wrong.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    /// By call, in order; `None` lets one through.
    pub(crate) script: BTreeMap<Call, VecDeque<Option<(When, VenueError)>>>,
    /// By the number of the port call: the run dies there.
    pub(crate) crash_at: Vec<(usize, When)>,
    /// By the number of the port call: it has no clear answer.
    pub(crate) fail_at: Vec<(usize, When)>,
    /// By the number of the transaction: storage fails.
    pub(crate) store_at: Vec<(usize, When)>,
}

pub(crate) struct World {
    db: rusqlite::Connection,
    now: Cell<i64>,
    seed: Cell<u64>,
    alarm: Cell<Option<i64>>,
    calls: Cell<usize>,
    transactions: Cell<usize>,
    crashed: Cell<bool>,
    statements: Cell<usize>,
    alarms_set: Cell<usize>,
    pub(crate) log: RefCell<Vec<(Call, i64)>>,
    pub(crate) in_flight: Cell<usize>,
    pub(crate) most_in_flight: Cell<usize>,
    pub(crate) faults: RefCell<Faults>,
    pub(crate) exchange: RefCell<Exchange>,
    pub(crate) records: RefCell<Vec<OutboxRow>>,
    pub(crate) no_venue: RefCell<Option<Problem>>,
    pub(crate) offset_seen: Cell<i64>,
    pub(crate) true_offset: Cell<i64>,
    requests: Cell<u64>,
    /// Whether statements come from the Ledger at work, and not from a migration or from a test.
    at_work: Cell<bool>,
    pub(crate) account: RefCell<Account>,
    pub(crate) budget: CallBudget,
    pub(crate) lanes: Lanes,
    pub(crate) rows: RowMemory,
}

/// All ports in one.
#[derive(Clone)]
pub(crate) struct Host(pub(crate) Rc<World>);

impl core::ops::Deref for Host {
    type Target = World;

    fn deref(&self) -> &World {
        &self.0
    }
}

/// What compares with a bare parameter in a condition of a statement, so that `SQLite` plans it anew with every value.
fn compared(sql: &str) -> Option<&str> {
    let condition = sql
        .split_once("WHERE")
        .map_or("", |(_, condition)| condition);
    let words: Vec<&str> = condition.split_whitespace().collect();
    let bare = |pair: &&[&str]| {
        ["=", "<>", "<", "<=", ">", ">=", "LIMIT", "OFFSET"].contains(&pair[0])
            && pair[1].starts_with('?')
    };
    words.windows(2).find(bare).map(|pair| pair[1])
}

impl Host {
    /// A world with a Ledger that knows its account and a switch that is off.
    pub(crate) fn new() -> Self {
        let host = Self::unconfigured();
        host.set_kill(KillMode::Off, 1);
        host
    }

    pub(crate) fn unconfigured() -> Self {
        Self(Rc::new(World {
            db: rusqlite::Connection::open_in_memory().unwrap(),
            now: Cell::new(START),
            seed: Cell::new(7),
            alarm: Cell::new(None),
            calls: Cell::new(0),
            transactions: Cell::new(0),
            crashed: Cell::new(false),
            statements: Cell::new(0),
            alarms_set: Cell::new(0),
            log: RefCell::default(),
            in_flight: Cell::new(0),
            most_in_flight: Cell::new(0),
            faults: RefCell::default(),
            exchange: RefCell::new(Exchange::new()),
            records: RefCell::default(),
            no_venue: RefCell::default(),
            offset_seen: Cell::new(0),
            true_offset: Cell::new(0),
            requests: Cell::new(0),
            at_work: Cell::new(true),
            account: RefCell::new(Self::account()),
            budget: CallBudget::default(),
            lanes: Lanes::default(),
            rows: RowMemory::default(),
        }))
    }

    /// A new instance; where its start fails, the platform starts another one.
    pub(crate) fn ledger(&self) -> Ledger<Self> {
        self.aside(|| {
            (0..5)
                .find_map(|_| Ledger::open(self.clone()).ok())
                .expect("storage comes back")
        })
    }

    pub(crate) fn now(&self) -> i64 {
        self.now.get()
    }

    pub(crate) fn advance(&self, millis: i64) {
        self.now.set(self.now.get() + millis);
    }

    pub(crate) fn alarm(&self) -> Option<i64> {
        self.alarm.get()
    }

    pub(crate) fn calls(&self) -> usize {
        self.calls.get()
    }

    pub(crate) fn count(&self, call: Call) -> usize {
        let log = self.log.borrow();
        log.iter().filter(|(made, _)| *made == call).count()
    }

    /// Calls of the venue after the first `calls` port calls.
    pub(crate) fn venue_calls_since(&self, calls: usize) -> usize {
        let log = self.log.borrow();
        let later = log.iter().skip(calls);
        later.filter(|(call, _)| *call != Call::Deliver).count()
    }

    /// When calls of a kind were made.
    pub(crate) fn times(&self, call: Call) -> Vec<i64> {
        let log = self.log.borrow();
        let made = log.iter().filter(|(made, _)| *made == call);
        made.map(|(_, at)| *at).collect()
    }

    /// Statements of the Ledger so far.
    pub(crate) fn statements(&self) -> usize {
        self.statements.get()
    }

    /// The stored count of the day's rows, whatever the instance remembers.
    pub(crate) fn rows_counted(&self) -> Option<String> {
        let sql = "SELECT value FROM meta WHERE key = 'rows'";
        self.db.query_row(sql, [], |row| row.get(0)).ok()
    }

    /// Alarms that were set so far.
    pub(crate) fn alarms_set(&self) -> usize {
        self.alarms_set.get()
    }

    /// Rows that were written so far.
    pub(crate) fn rows_written(&self) -> i64 {
        let count = "SELECT total_changes()";
        let row = self.db.query_row(count, [], |row| row.get(0));
        row.unwrap()
    }

    pub(crate) fn transactions(&self) -> usize {
        self.transactions.get()
    }

    /// Lets the next call of a kind fail.
    pub(crate) fn fail(&self, call: Call, when: When, error: VenueError) {
        let mut faults = self.faults.borrow_mut();
        let script = faults.script.entry(call).or_default();
        script.push_back(Some((when, error)));
    }

    /// Lets the next call of a kind through, before what is scripted after it.
    pub(crate) fn pass(&self, call: Call) {
        let mut faults = self.faults.borrow_mut();
        faults.script.entry(call).or_default().push_back(None);
    }

    pub(crate) fn sql(&self, sql: &str) -> Vec<Vec<Value>> {
        // It may write past what the instance remembers.
        self.rows.forget();
        self.aside(|| self.query(sql, &[]).unwrap())
    }

    /// The same of a statement that only reads.
    fn read(&self, sql: &str) -> Vec<Vec<Value>> {
        self.aside(|| self.query(sql, &[]).unwrap())
    }

    /// Does what is no part of the Ledger's work: its statements may read whole tables.
    fn aside<T>(&self, work: impl FnOnce() -> T) -> T {
        let before = self.at_work.replace(false);
        let done = work();
        self.at_work.set(before);
        done
    }

    /// Holds a statement that was not seen before against its plan: what grows with the signals of the last
    /// days is searched by an index, or scanned by one that holds only what is open or waits for somebody.
    fn check_plan(&self, sql: &str) {
        static SEEN: LazyLock<Mutex<BTreeSet<String>>> = LazyLock::new(Mutex::default);
        // Migrations run in the transaction that notes their number at its end.
        let schema = "SELECT 1 FROM meta WHERE key = 'schema'";
        let migrated = || self.db.prepare_cached(schema)?.exists([]);
        if !self.at_work.get()
            || SEEN.lock().unwrap().contains(sql)
            || !matches!(migrated(), Ok(true))
        {
            return;
        }
        SEEN.lock().unwrap().insert(sql.to_owned());
        assert_eq!(compared(sql), None, "{sql}");
        let explain = format!("EXPLAIN QUERY PLAN {sql}");
        let mut statement = self.db.prepare(&explain).unwrap();
        let mut rows = statement.raw_query();
        while let Some(row) = rows.next().unwrap() {
            let detail: String = row.get("detail").unwrap();
            let Some(scanned) = detail.strip_prefix("SCAN ") else {
                continue;
            };
            let table = scanned.split(' ').next().unwrap_or_default();
            let small = ["lane", "holding", "CONSTANT"].contains(&table)
                || table.starts_with('(')
                || scanned.contains("VIRTUAL TABLE");
            let bounded = BOUNDED.iter().any(|index| {
                let used = scanned
                    .split(' ')
                    .skip_while(|word| *word != "INDEX")
                    .nth(1);
                used == Some(index)
            });
            assert!(small || bounded, "{detail} in {sql}");
        }
    }

    // What the Ledger is asked.

    pub(crate) fn account() -> Account {
        Account {
            id: "acc-1".parse().unwrap(),
            name: "main".parse().unwrap(),
            namespace: None,
            venue: hoox_model::Venue::Bybit,
            environment: Environment::Sim,
            generation: 1,
            default_product: Product::Linear,
            location_hint: None,
            base_url: Some("http://127.0.0.1:1".to_owned()),
            secret_suffix: None,
            default: true,
            limits: hoox_model::Limits::default(),
        }
    }

    pub(crate) fn set_kill(&self, mode: KillMode, revision: u64) {
        self.configure(1, mode, revision, &["tv"]);
    }

    pub(crate) fn configure(
        &self,
        version: u64,
        mode: KillMode,
        revision: u64,
        senders: &[&str],
    ) -> u32 {
        let report = self.tell(version, senders, self.kill_state(mode, revision, false));
        assert!(!report.unreachable);
        report.in_flight
    }

    /// Engages the switch for entries and has every position closed.
    pub(crate) fn flatten(&self, revision: u64) -> AccountReport {
        self.tell(
            1,
            &["tv"],
            self.kill_state(KillMode::Entries, revision, true),
        )
    }

    fn kill_state(&self, mode: KillMode, revision: u64, flatten: bool) -> KillState {
        KillState {
            mode,
            revision,
            reason: None,
            since: Timestamp::from_millis(self.now()),
            flatten,
            flatten_revision: None,
        }
    }

    /// A later change of the switch that keeps what an earlier one asked for.
    pub(crate) fn keeps_flatten(&self, mode: KillMode, revision: u64, asked: u64) -> AccountReport {
        let kill = KillState {
            flatten_revision: Some(asked),
            ..self.kill_state(mode, revision, true)
        };
        self.tell(1, &["tv"], kill)
    }

    fn tell(&self, version: u64, senders: &[&str], kill: KillState) -> AccountReport {
        let message = Configure {
            manifest_version: version,
            account: self.account.borrow().clone(),
            senders: senders.iter().map(|name| name.parse().unwrap()).collect(),
            kill,
        };
        // A second instance may be in the middle of a run: attach only where the tables are there.
        let known = self.sql("SELECT 1 FROM sqlite_master WHERE name = 'holding'");
        let ledger = if known.is_empty() {
            self.ledger()
        } else {
            Ledger::attach(self.clone())
        };
        ledger.configure(&message).unwrap()
    }

    /// How the switch stands here.
    pub(crate) fn report(&self) -> AccountReport {
        let name = self.account.borrow().name.clone();
        Ledger::attach(self.clone()).report(&name).unwrap()
    }

    /// An alert's body as the gateway would forward it.
    pub(crate) fn message(&self, body: &str) -> Accept {
        let now = Timestamp::from_millis(self.now());
        let alert = Alert::parse(body.as_bytes()).unwrap();
        let signal = Signal::from_alert(&alert, None, now).unwrap();
        let request = self.requests.get() + 1;
        self.requests.set(request);
        let mut random = [0; 10];
        random[2..].copy_from_slice(&request.to_be_bytes());
        Accept {
            request_id: RequestId::new(now, random),
            sender: "tv".parse().unwrap(),
            entry_rate: EntryRate {
                count: 10_000,
                seconds: 60,
            },
            manifest_version: 1,
            account: self.account.borrow().clone(),
            identity: Identity::of(&alert, &signal),
            requires: signal.requires(),
            signal,
            body: alert.journal_json(),
            received_at: now,
            wait_ms: 0,
            past: Vec::new(),
        }
    }

    pub(crate) fn send(&self, body: &str) -> Result<Accepted, Problem> {
        Ledger::attach(self.clone()).accept(&self.message(body))
    }

    pub(crate) fn accept(&self, body: &str) -> SignalId {
        let accepted = self.send(body).unwrap();
        assert!(self.alarm().is_some_and(|at| at <= self.now() + 1_000));
        accepted.id
    }

    /// An order that the venue takes and does not fill, a minute later.
    pub(crate) fn rests(&self, body: &str) -> SignalId {
        let id = self.accept(body);
        self.settle_within(MINUTE);
        assert_eq!(self.status(&id), SignalStatus::Acknowledged);
        id
    }

    pub(crate) fn refused(&self, body: &str) -> Problem {
        self.send(body).unwrap_err()
    }

    pub(crate) fn view(&self, id: &SignalId) -> SignalView {
        Ledger::attach(self.clone()).view(id).unwrap().unwrap().0
    }

    pub(crate) fn status(&self, id: &SignalId) -> SignalStatus {
        self.view(id).status
    }

    pub(crate) fn code(&self, id: &SignalId) -> Option<Code> {
        self.view(id).code
    }

    // Running.

    /// One run to its end; `None` where it crashed, and then the Ledger must be opened anew.
    pub(crate) fn drive_on(&self, ledger: &Ledger<Self>) -> Option<Result<Driven, LedgerError>> {
        // Each run is an event of its own here.
        self.budget.refill();
        self.run(ledger.drive())
    }

    /// Work to its end; `None` where it crashed.
    pub(crate) fn run<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let mut run = pin!(work);
        let mut context = Context::from_waker(Waker::noop());
        for _ in 0..100_000 {
            let polled = run.as_mut().poll(&mut context);
            if self.crashed.get() {
                return None;
            }
            if let Poll::Ready(done) = polled {
                return Some(done);
            }
        }
        panic!("the run waits for something that nobody sends");
    }

    pub(crate) fn drive(&self) -> Driven {
        let ledger = Ledger::attach(self.clone());
        let driven = self.drive_on(&ledger).unwrap().unwrap();
        self.check_alarm();
        driven
    }

    /// Where work is left there is an alarm, and not after the work is due.
    pub(crate) fn check_alarm(&self) {
        let due = self.read(
            "SELECT MIN(due_at) FROM signal AS s WHERE open = 1 AND (blocking = 0 OR NOT EXISTS \
             (SELECT 1 FROM signal AS f WHERE f.open = 1 AND f.blocking = 1 AND f.symbol = s.symbol AND f.seq < s.seq)) \
             ",
        );
        if let Value::Integer(due) = due[0][0] {
            let alarm = self.alarm().expect("work is left and no alarm is set");
            assert!(alarm <= due.max(self.now()), "{alarm} is after {due}");
        }
    }

    /// The alarm that is due goes off.
    pub(crate) fn tick(&self) {
        assert!(self.alarm().is_some_and(|at| at <= self.now()));
        self.alarm.set(None);
        self.rows.forget_alarm();
        self.drive();
    }

    /// What the platform does: alarms in time, a new instance after a crash, until nothing is left or
    /// `limit` milliseconds have passed. An alarm whose handler died comes again.
    pub(crate) fn settle_within(&self, limit: i64) {
        let end = self.now() + limit;
        let mut ledger = self.ledger();
        for _ in 0..20_000 {
            let Some(at) = self.alarm() else { return };
            if at > end {
                self.now.set(end);
                return;
            }
            self.now.set(self.now().max(at));
            self.alarm.set(None);
            self.rows.forget_alarm();
            match self.drive_on(&ledger) {
                Some(Ok(_)) => self.check_alarm(),
                Some(Err(_)) => {
                    // The worker's alarm handler catches it and tries again soon; so does its cron.
                    let again = self.now() + 1_000;
                    self.alarm
                        .set(Some(self.alarm().map_or(again, |set| set.min(again))));
                }
                None => {
                    self.crashed.set(false);
                    self.alarm.set(Some(self.now()));
                    ledger = self.ledger();
                }
            }
        }
        panic!("the Ledger does not come to rest");
    }

    pub(crate) fn settle(&self) {
        self.settle_within(30 * MINUTE);
        assert_eq!(self.alarm(), None, "work is left after 30 minutes");
    }

    /// Changes the switch and says how many orders were in flight.
    pub(crate) fn set_kill_reporting(&self, mode: KillMode, revision: u64) -> u32 {
        self.configure(1, mode, revision, &["tv"])
    }

    /// One run stands still in a call until its lease is over; another one does the work; then the
    /// first one goes on.
    pub(crate) fn stall_and_take_over(&self, call: Call) {
        self.budget.refill();
        let stalled = Ledger::attach(self.clone());
        let mut run = pin!(stalled.drive());
        let mut context = Context::from_waker(Waker::noop());
        while self.count(call) == 0 {
            assert!(run.as_mut().poll(&mut context).is_pending());
        }
        self.advance(25_000);
        self.drive();
        for _ in 0..1_000 {
            if run.as_mut().poll(&mut context).is_ready() {
                return;
            }
        }
        panic!("the stalled run does not end");
    }

    /// Does something while a run is in a call, and lets the run go on.
    pub(crate) fn while_calling<T>(&self, call: Call, work: impl FnOnce() -> T) -> T {
        self.budget.refill();
        let ledger = Ledger::attach(self.clone());
        let mut run = pin!(ledger.drive());
        let mut context = Context::from_waker(Waker::noop());
        let calls = self.count(call);
        while self.count(call) == calls {
            assert!(run.as_mut().poll(&mut context).is_pending());
        }
        let done = work();
        for _ in 0..1_000 {
            if run.as_mut().poll(&mut context).is_ready() {
                return done;
            }
        }
        panic!("the run does not end");
    }

    /// Polls two runs in turns, with time passing between the polls.
    pub(crate) fn interleave(&self, step_ms: i64) {
        self.budget.refill();
        let (one, two) = (Ledger::attach(self.clone()), Ledger::attach(self.clone()));
        let (mut first, mut second) = (pin!(one.drive()), pin!(two.drive()));
        let mut context = Context::from_waker(Waker::noop());
        let (mut a, mut b) = (false, false);
        for _ in 0..100_000 {
            if !a {
                a = first.as_mut().poll(&mut context).is_ready();
            }
            self.advance(step_ms);
            if !b {
                b = second.as_mut().poll(&mut context).is_ready();
            }
            self.advance(step_ms);
            if a && b {
                return;
            }
        }
        panic!("two runs do not come to rest");
    }

    // What is checked.

    /// What holds after every run, whatever went wrong: no order of ours is at the exchange twice, and
    /// what is recorded is what happened there.
    pub(crate) fn check_books(&self) {
        let exchange = self.exchange.borrow();
        let mut seen = std::collections::BTreeSet::new();
        for order in &exchange.orders {
            assert!(
                seen.insert(&order.spec.client_order_id),
                "{order:?} is there twice"
            );
        }
        let mut at_venue: Vec<_> = exchange
            .orders
            .iter()
            .flat_map(|order| order.fills.iter().map(|(id, size, _)| (id.clone(), *size)))
            .collect();
        let mut recorded: Vec<_> = self
            .latest()
            .into_iter()
            .filter_map(|record| match record {
                Record::Fill(fill) => Some((fill.fill_id, fill.quantity.get())),
                _ => None,
            })
            .collect();
        at_venue.sort();
        recorded.sort();
        assert_eq!(
            recorded, at_venue,
            "fills in the records and at the exchange"
        );
        for record in self.latest() {
            match record {
                Record::Order(order) => {
                    let there = exchange
                        .orders
                        .iter()
                        .find(|known| known.spec.client_order_id == order.client_order_id);
                    let filled = there.map_or(Decimal::ZERO, |known| known.filled);
                    assert_eq!(order.filled_quantity.get(), filled, "{order:?}");
                }
                Record::Position(position) => {
                    let held = exchange.held(position.symbol.as_str());
                    assert_eq!(position.quantity.get(), held.abs(), "{position:?}");
                }
                Record::Signal(_) | Record::Fill(_) => {}
            }
        }
        let journaled = self.sql("SELECT id, status FROM signal ORDER BY id");
        let recorded: Vec<_> = self
            .latest()
            .into_iter()
            .filter_map(|record| match record {
                Record::Signal(signal) => Some(vec![
                    Value::Text(signal.id.to_string()),
                    Value::Text(signal.state),
                ]),
                _ => None,
            })
            .collect();
        assert_eq!(
            recorded, journaled,
            "signals in the records and in the journal"
        );
    }

    /// What a store keeps that takes only higher revisions.
    pub(crate) fn latest(&self) -> Vec<Record> {
        let mut kept: BTreeMap<String, (u64, Record)> = BTreeMap::new();
        for row in self.records.borrow().iter() {
            let revision = row.revision.get();
            let key = row.record.key();
            if kept.get(&key).is_none_or(|(known, _)| revision > *known) {
                kept.insert(key, (revision, row.record.clone()));
            }
        }
        kept.into_values().map(|(_, record)| record).collect()
    }

    /// One call that leaves the Ledger: its effect comes with the first poll, its answer with the second.
    async fn call<T>(
        &self,
        call: Call,
        effect: impl FnOnce() -> Result<T, VenueError>,
    ) -> Result<T, VenueError> {
        // A delivery is taken from the budget before it is begun.
        if call != Call::Deliver && !self.budget.take() {
            let text = "no call is left until the next event";
            return Err(VenueError::new(
                ErrorClass::Unavailable,
                VenueError::NOT_SENT,
                text,
            ));
        }
        let number = self.calls.get();
        self.calls.set(number + 1);
        self.log.borrow_mut().push((call, self.now()));
        self.in_flight.set(self.in_flight.get() + 1);
        self.most_in_flight
            .set(self.most_in_flight.get().max(self.in_flight.get()));
        let (crash, fault) = {
            let mut faults = self.faults.borrow_mut();
            let scripted = faults.script.get_mut(&call).and_then(VecDeque::pop_front);
            let crash = faults.crash_at.iter().find(|(at, _)| *at == number);
            let failed = faults.fail_at.iter().find(|(at, _)| *at == number);
            let failed = failed.map(|(_, when)| (*when, error(ErrorClass::Unknown)));
            (crash.map(|(_, when)| *when), scripted.flatten().or(failed))
        };
        let answer = if crash == Some(When::Before) {
            None
        } else {
            match fault {
                Some((When::Before, error)) => Some(Err(error)),
                Some((When::After, error)) => {
                    drop(effect());
                    Some(Err(error))
                }
                None => Some(effect()),
            }
        };
        if crash.is_some() {
            self.crashed.set(true);
        }
        let mut polled = false;
        poll_fn(|context| {
            if crash.is_none() && core::mem::replace(&mut polled, true) {
                return Poll::Ready(());
            }
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
        self.in_flight.set(self.in_flight.get() - 1);
        answer.expect("a crashed call has no answer")
    }
}

impl Store for Host {
    fn query(&self, sql: &str, params: &[Value]) -> Result<Vec<Vec<Value>>, StoreError> {
        use rusqlite::types::Value as Cell;
        let failed = |error: rusqlite::Error| StoreError(format!("{error} in {sql}"));
        self.check_plan(sql);
        if self.at_work.get() {
            self.statements.set(self.statements.get() + 1);
        }
        let mut statement = self.db.prepare_cached(sql).map_err(failed)?;
        let params = params.iter().map(|value| match value {
            Value::Null => Cell::Null,
            Value::Integer(number) => Cell::Integer(*number),
            Value::Text(text) => Cell::Text(text.clone()),
        });
        let width = statement.column_count();
        let rows = statement
            .query_map(rusqlite::params_from_iter(params), |row| {
                (0..width)
                    .map(|index| {
                        Ok(match row.get::<_, Cell>(index)? {
                            Cell::Null => Value::Null,
                            Cell::Integer(number) => Value::Integer(number),
                            Cell::Text(text) => Value::Text(text),
                            other => panic!("{other:?} is no value of ours"),
                        })
                    })
                    .collect()
            })
            .map_err(failed)?;
        rows.collect::<Result<_, _>>().map_err(failed)
    }

    fn transaction(
        &self,
        work: &mut dyn FnMut() -> Result<(), LedgerError>,
    ) -> Result<(), LedgerError> {
        let number = self.transactions.get();
        self.transactions.set(number + 1);
        let fault = {
            let faults = self.faults.borrow();
            let found = faults.store_at.iter().find(|(at, _)| *at == number);
            found.map(|(_, when)| *when)
        };
        let failed = || LedgerError::Store(StoreError("the disk is away".to_owned()));
        let alarm = self.alarm.get();
        self.db.execute_batch("SAVEPOINT work").unwrap();
        let done = match fault {
            // All of it ran, and then the commit failed.
            Some(When::Before) => work().and(Err(failed())),
            _ => work(),
        };
        if done.is_err() {
            self.db
                .execute_batch("ROLLBACK TO work; RELEASE work")
                .unwrap();
            self.alarm.set(alarm);
        } else {
            self.db.execute_batch("RELEASE work").unwrap();
        }
        if fault == Some(When::After) {
            return Err(failed());
        }
        done
    }

    fn set_alarm(&self, at: Timestamp) -> Result<(), StoreError> {
        self.alarm.set(Some(at.as_millis()));
        self.alarms_set.set(self.alarms_set.get() + 1);
        Ok(())
    }

    /// Without the entries of indexes.
    fn written(&self) -> u64 {
        self.db.total_changes() + self.alarms_set.get() as u64
    }

    fn memory(&self) -> &RowMemory {
        &self.rows
    }
}

impl Clock for Host {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.now.get())
    }
}

impl Random for Host {
    fn bytes(&self) -> Result<[u8; 10], StoreError> {
        Ok(core::array::from_fn(|_| {
            // The linear congruential generator of Knuth's MMIX.
            let next = self
                .seed
                .get()
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            self.seed.set(next);
            (next >> 56) as u8
        }))
    }
}

impl Records for Host {
    async fn deliver(&self, rows: &[SealedRow]) -> Result<Vec<usize>, Problem> {
        assert!(rows.len() <= hoox_mesh::route::MAX_INGEST);
        let stored = self.call(Call::Deliver, || {
            let opened = rows.iter().map(SealedRow::open);
            self.records.borrow_mut().extend(opened.flatten());
            let unreadable = rows
                .iter()
                .enumerate()
                .filter(|(_, row)| row.open().is_err());
            Ok(unreadable.map(|(place, _)| place).collect())
        });
        stored
            .await
            .map_err(|error| Problem::new(Code::Internal, error.message))
    }
}

impl Ports for Host {
    type Store = Self;
    type Venue = Self;
    type Clock = Self;
    type Random = Self;
    type Records = Self;

    fn store(&self) -> &Self {
        self
    }

    fn clock(&self) -> &Self {
        self
    }

    fn random(&self) -> &Self {
        self
    }

    fn records(&self) -> &Self {
        self
    }

    async fn sleep(&self, _millis: i64) {
        // Time stands still within a run, so no sleep ends before the call beside it.
        core::future::pending::<()>().await;
    }

    fn budget(&self) -> &CallBudget {
        &self.budget
    }

    fn lanes(&self) -> &Lanes {
        &self.lanes
    }

    fn venue(&self, _account: &Account, clock_offset_ms: i64) -> Result<Self, Problem> {
        self.offset_seen.set(clock_offset_ms);
        match &*self.no_venue.borrow() {
            Some(problem) => Err(problem.clone()),
            None => Ok(self.clone()),
        }
    }
}

impl Venue for Host {
    fn traits(&self) -> VenueTraits {
        VenueTraits {
            venue: hoox_model::Venue::Bybit,
            client_order_ids_unique_for_ever: self.exchange.borrow().manners.unique_ids,
            max_client_order_id: 36,
            closes_all: self.exchange.borrow().manners.closes_all,
        }
    }

    async fn server_time(&self) -> Result<Timestamp, VenueError> {
        Ok(Timestamp::from_millis(self.now() + self.true_offset.get()))
    }

    async fn sync_clock(&self) -> Result<i64, VenueError> {
        self.call(Call::SyncClock, || Ok(self.true_offset.get()))
            .await
    }

    async fn key_info(&self) -> Result<KeyInfo, VenueError> {
        self.call(Call::KeyInfo, || Ok(KeyInfo::default())).await
    }

    async fn instrument(&self, _: Product, symbol: &Symbol) -> Result<Instrument, VenueError> {
        self.call(Call::Instrument, || {
            Ok(self.exchange.borrow().instrument(symbol))
        })
        .await
    }

    async fn symbols(&self, _: Product) -> Result<Vec<Symbol>, VenueError> {
        self.call(Call::Symbols, || {
            let listed = self.exchange.borrow().manners.listed.clone();
            Ok(listed.iter().map(|name| name.parse().unwrap()).collect())
        })
        .await
    }

    async fn position(&self, _: Product, symbol: &Symbol) -> Result<Position, VenueError> {
        self.call(Call::Position, || {
            self.exchange.borrow_mut().one_way(symbol, self.now())
        })
        .await
    }

    async fn positions(&self, _: Product) -> Result<Vec<Position>, VenueError> {
        self.call(Call::Positions, || {
            Ok(self.exchange.borrow_mut().positions(self.now()))
        })
        .await
    }

    async fn balances(&self) -> Result<Vec<Balance>, VenueError> {
        self.call(Call::Balances, || Ok(self.exchange.borrow().balances()))
            .await
    }

    async fn ticker(&self, _: Product, _: &Symbol) -> Result<Ticker, VenueError> {
        self.call(Call::Ticker, || {
            let price = self.exchange.borrow().manners.price.to_string();
            Ok(Ticker {
                last: price.parse().unwrap(),
                mark: None,
            })
        })
        .await
    }

    async fn set_leverage(
        &self,
        _: Product,
        symbol: &Symbol,
        leverage: Decimal,
    ) -> Result<(), VenueError> {
        self.call(Call::SetLeverage, || {
            let mut exchange = self.exchange.borrow_mut();
            exchange.leverage_calls += 1;
            if leverage > Decimal::ONE_HUNDRED {
                let text = "leverage invalid";
                return Err(VenueError::new(ErrorClass::Rejected, "110013", text));
            }
            exchange.leverage.insert(symbol.clone(), leverage);
            Ok(())
        })
        .await
    }

    async fn place_order(&self, spec: &OrderSpec) -> Result<Ack, VenueError> {
        self.call(Call::PlaceOrder, || {
            self.exchange.borrow_mut().place(spec, self.now())
        })
        .await
    }

    async fn look_up(
        &self,
        _: Product,
        _: &Symbol,
        id: &ClientOrderId,
    ) -> Result<LookUp, VenueError> {
        self.call(Call::LookUp, || {
            Ok(self.exchange.borrow_mut().look_up(id, self.now()))
        })
        .await
    }

    async fn open_orders(
        &self,
        _: Product,
        wanted: &[ClientOrderId],
    ) -> Result<Vec<OrderSnapshot>, VenueError> {
        self.call(Call::OpenOrders, || {
            Ok(self.exchange.borrow_mut().open_orders(wanted, self.now()))
        })
        .await
    }

    async fn cancel(
        &self,
        _: Product,
        _: &Symbol,
        id: &ClientOrderId,
    ) -> Result<CancelOutcome, VenueError> {
        self.call(Call::Cancel, || {
            Ok(self.exchange.borrow_mut().cancel(id, self.now()))
        })
        .await
    }

    async fn fills(
        &self,
        _: Product,
        _: &Symbol,
        id: &ClientOrderId,
        _: Quantity,
    ) -> Result<Vec<Fill>, VenueError> {
        self.call(Call::Fills, || {
            Ok(self.exchange.borrow_mut().fills(id, self.now()))
        })
        .await
    }
}
