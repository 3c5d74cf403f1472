//! The alert's way through the checks, in the contract's order.

use core::net::IpAddr;

use hoox_auth::{Manifest, Published, Scheme, SealingKey, Sender, SignatureHeaders, Verified};
use hoox_mesh::{Accept, Problem};
use hoox_model::{Code, RequestId, Timestamp};
use hoox_signal::{Alert, COMPRESSED, Identity, Signal};

/// Largest body, in bytes: 64 KiB.
pub const MAX_BODY: usize = 64 * 1024;
/// Longest wait for an outcome, so that the answer is out within 2.3 s.
const MAX_WAIT_MS: u32 = 2_000;

/// A request to the webhook as plain data.
#[derive(Debug, Clone)]
pub struct Inbound<'a> {
    /// Its id, made by the gateway.
    pub request_id: RequestId,
    /// When it came.
    pub received_at: Timestamp,
    /// The client's address, when it is certain.
    pub address: Option<IpAddr>,
    /// How a message to `/webhook/{sender}` was signed; `None` at `/webhook`.
    pub signed: Option<Signed<'a>>,
    /// Whether the platform has verified the client's certificate.
    pub certified: bool,
    /// Header `Idempotency-Key`. It counts for passkeys only: nobody signs it.
    pub idempotency_key: Option<&'a str>,
    /// Header `Prefer`.
    pub prefer: Option<&'a str>,
    /// The body, at most [`MAX_BODY`] bytes.
    pub body: &'a [u8],
}

/// A message that claims to be signed.
#[derive(Debug, Clone, Copy)]
pub struct Signed<'a> {
    /// The sender that its path names.
    pub sender: &'a str,
    /// Its headers.
    pub headers: SignatureHeaders<'a>,
    /// What opens the senders' signing secrets; without it nobody's signature counts.
    pub sealing: Option<&'a SealingKey>,
}

/// The one body of every refusal before a valid key.
pub fn forbidden() -> Problem {
    Problem::new(Code::Forbidden, "forbidden")
}

/// The refusal of a body that is too large.
pub fn too_large() -> Problem {
    Problem::new(Code::TooLarge, "the body is larger than 64 KiB; send less")
}

/// What can be said before the body is read: it is too large by its header, from a foreign address, or
/// compressed by its header.
///
/// # Errors
/// [`Problem`] as of [`decide`], which says the same again of what was read.
pub fn admit(
    published: &Published,
    declared_length: Option<&str>,
    content_encoding: Option<&str>,
    address: Option<IpAddr>,
) -> Result<(), Problem> {
    // 64 bits: a pointer of WebAssembly has 32, and a length may have more.
    let declared = declared_length.and_then(|length| length.parse::<u64>().ok());
    if declared.is_some_and(|length| usize::try_from(length).map_or(true, |it| it > MAX_BODY)) {
        return Err(too_large());
    }
    local(published, address)?;
    if content_encoding.is_some_and(is_encoded) {
        return Err(Problem::new(Code::BadJson, COMPRESSED));
    }
    Ok(())
}

/// Whether a `Content-Encoding` (RFC 9110 section 8.4) names anything but the body as it is.
fn is_encoded(header: &str) -> bool {
    let mut codings = header.split(',').map(str::trim);
    codings.any(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case("identity"))
}

/// The address, where anybody may send from it.
fn local(published: &Published, address: Option<IpAddr>) -> Result<IpAddr, Problem> {
    address
        .filter(|address| published.manifest.address_allowed(*address))
        .ok_or_else(forbidden)
}

/// What was decided about a request.
#[derive(Debug)]
pub struct Decided<'a> {
    /// Who sent it and what, once that is proved.
    pub known: Option<(&'a Sender, Alert)>,
    /// The message to the account's Ledger, or the refusal with the contract's code. Before a valid key every 403 is
    /// the same.
    pub outcome: Result<Accept, Problem>,
}

/// Checks a request and makes the message to the account's Ledger.
pub fn decide<'a>(published: &'a Published, inbound: &Inbound<'_>) -> Decided<'a> {
    match known(published, inbound) {
        Ok(known) => Decided {
            outcome: accept(published, inbound, &known),
            known: Some((known.sender, known.alert)),
        },
        Err(problem) => Decided {
            known: None,
            outcome: Err(problem),
        },
    }
}

/// An alert whose sender is proved.
struct Known<'a> {
    sender: &'a Sender,
    address: IpAddr,
    alert: Alert,
    /// Of a signed message.
    signed: Option<Message>,
}

/// What a signed message is called by its sender.
struct Message {
    /// Its own id, where it has one that was signed.
    id: Option<String>,
}

impl Message {
    /// Stripe gives the id of its event in the body, Standard Webhooks in a signed header, GitHub in
    /// a header that nobody signs.
    fn of(scheme: Scheme, verified: Verified, alert: &Alert) -> Self {
        Self {
            id: match scheme {
                Scheme::Standard => verified.message_id,
                Scheme::Stripe => alert.event_id(),
                Scheme::Github | Scheme::Passkey => None,
            },
        }
    }
}

/// The checks before a valid key.
fn known<'a>(published: &'a Published, inbound: &Inbound<'_>) -> Result<Known<'a>, Problem> {
    if inbound.body.len() > MAX_BODY {
        return Err(too_large());
    }
    let address = local(published, inbound.address)?;
    let (alert, sender, signed) = authenticate(&published.manifest, inbound, inbound.received_at)?;
    Ok(Known {
        sender,
        address,
        alert,
        signed,
    })
}

/// The checks after it.
fn accept(
    published: &Published,
    inbound: &Inbound<'_>,
    known: &Known<'_>,
) -> Result<Accept, Problem> {
    let (manifest, now) = (&published.manifest, inbound.received_at);
    let Known {
        sender,
        address,
        alert,
        signed,
    } = known;
    if sender.client_certificate && !inbound.certified {
        let text = format!(
            "sender '{}' must present a client certificate, and none was verified",
            sender.id
        );
        return Err(Problem::new(Code::NotPermitted, text));
    }
    if !sender.address_allowed(manifest, *address) {
        let text = format!(
            "sender '{}' may not send from this address; add it to the sender's ranges",
            sender.id
        );
        return Err(Problem::new(Code::NotPermitted, text));
    }
    let wanted = alert.destination();
    let routed = manifest.route(sender, &wanted);
    // A sender's rights are judged before its alert's faults.
    if let Err(refusal) = &routed
        && refusal.code == Code::NotPermitted
    {
        return Err(refusal.clone().into());
    }
    let unsigned_key = inbound.idempotency_key.filter(|_| signed.is_none());
    let signal = Signal::from_alert(alert, unsigned_key, now)?;
    if sender.scheme == Scheme::Github && signal.timestamp.is_none() {
        let text = "give the time in timestamp: GitHub's scheme signs none, so an old message could come again";
        return Err(Problem::new(Code::BadField, text).field("timestamp"));
    }
    let account = routed?;
    let past = published.past_routes(&sender.id, &wanted, account, now);
    let product = signal.symbol.product.unwrap_or(account.default_product);
    if let Some(error) = signal.unsupported(account.venue, product) {
        return Err(error.into());
    }
    Ok(Accept {
        request_id: inbound.request_id.clone(),
        sender: sender.id.clone(),
        entry_rate: sender.entry_rate,
        manifest_version: manifest.version,
        account: account.clone(),
        past: past.into_iter().cloned().collect(),
        identity: match signed {
            Some(message) => Identity::of_message(alert, &signal, message.id.as_deref()),
            None => Identity::of(alert, &signal),
        },
        body: alert.journal_json(),
        requires: signal.requires(),
        signal,
        received_at: now,
        wait_ms: wait_ms(inbound.prefer),
    })
}

/// Reads the alert and finds who sent it: by the signature over its bytes, else by the passkey in it.
/// What a signed message is called comes along.
fn authenticate<'a>(
    manifest: &'a Manifest,
    inbound: &Inbound<'_>,
    now: Timestamp,
) -> Result<(Alert, &'a Sender, Option<Message>), Problem> {
    let Some(signed) = inbound.signed else {
        let alert = Alert::parse(inbound.body)?;
        let sender = alert
            .api_key()
            .and_then(|key| manifest.authenticate(key.expose(), now))
            .ok_or_else(forbidden)?;
        return Ok((alert, sender, None));
    };
    let sealing = signed.sealing.ok_or_else(forbidden)?;
    let (sender, verified) = manifest
        .verify(signed.sender, sealing, &signed.headers, inbound.body, now)
        .ok_or_else(forbidden)?;
    let alert = Alert::parse(inbound.body)?;
    let message = Message::of(sender.scheme, verified, &alert);
    Ok((alert, sender, Some(message)))
}

/// How long the answer may wait, from `Prefer: wait=N` (RFC 7240, seconds); 2 s at most. The name is read in
/// any case and the number with or without quotes; a wait that is no number is none.
pub fn wait_ms(prefer: Option<&str>) -> u32 {
    prefer
        .into_iter()
        .flat_map(|header| header.split([',', ';']))
        .filter_map(|preference| preference.split_once('='))
        .filter(|(name, _)| name.trim().eq_ignore_ascii_case("wait"))
        .find_map(|(_, seconds)| seconds.trim().trim_matches('"').parse::<u32>().ok())
        .map_or(0, |seconds| seconds.saturating_mul(1000).min(MAX_WAIT_MS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wait_is_read_and_bounded() {
        assert_eq!(wait_ms(None), 0);
        assert_eq!(wait_ms(Some("wait=1")), 1000);
        assert_eq!(wait_ms(Some("respond-async, wait=30")), 2000);
        assert_eq!(wait_ms(Some("Wait = \"1\"")), 1000);
        for nothing in [
            "wait",
            "wait=",
            "wait=-1",
            "wait=x",
            "await=1",
            "return=minimal",
        ] {
            assert_eq!(wait_ms(Some(nothing)), 0, "{nothing}");
        }
    }

    #[test]
    fn a_body_is_encoded_unless_it_says_identity() {
        for plain in ["", "identity", "Identity", "identity, identity"] {
            assert!(!is_encoded(plain), "{plain}");
        }
        for encoded in ["gzip", "br", "deflate", "identity, gzip", "utf-8"] {
            assert!(is_encoded(encoded), "{encoded}");
        }
    }
}
