//! A stand-in for Tray's webhook trigger, whose page is
//! <https://docs.tray.ai/connectors/trigger/webhook-trigger>.
//!
//! Written on 24 November 2026 and checked on the 25th. Tray documents no body for the trigger's own
//! answer, so nothing in it is relied on; a workflow that awaits and responds may answer with any
//! status and up to 1 MB (<https://docs.tray.ai/connectors/core/trigger-event-reply>).

use std::sync::Arc;

use http::StatusCode;
use sendoff::AnyAction;
use sendoff::testing::Fake;

use super::Tray;
use crate::shared::hook::fake::{Receiver, malformed};

/// The action and its vendor.
pub(crate) fn fake() -> (Box<dyn AnyAction>, Arc<dyn Fake>) {
    let settings = [("header_name", "X-Flow-Key"), ("header_value", "canary-tray-header-7d2f91")];
    let url = "https://0f4a7c2e.trayapp.io/canary-tray-workflow-3e5b";
    let receiver = Receiver {
        origin: "https://*.trayapp.io",
        settings: settings.into_iter().collect(),
        answers: [("url", url)].into_iter().collect(),
        // The trigger's own answer, where the workflow gives none.
        thanks: ("text/plain", ""),
        refusal: |status| ("application/json", format!(r#"{{"message":"refused with {status}"}}"#)),
        false_successes: &[],
        wrong: |head| {
            // The trigger's CSRF check: a header that the workflow's author chose.
            let key = head.headers.get("x-flow-key").and_then(|value| value.to_str().ok());
            if key != Some("canary-tray-header-7d2f91") {
                return Some(StatusCode::FORBIDDEN);
            }
            malformed(head, "application/json")
        },
        taken: Default::default(),
    };
    (Box::new(Tray), Arc::new(receiver))
}
