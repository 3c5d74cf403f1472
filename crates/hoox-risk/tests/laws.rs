//! Laws of plans: whatever the signal, the position and the venue's rules.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "in a test an overflow is a failure"
)]

#[cfg(test)]
mod laws {
    use hoox_model::{
        Amount, Decimal, Effect, Instrument, OrderKind, Position, PositionSide, Price, Product,
        Quantity, Side, Step, TimeInForce, Timestamp,
    };
    use hoox_risk::{KillMode, Leg, Plan, approve, plan};
    use hoox_signal::{Action, Alert, OnOpposite, Signal, Sizing, Target};
    use proptest::prelude::*;

    const STEPS: [&str; 4] = ["0.001", "0.05", "1", "0.003"];
    const TICKS: [&str; 4] = ["0.5", "0.01", "0.0007", "3"];

    fn decimal(units: i64, scale: u32) -> Decimal {
        Decimal::new(units, scale)
    }

    fn quantity(value: Decimal) -> Quantity {
        Quantity::try_from(value).unwrap()
    }

    fn instrument(step: &str, tick: &str) -> Instrument {
        let of = |text: &str| Step::try_from(text.parse::<Decimal>().unwrap()).unwrap();
        Instrument {
            symbol: "BTCUSDT".parse().unwrap(),
            product: Product::Linear,
            base: "BTC".to_owned(),
            quote: "USDT".to_owned(),
            tick_size: of(tick),
            quantity_step: of(step),
            min_quantity: step.parse().unwrap(),
            max_limit_quantity: "1000000".parse().unwrap(),
            max_market_quantity: "1000000".parse().unwrap(),
            min_notional: "0".parse().unwrap(),
            max_leverage: None,
            trading: true,
        }
    }

    /// A position of a signed number of steps.
    fn position(steps: i64, rules: &Instrument) -> Position {
        let side = match steps {
            0 => None,
            1.. => Some(PositionSide::Long),
            _ => Some(PositionSide::Short),
        };
        Position {
            side,
            quantity: quantity(Decimal::from(steps.abs()) * rules.quantity_step.get()),
            ..Position::flat(rules.symbol.clone())
        }
    }

    fn signed(position: &Position) -> Decimal {
        match position.side {
            Some(PositionSide::Short) => -position.quantity.get(),
            _ => position.quantity.get(),
        }
    }

    fn signed_leg(leg: &Leg) -> Decimal {
        match leg.side {
            Side::Buy => leg.quantity.get(),
            Side::Sell => -leg.quantity.get(),
        }
    }

    fn after(plan: &Plan, position: &Position) -> Decimal {
        plan.legs.iter().map(signed_leg).sum::<Decimal>() + signed(position)
    }

    fn base_signal() -> Signal {
        let alert = Alert::parse(br#"{"symbol":"BTCUSDT","action":"LONG","quantity":1}"#).unwrap();
        Signal::from_alert(&alert, None, Timestamp::from_millis(1_780_000_000_000)).unwrap()
    }

    fn actions() -> impl Strategy<Value = Action> {
        let size = (1i64..2_000_000).prop_map(|units| quantity(decimal(units, 4)));
        prop_oneof![
            Just(Action::Long),
            Just(Action::Short),
            Just(Action::CloseLong),
            Just(Action::CloseShort),
            Just(Action::Close),
            Just(Action::Buy),
            Just(Action::Sell),
            Just(Action::Reverse),
            Just(Action::Target(Target::Flat)),
            size.clone()
                .prop_map(|size| Action::Target(Target::Long(size))),
            size.prop_map(|size| Action::Target(Target::Short(size))),
        ]
    }

    fn orders() -> impl Strategy<Value = OrderKind> {
        let limit = (1i64..10_000_000).prop_map(|units| {
            let price = Price::try_from(decimal(units, 3)).unwrap();
            let time_in_force = hoox_model::TimeInForce::Gtc;
            OrderKind::Limit {
                price,
                time_in_force,
            }
        });
        prop_oneof![Just(OrderKind::Market), limit]
    }

    prop_compose! {
        fn cases()(
            action in actions(),
            order in orders(),
            sizing in prop_oneof![
                (1i64..2_000_000).prop_map(|units| Sizing::Base(quantity(decimal(units, 4)))),
                (1i64..2_000_000_000).prop_map(|units| Sizing::Quote(Amount::try_from(decimal(units, 4)).unwrap())),
            ],
            whole: bool,
            on_opposite in prop_oneof![Just(OnOpposite::Reverse), Just(OnOpposite::Net), Just(OnOpposite::Refuse)],
            held in prop_oneof![Just(0i64), -3_000i64..3_000],
            step in 0usize..4,
            tick in 0usize..4,
            market in 1i64..10_000_000,
        ) -> (Signal, Position, Instrument, Price) {
            let rules = instrument(STEPS[step], TICKS[tick]);
            let mut signal = base_signal();
            signal.action = action;
            signal.order = order;
            signal.on_opposite = on_opposite;
            let needless = matches!(action, Action::Target(_))
                || (whole && matches!(action, Action::Reverse | Action::Close | Action::CloseLong | Action::CloseShort));
            signal.quantity = (!needless).then_some(sizing);
            (signal, position(held, &rules), rules, Price::try_from(decimal(market, 3)).unwrap())
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

        #[test]
        fn closing_legs_come_first_and_never_exceed_the_position((signal, position, rules, market) in cases()) {
            let Ok(planned) = plan(&signal, &position, &rules, Some(market)) else { return Ok(()) };
            let closing: Decimal = planned.legs.iter().filter(|leg| leg.effect.closes()).map(|leg| leg.quantity.get()).sum();
            prop_assert!(closing <= position.quantity.get());
            let first_open = planned.legs.iter().position(|leg| !leg.effect.closes()).unwrap_or(planned.legs.len());
            prop_assert!(planned.legs[first_open..].iter().all(|leg| !leg.effect.closes()));
            for leg in planned.legs.iter().filter(|leg| leg.effect.closes()) {
                prop_assert_eq!(Some(leg.side), position.side.map(PositionSide::exit_side));
            }
        }

        #[test]
        fn sizes_are_above_zero_on_the_step_and_never_above_the_wish((signal, position, rules, market) in cases()) {
            let Ok(planned) = plan(&signal, &position, &rules, Some(market)) else { return Ok(()) };
            for leg in &planned.legs {
                prop_assert!(!leg.quantity.is_zero());
                prop_assert!(rules.quantity_step.divides(leg.quantity.get()));
            }
            let Some(last) = planned.legs.last() else { return Ok(()) };
            if planned.opening_refused.is_some() {
                // What is left is the close, which is as large as what is held.
                prop_assert!(last.effect.closes());
                return Ok(());
            }
            match signal.quantity {
                Some(Sizing::Base(wish)) => prop_assert!(last.quantity <= wish),
                Some(Sizing::Quote(wish)) => {
                    let price = last.kind.price().unwrap_or(market);
                    prop_assert!(last.quantity.notional(price).unwrap() <= wish);
                }
                _ => {}
            }
        }

        #[test]
        fn a_limit_is_never_worse_than_wished((signal, position, rules, market) in cases()) {
            let Ok(planned) = plan(&signal, &position, &rules, Some(market)) else { return Ok(()) };
            for leg in &planned.legs {
                let (Some(price), Some(wish)) = (leg.kind.price(), signal.order.price()) else { continue };
                prop_assert!(rules.tick_size.divides(price.get()));
                match leg.side {
                    Side::Buy => prop_assert!(price <= wish),
                    Side::Sell => prop_assert!(price >= wish),
                }
            }
        }

        #[test]
        fn all_legs_filled_leave_what_was_asked_for((signal, position, rules, market) in cases()) {
            let Ok(planned) = plan(&signal, &position, &rules, Some(market)) else { return Ok(()) };
            let (before, after) = (signed(&position), after(&planned, &position));
            if planned.opening_refused.is_some() {
                // The close goes out whatever becomes of the leg that was to open.
                prop_assert!(!before.is_zero() && after.is_zero());
                return Ok(());
            }
            let floored = |size: Quantity| size.floor_to(rules.quantity_step).unwrap().get();
            let opened = planned.legs.last().filter(|leg| !leg.effect.closes()).map(|leg| leg.quantity.get());
            match signal.action {
                // An entry ends on its own side, by its size beyond what was there on that side.
                Action::Long | Action::Short if signal.on_opposite != OnOpposite::Net => {
                    let sign = if signal.action == Action::Long { Decimal::ONE } else { -Decimal::ONE };
                    let kept = (before * sign).max(Decimal::ZERO);
                    prop_assert_eq!(after * sign, kept + opened.unwrap());
                }
                Action::Long | Action::Buy => prop_assert_eq!(after, before + opened.unwrap()),
                Action::Short | Action::Sell => prop_assert_eq!(after, before - opened.unwrap()),
                Action::Reverse => match signal.quantity {
                    None => prop_assert_eq!(after, -before),
                    Some(_) if before.is_zero() => prop_assert!(after.is_zero()),
                    Some(_) => prop_assert_eq!(after.abs(), opened.unwrap()),
                },
                Action::CloseLong if before <= Decimal::ZERO => prop_assert_eq!(after, before),
                Action::CloseShort if before >= Decimal::ZERO => prop_assert_eq!(after, before),
                Action::Close | Action::CloseLong | Action::CloseShort => match signal.quantity {
                    None => prop_assert!(after.is_zero()),
                    // Smaller, on the same side.
                    Some(_) => prop_assert!(before.is_zero() || (after.abs() < before.abs() && (after * before) >= Decimal::ZERO)),
                },
                Action::Target(Target::Flat) => prop_assert!(after.is_zero()),
                Action::Target(Target::Long(size)) => prop_assert_eq!(after, floored(size)),
                Action::Target(Target::Short(size)) => prop_assert_eq!(after, -floored(size)),
                Action::Cancel => prop_assert!(false, "cancel is not planned"),
            }
        }

        #[test]
        fn what_is_left_for_exits_never_enlarges_or_turns_a_position((signal, position, rules, market) in cases()) {
            let Ok(planned) = plan(&signal, &position, &rules, Some(market)) else { return Ok(()) };
            let entered = planned.enters();
            let whole = planned.clone();
            let left = planned.exits_only(&position);
            prop_assert!(left.legs.iter().all(|leg| leg.effect.closes() && !leg.quantity.is_zero()));
            let (before, after) = (signed(&position), after(&left, &position));
            prop_assert!(after.abs() <= before.abs() && after * before >= Decimal::ZERO);
            if !entered {
                prop_assert_eq!(left, whole, "exits stay as they are");
            }
        }

        #[test]
        fn what_only_reduces_opens_nothing_and_takes_no_more_than_its_quantity((mut signal, position, rules, market) in cases()) {
            signal.reduce_only = true;
            let Ok(planned) = plan(&signal, &position, &rules, Some(market)) else { return Ok(()) };
            prop_assert!(!planned.enters() && planned.opening_refused.is_none());
            let (before, after) = (signed(&position), after(&planned, &position));
            prop_assert!(after.abs() <= before.abs() && after * before >= Decimal::ZERO);
            let side = match signal.action {
                Action::Long | Action::Buy => Some(PositionSide::Short),
                Action::Short | Action::Sell => Some(PositionSide::Long),
                _ => None,
            };
            if side.is_some_and(|side| position.side != Some(side)) {
                prop_assert_eq!(before, after);
            }
            if let (Some(_), Some(Sizing::Base(most))) = (side, signal.quantity) {
                prop_assert!((before - after).abs() <= most.get());
            }
        }

        #[test]
        fn a_closing_leg_is_one_the_venue_takes(
            held in 1u32..2_000_000, asked in 1u32..2_000_000, limit in proptest::option::of(1u32..100_000), (_, _, rules, _) in cases()
        ) {
            let step = rules.quantity_step.get();
            let held = Quantity::try_from(Decimal::from(held) * step).unwrap();
            let quantity = Quantity::try_from(Decimal::from(asked) * step).unwrap().min(held);
            let order = limit.map_or(OrderKind::Market, |ticks| OrderKind::Limit {
                price: Price::try_from(rules.tick_size.get() * Decimal::from(ticks)).unwrap(),
                time_in_force: TimeInForce::Gtc,
            });
            match hoox_risk::closing_leg(order, PositionSide::Long, quantity, quantity == held, Some(&rules), true) {
                Ok(leg) if leg.close_all => prop_assert!(quantity == held && quantity < rules.min_quantity),
                Ok(leg) => {
                    let most = if limit.is_some() { rules.max_limit_quantity } else { rules.max_market_quantity };
                    prop_assert!(leg.quantity >= rules.min_quantity && leg.quantity <= most && leg.quantity <= quantity);
                    prop_assert!(rules.quantity_step.divides(leg.quantity.get()));
                }
                Err(_) => prop_assert!(quantity < rules.min_quantity || rules.min_quantity > rules.max_market_quantity.min(rules.max_limit_quantity)),
            }
        }

        #[test]
        fn nothing_is_approved_against_the_switch_or_the_clock(closes: bool, late in -10i64..10, mode in 0usize..3) {
            let mode = [KillMode::Off, KillMode::Entries, KillMode::All][mode];
            let deadline = Timestamp::from_millis(1_780_000_000_000);
            let spec = hoox_model::OrderSpec {
                client_order_id: "hx-1".parse().unwrap(),
                symbol: "BTCUSDT".parse().unwrap(),
                product: Product::Linear,
                side: Side::Buy,
                kind: OrderKind::Market,
                quantity: "1".parse().unwrap(),
                effect: if closes { Effect::Close } else { Effect::Open },
                leg: None,
                close_all: false,
            };
            let allowed = match mode {
                KillMode::Off => true,
                KillMode::Entries => closes,
                KillMode::All => false,
            };
            let answer = approve(spec.clone(), mode, deadline, deadline.plus_millis(late));
            prop_assert_eq!(answer.is_ok(), allowed && late <= 0);
            if let Ok(approved) = answer {
                prop_assert_eq!(approved.spec(), &spec);
            }
        }
    }
}

/// Refusals say the numbers, and what to write.
#[cfg(test)]
mod sentences {
    use hoox_model::{
        Code, Instrument, OrderKind, Position, PositionSide, Price, Product, Quantity, Step,
        Timestamp,
    };
    use hoox_risk::{Refused, closing_leg, closing_quantity, plan};
    use hoox_signal::{Alert, Signal, Sizing};

    fn rules() -> Instrument {
        let step = |text: &str| text.parse::<Step>().unwrap();
        Instrument {
            symbol: "BTCUSDT".parse().unwrap(),
            product: Product::Linear,
            base: "BTC".to_owned(),
            quote: "USDT".to_owned(),
            tick_size: step("0.1"),
            quantity_step: step("0.001"),
            min_quantity: "0.002".parse().unwrap(),
            max_limit_quantity: "100".parse().unwrap(),
            max_market_quantity: "50".parse().unwrap(),
            min_notional: "5".parse().unwrap(),
            max_leverage: None,
            trading: true,
        }
    }

    fn planned(fields: &str, price: Option<&str>) -> Result<hoox_risk::Plan, Refused> {
        let body = format!(r#"{{"symbol":"BTCUSDT",{fields}}}"#);
        let alert = Alert::parse(body.as_bytes()).unwrap();
        let now = Timestamp::from_millis(1_780_000_000_000);
        let signal = Signal::from_alert(&alert, None, now).unwrap();
        let flat = Position::flat("BTCUSDT".parse().unwrap());
        let price = price.map(|price| price.parse::<Price>().unwrap());
        plan(&signal, &flat, &rules(), price)
    }

    #[test]
    fn a_refused_entry_names_step_tick_and_minimum() {
        for (fields, price, code, sentence) in [
            (
                r#""action":"LONG","quantity":1,"orderType":"limit","price":8.1e-7"#,
                None,
                Code::BadField,
                "price 0.00000081 is below one tick of BTCUSDT, 0.1: write a multiple of 0.1, the nearest one to what you mean, and 0.1 at least",
            ),
            (
                r#""action":"LONG","quantity":0.0004"#,
                None,
                Code::BelowMinimum,
                "quantity 0.0004 is 0 BTC after rounding down to steps of 0.001, less than the venue's minimum of 0.002; it has to be 0.002 at least",
            ),
            (
                r#""action":"LONG","quantity":10,"quantityType":"quote""#,
                Some("60000"),
                Code::BelowMinimum,
                "quantity 10 USDT is 0 BTC after rounding down to steps of 0.001, less than the venue's minimum of 0.002; it has to be 0.002 at least",
            ),
            (
                r#""action":"target","marketPosition":"long","marketPositionSize":0.0019"#,
                None,
                Code::BelowMinimum,
                "the size is 0.001 BTC after rounding down to steps of 0.001, less than the venue's minimum of 0.002; it has to be 0.002 at least",
            ),
            (
                r#""action":"LONG","quantity":0.002,"orderType":"limit","price":1000"#,
                None,
                Code::BelowMinimum,
                "0.002 BTC are worth 2 USDT at 1000, less than the venue's minimum of 5; the size has to be 0.005 BTC at least",
            ),
            (
                r#""action":"LONG","quantity":51"#,
                None,
                Code::AboveMaximum,
                "51 BTC is more than one market order may hold at the venue; write 50 at most, or send several alerts",
            ),
        ] {
            let refused = planned(fields, price).unwrap_err();
            assert_eq!((refused.code, refused.message.as_str()), (code, sentence));
        }
    }

    #[test]
    fn a_refused_exit_names_step_and_minimum() {
        let rules = rules();
        let small: Quantity = "0.0004".parse().unwrap();
        let sizing = Sizing::Base(small);
        let refused = closing_quantity(sizing, OrderKind::Market, Some(&rules), None).unwrap_err();
        assert_eq!(refused.code, Code::BelowMinimum);
        assert_eq!(
            refused.message,
            "the quantity, 0.0004 BTC, is less than one step of the venue, 0.001 BTC, so nothing is closed; write 0.001 at least, or leave quantity out to close all"
        );
        let closes = |quantity: &str| {
            let quantity = quantity.parse().unwrap();
            let side = PositionSide::Long;
            closing_leg(OrderKind::Market, side, quantity, false, Some(&rules), true)
        };
        assert_eq!(
            closes("0.001").unwrap_err().message,
            "0.001 BTC to close is less than the venue's minimum of 0.002 in steps of 0.001"
        );
        assert!(closes("0.002").is_ok());
    }
}
