//! Which listed symbols a symbol that is not listed may have meant.

use hoox_model::Symbol;

/// Most symbols that are named.
const MOST: usize = 3;
/// Currencies that contracts are quoted in, the longest first, and how well each one stands for another. `PERP` is how
/// Bybit ends contracts that are settled in USDC.
const QUOTES: [(&str, u32); 7] = [
    ("FDUSD", 4),
    ("USDT", 0),
    ("USDC", 1),
    ("PERP", 1),
    ("USDE", 4),
    ("USD", 2),
    ("EUR", 3),
];
/// What other venues and people put behind a perpetual's name.
const ENDINGS: [&str; 5] = ["PERPETUAL", "PERP", "SWAP", "FUTURES", "P"];

/// How far apart two names are, the worst first.
const OTHER_MULTIPLE: u32 = 1;
const OTHER_QUOTE: u32 = 10;
const BEGINS_LIKE: u32 = 20;
const MISSPELT: u32 = 30;

/// A symbol taken apart.
#[derive(Debug, PartialEq, Eq)]
struct Parts<'a> {
    base: &'a str,
    /// How many coins one contract counts as one, as far as the name says.
    multiple: u32,
    quote: Option<(&'a str, u32)>,
}

impl<'a> Parts<'a> {
    fn of(symbol: &'a str) -> Self {
        let quoted = QUOTES.iter().find_map(|(quote, rank)| {
            let base = symbol.strip_suffix(quote).filter(|base| !base.is_empty())?;
            Some((base, (*quote, *rank)))
        });
        let (base, quote) = match quoted {
            Some((base, quote)) => (base, Some(quote)),
            None => (symbol, None),
        };
        let (base, multiple) = without_multiple(base);
        let base = if base == "XBT" { "BTC" } else { base };
        Self {
            base,
            multiple,
            quote,
        }
    }

    /// Its parts, and those without what others put behind a perpetual's name.
    fn readings(symbol: &'a str) -> impl Iterator<Item = Self> {
        let shorter = ENDINGS.iter().filter_map(|ending| {
            let shorter = symbol.strip_suffix(ending)?;
            Some(Self::of(shorter)).filter(|parts| parts.quote.is_some())
        });
        core::iter::once(Self::of(symbol)).chain(shorter)
    }

    /// How far a listed symbol is from this one; `None` where it is none like it.
    fn distance(&self, listed: &Parts<'_>) -> Option<u32> {
        let (listed_quote, rank) = listed.quote?;
        let quote = match self.quote {
            Some((quote, _)) if same_quote(quote, listed_quote) => 0,
            _ => OTHER_QUOTE.saturating_add(rank),
        };
        let multiple = if self.multiple == listed.multiple {
            0
        } else {
            OTHER_MULTIPLE
        };
        let base = if self.base == listed.base {
            0
        } else if self.quote.is_some() && is_misspelt(self.base, listed.base) {
            MISSPELT
        } else {
            return None;
        };
        Some(base.saturating_add(quote).saturating_add(multiple))
    }
}

/// How many coins one unit of a contract counts, by its name: 1000 for `1000PEPEUSDT` and `SHIB1000USDT`.
pub fn multiple(symbol: &Symbol) -> u32 {
    Parts::of(symbol.as_str()).multiple
}

/// The listed symbols that are most like one that is not listed, the best first, three at most: of the same coin in another
/// multiple or quote currency, with another ending for perpetuals, or misspelt by one letter. The answer does not depend
/// on the order of the list.
pub fn near(wanted: &Symbol, listed: &[Symbol]) -> Vec<Symbol> {
    let ranked = |symbol: &'_ Symbol| {
        let distance = distance(wanted.as_str(), symbol.as_str())?;
        Some((distance, symbol.as_str().len()))
    };
    let mut found: Vec<Symbol> = Vec::new();
    let mut worst = None;
    // A pass for each, which needs no sorting: this is asked seldom.
    while found.len() < MOST {
        let candidates = listed
            .iter()
            .filter_map(|symbol| Some((ranked(symbol)?, symbol)));
        let Some(next) = candidates.filter(|next| worst < Some(*next)).min() else {
            break;
        };
        found.push(next.1.clone());
        worst = Some(next);
    }
    found
}

fn distance(wanted: &str, symbol: &str) -> Option<u32> {
    let listed = Parts::of(symbol);
    let by_parts = Parts::readings(wanted).filter_map(|parts| parts.distance(&listed));
    by_parts
        .min()
        .or_else(|| {
            // `BTCUSDT3L`, `BTCUSDTQ2026`; the longest name that it begins with is the best.
            let rest = wanted.strip_prefix(symbol)?.len();
            listed.quote?;
            let rest = u32::try_from(rest).unwrap_or(u32::MAX);
            Some(BEGINS_LIKE.saturating_add(rest.min(9)))
        })
        .or_else(|| {
            let whole = Parts::of(wanted).quote.is_none() && is_misspelt(wanted, symbol);
            whole.then_some(MISSPELT)
        })
}

/// `PERP` stands for USDC, in which such contracts are settled.
fn same_quote(one: &str, other: &str) -> bool {
    let usdc = |quote| matches!(quote, "USDC" | "PERP");
    one == other || (usdc(one) && usdc(other))
}

/// A coin's name without the multiple before it (`1000PEPE`, `1MBABYDOGE`) or behind it (`SHIB1000`).
fn without_multiple(base: &str) -> (&str, u32) {
    const MULTIPLES: [(&str, u32); 5] = [
        ("1000000", 1_000_000),
        ("1M", 1_000_000),
        ("100000", 100_000),
        ("10000", 10_000),
        ("1000", 1_000),
    ];
    let found = MULTIPLES.iter().find_map(|(digits, multiple)| {
        let rest = base
            .strip_prefix(digits)
            .or_else(|| base.strip_suffix(digits))?;
        let is_coin = rest.bytes().any(|byte| byte.is_ascii_alphabetic());
        is_coin.then_some((rest, *multiple))
    });
    found.unwrap_or((base, 1))
}

/// Whether two names differ by one letter that is missing, too much, another one, or in its neighbour's place. Names of
/// three letters are too many to be told apart that way, but for two letters that changed places.
fn is_misspelt(one: &str, other: &str) -> bool {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    let (short, long) = if one.len() <= other.len() {
        (one, other)
    } else {
        (other, one)
    };
    let start = short.iter().zip(long).take_while(|(a, b)| a == b).count();
    let (short_rest, long_rest) = (short.get(start..), long.get(start..));
    let (Some(short_rest), Some(long_rest)) = (short_rest, long_rest) else {
        return false;
    };
    let swapped = matches!(
        (short_rest, long_rest),
        ([a, b, one @ ..], [c, d, other @ ..]) if a == d && b == c && a != b && one == other
    );
    if short.len() < 4 {
        return swapped && short.len() == 3;
    }
    let replaced = short.len() == long.len() && short_rest.get(1..) == long_rest.get(1..);
    let missing = long_rest.get(1..) == Some(short_rest);
    swapped || replaced || missing
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LISTED: [&str; 22] = [
        "BTCUSDT",
        "BTCPERP",
        "ETHUSDT",
        "ETHPERP",
        "SOLUSDT",
        "SOLPERP",
        "XRPUSDT",
        "WIFUSDT",
        "1000PEPEUSDT",
        "1000PEPEPERP",
        "1000BONKUSDT",
        "1000000BABYDOGEUSDT",
        "10000SATSUSDT",
        "SHIB1000USDT",
        "BNBUSDT",
        "BCHUSDT",
        "LTCUSDT",
        "DYDXUSDT",
        "DYMUSDT",
        "TONUSDT",
        "USDCUSDT",
        "DOGEUSDT",
    ];

    fn symbols(names: &[&str]) -> Vec<Symbol> {
        names.iter().map(|name| name.parse().unwrap()).collect()
    }

    fn found(wanted: &str) -> Vec<String> {
        let found = near(&wanted.parse().unwrap(), &symbols(&LISTED));
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_may_have_been_meant_comes_best_first() {
        for (wanted, expected) in [
            // Endings for perpetuals.
            ("BTCUSDTPERP", &["BTCUSDT", "BTCPERP"][..]),
            ("BTCUSDTP", &["BTCUSDT", "BTCPERP"]),
            ("ETHUSDTSWAP", &["ETHUSDT", "ETHPERP"]),
            ("ETHUSDCPERP", &["ETHPERP", "ETHUSDT"]),
            ("DOGEPERP", &["DOGEUSDT"]),
            // Another quote currency, or none.
            ("BTCUSDC", &["BTCPERP", "BTCUSDT"]),
            ("BTCUSD", &["BTCUSDT", "BTCPERP"]),
            ("BTC", &["BTCUSDT", "BTCPERP"]),
            ("XBTUSD", &["BTCUSDT", "BTCPERP"]),
            ("LTCEUR", &["LTCUSDT"]),
            // Multiples.
            ("PEPEUSDT", &["1000PEPEUSDT", "1000PEPEPERP"]),
            ("PEPEUSDC", &["1000PEPEPERP", "1000PEPEUSDT"]),
            ("PEPE", &["1000PEPEUSDT", "1000PEPEPERP"]),
            ("PEPEUSDTPERP", &["1000PEPEUSDT", "1000PEPEPERP"]),
            ("BABYDOGEUSDT", &["1000000BABYDOGEUSDT"]),
            ("1MBABYDOGEUSDT", &["1000000BABYDOGEUSDT"]),
            ("1000SHIBUSDT", &["SHIB1000USDT"]),
            ("SHIBUSDT", &["SHIB1000USDT"]),
            ("1000DOGEUSDT", &["DOGEUSDT"]),
            ("SATSUSDT", &["10000SATSUSDT"]),
            // Misspelt.
            ("DOGGEUSDT", &["DOGEUSDT"]),
            ("DOEGUSDT", &["DOGEUSDT"]),
            ("BTCUSTD", &["BTCUSDT"]),
            ("BTCUSDTT", &["BTCUSDT"]),
            ("BCTUSDT", &["BTCUSDT", "BTCPERP"]),
            ("PEPPEUSDT", &["1000PEPEUSDT", "1000PEPEPERP"]),
            ("BTCUSDT3L", &["BTCUSDT"]),
            // Another coin is none that was meant.
            ("DXY", &[]),
            ("SPX500", &[]),
            ("AAPL", &[]),
            ("NOPEUSDT", &[]),
            ("BTTUSDT", &[]),
            ("XAUUSD", &[]),
            ("USDT", &[]),
        ] {
            assert_eq!(found(wanted), expected, "{wanted}");
        }
    }

    #[test]
    fn a_name_says_how_many_coins_it_counts() {
        for (name, coins) in [
            ("BTCUSDT", 1),
            ("1000PEPEUSDT", 1_000),
            ("SHIB1000USDT", 1_000),
            ("10000SATSUSDT", 10_000),
            ("1000000BABYDOGEUSDT", 1_000_000),
            ("1000USDT", 1),
        ] {
            assert_eq!(multiple(&name.parse().unwrap()), coins, "{name}");
        }
    }

    proptest! {
        #[test]
        fn any_symbol_finds_three_listed_ones_at_most_in_an_order_of_their_own(
            wanted in "[A-Z0-9]{2,30}",
            listed in proptest::collection::vec("(1000)?[A-D]{1,4}(USDT|PERP|USDC|)", 0..40),
        ) {
            let wanted = wanted.parse().unwrap();
            let mut listed: Vec<Symbol> = listed.iter().filter_map(|name| name.parse().ok()).collect();
            let found = near(&wanted, &listed);
            prop_assert!(found.len() <= MOST);
            prop_assert!(found.iter().all(|symbol| listed.contains(symbol)));
            listed.reverse();
            prop_assert_eq!(near(&wanted, &listed), found);
        }
    }
}
