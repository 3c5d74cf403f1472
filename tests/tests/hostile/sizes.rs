//! Bodies, headers and paths of all sizes.

use crate::row::Answer::{Journaled, Runtime};
use crate::row::Framing::{Chunked, CutOff, Own};
use crate::row::{EMPTY, FORBIDDEN, LOST, Row, TOO_LARGE, UNAUTHORIZED, too_large};

/// The limit.
const LIMIT: usize = 64 * 1024;
/// What the marks of [`alert`] grow by: a passkey has 37 bytes and stands for 5, a row's number has three
/// and stands for 3.
const GROWTH: usize = 32;

/// An alert of exactly `size` bytes.
fn alert(size: usize) -> Vec<u8> {
    let [start, end] = [
        r#"{"apiKey":"<key>","action":"close","symbol":"BTCUSDT","orderId":"<n>","x":""#,
        r#""}"#,
    ];
    let padding = "x".repeat(size - GROWTH - start.len() - end.len());
    format!("{start}{padding}{end}").into_bytes()
}

/// A longer stream is answered before it ends, and then the runtime may reset the connection before the answer
/// is read: no row for that.
pub(crate) const ROWS: &[Row] = &[
    Row::made("64 KiB by header", || alert(LIMIT), Journaled),
    Row::made(
        "64 KiB and a byte by header",
        || alert(LIMIT + 1),
        TOO_LARGE,
    ),
    Row::made("64 KiB by stream", || alert(LIMIT), Journaled).framed(Chunked(10_000)),
    Row::made(
        "64 KiB and a byte by stream",
        || alert(LIMIT + 1),
        TOO_LARGE,
    )
    .framed(Chunked(10_000)),
    Row::made(
        "64 KiB and a byte in one chunk",
        || alert(LIMIT + 1),
        TOO_LARGE,
    )
    .framed(Chunked(100_000)),
    Row::made("1 MiB by header", || alert(1 << 20), TOO_LARGE),
    Row::made("64 KiB of white space", || vec![b' '; LIMIT], EMPTY),
    Row::made(
        "64 KiB of white space and a byte",
        || vec![b' '; LIMIT + 1],
        TOO_LARGE,
    ),
    Row::made(
        "64 KiB and a byte of no UTF-8",
        || vec![0xff; LIMIT + 1],
        TOO_LARGE,
    ),
    Row::made(
        "64 KiB and a byte, from a stranger",
        || alert(LIMIT + 1),
        TOO_LARGE,
    )
    .with(&["cf-connecting-ip: 198.51.100.1"]),
    Row::headed("5 GB by header", &["content-length: 5000000000"], LOST).framed(CutOff),
    Row::post("by stream, from a stranger", close!(), FORBIDDEN)
        .with(&["cf-connecting-ip: 198.51.100.1"])
        .framed(Chunked(10)),
    Row::headed(
        "18 EB by header",
        &["content-length: 18446744073709551615"],
        Runtime(431, "message head is too large"),
    )
    .framed(Own),
    Row::headed(
        "more than 64 bits by header",
        &["content-length: 99999999999999999999999"],
        Runtime(400, "invalid content-length parsed"),
    )
    .framed(Own),
    Row::made(
        "a manifest of 600 KB without its key",
        || vec![b' '; 600_000],
        UNAUTHORIZED,
    )
    .lined("PUT /v1/manifest HTTP/1.1"),
    Row::made(
        "a manifest of 600 KB with its key",
        || vec![b' '; 600_000],
        too_large("the body is larger than 524288 bytes"),
    )
    .lined("PUT /v1/manifest HTTP/1.1")
    .with(&["authorization: Bearer <operator>"]),
];
