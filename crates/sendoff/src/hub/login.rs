//! The login's routes: two legs through the browser, and what Looker calls.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{
    CONNECTION, CONTENT_SECURITY_POLICY, COOKIE, HeaderName, HeaderValue, LOCATION,
    REFERRER_POLICY, SET_COOKIE,
};
use http::request::Parts;
use http::{Response, StatusCode};
use http_body::Body;
use sendoff_protocol::Request;
use serde::Deserialize;

use super::answer::{Answer, json, problem, typed};
use super::delivery::Caller;
use super::{Inner, form, listing, pages};
use crate::Class;
use crate::intake::Refusal;
use crate::login::LoginBy;
use crate::login::flow::{Leg, Place, Returned, Turn};
use crate::spec::Spec;

/// `GET /actions/<name>/oauth?state=…`: the link in Looker's form.
pub(super) fn begin(hub: &Inner, action: usize, parts: &Parts) -> Response<Answer> {
    let spec = hub.actions[action].spec();
    let base = listing::base_url(hub, parts);
    let query = parts.uri.query().unwrap_or_default();
    let state = url::form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "state");
    let state = state.map(|(_, value)| value).unwrap_or_default();
    answer(hub, place(hub, &spec, &base).begin(&state))
}

/// `GET /actions/<name>/oauth_redirect`: the browser comes back from the provider.
pub(super) async fn finish(hub: Arc<Inner>, action: usize, parts: &Parts) -> Response<Answer> {
    let spec = hub.actions[action].spec();
    let base = listing::base_url(&hub, parts);
    // Before the code is used up, so that the same address works in a minute.
    let Ok(_ask) = hub.ask() else { return answer(&hub, Leg::not_now()) };
    let returned = Returned::of_query(parts.uri.query().unwrap_or_default());
    let cookies = parts.headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    let leg = place(&hub, &spec, &base).finish(returned, cookies).await;
    answer(&hub, leg)
}

fn place<'a>(hub: &'a Inner, spec: &'a Spec, base: &'a str) -> Place<'a> {
    Place { desk: &hub.desk, egress: &hub.egress, spec, base }
}

/// What Looker sends to the token URL.
#[derive(Default, Deserialize)]
struct TokenCall {
    state: Option<String>,
}

/// `POST /actions/<name>/oauth_token`: Looker fetches what it is to keep (version 2).
pub(super) async fn token<B>(
    hub: Arc<Inner>,
    action: usize,
    parts: &Parts,
    body: B,
) -> Response<Answer>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let spec = hub.actions[action].spec();
    if !matches!(spec.login, Some(LoginBy::OAuth(oauth)) if oauth.v2) {
        return no_such_login(&spec);
    }
    let mut ask = match hub.ask() {
        Ok(ask) => ask,
        Err(error) => return problem(StatusCode::SERVICE_UNAVAILABLE, error.message()),
    };
    let call: TokenCall = match form::small(&hub, parts, body, &mut ask.kept).await {
        Ok(call) => call,
        Err(refusal) => return unreadable(&refusal),
    };
    let Some(state) = call.state else {
        return problem(StatusCode::BAD_REQUEST, "The request holds no state.");
    };
    let base = listing::base_url(&hub, parts);
    let caller = Caller::of(&parts.headers);
    let result = place(&hub, &spec, &base).token(&state, caller.instance.as_deref()).await;
    match result {
        Ok(object) => json(StatusCode::OK, &object),
        Err(error) => {
            tracing::warn!(action = spec.name, error = error.log_line(), "login failed");
            let status = match error.class() {
                Class::Hub => StatusCode::INTERNAL_SERVER_ERROR,
                Class::Vendor => StatusCode::BAD_GATEWAY,
                _ => StatusCode::BAD_REQUEST,
            };
            problem(status, error.message())
        }
    }
}

/// `GET /actions/<name>/oauth_check`: whether the login in the request, if it brings one, is good.
/// Protocol fact B: a bare boolean.
pub(super) async fn check<B>(
    hub: Arc<Inner>,
    action: usize,
    parts: &Parts,
    body: B,
) -> Response<Answer>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let spec = hub.actions[action].spec();
    if !matches!(spec.login, Some(LoginBy::OAuth(_))) {
        return no_such_login(&spec);
    }
    let mut ask = match hub.ask() {
        Ok(ask) => ask,
        Err(error) => return problem(StatusCode::SERVICE_UNAVAILABLE, error.message()),
    };
    let request: Request = match form::small(&hub, parts, body, &mut ask.kept).await {
        Ok(request) => request,
        Err(refusal) => return unreadable(&refusal),
    };
    let data = request.data.unwrap_or_default();
    let caller = Caller::of(&parts.headers);
    let instance = caller.instance.as_deref();
    let login = hub.desk.login(&hub.egress, &spec, instance, data.get("state_json"));
    // Not by renewing it: the answer has no place for new tokens, and the old ones may be spent.
    json(StatusCode::OK, &login.is_there())
}

/// These calls deliver nothing, so that nothing is said of a delivery.
fn unreadable(refusal: &Refusal) -> Response<Answer> {
    let status = match refusal {
        Refusal::Crowded => StatusCode::SERVICE_UNAVAILABLE,
        refusal => refusal.status().unwrap_or(StatusCode::BAD_REQUEST),
    };
    let mut response = problem(status, &refusal.message());
    // What is left of the body is not read, so the connection cannot serve another request.
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

fn no_such_login(spec: &Spec) -> Response<Answer> {
    problem(StatusCode::NOT_FOUND, &format!("{} has no such login in this hub.", spec.label))
}

fn answer(hub: &Inner, leg: Leg) -> Response<Answer> {
    const HTML: &str = "text/html; charset=utf-8";
    let mut response = match leg.turn {
        Turn::Redirect(to) => {
            let mut response = typed(StatusCode::FOUND, HTML, Bytes::new());
            match HeaderValue::try_from(to) {
                Ok(to) => {
                    response.headers_mut().insert(LOCATION, to);
                }
                Err(_) => *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR,
            }
            response
        }
        Turn::Page { status, title, text } => {
            typed(status, HTML, pages::message(&hub.label, title, &text))
        }
    };
    let headers = response.headers_mut();
    // Codes and states stand in these URLs: no other site is to learn them.
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(
        CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
        ),
    );
    headers.insert(
        HeaderName::from_static("x-robots-tag"),
        HeaderValue::from_static("noindex, nofollow"),
    );
    if let Some(cookie) = leg.cookie.and_then(|cookie| HeaderValue::try_from(cookie).ok()) {
        headers.insert(SET_COOKIE, cookie);
    }
    response
}
