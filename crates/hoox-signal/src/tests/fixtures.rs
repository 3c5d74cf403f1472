//! Whole alert bodies; see `fixtures/README.md`.

use super::{NOW, alert};
use crate::{Identity, Signal};

#[test]
fn alert_bodies_read_as_their_authors_meant_them() {
    for (name, body) in [
        (
            "strategy-order",
            include_str!("../../fixtures/strategy-order.json"),
        ),
        (
            "strategy-target",
            include_str!("../../fixtures/strategy-target.json"),
        ),
        (
            "strategy-target-flat",
            include_str!("../../fixtures/strategy-target-flat.json"),
        ),
        (
            "strategy-alert-message",
            include_str!("../../fixtures/strategy-alert-message.json"),
        ),
        (
            "indicator-static",
            include_str!("../../fixtures/indicator-static.json"),
        ),
        (
            "indicator-limit",
            include_str!("../../fixtures/indicator-limit.json"),
        ),
        (
            "indicator-close",
            include_str!("../../fixtures/indicator-close.json"),
        ),
    ] {
        let alert = alert(body);
        assert_eq!(alert.api_key().unwrap().expose(), "demo-passkey", "{name}");
        let signal = Signal::from_alert(&alert, None, NOW).unwrap();
        let identity = Identity::of(&alert, &signal);
        insta::assert_json_snapshot!(name, (&signal, &identity));
        let wire = serde_json::to_string(&signal).unwrap();
        assert_eq!(
            serde_json::from_str::<Signal>(&wire).unwrap(),
            signal,
            "{name}"
        );
    }
}
