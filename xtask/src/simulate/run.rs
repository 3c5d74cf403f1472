//! One seed: a scenario in bad weather, then calm, then the laws.

use std::rc::Rc;

use hoox_auth::Published;
use hoox_mesh::KillMode;
use hoox_model::{Amount, Decimal, Limits};

use crate::simulate::alerts::{Alert, Ask, Step, few_symbols};
use crate::simulate::exchange::SYMBOLS;
use crate::simulate::exec::Exec;
use crate::simulate::journal;
use crate::simulate::laws::{self, Violation};
use crate::simulate::manifest::Wishes;
use crate::simulate::meets::{self, Purpose};
use crate::simulate::object::Kind;
use crate::simulate::rng::Rng;
use crate::simulate::stats::{FAULT, Stats};
use crate::simulate::weather::Weather;
use crate::simulate::world::{ACCOUNTS, World};
use crate::simulate::{BOUND_MS, MINUTE, START, surprises};

/// Events after which a run counts as one that never comes to rest.
const MAX_EVENTS: u64 = 3_000_000;

/// What a run gave.
pub(crate) struct Outcome {
    pub(crate) violations: Vec<Violation>,
    pub(crate) stats: Stats,
    pub(crate) trace: Vec<String>,
}

/// The alerts of a run and what is known of them.
pub(crate) struct Story {
    pub(crate) alerts: Vec<Rc<Alert>>,
    /// Alerts that were sent when faults had stopped, by place.
    pub(crate) probes: Vec<usize>,
    /// What the Ledger asks for itself where every position is to be closed.
    pub(crate) flatten: Alert,
    /// The manifests of the run.
    pub(crate) wishes: Vec<Wishes>,
    /// The operator's last word on the switch, when faults had stopped.
    pub(crate) last_mode: KillMode,
    /// Whether it asked for every position to be closed.
    pub(crate) flattened: bool,
    /// The generation that each account comes to in the end.
    pub(crate) generations: [u32; 2],
}

/// Runs one seed.
pub(crate) fn run(seed: u64, traced: bool) -> Outcome {
    let rng = Rng::new(seed);
    let length = rng.range(3, 16) * MINUTE;
    let weather = Weather::new(&rng, START + length);
    let world = World::new(rng, weather, traced);
    let mut story = begin(&world, length);
    let mut events = 0;
    advance(&world, START + length, &mut events);
    world.calm_down();
    probe(&world, &mut story);
    settle(&world, &mut events);
    laws::check(&world, &story);
    for account in ACCOUNTS {
        for row in journal::signals(&world, account) {
            world.stats.hit("signal", row.status.as_str());
            if let Some(code) = row.code {
                world.stats.hit("signal code", code.as_str());
            }
        }
        for state in journal::order_states(&world, account) {
            world.stats.hit("order", state.as_str());
        }
    }
    let outcome = Outcome {
        violations: world.violations.take(),
        trace: world.trace(),
        stats: Stats::default(),
    };
    world.stats.hit("run", "seeds");
    outcome.stats.merge(&world.stats);
    take_down(&world);
    outcome
}

/// Ends everything, so that nothing holds the world any longer.
fn take_down(world: &Rc<World>) {
    for object in &world.objects {
        let current = object.current.borrow().clone();
        if let Some(instance) = current {
            world.end(&instance, "the run is over", false);
        }
    }
    world.exec.clear();
}

fn advance(world: &Rc<World>, until: i64, events: &mut u64) {
    while Exec::step(world, until) {
        *events += 1;
        if *events > MAX_EVENTS {
            world.violate("comes to rest", "the run does not come to rest".to_owned());
            return;
        }
    }
    world.exec.skip_to(until);
}

fn begin(world: &Rc<World>, length: i64) -> Story {
    let rng = &world.rng;
    let mut wishes = vec![Wishes {
        routes: [0, rng.below(2)],
        allowed: [[true; 2]; 2],
        rates: [60, *rng.pick(&[2, 4, 60])],
        limits: [0, 1].map(|_| limits(rng)),
        generations: [1; 2],
        retired: false,
    }];
    if rng.chance(600) {
        let published = Published::from(wishes[0].manifest(1));
        let text = serde_json::to_string(&published).unwrap();
        world.kv.borrow_mut().push((START, text.into()));
    } else {
        let (first, acting) = (wishes[0].clone(), world.clone());
        world
            .exec
            .spawn(None, async move { acting.put_manifest(&first, true).await });
    }
    world.exec.spawn(None, world.clone().cron());
    world.watch();
    let (alerts, sent, symbols) = alerts(world, length);
    switches(world, length);
    manifests(world, length, &mut wishes);
    surprises::by_hand(world, &sent, &symbols);
    surprises::revoke(world, &sent, &mut wishes);
    surprises::retire(world, &mut wishes);
    surprises::flatten(world, length);
    let generations = surprises::generations(world, &sent);
    letters(world, length);
    accidents(world);
    prices(world, length);
    Story {
        alerts,
        probes: Vec::new(),
        flatten: Alert::whole_close(),
        wishes,
        last_mode: KillMode::Off,
        flattened: false,
        generations,
    }
}

/// An account's limits, which stay as they are for a whole run.
fn limits(rng: &Rng) -> Limits {
    let mut limits = Limits::default();
    if rng.chance(600) {
        return limits;
    }
    limits.max_open_positions = rng.chance(400).then(|| rng.range(1, 2) as u32);
    limits.max_daily_loss = rng.chance(300).then(|| amount(rng.range(1, 30)));
    limits.account.max_position_notional = rng.chance(500).then(|| amount(rng.range(100, 600)));
    limits.account.max_orders_per_minute = rng.chance(400).then(|| rng.range(1, 4) as u32);
    limits
}

fn amount(value: i64) -> Amount {
    Amount::try_from(Decimal::from(value)).unwrap()
}

type Sending = (Vec<Rc<Alert>>, Vec<(i64, Rc<Alert>)>, Vec<&'static str>);

fn alerts(world: &Rc<World>, length: i64) -> Sending {
    let rng = &world.rng;
    let symbols = few_symbols(rng);
    let count = rng.range(3, 14) as usize;
    let mut alerts: Vec<Rc<Alert>> = Vec::new();
    let mut sent = Vec::new();
    let mut at = START + rng.range(500, 20_000);
    for number in 0..count {
        // Bursts, and pauses between them.
        at += match rng.below(4) {
            0 => rng.range(0, 50),
            1 | 2 => rng.range(100, 8_000),
            _ => rng.range(5_000, (2 * length / count as i64).max(6_000)),
        };
        at = at.min(START + length - 1_000);
        let again = rng.chance(60).then(|| alerts.last().cloned()).flatten();
        let alert = match again.and_then(|last| last.with_other_content(number)) {
            Some(other) => other,
            None => Alert::random(rng, at, number, &symbols),
        };
        let alert = Rc::new(alert);
        send_at(world, at, number, &alert);
        if rng.chance(250) {
            world
                .stats
                .hit(FAULT, "an alert is delivered twice on purpose");
            let pause = *rng.pick(&[0, 40, 900, 20_000, 44_000, 50_000, 150_000]);
            send_at(world, at + pause, number, &alert);
        }
        sent.push((at, alert.clone()));
        note_alert(world, &mut alerts, alert);
    }
    strategy(world, length, &mut alerts, &mut sent, &symbols);
    (alerts, sent, symbols)
}

fn note_alert(world: &World, alerts: &mut Vec<Rc<Alert>>, alert: Rc<Alert>) {
    world.alerts.borrow_mut().push(alert.clone());
    alerts.push(alert);
}

/// The alerts of one strategy, as a chart renders them, some of which overtake others.
fn strategy(
    world: &Rc<World>,
    length: i64,
    alerts: &mut Vec<Rc<Alert>>,
    sent: &mut Vec<(i64, Rc<Alert>)>,
    symbols: &[&'static str],
) {
    let rng = &world.rng;
    if !rng.chance(350) {
        return;
    }
    let (symbol, sender) = (*rng.pick(symbols), rng.below(2));
    let (dated, targets) = (rng.chance(750), rng.chance(500));
    let mut at = START + rng.range(2_000, length / 2);
    let mut state = Decimal::ZERO;
    // When the one before arrived.
    let mut before: Option<(i64, usize)> = None;
    for _ in 0..rng.range(3, 7) {
        let size = Decimal::new(rng.range(10, 1_500), 3);
        let half = (state / Decimal::TWO).round_dp(3);
        let next = *rng.pick(&[Decimal::ZERO, size, -size, half]);
        let (flat, size) = (next.is_zero(), next.abs());
        let (ask, quantity) = match (targets || rng.chance(200), next > Decimal::ZERO) {
            (true, _) if flat => (Ask::TargetFlat, None),
            (true, true) => (Ask::TargetLong, Some(size)),
            (true, false) => (Ask::TargetShort, Some(size)),
            (false, _) if flat => (Ask::Close, None),
            (false, _) if next == half => (Ask::Close, Some((state - next).abs())),
            (false, true) => (Ask::Long, Some(size)),
            (false, false) => (Ask::Short, Some(size)),
        };
        let step = Step {
            strategy: "crossing",
            ask,
            size: quantity,
            states: Some((next, state)),
            dated,
        };
        let number = alerts.len();
        let alert = Rc::new(Alert::of_strategy(rng, step, sender, symbol, at, number));
        let late = match rng.below(4) {
            0 => rng.range(800, 9_000),
            1 => rng.range(2_000, 50_000),
            _ => rng.range(0, 300),
        };
        let arrives = (at + late).min(START + length - 1_000);
        if let Some((earlier, older)) = before
            && earlier > arrives
        {
            overtakes(world, earlier, older);
        }
        before = Some((arrives, number));
        send_at(world, arrives, number, &alert);
        sent.push((arrives, alert.clone()));
        note_alert(world, alerts, alert);
        state = next;
        at += *rng.pick(&[0, 0, 400, 1_000, 3_000, 20_000]) + rng.range(0, 700);
    }
}

/// Counts that an older alert comes after a newer one.
fn overtakes(world: &Rc<World>, at: i64, older: usize) {
    world.exec.at(at, move |world| {
        let alert = world.alerts.borrow()[older].clone();
        let symbol = alert.symbol.parse().unwrap();
        let held = world.exchange(0).held(&symbol);
        world.stats.hit(FAULT, meets::OVERTAKEN);
        world.stats.met(meets::OVERTAKEN, Purpose::of(&alert, held));
    });
}

fn send_at(world: &Rc<World>, at: i64, number: usize, alert: &Rc<Alert>) {
    let alert = alert.clone();
    world.exec.at(at, move |world| {
        let work = world.clone().deliver_alert(number, alert);
        world.exec.spawn(None, work);
    });
}

fn switches(world: &Rc<World>, length: i64) {
    let rng = &world.rng;
    if !rng.chance(450) {
        return;
    }
    for _ in 0..rng.range(1, 5) {
        let mode = *rng.pick(&[
            KillMode::Off,
            KillMode::Off,
            KillMode::Entries,
            KillMode::Entries,
            KillMode::All,
        ]);
        let flatten = mode == KillMode::Entries && rng.chance(300);
        let at = rng.range(START, START + length);
        world.exec.at(at, move |world| {
            let acting = world.clone();
            world.exec.spawn(
                None,
                async move { acting.switch(mode, flatten, false).await },
            );
        });
    }
}

fn manifests(world: &Rc<World>, length: i64, wishes: &mut Vec<Wishes>) {
    let rng = &world.rng;
    if !rng.chance(450) {
        return;
    }
    for _ in 0..rng.range(1, 3) {
        let mut next = wishes[wishes.len() - 1].clone();
        let sender = rng.below(2);
        match rng.below(4) {
            0 | 1 => next.routes[sender] = 1 - next.routes[sender],
            2 => next.allowed[sender] = *rng.pick(&[[false, false], [true, false], [true, true]]),
            _ => next.rates[sender] = *rng.pick(&[1, 3, 60]),
        }
        wishes.push(next.clone());
        let at = rng.range(START, START + length);
        world.exec.at(at, move |world| {
            let acting = world.clone();
            world
                .exec
                .spawn(None, async move { acting.put_manifest(&next, false).await });
        });
    }
}

fn letters(world: &Rc<World>, length: i64) {
    let rng = &world.rng;
    if !rng.chance(300) {
        return;
    }
    for _ in 0..rng.range(1, 4) {
        let (at, account) = (rng.range(START, START + length), rng.below(2));
        world.exec.at(at, move |world| {
            let acting = world.clone();
            world.exec.spawn(None, async move {
                acting.look_after_letters(account, false, true).await;
            });
        });
    }
}

fn accidents(world: &Rc<World>) {
    for (at, place) in world.weather.sudden_deaths.clone() {
        world.exec.at(at, move |world| {
            let place = world.any_generation(place);
            let current = world.objects[place].current.borrow().clone();
            if let Some(instance) = current {
                world.crash(&instance, "at a random moment");
            }
        });
    }
    for (at, place) in world.weather.replacements.clone() {
        // The object is replaced at the next moment at which it has something to do.
        world.exec.at(at, move |world| {
            let place = world.any_generation(place);
            try_replacing(world, place, 40);
        });
    }
    for at in world.weather.deploys.clone() {
        world.exec.at(at, deploy);
    }
}

fn try_replacing(world: &Rc<World>, place: usize, tries: u32) {
    let object = &world.objects[place];
    let busy = object
        .current
        .borrow()
        .as_ref()
        .is_some_and(|current| world.exec.is_busy(current.id));
    if world.is_calm() || tries == 0 {
        return;
    }
    if busy {
        world.replace(place);
    } else {
        let pause = world.rng.range(50, 2_000);
        world
            .exec
            .after(pause, move |world| try_replacing(world, place, tries - 1));
    }
}

/// A deploy: every instance ends, and what is stored has fields that nobody knows yet.
fn deploy(world: &Rc<World>) {
    world.stats.hit(FAULT, "a deploy");
    world.note("world", || "a deploy".to_owned());
    for object in &world.objects {
        let current = object.current.borrow().clone();
        if let Some(instance) = current {
            world.end(&instance, "a deploy", true);
        }
        if matches!(object.kind, Kind::Ledger(_)) {
            journal::add_unknown_fields(&object.database.borrow());
        }
    }
    for isolate in &world.isolates {
        isolate.forget();
    }
}

fn prices(world: &Rc<World>, length: i64) {
    let rng = &world.rng;
    for account in ACCOUNTS {
        for symbol in SYMBOLS {
            let (mut at, mut price) = (START, 200);
            while at < START + length {
                at += rng.range(20_000, 90_000);
                price = (price + rng.range(-3, 3)).clamp(190, 210);
                set_price_at(world, at, account, symbol, price);
            }
            if rng.chance(600) {
                // When faults have stopped, prices reach every order that rests.
                for (after, price) in [(60_000, 180), (120_000, 220)] {
                    set_price_at(world, START + length + after, account, symbol, price);
                }
            }
        }
    }
}

fn set_price_at(world: &Rc<World>, at: i64, account: usize, symbol: &'static str, halves: i64) {
    world.exec.at(at, move |world| {
        let price = Decimal::new(halves * 5, 1);
        let now = world.now();
        let reached =
            world.venues[account]
                .borrow_mut()
                .set_price(&symbol.parse().unwrap(), price, now);
        for order in reached {
            world.fill_order(account, order);
        }
    });
}

/// When faults have stopped: the last word on the switch and the manifest, then alerts that must be
/// taken and carried out.
fn probe(world: &Rc<World>, story: &mut Story) {
    let rng = &world.rng;
    let last = Wishes {
        routes: [0, 1],
        allowed: [[true; 2]; 2],
        rates: [60, 60],
        limits: story.wishes[0].limits.clone(),
        generations: story.generations,
        retired: false,
    };
    story.wishes.push(last.clone());
    let mode = *rng.pick(&[
        KillMode::Off,
        KillMode::Off,
        KillMode::Off,
        KillMode::Off,
        KillMode::Entries,
    ]);
    story.last_mode = mode;
    story.flattened = mode == KillMode::Entries && rng.chance(500);
    let flatten = story.flattened;
    let acting = world.clone();
    world.exec.spawn(None, async move {
        // What was on its way before must not be the last word.
        acting.exec.sleep(20_000).await;
        acting.put_manifest(&last, true).await;
        acting.switch(mode, flatten, true).await;
    });
    for sender in 0..2 {
        for ask in [Ask::Buy, Ask::Close] {
            let number = story.alerts.len();
            let at = world.now() + 100_000 + number as i64 * 10;
            let mut alert = Alert::plain(rng, ask, SYMBOLS[rng.below(SYMBOLS.len())], at, number);
            alert.set_sender(sender);
            let alert = Rc::new(alert);
            send_at(world, at, number, &alert);
            note_alert(world, &mut story.alerts, alert);
            story.probes.push(number);
        }
    }
}

/// When everything has ended at the latest: an exit may go on until its own deadline, and for what the
/// outcome of an entry reveals ten minutes more; a pause that a venue asked for is kept.
fn bound(world: &World) -> i64 {
    let history = world.history.borrow();
    let alerts = world.alerts.borrow();
    let deadlines = history.requests.iter().map(|request| {
        let alert = &alerts[request.alert];
        request.sent_at + if alert.is_entry() { 0 } else { alert.max_lag }
    });
    let latest = deadlines.max().unwrap_or(0).max(world.limited_until.get());
    latest + 15 * MINUTE
}

/// Runs until nothing is left to do, within the bound; then the operator looks after what is left.
fn settle(world: &Rc<World>, events: &mut u64) {
    let calm = world.now();
    let bound = bound(world).max(calm + BOUND_MS);
    for round in 0..4 {
        let until = bound + round * BOUND_MS;
        loop {
            advance(world, world.now() + 30_000, events);
            let rested = world.now() > calm + 3 * MINUTE;
            if rested && journal::is_quiet(world) {
                break;
            }
            if world.now() >= until || *events > MAX_EVENTS {
                laws::liveness::report(world);
                return;
            }
        }
        if round == 0 {
            laws::liveness::check_listed(world);
        }
        let left: usize = ACCOUNTS
            .into_iter()
            .map(|account| journal::letters(world, account))
            .sum();
        if left == 0 {
            return;
        }
        for account in ACCOUNTS {
            let acting = world.clone();
            world.exec.spawn(None, async move {
                // What comes back again and again is given up at last.
                acting.look_after_letters(account, true, round < 2).await;
            });
        }
        advance(world, world.now() + MINUTE, events);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_run() {
        for seed in [3, 5, 6] {
            let (one, other) = (run(seed, true), run(seed, true));
            assert!(one.violations.is_empty(), "{:?}", one.violations);
            assert!(one.trace.len() > 50 && one.trace == other.trace);
        }
    }
}
