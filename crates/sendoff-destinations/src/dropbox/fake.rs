//! A stand-in for Dropbox, written on 25 November 2026 from
//! <https://www.dropbox.com/developers/documentation/http/documentation> and the types of
//! <https://github.com/dropbox/dropbox-api-spec>: accounts, folders page by page, metadata, uploads
//! and upload sessions with their offsets, conflicts and content hashes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use sendoff::testing::{Fake, Object, Provider};
use sendoff::{AnyAction, ByteStream, Values};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::upload::ContentHash;
use super::{Dropbox, LOGIN};
use crate::shared::aws::hex;
use crate::shared::in_order;
use crate::shared::parts::Hashing;

/// The action and its stand-in.
pub(crate) fn fake() -> (Box<dyn AnyAction>, Arc<dyn Fake>) {
    (Box::new(Dropbox), Arc::new(FakeDropbox::default()))
}

/// The namespace of the team, in which `/Ada` is the user's own folder.
const TEAM: &str = "3235641";
const HOME: &str = "3235642";

pub(crate) struct FakeDropbox {
    provider: Provider,
    state: Mutex<State>,
}

pub(crate) struct State {
    /// By namespace and path in small letters, as Dropbox compares them.
    pub(crate) files: BTreeMap<String, Stored>,
    sessions: BTreeMap<String, Session>,
    /// Paths from the user's own folder.
    pub(crate) folders: Vec<String>,
    /// Whether the user is in a team with a space of its own.
    pub(crate) team: bool,
    /// Methods as they came.
    pub(crate) calls: Vec<String>,
}

#[derive(Clone)]
pub(crate) struct Stored {
    path: String,
    bytes: u64,
    sha256: String,
    content_hash: String,
    modified: String,
}

#[derive(Clone)]
struct Session {
    bytes: u64,
    sha256: Sha256,
    content: ContentHash,
    closed: bool,
}

type Answer = Result<Value, (u16, Value)>;

impl Default for FakeDropbox {
    fn default() -> Self {
        let folders = ["Reports", "Reports/Daily", "Reports/Daily/EU", "Archive", "Zoo"];
        let state = State {
            files: BTreeMap::new(),
            sessions: BTreeMap::new(),
            folders: folders.map(str::to_owned).to_vec(),
            team: false,
            calls: Vec::new(),
        };
        Self { provider: Provider::new(LOGIN), state: Mutex::new(state) }
    }
}

impl Session {
    fn new() -> Self {
        Self { bytes: 0, sha256: Sha256::new(), content: ContentHash::new(), closed: false }
    }

    /// Takes in a body; `None` if it breaks off.
    async fn read(mut self, mut body: ByteStream) -> Option<Self> {
        let announced = body.len_hint();
        let before = self.bytes;
        while let Some(chunk) = body.next().await {
            let chunk = chunk.ok()?;
            self.bytes += chunk.len() as u64;
            self.sha256.update(&chunk);
            self.content.update(&chunk);
        }
        announced.is_none_or(|announced| announced == self.bytes - before).then_some(self)
    }
}

impl FakeDropbox {
    pub(crate) fn ledger(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn answer(&self, request: Request<ByteStream>) -> Answer {
        let (head, body) = request.into_parts();
        if head.method != Method::POST {
            return Err((405, json!({"error_summary": "method_not_allowed/."})));
        }
        if !self.provider.knows(&head.headers) {
            return Err((401, error("expired_access_token")));
        }
        let text = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
        let space = self.space(text("dropbox-api-path-root"))?;
        let Some(method) = head.uri.path().strip_prefix("/2/").map(str::to_owned) else {
            return Err((404, json!({"error_summary": "unknown_route/."})));
        };
        self.ledger().calls.push(method.clone());
        match text("host") {
            Some("content.dropboxapi.com") => {
                if text("content-type") != Some("application/octet-stream") {
                    return Err((400, Value::Null));
                }
                let argument =
                    text("dropbox-api-arg").and_then(|arg| serde_json::from_str(arg).ok());
                let argument: Value = argument.ok_or((400, Value::Null))?;
                self.content(&method, &space, &argument, body).await
            }
            _ => {
                if text("content-type") != Some("application/json") {
                    return Err((400, Value::Null));
                }
                let (body, _) = in_order::text(body).await.ok_or((400, Value::Null))?;
                let argument = serde_json::from_str(&body).map_err(|_| (400, Value::Null))?;
                self.rpc(&method, &space, &argument)
            }
        }
    }

    /// In which namespace the paths begin.
    fn space(&self, header: Option<&str>) -> Result<String, (u16, Value)> {
        let Some(header) = header else { return Ok(HOME.to_owned()) };
        let root: Value = serde_json::from_str(header).map_err(|_| (400, Value::Null))?;
        match root["root"].as_str() {
            Some(TEAM) if self.ledger().team && root[".tag"] == "root" => Ok(TEAM.to_owned()),
            _ => Err((422, error("invalid_root"))),
        }
    }

    fn rpc(&self, method: &str, space: &str, argument: &Value) -> Answer {
        let state = self.ledger();
        let path = argument["path"].as_str().unwrap_or_default();
        match method {
            "users/get_current_account" if argument.is_null() => {
                let (tag, root) = if state.team { ("team", TEAM) } else { ("user", HOME) };
                Ok(json!({
                    "account_id": "dbid:AAH4f99T0taONIb-OurWxbNQ6ywGRopQngc",
                    "email": "ada@example.com",
                    "root_info": {".tag": tag, "root_namespace_id": root, "home_namespace_id": HOME},
                }))
            }
            "files/list_folder" => state.list(space, path, 0),
            "files/list_folder/continue" => {
                let cursor = argument["cursor"].as_str().unwrap_or_default();
                let (path, at) = cursor.rsplit_once('#').ok_or((409, error("reset")))?;
                state.list(space, path, at.parse().map_err(|_| (409, error("reset")))?)
            }
            "files/get_metadata" => {
                if !path.starts_with('/') {
                    return Err((409, error("path/malformed_path")));
                }
                let file = state.files.get(&key(space, path));
                file.map(Stored::metadata).ok_or((409, error("path/not_found")))
            }
            _ => Err((400, Value::Null)),
        }
    }

    async fn content(
        &self,
        method: &str,
        space: &str,
        argument: &Value,
        body: ByteStream,
    ) -> Answer {
        let broken = || (400, Value::Null);
        match method {
            "files/upload" => {
                let whole = Session::new().read(body).await.ok_or_else(broken)?;
                self.ledger().commit(space, argument, &whole)
            }
            "files/upload_session/start" => {
                let begun = Session::new().read(body).await.ok_or_else(broken)?;
                let mut state = self.ledger();
                let id = format!("session-{}", state.sessions.len());
                state.sessions.insert(id.clone(), begun);
                Ok(json!({"session_id": id}))
            }
            "files/upload_session/append_v2" | "files/upload_session/finish" => {
                let finish = method.ends_with("finish");
                let id = argument["cursor"]["session_id"].as_str().unwrap_or_default().to_owned();
                let session = self.ledger().sessions.get(&id).cloned();
                let prefix = if finish { "lookup_failed/" } else { "" };
                let lookup = |what: &str| (409, error(&format!("{prefix}{what}")));
                let session = session.ok_or_else(|| lookup("not_found"))?;
                if session.closed {
                    return Err(lookup("closed"));
                }
                if argument["cursor"]["offset"] != session.bytes {
                    let mut wrong = error(&format!("{prefix}incorrect_offset"));
                    wrong["error"]["correct_offset"] = json!(session.bytes);
                    return Err((409, wrong));
                }
                let mut session = session.read(body).await.ok_or_else(broken)?;
                let mut state = self.ledger();
                let answer = if finish {
                    let answer = state.commit(space, &argument["commit"], &session)?;
                    session.closed = true;
                    answer
                } else {
                    Value::Null
                };
                state.sessions.insert(id, session);
                Ok(answer)
            }
            _ => Err((400, Value::Null)),
        }
    }
}

impl State {
    fn list(&self, space: &str, path: &str, from: usize) -> Answer {
        if !path.is_empty() && !path.starts_with('/') {
            return Err((409, error("path/malformed_path")));
        }
        let folder = path.trim_start_matches('/');
        let all: Vec<String> = match space {
            TEAM => std::iter::once("Ada".to_owned()).chain(["Everybody".to_owned()]).collect(),
            _ => self.folders.clone(),
        };
        if !folder.is_empty() && !all.iter().any(|one| one == folder) {
            return Err((409, error("path/not_found")));
        }
        let inside = all.iter().filter(|one| {
            let parent = one.rsplit_once('/').map_or("", |(parent, _)| parent);
            parent == folder
        });
        let mut entries: Vec<Value> = inside
            .map(|one| json!({".tag": "folder", "name": one.rsplit('/').next(), "path_display": format!("/{one}")}))
            .collect();
        entries.insert(entries.len() / 2, json!({".tag": "file", "name": "notes.txt"}));
        // Pages are as long as Dropbox likes: few at a time here, unless there are many.
        let size = if entries.len() > 50 { 2_000 } else { 2 };
        let end = (from + size).min(entries.len());
        let page = entries.get(from..end).unwrap_or_default();
        let more = end < entries.len();
        Ok(json!({"entries": page, "cursor": format!("{path}#{end}"), "has_more": more}))
    }

    fn commit(&mut self, space: &str, commit: &Value, whole: &Session) -> Answer {
        let path = commit["path"].as_str().unwrap_or_default();
        let sound = path.starts_with('/') && !path.ends_with('/') && !path.contains("//");
        if !sound {
            return Err((409, error("path/malformed_path")));
        }
        let time = commit["client_modified"].as_str().unwrap_or_default();
        let to_the_second = time.len() == 20 && time.parse::<jiff::Timestamp>().is_ok();
        if !to_the_second {
            return Err((400, Value::Null));
        }
        let stored = Stored {
            path: path.to_owned(),
            bytes: whole.bytes,
            sha256: hex(&whole.sha256.clone().finalize()),
            content_hash: hex(&whole.content.clone().end_of_part()),
            modified: time.to_owned(),
        };
        let key = key(space, path);
        let there = self.files.contains_key(&key);
        match commit["mode"].as_str() {
            Some("add") if there => return Err((409, error("path/conflict/file"))),
            Some("add" | "overwrite") => {}
            _ => return Err((400, Value::Null)),
        }
        let answer = stored.metadata();
        self.files.insert(key, stored);
        Ok(answer)
    }
}

impl Stored {
    fn metadata(&self) -> Value {
        json!({
            ".tag": "file", "name": self.path.rsplit('/').next(), "path_display": self.path,
            "id": "id:a4ayc_80_OEAAAAAAAAAXw", "rev": "a1c10ce0dd78", "size": self.bytes,
            "content_hash": self.content_hash, "client_modified": self.modified,
        })
    }
}

fn key(space: &str, path: &str) -> String {
    format!("{space}{}", path.to_lowercase())
}

fn error(summary: &str) -> Value {
    let tag = summary.rsplit('/').next().unwrap_or_default();
    json!({"error_summary": format!("{summary}/.."), "error": {".tag": tag}})
}

fn plain(status: u16, body: &Value, headers: &HeaderMap) -> Response<Bytes> {
    let text = if status == 400 && body.is_null() {
        "Error in call to API function: the request is malformed.".to_owned()
    } else {
        body.to_string()
    };
    let mut response = Response::new(Bytes::from(text));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::NOT_IMPLEMENTED);
    let media_type = if headers.is_empty() { "text/plain" } else { "application/json" };
    response
        .headers_mut()
        .insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static(media_type));
    response
}

impl Fake for FakeDropbox {
    fn origins(&self) -> Vec<String> {
        vec!["https://api.dropboxapi.com".to_owned(), "https://content.dropboxapi.com".to_owned()]
    }

    fn settings(&self) -> Values {
        Values::default()
    }

    fn answers(&self) -> Values {
        [("directory", "Reports"), ("filename", "orders")].into_iter().collect()
    }

    fn provider(&self) -> Option<&Provider> {
        Some(&self.provider)
    }

    fn handle(&self, request: Request<ByteStream>) -> BoxFuture<'_, Response<Bytes>> {
        Box::pin(async move {
            let headers = request.headers().clone();
            match self.answer(request).await {
                Ok(answer) => plain(200, &answer, &headers),
                Err((status, answer)) => plain(status, &answer, &headers),
            }
        })
    }

    fn objects(&self) -> BoxFuture<'_, Vec<Object>> {
        let state = self.ledger();
        let object = |(name, stored): (&String, &Stored)| Object {
            name: name.clone(),
            bytes: stored.bytes,
            sha256: stored.sha256.clone(),
        };
        Box::pin(std::future::ready(state.files.iter().map(object).collect()))
    }

    fn leftovers(&self) -> BoxFuture<'_, Vec<String>> {
        // A session that was never finished is seen by nobody and ends after seven days; there is
        // no request that would take it back.
        Box::pin(std::future::ready(Vec::new()))
    }

    fn refusal(&self, status: u16) -> (&'static str, String) {
        let summary = match status {
            401 => "invalid_access_token",
            403 => "invalid_account_type/endpoint",
            404 => "unknown_route",
            409 => "path/no_write_permission",
            429 => "too_many_requests",
            500.. => "internal_error",
            _ => return ("text/plain", "Error in call to API function: bad argument.".to_owned()),
        };
        ("application/json", error(summary).to_string())
    }

    fn commits(&self, _: &Method, path_and_query: &str) -> bool {
        matches!(path_and_query, "/2/files/upload" | "/2/files/upload_session/finish")
    }

    fn false_successes(&self) -> Vec<(&'static str, String)> {
        let other = json!({".tag": "file", "size": 1, "content_hash": "00", "path_display": "/x"});
        vec![
            ("application/json", other.to_string()),
            ("text/html", "<!DOCTYPE html><html><title>Log in</title></html>".to_owned()),
        ]
    }
}
