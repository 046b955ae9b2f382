//! A stand-in for no vendor at all: `debug` delivers nothing.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use http::Method;
use sendoff::testing::{Fake, Object};
use sendoff::{AnyAction, Values};

use super::Debug;

struct Nowhere;

/// The action and nobody.
pub(crate) fn fake() -> (Box<dyn AnyAction>, Arc<dyn Fake>) {
    (Box::new(Debug), Arc::new(Nowhere))
}

impl Fake for Nowhere {
    fn origins(&self) -> Vec<String> {
        Vec::new()
    }

    fn settings(&self) -> Values {
        Values::default()
    }

    fn answers(&self) -> Values {
        [("sleep", "0"), ("count", "bytes")].into_iter().collect()
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
        false
    }
}
