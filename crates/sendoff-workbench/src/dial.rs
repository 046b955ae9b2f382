//! Opens the connection to a hub: plain on `http://`, TLS on `https://`.

use std::io;
use std::path::Path;
use std::sync::Arc;

use http::Uri;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// What HTTP runs over.
pub(crate) trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Socket for T {}

/// Where a URL leads.
pub(crate) struct Address {
    pub(crate) host: String,
    pub(crate) port: u16,
    tls: bool,
}

impl Address {
    /// The address, or why the URL has none.
    pub(crate) fn of(url: &str) -> Result<(Self, Uri), String> {
        let refused = |why: &str| format!("`{url}` cannot be called: {why}.");
        let uri: Uri = url.parse().map_err(|_| refused("it is not a URL"))?;
        let tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            Some(_) => return Err(refused("it is neither http:// nor https://")),
            None => return Err(refused("it is not absolute")),
        };
        let host = uri.host().ok_or_else(|| refused("it names no host"))?.to_owned();
        let port = uri.port_u16().unwrap_or(if tls { 443 } else { 80 });
        Ok((Self { host, port, tls }, uri))
    }

    /// A connection. Certificates are checked against the public authorities, as Looker does.
    pub(crate) async fn connect(&self) -> io::Result<Box<dyn Socket>> {
        self.connect_believing(&Authorities::default()).await
    }

    /// The same, and these authorities are believed too.
    pub(crate) async fn connect_believing(
        &self,
        more: &Authorities,
    ) -> io::Result<Box<dyn Socket>> {
        let host = self.host.trim_matches(['[', ']']);
        #[allow(clippy::disallowed_methods, reason = "whoever tries a hub names its address")]
        let socket = TcpStream::connect((host, self.port)).await?;
        socket.set_nodelay(true)?;
        if !self.tls {
            return Ok(Box::new(socket));
        }
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        let connector = TlsConnector::from(Arc::new(client(more)?));
        Ok(Box::new(connector.connect(name, socket).await?))
    }
}

/// Authorities that are believed beside the public ones.
#[derive(Clone, Default)]
pub(crate) struct Authorities(Vec<CertificateDer<'static>>);

/// More than any list of authorities or any chain.
const PEM_AT_MOST: u64 = 4 << 20;

impl Authorities {
    /// Those of a PEM file.
    pub(crate) async fn read(path: &Path) -> io::Result<Self> {
        certificates(path).await.map(Self)
    }
}

async fn pem(path: &Path) -> io::Result<Vec<u8>> {
    let cannot = |why: &dyn std::fmt::Display| {
        io::Error::other(format!("{} cannot be read: {why}.", path.display()))
    };
    let file = tokio::fs::File::open(path).await.map_err(|error| cannot(&error))?;
    let mut bytes = Vec::new();
    file.take(PEM_AT_MOST).read_to_end(&mut bytes).await.map_err(|error| cannot(&error))?;
    Ok(bytes)
}

async fn certificates(path: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
    let bytes = pem(path).await?;
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    match all {
        Ok(all) if !all.is_empty() => Ok(all),
        _ => Err(io::Error::other(format!("{} holds no certificate in PEM.", path.display()))),
    }
}

/// What answers TLS with this certificate chain and this key, both PEM files.
pub(crate) async fn acceptor(chain: &Path, key: &Path) -> io::Result<TlsAcceptor> {
    let certificates = certificates(chain).await?;
    let bytes = pem(key).await?;
    let private = PrivateKeyDer::from_pem_slice(&bytes)
        .map_err(|_| io::Error::other(format!("{} holds no key in PEM.", key.display())))?;
    let ring = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(ring)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_no_client_auth()
        .with_single_cert(certificates, private)
        .map_err(|why| {
            io::Error::other(format!(
                "{} and {} do not belong together: {why}.",
                chain.display(),
                key.display()
            ))
        })?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn client(more: &Authorities) -> io::Result<ClientConfig> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    for authority in &more.0 {
        roots.add(authority.clone()).map_err(io::Error::other)?;
    }
    let ring = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(ring)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}
