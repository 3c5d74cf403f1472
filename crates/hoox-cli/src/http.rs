//! The HTTP client, as everything here wants it.

use core::time::Duration;

use reqwest::{Client, Error};

use crate::failure::Failure;

/// A client whose calls take no longer than this. A key or token follows no redirect.
pub(crate) fn client(within: Duration) -> Result<Client, Failure> {
    Client::builder()
        .timeout(within)
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("hoox/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| Failure::new("INTERNAL", error.to_string()))
}

/// Why a call got no answer. The error's own text repeats the address; what it stands on says why.
pub(crate) fn cause(error: &Error) -> String {
    let mut why: &dyn core::error::Error = error;
    while let Some(source) = why.source() {
        why = source;
    }
    why.to_string()
}
