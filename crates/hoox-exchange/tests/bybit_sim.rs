//! The Bybit adapter against the simulator, over real sockets.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "in a test a failed expectation is the assertion"
)]

mod conformance;

use conformance::{Key, Sockets, Trouble, WallClock, World, conformance};
use hoox_exchange::{Bybit, ErrorClass, Venue};
use hoox_model::{Effect, OrderKind, OrderSpec, PositionSide, Product, Secret, Side};
use hoox_sim::{
    Config, Fault, FaultKind, HandTrade, Handle, KeyTerms, Rules, Simulator, SymbolChange,
    TradeSide,
};

struct Sim {
    handle: Handle,
    venue: Bybit<Sockets, WallClock>,
}

fn adapter(handle: &Handle, secret: &str) -> Bybit<Sockets, WallClock> {
    Bybit::new(
        handle.url(),
        Secret::new("key"),
        Secret::new(secret),
        Sockets::new(),
        WallClock,
    )
}

async fn sim() -> Sim {
    let handle = Simulator::start(Config::new("key", "secret"))
        .await
        .unwrap();
    let venue = adapter(&handle, "secret");
    Sim { handle, venue }
}

impl World for Sim {
    type Venue = Bybit<Sockets, WallClock>;

    fn venue(&self) -> &Self::Venue {
        &self.venue
    }

    fn impostor(&self) -> Self::Venue {
        adapter(&self.handle, "guess")
    }

    fn set_price(&self, price: &str) {
        self.handle
            .set_price("bybit", "BTCUSDT", price.parse().unwrap())
            .unwrap();
    }

    fn set_key(&self, key: Key) {
        let mut terms = KeyTerms::new(self.handle.key().created_at);
        terms.read_only = key.read_only;
        if key.withdraws {
            terms.permit("Wallet", &["AccountTransfer", "Withdraw"]);
        }
        if let Some(ip) = key.ip {
            terms.bind(&[ip]);
        }
        self.handle.set_key(terms);
    }

    fn trouble(&self, trouble: Trouble) {
        let effect = |fault: Fault, effect| if effect { fault.with_effect() } else { fault };
        let fault = match trouble {
            Trouble::TimeoutAfterAccept => Fault::new(FaultKind::TimeoutAfterAccept),
            Trouble::ServerError { status, effect: e } => {
                effect(Fault::new(FaultKind::Error5xx).status(status), e)
            }
            Trouble::Disconnect { effect: e } => effect(Fault::new(FaultKind::Disconnect), e),
            Trouble::RateLimit { reset_ms } => Fault::new(FaultKind::RateLimit).millis(reset_ms),
            Trouble::ClockSkew { millis } => Fault::new(FaultKind::ClockSkew).millis(millis),
            Trouble::LookUpLag => Fault::new(FaultKind::LookupLag).millis(60_000),
            Trouble::PartialFill { quantity } => {
                Fault::new(FaultKind::PartialFill).qty(quantity.parse().unwrap())
            }
            Trouble::ForgetClosed => Fault::new(FaultKind::ForgetClosed),
            Trouble::Page { status, effect: e } => {
                effect(Fault::new(FaultKind::Page).status(status), e)
            }
            Trouble::Ban { retry_after_s } => Fault {
                retry_after: retry_after_s,
                ..Fault::new(FaultKind::Ban)
            },
            Trouble::LongLimit { retry_after_s } => Fault::new(FaultKind::RateLimit)
                .status(429)
                .retry_after(retry_after_s),
            Trouble::PositionLag => Fault::new(FaultKind::PositionLag).millis(60_000),
            Trouble::ShownAsClosed => Fault::new(FaultKind::SymbolStatus).message("Closed"),
            Trouble::Over => return self.handle.clear_faults(),
        };
        self.handle.faults(vec![fault]).unwrap();
    }

    /// Trades by hand have no id of the client's, nor have the later parts of an order that was split.
    fn accepted(&self) -> usize {
        let orders = self.handle.orders();
        let named = orders
            .iter()
            .filter(|order| order.client_order_id.is_some());
        named.count()
    }

    fn set_hedge(&self, hedge: bool) {
        let change = SymbolChange {
            hedge: Some(hedge),
            ..SymbolChange::new("BTCUSDT")
        };
        self.handle.change_symbol(&change).unwrap();
    }

    fn trade(&self, leg: Option<PositionSide>, side: Side, quantity: &str) {
        let side = match side {
            Side::Buy => TradeSide::Buy,
            Side::Sell => TradeSide::Sell,
        };
        let trade = HandTrade {
            position_idx: match leg {
                None => 0,
                Some(PositionSide::Long) => 1,
                Some(PositionSide::Short) => 2,
            },
            ..HandTrade::new("BTCUSDT", side, quantity.parse().unwrap())
        };
        self.handle.trade(&trade).unwrap();
    }

    fn set_sizes(&self, smallest: &str, largest: &str) {
        let change = SymbolChange {
            min_order_qty: Some(smallest.parse().unwrap()),
            max_mkt_order_qty: Some(largest.parse().unwrap()),
            ..SymbolChange::new("BTCUSDT")
        };
        self.handle.change_symbol(&change).unwrap();
    }

    fn set_split(&self, split_exits: bool) {
        self.handle.set_rules(Rules { split_exits });
    }
}

conformance!(sim);

fn order(name: &str) -> OrderSpec {
    OrderSpec {
        client_order_id: name.parse().unwrap(),
        symbol: "BTCUSDT".parse().unwrap(),
        product: Product::Linear,
        side: Side::Buy,
        kind: OrderKind::Market,
        quantity: "0.01".parse().unwrap(),
        effect: Effect::Open,
        leg: None,
        close_all: false,
    }
}

#[tokio::test]
async fn http_429_is_the_rate_limit_too() {
    let sim = sim().await;
    let fault = Fault::new(FaultKind::RateLimit).status(429).millis(3_000);
    sim.handle.faults(vec![fault]).unwrap();
    let error = sim.venue.place_order(&order("hx-1")).await.unwrap_err();
    assert_eq!(error.class, ErrorClass::RateLimited);
    assert_eq!(sim.accepted(), 0);
}

/// "Server Timeout" and "Server error" come with and without an order behind them.
#[tokio::test]
async fn server_codes_are_unknown_with_and_without_effect() {
    let sim = sim().await;
    for (code, name) in [(10_000, "hx-1"), (10_016, "hx-2"), (10_014, "hx-3")] {
        let fault = Fault::new(FaultKind::RetCode).code(code, "words");
        let before = sim.accepted();
        sim.handle
            .faults(vec![fault.clone(), fault.with_effect()])
            .unwrap();
        for accepted in [0, 1] {
            let error = sim.venue.place_order(&order(name)).await.unwrap_err();
            assert_eq!(error.class, ErrorClass::Unknown, "{error}");
            assert_eq!(sim.accepted().checked_sub(before), Some(accepted));
        }
        // Ids are unique for ever, so that the same order may be sent again: it changes nothing.
        let error = sim.venue.place_order(&order(name)).await.unwrap_err();
        assert_eq!(error.class, ErrorClass::Duplicate, "{error}");
        assert_eq!(sim.accepted().checked_sub(before), Some(1));
    }
}
