//! The bytes of one request: bounded, un-gzipped, and cut when the client stalls.

use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_compression::tokio::bufread::GzipDecoder;
use bytes::{Bytes, BytesMut};
use futures_util::{Stream, TryStreamExt};
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use http_body::Body;
use tokio::time::{Instant, Sleep};
use tokio_util::io::{ReaderStream, StreamReader};

use super::{Kept, Refusal};

/// How much of a request is read, and how long it may take to come.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BodyLimits {
    /// The largest body, after un-gzipping, in bytes.
    pub(crate) bytes: u64,
    /// The longest wait for the next byte.
    pub(crate) idle: Duration,
}

/// After this time of waiting for the client, it must have kept up [`SLOWEST`].
const SLOW_AFTER: Duration = Duration::from_secs(30);
/// The slowest client that is waited for, in bytes per second of waiting.
const SLOWEST: u64 = 1024;
/// How much is un-gzipped at a time.
const UNZIPPED_CHUNK: usize = 64 * 1024;

type Chunks = Pin<Box<dyn Stream<Item = Result<Bytes, Broken>> + Send>>;

/// Why no more bytes come.
enum Broken {
    /// The connection failed or ended before the body did.
    Connection(Box<dyn std::error::Error + Send + Sync>),
    /// The body is no gzip although it says so.
    Gzip(io::Error),
}

/// The body of a request, chunk by chunk.
pub(crate) struct RequestBody {
    chunks: Chunks,
    limits: BodyLimits,
    seen: u64,
    /// Armed while we wait for the client; time that the destination takes does not count.
    idle: Pin<Box<Sleep>>,
    waiting_since: Option<Instant>,
    waited: Duration,
}

impl RequestBody {
    /// Wraps `body`, looking at what its headers promise.
    pub(crate) fn new<B>(headers: &HeaderMap, body: B, limits: BodyLimits) -> Result<Self, Refusal>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let announced = headers
            .get(CONTENT_LENGTH)
            .and_then(|value| value.to_str().ok())
            .and_then(|text| text.parse::<u64>().ok());
        if announced.is_some_and(|bytes| bytes > limits.bytes) {
            return Err(Refusal::TooLarge { limit: limits.bytes });
        }
        let encoding = headers.get(CONTENT_ENCODING).map_or(&b""[..], |value| value.as_bytes());
        // RFC 9110 8.4.1: codings are case-insensitive.
        let chunks = match encoding.to_ascii_lowercase().as_slice() {
            b"" | b"identity" => plain(body),
            b"gzip" | b"x-gzip" => gunzip(body),
            _ => return Err(Refusal::Encoding),
        };
        Ok(Self {
            chunks,
            limits,
            seen: 0,
            idle: Box::pin(tokio::time::sleep(limits.idle)),
            waiting_since: None,
            waited: Duration::ZERO,
        })
    }

    /// The next chunk, or `None` when the client has ended the body as the protocol says.
    pub(crate) fn poll_chunk(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Bytes>, Refusal>> {
        let next = match self.chunks.as_mut().poll_next(cx) {
            Poll::Ready(next) => next,
            Poll::Pending => {
                if self.waiting_since.is_none() {
                    let now = Instant::now();
                    self.waiting_since = Some(now);
                    self.idle.as_mut().reset(now + self.limits.idle);
                }
                ready!(self.idle.as_mut().poll(cx));
                return Poll::Ready(Err(Refusal::Stalled { after: self.limits.idle }));
            }
        };
        if let Some(since) = self.waiting_since.take() {
            self.waited += since.elapsed();
        }
        Poll::Ready(match next {
            None => Ok(None),
            Some(Err(Broken::Connection(cause))) => Err(Refusal::BrokeOff { cause }),
            Some(Err(Broken::Gzip(cause))) => Err(Refusal::Gzip { cause }),
            Some(Ok(chunk)) => self.count(chunk).map(Some),
        })
    }

    fn count(&mut self, chunk: Bytes) -> Result<Bytes, Refusal> {
        self.seen = self.seen.saturating_add(chunk.len() as u64);
        if self.seen > self.limits.bytes {
            return Err(Refusal::TooLarge { limit: self.limits.bytes });
        }
        if self.waited > SLOW_AFTER && self.seen / self.waited.as_secs().max(1) < SLOWEST {
            return Err(Refusal::Stalled { after: self.waited });
        }
        Ok(chunk)
    }
}

fn plain<B>(body: B) -> Chunks
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    Box::pin(DataOf { body: Box::pin(body) }.map_err(Broken::Connection))
}

fn gunzip<B>(body: B) -> Chunks
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let data = DataOf { body: Box::pin(body) }.map_err(|cause| io::Error::other(Transport(cause)));
    let mut decoder = GzipDecoder::new(StreamReader::new(data));
    // RFC 1952 2.2: a gzip file is one or more members.
    decoder.multiple_members(true);
    Box::pin(ReaderStream::with_capacity(decoder, UNZIPPED_CHUNK).map_err(not_unzipped))
}

/// The connection's failure, on its way through the decoder.
#[derive(Debug)]
struct Transport(Box<dyn std::error::Error + Send + Sync>);

impl std::fmt::Display for Transport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Transport {}

fn not_unzipped(fault: io::Error) -> Broken {
    if fault.kind() == io::ErrorKind::UnexpectedEof {
        return Broken::Connection(fault.into());
    }
    match fault.downcast::<Transport>() {
        Ok(Transport(cause)) => Broken::Connection(cause),
        Err(fault) => Broken::Gzip(fault),
    }
}

/// The data frames of a body; trailers are left out.
struct DataOf<B> {
    body: Pin<Box<B>>,
}

impl<B> Stream for DataOf<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Item = Result<Bytes, Box<dyn std::error::Error + Send + Sync>>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            match ready!(self.body.as_mut().poll_frame(cx)) {
                None => return Poll::Ready(None),
                Some(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) if !data.is_empty() => return Poll::Ready(Some(Ok(data))),
                    _ => {}
                },
            }
        }
    }
}

/// A whole small body, such as a form request's.
pub(crate) async fn read_small(mut body: RequestBody, kept: &mut Kept) -> Result<Bytes, Refusal> {
    let mut whole = BytesMut::new();
    let mut next = pin!(std::future::poll_fn(|cx| body.poll_chunk(cx)));
    while let Some(chunk) = next.as_mut().await? {
        kept.bytes(chunk.len())?;
        whole.extend_from_slice(&chunk);
    }
    Ok(whole.freeze())
}
