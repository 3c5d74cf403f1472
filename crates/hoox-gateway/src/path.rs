//! Method and path to endpoint.

/// What the gateway serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endpoint {
    /// `POST /webhook`, aliases `POST /webhook/` and `POST /`.
    Webhook,
    /// `POST /webhook/{sender}`: a signed message.
    SignedWebhook,
    /// `GET /health`.
    Health,
    /// `GET /v1/signals`.
    Signals,
    /// `GET /v1/orders`.
    Orders,
    /// `GET /v1/positions`.
    Positions,
    /// `GET /v1/refusals`.
    Refusals,
    /// `GET /v1/manifest`.
    GetManifest,
    /// `PUT /v1/manifest`.
    PutManifest,
    /// `GET /v1/kill-switch`.
    GetKillSwitch,
    /// `PUT /v1/kill-switch`.
    PutKillSwitch,
    /// `GET /v1/health`.
    OperatorHealth,
    /// `GET /v1/keys`.
    Keys,
    /// `GET /v1/dead-letters`.
    DeadLetters,
    /// `GET /v1/dead-letters/{signalId}`.
    DeadLetter,
    /// `DELETE /v1/dead-letters/{signalId}`.
    DiscardDeadLetter,
    /// `POST /v1/dead-letters/{signalId}/settle`.
    SettleDeadLetter,
    /// `POST /v1/dead-letters/{signalId}/replay`.
    ReplayDeadLetter,
    /// `GET /v1/accounts`.
    Accounts,
    /// `GET /v1/senders`.
    Senders,
    /// `POST /v1/senders`.
    CreateSender,
    /// `GET /v1/senders/{id}`.
    Sender,
    /// `DELETE /v1/senders/{id}`.
    RevokeSender,
    /// `POST /v1/senders/{id}/rotate`.
    RotateSender,
    /// `GET /v1/audit.jsonl`.
    ExportAudit,
    /// `GET /v1/audit/verify`.
    VerifyAudit,
    /// `DELETE /v1/audit`.
    DropAudit,
}

impl Endpoint {
    /// Whether the operator's key is needed.
    pub const fn is_operator(self) -> bool {
        !matches!(self, Self::Webhook | Self::SignedWebhook | Self::Health)
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

/// Where dead letters are.
const DEAD_LETTERS: &str = "/v1/dead-letters";

/// Where senders are.
const SENDERS: &str = "/v1/senders";

/// Below a collection: which one, whose path it is, and what is asked of it.
fn item(path: &str) -> Option<(&'static str, &str, Option<&str>)> {
    let (collection, rest) = [DEAD_LETTERS, SENDERS].into_iter().find_map(|collection| {
        let rest = path.strip_prefix(collection)?.strip_prefix('/')?;
        Some((collection, rest))
    })?;
    let (id, verb) = match rest.split_once('/') {
        Some((id, verb)) => (id, Some(verb)),
        None => (rest, None),
    };
    (!id.is_empty()).then_some((collection, id, verb))
}

/// The id that the path of a dead letter or of a sender names; empty for other paths.
pub fn item_id(path: &str) -> &str {
    item(path).map_or("", |(_, id, _)| id)
}

/// The sender that the path of a signed message names.
pub fn webhook_sender(path: &str) -> Option<&str> {
    let name = path.strip_prefix("/webhook/")?;
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    ((1..=255).contains(&name.len()) && name.bytes().all(fits)).then_some(name)
}

/// What a path takes, with the methods in the order of an `Allow` header.
fn served(path: &str) -> Option<(&'static str, &'static [(&'static str, Endpoint)])> {
    Some(match path {
        // A slash at the end is easily pasted along, and TradingView would not send the alert again.
        "/" | "/webhook" | "/webhook/" => ("POST", &[("POST", Endpoint::Webhook)]),
        "/health" => ("GET", &[("GET", Endpoint::Health)]),
        "/v1/signals" => ("GET", &[("GET", Endpoint::Signals)]),
        "/v1/orders" => ("GET", &[("GET", Endpoint::Orders)]),
        "/v1/positions" => ("GET", &[("GET", Endpoint::Positions)]),
        "/v1/refusals" => ("GET", &[("GET", Endpoint::Refusals)]),
        "/v1/health" => ("GET", &[("GET", Endpoint::OperatorHealth)]),
        "/v1/keys" => ("GET", &[("GET", Endpoint::Keys)]),
        "/v1/manifest" => (
            "GET, PUT",
            &[
                ("GET", Endpoint::GetManifest),
                ("PUT", Endpoint::PutManifest),
            ],
        ),
        "/v1/kill-switch" => (
            "GET, PUT",
            &[
                ("GET", Endpoint::GetKillSwitch),
                ("PUT", Endpoint::PutKillSwitch),
            ],
        ),
        DEAD_LETTERS => ("GET", &[("GET", Endpoint::DeadLetters)]),
        SENDERS => (
            "GET, POST",
            &[("GET", Endpoint::Senders), ("POST", Endpoint::CreateSender)],
        ),
        _ if webhook_sender(path).is_some() => ("POST", &[("POST", Endpoint::SignedWebhook)]),
        "/v1/audit.jsonl" => ("GET", &[("GET", Endpoint::ExportAudit)]),
        "/v1/audit/verify" => ("GET", &[("GET", Endpoint::VerifyAudit)]),
        "/v1/audit" => ("DELETE", &[("DELETE", Endpoint::DropAudit)]),
        "/v1/accounts" => ("GET", &[("GET", Endpoint::Accounts)]),
        _ => match item(path)? {
            (DEAD_LETTERS, _, None) => (
                "GET, DELETE",
                &[
                    ("GET", Endpoint::DeadLetter),
                    ("DELETE", Endpoint::DiscardDeadLetter),
                ],
            ),
            (DEAD_LETTERS, _, Some("settle")) => ("POST", &[("POST", Endpoint::SettleDeadLetter)]),
            (DEAD_LETTERS, _, Some("replay")) => ("POST", &[("POST", Endpoint::ReplayDeadLetter)]),
            (SENDERS, _, None) => (
                "GET, DELETE",
                &[
                    ("GET", Endpoint::Sender),
                    ("DELETE", Endpoint::RevokeSender),
                ],
            ),
            (SENDERS, _, Some("rotate")) => ("POST", &[("POST", Endpoint::RotateSender)]),
            _ => return None,
        },
    })
}

/// Finds the endpoint. Paths match exactly: no trailing slash, no other case, no escapes.
pub fn endpoint(method: &str, path: &str) -> Matched {
    let operator = path == "/v1" || path.starts_with("/v1/");
    let Some((allowed, methods)) = served(path) else {
        return Matched::NotFound { operator };
    };
    let found = methods.iter().find(|(known, _)| *known == method);
    match found {
        Some((_, endpoint)) => Matched::Endpoint(*endpoint),
        None => Matched::MethodNotAllowed { allowed, operator },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_is_there_and_nothing_else() {
        assert_eq!(
            endpoint("POST", "/webhook/"),
            Matched::Endpoint(Endpoint::Webhook)
        );
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
    }

    #[test]
    fn finds_one_of_a_collection() {
        for (method, path, expected) in [
            ("GET", "/v1/dead-letters", Endpoint::DeadLetters),
            ("GET", "/v1/dead-letters/01X", Endpoint::DeadLetter),
            (
                "DELETE",
                "/v1/dead-letters/01X",
                Endpoint::DiscardDeadLetter,
            ),
            (
                "POST",
                "/v1/dead-letters/01X/settle",
                Endpoint::SettleDeadLetter,
            ),
            (
                "POST",
                "/v1/dead-letters/01X/replay",
                Endpoint::ReplayDeadLetter,
            ),
            ("GET", "/v1/refusals", Endpoint::Refusals),
            ("GET", "/v1/health", Endpoint::OperatorHealth),
            ("GET", "/v1/keys", Endpoint::Keys),
            ("GET", "/v1/accounts", Endpoint::Accounts),
            ("GET", "/v1/audit.jsonl", Endpoint::ExportAudit),
            ("GET", "/v1/audit/verify", Endpoint::VerifyAudit),
            ("DELETE", "/v1/audit", Endpoint::DropAudit),
            ("GET", "/v1/senders", Endpoint::Senders),
            ("POST", "/v1/senders", Endpoint::CreateSender),
            ("GET", "/v1/senders/bot", Endpoint::Sender),
            ("DELETE", "/v1/senders/bot", Endpoint::RevokeSender),
            ("POST", "/v1/senders/bot/rotate", Endpoint::RotateSender),
        ] {
            assert_eq!(
                endpoint(method, path),
                Matched::Endpoint(expected),
                "{path}"
            );
            assert!(expected.is_operator());
        }
        assert_eq!(item_id("/v1/dead-letters/01X/settle"), "01X");
        assert_eq!(item_id("/v1/dead-letters"), "");
        assert_eq!(item_id("/v1/senders/bot/rotate"), "bot");
        for path in [
            "/v1/dead-letters/",
            "/v1/dead-letters//settle",
            "/v1/dead-letters/01X/",
            "/v1/dead-letters/01X/settle/",
            "/v1/dead-lettersX",
            "/v1/dead-letters/01X/rotate",
            "/v1/senders/",
            "/v1/senders/bot/settle",
            "/v1/senders/bot/rotate/x",
        ] {
            assert_eq!(
                endpoint("GET", path),
                Matched::NotFound { operator: true },
                "{path}"
            );
        }
    }

    #[test]
    fn a_path_matches_as_it_is() {
        for path in [
            "",
            "//webhook",
            "/webhook//",
            "/webhook/a/b",
            "/webhook/a b",
            "/webhook/%61",
            "/webhook/../webhook",
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
