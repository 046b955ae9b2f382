//! A real server on loopback as the suite sees it: connections are piped to it byte for byte, so
//! that the fault proxy can cut them, and what stands there is fetched and hashed.

// Both ends of the socket are the test's own.
#![allow(clippy::disallowed_methods, reason = "the address is the test script's")]

use http::Method;
use sendoff::testing::Object;
use sendoff::{Call, Egress, EgressConfig, Http, Reply, Scope};
use sha2::{Digest, Sha256};
use tokio::net::TcpStream;
use tokio::sync::OnceCell;

/// A server at an address such as `http://127.0.0.1:15000`.
pub struct Server {
    pub address: String,
    http: OnceCell<Http>,
}

impl Server {
    /// The server that the environment names, if it does.
    pub fn from_env(variable: &str) -> Option<Self> {
        let address = std::env::var(variable).ok().filter(|address| !address.is_empty())?;
        let address = address.trim_end_matches('/').to_owned();
        Some(Self { address, http: OnceCell::new() })
    }

    /// Carries a connection to the server until either side ends it.
    pub async fn pipe(&self, mut stream: TcpStream) {
        let Some((_, to)) = self.address.split_once("://") else { return };
        if let Ok(mut server) = TcpStream::connect(to).await {
            // An end by a fault is what the tests are about.
            let _ = tokio::io::copy_bidirectional(&mut stream, &mut server).await;
        }
    }

    /// Begins a request for `path`, which is encoded and has its query.
    pub async fn request(&self, method: Method, path: &str) -> Call {
        let http = self.http.get_or_init(async || {
            let mut config = EgressConfig::new("the tests' own requests".into());
            config.allow_addresses = vec!["127.0.0.0/8".parse().expect("a network")];
            Egress::new(config).expect("a door").http(Scope::new("the test server"))
        });
        http.await.request(method, format!("{}{path}", self.address))
    }
}

/// Reads an object to its end.
pub async fn hashed(name: String, reply: Reply) -> Object {
    let mut stream = reply.success().await.expect("the object can be read").stream();
    let (mut sha256, mut bytes) = (Sha256::new(), 0);
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.expect("the object is whole");
        bytes += chunk.len() as u64;
        sha256.update(&chunk);
    }
    let sha256 = sha256.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Object { name, bytes, sha256 }
}

/// The texts of all `<tag>` elements of an answer; names here need no unescaping.
pub fn texts(xml: &str, tag: &str) -> Vec<String> {
    let (open, close) = (format!("<{tag}>"), format!("</{tag}>"));
    let parts = xml.split(&open).skip(1);
    parts.filter_map(|part| part.split_once(&close)).map(|(text, _)| text.to_owned()).collect()
}
