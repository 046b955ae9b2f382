//! The one-time URLs from which a hub fetches what Looker streams.
//!
//! Looker's are `https://<looker>/downloads/<40 characters>`, valid once and for 3,600 s. **A**

use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::StreamExt;
use http::{Method, Request, Response, StatusCode, header};
use http_body::Frame;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use sendoff_protocol::Format;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::exchange::Exchange;
use crate::looker::headers_shown;
use crate::request::{Record, Source};

/// How long a URL is valid. **A**
const LIFETIME: Duration = Duration::from_secs(3_600);

/// A listener that serves each result once. It stops when it is dropped.
pub struct Downloads {
    address: SocketAddr,
    offers: Arc<Offers>,
    _server: JoinSet<()>,
}

type Offers = Mutex<HashMap<String, Offer>>;

struct Offer {
    format: Format,
    since: Instant,
    /// Taken by the first GET.
    source: Option<Source>,
    /// Every GET, the refused ones too.
    taken: Vec<Taken>,
}

/// One GET of the hub's.
struct Taken {
    exchange: Exchange,
    record: Record,
    started: Instant,
}

impl Downloads {
    /// Listens on a loopback address of its own.
    ///
    /// # Errors
    /// The system's, when no port can be had.
    pub async fn listen() -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let offers = Arc::<Offers>::default();
        let mut server = JoinSet::new();
        server.spawn(accept(listener, Arc::clone(&offers)));
        Ok(Self { address, offers, _server: server })
    }

    /// Offers a result and says where.
    ///
    /// # Errors
    /// The system's, when it gives no random bytes for the URL.
    pub fn offer(&self, format: Format, source: Source) -> io::Result<String> {
        let token = token()?;
        let offer =
            Offer { format, since: Instant::now(), source: Some(source), taken: Vec::new() };
        locked(&self.offers).insert(token.clone(), offer);
        Ok(format!("http://{}/downloads/{token}", self.address))
    }

    /// Withdraws the URL and gives the requests that were made for it.
    pub fn withdraw(&self, url: &str) -> Vec<Exchange> {
        let token = url.rsplit('/').next().unwrap_or_default();
        let Some(offer) = locked(&self.offers).remove(token) else { return Vec::new() };
        let finish = |taken: Taken| Exchange {
            response_body: taken.record.peek(),
            until_end: taken.record.last().saturating_duration_since(taken.started),
            ..taken.exchange
        };
        offer.taken.into_iter().map(finish).collect()
    }
}

/// 40 characters, as Looker's have.
fn token() -> io::Result<String> {
    let mut random = [0; 20];
    getrandom::fill(&mut random).map_err(|error| io::Error::other(error.to_string()))?;
    Ok(random.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn locked(offers: &Offers) -> MutexGuard<'_, HashMap<String, Offer>> {
    offers.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn accept(listener: TcpListener, offers: Arc<Offers>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((socket, _)) => {
                    connections.spawn(serve(socket, Arc::clone(&offers)));
                }
                // Out of descriptors, most likely: wait until some are free.
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve(socket: TcpStream, offers: Arc<Offers>) {
    let service = hyper::service::service_fn(move |request| {
        let answer = answer(&offers, &request);
        async move { Ok::<_, Infallible>(answer) }
    });
    // A hub that hangs up is no error of Looker's.
    let _ = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(socket), service)
        .await;
}

fn answer(offers: &Offers, request: &Request<Incoming>) -> Response<DownloadBody> {
    let record = Record::default();
    let started = Instant::now();
    let mut offers = locked(offers);
    let offer = request.uri().path().strip_prefix("/downloads/").and_then(|t| offers.get_mut(t));
    let mut response = Response::new(DownloadBody { source: None, record: record.clone() });
    match offer {
        Some(offer) => {
            let valid = request.method() == Method::GET && offer.since.elapsed() < LIFETIME;
            match offer.source.take_if(|_| valid) {
                Some(source) => {
                    let media_type = header::HeaderValue::from_static(offer.format.media_type());
                    response.headers_mut().insert(header::CONTENT_TYPE, media_type);
                    response.body_mut().source = Some(source);
                }
                None => *response.status_mut() = StatusCode::NOT_FOUND,
            }
            let exchange = exchange(request, &response);
            offer.taken.push(Taken { exchange, record, started });
        }
        None => *response.status_mut() = StatusCode::NOT_FOUND,
    }
    response
}

fn exchange(request: &Request<Incoming>, response: &Response<DownloadBody>) -> Exchange {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    Exchange {
        method: request.method().to_string(),
        url: format!("http://{}{}", host.unwrap_or_default(), request.uri().path()),
        request_headers: headers_shown(request.headers(), &[]),
        status: Some(response.status().as_u16()),
        response_headers: headers_shown(response.headers(), &[]),
        ..Exchange::default()
    }
}

struct DownloadBody {
    source: Option<Source>,
    record: Record,
}

impl http_body::Body for DownloadBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let Some(source) = self.source.as_mut() else { return Poll::Ready(None) };
        match std::task::ready!(source.poll_next_unpin(cx)) {
            Some(Ok(chunk)) => {
                self.record.add(chunk.len(), &chunk);
                Poll::Ready(Some(Ok(Frame::data(chunk))))
            }
            Some(Err(error)) => Poll::Ready(Some(Err(error))),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.source.is_none()
    }
}
