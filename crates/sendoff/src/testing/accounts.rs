//! Looker's side of logins: the one-time addresses that a login goes back to, what is kept for the
//! user, and the user's browser.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::fake::body_of;
use crate::Values;

/// The origin of the login's addresses; the hub's origin map leads here.
const ORIGIN: &str = "https://suite.looker.com";
/// What Looker keeps at most. Protocol fact A.
const LARGEST_STATE: usize = 32 << 10;

/// What Looker keeps for its one user. The server stops when it is dropped.
pub(super) struct Accounts {
    address: SocketAddr,
    shared: Arc<Shared>,
    serving: JoinHandle<()>,
}

#[derive(Default)]
struct Shared(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    /// By action: whether Looker offers version 2.
    users: HashMap<String, bool>,
    states: HashMap<String, String>,
    /// One-time addresses, each for an action.
    open: HashMap<String, String>,
}

impl Shared {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a login that the hub posts: once, as a JSON object.
    async fn take(&self, request: Request<Incoming>) -> StatusCode {
        let json = request.headers().get(CONTENT_TYPE).is_some_and(|t| t == "application/json");
        let action = self.kept().open.remove(request.uri().path());
        let (true, Some(action)) = (request.method() == Method::POST && json, action) else {
            return StatusCode::NOT_FOUND;
        };
        let mut body = body_of(request.into_body());
        let mut bytes = Vec::new();
        while let Some(Ok(chunk)) = body.next().await {
            if bytes.len() + chunk.len() > LARGEST_STATE {
                return StatusCode::PAYLOAD_TOO_LARGE;
            }
            bytes.extend_from_slice(&chunk);
        }
        match serde_json::from_slice(&bytes) {
            Ok(Value::Object(object)) => {
                self.kept().states.insert(action, Value::Object(object).to_string());
                StatusCode::OK
            }
            _ => StatusCode::BAD_REQUEST,
        }
    }
}

impl Accounts {
    pub(super) async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared::default());
        let serving = tokio::spawn(serve(listener, Arc::clone(&shared)));
        Ok(Self { address, shared, serving })
    }

    pub(super) fn origin(&self) -> String {
        format!("{ORIGIN}=http://{}", self.address)
    }

    pub(super) fn uses_login(&self, action: &str, fetches: bool) {
        self.shared.kept().users.insert(action.to_owned(), fetches);
    }

    pub(super) fn keep(&self, action: &str, state: Option<String>) {
        let mut kept = self.shared.kept();
        match state {
            Some(state) => kept.states.insert(action.to_owned(), state),
            None => kept.states.remove(action),
        };
    }

    pub(super) fn kept(&self, action: &str) -> Option<String> {
        self.shared.kept().states.get(action).cloned()
    }

    /// `data` of a request: the settings, and for an action with a login its state and fresh
    /// addresses.
    pub(super) fn data(&self, action: &str, settings: &Values) -> Values {
        let mut data = settings.clone();
        let mut kept = self.shared.kept();
        let Some(fetches) = kept.users.get(action).copied() else { return data };
        if let Some(state) = kept.states.get(action) {
            data.0.insert("state_json".to_owned(), state.clone());
        }
        let mut fresh = |name: &str, folder: &str| {
            let path = format!("/{folder}/{}", uuid::Uuid::new_v4().simple());
            data.0.insert(name.to_owned(), format!("{ORIGIN}{path}"));
            kept.open.insert(path, action.to_owned());
        };
        fresh("state_url", "action_hub_state");
        if fetches {
            fresh("state_redir_url", "action_hub_state_redir");
        }
        data
    }

    /// Keeps what an answer tells to.
    pub(super) fn hear(&self, action: &str, answer: &Value) {
        let state = &answer.get("looker").unwrap_or(answer)["state"]["data"];
        if let Some(state) = state.as_str() {
            self.keep(action, Some(state.to_owned()));
        }
    }

    /// The browser arrives at a `state_redir_url`: whose login it brings, once.
    pub(super) fn redirected(&self, path: &str) -> Option<String> {
        self.shared.kept().open.remove(path)
    }
}

impl Drop for Accounts {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let shared = Arc::clone(&shared);
        let service = service_fn(move |request| {
            let shared = Arc::clone(&shared);
            async move {
                let mut response = Response::new(Full::new(Bytes::new()));
                *response.status_mut() = shared.take(request).await;
                Ok::<_, Infallible>(response)
            }
        });
        tokio::spawn(async move {
            let mut builder = hyper::server::conn::http1::Builder::new();
            let served = builder.timer(TokioTimer::new());
            let _ = served.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

/// What a browser was answered.
#[derive(Clone, Debug)]
pub struct Page {
    /// The status.
    pub status: u16,
    /// Where it is sent.
    pub location: Option<String>,
    /// The page.
    pub text: String,
}

/// A user's browser: it keeps cookies, by path.
#[derive(Clone, Debug, Default)]
pub struct Browser {
    /// Path, name and value.
    cookies: Vec<(String, String, String)>,
}

impl Browser {
    pub(super) async fn get(&mut self, hub: SocketAddr, path: &str) -> io::Result<Page> {
        let (bare, _) = path.split_once('?').unwrap_or((path, ""));
        let mine = self.cookies.iter().filter(|(at, ..)| bare.starts_with(at.as_str()));
        let line: Vec<_> = mine.map(|(_, name, value)| format!("{name}={value}")).collect();
        let mut request = Request::get(path).header(http::header::HOST, "hub.example");
        if !line.is_empty() {
            request = request.header(http::header::COOKIE, line.join("; "));
        }
        let request = request.body(Full::new(Bytes::new())).map_err(io::Error::other)?;
        let stream = TcpStream::connect(hub).await?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(io::Error::other)?;
        let connection = tokio::spawn(connection);
        let response = sender.send_request(request).await.map_err(io::Error::other)?;
        let (head, body) = response.into_parts();
        for line in head.headers.get_all(http::header::SET_COOKIE) {
            self.remember(line.to_str().unwrap_or_default());
        }
        let mut body = body_of(body);
        let mut bytes = Vec::new();
        while let Some(chunk) = body.next().await {
            bytes.extend_from_slice(&chunk.map_err(io::Error::other)?);
        }
        connection.abort();
        let location = head.headers.get(http::header::LOCATION);
        Ok(Page {
            status: head.status.as_u16(),
            location: location.and_then(|to| to.to_str().ok()).map(str::to_owned),
            text: String::from_utf8_lossy(&bytes).into_owned(),
        })
    }

    fn remember(&mut self, line: &str) {
        let mut pieces = line.split(';').map(str::trim);
        let Some((name, value)) = pieces.next().and_then(|pair| pair.split_once('=')) else {
            return;
        };
        let attribute = |wanted: &str| {
            line.split(';').filter_map(|one| one.trim().split_once('=')).find_map(
                |(name, value)| name.eq_ignore_ascii_case(wanted).then(|| value.to_owned()),
            )
        };
        let path = attribute("path").unwrap_or_else(|| "/".to_owned());
        self.cookies.retain(|(at, known, _)| !(*at == path && known == name));
        if attribute("max-age").as_deref() != Some("0") {
            self.cookies.push((path, name.to_owned(), value.to_owned()));
        }
    }
}
