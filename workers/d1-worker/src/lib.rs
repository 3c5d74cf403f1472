//! d1-worker: private, reached by service bindings. Stores and lists records by typed operations; no
//! caller's text ever becomes SQL.

use hoox_mesh::registry::DB;
use hoox_mesh::route::MAX_INGEST;
use hoox_mesh::{
    Answer, Ingest, ListOrders, ListPositions, ListSignals, Page, PageRequest, Problem, Route,
};
use hoox_model::Code;
use hoox_store::{Listed, Query, SealedRow, upsert};
use hoox_worker_kit::{Request, answer, check_edge, message, run_batch, run_query};
use worker::{Context, D1Database, Env, Response, Result, event};

#[event(fetch)]
async fn fetch(request: Request, env: Env, _context: Context) -> Result<Response> {
    match request.path() {
        Ingest::PATH => serve::<Ingest, _>(&request, &env, ingest).await,
        ListSignals::PATH => serve::<ListSignals, _>(&request, &env, list).await,
        ListOrders::PATH => serve::<ListOrders, _>(&request, &env, list).await,
        ListPositions::PATH => serve::<ListPositions, _>(&request, &env, list).await,
        _ => answer::<Ingest>(&Err(Problem::new(Code::NotFound, "no such route"))),
    }
}

/// Checks the edge's key, reads the message, runs the operation.
async fn serve<R: Route, F>(request: &Request, env: &Env, operation: F) -> Result<Response>
where
    F: AsyncFnOnce(D1Database, R::Request) -> Answer<R>,
{
    let reply = async {
        let edge = R::EDGE.ok_or_else(|| Problem::new(Code::NotFound, "no such route"))?;
        check_edge(env, request, edge)?;
        let message = message::<R>(request).await?;
        let db = env
            .d1(DB)
            .map_err(|error| Problem::new(Code::NotConfigured, error.to_string()))?;
        operation(db, message).await
    };
    answer::<R>(&reply.await)
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
    let mut statements = Vec::with_capacity(rows.len());
    let mut refused = Vec::new();
    for (place, row) in rows.iter().enumerate() {
        match row.open() {
            Ok(row) => statements.push(upsert(&row)),
            Err(error) => {
                worker::console_error!("a record is not readable: {error}");
                refused.push(place);
            }
        }
    }
    if !statements.is_empty() {
        run_batch(&db, &statements)
            .await
            .map_err(|error| failed(&error))?;
    }
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
