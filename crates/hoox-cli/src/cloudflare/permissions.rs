//! What the token may do, found out at once and before anything is done.
//!
//! No call tells a token's permissions to the token itself. So each one is tried: to read, by a list; to change, by
//! the removal of something that there cannot be, which needs the permission and removes nothing. Only the answer that
//! there is no such thing shows the permission, and only a refusal of the token shows that it is missing; any other
//! answer leaves it open, and that is said.

use data_encoding::HEXLOWER;
use reqwest::Method;
use serde_json::Value;

use super::{Cloudflare, Scope};
use crate::failure::Failure;

/// Where tokens are changed.
pub(super) const TOKENS: &str = "https://dash.cloudflare.com/profile/api-tokens";
/// An id that nothing has.
const NO_ID: &str = "ffffffffffffffffffffffffffffffff";
/// As a UUID, of a version that there is not (RFC 9562, section 4.2), so that nobody has made it.
const NO_UUID: &str = "ffffffff-ffff-ffff-ffff-ffffffffffff";

/// What a deployment needs.
const NEEDED: [Scope; 3] = [Scope::Scripts, Scope::Kv, Scope::D1];
/// What a domain of one's own and the doctor need beyond that.
const WISHED: [Scope; 3] = [Scope::Zone, Scope::Routes, Scope::Waf];

/// What those are for.
const WISHES: &str = "a domain of your own and `hoox doctor`";

impl Scope {
    /// What Hoox does with it.
    const fn purpose(self) -> &'static str {
        match self {
            Self::Account => "finds the account",
            Self::Scripts => "uploads workers, sets their secrets",
            Self::Kv => "makes and writes the configuration",
            Self::D1 => "makes and migrates the database",
            Self::Zone => "finds your domains",
            Self::Routes => "sees what leads to the workers",
            Self::Waf => "puts the firewall's rule",
        }
    }
}

/// A name that no worker has, another one each time: names are chosen by people.
fn no_worker() -> Result<String, Failure> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|error| Failure::new("INTERNAL", error.to_string()))?;
    Ok(format!("hoox-probe-{}", HEXLOWER.encode(&random)))
}

/// Whether the token has a permission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum May {
    Yes,
    No,
    /// The answer could mean either.
    Unknown,
}

/// What the permissions that were tried came to.
#[derive(Default)]
struct Tried {
    missing: Vec<Scope>,
    unknown: Vec<Scope>,
}

impl Tried {
    fn note(&mut self, scope: Scope, may: May) {
        match may {
            May::Yes => {}
            May::No => self.missing.push(scope),
            May::Unknown => self.unknown.push(scope),
        }
    }
}

/// Permissions with what each is for.
fn listed(scopes: &[Scope]) -> String {
    let words = scopes
        .iter()
        .map(|scope| format!("{scope} ({})", scope.purpose()));
    words.collect::<Vec<_>>().join(", ")
}

/// Where no account is reached: everything that the token should have.
pub(super) fn everything() -> String {
    format!(
        "it needs {}; and for {WISHES} {}",
        listed(&NEEDED),
        listed(&WISHED)
    )
}

impl Cloudflare {
    /// Refuses a token that lacks what a deployment needs, and names all that it lacks.
    ///
    /// Answers what it lacks beyond that.
    pub(crate) async fn permissions(&self) -> Result<Lacking, Failure> {
        let account = self.account().await?;
        let zone = self.some_zone().await?;
        let (mut needed, mut wished) = (Tried::default(), Tried::default());
        for scope in NEEDED {
            needed.note(scope, self.may(scope, "").await?);
        }
        match zone {
            // Whether it has the others shows once it has this one.
            None => wished.missing.extend(WISHED),
            // Without a domain there is nothing to do with the others.
            Some(None) => {}
            Some(Some(zone)) => {
                for scope in [Scope::Routes, Scope::Waf] {
                    wished.note(scope, self.may(scope, &zone).await?);
                }
            }
        }
        let unknown = [needed.unknown, wished.unknown].concat();
        let (needed, wished) = (needed.missing, wished.missing);
        if needed.is_empty() {
            return Ok(Lacking { wished, unknown });
        }
        let message = if needed.len() == NEEDED.len() {
            format!(
                "the token may change nothing in the account {account}: it has ended, is another account's, or lacks permissions"
            )
        } else {
            "the token lacks permissions".to_owned()
        };
        let more = if wished.is_empty() {
            String::new()
        } else {
            format!("; and for {WISHES} {}", listed(&wished))
        };
        let needed = listed(&needed);
        Err(Failure::new("CLOUDFLARE_TOKEN", message).hint(format!(
            "give it, at {TOKENS}: {needed}{more}; nothing was changed"
        )))
    }

    /// A zone of the account, if the token may list zones and there is one.
    async fn some_zone(&self) -> Result<Option<Option<String>>, Failure> {
        match self.zones().await {
            Ok(zones) => Ok(Some(zones.into_iter().next().map(|zone| zone.id))),
            Err(failure) if failure.code == "CLOUDFLARE_TOKEN" => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// Whether the token has a permission of the account, or of a zone.
    async fn may(&self, scope: Scope, zone: &str) -> Result<May, Failure> {
        let (account, worker) = (self.account().await?, no_worker()?);
        let path: &[&str] = match scope {
            Scope::Account => &["accounts"],
            Scope::Zone => &["zones"],
            Scope::Scripts => &[
                "accounts", account, "workers", "scripts", &worker, "secrets", "NONE",
            ],
            Scope::Kv => &[
                "accounts",
                account,
                "storage",
                "kv",
                "namespaces",
                NO_ID,
                "values",
                "none",
            ],
            Scope::D1 => &["accounts", account, "d1", "database", NO_UUID],
            Scope::Routes => &["zones", zone, "workers", "routes"],
            Scope::Waf => &["zones", zone, "rulesets", NO_ID, "rules", NO_ID],
        };
        let method = match scope {
            Scope::Account | Scope::Zone | Scope::Routes => Method::GET,
            Scope::Scripts | Scope::Kv | Scope::D1 | Scope::Waf => Method::DELETE,
        };
        let shows = method == Method::GET;
        let call = self.call(method, path, scope).harmless();
        match call.maybe::<Value>().await {
            // A list is there, and what there cannot be is not.
            Ok(found) if found.is_some() == shows => Ok(May::Yes),
            Ok(_) => Ok(May::Unknown),
            Err(failure) => match failure.code.as_str() {
                "CLOUDFLARE_TOKEN" => Ok(May::No),
                "CLOUDFLARE" => Ok(May::Unknown),
                _ => Err(failure),
            },
        }
    }
}

/// Permissions that a token lacks and a deployment does not need, and those of which nobody knows.
pub(crate) struct Lacking {
    wished: Vec<Scope>,
    unknown: Vec<Scope>,
}

impl Lacking {
    /// What goes without them, for people.
    pub(crate) fn words(&self) -> String {
        let unknown = self.unknown_words();
        match (self.wished.as_slice(), unknown) {
            ([], None) => "has every permission that Hoox uses".to_owned(),
            ([], Some(unknown)) => unknown,
            (wished, unknown) => {
                let lacks = listed(wished);
                let unknown = unknown.map_or_else(String::new, |words| format!("; {words}"));
                format!("enough to deploy; for {WISHES} it lacks {lacks}{unknown}")
            }
        }
    }

    /// What could not be found out, if anything.
    pub(crate) fn unknown_words(&self) -> Option<String> {
        let unknown = listed(&self.unknown);
        (!self.unknown.is_empty())
            .then(|| format!("whether it has these could not be found out: {unknown}"))
    }
}
