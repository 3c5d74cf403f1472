//! Wrong keys, by the address that sends them: counted by the platform's limiter, and slowed where they are too many.

use core::cell::RefCell;
use core::net::IpAddr;

use hoox_gateway::{Slowed, counts, source};
use hoox_mesh::registry::ATTEMPTS;
use hoox_mesh::{Burst, Problem, unstored};
use hoox_model::{Code, RequestId, Timestamp};
use hoox_store::audit::{AuditEntry, AuditEvent};
use hoox_worker_kit::too_many;
use worker::Env;

use crate::audit::{STRANGER, store};

thread_local! {
    static SLOWED: RefCell<Slowed> = const { RefCell::new(Slowed::new()) };
    static STORED: Burst = const { Burst::new() };
}

/// What a wrong key is answered with: `refusal`, or `RATE_LIMITED` where its address has sent too many. Counts it.
pub(crate) async fn wrong(
    env: &Env,
    id: &RequestId,
    address: Option<IpAddr>,
    now: Timestamp,
    refusal: Problem,
) -> Problem {
    let source = source(address);
    if let Some(slowed) = SLOWED.with_borrow(|slowed| slowed.refusal(source, now)) {
        return slowed;
    }
    if counts(address) && too_many(env, ATTEMPTS, &source.to_string()).await {
        SLOWED.with_borrow_mut(|slowed| slowed.slow(source, now));
        tell(env, id, source, now).await;
    }
    refusal
}

/// One line in the audit trail for an address that is slowed from now on.
async fn tell(env: &Env, id: &RequestId, source: IpAddr, now: Timestamp) {
    let Some(more) = STORED.with(|burst| burst.stored(now)) else {
        return;
    };
    let more = unstored(more).map_or_else(String::new, |more| format!(", {more}"));
    let entry = AuditEntry {
        request_id: Some(id.clone()),
        code: Some(Code::RateLimited),
        detail: Some(format!("{source}{more}").into()),
        ..AuditEntry::new(now, AuditEvent::AddressSlowed, STRANGER)
    };
    store(env, id, entry).await;
}
