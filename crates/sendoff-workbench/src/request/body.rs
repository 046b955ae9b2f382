//! A request body, written while it is sent, and the record of what was.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use futures_util::stream::{self, Stream, StreamExt};
use http_body::Frame;

use super::Source;
use super::encoding::{Encoding, Part};
use crate::exchange::Peek;

/// The first bytes of a body on its way and the time of the last, shared between the body and
/// whoever shows it.
#[derive(Clone)]
pub(crate) struct Record(Arc<Mutex<(Peek, Instant)>>);

impl Default for Record {
    fn default() -> Self {
        Self(Arc::new(Mutex::new((Peek::default(), Instant::now()))))
    }
}

impl Record {
    pub(crate) fn add(&self, sent: usize, shown: &[u8]) {
        let mut record = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        record.0.add(sent, shown);
        record.1 = Instant::now();
    }

    /// What was recorded so far.
    pub(crate) fn peek(&self) -> Peek {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0.clone()
    }

    /// When the last bytes went.
    pub(crate) fn last(&self) -> Instant {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1
    }
}

/// A piece of a body: what is sent, and what stands in the record in its place.
pub(crate) struct Written {
    pub(crate) bytes: Bytes,
    pub(crate) shown: Bytes,
}

/// The pieces of a body as they are written.
pub(crate) type Writing = Pin<Box<dyn Stream<Item = io::Result<Written>> + Send>>;

/// The body of a request, written while it is sent.
pub(crate) struct RequestBody {
    writing: Writing,
    record: Record,
    ended: bool,
}

impl RequestBody {
    pub(super) fn of(
        writing: impl Stream<Item = io::Result<Written>> + Send + 'static,
        is_empty: bool,
    ) -> Self {
        Self { writing: Box::pin(writing), record: Record::default(), ended: is_empty }
    }

    /// An empty body, as the list call has.
    pub(crate) fn empty() -> Self {
        Self::of(stream::empty(), true)
    }

    /// A body as it is, and what stands in the record in its place.
    pub(crate) fn text(bytes: impl Into<Bytes>, shown: impl Into<Bytes>) -> Self {
        let part = Part::Ready { bytes: bytes.into(), shown: shown.into() };
        Self::of(Parts(VecDeque::from([part])), false)
    }

    /// A body in chunks as they become ready.
    pub(crate) fn stream(source: Source) -> Self {
        let part = Part::Data { source, encoding: Encoding::Verbatim };
        Self::of(Parts(VecDeque::from([part])), false)
    }

    /// The body with its pieces changed on their way.
    pub(crate) fn changed(mut self, change: impl FnOnce(Writing) -> Writing) -> Self {
        self.writing = change(self.writing);
        self
    }

    pub(crate) fn record(&self) -> Record {
        self.record.clone()
    }
}

/// The parts of a body, one after the other.
pub(super) struct Parts(pub(super) VecDeque<Part>);

impl Stream for Parts {
    type Item = io::Result<Written>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let parts = &mut self.0;
        loop {
            let written = match parts.pop_front() {
                None => return Poll::Ready(None),
                Some(Part::Ready { bytes, shown }) => Written { bytes, shown },
                Some(Part::Data { mut source, mut encoding }) => {
                    let bytes = match source.poll_next_unpin(cx) {
                        Poll::Pending => {
                            parts.push_front(Part::Data { source, encoding });
                            return Poll::Pending;
                        }
                        Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error))),
                        Poll::Ready(Some(Ok(chunk))) => {
                            let bytes = encoding.encode(chunk);
                            parts.push_front(Part::Data { source, encoding });
                            bytes
                        }
                        Poll::Ready(None) => encoding.finish(),
                    };
                    Written { shown: bytes.clone(), bytes }
                }
            };
            if !written.bytes.is_empty() {
                return Poll::Ready(Some(Ok(written)));
            }
        }
    }
}

impl http_body::Body for RequestBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        match std::task::ready!(self.writing.as_mut().poll_next(cx)) {
            Some(Ok(written)) => {
                self.record.add(written.bytes.len(), &written.shown);
                Poll::Ready(Some(Ok(Frame::data(written.bytes))))
            }
            Some(Err(error)) => {
                self.ended = true;
                Poll::Ready(Some(Err(error)))
            }
            None => {
                self.ended = true;
                Poll::Ready(None)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.ended
    }
}
