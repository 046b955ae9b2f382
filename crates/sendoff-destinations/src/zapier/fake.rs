//! A stand-in for Zapier's "Catch Hook", whose page is
//! <https://help.zapier.com/hc/en-us/articles/8496288690317>.
//!
//! Written on 24 November 2026 and checked on the 25th: that page says that a hook always answers
//! with success and some words for debugging, or with nothing in Silent Mode; what the words are
//! stands in <https://github.com/zapier/visual-builder/issues/133>, where Zapier's staff explain
//! them. Zapier documents no refusal in words of its own; 429 at more than 30 requests a second
//! is at <https://docs.zapier.com/platform/build/operating-constraints>.

use std::sync::Arc;

use http::StatusCode;
use sendoff::AnyAction;
use sendoff::testing::Fake;

use super::Zapier;
use crate::shared::hook::fake::{Receiver, malformed};

/// The action and its vendor.
pub(crate) fn fake() -> (Box<dyn AnyAction>, Arc<dyn Fake>) {
    let url = "https://hooks.zapier.com/hooks/catch/1234567/canary-zapier-hook-0a1b2c/";
    let receiver = Receiver {
        origin: "https://hooks.zapier.com",
        settings: [("", ""); 0].into_iter().collect(),
        answers: [("url", url)].into_iter().collect(),
        thanks: (
            "application/json",
            r#"{"id":"eeb23846-4a68","request_id":"5f6de14c-5bd5","attempt":"5f6de14c-5bd5","status":"success"}"#,
        ),
        refusal: |status| {
            (
                "application/json",
                format!(r#"{{"status":"error","detail":"refused with {status}"}}"#),
            )
        },
        false_successes: &[
            ("application/json", r#"{"status":"error","detail":"hook is gone"}"#),
            ("text/html", "<!DOCTYPE html><html><title>Log in</title></html>"),
        ],
        wrong: |head| {
            if !head.uri.path().starts_with("/hooks/catch/") {
                return Some(StatusCode::NOT_FOUND);
            }
            malformed(head, "application/json")
        },
        taken: Default::default(),
    };
    (Box::new(Zapier), Arc::new(receiver))
}
