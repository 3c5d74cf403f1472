//! Bybit, API v5, unified trading account. Symbols are traded in one-way mode; of one in hedge mode the
//! legs are listed and closed.
//!
//! Delivered are linear perpetuals settled in USDT or USDC. Of spot, only the public calls are
//! made; everything else answers [`VenueError::UNSUPPORTED`] without a request.
//!
//! Source: <https://bybit-exchange.github.io/docs/v5/intro>.

mod credential;
mod error;
mod models;
#[cfg(test)]
mod tests;
pub mod urls;

use core::cell::Cell;
use core::fmt;
use std::collections::{BTreeMap, BTreeSet};

use hoox_model::{
    Balance, ClientOrderId, Decimal, Effect, Fill, Instrument, KeyInfo, OrderKind, OrderSnapshot,
    OrderSpec, Position, Product, Quantity, Secret, Symbol, Timestamp, Venue as VenueName,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::venue::{Ack, CancelOutcome, LookUp, Ticker, Venue, VenueTraits};
use crate::{
    Clock, ErrorClass, HttpRequest, HttpResponse, MAX_RESPONSE_BYTES, Method, Transport,
    TransportError, VenueError,
};
use credential::Credential;
use error::{CancelWord, Purpose};
use models::{
    ApiKey, CancelOrder, CreateOrder, Envelope, Execution, InstrumentInfo, List, Listed, OrderAck,
    OrderInfo, PositionInfo, ServerTime, SetLeverage, TickerInfo, Wallet,
};
use urls::Query;

/// Most pages of one list that are read; more is an error, never a list cut off.
const MAX_PAGES: usize = 10;
/// Longest cursor that is sent back.
const MAX_CURSOR: usize = 1024;
/// What linear perpetuals are settled in.
const SETTLE_COINS: [&str; 2] = ["USDT", "USDC"];

/// One account at Bybit.
pub struct Bybit<T, C> {
    base_url: String,
    credential: Credential,
    transport: T,
    clock: C,
    clock_offset_ms: Cell<i64>,
}

impl<T, C> fmt::Debug for Bybit<T, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bybit")
            .field("base_url", &self.base_url)
            .field("clock_offset_ms", &self.clock_offset_ms)
            .finish_non_exhaustive()
    }
}

impl<T, C> Bybit<T, C> {
    /// An account behind `base_url` ([`urls::LIVE`], [`urls::TESTNET`], a simulator).
    pub fn new(
        base_url: &str,
        api_key: Secret,
        api_secret: Secret,
        transport: T,
        clock: C,
    ) -> Self {
        Self {
            base_url: base_url.trim_end_matches('/').to_owned(),
            credential: Credential::new(api_key, api_secret),
            transport,
            clock,
            clock_offset_ms: Cell::new(0),
        }
    }

    /// What is added to our clock when requests are signed, in milliseconds.
    pub fn clock_offset_ms(&self) -> i64 {
        self.clock_offset_ms.get()
    }

    /// Sets what is added to our clock, for instance the offset found last time.
    pub fn set_clock_offset_ms(&self, millis: i64) {
        self.clock_offset_ms.set(millis);
    }
}

/// An answer's result, or the `retCode` and the error it stands for.
enum Outcome<R> {
    Done(R),
    Refused(Option<i64>, VenueError),
}

impl<R> Outcome<R> {
    fn into_result(self) -> Result<R, VenueError> {
        match self {
            Self::Done(result) => Ok(result),
            Self::Refused(_, error) => Err(error),
        }
    }
}

impl<T: Transport, C: Clock> Bybit<T, C> {
    fn venue_now(&self) -> Timestamp {
        self.clock.now().plus_millis(self.clock_offset_ms.get())
    }

    fn url(&self, path: &str, query: &Query) -> String {
        if query.as_str().is_empty() {
            format!("{}{path}", self.base_url)
        } else {
            format!("{}{path}?{}", self.base_url, query.as_str())
        }
    }

    /// A request without a signature, for public data.
    fn public(&self, path: &str, query: &Query) -> HttpRequest {
        HttpRequest {
            method: Method::Get,
            url: self.url(path, query),
            headers: Vec::new(),
            body: None,
        }
    }

    fn signed_get(&self, path: &str, query: &Query) -> HttpRequest {
        HttpRequest {
            headers: self.credential.headers(self.venue_now(), query.as_str()),
            ..self.public(path, query)
        }
    }

    fn signed_post<B: Serialize>(&self, path: &str, body: &B) -> Result<HttpRequest, VenueError> {
        let body = serde_json::to_string(body).map_err(|error| {
            VenueError::new(
                ErrorClass::Rejected,
                VenueError::UNSUPPORTED,
                &format!("the request cannot be written: {error}"),
            )
        })?;
        let mut headers = self.credential.headers(self.venue_now(), &body);
        headers.push(("Content-Type", "application/json".to_owned()));
        Ok(HttpRequest {
            method: Method::Post,
            url: self.url(path, &Query::default()),
            headers,
            body: Some(body),
        })
    }

    /// Sends and reads one answer. The request reaches the transport on the first poll.
    async fn call<R: DeserializeOwned>(&self, request: HttpRequest) -> Outcome<R> {
        match self.answer(request).await {
            Outcome::Done(result) => match serde_json::from_str(&result) {
                Ok(result) => Outcome::Done(result),
                Err(error) => Outcome::Refused(None, self.unreadable(&error)),
            },
            Outcome::Refused(code, error) => Outcome::Refused(code, error),
        }
    }

    /// The result of one answer as JSON: what is the same for every call.
    async fn answer(&self, request: HttpRequest) -> Outcome<String> {
        let purpose = match request.method {
            Method::Get => Purpose::Reads,
            Method::Post | Method::Delete => Purpose::Changes,
        };
        let outcome = match self.transport.send(request).await {
            Ok(response) => self.read(&response, purpose),
            Err(error) => Outcome::Refused(None, error.into()),
        };
        match outcome {
            Outcome::Refused(code, mut error) => {
                error.message = self.credential.redact(&error.message);
                Outcome::Refused(code, error)
            }
            done @ Outcome::Done(_) => done,
        }
    }

    /// A result that is not in the documented form.
    fn unreadable(&self, error: &serde_json::Error) -> VenueError {
        let text = format!("Bybit's result cannot be read: {error}");
        VenueError::unreadable(&self.credential.redact(&text))
    }

    /// Success is a 2xx status with `retCode` 0; a refusal is an envelope with another code;
    /// everything else goes by the status, which proves little.
    fn read(&self, response: &HttpResponse, purpose: Purpose) -> Outcome<String> {
        if response.body.len() > MAX_RESPONSE_BYTES {
            return Outcome::Refused(None, TransportError::TooLarge.into());
        }
        let envelope = core::str::from_utf8(&response.body)
            .ok()
            .and_then(|text| serde_json::from_str::<Envelope<'_>>(text).ok());
        let Some(envelope) = envelope else {
            return Outcome::Refused(
                None,
                error::from_status(response, purpose, self.venue_now()),
            );
        };
        let code = envelope.ret_code;
        if code != 0 {
            let message = self
                .credential
                .redact(envelope.ret_msg.as_deref().unwrap_or_default());
            let error = error::from_code(response, purpose, code, &message, self.venue_now());
            return Outcome::Refused(Some(code), error);
        }
        if !(200..300).contains(&response.status) {
            return Outcome::Refused(
                None,
                VenueError::unreadable(&format!(
                    "Bybit answered HTTP {} with retCode 0",
                    response.status
                )),
            );
        }
        Outcome::Done(envelope.result.map_or("null", |raw| raw.get()).to_owned())
    }

    /// Reads every page of a signed list, unless what was read is `enough`, or fails. Whether a page is the last one its
    /// length does not tell, and a cursor mostly comes with that one as well.
    async fn pages<R>(
        &self,
        path: &str,
        query: &Query,
        enough: impl Fn(&[R]) -> bool,
    ) -> Result<Vec<R>, VenueError>
    where
        R: for<'de> Deserialize<'de>,
    {
        let mut all = Vec::new();
        let mut page_query = query.clone();
        for _ in 0..MAX_PAGES {
            let request = self.signed_get(path, &page_query);
            let page: List<R> = self.call(request).await.into_result()?;
            let ended = page.list.is_empty();
            all.extend(page.list);
            let ended = ended || enough(&all);
            match page.next_page_cursor {
                Some(cursor) if !cursor.is_empty() && !ended => {
                    if cursor.len() > MAX_CURSOR {
                        return Err(VenueError::unreadable("Bybit's page cursor is too long"));
                    }
                    page_query = query.clone().with_cursor(&cursor);
                }
                _ => return Ok(all),
            }
        }
        Err(VenueError::unreadable(&format!(
            "Bybit's list is longer than {MAX_PAGES} pages"
        )))
    }

    /// Public lists of one symbol. Bybit answers an unknown symbol with an empty list or with a
    /// parameter error that names the symbol.
    async fn public_entry<R: DeserializeOwned>(
        &self,
        path: &str,
        product: Product,
        symbol: &Symbol,
        is_it: impl Fn(&R) -> bool,
    ) -> Result<R, VenueError> {
        let query = Query::default()
            .with("category", product.as_str())
            .with("symbol", symbol.as_str());
        let unknown = |message: &str| {
            VenueError::new(
                ErrorClass::UnknownSymbol,
                VenueError::UNKNOWN_SYMBOL,
                message,
            )
        };
        match self.call::<List<R>>(self.public(path, &query)).await {
            Outcome::Done(page) => page
                .list
                .into_iter()
                .find(is_it)
                .ok_or_else(|| unknown(&format!("Bybit has no {product} symbol {symbol}"))),
            Outcome::Refused(Some(error::PARAMETER_ERROR), error)
                if error.message.to_ascii_lowercase().contains("symbol") =>
            {
                Err(unknown(&error.message))
            }
            Outcome::Refused(_, error) => Err(error),
        }
    }

    /// Looks for the order in one of the two lists.
    async fn find_order(
        &self,
        path: &str,
        category: &str,
        symbol: &Symbol,
        id: &ClientOrderId,
    ) -> Result<Option<OrderInfo>, VenueError> {
        let query = Query::default()
            .with("category", category)
            .with("symbol", symbol.as_str())
            .with("orderLinkId", id.as_str());
        let request = self.signed_get(path, &query);
        let page: List<OrderInfo> = self.call(request).await.into_result()?;
        Ok(page
            .list
            .into_iter()
            .find(|order| order.order_link_id == id.as_str()))
    }
}

/// The category of calls that need an account.
fn category(product: Product) -> Result<&'static str, VenueError> {
    match product {
        Product::Linear => Ok("linear"),
        Product::Spot => Err(VenueError::unsupported(
            "Hoox does not trade Bybit's spot market yet: use a linear perpetual",
        )),
    }
}

/// Refuses an order whose parts contradict each other, before anything is sent.
fn check(spec: &OrderSpec) -> Result<(), VenueError> {
    if spec.close_all {
        if !spec.effect.closes() || spec.kind != OrderKind::Market {
            return Err(VenueError::unsupported(
                "only a market order that closes can close all that is held",
            ));
        }
    } else if spec.quantity.is_zero() {
        // With reduce-only, Bybit reads a quantity of zero as the whole position.
        return Err(VenueError::unsupported("an order needs a quantity"));
    }
    let fits = spec.leg.is_none_or(|leg| {
        let side = match spec.effect {
            Effect::Open => leg.entry_side(),
            Effect::Close => leg.exit_side(),
        };
        spec.side == side
    });
    if fits {
        Ok(())
    } else {
        Err(VenueError::unsupported(
            "the order's side does not fit the leg that it opens or closes",
        ))
    }
}

impl<T: Transport, C: Clock> Venue for Bybit<T, C> {
    fn traits(&self) -> VenueTraits {
        VenueTraits {
            venue: VenueName::Bybit,
            client_order_ids_unique_for_ever: true,
            max_client_order_id: 36,
            closes_all: true,
        }
    }

    async fn server_time(&self) -> Result<Timestamp, VenueError> {
        let request = self.public(urls::TIME, &Query::default());
        let time: ServerTime = self.call(request).await.into_result()?;
        let nanos = time.time_nano.integer("timeNano")?;
        Ok(Timestamp::from_millis(
            nanos.checked_div(1_000_000).unwrap_or_default(),
        ))
    }

    async fn sync_clock(&self) -> Result<i64, VenueError> {
        let before = self.clock.now();
        let server = self.server_time().await?;
        let took = self.clock.now().since(before);
        let middle = before.plus_millis(took.checked_div(2).unwrap_or_default());
        let offset = server.since(middle);
        self.clock_offset_ms.set(offset);
        Ok(offset)
    }

    async fn key_info(&self) -> Result<KeyInfo, VenueError> {
        let request = self.signed_get(urls::API_KEY, &Query::default());
        let key: ApiKey = self.call(request).await.into_result()?;
        key.into_info()
    }

    async fn instrument(
        &self,
        product: Product,
        symbol: &Symbol,
    ) -> Result<Instrument, VenueError> {
        self.public_entry(
            urls::INSTRUMENTS,
            product,
            symbol,
            |info: &InstrumentInfo| info.symbol == symbol.as_str(),
        )
        .await?
        .into_instrument(product, symbol)
    }

    async fn symbols(&self, product: Product) -> Result<Vec<Symbol>, VenueError> {
        // One answer holds all of them here, where the list of instruments has pages and is as long.
        let query = Query::default().with("category", product.as_str());
        let request = self.public(urls::TICKERS, &query);
        let listed: List<Listed> = self.call(request).await.into_result()?;
        let names = listed.list.into_iter();
        Ok(names
            .filter_map(|listed| listed.symbol.parse().ok())
            .collect())
    }

    async fn position(&self, product: Product, symbol: &Symbol) -> Result<Position, VenueError> {
        let query = Query::default()
            .with("category", category(product)?)
            .with("symbol", symbol.as_str());
        let request = self.signed_get(urls::POSITIONS, &query);
        let page: List<PositionInfo> = self.call(request).await.into_result()?;
        // Bybit lists a symbol whether or not something is held, so that nothing is not flat.
        page.list
            .into_iter()
            .find(|entry| entry.symbol == symbol.as_str())
            .ok_or_else(|| VenueError::unreadable("Bybit's answer does not hold the position"))?
            .into_one_way(symbol.clone())
    }

    async fn positions(&self, product: Product) -> Result<Vec<Position>, VenueError> {
        let category = category(product)?;
        let mut held = Vec::new();
        for coin in SETTLE_COINS {
            let query = Query::default()
                .with("category", category)
                .with("settleCoin", coin)
                .with("limit", "200");
            for entry in self
                .pages::<PositionInfo>(urls::POSITIONS, &query, |_| false)
                .await?
            {
                // Dated futures, which have a dash in their names, are no perpetuals.
                if let Ok(symbol) = entry.symbol.parse() {
                    let position = entry.into_position(symbol)?;
                    if position.side.is_some() {
                        held.push(position);
                    }
                }
            }
        }
        Ok(held)
    }

    async fn balances(&self) -> Result<Vec<Balance>, VenueError> {
        let query = Query::default().with("accountType", "UNIFIED");
        let request = self.signed_get(urls::WALLET_BALANCE, &query);
        let page: List<Wallet> = self.call(request).await.into_result()?;
        page.list
            .into_iter()
            .find(Wallet::is_unified)
            .ok_or_else(|| VenueError::unreadable("Bybit's answer holds no unified account"))?
            .into_balances()
    }

    async fn ticker(&self, product: Product, symbol: &Symbol) -> Result<Ticker, VenueError> {
        self.public_entry(urls::TICKERS, product, symbol, |info: &TickerInfo| {
            info.symbol == symbol.as_str()
        })
        .await?
        .into_ticker()
    }

    async fn set_leverage(
        &self,
        product: Product,
        symbol: &Symbol,
        leverage: Decimal,
    ) -> Result<(), VenueError> {
        let leverage = leverage.normalize().to_string();
        let request = self.signed_post(
            urls::SET_LEVERAGE,
            &SetLeverage {
                category: category(product)?,
                symbol: symbol.as_str(),
                buy_leverage: &leverage,
                sell_leverage: &leverage,
            },
        )?;
        match self.call::<serde::de::IgnoredAny>(request).await {
            Outcome::Done(_) | Outcome::Refused(Some(error::LEVERAGE_NOT_MODIFIED), _) => Ok(()),
            Outcome::Refused(_, error) => Err(error),
        }
    }

    async fn place_order(&self, spec: &OrderSpec) -> Result<Ack, VenueError> {
        check(spec)?;
        let body = CreateOrder::new(category(spec.product)?, spec);
        let request = self.signed_post(urls::CREATE_ORDER, &body)?;
        let ack: OrderAck = self.call(request).await.into_result()?;
        let ours =
            ack.order_link_id.is_empty() || ack.order_link_id == spec.client_order_id.as_str();
        if ack.order_id.is_empty() || !ours {
            return Err(VenueError::unreadable(
                "Bybit acknowledged another order than the one that was sent",
            ));
        }
        Ok(Ack {
            venue_order_id: ack.order_id,
        })
    }

    async fn look_up(
        &self,
        product: Product,
        symbol: &Symbol,
        id: &ClientOrderId,
    ) -> Result<LookUp, VenueError> {
        let category = category(product)?;
        // Recent closed orders leave the first list when Bybit restarts.
        for path in [urls::OPEN_ORDERS, urls::ORDER_HISTORY] {
            if let Some(order) = self.find_order(path, category, symbol, id).await? {
                return Ok(LookUp::Found(Box::new(order.into_snapshot()?)));
            }
        }
        Ok(LookUp::NotFound)
    }

    async fn open_orders(
        &self,
        product: Product,
        wanted: &[ClientOrderId],
    ) -> Result<Vec<OrderSnapshot>, VenueError> {
        let category = category(product)?;
        let wanted: BTreeSet<&str> = wanted.iter().map(ClientOrderId::as_str).collect();
        let ours = |order: &OrderInfo| wanted.contains(order.order_link_id.as_str());
        // By their ids: what ends meanwhile moves the others to pages that were read, or are read again.
        let mut shown: BTreeMap<String, OrderSnapshot> = BTreeMap::new();
        for coin in SETTLE_COINS {
            if shown.len() >= wanted.len() {
                break;
            }
            let query = Query::default()
                .with("category", category)
                .with("settleCoin", coin)
                .with("limit", "50");
            let enough = |page: &[OrderInfo]| {
                let of_page = page.iter().filter(|order| ours(order));
                let ids: BTreeSet<&str> = of_page
                    .map(|order| order.order_link_id.as_str())
                    .chain(shown.keys().map(String::as_str))
                    .collect();
                ids.len() >= wanted.len()
            };
            let orders = self
                .pages::<OrderInfo>(urls::OPEN_ORDERS, &query, enough)
                .await?;
            for order in orders.into_iter().filter(ours) {
                shown.insert(order.order_link_id.clone(), order.into_snapshot()?);
            }
        }
        Ok(shown.into_values().collect())
    }

    async fn cancel(
        &self,
        product: Product,
        symbol: &Symbol,
        id: &ClientOrderId,
    ) -> Result<CancelOutcome, VenueError> {
        let request = self.signed_post(
            urls::CANCEL_ORDER,
            &CancelOrder {
                category: category(product)?,
                symbol: symbol.as_str(),
                order_link_id: id.as_str(),
            },
        )?;
        match self.call::<OrderAck>(request).await {
            Outcome::Done(_) => Ok(CancelOutcome::Cancelled),
            Outcome::Refused(code, error) => match code.and_then(error::cancel_word) {
                Some(CancelWord::AlreadyDone) => Ok(CancelOutcome::AlreadyDone),
                Some(CancelWord::NotFound) => Ok(CancelOutcome::NotFound),
                None => Err(error),
            },
        }
    }

    async fn fills(
        &self,
        product: Product,
        symbol: &Symbol,
        id: &ClientOrderId,
        filled: Quantity,
    ) -> Result<Vec<Fill>, VenueError> {
        let query = Query::default()
            .with("category", category(product)?)
            .with("symbol", symbol.as_str())
            .with("orderLinkId", id.as_str())
            .with("limit", "100");
        let enough = |executions: &[Execution]| {
            let own = executions
                .iter()
                .filter(|execution| execution.order_link_id == id.as_str());
            own.fold(Decimal::ZERO, |sum, execution| {
                sum.saturating_add(execution.quantity())
            }) >= filled.get()
        };
        let executions = self
            .pages::<Execution>(urls::EXECUTIONS, &query, enough)
            .await?;
        let mut fills = executions
            .into_iter()
            .filter(|execution| execution.order_link_id == id.as_str())
            .map(Execution::into_fill)
            .collect::<Result<Vec<_>, _>>()?;
        fills.sort_unstable_by(|a, b| (a.at, &a.venue_fill_id).cmp(&(b.at, &b.venue_fill_id)));
        Ok(fills)
    }
}
