//! The contract, field by field.

use core::fmt;

use hoox_model::{
    Amount, Code, Decimal, Destination, MarginMode, Name, OrderKind, PositionSide, Price, Product,
    Quantity, TimeInForce, Timestamp, Venue, parse_decimal,
};
use serde_json::value::RawValue;

use crate::alert::{Fields, string};
use crate::hint::{self, shorten};
use crate::signal::{DEFAULT_ENTRY_LAG_MS, DEFAULT_EXIT_LAG_MS, MAX_FUTURE_MS, MAX_LAG_MS};
use crate::symbol::{self, venue_of};
use crate::words::{Named, pass};
use crate::{Action, Notify, OnOpposite, Percent, Signal, SignalError, Sizing, Target, Trigger};

/// Longest name of a strategy or order, in characters.
pub(crate) const MAX_NAME_CHARS: usize = 255;
/// Longest comment or message, in characters: what a Telegram message holds.
pub(crate) const MAX_TEXT_CHARS: usize = 4096;
/// Longest chat id, in characters.
pub(crate) const MAX_CHAT_CHARS: usize = 64;
/// A timestamp older than this, and exactly on a minute, looks like a bar's and not like `{{timenow}}`.
const BAR_AGE_MS: i64 = 60_000;

/// Fields without which nobody knows where an exit goes, how much of it, or whether it is for real: a full exit is refused
/// for them as well.
const DECIDES: [&str; 8] = [
    "account", "exchange", "symbol", "market", "action", "quantity", "test", "dryRun",
];

/// As [`DECIDES`], of `target`: the position alone says what it does.
const DECIDES_TARGET: [&str; 8] = [
    "account",
    "exchange",
    "symbol",
    "market",
    "action",
    "marketPosition",
    "test",
    "dryRun",
];

type Result<T> = core::result::Result<T, SignalError>;

/// Reads the signal of an alert.
pub(crate) fn signal(alert: &Fields, header: Option<&str>, now: Timestamp) -> Result<Signal> {
    let mut named = Named::of(alert);
    read(&mut named, header, now).map_err(|error| named.in_its_words(error))
}

fn read(named: &mut Named<'_>, header: Option<&str>, now: Timestamp) -> Result<Signal> {
    let mut notes = Vec::new();
    named.notes(&mut notes);
    let full_exit = is_full_exit(named);
    let deciding = match action(&named.fields) {
        Ok(Verb::Target) => DECIDES_TARGET,
        _ => DECIDES,
    };
    let passes = |field: &str| full_exit && !deciding.contains(&field);
    named.agree(passes, &mut notes)?;
    refuse_placeholders(&mut named.fields, passes, &mut notes)?;
    let fields = &named.fields;
    let verb = action(fields)?;
    let symbol = symbol::read(
        &required_text(fields, "symbol")?,
        market(fields)?,
        &mut notes,
    )?;
    let account = account(fields)?;
    // An account is on one exchange, whatever the alert's chart is of.
    let exchange = pass(exchange(fields), full_exit && account.is_some(), &mut notes)?;
    let quantity = match verb {
        // What `{{strategy.market_position}}` and its size are filled with at the end of a strategy's trade.
        Verb::Plain(Action::Close) if is_flat(fields) => None,
        _ => pass(quantity(fields), full_exit, &mut notes)?,
    };
    let (action, quantity) = match verb {
        Verb::Target => {
            let target = target(fields, quantity, full_exit, &mut notes)?;
            (Action::Target(target), None)
        }
        Verb::Plain(Action::Cancel) => (Action::Cancel, None),
        Verb::Plain(Action::Close) => (close_of_side(named, fields, &mut notes)?, quantity),
        Verb::Plain(action) => (action, quantity),
    };
    let limited =
        matches!(verb, Verb::Plain(Action::Close)) && fields.get("prevMarketPosition").is_some();
    let on_opposite = pass(on_opposite(fields), full_exit, &mut notes)?.unwrap_or_default();
    let reduces = pass(boolean(fields, "reduceOnly"), full_exit, &mut notes)?;
    let exits = guard(fields, action, &mut notes)?;
    let reduce_only = reduces || exits;
    let enters = action.is_entry() && !reduce_only;
    let (order, reference_price) = match order(fields, &mut notes) {
        Err(error) => {
            pass(Err(error), full_exit, &mut notes).map(|()| (OrderKind::Market, None))?
        }
        Ok(order) => order,
    };
    let [stop_loss, take_profit, trailing_stop] = stops(fields, enters, full_exit, &mut notes)?;
    let leverage = pass(leverage(fields), full_exit, &mut notes)?;
    let margin_mode = pass(margin_mode(fields), full_exit, &mut notes)?;
    let test = boolean(fields, "test")?;
    let dry_run = boolean(fields, "dryRun")?;
    let idempotency_key = pass(idempotency_key(fields, header), full_exit, &mut notes)?;
    let timestamp = pass(timestamp(fields, now), full_exit, &mut notes)?;
    let max_lag_ms = pass(max_lag(fields), full_exit, &mut notes)?.unwrap_or(if enters {
        DEFAULT_ENTRY_LAG_MS
    } else {
        DEFAULT_EXIT_LAG_MS
    });
    let signal = Signal {
        action,
        account,
        exchange,
        symbol,
        quantity,
        on_opposite,
        reduce_only,
        guarded: exits || limited,
        previous: previous(fields),
        order,
        reference_price,
        stop_loss,
        take_profit,
        trailing_stop,
        leverage,
        margin_mode,
        test,
        dry_run,
        idempotency_key,
        timestamp,
        max_lag_ms,
        strategy: pass(
            label(fields, "strategy", MAX_NAME_CHARS),
            full_exit,
            &mut notes,
        )?,
        order_id: pass(
            label(fields, "orderId", MAX_NAME_CHARS),
            full_exit,
            &mut notes,
        )?,
        comment: pass(
            label(fields, "comment", MAX_TEXT_CHARS),
            full_exit,
            &mut notes,
        )?,
        notify: pass(notify(fields, &mut notes), full_exit, &mut notes)?,
        notes: Vec::new(),
    };
    named.judge(&signal, full_exit, &mut notes)?;
    fresh(Signal { notes, ..signal }, now)
}

/// Whether an alert closes everything: a close without a size, or `target` flat. Such a one is refused only where nobody
/// knows what it is about.
fn is_full_exit(named: &Named<'_>) -> bool {
    let fields = &named.fields;
    match action(fields) {
        Ok(Verb::Plain(Action::Close)) if is_flat(fields) => !named.is_sized(),
        Ok(Verb::Plain(Action::Close | Action::CloseLong | Action::CloseShort)) => {
            fields.get("quantity").is_none() && !named.is_sized()
        }
        Ok(Verb::Target) => text(fields, "marketPosition")
            .ok()
            .flatten()
            .is_some_and(|position| position.eq_ignore_ascii_case("flat")),
        Ok(Verb::Plain(_)) | Err(_) => false,
    }
}

/// Whether the action is `flat` with a quantity of nothing.
fn is_flat(fields: &Fields) -> bool {
    let word = text(fields, "action").ok().flatten().unwrap_or_default();
    let none = number(fields, "quantity").is_ok_and(|size| size.is_none_or(|size| size.is_zero()));
    word.eq_ignore_ascii_case("flat") && none
}

/// A close of one side, where the alert says which position the strategy had, or which one is meant.
fn close_of_side(named: &Named<'_>, fields: &Fields, notes: &mut Vec<String>) -> Result<Action> {
    const PREVIOUS: &str = "prevMarketPosition";
    let previous = match text(fields, PREVIOUS)? {
        Some(side) if side.eq_ignore_ascii_case("flat") => {
            notes.push("prevMarketPosition flat says that the strategy held nothing".to_owned());
            None
        }
        Some(side) => {
            let read = choice(&side, &SIDES);
            read.ok_or_else(|| no_position(PREVIOUS, &side)).map(Some)?
        }
        None => None,
    };
    let mut sides = named.close_sides().chain(previous);
    let first = sides.next();
    if sides.any(|side| Some(side) != first) {
        let text = "the alert names both sides to close: write CLOSE_LONG or CLOSE_SHORT";
        return Err(SignalError::bad("action", text));
    }
    Ok(match first {
        Some(PositionSide::Long) => {
            notes.push("only a long position is closed".to_owned());
            Action::CloseLong
        }
        Some(PositionSide::Short) => {
            notes.push("only a short position is closed".to_owned());
            Action::CloseShort
        }
        None => Action::Close,
    })
}

const SIDES: [(&str, PositionSide); 2] =
    [("long", PositionSide::Long), ("short", PositionSide::Short)];

/// Whether `marketPosition` makes an exit of a `buy` or `sell`: one after which the strategy holds nothing, or the other
/// side.
fn guard(fields: &Fields, action: Action, notes: &mut Vec<String>) -> Result<bool> {
    const POSITION: &str = "marketPosition";
    let side = match action {
        Action::Long | Action::Buy => PositionSide::Long,
        Action::Short | Action::Sell => PositionSide::Short,
        Action::Reverse => return not_flat(fields),
        Action::Close | Action::CloseLong | Action::CloseShort => {
            let holds = text(fields, POSITION).ok().flatten();
            if let Some(holds) = holds.filter(|_| fields.get("quantity").is_none())
                && choice(&holds, &SIDES).is_some()
            {
                notes.push(format!(
                    "marketPosition {} says that the strategy still holds something; a close without quantity closes everything",
                    shorten(&holds)
                ));
            }
            return Ok(false);
        }
        Action::Target(_) | Action::Cancel => return Ok(false),
    };
    let Some(position) = text(fields, POSITION)? else {
        return Ok(false);
    };
    let after = match choice(&position, &SIDES) {
        Some(after) => Some(after),
        None if position.eq_ignore_ascii_case("flat") => None,
        None => return Err(no_position("marketPosition", &position)),
    };
    if after == Some(side) {
        return Ok(false);
    }
    if matches!(action, Action::Long | Action::Short) {
        return Err(SignalError::bad(
            POSITION,
            format!(
                "{action} enters, and marketPosition {} says that the strategy has left: write buy or sell, target, or CLOSE_LONG and CLOSE_SHORT",
                shorten(&position)
            ),
        ));
    }
    notes.push(format!(
        "marketPosition is {} after this {action}, so it only makes a position smaller",
        shorten(&position)
    ));
    Ok(true)
}

/// After a `reverse` a strategy holds something.
fn not_flat(fields: &Fields) -> Result<bool> {
    match text(fields, "marketPosition")? {
        Some(position) if position.eq_ignore_ascii_case("flat") => Err(SignalError::bad(
            "marketPosition",
            "reverse opens the other side, and marketPosition flat says that the strategy holds nothing: write close",
        )),
        Some(position)
            if text(fields, "prevMarketPosition")?
                .is_some_and(|before| before.eq_ignore_ascii_case(&position)) =>
        {
            Err(SignalError::bad(
                "marketPosition",
                "reverse opens the other side, and marketPosition is what prevMarketPosition was",
            ))
        }
        Some(position) if choice(&position, &SIDES).is_none() => {
            Err(no_position("marketPosition", &position))
        }
        _ => Ok(false),
    }
}

fn no_position(field: &str, text: &str) -> SignalError {
    let placeholder = if field == "marketPosition" {
        "{{strategy.market_position}}"
    } else {
        "{{strategy.prev_market_position}}"
    };
    SignalError::bad(
        field,
        format!(
            "'{}' is not a position: use long, short or flat, as {placeholder} gives it",
            shorten(text)
        ),
    )
}

fn on_opposite(fields: &Fields) -> Result<Option<OnOpposite>> {
    one_of(
        fields,
        "onOpposite",
        &[
            ("reverse", OnOpposite::Reverse),
            ("net", OnOpposite::Net),
            ("refuse", OnOpposite::Refuse),
        ],
    )
}

fn margin_mode(fields: &Fields) -> Result<Option<MarginMode>> {
    one_of(
        fields,
        "marginMode",
        &[
            ("cross", MarginMode::Cross),
            ("isolated", MarginMode::Isolated),
            ("crossed", MarginMode::Cross),
        ],
    )
}

/// Refuses a literal `{{placeholder}}` in any field the contract names, at any depth of it; of a full exit only in those
/// that decide where it goes, the others are as if they were not there.
/// Outside of texts, JSON holds no `{{`, so the raw value can be searched.
fn refuse_placeholders(
    fields: &mut Fields,
    passes: impl Fn(&str) -> bool,
    notes: &mut Vec<String>,
) -> Result<()> {
    let mut unfilled = Vec::new();
    for (name, raw) in fields.iter() {
        let Some(found) = hint::placeholder(raw.get()) else {
            continue;
        };
        let error = SignalError::new(
            Code::Placeholder,
            name,
            format!(
                "{name} holds {}, which was not filled in: {}",
                shorten(found),
                hint::why_unfilled(found)
            ),
        );
        pass::<()>(Err(error), passes(name), notes)?;
        unfilled.push(name.to_owned());
    }
    for name in unfilled {
        fields.remove(&name);
    }
    Ok(())
}

/// What `action` says, before a target's position is read.
#[derive(Clone, Copy)]
enum Verb {
    Plain(Action),
    Target,
}

fn action(fields: &Fields) -> Result<Verb> {
    let text = required_text(fields, "action")?;
    let known = [
        ("LONG", Action::Long),
        ("SHORT", Action::Short),
        ("CLOSE_LONG", Action::CloseLong),
        ("CLOSE_SHORT", Action::CloseShort),
        ("close", Action::Close),
        ("exit", Action::Close),
        ("flat", Action::Close),
        ("buy", Action::Buy),
        ("sell", Action::Sell),
        ("reverse", Action::Reverse),
        ("cancel", Action::Cancel),
    ];
    if text.eq_ignore_ascii_case("target") {
        return Ok(Verb::Target);
    }
    let spelt: String = text.replace(['_', '-', ' '], "");
    choice(&text, &known).or_else(|| choice(&spelt, &SPELT)).map(Verb::Plain).ok_or_else(|| {
        SignalError::bad(
            "action",
            format!(
                "'{}' is not an action: use LONG, SHORT, CLOSE_LONG, CLOSE_SHORT, close, buy, sell, \
                 reverse, cancel or target",
                shorten(&text)
            ),
        )
    })
}

/// Actions in other spellings, without `_`, `-` and spaces.
const SPELT: [(&str, Action); 18] = [
    ("closelong", Action::CloseLong),
    ("exitlong", Action::CloseLong),
    ("longexit", Action::CloseLong),
    ("longclose", Action::CloseLong),
    ("closeshort", Action::CloseShort),
    ("exitshort", Action::CloseShort),
    ("shortexit", Action::CloseShort),
    ("shortclose", Action::CloseShort),
    ("closeposition", Action::Close),
    ("closeall", Action::Close),
    ("closeallpositions", Action::Close),
    ("exitall", Action::Close),
    ("exitposition", Action::Close),
    ("flatten", Action::Close),
    ("enterlong", Action::Long),
    ("openlong", Action::Long),
    ("entershort", Action::Short),
    ("openshort", Action::Short),
];

fn market(fields: &Fields) -> Result<Option<Product>> {
    one_of(
        fields,
        "market",
        &[
            ("spot", Product::Spot),
            ("linear", Product::Linear),
            ("futures", Product::Linear),
            ("perp", Product::Linear),
            ("perpetual", Product::Linear),
            ("swap", Product::Linear),
        ],
    )
}

/// Where an alert wants to go, as far as it can be read; faults are [`signal`]'s to report.
pub(crate) fn destination(alert: &Fields) -> Destination {
    let named = Named::of(alert);
    let fields = &named.fields;
    let symbol = text(fields, "symbol").ok().flatten();
    Destination {
        account: account(fields).ok().flatten(),
        exchange: exchange(fields).ok().flatten(),
        venue_prefix: symbol
            .and_then(|text| symbol::read(&text, None, &mut Vec::new()).ok())
            .and_then(|symbol| symbol.venue_prefix),
        test: boolean(fields, "test").unwrap_or(false),
    }
}

fn exchange(fields: &Fields) -> Result<Option<Venue>> {
    let Some(text) = text(fields, "exchange")? else {
        return Ok(None);
    };
    venue_of(&text).map(Some).ok_or_else(|| {
        SignalError::bad(
            "exchange",
            format!(
                "'{}' is not an exchange Hoox knows: use bybit, binance or mexc",
                shorten(&text)
            ),
        )
    })
}

fn account(fields: &Fields) -> Result<Option<Name>> {
    text(fields, "account")?
        .map(|text| {
            text.parse()
                .map_err(|error| SignalError::bad("account", format!("account: {error}")))
        })
        .transpose()
}

fn quantity(fields: &Fields) -> Result<Option<Sizing>> {
    #[derive(Clone, Copy)]
    enum Kind {
        Base,
        Quote,
        PercentEquity,
        PercentPosition,
        RiskPercent,
    }
    let kind = one_of(
        fields,
        "quantityType",
        &[
            ("base", Kind::Base),
            ("quote", Kind::Quote),
            ("percentEquity", Kind::PercentEquity),
            ("percentPosition", Kind::PercentPosition),
            ("riskPercent", Kind::RiskPercent),
        ],
    )?
    .unwrap_or(Kind::Base);
    let Some(value) = positive(fields, "quantity")? else {
        return Ok(None);
    };
    let bad = |error: &dyn fmt::Display| SignalError::bad("quantity", format!("quantity: {error}"));
    let percent = || {
        Percent::try_from(value)
            .ok()
            .filter(|_| value <= Decimal::ONE_HUNDRED)
            .ok_or_else(|| bad(&"a percentage must be above 0 and at most 100"))
    };
    Ok(Some(match kind {
        Kind::Base => Sizing::Base(Quantity::try_from(value).map_err(|e| bad(&e))?),
        Kind::Quote => Sizing::Quote(Amount::try_from(value).map_err(|e| bad(&e))?),
        Kind::PercentEquity => Sizing::PercentEquity(percent()?),
        Kind::PercentPosition => Sizing::PercentPosition(percent()?),
        Kind::RiskPercent => Sizing::RiskPercent(percent()?),
    }))
}

fn target(
    fields: &Fields,
    quantity: Option<Sizing>,
    flat: bool,
    notes: &mut Vec<String>,
) -> Result<Target> {
    const POSITION: &str = "marketPosition";
    const SIZE: &str = "marketPositionSize";
    match quantity {
        Some(sizing) if flat || matches!(sizing, Sizing::Base(_)) => notes.push(
            "quantity is not used by target, which takes its size from marketPositionSize"
                .to_owned(),
        ),
        Some(other) if !flat => {
            return Err(SignalError::bad(
                "quantityType",
                format!(
                    "target takes its size from marketPositionSize in base currency; remove quantityType {}",
                    other.type_name()
                ),
            ));
        }
        Some(_) | None => {}
    }
    let text = required_text(fields, POSITION)?;
    let size = pass(number(fields, SIZE), flat, notes)?;
    if size.is_some_and(|size| size < Decimal::ZERO) {
        return Err(SignalError::bad(
            SIZE,
            "marketPositionSize is negative: use {{strategy.market_position_size}}, which has no sign",
        ));
    }
    let size = size.filter(|size| !size.is_zero());
    let sized = || {
        size.and_then(|size| Quantity::try_from(size).ok())
            .ok_or_else(|| {
                SignalError::bad(
                    SIZE,
                    format!(
                        "marketPosition {} needs marketPositionSize above 0",
                        shorten(&text)
                    ),
                )
            })
    };
    if text.eq_ignore_ascii_case("long") {
        sized().map(Target::Long)
    } else if text.eq_ignore_ascii_case("short") {
        sized().map(Target::Short)
    } else if text.eq_ignore_ascii_case("flat") {
        match size {
            None => Ok(Target::Flat),
            Some(_) => Err(SignalError::bad(
                SIZE,
                "marketPosition flat has no size: send 0 or leave marketPositionSize out",
            )),
        }
    } else {
        Err(no_position(POSITION, &text))
    }
}

/// The position before the strategy's order, from `prevMarketPosition` and `prevMarketPositionSize`. It only tells
/// alerts apart that overtook each other, so what cannot be read is absent.
fn previous(fields: &Fields) -> Option<Target> {
    let side = text(fields, "prevMarketPosition").ok()??;
    if side.eq_ignore_ascii_case("flat") {
        return Some(Target::Flat);
    }
    let size = number(fields, "prevMarketPositionSize").ok()??.abs();
    let size = Quantity::try_from(size)
        .ok()
        .filter(|size| !size.is_zero())?;
    choice(
        &side,
        &[("long", Target::Long(size)), ("short", Target::Short(size))],
    )
}

/// The order's kind, and the price where it is only a reference.
fn order(fields: &Fields, notes: &mut Vec<String>) -> Result<(OrderKind, Option<Price>)> {
    let kind = one_of(fields, "orderType", &[("market", false), ("limit", true)])?;
    let price = positive(fields, "price")?
        .map(|value| {
            Price::try_from(value)
                .map_err(|error| SignalError::bad("price", format!("price: {error}")))
        })
        .transpose()?;
    let time_in_force = one_of(
        fields,
        "timeInForce",
        &[
            ("GTC", TimeInForce::Gtc),
            ("IOC", TimeInForce::Ioc),
            ("FOK", TimeInForce::Fok),
        ],
    )?;
    let post_only = boolean(fields, "postOnly")?;
    if kind != Some(true) {
        if post_only {
            return Err(SignalError::bad(
                "postOnly",
                "postOnly needs orderType limit and a price: a market order always takes",
            ));
        }
        if kind.is_none() && price.is_some() {
            notes.push(
                "price without orderType is taken as a reference price; add orderType limit to trade at it"
                    .to_owned(),
            );
        }
        if time_in_force.is_some() {
            notes.push("timeInForce has no effect on a market order".to_owned());
        }
        return Ok((OrderKind::Market, price));
    }
    let Some(price) = price else {
        return Err(SignalError::bad(
            "price",
            "orderType limit needs a price above 0",
        ));
    };
    let time_in_force = match (post_only, time_in_force) {
        (true, None | Some(TimeInForce::Gtc)) => TimeInForce::PostOnly,
        (true, Some(_)) => {
            return Err(SignalError::bad(
                "postOnly",
                "postOnly rests in the book, so it goes with timeInForce GTC only",
            ));
        }
        (false, given) => given.unwrap_or(TimeInForce::Gtc),
    };
    let order = OrderKind::Limit {
        price,
        time_in_force,
    };
    Ok((order, None))
}

/// Stop-loss, take-profit and trailing stop. They concern entries.
fn stops(
    fields: &Fields,
    enters: bool,
    full_exit: bool,
    notes: &mut Vec<String>,
) -> Result<[Option<Trigger>; 3]> {
    let mut stops = [None; 3];
    for (stop, name) in stops
        .iter_mut()
        .zip(["stopLoss", "takeProfit", "trailingStop"])
    {
        *stop = pass(trigger(fields, name), full_exit, notes)?;
    }
    if !enters && stops.iter().any(Option::is_some) {
        notes.push(
            "stopLoss, takeProfit and trailingStop concern entries and had no effect".to_owned(),
        );
    }
    Ok(stops)
}

/// `stopLoss` and its kin: an object with exactly one of price, percent, distance, or one of the
/// flat fields `stopLossPrice`, `stopLossPercent`, `stopLossDistance`.
fn trigger(fields: &Fields, name: &str) -> Result<Option<Trigger>> {
    let object = match fields.get(name) {
        None => None,
        Some(raw) => Some(Fields::of(raw).ok_or_else(|| {
            SignalError::bad(
                name,
                format!(
                    "{name} must say what its number means: write {{\"price\": …}}, {{\"percent\": …}} or {{\"distance\": …}}"
                ),
            )
        })?),
    };
    let mut found = None;
    let mut count = 0u8;
    for (short, flat) in [
        ("price", "Price"),
        ("percent", "Percent"),
        ("distance", "Distance"),
    ] {
        let flat = format!("{name}{flat}");
        let nested = object.as_ref().and_then(|object| object.get(short));
        for (field, raw) in [
            (format!("{name}.{short}"), nested),
            (flat.clone(), fields.get(&flat)),
        ] {
            let Some(raw) = raw else { continue };
            count = count.saturating_add(1);
            let value = decimal(&field, raw)?;
            let bad =
                |error: &dyn fmt::Display| SignalError::bad(&field, format!("{field}: {error}"));
            found = Some(match short {
                "percent" => Trigger::Percent(Percent::try_from(value).map_err(|e| bad(&e))?),
                "price" => Trigger::Price(Price::try_from(value).map_err(|e| bad(&e))?),
                _ => Trigger::Distance(Price::try_from(value).map_err(|e| bad(&e))?),
            });
        }
    }
    if count > 1 || (count == 0 && object.is_some()) {
        return Err(SignalError::bad(
            name,
            format!("{name} needs exactly one of price, percent and distance"),
        ));
    }
    Ok(found)
}

fn leverage(fields: &Fields) -> Result<Option<Decimal>> {
    let Some(leverage) = number(fields, "leverage")? else {
        return Ok(None);
    };
    leverage_in_range(leverage)?;
    Ok(Some(leverage.normalize()))
}

/// Leverage above 0 and at most 200.
pub(crate) fn leverage_in_range(leverage: Decimal) -> Result<()> {
    if leverage > Decimal::ZERO && leverage <= Decimal::from(200u8) {
        Ok(())
    } else {
        Err(SignalError::bad(
            "leverage",
            "leverage must be above 0 and at most 200",
        ))
    }
}

fn idempotency_key(fields: &Fields, header: Option<&str>) -> Result<Option<String>> {
    const KEY: &str = "idempotencyKey";
    let own = match fields.get(KEY) {
        None => None,
        Some(raw) => Some(string(raw).ok_or_else(|| {
            SignalError::bad(KEY, "idempotencyKey must be a text in double quotes")
        })?),
    };
    if let (Some(own), Some(header)) = (&own, header)
        && own != header
    {
        return Err(SignalError::bad(
            KEY,
            "idempotencyKey and the header Idempotency-Key differ; send one of them",
        ));
    }
    let key = own.or_else(|| header.map(str::to_owned));
    if let Some(key) = &key {
        idempotency_key_fits(key)?;
    }
    Ok(key)
}

/// 1 to 255 printable ASCII characters, no space at either end.
pub(crate) fn idempotency_key_fits(key: &str) -> Result<()> {
    let fits = (1..=255).contains(&key.len())
        && key.bytes().all(|b| (0x20..=0x7e).contains(&b))
        && key.trim() == key;
    if fits {
        Ok(())
    } else {
        Err(SignalError::bad(
            "idempotencyKey",
            "idempotencyKey must be 1 to 255 printable ASCII characters without spaces around them",
        ))
    }
}

fn timestamp(fields: &Fields, now: Timestamp) -> Result<Option<Timestamp>> {
    let Some(raw) = fields.get("timestamp") else {
        return Ok(None);
    };
    let text = string(raw).unwrap_or_else(|| raw.get().to_owned());
    let own = Timestamp::parse(text.trim())
        .map_err(|error| SignalError::bad("timestamp", format!("timestamp: {error}")))?;
    if now.since(own) < MAX_FUTURE_MS.saturating_neg() {
        return Err(SignalError::new(
            Code::Stale,
            "timestamp",
            format!(
                "timestamp {own} is more than 60 s in the future; correct the sender's clock or send {{{{timenow}}}}"
            ),
        ));
    }
    Ok(Some(own))
}

/// Milliseconds.
fn max_lag(fields: &Fields) -> Result<Option<i64>> {
    let Some(seconds) = number(fields, "maxLag")? else {
        return Ok(None);
    };
    let millis = seconds
        .checked_mul(Decimal::ONE_THOUSAND)
        .filter(Decimal::is_integer)
        .and_then(|millis| i64::try_from(millis).ok())
        .filter(|millis| (1_000..=MAX_LAG_MS).contains(millis));
    match millis {
        Some(millis) => Ok(Some(millis)),
        None => Err(SignalError::bad(
            "maxLag",
            "maxLag must be a number of seconds from 1 to 3600",
        )),
    }
}

/// A text for the records. A number is taken as its text, because ids may be numbers; empty is absent.
fn label(fields: &Fields, name: &str, limit: usize) -> Result<Option<String>> {
    let Some(raw) = fields.get(name) else {
        return Ok(None);
    };
    let text = text_or_number(raw)
        .ok_or_else(|| SignalError::bad(name, format!("{name} must be a text in double quotes")))?;
    not_longer(name, &text, limit)?;
    Ok(Some(text).filter(|text| !text.is_empty()))
}

fn notify(fields: &Fields, notes: &mut Vec<String>) -> Result<Option<Notify>> {
    let Some(raw) = fields.get("notify") else {
        return Ok(None);
    };
    let bad = |message: &str| SignalError::bad("notify", message);
    let object = Fields::of(raw)
        .ok_or_else(|| bad("notify must be an object such as {\"chatId\": \"123\"}"))?;
    let chat_id = object
        .get("chatId")
        .and_then(text_or_number)
        .filter(|id| !id.is_empty())
        .ok_or_else(|| bad("notify needs chatId, a chat's number or @name"))?;
    not_longer("notify", &chat_id, MAX_CHAT_CHARS)?;
    let message = match object.get("message") {
        None => None,
        Some(raw) => Some(string(raw).ok_or_else(|| bad("notify.message must be a text"))?),
    };
    if let Some(message) = &message {
        not_longer("notify", message, MAX_TEXT_CHARS)?;
    }
    notes.push("notices to chats are not available yet, so notify had no effect".to_owned());
    Ok(Some(Notify { chat_id, message }))
}

/// Whether a timestamp looks like the time of a bar: over a minute old when it came, and exactly on a minute.
pub(crate) fn looks_like_a_bar(own: Timestamp, received: Timestamp) -> bool {
    received.since(own) > BAR_AGE_MS && own.as_millis().checked_rem(60_000) == Some(0)
}

/// Refuses a signal from the future or past its lag, and notes a timestamp that is a bar's.
fn fresh(mut signal: Signal, now: Timestamp) -> Result<Signal> {
    let Some(own) = signal.timestamp else {
        return Ok(signal);
    };
    let age = now.since(own);
    let like_a_bar = looks_like_a_bar(own, now);
    // What a flip closes may be older than what it opens: whether anything is held that it has to close the Ledger knows.
    let flips = signal.is_entry() && signal.closing().is_some();
    let most = if flips {
        signal.max_lag_ms.max(DEFAULT_EXIT_LAG_MS)
    } else {
        signal.max_lag_ms
    };
    if age > most {
        return Err(self::stale(&signal, now, now));
    }
    if like_a_bar {
        signal
            .notes
            .push("timestamp looks like a bar's time; use {{timenow}} and not {{time}}".to_owned());
    }
    Ok(signal)
}

/// Why a signal is too old.
pub(crate) fn stale(signal: &Signal, received: Timestamp, now: Timestamp) -> SignalError {
    let own = signal.timestamp.map_or(received, |own| own.min(received));
    let (seconds, limit) = (
        whole_seconds(now.since(own)),
        whole_seconds(signal.max_lag_ms),
    );
    let bar = signal
        .timestamp
        .is_some_and(|own| looks_like_a_bar(own, now));
    let message = if bar {
        format!(
            "the signal is {seconds} s old and maxLag is {limit} s; its timestamp looks like a bar's time, so use \
             {{{{timenow}}}} and not {{{{time}}}}"
        )
    } else {
        format!("the signal is {seconds} s old and maxLag is {limit} s, so it was not traded")
    };
    SignalError::new(Code::Stale, "timestamp", message)
}

const fn whole_seconds(millis: i64) -> i64 {
    millis.div_euclid(1000)
}

/// At most `limit` characters.
pub(crate) fn not_longer(field: &str, text: &str, limit: usize) -> Result<()> {
    if text.chars().count() <= limit {
        Ok(())
    } else {
        Err(SignalError::bad(
            field,
            format!("{field} is longer than {limit} characters; shorten it"),
        ))
    }
}

/// A field that must be a text, trimmed; `None` where it is absent.
fn text(fields: &Fields, name: &str) -> Result<Option<String>> {
    let Some(raw) = fields.get(name) else {
        return Ok(None);
    };
    match string(raw) {
        Some(text) => Ok(Some(text.trim().to_owned())),
        None => Err(SignalError::bad(
            name,
            format!("{name} must be a text in double quotes"),
        )),
    }
}

fn required_text(fields: &Fields, name: &str) -> Result<String> {
    text(fields, name)?
        .filter(|text| !text.is_empty())
        .ok_or_else(|| {
            SignalError::bad(
                name,
                format!("{name} is missing; add it to the alert's message"),
            )
        })
}

fn choice<T: Copy>(text: &str, choices: &[(&str, T)]) -> Option<T> {
    choices
        .iter()
        .find_map(|(name, value)| name.eq_ignore_ascii_case(text).then_some(*value))
}

/// One of several words, in any case.
fn one_of<T: Copy>(fields: &Fields, name: &str, choices: &[(&str, T)]) -> Result<Option<T>> {
    let Some(text) = text(fields, name)? else {
        return Ok(None);
    };
    choice(&text, choices).map(Some).ok_or_else(|| {
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        SignalError::bad(
            name,
            format!(
                "{name} cannot be '{}': use one of {}",
                shorten(&text),
                names.join(", ")
            ),
        )
    })
}

/// `true`, `false`, or either as a text; absent is `false`.
fn boolean(fields: &Fields, name: &str) -> Result<bool> {
    let Some(raw) = fields.get(name) else {
        return Ok(false);
    };
    let text = string(raw).unwrap_or_else(|| raw.get().to_owned());
    choice(text.trim(), &[("true", true), ("false", false)])
        .ok_or_else(|| SignalError::bad(name, format!("{name} must be true or false")))
}

/// A JSON number, or a text that holds one.
fn number(fields: &Fields, name: &str) -> Result<Option<Decimal>> {
    fields.get(name).map(|raw| decimal(name, raw)).transpose()
}

/// [`number`], above zero.
fn positive(fields: &Fields, name: &str) -> Result<Option<Decimal>> {
    let value = number(fields, name)?;
    if value.is_some_and(|value| value <= Decimal::ZERO) {
        return Err(SignalError::bad(name, format!("{name} must be above 0")));
    }
    Ok(value)
}

fn decimal(name: &str, raw: &RawValue) -> Result<Decimal> {
    let Some(text) = text_or_number(raw) else {
        return Err(SignalError::bad(name, format!("{name} must be a number")));
    };
    let text = text.trim();
    if hint::is_no_number(text) {
        return Err(SignalError::bad(
            name,
            format!(
                "{name} is {}: the script had no number when the alert fired; let it fire only when the value exists",
                shorten(text)
            ),
        ));
    }
    parse_decimal(text).map_err(|_| {
        SignalError::bad(
            name,
            format!(
                "{name} must be a decimal number such as 0.5, not '{}'",
                shorten(text)
            ),
        )
    })
}

/// A JSON text, or a number as its text.
fn text_or_number(raw: &RawValue) -> Option<String> {
    match raw.get().as_bytes().first()? {
        b'"' => string(raw),
        b'-' | b'0'..=b'9' => Some(raw.get().to_owned()),
        _ => None,
    }
}
