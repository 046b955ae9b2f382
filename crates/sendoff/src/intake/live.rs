//! Data that flows to the destination while the request is still arriving.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use tokio::sync::oneshot;

use super::tokenizer::Event;
use super::{Decoder, Intake, Refusal};
use crate::{Error, Result};

/// How long a client may go on sending a request whose delivery has failed already. Whoever sends
/// first and reads later would otherwise see a reset connection in place of the reason.
const LINGER: Duration = Duration::from_secs(30);

/// The data, as a stream. Dropped, it hands the rest of the request to its [`Rest`].
pub(crate) struct LiveData {
    intake: Option<Intake>,
    decoder: Decoder,
    back: Option<oneshot::Sender<Result<Intake, Refusal>>>,
}

/// What comes behind the data.
pub(crate) struct Rest {
    back: oneshot::Receiver<Result<Intake, Refusal>>,
}

/// Splits a request at its data.
pub(super) fn split(intake: Intake, decoder: Decoder) -> (LiveData, Rest) {
    let (sender, receiver) = oneshot::channel();
    (LiveData { intake: Some(intake), decoder, back: Some(sender) }, Rest { back: receiver })
}

impl Rest {
    /// What was wrong with the request, once the delivery has let go of its data.
    ///
    /// A delivery that failed for another reason waits a while for the client to finish sending;
    /// one that succeeded without reading everything must still find the request whole.
    pub(crate) async fn settle(self, failed: bool) -> Option<Refusal> {
        let discard = match self.back.await {
            Ok(Ok(intake)) => intake.discard_rest(),
            Ok(Err(refusal)) => return Some(refusal),
            Err(_) => return None,
        };
        if failed {
            let _ = tokio::time::timeout(LINGER, discard).await;
            None
        } else {
            discard.await.err()
        }
    }
}

impl LiveData {
    fn poll_bytes(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Refusal>> {
        let Some(intake) = &mut self.intake else { return Poll::Ready(Ok(None)) };
        loop {
            match ready!(intake.poll_event(cx))? {
                Some(Event::Data(text)) => {
                    let bytes = self.decoder.feed(text)?;
                    if !bytes.is_empty() {
                        return Poll::Ready(Ok(Some(bytes)));
                    }
                }
                Some(Event::DataEnd) => self.decoder.finish()?,
                Some(Event::DataStart { .. }) => return Poll::Ready(Err(Refusal::SecondData)),
                Some(_) => {}
                None => return Poll::Ready(Ok(None)),
            }
        }
    }
}

impl Stream for LiveData {
    type Item = Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match ready!(self.poll_bytes(cx)) {
            Ok(bytes) => Poll::Ready(bytes.map(Ok)),
            Err(refusal) => {
                self.intake = None;
                let error: Error = refusal.error();
                if let Some(back) = self.back.take() {
                    // Nobody may be left to take it; the error below says it all the same.
                    let _ = back.send(Err(refusal));
                }
                Poll::Ready(Some(Err(error)))
            }
        }
    }
}

impl Drop for LiveData {
    fn drop(&mut self) {
        if let (Some(intake), Some(back)) = (self.intake.take(), self.back.take()) {
            // Nobody may be left to take it; then it is dropped.
            let _ = back.send(Ok(intake));
        }
    }
}
