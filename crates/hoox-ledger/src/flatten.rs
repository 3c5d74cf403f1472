//! Closing every position, because the kill switch was engaged with `flatten`: a job with a state for each position.
//!
//! Each position is closed by a signal of its own, journaled and carried out like any other; what the venue refuses is
//! tried again later and later, and holds up no other position. The job ends flat or by the switch, never by itself
//! before.

use hoox_auth::{Account, EntryRate, OPERATOR};
use hoox_exchange::{Clock, Venue};
use hoox_mesh::{Accept, FlatState, FlatSymbol, FlattenView, KillMode};
use hoox_model::{
    Code, Effect, Name, Position, PositionSide, Product, Quantity, RequestId, SignalId, Symbol,
    Timestamp,
};
use hoox_signal::{Action, Identity, Signal, SymbolRef, WINDOW_LONG_MS};
use serde::{Deserialize, Serialize};

use crate::drive::{Ledger, left_alone_until, note_ban, put_clock_right};
use crate::exit::{BELIEVED_MS, on_side};
use crate::journal::{self, Config};
use crate::port::{LedgerError, Ports, Random, Store, atomic};
use crate::row::{OrderRow, OrderState, SignalRow};

/// The lane of this work, beside those of the symbols.
const LANE: &str = "flatten";
/// How soon is looked again whether a close has ended; no call to the venue is made for it.
const LOOK_MS: i64 = 500;
/// How soon the venue is asked again for its positions while nothing else is to be done.
const AGAIN_MS: i64 = 2_000;
/// The first wait before a position is closed anew whose close was refused; each is twice the one before.
const FIRST_WAIT_MS: i64 = 1_000;
/// The longest: 15 minutes.
const LONGEST_WAIT_MS: i64 = 900_000;

/// The job. It stays, with its result, until the switch changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Flatten {
    /// Revision of the kill switch that asked for it.
    pub revision: u64,
    /// When the next step is due.
    pub due_at: Timestamp,
    /// Numbers its closes.
    #[serde(default)]
    pub round: u32,
    /// Times in a row that the positions could not be listed.
    #[serde(default)]
    tries: u32,
    /// Why they could not.
    #[serde(default)]
    reason: Option<String>,
    /// When they are listed next.
    #[serde(default = "long_ago")]
    list_at: Timestamp,
    /// The positions that it met.
    #[serde(default)]
    parts: Vec<Part>,
    /// Since when everything is flat, but for what cannot be closed.
    #[serde(default)]
    flat_since: Option<Timestamp>,
    /// Whether nothing is left to do: the venue, whose list may lag, has been asked once more.
    #[serde(default)]
    pub done: bool,
}

/// One position of the job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Part {
    symbol: Symbol,
    side: PositionSide,
    hedged: bool,
    state: FlatState,
    /// The close that is carried out, or was last.
    signal: Option<SignalId>,
    reason: Option<String>,
    tries: u32,
    next_try: Timestamp,
    /// Whether it cannot be closed, so that the job does not wait for it.
    left: bool,
    /// Its size when its last close was made.
    #[serde(default)]
    size: Quantity,
}

impl Flatten {
    /// A job that begins now.
    pub(crate) const fn new(revision: u64, now: Timestamp) -> Self {
        Self {
            revision,
            due_at: now,
            round: 0,
            tries: 0,
            reason: None,
            list_at: now,
            parts: Vec::new(),
            flat_since: None,
            done: false,
        }
    }

    /// Whether everything is flat, but for what cannot be closed.
    pub(crate) const fn is_flat(&self) -> bool {
        self.flat_since.is_some()
    }

    /// The job with a step due now, asked for by this revision as well.
    pub(crate) fn asked(self, revision: u64, now: Timestamp) -> Self {
        Self {
            revision: self.revision.max(revision),
            ..self.due(now)
        }
    }

    /// The job with a step due now.
    pub(crate) fn due(self, now: Timestamp) -> Self {
        Self {
            due_at: now,
            ..self
        }
    }
}

const fn long_ago() -> Timestamp {
    Timestamp::from_millis(0)
}

/// A wait that doubles with each try.
fn wait_ms(tries: u32) -> i64 {
    FIRST_WAIT_MS
        .saturating_mul(1i64 << tries.min(10))
        .min(LONGEST_WAIT_MS)
}

/// How the job stands; `None` where there is none.
pub(crate) fn view(store: &impl Store) -> Result<Option<FlattenView>, LedgerError> {
    let Some(job) = journal::flatten(store)? else {
        return Ok(None);
    };
    let mut symbols = Vec::with_capacity(job.parts.len());
    let mut except = Vec::new();
    for part in &job.parts {
        let shown = shown(store, part)?;
        if part.left {
            except.push(shown);
        } else {
            symbols.push(shown);
        }
    }
    Ok(Some(FlattenView {
        flat: job.is_flat(),
        reason: job.reason,
        symbols,
        except,
    }))
}

/// A position of the job as the operator sees it: while its close goes on, with that one's own words.
fn shown(store: &impl Store, part: &Part) -> Result<FlatSymbol, LedgerError> {
    let mut shown = FlatSymbol {
        symbol: part.symbol.clone(),
        side: part.side,
        state: part.state,
        reason: part.reason.clone(),
        next_try: None,
    };
    let waits = matches!(part.state, FlatState::Refused) && !part.left;
    shown.next_try = waits.then_some(part.next_try);
    if part.state != FlatState::Closing {
        return Ok(shown);
    }
    let row = match &part.signal {
        Some(id) => SignalRow::readable(store, id)?,
        None => None,
    };
    let Some(row) = row else { return Ok(shown) };
    let orders = OrderRow::of(store, &row.id)?;
    let refused = orders
        .last()
        .is_some_and(|order| order.state == OrderState::Rejected);
    if let Some(exit) = &row.data.exit {
        shown.reason.clone_from(&exit.told);
        if refused {
            shown.state = FlatState::Refused;
            shown.next_try = Some(row.due_at);
        }
    }
    Ok(shown)
}

impl<P: Ports> Ledger<P> {
    /// One step of the job, if one is due.
    pub(crate) async fn flatten(&self) -> Result<(), LedgerError> {
        let (store, now) = (self.ports().store(), self.ports().clock().now());
        let (Some(job), Some(config)) = (journal::flatten(store)?, journal::config(store)?) else {
            return Ok(());
        };
        // The mode that stops everything suspends the job.
        if job.done || job.due_at > now || journal::kill_mode(store)? == KillMode::All {
            return Ok(());
        }
        let Some(lease) = self.ports().lanes().take_side(LANE, now) else {
            return self.later(&job, now.plus_millis(LOOK_MS));
        };
        let done = self.round(job, &config).await;
        self.ports().lanes().release(&lease);
        done
    }

    async fn round(&self, mut job: Flatten, config: &Config) -> Result<(), LedgerError> {
        let (store, now) = (self.ports().store(), self.ports().clock().now());
        let before = job.clone();
        let mut ended = false;
        for part in &mut job.parts {
            ended |= Self::follow(store, part, now)?;
        }
        let retry = job
            .parts
            .iter()
            .any(|part| part.state == FlatState::Refused && !part.left && part.next_try <= now);
        if !(ended || retry || job.list_at <= now) {
            return self.keep(&before, job, now);
        }
        if let Some(until) = left_alone_until(self.ports(), Effect::Close)? {
            put_off(&mut job, until);
            return self.keep(&before, job, now);
        }
        let offset = journal::clock_offset(store)?;
        let venue = match self.ports().venue(&config.account, offset) {
            Ok(venue) => venue,
            Err(problem) => return self.unlisted(&before, job, &problem.message, None),
        };
        match venue.positions(Product::Linear).await {
            Ok(held) => {
                job.tries = 0;
                job.reason = None;
                self.close_all(&before, job, config, &held, now)
            }
            Err(error) => {
                note_ban(self.ports(), &error)?;
                let synced = put_clock_right(self.ports(), &venue, &error).await?;
                let words = crate::sending::venue_words(&error);
                let wait = if synced {
                    Some(0)
                } else {
                    error.retry_after_ms
                };
                self.unlisted(&before, job, &words, wait)
            }
        }
    }

    /// Sees what became of the close of a position; whether it has ended.
    fn follow(store: &P::Store, part: &mut Part, now: Timestamp) -> Result<bool, LedgerError> {
        if part.state != FlatState::Closing {
            return Ok(false);
        }
        let row = match &part.signal {
            Some(id) => SignalRow::readable(store, id)?,
            None => None,
        };
        let Some(row) = row else {
            part.state = FlatState::Open;
            return Ok(true);
        };
        if !row.status.is_final() {
            // It goes on when its own step is due.
            part.next_try = row.due_at;
            return Ok(false);
        }
        let Some(code) = row.data.code.filter(|_| row.data.incomplete || row.dead) else {
            part.state = FlatState::Closed;
            part.reason = None;
            return Ok(true);
        };
        part.state = FlatState::Refused;
        part.reason.clone_from(&row.data.message);
        // A refusal about the other side says nothing of this one. Nor does one about less than was shown say anything of
        // all that is held: the position that was read lags behind the list, or has grown since.
        let own = row.data.exit.as_ref().is_none_or(|exit| {
            exit.side.is_none_or(|side| side == part.side) && exit.more.is_zero()
        });
        part.left = own && matches!(code, Code::BelowMinimum | Code::Unsupported);
        part.next_try = now.plus_millis(wait_ms(part.tries));
        part.tries = part.tries.saturating_add(1);
        Ok(true)
    }

    /// The positions could not be listed.
    fn unlisted(
        &self,
        before: &Flatten,
        mut job: Flatten,
        why: &str,
        asked_ms: Option<i64>,
    ) -> Result<(), LedgerError> {
        let now = self.ports().clock().now();
        let wait = match asked_ms {
            Some(0) => 0,
            asked => wait_ms(job.tries).max(asked.unwrap_or(0)),
        };
        job.tries = job.tries.saturating_add(1);
        job.reason = Some(why.to_owned());
        put_off(&mut job, now.plus_millis(wait));
        self.keep(before, job, now)
    }

    /// Journals a close for each position that has none under way. `asked` is when they were asked for.
    fn close_all(
        &self,
        before: &Flatten,
        mut job: Flatten,
        config: &Config,
        held: &[Position],
        asked: Timestamp,
    ) -> Result<(), LedgerError> {
        let store = self.ports().store();
        let now = self.ports().clock().now();
        atomic(store, || {
            if journal::flatten(store)?.as_ref() != Some(before) {
                // A newer word of Control, or another run, was faster.
                return Ok(());
            }
            let mut job = core::mem::replace(&mut job, before.clone());
            let shows = |part: &Part| {
                held.iter()
                    .any(|known| known.symbol == part.symbol && known.side == Some(part.side))
            };
            for part in &mut job.parts {
                if part.state != FlatState::Closing && !shows(part) {
                    part.state = FlatState::Closed;
                    part.reason = None;
                    part.left = false;
                }
            }
            for position in held {
                if self.close(&mut job, config, position, now)? {
                    about(store, &job, position, asked, now)?;
                }
            }
            // What we have just filled a list that lags does not show yet.
            for position in journal::lately_filled(store, now.plus_millis(-BELIEVED_MS))? {
                if !held.iter().any(|known| known.symbol == position.symbol) {
                    self.close(&mut job, config, &position, now)?;
                }
            }
            let left = |part: &Part| part.state != FlatState::Closed && !part.left;
            let moving = journal::in_flight(store)? > 0 || journal::resting_entries(store)? > 0;
            let flat = !moving && !job.parts.iter().any(left);
            // In a pause a list takes the place of an exit's call.
            let seldom = flat || journal::venue_pause(store)? > now;
            job.list_at = now.plus_millis(if seldom { BELIEVED_MS } else { AGAIN_MS });
            let since = job.flat_since.filter(|_| flat);
            job.done = since.is_some_and(|since| now.since(since) >= BELIEVED_MS);
            job.flat_since = since.or_else(|| flat.then_some(now));
            schedule(&mut job, now);
            journal::set_flatten(store, Some(&job))
        })
    }

    /// Journals a close of a position, unless one is under way or must wait; whether it did.
    fn close(
        &self,
        job: &mut Flatten,
        config: &Config,
        position: &Position,
        now: Timestamp,
    ) -> Result<bool, LedgerError> {
        let Some(side) = position.side else {
            return Ok(false);
        };
        let same = |part: &&mut Part| part.symbol == position.symbol && part.side == side;
        let index = job.parts.iter_mut().position(|part| same(&part));
        let index = if let Some(index) = index {
            index
        } else {
            job.parts.push(Part {
                symbol: position.symbol.clone(),
                side,
                hedged: position.hedged,
                state: FlatState::Open,
                signal: None,
                reason: None,
                tries: 0,
                next_try: now,
                left: false,
                size: Quantity::ZERO,
            });
            job.parts.len().saturating_sub(1)
        };
        let round = job.round;
        let Some(part) = job.parts.get_mut(index) else {
            return Ok(false);
        };
        // What could not be closed was of another size.
        part.left &= part.size == position.quantity;
        let waits = part.state == FlatState::Refused && (part.left || part.next_try > now);
        if part.state == FlatState::Closing || waits {
            return Ok(false);
        }
        part.hedged = position.hedged;
        part.size = position.quantity;
        let request_id = RequestId::new(now, self.ports().random().bytes()?);
        let close = close_message(config, job.revision, round, part, request_id, now)?;
        let store = self.ports().store();
        let taken = match self.decide(store, &close, now)? {
            Ok(accepted) => {
                part.state = FlatState::Closing;
                part.signal = Some(accepted.id);
                true
            }
            Err(problem) => {
                part.state = FlatState::Refused;
                part.reason = Some(problem.message);
                part.next_try = now.plus_millis(wait_ms(part.tries));
                part.tries = part.tries.saturating_add(1);
                false
            }
        };
        job.round = round.saturating_add(1);
        Ok(taken)
    }

    /// Writes the job, unless it was changed meanwhile.
    fn keep(&self, before: &Flatten, mut job: Flatten, now: Timestamp) -> Result<(), LedgerError> {
        let store = self.ports().store();
        schedule(&mut job, now);
        atomic(store, || {
            if journal::flatten(store)?.as_ref() == Some(before) && job != *before {
                journal::set_flatten(store, Some(&job))?;
            }
            Ok(())
        })
    }

    fn later(&self, job: &Flatten, due_at: Timestamp) -> Result<(), LedgerError> {
        let store = self.ports().store();
        atomic(store, || {
            if journal::flatten(store)?.as_ref() == Some(job) {
                let later = Flatten {
                    due_at,
                    ..job.clone()
                };
                journal::set_flatten(store, Some(&later))?;
            }
            Ok(())
        })
    }
}

/// Has the close of a position be about what was listed: our record may be of any time. For a minute after a fill of ours
/// a list may lag, and the record counts as for any exit.
fn about(
    store: &impl Store,
    job: &Flatten,
    listed: &Position,
    asked: Timestamp,
    now: Timestamp,
) -> Result<(), LedgerError> {
    let of_position = |part: &&Part| part.symbol == listed.symbol && Some(part.side) == listed.side;
    let part = job.parts.iter().find(of_position);
    let Some(id) = part.and_then(|part| part.signal.as_ref()) else {
        return Ok(());
    };
    let Some(mut row) = SignalRow::readable(store, id)? else {
        return Ok(());
    };
    let record = journal::holding(store, row.product, &row.symbol)?;
    let lags = record.is_some_and(|known| asked.since(known.filled_at) < BELIEVED_MS);
    let exit = row.data.exit.as_mut();
    let Some(exit) = exit.filter(|exit| exit.held.is_none() && !listed.hedged && !lags) else {
        return Ok(());
    };
    exit.side = listed.side;
    exit.record = Some(journal::signed(listed));
    // What the list shows beyond our record an older entry may have brought, as in a position that is read.
    exit.included = listed
        .quantity
        .minus_or_zero(on_side(record.as_ref(), listed.side));
    row.update(store, now)
}

/// Puts off the list of positions, and with it what is to be closed again by it.
fn put_off(job: &mut Flatten, until: Timestamp) {
    job.list_at = until;
    for part in &mut job.parts {
        if part.state == FlatState::Refused {
            part.next_try = part.next_try.max(until);
        }
    }
}

/// Sets when the next step is due.
fn schedule(job: &mut Flatten, now: Timestamp) {
    let looks = job.parts.iter().filter_map(|part| match part.state {
        FlatState::Closing => Some(part.next_try.max(now).plus_millis(LOOK_MS)),
        FlatState::Refused if !part.left => Some(part.next_try),
        _ => None,
    });
    let closing = job
        .parts
        .iter()
        .any(|part| part.state == FlatState::Closing);
    if closing {
        // The list is of use when a close has ended.
        job.list_at = job.list_at.max(now.plus_millis(LONGEST_WAIT_MS));
    }
    job.due_at = looks.chain([job.list_at]).min().unwrap_or(now).max(now);
}

/// A close of one position, as if the operator had sent it. In hedge mode it names its leg.
fn close_message(
    config: &Config,
    revision: u64,
    round: u32,
    part: &Part,
    request_id: RequestId,
    now: Timestamp,
) -> Result<Accept, LedgerError> {
    let account: &Account = &config.account;
    let symbol = SymbolRef {
        symbol: part.symbol.clone(),
        product: Some(Product::Linear),
        venue_prefix: None,
    };
    let sender: Name = OPERATOR
        .parse()
        .map_err(|_| LedgerError::Corrupt("the operator's name".to_owned()))?;
    let mut signal = Signal::close(symbol);
    if part.hedged {
        signal.action = match part.side {
            PositionSide::Long => Action::CloseLong,
            PositionSide::Short => Action::CloseShort,
        };
    }
    let body = format!(
        r#"{{"action":"{}","symbol":"{}","market":"linear","comment":"kill switch, flatten"}}"#,
        signal.action, part.symbol
    );
    Ok(Accept {
        request_id,
        sender,
        entry_rate: EntryRate {
            count: 1,
            seconds: 1,
        },
        manifest_version: config.manifest_version,
        account: account.clone(),
        past: Vec::new(),
        identity: Identity {
            key: format!("f:{revision}:{round}:{}", part.symbol),
            content_hash: String::new(),
            window_ms: WINDOW_LONG_MS,
        },
        signal,
        body,
        received_at: now,
        wait_ms: 0,
        requires: Vec::new(),
    })
}
