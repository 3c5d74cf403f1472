//! What a signal says, in words, by the names that it has in JSON.

use hoox_model::{OrderKind, PositionSide, Product, TimeInForce};
use hoox_signal::{Action, OnOpposite, Signal, Sizing, Target};
use serde_json::Value;

/// What one part of a signal says. `part` is its name in the signal's JSON.
pub(crate) fn of(part: &str, signal: &Signal) -> String {
    let kept = |text: &Option<String>| match text {
        Some(text) => format!("'{text}' in the records"),
        None => "nothing".to_owned(),
    };
    match part {
        "action" => action(signal),
        "account" => match &signal.account {
            Some(account) => format!("account {account}"),
            None => "the sender's default account".to_owned(),
        },
        "exchange" => match signal.exchange {
            Some(venue) => format!("must be an account on {venue}"),
            None => "any exchange".to_owned(),
        },
        "symbol" => symbol(signal),
        "quantity" => quantity(signal.quantity),
        "onOpposite" => match signal.on_opposite {
            OnOpposite::Reverse => "an opposite position is closed first".to_owned(),
            OnOpposite::Net => "nets with an opposite position".to_owned(),
            OnOpposite::Refuse => "refused while an opposite position is open".to_owned(),
        },
        "reduceOnly" if signal.reduce_only => "opens nothing".to_owned(),
        "previous" => match signal.previous {
            Some(target) => format!("the strategy's position before: {}", position(target)),
            None => "nothing".to_owned(),
        },
        "order" => order(signal.order),
        "referencePrice" => "the strategy's price, for the record; no limit".to_owned(),
        "stopLoss" | "takeProfit" | "trailingStop" => format!("a {part} for the entry"),
        "leverage" => match signal.leverage {
            Some(leverage) => format!("leverage {leverage}, set before an entry"),
            None => "the leverage that is set at the venue".to_owned(),
        },
        "marginMode" => "margin mode, set before an entry".to_owned(),
        "test" => "must not reach a live account".to_owned(),
        "dryRun" if signal.dry_run => "plans and sends nothing".to_owned(),
        "idempotencyKey" => "names the signal, which trades once in 7 days".to_owned(),
        "timestamp" => match signal.timestamp {
            Some(at) => format!("fired at {at}"),
            None => "nothing".to_owned(),
        },
        "maxLagMs" => format!(
            "no order is sent when it is older than {} s",
            seconds(signal.max_lag_ms)
        ),
        "strategy" => kept(&signal.strategy) + ", and alerts of this name are kept in order",
        "orderId" => kept(&signal.order_id) + ", tells two fills of one second apart",
        "comment" => kept(&signal.comment),
        "notify" => "whom to tell".to_owned(),
        other => other.to_owned(),
    }
}

/// The part of a signal that a field of the contract is about, where leaving the field out is refused.
pub(crate) fn part_of(field: &str) -> &str {
    match field {
        "marketPosition" | "marketPositionSize" => "action",
        "price" | "orderType" | "postOnly" => "order",
        other => other,
    }
}

/// The parts in which two signals differ, but for their notes.
pub(crate) fn differences(one: &Signal, other: &Signal) -> Vec<String> {
    let parts = |signal: &Signal| match serde_json::to_value(signal) {
        Ok(Value::Object(parts)) => parts,
        _ => serde_json::Map::new(),
    };
    let (one, other) = (parts(one), parts(other));
    let mut names: Vec<&String> = one.keys().chain(other.keys()).collect();
    names.sort();
    names.dedup();
    names
        .into_iter()
        .filter(|name| *name != "notes" && one.get(*name) != other.get(*name))
        .cloned()
        .collect()
}

fn action(signal: &Signal) -> String {
    let first = match signal.on_opposite {
        OnOpposite::Reverse => ", after closing an opposite position",
        OnOpposite::Net => ", netting with an opposite position",
        OnOpposite::Refuse => ", refused while an opposite position is open",
    };
    let text = match signal.action {
        Action::Long if !signal.reduce_only => return format!("LONG: enters long{first}"),
        Action::Short if !signal.reduce_only => return format!("SHORT: enters short{first}"),
        Action::Long => "LONG that opens nothing: makes a short position smaller",
        Action::Short => "SHORT that opens nothing: makes a long position smaller",
        Action::Buy if signal.reduce_only => {
            "buy that opens nothing: makes a short position smaller"
        }
        Action::Sell if signal.reduce_only => {
            "sell that opens nothing: makes a long position smaller"
        }
        Action::Buy => "buy: a plain order, which nets with the position",
        Action::Sell => "sell: a plain order, which nets with the position",
        Action::CloseLong => "CLOSE_LONG: makes a long position smaller",
        Action::CloseShort => "CLOSE_SHORT: makes a short position smaller",
        Action::Close => "close: makes the position smaller, whichever side it is on",
        Action::Reverse => "reverse: closes the position and opens the other side",
        Action::Cancel => "cancel: takes back Hoox's resting orders on the symbol",
        Action::Target(target) => {
            return format!("target: the position becomes {}", position(target));
        }
    };
    let closes_all = signal.closing().is_some_and(|closing| closing.whole)
        && matches!(
            signal.action,
            Action::Close | Action::CloseLong | Action::CloseShort
        );
    if closes_all {
        format!("{text}; all of it")
    } else {
        text.to_owned()
    }
}

fn position(target: Target) -> String {
    match target.position() {
        Some((PositionSide::Long, size)) => format!("long {size}"),
        Some((PositionSide::Short, size)) => format!("short {size}"),
        None => "flat".to_owned(),
    }
}

fn symbol(signal: &Signal) -> String {
    let symbol = &signal.symbol.symbol;
    match signal.symbol.product {
        Some(Product::Linear) => format!("{symbol}, the perpetual"),
        Some(Product::Spot) => format!("{symbol}, spot"),
        None => format!("{symbol}, as the account's default product"),
    }
}

fn quantity(sizing: Option<Sizing>) -> String {
    match sizing {
        Some(Sizing::Base(quantity)) => format!("{quantity} in base currency"),
        Some(Sizing::Quote(amount)) => format!("worth {amount} in quote currency"),
        Some(other) => format!("{} {}", other.value(), other.type_name()),
        None => "all".to_owned(),
    }
}

fn order(kind: OrderKind) -> String {
    match kind {
        OrderKind::Market => "a market order".to_owned(),
        OrderKind::Limit {
            price,
            time_in_force,
        } => {
            let lives = match time_in_force {
                TimeInForce::PostOnly => "post-only".to_owned(),
                other => other.as_str().to_ascii_uppercase(),
            };
            format!("a limit order at {price}, {lives}")
        }
    }
}

/// Whole seconds of milliseconds.
pub(crate) const fn seconds(millis: i64) -> i64 {
    millis.div_euclid(1_000)
}
