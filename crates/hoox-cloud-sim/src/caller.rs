//! Who calls, by the bearer token, and what they may touch.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{StatusCode, header};

use crate::api::Api;
use crate::envelope::Failure;
use crate::permission::Permission;
use crate::state::{Token, TokenStatus};

/// The holder of a token that is active.
#[derive(Debug)]
pub(crate) struct Caller(Token);

impl Caller {
    /// Whether the token allows `needed`.
    pub(crate) fn may(&self, needed: Permission) -> bool {
        self.0
            .permissions
            .as_ref()
            .is_none_or(|all| all.iter().any(|one| one.covers(needed)))
    }

    /// Whether the token is good for this account.
    pub(crate) fn reaches(&self, account: &str) -> bool {
        self.0
            .accounts
            .as_ref()
            .is_none_or(|all| all.iter().any(|one| one == account))
    }

    /// The token's id, by which messages call it.
    pub(crate) fn id(&self) -> &str {
        &self.0.id
    }
}

impl FromRequestParts<Api> for Caller {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Failure> {
        let text = bearer(parts)?;
        match api.lock().state.token(text) {
            Some(token) if token.status == TokenStatus::Active => Ok(Self(token.clone())),
            _ if parts.uri.path().starts_with("/accounts/") => Err(Failure::new(
                StatusCode::UNAUTHORIZED,
                10_000,
                "Authentication error",
            )),
            _ => Err(Failure::new(
                StatusCode::FORBIDDEN,
                9_109,
                "Invalid access token",
            )),
        }
    }
}

/// The text of the bearer token, whether or not there is such a token.
pub(crate) fn bearer(parts: &Parts) -> Result<&str, Failure> {
    let value = parts.headers.get(header::AUTHORIZATION).ok_or_else(|| {
        Failure::bad_request(
            9_106,
            "Missing X-Auth-Key, X-Auth-Email or Authorization headers",
        )
    })?;
    value
        .to_str()
        .ok()
        .and_then(|value| value.strip_prefix("Bearer "))
        .filter(|token| !token.is_empty() && token.bytes().all(is_token_byte))
        .ok_or_else(|| {
            Failure::chained(
                6_003,
                "Invalid request headers",
                6_111,
                "Invalid format for Authorization header",
            )
        })
}

fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')
}
