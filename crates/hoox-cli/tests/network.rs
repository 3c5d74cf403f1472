//! How calls leave this machine: by a proxy that notes what it is asked, past it, and with an authority that no system
//! knows.
#![expect(
    clippy::unwrap_used,
    reason = "a test: what it does not expect must stop it"
)]

mod common;
#[path = "common/double.rs"]
mod double;

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::PathBuf;
use std::thread;

use common::{Ran, folder, run, transcript};
use double::{Gateway, KEY};
use hoox_cloud_sim::{Authority, Cloud, Credentials, Handle, Proxy, ProxyHandle};
use serde_json::json;

const TOKEN: &str = "a-token-that-no-output-shows";
/// Names that only the proxy knows, so that nothing gets there past it.
const API: &str = "api.cloud.test";
const HOST: &str = "hoox.desk.test";
const CREDENTIALS: Credentials = Credentials {
    user: "trader",
    password: "s3cr@t",
};

/// A machine whose only way out is a proxy, with the API and a gateway behind it.
struct Office {
    /// Where all of it runs.
    _runtime: tokio::runtime::Runtime,
    cloud: Handle,
    gateway: Gateway,
    proxy: ProxyHandle,
    folder: PathBuf,
}

impl Office {
    fn new(name: &str) -> Self {
        Self::with(name, |proxy| proxy)
    }

    fn with(name: &str, change: impl FnOnce(Proxy) -> Proxy) -> Self {
        let folder = folder(name);
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let state = json!({
            "tokens": [{ "token": TOKEN, "id": "0000000000000000000000000000b001" }],
            "accounts": [{ "id": "0000000000000000000000000000a001", "name": "Desk" }],
        });
        let state = serde_json::from_value(state).unwrap();
        let senders = json!({ "senders": [] });
        let gateway = Gateway::start(vec![("GET /v1/senders", 200, senders)]);
        let authority = Authority::new().unwrap();
        let at = gateway
            .address
            .strip_prefix("http://")
            .unwrap()
            .parse()
            .unwrap();
        let (cloud, proxy) = runtime.block_on(async {
            let cloud = Cloud::start(0, state).await.unwrap();
            let of_cloud = cloud
                .url()
                .strip_prefix("http://")
                .unwrap()
                .parse()
                .unwrap();
            let api = authority.serve(&[API], of_cloud).await.unwrap();
            let host = authority.serve(&[HOST], at).await.unwrap();
            let proxy = Proxy::new().route(API, api).route(HOST, host);
            (cloud, change(proxy).start().await.unwrap())
        });
        std::fs::write(folder.join("authority.pem"), authority.pem()).unwrap();
        Self {
            _runtime: runtime,
            cloud,
            gateway,
            proxy,
            folder,
        }
    }

    /// The proxy's address with something before it.
    fn proxy(&self, before: &str) -> String {
        format!("{before}{}", self.proxy.address())
    }

    fn hoox(&self, variables: &[(&str, &str)], arguments: &[&str]) -> Ran {
        let base = format!("https://{API}/client/v4");
        let own = [
            ("CLOUDFLARE_API_BASE_URL", base.as_str()),
            ("CLOUDFLARE_API_TOKEN", TOKEN),
            ("HOOX_OPERATOR_KEY", KEY),
        ];
        self.proxy.forget();
        let ran = run(&self.folder, &[&own[..], variables].concat(), arguments, "");
        for secret in [TOKEN, KEY, "s3cr@t", "s3cr%40t"] {
            let said = [&ran.out, &ran.err].map(|text| text.contains(secret));
            assert_eq!(said, [false; 2], "{arguments:?} shows {secret}");
        }
        ran
    }
}

const TRUSTED: (&str, &str) = ("NODE_EXTRA_CA_CERTS", "authority.pem");
const LIST: [&str; 2] = ["secrets", "list"];
const SENDERS: [&str; 4] = ["senders", "list", "--host", HOST];

#[test]
fn calls_go_by_the_proxy_that_any_of_its_variables_names() {
    let office = Office::new("network-variables");
    let tunnel = [format!("CONNECT {API}:443 HTTP/1.1")];
    for (variable, before) in [
        ("HTTPS_PROXY", "http://"),
        ("https_proxy", "http://"),
        ("ALL_PROXY", "http://"),
        ("all_proxy", ""),
    ] {
        let proxy = office.proxy(before);
        let ran = office.hoox(&[(variable, &proxy), TRUSTED], &LIST);
        assert_eq!(ran.status, 0, "{variable}: {}", ran.err);
        assert!(!office.proxy.asked().is_empty(), "{variable}");
        assert!(
            office.proxy.lines().iter().all(|line| *line == tunnel[0]),
            "{variable}"
        );
        // What goes through the tunnel is the client's and the API's alone.
        assert!(!office.proxy.asked().concat().contains(TOKEN));
    }
    let socks = office.proxy("socks5h://");
    let ran = office.hoox(&[("ALL_PROXY", &socks), TRUSTED], &LIST);
    assert_eq!(ran.status, 0, "{}", ran.err);
    assert!(
        office
            .proxy
            .lines()
            .iter()
            .all(|line| *line == format!("SOCKS5 {API}:443"))
    );
    // The gateway is called the same way, and where it sends one elsewhere nothing follows.
    let proxy = office.proxy("http://");
    let ran = office.hoox(&[("HTTPS_PROXY", &proxy), TRUSTED], &SENDERS);
    assert_eq!(ran.status, 0, "{}", ran.err);
    assert_eq!(
        office.proxy.lines(),
        [format!("CONNECT {HOST}:443 HTTP/1.1")]
    );
}

#[test]
fn what_is_excepted_goes_past_it() {
    let office = Office::new("network-exceptions");
    let proxy = office.proxy("http://");
    // An address at which nobody listens, and that is not taken for this machine.
    let arguments = ["senders", "list", "--host", "0.0.0.0:1"];
    let ran = office.hoox(&[("HTTPS_PROXY", &proxy)], &arguments);
    let expected = format!(
        "error: the proxy {proxy} (HTTPS_PROXY) does not pass calls on to 0.0.0.0: tunnel error: unsuccessful (PROXY)\n  \
         correct or unset HTTPS_PROXY, or call 0.0.0.0 without it: NO_PROXY=0.0.0.0\n"
    );
    assert_eq!((ran.status, ran.err), (1, expected));
    assert_eq!(office.proxy.lines(), ["CONNECT 0.0.0.0:1 HTTP/1.1"]);
    let https = ("HTTPS_PROXY", proxy.as_str());
    for variables in [
        [https, ("NO_PROXY", "0.0.0.0")],
        [https, ("no_proxy", "x, 0.0.0.0:1")],
        [https, ("NO_PROXY", "0.0.0.0/8")],
        [https, ("NO_PROXY", "*")],
        [https, ("https_proxy", "")],
        [("HTTP_PROXY", &proxy), ("http_proxy", &proxy)],
    ] {
        let ran = office.hoox(&variables, &arguments);
        let said = ran
            .err
            .starts_with("error: https://0.0.0.0:1/ did not answer: ");
        assert!(ran.status == 1 && said, "{ran:?}");
        assert_eq!(office.proxy.lines(), [""; 0]);
    }
}

#[test]
fn an_authority_that_the_environment_names_is_trusted() {
    let office = Office::new("network-authority");
    let proxy = office.proxy("http://");
    let by = ("HTTPS_PROXY", proxy.as_str());
    for variable in ["NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE"] {
        let ran = office.hoox(&[by, (variable, "authority.pem")], &LIST);
        assert_eq!((ran.status, ran.err.as_str()), (0, ""), "{variable}");
    }
    let mut said = String::new();
    let mut tell = |variables: &[(&str, &str)], arguments: &[&str]| {
        let ran = office.hoox(&[&[by], variables].concat(), arguments);
        assert_eq!(ran.status, 1, "{}", ran.err);
        // A certificate does not get better by asking again.
        assert_eq!(office.proxy.asked().len(), 1);
        said.push_str(&transcript(arguments, &ran));
    };
    tell(&[], &LIST);
    tell(&[], &SENDERS);
    tell(&[("NODE_EXTRA_CA_CERTS", "no-such-file.pem")], &LIST);
    std::fs::write(office.folder.join("empty.pem"), "").unwrap();
    tell(&[("NODE_EXTRA_CA_CERTS", "empty.pem")], &LIST);
    // Another one of the same kind.
    let other = Authority::new().unwrap();
    std::fs::write(office.folder.join("other.pem"), other.pem()).unwrap();
    tell(&[("NODE_EXTRA_CA_CERTS", "other.pem")], &LIST);
    insta::assert_snapshot!(said);
}

#[test]
fn a_proxy_that_asks_who_calls() {
    let office = Office::with("network-password", |proxy| proxy.asking(CREDENTIALS));
    let mut said = String::new();
    let mut tell = |before: &str, variable: &str| {
        let proxy = office.proxy(before);
        let ran = office.hoox(&[(variable, &proxy), TRUSTED], &LIST);
        said.push_str(&transcript(&LIST, &ran).replace(&office.proxy(""), "127.0.0.1:3128"));
        ran.status
    };
    assert_eq!(tell("http://trader:s3cr%40t@", "HTTPS_PROXY"), 0);
    assert_eq!(tell("trader:s3cr%40t@", "all_proxy"), 0);
    assert_eq!(tell("http://", "HTTPS_PROXY"), 1);
    assert_eq!(tell("http://trader:wrong@", "https_proxy"), 1);
    insta::assert_snapshot!(said);
}

#[test]
fn a_proxy_that_is_down_or_knows_no_way_is_named() {
    let office = Office::new("network-down");
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let down = free.local_addr().unwrap().to_string();
    drop(free);
    let mut said = String::new();
    let mut tell = |variable: &str, proxy: &str, arguments: &[&str]| {
        let ran = office.hoox(&[(variable, proxy), TRUSTED], arguments);
        assert_eq!(ran.status, 1, "{}", ran.err);
        said.push_str(
            &transcript(arguments, &ran)
                .replace(&down, "127.0.0.1:3129")
                .replace(&office.proxy(""), "127.0.0.1:3128"),
        );
    };
    let with_password = format!("http://trader:s3cr%40t@{down}");
    tell("HTTPS_PROXY", &with_password, &LIST);
    tell("ALL_PROXY", &format!("socks5h://{down}"), &SENDERS);
    tell("HTTPS_PROXY", "ftp://trader:s3cr%40t@proxy", &LIST);
    tell("https_proxy", "http://trader:s3cr%40t@", &SENDERS);
    let elsewhere = ["senders", "list", "--host", "hoox.elsewhere.test"];
    tell("HTTPS_PROXY", &office.proxy("http://"), &elsewhere);
    tell("HTTPS_PROXY", &office.proxy("socks5h://"), &elsewhere);
    insta::assert_snapshot!(said);
}

#[test]
fn this_machine_is_called_past_every_proxy() {
    let office = Office::new("network-loopback");
    let proxy = office.proxy("http://");
    let port = office
        .gateway
        .address
        .rsplit(':')
        .next()
        .unwrap()
        .to_owned();
    let all = [
        "http_proxy",
        "HTTP_PROXY",
        "https_proxy",
        "HTTPS_PROXY",
        "all_proxy",
        "ALL_PROXY",
    ];
    for past in [None, Some(""), Some("example.com"), Some("127.0.0.2")] {
        let mut variables: Vec<(&str, &str)> = all.map(|name| (name, proxy.as_str())).into();
        variables.extend(past.map(|past| ("NO_PROXY", past)));
        for host in ["127.0.0.1", "localhost", "127.1"] {
            let host = format!("http://{host}:{port}");
            let ran = office.hoox(&variables, &["senders", "list", "--host", &host]);
            assert_eq!(ran.status, 0, "{host}: {}", ran.err);
            assert_eq!(office.proxy.asked(), [""; 0], "{host}");
        }
        // Nobody listens there, and that is what is said: the proxy is not asked.
        for host in ["[::1]", "127.1.2.3"] {
            let host = format!("http://{host}:{port}");
            let ran = office.hoox(&variables, &["senders", "list", "--host", &host]);
            assert!(ran.err.contains("(UNREACHABLE)"), "{host}: {}", ran.err);
            assert_eq!(office.proxy.asked(), [""; 0], "{host}");
        }
        // The API as the double has it.
        let base = office.cloud.base_url();
        variables.push(("CLOUDFLARE_API_BASE_URL", &base));
        let ran = office.hoox(&variables, &LIST);
        assert_eq!(
            (ran.status, office.proxy.asked().len()),
            (0, 0),
            "{}",
            ran.err
        );
    }
    assert_eq!(office.gateway.asked().len(), 12);
    // The sandbox, behind a proxy that is down and one that is none.
    let told = json!({ "gateway": office.gateway.address, "operatorKey": KEY, "passkey": "p" });
    std::fs::create_dir_all(office.folder.join(".hoox")).unwrap();
    std::fs::write(office.folder.join(".hoox/dev.json"), told.to_string()).unwrap();
    for proxy in [proxy.as_str(), "http://127.0.0.1:1", "ftp://x"] {
        let variables = all.map(|name| (name, proxy));
        let ran = office.hoox(&variables, &["senders", "list", "--local"]);
        assert_eq!(
            (ran.status, office.proxy.asked().len()),
            (0, 0),
            "{}",
            ran.err
        );
    }
}

#[test]
fn an_api_that_sends_elsewhere_is_not_followed() {
    let office = Office::new("network-redirect");
    let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = elsewhere.local_addr().unwrap();
    thread::spawn(move || {
        for line in elsewhere.incoming() {
            let mut line = line.unwrap();
            assert!(line.read(&mut [0; 4096]).unwrap() > 0);
            let head = "HTTP/1.1 302 Found\r\ncontent-length: 0\r\nconnection: close\r\n";
            write!(line, "{head}location: https://{HOST}/\r\n\r\n").unwrap();
        }
    });
    let proxy = office.proxy("http://");
    let base = format!("http://{at}");
    let variables = [
        ("HTTPS_PROXY", proxy.as_str()),
        ("CLOUDFLARE_API_BASE_URL", &base),
    ];
    let ran = office.hoox(&variables, &LIST);
    let said = ran
        .err
        .starts_with("error: Cloudflare refused: status 302 (CLOUDFLARE)\n");
    assert!(ran.status == 1 && said, "{ran:?}");
    assert_eq!(office.proxy.lines(), [""; 0]);
}

#[test]
fn the_doctor_says_how_calls_go_out() {
    let folder = folder("network-doctor");
    let authority = Authority::new().unwrap().pem();
    std::fs::write(folder.join("authority.pem"), authority).unwrap();
    let line = |variables: &[(&str, &str)]| {
        let ran = run(&folder, variables, &["doctor"], "");
        let mut lines = ran.out.lines().skip_while(|line| !line.contains("network"));
        let said = [lines.next().unwrap(), lines.next().unwrap()];
        let shown = said.into_iter().filter(|line| !line.contains("key files"));
        shown.collect::<Vec<_>>().join("\n") + "\n"
    };
    let proxy = "http://trader:s3cr%40t@127.0.0.1:1";
    let said = [
        line(&[]),
        line(&[("HTTPS_PROXY", proxy)]),
        line(&[
            ("all_proxy", proxy),
            ("no_proxy", "*.example.com, 10.0.0.0/8"),
            TRUSTED,
        ]),
        line(&[("HTTPS_PROXY", "http://trader:s3cr%40t@:1")]),
        line(&[("SSL_CERT_FILE", "no-such-file.pem")]),
    ];
    insta::assert_snapshot!(said.concat());
}
