//! A large body, which its delivery reads from the socket by itself.
//!
//! hyper hands a body from the connection's task to whoever reads it, one HTTP chunk at a time. A
//! delivery that only passes bytes on would spend as much time on waking one task from the other
//! as on the bytes. So hyper gets the head without what says how long the body is, and the body
//! gets the connection's reading half until it ends: it reads as much as there is, takes the chunk
//! framing out in place and hands all of it on at once.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http::header::{CONTENT_LENGTH, EXPECT, HeaderValue, TRANSFER_ENCODING};
use http_body::{Body, Frame, SizeHint};
use tokio::io::AsyncRead;

use super::chunked::Chunked;
use super::halves::Reading;
use super::head::Framing;

/// How much is read at once: at first, and when as much was there every time. What stalled
/// deliveries hold is about twice this each.
const READ: std::ops::RangeInclusive<usize> = 16 * 1024..=256 * 1024;

/// Bodies up to this size go through hyper, whose connection then takes further requests.
pub(super) const SMALL: u64 = 64 * 1024;

const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// A connection's reading half on its way from the socket to a body and back.
#[derive(Clone, Default)]
pub(super) struct Loan(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// For the body of the request whose head hyper was given last. hyper may not have come to it
    /// yet: it reads ahead.
    offered: Option<Offer>,
    /// Heads that hyper was given, and requests that it made of them.
    heads: u64,
    requests: u64,
    /// A body has it.
    out: bool,
    /// Back from a body, with what was read beyond it.
    back: Option<Reading>,
    /// The last body was not read to its end: what comes next is no request.
    lost: bool,
    socket: Option<Waker>,
    /// A byte of the answer went out.
    answered: bool,
}

struct Offer {
    half: Reading,
    begun: BytesMut,
    framing: Framing,
}

impl Loan {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that hyper is given a head.
    pub(super) fn head(&self) {
        let mut state = self.state();
        state.heads += 1;
        state.answered = false;
    }

    /// Gives the half away to the body of the last head; `begun` was read behind that.
    pub(super) fn offer(&self, half: Reading, begun: BytesMut, framing: Framing) {
        self.state().offered = Some(Offer { half, begun, framing });
    }

    /// The body of the request that hyper has just parsed, and the headers that hyper did not see.
    pub(super) fn body(&self, headers: &mut HeaderMap) -> Option<Direct> {
        let mut state = self.state();
        state.requests += 1;
        if state.requests != state.heads {
            return None;
        }
        let Offer { half, begun, framing } = state.offered.take()?;
        state.out = true;
        drop(state);
        let (name, value) = match framing {
            Framing::Length(length) => (CONTENT_LENGTH, HeaderValue::from(length)),
            _ => (TRANSFER_ENCODING, HeaderValue::from_static("chunked")),
        };
        headers.insert(name, value);
        let awaited = headers.get(EXPECT).is_some_and(|value| {
            value.as_bytes().eq_ignore_ascii_case(b"100-continue") && begun.is_empty()
        });
        let rest = match framing {
            Framing::Length(length) => Rest::Length(length),
            _ => Rest::Chunked(Chunked::default()),
        };
        let (loan, size) = (self.clone(), *READ.start());
        Some(Direct { loan, half: Some(half), buffer: begun, rest, size, awaited })
    }

    /// Whether the body of the request that hyper parsed last was not read to its end, yet or ever.
    pub(super) fn is_unfinished(&self) -> bool {
        let state = self.state();
        state.out || state.lost
    }

    /// The half, once the body has ended.
    pub(super) fn poll_back(&self, cx: &Context<'_>) -> Poll<Reading> {
        let mut state = self.state();
        if !state.lost
            && let Some(half) = state.back.take()
        {
            return Poll::Ready(half);
        }
        state.socket = Some(cx.waker().clone());
        Poll::Pending
    }

    /// The half, wherever it is but in a body, to read what nobody looks at any more.
    pub(super) fn take_back(&self) -> Option<Reading> {
        let mut state = self.state();
        let offered = state.offered.take().map(|offer| offer.half);
        offered.or_else(|| state.back.take())
    }

    /// Notes that the answer has begun: no `100 Continue` may follow.
    pub(super) fn answer(&self) {
        self.state().answered = true;
    }
}

/// How much of the body is still to come.
enum Rest {
    Length(u64),
    Chunked(Chunked),
}

/// The body of one request.
pub(super) struct Direct {
    loan: Loan,
    /// None once the body has ended.
    half: Option<Reading>,
    /// Read, not handed on.
    buffer: BytesMut,
    rest: Rest,
    /// How much the next read asks for.
    size: usize,
    /// The caller sends nothing before he is told to.
    awaited: bool,
}

impl Direct {
    /// What the buffer holds of the data, and whether the body ends there.
    fn take(&mut self) -> io::Result<(Bytes, bool)> {
        match &mut self.rest {
            Rest::Length(left) => {
                let size = usize::try_from(*left).unwrap_or(usize::MAX).min(self.buffer.len());
                *left -= size as u64;
                Ok((self.buffer.split_to(size).freeze(), *left == 0))
            }
            Rest::Chunked(chunked) => {
                let (data, ended) = chunked.take(&mut self.buffer)?;
                Ok((data.freeze(), ended))
            }
        }
    }

    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(half) = &mut self.half else { return Poll::Ready(Ok(())) };
        if std::mem::take(&mut self.awaited) {
            let state = self.loan.state();
            if !state.answered {
                // It fits: nothing else was written. If not, the caller gets tired of waiting.
                let _ = half.try_write(CONTINUE);
            }
        }
        let most = match self.rest {
            // What lies behind the body is the next request's.
            Rest::Length(left) => usize::try_from(left).unwrap_or(usize::MAX).min(self.size),
            Rest::Chunked(_) => self.size,
        };
        let bytes = ready!(half.poll_bytes(cx, most))?;
        let read = bytes.len();
        // Nobody else has them: they are not copied.
        self.buffer = Bytes::from(bytes).into();
        if read == 0 {
            let fault = "the connection ended before the body did";
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::UnexpectedEof, fault)));
        }
        if read == self.size {
            self.size = (self.size * 2).min(*READ.end());
        } else if read < self.size / 4 {
            self.size = (self.size / 2).max(*READ.start());
        }
        Poll::Ready(Ok(()))
    }

    fn give_back(&mut self, whole: bool) {
        let Some(half) = self.half.take() else { return };
        let mut state = self.loan.state();
        state.out = false;
        state.back = Some(half);
        state.lost = !whole;
        let socket = state.socket.take();
        drop(state);
        if let Some(socket) = socket {
            socket.wake();
        }
    }
}

impl Drop for Direct {
    fn drop(&mut self) {
        self.give_back(false);
    }
}

impl Body for Direct {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let this = self.get_mut();
        while this.half.is_some() {
            let (data, ended) = match this.take() {
                Ok(taken) => taken,
                Err(fault) => {
                    this.give_back(false);
                    return Poll::Ready(Some(Err(fault)));
                }
            };
            if ended {
                this.give_back(true);
            }
            if !data.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(data))));
            }
            if !ended && let Err(fault) = ready!(this.poll_fill(cx)) {
                this.give_back(false);
                return Poll::Ready(Some(Err(fault)));
            }
        }
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        self.half.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match self.rest {
            Rest::Length(left) => SizeHint::with_exact(left),
            Rest::Chunked(_) => SizeHint::default(),
        }
    }
}

/// Reads what is there into nowhere. Says whether the caller has ended his side.
pub(super) fn poll_discard(half: &mut Reading, cx: &mut Context<'_>) -> Poll<bool> {
    let mut bytes = [0; 4 * 1024];
    let mut buffer = tokio::io::ReadBuf::new(&mut bytes);
    let read = ready!(Pin::new(half).poll_read(cx, &mut buffer));
    Poll::Ready(read.is_err() || buffer.filled().is_empty())
}
