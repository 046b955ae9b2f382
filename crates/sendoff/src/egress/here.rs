//! Connections that are driven by whoever reads from them.
//!
//! hyper drives a connection in a task of its own, which hands each piece of a body to the reader's
//! task. Where all that is read goes straight on, waking one task from the other takes as long as
//! the bytes do. A reader that polls the connection as well needs no waking.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::stream::FuturesUnordered;
use futures_util::{Stream, StreamExt};

use crate::{ByteStream, Result};

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What hyper asks to run its tasks. They wait until a [`Driver`] takes them.
#[derive(Clone, Default)]
pub(super) struct Here(Arc<Mutex<Vec<Task>>>);

impl Here {
    fn take(&self) -> Vec<Task> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<F: Future<Output = ()> + Send + 'static> hyper::rt::Executor<F> for Here {
    fn execute(&self, task: F) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Box::pin(task));
    }
}

/// Runs hyper's tasks while something else is waited for. Dropped, it ends them, and with them
/// their connections.
#[derive(Default)]
pub(super) struct Driver {
    here: Here,
    running: FuturesUnordered<Task>,
}

impl Driver {
    /// Where hyper's tasks go.
    pub(super) fn here(&self) -> Here {
        self.here.clone()
    }

    /// `work`, while the tasks run.
    pub(super) async fn drive<F: Future>(&mut self, work: F) -> F::Output {
        let mut work = pin!(work);
        poll_fn(|cx| self.poll(cx, |cx| work.as_mut().poll(cx))).await
    }

    /// `stream`, whose reader runs the tasks.
    pub(super) fn stream(self, stream: ByteStream) -> ByteStream {
        let len = stream.len_hint();
        let driven = ByteStream::new(Driven { driver: self, stream });
        match len {
            Some(len) => driven.with_len(len),
            None => driven,
        }
    }

    /// Runs the tasks, then `work`, then what tasks it began.
    fn poll<T>(
        &mut self,
        cx: &mut Context<'_>,
        mut work: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        loop {
            while let Poll::Ready(Some(())) = self.running.poll_next_unpin(cx) {}
            let poll = work(cx);
            let begun = self.here.take();
            if poll.is_ready() || begun.is_empty() {
                self.running.extend(begun);
                return poll;
            }
            self.running.extend(begun);
        }
    }
}

struct Driven {
    driver: Driver,
    stream: ByteStream,
}

impl Stream for Driven {
    type Item = Result<Bytes>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes>>> {
        let Self { driver, stream } = self.get_mut();
        driver.poll(cx, |cx| Pin::new(&mut *stream).poll_next(cx))
    }
}
