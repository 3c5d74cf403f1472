//! Addresses and ranges.

use core::net::IpAddr;

use serde_json::json;

use super::{document, parse, sender};
use crate::{Range, TRADINGVIEW_RANGES, parse_client_ip};

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn ranges_hold_what_they_say() {
    for (range, inside, outside) in [
        ("203.0.113.0/24", "203.0.113.255", "203.0.114.0"),
        ("203.0.113.77/24", "203.0.113.1", "203.0.112.255"),
        ("203.0.113.7", "203.0.113.7", "203.0.113.8"),
        ("2001:db8::/32", "2001:db8::1", "2001:db9::1"),
        ("2001:db8::1", "2001:db8::1", "2001:db8::2"),
        ("::ffff:203.0.113.0/120", "203.0.113.9", "203.0.114.9"),
        ("::ffff:203.0.113.9", "::ffff:203.0.113.9", "203.0.113.8"),
        ("203.0.113.0/24", "::ffff:203.0.113.9", "::203.0.113.9"),
        ("0.0.0.0/0", "198.51.100.1", "2001:db8::1"),
        ("::/0", "2001:db8::1", "198.51.100.1"),
    ] {
        let read: Range = range.parse().unwrap();
        assert!(read.contains(ip(inside)), "{range} {inside}");
        assert!(!read.contains(ip(outside)), "{range} {outside}");
        assert_eq!(read.to_string().parse::<Range>().unwrap(), read, "{range}");
    }
}

#[test]
fn what_is_no_range_is_refused() {
    for text in [
        "",
        "*",
        "203.0.113",
        "203.0.113.0/33",
        "2001:db8::/129",
        "203.0.113.0/-1",
        "203.0.113.0/ 8",
        " 203.0.113.0/24",
        "203.0.113.0/24,198.51.100.0/24",
        "example.com",
        "203.0.113.256",
        "010.0.0.1",
        "203.0.113.0/024",
        "fe80::1%eth0",
    ] {
        assert!(text.parse::<Range>().is_err(), "{text:?}");
    }
}

#[test]
fn tradingviews_addresses_are_the_default_and_can_be_replaced() {
    let default = parse(&document(&[], &[]));
    for range in TRADINGVIEW_RANGES {
        let (address, _) = range.split_once('/').unwrap();
        assert!(default.address_allowed(ip(address)), "{address}");
    }
    assert!(!default.address_allowed(ip("52.89.214.239")));

    let mut replaced = document(&[], &[]);
    replaced["ranges"] = json!(["203.0.113.0/24"]);
    let replaced = parse(&replaced);
    assert!(replaced.address_allowed(ip("203.0.113.1")));
    assert!(!replaced.address_allowed(ip("52.89.214.238")));

    let mut nobody = document(&[], &[]);
    nobody["ranges"] = json!([]);
    assert!(!parse(&nobody).address_allowed(ip("52.89.214.238")));
}

#[test]
fn a_senders_own_ranges_add_to_the_shared_ones_for_it_alone() {
    let mut own = sender("own", &[]);
    own["ranges"] = json!(["127.0.0.0/8"]);
    let manifest = parse(&document(&[own, sender("other", &[])], &[]));
    let [own, other] = &manifest.senders[..] else {
        panic!("two senders")
    };
    let (home, tradingview) = (ip("127.0.0.1"), ip("52.89.214.238"));
    assert!(manifest.address_allowed(home) && manifest.address_allowed(tradingview));
    assert!(own.address_allowed(&manifest, home) && own.address_allowed(&manifest, tradingview));
    assert!(!other.address_allowed(&manifest, home));
    assert!(other.address_allowed(&manifest, tradingview));
    assert!(own.address_allowed(&manifest, ip("::ffff:127.0.0.1")));
}

#[test]
fn the_clients_address_is_one_value_with_one_address() {
    assert_eq!(parse_client_ip(["203.0.113.7"]), Some(ip("203.0.113.7")));
    assert_eq!(parse_client_ip(["2001:db8::1"]), Some(ip("2001:db8::1")));
    assert_eq!(
        parse_client_ip(["::ffff:203.0.113.7"]),
        Some(ip("203.0.113.7"))
    );
    assert_eq!(parse_client_ip([]), None);
    assert_eq!(parse_client_ip(["203.0.113.7", "203.0.113.7"]), None);
    for value in [
        "",
        "203.0.113.7, 198.51.100.1",
        "203.0.113.7 ",
        " 203.0.113.7",
        "203.0.113.7:443",
        "[2001:db8::1]",
        "203.0.113.07",
        "localhost",
        "0xcb007107",
        "3405803783",
        "fe80::1%1",
    ] {
        assert_eq!(parse_client_ip([value]), None, "{value:?}");
    }
}
