//! What the Ledgers' own tables say, read from outside. The Ledgers of an account's generations are read as one.

use std::collections::BTreeMap;
use std::rc::Rc;

use hoox_auth::OPERATOR;
use hoox_mesh::SignalStatus;
use hoox_model::{Code, Decimal};
use hoox_store::Value;

use crate::simulate::database::Database;
use crate::simulate::exchange::Order;
use crate::simulate::history::signal_of;
use crate::simulate::world::{ACCOUNTS, World, place_of};

/// One journaled signal.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) seq: i64,
    pub(crate) id: String,
    pub(crate) request: String,
    pub(crate) sender: String,
    pub(crate) symbol: String,
    pub(crate) entry: bool,
    pub(crate) status: SignalStatus,
    pub(crate) open: bool,
    pub(crate) dead: bool,
    pub(crate) received_at: i64,
    pub(crate) code: Option<Code>,
    /// The signal that a replay made of it.
    pub(crate) replayed_as: Option<String>,
    /// Its sentence and its notes.
    pub(crate) words: String,
    /// How many Ledgers of the account were retired by force before the one that took it.
    pub(crate) life: usize,
}

fn rows(database: &Database, sql: &str) -> Vec<Vec<Value>> {
    // An object that nobody ever asked has no tables.
    database
        .run(sql, &[])
        .map(|(rows, _)| rows)
        .unwrap_or_default()
}

fn text(value: &Value) -> String {
    match value {
        Value::Text(text) => text.clone(),
        other => panic!("{other:?} is no text"),
    }
}

fn number(value: &Value) -> i64 {
    match value {
        Value::Integer(number) => *number,
        other => panic!("{other:?} is no number"),
    }
}

/// A value of an enum whose JSON is a word.
fn word<T: serde::de::DeserializeOwned>(word: &str) -> T {
    serde_json::from_value(serde_json::Value::from(word)).unwrap()
}

/// The Ledger of one generation.
pub(crate) fn of_generation(world: &World, account: usize, generation: u32) -> Rc<Database> {
    let place = place_of(account, generation);
    world.objects[place].database.borrow().clone()
}

/// The generation that a Ledger has taken over from.
pub(crate) fn taken_from(world: &World, account: usize, generation: u32) -> Option<u32> {
    let database = of_generation(world, account, generation);
    let found = rows(
        &database,
        "SELECT json_extract(value, '$') FROM meta WHERE key = 'taken_over'",
    );
    let name = text(&found.first()?[0]);
    name.rsplit('/').next()?.parse().ok()
}

/// The generations of an account that no other one has taken over from, the oldest first. Those to come are among them
/// and have no rows.
fn present(world: &World, account: usize) -> Vec<u32> {
    let taken: Vec<u32> = world
        .generations()
        .skip(1)
        .filter_map(|generation| taken_from(world, account, generation))
        .collect();
    let all = world.generations();
    all.filter(|generation| !taken.contains(generation))
        .collect()
}

/// Their Ledgers.
fn databases(world: &World, account: usize) -> impl Iterator<Item = Rc<Database>> {
    let present = present(world, account);
    present
        .into_iter()
        .map(move |generation| of_generation(world, account, generation))
}

/// The Ledger of the newest generation that anybody has used.
pub(crate) fn newest(world: &World, account: usize) -> Rc<Database> {
    let mut all = present(world, account).into_iter();
    let first = all.next().unwrap_or(1);
    let used = |generation: &u32| {
        let database = of_generation(world, account, *generation);
        !rows(&database, "SELECT 1 FROM meta WHERE key = 'config'").is_empty()
    };
    let newest = all.rev().find(used).unwrap_or(first);
    of_generation(world, account, newest)
}

/// What a statement finds in the Ledgers of an account.
fn found(world: &World, account: usize, sql: &str) -> Vec<Vec<Value>> {
    let all = databases(world, account);
    all.flat_map(|database| rows(&database, sql)).collect()
}

/// Every journaled signal of an account, in the order of arrival: as the newest generation has it that knows it.
pub(crate) fn signals(world: &World, account: usize) -> Vec<Row> {
    let mut all: Vec<Row> = Vec::new();
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    for generation in world.generations() {
        let life = world.life_at(account, place_of(account, generation));
        for row in signals_in(&of_generation(world, account, generation)) {
            let place = *places.entry(row.id.clone()).or_insert(all.len());
            let seq = i64::try_from(place).unwrap() + 1;
            let life = all.get(place).map_or(life, |known| known.life);
            let row = Row { seq, life, ..row };
            match all.get_mut(place) {
                Some(known) => *known = row,
                None => all.push(row),
            }
        }
    }
    all
}

/// Every signal that one Ledger has journaled, in the order of arrival.
pub(crate) fn signals_in(database: &Database) -> Vec<Row> {
    let sql = "SELECT seq, id, request_id, sender, symbol, entry, status, open, dead, received_at, \
               json_extract(data, '$.code'), json_extract(data, '$.replayedAs'), \
               COALESCE(json_extract(data, '$.message'), '') || ' ' || COALESCE(json_extract(data, '$.notes'), '') \
               FROM signal ORDER BY seq";
    let found = rows(database, sql);
    let read = |row: &Vec<Value>| Row {
        seq: number(&row[0]),
        id: text(&row[1]),
        request: text(&row[2]),
        sender: text(&row[3]),
        symbol: text(&row[4]),
        entry: number(&row[5]) != 0,
        status: word(&text(&row[6])),
        open: number(&row[7]) != 0,
        dead: number(&row[8]) != 0,
        received_at: number(&row[9]),
        code: match &row[10] {
            Value::Text(code) => Some(word(code)),
            _ => None,
        },
        replayed_as: match &row[11] {
            Value::Text(id) => Some(id.clone()),
            _ => None,
        },
        words: text(&row[12]),
        life: 0,
    };
    found.iter().map(read).collect()
}

/// Closing orders that have passed the fence and of which nothing more is known.
pub(crate) fn fenced(database: &Database) -> Vec<String> {
    let sql = "SELECT client_order_id FROM orders WHERE closes = 1 AND state = 'sending'";
    rows(database, sql)
        .iter()
        .map(|row| text(&row[0]))
        .collect()
}

/// Where every order of an account stands.
pub(crate) fn order_states(world: &World, account: usize) -> Vec<hoox_ledger::OrderState> {
    let found = found(world, account, "SELECT state FROM orders");
    found.iter().map(|row| word(&text(&row[0]))).collect()
}

/// Symbols and what the Ledger believes is held of each.
pub(crate) fn holdings(world: &World, account: usize) -> Vec<(String, String)> {
    let sql = "SELECT symbol, quantity FROM holding ORDER BY symbol";
    let found = rows(&newest(world, account), sql);
    let read = |row: &Vec<Value>| (text(&row[0]), text(&row[1]));
    found.iter().map(read).collect()
}

/// What trading had brought when the Ledger noted the start of the day.
pub(crate) fn day_mark(world: &World, account: usize) -> Option<String> {
    let sql = "SELECT json_extract(value, '$.result') FROM meta WHERE key = 'day_mark'";
    let found = rows(&newest(world, account), sql);
    found.first().map(|row| text(&row[0]))
}

/// How much of each order the Ledger counts as recorded.
fn recorded(world: &World, account: usize) -> BTreeMap<String, Decimal> {
    let sql = "SELECT client_order_id, json_extract(data, '$.recorded') FROM orders";
    let found = found(world, account, sql);
    let read = |row: &Vec<Value>| (text(&row[0]), text(&row[1]).parse().unwrap());
    found.iter().map(read).collect()
}

/// Dead letters of an account.
pub(crate) fn letters(world: &World, account: usize) -> usize {
    found(world, account, "SELECT 1 FROM signal WHERE dead = 1").len()
}

/// Whether a Ledger has anything left to do, as its rows say: what it has handed over is another one's.
pub(crate) fn has_work_in(database: &Database) -> bool {
    let sql = "SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM meta WHERE key = 'closed' AND value LIKE '{_handedOver%') \
               AND (EXISTS (SELECT 1 FROM signal WHERE open = 1) \
               OR EXISTS (SELECT 1 FROM outbox) \
               OR EXISTS (SELECT 1 FROM meta WHERE key = 'flatten' AND json_extract(value, '$.done') = 0 \
                          AND NOT EXISTS (SELECT 1 FROM meta WHERE key = 'kill_mode' AND value = 'all')))";
    !rows(database, sql).is_empty()
}

/// What is left that is not an order resting at the venue, all fills of its signal recorded: signals by id and
/// status, and records.
pub(crate) fn left(world: &World, account: usize) -> Vec<String> {
    let exchange = world.exchange(account);
    let recorded = recorded(world, account);
    // Beside the order that rests there may be others: those that closed what a flip had to close.
    let rests = |id: &str| {
        let known = |order: &Order| recorded.get(order.spec.client_order_id.as_str()).copied();
        let orders = exchange.orders.iter();
        let of_signal: Vec<&Order> = orders
            .filter(|order| signal_of(order.spec.client_order_id.as_str()).0 == id)
            .collect();
        let rests =
            |order: &&Order| order.ended.is_none() && order.may_rest() && known(order).is_some();
        let told = |order: &&Order| known(order).unwrap_or_default() >= order.filled();
        of_signal.iter().any(rests) && of_signal.iter().all(told)
    };
    let mut left: Vec<String> = signals(world, account)
        .into_iter()
        .filter(|row| row.open)
        .filter(|row| !(row.status == SignalStatus::Acknowledged && rests(&row.id)))
        .map(|row| format!("{} is {}", row.id, row.status.as_str()))
        .collect();
    if is_flattening(world, account) {
        left.push("positions are still to be closed".to_owned());
    }
    let unsent = found(world, account, "SELECT key FROM outbox");
    left.extend(
        unsent
            .iter()
            .map(|row| format!("{} is not recorded", text(&row[0]))),
    );
    left
}

/// What a Ledger has under way or keeps for somebody: open signals and dead letters, orders of which anything can come,
/// holdings, identities that stand until a moment; each with its table.
pub(crate) fn kept(database: &Database, until: i64) -> Vec<(&'static str, String)> {
    let identities = format!(
        "SELECT sender || ' ' || key || ' ' || signal_id FROM identity WHERE expires_at > {until}"
    );
    let tables = [
        ("signal", "SELECT id FROM signal WHERE open = 1 OR dead = 1"),
        ("order", "SELECT client_order_id FROM orders WHERE live = 1"),
        ("holding", "SELECT product || ' ' || symbol FROM holding"),
        ("identity", &identities),
    ];
    let of_table = |(table, sql): (&'static str, &str)| {
        let found = rows(database, sql);
        found.into_iter().map(move |row| (table, text(&row[0])))
    };
    tables.into_iter().flat_map(of_table).collect()
}

/// Whether a signal is a close of `flatten`.
pub(crate) fn is_operators(world: &World, account: usize, signal: &str) -> bool {
    let all = signals(world, account);
    let row = all.iter().find(|row| row.id == signal);
    row.is_some_and(|row| row.sender == OPERATOR)
}

/// Whether a Ledger has a row of that name in one of those tables.
pub(crate) fn has(database: &Database, table: &str, name: &str) -> bool {
    let sql = match table {
        "signal" => "SELECT 1 FROM signal WHERE id = ?1",
        "order" => "SELECT 1 FROM orders WHERE client_order_id = ?1",
        "holding" => "SELECT 1 FROM holding WHERE product || ' ' || symbol = ?1",
        // The switch frees the identity of what it refuses.
        _ => {
            "SELECT 1 WHERE EXISTS (SELECT 1 FROM identity WHERE ?1 LIKE sender || ' ' || key || ' %') \
             OR EXISTS (SELECT 1 FROM signal WHERE json_extract(data, '$.code') = 'KILL_SWITCH' AND ?1 LIKE '%' || id)"
        }
    };
    let found = database.run(sql, &[Value::Text(name.to_owned())]);
    found.is_ok_and(|(rows, _)| !rows.is_empty())
}

/// Whether nothing is left to do.
pub(crate) fn is_quiet(world: &World) -> bool {
    let at_rest = |place: usize| {
        let current = world.objects[place].current.borrow();
        current
            .as_ref()
            .is_none_or(|instance| !world.exec.is_busy(instance.id) && instance.is_durable())
    };
    (0..world.objects.len()).all(at_rest)
        && ACCOUNTS
            .into_iter()
            .all(|account| left(world, account).is_empty())
}

/// Whether an account's Ledger is closing every position.
pub(crate) fn is_flattening(world: &World, account: usize) -> bool {
    let sql = "SELECT 1 FROM meta WHERE key = 'flatten' AND json_extract(value, '$.done') = 0";
    !found(world, account, sql).is_empty()
}

/// Whether a Ledger was closed because its account was retired, also where nobody has heard that it was.
pub(crate) fn is_retired(world: &World, account: usize) -> bool {
    let sql = "SELECT 1 FROM meta WHERE key = 'closed' AND value LIKE '{_retired%'";
    !found(world, account, sql).is_empty()
}

/// The revisions of the switch that asked for the work that closes everything, done or not.
pub(crate) fn flattens(world: &World, account: usize) -> Vec<u64> {
    let sql = "SELECT json_extract(value, '$.revision') FROM meta WHERE key = 'flatten'";
    let found = found(world, account, sql);
    let revisions = found.iter().map(|row| u64::try_from(number(&row[0])));
    revisions.collect::<Result<_, _>>().unwrap()
}

/// Symbols that a flatten names as not closed.
pub(crate) fn not_closed(world: &World, account: usize) -> Vec<String> {
    let sql = "SELECT json_extract(part.value, '$.symbol') FROM meta, json_each(meta.value, '$.parts') AS part \
               WHERE meta.key = 'flatten' AND json_extract(part.value, '$.left') = 1";
    let found = found(world, account, sql);
    found.iter().map(|row| text(&row[0]).clone()).collect()
}

/// The signals of an account whose trading part has not ended.
pub(crate) fn working(world: &World, account: usize) -> Vec<String> {
    let sql = "SELECT id, status FROM signal WHERE open = 1";
    let found = found(world, account, sql);
    found
        .iter()
        .filter(|row| !word::<SignalStatus>(&text(&row[1])).is_final())
        .map(|row| text(&row[0]))
        .collect()
}

/// Signals whose outcome could not be found out.
pub(crate) fn unknown(world: &World, account: usize) -> Vec<String> {
    let sql = "SELECT id FROM signal WHERE status = 'unknown'";
    let found = found(world, account, sql);
    found.iter().map(|row| text(&row[0])).collect()
}

/// Exits at work that put their next step off, after the moment at which it is told why they are not done, and have not
/// told it. Not those that rest at the venue or only wait for older entries, nor those whose step storage put off.
pub(crate) fn untold(world: &World, account: usize) -> Vec<String> {
    let sql = "SELECT id FROM signal WHERE open = 1 AND closing = 1 AND entry = 0 \
               AND status IN ('received', 'planned', 'sending') AND json_extract(data, '$.exit.done') = 0 \
               AND json_extract(data, '$.exit.waits') = 0 AND json_extract(data, '$.message') IS NULL \
               AND NOT COALESCE(json_extract(data, '$.signal.dryRun'), 0) \
               AND due_at > json_extract(data, '$.exit.takenAt') + 15000 AND due_at > ?1 + 9000";
    let now = [Value::Integer(world.now())];
    let all = databases(world, account).filter_map(|database| database.run(sql, &now).ok());
    let found = all.flat_map(|(rows, _)| rows);
    found.map(|row| text(&row[0])).collect()
}

/// Adds a field of a later version to everything that is stored as JSON.
pub(crate) fn add_unknown_fields(database: &Database) {
    for sql in [
        "UPDATE signal SET data = json_set(data, '$.fieldOfTheNextVersion', 7)",
        "UPDATE orders SET data = json_set(data, '$.fieldOfTheNextVersion', 7)",
        "UPDATE meta SET value = json_set(value, '$.fieldOfTheNextVersion', 7) WHERE key = 'config'",
    ] {
        database.run(sql, &[]).ok();
    }
    database.commit();
}
