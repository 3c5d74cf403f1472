//! A symbol that the venue does not list: its name, what it may have meant, and what to write.

use hoox_exchange::{ErrorClass, Venue, VenueError, multiple, near};
use hoox_model::{Code, Effect, Product, Symbol, Venue as VenueName};
use hoox_risk::Refused;

use crate::drive::Desk;
use crate::port::{LedgerError, Ports};
use crate::row::SignalRow;

impl<P: Ports> Desk<'_, P> {
    /// The refusal of a signal whose symbol the venue does not list. Only for its sentence is the list of symbols read, in
    /// one call.
    pub(crate) async fn unlisted(
        &self,
        venue: &P::Venue,
        row: &SignalRow,
        error: &VenueError,
    ) -> Result<Refused, LedgerError> {
        let listed = self.listed(venue, row.product).await?;
        let matches = listed.map(|listed| near(&row.symbol, &listed));
        let name = venue.traits().venue;
        let message = sentence(name, row.product, &row.symbol, matches.as_deref(), error);
        Ok(Refused::new(Code::UnknownSymbol, message))
    }

    /// The venue's symbols; `None` where it is left alone or does not tell. Nothing is refused, tried again or held up
    /// for that; but a limit or a ban that it answers with is heeded.
    async fn listed(
        &self,
        venue: &P::Venue,
        product: Product,
    ) -> Result<Option<Vec<Symbol>>, LedgerError> {
        if self.is_paused()? || self.is_banned()? {
            return Ok(None);
        }
        self.hold()?;
        match venue.symbols(product).await {
            Ok(listed) => Ok(Some(listed)),
            Err(error) => {
                if matches!(error.class, ErrorClass::RateLimited | ErrorClass::Banned) {
                    self.venue_failed(&error, Effect::Open)?;
                }
                Ok(None)
            }
        }
    }
}

/// What is said of an unknown symbol. `matches` are the listed ones like it, the best first.
fn sentence(
    venue: VenueName,
    product: Product,
    symbol: &Symbol,
    matches: Option<&[Symbol]>,
    error: &VenueError,
) -> String {
    let (kind, ending) = match product {
        Product::Linear => ("linear perpetual", ".P"),
        Product::Spot => ("spot symbol", ""),
    };
    let unknown = format!("{venue} lists no {kind} {symbol}");
    let Some(matches) = matches else {
        return format!(
            "{unknown} ({error}); look up at {venue} how it is written there, such as BTCUSDT{ending}"
        );
    };
    let Some(best) = matches.first() else {
        return format!(
            "{unknown}, and none with a name near it; Hoox trades only what {venue} lists, such as BTCUSDT{ending}"
        );
    };
    let names: Vec<&str> = matches.iter().map(Symbol::as_str).collect();
    let coins = multiple(best);
    let counts = if coins == multiple(symbol) {
        String::new()
    } else {
        // Quantity and price mean something else then.
        format!(", which counts {} in quantity and price", counted(coins))
    };
    format!(
        "{unknown} (near it: {}); write \"symbol\": \"{best}{ending}\"{counts}",
        names.join(", ")
    )
}

/// What one of a contract is.
fn counted(coins: u32) -> String {
    match coins {
        1 => "single coins".to_owned(),
        coins => format!("{coins} coins as one"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(wanted: &str, matches: Option<&[&str]>) -> String {
        let matches: Option<Vec<Symbol>> =
            matches.map(|names| names.iter().map(|name| name.parse().unwrap()).collect());
        sentence(
            VenueName::Bybit,
            Product::Linear,
            &wanted.parse().unwrap(),
            matches.as_deref(),
            &VenueError::new(
                ErrorClass::UnknownSymbol,
                "10001",
                "params error: symbol invalid",
            ),
        )
    }

    #[test]
    fn the_symbol_is_named_with_what_to_write() {
        for (wanted, matches, expected) in [
            (
                "BTCUSDTPERP",
                Some(&["BTCUSDT", "BTCPERP"][..]),
                "bybit lists no linear perpetual BTCUSDTPERP (near it: BTCUSDT, BTCPERP); write \"symbol\": \"BTCUSDT.P\"",
            ),
            (
                "PEPEUSDT",
                Some(&["1000PEPEUSDT"]),
                "bybit lists no linear perpetual PEPEUSDT (near it: 1000PEPEUSDT); write \"symbol\": \"1000PEPEUSDT.P\", which counts 1000 coins as one in quantity and price",
            ),
            (
                "1000DOGEUSDT",
                Some(&["DOGEUSDT"]),
                "bybit lists no linear perpetual 1000DOGEUSDT (near it: DOGEUSDT); write \"symbol\": \"DOGEUSDT.P\", which counts single coins in quantity and price",
            ),
            (
                "DXY",
                Some(&[]),
                "bybit lists no linear perpetual DXY, and none with a name near it; Hoox trades only what bybit lists, such as BTCUSDT.P",
            ),
            (
                "DXY",
                None,
                "bybit lists no linear perpetual DXY (params error: symbol invalid (10001)); look up at bybit how it is written there, such as BTCUSDT.P",
            ),
        ] {
            assert_eq!(said(wanted, matches), expected);
        }
    }
}
