//! A certificate authority that no system knows, and servers whose certificates it has signed.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose,
};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;

/// A private authority, made anew.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    /// Makes one.
    ///
    /// # Errors
    /// Where the system gives no randomness.
    pub fn new() -> io::Result<Self> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        named(&mut params, "A private authority");
        let key = KeyPair::generate().map_err(io::Error::other)?;
        CertifiedIssuer::self_signed(params, key)
            .map(Self)
            .map_err(io::Error::other)
    }

    /// Its certificate, as a file of authorities has it.
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// Starts a server on 127.0.0.1 that has a certificate for these names and hands on what comes, decrypted, to another
    /// one. It must be called inside a Tokio runtime, and ends with it.
    ///
    /// # Errors
    /// If no port is free, or a name cannot be one.
    pub async fn serve(&self, names: &[&str], to: SocketAddr) -> io::Result<SocketAddr> {
        let acceptor = TlsAcceptor::from(Arc::new(self.config(names)?));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(hand_on(acceptor.clone(), stream, to));
            }
        });
        Ok(address)
    }

    fn config(&self, names: &[&str]) -> io::Result<ServerConfig> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let key = KeyPair::generate().map_err(io::Error::other)?;
        let mut params = CertificateParams::new(names).map_err(io::Error::other)?;
        named(&mut params, "A server");
        let certificate = params.signed_by(&key, &self.0).map_err(io::Error::other)?;
        let private = PrivatePkcs8KeyDer::from(key.serialize_der());
        ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], private.into())
            .map_err(io::Error::other)
    }
}

/// A certificate whose name is its issuer's would be taken for one that has signed itself.
fn named(params: &mut CertificateParams, name: &str) {
    params.distinguished_name.push(DnType::CommonName, name);
}

/// A client that trusts the authority not, or goes away, is no failure of the server.
async fn hand_on(acceptor: TlsAcceptor, stream: TcpStream, to: SocketAddr) -> io::Result<()> {
    let mut near = acceptor.accept(stream).await?;
    let mut far = TcpStream::connect(to).await?;
    copy_bidirectional(&mut near, &mut far).await?;
    Ok(())
}
