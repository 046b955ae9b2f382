//! A stand-in for Zapier's "Catch Hook", whose page is
//! <https://help.zapier.com/hc/en-us/articles/8496288690317>.
//!
//! Written on 24 November 2026 from an earlier reading of that page. The shape of the JSON that
//! Zapier answers is general knowledge and was not checked against Zapier itself.

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
            r#"{"attempt":"0193-5c1e","id":"0193-5c1e","request_id":"0193-5c1e","status":"success"}"#,
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
