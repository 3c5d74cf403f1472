//! Whether a journaled alert would be read otherwise today.

use std::collections::BTreeSet;

use hoox_model::{Product, Timestamp, Venue};
use hoox_signal::{Alert, Signal};
use serde::Deserialize;
use serde_json::{Map, Value};

/// A journaled alert and what became of it, as the operator API gives them.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Then {
    /// The alert without its passkey.
    pub body: String,
    /// The signal it was read as, as [`Signal::reading`] writes it.
    pub reading: String,
    /// Where it stands.
    pub state: String,
    /// When it came.
    pub received_at: Timestamp,
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
    let (was, is) = (members(&then.reading), members(&signal.reading()));
    let names: BTreeSet<&String> = was.keys().chain(is.keys()).collect();
    let otherwise: Vec<String> = names
        .into_iter()
        .filter(|name| was.get(*name) != is.get(*name))
        .map(|name| {
            let shown = |of: &Map<String, Value>| of.get(name).map_or("absent".to_owned(), plain);
            format!("{name} was {}, and is {} today", shown(&was), shown(&is))
        })
        .collect();
    (!otherwise.is_empty()).then(|| otherwise.join("; "))
}

/// The members of a reading; none where it is no object.
fn members(reading: &str) -> Map<String, Value> {
    serde_json::from_str(reading).unwrap_or_default()
}

/// A text without its quotes, everything else as JSON.
fn plain(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
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
    let body: Value = serde_json::from_str(body).ok()?;
    let own = body.get("timestamp")?;
    let text = own.as_str().map_or_else(|| own.to_string(), str::to_owned);
    Timestamp::parse(text.trim()).ok()
}
