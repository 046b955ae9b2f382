//! The door out against real servers on loopback: answers, faults, retries, stops, TLS.

mod answers;
mod outcomes;
mod retries;
mod stops;
mod tls;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use futures_util::stream;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::*;

/// For downloads that begin at once.
pub(super) const PATIENT: Duration = Duration::from_secs(60);
use crate::{Arrival, ByteStream, Class, Error, Retry};

const URL: &str = "https://vendor.test/path?q=1";

/// A vendor that does what a script says with each connection.
struct Vendor {
    port: u16,
    connections: Arc<AtomicUsize>,
    // Ends with the test.
    _running: JoinSet<()>,
}

impl Vendor {
    async fn new<F, W>(script: F) -> Self
    where
        F: Fn(usize, TcpStream) -> W + Send + 'static,
        W: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
        let port = listener.local_addr().expect("its address").port();
        let connections = Arc::new(AtomicUsize::new(0));
        let count = connections.clone();
        let mut running = JoinSet::new();
        running.spawn(async move {
            let mut serving = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                let nth = count.fetch_add(1, Ordering::SeqCst);
                serving.spawn(script(nth, socket));
            }
        });
        Self { port, connections, _running: running }
    }

    /// Reads one whole request per connection, gives the nth answer (or the last) and closes.
    async fn answering(answers: &'static [&'static str]) -> Self {
        Self::new(move |nth, mut socket| async move {
            read_request(&mut socket).await;
            let answer = answers.get(nth).or(answers.last()).expect("an answer");
            say(&mut socket, answer).await;
        })
        .await
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    fn config(&self) -> EgressConfig {
        let port = self.port;
        let mut config = EgressConfig::new("operator's secret".into());
        let map = [format!("https://vendor.test=http://127.0.0.1:{port}")];
        config.origins = Origins::parse(map).expect("a map");
        config.retry.first_wait = Duration::from_millis(1);
        config.retry.longest_wait = Duration::from_millis(5);
        config
    }

    fn http(&self) -> Http {
        self.http_with(|_| (), Scope::new("Vendor"))
    }

    fn http_with(&self, change: impl FnOnce(&mut EgressConfig), scope: Scope) -> Http {
        let mut config = self.config();
        change(&mut config);
        Egress::new(config).expect("an egress").http(scope)
    }

    fn egress(&self) -> Egress {
        Egress::new(self.config()).expect("an egress")
    }
}

/// A request as it stood on the wire.
struct Seen {
    head: String,
    body: Vec<u8>,
    /// Its end came: all announced bytes, or the last chunk.
    whole: bool,
}

async fn read_request(socket: &mut (impl AsyncReadExt + Unpin)) -> Seen {
    let mut bytes = Vec::new();
    let mut piece = vec![0; 64 * 1024];
    loop {
        if let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
            let head = String::from_utf8(bytes[..end].to_vec()).expect("a head of text");
            let lower = head.to_ascii_lowercase();
            let body = bytes[end + 4..].to_vec();
            let announced = lower
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "))
                .map(|len| len.parse::<usize>().expect("a length"));
            let whole = match announced {
                Some(len) => body.len() >= len,
                None if lower.contains("transfer-encoding: chunked") => {
                    body.ends_with(b"0\r\n\r\n")
                }
                None => true,
            };
            if whole {
                return Seen { head, body, whole };
            }
        }
        match socket.read(&mut piece).await {
            Ok(n) if n > 0 => bytes.extend_from_slice(&piece[..n]),
            _ => {
                let text = String::from_utf8_lossy(&bytes).into_owned();
                return Seen { head: text, body: bytes, whole: false };
            }
        }
    }
}

async fn say(socket: &mut (impl AsyncWriteExt + Unpin), text: &str) {
    // The other side may be gone already: then it did not want to hear it.
    let _ = socket.write_all(text.as_bytes()).await;
    let _ = socket.shutdown().await;
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone";
const BUSY: &str = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nbusy";

fn chunks(chunks: Vec<Result<Bytes>>) -> ByteStream {
    ByteStream::new(stream::iter(chunks))
}

/// `n` chunks of 64 KiB.
fn megabytes(n: usize) -> ByteStream {
    let chunk = Bytes::from(vec![b'x'; 64 * 1024]);
    ByteStream::new(stream::iter((0..n * 16).map(move |_| Ok(chunk.clone()))))
}

/// A body that begins and then waits for ever, and says when it was begun and when dropped.
fn endless() -> (ByteStream, tokio::sync::oneshot::Receiver<()>) {
    let (held, dropped) = tokio::sync::oneshot::channel::<()>();
    let body = stream::unfold((0, held), |(n, held)| async move {
        if n > 0 {
            std::future::pending::<()>().await;
        }
        Some((Ok(Bytes::from_static(b"first")), (n + 1, held)))
    });
    (ByteStream::new(body), dropped)
}
