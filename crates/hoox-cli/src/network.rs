//! How calls leave this machine: proxies, their exceptions, and further certificate authorities.
//!
//! In scope: what the environment says, for this program and for what it starts, so that all of a command goes the same
//! way. Out of scope: the calls themselves, and settings of the operating system.

use core::fmt;
use core::net::IpAddr;
use std::env;
use std::path::PathBuf;

use reqwest::Url;
use tokio::process::Command;

use crate::failure::Failure;

/// Where the proxy of https is named. The first that is set counts, also where it is empty: no proxy, as for curl.
const OF_HTTPS: [&str; 4] = ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];
/// Where hosts are named that are called without the proxy.
const EXCEPTIONS: [&str; 2] = ["no_proxy", "NO_PROXY"];
/// Authorities that are trusted beside the others, as Node has it.
const FURTHER: &str = "NODE_EXTRA_CA_CERTS";
/// Authorities that are trusted in place of the system's, as OpenSSL has it.
const IN_PLACE: &str = "SSL_CERT_FILE";
/// Every way to write this machine that a list of exceptions can name.
const THIS_MACHINE: [&str; 4] = ["localhost", "127.0.0.1", "::1", "[::1]"];
/// Proxies that both this program and wrangler can use.
const SCHEMES: [&str; 4] = ["http", "https", "socks5", "socks5h"];

/// What the environment says.
pub(crate) struct Network {
    proxy: Option<Setting>,
    exceptions: Exceptions,
    /// Files with authorities, by their variables.
    authorities: Vec<(&'static str, PathBuf)>,
}

/// A variable and its value, which may have a password in it.
struct Setting {
    variable: &'static str,
    value: String,
}

/// A proxy and the variable that names it. What it shows of itself is without user and password.
#[derive(Clone)]
pub(crate) struct Proxy {
    url: Url,
    pub(crate) variable: &'static str,
}

impl Proxy {
    fn of(setting: &Setting) -> Result<Self, Failure> {
        let Setting { variable, value } = setting;
        let bad = |why: &str| {
            // The value may have a password in it, so it is not repeated.
            Failure::new("PROXY", format!("{variable} names no proxy: {why}")).hint(format!(
                "write {variable}=http://proxy.example.com:3128, or unset it"
            ))
        };
        let text = if value.contains("://") {
            value.clone()
        } else {
            format!("http://{value}")
        };
        let url = Url::parse(&text).map_err(|error| bad(&error.to_string()))?;
        if !SCHEMES.contains(&url.scheme()) {
            return Err(bad("it has to be one for http, https or socks5"));
        }
        if url.host_str().is_none_or(str::is_empty) {
            return Err(bad("there is no host in it"));
        }
        Ok(Self { url, variable })
    }

    /// With user and password, for whoever makes the calls.
    pub(crate) const fn url(&self) -> &Url {
        &self.url
    }

    pub(crate) fn has_credentials(&self) -> bool {
        !self.url.username().is_empty() || self.url.password().is_some()
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = self.url.host_str().unwrap_or_default();
        write!(f, "the proxy {}://{host}", self.url.scheme())?;
        if let Some(port) = self.url.port() {
            write!(f, ":{port}")?;
        }
        write!(f, " ({})", self.variable)
    }
}

impl Network {
    /// As this program was started.
    pub(crate) fn of_environment() -> Self {
        let set = |name: &str| env::var_os(name).map(|value| value.to_string_lossy().into_owned());
        Self::of(set)
    }

    fn of(set: impl Fn(&str) -> Option<String>) -> Self {
        let trimmed = |name: &str| set(name).map(|value| value.trim().to_owned());
        let first = |names: &[&'static str]| {
            let mut found = names.iter().filter_map(|variable| {
                let value = trimmed(variable)?;
                Some(Setting { variable, value })
            });
            found.next()
        };
        let exceptions = first(&EXCEPTIONS).map(|setting| setting.value);
        let named = |name: &'static str| {
            let value = trimmed(name).filter(|value| !value.is_empty())?;
            Some((name, PathBuf::from(value)))
        };
        Self {
            proxy: first(&OF_HTTPS).filter(|setting| !setting.value.is_empty()),
            exceptions: Exceptions::of(&exceptions.unwrap_or_default()),
            authorities: [FURTHER, IN_PLACE].into_iter().filter_map(named).collect(),
        }
    }

    /// The proxy that an address is called by, if there is one. Never for this machine, whatever the variables say: its
    /// calls are plain text, with keys.
    pub(crate) fn proxy_to(&self, url: &Url) -> Result<Option<Proxy>, Failure> {
        if names_this_machine(url) || self.exceptions.contain(url) {
            return Ok(None);
        }
        self.proxy()
    }

    /// The proxy, for whatever is no exception.
    pub(crate) fn proxy(&self) -> Result<Option<Proxy>, Failure> {
        self.proxy.as_ref().map(Proxy::of).transpose()
    }

    /// The hosts that are called without it, as they are named.
    pub(crate) fn exceptions(&self) -> &str {
        &self.exceptions.text
    }

    /// Files with authorities, by their variables.
    pub(crate) fn authorities(&self) -> &[(&'static str, PathBuf)] {
        &self.authorities
    }

    /// Has a program go the same way. Programs differ in which variables they read, in which case of letters counts, and
    /// in what they take for an exception; what is set here all of them read alike.
    pub(crate) fn hand_over(&self, command: &mut Command, api: &Url) -> Result<(), Failure> {
        let Some(proxy) = self.proxy()? else {
            // Set and empty: a program that knows more variables than these looks no further.
            for name in ["https_proxy", "HTTPS_PROXY"] {
                if env::var_os(name).is_some() {
                    command.env(name, "");
                }
            }
            return Ok(());
        };
        for name in ["https_proxy", "HTTPS_PROXY"] {
            command.env(name, proxy.url().as_str().trim_end_matches('/'));
        }
        let past = self.proxy_to(api)?.is_none();
        let exceptions = self
            .exceptions
            .for_programs(api.host_str().filter(|_| past));
        for name in EXCEPTIONS {
            command.env(name, &exceptions);
        }
        Ok(())
    }
}

/// The hosts that are called without a proxy.
struct Exceptions {
    text: String,
    entries: Vec<Exception>,
}

struct Exception {
    place: Place,
    /// Only on this port.
    port: Option<u16>,
}

enum Place {
    Everywhere,
    /// A domain with all below it.
    Domain(String),
    /// Addresses that begin with the same bits.
    Network(IpAddr, u8),
}

impl Exceptions {
    /// Separated by commas or blanks: `*`, `example.com`, `.example.com`, `*.example.com`, `10.0.0.1`, `10.0.0.0/8`,
    /// `::1`; all but the last two also with a port.
    fn of(text: &str) -> Self {
        let words = text.split(|letter: char| letter == ',' || letter.is_whitespace());
        Self {
            text: text.to_owned(),
            entries: words
                .filter(|word| !word.is_empty())
                .map(Exception::of)
                .collect(),
        }
    }

    fn contain(&self, url: &Url) -> bool {
        let port = url.port_or_known_default();
        self.entries
            .iter()
            .filter(|entry| entry.port.is_none() || entry.port == port)
            .any(|entry| entry.place.contains(url))
    }

    /// As programs read it: this machine, and what they would not find in it themselves.
    fn for_programs(&self, further: Option<&str>) -> String {
        let everywhere =
            |entry: &Exception| matches!(entry.place, Place::Everywhere) && entry.port.is_none();
        if self.entries.iter().any(everywhere) {
            return "*".to_owned();
        }
        let own = (!self.text.is_empty()).then_some(self.text.as_str());
        let names = own.into_iter().chain(THIS_MACHINE).chain(further);
        names.collect::<Vec<_>>().join(",")
    }
}

impl Exception {
    fn of(word: &str) -> Self {
        let (host, port) = with_port(word);
        Self {
            place: Place::of(host),
            port,
        }
    }
}

/// A host and the port behind it. What has more than one colon and no brackets is an address of IPv6.
fn with_port(word: &str) -> (&str, Option<u16>) {
    let Some((host, port)) = word.rsplit_once(':') else {
        return (word, None);
    };
    if host.contains(':') && !host.ends_with(']') {
        return (word, None);
    }
    match port.parse() {
        Ok(port) => (host, Some(port)),
        Err(_) => (word, None),
    }
}

impl Place {
    fn of(host: &str) -> Self {
        if host == "*" {
            return Self::Everywhere;
        }
        let (name, bits) = match host.split_once('/') {
            Some((name, bits)) => (name, bits.parse::<u8>().ok()),
            None => (host, None),
        };
        if let Ok(address) = unbracketed(name).parse::<IpAddr>() {
            let all = if address.is_ipv4() { 32 } else { 128 };
            return Self::Network(address, bits.unwrap_or(all).min(all));
        }
        let name = host.strip_prefix('*').unwrap_or(host);
        let name = name.trim_start_matches('.').trim_end_matches('.');
        Self::Domain(name.to_ascii_lowercase())
    }

    fn contains(&self, url: &Url) -> bool {
        match self {
            Self::Everywhere => true,
            Self::Network(network, bits) => {
                address(url).is_some_and(|address| same_bits(address, *network, *bits))
            }
            Self::Domain(domain) => is_below(name(url), domain),
        }
    }
}

fn same_bits(one: IpAddr, other: IpAddr, bits: u8) -> bool {
    let (one, other, width) = match (one.to_canonical(), other.to_canonical()) {
        (IpAddr::V4(one), IpAddr::V4(other)) => {
            (u128::from(one.to_bits()), u128::from(other.to_bits()), 32)
        }
        (IpAddr::V6(one), IpAddr::V6(other)) => (one.to_bits(), other.to_bits(), 128_u32),
        _ => return false,
    };
    let rest = width.saturating_sub(u32::from(bits));
    // More bits than there are shift everything away: none has to be the same.
    one.checked_shr(rest).unwrap_or(0) == other.checked_shr(rest).unwrap_or(0)
}

/// Whether a name is a domain or lies in it.
fn is_below(name: &str, domain: &str) -> bool {
    let Some(before) = name.strip_suffix(domain) else {
        return false;
    };
    !domain.is_empty() && (before.is_empty() || before.ends_with('.'))
}

fn unbracketed(host: &str) -> &str {
    let inner = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    inner.unwrap_or(host)
}

/// The host's name, without a dot at its end.
fn name(url: &Url) -> &str {
    url.host_str().unwrap_or_default().trim_end_matches('.')
}

fn address(url: &Url) -> Option<IpAddr> {
    unbracketed(url.host_str()?).parse().ok()
}

/// Whether an address is this machine's own, so that plain text stays on it.
pub(crate) fn is_loopback(url: &Url) -> bool {
    address(url).map_or_else(
        || name(url) == "localhost",
        |address| address.to_canonical().is_loopback(),
    )
}

/// As [`is_loopback`], and names below `localhost`, which are this machine's as well (RFC 6761); but whoever resolves them
/// may not know.
fn names_this_machine(url: &Url) -> bool {
    is_loopback(url) || is_below(name(url), "localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(set: &[(&str, &str)]) -> Network {
        Network::of(|name| {
            let found = set.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    fn url(text: &str) -> Url {
        text.parse().unwrap()
    }

    fn shown(set: &[(&str, &str)]) -> Option<String> {
        let api = url("https://api.cloudflare.com/client/v4");
        let proxy = network(set).proxy_to(&api).unwrap();
        proxy.map(|proxy| proxy.to_string())
    }

    #[test]
    fn the_first_variable_that_is_set_names_the_proxy() {
        let https = [("HTTPS_PROXY", "http://a:1"), ("ALL_PROXY", "http://b:2")];
        assert_eq!(shown(&https).unwrap(), "the proxy http://a:1 (HTTPS_PROXY)");
        let lower = [("HTTPS_PROXY", "http://a:1"), ("https_proxy", "http://c")];
        assert_eq!(shown(&lower).unwrap(), "the proxy http://c (https_proxy)");
        for variable in ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"] {
            let expected = format!("the proxy http://a:8080 ({variable})");
            assert_eq!(shown(&[(variable, " a:8080 ")]).unwrap(), expected);
        }
        let socks = [("ALL_PROXY", "socks5h://a:1080")];
        assert_eq!(
            shown(&socks).unwrap(),
            "the proxy socks5h://a:1080 (ALL_PROXY)"
        );
        assert_eq!(shown(&[]), None);
        // Set and empty is none, also where another one is set; and plain http's is not that of https.
        assert_eq!(shown(&[("https_proxy", ""), ("ALL_PROXY", "a:1")]), None);
        assert_eq!(shown(&[("HTTP_PROXY", "a:1"), ("http_proxy", "a:1")]), None);
    }

    #[test]
    fn no_password_is_shown() {
        let of = |value: &str| {
            Proxy::of(&Setting {
                variable: "HTTPS_PROXY",
                value: value.to_owned(),
            })
        };
        let proxy = of("http://trader:s3cr%40t@[2001:db8::1]:3128/path?x").unwrap();
        assert_eq!(
            proxy.to_string(),
            "the proxy http://[2001:db8::1]:3128 (HTTPS_PROXY)"
        );
        assert!(proxy.has_credentials());
        for bad in [
            "http://trader:s3cret@",
            "gopher://trader:s3cret@a",
            "http://trader:s3cret@a:99999",
            "socks4://trader:s3cret@a",
            "://trader:s3cret@a",
        ] {
            let failure = of(bad).map(|_| ()).unwrap_err();
            assert_eq!(failure.code, "PROXY", "{bad}");
            assert!(!failure.to_string().contains("s3cret"), "{failure}");
        }
    }

    #[test]
    fn this_machine_is_never_called_by_a_proxy() {
        let set = [("ALL_PROXY", "http://a:1"), ("NO_PROXY", "example.com")];
        for host in [
            "localhost",
            "LOCALHOST",
            "localhost.",
            "gate.localhost",
            "127.0.0.1",
            "127.1.2.3",
            "127.1",
            "0x7f000001",
            "[::1]",
            "[::ffff:127.0.0.1]",
        ] {
            for scheme in ["http", "https"] {
                let at = url(&format!("{scheme}://{host}:8787"));
                assert!(network(&set).proxy_to(&at).unwrap().is_none(), "{at}");
            }
        }
        // A proxy that cannot be one is nothing to what stays here.
        let broken = network(&[("ALL_PROXY", "ftp://a")]);
        assert!(
            broken
                .proxy_to(&url("http://127.0.0.1:1"))
                .unwrap()
                .is_none()
        );
        assert!(broken.proxy_to(&url("https://example.org")).is_err());
        for (host, expected) in [
            (
                "localhost.example.org",
                Some("the proxy http://a:1 (ALL_PROXY)"),
            ),
            ("mylocalhost", Some("the proxy http://a:1 (ALL_PROXY)")),
            ("128.0.0.1", Some("the proxy http://a:1 (ALL_PROXY)")),
            ("[::2]", Some("the proxy http://a:1 (ALL_PROXY)")),
            // That is an exception, and no name of this machine.
            ("localhost.example.com", None),
        ] {
            let at = url(&format!("https://{host}"));
            let proxy = network(&set).proxy_to(&at).unwrap();
            let shown = proxy.map(|proxy| proxy.to_string());
            assert_eq!(shown.as_deref(), expected, "{at}");
        }
        assert!(!is_loopback(&url("http://gate.localhost")));
    }

    #[test]
    fn exceptions_in_their_usual_forms() {
        let excepted = |list: &str, at: &str| {
            let set = [("HTTPS_PROXY", "a:1"), ("NO_PROXY", list)];
            network(&set).proxy_to(&url(at)).unwrap().is_none()
        };
        for (list, at) in [
            ("*", "https://api.cloudflare.com"),
            ("x, *", "https://api.cloudflare.com"),
            ("cloudflare.com", "https://api.cloudflare.com"),
            (".cloudflare.com", "https://api.cloudflare.com"),
            ("*.cloudflare.com", "https://api.cloudflare.com"),
            ("API.Cloudflare.COM.", "https://api.cloudflare.com"),
            ("api.cloudflare.com", "https://API.cloudflare.com."),
            ("a b\tapi.cloudflare.com,,c", "https://api.cloudflare.com"),
            ("api.cloudflare.com:443", "https://api.cloudflare.com"),
            ("api.cloudflare.com:8443", "https://api.cloudflare.com:8443"),
            ("*:8443", "https://api.cloudflare.com:8443"),
            ("10.1.2.3", "https://10.1.2.3"),
            ("10.0.0.0/8", "https://10.1.2.3"),
            ("10.1.2.3:8443", "https://10.1.2.3:8443"),
            ("0.0.0.0/0", "https://10.1.2.3"),
            ("2001:db8::/32", "https://[2001:db8::5]"),
            ("2001:db8::5", "https://[2001:db8::5]"),
            ("[2001:db8::5]", "https://[2001:db8::5]"),
            ("[2001:db8::5]:443", "https://[2001:db8::5]"),
            ("xn--bcher-kva.example", "https://bücher.example"),
        ] {
            assert!(excepted(list, at), "{list} has {at} in it");
        }
        for (list, at) in [
            ("", "https://api.cloudflare.com"),
            ("flare.com", "https://api.cloudflare.com"),
            ("api.cloudflare.com.evil", "https://api.cloudflare.com"),
            ("api.cloudflare.com:8443", "https://api.cloudflare.com"),
            (".", "https://api.cloudflare.com"),
            ("11.0.0.0/8", "https://10.1.2.3"),
            ("10.1.2.3/32", "https://10.1.2.4"),
            ("10.0.0.0/8", "https://10.example.com"),
            ("::/0", "https://10.1.2.3"),
            ("2001:db8::/33", "https://[2001:db8:8000::]"),
        ] {
            assert!(!excepted(list, at), "{list} has not {at} in it");
        }
        // The lower case counts first here as well.
        let set = [("HTTPS_PROXY", "a:1"), ("NO_PROXY", "*"), ("no_proxy", "x")];
        assert!(network(&set).proxy_to(&url("https://y")).unwrap().is_some());
    }

    #[test]
    fn programs_are_told_what_they_would_not_find_themselves() {
        let told = |list: &str, api: &str| {
            let set = [("https_proxy", "http://me:pw@a:1/"), ("no_proxy", list)];
            let mut command = Command::new("node");
            network(&set).hand_over(&mut command, &url(api)).unwrap();
            let set: Vec<(String, String)> = command
                .as_std()
                .get_envs()
                .map(|(name, value)| {
                    [name, value.unwrap()].map(|text| text.to_str().unwrap().to_owned())
                })
                .map(|[name, value]| (name, value))
                .collect();
            let exceptions = set[1].1.clone();
            let expected = [
                ("HTTPS_PROXY", "http://me:pw@a:1"),
                ("NO_PROXY", &exceptions),
                ("https_proxy", "http://me:pw@a:1"),
                ("no_proxy", &exceptions),
            ];
            let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
            assert_eq!(set, expected);
            exceptions
        };
        let here = "localhost,127.0.0.1,::1,[::1]";
        assert_eq!(told("", "https://api.cloudflare.com"), here);
        assert_eq!(told("x", "https://api.cloudflare.com"), format!("x,{here}"));
        assert_eq!(told("x,*", "https://api.cloudflare.com"), "*");
        assert_eq!(
            told("", "http://127.1.2.3:4/client/v4"),
            format!("{here},127.1.2.3")
        );
        assert_eq!(
            told("10.0.0.0/8", "https://10.1.2.3"),
            format!("10.0.0.0/8,{here},10.1.2.3")
        );
    }
}
