//! Bytes, framings and types of the body.

use crate::row::Answer::{Journaled, Runtime};
use crate::row::Framing::{Chunked, CutOff, Own};
use crate::row::{Answer, COMPRESSED, EMPTY, FORBIDDEN, LOST, NOT_UTF8, ONLY_POST, Row, bad_json};

const UTF16: Answer = bad_json("the body is UTF-16; send it as UTF-8");
const NUL: Answer =
    bad_json("the body holds NUL bytes, as UTF-16 does; send one JSON object in UTF-8");
const OPEN: Answer =
    bad_json("the JSON ends too early; a closing brace or bracket is missing: write } at its end");
const INVALID_LENGTH: Answer = Runtime(400, "invalid content-length parsed");
const INVALID_TRANSFER: Answer = Runtime(400, "invalid transfer-encoding parsed");

/// `{}` by gzip.
const GZIP: &[u8] =
    b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xab\xae\x05\x00\x43\xbf\xa6\xa3\x02\x00\x00\x00";
/// `{}` by zlib, which is what `deflate` means.
const ZLIB: &[u8] = b"\x78\x9c\xab\xae\x05\x00\x01\x75\x00\xf9";
/// `{}` by Brotli.
const BROTLI: &[u8] = b"\x8b\x00\x80\x7b\x7d\x03";

fn utf16(text: &str, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
    text.encode_utf16().flat_map(bytes).collect()
}

pub(crate) const ROWS: &[Row] = &[
    Row::bytes(
        "a byte that is no UTF-8",
        b"{\"apiKey\":\"\xff\"}",
        NOT_UTF8,
    ),
    Row::bytes(
        "a continuation byte alone",
        b"{\"apiKey\":\"\x80\"}",
        NOT_UTF8,
    ),
    Row::bytes(
        "an overlong slash",
        b"{\"symbol\":\"BTC\xc0\xafUSDT\"}",
        NOT_UTF8,
    ),
    Row::bytes(
        "a surrogate in UTF-8",
        b"{\"symbol\":\"\xed\xa0\x80\"}",
        NOT_UTF8,
    ),
    Row::bytes(
        "above U+10FFFF",
        b"{\"symbol\":\"\xf4\x90\x80\x80\"}",
        NOT_UTF8,
    ),
    Row::bytes("a character cut off", b"{\"symbol\":\"\xe2\x82", NOT_UTF8),
    Row::bytes("Latin-1", b"{\"comment\":\"caf\xe9\"}", NOT_UTF8),
    Row::post(
        "a byte order mark",
        concat!("\u{feff}", close!()),
        Journaled,
    ),
    Row::post("two byte order marks", "\u{feff}\u{feff}{}", bad_json("at line 1, column 1 stands a byte order mark (U+FEFF): it is not to be seen; remove it")),
    Row::post("a byte order mark alone", "\u{feff}", EMPTY),
    Row::made(
        "UTF-16LE with its mark",
        || utf16("\u{feff}{}", u16::to_le_bytes),
        UTF16,
    ),
    Row::made(
        "UTF-16BE with its mark",
        || utf16("\u{feff}{}", u16::to_be_bytes),
        UTF16,
    ),
    Row::made(
        "UTF-16LE",
        || utf16("{\"apiKey\":\"x\"}", u16::to_le_bytes),
        NUL,
    ),
    Row::made(
        "UTF-16BE",
        || utf16("{\"apiKey\":\"x\"}", u16::to_be_bytes),
        NUL,
    ),
    Row::bytes(
        "UTF-32LE with its mark",
        b"\xff\xfe\0\0{\0\0\0}\0\0\0",
        UTF16,
    ),
    Row::bytes("NUL in a text", b"{\"symbol\":\"BTC\0USDT\"}", NUL),
    Row::bytes("NUL after the object", b"{}\0", NUL),
    Row::bytes("NUL before the object", b"\0{}", NUL),
    Row::bytes("nothing but NUL", b"\0\0\0\0", NUL),
    Row::bytes("gzip and its header", GZIP, COMPRESSED).with(&["content-encoding: gzip"]),
    Row::bytes("gzip without its header", GZIP, COMPRESSED),
    Row::bytes("deflate and its header", ZLIB, COMPRESSED).with(&["content-encoding: deflate"]),
    Row::bytes("deflate without its header", ZLIB, COMPRESSED),
    Row::bytes("br and its header", BROTLI, COMPRESSED).with(&["content-encoding: br"]),
    Row::bytes("br without its header", BROTLI, NOT_UTF8),
    Row::bytes(
        "zstd without its header",
        b"\x28\xb5\x2f\xfd\x20\x02\x11\0\0{}",
        COMPRESSED,
    ),
    Row::headed(
        "gzip by its header only",
        &["content-encoding: gzip"],
        COMPRESSED,
    ),
    Row::headed(
        "br by its header only",
        &["content-encoding: br"],
        COMPRESSED,
    ),
    Row::headed(
        "deflate by its header only",
        &["content-encoding: Deflate"],
        COMPRESSED,
    ),
    Row::headed(
        "an unknown encoding",
        &["content-encoding: rot13"],
        COMPRESSED,
    ),
    Row::headed(
        "encodings in a list",
        &["content-encoding: identity, gzip"],
        COMPRESSED,
    ),
    Row::headed(
        "encodings in two headers",
        &["content-encoding: identity", "content-encoding: br"],
        COMPRESSED,
    ),
    Row::headed(
        "gzip in chunks, by its header",
        &["content-encoding: gzip"],
        COMPRESSED,
    )
    .framed(Chunked(7)),
    Row::headed(
        "the encoding identity",
        &["content-encoding: Identity"],
        Journaled,
    ),
    Row::headed("an empty encoding", &["content-encoding: "], Journaled),
    Row::headed(
        "text/plain",
        &["content-type: text/plain; charset=utf-8"],
        Journaled,
    ),
    Row::headed("no content type", &[], Journaled),
    Row::headed(
        "a content type that lies",
        &["content-type: application/json; charset=utf-16"],
        Journaled,
    ),
    Row::headed(
        "the content type of a form",
        &["content-type: application/x-www-form-urlencoded"],
        Journaled,
    ),
    Row::headed(
        "the content type of a file",
        &["content-type: multipart/form-data; boundary=x"],
        Journaled,
    ),
    Row::headed(
        "a content type that is none",
        &["content-type: ;;=\"\\"],
        Journaled,
    ),
    Row::headed(
        "two content types",
        &["content-type: application/json", "content-type: text/html"],
        Journaled,
    ),
    Row::post(
        "a form",
        "apiKey=<key>&action=LONG&symbol=BTCUSDT&quantity=1",
        bad_json("the body is a query string or form (name=value); write it as one JSON object: {\"name\": \"value\", …}"),
    )
    .with(&["content-type: application/x-www-form-urlencoded"]),
    Row::post(
        "a form with files",
        "--x\r\ncontent-disposition: form-data; name=\"payload\"\r\n\r\n{}\r\n--x--\r\n",
        bad_json("the body is a multipart form; send the JSON object alone, as the whole body"),
    )
    .with(&["content-type: multipart/form-data; boundary=x"]),
    Row::post(
        "percent-encoded",
        "%7B%22apiKey%22%3A%22<key>%22%7D",
        bad_json("the body is percent-encoded, as forms are (%7B is {); send the JSON object as it is"),
    ),
    Row::post("base 64", "eyJhcGlLZXkiOiJ4In0=", bad_json("the body is base64; send the JSON object as plain text")),
    Row::post("XML", "<?xml version=\"1.0\"?><a>&x;</a>", bad_json("the body is XML or HTML; send one JSON object, from { to }"))
        .with(&["content-type: text/xml"]),
    Row::post("an empty body", "", EMPTY),
    Row::bodiless("no body at all", "POST /webhook HTTP/1.1", &[], EMPTY),
    Row::post("an empty body in chunks", "", EMPTY).framed(Chunked(1)),
    Row::post("white space only", " \t\r\n ", EMPTY),
    Row::post("no-break spaces only", "\u{a0}\u{a0}", bad_json("at line 1, column 1 stands a no-break space (U+00A0): type an ordinary space, or none")),
    Row::post(
        "a line separator before the object",
        "\u{2028}{}",
        bad_json("at line 1, column 1 stands a space that JSON does not know (U+2028): type an ordinary space"),
    ),
    Row::post("a vertical tab before the object", "\u{b}{}", bad_json("at line 1, column 1 stands a space that JSON does not know (U+000B): type an ordinary space")),
    Row::post(
        "white space around the object",
        concat!("\r\n\t ", close!(), " \r\n"),
        Journaled,
    ),
    Row::post("in one chunk", close!(), Journaled).framed(Chunked(100_000)),
    Row::post("byte by byte in chunks", close!(), Journaled).framed(Chunked(1)),
    Row::post(
        "a chunk with an extension",
        "2;a=\"b\"\r\n{}\r\n0\r\n\r\n",
        FORBIDDEN,
    )
    .with(&["transfer-encoding: chunked"])
    .framed(Own),
    Row::post(
        "chunks with a trailer",
        "1\r\n{\r\n0\r\nx-a: b\r\n\r\n",
        OPEN,
    )
    .with(&["transfer-encoding: chunked"])
    .framed(Own),
    Row::post(
        "a chunk's size in upper case",
        "A\r\n{         \r\n0\r\n\r\n",
        OPEN,
    )
    .with(&["transfer-encoding: chunked"])
    .framed(Own),
    Row::post(
        "a chunk's size is no number",
        "xyz\r\n{}\r\n0\r\n\r\n",
        LOST,
    )
    .with(&["transfer-encoding: chunked"])
    .framed(Own),
    Row::post("a chunk's size is negative", "-2\r\n{}\r\n0\r\n\r\n", LOST)
        .with(&["transfer-encoding: chunked"])
        .framed(Own),
    Row::post(
        "a chunk's size is beyond 64 bits",
        "fffffffffffffffff\r\n{}\r\n",
        LOST,
    )
    .with(&["transfer-encoding: chunked"])
    .framed(Own),
    Row::post(
        "a chunk is longer than its size",
        "1\r\n{}\r\n0\r\n\r\n",
        LOST,
    )
    .with(&["transfer-encoding: chunked"])
    .framed(Own),
    Row::post("chunks break off", "2\r\n{}\r\n", LOST)
        .with(&["transfer-encoding: chunked"])
        .framed(CutOff),
    Row::post("fewer bytes than declared", close!(), LOST)
        .with(&["content-length: 5000"])
        .framed(CutOff),
    Row::post("more bytes than declared", "{\"a\":1}", OPEN)
        .with(&["content-length: 1"])
        .framed(Own),
    Row::headed("a negative length", &["content-length: -1"], INVALID_LENGTH).framed(Own),
    Row::headed(
        "a length with a sign",
        &["content-length: +2"],
        INVALID_LENGTH,
    )
    .framed(Own),
    Row::headed(
        "a length that is no number",
        &["content-length: two"],
        INVALID_LENGTH,
    )
    .framed(Own),
    Row::headed(
        "a length in hexadecimal",
        &["content-length: 0x2"],
        INVALID_LENGTH,
    )
    .framed(Own),
    Row::headed("an empty length", &["content-length: "], INVALID_LENGTH).framed(Own),
    Row::headed(
        "a length in a list",
        &["content-length: 2, 2"],
        INVALID_LENGTH,
    )
    .framed(Own),
    Row::post("two equal lengths", "{ ", OPEN)
        .with(&["content-length: 2", "content-length: 2"])
        .framed(Own),
    Row::post("two different lengths", "{}", INVALID_LENGTH)
        .with(&["content-length: 2", "content-length: 1"])
        .framed(Own),
    Row::post("a length and chunks", "2\r\n{}\r\n0\r\n\r\n", FORBIDDEN)
        .with(&["content-length: 12", "transfer-encoding: chunked"])
        .framed(Own),
    Row::post("chunks and a length", "2\r\n{}\r\n0\r\n\r\n", FORBIDDEN)
        .with(&["transfer-encoding: chunked", "content-length: 12"])
        .framed(Own),
    Row::post(
        "a length beside two kinds of transfer",
        "2\r\n{}\r\n0\r\n\r\n",
        FORBIDDEN,
    )
    .with(&["content-length: 2", "transfer-encoding: identity, chunked"])
    .framed(Own),
    Row::headed(
        "gzip as a transfer encoding",
        &["transfer-encoding: gzip"],
        INVALID_TRANSFER,
    )
    .framed(Own),
    Row::headed(
        "gzip and chunks as a transfer encoding",
        &["transfer-encoding: gzip, chunked"],
        LOST,
    )
    .framed(Own),
    Row::headed(
        "chunks twice",
        &["transfer-encoding: chunked, chunked"],
        LOST,
    )
    .framed(Own),
    Row::headed(
        "a transfer encoding with a tab",
        &["transfer-encoding:\tchunked\u{b}"],
        INVALID_TRANSFER,
    )
    .framed(Own),
    Row::post("chunks in upper case", "1\r\n{\r\n0\r\n\r\n", OPEN)
        .with(&["transfer-encoding: CHUNKED"])
        .framed(Own),
    Row::headed("expects 100-continue", &["expect: 100-continue"], Journaled),
    Row::headed("expects the impossible", &["expect: 200-ok"], Journaled),
    Row::headed(
        "a connection that wants to be a socket",
        &[
            "upgrade: websocket",
            "sec-websocket-version: 13",
            "sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==",
        ],
        ONLY_POST,
    ),
];
