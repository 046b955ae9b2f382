//! Drawing an action's form.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, HeaderValue};
use http::request::Parts;
use http::{Response, StatusCode};
use http_body::Body;
use sendoff_protocol as wire;
use sendoff_protocol::Request;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::answer::{Answer, json};
use super::delivery::{CallParts, Caller, call};
use super::{Inner, execute, listing, outcome};
use crate::action::{CallBox, Checked, ConnectionsResult, DrawResult, Drawn};
use crate::intake::{BodyLimits, Kept, Refusal, RequestBody, read_small};
use crate::login::link::{self, Asked};
use crate::login::{Connection, Delegate, LoginBy};
use crate::redact::Redactor;
use crate::{Class, Error, Reason, Stop};

/// Such a request carries settings and answers, never data.
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
    let mut ask = match hub.ask() {
        Ok(ask) => ask,
        Err(error) => return not_now(&error),
    };
    let request = match small(&hub, parts, body, &mut ask.kept).await {
        Ok(request) => request,
        Err(refusal @ Refusal::Crowded) => return not_now(&refusal.error()),
        Err(refusal) => {
            let id = Caller::of(&parts.headers).webhook_id;
            return execute::unreadable(&refusal, id.as_deref());
        }
    };
    if let Err(refusal) = count(&request, &mut ask.kept) {
        return not_now(&refusal.error());
    }
    let base = listing::base_url(&hub, parts);
    let form = drawn(&hub, action, &Caller::of(&parts.headers), &base, request, &ask.stop).await;
    json(StatusCode::OK, &form)
}

/// Counts what a request was read into.
fn count(request: &Request, kept: &mut Kept) -> Result<(), Refusal> {
    let members = [&request.data, &request.form_params].into_iter().flatten();
    kept.entries(members.map(|members| members.0.len()).sum())
}

/// The hub has no room for a form, which is told where the form would be.
fn not_now(error: &Error) -> Response<Answer> {
    tracing::warn!(reason = error.message(), "form refused");
    let mut response = json(StatusCode::OK, &wire::Form::Error { error: error.message().into() });
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

/// Reads a request that carries no data. The protocol's own document says of forms that the body is
/// empty; every Looker seen sends one.
pub(super) async fn small<T, B>(
    hub: &Inner,
    parts: &Parts,
    body: B,
    kept: &mut Kept,
) -> Result<T, Refusal>
where
    T: DeserializeOwned + Default,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let limits = BodyLimits { bytes: LARGEST, idle: hub.limits.idle };
    let too_large = |refusal| match refusal {
        Refusal::TooLarge { limit } => Refusal::SmallTooLarge { limit },
        other => other,
    };
    let body = RequestBody::new(&parts.headers, body, limits).map_err(too_large)?;
    let body = read_small(body, kept).await.map_err(too_large)?;
    if body.is_empty() {
        return Ok(T::default());
    }
    // A sequence would be read as the members of the struct in order.
    if body.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'{') {
        return Err(Refusal::of_small::<T>(&body));
    }
    serde_json::from_slice(&body).map_err(|_| Refusal::of_small::<T>(&body))
}

async fn drawn(
    hub: &Inner,
    action: usize,
    caller: &Caller,
    base: &str,
    request: Request,
    stop: &Stop,
) -> wire::Form {
    let action = hub.actions[action].as_ref();
    let spec = action.spec();
    let kind = request.kind.as_ref().and_then(|kind| {
        spec.accepts.iter().find(|known| known.as_str() == kind.as_str()).copied()
    });
    let data = request.data.unwrap_or_default();
    let parts = CallParts {
        kind,
        plan: request.scheduled_plan,
        data: data.clone(),
        form: request.form_params.unwrap_or_default(),
    };
    let deadline = Instant::now() + WITHIN;
    let (call, mut secrets) = call(hub, action, caller, stop.clone(), Some(deadline), parts);
    let asked = Asked { spec: &spec, base, data: &data, instance: caller.instance.as_deref() };
    let drawing = async {
        match spec.login {
            Some(LoginBy::Delegate(delegate)) if link::is_test(&data) => {
                let ConnectionsResult(found) = action.test_connections(CallBox(call)).await;
                tested(&delegate, caller, found)
            }
            Some(LoginBy::Delegate(_)) if call.login.installs().is_empty() => {
                link::login_form(&hub.desk, &asked, None).map(wire::Form::Fields)
            }
            _ => {
                let DrawResult(drawn) = action.draw(CallBox(call)).await;
                finished(hub, &asked, drawn)
            }
        }
    };
    let form = stop.unless_stopped(tokio::time::timeout_at(deadline, drawing)).await;
    stop.stop(Reason::CallerGone);
    let form = form.map(|form| {
        form.unwrap_or_else(|_| {
            Err(Error::vendor(format!(
            "{} did not answer within {} s, so its form cannot be shown. Try again in a minute.",
            spec.label,
            WITHIN.as_secs()
        ))
        .retry_later())
        })
    });
    secrets.learn();
    let form = match form.flatten() {
        Ok(form) => Ok(form),
        Err(error) if error.class() == Class::Login && spec.login.is_some() => {
            tracing::info!(reason = %secrets.redact.clean(&error.log_line()), "login offered");
            let nobody = secrets.login.is_nobody();
            let why = secrets.redact.clean(error.message());
            let why = (!nobody || secrets.login.was_refused()).then_some(&*why);
            link::login_form(&hub.desk, &asked, why).map(wire::Form::Fields)
        }
        Err(error) => Err(error),
    };
    let form = form.unwrap_or_else(|error| failed(&error, &secrets.redact));
    with_state(form, secrets.login.to_write())
}

fn finished(
    hub: &Inner,
    asked: &Asked<'_>,
    drawn: crate::Result<Checked<Drawn>>,
) -> crate::Result<wire::Form> {
    match drawn? {
        Checked::Sound(Drawn { mut fields, by_login, account }) => {
            if by_login {
                fields.extend(link::switch_account(&hub.desk, asked, account.as_deref()));
            }
            Ok(wire::Form::Fields(fields))
        }
        Checked::Settings(problems) | Checked::Form(problems) => {
            Ok(wire::Form::Error { error: outcome::settings_sentence(&problems) })
        }
    }
}

fn tested(
    delegate: &Delegate,
    caller: &Caller,
    found: crate::Result<Checked<Vec<Connection>>>,
) -> crate::Result<wire::Form> {
    match found {
        Ok(Checked::Sound(connections)) => {
            Ok(link::connected(delegate, caller.looker_version, &connections))
        }
        Ok(Checked::Settings(problems) | Checked::Form(problems)) => {
            Ok(wire::Form::Error { error: outcome::settings_sentence(&problems) })
        }
        // The test is an admin's: a link to log in is no answer to it.
        Err(error) if error.class() == Class::Login => {
            Err(Error::vendor(error.message().to_owned()))
        }
        Err(error) => Err(error),
    }
}

fn failed(error: &Error, redact: &Redactor) -> wire::Form {
    tracing::info!(reason = %redact.clean(&error.log_line()), "form not drawn");
    wire::Form::Error { error: redact.clean(&outcome::sentence(error)).into_owned() }
}

/// Adds what Looker is to keep. Beside an `error` nobody knows whether Looker reads it, and new
/// tokens must not be lost: the sentence then stands in a field.
fn with_state(form: wire::Form, state: Option<wire::State>) -> wire::Form {
    let Some(state) = state else { return form };
    let fields = match form {
        wire::Form::Error { error } => vec![wire::Field {
            name: "problem".to_owned(),
            label: Some("This form cannot be shown".to_owned()),
            kind: wire::FieldType::Message,
            value: Some(error),
            ..wire::Field::default()
        }],
        wire::Form::Fields(fields)
        | wire::Form::Object { fields }
        | wire::Form::WithState { fields, .. } => fields,
    };
    wire::Form::WithState { fields, state }
}
