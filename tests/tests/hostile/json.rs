//! JSON and what stands in its fields.

use crate::row::Answer::Journaled;
use crate::row::{
    Answer, FORBIDDEN, NO_OBJECT, Row, bad_field, bad_json, bad_value, broken_by_placeholder,
};

const TWICE: Answer = bad_json("the field 'apiKey' is given twice (line 1, column 58)");
const ABOVE_ZERO: Answer = bad_field("quantity", "quantity must be above 0");
const NO_NUMBER: Answer = bad_field("quantity", "quantity must be a number");
const ESCAPE: Answer = bad_json("in 'comment': the text holds a broken \\u escape");
const IDEMPOTENCY: Answer = bad_field(
    "idempotencyKey",
    "idempotencyKey must be 1 to 255 printable ASCII characters without spaces around them",
);

/// An alert that closes what is not there, with more text before its brace.
fn close(more: &str) -> Vec<u8> {
    let open = close!().strip_suffix('}').unwrap();
    format!("{open},{more}}}").into_bytes()
}

/// An alert with `count` fields.
fn wide(count: usize) -> Vec<u8> {
    let more: Vec<String> = (4..count)
        .map(|number| format!("\"x{number}\":{number}"))
        .collect();
    close(&more.join(","))
}

/// An alert that is nested to `depth`.
fn deep(depth: usize) -> Vec<u8> {
    close(&format!(
        "\"x\":{}{}",
        "[".repeat(depth - 1),
        "]".repeat(depth - 1)
    ))
}

fn text(name: &str, letter: &str, count: usize) -> Vec<u8> {
    close(&format!("\"{name}\":\"{}\"", letter.repeat(count)))
}

fn entry_text(name: &str, letter: &str, count: usize) -> Vec<u8> {
    let open = enter!(r#""quantity":1"#).strip_suffix('}').unwrap();
    format!("{open},\"{name}\":\"{}\"}}", letter.repeat(count)).into_bytes()
}

fn list(count: usize) -> Vec<u8> {
    close(&format!("\"x\":[{}]", vec!["0"; count].join(",")))
}

pub(crate) const ROWS: &[Row] = &[
    Row::post(
        "a list",
        "[]",
        bad_json(
            "the body is a JSON list; send one JSON object per alert, without [ and ] around it",
        ),
    ),
    Row::post(
        "a list of alerts",
        concat!("[", close!(), "]"),
        bad_json(
            "the body is a JSON list; send one JSON object per alert, without [ and ] around it",
        ),
    ),
    Row::post(
        "a text",
        "\"{}\"",
        bad_json(
            "the body is a JSON text that holds an object; send the object itself, without the quotes around it and the backslashes in it",
        ),
    ),
    Row::post("a number", "1", NO_OBJECT),
    Row::post("null", "null", NO_OBJECT),
    Row::post("true", "true", NO_OBJECT),
    Row::post("a sentence", "BTC crossed 70000", NO_OBJECT),
    Row::post("an empty object", "{}", FORBIDDEN),
    Row::post(
        "an open brace",
        "{",
        bad_json(
            "the JSON ends too early; a closing brace or bracket is missing: write } at its end",
        ),
    ),
    Row::post(
        "an open text",
        "{\"apiKey\":\"",
        bad_json("the text that begins at line 1, column 11 is not closed; write \" at its end"),
    ),
    Row::post(
        "a comma at the end",
        "{\"a\":1,}",
        bad_json(
            "the JSON is broken at line 1, column 8: a comma stands before the closing brace; remove it",
        ),
    ),
    Row::post(
        "two commas",
        "{\"a\":1,,\"b\":2}",
        bad_json("the JSON is broken at line 1, column 8: there is a comma too many; remove it"),
    ),
    Row::post(
        "a brace too much",
        concat!(close!(), "}"),
        bad_json(
            "the JSON is broken at line 1, column 102: there is a closing brace too many; remove it",
        ),
    ),
    Row::post(
        "garbage after the object",
        "{} x",
        bad_json(
            "the JSON is broken at line 1, column 4: text follows the closing brace, such as the end of an e-mail or a chat's frame; send one object and nothing else",
        ),
    ),
    Row::post(
        "two objects",
        "{}{}",
        bad_json(
            "the JSON is broken at line 1, column 3: a second object begins here; send one object per alert",
        ),
    ),
    Row::post(
        "lines of objects",
        "{}\n{}",
        bad_json(
            "the JSON is broken at line 2, column 1: a second object begins here; send one object per alert",
        ),
    ),
    Row::post(
        "a comment to the end of the line",
        "{ // key\n\"a\":1}",
        bad_json(
            "at line 1, column 3 stands the start of a comment (//): JSON has no comments; remove it",
        ),
    ),
    Row::post(
        "a comment between stars",
        "{\"a\":/* one */1}",
        bad_json(
            "at line 1, column 6 stands the start of a comment (/*): JSON has no comments; remove it",
        ),
    ),
    Row::post(
        "a comment after the object",
        "{} # done",
        bad_json(
            "at line 1, column 4 stands the start of a comment (#): JSON has no comments; remove it",
        ),
    ),
    Row::post(
        "a comment before the object",
        "// hi\n{}",
        bad_json(
            "at line 1, column 1 stands the start of a comment (//): JSON has no comments; remove it",
        ),
    ),
    Row::post(
        "single quotes",
        "{'a':1}",
        bad_json(
            "at line 1, column 2 stands a single quote ('): JSON puts names and texts into double quotes (\")",
        ),
    ),
    Row::post(
        "a text in single quotes",
        "{\"a\":'b'}",
        bad_json(
            "at line 1, column 6 stands a single quote ('): JSON puts names and texts into double quotes (\")",
        ),
    ),
    Row::post(
        "curly quotes",
        "{“a”:1}",
        bad_json(
            "at line 1, column 2 stands a curly quote (“): JSON takes the straight one (\"); type the quotes anew where no program turns them",
        ),
    ),
    Row::post(
        "HTML entities",
        "{&quot;a&quot;:1}",
        bad_json(
            "at line 1, column 2 stands an HTML entity: the message went through HTML; write the character itself, such as \" for &quot;",
        ),
    ),
    Row::post(
        "a no-break space in the object",
        "{\u{a0}\"a\":1}",
        bad_json(
            "at line 1, column 2 stands a no-break space (U+00A0): type an ordinary space, or none",
        ),
    ),
    Row::post(
        "a space of no width",
        "{\"a\":\u{200b}1}",
        bad_json(
            "at line 1, column 6 stands an invisible character (U+200B): type what is around it anew instead of copying it",
        ),
    ),
    Row::post(
        "a curly quote at one end",
        "{\"a”: 1, \"b\": 2}",
        bad_json(
            "at line 1, column 4 stands a curly quote (”): JSON takes the straight one (\"); type the quotes anew where no program turns them",
        ),
    ),
    Row::post(
        "a code fence",
        "```json\n{}\n```",
        bad_json(
            "at line 1, column 1 stands a code fence (```): leave the lines with ``` out, and send the JSON object alone",
        ),
    ),
    Row::post(
        "an e-mail",
        "Subject: x\n\n{}",
        bad_json(
            "the body begins with header lines, as an e-mail does; send the JSON object alone, from { to }",
        ),
    ),
    Row::post(
        "an object in a sentence",
        "BTC: {\"a\":1}",
        bad_json(
            "text stands before the object that begins at line 1, column 6; send the object alone, from { to }",
        ),
    ),
    Row::post(
        "a form field with the object",
        "payload={\"a\":1}",
        bad_json(
            "the body is a form field that holds JSON; send the JSON object itself, without name and = before it and not percent-encoded",
        ),
    ),
    Row::post(
        "an object escaped for a text",
        "{\\\"a\\\":1}",
        bad_json(
            "at line 1, column 2 stands a backslash outside of a text (\\): this is JSON escaped for another text; write \" and not \\\", and line breaks themselves",
        ),
    ),
    Row::post(
        "doubled braces",
        "{{\"a\":1}}",
        bad_json(
            "the JSON is broken at line 1, column 2: the brace is doubled; write one { and one }",
        ),
    ),
    Row::post(
        "a name without quotes",
        "{a:1}",
        bad_json("the JSON is broken at line 1, column 2: the name of a field needs double quotes"),
    ),
    Row::post(
        "no colon",
        "{\"a\" 1}",
        bad_json(
            "the JSON is broken at line 1, column 6: a colon is missing after the name of a field, or the quote that closes the name",
        ),
    ),
    Row::post(
        "no comma",
        "{\"a\":1 \"b\":2}",
        bad_json("the JSON is broken at line 1, column 8: a comma is missing before this text"),
    ),
    Row::post(
        "the wrong bracket",
        "{\"a\":[1}}",
        bad_json(
            "the JSON is broken at line 1, column 8: the list is not closed; write ] before the brace",
        ),
    ),
    Row::post(
        "a line break in a text",
        "{\"a\":\"x\ny\"}",
        bad_json(
            "the JSON is broken at line 1, column 7: a text holds a line break or a tab, perhaps from a comment; keep texts on one line or write \\n",
        ),
    ),
    Row::post(
        "a tab in a text",
        "{\"a\":\"x\ty\"}",
        bad_json(
            "the JSON is broken at line 1, column 7: a text holds a line break or a tab, perhaps from a comment; keep texts on one line or write \\n",
        ),
    ),
    Row::post(
        "an escape JSON does not know",
        "{\"a\":\"\\x41\"}",
        bad_json(
            "the JSON is broken at line 1, column 8: a text holds a backslash; write it twice",
        ),
    ),
    Row::post(
        "an escape cut short",
        "{\"a\":\"\\u00\"}",
        bad_json(
            "the JSON is broken at line 1, column 12: a text holds a backslash; write it twice",
        ),
    ),
    // Whatever stands twice could be read either way.
    Row::post(
        "the key twice",
        r#"{"apiKey":"<key>","apiKey":"<key>","action":"close","symbol":"BTCUSDT"}"#,
        TWICE,
    ),
    Row::post(
        "two keys",
        r#"{"apiKey":"<key>","apiKey":"x","action":"close","symbol":"BTCUSDT"}"#,
        TWICE,
    ),
    Row::post(
        "two keys, the wrong one first",
        r#"{"apiKey":"x","apiKey":"<key>","action":"close","symbol":"BTCUSDT"}"#,
        bad_json("the field 'apiKey' is given twice (line 1, column 22)"),
    ),
    Row::post(
        "the key twice, once by escapes",
        r#"{"apiKey":"x","api\u004bey":"<key>"}"#,
        bad_json("the field 'apiKey' is given twice (line 1, column 27)"),
    ),
    Row::post(
        "two quantities",
        r#"{"quantity":0.01,"quantity":100}"#,
        bad_json("the field 'quantity' is given twice (line 1, column 27)"),
    ),
    Row::post(
        "two quantities, far apart",
        r#"{"quantity":1,"a":1,"b":[2],"c":{},"quantity":1}"#,
        bad_json("the field 'quantity' is given twice (line 1, column 45)"),
    ),
    Row::post(
        "twice in a nested object",
        close!(r#""x":[{"a":1,"a":1}]"#),
        bad_json("in 'x': the field 'a' is given twice"),
    ),
    Row::post(
        "two unknown fields of one name",
        r#"{"a":1,"a":1}"#,
        bad_json("the field 'a' is given twice (line 1, column 10)"),
    ),
    Row::post(
        "one name in two cases",
        close!(r#""Quantity":5,"QUANTITY":6"#),
        bad_field(
            "QUANTITY",
            "QUANTITY and Quantity mean the same and differ; send one of them",
        ),
    ),
    Row::post(
        "a switch in another spelling",
        close!(r#""dry_run":"maybe""#),
        bad_field(
            "dry_run",
            "dry_run is read as dryRun: dryRun must be true or false",
        ),
    ),
    Row::post(
        "a label in another spelling",
        close!(r#""order_id":"7","Comment":"x""#),
        Journaled,
    ),
    Row::post(
        "names of prototypes",
        close!(r#""__proto__":{"x":true},"constructor":1"#),
        Journaled,
    ),
    Row::post(
        "an exit with nonsense in every label",
        close!(
            r#""comment":"{{x}}","idempotencyKey":7,"notify":["all"],"leverage":"ten","stopLoss":{},"maxLag":31536000"#
        ),
        Journaled,
    ),
    Row::post("an empty name", close!(r#""":1"#), Journaled),
    Row::post(
        "NaN",
        "{\"quantity\":NaN}",
        bad_json(
            "at line 1, column 13 stands NaN, which is no JSON value: the script had no number when the alert fired; let it fire only when the value exists",
        ),
    ),
    Row::post(
        "Infinity",
        "{\"quantity\":Infinity}",
        bad_json(
            "at line 1, column 13 stands Infinity, which is no JSON value: the script had no number when the alert fired; let it fire only when the value exists",
        ),
    ),
    Row::post(
        "minus Infinity",
        "{\"quantity\":-Infinity}",
        bad_json(
            "at line 1, column 14 stands -Infinity, which is no JSON value: the script had no number when the alert fired; let it fire only when the value exists",
        ),
    ),
    Row::post(
        "undefined",
        "{\"quantity\":undefined}",
        bad_json(
            "at line 1, column 13 stands undefined, which is no JSON value: the script had no number when the alert fired; let it fire only when the value exists",
        ),
    ),
    Row::post(
        "None",
        "{\"quantity\":None}",
        bad_json(
            "at line 1, column 13 stands None, as Python writes it: JSON writes null; or leave the field out",
        ),
    ),
    Row::post(
        "True",
        "{\"quantity\":True}",
        bad_json(
            "at line 1, column 13 stands true in capitals, as Python and others write it: write true",
        ),
    ),
    Row::post(
        "a number with leading zeros",
        "{\"quantity\":007}",
        bad_json("the JSON is broken at line 1, column 14: write numbers like 0.5"),
    ),
    Row::post(
        "a number without its zero",
        "{\"quantity\":.5}",
        bad_json(
            "the JSON is broken at line 1, column 13: a number begins with a digit; write 0.5, not .5",
        ),
    ),
    Row::post(
        "a number that ends in a point",
        "{\"quantity\":5.}",
        bad_json("the JSON is broken at line 1, column 15: write numbers like 0.5"),
    ),
    Row::post(
        "a number with a plus",
        "{\"quantity\":+1}",
        bad_json(
            "the JSON is broken at line 1, column 13: a number has no plus sign; write it like 0.5",
        ),
    ),
    Row::post(
        "a number in hexadecimal",
        "{\"quantity\":0x10}",
        bad_json(
            "the JSON is broken at line 1, column 14: something stands right behind a number; write the number alone, like 0.5",
        ),
    ),
    Row::post(
        "a number in groups",
        "{\"quantity\":1_000}",
        bad_json(
            "the JSON is broken at line 1, column 14: something stands right behind a number; write the number alone, like 0.5",
        ),
    ),
    Row::post(
        "a number with a decimal comma",
        "{\"quantity\":0,5}",
        bad_json(
            "the JSON is broken at line 1, column 15: a number holds a comma; write it like 0.5, without commas",
        ),
    ),
    Row::post(
        "an exponent without digits",
        "{\"quantity\":1e}",
        bad_json("the JSON is broken at line 1, column 15: write numbers like 0.5"),
    ),
    Row::post(
        "the text NaN",
        enter!(r#""quantity":"NaN""#),
        bad_field(
            "quantity",
            "quantity is NaN: the script had no number when the alert fired; let it fire only when the value exists",
        ),
    ),
    Row::post(
        "the text -Infinity",
        enter!(r#""quantity":"-Infinity""#),
        bad_field(
            "quantity",
            "quantity is -Infinity: the script had no number when the alert fired; let it fire only when the value exists",
        ),
    ),
    Row::post("an exponent", close!(r#""quantity":1e3"#), Journaled),
    Row::post(
        "an exponent beyond decimals",
        enter!(r#""quantity":1e400"#),
        bad_field(
            "quantity",
            "quantity must be a decimal number such as 0.5, not '1e400'",
        ),
    ),
    Row::post(
        "an exponent below decimals",
        enter!(r#""quantity":1e-400"#),
        bad_field(
            "quantity",
            "quantity must be a decimal number such as 0.5, not '1e-400'",
        ),
    ),
    Row::post(
        "an exponent beyond 32 bits",
        enter!(r#""quantity":1e99999999999"#),
        bad_field(
            "quantity",
            "quantity must be a decimal number such as 0.5, not '1e99999999999'",
        ),
    ),
    Row::post(
        "30 digits",
        enter!(r#""quantity":123456789012345678901234567890"#),
        bad_field(
            "quantity",
            "quantity must be a decimal number such as 0.5, not '123456789012345678901234567890'",
        ),
    ),
    Row::post(
        "30 digits after the point",
        enter!(r#""quantity":0.123456789012345678901234567890"#),
        bad_field(
            "quantity",
            "quantity must be a decimal number such as 0.5, not '0.123456789012345678901234567890'",
        ),
    ),
    Row::made(
        "a number of 10,000 digits",
        || {
            let alert = enter!(r#""quantity":<9>"#);
            alert.replace("<9>", &"9".repeat(10_000)).into_bytes()
        },
        bad_field(
            "quantity",
            "quantity must be a decimal number such as 0.5, not '9999999999999999999999999999999999999999'",
        ),
    ),
    Row::post("zero", enter!(r#""quantity":0"#), ABOVE_ZERO),
    Row::post("minus zero", enter!(r#""quantity":-0"#), ABOVE_ZERO),
    Row::post(
        "zero with an exponent",
        enter!(r#""quantity":0e999"#),
        ABOVE_ZERO,
    ),
    Row::post("below zero", enter!(r#""quantity":-1"#), ABOVE_ZERO),
    Row::post(
        "a quantity in full-width digits",
        enter!(r#""quantity":"１""#),
        bad_field(
            "quantity",
            "quantity must be a decimal number such as 0.5, not '１'",
        ),
    ),
    Row::post(
        "a quantity with its unit",
        enter!(r#""quantity":"0.01 BTC""#),
        bad_field(
            "quantity",
            "quantity must be a decimal number such as 0.5, not '0.01 BTC'",
        ),
    ),
    Row::post(
        "a quantity in hexadecimal",
        enter!(r#""quantity":"0x10""#),
        bad_field(
            "quantity",
            "quantity must be a decimal number such as 0.5, not '0x10'",
        ),
    ),
    Row::post(
        "a quantity by a formula",
        enter!(r#""quantity":"1+1""#),
        bad_field(
            "quantity",
            "quantity must be a decimal number such as 0.5, not '1+1'",
        ),
    ),
    Row::post(
        "an empty quantity",
        enter!(r#""quantity":"""#),
        bad_field(
            "quantity",
            "quantity must be a decimal number such as 0.5, not ''",
        ),
    ),
    Row::post(
        "a quantity in a list",
        enter!(r#""quantity":[1]"#),
        NO_NUMBER,
    ),
    Row::post(
        "a quantity in an object",
        enter!(r#""quantity":{"value":1}"#),
        NO_NUMBER,
    ),
    Row::post(
        "a quantity that is true",
        enter!(r#""quantity":true"#),
        NO_NUMBER,
    ),
    Row::post(
        "a quantity that is null",
        enter!(r#""quantity":null"#),
        bad_field(
            "quantity",
            "LONG needs a quantity: add \"quantity\" with a number above 0",
        ),
    ),
    Row::post(
        "1e400 where nobody looks",
        close!(r#""x":1e400"#),
        Journaled,
    ),
    Row::made("16 levels", || deep(16), Journaled),
    Row::made(
        "17 levels",
        || deep(17),
        bad_json("in 'x': it is nested deeper than 16 levels"),
    ),
    Row::made(
        "30,000 levels",
        || deep(30_000),
        bad_json("in 'x': it is nested deeper than 16 levels"),
    ),
    Row::made(
        "30,000 brackets never closed",
        || [b"{\"x\":".to_vec(), vec![b'['; 30_000]].concat(),
        bad_json(
            "the JSON ends too early; a closing brace or bracket is missing: write ]]]]]]]]… at its end",
        ),
    ),
    Row::made(
        "30,000 braces",
        || "{\"x\":".repeat(10_000).into_bytes(),
        bad_json(
            "the JSON ends too early; a closing brace or bracket is missing: write }}}}}}}}… at its end",
        ),
    ),
    Row::made("100 fields", || wide(100), Journaled),
    Row::made(
        "101 fields",
        || wide(101),
        bad_json("the object has more than 100 fields (line 1, column 960)"),
    ),
    Row::made(
        "5,000 fields",
        || wide(5_000),
        bad_json("the object has more than 100 fields (line 1, column 960)"),
    ),
    Row::made("a list of 100", || list(100), Journaled),
    Row::made(
        "a list of 101",
        || list(101),
        bad_json("in 'x': a list has more than 100 entries"),
    ),
    Row::made(
        "a list of 30,000",
        || list(30_000),
        bad_json("in 'x': a list has more than 100 entries"),
    ),
    Row::made(
        "a name of 100 bytes",
        || text(&"n".repeat(100), "x", 1),
        Journaled,
    ),
    Row::made(
        "a name of 101 bytes",
        || text(&"n".repeat(101), "x", 1),
        bad_json("a field's name is longer than 100 bytes (line 1, column 205)"),
    ),
    Row::made(
        "a name of 60,000 bytes",
        || text(&"n".repeat(60_000), "x", 1),
        bad_json("a field's name is longer than 100 bytes (line 1, column 60104)"),
    ),
    Row::made(
        "a value of 60,000 characters",
        || text("x", "v", 60_000),
        Journaled,
    ),
    Row::made(
        "a comment of 4,096 characters",
        || text("comment", "ä", 4_096),
        Journaled,
    ),
    Row::made(
        "a comment of 4,097 characters",
        || entry_text("comment", "x", 4_097),
        bad_field(
            "comment",
            "comment is longer than 4096 characters; shorten it",
        ),
    ),
    Row::made(
        "a strategy of 256 characters",
        || entry_text("strategy", "x", 256),
        bad_field(
            "strategy",
            "strategy is longer than 255 characters; shorten it",
        ),
    ),
    Row::made(
        "an account of 60,000 characters",
        || text("account", "x", 60_000),
        bad_field(
            "account",
            "account: 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx' is not a valid name: use 1 to 255 letters, digits, '-' or '_'",
        ),
    ),
    Row::made(
        "an exchange of 60,000 characters",
        || text("exchange", "x", 60_000),
        bad_field(
            "exchange",
            "'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx' is not an exchange Hoox knows: use bybit, binance or mexc",
        ),
    ),
    Row::made(
        "a symbol of 60,000 characters",
        || {
            let symbol = "X".repeat(60_000);
            format!(r#"{{"apiKey":"<key>","action":"close","symbol":"{symbol}"}}"#).into_bytes()
        },
        bad_value(
            "UNKNOWN_SYMBOL",
            "symbol",
            "'XXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXX' is not a symbol: write it like BTCUSDT, BYBIT:BTCUSDT.P or BTC/USDT:USDT",
        ),
    ),
    Row::post(
        "half of a surrogate pair",
        close!(r#""comment":"\ud83d""#),
        ESCAPE,
    ),
    Row::post("the other half", close!(r#""comment":"\ude00""#), ESCAPE),
    Row::post(
        "surrogates the wrong way round",
        close!(r#""comment":"\ude00\ud83d""#),
        ESCAPE,
    ),
    Row::post(
        "half of a pair where nobody looks",
        close!(r#""x":{"y":["\ud83d"]}"#),
        bad_json("in 'x': the text holds a broken \\u escape"),
    ),
    Row::post(
        "half of a pair in a name",
        r#"{"\ud83d":1}"#,
        bad_json(
            "the JSON is broken at line 1, column 9: the name of a field holds a broken \\u escape",
        ),
    ),
    Row::post(
        "half of a pair in the key",
        r#"{"apiKey":"\ud83d"}"#,
        bad_json("in 'apiKey': the text holds a broken \\u escape"),
    ),
    Row::post(
        "a whole pair",
        close!(r#""comment":"\ud83d\ude00""#),
        Journaled,
    ),
    Row::post(
        "NUL by an escape in a comment",
        close!(r#""comment":"a\u0000b","strategy":"\u0000""#),
        Journaled,
    ),
    Row::post(
        "NUL by an escape in the symbol",
        r#"{"apiKey":"<key>","action":"close","symbol":"BTC\u0000USDT"}"#,
        bad_value(
            "UNKNOWN_SYMBOL",
            "symbol",
            "symbol holds a control character (U+0000): remove it",
        ),
    ),
    Row::post(
        "text that turns around",
        close!(r#""comment":"\u202egnol\u202c""#),
        Journaled,
    ),
    Row::post(
        "a placeholder without quotes",
        "{\"quantity\":{{strategy.order.contracts}}}",
        broken_by_placeholder(
            "at line 1, column 14 stands {{strategy.order.contracts}}, which was not filled in: only alerts of a strategy fill it in; make the alert on a strategy, or write a value",
        ),
    ),
    Row::post(
        "a placeholder for the whole body",
        "{{strategy.order.alert_message}}",
        broken_by_placeholder(
            "at line 1, column 2 stands {{strategy.order.alert_message}}, which was not filled in: only alerts of a strategy fill it in; make the alert on a strategy, or write a value",
        ),
    ),
    Row::post(
        "a placeholder as the symbol",
        r#"{"apiKey":"<key>","action":"close","symbol":"{{ticker}}"}"#,
        bad_value(
            "PLACEHOLDER",
            "symbol",
            "symbol holds {{ticker}}, which was not filled in: TradingView fills it in when an alert fires; was this sent by hand, or has the script no such plot?",
        ),
    ),
    Row::post(
        "a placeholder as the quantity",
        enter!(r#""quantity":"{{strategy.order.contracts}}""#),
        bad_value(
            "PLACEHOLDER",
            "quantity",
            "quantity holds {{strategy.order.contracts}}, which was not filled in: only alerts of a strategy fill it in; make the alert on a strategy, or write a value",
        ),
    ),
    Row::post(
        "a placeholder TradingView does not know",
        enter!(r#""quantity":1,"comment":"{{x}}""#),
        bad_value(
            "PLACEHOLDER",
            "comment",
            "comment holds {{x}}, which was not filled in: TradingView knows no such placeholder; check its spelling",
        ),
    ),
    Row::post(
        "a placeholder in a nested field",
        enter!(r#""quantity":1,"stopLoss":{"price":"{{close}}"}"#),
        bad_value(
            "PLACEHOLDER",
            "stopLoss",
            "stopLoss holds {{close}}, which was not filled in: TradingView fills it in when an alert fires; was this sent by hand, or has the script no such plot?",
        ),
    ),
    Row::post(
        "a placeholder as the key",
        r#"{"apiKey":"{{key}}","action":"close","symbol":"BTCUSDT"}"#,
        FORBIDDEN,
    ),
    Row::post(
        "a placeholder where nobody looks",
        close!(r#""x":"{{close}}""#),
        Journaled,
    ),
    Row::post(
        "a placeholder by escapes",
        enter!(r#""quantity":"\u007b\u007bclose}}""#),
        bad_field(
            "quantity",
            "quantity must be a decimal number such as 0.5, not '{{close}}'",
        ),
    ),
    Row::post("half a placeholder", close!(r#""comment":"{{""#), Journaled),
    Row::post(
        "no action",
        r#"{"apiKey":"<key>","symbol":"BTCUSDT","quantity":1}"#,
        bad_field("action", "action is missing; add it to the alert's message"),
    ),
    Row::post(
        "an action that is none",
        r#"{"apiKey":"<key>","action":"LONGER","symbol":"BTCUSDT","quantity":1}"#,
        bad_field(
            "action",
            "'LONGER' is not an action: use LONG, SHORT, CLOSE_LONG, CLOSE_SHORT, close, buy, sell, reverse, cancel or target",
        ),
    ),
    Row::post(
        "an action with letters that look alike",
        "{\"apiKey\":\"<key>\",\"action\":\"LΟNG\",\"symbol\":\"BTCUSDT\",\"quantity\":1}",
        bad_field(
            "action",
            "'LΟNG' is not an action: use LONG, SHORT, CLOSE_LONG, CLOSE_SHORT, close, buy, sell, reverse, cancel or target",
        ),
    ),
    Row::post(
        "actions in a list",
        r#"{"apiKey":"<key>","action":["LONG"],"symbol":"BTCUSDT","quantity":1}"#,
        bad_field("action", "action must be a text in double quotes"),
    ),
    Row::post(
        "an action that is a number",
        r#"{"apiKey":"<key>","action":1,"symbol":"BTCUSDT","quantity":1}"#,
        bad_field("action", "action must be a text in double quotes"),
    ),
    Row::post(
        "an action in white space",
        r#"{"apiKey":"<key>","action":" \n ","symbol":"BTCUSDT","quantity":1}"#,
        bad_field("action", "action is missing; add it to the alert's message"),
    ),
    Row::post(
        "SQL as the symbol",
        r#"{"apiKey":"<key>","action":"close","symbol":"x'; DROP TABLE signals;--"}"#,
        bad_value(
            "UNKNOWN_SYMBOL",
            "symbol",
            "'x'; DROP TABLE signals;--' is not a symbol: write it like BTCUSDT, BYBIT:BTCUSDT.P or BTC/USDT:USDT",
        ),
    ),
    Row::post(
        "SQL as the comment",
        close!(r#""comment":"x'); DROP TABLE signals;--""#),
        Journaled,
    ),
    Row::post(
        "a path as the symbol",
        r#"{"apiKey":"<key>","action":"close","symbol":"../../v5/order"}"#,
        bad_value(
            "UNKNOWN_SYMBOL",
            "symbol",
            "'../../v5/order' is not a symbol: write it like BTCUSDT, BYBIT:BTCUSDT.P or BTC/USDT:USDT",
        ),
    ),
    Row::post(
        "a parameter in the symbol",
        r#"{"apiKey":"<key>","action":"close","symbol":"BTCUSDT&qty=9"}"#,
        bad_value(
            "UNKNOWN_SYMBOL",
            "symbol",
            "'BTCUSDT&qty=9' is not a symbol: write it like BTCUSDT, BYBIT:BTCUSDT.P or BTC/USDT:USDT",
        ),
    ),
    Row::post(
        "leverage of a billion",
        enter!(r#""quantity":1,"leverage":1e9"#),
        bad_field("leverage", "leverage must be above 0 and at most 200"),
    ),
    Row::post(
        "a limit without a price",
        enter!(r#""quantity":1,"orderType":"limit""#),
        bad_field("price", "orderType limit needs a price above 0"),
    ),
    Row::post(
        "a stop that is a number",
        enter!(r#""quantity":1,"stopLoss":1"#),
        bad_field(
            "stopLoss",
            "stopLoss must say what its number means: write {\"price\": …}, {\"percent\": …} or {\"distance\": …}",
        ),
    ),
    Row::post(
        "a dry run that is a number",
        enter!(r#""quantity":1,"dryRun":1"#),
        bad_field("dryRun", "dryRun must be true or false"),
    ),
    Row::post(
        "a test that says yes",
        enter!(r#""quantity":1,"test":"yes""#),
        bad_field("test", "test must be true or false"),
    ),
    Row::post(
        "from the year 9999",
        enter!(r#""quantity":1,"timestamp":"9999-12-31T23:59:59Z""#),
        bad_value(
            "STALE",
            "timestamp",
            "timestamp 9999-12-31T23:59:59.000Z is more than 60 s in the future; correct the sender's clock or send {{timenow}}",
        ),
    ),
    Row::post(
        "from the year 292278994",
        enter!(r#""quantity":1,"timestamp":9223372036854775807"#),
        bad_value(
            "STALE",
            "timestamp",
            "timestamp 9223372036854775807 is more than 60 s in the future; correct the sender's clock or send {{timenow}}",
        ),
    ),
    Row::post(
        "a time beyond 64 bits",
        enter!(r#""quantity":1,"timestamp":99999999999999999999"#),
        bad_field(
            "timestamp",
            "timestamp: '99999999999999999999' is not a time: use {{timenow}}, an ISO 8601 UTC time, or seconds or milliseconds since 1970",
        ),
    ),
    Row::post(
        "a time before 1970",
        enter!(r#""quantity":1,"timestamp":-1"#),
        bad_field(
            "timestamp",
            "timestamp: '-1' is not a time: use {{timenow}}, an ISO 8601 UTC time, or seconds or milliseconds since 1970",
        ),
    ),
    Row::post(
        "a lag of a year",
        enter!(r#""quantity":1,"maxLag":31536000"#),
        bad_field(
            "maxLag",
            "maxLag must be a number of seconds from 1 to 3600",
        ),
    ),
    Row::post(
        "an idempotency key that is a number",
        enter!(r#""quantity":1,"idempotencyKey":7"#),
        bad_field(
            "idempotencyKey",
            "idempotencyKey must be a text in double quotes",
        ),
    ),
    Row::post(
        "an empty idempotency key",
        enter!(r#""quantity":1,"idempotencyKey":"""#),
        IDEMPOTENCY,
    ),
    Row::post(
        "an idempotency key with a line break",
        enter!(r#""quantity":1,"idempotencyKey":"a\nb""#),
        IDEMPOTENCY,
    ),
    Row::post(
        "an idempotency key in another script",
        enter!(r#""quantity":1,"idempotencyKey":"ключ""#),
        IDEMPOTENCY,
    ),
    Row::made(
        "an idempotency key of 256 characters",
        || entry_text("idempotencyKey", "k", 256),
        IDEMPOTENCY,
    ),
    Row::post(
        "a chat that is a list",
        enter!(r#""quantity":1,"notify":["all"]"#),
        bad_field(
            "notify",
            "notify must be an object such as {\"chatId\": \"123\"}",
        ),
    ),
];
