//! What one request carries, and how far it got on its way.

use std::cmp::Ordering::{Equal, Greater, Less};
use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use http_body::{Frame, SizeHint};
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use crate::{ByteStream, Error, Result};

/// A request's body. `Content-Length` is set where the length is known, otherwise the body goes
/// out chunked.
#[derive(Debug, Default)]
#[non_exhaustive]
pub enum Body {
    /// No body.
    #[default]
    Empty,
    /// Bytes in memory: can be sent again.
    Bytes(Bytes),
    /// A stream: can be sent once.
    Stream(ByteStream),
    /// A stream that can be opened again, such as a spooled file.
    Again(Again),
}

/// A body that can be read from its start as often as needed.
#[derive(Clone)]
pub struct Again {
    open: Arc<dyn Fn() -> ByteStream + Send + Sync>,
}

impl fmt::Debug for Again {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Again")
    }
}

impl Body {
    /// A body that `open` opens anew for every attempt. Each stream should state its length.
    pub fn again(open: impl Fn() -> ByteStream + Send + Sync + 'static) -> Self {
        Self::Again(Again { open: Arc::new(open) })
    }

    /// Whether a second attempt can send the same bytes.
    pub(super) fn can_repeat(&self) -> bool {
        !matches!(self, Self::Stream(_))
    }

    /// What one attempt sends. A plain stream is taken out and comes back through
    /// [`Sending::take_back`] if it was not touched.
    pub(super) fn open(&mut self) -> Self {
        match self {
            Self::Empty => Self::Empty,
            Self::Bytes(bytes) => Self::Bytes(bytes.clone()),
            Self::Again(again) => Self::Stream((again.open)()),
            Self::Stream(_) => std::mem::take(self),
        }
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        if bytes.is_empty() { Self::Empty } else { Self::Bytes(bytes) }
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Bytes::from(bytes).into()
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        Bytes::from(text).into()
    }
}

impl From<&'static str> for Body {
    fn from(text: &'static str) -> Self {
        Bytes::from_static(text.as_bytes()).into()
    }
}

impl From<ByteStream> for Body {
    fn from(stream: ByteStream) -> Self {
        Self::Stream(stream)
    }
}

impl From<crate::spool::Spooled> for Body {
    fn from(spooled: crate::spool::Spooled) -> Self {
        Self::again(move || spooled.stream())
    }
}

/// How much of a request left. Decides between "not delivered" and "may have arrived".
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Sent {
    Nothing,
    Part,
    Whole,
}

/// One attempt's progress, shared between the body (which hyper polls in a task of its own) and
/// the one who waits for the answer.
#[derive(Debug)]
pub(super) struct Sending {
    state: Mutex<State>,
    /// The body's source has nothing for us: then the silence is not the vendor's.
    starved: AtomicBool,
    start: Instant,
    last_byte_millis: AtomicU64,
    wake: CancellationToken,
}

#[derive(Debug)]
struct State {
    sent: Sent,
    /// From here on no chunk is handed over, so that `sent` stays what its reader was told.
    given_up: bool,
    /// Why the body's own source broke off.
    fault: Option<Error>,
    /// The stream, if hyper never read from it.
    untouched: Option<ByteStream>,
}

impl Sending {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn sent(&self) -> Sent {
        self.state().sent
    }

    /// The fault of the body's own source, if that is why the request broke.
    pub(super) fn take_fault(&self) -> Option<Error> {
        self.state().fault.take()
    }

    /// The stream, if hyper never read from it.
    pub(super) fn take_back(&self) -> Option<ByteStream> {
        self.state().untouched.take()
    }

    /// Ends the request body, should hyper still be sending it, and says how far it got.
    pub(super) fn give_up(&self) -> Sent {
        let sent = {
            let mut state = self.state();
            state.given_up = true;
            state.sent
        };
        self.wake.cancel();
        sent
    }

    fn touch(&self) {
        let millis = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last_byte_millis.store(millis, Ordering::Release);
    }

    /// Returns once no byte moved for `limit`, not counting the time in which the body's source
    /// had none.
    pub(super) async fn idle(&self, limit: Duration) {
        loop {
            if self.starved.load(Ordering::Acquire) {
                self.touch();
            }
            let last = Duration::from_millis(self.last_byte_millis.load(Ordering::Acquire));
            let silence = self.start.elapsed().saturating_sub(last);
            if silence >= limit {
                return;
            }
            tokio::time::sleep(limit - silence).await;
        }
    }
}

enum Source {
    Done,
    Bytes(Bytes),
    Stream(ByteStream),
}

/// The body as hyper polls it.
pub(super) struct Outgoing {
    source: Source,
    polled: bool,
    /// The last announced chunk waits here until the source has said that it ended well: a
    /// request that is complete on the wire cannot be taken back.
    held: Option<Bytes>,
    /// Bytes still to come, where the length was stated.
    left: Option<u64>,
    sending: Arc<Sending>,
    /// Wakes a body whose source is pending when it is given up.
    wake: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl Outgoing {
    pub(super) fn new(body: Body) -> (Self, Arc<Sending>) {
        let (source, left) = match body {
            Body::Empty => (Source::Done, Some(0)),
            Body::Bytes(bytes) => {
                let len = bytes.len() as u64;
                (Source::Bytes(bytes), Some(len))
            }
            Body::Stream(stream) => {
                let len = stream.len_hint();
                (Source::Stream(stream), len)
            }
            Body::Again(again) => return Self::new(Body::Stream((again.open)())),
        };
        let wake = CancellationToken::new();
        // Nothing to hand over: hyper never polls such a body, and from the connection on the
        // whole request may be out.
        let sent = if left == Some(0) { Sent::Whole } else { Sent::Nothing };
        let state = State { sent, given_up: false, fault: None, untouched: None };
        let sending = Arc::new(Sending {
            state: Mutex::new(state),
            starved: AtomicBool::new(false),
            start: Instant::now(),
            last_byte_millis: AtomicU64::new(0),
            wake: wake.clone(),
        });
        let wake = Box::pin(wake.cancelled_owned());
        (
            Self { source, polled: false, held: None, left, sending: Arc::clone(&sending), wake },
            sending,
        )
    }

    fn fail(&mut self, fault: Error) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        self.source = Source::Done;
        self.sending.state().fault = Some(fault);
        Poll::Ready(Some(Err(BodyFault)))
    }

    /// Hands a chunk over, counting it down against the stated length.
    fn hand_over(&mut self, chunk: Bytes) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        self.left = self.left.map(|left| left.saturating_sub(chunk.len() as u64));
        // hyper does not ask again after the last announced byte.
        let sent = if self.left == Some(0) { Sent::Whole } else { Sent::Part };
        if !self.advance(sent) {
            return Poll::Ready(Some(Err(BodyFault)));
        }
        self.sending.touch();
        Poll::Ready(Some(Ok(Frame::data(chunk))))
    }

    /// Notes how far the request is, unless it was given up meanwhile.
    fn advance(&mut self, sent: Sent) -> bool {
        let mut state = self.sending.state();
        if state.given_up {
            drop(state);
            self.source = Source::Done;
            return false;
        }
        state.sent = state.sent.max(sent);
        true
    }
}

fn wrong_length(how: &str) -> Error {
    Error::hub(format!(
        "The data turned out {how} than was announced to the destination. Please send again."
    ))
}

impl http_body::Body for Outgoing {
    type Data = Bytes;
    type Error = BodyFault;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        let this = &mut *self;
        this.polled = true;
        if this.wake.as_mut().poll(cx).is_ready() || !this.advance(Sent::Part) {
            this.source = Source::Done;
            return Poll::Ready(Some(Err(BodyFault)));
        }
        loop {
            let stream = match &mut this.source {
                Source::Done => return Poll::Ready(None),
                Source::Bytes(bytes) => {
                    let bytes = std::mem::take(bytes);
                    this.source = Source::Done;
                    return this.hand_over(bytes);
                }
                Source::Stream(stream) => stream,
            };
            let polled = Pin::new(stream).poll_next(cx);
            this.sending.starved.store(polled.is_pending(), Ordering::Release);
            match ready!(polled) {
                Some(Err(fault)) => return this.fail(fault),
                Some(Ok(_)) if this.held.is_some() => return this.fail(wrong_length("longer")),
                Some(Ok(chunk)) => match this.left.map(|left| left.cmp(&(chunk.len() as u64))) {
                    None | Some(Greater) => return this.hand_over(chunk),
                    Some(Equal) => this.held = Some(chunk),
                    Some(Less) => return this.fail(wrong_length("longer")),
                },
                None => {
                    this.source = Source::Done;
                    if let Some(chunk) = this.held.take() {
                        return this.hand_over(chunk);
                    }
                    if this.left.is_some_and(|left| left > 0) {
                        return this.fail(wrong_length("shorter"));
                    }
                    let ended = this.advance(Sent::Whole);
                    return Poll::Ready(if ended { None } else { Some(Err(BodyFault)) });
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.source, Source::Done) || self.left == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        if !self.polled
            && let Source::Stream(stream) = std::mem::replace(&mut self.source, Source::Done)
        {
            self.sending.state().untouched = Some(stream);
        }
    }
}

/// Tells hyper to break the request off. The real fault waits in [`Sending`].
#[derive(Debug)]
pub(super) struct BodyFault;

impl fmt::Display for BodyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the request's body broke off")
    }
}

impl std::error::Error for BodyFault {}
