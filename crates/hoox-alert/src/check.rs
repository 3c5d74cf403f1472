//! What a message would do.

use hoox_model::{Code, Product, Secret, Timestamp, Venue};
use hoox_signal::{
    Action, Alert, AlertError, Fields, Identity, Signal, SignalError, Sizing, WINDOW_LONG_MS,
    field_of,
};
use serde::Serialize;

use crate::fill::{CHANGES, Change, fill, placeholders, replaced, value};
use crate::meaning::{self, seconds};
use crate::outcome::{Outcome, alone, step};
use crate::veil::Veil;

/// Largest message that the gateway reads, in bytes: 64 KiB.
pub const MAX_MESSAGE: usize = 64 * 1024;
/// Longest value of a field that is shown, in characters.
const MAX_SHOWN: usize = 60;
/// What the script writes for each of its orders, perhaps the whole message.
const ALERT_MESSAGE: &str = "strategy.order.alert_message";
/// A sample's time between two alerts of the same kind.
const LATER_MS: i64 = 3_600_000;

/// How a message is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Hoox takes it.
    Taken,
    /// Hoox refuses it, or would trade something else than its author means.
    Refused,
    /// What it says is written by the script when it fires.
    Unknown,
}

/// Why a message is refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// The code of the gateway's answer.
    pub code: Code,
    /// The field at fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// What is wrong and what to write.
    pub message: String,
    /// Which of the strategy's orders it concerns; `None`: all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
}

impl Fault {
    fn new(code: Code, field: &str, message: impl Into<String>) -> Self {
        Self {
            code,
            field: Some(field.to_owned()),
            message: message.into(),
            when: None,
        }
    }

    /// The field of the alert's object that it is about.
    fn top(&self) -> &str {
        let field = self.field.as_deref().unwrap_or_default();
        field.split('.').next().unwrap_or_default()
    }
}

impl From<AlertError> for Fault {
    fn from(error: AlertError) -> Self {
        Self {
            code: error.code,
            field: None,
            message: error.message,
            when: None,
        }
    }
}

impl From<SignalError> for Fault {
    fn from(error: SignalError) -> Self {
        Self {
            code: error.code,
            field: error.field,
            message: error.message,
            when: None,
        }
    }
}

/// What to look at although the message is taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Warning {
    /// What it is about: a field's name, `identity` or `position`.
    pub about: &'static str,
    /// What may go wrong and what to write.
    pub message: String,
}

/// One field of the message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldReport {
    /// Its name.
    pub field: String,
    /// Its value as it is written; `None` where it is not shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// What Hoox makes of it.
    pub meaning: String,
}

/// A placeholder and what stands for it here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Sample {
    /// Its name, without braces.
    pub placeholder: String,
    /// What the fields are shown with; `None` where nothing is filled in.
    pub value: Option<String>,
}

/// By what a signal is known, and how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Known {
    /// Whether by its `idempotencyKey`, and not by its whole text.
    pub by_key: bool,
    /// For how many seconds the same one is a duplicate.
    pub window_seconds: i64,
    /// How old it may get before what opens is sent no more, in seconds.
    pub entry_seconds: i64,
    /// The same for what closes.
    pub exit_seconds: i64,
    /// Whether it may open something.
    pub enters: bool,
}

/// What a message would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// How it is judged.
    pub verdict: Verdict,
    /// Why it cannot be judged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unclear: Option<String>,
    /// Why it is refused.
    pub faults: Vec<Fault>,
    /// What to look at.
    pub warnings: Vec<Warning>,
    /// Its fields.
    pub fields: Vec<FieldReport>,
    /// What the gateway would say beside its answer.
    pub notes: Vec<String>,
    /// What stands for its placeholders.
    pub sample: Vec<Sample>,
    /// By what it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub known: Option<Known>,
    /// What it does.
    pub outcomes: Vec<Outcome>,
}

impl Report {
    fn warn(&mut self, about: &'static str, message: &str) {
        self.warnings.push(Warning {
            about,
            message: message.to_owned(),
        });
    }
}

/// A message as it was read.
struct Read {
    signal: Signal,
    identity: Identity,
}

/// Reads a message as the gateway does, of whoever may send it. Whether its account can trade it is judged of Bybit
/// and of a perpetual, unless it says otherwise.
fn read(body: &str, now: Timestamp) -> Result<Read, Fault> {
    let alert = Alert::parse(body.as_bytes())?;
    let signal = Signal::from_alert(&alert, None, now)?;
    let venue = signal.exchange.unwrap_or(Venue::Bybit);
    let product = signal.symbol.product.unwrap_or(Product::Linear);
    if let Some(error) = signal.unsupported(venue, product) {
        return Err(error.into());
    }
    let identity = Identity::of(&alert, &signal);
    Ok(Read { signal, identity })
}

/// All that is at fault with an object's fields, one after the other: each faulty field is left out, what is missing is
/// stood in for, and the rest is read again. Also what was read then.
fn faults(fields: &Fields, now: Timestamp) -> (Vec<Fault>, Option<Read>) {
    let mut rest = fields.clone();
    let mut found: Vec<Fault> = Vec::new();
    let mut stood_in: Vec<String> = Vec::new();
    loop {
        let fault = match read(&rest.json(), now) {
            Ok(read) => return (found, Some(read)),
            Err(fault) => fault,
        };
        let name = fault.top().to_owned();
        if stood_in.contains(&name) {
            return (found, None);
        }
        if rest.has(&name) {
            rest = rest.without(&name);
            found.push(fault);
            continue;
        }
        // What is missing now may be what was left out.
        if !fields.has(&name) {
            found.push(fault);
        }
        if let Some(value) = stand_in(&name) {
            rest.push_text(&name, value);
            stood_in.push(name);
        } else if let Some(other) = found.last().and_then(|fault| culprit(&rest, fault, now)) {
            rest = rest.without(&other);
        } else {
            return (found, None);
        }
    }
}

/// The field that a fault comes from, where it has another name than the fault says, as `stopLossPrice` of `stopLoss` has:
/// without it there is another fault, not its own, or none.
fn culprit(fields: &Fields, fault: &Fault, now: Timestamp) -> Option<String> {
    let comes_from = |name: &&str| match read(&fields.without(name).json(), now) {
        Ok(_) => true,
        Err(other) => other != *fault && other.top() != *name,
    };
    fields.names().find(comes_from).map(str::to_owned)
}

/// A value for a field that is missing, so that the others can be read.
fn stand_in(field: &str) -> Option<&'static str> {
    Some(match field {
        "action" => "close",
        "symbol" => "BTCUSDT",
        "marketPosition" => "flat",
        "quantity" | "marketPositionSize" | "price" => "1",
        _ => return None,
    })
}

/// Says what a message would do: as an alert of a strategy where it holds placeholders that only strategies fill,
/// unless `indicator` says that it is none.
pub fn examine(body: &[u8], indicator: bool, now: Timestamp) -> Report {
    let mut report = Report {
        verdict: Verdict::Refused,
        unclear: None,
        faults: Vec::new(),
        warnings: Vec::new(),
        fields: Vec::new(),
        notes: Vec::new(),
        sample: Vec::new(),
        known: None,
        outcomes: Vec::new(),
    };
    if body.len() > MAX_MESSAGE {
        report.faults.push(Fault {
            code: Code::TooLarge,
            field: None,
            message: "the body is larger than 64 KiB; send less".to_owned(),
            when: None,
        });
        return report;
    }
    if let Ok(text) = core::str::from_utf8(body) {
        let mut report = Examined::of(text, indicator, now).report(report);
        hide(&mut report, &Veil::new(None, core::iter::empty()));
        return report;
    }
    report
        .faults
        .extend(Alert::parse(body).err().map(Fault::from));
    report
}

/// A message that is examined.
struct Examined<'a> {
    text: &'a str,
    now: Timestamp,
    /// The orders of its strategy; none: it is not a strategy's.
    changes: &'static [Change],
    /// Names of its placeholders.
    names: Vec<String>,
}

impl<'a> Examined<'a> {
    fn of(text: &'a str, indicator: bool, now: Timestamp) -> Self {
        let names = placeholders(text);
        let strategy = !indicator && names.iter().any(|name| name.starts_with("strategy."));
        Self {
            text,
            now,
            changes: if strategy { &CHANGES } else { &[] },
            names,
        }
    }

    fn report(self, mut report: Report) -> Report {
        let first = self.changes.first().copied();
        report.sample = self
            .names
            .iter()
            .filter(|name| value(name, CHANGES.first().copied(), self.now).is_some())
            .map(|name| Sample {
                placeholder: name.clone(),
                value: value(name, first, self.now),
            })
            .collect();
        let filled = fill(self.text, first, self.now);
        let alert = match Alert::parse(filled.as_bytes()) {
            Ok(alert) => alert,
            Err(_) if self.holds(ALERT_MESSAGE) => return written_by_the_script(report),
            Err(error) => {
                report.faults.push(error.into());
                return report;
            }
        };
        let fields = alert.fields();
        let passkey = alert.api_key();
        let veil = Veil::new(
            passkey.as_ref().map(Secret::expose),
            fields
                .iter()
                .filter_map(|(name, raw)| Some((name, string(raw.get())?))),
        );
        // The passkey may stand in any field or name, so none of them is shown.
        if let Err(error) = Signal::from_alert(&alert, None, self.now)
            && error.field.as_deref() == Some("apiKey")
        {
            report.faults.push(error.into());
            return report;
        }
        self.judge(&mut report, fields, passkey.is_some());
        report.fields = self.fields(fields, passkey.as_ref().map(Secret::expose));
        for fault in &report.faults {
            let top = fault.top();
            // The flat forms of a field are called by its name in what is said of them.
            let flat = !top.is_empty() && !fields.has(top);
            for row in &mut report.fields {
                if row.field == top || (flat && row.field.starts_with(top)) {
                    row.meaning = format!("REFUSED ({})", fault.code);
                }
            }
        }
        hide(&mut report, &veil);
        report
    }

    /// Whether the message holds this placeholder.
    fn holds(&self, name: &str) -> bool {
        self.names.iter().any(|known| known == name)
    }

    /// Faults, warnings, notes, identity and outcomes.
    fn judge(&self, report: &mut Report, fields: &Fields, has_key: bool) {
        if !has_key {
            let message = "apiKey is missing: add \"apiKey\" with the passkey of a sender, without which nothing is taken (unless the sender signs its messages)";
            report
                .faults
                .push(Fault::new(Code::Forbidden, "apiKey", message));
        }
        let origins = self.origins();
        if !judge_action(report, &origins) {
            return;
        }
        let reads = self.reads(report, fields);
        let taken: Vec<&Read> = reads.iter().filter_map(|(_, read)| read.as_ref()).collect();
        for read in &taken {
            for note in &read.signal.notes {
                if !report.notes.contains(note) {
                    report.notes.push(note.clone());
                }
            }
        }
        if let Some(read) = taken.first() {
            report.known = Some(known(read, self.now));
        }
        // What is at fault is left out, so that all there is to change is said at once.
        let left = faults(fields, self.now).1;
        if let Some(read) = taken.first().copied().or(left.as_ref()) {
            self.warn(report, fields, &origins, &read.signal);
        }
        if report.faults.is_empty() {
            report.verdict = Verdict::Taken;
        }
        self.warn_of_identity(report, &reads);
        if !has_faulty_action(report) {
            self.carry_out(report, &reads);
        }
    }

    /// What becomes of each order, or upon each position.
    fn carry_out(&self, report: &mut Report, reads: &[(Option<Change>, Option<Read>)]) {
        report.outcomes = match self.changes {
            [] => reads
                .iter()
                .filter_map(|(_, read)| read.as_ref())
                .flat_map(|read| alone(&read.signal))
                .collect(),
            _ => reads
                .iter()
                .filter_map(|(change, read)| Some(step((*change)?, &read.as_ref()?.signal)))
                .collect(),
        };
        let otherwise = report.outcomes.iter().filter(|row| !row.agrees()).count();
        if otherwise > 0 {
            report.warn(
                "position",
                &format!(
                    "after {otherwise} of the {} kinds of orders the account would not hold what the strategy holds; see \
                     below, and use a target template for a strategy that sends them",
                    report.outcomes.len()
                ),
            );
        }
    }

    /// The message as each of the strategy's orders fills it, or once; what is refused of them goes into the report.
    fn reads(&self, report: &mut Report, first: &Fields) -> Vec<(Option<Change>, Option<Read>)> {
        let mut refused: Vec<(Fault, Vec<&str>)> = Vec::new();
        let mut reads = Vec::new();
        for (change, fields) in self.cases(first) {
            let (found, read) = faults(&fields, self.now);
            let when = change.map_or("", |change| change.when);
            let faulty = !found.is_empty();
            for fault in found {
                let same = refused
                    .iter_mut()
                    .find(|(known, _)| known.code == fault.code && known.field == fault.field);
                match same {
                    Some((_, cases)) => cases.push(when),
                    None => refused.push((fault, vec![when])),
                }
            }
            reads.push((change, read.filter(|_| !faulty)));
        }
        let all = reads.len();
        let fixed = self.origins().placeholders("timestamp").is_empty();
        for (mut fault, cases) in refused {
            if fault.code == Code::Stale && fixed {
                fault
                    .message
                    .push_str("; write \"timestamp\": \"{{timenow}}\", which TradingView fills in");
            }
            if cases.len() < all {
                fault.when = Some(cases.join(", "));
            }
            report.faults.push(fault);
        }
        reads
    }

    /// What may go wrong with a message that is taken.
    fn warn(&self, report: &mut Report, fields: &Fields, origins: &Origins, signal: &Signal) {
        self.warn_of_size(report, signal);
        if origins.placeholders("timestamp").contains(&"time") {
            report.warn(
                "timestamp",
                "{{time}} is when the bar began, so on a chart of 5 minutes an alert comes 5 minutes old and an entry is \
                 refused as stale: write {{timenow}}",
            );
        }
        self.warn_of_labels(report, fields, signal);
        if self.holds("strategy.order.comment") || self.holds(ALERT_MESSAGE) {
            report.warn(
                "comment",
                "a double quote or a line break in what the script writes breaks the JSON, and the alert is refused",
            );
        }
    }

    /// Warns of a size that is wrong where the strategy reverses.
    fn warn_of_size(&self, report: &mut Report, signal: &Signal) {
        if !self.holds("strategy.order.contracts") || !self.sized_by_contracts(signal) {
            return;
        }
        let text = match signal.action {
            Action::Long | Action::Short => {
                "if the strategy reverses, {{strategy.order.contracts}} is the old position plus the new one, which is too \
                 much, because LONG and SHORT close the old one themselves: use target with {{strategy.market_position}} \
                 and {{strategy.market_position_size}}"
            }
            Action::Buy | Action::Sell => {
                "if the strategy reverses, {{strategy.order.contracts}} is the old position plus the new one, which is \
                 right only while the account holds what the strategy holds: use target with \
                 {{strategy.market_position}} and {{strategy.market_position_size}}"
            }
            _ => return,
        };
        report.warn("quantity", text);
    }

    /// Warns of labels that are missing.
    fn warn_of_labels(&self, report: &mut Report, fields: &Fields, signal: &Signal) {
        if signal.timestamp.is_none() && !fields.has("timestamp") {
            report.warn(
                "timestamp",
                "without timestamp nobody can tell how old the alert is, nor which of two fired first: add \"timestamp\": \
                 \"{{timenow}}\"",
            );
        }
        if signal.strategy.is_none() && !fields.has("strategy") {
            report.warn(
                "strategy",
                "without strategy its alerts are put in order together with all others of the sender on the symbol: add \
                 \"strategy\" with a name of its own",
            );
        }
        let named = signal.order_id.is_some() || signal.idempotency_key.is_some();
        if named || fields.has("orderId") {
            return;
        }
        let text = if self.changes.is_empty() {
            "without orderId two alerts of one second that say the same are one signal: add \"orderId\" with a name of this \
             alert's own, such as \"long\""
        } else {
            "without orderId two equal fills in one second are one signal, because {{timenow}} has whole seconds: add \
             \"orderId\": \"{{strategy.order.id}}\""
        };
        report.warn("orderId", text);
    }

    /// Whether the size is the strategy's order's, whatever the field is called.
    fn sized_by_contracts(&self, signal: &Signal) -> bool {
        let (Some(first), Some(Sizing::Base(quantity))) = (self.changes.first(), signal.quantity)
        else {
            return false;
        };
        quantity.get() == first.contracts()
    }

    /// Warns of alerts that cannot be told apart.
    fn warn_of_identity(&self, report: &mut Report, reads: &[(Option<Change>, Option<Read>)]) {
        let Some((change, Some(first))) = reads.iter().find(|(_, read)| read.is_some()) else {
            return;
        };
        let later = self.now.plus_millis(LATER_MS);
        let again = fill(self.text, *change, later);
        let same = read(&without_key(&again), later).is_ok_and(|again| {
            again.identity.key == first.identity.key && first.identity.window_ms == WINDOW_LONG_MS
        });
        if same {
            let message = "the alert is the same signal each time it fires, so it trades once in 7 days: have idempotencyKey hold {{timenow}}, or leave it out and have timestamp hold {{timenow}}";
            report.warn("identity", message);
            return;
        }
        let keys: Vec<&str> = reads
            .iter()
            .filter_map(|(_, read)| read.as_ref())
            .filter(|read| !is_the_same_twice(&read.signal))
            .map(|read| read.identity.key.as_str())
            .collect();
        let mut once = keys.clone();
        once.sort_unstable();
        once.dedup();
        if once.len() < keys.len() {
            let message = "two different orders of one second are the same signal, so the second does not trade: have the message hold {{strategy.order.id}}, {{strategy.order.action}} and {{strategy.market_position_size}}";
            report.warn("identity", message);
        }
    }

    /// What each field means.
    fn fields(&self, fields: &Fields, passkey: Option<&str>) -> Vec<FieldReport> {
        let origins = self.origins();
        let cases = self.cases(fields);
        let mut rows: Vec<FieldReport> = passkey
            .map(|key| FieldReport {
                field: "apiKey".to_owned(),
                value: None,
                meaning: if key == crate::PASSKEY {
                    format!("put the sender's passkey where {key} stands")
                } else {
                    "the sender's passkey".to_owned()
                },
            })
            .into_iter()
            .collect();
        for name in fields.names() {
            let meant = meant(&cases, name, self.now);
            rows.push(FieldReport {
                field: name.to_owned(),
                value: meant.known.then(|| origins.written(name)).flatten(),
                meaning: meant.text,
            });
        }
        rows
    }

    /// The message's fields by each of the strategy's orders, or once.
    fn cases(&self, first: &Fields) -> Vec<(Option<Change>, Fields)> {
        if self.changes.is_empty() {
            return vec![(None, first.clone())];
        }
        let cases = self.changes.iter().filter_map(|change| {
            let filled = fill(self.text, Some(*change), self.now);
            let alert = Alert::parse(filled.as_bytes()).ok()?;
            Some((Some(*change), alert.fields().clone()))
        });
        cases.collect()
    }

    /// Which placeholders each field holds, and its value as it is written.
    fn origins(&self) -> Origins {
        let stand_in = |number: usize| format!("7710{number:04}93");
        let mut number: usize = 0;
        let mut order: Vec<String> = Vec::new();
        let coded = replaced(self.text, |name| {
            order.push(name.to_owned());
            let code = stand_in(number);
            number = number.saturating_add(1);
            Some(code)
        });
        let alert = Alert::parse(coded.as_bytes());
        let values = alert.map_or_else(
            |_| Vec::new(),
            |alert| {
                let values = alert.fields().iter().map(|(name, raw)| {
                    let mut text = string(raw.get()).unwrap_or_else(|| raw.get().to_owned());
                    let mut held = Vec::new();
                    for (number, placeholder) in order.iter().enumerate() {
                        let code = stand_in(number);
                        if text.contains(&code) {
                            text = text.replace(&code, &format!("{{{{{placeholder}}}}}"));
                            held.push(placeholder.clone());
                        }
                    }
                    (name.to_owned(), text, held)
                });
                values.collect()
            },
        );
        Origins(values)
    }
}

/// What a field means in the first case in which it changes the signal.
fn meant(cases: &[(Option<Change>, Fields)], name: &str, now: Timestamp) -> Meant {
    for (number, (change, fields)) in cases.iter().enumerate() {
        let Some((parts, whole)) = changed(fields, name, now) else {
            continue;
        };
        if parts.is_empty() {
            continue;
        }
        let texts: Vec<String> = parts
            .iter()
            .map(|part| meaning::of(part, &whole.signal))
            .collect();
        let mut text = texts.join("; ");
        if let Some(change) = change.filter(|_| number > 0) {
            text = format!("{text} (when the strategy {})", change.when);
        }
        return Meant { known: true, text };
    }
    let Some(read) = cases.first().and_then(|(_, fields)| faults(fields, now).1) else {
        return Meant::default();
    };
    // A note names what is not read.
    let names = |note: &String| {
        let names = note.strip_prefix("not read: ")?;
        names
            .split(", ")
            .find(|known| *known == name)
            .map(str::to_owned)
    };
    let known = read.signal.notes.iter().find_map(names).is_none();
    let text = if known {
        "changes no order"
    } else {
        "no field of Hoox's: kept in the record, changes no order"
    };
    Meant {
        known,
        text: text.to_owned(),
    }
}

/// The parts of the signal that a field is about: those that differ without it, or the one that is missing then. Also
/// the signal.
fn changed(fields: &Fields, name: &str, now: Timestamp) -> Option<(Vec<String>, Read)> {
    let (before, whole) = faults(fields, now);
    let whole = whole?;
    let (found, rest) = faults(&fields.without(name), now);
    let own = found.iter().find(|fault| fault.top() == name);
    let is_new = |fault: &&Fault| !before.iter().any(|known| known.field == fault.field);
    let missing = own.or_else(|| found.iter().find(is_new));
    let parts = match (missing, rest) {
        (Some(fault), _) => vec![meaning::part_of(fault.top()).to_owned()],
        (None, Some(rest)) => meaning::differences(&whole.signal, &rest.signal),
        (None, None) => Vec::new(),
    };
    Some((parts, whole))
}

/// What a field means.
#[derive(Default)]
struct Meant {
    /// Whether Hoox reads it.
    known: bool,
    text: String,
}

/// Fields by name, with their values as they are written and the placeholders in them.
struct Origins(Vec<(String, String, Vec<String>)>);

impl Origins {
    /// A field of the contract by its own name, or by another one that is read as it.
    fn of(&self, field: &str) -> Option<&(String, String, Vec<String>)> {
        let own = self.0.iter().find(|(name, ..)| name == field);
        own.or_else(|| self.0.iter().find(|(name, ..)| field_of(name) == field))
    }

    fn placeholders(&self, field: &str) -> Vec<&str> {
        self.of(field).map_or_else(Vec::new, |(.., held)| {
            held.iter().map(String::as_str).collect()
        })
    }

    fn written(&self, field: &str) -> Option<String> {
        let (_, text, _) = self.of(field)?;
        let shown: String = text.chars().take(MAX_SHOWN).collect();
        Some(if shown.len() < text.len() {
            format!("{shown}…")
        } else {
            shown
        })
    }
}

fn has_faulty_action(report: &Report) -> bool {
    let mut faults = report.faults.iter();
    faults.any(|fault| fault.field.as_deref() == Some("action") && fault.when.is_none())
}

/// Judges where the action comes from; false where that leaves nothing else to judge.
fn judge_action(report: &mut Report, origins: &Origins) -> bool {
    let names = origins.placeholders("action");
    if let Some(name) = names.iter().find(|name| is_written_by_a_script(name)) {
        report.verdict = Verdict::Unknown;
        report.unclear = Some(format!(
            "action is {{{{{name}}}}}, which the script writes: check the message with the word that it writes there"
        ));
        return false;
    }
    let written = origins.written("action").unwrap_or_default();
    let position = [
        "{{strategy.market_position}}",
        "{{strategy.prev_market_position}}",
    ];
    if position.contains(&written.trim()) {
        let message = format!(
            "action is {}, which says where the strategy stands and not what it does: an add or a partial exit would be \
             read as an entry. Write \"action\": \"target\", \"marketPosition\": \"{{{{strategy.market_position}}}}\", \
             \"marketPositionSize\": \"{{{{strategy.market_position_size}}}}\"",
            written.trim()
        );
        report
            .faults
            .push(Fault::new(Code::BadField, "action", message));
    }
    true
}

/// Of a message that stands in the script, wholly or in part.
fn written_by_the_script(mut report: Report) -> Report {
    report.verdict = Verdict::Unknown;
    let why = "the script writes the message when it fires (alert_message): check the text that stands there";
    report.unclear = Some(why.to_owned());
    report.sample.clear();
    report
}

/// Whether the script decides what stands for a placeholder.
fn is_written_by_a_script(name: &str) -> bool {
    matches!(
        name,
        "strategy.order.id" | "strategy.order.comment" | ALERT_MESSAGE
    ) || name.starts_with("plot")
}

/// Whether carrying it out twice in one second is the same as once: it says what is to be held, and not by how much it
/// is to change.
const fn is_the_same_twice(signal: &Signal) -> bool {
    match signal.action {
        Action::Target(_) | Action::Cancel => true,
        Action::Close | Action::CloseLong | Action::CloseShort => signal.quantity.is_none(),
        _ => false,
    }
}

/// The object without its passkey, as the journal has it.
fn without_key(text: &str) -> String {
    let alert = Alert::parse(text.as_bytes());
    alert.map_or_else(|_| text.to_owned(), |alert| alert.journal_json())
}

fn known(read: &Read, now: Timestamp) -> Known {
    let signal = &read.signal;
    let start = signal.timestamp.map_or(now, |own| own.min(now));
    let after = |deadline: Timestamp| seconds(deadline.since(start));
    Known {
        by_key: signal.idempotency_key.is_some(),
        window_seconds: seconds(read.identity.window_ms),
        entry_seconds: after(signal.deadline(now)),
        exit_seconds: after(signal.exit_deadline(now)),
        enters: signal.is_entry(),
    }
}

/// The text of a JSON string; `None` for any other value.
fn string(raw: &str) -> Option<String> {
    serde_json::from_str(raw).ok()
}

/// Takes secrets out of all that a report says.
fn hide(report: &mut Report, veil: &Veil) {
    let texts = report
        .faults
        .iter_mut()
        .map(|fault| &mut fault.message)
        .chain(
            report
                .warnings
                .iter_mut()
                .map(|warning| &mut warning.message),
        )
        .chain(report.notes.iter_mut());
    for text in texts {
        *text = veil.over(text);
    }
    for fault in &mut report.faults {
        fault.field = fault.field.as_deref().map(|field| veil.over(field));
    }
    for row in &mut report.fields {
        row.field = veil.over(&row.field);
        row.meaning = veil.over(&row.meaning);
        row.value = row.value.as_deref().map(|value| veil.over(value));
    }
}
