//! Keys that are not the same on the two sides of an edge: how that is told, and the command that mends it.
//!
//! In scope: what the gateway's health says of them. Out of scope: looking at the keys, which nobody can: Cloudflare shows
//! no secret, so only a call from one side to the other tells.

use hoox_mesh::Edge;
use serde_json::Value;

use crate::commands::list;

/// What health says of such a key in place of `true`.
const DIFFERS: &str = "differs";

/// The edges whose keys differ, as `GET /v1/health` tells: by the problem of a worker that takes no call, and by the
/// bindings of one whose own calls are not taken.
pub(crate) fn differing(health: &Value) -> Vec<Edge> {
    let refused = list(health, "unreachableWorkers")
        .iter()
        .filter_map(|worker| {
            let error = worker.pointer("/problem/error").and_then(Value::as_str);
            Edge::that_differs(error.unwrap_or_default())
        });
    let refused: Vec<Edge> = refused.collect();
    let told = |edge: Edge| {
        let workers = list(health, "workers").iter();
        let mut bindings = workers.filter_map(|worker| worker.get("bindings"));
        bindings.any(|bound| bound.get(edge.secret()).and_then(Value::as_str) == Some(DIFFERS))
    };
    let edges = Edge::ALL.into_iter();
    edges
        .filter(|edge| refused.contains(edge) || told(*edge))
        .collect()
}

/// What is wrong with an edge.
pub(crate) fn words(edge: Edge) -> String {
    let [name, caller, callee] = [edge.secret(), edge.caller().name(), edge.callee().name()];
    format!("{name} differs between {caller} and {callee}")
}

/// The command that gives both sides the same key.
pub(crate) fn rotation(name: &str, again: &str) -> String {
    format!("`hoox secrets rotate {name}{again}`")
}

/// The commands for keys that may differ, and why they are needed.
pub(crate) fn rotations(names: &[&str], again: &str) -> String {
    let commands = names.iter().map(|name| rotation(name, again));
    format!(
        "{}: {} may differ on its two sides",
        commands.collect::<Vec<_>>().join(" and "),
        names.join(" and ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn edges_whose_keys_differ_are_found_in_what_health_says() {
        let problem = json!({ "code": "NOT_CONFIGURED", "error": Edge::HooxD1.differs() });
        let health = json!({
            "workers": [
                { "name": "hoox", "bindings": { "HOOX_D1_KEY": true } },
                { "name": "trade-worker", "bindings": { "TRADE_D1_KEY": "differs", "HOOX_TRADE_KEY": false } },
            ],
            "unreachableWorkers": [{ "name": "d1-worker", "problem": problem }],
        });
        assert_eq!(differing(&health), [Edge::HooxD1, Edge::TradeD1]);
        let away = json!({ "code": "NOT_CONFIRMED", "error": "no answer came" });
        let well = json!({ "unreachableWorkers": [{ "name": "d1-worker", "problem": away }] });
        assert_eq!(differing(&well), []);
        assert_eq!(
            rotations(&["HOOX_D1_KEY"], " --profile desk"),
            "`hoox secrets rotate HOOX_D1_KEY --profile desk`: HOOX_D1_KEY may differ on its two sides"
        );
    }
}
