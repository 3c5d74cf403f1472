//! Cloudflare's REST API: calls, refusals, waiting.
//!
//! In scope: the token, the envelope, pages, limits and repetitions. Out of scope: what the calls mean; the modules
//! beside this one have a function for each thing that is asked or changed.

mod d1;
mod kv;
mod permissions;
mod rules;
mod workers;
mod zones;

use core::fmt;
use core::time::Duration;

use hoox_model::Secret;
use reqwest::{Method, StatusCode, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::OnceCell;
use tokio::time::sleep;

use crate::args::Global;
use crate::failure::Failure;
use crate::http::{Line, cause};
use crate::network::is_loopback;
use crate::output::plain;
use crate::profile::{Kept, Profile, kept, key_file, token_entry, variable};
use crate::status::Status;

pub(crate) use permissions::Lacking;
pub(crate) use rules::{Rule, Ruleset};
pub(crate) use workers::Route;
pub(crate) use zones::Zone;

/// Variable with the API token, as wrangler's.
pub(crate) const API_TOKEN: &str = "CLOUDFLARE_API_TOKEN";
/// Variable with the account's id, as wrangler's.
pub(crate) const ACCOUNT_ID: &str = "CLOUDFLARE_ACCOUNT_ID";
/// Variable with the API's address, as wrangler's.
const BASE_URL: &str = "CLOUDFLARE_API_BASE_URL";
const BASE: &str = "https://api.cloudflare.com/client/v4";

/// The largest page that every list gives.
const PER_PAGE: usize = 50;
/// One call's time.
const WITHIN: Duration = Duration::from_secs(30);
/// How often a call is made before it is given up.
pub(crate) const ATTEMPTS: u32 = 4;
/// The longest wait that Cloudflare may ask for.
pub(crate) const LONGEST_WAIT: Duration = Duration::from_mins(1);
/// The first wait after an error without a word about waiting; it doubles.
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// Refusals of the token: invalid, expired, or without the permission
/// (developers.cloudflare.com/fundamentals/api/troubleshooting).
const TOKEN_CODES: [u32; 8] = [1000, 6003, 6111, 9103, 9106, 9107, 9109, 10000];

/// Answers to an account or zone that there is not.
const NO_ROUTE: [u32; 2] = [7000, 7003];

/// A permission of the token, named as Cloudflare's dashboard names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    Account,
    Scripts,
    Kv,
    D1,
    Zone,
    Routes,
    Waf,
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Account => "Account Settings: Read",
            Self::Scripts => "Workers Scripts: Edit",
            Self::Kv => "Workers KV Storage: Edit",
            Self::D1 => "D1: Edit",
            Self::Zone => "Zone: Read",
            Self::Routes => "Workers Routes: Read",
            Self::Waf => "Zone WAF: Edit",
        })
    }
}

/// The API, as the owner of a token.
pub(crate) struct Cloudflare {
    line: Line,
    base: Url,
    token: Secret,
    configured: Option<String>,
    account: OnceCell<String>,
}

impl Cloudflare {
    /// Token and account by the environment, else by the profile.
    pub(crate) fn new(global: &Global, profile: Profile) -> Result<Self, Failure> {
        let base = base(&variable(BASE_URL).unwrap_or_else(|| BASE.to_owned()))?;
        Ok(Self {
            line: Line::to(&base, WITHIN)?,
            base,
            token: token(global, &profile)?,
            configured: account(global, profile.account_id),
            account: OnceCell::new(),
        })
    }

    /// The account's id: the one that is configured, else the only one that the token reaches.
    pub(crate) async fn account(&self) -> Result<&str, Failure> {
        let found = self.account.get_or_try_init(|| self.find_account());
        found.await.map(String::as_str)
    }

    async fn find_account(&self) -> Result<String, Failure> {
        if let Some(account) = &self.configured {
            return Ok(account.clone());
        }
        let found: Vec<Account> = self.get(&["accounts"], Scope::Account).list().await?;
        let [only] = found.as_slice() else {
            let names: Vec<String> = found
                .iter()
                .map(|account| format!("{} ({})", account.id, plain(&account.name)))
                .collect();
            if names.is_empty() {
                let hint = format!(
                    "set {ACCOUNT_ID} (it stands in the address of the dashboard), or give the token '{}'; {}",
                    Scope::Account,
                    permissions::everything()
                );
                return Err(Failure::usage("the token shows no account").hint(hint));
            }
            return Err(Failure::usage(format!(
                "which account is meant? The token reaches {}",
                names.join(", ")
            ))
            .hint(format!("set {ACCOUNT_ID}")));
        };
        Ok(only.id.clone())
    }

    /// Where it is.
    pub(crate) const fn base(&self) -> &Url {
        &self.base
    }

    /// For a child process that calls Cloudflare itself.
    pub(crate) const fn token(&self) -> &Secret {
        &self.token
    }

    /// A call about something of the account.
    async fn of_account(
        &self,
        method: Method,
        path: &[&str],
        scope: Scope,
    ) -> Result<Call<'_>, Failure> {
        let account = self.account().await?;
        let path = [&["accounts", account], path].concat();
        Ok(self.call(method, &path, scope))
    }

    fn get(&self, path: &[&str], scope: Scope) -> Call<'_> {
        self.call(Method::GET, path, scope)
    }

    fn call(&self, method: Method, path: &[&str], scope: Scope) -> Call<'_> {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        Call {
            api: self,
            url,
            body: None,
            scope,
            harmless: method == Method::GET,
            method,
        }
    }
}

#[derive(Deserialize)]
struct Account {
    id: String,
    #[serde(default)]
    name: String,
}

/// The API's address: https, except on this machine.
fn base(text: &str) -> Result<Url, Failure> {
    let bad = |why: &str| Failure::usage(format!("{BASE_URL} is no address of an API: {why}"));
    let url = Url::parse(text).map_err(|error| bad(&error.to_string()))?;
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_loopback(&url) => Ok(url),
        _ => Err(bad("tokens go over https only")),
    }
}

/// The token of the environment, of the profile's file, or of the keyring.
fn token(global: &Global, profile: &Profile) -> Result<Secret, Failure> {
    if let Some(token) = variable(API_TOKEN) {
        return Ok(Secret::new(token.trim()));
    }
    if let Some(file) = &profile.api_token_file {
        return key_file(file, Kept::ApiToken);
    }
    kept(&token_entry(global))?.ok_or_else(|| {
        Failure::new("NO_TOKEN", "the Cloudflare API token is not known").hint(format!(
            "make one at {}, then set {API_TOKEN} or `hoox login api-token`; {}",
            permissions::TOKENS,
            permissions::everything()
        ))
    })
}

/// The account of the environment, else of the profile. That they differ is said where the profile was asked for.
fn account(global: &Global, of_profile: Option<String>) -> Option<String> {
    let set = variable(ACCOUNT_ID);
    if global.profile.is_some() && set.is_some() && of_profile.is_some() && set != of_profile {
        eprintln!(
            "warning: {ACCOUNT_ID} is set and names another account than the profile; it counts"
        );
    }
    set.or(of_profile)
}

enum Body {
    Json(Value),
    Text(String),
}

/// A call that is not made yet.
struct Call<'a> {
    api: &'a Cloudflare,
    method: Method,
    url: Url,
    body: Option<Body>,
    scope: Scope,
    /// Whether nothing has to be looked for where nobody knows whether it was done.
    harmless: bool,
}

#[derive(Deserialize)]
struct Envelope {
    #[serde(default)]
    errors: Vec<ApiError>,
    #[serde(default)]
    result: Value,
    result_info: Option<ResultInfo>,
}

#[derive(Deserialize)]
struct ApiError {
    #[serde(default)]
    code: u32,
    #[serde(default)]
    message: String,
}

#[derive(Deserialize)]
struct ResultInfo {
    #[serde(default)]
    total_pages: u32,
}

/// Why an attempt failed, and whether it may be made again.
struct Setback {
    failure: Failure,
    wait: Option<Duration>,
}

impl Call<'_> {
    fn query(mut self, name: &str, value: &str) -> Self {
        self.url.query_pairs_mut().append_pair(name, value);
        self
    }

    fn json(mut self, body: Value) -> Self {
        self.body = Some(Body::Json(body));
        self
    }

    fn text(mut self, body: String) -> Self {
        self.body = Some(Body::Text(body));
        self
    }

    /// One that is as good made twice as once, and whose outcome nobody has to look for, though it is a POST.
    const fn harmless(mut self) -> Self {
        self.harmless = true;
        self
    }

    /// What is asked for.
    async fn one<T: DeserializeOwned>(self) -> Result<T, Failure> {
        let path = self.url.path().to_owned();
        self.maybe().await?.ok_or_else(|| {
            Failure::new("CLOUDFLARE", format!("Cloudflare knows no {path}"))
                .hint("it was removed meanwhile: repeat the command")
        })
    }

    /// A list in one page; empty where there is not even what it is of.
    async fn listed<T: DeserializeOwned>(self) -> Result<Vec<T>, Failure> {
        Ok(self.maybe().await?.unwrap_or_default())
    }

    /// Whether there was what is asked to be removed.
    async fn was_there(self) -> Result<bool, Failure> {
        Ok(self.maybe::<Value>().await?.is_some())
    }

    /// What is asked for, unless there is no such thing.
    async fn maybe<T: DeserializeOwned>(self) -> Result<Option<T>, Failure> {
        let Some(text) = self.raw().await? else {
            return Ok(None);
        };
        read(&text).map(|(found, _)| Some(found))
    }

    /// All pages of a list.
    async fn list<T: DeserializeOwned>(mut self) -> Result<Vec<T>, Failure> {
        let mut found: Vec<T> = Vec::new();
        let url = self.url.clone();
        for page in 1u32.. {
            let numbers = [
                ("page", page.to_string()),
                ("per_page", PER_PAGE.to_string()),
            ];
            self.url = url.clone();
            self.url.query_pairs_mut().extend_pairs(numbers);
            let Some(text) = self.send().await? else {
                break;
            };
            let (items, info): (Vec<T>, _) = read(&text)?;
            let count = items.len();
            found.extend(items);
            // Not every list says how many pages there are; a page that is not full is the last one.
            let total = info.map_or(0, |info| info.total_pages);
            if (total > 0 && page >= total) || (total == 0 && count < PER_PAGE) {
                break;
            }
        }
        Ok(found)
    }

    /// The answer's text; `None` where there is no such thing.
    async fn raw(self) -> Result<Option<String>, Failure> {
        self.send().await
    }

    /// Makes the call, and makes it again where that is safe and may help.
    async fn send(&self) -> Result<Option<String>, Failure> {
        let mut wait = FIRST_WAIT;
        let mut attempt = 1;
        loop {
            let setback = match self.attempt(wait).await {
                // Removed by the attempt before, whose answer was lost.
                Ok(None) if attempt > 1 && self.method == Method::DELETE && !self.harmless => {
                    return Ok(Some("{}".to_owned()));
                }
                Ok(found) => return Ok(found),
                Err(setback) => setback,
            };
            let Some(pause) = setback.wait.filter(|_| attempt < ATTEMPTS) else {
                return Err(setback.failure);
            };
            eprintln!(
                "hoox: {}; trying again in {:.1} s",
                setback.failure.message,
                pause.as_secs_f32()
            );
            sleep(pause).await;
            wait = wait.saturating_mul(2);
            attempt = attempt.saturating_add(1);
        }
    }

    async fn attempt(&self, wait: Duration) -> Result<Option<String>, Setback> {
        let mut request = self
            .api
            .line
            .request(self.method.clone(), self.url.clone())
            .bearer_auth(self.api.token.expose());
        request = match &self.body {
            None => request,
            Some(Body::Json(body)) => request.json(body),
            Some(Body::Text(text)) => request
                .header("content-type", "text/plain")
                .body(text.clone()),
        };
        let answer = request
            .send()
            .await
            .map_err(|error| self.no_answer(&error, wait))?;
        let status = answer.status();
        let asked = answer.headers().get("retry-after");
        let asked = asked
            .and_then(|value| value.to_str().ok()?.trim().parse().ok())
            .map(Duration::from_secs);
        let text = answer
            .text()
            .await
            .map_err(|error| self.no_answer(&error, wait))?;
        if status.is_success() {
            return Ok(Some(text));
        }
        let errors =
            serde_json::from_str::<Envelope>(&text).map_or_else(|_| Vec::new(), |body| body.errors);
        let no_route = errors.iter().any(|error| NO_ROUTE.contains(&error.code));
        if status == StatusCode::NOT_FOUND && !no_route {
            return Ok(None);
        }
        Err(self.refused(status, &errors, asked.unwrap_or(wait)))
    }

    /// Whether making it twice is as good as making it once.
    fn repeatable(&self) -> bool {
        self.harmless || self.method != Method::POST
    }

    fn unknown(&self, failure: Failure) -> Failure {
        if self.harmless {
            return failure;
        }
        failure
            .hint("it may have been done: look, then repeat it")
            .status(Status::Unknown)
    }

    fn no_answer(&self, error: &reqwest::Error, wait: Duration) -> Setback {
        let host = self.url.host_str().unwrap_or_default();
        if let Some(obstacle) = self.api.line.obstacle(host, error) {
            return Setback {
                failure: obstacle.failure,
                wait: obstacle.passing.then_some(wait),
            };
        }
        let why = cause(error);
        let failure = Failure::new(
            "CLOUDFLARE_UNAVAILABLE",
            format!("{host} did not answer: {why}"),
        )
        .hint("look at the network (`hoox doctor`), then repeat the command");
        // What was never sent cannot have been done.
        let unsent = error.is_connect();
        Setback {
            failure: if unsent {
                failure
            } else {
                self.unknown(failure)
            },
            wait: (unsent || self.repeatable()).then_some(wait),
        }
    }

    fn refused(&self, status: StatusCode, errors: &[ApiError], wait: Duration) -> Setback {
        let said = errors.first().map_or_else(
            || format!("status {}", status.as_u16()),
            |error| format!("{} (code {})", plain(&error.message), error.code),
        );
        let final_word = |failure| Setback {
            failure,
            wait: None,
        };
        if status == StatusCode::TOO_MANY_REQUESTS {
            // Nothing was done: a call over the limit is turned away at the door.
            let failure = Failure::new(
                "CLOUDFLARE_LIMIT",
                format!("Cloudflare limits calls: {said}"),
            )
            .hint(format!("repeat it in {} s", wait.as_secs().max(1)));
            return Setback {
                failure,
                wait: (wait <= LONGEST_WAIT).then_some(wait),
            };
        }
        if status.is_server_error() {
            let failure = Failure::new(
                "CLOUDFLARE_UNAVAILABLE",
                format!("Cloudflare failed: {said}"),
            )
            .hint("repeat the command; www.cloudflarestatus.com says whether it is known");
            return Setback {
                failure: self.unknown(failure),
                wait: (self.repeatable() && wait <= LONGEST_WAIT).then_some(wait),
            };
        }
        let of_token = errors.iter().any(|error| TOKEN_CODES.contains(&error.code));
        if of_token || matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            let failure = Failure::new(
                "CLOUDFLARE_TOKEN",
                format!("Cloudflare refuses the token: {said}"),
            );
            return final_word(failure.hint(format!(
                "it must be valid and have the permission '{}'",
                self.scope
            )));
        }
        let failure = Failure::new("CLOUDFLARE", format!("Cloudflare refused: {said}"));
        final_word(failure.hint("mend what it names in the dashboard, then repeat the command"))
    }
}

fn read<T: DeserializeOwned>(text: &str) -> Result<(T, Option<ResultInfo>), Failure> {
    let odd = |error: serde_json::Error| {
        Failure::new(
            "CLOUDFLARE",
            format!("Cloudflare's answer is not readable: {error}"),
        )
        .hint("something else answers in its place: look at the proxy, and at CLOUDFLARE_API_BASE_URL")
    };
    let envelope: Envelope = serde_json::from_str(text).map_err(odd)?;
    let found = serde_json::from_value(envelope.result).map_err(odd)?;
    Ok((found, envelope.result_info))
}
