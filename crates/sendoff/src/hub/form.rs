//! Drawing an action's form.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{Response, StatusCode};
use http_body::Body;
use sendoff_protocol as wire;
use sendoff_protocol::Request;
use tokio::time::Instant;

use super::answer::{Answer, json};
use super::delivery::{CallParts, Caller, call};
use super::{Inner, execute, outcome};
use crate::action::{CallBox, Checked, DrawResult};
use crate::intake::{BodyLimits, RequestBody, read_small};
use crate::redact::Redactor;
use crate::{Error, Reason, Stop};

/// A form request carries settings and answers, never data.
const LARGEST: u64 = 1 << 20;
/// A user is looking at the page that waits for it.
const WITHIN: Duration = Duration::from_secs(25);

/// Answers a form request. What goes wrong is told inside the form: Looker shows an `error` where
/// the form would be.
pub(super) async fn draw<B>(
    hub: Arc<Inner>,
    action: usize,
    parts: &Parts,
    body: B,
) -> Response<Answer>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let limits = BodyLimits { bytes: LARGEST, idle: hub.limits.idle };
    let body = match RequestBody::new(&parts.headers, body, limits) {
        Ok(body) => read_small(body).await,
        Err(refusal) => Err(refusal),
    };
    let body = match body {
        Ok(body) => body,
        Err(refusal) => return execute::unreadable(&refusal),
    };
    // The protocol's own document says that the body is empty; every Looker seen sends one.
    let request = match &body[..] {
        [] => Ok(Request::default()),
        text => read(text),
    };
    let request = match request {
        Ok(request) => request,
        Err(message) => return super::answer::problem(StatusCode::BAD_REQUEST, &message),
    };
    let form = drawn(&hub, action, &Caller::of(&parts.headers), request).await;
    json(StatusCode::OK, &form)
}

fn read(text: &[u8]) -> Result<Request, String> {
    let not_ours = "The request is not the JSON that Looker sends";
    // A sequence would be read as the members of the struct in order.
    if text.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'{') {
        return Err(format!("{not_ours}: byte 0: expected a JSON object."));
    }
    serde_json::from_slice(text).map_err(|error| format!("{not_ours}: {error}."))
}

async fn drawn(hub: &Inner, action: usize, caller: &Caller, request: Request) -> wire::Form {
    let action = hub.actions[action].as_ref();
    let kind = request.kind.as_ref().and_then(|kind| {
        action.spec().accepts.iter().find(|known| known.as_str() == kind.as_str()).copied()
    });
    let parts = CallParts {
        kind,
        plan: request.scheduled_plan,
        data: request.data.unwrap_or_default(),
        form: request.form_params.unwrap_or_default(),
    };
    let stop = Stop::new();
    let deadline = Instant::now() + WITHIN;
    let (call, redact) = call(hub, action, caller, stop.clone(), Some(deadline), parts);
    let result = tokio::time::timeout_at(deadline, action.draw(CallBox(call))).await;
    stop.stop(Reason::CallerGone);
    let result = result.unwrap_or_else(|_| {
        DrawResult(Err(Error::vendor(format!(
            "{} did not answer within {} s, so its form cannot be shown. Try again in a minute.",
            action.spec().label,
            WITHIN.as_secs()
        ))
        .retry_later()))
    });
    match result {
        DrawResult(Ok(Checked::Sound(fields))) => wire::Form::Fields(fields),
        DrawResult(Ok(Checked::Settings(problems) | Checked::Form(problems))) => {
            wire::Form::Error { error: outcome::settings_sentence(&problems) }
        }
        DrawResult(Err(error)) => failed(&error, &redact),
    }
}

fn failed(error: &Error, redact: &Redactor) -> wire::Form {
    tracing::info!(reason = %redact.clean(&error.log_line()), "form not drawn");
    wire::Form::Error { error: redact.clean(&outcome::sentence(error)).into_owned() }
}
