//! Whether a journaled alert would be read otherwise today.

use hoox_model::{Product, Timestamp, Venue};
use hoox_signal::{Alert, Signal, Sizing};
use serde::Deserialize;

/// A journaled alert and what became of it, as the operator API gives them.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Then {
    /// The alert without its passkey.
    pub body: String,
    /// What it was read as.
    pub action: String,
    /// Its symbol.
    pub symbol: String,
    /// Whether it was only planned.
    pub dry_run: bool,
    /// Where it stands.
    pub state: String,
    /// When it came.
    pub received_at: Timestamp,
    /// Its orders.
    #[serde(default)]
    pub orders: Vec<ThenOrder>,
}

/// One of its orders.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ThenOrder {
    /// Market or limit.
    pub order_type: String,
    /// Its size.
    pub quantity: hoox_model::Quantity,
    /// Whether it could only make a position smaller.
    pub reduce_only: bool,
}

/// Why the alert would be judged otherwise today than it was then; `None` where it would not. What was refused then traded
/// nothing, and is not looked at.
pub fn compare(then: &Then, venue: Venue, default_product: Product) -> Option<String> {
    if then.state == "refused" {
        return None;
    }
    let signal = match read(then) {
        Ok(signal) => signal,
        Err(why) => return Some(format!("it was taken, and is refused today: {why}")),
    };
    let product = signal.symbol.product.unwrap_or(default_product);
    if let Some(error) = signal.unsupported(venue, product) {
        return Some(format!("it was taken, and is refused today: {error}"));
    }
    let (was, is) = (then.action.as_str(), signal.action.as_str());
    if was != is {
        return Some(format!("it was taken as {was}, and is {is} today"));
    }
    let (was, is) = (&then.symbol, signal.symbol.symbol.as_str());
    if was != is {
        return Some(format!("it traded {was}, and is for {is} today"));
    }
    if then.dry_run != signal.dry_run {
        return Some(
            if signal.dry_run {
                "it traded, and is only planned today"
            } else {
                "it was only planned, and trades today"
            }
            .to_owned(),
        );
    }
    orders(then, &signal)
}

/// What its orders were that today's reading could not make.
fn orders(then: &Then, signal: &Signal) -> Option<String> {
    let opened = then.orders.iter().any(|order| !order.reduce_only);
    if opened && !signal.is_entry() {
        return Some("it sent an order that may open, and only closes today".to_owned());
    }
    let today = signal.order.as_str();
    // What a flip closes goes at the market, whatever the entry is.
    let other = then
        .orders
        .iter()
        .find(|order| !order.reduce_only && order.order_type != today);
    if let Some(order) = other {
        return Some(format!(
            "it sent a {} order, and would send a {today} order today",
            order.order_type
        ));
    }
    let Some(Sizing::Base(most)) = signal.quantity else {
        return None;
    };
    let bounded = then
        .orders
        .iter()
        .filter(|order| !order.reduce_only || !signal.is_entry());
    let larger = bounded.map(|order| order.quantity).find(|it| *it > most);
    larger.map(|it| format!("it sent an order of {it}, and would send {most} at most today"))
}

/// Reads it as at its arrival. A replay by an operator arrives later than its own time allows; it is read as of that.
fn read(then: &Then) -> Result<Signal, String> {
    let alert = Alert::parse(then.body.as_bytes()).map_err(|error| error.to_string())?;
    let at_arrival = Signal::from_alert(&alert, None, then.received_at);
    match at_arrival {
        Err(error) if error.code == hoox_model::Code::Stale => {
            let own = fired(&then.body).filter(|own| *own < then.received_at);
            own.map_or(Err(error), |own| Signal::from_alert(&alert, None, own))
        }
        read => read,
    }
    .map_err(|error| match &error.field {
        Some(field) => format!("{field}: {error}"),
        None => error.to_string(),
    })
}

/// The alert's own time.
fn fired(body: &str) -> Option<Timestamp> {
    let body: serde_json::Value = serde_json::from_str(body).ok()?;
    let own = body.get("timestamp")?;
    let text = own.as_str().map_or_else(|| own.to_string(), str::to_owned);
    Timestamp::parse(text.trim()).ok()
}
