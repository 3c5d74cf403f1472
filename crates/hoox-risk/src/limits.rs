//! An account's limits on entries.

use hoox_model::{Balance, Code, Decimal, Limits, Price, Side, Symbol};

use crate::{Plan, Refused};

/// How an account stands at the moment a plan is approved. What no limit asks for may be `None`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Standing {
    /// What is held of the symbol: positive long, negative short.
    pub position: Decimal,
    /// Sizes of Hoox's own entries on the symbol that may still be filled.
    pub pending_buys: Decimal,
    /// The same for sells.
    pub pending_sells: Decimal,
    /// Sizes of Hoox's own exits on the symbol that may still be filled, where they buy. They turn nothing, but what they
    /// close no entry nets any more.
    pub closing_buys: Decimal,
    /// The same for sells.
    pub closing_sells: Decimal,
    /// The symbol's price at the venue.
    pub price: Option<Price>,
    /// Symbols on which something is held or an entry is on its way, this one left out.
    pub other_symbols: Option<usize>,
    /// Whether the symbol itself is one of them already.
    pub occupied: bool,
    /// Orders of the account within the last minute.
    pub orders: u32,
    /// Orders of the symbol within the last minute.
    pub symbol_orders: u32,
    /// Profit or loss since midnight UTC, realised and not.
    pub result_today: Option<Decimal>,
}

impl Standing {
    /// What is left of `held` for entries of a side to net, once every exit that trades as they do is filled.
    pub fn netted(&self, side: Side, held: Decimal) -> Decimal {
        match side {
            Side::Buy if held.is_sign_negative() => {
                held.saturating_add(self.closing_buys).min(Decimal::ZERO)
            }
            Side::Sell if !held.is_sign_negative() => {
                held.saturating_sub(self.closing_sells).max(Decimal::ZERO)
            }
            Side::Buy | Side::Sell => held,
        }
    }
}

/// Whether a plan that enters keeps the limits. A plan that only exits always does.
///
/// # Errors
/// [`Code::Limit`] with the limit and by how much it would be passed; also where a number that a limit
/// needs is not known.
pub fn within_limits(
    limits: &Limits,
    symbol: &Symbol,
    plan: &Plan,
    standing: &Standing,
) -> Result<(), Refused> {
    if !plan.enters() {
        return Ok(());
    }
    rate(limits, symbol, plan, standing)?;
    open_positions(limits, standing)?;
    daily_loss(limits, standing)?;
    notional(limits, symbol, plan, standing)
}

fn refuse(message: String) -> Refused {
    Refused::new(Code::Limit, message)
}

fn unknown(limit: &str) -> Refused {
    refuse(format!(
        "the venue gives no number for {limit}, so no entry is made"
    ))
}

fn rate(limits: &Limits, symbol: &Symbol, plan: &Plan, standing: &Standing) -> Result<(), Refused> {
    let more = u32::try_from(plan.legs.len()).unwrap_or(u32::MAX);
    let of_account = (
        standing.orders,
        limits.account.max_orders_per_minute,
        "the account",
    );
    let of_symbol = (
        standing.symbol_orders,
        limits.max_orders_per_minute(symbol),
        symbol.as_str(),
    );
    for (made, most, whose) in [of_account, of_symbol] {
        if let Some(most) = most
            && made.saturating_add(more) > most
        {
            return Err(refuse(format!(
                "{made} orders within a minute and {more} more are above maxOrdersPerMinute of {whose}, {most}"
            )));
        }
    }
    Ok(())
}

fn open_positions(limits: &Limits, standing: &Standing) -> Result<(), Refused> {
    let Some(most) = limits.max_open_positions else {
        return Ok(());
    };
    let others = standing
        .other_symbols
        .ok_or_else(|| unknown("maxOpenPositions"))?;
    if standing.occupied || others < usize::try_from(most).unwrap_or(usize::MAX) {
        return Ok(());
    }
    Err(refuse(format!(
        "{others} positions are open or being opened, and maxOpenPositions is {most}"
    )))
}

fn daily_loss(limits: &Limits, standing: &Standing) -> Result<(), Refused> {
    let Some(most) = limits.max_daily_loss else {
        return Ok(());
    };
    let result = standing
        .result_today
        .ok_or_else(|| unknown("maxDailyLoss"))?;
    let loss = Decimal::ZERO.saturating_sub(result);
    if loss < most.get() {
        return Ok(());
    }
    Err(refuse(format!(
        "{loss} were lost since midnight UTC, and maxDailyLoss is {most}; exits still work"
    )))
}

/// What the position is worth if everything in the order's direction is filled, exits included, at the higher of the
/// market's price and the order's own.
fn notional(
    limits: &Limits,
    symbol: &Symbol,
    plan: &Plan,
    standing: &Standing,
) -> Result<(), Refused> {
    let Some(most) = limits.max_position_notional(symbol) else {
        return Ok(());
    };
    let market = standing
        .price
        .ok_or_else(|| unknown("maxPositionNotional"))?;
    for Opening { price, exposed, .. } in openings(plan, standing, market) {
        let worth = exposed.checked_mul(price).unwrap_or(Decimal::MAX);
        if worth > most.get() {
            return Err(refuse(format!(
                "the position would be worth {}, and maxPositionNotional of {symbol} is {most}",
                worth.normalize()
            )));
        }
    }
    Ok(())
}

/// An opening leg of a plan.
struct Opening {
    /// The higher of the market's price and its own.
    price: Decimal,
    /// The size of the position, if everything in its direction is filled.
    exposed: Decimal,
    /// How much of the other side's position it nets.
    nets: Decimal,
}

fn openings(plan: &Plan, standing: &Standing, market: Price) -> Vec<Opening> {
    let mut held = standing.position;
    let mut openings = Vec::new();
    for leg in &plan.legs {
        let signed = match leg.side {
            Side::Buy => leg.quantity.get(),
            Side::Sell => Decimal::ZERO.saturating_sub(leg.quantity.get()),
        };
        let before = standing.netted(leg.side, held);
        held = held.saturating_add(signed);
        if leg.effect.closes() {
            continue;
        }
        let after = before.saturating_add(signed);
        let (exposed, nets) = match leg.side {
            Side::Buy => (
                after.saturating_add(standing.pending_buys),
                Decimal::ZERO.saturating_sub(before),
            ),
            Side::Sell => (standing.pending_sells.saturating_sub(after), before),
        };
        openings.push(Opening {
            price: leg.kind.price().map_or(market, |own| own.max(market)).get(),
            exposed,
            nets: nets.max(Decimal::ZERO),
        });
    }
    openings
}

/// How much of the other side's position may be closed before an entry arrives that [`within_limits`] allows; `None` where
/// all of it may be. More, and the entry makes a position that is worth more than the limit.
pub fn may_close_before(
    limits: &Limits,
    symbol: &Symbol,
    plan: &Plan,
    standing: &Standing,
) -> Option<Decimal> {
    let most = limits.max_position_notional(symbol)?;
    let market = standing.price?;
    let openings = openings(plan, standing, market);
    let left = openings.iter().filter_map(|opening| {
        let room = most.get().checked_div(opening.price)?;
        let left = room.saturating_sub(opening.exposed).max(Decimal::ZERO);
        (left < opening.nets).then_some(left)
    });
    left.min()
}

/// What an account's trading has brought in all, realised and not, in the currencies that linear
/// perpetuals are settled in; deposits and withdrawals do not change it. `None` where the venue does
/// not say.
pub fn trading_result(balances: &[Balance]) -> Option<Decimal> {
    balances
        .iter()
        .filter(|balance| matches!(balance.currency.as_str(), "USDT" | "USDC"))
        .try_fold(Decimal::ZERO, |sum, balance| {
            let realised = balance.realised_pnl?.get();
            let open = balance.equity.get().checked_sub(balance.wallet.get())?;
            sum.checked_add(realised)?.checked_add(open)
        })
}

#[cfg(test)]
#[expect(
    clippy::arithmetic_side_effects,
    reason = "in a test an overflow is a failure"
)]
mod tests {
    use hoox_model::{Amount, Effect, OrderKind, Quantity, SymbolLimits, TimeInForce};
    use proptest::prelude::*;

    use super::*;
    use crate::Leg;

    fn btc() -> Symbol {
        "BTCUSDT".parse().unwrap()
    }

    fn leg(side: Side, quantity: u32, closes: bool) -> Leg {
        Leg {
            side,
            kind: OrderKind::Market,
            quantity: Quantity::try_from(Decimal::from(quantity)).unwrap(),
            effect: if closes { Effect::Close } else { Effect::Open },
            close_all: false,
        }
    }

    fn plan(legs: Vec<Leg>) -> Plan {
        Plan {
            legs,
            summary: String::new(),
            opening_refused: None,
        }
    }

    fn amount(value: u32) -> Amount {
        Amount::try_from(Decimal::from(value)).unwrap()
    }

    fn notional_limit(most: u32) -> Limits {
        Limits {
            account: SymbolLimits {
                max_position_notional: Some(amount(most)),
                max_orders_per_minute: None,
            },
            ..Limits::default()
        }
    }

    fn priced(price: u32) -> Standing {
        Standing {
            price: Some(Decimal::from(price).try_into().unwrap()),
            ..Standing::default()
        }
    }

    #[test]
    fn without_limits_everything_passes() {
        let plan = plan(vec![leg(Side::Buy, 1_000_000, false)]);
        within_limits(&Limits::default(), &btc(), &plan, &Standing::default()).unwrap();
    }

    #[test]
    fn a_number_that_is_not_known_stops_entries_and_never_exits() {
        let all = Limits {
            max_open_positions: Some(100),
            max_daily_loss: Some(amount(100)),
            ..notional_limit(100)
        };
        let each = [
            Limits {
                max_open_positions: Some(100),
                ..Limits::default()
            },
            Limits {
                max_daily_loss: Some(amount(100)),
                ..Limits::default()
            },
            notional_limit(100),
        ];
        for limits in each {
            let entry = plan(vec![leg(Side::Buy, 1, false)]);
            let refused = within_limits(&limits, &btc(), &entry, &Standing::default()).unwrap_err();
            assert_eq!(refused.code, Code::Limit);
            assert!(refused.message.contains("gives no number"), "{refused}");
        }
        let exit = plan(vec![leg(Side::Sell, 1, true)]);
        within_limits(&all, &btc(), &exit, &Standing::default()).unwrap();
    }

    #[test]
    fn a_symbol_of_its_own_limits_is_held_to_them() {
        let mut limits = notional_limit(100);
        let own = SymbolLimits {
            max_position_notional: Some(amount(500)),
            max_orders_per_minute: Some(2),
        };
        limits.symbols.push((btc(), own));
        let entry = plan(vec![leg(Side::Buy, 4, false)]);
        within_limits(&limits, &btc(), &entry, &priced(100)).unwrap();
        let eth = "ETHUSDT".parse().unwrap();
        within_limits(&limits, &eth, &entry, &priced(100)).unwrap_err();
        let busy = Standing {
            symbol_orders: 2,
            ..priced(100)
        };
        within_limits(&limits, &btc(), &entry, &busy).unwrap_err();
    }

    #[test]
    fn a_limit_order_counts_at_its_own_price_where_that_is_higher() {
        let mut sell = leg(Side::Sell, 1, false);
        sell.kind = OrderKind::Limit {
            price: Decimal::from(150).try_into().unwrap(),
            time_in_force: TimeInForce::Gtc,
        };
        let plan = plan(vec![sell]);
        within_limits(&notional_limit(149), &btc(), &plan, &priced(100)).unwrap_err();
        within_limits(&notional_limit(150), &btc(), &plan, &priced(100)).unwrap();
    }

    #[test]
    fn the_result_of_trading_ignores_other_coins_and_needs_every_number() {
        let balance = |currency: &str, wallet: u32, equity: u32, realised: Option<i64>| Balance {
            currency: currency.to_owned(),
            wallet: amount(wallet),
            equity: amount(equity),
            available: None,
            realised_pnl: realised.map(|value| Decimal::from(value).try_into().unwrap()),
        };
        let usdt = balance("USDT", 1_000, 900, Some(-50));
        assert_eq!(
            trading_result(&[usdt.clone(), balance("BTC", 1, 1, None)]),
            Some(Decimal::from(-150))
        );
        assert_eq!(trading_result(&[usdt, balance("USDC", 1, 1, None)]), None);
    }

    proptest! {
        /// Whatever was there and is on its way: after a plan that passes, the position can be worth no
        /// more than the limit, unless it was before.
        #[test]
        fn no_plan_that_passes_makes_a_position_above_the_limit(
            held in -50i64..50, buys in 0u32..30, sells in 0u32..30, size in 1u32..40,
            closing_buys in 0i64..60, closing_sells in 0i64..60, buy: bool, most in 1u32..5_000, price in 1u32..200,
        ) {
            let side = if buy { Side::Buy } else { Side::Sell };
            let standing = Standing {
                position: held.into(), pending_buys: buys.into(), pending_sells: sells.into(),
                closing_buys: closing_buys.into(), closing_sells: closing_sells.into(),
                ..priced(price)
            };
            let entry = plan(vec![leg(side, size, false)]);
            let passes = within_limits(&notional_limit(most), &btc(), &entry, &standing).is_ok();
            let (held, buys, sells, size) = (held, i64::from(buys), i64::from(sells), i64::from(size));
            // Exits close what is there first, and turn nothing.
            let left = match (buy, held < 0) {
                (true, true) => (held + closing_buys).min(0),
                (false, false) => (held - closing_sells).max(0),
                _ => held,
            };
            let worst = if buy { left + buys + size } else { sells + size - left };
            prop_assert_eq!(passes, worst * i64::from(price) <= i64::from(most));
            // Whatever more is closed before it arrives.
            let nets = if buy { -left } else { left }.max(0);
            let may = may_close_before(&notional_limit(most), &btc(), &entry, &standing);
            let may = may.map_or(nets, |may| i64::try_from(may.trunc().mantissa()).unwrap());
            if passes {
                prop_assert!((worst + may) * i64::from(price) <= i64::from(most));
                prop_assert!(may == nets || (worst + may + 1) * i64::from(price) > i64::from(most));
            }
        }

        /// A flip is held to what it opens, not to what it closes.
        #[test]
        fn a_flip_counts_what_it_opens(held in 1u32..50, size in 1u32..50, most in 1u32..5_000) {
            let standing = Standing { position: Decimal::from(held), ..priced(100) };
            let flip = plan(vec![leg(Side::Sell, held, true), leg(Side::Sell, size, false)]);
            let passes = within_limits(&notional_limit(most), &btc(), &flip, &standing).is_ok();
            prop_assert_eq!(passes, size * 100 <= most);
        }

        #[test]
        fn entries_stop_at_the_number_of_positions(others in 0usize..20, occupied: bool, most in 1u32..20) {
            let limits = Limits { max_open_positions: Some(most), ..Limits::default() };
            let standing = Standing { other_symbols: Some(others), occupied, ..Standing::default() };
            let entry = plan(vec![leg(Side::Buy, 1, false)]);
            let passes = within_limits(&limits, &btc(), &entry, &standing).is_ok();
            let after = others + 1;
            prop_assert_eq!(passes, occupied || after <= usize::try_from(most).unwrap());
        }

        #[test]
        fn entries_stop_when_the_days_loss_reaches_the_limit(result in -1_000i64..1_000, most in 1u32..1_000) {
            let limits = Limits { max_daily_loss: Some(amount(most)), ..Limits::default() };
            let standing = Standing { result_today: Some(result.into()), ..Standing::default() };
            let entry = plan(vec![leg(Side::Buy, 1, false)]);
            let passes = within_limits(&limits, &btc(), &entry, &standing).is_ok();
            prop_assert_eq!(passes, -result < i64::from(most));
        }

        #[test]
        fn orders_within_a_minute_never_pass_the_limit(made in 0u32..50, legs in 1usize..3, most in 1u32..50) {
            let limits = Limits {
                account: SymbolLimits { max_orders_per_minute: Some(most), ..SymbolLimits::default() },
                ..Limits::default()
            };
            let standing = Standing { orders: made, ..Standing::default() };
            let entry = plan(vec![leg(Side::Buy, 1, false); legs]);
            let passes = within_limits(&limits, &btc(), &entry, &standing).is_ok();
            prop_assert_eq!(passes, made + u32::try_from(legs).unwrap() <= most);
        }
    }
}
