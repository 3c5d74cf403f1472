//! The token, its user and their accounts.

use axum::Router;
use axum::extract::{Query, Request, State};
use axum::http::StatusCode;
use axum::routing::get;
use serde_json::{Value, json};

use super::Api;
use crate::caller::{self, Caller};
use crate::envelope::{Answer, Failure, Success};
use crate::paging::{Page, Sizes};
use crate::permission::Permission;
use crate::state::{Account, TokenStatus};

const SIZES: Sizes = Sizes {
    least: 5,
    usual: 20,
    most: 50,
    counts_pages: true,
};

pub(super) fn routes() -> Router<Api> {
    Router::new()
        .route("/user", get(user))
        .route("/user/tokens/verify", get(verify))
        .route("/accounts", get(accounts))
        .route("/memberships", get(memberships))
}

/// What the API says of an account.
fn shown(account: &Account) -> Value {
    json!({ "id": account.id, "name": account.name, "type": "standard", "settings": {} })
}

/// The token itself may always be asked about, also when it works no more.
async fn verify(State(api): State<Api>, request: Request) -> Answer {
    let (parts, _) = request.into_parts();
    let text = caller::bearer(&parts)?;
    let inner = api.lock();
    let token = inner
        .state
        .token(text)
        .ok_or_else(|| Failure::new(StatusCode::UNAUTHORIZED, 1_000, "Invalid API Token"))?;
    let mut result = json!({ "id": token.id, "status": token.status });
    if let (Some(expires_on), Some(result)) = (&token.expires_on, result.as_object_mut()) {
        result.insert("expires_on".to_owned(), json!(expires_on));
    }
    let message = match token.status {
        TokenStatus::Active => "This API Token is valid and active",
        TokenStatus::Disabled => "This API Token is disabled",
        TokenStatus::Expired => "This API Token is expired",
    };
    Ok(Success::new(result).saying(10_000, message))
}

async fn user(State(api): State<Api>, caller: Caller) -> Answer {
    if !caller.may(Permission::UserDetailsRead) {
        return Err(Failure::new(
            StatusCode::FORBIDDEN,
            9_109,
            "Unauthorized to access requested resource",
        ));
    }
    let user = api.lock().state.user.clone();
    Ok(Success::new(json!({ "id": user.id, "email": user.email })))
}

async fn accounts(State(api): State<Api>, caller: Caller, Query(page): Query<Page>) -> Answer {
    let inner = api.lock();
    let seen: Vec<Value> = inner
        .state
        .accounts
        .iter()
        .filter(|account| {
            caller.may(Permission::AccountSettingsRead) && caller.reaches(&account.id)
        })
        .map(shown)
        .collect();
    Ok(page.of(&seen, SIZES))
}

async fn memberships(State(api): State<Api>, caller: Caller, Query(page): Query<Page>) -> Answer {
    if !caller.may(Permission::MembershipsRead) {
        return Err(Failure::forbidden());
    }
    let inner = api.lock();
    let seen: Vec<Value> = inner
        .state
        .accounts
        .iter()
        .filter(|account| caller.reaches(&account.id))
        .map(|account| {
            json!({
                "id": account.id,
                "status": "accepted",
                "account": shown(account),
                "roles": ["Administrator"],
            })
        })
        .collect();
    Ok(page.of(&seen, SIZES))
}
