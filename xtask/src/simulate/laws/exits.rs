//! Exits get out, and close no more than is theirs.
//!
//! A position is made of parts. Of what is held on the side that an exit closes, the part is *its own*
//! that was held when it was taken or that older entries fill; what later signals open is not. Where it
//! cannot be told which part another exit or a person closed, the law is lenient: it takes the larger part
//! as the exit's own where too much may not be closed, and the smaller one where all must be.
//!
//! Read positions lag, so that "held when it was taken" is anything that was held between the moment it
//! was taken less the venue's lag and three seconds later. Where somebody has traded the symbol by hand
//! before, the Ledger's record may be of any time, and where nothing of Hoox's was ever filled there is
//! none, so that the first position counts whenever it is read: then the size is not judged.

use hoox_mesh::{KillMode, SignalStatus};
use hoox_model::{Decimal, PositionSide, Side, Symbol};

use super::Case;
use crate::simulate::alerts::{Alert, Ask};
use crate::simulate::exchange::{Exchange, Move, Order};
use crate::simulate::history::signal_of;
use crate::simulate::journal::Row;
use crate::simulate::meets::Purpose;
use crate::simulate::watch::LOOK_MS;
use crate::simulate::weather::Window;
use crate::simulate::world::ACCOUNTS;

const TOO_MUCH: &str = "an exit closes no more than its allowance";
const LATER: &str = "an exit never closes what a later signal opened";
const OTHER_SIDE: &str = "an exit never closes the other side";
const EARLY: &str = "an exit does not end before its deadline while something is left";
const LATE: &str = "an exit is done within its life while the venue takes orders";
const OLDER: &str = "a full exit stays open until every older entry has an outcome";
const TOLD: &str = "what an exit leaves is told";

/// How long after an exit was taken the position is read that it may close.
const FIRST_READ_MS: i64 = 3_100;
/// How far a Ledger's clock may be off.
const CLOCK_MS: i64 = 2_100;
/// How long before an exit was taken its Ledger may not have heard of a fill.
const UNHEARD_MS: i64 = 60_000;
/// So long the venue must take orders without a break before an exit counts as late.
const LONG_ENOUGH_MS: i64 = 330_000;
/// How long an older entry that is neither in doubt nor held up may take to fill.
const FILLS_MS: i64 = 100_000;
/// The life of the closing leg of a flip.
const EXIT_MS: i64 = 600_000;
/// Orders of one exit at most.
const MOST_ORDERS: usize = 30;

const SIDES: [PositionSide; 2] = [PositionSide::Long, PositionSide::Short];

pub(super) fn check(case: &Case<'_>) {
    for account in ACCOUNTS {
        let exchange = case.world.exchange(account);
        for row in &case.journals[account] {
            let Some(exit) = Exit::of(case, account, row, &exchange) else {
                continue;
            };
            if let Some(legs) = exchange.legs_now(&exit.symbol) {
                exit.check_legs(legs);
                continue;
            }
            for side in SIDES {
                exit.check_closed(side);
            }
            exit.check_done();
        }
    }
}

/// When a signal was taken, between two moments.
pub(super) fn taken(case: &Case<'_>, row: &Row) -> (i64, i64) {
    let history = case.world.history.borrow();
    let mut all = history.taken.iter();
    // The same request again, after a first answer that nobody heard, is answered, not taken.
    let first = all.find(|taken| {
        taken.signal.as_str() == row.id && id_millis(&row.id) == Some(taken.ledger_clock)
    });
    if let Some(taken) = first {
        return (taken.at, taken.at);
    }
    let at = id_millis(&row.id).unwrap_or(row.received_at);
    (at - CLOCK_MS, at + CLOCK_MS)
}

/// When a Ledger took a signal by its clock, which its id begins with: ten digits of Crockford's base 32.
pub(super) fn id_millis(id: &str) -> Option<i64> {
    const DIGITS: &str = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    id.chars().take(10).try_fold(0, |millis, digit| {
        let value = i64::try_from(DIGITS.find(digit)?).ok()?;
        Some(millis * 32 + value)
    })
}

/// When a signal's work ended at the earliest and at the latest.
pub(super) fn ended(case: &Case<'_>, row: &Row) -> (i64, i64) {
    let (from, until) = taken(case, row);
    let history = case.world.history.borrow();
    match history.working.get(&row.id) {
        Some(seen) => ((*seen).max(from), (seen + LOOK_MS).max(until)),
        None => (from, until + LOOK_MS),
    }
}

/// Whether `other` is later than `row`: by arrival, or by both alerts' own times within one strategy.
pub(super) fn is_later(case: &Case<'_>, row: &Row, other: &Row) -> bool {
    other.seq > row.seq || is_newer(case, row, other)
}

/// Whether `other` fired after `row`, as both say themselves within one strategy.
pub(super) fn is_newer(case: &Case<'_>, row: &Row, other: &Row) -> bool {
    // A replay is as old as the operator's decision, and a Ledger that began anew knows of no alert before.
    if case.is_replay(row) || case.is_replay(other) || row.life != other.life {
        return false;
    }
    let (Some(one), Some(two)) = (case.alert(row), case.alert(other)) else {
        return false;
    };
    let same =
        row.sender == other.sender && row.symbol == other.symbol && one.strategy == two.strategy;
    same && matches!(
        (one.timestamp, two.timestamp),
        (Some(at), Some(then)) if at < then && !like_a_bar(at, row) && !like_a_bar(then, other)
    )
}

/// Whether a signal's time is taken for a bar's, which tells nothing of the order: a whole minute that is over a minute
/// old when the alert comes.
pub(super) const fn like_a_bar(timestamp: i64, row: &Row) -> bool {
    timestamp % 60_000 == 0 && row.received_at - timestamp > 60_000
}

/// How a position on one side is made up after a change.
#[derive(Debug, Clone, Copy)]
struct Stage {
    at: i64,
    /// What the exit's own part is at most, and at least.
    most: Decimal,
    least: Decimal,
    /// What older entries have filled on the side until then.
    older: Decimal,
    /// What the exit has closed until then.
    closed: Decimal,
    /// What it closed just now beyond its own part.
    beyond: Decimal,
}

struct Exit<'a> {
    case: &'a Case<'a>,
    account: usize,
    row: &'a Row,
    alert: &'a Alert,
    exchange: &'a Exchange,
    symbol: Symbol,
    purpose: Purpose,
    taken: (i64, i64),
    orders: Vec<(usize, &'a Order)>,
}

impl<'a> Exit<'a> {
    /// A signal that may close something.
    fn of(
        case: &'a Case<'a>,
        account: usize,
        row: &'a Row,
        exchange: &'a Exchange,
    ) -> Option<Self> {
        let alert = case.alert(row)?;
        let symbol: Symbol = row.symbol.parse().ok()?;
        let taken = taken(case, row);
        let purpose = if Case::is_operators(case.original(row)) {
            Purpose::Flatten
        } else {
            Purpose::of(alert, exchange.held_at(&symbol, taken.1))
        };
        let all = exchange.orders.iter().enumerate();
        let orders: Vec<(usize, &Order)> = all
            .filter(|(_, order)| signal_of(order.spec.client_order_id.as_str()).0 == row.id)
            .filter(|(_, order)| order.spec.effect.closes() && order.spec.leg.is_none())
            .collect();
        let skipped = purpose == Purpose::Cancel
            || (purpose == Purpose::Entry && orders.is_empty())
            || alert.dry_run;
        (!skipped).then_some(Self {
            case,
            account,
            row,
            alert,
            exchange,
            symbol,
            purpose,
            taken,
            orders,
        })
    }

    fn lag(&self) -> i64 {
        self.case.world.weather.venues[self.account].position_lag
    }

    fn of_move(&self, change: &Move) -> Option<(&'a Row, bool)> {
        let order = &self.exchange.orders[change.order?];
        let (_, row) = self
            .case
            .row(signal_of(order.spec.client_order_id.as_str()).0)?;
        Some((row, order.spec.effect.closes()))
    }

    /// How the position on a side is made up, change by change.
    fn stages(&self, side: PositionSide) -> Vec<Stage> {
        let sign = match side {
            PositionSide::Long => Decimal::ONE,
            PositionSide::Short => -Decimal::ONE,
        };
        let zero = Decimal::ZERO;
        let (mut held, mut most, mut least) = (zero, zero, zero);
        let (mut older, mut closed) = (zero, zero);
        let mut stages = Vec::new();
        let of_symbol = self.exchange.moves.iter();
        for change in of_symbol.filter(|change| change.symbol == self.symbol) {
            let delta = change.delta * sign;
            let after = held + delta;
            let who = self.of_move(change);
            let own = who.is_some_and(|(row, closes)| row.id == self.row.id && closes);
            // What it opens itself, after its close, is not its to close either.
            let later = who.is_some_and(|(row, closes)| {
                is_later(self.case, self.row, row) || (row.id == self.row.id && !closes)
            });
            let mut beyond = zero;
            if delta > zero {
                let more = delta.min(after).max(zero);
                if !later {
                    most += more;
                    if change.order.is_some() || change.at <= self.taken.0 {
                        least += more;
                    }
                    // All of it: what somebody held against it by hand, it has filled all the same, and our books show it.
                    if who.is_some_and(|(_, closes)| !closes) {
                        older += delta;
                    }
                }
            } else {
                let less = (-delta).min(held).max(zero);
                if own {
                    beyond = (less - most).max(zero);
                    most -= less;
                    closed += less;
                } else {
                    let foreign = held - most;
                    most -= (less - foreign).max(zero);
                }
                least -= less;
            }
            most = most.min(after).max(zero);
            least = least.min(most).max(zero);
            held = after;
            stages.push(Stage {
                at: change.at,
                most,
                least,
                older,
                closed,
                beyond,
            });
        }
        stages
    }

    /// Nothing that is not its own.
    fn check_closed(&self, side: PositionSide) {
        let of_side = |order: &&(usize, &Order)| order.1.spec.side == side.exit_side();
        let closed: Decimal = self
            .orders
            .iter()
            .filter(of_side)
            .map(|(_, order)| order.filled())
            .sum();
        if closed.is_zero() {
            return;
        }
        let id = &self.row.id;
        if !self.may_close(side) {
            let text = format!("{id} closed {closed} of a {} position", side.as_str());
            return self.case.violate(OTHER_SIDE, text);
        }
        let stages = self.stages(side);
        let beyond: Decimal = stages.iter().map(|stage| stage.beyond).sum();
        if !beyond.is_zero() {
            let text = format!("{id} closed {beyond} that a later signal opened");
            return self.case.violate(LATER, text);
        }
        // For a minute after a fill of Hoox's the larger of the first read and the record counts, and what another exit
        // closed meanwhile the record may not show yet.
        let (from, until) = self.base();
        let from = self.unheard_since(from - UNHEARD_MS);
        if self.is_unrecorded(until) || self.doubted_by_hand() {
            return;
        }
        let last = stages.last().map_or(Decimal::ZERO, |stage| stage.older);
        let before = stages.iter().rfind(|stage| stage.at < from);
        let within = stages
            .iter()
            .filter(|stage| (from..=until).contains(&stage.at));
        let no_late = self.takes_no_late();
        let late = |stage: &Stage| {
            if no_late {
                Decimal::ZERO
            } else {
                last - stage.older
            }
        };
        let allowed = before
            .into_iter()
            .chain(within)
            .map(|stage| stage.most + stage.closed + late(stage))
            .max()
            .unwrap_or(if no_late { Decimal::ZERO } else { last });
        let target = match (self.alert.ask, side) {
            (Ask::TargetLong, PositionSide::Long) | (Ask::TargetShort, PositionSide::Short) => {
                self.alert.size.unwrap_or_default()
            }
            _ => Decimal::ZERO,
        };
        if closed > (allowed - target).max(Decimal::ZERO) {
            let text = format!("{id} closed {closed}, and {allowed} less {target} were its own");
            self.case.violate(TOO_MUCH, text);
        }
    }

    /// Whether what older entries fill after it was taken is none of its own: it is a close with a quantity, and its
    /// Ledger surely had a record, so that no later position says what was held.
    fn takes_no_late(&self) -> bool {
        let closes = matches!(
            self.alert.ask,
            Ask::Close | Ask::CloseLong | Ask::CloseShort
        );
        let mut rows = self.case.journals[self.account].iter();
        let mut recorded = || {
            rows.any(|row| {
                row.symbol == self.row.symbol
                    && ended(self.case, row).1 < self.taken.0
                    && self.exchange.orders.iter().any(|order| {
                        signal_of(order.spec.client_order_id.as_str()).0 == row.id
                            && !order.filled().is_zero()
                    })
            })
        };
        self.purpose == Purpose::PartialExit && closes && recorded()
    }

    /// Whether somebody traded by hand before the last of its several orders: the ones before may have been in doubt, and
    /// what a position showed 5 s later it had left to close. Where two were at the venue together, until the last of them
    /// filled: only what is held keeps both from filling.
    fn doubted_by_hand(&self) -> bool {
        let together = self.orders.iter().any(|(_, one)| {
            let end = one.ended.map_or(i64::MAX, |(at, _)| at);
            let mut others = self.orders.iter();
            others.any(|(_, other)| (one.created_at + 1..end).contains(&other.created_at))
        });
        let fills = self.orders.iter().flat_map(|(_, order)| &order.fills);
        let filled = fills.map(|fill| fill.at).max().filter(|_| together);
        let created = self.orders.iter().map(|(_, order)| order.created_at).max();
        let last = created.max(filled);
        let from = self.taken.0 - self.lag();
        self.orders.len() > 1
            && last.is_some_and(|last| self.exchange.touched(&self.symbol, from, last))
    }

    /// Whether the Ledger's record may be anything: somebody had traded by hand before, or nothing of Hoox's
    /// was ever filled, so that there was none and the first position counts whenever it is read.
    fn is_unrecorded(&self, until: i64) -> bool {
        !self.is_traded() || self.exchange.touched(&self.symbol, i64::MIN, until)
    }

    /// Whether Hoox had traded the symbol before, so that there is a record.
    fn is_traded(&self) -> bool {
        let mut of_symbol = self.exchange.moves.iter();
        of_symbol.any(|change| {
            change.symbol == self.symbol && change.order.is_some() && change.at < self.taken.0
        })
    }

    /// Whether there may be a record: Hoox had traded the symbol before, or read its position for another signal.
    fn may_be_recorded(&self) -> bool {
        let mut rows = self.case.journals[self.account].iter();
        self.is_traded() || rows.any(|row| row.symbol == self.row.symbol && row.seq < self.row.seq)
    }

    /// The moments whose truth may be what was held when it was taken. A plain order nets with what is held when its turn
    /// comes: one that may only reduce then is about that, and it is an exit from its plan on, before its first close.
    fn base(&self) -> (i64, i64) {
        let nets = matches!(self.alert.ask, Ask::Buy | Ask::Sell) && !self.alert.reduce_only;
        let closes = self.orders.iter().map(|(_, order)| order.created_at);
        let planned = closes.min().filter(|_| nets).unwrap_or(i64::MIN);
        (
            self.taken.0 - self.lag() - 200,
            planned.max(self.taken.1 + FIRST_READ_MS),
        )
    }

    /// Whether the exit may close this side, by its action and by what was held.
    fn may_close(&self, side: PositionSide) -> bool {
        let wanted = match self.alert.ask {
            Ask::CloseLong | Ask::Short | Ask::Sell => side == PositionSide::Long,
            Ask::CloseShort | Ask::Long | Ask::Buy => side == PositionSide::Short,
            _ => true,
        };
        let (from, until) = self.base();
        // Where the first read fails the side of the record counts, which need not show what older signals' orders have
        // filled by then.
        let from = self.unheard_since(from);
        let held = |size: Decimal| match side {
            PositionSide::Long => size > Decimal::ZERO,
            PositionSide::Short => size < Decimal::ZERO,
        };
        let of_symbol = || {
            let all = self.exchange.moves.iter();
            all.filter(|change| change.symbol == self.symbol)
        };
        let entered = of_symbol().any(|change| {
            change.at > from
                && held(change.delta)
                && self
                    .of_move(change)
                    .is_some_and(|(row, _)| !is_later(self.case, self.row, row))
        });
        wanted
            && (held(self.exchange.held_at(&self.symbol, from))
                || entered
                || self.is_unrecorded(until)
                || of_symbol().any(|change| {
                    (from..=until).contains(&change.at)
                        && held(self.exchange.held_at(&self.symbol, change.at))
                }))
    }

    /// A full exit of a symbol in hedge mode that says it is done has closed each leg that it is about; what is held there
    /// can only become less.
    fn check_legs(&self, legs: [Decimal; 2]) {
        let at_work = self.row.status == SignalStatus::Acknowledged;
        let done = self.row.status.is_success() && !at_work && !self.row.dead;
        // A venue that lags may have shown it what was before the legs were opened.
        let seen = self.taken.0 - self.lag();
        let before = self
            .exchange
            .legs_at(&self.symbol, seen)
            .unwrap_or_default();
        if self.purpose != Purpose::FullExit || !done || self.row.words.contains("left") {
            return;
        }
        for ((side, leg), before) in SIDES.into_iter().zip(legs).zip(before) {
            if self.closes().contains(&side) && !leg.is_zero() && !before.is_zero() {
                let id = &self.row.id;
                let text = format!("{id} left {leg} of the {} leg", side.as_str());
                self.case.violate(TOLD, text);
            }
        }
    }

    /// The sides that it must close, where anything is held there.
    fn closes(&self) -> Vec<PositionSide> {
        let side = match self.alert.ask {
            Ask::CloseLong | Ask::Short | Ask::TargetShort => PositionSide::Long,
            Ask::CloseShort | Ask::Long | Ask::TargetLong => PositionSide::Short,
            Ask::Close | Ask::TargetFlat | Ask::Reverse => return SIDES.to_vec(),
            Ask::Buy if self.alert.reduce_only => PositionSide::Short,
            Ask::Sell if self.alert.reduce_only => PositionSide::Long,
            Ask::Buy | Ask::Sell | Ask::Cancel => return Vec::new(),
        };
        vec![side]
    }

    /// All of its own is closed in the end, or it is told why not.
    fn check_done(&self) {
        let (ends, end) = ended(self.case, self.row);
        // A close of `flatten` is one try of a work that has laws of its own.
        if self.purpose == Purpose::Flatten || self.is_excused(end) {
            return;
        }
        if self.purpose == Purpose::FullExit && !self.once() {
            self.check_older(end);
        }
        let quiet = self.taken.0 - self.lag() - UNHEARD_MS;
        let hand = |from| self.exchange.touched(&self.symbol, from, end);
        // The record, which counts where the first read fails, may be older than what was done by hand.
        if hand(quiet) || (self.may_be_recorded() && hand(i64::MIN)) {
            return;
        }
        for side in self.closes() {
            self.check_side(side, ends, end);
        }
    }

    fn check_side(&self, side: PositionSide, ends: i64, end: i64) {
        let stages = self.stages(side);
        let at = |moment: i64| stages.iter().rfind(|stage| stage.at <= moment);
        let least = |moment: i64| at(moment).map_or(Decimal::ZERO, |stage| stage.least);
        let (from, until) = self.base();
        // Where the first read fails the record counts, which may not show what older entries have filled: a full exit
        // closes that all the same, a partial one does not.
        let from = match self.purpose {
            Purpose::PartialExit => self.unheard_since(from - UNHEARD_MS),
            _ => from,
        };
        let within = stages
            .iter()
            .filter(|stage| (from..=until).contains(&stage.at));
        // The record may have what others have closed since, and not what entries then open had filled before.
        let unheard = |moment: i64| match self.purpose {
            Purpose::PartialExit => self.filled_unheard(side, from, moment),
            _ => Decimal::ZERO,
        };
        let when_taken = within
            .map(|stage| (stage.least - unheard(stage.at)).max(Decimal::ZERO))
            .fold(least(from), Decimal::min);
        let mut left = least(ends).min(least(end));
        match self.purpose {
            Purpose::FullExit => {}
            Purpose::PartialExit => {
                // Of what older entries turn out to have filled it is owed nothing.
                let closed = at(end).map_or(Decimal::ZERO, |stage| stage.closed);
                let wished = self.alert.size.filter(|_| !self.alert.quote);
                let wished = wished.unwrap_or_default().round_dp(3);
                left = left.min(wished.min(when_taken) - closed);
            }
            // A flip is one where the other side was held all the time when it was taken.
            _ if when_taken.is_zero() => return,
            // Without a record nobody knows before a position is read that it is one.
            _ if matches!(self.alert.ask, Ask::Long | Ask::Short) && !self.may_be_recorded() => {
                return;
            }
            _ => {}
        }
        if left <= Decimal::ZERO {
            return;
        }
        let rules = &self.exchange.rules;
        let all = rules.closes_all && self.purpose != Purpose::PartialExit;
        self.check_left(side, left, end, all || left >= rules.min);
    }

    /// Since when older signals may have filled what the Ledger had not heard of when the exit was taken.
    fn unheard_since(&self, from: i64) -> i64 {
        let rows = self.case.journals[self.account].iter();
        let older = rows.filter(|row| row.symbol == self.row.symbol && row.seq < self.row.seq);
        let open = older.filter(|row| ended(self.case, row).1 > self.taken.0);
        let since = open.map(|row| taken(self.case, row).0).min();
        since.map_or(from, |since| since.min(from))
    }

    /// What older entries that were open when it was taken had filled on a side between two moments.
    fn filled_unheard(&self, side: PositionSide, from: i64, until: i64) -> Decimal {
        let opens = |change: &&Move| {
            let grows = (change.delta > Decimal::ZERO) == (side == PositionSide::Long);
            let of_older = self.of_move(change).is_some_and(|(row, closes)| {
                let open = row.seq < self.row.seq && ended(self.case, row).1 > self.taken.0;
                open && !closes
            });
            change.symbol == self.symbol
                && (from + 1..=until).contains(&change.at)
                && grows
                && of_older
        };
        let filled = self.exchange.moves.iter().filter(opens);
        filled.map(|change| change.delta.abs()).sum()
    }

    /// It stays open until every older entry of its side has an outcome: none fills after it has ended.
    fn check_older(&self, end: i64) {
        for side in self.closes() {
            let opened = self.exchange.moves.iter().find(|change| {
                let opens = (change.delta > Decimal::ZERO) == (side == PositionSide::Long);
                change.at > end
                    && change.symbol == self.symbol
                    && opens
                    && self
                        .of_move(change)
                        .is_some_and(|(row, closes)| !closes && !is_later(self.case, self.row, row))
            });
            if let Some(change) = opened {
                let text = format!(
                    "{} ended, and {} ms later an older entry filled {}",
                    self.row.id,
                    change.at - end,
                    change.delta
                );
                self.case.violate(OLDER, text);
            }
        }
    }

    fn check_left(&self, side: PositionSide, left: Decimal, end: i64, can_close: bool) {
        let id = &self.row.id;
        let what = format!(
            "{id} ({}, {}{}) left {left} of a {} position",
            self.purpose.as_str(),
            self.row.status.as_str(),
            self.row
                .code
                .map_or_else(String::new, |code| format!(", {}", code.as_str())),
            side.as_str()
        );
        let told =
            !self.row.status.is_success() || self.row.dead || self.row.words.contains("left");
        if !told {
            self.case.violate(TOLD, what.clone());
        }
        if self.once() || !can_close {
            return;
        }
        let deadline = self.deadline();
        if end < deadline - 15_000 {
            let text = format!("{what}, {} s before its deadline", (deadline - end) / 1_000);
            return self.case.violate(EARLY, text);
        }
        if self.had_time(deadline) {
            self.case.violate(LATE, what);
        }
    }

    /// Whether it is carried out once only, as its kind of order asks.
    fn once(&self) -> bool {
        let closing_leg = matches!(self.purpose, Purpose::Flip | Purpose::Target);
        // One that may open nothing is an exit, with the order that it names.
        self.alert.limit && (!closing_leg || self.alert.reduce_only)
    }

    fn deadline(&self) -> i64 {
        let own = self
            .alert
            .timestamp
            .filter(|_| !self.case.is_replay(self.row));
        let start = own.map_or(self.row.received_at, |own| own.min(self.row.received_at));
        let life = if self.alert.is_entry() {
            EXIT_MS
        } else {
            self.alert.max_lag
        };
        // An equal close that is carried out with it.
        let history = self.case.world.history.borrow();
        let merged = history.requests.iter().filter_map(|request| {
            let alert = &self.case.story.alerts[request.alert];
            let (_, answer) = request.answer.as_ref()?;
            let same = alert.identity == self.alert.identity;
            let with = answer.as_ref().ok()?.signal_id.as_str() == self.row.id && !same;
            let start = alert
                .timestamp
                .map_or(request.sent_at, |own| own.min(request.sent_at));
            with.then_some(start + alert.max_lag)
        });
        merged.fold(start + life, i64::max)
    }

    /// Why it need not be done: it was forbidden, its alert was refused, or nobody knows what an older
    /// entry did.
    fn is_excused(&self, end: i64) -> bool {
        let case = self.case;
        let refused = self.row.code.is_some_and(|code| {
            matches!(
                code.as_str(),
                "KILL_SWITCH" | "OUT_OF_ORDER" | "NOT_PERMITTED"
            )
        });
        let history = case.world.history.borrow();
        let unsure = |id: &str| {
            history.mistaken.contains(id) || history.settled.iter().any(|known| known == id)
        };
        let ours = |order: &&Order| order.spec.symbol == self.symbol;
        let doubtful = self.exchange.orders.iter().filter(ours).any(|order| {
            let id = order.spec.client_order_id.as_str();
            let (signal, _) = signal_of(id);
            let unknown = case.row(signal).is_some_and(|(_, row)| {
                // Also one that was found out after this exit had ended.
                let then = history
                    .unknown
                    .get(signal)
                    .is_some_and(|since| *since <= end);
                let older = row.seq < self.row.seq && then;
                row.id != self.row.id && (older || row.status == SignalStatus::Unknown)
            });
            unknown || unsure(id)
        });
        let partial = self.purpose == Purpose::PartialExit;
        // Its own order could not be found out, whatever the operator settled it to since.
        let mut settled = history.settled.iter();
        let own_doubt = partial
            && (self.row.status == SignalStatus::Unknown
                || settled.any(|id| signal_of(id).0 == self.row.id));
        let sender = crate::simulate::manifest::SENDERS
            .iter()
            .position(|sender| *sender == self.row.sender);
        let withdrawn = sender.is_some_and(|sender| {
            let mut put = history.put.iter();
            put.any(|put| put.at <= end && !put.allowed[sender][self.account])
        });
        !self.row.status.is_final()
            || refused
            || doubtful
            || own_doubt
            || withdrawn
            || self.orders.len() >= MOST_ORDERS
            || self.all_in_force(end)
    }

    /// Whether the switch stood at `all` while the exit was on its way.
    fn all_in_force(&self, end: i64) -> bool {
        let history = self.case.world.history.borrow();
        let all = history.switched.iter();
        let mut all = all.filter(|switched| switched.mode == KillMode::All);
        all.any(|switched| {
            let released = history.confirmed.iter().any(|confirmed| {
                confirmed.account == self.account
                    && confirmed.kill_revision > switched.revision
                    && confirmed.at < self.taken.0
            });
            switched.at <= end && !released
        })
    }

    /// Whether the venue took orders for long enough without a break, and nothing older was in the way.
    fn had_time(&self, deadline: i64) -> bool {
        let mut free = self.taken.1 + FILLS_MS;
        for other in &self.case.journals[self.account] {
            if other.seq < self.row.seq && other.symbol == self.row.symbol {
                free = free.max(ended(self.case, other).1);
            }
        }
        let world = self.case.world;
        let (weather, calm) = (&world.weather.venues[self.account], world.weather.calm_from);
        let rough = weather.lost_calls + weather.lost_answers + weather.refusals + weather.garbled;
        if rough + weather.pages + weather.late > 200 || world.weather.is_rough() {
            free = free.max(calm);
        }
        let storms = world.weather.storms(self.account + 1);
        let handed = world.handed_over(self.account);
        let windows: Vec<Window> = [
            &weather.outages,
            &weather.bans,
            &weather.barred,
            &weather.paged,
            &weather.refuses_exits,
            &weather.halted,
            &storms,
            &handed,
        ]
        .into_iter()
        .flatten()
        .copied()
        .collect();
        let mut starts = vec![free];
        starts.extend(windows.iter().map(|window| window.until.max(free)));
        starts.into_iter().any(|start| {
            let until = start + LONG_ENOUGH_MS;
            let broken = windows
                .iter()
                .any(|window| window.from < until && window.until > start);
            !broken && until <= deadline
        })
    }
}

/// The side of the position that an order opens.
pub(super) const fn opens(side: Side) -> PositionSide {
    match side {
        Side::Buy => PositionSide::Long,
        Side::Sell => PositionSide::Short,
    }
}
