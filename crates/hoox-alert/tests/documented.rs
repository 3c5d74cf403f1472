//! The documentation shows the templates that the command line prints. `HOOX_BLESS=1` writes them anew.

#![expect(
    clippy::unwrap_used,
    clippy::format_push_string,
    clippy::disallowed_methods,
    reason = "a test: what it does not expect must stop it, and a variable has the pages written anew"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use hoox_alert::{Kind, Wish, messages};

const MARK: &str = "<!-- template: ";

/// What a page shows of a kind: its messages for one and the same account, symbol and strategy.
fn shown(kind: Kind) -> String {
    let wish = Wish {
        kind,
        account: "main".to_owned(),
        symbol: "BTCUSDT.P".to_owned(),
        strategy: Some("my-strategy".to_owned()),
        quantity: (kind == Kind::Indicator).then(|| "0.01".to_owned()),
    };
    let texts: Vec<String> = messages(&wish)
        .unwrap()
        .into_iter()
        .map(|message| message.text)
        .collect();
    texts.join("\n\n")
}

/// The page with each block behind a mark as it has to be, and the kinds that it shows.
fn renewed(page: &str) -> (String, BTreeSet<&'static str>) {
    let mut kinds = BTreeSet::new();
    let mut parts = page.split(MARK);
    let mut text = parts.next().unwrap().to_owned();
    for part in parts {
        let (names, rest) = part.split_once(" -->\n```json\n").unwrap();
        let (_, after) = rest.split_once("\n```").unwrap();
        let named: Vec<Kind> = names
            .split(", ")
            .map(|name| name.parse().unwrap())
            .collect();
        // Kinds that share a mark share their message, but for the name of the kind.
        let block = shown(*named.first().unwrap());
        for kind in named {
            assert_eq!(shown(kind), block, "{} has a text of its own", kind.name());
            kinds.insert(kind.name());
        }
        text.push_str(&format!("{MARK}{names} -->\n```json\n{block}\n```{after}"));
    }
    (text, kinds)
}

#[test]
fn the_pages_show_the_templates() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for (page, expected) in [
        ("README.md", ["indicator", "target"].to_vec()),
        ("docs/API.md", Kind::ALL.map(Kind::name).to_vec()),
    ] {
        let file = root.join(page);
        let there = fs::read_to_string(&file).unwrap();
        let (text, kinds) = renewed(&there);
        assert_eq!(kinds, expected.into_iter().collect(), "{page}");
        if std::env::var_os("HOOX_BLESS").is_some() {
            fs::write(&file, text).unwrap();
        } else {
            assert!(
                there == text,
                "{page} does not show the templates: `HOOX_BLESS=1 cargo test -p hoox-alert` writes them anew"
            );
        }
    }
}
