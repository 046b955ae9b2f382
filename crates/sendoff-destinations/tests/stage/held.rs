//! A vendor that answers when it is let, so that a test decides what happens before.

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Method, Request, Response};
use sendoff::testing::{Fake, Object};
use sendoff::{ByteStream, Values};
use tokio::sync::Semaphore;

/// Answers each request with "done".
pub struct Held {
    origin: &'static str,
    asked: Semaphore,
    may_answer: Semaphore,
}

impl Held {
    pub fn at(origin: &'static str) -> Self {
        Self { origin, asked: Semaphore::new(0), may_answer: Semaphore::new(0) }
    }

    /// Waits until one more request is here, with all of its body.
    pub async fn asked(&self) {
        self.asked.acquire().await.unwrap().forget();
    }

    /// Lets so many requests have their answer.
    pub fn answer(&self, requests: usize) {
        self.may_answer.add_permits(requests);
    }
}

impl Fake for Held {
    fn origins(&self) -> Vec<String> {
        vec![self.origin.to_owned()]
    }

    fn settings(&self) -> Values {
        Values::default()
    }

    fn answers(&self) -> Values {
        Values::default()
    }

    fn handle(&self, request: Request<ByteStream>) -> BoxFuture<'_, Response<Bytes>> {
        Box::pin(async move {
            let mut body = request.into_body();
            while body.next().await.is_some() {}
            self.asked.add_permits(1);
            self.may_answer.acquire().await.unwrap().forget();
            super::text(200, "done").response()
        })
    }

    fn objects(&self) -> BoxFuture<'_, Vec<Object>> {
        Box::pin(std::future::ready(Vec::new()))
    }

    fn leftovers(&self) -> BoxFuture<'_, Vec<String>> {
        Box::pin(std::future::ready(Vec::new()))
    }

    fn refusal(&self, _: u16) -> (&'static str, String) {
        ("text/plain", String::new())
    }

    fn commits(&self, _: &Method, _: &str) -> bool {
        true
    }
}
