//! What the stand-in saw: its latest requests, each with the start of its body and answer.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::StreamExt;
use http::header::CONTENT_TYPE;
use http::{Request, StatusCode};

use crate::ByteStream;

/// The log keeps so many of the latest requests.
const LOGGED: usize = 1_000;
/// And so much of the start of each one's body and answer.
const KEPT: usize = 2 * 1024;

/// One request that came.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Method and path.
    pub line: String,
    /// Whether it makes the data visible.
    pub commits: bool,
    /// Whether a fault hit it.
    pub hit: bool,
    /// Its `Content-Type`; empty without one.
    pub media_type: String,
    /// How its body began.
    pub body: Vec<u8>,
    /// How many bytes of its body came.
    pub bytes: u64,
    /// The answer's status, if one was given.
    pub status: Option<u16>,
    /// How the answer's body began.
    pub answer: Vec<u8>,
    pub(super) number: u64,
}

/// The requests that came.
#[derive(Default)]
pub(super) struct Log {
    entries: Mutex<VecDeque<Seen>>,
    count: AtomicU64,
}

impl Log {
    pub(super) fn entries(&self) -> MutexGuard<'_, VecDeque<Seen>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add<B>(&self, request: &Request<B>, commits: bool) -> u64 {
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        let media_type = request.headers().get(CONTENT_TYPE);
        let mut entries = self.entries();
        if entries.len() == LOGGED {
            entries.pop_front();
        }
        entries.push_back(Seen {
            line: format!("{} {}", request.method(), request.uri()),
            commits,
            hit: false,
            media_type: media_type.and_then(|text| text.to_str().ok()).unwrap_or_default().into(),
            body: Vec::new(),
            bytes: 0,
            status: None,
            answer: Vec::new(),
            number,
        });
        number
    }

    pub(super) fn change(&self, number: u64, change: impl FnOnce(&mut Seen)) {
        if let Some(seen) = self.entries().iter_mut().rev().find(|seen| seen.number == number) {
            change(seen);
        }
    }

    /// The body, noted as it is read.
    pub(super) fn tap(self: &Arc<Self>, number: u64, body: ByteStream) -> ByteStream {
        let (log, len) = (Arc::clone(self), body.len_hint());
        let tapped = ByteStream::new(body.inspect(move |chunk| {
            if let Ok(chunk) = chunk {
                log.change(number, |seen| {
                    let room = KEPT.saturating_sub(seen.body.len()).min(chunk.len());
                    seen.body.extend_from_slice(&chunk[..room]);
                    seen.bytes += chunk.len() as u64;
                });
            }
        }));
        match len {
            Some(len) => tapped.with_len(len),
            None => tapped,
        }
    }

    pub(super) fn answered(&self, number: u64, status: StatusCode, body: &[u8]) {
        self.change(number, |seen| {
            seen.status = Some(status.as_u16());
            seen.answer = body[..body.len().min(KEPT)].to_vec();
        });
    }
}
