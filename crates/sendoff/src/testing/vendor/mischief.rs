//! What goes wrong with one request: which it hits, what becomes of its answer.

use std::error::Error as StdError;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::Either;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::StreamBody;
use hyper::body::Frame;

use crate::{ByteStream, Error};

/// Which request a fault hits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// The next one.
    Any,
    /// The next that makes the data visible, see [`Fake::commits`](crate::testing::Fake::commits).
    Commit,
    /// The one that brings the data's last byte: so many bytes of bodies have come with it.
    Byte(u64),
    /// The one that is the n-th to make the data visible since the stand-in began, counted from 1;
    /// a lasting fault hits it and all after it.
    Nth(u64),
    /// Every n-th of those that make the data visible.
    Every(u64),
    /// The next that carries a body of more than so many bytes, at that byte.
    Within(u64),
}

/// What becomes of the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mischief {
    /// It is not carried out, but answered with this refusal, once its body was read. With
    /// [`At::Within`], before its body was read.
    Refuse(Refusal),
    /// It is carried out, and the connection closed without an answer.
    LoseAnswer,
    /// It is carried out, and its answer breaks off in the middle of its body.
    CutAnswer,
    /// It is carried out, and its answer never comes.
    Silence,
    /// It is carried out, and its answer never ends.
    Flood,
}

/// A refusal as HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The status.
    pub status: u16,
    /// `Retry-After`, in seconds.
    pub retry_after: Option<u32>,
    /// The media type.
    pub media_type: &'static str,
    /// The body.
    pub body: String,
}

/// A fault of the vendor's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VendorFault {
    /// Which request.
    pub at: At,
    /// What becomes of it.
    pub mischief: Mischief,
    /// Whether every such request is hit; else one is.
    pub lasting: bool,
}

pub(super) type Fail = Box<dyn StdError + Send + Sync>;
pub(super) type Answered = Response<StreamBody<Frames>>;
pub(super) type Frames =
    futures_util::stream::BoxStream<'static, std::result::Result<Frame<Bytes>, Fail>>;

/// Waits for the request that brings the data's last byte.
pub(super) struct Watched {
    pub(super) byte: u64,
    pub(super) refuses: bool,
    pub(super) received: Arc<AtomicU64>,
    pub(super) reached: Arc<AtomicBool>,
}

impl Watched {
    /// Counts a body's bytes. If the awaited one came and the request is to be refused, the body
    /// ends with an error, so that the fake carries nothing out.
    pub(super) fn watch(self, body: ByteStream) -> ByteStream {
        let len = body.len_hint();
        let watched = futures_util::stream::unfold(Some((body, self)), |state| async {
            let (mut body, this) = state?;
            match body.next().await {
                Some(Ok(chunk)) => {
                    let len = chunk.len() as u64;
                    if this.received.fetch_add(len, Ordering::Relaxed) + len >= this.byte {
                        this.reached.store(true, Ordering::Relaxed);
                    }
                    Some((Ok(chunk), Some((body, this))))
                }
                Some(Err(error)) => Some((Err(error), None)),
                None if this.refuses && this.reached.load(Ordering::Relaxed) => {
                    Some((Err(Error::vendor("The stand-in refuses this request.")), None))
                }
                None => None,
            }
        });
        let watched = ByteStream::new(watched);
        match len {
            Some(len) => watched.with_len(len),
            None => watched,
        }
    }
}

fn frames(
    stream: impl futures_util::Stream<Item = std::result::Result<Bytes, Fail>> + Send + 'static,
) -> StreamBody<Frames> {
    StreamBody::new(stream.map(|chunk| chunk.map(Frame::data)).boxed())
}

pub(super) fn whole(response: Response<Bytes>) -> Answered {
    let (mut parts, body) = response.into_parts();
    // A HEAD's answer states the length of what a GET would bring.
    let len = HeaderValue::from(body.len() as u64);
    parts.headers.entry(CONTENT_LENGTH).or_insert(len);
    let chunks = if body.is_empty() {
        Either::Left(futures_util::stream::empty())
    } else {
        Either::Right(futures_util::stream::iter([Ok(body)]))
    };
    Response::from_parts(parts, frames(chunks))
}

pub(super) fn refused(refusal: &Refusal) -> Answered {
    let mut response = Response::new(Bytes::from(refusal.body.clone()));
    *response.status_mut() =
        StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(refusal.media_type));
    if let Some(seconds) = refusal.retry_after {
        headers.insert(RETRY_AFTER, seconds.into());
    }
    whole(response)
}

/// What is left of an answer.
pub(super) async fn spoil(
    response: Response<Bytes>,
    mischief: &Mischief,
) -> std::result::Result<Answered, Fail> {
    match mischief {
        Mischief::Refuse(refusal) => Ok(refused(refusal)),
        // hyper closes the connection without an answer.
        Mischief::LoseAnswer => Err("the answer is lost".into()),
        Mischief::Silence => {
            std::future::pending::<()>().await;
            Err("never reached".into())
        }
        Mischief::CutAnswer => {
            let (mut parts, body) = response.into_parts();
            parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len() as u64 + 1));
            let cut = [Ok(body), Err("the answer breaks off".into())];
            Ok(Response::from_parts(parts, frames(futures_util::stream::iter(cut))))
        }
        Mischief::Flood => {
            let (mut parts, _) = response.into_parts();
            parts.headers.remove(CONTENT_LENGTH);
            let block = Bytes::from(vec![b'a'; 64 * 1024]);
            let endless = futures_util::stream::repeat_with(move || Ok(block.clone()));
            Ok(Response::from_parts(parts, frames(endless)))
        }
    }
}
