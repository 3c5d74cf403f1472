//! Signed webhooks: the published vectors, what is refused, and laws.

use data_encoding::{BASE64, HEXLOWER};
use hoox_model::{Secret, Timestamp};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::NOW;
use crate::{Scheme, SignatureHeaders, Verified, key_bytes, new_signing_secret, verify};

/// The example of Standard Webhooks (the specification's repository, `libraries`).
const STANDARD_SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
const STANDARD_ID: &str = "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk";
const STANDARD_TIME: &str = "1649367553";
const STANDARD_BODY: &[u8] = br#"{"email":"test@example.com","username":"test_user"}"#;
const STANDARD_SIGNATURE: &str = "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=";
const STANDARD_NOW: Timestamp = Timestamp::from_millis(1_649_367_553_000);

/// GitHub's example ("Validating webhook deliveries", "Testing the webhook payload validation").
const GITHUB_SECRET: &str = "It's a Secret to Everybody";
const GITHUB_BODY: &[u8] = b"Hello, World!";
const GITHUB_SIGNATURE: &str =
    "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";

/// Stripe publishes no vector; this one was made by its Python library (16.1.0).
const STRIPE_SECRET: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
const STRIPE_BODY: &[u8] = br#"{"symbol":"BTCUSDT"}"#;
const STRIPE_V1: &str = "fe7d88f191b68b288a600ca563d044e73d3f94ba673539168a9a51b9790240f0";

const SIGNING: [Scheme; 3] = [Scheme::Standard, Scheme::Stripe, Scheme::Github];

/// HMAC-SHA256 from its definition (RFC 2104), so that signer and verifier share only the hash.
fn hmac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut block = [0; 64];
    match key.len() {
        0..=64 => block[..key.len()].copy_from_slice(key),
        _ => block[..32].copy_from_slice(&Sha256::digest(key)),
    }
    let inner = Sha256::digest([&block.map(|byte| byte ^ 0x36), &parts.concat()[..]].concat());
    Sha256::digest([&block.map(|byte| byte ^ 0x5c), &inner[..]].concat()).into()
}

/// A message as its sender makes it.
#[derive(Debug, Clone)]
struct Message {
    scheme: Scheme,
    id: Option<String>,
    time: Option<String>,
    signature: Option<String>,
    body: Vec<u8>,
}

impl Message {
    /// Signed at [`NOW`].
    fn new(scheme: Scheme, key: &[u8], id: &str, body: &[u8]) -> Self {
        Self::at(scheme, key, id, body, NOW.as_millis() / 1_000)
    }

    fn at(scheme: Scheme, key: &[u8], id: &str, body: &[u8], seconds: i64) -> Self {
        Self::with_time(scheme, key, id, body, &seconds.to_string())
    }

    fn with_time(scheme: Scheme, key: &[u8], id: &str, body: &[u8], time: &str) -> Self {
        let (id_bytes, time_bytes) = (id.as_bytes(), time.as_bytes());
        let signature = match scheme {
            Scheme::Passkey => None,
            Scheme::Standard => {
                let mac = hmac(key, &[id_bytes, b".", time_bytes, b".", body]);
                Some(format!("v1,{}", BASE64.encode(&mac)))
            }
            Scheme::Stripe => {
                let mac = hmac(key, &[time_bytes, b".", body]);
                Some(format!("t={time},v1={}", HEXLOWER.encode(&mac)))
            }
            Scheme::Github => Some(format!("sha256={}", HEXLOWER.encode(&hmac(key, &[body])))),
        };
        Self {
            scheme,
            id: Some(id.to_owned()),
            time: Some(time.to_owned()),
            signature,
            body: body.to_vec(),
        }
    }

    fn headers(&self) -> SignatureHeaders<'_> {
        let signature = |scheme| self.signature.as_deref().filter(|_| self.scheme == scheme);
        SignatureHeaders {
            webhook_id: self.id.as_deref(),
            webhook_timestamp: self.time.as_deref(),
            webhook_signature: signature(Scheme::Standard),
            stripe_signature: signature(Scheme::Stripe),
            hub_signature_256: signature(Scheme::Github),
        }
    }

    fn verify_at(&self, keys: &[&[u8]], now: Timestamp) -> Option<Verified> {
        let keys = keys.iter().copied();
        verify(self.scheme, keys, &self.headers(), &self.body, now)
    }

    fn opens(&self, keys: &[&[u8]]) -> bool {
        self.verify_at(keys, NOW).is_some()
    }
}

const KEY: &[u8] = b"0123456789abcdef01234567";
const OTHER: &[u8] = b"0123456789abcdef01234568";

fn message(scheme: Scheme) -> Message {
    Message::new(scheme, KEY, "msg_1", b"{\"action\":\"LONG\"}")
}

/// A message whose signature header is what `change` makes of the good one.
fn changed(scheme: Scheme, change: impl Fn(&str) -> String) -> Message {
    let good = message(scheme);
    Message {
        signature: good.signature.as_deref().map(change),
        ..good
    }
}

/// `text` without its last `count` bytes.
fn cut(text: &str, count: usize) -> String {
    let kept = text.len().checked_sub(count);
    kept.and_then(|kept| text.get(..kept)).unwrap().to_owned()
}

fn key_of(scheme: Scheme, secret: &str) -> Option<Vec<u8>> {
    key_bytes(scheme, &Secret::new(secret)).map(|key| key.to_vec())
}

fn standard_vector() -> Message {
    Message {
        scheme: Scheme::Standard,
        id: Some(STANDARD_ID.to_owned()),
        time: Some(STANDARD_TIME.to_owned()),
        signature: Some(STANDARD_SIGNATURE.to_owned()),
        body: STANDARD_BODY.to_vec(),
    }
}

#[test]
fn the_vector_of_standard_webhooks_opens() {
    let key = key_of(Scheme::Standard, STANDARD_SECRET).unwrap();
    let verified = standard_vector().verify_at(&[&key], STANDARD_NOW).unwrap();
    assert_eq!(
        verified.message_id.as_deref(),
        Some("msg_27UH4WbU6Z5A5EzD8u03UvzRbpk")
    );
}

#[test]
fn the_vector_of_stripes_library_opens() {
    let key = key_of(Scheme::Stripe, STRIPE_SECRET).unwrap();
    let message = Message {
        scheme: Scheme::Stripe,
        id: None,
        time: None,
        signature: Some(format!("t=1780000000,v1={STRIPE_V1}")),
        body: STRIPE_BODY.to_vec(),
    };
    let verified = message.verify_at(&[&key], NOW).unwrap();
    assert_eq!(verified.message_id, None);
}

#[test]
fn the_vector_of_github_opens() {
    let key = key_of(Scheme::Github, GITHUB_SECRET).unwrap();
    let message = Message {
        scheme: Scheme::Github,
        id: None,
        time: None,
        signature: Some(GITHUB_SIGNATURE.to_owned()),
        body: GITHUB_BODY.to_vec(),
    };
    let verified = message.verify_at(&[&key], NOW).unwrap();
    assert_eq!(verified.message_id, None);
}

#[test]
fn only_the_signed_bytes_and_the_right_secret_open() {
    for scheme in SIGNING {
        let good = message(scheme);
        assert!(good.opens(&[KEY]), "{scheme:?}");
        assert!(!good.opens(&[OTHER]), "{scheme:?}");
        assert!(!good.opens(&[]), "{scheme:?}");
        for body in ["{\"action\":\"SHORT\"}", "{\"action\":\"LONG\"} ", ""] {
            let body = body.as_bytes().to_vec();
            let tampered = Message {
                body,
                ..good.clone()
            };
            assert!(!tampered.opens(&[KEY]), "{tampered:?}");
        }
    }
    for (id, time) in [("msg_2", "1780000000"), ("msg_1", "1780000001")] {
        let tampered = Message {
            id: Some(id.to_owned()),
            time: Some(time.to_owned()),
            ..message(Scheme::Standard)
        };
        assert!(!tampered.opens(&[KEY]), "{id} {time}");
    }
    let moved = changed(Scheme::Stripe, |good| {
        good.replace("t=1780000000", "t=1780000001")
    });
    assert!(!moved.opens(&[KEY]));
}

#[test]
fn every_header_of_the_scheme_is_needed_and_no_other_scheme_is_taken() {
    for scheme in SIGNING {
        let unsigned = Message {
            signature: None,
            ..message(scheme)
        };
        assert!(!unsigned.opens(&[KEY]), "{scheme:?}");
        let good = message(scheme);
        for other in [
            Scheme::Passkey,
            Scheme::Standard,
            Scheme::Stripe,
            Scheme::Github,
        ] {
            let verified = verify(other, [KEY].into_iter(), &good.headers(), &good.body, NOW);
            assert_eq!(verified.is_some(), other == scheme, "{scheme:?} {other:?}");
        }
    }
    let good = message(Scheme::Standard);
    assert!(
        !Message {
            id: None,
            ..good.clone()
        }
        .opens(&[KEY])
    );
    assert!(!Message { time: None, ..good }.opens(&[KEY]));
    assert!(!changed(Scheme::Stripe, |good| good.replace("t=1780000000,", "")).opens(&[KEY]));
}

#[test]
fn an_empty_partial_or_otherwise_written_signature_matches_nothing() {
    type Change = fn(&str) -> String;
    let any: [(&str, Change); 7] = [
        ("no signature", |_| String::new()),
        ("a blank", |_| " ".to_owned()),
        ("its last character is missing", |good| cut(good, 1)),
        ("its last four are missing", |good| cut(good, 4)),
        ("its half", |good| cut(good, 22)),
        ("one character more", |good| format!("{good}0")),
        ("upper case", |good| {
            let names = [("V1", "v1"), ("T=1", "t=1"), ("SHA256", "sha256")];
            let upper = good.to_uppercase();
            names
                .iter()
                .fold(upper, |text, (from, to)| text.replace(from, to))
        }),
    ];
    for scheme in SIGNING {
        for (what, change) in any {
            let bad = changed(scheme, change);
            assert!(!bad.opens(&[KEY]), "{what}: {bad:?}");
        }
    }
    let of_one: [(Scheme, Change); 12] = [
        (Scheme::Standard, |_| "v1,".to_owned()),
        (Scheme::Standard, |_| "v1".to_owned()),
        (Scheme::Standard, |good| good.replace("v1,", "")),
        (Scheme::Standard, |good| good.replace("v1,", "V1,")),
        (Scheme::Standard, |good| {
            good.trim_end_matches('=').to_owned()
        }),
        // A last character with other unused bits stands for the same bytes.
        (Scheme::Standard, |good| {
            let last = good.as_bytes()[good.len() - 2];
            format!("{}{}=", cut(good, 2), char::from(last + 1))
        }),
        (Scheme::Stripe, |_| "t=1780000000,v1=".to_owned()),
        (Scheme::Stripe, |_| "t=1780000000".to_owned()),
        (Scheme::Stripe, |good| good.replace("v1=", "V1=")),
        (Scheme::Github, |_| "sha256=".to_owned()),
        (Scheme::Github, |good| good.replace("sha256=", "")),
        (Scheme::Github, |good| good.replace("sha256=", "sha1=")),
    ];
    for (scheme, change) in of_one {
        let bad = changed(scheme, change);
        assert!(!bad.opens(&[KEY]), "{bad:?}");
    }
}

#[test]
fn signatures_of_other_versions_are_skipped() {
    for scheme in [Scheme::Standard, Scheme::Stripe] {
        for version in ["v0", "v2", "v1a", "v10"] {
            let renamed = |good: &str| good.replace("v1", version);
            assert!(
                !changed(scheme, renamed).opens(&[KEY]),
                "{scheme:?} {version}"
            );
        }
    }
    let zeros = "0".repeat(64);
    for (scheme, header) in [
        (Scheme::Standard, "v1a,x v2,AAAA {} v0,"),
        (Scheme::Stripe, "v0=potato,{},v2=,extra"),
    ] {
        let mixed = |good: &str| header.replace("{}", good);
        assert!(changed(scheme, mixed).opens(&[KEY]), "{header}");
    }
    assert!(changed(Scheme::Stripe, |good| format!("{good},v0={zeros}")).opens(&[KEY]));
}

#[test]
fn one_good_signature_among_eight_is_enough_and_nine_are_too_many() {
    for (scheme, others) in [
        (
            Scheme::Standard,
            [
                format!("v1,{}", BASE64.encode(&[7; 32])),
                "v1,AAAA".to_owned(),
            ],
        ),
        (
            Scheme::Stripe,
            [format!("v1={}", "07".repeat(32)), "v1=potato".to_owned()],
        ),
    ] {
        let separator = if scheme == Scheme::Stripe { "," } else { " " };
        for other in others {
            for (count, opens) in [(1, true), (7, true), (8, false), (9, false)] {
                let padding = vec![other.as_str(); count].join(separator);
                for header in ["{good}{-}{others}", "{others}{-}{good}"] {
                    let list = changed(scheme, |good| {
                        header
                            .replace("{-}", separator)
                            .replace("{good}", good)
                            .replace("{others}", &padding)
                    });
                    assert_eq!(list.opens(&[KEY]), opens, "{count} {list:?}");
                }
            }
        }
    }
}

#[test]
fn a_header_that_came_twice_is_no_single_value() {
    for scheme in [Scheme::Stripe, Scheme::Github] {
        let twice = changed(scheme, |good| format!("{good}, {good}"));
        assert!(!twice.opens(&[KEY]), "{twice:?}");
    }
    for joint in [
        ",t=1780000000",
        ",t=1",
        ",t=",
        ", t=1780000000",
        ", v1=0",
        ",\tv1=0",
    ] {
        let twice = changed(Scheme::Stripe, |good| format!("{good}{joint}"));
        assert!(!twice.opens(&[KEY]), "{joint}");
    }
    let good = message(Scheme::Standard);
    let id = Some("msg_1, msg_1".to_owned());
    assert!(!Message { id, ..good.clone() }.opens(&[KEY]));
    let time = Some("1780000000, 1780000000".to_owned());
    assert!(!Message { time, ..good }.opens(&[KEY]));
}

#[test]
fn a_signed_time_holds_for_300_seconds_both_ways() {
    for scheme in [Scheme::Standard, Scheme::Stripe] {
        for (offset, opens) in [
            (0, true),
            (300_000, true),
            (300_001, false),
            (301_000, false),
            (-300_000, true),
            (-300_001, false),
            (-301_000, false),
            (i64::MAX, false),
            (i64::MIN, false),
        ] {
            let verified = message(scheme).verify_at(&[KEY], NOW.plus_millis(offset));
            assert_eq!(verified.is_some(), opens, "{scheme:?} {offset}");
        }
    }
    let later = NOW.plus_millis(1_000_000_000);
    assert!(message(Scheme::Github).verify_at(&[KEY], later).is_some());
}

#[test]
fn a_signed_time_is_at_most_eleven_digits() {
    for scheme in [Scheme::Standard, Scheme::Stripe] {
        for (time, opens) in [
            ("1780000000", true),
            ("01780000000", true),
            ("001780000000", false),
            ("1780000000000", false),
            ("99999999999999999999", false),
            ("+1780000000", false),
            ("-1780000000", false),
            ("1780000000.0", false),
            ("1.78e9", false),
            (" 1780000000", false),
            ("1780000000 ", false),
            ("٠", false),
            ("", false),
        ] {
            let message = Message::with_time(scheme, KEY, "a", b"{}", time);
            assert_eq!(message.opens(&[KEY]), opens, "{scheme:?} '{time}'");
        }
    }
}

#[test]
fn a_message_id_is_printable_bounded_and_without_dots() {
    let longest = "x".repeat(255);
    let too_long = "x".repeat(256);
    for (id, opens) in [
        ("!", true),
        ("msg_2b/~", true),
        (longest.as_str(), true),
        (too_long.as_str(), false),
        ("", false),
        ("a.b", false),
        ("a b", false),
        (" a", false),
        ("a\n", false),
        ("a\u{7f}", false),
        ("ä", false),
    ] {
        let message = Message::new(Scheme::Standard, KEY, id, b"{}");
        let expected = opens.then(|| Some(id.to_owned()));
        let verified = message.verify_at(&[KEY], NOW);
        assert_eq!(verified.map(|v| v.message_id), expected, "'{id}'");
    }
}

#[test]
fn the_signed_bytes_cannot_be_split_in_another_way() {
    let good = Message::new(Scheme::Standard, KEY, "a", b"1780000000.{}");
    assert!(good.opens(&[KEY]));
    let split = Message {
        id: Some("a.1780000000".to_owned()),
        body: b"{}".to_vec(),
        ..good
    };
    let same = Message::new(Scheme::Standard, KEY, "a.1780000000", b"{}");
    assert_eq!(split.signature, same.signature);
    assert!(!split.opens(&[KEY]));
}

#[test]
fn the_message_id_is_the_senders_own_and_nothing_of_the_signature() {
    let now = NOW.as_millis() / 1_000;
    for (scheme, own) in SIGNING.map(|s| (s, (s == Scheme::Standard).then_some("msg_1"))) {
        for key in [KEY, OTHER] {
            for seconds in [now - 1, now, now + 1] {
                let message = Message::at(scheme, key, "msg_1", b"{}", seconds);
                let verified = message.verify_at(&[OTHER, KEY], NOW).unwrap();
                assert_eq!(verified.message_id.as_deref(), own, "{scheme:?} {seconds}");
            }
        }
    }
}

#[test]
fn two_keys_work_while_a_secret_is_rotated() {
    for scheme in SIGNING {
        for keys in [[KEY, OTHER], [OTHER, KEY]] {
            for signer in [KEY, OTHER] {
                let message = Message::new(scheme, signer, "a", b"{}");
                assert!(message.opens(&keys), "{scheme:?}");
            }
            let stranger = Message::new(scheme, b"a key that nobody put here", "a", b"{}");
            assert!(!stranger.opens(&keys), "{scheme:?}");
        }
    }
}

#[test]
fn a_short_key_opens_nothing() {
    for scheme in SIGNING {
        for key in [&b""[..], b"k", &KEY[..23]] {
            assert!(
                !Message::new(scheme, key, "a", b"{}").opens(&[key]),
                "{key:?}"
            );
        }
    }
}

#[test]
fn blank_short_and_undecodable_secrets_are_refused() {
    let decodes_to = |bytes: usize| format!("whsec_{}", BASE64.encode(&vec![1; bytes]));
    for (scheme, secret, length) in [
        (Scheme::Standard, STANDARD_SECRET.to_owned(), Some(24)),
        (
            Scheme::Standard,
            STANDARD_SECRET.replace("whsec_", ""),
            Some(24),
        ),
        (Scheme::Standard, decodes_to(64), Some(64)),
        (Scheme::Standard, decodes_to(23), None),
        (Scheme::Standard, decodes_to(378), Some(378)),
        (Scheme::Standard, decodes_to(381), None),
        (Scheme::Standard, "whsec_".to_owned(), None),
        (
            Scheme::Standard,
            "whsec_!aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa".to_owned(),
            None,
        ),
        (Scheme::Standard, format!("whsec_{STANDARD_SECRET}"), None),
        (Scheme::Standard, format!("{STANDARD_SECRET}\n"), None),
        (Scheme::Stripe, STRIPE_SECRET.to_owned(), Some(49)),
        (Scheme::Stripe, "x".repeat(24), Some(24)),
        (Scheme::Stripe, "x".repeat(23), None),
        (Scheme::Github, GITHUB_SECRET.to_owned(), Some(26)),
        (Scheme::Github, "x".repeat(512), Some(512)),
        (Scheme::Github, "x".repeat(513), None),
        (Scheme::Passkey, STRIPE_SECRET.to_owned(), None),
    ] {
        let key = key_of(scheme, &secret);
        assert_eq!(key.map(|key| key.len()), length, "{scheme:?} {secret}");
    }
    for scheme in SIGNING {
        for blank in [String::new(), " ".repeat(40), "\n".repeat(40)] {
            assert_eq!(key_of(scheme, &blank), None, "{scheme:?} {blank:?}");
        }
    }
}

#[test]
fn new_secrets_have_the_form_of_their_scheme_and_make_keys() {
    // The bytes 0xfb, 0xef, 0xbe are `++++` in standard base 64 and `----` in the URL-safe one.
    let random = core::array::from_fn(|place| [0xfb, 0xef, 0xbe][place % 3]);
    let (plus, minus) = ("+".repeat(42), "-".repeat(42));
    for (scheme, text, length) in [
        (Scheme::Passkey, format!("hoox_{minus}8"), None),
        (Scheme::Standard, format!("whsec_{plus}8="), Some(32)),
        (Scheme::Stripe, format!("whsec_{minus}8"), Some(49)),
        (Scheme::Github, format!("{minus}8"), Some(43)),
    ] {
        let secret = new_signing_secret(scheme, random);
        assert_eq!(secret.expose(), text);
        let key = key_of(scheme, &text);
        assert_eq!(key.map(|key| key.len()), length, "{scheme:?}");
    }
}

#[test]
fn schemes_are_written_in_lower_case_and_a_passkey_is_the_default() {
    for scheme in [
        Scheme::Passkey,
        Scheme::Standard,
        Scheme::Stripe,
        Scheme::Github,
    ] {
        assert_eq!(json!(scheme), json!(scheme.as_str()));
        let read: Scheme = serde_json::from_value(json!(scheme.as_str())).unwrap();
        assert_eq!(read, scheme);
    }
    assert!(serde_json::from_value::<Scheme>(json!("Stripe")).is_err());
    assert_eq!(Scheme::default(), Scheme::Passkey);
}

fn any_signing() -> impl Strategy<Value = Scheme> {
    prop::sample::select(SIGNING.to_vec())
}

/// Texts that come near to headers.
fn near() -> impl Strategy<Value = Option<String>> {
    let piece = prop_oneof![
        prop::sample::select(vec![
            "v1,",
            "v1=",
            "t=",
            "sha256=",
            "1780000000",
            ",",
            " ",
            "="
        ])
        .prop_map(str::to_owned),
        "[0-9a-f]{64}",
        "[A-Za-z0-9+/]{43}=",
        any::<String>(),
    ];
    prop::option::of(vec(piece, 0..8).prop_map(|pieces| pieces.concat()))
}

proptest! {
    #[test]
    fn what_is_signed_opens(
        scheme in any_signing(), random in any::<[u8; 32]>(), id in "[!-~&&[^.]]{1,255}",
        body in vec(any::<u8>(), 0..300), seconds in 1_779_999_700i64..=1_780_000_300,
    ) {
        let secret = new_signing_secret(scheme, random);
        let key = key_bytes(scheme, &secret).unwrap();
        let message = Message::at(scheme, &key, &id, &body, seconds);
        prop_assert!(message.opens(&[key.as_slice()]));
        prop_assert!(!message.opens(&[KEY]));
    }

    #[test]
    fn a_message_with_one_changed_byte_does_not_open(
        scheme in any_signing(), body in vec(any::<u8>(), 1..100), at in any::<prop::sample::Index>(),
        flip in 1u8..,
    ) {
        let mut message = Message::new(scheme, KEY, "a", &body);
        *at.get_mut(&mut message.body) ^= flip;
        prop_assert!(!message.opens(&[KEY]));
    }

    #[test]
    fn random_headers_never_open(
        scheme in any_signing(), id in near(), time in near(), signature in near(),
        body in vec(any::<u8>(), 0..100),
    ) {
        let message = Message { scheme, id, time, signature, body };
        prop_assert!(!message.opens(&[KEY, OTHER]));
        let timely = Message { id: Some("a".to_owned()), time: Some("1780000000".to_owned()), ..message };
        prop_assert!(!timely.opens(&[KEY, OTHER]));
    }

    #[test]
    fn random_secrets_never_make_short_keys(scheme in any_signing(), secret in any::<String>()) {
        if let Some(key) = key_of(scheme, &secret) {
            prop_assert!(key.len() >= 24);
        }
    }
}
