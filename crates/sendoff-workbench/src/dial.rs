//! Opens the connection to a hub: plain on `http://`, TLS on `https://`.

use std::io;
use std::sync::Arc;

use http::Uri;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

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
        let host = self.host.trim_matches(['[', ']']);
        #[allow(clippy::disallowed_methods, reason = "whoever tries a hub names its address")]
        let socket = TcpStream::connect((host, self.port)).await?;
        socket.set_nodelay(true)?;
        if !self.tls {
            return Ok(Box::new(socket));
        }
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        let connector = TlsConnector::from(Arc::new(public_authorities()?));
        Ok(Box::new(connector.connect(name, socket).await?))
    }
}

fn public_authorities() -> io::Result<ClientConfig> {
    let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let ring = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(ring)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}
