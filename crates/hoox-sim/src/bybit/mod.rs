//! Bybit v5, category `linear`, one-way and hedge mode, unified account.
//!
//! Written from the venue's documentation (docs/v5). Where the venue is lenient this is strict: a
//! quantity off the step is refused (10001) rather than cut, so that a client's mistake shows.

mod auth;
mod error;
mod models;
mod params;

use std::collections::BTreeMap;

use axum::http::{HeaderMap, Method, Uri};
use hoox_model::Timestamp;
use rust_decimal::Decimal;
use serde_json::{Value, json};

pub(crate) use auth::Credential;
pub(crate) use error::Failure;
pub(crate) use params::plain_decimal;

use crate::control::{HandTrade, SymbolTerms, TradeSide};
use crate::engine::{Change, Engine, Fees, OrderRequest, Refusal, Size, Twist};
use crate::instrument::Listing;
use crate::key::{EVERYWHERE, KeyTerms};
use crate::order::{Fill, Leg, Order, OrderKind, Side, TimeInForce};
use crate::record::{FillRecord, OrderRecord, PositionRecord};
use params::{Body, Query};

/// The venue's name on the control routes.
pub(crate) const VENUE: &str = "bybit";
/// Where orders are created.
pub(crate) const CREATE_PATH: &str = "/v5/order/create";
/// Where instruments are listed.
pub(crate) const INSTRUMENTS_PATH: &str = "/v5/market/instruments-info";
/// Longest `orderLinkId`.
const MAX_LINK_ID: usize = 36;
/// How many closed orders order/realtime remembers.
const RECENT_CLOSED: usize = 500;
/// A day.
const DAY_MS: i64 = 86_400_000;

/// One request, whole.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    pub(crate) method: &'a Method,
    pub(crate) uri: &'a Uri,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) body: &'a [u8],
}

/// When a request arrives, by two clocks: a skewed venue stamps and checks by its own, while orders and
/// their injected delays live on the true one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    pub(crate) engine_ms: i64,
    pub(crate) server_ms: i64,
    pub(crate) server_nanos: i128,
}

/// What an injected fault makes of an answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Bend {
    /// Of the created order.
    pub(crate) twist: Twist,
    /// The status that instruments are listed with.
    pub(crate) listing: Option<Listing>,
    /// How old positions and executions are shown, ms.
    pub(crate) lag_ms: i64,
}

/// Who may call, and what for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Access<'a> {
    pub(crate) credential: &'a Credential,
    pub(crate) terms: &'a KeyTerms,
}

/// The routes, each with its requests per second as the venue's rate-limit table has them.
const ROUTES: [(&str, u32); 18] = [
    ("/v5/market/time", 120),
    (INSTRUMENTS_PATH, 120),
    ("/v5/market/tickers", 120),
    (CREATE_PATH, 10),
    ("/v5/order/cancel", 10),
    ("/v5/order/cancel-all", 10),
    ("/v5/order/realtime", 50),
    ("/v5/order/history", 50),
    ("/v5/execution/list", 50),
    ("/v5/position/list", 50),
    ("/v5/position/set-leverage", 10),
    ("/v5/position/switch-mode", 10),
    ("/v5/position/trading-stop", 10),
    ("/v5/account/wallet-balance", 50),
    ("/v5/account/info", 50),
    ("/v5/account/fee-rate", 10),
    ("/v5/user/query-api", 10),
    ("/v5/asset/coin/query-info", 5),
];

/// What a handler answers: the content of `result`, or a return code.
type Answer = Result<Value, Failure>;

/// A fresh account at the venue, which lists three symbols, or with `many` thirteen more.
pub(crate) fn engine(balance: Decimal, seed: u64, many: bool) -> Engine {
    let fees = Fees {
        taker: Decimal::new(55, 5),
        maker: Decimal::new(2, 4),
    };
    Engine::new(models::instruments(many), fees, balance, seed)
}

/// The route of a path with its requests per second; unknown paths share one.
pub(crate) fn route(path: &str) -> (&'static str, u32) {
    ROUTES
        .into_iter()
        .find(|(route, _)| *route == path)
        .unwrap_or(("/v5/", 10))
}

/// The symbol that a request is about, where it names one.
pub(crate) fn symbol_of(call: &Call<'_>) -> Option<String> {
    if *call.method == Method::POST {
        let body = Body::parse(call.body).ok()?;
        body.text("symbol").ok()?.map(str::to_owned)
    } else {
        let query = Query::parse(call.uri).ok()?;
        query.text("symbol").map(str::to_owned)
    }
}

/// Answers one request.
pub(crate) fn answer(
    engine: &mut Engine,
    access: Access<'_>,
    call: &Call<'_>,
    bend: Bend,
    times: Times,
) -> Answer {
    let path = call.uri.path();
    let now_ms = times.engine_ms;
    let shown_ms = now_ms.saturating_sub(bend.lag_ms);
    if !path.starts_with("/v5/market/") {
        let payload = if *call.method == Method::POST {
            call.body
        } else {
            call.uri.query().unwrap_or_default().as_bytes()
        };
        access
            .credential
            .check(call.headers, payload, times.server_ms)?;
        permit(access.terms, call.method, times.server_ms)?;
    }
    engine.advance(now_ms);
    if *call.method == Method::GET {
        let query = Query::parse(call.uri)?;
        match path {
            "/v5/market/time" => Ok(server_time(times.server_nanos)),
            INSTRUMENTS_PATH => instruments_info(engine, &query, bend.listing),
            "/v5/market/tickers" => tickers(engine, &query, now_ms),
            "/v5/order/realtime" => realtime(engine, &query, now_ms),
            "/v5/order/history" => history(engine, &query, now_ms),
            "/v5/execution/list" => executions(engine, &query, shown_ms),
            "/v5/position/list" => positions(engine, &query, shown_ms),
            "/v5/account/wallet-balance" => wallet_balance(engine, &query),
            "/v5/account/info" => Ok(account_info()),
            "/v5/account/fee-rate" => fee_rate(engine, &query),
            "/v5/user/query-api" => Ok(api_key_info(
                &access.credential.key,
                access.terms,
                times.server_ms,
            )),
            "/v5/asset/coin/query-info" => Ok(coins(engine, &query)),
            _ => Err(Failure::no_route()),
        }
    } else if *call.method == Method::POST {
        let body = || Body::parse(call.body);
        match path {
            CREATE_PATH => create(engine, &body()?, bend.twist, now_ms),
            "/v5/order/cancel" => cancel(engine, &body()?, now_ms),
            "/v5/order/cancel-all" => cancel_all(engine, &body()?, now_ms),
            "/v5/position/set-leverage" => set_leverage(engine, &body()?),
            "/v5/position/switch-mode" => switch_mode(engine, &body()?, now_ms),
            "/v5/position/trading-stop" => trading_stop(engine, &body()?, now_ms),
            _ => Err(Failure::no_route()),
        }
    } else {
        Err(Failure::no_route())
    }
}

fn server_time(now_nanos: i128) -> Value {
    let seconds = now_nanos.checked_div(1_000_000_000).unwrap_or_default();
    json!({ "timeSecond": seconds.to_string(), "timeNano": now_nanos.to_string() })
}

/// The product category; all four are valid, but only linear has anything.
fn category(text: Option<&str>) -> Result<&str, Failure> {
    match text {
        Some(category @ ("linear" | "inverse" | "spot" | "option")) => Ok(category),
        _ => Err(Failure::parameter("category")),
    }
}

/// A request that must be about linear contracts.
fn linear(text: Option<&str>) -> Result<(), Failure> {
    match category(text)? {
        "linear" => Ok(()),
        other => Err(Failure::new(
            10001,
            format!("category {other} is not simulated"),
        )),
    }
}

fn known_symbol(engine: &Engine, symbol: &str) -> Result<(), Failure> {
    engine
        .instrument(symbol)
        .map(|_| ())
        .ok_or_else(|| Failure::parameter("symbol"))
}

/// A symbol that is asked for by name is shown whatever its status; lists hold what trades unless another
/// status is asked for.
fn instruments_info(engine: &Engine, query: &Query, injected: Option<Listing>) -> Answer {
    let category = category(query.text("category"))?;
    let limit = query.limit(500, 1000)?;
    if category != "linear" {
        return Ok(json!({ "category": category, "list": [], "nextPageCursor": "" }));
    }
    let listing_of = |symbol: &str| {
        injected
            .or_else(|| engine.market(symbol).map(|market| market.listing))
            .unwrap_or_default()
    };
    let wanted = match (query.text("status"), query.text("symbol")) {
        (None, Some(_)) => None,
        (status, _) => Some(status.unwrap_or("Trading")),
    };
    if let Some(symbol) = query.text("symbol") {
        known_symbol(engine, symbol)?;
    }
    let after = query.text("cursor");
    let mut rows = engine
        .instruments()
        .filter(|instrument| {
            query
                .text("symbol")
                .is_none_or(|symbol| instrument.symbol == symbol)
        })
        .filter(|instrument| {
            query
                .text("baseCoin")
                .is_none_or(|base| instrument.base == base)
        })
        .filter(|instrument| {
            wanted.is_none_or(|wanted| models::listing(listing_of(&instrument.symbol)) == wanted)
        })
        .filter(|instrument| after.is_none_or(|after| instrument.symbol.as_str() > after));
    let page: Vec<_> = rows.by_ref().take(limit).collect();
    let more = rows.next().is_some();
    let cursor = page
        .last()
        .filter(|_| more)
        .map_or("", |last| last.symbol.as_str());
    Ok(json!({
        "category": category,
        "list": page
            .iter()
            .map(|instrument| models::instrument(instrument, listing_of(&instrument.symbol)))
            .collect::<Vec<_>>(),
        "nextPageCursor": cursor,
    }))
}

/// Each read moves the walk of the symbols it shows by one step, first.
fn tickers(engine: &mut Engine, query: &Query, now_ms: i64) -> Answer {
    let category = category(query.text("category"))?;
    if category != "linear" {
        return Ok(json!({ "category": category, "list": [] }));
    }
    let symbols: Vec<String> = match query.text("symbol") {
        Some(symbol) => {
            known_symbol(engine, symbol)?;
            vec![symbol.to_owned()]
        }
        None => engine
            .instruments()
            .map(|instrument| instrument.symbol.clone())
            .collect(),
    };
    let mut list = Vec::new();
    for symbol in symbols {
        engine.walk(&symbol, now_ms);
        if let (Some(instrument), Some(market)) =
            (engine.instrument(&symbol), engine.market(&symbol))
        {
            list.push(models::ticker(instrument, market)?);
        }
    }
    Ok(json!({ "category": category, "list": list }))
}

fn create(engine: &mut Engine, body: &Body, twist: Twist, now_ms: i64) -> Answer {
    linear(body.text("category")?)?;
    let symbol = body.required("symbol")?;
    known_symbol(engine, symbol)?;
    let side = match body.required("side")? {
        "Buy" => Side::Buy,
        "Sell" => Side::Sell,
        _ => return Err(Failure::parameter("side")),
    };
    let kind = match body.required("orderType")? {
        "Market" => OrderKind::Market,
        "Limit" => OrderKind::Limit,
        _ => return Err(Failure::parameter("orderType")),
    };
    let time_in_force = match body.text("timeInForce")? {
        None | Some("GTC") => TimeInForce::Gtc,
        Some("IOC") => TimeInForce::Ioc,
        Some("FOK") => TimeInForce::Fok,
        Some("PostOnly") => TimeInForce::PostOnly,
        Some(_) => return Err(Failure::parameter("timeInForce")),
    };
    let leg = leg(body)?;
    let link_id = body.text("orderLinkId")?;
    if link_id.is_some_and(|id| !is_link_id(id)) {
        return Err(Failure::parameter("orderLinkId"));
    }
    for absent in [
        "triggerPrice",
        "triggerDirection",
        "tpLimitPrice",
        "slLimitPrice",
    ] {
        let present = match absent {
            "triggerDirection" => body.integer(absent)?.is_some(),
            _ => body.text(absent)?.is_some(),
        };
        if present {
            return Err(Failure::new(10001, format!("{absent} is not simulated")));
        }
    }
    let reduce_only = body.flag("reduceOnly")?;
    let close_on_trigger = body.flag("closeOnTrigger")?;
    let take_profit = level(body, "takeProfit")?;
    let stop_loss = level(body, "stopLoss")?;
    if reduce_only && (take_profit.is_some() || stop_loss.is_some()) {
        return Err(Failure::new(
            10001,
            "reduce-only order cannot set TakeProfit or StopLoss",
        ));
    }
    let quantity = body
        .decimal("qty")?
        .ok_or_else(|| Failure::parameter("qty"))?;
    let amount = if quantity.is_zero() && reduce_only && close_on_trigger {
        Size::WholePosition
    } else {
        Size::Exactly(quantity)
    };
    let price = match kind {
        OrderKind::Market => None,
        OrderKind::Limit => body.decimal("price")?,
    };
    let request = OrderRequest {
        symbol: symbol.to_owned(),
        leg,
        side,
        kind,
        time_in_force,
        size: amount,
        price,
        reduce_only,
        close_on_trigger,
        client_id: link_id.map(str::to_owned),
        take_profit,
        stop_loss,
    };
    let order = engine.create(&request, twist, now_ms)?;
    Ok(ids(&order))
}

/// The position that a request is about; the one-way one where it does not say.
fn leg(body: &Body) -> Result<Leg, Failure> {
    models::leg(body.integer("positionIdx")?.unwrap_or_default())
        .ok_or_else(|| Failure::parameter("positionIdx"))
}

/// A price level where "0" means none.
fn level(body: &Body, name: &str) -> Result<Option<Decimal>, Failure> {
    Ok(body.decimal(name)?.filter(|price| !price.is_zero()))
}

fn is_link_id(id: &str) -> bool {
    id.len() <= MAX_LINK_ID
        && id
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

fn ids(order: &Order) -> Value {
    json!({ "orderId": order.id, "orderLinkId": order.client_id.as_deref().unwrap_or_default() })
}

/// The order a request names: the venue's id goes before the client's.
fn named<'a>(
    engine: &'a Engine,
    order_id: Option<&str>,
    link_id: Option<&str>,
) -> Option<&'a Order> {
    match (order_id, link_id) {
        (Some(id), _) => engine.order_by_id(id),
        (None, Some(id)) => engine.order_by_client_id(id),
        (None, None) => None,
    }
}

fn cancel(engine: &mut Engine, body: &Body, now_ms: i64) -> Answer {
    linear(body.text("category")?)?;
    let symbol = body.required("symbol")?;
    known_symbol(engine, symbol)?;
    let (order_id, link_id) = (body.text("orderId")?, body.text("orderLinkId")?);
    if order_id.is_none() && link_id.is_none() {
        return Err(Failure::new(
            10001,
            "params error: orderId or orderLinkId is required",
        ));
    }
    let sequence = named(engine, order_id, link_id)
        .filter(|order| order.symbol == symbol)
        .map(|order| order.sequence)
        .ok_or(Refusal::OrderNotFound)?;
    Ok(ids(&engine.cancel(sequence, now_ms)?))
}

fn cancel_all(engine: &mut Engine, body: &Body, now_ms: i64) -> Answer {
    linear(body.text("category")?)?;
    let (symbol, base, settle) = (
        body.text("symbol")?,
        body.text("baseCoin")?,
        body.text("settleCoin")?,
    );
    let symbol = match (symbol, base, settle) {
        (Some(symbol), _, _) => {
            known_symbol(engine, symbol)?;
            Some(symbol.to_owned())
        }
        (None, Some(base), _) => {
            let symbol = engine
                .instruments()
                .find(|instrument| instrument.base == base);
            Some(
                symbol
                    .ok_or_else(|| Failure::parameter("baseCoin"))?
                    .symbol
                    .clone(),
            )
        }
        (None, None, Some("USDT")) => None,
        (None, None, Some(_)) => return Err(Failure::parameter("settleCoin")),
        (None, None, None) => {
            return Err(Failure::new(
                10001,
                "params error: symbol, baseCoin or settleCoin is required",
            ));
        }
    };
    let cancelled = engine.cancel_all(symbol.as_deref(), now_ms);
    Ok(json!({ "list": cancelled.iter().map(ids).collect::<Vec<_>>(), "success": "1" }))
}

/// What a list is about; a symbol goes before a base coin, that before a settle coin.
#[derive(Debug, Clone, Copy)]
enum Scope<'a> {
    Symbol(&'a str),
    Base(&'a str),
    Settle(&'a str),
    All,
}

impl<'a> Scope<'a> {
    fn read(engine: &Engine, query: &'a Query) -> Result<Self, Failure> {
        if let Some(symbol) = query.text("symbol") {
            known_symbol(engine, symbol)?;
            return Ok(Self::Symbol(symbol));
        }
        let base = query.text("baseCoin").map(Self::Base);
        Ok(base
            .or_else(|| query.text("settleCoin").map(Self::Settle))
            .unwrap_or(Self::All))
    }

    /// A scope that the request must name.
    fn required(engine: &Engine, query: &'a Query) -> Result<Self, Failure> {
        match Self::read(engine, query)? {
            Self::All => Err(Failure::new(
                10001,
                "params error: symbol, baseCoin or settleCoin is required",
            )),
            scope => Ok(scope),
        }
    }

    fn holds(self, engine: &Engine, symbol: &str) -> bool {
        let instrument = engine.instrument(symbol);
        match self {
            Self::Symbol(wanted) => symbol == wanted,
            Self::Base(base) => instrument.is_some_and(|instrument| instrument.base == base),
            Self::Settle(settle) => instrument.is_some_and(|instrument| instrument.quote == settle),
            Self::All => true,
        }
    }
}

/// One page of rows, newest first. As at the venue a page that has rows has a cursor, even the last one.
fn page<T>(
    rows: impl Iterator<Item = T>,
    sequence: impl Fn(&T) -> u64,
    query: &Query,
    (default, most): (usize, usize),
    show: impl Fn(&T) -> Result<Value, Failure>,
) -> Answer {
    let limit = query.limit(default, most)?;
    let before = query.cursor()?;
    let chosen: Vec<T> = rows
        .filter(|row| before.is_none_or(|before| sequence(row) < before))
        .take(limit)
        .collect();
    let cursor = chosen
        .last()
        .map_or_else(String::new, |last| format!("page-{}", sequence(last)));
    let list = chosen.iter().map(show).collect::<Result<Vec<_>, _>>()?;
    Ok(json!({ "category": "linear", "list": list, "nextPageCursor": cursor }))
}

/// One page of orders that look-ups show already.
fn order_page<'a>(
    engine: &Engine,
    orders: impl Iterator<Item = &'a Order>,
    query: &Query,
    now_ms: i64,
) -> Answer {
    page(
        orders.filter(|order| order.visible_ms <= now_ms),
        |order| order.sequence,
        query,
        (20, 50),
        |order| show_order(engine, order),
    )
}

fn empty_page(category: &str) -> Value {
    json!({ "category": category, "list": [], "nextPageCursor": "" })
}

fn show_order(engine: &Engine, order: &Order) -> Result<Value, Failure> {
    let instrument = engine
        .instrument(&order.symbol)
        .ok_or_else(|| Failure::parameter("symbol"))?;
    Ok(models::order(order, instrument)?)
}

fn realtime(engine: &Engine, query: &Query, now_ms: i64) -> Answer {
    let category = category(query.text("category"))?;
    if category != "linear" {
        return Ok(empty_page(category));
    }
    let (order_id, link_id) = (query.text("orderId"), query.text("orderLinkId"));
    if order_id.is_some() || link_id.is_some() {
        let found =
            named(engine, order_id, link_id).filter(|order| engine.remembers(order, RECENT_CLOSED));
        return order_page(engine, found.into_iter(), query, now_ms);
    }
    let scope = Scope::required(engine, query)?;
    match query.integer("openOnly")? {
        None | Some(0) => {
            let open = engine
                .open_orders()
                .rev()
                .filter(|order| scope.holds(engine, &order.symbol));
            order_page(engine, open, query, now_ms)
        }
        Some(1) => {
            let closed = engine.recent_closed(RECENT_CLOSED);
            let closed = closed.filter(|order| scope.holds(engine, &order.symbol));
            order_page(engine, closed, query, now_ms)
        }
        Some(_) => Err(Failure::parameter("openOnly")),
    }
}

fn history(engine: &Engine, query: &Query, now_ms: i64) -> Answer {
    let category = category(query.text("category"))?;
    if category != "linear" {
        return Ok(empty_page(category));
    }
    let (order_id, link_id) = (query.text("orderId"), query.text("orderLinkId"));
    if order_id.is_some() || link_id.is_some() {
        let found = named(engine, order_id, link_id).filter(|order| !order.status.is_open());
        return order_page(engine, found.into_iter(), query, now_ms);
    }
    let scope = Scope::read(engine, query)?;
    let (from, to) = (query.integer("startTime")?, query.integer("endTime")?);
    let status = query.text("orderStatus");
    let closed = engine.orders().rev().filter(|order| {
        !order.status.is_open()
            && scope.holds(engine, &order.symbol)
            && from.is_none_or(|from| order.created_ms >= from)
            && to.is_none_or(|to| order.created_ms <= to)
            && status.is_none_or(|status| models::status(order.status) == status)
    });
    order_page(engine, closed, query, now_ms)
}

/// What was executed up to `shown_ms`.
fn executions(engine: &Engine, query: &Query, shown_ms: i64) -> Answer {
    let category = category(query.text("category"))?;
    let trades = query.text("execType").is_none_or(|kind| kind == "Trade");
    if category != "linear" || !trades {
        return Ok(empty_page(category));
    }
    let (order_id, link_id) = (query.text("orderId"), query.text("orderLinkId"));
    let scope = Scope::read(engine, query)?;
    let (from, to) = (query.integer("startTime")?, query.integer("endTime")?);
    let wanted = |fill: &&Fill| match (order_id, link_id) {
        (Some(id), _) => fill.order_id == id,
        (None, Some(id)) => fill.client_id.as_deref() == Some(id),
        (None, None) => {
            scope.holds(engine, &fill.symbol)
                && from.is_none_or(|from| fill.time_ms >= from)
                && to.is_none_or(|to| fill.time_ms <= to)
        }
    };
    page(
        engine
            .fills()
            .rev()
            .filter(|fill| fill.time_ms <= shown_ms)
            .filter(wanted),
        |fill| fill.sequence,
        query,
        (50, 100),
        |fill| {
            let instrument = engine
                .instrument(&fill.symbol)
                .ok_or_else(|| Failure::parameter("symbol"))?;
            Ok(models::execution(fill, instrument)?)
        },
    )
}

/// What was held at `shown_ms`. With a symbol its rows are there even while flat, in hedge mode one for
/// each leg; with a settle coin only open positions are.
fn positions(engine: &Engine, query: &Query, shown_ms: i64) -> Answer {
    let category = category(query.text("category"))?;
    if category != "linear" {
        return Ok(empty_page(category));
    }
    let scope = match Scope::read(engine, query)? {
        scope @ (Scope::Symbol(_) | Scope::Settle(_)) => scope,
        Scope::Base(_) | Scope::All => {
            return Err(Failure::new(
                10001,
                "params error: symbol or settleCoin is required",
            ));
        }
    };
    let by_symbol = matches!(scope, Scope::Symbol(_));
    let markets: Vec<_> = engine
        .instruments()
        .filter(|instrument| scope.holds(engine, &instrument.symbol))
        .filter_map(|instrument| {
            Some((instrument, engine.market_at(&instrument.symbol, shown_ms)?))
        })
        .collect();
    let shown: Vec<_> = markets
        .iter()
        .flat_map(|(instrument, market)| {
            market
                .legs()
                .map(move |(leg, position)| (*instrument, market, leg, position))
        })
        .filter(|(_, _, _, position)| by_symbol || !position.size.is_zero())
        .collect();
    // Cursors count down, so the rows are numbered from the end.
    page(
        (0..)
            .zip(shown.into_iter().rev())
            .collect::<Vec<_>>()
            .into_iter()
            .rev(),
        |row| row.0,
        query,
        (20, 200),
        |row| {
            let (_, (instrument, market, leg, position)) = row;
            Ok(models::position(instrument, market, *leg, position)?)
        },
    )
}

fn wallet_balance(engine: &Engine, query: &Query) -> Answer {
    if query.text("accountType") != Some("UNIFIED") {
        return Err(Failure::new(10001, "accountType only support UNIFIED."));
    }
    let row = models::wallet(
        &engine.summary()?,
        models::maintenance(engine)?,
        query.text("coin"),
    )?;
    Ok(json!({ "list": [row] }))
}

fn account_info() -> Value {
    json!({
        "marginMode": "REGULAR_MARGIN",
        "updatedTime": "1697078946000",
        "unifiedMarginStatus": 5,
        "dcpStatus": "OFF",
        "timeWindow": 0,
        "smpGroup": 0,
        "isMasterTrader": false,
        "spotHedgingStatus": "OFF",
    })
}

fn fee_rate(engine: &Engine, query: &Query) -> Answer {
    let category = category(query.text("category").or(Some("linear")))?;
    if let Some(symbol) = query.text("symbol") {
        known_symbol(engine, symbol)?;
    }
    let fees = engine.fees();
    let list: Vec<Value> = engine
        .instruments()
        .filter(|_| category == "linear")
        .filter(|instrument| {
            query
                .text("symbol")
                .is_none_or(|symbol| instrument.symbol == symbol)
        })
        .map(|instrument| {
            json!({
                "symbol": instrument.symbol,
                "takerFeeRate": fees.taker.to_string(),
                "makerFeeRate": fees.maker.to_string(),
            })
        })
        .collect();
    Ok(json!({ "list": list }))
}

/// What every kind of permission is called (docs/v5/user/apikey-info).
const PERMISSIONS: [&str; 11] = [
    "ContractTrade",
    "Spot",
    "Wallet",
    "Options",
    "Derivatives",
    "CopyTrading",
    "BlockTrade",
    "Exchange",
    "NFT",
    "Affiliate",
    "Earn",
];

/// Refuses what the key may not do: calls from elsewhere than its addresses, after its end, and orders
/// it has no permission for.
fn permit(terms: &KeyTerms, method: &Method, server_ms: i64) -> Result<(), Failure> {
    // Whoever calls is on this machine.
    let here = [EVERYWHERE, "127.0.0.1"];
    if !terms.ips.iter().any(|ip| here.contains(&ip.as_str())) {
        let text = "Unmatched IP, please check your API key's bound IP addresses.";
        return Err(Failure::new(10010, text));
    }
    if terms
        .expires_at
        .is_some_and(|end| end.as_millis() <= server_ms)
    {
        return Err(Failure::new(33004, "Your api key has expired."));
    }
    let writes = !terms.read_only && terms.permits("ContractTrade", "Order");
    if *method == Method::POST && !writes {
        let text = "Permission denied, please check your API key permissions.";
        return Err(Failure::new(10005, text));
    }
    Ok(())
}

/// A moment as the venue writes it: in whole seconds.
fn moment(at: Timestamp) -> String {
    let text = at.to_string();
    let seconds = text
        .split_once('.')
        .map_or(text.as_str(), |(whole, _)| whole);
    format!("{seconds}Z")
}

fn api_key_info(key: &str, terms: &KeyTerms, server_ms: i64) -> Value {
    let permissions: BTreeMap<&str, &[String]> = PERMISSIONS
        .into_iter()
        .map(|kind| (kind, &[][..]))
        .chain(
            terms
                .permissions
                .iter()
                .map(|(kind, all)| (kind.as_str(), all.as_slice())),
        )
        .collect();
    // A key without an end has these two values.
    let (days, end) = match terms.expires_at {
        Some(end) => (end.as_millis().saturating_sub(server_ms) / DAY_MS, end),
        None => (-2, Timestamp::from_millis(0)),
    };
    json!({
        "id": "1",
        "note": "simulator",
        "apiKey": key,
        "readOnly": i64::from(terms.read_only),
        "secret": "",
        "permissions": permissions,
        "ips": terms.ips,
        "type": 1,
        "deadlineDay": days,
        "expiredAt": moment(end),
        "createdAt": moment(terms.created_at),
        "unified": 0,
        "uta": 1,
        "userID": 1,
        "inviterID": 0,
        "vipLevel": "No VIP",
        "mktMakerLevel": "0",
        "affiliateID": 0,
        "rsaPublicKey": "",
        "isMaster": true,
        "parentUid": "0",
        "kycLevel": "LEVEL_DEFAULT",
        "kycRegion": "",
    })
}

fn coins(engine: &Engine, query: &Query) -> Value {
    let rows: Vec<Value> = std::iter::once("USDT")
        .chain(
            engine
                .instruments()
                .map(|instrument| instrument.base.as_str()),
        )
        .filter(|coin| query.text("coin").is_none_or(|wanted| wanted == *coin))
        .map(|coin| json!({ "name": coin, "coin": coin, "remainAmount": "0", "chains": [] }))
        .collect();
    json!({ "rows": rows })
}

fn set_leverage(engine: &mut Engine, body: &Body) -> Answer {
    linear(body.text("category")?)?;
    let symbol = body.required("symbol")?;
    known_symbol(engine, symbol)?;
    let buy = body
        .decimal("buyLeverage")?
        .ok_or_else(|| Failure::parameter("buyLeverage"))?;
    let sell = body
        .decimal("sellLeverage")?
        .ok_or_else(|| Failure::parameter("sellLeverage"))?;
    if buy != sell {
        return Err(Failure::new(
            10001,
            "buy leverage must equal sell leverage in one-way mode",
        ));
    }
    engine.set_leverage(symbol, buy)?;
    Ok(json!({}))
}

/// Of one symbol; of all of a coin's the mode stays one-way.
fn switch_mode(engine: &mut Engine, body: &Body, now_ms: i64) -> Answer {
    linear(body.text("category")?)?;
    let hedged = match body.integer("mode")? {
        Some(0) => false,
        Some(3) => true,
        _ => return Err(Failure::parameter("mode")),
    };
    match body.text("symbol")? {
        Some(symbol) => {
            known_symbol(engine, symbol)?;
            engine.set_hedged(symbol, hedged, false, now_ms)?;
            Ok(json!({}))
        }
        None if hedged => Err(Failure::new(
            110_029,
            "Hedge mode is not supported for this symbol.",
        )),
        None => Err(Failure::new(110_025, "Position mode is not modified")),
    }
}

/// Take-profit and stop-loss of the whole position. An absent level stays, "0" removes it.
fn trading_stop(engine: &mut Engine, body: &Body, now_ms: i64) -> Answer {
    linear(body.text("category")?)?;
    let symbol = body.required("symbol")?;
    known_symbol(engine, symbol)?;
    let leg = leg(body)?;
    if body.text("tpslMode")?.is_some_and(|mode| mode != "Full") {
        return Err(Failure::new(10001, "tpslMode Partial is not simulated"));
    }
    if body
        .decimal("trailingStop")?
        .is_some_and(|distance| !distance.is_zero())
    {
        return Err(Failure::new(10001, "trailingStop is not simulated"));
    }
    let change = |name: &str| -> Result<Change, Failure> {
        Ok(match body.decimal(name)? {
            None => Change::Keep,
            Some(price) if price.is_zero() => Change::Remove,
            Some(price) => Change::Set(price),
        })
    };
    let (take_profit, stop_loss) = (change("takeProfit")?, change("stopLoss")?);
    let position = engine
        .market(symbol)
        .map(|market| market.held(leg).clone())
        .unwrap_or_default();
    let same = |change: Change, before: Option<Decimal>| match change {
        Change::Keep => true,
        Change::Remove => before.is_none(),
        Change::Set(price) => before == Some(price),
    };
    if position.size.is_zero() {
        return Err(Failure::new(
            10001,
            "can not set tp/sl/ts for zero position",
        ));
    }
    if same(take_profit, position.take_profit) && same(stop_loss, position.stop_loss) {
        return Err(Failure::new(34040, "not modified"));
    }
    engine.protect(symbol, leg, take_profit, stop_loss, now_ms)?;
    Ok(json!({}))
}

/// A trade of the account holder past the API, at the present price.
pub(crate) fn trade(engine: &mut Engine, trade: &HandTrade, now_ms: i64) -> Result<Order, Refusal> {
    let side = match trade.side {
        TradeSide::Buy => Side::Buy,
        TradeSide::Sell => Side::Sell,
    };
    let leg = models::leg(i64::from(trade.position_idx)).ok_or(Refusal::PositionMode)?;
    engine.trade(&trade.symbol, leg, side, trade.qty, now_ms)
}

/// What can be traded and how, as the control routes show it.
pub(crate) fn symbol_terms(engine: &Engine) -> Vec<SymbolTerms> {
    engine
        .instruments()
        .filter_map(|instrument| {
            let market = engine.market(&instrument.symbol)?;
            Some(SymbolTerms {
                venue: VENUE.to_owned(),
                symbol: instrument.symbol.clone(),
                status: market.listing,
                hedge: market.hedged,
                price: market.price.normalize(),
                min_order_qty: instrument.min_quantity.normalize(),
                max_order_qty: instrument.max_quantity.normalize(),
                max_mkt_order_qty: instrument.max_market_quantity.normalize(),
            })
        })
        .collect()
}

/// An order as the control routes show it, in the venue's spelling.
pub(crate) fn order_record(order: &Order) -> OrderRecord {
    OrderRecord {
        venue: VENUE.to_owned(),
        symbol: order.symbol.clone(),
        position_idx: models::position_index(order.leg),
        order_id: order.id.clone(),
        client_order_id: order.client_id.clone(),
        side: models::side(order.side).to_owned(),
        order_type: models::order_type(order.kind).to_owned(),
        time_in_force: models::time_in_force(order.time_in_force).to_owned(),
        qty: order.quantity.normalize(),
        price: order.price.map(|price| price.normalize()),
        reduce_only: order.reduce_only,
        take_profit: order.take_profit.map(|price| price.normalize()),
        stop_loss: order.stop_loss.map(|price| price.normalize()),
        status: models::status(order.status).to_owned(),
        filled_qty: order.filled.normalize(),
        avg_price: order.average_price().map(|price| price.normalize()),
        fee: order.fee.normalize(),
        created_ms: order.created_ms,
        updated_ms: order.updated_ms,
    }
}

/// A fill as the control routes show it.
pub(crate) fn fill_record(fill: &Fill) -> FillRecord {
    FillRecord {
        venue: VENUE.to_owned(),
        symbol: fill.symbol.clone(),
        fill_id: fill.id.clone(),
        order_id: fill.order_id.clone(),
        client_order_id: fill.client_id.clone(),
        side: models::side(fill.side).to_owned(),
        qty: fill.quantity.normalize(),
        price: fill.price.normalize(),
        fee: fill.fee.normalize(),
        realised: fill.realised.normalize(),
        maker: fill.maker,
        time_ms: fill.time_ms,
    }
}

/// The open positions as the control routes show them.
pub(crate) fn position_records(engine: &Engine) -> Vec<PositionRecord> {
    engine
        .instruments()
        .filter_map(|instrument| engine.market(&instrument.symbol).map(|m| (instrument, m)))
        .flat_map(|(instrument, market)| {
            market
                .legs()
                .map(move |(leg, position)| (instrument, market, leg, position))
        })
        .filter_map(|(instrument, market, leg, position)| {
            let side = position.side()?;
            Some(PositionRecord {
                venue: VENUE.to_owned(),
                symbol: instrument.symbol.clone(),
                position_idx: models::position_index(leg),
                side: models::side(side).to_owned(),
                size: position.size.abs().normalize(),
                avg_price: position.average_price().unwrap_or_default().normalize(),
                mark_price: market.price.normalize(),
                leverage: market.leverage.normalize(),
                take_profit: position.take_profit.map(|price| price.normalize()),
                stop_loss: position.stop_loss.map(|price| price.normalize()),
            })
        })
        .collect()
}
