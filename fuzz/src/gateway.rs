//! The whole decision of the gateway, on raw bytes and headers.

use core::net::IpAddr;
use std::sync::LazyLock;

use hoox_auth::{
    Manifest, PasskeyHash, Published, Scheme, SealingKey, SenderKey, SignatureHeaders,
    parse_client_ip,
};
use hoox_gateway::{Inbound, Matched, Signed, admit, decide, endpoint, webhook_sender};
use hoox_mesh::{Accept, Problem};
use hoox_model::{Code, OrderKind, RequestId, Secret, Timestamp};
use serde_json::{Value, json};

const NOW: i64 = 1_780_000_000_000;
/// The passkey that the seeds of the corpus carry. It begins with no letter of an escape: `\f` and `uzz` are no `fuzz`.
const PASSKEY: &str = "Fuzz-passkey";

static SEALING: LazyLock<SealingKey> =
    LazyLock::new(|| SealingKey::new(&Secret::new("k".repeat(32))).unwrap());

static PUBLISHED: LazyLock<Published> = LazyLock::new(|| {
    let hash = PasskeyHash::new([7; 16], &Secret::new(PASSKEY));
    let secret = hoox_auth::new_signing_secret(Scheme::Standard, [1; 32]);
    let sealed = SEALING.seal("signer", Scheme::Standard, &secret, [2; 24]);
    let text = json!({
        "version": 3,
        "ranges": ["10.0.0.0/8", "2001:db8::/32"],
        "senders": [
            { "id": "desk", "permission": "trade", "accounts": ["main"], "keys": [hash] },
            { "id": "signer", "scheme": "standard", "permission": "trade", "accounts": ["*"],
              "ranges": ["10.0.0.0/8"], "keys": [SenderKey::signing(sealed)] },
        ],
        "accounts": [
            { "id": "a1", "name": "main", "venue": "bybit", "environment": "sim", "baseUrl": "http://127.0.0.1:9" },
            { "id": "a2", "name": "other", "venue": "bybit", "environment": "sim", "baseUrl": "http://127.0.0.1:8" },
        ],
    });
    Manifest::parse_strict(&text.to_string()).unwrap().into()
});

/// What a request says beside its body.
struct Heads<'a> {
    path: &'a str,
    address: Option<IpAddr>,
    key: &'a str,
    prefer: &'a str,
    signature: [&'a str; 3],
}

impl Heads<'_> {
    fn decide(&self, body: &[u8]) -> Result<Accept, Problem> {
        let [id, timestamp, signature] = self.signature.map(Some);
        let inbound = Inbound {
            request_id: "01KT0000000000000000000000".parse::<RequestId>().unwrap(),
            received_at: Timestamp::from_millis(NOW),
            address: self.address,
            signed: webhook_sender(self.path).map(|sender| Signed {
                sender,
                headers: SignatureHeaders {
                    webhook_id: id,
                    webhook_timestamp: timestamp,
                    webhook_signature: signature,
                    ..SignatureHeaders::default()
                },
                sealing: Some(&SEALING),
            }),
            certified: false,
            idempotency_key: Some(self.key).filter(|key| !key.is_empty()),
            prefer: Some(self.prefer),
            body,
        };
        decide(&PUBLISHED, &inbound).outcome
    }
}

/// Lines: method and path; address; declared length; `Content-Encoding`; `Idempotency-Key`; `Prefer`; three headers of a
/// signature. The rest is the body.
pub(crate) fn run(data: &[u8]) {
    let mut body = data;
    let lines: [_; 9] = core::array::from_fn(|_| crate::line(&mut body));
    let [
        target,
        address,
        length,
        encoding,
        key,
        prefer,
        id,
        timestamp,
        signature,
    ] = lines.each_ref().map(AsRef::as_ref);
    let (method, path) = target.split_once(' ').unwrap_or((target, "/"));
    check_path(method, path);
    let address = parse_client_ip(Some(address));
    let inside = address.is_some_and(|address| PUBLISHED.manifest.address_allowed(address));
    if admit(&PUBLISHED, Some(length), Some(encoding), address).is_ok() {
        assert!(inside, "a stranger's body would be read");
    }
    let heads = Heads {
        path,
        address,
        key,
        prefer,
        signature: [id, timestamp, signature],
    };
    match heads.decide(body) {
        Ok(accept) => {
            assert!(inside && webhook_sender(path).is_none(), "forged");
            // A sender reaches its own accounts only, and its key goes no further.
            let reached = (accept.sender.as_str(), accept.account.name.as_str());
            assert_eq!(reached, ("desk", "main"));
            assert!(!accept.body.contains(PASSKEY));
            assert!(accept.wait_ms <= 2_000);
            unknown_fields_decide_nothing(&heads, body, &accept);
            the_order_is_what_the_fields_say(body, &accept);
        }
        Err(problem) if !inside => {
            assert!(matches!(problem.code, Code::Forbidden | Code::TooLarge));
        }
        Err(_) => {}
    }
}

fn check_path(method: &str, path: &str) {
    let matched = endpoint(method, path);
    if path == "/v1" || path.starts_with("/v1/") {
        assert!(matched.is_operator(), "{path} needs the operator's key");
    }
    if let Matched::MethodNotAllowed { allowed, .. } = matched {
        assert!(allowed.split(", ").all(|known| known != method));
    }
}

/// A field that nobody knows changes nothing but the content's hash.
fn unknown_fields_decide_nothing(heads: &Heads<'_>, body: &[u8], accept: &Accept) {
    let Some(rest) = body.trim_ascii_start().strip_prefix(b"{") else {
        return;
    };
    // Fields and bytes have limits, which one more of them may pass.
    if body.len() > 60_000 || body.split(|byte| *byte == b':').count() > 91 {
        return;
    }
    let more = [&b"{\"aFieldNobodyKnows\":[1,{\"x\":null}],"[..], rest].concat();
    let again = heads.decide(&more).unwrap();
    // It is named in a note.
    let bare = |accept: &Accept| {
        let mut signal = accept.signal.clone();
        signal.notes.clear();
        signal
    };
    assert_eq!(
        (&bare(&again), &again.account),
        (&bare(accept), &accept.account)
    );
}

/// What an alert says in words that nobody can take for anything else is in its signal, whatever their spelling. Of a full
/// exit they are notes, which gets out anyway.
fn the_order_is_what_the_fields_say(body: &[u8], accept: &Accept) {
    let signal = &accept.signal;
    let Ok(Value::Object(fields)) = serde_json::from_slice::<Value>(body.trim_ascii()) else {
        return;
    };
    if !signal.is_entry() && signal.quantity.is_none() {
        return;
    }
    for (name, value) in &fields {
        let spelt: String = name
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .map(|letter| letter.to_ascii_lowercase())
            .collect();
        let yes = value == &Value::Bool(true) || value == "true";
        let some = value.is_number();
        let said = match spelt.as_str() {
            "reduceonly" | "closeonly" if yes => signal.reduce_only || !signal.is_entry(),
            "dryrun" if yes => signal.dry_run,
            "test" if yes => signal.test,
            "type" | "ordertype" if value == "limit" => signal.order != OrderKind::Market,
            "stoplossprice" | "stoplosspercent" | "slprice" | "slpercent" if some => {
                signal.stop_loss.is_some()
            }
            "takeprofitprice" | "takeprofitpercent" | "tpprice" | "tppercent" if some => {
                signal.take_profit.is_some()
            }
            "leverage" | "lev" if some => signal.leverage.is_some(),
            "sl" | "tp" | "stop" | "size" | "amount" | "risk" | "closeposition"
            | "positionside"
                if some =>
            {
                // The size may be said once more, and one-way mode as well.
                signal.quantity.is_some_and(|size| {
                    matches!(spelt.as_str(), "size" | "amount")
                        && value.to_string().parse() == Ok(size.value())
                }) || (spelt == "positionside" && value == 0)
                    || (spelt == "closeposition" && value == 1)
            }
            "paper" | "testnet" | "demo" | "sandbox" => !yes,
            "mode" | "environment" => !matches!(value.as_str(), Some("paper" | "test" | "demo")),
            _ => true,
        };
        assert!(said, "{name} is as if it were not there");
    }
}
