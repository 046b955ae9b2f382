//! A stream of bytes that ends well only if all of them came.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::{Stream, StreamExt};

use crate::Result;

/// Looker's bytes as they arrive, one chunk at a time.
///
/// The stream ends with `None` only after Looker's request was read to its end and found whole.
/// If it breaks off, the last item is an error that says so: a destination then aborts its upload
/// and hands the error on.
pub struct ByteStream {
    chunks: Pin<Box<dyn Stream<Item = Result<Bytes>> + Send>>,
    len: Option<u64>,
}

impl ByteStream {
    /// Wraps a stream of chunks.
    pub fn new(chunks: impl Stream<Item = Result<Bytes>> + Send + 'static) -> Self {
        Self { chunks: Box::pin(chunks), len: None }
    }

    /// States how many bytes will come.
    #[must_use]
    pub fn with_len(mut self, len: u64) -> Self {
        self.len = Some(len);
        self
    }

    /// How many bytes will come, where that is known beforehand.
    pub fn len_hint(&self) -> Option<u64> {
        self.len
    }

    /// The next chunk; never empty.
    pub async fn next(&mut self) -> Option<Result<Bytes>> {
        StreamExt::next(self).await
    }
}

impl Stream for ByteStream {
    type Item = Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.chunks.as_mut().poll_next(cx)
    }
}

impl fmt::Debug for ByteStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ByteStream").field("len", &self.len).finish_non_exhaustive()
    }
}
