//! Certificates: who is believed, and what is said about the others.

use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use super::*;

// Made once with openssl: an authority, a certificate of it for vendor.test valid until 2126, and
// one that ended in 2020, both with the same key.
const AUTHORITY: &[u8] = include_bytes!("pki/authority.pem");
const SERVER: &[u8] = include_bytes!("pki/server.pem");
const EXPIRED: &[u8] = include_bytes!("pki/expired.pem");
const KEY: &[u8] = include_bytes!("pki/server.key.pem");

fn acceptor(certificate: &[u8], alpn: &[u8]) -> TlsAcceptor {
    let ring = Arc::new(rustls::crypto::ring::default_provider());
    let chain = vec![CertificateDer::from_pem_slice(certificate).expect("a certificate")];
    let key = PrivateKeyDer::from_pem_slice(KEY).expect("a key");
    let mut config = rustls::ServerConfig::builder_with_provider(ring)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .expect("a configuration");
    config.alpn_protocols = vec![alpn.to_vec()];
    TlsAcceptor::from(Arc::new(config))
}

/// Answers each request with its HTTP version and the length of its body.
async fn vendor(certificate: &[u8], alpn: &[u8]) -> Vendor {
    let acceptor = acceptor(certificate, alpn);
    Vendor::new(move |_, socket| {
        let acceptor = acceptor.clone();
        async move {
            let Ok(socket) = acceptor.accept(socket).await else { return };
            let service = hyper::service::service_fn(
                |request: http::Request<hyper::body::Incoming>| async move {
                    use http_body_util::BodyExt;
                    let version = request.version();
                    let body = request.into_body().collect().await?.to_bytes();
                    let text = format!("{version:?} {}", body.len());
                    Ok::<_, hyper::Error>(http::Response::new(text))
                },
            );
            let server = auto::Builder::new(TokioExecutor::new());
            // A client that leaves ends it with an error.
            let _ = server.serve_connection(TokioIo::new(socket), service).await;
        }
    })
    .await
}

fn trusting(vendor: &Vendor, host: &str, ca: Option<&[u8]>) -> Http {
    let port = vendor.port;
    vendor.http_with(
        |config| {
            // The resolver would not find vendor.test; the map's host is what TLS checks.
            config.origins =
                Origins::parse([format!("https://api.test=https://{host}:{port}")]).expect("a map");
            config.extra_ca_pem = ca.map(<[u8]>::to_vec);
        },
        Scope::new("Vendor"),
    )
}

/// Finds every name on this machine.
struct Here;

impl Network for Here {
    fn resolve(
        &self,
        _host: &str,
        _port: u16,
    ) -> Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>> {
        Box::pin(async { Ok(vec![IpAddr::from([127, 0, 0, 1])]) })
    }

    fn connect(
        &self,
        address: SocketAddr,
    ) -> Pin<Box<dyn Future<Output = io::Result<TcpStream>> + Send>> {
        Box::pin(TcpStream::connect(address))
    }
}

fn here(vendor: &Vendor, ca: Option<&[u8]>) -> Http {
    let mut config = vendor.config();
    config.origins = Origins::default();
    config.allow_addresses = vec!["127.0.0.0/8".parse().expect("a network")];
    config.extra_ca_pem = ca.map(<[u8]>::to_vec);
    Egress::on(config, Arc::new(Here)).expect("an egress").http(Scope::new("Vendor"))
}

#[tokio::test]
async fn the_operators_authority_is_believed_over_http_1_and_2() {
    for (alpn, says) in [(&b"http/1.1"[..], "HTTP/1.1 1048576"), (b"h2", "HTTP/2.0 1048576")] {
        let vendor = vendor(SERVER, alpn).await;
        let http = here(&vendor, Some(AUTHORITY));
        let url = format!("https://vendor.test:{}/", vendor.port);
        for body in [Body::Stream(megabytes(1)), Body::Stream(megabytes(1).with_len(1 << 20))] {
            let reply = http.post(&url).body(body).send().await.expect("an answer");
            assert_eq!(reply.text().await.expect("text"), says);
        }
    }
}

#[tokio::test]
async fn other_certificates_are_refused_once_and_named() {
    for (certificate, host, ca, says) in [
        (SERVER, "vendor.test", None, "not from an authority that this hub trusts"),
        (SERVER, "other.test", Some(AUTHORITY), "for another host name"),
        (EXPIRED, "vendor.test", Some(AUTHORITY), "has expired"),
    ] {
        let vendor = vendor(certificate, b"http/1.1").await;
        let url = format!("https://{host}:{}/", vendor.port);
        let error = here(&vendor, ca).get(url).send().await.expect_err(says);
        assert!(error.message().contains(says) && error.message().contains(host), "{error}");
        assert_eq!((error.class(), error.retry()), (Class::Vendor, Retry::No));
        assert_eq!(vendor.connections(), 1, "a certificate does not mend by asking again");
    }
}

#[tokio::test]
async fn a_gateway_of_the_origin_map_is_checked_by_its_own_name() {
    let vendor = vendor(SERVER, b"http/1.1").await;
    let error = trusting(&vendor, "127.0.0.1", Some(AUTHORITY))
        .get("https://api.test/")
        .send()
        .await
        .expect_err("the certificate names vendor.test");
    assert!(error.message().contains("for another host name"), "{error}");
}

#[tokio::test]
async fn who_speaks_no_tls_is_told_apart_from_who_hangs_up() {
    let plain = Vendor::answering(&[OK]).await;
    let url = format!("https://vendor.test:{}/", plain.port);
    let vendor = Vendor::new(|_, mut socket| async move {
        let _ = socket.read(&mut [0; 100]).await;
        say(&mut socket, OK).await;
    })
    .await;
    let url_plain = format!("https://vendor.test:{}/", vendor.port);
    let error = here(&vendor, None).get(url_plain).send().await.expect_err("no TLS");
    assert!(error.message().contains("does not speak TLS"), "{error}");
    assert_eq!(vendor.connections(), 1);
    drop(plain);
    let error = here(&vendor, None).get(url).send().await.expect_err("gone");
    assert_eq!(error.retry(), Retry::Later);
}

#[test]
fn certificates_that_are_none_are_refused_at_start() {
    for pem in
        [&b""[..], b"no pem", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
    {
        let mut config = EgressConfig::new("s".into());
        config.extra_ca_pem = Some(pem.to_vec());
        let error = Egress::new(config).expect_err("refused");
        assert!(error.message().contains("-----BEGIN CERTIFICATE-----"), "{error}");
    }
}
