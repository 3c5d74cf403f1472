//! The port that every venue implements.

use core::future::Future;

use hoox_model::{
    Balance, ClientOrderId, Decimal, Fill, Instrument, KeyInfo, OrderSnapshot, OrderSpec, Position,
    Price, Product, Quantity, Symbol, Timestamp, Venue as VenueName,
};

use crate::VenueError;

/// What the ledger must know about a venue's manners.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VenueTraits {
    /// Which venue it is.
    pub venue: VenueName,
    /// Whether a client order id is refused for ever after its first use, filled or not. Only then
    /// may an order whose outcome is unknown be sent again with the same id.
    pub client_order_ids_unique_for_ever: bool,
    /// Longest client order id, in characters.
    pub max_client_order_id: usize,
    /// Whether an order may close all that is held without a quantity
    /// ([`OrderSpec::close_all`]), below the smallest quantity too.
    pub closes_all: bool,
}

/// The venue took the order. It says nothing about a fill: look it up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ack {
    /// The venue's own id.
    pub venue_order_id: String,
}

/// What a look-up by client order id found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LookUp {
    /// The order as the venue reports it; adopt it only if it [`matches`](crate::matches).
    Found(Box<OrderSnapshot>),
    /// The venue shows no such order now. Never proof that there is none: look-ups lag.
    NotFound,
}

/// What became of a cancellation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CancelOutcome {
    /// The venue took the cancellation. Where that is asynchronous (Bybit), a fill may still come
    /// first: look the order up for its final state.
    Cancelled,
    /// The order had ended before.
    AlreadyDone,
    /// The venue shows no such open order: it ended, or it never was. Look it up.
    NotFound,
}

/// A symbol's public prices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticker {
    /// Price of the last trade.
    pub last: Price,
    /// The price margins are reckoned by; `None` where the product has none.
    pub mark: Option<Price>,
}

/// One trading account at one venue.
///
/// Futures need not be `Send`: on Workers they never are. Nothing is repeated inside a call, and
/// each call makes a bounded number of requests.
#[expect(
    async_fn_in_trait,
    reason = "futures of the Workers platform are not Send, and none of these is spawned"
)]
pub trait Venue {
    /// The venue's manners.
    fn traits(&self) -> VenueTraits;

    /// The venue's clock.
    ///
    /// # Errors
    /// [`VenueError`]; see [`ErrorClass`](crate::ErrorClass).
    async fn server_time(&self) -> Result<Timestamp, VenueError>;

    /// Reads the venue's clock and signs with it from now on. Returns the offset in milliseconds:
    /// what must be added to our clock, reckoned from the middle of the call.
    ///
    /// # Errors
    /// [`VenueError`]; the offset then stays as it was.
    async fn sync_clock(&self) -> Result<i64, VenueError>;

    /// What the account's API key may do.
    ///
    /// # Errors
    /// [`VenueError`]; `Credentials` where the venue refuses the key.
    async fn key_info(&self) -> Result<KeyInfo, VenueError>;

    /// The rules for one symbol.
    ///
    /// # Errors
    /// [`VenueError`]; `UnknownSymbol` where the venue does not know the symbol.
    async fn instrument(&self, product: Product, symbol: &Symbol)
    -> Result<Instrument, VenueError>;

    /// The names of all symbols of a product that the venue lists, in no order: what a symbol that it does not list may
    /// have meant. One request, whose answer is long; what is no [`Symbol`] (dated futures) is left out.
    ///
    /// # Errors
    /// [`VenueError`].
    async fn symbols(&self, product: Product) -> Result<Vec<Symbol>, VenueError>;

    /// What the account holds of one symbol; flat is a position too.
    ///
    /// # Errors
    /// [`VenueError`]; `Rejected` with [`VenueError::HEDGE_MODE`] where the symbol is in hedge mode.
    async fn position(&self, product: Product, symbol: &Symbol) -> Result<Position, VenueError>;

    /// Everything the account holds, flat symbols left out; of a symbol in hedge mode each leg that is
    /// not flat, with [`Position::hedged`]. All or nothing: an answer that would have to be cut off is an
    /// error.
    ///
    /// # Errors
    /// [`VenueError`].
    async fn positions(&self, product: Product) -> Result<Vec<Position>, VenueError>;

    /// What the account owns, by currency. A currency that is missing is zero.
    ///
    /// # Errors
    /// [`VenueError`].
    async fn balances(&self) -> Result<Vec<Balance>, VenueError>;

    /// A symbol's public prices.
    ///
    /// # Errors
    /// [`VenueError`]; `UnknownSymbol` where the venue does not know the symbol.
    async fn ticker(&self, product: Product, symbol: &Symbol) -> Result<Ticker, VenueError>;

    /// Sets the leverage of a symbol. Having it already is a success.
    ///
    /// # Errors
    /// [`VenueError`].
    async fn set_leverage(
        &self,
        product: Product,
        symbol: &Symbol,
        leverage: Decimal,
    ) -> Result<(), VenueError>;

    /// Sends one order, once. Signs and calls [`Transport::send`](crate::Transport::send) on the
    /// first poll, before any await.
    ///
    /// # Errors
    /// [`VenueError`] whose class says what is proved: only a definite class means that there is
    /// no order.
    fn place_order(&self, spec: &OrderSpec) -> impl Future<Output = Result<Ack, VenueError>>;

    /// Looks an order up by its client order id.
    ///
    /// # Errors
    /// [`VenueError`]: nothing was learnt.
    async fn look_up(
        &self,
        product: Product,
        symbol: &Symbol,
        id: &ClientOrderId,
    ) -> Result<LookUp, VenueError>;

    /// The account's open orders of a product that have one of the `wanted` ids, in no order. Once all of them are shown
    /// no further page is asked for. All or nothing, as with positions: an id that is missing the venue does not list as
    /// open now, which proves nothing, because lists lag: look the order up.
    ///
    /// # Errors
    /// [`VenueError`]: nothing was learnt.
    async fn open_orders(
        &self,
        product: Product,
        wanted: &[ClientOrderId],
    ) -> Result<Vec<OrderSnapshot>, VenueError>;

    /// Cancels an order by its client order id. Sent on the first poll, as an order is.
    ///
    /// # Errors
    /// [`VenueError`]; `Unknown` where the cancellation may have been taken.
    async fn cancel(
        &self,
        product: Product,
        symbol: &Symbol,
        id: &ClientOrderId,
    ) -> Result<CancelOutcome, VenueError>;

    /// The fills of an order, oldest first. All or nothing, as with positions. They may lag behind
    /// the order's own filled quantity, as far as it is known: `filled`. Where they make up that much, no further page
    /// is asked for.
    ///
    /// # Errors
    /// [`VenueError`].
    async fn fills(
        &self,
        product: Product,
        symbol: &Symbol,
        id: &ClientOrderId,
        filled: Quantity,
    ) -> Result<Vec<Fill>, VenueError>;
}
