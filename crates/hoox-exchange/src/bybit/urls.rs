//! Hosts and paths of API v5, and the encoding of queries.
//!
//! Source: <https://bybit-exchange.github.io/docs/v5/guide>.

/// Live trading.
pub const LIVE: &str = "https://api.bybit.com";
/// The test network, with keys of its own.
pub const TESTNET: &str = "https://api-testnet.bybit.com";

pub(crate) const TIME: &str = "/v5/market/time";
pub(crate) const INSTRUMENTS: &str = "/v5/market/instruments-info";
pub(crate) const TICKERS: &str = "/v5/market/tickers";
pub(crate) const POSITIONS: &str = "/v5/position/list";
pub(crate) const SET_LEVERAGE: &str = "/v5/position/set-leverage";
pub(crate) const WALLET_BALANCE: &str = "/v5/account/wallet-balance";
pub(crate) const API_KEY: &str = "/v5/user/query-api";
pub(crate) const CREATE_ORDER: &str = "/v5/order/create";
pub(crate) const CANCEL_ORDER: &str = "/v5/order/cancel";
pub(crate) const OPEN_ORDERS: &str = "/v5/order/realtime";
pub(crate) const ORDER_HISTORY: &str = "/v5/order/history";
pub(crate) const EXECUTIONS: &str = "/v5/execution/list";

/// A query as it is signed and sent.
#[derive(Debug, Clone, Default)]
pub(crate) struct Query(String);

impl Query {
    /// Adds `name=value`, percent-encoding the value (RFC 3986).
    pub(crate) fn with(self, name: &str, value: &str) -> Self {
        self.push(name, value, false)
    }

    /// Adds a page's cursor, which Bybit hands out percent-encoded already.
    pub(crate) fn with_cursor(self, cursor: &str) -> Self {
        self.push("cursor", cursor, true)
    }

    fn push(mut self, name: &str, value: &str, keep_percent: bool) -> Self {
        if !self.0.is_empty() {
            self.0.push('&');
        }
        self.0.push_str(name);
        self.0.push('=');
        for byte in value.bytes() {
            let plain = byte.is_ascii_alphanumeric()
                || matches!(byte, b'-' | b'_' | b'.' | b'~')
                || (keep_percent && byte == b'%');
            if plain {
                self.0.push(char::from(byte));
            } else {
                const HEX: [char; 16] = [
                    '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F',
                ];
                self.0.push('%');
                self.0.extend(HEX.get(usize::from(byte >> 4)));
                self.0.extend(HEX.get(usize::from(byte & 15)));
            }
        }
        self
    }

    /// The query without its question mark.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodes_values_and_keeps_an_encoded_cursor() {
        let query = Query::default()
            .with("symbol", "BTC USDT&side=ä")
            .with("orderLinkId", "hx-01_a.b~c")
            .with_cursor("first%3DBIOUSDT%26last=x");
        assert_eq!(
            query.as_str(),
            "symbol=BTC%20USDT%26side%3D%C3%A4&orderLinkId=hx-01_a.b~c&cursor=first%3DBIOUSDT%26last%3Dx"
        );
    }
}
