//! What texts of an alert hold besides their meaning: placeholders that were not filled in, and
//! numbers that do not exist.

/// `serde_json`'s words without its place.
pub(crate) fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rsplit_once(" at line ") {
        Some((reason, _)) => reason.to_owned(),
        None => text,
    }
}

/// The first 40 characters.
pub(crate) fn shorten(text: &str) -> String {
    text.chars().take(40).collect()
}

/// How Pine and others write a number that does not exist.
pub(crate) fn is_no_number(text: &str) -> bool {
    let text = text.trim_start_matches(['-', '+']);
    [
        "nan",
        "na",
        "n/a",
        "inf",
        "infinity",
        "null",
        "none",
        "undefined",
    ]
    .iter()
    .any(|known| text.eq_ignore_ascii_case(known))
}

/// The first `{{placeholder}}` in a text.
pub(crate) fn placeholder(text: &str) -> Option<&str> {
    let from = text.get(text.find("{{")?..)?;
    from.get(..from.find("}}")?.checked_add(2)?)
}

/// Why TradingView left a placeholder as it was, and what to do.
/// Placeholders: tradingview.com/support/solutions/43000531021.
pub(crate) fn why_unfilled(placeholder: &str) -> &'static str {
    const ANY_ALERT: [&str; 13] = [
        "ticker",
        "exchange",
        "open",
        "high",
        "low",
        "close",
        "volume",
        "time",
        "timenow",
        "interval",
        "syminfo.currency",
        "syminfo.basecurrency",
        "plot",
    ];
    let name = placeholder.trim_matches(['{', '}']);
    if name.trim() != name {
        return "write it without spaces";
    }
    if name.starts_with("strategy.") {
        return "only alerts of a strategy fill it in; make the alert on a strategy, or write a value";
    }
    if ANY_ALERT.contains(&name) || name.starts_with("plot") {
        return "TradingView fills it in when an alert fires; was this sent by hand, or has the script no such plot?";
    }
    "TradingView knows no such placeholder; check its spelling"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_first_placeholder() {
        assert_eq!(placeholder("a {{x}} {{y}}"), Some("{{x}}"));
        assert_eq!(placeholder("{{plot(\"RSI\")}}"), Some("{{plot(\"RSI\")}}"));
        for text in ["", "{{", "{{x}", "}}{{", "{x}"] {
            assert_eq!(placeholder(text), None, "{text}");
        }
    }
}
