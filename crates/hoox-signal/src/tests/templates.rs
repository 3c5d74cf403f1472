//! Messages in the manner of other services and of Pine tutorials, in our own words: what becomes of each.

use core::fmt::Write as _;

use hoox_model::OrderKind;

use super::{NOW, alert};
use crate::{Signal, Target};

/// What a message does, in one line: action, size, order and what else counts; or the code and the field of its refusal.
fn outcome(body: &str) -> String {
    let signal = match Signal::from_alert(&alert(body), None, NOW) {
        Ok(signal) => signal,
        Err(error) => return format!("{} {}", error.code, error.field.unwrap_or_default()),
    };
    let mut text = signal.action.to_string();
    if let crate::Action::Target(target) = signal.action {
        match target {
            Target::Flat => text.push_str(" flat"),
            Target::Long(size) => write!(text, " long {size}").unwrap(),
            Target::Short(size) => write!(text, " short {size}").unwrap(),
        }
    }
    if let Some(size) = signal.quantity {
        write!(text, " {} {}", size.value(), size.type_name()).unwrap();
    }
    if let OrderKind::Limit { price, .. } = signal.order {
        write!(text, " limit {price}").unwrap();
    }
    for (given, word) in [
        (signal.reduce_only, " reduceOnly"),
        (signal.test, " test"),
        (signal.dry_run, " dryRun"),
        (signal.stop_loss.is_some(), " stopLoss"),
        (signal.take_profit.is_some(), " takeProfit"),
        (signal.trailing_stop.is_some(), " trailingStop"),
        (signal.idempotency_key.is_some(), " key"),
        (signal.timestamp.is_some(), " timed"),
    ] {
        if given {
            text.push_str(word);
        }
    }
    if let Some(leverage) = signal.leverage {
        write!(text, " x{leverage}").unwrap();
    }
    text
}

/// Name, fields besides `apiKey`, outcome.
const MESSAGES: &[(&str, &str, &str)] = &[
    // Signal bots
    (
        "bot: plain market entry",
        r#""symbol":"BTCUSDT.P","action":"buy","type":"market","qty":"0.01""#,
        "buy 0.01 base",
    ),
    (
        "bot: ticker and side",
        r#""ticker":"BTCUSDT.P","side":"buy","qty":0.01"#,
        "buy 0.01 base",
    ),
    (
        "bot: pair and direction",
        r#""pair":"BTC/USDT","direction":"long","quantity":1"#,
        "LONG 1 base",
    ),
    (
        "bot: limit under its short name",
        r#""symbol":"ETHUSDT.P","action":"buy","type":"limit","price":3000,"quantity":"0.1""#,
        "buy 0.1 base limit 3000",
    ),
    (
        "bot: limit price of its own",
        r#""symbol":"ETHUSDT.P","action":"buy","limit_price":3000,"quantity":"0.1""#,
        "BAD_FIELD limit_price",
    ),
    (
        "bot: limit price said twice",
        r#""symbol":"ETHUSDT.P","action":"buy","orderType":"limit","price":3000,"limitPrice":"3000.0","quantity":"0.1""#,
        "buy 0.1 base limit 3000",
    ),
    (
        "bot: stop order",
        r#""symbol":"ETHUSDT.P","action":"buy","orderType":"stop","stopPrice":3100,"quantity":"0.1""#,
        "BAD_FIELD orderType",
    ),
    (
        "bot: stop market by its trigger",
        r#""symbol":"ETHUSDT.P","action":"buy","trigger_price":3100,"quantity":"0.1""#,
        "BAD_FIELD trigger_price",
    ),
    (
        "bot: stop and target in short",
        r#""symbol":"SOLUSDT.P","action":"LONG","quantity":"0.1","sl":140,"tp":160"#,
        "BAD_FIELD sl",
    ),
    (
        "bot: stop by its unit",
        r#""symbol":"SOLUSDT.P","action":"LONG","quantity":"0.1","sl_percent":2,"tp_price":160"#,
        "LONG 0.1 base stopLoss takeProfit",
    ),
    (
        "bot: stop in another spelling",
        r#""symbol":"SOLUSDT.P","action":"LONG","quantity":"0.1","stop_loss_price":140"#,
        "LONG 0.1 base stopLoss",
    ),
    (
        "bot: stop as a bare number",
        r#""symbol":"SOLUSDT.P","action":"LONG","quantity":"0.1","StopLoss":140"#,
        "BAD_FIELD StopLoss",
    ),
    (
        "bot: stop that is none",
        r#""symbol":"SOLUSDT.P","action":"LONG","quantity":"0.1","sl":"","tp":null"#,
        "LONG 0.1 base",
    ),
    (
        "bot: several targets",
        r#""symbol":"SOLUSDT.P","action":"LONG","quantity":"0.1","tp1":150,"tp2":160"#,
        "BAD_FIELD tp1",
    ),
    (
        "bot: list of targets",
        r#""symbol":"SOLUSDT.P","action":"LONG","quantity":"0.1","take_profits":[{"price":150}]"#,
        "BAD_FIELD take_profits",
    ),
    (
        "bot: trailing by its callback",
        r#""symbol":"SOLUSDT.P","action":"LONG","quantity":"0.1","callbackRate":1"#,
        "BAD_FIELD callbackRate",
    ),
    (
        "bot: stop with a typing mistake",
        r#""symbol":"SOLUSDT.P","action":"LONG","quantity":"0.1","stopLos":{"price":140}"#,
        "BAD_FIELD stopLos",
    ),
    // Modes
    (
        "mode: paper",
        r#""symbol":"SOLUSDT.P","action":"LONG","quantity":"0.1","mode":"paper""#,
        "BAD_FIELD mode",
    ),
    (
        "mode: live",
        r#""symbol":"SOLUSDT.P","action":"LONG","quantity":"0.1","mode":"live""#,
        "LONG 0.1 base",
    ),
    (
        "mode: testnet as yes",
        r#""symbol":"SOLUSDT.P","action":"LONG","quantity":"0.1","testnet":true"#,
        "BAD_FIELD testnet",
    ),
    (
        "mode: testnet as no",
        r#""symbol":"SOLUSDT.P","action":"LONG","quantity":"0.1","testnet":false"#,
        "LONG 0.1 base",
    ),
    (
        "mode: not live",
        r#""symbol":"SOLUSDT.P","action":"LONG","quantity":"0.1","isLive":false"#,
        "BAD_FIELD isLive",
    ),
    (
        "mode: test in capitals",
        r#""symbol":"SOLUSDT.P","action":"LONG","quantity":"0.1","TEST":true"#,
        "LONG 0.1 base test",
    ),
    (
        "mode: dry run in another spelling",
        r#""symbol":"SOLUSDT.P","action":"LONG","quantity":"0.1","dry_run":"true""#,
        "LONG 0.1 base dryRun",
    ),
    (
        "mode: paper exit",
        r#""symbol":"SOLUSDT.P","action":"close","environment":"demo""#,
        "BAD_FIELD environment",
    ),
    (
        "mode: inside of options",
        r#""symbol":"SOLUSDT.P","action":"LONG","quantity":"0.1","options":{"paper":true}"#,
        "BAD_FIELD options",
    ),
    // Reduce-only and close-position forms
    (
        "exit: reduce only",
        r#""symbol":"SOLUSDT.P","action":"sell","quantity":0.1,"reduceOnly":true"#,
        "sell 0.1 base reduceOnly",
    ),
    (
        "exit: reduce_only as a text",
        r#""symbol":"SOLUSDT.P","action":"sell","quantity":0.1,"reduce_only":"True""#,
        "sell 0.1 base reduceOnly",
    ),
    (
        "exit: close only",
        r#""symbol":"SOLUSDT.P","action":"sell","quantity":0.1,"closeOnly":true"#,
        "sell 0.1 base reduceOnly",
    ),
    (
        "exit: close position with a sell",
        r#""symbol":"SOLUSDT.P","action":"sell","quantity":0.1,"closePosition":true"#,
        "BAD_FIELD closePosition",
    ),
    (
        "exit: close position with a close",
        r#""symbol":"SOLUSDT.P","action":"close","close_position":"true""#,
        "close",
    ),
    (
        "exit: nested in parameters",
        r#""symbol":"SOLUSDT.P","action":"sell","quantity":0.1,"params":{"reduceOnly":true}"#,
        "BAD_FIELD params",
    ),
    (
        "exit: position side of hedge mode",
        r#""symbol":"SOLUSDT.P","action":"sell","quantity":0.1,"positionSide":"LONG""#,
        "BAD_FIELD positionSide",
    ),
    (
        "exit: position side that agrees",
        r#""symbol":"SOLUSDT.P","action":"buy","quantity":0.1,"positionSide":"LONG","positionIdx":0"#,
        "buy 0.1 base",
    ),
    (
        "exit: close of a position side",
        r#""symbol":"SOLUSDT.P","action":"close","positionSide":"LONG""#,
        "CLOSE_LONG",
    ),
    (
        "exit: close of an order side",
        r#""symbol":"SOLUSDT.P","action":"close","side":"sell""#,
        "BAD_FIELD side",
    ),
    (
        "exit: action of its own words",
        r#""symbol":"SOLUSDT.P","action":"exit_long""#,
        "CLOSE_LONG",
    ),
    (
        "exit: percent of the position",
        r#""symbol":"SOLUSDT.P","action":"close","close_percent":50"#,
        "BAD_FIELD close_percent",
    ),
    (
        "exit: half by its size",
        r#""symbol":"SOLUSDT.P","action":"close","size":0.5"#,
        "BAD_FIELD size",
    ),
    (
        "exit: half by its quantity",
        r#""symbol":"SOLUSDT.P","action":"close","Qty":0.5"#,
        "close 0.5 base",
    ),
    (
        "exit: size with a typing mistake",
        r#""symbol":"SOLUSDT.P","action":"close","quantiy":0.5"#,
        "BAD_FIELD quantiy",
    ),
    (
        "exit: flat of nothing",
        r#""symbol":"SOLUSDT.P","action":"flat","quantity":"0""#,
        "close",
    ),
    (
        "exit: flat of something",
        r#""symbol":"SOLUSDT.P","action":"flat","quantity":"0.2""#,
        "close 0.2 base",
    ),
    (
        "exit: everything else is nonsense",
        r#""symbol":"SOLUSDT.P","action":"close","leverage":"ten","orderType":"stop","sl":5,"timestamp":"yesterday","strategy":"{{strategy.order.id}}","idempotencyKey":7"#,
        "close",
    ),
    (
        "exit: labels said twice",
        r#""symbol":"SOLUSDT.P","action":"close","orderId":"1","order_id":"2","stopLos":5"#,
        "close",
    ),
    // Size forms
    (
        "size: amount",
        r#""symbol":"SOLUSDT.P","action":"buy","amount":100"#,
        "BAD_FIELD amount",
    ),
    (
        "size: quote quantity",
        r#""symbol":"SOLUSDT.P","action":"buy","quoteOrderQty":100"#,
        "BAD_FIELD quoteOrderQty",
    ),
    (
        "size: quote by its type",
        r#""symbol":"SOLUSDT.P","action":"buy","qty":100,"qty_type":"quote""#,
        "buy 100 quote",
    ),
    (
        "size: said twice alike",
        r#""symbol":"SOLUSDT.P","action":"buy","quantity":"1.50","contracts":1.5"#,
        "buy 1.5 base",
    ),
    (
        "size: said twice and different",
        r#""symbol":"SOLUSDT.P","action":"buy","quantity":1,"qty":2"#,
        "BAD_FIELD qty",
    ),
    (
        "size: one name in two cases",
        r#""symbol":"SOLUSDT.P","action":"close","Quantity":5,"QUANTITY":6"#,
        "BAD_FIELD QUANTITY",
    ),
    (
        "size: risk",
        r#""symbol":"SOLUSDT.P","action":"buy","quantity":1,"risk":2"#,
        "BAD_FIELD risk",
    ),
    (
        "size: percent of the balance",
        r#""symbol":"SOLUSDT.P","action":"buy","balancePercent":5"#,
        "BAD_FIELD balancePercent",
    ),
    (
        "size: a bar's volume",
        r#""symbol":"SOLUSDT.P","action":"buy","quantity":1,"open":1,"high":2,"low":1,"close":2,"volume":77"#,
        "buy 1 base",
    ),
    (
        "size: volume instead of a quantity",
        r#""symbol":"SOLUSDT.P","action":"close","volume":77"#,
        "BAD_FIELD volume",
    ),
    (
        "size: a bar beside a close",
        r#""symbol":"SOLUSDT.P","action":"close","open":1,"high":2,"low":1,"close":2,"volume":77"#,
        "close",
    ),
    // Leverage, margin, product, ids
    (
        "leverage: in short",
        r#""symbol":"SOLUSDT.P","action":"buy","quantity":1,"lev":5"#,
        "buy 1 base x5",
    ),
    (
        "leverage: with its letter",
        r#""symbol":"SOLUSDT.P","action":"buy","quantity":1,"leverage":"5x""#,
        "BAD_FIELD leverage",
    ),
    (
        "margin: by its type",
        r#""symbol":"SOLUSDT.P","action":"buy","quantity":1,"marginType":"CROSSED""#,
        "buy 1 base",
    ),
    (
        "product: category",
        r#""symbol":"SOLUSDT","category":"linear","action":"buy","quantity":1"#,
        "buy 1 base",
    ),
    (
        "product: category that is none",
        r#""symbol":"SOLUSDT","category":"inverse","action":"buy","quantity":1"#,
        "BAD_FIELD category",
    ),
    (
        "id: idempotency in another spelling",
        r#""symbol":"SOLUSDT.P","action":"buy","quantity":1,"idempotency_key":"order-77""#,
        "buy 1 base key",
    ),
    (
        "id: of the order at the venue",
        r#""symbol":"SOLUSDT.P","action":"buy","quantity":1,"clientOrderId":"order-77""#,
        "BAD_FIELD clientOrderId",
    ),
    (
        "id: of the strategy's order",
        r#""symbol":"SOLUSDT.P","action":"buy","quantity":1,"order_id":"TP 1""#,
        "buy 1 base",
    ),
    // Pine tutorials: the strategy's state
    (
        "pine: fill of an entry",
        r#""symbol":"SOLUSDT.P","action":"buy","quantity":"0.5","marketPosition":"long","marketPositionSize":"0.5","prevMarketPosition":"flat","prevMarketPositionSize":"0","timestamp":"2026-05-28T20:26:44Z""#,
        "buy 0.5 base timed",
    ),
    (
        "pine: fill of an exit",
        r#""symbol":"SOLUSDT.P","action":"sell","quantity":"0.5","marketPosition":"flat","marketPositionSize":"0""#,
        "sell 0.5 base reduceOnly",
    ),
    (
        "pine: fill of a partial exit",
        r#""symbol":"SOLUSDT.P","action":"sell","quantity":"0.2","marketPosition":"long","marketPositionSize":"0.3""#,
        "sell 0.2 base reduceOnly",
    ),
    (
        "pine: cover of a short",
        r#""symbol":"SOLUSDT.P","action":"buy","quantity":"0.2","market_position":"short""#,
        "buy 0.2 base reduceOnly",
    ),
    (
        "pine: reversal by a fill",
        r#""symbol":"SOLUSDT.P","action":"sell","quantity":"1","marketPosition":"short","prevMarketPosition":"long""#,
        "sell 1 base",
    ),
    (
        "pine: position that is none",
        r#""symbol":"SOLUSDT.P","action":"sell","quantity":"1","marketPosition":"up""#,
        "BAD_FIELD marketPosition",
    ),
    (
        "pine: entry of a strategy that has left",
        r#""symbol":"SOLUSDT.P","action":"LONG","quantity":"1","marketPosition":"flat""#,
        "BAD_FIELD marketPosition",
    ),
    (
        "pine: entry on the other side",
        r#""symbol":"SOLUSDT.P","action":"SHORT","quantity":"1","marketPosition":"long""#,
        "BAD_FIELD marketPosition",
    ),
    (
        "pine: reverse to nothing",
        r#""symbol":"SOLUSDT.P","action":"reverse","marketPosition":"flat""#,
        "BAD_FIELD marketPosition",
    ),
    (
        "pine: close of what it was",
        r#""symbol":"SOLUSDT.P","action":"close","prevMarketPosition":"short","marketPosition":"flat""#,
        "CLOSE_SHORT",
    ),
    (
        "pine: state",
        r#""symbol":"SOLUSDT.P","action":"target","marketPosition":"short","marketPositionSize":"0.3","timestamp":"2026-05-28T20:26:44Z""#,
        "target short 0.3 timed",
    ),
    (
        "pine: state in other spellings",
        r#""symbol":"SOLUSDT.P","action":"target","market_position":"long","market_position_size":0.3"#,
        "target long 0.3",
    ),
    (
        "pine: flat state with what nobody filled in",
        r#""symbol":"SOLUSDT.P","action":"target","marketPosition":"flat","marketPositionSize":"0","comment":"{{strategy.order.comment}}","timestamp":"{{timenow}}""#,
        "target flat",
    ),
    (
        "pine: label that nobody filled in",
        r#""symbol":"SOLUSDT.P","action":"buy","quantity":1,"orderId":"{{strategy.order.id}}""#,
        "PLACEHOLDER orderId",
    ),
    (
        "pine: state of a fill beside its position",
        r#""symbol":"SOLUSDT.P","action":"buy","quantity":"0.5","position_size":"1.5""#,
        "BAD_FIELD position_size",
    ),
    (
        "pine: bar and strategy as objects",
        r#""symbol":"SOLUSDT.P","action":"buy","quantity":"0.5","bar":{"open":1,"close":2,"volume":7},"source":"supertrend""#,
        "buy 0.5 base",
    ),
    (
        "pine: sentiment of another service",
        r#""symbol":"SOLUSDT.P","action":"buy","quantity":"0.5","sentiment":"flat""#,
        "BAD_FIELD sentiment",
    ),
    // Other things bots do
    (
        "other: cancel before an entry",
        r#""symbol":"SOLUSDT.P","action":"buy","quantity":"0.5","cancel":true"#,
        "BAD_FIELD cancel",
    ),
    (
        "other: cancel beside a close",
        r#""symbol":"SOLUSDT.P","action":"close","cancel":true"#,
        "close",
    ),
    (
        "other: opposite closed anyway",
        r#""symbol":"SOLUSDT.P","action":"LONG","quantity":"0.5","closeOpposite":true"#,
        "LONG 0.5 base",
    ),
    (
        "other: opposite left",
        r#""symbol":"SOLUSDT.P","action":"LONG","quantity":"0.5","flip":false"#,
        "BAD_FIELD flip",
    ),
    (
        "other: no delay",
        r#""symbol":"SOLUSDT.P","action":"buy","quantity":"0.5","delay_seconds":0,"bot_id":7"#,
        "buy 0.5 base",
    ),
    (
        "other: a delay",
        r#""symbol":"SOLUSDT.P","action":"buy","quantity":"0.5","delay_seconds":5"#,
        "BAD_FIELD delay_seconds",
    ),
    (
        "other: account by another name",
        r#""symbol":"SOLUSDT.P","action":"buy","quantity":"0.5","account_name":"main""#,
        "buy 0.5 base",
    ),
    (
        "other: chart's ticker beside the symbol",
        r#""symbol":"SOLUSDT.P","ticker":"SOLUSD","action":"buy","quantity":"0.5""#,
        "buy 0.5 base",
    ),
    // Found by reading the tables like somebody who wants to get past them
    (
        "nested: half of a position",
        r#""symbol":"SOLUSDT.P","action":"exit_long","order":{"amount":"50","currency_type":"position_percent"}"#,
        "BAD_FIELD order",
    ),
    (
        "nested: quantity of a close",
        r#""symbol":"SOLUSDT.P","action":"close","params":{"quantity":0.1}"#,
        "BAD_FIELD params",
    ),
    (
        "nested: contracts of a close in a label",
        r#""symbol":"SOLUSDT.P","action":"close","strategy":{"order_contracts":0.2}"#,
        "BAD_FIELD strategy",
    ),
    (
        "nested: paper exit",
        r#""symbol":"SOLUSDT.P","action":"close","options":{"paper":true}"#,
        "BAD_FIELD options",
    ),
    (
        "nested: test exit",
        r#""symbol":"SOLUSDT.P","action":"close","options":{"test":true}"#,
        "BAD_FIELD options",
    ),
    (
        "nested: close position with a sell",
        r#""symbol":"SOLUSDT.P","action":"sell","quantity":0.5,"params":{"closePosition":true}"#,
        "BAD_FIELD params",
    ),
    (
        "nested: id of the order at the venue",
        r#""symbol":"SOLUSDT.P","action":"buy","quantity":1,"params":{"clientOrderId":"order-77"}"#,
        "BAD_FIELD params",
    ),
    (
        "nested: another quantity",
        r#""symbol":"SOLUSDT.P","action":"buy","quantity":1,"order":{"quantity":0.1}"#,
        "BAD_FIELD order",
    ),
    (
        "nested: the same quantity",
        r#""symbol":"SOLUSDT.P","action":"buy","quantity":1,"order":{"quantity":"1.0","side":"buy"}"#,
        "buy 1 base",
    ),
    (
        "nested: another side",
        r#""symbol":"SOLUSDT.P","action":"buy","quantity":1,"order":{"side":"sell"}"#,
        "BAD_FIELD order",
    ),
    (
        "nested: several entries",
        r#""symbol":"SOLUSDT.P","action":"LONG","quantity":1,"entries":[{"price":100,"amount":0.5},{"price":95,"amount":0.5}]"#,
        "BAD_FIELD entries",
    ),
    (
        "nested: the strategy's position",
        r#""symbol":"SOLUSDT.P","action":"sell","quantity":0.5,"position":{"market_position":"flat"}"#,
        "BAD_FIELD position",
    ),
    (
        "state: by another name",
        r#""symbol":"SOLUSDT.P","action":"sell","quantity":"0.5","strategy.market_position":"flat""#,
        "sell 0.5 base reduceOnly",
    ),
    (
        "state: as a position",
        r#""symbol":"SOLUSDT.P","action":"sell","quantity":"0.5","position":"flat""#,
        "BAD_FIELD position",
    ),
    (
        "state: a number of another meaning",
        r#""symbol":"SOLUSDT.P","action":"sell","quantity":"0.5","position":3"#,
        "sell 0.5 base",
    ),
    (
        "exchange: a trade side that closes",
        r#""symbol":"SOLUSDT.P","side":"sell","tradeSide":"close","quantity":"0.1""#,
        "BAD_FIELD tradeSide",
    ),
    (
        "exchange: a trade side that opens",
        r#""symbol":"SOLUSDT.P","side":"sell","tradeSide":"open","quantity":"0.1""#,
        "sell 0.1 base",
    ),
    (
        "pine: the source of an indicator",
        r#""symbol":"SOLUSDT.P","action":"buy","quantity":"0.1","source":"close","barstate":"close""#,
        "buy 0.1 base",
    ),
    (
        "exchange: an event that closes",
        r#""symbol":"SOLUSDT.P","action":"sell","quantity":"0.1","event":"close_long""#,
        "BAD_FIELD event",
    ),
    (
        "exchange: an algo order with its stop",
        r#""symbol":"SOLUSDT.P","action":"buy","quantity":"0.1","slTriggerPx":"140""#,
        "BAD_FIELD slTriggerPx",
    ),
    (
        "exchange: a preset stop",
        r#""symbol":"SOLUSDT.P","action":"buy","quantity":"0.1","presetStopLossPrice":"140""#,
        "BAD_FIELD presetStopLossPrice",
    ),
    (
        "exchange: the unit of its quantity",
        r#""symbol":"SOLUSDT.P","action":"buy","quantity":100,"marketUnit":"quoteCoin""#,
        "BAD_FIELD marketUnit",
    ),
    (
        "close: percentage by a longer name",
        r#""symbol":"SOLUSDT.P","action":"close","close_percentage":50"#,
        "BAD_FIELD close_percentage",
    ),
    (
        "close: percent by its sign",
        r#""symbol":"SOLUSDT.P","action":"close","qty%":50"#,
        "BAD_FIELD qty%",
    ),
    (
        "close: a fraction",
        r#""symbol":"SOLUSDT.P","action":"close","closeFraction":"0.5""#,
        "BAD_FIELD closeFraction",
    ),
    (
        "close: what an indicator measured",
        r#""symbol":"SOLUSDT.P","action":"close","atr_percent":1.2,"percent_change":3,"tick_size":"0.1""#,
        "close",
    ),
    (
        "close: reduce by a number",
        r#""symbol":"SOLUSDT.P","action":"close","reduce":50"#,
        "BAD_FIELD reduce",
    ),
    (
        "close: half by a word that says yes",
        r#""symbol":"SOLUSDT.P","action":"close","closePosition":"50%""#,
        "BAD_FIELD closePosition",
    ),
    (
        "close: not all",
        r#""symbol":"SOLUSDT.P","action":"close","closeAll":false"#,
        "BAD_FIELD closeAll",
    ),
    (
        "close: the strategy's size is nothing",
        r#""symbol":"SOLUSDT.P","action":"close","position_size":"0""#,
        "close",
    ),
    (
        "close: flat and the strategy's size is nothing",
        r#""symbol":"SOLUSDT.P","action":"flat","quantity":"0","position_size":0"#,
        "close",
    ),
    (
        "close: an indicator with a strategy's position",
        r#""symbol":"SOLUSDT.P","action":"close","marketPosition":"{{strategy.market_position}}""#,
        "close",
    ),
    (
        "close: side of its order",
        r#""symbol":"SOLUSDT.P","action":"close","order_action":"sell""#,
        "CLOSE_LONG",
    ),
    (
        "close: both sides",
        r#""symbol":"SOLUSDT.P","action":"close","positionSide":"long","prevMarketPosition":"short""#,
        "BAD_FIELD action",
    ),
    (
        "close: of no position",
        r#""symbol":"SOLUSDT.P","action":"close","prevMarketPosition":"up""#,
        "BAD_FIELD prevMarketPosition",
    ),
    (
        "close: a chart of another exchange",
        r#""symbol":"SOLUSDT.P","action":"close","account":"main","exchange":"COINBASE""#,
        "close",
    ),
    (
        "close: no test",
        r#""symbol":"SOLUSDT.P","action":"close","testnet":0"#,
        "close",
    ),
    (
        "target: flat with the order that made it so",
        r#""symbol":"SOLUSDT.P","action":"target","marketPosition":"flat","contracts":"0.5","order_action":"sell","marketPositionSize":"NaN""#,
        "target flat",
    ),
    (
        "target: long with the order that made it so",
        r#""symbol":"SOLUSDT.P","action":"target","marketPosition":"long","marketPositionSize":"2""#,
        "target long 2",
    ),
    (
        "name: with a space nobody sees",
        r#""symbol":"SOLUSDT.P","action":"sell","quantity":0.1,"reduce\u00a0Only\u200b":true"#,
        "sell 0.1 base reduceOnly",
    ),
    (
        "name: idempotency by another name",
        r#""symbol":"SOLUSDT.P","action":"buy","quantity":0.1,"X-Idempotency":"7""#,
        "BAD_FIELD X-Idempotency",
    ),
    (
        "mode: by a value",
        r#""symbol":"SOLUSDT.P","action":"buy","quantity":0.1,"realm":"testnet""#,
        "BAD_FIELD realm",
    ),
    (
        "mode: dry run with a letter more",
        r#""symbol":"SOLUSDT.P","action":"buy","quantity":0.1,"dry_runs":true"#,
        "BAD_FIELD dry_runs",
    ),
    (
        "account: with a typing mistake",
        r#""symbol":"SOLUSDT.P","action":"buy","quantity":0.1,"acount":"sub2""#,
        "BAD_FIELD acount",
    ),
    (
        "symbol: two of them",
        r#""ticker":"BTCUSDT.P","pair":"ETHUSDT","action":"buy","quantity":1"#,
        "BAD_FIELD pair",
    ),
    (
        "order: type by a longer name",
        r#""symbol":"SOLUSDT.P","action":"buy","quantity":1,"entry_order_type":"limit","price":90"#,
        "BAD_FIELD entry_order_type",
    ),
    (
        "order: reverse to where it was",
        r#""symbol":"SOLUSDT.P","action":"reverse","prevMarketPosition":"long","marketPosition":"long""#,
        "BAD_FIELD marketPosition",
    ),
    (
        "order: reduces on the side that it says",
        r#""symbol":"SOLUSDT.P","action":"sell","quantity":1,"reduceOnly":true,"positionSide":"LONG""#,
        "sell 1 base reduceOnly",
    ),
];

#[test]
fn every_template_has_its_outcome() {
    let wrong: Vec<String> = MESSAGES
        .iter()
        .filter_map(|(name, fields, wanted)| {
            let got = outcome(&format!(r#"{{"apiKey":"a-demo-key",{fields}}}"#));
            (got != *wanted).then(|| format!("{name}: {got}, not {wanted}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The tables of words in the documentation are those of the code. `HOOX_BLESS=1` writes them anew.
#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "whoever runs the test says whether it writes"
)]
fn the_documentation_holds_the_tables_of_words() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/API.md");
    let text = std::fs::read_to_string(file).unwrap();
    let (before, rest) = text
        .split_once("<!-- words: made by hoox_signal::word_tables -->\n")
        .unwrap();
    let (held, after) = rest.split_once("<!-- /words -->").unwrap();
    let tables = format!("\n{}\n", crate::word_tables());
    if std::env::var_os("HOOX_BLESS").is_some() {
        let text = format!(
            "{before}<!-- words: made by hoox_signal::word_tables -->\n{tables}<!-- /words -->{after}"
        );
        std::fs::write(file, text).unwrap();
    } else {
        assert!(
            held == tables,
            "write docs/API.md anew: HOOX_BLESS=1 cargo test -p hoox-signal"
        );
    }
}
