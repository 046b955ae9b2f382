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
use hyper_util::rt::TokioIo;
use sendoff_protocol::Format;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::exchange::Exchange;
use crate::faults::{DownloadFaults, HUNG_UP, Instead, slowed_source};
use crate::looker::headers_shown;
use crate::progress::{Meter, Stage};
use crate::request::{Record, Source};

/// How long a URL is valid. **A**
const LIFETIME: Duration = Duration::from_secs(3_600);

/// One-time URLs below a base. Those of [`Downloads::listen`] are served until it is dropped.
pub struct Downloads {
    base: String,
    offers: Arc<Offers>,
    _server: JoinSet<()>,
}

type Offers = Mutex<HashMap<String, Offer>>;

struct Offer {
    format: Format,
    since: Instant,
    /// Taken by the first GET.
    source: Option<Source>,
    faults: DownloadFaults,
    meter: Option<Meter>,
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
        let address: SocketAddr = listener.local_addr()?;
        let offers = Arc::<Offers>::default();
        let mut server = JoinSet::new();
        server.spawn(accept(listener, Arc::clone(&offers)));
        Ok(Self { base: format!("http://{address}"), offers, _server: server })
    }

    /// URLs below this base, which somebody else serves with [`Downloads::respond`].
    pub(crate) fn at(base: &str) -> Self {
        let base = base.trim_end_matches('/').to_owned();
        Self { base, offers: Arc::default(), _server: JoinSet::new() }
    }

    /// Offers a result and says where.
    ///
    /// # Errors
    /// The system's, when it gives no random bytes for the URL.
    pub fn offer(&self, format: Format, source: Source) -> io::Result<String> {
        self.offer_with(format, source, DownloadFaults::default(), None)
    }

    pub(crate) fn offer_with(
        &self,
        format: Format,
        source: Source,
        faults: DownloadFaults,
        meter: Option<Meter>,
    ) -> io::Result<String> {
        let token = token()?;
        let offer = Offer {
            format,
            since: Instant::now(),
            source: Some(source),
            faults,
            meter,
            taken: Vec::new(),
        };
        locked(&self.offers).insert(token.clone(), offer);
        Ok(format!("{}/downloads/{token}", self.base))
    }

    /// Answers a hub's request for one of the URLs.
    pub(crate) fn respond<B>(&self, request: &Request<B>) -> Response<DownloadBody> {
        answer(&self.offers, request)
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
pub(crate) fn token() -> io::Result<String> {
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

/// So many requests for one URL are kept.
const TAKEN_AT_MOST: usize = 16;
/// What a hub may meet that does not look at the status: a page for a person.
const PAGE: &str = "<!DOCTYPE html><title>Log in</title><p>Log in to Looker to go on.</p>";

fn answer<B>(offers: &Offers, request: &Request<B>) -> Response<DownloadBody> {
    let record = Record::default();
    let started = Instant::now();
    let mut offers = locked(offers);
    let offer = request.uri().path().strip_prefix("/downloads/").and_then(|t| offers.get_mut(t));
    let mut response = Response::new(DownloadBody::nothing(record.clone()));
    let Some(offer) = offer else {
        *response.status_mut() = StatusCode::NOT_FOUND;
        return response;
    };
    let valid = request.method() == Method::GET && offer.since.elapsed() < LIFETIME;
    let media_type = match (offer.faults.instead, offer.source.take_if(|_| valid)) {
        (Some(Instead::Page), _) => {
            response.body_mut().source = Some(Source::from(PAGE));
            "text/html"
        }
        (Some(Instead::Fails), _) => {
            *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            "text/plain"
        }
        (Some(Instead::Expired), _) | (None, None) => {
            *response.status_mut() = StatusCode::NOT_FOUND;
            "text/plain"
        }
        (None, Some(source)) => {
            let body = response.body_mut();
            body.source = Some(match offer.faults.slow {
                Some(rate) => slowed_source(source, rate),
                None => source,
            });
            body.ends = offer.faults.ends;
            body.meter.clone_from(&offer.meter);
            offer.format.media_type()
        }
    };
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, header::HeaderValue::from_static(media_type));
    if offer.taken.len() < TAKEN_AT_MOST {
        let exchange = exchange(request, &response);
        offer.taken.push(Taken { exchange, record, started });
    }
    response
}

fn exchange<B>(request: &Request<B>, response: &Response<DownloadBody>) -> Exchange {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    Exchange {
        started: jiff::Timestamp::now(),
        method: request.method().to_string(),
        url: format!("http://{}{}", host.unwrap_or_default(), request.uri().path()),
        request_headers: headers_shown(request.headers(), &[]),
        status: Some(response.status().as_u16()),
        response_headers: headers_shown(response.headers(), &[]),
        ..Exchange::default()
    }
}

pub(crate) struct DownloadBody {
    source: Option<Source>,
    record: Record,
    meter: Option<Meter>,
    /// So many bytes from now it ends, and whether it breaks there.
    ends: Option<(u64, bool)>,
    /// What was written before it breaks has had its chance to leave.
    flushed: bool,
}

impl DownloadBody {
    fn nothing(record: Record) -> Self {
        Self { source: None, record, meter: None, ends: None, flushed: false }
    }

    /// The piece, or its start where the download is cut.
    fn counted(&mut self, mut piece: Bytes) -> Bytes {
        if let Some((left, _)) = &mut self.ends {
            piece.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
            *left -= piece.len() as u64;
        }
        self.record.add(piece.len(), &piece);
        if let Some(meter) = &self.meter {
            meter.change(|progress| progress.fetched += piece.len() as u64);
            meter.stage(Stage::Sending);
        }
        piece
    }
}

impl http_body::Body for DownloadBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match self.ends {
            Some((0, true)) if !self.flushed => {
                self.flushed = true;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            Some((0, true)) => return Poll::Ready(Some(Err(io::Error::other(HUNG_UP)))),
            Some((0, false)) => return Poll::Ready(None),
            _ => {}
        }
        let Some(source) = self.source.as_mut() else { return Poll::Ready(None) };
        match std::task::ready!(source.poll_next_unpin(cx)) {
            Some(Ok(piece)) => Poll::Ready(Some(Ok(Frame::data(self.counted(piece))))),
            Some(Err(error)) => Poll::Ready(Some(Err(error))),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.source.is_none()
    }
}
