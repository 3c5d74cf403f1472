//! What people do at the worst moment: trade by hand, strike a sender off whose alert waits, close
//! everything while the venue refuses to.

use std::rc::Rc;

use hoox_mesh::KillMode;
use hoox_model::{Decimal, OrderStatus, Symbol};

use crate::simulate::START;
use crate::simulate::alerts::Alert;
use crate::simulate::exchange::{Order, UNKNOWN_SYMBOL};
use crate::simulate::manifest::{SENDERS, Wishes};
use crate::simulate::meets;
use crate::simulate::stats::FAULT;
use crate::simulate::weather::Window;
use crate::simulate::world::{ACCOUNTS, World};

/// Trades by hand, some of them while an exit is on its way.
pub(crate) fn by_hand(world: &Rc<World>, alerts: &[(i64, Rc<Alert>)], symbols: &[&'static str]) {
    let rng = &world.rng;
    for account in ACCOUNTS {
        for at in world.weather.venues[account].by_hand.clone() {
            let exits: Vec<&(i64, Rc<Alert>)> = alerts
                .iter()
                .filter(|(_, alert)| !alert.is_entry())
                .collect();
            let (at, symbol) = if rng.chance(500) && !exits.is_empty() {
                let (sent, exit) = rng.pick(&exits);
                (sent + rng.range(200, 20_000), exit.symbol)
            } else {
                (at, *rng.pick(symbols))
            };
            let end = world.weather.calm_from - 1_000;
            world
                .exec
                .at(at.min(end), move |world| trade(world, account, symbol));
        }
    }
}

fn trade(world: &Rc<World>, account: usize, symbol: &str) {
    let Ok(symbol) = symbol.parse::<Symbol>() else {
        return;
    };
    let (rng, now) = (&world.rng, world.now());
    if symbol.as_str() == UNKNOWN_SYMBOL {
        // Nobody holds what the venue does not list.
        return;
    }
    if world.exchange(account).legs_now(&symbol).is_some() {
        return;
    }
    let (held, rules) = {
        let exchange = world.exchange(account);
        (exchange.held(&symbol), exchange.rules)
    };
    let dust = Decimal::new(rng.range(1, 9), 3);
    let leaves_dust = dust < rules.min && rng.chance(600);
    let more = Decimal::new(rng.range(10, 3_000), 3);
    let signed = if rng.chance(500) { more } else { -more };
    let delta = match rng.below(5) {
        _ if leaves_dust && held < Decimal::ZERO => -dust - held,
        _ if leaves_dust => dust - held,
        _ if held.is_zero() => signed,
        0 => -(held / Decimal::TWO).round_dp(3),
        1 => -held,
        2 | 3 if held > Decimal::ZERO => -held - more,
        2 | 3 => -held + more,
        _ if held > Decimal::ZERO => more,
        _ => -more,
    };
    world.all_meet(meets::BY_HAND, account, Some(&symbol), None);
    world.note("venue", || {
        format!(
            "by hand: {held} {} become {}",
            symbol.as_str(),
            held + delta
        )
    });
    world.venues[account]
        .borrow_mut()
        .trade_by_hand(&symbol, delta, now);
    if rng.chance(400) {
        cancel(world, account, &symbol);
    }
}

/// Somebody cancels an order of ours that rests.
fn cancel(world: &Rc<World>, account: usize, symbol: &Symbol) {
    let now = world.now();
    let mut exchange = world.venues[account].borrow_mut();
    let resting =
        |order: &Order| order.ended.is_none() && order.may_rest() && order.spec.symbol == *symbol;
    let Some(place) = exchange.orders.iter().position(resting) else {
        return;
    };
    world
        .stats
        .hit(FAULT, "somebody cancels an order that rests");
    exchange.end(place, OrderStatus::Cancelled, now);
}

/// Strikes senders off a moment after they sent something, and takes them back later.
pub(crate) fn revoke(world: &Rc<World>, alerts: &[(i64, Rc<Alert>)], wishes: &mut Vec<Wishes>) {
    let rng = &world.rng;
    if !world.weather.revocations || alerts.is_empty() {
        return;
    }
    let end = world.weather.calm_from - 1_000;
    for _ in 0..rng.range(1, 2) {
        let (sent, alert) = rng.pick(alerts);
        let sender = alert.sender;
        let (mut without, back) = (wishes[0].clone(), wishes[0].clone());
        without.allowed[sender] = *rng.pick(&[[false, false], [false, true], [true, false]]);
        wishes.extend([without.clone(), back.clone()]);
        let struck = (sent + rng.range(100, 6_000)).min(end);
        world.exec.at(struck, move |world| {
            for account in ACCOUNTS {
                if !without.allowed[sender][account] {
                    world.all_meet(meets::REVOKED, account, None, Some(SENDERS[sender]));
                }
            }
            let acting = world.clone();
            world.exec.spawn(
                None,
                async move { acting.put_manifest(&without, true).await },
            );
        });
        let again = (struck + rng.range(60_000, 400_000)).min(end);
        world.exec.at(again, move |world| {
            let acting = world.clone();
            world
                .exec
                .spawn(None, async move { acting.put_manifest(&back, false).await });
        });
    }
}

/// Gives accounts another generation, most often while something is under way. Says to which one each comes in the end.
pub(crate) fn generations(world: &Rc<World>, alerts: &[(i64, Rc<Alert>)]) -> [u32; 2] {
    let rng = &world.rng;
    let end = world.weather.calm_from - 1_000;
    let when = |at: i64| match alerts {
        [_, ..] if rng.chance(700) => rng.pick(alerts).0 + rng.range(0, 12_000),
        _ => at,
    };
    let planned = world.weather.generations.iter();
    let mut planned: Vec<(i64, usize)> = planned
        .map(|(at, account)| (when(*at).min(end), *account))
        .collect();
    planned.sort_unstable();
    let mut reached = [1; 2];
    for (at, account) in planned {
        reached[account] += 1;
        let (generation, insist) = (reached[account], rng.chance(700));
        world.exec.at(at, move |world| {
            let acting = world.clone();
            world.exec.spawn(None, async move {
                acting.raise_generation(account, generation, insist).await;
            });
        });
    }
    reached
}

/// Takes an account off the manifest, by force or where nothing is open, and puts it back later.
pub(crate) fn retire(world: &Rc<World>, wishes: &mut Vec<Wishes>) {
    let rng = &world.rng;
    let Some((at, force)) = world.weather.retires else {
        return;
    };
    let end = world.weather.calm_from - 1_000;
    let (without, back) = (wishes[0].without(), wishes[0].clone());
    wishes.push(without.clone());
    world.exec.at(at.min(end), move |world| {
        let acting = world.clone();
        world
            .exec
            .spawn(None, async move { acting.retire(&without, force).await });
    });
    let again = rng
        .chance(700)
        .then(|| (at + rng.range(20_000, 400_000)).min(end));
    if let Some(again) = again {
        world.exec.at(again, move |world| {
            let acting = world.clone();
            world
                .exec
                .spawn(None, async move { acting.put_manifest(&back, true).await });
        });
    }
}

/// Closes everything when a venue does not let exits through, or when a symbol is in hedge mode.
pub(crate) fn flatten(world: &Rc<World>, length: i64) {
    let rng = &world.rng;
    for account in ACCOUNTS {
        let weather = &world.weather.venues[account];
        let windows: Vec<Window> = [
            &weather.refuses_exits,
            &weather.halted,
            &weather.paged,
            &weather.bans,
        ]
        .into_iter()
        .flatten()
        .copied()
        .collect();
        let hedged = !weather.hedged.is_empty() || weather.hour_limits > 0;
        let at = match windows.first() {
            Some(window) if rng.chance(350) => (window.from + rng.range(-500, 20_000)).max(START),
            None if hedged && rng.chance(350) => rng.range(START, START + length - 1_000),
            _ => continue,
        };
        let again = rng.chance(300).then(|| at + rng.range(1_000, 60_000));
        // The switch is set once more, which takes nothing back, and later it is off.
        let off = rng.chance(700).then(|| at + rng.range(30_000, 300_000));
        let end = START + length - 1_000;
        let changes = [(Some(at), KillMode::Entries, true)].into_iter().chain([
            (again, KillMode::Entries, false),
            (off, KillMode::Off, false),
        ]);
        for (at, mode, flatten) in changes {
            let Some(at) = at else { continue };
            world.exec.at(at.min(end), move |world| {
                let acting = world.clone();
                world.exec.spawn(None, async move {
                    acting.switch(mode, flatten, false).await;
                });
            });
        }
    }
}
