//! Laws.

use core::net::{IpAddr, Ipv4Addr};

use hoox_model::{Destination, Secret, Venue};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{NOW, account, document, sender, stored};
use crate::{Environment, Manifest, PasskeyHash, Range, parse_client_ip};

const ACCOUNTS: [&str; 5] = ["a", "b", "c", "d", "e"];

/// A document with random senders over five accounts. Passkeys are `key-0`, `key-1`, …
fn manifest() -> impl Strategy<Value = Value> {
    let one = (
        prop::sample::subsequence(ACCOUNTS.to_vec(), 0..=5),
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
        prop::option::of(any::<[u8; 4]>()),
        prop::sample::select(vec!["trade", "trade", "read"]),
    );
    let places = vec(
        (
            prop::sample::select(vec!["bybit", "binance"]),
            prop::sample::select(vec!["live", "testnet", "sim"]),
        ),
        5,
    );
    (vec(one, 1..5), places, any::<bool>()).prop_map(|(senders, places, marked)| {
        let mut accounts: Vec<Value> = ACCOUNTS
            .iter()
            .zip(places)
            .map(|(name, (venue, environment))| account(name, venue, environment))
            .collect();
        if marked {
            accounts[0]["default"] = json!(true);
        }
        accounts[1]["namespace"] = json!("n");
        let senders: Vec<Value> = senders
            .into_iter()
            .enumerate()
            .map(
                |(n, (allowed, all, default, namespaced, range, permission))| {
                    let mut one = sender(&format!("s{n}"), if all { &["*"] } else { &allowed });
                    let key = PasskeyHash::new([7; 16], &Secret::new(format!("key-{n}")));
                    one["keys"] = json!([key]);
                    one["permission"] = json!(permission);
                    if let (true, Some(first), false) = (default, allowed.first(), namespaced) {
                        one["defaultAccount"] = json!(first);
                    }
                    if namespaced {
                        one["namespaces"] = json!(["n"]);
                    }
                    if let Some([a, b, c, d]) = range {
                        one["ranges"] = json!([format!("{a}.{b}.{c}.{d}/12")]);
                    }
                    one
                },
            )
            .collect();
        document(&senders, &accounts)
    })
}

fn venue() -> impl Strategy<Value = Option<Venue>> {
    prop::option::of(prop::sample::select(Venue::ALL.to_vec()))
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in ".{0,200}") {
        prop_assert!(Manifest::parse(&text).is_err());
    }

    #[test]
    fn any_value_in_any_place_is_read_or_refused(
        document in manifest(),
        place in prop::sample::select(vec!["/version", "/senders", "/senders/0", "/senders/0/keys", "/senders/0/keys/0/salt",
            "/senders/0/accounts", "/accounts/0/id", "/accounts/0/environment", "/accounts/1/name", "/accounts"]),
        value in prop_oneof![Just(Value::Null), any::<i64>().prop_map(Value::from), ".{0,40}".prop_map(Value::from), Just(json!([{}])), Just(json!({"a": 1}))],
    ) {
        let mut document = document;
        *document.pointer_mut(place).unwrap() = value;
        let (strict, read) = (Manifest::parse_strict(&document.to_string()), Manifest::parse(&document.to_string()));
        match strict {
            Ok(manifest) => prop_assert_eq!(read.unwrap(), manifest),
            Err(error) => prop_assert!(!error.problems.is_empty()),
        }
    }

    #[test]
    fn publishing_loses_nothing(document in manifest()) {
        let manifest = stored(&document);
        let published = serde_json::to_string(&manifest).unwrap();
        prop_assert_eq!(Manifest::parse(&published).unwrap(), manifest);
    }

    /// Whatever the others are, what one sender's key opens, from where and to which accounts,
    /// stays as it is.
    #[test]
    fn adding_a_sender_never_changes_anothers_rights(
        document in manifest(),
        names in prop::option::of(prop::sample::select(ACCOUNTS.to_vec())),
        exchange in venue(), prefix in venue(), test: bool, address: [u8; 4],
    ) {
        let with = stored(&document);
        let mut without = with.clone();
        without.senders.pop();
        let address = IpAddr::V4(Ipv4Addr::from(address));
        let account = names.map(|name| name.parse().unwrap());
        let wanted = Destination { account, exchange, venue_prefix: prefix, test };
        for (n, before) in without.senders.iter().enumerate() {
            let after = with.authenticate(&format!("key-{n}"), NOW).unwrap();
            prop_assert_eq!(after, before);
            prop_assert_eq!(before.address_allowed(&without, address), after.address_allowed(&with, address));
            prop_assert_eq!(
                without.route(before, &wanted),
                with.route(after, &wanted)
            );
        }
        let added = format!("key-{}", without.senders.len());
        prop_assert!(without.authenticate(&added, NOW).is_none());
    }

    #[test]
    fn a_route_is_always_within_the_senders_rights(
        document in manifest(),
        name in prop::option::of(prop::sample::select(ACCOUNTS.to_vec())),
        exchange in venue(), prefix in venue(), test: bool,
    ) {
        let manifest = stored(&document);
        for sender in &manifest.senders {
            let name = name.map(|name| name.parse().unwrap());
            let wanted = Destination { account: name.clone(), exchange, venue_prefix: prefix, test };
            if let Ok(account) = manifest.route(sender, &wanted) {
                prop_assert!(sender.may_use(account));
                prop_assert!(exchange.is_none_or(|venue| venue == account.venue));
                prop_assert!(!test || account.environment != Environment::Live);
                prop_assert!(test || name.is_none_or(|name| name == account.name));
            }
        }
    }

    #[test]
    fn mapped_addresses_count_as_what_they_map(bytes: [u8; 4], prefix in 0u8..=32) {
        let v4 = Ipv4Addr::from(bytes);
        let mapped = v4.to_ipv6_mapped();
        let range: Range = format!("{v4}/{prefix}").parse().unwrap();
        let mapped_range: Range = format!("{mapped}/{}", prefix.saturating_add(96)).parse().unwrap();
        prop_assert_eq!(range, mapped_range);
        prop_assert!(range.contains(v4.into()) && range.contains(mapped.into()));
        prop_assert_eq!(parse_client_ip([mapped.to_string().as_str()]), Some(v4.into()));
    }
}
