//! Bybit's wire types and what they mean in Hoox's words. Fields that are not used are not read.

use std::collections::BTreeMap;

use hoox_model::{
    Amount, Balance, Decimal, Fill, Instrument, KeyInfo, KeyRights, OrderKind, OrderSnapshot,
    OrderSpec, OrderStatus, Position, PositionSide, Price, Product, Quantity, Side, Step, Symbol,
    TimeInForce, Timestamp, TradeRights,
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::wire::Number;
use crate::{Ticker, VenueError};

/// The envelope of every answer.
/// Source: <https://bybit-exchange.github.io/docs/v5/guide#common-response-parameters>.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Envelope<'a> {
    pub(crate) ret_code: i64,
    #[serde(default)]
    pub(crate) ret_msg: Option<String>,
    #[serde(borrow, default)]
    pub(crate) result: Option<&'a RawValue>,
}

/// A list, perhaps one page of it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct List<T> {
    pub(crate) list: Vec<T>,
    #[serde(default)]
    pub(crate) next_page_cursor: Option<String>,
}

/// Source: <https://bybit-exchange.github.io/docs/v5/market/time>.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ServerTime {
    pub(crate) time_nano: Number,
}

/// The key that signs the request.
/// Source: <https://bybit-exchange.github.io/docs/v5/user/apikey-info>.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ApiKey {
    read_only: i64,
    permissions: Permissions,
    ips: Vec<String>,
    #[serde(default)]
    created_at: String,
    #[serde(default)]
    expired_at: String,
}

/// A kind that is missing proves nothing, so all of these are needed.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Permissions {
    contract_trade: Vec<String>,
    spot: Vec<String>,
    wallet: Vec<String>,
}

impl ApiKey {
    /// A key that only reads lists its permissions all the same: what of them it may read. A key that
    /// works from everywhere is bound to `*`, one that does not end by itself ends in 1970.
    pub(crate) fn into_info(self) -> Result<KeyInfo, VenueError> {
        let has = |words: &[String], wanted| words.iter().any(|word| word == wanted);
        let Permissions {
            contract_trade,
            spot,
            wallet,
        } = &self.permissions;
        let linear = has(contract_trade, "Order") && has(contract_trade, "Position");
        let spot = has(spot, "SpotTrade");
        let writes = self.read_only == 0;
        Ok(KeyInfo {
            rights: KeyRights {
                read: linear || spot,
                trade: TradeRights {
                    linear: writes && linear,
                    spot: writes && spot,
                },
                withdraw: writes && has(wallet, "Withdraw"),
                transfer: writes && wallet.iter().any(|word| word.contains("Transfer")),
            },
            read_only: !writes,
            created_at: moment(&self.created_at, "createdAt")?,
            expires_at: moment(&self.expired_at, "expiredAt")?,
            ips: self.ips.into_iter().filter(|ip| ip != "*").collect(),
        })
    }
}

/// A time in words; `None` where nothing or 1970 was given.
fn moment(text: &str, field: &str) -> Result<Option<Timestamp>, VenueError> {
    if text.is_empty() {
        return Ok(None);
    }
    let moment = Timestamp::parse(text)
        .map_err(|_| VenueError::unreadable(&format!("Bybit's '{field}' is no time")))?;
    Ok(Some(moment).filter(|moment| moment.as_millis() > 0))
}

/// Source: <https://bybit-exchange.github.io/docs/v5/market/instrument>.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct InstrumentInfo {
    pub(crate) symbol: String,
    status: String,
    base_coin: String,
    quote_coin: String,
    #[serde(default)]
    contract_type: String,
    #[serde(default)]
    leverage_filter: Option<LeverageFilter>,
    price_filter: PriceFilter,
    lot_size_filter: LotSizeFilter,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LeverageFilter {
    #[serde(default)]
    max_leverage: Number,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PriceFilter {
    tick_size: Number,
}

/// Linear and spot name these fields differently.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LotSizeFilter {
    min_order_qty: Number,
    max_order_qty: Number,
    #[serde(default)]
    qty_step: Number,
    #[serde(default)]
    max_mkt_order_qty: Number,
    #[serde(default)]
    min_notional_value: Number,
    #[serde(default)]
    base_precision: Number,
    #[serde(default)]
    max_limit_order_qty: Number,
    #[serde(default)]
    max_market_order_qty: Number,
    #[serde(default)]
    min_order_amt: Number,
}

impl InstrumentInfo {
    pub(crate) fn into_instrument(
        self,
        product: Product,
        symbol: &Symbol,
    ) -> Result<Instrument, VenueError> {
        let lots = &self.lot_size_filter;
        let largest: Quantity = lots.max_order_qty.get("maxOrderQty")?;
        let or_largest = |number: &Number, field| {
            if number.is_blank() {
                Ok(largest)
            } else {
                number.get(field)
            }
        };
        let (step, max_limit, max_market, min_notional, max_leverage) = match product {
            Product::Linear => {
                if self.contract_type != "LinearPerpetual" {
                    return Err(VenueError::unsupported(&format!(
                        "{symbol} is a '{}' on Bybit, not a linear perpetual",
                        self.contract_type
                    )));
                }
                let leverage = match &self.leverage_filter {
                    Some(filter) => filter.max_leverage.decimal("maxLeverage")?,
                    None => None,
                };
                (
                    lots.qty_step.get("qtyStep")?,
                    largest,
                    or_largest(&lots.max_mkt_order_qty, "maxMktOrderQty")?,
                    lots.min_notional_value.amount_or_zero("minNotionalValue")?,
                    leverage,
                )
            }
            Product::Spot => (
                lots.base_precision.get("basePrecision")?,
                or_largest(&lots.max_limit_order_qty, "maxLimitOrderQty")?,
                or_largest(&lots.max_market_order_qty, "maxMarketOrderQty")?,
                lots.min_order_amt.amount_or_zero("minOrderAmt")?,
                None,
            ),
        };
        let quantity_step: Step = step;
        Ok(Instrument {
            symbol: symbol.clone(),
            product,
            base: self.base_coin,
            quote: self.quote_coin,
            tick_size: self.price_filter.tick_size.get("tickSize")?,
            quantity_step,
            min_quantity: lots.min_order_qty.get("minOrderQty")?,
            max_limit_quantity: max_limit,
            max_market_quantity: max_market,
            min_notional,
            max_leverage,
            trading: self.status == "Trading",
        })
    }
}

/// Of a ticker, what it is called. Without a symbol the answer holds those of all symbols.
/// Source: <https://bybit-exchange.github.io/docs/v5/market/tickers>.
#[derive(Deserialize)]
pub(crate) struct Listed {
    pub(crate) symbol: String,
}

/// Source: <https://bybit-exchange.github.io/docs/v5/market/tickers>.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TickerInfo {
    pub(crate) symbol: String,
    last_price: Number,
    #[serde(default)]
    mark_price: Number,
}

impl TickerInfo {
    pub(crate) fn into_ticker(self) -> Result<Ticker, VenueError> {
        Ok(Ticker {
            last: self.last_price.get("lastPrice")?,
            mark: if self.mark_price.is_blank() {
                None
            } else {
                Some(self.mark_price.get("markPrice")?)
            },
        })
    }
}

/// Source: <https://bybit-exchange.github.io/docs/v5/position>.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PositionInfo {
    position_idx: i64,
    pub(crate) symbol: String,
    side: String,
    size: Number,
    #[serde(default)]
    avg_price: Number,
    #[serde(default)]
    leverage: Number,
    #[serde(default)]
    unrealised_pnl: Number,
}

impl PositionInfo {
    /// The leg of a symbol in hedge mode; `None` in one-way mode.
    /// Source: <https://bybit-exchange.github.io/docs/v5/enum#positionidx>.
    fn leg(&self) -> Result<Option<PositionSide>, VenueError> {
        match self.position_idx {
            0 => Ok(None),
            1 => Ok(Some(PositionSide::Long)),
            2 => Ok(Some(PositionSide::Short)),
            other => Err(VenueError::unreadable(&format!(
                "Bybit's positionIdx {other} is not documented"
            ))),
        }
    }

    /// The position of a symbol in one-way mode.
    pub(crate) fn into_one_way(self, symbol: Symbol) -> Result<Position, VenueError> {
        if self.leg()?.is_some() {
            return Err(VenueError::new(
                crate::ErrorClass::Rejected,
                VenueError::HEDGE_MODE,
                &format!(
                    "{symbol} is in hedge mode on Bybit: switch it to one-way mode, which Hoox needs"
                ),
            ));
        }
        self.into_position(symbol)
    }

    /// The position, or one leg of it: then its side is the leg's.
    pub(crate) fn into_position(self, symbol: Symbol) -> Result<Position, VenueError> {
        let leg = self.leg()?;
        let quantity: Quantity = self.size.get("size")?;
        let leverage = self
            .leverage
            .decimal("leverage")?
            .map(|value| value.normalize());
        if quantity.is_zero() {
            return Ok(Position {
                leverage,
                hedged: leg.is_some(),
                ..Position::flat(symbol)
            });
        }
        let side = match leg {
            Some(leg) => leg,
            None => match side(&self.side)? {
                Side::Buy => PositionSide::Long,
                Side::Sell => PositionSide::Short,
            },
        };
        Ok(Position {
            symbol,
            side: Some(side),
            quantity,
            entry_price: self.avg_price.informative(),
            leverage,
            unrealised_pnl: self.unrealised_pnl.informative(),
            hedged: leg.is_some(),
        })
    }
}

/// Source: <https://bybit-exchange.github.io/docs/v5/account/wallet-balance>.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Wallet {
    account_type: String,
    coin: Vec<CoinInfo>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CoinInfo {
    coin: String,
    wallet_balance: Number,
    equity: Number,
    #[serde(default, rename = "totalPositionIM")]
    total_position_im: Number,
    #[serde(default, rename = "totalOrderIM")]
    total_order_im: Number,
    #[serde(default)]
    locked: Number,
    #[serde(default)]
    bonus: Number,
    #[serde(default)]
    cum_realised_pnl: Number,
}

impl Wallet {
    pub(crate) fn is_unified(&self) -> bool {
        self.account_type == "UNIFIED"
    }

    pub(crate) fn into_balances(self) -> Result<Vec<Balance>, VenueError> {
        self.coin.into_iter().map(CoinInfo::into_balance).collect()
    }
}

impl CoinInfo {
    fn into_balance(self) -> Result<Balance, VenueError> {
        let wallet: Amount = self.wallet_balance.get("walletBalance")?;
        Ok(Balance {
            available: self.available(wallet.get()),
            equity: self.equity.get("equity")?,
            realised_pnl: self.realised()?,
            wallet,
            currency: self.coin,
        })
    }

    fn realised(&self) -> Result<Option<Amount>, VenueError> {
        if self.cum_realised_pnl.is_blank() {
            return Ok(None);
        }
        self.cum_realised_pnl.get("cumRealisedPnl").map(Some)
    }

    /// The documented sum for isolated margin, which is the lower bound for cross margin: what the
    /// coin itself backs. `None` in portfolio margin, which has no such number.
    fn available(&self, wallet: Decimal) -> Option<Amount> {
        if self.total_position_im.is_blank() || self.total_order_im.is_blank() {
            return None;
        }
        [
            &self.total_position_im,
            &self.total_order_im,
            &self.locked,
            &self.bonus,
        ]
        .into_iter()
        .try_fold(wallet, |rest, number| {
            let used = if number.is_blank() {
                Decimal::ZERO
            } else {
                number.decimal("margin").ok()??
            };
            rest.checked_sub(used)
        })
        .and_then(|rest| Amount::try_from(rest).ok())
    }
}

/// Body of an order.
/// Source: <https://bybit-exchange.github.io/docs/v5/order/create-order>.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CreateOrder<'a> {
    category: &'static str,
    symbol: &'a str,
    side: &'static str,
    order_type: &'static str,
    qty: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    price: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time_in_force: Option<&'static str>,
    position_idx: u8,
    order_link_id: &'a str,
    reduce_only: bool,
    #[serde(skip_serializing_if = "core::ops::Not::not")]
    close_on_trigger: bool,
}

impl<'a> CreateOrder<'a> {
    pub(crate) fn new(category: &'static str, spec: &'a OrderSpec) -> Self {
        let (order_type, price, time_in_force) = match spec.kind {
            // Bybit always treats a market order as IOC.
            OrderKind::Market => ("Market", None, None),
            OrderKind::Limit {
                price,
                time_in_force,
            } => {
                let word = match time_in_force {
                    TimeInForce::Gtc => "GTC",
                    TimeInForce::Ioc => "IOC",
                    TimeInForce::Fok => "FOK",
                    TimeInForce::PostOnly => "PostOnly",
                };
                ("Limit", Some(price.to_string()), Some(word))
            }
        };
        Self {
            category,
            symbol: spec.symbol.as_str(),
            side: match spec.side {
                Side::Buy => "Buy",
                Side::Sell => "Sell",
            },
            order_type,
            // Zero with both flags is the whole position, or as much of it as one order may close.
            qty: if spec.close_all {
                "0".to_owned()
            } else {
                spec.quantity.to_string()
            },
            price,
            time_in_force,
            position_idx: match spec.leg {
                None => 0,
                Some(PositionSide::Long) => 1,
                Some(PositionSide::Short) => 2,
            },
            order_link_id: spec.client_order_id.as_str(),
            reduce_only: spec.effect.closes(),
            close_on_trigger: spec.close_all,
        }
    }
}

/// Body of a cancellation.
/// Source: <https://bybit-exchange.github.io/docs/v5/order/cancel-order>.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CancelOrder<'a> {
    pub(crate) category: &'static str,
    pub(crate) symbol: &'a str,
    pub(crate) order_link_id: &'a str,
}

/// Body of a change of leverage.
/// Source: <https://bybit-exchange.github.io/docs/v5/position/leverage>.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SetLeverage<'a> {
    pub(crate) category: &'static str,
    pub(crate) symbol: &'a str,
    pub(crate) buy_leverage: &'a str,
    pub(crate) sell_leverage: &'a str,
}

/// Answer to an order or a cancellation.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OrderAck {
    pub(crate) order_id: String,
    #[serde(default)]
    pub(crate) order_link_id: String,
}

/// An order, open or closed.
/// Source: <https://bybit-exchange.github.io/docs/v5/order/open-order>.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OrderInfo {
    order_id: String,
    pub(crate) order_link_id: String,
    symbol: String,
    side: String,
    qty: Number,
    cum_exec_qty: Number,
    #[serde(default)]
    avg_price: Number,
    #[serde(default)]
    cum_exec_fee: Number,
    #[serde(default)]
    cum_fee_detail: Option<BTreeMap<String, Number>>,
    order_status: String,
    reduce_only: bool,
    #[serde(default)]
    reject_reason: String,
    #[serde(default)]
    cancel_type: String,
    created_time: Number,
    updated_time: Number,
}

impl OrderInfo {
    pub(crate) fn into_snapshot(self) -> Result<OrderSnapshot, VenueError> {
        let filled: Quantity = self.cum_exec_qty.get("cumExecQty")?;
        let status = order_status(&self.order_status, filled)?;
        Ok(OrderSnapshot {
            client_order_id: self.order_link_id.parse().ok(),
            symbol: symbol(&self.symbol)?,
            side: side(&self.side)?,
            quantity: self.qty.get("qty")?,
            filled,
            average_price: self.avg_price.informative::<Price>(),
            fee: self.fee(),
            status,
            reduce_only: self.reduce_only,
            reason: self.reason(status),
            created_at: self.created_time.millis("createdTime")?,
            updated_at: self.updated_time.millis("updatedTime")?,
            venue_order_id: self.order_id,
        })
    }

    /// The fee, where it was paid in the settlement currency alone. Fees in another currency (MNT)
    /// are known from the fills.
    fn fee(&self) -> Option<Amount> {
        match &self.cum_fee_detail {
            Some(detail) if !detail.is_empty() => {
                let mut fees = detail.iter();
                let (currency, fee) = fees.next()?;
                let settles = self.symbol.ends_with(currency.as_str())
                    || (currency == "USDC" && self.symbol.ends_with("PERP"));
                if settles && fees.next().is_none() {
                    fee.informative()
                } else {
                    None
                }
            }
            // The field that the detail has replaced for linear and spot.
            _ => self.cum_exec_fee.informative(),
        }
    }

    fn reason(&self, status: OrderStatus) -> Option<String> {
        if !matches!(status, OrderStatus::Cancelled | OrderStatus::Rejected) {
            return None;
        }
        let silent = ["", "EC_NoError", "UNKNOWN"];
        [&self.reject_reason, &self.cancel_type]
            .into_iter()
            .find(|word| !silent.contains(&word.as_str()))
            .map(|word| word.chars().take(80).collect())
    }
}

/// Source: <https://bybit-exchange.github.io/docs/v5/order/execution>.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Execution {
    exec_id: String,
    order_id: String,
    pub(crate) order_link_id: String,
    symbol: String,
    side: String,
    exec_qty: Number,
    exec_price: Number,
    exec_fee: Number,
    #[serde(default)]
    fee_currency: String,
    #[serde(default)]
    is_maker: Option<bool>,
    exec_time: Number,
}

impl Execution {
    /// Its size; zero where that cannot be read.
    pub(crate) fn quantity(&self) -> Decimal {
        let read: Result<Quantity, VenueError> = self.exec_qty.get("execQty");
        read.map_or(Decimal::ZERO, Quantity::get)
    }

    pub(crate) fn into_fill(self) -> Result<Fill, VenueError> {
        Ok(Fill {
            symbol: symbol(&self.symbol)?,
            side: side(&self.side)?,
            quantity: self.exec_qty.get("execQty")?,
            price: self.exec_price.get("execPrice")?,
            fee: self.exec_fee.amount_or_zero("execFee")?,
            fee_currency: Some(self.fee_currency).filter(|currency| !currency.is_empty()),
            maker: self.is_maker,
            at: self.exec_time.millis("execTime")?,
            venue_fill_id: self.exec_id,
            venue_order_id: self.order_id,
        })
    }
}

/// Source: <https://bybit-exchange.github.io/docs/v5/enum#orderstatus>.
fn order_status(word: &str, filled: Quantity) -> Result<OrderStatus, VenueError> {
    Ok(match word {
        "New" | "Untriggered" | "Triggered" => OrderStatus::New,
        "PartiallyFilled" => OrderStatus::PartiallyFilled,
        "Filled" => OrderStatus::Filled,
        "Rejected" if filled.is_zero() => OrderStatus::Rejected,
        "Cancelled" | "PartiallyFilledCanceled" | "Deactivated" | "Rejected" => {
            OrderStatus::Cancelled
        }
        _ => {
            return Err(VenueError::unreadable(&format!(
                "Bybit's order status '{word}' is not documented"
            )));
        }
    })
}

fn side(word: &str) -> Result<Side, VenueError> {
    match word {
        "Buy" => Ok(Side::Buy),
        "Sell" => Ok(Side::Sell),
        _ => Err(VenueError::unreadable(&format!(
            "Bybit's side '{word}' is not documented"
        ))),
    }
}

fn symbol(text: &str) -> Result<Symbol, VenueError> {
    text.parse()
        .map_err(|_| VenueError::unreadable(&format!("Bybit's symbol '{text}' cannot be read")))
}
