//! What is kept of a body while it passes: redacted, and its first bytes alone.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, header};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::locked;
use crate::looker::without;
use crate::recording::{RecordedBody, Redactor, Side};

/// The tape of one body.
pub(super) struct Tape {
    redactor: Redactor,
    kept: Vec<u8>,
    limit: usize,
    bytes: u64,
    cut: bool,
}

/// Shared between the body and whoever writes it down.
pub(super) type SharedTape = Arc<Mutex<Tape>>;

impl Tape {
    /// A body that is compressed could hide anything: nothing of it is kept.
    pub(super) fn new(side: Side, limit: usize, headers: &HeaderMap) -> Self {
        let plain = headers
            .get(header::CONTENT_ENCODING)
            .is_none_or(|encoding| encoding.as_bytes().eq_ignore_ascii_case(b"identity"));
        let limit = if plain { limit } else { 0 };
        Self { redactor: Redactor::new(side), kept: Vec::new(), limit, bytes: 0, cut: false }
    }

    pub(super) fn add(&mut self, piece: &[u8]) {
        self.bytes += piece.len() as u64;
        if self.kept.len() >= self.limit {
            self.cut |= !piece.is_empty();
            return;
        }
        let shown = self.redactor.push(piece);
        let room = (self.limit - self.kept.len()).min(shown.len());
        self.kept.extend_from_slice(&shown[..room]);
        self.cut |= room < shown.len();
    }

    pub(super) fn secrets(&self) -> Vec<String> {
        self.redactor.secrets.clone()
    }

    /// What is written down, without secrets that were seen elsewhere.
    pub(super) fn body(&self, secrets: &[String]) -> RecordedBody {
        let kept = match std::str::from_utf8(&self.kept) {
            Ok(text) => without(text, secrets).into_bytes(),
            // Cut in the middle of a character: the rest is text.
            Err(error) if self.cut && self.kept.len() - error.valid_up_to() < 4 => {
                let text = String::from_utf8_lossy(&self.kept[..error.valid_up_to()]);
                without(&text, secrets).into_bytes()
            }
            Err(_) => self.kept.clone(),
        };
        RecordedBody::of(kept, self.bytes, self.cut)
    }
}

/// A body that passes a tape. Its length and its end are the original's.
pub(super) struct Taped {
    pub(super) body: Incoming,
    pub(super) tape: SharedTape,
}

impl Body for Taped {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let frame = std::task::ready!(Pin::new(&mut self.body).poll_frame(cx));
        Poll::Ready(frame.map(|frame| match frame {
            Ok(frame) => {
                if let Some(data) = frame.data_ref() {
                    locked(&self.tape).add(data);
                }
                Ok(frame)
            }
            Err(error) => Err(io::Error::other(error)),
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
