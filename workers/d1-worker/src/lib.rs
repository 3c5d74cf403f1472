//! d1-worker: private, reached by service bindings. Stores and lists records by typed operations; no
//! caller's text ever becomes SQL.

use hoox_mesh::registry::DB;
use hoox_mesh::route::MAX_INGEST;
use hoox_mesh::{
    Answer, AuditAppend, AuditDrop, AuditExport, AuditNote, AuditVerify, D1Bindings, Edge, Ingest,
    ListOrders, ListPositions, ListSignals, Page, PageRequest, Problem, Retention, Route,
    SignalStatus, Worker,
};
use hoox_model::Code;
use hoox_store::audit::{
    AuditDropRequest, AuditEntry, AuditError, AuditExportRequest, AuditFound, AuditStore,
    AuditVerifyRequest, ChainNameError, append, deliver, drop_oldest, export, is_refusal, verify,
};
use hoox_store::{Listed, Query, RecordStore, SealedRow, Statement, Stored, prune, report};
use hoox_worker_kit::{
    Bindings, Request, answer, check_edge, edge_refused, message, now, run_counted, run_queries,
    run_query,
};
use worker::{Context, D1Database, Env, Response, Result, ScheduleContext, ScheduledEvent, event};

#[event(fetch)]
async fn fetch(request: Request, env: Env, _context: Context) -> Result<Response> {
    match request.path() {
        Ingest::PATH => serve::<Ingest, _>(&request, &env, ingest).await,
        ListSignals::PATH => serve::<ListSignals, _>(&request, &env, list).await,
        ListOrders::PATH => serve::<ListOrders, _>(&request, &env, list).await,
        ListPositions::PATH => serve::<ListPositions, _>(&request, &env, list).await,
        AuditNote::PATH => {
            let note = async |db, entries| add(db, TRADE_CHAIN, entries).await;
            serve::<AuditNote, _>(&request, &env, note).await
        }
        AuditAppend::PATH => {
            let append = async |db, entries| add(db, GATEWAY_CHAIN, entries).await;
            serve::<AuditAppend, _>(&request, &env, append).await
        }
        AuditVerify::PATH => serve::<AuditVerify, _>(&request, &env, audit_verify).await,
        AuditExport::PATH => serve::<AuditExport, _>(&request, &env, audit_export).await,
        AuditDrop::PATH => serve::<AuditDrop, _>(&request, &env, audit_drop).await,
        Retention::PATH => serve::<Retention, _>(&request, &env, retention).await,
        D1Bindings::PATH => bindings(&request, &env).await,
        _ => answer::<Ingest>(&Err(Problem::new(Code::NotFound, "no such route"))),
    }
}

/// The cron prunes old records.
#[event(scheduled)]
async fn scheduled(_event: ScheduledEvent, env: Env, _context: ScheduleContext) {
    let waiting = SignalStatus::WAITING.map(SignalStatus::as_str);
    let pruned = async {
        let db = Database(database(&env)?);
        let pruned = prune(&db, now(), &waiting).await;
        pruned.map_err(|error| failed(&error))
    };
    match pruned.await {
        Ok(pruned) if pruned.is_nothing() => {}
        Ok(pruned) => worker::console_log!("pruned {pruned}"),
        Err(problem) => worker::console_error!("old records were not pruned: {problem}"),
    }
}

/// Checks the edge's key, reads the message, runs the operation.
async fn serve<R: Route, F>(request: &Request, env: &Env, operation: F) -> Result<Response>
where
    F: AsyncFnOnce(D1Database, R::Request) -> Answer<R>,
{
    let reply = async {
        let edge = R::EDGE.ok_or_else(|| Problem::new(Code::NotFound, "no such route"))?;
        admit(request, env, edge).await?;
        let message = message::<R>(request).await?;
        operation(database(env)?, message).await
    };
    answer::<R>(&reply.await)
}

fn database(env: &Env) -> core::result::Result<D1Database, Problem> {
    env.d1(DB)
        .map_err(|error| Problem::new(Code::NotConfigured, error.to_string()))
}

/// Whether a call carries its edge's key; one that does not is recorded.
async fn admit(request: &Request, env: &Env, edge: Edge) -> core::result::Result<(), Problem> {
    let checked = check_edge(env, request, edge);
    if checked.is_err()
        && let (Some(entry), Ok(db)) = (edge_refused(request.path()), database(env))
        && let Err(problem) = add(db, OWN_CHAIN, vec![entry]).await
    {
        worker::console_error!("a refused call was not recorded: {problem}");
    }
    checked
}

/// Needs no database: it may be what is missing.
async fn bindings(request: &Request, env: &Env) -> Result<Response> {
    let reply = admit(request, env, Edge::HooxD1)
        .await
        .and_then(|()| Bindings::of(env, Worker::D1, &[]).to_json());
    answer::<D1Bindings>(&reply)
}

fn failed(error: &worker::Error) -> Problem {
    worker::console_error!("D1 failed: {error}");
    Problem::new(
        Code::NotConfirmed,
        "the database did not answer properly; try again",
    )
}

async fn ingest(db: D1Database, rows: Vec<SealedRow>) -> Answer<Ingest> {
    if rows.len() > MAX_INGEST {
        let text = format!(
            "{} rows are more than the {MAX_INGEST} of one delivery",
            rows.len()
        );
        return Err(Problem::new(Code::TooLarge, text));
    }
    let mut readable = Vec::with_capacity(rows.len());
    let mut refused = Vec::new();
    for (place, row) in rows.iter().enumerate() {
        match row.open() {
            Ok(row) => readable.push(row),
            Err(error) => {
                worker::console_error!("a record is not readable: {error}");
                refused.push(place);
            }
        }
    }
    let ends = |state: &str| SignalStatus::named(state).is_some_and(SignalStatus::is_final);
    deliver(&Database(db), now(), &readable, ends)
        .await
        .map_err(audit_failed)?;
    Ok(refused)
}

async fn list<T: Listed>(
    db: D1Database,
    request: PageRequest,
) -> core::result::Result<Page<T>, Problem> {
    let query = Query::<T>::new(request.account, request.limit, request.cursor.as_deref())
        .map_err(|error| Problem::new(Code::BadField, error.to_string()).field(error.field()))?;
    let rows = run_query::<T::Row>(&db, &query.statement())
        .await
        .map_err(|error| failed(&error))?;
    let page = query.page(rows).map_err(|error| {
        worker::console_error!("a stored row is not readable: {error}");
        Problem::new(Code::Internal, "a stored row is not readable")
    })?;
    Ok(Page {
        items: page.items,
        next_cursor: page.next_cursor.map(|cursor| cursor.to_string()),
    })
}

async fn retention(db: D1Database, (): ()) -> Answer<Retention> {
    report(&Database(db)).await.map_err(|error| failed(&error))
}

/// The database as it is asked by what decides.
struct Database(D1Database);

impl RecordStore for Database {
    type Error = worker::Error;

    async fn run(&self, statements: &[Statement]) -> Result<Stored> {
        run_counted(&self.0, statements).await
    }
}

impl AuditStore for Database {
    type Error = worker::Error;

    async fn run(&self, statements: &[Statement]) -> Result<Vec<Vec<AuditFound>>> {
        run_queries(&self.0, statements).await
    }
}

fn audit_failed(error: AuditError<worker::Error>) -> Problem {
    let text = error.to_string();
    match (error.field(), error) {
        (_, AuditError::Store(error)) => failed(&error),
        (Some(field), _) => Problem::new(Code::BadField, text).field(field),
        (None, AuditError::Busy) => Problem::new(Code::NotConfirmed, text),
        (None, _) => Problem::new(Code::Internal, text),
    }
}

/// The chain of all gateways.
const GATEWAY_CHAIN: &str = "gateway";
/// The chain of what trade-worker notes beside the records of its Ledgers, which have chains of their own.
const TRADE_CHAIN: &str = "trade-worker";
/// This worker's own chain.
const OWN_CHAIN: &str = "d1-worker";

async fn add(
    db: D1Database,
    chain: &str,
    entries: Vec<AuditEntry>,
) -> core::result::Result<(), Problem> {
    if entries.is_empty() {
        return Ok(());
    }
    let chain = chain
        .parse()
        .map_err(|error: ChainNameError| Problem::new(Code::Internal, error.to_string()))?;
    append(&Database(db), now(), &chain, &entries)
        .await
        .map_err(audit_failed)
}

async fn audit_verify(db: D1Database, request: AuditVerifyRequest) -> Answer<AuditVerify> {
    verify(&Database(db), &request).await.map_err(audit_failed)
}

async fn audit_export(db: D1Database, request: AuditExportRequest) -> Answer<AuditExport> {
    export(&Database(db), &request).await.map_err(audit_failed)
}

async fn audit_drop(db: D1Database, request: AuditDropRequest) -> Answer<AuditDrop> {
    drop_oldest(&Database(db), request)
        .await
        .map_err(|error| match error {
            AuditError::Store(error) if is_refusal(&error.to_string()) => Problem::new(
                Code::Conflict,
                "the oldest month does not hold together, so it stays; verifying names the row",
            ),
            error => audit_failed(error),
        })
}
