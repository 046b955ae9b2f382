//! A stand-in for a receiver of webhooks: it takes one body a request and answers.

use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Method, Request, Response, StatusCode};
use sendoff::testing::{Fake, Object};
use sendoff::{ByteStream, Values};
use sha2::{Digest, Sha256};

/// A receiver. It keeps of each body its length and hash.
pub(crate) struct Receiver {
    pub(crate) origin: &'static str,
    pub(crate) settings: Values,
    pub(crate) answers: Values,
    /// What it says to a request that it took.
    pub(crate) thanks: (&'static str, &'static str),
    /// How it words a refusal.
    pub(crate) refusal: fn(u16) -> (&'static str, String),
    /// Answers of status 200 that are failures.
    pub(crate) false_successes: &'static [(&'static str, &'static str)],
    /// What it would refuse a request for.
    pub(crate) wrong: fn(&http::request::Parts) -> Option<StatusCode>,
    pub(crate) taken: Mutex<Vec<Object>>,
}

impl Fake for Receiver {
    fn origins(&self) -> Vec<String> {
        vec![self.origin.to_owned()]
    }

    fn settings(&self) -> Values {
        self.settings.clone()
    }

    fn answers(&self) -> Values {
        self.answers.clone()
    }

    fn handle(&self, request: Request<ByteStream>) -> BoxFuture<'_, Response<Bytes>> {
        Box::pin(async move {
            let (head, mut body) = request.into_parts();
            if let Some(status) = (self.wrong)(&head) {
                let (media_type, text) = (self.refusal)(status.as_u16());
                return answer(status, media_type, text.into());
            }
            let (mut digest, mut bytes) = (Sha256::new(), 0);
            while let Some(chunk) = body.next().await {
                let Ok(chunk) = chunk else {
                    return answer(StatusCode::BAD_REQUEST, "text/plain", Bytes::new());
                };
                digest.update(&chunk);
                bytes += chunk.len() as u64;
            }
            let sha256 = digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
            let object = Object { name: head.uri.path().to_owned(), bytes, sha256 };
            self.taken.lock().unwrap_or_else(PoisonError::into_inner).push(object);
            answer(StatusCode::OK, self.thanks.0, Bytes::from_static(self.thanks.1.as_bytes()))
        })
    }

    fn objects(&self) -> BoxFuture<'_, Vec<Object>> {
        let taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Box::pin(std::future::ready(taken))
    }

    fn leftovers(&self) -> BoxFuture<'_, Vec<String>> {
        Box::pin(std::future::ready(Vec::new()))
    }

    fn refusal(&self, status: u16) -> (&'static str, String) {
        (self.refusal)(status)
    }

    fn commits(&self, method: &Method, _: &str) -> bool {
        matches!(*method, Method::POST | Method::PUT | Method::PATCH)
    }

    fn false_successes(&self) -> Vec<(&'static str, String)> {
        let all = self.false_successes.iter();
        all.map(|(media_type, body)| (*media_type, (*body).to_owned())).collect()
    }
}

fn answer(status: StatusCode, media_type: &'static str, body: Bytes) -> Response<Bytes> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let media_type = http::HeaderValue::from_static(media_type);
    response.headers_mut().insert(http::header::CONTENT_TYPE, media_type);
    response
}

/// What every receiver here refuses: another method, or a body that nobody can read.
pub(crate) fn malformed(head: &http::request::Parts, media_type: &str) -> Option<StatusCode> {
    if head.method != Method::POST {
        return Some(StatusCode::METHOD_NOT_ALLOWED);
    }
    let given = head.headers.get(http::header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    (!given.is_some_and(|given| given.starts_with(media_type)))
        .then_some(StatusCode::UNSUPPORTED_MEDIA_TYPE)
}
