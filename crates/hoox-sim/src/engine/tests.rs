#![expect(
    clippy::arithmetic_side_effects,
    reason = "sums that overflow would fail the test"
)]

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

const BTC: &str = "BTCUSDT";
const START: i64 = 1_700_000_000_000;

fn dec(text: &str) -> Decimal {
    text.parse().unwrap()
}

fn engine() -> Engine {
    let mut engine = crate::bybit::engine(dec("10000"), 1, false);
    engine.set_price(BTC, dec("50000"), START).unwrap();
    engine
}

fn market(side: Side, quantity: &str) -> OrderRequest {
    OrderRequest {
        symbol: BTC.to_owned(),
        leg: Leg::Net,
        side,
        kind: OrderKind::Market,
        time_in_force: TimeInForce::Gtc,
        size: Size::Exactly(dec(quantity)),
        price: None,
        reduce_only: false,
        close_on_trigger: false,
        client_id: None,
        take_profit: None,
        stop_loss: None,
    }
}

fn limit(side: Side, quantity: &str, price: &str) -> OrderRequest {
    OrderRequest {
        kind: OrderKind::Limit,
        price: Some(dec(price)),
        ..market(side, quantity)
    }
}

fn reduce(request: OrderRequest) -> OrderRequest {
    OrderRequest {
        reduce_only: true,
        ..request
    }
}

fn place(engine: &mut Engine, request: &OrderRequest) -> Order {
    engine.create(request, Twist::default(), START).unwrap()
}

fn position(engine: &Engine) -> Position {
    engine.market(BTC).unwrap().position.clone()
}

#[test]
fn a_market_order_fills_at_the_price_and_pays_the_taker_fee() {
    let mut engine = engine();
    let order = place(&mut engine, &market(Side::Buy, "0.1"));
    assert_eq!(order.status, Status::Filled);
    assert_eq!(order.average_price(), Some(dec("50000")));
    assert_eq!(order.fee, dec("2.75"));
    assert_eq!(position(&engine).size, dec("0.1"));
    assert_eq!(engine.summary().unwrap().wallet, dec("9997.25"));
}

#[test]
fn a_flip_realises_the_old_side_and_opens_the_new_one_at_the_new_price() {
    let mut engine = engine();
    place(&mut engine, &market(Side::Buy, "0.1"));
    engine.set_price(BTC, dec("51000"), START).unwrap();
    place(&mut engine, &market(Side::Sell, "0.3"));
    let position = position(&engine);
    assert_eq!(position.size, dec("-0.2"));
    assert_eq!(position.average_price(), Some(dec("51000")));
    assert_eq!(position.realised, dec("100"));
    assert_eq!(position.fees, dec("2.75") + dec("8.415"));
    let fill = engine.fills().next_back().unwrap();
    assert_eq!((fill.closed, fill.realised), (dec("0.1"), dec("100")));
}

#[test]
fn a_resting_order_fills_as_maker_at_its_own_price() {
    let mut engine = engine();
    let order = place(&mut engine, &limit(Side::Buy, "0.1", "49000"));
    assert_eq!(order.status, Status::New);
    assert_eq!(engine.summary().unwrap().order_margin, dec("490"));
    engine.set_price(BTC, dec("48000"), START).unwrap();
    let order = engine.order_by_id(&order.id).unwrap();
    assert_eq!(order.status, Status::Filled);
    assert_eq!(order.average_price(), Some(dec("49000")));
    assert_eq!(order.fee, dec("0.98"));
}

#[test]
fn a_limit_order_that_crosses_takes_at_the_better_price() {
    let mut engine = engine();
    let order = place(&mut engine, &limit(Side::Buy, "0.1", "50100"));
    assert_eq!(order.average_price(), Some(dec("50000")));
    assert_eq!(order.fee, dec("2.75"));
}

#[test]
fn time_in_force_decides_what_happens_at_once() {
    let cases = [
        (TimeInForce::PostOnly, "50100", Status::Cancelled),
        (TimeInForce::PostOnly, "49900", Status::New),
        (TimeInForce::Ioc, "50100", Status::Filled),
        (TimeInForce::Ioc, "49900", Status::Cancelled),
        (TimeInForce::Fok, "50100", Status::Filled),
        (TimeInForce::Fok, "49900", Status::Cancelled),
        (TimeInForce::Gtc, "49900", Status::New),
    ];
    for (time_in_force, price, status) in cases {
        let mut engine = engine();
        let request = OrderRequest {
            time_in_force,
            ..limit(Side::Buy, "0.1", price)
        };
        assert_eq!(
            place(&mut engine, &request).status,
            status,
            "{time_in_force:?} {price}"
        );
    }
}

#[test]
fn reduce_only_needs_a_position_on_the_other_side_and_never_flips() {
    let mut engine = engine();
    let sell = reduce(market(Side::Sell, "0.3"));
    assert_eq!(
        engine.create(&sell, Twist::default(), START),
        Err(Refusal::NoPosition)
    );
    place(&mut engine, &market(Side::Buy, "0.1"));
    assert_eq!(
        engine.create(&reduce(market(Side::Buy, "0.1")), Twist::default(), START),
        Err(Refusal::WouldIncrease)
    );
    let order = place(&mut engine, &sell);
    assert_eq!((order.quantity, order.filled), (dec("0.1"), dec("0.1")));
    assert!(position(&engine).size.is_zero());
}

#[test]
fn resting_reduce_only_orders_shrink_with_the_position() {
    let mut engine = engine();
    place(&mut engine, &market(Side::Buy, "0.2"));
    let exit = place(&mut engine, &reduce(limit(Side::Sell, "0.2", "52000")));
    place(&mut engine, &market(Side::Sell, "0.05"));
    assert_eq!(engine.order_by_id(&exit.id).unwrap().quantity, dec("0.15"));
    place(&mut engine, &market(Side::Sell, "0.15"));
    let exit = engine.order_by_id(&exit.id).unwrap();
    assert_eq!(exit.status, Status::Cancelled);
    assert_eq!(exit.cancel_cause, Some(CancelCause::NothingToReduce));
}

#[test]
fn the_whole_position_closes_without_a_quantity() {
    let mut engine = engine();
    place(&mut engine, &market(Side::Sell, "0.123"));
    let request = OrderRequest {
        size: Size::WholePosition,
        close_on_trigger: true,
        ..reduce(market(Side::Buy, "1"))
    };
    assert_eq!(place(&mut engine, &request).filled, dec("0.123"));
    assert!(position(&engine).size.is_zero());
}

fn at_most_in_one_order(engine: &mut Engine, quantity: &str) {
    let instrument = engine.instrument_mut(BTC).unwrap();
    instrument.max_market_quantity = dec(quantity);
    instrument.max_quantity = dec(quantity);
}

#[test]
fn orders_that_close_are_held_to_the_largest_quantity_too() {
    let mut engine = engine();
    place(&mut engine, &market(Side::Buy, "1"));
    at_most_in_one_order(&mut engine, "0.4");
    for request in [
        reduce(market(Side::Sell, "0.401")),
        reduce(limit(Side::Sell, "1", "51000")),
    ] {
        assert_eq!(
            engine.create(&request, Twist::default(), START),
            Err(Refusal::QuantityTooLarge)
        );
    }
    let order = place(&mut engine, &reduce(market(Side::Sell, "0.4")));
    assert_eq!(order.filled, dec("0.4"));
    // Closing all takes what one order may.
    let all = OrderRequest {
        size: Size::WholePosition,
        close_on_trigger: true,
        ..reduce(market(Side::Sell, "1"))
    };
    assert_eq!(place(&mut engine, &all).filled, dec("0.4"));
    assert_eq!(position(&engine).size, dec("0.2"));
}

#[test]
fn larger_orders_that_close_are_split_where_the_venue_does_that() {
    let mut engine = engine();
    engine.set_split_exits(true);
    place(&mut engine, &market(Side::Buy, "1"));
    at_most_in_one_order(&mut engine, "0.4");
    let request = OrderRequest {
        client_id: Some("exit".to_owned()),
        ..reduce(market(Side::Sell, "5"))
    };
    let first = place(&mut engine, &request);
    assert_eq!(first.client_id.as_deref(), Some("exit"));
    let parts: Vec<_> = engine
        .orders()
        .skip(1)
        .map(|order| (order.quantity, order.filled, order.client_id.as_deref()))
        .collect();
    assert_eq!(
        parts,
        [
            (dec("0.4"), dec("0.4"), Some("exit")),
            (dec("0.4"), dec("0.4"), None),
            (dec("0.2"), dec("0.2"), None),
        ]
    );
    assert!(position(&engine).size.is_zero());
    // What opens is refused all the same.
    assert_eq!(
        engine.create(&market(Side::Buy, "0.5"), Twist::default(), START),
        Err(Refusal::QuantityTooLarge)
    );
    check_restore(&engine);
}

#[test]
fn legs_are_positions_of_their_own_that_their_exits_never_flip() {
    let mut engine = engine();
    engine.set_hedged(BTC, true, false, START).unwrap();
    let leg = |leg, request| OrderRequest { leg, ..request };
    let sizes = |engine: &Engine| {
        let market = engine.market(BTC).unwrap();
        (market.position.size, market.short.size)
    };
    assert_eq!(
        engine.create(&market(Side::Buy, "0.1"), Twist::default(), START),
        Err(Refusal::PositionMode)
    );
    place(&mut engine, &leg(Leg::Long, market(Side::Buy, "0.3")));
    place(&mut engine, &leg(Leg::Short, market(Side::Sell, "0.2")));
    assert_eq!(sizes(&engine), (dec("0.3"), dec("-0.2")));
    // Both need margin: neither covers the other.
    assert_eq!(engine.summary().unwrap().position_margin, dec("2500"));

    // An exit of the wrong leg would add to it.
    let wrong = leg(Leg::Short, reduce(market(Side::Sell, "0.1")));
    assert_eq!(
        engine.create(&wrong, Twist::default(), START),
        Err(Refusal::WouldIncrease)
    );
    engine.set_price(BTC, dec("51000"), START).unwrap();
    // What is not on a leg's side closes, reduce-only or not.
    let order = place(&mut engine, &leg(Leg::Long, market(Side::Sell, "0.5")));
    assert_eq!((order.filled, order.reduce_only), (dec("0.3"), true));
    assert_eq!(sizes(&engine), (Decimal::ZERO, dec("-0.2")));
    let exit = leg(Leg::Long, reduce(market(Side::Sell, "0.1")));
    assert_eq!(
        engine.create(&exit, Twist::default(), START),
        Err(Refusal::NoPosition)
    );
    let order = place(
        &mut engine,
        &leg(Leg::Short, reduce(market(Side::Buy, "0.2"))),
    );
    assert_eq!(order.filled, dec("0.2"));
    assert_eq!(sizes(&engine), (Decimal::ZERO, Decimal::ZERO));
    // 300 won by the long leg, 200 lost by the short one.
    let realised: Decimal = engine.fills().map(|fill| fill.realised).sum();
    assert_eq!(realised, dec("100"));
    let fees: Decimal = engine.fills().map(|fill| fill.fee).sum();
    let summary = engine.summary().unwrap();
    assert_eq!(summary.wallet, dec("10000") + realised - fees);
    assert_eq!(summary.realised, realised - fees);
    check_restore(&engine);
}

#[test]
fn resting_exits_and_stops_belong_to_their_leg() {
    let mut engine = engine();
    engine.set_hedged(BTC, true, false, START).unwrap();
    let leg = |leg, request| OrderRequest { leg, ..request };
    place(&mut engine, &leg(Leg::Long, market(Side::Buy, "0.1")));
    place(&mut engine, &leg(Leg::Short, market(Side::Sell, "0.1")));
    let resting = leg(Leg::Long, reduce(limit(Side::Sell, "0.1", "52000")));
    let resting = place(&mut engine, &resting).id;
    place(&mut engine, &leg(Leg::Long, market(Side::Sell, "0.06")));
    let order = engine.order_by_id(&resting).unwrap();
    assert_eq!(order.quantity, dec("0.04"), "no larger than its leg");
    engine
        .protect(
            BTC,
            Leg::Short,
            Change::Keep,
            Change::Set(dec("51000")),
            START,
        )
        .unwrap();
    engine.set_price(BTC, dec("51000"), START).unwrap();
    let market = engine.market(BTC).unwrap();
    assert_eq!(
        (market.position.size, market.short.size),
        (dec("0.04"), Decimal::ZERO)
    );
}

#[test]
fn the_mode_changes_while_nothing_is_in_its_way() {
    let mut engine = engine();
    let order = place(&mut engine, &limit(Side::Buy, "0.1", "49000"));
    assert_eq!(
        engine.set_hedged(BTC, true, true, START),
        Err(Refusal::ModeOrders)
    );
    engine.cancel(order.sequence, START).unwrap();
    place(&mut engine, &market(Side::Sell, "0.1"));
    assert_eq!(
        engine.set_hedged(BTC, true, false, START),
        Err(Refusal::ModePosition)
    );
    // By hand what is held becomes a leg, and back.
    engine.set_hedged(BTC, true, true, START).unwrap();
    assert_eq!(
        engine.set_hedged(BTC, true, true, START),
        Err(Refusal::ModeUnchanged)
    );
    let short = engine.market(BTC).unwrap().short.clone();
    assert_eq!((short.size, short.cost), (dec("-0.1"), dec("5000")));
    engine
        .trade(BTC, Leg::Long, Side::Buy, dec("0.1"), START)
        .unwrap();
    assert_eq!(
        engine.set_hedged(BTC, false, true, START),
        Err(Refusal::ModePosition)
    );
    engine
        .trade(BTC, Leg::Long, Side::Sell, dec("0.1"), START)
        .unwrap();
    engine.set_hedged(BTC, false, true, START).unwrap();
    assert_eq!(position(&engine).size, dec("-0.1"));
}

#[test]
fn a_trade_by_hand_asks_for_no_filter_and_no_margin() {
    let mut engine = engine();
    engine.instrument_mut(BTC).unwrap().min_quantity = dec("0.01");
    let mut trade = |leg, side, quantity| engine.trade(BTC, leg, side, dec(quantity), START);
    let order = trade(Leg::Net, Side::Buy, "700").unwrap();
    assert_eq!((order.status, order.client_id), (Status::Filled, None));
    trade(Leg::Net, Side::Sell, "700.003").unwrap();
    for (leg, quantity, refusal) in [
        (Leg::Long, "1", Refusal::PositionMode),
        (Leg::Net, "0", Refusal::QuantityTooSmall),
        (Leg::Net, "-1", Refusal::QuantityTooSmall),
        (Leg::Net, "0.0005", Refusal::QuantityStep),
    ] {
        assert_eq!(trade(leg, Side::Buy, quantity), Err(refusal));
    }
    assert_eq!(position(&engine).size, dec("-0.003"));
    // Dust goes by the form that closes all.
    let exit = reduce(market(Side::Buy, "0.003"));
    assert_eq!(
        engine.create(&exit, Twist::default(), START),
        Err(Refusal::QuantityTooSmall)
    );
    let all = OrderRequest {
        size: Size::WholePosition,
        close_on_trigger: true,
        ..exit
    };
    assert_eq!(place(&mut engine, &all).filled, dec("0.003"));
    assert!(position(&engine).size.is_zero());
}

#[test]
fn what_was_held_is_remembered_for_a_minute() {
    let mut engine = engine();
    let at = |seconds: i64| START + 1000 * seconds;
    for (seconds, side, quantity) in [
        (10, Side::Buy, "0.1"),
        (20, Side::Buy, "0.2"),
        (20, Side::Sell, "0.5"),
    ] {
        engine
            .trade(BTC, Leg::Net, side, dec(quantity), at(seconds))
            .unwrap();
    }
    engine.set_hedged(BTC, true, true, at(30)).unwrap();
    for (millis, hedged, long, short) in [
        (9_999, false, "0", "0"),
        (10_000, false, "0.1", "0"),
        (19_999, false, "0.1", "0"),
        (20_000, false, "-0.2", "0"),
        (29_999, false, "-0.2", "0"),
        (30_000, true, "0", "-0.2"),
        (80_000, true, "0", "-0.2"),
    ] {
        let market = engine.market_at(BTC, START + millis).unwrap();
        assert_eq!(
            (market.hedged, market.position.size, market.short.size),
            (hedged, dec(long), dec(short)),
            "{millis}"
        );
    }
    engine
        .trade(BTC, Leg::Short, Side::Buy, dec("0.2"), at(85))
        .unwrap();
    assert_eq!(engine.past[BTC].len(), 2, "older ones are forgotten");
}

#[test]
fn a_symbol_that_is_not_open_takes_no_order_but_a_cancellation() {
    let mut engine = engine();
    let resting = place(&mut engine, &limit(Side::Buy, "0.1", "49000"));
    for listing in [Listing::PreLaunch, Listing::Delivering, Listing::Closed] {
        engine.set_listing(BTC, listing).unwrap();
        assert_eq!(
            engine.create(&market(Side::Buy, "0.1"), Twist::default(), START),
            Err(Refusal::NotTrading)
        );
    }
    engine.cancel(resting.sequence, START).unwrap();
    engine.set_listing(BTC, Listing::Trading).unwrap();
    place(&mut engine, &market(Side::Buy, "0.1"));
}

#[test]
fn instrument_filters_are_exact() {
    let cases = [
        (market(Side::Buy, "0.0009"), Refusal::QuantityTooSmall),
        (market(Side::Buy, "0.0015"), Refusal::QuantityStep),
        (market(Side::Buy, "500.001"), Refusal::QuantityTooLarge),
        (
            limit(Side::Buy, "1190.001", "50000"),
            Refusal::QuantityTooLarge,
        ),
        (limit(Side::Buy, "0.001", "50000.05"), Refusal::PriceTick),
        (limit(Side::Buy, "0.001", "0"), Refusal::PriceRange),
        (limit(Side::Buy, "0.001", "1999999.9"), Refusal::PriceRange),
        (
            limit(Side::Buy, "0.001", "4999.9"),
            Refusal::NotionalTooSmall { minimum: dec("5") },
        ),
        (market(Side::Buy, "2.1"), Refusal::InsufficientMargin),
        (
            OrderRequest {
                symbol: "DOGEUSDT".to_owned(),
                ..market(Side::Buy, "1")
            },
            Refusal::UnknownSymbol,
        ),
    ];
    for (request, refusal) in cases {
        let mut engine = engine();
        let before = engine.save().unwrap();
        assert_eq!(
            engine.create(&request, Twist::default(), START),
            Err(refusal)
        );
        assert_eq!(engine.save().unwrap(), before, "a refusal changes nothing");
    }
    place(&mut engine(), &limit(Side::Buy, "0.001", "5000"));
}

#[test]
fn the_margin_that_leverage_allows_is_the_limit() {
    // 10 000 USDT: value / 10 + value × 0.00055 must fit, so 1.98 BTC at 50 000 does and 1.99 does not.
    assert_eq!(
        engine().create(&market(Side::Buy, "1.99"), Twist::default(), START),
        Err(Refusal::InsufficientMargin)
    );
    let mut engine = engine();
    place(&mut engine, &market(Side::Buy, "1.98"));
    // What closes needs no margin; what opens beyond that does.
    place(&mut engine, &market(Side::Sell, "1.98"));
    assert!(position(&engine).size.is_zero());
}

#[test]
fn a_client_id_is_taken_for_ever() {
    let mut engine = engine();
    let request = OrderRequest {
        client_id: Some("once".to_owned()),
        ..limit(Side::Buy, "0.1", "49000")
    };
    let order = place(&mut engine, &request);
    engine.cancel(order.sequence, START).unwrap();
    assert_eq!(
        engine.create(&request, Twist::default(), START),
        Err(Refusal::DuplicateClientId)
    );
}

#[test]
fn a_refused_order_leaves_its_client_id_free() {
    let mut engine = engine();
    let named = |quantity| OrderRequest {
        client_id: Some("again".to_owned()),
        ..market(Side::Buy, quantity)
    };
    assert_eq!(
        engine.create(&named("400"), Twist::default(), START),
        Err(Refusal::InsufficientMargin)
    );
    assert_eq!(place(&mut engine, &named("0.1")).status, Status::Filled);
}

#[test]
fn a_delayed_order_fills_when_its_time_comes() {
    let mut engine = engine();
    let twist = Twist {
        fill_delay_ms: 500,
        ..Twist::default()
    };
    let order = engine
        .create(&market(Side::Buy, "0.1"), twist, START)
        .unwrap();
    assert_eq!(order.status, Status::New);
    engine.advance(START + 499);
    assert_eq!(engine.order_by_id(&order.id).unwrap().status, Status::New);
    engine.advance(START + 500);
    assert_eq!(
        engine.order_by_id(&order.id).unwrap().status,
        Status::Filled
    );
}

#[test]
fn a_delayed_reduce_only_order_arrives_no_larger_than_the_position() {
    let mut engine = engine();
    place(&mut engine, &market(Side::Buy, "0.2"));
    let twist = Twist {
        fill_delay_ms: 500,
        ..Twist::default()
    };
    let exit = reduce(limit(Side::Sell, "0.2", "52000"));
    let exit = engine.create(&exit, twist, START).unwrap();
    place(&mut engine, &market(Side::Sell, "0.05"));
    engine.advance(START + 500);
    assert_eq!(engine.order_by_id(&exit.id).unwrap().quantity, dec("0.15"));
}

#[test]
fn a_capped_market_order_ends_cancelled_with_its_fill() {
    let mut engine = engine();
    let twist = Twist {
        fill_cap: Some(dec("0.04")),
        ..Twist::default()
    };
    let order = engine
        .create(&market(Side::Buy, "0.1"), twist, START)
        .unwrap();
    assert_eq!(
        (order.status, order.filled),
        (Status::Cancelled, dec("0.04"))
    );
    assert_eq!(position(&engine).size, dec("0.04"));
}

#[test]
fn a_capped_limit_order_rests_until_the_price_moves() {
    let mut engine = engine();
    let twist = Twist {
        fill_cap: Some(dec("0.04")),
        ..Twist::default()
    };
    let order = engine
        .create(&limit(Side::Buy, "0.1", "50000"), twist, START)
        .unwrap();
    assert_eq!(
        (order.status, order.filled),
        (Status::PartiallyFilled, dec("0.04"))
    );
    engine.set_price(BTC, dec("50000"), START).unwrap();
    assert_eq!(engine.order_by_id(&order.id).unwrap().filled, dec("0.04"));
    engine.set_price(BTC, dec("49999"), START).unwrap();
    assert_eq!(
        engine.order_by_id(&order.id).unwrap().status,
        Status::Filled
    );
}

#[test]
fn a_stop_loss_closes_the_position_at_the_price() {
    let mut engine = engine();
    let request = OrderRequest {
        take_profit: Some(dec("55000")),
        stop_loss: Some(dec("49000")),
        ..market(Side::Buy, "0.1")
    };
    place(&mut engine, &request);
    engine.set_price(BTC, dec("49000.1"), START).unwrap();
    assert_eq!(position(&engine).size, dec("0.1"));
    engine.set_price(BTC, dec("48900"), START).unwrap();
    assert!(position(&engine).size.is_zero());
    let closing = engine.orders().next_back().unwrap();
    assert_eq!(
        (closing.origin, closing.average_price()),
        (Origin::StopLoss, Some(dec("48900")))
    );
    assert_eq!(position(&engine).take_profit, None);
}

#[test]
fn protection_on_the_wrong_side_is_refused() {
    let mut engine = engine();
    for (take_profit, stop_loss) in [(Some("49000"), None), (None, Some("51000"))] {
        let request = OrderRequest {
            take_profit: take_profit.map(dec),
            stop_loss: stop_loss.map(dec),
            ..market(Side::Buy, "0.1")
        };
        assert_eq!(
            engine.create(&request, Twist::default(), START),
            Err(Refusal::ProtectionSide)
        );
    }
}

#[test]
fn leverage_changes_the_margin_and_says_when_it_does_not() {
    let mut engine = engine();
    assert_eq!(
        engine.set_leverage(BTC, dec("10")),
        Err(Refusal::LeverageUnchanged)
    );
    assert_eq!(
        engine.set_leverage(BTC, dec("0.5")),
        Err(Refusal::LeverageRange)
    );
    assert_eq!(
        engine.set_leverage(BTC, dec("100.01")),
        Err(Refusal::LeverageRange)
    );
    engine.set_leverage(BTC, dec("25")).unwrap();
    place(&mut engine, &market(Side::Buy, "0.1"));
    assert_eq!(engine.summary().unwrap().position_margin, dec("200"));
    place(&mut engine, &market(Side::Buy, "1.9"));
    assert_eq!(
        engine.set_leverage(BTC, dec("2")),
        Err(Refusal::InsufficientMargin)
    );
    assert_eq!(engine.market(BTC).unwrap().leverage, dec("25"));
}

#[test]
fn no_more_than_500_orders_rest_in_a_symbol() {
    let mut engine = engine();
    for _ in 0..MAX_OPEN_PER_SYMBOL {
        place(&mut engine, &limit(Side::Buy, "0.001", "5000"));
    }
    assert_eq!(
        engine.create(&limit(Side::Buy, "0.001", "5000"), Twist::default(), START),
        Err(Refusal::TooManyOpen)
    );
    assert_eq!(
        engine.cancel_all(Some(BTC), START).len(),
        MAX_OPEN_PER_SYMBOL
    );
}

/// Anything a client or a test can do to the engine.
#[derive(Debug, Clone)]
enum Act {
    Create(OrderRequest, Twist),
    Price(i64),
    Cancel(usize),
    CancelAll,
    Leverage(i64),
    Protect(Option<i64>, Option<i64>),
    Wait(i64),
}

fn price(ticks: i64) -> Decimal {
    Decimal::new(ticks, 1)
}

fn any_order() -> impl Strategy<Value = Act> {
    let side = prop_oneof![Just(Side::Buy), Just(Side::Sell)];
    let time_in_force = prop_oneof![
        Just(TimeInForce::Gtc),
        Just(TimeInForce::Ioc),
        Just(TimeInForce::Fok),
        Just(TimeInForce::PostOnly)
    ];
    let twist = (
        prop_oneof![3 => Just(0_i64), 1 => 1..50_i64],
        prop::option::weighted(0.2, 1..900_i64),
    );
    (
        side,
        time_in_force,
        1..1_500_i64,
        prop::option::of(400_000..600_000_i64),
        prop::bool::weighted(0.3),
        prop::option::of(0..20_u8),
        twist,
    )
        .prop_map(
            |(side, time_in_force, thousandths, limit, reduce_only, client, (delay, cap))| {
                Act::Create(
                    OrderRequest {
                        symbol: BTC.to_owned(),
                        leg: Leg::Net,
                        side,
                        kind: if limit.is_some() {
                            OrderKind::Limit
                        } else {
                            OrderKind::Market
                        },
                        time_in_force,
                        size: Size::Exactly(Decimal::new(thousandths, 3)),
                        price: limit.map(price),
                        reduce_only,
                        close_on_trigger: false,
                        client_id: client.map(|number| format!("client-{number}")),
                        take_profit: None,
                        stop_loss: None,
                    },
                    Twist {
                        fill_delay_ms: delay,
                        lookup_lag_ms: 0,
                        fill_cap: cap.map(|thousandths| Decimal::new(thousandths, 3)),
                    },
                )
            },
        )
}

fn any_act() -> impl Strategy<Value = Act> {
    prop_oneof![
        6 => any_order(),
        3 => (400_000..600_000_i64).prop_map(Act::Price),
        1 => (0..40_usize).prop_map(Act::Cancel),
        1 => Just(Act::CancelAll),
        1 => (1..100_i64).prop_map(Act::Leverage),
        1 => (prop::option::of(400_000..600_000_i64), prop::option::of(400_000..600_000_i64))
            .prop_map(|(take_profit, stop_loss)| Act::Protect(take_profit, stop_loss)),
        1 => (1..60_i64).prop_map(Act::Wait),
    ]
}

/// Does one thing. Refusals are part of the game: the laws must hold after them, too.
fn act(engine: &mut Engine, act: &Act, now_ms: &mut i64) {
    let change = |level: Option<i64>| level.map_or(Change::Keep, |ticks| Change::Set(price(ticks)));
    let refused = match act {
        Act::Create(request, twist) => engine.create(request, *twist, *now_ms).err(),
        Act::Price(ticks) => engine.set_price(BTC, price(*ticks), *now_ms).err(),
        Act::Cancel(nth) => {
            let chosen = engine.orders().nth(*nth).map(|order| order.sequence);
            chosen.and_then(|sequence| engine.cancel(sequence, *now_ms).err())
        }
        Act::CancelAll => {
            engine.cancel_all(None, *now_ms);
            None
        }
        Act::Leverage(leverage) => engine.set_leverage(BTC, Decimal::from(*leverage)).err(),
        Act::Protect(take_profit, stop_loss) => engine
            .protect(
                BTC,
                Leg::Net,
                change(*take_profit),
                change(*stop_loss),
                *now_ms,
            )
            .err(),
        Act::Wait(millis) => {
            *now_ms += millis;
            engine.advance(*now_ms);
            None
        }
    };
    assert!(
        !matches!(refused, Some(Refusal::Overflow(_) | Refusal::Full)),
        "{refused:?}"
    );
}

fn check_laws(engine: &Engine, now_ms: i64) {
    let market = engine.market(BTC).unwrap();
    let position = &market.position;

    // The position is the sum of its signed fills, and the cost is positive where there is one.
    let held: Decimal = engine
        .fills()
        .map(|fill| fill.side.signed(fill.quantity))
        .sum();
    assert_eq!(position.size, held);
    assert_eq!(position.size.is_zero(), position.cost.is_zero());
    assert!(position.cost >= Decimal::ZERO);

    // Money is conserved, to the last digit: by the books, and by the cash that moved.
    let summary = engine.summary().unwrap();
    let realised: Decimal = engine.fills().map(|fill| fill.realised).sum();
    let fees: Decimal = engine.fills().map(|fill| fill.fee).sum();
    assert_eq!(summary.wallet, engine.initial_balance + realised - fees);
    assert_eq!(summary.realised, realised - fees);
    let cash: Decimal = engine
        .fills()
        .map(|fill| -fill.side.signed(fill.quantity) * fill.price - fill.fee)
        .sum();
    let worth = cash + position.size * market.price;
    assert_eq!(
        summary.wallet + summary.unrealised,
        engine.initial_balance + worth
    );

    // Ids are given once.
    let ids: BTreeSet<_> = engine.orders().map(|order| &order.id).collect();
    assert_eq!(ids.len(), engine.orders().count());
    let named: Vec<_> = engine
        .orders()
        .filter_map(|order| order.client_id.as_ref())
        .collect();
    assert_eq!(named.iter().collect::<BTreeSet<_>>().len(), named.len());

    let mut open_reducing = Decimal::ZERO;
    for order in engine.orders() {
        let filled: Decimal = engine
            .fills()
            .filter(|fill| fill.order == order.sequence)
            .map(|fill| fill.quantity)
            .sum();
        assert_eq!(order.filled, filled);
        assert!(order.filled <= order.quantity);
        assert_eq!(
            order.status == Status::Filled,
            order.filled == order.quantity
        );
        assert_eq!(
            order.status.is_open(),
            engine.open.contains(&order.sequence)
        );
        if order.status.is_open() && order.arrived {
            let limit = order.price.unwrap();
            let crossed = match order.side {
                Side::Buy => market.price <= limit,
                Side::Sell => market.price >= limit,
            };
            assert!(
                !crossed || order.held_at == Some(market.price),
                "{order:?} at {}",
                market.price
            );
            if order.reduce_only {
                open_reducing = open_reducing.max(order.leaves());
            }
        }
        assert!(order.arrived || order.ready_ms > now_ms || !order.status.is_open());
    }
    assert!(open_reducing <= position.size.abs());

    // A reduce-only order opens nothing.
    for fill in engine.fills() {
        let order = engine.orders.get(&fill.order).unwrap();
        assert!(
            !order.reduce_only || fill.closed == fill.quantity,
            "{fill:?}"
        );
    }
}

/// What is saved is what is restored.
fn check_restore(engine: &Engine) {
    let saved = engine.save().unwrap();
    let mut copy = crate::bybit::engine(Decimal::ONE, 99, false);
    copy.restore(&saved).unwrap();
    assert_eq!(copy.save().unwrap(), saved);
    assert_eq!(copy.open, engine.open);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn the_books_balance_whatever_happens(acts in prop::collection::vec(any_act(), 1..60)) {
        let mut engine = engine();
        let mut now_ms = START;
        for one in &acts {
            act(&mut engine, one, &mut now_ms);
            check_laws(&engine, now_ms);
        }
        check_restore(&engine);
    }

    #[test]
    fn the_same_acts_give_the_same_state(acts in prop::collection::vec(any_act(), 1..40)) {
        let run = || {
            let mut engine = engine();
            let mut now_ms = START;
            for one in &acts {
                act(&mut engine, one, &mut now_ms);
            }
            engine.save().unwrap()
        };
        prop_assert_eq!(run(), run());
    }
}

/// Leg, side, quantity in thousandths, reduce-only, price in ticks around the start.
type LegAct = (bool, bool, i64, bool, i64);

fn any_leg_act() -> impl Strategy<Value = LegAct> {
    (
        any::<bool>(),
        any::<bool>(),
        1i64..400,
        any::<bool>(),
        -500i64..500,
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn legs_never_turn_and_their_books_balance(
        acts in prop::collection::vec(any_leg_act(), 1..40),
        split: bool,
    ) {
        let mut engine = engine();
        engine.set_hedged(BTC, true, false, START).unwrap();
        engine.set_split_exits(split);
        at_most_in_one_order(&mut engine, "0.2");
        for (index, (long, buys, thousandths, reduce_only, ticks)) in acts.into_iter().enumerate() {
            let now_ms = START + i64::try_from(index).unwrap();
            engine.set_price(BTC, price(500_000 + ticks), now_ms).unwrap();
            let request = OrderRequest {
                leg: if long { Leg::Long } else { Leg::Short },
                reduce_only,
                ..market(if buys { Side::Buy } else { Side::Sell }, "1")
            };
            let quantity = Decimal::new(thousandths, 3);
            let request = OrderRequest { size: Size::Exactly(quantity), ..request };
            let before = engine.fills().count();
            let answer = engine.create(&request, Twist::default(), now_ms);
            let closes = long != buys;
            if quantity > dec("0.2") && !(split && (closes || reduce_only)) {
                prop_assert_eq!(answer.clone(), Err(Refusal::QuantityTooLarge));
            }
            if answer.is_err() {
                prop_assert_eq!(engine.fills().count(), before, "a refusal changes nothing");
            }
            let market = engine.market(BTC).unwrap();
            prop_assert!(market.position.size >= Decimal::ZERO && market.short.size <= Decimal::ZERO);
            let summary = engine.summary().unwrap();
            let realised: Decimal = engine.fills().map(|fill| fill.realised).sum();
            let fees: Decimal = engine.fills().map(|fill| fill.fee).sum();
            prop_assert_eq!(summary.wallet, engine.initial_balance + realised - fees);
            for fill in engine.fills().skip(before) {
                prop_assert!(fill.quantity <= dec("0.2"));
                prop_assert_eq!(fill.closed, if closes { fill.quantity } else { Decimal::ZERO });
            }
        }
        check_restore(&engine);
    }
}
