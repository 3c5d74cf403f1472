//! Method and path to endpoint.

/// What the gateway serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endpoint {
    /// `POST /webhook`, alias `POST /`.
    Webhook,
    /// `GET /health`.
    Health,
    /// `GET /v1/signals`.
    Signals,
    /// `GET /v1/orders`.
    Orders,
    /// `GET /v1/positions`.
    Positions,
    /// `GET /v1/manifest`.
    GetManifest,
    /// `PUT /v1/manifest`.
    PutManifest,
    /// `GET /v1/kill-switch`.
    GetKillSwitch,
    /// `PUT /v1/kill-switch`.
    PutKillSwitch,
}

impl Endpoint {
    /// Whether the operator's key is needed.
    pub const fn is_operator(self) -> bool {
        !matches!(self, Self::Webhook | Self::Health)
    }
}

/// What a method and a path come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Matched {
    /// This endpoint.
    Endpoint(Endpoint),
    /// The path exists, the method does not. Below `/v1` only the operator may learn that.
    MethodNotAllowed {
        /// What the path takes.
        allowed: &'static str,
        /// Whether the path lies below `/v1`.
        operator: bool,
    },
    /// No such path. Below `/v1` only the operator may learn that.
    NotFound {
        /// Whether the path lies below `/v1`.
        operator: bool,
    },
}

impl Matched {
    /// Whether the operator's key is needed for any answer.
    pub const fn is_operator(self) -> bool {
        match self {
            Self::Endpoint(endpoint) => endpoint.is_operator(),
            Self::MethodNotAllowed { operator, .. } | Self::NotFound { operator } => operator,
        }
    }
}

/// Finds the endpoint. Paths match exactly: no trailing slash, no other case, no escapes.
pub fn endpoint(method: &str, path: &str) -> Matched {
    let operator = path == "/v1" || path.starts_with("/v1/");
    let (get, put, post) = match path {
        "/" | "/webhook" => (None, None, Some(Endpoint::Webhook)),
        "/health" => (Some(Endpoint::Health), None, None),
        "/v1/signals" => (Some(Endpoint::Signals), None, None),
        "/v1/orders" => (Some(Endpoint::Orders), None, None),
        "/v1/positions" => (Some(Endpoint::Positions), None, None),
        "/v1/manifest" => (
            Some(Endpoint::GetManifest),
            Some(Endpoint::PutManifest),
            None,
        ),
        "/v1/kill-switch" => (
            Some(Endpoint::GetKillSwitch),
            Some(Endpoint::PutKillSwitch),
            None,
        ),
        _ => return Matched::NotFound { operator },
    };
    let found = match method {
        "GET" => get,
        "PUT" => put,
        "POST" => post,
        _ => None,
    };
    match found {
        Some(endpoint) => Matched::Endpoint(endpoint),
        None => Matched::MethodNotAllowed {
            allowed: match (get, put, post) {
                (Some(_), Some(_), _) => "GET, PUT",
                (Some(_), None, _) => "GET",
                _ => "POST",
            },
            operator,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_is_there_and_nothing_else() {
        assert_eq!(
            endpoint("POST", "/webhook"),
            Matched::Endpoint(Endpoint::Webhook)
        );
        assert_eq!(endpoint("POST", "/"), Matched::Endpoint(Endpoint::Webhook));
        assert_eq!(
            endpoint("GET", "/health"),
            Matched::Endpoint(Endpoint::Health)
        );
        assert_eq!(
            endpoint("GET", "/webhook"),
            Matched::MethodNotAllowed {
                allowed: "POST",
                operator: false
            }
        );
        assert_eq!(
            endpoint("POST", "/health"),
            Matched::MethodNotAllowed {
                allowed: "GET",
                operator: false
            }
        );
        assert_eq!(
            endpoint("DELETE", "/v1/manifest"),
            Matched::MethodNotAllowed {
                allowed: "GET, PUT",
                operator: true
            }
        );
        assert_eq!(
            endpoint("GET", "/v1/nothing"),
            Matched::NotFound { operator: true }
        );
        for path in [
            "",
            "//webhook",
            "/webhook/",
            "/WEBHOOK",
            "/%77ebhook",
            "/v1x",
        ] {
            assert_eq!(
                endpoint("POST", path),
                Matched::NotFound { operator: false },
                "{path}"
            );
        }
    }
}
