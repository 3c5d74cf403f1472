//! The inbox's calls: what was refused is passed on beside the answer, and the operator reads it.

use core::cell::RefCell;

use hoox_gateway::Outflow;
use hoox_mesh::{InboxNote, KeepRefusal, ListRefusals, Problem, RefusedAlert};
use hoox_model::{Code, RequestId};
use hoox_worker_kit::{Request, Way, now, relay};
use worker::Env;

use crate::{Body, Outcome, audit};

/// How long a refusal may take to be stored, beside the answer.
const STORE_MS: u32 = 10_000;

thread_local! {
    static OUTFLOW: RefCell<Outflow> = const { RefCell::new(Outflow::new()) };
}

/// What Control is told of a refusal, if anything.
pub(crate) fn note(refused: RefusedAlert) -> Option<InboxNote<RefusedAlert>> {
    OUTFLOW.with_borrow_mut(|outflow| outflow.note(refused, now()))
}

/// Tells it; what cannot be stored is in the log, which names the request.
pub(crate) async fn keep(env: &Env, note: &InboxNote<RefusedAlert>) {
    let id = &note.request_id;
    let kept = match serde_json::to_string(note) {
        Ok(text) => relay(env, id, Way::of::<KeepRefusal>(), &text, STORE_MS).await,
        Err(error) => Err(Problem::new(Code::Internal, error.to_string())),
    };
    if let Err(Problem { code, .. }) = kept {
        worker::console_error!("the refusal of {id} was not kept in the inbox ({code})");
    }
}

/// A page of the inbox, which is an object and passes through unread.
pub(crate) async fn list(request: &Request, env: &Env, id: &RequestId) -> Outcome {
    let page = audit::ask(request, env, id, Way::of::<ListRefusals>()).await?;
    let inside = page.get().strip_prefix('{').unwrap_or("}");
    let text = format!(r#"{{"success":true,"requestId":"{id}",{inside}"#);
    Ok(Body::json(200, text))
}
