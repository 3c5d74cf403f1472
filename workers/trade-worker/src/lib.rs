//! trade-worker: private, reached by the gateway's service binding. It holds the Ledgers, one Durable
//! Object for each trading account, and Control, which owns the manifest and the kill switch.

mod control;
mod ledger;
mod ports;

use hoox_mesh::registry::{CONTROL, CONTROL_NAME};
use hoox_mesh::{
    AcceptSignal, Answer, AuditNote, ChangeOperators, ChangeSenders, DeadLetters, Edge,
    ForceManifest, GetHealth, GetKeys, GetKill, GetManifest, KeepRefusal, ListRefusals, Problem,
    PutKill, PutManifest, Route, Sweep, TradeBindings, Worker,
};
use hoox_model::{Code, RequestId};
use hoox_store::audit::{AuditEntry, MAX_AUDIT_INGEST};
use hoox_worker_kit::{
    Bindings, LEDGER_HEADER, LOCATION_HEADER, PlatformResponse, Request, answer, call_object,
    call_service, check_edge, edge_refused, forward, ledger_stub, message, request_id,
};
use worker::{Context, Env, Result, ScheduleContext, ScheduledEvent, Stub, event};

/// How long entries of the audit trail may take to be stored, beside the answer.
const NOTE_MS: u32 = 10_000;

/// How long d1-worker may take to say whether it takes a call: less than the gateway waits for the bindings.
const TAKEN_MS: u32 = 3_000;

/// Every call comes over the gateway's edge and goes on to the object that it is for.
#[event(fetch)]
async fn fetch(request: Request, env: Env, context: Context) -> Result<PlatformResponse> {
    if let Err(problem) = check_edge(&env, &request, Edge::HooxTrade) {
        if let Some(entry) = edge_refused(request.path()) {
            context.wait_until(note(env, request_id(), vec![entry]));
        }
        return Ok(answer::<Sweep>(&Err(problem))?.into());
    }
    let stub = match request.path() {
        AcceptSignal::PATH => {
            let [name, hint] = request.headers([LEDGER_HEADER, LOCATION_HEADER]);
            ledger_stub(&env, &name.unwrap_or_default(), &hint.unwrap_or_default())?
        }
        GetManifest::PATH
        | PutManifest::PATH
        | ForceManifest::PATH
        | ChangeSenders::PATH
        | ChangeOperators::PATH
        | GetKill::PATH
        | PutKill::PATH
        | DeadLetters::PATH
        | KeepRefusal::PATH
        | ListRefusals::PATH
        | GetHealth::PATH
        | GetKeys::PATH => control_stub(&env)?,
        TradeBindings::PATH => {
            let reply = bindings(&request, &env).await;
            return Ok(answer::<TradeBindings>(&reply)?.into());
        }
        _ => {
            let missing = Problem::new(Code::NotFound, "no such route");
            return Ok(answer::<Sweep>(&Err(missing))?.into());
        }
    };
    forward(stub, &request).await
}

/// Which bindings and secrets there are, and whether d1-worker takes the key of the edge to it.
async fn bindings(request: &Request, env: &Env) -> Answer<TradeBindings> {
    let secrets = message::<TradeBindings>(request).await?;
    let mut bindings = Bindings::of(env, Worker::Trade, &secrets);
    let none = Vec::new();
    let asked = call_service::<AuditNote>(env, &request_id(), None, &none, TAKEN_MS).await;
    if let Err(problem) = asked
        && let Some(edge) = Edge::that_differs(&problem.message)
    {
        bindings.differs(edge);
    }
    bindings.to_json()
}

/// Adds entries to the audit trail; what is not stored is in the log.
async fn note(env: Env, id: RequestId, entries: Vec<AuditEntry>) {
    for part in entries.chunks(MAX_AUDIT_INGEST) {
        let sent = call_service::<AuditNote>(&env, &id, None, &part.to_vec(), NOTE_MS).await;
        if let Err(problem) = sent {
            worker::console_error!("{} audit entries were not stored: {problem}", part.len());
        }
    }
}

/// The cron wakes every Ledger whose alarm may have been lost.
#[event(scheduled)]
async fn scheduled(_event: ScheduledEvent, env: Env, _context: ScheduleContext) {
    let swept = match control_stub(&env) {
        Ok(stub) => call_object::<Sweep>(stub, &(), 25_000).await,
        Err(error) => Err(Problem::new(Code::NotConfigured, error.to_string())),
    };
    if let Err(problem) = swept {
        worker::console_error!("the sweep failed: {problem}");
    }
}

/// The stub of the one Control object.
fn control_stub(env: &Env) -> Result<Stub> {
    env.durable_object(CONTROL)?.get_by_name(CONTROL_NAME)
}
