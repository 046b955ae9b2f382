//! Which request is for whom. A dozen routes need no router.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{ALLOW, CONNECTION, HeaderValue, WWW_AUTHENTICATE};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use http_body::Body;

use super::answer::{Answer, problem};
use super::auth::Grant;
use super::{Inner, execute, form, listing, login, pages};

/// Answers one request, whatever it is.
pub(super) async fn answer<B>(hub: Arc<Inner>, request: Request<B>) -> Response<Answer>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (parts, body) = request.into_parts();
    let mut segments = [""; 4];
    let mut count = 0;
    for segment in parts.uri.path().split('/').filter(|segment| !segment.is_empty()) {
        if count == segments.len() {
            return not_found(parts.uri.path());
        }
        segments[count] = segment;
        count += 1;
    }
    let get = parts.method == Method::GET || parts.method == Method::HEAD;
    match (&segments[..count], get) {
        ([], true) => return pages::home(&hub, &parts),
        (["status"], true) => return pages::status(&hub),
        (["livez"], true) => return pages::live(),
        (["readyz"], true) => return pages::ready(&hub),
        (["status" | "livez" | "readyz"], false) => return wrong_method("GET, HEAD"),
        // The user's browser, which has no token: what it brings is sealed.
        (["actions", name, leg @ ("oauth" | "oauth_redirect")], _) => {
            // A HEAD would use up the provider's code.
            if parts.method != Method::GET {
                return wrong_method("GET");
            }
            let Some(action) = hub.action(name) else { return no_such_action(name) };
            return match *leg {
                "oauth" => login::begin(&hub, action, &parts),
                _ => login::finish(hub, action, &parts).await,
            };
        }
        (["actions", _, "oauth_check"], true) => {}
        (["actions", _, "oauth_check"], false) => return wrong_method("GET, HEAD"),
        ([] | ["webhook", _] | ["actions", _], _) => {}
        (["actions", _, "form" | "execute" | "oauth_token"], _) => {}
        _ => return not_found(parts.uri.path()),
    }
    if parts.method != Method::POST && segments[2] != "oauth_check" {
        return wrong_method("POST");
    }
    // Before a byte of the body is read.
    let Some(grant) = hub.gate.check(&parts.headers) else { return refused(&hub, &parts) };
    let of_login = matches!(segments[2], "oauth_token" | "oauth_check");
    match &segments[..count] {
        [] if grant == Grant::Webhook => refused(&hub, &parts),
        _ if of_login && grant == Grant::Webhook => refused(&hub, &parts),
        [] => listing::all(&hub, &parts, &grant),
        [_, name, ..] => {
            let Some(action) = hub.action(name) else { return no_such_action(name) };
            if !grant.allows(name) {
                return no_such_action(name);
            }
            match segments[2] {
                _ if segments[0] == "webhook" => execute::webhook(hub, action, &parts, body).await,
                "execute" => execute::action(hub, action, &parts, body).await,
                "form" => form::draw(hub, action, &parts, body).await,
                "oauth_token" => login::token(hub, action, &parts, body).await,
                "oauth_check" => login::check(hub, action, &parts, body).await,
                _ if grant == Grant::Webhook => refused(&hub, &parts),
                _ => listing::one(&hub, action, &parts),
            }
        }
        _ => not_found(parts.uri.path()),
    }
}

/// The reference hub's own status and words. Protocol fact B.
fn refused(hub: &Inner, parts: &Parts) -> Response<Answer> {
    if let Some(left_out) = hub.refusals.line() {
        let left_out = (left_out > 0).then_some(left_out);
        tracing::warn!(path = short(parts.uri.path()), left_out, "refused: no valid token");
    }
    let mut response = problem(StatusCode::FORBIDDEN, "Invalid 'Authorization' header.");
    response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Token"));
    // The body was not read, so the connection cannot serve another request.
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

fn wrong_method(allowed: &'static str) -> Response<Answer> {
    let mut response =
        problem(StatusCode::METHOD_NOT_ALLOWED, &format!("Only {allowed} is answered here."));
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    response
}

fn not_found(path: &str) -> Response<Answer> {
    problem(StatusCode::NOT_FOUND, &format!("This action hub has no page {}.", short(path)))
}

/// What anybody may have written, cut to what is told again.
fn short(text: &str) -> &str {
    text.char_indices().nth(80).map_or(text, |(end, _)| &text[..end])
}

fn no_such_action(name: &str) -> Response<Answer> {
    let name = short(name);
    problem(
        StatusCode::NOT_FOUND,
        &format!(
            "This action hub has no action \"{name}\". In Looker, refresh the hub's list of \
             actions under Admin > Actions."
        ),
    )
}
