//! Answering an execute request: admitted, run as a task, answered at once or behind newlines.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONNECTION, HeaderValue, RETRY_AFTER};
use http::request::Parts;
use http::{Response, StatusCode};
use http_body::Body;
use sendoff_protocol::Executed;

use super::answer::{Answer, JSON, json, streaming, to_json, typed};
use super::delivery::{Caller, Delivery, Ended};
use super::{Inner, outcome};
use crate::fields::Values;
use crate::intake::{BodyLimits, Intake, Refusal, RequestBody};
use crate::redact::Redactor;
use crate::{Error, Reason, Stop};

/// A delivery by an action hub's URL, or by a LookML data action.
pub(super) async fn action<B>(
    hub: Arc<Inner>,
    action: usize,
    parts: &Parts,
    body: B,
) -> Response<Answer>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    deliver(hub, action, parts, body, Values::default()).await
}

/// A delivery by a scheduled webhook: the query string stands for the form's answers.
pub(super) async fn webhook<B>(
    hub: Arc<Inner>,
    action: usize,
    parts: &Parts,
    body: B,
) -> Response<Answer>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let query = parts.uri.query().unwrap_or_default();
    let answers = url::form_urlencoded::parse(query.as_bytes()).collect();
    deliver(hub, action, parts, body, answers).await
}

async fn deliver<B>(
    hub: Arc<Inner>,
    action: usize,
    parts: &Parts,
    body: B,
    answers: Values,
) -> Response<Answer>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let caller = Caller::of(&parts.headers);
    let (id, newlines) = (caller.webhook_id.clone(), Arc::clone(&caller.newlines));
    if hub.drain.is_draining() {
        return busy(id.as_deref(), &Reason::Draining.error());
    }
    let Some(ticket) = hub.admission.enter(action, caller.instance.as_deref()) else {
        return busy(
            id.as_deref(),
            &full("as many deliveries as it takes are running and waiting"),
        );
    };
    let limits = BodyLimits { bytes: hub.limits.body_bytes, idle: hub.limits.idle };
    let body = match RequestBody::new(&parts.headers, body, limits) {
        Ok(body) => body,
        Err(refusal) => return unreadable(&refusal, id.as_deref()),
    };
    let kept = hub.memory.of_request();
    let stop = Stop::new();
    let hang_up = HangUp(Some(stop.clone()));
    let keep_alive = hub.limits.keep_alive;
    let delivery = Delivery::new(Arc::clone(&hub), action, caller, answers, stop.clone());
    let Some(task) = hub.drain.spawn(stop, delivery.run(Intake::new(body, kept), ticket)) else {
        hang_up.answered();
        return busy(id.as_deref(), &Reason::Draining.error());
    };
    let mut work = Box::pin(async move {
        let ended = task.await.unwrap_or_else(|_| Ended::panicked(id.as_deref()));
        hang_up.answered();
        ended
    });
    match tokio::time::timeout(keep_alive, &mut work).await {
        Ok(ended) => respond(ended),
        // From now on the status is 200 whatever comes: only the envelope can say it.
        Err(_) => {
            let last = async move { to_json(&work.await.executed) };
            streaming(Answer::working(last, keep_alive, newlines))
        }
    }
}

fn respond(ended: Ended) -> Response<Answer> {
    match ended.refusal.as_ref().and_then(Refusal::status) {
        // Looker keeps a state only from a 200, and a login that was renewed must not be lost.
        Some(status) if ended.executed.looker.state.is_none() => refused(status, ended.executed),
        _ => json(StatusCode::OK, &ended.executed),
    }
}

/// A request that no delivery can be made of.
pub(super) fn unreadable(refusal: &Refusal, webhook_id: Option<&str>) -> Response<Answer> {
    let status = refusal.status().unwrap_or(StatusCode::BAD_REQUEST);
    let failed = Err(refusal.answer());
    refused(status, outcome::of_delivery(&failed, webhook_id, &Redactor::default()))
}

/// It says so in the envelope too, for a Looker that reads it whatever the status.
fn refused(status: StatusCode, executed: Executed) -> Response<Answer> {
    let body = serde_json::json!({
        "success": false, "error": &executed.looker.message, "looker": executed.looker,
    });
    let mut response = typed(status, JSON, to_json(&body));
    // What is left of the body is not read, so the connection cannot serve another request.
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

/// Why there is no place for a delivery.
pub(super) fn full(why: &str) -> Error {
    Error::hub(format!(
        "This action hub is busy: {why}. Nothing was delivered; try again in a few minutes."
    ))
    .retry_later()
}

/// The hub has no place for this delivery. 200, because Looker reads the reason only there.
fn busy(webhook_id: Option<&str>, error: &Error) -> Response<Answer> {
    tracing::warn!(reason = error.message(), "delivery refused");
    let failed = Err(Error::hub(error.message().to_owned()).retry_later());
    let executed = outcome::of_delivery(&failed, webhook_id, &Redactor::default());
    let mut response = json(StatusCode::OK, &executed);
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("60"));
    response
}

/// Dropped before the answer is there, it tells the delivery that nobody waits for it any more.
struct HangUp(Option<Stop>);

impl HangUp {
    fn answered(mut self) {
        self.0 = None;
    }
}

impl Drop for HangUp {
    fn drop(&mut self) {
        if let Some(stop) = &self.0 {
            stop.stop(Reason::CallerGone);
        }
    }
}

#[cfg(test)]
mod tests {
    use sendoff_protocol as wire;

    use super::*;

    #[test]
    fn a_login_that_was_renewed_is_not_lost_with_a_request_that_cannot_be_read() {
        let ended = |state| {
            let failed = Err(Refusal::SecondData.answer());
            let mut executed = outcome::of_delivery(&failed, Some("0f"), &Redactor::default());
            executed.looker.state = state;
            respond(Ended { executed, refusal: Some(Refusal::SecondData) }).status()
        };
        assert_eq!(ended(None), StatusCode::BAD_REQUEST);
        let state = wire::State { data: "sealed".to_owned(), refresh_time: None };
        assert_eq!(ended(Some(state)), StatusCode::OK);
    }
}
