//! The ways alerts write a symbol.

use hoox_model::{Code, Product, Symbol, Venue};
use serde::{Deserialize, Serialize};

use crate::SignalError;
use crate::broken::odd_in;
use crate::hint::shorten;

/// What the alert's `symbol` and `market` say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SymbolRef {
    /// The symbol in Hoox's one spelling.
    pub symbol: Symbol,
    /// The product, where `.P`, `:USDT` or `market` says it; else the account's default holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product: Option<Product>,
    /// The exchange before the colon, where it is a venue Hoox knows. Only the last resort of
    /// routing: a chart of one exchange may trade on another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub venue_prefix: Option<Venue>,
}

/// The venue of this name, in any case, also with the `_DL` or `_DLY` that TradingView appends
/// where data is delayed.
pub(crate) fn venue_of(text: &str) -> Option<Venue> {
    let upper = text.to_ascii_uppercase();
    let name = upper
        .strip_suffix("_DLY")
        .or_else(|| upper.strip_suffix("_DL"))
        .unwrap_or(&upper);
    name.parse().ok()
}

/// Reads `[EXCHANGE:]TICKER[.P]` and `BASE/QUOTE[:SETTLE]`, where `_` and `-` may stand for `/`.
///
/// A prefix of an exchange Hoox does not know is ignored with a note. `.P` and a settlement
/// currency equal to the quote currency mean [`Product::Linear`]; contracts settled in another
/// currency are refused. A bare `BASE/QUOTE` says nothing about the product.
pub(crate) fn read(
    text: &str,
    market: Option<Product>,
    notes: &mut Vec<String>,
) -> Result<SymbolRef, SignalError> {
    let refuse = || {
        let message = match odd_in(text) {
            Some((what, advice)) => format!("symbol holds {what}: {advice}"),
            None => format!(
                "'{}' is not a symbol: write it like BTCUSDT, BYBIT:BTCUSDT.P or BTC/USDT:USDT",
                shorten(text)
            ),
        };
        SignalError::new(Code::UnknownSymbol, "symbol", message)
    };
    let (prefix, rest) = match text.split_once(':') {
        Some((before, after)) if !before.contains('/') => (Some(before), after),
        _ => (None, text),
    };
    let mut venue_prefix = None;
    if let Some(prefix) = prefix {
        let fits = (1..=30).contains(&prefix.len())
            && prefix
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if !fits {
            return Err(refuse());
        }
        venue_prefix = venue_of(prefix);
        if venue_prefix.is_none() {
            notes.push(format!(
                "the prefix {prefix} of symbol is no exchange Hoox trades on and was ignored"
            ));
        }
    }
    let (pair, settle) = match rest.split_once(':') {
        Some((pair, settle)) => (pair, Some(settle)),
        None => (rest, None),
    };
    let (pair, perpetual) = match pair.strip_suffix(".P").or_else(|| pair.strip_suffix(".p")) {
        Some(pair) => (pair, true),
        None => (pair, false),
    };
    let (symbol, quote) = match pair.split_once(['/', '_', '-']) {
        Some((base, quote)) if !base.is_empty() && !quote.is_empty() => {
            (format!("{base}{quote}"), Some(quote))
        }
        Some(_) => return Err(refuse()),
        None => (pair.to_owned(), None),
    };
    let symbol: Symbol = symbol.parse().map_err(|_| refuse())?;
    let settled = match (settle, quote) {
        (None, _) => false,
        (Some(settle), Some(quote)) if settle.eq_ignore_ascii_case(quote) => true,
        _ => return Err(refuse()),
    };
    let product = (perpetual || settled).then_some(Product::Linear);
    if let (Some(product), Some(market)) = (product, market)
        && product != market
    {
        return Err(SignalError::bad(
            "market",
            format!(
                "market {market} does not agree with symbol {}, which is a perpetual",
                shorten(text)
            ),
        ));
    }
    Ok(SymbolRef {
        symbol,
        product: product.or(market),
        venue_prefix,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(
        text: &str,
        market: Option<Product>,
    ) -> (String, Option<Product>, Option<Venue>, usize) {
        let mut notes = Vec::new();
        let read = read(text, market, &mut notes).unwrap();
        (
            read.symbol.to_string(),
            read.product,
            read.venue_prefix,
            notes.len(),
        )
    }

    #[test]
    fn every_documented_form_reads() {
        let linear = Some(Product::Linear);
        let bybit = Some(Venue::Bybit);
        for (text, symbol, product, prefix, notes) in [
            ("BTCUSDT", "BTCUSDT", None, None, 0),
            ("btcusdt", "BTCUSDT", None, None, 0),
            ("BTCUSDT.P", "BTCUSDT", linear, None, 0),
            ("btcusdt.p", "BTCUSDT", linear, None, 0),
            ("BYBIT:BTCUSDT.P", "BTCUSDT", linear, bybit, 0),
            ("BYBIT:BTCUSDT", "BTCUSDT", None, bybit, 0),
            ("bybit_dly:BTCUSDT.P", "BTCUSDT", linear, bybit, 0),
            ("BYBIT_DL:BTCUSDT.P", "BTCUSDT", linear, bybit, 0),
            (
                "BINANCE:1000PEPEUSDT.P",
                "1000PEPEUSDT",
                linear,
                Some(Venue::Binance),
                0,
            ),
            ("COINBASE:BTCUSD", "BTCUSD", None, None, 1),
            ("BTC/USDT", "BTCUSDT", None, None, 0),
            ("BTC/USDT:USDT", "BTCUSDT", linear, None, 0),
            ("BYBIT:BTC/USDT:USDT", "BTCUSDT", linear, bybit, 0),
            ("BTC_USDT", "BTCUSDT", None, None, 0),
            ("BTC-USDT", "BTCUSDT", None, None, 0),
        ] {
            assert_eq!(
                parse(text, None),
                (symbol.to_owned(), product, prefix, notes),
                "{text}"
            );
        }
    }

    #[test]
    fn market_says_the_product_unless_the_symbol_does() {
        assert_eq!(parse("BTCUSDT", Some(Product::Spot)).1, Some(Product::Spot));
        assert_eq!(
            parse("BTCUSDT.P", Some(Product::Linear)).1,
            Some(Product::Linear)
        );
        let error = read("BTCUSDT.P", Some(Product::Spot), &mut Vec::new()).unwrap_err();
        assert_eq!(
            (error.code, error.field.as_deref()),
            (Code::BadField, Some("market"))
        );
    }

    #[test]
    fn what_is_not_seen_in_a_symbol_is_named() {
        for (text, what) in [
            ("BTCUSDT\u{a0}", "a no-break space (U+00A0)"),
            ("\u{200b}BTCUSDT", "an invisible character (U+200B)"),
        ] {
            let error = read(text, None, &mut Vec::new()).unwrap_err();
            assert_eq!(error.code, Code::UnknownSymbol);
            assert!(
                error.message.starts_with(&format!("symbol holds {what}: ")),
                "{error}"
            );
        }
    }

    #[test]
    fn what_is_no_symbol_is_refused() {
        for text in [
            "",
            ":",
            "BTC/",
            "/USDT",
            "BTC//USDT",
            "BTC USDT",
            "BTC/USD:BTC",
            "BTC/USDT:USDT-260626",
            "BTCUSDT:USDT:USDT",
            "BYBIT:",
            ":BTCUSDT",
            "BTC-USDT-SWAP",
            "BTCUSDT.PS",
            "ÄÖ",
            ".P",
            "BY BIT:BTCUSDT",
            "BTC/USDT/ETH",
        ] {
            let error = read(text, None, &mut Vec::new()).unwrap_err();
            assert_eq!(
                (error.code, error.field.as_deref()),
                (Code::UnknownSymbol, Some("symbol")),
                "{text}"
            );
        }
    }
}
