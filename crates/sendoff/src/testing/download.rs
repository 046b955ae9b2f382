//! Looker's side of a `download_url`: a loopback server that serves each URL once.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::StreamBody;
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use super::Content;

/// The origin under which the hub is told to fetch; its origin map leads here.
pub(super) const ORIGIN: &str = "https://download.looker.example";

/// What goes wrong with a download.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DownloadFault {
    /// It is answered with this status.
    Status(u16),
    /// Without a stated length, the connection closes after so many bytes.
    BreaksOff(u64),
    /// The stated length is right, but the connection closes after so many bytes.
    TooShort(u64),
    /// Nothing more comes after so many bytes.
    Stalls(u64),
    /// After so many bytes the rest of a whole answer is a sentence, as a server writes that
    /// fails while it streams.
    EndsInWords(u64),
}

/// The server. It stops when it is dropped.
pub(super) struct Downloads {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

struct Shared {
    offered: Mutex<HashMap<String, (Content, Option<DownloadFault>)>>,
    served: watch::Sender<u64>,
    /// Closed while nothing may break.
    gate: Gate,
}

impl Downloads {
    pub(super) async fn start(gate: Gate) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let shared = Shared { offered: Mutex::default(), served: watch::Sender::new(0), gate };
        let shared = Arc::new(shared);
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Ok(Self { address, shared, accepting })
    }

    pub(super) fn origin(&self) -> String {
        format!("{ORIGIN}=http://{}", self.address)
    }

    /// A URL that serves `content` once.
    pub(super) fn offer(&self, content: Content, fault: Option<DownloadFault>) -> String {
        let path = format!("/{}", uuid::Uuid::new_v4().simple());
        let url = format!("{ORIGIN}{path}");
        self.shared.offered().insert(path, (content, fault));
        url
    }

    /// Bytes handed out.
    pub(super) fn served(&self) -> u64 {
        *self.shared.served.borrow()
    }
}

impl Drop for Downloads {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

type Chunks = BoxStream<'static, Result<Bytes, &'static str>>;
type Frames = BoxStream<'static, Result<Frame<Bytes>, &'static str>>;

impl Shared {
    fn offered(&self) -> MutexGuard<'_, HashMap<String, (Content, Option<DownloadFault>)>> {
        self.offered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(self: &Arc<Self>, path: &str) -> Response<StreamBody<Frames>> {
        let Some((content, fault)) = self.offered().remove(path) else {
            return failed(StatusCode::NOT_FOUND);
        };
        if let Some(DownloadFault::Status(status)) = fault {
            return failed(StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY));
        }
        let shared = Arc::clone(self);
        let chunks = spoilt(content, fault, self.gate.clone()).inspect(move |chunk| {
            if let Ok(chunk) = chunk {
                shared.served.send_modify(|count| *count += chunk.len() as u64);
            }
        });
        let mut response = Response::new(body(chunks.boxed()));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content.format().media_type()));
        if matches!(fault, Some(DownloadFault::TooShort(_))) {
            headers.insert(CONTENT_LENGTH, content.len().into());
        }
        response
    }
}

fn spoilt(content: Content, fault: Option<DownloadFault>, gate: Gate) -> Chunks {
    let all = futures_util::stream::iter(content.chunks().map(Ok));
    let up_to = |limit: u64| futures_util::stream::iter(up_to(content, limit).map(Ok));
    match fault {
        None | Some(DownloadFault::Status(_)) => all.boxed(),
        Some(DownloadFault::BreaksOff(at) | DownloadFault::TooShort(at)) => {
            let end = futures_util::stream::iter([Err("the download breaks off")]);
            up_to(at).chain(opened(gate)).chain(end).boxed()
        }
        Some(DownloadFault::Stalls(at)) => up_to(at).chain(futures_util::stream::pending()).boxed(),
        Some(DownloadFault::EndsInWords(at)) => {
            let words = Bytes::from_static(b"Error: the query was killed by the database.");
            let words = futures_util::stream::iter([Ok(words)]);
            up_to(at).chain(opened(gate)).chain(words).boxed()
        }
    }
}

/// What holds faults back while it says `false`.
pub(super) type Gate = watch::Receiver<bool>;

/// Nothing, once the gate is open.
pub(super) fn opened<T: Send + 'static>(mut gate: Gate) -> BoxStream<'static, T> {
    let wait = async move {
        // Without anybody to open it, it counts as open.
        let _ = gate.wait_for(|open| *open).await;
        None
    };
    futures_util::stream::once(wait).filter_map(std::future::ready).boxed()
}

/// The first `limit` bytes.
pub(super) fn up_to(content: Content, mut limit: u64) -> impl Iterator<Item = Bytes> + Send {
    content.chunks().map_while(move |mut chunk| {
        if limit == 0 {
            return None;
        }
        chunk.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        limit -= chunk.len() as u64;
        Some(chunk)
    })
}

fn body(chunks: Chunks) -> StreamBody<Frames> {
    StreamBody::new(chunks.map(|chunk| chunk.map(Frame::data)).boxed())
}

fn failed(status: StatusCode) -> Response<StreamBody<Frames>> {
    let words = Bytes::from_static(b"Looker could not run the query.");
    let mut response = Response::new(body(futures_util::stream::iter([Ok(words)]).boxed()));
    *response.status_mut() = status;
    response
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut tasks = JoinSet::new();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tasks.spawn(serve(stream, Arc::clone(&shared)));
            }
            Err(_) => tokio::task::yield_now().await,
        }
        while tasks.try_join_next().is_some() {}
    }
}

async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    let service = service_fn(async |request: Request<Incoming>| {
        Ok::<_, std::convert::Infallible>(shared.answer(request.uri().path()))
    });
    let mut builder = hyper::server::conn::http1::Builder::new();
    let served = builder.timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service);
    if let Err(error) = served.await {
        tracing::trace!(%error, "a download ended early");
    }
}
