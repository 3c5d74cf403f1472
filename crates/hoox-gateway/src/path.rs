//! Method and path to endpoint, and the level that an operator needs there.

use hoox_auth::Level;

/// No operator's key is needed.
const PUBLIC: Option<Level> = None;
/// An operator at any level.
const READ: Option<Level> = Some(Level::Read);
/// An operator at level operate or above.
const OPERATE: Option<Level> = Some(Level::Operate);
/// An operator at level admin.
const ADMIN: Option<Level> = Some(Level::Admin);

macro_rules! endpoints {
    ($($(#[$doc:meta])* $name:ident = $level:expr,)*) => {
        /// What the gateway serves.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Endpoint {
            $($(#[$doc])* $name,)*
        }

        impl Endpoint {
            /// Every endpoint.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The level that an operator needs here; `None` where no operator's key is needed.
            pub const fn level(self) -> Option<Level> {
                match self { $(Self::$name => $level,)* }
            }
        }
    };
}

endpoints! {
    /// `POST /webhook`, aliases `POST /webhook/` and `POST /`.
    Webhook = PUBLIC,
    /// `POST /webhook/{sender}`: a signed message.
    SignedWebhook = PUBLIC,
    /// `GET /health`.
    Health = PUBLIC,
    /// `GET /v1/signals`.
    Signals = READ,
    /// `GET /v1/orders`.
    Orders = READ,
    /// `GET /v1/positions`.
    Positions = READ,
    /// `GET /v1/refusals`.
    Refusals = READ,
    /// `GET /v1/manifest`. It has the hashes of passkeys, by which one that somebody chose could be found out.
    GetManifest = ADMIN,
    /// `PUT /v1/manifest`.
    PutManifest = ADMIN,
    /// `GET /v1/kill-switch`.
    GetKillSwitch = READ,
    /// `PUT /v1/kill-switch`.
    PutKillSwitch = OPERATE,
    /// `GET /v1/health`.
    OperatorHealth = READ,
    /// `GET /v1/keys`.
    Keys = READ,
    /// `GET /v1/dead-letters`.
    DeadLetters = READ,
    /// `GET /v1/dead-letters/{signalId}`.
    DeadLetter = READ,
    /// `DELETE /v1/dead-letters/{signalId}`.
    DiscardDeadLetter = OPERATE,
    /// `POST /v1/dead-letters/{signalId}/settle`.
    SettleDeadLetter = OPERATE,
    /// `POST /v1/dead-letters/{signalId}/replay`.
    ReplayDeadLetter = OPERATE,
    /// `GET /v1/accounts`.
    Accounts = READ,
    /// `GET /v1/senders`.
    Senders = READ,
    /// `POST /v1/senders`.
    CreateSender = ADMIN,
    /// `GET /v1/senders/{id}`.
    Sender = READ,
    /// `DELETE /v1/senders/{id}`.
    RevokeSender = ADMIN,
    /// `POST /v1/senders/{id}/rotate`.
    RotateSender = ADMIN,
    /// `GET /v1/operators`.
    Operators = READ,
    /// `POST /v1/operators`.
    AddOperator = ADMIN,
    /// `DELETE /v1/operators/{name}`.
    RevokeOperator = ADMIN,
    /// `POST /v1/operators/{name}/rotate`.
    RotateOperator = ADMIN,
    /// `GET /v1/audit.jsonl`.
    ExportAudit = READ,
    /// `GET /v1/audit/verify`.
    VerifyAudit = READ,
    /// `DELETE /v1/audit`.
    DropAudit = ADMIN,
}

/// What a method and a path come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Matched {
    /// This endpoint.
    Endpoint(Endpoint),
    /// The path exists, the method does not. Below `/v1` only operators may learn that.
    MethodNotAllowed {
        /// What the path takes.
        allowed: &'static str,
        /// Whether the path lies below `/v1`.
        operator: bool,
    },
    /// No such path. Below `/v1` only operators may learn that.
    NotFound {
        /// Whether the path lies below `/v1`.
        operator: bool,
    },
}

impl Matched {
    /// The level that an operator needs for what is asked.
    pub fn level(self) -> Level {
        match self {
            Self::Endpoint(endpoint) => endpoint.level(),
            Self::MethodNotAllowed { .. } | Self::NotFound { .. } => None,
        }
        .unwrap_or(Level::Read)
    }

    /// Whether an operator's key is needed for any answer.
    pub const fn is_operator(self) -> bool {
        match self {
            Self::Endpoint(endpoint) => endpoint.level().is_some(),
            Self::MethodNotAllowed { operator, .. } | Self::NotFound { operator } => operator,
        }
    }
}

/// Where dead letters are.
const DEAD_LETTERS: &str = "/v1/dead-letters";

/// Where senders are.
const SENDERS: &str = "/v1/senders";

/// Where operators are.
const OPERATORS: &str = "/v1/operators";

/// Below a collection: which one, whose path it is, and what is asked of it.
fn item(path: &str) -> Option<(&'static str, &str, Option<&str>)> {
    let collections = [DEAD_LETTERS, SENDERS, OPERATORS];
    let (collection, rest) = collections.into_iter().find_map(|collection| {
        let rest = path.strip_prefix(collection)?.strip_prefix('/')?;
        Some((collection, rest))
    })?;
    let (id, verb) = match rest.split_once('/') {
        Some((id, verb)) => (id, Some(verb)),
        None => (rest, None),
    };
    (!id.is_empty()).then_some((collection, id, verb))
}

/// The id that the path of a dead letter, a sender or an operator names; empty for other paths.
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
        OPERATORS => (
            "GET, POST",
            &[
                ("GET", Endpoint::Operators),
                ("POST", Endpoint::AddOperator),
            ],
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
            (OPERATORS, _, None) => ("DELETE", &[("DELETE", Endpoint::RevokeOperator)]),
            (OPERATORS, _, Some("rotate")) => ("POST", &[("POST", Endpoint::RotateOperator)]),
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
            ("GET", "/v1/operators", Endpoint::Operators),
            ("POST", "/v1/operators", Endpoint::AddOperator),
            ("DELETE", "/v1/operators/ann", Endpoint::RevokeOperator),
            ("POST", "/v1/operators/ann/rotate", Endpoint::RotateOperator),
        ] {
            assert_eq!(
                endpoint(method, path),
                Matched::Endpoint(expected),
                "{path}"
            );
            assert!(expected.level().is_some());
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
            "/v1/operators/",
            "/v1/operators/ann/settle",
        ] {
            assert_eq!(
                endpoint("GET", path),
                Matched::NotFound { operator: true },
                "{path}"
            );
        }
    }

    /// The table of docs/API.md is the one in the code, and has every endpoint below `/v1`.
    #[test]
    fn the_documents_table_has_the_level_of_every_call() {
        let page = include_str!("../../../docs/API.md");
        let table = page
            .split_once("| level | method | paths |")
            .map_or("", |(_, rest)| rest);
        let rows = table.lines().skip(2).take_while(|row| row.starts_with('|'));
        let mut listed = Vec::new();
        for row in rows {
            let cells: Vec<&str> = row.split('|').map(str::trim).collect();
            let [_, level, method, paths, _] = cells[..] else {
                panic!("{row}")
            };
            for path in paths.split(", ") {
                let path = path.trim_matches('`');
                let plain = path.replace(['{', '}'], "");
                let Matched::Endpoint(found) = endpoint(method, &plain) else {
                    panic!("{method} {path} is no call")
                };
                let expected = found.level().map(Level::as_str);
                assert_eq!(Some(level), expected, "{method} {path}");
                assert!(!listed.contains(&found), "{method} {path} is listed twice");
                listed.push(found);
            }
        }
        for endpoint in Endpoint::ALL {
            assert_eq!(
                listed.contains(endpoint),
                endpoint.level().is_some(),
                "{endpoint:?}"
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
