//! Response bodies: whole, or newlines while work goes on and then the JSON.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use serde::Serialize;
use tokio::time::{Interval, MissedTickBehavior};

/// The body of a hub's response.
pub struct Answer(Kind);

enum Kind {
    Whole(Option<Bytes>),
    Working(Working),
}

/// Newlines at an interval, then what the work ends with. JSON readers skip the newlines; proxies
/// and address translators see that the connection is alive. Protocol fact B.
struct Working {
    work: Option<Pin<Box<dyn Future<Output = Bytes> + Send>>>,
    /// The first newline was due when this body was made.
    tick: Interval,
    newlines: Arc<AtomicU64>,
}

impl Answer {
    fn whole(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self(Kind::Whole((!bytes.is_empty()).then_some(bytes)))
    }

    /// A body that ends with what `work` gives, and until then sends a newline every `keep_alive`,
    /// the first one at once. `newlines` counts them.
    pub(super) fn working(
        work: impl Future<Output = Bytes> + Send + 'static,
        keep_alive: Duration,
        newlines: Arc<AtomicU64>,
    ) -> Self {
        let mut tick = tokio::time::interval(keep_alive.max(Duration::from_millis(1)));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self(Kind::Working(Working { work: Some(Box::pin(work)), tick, newlines }))
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let bytes = match &mut self.0 {
            Kind::Whole(bytes) => bytes.take(),
            Kind::Working(working) => ready!(working.poll(cx)),
        };
        Poll::Ready(bytes.map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Whole(bytes) => bytes.is_none(),
            Kind::Working(working) => working.work.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Whole(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |b| b.len() as u64))
            }
            Kind::Working(_) => SizeHint::default(),
        }
    }
}

impl Working {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let Some(work) = &mut self.work else { return Poll::Ready(None) };
        if let Poll::Ready(last) = work.as_mut().poll(cx) {
            self.work = None;
            return Poll::Ready(Some(last));
        }
        ready!(self.tick.poll_tick(cx));
        self.newlines.fetch_add(1, Ordering::Relaxed);
        Poll::Ready(Some(Bytes::from_static(b"\n")))
    }
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self.0 {
            Kind::Whole(_) => "Answer::Whole",
            Kind::Working(_) => "Answer::Working",
        })
    }
}

pub(super) const JSON: &str = "application/json; charset=utf-8";

/// A JSON response.
pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Response<Answer> {
    typed(status, JSON, to_json(value))
}

/// The failure of a request that no action was reached by: the reference hub's shape (protocol
/// fact B).
pub(super) fn problem(status: StatusCode, message: &str) -> Response<Answer> {
    json(status, &serde_json::json!({"success": false, "error": message}))
}

/// A response of the given media type.
pub(super) fn typed(
    status: StatusCode,
    media_type: &'static str,
    body: impl Into<Bytes>,
) -> Response<Answer> {
    respond(status, media_type, Answer::whole(body))
}

/// A 200 whose JSON is still being worked on.
pub(super) fn streaming(answer: Answer) -> Response<Answer> {
    respond(StatusCode::OK, JSON, answer)
}

fn respond(status: StatusCode, media_type: &'static str, body: Answer) -> Response<Answer> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    response
}

/// Our own answer types have string keys and no failing serialisers, so this cannot fail; should
/// it ever, Looker still gets an envelope that says failure.
pub(super) fn to_json(value: &impl Serialize) -> Bytes {
    serde_json::to_vec(value).map_or_else(
        |_| {
            Bytes::from_static(
                br#"{"looker":{"success":false,"message":"The hub could not write its answer."}}"#,
            )
        },
        Bytes::from,
    )
}
