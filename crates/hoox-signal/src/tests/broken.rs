//! What is said about bodies that are no JSON object.

use core::fmt::Write as _;

use hoox_model::Code;
use proptest::prelude::*;

use crate::Alert;

/// Bodies as people and programs send them, by what is wrong with them.
const BROKEN: &[(&str, &[&str])] = &[
    (
        "curly quotes",
        &[
            "{“action”: “buy”}",
            "{\"action\": ”buy”}",
            "{\n  \"symbol\": \"BTCUSDT\",\n  „action“: \"buy\"\n}",
            "{‘action’: ‘buy’}",
            "{«action»: 1}",
            "{\"action”: \"buy\"}",
            "{\"action\": \"buy”}",
            "{\"action\": \"buy”, \"symbol\": \"BTCUSDT\"}",
            "{\"action\": \"buy”,\n \"symbol\": \"BTCUSDT\"}",
            "{\"quantity”: 1, \"symbol\": \"BTCUSDT\"}",
            "“{\"action\": \"buy\"}”",
            "{\"comment\": \"a “good” one, he said “now”, then\nleft\"}",
            "{\"comment\": \"a “good”, really\"",
        ],
    ),
    (
        "comments",
        &[
            "{ // the side\n\"action\": \"buy\"}",
            "{\"action\": \"buy\", // the side\n\"quantity\": 1}",
            "{\"action\": /* or sell */ \"buy\"}",
            "{\"action\": \"buy\" # the side\n}",
            "{\"action\": \"buy\"} // entry",
            "# entry\n{\"action\": \"buy\"}",
            "// entry\n{\"action\": \"buy\"}",
            "<!-- entry -->\n{\"action\": \"buy\"}",
        ],
    ),
    (
        "HTML entities",
        &[
            "{&quot;action&quot;: &quot;buy&quot;}",
            "{\"action\": &#34;buy&#34;}",
            "{\"action\": \"buy\",&nbsp;\"quantity\": 1}",
            "&#123;\"action\": \"buy\"&#125;",
            "&lt;p&gt;{\"action\": \"buy\"}",
        ],
    ),
    (
        "spaces that JSON does not know, and what is not seen",
        &[
            "{\u{a0}\"action\": \"buy\"}",
            "\u{a0}{\"action\": \"buy\"}",
            "{\"action\":\u{202f}\"buy\"}",
            "{\"action\":\u{2003}\"buy\"}",
            "{\"action\": \"buy\",\n\u{3000}\"quantity\": 1}",
            "{\u{200b}\"action\": \"buy\"}",
            "{\"action\": \"buy\"}\u{200b}",
            "{\u{feff}\"action\": \"buy\"}",
            "\u{feff}\u{feff}{\"action\": \"buy\"}",
            "{\u{202a}\"action\": \"buy\"}",
            "{\u{c}\"action\": \"buy\"}",
            "{\u{1b}\"action\": \"buy\"}",
            "\u{a0}\u{a0}",
        ],
    ),
    (
        "commas",
        &[
            "{\"action\": \"buy\",}",
            "{\"action\": \"buy\",\n}",
            "{\"x\": [1, 2,]}",
            "{\"x\": {\"a\": 1,}}",
            "{\"action\": \"buy\",, \"quantity\": 1}",
            "{, \"action\": \"buy\"}",
            "{\"action\": \"buy\"\n\"quantity\": 1}",
            "{\"quantity\": 1 \"action\": \"buy\"}",
            "{\"action\": \"buy\"; \"quantity\": 1}",
            "{\"action\": \"buy\"},",
        ],
    ),
    (
        "more than one object",
        &[
            "{\"action\": \"buy\"}{\"action\": \"sell\"}",
            "{\"action\": \"buy\"}\n{\"action\": \"sell\"}",
            "{\"action\": \"buy\"}, {\"action\": \"sell\"}",
            "{\"action\": \"buy\"}, \"quantity\": 1}",
        ],
    ),
    (
        "a list",
        &[
            "[{\"action\": \"buy\"}]",
            "[ {\"action\": \"buy\"}, {\"action\": \"sell\"} ]",
            "[]",
            "[\"buy\", 1]",
            "[1]",
        ],
    ),
    (
        "query strings and forms",
        &[
            "symbol=BTCUSDT&action=buy",
            "?symbol=BTCUSDT&action=buy",
            "action = buy",
            "%7B%22action%22%3A%22buy%22%7D",
            "%7b%22action%22:%22buy%22%7d",
            "payload={\"action\":\"buy\"}",
            "payload=%7B%22action%22%3A%22buy%22%7D",
            "data[payload]={\"action\":\"buy\"}",
            "------WebKitFormBoundary7MA4\r\nContent-Disposition: form-data; name=\"payload\"\r\n\r\n{\"action\":\"buy\"}\r\n",
            "symbol: BTCUSDT\naction: buy",
        ],
    ),
    (
        "the frame of an e-mail, a chat or a request",
        &[
            "Subject: Alert\nFrom: TradingView <noreply@tradingview.com>\n\n{\"action\": \"buy\"}",
            "Hello,\n> From: TradingView\n> {\"action\": \"buy\"}",
            "POST /webhook HTTP/1.1\r\nHost: hoox.example\r\nContent-Type: application/json\r\n\r\n{\"action\": \"buy\"}",
            "Your alert was triggered:\n{\"action\": \"buy\"}",
            "Alert {{ticker}}: {\"action\": \"buy\"}",
            "json = {\"action\": \"buy\"}",
            "({\"action\": \"buy\"})",
            "{\"action\": \"buy\"}\n-- \nSent by TradingView",
            "{\"action\": \"buy\"} BTC crossed 70000",
            "{\"action\": \"buy\"};",
            "[ALERT] {\"action\": \"buy\"}",
            "BTC crossed 70000",
        ],
    ),
    (
        "code fences",
        &[
            "```json\n{\"action\": \"buy\"}\n```",
            "```\n{\"action\": \"buy\"}\n```",
            "{\"action\": \"buy\"}\n```",
            "`{\"action\": \"buy\"}`",
        ],
    ),
    (
        "other quotes, or none",
        &[
            "{'action': 'buy'}",
            "{\"action\": 'buy'}",
            "'{\"action\": \"buy\"}'",
            "{`action`: `buy`}",
            "{action: \"buy\"}",
            "{action: buy}",
            "{\"action\": buy}",
            "{\"action: \"buy\"}",
            "{\"action\": \"buy}",
            "{\"action\": buy\"}",
        ],
    ),
    (
        "words of other languages",
        &[
            "{\"reduceOnly\": True}",
            "{\"reduceOnly\": False, \"test\": None}",
            "{\"price\": None}",
            "{\"price\": NULL}",
            "{\"reduceOnly\": TRUE}",
            "{\"price\": undefined}",
            "{\"price\": NaN}",
            "{\"reduceOnly\": yes}",
            "{\"action\": \"buy\" + side}",
            "{\"quantity\": (1)}",
            "{\"action\" => \"buy\"}",
            "{\"action\" = \"buy\"}",
            "{symbol=BTCUSDT, action=buy}",
        ],
    ),
    (
        "JSON within a text",
        &[
            "\"{\\\"action\\\": \\\"buy\\\"}\"",
            "\"{\"action\": \"buy\"}\"",
            "{\\\"action\\\": \\\"buy\\\"}",
            "{\\n  \"action\": \"buy\"}",
            "\"buy\"",
            "eyJhY3Rpb24iOiJidXkifQ==",
        ],
    ),
    (
        "braces and brackets",
        &[
            "{",
            "{\"action\": \"buy\"",
            "{\"action\":",
            "{\"x\": {\"a\": [1, 2",
            "{\"x\": [[[[[[[[[1",
            "{\"x\": \"a\\\"",
            "\"action\": \"buy\"}",
            "{\"action\": \"buy\"}}",
            "{\"action\": \"buy\"}]",
            "{{\"action\": \"buy\"}}",
            "{{{\"action\": \"buy\"}}}",
            "{\"x\": [1}}",
            "{\"x\": {\"a\": 1]}",
            "{ {\"action\": \"buy\"} }",
        ],
    ),
    (
        "XML and HTML",
        &[
            "<?xml version=\"1.0\"?><alert><action>buy</action></alert>",
            "<html><body>{\"action\": \"buy\"}</body></html>",
        ],
    ),
    (
        "numbers",
        &[
            "{\"quantity\": .5}",
            "{\"quantity\": +1}",
            "{\"quantity\": 1,5}",
            "{\"quantity\": 1,500, \"action\": \"buy\"}",
            "{\"quantity\": 01}",
            "{\"quantity\": 1.}",
            "{\"quantity\": 1 000}",
            "{\"quantity\": 1_000}",
            "{\"quantity\": 0.5BTC}",
            "{\"quantity\": 5%}",
            "{\"quantity\": $100}",
            "{\"quantity\": -}",
            "{\"quantity\": }",
            "{\"quantity\": , \"action\": \"buy\"}",
            "{\"quantity\":: 1}",
            "{: \"buy\"}",
        ],
    ),
    (
        "placeholders",
        &[
            "{\"quantity\": {{strategy.order.contracts}}}",
            "{\"quantity\": ${quantity}}",
            "{\"apiKey\": <your key>}",
            "{\"quantity\": %s}",
            "{\"action\": \"buy\", ...}",
            "{\"action\": …}",
            "{\"action\"： \"buy\"}",
        ],
    ),
    (
        "texts",
        &[
            "{\"comment\": \"say \"hi\" now\"}",
            "{\"comment\": \"two\nlines\"}",
            "{\"comment\": \"C:\\path\"}",
            "{\"a\": \"b\": \"c\"}",
            "{\"a\" \"b\"}",
        ],
    ),
];

/// The sentences are the product: each kind says what stands there and what to write.
#[test]
fn each_kind_of_broken_json_has_its_sentence() {
    let mut text = String::new();
    for (kind, bodies) in BROKEN {
        writeln!(text, "## {kind}").unwrap();
        for body in *bodies {
            let error = Alert::parse(body.as_bytes()).unwrap_err();
            writeln!(text, "{body:?}\n    {}: {error}", error.code).unwrap();
        }
    }
    insta::assert_snapshot!(text);
}

/// A passkey in place of the words and numbers of a body never comes back.
#[test]
fn no_sentence_repeats_what_stands_in_a_broken_body() {
    const KEY: &str = "hx_4Zq9aQ7d";
    for (_, bodies) in BROKEN {
        for body in *bodies {
            for word in ["buy", "BTCUSDT", "action", "symbol", "quantity", "1", "5"] {
                let body = body.replace(word, KEY);
                if let Err(error) = Alert::parse(body.as_bytes()) {
                    assert!(!error.message.contains(KEY), "{body}: {error}");
                }
            }
        }
    }
}

proptest! {
    /// Whatever it is pieced together from, a body that is refused is refused with a sentence of one
    /// line that repeats no value.
    #[test]
    fn any_pieces_of_json_are_refused_in_one_line(
        pieces in proptest::collection::vec(proptest::sample::select(vec![
            "{", "}", "[", "]", ":", ",", "\"", "'", "“", "”", "\\", "/", "//", "&quot;", "%7B",
            "=", "\n", " ", "\u{a0}", "\u{200b}", "ä", "1", ".", "+", "None", "hx_4Zq9aQ7d", "{{close}}",
            "```", "From:", "<", "NaN", "=>", "eyJ",
        ]), 0..14),
    ) {
        let body = pieces.concat();
        if let Err(error) = Alert::parse(body.as_bytes()) {
            prop_assert!(matches!(error.code, Code::BadJson | Code::Placeholder));
            prop_assert!(!error.message.is_empty() && !error.message.contains('\n'));
            let named = error.message.contains("is given twice");
            prop_assert!(named || !error.message.contains("hx_4Zq9aQ7d"), "{}", error);
        }
    }
}
