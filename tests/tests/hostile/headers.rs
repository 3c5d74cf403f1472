//! Headers.

use crate::row::Answer::{Journaled, NothingToDo, Runtime};
use crate::row::Framing::Bare;
use crate::row::{Answer, FORBIDDEN, Row, UNAUTHORIZED, bad_field};

const GET: &str = "GET /v1/nothing HTTP/1.1";
const IDEMPOTENCY: Answer = bad_field(
    "idempotencyKey",
    "idempotencyKey must be 1 to 255 printable ASCII characters without spaces around them",
);

/// An alert from this address.
const fn from(name: &'static str, header: &'static [&'static str], answer: Answer) -> Row {
    Row::headed(name, header, answer)
}

/// An entry with these headers: of an exit a key that is none is a note.
const fn entered(name: &'static str, header: &'static [&'static str], answer: Answer) -> Row {
    Row::post(name, enter!(r#""quantity":1"#), answer).with(header)
}

pub(crate) const ROWS: &[Row] = &[
    from(
        "a stranger's address",
        &["cf-connecting-ip: 198.51.100.1"],
        FORBIDDEN,
    ),
    from(
        "a stranger's IPv6 address",
        &["cf-connecting-ip: 2001:db8::1"],
        FORBIDDEN,
    ),
    from(
        "a stranger's address mapped into IPv6",
        &["cf-connecting-ip: ::ffff:198.51.100.1"],
        FORBIDDEN,
    ),
    from(
        "an allowed address mapped into IPv6",
        &["cf-connecting-ip: ::ffff:127.0.0.1"],
        Journaled,
    ),
    from(
        "an allowed address mapped in hexadecimal",
        &["cf-connecting-ip: ::FFFF:7F00:1"],
        Journaled,
    ),
    from(
        "an allowed address in IPv6, unmapped",
        &["cf-connecting-ip: ::127.0.0.1"],
        FORBIDDEN,
    ),
    from(
        "an allowed address translated into IPv6",
        &["cf-connecting-ip: 64:ff9b::127.0.0.1"],
        FORBIDDEN,
    ),
    from(
        "IPv6 written out",
        &["cf-connecting-ip: 0000:0000:0000:0000:0000:0000:0000:0001"],
        Journaled,
    ),
    from("IPv6 in brackets", &["cf-connecting-ip: [::1]"], FORBIDDEN),
    from("IPv6 with a zone", &["cf-connecting-ip: ::1%lo"], FORBIDDEN),
    from(
        "IPv6 with an escaped zone",
        &["cf-connecting-ip: fe80::1%25eth0"],
        FORBIDDEN,
    ),
    from(
        "IPv6 with a port",
        &["cf-connecting-ip: [::1]:443"],
        FORBIDDEN,
    ),
    from(
        "IPv6 with too many colons",
        &["cf-connecting-ip: ::1::"],
        FORBIDDEN,
    ),
    from("a port", &["cf-connecting-ip: 127.0.0.1:443"], FORBIDDEN),
    from("a range", &["cf-connecting-ip: 127.0.0.1/8"], FORBIDDEN),
    from(
        "leading zeros",
        &["cf-connecting-ip: 127.0.0.01"],
        FORBIDDEN,
    ),
    from("octal", &["cf-connecting-ip: 0177.0.0.1"], FORBIDDEN),
    from("hexadecimal", &["cf-connecting-ip: 0x7f.0.0.1"], FORBIDDEN),
    from("one number", &["cf-connecting-ip: 2130706433"], FORBIDDEN),
    from("two numbers", &["cf-connecting-ip: 127.1"], FORBIDDEN),
    from(
        "five numbers",
        &["cf-connecting-ip: 127.0.0.1.1"],
        FORBIDDEN,
    ),
    from(
        "a number above 255",
        &["cf-connecting-ip: 127.0.0.257"],
        FORBIDDEN,
    ),
    from("a name", &["cf-connecting-ip: localhost"], FORBIDDEN),
    from(
        "full-width digits",
        &["cf-connecting-ip: １27.0.0.1"],
        FORBIDDEN,
    ),
    from(
        "spaces around",
        &["cf-connecting-ip:  \t127.0.0.1 \t"],
        Journaled,
    ),
    from(
        "spaces inside",
        &["cf-connecting-ip: 127.0.0. 1"],
        FORBIDDEN,
    ),
    from(
        "quotes around",
        &["cf-connecting-ip: \"127.0.0.1\""],
        FORBIDDEN,
    ),
    from(
        "two addresses",
        &["cf-connecting-ip: 127.0.0.1, 127.0.0.1"],
        FORBIDDEN,
    ),
    from(
        "an allowed address first",
        &["cf-connecting-ip: 127.0.0.1, 198.51.100.1"],
        FORBIDDEN,
    ),
    from(
        "a comma after the address",
        &["cf-connecting-ip: 127.0.0.1,"],
        FORBIDDEN,
    ),
    from(
        "two headers",
        &[
            "cf-connecting-ip: 127.0.0.1",
            "CF-Connecting-IP: 198.51.100.1",
        ],
        FORBIDDEN,
    ),
    from(
        "two equal headers",
        &["cf-connecting-ip: 127.0.0.1", "cf-connecting-ip: 127.0.0.1"],
        FORBIDDEN,
    ),
    // The local runtime puts the connection's address in its place.
    from("an empty address", &["cf-connecting-ip: "], Journaled),
    from(
        "the unspecified address",
        &["cf-connecting-ip: 0.0.0.0"],
        FORBIDDEN,
    ),
    from(
        "the address of everybody",
        &["cf-connecting-ip: 255.255.255.255"],
        FORBIDDEN,
    ),
    from(
        "beside TradingView's address",
        &["cf-connecting-ip: 52.89.214.239"],
        FORBIDDEN,
    ),
    from(
        "TradingView's address",
        &["cf-connecting-ip: 52.89.214.238"],
        Journaled,
    ),
    from(
        "a stranger with X-Forwarded-For",
        &[
            "cf-connecting-ip: 198.51.100.1",
            "x-forwarded-for: 127.0.0.1",
        ],
        FORBIDDEN,
    ),
    from(
        "a stranger with X-Real-IP",
        &["cf-connecting-ip: 198.51.100.1", "x-real-ip: 127.0.0.1"],
        FORBIDDEN,
    ),
    from(
        "a stranger with True-Client-IP",
        &[
            "cf-connecting-ip: 198.51.100.1",
            "true-client-ip: 127.0.0.1",
        ],
        FORBIDDEN,
    ),
    from(
        "a stranger with Forwarded",
        &["cf-connecting-ip: 198.51.100.1", "forwarded: for=127.0.0.1"],
        FORBIDDEN,
    ),
    from(
        "a stranger with CF-Connecting-IPv6",
        &["cf-connecting-ip: 198.51.100.1", "cf-connecting-ipv6: ::1"],
        FORBIDDEN,
    ),
    from(
        "a stranger with CF-Pseudo-IPv4",
        &[
            "cf-connecting-ip: 198.51.100.1",
            "cf-pseudo-ipv4: 127.0.0.1",
        ],
        FORBIDDEN,
    ),
    from(
        "underscores in the name",
        &[
            "cf-connecting-ip: 198.51.100.1",
            "cf_connecting_ip: 127.0.0.1",
        ],
        FORBIDDEN,
    ),
    from(
        "X-Forwarded-For of a stranger",
        &["x-forwarded-for: 198.51.100.1"],
        Journaled,
    ),
    from(
        "the private workers' key",
        &["x-hoox-edge-key: <edge>", "cf-connecting-ip: 198.51.100.1"],
        FORBIDDEN,
    ),
    from(
        "the private workers' key as well",
        &["x-hoox-edge-key: <edge>", "x-hoox-ledger: x"],
        Journaled,
    ),
    from(
        "a request id of one's own",
        &["x-request-id: <foreign-id>"],
        Journaled,
    ),
    from(
        "a stranger's request id",
        &[
            "x-request-id: <foreign-id>",
            "cf-connecting-ip: 198.51.100.1",
        ],
        FORBIDDEN,
    ),
    from(
        "another page's origin",
        &[
            "origin: https://example.com",
            "referer: https://example.com/",
            "sec-fetch-site: cross-site",
        ],
        Journaled,
    ),
    from("cookies", &["cookie: apiKey=<key>; session=1"], Journaled),
    from(
        "a range of the answer",
        &["range: bytes=0-1", "if-none-match: *"],
        Journaled,
    ),
    from(
        "another type wanted",
        &[
            "accept: text/html",
            "accept-language: xx",
            "accept-charset: utf-16",
        ],
        Journaled,
    ),
    entered(
        "an empty Idempotency-Key",
        &["idempotency-key: "],
        IDEMPOTENCY,
    ),
    entered(
        "an Idempotency-Key of 256 characters",
        &["idempotency-key: <x256>"],
        IDEMPOTENCY,
    ),
    entered(
        "an Idempotency-Key in another script",
        &["idempotency-key: ключ"],
        IDEMPOTENCY,
    ),
    entered(
        "an Idempotency-Key with a tab",
        &["idempotency-key: a\tb"],
        IDEMPOTENCY,
    ),
    from(
        "an Idempotency-Key with odd characters",
        &["idempotency-key: '\"; DROP TABLE--<n>"],
        Journaled,
    ),
    from(
        "two Idempotency-Keys",
        &["idempotency-key: a<n>", "idempotency-key: b<n>"],
        Journaled,
    ),
    Row::post(
        "an Idempotency-Key beside another",
        enter!(r#""quantity":1,"idempotencyKey":"a""#),
        bad_field(
            "idempotencyKey",
            "idempotencyKey and the header Idempotency-Key differ; send one of them",
        ),
    )
    .with(&["idempotency-key: b"]),
    from("Prefer: wait=2", &["prefer: wait=2"], NothingToDo),
    from(
        "Prefer beyond what is allowed",
        &["prefer: wait=3600"],
        NothingToDo,
    ),
    from(
        "Prefer in another case and quotes",
        &["PREFER: respond-async; Wait = \"2\""],
        NothingToDo,
    ),
    from(
        "two Prefers",
        &["prefer: return=minimal", "prefer: wait=2"],
        NothingToDo,
    ),
    from("Prefer: wait=0", &["prefer: wait=0"], Journaled),
    from("Prefer: wait=-1", &["prefer: wait=-1"], Journaled),
    from("Prefer: wait=1.5", &["prefer: wait=1.5"], Journaled),
    from("Prefer: wait=NaN", &["prefer: wait=NaN"], Journaled),
    from(
        "Prefer beyond 32 bits",
        &["prefer: wait=99999999999"],
        Journaled,
    ),
    from("Prefer without a number", &["prefer: wait"], Journaled),
    from("an empty Prefer", &["prefer: "], Journaled),
    from(
        "Prefer that waits for something else",
        &["prefer: await=2, xwait=2"],
        Journaled,
    ),
    Row::bodiless("no Authorization", GET, &[], UNAUTHORIZED),
    Row::bodiless(
        "an empty Authorization",
        GET,
        &["authorization: "],
        UNAUTHORIZED,
    ),
    Row::bodiless(
        "Bearer alone",
        GET,
        &["authorization: Bearer"],
        UNAUTHORIZED,
    ),
    Row::bodiless(
        "Bearer and a space",
        GET,
        &["authorization: Bearer  "],
        UNAUTHORIZED,
    ),
    Row::bodiless(
        "Basic",
        GET,
        &["authorization: Basic b3BlcmF0b3I6eA=="],
        UNAUTHORIZED,
    ),
    Row::bodiless(
        "the key without Bearer",
        GET,
        &["authorization: <operator>"],
        UNAUTHORIZED,
    ),
    Row::bodiless(
        "bearer in lower case",
        GET,
        &["authorization: bearer <operator>"],
        UNAUTHORIZED,
    ),
    Row::bodiless(
        "BEARER in upper case",
        GET,
        &["authorization: BEARER <operator>"],
        UNAUTHORIZED,
    ),
    Row::bodiless(
        "two spaces after Bearer",
        GET,
        &["authorization: Bearer  <operator>"],
        UNAUTHORIZED,
    ),
    Row::bodiless(
        "a tab after Bearer",
        GET,
        &["authorization: Bearer\t<operator>"],
        UNAUTHORIZED,
    ),
    Row::bodiless(
        "the key and more",
        GET,
        &["authorization: Bearer <operator>x"],
        UNAUTHORIZED,
    ),
    Row::bodiless(
        "the key and another",
        GET,
        &["authorization: Bearer <operator>, Bearer x"],
        UNAUTHORIZED,
    ),
    Row::bodiless(
        "the key in quotes",
        GET,
        &["authorization: Bearer \"<operator>\""],
        UNAUTHORIZED,
    ),
    Row::bodiless(
        "two Authorizations",
        GET,
        &[
            "authorization: Bearer <operator>",
            "authorization: Bearer x",
        ],
        UNAUTHORIZED,
    ),
    Row::bodiless(
        "two equal Authorizations",
        GET,
        &[
            "authorization: Bearer <operator>",
            "authorization: Bearer <operator>",
        ],
        UNAUTHORIZED,
    ),
    Row::bodiless(
        "the key in another header",
        GET,
        &[
            "x-api-key: <operator>",
            "proxy-authorization: Bearer <operator>",
        ],
        UNAUTHORIZED,
    ),
    Row::bodiless(
        "the key in a cookie",
        GET,
        &["cookie: authorization=Bearer <operator>"],
        UNAUTHORIZED,
    ),
    Row::bodiless(
        "a key in another script",
        GET,
        &["authorization: Bearer ключ"],
        UNAUTHORIZED,
    ),
    Row::bodiless(
        "a very long key",
        GET,
        &["authorization: Bearer <operator><x8000>"],
        UNAUTHORIZED,
    ),
    Row::bodiless(
        "the private workers' key as the operator's",
        GET,
        &["authorization: Bearer <edge>"],
        UNAUTHORIZED,
    ),
    Row::bodiless(
        "the private workers' key in its header",
        GET,
        &["x-hoox-edge-key: <edge>"],
        UNAUTHORIZED,
    ),
    Row::headed(
        "no host",
        &["connection: close", "content-length: 0"],
        Runtime(400, "Bad Request"),
    )
    .framed(Bare),
    Row::headed(
        "two hosts",
        &["host: example.com"],
        Runtime(500, "Internal Server Error"),
    ),
    Row::headed(
        "a space before the colon",
        &["prefer : wait=2"],
        Runtime(400, "invalid HTTP header parsed"),
    ),
    Row::headed(
        "a header without a colon",
        &["prefer"],
        Runtime(400, "invalid HTTP header parsed"),
    ),
    Row::headed(
        "a header without a name",
        &[": wait=2"],
        Runtime(400, "invalid HTTP header parsed"),
    ),
    Row::headed(
        "a header over two lines",
        &["prefer: respond-async,\r\n wait=2"],
        Runtime(400, "invalid HTTP header parsed"),
    ),
    Row::headed(
        "NUL in a header",
        &["prefer: wait=2\0"],
        Runtime(400, "invalid HTTP header parsed"),
    ),
    Row::headed(
        "a control character in a header",
        &["prefer: wait=2\u{1}"],
        Journaled,
    ),
    Row::headed(
        "a line break alone in a header",
        &["prefer: a\nx-b: c"],
        Journaled,
    ),
    Row::headed(
        "a return alone in a header",
        &["prefer: a\rx-b: c"],
        Runtime(400, "invalid HTTP header parsed"),
    ),
    Row::headed(
        "a name in another script",
        &["префер: wait=2"],
        Runtime(400, "invalid HTTP header parsed"),
    ),
    Row::headed("a header of 200 KB", &["x-a: <x200000>"], Journaled),
];
