//! The HTTP client, as everything here wants it.

use core::fmt::Write as _;
use core::time::Duration;
use std::fs;
use std::sync::Once;

use reqwest::{Certificate, Client, Error, Method, RequestBuilder, Url};

use crate::failure::Failure;
use crate::network::{Network, Proxy, is_loopback};

/// A host or proxy takes a connection within this, or is not there.
const CONNECTED_WITHIN: Duration = Duration::from_secs(10);

/// The way to one host.
pub(crate) struct Line {
    client: Client,
    proxy: Option<Proxy>,
}

impl Line {
    /// A way to an address on which calls take no longer than this. A key or token follows no redirect, and what stays on
    /// this machine goes by no proxy.
    pub(crate) fn to(url: &Url, within: Duration) -> Result<Self, Failure> {
        let network = Network::of_environment();
        let proxy = network.proxy_to(url)?;
        let mut builder = Client::builder()
            .timeout(within)
            .connect_timeout(CONNECTED_WITHIN)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("hoox/", env!("CARGO_PKG_VERSION")));
        builder = match &proxy {
            None => builder.no_proxy(),
            Some(proxy) => {
                let by = reqwest::Proxy::all(proxy.url().clone());
                builder.proxy(by.map_err(|error| unusable(&cause(&error)))?)
            }
        };
        // Where nothing is encrypted nobody has to be trusted, and a system without authorities will do.
        builder = if url.scheme() == "http" && is_loopback(url) {
            builder.tls_certs_only([])
        } else {
            builder.tls_certs_merge(authorities(&network))
        };
        let client = builder
            .build()
            .map_err(|error| unusable(&without_authorities(&network, &error)))?;
        Ok(Self { client, proxy })
    }

    /// A call, to build on.
    pub(crate) fn request(&self, method: Method, url: Url) -> RequestBuilder {
        self.client.request(method, url)
    }

    /// What kept a call from being sent, where it is the way there: a proxy, or a certificate.
    pub(crate) fn obstacle(&self, host: &str, error: &Error) -> Option<Obstacle> {
        if !error.is_connect() {
            return None;
        }
        let why = cause(error);
        if why.contains("certificate") {
            let failure = Failure::new(
                "CERTIFICATE",
                format!("the certificate of {host} is not trusted: {why}"),
            );
            return Some(Obstacle::lasting(failure.hint(
                "where the network has an authority of its own, NODE_EXTRA_CA_CERTS=/path/to/authority.pem names it",
            )));
        }
        let proxy = self.proxy.as_ref()?;
        let variable = proxy.variable;
        let failed = |said: String| Failure::new("PROXY", said);
        let unauthorized = ["authorization required", "credentials", "user/pass"];
        if unauthorized.iter().any(|words| why.contains(words)) {
            let said = if proxy.has_credentials() {
                format!("{proxy} refuses the user and the password in it")
            } else {
                format!("{proxy} asks for a user and a password")
            };
            return Some(Obstacle::lasting(failed(said).hint(format!(
                "write {variable}=http://USER:PASSWORD@HOST:PORT, with % escapes for other signs than letters and digits"
            ))));
        }
        let hint =
            format!("correct or unset {variable}, or call {host} without it: NO_PROXY={host}");
        // The proxy is there, and what keeps it from going on may pass.
        if why.contains("unsuccessful") || why.contains("SOCKS") {
            let said = format!("{proxy} does not pass calls on to {host}: {why}");
            return Some(Obstacle::passing(failed(said).hint(hint)));
        }
        let said = format!("{proxy} did not answer: {why}");
        Some(Obstacle::lasting(failed(said).hint(hint)))
    }
}

/// Why no call can be sent.
pub(crate) struct Obstacle {
    pub(crate) failure: Failure,
    /// Whether it may be gone in a moment.
    pub(crate) passing: bool,
}

impl Obstacle {
    const fn lasting(failure: Failure) -> Self {
        Self {
            failure,
            passing: false,
        }
    }

    const fn passing(failure: Failure) -> Self {
        Self {
            failure,
            passing: true,
        }
    }
}

fn unusable(why: &str) -> Failure {
    Failure::new("NETWORK", format!("no call can be made: {why}"))
}

/// Why there is no client. That is where no authority could be read.
fn without_authorities(network: &Network, error: &Error) -> String {
    let mut text = cause(error);
    for (variable, file) in network.authorities() {
        write!(text, "; {variable} names {}", file.display()).unwrap_or_default();
    }
    text
}

/// The authorities that the environment names. One that cannot be read is said once, and the others count.
fn authorities(network: &Network) -> Vec<Certificate> {
    static SAID: Once = Once::new();
    let mut found = Vec::new();
    let mut bad = Vec::new();
    for (variable, file) in network.authorities() {
        match read(file) {
            Ok(read) => found.extend(read),
            Err(why) => bad.push(format!("{variable} names {}: {why}", file.display())),
        }
    }
    SAID.call_once(|| bad.iter().for_each(|line| eprintln!("warning: {line}")));
    found
}

/// The certificates of a file.
pub(crate) fn read(file: &std::path::Path) -> Result<Vec<Certificate>, String> {
    let text = fs::read(file).map_err(|error| error.to_string())?;
    let found = Certificate::from_pem_bundle(&text).map_err(|error| cause(&error))?;
    if found.is_empty() {
        return Err("there is no certificate in it".to_owned());
    }
    Ok(found)
}

/// Why a call got no answer. The error's own text repeats the address; what it stands on says why.
pub(crate) fn cause(error: &Error) -> String {
    let mut why: &dyn core::error::Error = error;
    while let Some(source) = why.source() {
        why = source;
    }
    why.to_string()
}
