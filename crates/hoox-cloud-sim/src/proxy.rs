//! A forward proxy that notes what it is asked: HTTP (RFC 9110, 9.3.6) and SOCKS5 (RFC 1928) on one port.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use data_encoding::BASE64;
use tokio::io::copy_bidirectional;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// First byte of SOCKS5, which begins no request of HTTP.
const SOCKS5: u8 = 5;
/// The longest head of a request.
const MAX_HEAD: u64 = 16 * 1024;

/// User and password of a proxy that asks for them.
#[derive(Debug, Clone, Copy)]
pub struct Credentials {
    /// The user.
    pub user: &'static str,
    /// The password.
    pub password: &'static str,
}

/// Starts proxies.
#[derive(Debug, Default)]
pub struct Proxy {
    routes: BTreeMap<String, SocketAddr>,
    credentials: Option<Credentials>,
}

impl Proxy {
    /// One that knows no host and asks nobody who they are.
    pub fn new() -> Self {
        Self::default()
    }

    /// Where a host is, whatever the port. Names need not be known to anybody else.
    #[must_use]
    pub fn route(mut self, host: &str, to: SocketAddr) -> Self {
        self.routes.insert(host.to_owned(), to);
        self
    }

    /// Asks for user and password (HTTP only).
    #[must_use]
    pub fn asking(mut self, credentials: Credentials) -> Self {
        self.credentials = Some(credentials);
        self
    }

    /// Starts it on 127.0.0.1. It must be called inside a Tokio runtime, and ends with it.
    ///
    /// # Errors
    /// If no port is free.
    pub async fn start(self) -> io::Result<ProxyHandle> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (proxy, notes) = (Arc::new(self), Arc::clone(&asked));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (proxy, notes) = (Arc::clone(&proxy), Arc::clone(&notes));
                tokio::spawn(async move { proxy.answer(stream, &notes).await });
            }
        });
        Ok(ProxyHandle { address, asked })
    }

    /// Answers a connection. One that breaks off is no failure of the proxy.
    async fn answer(&self, stream: TcpStream, notes: &Notes) -> io::Result<()> {
        let mut near = BufReader::new(stream);
        if near.fill_buf().await?.first() == Some(&SOCKS5) {
            return self.socks(near, notes).await;
        }
        let head = head(&mut near).await?;
        note(notes, &head);
        let line = head.lines().next().unwrap_or_default();
        let Some(target) = line
            .strip_prefix("CONNECT ")
            .and_then(|rest| rest.split(' ').next())
        else {
            return refuse(near, "502 No Way", "").await;
        };
        if !self.admits(&head) {
            let ask = "proxy-authenticate: Basic realm=\"proxy\"\r\n";
            return refuse(near, "407 Proxy Authentication Required", ask).await;
        }
        let host = target.rsplit_once(':').map_or(target, |(host, _)| host);
        let Some(to) = self.routes.get(host) else {
            return refuse(near, "502 Bad Gateway", "").await;
        };
        let mut far = TcpStream::connect(to).await?;
        near.write_all(b"HTTP/1.1 200 Connection Established\r\n\r\n")
            .await?;
        copy_bidirectional(&mut near, &mut far).await?;
        Ok(())
    }

    fn admits(&self, head: &str) -> bool {
        let Some(Credentials { user, password }) = self.credentials else {
            return true;
        };
        let wanted = format!(
            "Basic {}",
            BASE64.encode(format!("{user}:{password}").as_bytes())
        );
        head.lines()
            .filter_map(|line| line.split_once(": "))
            .any(|(name, value)| {
                name.eq_ignore_ascii_case("proxy-authorization") && value == wanted
            })
    }

    /// The greeting, and then the address as a name (type 3) or of IPv4 (type 1).
    async fn socks(&self, mut near: BufReader<TcpStream>, notes: &Notes) -> io::Result<()> {
        near.read_u8().await?;
        let methods = near.read_u8().await?;
        let mut offered = vec![0; usize::from(methods)];
        near.read_exact(&mut offered).await?;
        near.write_all(&[SOCKS5, 0]).await?;
        let mut request = [0; 4];
        near.read_exact(&mut request).await?;
        let host = match request {
            [_, _, _, 3] => {
                let length = near.read_u8().await?;
                let mut name = vec![0; usize::from(length)];
                near.read_exact(&mut name).await?;
                String::from_utf8_lossy(&name).into_owned()
            }
            _ => Ipv4Addr::from_bits(near.read_u32().await?).to_string(),
        };
        let port = near.read_u16().await?;
        note(notes, &format!("SOCKS5 {host}:{port}"));
        let Some(to) = self.routes.get(&host) else {
            return near.write_all(&[SOCKS5, 4, 0, 1, 0, 0, 0, 0, 0, 0]).await;
        };
        let mut far = TcpStream::connect(to).await?;
        near.write_all(&[SOCKS5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await?;
        copy_bidirectional(&mut near, &mut far).await?;
        Ok(())
    }
}

type Notes = Mutex<Vec<String>>;

fn note(notes: &Notes, head: &str) {
    let mut notes = notes.lock().unwrap_or_else(PoisonError::into_inner);
    notes.push(head.to_owned());
}

/// A request's lines up to the empty one.
async fn head(near: &mut BufReader<TcpStream>) -> io::Result<String> {
    let mut head = String::new();
    let mut near = near.take(MAX_HEAD);
    loop {
        let read = near.read_line(&mut head).await?;
        if read <= 2 {
            return Ok(head.replace('\r', "").trim_end().to_owned());
        }
    }
}

async fn refuse(mut near: BufReader<TcpStream>, status: &str, header: &str) -> io::Result<()> {
    let answer =
        format!("HTTP/1.1 {status}\r\n{header}content-length: 0\r\nconnection: close\r\n\r\n");
    near.write_all(answer.as_bytes()).await?;
    near.shutdown().await
}

/// A running proxy.
#[derive(Debug)]
pub struct ProxyHandle {
    address: SocketAddr,
    asked: Arc<Notes>,
}

impl ProxyHandle {
    /// Host and port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Every request, oldest first: its line and headers, or `SOCKS5 host:port`.
    pub fn asked(&self) -> Vec<String> {
        let notes = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        notes.clone()
    }

    /// The first line of each.
    pub fn lines(&self) -> Vec<String> {
        let first = |head: &String| head.lines().next().unwrap_or_default().to_owned();
        self.asked().iter().map(first).collect()
    }

    /// Forgets what was asked.
    pub fn forget(&self) {
        let mut notes = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        notes.clear();
    }
}
