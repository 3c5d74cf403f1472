//! Dead letters: what an operator sees of them and does about them.

use hoox_auth::{EntryRate, OPERATOR};
use hoox_exchange::Clock;
use hoox_mesh::{Accept, DeadLetter, LetterCall, LetterVerb, Problem, Settle, SignalStatus};
use hoox_model::{Code, RequestId, SignalId, Timestamp};
use hoox_risk::Refused;
use hoox_signal::{Identity, WINDOW_LONG_MS};
use hoox_store::Value;
use serde_json::value::RawValue;

use crate::decide;
use crate::drive::Ledger;
use crate::exit::{self, opens_after};
use crate::journal::{self, Config};
use crate::port::{LedgerError, Ports, Store, atomic};
use crate::row::{OrderRow, OrderState, SignalRow, select, text};

/// Letters that one answer lists at most.
const MAX_LETTERS: i64 = 100;

/// Letters and how many wait in all.
#[derive(Debug, Clone, PartialEq)]
pub struct LetterList {
    /// The letters.
    pub items: Vec<DeadLetter>,
    /// How many wait for an operator.
    pub total: u32,
}

/// A refusal of the operator's wish, inside a transaction that then changes nothing.
type Wish<T> = Result<Result<T, Box<Problem>>, LedgerError>;

impl<P: Ports> Ledger<P> {
    /// Does what an operator asks about dead letters. A signal that this Ledger does not know makes an
    /// empty list.
    ///
    /// # Errors
    /// `CONFLICT` where the letter is not in a state that allows it, `BAD_FIELD` for a settlement that
    /// cannot be, what [`accept`](Self::accept) says to a replay, `NOT_CONFIRMED` where storage failed.
    pub fn letters(&self, call: &LetterCall) -> Result<LetterList, Problem> {
        let store = self.ports().store();
        if journal::has_handed_over(store)? {
            return Ok(LetterList {
                items: Vec::new(),
                total: 0,
            });
        }
        let done = match (&call.signal, call.verb) {
            (_, LetterVerb::List) => None,
            (None, _) => {
                let text = format!("{} needs the id of a signal", call.verb.as_str());
                return Err(Problem::new(Code::BadField, text));
            }
            (Some(id), LetterVerb::Show) => Some(id),
            (Some(id), LetterVerb::Settle) => {
                let settle = settlement(call)?;
                self.wish(|row, _, now| self.settle(row, &settle, now), id)?;
                Some(id)
            }
            (Some(id), LetterVerb::Replay) => {
                let request_id = &call.request_id;
                self.wish(
                    |row, config, now| self.replay(row, config, request_id, now),
                    id,
                )?;
                Some(id)
            }
            (Some(id), LetterVerb::Discard) => {
                self.wish(|row, _, now| discard(store, row, now), id)?;
                Some(id)
            }
        };
        let read = || -> Result<LetterList, LedgerError> {
            let items = match done {
                None => list(store)?,
                Some(id) => SignalRow::by_id(store, id)?
                    .map(|row| letter(store, &row))
                    .transpose()?
                    .into_iter()
                    .collect(),
            };
            Ok(LetterList {
                items,
                total: waiting(store)?,
            })
        };
        read().map_err(Problem::from)
    }

    /// Does something with one letter, in one transaction, unless a run is at work on its symbol.
    fn wish(
        &self,
        work: impl Fn(SignalRow, &Config, Timestamp) -> Wish<()>,
        id: &SignalId,
    ) -> Result<(), Problem> {
        let store = self.ports().store();
        let now = self.ports().clock().now();
        let outcome = atomic(store, || {
            let Some(row) = SignalRow::by_id(store, id)? else {
                return Ok(Ok(()));
            };
            let Some(config) = journal::config(store)? else {
                return Ok(Ok(()));
            };
            let (product, symbol) = (row.product.as_str(), row.symbol.as_str());
            // The lane is taken and given back in the same turn: whoever stood still in it has lost it.
            let lanes = self.ports().lanes();
            let Some(lease) = lanes.take(product, symbol, now) else {
                let text = "the symbol is being worked on at this moment; try again";
                return Ok(Err(Box::new(
                    Problem::new(Code::Conflict, text).retry_after(1),
                )));
            };
            let done = work(row, &config, now);
            lanes.release(&lease);
            let done = done?;
            if done.is_ok()
                && let Some(due) = journal::next_alarm(store, lanes, now)?
            {
                journal::wake(store, due, now)?;
            }
            Ok(done)
        });
        match outcome {
            Ok(done) => done.map_err(|problem| *problem),
            Err(error) => Err(error.into()),
        }
    }

    fn settle(&self, mut row: SignalRow, settle: &Settle, now: Timestamp) -> Wish<()> {
        let store = self.ports().store();
        let mut orders = OrderRow::of(store, &row.id)?;
        let Some(order) = orders
            .iter_mut()
            .find(|order| *order.id() == settle.client_order_id)
        else {
            let text = format!("{} has no order {}", row.id, settle.client_order_id);
            return Ok(refuse(
                Problem::new(Code::BadField, text).field("clientOrderId"),
            ));
        };
        if order.state != OrderState::Unknown {
            let text = format!(
                "{} is {}; there is nothing to settle",
                order.id(),
                order.state.as_str()
            );
            return Ok(refuse(Problem::new(Code::Conflict, text)));
        }
        let Some(filled) = settle.filled_quantity else {
            // Once more by the usual way; what is not found is unknown again at once.
            order.state = OrderState::Sending;
            row.status = SignalStatus::Sending;
            (row.open, row.blocking, row.dead) = (true, true, false);
            row.due_at = now;
            journal::save_order(store, order, now)?;
            journal::save_signal(store, &mut row, now)?;
            return Ok(Ok(()));
        };
        let whole = order.data.spec.quantity;
        if filled > whole || filled < order.data.filled {
            let text = format!(
                "{filled} is not possible: the order is of {whole}, and {} of it is known to be filled",
                order.data.filled
            );
            return Ok(refuse(
                Problem::new(Code::BadField, text).field("filledQuantity"),
            ));
        }
        order.state = if filled == whole {
            OrderState::Filled
        } else {
            OrderState::Cancelled
        };
        order.data.filled = filled;
        order.data.average_price = settle.average_price.or(order.data.average_price);
        order.data.code = None;
        order.data.message = Some(format!(
            "settled by the operator: {filled} of {whole} filled"
        ));
        journal::save_order(store, order, now)?;
        let asked = orders.iter().any(|order| !order.state.is_final());
        if asked && !row.status.is_final() {
            // Another order of it is asked about once more: the signal ends when that has an outcome.
            row.due_at = now;
            row.update(store, now)?;
            return Ok(Ok(()));
        }
        // What was filled then is in the venue's position by now; recording takes that over as it is.
        let (status, code, message) = exit::outcome(&row, &orders);
        let closes = |order: &OrderRow| order.data.spec.effect.closes();
        let closed = decide::outcome(&orders).0 == SignalStatus::Filled;
        let (status, code, message) = if closed && opens_after(&row) && orders.iter().all(closes) {
            // A flip is no success unless both of its legs are, and what it would have opened was given up.
            row.data.incomplete = true;
            let refused = row.data.opening_refused.get_or_insert_with(|| {
                let text =
                    "whether the position was closed was not known in time, so nothing was opened";
                Refused::new(Code::Unknown, text)
            });
            let (code, told) = (refused.code, Some(refused.message.clone()));
            let told = exit::with_rest(&row, &orders, told);
            (SignalStatus::PartlyFilled, Some(code), told)
        } else {
            (status, code, message)
        };
        row.end(status, code, message);
        row.dead = status != SignalStatus::Filled;
        row.open = decide::any_filled(&orders);
        row.due_at = now;
        journal::save_signal(store, &mut row, now)?;
        Ok(Ok(()))
    }

    fn replay(
        &self,
        mut row: SignalRow,
        config: &Config,
        request_id: &RequestId,
        now: Timestamp,
    ) -> Wish<()> {
        if row.data.replayed_as.is_some() {
            return Ok(Ok(()));
        }
        let store = self.ports().store();
        let orders = OrderRow::of(store, &row.id)?;
        if let Some(problem) = not_ended(&row, &orders) {
            return Ok(refuse(problem));
        }
        // A close of everything closes what is left; anything else would trade more than it asked for.
        let again = row.data.exit.as_ref().is_some_and(|exit| exit.whole) && !row.entry;
        if decide::any_filled(&orders) && !again {
            let text = "a part of the signal was traded, so it is not decided anew as a whole; \
                        send an alert for the rest and discard this one";
            return Ok(refuse(Problem::new(Code::Conflict, text)));
        }
        let mut signal = row.data.signal.clone();
        // It is as old as the operator's decision.
        signal.timestamp = None;
        // An exit of a sender that was revoked since is the operator's own from here on.
        let revoked = !config.may_trade(&row.sender, row.data.manifest_version);
        let sender = if revoked && !row.entry {
            OPERATOR
                .parse()
                .map_err(|_| LedgerError::Corrupt("the operator's name".to_owned()))?
        } else {
            row.sender.clone()
        };
        let again = Accept {
            request_id: request_id.clone(),
            sender,
            entry_rate: EntryRate {
                count: u32::MAX,
                seconds: 1,
            },
            manifest_version: config.manifest_version,
            account: config.account.clone(),
            past: Vec::new(),
            identity: Identity {
                key: format!("r:{}", row.id),
                content_hash: String::new(),
                window_ms: WINDOW_LONG_MS,
            },
            signal,
            body: row.data.body.clone(),
            received_at: now,
            wait_ms: 0,
            requires: row.data.signal.requires(),
        };
        match self.decide(store, &again, now)? {
            Ok(accepted) => {
                row.dead = false;
                row.data
                    .notes
                    .push(format!("replayed by the operator as {}", accepted.id));
                row.data.replayed_as = Some(accepted.id);
                journal::save_signal(store, &mut row, now)?;
                Ok(Ok(()))
            }
            Err(problem) => Ok(Err(problem)),
        }
    }
}

/// What an operator says about an order.
fn settlement(call: &LetterCall) -> Result<Settle, Problem> {
    let sent = call.settle.as_deref().map_or("null", RawValue::get);
    serde_json::from_str(sent).map_err(|error| {
        let text = format!(
            "{error}; send {{\"clientOrderId\":\"…\",\"filledQuantity\":\"…\"}}, or no filledQuantity to \
             have the venue asked once more"
        );
        Problem::new(Code::BadField, text)
    })
}

fn discard(store: &impl Store, mut row: SignalRow, now: Timestamp) -> Wish<()> {
    let orders = OrderRow::of(store, &row.id)?;
    if let Some(problem) = not_ended(&row, &orders) {
        return Ok(refuse(problem));
    }
    row.dead = false;
    row.data.notes.push("discarded by the operator".to_owned());
    journal::save_signal(store, &mut row, now)?;
    Ok(Ok(()))
}

fn refuse<T>(problem: Problem) -> Result<T, Box<Problem>> {
    Err(Box::new(problem))
}

/// Why a letter can be neither replayed nor discarded.
fn not_ended(row: &SignalRow, orders: &[OrderRow]) -> Option<Problem> {
    let text = if orders
        .iter()
        .any(|order| order.state == OrderState::Unknown)
    {
        "an order of it could not be found out; look at the venue and settle it first"
    } else if row.dead {
        return None;
    } else {
        "it is no dead letter, or not any more"
    };
    Some(Problem::new(Code::Conflict, text))
}

fn list(store: &impl Store) -> Result<Vec<DeadLetter>, LedgerError> {
    let ids = select(
        store,
        "SELECT id FROM signal WHERE dead = 1 ORDER BY seq LIMIT +?1",
        &[Value::Integer(MAX_LETTERS)],
    )?;
    let mut letters = Vec::with_capacity(ids.len());
    for cells in &ids {
        let found = SignalRow::find(store, "id = +?1", &[text(cells.text(0)?)]);
        match found.and_then(|row| row.map(|row| letter(store, &row)).transpose()) {
            Ok(letter) => letters.extend(letter),
            // A row that cannot be read is counted and keeps its symbol's entries closed; it does not
            // hide the others.
            Err(LedgerError::Corrupt(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(letters)
}

fn letter(store: &impl Store, row: &SignalRow) -> Result<DeadLetter, LedgerError> {
    let orders = OrderRow::of(store, &row.id)?;
    Ok(DeadLetter {
        signal: row.view(&orders),
        sender: row.sender.clone(),
        symbol: row.symbol.clone(),
        action: row.data.signal.action.as_str().to_owned(),
        received_at: row.received_at,
        waiting: row.dead,
        unsettled: orders
            .iter()
            .any(|order| order.state == OrderState::Unknown),
        replayed_as: row.data.replayed_as.clone(),
        body: row.data.body.clone(),
    })
}

/// Dead letters that wait for an operator.
pub(crate) fn waiting(store: &impl Store) -> Result<u32, LedgerError> {
    journal::count(store, "SELECT COUNT(*) FROM signal WHERE dead = 1")
}
