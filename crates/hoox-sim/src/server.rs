//! The HTTP server around the venues.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, DefaultBodyLimit, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hoox_model::{Secret, Timestamp};
use rust_decimal::Decimal;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::bybit::{self, Access, Bend, Call, Credential, Failure};
use crate::clock;
use crate::control::{self, HandTrade, Rules, SymbolChange, SymbolTerms};
use crate::engine::{Engine, Refusal};
use crate::fault::{Fault, FaultError, Faults, Outcome, Plan};
use crate::key::KeyTerms;
use crate::record::{FillRecord, OrderRecord, PositionRecord};
use crate::socket::{Line, Lines};
use crate::store;

/// Largest request body.
pub const MAX_BODY: usize = 64 * 1024;
/// How often delayed orders, the timed walk and the state file are looked after.
const HOUSEKEEPING: Duration = Duration::from_millis(100);
/// How long open connections may hold up the end.
const DRAIN: Duration = Duration::from_millis(500);

/// How to start a simulator.
#[derive(Debug, Clone)]
pub struct Config {
    /// Port on 127.0.0.1; 0 for any free one.
    pub port: u16,
    /// Seed of ids and prices.
    pub seed: u64,
    /// The account's API key, the same at each venue.
    pub api_key: String,
    /// The account's API secret.
    pub api_secret: Secret,
    /// Initial balance in quote coin.
    pub balance: Decimal,
    /// File that keeps the state between runs.
    pub state: Option<PathBuf>,
    /// Moves unpinned prices by one step this often; without it they move when tickers are read.
    pub tick: Option<Duration>,
    /// Lists thirteen common symbols beside BTCUSDT, ETHUSDT and SOLUSDT.
    pub many_symbols: bool,
}

impl Config {
    /// A free port, seed 1, a balance of 100 000, nothing kept.
    pub fn new(api_key: impl Into<String>, api_secret: impl Into<String>) -> Self {
        Self {
            port: 0,
            seed: 1,
            api_key: api_key.into(),
            api_secret: Secret::new(api_secret),
            balance: Decimal::from(100_000),
            state: None,
            tick: None,
            many_symbols: false,
        }
    }
}

/// Why a simulator cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The port cannot be had.
    #[error(
        "cannot listen on 127.0.0.1:{port} ({source}): choose another port, or 0 for a free one"
    )]
    Port {
        /// The port.
        port: u16,
        /// What the system said.
        source: io::Error,
    },
    /// The state file cannot be used.
    #[error("cannot use the state file {} ({source}): repair or remove it", path.display())]
    State {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: io::Error,
    },
}

/// Why a price, a trade by hand or a change of a symbol is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PriceError {
    /// No such venue here.
    #[error("unknown venue {0}: the simulator speaks bybit")]
    Venue(String),
    /// A quantity that is not above zero, or a smallest one above a largest.
    #[error("the quantities contradict each other or are not above zero")]
    Quantities,
    /// The venue refuses the symbol, the price, the mode or the trade.
    #[error("{0}")]
    Refused(#[from] Refusal),
}

/// Requests of one path in the present second.
#[derive(Debug, Default, Clone, Copy)]
struct Window {
    second: i64,
    used: u32,
}

/// Everything behind the lock.
struct Inner {
    bybit: Engine,
    faults: Faults,
    windows: BTreeMap<&'static str, Window>,
    key: KeyTerms,
}

/// The state that all requests share.
pub(crate) struct Shared {
    inner: Mutex<Inner>,
    credential: Credential,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic in another request must not take the simulator down; the engine never leaves a change half done.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn orders(&self) -> Vec<OrderRecord> {
        let mut inner = self.lock();
        inner.bybit.advance(clock::unix_millis());
        inner.bybit.orders().map(bybit::order_record).collect()
    }

    pub(crate) fn fills(&self) -> Vec<FillRecord> {
        let mut inner = self.lock();
        inner.bybit.advance(clock::unix_millis());
        inner.bybit.fills().map(bybit::fill_record).collect()
    }

    pub(crate) fn positions(&self) -> Vec<PositionRecord> {
        let mut inner = self.lock();
        inner.bybit.advance(clock::unix_millis());
        bybit::position_records(&inner.bybit)
    }

    pub(crate) fn set_price(
        &self,
        venue: &str,
        symbol: &str,
        price: Decimal,
    ) -> Result<(), PriceError> {
        if venue != bybit::VENUE {
            return Err(PriceError::Venue(venue.to_owned()));
        }
        Ok(self
            .lock()
            .bybit
            .set_price(symbol, price, clock::unix_millis())?)
    }

    pub(crate) fn rules(&self) -> Rules {
        Rules {
            split_exits: self.lock().bybit.split_exits(),
        }
    }

    pub(crate) fn set_rules(&self, rules: Rules) {
        self.lock().bybit.set_split_exits(rules.split_exits);
    }

    pub(crate) fn symbols(&self) -> Vec<SymbolTerms> {
        bybit::symbol_terms(&self.lock().bybit)
    }

    pub(crate) fn change_symbol(&self, change: &SymbolChange) -> Result<(), PriceError> {
        if change.venue != bybit::VENUE {
            return Err(PriceError::Venue(change.venue.clone()));
        }
        let now_ms = clock::unix_millis();
        let mut inner = self.lock();
        let engine = &mut inner.bybit;
        let rules = engine
            .instrument(&change.symbol)
            .ok_or(Refusal::UnknownSymbol)?;
        let smallest = change.min_order_qty.unwrap_or(rules.min_quantity);
        let largest = change.max_order_qty.unwrap_or(rules.max_quantity);
        let largest_market = change
            .max_mkt_order_qty
            .unwrap_or(rules.max_market_quantity);
        if smallest <= Decimal::ZERO || smallest > largest.min(largest_market) {
            return Err(PriceError::Quantities);
        }
        if let Some(hedge) = change.hedge {
            match engine.set_hedged(&change.symbol, hedge, true, now_ms) {
                Ok(()) | Err(Refusal::ModeUnchanged) => {}
                Err(refusal) => return Err(refusal.into()),
            }
        }
        if let Some(listing) = change.status {
            engine.set_listing(&change.symbol, listing)?;
        }
        if let Some(rules) = engine.instrument_mut(&change.symbol) {
            rules.min_quantity = smallest;
            rules.max_quantity = largest;
            rules.max_market_quantity = largest_market;
        }
        Ok(())
    }

    pub(crate) fn trade(&self, trade: &HandTrade) -> Result<OrderRecord, PriceError> {
        if trade.venue != bybit::VENUE {
            return Err(PriceError::Venue(trade.venue.clone()));
        }
        let order = bybit::trade(&mut self.lock().bybit, trade, clock::unix_millis())?;
        Ok(bybit::order_record(&order))
    }

    pub(crate) fn key(&self) -> KeyTerms {
        self.lock().key.clone()
    }

    pub(crate) fn set_key(&self, terms: KeyTerms) {
        self.lock().key = terms;
    }

    pub(crate) fn add_faults(&self, faults: Vec<Fault>) -> Result<(), FaultError> {
        let mut inner = self.lock();
        if inner.faults.push(faults)? {
            inner.bybit.forget_closed();
        }
        Ok(())
    }

    pub(crate) fn clear_faults(&self) {
        self.lock().faults.clear();
    }

    pub(crate) fn waiting_faults(&self) -> Vec<Fault> {
        self.lock().faults.waiting()
    }

    fn walk_all(&self) {
        let now_ms = clock::unix_millis();
        let mut inner = self.lock();
        let symbols: Vec<String> = inner
            .bybit
            .instruments()
            .map(|instrument| instrument.symbol.clone())
            .collect();
        for symbol in symbols {
            inner.bybit.walk(&symbol, now_ms);
        }
    }

    /// Processes one venue request as far as the faults let it, and says how to answer.
    fn process(&self, call: &Call<'_>) -> (Response, Plan) {
        // Orders live on the true clock; what the venue says and checks follows the skewed one.
        let true_ms = clock::unix_millis();
        let mut inner = self.lock();
        let skew_ms = inner.faults.skew_ms;
        let now_ms = true_ms.saturating_add(skew_ms);
        let now_nanos =
            clock::unix_nanos().saturating_add(i128::from(skew_ms).saturating_mul(1_000_000));
        let path = call.uri.path();
        let symbol = bybit::symbol_of(call);
        let plan = inner
            .faults
            .plan(path, bybit::CREATE_PATH, symbol.as_deref());
        let lag_ms = inner.faults.position_lag_ms;
        let mut limits = inner.limits(path, now_ms);
        let answer = match &plan.outcome {
            Some(outcome) if !outcome.has_effect() => None,
            _ => {
                let times = bybit::Times {
                    engine_ms: true_ms,
                    server_ms: now_ms,
                    server_nanos: now_nanos,
                };
                let Inner { bybit, key, .. } = &mut *inner;
                let access = Access {
                    credential: &self.credential,
                    terms: key,
                };
                let bend = Bend {
                    twist: plan.twist,
                    listing: plan.listing,
                    lag_ms,
                };
                Some(bybit::answer(bybit, access, call, bend, times))
            }
        };
        drop(inner);
        let response = match (&plan.outcome, answer) {
            (None, Some(Ok(result))) => envelope(StatusCode::OK, 0, "OK", &result, now_ms),
            (None, Some(Err(failure))) => fail(&failure, now_ms),
            (Some(Outcome::Http { status, .. }), _) => status_of(*status).into_response(),
            (
                Some(Outcome::Text {
                    status, html, body, ..
                }),
                _,
            ) => {
                let kind = if *html {
                    "text/html; charset=utf-8"
                } else {
                    "text/plain; charset=utf-8"
                };
                let answer = (
                    status_of(*status),
                    [(header::CONTENT_TYPE, kind)],
                    body.clone(),
                );
                return (waiting(&plan, answer.into_response()), plan);
            }
            (Some(Outcome::RateLimit { status, reset_ms }), _) => {
                limits.status = 0;
                limits.reset_ms = now_ms.saturating_add(*reset_ms);
                let failure = Failure::new(10006, "Too many visits. Exceeded the API Rate Limit.");
                fail(
                    &Failure {
                        status: *status,
                        ..failure
                    },
                    now_ms,
                )
            }
            (Some(Outcome::RetCode { code, message, .. }), _) => {
                fail(&Failure::new(*code, message.clone()), now_ms)
            }
            (Some(Outcome::Hold | Outcome::Disconnect { .. }), _) | (None, None) => {
                StatusCode::OK.into_response()
            }
        };
        (waiting(&plan, limits.stamp(response)), plan)
    }
}

impl Inner {
    /// Counts a request; the limits are reported, not enforced.
    fn limits(&mut self, path: &str, now_ms: i64) -> Limits {
        let (route, most) = bybit::route(path);
        let second = now_ms.checked_div(1_000).unwrap_or_default();
        let window = self.windows.entry(route).or_default();
        if window.second != second {
            *window = Window { second, used: 0 };
        }
        window.used = window.used.saturating_add(1);
        let status = most.saturating_sub(window.used);
        Limits {
            most,
            status,
            reset_ms: now_ms,
        }
    }
}

/// The venue's rate-limit headers.
struct Limits {
    most: u32,
    status: u32,
    reset_ms: i64,
}

impl Limits {
    fn stamp(&self, mut response: Response) -> Response {
        let values = [
            (
                HeaderName::from_static("x-bapi-limit"),
                i64::from(self.most),
            ),
            (
                HeaderName::from_static("x-bapi-limit-status"),
                i64::from(self.status),
            ),
            (
                HeaderName::from_static("x-bapi-limit-reset-timestamp"),
                self.reset_ms,
            ),
        ];
        for (name, value) in values {
            response
                .headers_mut()
                .insert(name, HeaderValue::from(value));
        }
        response
    }
}

/// Stamps how long the answer asks to wait.
fn waiting(plan: &Plan, mut response: Response) -> Response {
    if let Some(seconds) = plan.retry_after {
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

fn status_of(status: u16) -> StatusCode {
    StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

fn fail(failure: &Failure, now_ms: i64) -> Response {
    envelope(
        status_of(failure.status),
        failure.code,
        &failure.message,
        &json!({}),
        now_ms,
    )
}

/// The envelope of every answer.
fn envelope(status: StatusCode, code: i64, message: &str, result: &Value, now_ms: i64) -> Response {
    let body = json!({
        "retCode": code,
        "retMsg": message,
        "result": result,
        "retExtInfo": {},
        "time": now_ms,
    });
    (
        status,
        [(header::CONTENT_TYPE, "application/json; charset=utf-8")],
        body.to_string(),
    )
        .into_response()
}

/// Every route that is not a control route: the venues'.
async fn venue(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(line): ConnectInfo<Line>,
    request: Request<Body>,
) -> Response {
    let (parts, body) = request.into_parts();
    if !parts.uri.path().starts_with("/v5/") {
        return StatusCode::NOT_FOUND.into_response();
    }
    let Ok(body) = to_bytes(body, MAX_BODY).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let headers: &HeaderMap = &parts.headers;
    let call = Call {
        method: &parts.method,
        uri: &parts.uri,
        headers,
        body: &body,
    };
    let (response, plan) = shared.process(&call);
    if let Ok(millis @ 1..) = u64::try_from(plan.delay_ms) {
        tokio::time::sleep(Duration::from_millis(millis)).await;
    }
    if matches!(
        plan.outcome,
        Some(Outcome::Hold | Outcome::Disconnect { .. })
    ) {
        line.cut();
    }
    response
}

/// Starts simulators.
#[derive(Debug, Clone, Copy)]
pub struct Simulator;

impl Simulator {
    /// Starts a simulator on 127.0.0.1. It must be called inside a Tokio runtime.
    ///
    /// # Errors
    /// If the port is taken or the state file cannot be used.
    pub async fn start(config: Config) -> Result<Handle, StartError> {
        let mut engine = bybit::engine(config.balance, config.seed, config.many_symbols);
        if let Some(path) = &config.state {
            store::load(path, &mut engine)
                .and_then(|()| store::write(path, &store::render(&engine)?))
                .map_err(|source| StartError::State {
                    path: path.clone(),
                    source,
                })?;
        }
        let bind = SocketAddr::from((Ipv4Addr::LOCALHOST, config.port));
        let port_error = |source| StartError::Port {
            port: config.port,
            source,
        };
        let listener = TcpListener::bind(bind).await.map_err(port_error)?;
        let address = listener.local_addr().map_err(port_error)?;
        let saved = engine.revision();
        let shared = Arc::new(Shared {
            inner: Mutex::new(Inner {
                bybit: engine,
                faults: Faults::default(),
                windows: BTreeMap::new(),
                key: KeyTerms::new(Timestamp::from_millis(clock::unix_millis())),
            }),
            credential: Credential {
                key: config.api_key,
                secret: config.api_secret,
            },
        });
        let app = Router::new()
            .merge(control::routes())
            .fallback(venue)
            .layer(DefaultBodyLimit::max(MAX_BODY))
            .with_state(Arc::clone(&shared))
            .into_make_service_with_connect_info::<Line>();
        let (stop, stopped) = watch::channel(false);
        let server = tokio::spawn({
            let mut stopped = stopped.clone();
            async move {
                axum::serve(Lines(listener), app)
                    .with_graceful_shutdown(async move {
                        // An error means that the handle is gone, which ends the simulator as well.
                        stopped.wait_for(|stopped| *stopped).await.ok();
                    })
                    .await
            }
        });
        let keeper = tokio::spawn(keep(
            Arc::clone(&shared),
            config.state,
            config.tick,
            saved,
            stopped,
        ));
        Ok(Handle {
            url: format!("http://{address}"),
            address,
            shared,
            stop,
            server,
            keeper,
        })
    }
}

/// Looks after time and state until the end, then writes the state a last time.
async fn keep(
    shared: Arc<Shared>,
    state: Option<PathBuf>,
    tick: Option<Duration>,
    mut saved: u64,
    mut stopped: watch::Receiver<bool>,
) -> io::Result<()> {
    let mut housekeeping = tokio::time::interval(HOUSEKEEPING);
    let mut walking = tick.map(tokio::time::interval);
    loop {
        let walk = async {
            match &mut walking {
                Some(interval) => interval.tick().await,
                None => std::future::pending().await,
            }
        };
        let ending = tokio::select! {
            _ = stopped.wait_for(|stopped| *stopped) => true,
            _ = housekeeping.tick() => false,
            _ = walk => {
                shared.walk_all();
                false
            }
        };
        let due = {
            let mut inner = shared.lock();
            inner.bybit.advance(clock::unix_millis());
            let revision = inner.bybit.revision();
            if state.is_some() && revision != saved {
                Some((revision, store::render(&inner.bybit)?))
            } else {
                None
            }
        };
        if let (Some(path), Some((revision, content))) = (state.clone(), due) {
            let written = tokio::task::spawn_blocking(move || store::write(&path, &content)).await;
            match written {
                Ok(Ok(())) => saved = revision,
                // The next round tries again; the last one reports.
                Ok(Err(error)) if ending => return Err(error),
                Err(error) if ending => return Err(io::Error::other(error)),
                Ok(Err(_)) | Err(_) => {}
            }
        }
        if ending {
            return Ok(());
        }
    }
}

/// A running simulator. Dropping it ends the simulator without waiting.
pub struct Handle {
    url: String,
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    server: JoinHandle<io::Result<()>>,
    keeper: JoinHandle<io::Result<()>>,
}

impl Handle {
    /// Where it listens, without a slash at the end.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Address and port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Every order it accepted, oldest first.
    pub fn orders(&self) -> Vec<OrderRecord> {
        self.shared.orders()
    }

    /// Every fill, oldest first.
    pub fn fills(&self) -> Vec<FillRecord> {
        self.shared.fills()
    }

    /// The open positions.
    pub fn positions(&self) -> Vec<PositionRecord> {
        self.shared.positions()
    }

    /// Pins a price and fills what it crosses.
    ///
    /// # Errors
    /// For an unknown venue or symbol, or a price off the grid.
    pub fn set_price(&self, venue: &str, symbol: &str, price: Decimal) -> Result<(), PriceError> {
        self.shared.set_price(venue, symbol, price)
    }

    /// How it treats what the venues leave open.
    pub fn rules(&self) -> Rules {
        self.shared.rules()
    }

    /// Sets how it treats what the venues leave open.
    pub fn set_rules(&self, rules: Rules) {
        self.shared.set_rules(rules);
    }

    /// What can be traded and how.
    pub fn symbols(&self) -> Vec<SymbolTerms> {
        self.shared.symbols()
    }

    /// Changes mode, status or size limits of a symbol.
    ///
    /// # Errors
    /// For an unknown venue or symbol, limits that contradict each other, or a mode that what is held or
    /// rests does not allow; nothing is changed then.
    pub fn change_symbol(&self, change: &SymbolChange) -> Result<(), PriceError> {
        self.shared.change_symbol(change)
    }

    /// Trades on the account past the API, at the present price.
    ///
    /// # Errors
    /// For an unknown venue or symbol, a quantity off the step, or a leg that is not there or holds
    /// nothing to close.
    pub fn trade(&self, trade: &HandTrade) -> Result<OrderRecord, PriceError> {
        self.shared.trade(trade)
    }

    /// What its API key may do.
    pub fn key(&self) -> KeyTerms {
        self.shared.key()
    }

    /// Makes its API key another one.
    pub fn set_key(&self, terms: KeyTerms) {
        self.shared.set_key(terms);
    }

    /// Queues faults.
    ///
    /// # Errors
    /// If one of them is incomplete or there are too many; none is taken then.
    pub fn faults(&self, faults: Vec<Fault>) -> Result<(), FaultError> {
        self.shared.add_faults(faults)
    }

    /// Forgets all faults and sets the clock right.
    pub fn clear_faults(&self) {
        self.shared.clear_faults();
    }

    /// The faults that have not struck yet.
    pub fn waiting_faults(&self) -> Vec<Fault> {
        self.shared.waiting_faults()
    }

    /// Ends the simulator: no new requests, a last write of the state file.
    ///
    /// # Errors
    /// If the state could not be written.
    pub async fn stop(self) -> io::Result<()> {
        self.stop.send_replace(true);
        let mut server = self.server;
        if tokio::time::timeout(DRAIN, &mut server).await.is_err() {
            // A held answer would keep its connection for longer than anyone waits.
            server.abort();
        }
        self.keeper.await.map_err(io::Error::other)?
    }
}
