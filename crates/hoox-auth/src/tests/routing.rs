//! Which account a signal goes to.

use hoox_model::{Code, Destination, Venue};
use serde_json::{Value, json};

use super::{account, document, sender, stored};
use crate::Refusal;

struct Ask<'a> {
    account: Option<&'a str>,
    exchange: Option<Venue>,
    prefix: Option<Venue>,
    test: bool,
}

const NOTHING: Ask<'static> = Ask {
    account: None,
    exchange: None,
    prefix: None,
    test: false,
};

/// Name of the account that the first sender's signal goes to.
fn route(document: &Value, ask: &Ask<'_>) -> Result<String, Refusal> {
    let manifest = stored(document);
    let name = ask.account.map(|name| name.parse().unwrap());
    manifest
        .route(
            &manifest.senders[0],
            &Destination {
                account: name,
                exchange: ask.exchange,
                venue_prefix: ask.prefix,
                test: ask.test,
            },
        )
        .map(|account| account.name.to_string())
}

#[track_caller]
fn refused(document: &Value, ask: &Ask<'_>, code: Code, field: Option<&str>) {
    let refusal = route(document, ask).unwrap_err();
    assert_eq!(
        (refusal.code, refusal.field.as_deref()),
        (code, field),
        "{refusal}"
    );
}

fn accounts() -> Vec<Value> {
    vec![
        account("main", "bybit", "live"),
        account("sub", "bybit", "live"),
        account("bin", "binance", "live"),
        account("try", "bybit", "testnet"),
    ]
}

fn all() -> Value {
    document(&[sender("s", &["*"])], &accounts())
}

#[test]
fn a_named_account_is_taken() {
    let ask = Ask {
        account: Some("sub"),
        ..NOTHING
    };
    assert_eq!(route(&all(), &ask).unwrap(), "sub");
    // The prefix is only the last resort: it does not contradict.
    let ask = Ask {
        account: Some("sub"),
        prefix: Some(Venue::Binance),
        ..NOTHING
    };
    assert_eq!(route(&all(), &ask).unwrap(), "sub");
    let ask = Ask {
        account: Some("sub"),
        exchange: Some(Venue::Bybit),
        ..NOTHING
    };
    assert_eq!(route(&all(), &ask).unwrap(), "sub");
    let ask = Ask {
        account: Some("sub"),
        exchange: Some(Venue::Binance),
        ..NOTHING
    };
    refused(&all(), &ask, Code::VenueMismatch, Some("exchange"));
}

#[test]
fn an_account_out_of_reach_is_refused_like_an_unknown_one() {
    let document = document(&[sender("s", &["main"])], &accounts());
    let ask = |name| Ask {
        account: Some(name),
        ..NOTHING
    };
    let out_of_reach = route(&document, &ask("sub")).unwrap_err();
    let unknown = route(&document, &ask("nobody")).unwrap_err();
    assert_eq!(out_of_reach.code, Code::NotPermitted);
    assert_eq!(
        out_of_reach.message,
        "account 'sub' is not one this sender may use"
    );
    assert_eq!(
        out_of_reach.message.replace("sub", "nobody"),
        unknown.message
    );
    assert_eq!(
        (out_of_reach.code, out_of_reach.field),
        (unknown.code, unknown.field)
    );
    // The same for an exchange where only others have accounts.
    let there = Ask {
        exchange: Some(Venue::Binance),
        ..NOTHING
    };
    let nowhere = Ask {
        exchange: Some(Venue::Mexc),
        ..NOTHING
    };
    let (there, nowhere) = (
        route(&document, &there).unwrap_err(),
        route(&document, &nowhere).unwrap_err(),
    );
    assert_eq!(there.message.replace("binance", "mexc"), nowhere.message);
    assert_eq!(there.code, Code::NotPermitted);
}

#[test]
fn an_exchange_means_its_only_or_default_account() {
    let binance = Ask {
        exchange: Some(Venue::Binance),
        ..NOTHING
    };
    assert_eq!(route(&all(), &binance).unwrap(), "bin");
    let bybit = Ask {
        exchange: Some(Venue::Bybit),
        ..NOTHING
    };
    refused(&all(), &bybit, Code::BadField, Some("account"));
    let mut marked = all();
    marked["accounts"][1]["default"] = json!(true);
    assert_eq!(route(&marked, &bybit).unwrap(), "sub");
    // The sender's own default goes before the venue's, where it is on that venue.
    marked["senders"][0]["defaultAccount"] = json!("main");
    assert_eq!(route(&marked, &bybit).unwrap(), "main");
    marked["senders"][0]["defaultAccount"] = json!("bin");
    assert_eq!(route(&marked, &bybit).unwrap(), "sub");
    // One live account among others is the one meant.
    let document = document(&[sender("s", &["main", "try"])], &accounts());
    assert_eq!(route(&document, &bybit).unwrap(), "main");
}

#[test]
fn without_account_and_exchange_the_senders_default_goes_before_the_prefix() {
    let mut document = all();
    let bybit = Ask {
        prefix: Some(Venue::Bybit),
        ..NOTHING
    };
    let binance = Ask {
        prefix: Some(Venue::Binance),
        ..NOTHING
    };
    refused(&document, &NOTHING, Code::BadField, Some("account"));
    refused(&document, &bybit, Code::BadField, Some("account"));
    assert_eq!(route(&document, &binance).unwrap(), "bin");
    document["senders"][0]["defaultAccount"] = json!("main");
    for ask in [&NOTHING, &bybit, &binance] {
        assert_eq!(route(&document, ask).unwrap(), "main");
    }
}

#[test]
fn a_prefix_without_an_account_leaves_the_only_account() {
    let document = document(&[sender("s", &["main"])], &accounts());
    let ask = Ask {
        prefix: Some(Venue::Binance),
        ..NOTHING
    };
    assert_eq!(route(&document, &ask).unwrap(), "main");
    assert_eq!(route(&document, &NOTHING).unwrap(), "main");
}

#[test]
fn a_sender_without_accounts_goes_nowhere() {
    let document = document(&[sender("s", &[])], &accounts());
    refused(&document, &NOTHING, Code::NotPermitted, Some("account"));
}

#[test]
fn a_reader_sends_nothing() {
    let mut document = all();
    document["senders"][0]["permission"] = json!("read");
    refused(
        &document,
        &Ask {
            account: Some("main"),
            ..NOTHING
        },
        Code::NotPermitted,
        None,
    );
}

#[test]
fn namespaces_narrow_a_sender() {
    let mut document = all();
    document["accounts"][0]["namespace"] = json!("prod");
    document["senders"][0]["namespaces"] = json!(["prod"]);
    assert_eq!(route(&document, &NOTHING).unwrap(), "main");
    refused(
        &document,
        &Ask {
            account: Some("sub"),
            ..NOTHING
        },
        Code::NotPermitted,
        Some("account"),
    );
    // Whoever may use nothing is told so, whatever the alert names beside an account.
    document["senders"][0]["namespaces"] = json!([]);
    for exchange in [None, Some(Venue::Bybit)] {
        let ask = Ask {
            exchange,
            ..NOTHING
        };
        refused(&document, &ask, Code::NotPermitted, Some("account"));
    }
}

#[test]
fn a_test_never_reaches_a_live_account() {
    let test = |ask: Ask<'static>| Ask { test: true, ..ask };
    let bybit = || Ask {
        exchange: Some(Venue::Bybit),
        ..NOTHING
    };
    // By name, by exchange, and where the exchange alone would be ambiguous.
    assert_eq!(
        route(
            &all(),
            &test(Ask {
                account: Some("main"),
                ..NOTHING
            })
        )
        .unwrap(),
        "try"
    );
    assert_eq!(
        route(
            &all(),
            &test(Ask {
                account: Some("try"),
                ..NOTHING
            })
        )
        .unwrap(),
        "try"
    );
    assert_eq!(route(&all(), &test(bybit())).unwrap(), "try");
    // No testnet account on that venue, or none this sender may use.
    let binance = test(Ask {
        exchange: Some(Venue::Binance),
        ..NOTHING
    });
    refused(&all(), &binance, Code::NotPermitted, Some("test"));
    let only = document(&[sender("s", &["main"])], &accounts());
    refused(&only, &test(bybit()), Code::NotPermitted, Some("test"));
    // Several testnet accounts: the default, or a refusal.
    let mut two = all();
    two["accounts"]
        .as_array_mut()
        .unwrap()
        .push(account("try2", "bybit", "testnet"));
    let named = || {
        test(Ask {
            account: Some("main"),
            ..NOTHING
        })
    };
    refused(&two, &named(), Code::NotPermitted, Some("test"));
    two["accounts"][4]["default"] = json!(true);
    assert_eq!(route(&two, &named()).unwrap(), "try2");
    // A simulator is a test account already.
    let sim = document(&[sender("s", &["*"])], &[account("sim", "bybit", "sim")]);
    assert_eq!(route(&sim, &test(bybit())).unwrap(), "sim");
    assert_eq!(route(&sim, &NOTHING).unwrap(), "sim");
}
