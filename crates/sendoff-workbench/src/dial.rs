//! Opens the connection to a hub: plain on `http://`, TLS on `https://`.

mod presented;

use std::io;
use std::path::Path;
use std::sync::Arc;

use http::Uri;
use rustls::client::WebPkiServerVerifier;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

pub(crate) use presented::BadCertificate;
use presented::Presented;

use crate::request::MASK;

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
    /// The address, or why the URL has none. A password in it is not repeated.
    pub(crate) fn of(url: &str) -> Result<(Self, Uri), String> {
        let (shown, has_user) = match userinfo(url) {
            Some(place) => (format!("{}{MASK}{}", &url[..place.start], &url[place.end..]), true),
            None => (url.to_owned(), false),
        };
        let refused = |why: &str| format!("`{shown}` cannot be called: {why}.");
        if has_user {
            return Err(refused("a user name or a password in a URL is not sent anywhere"));
        }
        let uri: Uri = url.parse().map_err(|_| refused("it is not a URL"))?;
        let tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            Some(_) => return Err(refused("it is neither http:// nor https://")),
            None => return Err(refused("it is not absolute")),
        };
        let host = uri.host().ok_or_else(|| refused("it names no host"))?.to_owned();
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        let port = match authority.strip_prefix(host.as_str()).unwrap_or_default() {
            "" | ":" => Some(if tls { 443 } else { 80 }),
            _ => uri.port_u16().filter(|port| *port > 0),
        };
        let port = port.ok_or_else(|| refused("its port is none from 1 to 65535"))?;
        Ok((Self { host, port, tls }, uri))
    }

    /// A connection. Certificates are checked against the public authorities, as Looker does.
    #[cfg(test)]
    pub(crate) async fn connect(&self) -> io::Result<Box<dyn Socket>> {
        self.connect_believing(&Authorities::default()).await
    }

    /// A connection. Certificates are checked against the public authorities, as Looker does, and
    /// these.
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
        let presented = Arc::new(Presented::new(judge(more)?));
        let connector = TlsConnector::from(Arc::new(client(Arc::clone(&presented))?));
        match connector.connect(name, socket).await {
            Ok(socket) => Ok(Box::new(socket)),
            Err(error) => Err(presented.told(error)),
        }
    }
}

/// Where a URL names a user, without the `@`.
fn userinfo(url: &str) -> Option<std::ops::Range<usize>> {
    let start = url.find("://")? + "://".len();
    let length = url[start..].find(['/', '?', '#']).unwrap_or(url.len() - start);
    let at = url[start..start + length].rfind('@')?;
    Some(start..start + at)
}

/// Authorities that are believed beside the public ones.
#[derive(Clone, Debug, Default)]
pub(crate) struct Authorities(Vec<CertificateDer<'static>>);

/// More than any list of authorities or any chain.
const PEM_AT_MOST: u64 = 4 << 20;

impl Authorities {
    /// Those of a PEM file, if one is named.
    pub(crate) async fn of(path: Option<&Path>) -> io::Result<Self> {
        match path {
            Some(path) => Self::read(path).await,
            None => Ok(Self::default()),
        }
    }

    /// Those of a PEM file.
    async fn read(path: &Path) -> io::Result<Self> {
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

fn judge(more: &Authorities) -> io::Result<Arc<WebPkiServerVerifier>> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    for authority in &more.0 {
        roots.add(authority.clone()).map_err(io::Error::other)?;
    }
    let ring = Arc::new(rustls::crypto::ring::default_provider());
    let judge = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), ring);
    judge.build().map_err(io::Error::other)
}

fn client(presented: Arc<Presented>) -> io::Result<ClientConfig> {
    let ring = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(ring)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?;
    // It judges as rustls does, and keeps what it was shown.
    let builder = builder.dangerous().with_custom_certificate_verifier(presented);
    Ok(builder.with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use tokio::net::TcpListener;

    use super::{Address, Authorities, BadCertificate, acceptor};

    #[tokio::test]
    async fn what_is_wrong_with_a_certificate_is_told() {
        let pki = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pki");
        let (chain, key) = (pki.join("localhost.pem"), pki.join("localhost.key.pem"));
        let tls = acceptor(&chain, &key).await.unwrap();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut serving = tokio::task::JoinSet::new();
        serving.spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let _ = tls.accept(socket).await;
            }
        });
        let (address, _) = Address::of(&format!("https://localhost:{port}/")).unwrap();
        let error = address.connect().await.err().unwrap();
        assert!(BadCertificate::is_why(&error));
        let says = "is of no authority that is known here";
        let presents = "it presents 1 certificate: for \"localhost\", issued by \"Test";
        let error = error.to_string();
        assert!(error.contains(says) && error.contains(presents), "{error}");
        let known = Authorities::of(Some(&pki.join("authority.pem"))).await.unwrap();
        assert!(address.connect_believing(&known).await.is_ok());
        let (address, _) = Address::of(&format!("https://127.0.0.1:{port}/")).unwrap();
        let error = address.connect_believing(&known).await.err().unwrap().to_string();
        assert!(error.contains("is for another name"), "{error}");

        let plain = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let (address, _) =
            Address::of(&format!("https://{}/", plain.local_addr().unwrap())).unwrap();
        serving.spawn(async move {
            use tokio::io::AsyncWriteExt;
            let (mut socket, _) = plain.accept().await.unwrap();
            let _ = socket.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        });
        let error = address.connect().await.err().unwrap();
        assert!(error.to_string().contains("speaks no TLS"), "{error}");
        assert!(!BadCertificate::is_why(&error));
    }

    #[test]
    fn a_url_that_leads_elsewhere_than_it_says_is_refused() {
        for (url, port) in [
            ("http://hub.example/", 80),
            ("https://hub.example/a", 443),
            ("http://hub.example:/", 80),
            ("http://hub.example:65535/", 65_535),
            ("http://[::1]:8080/?a=b@c", 8_080),
        ] {
            assert_eq!(Address::of(url).unwrap().0.port, port, "{url}");
        }
        for (url, says) in [
            ("http://127.0.0.1:99999/", "its port is none from 1 to 65535"),
            ("http://127.0.0.1:0/", "its port"),
            ("http://me:s3cret@hub.example/", "`http://••••@hub.example/`"),
            ("https://s3cret@hub.example:bad/", "`https://••••@hub.example:bad/`"),
            ("ftp://hub.example/", "neither http:// nor https://"),
            ("/actions", "not absolute"),
        ] {
            let why = Address::of(url).err().unwrap();
            assert!(why.contains(says) && !why.contains("s3cret"), "{url}: {why}");
        }
    }
}
