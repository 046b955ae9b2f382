//! A stand-in for somebody's own endpoint.
//!
//! There is no vendor and no page: what a receiver may expect of a POST stands in RFC 9110.
//! Written on 24 November 2026.

use std::sync::Arc;

use http::StatusCode;
use sendoff::AnyAction;
use sendoff::testing::Fake;

use super::Webhook;
use crate::shared::hook::fake::{Receiver, malformed};

/// The action and its vendor.
pub(crate) fn fake() -> (Box<dyn AnyAction>, Arc<dyn Fake>) {
    let settings = [
        ("headers", "Authorization: Bearer canary-webhook-token-5f21"),
        ("allowed_hosts", "receiver.example"),
    ];
    let url = "https://receiver.example/in/canary-webhook-path-91c4";
    let receiver = Receiver {
        origin: "https://receiver.example",
        settings: settings.into_iter().collect(),
        answers: [("url", url)].into_iter().collect(),
        thanks: ("application/json", r#"{"received":true}"#),
        refusal: |status| ("application/json", format!(r#"{{"error":"refused with {status}"}}"#)),
        false_successes: &[],
        wrong: |head| {
            let key = head.headers.get("authorization").and_then(|value| value.to_str().ok());
            if key != Some("Bearer canary-webhook-token-5f21") {
                return Some(StatusCode::UNAUTHORIZED);
            }
            if !head.headers.contains_key("idempotency-key") {
                return Some(StatusCode::BAD_REQUEST);
            }
            malformed(head, "")
        },
        taken: Default::default(),
    };
    (Box::new(Webhook), Arc::new(receiver))
}
