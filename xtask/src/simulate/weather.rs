//! What goes wrong in one run, and how often. Every run has some kinds of faults and not the others,
//! so that each of them meets states which a storm of all would never let come about.

use hoox_model::Decimal;

use crate::simulate::exchange::{Rules, SYMBOLS};
use crate::simulate::object::Kind;
use crate::simulate::rng::Rng;
use crate::simulate::{MINUTE, START};

/// From when until when something is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Window {
    /// The first moment.
    pub(crate) from: i64,
    /// The first moment after it.
    pub(crate) until: i64,
}

impl Window {
    /// Whether a moment lies inside.
    pub(crate) const fn contains(self, moment: i64) -> bool {
        self.from <= moment && moment < self.until
    }
}

/// Whether a moment lies in one of several windows.
pub(crate) fn in_any(windows: &[Window], moment: i64) -> bool {
    windows.iter().any(|window| window.contains(moment))
}

/// How one venue behaves.
#[derive(Debug, Clone, Default)]
pub(crate) struct VenueWeather {
    /// Whether a client order id is refused for ever after its first use.
    pub(crate) unique_ids: bool,
    /// Calls that get lost before they arrive, in a thousand.
    pub(crate) lost_calls: u32,
    /// Answers that get lost after the effect.
    pub(crate) lost_answers: u32,
    /// Answers that say clearly that nothing was done.
    pub(crate) refusals: u32,
    /// Answers that are a server error, before the effect or after it.
    pub(crate) garbled: u32,
    /// Calls or answers that come late, by seconds.
    pub(crate) late: u32,
    /// Orders that the venue refuses after it took them.
    pub(crate) refused_late: u32,
    /// Market orders that fill in part only.
    pub(crate) partial: u32,
    /// Longest time until a fill, in milliseconds.
    pub(crate) fill_delay: i64,
    /// How long look-ups lag behind.
    pub(crate) look_up_lag: i64,
    /// How long the list of open orders lags behind, and on how many pages it is at most.
    pub(crate) orders_lag: i64,
    pub(crate) order_pages: usize,
    /// How long positions lag behind.
    pub(crate) position_lag: i64,
    /// How long lists of fills lag behind.
    pub(crate) fills_lag: i64,
    /// Look-ups that show another order under our id, in a thousand.
    pub(crate) strangers: u32,
    /// When nobody gets a clear answer.
    pub(crate) outages: Vec<Window>,
    /// When the address is banned: every call is refused for too many calls.
    pub(crate) bans: Vec<Window>,
    /// When the venue refuses the key or the region.
    pub(crate) barred: Vec<Window>,
    /// Whether the answer says when a ban ends.
    pub(crate) ban_says_end: bool,
    /// Calls that a page of the network in front of the venue answers, in a thousand.
    pub(crate) pages: u32,
    /// When every call gets such a page.
    pub(crate) paged: Vec<Window>,
    /// Calls that are limited for an hour, in ten thousand.
    pub(crate) hour_limits: u32,
    /// When every order is refused that closes.
    pub(crate) refuses_exits: Vec<Window>,
    /// When nothing trades.
    pub(crate) halted: Vec<Window>,
    /// Smallest and largest sizes.
    pub(crate) rules: Rules,
    /// Symbols in hedge mode with the legs that are held by hand: long, short.
    pub(crate) hedged: Vec<(&'static str, Decimal, Decimal)>,
    /// Moments at which somebody trades by hand at the venue.
    pub(crate) by_hand: Vec<i64>,
    /// Moments from which the venue's clock is off by so much.
    pub(crate) clock: Vec<(i64, i64)>,
}

/// Everything that goes wrong in one run.
#[derive(Debug, Clone, Default)]
pub(crate) struct Weather {
    /// When faults stop.
    pub(crate) calm_from: i64,
    /// The venues, by account.
    pub(crate) venues: [VenueWeather; 2],
    /// Port calls before or after which the instance dies, in a thousand.
    pub(crate) crashes: u32,
    /// Statements that fail, in ten thousand.
    pub(crate) statements_fail: u32,
    /// Statements in which the instance dies, in ten thousand.
    pub(crate) statements_kill: u32,
    /// Transactions that fail at their end, in a thousand.
    pub(crate) transactions_fail: u32,
    /// Commits that fail after output was queued, in a thousand.
    pub(crate) commit_fails: u32,
    slow_commits: u32,
    late_alarms: u32,
    /// Calls between workers that get lost, in a thousand.
    pub(crate) calls_lost: u32,
    /// Answers between workers that get lost.
    pub(crate) answers_lost: u32,
    /// Calls between workers that come late.
    pub(crate) calls_late: u32,
    /// Calls between workers that the platform delivers twice.
    pub(crate) calls_twice: u32,
    /// Messages of a version before or after.
    pub(crate) other_version: u32,
    /// Deliveries of records that fail, and as many that take effect and have no answer.
    pub(crate) records_fail: u32,
    /// When there is no place for records.
    pub(crate) records_down: Vec<Window>,
    /// Reads and writes of the configuration's KV that fail.
    pub(crate) kv_fails: u32,
    /// How long KV may serve an old value.
    pub(crate) kv_lag: i64,
    /// Whether a panic in one Ledger may reset the other.
    pub(crate) shared_isolate: bool,
    /// Calls for randomness that fail, in a thousand.
    pub(crate) random_fails: u32,
    skewed_clocks: bool,
    alarm_storms: Vec<(usize, Window)>,
    /// Moments at which an instance dies, and of which object.
    pub(crate) sudden_deaths: Vec<(i64, usize)>,
    /// Moments at which an instance is replaced and still runs.
    pub(crate) replacements: Vec<(i64, usize)>,
    /// Whether senders are struck off while their alerts wait.
    pub(crate) revocations: bool,
    /// Moments of a deploy: instances end, stored rows have been written by another version.
    pub(crate) deploys: Vec<i64>,
    /// Moments at which an account gets another generation.
    pub(crate) generations: Vec<(i64, usize)>,
    /// When the operator wants to retire an account, and whether by force.
    pub(crate) retires: Option<(i64, bool)>,
    /// When the cron does not run.
    pub(crate) cron_down: Vec<Window>,
}

/// One of several rates, most of them none.
fn rate(rng: &Rng, rates: &[u32]) -> u32 {
    *rng.pick(rates)
}

fn windows(rng: &Rng, chance: u32, end: i64, longest: i64) -> Vec<Window> {
    if !rng.chance(chance) {
        return Vec::new();
    }
    let several = rng.range(1, 2);
    let window = |_| {
        let from = rng.range(START, end);
        Window {
            from,
            until: (from + rng.range(2_000, longest)).min(end),
        }
    };
    (0..several).map(window).collect()
}

fn moments(rng: &Rng, chance: u32, end: i64, most: i64) -> Vec<i64> {
    if !rng.chance(chance) {
        return Vec::new();
    }
    let count = rng.range(1, most);
    (0..count).map(|_| rng.range(START, end)).collect()
}

/// When accounts get another generation: the same one twice, or both.
fn generations(rng: &Rng, end: i64) -> Vec<(i64, usize)> {
    let raised = moments(rng, 200, end, 2);
    raised.into_iter().map(|at| (at, rng.below(2))).collect()
}

impl Weather {
    /// The weather of a seed; it lasts until `calm_from`.
    pub(crate) fn new(rng: &Rng, calm_from: i64) -> Self {
        let end = calm_from;
        let fair = rng.chance(60);
        let weather = Self {
            calm_from,
            venues: core::array::from_fn(|_| VenueWeather::new(rng, end)),
            crashes: rate(rng, &[0, 0, 3, 15, 60]),
            statements_fail: rate(rng, &[0, 0, 0, 4, 20]),
            statements_kill: rate(rng, &[0, 0, 0, 3, 15]),
            transactions_fail: rate(rng, &[0, 0, 0, 5, 20]),
            commit_fails: rate(rng, &[0, 0, 4, 20, 60]),
            slow_commits: rate(rng, &[0, 0, 20, 200]),
            late_alarms: rate(rng, &[0, 0, 20, 100]),
            calls_lost: rate(rng, &[0, 0, 10, 80]),
            answers_lost: rate(rng, &[0, 0, 10, 80]),
            calls_late: rate(rng, &[0, 0, 20, 120]),
            calls_twice: rate(rng, &[0, 0, 20, 150]),
            other_version: rate(rng, &[0, 0, 100, 500]),
            records_fail: rate(rng, &[0, 0, 30, 200]),
            records_down: windows(rng, 200, end, 8 * MINUTE),
            kv_fails: rate(rng, &[0, 0, 50, 300]),
            kv_lag: *rng.pick(&[0, 0, 20_000, 60_000]),
            shared_isolate: rng.chance(400),
            random_fails: rate(rng, &[0, 0, 0, 3]),
            skewed_clocks: rng.chance(300),
            alarm_storms: if rng.chance(120) {
                let storm = windows(rng, 1_000, end, 6 * MINUTE);
                storm
                    .into_iter()
                    .map(|window| (rng.below(2) + 1, window))
                    .collect()
            } else {
                Vec::new()
            },
            sudden_deaths: moments(rng, 300, end, 6)
                .into_iter()
                .map(|at| (at, rng.below(3)))
                .collect(),
            replacements: moments(rng, 300, end, 12)
                .into_iter()
                .map(|at| (at, rng.below(3)))
                .collect(),
            revocations: rng.chance(150),
            deploys: moments(rng, 150, end, 2),
            generations: generations(rng, end),
            retires: rng
                .chance(60)
                .then(|| (rng.range(START + MINUTE, end), rng.chance(400))),
            cron_down: windows(rng, 100, end, 10 * MINUTE),
        };
        if fair {
            // A run now and then in which hardly anything fails: the laws must hold there too.
            return Self {
                calm_from,
                venues: weather.venues,
                generations: weather.generations,
                retires: weather.retires,
                ..Self::default()
            };
        }
        weather
    }

    /// How many generations the accounts may come to.
    pub(crate) fn most_generations(&self) -> usize {
        let forced = self.retires.is_some_and(|(_, forced)| forced);
        1 + self.generations.len() + usize::from(forced)
    }

    /// How long a commit takes.
    pub(crate) fn commit_delay(&self, rng: &Rng, calm: bool) -> i64 {
        if !calm && rng.chance(self.slow_commits) {
            return rng.range(50, 3_000);
        }
        rng.range(1, 8)
    }

    /// How late an alarm fires.
    pub(crate) fn alarm_delay(&self, rng: &Rng, calm: bool) -> i64 {
        if !calm && rng.chance(self.late_alarms) {
            return rng.range(100, 60_000);
        }
        rng.range(0, 10)
    }

    /// How far a machine's clock is ahead.
    pub(crate) fn clock_skew(&self, rng: &Rng, calm: bool) -> i64 {
        if calm || !self.skewed_clocks {
            return 0;
        }
        if rng.chance(100) {
            return rng.range(-2_000, 2_000);
        }
        rng.range(-60, 60)
    }

    /// When the alarm handlers of an object die at once.
    pub(crate) fn storms(&self, object: usize) -> Vec<Window> {
        let storms = self.alarm_storms.iter();
        let of_object = storms.filter(|(place, _)| *place == object);
        of_object.map(|(_, window)| *window).collect()
    }

    /// Whether instances die and storage fails so often that little else gets done.
    pub(crate) const fn is_rough(&self) -> bool {
        self.crashes > 15
            || self.statements_fail > 4
            || self.statements_kill > 3
            || self.transactions_fail > 5
            || self.commit_fails > 20
            || self.late_alarms > 20
    }

    /// Whether the alarm handlers of an object die at once.
    pub(crate) fn alarm_storm(&self, object: Kind, now: i64) -> bool {
        let mut storms = self.alarm_storms.iter();
        storms.any(|(place, window)| Kind::Ledger(place - 1) == object && window.contains(now))
    }
}

impl VenueWeather {
    fn new(rng: &Rng, end: i64) -> Self {
        Self {
            unique_ids: rng.chance(500),
            lost_calls: rate(rng, &[0, 0, 20, 150]),
            lost_answers: rate(rng, &[0, 0, 20, 150]),
            refusals: rate(rng, &[0, 0, 30, 200]),
            garbled: rate(rng, &[0, 0, 30, 200]),
            late: rate(rng, &[0, 0, 20, 100]),
            refused_late: rate(rng, &[0, 0, 50]),
            partial: rate(rng, &[0, 0, 100, 400]),
            fill_delay: *rng.pick(&[0, 0, 800, 5_000, 40_000]),
            look_up_lag: *rng.pick(&[0, 0, 700, 20_000, 60_000]),
            orders_lag: *rng.pick(&[0, 0, 2_000, 8_000, 20_000, 60_000]),
            order_pages: *rng.pick(&[1, 1, 2, 3]),
            position_lag: *rng.pick(&[0, 0, 0, 300, 3_000, 4_500, 20_000, 60_000]),
            fills_lag: *rng.pick(&[0, 0, 1_000, 30_000, 60_000]),
            strangers: rate(rng, &[0, 0, 0, 0, 0, 30]),
            outages: windows(rng, 200, end, 12 * MINUTE),
            bans: windows(rng, 120, end, 10 * MINUTE),
            barred: windows(rng, 60, end, 3 * MINUTE),
            ban_says_end: rng.chance(600),
            pages: rate(rng, &[0, 0, 0, 0, 20, 120]),
            paged: windows(rng, 60, end, 3 * MINUTE),
            hour_limits: rate(rng, &[0, 0, 0, 0, 0, 0, 0, 0, 100]),
            refuses_exits: windows(rng, 120, end, 6 * MINUTE),
            halted: windows(rng, 80, end, 4 * MINUTE),
            rules: Rules::new(rng),
            hedged: if rng.chance(100) {
                let mut legs = [0, 1].map(|_| Decimal::new(rng.range(10, 2_000), 3));
                if rng.chance(500) {
                    legs[rng.below(2)] = Decimal::ZERO;
                }
                vec![(SYMBOLS[rng.below(SYMBOLS.len())], legs[0], legs[1])]
            } else {
                Vec::new()
            },
            by_hand: moments(rng, 220, end, 3),
            clock: if rng.chance(250) {
                let moves = moments(rng, 1_000, end, 3);
                let sizes = [-30_000, -6_000, -2_500, 1_500, 8_000, 40_000];
                moves
                    .into_iter()
                    .map(|at| (at, *rng.pick(&sizes)))
                    .collect()
            } else {
                Vec::new()
            },
        }
    }
}
