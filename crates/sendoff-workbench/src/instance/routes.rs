//! What hubs and browsers call on the instance.

use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, RawQuery, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use http::{StatusCode, header};

use super::oauth::Purpose;
use super::person::{self, page};
use super::{Instance, locked};
use crate::exchange::{Exchange, Peek};
use crate::looker::headers_shown;
use crate::request::MASK;
use crate::verdict::{Call, Heard, looker_does};

/// A state has 32 KB at most; twice that tells that there was more.
const STATE_AT_MOST: usize = 64 << 10;

impl Instance {
    /// `/downloads/…`, `/action_hub_state/…`, `/action_hub_state_redir/…` and `/install/…`: to be
    /// served below [`Settings::base_url`](super::Settings::base_url).
    pub fn routes(&self) -> Router {
        Router::new()
            .route("/downloads/{token}", any(download))
            .route("/action_hub_state/{token}", post(state))
            .route("/action_hub_state_redir/{token}", get(redirected))
            .route("/install/{token}", get(install_page).post(install))
            .with_state(self.clone())
    }

    /// Serves [`Instance::routes`] until the future is dropped.
    ///
    /// # Errors
    /// The listener's.
    pub async fn serve(&self, listener: tokio::net::TcpListener) -> std::io::Result<()> {
        axum::serve(listener, self.routes()).await
    }
}

async fn download(State(instance): State<Instance>, request: Request) -> Response {
    instance.0.downloads.respond(&request).map(Body::new)
}

/// The hub gives what a login gave it.
async fn state(
    State(instance): State<Instance>,
    Path(token): Path<String>,
    request: Request,
) -> Response {
    let since = Instant::now();
    let (head, body) = request.into_parts();
    let kind = head.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let kind = kind.unwrap_or_default().to_ascii_lowercase();
    let mut exchange = Exchange {
        started: jiff::Timestamp::now(),
        call: Some(Call::State),
        method: head.method.to_string(),
        url: format!("{}/action_hub_state/{MASK}", instance.settings().base_url),
        request_headers: headers_shown(&head.headers, &[]),
        ..Exchange::default()
    };
    let taken = match axum::body::to_bytes(body, STATE_AT_MOST).await {
        Ok(body) => {
            exchange.request_body = Peek::of(MASK.as_bytes(), body.len() as u64);
            instance.take_tokens(&token, &kind, &body).await
        }
        Err(_) => Err((413, "The state is over 32 KB, or broke off.".to_owned())),
    };
    let (status, text, user) = match taken {
        Ok(ticket) => {
            exchange.action = Some(ticket.action.name.clone());
            (200, String::new(), Some(ticket.user))
        }
        Err((status, why)) => (status, why, None),
    };
    exchange.status = Some(status);
    exchange.response_body = Peek::of(text.as_bytes(), text.len() as u64);
    exchange.until_answer = since.elapsed();
    exchange.until_end = since.elapsed();
    let heard = Heard { status: Some(status), body: b"", failure: None, action: "" };
    let verdict = looker_does(Call::State, heard);
    let entry = instance.0.journal.add(exchange, user.as_deref(), verdict, Vec::new(), None);
    instance.keep_entry(&entry).await;
    (code(status), text).into_response()
}

/// The browser comes back from a login, and Looker asks the hub for the tokens.
async fn redirected(
    State(instance): State<Instance>,
    Path(token): Path<String>,
    RawQuery(query): RawQuery,
) -> Response {
    let state = form_value(query.as_deref().unwrap_or_default(), "state");
    let Some(state) = state else {
        return page(400, "The hub brought no state", "The link has no `state`.");
    };
    match instance.exchange_tokens(&token, &state).await {
        Ok(_) => page(200, "Logged in", "You may close this tab and go on in the form."),
        Err((status, why)) => page(status, "The login failed", &why),
    }
}

async fn install_page(State(instance): State<Instance>, Path(token): Path<String>) -> Response {
    let ticket = locked(&instance.0.tickets).get(&token, Purpose::Install);
    let Some(ticket) = ticket else {
        return page(404, "No such page", "The link is good once, for an hour.");
    };
    let offered = instance.workspaces(&ticket.action);
    person::installation(&ticket.action.name, &ticket.user, &offered)
}

async fn install(
    State(instance): State<Instance>,
    Path(token): Path<String>,
    request: Request,
) -> Response {
    let Ok(body) = axum::body::to_bytes(request.into_body(), STATE_AT_MOST).await else {
        return page(413, "Too long", "An installation and a token are shorter.");
    };
    let body = String::from_utf8_lossy(&body);
    let open = locked(&instance.0.tickets).get(&token, Purpose::Install);
    let offered = open.map(|ticket| instance.workspaces(&ticket.action)).unwrap_or_default();
    let given = form_value(&body, "install_id").and_then(|id| {
        let known = || offered.into_iter().find(|one| one.install_id == id).map(|one| one.token);
        let token = form_value(&body, "token").or_else(known)?;
        Some((id, token))
    });
    let Some((install_id, secret)) = given else {
        return page(400, "Something is missing", "Installation and token are both needed.");
    };
    let ticket = locked(&instance.0.tickets).take(&token, Purpose::Install);
    let Some(ticket) = ticket else {
        return page(404, "No such page", "The link is good once, for an hour.");
    };
    match instance.install(&ticket, &install_id, &secret).await {
        Ok(()) => page(200, "Connected", "You may close this tab and go on in the form."),
        Err(refused) => page(400, "It could not be connected", &refused.0),
    }
}

fn code(status: u16) -> StatusCode {
    StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// A value of `application/x-www-form-urlencoded`, which query strings are too.
fn form_value(text: &str, name: &str) -> Option<String> {
    let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
    let value = pairs.filter(|(key, _)| *key == name).map(|(_, value)| value).next()?;
    let spaced = value.replace('+', " ");
    let decoded = percent_encoding::percent_decode_str(&spaced).decode_utf8().ok()?;
    Some(decoded.into_owned()).filter(|value| !value.is_empty())
}
