//! An accepted connection: heads judged before hyper reads them, slow peers cut, closed gently.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::BytesMut;
use futures_util::task::AtomicWaker;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep, sleep_until};

use super::direct::{Loan, SMALL, poll_discard};
use super::halves::{Reading, Writing, halves, part};
use super::head::{self, Framing};

/// How long a kept connection may wait for its next request: longer than nginx and AWS keep theirs
/// (60 s), so that the proxy is the one who closes and no request meets a closing connection.
const KEPT: Duration = Duration::from_secs(75);
/// How long what was written may stay unread.
const WRITE: Duration = Duration::from_secs(60);
/// How long a caller who still sends may take to read the answer after the hub has closed its
/// side. Closing at once would reset the connection and could take the answer away with it.
const LINGER: Duration = Duration::from_secs(1);
/// What hyper answers with 400 and closes on.
const REFUSED: &[u8] = b"\0";
const READ_AT_ONCE: usize = 4 * 1024;

/// What the head of a request may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct HeadLimits {
    pub(super) bytes: usize,
    pub(super) headers: usize,
    pub(super) time: Duration,
}

/// The requests of one connection that are being answered.
#[derive(Clone, Debug, Default)]
pub(super) struct InFlight(Arc<Requests>);

#[derive(Debug, Default)]
struct Requests {
    count: AtomicUsize,
    /// The socket, whose patience begins when the last one is answered: hyper may have asked it
    /// for bytes before that, and need not ask again.
    socket: AtomicWaker,
}

impl InFlight {
    /// Counts one until the guard is dropped.
    pub(super) fn begin(&self) -> Answering {
        self.0.count.fetch_add(1, Ordering::Relaxed);
        Answering(self.clone())
    }

    /// Whether there is none; if there is, `cx` is woken after the last.
    fn none(&self, cx: &Context<'_>) -> bool {
        self.0.socket.register(cx.waker());
        self.0.count.load(Ordering::Acquire) == 0
    }
}

/// A request that is being answered.
#[derive(Debug)]
pub(super) struct Answering(InFlight);

impl Drop for Answering {
    fn drop(&mut self) {
        if self.0.0.count.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.0.socket.wake();
        }
    }
}

/// What the next bytes are.
enum Expect {
    /// A request's head, which is held back until it is complete.
    Head,
    /// The rest of a body of known length.
    Body(u64),
    /// A body that somebody else reads: nothing before it has ended.
    Lent,
    /// Anything: HTTP/2 has frames.
    Anything,
    /// Nothing more: a head was refused.
    Nothing,
}

pub(super) struct Socket {
    /// None while a body has it.
    reading: Option<Reading>,
    writing: Writing,
    loan: Loan,
    limits: HeadLimits,
    in_flight: InFlight,
    expect: Expect,
    /// What was read and not handed on. `..ready` may be.
    held: Vec<u8>,
    ready: usize,
    /// What was read behind a body that was lent out.
    behind: Vec<u8>,
    /// How much of an unfinished head was judged.
    looked_at: usize,
    /// When the head, or its first byte, must have come; whether a byte of it has.
    waiting: Option<(Pin<Box<Sleep>>, bool)>,
    first: bool,
    /// Runs while a write waits.
    stuck: Option<Pin<Box<Sleep>>>,
    /// A byte of an answer to the last request was written.
    answered: bool,
    lingering: Option<Pin<Box<Sleep>>>,
    shut: bool,
}

impl Socket {
    pub(super) fn new(tcp: TcpStream, limits: HeadLimits, in_flight: InFlight, loan: Loan) -> Self {
        let (reading, writing) = halves(tcp);
        Self {
            reading: Some(reading),
            writing,
            loan,
            limits,
            in_flight,
            expect: Expect::Head,
            held: Vec::new(),
            ready: 0,
            behind: Vec::new(),
            looked_at: 0,
            waiting: None,
            first: true,
            stuck: None,
            answered: false,
            lingering: None,
            shut: false,
        }
    }

    /// Judges what is held, and decides how much of it may go on.
    fn judge(&mut self) {
        let looked_at = std::mem::replace(&mut self.looked_at, self.held.len());
        let end = head::end(&self.held, looked_at);
        let size = end.unwrap_or(self.held.len());
        let bare = head::has_bare_line_feed(&self.held[..size], looked_at.min(size));
        let judged = match end {
            _ if size > self.limits.bytes || bare => Err(head::Doubtful),
            Some(end) => head::judge(&self.held[..end], self.limits.headers),
            None => return,
        };
        self.waiting = None;
        self.first = false;
        self.looked_at = 0;
        self.answered = false;
        match judged {
            Ok(framing) => {
                self.ready = size;
                self.loan.head();
                self.expect = match framing {
                    Framing::Length(0) => Expect::Head,
                    Framing::Length(length @ ..=SMALL) => Expect::Body(length),
                    Framing::Length(_) | Framing::Chunked => self.lend(framing),
                    Framing::Http2 => Expect::Anything,
                };
            }
            Err(head::Doubtful) => {
                self.held = REFUSED.to_vec();
                self.ready = REFUSED.len();
                self.expect = Expect::Nothing;
            }
        }
    }

    /// Gives the reading half to the body of the request whose head is held. hyper learns of no
    /// body.
    fn lend(&mut self, framing: Framing) -> Expect {
        let Some(reading) = self.reading.take() else { return Expect::Nothing };
        let half = match part(reading, &mut self.writing) {
            Ok(half) => half,
            Err(fault) => {
                tracing::warn!(%fault, "a connection was lost: its body cannot be read");
                return Expect::Nothing;
            }
        };
        let mut begun = self.held.split_off(self.ready);
        if let Framing::Length(length) = framing
            && begun.len() as u64 > length
        {
            // As long as what is held, so it fits.
            self.behind = begun.split_off(length as usize);
        }
        self.held = head::without_framing(&self.held);
        self.ready = self.held.len();
        self.loan.offer(half, BytesMut::from(&begun[..]), framing);
        Expect::Lent
    }

    /// Hands on what may go on. False when there is nothing.
    fn hand_on(&mut self, out: &mut ReadBuf<'_>) -> bool {
        let mut size = self.ready.min(out.remaining());
        if self.ready == 0 {
            let held = self.held.len();
            size = match &mut self.expect {
                Expect::Head | Expect::Lent | Expect::Nothing => 0,
                Expect::Anything => held.min(out.remaining()),
                Expect::Body(left) => {
                    let size = usize::try_from(*left).unwrap_or(usize::MAX);
                    let size = size.min(held).min(out.remaining());
                    *left -= size as u64;
                    if *left == 0 {
                        self.expect = Expect::Head;
                    }
                    size
                }
            };
        } else {
            self.ready -= size;
        }
        out.put_slice(&self.held[..size]);
        self.held.drain(..size);
        size > 0
    }

    /// Fails when the head, or the next request, takes too long.
    fn poll_patience(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if !self.in_flight.none(cx) {
            // The caller waits for us.
            self.waiting = None;
            return Ok(());
        }
        let begun = !self.held.is_empty();
        if self.waiting.as_ref().is_none_or(|(_, had_begun)| *had_begun != begun) {
            let patience = if begun || self.first { self.limits.time } else { KEPT };
            // A first head has one limit, from the connection's beginning.
            let sleep = match self.waiting.take() {
                Some((sleep, _)) if self.first => sleep,
                _ => Box::pin(sleep_until(Instant::now() + patience)),
            };
            self.waiting = Some((sleep, begun));
        }
        if let Some((sleep, _)) = &mut self.waiting
            && sleep.as_mut().poll(cx).is_ready()
        {
            let fault = "the request's head took too long";
            return Err(io::Error::new(io::ErrorKind::TimedOut, fault));
        }
        Ok(())
    }

    /// Reads from the connection, if no body has it.
    fn poll_tcp(&mut self, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &mut self.reading {
            Some(reading) => Pin::new(reading).poll_read(cx, out),
            None => Poll::Pending,
        }
    }

    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        loop {
            let mut bytes = [0; READ_AT_ONCE];
            let mut buffer = ReadBuf::new(&mut bytes);
            if self.poll_tcp(cx, &mut buffer)?.is_pending() {
                self.poll_patience(cx)?;
                return Poll::Pending;
            }
            if buffer.filled().is_empty() {
                return Poll::Ready(Ok(false));
            }
            self.held.extend_from_slice(buffer.filled());
            self.judge();
            if self.ready > 0 {
                return Poll::Ready(Ok(true));
            }
        }
    }

    /// From here on no interim answer may go out.
    fn begin_answer(&mut self) {
        if !std::mem::replace(&mut self.answered, true) {
            self.loan.answer();
        }
    }

    /// Keeps the time of a write: from the first byte that could not go out until all have.
    fn poll_write_time<T>(
        &mut self,
        cx: &mut Context<'_>,
        poll: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if poll.is_pending() {
            let limit = self.stuck.get_or_insert_with(|| Box::pin(sleep(WRITE)));
            ready!(limit.as_mut().poll(cx));
            let fault = io::Error::new(io::ErrorKind::TimedOut, "the answer was not read in time");
            return Poll::Ready(Err(fault));
        }
        poll
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            if this.hand_on(out) || out.remaining() == 0 {
                return Poll::Ready(Ok(()));
            }
            match &mut this.expect {
                Expect::Head => {
                    // A request may have come behind the one before it.
                    if this.held.len() > this.looked_at {
                        this.judge();
                    }
                    if this.ready == 0 && !ready!(this.poll_head(cx))? {
                        return Poll::Ready(Ok(()));
                    }
                }
                Expect::Nothing => return Poll::Pending,
                Expect::Lent => {
                    this.reading = Some(ready!(this.loan.poll_back(cx)));
                    this.held = std::mem::take(&mut this.behind);
                    this.expect = Expect::Head;
                }
                Expect::Anything => {
                    let poll = this.poll_tcp(cx, out);
                    if poll.is_pending() {
                        this.poll_patience(cx)?;
                    }
                    return poll;
                }
                Expect::Body(left) => {
                    let before = out.filled().len();
                    let left = &mut *left;
                    let Some(reading) = &mut this.reading else { return Poll::Pending };
                    ready!(Pin::new(reading).poll_read(cx, out))?;
                    let read = (out.filled().len() - before) as u64;
                    if read < *left {
                        *left -= read;
                    } else {
                        // What lies behind the body is the next request's.
                        let end = before + usize::try_from(*left).unwrap_or(usize::MAX);
                        this.held.extend_from_slice(&out.filled()[end..]);
                        out.set_filled(end);
                        this.expect = Expect::Head;
                    }
                    return Poll::Ready(Ok(()));
                }
            }
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.begin_answer();
        let poll = Pin::new(&mut this.writing).poll_write(cx, bytes);
        this.poll_write_time(cx, poll)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.begin_answer();
        let poll = Pin::new(&mut this.writing).poll_write_vectored(cx, bytes);
        this.poll_write_time(cx, poll)
    }

    fn is_write_vectored(&self) -> bool {
        self.writing.is_write_vectored()
    }

    /// hyper flushes when it holds nothing more.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.stuck = None;
        Pin::new(&mut this.writing).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.shut {
            ready!(Pin::new(&mut this.writing).poll_shutdown(cx))?;
            this.shut = true;
        }
        let limit = this.lingering.get_or_insert_with(|| Box::pin(sleep(LINGER)));
        loop {
            if limit.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Ok(()));
            }
            if this.reading.is_none() {
                this.reading = this.loan.take_back();
            }
            let Some(reading) = &mut this.reading else { return Poll::Pending };
            if ready!(poll_discard(reading, cx)) {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

#[cfg(test)]
mod tests;
