//! The server: routes, tokens, and the ways in which a hub can fail as a whole.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use http::{HeaderMap, Method, Request, Response, header};
use http_body::Frame;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use sendoff_protocol::{authorization, parse_authorization};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinSet;

use super::{Faults, TOKEN, answers, execute, faults};
use crate::Source;

/// A body over this size is refused.
const LARGEST: usize = 64 << 20;
/// Longer than the patience of a test.
const SLOW: Duration = Duration::from_millis(3_000);
/// The hub that keeps no idle connection cuts it about then.
const IDLE: Duration = Duration::from_millis(700);
/// What the links of version 2 have sealed.
const SECOND: &str = "sealed-2";
/// So many connections find nobody after the hub has died, until it is started again.
const DOWN: usize = 3;

pub(super) struct Hub {
    pub(super) faults: Faults,
    down: AtomicUsize,
    died: Notify,
    /// It dies once and then holds, so that what it is asked after that is not disturbed.
    was_dead: AtomicBool,
    /// For the hub that does one thing at a time.
    busy: Semaphore,
    /// Where the last login of version 2 leads.
    way_back: Mutex<String>,
}

/// The future ends never; its connections end with it.
pub(super) async fn serve(faults: Faults, listener: TcpListener) {
    let hub = Arc::new(Hub {
        faults,
        down: AtomicUsize::new(0),
        died: Notify::new(),
        was_dead: AtomicBool::new(false),
        busy: Semaphore::new(1),
        way_back: Mutex::default(),
    });
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((socket, _)) = accepted else { continue };
                let is_down = |n: usize| n.checked_sub(1);
                if hub.down.fetch_update(Ordering::SeqCst, Ordering::SeqCst, is_down).is_err() {
                    connections.spawn(connection(socket, Arc::clone(&hub)));
                }
            }
            () = hub.died.notified() => connections.shutdown().await,
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(socket: TcpStream, hub: Arc<Hub>) {
    let calls = Arc::new(AtomicUsize::new(0));
    let idles = hub.has("path/connection/idle");
    let busy = Arc::new(AtomicUsize::new(0));
    let (served, working) = (Arc::clone(&calls), Arc::clone(&busy));
    let service = service_fn(move |request: Request<Incoming>| {
        let first = served.fetch_add(1, Ordering::SeqCst) == 0;
        let (hub, working) = (Arc::clone(&hub), Arc::clone(&working));
        async move {
            if !first && hub.has("robustness/connection/reused") {
                return nothing();
            }
            working.fetch_add(1, Ordering::SeqCst);
            let answer = hub.answer(request).await;
            working.fetch_sub(1, Ordering::SeqCst);
            answer
        }
    });
    let mut server = http1::Builder::new();
    let connection = server.max_buf_size(1 << 20).serve_connection(TokioIo::new(socket), service);
    let mut connection = std::pin::pin!(connection);
    loop {
        let before = calls.load(Ordering::SeqCst);
        let idle = || busy.load(Ordering::SeqCst) == 0 && before == calls.load(Ordering::SeqCst);
        match tokio::time::timeout(IDLE, &mut connection).await {
            // A client that hangs up is no error of the hub's.
            Ok(_) => return,
            Err(_) if idles && before > 0 && idle() => return,
            Err(_) => {}
        }
    }
}

/// What an answer's body does.
pub(super) struct Answer {
    source: Source,
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.source.poll_next_unpin(cx).map(|next| next.map(|chunk| chunk.map(Frame::data)))
    }
}

pub(super) type Answered = io::Result<Response<Answer>>;

/// An answer in pieces.
pub(super) fn stream(status: u16, source: Source) -> Answered {
    let response = Response::builder().status(status);
    let response = response.header(header::CONTENT_TYPE, "application/json");
    response.body(Answer { source }).map_err(io::Error::other)
}

pub(super) fn text(status: u16, body: impl Into<Bytes>) -> Answered {
    stream(status, Source::from(body))
}

pub(super) fn json_answer(status: u16, body: &Value) -> Answered {
    text(status, body.to_string())
}

fn redirect(to: &str) -> Answered {
    let mut answer = text(302, "")?;
    let to = header::HeaderValue::from_str(to).map_err(io::Error::other)?;
    answer.headers_mut().insert(header::LOCATION, to);
    Ok(answer)
}

/// No answer: the connection ends.
pub(super) fn nothing() -> Answered {
    Err(io::Error::other("no answer on purpose"))
}

/// A start, and then silence.
pub(super) fn unending(start: &'static str) -> Answered {
    let start = futures_util::stream::iter([Ok(Bytes::from_static(start.as_bytes()))]);
    stream(200, Source::stream(start.chain(futures_util::stream::pending())))
}

impl Hub {
    pub(super) fn has(&self, id: &str) -> bool {
        self.faults.has(id)
    }

    /// The process ends; somebody starts it again.
    pub(super) async fn die(&self) -> Answered {
        if self.was_dead.swap(true, Ordering::SeqCst) {
            return nothing();
        }
        self.down.store(DOWN, Ordering::SeqCst);
        self.died.notify_one();
        std::future::pending::<Infallible>().await;
        nothing()
    }

    async fn answer(&self, request: Request<Incoming>) -> Answered {
        let (head, body) = request.into_parts();
        let path = head.uri.path().to_owned();
        let segments: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let host = head.headers.get(header::HOST).and_then(|host| host.to_str().ok());
        let host = host.unwrap_or_default();
        if let ["actions", action, page @ ("oauth" | "oauth_redirect")] = segments[..] {
            let query = head.uri.query().unwrap_or_default();
            return self.login(host, action, page, query);
        }
        let headers = head.headers.iter().map(|(_, value)| value.len()).sum::<usize>();
        if headers > 100_000 {
            return match self.has("robustness/client/large-header") {
                true => self.die().await,
                false => text(431, "{}"),
            };
        }
        if !self.has("auth/refusal/before-the-body")
            && let Some(refusal) = self.refusal(&head.headers, &segments).await
        {
            return refusal;
        }
        let _one_at_a_time = match self.has("robustness/client/stall") {
            true => self.busy.acquire().await.ok(),
            false => None,
        };
        let read = self.read(body, segments.last().copied()).await;
        self.route(&head, host, &segments, read).await
    }

    /// The body, or why there is none.
    async fn read(&self, mut body: Incoming, page: Option<&str>) -> io::Result<Vec<u8>> {
        let mut whole = Vec::new();
        let mut pieces = 0;
        let most = match self.has("path/body/size") {
            true => 1 << 20,
            false => LARGEST,
        };
        loop {
            let patience = match page.is_none() && self.has("path/body/pauses") {
                true => Duration::from_millis(60),
                false => Duration::from_secs(60),
            };
            let Ok(frame) = tokio::time::timeout(patience, body.frame()).await else {
                return Err(io::Error::from(io::ErrorKind::TimedOut));
            };
            match frame {
                None => return Ok(whole),
                Some(Err(error)) => return Err(io::Error::other(error)),
                Some(Ok(frame)) => {
                    let data = frame.into_data().unwrap_or_default();
                    pieces += usize::from(!data.is_empty());
                    // This hub takes the first piece for the whole.
                    if pieces == 1 || !(page == Some("form") && self.has("form/request/chunked")) {
                        whole.extend_from_slice(&data);
                    }
                    if whole.len() > most {
                        return Err(io::Error::from(io::ErrorKind::FileTooLarge));
                    }
                }
            }
        }
    }

    async fn route(
        &self,
        head: &http::request::Parts,
        host: &str,
        segments: &[&str],
        body: io::Result<Vec<u8>>,
    ) -> Answered {
        if let Some(refusal) = self.refusal(&head.headers, segments).await {
            return refusal;
        }
        let body = match body {
            Ok(body) => body,
            Err(error) if error.kind() == io::ErrorKind::FileTooLarge => return text(413, "{}"),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => return text(408, "{}"),
            Err(_) if self.has("robustness/client/hang-up") => return self.die().await,
            Err(error) => return Err(error),
        };
        match segments {
            [] => self.list(head, host, &body).await,
            ["actions", action, "execute"] => execute::execute(self, head, action, &body).await,
            _ if head.method != Method::POST && !segments.ends_with(&["oauth_check"]) => {
                text(405, "{}")
            }
            ["actions", action, "form"] => self.form(host, action, &body).await,
            ["actions", action, page @ ("oauth_check" | "oauth_token")] => {
                self.token(action, page, &body)
            }
            _ => text(404, "{}"),
        }
    }

    /// The answer to a call without a valid token.
    async fn refusal(&self, headers: &HeaderMap, segments: &[&str]) -> Option<Answered> {
        let header = headers.get(header::AUTHORIZATION).map(|value| value.as_bytes());
        let text_of = header.and_then(|value| std::str::from_utf8(value).ok());
        let given = text_of.and_then(parse_authorization);
        let page = segments.last().copied().unwrap_or("list");
        let open = |id: &str, on: &str| page == on && self.has(id);
        let missing = header.is_none()
            && (open("auth/missing/execute-refused", "execute")
                || open("auth/missing/form-refused", "form")
                || open("auth/missing/list-refused", "list")
                || open("oauth/token/guarded", "oauth_token"));
        let like = given.is_some_and(|given| given.len() == TOKEN.len() && given != TOKEN);
        let wrong = like
            && (open("auth/wrong/execute-refused", "execute")
                || open("auth/wrong/form-refused", "form"));
        let prefix = given
            .is_some_and(|given| TOKEN.starts_with(given) || given.starts_with(TOKEN))
            && given.is_some_and(|given| given.len() > 100 && given.len() != TOKEN.len())
            && self.has("auth/wrong/prefix-refused");
        let mut right = given == Some(TOKEN);
        if self.has("auth/header/lower-case") {
            right = header == Some(authorization(TOKEN).as_bytes());
        }
        if right && self.has("path/token/arrives") || !(right || missing || wrong || prefix) {
            return Some(self.refused(given, page).await);
        }
        None
    }

    async fn refused(&self, given: Option<&str>, page: &str) -> Answered {
        let signature = given.and_then(|token| token.split_once('/')).map(|(_, after)| after);
        let own = TOKEN.split_once('/').map_or(0, |(_, after)| after.len());
        let malformed = signature.is_some_and(|signature| signature.len() != own);
        if malformed && self.has("auth/malformed/survived") {
            return self.die().await;
        }
        if malformed && self.has("auth/malformed/refused") {
            return text(500, "{}");
        }
        if self.has("auth/refusal/status") && page != "oauth_token" {
            return text(400, "{}");
        }
        let error = match given {
            Some(given) if self.has("auth/refusal/token-not-repeated") => given,
            _ => "Invalid 'Authorization' header.",
        };
        let mut answer = json_answer(403, &json!({"success": false, "error": error}))?;
        answer.headers_mut().insert(header::CONNECTION, header::HeaderValue::from_static("close"));
        Ok(answer)
    }

    async fn list(&self, head: &http::request::Parts, host: &str, body: &[u8]) -> Answered {
        let agent = head.headers.get(header::USER_AGENT).map_or(&b""[..], |agent| agent.as_bytes());
        let looker = agent.starts_with(b"LookerOutgoingWebhook/25");
        if self.has("list/answer/is-200") {
            return text(302, "{}");
        }
        if self.has("list/answer/is-json") {
            return text(200, "It works!");
        }
        if !looker && self.has("list/request/without-version")
            || body == b"{}" && self.has("list/request/with-body")
        {
            return text(500, "{}");
        }
        if self.has("robustness/client/crowd") {
            let Ok(_alone) = self.busy.try_acquire() else { return text(503, "{}") };
            tokio::time::sleep(Duration::from_millis(20)).await;
            return self.listing(host);
        }
        self.listing(host)
    }

    fn listing(&self, host: &str) -> Answered {
        let mut list = answers::list(host);
        self.faults.spoil(faults::LIST, &mut list);
        let mut answer = json_answer(200, &list)?;
        let mut put = |name, value: &'static str| {
            answer.headers_mut().insert(name, header::HeaderValue::from_static(value));
        };
        if self.has("list/answer/content-type") {
            put(header::CONTENT_TYPE, "text/html");
        }
        if self.has("path/answer/not-compressed") {
            put(header::CONTENT_ENCODING, "gzip");
        }
        Ok(answer)
    }

    async fn form(&self, host: &str, action: &str, body: &[u8]) -> Answered {
        if body.len() > 1 << 20 {
            return match self.has("robustness/size/large-refused") {
                true => self.die().await,
                false => text(413, "{}"),
            };
        }
        let Ok(body) = serde_json::from_slice::<Value>(body) else { return text(400, "{}") };
        let state = body["data"]["state_json"].as_str();
        match action {
            "ledger" => self.ledger_form(&body).await,
            "note" | "a note" | "archive" => json_answer(200, &json!([])),
            "drive" | "drive2" => {
                if state.is_some_and(|state| ["reset", "null", ""].contains(&state))
                    && self.has("form/state/reset")
                    || state.is_some_and(|state| state.starts_with(['{', '[']))
                        && self.has("form/state/unreadable")
                {
                    return text(500, "{}");
                }
                if self.has("oauth/login/offered") {
                    return json_answer(200, &json!([{"name": "folder", "label": "Folder"}]));
                }
                let url = body["data"]["state_url"].as_str().unwrap_or_default();
                let way_back = body["data"]["state_redir_url"].as_str();
                let seal = match way_back {
                    Some(_) => SECOND,
                    None if self.has("oauth/login/state-url-hidden") => url,
                    None => "sealed",
                };
                if let Some(way_back) = way_back {
                    way_back.clone_into(
                        &mut self.way_back.lock().unwrap_or_else(PoisonError::into_inner),
                    );
                }
                json_answer(200, &answers::login_form(host, action, seal))
            }
            "team" if self.has("form/delegate/test-answered") => json_answer(200, &json!([])),
            "team" => json_answer(200, &answers::team_form(&body)),
            _ if self.has("form/unknown/not-drawn") => json_answer(200, &json!([])),
            _ => text(404, "{}"),
        }
    }

    async fn ledger_form(&self, body: &Value) -> Answered {
        if self.has("form/answer/is-answered") {
            return nothing();
        }
        if self.has("form/answer/prompt") {
            tokio::time::sleep(SLOW).await;
        }
        let odd = body.get("webhook_version").is_some();
        if self.has("form/answer/is-200")
            || self.has("form/request/nulls") && body["data"].is_null()
            || self.has("form/request/unknown-members") && odd
        {
            return text(500, "{}");
        }
        if self.has("form/answer/is-json") {
            return text(200, "<form>");
        }
        let mut form = answers::ledger_form(body);
        self.faults.spoil(faults::FORM, &mut form);
        json_answer(200, &form)
    }

    fn login(&self, host: &str, action: &str, page: &str, query: &str) -> Answered {
        let sealed = query.split('&').any(|pair| pair.starts_with("state=sealed"))
            || self.has("oauth/login/state-url-hidden") && query.contains("action_hub_state");
        if query.contains("script") && self.has("oauth/return/escaped") {
            let mut answer = text(400, "<p>Login failed: <script>check</script></p>")?;
            let html = header::HeaderValue::from_static("text/html");
            answer.headers_mut().insert(header::CONTENT_TYPE, html);
            return Ok(answer);
        }
        match (page, sealed) {
            ("oauth", true) if self.has("oauth/start/redirects") => text(200, "{}"),
            ("oauth", true) => {
                let back = answers::url(host, action, "oauth_redirect").replace('/', "%2F");
                let mut to = format!("https://accounts.example/auth?redirect_uri={back}");
                if !self.has("oauth/start/carries-state") {
                    to += "&state=";
                    to += if query.contains(SECOND) { SECOND } else { "sealed" };
                }
                let mut answer = redirect(&to)?;
                if !self.has("oauth/start/bound-to-browser") {
                    let cookie = header::HeaderValue::from_static("login=1; HttpOnly");
                    answer.headers_mut().insert(header::SET_COOKIE, cookie);
                }
                Ok(answer)
            }
            ("oauth_redirect", true)
                if query.contains(SECOND) && !self.has("oauth/return/redirects") =>
            {
                let way_back = self.way_back.lock().unwrap_or_else(PoisonError::into_inner);
                redirect(&format!("{way_back}?state=sealed"))
            }
            ("oauth", false) if self.has("oauth/start/bad-state") => text(500, "{}"),
            ("oauth_redirect", false) if self.has("oauth/return/bad-state") => text(200, "{}"),
            _ => text(400, "{}"),
        }
    }

    fn token(&self, action: &str, page: &str, body: &[u8]) -> Answered {
        if action != "drive2" || page != "oauth_token" {
            return match self.has("oauth/pages/end") {
                true => unending(""),
                false => text(404, "{}"),
            };
        }
        let state = serde_json::from_slice::<Value>(body).unwrap_or_default();
        let sealed = state["state"].as_str().is_some_and(|state| state.starts_with("sealed"));
        if sealed || self.has("oauth/token/bad-state") && state["state"] != "x" {
            return json_answer(200, &json!({"tokens": {}}));
        }
        text(400, "{}")
    }
}
