//! The two halves of a connection, which need not be watched.
//!
//! While one core passes a fast body on, another one that has nothing to do waits for sockets to
//! become ready. It is woken for every segment of that body, finds nobody who waits for it, and
//! goes back to sleep, which costs a tenth of the time that the body takes. So the connection of a
//! large body is parted into two descriptors. The reading one goes unwatched as long as each read
//! finds as much as was asked for, the writing one as long as nothing has to wait.

use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rustix::io::Errno;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::task::coop;
use tokio_util::io::poll_read_buf;

/// After so many full reads in a row a socket goes unwatched.
const FULL_READS: u32 = 4;

/// What is read from.
pub(super) struct Reading(Source);

enum Source {
    /// It shares its descriptor with the writing half.
    Shared(OwnedReadHalf),
    /// And how many reads in a row were full.
    Own(Own, u32),
}

/// What is written to.
pub(super) struct Writing(Sink);

enum Sink {
    Shared(OwnedWriteHalf),
    Own(Own),
}

/// A descriptor that is watched when somebody waits for it.
enum Own {
    Watched(TcpStream),
    Unwatched(std::net::TcpStream),
    /// Watching it failed.
    Lost,
}

/// The halves as tokio parts them.
pub(super) fn halves(tcp: TcpStream) -> (Reading, Writing) {
    let (reading, writing) = tcp.into_split();
    (Reading(Source::Shared(reading)), Writing(Sink::Shared(writing)))
}

/// Gives each half a descriptor of its own, if there is one left. Halves that have one stay as they
/// are.
///
/// # Errors
/// The connection was lost.
pub(super) fn part(reading: Reading, writing: &mut Writing) -> io::Result<Reading> {
    let half = match reading.0 {
        Source::Shared(half) => half,
        own => return Ok(Reading(own)),
    };
    let Sink::Shared(other) = std::mem::replace(&mut writing.0, Sink::Own(Own::Lost)) else {
        return Err(lost());
    };
    let tcp = half.reunite(other).map_err(io::Error::other)?;
    let Ok(second) = tcp.as_fd().try_clone_to_owned() else {
        let (reading, half) = tcp.into_split();
        writing.0 = Sink::Shared(half);
        return Ok(Reading(Source::Shared(reading)));
    };
    writing.0 = Sink::Own(Own::Unwatched(tcp.into_std()?));
    Ok(Reading(Source::Own(Own::Unwatched(second.into()), 0)))
}

fn lost() -> io::Error {
    io::Error::new(io::ErrorKind::NotConnected, "the connection was lost")
}

impl Own {
    /// Does what would wait if the socket is not ready.
    fn poll<T>(
        &mut self,
        cx: &mut Context<'_>,
        interest: Interest,
        mut work: impl FnMut(BorrowedFd<'_>) -> Result<T, Errno>,
    ) -> Poll<io::Result<T>> {
        loop {
            match self {
                Self::Unwatched(tcp) => {
                    // Nothing else here gives way to other tasks.
                    let budget = ready!(coop::poll_proceed(cx));
                    match work(tcp.as_fd()) {
                        Err(Errno::INTR) => {}
                        Err(Errno::AGAIN) => self.watch()?,
                        result => {
                            budget.made_progress();
                            return Poll::Ready(result.map_err(Into::into));
                        }
                    }
                }
                Self::Watched(tcp) => {
                    ready!(if interest.is_readable() {
                        tcp.poll_read_ready(cx)
                    } else {
                        tcp.poll_write_ready(cx)
                    })?;
                    match tcp.try_io(interest, || Ok(work(tcp.as_fd())?)) {
                        // It was not ready after all.
                        Err(fault) if fault.kind() == io::ErrorKind::WouldBlock => {}
                        Err(fault) if fault.kind() == io::ErrorKind::Interrupted => {}
                        result => return Poll::Ready(result),
                    }
                }
                Self::Lost => return Poll::Ready(Err(lost())),
            }
        }
    }

    fn is_watched(&self) -> bool {
        matches!(self, Self::Watched(_))
    }

    fn watch(&mut self) -> io::Result<()> {
        if let Self::Unwatched(tcp) = std::mem::replace(self, Self::Lost) {
            *self = Self::Watched(TcpStream::from_std(tcp)?);
        }
        Ok(())
    }

    fn leave(&mut self) -> io::Result<()> {
        if self.is_watched()
            && let Self::Watched(tcp) = std::mem::replace(self, Self::Lost)
        {
            *self = Self::Unwatched(tcp.into_std()?);
        }
        Ok(())
    }
}

impl Reading {
    /// Reads as much as is there, at most `most` bytes. Empty at the end.
    pub(super) fn poll_bytes(
        &mut self,
        cx: &mut Context<'_>,
        most: usize,
    ) -> Poll<io::Result<Vec<u8>>> {
        let mut bytes = Vec::new();
        match &mut self.0 {
            Source::Shared(half) => {
                bytes.reserve_exact(most);
                ready!(poll_read_buf(Pin::new(half), cx, &mut bytes))?;
            }
            Source::Own(own, full) => {
                ready!(poll_own(own, full, cx, most, |tcp| {
                    // Not before there is something: many may wait.
                    bytes.reserve_exact(most);
                    rustix::io::read(tcp, rustix::buffer::spare_capacity(&mut bytes))
                }))?;
            }
        }
        Poll::Ready(Ok(bytes))
    }

    /// Writes a few bytes past the writing half, if they go out at once.
    pub(super) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match &self.0 {
            Source::Shared(half) => half.as_ref().try_write(bytes),
            Source::Own(Own::Watched(tcp), _) => Ok(rustix::io::write(tcp, bytes)?),
            Source::Own(Own::Unwatched(tcp), _) => Ok(rustix::io::write(tcp, bytes)?),
            Source::Own(Own::Lost, _) => Err(lost()),
        }
    }
}

/// Reads, and watches the socket no longer when `most` bytes were there every time.
fn poll_own(
    own: &mut Own,
    full: &mut u32,
    cx: &mut Context<'_>,
    most: usize,
    read: impl FnMut(BorrowedFd<'_>) -> Result<usize, Errno>,
) -> Poll<io::Result<usize>> {
    let watched = own.is_watched();
    let poll = own.poll(cx, Interest::READABLE, read);
    if own.is_watched() && !watched {
        *full = 0;
    }
    let read = ready!(poll)?;
    *full = if read < most { 0 } else { full.saturating_add(1) };
    if *full >= FULL_READS {
        own.leave()?;
    }
    Poll::Ready(Ok(read))
}

impl AsyncRead for Reading {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.get_mut().0 {
            Source::Shared(half) => Pin::new(half).poll_read(cx, out),
            Source::Own(own, full) => {
                let most = out.remaining();
                let room = out.initialize_unfilled();
                let read = |tcp: BorrowedFd<'_>| rustix::io::read(tcp, &mut *room);
                let read = ready!(poll_own(own, full, cx, most, read))?;
                out.advance(read);
                Poll::Ready(Ok(()))
            }
        }
    }
}

impl AsyncWrite for Writing {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().0 {
            Sink::Shared(half) => Pin::new(half).poll_write_vectored(cx, bytes),
            Sink::Own(own) => {
                own.poll(cx, Interest::WRITABLE, |tcp| rustix::io::writev(tcp, bytes))
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// TCP holds nothing back: whoever flushes waits for nothing any more.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().0 {
            Sink::Shared(_) => Poll::Ready(Ok(())),
            Sink::Own(own) => Poll::Ready(own.leave()),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().0 {
            Sink::Shared(half) => Pin::new(half).poll_shutdown(cx),
            Sink::Own(Own::Watched(tcp)) => Pin::new(tcp).poll_shutdown(cx),
            Sink::Own(Own::Unwatched(tcp)) => Poll::Ready(tcp.shutdown(Shutdown::Write)),
            Sink::Own(Own::Lost) => Poll::Ready(Ok(())),
        }
    }
}

#[cfg(test)]
mod tests;
