//! Where workers answer, as Cloudflare has it.

use hoox_mesh::Worker;

use crate::cloudflare::{Cloudflare, Route};
use crate::failure::Failure;

/// What a token may not show of addresses.
pub(crate) const DOMAINS: &str = "domains";
/// As [`DOMAINS`].
pub(crate) const ROUTES: &str = "every route";
/// So many zones are looked through for routes.
const ZONES: usize = 50;

/// The addresses of one worker.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Addresses {
    /// Whether it answers under the account's name at workers.dev.
    pub(crate) workers_dev: bool,
    /// Whether its versions have addresses of their own there.
    pub(crate) previews: bool,
    /// Its domains.
    pub(crate) domains: Vec<String>,
    /// Patterns of the routes that lead to it.
    pub(crate) routes: Vec<String>,
}

/// The addresses of several workers.
pub(crate) struct Found {
    pub(crate) of: Vec<(Worker, Addresses)>,
    /// What the token does not show.
    pub(crate) unseen: Vec<&'static str>,
}

impl Found {
    /// Those of one worker; none where it was not looked at.
    pub(crate) fn take(&mut self, worker: Worker) -> Addresses {
        let found = self.of.iter_mut().find(|(other, _)| *other == worker);
        found
            .map(|(_, addresses)| core::mem::take(addresses))
            .unwrap_or_default()
    }
}

impl Addresses {
    /// Looks where workers answer. One that is not deployed answers nowhere.
    pub(crate) async fn of(api: &Cloudflare, workers: &[Worker]) -> Result<Found, Failure> {
        let mut found = Found {
            of: Vec::new(),
            unseen: Vec::new(),
        };
        for worker in workers {
            let subdomain = api.subdomain(worker.name()).await?;
            let domains = seen(api.domains(worker.name()).await)?;
            if domains.is_none() && !found.unseen.contains(&DOMAINS) {
                found.unseen.push(DOMAINS);
            }
            let addresses = Self {
                workers_dev: subdomain.enabled,
                previews: subdomain.previews_enabled,
                domains: domains.unwrap_or_default(),
                routes: Vec::new(),
            };
            found.of.push((*worker, addresses));
        }
        let (routes, all) = routes(api).await?;
        for route in routes {
            let script = route.script.unwrap_or_default();
            let of = found
                .of
                .iter_mut()
                .find(|(worker, _)| worker.name() == script);
            if let Some((_, addresses)) = of {
                addresses.routes.push(route.pattern);
            }
        }
        if !all {
            found.unseen.push(ROUTES);
        }
        Ok(found)
    }

    /// Whether a domain or a route leads a host to it.
    pub(crate) fn serves(&self, host: &str) -> bool {
        let routes = self.routes.iter().map(|pattern| host_of(pattern));
        self.domains.iter().any(|domain| domain == host)
            || routes.into_iter().any(|pattern| fits(pattern, host))
    }

    /// Hosts of its own that lead to it, in full: patterns for several hosts are left out.
    pub(crate) fn hosts(&self) -> Vec<&str> {
        let routes = self.routes.iter().map(|pattern| host_of(pattern));
        let whole = routes.filter(|host| !host.contains('*'));
        let mut hosts: Vec<&str> = self.domains.iter().map(String::as_str).collect();
        for host in whole {
            if !hosts.contains(&host) {
                hosts.push(host);
            }
        }
        hosts
    }
}

/// The host of a route's pattern, such as `*.example.com/hook*`.
pub(crate) fn host_of(pattern: &str) -> &str {
    let pattern = pattern.split_once("://").map_or(pattern, |(_, rest)| rest);
    pattern.split('/').next().unwrap_or_default()
}

/// Whether a pattern's host means this one; its one star stands in front.
pub(crate) fn fits(pattern: &str, host: &str) -> bool {
    match pattern.strip_prefix('*') {
        Some(rest) => host.ends_with(rest),
        None => pattern == host,
    }
}

/// Every route of the account's zones, and whether that is all of them.
async fn routes(api: &Cloudflare) -> Result<(Vec<Route>, bool), Failure> {
    let zones = seen(api.zones().await)?;
    let mut all = zones.as_ref().is_some_and(|zones| zones.len() <= ZONES);
    let mut found = Vec::new();
    for zone in zones.into_iter().flatten().take(ZONES) {
        match seen(api.routes(&zone.id).await)? {
            Some(routes) => found.extend(routes),
            None => all = false,
        }
    }
    Ok((found, all))
}

/// What the token has no permission for is not seen, and that is no failure.
fn seen<T>(found: Result<T, Failure>) -> Result<Option<T>, Failure> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(failure) if failure.code == "CLOUDFLARE_TOKEN" => Ok(None),
        Err(failure) => Err(failure),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_served_by_a_domain_or_a_route() {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        let addresses = Addresses {
            domains: texts(&["hoox.example.com"]),
            routes: texts(&[
                "desk.example.com/hook*",
                "*.example.org/*",
                "https://a.example.net",
            ]),
            ..Addresses::default()
        };
        for (host, served) in [
            ("hoox.example.com", true),
            ("desk.example.com", true),
            ("any.example.org", true),
            ("example.org", false),
            ("a.example.net", true),
            ("example.com", false),
        ] {
            assert_eq!(addresses.serves(host), served, "{host}");
        }
        assert_eq!(
            addresses.hosts(),
            ["hoox.example.com", "desk.example.com", "a.example.net"]
        );
    }
}
