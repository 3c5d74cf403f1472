//! D1: databases. Their statements run in [`query`].

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Api;
use crate::caller::Caller;
use crate::clock;
use crate::envelope::{Answer, Failure, Success};
use crate::inner::Inner;
use crate::paging::{Page, Sizes};
use crate::permission::Permission;
use crate::state::{Account, Database};

mod query;

use query::Shape;

const BASE: &str = "/accounts/{account}/d1/database";
const SIZES: Sizes = Sizes {
    least: 10,
    usual: 100,
    most: 10_000,
    counts_pages: false,
};

pub(super) fn routes() -> Router<Api> {
    Router::new()
        .route(BASE, get(list).post(create))
        .route(&format!("{BASE}/{{database}}"), get(one).delete(delete))
        .route(&format!("{BASE}/{{database}}/query"), post(objects))
        .route(&format!("{BASE}/{{database}}/raw"), post(arrays))
}

/// The database of this id, or of this name, which the API takes as well.
fn existing<'a>(account: &'a Account, wanted: &str) -> Result<&'a Database, Failure> {
    account
        .databases
        .iter()
        .find(|database| database.uuid == wanted || database.name == wanted)
        .ok_or_else(|| {
            Failure::not_found(7_404, format!("The database {wanted} could not be found"))
        })
}

fn shown(database: &Database) -> Value {
    json!({
        "uuid": database.uuid,
        "name": database.name,
        "created_at": database.created_at,
        "version": "production",
        "num_tables": 0,
        "file_size": 0,
    })
}

#[derive(Deserialize)]
struct Wanted {
    name: Option<String>,
}

async fn list(
    State(api): State<Api>,
    caller: Caller,
    Path(account): Path<String>,
    Query(wanted): Query<Wanted>,
    Query(page): Query<Page>,
) -> Answer {
    let mut inner = api.lock();
    let account = inner.account(&caller, &account, Permission::D1Read)?;
    let all: Vec<Value> = account
        .databases
        .iter()
        .filter(|database| {
            wanted
                .name
                .as_ref()
                .is_none_or(|name| *name == database.name)
        })
        .map(shown)
        .collect();
    Ok(page.of(&all, SIZES))
}

#[derive(Deserialize)]
struct Create {
    name: String,
}

async fn create(
    State(api): State<Api>,
    caller: Caller,
    Path(account): Path<String>,
    body: Bytes,
) -> Answer {
    let Create { name } = serde_json::from_slice(&body).map_err(|_| Failure::bad_json())?;
    let mut inner = api.lock();
    let uuid = inner.new_uuid();
    let account = inner.account(&caller, &account, Permission::D1Write)?;
    if account.databases.iter().any(|other| other.name == name) {
        let message = format!("Database with name '{name}' already exists");
        return Err(Failure::bad_request(7_502, message));
    }
    let database = Database {
        uuid,
        name,
        created_at: clock::now(),
    };
    let answer = Success::new(shown(&database));
    account.databases.push(database);
    Ok(answer)
}

async fn one(
    State(api): State<Api>,
    caller: Caller,
    Path((account, database)): Path<(String, String)>,
) -> Answer {
    let mut inner = api.lock();
    let account = inner.account(&caller, &account, Permission::D1Read)?;
    Ok(Success::new(shown(existing(account, &database)?)))
}

async fn delete(
    State(api): State<Api>,
    caller: Caller,
    Path((account, database)): Path<(String, String)>,
) -> Answer {
    let mut inner = api.lock();
    let account = inner.account(&caller, &account, Permission::D1Write)?;
    let uuid = existing(account, &database)?.uuid.clone();
    account.databases.retain(|other| other.uuid != uuid);
    inner.databases.remove(&uuid);
    Ok(Success::new(Value::Null))
}

async fn objects(
    State(api): State<Api>,
    caller: Caller,
    Path(place): Path<(String, String)>,
    body: Bytes,
) -> Answer {
    run(&mut api.lock(), &caller, &place, &body, Shape::Objects)
}

async fn arrays(
    State(api): State<Api>,
    caller: Caller,
    Path(place): Path<(String, String)>,
    body: Bytes,
) -> Answer {
    run(&mut api.lock(), &caller, &place, &body, Shape::Arrays)
}

/// Statements may write, so that reading alone asks for the permission to write as well.
fn run(
    inner: &mut Inner,
    caller: &Caller,
    (account, database): &(String, String),
    body: &[u8],
    shape: Shape,
) -> Answer {
    let batch = query::Batch::parse(body)?;
    let account = inner.account(caller, account, Permission::D1Write)?;
    let uuid = existing(account, database)?.uuid.clone();
    batch.run(query::open(&mut inner.databases, uuid)?, shape)
}
