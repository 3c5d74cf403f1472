//! Each template, as TradingView fills it in, is taken and leaves the account where the strategy stands.

#![expect(
    clippy::unwrap_used,
    reason = "a test: what it does not expect must stop it"
)]

use std::collections::BTreeSet;

use hoox_alert::{CHANGES, Kind, Report, Verdict, Wish, examine, fill, messages, setup};
use hoox_model::Timestamp;
use hoox_signal::{Alert, Identity, Signal, WINDOW_LONG_MS};

const NOW: Timestamp = Timestamp::from_millis(1_780_000_003_000);

fn wish(kind: Kind) -> Wish {
    Wish {
        kind,
        account: "main".to_owned(),
        symbol: "BYBIT:BTCUSDT.P".to_owned(),
        strategy: Some("EMA \"fast\" cross".to_owned()),
        quantity: None,
    }
}

fn texts(kind: Kind) -> Vec<String> {
    let made = messages(&wish(kind)).unwrap();
    made.into_iter().map(|message| message.text).collect()
}

fn abouts(report: &Report) -> Vec<&str> {
    report.warnings.iter().map(|it| it.about).collect()
}

#[test]
fn a_strategys_template_ends_where_the_strategy_does() {
    for (kind, warnings) in [
        (Kind::Reversing, &[][..]),
        (Kind::Target, &[]),
        (Kind::Exits, &["quantity"]),
        (Kind::Dca, &["quantity"]),
    ] {
        let [text] = &texts(kind)[..] else {
            panic!("{} has one message", kind.name());
        };
        for part in [
            "{{timenow}}",
            "{{strategy.order.id}}",
            "{{strategy.market_position}}",
        ] {
            assert!(text.contains(part), "{} lacks {part}", kind.name());
        }
        let report = examine(text.as_bytes(), false, NOW);
        assert_eq!(report.verdict, Verdict::Taken, "{report:?}");
        assert_eq!(abouts(&report), warnings, "{}", kind.name());
        assert_eq!(report.outcomes.len(), CHANGES.len());
        for outcome in &report.outcomes {
            assert!(outcome.agrees(), "{}: {outcome:?}", kind.name());
        }
        // On another kind of alert nothing fills it in.
        let report = examine(text.as_bytes(), true, NOW);
        assert_eq!(report.verdict, Verdict::Refused, "{}", kind.name());
    }
}

#[test]
fn an_indicators_messages_enter_and_close() {
    let ends: Vec<Vec<String>> = texts(Kind::Indicator)
        .iter()
        .map(|text| {
            assert!(!text.contains("{{strategy."), "{text}");
            let report = examine(text.as_bytes(), false, NOW);
            assert_eq!((report.verdict, abouts(&report)), (Verdict::Taken, vec![]));
            report.outcomes.into_iter().map(|it| it.holds).collect()
        })
        .collect();
    // Upon nothing, long 1 and short 1; an entry is worth 100 at the sample's price of 100.
    assert_eq!(
        ends,
        [
            ["long 1", "long 2", "long 1"],
            ["short 1", "short 1", "short 2"],
            ["nothing", "nothing", "nothing"]
        ]
    );
}

#[test]
fn every_alert_of_a_template_is_a_signal_of_its_own_for_seven_days() {
    for kind in Kind::ALL {
        let mut keys = BTreeSet::new();
        let mut count = 0;
        for text in texts(kind) {
            for (change, at) in CHANGES
                .iter()
                .flat_map(|change| [NOW, NOW.plus_millis(1_000)].map(|at| (*change, at)))
            {
                let change = (kind != Kind::Indicator).then_some(change);
                let body = fill(&text, change, at);
                let alert = Alert::parse(body.as_bytes()).unwrap();
                let signal = Signal::from_alert(&alert, None, at).unwrap();
                let identity = Identity::of(&alert, &signal);
                assert_eq!(identity.window_ms, WINDOW_LONG_MS, "{body}");
                assert_eq!(signal.strategy.as_deref(), Some("EMA \"fast\" cross"));
                assert!(signal.order_id.is_some(), "{body}");
                keys.insert(identity.key);
                count += 1;
            }
        }
        // An indicator's three messages, at two moments.
        let expected = if kind == Kind::Indicator { 6 } else { count };
        assert_eq!(keys.len(), expected, "{}", kind.name());
    }
}

#[test]
fn only_an_indicator_is_given_a_size() {
    for kind in Kind::ALL {
        let sized = Wish {
            quantity: Some("0.25".to_owned()),
            ..wish(kind)
        };
        match messages(&sized) {
            Ok(made) => {
                assert_eq!(kind, Kind::Indicator);
                let sizes = made
                    .iter()
                    .filter(|it| it.text.contains("\"quantity\": \"0.25\""));
                assert_eq!(sizes.count(), 2);
            }
            Err(why) => {
                assert_ne!(kind, Kind::Indicator);
                assert!(why.contains("from the strategy"), "{why}");
            }
        }
        assert!(setup(&sized).len() > 3);
        assert_eq!(kind.name().parse(), Ok(kind));
    }
    assert!(
        "scalping"
            .parse::<Kind>()
            .unwrap_err()
            .contains("reversing, exits")
    );
}
