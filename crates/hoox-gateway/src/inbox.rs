//! What is kept of an alert that was refused, and how many of them leave this isolate.
//!
//! In scope: which refusals belong into the inbox, what is kept of each, and the bound on calls. Out of scope: where
//! they are kept, and the quotas there (Control's).

use core::net::IpAddr;

use hoox_auth::{MAX_SENDERS, Manifest, Published, Sender};
use hoox_mesh::{InboxNote, Problem, RefusedAlert};
use hoox_model::{Code, Name, RequestId, Timestamp};
use hoox_signal::{Alert, without_body};

use crate::serve::Arriving;
use crate::webhook::Inbound;

/// What is known of a request when its answer is.
#[derive(Debug, Default)]
pub struct Heard {
    /// Name of the operator who called, once that is proved.
    pub operator: Option<String>,
    /// Who sent an alert, once that is proved.
    pub sender: Option<Name>,
    /// What is kept of it, where it was refused and belongs into the inbox.
    pub refused: Option<RefusedAlert>,
}

/// What is kept of a refusal to a sender who is proved; `None` where a resend may bring it about.
fn of_a_sender(
    inbound: &Inbound<'_>,
    manifest: &Manifest,
    sender: &Sender,
    alert: &Alert,
    problem: &Problem,
) -> Option<RefusedAlert> {
    if problem.code.status() >= 500 {
        return None;
    }
    let account = manifest.route(sender, &alert.destination()).ok();
    let account = account.map(|account| &account.name);
    let ours = [sender.id.as_str(), account.map_or("", Name::as_str)];
    let field = problem.field.as_deref();
    let field = field.filter(|field| !alert.holds_key(field));
    let signal = problem.signal.as_deref();
    Some(RefusedAlert {
        sender: Some(sender.id.clone()),
        field: field.map(str::to_owned),
        account: account.cloned(),
        symbol: alert.symbol(),
        signal_id: signal.map(|signal| signal.signal_id.clone()),
        fields: alert.names(),
        ..RefusedAlert::new(
            inbound.request_id.clone(),
            inbound.received_at,
            problem.code,
            alert.without_values(&problem.message, field, &ours),
        )
    })
}

/// What is kept of a request that was refused by this manifest.
pub(crate) fn refused(
    inbound: &Inbound<'_>,
    published: &Published,
    known: Option<&(&Sender, Alert)>,
    problem: &Problem,
) -> Option<RefusedAlert> {
    match known {
        Some((sender, alert)) => of_a_sender(inbound, &published.manifest, sender, alert, problem),
        None => Unread::of(inbound).kept(published, problem),
    }
}

/// What came from an allowed address and could not be read.
#[derive(Debug, Clone, Copy)]
pub struct Unread<'a> {
    /// Its request's id.
    pub request_id: &'a RequestId,
    /// When it came.
    pub received_at: Timestamp,
    /// The client's address, when it is certain.
    pub address: Option<IpAddr>,
    /// The body; empty where it was not read.
    pub body: &'a [u8],
    /// Length of the body, where that is known.
    pub bytes: Option<u64>,
}

impl<'a> Unread<'a> {
    /// A request whose body is not read.
    pub fn before_its_body(arriving: &Arriving<'a>) -> Self {
        Self {
            request_id: arriving.request_id,
            received_at: arriving.received_at,
            address: arriving.address,
            body: &[],
            bytes: arriving
                .declared_length
                .and_then(|length| length.parse().ok()),
        }
    }

    /// A request whose body was read.
    pub const fn of(inbound: &'a Inbound<'_>) -> Self {
        Self {
            request_id: &inbound.request_id,
            received_at: inbound.received_at,
            address: inbound.address,
            body: inbound.body,
            bytes: Some(inbound.body.len() as u64),
        }
    }

    /// What is kept of it; `None` where its address may not send, or where it could be read: a wrong key is not kept.
    pub fn kept(&self, published: &Published, problem: &Problem) -> Option<RefusedAlert> {
        let address = self.address?;
        let unreadable = matches!(
            problem.code,
            Code::BadJson | Code::Placeholder | Code::TooLarge
        );
        if !unreadable || !published.manifest.address_allowed(address) {
            return None;
        }
        Some(RefusedAlert {
            address: Some(address.to_string()),
            bytes: self.bytes,
            ..RefusedAlert::new(
                self.request_id.clone(),
                self.received_at,
                problem.code,
                without_body(&problem.message, self.body),
            )
        })
    }
}

/// Unreadable alerts that leave an isolate in an hour: as many as the inbox can hold of them.
const UNREAD: Bound = Bound {
    most: 100,
    within_ms: 60 * MINUTE_MS,
};
/// Refusals of one sender that leave an isolate in a minute: as many as the inbox can hold of them.
const OF_A_SENDER: Bound = Bound {
    most: 200,
    within_ms: MINUTE_MS,
};
/// What does not leave is counted, and the count leaves this seldom.
const MINUTE_MS: i64 = 60_000;

#[derive(Debug, Clone, Copy)]
struct Bound {
    most: u32,
    within_ms: i64,
}

/// What one isolate has passed on to the inbox. A flood of refusals must not be a flood of calls.
#[derive(Debug, Default)]
pub struct Outflow(Vec<(Option<Name>, Window)>);

#[derive(Debug)]
struct Window {
    since: Timestamp,
    passed: u32,
    /// What was not passed on and not told yet.
    more: u32,
    told: Timestamp,
}

impl Outflow {
    /// Nothing has been passed on yet.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// What Control is told of a refusal: that it is kept, or counted with those before it; `None` where nothing is told
    /// now. Of each origin by itself.
    pub fn note(
        &mut self,
        refused: RefusedAlert,
        now: Timestamp,
    ) -> Option<InboxNote<RefusedAlert>> {
        let bound = match refused.sender {
            Some(_) => OF_A_SENDER,
            None => UNREAD,
        };
        let window = self.window(refused.sender.as_ref(), now);
        if !(0..bound.within_ms).contains(&now.since(window.since)) {
            window.since = now;
            window.passed = 0;
        }
        let (sender, request_id) = (refused.sender.clone(), refused.request_id.clone());
        let keeps = window.passed < bound.most;
        if keeps {
            window.passed = window.passed.saturating_add(1);
        } else {
            window.more = window.more.saturating_add(1);
            if (0..MINUTE_MS).contains(&now.since(window.told)) {
                return None;
            }
            window.told = now;
        }
        Some(InboxNote {
            sender,
            request_id,
            refused: keeps.then_some(refused),
            // Told by itself, so that a note writes no more rows than two.
            more: if keeps {
                0
            } else {
                core::mem::take(&mut window.more)
            },
        })
    }

    fn window(&mut self, sender: Option<&Name>, now: Timestamp) -> &mut Window {
        let known = self.0.iter().position(|(name, _)| name.as_ref() == sender);
        let at = known.unwrap_or_else(|| {
            // Of a manifest there are never more; those of earlier ones make room.
            if self.0.len() > MAX_SENDERS {
                self.0.remove(0);
            }
            let window = Window {
                since: now,
                passed: 0,
                more: 0,
                told: Timestamp::from_millis(0),
            };
            self.0.push((sender.cloned(), window));
            self.0.len().saturating_sub(1)
        });
        #[expect(clippy::indexing_slicing, reason = "it was found or pushed there")]
        &mut self.0[at].1
    }
}
