//! Addresses that tried too many wrong keys.
//!
//! A platform's limiter counts failures by address. Where it says that they are too many, wrong keys from the address
//! get 429 for a minute. Every key is looked at first: a right one always passes, whoever else tries wrong ones from the
//! same address, so that nobody can keep an operator from the kill switch or an alert from its account.

use core::net::{IpAddr, Ipv6Addr};

use hoox_auth::is_tradingviews;
use hoox_mesh::Problem;
use hoox_model::{Code, Timestamp};

/// How long an address is slowed.
const SLOWED_MS: i64 = 60_000;
/// Addresses that are remembered at most.
const MAX_SLOWED: usize = 1_000;

/// Whether wrong keys from an address are counted. TradingView's addresses are shared by all its users, so that
/// anybody could silence an owner's alerts by slowing them; loopback is this machine, in the sandbox.
pub fn counts(address: Option<IpAddr>) -> bool {
    address.is_none_or(|address| !address.is_loopback() && !is_tradingviews(address))
}

/// Who is counted as one: an address, of IPv6 the network of 64 bits, which is what one customer has.
pub fn source(address: Option<IpAddr>) -> IpAddr {
    match address {
        Some(IpAddr::V6(address)) => {
            let network = address.to_bits() & (u128::MAX << 64);
            IpAddr::V6(Ipv6Addr::from_bits(network))
        }
        Some(address) => address,
        None => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    }
}

/// The addresses that are slowed, by [`source`], and since when, in the order of time.
#[derive(Debug, Default)]
pub struct Slowed(Vec<(IpAddr, Timestamp)>);

impl Slowed {
    /// None yet.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Slows an address from now on. Where too many are, the oldest is let go.
    pub fn slow(&mut self, source: IpAddr, now: Timestamp) {
        self.0
            .retain(|(known, since)| *known != source && now.since(*since) < SLOWED_MS);
        if self.0.len() >= MAX_SLOWED {
            self.0.remove(0);
        }
        self.0.push((source, now));
    }

    /// What a wrong key from this address is answered with while it is slowed: `RATE_LIMITED` with the seconds to
    /// wait; `None` where it is not slowed. Not to be asked about a right key.
    pub fn refusal(&self, source: IpAddr, now: Timestamp) -> Option<Problem> {
        let found = self.0.iter().find(|(known, _)| *known == source);
        let left = found.map_or(0, |(_, since)| SLOWED_MS.saturating_sub(now.since(*since)));
        if left <= 0 {
            return None;
        }
        let seconds = left.saturating_add(999).div_euclid(1_000);
        let text =
            "too many wrong keys from this address, and this is one more; a right key passes";
        Some(
            Problem::new(Code::RateLimited, text)
                .retry_after(u32::try_from(seconds).unwrap_or(u32::MAX)),
        )
    }
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "test data: small numbers")]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_millis(second * 1_000)
    }

    fn ip(text: &str) -> IpAddr {
        source(Some(text.parse().unwrap()))
    }

    #[test]
    fn an_address_is_slowed_for_a_minute_and_no_other_is() {
        let mut slowed = Slowed::new();
        assert_eq!(slowed.refusal(ip("192.0.2.1"), at(0)), None);
        slowed.slow(ip("192.0.2.1"), at(0));
        let refused = slowed.refusal(ip("192.0.2.1"), at(1)).unwrap();
        assert_eq!(
            (refused.code, refused.retry_after),
            (Code::RateLimited, Some(59))
        );
        assert_eq!(slowed.refusal(ip("192.0.2.2"), at(1)), None);
        assert!(
            slowed
                .refusal(ip("192.0.2.1"), Timestamp::from_millis(59_999))
                .is_some()
        );
        assert_eq!(slowed.refusal(ip("192.0.2.1"), at(60)), None);
        // Failing on begins another minute.
        slowed.slow(ip("192.0.2.1"), at(60));
        assert!(slowed.refusal(ip("192.0.2.1"), at(119)).is_some());
    }

    #[test]
    fn a_customers_whole_network_is_one_and_nobody_is_one_too() {
        let mut slowed = Slowed::new();
        slowed.slow(ip("2001:db8:1:2::1"), at(0));
        assert!(slowed.refusal(ip("2001:db8:1:2:ffff::9"), at(1)).is_some());
        assert_eq!(slowed.refusal(ip("2001:db8:1:3::1"), at(1)), None);
        slowed.slow(source(None), at(0));
        assert!(slowed.refusal(source(None), at(1)).is_some());
    }

    #[test]
    fn what_is_remembered_is_bounded_and_the_newest_stay() {
        let mut slowed = Slowed::new();
        for number in 0..2_000_u32 {
            slowed.slow(
                IpAddr::V4(number.into()),
                Timestamp::from_millis(number.into()),
            );
        }
        assert_eq!(slowed.0.len(), MAX_SLOWED);
        let now = Timestamp::from_millis(2_000);
        assert!(slowed.refusal(IpAddr::V4(1_999.into()), now).is_some());
        assert_eq!(slowed.refusal(IpAddr::V4(999.into()), now), None);
    }

    #[test]
    fn tradingviews_addresses_and_this_machine_are_not_counted() {
        for (address, counted) in [
            ("52.89.214.238", false),
            ("127.0.0.1", false),
            ("::1", false),
            ("192.0.2.9", true),
            ("2001:db8::1", true),
        ] {
            assert_eq!(counts(Some(address.parse().unwrap())), counted, "{address}");
        }
        assert!(counts(None));
    }
}
