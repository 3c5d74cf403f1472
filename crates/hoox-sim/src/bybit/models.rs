//! Bybit's wire formats: field names and spellings of docs/v5, amounts as strings.

use rust_decimal::Decimal;
use serde_json::{Value, json};

use crate::engine::{Engine, Market, Summary, position_margin_of};
use crate::exact::{self, Overflow};
use crate::instrument::{Instrument, Listing};
use crate::order::{
    CancelCause, Fill, Leg, Order, OrderKind, Origin, Position, Side, Status, TimeInForce,
};

/// Part of the position's value that must stay covered; the venue's first risk tier.
const MAINTENANCE_RATE: Decimal = Decimal::from_parts(5, 0, 0, false, 3);
/// A market order travels as a limit order this far through the price.
const SLIPPAGE: Decimal = Decimal::from_parts(5, 0, 0, false, 2);

/// Rules of one more linear perpetual; the smallest quantity is the step.
struct More {
    symbol: &'static str,
    base: &'static str,
    /// Smallest price step as digits and decimals.
    tick: (i64, u32),
    /// Smallest quantity step as digits and decimals.
    step: (i64, u32),
    /// Largest quantity of a limit and of a market order.
    most: (i64, i64),
    /// Leverage at most.
    leverage: i64,
    /// First price in ticks.
    ticks: i64,
}

/// Common perpetuals beside the three, in the orders of magnitude that the venue has for them.
#[rustfmt::skip]
const MORE: [More; 13] = [
    More { symbol: "XRPUSDT", base: "XRP", tick: (1, 4), step: (1, 1), most: (3_500_000, 900_000), leverage: 75, ticks: 22_000 },
    More { symbol: "BNBUSDT", base: "BNB", tick: (10, 2), step: (1, 2), most: (12_000, 3_000), leverage: 75, ticks: 6_000 },
    More { symbol: "DOGEUSDT", base: "DOGE", tick: (1, 5), step: (1, 0), most: (26_000_000, 6_000_000), leverage: 75, ticks: 20_000 },
    More { symbol: "ADAUSDT", base: "ADA", tick: (1, 4), step: (1, 0), most: (5_000_000, 1_200_000), leverage: 75, ticks: 7_000 },
    More { symbol: "LINKUSDT", base: "LINK", tick: (1, 3), step: (1, 1), most: (260_000, 60_000), leverage: 50, ticks: 15_000 },
    More { symbol: "AVAXUSDT", base: "AVAX", tick: (1, 3), step: (1, 1), most: (160_000, 40_000), leverage: 50, ticks: 25_000 },
    More { symbol: "LTCUSDT", base: "LTC", tick: (1, 2), step: (1, 1), most: (40_000, 10_000), leverage: 50, ticks: 9_000 },
    More { symbol: "DOTUSDT", base: "DOT", tick: (1, 4), step: (1, 1), most: (700_000, 160_000), leverage: 50, ticks: 45_000 },
    More { symbol: "SUIUSDT", base: "SUI", tick: (1, 5), step: (10, 0), most: (1_900_000, 450_000), leverage: 75, ticks: 300_000 },
    More { symbol: "TRXUSDT", base: "TRX", tick: (1, 5), step: (1, 0), most: (13_000_000, 3_000_000), leverage: 50, ticks: 25_000 },
    More { symbol: "BCHUSDT", base: "BCH", tick: (10, 2), step: (1, 2), most: (9_000, 2_000), leverage: 50, ticks: 5_000 },
    More { symbol: "1000PEPEUSDT", base: "1000PEPE", tick: (1, 7), step: (100, 0), most: (450_000_000, 100_000_000), leverage: 50, ticks: 100_000 },
    More { symbol: "NEARUSDT", base: "NEAR", tick: (1, 3), step: (1, 1), most: (900_000, 220_000), leverage: 50, ticks: 3_000 },
];

/// The common perpetuals beside the three.
fn more(common: &Instrument) -> impl Iterator<Item = Instrument> {
    MORE.iter().map(|more| {
        let tick = Decimal::new(more.tick.0, more.tick.1);
        let step = Decimal::new(more.step.0, more.step.1);
        let ticks = |count: i64| tick.checked_mul(Decimal::from(count)).unwrap_or(tick);
        Instrument {
            symbol: more.symbol.to_owned(),
            base: more.base.to_owned(),
            tick,
            min_price: tick,
            max_price: ticks(19_999_998),
            step,
            min_quantity: step,
            max_quantity: Decimal::from(more.most.0),
            max_market_quantity: Decimal::from(more.most.1),
            max_leverage: Decimal::from(more.leverage),
            first_price: ticks(more.ticks),
            ..common.clone()
        }
    })
}

/// Three linear perpetuals, with the filters that the venue published for them, and with `many` thirteen
/// more.
pub(crate) fn instruments(many: bool) -> Vec<Instrument> {
    let number = |digits: i64, scale: u32| Decimal::new(digits, scale);
    let common = Instrument {
        symbol: "BTCUSDT".to_owned(),
        base: "BTC".to_owned(),
        quote: "USDT".to_owned(),
        tick: number(10, 2),
        min_price: number(10, 2),
        max_price: number(199_999_980, 2),
        step: number(1, 3),
        min_quantity: number(1, 3),
        max_quantity: number(1_190_000, 3),
        max_market_quantity: number(500_000, 3),
        min_notional: number(5, 0),
        max_leverage: number(100, 0),
        leverage_step: number(1, 2),
        first_price: number(6_500_000, 2),
        launched_ms: 1_585_526_400_000,
    };
    let mut listed: Vec<_> = if many {
        more(&common).collect()
    } else {
        Vec::new()
    };
    listed.extend([
        Instrument {
            symbol: "ETHUSDT".to_owned(),
            base: "ETH".to_owned(),
            tick: number(1, 2),
            min_price: number(1, 2),
            max_price: number(19_999_998, 2),
            step: number(1, 2),
            min_quantity: number(1, 2),
            max_quantity: number(724_000, 2),
            max_market_quantity: number(724_000, 2),
            first_price: number(350_000, 2),
            launched_ms: 1_615_766_400_000,
            ..common.clone()
        },
        Instrument {
            symbol: "SOLUSDT".to_owned(),
            base: "SOL".to_owned(),
            tick: number(10, 3),
            min_price: number(10, 3),
            max_price: number(19_999_980, 3),
            step: number(1, 1),
            min_quantity: number(1, 1),
            max_quantity: number(797_700, 1),
            max_market_quantity: number(150_000, 1),
            first_price: number(150_000, 3),
            launched_ms: 1_634_256_000_000,
            ..common.clone()
        },
        common,
    ]);
    listed
}

pub(crate) fn side(side: Side) -> &'static str {
    match side {
        Side::Buy => "Buy",
        Side::Sell => "Sell",
    }
}

pub(crate) fn order_type(order_type: OrderKind) -> &'static str {
    match order_type {
        OrderKind::Market => "Market",
        OrderKind::Limit => "Limit",
    }
}

pub(crate) fn time_in_force(time_in_force: TimeInForce) -> &'static str {
    match time_in_force {
        TimeInForce::Gtc => "GTC",
        TimeInForce::Ioc => "IOC",
        TimeInForce::Fok => "FOK",
        TimeInForce::PostOnly => "PostOnly",
    }
}

/// A derivative that was cancelled after a partial fill is `Cancelled` too (docs/v5/enum, orderStatus).
pub(crate) fn status(status: Status) -> &'static str {
    match status {
        Status::New => "New",
        Status::PartiallyFilled => "PartiallyFilled",
        Status::Filled => "Filled",
        Status::Cancelled => "Cancelled",
    }
}

fn cancel_type(cause: Option<CancelCause>) -> &'static str {
    match cause {
        None | Some(CancelCause::PostOnly | CancelCause::NoImmediateFill) => "UNKNOWN",
        Some(CancelCause::User) => "CancelByUser",
        Some(CancelCause::NothingToReduce) => "CancelByReduceOnly",
    }
}

fn reject_reason(cause: Option<CancelCause>) -> &'static str {
    match cause {
        None | Some(CancelCause::User | CancelCause::NothingToReduce) => "EC_NoError",
        Some(CancelCause::PostOnly) => "EC_PostOnlyWillTakeLiquidity",
        Some(CancelCause::NoImmediateFill) => "EC_NoImmediateQtyToFill",
    }
}

fn create_type(origin: Origin) -> &'static str {
    match origin {
        Origin::User => "CreateByUser",
        Origin::TakeProfit => "CreateByTakeProfit",
        Origin::StopLoss => "CreateByStopLoss",
    }
}

fn stop_order_type(origin: Origin) -> &'static str {
    match origin {
        Origin::User => "",
        Origin::TakeProfit => "TakeProfit",
        Origin::StopLoss => "StopLoss",
    }
}

/// `positionIdx` (docs/v5/enum).
pub(crate) fn position_index(leg: Leg) -> u8 {
    match leg {
        Leg::Net => 0,
        Leg::Long => 1,
        Leg::Short => 2,
    }
}

/// The leg of a `positionIdx`.
pub(crate) fn leg(index: i64) -> Option<Leg> {
    [Leg::Net, Leg::Long, Leg::Short]
        .into_iter()
        .find(|leg| i64::from(position_index(*leg)) == index)
}

/// The status of a symbol (docs/v5/enum).
pub(crate) fn listing(listing: Listing) -> &'static str {
    match listing {
        Listing::PreLaunch => "PreLaunch",
        Listing::Trading => "Trading",
        Listing::Delivering => "Delivering",
        Listing::Closed => "Closed",
    }
}

/// A row of instruments-info, linear.
pub(crate) fn instrument(instrument: &Instrument, shown: Listing) -> Value {
    let price = |amount| exact::at_scale(amount, instrument.tick);
    let quantity = |amount| exact::at_scale(amount, instrument.step);
    json!({
        "symbol": instrument.symbol,
        "contractType": "LinearPerpetual",
        "status": listing(shown),
        "baseCoin": instrument.base,
        "quoteCoin": instrument.quote,
        "launchTime": instrument.launched_ms.to_string(),
        "deliveryTime": "0",
        "deliveryFeeRate": "",
        "priceScale": instrument.tick.scale().to_string(),
        "leverageFilter": {
            "minLeverage": "1",
            "maxLeverage": exact::at_scale(instrument.max_leverage, instrument.leverage_step),
            "leverageStep": instrument.leverage_step.to_string(),
        },
        "priceFilter": {
            "minPrice": price(instrument.min_price),
            "maxPrice": price(instrument.max_price),
            "tickSize": price(instrument.tick),
        },
        "lotSizeFilter": {
            "maxOrderQty": quantity(instrument.max_quantity),
            "minOrderQty": quantity(instrument.min_quantity),
            "qtyStep": quantity(instrument.step),
            "postOnlyMaxOrderQty": quantity(instrument.max_quantity),
            "maxMktOrderQty": quantity(instrument.max_market_quantity),
            "minNotionalValue": instrument.min_notional.to_string(),
        },
        "unifiedMarginTrade": true,
        "fundingInterval": 480,
        "settleCoin": instrument.quote,
        "copyTrading": "both",
        "upperFundingRate": "0.00375",
        "lowerFundingRate": "-0.00375",
        "isPreListing": false,
        "preListingInfo": null,
        "riskParameters": { "priceLimitRatioX": "0.01", "priceLimitRatioY": "0.02" },
        "symbolType": "",
        "displayName": "",
    })
}

/// A row of tickers, linear: bid and ask one tick around the last price.
pub(crate) fn ticker(instrument: &Instrument, market: &Market) -> Result<Value, Overflow> {
    let price = |amount| exact::at_scale(amount, instrument.tick);
    let quantity = |amount| exact::at_scale(amount, instrument.step);
    let last = price(market.price);
    let bid = exact::sub(market.price, instrument.tick)?.max(instrument.min_price);
    let ask = exact::add(market.price, instrument.tick)?;
    Ok(json!({
        "symbol": instrument.symbol,
        "lastPrice": last,
        "indexPrice": last,
        "markPrice": last,
        "prevPrice24h": price(instrument.first_price),
        "price24hPcnt": "0",
        "highPrice24h": price(market.price.max(instrument.first_price)),
        "lowPrice24h": price(market.price.min(instrument.first_price)),
        "prevPrice1h": last,
        "openInterest": "0",
        "openInterestValue": "0",
        "turnover24h": "0",
        "volume24h": "0",
        "fundingRate": "0.0001",
        "nextFundingTime": "0",
        "predictedDeliveryPrice": "",
        "basisRate": "",
        "deliveryFeeRate": "",
        "deliveryTime": "0",
        "ask1Size": quantity(instrument.max_quantity),
        "bid1Price": price(bid),
        "ask1Price": price(ask),
        "bid1Size": quantity(instrument.max_quantity),
        "basis": "",
        "preOpenPrice": "",
        "preQty": "",
        "curPreListingPhase": "",
        "fundingIntervalHour": "8",
        "basisRateYear": "",
        "fundingCap": "0.005",
    }))
}

/// The limit price under which the venue shows a market order.
fn shown_price(order: &Order, instrument: &Instrument) -> Result<Decimal, Overflow> {
    if let Some(price) = order.price {
        return Ok(price);
    }
    let away = exact::mul(order.price_at_creation, SLIPPAGE)?;
    let through = match order.side {
        Side::Buy => exact::add(order.price_at_creation, away)?,
        Side::Sell => exact::sub(order.price_at_creation, away)?,
    };
    exact::floor_to(through, instrument.tick)
}

/// A row of order/realtime and order/history.
pub(crate) fn order(order: &Order, instrument: &Instrument) -> Result<Value, Overflow> {
    let price = |amount| exact::at_scale(amount, instrument.tick);
    let quantity = |amount| exact::at_scale(amount, instrument.step);
    let level = |amount: Option<Decimal>| amount.map_or_else(String::new, price);
    let shown = shown_price(order, instrument)?;
    let leaves = order.leaves();
    let fees = if order.fee.is_zero() {
        json!({})
    } else {
        json!({ instrument.quote.as_str(): exact::money(order.fee) })
    };
    Ok(json!({
        "orderId": order.id,
        "orderLinkId": order.client_id.as_deref().unwrap_or_default(),
        "blockTradeId": "",
        "symbol": order.symbol,
        "price": price(shown),
        "qty": quantity(order.quantity),
        "side": side(order.side),
        "isLeverage": "",
        "positionIdx": position_index(order.leg),
        "orderStatus": status(order.status),
        "createType": create_type(order.origin),
        "cancelType": cancel_type(order.cancel_cause),
        "rejectReason": reject_reason(order.cancel_cause),
        "avgPrice": order.average_price().map_or_else(String::new, exact::money),
        "leavesQty": quantity(leaves),
        "leavesValue": exact::money(exact::mul(leaves, shown)?),
        "cumExecQty": quantity(order.filled),
        "cumExecValue": exact::money(order.filled_value),
        "cumExecFee": exact::money(order.fee),
        "timeInForce": time_in_force(order.time_in_force),
        "orderType": order_type(order.kind),
        "stopOrderType": stop_order_type(order.origin),
        "orderIv": "",
        "triggerPrice": "",
        "takeProfit": level(order.take_profit),
        "stopLoss": level(order.stop_loss),
        "tpTriggerBy": if order.take_profit.is_some() { "LastPrice" } else { "" },
        "slTriggerBy": if order.stop_loss.is_some() { "LastPrice" } else { "" },
        "triggerDirection": 0,
        "triggerBy": "",
        "lastPriceOnCreated": price(order.price_at_creation),
        "reduceOnly": order.reduce_only,
        "closeOnTrigger": order.close_on_trigger,
        "smpType": "None",
        "smpGroup": 0,
        "smpOrderId": "",
        "tpslMode": if order.take_profit.is_some() || order.stop_loss.is_some() { "Full" } else { "" },
        "tpLimitPrice": "",
        "slLimitPrice": "",
        "placeType": "",
        "createdTime": order.created_ms.to_string(),
        "updatedTime": order.updated_ms.to_string(),
        "cumFeeDetail": fees,
    }))
}

/// A row of execution/list.
pub(crate) fn execution(fill: &Fill, instrument: &Instrument) -> Result<Value, Overflow> {
    let price = |amount| exact::at_scale(amount, instrument.tick);
    let quantity = |amount| exact::at_scale(amount, instrument.step);
    Ok(json!({
        "symbol": fill.symbol,
        "orderType": order_type(fill.kind),
        "underlyingPrice": "",
        "orderLinkId": fill.client_id.as_deref().unwrap_or_default(),
        "side": side(fill.side),
        "indexPrice": "",
        "orderId": fill.order_id,
        "stopOrderType": "UNKNOWN",
        "leavesQty": quantity(fill.leaves),
        "execTime": fill.time_ms.to_string(),
        "feeCurrency": "",
        "isMaker": fill.maker,
        "execFee": exact::money(fill.fee),
        "feeRate": fill.fee_rate.to_string(),
        "execId": fill.id,
        "tradeIv": "",
        "blockTradeId": "",
        "markPrice": price(fill.price),
        "execPrice": price(fill.price),
        "markIv": "",
        "orderQty": quantity(fill.order_quantity),
        "orderPrice": price(fill.order_price.unwrap_or(fill.price)),
        "execValue": exact::money(exact::mul(fill.price, fill.quantity)?),
        "execType": "Trade",
        "execQty": quantity(fill.quantity),
        "closedSize": quantity(fill.closed),
        "extraFees": "",
        "seq": fill.sequence,
    }))
}

/// A row of position/list. A flat symbol has size "0", no side and empty values, as at the venue.
pub(crate) fn position(
    instrument: &Instrument,
    market: &Market,
    leg: Leg,
    position: &Position,
) -> Result<Value, Overflow> {
    let price = |amount| exact::at_scale(amount, instrument.tick);
    let level = |amount: Option<Decimal>| amount.map_or_else(String::new, price);
    let flat = position.size.is_zero();
    let unless_flat = |amount: Decimal| {
        if flat {
            String::new()
        } else {
            exact::money(amount)
        }
    };
    let value = exact::mul(position.size.abs(), market.price)?;
    let entry = exact::mul(
        position.size.abs(),
        position.average_price().unwrap_or_default(),
    )?;
    let maintenance = exact::mul(value, MAINTENANCE_RATE)?;
    let margin = position_margin_of(market, position)?;
    Ok(json!({
        "positionIdx": position_index(leg),
        "riskId": 1,
        "riskLimitValue": "2000000",
        "symbol": instrument.symbol,
        "side": position.side().map_or("", side),
        "size": if flat { "0".to_owned() } else { exact::at_scale(position.size.abs(), instrument.step) },
        "avgPrice": position.average_price().map_or_else(|| "0".to_owned(), exact::money),
        "positionValue": unless_flat(entry),
        "tradeMode": 0,
        "positionStatus": "Normal",
        "autoAddMargin": 0,
        "adlRankIndicator": if flat { 0 } else { 2 },
        "leverage": exact::money(market.leverage),
        "breakEvenPrice": "",
        "positionBalance": "0",
        "markPrice": price(market.price),
        "liqPrice": "",
        "bustPrice": "",
        "positionMM": unless_flat(maintenance),
        "positionMMByMp": unless_flat(maintenance),
        "positionIM": unless_flat(margin),
        "positionIMByMp": unless_flat(margin),
        "tpslMode": "Full",
        "takeProfit": level(position.take_profit),
        "stopLoss": level(position.stop_loss),
        "trailingStop": "0",
        "unrealisedPnl": unless_flat(position.unrealised(market.price)?),
        "curRealisedPnl": exact::money(position.current_realised),
        "cumRealisedPnl": exact::money(exact::sub(position.realised, position.fees)?),
        "seq": if position.last_fill == 0 { json!(-1) } else { json!(position.last_fill) },
        "isReduceOnly": false,
        "mmrSysUpdatedTime": "",
        "leverageSysUpdatedTime": "",
        "sessionAvgPrice": "",
        "openTime": position.opened_ms,
        "createdTime": position.created_ms.to_string(),
        "updatedTime": position.updated_ms.to_string(),
    }))
}

/// The only row of wallet-balance; one USDT counts as one USD.
pub(crate) fn wallet(
    summary: &Summary,
    maintenance: Decimal,
    coin: Option<&str>,
) -> Result<Value, Overflow> {
    let equity = exact::add(summary.wallet, summary.unrealised)?;
    let initial = exact::add(summary.position_margin, summary.order_margin)?;
    let rate = |part: Decimal| {
        if equity.is_zero() {
            "0".to_owned()
        } else {
            part.checked_div(equity)
                .map_or_else(|| "0".to_owned(), exact::money)
        }
    };
    let usdt = json!({
        "availableToBorrow": "",
        "bonus": "0",
        "accruedInterest": "0",
        "availableToWithdraw": "",
        "totalOrderIM": exact::money(summary.order_margin),
        "equity": exact::money(equity),
        "totalPositionMM": exact::money(maintenance),
        "usdValue": exact::money(equity),
        "unrealisedPnl": exact::money(summary.unrealised),
        "collateralSwitch": true,
        "spotHedgingQty": "0",
        "borrowAmount": "0",
        "totalPositionIM": exact::money(summary.position_margin),
        "walletBalance": exact::money(summary.wallet),
        "cumRealisedPnl": exact::money(summary.realised),
        "locked": "0",
        "marginCollateral": true,
        "coin": "USDT",
        "spotBorrow": "0",
    });
    let wanted = coin.is_none_or(|list| list.split(',').any(|name| name == "USDT"));
    Ok(json!({
        "totalEquity": exact::money(equity),
        "accountIMRate": rate(initial),
        "accountIMRateByMp": rate(initial),
        "totalMarginBalance": exact::money(equity),
        "totalInitialMargin": exact::money(initial),
        "totalInitialMarginByMp": exact::money(initial),
        "accountType": "UNIFIED",
        "totalAvailableBalance": exact::money(summary.available),
        "accountMMRate": rate(maintenance),
        "accountMMRateByMp": rate(maintenance),
        "totalPerpUPL": exact::money(summary.unrealised),
        "totalWalletBalance": exact::money(summary.wallet),
        "accountLTV": "0",
        "totalMaintenanceMargin": exact::money(maintenance),
        "totalMaintenanceMarginByMp": exact::money(maintenance),
        "coin": if wanted { json!([usdt]) } else { json!([]) },
    }))
}

/// Maintenance margin of all positions.
pub(crate) fn maintenance(engine: &Engine) -> Result<Decimal, Overflow> {
    engine
        .instruments()
        .filter_map(|instrument| engine.market(&instrument.symbol))
        .flat_map(|market| market.legs().map(move |(_, position)| (market, position)))
        .try_fold(Decimal::ZERO, |total, (market, position)| {
            let value = exact::mul(position.size.abs(), market.price)?;
            exact::add(total, exact::mul(value, MAINTENANCE_RATE)?)
        })
}
