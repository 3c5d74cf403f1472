//! Addresses that may send.

use core::fmt;
use core::net::IpAddr;
use core::str::FromStr;

use ipnet::{IpNet, Ipv4Net};
use serde::{Serialize, Serializer};
use thiserror::Error;

/// TradingView's sender addresses, allowed where the manifest has no `ranges` of its own.
/// Source: TradingView's help page "How to configure webhook alerts"
/// (tradingview.com/support/solutions/43000529348), see `facts/tradingview.md`.
pub const TRADINGVIEW_RANGES: [&str; 4] = [
    "52.89.214.238/32",
    "34.212.75.30/32",
    "54.218.53.128/32",
    "52.32.178.7/32",
];

/// Whether an address is one of TradingView's, which all its users share.
pub fn is_tradingviews(address: IpAddr) -> bool {
    TRADINGVIEW_RANGES
        .iter()
        .filter_map(|text| text.parse::<Range>().ok())
        .any(|range| range.contains(address))
}

/// Why a text is no range of addresses.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("'{0}' is not a range of addresses: use CIDR such as 203.0.113.0/24, or one address")]
pub struct RangeError(String);

/// A range of addresses. IPv4 addresses and ranges mapped into IPv6 are held as IPv4.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Range(IpNet);

impl Range {
    /// Whether the address lies inside. An IPv4-mapped IPv6 address counts as IPv4.
    pub fn contains(self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }
}

impl FromStr for Range {
    type Err = RangeError;

    fn from_str(text: &str) -> Result<Self, RangeError> {
        let refuse = || RangeError(text.chars().take(60).collect());
        let net: IpNet = match text.parse::<IpAddr>() {
            Ok(address) => IpNet::from(address),
            Err(_) => text.parse().map_err(|_| refuse())?,
        };
        Ok(Self(match (net, net.addr().to_canonical()) {
            (IpNet::V6(v6), IpAddr::V4(v4)) => {
                // ::ffff:0:0/96 maps IPv4; a wider range is meant as IPv6.
                match v6.prefix_len().checked_sub(96) {
                    Some(prefix) => Ipv4Net::new(v4, prefix)
                        .map_err(|_| refuse())?
                        .trunc()
                        .into(),
                    None => net.trunc(),
                }
            }
            _ => net.trunc(),
        }))
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl Serialize for Range {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The client's address from the values of the header `CF-Connecting-IP`: exactly one value that
/// is exactly one address, else `None`. IPv4-mapped IPv6 comes back as IPv4.
pub fn parse_client_ip<'a>(values: impl IntoIterator<Item = &'a str>) -> Option<IpAddr> {
    let mut values = values.into_iter();
    let only = values.next()?;
    if values.next().is_some() {
        return None;
    }
    only.parse::<IpAddr>().ok().map(|ip| ip.to_canonical())
}
