//! What every venue must do, checked against a simulated one. Each venue's test file makes a [`World`]
//! and runs the whole suite with `conformance!`.

use hoox_exchange::{
    Ack, CancelOutcome, Clock, ErrorClass, HttpRequest, HttpResponse, LookUp, MAX_RESPONSE_BYTES,
    Method, Transport, TransportError, Venue, VenueError, matches,
};
use hoox_model::{
    Amount, ClientOrderId, Decimal, Effect, OrderKind, OrderSnapshot, OrderSpec, OrderStatus,
    Position, PositionSide, Price, Product, Quantity, Side, Symbol, TimeInForce, Timestamp,
    parse_decimal,
};

/// What can go wrong, on request.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Trouble {
    /// The next order is accepted, its answer never comes.
    TimeoutAfterAccept,
    /// The next call is answered with this status, with or without effect.
    ServerError { status: u16, effect: bool },
    /// The connection of the next call drops, with or without effect.
    Disconnect { effect: bool },
    /// The next call is refused by the rate limit, which resets after so many milliseconds.
    RateLimit { reset_ms: i64 },
    /// The venue's clock is ahead by so many milliseconds.
    ClockSkew { millis: i64 },
    /// The next order stays out of look-ups for a while.
    LookUpLag,
    /// The next order fills by so much only.
    PartialFill { quantity: &'static str },
    /// Look-ups in the quick list forget closed orders.
    ForgetClosed,
    /// The next call is answered with this status by whoever stands before the venue, with a page of
    /// theirs, with or without effect.
    Page { status: u16, effect: bool },
    /// The next call is refused because the address is shut out, and says for how long or not.
    Ban { retry_after_s: Option<u32> },
    /// The next call is refused with HTTP 429 and so many seconds to wait.
    LongLimit { retry_after_s: u32 },
    /// Positions and fills are shown as they were a minute ago.
    PositionLag,
    /// The next read of the instrument shows it as closed, while orders are taken.
    ShownAsClosed,
    /// All that was asked for is over.
    Over,
}

/// What the venue says that the account's key is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Key {
    /// Whether it only reads.
    pub(crate) read_only: bool,
    /// Whether it may take and move money.
    pub(crate) withdraws: bool,
    /// The one address it is bound to.
    pub(crate) ip: Option<&'static str>,
}

impl Key {
    /// Trades contracts from everywhere.
    pub(crate) const TRADES: Self = Self {
        read_only: false,
        withdraws: false,
        ip: None,
    };
}

/// A venue whose other side the test holds. It trades BTCUSDT with steps of 0.001 and 0.1, a minimal
/// quantity of 0.001, a minimal notional of 5, and owns 100 000 USDT.
pub(crate) trait World {
    /// The adapter under test.
    type Venue: Venue;
    /// An adapter with the account's own key.
    fn venue(&self) -> &Self::Venue;
    /// An adapter that signs with another secret.
    fn impostor(&self) -> Self::Venue;
    /// Sets the price of BTCUSDT.
    fn set_price(&self, price: &str);
    /// Makes the account's key another one.
    fn set_key(&self, key: Key);
    /// Asks for trouble.
    fn trouble(&self, trouble: Trouble);
    /// How many orders the venue ever accepted.
    fn accepted(&self) -> usize;
    /// Switches BTCUSDT to hedge mode or back.
    fn set_hedge(&self, hedge: bool);
    /// Trades BTCUSDT on the account past the API, in hedge mode on one leg.
    fn trade(&self, leg: Option<PositionSide>, side: Side, quantity: &str);
    /// Sets the smallest quantity of an order of BTCUSDT and the largest of a market order.
    fn set_sizes(&self, smallest: &str, largest: &str);
    /// Sets whether larger orders that close are split instead of refused.
    fn set_split(&self, split: bool);
}

/// Makes a test of each check, each in a world of its own.
macro_rules! conformance {
    ($world:path) => {
        conformance!($world:
            reads_the_instrument, lists_its_symbols, knows_no_other_symbol, reads_the_ticker, reads_the_balance,
            sets_the_leverage, market_order_fills, limit_order_rests_and_is_cancelled,
            limit_order_fills_when_the_price_comes, post_only_that_would_take_is_cancelled,
            closes_with_reduce_only, reduce_only_is_cut_to_the_position,
            reduce_only_without_position_is_rejected, short_position, every_held_symbol_is_listed,
            open_orders_are_listed_on_all_pages,
            partial_fill_is_told, same_id_makes_no_second_order, below_the_minimum_is_rejected,
            off_the_step_is_rejected, without_margin_is_rejected, bad_signature_is_a_matter_of_credentials,
            tells_what_its_key_may_do, what_its_key_may_not_do_is_a_matter_of_credentials,
            clock_skew_is_healed_by_a_sync, time_out_after_acceptance_is_unknown_and_found,
            disconnect_is_unknown_with_and_without_effect, server_error_is_unknown_with_and_without_effect,
            rate_limit_is_definite_and_says_how_long, not_found_is_no_proof, history_keeps_what_the_quick_list_forgets,
            cancelling_nothing, nobody_listens_is_unknown, a_page_of_somebody_else_leaves_an_order_in_doubt,
            a_page_of_somebody_else_leaves_a_cancellation_in_doubt, a_ban_is_definite_and_says_how_long,
            an_hour_of_waiting_is_an_hour, legs_are_listed_and_closed_as_legs, all_that_is_held_closes_in_one_form,
            exits_are_held_to_the_largest_size, larger_exits_may_be_split, positions_may_lag_behind_our_own_fills,
            a_position_turned_by_hand_is_not_closed_by_the_old_exit, shown_as_closed_and_open_again
        );
    };
    ($world:path: $($check:ident),*) => {$(
        #[tokio::test]
        async fn $check() {
            conformance::$check(&$world().await).await;
        }
    )*};
}
pub(crate) use conformance;

fn btc() -> Symbol {
    "BTCUSDT".parse().unwrap()
}

fn id(text: &str) -> ClientOrderId {
    text.parse().unwrap()
}

fn quantity(text: &str) -> Quantity {
    text.parse().unwrap()
}

fn price(text: &str) -> Price {
    text.parse().unwrap()
}

fn decimal(text: &str) -> Decimal {
    parse_decimal(text).unwrap()
}

fn market(name: &str, side: Side, amount: &str) -> OrderSpec {
    OrderSpec {
        client_order_id: id(name),
        symbol: btc(),
        product: Product::Linear,
        side,
        kind: OrderKind::Market,
        quantity: quantity(amount),
        effect: Effect::Open,
        leg: None,
        close_all: false,
    }
}

fn close(name: &str, side: Side, amount: &str) -> OrderSpec {
    OrderSpec {
        effect: Effect::Close,
        ..market(name, side, amount)
    }
}

fn limit(name: &str, side: Side, amount: &str, at: &str, time_in_force: TimeInForce) -> OrderSpec {
    OrderSpec {
        kind: OrderKind::Limit {
            price: price(at),
            time_in_force,
        },
        ..market(name, side, amount)
    }
}

async fn found<W: World>(world: &W, name: &str) -> OrderSnapshot {
    match world
        .venue()
        .look_up(Product::Linear, &btc(), &id(name))
        .await
        .unwrap()
    {
        LookUp::Found(order) => *order,
        LookUp::NotFound => panic!("{name} is not found"),
    }
}

async fn position<W: World>(world: &W) -> Position {
    world
        .venue()
        .position(Product::Linear, &btc())
        .await
        .unwrap()
}

async fn place<W: World>(world: &W, spec: &OrderSpec) -> Ack {
    world.venue().place_order(spec).await.unwrap()
}

async fn refused<W: World>(world: &W, spec: &OrderSpec) -> VenueError {
    let before = world.accepted();
    let error = world.venue().place_order(spec).await.unwrap_err();
    assert_eq!(world.accepted(), before, "{error}");
    error
}

pub(crate) async fn reads_the_instrument<W: World>(world: &W) {
    let instrument = world
        .venue()
        .instrument(Product::Linear, &btc())
        .await
        .unwrap();
    assert_eq!(instrument.symbol, btc());
    assert_eq!(
        (instrument.base.as_str(), instrument.quote.as_str()),
        ("BTC", "USDT")
    );
    assert_eq!(instrument.tick_size.get(), decimal("0.1"));
    assert_eq!(instrument.quantity_step.get(), decimal("0.001"));
    assert_eq!(instrument.min_quantity, quantity("0.001"));
    assert_eq!(instrument.min_notional, "5".parse::<Amount>().unwrap());
    assert!(instrument.trading);
    assert!(instrument.max_market_quantity <= instrument.max_limit_quantity);
}

pub(crate) async fn lists_its_symbols<W: World>(world: &W) {
    let listed = world.venue().symbols(Product::Linear).await.unwrap();
    assert!(listed.contains(&btc()), "{listed:?}");
    let mut once = listed.clone();
    once.sort_unstable();
    once.dedup();
    assert_eq!(once.len(), listed.len());
}

pub(crate) async fn knows_no_other_symbol<W: World>(world: &W) {
    let nope: Symbol = "NOPEUSDT".parse().unwrap();
    let venue = world.venue();
    let error = venue.instrument(Product::Linear, &nope).await.unwrap_err();
    assert_eq!(error.class, ErrorClass::UnknownSymbol, "{error}");
    let error = venue.ticker(Product::Linear, &nope).await.unwrap_err();
    assert_eq!(error.class, ErrorClass::UnknownSymbol, "{error}");
    let spec = OrderSpec {
        symbol: nope,
        ..market("hx-1", Side::Buy, "1")
    };
    assert!(refused(world, &spec).await.class.is_definite());
}

pub(crate) async fn reads_the_ticker<W: World>(world: &W) {
    world.set_price("60000.5");
    let ticker = world.venue().ticker(Product::Linear, &btc()).await.unwrap();
    assert_eq!(ticker.last, price("60000.5"));
    assert!(ticker.mark.is_some());
}

pub(crate) async fn reads_the_balance<W: World>(world: &W) {
    world.set_price("60000");
    let usdt = || async {
        let balances = world.venue().balances().await.unwrap();
        balances
            .into_iter()
            .find(|balance| balance.currency == "USDT")
            .unwrap()
    };
    let before = usdt().await;
    let all: Amount = "100000".parse().unwrap();
    assert_eq!((before.wallet, before.equity), (all, all));
    assert_eq!(before.available, Some(all));
    place(world, &market("hx-1", Side::Buy, "0.1")).await;
    world.set_price("61000");
    let after = usdt().await;
    assert!(after.wallet < before.wallet, "the fee is paid");
    assert_eq!(
        after.equity.get().checked_sub(after.wallet.get()),
        Some(decimal("100")),
        "the open profit counts"
    );
    assert!(after.available < Some(after.wallet), "margin is locked");
}

pub(crate) async fn sets_the_leverage<W: World>(world: &W) {
    for leverage in ["7", "7", "2.5"] {
        world
            .venue()
            .set_leverage(Product::Linear, &btc(), decimal(leverage))
            .await
            .unwrap();
        assert_eq!(position(world).await.leverage, Some(decimal(leverage)));
    }
    let error = world
        .venue()
        .set_leverage(Product::Linear, &btc(), decimal("1000"))
        .await
        .unwrap_err();
    assert_eq!(error.class, ErrorClass::Rejected, "{error}");
}

pub(crate) async fn market_order_fills<W: World>(world: &W) {
    world.set_price("60000");
    let spec = market("hx-1", Side::Buy, "0.012");
    let sent_at = world.venue().server_time().await.unwrap();
    let ack = place(world, &spec).await;
    let order = found(world, "hx-1").await;
    assert_eq!(order.venue_order_id, ack.venue_order_id);
    assert_eq!(order.status, OrderStatus::Filled);
    assert_eq!(order.filled, quantity("0.012"));
    assert_eq!(order.average_price, Some(price("60000")));
    assert_eq!(matches(&spec, &order, sent_at), Ok(()));

    let fills = world
        .venue()
        .fills(
            Product::Linear,
            &btc(),
            &spec.client_order_id,
            spec.quantity,
        )
        .await
        .unwrap();
    assert_eq!(fills.len(), 1);
    assert_eq!(fills[0].venue_order_id, ack.venue_order_id);
    assert_eq!(fills[0].quantity, quantity("0.012"));
    assert_eq!(fills[0].price, price("60000"));
    assert_eq!(fills[0].side, Side::Buy);
    assert_eq!(fills[0].maker, Some(false));
    assert!(fills[0].fee > Amount::ZERO);
    assert_eq!(order.fee.unwrap_or(fills[0].fee), fills[0].fee);

    let held = position(world).await;
    assert_eq!(held.side, Some(PositionSide::Long));
    assert_eq!(held.quantity, quantity("0.012"));
    assert_eq!(held.entry_price, Some(price("60000")));
}

pub(crate) async fn limit_order_rests_and_is_cancelled<W: World>(world: &W) {
    world.set_price("60000");
    let spec = limit("hx-1", Side::Buy, "0.5", "59000.5", TimeInForce::Gtc);
    place(world, &spec).await;
    let order = found(world, "hx-1").await;
    assert_eq!(order.status, OrderStatus::New);
    assert!(order.filled.is_zero());
    assert_eq!(order.average_price, None);
    let cancel = || {
        world
            .venue()
            .cancel(Product::Linear, &spec.symbol, &spec.client_order_id)
    };
    assert_eq!(cancel().await, Ok(CancelOutcome::Cancelled));
    let order = found(world, "hx-1").await;
    assert_eq!(order.status, OrderStatus::Cancelled);
    assert!(order.status.is_final());
    let again = cancel().await.unwrap();
    assert_ne!(again, CancelOutcome::Cancelled);
    assert_eq!(position(world).await.side, None);
}

pub(crate) async fn limit_order_fills_when_the_price_comes<W: World>(world: &W) {
    world.set_price("60000");
    place(
        world,
        &limit("hx-1", Side::Buy, "0.5", "59000", TimeInForce::PostOnly),
    )
    .await;
    assert_eq!(found(world, "hx-1").await.status, OrderStatus::New);
    world.set_price("58999");
    let order = found(world, "hx-1").await;
    assert_eq!(order.status, OrderStatus::Filled);
    assert_eq!(order.average_price, Some(price("59000")));
    let fills = world
        .venue()
        .fills(Product::Linear, &btc(), &id("hx-1"), Quantity::ZERO)
        .await
        .unwrap();
    assert_eq!(fills[0].maker, Some(true));
}

/// A venue may refuse at once or acknowledge and cancel; either way nothing fills.
pub(crate) async fn post_only_that_would_take_is_cancelled<W: World>(world: &W) {
    world.set_price("60000");
    let spec = limit("hx-1", Side::Buy, "0.5", "61000", TimeInForce::PostOnly);
    match world.venue().place_order(&spec).await {
        Ok(_) => {
            let order = found(world, "hx-1").await;
            assert!(matches!(
                order.status,
                OrderStatus::Cancelled | OrderStatus::Rejected
            ));
            assert!(order.reason.is_some());
        }
        Err(error) => assert_eq!(error.class, ErrorClass::Rejected),
    }
    assert_eq!(position(world).await.side, None);
}

pub(crate) async fn closes_with_reduce_only<W: World>(world: &W) {
    world.set_price("60000");
    place(world, &market("hx-1", Side::Buy, "0.5")).await;
    place(world, &close("hx-2", Side::Sell, "0.2")).await;
    assert_eq!(position(world).await.quantity, quantity("0.3"));
    place(world, &close("hx-3", Side::Sell, "0.3")).await;
    assert!(found(world, "hx-3").await.reduce_only);
    let held = position(world).await;
    assert_eq!((held.side, held.quantity), (None, Quantity::ZERO));
}

pub(crate) async fn reduce_only_is_cut_to_the_position<W: World>(world: &W) {
    world.set_price("60000");
    place(world, &market("hx-1", Side::Buy, "0.5")).await;
    let spec = close("hx-2", Side::Sell, "0.7");
    let sent_at = world.venue().server_time().await.unwrap();
    place(world, &spec).await;
    let order = found(world, "hx-2").await;
    assert_eq!(order.filled, quantity("0.5"));
    assert_eq!(matches(&spec, &order, sent_at), Ok(()));
    assert_eq!(position(world).await.side, None);
}

pub(crate) async fn reduce_only_without_position_is_rejected<W: World>(world: &W) {
    let error = refused(world, &close("hx-1", Side::Sell, "0.5")).await;
    assert_eq!(error.class, ErrorClass::Rejected, "{error}");
}

pub(crate) async fn short_position<W: World>(world: &W) {
    world.set_price("60000");
    place(world, &market("hx-1", Side::Sell, "0.5")).await;
    world.set_price("59000");
    let held = position(world).await;
    assert_eq!(held.side, Some(PositionSide::Short));
    assert_eq!(held.held(PositionSide::Short), quantity("0.5"));
    assert_eq!(held.unrealised_pnl, Some("500".parse().unwrap()));
}

pub(crate) async fn every_held_symbol_is_listed<W: World>(world: &W) {
    assert_eq!(world.venue().positions(Product::Linear).await, Ok(vec![]));
    place(world, &market("hx-1", Side::Buy, "0.01")).await;
    let eth = OrderSpec {
        symbol: "ETHUSDT".parse().unwrap(),
        ..market("hx-2", Side::Sell, "0.5")
    };
    place(world, &eth).await;
    let mut positions = world.venue().positions(Product::Linear).await.unwrap();
    positions.sort_by(|a, b| a.symbol.cmp(&b.symbol));
    let held: Vec<_> = positions
        .iter()
        .map(|p| (p.symbol.as_str(), p.side, p.quantity))
        .collect();
    assert_eq!(
        held,
        [
            ("BTCUSDT", Some(PositionSide::Long), quantity("0.01")),
            ("ETHUSDT", Some(PositionSide::Short), quantity("0.5")),
        ]
    );
}

pub(crate) async fn open_orders_are_listed_on_all_pages<W: World>(world: &W) {
    world.set_price("60000");
    let listed = async |names: &[&str]| {
        let wanted: Vec<_> = names.iter().map(|name| id(name)).collect();
        let orders = world.venue().open_orders(Product::Linear, &wanted);
        let mut orders = orders.await.unwrap();
        orders.sort_by(|a, b| a.client_order_id.cmp(&b.client_order_id));
        let ids = orders.iter().filter_map(|order| {
            let name = order.client_order_id.as_ref()?.as_str().to_owned();
            Some((name, order.status, order.filled))
        });
        ids.collect::<Vec<_>>()
    };
    assert_eq!(listed(&["hx-first"]).await, []);
    let entry = |name: &str| limit(name, Side::Buy, "0.001", "50000", TimeInForce::Gtc);
    place(world, &entry("hx-first")).await;
    // More than one page of others, newest first.
    for number in 0..60 {
        place(world, &entry(&format!("hx-{number}"))).await;
    }
    let eth = OrderSpec {
        symbol: "ETHUSDT".parse().unwrap(),
        ..limit("hx-eth", Side::Buy, "0.1", "1000", TimeInForce::Gtc)
    };
    place(world, &eth).await;
    place(world, &market("hx-filled", Side::Buy, "0.01")).await;
    let open = |name: &str| (name.to_owned(), OrderStatus::New, Quantity::ZERO);
    let wanted = ["hx-filled", "hx-first", "hx-eth", "hx-never"];
    assert_eq!(listed(&wanted).await, [open("hx-eth"), open("hx-first")]);
    let cancel = world
        .venue()
        .cancel(Product::Linear, &eth.symbol, &eth.client_order_id);
    assert_eq!(cancel.await, Ok(CancelOutcome::Cancelled));
    assert_eq!(listed(&wanted).await, [open("hx-first")]);
}

pub(crate) async fn partial_fill_is_told<W: World>(world: &W) {
    world.set_price("60000");
    world.trouble(Trouble::PartialFill { quantity: "0.2" });
    place(world, &market("hx-1", Side::Buy, "0.5")).await;
    let order = found(world, "hx-1").await;
    assert_eq!(order.status, OrderStatus::Cancelled);
    assert_eq!(order.quantity, quantity("0.5"));
    assert_eq!(order.filled, quantity("0.2"));

    world.trouble(Trouble::PartialFill { quantity: "0.2" });
    place(
        world,
        &limit("hx-2", Side::Buy, "0.5", "60000", TimeInForce::Gtc),
    )
    .await;
    let order = found(world, "hx-2").await;
    assert_eq!(order.status, OrderStatus::PartiallyFilled);
    assert_eq!(order.filled, quantity("0.2"));
}

pub(crate) async fn same_id_makes_no_second_order<W: World>(world: &W) {
    let spec = market("hx-1", Side::Buy, "0.01");
    place(world, &spec).await;
    if world.venue().traits().client_order_ids_unique_for_ever {
        let error = refused(world, &spec).await;
        assert_eq!(error.class, ErrorClass::Duplicate, "{error}");
        assert!(!error.class.is_definite());
        assert_eq!(found(world, "hx-1").await.status, OrderStatus::Filled);
    }
}

pub(crate) async fn below_the_minimum_is_rejected<W: World>(world: &W) {
    world.set_price("60000");
    let error = refused(world, &market("hx-1", Side::Buy, "0.0005")).await;
    assert_eq!(error.class, ErrorClass::Rejected, "{error}");
    world.set_price("4000");
    let error = refused(world, &market("hx-2", Side::Buy, "0.001")).await;
    assert_eq!(error.class, ErrorClass::Rejected, "{error}");
    assert!(!error.message.is_empty());
}

pub(crate) async fn off_the_step_is_rejected<W: World>(world: &W) {
    world.set_price("60000");
    let error = refused(world, &market("hx-1", Side::Buy, "0.0015")).await;
    assert_eq!(error.class, ErrorClass::Rejected, "{error}");
    let spec = limit("hx-2", Side::Buy, "0.001", "59999.95", TimeInForce::Gtc);
    let error = refused(world, &spec).await;
    assert_eq!(error.class, ErrorClass::Rejected, "{error}");
}

pub(crate) async fn without_margin_is_rejected<W: World>(world: &W) {
    world.set_price("60000");
    let error = refused(world, &market("hx-1", Side::Buy, "400")).await;
    assert_eq!(error.class, ErrorClass::Rejected, "{error}");
}

pub(crate) async fn bad_signature_is_a_matter_of_credentials<W: World>(world: &W) {
    let impostor = world.impostor();
    let spec = market("hx-1", Side::Buy, "0.01");
    let error = impostor.place_order(&spec).await.unwrap_err();
    assert_eq!(error.class, ErrorClass::Credentials, "{error}");
    assert_eq!(world.accepted(), 0);
    let error = impostor.balances().await.unwrap_err();
    assert_eq!(error.class, ErrorClass::Credentials, "{error}");
}

pub(crate) async fn tells_what_its_key_may_do<W: World>(world: &W) {
    for key in [
        Key {
            withdraws: true,
            ..Key::TRADES
        },
        Key {
            ip: Some("127.0.0.1"),
            ..Key::TRADES
        },
        Key {
            read_only: true,
            ..Key::TRADES
        },
        Key::TRADES,
    ] {
        world.set_key(key);
        let info = world.venue().key_info().await.unwrap();
        assert!(info.rights.read && !info.rights.trade.spot, "{info:?}");
        assert_eq!(info.read_only, key.read_only);
        assert_eq!(info.rights.trade.linear, !key.read_only);
        assert_eq!(info.rights.withdraw, key.withdraws);
        assert_eq!(info.rights.transfer, key.withdraws);
        assert_eq!(info.ips, key.ip.into_iter().collect::<Vec<_>>());
        let (created, ends) = (info.created_at.unwrap(), info.expires_at);
        // A key that works from everywhere lasts for 90 days.
        let days = ends.map(|ends| ends.since(created) / 86_400_000);
        assert_eq!(days, key.ip.is_none().then_some(90));
    }
}

pub(crate) async fn what_its_key_may_not_do_is_a_matter_of_credentials<W: World>(world: &W) {
    let spec = market("hx-1", Side::Buy, "0.01");
    for key in [
        Key {
            read_only: true,
            ..Key::TRADES
        },
        Key {
            ip: Some("203.0.113.7"),
            ..Key::TRADES
        },
    ] {
        world.set_key(key);
        let error = refused(world, &spec).await;
        assert_eq!(error.class, ErrorClass::Credentials, "{error}");
    }
    let error = world.venue().key_info().await.unwrap_err();
    assert_eq!(error.class, ErrorClass::Credentials, "{error}");
    world.set_key(Key::TRADES);
    place(world, &spec).await;
    let error = world.impostor().key_info().await.unwrap_err();
    assert_eq!(error.class, ErrorClass::Credentials, "{error}");
}

pub(crate) async fn clock_skew_is_healed_by_a_sync<W: World>(world: &W) {
    for (millis, name) in [(60_000, "hx-1"), (-60_000, "hx-2")] {
        world.trouble(Trouble::ClockSkew { millis });
        let spec = market(name, Side::Buy, "0.01");
        let error = refused(world, &spec).await;
        assert_eq!(error.class, ErrorClass::ClockSkew, "{error}");
        assert!(error.class.is_definite());
        let offset = world.venue().sync_clock().await.unwrap();
        assert!(
            offset.abs_diff(millis) < 5_000,
            "{offset} is not about {millis}"
        );
        place(world, &spec).await;
    }
}

/// The send is lost, the order is not: the outcome is unknown, and the look-up finds the order that
/// was meant.
async fn unknown_but_there<W: World>(world: &W, trouble: Trouble) {
    let before = world.accepted();
    let spec = market(&format!("hx-1-{before}"), Side::Buy, "0.01");
    let sent_at = world.venue().server_time().await.unwrap();
    world.trouble(trouble);
    let error = world.venue().place_order(&spec).await.unwrap_err();
    assert_eq!(error.class, ErrorClass::Unknown, "{error}");
    let order = found(world, spec.client_order_id.as_str()).await;
    assert_eq!(matches(&spec, &order, sent_at), Ok(()));
    assert_eq!(world.accepted().checked_sub(before), Some(1));
}

/// The send is lost and so is the order; the answer looks the same.
async fn unknown_and_not_there<W: World>(world: &W, trouble: Trouble) {
    let spec = market("hx-2", Side::Buy, "0.01");
    world.trouble(trouble);
    let error = refused(world, &spec).await;
    assert_eq!(error.class, ErrorClass::Unknown, "{error}");
    let look_up = world
        .venue()
        .look_up(Product::Linear, &btc(), &spec.client_order_id)
        .await;
    assert_eq!(look_up, Ok(LookUp::NotFound));
}

pub(crate) async fn time_out_after_acceptance_is_unknown_and_found<W: World>(world: &W) {
    unknown_but_there(world, Trouble::TimeoutAfterAccept).await;
}

pub(crate) async fn disconnect_is_unknown_with_and_without_effect<W: World>(world: &W) {
    unknown_but_there(world, Trouble::Disconnect { effect: true }).await;
    unknown_and_not_there(world, Trouble::Disconnect { effect: false }).await;
}

pub(crate) async fn server_error_is_unknown_with_and_without_effect<W: World>(world: &W) {
    let error = |effect| Trouble::ServerError {
        status: 502,
        effect,
    };
    unknown_but_there(world, error(true)).await;
    unknown_and_not_there(world, error(false)).await;
}

pub(crate) async fn rate_limit_is_definite_and_says_how_long<W: World>(world: &W) {
    world.trouble(Trouble::RateLimit { reset_ms: 3_000 });
    let error = refused(world, &market("hx-1", Side::Buy, "0.01")).await;
    assert_eq!(error.class, ErrorClass::RateLimited, "{error}");
    let pause = error.retry_after_ms.unwrap();
    assert!((1..=4_000).contains(&pause), "{pause}");
}

pub(crate) async fn not_found_is_no_proof<W: World>(world: &W) {
    world.trouble(Trouble::LookUpLag);
    place(world, &market("hx-1", Side::Buy, "0.01")).await;
    let look_up = world
        .venue()
        .look_up(Product::Linear, &btc(), &id("hx-1"))
        .await;
    assert_eq!(look_up, Ok(LookUp::NotFound));
    // Fills and position tell.
    let fills = world
        .venue()
        .fills(Product::Linear, &btc(), &id("hx-1"), Quantity::ZERO)
        .await
        .unwrap();
    assert_eq!(fills.len(), 1);
    assert_eq!(position(world).await.quantity, quantity("0.01"));
}

pub(crate) async fn history_keeps_what_the_quick_list_forgets<W: World>(world: &W) {
    place(world, &market("hx-1", Side::Buy, "0.01")).await;
    world.trouble(Trouble::ForgetClosed);
    assert_eq!(found(world, "hx-1").await.status, OrderStatus::Filled);
}

pub(crate) async fn cancelling_nothing<W: World>(world: &W) {
    let outcome = world
        .venue()
        .cancel(Product::Linear, &btc(), &id("hx-9"))
        .await;
    assert_eq!(outcome, Ok(CancelOutcome::NotFound));
    place(world, &market("hx-1", Side::Buy, "0.01")).await;
    let outcome = world
        .venue()
        .cancel(Product::Linear, &btc(), &id("hx-1"))
        .await
        .unwrap();
    assert_ne!(outcome, CancelOutcome::Cancelled, "it is filled");
}

pub(crate) async fn nobody_listens_is_unknown<W: World>(world: &W) {
    world.trouble(Trouble::Disconnect { effect: false });
    let error = world.venue().server_time().await.unwrap_err();
    assert_eq!(error.class, ErrorClass::Unknown, "{error}");
    assert!(world.venue().server_time().await.is_ok());
}

pub(crate) async fn a_page_of_somebody_else_leaves_an_order_in_doubt<W: World>(world: &W) {
    for status in [400, 401, 403, 404, 408, 451] {
        unknown_but_there(
            world,
            Trouble::Page {
                status,
                effect: true,
            },
        )
        .await;
        unknown_and_not_there(
            world,
            Trouble::Page {
                status,
                effect: false,
            },
        )
        .await;
    }
    // A read that failed is only that.
    for (status, class) in [
        (401, ErrorClass::Credentials),
        (403, ErrorClass::Location),
        (451, ErrorClass::Location),
    ] {
        world.trouble(Trouble::Page {
            status,
            effect: false,
        });
        let error = world.venue().balances().await.unwrap_err();
        assert_eq!(error.class, class, "{error}");
    }
}

pub(crate) async fn a_page_of_somebody_else_leaves_a_cancellation_in_doubt<W: World>(world: &W) {
    world.set_price("60000");
    for (name, effect, status) in [
        ("hx-1", false, OrderStatus::New),
        ("hx-2", true, OrderStatus::Cancelled),
    ] {
        place(
            world,
            &limit(name, Side::Buy, "0.01", "59000", TimeInForce::Gtc),
        )
        .await;
        world.trouble(Trouble::Page {
            status: 403,
            effect,
        });
        let venue = world.venue();
        let error = venue
            .cancel(Product::Linear, &btc(), &id(name))
            .await
            .unwrap_err();
        assert_eq!(error.class, ErrorClass::Unknown, "{error}");
        assert_eq!(found(world, name).await.status, status);
    }
}

pub(crate) async fn a_ban_is_definite_and_says_how_long<W: World>(world: &W) {
    for (retry_after_s, millis) in [(None, 600_000), (Some(7_200), 7_200_000)] {
        world.trouble(Trouble::Ban { retry_after_s });
        let error = refused(world, &market("hx-1", Side::Buy, "0.01")).await;
        assert_eq!(error.class, ErrorClass::Banned, "{error}");
        assert!(error.class.is_definite());
        assert_eq!(error.retry_after_ms, Some(millis));
        world.trouble(Trouble::Ban { retry_after_s });
        let error = world.venue().balances().await.unwrap_err();
        assert_eq!(
            (error.class, error.retry_after_ms),
            (ErrorClass::Banned, Some(millis))
        );
    }
}

pub(crate) async fn an_hour_of_waiting_is_an_hour<W: World>(world: &W) {
    world.trouble(Trouble::LongLimit {
        retry_after_s: 3_600,
    });
    let error = refused(world, &market("hx-1", Side::Buy, "0.01")).await;
    assert_eq!(
        (error.class, error.retry_after_ms),
        (ErrorClass::RateLimited, Some(3_600_000))
    );
}

/// The sides and sizes of the legs that are held, long before short.
async fn legs<W: World>(world: &W) -> Vec<(PositionSide, String)> {
    let mut held: Vec<_> = world
        .venue()
        .positions(Product::Linear)
        .await
        .unwrap()
        .into_iter()
        .inspect(|position| assert!(position.hedged, "{position:?}"))
        .map(|position| (position.side.unwrap(), position.quantity.to_string()))
        .collect();
    held.sort_unstable();
    held
}

pub(crate) async fn legs_are_listed_and_closed_as_legs<W: World>(world: &W) {
    let (long, short) = (PositionSide::Long, PositionSide::Short);
    world.set_hedge(true);
    world.trade(Some(long), Side::Buy, "0.3");
    assert_eq!(legs(world).await, [(long, "0.3".to_owned())]);
    world.trade(Some(short), Side::Sell, "0.2");
    let both = [(long, "0.3".to_owned()), (short, "0.2".to_owned())];
    assert_eq!(legs(world).await, both);
    let error = world.venue().position(Product::Linear, &btc()).await;
    assert_eq!(error.unwrap_err().code, VenueError::HEDGE_MODE);
    // Without its leg an order is refused: the venue would not know which one is meant.
    let error = refused(world, &close("hx-1", Side::Sell, "0.3")).await;
    assert_eq!(error.class, ErrorClass::Rejected, "{error}");

    let exit = |name, leg: PositionSide, amount| OrderSpec {
        leg: Some(leg),
        ..close(name, leg.exit_side(), amount)
    };
    let spec = exit("hx-2", long, "0.1");
    let sent_at = world.venue().server_time().await.unwrap();
    place(world, &spec).await;
    let order = found(world, "hx-2").await;
    assert_eq!(matches(&spec, &order, sent_at), Ok(()));
    // More than the leg holds closes it, and opens nothing.
    place(world, &exit("hx-3", long, "0.9")).await;
    assert_eq!(legs(world).await, [(short, "0.2".to_owned())]);
    place(world, &exit("hx-4", short, "0.2")).await;
    assert_eq!(legs(world).await, []);
    let error = refused(world, &exit("hx-5", short, "0.2")).await;
    assert_eq!(error.class, ErrorClass::Rejected, "{error}");
    world.set_hedge(false);
    assert!(!position(world).await.hedged);
}

pub(crate) async fn all_that_is_held_closes_in_one_form<W: World>(world: &W) {
    if !world.venue().traits().closes_all {
        return;
    }
    // Dust: less than an order may be.
    world.set_sizes("0.01", "1");
    world.trade(None, Side::Buy, "0.004");
    let dust = close("hx-1", Side::Sell, "0.004");
    let error = refused(world, &dust).await;
    assert_eq!(error.class, ErrorClass::Rejected, "{error}");
    let all = OrderSpec {
        close_all: true,
        ..close("hx-2", Side::Sell, "0.004")
    };
    let sent_at = world.venue().server_time().await.unwrap();
    // More came in meanwhile: the venue decides the size.
    world.trade(None, Side::Buy, "0.002");
    place(world, &all).await;
    let order = found(world, "hx-2").await;
    assert_eq!(order.filled, quantity("0.006"));
    assert_eq!(matches(&all, &order, sent_at), Ok(()));
    assert_eq!(position(world).await.side, None);
    // A leg closes likewise.
    world.set_hedge(true);
    world.trade(Some(PositionSide::Short), Side::Sell, "0.003");
    let leg = OrderSpec {
        client_order_id: id("hx-3"),
        side: Side::Buy,
        leg: Some(PositionSide::Short),
        ..all
    };
    place(world, &leg).await;
    assert_eq!(legs(world).await, []);
}

pub(crate) async fn exits_are_held_to_the_largest_size<W: World>(world: &W) {
    place(world, &market("hx-1", Side::Buy, "0.5")).await;
    world.set_sizes("0.001", "0.2");
    let venue = world.venue();
    let rules = venue.instrument(Product::Linear, &btc()).await.unwrap();
    assert_eq!(rules.max_market_quantity, quantity("0.2"));
    let error = refused(world, &close("hx-2", Side::Sell, "0.5")).await;
    assert_eq!(error.class, ErrorClass::Rejected, "{error}");
    place(world, &close("hx-3", Side::Sell, "0.2")).await;
    assert_eq!(position(world).await.quantity, quantity("0.3"));
}

pub(crate) async fn larger_exits_may_be_split<W: World>(world: &W) {
    place(world, &market("hx-1", Side::Buy, "0.5")).await;
    world.set_sizes("0.001", "0.2");
    world.set_split(true);
    let spec = close("hx-2", Side::Sell, "0.5");
    let sent_at = world.venue().server_time().await.unwrap();
    place(world, &spec).await;
    let order = found(world, "hx-2").await;
    assert_eq!(matches(&spec, &order, sent_at), Ok(()));
    assert!(order.quantity <= quantity("0.2"), "one part has the id");
    assert_eq!(position(world).await.side, None, "all parts close");
}

pub(crate) async fn positions_may_lag_behind_our_own_fills<W: World>(world: &W) {
    world.trouble(Trouble::PositionLag);
    place(world, &market("hx-1", Side::Buy, "0.01")).await;
    let order = found(world, "hx-1").await;
    assert_eq!(order.filled, quantity("0.01"));
    assert_eq!(position(world).await.side, None);
    assert_eq!(world.venue().positions(Product::Linear).await, Ok(vec![]));
    world.trouble(Trouble::Over);
    assert_eq!(position(world).await.quantity, quantity("0.01"));
}

pub(crate) async fn a_position_turned_by_hand_is_not_closed_by_the_old_exit<W: World>(world: &W) {
    place(world, &market("hx-1", Side::Buy, "0.1")).await;
    world.trade(None, Side::Sell, "0.8");
    let held = position(world).await;
    assert_eq!(
        (held.side, held.quantity),
        (Some(PositionSide::Short), quantity("0.7"))
    );
    let error = refused(world, &close("hx-2", Side::Sell, "0.1")).await;
    assert_eq!(error.class, ErrorClass::Rejected, "{error}");
}

pub(crate) async fn shown_as_closed_and_open_again<W: World>(world: &W) {
    world.trouble(Trouble::ShownAsClosed);
    for trading in [false, true] {
        let venue = world.venue();
        let rules = venue.instrument(Product::Linear, &btc()).await.unwrap();
        assert_eq!(rules.trading, trading);
    }
}

/// A transport over real sockets.
pub(crate) struct Sockets(reqwest::Client);

impl Sockets {
    /// Gives up on an answer after two seconds.
    pub(crate) fn new() -> Self {
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(std::time::Duration::from_secs(2))
            .build()
            .unwrap();
        Self(client)
    }
}

impl Transport for Sockets {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, TransportError> {
        let method = match request.method {
            Method::Get => reqwest::Method::GET,
            Method::Post => reqwest::Method::POST,
            Method::Delete => reqwest::Method::DELETE,
        };
        let mut builder = self.0.request(method, request.url);
        for (name, value) in request.headers {
            builder = builder.header(name, value);
        }
        if let Some(body) = request.body {
            builder = builder.body(body);
        }
        let failed = |error: reqwest::Error| {
            if error.is_timeout() {
                TransportError::Timeout
            } else {
                TransportError::Disconnected(error.without_url().to_string())
            }
        };
        let response = builder.send().await.map_err(failed)?;
        let header = |name: &str| {
            let value = response.headers().get(name)?;
            Some(value.to_str().ok()?.to_owned())
        };
        let (status, retry_after, limit_reset) = (
            response.status().as_u16(),
            header("retry-after"),
            header("x-bapi-limit-reset-timestamp"),
        );
        let body = response.bytes().await.map_err(failed)?.to_vec();
        if body.len() > MAX_RESPONSE_BYTES {
            return Err(TransportError::TooLarge);
        }
        Ok(HttpResponse {
            status,
            retry_after,
            limit_reset,
            body,
        })
    }
}

/// The machine's clock.
pub(crate) struct WallClock;

impl Clock for WallClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the simulator keeps the machine's time"
    )]
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap();
        Timestamp::from_millis(since.as_millis().try_into().unwrap())
    }
}
