//! What TradingView makes of a message when the alert fires: plain substitution of text.
//! Placeholders: tradingview.com/support/solutions/43000531021.

use hoox_model::{Decimal, Timestamp};

/// An order of a strategy, as the position before and after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// What the strategy does.
    pub when: &'static str,
    /// Position before, in tenths of the base currency; below zero for short.
    before: i64,
    /// Position after.
    after: i64,
}

impl Change {
    /// A change from one position to another one, both in tenths of the base currency, below zero for short.
    pub const fn new(when: &'static str, before: i64, after: i64) -> Self {
        Self {
            when,
            before,
            after,
        }
    }

    /// Position before, below zero for short.
    pub fn before(self) -> Decimal {
        Decimal::new(self.before, 1).normalize()
    }

    /// Position after, below zero for short.
    pub fn after(self) -> Decimal {
        Decimal::new(self.after, 1).normalize()
    }

    /// `strategy.order.action`.
    pub const fn action(self) -> &'static str {
        if self.after > self.before {
            "buy"
        } else {
            "sell"
        }
    }

    /// `strategy.order.id`, as scripts name their orders: all entries of a side alike.
    pub const fn order_id(self) -> &'static str {
        match (self.before.signum(), self.after.signum()) {
            (1, 0 | 1) if self.after < self.before => "Exit long",
            (-1, -1 | 0) if self.after > self.before => "Exit short",
            (_, 1) => "Long",
            _ => "Short",
        }
    }

    /// `strategy.order.contracts`: on a reversal the old size plus the new one.
    pub fn contracts(self) -> Decimal {
        let size = self.after.saturating_sub(self.before).saturating_abs();
        Decimal::new(size, 1).normalize()
    }
}

/// Every kind of order that a strategy can send.
pub const CHANGES: [Change; 10] = [
    Change::new("enters long", 0, 5),
    Change::new("adds to the long", 5, 8),
    Change::new("closes a part of the long", 8, 5),
    Change::new("closes the long", 5, 0),
    Change::new("turns from long to short", 5, -5),
    Change::new("enters short", 0, -5),
    Change::new("adds to the short", -5, -8),
    Change::new("closes a part of the short", -8, -5),
    Change::new("closes the short", -5, 0),
    Change::new("turns from short to long", -5, 5),
];

/// The message as it is sent at `now`. Without a change it is not a strategy's alert, and the placeholders that only
/// strategies fill stay as they are; so do those that TradingView does not know.
pub fn fill(text: &str, change: Option<Change>, now: Timestamp) -> String {
    replaced(text, |name| value(name, change, now))
}

/// The names of the placeholders in a text, each once, in order.
pub fn placeholders(text: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    replaced(text, |name| {
        if !found.iter().any(|known| known == name) {
            found.push(name.to_owned());
        }
        None
    });
    found
}

/// A text with what stands between `{{` and `}}` replaced; what is replaced by nothing stays.
pub(crate) fn replaced(text: &str, mut value: impl FnMut(&str) -> Option<String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, from)) = rest.split_once("{{") {
        let Some((name, after)) = from.split_once("}}") else {
            break;
        };
        out.push_str(before);
        if let Some(value) = value(name) {
            out.push_str(&value);
        } else {
            out.push_str("{{");
            out.push_str(name);
            out.push_str("}}");
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

/// What TradingView fills in for a placeholder, here of a perpetual that trades at 100.
pub(crate) fn value(name: &str, change: Option<Change>, now: Timestamp) -> Option<String> {
    const MINUTE: i64 = 60_000;
    let at = |moment: Timestamp| {
        let text = moment.to_string();
        text.split_once('.')
            .map_or(text.clone(), |(seconds, _)| format!("{seconds}Z"))
    };
    let fixed = match name {
        "timenow" => return Some(at(now)),
        // The bar that is open now, on a chart of one minute.
        "time" => {
            let into = now.as_millis().rem_euclid(MINUTE).saturating_neg();
            return Some(at(now.plus_millis(into)));
        }
        "ticker" => "BTCUSDT.P",
        "exchange" => "BYBIT",
        "interval" => "1",
        "open" | "high" | "low" | "close" => "100",
        "volume" => "1000",
        "syminfo.currency" => "USDT",
        "syminfo.basecurrency" => "BTC",
        _ if is_plot(name) => "1",
        _ => return of_strategy(name, change?),
    };
    Some(fixed.to_owned())
}

fn of_strategy(name: &str, change: Change) -> Option<String> {
    let side = |position: Decimal| {
        if position.is_zero() {
            "flat"
        } else if position.is_sign_positive() {
            "long"
        } else {
            "short"
        }
    };
    let (before, after) = (change.before(), change.after());
    Some(match name {
        "strategy.order.action" => change.action().to_owned(),
        "strategy.order.contracts" => change.contracts().to_string(),
        "strategy.order.price" => "100".to_owned(),
        "strategy.order.id" | "strategy.order.comment" => change.order_id().to_owned(),
        "strategy.order.alert_message" => String::new(),
        "strategy.position_size" => after.to_string(),
        "strategy.market_position" => side(after).to_owned(),
        "strategy.market_position_size" => after.abs().to_string(),
        "strategy.prev_market_position" => side(before).to_owned(),
        "strategy.prev_market_position_size" => before.abs().to_string(),
        _ => return None,
    })
}

/// `plot_0` to `plot_19`, and `plot("Name")`.
fn is_plot(name: &str) -> bool {
    let numbered = name
        .strip_prefix("plot_")
        .and_then(|number| number.parse::<u8>().ok())
        .is_some_and(|number| number < 20);
    let named = name
        .strip_prefix("plot(\"")
        .is_some_and(|rest| rest.ends_with("\")"));
    numbered || named
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_780_000_003_000);

    #[test]
    fn a_reversal_is_filled_in_as_tradingview_does() {
        let reversal = Change::new("turns", 5, -5);
        let text = r"{{strategy.order.action}} {{strategy.order.contracts}} {{strategy.market_position}} {{strategy.market_position_size}} {{strategy.prev_market_position}} {{strategy.position_size}}";
        assert_eq!(
            fill(text, Some(reversal), NOW),
            "sell 1 short 0.5 long -0.5"
        );
        // In an alert that is no strategy's they stay.
        assert_eq!(fill(text, None, NOW), text);
    }

    #[test]
    fn orders_are_named_as_scripts_name_them() {
        let names = CHANGES.map(Change::order_id);
        assert_eq!(
            names,
            [
                "Long",
                "Long",
                "Exit long",
                "Exit long",
                "Short",
                "Short",
                "Short",
                "Exit short",
                "Exit short",
                "Long"
            ]
        );
    }

    #[test]
    fn what_any_alert_fills_in() {
        let text = r#"{{timenow}} {{time}} {{ticker}} {{plot_3}} {{plot("RSI")}}"#;
        assert_eq!(
            fill(text, None, NOW),
            "2026-05-28T20:26:43Z 2026-05-28T20:26:00Z BTCUSDT.P 1 1"
        );
        for stays in ["{{ timenow }}", "{{plot_20}}", "{{tiker}}", "{{", "a {{b"] {
            assert_eq!(fill(stays, None, NOW), stays);
        }
    }

    #[test]
    fn names_are_found_once_and_in_order() {
        assert_eq!(placeholders("{{b}} {{a}} {{b}} {{"), ["b", "a"]);
    }
}
