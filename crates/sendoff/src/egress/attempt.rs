//! One request and its answer's head, raced with everything that may end it.

use std::error::Error as StdError;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method, Request, Response, Version, header};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use tokio::time::{Instant, timeout_at};

use super::body::{Body, Outgoing, Sending, Sent};
use super::connector::Connector;
use super::dial::DialError;
use super::guard::Target;
use super::peer::{Fault, Peer};
use super::{HEADERS_AT_MOST, Inner, retry};
use crate::{ByteStream, Error, Stop};

/// A point in time, with the span that people set.
#[derive(Clone, Copy, Debug)]
pub(super) struct Until {
    pub(super) at: Instant,
    span: Duration,
}

impl Until {
    pub(super) fn from_now(span: Duration) -> Self {
        // Spans come from code, not from input; a century is as good as for ever.
        let span = span.min(Duration::from_secs(100 * 365 * 86_400));
        Self { at: Instant::now() + span, span }
    }

    /// The earlier of two.
    pub(super) fn earlier(a: Option<Self>, b: Option<Self>) -> Option<Self> {
        match (a, b) {
            (Some(a), Some(b)) => Some(if a.at <= b.at { a } else { b }),
            (a, b) => a.or(b),
        }
    }

    /// `work`, or the span if the time came first.
    pub(super) async fn limit<F: Future>(self, work: F) -> Result<F::Output, Duration> {
        timeout_at(self.at, work).await.map_err(|_| self.span)
    }

    /// Returns the span at its end; never for `None`.
    pub(super) async fn over(until: Option<Self>) -> Duration {
        match until {
            Some(until) => {
                tokio::time::sleep_until(until.at).await;
                until.span
            }
            None => std::future::pending().await,
        }
    }
}

/// What one attempt runs under.
pub(super) struct Attempt<'a> {
    pub(super) egress: &'a Inner,
    pub(super) client: &'a Client<Connector, Outgoing>,
    pub(super) peer: &'a Peer,
    pub(super) stop: &'a Stop,
    pub(super) until: Option<Until>,
    pub(super) idle: Duration,
}

/// An answer whose body is still to be read.
pub(super) struct Answer {
    pub(super) response: Response<Incoming>,
    pub(super) upload: Upload,
}

impl Answer {
    /// Whether a gateway speaks that had no answer from the vendor itself after it had the whole
    /// request.
    pub(super) fn leaves_open(&self) -> bool {
        retry::leaves_open(self.response.status()) && self.upload.0.sent() == Sent::Whole
    }
}

/// Ends the request's body when the answer is dropped: after an early answer hyper would go on
/// sending it.
pub(super) struct Upload(Arc<Sending>);

impl Drop for Upload {
    fn drop(&mut self) {
        self.0.give_up();
    }
}

/// An attempt without an answer.
pub(super) struct Failure {
    pub(super) error: Error,
    pub(super) sent: Sent,
    /// Another attempt may go better.
    pub(super) passing: bool,
    /// The body, if none of it was read.
    pub(super) untouched: Option<ByteStream>,
}

impl Attempt<'_> {
    pub(super) async fn run(
        &self,
        method: &Method,
        target: &Target,
        headers: HeaderMap,
        body: Body,
    ) -> Result<Answer, Box<Failure>> {
        let (outgoing, sending) = Outgoing::new(body);
        let mut request = Request::new(outgoing);
        *request.method_mut() = method.clone();
        *request.uri_mut() = target.uri.clone();
        *request.version_mut() = Version::HTTP_11;
        *request.headers_mut() = headers;
        self.complete(request.headers_mut());
        // hyper leaves it out, and some servers then answer 411 (RFC 9110, section 8.6). Google
        // wants it on DELETE too
        // (https://docs.cloud.google.com/storage/docs/performing-resumable-uploads#cancel-upload).
        if sending.sent() == Sent::Whole
            && matches!(*method, Method::POST | Method::PUT | Method::PATCH | Method::DELETE)
        {
            request.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        let fault = tokio::select! {
            biased;
            reason = self.stop.stopped() => Fault::last(reason.error()),
            answer = self.client.request(request) => match answer {
                Ok(response) if header_bytes(response.headers()) > HEADERS_AT_MOST => {
                    Fault::last(self.no_http())
                }
                Ok(response) => return Ok(Answer { response, upload: Upload(sending) }),
                Err(fault) => self.explain(target, &sending, fault),
            },
            span = Until::over(self.until) => Fault::last(self.peer.silent(span)),
            () = sending.idle(self.idle) => Fault::passing(self.peer.idle(self.idle)),
        };
        // The request was dropped with the `select!`, unless a connection took it over.
        let sent = sending.give_up();
        let sent = if fault.dialling { Sent::Nothing } else { sent };
        Err(Box::new(Failure {
            error: fault.error,
            sent,
            passing: fault.passing,
            untouched: sending.take_back(),
        }))
    }

    fn complete(&self, headers: &mut HeaderMap) {
        headers.entry(header::USER_AGENT).or_insert_with(|| self.egress.user_agent.clone());
        headers.entry(header::ACCEPT).or_insert(HeaderValue::from_static("*/*"));
        // Nothing here decompresses: a small answer that grows to gigabytes is no use to anyone.
        headers.entry(header::ACCEPT_ENCODING).or_insert(HeaderValue::from_static("identity"));
        for own in [header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::CONNECTION] {
            headers.remove(own);
        }
    }

    fn no_http(&self) -> Error {
        let name = &self.peer.name;
        self.peer.error(format!(
            "{name} answered something that is not HTTP, or with headers of more than 64 KiB."
        ))
    }

    fn explain(
        &self,
        target: &Target,
        sending: &Sending,
        fault: hyper_util::client::legacy::Error,
    ) -> Fault {
        if let Some(error) = sending.take_fault() {
            return Fault::last(error);
        }
        if let Some(dial) = find::<DialError>(&fault) {
            return self.peer.unreachable(target.url.host_str().unwrap_or_default(), dial);
        }
        let hyper = find::<hyper::Error>(&fault);
        if hyper.is_some_and(hyper::Error::is_parse_status) {
            return Fault::last(self.no_http().cause(OddStatus));
        }
        if hyper.is_some_and(|fault| fault.is_parse() || fault.is_parse_too_large()) {
            return Fault::last(self.no_http().cause(fault));
        }
        let while_what = match sending.sent() {
            Sent::Whole => "its answer was awaited",
            Sent::Part | Sent::Nothing => "data was being sent",
        };
        Fault::passing(self.peer.broke_off(while_what).cause(fault))
    }
}

/// The status line was HTTP's but for its number.
#[derive(Debug)]
pub(super) struct OddStatus;

impl std::fmt::Display for OddStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a status that is not one of HTTP's")
    }
}

impl StdError for OddStatus {}

/// hyper's own limit is soft: what one read brings beyond it still counts as within.
fn header_bytes(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum()
}

/// The first `T` in the chain of causes.
pub(super) fn find<'a, T: StdError + 'static>(
    fault: &'a (dyn StdError + 'static),
) -> Option<&'a T> {
    let mut next = Some(fault);
    while let Some(fault) = next {
        if let Some(found) = fault.downcast_ref() {
            return Some(found);
        }
        next = fault.source();
    }
    None
}
