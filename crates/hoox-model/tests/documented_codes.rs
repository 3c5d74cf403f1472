//! Every code stands in `docs/API.md` with its status, and no other does.

use std::collections::BTreeSet;

use hoox_model::Code;

#[test]
fn the_documented_codes_are_the_codes() {
    let documentation = include_str!("../../../docs/API.md");
    let documented: BTreeSet<String> = documentation
        .lines()
        .skip_while(|line| *line != "## Codes")
        .filter_map(|line| line.strip_prefix("| `")?.split_once("` | "))
        .map(|(code, rest)| format!("{code} {}", rest.split(' ').next().unwrap_or_default()))
        .collect();
    let codes: BTreeSet<String> = Code::ALL
        .iter()
        .map(|code| format!("{code} {}", code.status()))
        .collect();
    assert_eq!(documented, codes);
}
